/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What checkpoints cost: Nexmark queries with them and without, as jobs of real processes (a JobManager, a TaskManager, a worker), so that
 * the stop for the snapshot, its writing, the storage, the pack and the coordinator's rounds are all in it. Then how long the record path
 * stands still, at two subtasks each, so that barriers are aligned.
 *
 *     bench_checkpoints [--short] [--query qN] [--rounds N] [--interval 10s] [--percent N]
 *
 * Sides take turns; a cost is the median of the ratios of the rounds. Checkpoints every 2 s over a few seconds stand for the 10 s of the
 * promise: five times as many of them in a second. --interval 10s --percent 800 is the promise itself, and takes its minutes. --percent is
 * of the events. Before each run its memory is touched once: see bench_warm_memory.
 */
#include <poll.h>
#include <stdlib.h>
#include <time.h>

#include "tests/bench/bench.h"
#include "tests/support/cluster/cluster.h"

#define ROUNDS_MAX 15
#define SAMPLES_MAX 4096
#define RUN_MS 300000  /* for a job, on a machine that does other things */
#define PAUSE_ROUNDS 5 /* jobs of a query whose pauses are watched */
#define PAUSE_INTERVAL "100ms"
#define LOOK_MS 40         /* between two looks at a job */
#define CHECKPOINTS_MS 400 /* and at its checkpoints: before ten more have been made, as the JobManager remembers so many */
#define PAUSE_LIMIT_MS 20
#define WARM_MAX ((size_t)10 << 30)

struct query {
    const char *name;
    int64_t events;       /* some seconds of them */
    double limit;         /* of the cost, percent */
    const char *interval; /* NULL = the one of the command */
    size_t memory_gib;    /* what a run takes, with the copies and the files of its checkpoints; 0 = little */
};

static const struct query queries[] = {
    {"q0", 60000000, 5, NULL, 0},  {"q1", 60000000, 5, NULL, 0},   {"q2", 100000000, 5, NULL, 0}, {"q5", 40000000, 15, NULL, 0},
    {"q8", 50000000, 15, NULL, 0}, {"q18", 15000000, 15, NULL, 5}, {"q5", 40000000, 25, "1s", 0},
};

static struct {
    bool brief;
    const char *only, *interval;
    int rounds;
    int64_t percent; /* of the events */
} order = {.interval = "2s", .rounds = 3, .percent = 100};

/* ---- what is known of checkpoints ------------------------------------------------------------------------------------------------------
 */

struct samples {
    int64_t last_id; /* of the job that is watched */
    size_t n;
    double sync_ms[SAMPLES_MAX], align_ms[SAMPLES_MAX], async_ms[SAMPLES_MAX], whole_ms[SAMPLES_MAX];
    double full_mib[SAMPLES_MAX], new_mib[SAMPLES_MAX];
};

static void keep_sample(struct samples *to, const json_t *stat)
{
    if (to->n == SAMPLES_MAX) bench_die("more checkpoints than there is room for");
    size_t i = to->n++;
    to->sync_ms[i] = (double)json_number(stat, "sync_us_max") / 1e3;
    to->align_ms[i] = (double)json_number(stat, "alignment_us_max") / 1e3;
    to->async_ms[i] = (double)json_number(stat, "async_us_max") / 1e3;
    to->whole_ms[i] = (double)json_number(stat, "end_to_end_duration");
    to->full_mib[i] = (double)json_number(stat, "state_size") / 1048576;
    to->new_mib[i] = (double)json_number(stat, "checkpointed_size") / 1048576;
    to->last_id = json_number(stat, "id");
}

/* Keeps those that were completed since the last look; oldest first, as they are numbered. A gap means that we looked too late. */
static void look(struct cluster *c, const char *id, struct samples *to)
{
    json_t *all = ctl_json(c, "checkpoints", id, NULL), *history = json_object_get(all, "history");
    for (int64_t wanted = to->last_id + 1;; wanted++) {
        const json_t *found = NULL;
        json_t *stat;
        size_t i;
        json_array_foreach(history, i, stat) if (json_number(stat, "id") == wanted) found = stat;
        if (!found || strcmp(json_text(found, "status"), "IN_PROGRESS") == 0) break;
        if (strcmp(json_text(found, "status"), "COMPLETED") != 0) bench_die(json_text(found, "failure_message"));
        keep_sample(to, found);
    }
    json_decref(all);
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The smallest value that so many of a thousand do not exceed; sorts. Of few values, the longest. */
static double at_permille(double *values, size_t n, size_t permille)
{
    if (n == 0) return 0;
    qsort(values, n, sizeof *values, compare);
    return values[(n * permille + 999) / 1000 - 1];
}

/* ---- runs -------------------------------------------------------------------------------------------------------------------------- */

static int64_t events_of(const struct query *q)
{
    return q->events / 100 * order.percent;
}

static void submit(struct cluster *c, char id[static JOB_ID_MAX], const struct query *q, const char *parallelism, const char *interval)
{
    char every[64], events[32];
    (void)snprintf(every, sizeof every, "execution.checkpointing.interval=%s", interval ? interval : "0");
    (void)snprintf(events, sizeof events, "%lld", (long long)events_of(q));
    job_submit(c, id, "--parallelism", parallelism, "-D", every, example_plugin("nexmark"), "--", "--query", q->name, "--events", events,
               "--output", "blackhole", NULL);
}

static int64_t wall_ms(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static bool all_read(const json_t *job)
{
    json_t *vertex;
    size_t i;
    bool all = true;
    json_array_foreach(json_object_get(job, "vertices"), i, vertex) all &= strcmp(json_text(vertex, "status"), "FINISHED") == 0;
    return all;
}

/*
 * Gives the seconds from RUNNING until every record was processed, to a look: each is a process of a few ms, on both sides alike. What the
 * job waits after that for a checkpoint under way and for the final one is no throughput.
 */
static double run(struct cluster *c, const struct query *q, const char *parallelism, const char *interval, struct samples *to)
{
    char id[JOB_ID_MAX];
    int64_t deadline_ms = now_ms() + RUN_MS, checkpoints_ms = now_ms(), read_ms = 0;
    bool ended = false;
    double seconds = 0;
    if (to) to->last_id = 0;
    size_t bytes = (q->memory_gib << 30) / 100 * (size_t)order.percent;
    bench_warm_memory(bytes < WARM_MAX ? bytes : WARM_MAX);
    submit(c, id, q, parallelism, interval);
    while (!ended) {
        (void)poll(NULL, 0, LOOK_MS);
        if (to && now_ms() > checkpoints_ms + CHECKPOINTS_MS) look(c, id, to), checkpoints_ms = now_ms();
        json_t *job = job_show(c, id), *when = json_object_get(job, "timestamps");
        if (!read_ms && all_read(job)) read_ms = wall_ms();
        ended = strcmp(json_text(job, "state"), "FINISHED") == 0;
        if (ended) {
            int64_t end_ms = json_number(when, "FINISHED");
            seconds = (double)((read_ms < end_ms ? read_ms : end_ms) - json_number(when, "RUNNING")) / 1e3;
        }
        if (strcmp(json_text(job, "state"), "FAILED") == 0) bench_die(json_text(json_object_get(job, "failure"), "reason"));
        if (now_ms() > deadline_ms) bench_die("a job does not end");
        json_decref(job);
    }
    if (to) look(c, id, to); /* the final one */
    return seconds;
}

/* ---- throughput ---------------------------------------------------------------------------------------------------------------------- */

static struct samples samples; /* of the query at hand */

static void cost(struct cluster *c, const struct query *q)
{
    double ratios[ROUNDS_MAX], with[ROUNDS_MAX], without[ROUNDS_MAX];
    const char *interval = q->interval ? q->interval : order.brief ? "100ms" : order.interval;
    double stolen_ms = bench_stolen_ms();
    samples.n = 0;
    for (int round = 0; round < order.rounds; round++) {
        if (round % 2 == 0) without[round] = run(c, q, "1", NULL, NULL);
        with[round] = run(c, q, "1", interval, &samples);
        if (round % 2 == 1) without[round] = run(c, q, "1", NULL, NULL);
        ratios[round] = with[round] > 0 ? without[round] / with[round] : 1;
    }
    size_t rounds = (size_t)order.rounds, n = samples.n;
    double percent = 100 * (1 - at_permille(ratios, rounds, 500));
    printf("%-4s %8s %8.2f %8.2f %8.1f %6.0f %-6s %5zu %9.1f %9.1f %9.1f %9.1f %9.1f %8.0f\n", q->name, interval,
           at_permille(without, rounds, 500), at_permille(with, rounds, 500), percent, q->limit, percent <= q->limit ? "ok" : "MISSED", n,
           at_permille(samples.sync_ms, n, 1000), at_permille(samples.async_ms, n, 500), at_permille(samples.whole_ms, n, 500),
           at_permille(samples.full_mib, n, 1000), at_permille(samples.new_mib, n, 500), bench_stolen_ms() - stolen_ms);
}

/* ---- pauses -------------------------------------------------------------------------------------------------------------------------- */

static struct samples together; /* of all queries */

static void pauses(struct cluster *c, const struct query *q)
{
    double stolen_ms = bench_stolen_ms();
    samples.n = 0;
    for (int round = 0; round < (order.brief ? 1 : PAUSE_ROUNDS); round++) (void)run(c, q, "2", PAUSE_INTERVAL, &samples);
    size_t n = samples.n;
    memcpy(together.sync_ms + together.n, samples.sync_ms, n * sizeof *samples.sync_ms);
    together.n += n;
    double p999 = at_permille(samples.sync_ms, n, 999);
    printf("%-4s %6zu %9.2f %9.2f %9.2f %9.2f %-6s %9.1f %9.1f %9.1f %9.1f %8.0f\n", q->name, n, at_permille(samples.sync_ms, n, 500),
           at_permille(samples.sync_ms, n, 990), p999, at_permille(samples.sync_ms, n, 1000), p999 <= PAUSE_LIMIT_MS ? "ok" : "MISSED",
           at_permille(samples.align_ms, n, 500), at_permille(samples.align_ms, n, 1000), at_permille(samples.whole_ms, n, 500),
           at_permille(samples.full_mib, n, 1000), bench_stolen_ms() - stolen_ms);
}

/* ---- the whole ------------------------------------------------------------------------------------------------------------------------
 */

static void each(struct cluster *c, void (*measure)(struct cluster *c, const struct query *q), bool twice)
{
    for (size_t i = 0; i < sizeof queries / sizeof *queries; i++)
        if ((!order.only || strcmp(order.only, queries[i].name) == 0) && (twice || !queries[i].interval)) measure(c, &queries[i]);
}

static void story(void **state)
{
    struct cluster *c = *state;
    (void)setenv("WEIR_TASKMANAGER_MEMORY_MANAGED_SIZE", "16GiB", 1);
    cluster_start(c, 1, 2);
    printf("checkpoints: seconds of a job without and with them (one subtask each, median of %d), throughput lost, its limit; of the\n"
           "checkpoints: how many, longest stop, writing and storing, from the trigger to the end (medians, ms), MiB (most), MiB new;\n"
           "stolen: ms of processor that the host has taken meanwhile\n"
           "query   every  without     with   lost %%  limit            n      stop   storing     whole      full       new   stolen\n",
           order.rounds);
    each(c, cost, true);
    printf("pauses: checkpoints every %s, two subtasks each; the stop of the slowest one, ms (p99.9 of less than 1000 is the longest);\n"
           "wait for barriers: median and longest; the whole checkpoint; MiB\n"
           "query      n       p50       p99     p99.9       max            align       max     whole      full   stolen\n",
           PAUSE_INTERVAL);
    each(c, pauses, false);
    printf("of all %zu: p99 %.2f, p99.9 %.2f, longest %.2f ms\n", together.n, at_permille(together.sync_ms, together.n, 990),
           at_permille(together.sync_ms, together.n, 999), at_permille(together.sync_ms, together.n, 1000));
    bench_verdict("pause of the record path, p99.9, ms", at_permille(together.sync_ms, together.n, 999), "at most", PAUSE_LIMIT_MS);
    c->passed = true;
}

static void read_order(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        order.brief |= strcmp(argv[i], "--short") == 0;
        if (i + 1 == argc) break;
        if (strcmp(argv[i], "--query") == 0) order.only = argv[i + 1];
        if (strcmp(argv[i], "--interval") == 0) order.interval = argv[i + 1];
        if (strcmp(argv[i], "--percent") == 0) order.percent = strtoll(argv[i + 1], NULL, 10);
        if (strcmp(argv[i], "--rounds") == 0) order.rounds = (int)strtol(argv[i + 1], NULL, 10);
    }
    if (order.brief) order.rounds = 1, order.percent = 2;
    if (order.rounds < 1 || order.rounds > ROUNDS_MAX || order.percent < 1) bench_die("--rounds is 1 ... 15, --percent at least 1");
}

int main(int argc, char **argv)
{
    const struct CMUnitTest one[] = {cmocka_unit_test_setup_teardown(story, cluster_open, cluster_close)};
    read_order(argc, argv);
    (void)setvbuf(stdout, NULL, _IOLBF, 0); /* a line takes its time */
    return cmocka_run_group_tests_name("checkpoints", one, NULL, NULL);
}
