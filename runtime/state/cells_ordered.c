/* SPDX-License-Identifier: Apache-2.0 */
/* Ordered states: a cell an entry, under (time, seq). */
#include "runtime/state/cells_internal.h"

static weir_err aim_at(struct cells *c, const struct weir_key *key, struct weir_bytes ns, weir_time time_ms, uint64_t seq,
                       struct weir_key *cell)
{
    weir_err err = cells_aim(c, key, ns, CELL_PLACE_BYTES);
    if (err) return err;
    *cell = cells_place_key(c, (struct cell_place){cell_major_of_time(time_ms), seq});
    return WEIR_OK;
}

weir_err cells_ordered_put(struct cells *cells, const struct weir_key *key, struct weir_bytes ns, weir_time time_ms, uint64_t seq,
                           const void *data, uint32_t length)
{
    struct weir_key cell;
    weir_err err = aim_at(cells, key, ns, time_ms, seq, &cell);
    return err ? err : cells_put(cells, &cell, data, length);
}

struct weir_bytes cells_ordered_get(struct cells *cells, const struct weir_key *key, struct weir_bytes ns, weir_time time_ms, uint64_t seq)
{
    struct weir_key cell;
    if (aim_at(cells, key, ns, time_ms, seq, &cell)) return (struct weir_bytes){NULL, 0};
    return cells_get(cells, &cell);
}

weir_err cells_ordered_remove(struct cells *cells, const struct weir_key *key, struct weir_bytes ns, weir_time time_ms, uint64_t seq)
{
    struct weir_key cell;
    weir_err err = aim_at(cells, key, ns, time_ms, seq, &cell);
    return err ? err : cells_remove(cells, &cell);
}

weir_err cells_ordered_remove_before(struct cells *cells, const struct weir_key *key, struct weir_bytes ns, weir_time until)
{
    uint64_t major = cell_major_of_time(until);
    return major ? cells_clear(cells, key, ns, major - 1) : WEIR_OK;
}

bool cells_ordered_next(struct cells *cells, const struct weir_key *key, struct weir_bytes ns, weir_time from, weir_time to,
                        uint64_t *cursor, struct weir_ordered_entry *entry)
{
    struct cell_found found;
    if (!scan_open(cells, key, ns, cell_major_of_time(from), cell_major_of_time(to), cursor)) return false;
    if (!scan_next(cells, key, ns, &found)) return false;
    *entry = (struct weir_ordered_entry){
        .time_ms = cell_time_of_major(found.place.major), .seq = found.place.minor, .value = scan_value(cells, &found)};
    return true;
}

weir_err cells_ordered_clear(struct cells *cells, const struct weir_key *key, struct weir_bytes ns)
{
    return cells_clear(cells, key, ns, UINT64_MAX);
}
