/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Worlds in which workers are modelled, and jobs and troubles are many. With --ensemble as first argument: worlds of 3 or 5 JobManagers,
 * each with a peer of an ensemble.
 */
#include <stdio.h>
#include <string.h>

#include "tests/sim/clusters.h"

static void draw_one(struct sim **out, uint64_t seed, bool print)
{
    sim_draw(out, seed, false, print);
}

static void draw_ensemble(struct sim **out, uint64_t seed, bool print)
{
    sim_draw(out, seed, true, print);
}

int main(int argc, char **argv)
{
    char program[4096];
    if (argc < 2 || strcmp(argv[1], "--ensemble") != 0) return clusters_main(argc, argv, draw_one);
    snprintf(program, sizeof program, "%s --ensemble", argv[0]);
    argv[1] = program;
    return clusters_main(argc - 1, argv + 1, draw_ensemble);
}
