/* SPDX-License-Identifier: Apache-2.0 */
/* Event time, timers and windows in real jobs: results equal a computation by hand from the same rows, whatever the parallelism and the
 * disorder. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "runtime/base/clock.h"
#include "tests/support/local/local_job.h"

#define SPLITS_MAX 8
#define ROWS_MAX 60000
#define RESULTS_MAX 200000

struct tick {
    int64_t key, value;
    weir_time time, other;
};
WEIR_ROW(tick, WEIR_FIELD(tick, 1, I64, key), WEIR_FIELD(tick, 2, I64, value), WEIR_FIELD(tick, 3, TIME, time),
         WEIR_FIELD(tick, 4, TIME, other));
WEIR_TIMESTAMP(tick_time, tick, time);
WEIR_TIMESTAMP(tick_other, tick, other);
WEIR_KEY_FIXED(tick_key, tick, key);

static uint64_t random_state;
static uint64_t draw(uint64_t below)
{
    uint64_t z = (random_state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (z ^ (z >> 31)) % below;
}

/* ---- the rows of this story: made before the job, so that the naive computation reads the same
 * ------------------------------------------- */

enum hold { HOLD_NOTHING, HOLD_UNTIL_FIRED, HOLD_UNTIL_ADDED, HOLD_UNTIL_DONE };

static struct {
    struct tick rows[SPLITS_MAX][ROWS_MAX];
    int64_t n[SPLITS_MAX];
    enum hold hold[SPLITS_MAX];  /* what the split waits for ... */
    int64_t hold_at[SPLITS_MAX]; /* ... before it gives this row (or ends) */
    bool endless[SPLITS_MAX];    /* gives its last row again and again while it waits */
    int64_t n_splits;
    int64_t bound_ms, idle_ms;
    struct weir_window window;
} story;

static _Atomic int64_t n_fired, n_added, n_splits_done, n_timers_fired;

static void begin(uint64_t seed, int64_t n_splits)
{
    memset(&story, 0, sizeof story);
    story.n_splits = n_splits;
    story.window = (struct weir_window){.kind = WEIR_TUMBLING, .size_ms = 100};
    random_state = seed;
    atomic_store(&n_fired, 0);
    atomic_store(&n_added, 0);
    atomic_store(&n_splits_done, 0);
    atomic_store(&n_timers_fired, 0);
}

static void add(int64_t split, int64_t key, weir_time time)
{
    story.rows[split][story.n[split]++] = (struct tick){.key = key, .value = (int64_t)draw(1000), .time = time, .other = time};
}

/* `n` rows whose times rise by about `step_ms` with disorder up to the bound and gaps now and then. */
static void add_disorder(int64_t split, int64_t n, int64_t keys, int64_t step_ms)
{
    weir_time at = (weir_time)draw(500);
    for (int64_t i = 0; i < n; i++) {
        at += (int64_t)draw((uint64_t)step_ms * 2 + 1);
        if (draw(200) == 0) at += 700;
        add(split, (int64_t)draw((uint64_t)keys), at - (int64_t)draw((uint64_t)story.bound_ms + 1));
    }
}

struct reader {
    int64_t split, at;
};

static weir_err discover(const void *config, uint32_t parallelism, struct weir_splits *splits, struct weir_diag *diag)
{
    (void)parallelism, (void)diag;
    int64_t from = config ? *(const int64_t *)config : 0, to = config ? from + 1 : story.n_splits;
    for (int64_t s = from; s < to; s++) {
        weir_err err = weir_splits_add(splits, &s, sizeof s);
        if (err) return err;
    }
    return WEIR_OK;
}

static weir_err open_split(void *self, struct weir_ctx *ctx, struct weir_bytes split, struct weir_bytes position)
{
    (void)ctx, (void)position;
    memcpy(&((struct reader *)self)->split, split.data, sizeof(int64_t));
    return WEIR_OK;
}

static bool held(int64_t split)
{
    switch (story.hold[split]) {
    case HOLD_UNTIL_FIRED: return atomic_load(&n_fired) == 0;
    case HOLD_UNTIL_ADDED: return atomic_load(&n_added) == 0;
    case HOLD_UNTIL_DONE: return atomic_load(&n_splits_done) == 0;
    case HOLD_NOTHING: break;
    }
    return false;
}

static weir_err read_ticks(void *self, struct weir_ctx *ctx)
{
    struct reader *r = self;
    int64_t end = story.n[r->split];
    for (int n = 0; n < 300 && !weir_should_yield(ctx); n++) {
        if (story.hold[r->split] && r->at == story.hold_at[r->split] && held(r->split)) {
            if (!story.endless[r->split]) return WEIR_AGAIN;
            const struct tick *last = &story.rows[r->split][r->at - 1];
            return weir_emit(ctx->out, last, sizeof *last, WEIR_TIME_MIN);
        }
        if (r->at == end) {
            atomic_fetch_add(&n_splits_done, 1);
            return WEIR_DONE;
        }
        const struct tick *row = &story.rows[r->split][r->at++];
        weir_err err = weir_emit(ctx->out, row, sizeof *row, WEIR_TIME_MIN);
        if (err) return err;
    }
    return WEIR_OK;
}

#define TICKS(name_, flags_)                                                                                                    \
    {                                                                                                                           \
        .struct_size = sizeof(struct weir_source), .name = (name_), .self_size = sizeof(struct reader), .schema = &tick_schema, \
        .flags = (flags_), .discover = discover, .open = open_split, .read = read_ticks                                         \
    }
static const struct weir_source in_turns = TICKS("in-turns", 0), one_by_one = TICKS("one-by-one", WEIR_SOURCE_ONE_BY_ONE);

static struct weir_stream *assigned(struct weir_stream *s, const char *id, weir_timestamp_fn time)
{
    struct weir_watermarks w = {.max_out_of_orderness_ms = story.bound_ms, .idle_ms = story.idle_ms};
    return weir_assign_watermarks(s, id, time, &w);
}

/* ---- what the windows gave
 * ----------------------------------------------------------------------------------------------------------------- */

struct pane {
    int64_t key, n, sum;
    weir_time start, end;
};
WEIR_ROW(pane, WEIR_FIELD(pane, 1, I64, key), WEIR_FIELD(pane, 2, I64, n), WEIR_FIELD(pane, 3, I64, sum), WEIR_FIELD(pane, 4, TIME, start),
         WEIR_FIELD(pane, 5, TIME, end));

struct acc {
    int64_t n, sum;
};
static void acc_add(struct acc *a, const struct tick *row, weir_time time)
{
    (void)time;
    a->n++;
    a->sum += row->value;
    atomic_fetch_add_explicit(&n_added, 1, memory_order_relaxed);
}
static void acc_merge(struct acc *into, const struct acc *from)
{
    into->n += from->n;
    into->sum += from->sum;
}
static weir_err acc_emit(struct weir_ctx *ctx, const struct acc *a, const struct weir_key *key, weir_time start, weir_time end)
{
    struct pane row = {.n = a->n, .sum = a->sum, .start = start, .end = end};
    memcpy(&row.key, key->data, sizeof row.key);
    atomic_fetch_add(&n_fired, 1);
    return weir_emit(ctx->out, &row, sizeof row, end - 1);
}
WEIR_AGGREGATE(sums, tick, acc, pane, acc_add, acc_merge, acc_emit);

static struct pane got[RESULTS_MAX];
static _Atomic int64_t n_got, n_late_rows;

static inline weir_err keep_pane(struct weir_none *self, struct weir_ctx *ctx, const struct pane *row, const struct weir_record *rec)
{
    (void)self;
    if (rec->time_ms != row->end - 1) return weir_fail(ctx->diag, WEIR_E_USER, "a result of another time than its window's");
    int64_t at = atomic_fetch_add(&n_got, 1);
    if (at >= RESULTS_MAX) return weir_fail(ctx->diag, WEIR_E_USER, "more results than rows");
    got[at] = *row;
    return WEIR_OK;
}
WEIR_PROCESS(keep_pane, weir_none, pane, keep_pane);
static const struct weir_operator keep_op = {
    .struct_size = sizeof keep_op, .name = "keep", .in = &pane_schema, .flags = WEIR_OPERATOR_SINK, .process = keep_pane_process};

static inline weir_err count_late(struct weir_none *self, struct weir_ctx *ctx, const struct tick *row, const struct weir_record *rec)
{
    (void)self;
    if (rec->time_ms != row->time) return weir_fail(ctx->diag, WEIR_E_USER, "a late row has lost its time");
    atomic_fetch_add(&n_late_rows, 1);
    return WEIR_OK;
}
WEIR_PROCESS(count_late, weir_none, tick, count_late);
static const struct weir_operator late_op = {
    .struct_size = sizeof late_op, .name = "late", .in = &tick_schema, .flags = WEIR_OPERATOR_SINK, .process = count_late_process};

static void window_into_sink(struct weir_stream *s, const char *id)
{
    struct weir_stream *w = weir_window_aggregate(weir_key_by(s, &tick_key), id, &story.window, &sums);
    weir_apply(w, "keep", &keep_op, NULL, 0);
    weir_apply(weir_side_output(w, 0), "late", &late_op, NULL, 0);
}

/* ---- by hand
 * ------------------------------------------------------------------------------------------------------------------------------------ */

static int by_place(const void *a, const void *b)
{
    const struct pane *x = a, *y = b;
    if (x->key != y->key) return x->key < y->key ? -1 : 1;
    return x->start < y->start ? -1 : x->start > y->start;
}

static weir_time floor_to(weir_time t, int64_t size, int64_t offset)
{
    int64_t phase = (t - offset) % size;
    return t - (phase < 0 ? phase + size : phase);
}

/* Sorted single rows, then neighbours of one window merged. */
static int64_t naive(struct pane *out)
{
    int64_t n = 0, m = 0;
    const struct weir_window *w = &story.window;
    for (int64_t s = 0; s < story.n_splits; s++) {
        for (int64_t i = 0; i < story.n[s]; i++) {
            const struct tick *r = &story.rows[s][i];
            weir_time start = w->kind == WEIR_SESSION ? r->time : floor_to(r->time, w->size_ms, w->offset_ms);
            weir_time end = w->kind == WEIR_SESSION ? r->time + w->gap_ms + 1 : start + w->size_ms;
            out[n++] = (struct pane){.key = r->key, .n = 1, .sum = r->value, .start = start, .end = end};
        }
    }
    qsort(out, (size_t)n, sizeof *out, by_place);
    for (int64_t i = 0; i < n; i++) {
        struct pane *last = m > 0 ? &out[m - 1] : NULL;
        bool joins = last && last->key == out[i].key && (w->kind == WEIR_SESSION ? out[i].start < last->end : out[i].start == last->start);
        if (!joins) {
            out[m++] = out[i];
            continue;
        }
        last->n++;
        last->sum += out[i].sum;
        last->end = out[i].end;
    }
    return m;
}

static bool equals_naive(void)
{
    static struct pane due[SPLITS_MAX * ROWS_MAX];
    int64_t n_due = naive(due), n = atomic_load(&n_got);
    qsort(got, (size_t)n, sizeof *got, by_place);
    for (int64_t i = 0; i < n && i < n_due; i++) {
        if (memcmp(&got[i], &due[i], sizeof got[i]) == 0) continue;
        print_error("key %lld: window from %lld has %lld rows; by hand key %lld from %lld has %lld\n", (long long)got[i].key,
                    (long long)got[i].start, (long long)got[i].n, (long long)due[i].key, (long long)due[i].start, (long long)due[i].n);
        return false;
    }
    if (n != n_due) print_error("%lld results, by hand %lld\n", (long long)n, (long long)n_due);
    return n == n_due;
}

static void run(struct local_job *job, weir_job_fn build, uint32_t parallelism, const char *mode)
{
    char *argv[] = {(char *)(uintptr_t)mode};
    struct weir_diag diag = {0};
    atomic_store(&n_got, 0);
    atomic_store(&n_late_rows, 0);
    weir_err err = local_job_run(job, build, parallelism, 1, argv, &diag);
    if (err) print_error("parallelism %u, mode %s: %s: %s\n", parallelism, mode, job->failed_id ? job->failed_id : "", diag.text);
    assert_int_equal(err, WEIR_OK);
}

static uint64_t late_of_subtasks(const struct local_job *job)
{
    uint64_t n = 0;
    for (uint32_t i = 0; i < job->stats.stats.n_subtasks; i++) n += job->stats.stats.subtasks[i].late;
    return n;
}

/* ---- windows equal a computation by hand
 * ------------------------------------------------------------------------------------------------------ */

/* mode: '1' one by one, 't' in turns; 'c' the assigner chained to its source, 'r' behind a rebalance. */
static weir_err build_windows(struct weir_env *env, int argc, char **argv, struct weir_diag *diag)
{
    (void)argc, (void)diag;
    struct weir_stream *s = weir_from(env, "ticks", argv[0][0] == '1' ? &one_by_one : &in_turns, NULL, 0);
    if (argv[0][1] == 'r') s = weir_rebalance(s);
    window_into_sink(assigned(s, "assign", tick_time), "sum");
    return WEIR_OK;
}

static void windows_equal_a_computation_by_hand(void **state)
{
    (void)state;
    for (uint32_t p = 1; p <= 7; p++) {
        for (uint64_t kind = 0; kind < 2; kind++) {
            struct local_job job;
            begin(p * 2 + kind, 1 + (int64_t)(p * 3 % SPLITS_MAX));
            story.bound_ms = (int64_t)draw(300);
            if (kind)
                story.window = (struct weir_window){.kind = WEIR_SESSION, .gap_ms = 60};
            else
                story.window = (struct weir_window){.kind = WEIR_TUMBLING, .size_ms = 250, .offset_ms = (int64_t)draw(250)};
            for (int64_t s = 0; s < story.n_splits; s++) add_disorder(s, 2000 + (int64_t)draw(3000), 1 + (int64_t)draw(40), 3);
            run(&job, build_windows, p, p % 2 ? "tc" : "1c");
            assert_true(equals_naive());
            assert_int_equal(local_job_counter(&job, "sum", "late"), 0);
            local_job_close(&job);
        }
    }
}

/* Files of one subtask cover the same day: while one waits to be read, the watermark waits too. */
static void splits_read_one_by_one_lose_nothing(void **state)
{
    (void)state;
    for (uint32_t p = 1; p <= 3; p++) {
        struct local_job job;
        begin(50 + p, SPLITS_MAX);
        for (int64_t s = 0; s < SPLITS_MAX; s++) add_disorder(s, s == 2 ? 0 : 5000, 20, 2);
        run(&job, build_windows, p, "1c");
        assert_true(equals_naive());
        assert_int_equal(atomic_load(&n_late_rows), 0);
        local_job_close(&job);
    }
}

/* ---- late rows
 * ------------------------------------------------------------------------------------------------------------------------------------ */

/* Rows behind their windows go to the side output and are counted; none is lost, none is in both places. */
static void late_rows_leave_by_the_side_and_are_counted(void **state)
{
    (void)state;
    for (uint32_t p = 1; p <= 4; p++) {
        struct local_job job;
        int64_t rows = 0, in_panes = 0;
        begin(70 + p, 2);
        for (int64_t s = 0; s < 2; s++) {
            for (int64_t i = 0; i < 2000; i++) add(s, (int64_t)draw(10), i * 5);
            /* These wait until the first window has fired, and belong to it. */
            story.hold[s] = HOLD_UNTIL_FIRED;
            story.hold_at[s] = story.n[s];
            for (int64_t i = 0; i < 300; i++) add(s, (int64_t)draw(10), (int64_t)draw(100));
            rows += story.n[s];
        }
        run(&job, build_windows, p, "tc");
        qsort(got, (size_t)n_got, sizeof *got, by_place);
        for (int64_t i = 0; i < n_got; i++) {
            in_panes += got[i].n;
            if (i > 0) assert_true(by_place(&got[i - 1], &got[i]) != 0); /* a window fires once */
        }
        assert_int_equal(in_panes + n_late_rows, rows);
        assert_int_equal(local_job_counter(&job, "sum", "late"), n_late_rows);
        assert_int_equal(late_of_subtasks(&job), n_late_rows);
        assert_true(n_late_rows > 0);
        local_job_close(&job);
    }
}

/* ---- idle and finished inputs
 * ---------------------------------------------------------------------------------------------------------------------- */

/* Split 0 falls silent early and ends only when a window has fired: without idleness this job would never end. */
static void a_silent_split_does_not_hold_the_watermark(void **state)
{
    (void)state;
    const char *modes[] = {"tc", "tr"};
    for (uint32_t m = 0; m < 2; m++) {
        for (uint32_t p = 1; p <= 3; p++) {
            struct local_job job;
            begin(90 + p, 3);
            story.idle_ms = 20;
            add(0, 1, 10);
            for (int64_t s = 1; s < 3; s++)
                for (int64_t i = 0; i < 1000; i++) add(s, (int64_t)draw(10), i * 10);
            story.hold[0] = HOLD_UNTIL_FIRED;
            story.hold_at[0] = 1;
            run(&job, build_windows, p, modes[m]);
            assert_true(n_got > 0);
            local_job_close(&job);
        }
    }
}

/* All splits fall silent together: time stands, and goes on when one speaks again. */
static void all_silent_then_one_speaks_again(void **state)
{
    (void)state;
    struct local_job job;
    begin(95, 2);
    story.idle_ms = 5;
    for (int64_t s = 0; s < 2; s++) {
        for (int64_t i = 0; i < 100; i++) add(s, 1, i * 10);
        story.hold[s] = HOLD_UNTIL_FIRED;
        story.hold_at[s] = 100;
        for (int64_t i = 100; i < 200; i++) add(s, 1, i * 10);
    }
    run(&job, build_windows, 2, "tc");
    assert_true(equals_naive());
    local_job_close(&job);
}

static weir_err build_two_sources(struct weir_env *env, int argc, char **argv, struct weir_diag *diag)
{
    (void)argc, (void)argv, (void)diag;
    static const int64_t first = 0, second = 1;
    struct weir_stream *a = assigned(weir_from(env, "short", &in_turns, &first, sizeof first), "assign-short", tick_time);
    struct weir_stream *b = assigned(weir_from(env, "long", &in_turns, &second, sizeof second), "assign-long", tick_time);
    struct weir_stream *both[] = {a, b};
    window_into_sink(weir_union(both, 2), "sum");
    return WEIR_OK;
}

/* One of two sources ends at once, one subtask has no split at all: the other goes on telling time, and its end closes every window. */
static void finished_inputs_do_not_hold_the_watermark(void **state)
{
    (void)state;
    for (uint32_t p = 1; p <= 3; p++) {
        struct local_job job;
        begin(100 + p, 2);
        add(0, 3, 5);
        for (int64_t i = 0; i < 3000; i++) add(1, (int64_t)draw(10), i);
        story.hold[1] = HOLD_UNTIL_FIRED; /* ends only after a window has fired */
        story.hold_at[1] = story.n[1];
        run(&job, build_two_sources, p, "");
        assert_true(equals_naive());
        assert_int_equal(n_late_rows, 0);
        local_job_close(&job);
    }
}

/* A source that is slow to give its first row is not silent: its wait counts from the first time it was asked. */
static void a_late_beginner_is_not_idle(void **state)
{
    (void)state;
    if (local_job_state.segment) skip(); /* rebalance deals out frames: only rows that share one make a subtask hear of one source alone */
    struct local_job job;
    begin(110, 2);
    story.idle_ms = 3600 * 1000;
    for (int64_t i = 0; i < 100; i++) add(0, 1, 100000 + i);
    for (int64_t i = 0; i < 100; i++) add(1, 2, i);
    story.hold[1] = HOLD_UNTIL_ADDED; /* first row only when the other's have arrived */
    story.hold[0] = HOLD_UNTIL_DONE;  /* which tells time until then */
    story.hold_at[0] = 100;
    run(&job, build_windows, 2, "tr");
    assert_true(equals_naive());
    assert_int_equal(n_late_rows, 0);
    local_job_close(&job);
}

/* Burns time for each batch, as an operator that is slower than its source does. */
static weir_err burn_process(void *self, struct weir_ctx *ctx, uint32_t input, struct weir_batch *batch)
{
    (void)self, (void)input;
    const struct tick *first = weir_record_row(weir_batch_record(batch, 0));
    int64_t until = clock_mono_ms() + (first->key == 1 ? 4 : 0);
    while (clock_mono_ms() < until) continue;
    return weir_forward(ctx, 0, batch);
}
static const struct weir_operator burn_op = {.struct_size = sizeof burn_op, .name = "burn", .in = &tick_schema, .process = burn_process};

static weir_err build_slow(struct weir_env *env, int argc, char **argv, struct weir_diag *diag)
{
    (void)argc, (void)argv, (void)diag;
    struct weir_stream *s = weir_from(env, "ticks", &in_turns, NULL, 0);
    window_into_sink(weir_apply(assigned(s, "assign", tick_time), "burn", &burn_op, NULL, 0), "sum");
    return WEIR_OK;
}

/* Time in which a split is not asked, since its rows are being worked on, is not silence. */
static void a_split_with_slow_work_is_not_idle(void **state)
{
    (void)state;
    if (local_job_state.segment) skip(); /* the work is slow by the batch */
    struct local_job job;
    begin(120, 2);
    story.idle_ms = 1;
    for (int64_t i = 0; i < 12000; i++) add(0, 1, i);
    add(1, 2, 1000000); /* the other split says one time over and over, and so is never silent */
    add(1, 2, 1000000);
    story.hold[1] = HOLD_UNTIL_DONE;
    story.hold_at[1] = 1;
    story.endless[1] = true;
    run(&job, build_slow, 2, "");
    assert_int_equal(n_late_rows, 0);
    local_job_close(&job);
}

/* ---- two views of one source's time
 * ------------------------------------------------------------------------------------------------------------ */

static inline weir_err drop_pane(struct weir_none *self, struct weir_ctx *ctx, const struct pane *row, const struct weir_record *rec)
{
    (void)self, (void)ctx, (void)row, (void)rec;
    return WEIR_OK;
}
WEIR_PROCESS(drop_pane, weir_none, pane, drop_pane);
static const struct weir_operator drop_op = {
    .struct_size = sizeof drop_op, .name = "drop", .in = &pane_schema, .flags = WEIR_OPERATOR_SINK, .process = drop_pane_process};

static weir_err build_two_times(struct weir_env *env, int argc, char **argv, struct weir_diag *diag)
{
    (void)argc, (void)diag;
    struct weir_stream *s = weir_from(env, "ticks", &in_turns, NULL, 0);
    struct weir_stream *a = assigned(s, "assign-a", argv[0][0] == 'a' ? tick_time : tick_other);
    struct weir_stream *b = assigned(s, "assign-b", argv[0][0] == 'a' ? tick_other : tick_time);
    window_into_sink(argv[0][0] == 'a' ? a : b, "sum");
    struct weir_stream *w = weir_window_aggregate(weir_key_by(argv[0][0] == 'a' ? b : a, &tick_key), "other-sum", &story.window, &sums);
    weir_apply(w, "other-keep", &drop_op, NULL, 0);
    return WEIR_OK;
}

/* Two assigners behind one source take different columns for the time: neither moves the other's watermark. */
static void two_assigners_of_one_source_do_not_meet(void **state)
{
    (void)state;
    const char *modes[] = {"a", "b"};
    for (uint32_t m = 0; m < 2; m++) {
        struct local_job job;
        begin(130 + m, 3);
        for (int64_t s = 0; s < 3; s++) add_disorder(s, 5000, 10, 3);
        for (int64_t s = 0; s < 3; s++)
            for (int64_t i = 0; i < story.n[s]; i++) story.rows[s][i].other += 1000000;
        run(&job, build_two_times, 2, modes[m]);
        assert_true(equals_naive());
        assert_int_equal(local_job_counter(&job, "sum", "late") + local_job_counter(&job, "other-sum", "late"), 0);
        local_job_close(&job);
    }
}

/* ---- timers
 * ---------------------------------------------------------------------------------------------------------------------------------------
 */

/* Per key: how many rows, how many timers; a timer per row, one set by a timer, one taken back. */
struct timed {
    struct weir_state *state;
    weir_time last_fired;
};
struct per_key {
    int64_t rows, fired, again;
};

static weir_err timed_open(void *self, struct weir_ctx *ctx)
{
    struct timed *t = self;
    t->last_fired = WEIR_TIME_MIN;
    struct weir_state_desc desc = {.struct_size = sizeof desc, .name = "per-key", .value_size = sizeof(struct per_key)};
    return weir_value_open(ctx, &desc, &t->state);
}

static inline weir_err timed_row(struct timed *t, struct weir_ctx *ctx, const struct tick *row, const struct weir_record *rec)
{
    struct per_key *k = weir_value(ctx, t->state);
    if (!k) return WEIR_E_NOMEM;
    k->rows++;
    uint64_t tag = (uint64_t)row->value;
    weir_err err = weir_timer_set(ctx, WEIR_EVENT_TIME, rec->time_ms + row->value % 50, tag);
    if (!err) err = weir_timer_set(ctx, WEIR_EVENT_TIME, rec->time_ms + row->value % 50, tag); /* twice is once */
    if (!err) err = weir_timer_set(ctx, WEIR_EVENT_TIME, rec->time_ms + 7, 1u << 30);
    if (!err) weir_timer_delete(ctx, WEIR_EVENT_TIME, rec->time_ms + 7, 1u << 30);
    return err;
}
WEIR_PROCESS(timed, timed, tick, timed_row);

static weir_err timed_timer(void *self, struct weir_ctx *ctx, const struct weir_timer *timer)
{
    struct timed *t = self;
    struct per_key *k = weir_value_find(ctx, t->state);
    if (!k) return weir_fail(ctx->diag, WEIR_E_USER, "a timer of a key without state");
    if (timer->tag == 1u << 30) return weir_fail(ctx->diag, WEIR_E_USER, "a timer fired that was taken back");
    if (timer->time_ms > ctx->watermark_ms) return weir_fail(ctx->diag, WEIR_E_USER, "a timer fired before its time");
    if (timer->time_ms < t->last_fired) return weir_fail(ctx->diag, WEIR_E_USER, "timers fired out of order");
    if (ctx->keys[ctx->key_index].data != timer->key->data)
        return weir_fail(ctx->diag, WEIR_E_USER, "the timer's key is not the current one");
    t->last_fired = timer->time_ms;
    if (timer->tag & 1u << 29) {
        k->again++;
        weir_count(ctx, "again", 1);
        return WEIR_OK;
    }
    k->fired++;
    weir_count(ctx, "fired", 1);
    struct tick out = {.key = *(const int64_t *)timer->key->data, .value = (int64_t)timer->tag, .time = timer->time_ms};
    weir_err err = weir_timer_set(ctx, WEIR_EVENT_TIME, timer->time_ms + 1000, timer->tag | 1u << 29);
    return err ? err : weir_emit(ctx->out, &out, sizeof out, timer->time_ms);
}

static const struct weir_operator timed_op = {.struct_size = sizeof timed_op,
                                              .name = "timed",
                                              .self_size = sizeof(struct timed),
                                              .in = &tick_schema,
                                              .out = &tick_schema,
                                              .flags = WEIR_OPERATOR_KEYED,
                                              .open = timed_open,
                                              .process = timed_process,
                                              .on_timer = timed_timer};

static weir_err build_timers(struct weir_env *env, int argc, char **argv, struct weir_diag *diag)
{
    (void)argc, (void)argv, (void)diag;
    struct weir_stream *s = assigned(weir_from(env, "ticks", &in_turns, NULL, 0), "assign", tick_time);
    s = weir_apply(weir_key_by(s, &tick_key), "timed", &timed_op, NULL, 0);
    weir_apply(weir_key_by(s, &tick_key), "end", &late_op, NULL, 0);
    return WEIR_OK;
}

static int by_timer(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct tick));
}

/* Distinct (key, time, tag): what must fire. */
static int64_t distinct_timers(void)
{
    static struct tick all[SPLITS_MAX * ROWS_MAX];
    int64_t n = 0, m = 0;
    for (int64_t s = 0; s < story.n_splits; s++)
        for (int64_t i = 0; i < story.n[s]; i++) {
            const struct tick *r = &story.rows[s][i];
            all[n++] = (struct tick){.key = r->key, .value = r->value, .time = r->time + r->value % 50};
        }
    qsort(all, (size_t)n, sizeof *all, by_timer);
    for (int64_t i = 0; i < n; i++) m += i == 0 || by_timer(&all[i - 1], &all[i]) != 0;
    return m;
}

/* The bound is above the disorder, so no timer is set behind the watermark, and all fire in order, once; a timer may set the next. */
static void event_timers_fire_in_order_and_once(void **state)
{
    (void)state;
    for (uint32_t p = 1; p <= 5; p += 2) {
        struct local_job job;
        begin(140 + p, 3);
        story.bound_ms = 40;
        for (int64_t s = 0; s < 3; s++) add_disorder(s, 8000, 25, 2);
        run(&job, build_timers, p, "");
        int64_t due = distinct_timers();
        assert_int_equal(local_job_counter(&job, "timed", "fired"), due);
        assert_int_equal(local_job_counter(&job, "timed", "again"), due);
        assert_int_equal(n_late_rows, due); /* one row each */
        local_job_close(&job);
    }
}

/* Each slot tells once what its state holds. */
static void slots_tell_what_their_state_holds(void **state)
{
    (void)state;
    struct local_job job;
    uint32_t told = 0;
    begin(150, 1);
    add_disorder(0, 500, 25, 2);
    run(&job, build_timers, 2, "");
    assert_int_equal(job.stats.stats.n_slots, 2);
    for (uint32_t i = 0; i < 2; i++) {
        const struct wire_slot_stats *s = &job.stats.stats.slots[i];
        told |= 1u << s->slot;
        assert_true(s->entries > 0 && s->memory_bytes > 0);
        assert_int_equal(s->sst_files, 0); /* all in memory */
    }
    assert_int_equal(told, 3);
    local_job_close(&job);
}

/* Sets processing-time timers a few milliseconds ahead; each emits many rows, more than its consumer has credit for. */
static inline weir_err alarm_row(struct weir_none *self, struct weir_ctx *ctx, const struct tick *row, const struct weir_record *rec)
{
    (void)self, (void)rec;
    return weir_timer_set(ctx, WEIR_PROCESSING_TIME, weir_now_ms(ctx) + row->value % 9, (uint64_t)row->value);
}
WEIR_PROCESS(alarm, weir_none, tick, alarm_row);

static weir_err alarm_timer(void *self, struct weir_ctx *ctx, const struct weir_timer *timer)
{
    (void)self;
    if (timer->time_ms > weir_now_ms(ctx)) return weir_fail(ctx->diag, WEIR_E_USER, "a timer fired before its time");
    for (int64_t i = 0; i < 500; i++) {
        struct tick out = {.value = i};
        weir_err err = weir_emit(ctx->out, &out, sizeof out, 0);
        if (err) return err;
    }
    weir_count(ctx, "fired", 1);
    if (atomic_fetch_add(&n_timers_fired, 1) + 1 == story.n[0]) atomic_fetch_add(&n_fired, 1);
    return WEIR_OK;
}
static const struct weir_operator alarm_op = {.struct_size = sizeof alarm_op,
                                              .name = "alarm",
                                              .in = &tick_schema,
                                              .out = &tick_schema,
                                              .flags = WEIR_OPERATOR_KEYED,
                                              .process = alarm_process,
                                              .on_timer = alarm_timer};

static weir_err build_alarms(struct weir_env *env, int argc, char **argv, struct weir_diag *diag)
{
    (void)argc, (void)diag;
    struct weir_stream *s = weir_apply(weir_key_by(weir_from(env, "ticks", &in_turns, NULL, 0), &tick_key), "alarm", &alarm_op, NULL, 0);
    s = argv[0][0] == 'g' ? weir_global(s) : weir_rebalance(s);
    weir_apply(s, "end", &late_op, NULL, 0);
    return WEIR_OK;
}

/* The source ends only when all timers have fired, so every one must, also those that come due while the output is full. */
static void processing_timers_fire_also_behind_a_full_output(void **state)
{
    (void)state;
    const char *modes[] = {"g", "r"};
    for (uint32_t m = 0; m < 2; m++) {
        struct local_job job;
        begin(160 + m, 1);
        for (int64_t i = 0; i < 2000; i++) {
            add(0, (int64_t)draw(20), i);
            story.rows[0][i].value = i; /* the tag: each timer its own */
        }
        story.hold[0] = HOLD_UNTIL_FIRED;
        story.hold_at[0] = story.n[0];
        run(&job, build_alarms, 1 + m, modes[m]);
        assert_int_equal(local_job_counter(&job, "alarm", "fired"), story.n[0]);
        assert_int_equal(n_late_rows, story.n[0] * 500);
        local_job_close(&job);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(windows_equal_a_computation_by_hand),
        cmocka_unit_test(splits_read_one_by_one_lose_nothing),
        cmocka_unit_test(late_rows_leave_by_the_side_and_are_counted),
        cmocka_unit_test(a_silent_split_does_not_hold_the_watermark),
        cmocka_unit_test(all_silent_then_one_speaks_again),
        cmocka_unit_test(finished_inputs_do_not_hold_the_watermark),
        cmocka_unit_test(a_late_beginner_is_not_idle),
        cmocka_unit_test(a_split_with_slow_work_is_not_idle),
        cmocka_unit_test(two_assigners_of_one_source_do_not_meet),
        cmocka_unit_test(event_timers_fire_in_order_and_once),
        cmocka_unit_test(slots_tell_what_their_state_holds),
        cmocka_unit_test(processing_timers_fire_also_behind_a_full_output),
    };
    return LOCAL_JOB_RUN_TESTS(tests);
}
