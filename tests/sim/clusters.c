/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/clusters.h"

#include <inttypes.h>
#include <stdio.h>

#include "tests/sim/seeds.h"

enum { TWICE = 20, TAIL = 4000 };

static sim_draw_fn *draw_world;

static struct totals {
    uint64_t steps, jobs, finished, failed, canceled, completed, restarted, recovered, adopted, leaders;
} totals;

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

static void run(uint64_t seed, bool trace, bool counts, struct seeds_end *out)
{
    struct sim *sim;
    draw_world(&sim, seed, trace);
    if (counts) count(sim, &totals);
    *out = (struct seeds_end){.hash = sim->hash, .well = !sim->violated};
    snprintf(out->violation, sizeof out->violation, "%s", sim->violation);
    size_t from = sim->lines.len > TAIL ? sim->lines.len - TAIL : 0;
    if (sim->violated && !trace) printf("...%.*s", (int)(sim->lines.len - from), (const char *)sim->lines.data + from);
    sim_destroy(&sim);
}

static void print_totals(void)
{
    const struct totals *t = &totals;
    printf("%" PRIu64 " steps: %" PRIu64 " jobs, %" PRIu64 " finished, %" PRIu64 " failed, %" PRIu64 " canceled, %" PRIu64
           " died with their JobManager or were never submitted; %" PRIu64 " checkpoints completed, %" PRIu64
           " attempts begun after a failure, %" PRIu64 " jobs taken up by a new JobManager, %" PRIu64 " of them without a restart, %" PRIu64
           " JobManagers led",
           t->steps, t->jobs, t->finished, t->failed, t->canceled, t->jobs - t->finished - t->failed - t->canceled, t->completed,
           t->restarted, t->recovered, t->adopted, t->leaders);
}

int clusters_main(int argc, char **argv, sim_draw_fn *draw)
{
    draw_world = draw;
    return seeds_main(argc, argv, &(struct seeds_worlds){.twice = TWICE, .run = run, .print_totals = print_totals});
}
