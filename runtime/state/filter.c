/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/state/filter.h"

#define WORDS 8u /* of a block: a cache line */
#define BLOCK_BYTES (WORDS * 8u)
#define BLOCK_KEYS_SMALL 32u /* keys for each block of a full layer: 16 bits a key */
#define BLOCK_KEYS_LARGE 44u /* 11.6 bits a key */

/* ---- where the bits of a hash are -------------------------------------------------------------------------------------------------- */

/* The upper bits of a product depend on all of a hash, whose own upper 15 are nearly the same throughout a subtask. */
static inline uint64_t mix(uint64_t hash, uint64_t factor)
{
    uint64_t x = (hash ^ (hash >> 32)) * factor;
    return x ^ (x >> 32);
}

/* One mixture places the block and another the bits: keys that share a block must not share bits for that. */
static inline uint64_t place(uint64_t hash)
{
    return mix(hash, 0x9e3779b97f4a7c15u);
}

/* A block's words in pairs: what every processor of ours compares at once. */
typedef uint64_t pair __attribute__((vector_size(16)));
#define PAIRS (WORDS / 2)

struct pattern {
    pair pairs[PAIRS]; /* one bit in each word */
};

static inline struct pattern pattern_of(uint64_t hash)
{
    uint64_t bits = mix(hash, 0xd6e8feb86659fd93u) >> 16;
    struct pattern p;
    for (uint32_t i = 0; i < PAIRS; i++, bits >>= 12) p.pairs[i] = (pair){(uint64_t)1 << (bits & 63), (uint64_t)1 << ((bits >> 6) & 63)};
    return p;
}

static inline pair *block_of(const struct filter_layer *layer, uint64_t placed)
{
    return (pair *)layer->words + (placed & layer->blocks_mask) * PAIRS;
}

/* ---- asking ------------------------------------------------------------------------------------------------------------------------ */

/* No early end: a bit is set as often as not, and a wrong guess of the branch costs more than the other words. */
static inline bool block_holds(const pair *block, const struct pattern *p)
{
    pair missing = {0, 0};
    for (uint32_t i = 0; i < PAIRS; i++) missing |= p->pairs[i] & ~block[i];
    return (missing[0] | missing[1]) == 0;
}

/* The largest layer first: it holds about half of what is there. */
static inline bool any_layer_holds(const struct filter *f, uint64_t placed, const struct pattern *p)
{
    for (uint32_t i = f->n_layers; i-- > 0;) {
        if (block_holds(block_of(&f->layers[i], placed), p)) return true;
    }
    return false;
}

bool filter_ask_layers(const struct filter *f, uint64_t hash)
{
    struct pattern p = pattern_of(hash);
    return any_layer_holds(f, place(hash), &p);
}

/* ---- growing ----------------------------------------------------------------------------------------------------------------------- */

static uint64_t layer_bytes(const struct filter_layer *layer)
{
    return (layer->blocks_mask + 1) * BLOCK_BYTES;
}

/*
 * Size of the next layer, 0 for none. When the one that is due does not fit, a smaller one may, and puts off giving up; but every layer
 * costs false positives, so that a tiny part of what is there is not worth it.
 */
static uint64_t next_bytes(const struct filter *f)
{
    if (f->n_layers == FILTER_LAYERS_MAX) return 0;
    uint64_t last = f->n_layers ? layer_bytes(&f->layers[f->n_layers - 1]) : 0;
    uint64_t factor = last == FILTER_FIRST_BYTES ? 16 : last < FILTER_LARGE_BYTES ? 4 : 2;
    uint64_t due = last == 0 ? FILTER_FIRST_BYTES : last * factor;
    while (due > f->share->bytes_max / FILTER_STEPS && due > FILTER_FIRST_BYTES) due /= 2;
    uint64_t room = f->share->bytes_max - f->share->bytes;
    for (uint64_t bytes = due; bytes >= FILTER_FIRST_BYTES && bytes * 2 * FILTER_STEPS >= f->bytes; bytes /= 2) {
        if (bytes <= room) return bytes;
    }
    return 0;
}

static uint64_t count_keys(const struct filter *f)
{
    uint64_t keys = 0;
    for (uint32_t i = 0; i < f->n_layers; i++) keys += f->layers[i].count;
    return keys;
}

static uint64_t trial_of(const struct filter *f)
{
    uint64_t n = count_keys(f) / 2;
    return n < FILTER_TRIAL_MIN ? FILTER_TRIAL_MIN : n;
}

static bool add_layer(struct filter *f)
{
    uint64_t bytes = next_bytes(f);
    uint64_t *words = bytes ? memory_alloc(f->memory, bytes) : NULL;
    if (!words) return false;
    uint64_t blocks = bytes / BLOCK_BYTES;
    f->trial = trial_of(f);
    uint64_t keys = bytes < FILTER_LARGE_BYTES ? BLOCK_KEYS_SMALL : BLOCK_KEYS_LARGE;
    f->layers[f->n_layers++] = (struct filter_layer){.words = words, .blocks_mask = blocks - 1, .count_max = blocks * keys};
    f->bytes += bytes;
    f->share->bytes += bytes;
    return true;
}

void filter_add(struct filter *f, uint64_t hash)
{
    if (f->gave_up) return;
    struct pattern p = pattern_of(hash);
    uint64_t placed = place(hash);
    if (any_layer_holds(f, placed, &p)) return;
    struct filter_layer *layer = f->n_layers ? &f->layers[f->n_layers - 1] : NULL;
    if (!layer || layer->count == layer->count_max) {
        if (!add_layer(f)) {
            filter_give_up(f);
            return;
        }
        layer = &f->layers[f->n_layers - 1];
    }
    pair *block = block_of(layer, placed);
    for (uint32_t i = 0; i < PAIRS; i++) block[i] |= p.pairs[i];
    layer->count++;
}

/* ---- is it worth its memory? --------------------------------------------------------------------------------------------------------- */

void filter_judge(struct filter *f)
{
    bool worth = f->spared >= f->asked / FILTER_WORTH;
    f->asked = f->spared = 0;
    if (!worth) filter_give_up(f);
}

/* ---- life -------------------------------------------------------------------------------------------------------------------------- */

void filter_init(struct filter *f, struct filter_share *share, struct memory *memory)
{
    *f = (struct filter){.share = share, .memory = memory};
}

static void free_layers(struct filter *f)
{
    for (uint32_t i = 0; i < f->n_layers; i++) memory_free(f->memory, f->layers[i].words, layer_bytes(&f->layers[i]));
    if (f->share) f->share->bytes -= f->bytes;
    f->n_layers = 0;
    f->bytes = 0;
}

void filter_give_up(struct filter *f)
{
    free_layers(f);
    f->gave_up = true;
}

void filter_close(struct filter *f)
{
    free_layers(f);
    *f = (struct filter){0};
}
