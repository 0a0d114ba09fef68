/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A scan of one group: its residents, in the order of the index, merged with what the keeper's cursor gives. For lists and ordered states
 * by place, the smaller one first; for maps all residents first.
 *
 * A cell that the operator reads in mid-scan may come to memory. The cursor passes over it from then on, so the index must tell whether it
 * was given already: by its place, or, of a map's, by its key, as the cursor goes through keys in order. The other way round a cell that
 * was read from the cursor, not yet given, and then came to memory is given once, as a resident.
 */
#include <string.h>

#include "runtime/base/hash.h"
#include "runtime/state/cells_internal.h"

void scan_end(struct cells *c)
{
    struct cell_scan *s = &c->scan;
    struct table_entry *group = s->group;
    if (!group) return;
    store_cursor_destroy(&s->cursor);
    *s = (struct cell_scan){.serial = s->serial};
    cells_release_group(c, group);
}

static void begin(struct cells *c, struct table_entry *group, uint64_t from, uint64_t to)
{
    c->scan = (struct cell_scan){.serial = c->scan.serial + 1, .group = group, .from = from, .to = to};
    c->scan.next = index_seek(c, group, (struct cell_place){from, 0});
    c->scan.far_wanted = cells_may_be_far(group, from, to);
}

bool scan_open(struct cells *c, const struct weir_key *key, struct weir_bytes ns, uint64_t from, uint64_t to, uint64_t *cursor)
{
    if (*cursor) return c->scan.group && c->scan.serial == *cursor;
    scan_end(c);
    if (from > to || cells_error(c) || cells_aim(c, key, ns, 0)) return false;
    struct table_entry *group = cells_some_group(c);
    if (!group) return false;
    begin(c, group, from, to);
    *cursor = c->scan.serial;
    return true;
}

/* ---- the keeper's side --------------------------------------------------------------------------------------------------------------- */

static bool open_far(struct cells *c, const struct weir_key *key, struct weir_bytes ns)
{
    if (c->scan.cursor) return true;
    if (cells_aim(c, key, ns, 0) == WEIR_OK) c->scan.cursor = cells_cursor(c, key, c->scan.from, c->scan.to);
    if (!c->scan.cursor) scan_end(c);
    return c->scan.cursor != NULL;
}

/* The keeper has no more, or has failed. What has been seen tells where it holds nothing. */
static void end_far(struct cells *c)
{
    struct cell_scan *s = &c->scan;
    if (cells_error(c)) {
        scan_end(c);
        return;
    }
    if (!s->far_seen)
        cells_learn_not_far(s->group, s->from, s->to);
    else if (s->far_place.major < s->to)
        cells_learn_not_far(s->group, s->far_place.major + 1, s->to);
    store_cursor_destroy(&s->cursor);
    s->far_wanted = false;
    s->far = SCAN_FAR_NONE;
}

static bool accept(struct cells *c, struct weir_bytes key, struct weir_bytes value)
{
    struct cell_scan *s = &c->scan;
    uint32_t prefix = s->group->length; /* the range holds nothing without it */
    struct weir_bytes user_key = {(const unsigned char *)key.data + prefix, key.length - prefix};
    struct cell_place place;
    if (!cells_place(c, user_key, &place)) return false;
    if (c->kind != CELLS_LIST && c->value_size && value.length != c->value_size) return false;
    if (!s->far_seen && place.major > s->from) cells_learn_not_far(s->group, s->from, place.major - 1);
    s->far_seen = true;
    s->far = SCAN_FAR_HELD;
    s->far_key = user_key;
    s->far_value = value;
    s->far_place = place;
    return true;
}

static bool read_far(struct cells *c)
{
    struct weir_bytes key, value;
    if (!store_cursor_next(c->scan.cursor, &key, &value)) {
        end_far(c);
        return false;
    }
    if (accept(c, key, value)) return true;
    (void)cells_corrupt(c);
    scan_end(c);
    return false;
}

/* False for a cell that came to memory after it was read, and was given from there. */
static bool is_still_wanted(const struct cells *c)
{
    const struct cell_scan *s = &c->scan;
    return c->kind == CELLS_MAP || !s->begun || cell_is_before(s->last, s->far_place);
}

/* Sees to it that the keeper's next cell is at hand. False: there is none, or the scan has ended by a failure. */
static bool hold_far(struct cells *c, const struct weir_key *key, struct weir_bytes ns)
{
    struct cell_scan *s = &c->scan;
    if (s->far == SCAN_FAR_HELD && is_still_wanted(c)) return true;
    while (s->far_wanted) {
        if (!open_far(c, key, ns) || !read_far(c)) return false;
        if (is_still_wanted(c)) return true;
    }
    return false;
}

/* ---- both ---------------------------------------------------------------------------------------------------------------------------- */

/* The next resident within the range; those too old are dropped, whereby the hook moves `next` on. */
static struct table_entry *next_resident(struct cells *c)
{
    struct cell_scan *s = &c->scan;
    while (s->next && index_place(c, s->next).major <= s->to) {
        if (cells_is_live(c, s->next)) return s->next;
    }
    return NULL;
}

/*
 * Where reading makes young, a cell of the keeper comes to memory when it is given, to be written again. Its place in the index may be the
 * next one, or, of a map's, at the front.
 */
static struct table_entry *bring_to_memory(struct cells *c)
{
    if (!c->young_on_read) return NULL;
    uint32_t prefix = c->scan.group->length;
    struct weir_key cell = {.data = (const unsigned char *)c->scan.far_key.data - prefix, .length = prefix + c->scan.far_key.length};
    cell.hash = hash64(cell.data, cell.length);
    return store_find(c->store, &cell, NULL);
}

static void give_far(struct cells *c, struct cell_found *found)
{
    struct cell_scan *s = &c->scan;
    struct table_entry *e = bring_to_memory(c);
    *found = (struct cell_found){.entry = e, .user_key = s->far_key, .place = s->far_place};
    if (e && s->next == e) s->next = index_after(c, e);
    s->far = SCAN_FAR_GIVEN;
}

static void give_resident(struct cells *c, struct table_entry *e, struct cell_found *found)
{
    *found = (struct cell_found){.entry = e, .user_key = cells_user_key(c, e), .place = index_place(c, e)};
    cells_note_read(c, e);
    c->scan.next = index_after(c, e);
}

bool scan_next(struct cells *c, const struct weir_key *key, struct weir_bytes ns, struct cell_found *found)
{
    struct table_entry *e = next_resident(c);
    bool far = (c->kind != CELLS_MAP || !e) && hold_far(c, key, ns);
    if (!c->scan.group) return false;
    if (!e && !far) {
        scan_end(c);
        return false;
    }
    if (far && (!e || cell_is_before(c->scan.far_place, index_place(c, e))))
        give_far(c, found);
    else
        give_resident(c, e, found);
    c->scan.last = found->place;
    c->scan.begun = true;
    return true;
}

struct weir_bytes scan_value(const struct cells *c, const struct cell_found *found)
{
    if (found->entry) return cells_value(c, found->entry);
    return c->scan.far_value.data ? c->scan.far_value : (struct weir_bytes){"", 0};
}

/* ---- for the hooks ------------------------------------------------------------------------------------------------------------------- */

static int compare(struct weir_bytes a, struct weir_bytes b)
{
    uint32_t shorter = a.length < b.length ? a.length : b.length;
    int order = shorter ? memcmp(a.data, b.data, shorter) : 0;
    return order ? order : (a.length > b.length) - (a.length < b.length);
}

bool scan_has_given(const struct cells *c, struct table_entry *group, struct table_entry *e)
{
    const struct cell_scan *s = &c->scan;
    if (s->group != group) return false;
    if (c->kind == CELLS_MAP) return s->far != SCAN_FAR_NONE && compare(cells_user_key(c, e), s->far_key) <= 0;
    return s->begun ? !cell_is_before(s->last, index_place(c, e)) : index_place(c, e).major < s->from;
}

void scan_entered(struct cells *c, struct table_entry *group, struct table_entry *e, bool given)
{
    struct cell_scan *s = &c->scan;
    if (s->group != group) return;
    if (c->kind == CELLS_LIST && s->in_chunk && !s->chunk && index_place(c, e).major == s->last.major) s->chunk = e;
    if (given) return;
    if (!s->next || (c->kind != CELLS_MAP && cell_is_before(index_place(c, e), index_place(c, s->next)))) s->next = e;
}

void scan_leaves(struct cells *c, struct table_entry *e)
{
    struct cell_scan *s = &c->scan;
    if (s->next == e) s->next = index_after(c, e);
    if (s->chunk != e) return;
    s->chunk = NULL;
    s->in_chunk = false;
}
