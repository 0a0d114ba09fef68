/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Windows on keyed streams: which records belong together (struct weir_window), what is made of them (an aggregate, a reduction, or a
 * function over all rows), and when the result leaves (its trigger).
 *
 *     const struct weir_window hop = {.kind = WEIR_SLIDING, .size_ms = 60000, .slide_ms = 1000};
 *     weir_window_aggregate(weir_key_by(hits, &by_path), "per-minute", &hop, &totals);
 *
 * A window fires for a key: its result is emitted with time end - 1. Every window that holds a record fires, also one that begins before
 * the first record or ends behind the last: the end of the input is a watermark behind everything. A key without records in a window has no
 * result there.
 *
 * Late is a record all of whose windows are over, their allowed lateness included: it is counted (`late`) and goes to side output 0 as it
 * came, which carries the input's rows.
 */
#ifndef WEIR_WINDOW_H
#define WEIR_WINDOW_H

#include "weir/stream.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- which records ----------------------------------------------------------------------------------------------------------------- */

enum weir_window_kind {
    WEIR_TUMBLING = 1,   /* [k * size + offset, (k + 1) * size + offset) */
    WEIR_SESSION = 2,    /* records of a key whose distance does not exceed gap (exactly gap joins): [first time, last time + gap + 1) */
    WEIR_SLIDING = 3,    /* [k * slide + offset, k * slide + offset + size); a slide above the size leaves records out */
    WEIR_CUMULATING = 4, /* [k * size + offset, k * size + offset + j * step), j = 1 ... size / step */
    WEIR_GLOBAL = 5,     /* all records of a key: [WEIR_TIME_MIN, WEIR_TIME_MAX). Fires at the end of the input, or as its trigger says */
};

struct weir_trigger;

/* Members that do not belong to the kind are zero. Copied, with its trigger. */
struct weir_window {
    enum weir_window_kind kind;
    int64_t size_ms;   /* tumbling, sliding, cumulating (of the largest): > 0 */
    int64_t offset_ms; /* tumbling and cumulating: 0 ... size - 1; sliding: 0 ... slide - 1 */
    int64_t gap_ms;    /* session: > 0 */
    int64_t slide_ms;  /* sliding: > 0 */
    int64_t step_ms;   /* cumulating: > 0, size a multiple of it */
    /*
     * WEIR_PROCESSING_TIME: a record belongs to the time at which it is processed, whatever time it has; a window fires when the clock has
     * reached its end, or at the end of the input. No record is late then. Not of global windows, which no time ends.
     */
    enum weir_time_domain domain;
    /*
     * A window that has fired stays until the watermark reaches end - 1 + allowed_lateness_ms. A record that comes for it in the meantime
     * fires it again at once, for its key, with the result as it is now. So the stream of results holds several rows for a key and window,
     * each in place of the one before and all of them inserts (the stream is not one of changes): a sink that
     * cannot replace must not be given a lateness.
     */
    int64_t allowed_lateness_ms;
    const struct weir_trigger *trigger; /* NULL: once, when the watermark reaches end - 1 */
};

/* ---- when -------------------------------------------------------------------------------------------------------------------------- */

/*
 * When a window fires for a key, besides its end. Plain data; zeros are the default. What Flink calls
 *
 *     EventTimeTrigger                         NULL, or zeros
 *     ProcessingTimeTrigger                    zeros, and the window's domain WEIR_PROCESSING_TIME
 *     CountTrigger.of(n)                       {.early_count = n, .early_only = true}
 *     ContinuousEventTimeTrigger.of(t)         {.early_ms = t}
 *     ContinuousProcessingTimeTrigger.of(t)    {.early_ms = t, .early_domain = WEIR_PROCESSING_TIME, .early_only = true}
 *     PurgingTrigger.of(any)                   the same with .purge = true
 *     countWindow(n)                           WEIR_GLOBAL and {.early_count = n, .early_only = true, .purge = true}
 *     EndOfStreamTrigger                       WEIR_GLOBAL and NULL
 *
 * Both early conditions may be given: whichever is met first fires. A key without a record since its window's last firing does not fire
 * early. Results of early firings carry time end - 1, as all do, and stand in place of earlier ones of their key and window unless the
 * trigger purges. With windows by processing time early_ms is of processing time, too. Sessions that become one have together what
 * came since their last firings.
 */
struct weir_trigger {
    uint64_t early_count;               /* after so many records of the key since the last firing; 0: not */
    int64_t early_ms;                   /* at the multiples of so many ms of early_domain that follow a record; 0: not */
    enum weir_time_domain early_domain; /* of early_ms */
    bool early_only;                    /* not when the window ends, nor for late records: these still count for early_count */
    bool purge;                         /* a firing drops the records it has shown: the next one begins with none */
    uint64_t late_count;                /* with a lateness: fire again after so many late records of the key; 0 = 1 */
};

/* ---- what: an aggregate ------------------------------------------------------------------------------------------------------------ */

/*
 * An aggregate: an accumulator per key and window.
 * add       Adds record idx[i] of the batch (idx NULL: i) to accs[i], for i < n. A new accumulator is all zeros.
 * merge     Adds `from`, which holds later times, to `into`. Sessions, sliding and cumulating windows need it.
 * emit      Writes the result to ctx->out[0] with time `end_ms - 1`; ctx->keys[ctx->key_index] is the key.
 * subtract  Optional: takes `from`, which was merged into `into` before, out of it again. Makes sliding windows cheaper: without it an
 *           accumulator is merged twice a window it passes through instead of once. Counts and sums have it, minima have not.
 *
 * A survey, optional: a look at a whole window before its first result, for results that depend on all keys of this subtask, such as its
 * largest ones. `survey` is called with summary_size zeroed bytes for each key of the window, then emit_surveyed, in place of emit, for
 * each of them. Not with sessions, global windows, triggers or a lateness, which fire one key at a time.
 */
struct weir_aggregate {
    size_t struct_size;
    const char *name;
    const struct weir_schema *in;
    const struct weir_schema *out;
    uint32_t acc_size;
    void (*add)(void *const *accs, const struct weir_batch *batch, const uint32_t *idx, uint32_t n);
    void (*merge)(void *into, const void *from);
    weir_err (*emit)(struct weir_ctx *ctx, const void *acc, weir_time start_ms, weir_time end_ms);
    void (*subtract)(void *into, const void *from);
    uint32_t summary_size; /* 0: no survey */
    void (*survey)(void *summary, const void *acc);
    weir_err (*emit_surveyed)(struct weir_ctx *ctx, const void *acc, const void *summary, weir_time start_ms, weir_time end_ms);
};

/*
 * WEIR_AGGREGATE(agg, row, acc, out, add, merge, emit): from functions on one record:
 * `void add(struct acc *, const struct row *, weir_time)`, `void merge(struct acc *, const struct acc *)`,
 * `weir_err emit(struct weir_ctx *, const struct acc *, const struct weir_key *, weir_time start, weir_time end)`.
 * WEIR_AGGREGATE_INVERTIBLE(..., subtract): also `void subtract(struct acc *, const struct acc *)`.
 */
#define WEIR_AGGREGATE_FUNCTIONS_(agg, row_, acc_, add_, merge_, emit_)                                   \
    static void agg##_add(void *const *accs, const struct weir_batch *b, const uint32_t *idx, uint32_t n) \
    {                                                                                                     \
        for (uint32_t i = 0; i < n; i++) {                                                                \
            struct weir_record *rec = weir_batch_record(b, idx ? idx[i] : i);                             \
            add_((struct acc_ *)accs[i], (const struct row_ *)weir_record_row(rec), rec->time_ms);        \
        }                                                                                                 \
    }                                                                                                     \
    static void agg##_merge(void *into, const void *from)                                                 \
    {                                                                                                     \
        merge_((struct acc_ *)into, (const struct acc_ *)from);                                           \
    }                                                                                                     \
    static weir_err agg##_emit(struct weir_ctx *ctx, const void *acc, weir_time start, weir_time end)     \
    {                                                                                                     \
        return emit_(ctx, (const struct acc_ *)acc, &ctx->keys[ctx->key_index], start, end);              \
    }

#define WEIR_AGGREGATE_MEMBERS_(agg, row_, acc_, out_)                                                       \
    .struct_size = sizeof(struct weir_aggregate), .name = #agg, .in = &row_##_schema, .out = &out_##_schema, \
    .acc_size = (uint32_t)sizeof(struct acc_), .add = agg##_add, .merge = agg##_merge, .emit = agg##_emit

#define WEIR_AGGREGATE(agg, row_, acc_, out_, add_, merge_, emit_)  \
    WEIR_AGGREGATE_FUNCTIONS_(agg, row_, acc_, add_, merge_, emit_) \
    static const struct weir_aggregate agg = {WEIR_AGGREGATE_MEMBERS_(agg, row_, acc_, out_)}

#define WEIR_AGGREGATE_INVERTIBLE(agg, row_, acc_, out_, add_, merge_, emit_, subtract_) \
    WEIR_AGGREGATE_FUNCTIONS_(agg, row_, acc_, add_, merge_, emit_)                      \
    static void agg##_subtract(void *into, const void *from)                             \
    {                                                                                    \
        subtract_((struct acc_ *)into, (const struct acc_ *)from);                       \
    }                                                                                    \
    static const struct weir_aggregate agg = {WEIR_AGGREGATE_MEMBERS_(agg, row_, acc_, out_), .subtract = agg##_subtract}

/*
 * WEIR_AGGREGATE_SURVEYED(agg, row, acc, summary, out, add, merge, subtract, survey, emit): invertible and with a survey, `void
 * survey(struct summary *, const struct acc *)`; emit has the summary behind the accumulator: `weir_err emit(struct weir_ctx *, const
 * struct acc *, const struct summary *, const struct weir_key *, weir_time start, weir_time end)`.
 */
#define WEIR_AGGREGATE_SURVEYED(agg, row_, acc_, summary_, out_, add_, merge_, subtract_, survey_, emit_)                              \
    static inline weir_err agg##_unsurveyed(struct weir_ctx *ctx, const struct acc_ *acc, const struct weir_key *key, weir_time start, \
                                            weir_time end)                                                                             \
    {                                                                                                                                  \
        struct summary_ alone;                                                                                                         \
        memset(&alone, 0, sizeof alone);                                                                                               \
        survey_(&alone, acc);                                                                                                          \
        return emit_(ctx, acc, &alone, key, start, end);                                                                               \
    }                                                                                                                                  \
    WEIR_AGGREGATE_FUNCTIONS_(agg, row_, acc_, add_, merge_, agg##_unsurveyed)                                                         \
    static void agg##_subtract(void *into, const void *from)                                                                           \
    {                                                                                                                                  \
        subtract_((struct acc_ *)into, (const struct acc_ *)from);                                                                     \
    }                                                                                                                                  \
    static void agg##_survey(void *summary, const void *acc)                                                                           \
    {                                                                                                                                  \
        survey_((struct summary_ *)summary, (const struct acc_ *)acc);                                                                 \
    }                                                                                                                                  \
    static weir_err agg##_emit_surveyed(struct weir_ctx *ctx, const void *acc, const void *summary, weir_time start, weir_time end)    \
    {                                                                                                                                  \
        return emit_(ctx, (const struct acc_ *)acc, (const struct summary_ *)summary, &ctx->keys[ctx->key_index], start, end);         \
    }                                                                                                                                  \
    static const struct weir_aggregate agg = {WEIR_AGGREGATE_MEMBERS_(agg, row_, acc_, out_), .subtract = agg##_subtract,              \
                                              .summary_size = (uint32_t)sizeof(struct summary_), .survey = agg##_survey,               \
                                              .emit_surveyed = agg##_emit_surveyed}

WEIR_EXPORT struct weir_stream *weir_window_aggregate(struct weir_stream *keyed, const char *id, const struct weir_window *window,
                                                      const struct weir_aggregate *aggregate);

/*
 * The same for few or hot keys, of an aggregate with `merge`, whose order must not matter: each sender folds the records of a batch by key
 * and slice of time into accumulators (step `id`.local, chained to the sender), and only these cross to the keys' subtasks, where they are
 * merged (step `id`). `in` is not keyed yet; `keyer` says how. Tumbling, sliding and cumulating windows by event time, without a trigger.
 * What is late is counted, an accumulator as one, and dropped: there are no rows to give out.
 */
WEIR_EXPORT struct weir_stream *weir_two_stage_window_aggregate(struct weir_stream *in, const char *id, const struct weir_keyer *keyer,
                                                                const struct weir_window *window, const struct weir_aggregate *aggregate);

/* ---- what: a reduction --------------------------------------------------------------------------------------------------------------- */

/*
 * WEIR_REDUCE(agg, row, fn): rows of the input's type, without strings, folded into one: the first as it is, each further one by
 * `void fn(struct row *sum, const struct row *more)`. An aggregate like any other; weir_window_reduce is the field's word for it.
 */
#define WEIR_REDUCE(agg, row_, fn)                                                                                                   \
    struct agg##_acc {                                                                                                               \
        uint64_t n;                                                                                                                  \
        struct row_ row;                                                                                                             \
    };                                                                                                                               \
    static inline void agg##_add1(struct agg##_acc *a, const struct row_ *row, weir_time t)                                          \
    {                                                                                                                                \
        (void)t;                                                                                                                     \
        if (a->n++ == 0)                                                                                                             \
            a->row = *row;                                                                                                           \
        else                                                                                                                         \
            fn(&a->row, row);                                                                                                        \
    }                                                                                                                                \
    static inline void agg##_merge1(struct agg##_acc *into, const struct agg##_acc *from)                                            \
    {                                                                                                                                \
        if (from->n == 0) return;                                                                                                    \
        if (into->n == 0)                                                                                                            \
            into->row = from->row;                                                                                                   \
        else                                                                                                                         \
            fn(&into->row, &from->row);                                                                                              \
        into->n += from->n;                                                                                                          \
    }                                                                                                                                \
    static inline weir_err agg##_emit1(struct weir_ctx *ctx, const struct agg##_acc *a, const struct weir_key *key, weir_time start, \
                                       weir_time end)                                                                                \
    {                                                                                                                                \
        (void)key, (void)start;                                                                                                      \
        return weir_emit(ctx->out, &a->row, sizeof a->row, end - 1);                                                                 \
    }                                                                                                                                \
    WEIR_AGGREGATE(agg, row_, agg##_acc, row_, agg##_add1, agg##_merge1, agg##_emit1)

#define weir_window_reduce(keyed, id, window, reduce) weir_window_aggregate(keyed, id, window, reduce)

/* ---- what: all rows ------------------------------------------------------------------------------------------------------------------ */

/* The rows of one key in one window, in order of arrival (of sliding windows: by slice, then arrival; of sessions that became one: one
 * after the other). */
struct weir_window_rows {
    weir_time start_ms;
    weir_time end_ms;
    struct weir_record *(*next)(struct weir_window_rows *rows);
    void (*rewind)(struct weir_window_rows *rows);
};

/* The next record, its row behind it; NULL at the end. Valid until the next call; for reading. */
static inline struct weir_record *weir_window_next(struct weir_window_rows *rows)
{
    return rows->next(rows);
}

/* Begins from the first row again. */
static inline void weir_window_rewind(struct weir_window_rows *rows)
{
    rows->rewind(rows);
}

/*
 * A function over a whole window: `process` looks at its rows and emits to ctx->out[0], with times up to end_ms - 1. The rows are kept
 * until the window is over: an aggregate needs less, where one does. self: self_size bytes, zeroed when the operator opens, kept from call
 * to call but not over a restart. Rows of any length, with strings.
 */
struct weir_window_function {
    size_t struct_size;
    const char *name;
    const struct weir_schema *in;
    const struct weir_schema *out;
    size_t self_size;
    weir_err (*process)(void *self, struct weir_ctx *ctx, const struct weir_key *key, struct weir_window_rows *rows);
};

WEIR_EXPORT struct weir_stream *weir_window_process(struct weir_stream *keyed, const char *id, const struct weir_window *window,
                                                    const struct weir_window_function *function);

#ifdef __cplusplus
}
#endif
#endif
