/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/state/timers.h"

#include <string.h>

#include "runtime/base/assert.h"

#define ARITY 4u

void timers_init(struct timers *t, struct memory *memory)
{
    *t = (struct timers){.memory = memory};
    table_init(&t->table, sizeof(struct timers_place), memory);
    t->table.key_max = WEIR_KEY_MAX + TIMERS_PREFIX;
}

void timers_close(struct timers *t)
{
    if (!t->memory) return;
    table_close(&t->table);
    memory_free(t->memory, t->heap, t->cap * sizeof *t->heap);
    memory_free(t->memory, t->name.data, t->name.cap);
    memory_free(t->memory, t->popped.data, t->popped.cap);
    memory_free(t->memory, t->spare.data, t->spare.cap);
    *t = (struct timers){0};
}

/* ---- heap ------------------------------------------------------------------------------------------------------------------------ */

static bool before(const struct timers_node *a, const struct timers_node *b)
{
    return a->time_ms != b->time_ms ? a->time_ms < b->time_ms : a->seq < b->seq;
}

static struct timers_place *place_of(const struct timers_node *node)
{
    return table_value(node->entry);
}

static void settle(struct timers *t, uint32_t at, struct timers_node node)
{
    t->heap[at] = node;
    place_of(&node)->at = at;
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

/* Takes the node at `at` out of the heap and its entry out of the table. */
static void take_out(struct timers *t, uint32_t at)
{
    table_remove(&t->table, t->heap[at].entry);
    struct timers_node last = t->heap[--t->n];
    if (at == t->n) return;
    if (at && before(&last, &t->heap[(at - 1) / ARITY]))
        sift_up(t, at, last);
    else
        sift_down(t, at, last);
}

/* ---- names: what identifies a timer ------------------------------------------------------------------------------------------------ */

/* The finaliser of splitmix64 (Steele, Lea and Flood, 2014): every input bit reaches every output bit. */
static uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

/* The key's hash is there already; time and tag are mixed in instead of hashing everything anew. */
static struct weir_key name_of(struct timers *t, const struct weir_key *key, weir_time time_ms, uint64_t tag)
{
    unsigned char *name = t->name.data;
    memcpy(name, &time_ms, 8);
    memcpy(name + 8, &tag, 8);
    if (key->length) memcpy(name + TIMERS_PREFIX, key->data, key->length);
    uint64_t hash = mix(key->hash + mix((uint64_t)time_ms + mix(tag)));
    return (struct weir_key){.data = name, .length = key->length + TIMERS_PREFIX, .hash = hash};
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

/* ---- operations -------------------------------------------------------------------------------------------------------------------- */

weir_err timers_set(struct timers *t, const struct weir_key *key, weir_time time_ms, uint64_t tag)
{
    if (key->length > WEIR_KEY_MAX) return WEIR_E_LIMIT;
    if (!reserve_names(t, key->length + TIMERS_PREFIX) || !reserve_heap(t)) return WEIR_E_NOMEM;
    struct weir_key name = name_of(t, key, time_ms, tag);
    uint64_t before_put = t->table.count;
    struct table_entry *e = table_put(&t->table, &name);
    if (!e) return WEIR_E_NOMEM;
    if (t->table.count == before_put) return WEIR_OK; /* set already */
    ((struct timers_place *)table_value(e))->key_hash = key->hash;
    sift_up(t, t->n++, (struct timers_node){time_ms, t->seq++, e});
    return WEIR_OK;
}

void timers_delete(struct timers *t, const struct weir_key *key, weir_time time_ms, uint64_t tag)
{
    if (key->length + TIMERS_PREFIX > t->name.cap) return; /* no key as long has ever been set */
    struct weir_key name = name_of(t, key, time_ms, tag);
    struct table_entry *e = table_find(&t->table, &name);
    if (e) take_out(t, (uint32_t)((struct timers_place *)table_value(e))->at);
}

weir_time timers_first(const struct timers *t)
{
    return t->n ? t->heap[0].time_ms : WEIR_TIME_MAX;
}

bool timers_pop(struct timers *t, weir_time until, weir_time *time_ms, uint64_t *tag, const struct weir_key **key)
{
    if (t->n == 0 || t->heap[0].time_ms > until) return false;
    use_spare(t);
    struct weir_key name = table_key(t->heap[0].entry);
    WEIR_ASSERT_HOT(name.length <= t->popped.cap);
    memcpy(t->popped.data, name.data, name.length);
    t->key = (struct weir_key){
        .data = t->popped.data + TIMERS_PREFIX, .length = name.length - TIMERS_PREFIX, .hash = place_of(&t->heap[0])->key_hash};
    *time_ms = t->heap[0].time_ms;
    memcpy(tag, t->popped.data + 8, 8);
    *key = &t->key;
    take_out(t, 0);
    return true;
}
