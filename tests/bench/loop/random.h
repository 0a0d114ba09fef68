/* SPDX-License-Identifier: Apache-2.0 */
/* Random numbers as a function of their place: SplitMix64, whose outputs can be made in any order. */
#ifndef WEIR_TESTS_BENCH_LOOP_RANDOM_H
#define WEIR_TESTS_BENCH_LOOP_RANDOM_H

#include <stdbool.h>
#include <stdint.h>

static inline uint64_t mix(uint64_t z)
{
    z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
    return z ^ z >> 31;
}

/* Output `k` of SplitMix64 started at `s`. */
static inline uint64_t sm(uint64_t s, uint64_t k)
{
    return mix(s + UINT64_C(0x9E3779B97F4A7C15) * (k + 1));
}

/* Two independent uniform numbers below `m`, which is below 2^32. */
static inline uint64_t hi(uint64_t x, uint64_t m)
{
    return (x >> 32) * m >> 32;
}
static inline uint64_t lo(uint64_t x, uint64_t m)
{
    return (x & UINT32_MAX) * m >> 32;
}

/* A choice without a branch: chance decides it, so a branch would be guessed wrong. */
static inline uint64_t pick(bool first, uint64_t a, uint64_t b)
{
    return b ^ ((a ^ b) & (0 - (uint64_t)first));
}

#endif
