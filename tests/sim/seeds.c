/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/seeds.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TWICE = 20, TAIL = 4000 };

static const char *program;
static sim_draw_fn *draw_world;

struct totals {
    uint64_t steps, jobs, finished, failed, canceled, completed, restarted, recovered, adopted, leaders;
};

static void count(const struct sim *sim, struct totals *t)
{
    t->steps += sim->n_steps;
    t->completed += sim->n_completed;
    t->restarted += sim->n_restarted;
    t->recovered += sim->n_recovered;
    t->adopted += sim->n_adopted;
    t->leaders += sim->n_leaders;
    for (uint32_t i = 0; i < sim->n_jobs; i++) {
        t->jobs++;
        t->finished += sim->jobs[i].state == JOB_FINISHED;
        t->failed += sim->jobs[i].state == JOB_FAILED;
        t->canceled += sim->jobs[i].state == JOB_CANCELED;
    }
}

static bool run_seed(uint64_t seed, bool trace, struct totals *totals, uint64_t *hash)
{
    struct sim *sim;
    draw_world(&sim, seed, trace);
    count(sim, totals);
    *hash = sim->hash;
    bool well = !sim->violated;
    if (!well) {
        size_t from = sim->lines.len > TAIL ? sim->lines.len - TAIL : 0;
        if (!trace) printf("...%.*s", (int)(sim->lines.len - from), (const char *)sim->lines.data + from);
        printf("seed %" PRIu64 ": %s\nrepeat with: %s --seed %" PRIu64 " --trace\n", seed, sim->violation, program, seed);
    }
    sim_destroy(&sim);
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
    printf("%" PRIu64 " seeds, %" PRIu64 " steps: %" PRIu64 " jobs, %" PRIu64 " finished, %" PRIu64 " failed, %" PRIu64
           " canceled, %" PRIu64 " died with their JobManager or were never submitted; %" PRIu64 " checkpoints completed, %" PRIu64
           " attempts begun after a failure, %" PRIu64 " jobs taken up by a new JobManager, %" PRIu64 " of them without a restart, %" PRIu64
           " JobManagers led; every invariant held\n",
           n, totals.steps, totals.jobs, totals.finished, totals.failed, totals.canceled,
           totals.jobs - totals.finished - totals.failed - totals.canceled, totals.completed, totals.restarted, totals.recovered,
           totals.adopted, totals.leaders);
    return true;
}

int seeds_main(int argc, char **argv, sim_draw_fn *draw)
{
    uint64_t seeds = 0, start = 1, seed = 0, hash;
    bool trace = false;
    program = argv[0];
    draw_world = draw;
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
            return fprintf(stderr, "usage: %s --seeds N [--start S] | --seed S [--trace]\n", program), 2;
        i++;
    }
    struct totals totals = {0};
    if (seed) return run_seed(seed, trace, &totals, &hash) ? 0 : 1;
    return run_seeds(start, seeds ? seeds : 100) ? 0 : 1;
}
