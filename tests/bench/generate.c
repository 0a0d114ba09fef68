/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What Nexmark's events cost by themselves: all fields of the std profile, made by the real source in one task thread, through sinks that
 * only count; and the generator's functions alone, over and over into one buffer. To be subtracted from the figures of queries.
 */
#include <stdio.h>

#include "connectors/nexmark/generate.h"
#include "runtime/base/clock.h"
#include "tests/bench/bench.h"
#include "tests/support/local/local_job.h"
#include "weir/weir.h"

#define DRAFTS 32 /* as the source does */

static int64_t n_events;
static struct weir_nexmark_fields project;
static uint64_t counted;

static weir_err count(void *self, struct weir_ctx *ctx, uint32_t input, struct weir_batch *batch)
{
    (void)self, (void)ctx, (void)input;
    counted += batch->count;
    return WEIR_OK;
}
static const struct weir_operator count_sink = {
    .struct_size = sizeof(struct weir_operator), .name = "count", .flags = WEIR_OPERATOR_SINK, .process = count};

static weir_err build(struct weir_env *env, int argc, char **argv, struct weir_diag *diag)
{
    (void)argc, (void)argv, (void)diag;
    struct weir_nexmark_streams s = weir_from_nexmark(env, "events", &(struct weir_nexmark){.events = n_events, .project = project});
    weir_apply(s.bids, "bids", &count_sink, NULL, 0);
    weir_apply(s.auctions, "auctions", &count_sink, NULL, 0);
    weir_apply(s.persons, "persons", &count_sink, NULL, 0);
    return WEIR_OK;
}

/* Nanoseconds an event. */
static double run_source(void)
{
    struct local_job job;
    struct weir_diag diag;
    counted = 0;
    int64_t begin = clock_mono_ns();
    weir_err err = local_job_run(&job, build, 1, 0, NULL, &diag);
    int64_t end = clock_mono_ns();
    if (err) bench_die(diag.text);
    local_job_close(&job);
    if (counted != (uint64_t)n_events) bench_die("events are missing");
    return (double)(end - begin) / (double)n_events;
}

static uint32_t make(struct generate *g, const struct generate_draft *draft, void *row)
{
    weir_time time = generate_time(g, draft->n);
    switch (generate_kind(draft->n)) {
    case GENERATE_BID: return generate_bid(g, draft, time, GENERATE_BID_FIELDS, row);
    case GENERATE_AUCTION: return generate_auction(g, draft, time, GENERATE_AUCTION_FIELDS, row);
    case GENERATE_PERSON: return generate_person(g, draft, time, GENERATE_PERSON_FIELDS, row);
    }
    return 0;
}

/* Rows one behind the other through a buffer of a frame's size, and nothing else. */
static double run_functions(void)
{
    static _Alignas(64) unsigned char buffer[32768];
    struct generate_draft drafts[DRAFTS];
    struct generate g;
    generate_init(&g, 0, WEIR_NEXMARK_EVENTS_MAX, 10000, 1);
    uint32_t at = 0;
    int64_t begin = clock_mono_ns();
    for (uint64_t n = 0; n < (uint64_t)n_events; n++) {
        for (uint32_t i = 0; n % DRAFTS == 0 && i < DRAFTS; i++) drafts[i] = generate_begin(&g, n + i, GENERATE_BID_FIELDS);
        if (at + GENERATE_AUCTION_ROOM > sizeof buffer) at = 0;
        at += (make(&g, &drafts[n % DRAFTS], buffer + at) + 7) & ~7u;
        bench_keep(buffer);
    }
    return (double)(clock_mono_ns() - begin) / (double)n_events;
}

int main(int argc, char **argv)
{
    n_events = bench_size(argc, argv, 5000000);
    double functions = 1e9, source = 1e9, few = 1e9;
    for (int round = 0; round < BENCH_ROUNDS; round++) {
        project = (struct weir_nexmark_fields){0};
        functions = bench_min(functions, run_functions());
        source = bench_min(source, run_source());
        project = (struct weir_nexmark_fields){.bid = 0x0e, .auction = 3, .person = 3}; /* auction, bidder, price; ids */
        few = bench_min(few, run_source());
    }
    printf("generate: %lld Nexmark events, std, one thread\n", (long long)n_events);
    printf("  functions alone, all fields        %8.2f ns an event\n", functions);
    printf("  source and counting sinks          %8.2f ns an event\n", source);
    printf("  the same, three fields of a bid    %8.2f ns an event\n", few);
    return 0;
}
