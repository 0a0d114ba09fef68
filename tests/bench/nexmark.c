/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Nexmark: every query by the job that users run (api/examples/nexmark), in one task thread with one source and in two of each, and beside
 * them, in the same run, the loop by hand (nexmark_loop.h). Results go to the blackhole; its checksum must be the loop's.
 *
 * Each run is a process of its own: its memory begins empty, and the kernel tells what it took. Sides run in turns, the best of each
 * counts. State lies in memory (a budget above what the queries keep); checkpoints are off.
 *
 *     bench_nexmark [--short] [--query qN] [--events N] [--rounds N]
 */
#include <inttypes.h>
#include <sys/resource.h>

#include "runtime/base/clock.h"
#include "tests/bench/apart.h"
#include "tests/bench/nexmark_loop.h"
#include "tests/support/local/local_job.h"
#include "weir/connector/nexmark.h"

#define ROUNDS 3
#define STATE_BYTES ((uint64_t)6 << 30) /* of each slot */

extern const struct weir_plugin weir_plugin_v1; /* of the job */

struct query {
    const char *name;
    double target; /* of the loop's speed, in one thread; 0 = there is no loop */
    int64_t events;
};

/* Events so that a run takes about a second, fewer where state grows with each. */
static const struct query queries[] = {
    {"q0", 0.5, 20000000}, {"q1", 0.5, 20000000},  {"q2", 0.5, 30000000},  {"q3", 0.3, 20000000}, {"q4", 0.3, 10000000},
    {"q5", 0.3, 20000000}, {"q6", 0, 10000000},    {"q7", 0.3, 30000000},  {"q8", 0.3, 20000000}, {"q9", 0, 10000000},
    {"q10", 0, 2000000},   {"q11", 0.3, 15000000}, {"q12", 0.3, 20000000}, {"q13", 0, 20000000},  {"q14", 0, 20000000},
    {"q15", 0, 3000000},   {"q16", 0, 2000000},    {"q17", 0.3, 6000000},  {"q18", 0.3, 3000000}, {"q19", 0, 2000000},
    {"q20", 0.3, 6000000}, {"q21", 0, 20000000},   {"q22", 0, 20000000},
};

static char scratch[64]; /* folder of a run's state, should it leave memory */

/* What a run says of itself. */
struct run {
    double seconds, cpu_seconds;
    uint64_t rows, checksum;
    int64_t memory_kib; /* most resident, beyond the empty process */
};

/* ---- runs ------------------------------------------------------------------------------------------------------------------------------
 */

static weir_err build_events(struct weir_env *env, int argc, char **argv, struct weir_diag *diag);

static void run_weir(struct run *run, const char *query, int64_t events, uint32_t threads)
{
    char count[32];
    (void)snprintf(count, sizeof count, "%" PRId64, events);
    char *argv[] = {"nexmark", "--query", (char *)(uintptr_t)query, "--events", count, "--output", "blackhole"};
    bool alone = strcmp(query, "events") == 0;
    struct local_job job;
    struct weir_diag diag = {0};
    local_job_state = (struct deployment_state){.dir = scratch, .slot_memory = STATE_BYTES};
    int64_t begin = clock_mono_ns();
    weir_err err = local_job_run(&job, alone ? build_events : weir_plugin_v1.build, threads, alone ? 5 : 7, argv, &diag);
    run->seconds = (double)(clock_mono_ns() - begin) * 1e-9;
    if (err) bench_die(diag.text);
    run->rows = local_job_counter(&job, "blackhole", "rows");
    run->checksum = local_job_counter(&job, "blackhole", "checksum");
    local_job_close(&job);
}

static void run_loop(struct run *run, const char *query, int64_t events)
{
    const struct nexmark_params params = {.events = (uint64_t)events, .rate = 10000, .group = 1};
    struct loop_result result = nexmark_loop_run(query, &params, NULL);
    run->seconds = result.seconds;
    run->rows = result.rows;
    run->checksum = result.checksum;
}

struct order {
    const char *query;
    int64_t events;
    uint32_t threads; /* 0: the loop */
};

static double cpu_seconds(const struct rusage *u)
{
    return (double)(u->ru_utime.tv_sec + u->ru_stime.tv_sec) + 1e-6 * (double)(u->ru_utime.tv_usec + u->ru_stime.tv_usec);
}

static void work(void *result, const void *arg)
{
    struct run *run = result;
    const struct order *order = arg;
    struct rusage before, after;
    (void)getrusage(RUSAGE_SELF, &before);
    if (order->threads)
        run_weir(run, order->query, order->events, order->threads);
    else
        run_loop(run, order->query, order->events);
    (void)getrusage(RUSAGE_SELF, &after);
    run->cpu_seconds = cpu_seconds(&after) - cpu_seconds(&before);
    run->memory_kib = after.ru_maxrss - before.ru_maxrss;
}

static struct run run_apart(const char *query, int64_t events, uint32_t threads)
{
    struct run *shared = apart_share(sizeof *shared);
    apart_run(work, shared, &(struct order){.query = query, .events = events, .threads = threads});
    struct run run = *shared;
    (void)munmap(shared, sizeof *shared);
    return run;
}

/* ---- generation alone
 * -------------------------------------------------------------------------------------------------------------------- */

static weir_err drop(void *self, struct weir_ctx *ctx, uint32_t input, struct weir_batch *batch)
{
    (void)self, (void)ctx, (void)input, (void)batch;
    return WEIR_OK;
}
static const struct weir_operator drop_op = {
    .struct_size = sizeof(struct weir_operator), .name = "drop", .flags = WEIR_OPERATOR_SINK, .process = drop};

static weir_err build_events(struct weir_env *env, int argc, char **argv, struct weir_diag *diag)
{
    (void)argc, (void)diag;
    struct weir_nexmark_streams in = weir_from_nexmark(env, "events", &(struct weir_nexmark){.events = strtoll(argv[4], NULL, 10)});
    struct weir_stream *all[] = {in.bids, in.auctions, in.persons};
    for (int i = 0; i < 3; i++) (void)weir_apply(all[i], weir_env_printf(env, "drop-%d", i), &drop_op, NULL, 0);
    return WEIR_OK;
}

/* ---- a line of the table
 * ------------------------------------------------------------------------------------------------------------------- */

static void keep_best(struct run *best, const struct run *run, int round)
{
    if (round == 0 || run->seconds < best->seconds) *best = *run;
}

static double ns(const struct run *run, int64_t events)
{
    return run->seconds * 1e9 / (double)events;
}

/* Most runs of a query give a ratio of their own, too: a neighbour that disturbs one side of a round does not decide. */
static void bench_query(const struct query *q, int64_t events, int rounds, double generation)
{
    struct run loop = {0}, one = {0}, two = {0};
    for (int round = 0; round < rounds; round++) {
        struct run run;
        if (q->target > 0) run = run_apart(q->name, events, 0), keep_best(&loop, &run, round);
        run = run_apart(q->name, events, 1), keep_best(&one, &run, round);
        run = run_apart(q->name, events, 2), keep_best(&two, &run, round);
    }
    if (one.rows != two.rows || one.checksum != two.checksum) bench_die("one thread and two give other results");
    if (q->target > 0 && (one.rows != loop.rows || one.checksum != loop.checksum)) bench_die("the loop by hand gives other results");
    double rate = (double)events / one.seconds * 1e-6;
    printf("%-4s %9.2f %9.2f %9.1f %9.1f", q->name, rate, (double)events / one.cpu_seconds * 1e-6, ns(&one, events),
           ns(&one, events) - generation);
    if (q->target > 0)
        printf(" %9.1f %6.2f %-6s", ns(&loop, events), loop.seconds / one.seconds,
               loop.seconds / one.seconds >= q->target ? "ok" : "MISSED");
    else
        printf(" %9s %6s %-6s", "-", "-", "");
    printf(" %6.2f %-6s %8.1f %8.1f %10" PRIu64 "\n", one.seconds / two.seconds, one.seconds / two.seconds >= 1.5 ? "ok" : "MISSED",
           (double)one.memory_kib / 1024, (double)loop.memory_kib / 1024, one.rows);
}

static double bench_generation(int64_t events, int rounds)
{
    struct run best = {0}, loop = {0};
    for (int round = 0; round < rounds; round++) {
        struct run run = run_apart("events", events, 1);
        keep_best(&best, &run, round);
        run = run_apart("generate", events, 0);
        keep_best(&loop, &run, round);
    }
    printf("generation alone, all fields: Weir %.1f ns an event, by hand %.1f\n", ns(&best, events), ns(&loop, events));
    return ns(&best, events);
}

int main(int argc, char **argv)
{
    const char *only = NULL;
    (void)snprintf(scratch, sizeof scratch, "/tmp/weir-bench-nexmark-%d", (int)getpid());
    int64_t events = 0;
    int rounds = ROUNDS;
    bool brief = false;
    for (int i = 1; i < argc; i++) {
        brief |= strcmp(argv[i], "--short") == 0;
        if (i + 1 == argc) break;
        if (strcmp(argv[i], "--query") == 0) only = argv[i + 1];
        if (strcmp(argv[i], "--events") == 0) events = strtoll(argv[i + 1], NULL, 10);
        if (strcmp(argv[i], "--rounds") == 0) rounds = (int)strtol(argv[i + 1], NULL, 10);
    }
    if (brief) rounds = 1;
    double generation = bench_generation(brief ? 200000 : 20000000, rounds);
    printf("millions of events a second in one thread (std profile, all fields made), the same by CPU second, ns an event, ns above "
           "generation;\n"
           "the loop by hand and how much of its speed; two threads against one; most memory of each, MiB; result rows\n"
           "query  million   per CPU        ns     above      hand  ratio          two           MiB     hand       rows\n");
    for (size_t i = 0; i < sizeof queries / sizeof *queries; i++) {
        const struct query *q = &queries[i];
        if (only && strcmp(only, q->name) != 0) continue;
        bench_query(q, events > 0 ? events : brief ? q->events / 100 : q->events, rounds, generation);
    }
    return 0;
}
