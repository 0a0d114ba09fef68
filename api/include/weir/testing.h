/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A harness for tests of user functions: one operator, or a chain of steps, inside the test's own process, without a cluster.
 *
 *     struct weir_harness *h = NULL;
 *     const struct weir_harness_operator step = {.op = &rank, .in = {{.keyer = &by_hour}}};
 *     if (weir_harness_new_operator(&h, &step, NULL, &diag)) ...
 *     WEIR_MUST(h, weir_harness_line(h, 0, "+I 3600000,/index.html,7", 7199999));
 *     WEIR_MUST(h, weir_harness_watermark(h, 0, 7199999));
 *     WEIR_MUST(h, weir_harness_expect(h, 0, "+I 3600000,1,/index.html,7\n"));
 *     WEIR_MUST(h, weir_harness_finish(h));
 *     weir_harness_destroy(&h);
 *
 * What is tested is what runs: the harness plans the graph and makes its subtasks as a worker does, and steps the worker's own code; only
 * the ends are its own, a source for each input and a sink for each output. With a parallelism above 1 all subtasks of every step are
 * there, and records reach them as in a job: by key, by broadcast, in turns.
 *
 *     inputs ──push, watermark, idle, end──▶ [ subtasks of the graph ] ──▶ outputs ──next, text, expect──▶ the test
 *                                                 ▲ clock: set_time
 *
 * Rules. User code runs inside the calls below, in the thread that makes them, and nowhere else. Nothing sleeps, no socket is opened, the
 * wall clock of the operators (weir_now_ms, timers in processing time, times to live) stands still until weir_harness_set_time. Files
 * (state beyond its budget, snapshots) lie in a folder below $TMPDIR or /tmp, made by the harness and removed with it and its snapshots.
 *
 * Order. What is pushed, over all inputs, arrives in the order of the calls. Each call that drives (push, line, watermark, idle, end,
 * set_time, finish) first delivers what came before it and returns when the graph has nothing left to do; with WEIR_HARNESS_FULL and _DRAWN
 * rows gather into batches first, and are delivered by the next call that is no push or that reads (next, count, text, expect, counter).
 *
 * Errors. Every call that can fail returns a weir_err and leaves a sentence in weir_harness_diag. A failure of user code is final: the
 * calls that drive return it again; what came out before it can be read. An error of the test (WEIR_E_ARGUMENT, WEIR_E_STATE,
 * WEIR_E_LIMIT of a call) changes nothing, but for an output that grows beyond rows_max unread: that is final, too.
 *
 * Thread: a harness, its snapshots, and the harnesses restored from them belong to one thread.
 */
#ifndef WEIR_TESTING_H
#define WEIR_TESTING_H

#include "weir/weir.h"

#ifdef __cplusplus
extern "C" {
#endif

struct weir_harness;
struct weir_harness_snapshot;

#define WEIR_HARNESS_INPUTS_MAX 16
#define WEIR_HARNESS_OUTPUTS_MAX 32
#define WEIR_HARNESS_ROWS_MAX ((uint64_t)1 << 20) /* rows an output holds unread, and that wait undelivered; one more fails */
#define WEIR_HARNESS_ROUNDS_MAX (1u << 18)        /* steps of each subtask after an event; one more fails: they would never end */
#define WEIR_HARNESS_NOW_MS 1577836800000         /* where the clock begins: 2020-01-01T00:00:00Z */

/* ---- options --------------------------------------------------------------------------------------------------------------------- */

enum weir_harness_batch {
    /* Every batch has one record, an output buffer is full after one or two small rows, and long emitters are asked to pause after every
       batch they hand on. Each push has run when it returns. */
    WEIR_HARNESS_ONE = 0,
    /* Batches as under load: rows pushed one after the other to one input gather, up to WEIR_BATCH_MAX. */
    WEIR_HARNESS_FULL = 1,
    /* Batches of random length, and subtasks that now and then lag behind the others, all drawn from `seed`: another seed is another cut of
       the same input, to which the output must be the same. */
    WEIR_HARNESS_DRAWN = 2,
};

enum weir_harness_show {                              /* what outputs hold, and their lines say, beside rows */
                         WEIR_HARNESS_TIMES = 1,      /* " @59999" behind each row: its event time; nothing where it has none */
                         WEIR_HARNESS_WATERMARKS = 2, /* watermarks between the rows: "W 59999", and "W end" for the end of all time */
                         WEIR_HARNESS_ISO = 4,        /* times in rows as 2015-05-17T10:05:00Z instead of milliseconds */
};

/* All zeros is a good start; NULL means that. */
struct weir_harness_options {
    uint32_t parallelism; /* of every step that does not say otherwise; 0 = 1 */
    enum weir_harness_batch batch;
    uint64_t seed;        /* WEIR_HARNESS_DRAWN */
    uint64_t state_bytes; /* memory that the state of a subtask index may take; beyond it lies in RocksDB. 0 = 256 MiB; 1 = as little
                             as can be */
    weir_time now_ms;     /* the clock's first reading; 0 = WEIR_HARNESS_NOW_MS */
    bool manual;          /* calls that drive only put in; weir_harness_step does */
    uint32_t show;        /* enum weir_harness_show */
    uint64_t rows_max;    /* 0 = WEIR_HARNESS_ROWS_MAX */
    const struct weir_harness_snapshot *restore; /* borrowed during the call: begin with this state, at any parallelism; NULL = with none */
    bool allow_lost_state;                       /* restore: state of operators that this graph does not have is left out, not refused */
};

/* ---- life ------------------------------------------------------------------------------------------------------------------------ */

/* One operator. */
struct weir_harness_port {
    const struct weir_schema *schema; /* rows of the input; NULL = what the operator's table says */
    const struct weir_keyer *keyer;   /* comes by key; NULL = not */
    bool broadcast;                   /* goes to every subtask */
    bool changes;                     /* rows of any kind may be pushed, not inserts only */
};
struct weir_harness_operator {
    const struct weir_operator *op;
    const char *id; /* NULL = "test" */
    const void *config;
    size_t config_size;
    struct weir_harness_port in[2]; /* in[1]: with WEIR_OPERATOR_TWO_INPUTS */
};

/*
 * A harness around one operator: output 0 is its main one, outputs 1 ... its side outputs; a sink has none.
 * Gives `*out`. Errors: those of weir_harness_new.
 */
WEIR_EXPORT weir_err weir_harness_new_operator(struct weir_harness **out, const struct weir_harness_operator *op,
                                               const struct weir_harness_options *options, struct weir_diag *diag);

/*
 * A harness around what `build` makes of its inputs with the builders of weir/stream.h: any number of steps.
 *
 *     static weir_err build(struct weir_harness *h, void *arg, struct weir_diag *diag)
 *     {
 *         weir_harness_out(h, top_paths(weir_harness_in(h, &hit_schema)));
 *         return WEIR_OK;
 *     }
 *
 * Gives `*out`. Errors, with a sentence in diag: that of build; those of a job's graph (WEIR_E_GRAPH ...), to which a source of its own
 * belongs; what an operator's open returned; WEIR_E_STATE: the snapshot has state of an operator that the graph does not have, or of
 * another kind; WEIR_E_ARGUMENT, WEIR_E_NOMEM, WEIR_E_IO.
 */
typedef weir_err (*weir_harness_build)(struct weir_harness *h, void *arg, struct weir_diag *diag);
WEIR_EXPORT weir_err weir_harness_new(struct weir_harness **out, weir_harness_build build, void *arg,
                                      const struct weir_harness_options *options, struct weir_diag *diag);

/* Closes the operators, as a cancel does if they have not finished. */
WEIR_EXPORT void weir_harness_destroy(struct weir_harness **h);

/* For build: the next input, number 0, 1 ...; NULL after a mistake, as builders do. The second form may bring updates and deletes. */
WEIR_EXPORT struct weir_stream *weir_harness_in(struct weir_harness *h, const struct weir_schema *schema);
WEIR_EXPORT struct weir_stream *weir_harness_in_changes(struct weir_harness *h, const struct weir_schema *schema);
/* For build: the next output, number 0, 1 ...: what `stream` (or NULL, after a mistake) gives. */
WEIR_EXPORT void weir_harness_out(struct weir_harness *h, struct weir_stream *stream);
/* For build: the environment of the streams, for weir_env_alloc and its like. */
WEIR_EXPORT struct weir_env *weir_harness_env(struct weir_harness *h);

/* ---- driving --------------------------------------------------------------------------------------------------------------------- */

/*
 * A row: `row_size` is sizeof its struct, or more when its strings follow it already. Copied.
 *
 *     struct hit hit = {.status = 200, .path = weir_harness_str(h, 0, "/")};
 *     weir_harness_push(h, 0, &hit, sizeof hit, 1000, WEIR_INSERT);
 *
 * time_ms: event time; WEIR_TIME_MIN = none.
 * Errors: WEIR_E_ARGUMENT   no such input; a row too short for its type, or whose strings leave it; not an insert where only those may come
 *         WEIR_E_STATE      the input has ended
 *         WEIR_E_LIMIT      WEIR_ROW_MAX; more rows wait than rows_max
 *         what user code returned
 */
WEIR_EXPORT weir_err weir_harness_push(struct weir_harness *h, uint32_t input, const void *row, uint32_t row_size, weir_time time_ms,
                                       enum weir_kind kind);

/* A string for the row that is pushed next to this input. Copied. {0, 0} on failure, which that push reports. */
WEIR_EXPORT struct weir_str weir_harness_str(struct weir_harness *h, uint32_t input, const char *text);
WEIR_EXPORT struct weir_str weir_harness_bytes(struct weir_harness *h, uint32_t input, const void *data, uint32_t length);

/*
 * The same from a line: the fields in schema order as CSV (as the file connector reads it; times in milliseconds, or with WEIR_HARNESS_ISO
 * as such), behind a kind and a space: "+I 1,abc", "-U ...", "+U ...", "-D ...". Errors: also WEIR_E_CORRUPT, naming the field.
 */
WEIR_EXPORT weir_err weir_harness_line(struct weir_harness *h, uint32_t input, const char *line, weir_time time_ms);

/* Event time of an input; ends idleness. Errors: WEIR_E_ARGUMENT when it goes back, or is the end of all time (weir_harness_end). */
WEIR_EXPORT weir_err weir_harness_watermark(struct weir_harness *h, uint32_t input, weir_time watermark_ms);
/* The input is silent and holds no watermark back, until its next row or watermark. */
WEIR_EXPORT weir_err weir_harness_idle(struct weir_harness *h, uint32_t input);
/* No more rows. The last input's end is the end of all time: everything that waits for time fires, then `finish` is called. */
WEIR_EXPORT weir_err weir_harness_end(struct weir_harness *h, uint32_t input);
/* Moves the wall clock; timers in processing time up to it fire. Errors: WEIR_E_ARGUMENT when it goes back. */
WEIR_EXPORT weir_err weir_harness_set_time(struct weir_harness *h, weir_time now_ms);

/*
 * Ends all inputs that have not ended, then has sinks prepare and commit: as a job that finishes, with a last checkpoint if snapshots were
 * taken or restored. With `manual`, too, it runs to the end.
 */
WEIR_EXPORT weir_err weir_harness_finish(struct weir_harness *h);

/* With `manual`: delivers the next batch or event if all before it is done, and gives each subtask one step. *more: there is more to do. */
WEIR_EXPORT weir_err weir_harness_step(struct weir_harness *h, bool *more);

/* ---- what came out --------------------------------------------------------------------------------------------------------------- */

struct weir_harness_record {
    bool is_watermark; /* then time_ms alone means something */
    enum weir_kind kind;
    weir_time time_ms;
    uint32_t subtask; /* that gave it */
    uint32_t size;
    const void *row; /* valid until the next call of weir_harness_next, text or expect on this output */
};

/* The next unread record of an output; false: none at present, or no such output. */
WEIR_EXPORT bool weir_harness_next(struct weir_harness *h, uint32_t output, struct weir_harness_record *record);
/* How many are unread. */
WEIR_EXPORT uint64_t weir_harness_count(struct weir_harness *h, uint32_t output);

/*
 * Takes all unread records as lines: kind, space, fields in schema order as CSV, and what `show` asks for. Valid until the next call on the
 * output. NULL: no such output, its type is not known, no memory, or user code failed and there was nothing more.
 */
WEIR_EXPORT const char *weir_harness_text(struct weir_harness *h, uint32_t output);

/*
 * Takes all unread records and compares their lines with `lines`. The second form compares them as sets: for results whose order is not
 * promised, as of several keys at one watermark. Errors: WEIR_E_NOT_FOUND, with the first difference; what user code returned.
 */
WEIR_EXPORT weir_err weir_harness_expect(struct weir_harness *h, uint32_t output, const char *lines);
WEIR_EXPORT weir_err weir_harness_expect_any_order(struct weir_harness *h, uint32_t output, const char *lines);

/* A counter of weir_count, summed over the operator's subtasks; 0 when it was never counted. */
WEIR_EXPORT uint64_t weir_harness_counter(struct weir_harness *h, const char *operator_id, const char *name);

/* ---- snapshots ------------------------------------------------------------------------------------------------------------------- */

/*
 * A checkpoint, as a job takes it: barriers go through the graph behind everything that was put in, so an emission that paused (WEIR_AGAIN)
 * is finished first, also with `manual`; sinks prepare. The harness goes on afterwards. Gives `*out`, which may outlive the harness.
 *
 * A harness that is made with it (options.restore) begins where this one stood: state, timers, the event time of each operator; inputs that
 * had ended have ended. Sinks are told to commit what they had prepared, and to recover. What is pushed into an input begins with the test.
 * Errors: WEIR_E_STATE after finish; WEIR_E_IO; user code's.
 */
WEIR_EXPORT weir_err weir_harness_snapshot(struct weir_harness *h, struct weir_harness_snapshot **out);
/* The last snapshot is complete: sinks commit what they prepared for it and before. Without it a crash came first. Errors: user code's. */
WEIR_EXPORT weir_err weir_harness_complete(struct weir_harness *h);
WEIR_EXPORT void weir_harness_snapshot_destroy(struct weir_harness_snapshot **snapshot);

/* ---- errors ---------------------------------------------------------------------------------------------------------------------- */

/* Of the last call that failed; its code is WEIR_OK when none did. Borrowed from the harness. */
WEIR_EXPORT const struct weir_diag *weir_harness_diag(const struct weir_harness *h);
/* The operator whose code failed; NULL = none. */
WEIR_EXPORT const char *weir_harness_failed_id(const struct weir_harness *h);

/* Ends the test (abort) with file, line, call and sentence on standard error, unless the call returns WEIR_OK. h may be NULL. */
#define WEIR_MUST(h, call) weir_harness_must(h, call, #call, __FILE__, __LINE__)
WEIR_EXPORT void weir_harness_must(const struct weir_harness *h, weir_err err, const char *call, const char *file, int line);

#ifdef __cplusplus
}
#endif
#endif
