/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Latency of Nexmark's windows (q5, q7) at half of the throughput, which is measured first, in one task thread and in two.
 *
 * As docs/reference/nexmark.md, section 11, has it: event n is due at start + n/pace, whether the source lags or not. The watermark behind
 * event n is ts(n) - 1, so a window that ends at `end` is closed by the first event with ts(n) >= end. The latency of its results is their
 * delivery (the sink reads CLOCK_MONOTONIC once a batch) minus the time at which that event was due. With several splits it takes an event
 * of each to close a window; counted is from the first. Windows that the end of the input closes have no such event and are left out.
 *
 * The generator's pace steps with the wall clock's milliseconds, so up to one of them is part of every latency.
 *
 * `rate`, events per second of event time, sets how often windows close: it is chosen so that WINDOWS_A_SECOND do at that pace, because the
 * quantile asked for is the ten-thousandth.
 *
 *     bench_nexmark_latency [--short] [--query q5|q7] [--seconds N]
 */
#include <pthread.h>
#include <sys/resource.h>
#include <time.h>

#include "api/examples/nexmark/queries.h"
#include "runtime/base/clock.h"
#include "tests/bench/apart.h"
#include "tests/bench/histogram.h"
#include "tests/support/local/local_job.h"

#define SECONDS 12      /* of each paced run */
#define WARM_UP_PART 12 /* of the seconds; memory is touched for the first time */
#define WINDOWS_A_SECOND 1000
#define THROUGHPUT_EVENTS 20000000
#define THREADS_MAX 2
#define IDLE_LOOK_NS 1000000000
#define START_MS 200          /* from the building of the graph to the first event; deployed by then */
#define TARGET_MS 10.0        /* of the quantile 0.9999 */
#define STD_RATE 10000        /* of the profile that throughput is first measured with */
#define BASE_MS 1700006392863 /* ts(0) */

struct query {
    const char *name;
    query_fn make;
    int64_t slide_ms; /* windows close so often in event time */
    weir_time (*end)(const void *row);
};

/* What a run is, and what its sinks write; each subtask has its own histogram. */
struct run {
    const struct query *query;
    uint32_t threads;
    int64_t events, rate, pace; /* pace 0: at full speed */
    int64_t warm_up_ns;         /* results due before are told apart */
    int64_t start_ns;           /* CLOCK_MONOTONIC at which event 0 is due */
    weir_time start_ms;         /* the same moment by the wall clock */
};

struct outcome {
    double seconds;
    long preemptions;
    double stolen_ms; /* time of all cores that the hypervisor gave to others */
    struct histogram latencies[THREADS_MAX], warm_up[THREADS_MAX];
};

/* ---- windows ---------------------------------------------------------------------------------------------------------------------------
 */

/* As q5 prints them: auction, count, start. */
struct hot_item {
    int64_t auction, count;
    weir_time start;
};

#define WINDOW_MS (10 * SECOND_MS) /* of both queries */

static weir_time hot_item_end(const void *row)
{
    return ((const struct hot_item *)row)->start + WINDOW_MS;
}

static weir_time short_bid_end(const void *row)
{
    weir_time t = ((const struct short_bid *)row)->date_time;
    return t - t % WINDOW_MS + WINDOW_MS;
}

static const struct query queries[] = {
    {"q5", q5, 2 * SECOND_MS, hot_item_end},
    {"q7", q7, WINDOW_MS, short_bid_end},
};

/* The first event n with ts(n) >= end; ts(n) = BASE_MS + n * 1000 / rate, rounded down. */
static int64_t closing_event(weir_time end, int64_t rate)
{
    int64_t after = end - BASE_MS;
    return after <= 0 ? 0 : (after * rate + 999) / 1000;
}

/* ---- the sink --------------------------------------------------------------------------------------------------------------------------
 */

struct clock_sink {
    const struct run *run;
    struct outcome *outcome;
};

static void note(const struct clock_sink *c, uint32_t subtask, const void *row, int64_t now_ns)
{
    const struct run *run = c->run;
    int64_t n = closing_event(run->query->end(row), run->rate);
    if (n >= run->events) return;
    int64_t due_ns = (int64_t)((double)n * 1e9 / (double)run->pace), late_ns = now_ns - run->start_ns - due_ns;
    struct histogram *h = due_ns < run->warm_up_ns ? &c->outcome->warm_up[subtask] : &c->outcome->latencies[subtask];
    histogram_add(h, late_ns > 0 ? (uint64_t)late_ns : 0, 1);
}

static weir_err clock_process(void *self, struct weir_ctx *ctx, uint32_t input, struct weir_batch *batch)
{
    const struct clock_sink *c = ctx->config;
    int64_t now_ns = clock_mono_ns();
    (void)self, (void)input;
    for (uint32_t i = 0; c->run->pace && i < batch->count; i++) note(c, ctx->subtask, weir_record_row(weir_batch_record(batch, i)), now_ns);
    return WEIR_OK;
}
static const struct weir_operator clock_op = {
    .struct_size = sizeof clock_op, .name = "clock", .flags = WEIR_OPERATOR_SINK, .process = clock_process};

/* ---- runs ------------------------------------------------------------------------------------------------------------------------------
 */

static struct clock_sink sink; /* of the run in this process */

static weir_err build(struct weir_env *env, int argc, char **argv, struct weir_diag *diag)
{
    (void)argc, (void)argv, (void)diag;
    const struct run *run = sink.run;
    const struct weir_nexmark generator = {.events = run->events, .rate = run->rate, .pace = run->pace, .pace_start = run->start_ms};
    struct weir_nexmark_streams events = weir_from_nexmark(env, "events", &generator);
    const struct query_input in = {.persons = events.persons, .auctions = events.auctions, .bids = events.bids};
    (void)weir_apply(run->query->make(&in).rows, "clock", &clock_op, &sink, sizeof sink);
    return WEIR_OK;
}

/* The wall clock's whole millisecond START_MS from now, and the same moment by CLOCK_MONOTONIC. */
static void set_start(struct run *run)
{
    struct timespec wall;
    (void)clock_gettime(CLOCK_REALTIME, &wall);
    int64_t mono_ns = clock_mono_ns(), wall_ns = wall.tv_sec * 1000000000 + wall.tv_nsec;
    run->start_ms = wall_ns / 1000000 + START_MS;
    run->start_ns = mono_ns + run->start_ms * 1000000 - wall_ns;
}

/* The kernel counts it in ticks; 0 where it does not tell. */
static double stolen(void)
{
    unsigned long long ticks = 0;
    FILE *f = fopen("/proc/stat", "re");
    if (f && fscanf(f, "cpu %*u %*u %*u %*u %*u %*u %*u %llu", &ticks) != 1) ticks = 0;
    if (f) (void)fclose(f);
    return (double)ticks * 1000 / (double)sysconf(_SC_CLK_TCK);
}

static void work(void *result, const void *arg)
{
    struct outcome *outcome = result;
    struct run run = *(const struct run *)arg;
    struct local_job job;
    struct weir_diag diag = {0};
    struct rusage usage;
    double stolen_ms = stolen();
    if (run.pace) set_start(&run);
    sink = (struct clock_sink){.run = &run, .outcome = outcome};
    int64_t begin_ns = clock_mono_ns();
    if (local_job_run(&job, build, run.threads, 0, NULL, &diag)) bench_die(diag.text);
    outcome->seconds = (double)(clock_mono_ns() - begin_ns) * 1e-9;
    (void)getrusage(RUSAGE_SELF, &usage);
    outcome->preemptions = usage.ru_nivcsw;
    outcome->stolen_ms = stolen() - stolen_ms;
    local_job_close(&job);
}

/* ---- the machine by itself -------------------------------------------------------------------------------------------------------------
 */

/* Looks at the clock without a pause and notes how long it did not get to: what others took of the core. */
static void *spin(void *arg)
{
    struct histogram *gaps = arg;
    int64_t begin_ns = clock_mono_ns(), last_ns = begin_ns, now_ns;
    while ((now_ns = clock_mono_ns()) - begin_ns < IDLE_LOOK_NS) {
        histogram_add(gaps, (uint64_t)(now_ns - last_ns), 1);
        last_ns = now_ns;
    }
    return NULL;
}

/* Without a load of ours a core of an idle machine is never away for a millisecond. */
static void look_at_machine(uint32_t threads)
{
    static struct histogram gaps[THREADS_MAX];
    pthread_t spinners[THREADS_MAX];
    memset(gaps, 0, sizeof gaps);
    for (uint32_t i = 0; i < threads; i++)
        if (pthread_create(&spinners[i], NULL, spin, &gaps[i])) bench_die("no thread");
    for (uint32_t i = 0; i < threads; i++) (void)pthread_join(spinners[i], NULL);
    for (uint32_t i = 1; i < threads; i++) histogram_merge(&gaps[0], &gaps[i]);
    uint64_t away = 0;
    for (uint32_t i = histogram_bucket(1000000); i < HISTOGRAM_BUCKETS; i++) away += gaps[0].counts[i];
    printf("    the machine by itself, %.1f s before: %" PRIu64 " times a core was away for 1 ms or more, %.2f ms at most\n",
           IDLE_LOOK_NS * 1e-9, away, (double)gaps[0].max_ns * 1e-6);
}

static double events_a_second(const struct query *q, uint32_t threads, int64_t rate, int64_t events, struct outcome *outcome)
{
    const struct run run = {.query = q, .threads = threads, .events = events, .rate = rate};
    double best = 0;
    for (int round = 0; round < 2; round++) {
        *outcome = (struct outcome){0};
        apart_run(work, outcome, &run);
        best = bench_max(best, (double)events / outcome->seconds);
    }
    return best;
}

/* ---- a query ---------------------------------------------------------------------------------------------------------------------------
 */

static int64_t rate_for(const struct query *q, double pace)
{
    double rate = pace * SECOND_MS / WINDOWS_A_SECOND / (double)q->slide_ms;
    return rate < 1 ? 1 : (int64_t)rate;
}

static struct histogram sum(const struct histogram *of_subtasks)
{
    struct histogram all = of_subtasks[0];
    for (uint32_t i = 1; i < THREADS_MAX; i++) histogram_merge(&all, &of_subtasks[i]);
    return all;
}

static void report(const struct query *q, const struct run *run, const struct outcome *outcome)
{
    struct histogram all = sum(outcome->latencies), first = sum(outcome->warm_up);
    printf("    pace %" PRId64 " events/s for %.1f s, rate %" PRId64 ": %.0f windows closed a second, %" PRIu64 " results\n", run->pace,
           outcome->seconds, run->rate, (double)run->pace / (double)run->rate * SECOND_MS / (double)q->slide_ms, all.n);
    printf("    meanwhile %ld preemptions, %.0f ms stolen by the hypervisor; in the first %.1f s p50 %.2f, max %.2f ms\n",
           outcome->preemptions, outcome->stolen_ms, (double)run->warm_up_ns * 1e-9, histogram_quantile_ms(&first, 0.5),
           (double)first.max_ns * 1e-6);
    if (all.n == 0) bench_die("no window was closed by an event");
    histogram_print(&all);
    printf("    p50 %.2f, p90 %.2f, p99 %.2f, p99.9 %.2f, p99.99 %.2f, max %.2f ms\n", histogram_quantile_ms(&all, 0.5),
           histogram_quantile_ms(&all, 0.9), histogram_quantile_ms(&all, 0.99), histogram_quantile_ms(&all, 0.999),
           histogram_quantile_ms(&all, 0.9999), (double)all.max_ns * 1e-6);
    bench_verdict("p99.99, ms", histogram_quantile_ms(&all, 0.9999), "at most", TARGET_MS);
}

static void bench_query(const struct query *q, uint32_t threads, double seconds, int64_t events, struct outcome *outcome)
{
    double std = events_a_second(q, threads, STD_RATE, events, outcome);
    int64_t rate = rate_for(q, std / 2);
    double throughput = events_a_second(q, threads, rate, events, outcome);
    const struct run run = {.query = q,
                            .threads = threads,
                            .events = (int64_t)(throughput / 2 * seconds),
                            .rate = rate,
                            .pace = (int64_t)(throughput / 2),
                            .warm_up_ns = (int64_t)(seconds / WARM_UP_PART * 1e9)};
    printf("%s, %u thread%s: throughput %.2f million events/s at rate %d, %.2f at rate %" PRId64 "\n", q->name, threads,
           threads > 1 ? "s" : "", std * 1e-6, STD_RATE, throughput * 1e-6, rate);
    look_at_machine(threads);
    *outcome = (struct outcome){0};
    apart_run(work, outcome, &run);
    report(q, &run, outcome);
}

int main(int argc, char **argv)
{
    const char *only = NULL;
    double seconds = SECONDS;
    int64_t events = bench_size(argc, argv, THROUGHPUT_EVENTS);
    if (events < THROUGHPUT_EVENTS) seconds = 0.3;
    for (int i = 1; i + 1 < argc; i++) {
        if (strcmp(argv[i], "--query") == 0) only = argv[i + 1];
        if (strcmp(argv[i], "--seconds") == 0) seconds = strtod(argv[i + 1], NULL);
    }
    struct outcome *outcome = apart_share(sizeof *outcome);
    printf("latency of windows at half of the throughput, std events but for their rate; it counts from when the event was due whose "
           "watermark closed the window\n");
    for (size_t i = 0; i < sizeof queries / sizeof *queries; i++) {
        if (only && strcmp(only, queries[i].name) != 0) continue;
        for (uint32_t threads = 1; threads <= THREADS_MAX; threads++) bench_query(&queries[i], threads, seconds, events, outcome);
    }
    (void)munmap(outcome, sizeof *outcome);
    return 0;
}
