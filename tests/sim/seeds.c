/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/seeds.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool run_seed(const char *program, const struct seeds_worlds *w, uint64_t seed, bool trace, bool counts, uint64_t *hash)
{
    struct seeds_end end;
    w->run(seed, trace, counts, &end);
    *hash = end.hash;
    if (!end.well) printf("seed %" PRIu64 ": %s\nrepeat with: %s --seed %" PRIu64 " --trace\n", seed, end.violation, program, seed);
    return end.well;
}

static bool run_seeds(const char *program, const struct seeds_worlds *w, uint64_t start, uint64_t n)
{
    for (uint64_t seed = start; seed < start + n; seed++) {
        uint64_t hash, again;
        if (!run_seed(program, w, seed, false, true, &hash)) return false;
        if (seed % w->twice) continue;
        if (!run_seed(program, w, seed, false, false, &again)) return false;
        if (hash == again) continue;
        printf("seed %" PRIu64 " does not repeat itself: something depends on more than the seed\n", seed);
        return false;
    }
    printf("%" PRIu64 " seeds, ", n);
    w->print_totals();
    printf("; every invariant held\n");
    return true;
}

int seeds_main(int argc, char **argv, const struct seeds_worlds *worlds)
{
    uint64_t seeds = 0, start = 1, seed = 0, hash;
    bool trace = false;
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "0";
        if (!strcmp(argv[i], "--trace")) {
            trace = true;
            continue;
        }
        if (!strcmp(argv[i], "--seeds"))
            seeds = strtoull(value, NULL, 10);
        else if (!strcmp(argv[i], "--start"))
            start = strtoull(value, NULL, 10);
        else if (!strcmp(argv[i], "--seed"))
            seed = strtoull(value, NULL, 10);
        else
            return fprintf(stderr, "usage: %s --seeds N [--start S] | --seed S [--trace]\n", argv[0]), 2;
        i++;
    }
    if (seed) return run_seed(argv[0], worlds, seed, trace, true, &hash) ? 0 : 1;
    return run_seeds(argv[0], worlds, start, seeds ? seeds : 100) ? 0 : 1;
}
