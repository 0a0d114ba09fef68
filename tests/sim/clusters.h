/* SPDX-License-Identifier: Apache-2.0 */
/* Simulated clusters from seeds (seeds.h), whatever their workers are; the last lines of one that broke are printed. */
#ifndef WEIR_TESTS_SIM_CLUSTERS_H
#define WEIR_TESTS_SIM_CLUSTERS_H

#include "tests/sim/world.h"

typedef void sim_draw_fn(struct sim **out, uint64_t seed, bool print); /* sim_draw, or another kind of world */
int clusters_main(int argc, char **argv, sim_draw_fn *draw);

#endif
