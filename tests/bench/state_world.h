/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The records of the state benchmark, and the loop that one would write by hand for them: count, sum and maximum per 8-byte key.
 *
 * Record i < keys brings key i to life, in scattered order; those behind draw their keys uniformly, or by Zipf's law with exponent 1.0. All
 * are made beforehand, as frames have them, and every side reads the same array: 128 MiB of draws, read from front to back and then again,
 * so that neither a cache nor a branch predictor knows them from the time before.
 */
#ifndef WEIR_TESTS_BENCH_STATE_WORLD_H
#define WEIR_TESTS_BENCH_STATE_WORLD_H

#include <math.h>
#include <stdbool.h>

#include "runtime/state/memory.h"
#include "tests/bench/bench.h"
#include "weir/operator.h"

#define BATCH 1024u
#define STRIDE 32u                /* of a record: its header and a row */
#define DRAWS ((uint64_t)4 << 20) /* records behind the births; then from the front again */

struct row {
    uint64_t key;
    int64_t value;
};

struct acc {
    uint64_t count;
    int64_t sum;
    int64_t max;
};

struct world {
    uint64_t keys, births; /* births: keys, and draws up to the end of a batch */
    bool zipf;
    uint64_t seed;
    struct memory memory;
    unsigned char *records;
};

static inline double draw_unit(struct world *w)
{
    w->seed = w->seed * 6364136223846793005u + 1442695040888963407u;
    return (double)((w->seed ^ w->seed >> 29) >> 11) / 9007199254740992.0;
}

/* Rejection-inversion for exponent 1 (Hörmann and Derflinger, "Rejection-inversion to generate variates from monotone discrete
 * distributions", 1996): the ranks 1 to n. */
static inline uint64_t draw_zipf(struct world *w)
{
    double n = (double)w->keys, from = log(1.5) - 1.0, to = log(n + 0.5), near = 2.0 - exp(log(2.5) - 0.5);
    for (;;) {
        double u = to + draw_unit(w) * (from - to), x = exp(u), k = floor(x + 0.5);
        if (k < 1.0) k = 1.0;
        if (k > n) k = n;
        if (k - x <= near || u >= log(k + 0.5) - 1.0 / k) return (uint64_t)k;
    }
}

/* Scattered numbers and not 0 ... n - 1, which would flatter the loop's simple hash. Never 0. */
static inline uint64_t key_of(uint64_t number)
{
    return (number + 1) * 0x9e3779b97f4a7c15u;
}

static inline int64_t first_value(uint64_t key)
{
    return (int64_t)(key >> 40);
}

static inline uint64_t draw_number(struct world *w)
{
    return w->zipf ? draw_zipf(w) - 1 : (uint64_t)(draw_unit(w) * (double)w->keys);
}

static inline struct row make_row(struct world *w, uint64_t i)
{
    if (i < w->keys) {
        uint64_t key = key_of(i * 2654435761u % w->keys);
        return (struct row){key, first_value(key)};
    }
    uint64_t key = key_of(draw_number(w));
    return (struct row){key, (int64_t)((key ^ i * 0x2545f4914f6cdd1du) >> 40)};
}

static inline size_t world_bytes(const struct world *w)
{
    return (w->births + DRAWS) * STRIDE;
}

static inline struct world world_new(uint64_t keys, bool zipf)
{
    struct world w = {.keys = keys, .births = (keys + BATCH - 1) / BATCH * BATCH, .zipf = zipf, .seed = 42};
    w.records = memory_alloc(&w.memory, world_bytes(&w));
    if (!w.records) bench_die("out of memory");
    for (uint64_t i = 0; i < w.births + DRAWS; i++) {
        struct weir_record *rec = (struct weir_record *)(void *)(w.records + i * STRIDE);
        *rec = (struct weir_record){.size = sizeof(struct row)};
        *(struct row *)weir_record_row(rec) = make_row(&w, i);
    }
    return w;
}

static inline void world_close(struct world *w)
{
    memory_free(&w->memory, w->records, world_bytes(w));
}

/* Records i ... i + BATCH - 1; i is a multiple of BATCH. */
static inline const unsigned char *world_batch(const struct world *w, uint64_t i)
{
    return w->records + (i < w->births ? i : w->births + (i - w->births) % DRAWS) * STRIDE;
}

static inline const struct row *row_at(const unsigned char *frame, uint32_t k)
{
    return (const struct row *)(const void *)(frame + k * STRIDE + sizeof(struct weir_record));
}

static inline void update(struct acc *a, int64_t value)
{
    a->count++;
    a->sum += value;
    if (value > a->max) a->max = value;
}

/* What all accumulators together come to. The bytes may lie anywhere. */
static inline uint64_t digest_of(const void *acc)
{
    struct acc a;
    memcpy(&a, acc, sizeof a);
    return a.count * 3 + (uint64_t)a.sum * 5 + (uint64_t)a.max * 7;
}

/* ---- by hand: open addressing, entries of 32 bytes in one array of huge pages, half full at most ------------------------------------ */

struct cell {
    uint64_t key;
    struct acc acc;
};

struct hand {
    struct memory memory;
    struct cell *cells;
    uint64_t mask;
    unsigned shift;
};

static inline void hand_init(struct hand *h, uint64_t keys)
{
    unsigned bits = 1;
    while ((1ull << bits) < keys * 2) bits++;
    *h = (struct hand){.mask = (1ull << bits) - 1, .shift = 64 - bits};
    h->cells = memory_alloc(&h->memory, sizeof(struct cell) << bits);
    if (!h->cells) bench_die("out of memory");
}

static inline void hand_close(struct hand *h)
{
    memory_free(&h->memory, h->cells, sizeof(struct cell) * (h->mask + 1));
}

static inline void hand_batch(struct hand *h, const unsigned char *frame)
{
    for (uint32_t i = 0; i < BATCH; i++) {
        const struct row *row = row_at(frame, i);
        uint64_t at = (row->key ^ row->key >> 32) * 0xff51afd7ed558ccdu >> h->shift;
        while (h->cells[at].key != row->key && h->cells[at].key != 0) at = (at + 1) & h->mask;
        h->cells[at].key = row->key;
        update(&h->cells[at].acc, row->value);
    }
}

static inline uint64_t hand_digest(const struct hand *h)
{
    uint64_t sum = 0;
    for (uint64_t i = 0; i <= h->mask; i++) sum += digest_of(&h->cells[i].acc);
    return sum;
}

/* The digest after records 0 ... n - 1. */
static inline uint64_t expected_digest(const struct world *w, uint64_t n)
{
    struct hand h;
    hand_init(&h, w->keys);
    for (uint64_t i = 0; i < n; i += BATCH) hand_batch(&h, world_batch(w, i));
    uint64_t sum = hand_digest(&h);
    hand_close(&h);
    return sum;
}

#endif
