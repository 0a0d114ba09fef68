/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Joins: two streams keyed alike (equal key bytes belong together), or one beside a table in memory. What a pair of rows becomes is the
 * user's function, made into a descriptor by WEIR_PAIRS; which pairs there are is the operator's.
 *
 * Event time of a result is the later of its rows' times, that of a joined window its end - 1. The event time of a join is the lower of its
 * inputs'. A stream broadcast to all subtasks beside a keyed one needs no operator of its own: weir_co_process with weir_broadcast_* state
 * (docs/reference/operators.md has an example).
 */
#ifndef WEIR_JOIN_H
#define WEIR_JOIN_H

#include "weir/operator.h"
#include "weir/stream.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- pairs ----------------------------------------------------------------------------------------------------------------------------
 */

struct weir_pair {
    const void *left;  /* NULL: none (right and full outer joins) */
    const void *right; /* NULL: none (left and full outer joins, semi-joins) */
    weir_time time_ms;
    uint8_t kind;
};

/* emit  Makes a row of each pair it accepts. */
struct weir_pairs {
    size_t struct_size;
    const char *name;
    const struct weir_schema *left;
    const struct weir_schema *right;
    const struct weir_schema *out;
    weir_err (*emit)(struct weir_out *out, const struct weir_pair *pairs, uint32_t n);
};

/*
 * WEIR_PAIRS(pairs, left, right, out, pair): from `bool pair(const struct left *, const struct right *, struct out *row, struct weir_out
 * *)`, which fills the row (its bytes are zero before) and may put strings; false: no row for this pair, as a condition beyond the key's.
 * It must decide by the two rows alone, so that a pair taken back is the pair given. (In an outer join a pair without row still is a
 * match.)
 */
#define WEIR_PAIRS(pairs_, left_, right_, out_, pair_)                                                           \
    static weir_err pairs_##_emit(struct weir_out *out, const struct weir_pair *pairs, uint32_t n)               \
    {                                                                                                            \
        for (uint32_t i = 0; i < n; i++) {                                                                       \
            struct out_ row;                                                                                     \
            memset(&row, 0, sizeof row);                                                                         \
            if (!pair_((const struct left_ *)pairs[i].left, (const struct right_ *)pairs[i].right, &row, out)) { \
                weir_row_drop(out);                                                                              \
                continue;                                                                                        \
            }                                                                                                    \
            weir_err err = weir_emit_kind(out, &row, sizeof row, pairs[i].time_ms, pairs[i].kind);               \
            if (WEIR_UNLIKELY(err)) return err;                                                                  \
        }                                                                                                        \
        return WEIR_OK;                                                                                          \
    }                                                                                                            \
    static const struct weir_pairs pairs_ = {sizeof(struct weir_pairs), #pairs_,        &left_##_schema,         \
                                             &right_##_schema,          &out_##_schema, pairs_##_emit}

/* ---- regular join -----------------------------------------------------------------------------------------------------------------------
 */

enum weir_join_kind { WEIR_INNER_JOIN = 0, WEIR_LEFT_JOIN = 1, WEIR_RIGHT_JOIN = 2, WEIR_FULL_JOIN = 3 };

/* What is known of one input: it decides how its rows are kept. */
struct weir_join_side {
    /* At most one row of a key stands at any time; a second one fails the job. Kept as a value; and in an inner join of inserts for the
     * whole run, rows of the other side are kept only until that row has come. */
    bool unique;
    bool changes; /* it is updating. Rows that are not unique are then kept by all fields of their type, at most WEIR_USER_KEY_MAX bytes */
};

struct weir_join_options {
    enum weir_join_kind kind;
    struct weir_join_side left, right;
    int64_t ttl_ms; /* rows older than that (processing time) are forgotten, nothing is taken back for them; 0 = kept for the whole run */
};

/*
 * All pairs of rows with equal keys, whichever came first; nothing waits for a watermark. An outer join gives a row without match with
 * NULL, and takes that back when its first match arrives. Output: inner of inserts append-only, else updating; what is taken back leaves
 * as -D and what is given as +I, so that a key of the output is right for upserts, too, whatever the order between the inputs.
 */
WEIR_EXPORT struct weir_stream *weir_join(struct weir_stream *left, struct weir_stream *right, const char *id,
                                          const struct weir_pairs *pairs, const struct weir_join_options *options);

/* ---- joins in event time ----------------------------------------------------------------------------------------------------------------
 */

/*
 * Pairs with left.time + lower_ms <= right.time <= left.time + upper_ms; a pair leaves when its second row arrives. Inserts in, inserts
 * out. A row goes when the watermark has left the times it could match. A row behind the watermark is late: counted (`late`) and passed on
 * to side output 0 (left) or 1 (right).
 */
struct weir_interval {
    int64_t lower_ms;
    int64_t upper_ms; /* >= lower_ms; both within +-WEIR_INTERVAL_MAX */
};
#define WEIR_INTERVAL_MAX ((int64_t)1 << 52)
WEIR_EXPORT struct weir_stream *weir_interval_join(struct weir_stream *left, struct weir_stream *right, const char *id,
                                                   const struct weir_pairs *pairs, const struct weir_interval *interval);

/*
 * Pairs of one key in one window [k * slide_ms + offset_ms, k * slide_ms + offset_ms + size_ms), once for each window that holds both;
 * results leave when the watermark reaches the window's end - 1, and carry that time. semi: each left row once for each window that holds
 * it and any right row, with right = NULL. Inserts in, inserts out. Late is a row all of whose windows have fired: as of interval joins.
 */
struct weir_join_window {
    int64_t size_ms;   /* > 0 */
    int64_t slide_ms;  /* 1 ... size_ms; 0 = size_ms: tumbling windows */
    int64_t offset_ms; /* 0 ... slide_ms - 1 */
    bool semi;
};
WEIR_EXPORT struct weir_stream *weir_window_join(struct weir_stream *left, struct weir_stream *right, const char *id,
                                                 const struct weir_pairs *pairs, const struct weir_join_window *window);

/* ---- lookup join ------------------------------------------------------------------------------------------------------------------------
 */

#define WEIR_LOOKUP_BYTES_MAX ((uint64_t)1 << 30) /* rows and keys of a side table in each subtask, unless options say less */

struct weir_lookup; /* a side table while it is loaded */

/*
 * Adds a row: `row_size` bytes of a row of the pairs' right type, strings included, copied. One row a key. Errors: WEIR_E_EXISTS (the key
 * is there), WEIR_E_LIMIT (bytes_max, WEIR_KEY_MAX, WEIR_ROW_MAX), WEIR_E_CORRUPT (a string leaves the row), WEIR_E_NOMEM: each in words.
 */
WEIR_EXPORT weir_err weir_lookup_put(struct weir_lookup *table, const void *key, uint32_t key_length, const void *row, uint32_t row_size);

struct weir_lookup_options {
    const struct weir_keyer *keyer; /* of the stream */
    /* Fills the table, once in each subtask before its first record. config: `config_size` bytes, copied when the graph is built. */
    weir_err (*load)(struct weir_lookup *table, const void *config, struct weir_diag *diag);
    const void *config;
    size_t config_size;
    uint64_t bytes_max; /* 0 = WEIR_LOOKUP_BYTES_MAX */
    bool left;          /* rows without match leave with right = NULL; else they are dropped */
};

/* Each row of a stream beside the row of a side table with its key, in memory. The stream needs no key_by. Changes pass. */
WEIR_EXPORT struct weir_stream *weir_lookup_join(struct weir_stream *in, const char *id, const struct weir_pairs *pairs,
                                                 const struct weir_lookup_options *options);

#ifdef __cplusplus
}
#endif
#endif
