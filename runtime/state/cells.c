/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/state/cells.h"

#include <endian.h>
#include <string.h>

#include "runtime/base/assert.h"
#include "runtime/base/hash.h"
#include "runtime/state/cells_internal.h"
#include "runtime/state/internal.h"

#define ROOM_FIRST 64u           /* bytes of the first scratch for a key */
#define ROOM_KEPT 1024u          /* over a safe point */
#define GROUPS_SLACK (64u << 10) /* free room among groups below which none is given back */
#define NO_FAR_FROM UINT64_MAX   /* an empty range, which min and max extend as they should */
#define NO_FAR_TO ((uint64_t)0)

/* ---- errors -------------------------------------------------------------------------------------------------------------------------- */

weir_err cells_error(struct cells *c)
{
    return slot_error(c->slot, NULL);
}

weir_err cells_no_memory(struct cells *c)
{
    return slot_fail(c->slot, WEIR_E_NOMEM, "no memory for the cells of a collection");
}

weir_err cells_corrupt(struct cells *c)
{
    return slot_fail(c->slot, WEIR_E_CORRUPT, "a collection has a cell that is none");
}

weir_err cells_failure(struct cells *c)
{
    weir_err err = cells_error(c);
    return err ? err : cells_no_memory(c);
}

/* ---- keys ---------------------------------------------------------------------------------------------------------------------------- */

static bool grow_scratch(struct cells *c, uint32_t room)
{
    if (room <= c->room) return true;
    uint32_t grown = c->room ? c->room : ROOM_FIRST;
    while (grown < room) grown *= 2;
    unsigned char *bytes = memory_alloc(c->memory, (size_t)grown * 2);
    if (!bytes) return false;
    memory_free(c->memory, c->bytes, (size_t)c->room * 2);
    c->bytes = bytes;
    c->room = grown;
    return true;
}

weir_err cells_aim(struct cells *c, const struct weir_key *key, struct weir_bytes ns, uint32_t user_length)
{
    if (key->length > WEIR_KEY_MAX || ns.length > WEIR_NAMESPACE_MAX || user_length > WEIR_USER_KEY_MAX) return WEIR_E_LIMIT;
    if (user_length < CELL_PLACE_BYTES) user_length = CELL_PLACE_BYTES;
    if (!grow_scratch(c, cell_prefix_length(key->length, ns.length) + user_length)) return cells_no_memory(c);
    c->prefix_length = cell_put_prefix(c->bytes, key, ns);
    return WEIR_OK;
}

struct weir_key cells_key(struct cells *c, struct weir_bytes user_key)
{
    if (user_key.length) memcpy(c->bytes + c->prefix_length, user_key.data, user_key.length);
    uint32_t length = c->prefix_length + user_key.length;
    return (struct weir_key){.data = c->bytes, .length = length, .hash = hash64(c->bytes, length)};
}

/* Writes a place as a user key and returns its length. */
static uint32_t put_place(const struct cells *c, unsigned char *out, struct cell_place place)
{
    uint64_t major = htobe64(place.major), minor = htobe64(place.minor);
    memcpy(out, &major, 8);
    if (c->kind == CELLS_LIST) return 8;
    memcpy(out + 8, &minor, 8);
    return CELL_PLACE_BYTES;
}

struct weir_key cells_place_key(struct cells *c, struct cell_place place)
{
    uint32_t length = c->prefix_length + put_place(c, c->bytes + c->prefix_length, place);
    return (struct weir_key){.data = c->bytes, .length = length, .hash = hash64(c->bytes, length)};
}

bool cells_place(const struct cells *c, struct weir_bytes user_key, struct cell_place *place)
{
    *place = (struct cell_place){0, 0};
    if (c->kind == CELLS_MAP) return true;
    if (user_key.length != (c->kind == CELLS_LIST ? 8 : CELL_PLACE_BYTES)) return false;
    uint64_t words[2] = {0, 0};
    memcpy(words, user_key.data, user_key.length);
    *place = (struct cell_place){be64toh(words[0]), be64toh(words[1])};
    return true;
}

struct weir_bytes cells_user_key(const struct cells *c, struct table_entry *e)
{
    struct weir_key key = table_key(e);
    uint32_t prefix = cell_of(c, e)->group->length;
    return (struct weir_bytes){(const unsigned char *)key.data + prefix, key.length - prefix};
}

/* ---- groups -------------------------------------------------------------------------------------------------------------------------- */

static bool may_have_cells_far(const struct cells *c, uint64_t hash)
{
    return !store_is_complete(c->store) && filter_may_hold(&c->evicted, hash);
}

void cells_release_group(struct cells *c, struct table_entry *group)
{
    if (cell_group(group)->first || group == c->group || group == c->scan.group) return;
    table_remove(&c->groups, group);
}

static struct table_entry *use_group(struct cells *c, struct table_entry *group)
{
    struct table_entry *before = c->group;
    c->group = group;
    if (before && before != group) cells_release_group(c, before);
    return group;
}

/* Calls come in rows for one key: the group used last is looked at before any hash is computed. */
static bool is_used_last(const struct cells *c, const struct weir_key *prefix)
{
    if (!c->group || c->group->length != prefix->length) return false;
    return memcmp(table_key(c->group).data, prefix->data, prefix->length) == 0;
}

static struct table_entry *find_group(struct cells *c, struct weir_key *prefix)
{
    if (is_used_last(c, prefix)) return c->group;
    prefix->hash = hash64(prefix->data, prefix->length);
    struct table_entry *group = table_find(&c->groups, prefix);
    return group ? use_group(c, group) : NULL;
}

/* prefix: hashed by find_group, which has found none. */
static struct table_entry *make_group(struct cells *c, const struct weir_key *prefix)
{
    struct table_entry *group = table_put(&c->groups, prefix);
    if (!group) {
        (void)cells_no_memory(c);
        return NULL;
    }
    bool far = may_have_cells_far(c, prefix->hash);
    cell_group(group)->far_from = far ? 0 : NO_FAR_FROM;
    cell_group(group)->far_to = far ? UINT64_MAX : NO_FAR_TO;
    return use_group(c, group);
}

static struct weir_key aimed_prefix(const struct cells *c)
{
    return (struct weir_key){.data = c->bytes, .length = c->prefix_length};
}

struct table_entry *cells_make_group(struct cells *c)
{
    struct weir_key prefix = aimed_prefix(c);
    struct table_entry *group = find_group(c, &prefix);
    return group ? group : make_group(c, &prefix);
}

struct table_entry *cells_some_group(struct cells *c)
{
    struct weir_key prefix = aimed_prefix(c);
    struct table_entry *group = find_group(c, &prefix);
    if (group || !may_have_cells_far(c, prefix.hash)) return group;
    return make_group(c, &prefix);
}

/* ---- what may lie in the keeper only ------------------------------------------------------------------------------------------------- */

bool cells_may_be_far(struct table_entry *group, uint64_t from, uint64_t to)
{
    const struct cell_group *g = cell_group(group);
    return g->far_from <= g->far_to && from <= g->far_to && g->far_from <= to;
}

/* Shortens the range at one end; a hole in its middle is not remembered. */
void cells_learn_not_far(struct table_entry *group, uint64_t from, uint64_t to)
{
    struct cell_group *g = cell_group(group);
    if (g->far_from > g->far_to || from > to) return;
    bool front = from <= g->far_from && to >= g->far_from;
    bool back = from <= g->far_to && to >= g->far_to;
    if (front && back) {
        g->far_from = NO_FAR_FROM;
        g->far_to = NO_FAR_TO;
    } else if (front) {
        g->far_from = to + 1;
    } else if (back) {
        g->far_to = from - 1;
    }
}

static void note_far(struct cells *c, struct table_entry *group, uint64_t major)
{
    struct cell_group *g = cell_group(group);
    if (g->far_from > g->far_to) {
        struct weir_key prefix = table_key(group);
        filter_add(&c->evicted, hash64(prefix.data, prefix.length));
    }
    if (major < g->far_from) g->far_from = major;
    if (major > g->far_to) g->far_to = major;
}

/* The smallest bytes above all that begin with the first `length` ones, in place; 0 = there are none. */
static uint32_t step_over(unsigned char *bytes, uint32_t length)
{
    while (length && bytes[length - 1] == 0xff) length--;
    if (length) bytes[length - 1]++;
    return length;
}

struct store_cursor *cells_cursor(struct cells *c, const struct weir_key *key, uint64_t from, uint64_t to)
{
    unsigned char *low = c->bytes, *high = c->bytes + c->room;
    uint32_t low_length = c->prefix_length, high_length = c->prefix_length;
    memcpy(high, low, high_length);
    if (c->kind != CELLS_MAP && from > 0) low_length += put_place(c, low + low_length, (struct cell_place){from, 0});
    if (c->kind != CELLS_MAP && to < UINT64_MAX)
        high_length += put_place(c, high + high_length, (struct cell_place){to + 1, 0});
    else
        high_length = step_over(high, high_length);
    struct store_cursor *cursor = NULL;
    weir_err err = store_cursor_new(c->store, false, hash_key_group(key->hash), (struct weir_bytes){low, low_length},
                                    (struct weir_bytes){high, high_length}, &cursor);
    if (err && !cells_error(c)) (void)slot_fail(c->slot, err, "cannot read the cells of a collection");
    return err ? NULL : cursor;
}

/* ---- hooks of the store -------------------------------------------------------------------------------------------------------------- */

/* The group of a cell that enters memory: by the prefix of its key, which is well formed, as we asked for it. */
static struct table_entry *group_of(struct cells *c, struct table_entry *e)
{
    struct weir_key prefix = table_key(e);
    const unsigned char *p = prefix.data;
    uint32_t key_length = (uint32_t)p[0] << 8 | p[1];
    prefix.length = cell_prefix_length(key_length, p[2 + key_length]);
    struct table_entry *group = find_group(c, &prefix);
    return group ? group : make_group(c, &prefix);
}

static void cell_entered(void *owner, struct table_entry *e)
{
    struct cells *c = owner;
    struct table_entry *group = group_of(c, e);
    cell_of(c, e)->group = group;
    if (!group) return; /* the slot has failed */
    bool given = scan_has_given(c, group, e);
    index_add(c, group, e, given);
    scan_entered(c, group, e, given);
}

static void cell_leaves(void *owner, struct table_entry *e, enum store_leave why)
{
    struct cells *c = owner;
    struct table_entry *group = c->closing ? NULL : cell_of(c, e)->group;
    if (!group) return;
    if (why == STORE_EVICTED) note_far(c, group, index_place(c, e).major);
    scan_leaves(c, e);
    index_remove(c, group, e);
    cells_release_group(c, group);
}

/* ---- life ---------------------------------------------------------------------------------------------------------------------------- */

static uint32_t extra_size(enum cells_kind kind)
{
    return kind == CELLS_MAP ? (uint32_t)offsetof(struct cell, up) : (uint32_t)sizeof(struct cell);
}

static void init(struct cells *c, const struct family *family)
{
    table_init(&c->groups, sizeof(struct cell_group), c->memory);
    c->groups.key_max = cell_prefix_length(WEIR_KEY_MAX, WEIR_NAMESPACE_MAX);
    filter_init(&c->evicted, &c->slot->filters, c->memory);
    c->young_on_read = family->options.ttl_ms && family->options.ttl_on_read;
}

weir_err cells_new(struct cells **out, struct family *family, enum cells_kind kind, uint32_t value_size, struct weir_diag *diag)
{
    struct memory *memory = slot_memory(family_slot(family));
    struct cells *c = memory_alloc(memory, sizeof *c);
    if (!c) return weir_fail(diag, WEIR_E_NOMEM, "no memory for a collection");
    *c = (struct cells){.slot = family_slot(family), .memory = memory, .kind = kind, .value_size = value_size};
    init(c, family);
    struct store_spec spec = {.keys = STORE_KEY_CELL, .extra_size = extra_size(kind), .key_max = CELL_KEY_MAX};
    spec.entered = cell_entered;
    spec.leaves = cell_leaves;
    spec.owner = c;
    weir_err err = store_new(&c->store, family, &spec);
    if (err) {
        cells_destroy(&c);
        return weir_fail(diag, err, "cannot make the store of a collection");
    }
    if (!store_is_complete(c->store)) filter_give_up(&c->evicted); /* restored: what lies in the keeper is not known by prefix */
    *out = c;
    return WEIR_OK;
}

static void release_slabs(struct cells *c)
{
    struct table *t = &c->groups;
    if (t->free_bytes < GROUPS_SLACK || t->free_bytes < t->count * sizeof(struct cell_group)) return;
    for (uint32_t i = 0; i < t->n_slabs; i++) {
        if (t->slabs[i].data && t->slabs[i].live == 0) table_release(t, i);
    }
}

static void free_scratch(struct cells *c)
{
    memory_free(c->memory, c->bytes, (size_t)c->room * 2);
    c->bytes = NULL;
    c->room = 0;
}

void cells_destroy(struct cells **cells)
{
    struct cells *c = *cells;
    if (!c) return;
    scan_end(c);
    c->closing = true;
    store_destroy(&c->store, false);
    table_close(&c->groups);
    filter_close(&c->evicted);
    free_scratch(c);
    memory_free(c->memory, c, sizeof *c);
    *cells = NULL;
}

void cells_rest(struct cells *c)
{
    scan_end(c);
    release_slabs(c);
    if (c->room > ROOM_KEPT) free_scratch(c); /* it is no part of the state, and would stay */
}

/* ---- one cell ------------------------------------------------------------------------------------------------------------------------ */

bool cells_is_live(struct cells *c, struct table_entry *e)
{
    if (WEIR_LIKELY(!store_expired(c->store, stamp_time(e->stamp)))) return true;
    store_remove_entry(c->store, e);
    return false;
}

void cells_note_read(struct cells *c, struct table_entry *e)
{
    e->stamp |= STAMP_REF; /* in use: it stays when memory is needed */
    if (c->young_on_read) store_touch(c->store, e);
}

/* Empty is not none: it has an address. */
static struct weir_bytes with_address(struct weir_bytes bytes)
{
    return bytes.data ? bytes : (struct weir_bytes){"", 0};
}

struct weir_bytes cells_value(const struct cells *c, struct table_entry *e)
{
    if (c->value_size == 0 || c->kind == CELLS_LIST) return with_address(store_bytes(c->store, e));
    return (struct weir_bytes){store_value(c->store, e), c->value_size};
}

struct weir_bytes cells_get(struct cells *c, const struct weir_key *cell)
{
    struct table_entry *e = store_find(c->store, cell, NULL);
    return e ? cells_value(c, e) : (struct weir_bytes){NULL, 0};
}

/*
 * A cell that is not in memory needs a group when it comes. It is made before the cell, so that without memory nothing has changed; when
 * the store is complete and has the cell, one probe tells that none is needed.
 */
static bool has_group(struct cells *c, struct table_entry *resident)
{
    return resident || cells_make_group(c);
}

void *cells_edit(struct cells *c, const struct weir_key *cell)
{
    struct table_entry *e = store_is_complete(c->store) ? store_find_edit(c->store, cell, NULL) : NULL;
    if (!has_group(c, e)) return NULL;
    if (!e) e = store_edit(c->store, cell, NULL);
    return e ? store_value(c->store, e) : NULL;
}

weir_err cells_put(struct cells *c, const struct weir_key *cell, const void *data, uint32_t length)
{
    if (c->value_size) {
        if (length != c->value_size) return WEIR_E_ARGUMENT;
        void *value = cells_edit(c, cell);
        if (!value) return cells_failure(c);
        memmove(value, data, length);
        return WEIR_OK;
    }
    if (length > WEIR_VALUE_MAX) return WEIR_E_LIMIT;
    if (!has_group(c, store_is_complete(c->store) ? store_find(c->store, cell, NULL) : NULL)) return cells_failure(c);
    return store_write(c->store, cell, NULL, data, length);
}

weir_err cells_remove(struct cells *c, const struct weir_key *cell)
{
    store_remove(c->store, cell);
    return cells_error(c);
}

/* ---- all cells of a group ------------------------------------------------------------------------------------------------------------ */

static bool is_far(struct cells *c, const struct weir_key *key, struct table_entry *group)
{
    if (!cells_may_be_far(group, 0, UINT64_MAX)) return false;
    struct store_cursor *cursor = cells_cursor(c, key, 0, UINT64_MAX);
    if (!cursor) return false;
    struct weir_bytes ignored, value;
    bool found = store_cursor_next(cursor, &ignored, &value);
    store_cursor_destroy(&cursor);
    if (!found && !cells_error(c)) cells_learn_not_far(group, 0, UINT64_MAX);
    return found;
}

bool cells_is_empty(struct cells *c, const struct weir_key *key, struct weir_bytes ns)
{
    if (cells_aim(c, key, ns, 0)) return true;
    struct table_entry *group = cells_some_group(c);
    if (!group) return true;
    while (cell_group(group)->first) {
        if (cells_is_live(c, cell_group(group)->first)) return false;
    }
    return !is_far(c, key, group);
}

static void remove_residents(struct cells *c, struct table_entry *group, uint64_t to)
{
    struct cell_group *g = cell_group(group); /* stays: it was used last */
    while (g->first && index_place(c, g->first).major <= to) store_remove_entry(c->store, g->first);
}

static weir_err remove_far(struct cells *c, const struct weir_key *key, struct table_entry *group, uint64_t to)
{
    if (!cells_may_be_far(group, 0, to)) return WEIR_OK;
    struct store_cursor *cursor = cells_cursor(c, key, 0, to);
    if (!cursor) return cells_failure(c);
    struct weir_bytes bytes, value;
    while (store_cursor_next(cursor, &bytes, &value)) {
        struct weir_key cell = {.data = bytes.data, .length = bytes.length, .hash = hash64(bytes.data, bytes.length)};
        store_remove(c->store, &cell);
    }
    store_cursor_destroy(&cursor);
    if (!cells_error(c)) cells_learn_not_far(group, 0, to);
    return cells_error(c);
}

weir_err cells_clear(struct cells *c, const struct weir_key *key, struct weir_bytes ns, uint64_t to)
{
    weir_err err = cells_aim(c, key, ns, 0);
    if (err) return err;
    struct table_entry *group = cells_some_group(c);
    if (!group) return cells_error(c);
    if (to == UINT64_MAX && c->scan.group == group) scan_end(c);
    remove_residents(c, group, to);
    return remove_far(c, key, group, to);
}
