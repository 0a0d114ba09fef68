/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Resident memory stays within its promise, however many keys there are: VmRSS is at most 1.2 times the budget and 64 MiB, at any time.
 * Keys are inserted and updated by turns, then a seventh of the values is read back. `state_memory [KEYS BUDGET_MIB [EPOCHS]]`: 2 million
 * keys and 8 MiB, which is what ctest runs; `make bench` runs 20 million and 64. With EPOCHS, snapshots are taken on the way. Exit 1 when
 * the promise is broken or a value is wrong.
 */
#include <inttypes.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "runtime/base/clock.h"
#include "runtime/base/hash.h"
#include "runtime/state/keyed.h"
#include "runtime/state/rocks.h"
#include "taskmanager/worker/worker.h"
#include "tests/bench/snapshots.h"

const char *malloc_conf = WORKER_MALLOC_CONF; /* as in a worker */

#define BATCH 1024u
#define MIB ((uint64_t)1 << 20)

struct acc {
    uint64_t count, sum, last;
};

struct run {
    uint64_t n_keys, budget, limit;
    struct rocks_shared *shared;
    struct state_slot *slot;
    struct keyed *keyed;
    struct weir_state *state;
    atomic_bool over;
    _Atomic uint64_t most;    /* resident bytes seen */
    char dir[PLACE_PATH_MAX]; /* of snapshots */
    struct keyed_files files;
    struct keyed_snapshot *snapshot;
    pthread_t writer;
    atomic_bool written;
    uint64_t epoch, epochs;
};

static void must(weir_err err, const struct weir_diag *diag)
{
    if (err) bench_die(diag->text);
}

/* ---- the promise -------------------------------------------------------------------------------------------------------------------- */

/* A thread of its own, that sees what goes on within a batch, too. */
static void *watch(void *arg)
{
    struct run *r = arg;
    while (!atomic_load(&r->over)) {
        uint64_t now = resident_bytes();
        if (now > atomic_load(&r->most)) atomic_store(&r->most, now);
        (void)usleep(5000);
    }
    return NULL;
}

static void report(const struct run *r, const char *what)
{
    struct slot_stats s;
    slot_stats(r->slot, &s);
    printf("  %-9s resident %6.1f MiB now, %6.1f at most (limit %.1f); state %.1f MiB, %" PRIu64 " entries, %" PRIu64 " loads, %" PRIu64
           " write-outs, %" PRIu64 " waits\n",
           what, (double)resident_bytes() / (double)MIB, (double)atomic_load(&r->most) / (double)MIB, (double)r->limit / (double)MIB,
           (double)s.bytes / (double)MIB, s.entries, s.loads, s.write_outs, s.waits);
    (void)fflush(stdout);
}

/* ---- work --------------------------------------------------------------------------------------------------------------------------- */

static void open_run(struct run *r)
{
    char dir[PLACE_PATH_MAX];
    struct weir_diag diag;
    place_path(dir, "slot");
    place_folder(r->dir, "epochs");
    must(rocks_shared_new(&r->shared, ROCKS_CACHE_BYTES, ROCKS_THREADS, &diag), &diag);
    struct state_slot_config config = {.dir = dir, .budget = r->budget, .shared = r->shared, .snapshots = r->epochs > 0};
    must(state_slot_new(&r->slot, &config, &diag), &diag);
    if (keyed_new(&r->keyed, r->slot, "bench", 0, WEIR_KEY_GROUPS - 1)) bench_die("out of memory");
    struct weir_state_desc desc = {.struct_size = sizeof desc, .name = "acc", .value_size = sizeof(struct acc)};
    must(keyed_open(r->keyed, KEYED_VALUE, &desc, &r->state, &diag), &diag);
}

static void close_run(struct run *r)
{
    keyed_files_close(&r->files);
    keyed_destroy(&r->keyed);
    state_slot_destroy(&r->slot);
    rocks_shared_destroy(&r->shared);
}

static void safe_point(struct run *r)
{
    struct weir_diag diag;
    if (keyed_safe_point(r->keyed, clock_wall_ms())) must(slot_error(r->slot, &diag), &diag);
    (void)slot_copy(r->slot, SLOT_COPY_BYTES);
}

static void *persist(void *arg)
{
    struct run *r = arg;
    struct weir_diag diag;
    struct keyed_files old = r->files;
    must(keyed_persist(r->snapshot, r->dir, &r->files, &diag), &diag);
    snapshot_retire(r->dir, &old, &r->files);
    atomic_store(&r->written, true);
    return NULL;
}

static void end_epoch(struct run *r)
{
    if (!r->snapshot) return;
    (void)slot_copy(r->slot, UINT64_MAX);
    (void)pthread_join(r->writer, NULL);
    keyed_snapshot_destroy(&r->snapshot);
}

static void begin_epoch(struct run *r)
{
    struct weir_diag diag;
    end_epoch(r);
    must(keyed_freeze(r->keyed, ++r->epoch, &r->snapshot, &diag), &diag);
    atomic_store(&r->written, false);
    if (pthread_create(&r->writer, NULL, persist, r)) bench_die("no thread");
}

static struct weir_key key_of(uint64_t *bytes, uint64_t number)
{
    *bytes = (number + 1) * 0x9e3779b97f4a7c15u;
    return (struct weir_key){.data = bytes, .length = 8, .hash = hash64(bytes, 8)};
}

static void add(struct run *r, uint64_t number)
{
    uint64_t bytes;
    struct weir_key key = key_of(&bytes, number);
    struct acc *a = keyed_value(r->state, &key);
    if (!a) bench_die("no value");
    a->count++;
    a->sum += number + a->count;
    a->last = number;
}

/* The updates go backwards over the keys that were inserted last: some are in memory, most are not. */
static bool is_updated(uint64_t number)
{
    return number % 4 == 3;
}

static void insert_all(struct run *r)
{
    for (uint64_t at = 0; at < r->n_keys; at += BATCH) {
        for (uint64_t i = at; i < at + BATCH && i < r->n_keys; i++) add(r, i);
        safe_point(r);
        for (uint64_t i = at / 2; i < at / 2 + BATCH / 2 && i < r->n_keys; i++) {
            if (is_updated(i)) add(r, i);
        }
        safe_point(r);
        if (r->epochs && (at / BATCH) % (r->n_keys / BATCH / r->epochs + 1) == 0) begin_epoch(r);
        if (r->snapshot && atomic_load(&r->written)) end_epoch(r);
    }
    end_epoch(r);
}

/* What insert_all has left of a key: every key once, and of the first half those that are updated twice. */
static struct acc expected(const struct run *r, uint64_t number)
{
    uint64_t last = (r->n_keys - 1) / BATCH * BATCH; /* the last batch began there */
    struct acc a = {1, number + 1, number};
    if (is_updated(number) && number < last / 2 + BATCH / 2) a = (struct acc){2, 2 * number + 3, number};
    return a;
}

/* A sample of a seventh. */
static void read_all(struct run *r)
{
    uint64_t found = 0, bytes;
    for (uint64_t i = 0; i < r->n_keys; i += 7) {
        struct weir_key key = key_of(&bytes, i);
        struct weir_bytes value = keyed_value_read(r->state, &key);
        struct acc want = expected(r, i);
        if (value.length != sizeof want || memcmp(value.data, &want, sizeof want) != 0) bench_die("a value is wrong");
        found++;
        if (i % BATCH < 7) safe_point(r);
    }
    printf("  %" PRIu64 " values read back, all right\n", found);
}

int main(int argc, char **argv)
{
    static struct run r;
    pthread_t watcher;
    r.n_keys = argc > 2 ? strtoull(argv[1], NULL, 10) : 2000000;
    r.budget = (argc > 2 ? strtoull(argv[2], NULL, 10) : 8) * MIB;
    r.epochs = argc > 3 ? strtoull(argv[3], NULL, 10) : 0;
    r.limit = r.budget + r.budget / 5 + 64 * MIB;
    if (r.n_keys == 0 || r.budget == 0) bench_die("state_memory [KEYS BUDGET_MIB [EPOCHS]]");
    place_enter("memory");
    printf("state_memory: %" PRIu64 " keys, budget %" PRIu64 " MiB, %" PRIu64 " epochs\n", r.n_keys, r.budget / MIB, r.epochs);
    open_run(&r);
    if (pthread_create(&watcher, NULL, watch, &r)) bench_die("no thread");
    insert_all(&r);
    report(&r, "inserted");
    read_all(&r);
    report(&r, "read");
    atomic_store(&r.over, true);
    (void)pthread_join(watcher, NULL);
    close_run(&r);
    bool kept = atomic_load(&r.most) <= r.limit;
    printf("  %s\n", kept ? "ok" : "the promise is BROKEN");
    return kept ? 0 : 1;
}
