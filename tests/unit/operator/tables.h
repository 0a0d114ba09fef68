/* SPDX-License-Identifier: Apache-2.0 */
/* A world with one operator of tables or joins, with its state in memory or with next to none of it there, fed with facts (tallies.h). */
#ifndef WEIR_TESTS_UNIT_OPERATOR_TABLES_H
#define WEIR_TESTS_UNIT_OPERATOR_TABLES_H

#include <sys/stat.h>

#include "runtime/state/rocks.h"
#include "tests/support/fake_state.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/operator/tallies.h"

/* ---- the world of one operator
 * ----------------------------------------------------------------------------------------------------------- */

struct world {
    struct fake *f;
    const struct weir_operator *op;
    const void *config;
    struct temp_dir dir;
    bool on_disk;
    uint64_t epoch;
    struct keyed_files files; /* of the last snapshot */
    struct tallies got;
    void (*render)(const void *row, char *line);
    uint32_t side_rows[1 + WEIR_SIDES_MAX]; /* of instances before this one */
    uint64_t late;
};

static struct rocks_shared *rocks_of_all;

#define TINY_BUDGET (96u << 10)

static inline void world_make_state(struct world *w)
{
    struct weir_diag diag;
    if (!w->on_disk) {
        fake_state_open(w->f);
        return;
    }
    if (!rocks_of_all) assert_int_equal(rocks_shared_new(&rocks_of_all, 1u << 20, 1, &diag), WEIR_OK);
    const struct state_slot_config slot = {
        .dir = temp_path(&w->dir, "slot"), .budget = TINY_BUDGET, .shared = rocks_of_all, .snapshots = true};
    fake_state_open_with(w->f, &slot);
}

/* config: of the table. on_disk: with so little memory that most state leaves it. */
static inline void world_open(struct world *w, const struct weir_operator *op, const void *config, bool on_disk,
                              void (*render)(const void *, char *))
{
    *w = (struct world){.op = op, .config = config, .on_disk = on_disk, .render = render};
    w->f = fake_new(&(struct fake_options){.config = config, .n_outs = 1 + op->n_sides, .frame_bytes = 512 + below(4000)});
    if (on_disk) {
        temp_dir_make(&w->dir);
        assert_int_equal(mkdir(temp_path(&w->dir, "snapshots"), 0700), 0);
    }
    world_make_state(w);
    tallies_init(&w->got);
    assert_ok(w->f, fake_op_open(w->f, op));
}

static inline void world_close(struct world *w)
{
    fake_close(w->f);
    keyed_files_close(&w->files);
    if (w->on_disk) temp_dir_remove(&w->dir);
    tallies_close(&w->got);
}

static inline void world_freeze(struct world *w)
{
    struct keyed_snapshot *snapshot;
    struct weir_diag diag;
    keyed_files_close(&w->files);
    assert_ok(w->f, keyed_freeze(w->f->keyed, ++w->epoch, &snapshot, &w->f->diag));
    (void)slot_copy(w->f->slot, UINT64_MAX);
    weir_err err = keyed_persist(snapshot, temp_path(&w->dir, "snapshots"), &w->files, &diag);
    if (err) print_error("%s\n", diag.text);
    assert_int_equal(err, WEIR_OK);
    keyed_snapshot_destroy(&snapshot);
}

/* The operator goes, with all it has in memory; another instance goes on from its snapshot. For worlds on disk, between batches. */
static inline void world_restart(struct world *w)
{
    world_freeze(w);
    weir_time watermark = w->f->ctx.watermark_ms;
    for (uint32_t i = 0; i <= w->op->n_sides; i++) w->side_rows[i] += fake_count(w->f, i);
    w->late += fake_counter(w->f, "late");
    fake_close(w->f);
    w->f = fake_new(&(struct fake_options){.config = w->config, .n_outs = 1 + w->op->n_sides});
    world_make_state(w);
    const struct keyed_restore_from from = {.dir = temp_path(&w->dir, "snapshots"), .files = &w->files};
    assert_ok(w->f, keyed_restore(w->f->keyed, &from, 1, 0, 1, &w->f->diag));
    w->f->ctx.watermark_ms = watermark;
    assert_ok(w->f, fake_op_open(w->f, w->op));
}

/* Now and then. */
static inline void world_maybe_restart(struct world *w)
{
    if (w->on_disk && below(40) == 0) world_restart(w);
}

static inline int world_end(void **state)
{
    (void)state;
    rocks_shared_destroy(&rocks_of_all);
    return 0;
}

static inline bool is_minus(uint8_t kind)
{
    return kind == WEIR_UPDATE_BEFORE || kind == WEIR_DELETE;
}

/* Adds what came out to the tally. A row is never taken back that does not stand. */
static inline void absorb(struct world *w)
{
    char line[3 * FACT_LINE_MAX];
    for (uint32_t i = 0; i < fake_count(w->f, 0); i++) {
        w->render(fake_row(w->f, 0, i), line);
        tally_add(&w->got, line, is_minus(fake_record(w->f, 0, i)->kind) ? -1 : 1);
        if (tally_of(&w->got, line)->count < 0) print_error("taken back: %s\n", line);
        CHECK(tally_of(&w->got, line)->count >= 0);
    }
    fake_clear(w->f, 0);
}

/* The batch of some events, in memory of its own size. */
static inline unsigned char *make_batch(const struct event *events, uint32_t n, struct weir_batch *batch, uint32_t *offsets)
{
    char text[FACT_TEXT_MAX];
    uint32_t at = 0;
    for (uint32_t i = 0; i < n; i++) at += weir_record_span((uint32_t)sizeof(struct fact) + text_of(events[i].id, text));
    unsigned char *data = malloc(at);
    assert_non_null(data);
    memset(data, (int)below(256), at); /* padding holds anything */
    at = 0;
    for (uint32_t i = 0; i < n; i++) {
        const struct event *e = &events[i];
        uint32_t length = text_of(e->id, text);
        struct weir_record *rec = (struct weir_record *)(void *)(data + at);
        struct fact *row = weir_record_row(rec);
        offsets[i] = at;
        *rec = (struct weir_record){.size = (uint32_t)sizeof *row + length, .kind = e->kind, .time_ms = e->time_ms};
        row->flag = e->id & 1;
        row->key = e->key;
        row->value = e->value;
        row->id = e->id;
        row->time = e->time_ms;
        row->text = (struct weir_str){sizeof *row, length};
        memcpy(row + 1, text, length);
        at += weir_record_span(rec->size);
    }
    *batch = (struct weir_batch){.data = data, .sel = offsets, .count = n};
    return data;
}

static inline weir_err feed_by(struct world *w, uint32_t input, const struct weir_keyer *keyer, const struct event *events, uint32_t n)
{
    static uint32_t offsets[WEIR_BATCH_MAX];
    static struct weir_key keys[WEIR_BATCH_MAX];
    struct weir_batch batch;
    unsigned char *data = make_batch(events, n, &batch, offsets);
    unsigned char *scratch = malloc((size_t)n * (keyer->key_size ? keyer->key_size : 1));
    assert_non_null(scratch);
    keyer->extract(&batch, keys, scratch);
    weir_err err = fake_op_process_keyed_input(w->f, input, &batch, keys);
    free(scratch);
    free(data);
    return err;
}

static inline void feed(struct world *w, uint32_t input, const struct event *events, uint32_t n)
{
    assert_ok(w->f, feed_by(w, input, &fact_key, events, n));
    absorb(w);
    world_maybe_restart(w);
}

/* Sizes of batches: often one record, at times many. */
static inline uint32_t draw_batch(uint32_t left)
{
    uint32_t n = 1 + below(below(3) ? 8 : 300);
    return n < left ? n : left;
}

/* A row that follows from its id: it may stand twice. */
static inline struct event fact_again(uint32_t id, uint32_t n_keys)
{
    return (struct event){.key = id * 31 % n_keys,
                          .value = id % 50,
                          .id = id,
                          .time_ms = 1000 + id,
                          .kind = (uint8_t)(below(2) ? WEIR_UPDATE_AFTER : WEIR_INSERT)};
}

/* A history in which rows are given and some of them taken back later. Returns how many events there are. */
static inline uint32_t draw_changes(struct event *events, uint32_t n, uint32_t n_keys, bool take_back)
{
    uint32_t standing[4096], n_standing = 0;
    assert_in_range(n, 1, 4096);
    for (uint32_t i = 0; i < n; i++) {
        if (take_back && n_standing && below(3) == 0) {
            uint32_t at = below(n_standing);
            events[i] = events[standing[at]];
            events[i].kind = below(2) ? WEIR_DELETE : WEIR_UPDATE_BEFORE;
            standing[at] = standing[--n_standing];
            continue;
        }
        events[i] = (struct event){.key = below(n_keys), .value = below(50), .id = i, .time_ms = 1000 + i / 4 + below(20)};
        if (take_back) events[i] = fact_again(below(n / 2 + 1), n_keys);
        standing[n_standing++] = i;
    }
    return n;
}

#endif
