/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "runtime/base/assert.h"
#include "runtime/base/hash.h"
#include "runtime/state/cell.h"
#include "runtime/state/internal.h"

#define LOOK_AT_EACH 0xff /* no stamp has these flags alone */

/* ---- life ------------------------------------------------------------------------------------------------------------------------- */

static void link_store(struct family *f, struct store *s)
{
    struct store *prev = s->spec.before, *next = prev ? prev->next : f->stores;
    for (; next && memcmp(next->prefix, s->prefix, FAMILY_PREFIX_MAX) < 0; next = next->next) prev = next;
    s->prev = prev;
    s->next = next;
    *(prev ? &prev->next : &f->stores) = s;
    if (next) next->prev = s;
    f->slot->n_stores++;
}

static void unlink_store(struct store *s)
{
    struct family *f = s->family;
    *(s->prev ? &s->prev->next : &f->stores) = s->next;
    if (s->next) s->next->prev = s->prev;
    if (f->hand == s) f->hand = s->next;
    f->slot->n_stores--;
    if (f->frozen && f->frozen->store == s) {
        f->frozen->store = s->next;
        f->frozen->at = 0;
    }
    if (f->turn.store == s) {
        f->turn.store = s->next;
        f->turn.cursor = 0;
    }
}

/* Slabs are small beside the budget, so that giving one back or taking one is a small step. */
static size_t slab_max(uint64_t budget)
{
    size_t bytes = 1024;
    while (bytes < MEMORY_HUGE_BYTES && bytes < budget / 64) bytes *= 2;
    return bytes;
}

weir_err store_new(struct store **out, struct family *f, const struct store_spec *spec)
{
    struct state_slot *slot = f->slot;
    struct store *s = calloc(1, sizeof *s);
    if (!s) return slot_fail(slot, WEIR_E_NOMEM, "state '%s': out of memory", f->name);
    s->family = f;
    s->spec = *spec;
    if (spec->prefix.length) memcpy(s->prefix, spec->prefix.data, spec->prefix.length);
    s->spec.prefix.data = s->prefix;
    s->value_size = f->options.value_size;
    s->value_at = spec->extra_size;
    s->now_bits = &slot->now_bits;
    s->fast_expect = f->options.ttl_ms ? LOOK_AT_EACH : f->dirty;
    table_init(&s->table, s->value_at + (s->value_size ? s->value_size : (uint32_t)sizeof(struct blob)), &slot->memory);
    if (spec->key_max) s->table.key_max = spec->key_max;
    s->table.slab_max = slab_max(slot->budget);
    filter_init(&s->filter, &slot->filters, &slot->memory);
    s->complete = !family_restored(f, spec->prefix);
    s->stored = !s->complete;
    if (!s->complete) filter_give_up(&s->filter); /* what came by a restore is not known key by key */
    if (!f->stores) f->options.prefix_length = spec->prefix.length;
    WEIR_ASSERT(f->options.prefix_length == spec->prefix.length);
    link_store(f, s);
    *out = s;
    return WEIR_OK;
}

static void count_clean(struct store *s, int more)
{
    s->clean += (uint64_t)more;
    s->family->clean += (uint64_t)more;
}

static void free_blob(struct store *s, struct table_entry *e)
{
    if (s->value_size) return;
    struct blob *b = store_value(s, e);
    memory_free(s->table.memory, b->data, b->cap);
    *b = (struct blob){0};
}

/* The keeper's keys of this store: [prefix · first group, prefix · last group + 1). */
static weir_err forget_all(struct store *s)
{
    unsigned char from[FAMILY_PREFIX_MAX + 2], to[FAMILY_PREFIX_MAX + 3];
    uint32_t n = s->spec.prefix.length, end = s->family->options.last_group + 1u;
    memcpy(from, s->prefix, n);
    memcpy(to, s->prefix, n);
    from[n] = (unsigned char)(s->family->options.first_group >> 8);
    from[n + 1] = (unsigned char)s->family->options.first_group;
    to[n] = (unsigned char)(end >> 8);
    to[n + 1] = (unsigned char)end;
    return family_forget_range(s->family, (struct weir_bytes){from, n + 2}, (struct weir_bytes){to, n + 2});
}

void store_destroy(struct store **store, bool forget)
{
    struct store *s = *store;
    if (!s) return;
    struct state_slot *slot = s->family->slot;
    if (s->frozen.n && !slot_failed(slot)) store_copy_waiting(s);
    if (forget && !slot_failed(slot) && s->stored) (void)forget_all(s);
    uint64_t cursor = 0;
    for (struct table_entry *e; (e = table_next(&s->table, &cursor)) != NULL;) {
        if (e->stamp & STAMP_DIRTY) slot->reserved -= slot->snapshots ? store_cost(s, e) : 0;
        if (e->stamp & STAMP_KEPT && !(e->stamp & STAMP_DIRTY)) count_clean(s, -1);
        s->family->entries--;
        free_blob(s, e);
    }
    unlink_store(s);
    table_close(&s->table);
    filter_close(&s->filter);
    entry_list_close(&s->dirty, &slot->memory);
    entry_list_close(&s->frozen, &slot->memory);
    entry_list_close(&s->dead, &slot->memory);
    free(s);
    *store = NULL;
}

/* ---- keys ------------------------------------------------------------------------------------------------------------------------- */

uint16_t store_key_group(const struct store *s, struct weir_bytes key)
{
    struct weir_bytes user = key, ns, rest;
    switch (s->spec.keys) {
    case STORE_KEY_RAW: break;
    case STORE_KEY_CELL:
        if (!cell_parse(key, &user, &ns, &rest)) return 0;
        break;
    case STORE_KEY_TIMER:
        if (key.length < 16) return 0;
        user = (struct weir_bytes){(const char *)key.data + 16, key.length - 16};
        break;
    case STORE_KEY_NONE: return 0;
    }
    return hash_key_group(hash64(user.data, user.length));
}

struct weir_bytes store_keeper_key(struct store *s, struct weir_bytes key)
{
    struct state_slot *slot = s->family->slot;
    uint32_t n = s->spec.prefix.length;
    size_t need = (size_t)n + 2 + key.length;
    if (need > slot->scratch_cap) {
        unsigned char *grown = realloc(slot->scratch, need * 2);
        if (!grown) {
            (void)slot_fail(slot, WEIR_E_NOMEM, "state '%s': out of memory for a key", s->family->name);
            return (struct weir_bytes){NULL, 0};
        }
        slot->scratch = grown;
        slot->scratch_cap = need * 2;
    }
    uint16_t group = store_key_group(s, key);
    memcpy(slot->scratch, s->prefix, n);
    slot->scratch[n] = (unsigned char)(group >> 8);
    slot->scratch[n + 1] = (unsigned char)group;
    if (key.length) memcpy(slot->scratch + n + 2, key.data, key.length);
    return (struct weir_bytes){slot->scratch, (uint32_t)need};
}

/* ---- entries ------------------------------------------------------------------------------------------------------------------------ */

void *store_extra(const struct store *s, struct table_entry *e)
{
    (void)s;
    return table_value(e);
}

void *store_value(const struct store *s, struct table_entry *e)
{
    return (unsigned char *)table_value(e) + s->value_at;
}

struct weir_bytes store_bytes(const struct store *s, const struct table_entry *entry)
{
    struct table_entry *e = (struct table_entry *)(uintptr_t)entry;
    if (s->value_size) return (struct weir_bytes){store_value(s, e), s->value_size};
    struct blob *b = store_value(s, e);
    return (struct weir_bytes){b->data ? (void *)b->data : (void *)b, b->length}; /* an empty value is not the same as none */
}

uint64_t store_cost(const struct store *s, struct table_entry *e)
{
    uint64_t value = s->value_size ? s->value_size : ((struct blob *)store_value(s, e))->length;
    return RUN_ENTRY_BYTES + s->spec.prefix.length + e->length + value;
}

bool store_expired(const struct store *s, int64_t time_ms)
{
    int64_t ttl_ms = s->family->options.ttl_ms;
    return ttl_ms && atomic_load_explicit(&s->family->slot->now_ms, memory_order_relaxed) - time_ms >= ttl_ms;
}

/* Live, as readers see it. */
static inline bool is_live(const struct store *s, const struct table_entry *e)
{
    return !(e->stamp & STAMP_DELETED) && !(s->family->options.ttl_ms && store_expired(s, stamp_time(e->stamp)));
}

static bool unmark(struct table_entry *e, void *store)
{
    (void)store;
    e->stamp &= ~(uint64_t)STAMP_REF;
    return true;
}

static bool still_dirty(struct table_entry *e, void *store)
{
    const struct store *s = store;
    if (e->length == TABLE_FREE || !(e->stamp & s->family->dirty) || e->stamp & STAMP_REF) return false;
    e->stamp |= STAMP_REF;
    return true;
}

/* Drops what is gone from the list of dirty entries, and keeps the first of what is there twice: it borrows STAMP_REF as a mark. */
static void tidy_dirty(struct store *s)
{
    entry_list_keep(&s->dirty, s->table.memory, unmark, s);
    entry_list_keep(&s->dirty, s->table.memory, still_dirty, s);
}

weir_err store_mark_dirty(struct store *s, struct table_entry *e)
{
    struct state_slot *slot = s->family->slot;
    if (e->stamp & s->family->dirty) return WEIR_OK;
    if (store_waits(s, e) && store_copy_first(s, e)) return slot_error(slot, NULL);
    if (slot->snapshots) {
        if (entry_list_is_full(&s->dirty) && s->dirty.n > 2 * s->table.count) tidy_dirty(s);
        if (!entry_list_put(&s->dirty, s->table.memory, e))
            return slot_fail(slot, WEIR_E_NOMEM, "state '%s': out of memory", s->family->name);
        slot->reserved += store_cost(s, e);
    }
    if (e->stamp & STAMP_KEPT) count_clean(s, -1);
    e->stamp |= s->family->dirty;
    return WEIR_OK;
}

void store_set_clean(struct store *s, struct table_entry *e, uint64_t flags)
{
    struct family *f = s->family;
    bool was = e->stamp & STAMP_KEPT && !(e->stamp & STAMP_DIRTY), is = flags & STAMP_KEPT;
    if (e->stamp & STAMP_DIRTY && f->slot->snapshots) f->slot->reserved -= store_cost(s, e);
    if (is != was) count_clean(s, is ? 1 : -1);
    uint64_t keep = (e->stamp & ~(uint64_t)STAMP_FLAGS) | (e->stamp & (STAMP_DELETED | STAMP_REF));
    e->stamp = keep | STAMP_STORED | flags;
    s->stored = true;
}

void store_discard(struct store *s, struct table_entry *e)
{
    struct family *f = s->family;
    if (e->stamp & STAMP_DIRTY) {
        if (f->slot->snapshots) f->slot->reserved -= store_cost(s, e);
    } else if (e->stamp & STAMP_KEPT) {
        count_clean(s, -1);
    }
    if (!(e->stamp & STAMP_DELETED)) s->live--;
    f->entries--;
    free_blob(s, e);
    e->stamp = 0;
    table_remove(&s->table, e);
}

void store_remove_entry(struct store *s, struct table_entry *e)
{
    if (s->spec.leaves) s->spec.leaves(s->spec.owner, e, STORE_REMOVED);
    if (store_waits(s, e)) (void)store_copy_first(s, e);
    if (!(e->stamp & STAMP_STORED)) {
        store_discard(s, e);
        return;
    }
    struct state_slot *slot = s->family->slot;
    if (e->stamp & STAMP_DIRTY && slot->snapshots) slot->reserved -= store_cost(s, e);
    free_blob(s, e);
    if (e->stamp & STAMP_DIRTY && slot->snapshots) slot->reserved += store_cost(s, e);
    s->live--;
    e->stamp |= STAMP_DELETED;
    (void)store_mark_dirty(s, e);
}

/* A new entry under a key that is not in the table; a live one for the callers. */
static struct table_entry *insert(struct store *s, const struct weir_key *key, uint64_t stamp)
{
    struct table_entry *e = table_put(&s->table, key);
    if (!e) {
        (void)slot_fail(s->family->slot, key->length > s->table.key_max ? WEIR_E_LIMIT : WEIR_E_NOMEM, "state '%s': %s", s->family->name,
                        key->length > s->table.key_max ? "a key is longer than the limit" : "out of memory");
        return NULL;
    }
    e->stamp = stamp;
    s->live++;
    s->family->entries++;
    return e;
}

static struct table_entry *enter(struct store *s, struct table_entry *e)
{
    if (e && s->spec.entered) s->spec.entered(s->spec.owner, e);
    return e;
}

struct table_entry *store_admit(struct store *s, const struct weir_key *key, struct weir_bytes stored)
{
    struct family *f = s->family;
    int64_t time_ms;
    if (stored.length < 8 || (s->value_size && stored.length - 8 != s->value_size)) {
        (void)slot_fail(f->slot, WEIR_E_CORRUPT, "state '%s': a stored value has %u bytes", f->name, stored.length);
        return NULL;
    }
    memcpy(&time_ms, stored.data, 8);
    struct weir_bytes value = {(const char *)stored.data + 8, stored.length - 8};
    struct table_entry *e = insert(s, key, stamp_of(time_ms, STAMP_STORED | STAMP_KEPT | STAMP_REF));
    if (!e) return NULL;
    count_clean(s, 1);
    if (s->value_size) {
        memcpy(store_value(s, e), value.data, value.length);
    } else if (value.length) {
        struct blob *b = store_value(s, e);
        b->data = memory_alloc(s->table.memory, value.length);
        if (!b->data) {
            store_discard(s, e);
            (void)slot_fail(f->slot, WEIR_E_NOMEM, "state '%s': out of memory", f->name);
            return NULL;
        }
        memcpy(b->data, value.data, value.length);
        b->length = b->cap = value.length;
    }
    return enter(s, e);
}

/* Looks for a key that is not in the table. */
static struct table_entry *load(struct store *s, const struct weir_key *key)
{
    struct state_slot *slot = s->family->slot;
    if (s->complete || slot_failed(slot)) return NULL;
    if (!filter_ask(&s->filter, key->hash)) {
        slot->stats.hits_filter++;
        return NULL;
    }
    struct weir_bytes at = store_keeper_key(s, (struct weir_bytes){key->data, key->length});
    if (!at.data) return NULL;
    struct rocks_value value;
    struct weir_diag diag;
    if (rocks_get(s->family->keeper, at.data, at.length, &value, &diag)) {
        (void)slot_fail_diag(slot, &diag);
        return NULL;
    }
    struct table_entry *e = NULL;
    int64_t time_ms = INT64_MAX;
    if (value.data && value.length >= 8) memcpy(&time_ms, value.data, 8);
    if (value.data && !store_expired(s, time_ms)) {
        e = store_admit(s, key, (struct weir_bytes){value.data, (uint32_t)value.length});
        slot->stats.loads++;
        s->loads_alone++;
    }
    rocks_value_release(&value);
    return e;
}

/* ---- access by key ------------------------------------------------------------------------------------------------------------------- */

static struct table_entry *touch_read(struct store *s, struct table_entry *e)
{
    if (e->stamp & STAMP_REF && !s->family->options.ttl_on_read) return e;
    if (s->family->options.ttl_on_read) {
        if (store_mark_dirty(s, e)) return NULL;
        e->stamp = (e->stamp & STAMP_FLAGS) | *s->now_bits;
    }
    e->stamp |= STAMP_REF;
    return e;
}

static __attribute__((noinline)) struct table_entry *find_slowly(struct store *s, const struct weir_key *key, struct table_entry *e)
{
    if (e && e->stamp & STAMP_DELETED) return NULL;
    if (e && !is_live(s, e)) {
        store_remove_entry(s, e);
        return NULL;
    }
    if (!e) e = load(s, key);
    return e ? touch_read(s, e) : NULL;
}

static inline struct table_entry *find_in_table(const struct store *s, const struct weir_key *key, struct table_entry *guess)
{
    struct table_entry *e = table_guessed(guess, key);
    return e ? e : table_find(&s->table, key);
}

struct table_entry *store_find(struct store *s, const struct weir_key *key, struct table_entry *guess)
{
    struct table_entry *e = find_in_table(s, key, guess);
    if (WEIR_LIKELY(e && (e->stamp & (STAMP_DELETED | STAMP_REF)) == STAMP_REF && s->fast_expect != LOOK_AT_EACH)) return e;
    return find_slowly(s, key, e);
}

static struct table_entry *edited(struct store *s, struct table_entry *e)
{
    if (!e || store_mark_dirty(s, e)) return NULL;
    store_stamp_now(s, e);
    return e;
}

struct table_entry *store_find_edit(struct store *s, const struct weir_key *key, struct table_entry *guess)
{
    struct table_entry *e = find_in_table(s, key, guess);
    if (WEIR_LIKELY(e && store_is_fast(s, e))) {
        store_stamp_now(s, e);
        return e;
    }
    return edited(s, find_slowly(s, key, e));
}

/* A tombstone comes back to life, as a new value. */
static struct table_entry *revive(struct store *s, struct table_entry *e)
{
    if (store_mark_dirty(s, e)) return NULL; /* first: its deletion may wait to be copied */
    memset(table_value(e), 0, s->table.value_size);
    e->stamp &= ~(uint64_t)STAMP_DELETED;
    s->live++;
    return enter(s, edited(s, e));
}

static __attribute__((noinline)) struct table_entry *edit_slowly(struct store *s, const struct weir_key *key)
{
    if (slot_failed(s->family->slot)) return NULL;
    struct table_entry *e = table_find(&s->table, key);
    if (e && !(e->stamp & STAMP_DELETED) && !is_live(s, e)) {
        store_remove_entry(s, e);
        e = table_find(&s->table, key); /* a tombstone now, or gone */
    }
    if (e && e->stamp & STAMP_DELETED) return revive(s, e);
    if (!e) e = load(s, key);
    if (e) return edited(s, e);
    if (slot_failed(s->family->slot)) return NULL;
    e = insert(s, key, *s->now_bits);
    if (e && store_mark_dirty(s, e)) {
        store_discard(s, e);
        return NULL;
    }
    return enter(s, e);
}

struct table_entry *store_edit(struct store *s, const struct weir_key *key, struct table_entry *guess)
{
    struct table_entry *e = find_in_table(s, key, guess);
    if (WEIR_LIKELY(e && store_is_fast(s, e))) {
        store_stamp_now(s, e);
        return e;
    }
    return edit_slowly(s, key);
}

/* ---- many keys at once: read together what is not in memory ----------------------------------------------------------------------------
 */

struct wanted {
    const struct weir_key *key;
    struct weir_bytes at; /* the keeper's key */
};

static int by_keeper_key(const void *a, const void *b)
{
    const struct weir_bytes *x = &((const struct wanted *)a)->at, *y = &((const struct wanted *)b)->at;
    uint32_t n = x->length < y->length ? x->length : y->length;
    int order = memcmp(x->data, y->data, n);
    return order ? order : (x->length > y->length) - (x->length < y->length);
}

static void admit_all(struct store *s, const struct wanted *wanted, uint32_t n)
{
    struct state_slot *slot = s->family->slot;
    struct rocks_value found[ROCKS_MULTI_MAX] = {0};
    struct weir_bytes keys[ROCKS_MULTI_MAX];
    struct weir_diag diag;
    for (uint32_t i = 0; i < n; i++) keys[i] = wanted[i].at;
    if (rocks_multi_get(s->family->keeper, n, keys, found, &diag)) {
        (void)slot_fail_diag(slot, &diag);
        return;
    }
    for (uint32_t i = 0; i < n; i++) {
        int64_t time_ms = INT64_MAX;
        if (found[i].data && found[i].length >= 8) memcpy(&time_ms, found[i].data, 8);
        if (found[i].data && !store_expired(s, time_ms) && !table_find(&s->table, wanted[i].key)) {
            (void)store_admit(s, wanted[i].key, (struct weir_bytes){found[i].data, (uint32_t)found[i].length});
            slot->stats.loads++;
        }
        rocks_value_release(&found[i]);
    }
}

/* Keys of up to this many bytes are read many at a time; longer ones by themselves, when they are met. */
#define LOAD_KEY_MAX 64u

/* Brings those of the keys into memory that the keeper alone may hold. Failure is sticky. scratch: n addresses. */
static void load_all(struct store *s, const struct weir_key *keys, const uint32_t *idx, uint32_t n, struct table_entry **scratch)
{
    struct wanted wanted[ROCKS_MULTI_MAX];
    unsigned char bytes[ROCKS_MULTI_MAX][FAMILY_PREFIX_MAX + 2 + LOAD_KEY_MAX];
    uint32_t n_wanted = 0;
    table_find_all(&s->table, keys, idx, n, scratch);
    for (uint32_t i = 0; i < n && !slot_failed(s->family->slot); i++) {
        const struct weir_key *key = &keys[idx ? idx[i] : i];
        if (!scratch[i] && key->length <= LOAD_KEY_MAX && filter_ask(&s->filter, key->hash)) {
            struct weir_bytes at = store_keeper_key(s, (struct weir_bytes){key->data, key->length});
            if (!at.data) return;
            memcpy(bytes[n_wanted], at.data, at.length);
            wanted[n_wanted] = (struct wanted){key, {bytes[n_wanted], at.length}};
            n_wanted++;
        }
        if (n_wanted < ROCKS_MULTI_MAX && (i + 1 < n || n_wanted < 2)) continue;
        qsort(wanted, n_wanted, sizeof *wanted, by_keeper_key);
        admit_all(s, wanted, n_wanted);
        n_wanted = 0;
    }
}

/* Whether an operator will ask for all these keys is not known: every 64th batch is watched. */
void store_load(struct store *s, const struct weir_key *keys, uint32_t n)
{
    struct table_entry *scratch[WEIR_BATCH_MAX];
    if (s->complete || n > WEIR_BATCH_MAX) return;
    s->load_ahead = s->load_ahead ? s->load_ahead - 1 : s->loads_alone >= n / 16 + 1 ? 63 : 0;
    s->loads_alone = 0;
    if (s->load_ahead) load_all(s, keys, NULL, n, scratch);
}

/* As many as stay in the first cache between finding and stamping them. */
static weir_err probe_group(struct store *s, const struct weir_key *keys, const uint32_t *idx, uint32_t n, void **values)
{
    table_find_all(&s->table, keys, idx, n, (struct table_entry **)values);
    for (uint32_t i = 0; i < n; i++) {
        struct table_entry *e = values[i];
        if (WEIR_UNLIKELY(!e || !store_is_fast(s, e))) {
            e = edit_slowly(s, &keys[idx ? idx[i] : i]);
            if (!e) return slot_error(s->family->slot, NULL);
        } else {
            store_stamp_now(s, e);
        }
        values[i] = (unsigned char *)(e + 1) + table_key_room(e->length) + s->value_at;
    }
    return WEIR_OK;
}

weir_err store_probe(struct store *s, const struct weir_key *keys, const uint32_t *idx, uint32_t n, void **values)
{
    if (!s->complete) load_all(s, keys, idx, n, (struct table_entry **)values);
    for (uint32_t at = 0; at < n; at += TABLE_PROBE_GROUP) {
        uint32_t m = n - at < TABLE_PROBE_GROUP ? n - at : TABLE_PROBE_GROUP;
        weir_err err = probe_group(s, idx ? keys : keys + at, idx ? idx + at : NULL, m, values + at);
        if (err) return err;
    }
    return WEIR_OK;
}

bool store_prefetch(const struct store *s, const struct weir_key *keys, uint32_t n, struct table_entry **guesses)
{
    return table_prefetch(&s->table, keys, n, guesses);
}

void store_touch(struct store *s, struct table_entry *e)
{
    (void)edited(s, e);
}

void store_remove(struct store *s, const struct weir_key *key)
{
    struct state_slot *slot = s->family->slot;
    struct table_entry *e = table_find(&s->table, key);
    if (e) {
        if (!(e->stamp & STAMP_DELETED)) store_remove_entry(s, e);
        return;
    }
    if (s->complete || slot_failed(slot) || !filter_may_hold(&s->filter, key->hash)) return;
    /* The keeper may hold it: a tombstone says what is to become of it, without a look. */
    e = insert(s, key, stamp_of(0, STAMP_DELETED | STAMP_STORED));
    if (!e) return;
    s->live--;
    (void)store_mark_dirty(s, e);
}

void store_pin(struct store *s, bool pinned)
{
    s->scanned = pinned;
}

/* ---- values of any length -------------------------------------------------------------------------------------------------------------
 */

/* Room for `length` bytes: the old when they fit and do not leave three quarters of it empty, else a new one. */
static bool fit_blob(struct memory *m, struct blob *b, uint32_t length, bool grows)
{
    bool fits = length <= b->cap;
    if (fits && b->cap / 4 <= length) return true;
    uint32_t cap = (length + 15u) & ~15u;
    if (grows && b->cap && cap < b->cap + b->cap / 2) cap = (b->cap + b->cap / 2 + 15u) & ~15u;
    unsigned char *room = cap ? memory_alloc(m, cap) : NULL;
    if (cap && !room) return fits; /* only shrinking can wait */
    uint32_t kept = b->length < length ? b->length : length;
    if (kept) memcpy(room, b->data, kept);
    memory_free(m, b->data, b->cap);
    *b = (struct blob){room, kept, cap};
    return true;
}

/* An entry made by the call that fails goes again. */
static weir_err no_memory(struct store *s, struct table_entry *e, uint64_t entries_before)
{
    if (s->family->entries > entries_before) store_remove_entry(s, e);
    return slot_fail(s->family->slot, WEIR_E_NOMEM, "state '%s': out of memory for a value", s->family->name);
}

/* The value's length changes: so does what a freeze would copy. */
static void set_length(struct store *s, struct blob *b, uint32_t length)
{
    if (s->family->slot->snapshots) s->family->slot->reserved += (uint64_t)length - b->length;
    b->length = length;
}

void *store_resize(struct store *s, const struct weir_key *key, uint32_t length)
{
    uint64_t entries = s->family->entries;
    struct table_entry *e = store_edit(s, key, 0);
    if (!e) return NULL;
    struct blob *b = store_value(s, e);
    uint32_t before = b->length;
    if (!fit_blob(s->table.memory, b, length, true)) {
        (void)no_memory(s, e, entries);
        return NULL;
    }
    b->length = before;
    set_length(s, b, length);
    if (length > before) memset(b->data + before, 0, length - before);
    return b->data ? (void *)b->data : (void *)b;
}

weir_err store_write(struct store *s, const struct weir_key *key, struct table_entry *guess, const void *data, uint32_t length)
{
    uint64_t entries = s->family->entries;
    struct table_entry *e = store_edit(s, key, guess);
    if (!e) return slot_error(s->family->slot, NULL);
    struct blob *b = store_value(s, e), old = *b;
    struct blob fresh = {0};
    if (length > old.cap || old.cap / 4 > length) {
        if (!fit_blob(s->table.memory, &fresh, length, false)) return no_memory(s, e, entries);
        if (length) memcpy(fresh.data, data, length); /* before the old bytes go: `data` may lie in them */
        memory_free(s->table.memory, old.data, old.cap);
        *b = (struct blob){fresh.data, old.length, fresh.cap};
    } else if (length) {
        memmove(b->data, data, length);
    }
    set_length(s, b, length);
    return WEIR_OK;
}
