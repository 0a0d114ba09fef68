/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tables that a stream keeps up to date: running aggregates, first rows of a key, distinct counts, rows over rows, final rows.
 *
 * Each operator is one builder and a descriptor with the user's functions, which a macro makes from functions on one record: the loops
 * over a batch then lie in the plugin, where the compiler inlines them. `result` functions fill a row, whose bytes are zero before; they
 * may put strings by weir_put_str(out, sizeof *row, ...), and emit nothing themselves.
 *
 * An updating stream takes back what it said: a result that changes leaves as -U (what it was) and +U (what it is), a new one as +I, one
 * that is gone as -D. A key changes at most once a batch, so under load many records cost one change (what others call mini-batch). The
 * sum of the changes does not depend on how records were cut into batches. weir_final_rows makes an updating stream append-only.
 *
 * All operators, their state and what releases it: docs/reference/operators.md.
 * Descriptors are constants: they live as long as the plugin.
 */
#ifndef WEIR_TABLE_H
#define WEIR_TABLE_H

#include "weir/operator.h"
#include "weir/stream.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- running aggregate ------------------------------------------------------------------------------------------------------------- */

/* An accumulator that leaves an operator as a row. */
struct weir_result {
    const void *acc;
    const struct weir_key *key; /* of the group */
    weir_time time_ms;          /* the highest of the group's records in the batch that changed it */
    uint8_t kind;
};

/*
 * An accumulator per key.
 * add       Adds record idx[i] of the batch (idx NULL: record i) to accs[i], for i < n. A new accumulator is all zeros.
 * subtract  Takes a record back that was added. Of one batch the additions go first, so both must commute. NULL: no changes are taken.
 * merge     Adds from[i] to into[i], acc_size bytes each; needed by weir_two_stage_aggregate.
 * emit      Makes rows of results.
 */
struct weir_group_aggregate {
    size_t struct_size;
    const char *name;
    const struct weir_schema *in;
    const struct weir_schema *out;
    uint32_t acc_size; /* alignment at most 8 */
    void (*add)(void *const *accs, const struct weir_batch *batch, const uint32_t *idx, uint32_t n);
    void (*subtract)(void *const *accs, const struct weir_batch *batch, const uint32_t *idx, uint32_t n);
    void (*merge)(void *const *into, const void *const *from, uint32_t n, uint32_t acc_size);
    weir_err (*emit)(struct weir_out *out, const struct weir_result *results, uint32_t n);
};

/*
 * Per key of the stream the aggregate of its records so far. Output updating. A result leaves only when the accumulator's bytes have
 * changed. With `subtract` the input may be updating, too: a key whose records have all been taken back leaves with -D, and its state goes;
 * a record taken back that was never given fails the job.
 */
WEIR_EXPORT struct weir_stream *weir_group_aggregate(struct weir_stream *keyed, const char *id,
                                                     const struct weir_group_aggregate *aggregate);

/*
 * The same for few or hot keys: each sender folds the keys of a batch into accumulators (step `id`.local, chained to the sender), and only
 * these cross to the keys' subtasks, where they are merged (step `id`). `in` is not keyed yet; `keyer` says how.
 */
WEIR_EXPORT struct weir_stream *weir_two_stage_aggregate(struct weir_stream *in, const char *id, const struct weir_keyer *keyer,
                                                         const struct weir_group_aggregate *aggregate);

/*
 * Both for bounded input: nothing on the way, and when the input ends each key's result once, as an insert with the time WEIR_TIME_MAX - 1.
 * What weir_final_rows behind them would give, at less than half of its cost.
 */
WEIR_EXPORT struct weir_stream *weir_group_aggregate_at_end(struct weir_stream *keyed, const char *id,
                                                            const struct weir_group_aggregate *aggregate);
WEIR_EXPORT struct weir_stream *weir_two_stage_aggregate_at_end(struct weir_stream *in, const char *id, const struct weir_keyer *keyer,
                                                                const struct weir_group_aggregate *aggregate);

#define WEIR_ACCS_LOOP_(name, fn, row_, acc_)                                                        \
    static void name(void *const *accs, const struct weir_batch *b, const uint32_t *idx, uint32_t n) \
    {                                                                                                \
        for (uint32_t i = 0; i < n; i++) {                                                           \
            struct weir_record *rec = weir_batch_record(b, idx ? idx[i] : i);                        \
            fn((struct acc_ *)accs[i], (const struct row_ *)weir_record_row(rec), rec->time_ms);     \
        }                                                                                            \
    }                                                                                                \
    static_assert(_Alignof(struct acc_) <= 8, "an accumulator lies at a multiple of 8 bytes, not of more")

#define WEIR_RESULTS_LOOP_(name, fn, acc_type, out_)                                                   \
    static weir_err name(struct weir_out *out, const struct weir_result *results, uint32_t n)          \
    {                                                                                                  \
        for (uint32_t i = 0; i < n; i++) {                                                             \
            struct out_ row;                                                                           \
            memset(&row, 0, sizeof row);                                                               \
            fn((const acc_type *)results[i].acc, results[i].key, &row, out);                           \
            weir_err err = weir_emit_kind(out, &row, sizeof row, results[i].time_ms, results[i].kind); \
            if (WEIR_UNLIKELY(err)) return err;                                                        \
        }                                                                                              \
        return WEIR_OK;                                                                                \
    }                                                                                                  \
    static_assert(sizeof(struct out_) > 0, "row type")

#define WEIR_MERGE_LOOP_(name, fn, acc_)                                                           \
    static void name(void *const *into, const void *const *from, uint32_t n, uint32_t acc_size)    \
    {                                                                                              \
        (void)acc_size;                                                                            \
        for (uint32_t i = 0; i < n; i++) fn((struct acc_ *)into[i], (const struct acc_ *)from[i]); \
    }                                                                                              \
    static_assert(sizeof(struct acc_) > 0, "accumulator type")

/*
 * WEIR_GROUP_AGGREGATE(agg, row, acc, out, add, merge, result): of inserts only, from
 * `void add(struct acc *, const struct row *, weir_time)`, `void merge(struct acc *, const struct acc *)`,
 * `void result(const struct acc *, const struct weir_key *, struct out *row, struct weir_out *out)`.
 */
#define WEIR_GROUP_AGGREGATE(agg, row_, acc_, out_, add_, merge_, result_)                              \
    WEIR_ACCS_LOOP_(agg##_add, add_, row_, acc_);                                                       \
    WEIR_MERGE_LOOP_(agg##_merge, merge_, acc_);                                                        \
    WEIR_RESULTS_LOOP_(agg##_emit, result_, struct acc_, out_);                                         \
    static const struct weir_group_aggregate agg = {.struct_size = sizeof(struct weir_group_aggregate), \
                                                    .name = #agg,                                       \
                                                    .in = &row_##_schema,                               \
                                                    .out = &out_##_schema,                              \
                                                    .acc_size = (uint32_t)sizeof(struct acc_),          \
                                                    .add = agg##_add,                                   \
                                                    .merge = agg##_merge,                               \
                                                    .emit = agg##_emit}

/* WEIR_GROUP_AGGREGATE_CHANGES(agg, row, acc, out, add, subtract, merge, result): of changes, too; `subtract` undoes `add`. */
#define WEIR_GROUP_AGGREGATE_CHANGES(agg, row_, acc_, out_, add_, subtract_, merge_, result_)           \
    WEIR_ACCS_LOOP_(agg##_add, add_, row_, acc_);                                                       \
    WEIR_ACCS_LOOP_(agg##_subtract, subtract_, row_, acc_);                                             \
    WEIR_MERGE_LOOP_(agg##_merge, merge_, acc_);                                                        \
    WEIR_RESULTS_LOOP_(agg##_emit, result_, struct acc_, out_);                                         \
    static const struct weir_group_aggregate agg = {.struct_size = sizeof(struct weir_group_aggregate), \
                                                    .name = #agg,                                       \
                                                    .in = &row_##_schema,                               \
                                                    .out = &out_##_schema,                              \
                                                    .acc_size = (uint32_t)sizeof(struct acc_),          \
                                                    .add = agg##_add,                                   \
                                                    .subtract = agg##_subtract,                         \
                                                    .merge = agg##_merge,                               \
                                                    .emit = agg##_emit}

/* ---- first rows of a key ------------------------------------------------------------------------------------------------------------ */

#define WEIR_TOP_N_MAX 1000u /* rows kept of a key: a key's rows are read and written together */

struct weir_ranked {
    const void *row;
    uint32_t row_size; /* with its strings */
    uint32_t rank;     /* from 1 */
    weir_time time_ms;
    uint8_t kind;
};

/*
 * The n first rows of each key, in an order of the user's.
 * place  Where `row` comes among the n sorted ones: 0 ... n. Behind those that are equal.
 * emit   Makes rows with ranks. NULL: rows go on as they are, without ranks, and a row that moves to another rank is no change.
 */
struct weir_top_n {
    size_t struct_size;
    const char *name;
    const struct weir_schema *row;
    const struct weir_schema *out; /* NULL with emit NULL */
    uint32_t n;                    /* 1 ... WEIR_TOP_N_MAX */
    uint32_t (*place)(const void *const *rows, uint32_t n, const void *row);
    weir_err (*emit)(struct weir_out *out, const struct weir_ranked *rows, uint32_t n);
};

/*
 * Input of inserts only: to take a row back, all rows would have to be kept, since another one moves up. Output updating. Rows that are
 * equal in the order keep that of their arrival, which depends on parallelism: let the order decide all ties that matter.
 */
WEIR_EXPORT struct weir_stream *weir_top_n(struct weir_stream *keyed, const char *id, const struct weir_top_n *top);

#define WEIR_PLACE_(name, row_, before_)                                                          \
    static uint32_t name(const void *const *rows, uint32_t n, const void *row)                    \
    {                                                                                             \
        while (n > 0 && before_((const struct row_ *)row, (const struct row_ *)rows[n - 1])) n--; \
        return n;                                                                                 \
    }                                                                                             \
    static_assert(sizeof(struct row_) > 0, "row type")

/*
 * WEIR_TOP_N(top, row, out, n, before, result): from `bool before(const struct row *, const struct row *)`, true when the first stands
 * strictly before the second, and `void result(const struct row *, uint32_t rank, struct out *row, struct weir_out *out)`.
 */
#define WEIR_TOP_N(top, row_, out_, n_, before_, result_)                                        \
    WEIR_PLACE_(top##_place, row_, before_);                                                     \
    static weir_err top##_emit(struct weir_out *out, const struct weir_ranked *rows, uint32_t n) \
    {                                                                                            \
        for (uint32_t i = 0; i < n; i++) {                                                       \
            struct out_ row;                                                                     \
            memset(&row, 0, sizeof row);                                                         \
            result_((const struct row_ *)rows[i].row, rows[i].rank, &row, out);                  \
            weir_err err = weir_emit_kind(out, &row, sizeof row, rows[i].time_ms, rows[i].kind); \
            if (WEIR_UNLIKELY(err)) return err;                                                  \
        }                                                                                        \
        return WEIR_OK;                                                                          \
    }                                                                                            \
    static const struct weir_top_n top = {sizeof(struct weir_top_n), #top, &row_##_schema, &out_##_schema, n_, top##_place, top##_emit}

/* WEIR_TOP_N_ROWS(top, row, n, before): the rows themselves, without ranks. */
#define WEIR_TOP_N_ROWS(top, row_, n_, before_) \
    WEIR_PLACE_(top##_place, row_, before_);    \
    static const struct weir_top_n top = {sizeof(struct weir_top_n), #top, &row_##_schema, NULL, n_, top##_place, NULL}

/* ---- one row of a key -----------------------------------------------------------------------------------------------------------------
 */

enum weir_keep { WEIR_KEEP_FIRST = 1, WEIR_KEEP_LAST = 2 };

/* One row of each key, the first or the last in event time. before: orders rows of the same time, strictly; they must differ in it. */
struct weir_deduplicate {
    size_t struct_size;
    const char *name;
    const struct weir_schema *row;
    enum weir_keep keep;
    bool (*before)(const void *a, const void *b);
};

/*
 * Input of inserts only. Output updating, for WEIR_KEEP_FIRST, too: a row leaves at once, and is replaced when one from before it
 * arrives, so nothing waits for a watermark.
 */
WEIR_EXPORT struct weir_stream *weir_deduplicate(struct weir_stream *keyed, const char *id, const struct weir_deduplicate *deduplicate);

/*
 * The same for bounded input: nothing on the way, and when the input ends the row of each key once, as an insert with its own time. What
 * weir_final_rows behind weir_deduplicate would give, at half of its state.
 */
WEIR_EXPORT struct weir_stream *weir_deduplicate_at_end(struct weir_stream *keyed, const char *id,
                                                        const struct weir_deduplicate *deduplicate);

/* WEIR_DEDUPLICATE(name, row, keep, before): from `bool before(const struct row *, const struct row *)`. */
#define WEIR_DEDUPLICATE(name_, row_, keep_, before_)                   \
    static bool name_##_before(const void *a, const void *b)            \
    {                                                                   \
        return before_((const struct row_ *)a, (const struct row_ *)b); \
    }                                                                   \
    static const struct weir_deduplicate name_ = {sizeof(struct weir_deduplicate), #name_, &row_##_schema, keep_, name_##_before}

/* ---- distinct values ------------------------------------------------------------------------------------------------------------------
 */

/*
 * What of a key has been seen: 64 bits.
 * bits  The bits that each record of the batch sets; by convention bit 0 is "seen at all", the others say with which property.
 * emit  Makes rows of the records idx[0 ... n-1], each of which was the first to set fresh[i].
 */
struct weir_distinct {
    size_t struct_size;
    const char *name;
    const struct weir_schema *in;
    const struct weir_schema *out;
    void (*bits)(const struct weir_batch *batch, uint64_t *bits);
    weir_err (*emit)(struct weir_out *out, const struct weir_batch *batch, const uint32_t *idx, const uint64_t *fresh, uint32_t n);
};

/*
 * Keyed by what shall be distinct (a group and a value), it lets a record through only for bits that no earlier record of the key has set.
 * Inserts in, inserts out. An aggregate behind it, keyed by the group, counts distinct values: also beside others, in one row.
 */
WEIR_EXPORT struct weir_stream *weir_distinct(struct weir_stream *keyed, const char *id, const struct weir_distinct *distinct);

/* WEIR_BITS_LOOP_: of a batch, from `uint64_t fn(const struct row *)`. */
#define WEIR_BITS_LOOP_(name, fn, row_)                                                                                      \
    static void name(const struct weir_batch *b, uint64_t *bits)                                                             \
    {                                                                                                                        \
        for (uint32_t i = 0; i < b->count; i++) bits[i] = fn((const struct row_ *)weir_record_row(weir_batch_record(b, i))); \
    }                                                                                                                        \
    static_assert(sizeof(struct row_) > 0, "row type")

/*
 * WEIR_DISTINCT(distinct, row, out, bits, result): from `uint64_t bits(const struct row *)` and
 * `void result(const struct row *, uint64_t fresh, struct out *row, struct weir_out *out)`.
 */
#define WEIR_DISTINCT(distinct_, row_, out_, bits_, result_)                                                                       \
    WEIR_BITS_LOOP_(distinct_##_bits, bits_, row_);                                                                                \
    static weir_err distinct_##_emit(struct weir_out *out, const struct weir_batch *b, const uint32_t *idx, const uint64_t *fresh, \
                                     uint32_t n)                                                                                   \
    {                                                                                                                              \
        for (uint32_t i = 0; i < n; i++) {                                                                                         \
            struct weir_record *rec = weir_batch_record(b, idx[i]);                                                                \
            struct out_ row;                                                                                                       \
            memset(&row, 0, sizeof row);                                                                                           \
            result_((const struct row_ *)weir_record_row(rec), fresh[i], &row, out);                                               \
            weir_err err = weir_emit(out, &row, sizeof row, rec->time_ms);                                                         \
            if (WEIR_UNLIKELY(err)) return err;                                                                                    \
        }                                                                                                                          \
        return WEIR_OK;                                                                                                            \
    }                                                                                                                              \
    static const struct weir_distinct distinct_ = {                                                                                \
        sizeof(struct weir_distinct), #distinct_, &row_##_schema, &out_##_schema, distinct_##_bits, distinct_##_emit}

/*
 * How many distinct values each group has, in total and for each of several filters.
 * group   Keyer of the group.
 * value   Keyer of group and value together.
 * n_bits  Bits that `bits` uses, 1 ... 64; counts[b] is how many values of the group have been seen with bit b.
 * emit    As of weir_group_aggregate; an accumulator is the counts.
 */
struct weir_count_distinct {
    size_t struct_size;
    const char *name;
    const struct weir_schema *in;
    const struct weir_schema *out;
    const struct weir_keyer *group;
    const struct weir_keyer *value;
    uint32_t n_bits;
    void (*bits)(const struct weir_batch *batch, uint64_t *bits);
    weir_err (*emit)(struct weir_out *out, const struct weir_result *results, uint32_t n);
};

/*
 * Two steps: `id`.values, keyed by group and value, so that even a single group is spread over all subtasks, keeps 8 bytes a value and
 * hands on counts of what was new, a row a group and batch; `id` adds them up. Input of inserts only, not keyed. Output updating.
 */
WEIR_EXPORT struct weir_stream *weir_count_distinct(struct weir_stream *in, const char *id, const struct weir_count_distinct *count);

/*
 * WEIR_COUNT_DISTINCT(count, row, out, group, value, n_bits, bits, result): from two keyers, `uint64_t bits(const struct row *)` and
 * `void result(const uint64_t *counts, const struct weir_key *group, struct out *row, struct weir_out *out)`.
 */
#define WEIR_COUNT_DISTINCT(count, row_, out_, group_, value_, n_bits_, bits_, result_) \
    WEIR_BITS_LOOP_(count##_bits, bits_, row_);                                         \
    WEIR_RESULTS_LOOP_(count##_emit, result_, uint64_t, out_);                          \
    static const struct weir_count_distinct count = {                                   \
        sizeof(struct weir_count_distinct), #count, &row_##_schema, &out_##_schema, &group_, &value_, n_bits_, count##_bits, count##_emit}

/* ---- rows over rows ---------------------------------------------------------------------------------------------------------------------
 */

#define WEIR_OVER_ROWS_MAX 1000u

/*
 * For each row, what is made of it and the rows before it.
 * tie   Orders rows of a key that have the same time; they must differ in it, else the job fails.
 * emit  Makes a row of rows[0 ... n-1], ascending; the last is the row that the result belongs to, n is below .n only at a key's beginning.
 */
struct weir_over_rows {
    size_t struct_size;
    const char *name;
    const struct weir_schema *row;
    const struct weir_schema *out;
    uint32_t n; /* 1 ... WEIR_OVER_ROWS_MAX: the row itself and up to n - 1 before it */
    uint64_t (*tie)(const void *row);
    weir_err (*emit)(struct weir_out *out, const void *const *rows, uint32_t n, weir_time time_ms);
};

/*
 * Per key, in order of event time: a row waits until the watermark reaches its time, then gives one result with the row's time. Inserts in,
 * inserts out. A row behind the watermark is late: counted (`late`) and passed on to side output 0 as it came.
 */
WEIR_EXPORT struct weir_stream *weir_over_rows(struct weir_stream *keyed, const char *id, const struct weir_over_rows *over);

/*
 * WEIR_OVER_ROWS(over, row, out, n, tie, result): from `uint64_t tie(const struct row *)` and
 * `void result(const struct row *const *rows, uint32_t n, struct out *row, struct weir_out *out)`.
 */
#define WEIR_OVER_ROWS(over, row_, out_, n_, tie_, result_)                                                   \
    static uint64_t over##_tie(const void *row)                                                               \
    {                                                                                                         \
        return tie_((const struct row_ *)row);                                                                \
    }                                                                                                         \
    static weir_err over##_emit(struct weir_out *out, const void *const *rows, uint32_t n, weir_time time_ms) \
    {                                                                                                         \
        struct out_ row;                                                                                      \
        memset(&row, 0, sizeof row);                                                                          \
        result_((const struct row_ *const *)(const void *)rows, n, &row, out);                                \
        return weir_emit(out, &row, sizeof row, time_ms);                                                     \
    }                                                                                                         \
    static const struct weir_over_rows over = {                                                               \
        sizeof(struct weir_over_rows), #over, &row_##_schema, &out_##_schema, n_, over##_tie, over##_emit}

/* ---- the end of a changelog -------------------------------------------------------------------------------------------------------------
 */

/*
 * The rows that stand when the input has ended, each as an insert, with the time of its last change. For runs that end; the state may be
 * larger than memory. Rows leave when event time ends (WEIR_TIME_MAX), before windows behind it fire; what comes later fails the job.
 *
 * keyer  A key has one row, the last that was given (+I, +U), until -D: each change of a key must come from one sender in order.
 *        NULL: rows are counted by all fields of their type, so that several senders may give and take the same row. A row that stands n
 *        times leaves n times; one that was taken back more often than given fails the job. Step `id`.fields comes before it.
 */
WEIR_EXPORT struct weir_stream *weir_final_rows(struct weir_stream *in, const char *id, const struct weir_keyer *keyer);

#ifdef __cplusplus
}
#endif
#endif
