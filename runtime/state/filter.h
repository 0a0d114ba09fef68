/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The negative filter: hashes of keys that have left memory, so that a key that never did costs no read of the keeper.
 *
 * A blocked Bloom filter (Putze, Sanders and Singler, "Cache-, hash- and space-efficient Bloom filters", WEA 2007: all bits of a hash in
 * one cache line, here one in each of its eight words), in layers that grow as keys are added (Almeida et al., "Scalable Bloom filters",
 * 2007), since their number is not known beforehand. Every layer is asked and their false positives add up; therefore the small layers,
 * which cost little, quadruple and have 16 bits a key (0.1 in 100), and those from FILTER_LARGE_BYTES on double and have 11.6 (0.5 in 100).
 * Altogether below 12 bits a key from two million keys on, and a false positive in 2 to 3 of 100 up to twenty million, in 8 where the share
 * allows but small layers. Nothing is ever taken out: a key that came back to memory costs a false positive at most.
 *
 * When the filter may not grow (the filters' share of the budget is used up), or has spared next to nothing for as many questions as
 * half of its full layers hold keys (nothing new comes any more), it gives up: filter_may_hold is true for every hash from then on, and it
 * holds no memory, which entries use better. Embedded value; owner: one thread.
 */
#ifndef WEIR_RUNTIME_STATE_FILTER_H
#define WEIR_RUNTIME_STATE_FILTER_H

#include <stdbool.h>
#include <stdint.h>

#include "runtime/state/memory.h"

#define FILTER_LAYERS_MAX 32u
#define FILTER_FIRST_BYTES 256u       /* of the first layer: panes of windows have filters, too */
#define FILTER_LARGE_BYTES (1u << 20) /* smaller layers quadruple, larger ones double */
#define FILTER_STEPS 16u        /* no layer takes more than this part of the share: it is over the budget until entries have made room */
#define FILTER_TRIAL_MIN 65536u /* of the trial of a small one */
#define FILTER_WORTH 64u        /* it is worth its memory if it spares one of so many reads */

/* What all filters of a slot may take together. */
struct filter_share {
    uint64_t bytes, bytes_max;
};

struct filter_layer {
    uint64_t *words;           /* 8 a block */
    uint64_t blocks_mask;      /* number of blocks, a power of two, less one */
    uint64_t count, count_max; /* keys added, and at which the next layer begins */
};

struct filter {
    struct filter_layer layers[FILTER_LAYERS_MAX];
    uint32_t n_layers;
    bool gave_up;
    uint64_t bytes;
    uint64_t asked, spared; /* since it was last judged */
    uint64_t trial;         /* questions after which it is judged */
    struct filter_share *share;
    struct memory *memory;
};

/* share: at whose end it gives up (a last layer may be smaller to fit in). share and memory are kept. Holds no memory before the first key.
 */
void filter_init(struct filter *f, struct filter_share *share, struct memory *memory);
void filter_close(struct filter *f); /* accepts a zeroed one, and leaves one */

/* Adds a hash, unless the filter holds it already as far as one can see. Without memory it gives up; it never fails. */
void filter_add(struct filter *f, uint64_t hash);

bool filter_ask_layers(const struct filter *f, uint64_t hash); /* only for filter_may_hold */

/*
 * False: the hash was never added. The hash's upper 15 bits may be alike for all (key groups); the rest must be well mixed. One branch as
 * long as nothing was added.
 */
static inline bool filter_may_hold(const struct filter *f, uint64_t hash)
{
    return f->n_layers ? filter_ask_layers(f, hash) : f->gave_up;
}

void filter_judge(struct filter *f); /* only for filter_ask */

/* As filter_may_hold, before a read that the answer may spare. It counts, and at length gives up. */
static inline bool filter_ask(struct filter *f, uint64_t hash)
{
    if (!f->n_layers) return f->gave_up;
    bool may_hold = filter_ask_layers(f, hash);
    f->spared += !may_hold;
    if (++f->asked >= f->trial) filter_judge(f);
    return may_hold;
}

/* From now on everything may be held: used when keys got in by another way, as by a restore. */
void filter_give_up(struct filter *f);

#endif
