/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hash table with one or two integers as key. Slots are small, open-addressed with linear probing, at most half full; entries lie in a
 * pool in the order of their arrival, so that growing touches slots alone and a scan reads memory in order. An entry begins with its key.
 *
 * The size of an entry and the number of keys are constants where the functions are called: all is inlined.
 */
#ifndef WEIR_TESTS_BENCH_LOOP_TABLE_H
#define WEIR_TESTS_BENCH_LOOP_TABLE_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "tests/bench/loop/space.h"

#define TABLE_INLINE static inline __attribute__((always_inline))

#define TABLE_ZERO 64 /* bytes of a new entry that are zero; what lies behind them is text, which its lengths describe */

struct table_slot {
    uint32_t tag;   /* high half of the hash; its high bits are the slot at which probing begins */
    uint32_t entry; /* number in the pool, 0 = free */
};

/* All zero is an empty table. */
struct loop_table {
    struct table_slot *slots;
    unsigned bits; /* 1 << bits slots; 0 = none yet */
    uint32_t n;
    struct loop_pool entries;
};

struct table_key {
    int64_t first, second; /* second: 0 in a table with one key */
};

void loop_table_grow(struct loop_table *t);
/* Empties the table and keeps its memory. */
void loop_table_clear(struct loop_table *t);
void loop_table_close(struct loop_table *t);
/* Takes out the slot of entry `number`, whose key's tag is `tag`. */
void loop_table_free_slot(struct loop_table *t, uint32_t tag, uint32_t number);

TABLE_INLINE uint32_t loop_table_tag(struct table_key key, unsigned n_keys)
{
    uint64_t h = (uint64_t)key.first * UINT64_C(0x9E3779B97F4A7C15);
    if (n_keys == 2) h = ((h ^ h >> 32) + (uint64_t)key.second) * UINT64_C(0xD6E8FEB86659FD93);
    return (uint32_t)(h >> 32);
}

TABLE_INLINE bool loop_table_is(const int64_t *entry, struct table_key key, unsigned n_keys)
{
    return entry[0] == key.first && (n_keys == 1 || entry[1] == key.second);
}

TABLE_INLINE uint32_t loop_table_begin(const struct loop_table *t, uint32_t tag)
{
    return tag >> (32 - t->bits);
}

/* Asks for the slot of a key that will be looked up soon: where the table exceeds the caches, a batch of keys waits once instead of each.
 */
TABLE_INLINE void loop_table_prefetch(const struct loop_table *t, struct table_key key, unsigned n_keys)
{
    if (t->bits) __builtin_prefetch(&t->slots[loop_table_begin(t, loop_table_tag(key, n_keys))]);
}

/* The number of the new entry of a key that has none. Behind the key its first TABLE_ZERO bytes are zero. */
TABLE_INLINE uint32_t loop_table_add(struct loop_table *t, struct table_key key, unsigned n_keys, uint32_t tag, size_t size)
{
    if (t->n >= (uint32_t)1 << t->bits >> 1) loop_table_grow(t);
    uint32_t mask = ((uint32_t)1 << t->bits) - 1, at = loop_table_begin(t, tag);
    while (t->slots[at].entry) at = (at + 1) & mask;
    uint32_t number = loop_pool_take(&t->entries, size);
    t->slots[at] = (struct table_slot){tag, number};
    t->n++;
    int64_t *entry = loop_pool_item(&t->entries, number, size);
    memset(entry, 0, size < TABLE_ZERO ? size : TABLE_ZERO);
    memcpy(entry, &key, n_keys * sizeof(int64_t));
    return number;
}

/* The number of the entry of a key, which is made if there is none. */
TABLE_INLINE uint32_t loop_table_number(struct loop_table *t, struct table_key key, unsigned n_keys, size_t size)
{
    uint32_t tag = loop_table_tag(key, n_keys);
    if (t->bits) {
        uint32_t mask = ((uint32_t)1 << t->bits) - 1;
        for (uint32_t at = loop_table_begin(t, tag); t->slots[at].entry; at = (at + 1) & mask) {
            struct table_slot s = t->slots[at];
            if (s.tag == tag && loop_table_is(loop_pool_item(&t->entries, s.entry, size), key, n_keys)) return s.entry;
        }
    }
    return loop_table_add(t, key, n_keys, tag, size);
}

/* The entry of a key, which is made if there is none. Valid until the next entry is made. */
TABLE_INLINE void *loop_table_at(struct loop_table *t, int64_t key, size_t size)
{
    return loop_pool_item(&t->entries, loop_table_number(t, (struct table_key){key, 0}, 1, size), size);
}

TABLE_INLINE void *loop_table_at2(struct loop_table *t, int64_t first, int64_t second, size_t size)
{
    return loop_pool_item(&t->entries, loop_table_number(t, (struct table_key){first, second}, 2, size), size);
}

/* Takes out an entry of a table with one key. */
TABLE_INLINE void loop_table_remove(struct loop_table *t, uint32_t number, size_t size)
{
    int64_t key = *(const int64_t *)loop_pool_item(&t->entries, number, size);
    loop_table_free_slot(t, loop_table_tag((struct table_key){key, 0}, 1), number);
    loop_pool_give(&t->entries, number, size);
}

/* Steps through the entries of a table from which nothing was removed. */
#define TABLE_EACH(type, e, t) \
    for (type *e = (void *)(t)->entries.items.data, *e##_end = loop_vec_end(&(t)->entries.items); e < e##_end; e++)

#endif
