/* SPDX-License-Identifier: Apache-2.0 */
/* Maps: a cell an entry, under the user's own key. */
#include "runtime/state/cells_internal.h"

struct weir_bytes cells_map_get(struct cells *cells, const struct weir_key *key, struct weir_bytes ns, struct weir_bytes user_key)
{
    if (cells_aim(cells, key, ns, user_key.length)) return (struct weir_bytes){NULL, 0};
    struct weir_key cell = cells_key(cells, user_key);
    return cells_get(cells, &cell);
}

weir_err cells_map_put(struct cells *cells, const struct weir_key *key, struct weir_bytes ns, struct weir_bytes user_key, const void *data,
                       uint32_t length)
{
    weir_err err = cells_aim(cells, key, ns, user_key.length);
    if (err) return err;
    struct weir_key cell = cells_key(cells, user_key);
    return cells_put(cells, &cell, data, length);
}

void *cells_map_value(struct cells *cells, const struct weir_key *key, struct weir_bytes ns, struct weir_bytes user_key)
{
    if (cells->value_size == 0 || cells_aim(cells, key, ns, user_key.length)) return NULL;
    struct weir_key cell = cells_key(cells, user_key);
    return cells_edit(cells, &cell);
}

weir_err cells_map_remove(struct cells *cells, const struct weir_key *key, struct weir_bytes ns, struct weir_bytes user_key)
{
    weir_err err = cells_aim(cells, key, ns, user_key.length);
    if (err) return err;
    struct weir_key cell = cells_key(cells, user_key);
    return cells_remove(cells, &cell);
}

bool cells_map_next(struct cells *cells, const struct weir_key *key, struct weir_bytes ns, uint64_t *cursor, struct weir_bytes *user_key,
                    struct weir_bytes *value)
{
    struct cell_found found;
    if (!scan_open(cells, key, ns, 0, UINT64_MAX, cursor) || !scan_next(cells, key, ns, &found)) return false;
    *user_key = found.user_key;
    *value = scan_value(cells, &found);
    return true;
}

bool cells_map_is_empty(struct cells *cells, const struct weir_key *key, struct weir_bytes ns)
{
    return cells_is_empty(cells, key, ns);
}

weir_err cells_map_clear(struct cells *cells, const struct weir_key *key, struct weir_bytes ns)
{
    return cells_clear(cells, key, ns, UINT64_MAX);
}
