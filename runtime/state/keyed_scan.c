/* SPDX-License-Identifier: Apache-2.0 */
/* All keys of a value state: the residents first, then what the keeper alone holds. */
#include <stdlib.h>
#include <string.h>

#include "runtime/base/hash.h"
#include "runtime/state/keyed_internal.h"

#define IN_KEEPER UINT64_MAX /* cursor of a scan whose residents are through */

struct value_scan {
    struct store_cursor *keeper; /* NULL: among the residents, or ended */
    struct weir_key key;
    void *value; /* a copy: the keeper's bytes lie anywhere, values at multiples of 8 */
    size_t value_cap;
    _Alignas(16) unsigned char short_key[TABLE_INLINE_MAX]; /* likewise; longer keys are no fixed-size members */
};

void keyed_scan_close(struct weir_state *s)
{
    if (!s->scan) return;
    store_cursor_destroy(&s->scan->keeper);
    free(s->scan->value);
    free(s->scan);
    s->scan = NULL;
}

const struct weir_key *keyed_value_scanned(const struct weir_state *s)
{
    return &s->scan->key;
}

static bool begin(struct weir_state *s)
{
    struct state_slot *slot = s->keyed->slot;
    if (!s->store || s->namespaced) {
        (void)slot_fail(slot, WEIR_E_ARGUMENT, "only states of one value a key, without namespaces, are scanned by key");
        return false;
    }
    if (!s->scan) s->scan = calloc(1, sizeof *s->scan);
    if (!s->scan) {
        (void)slot_fail(slot, WEIR_E_NOMEM, "out of memory for a scan");
        return false;
    }
    store_cursor_destroy(&s->scan->keeper); /* of a scan that was given up */
    store_pin(s->store, true);
    return true;
}

static void end(struct weir_state *s)
{
    store_cursor_destroy(&s->scan->keeper);
    store_pin(s->store, false);
}

static bool turn_to_keeper(struct weir_state *s, uint64_t *cursor)
{
    const struct weir_bytes all = {NULL, 0};
    *cursor = IN_KEEPER;
    if (!store_is_complete(s->store) && !store_cursor_new(s->store, true, 0, all, all, &s->scan->keeper)) return true;
    end(s);
    return false;
}

/* Makes room for a copy of `length` bytes. */
static bool reserve(struct weir_state *s, size_t length)
{
    struct value_scan *scan = s->scan;
    if (length <= scan->value_cap && scan->value) return true;
    void *grown = realloc(scan->value, length + length / 2 + 64);
    if (!grown) {
        (void)slot_fail(s->keyed->slot, WEIR_E_NOMEM, "out of memory for a scan");
        return false;
    }
    scan->value = grown;
    scan->value_cap = length + length / 2 + 64;
    return true;
}

static bool next_in_keeper(struct weir_state *s, struct weir_bytes *value)
{
    struct value_scan *scan = s->scan;
    struct weir_bytes key, stored;
    if (!scan->keeper) return false; /* asked once more, behind the end */
    if (!store_cursor_next(scan->keeper, &key, &stored) || !reserve(s, stored.length)) {
        end(s);
        return false;
    }
    if (stored.length) memcpy(scan->value, stored.data, stored.length);
    if (key.length <= sizeof scan->short_key) {
        if (key.length) memcpy(scan->short_key, key.data, key.length);
        key.data = scan->short_key;
    }
    scan->key = (struct weir_key){.data = key.data, .length = key.length, .hash = hash64(key.data, key.length)};
    *value = (struct weir_bytes){scan->value, stored.length};
    return true;
}

/* A restored file may hold keys of other instances; one that was asked for, whoever did, is in memory. */
static bool is_own(const struct weir_state *s, uint64_t hash)
{
    uint16_t group = hash_key_group(hash);
    return group >= s->keyed->first_group && group <= s->keyed->last_group;
}

static bool next_resident(struct weir_state *s, uint64_t *cursor, struct weir_bytes *value)
{
    for (struct table_entry *e; (e = store_next_resident(s->store, cursor)) != NULL;) {
        struct weir_key key = table_key(e);
        key.hash = hash64(key.data, key.length);
        if (!is_own(s, key.hash)) continue;
        s->scan->key = key;
        *value = store_bytes(s->store, e);
        return true;
    }
    return false;
}

bool keyed_value_next(struct weir_state *s, uint64_t *cursor, struct weir_key *key, struct weir_bytes *value)
{
    if (*cursor == 0 && !begin(s)) return false;
    bool found = *cursor != IN_KEEPER && next_resident(s, cursor, value);
    if (!found && *cursor != IN_KEEPER && !turn_to_keeper(s, cursor)) return false;
    if (!found && !next_in_keeper(s, value)) return false;
    *key = s->scan->key;
    return true;
}
