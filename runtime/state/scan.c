/* SPDX-License-Identifier: Apache-2.0 */
/* All of a store, or a range of it: residents, and what only the keeper holds. */
#include <stdlib.h>
#include <string.h>

#include "runtime/base/hash.h"
#include "runtime/state/internal.h"

struct store_cursor {
    struct store *store;
    struct rocks_cursor *rocks; /* NULL: the keeper holds nothing */
    uint32_t skip;              /* bytes in front of a store's key: prefix and key group */
};

bool store_is_complete(const struct store *s)
{
    return s->complete;
}

uint64_t store_residents(const struct store *s)
{
    return s->live;
}

struct table_entry *store_next_resident(struct store *s, uint64_t *cursor)
{
    struct table_entry *e;
    while ((e = table_next(&s->table, cursor)) != NULL) {
        if (!(e->stamp & STAMP_DELETED) && !store_expired(s, stamp_time(e->stamp))) return e;
    }
    return NULL;
}

/* Bytes of the keeper's key: prefix, group, key. A group of 65536 and no key gives the end of all groups. */
static unsigned char *put_bound(const struct store *s, uint32_t group, struct weir_bytes key, uint32_t *length)
{
    uint32_t n = s->spec.prefix.length;
    unsigned char *out = malloc((size_t)n + 2 + key.length);
    if (!out) return NULL;
    memcpy(out, s->prefix, n);
    out[n] = (unsigned char)(group >> 8);
    out[n + 1] = (unsigned char)group;
    if (key.length) memcpy(out + n + 2, key.data, key.length);
    *length = n + 2 + key.length;
    return out;
}

static weir_err open_rocks(struct store_cursor *c, bool all_groups, uint16_t group, struct weir_bytes from, struct weir_bytes to)
{
    struct store *s = c->store;
    const struct family_options *o = &s->family->options;
    struct weir_bytes none = {NULL, 0};
    uint32_t from_length = 0, to_length = 0;
    unsigned char *lower = put_bound(s, all_groups ? o->first_group : group, from, &from_length);
    unsigned char *upper =
        to.length ? put_bound(s, group, to, &to_length) : put_bound(s, all_groups ? o->last_group + 1u : group + 1u, none, &to_length);
    struct weir_diag diag;
    weir_err err = WEIR_E_NOMEM;
    if (lower && upper) {
        err = rocks_cursor_new(s->family->keeper, (struct weir_bytes){lower, from_length}, (struct weir_bytes){upper, to_length},
                               all_groups ? ROCKS_SCAN : 0, &c->rocks, &diag);
    } else {
        (void)weir_fail(&diag, err, "state '%s': out of memory for a scan", s->family->name);
    }
    free(lower);
    free(upper);
    return err ? slot_fail_diag(s->family->slot, &diag) : WEIR_OK;
}

weir_err store_cursor_new(struct store *s, bool all_groups, uint16_t group, struct weir_bytes from, struct weir_bytes to,
                          struct store_cursor **out)
{
    struct store_cursor *c = calloc(1, sizeof *c);
    if (!c) return slot_fail(s->family->slot, WEIR_E_NOMEM, "state '%s': out of memory for a scan", s->family->name);
    c->store = s;
    c->skip = s->spec.prefix.length + 2;
    if (!s->complete && s->family->keeper) {
        /* What a frozen run has not brought to the keeper yet is in memory, and so are its tombstones: nothing to wait for. */
        weir_err err = open_rocks(c, all_groups, group, from, to);
        if (err) {
            free(c);
            return err;
        }
    }
    *out = c;
    return WEIR_OK;
}

void store_cursor_destroy(struct store_cursor **cursor)
{
    if (!*cursor) return;
    rocks_cursor_destroy(&(*cursor)->rocks);
    free(*cursor);
    *cursor = NULL;
}

static bool known_in_memory(struct store *s, struct weir_bytes key)
{
    struct weir_key k = {.data = key.data, .length = key.length, .hash = hash64(key.data, key.length)};
    return table_find(&s->table, &k) != NULL;
}

typedef weir_err step(struct rocks_cursor *, bool *, struct weir_bytes *, struct weir_bytes *, struct weir_diag *);

static bool advance(struct store_cursor *c, step *next, struct weir_bytes *key, struct weir_bytes *stored)
{
    struct state_slot *slot = c->store->family->slot;
    struct weir_diag diag;
    bool more = true;
    while (c->rocks && !slot_failed(slot)) {
        if (next(c->rocks, &more, key, stored, &diag)) {
            (void)slot_fail_diag(slot, &diag);
            return false;
        }
        if (!more) return false;
        int64_t time_ms;
        if (key->length < c->skip || stored->length < 8) {
            (void)slot_fail(slot, WEIR_E_CORRUPT, "state '%s': an entry of %u and %u bytes", c->store->family->name, key->length,
                            stored->length);
            return false;
        }
        memcpy(&time_ms, stored->data, 8);
        *key = (struct weir_bytes){(const char *)key->data + c->skip, key->length - c->skip};
        if (!store_expired(c->store, time_ms) && !known_in_memory(c->store, *key)) return true;
    }
    return false;
}

static bool give(struct store_cursor *c, step *next, struct weir_bytes *key, struct weir_bytes *value)
{
    struct weir_bytes stored;
    if (!advance(c, next, key, &stored)) return false;
    *value = (struct weir_bytes){(const char *)stored.data + 8, stored.length - 8};
    return true;
}

bool store_cursor_next(struct store_cursor *c, struct weir_bytes *key, struct weir_bytes *value)
{
    return give(c, rocks_cursor_next, key, value);
}

bool store_cursor_last(struct store_cursor *c, struct weir_bytes *key, struct weir_bytes *value)
{
    return give(c, rocks_cursor_last, key, value);
}

/* What was restored is forgotten, as if all had just been made. */
static weir_err write_anew(struct store *s)
{
    struct family *f = s->family;
    uint64_t cursor = 0;
    for (struct table_entry *e; (e = table_next(&s->table, &cursor)) != NULL;) {
        weir_err err = store_mark_dirty(s, e);
        if (err) return err;
        e->stamp &= ~(uint64_t)(STAMP_STORED | STAMP_KEPT);
    }
    file_list_close(&f->files);
    f->restored = f->spilled = f->all_kept = s->stored = false;
    return WEIR_OK;
}

weir_err store_load_all(struct store *s)
{
    struct store_cursor *c;
    struct weir_bytes none = {NULL, 0}, bytes, stored;
    weir_err err = store_cursor_new(s, true, 0, none, none, &c);
    if (err) return err;
    while (advance(c, rocks_cursor_next, &bytes, &stored)) {
        struct weir_key key = {.data = bytes.data, .length = bytes.length, .hash = hash64(bytes.data, bytes.length)};
        if (!store_admit(s, &key, stored)) break;
    }
    store_cursor_destroy(&c);
    err = slot_error(s->family->slot, NULL);
    if (err) return err;
    s->complete = true;
    return s->family->options.whole ? write_anew(s) : WEIR_OK;
}
