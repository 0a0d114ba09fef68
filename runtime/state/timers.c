/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/state/timers.h"

#include <endian.h>
#include <string.h>

#include "runtime/base/assert.h"
#include "runtime/base/hash.h"

#define ARITY 4u

/* ---- heap ------------------------------------------------------------------------------------------------------------------------ */

static bool before(const struct timers_node *a, const struct timers_node *b)
{
    return a->time_ms != b->time_ms ? a->time_ms < b->time_ms : a->seq < b->seq;
}

static struct timers_place *place_of(const struct timers *t, struct table_entry *e)
{
    return store_extra(t->store, e);
}

static void settle(struct timers *t, uint32_t at, struct timers_node node)
{
    t->heap[at] = node;
    place_of(t, node.entry)->at = at;
}

static void sift_up(struct timers *t, uint32_t at, struct timers_node node)
{
    while (at) {
        uint32_t parent = (at - 1) / ARITY;
        if (!before(&node, &t->heap[parent])) break;
        settle(t, at, t->heap[parent]);
        at = parent;
    }
    settle(t, at, node);
}

static uint32_t first_child(const struct timers *t, uint32_t at)
{
    uint64_t child = (uint64_t)at * ARITY + 1;
    if (child >= t->n) return 0;
    uint32_t first = (uint32_t)child;
    for (uint32_t i = first + 1; i < t->n && i < child + ARITY; i++) {
        if (before(&t->heap[i], &t->heap[first])) first = i;
    }
    return first;
}

static void sift_down(struct timers *t, uint32_t at, struct timers_node node)
{
    for (uint32_t child; (child = first_child(t, at)) != 0 && before(&t->heap[child], &node); at = child) settle(t, at, t->heap[child]);
    settle(t, at, node);
}

/* Floyd's heap construction: in linear time, from the last parent to the root. */
static void heapify(struct timers *t)
{
    for (uint32_t at = t->n / ARITY + 1; at-- > 0;)
        if (at < t->n) sift_down(t, at, t->heap[at]);
}

/* Takes the node at `at` out of the heap and its entry out of the store. */
static void take_out(struct timers *t, uint32_t at)
{
    store_remove_entry(t->store, t->heap[at].entry);
    struct timers_node last = t->heap[--t->n];
    if (at == t->n) return;
    if (at && before(&last, &t->heap[(at - 1) / ARITY]))
        sift_up(t, at, last);
    else
        sift_down(t, at, last);
}

/* ---- names: what identifies a timer ------------------------------------------------------------------------------------------------ */

#define SIGN_BIT ((uint64_t)1 << 63)

static void put_u64(unsigned char *out, uint64_t x)
{
    x = htobe64(x);
    memcpy(out, &x, 8);
}

static uint64_t get_u64(const unsigned char *in)
{
    uint64_t x;
    memcpy(&x, in, 8);
    return be64toh(x);
}

static struct weir_key name_of(struct timers *t, const struct weir_key *key, weir_time time_ms, uint64_t tag)
{
    unsigned char *name = t->name.data;
    uint32_t length = key->length + TIMERS_PREFIX;
    put_u64(name, (uint64_t)time_ms ^ SIGN_BIT);
    put_u64(name + 8, tag);
    if (key->length) memcpy(name + TIMERS_PREFIX, key->data, key->length);
    return (struct weir_key){.data = name, .length = length, .hash = hash64(name, length)};
}

static weir_time time_of(const unsigned char *name)
{
    return (weir_time)(get_u64(name) ^ SIGN_BIT);
}

static bool reserve_bytes(struct memory *m, struct timers_bytes *b, uint32_t bytes)
{
    uint32_t cap = 64;
    while (cap < bytes) cap *= 2;
    unsigned char *data = memory_alloc(m, cap);
    if (!data) return false;
    memory_free(m, b->data, b->cap);
    *b = (struct timers_bytes){data, cap};
    return true;
}

/* Room for names is made when a timer is set, so that looking for it and giving it out cannot fail; `popped` may be in use and stays. */
static bool reserve_names(struct timers *t, uint32_t bytes)
{
    uint32_t next_cap = t->spare.data ? t->spare.cap : t->popped.cap;
    if (bytes > next_cap && !reserve_bytes(t->memory, &t->spare, bytes)) return false;
    return bytes <= t->name.cap || reserve_bytes(t->memory, &t->name, bytes);
}

static void use_spare(struct timers *t)
{
    if (!t->spare.data) return;
    memory_free(t->memory, t->popped.data, t->popped.cap);
    t->popped = t->spare;
    t->spare = (struct timers_bytes){0};
}

static bool reserve_heap(struct timers *t)
{
    if (t->n < t->cap) return true;
    if (t->cap > UINT32_MAX / 2) return false;
    uint32_t cap = t->cap ? t->cap * 2 : 16;
    struct timers_node *heap = memory_alloc(t->memory, cap * sizeof *heap);
    if (!heap) return false;
    if (t->n) memcpy(heap, t->heap, t->n * sizeof *heap);
    memory_free(t->memory, t->heap, t->cap * sizeof *heap);
    t->heap = heap;
    t->cap = cap;
    return true;
}

/* ---- life -------------------------------------------------------------------------------------------------------------------------- */

/* The order of setting. A new entry has none yet: its value is zero. */
static uint64_t seq_of(struct timers *t, struct table_entry *e)
{
    uint64_t *seq = store_value(t->store, e);
    if (*seq == 0) *seq = ++t->seq;
    if (*seq > t->seq) t->seq = *seq; /* restored: later ones come behind it */
    return *seq;
}

/* The store's hook for every entry that begins to live in memory: it joins the heap. */
static void entered(void *owner, struct table_entry *e)
{
    struct timers *t = owner;
    struct weir_key name = table_key(e);
    if (name.length < TIMERS_PREFIX) {
        t->failed = slot_fail(t->slot, WEIR_E_CORRUPT, "a restored timer has %u bytes", name.length);
        return;
    }
    if (!reserve_names(t, name.length) || !reserve_heap(t)) {
        t->failed = slot_fail(t->slot, WEIR_E_NOMEM, "out of memory for a timer");
        return;
    }
    const unsigned char *bytes = name.data;
    struct timers_node node = {time_of(bytes), seq_of(t, e), e};
    place_of(t, e)->key_hash = t->setting ? t->setting->hash : hash64(bytes + TIMERS_PREFIX, name.length - TIMERS_PREFIX);
    uint32_t at = t->n++;
    if (t->loading)
        settle(t, at, node);
    else
        sift_up(t, at, node);
}

static weir_err load_all(struct timers *t)
{
    t->loading = true;
    weir_err err = store_load_all(t->store);
    t->loading = false;
    heapify(t);
    return err ? err : t->failed;
}

weir_err timers_new(struct timers **out, struct family *family)
{
    struct state_slot *slot = family_slot(family);
    struct timers *t = memory_alloc(slot_memory(slot), sizeof *t);
    if (!t) return slot_fail(slot, WEIR_E_NOMEM, "out of memory for timers");
    *t = (struct timers){.slot = slot, .memory = slot_memory(slot)};
    const struct store_spec spec = {.keys = STORE_KEY_TIMER,
                                    .extra_size = sizeof(struct timers_place),
                                    .key_max = WEIR_KEY_MAX + TIMERS_PREFIX,
                                    .pinned = true,
                                    .entered = entered,
                                    .owner = t};
    weir_err err = store_new(&t->store, family, &spec);
    if (!err && !store_is_complete(t->store)) err = load_all(t); /* restored */
    if (err) {
        timers_destroy(&t);
        return err;
    }
    *out = t;
    return WEIR_OK;
}

void timers_destroy(struct timers **timers)
{
    struct timers *t = *timers;
    if (!t) return;
    store_destroy(&t->store, false);
    memory_free(t->memory, t->heap, t->cap * sizeof *t->heap);
    memory_free(t->memory, t->name.data, t->name.cap);
    memory_free(t->memory, t->popped.data, t->popped.cap);
    memory_free(t->memory, t->spare.data, t->spare.cap);
    memory_free(t->memory, t, sizeof *t);
    *timers = NULL;
}

/* ---- operations -------------------------------------------------------------------------------------------------------------------- */

weir_err timers_set(struct timers *t, const struct weir_key *key, weir_time time_ms, uint64_t tag)
{
    if (key->length > WEIR_KEY_MAX) return WEIR_E_LIMIT;
    if (!reserve_names(t, key->length + TIMERS_PREFIX) || !reserve_heap(t))
        return slot_fail(t->slot, WEIR_E_NOMEM, "out of memory for a timer");
    struct weir_key name = name_of(t, key, time_ms, tag);
    if (store_find(t->store, &name, NULL)) return WEIR_OK; /* set already; editing it would make it dirty for nothing */
    t->setting = key;
    struct table_entry *e = store_edit(t->store, &name, NULL);
    t->setting = NULL;
    return e ? t->failed : slot_error(t->slot, NULL);
}

void timers_delete(struct timers *t, const struct weir_key *key, weir_time time_ms, uint64_t tag)
{
    if (t->failed || key->length + TIMERS_PREFIX > t->name.cap) return; /* the latter: no key as long has ever been set */
    struct weir_key name = name_of(t, key, time_ms, tag);
    struct table_entry *e = store_find(t->store, &name, NULL);
    if (e && !t->failed) take_out(t, (uint32_t)place_of(t, e)->at);
}

weir_time timers_first(const struct timers *t)
{
    return t->n ? t->heap[0].time_ms : WEIR_TIME_MAX;
}

bool timers_pop(struct timers *t, weir_time until, weir_time *time_ms, uint64_t *tag, const struct weir_key **key)
{
    if (t->n == 0 || t->heap[0].time_ms > until) return false;
    use_spare(t);
    struct table_entry *e = t->heap[0].entry;
    struct weir_key name = table_key(e);
    WEIR_ASSERT_HOT(name.length <= t->popped.cap);
    memcpy(t->popped.data, name.data, name.length);
    t->key =
        (struct weir_key){.data = t->popped.data + TIMERS_PREFIX, .length = name.length - TIMERS_PREFIX, .hash = place_of(t, e)->key_hash};
    *time_ms = t->heap[0].time_ms;
    *tag = get_u64(t->popped.data + 8);
    *key = &t->key;
    take_out(t, 0);
    return true;
}
