/* SPDX-License-Identifier: Apache-2.0 */
/* List, map and ordered state: shells over cells.h that add the current namespace. */
#include "runtime/state/keyed_internal.h"

static struct weir_bytes ns_of(const struct weir_state *s)
{
    return s->namespaced ? (struct weir_bytes){s->keyed->ns, s->keyed->ns_length} : (struct weir_bytes){NULL, 0};
}

weir_err keyed_list_add(struct weir_state *s, const struct weir_key *key, const void *data, uint32_t length)
{
    return cells_list_add(s->cells, key, ns_of(s), data, length);
}

bool keyed_list_next(struct weir_state *s, const struct weir_key *key, uint64_t *cursor, struct weir_bytes *element)
{
    return cells_list_next(s->cells, key, ns_of(s), cursor, element);
}

bool keyed_list_is_empty(struct weir_state *s, const struct weir_key *key)
{
    return cells_list_is_empty(s->cells, key, ns_of(s));
}

weir_err keyed_list_clear(struct weir_state *s, const struct weir_key *key)
{
    return cells_list_clear(s->cells, key, ns_of(s));
}

struct weir_bytes keyed_map_get(struct weir_state *s, const struct weir_key *key, struct weir_bytes user_key)
{
    return cells_map_get(s->cells, key, ns_of(s), user_key);
}

weir_err keyed_map_put(struct weir_state *s, const struct weir_key *key, struct weir_bytes user_key, const void *data, uint32_t length)
{
    return cells_map_put(s->cells, key, ns_of(s), user_key, data, length);
}

void *keyed_map_value(struct weir_state *s, const struct weir_key *key, struct weir_bytes user_key)
{
    return cells_map_value(s->cells, key, ns_of(s), user_key);
}

weir_err keyed_map_remove(struct weir_state *s, const struct weir_key *key, struct weir_bytes user_key)
{
    return cells_map_remove(s->cells, key, ns_of(s), user_key);
}

bool keyed_map_next(struct weir_state *s, const struct weir_key *key, uint64_t *cursor, struct weir_bytes *user_key,
                    struct weir_bytes *value)
{
    return cells_map_next(s->cells, key, ns_of(s), cursor, user_key, value);
}

bool keyed_map_is_empty(struct weir_state *s, const struct weir_key *key)
{
    return cells_map_is_empty(s->cells, key, ns_of(s));
}

weir_err keyed_map_clear(struct weir_state *s, const struct weir_key *key)
{
    return cells_map_clear(s->cells, key, ns_of(s));
}

weir_err keyed_ordered_put(struct weir_state *s, const struct weir_key *key, weir_time time_ms, uint64_t seq, const void *data,
                           uint32_t length)
{
    return cells_ordered_put(s->cells, key, ns_of(s), time_ms, seq, data, length);
}

struct weir_bytes keyed_ordered_get(struct weir_state *s, const struct weir_key *key, weir_time time_ms, uint64_t seq)
{
    return cells_ordered_get(s->cells, key, ns_of(s), time_ms, seq);
}

weir_err keyed_ordered_remove(struct weir_state *s, const struct weir_key *key, weir_time time_ms, uint64_t seq)
{
    return cells_ordered_remove(s->cells, key, ns_of(s), time_ms, seq);
}

weir_err keyed_ordered_remove_before(struct weir_state *s, const struct weir_key *key, weir_time until)
{
    return cells_ordered_remove_before(s->cells, key, ns_of(s), until);
}

bool keyed_ordered_next(struct weir_state *s, const struct weir_key *key, weir_time from, weir_time to, uint64_t *cursor,
                        struct weir_ordered_entry *entry)
{
    return cells_ordered_next(s->cells, key, ns_of(s), from, to, cursor, entry);
}

weir_err keyed_ordered_clear(struct weir_state *s, const struct weir_key *key)
{
    return cells_ordered_clear(s->cells, key, ns_of(s));
}
