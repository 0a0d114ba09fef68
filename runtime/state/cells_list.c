/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lists: a cell a chunk, under the chunk's number, 8 bytes big-endian.
 *
 *     value_size 0:  | length (4 bytes, little-endian) | bytes | length | bytes | ...     or one large element as it is
 *     value_size n:  | n bytes | n bytes | ...
 *
 * The lowest bit of a number says that the chunk is one large element, of value_size 0 and too long for LIST_CHUNK_BYTES together with its
 * length; nothing is added to such a chunk. Adding changes the chunk with the greatest number, the tail, or makes one behind it. Numbers
 * begin at 0 again when nothing is left: what the keeper may still hold of older chunks are removals, and those a new chunk replaces.
 *
 * The tail is known when the group is: the greatest resident, or the upper end of what may lie in the keeper, if it has one; else the
 * keeper is asked once. A tail in the keeper is read back to be filled up, so that chunks do not stay small where every element finds its
 * list evicted.
 */
#include <endian.h>
#include <string.h>

#include "runtime/state/cells_internal.h"

#define LENGTH_BYTES 4u
#define LARGE 1u

/* ---- adding -------------------------------------------------------------------------------------------------------------------------- */

/* Makes the upper end of what may lie in the keeper known. */
static weir_err bound_far(struct cells *c, const struct weir_key *key, struct table_entry *group)
{
    if (!cells_may_be_far(group, UINT64_MAX, UINT64_MAX)) return WEIR_OK;
    struct store_cursor *cursor = cells_cursor(c, key, 0, UINT64_MAX);
    if (!cursor) return cells_failure(c);
    struct weir_bytes cell = {NULL, 0}, value;
    struct cell_place place = {0, 0};
    bool found = store_cursor_last(cursor, &cell, &value);
    bool broken =
        found &&
        !cells_place(c, (struct weir_bytes){(const unsigned char *)cell.data + group->length, cell.length - group->length}, &place);
    store_cursor_destroy(&cursor);
    if (broken) return cells_corrupt(c);
    if (cells_error(c)) return cells_error(c);
    cells_learn_not_far(group, found ? place.major + 1 : 0, UINT64_MAX);
    return WEIR_OK;
}

/* The tail's number, or one above it. False: the list is empty. */
static bool find_tail(const struct cells *c, struct table_entry *group, uint64_t *number)
{
    const struct cell_group *g = cell_group(group);
    bool far = g->far_from <= g->far_to;
    uint64_t resident = g->last ? index_place(c, g->last).major : 0;
    *number = far && g->far_to > resident ? g->far_to : resident;
    return far || g->last;
}

static uint32_t header_bytes(const struct cells *c, uint32_t length)
{
    bool bare = c->value_size || length > LIST_CHUNK_BYTES - LENGTH_BYTES;
    return bare ? 0 : LENGTH_BYTES;
}

static void put_element(unsigned char *out, uint32_t header, const void *data, uint32_t length)
{
    uint32_t le = htole32(length);
    if (header) memcpy(out, &le, LENGTH_BYTES);
    if (length) memmove(out + header, data, length);
}

/* Adds to the tail if it has room; *done false: it has none, or is gone. The element may lie in the tail itself, which moves as it grows.
 */
static weir_err fill_tail(struct cells *c, uint64_t number, const void *data, uint32_t length, bool *done)
{
    uint32_t header = header_bytes(c, length);
    *done = false;
    if (number & LARGE || header + length > LIST_CHUNK_BYTES) return WEIR_OK;
    struct weir_key cell = cells_place_key(c, (struct cell_place){number, 0});
    struct table_entry *e = store_find(c->store, &cell, NULL);
    if (!e) return cells_error(c);
    struct weir_bytes old = store_bytes(c->store, e);
    if (old.length + header + length > LIST_CHUNK_BYTES) return WEIR_OK;
    uintptr_t within = (uintptr_t)data - (uintptr_t)old.data;
    unsigned char *bytes = store_resize(c->store, &cell, old.length + header + length);
    if (!bytes) return cells_failure(c);
    put_element(bytes + old.length, header, within < old.length ? bytes + within : data, length);
    *done = true;
    return WEIR_OK;
}

static weir_err begin_chunk(struct cells *c, uint64_t number, const void *data, uint32_t length)
{
    uint32_t header = header_bytes(c, length);
    if (!c->value_size && !header) number |= LARGE;
    struct weir_key cell = cells_place_key(c, (struct cell_place){number, 0});
    unsigned char *bytes = store_resize(c->store, &cell, header + length);
    if (!bytes) return cells_failure(c);
    put_element(bytes, header, data, length);
    return WEIR_OK;
}

static weir_err append(struct cells *c, const struct weir_key *key, struct table_entry *group, const void *data, uint32_t length)
{
    weir_err err = bound_far(c, key, group);
    if (err) return err;
    uint64_t number;
    if (!find_tail(c, group, &number)) return begin_chunk(c, 0, data, length);
    bool done;
    err = fill_tail(c, number, data, length, &done);
    if (err || done) return err;
    return begin_chunk(c, (number | LARGE) + 1, data, length);
}

weir_err cells_list_add(struct cells *cells, const struct weir_key *key, struct weir_bytes ns, const void *data, uint32_t length)
{
    if (cells->value_size && length != cells->value_size) return WEIR_E_ARGUMENT;
    if (length > WEIR_VALUE_MAX) return WEIR_E_LIMIT;
    weir_err err = cells_aim(cells, key, ns, 0);
    if (err) return err;
    struct table_entry *group = cells_make_group(cells);
    if (!group) return cells_failure(cells);
    return append(cells, key, group, data, length);
}

/* ---- reading ------------------------------------------------------------------------------------------------------------------------- */

/* Takes the element at *offset out of a chunk. False: the chunk is at its end. Errors: WEIR_E_CORRUPT. */
static weir_err take_element(const struct cells *c, struct weir_bytes chunk, bool large, uint32_t *offset, struct weir_bytes *element,
                             bool *taken)
{
    const unsigned char *at = (const unsigned char *)chunk.data + *offset;
    uint32_t left = chunk.length - *offset, header = 0, length = large ? left : c->value_size;
    *taken = left > 0;
    if (!*taken) return WEIR_OK;
    if (!large && !c->value_size) {
        header = LENGTH_BYTES;
        if (left < header) return WEIR_E_CORRUPT;
        memcpy(&length, at, header);
        length = le32toh(length);
    }
    if (length > left - header) return WEIR_E_CORRUPT;
    *element = (struct weir_bytes){at + header, length};
    *offset += header + length;
    return WEIR_OK;
}

/* The next element of the chunk that the scan is in. */
static bool next_in_chunk(struct cells *c, struct weir_bytes *element)
{
    struct cell_scan *s = &c->scan;
    struct cell_found chunk = {.entry = s->chunk};
    bool taken = false;
    if (take_element(c, scan_value(c, &chunk), s->last.major & LARGE, &s->offset, element, &taken)) {
        (void)cells_corrupt(c);
        scan_end(c);
        return false;
    }
    s->in_chunk = taken;
    return taken;
}

bool cells_list_next(struct cells *cells, const struct weir_key *key, struct weir_bytes ns, uint64_t *cursor, struct weir_bytes *element)
{
    if (!scan_open(cells, key, ns, 0, UINT64_MAX, cursor)) return false;
    struct cell_scan *s = &cells->scan;
    struct cell_found found;
    if (s->in_chunk && next_in_chunk(cells, element)) return true;
    while (s->group && scan_next(cells, key, ns, &found)) {
        s->chunk = found.entry;
        s->in_chunk = true;
        s->offset = 0;
        if (next_in_chunk(cells, element)) return true;
    }
    return false;
}

bool cells_list_is_empty(struct cells *cells, const struct weir_key *key, struct weir_bytes ns)
{
    return cells_is_empty(cells, key, ns);
}

weir_err cells_list_clear(struct cells *cells, const struct weir_key *key, struct weir_bytes ns)
{
    return cells_clear(cells, key, ns, UINT64_MAX);
}
