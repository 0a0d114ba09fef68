/* SPDX-License-Identifier: Apache-2.0 */
/* A ring of one item for each slice of event time that is still open: the item of slice `number` holds times from number * length on. */
#ifndef WEIR_TESTS_BENCH_LOOP_SLICES_H
#define WEIR_TESTS_BENCH_LOOP_SLICES_H

#include <stdint.h>

#include "tests/bench/loop/space.h"

/* `first` is set by the owner; the rest is zero at first. */
struct loop_slices {
    int64_t first; /* the oldest open slice */
    int64_t last;  /* the newest that was asked for */
    int64_t n;     /* slots, a power of two */
    char *items;
};

/* Doubles the ring until slice `number` has a slot. */
void loop_slices_grow(struct loop_slices *s, int64_t number, size_t size);
void loop_slices_close(struct loop_slices *s, size_t size);

/* The item of a slice that is not older than the first: all zero, or as it was left. `size` of an item is the same in all calls. */
static inline void *loop_slices_at(struct loop_slices *s, int64_t number, size_t size)
{
    if (__builtin_expect(number - s->first >= s->n, 0)) loop_slices_grow(s, number, size);
    if (number > s->last) s->last = number;
    return s->items + (size_t)(number & (s->n - 1)) * size;
}

#endif
