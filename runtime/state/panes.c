/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/state/panes.h"

#include <endian.h>
#include <string.h>

#include "runtime/base/assert.h"
#include "runtime/base/hash.h"

#define PANES_FIRST 8u       /* room for tables at first */
#define IN_KEEPER UINT64_MAX /* cursor of a scan whose residents are through */
#define SIGN_BIT ((uint64_t)1 << 63)

struct weir_table {
    int64_t pane;
    struct weir_panes *panes;
    struct store *store;
    struct store_cursor *scan;                        /* of a scan that has come to the keeper */
    _Alignas(16) unsigned char key[TABLE_INLINE_MAX]; /* the keeper's bytes lie anywhere; what a scan gives is aligned as entries are */
    unsigned char value[];
};

struct weir_panes {
    struct family *family;
    struct state_slot *slot;
    struct memory *memory;
    uint32_t value_size;
    struct weir_table **tables; /* by ascending pane */
    uint32_t n, cap;
};

/* ---- panes ------------------------------------------------------------------------------------------------------------------------- */

static size_t table_bytes(const struct weir_panes *p)
{
    return sizeof(struct weir_table) + p->value_size;
}

weir_err panes_new(struct weir_panes **out, struct family *family, uint32_t value_size)
{
    struct state_slot *slot = family_slot(family);
    struct memory *m = slot_memory(slot);
    struct weir_panes *p = memory_alloc(m, sizeof *p);
    struct weir_table **tables = memory_alloc(m, PANES_FIRST * sizeof *tables);
    if (!p || !tables) {
        memory_free(m, p, sizeof *p);
        memory_free(m, tables, PANES_FIRST * sizeof *tables);
        return slot_fail(slot, WEIR_E_NOMEM, "out of memory for panes");
    }
    *p = (struct weir_panes){.family = family, .slot = slot, .memory = m, .value_size = value_size, .tables = tables, .cap = PANES_FIRST};
    *out = p;
    return WEIR_OK;
}

static void free_table(struct weir_table *t, bool forget)
{
    struct weir_panes *p = t->panes;
    store_cursor_destroy(&t->scan);
    store_destroy(&t->store, forget);
    memory_free(p->memory, t, table_bytes(p));
}

void panes_destroy(struct weir_panes **panes)
{
    struct weir_panes *p = *panes;
    if (!p) return;
    for (uint32_t i = 0; i < p->n; i++) free_table(p->tables[i], false);
    memory_free(p->memory, p->tables, p->cap * sizeof *p->tables);
    memory_free(p->memory, p, sizeof *p);
    *panes = NULL;
}

/* Index of the first table whose pane is not below `pane`. */
static uint32_t lower_bound(const struct weir_panes *p, int64_t pane)
{
    uint32_t lo = 0, hi = p->n;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (p->tables[mid]->pane < pane)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

static bool reserve_table(struct weir_panes *p)
{
    if (p->n < p->cap) return true;
    if (p->cap > UINT32_MAX / 2) return false;
    struct weir_table **tables = memory_alloc(p->memory, (size_t)p->cap * 2 * sizeof *tables);
    if (!tables) return false;
    memcpy(tables, p->tables, p->n * sizeof *tables);
    memory_free(p->memory, p->tables, p->cap * sizeof *tables);
    p->tables = tables;
    p->cap *= 2;
    return true;
}

/* Numbers as bytes whose order is that of the numbers. */
static void put_prefix(unsigned char out[PANES_PREFIX], int64_t pane)
{
    uint64_t x = htobe64((uint64_t)pane ^ SIGN_BIT);
    memcpy(out, &x, PANES_PREFIX);
}

static int64_t get_prefix(const unsigned char in[PANES_PREFIX])
{
    uint64_t x;
    memcpy(&x, in, PANES_PREFIX);
    return (int64_t)(be64toh(x) ^ SIGN_BIT);
}

/* before: the table of the next lower pane; NULL: there is none. */
static weir_err make_table(struct weir_panes *p, int64_t pane, const struct weir_table *before, struct weir_table **out)
{
    struct weir_table *t = memory_alloc(p->memory, table_bytes(p));
    if (!t) return slot_fail(p->slot, WEIR_E_NOMEM, "out of memory for a pane");
    t->pane = pane;
    t->panes = p;
    unsigned char prefix[PANES_PREFIX];
    put_prefix(prefix, pane);
    weir_err err =
        store_new(&t->store, p->family,
                  &(struct store_spec){.keys = STORE_KEY_RAW, .prefix = {prefix, PANES_PREFIX}, .before = before ? before->store : NULL});
    if (err) {
        memory_free(p->memory, t, table_bytes(p));
        return err;
    }
    *out = t;
    return WEIR_OK;
}

weir_err keyed_panes_table(struct weir_panes *p, int64_t pane, struct weir_table **out)
{
    if (pane == INT64_MIN) return WEIR_E_ARGUMENT; /* weir_panes_next begins behind it */
    uint32_t at = lower_bound(p, pane);
    if (at < p->n && p->tables[at]->pane == pane) {
        *out = p->tables[at];
        return WEIR_OK;
    }
    if (!reserve_table(p)) return slot_fail(p->slot, WEIR_E_NOMEM, "out of memory for a pane");
    struct weir_table *t = NULL;
    weir_err err = make_table(p, pane, at ? p->tables[at - 1] : NULL, &t);
    if (err) return err;
    memmove(p->tables + at + 1, p->tables + at, (p->n - at) * sizeof *p->tables);
    p->tables[at] = t;
    p->n++;
    *out = t;
    return WEIR_OK;
}

bool keyed_panes_next(struct weir_panes *p, int64_t after, int64_t *pane)
{
    if (after == INT64_MAX) return false;
    unsigned char prefix[PANES_PREFIX], next[PANES_PREFIX];
    bool found = false;
    put_prefix(prefix, after);
    if (family_next_prefix(p->family, prefix, PANES_PREFIX, next, &found)) return false;
    uint32_t at = lower_bound(p, after + 1);
    if (at < p->n && (!found || p->tables[at]->pane < get_prefix(next))) {
        *pane = p->tables[at]->pane;
        return true;
    }
    if (found) *pane = get_prefix(next);
    return found;
}

void keyed_table_drop(struct weir_table **table)
{
    struct weir_table *t = *table;
    if (!t) return;
    struct weir_panes *p = t->panes;
    uint32_t at = lower_bound(p, t->pane);
    WEIR_ASSERT(at < p->n && p->tables[at] == t);
    p->n--;
    memmove(p->tables + at, p->tables + at + 1, (p->n - at) * sizeof *p->tables);
    free_table(t, true);
    *table = NULL;
}

/* ---- one table --------------------------------------------------------------------------------------------------------------------- */

weir_err keyed_table_probe(struct weir_table *t, const struct weir_key *keys, const uint32_t *idx, uint32_t n, void **values)
{
    return store_probe(t->store, keys, idx, n, values);
}

void *keyed_table_find(struct weir_table *t, const struct weir_key *key)
{
    struct table_entry *e = store_find_edit(t->store, key, NULL);
    return e ? store_value(t->store, e) : NULL;
}

void keyed_table_remove(struct weir_table *t, const struct weir_key *key)
{
    store_remove(t->store, key);
}

/* ---- scans ------------------------------------------------------------------------------------------------------------------------- */

static void end_scan(struct weir_table *t)
{
    store_cursor_destroy(&t->scan);
    store_pin(t->store, false);
}

static void begin_scan(struct weir_table *t)
{
    store_cursor_destroy(&t->scan); /* of a scan that was given up */
    store_pin(t->store, true);
}

static bool turn_to_keeper(struct weir_table *t, uint64_t *cursor)
{
    const struct weir_bytes all = {NULL, 0};
    if (store_is_complete(t->store) || store_cursor_new(t->store, true, 0, all, all, &t->scan)) {
        end_scan(t);
        return false;
    }
    *cursor = IN_KEEPER;
    return true;
}

static bool next_in_keeper(struct weir_table *t, struct weir_key *key, void **value)
{
    struct weir_bytes k, v;
    if (!t->scan) return false; /* asked once more, behind the end */
    if (!store_cursor_next(t->scan, &k, &v)) {
        end_scan(t);
        return false;
    }
    WEIR_ASSERT(v.length == t->panes->value_size);
    memcpy(t->value, v.data, v.length);
    if (k.length <= sizeof t->key) {
        if (k.length) memcpy(t->key, k.data, k.length);
        k.data = t->key;
    }
    *key = (struct weir_key){.data = k.data, .length = k.length, .hash = hash64(k.data, k.length)};
    *value = t->value;
    return true;
}

bool keyed_table_next(struct weir_table *t, uint64_t *cursor, struct weir_key *key, void **value)
{
    if (*cursor == 0) begin_scan(t);
    if (*cursor == IN_KEEPER) return next_in_keeper(t, key, value);
    struct table_entry *e = store_next_resident(t->store, cursor);
    if (!e) return turn_to_keeper(t, cursor) && next_in_keeper(t, key, value);
    *key = table_key(e);
    key->hash = hash64(key->data, key->length);
    *value = store_value(t->store, e);
    return true;
}
