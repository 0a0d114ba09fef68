/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Division by a number that is not known to the compiler but stays the same: a multiplication and two shifts, exact for all 64-bit numbers
 * (Granlund and Montgomery, "Division by Invariant Integers using Multiplication", 1994, figure 4.1).
 */
#ifndef WEIR_CONNECTORS_NEXMARK_DIVIDE_H
#define WEIR_CONNECTORS_NEXMARK_DIVIDE_H

#include <stdint.h>

struct divide {
    uint64_t multiplier;
    uint8_t shift1, shift2;
};

/* divisor >= 1 */
static inline struct divide divide_by(uint64_t divisor)
{
    unsigned bits = divisor > 1 ? 64u - (unsigned)__builtin_clzll(divisor - 1) : 0; /* of 2^bits >= divisor */
    unsigned __int128 above = ((unsigned __int128)1 << bits) - divisor;
    return (struct divide){
        .multiplier = (uint64_t)((above << 64) / divisor + 1), .shift1 = bits > 0, .shift2 = (uint8_t)(bits > 0 ? bits - 1 : 0)};
}

static inline uint64_t divide(const struct divide *d, uint64_t x)
{
    uint64_t high = (uint64_t)((unsigned __int128)d->multiplier * x >> 64);
    return (high + ((x - high) >> d->shift1)) >> d->shift2;
}

#endif
