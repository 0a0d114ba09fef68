/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The number of an entry of the replicated log: the epoch of the leader that proposed it, and its place within that epoch, from 1 without
 * gap. Two logs that hold the same zxid are the same up to there. 64 bits each: at a million entries a second a counter lasts 584,000
 * years, so nothing rolls over. {0, 0} is the empty log.
 */
#ifndef WEIR_RUNTIME_COORD_ZXID_H
#define WEIR_RUNTIME_COORD_ZXID_H

#include <stdbool.h>
#include <stdint.h>

struct zxid {
    uint64_t epoch, counter;
};

/* Below zero, zero, above zero: a is older, the same, newer. */
static inline int zxid_cmp(struct zxid a, struct zxid b)
{
    if (a.epoch != b.epoch) return a.epoch < b.epoch ? -1 : 1;
    return a.counter < b.counter ? -1 : a.counter > b.counter;
}

static inline bool zxid_eq(struct zxid a, struct zxid b)
{
    return a.epoch == b.epoch && a.counter == b.counter;
}

static inline bool zxid_is_zero(struct zxid a)
{
    return a.epoch == 0 && a.counter == 0;
}

static inline struct zxid zxid_max(struct zxid a, struct zxid b)
{
    return zxid_cmp(a, b) < 0 ? b : a;
}

static inline struct zxid zxid_min(struct zxid a, struct zxid b)
{
    return zxid_cmp(a, b) < 0 ? a : b;
}

/* Can `next` stand right behind `prev` in a log? The same epoch and the next counter, or the first of a later epoch. */
static inline bool zxid_follows(struct zxid next, struct zxid prev)
{
    if (next.epoch == prev.epoch) return next.counter == prev.counter + 1;
    return next.epoch > prev.epoch && next.counter == 1;
}

#endif
