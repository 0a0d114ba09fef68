/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory of Nexmark's queries over a long run, by the job that users run (api/examples/nexmark). Not a measurement but a promise, and the
 * program ends with 1 when it is broken:
 *
 * - q5, q7, q8, q11, q12 stay bounded: windows and sessions go when the watermark passes.
 * - q4, q9, q18, q20 grow no faster than what is alive of them, which follows from the events (docs/reference/nexmark.md) and is counted
 *   here with the generator of the loops by hand: auctions that are open (q4, q9), pairs of bidder and auction (q18), auctions (q20).
 *
 * While a query runs, the resident memory and the entries of its state are looked at every LOOK_US and kept by how many events had been
 * read: the most of each quarter of the run counts. Between the second quarter and the last
 *
 * - resident memory may grow by GROWTH_BYTES_MAX, and beyond it by 1 + GROWTH_SLACK times as much of the state's memory as there is more
 *   alive (twice as many keys may take twice the memory);
 * - entries may grow by IN_FLIGHT_ENTRIES, where nothing grows; elsewhere they are never more than that and `entries` for each key alive.
 *   In flight are rows that no watermark has passed yet, and closed auctions that the queries sweep every 10 s of event time.
 *
 *     nexmark_memory [--short] [--query qN] [--events N] [--threads N]
 */
#include <inttypes.h>

#include "runtime/base/clock.h"
#include "taskmanager/worker/worker.h"
#include "tests/bench/apart.h"
#include "tests/bench/loop/events.h"
#include "tests/bench/loop/table.h"
#include "tests/bench/place.h"
#include "tests/support/local/local_job.h"
#include "weir/plugin.h"

#define MIB ((double)(1 << 20))
#define RATE 10000 /* the std profile */
#define LOOK_US 2000
#define SOURCE_VERTEX 0 /* every query begins with the events */
#define BINS 64         /* of a run, by events */
#define QUARTER (BINS / 4)
#define SHORT_PART 50            /* the short form has this part of a query's events ... */
#define SHORT_EVENTS_MIN 2000000 /* ... and so many at least */

#define GROWTH_BYTES_MAX \
    (16 << 20) /* what one source may be ahead of the other (AHEAD_BYTES_MAX) for each subtask, in tables that double */
#define GROWTH_SLACK 0.25
#define IN_FLIGHT_ENTRIES 60000

const char *malloc_conf = WORKER_MALLOC_CONF; /* as in a worker */

extern const struct weir_plugin weir_plugin_v1; /* of the job */

enum alive { ALIVE_BOUNDED, ALIVE_OPEN_AUCTIONS, ALIVE_PAIRS, ALIVE_AUCTIONS };

struct query {
    const char *name;
    int64_t events;
    enum alive alive;
    double entries; /* at most so many for each key alive; 0 where nothing grows */
};

static const struct query queries[] = {
    {"q5", 100000000, ALIVE_BOUNDED, 0},      {"q7", 500000000, ALIVE_BOUNDED, 0},  {"q8", 100000000, ALIVE_BOUNDED, 0},
    {"q11", 100000000, ALIVE_BOUNDED, 0},     {"q12", 100000000, ALIVE_BOUNDED, 0}, {"q4", 20000000, ALIVE_OPEN_AUCTIONS, 2},
    {"q9", 20000000, ALIVE_OPEN_AUCTIONS, 4}, {"q18", 3000000, ALIVE_PAIRS, 2},     {"q20", 10000000, ALIVE_AUCTIONS, 1},
};

static const char *const alive_names[] = {"-", "open auctions", "pairs", "auctions"};

/* What was seen while events of a bin were read. */
struct bin {
    uint64_t resident, state, entries; /* the most of each; 0: nobody looked */
    uint64_t apart;                    /* events that one subtask of the source was ahead of another, at most */
    uint64_t alive;                    /* at its end */
};

struct run {
    const struct query *query;
    int64_t events;
    uint32_t threads;
};

struct outcome {
    double seconds;
    uint64_t resident_empty;
    struct bin bins[BINS];
};

/* ---- what is alive ---------------------------------------------------------------------------------------------------------------------
 */

static uint32_t bin_of(int64_t n, int64_t events)
{
    return n >= events ? BINS - 1 : (uint32_t)(n * BINS / events);
}

/* The event behind which the watermark, its time less 1 ms, reaches t. */
static int64_t passing_event(int64_t t)
{
    return ((t + 1 - BASE_TIME) * RATE + 999) / 1000;
}

/* Into each bin how many more live at its end than at the beginning (modulo 2^64); count_alive sums up. */
static void note_event(struct bin *bins, const struct run *run, const struct event *e, struct loop_table *pairs)
{
    int64_t n = *(const int64_t *)e->row; /* seq */
    struct bin *now = &bins[bin_of(n, run->events)];
    if (run->query->alive == ALIVE_PAIRS) {
        if (e->kind != BID) return;
        const struct bid *b = e->row;
        uint32_t before = pairs->n;
        (void)loop_table_at2(pairs, b->auction, b->bidder, 2 * sizeof(int64_t));
        now->alive += pairs->n - before;
    } else if (e->kind == AUCTION) {
        int64_t end = passing_event(((const struct auction *)e->row)->expires);
        now->alive++;
        if (run->query->alive == ALIVE_OPEN_AUCTIONS && end < run->events) bins[bin_of(end, run->events)].alive--;
    }
}

static void count_alive(struct bin *bins, const struct run *run)
{
    static struct loop_events in;
    struct loop_table pairs = {0};
    loop_events_init(&in, &(struct nexmark_params){.events = (uint64_t)run->events, .rate = RATE, .group = 1});
    while (loop_events_next(&in)) EACH_EVENT(e, &in) note_event(bins, run, e, &pairs);
    for (uint32_t i = 1; i < BINS; i++) bins[i].alive += bins[i - 1].alive;
    loop_table_close(&pairs);
}

/* ---- a run -----------------------------------------------------------------------------------------------------------------------------
 */

static void keep_most(uint64_t *most, uint64_t now)
{
    if (now > *most) *most = now;
}

struct looker {
    const struct run *run;
    struct outcome *outcome;
};

static void look(const struct local_job *job, void *arg)
{
    const struct looker *l = arg;
    uint64_t read = 0, most = 0, least = UINT64_MAX, state = 0, entries = 0;
    for (uint32_t i = 0; i < job->stats.stats.n_subtasks; i++) {
        const struct wire_subtask_stats *s = &job->stats.stats.subtasks[i];
        if (s->vertex != SOURCE_VERTEX) continue;
        read += s->records_in;
        most = s->records_in > most ? s->records_in : most;
        least = s->records_in < least ? s->records_in : least;
    }
    for (uint32_t i = 0; i < job->stats.stats.n_slots; i++) {
        state += job->stats.stats.slots[i].memory_bytes;
        entries += job->stats.stats.slots[i].entries;
    }
    if (read == 0) return;
    struct bin *bin = &l->outcome->bins[bin_of((int64_t)read, l->run->events)];
    keep_most(&bin->resident, resident_bytes());
    keep_most(&bin->state, state);
    keep_most(&bin->entries, entries);
    keep_most(&bin->apart, (most - least) * l->run->threads);
}

static void work(void *result, const void *arg)
{
    const struct run *run = arg;
    struct outcome *outcome = result;
    char count[32];
    (void)snprintf(count, sizeof count, "%" PRId64, run->events);
    char *argv[] = {"nexmark", "--query", (char *)(uintptr_t)run->query->name, "--events", count, "--output", "blackhole"};
    struct looker looker = {.run = run, .outcome = outcome};
    struct local_job job;
    struct weir_diag diag = {0};
    local_job_watch = (struct local_job_watch){.look = look, .arg = &looker, .every_us = LOOK_US};
    outcome->resident_empty = resident_bytes();
    int64_t begin_ns = clock_mono_ns();
    if (local_job_run(&job, weir_plugin_v1.build, run->threads, sizeof argv / sizeof *argv, argv, &diag)) bench_die(diag.text);
    outcome->seconds = (double)(clock_mono_ns() - begin_ns) * 1e-9;
    local_job_close(&job);
}

/* ---- the promise -----------------------------------------------------------------------------------------------------------------------
 */

static struct bin most_of_quarter(const struct bin *bins, uint32_t quarter)
{
    struct bin most = {0};
    for (uint32_t i = quarter * QUARTER; i < (quarter + 1) * QUARTER; i++) {
        keep_most(&most.resident, bins[i].resident);
        keep_most(&most.state, bins[i].state);
        keep_most(&most.entries, bins[i].entries);
        keep_most(&most.apart, bins[i].apart);
        keep_most(&most.alive, bins[i].alive);
    }
    return most;
}

/* Bytes an event, by least squares over the second half. */
static double slope(const struct outcome *outcome, int64_t events)
{
    double n = 0, x = 0, y = 0, xx = 0, xy = 0;
    for (uint32_t i = BINS / 2; i < BINS; i++) {
        if (outcome->bins[i].resident == 0) continue;
        double at = ((double)i + 0.5) * (double)events / BINS, bytes = (double)outcome->bins[i].resident;
        n++, x += at, y += bytes, xx += at * at, xy += at * bytes;
    }
    double spread = n * xx - x * x;
    return spread > 0 ? (n * xy - x * y) / spread : 0;
}

/* Bytes that resident memory may grow by between the second quarter and the last. */
static double growth_max(const struct run *run, const struct bin *second, const struct bin *last)
{
    if (run->query->alive == ALIVE_BOUNDED || last->alive <= second->alive) return GROWTH_BYTES_MAX;
    double more = (double)(last->alive - second->alive) / (double)second->alive;
    return GROWTH_BYTES_MAX + (1 + GROWTH_SLACK) * more * (double)second->state;
}

static bool entries_kept(const struct run *run, const struct bin *bins)
{
    uint64_t second = most_of_quarter(bins, 1).entries;
    if (run->query->alive == ALIVE_BOUNDED) return most_of_quarter(bins, 3).entries <= second + IN_FLIGHT_ENTRIES;
    for (uint32_t i = 0; i < BINS; i++)
        if ((double)bins[i].entries > run->query->entries * (double)bins[i].alive + IN_FLIGHT_ENTRIES) return false;
    return true;
}

static void print_quarter(const struct run *run, const char *name, const struct bin *most)
{
    printf("    %-8s %8.1f MiB resident, %8.1f of state, %9" PRIu64 " entries, sources %8" PRIu64 " events apart", name,
           (double)most->resident / MIB, (double)most->state / MIB, most->entries, most->apart);
    if (run->query->alive != ALIVE_BOUNDED) printf(", %9" PRIu64 " %s", most->alive, alive_names[run->query->alive]);
    printf("\n");
}

static bool judge(const struct run *run, const struct outcome *outcome)
{
    static const char *const names[] = {"first", "second", "third", "last"};
    struct bin most[4];
    printf("%s: %" PRId64 " events, %u threads, %.2f s; most of each quarter\n", run->query->name, run->events, run->threads,
           outcome->seconds);
    for (uint32_t i = 0; i < 4; i++) {
        most[i] = most_of_quarter(outcome->bins, i);
        if (most[i].resident == 0) bench_die("a quarter went by unseen: more events");
        print_quarter(run, names[i], &most[i]);
    }
    double growth = (double)most[3].resident - (double)most[1].resident, limit = growth_max(run, &most[1], &most[3]);
    bool grown = growth > limit, many = !entries_kept(run, outcome->bins);
    printf("    from the second to the last %+.2f MiB (at most %.2f); slope of the second half %+.4f bytes an event  %s\n", growth / MIB,
           limit / MIB, slope(outcome, run->events), grown ? "GROWS" : "ok");
    if (many) printf("    more entries than what is alive explains: LEAKS\n");
    return !grown && !many;
}

static bool keeps_promise(const struct run *run, struct outcome *outcome)
{
    *outcome = (struct outcome){0};
    if (run->query->alive != ALIVE_BOUNDED) count_alive(outcome->bins, run);
    apart_run(work, outcome, run);
    return judge(run, outcome);
}

static int64_t events_of(const struct query *q, bool brief)
{
    if (!brief) return q->events;
    return q->events / SHORT_PART > SHORT_EVENTS_MIN ? q->events / SHORT_PART : SHORT_EVENTS_MIN;
}

int main(int argc, char **argv)
{
    const char *only = NULL;
    int64_t events = 0;
    bool brief = false;
    uint32_t threads = 2;
    for (int i = 1; i < argc; i++) {
        brief |= strcmp(argv[i], "--short") == 0;
        if (i + 1 == argc) break;
        if (strcmp(argv[i], "--query") == 0) only = argv[i + 1];
        if (strcmp(argv[i], "--events") == 0) events = strtoll(argv[i + 1], NULL, 10);
        if (strcmp(argv[i], "--threads") == 0) threads = (uint32_t)strtoul(argv[i + 1], NULL, 10);
    }
    struct outcome *outcome = apart_share(sizeof *outcome);
    bool kept = true;
    for (size_t i = 0; i < sizeof queries / sizeof *queries; i++) {
        const struct query *q = &queries[i];
        if (only && strcmp(only, q->name) != 0) continue;
        const struct run run = {.query = q, .events = events ? events : events_of(q, brief), .threads = threads};
        kept &= keeps_promise(&run, outcome);
    }
    (void)munmap(outcome, sizeof *outcome);
    printf("%s\n", kept ? "ok" : "the promise is BROKEN");
    return kept ? 0 : 1;
}
