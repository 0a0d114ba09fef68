/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program that runs worlds from seeds:
 *
 *     PROGRAM --seeds N [--start S]    worlds S ... S + N - 1; one of twenty runs twice and must give the same lines
 *     PROGRAM --seed S [--trace]       one world, with all its lines
 *
 * Exit status 1 when an invariant broke; the seed's last lines and the one command that repeats it are printed then.
 */
#ifndef WEIR_TESTS_SIM_SEEDS_H
#define WEIR_TESTS_SIM_SEEDS_H

#include "tests/sim/world.h"

typedef void sim_draw_fn(struct sim **out, uint64_t seed, bool print); /* sim_draw, or another kind of world */
int seeds_main(int argc, char **argv, sim_draw_fn *draw);

#endif
