/* SPDX-License-Identifier: Apache-2.0 */
/* Small helps of the benchmarks: sizes, rounds, and a line that sets a measured ratio beside its target. Figures are printed, never
 * asserted. */
#ifndef WEIR_TESTS_BENCH_BENCH_H
#define WEIR_TESTS_BENCH_BENCH_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define BENCH_ROUNDS 5 /* each side runs so often, in turns; the best of each counts, as noise only ever adds */

/* Keeps the compiler from seeing through memory: both sides must really write it. */
#define bench_keep(p) __asm__ volatile("" : : "r"(p) : "memory")

static inline int64_t bench_size(int argc, char **argv, int64_t size)
{
    return argc > 1 && strcmp(argv[1], "--short") == 0 ? size / 50 : size;
}
static inline double bench_min(double a, double b)
{
    return a < b ? a : b;
}
static inline double bench_max(double a, double b)
{
    return a > b ? a : b;
}
_Noreturn static inline void bench_die(const char *why)
{
    (void)fprintf(stderr, "bench: %s\n", why);
    exit(1);
}
/*
 * Touches so much memory and gives it back. On a virtual machine whose host takes free memory back, the next to use it would wait for the
 * host, 4 ms for 2 MiB and up to 30 ms with the whole processor; then a benchmark measures who finds how much of it.
 */
static inline void bench_warm_memory(size_t bytes)
{
    void *p = bytes ? mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) : MAP_FAILED;
    if (p == MAP_FAILED) return;
    (void)madvise(p, bytes, MADV_HUGEPAGE);
    for (size_t at = 0; at < bytes; at += 4096) ((volatile char *)p)[at] = 0;
    (void)munmap(p, bytes);
}
/* What a host has taken of this machine's processors since it started, in ms of one of them; 0 where nobody counts it. */
static inline double bench_stolen_ms(void)
{
    unsigned long long stolen = 0; /* in hundredths of a second */
    FILE *f = fopen("/proc/stat", "r");
    if (!f || fscanf(f, "cpu %*u %*u %*u %*u %*u %*u %*u %llu", &stolen) != 1) stolen = 0;
    if (f) (void)fclose(f);
    return (double)stolen * 10;
}
/* rule: "at least" or "at most". */
static inline void bench_verdict(const char *what, double measured, const char *rule, double target)
{
    int good = rule[3] == 'l' ? measured >= target : measured <= target;
    printf("  %-34s %8.2f (%s %.2f)  %s\n", what, measured, rule, target, good ? "ok" : "MISSED");
}

#endif
