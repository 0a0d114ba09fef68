/* SPDX-License-Identifier: Apache-2.0 */
/*
 * State and timers of an operator. Keyed state is for operators whose input comes from key_by: each access belongs to the current key
 * (weir_set_key; the macros and on_timer set it) and, for states with namespaces, to the current namespace. Open handles in `open`, use
 * them in `process`, `on_timer` and `on_watermark`.
 *
 *     value        one value a key              weir_value_*        a hash-table probe, edited in place
 *     reducing     values folded into one       weir_reducing_*     the same with your function
 *     aggregating  batches folded into one      weir_aggregating_*  the same a batch at a time: the fastest way
 *     list         values in order of adding    weir_list_*         appends touch the last few KiB only
 *     map          values by a key of yours     weir_map_*          each entry lives by itself: maps may be large
 *     ordered      values by (time, seq)        weir_ordered_*      ranges in order, and all before a time dropped at once
 *     panes        a table a pane               weir_table_*        what windows use: scanned and dropped as a whole
 *     broadcast    a map without key            weir_broadcast_*    the same in every subtask, for rules and configuration
 *     operator list a list without key          weir_operator_list_*  dealt out again when the parallelism changes
 *
 * State may be larger than memory: what a slot's budget cannot hold lies in RocksDB and is read again when it is touched.
 *
 * Failure to read or write state is remembered: the call says so if it can (NULL, WEIR_E_IO), and the task fails when the operator returns,
 * whatever it returns. So a `find` that gives NULL needs no second look.
 *
 * Time to live: a value older than ttl_ms (processing time since it was made or written) is as if it were not there. The time of the last
 * write is stored always, so a TTL may be introduced, changed or dropped between two versions of a job.
 *
 * Thread: the operator's. A returned pointer is valid until the next call of a function of this header on the same context, or until
 * the call into the operator returns, whichever is first; functions that give several pointers at once say so.
 */
#ifndef WEIR_STATE_H
#define WEIR_STATE_H

#include "weir/operator.h"

#ifdef __cplusplus
extern "C" {
#endif

struct weir_state;

#define WEIR_STATES_MAX 64         /* states of one operator */
#define WEIR_VALUE_MAX (16u << 20) /* bytes of one value */

struct weir_state_desc {
    size_t struct_size;
    const char *name;    /* unique in its operator, stable over versions of the job: savepoints find state by (operator id, name) */
    uint32_t value_size; /* bytes of a fixed-size value; 0 = values of any length, by weir_value_read and weir_value_write */
    const struct weir_schema *schema;          /* of the value, for tools; may be NULL; kept, as rows' schemas are */
    const struct weir_schema *user_key_schema; /* of a map's own keys, for tools; may be NULL; kept */
    int64_t ttl_ms;                            /* 0 = for ever */
    uint32_t flags;                            /* enum weir_state_flags */
};

enum weir_state_flags {
    WEIR_STATE_NAMESPACED = 1,  /* belongs to (key, namespace): weir_set_namespace */
    WEIR_STATE_TTL_ON_READ = 2, /* reading a value makes it young again, too */
};

#define WEIR_NAMESPACE_MAX 255 /* bytes */

/* Makes `ns` the current namespace for this operator's states with WEIR_STATE_NAMESPACED, until the next call. Empty at first. Copied. */
WEIR_EXPORT weir_err weir_set_namespace(struct weir_ctx *ctx, struct weir_bytes ns);

/* ---- value ----------------------------------------------------------------------------------------------------------------------- */

/* Opens a value state. `*out` belongs to the runtime. Errors: WEIR_E_EXISTS (name used twice), WEIR_E_LIMIT, WEIR_E_STATE (input not
 * keyed). */
WEIR_EXPORT weir_err weir_value_open(struct weir_ctx *ctx, const struct weir_state_desc *desc, struct weir_state **out);

/* Fixed size: the current key's value, made with zeros when there is none; edit it in place. NULL only when memory ran out (ctx->diag). */
WEIR_EXPORT void *weir_value(struct weir_ctx *ctx, struct weir_state *state);

/* Fixed size: the current key's value, to be edited in place, or NULL when there is none. It counts as written; weir_value_read does not.
 */
WEIR_EXPORT void *weir_value_find(struct weir_ctx *ctx, struct weir_state *state);

/* Of any size, for reading only: the current key's value; {NULL, 0} when there is none. */
WEIR_EXPORT struct weir_bytes weir_value_read(struct weir_ctx *ctx, struct weir_state *state);

/* Any length: replaces the current key's value by a copy. Errors: WEIR_E_LIMIT above WEIR_VALUE_MAX, WEIR_E_NOMEM. */
WEIR_EXPORT weir_err weir_value_write(struct weir_ctx *ctx, struct weir_state *state, const void *data, uint32_t length);

/* Drops the current key's value, if any. */
WEIR_EXPORT void weir_value_clear(struct weir_ctx *ctx, struct weir_state *state);

/*
 * Fixed size, a batch at a time: for each i < n finds or makes (zeroed) the value of the key of record idx[i] (idx NULL: record i) of the
 * batch being processed and stores its address in values[i]; equal keys get the same address. All stay valid until the call into the
 * operator returns or one of them is cleared. Not for states with namespaces. Errors: WEIR_E_NOMEM, WEIR_E_IO.
 */
WEIR_EXPORT weir_err weir_value_probe(struct weir_ctx *ctx, struct weir_state *state, const uint32_t *idx, uint32_t n, void **values);

/*
 * Scans the keys of this subtask that have a value, with value, in any order: *cursor is 0 at first; false at the end or on failure. Makes
 * each key the current one, so that other states of the key are at hand. Key and value stay valid until the next call and are for
 * reading; keys that lie in RocksDB only do not enter memory. The state must not change between two calls of one scan, except for the
 * key just given; a scan may go on in a later call of the operator, and is then finished, since what is in memory stays there as long. One
 * scan at a time a state. Also for reducing and aggregating state; not for states with namespaces.
 */
WEIR_EXPORT bool weir_value_next(struct weir_ctx *ctx, struct weir_state *state, uint64_t *cursor, struct weir_key *key,
                                 struct weir_bytes *value);

/* ---- reducing and aggregating ----------------------------------------------------------------------------------------------------- */

/* Folds `value` into `acc`, both of the state's value_size. The first value of a key becomes the accumulator as it is. */
typedef void (*weir_reduce)(void *acc, const void *value);

/* desc->value_size must not be 0. Errors: of weir_value_open. */
WEIR_EXPORT weir_err weir_reducing_open(struct weir_ctx *ctx, const struct weir_state_desc *desc, weir_reduce reduce,
                                        struct weir_state **out);
/* Returns the accumulator after adding; edit in place is allowed. NULL on failure. */
WEIR_EXPORT void *weir_reducing_add(struct weir_ctx *ctx, struct weir_state *state, const void *value);
/* The accumulator, NULL when nothing has been added since the last clear. Clear with weir_value_clear. */
WEIR_EXPORT const void *weir_reducing_get(struct weir_ctx *ctx, struct weir_state *state);

/* Accumulators of aggregate->acc_size bytes (desc->value_size is ignored), zeroed at first; of the aggregate only `add` is used. */
struct weir_aggregate;
WEIR_EXPORT weir_err weir_aggregating_open(struct weir_ctx *ctx, const struct weir_state_desc *desc, const struct weir_aggregate *aggregate,
                                           struct weir_state **out);
/*
 * Adds the records idx[0 ... n-1] (idx NULL: the first n) of the batch being processed, each to the accumulator of its key. accs: room for
 * n addresses, or NULL; gets each record's accumulator, valid as by weir_value_probe. Not for states with namespaces.
 */
WEIR_EXPORT weir_err weir_aggregating_add(struct weir_ctx *ctx, struct weir_state *state, const struct weir_batch *batch,
                                          const uint32_t *idx, uint32_t n, void **accs);
/* The current key's accumulator, NULL when there is none. Clear with weir_value_clear. */
WEIR_EXPORT const void *weir_aggregating_get(struct weir_ctx *ctx, struct weir_state *state);

/* ---- list ------------------------------------------------------------------------------------------------------------------------ */

/* Elements are bytes of any length up to WEIR_VALUE_MAX; desc->value_size, if not 0, is the length of each. A TTL counts for each few KiB
 * of elements by the youngest of them. */
WEIR_EXPORT weir_err weir_list_open(struct weir_ctx *ctx, const struct weir_state_desc *desc, struct weir_state **out);
WEIR_EXPORT weir_err weir_list_add(struct weir_ctx *ctx, struct weir_state *state, const void *data, uint32_t length);
/* Scans in order of adding: *cursor is 0 at first; false at the end or on failure. The element stays valid until the next call; it lies
 * at any address, so a struct is copied out of it before it is read. Adding during a scan is allowed: the scan sees it. One scan at a time
 * a state. */
WEIR_EXPORT bool weir_list_next(struct weir_ctx *ctx, struct weir_state *state, uint64_t *cursor, struct weir_bytes *element);
WEIR_EXPORT bool weir_list_is_empty(struct weir_ctx *ctx, struct weir_state *state);
WEIR_EXPORT weir_err weir_list_clear(struct weir_ctx *ctx, struct weir_state *state);

/* ---- map ------------------------------------------------------------------------------------------------------------------------- */

#define WEIR_USER_KEY_MAX 65535u /* bytes of a map's own key */

/* desc->value_size 0: values of any length, else fixed. */
WEIR_EXPORT weir_err weir_map_open(struct weir_ctx *ctx, const struct weir_state_desc *desc, struct weir_state **out);
/* The value, {NULL, 0} when there is none (an empty value has a pointer). */
WEIR_EXPORT struct weir_bytes weir_map_get(struct weir_ctx *ctx, struct weir_state *state, struct weir_bytes user_key);
WEIR_EXPORT weir_err weir_map_put(struct weir_ctx *ctx, struct weir_state *state, struct weir_bytes user_key, const void *data,
                                  uint32_t length);
/* Fixed size: the value, made with zeros when there is none; edit it in place. NULL on failure. */
WEIR_EXPORT void *weir_map_value(struct weir_ctx *ctx, struct weir_state *state, struct weir_bytes user_key);
WEIR_EXPORT weir_err weir_map_remove(struct weir_ctx *ctx, struct weir_state *state, struct weir_bytes user_key);
/*
 * Scans the current key's entries in any order: *cursor is 0 at first; false at the end or on failure. Key and value stay valid until the
 * next call. The entry just given may be removed; nothing else may change during a scan. One scan at a time a state.
 */
WEIR_EXPORT bool weir_map_next(struct weir_ctx *ctx, struct weir_state *state, uint64_t *cursor, struct weir_bytes *user_key,
                               struct weir_bytes *value);
WEIR_EXPORT bool weir_map_is_empty(struct weir_ctx *ctx, struct weir_state *state);
WEIR_EXPORT weir_err weir_map_clear(struct weir_ctx *ctx, struct weir_state *state);

/* ---- ordered --------------------------------------------------------------------------------------------------------------------- */

/* Values of any length (desc->value_size 0) or fixed, by (time, seq); seq tells apart what has the same time, in the order wanted. */
WEIR_EXPORT weir_err weir_ordered_open(struct weir_ctx *ctx, const struct weir_state_desc *desc, struct weir_state **out);
/* Adds or replaces. */
WEIR_EXPORT weir_err weir_ordered_put(struct weir_ctx *ctx, struct weir_state *state, weir_time time_ms, uint64_t seq, const void *data,
                                      uint32_t length);
WEIR_EXPORT struct weir_bytes weir_ordered_get(struct weir_ctx *ctx, struct weir_state *state, weir_time time_ms, uint64_t seq);
WEIR_EXPORT weir_err weir_ordered_remove(struct weir_ctx *ctx, struct weir_state *state, weir_time time_ms, uint64_t seq);
/* Drops all with a time below `until`. */
WEIR_EXPORT weir_err weir_ordered_remove_before(struct weir_ctx *ctx, struct weir_state *state, weir_time until);

struct weir_ordered_entry {
    weir_time time_ms;
    uint64_t seq;
    struct weir_bytes value;
};
/*
 * Scans the current key's entries with from <= time <= to in ascending order: *cursor is 0 at first; false at the end or on failure.
 * The entry's bytes stay valid until the next call. The entry just given may be removed; nothing else may change during a scan. One scan at
 * a time a state.
 */
WEIR_EXPORT bool weir_ordered_next(struct weir_ctx *ctx, struct weir_state *state, weir_time from, weir_time to, uint64_t *cursor,
                                   struct weir_ordered_entry *entry);
WEIR_EXPORT weir_err weir_ordered_clear(struct weir_ctx *ctx, struct weir_state *state);

/* ---- timers ---------------------------------------------------------------------------------------------------------------------- */

/*
 * Sets a timer for the current key: on_timer is called once when the operator's time in `domain` reaches time_ms (event time: when the
 * watermark does). Setting the same (key, time, domain, tag) again changes nothing. A timer in the past fires at the next watermark or
 * step. One at WEIR_TIME_MAX fires when the input ends, and shows the time WEIR_TIME_MAX - 1.
 */
WEIR_EXPORT weir_err weir_timer_set(struct weir_ctx *ctx, enum weir_time_domain domain, weir_time time_ms, uint64_t tag);

/* Takes a timer back; one that is not set is no error. */
WEIR_EXPORT void weir_timer_delete(struct weir_ctx *ctx, enum weir_time_domain domain, weir_time time_ms, uint64_t tag);

/* ---- panes: one keyed table a pane, for windows ------------------------------------------------------------------------------------ */

/*
 * Tables from key to a fixed-size value, each under a number (a window's start), that an operator makes, scans and drops as a whole:
 * closing a window is a scan, dropping it a free. The numbers of a restored operator's panes are found by weir_panes_next.
 */
struct weir_panes;
struct weir_table;

/* desc->value_size must not be 0; no TTL, no namespaces. Errors: of weir_value_open. */
WEIR_EXPORT weir_err weir_panes_open(struct weir_ctx *ctx, const struct weir_state_desc *desc, struct weir_panes **out);

/* The table of a pane, made when there is none; valid until it is dropped. Errors: WEIR_E_NOMEM, WEIR_E_IO. */
WEIR_EXPORT weir_err weir_panes_table(struct weir_ctx *ctx, struct weir_panes *panes, int64_t pane, struct weir_table **out);
/* The smallest pane above `after` that has a table (INT64_MIN: the first; a pane INT64_MIN is not allowed). false: none. */
WEIR_EXPORT bool weir_panes_next(struct weir_ctx *ctx, struct weir_panes *panes, int64_t after, int64_t *pane);
WEIR_EXPORT void weir_table_drop(struct weir_ctx *ctx, struct weir_table **table);

/*
 * For each i < n finds or makes (zeroed) the value of the key of record idx[i] (idx NULL: record i) of the batch being processed, and
 * stores its address in values[i]; equal keys get the same address. All stay valid until the call into the operator returns, the table is
 * dropped or the entry removed. Errors: WEIR_E_NOMEM, WEIR_E_IO.
 */
WEIR_EXPORT weir_err weir_table_probe(struct weir_ctx *ctx, struct weir_table *table, const uint32_t *idx, uint32_t n, void **values);

/* Value of a key, to be edited in place, or NULL. */
WEIR_EXPORT void *weir_table_find(struct weir_ctx *ctx, struct weir_table *table, const struct weir_key *key);
WEIR_EXPORT void weir_table_remove(struct weir_ctx *ctx, struct weir_table *table, const struct weir_key *key);

/*
 * Scans: *cursor starts at 0; each call gives the next entry and returns true, or false at the end or on failure. Key and value stay valid
 * until the next call and are for reading. Order: any. The table must not gain or lose entries between two calls of one scan, except for
 * the entry just given; a scan may go on in a later call of the operator. One scan at a time a table.
 */
WEIR_EXPORT bool weir_table_next(struct weir_ctx *ctx, struct weir_table *table, uint64_t *cursor, struct weir_key *key, void **value);

/* ---- broadcast and operator list: state without key ---------------------------------------------------------------------------------- */

/* A map that every subtask holds alike, because all get the same (broadcast) input in the same order. In memory; any operator may have it.
 */
struct weir_broadcast;
WEIR_EXPORT weir_err weir_broadcast_open(struct weir_ctx *ctx, const struct weir_state_desc *desc, struct weir_broadcast **out);
WEIR_EXPORT struct weir_bytes weir_broadcast_get(struct weir_ctx *ctx, struct weir_broadcast *state, struct weir_bytes user_key);
WEIR_EXPORT weir_err weir_broadcast_put(struct weir_ctx *ctx, struct weir_broadcast *state, struct weir_bytes user_key, const void *data,
                                        uint32_t length);
WEIR_EXPORT void weir_broadcast_remove(struct weir_ctx *ctx, struct weir_broadcast *state, struct weir_bytes user_key);
/* Scans in any order; as weir_map_next. */
WEIR_EXPORT bool weir_broadcast_next(struct weir_ctx *ctx, struct weir_broadcast *state, uint64_t *cursor, struct weir_bytes *user_key,
                                     struct weir_bytes *value);

/* How the elements of all subtasks come back when a job is restored: dealt out evenly in order, or all of them to every subtask. */
enum weir_redistribution { WEIR_SPLIT = 0, WEIR_UNION = 1 };

/* A list of bytes, as sources keep their positions in. In memory; any operator may have it. */
struct weir_operator_list;
WEIR_EXPORT weir_err weir_operator_list_open(struct weir_ctx *ctx, const struct weir_state_desc *desc, enum weir_redistribution how,
                                             struct weir_operator_list **out);
WEIR_EXPORT weir_err weir_operator_list_add(struct weir_ctx *ctx, struct weir_operator_list *list, const void *data, uint32_t length);
WEIR_EXPORT uint32_t weir_operator_list_count(const struct weir_operator_list *list);
WEIR_EXPORT struct weir_bytes weir_operator_list_at(const struct weir_operator_list *list, uint32_t i);
WEIR_EXPORT void weir_operator_list_clear(struct weir_ctx *ctx, struct weir_operator_list *list);

#ifdef __cplusplus
}
#endif
#endif
