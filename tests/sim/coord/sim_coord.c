/* SPDX-License-Identifier: Apache-2.0 */
/* Ensembles of coordination peers from seeds (tests/sim/seeds.h). */
#include <inttypes.h>
#include <stdio.h>

#include "tests/sim/coord/ensemble.h"
#include "tests/sim/seeds.h"

#define TWICE 50

static struct totals {
    uint64_t events, acknowledged, reads, reconfigured, elections, snapshots;
} totals;

static void count(const struct ens *e, struct totals *t)
{
    t->events += e->n_events_done;
    t->acknowledged += e->n_acknowledged;
    t->reads += e->n_reads;
    t->reconfigured += e->n_reconfigured;
    t->elections += e->n_elections;
    t->snapshots += e->n_snapshots;
}

static void run(uint64_t seed, bool trace, bool counts, struct seeds_end *out)
{
    struct ens *e;
    ens_run_seed(&e, seed, trace);
    if (counts) count(e, &totals);
    *out = (struct seeds_end){.hash = e->hash, .well = !e->violated};
    snprintf(out->violation, sizeof out->violation, "%s", e->violation);
    ens_destroy(&e);
}

static void print_totals(void)
{
    const struct totals *t = &totals;
    printf("%" PRIu64 " events: %" PRIu64 " elections, %" PRIu64 " writes acknowledged, %" PRIu64 " linearizable reads, %" PRIu64
           " changes of members, %" PRIu64 " snapshots sent",
           t->events, t->elections, t->acknowledged, t->reads, t->reconfigured, t->snapshots);
}

int main(int argc, char **argv)
{
    return seeds_main(argc, argv, &(struct seeds_worlds){.twice = TWICE, .run = run, .print_totals = print_totals});
}
