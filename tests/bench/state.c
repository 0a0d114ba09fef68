/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keyed state beside the loop one would write by hand, and beside RocksDB asked and written once a record: count, sum and maximum (24
 * bytes) per 8-byte key, on one task thread.
 *
 *   hand     open addressing in one array, hash and update inlined (state_world.h)
 *   keys     extracting and hashing the keys of a batch, which probe and value contain
 *   probe    the way of a window or an aggregating state: keyed_aggregating_add, a batch at a time
 *   value    the way of a process function: keyed_prefetch of the batch, then keyed_value and the update record by record
 *   rocksdb  a get and a put a record (bare_rocks.h), with a block cache as large as the budget
 *
 * All read the same batches of 1024 rows of 16 bytes, made beforehand. The ways take turns; each counts with the median of its rounds, and
 * a ratio is the median of the ratios of each round, since what disturbs a machine mostly lasts longer than one. Between rounds the program
 * waits until background work is over, whose CPU time belongs to the way that caused it. At the end every key is read back, and the sum
 * over all must be that of a fresh table of the same records.
 *
 * wall: what the task's stream takes; task: CPU of the task thread, which a busy neighbour does not stretch; process: CPU of all threads.
 * "of hand" compares task CPU, since nothing waits there; "x rocksdb" compares wall, where waiting for the disk counts.
 * `bench_state [--short | --full]`: without, 1e3 to 1e6 keys, budgets of all and a quarter; --full adds 1e7 keys and a sixteenth. One case
 * alone, for a profile: `bench_state KEYS uniform|zipf PART [SECONDS]`; PART 4 is a budget of a quarter; with SECONDS, epochs.
 */
#include <inttypes.h>
#include <stdatomic.h>

#include "runtime/base/clock.h"
#include "runtime/base/hash.h"
#include "runtime/state/keyed.h"
#include "runtime/state/rocks.h"
#include "tests/bench/bare_rocks.h"
#include "tests/bench/snapshots.h"
#include "tests/bench/state_world.h"

#define MIB ((double)(1 << 20))
#define EPOCHS_MAX 64
#define PLENTY ((uint64_t)64 << 30) /* a budget that is never reached */

static void must(weir_err err, const struct weir_diag *diag)
{
    if (err) bench_die(diag->text);
}

/* ---- a side: one way, and what it works on ------------------------------------------------------------------------------------------ */

enum way { KEYS, HAND, PROBE, VALUE, ROCKS, WAYS };
static const char *const way_names[WAYS] = {"keys", "hand", "probe", "value", "rocksdb"};

struct side {
    enum way way;
    uint64_t next; /* the record it goes on with */
    struct hand hand;
    struct bare_rocks *rocks;
    struct rocks_shared *shared; /* a worker's, each side its own */
    struct state_slot *slot;
    struct keyed *keyed;
    struct weir_state *state;
    const unsigned char *frame; /* the batch at hand */
    struct weir_key keys[BATCH];
};

static void add(void *const *accs, const struct weir_batch *batch, const uint32_t *idx, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        const struct row *row = weir_record_row(weir_batch_record(batch, idx ? idx[i] : i));
        update(accs[i], row->value);
    }
}

static void one(struct weir_state *state, const struct weir_key *key, const struct row *row)
{
    struct acc *a = keyed_value(state, key);
    if (!a) bench_die("no value");
    update(a, row->value);
}

/* As in a plugin: the compiler cannot look inside. */
static struct weir_aggregate aggregate = {.struct_size = sizeof aggregate, .name = "count", .acc_size = sizeof(struct acc), .add = add};
static void (*volatile one_function)(struct weir_state *, const struct weir_key *, const struct row *) = one;

static void open_state(struct side *s, uint64_t budget, bool snapshots)
{
    char dir[PLACE_PATH_MAX];
    struct weir_diag diag;
    place_path(dir, "slot");
    must(rocks_shared_new(&s->shared, ROCKS_CACHE_BYTES, ROCKS_THREADS, &diag), &diag);
    struct state_slot_config config = {.dir = dir, .budget = budget, .shared = s->shared, .snapshots = snapshots};
    must(state_slot_new(&s->slot, &config, &diag), &diag);
    if (keyed_new(&s->keyed, s->slot, "bench", 0, WEIR_KEY_GROUPS - 1)) bench_die("out of memory");
    struct weir_state_desc desc = {.struct_size = sizeof desc, .name = "acc", .value_size = sizeof(struct acc)};
    must(keyed_open(s->keyed, s->way == PROBE ? KEYED_AGGREGATING : KEYED_VALUE, &desc, &s->state, &diag), &diag);
    if (s->way == PROBE) keyed_aggregating_set(s->state, &aggregate);
}

static void side_init(struct side *s, enum way way, const struct world *w, uint64_t budget, bool snapshots)
{
    char dir[PLACE_PATH_MAX];
    memset(s, 0, sizeof *s);
    s->way = way;
    if (way == HAND) hand_init(&s->hand, w->keys);
    if (way == PROBE || way == VALUE) open_state(s, budget, snapshots);
    if (way != ROCKS) return;
    place_path(dir, "rocksdb");
    s->rocks = bare_rocks_new(dir, budget);
}

static void side_close(struct side *s)
{
    if (s->way == HAND) hand_close(&s->hand);
    keyed_destroy(&s->keyed);
    state_slot_destroy(&s->slot);
    rocks_shared_destroy(&s->shared);
    bare_rocks_destroy(s->rocks);
    s->rocks = NULL;
}

/* ---- one batch ---------------------------------------------------------------------------------------------------------------------- */

static void extract(struct side *s)
{
    for (uint32_t i = 0; i < BATCH; i++) s->keys[i] = (struct weir_key){.data = row_at(s->frame, i), .length = 8};
    hash_keys(s->keys, BATCH);
}

static void safe_point(struct side *s)
{
    struct weir_diag diag;
    if (keyed_safe_point(s->keyed, clock_wall_ms())) must(slot_error(s->slot, &diag), &diag);
}

static void probe_batch(struct side *s)
{
    struct weir_batch batch = {.data = (unsigned char *)(uintptr_t)s->frame, .count = BATCH, .stride = STRIDE};
    struct weir_diag diag;
    if (keyed_aggregating_add(s->state, s->keys, &batch, NULL, BATCH, NULL)) must(slot_error(s->slot, &diag), &diag);
}

static void value_batch(struct side *s)
{
    void (*f)(struct weir_state *, const struct weir_key *, const struct row *) = one_function;
    keyed_prefetch(s->keyed, s->keys, BATCH);
    for (uint32_t i = 0; i < BATCH; i++) f(s->state, &s->keys[i], row_at(s->frame, i));
}

static void rocks_record(struct side *s, const struct row *row)
{
    struct acc a;
    bare_rocks_get(s->rocks, &row->key, 8, &a, sizeof a);
    update(&a, row->value);
    bare_rocks_put(s->rocks, &row->key, 8, &a, sizeof a);
}

static void do_batch(struct side *s)
{
    switch (s->way) {
    case HAND: hand_batch(&s->hand, s->frame); return;
    case ROCKS:
        for (uint32_t i = 0; i < BATCH; i++) rocks_record(s, row_at(s->frame, i));
        return;
    default: break;
    }
    extract(s);
    bench_keep(s->keys);
    if (s->way == KEYS) return;
    if (s->way == PROBE) probe_batch(s);
    if (s->way == VALUE) value_batch(s);
    safe_point(s);
}

/* ---- many batches ------------------------------------------------------------------------------------------------------------------- */

/* ns a record; longest: of a batch, in ms. */
struct cost {
    double wall, task, process, longest_ms;
};

struct watch {
    double wall, task, process, last, longest;
};

static struct watch watch_start(void)
{
    double now = seconds_of(CLOCK_MONOTONIC);
    return (struct watch){now, seconds_of(CLOCK_THREAD_CPUTIME_ID), seconds_of(CLOCK_PROCESS_CPUTIME_ID), now, 0};
}

/* Once a batch. Seconds so far. */
static double watch_lap(struct watch *t)
{
    double now = seconds_of(CLOCK_MONOTONIC);
    t->longest = bench_max(t->longest, now - t->last);
    t->last = now;
    return now - t->wall;
}

static struct cost watch_stop(const struct watch *t, uint64_t n, bool background)
{
    double scale = 1e9 / (double)n;
    struct cost cost = {.wall = (t->last - t->wall) * scale, .longest_ms = t->longest * 1e3};
    cost.task = (seconds_of(CLOCK_THREAD_CPUTIME_ID) - t->task) * scale;
    if (background) wait_until_quiet(20);
    cost.process = (seconds_of(CLOCK_PROCESS_CPUTIME_ID) - t->process) * scale;
    return cost;
}

static struct cost run(struct side *s, const struct world *w, uint64_t n, bool background)
{
    struct watch t = watch_start();
    uint64_t end = s->next + n;
    for (; s->next < end; s->next += BATCH) {
        s->frame = world_batch(w, s->next);
        do_batch(s);
        (void)watch_lap(&t);
    }
    return watch_stop(&t, n, background);
}

/* ---- rounds ------------------------------------------------------------------------------------------------------------------------- */

#define ROUNDS_MAX 32

/* What a way cost, round by round. */
struct series {
    struct cost costs[ROUNDS_MAX];
    int n;
};

static void series_add(struct series *series, struct cost cost)
{
    if (series->n == ROUNDS_MAX) bench_die("too many rounds");
    series->costs[series->n++] = cost;
}

static double wall_of(const struct cost *cost)
{
    return cost->wall;
}

static double task_of(const struct cost *cost)
{
    return cost->task;
}

static double process_of(const struct cost *cost)
{
    return cost->process;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double median(double *values, int n)
{
    qsort(values, (size_t)n, sizeof *values, by_size);
    return (values[(n - 1) / 2] + values[n / 2]) / 2;
}

static double typical(const struct series *series, double (*what)(const struct cost *))
{
    double values[ROUNDS_MAX];
    for (int i = 0; i < series->n; i++) values[i] = what(&series->costs[i]);
    return median(values, series->n);
}

/* How many times as fast as `than`. */
static double faster(const struct series *series, const struct series *than, double (*what)(const struct cost *))
{
    double values[ROUNDS_MAX];
    int n = series->n < than->n ? series->n : than->n;
    for (int i = 0; i < n; i++) values[i] = what(&than->costs[i]) / what(&series->costs[i]);
    return median(values, n);
}

static double longest_of(const struct series *series)
{
    double longest = 0;
    for (int i = 0; i < series->n; i++) longest = bench_max(longest, series->costs[i].longest_ms);
    return longest;
}

/* ---- the first records --------------------------------------------------------------------------------------------------------------- */

static int by_bytes(const void *a, const void *b)
{
    return memcmp(a, b, 8);
}

/* What the first records leave behind, put in order of the keys: a start that RocksDB likes best. */
static void load_rocks(struct side *s, const struct world *w)
{
    uint64_t *keys = malloc(w->keys * sizeof *keys);
    if (!keys) bench_die("out of memory");
    for (uint64_t i = 0; i < w->keys; i++) keys[i] = key_of(i);
    qsort(keys, w->keys, sizeof *keys, by_bytes);
    for (uint64_t i = 0; i < w->keys; i++) {
        struct acc a = {0};
        update(&a, first_value(keys[i]));
        bare_rocks_put(s->rocks, &keys[i], 8, &a, sizeof a);
    }
    free(keys);
    bare_rocks_compact(s->rocks);
    for (uint64_t i = w->keys; i < w->births; i++) rocks_record(s, row_at(w->records, (uint32_t)i));
    s->next = w->births;
}

static struct cost fill(struct side *s, const struct world *w)
{
    if (s->way != ROCKS) return run(s, w, w->births, false);
    load_rocks(s, w);
    return (struct cost){0};
}

/* ---- are the results right? --------------------------------------------------------------------------------------------------------- */

static void add_digest(void *sum, const void *value)
{
    *(uint64_t *)sum += digest_of(value);
}

static uint64_t state_digest(struct side *s, const struct world *w)
{
    uint64_t sum = 0;
    for (uint64_t i = 0; i < w->keys; i++) {
        uint64_t bytes = key_of(i);
        struct weir_key key = {.data = &bytes, .length = 8, .hash = hash64(&bytes, 8)};
        struct weir_bytes value = keyed_value_read(s->state, &key);
        if (value.length == sizeof(struct acc)) sum += digest_of(value.data);
        if (i % 256 == 0) safe_point(s);
    }
    return sum;
}

static void check(struct side *s, const struct world *w)
{
    uint64_t sum = 0;
    if (s->way == KEYS) return;
    if (s->way == HAND) sum = hand_digest(&s->hand);
    if (s->way == ROCKS) bare_rocks_each(s->rocks, add_digest, &sum);
    if (s->state) sum = state_digest(s, w);
    if (sum == expected_digest(w, s->next)) return;
    printf("  %s: the results DIFFER from those by hand\n", way_names[s->way]);
    exit(1);
}

/* ---- printing ----------------------------------------------------------------------------------------------------------------------- */

static void print_title(const struct world *w, uint64_t state, uint64_t budget, const char *epochs)
{
    printf("%.0e keys, %s, state %.1f MiB, budget %s", (double)w->keys, w->zipf ? "zipf 1.0" : "uniform", (double)state / MIB,
           budget == PLENTY ? "above it" : "");
    if (budget != PLENTY) printf("%.1f MiB", (double)budget / MIB);
    printf("%s\n  %-8s %9s %9s %9s %9s %9s %9s %9s %12s\n", epochs, "ns of", "wall", "task", "process", "M/s", "of hand", "x rocksdb",
           "by task", "longest ms");
}

static void print_line(enum way way, const struct series *all)
{
    const struct series *s = &all[way];
    printf("  %-8s %9.1f %9.1f %9.1f %9.2f %9.3f", way_names[way], typical(s, wall_of), typical(s, task_of), typical(s, process_of),
           1e3 / typical(s, wall_of), faster(s, &all[HAND], task_of));
    if (all[ROCKS].n)
        printf(" %9.2f %9.2f", faster(s, &all[ROCKS], wall_of), faster(s, &all[ROCKS], task_of));
    else
        printf(" %9s %9s", "", "");
    printf(" %12.2f\n", longest_of(s));
}

static void print_stats(const struct side *s)
{
    struct slot_stats t;
    slot_stats(s->slot, &t);
    printf("  %s: in memory %.1f MiB (free %.1f, reserved %.1f), %" PRIu64 " entries (%" PRIu64 " clean), loads %" PRIu64
           ", evictions %" PRIu64 ", write-outs %" PRIu64 ", waits %" PRIu64 ", filter %" PRIu64 "\n",
           way_names[s->way], (double)t.bytes / MIB, (double)t.free_bytes / MIB, (double)t.reserved_bytes / MIB, t.entries, t.clean,
           t.loads, t.evictions, t.write_outs, t.waits, t.hits_filter);
}

/* ---- without epochs ----------------------------------------------------------------------------------------------------------------- */

struct rounds {
    int rounds;
    uint64_t fast, slow; /* records a round: where memory serves, where RocksDB does */
};

static struct side *new_sides(const struct world *w, uint64_t budget, uint64_t rocks_budget)
{
    struct side *sides = aligned_alloc(64, WAYS * sizeof *sides);
    if (!sides) bench_die("out of memory");
    for (int way = 0; way < WAYS; way++) side_init(&sides[way], (enum way)way, w, way == ROCKS ? rocks_budget : budget, false);
    return sides;
}

static void free_sides(struct side *sides)
{
    for (int way = 0; way < WAYS; way++) side_close(&sides[way]);
    free(sides);
}

/* Bytes of the state with everything in memory. */
static uint64_t state_bytes(const struct world *w)
{
    struct side *s = aligned_alloc(64, sizeof *s);
    struct slot_stats stats;
    if (!s) bench_die("out of memory");
    side_init(s, PROBE, w, PLENTY, false);
    (void)fill(s, w);
    slot_stats(s->slot, &stats);
    side_close(s);
    free(s);
    return stats.bytes - stats.free_bytes;
}

static void verdict_in_memory(const struct world *w, const struct series *all)
{
    if (w->zipf || (w->keys != 100000 && w->keys != 1000000)) return;
    bench_verdict("probe, of hand", faster(&all[PROBE], &all[HAND], task_of), "at least", 0.6);
    bench_verdict("value, of hand", faster(&all[VALUE], &all[HAND], task_of), "at least", 0.6);
    if (w->keys != 1000000) return;
    bench_verdict("probe, times rocksdb", faster(&all[PROBE], &all[ROCKS], wall_of), "at least", 40);
    bench_verdict("value, times rocksdb", faster(&all[VALUE], &all[ROCKS], wall_of), "at least", 40);
}

static void verdict_quarter(const struct world *w, const struct series *all)
{
    double target = w->zipf ? 5 : 2;
    bench_verdict("probe, times rocksdb", faster(&all[PROBE], &all[ROCKS], wall_of), "at least", target);
    bench_verdict("value, times rocksdb", faster(&all[VALUE], &all[ROCKS], wall_of), "at least", target);
}

static bool is_slow(const struct side *s, unsigned part)
{
    return s->way == ROCKS || (part > 1 && s->slot);
}

#define WARM_MAX ((uint64_t)5 << 17)

/* Where the state does not fit: until what lies in memory is what is used, and filters have learned that nothing new comes. */
static uint64_t warm_records(const struct world *w, unsigned part, const struct rounds *plan)
{
    if (part == 1) return plan->slow;
    return w->births < WARM_MAX ? w->births : WARM_MAX;
}

/* Every way's first fill, and, where RocksDB serves, further records. */
static void warm_up(struct side *sides, const struct world *w, unsigned part, const struct rounds *plan, struct cost *first)
{
    for (int way = 0; way < WAYS; way++) {
        first[way] = fill(&sides[way], w);
        if (is_slow(&sides[way], part)) (void)run(&sides[way], w, warm_records(w, part, plan), true);
    }
}

static void take_turns(struct side *sides, const struct world *w, unsigned part, const struct rounds *plan, struct series *all)
{
    for (int round = 0; round < plan->rounds; round++) {
        for (int way = 0; way < WAYS; way++) {
            bool slow = is_slow(&sides[way], part);
            series_add(&all[way], run(&sides[way], w, slow ? plan->slow : plan->fast, slow));
        }
    }
}

static void print_case(struct side *sides, unsigned part, const struct series *all, const struct cost *first)
{
    for (int way = 0; way < WAYS; way++) print_line((enum way)way, all);
    printf("  first fill: hand %.1f ns, probe %.1f ns (longest batch %.1f ms), value %.1f ns (%.1f ms)\n", first[HAND].wall,
           first[PROBE].wall, first[PROBE].longest_ms, first[VALUE].wall, first[VALUE].longest_ms);
    if (part == 1) return;
    print_stats(&sides[PROBE]);
    print_stats(&sides[VALUE]);
}

/* part: the budget is this part of the state; 1 = all of it, with room. */
static void measure(const struct world *w, uint64_t state, unsigned part, const struct rounds *plan)
{
    uint64_t budget = part == 1 ? PLENTY : state / part;
    struct series all[WAYS] = {0};
    struct cost first[WAYS];
    struct side *sides = new_sides(w, budget, state / part);
    print_title(w, state, budget, "");
    warm_up(sides, w, part, plan, first);
    take_turns(sides, w, part, plan, all);
    print_case(sides, part, all, first);
    for (int way = 0; way < WAYS; way++) check(&sides[way], w);
    if (part == 1) verdict_in_memory(w, all);
    if (part == 4 && w->keys == 1000000) verdict_quarter(w, all);
    (void)fflush(stdout);
    free_sides(sides);
}

/* ---- with epochs -------------------------------------------------------------------------------------------------------------------- */

/* Snapshots of one side, written by a thread of their own. */
struct epochs {
    struct side *side;
    uint64_t epoch;
    struct keyed_snapshot *snapshot;
    char dir[PLACE_PATH_MAX];
    struct keyed_files files;
    pthread_t thread;
    atomic_bool written;
    double freeze_ms[EPOCHS_MAX]; /* longest pauses: at the barrier, or for a step of copying */
    double step_cpu_ms;           /* the longest of them in CPU time, which says more where the cores are shared */
    double settle_ms, persist_s, persist_cpu_s;
    uint64_t bytes, entries, n;
};

static void *persist(void *arg)
{
    struct epochs *e = arg;
    struct weir_diag diag;
    struct keyed_files old = e->files;
    double began = seconds_of(CLOCK_MONOTONIC);
    must(keyed_persist(e->snapshot, e->dir, &e->files, &diag), &diag);
    e->persist_s += seconds_of(CLOCK_MONOTONIC) - began;
    e->persist_cpu_s += seconds_of(CLOCK_THREAD_CPUTIME_ID);
    for (uint32_t i = 0; i < e->files.n; i++) {
        if (!e->files.items[i].is_new) continue;
        e->bytes += e->files.items[i].bytes;
        e->entries += e->files.items[i].entries;
    }
    snapshot_retire(e->dir, &old, &e->files);
    atomic_store(&e->written, true);
    return NULL;
}

struct pause {
    double wall, cpu;
};

static struct pause pause_begin(void)
{
    return (struct pause){seconds_of(CLOCK_MONOTONIC), seconds_of(CLOCK_THREAD_CPUTIME_ID)};
}

static void pause_end(struct epochs *e, struct pause began)
{
    double ms = (seconds_of(CLOCK_MONOTONIC) - began.wall) * 1e3;
    e->step_cpu_ms = bench_max(e->step_cpu_ms, (seconds_of(CLOCK_THREAD_CPUTIME_ID) - began.cpu) * 1e3);
    if (e->n && e->n <= EPOCHS_MAX) e->freeze_ms[e->n - 1] = bench_max(e->freeze_ms[e->n - 1], ms);
}

static bool copy_step(struct epochs *e)
{
    struct pause began = pause_begin();
    bool more = slot_copy(e->side->slot, SLOT_COPY_BYTES);
    pause_end(e, began);
    return more;
}

static void begin_epoch(struct epochs *e)
{
    struct weir_diag diag;
    struct pause began = pause_begin();
    must(keyed_freeze(e->side->keyed, ++e->epoch, &e->snapshot, &diag), &diag);
    e->n += e->n < EPOCHS_MAX;
    pause_end(e, began);
    atomic_store(&e->written, false);
    if (pthread_create(&e->thread, NULL, persist, e)) bench_die("no thread");
}

static void end_epoch(struct epochs *e)
{
    while (copy_step(e)) {
    }
    (void)pthread_join(e->thread, NULL);
    double began = seconds_of(CLOCK_MONOTONIC);
    keyed_snapshot_destroy(&e->snapshot);
    e->settle_ms = bench_max(e->settle_ms, (seconds_of(CLOCK_MONOTONIC) - began) * 1e3);
}

/* An interval: the epoch at its beginning, and records until it is over. */
static struct cost run_interval(struct epochs *e, const struct world *w, double seconds)
{
    struct side *s = e->side;
    struct watch t = watch_start();
    uint64_t from = s->next;
    begin_epoch(e);
    for (double now = 0; now < seconds || e->snapshot; s->next += BATCH) {
        s->frame = world_batch(w, s->next);
        do_batch(s);
        (void)copy_step(e);
        if (e->snapshot && atomic_load(&e->written)) end_epoch(e);
        now = watch_lap(&t);
    }
    return watch_stop(&t, s->next - from, true);
}

/* Epochs in close order, all that is in memory dirty: for the pauses alone. */
static void run_epochs(struct epochs *e, const struct world *w, uint64_t records, int n)
{
    for (int i = 0; i < n; i++) {
        (void)run(e->side, w, records, false);
        begin_epoch(e);
        end_epoch(e);
    }
}

static double print_epochs(struct epochs *e)
{
    qsort(e->freeze_ms, e->n, sizeof *e->freeze_ms, by_size);
    double max = e->freeze_ms[e->n - 1], n = (double)e->n;
    printf("  %s: %" PRIu64
           " epochs: freeze p50 %.2f p99 %.2f max %.2f ms (CPU %.2f), settle at most %.2f ms; each: persist %.3f s (CPU %.3f s), "
           "%.1f MiB, %.0f entries\n",
           way_names[e->side->way], e->n, e->freeze_ms[e->n / 2], e->freeze_ms[(uint64_t)((n - 1) * 0.99)], max, e->step_cpu_ms,
           e->settle_ms, e->persist_s / n, e->persist_cpu_s / n, (double)e->bytes / n / MIB, (double)e->entries / n);
    return max;
}

static void epochs_init(struct epochs *e, struct side *s, const struct world *w)
{
    memset(e, 0, sizeof *e);
    e->side = s;
    place_folder(e->dir, "epochs");
    (void)fill(s, w);
    run_epochs(e, w, w->keys / BATCH * BATCH + BATCH, 2); /* the first one writes everything; then files begin to be turned over */
    wait_until_quiet(20);
}

static const enum way epoch_ways[] = {HAND, PROBE, VALUE};

static struct side *epoch_sides(const struct world *w, uint64_t budget, unsigned part, struct epochs *epochs)
{
    struct side *sides = aligned_alloc(64, WAYS * sizeof *sides);
    if (!sides) bench_die("out of memory");
    for (int way = 0; way < WAYS; way++) {
        side_init(&sides[way], way == ROCKS ? KEYS : (enum way)way, w, budget, true);
        if (way != PROBE && way != VALUE) continue;
        epochs_init(&epochs[way], &sides[way], w);
        run_epochs(&epochs[way], w, 2 * w->keys / BATCH * BATCH + BATCH, part == 1 ? 10 : 2);
    }
    (void)fill(&sides[HAND], w);
    return sides;
}

static void run_rounds(struct side *sides, struct epochs *epochs, const struct world *w, double seconds, int rounds, struct series *all)
{
    for (int round = 0; round < rounds; round++) {
        for (size_t i = 0; i < sizeof epoch_ways / sizeof epoch_ways[0]; i++) {
            enum way way = epoch_ways[i];
            struct cost cost = sides[way].slot ? run_interval(&epochs[way], w, seconds) : run(&sides[way], w, (uint64_t)8 << 20, false);
            series_add(&all[way], cost);
        }
    }
}

static void verdict_epochs(const struct world *w, const struct series *all, double pause)
{
    if (w->keys < 100000) return;
    bench_verdict("probe with epochs, of hand", faster(&all[PROBE], &all[HAND], task_of), "at least", 0.5);
    bench_verdict("value with epochs, of hand", faster(&all[VALUE], &all[HAND], task_of), "at least", 0.5);
    if (w->keys <= 1000000) bench_verdict("longest freeze, ms", pause, "at most", 50);
}

static void measure_epochs(const struct world *w, uint64_t state, unsigned part, double seconds, int rounds)
{
    static struct epochs epochs[WAYS];
    uint64_t budget = part == 1 ? PLENTY : state / part;
    char title[64];
    struct series all[WAYS] = {0};
    struct side *sides = epoch_sides(w, budget, part, epochs);
    (void)snprintf(title, sizeof title, ", an epoch every %.1f s", seconds);
    print_title(w, state, budget, title);
    run_rounds(sides, epochs, w, seconds, rounds, all);
    for (int way = HAND; way <= VALUE; way++) print_line((enum way)way, all);
    double pause = 0;
    for (int way = PROBE; way <= VALUE; way++) {
        pause = bench_max(pause, print_epochs(&epochs[way]));
        print_stats(&sides[way]);
        check(&sides[way], w);
        keyed_files_close(&epochs[way].files);
        place_remove(epochs[way].dir);
    }
    if (part == 1) verdict_epochs(w, all, pause);
    (void)fflush(stdout);
    free_sides(sides);
}

/* ---- the cases ---------------------------------------------------------------------------------------------------------------------- */

struct scale {
    uint64_t keys[4]; /* 0 = end */
    bool sixteenth;
    uint64_t epochs_keys[3];
    double interval;
    struct rounds plan;
};

static void measure_keys(uint64_t keys, bool zipf, const struct scale *scale)
{
    struct world w = world_new(keys, zipf);
    uint64_t state = state_bytes(&w);
    struct rounds plan = scale->plan, limited = scale->plan;
    limited.rounds = 3;
    if (keys > 1000 || !zipf) measure(&w, state, 1, &plan);
    if (keys >= 1000000 || (scale->interval < 1 && keys > 1000)) measure(&w, state, 4, &limited);
    if (scale->sixteenth && keys >= 1000000) measure(&w, state, 16, &limited);
    world_close(&w);
}

static void measure_all(const struct scale *scale)
{
    for (int i = 0; i < 4 && scale->keys[i]; i++) {
        for (int zipf = 0; zipf < 2; zipf++) measure_keys(scale->keys[i], zipf, scale);
    }
    for (int i = 0; i < 3 && scale->epochs_keys[i]; i++) {
        struct world w = world_new(scale->epochs_keys[i], false);
        uint64_t state = state_bytes(&w);
        measure_epochs(&w, state, 1, scale->interval, 2);
        if (scale->sixteenth) measure_epochs(&w, state, 4, scale->interval, 1);
        world_close(&w);
    }
}

static void measure_one(char **argv, double seconds, const struct rounds *plan)
{
    uint64_t keys = strtoull(argv[1], NULL, 10);
    unsigned part = (unsigned)strtoul(argv[3], NULL, 10);
    if (keys < BATCH || part == 0) bench_die("bench_state KEYS uniform|zipf PART [SECONDS]");
    struct world w = world_new(keys, argv[2][0] == 'z');
    if (seconds > 0)
        measure_epochs(&w, state_bytes(&w), part, seconds, 2);
    else
        measure(&w, state_bytes(&w), part, plan);
    world_close(&w);
}

int main(int argc, char **argv)
{
    static const struct scale usual = {{1000, 100000, 1000000}, false, {100000, 1000000}, 10, {5, (uint64_t)4 << 20, (uint64_t)192 << 10}};
    static const struct scale small = {{1000, 20000}, false, {20000}, 0.2, {2, (uint64_t)256 << 10, (uint64_t)64 << 10}};
    static const struct scale full = {
        {100000, 1000000, 10000000}, true, {1000000, 10000000}, 10, {5, (uint64_t)4 << 20, (uint64_t)1 << 20}};
    const struct scale *scale = &usual;
    if (argc > 1 && strcmp(argv[1], "--short") == 0) scale = &small;
    if (argc > 1 && strcmp(argv[1], "--full") == 0) scale = &full;
    if ((argc == 2 && scale == &usual) || argc == 3)
        bench_die("bench_state [--short | --full], or bench_state KEYS uniform|zipf PART [SECONDS]");
    place_enter("state");
    if (argc > 3)
        measure_one(argv, argc > 4 ? strtod(argv[4], NULL) : 0, &scale->plan);
    else
        measure_all(scale);
    return 0;
}
