/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keyed state and timers, for operators whose input comes from key_by. Each belongs to the current key (weir_set_key; the macros and
 * on_timer set it). Open handles in `open`, use them in `process`, `on_timer` and `on_watermark`.
 *
 * Thread: the operator's. A returned pointer is valid until the next call of a function of this header on the same context, or until
 * the call into the operator returns, whichever is first.
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
    const struct weir_schema *schema; /* of the value, for tools; may be NULL */
};

/* Opens a value state. `*out` belongs to the runtime. Errors: WEIR_E_EXISTS (name used twice), WEIR_E_LIMIT, WEIR_E_STATE (input not
 * keyed). */
WEIR_EXPORT weir_err weir_value_open(struct weir_ctx *ctx, const struct weir_state_desc *desc, struct weir_state **out);

/* Fixed size: the current key's value, made with zeros when there is none; edit it in place. NULL only when memory ran out (ctx->diag). */
WEIR_EXPORT void *weir_value(struct weir_ctx *ctx, struct weir_state *state);

/* Fixed size: the current key's value, or NULL when there is none. */
WEIR_EXPORT void *weir_value_find(struct weir_ctx *ctx, struct weir_state *state);

/* Any length: the current key's value; {NULL, 0} when there is none. */
WEIR_EXPORT struct weir_bytes weir_value_read(struct weir_ctx *ctx, struct weir_state *state);

/* Any length: replaces the current key's value by a copy. Errors: WEIR_E_LIMIT above WEIR_VALUE_MAX, WEIR_E_NOMEM. */
WEIR_EXPORT weir_err weir_value_write(struct weir_ctx *ctx, struct weir_state *state, const void *data, uint32_t length);

/* Drops the current key's value, if any. */
WEIR_EXPORT void weir_value_clear(struct weir_ctx *ctx, struct weir_state *state);

/*
 * Sets a timer for the current key: on_timer is called once when the operator's time in `domain` reaches time_ms (event time: when the
 * watermark does). Setting the same (key, time, domain, tag) again changes nothing. A timer in the past fires at the next watermark or
 * step.
 */
WEIR_EXPORT weir_err weir_timer_set(struct weir_ctx *ctx, enum weir_time_domain domain, weir_time time_ms, uint64_t tag);

/* Takes a timer back; one that is not set is no error. */
WEIR_EXPORT void weir_timer_delete(struct weir_ctx *ctx, enum weir_time_domain domain, weir_time time_ms, uint64_t tag);

/* ---- tables: one keyed table per pane, for windows ------------------------------------------------------------------------------- */

/*
 * A table from key to a fixed-size value that an operator makes, scans and drops as a whole: what a window keeps per pane, so that
 * closing one is a scan and dropping it a free. Counted in the slot's memory budget.
 */
struct weir_table;

WEIR_EXPORT weir_err weir_table_new(struct weir_ctx *ctx, uint32_t value_size, struct weir_table **out);
WEIR_EXPORT void weir_table_drop(struct weir_ctx *ctx, struct weir_table **table);

/*
 * For each i < n finds or makes (zeroed) the value of the key of record idx[i] (idx NULL: record i) of the batch being processed, and
 * stores its address in values[i]. Addresses stay valid until the table is dropped or the entry removed: they do not move.
 */
WEIR_EXPORT weir_err weir_table_probe(struct weir_ctx *ctx, struct weir_table *table, const uint32_t *idx, uint32_t n, void **values);

/* Value of a key, or NULL. */
WEIR_EXPORT void *weir_table_find(struct weir_ctx *ctx, struct weir_table *table, const struct weir_key *key);
WEIR_EXPORT void weir_table_remove(struct weir_ctx *ctx, struct weir_table *table, const struct weir_key *key);
WEIR_EXPORT uint64_t weir_table_count(const struct weir_table *table);

/*
 * Scans: *cursor starts at 0; each call gives the next entry and returns true, or false at the end. Order: any, the same for the same
 * sequence of operations. The table must not gain or lose entries between two calls of one scan, except for the entry just given.
 */
WEIR_EXPORT bool weir_table_next(const struct weir_table *table, uint64_t *cursor, struct weir_key *key, void **value);

#ifdef __cplusplus
}
#endif
#endif
