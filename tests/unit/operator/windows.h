/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tests of windows share: a drawn history of records and watermarks, a way to play it to an operator in batches cut anywhere, and
 * a comparison with what an oracle says came out at each watermark. The oracles reckon in 128 bits, so that the ends of time hold no
 * surprise.
 */
#ifndef WEIR_TESTS_UNIT_OPERATOR_WINDOWS_H
#define WEIR_TESTS_UNIT_OPERATOR_WINDOWS_H

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "runtime/operator/window.h"
#include "runtime/state/rocks.h"
#include "tests/support/fake_state.h"
#include "tests/support/temp_dir.h"

typedef __int128 wide;

/* ---- rows and the aggregate -------------------------------------------------------------------------------------------------------- */

struct hit {
    int64_t seq; /* in the history */
    int64_t value;
    struct weir_str key;
};
WEIR_ROW(hit, WEIR_FIELD(hit, 1, I64, seq), WEIR_FIELD(hit, 2, I64, value), WEIR_FIELD(hit, 3, STR, key));

struct acc {
    int64_t count;
    int64_t sum;
    int64_t max;
};

struct sum {
    weir_time start;
    weir_time end;
    int64_t count;
    int64_t sum;
    int64_t max;
    struct weir_str key;
};
WEIR_ROW(sum, WEIR_FIELD(sum, 1, TIME, start), WEIR_FIELD(sum, 2, TIME, end), WEIR_FIELD(sum, 3, I64, count), WEIR_FIELD(sum, 4, I64, sum),
         WEIR_FIELD(sum, 5, I64, max), WEIR_FIELD(sum, 6, STR, key));

static inline void totals_add1(struct acc *a, const struct hit *row, weir_time t)
{
    (void)t;
    if (a->count == 0 || row->value > a->max) a->max = row->value;
    a->count++;
    a->sum += row->value;
}

static inline void totals_merge1(struct acc *into, const struct acc *from)
{
    if (from->count == 0) return;
    if (into->count == 0 || from->max > into->max) into->max = from->max;
    into->count += from->count;
    into->sum += from->sum;
}

static inline weir_err totals_emit1(struct weir_ctx *ctx, const struct acc *a, const struct weir_key *key, weir_time start, weir_time end)
{
    struct sum row = {.start = start, .end = end, .count = a->count, .sum = a->sum, .max = a->max};
    row.key = weir_put_str(ctx->out, sizeof row, key->data, key->length);
    return weir_emit(ctx->out, &row, sizeof row, end - 1);
}

WEIR_AGGREGATE(totals, hit, acc, sum, totals_add1, totals_merge1, totals_emit1);

/* The same without the maximum, which cannot be taken out again. */
static inline void sums_add1(struct acc *a, const struct hit *row, weir_time t)
{
    (void)t;
    a->count++;
    a->sum += row->value;
}

static inline void sums_merge1(struct acc *into, const struct acc *from)
{
    into->count += from->count;
    into->sum += from->sum;
}

static inline void sums_subtract1(struct acc *into, const struct acc *from)
{
    into->count -= from->count;
    into->sum -= from->sum;
}

WEIR_AGGREGATE_INVERTIBLE(sums, hit, acc, sum, sums_add1, sums_merge1, totals_emit1, sums_subtract1);

/* The totals once more, from the rows themselves. */
static inline weir_err totals_process(void *self, struct weir_ctx *ctx, const struct weir_key *key, struct weir_window_rows *rows)
{
    struct acc a = {0}, again = {0};
    ++*(uint64_t *)self;
    for (struct weir_record *rec; (rec = weir_window_next(rows)) != NULL;) {
        const struct hit *row = weir_record_row(rec);
        assert_true(rec->time_ms >= rows->start_ms && rec->time_ms <= rows->end_ms);
        assert_int_equal(row->key.length, key->length);
        if (key->length) assert_memory_equal(weir_str_data(row, row->key), key->data, key->length);
        totals_add1(&a, row, rec->time_ms);
    }
    weir_window_rewind(rows);
    for (struct weir_record *rec; (rec = weir_window_next(rows)) != NULL;) totals_add1(&again, weir_record_row(rec), rec->time_ms);
    assert_memory_equal(&a, &again, sizeof a);
    return totals_emit1(ctx, &a, key, rows->start_ms, rows->end_ms);
}

static const struct weir_window_function totals_of_rows WEIR_UNUSED = {.struct_size = sizeof totals_of_rows,
                                                                       .name = "totals-of-rows",
                                                                       .in = &hit_schema,
                                                                       .out = &sum_schema,
                                                                       .self_size = sizeof(uint64_t),
                                                                       .process = totals_process};

/* ---- histories --------------------------------------------------------------------------------------------------------------------- */

struct rng {
    uint64_t state;
};

static inline uint64_t draw(struct rng *r)
{
    uint64_t x = r->state += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

static inline uint32_t below(struct rng *r, uint32_t n)
{
    return (uint32_t)(draw(r) % n);
}

static uint64_t current_seed;

static inline void check(bool holds, const char *condition, const char *file, int line)
{
    if (holds) return;
    print_error("seed %" PRIu64 ": not true: %s\n", current_seed, condition);
    _fail(file, line);
}
#define CHECK(cond) check((cond), #cond, __FILE__, __LINE__)

struct event {
    bool is_watermark;
    uint32_t key;
    weir_time time_ms; /* of the record, or the watermark */
    int64_t value;
};

#define EVENTS_MAX 3000u
#define RESULTS_MAX 200000u
#define WINDOW_KEYS_MAX 40u

struct history {
    struct event events[EVENTS_MAX];
    uint32_t n;
    uint32_t n_keys;
    char keys[WINDOW_KEYS_MAX][64]; /* of various lengths, one of them empty, some longer than what is kept inline */
};

static inline weir_time clamp(wide t)
{
    return t > WEIR_TIME_MAX ? WEIR_TIME_MAX : t < WEIR_TIME_MIN ? WEIR_TIME_MIN : (weir_time)t;
}

/* Records around a time that advances, disordered by up to `disorder`; watermarks that trail by less at times, so that some are late. */
static inline void draw_history(struct history *h, struct rng *r, int64_t unit)
{
    const wide bases[] = {0, -3 * (wide)unit, 1431857112000, (wide)WEIR_TIME_MAX - 30 * (wide)unit, (wide)WEIR_TIME_MIN + unit / 2};
    wide now = bases[below(r, 5)];
    int64_t disorder = 1 + below(r, (uint32_t)(4 * unit));
    uint32_t pace = 1 + below(r, (uint32_t)unit);
    h->n_keys = 1 + below(r, WINDOW_KEYS_MAX);
    for (uint32_t k = 0; k < h->n_keys; k++)
        snprintf(h->keys[k], sizeof h->keys[k], "%.*s%u", (int)(k % 5 * 9), "................................................", k);
    h->keys[0][0] = 0;
    h->n = 200 + below(r, EVENTS_MAX - 220);
    uint32_t watermark_every = 1 + below(r, 100);
    wide highest = WEIR_TIME_MIN;
    for (uint32_t i = 0; i < h->n; i++) {
        now += below(r, pace * 2 / 3 + 2);
        wide t = now - (wide)below(r, (uint32_t)disorder);
        if (t <= WEIR_TIME_MIN) t = (wide)WEIR_TIME_MIN + 1;
        h->events[i] = (struct event){false, below(r, h->n_keys), clamp(t), (int64_t)draw(r) >> 40};
        if (t > highest) highest = t;
        if (below(r, watermark_every)) continue;
        wide trail = below(r, 3) ? disorder : below(r, (uint32_t)disorder); /* too eager at times: late records */
        h->events[i] = (struct event){.is_watermark = true, .time_ms = clamp(highest - trail - 1)};
    }
    weir_time passed = WEIR_TIME_MIN;
    for (uint32_t i = 0; i < h->n; i++) { /* watermarks never fall */
        struct event *e = &h->events[i];
        if (!e->is_watermark) continue;
        if (e->time_ms < passed) e->time_ms = passed;
        passed = e->time_ms;
    }
    h->events[h->n++] = (struct event){.is_watermark = true, .time_ms = WEIR_TIME_MAX};
    for (uint32_t i = below(r, 10); i > 0; i--) h->events[h->n++] = (struct event){false, 0, clamp(now), 1}; /* behind the end: late */
}

/* ---- results --------------------------------------------------------------------------------------------------------------------- */

#define BY_RECORD UINT32_MAX

struct result {
    uint32_t key;
    uint32_t step; /* index of the watermark event that fired it; BY_RECORD: a record did */
    weir_time start;
    weir_time end;
    struct acc acc;
};

/* What the oracle says, and what came. */
struct results {
    struct result items[RESULTS_MAX];
    uint32_t n;
    int64_t late[EVENTS_MAX]; /* seq, in order */
    uint32_t n_late;
};

#define COMPARE_BY(x, y, member) \
    if ((x)->member != (y)->member) return (x)->member < (y)->member ? -1 : 1

static inline int compare_results(const void *a, const void *b)
{
    const struct result *x = a, *y = b;
    COMPARE_BY(x, y, key);
    COMPARE_BY(x, y, start);
    COMPARE_BY(x, y, end);
    COMPARE_BY(x, y, acc.count); /* a window that fires again has more, unless it was purged */
    COMPARE_BY(x, y, step);
    COMPARE_BY(x, y, acc.sum);
    COMPARE_BY(x, y, acc.max);
    return 0;
}

static inline void compare(struct results *expected, struct results *got)
{
    CHECK(expected->n_late == got->n_late);
    for (uint32_t i = 0; i < got->n_late; i++) CHECK(expected->late[i] == got->late[i]);
    CHECK(expected->n == got->n);
    qsort(expected->items, expected->n, sizeof *expected->items, compare_results);
    qsort(got->items, got->n, sizeof *got->items, compare_results);
    for (uint32_t i = 0; i < got->n; i++) {
        const struct result *e = &expected->items[i], *g = &got->items[i];
        CHECK(e->key == g->key && e->start == g->start && e->end == g->end);
        CHECK(e->step == g->step);
        CHECK(e->acc.count == g->acc.count && e->acc.sum == g->acc.sum && e->acc.max == g->acc.max);
    }
}

/* ---- playing a history to an operator --------------------------------------------------------------------------------------------- */

#define PLAY_BYTES (WEIR_BATCH_MAX * 128u)

/* What makes the totals: the aggregate, or in a third of the cases the function. */
static inline struct window_config config_of(const struct weir_window *w, const struct weir_aggregate *aggregate, uint64_t cuts)
{
    bool rows = aggregate == &totals && cuts % 3 == 2;
    return (struct window_config){.window = *w, .aggregate = rows ? NULL : aggregate, .function = rows ? &totals_of_rows : NULL};
}

/* How it is played: zeros are in memory, without a restart. */
struct play_options {
    const struct weir_operator *op;
    struct window_config config;
    uint64_t cuts;          /* seed of the cuts into batches, the pauses, the restarts */
    bool any_order;         /* results of one watermark need not be in order of time */
    uint64_t budget;        /* bytes of state in memory; 0 = ample */
    uint32_t restart_every; /* restored after one watermark in so many; 0 = never */
    struct temp_dir *dir;   /* with either of them */
    struct rocks_shared *shared;
};

struct play {
    struct fake *f;
    const struct play_options *o;
    const struct history *h;
    struct rng r;
    uint32_t n;  /* records collected */
    uint32_t at; /* bytes used */
    uint32_t n_restarts;
    uint64_t counted_late; /* before the last restart */
    struct keyed_files files;
    uint32_t sel[WEIR_BATCH_MAX];
    struct weir_key keys[WEIR_BATCH_MAX];
    _Alignas(16) unsigned char data[PLAY_BYTES];
};

static inline weir_err send(struct play *p)
{
    if (p->n == 0) return WEIR_OK;
    struct weir_batch batch = {.data = p->data, .sel = p->sel, .count = p->n};
    weir_err err = fake_op_process_keyed(p->f, &batch, p->keys);
    memset(p->data, 0x5a, p->at); /* what an operator keeps of a batch must be a copy */
    p->n = p->at = 0;
    return err;
}

static inline void put_record(struct play *p, uint32_t index)
{
    const struct event *e = &p->h->events[index];
    const char *key = p->h->keys[e->key];
    uint32_t length = (uint32_t)strlen(key);
    if (below(&p->r, 8) == 0) p->at += 64; /* a hole: records that a filter has left out */
    struct weir_record *rec = (struct weir_record *)(void *)(p->data + p->at);
    *rec = (struct weir_record){.size = (uint32_t)sizeof(struct hit) + length, .time_ms = e->time_ms};
    struct hit *row = weir_record_row(rec);
    *row = (struct hit){index, e->value, {sizeof *row, length}};
    memcpy(row + 1, key, length);
    p->keys[p->n] = (struct weir_key){.data = row + 1, .length = length};
    p->sel[p->n++] = p->at;
    p->at += weir_record_span(rec->size);
}

static inline uint32_t key_index(const struct history *h, const struct sum *row)
{
    for (uint32_t k = 0; k < h->n_keys; k++) {
        if (strlen(h->keys[k]) == row->key.length && memcmp(h->keys[k], weir_str_data(row, row->key), row->key.length) == 0) return k;
    }
    print_error("a result for a key that is not in the history\n");
    fail();
    return 0;
}

/* Takes what the operator has emitted; results of one watermark come in the order of their time. */
static inline void take_results(struct play *p, uint32_t step, struct results *got)
{
    weir_time before = WEIR_TIME_MIN;
    for (uint32_t i = 0; i < fake_count(p->f, 0); i++) {
        const struct weir_record *rec = fake_record(p->f, 0, i);
        const struct sum *row = fake_row(p->f, 0, i);
        CHECK(rec->time_ms == row->end - 1 && (rec->time_ms >= before || step == BY_RECORD || p->o->any_order));
        before = rec->time_ms;
        CHECK(got->n < RESULTS_MAX);
        got->items[got->n++] = (struct result){key_index(p->h, row), step, row->start, row->end, {row->count, row->sum, row->max}};
    }
    fake_clear(p->f, 0);
}

static inline void take_late(struct play *p, struct results *got)
{
    for (uint32_t i = 0; i < fake_count(p->f, 1); i++) {
        const struct hit *row = fake_row(p->f, 1, i);
        const struct event *e = &p->h->events[row->seq];
        CHECK(fake_record(p->f, 1, i)->time_ms == e->time_ms && row->value == e->value); /* as it came */
        got->late[got->n_late++] = row->seq;
    }
    CHECK(p->counted_late + fake_counter(p->f, "late") == got->n_late);
    fake_clear(p->f, 1);
}

/* A fresh operator, on the state of the one before if there was one. */
static inline void play_open(struct play *p)
{
    const struct play_options *o = p->o;
    char scratch[32];
    struct state_slot_config slot = {.dir = NULL};
    snprintf(scratch, sizeof scratch, "scratch%u", p->n_restarts);
    if (o->dir)
        slot = (struct state_slot_config){
            .dir = temp_path(o->dir, scratch), .shared = o->shared, .budget = o->budget, .snapshots = o->restart_every > 0};
    p->f = fake_new(
        &(struct fake_options){.config = &o->config, .n_outs = 2, .frame_bytes = 200 + below(&p->r, 2000), .operator_id = "window"});
    fake_state_open_with(p->f, &slot);
    p->f->yield_at_rows = below(&p->r, 2) ? 1 + below(&p->r, 3) : 0;
    const struct keyed_restore_from from = {.dir = o->dir ? o->dir->path : NULL, .files = &p->files};
    if (p->n_restarts) assert_ok(p->f, keyed_restore(p->f->keyed, &from, 1, 0, 1, &p->f->diag));
    assert_ok(p->f, fake_op_open(p->f, o->op));
}

/* The operator ends, and another goes on from a snapshot of its state. */
static inline void play_restart(struct play *p, struct results *got)
{
    struct keyed_snapshot *snap;
    struct keyed_files files = {0};
    take_late(p, got);
    p->counted_late += fake_counter(p->f, "late");
    assert_ok(p->f, keyed_freeze(p->f->keyed, ++p->n_restarts, &snap, &p->f->diag));
    (void)slot_copy(p->f->slot, UINT64_MAX);
    assert_ok(p->f, keyed_persist(snap, p->o->dir->path, &files, &p->f->diag));
    keyed_snapshot_destroy(&snap);
    fake_close(p->f);
    keyed_files_close(&p->files);
    p->files = files;
    play_open(p);
}

static inline void play_watermark(struct play *p, uint32_t step, struct results *got)
{
    assert_ok(p->f, send(p));
    take_results(p, BY_RECORD, got);
    assert_ok(p->f, fake_op_watermark(p->f, p->h->events[step].time_ms));
    take_results(p, step, got);
    if (p->o->restart_every && below(&p->r, p->o->restart_every) == 0) play_restart(p, got);
}

static inline void play(const struct history *h, const struct play_options *o, struct results *got)
{
    static struct play p;
    memset(&p, 0, offsetof(struct play, sel));
    p.o = o;
    p.h = h;
    p.r.state = o->cuts;
    play_open(&p);
    got->n = got->n_late = 0;
    uint32_t batch_max = 1u << below(&p.r, 12);
    for (uint32_t i = 0; i < h->n; i++) {
        if (h->events[i].is_watermark) {
            play_watermark(&p, i, got);
            continue;
        }
        put_record(&p, i);
        if (p.n == batch_max || below(&p.r, batch_max) == 0) assert_ok(p.f, send(&p));
    }
    assert_ok(p.f, send(&p));
    take_results(&p, BY_RECORD, got);
    take_late(&p, got);
    fake_close(p.f);
    keyed_files_close(&p.files);
}

static inline void expect_sum(const struct fake *f, uint32_t i, weir_time start, weir_time end, int64_t count)
{
    const struct sum *row = fake_row(f, 0, i);
    assert_int_equal(row->start, start);
    assert_int_equal(row->end, end);
    assert_int_equal(row->count, count);
}

/* One record at `time_ms`, straight to an open operator. */
static inline weir_err send_one(struct fake *f, const char *name, weir_time time_ms)
{
    struct {
        struct weir_record rec;
        struct hit row;
        char name[32];
    } r = {.rec = {.size = sizeof(struct hit) + 32, .time_ms = time_ms}, .row = {.value = 1}};
    uint32_t length = (uint32_t)strlen(name);
    memcpy(r.name, name, length);
    r.row.key = (struct weir_str){sizeof(struct hit), length};
    struct weir_key key = {.data = r.name, .length = length};
    struct weir_batch batch = {.data = (unsigned char *)&r, .count = 1, .stride = weir_record_span(r.rec.size)};
    return fake_op_process_keyed(f, &batch, &key);
}

static inline struct fake *open_window(const struct weir_operator *op, const struct window_config *config)
{
    struct fake *f = fake_new(&(struct fake_options){.config = config, .n_outs = 2, .operator_id = "minute"});
    fake_state_open(f);
    assert_ok(f, fake_op_open(f, op));
    return f;
}

/* ---- restored ---------------------------------------------------------------------------------------------------------------------- */

/* Operators on disk, one after the other, each restored from what the one before has left. */
struct shelf {
    struct temp_dir dir, scratch;
    struct rocks_shared *shared;
    struct keyed_files files;
    bool filled; /* the files are a snapshot's */
};

static inline void shelf_open(struct shelf *s)
{
    *s = (struct shelf){0};
    assert_int_equal(rocks_shared_new(&s->shared, 1u << 20, 1, NULL), WEIR_OK);
    temp_dir_make(&s->dir);
    temp_dir_make(&s->scratch);
}

static inline void shelf_close(struct shelf *s)
{
    keyed_files_close(&s->files);
    temp_dir_remove(&s->scratch);
    temp_dir_remove(&s->dir);
    rocks_shared_destroy(&s->shared);
}

static inline struct fake *shelf_take(struct shelf *s, const struct weir_operator *op, const struct window_config *config,
                                      weir_err expected)
{
    const struct keyed_restore_from from = {.dir = s->dir.path, .files = &s->files};
    struct fake *f = fake_new(&(struct fake_options){.config = config, .n_outs = 2, .operator_id = "minute"});
    fake_state_open_with(f, &(struct state_slot_config){.dir = temp_path(&s->scratch, "slot"), .shared = s->shared, .snapshots = true});
    if (s->filled) assert_ok(f, keyed_restore(f->keyed, &from, 1, 0, 1, &f->diag));
    assert_int_equal(fake_op_open(f, op), expected);
    return f;
}

/* Closes it after a snapshot. */
static inline void shelf_put(struct shelf *s, struct fake *f)
{
    struct keyed_snapshot *snap;
    struct keyed_files files = {0};
    assert_ok(f, keyed_freeze(f->keyed, 1, &snap, &f->diag));
    (void)slot_copy(f->slot, UINT64_MAX);
    assert_ok(f, keyed_persist(snap, s->dir.path, &files, &f->diag));
    keyed_snapshot_destroy(&snap);
    keyed_files_close(&s->files);
    s->files = files;
    s->filled = true;
    fake_close(f);
}

#endif
