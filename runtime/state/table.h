/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of keyed state: from a key of any bytes to a value of a fixed size. Open addressing, by buckets, with linear probing.
 *
 *     buckets | tag x 8 | ref x 8 | tag x 8 | ......   a cache line each
 *                            \
 *     slabs                   `-> | tag | length | stamp | key bytes, padded to 8 | value |     never moves
 *
 * - A place of a bucket holds the lower 32 bits of the hash (the tag) and a reference to the entry. Its home is the bucket of the tag's
 *   upper bits, and the rest of the tag keeps different keys of one home apart, so that a probe touches one entry, the right one. The
 *   upper 32 bits of the hash are left out on purpose: a subtask owns a range of key groups (hash >> 49), so there they are nearly the
 *   same for all its keys.
 * - Eight tags are compared at once, and buckets may be 7/8 full: one line and no branch that depends on the data tells where an entry
 *   is, in half the memory that single slots want for short probes. What overflows goes to the next bucket with room.
 * - Since homes are ordered as tags are, doubling the buckets reads the old array and writes the new one front to back and looks at no
 *   entry. That is why the rehash is whole and not incremental: one pause of a few ns a place per doubling, against a second array and
 *   a branch in every probe for ever.
 * - Removal moves what has overflowed back (Knuth, TAOCP 3, 6.4, algorithm R, by buckets): no tombstones, so tables with much coming and
 *   going stay as fast as new ones. It needs homes only, which the tags give.
 * - Entries lie in slabs by size class and stay where they are until removed: an address is good while its entry lives. Slabs double
 *   from 1 KiB to 2 MiB (slab_max), so that a window's pane of four keys costs a kilobyte and a large table gets huge pages. Removed
 * entries are reused by keys of the same size class; a slab without entries can be given back (table_release).
 * - The stamp belongs to the table's owner: 0 for a new entry, never looked at here.
 * - A batch is probed in three passes over a few dozen keys at a time: ask for the buckets, read them and ask for the entries, compare. The
 *   misses of one pass overlap (group prefetching: Chen, Ailamaki, Gibbons and Mowry, "Improving hash join performance through
 *   prefetching", ICDE 2004).
 *
 * Keys: at most key_max bytes (WEIR_KEY_MAX unless the owner raises it). Up to TABLE_INLINE_MAX they lie in the entry; longer ones in a
 * block of their own.
 * Limits: TABLE_BITS_MAX buckets (log2) and 32 GiB of slabs a table; at the limit an insertion fails as without memory.
 * Owner: one thread. Nothing here blocks.
 */
#ifndef WEIR_RUNTIME_STATE_TABLE_H
#define WEIR_RUNTIME_STATE_TABLE_H

#include <stdbool.h>
#include <string.h>

#include "runtime/state/memory.h"
#include "weir/operator.h"

#define TABLE_INLINE_MAX 64u
#define TABLE_CLASSES (TABLE_INLINE_MAX / 8u + 1u)
#define TABLE_BITS_MAX 27u
#define TABLE_PAGE_BYTES 65536u /* of entries; the unit of the directory */
#define TABLE_PAGE_REFS (TABLE_PAGE_BYTES / 8u)
#define TABLE_PROBE_GROUP 64u /* keys in flight; measured: 32 to 128 are alike, 8 and 1024 slower */

#define TABLE_BUCKET 8u

/* A cache line of entries, without gaps. One that is not full ends every probe. */
struct table_bucket {
    uint32_t tags[TABLE_BUCKET]; /* lower half of the hash; 0 where free */
    uint32_t refs[TABLE_BUCKET]; /* of the entry, in units of 8 bytes; 0 = free */
};

/* Header of an entry; key bytes (or the address of a long key's) and value follow. */
struct table_entry {
    uint32_t tag;    /* of a free entry: reference of the next free one of its slab */
    uint32_t length; /* of the key; TABLE_FREE = a free entry */
    uint64_t stamp;
};

#define TABLE_FREE UINT32_MAX

/* A run of entries of one size. */
struct table_slab {
    unsigned char *data; /* NULL: given back; its references wait for a slab that is not larger */
    size_t bytes;
    size_t stride;
    uint32_t room;      /* entries it can hold */
    uint32_t used;      /* entries handed out at least once, from the front */
    uint32_t live;      /* entries that are not free */
    uint32_t free;      /* first free one of those handed out, 0 = none */
    uint32_t first_ref; /* of entry 0 */
    uint32_t n_pages;   /* of the directory */
    uint32_t next_open; /* index + 1 of the next slab of its class that has room, 0 = none */
    uint16_t class;
    bool open; /* in that list */
};

struct table_class {
    uint32_t open; /* index + 1 of the first slab that has room, 0 = none */
    uint64_t bytes;
};

struct table {
    struct table_bucket *buckets;
    uint64_t mask;         /* buckets - 1 */
    uint32_t shift;        /* 32 - log2(buckets) */
    uint32_t value_size;   /* rounded up to 8 */
    uint32_t key_max;      /* longest key; may be set after table_init */
    unsigned char **pages; /* ref >> 13 to address: 64 KiB of entries each */
    uint32_t *page_slabs;  /* ref >> 13 to slab */
    uint64_t count;
    uint64_t count_max; /* entries at which the buckets double: 7/8 of their places */
    uint64_t long_keys; /* entries whose key lies outside */
    struct table_slab *slabs;
    uint32_t n_slabs, slabs_cap;
    uint32_t holes; /* slabs given back */
    uint32_t n_pages, pages_cap, page_slabs_cap;
    size_t slab_max;     /* bytes of the largest slab but for a single entry larger; may be set after table_init */
    uint64_t free_bytes; /* of slabs: room for further entries; counted in memory->free, too */
    struct table_class classes[TABLE_CLASSES];
    struct memory *memory;
};

/* An empty table, which holds no memory until the first insertion. `memory` is kept. value_size: at most WEIR_VALUE_MAX. */
void table_init(struct table *t, uint32_t value_size, struct memory *memory);

/* Frees everything; the table may be initialised again. Accepts a zeroed table. */
void table_close(struct table *t);

/* The key's entry, or NULL. */
struct table_entry *table_find(const struct table *t, const struct weir_key *key);

/*
 * The key's entry, made with a zeroed value when there is none; key bytes are copied. Addresses given before stay valid.
 * NULL when there is no memory, or the key is longer than key_max: the table is as before.
 */
struct table_entry *table_put(struct table *t, const struct weir_key *key);

/* Removes an entry of this table. */
void table_remove(struct table *t, struct table_entry *e);

/* Makes the buckets fewer when most are empty, as after many removals. Without memory it stays as it is. Guesses stay valid. */
void table_shrink(struct table *t);

/* Gives a slab without live entries back (index < n_slabs). Guesses made before must not be used any more. */
void table_release(struct table *t, uint32_t slab);

/* As table_find for each i < n and key keys[idx[i]] (idx NULL: keys[i]): the entry, or NULL, in entries[i]. */
void table_find_all(const struct table *t, const struct weir_key *keys, const uint32_t *idx, uint32_t n, struct table_entry **entries);

/*
 * Notes where the entry of each of these keys, which will be looked up soon, probably is: guesses[i], for table_guessed. The entries are
 * not asked for yet: of a whole batch they would push each other out of the first cache; table_fetch them a few keys ahead. false, with
 * guesses untouched, for a table so small that it is in the cache anyway.
 */
bool table_prefetch(const struct table *t, const struct weir_key *keys, uint32_t n, struct table_entry **guesses);

static inline uint32_t table_key_room(uint32_t length)
{
    return length <= TABLE_INLINE_MAX ? (length + 7u) & ~7u : (uint32_t)sizeof(void *);
}

static inline void *table_value(struct table_entry *e)
{
    return (unsigned char *)(e + 1) + table_key_room(e->length);
}

/* The entry's key; its bytes are valid while the entry lives. The hash is not kept: it is 0. */
static inline struct weir_key table_key(struct table_entry *e)
{
    void *at = e + 1;
    return (struct weir_key){.data = e->length <= TABLE_INLINE_MAX ? at : *(void **)at, .length = e->length};
}

/* ---- the record path, inlined into its callers ------------------------------------------------------------------------------------------
 */

static inline struct table_entry *table_at(const struct table *t, uint32_t ref)
{
    return (struct table_entry *)(void *)(t->pages[ref / TABLE_PAGE_REFS] + (size_t)(ref % TABLE_PAGE_REFS) * 8u);
}

/*
 * Asks the cache for an entry with a short key; the second line is the first more often than not and then costs nothing. A macro: gcc takes
 * a function that only prefetches for one without effect, and drops the call.
 */
#define table_fetch(t, e)                                                                 \
    do {                                                                                  \
        const char *fetch_ = (const char *)(e);                                           \
        __builtin_prefetch(fetch_, 1);                                                    \
        __builtin_prefetch(fetch_ + sizeof(struct table_entry) + 7 + (t)->value_size, 1); \
    } while (0)

/* Keys of eight bytes, the commonest, are compared as one integer. This is for keys of that length alone. */
static inline bool table_same_word(const struct table_entry *e, const struct weir_key *key)
{
    uint64_t a, b;
    if (e->length != 8) return false;
    memcpy(&a, e + 1, 8);
    memcpy(&b, key->data, 8);
    return a == b;
}

static inline bool table_same_key(struct table_entry *e, const struct weir_key *key)
{
    if (WEIR_LIKELY(key->length == 8)) return table_same_word(e, key);
    if (e->length != key->length || e->tag != (uint32_t)key->hash) return false;
    return key->length == 0 || memcmp(table_key(e).data, key->data, key->length) == 0;
}

/*
 * The key's entry if it is where the guess says, else NULL, which says nothing. A guess made by this table may be for another key, and of
 * an entry long gone, but not of a slab given back; NULL = no idea.
 */
static inline struct table_entry *table_guessed(struct table_entry *guess, const struct weir_key *key)
{
    return WEIR_LIKELY(guess && table_same_key(guess, key)) ? guess : NULL;
}

/*
 * Scans: *cursor starts at 0; gives the next entry, NULL at the end. The entry just given may be removed, nothing else may change in
 * between. Order: that of first insertion within a size class. Cost: the largest number of entries the table has held.
 */
static inline struct table_entry *table_next(const struct table *t, uint64_t *cursor)
{
    uint32_t slab = (uint32_t)(*cursor >> 32);
    uint32_t at = (uint32_t)*cursor;
    for (; slab < t->n_slabs; slab++, at = 0) {
        const struct table_slab *s = &t->slabs[slab];
        while (at < s->used) {
            struct table_entry *e = (struct table_entry *)(void *)(s->data + at * s->stride);
            at++;
            if (e->length == TABLE_FREE) continue;
            *cursor = (uint64_t)slab << 32 | at;
            return e;
        }
    }
    *cursor = (uint64_t)slab << 32;
    return NULL;
}

/* table_next for a hand of a clock: from the front again at the end. NULL: the table is empty. */
static inline struct table_entry *table_next_round(const struct table *t, uint64_t *hand)
{
    struct table_entry *e = table_next(t, hand);
    if (e) return e;
    *hand = 0;
    return table_next(t, hand);
}

#endif
