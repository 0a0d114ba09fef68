/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs seeds: `sim_coord --seeds 10000 [--start S]`, or one of them line by line: `sim_coord --seed 284 --trace`. One of fifty seeds runs
 * twice and must do the same.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/coord/ensemble.h"

#define TWICE 50

struct totals {
    uint64_t events, acknowledged, reads, reconfigured, elections, snapshots;
};

static const char *program;

static bool run_seed(uint64_t seed, bool print, struct totals *t, uint64_t *hash)
{
    struct ens *e;
    ens_run_seed(&e, seed, print);
    t->events += e->n_events_done;
    t->acknowledged += e->n_acknowledged;
    t->reads += e->n_reads;
    t->reconfigured += e->n_reconfigured;
    t->elections += e->n_elections;
    t->snapshots += e->n_snapshots;
    *hash = e->hash;
    bool well = !e->violated;
    if (!well) printf("seed %" PRIu64 ": %s\nrepeat with: %s --seed %" PRIu64 " --trace\n", seed, e->violation, program, seed);
    ens_destroy(&e);
    return well;
}

static bool run_seeds(uint64_t start, uint64_t n)
{
    struct totals totals = {0}, ignored = {0};
    for (uint64_t seed = start; seed < start + n; seed++) {
        uint64_t hash, again;
        if (!run_seed(seed, false, &totals, &hash)) return false;
        if (seed % TWICE) continue;
        if (!run_seed(seed, false, &ignored, &again)) return false;
        if (hash == again) continue;
        printf("seed %" PRIu64 " does not repeat itself: something depends on more than the seed\n", seed);
        return false;
    }
    printf("%" PRIu64 " seeds, %" PRIu64 " events: %" PRIu64 " elections, %" PRIu64 " writes acknowledged, %" PRIu64
           " linearizable reads, %" PRIu64 " changes of members, %" PRIu64 " snapshots sent; every invariant held\n",
           n, totals.events, totals.elections, totals.acknowledged, totals.reads, totals.reconfigured, totals.snapshots);
    return true;
}

int main(int argc, char **argv)
{
    uint64_t seeds = 0, start = 1, seed = 0, hash;
    bool print = false;
    program = argv[0];
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "0";
        if (!strcmp(argv[i], "--trace")) {
            print = true;
            continue;
        }
        if (!strcmp(argv[i], "--seeds"))
            seeds = strtoull(value, NULL, 10);
        else if (!strcmp(argv[i], "--start"))
            start = strtoull(value, NULL, 10);
        else if (!strcmp(argv[i], "--seed"))
            seed = strtoull(value, NULL, 10);
        else
            return fprintf(stderr, "usage: sim_coord --seeds N [--start S] | --seed S [--trace]\n"), 2;
        i++;
    }
    struct totals totals = {0};
    if (seed) return run_seed(seed, print, &totals, &hash) ? 0 : 1;
    return run_seeds(start, seeds ? seeds : 100) ? 0 : 1;
}
