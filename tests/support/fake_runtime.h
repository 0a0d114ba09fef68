/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A runtime for one source or operator alone, in a test: it gives a context, keeps what is emitted, and calls the table's functions.
 *
 *     struct fake *f = fake_new(&(struct fake_options){.config = &config, .n_outs = 1});
 *     assert_ok(f, fake_source_open(f, source, split, (struct weir_bytes){0}));
 *     while ((err = fake_source_read(f)) != WEIR_DONE) ...
 *     for (uint32_t i = 0; i < fake_count(f, 0); i++) use(fake_row(f, 0, i));
 *     fake_close(f);
 *
 * It defines the functions that the real runtime offers to plugins (weir_out_make_room, weir_forward, weir_count ...). The linker takes
 * them instead of those of runtime/task as long as nothing else of that object is used. Keyed state and timers are in fake_state.h. A test
 * fails at once (cmocka) when the table breaks its contract: wrong memory, an emission after DONE, a late row behind a watermark.
 */
#ifndef WEIR_TESTS_SUPPORT_FAKE_RUNTIME_H
#define WEIR_TESTS_SUPPORT_FAKE_RUNTIME_H

#include "weir/weir.h"

#define FAKE_OUTS_MAX (1 + WEIR_SIDES_MAX)
#define FAKE_COUNTERS_MAX 8

struct fake_counter {
    const char *name;
    uint64_t value;
};

/* Records as they left an output: a copy. */
struct fake_batch {
    unsigned char *data;
    uint32_t *offsets;
    uint32_t count;
};

struct fake_output {
    struct fake_batch *batches;
    uint32_t n_batches;
    uint32_t n_rows;           /* of all of them */
    struct weir_record **rows; /* the same records, one after the other */
    uint32_t rows_cap;
};

struct keyed;

/* What a sink prepared, all of it. */
struct weir_committables {
    struct weir_bytes *items;
    uint32_t n;
    uint64_t records; /* of the last prepare */
};

struct fake {
    struct weir_ctx ctx; /* what the table sees; tests may set watermark_ms, keys, key_index */
    struct weir_diag diag;
    struct weir_out outs[FAKE_OUTS_MAX];
    struct fake_output outputs[FAKE_OUTS_MAX];
    struct fake_counter counters[FAKE_COUNTERS_MAX];
    uint32_t n_counters;
    weir_time now_ms;              /* wall clock; the test moves it */
    weir_time source_watermark_ms; /* last one; WEIR_TIME_MIN: none yet */
    uint32_t yield_at_rows;        /* weir_should_yield is true once output 0 holds so many rows; 0 = never */
    uint32_t frame_bytes;          /* of an output frame */
    void *frames[FAKE_OUTS_MAX];   /* what outs[] write into */
    uint32_t sel[WEIR_BATCH_MAX];
    void *self;
    const struct weir_source *source;
    const struct weir_operator *op;
    struct weir_committables committables;
    void *owned;             /* batches made mutable during the present call */
    struct state_slot *slot; /* fake_state.h */
    struct keyed *keyed;
    void (*keyed_close)(struct fake *f);
};

struct fake_options {
    const void *config;
    uint32_t n_outs; /* outputs the context offers */
    uint32_t subtask;
    uint32_t parallelism;    /* 0 = 1 */
    uint32_t frame_bytes;    /* 0 = 32 KiB */
    const char *operator_id; /* NULL = "test" */
    const char *job_id;      /* NULL = 32 zeros */
    uint32_t attempt;        /* 0 = 1 */
    uint64_t restored;
};

struct fake *fake_new(const struct fake_options *options);

/* Calls the table's close when it was opened, frees everything. */
void fake_close(struct fake *f);

/* ---- a source -------------------------------------------------------------------------------------------------------------------- */

weir_err fake_source_open(struct fake *f, const struct weir_source *source, struct weir_bytes split, struct weir_bytes position);
weir_err fake_source_read(struct fake *f); /* flushes the outputs afterwards */

/* Reads until WEIR_DONE (returned as WEIR_OK), an error, WEIR_AGAIN, or `rows` rows on output 0 (WEIR_OK; may be a few more, by batches).
 */
weir_err fake_source_run(struct fake *f, uint32_t rows);

/* The reader's position; its bytes go to `data` (WEIR_POSITION_BYTES_MAX). */
struct weir_bytes fake_source_position(struct fake *f, unsigned char *data);

/* ---- an operator or sink ----------------------------------------------------------------------------------------------------------- */

weir_err fake_op_open(struct fake *f, const struct weir_operator *op);
weir_err fake_op_process(struct fake *f, struct weir_batch *batch); /* input 0 */
weir_err fake_op_process_input(struct fake *f, uint32_t input, struct weir_batch *batch);

/* Hands every batch that another fake's output holds to the operator's input. */
weir_err fake_op_feed(struct fake *f, const struct fake *from, uint32_t output);
weir_err fake_op_finish(struct fake *f); /* calls again while it says WEIR_AGAIN; a sink is then prepared, as without checkpoints */
weir_err fake_op_prepare(struct fake *f, uint64_t checkpoint_id); /* adds to f->committables */
weir_err fake_op_commit(struct fake *f);                          /* all of f->committables, which stay */
weir_err fake_op_commit_one(struct fake *f, struct weir_bytes committable);
weir_err fake_op_recover(struct fake *f, const struct weir_bytes *kept, uint32_t n_kept);

/* ---- what came out ----------------------------------------------------------------------------------------------------------------- */

/* Moves rows that an operator has left in its output's frame to where fake_row finds them. The functions above do it at their end. */
void fake_flush(struct fake *f);
uint32_t fake_count(const struct fake *f, uint32_t output);
struct weir_record *fake_record(const struct fake *f, uint32_t output, uint32_t index);
void *fake_row(const struct fake *f, uint32_t output, uint32_t index);
void fake_clear(struct fake *f, uint32_t output);
uint64_t fake_counter(const struct fake *f, const char *name); /* 0 when never counted */

/* Fails the test, with the sentence in f->diag, unless `err` is WEIR_OK. */
void fake_assert_ok(const struct fake *f, weir_err err, const char *file, int line);
#define assert_ok(f, err) fake_assert_ok(f, err, __FILE__, __LINE__)

#endif
