/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The functions of weir/state.h: thin shells over keyed.h. A handle knows its state, not its operator; the current key comes with the
 * context. Failures are remembered by the slot, and its sentence goes into ctx->diag where a function can say that it failed.
 */
#include "runtime/task/state.h"

#include <string.h>

/* Puts the reason why a function failed into ctx->diag: the slot's, or `what` when the slot is well. */
static weir_err explain(struct weir_ctx *ctx, weir_err err, const char *what)
{
    if (!err) return WEIR_OK;
    weir_err failed = slot_error(host_slot(ctx), ctx->diag);
    return failed ? failed : weir_fail(ctx->diag, err, "%s", what);
}

/* No key is current while a broadcast record is processed: the slot fails, and with it the task, whatever the operator makes of it. */
static const struct weir_key *no_key(struct weir_ctx *ctx)
{
    static const struct weir_key none = {.data = ""};
    (void)slot_fail(host_slot(ctx), WEIR_E_STATE, "operator %s used state by key while it processed a broadcast record, which has no key",
                    ctx->operator_id);
    return &none;
}

static inline const struct weir_key *current_key(struct weir_ctx *ctx)
{
    return WEIR_LIKELY(ctx->keys != NULL) ? &ctx->keys[ctx->key_index] : no_key(ctx);
}

/* Of functions that take a batch's keys at once. */
static inline bool has_keys(struct weir_ctx *ctx)
{
    return WEIR_LIKELY(ctx->keys != NULL) || !no_key(ctx);
}

static weir_err open_state(struct weir_ctx *ctx, enum keyed_kind kind, const struct weir_state_desc *desc, struct weir_state **out)
{
    struct keyed *keyed = host_state(ctx, STATE_KEYED);
    return keyed ? keyed_open(keyed, kind, desc, out, ctx->diag) : WEIR_E_STATE;
}

weir_err weir_set_namespace(struct weir_ctx *ctx, struct weir_bytes ns)
{
    struct keyed *keyed = host_state(ctx, STATE_KEYED);
    if (!keyed) return WEIR_E_STATE;
    return explain(ctx, keyed_set_namespace(keyed, ns), "a namespace is longer than WEIR_NAMESPACE_MAX");
}

/* ---- value ----------------------------------------------------------------------------------------------------------------------- */

weir_err weir_value_open(struct weir_ctx *ctx, const struct weir_state_desc *desc, struct weir_state **out)
{
    return open_state(ctx, KEYED_VALUE, desc, out);
}

void *weir_value(struct weir_ctx *ctx, struct weir_state *state)
{
    void *value = keyed_value(state, current_key(ctx));
    if (WEIR_UNLIKELY(!value)) (void)explain(ctx, WEIR_E_NOMEM, "no memory for keyed state");
    return value;
}

void *weir_value_find(struct weir_ctx *ctx, struct weir_state *state)
{
    return keyed_value_find(state, current_key(ctx));
}

struct weir_bytes weir_value_read(struct weir_ctx *ctx, struct weir_state *state)
{
    return keyed_value_read(state, current_key(ctx));
}

weir_err weir_value_write(struct weir_ctx *ctx, struct weir_state *state, const void *data, uint32_t length)
{
    return explain(ctx, keyed_value_write(state, current_key(ctx), data, length), "a value is too long for its state");
}

void weir_value_clear(struct weir_ctx *ctx, struct weir_state *state)
{
    keyed_value_clear(state, current_key(ctx));
}

weir_err weir_value_probe(struct weir_ctx *ctx, struct weir_state *state, const uint32_t *idx, uint32_t n, void **values)
{
    if (!has_keys(ctx)) return explain(ctx, WEIR_E_STATE, "");
    return explain(ctx, keyed_value_probe(state, ctx->keys, idx, n, values), "keys of a batch found no place in their state");
}

bool weir_value_next(struct weir_ctx *ctx, struct weir_state *state, uint64_t *cursor, struct weir_key *key, struct weir_bytes *value)
{
    if (!keyed_value_next(state, cursor, key, value)) return false;
    ctx->keys = keyed_value_scanned(state); /* until the next batch or timer brings its own */
    ctx->key_index = 0;
    return true;
}

/* ---- reducing and aggregating ----------------------------------------------------------------------------------------------------- */

weir_err weir_reducing_open(struct weir_ctx *ctx, const struct weir_state_desc *desc, weir_reduce reduce, struct weir_state **out)
{
    if (!reduce) return weir_fail(ctx->diag, WEIR_E_ARGUMENT, "a reducing state needs a function");
    struct weir_state *state;
    weir_err err = open_state(ctx, KEYED_REDUCING, desc, &state);
    if (err) return err;
    keyed_reducing_set(state, reduce);
    *out = state;
    return WEIR_OK;
}

void *weir_reducing_add(struct weir_ctx *ctx, struct weir_state *state, const void *value)
{
    void *acc = keyed_reducing_add(state, current_key(ctx), value);
    if (WEIR_UNLIKELY(!acc)) (void)explain(ctx, WEIR_E_NOMEM, "no memory for keyed state");
    return acc;
}

/* For reading: a second look must not make the entry one that has changed, which keyed_value_find would. */
static const void *read_only(struct weir_state *state, const struct weir_key *key)
{
    return keyed_value_read(state, key).data;
}

const void *weir_reducing_get(struct weir_ctx *ctx, struct weir_state *state)
{
    return read_only(state, current_key(ctx));
}

weir_err weir_aggregating_open(struct weir_ctx *ctx, const struct weir_state_desc *desc, const struct weir_aggregate *aggregate,
                               struct weir_state **out)
{
    if (!aggregate) return weir_fail(ctx->diag, WEIR_E_ARGUMENT, "an aggregating state needs an aggregate");
    struct weir_state_desc sized = {0}; /* of an older job it may be shorter */
    memcpy(&sized, desc, desc->struct_size < sizeof sized ? desc->struct_size : sizeof sized);
    sized.value_size = aggregate->acc_size;
    struct weir_state *state;
    weir_err err = open_state(ctx, KEYED_AGGREGATING, &sized, &state);
    if (err) return err;
    keyed_aggregating_set(state, aggregate);
    *out = state;
    return WEIR_OK;
}

weir_err weir_aggregating_add(struct weir_ctx *ctx, struct weir_state *state, const struct weir_batch *batch, const uint32_t *idx,
                              uint32_t n, void **accs)
{
    if (!has_keys(ctx)) return explain(ctx, WEIR_E_STATE, "");
    weir_err err = keyed_aggregating_add(state, ctx->keys, batch, idx, n, accs);
    return explain(ctx, err, "records of a batch found no accumulators");
}

const void *weir_aggregating_get(struct weir_ctx *ctx, struct weir_state *state)
{
    return read_only(state, current_key(ctx));
}

/* ---- list ------------------------------------------------------------------------------------------------------------------------ */

weir_err weir_list_open(struct weir_ctx *ctx, const struct weir_state_desc *desc, struct weir_state **out)
{
    return open_state(ctx, KEYED_LIST, desc, out);
}

weir_err weir_list_add(struct weir_ctx *ctx, struct weir_state *state, const void *data, uint32_t length)
{
    return explain(ctx, keyed_list_add(state, current_key(ctx), data, length), "an element has no length that its list takes");
}

bool weir_list_next(struct weir_ctx *ctx, struct weir_state *state, uint64_t *cursor, struct weir_bytes *element)
{
    return keyed_list_next(state, current_key(ctx), cursor, element);
}

bool weir_list_is_empty(struct weir_ctx *ctx, struct weir_state *state)
{
    return keyed_list_is_empty(state, current_key(ctx));
}

weir_err weir_list_clear(struct weir_ctx *ctx, struct weir_state *state)
{
    return explain(ctx, keyed_list_clear(state, current_key(ctx)), "a list could not be cleared");
}

/* ---- map ------------------------------------------------------------------------------------------------------------------------- */

weir_err weir_map_open(struct weir_ctx *ctx, const struct weir_state_desc *desc, struct weir_state **out)
{
    return open_state(ctx, KEYED_MAP, desc, out);
}

struct weir_bytes weir_map_get(struct weir_ctx *ctx, struct weir_state *state, struct weir_bytes user_key)
{
    return keyed_map_get(state, current_key(ctx), user_key);
}

weir_err weir_map_put(struct weir_ctx *ctx, struct weir_state *state, struct weir_bytes user_key, const void *data, uint32_t length)
{
    return explain(ctx, keyed_map_put(state, current_key(ctx), user_key, data, length), "an entry has no length that its map takes");
}

void *weir_map_value(struct weir_ctx *ctx, struct weir_state *state, struct weir_bytes user_key)
{
    void *value = keyed_map_value(state, current_key(ctx), user_key);
    if (WEIR_UNLIKELY(!value)) (void)explain(ctx, WEIR_E_NOMEM, "no memory for an entry of a map");
    return value;
}

weir_err weir_map_remove(struct weir_ctx *ctx, struct weir_state *state, struct weir_bytes user_key)
{
    return explain(ctx, keyed_map_remove(state, current_key(ctx), user_key), "an entry of a map could not be removed");
}

bool weir_map_next(struct weir_ctx *ctx, struct weir_state *state, uint64_t *cursor, struct weir_bytes *user_key, struct weir_bytes *value)
{
    return keyed_map_next(state, current_key(ctx), cursor, user_key, value);
}

bool weir_map_is_empty(struct weir_ctx *ctx, struct weir_state *state)
{
    return keyed_map_is_empty(state, current_key(ctx));
}

weir_err weir_map_clear(struct weir_ctx *ctx, struct weir_state *state)
{
    return explain(ctx, keyed_map_clear(state, current_key(ctx)), "a map could not be cleared");
}

/* ---- ordered --------------------------------------------------------------------------------------------------------------------- */

weir_err weir_ordered_open(struct weir_ctx *ctx, const struct weir_state_desc *desc, struct weir_state **out)
{
    return open_state(ctx, KEYED_ORDERED, desc, out);
}

weir_err weir_ordered_put(struct weir_ctx *ctx, struct weir_state *state, weir_time time_ms, uint64_t seq, const void *data,
                          uint32_t length)
{
    weir_err err = keyed_ordered_put(state, current_key(ctx), time_ms, seq, data, length);
    return explain(ctx, err, "a value has no length that its ordered state takes");
}

struct weir_bytes weir_ordered_get(struct weir_ctx *ctx, struct weir_state *state, weir_time time_ms, uint64_t seq)
{
    return keyed_ordered_get(state, current_key(ctx), time_ms, seq);
}

weir_err weir_ordered_remove(struct weir_ctx *ctx, struct weir_state *state, weir_time time_ms, uint64_t seq)
{
    return explain(ctx, keyed_ordered_remove(state, current_key(ctx), time_ms, seq), "an ordered value could not be removed");
}

weir_err weir_ordered_remove_before(struct weir_ctx *ctx, struct weir_state *state, weir_time until)
{
    return explain(ctx, keyed_ordered_remove_before(state, current_key(ctx), until), "ordered values could not be removed");
}

bool weir_ordered_next(struct weir_ctx *ctx, struct weir_state *state, weir_time from, weir_time to, uint64_t *cursor,
                       struct weir_ordered_entry *entry)
{
    return keyed_ordered_next(state, current_key(ctx), from, to, cursor, entry);
}

weir_err weir_ordered_clear(struct weir_ctx *ctx, struct weir_state *state)
{
    return explain(ctx, keyed_ordered_clear(state, current_key(ctx)), "ordered state could not be cleared");
}

/* ---- timers ---------------------------------------------------------------------------------------------------------------------- */

/* WEIR_TIME_MAX means "none" to the timer set; the end of the input reaches a timer of a millisecond before as well. */
static weir_time timer_time(weir_time time_ms)
{
    return time_ms == WEIR_TIME_MAX ? WEIR_TIME_MAX - 1 : time_ms;
}

weir_err weir_timer_set(struct weir_ctx *ctx, enum weir_time_domain domain, weir_time time_ms, uint64_t tag)
{
    struct keyed *keyed = host_state(ctx, STATE_KEYED);
    if (!keyed) return WEIR_E_STATE;
    weir_err err = keyed_timer_set(keyed, current_key(ctx), domain, timer_time(time_ms), tag);
    return explain(ctx, err, "a timer's key is longer than WEIR_KEY_MAX");
}

void weir_timer_delete(struct weir_ctx *ctx, enum weir_time_domain domain, weir_time time_ms, uint64_t tag)
{
    struct keyed *keyed = host_state(ctx, STATE_KEYED);
    if (keyed) (void)keyed_timer_delete(keyed, current_key(ctx), domain, timer_time(time_ms), tag);
}

/* ---- panes ----------------------------------------------------------------------------------------------------------------------- */

weir_err weir_panes_open(struct weir_ctx *ctx, const struct weir_state_desc *desc, struct weir_panes **out)
{
    struct keyed *keyed = host_state(ctx, STATE_KEYED);
    return keyed ? keyed_panes_open(keyed, desc, out, ctx->diag) : WEIR_E_STATE;
}

weir_err weir_panes_table(struct weir_ctx *ctx, struct weir_panes *panes, int64_t pane, struct weir_table **out)
{
    return explain(ctx, keyed_panes_table(panes, pane, out), "a pane must not have the number INT64_MIN");
}

bool weir_panes_next(struct weir_ctx *ctx, struct weir_panes *panes, int64_t after, int64_t *pane)
{
    (void)ctx;
    return keyed_panes_next(panes, after, pane);
}

void weir_table_drop(struct weir_ctx *ctx, struct weir_table **table)
{
    (void)ctx;
    keyed_table_drop(table);
}

weir_err weir_table_probe(struct weir_ctx *ctx, struct weir_table *table, const uint32_t *idx, uint32_t n, void **values)
{
    if (!has_keys(ctx)) return explain(ctx, WEIR_E_STATE, "");
    return explain(ctx, keyed_table_probe(table, ctx->keys, idx, n, values), "keys of a batch found no place in their table");
}

void *weir_table_find(struct weir_ctx *ctx, struct weir_table *table, const struct weir_key *key)
{
    (void)ctx;
    return keyed_table_find(table, key);
}

void weir_table_remove(struct weir_ctx *ctx, struct weir_table *table, const struct weir_key *key)
{
    (void)ctx;
    keyed_table_remove(table, key);
}

bool weir_table_next(struct weir_ctx *ctx, struct weir_table *table, uint64_t *cursor, struct weir_key *key, void **value)
{
    (void)ctx;
    return keyed_table_next(table, cursor, key, value);
}

/* ---- state without key ------------------------------------------------------------------------------------------------------------- */

weir_err weir_broadcast_open(struct weir_ctx *ctx, const struct weir_state_desc *desc, struct weir_broadcast **out)
{
    struct keyed *keyed = host_state(ctx, STATE_ANY);
    return keyed ? keyed_broadcast_open(keyed, desc, out, ctx->diag) : WEIR_E_STATE;
}

struct weir_bytes weir_broadcast_get(struct weir_ctx *ctx, struct weir_broadcast *state, struct weir_bytes user_key)
{
    (void)ctx;
    return keyed_broadcast_get(state, user_key);
}

weir_err weir_broadcast_put(struct weir_ctx *ctx, struct weir_broadcast *state, struct weir_bytes user_key, const void *data,
                            uint32_t length)
{
    return explain(ctx, keyed_broadcast_put(state, user_key, data, length), "an entry has no length that its broadcast state takes");
}

void weir_broadcast_remove(struct weir_ctx *ctx, struct weir_broadcast *state, struct weir_bytes user_key)
{
    (void)ctx;
    keyed_broadcast_remove(state, user_key);
}

bool weir_broadcast_next(struct weir_ctx *ctx, struct weir_broadcast *state, uint64_t *cursor, struct weir_bytes *user_key,
                         struct weir_bytes *value)
{
    (void)ctx;
    return keyed_broadcast_next(state, cursor, user_key, value);
}

weir_err weir_operator_list_open(struct weir_ctx *ctx, const struct weir_state_desc *desc, enum weir_redistribution how,
                                 struct weir_operator_list **out)
{
    struct keyed *keyed = host_state(ctx, STATE_ANY);
    return keyed ? keyed_operator_list_open(keyed, desc, how, out, ctx->diag) : WEIR_E_STATE;
}

weir_err weir_operator_list_add(struct weir_ctx *ctx, struct weir_operator_list *list, const void *data, uint32_t length)
{
    return explain(ctx, keyed_operator_list_add(list, data, length), "an element has no length that its operator list takes");
}

uint32_t weir_operator_list_count(const struct weir_operator_list *list)
{
    return keyed_operator_list_count(list);
}

struct weir_bytes weir_operator_list_at(const struct weir_operator_list *list, uint32_t i)
{
    return keyed_operator_list_at(list, i);
}

void weir_operator_list_clear(struct weir_ctx *ctx, struct weir_operator_list *list)
{
    (void)ctx;
    keyed_operator_list_clear(list);
}
