/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program that runs worlds from seeds:
 *
 *     PROGRAM --seeds N [--start S]    worlds S ... S + N - 1; some run twice and must do the same
 *     PROGRAM --seed S [--trace]       one world, with all its lines
 *
 * Exit status 1 when an invariant broke; the one command that repeats it is printed then.
 */
#ifndef WEIR_TESTS_SIM_SEEDS_H
#define WEIR_TESTS_SIM_SEEDS_H

#include <stdbool.h>
#include <stdint.h>

/* What became of one world. */
struct seeds_end {
    uint64_t hash; /* of all that it did */
    bool well;
    char violation[1024]; /* else */
};

struct seeds_worlds {
    uint32_t twice; /* one of so many seeds runs twice */
    /* Runs one; counts: it belongs to the totals. */
    void (*run)(uint64_t seed, bool trace, bool counts, struct seeds_end *out);
    void (*print_totals)(void); /* the rest of a line */
};

int seeds_main(int argc, char **argv, const struct seeds_worlds *worlds);

#endif
