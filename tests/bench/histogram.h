/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counts of durations in buckets that grow with them (as in HdrHistogram, G. Tene): each power of two nanoseconds is divided into 16, so a
 * quantile is told to within 1/16 above what it is. One thread writes; sums are made when all are done.
 */
#ifndef WEIR_TESTS_BENCH_HISTOGRAM_H
#define WEIR_TESTS_BENCH_HISTOGRAM_H

#include <inttypes.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>

#define HISTOGRAM_PARTS_LOG2 4
#define HISTOGRAM_PARTS (1u << HISTOGRAM_PARTS_LOG2)
#define HISTOGRAM_BUCKETS ((64 - HISTOGRAM_PARTS_LOG2 + 1) * HISTOGRAM_PARTS)
#define HISTOGRAM_BAR 50 /* characters of the longest bar */

struct histogram {
    uint64_t n, max_ns;
    uint64_t counts[HISTOGRAM_BUCKETS];
};

/* Below HISTOGRAM_PARTS a bucket holds one value; above, its index is the exponent and the bits behind the leading one. */
static inline uint32_t histogram_bucket(uint64_t ns)
{
    if (ns < HISTOGRAM_PARTS) return (uint32_t)ns;
    uint32_t shift = 63 - (uint32_t)__builtin_clzll(ns) - HISTOGRAM_PARTS_LOG2;
    return (shift + 1) * HISTOGRAM_PARTS + (uint32_t)(ns >> shift) - HISTOGRAM_PARTS;
}

/* The least value beyond a bucket. */
static inline double histogram_end_ns(uint32_t bucket)
{
    if (bucket < HISTOGRAM_PARTS) return bucket + 1;
    return ldexp(HISTOGRAM_PARTS + bucket % HISTOGRAM_PARTS + 1, (int)(bucket / HISTOGRAM_PARTS) - 1);
}

/* `n` equal values at once. */
static inline void histogram_add(struct histogram *h, uint64_t ns, uint64_t n)
{
    h->n += n;
    h->counts[histogram_bucket(ns)] += n;
    if (ns > h->max_ns) h->max_ns = ns;
}

static inline void histogram_merge(struct histogram *into, const struct histogram *from)
{
    into->n += from->n;
    if (from->max_ns > into->max_ns) into->max_ns = from->max_ns;
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++) into->counts[i] += from->counts[i];
}

/* Milliseconds that at least the share `q` of the values does not exceed. 0 when there are none. */
static inline double histogram_quantile_ms(const struct histogram *h, double q)
{
    uint64_t wanted = (uint64_t)ceil(q * (double)h->n), seen = 0;
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += h->counts[i];
        if (wanted && seen >= wanted) return fmin(histogram_end_ns(i), (double)h->max_ns) * 1e-6;
    }
    return 0;
}

/* A line for each power of two that has values; a bar grows with the logarithm of how many, so that a single one shows beside a million. */
static inline void histogram_print(const struct histogram *h)
{
    uint64_t most = 1, rows[HISTOGRAM_BUCKETS / HISTOGRAM_PARTS] = {0};
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++) rows[i / HISTOGRAM_PARTS] += h->counts[i];
    for (uint32_t r = 0; r < HISTOGRAM_BUCKETS / HISTOGRAM_PARTS; r++) most = rows[r] > most ? rows[r] : most;
    for (uint32_t r = 0; r < HISTOGRAM_BUCKETS / HISTOGRAM_PARTS; r++) {
        if (rows[r] == 0) continue;
        int bar = 1 + (int)(log2((double)rows[r]) / log2((double)most + 1) * (HISTOGRAM_BAR - 1));
        printf("    below %10.3f ms %9" PRIu64 "  %.*s\n", histogram_end_ns((r + 1) * HISTOGRAM_PARTS - 1) * 1e-6, rows[r], bar,
               "##################################################");
    }
}

#endif
