/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/state/table.h"

#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "runtime/base/assert.h"

#define SLAB_FIRST_BYTES 1024u
#define SLAB_BYTES_MAX MEMORY_HUGE_BYTES
#define PAGES_MAX (1u << 19)      /* 2^32 references of 8 bytes */
#define CACHED_BYTES (256u << 10) /* a table up to this size is taken to be in the cache */

static const struct table_bucket no_buckets[1];

/* ---- buckets -------------------------------------------------------------------------------------------------------------------- */

static inline uint64_t home_of(uint32_t tag, uint32_t shift)
{
    return (uint64_t)tag >> shift; /* 64 bits: one bucket shifts by 32 */
}

/* Bit i: words[i] is `word`. All are compared at once: a search that ends at the first one costs a wrong guess of the branch more often
 * than not. */
static inline uint32_t find_word(const uint32_t *words, uint32_t word)
{
#ifdef __SSE2__
    const __m128i *half = (const __m128i *)(const void *)words;
    __m128i wanted = _mm_set1_epi32((int)word);
    int low = _mm_movemask_ps(_mm_castsi128_ps(_mm_cmpeq_epi32(_mm_loadu_si128(half), wanted)));
    int high = _mm_movemask_ps(_mm_castsi128_ps(_mm_cmpeq_epi32(_mm_loadu_si128(half + 1), wanted)));
    return (uint32_t)(low | high << 4);
#else
    uint32_t found = 0;
    for (uint32_t i = 0; i < TABLE_BUCKET; i++) found |= (uint32_t)(words[i] == word) << i;
    return found;
#endif
}

static inline uint32_t first_of(uint32_t bits)
{
    return (uint32_t)__builtin_ctz(bits);
}

static inline bool is_full(const struct table_bucket *b)
{
    return b->refs[TABLE_BUCKET - 1] != 0;
}

/* How many entries a bucket that is not full has: its first free place. */
static inline uint32_t n_used(const struct table_bucket *b)
{
    return first_of(find_word(b->refs, 0));
}

/* Puts an entry that is known to be absent into an array of buckets that has room. */
static inline void place(struct table_bucket *buckets, uint64_t mask, uint32_t shift, uint32_t tag, uint32_t ref)
{
    uint64_t i = home_of(tag, shift);
    while (is_full(&buckets[i])) i = (i + 1) & mask;
    uint32_t at = n_used(&buckets[i]);
    buckets[i].tags[at] = tag;
    buckets[i].refs[at] = ref;
}

static size_t buckets_bytes(const struct table *t)
{
    return t->buckets == no_buckets ? 0 : (size_t)(t->mask + 1) * sizeof(struct table_bucket);
}

static void use_buckets(struct table *t, struct table_bucket *buckets, uint32_t bits)
{
    t->buckets = buckets;
    t->shift = 32 - bits;
    t->mask = ((uint64_t)1 << bits) - 1;
    t->count_max = buckets == no_buckets ? 0 : (t->mask + 1) * (TABLE_BUCKET - 1); /* so that a probe finds a place that is free */
}

/* Puts all entries into an array of 2^bits buckets. */
static bool rehash(struct table *t, uint32_t bits)
{
    struct table_bucket *buckets = memory_alloc(t->memory, sizeof(struct table_bucket) << bits);
    if (!buckets) return false;
    struct table_bucket *old = t->buckets;
    size_t old_bytes = buckets_bytes(t);
    uint64_t n = t->mask + 1;
    use_buckets(t, buckets, bits);
    for (uint64_t i = 0; i < n; i++) {
        for (uint32_t k = 0; k < TABLE_BUCKET && old[i].refs[k]; k++) place(buckets, t->mask, t->shift, old[i].tags[k], old[i].refs[k]);
    }
    if (old_bytes) memory_free(t->memory, old, old_bytes);
    return true;
}

static bool grow_buckets(struct table *t)
{
    uint32_t bits = t->buckets == no_buckets ? 0 : 32 - t->shift + 1;
    return bits <= TABLE_BITS_MAX && rehash(t, bits);
}

void table_shrink(struct table *t)
{
    uint32_t bits = 32 - t->shift;
    if (t->buckets == no_buckets || t->count >= (t->mask + 1) * TABLE_BUCKET / 16) return;
    while (bits > 0 && t->count < ((uint64_t)TABLE_BUCKET << bits) / 8) bits--;
    if (bits < 32 - t->shift) (void)rehash(t, bits);
}

/* True when `home` lies cyclically in (hole, i]: what is in bucket i is reached without passing the hole's, so it stays. */
static inline bool stays(uint64_t home, uint64_t hole, uint64_t i)
{
    return hole <= i ? hole < home && home <= i : hole < home || home <= i;
}

/* A place of bucket i whose entry could be in bucket `hole`; TABLE_BUCKET = none. */
static uint32_t find_mover(const struct table *t, uint64_t hole, uint64_t i)
{
    const struct table_bucket *b = &t->buckets[i];
    uint32_t at = 0;
    while (at < TABLE_BUCKET && b->refs[at] && stays(home_of(b->tags[at], t->shift), hole, i)) at++;
    return at < TABLE_BUCKET && b->refs[at] ? at : TABLE_BUCKET;
}

/* Frees a place of a bucket; the others move up. */
static void close_place(struct table_bucket *b, uint32_t at)
{
    uint32_t last = (is_full(b) ? TABLE_BUCKET : n_used(b)) - 1;
    b->tags[at] = b->tags[last];
    b->refs[at] = b->refs[last];
    b->tags[last] = b->refs[last] = 0;
}

/* Algorithm R, by buckets: while the hole's is full, others may have passed it: fill the hole with the next that has, until none can have.
 */
static void close_hole(struct table *t, uint64_t hole, uint32_t at)
{
    bool passed = is_full(&t->buckets[hole]);
    for (uint64_t i = (hole + 1) & t->mask; passed && i != hole; i = (i + 1) & t->mask) {
        uint32_t mover = find_mover(t, hole, i);
        passed = is_full(&t->buckets[i]);
        if (mover == TABLE_BUCKET) continue;
        t->buckets[hole].tags[at] = t->buckets[i].tags[mover];
        t->buckets[hole].refs[at] = t->buckets[i].refs[mover];
        hole = i;
        at = mover;
    }
    close_place(&t->buckets[hole], at);
}

/* ---- slabs ---------------------------------------------------------------------------------------------------------------------- */

/* Makes room for one more item in an array that grows by doubling. */
static bool reserve(struct memory *m, void **array, uint32_t n, uint32_t *cap, size_t item)
{
    if (n <= *cap) return true;
    uint32_t grown = *cap ? *cap * 2 : 4;
    while (grown < n) grown *= 2;
    void *p = memory_alloc(m, grown * item);
    if (!p) return false;
    if (*cap) memcpy(p, *array, *cap * item);
    memory_free(m, *array, *cap * item);
    *array = p;
    *cap = grown;
    return true;
}

static uint32_t class_of(uint32_t key_length)
{
    return table_key_room(key_length) / 8u;
}

/* A slab as large as all before it of the same class together, within bounds; at least one entry. */
static size_t slab_bytes(const struct table *t, const struct table_class *c, size_t stride)
{
    size_t bytes = SLAB_FIRST_BYTES;
    while (bytes < c->bytes && bytes < t->slab_max) bytes *= 2;
    return bytes < stride ? stride : bytes;
}

/* A slab given back earlier has left its references: they serve a new one that needs no more of them. */
static uint32_t find_hole(const struct table *t, uint32_t pages)
{
    if (t->holes == 0) return t->n_slabs;
    uint32_t i = 0;
    while (i < t->n_slabs && (t->slabs[i].data || t->slabs[i].n_pages < pages)) i++;
    return i;
}

/* Room in the directory for one more slab; *at is its index, its references are set. */
static bool reserve_slab(struct table *t, uint32_t pages, uint32_t *at)
{
    *at = find_hole(t, pages);
    if (*at < t->n_slabs) return true;
    uint32_t first = t->n_pages ? t->n_pages : 1; /* reference 0 means none */
    if (pages > PAGES_MAX - first) return false;
    if (!reserve(t->memory, (void **)&t->pages, first + pages, &t->pages_cap, sizeof *t->pages)) return false;
    if (!reserve(t->memory, (void **)&t->page_slabs, first + pages, &t->page_slabs_cap, sizeof *t->page_slabs)) return false;
    if (!reserve(t->memory, (void **)&t->slabs, t->n_slabs + 1, &t->slabs_cap, sizeof *t->slabs)) return false;
    t->slabs[*at] = (struct table_slab){.first_ref = first * TABLE_PAGE_REFS, .n_pages = pages};
    t->n_slabs++;
    t->holes++;
    t->n_pages = first + pages;
    return true;
}

static void add_free(struct table *t, size_t bytes)
{
    t->free_bytes += bytes;
    t->memory->free += bytes;
}

static void take_free(struct table *t, size_t bytes)
{
    t->free_bytes -= bytes;
    t->memory->free -= bytes;
}

static void open_slab(struct table *t, uint32_t index)
{
    struct table_slab *slab = &t->slabs[index];
    slab->next_open = t->classes[slab->class].open;
    slab->open = true;
    t->classes[slab->class].open = index + 1;
}

/* Small slabs take a whole page of the directory, too: references are plenty, and the directory stays small enough for the first cache. */
static bool add_slab(struct table *t, uint32_t class)
{
    struct table_class *c = &t->classes[class];
    size_t stride = sizeof(struct table_entry) + class * 8u + t->value_size;
    size_t bytes = slab_bytes(t, c, stride);
    uint32_t at;
    if (!reserve_slab(t, (uint32_t)((bytes + TABLE_PAGE_BYTES - 1) / TABLE_PAGE_BYTES), &at)) return false;
    unsigned char *data = memory_alloc(t->memory, bytes);
    if (!data) return false;
    struct table_slab *slab = &t->slabs[at];
    *slab = (struct table_slab){.data = data,
                                .bytes = bytes,
                                .stride = stride,
                                .room = (uint32_t)(bytes / stride),
                                .first_ref = slab->first_ref,
                                .n_pages = slab->n_pages,
                                .class = (uint16_t) class};
    for (uint32_t i = 0; i < slab->n_pages; i++) {
        t->pages[slab->first_ref / TABLE_PAGE_REFS + i] = data + (size_t)i * TABLE_PAGE_BYTES;
        t->page_slabs[slab->first_ref / TABLE_PAGE_REFS + i] = at;
    }
    t->holes--;
    add_free(t, slab->room * stride);
    c->bytes += bytes;
    open_slab(t, at);
    return true;
}

/* A zeroed entry (but for its key's length) of the class, or NULL; *ref is its reference. */
static struct table_entry *take_entry(struct table *t, uint32_t class, uint32_t *ref)
{
    struct table_class *c = &t->classes[class];
    if (c->open == 0 && !add_slab(t, class)) return NULL;
    struct table_slab *slab = &t->slabs[c->open - 1];
    struct table_entry *e;
    if (slab->free) {
        *ref = slab->free;
        e = table_at(t, slab->free);
        slab->free = e->tag;
        memset(e, 0, slab->stride);
    } else {
        size_t at = slab->used * slab->stride;
        e = (struct table_entry *)(void *)(slab->data + at);
        *ref = slab->first_ref + (uint32_t)(at / 8);
        slab->used++;
    }
    slab->live++;
    take_free(t, slab->stride);
    if (slab->free == 0 && slab->used == slab->room) {
        c->open = slab->next_open;
        slab->open = false;
    }
    return e;
}

static void give_entry(struct table *t, struct table_entry *e, uint32_t ref)
{
    uint32_t index = t->page_slabs[ref / TABLE_PAGE_REFS];
    struct table_slab *slab = &t->slabs[index];
    e->length = TABLE_FREE;
    e->tag = slab->free;
    slab->free = ref;
    slab->live--;
    add_free(t, slab->stride);
    if (!slab->open) open_slab(t, index);
}

static void close_slab(struct table *t, uint32_t index)
{
    struct table_slab *slab = &t->slabs[index];
    uint32_t *link = &t->classes[slab->class].open;
    while (slab->open && *link != index + 1) link = &t->slabs[*link - 1].next_open;
    if (slab->open) *link = slab->next_open;
    slab->open = false;
}

void table_release(struct table *t, uint32_t index)
{
    struct table_slab *slab = &t->slabs[index];
    WEIR_ASSERT(slab->data && slab->live == 0);
    close_slab(t, index);
    memory_free(t->memory, slab->data, slab->bytes);
    take_free(t, slab->room * slab->stride);
    t->classes[slab->class].bytes -= slab->bytes;
    for (uint32_t i = 0; i < slab->n_pages; i++) t->pages[slab->first_ref / TABLE_PAGE_REFS + i] = NULL;
    slab->data = NULL;
    slab->used = slab->room = 0;
    t->holes++;
}

/* ---- keys and values --------------------------------------------------------------------------------------------------------------- */

void table_init(struct table *t, uint32_t value_size, struct memory *memory)
{
    *t = (struct table){.value_size = (value_size + 7u) & ~7u, .key_max = WEIR_KEY_MAX, .slab_max = SLAB_BYTES_MAX, .memory = memory};
    use_buckets(t, (struct table_bucket *)(uintptr_t)no_buckets, 0); /* never written: count_max is 0 */
}

static void free_long_key(struct table *t, struct table_entry *e)
{
    if (e->length <= TABLE_INLINE_MAX) return;
    memory_free(t->memory, *(void **)(void *)(e + 1), e->length);
    t->long_keys--;
}

void table_close(struct table *t)
{
    if (!t->buckets) return;
    uint64_t cursor = 0;
    while (t->long_keys) {
        struct table_entry *e = table_next(t, &cursor);
        WEIR_ASSERT(e);
        free_long_key(t, e);
    }
    take_free(t, t->free_bytes);
    for (uint32_t i = 0; i < t->n_slabs; i++) memory_free(t->memory, t->slabs[i].data, t->slabs[i].bytes);
    memory_free(t->memory, t->slabs, t->slabs_cap * sizeof *t->slabs);
    memory_free(t->memory, t->pages, t->pages_cap * sizeof *t->pages);
    memory_free(t->memory, t->page_slabs, t->page_slabs_cap * sizeof *t->page_slabs);
    if (buckets_bytes(t)) memory_free(t->memory, t->buckets, buckets_bytes(t));
    *t = (struct table){0};
}

static inline struct table_entry *lookup(const struct table *t, const struct weir_key *key)
{
    uint32_t tag = (uint32_t)key->hash;
    for (uint64_t i = home_of(tag, t->shift);; i = (i + 1) & t->mask) {
        const struct table_bucket *b = &t->buckets[i];
        for (uint32_t found = find_word(b->tags, tag); found; found &= found - 1) {
            uint32_t ref = b->refs[first_of(found)];
            if (ref == 0) return NULL; /* tag 0 is found in free places, too */
            struct table_entry *e = table_at(t, ref);
            if (WEIR_LIKELY(table_same_key(e, key))) return e;
        }
        if (!is_full(b)) return NULL;
    }
}

struct table_entry *table_find(const struct table *t, const struct weir_key *key)
{
    return lookup(t, key);
}

static bool write_key(struct table *t, struct table_entry *e, const struct weir_key *key)
{
    void *at = e + 1;
    if (key->length > TABLE_INLINE_MAX) {
        void *bytes = memory_alloc(t->memory, key->length);
        if (!bytes) return false;
        *(void **)at = bytes;
        at = bytes;
        t->long_keys++;
    }
    if (key->length) memcpy(at, key->data, key->length);
    e->length = key->length;
    e->tag = (uint32_t)key->hash;
    return true;
}

static __attribute__((noinline)) struct table_entry *insert(struct table *t, const struct weir_key *key)
{
    if (key->length > t->key_max) return NULL;
    if (t->count >= t->count_max && !grow_buckets(t)) return NULL;
    uint32_t ref;
    struct table_entry *e = take_entry(t, class_of(key->length), &ref);
    if (!e) return NULL;
    if (!write_key(t, e, key)) {
        give_entry(t, e, ref);
        return NULL;
    }
    place(t->buckets, t->mask, t->shift, (uint32_t)key->hash, ref);
    t->count++;
    return e;
}

struct table_entry *table_put(struct table *t, const struct weir_key *key)
{
    struct table_entry *e = lookup(t, key);
    return WEIR_LIKELY(e != NULL) ? e : insert(t, key);
}

/* Place of an entry in a bucket; TABLE_BUCKET = it is in another one. */
static uint32_t place_of(const struct table *t, const struct table_bucket *b, const struct table_entry *e)
{
    uint32_t found = find_word(b->tags, e->tag);
    while (found && (b->refs[first_of(found)] == 0 || table_at(t, b->refs[first_of(found)]) != e)) found &= found - 1;
    return found ? first_of(found) : TABLE_BUCKET;
}

void table_remove(struct table *t, struct table_entry *e)
{
    uint64_t i = home_of(e->tag, t->shift);
    uint32_t at;
    while ((at = place_of(t, &t->buckets[i], e)) == TABLE_BUCKET) {
        WEIR_ASSERT_HOT(is_full(&t->buckets[i]));
        i = (i + 1) & t->mask;
    }
    uint32_t ref = t->buckets[i].refs[at];
    close_hole(t, i, at);
    free_long_key(t, e);
    give_entry(t, e, ref);
    t->count--;
}

/* ---- batches ----------------------------------------------------------------------------------------------------------------------- */

/* The first entry whose tag fits, NULL when there is none: a key's own but for one time in thousands. */
static inline struct table_entry *likely_entry(const struct table *t, uint32_t tag)
{
    for (uint64_t i = home_of(tag, t->shift);; i = (i + 1) & t->mask) {
        const struct table_bucket *b = &t->buckets[i];
        uint32_t found = find_word(b->tags, tag);
        if (WEIR_LIKELY(found)) return b->refs[first_of(found)] ? table_at(t, b->refs[first_of(found)]) : NULL;
        if (!is_full(b)) return NULL;
    }
}

/* Inlined twice, with and without idx: the choice is not made per key. */
static inline __attribute__((always_inline)) void find_group(const struct table *t, const struct weir_key *keys, const uint32_t *idx,
                                                             uint32_t n, struct table_entry **entries)
{
    const struct table_bucket *buckets = t->buckets;
    uint32_t shift = t->shift;
    for (uint32_t i = 0; i < n; i++) __builtin_prefetch(&buckets[home_of((uint32_t)keys[idx ? idx[i] : i].hash, shift)]);
    for (uint32_t i = 0; i < n; i++) {
        entries[i] = likely_entry(t, (uint32_t)keys[idx ? idx[i] : i].hash);
        if (entries[i]) table_fetch(t, entries[i]);
    }
    for (uint32_t i = 0; i < n; i++) {
        const struct weir_key *key = &keys[idx ? idx[i] : i];
        if (WEIR_UNLIKELY(entries[i] && !table_same_key(entries[i], key))) entries[i] = lookup(t, key);
    }
}

void table_find_all(const struct table *t, const struct weir_key *keys, const uint32_t *idx, uint32_t n, struct table_entry **entries)
{
    for (uint32_t at = 0; at < n; at += TABLE_PROBE_GROUP) {
        uint32_t m = n - at < TABLE_PROBE_GROUP ? n - at : TABLE_PROBE_GROUP;
        if (idx)
            find_group(t, keys, idx + at, m, entries + at);
        else
            find_group(t, keys + at, NULL, m, entries + at);
    }
}

bool table_prefetch(const struct table *t, const struct weir_key *keys, uint32_t n, struct table_entry **guesses)
{
    if (t->count * (sizeof(struct table_entry) + sizeof(struct table_bucket) / TABLE_BUCKET + t->value_size) <= CACHED_BYTES) return false;
    for (uint32_t at = 0; at < n; at += TABLE_PROBE_GROUP) {
        uint32_t end = n - at < TABLE_PROBE_GROUP ? n : at + TABLE_PROBE_GROUP;
        for (uint32_t i = at; i < end; i++) __builtin_prefetch(&t->buckets[home_of((uint32_t)keys[i].hash, t->shift)]);
        for (uint32_t i = at; i < end; i++) guesses[i] = likely_entry(t, (uint32_t)keys[i].hash);
    }
    return true;
}
