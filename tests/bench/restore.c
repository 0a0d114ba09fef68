/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long a restore takes beside plainly reading its files: a value state of 8-byte keys and 100-byte values, made by two instances (half
 * of the key groups each) in an epoch of everything and three of a tenth. `bench_restore [--short | MIB]`: MIB of files an instance, 614
 * without, --short 10.
 *
 *   same    each list into one instance of the same key groups
 *   half    both lists into one instance
 *   double  each list into two instances of half its groups: the first, and both one after the other
 *
 * A restore is keyed_restore, opening the state, and reading one key. Reading is read() of 1 MiB at a time. Both find the page cache warm,
 * or, in the second table, empty of these files. The best round of each counts.
 */
#include <errno.h>
#include <inttypes.h>

#include "runtime/base/hash.h"
#include "runtime/state/keyed.h"
#include "runtime/state/rocks.h"
#include "tests/bench/snapshots.h"

#define VALUE_BYTES 100u
#define PARTS 2u
#define HALF (WEIR_KEY_GROUPS / 2)
#define BLOCK ((size_t)1 << 20)
#define MIB ((double)(1 << 20))
#define KEYS_A_MIB 9120u /* of both instances together, for a MiB of each */

static void must(weir_err err, const struct weir_diag *diag)
{
    if (err) bench_die(diag->text);
}

/* ---- an instance -------------------------------------------------------------------------------------------------------------------- */

struct instance {
    struct rocks_shared *shared;
    struct state_slot *slot;
    struct keyed *keyed;
    struct weir_state *state;
};

static void instance_new(struct instance *in, uint64_t budget, uint32_t first, uint32_t last)
{
    char dir[PLACE_PATH_MAX];
    struct weir_diag diag;
    place_path(dir, "slot");
    must(rocks_shared_new(&in->shared, ROCKS_CACHE_BYTES, ROCKS_THREADS, &diag), &diag);
    struct state_slot_config config = {.dir = dir, .budget = budget, .shared = in->shared, .snapshots = true};
    must(state_slot_new(&in->slot, &config, &diag), &diag);
    if (keyed_new(&in->keyed, in->slot, "bench", (uint16_t)first, (uint16_t)last)) bench_die("out of memory");
}

static void instance_open(struct instance *in)
{
    struct weir_diag diag;
    struct weir_state_desc desc = {.struct_size = sizeof desc, .name = "values", .value_size = VALUE_BYTES};
    must(keyed_open(in->keyed, KEYED_VALUE, &desc, &in->state, &diag), &diag);
}

static void instance_close(struct instance *in)
{
    keyed_destroy(&in->keyed);
    state_slot_destroy(&in->slot);
    rocks_shared_destroy(&in->shared);
}

/* ---- the files ---------------------------------------------------------------------------------------------------------------------- */

struct part {
    char dir[PLACE_PATH_MAX];
    struct keyed_files files;
    uint32_t first, last;
};

static struct weir_key key_of(const uint64_t *number)
{
    return (struct weir_key){.data = number, .length = 8, .hash = hash64(number, 8)};
}

static void fill_value(unsigned char *value, uint64_t number, uint64_t epoch)
{
    for (uint32_t i = 0; i + 8 <= VALUE_BYTES; i += 8) {
        uint64_t word = (number + 1) * 0x9e3779b97f4a7c15u + epoch + i;
        memcpy(value + i, &word, 8);
    }
}

static uint64_t epoch_of(uint64_t number, uint64_t last)
{
    uint64_t epoch = 1;
    for (uint64_t e = 2; e <= last; e++) {
        if ((number * 31 + e * 7) % 10 == 0) epoch = e;
    }
    return epoch;
}

static void write_epoch(struct instance *in, const struct part *p, uint64_t keys, uint64_t epoch)
{
    for (uint64_t i = 0; i < keys; i++) {
        struct weir_key key = key_of(&i);
        uint32_t group = hash_key_group(key.hash);
        if (group < p->first || group > p->last || (epoch > 1 && epoch_of(i, epoch) != epoch)) continue;
        unsigned char *value = keyed_value(in->state, &key);
        if (!value) bench_die("no value");
        fill_value(value, i, epoch);
        if (i % 1024 == 0 && keyed_safe_point(in->keyed, 1)) bench_die("the slot failed");
    }
}

static void make_part(struct part *p, uint64_t keys, uint64_t epochs)
{
    struct instance in;
    struct weir_diag diag;
    place_folder(p->dir, "part");
    instance_new(&in, (uint64_t)8 << 30, p->first, p->last);
    instance_open(&in);
    for (uint64_t epoch = 1; epoch <= epochs; epoch++) {
        struct keyed_snapshot *snapshot = NULL;
        struct keyed_files old = p->files;
        write_epoch(&in, p, keys, epoch);
        must(keyed_freeze(in.keyed, epoch, &snapshot, &diag), &diag);
        (void)slot_copy(in.slot, UINT64_MAX);
        must(keyed_persist(snapshot, p->dir, &p->files, &diag), &diag);
        keyed_snapshot_destroy(&snapshot);
        snapshot_retire(p->dir, &old, &p->files);
    }
    instance_close(&in);
}

static uint64_t part_bytes(const struct part *p)
{
    uint64_t n = 0;
    for (uint32_t i = 0; i < p->files.n; i++) n += p->files.items[i].bytes;
    return n;
}

/* ---- reading ------------------------------------------------------------------------------------------------------------------------ */

static int open_file(const struct part *p, uint32_t i)
{
    char path[PLACE_PATH_MAX];
    snapshot_path(path, p->dir, &p->files.items[i]);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) bench_die("a file of the snapshot is gone");
    return fd;
}

static void read_part(const struct part *p)
{
    static unsigned char block[BLOCK];
    for (uint32_t i = 0; i < p->files.n; i++) {
        int fd = open_file(p, i);
        ssize_t n;
        while ((n = read(fd, block, sizeof block)) > 0) bench_keep(block);
        if (n < 0) bench_die("cannot read a file of the snapshot");
        (void)close(fd);
    }
}

/* The page cache has the files, or has none of them. */
static void prepare(const struct part *parts, bool warm)
{
    for (uint32_t k = 0; k < PARTS; k++) {
        if (warm) {
            read_part(&parts[k]);
            continue;
        }
        for (uint32_t i = 0; i < parts[k].files.n; i++) {
            int fd = open_file(&parts[k], i);
            (void)fsync(fd);
            (void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
            (void)close(fd);
        }
    }
}

/* ---- restoring ---------------------------------------------------------------------------------------------------------------------- */

static void check_value(struct instance *in, uint64_t number, uint64_t epochs)
{
    unsigned char want[VALUE_BYTES] = {0};
    struct weir_key key = key_of(&number);
    struct weir_bytes value = keyed_value_read(in->state, &key);
    fill_value(want, number, epoch_of(number, epochs));
    if (value.length != VALUE_BYTES || memcmp(value.data, want, VALUE_BYTES) != 0) bench_die("a restored value is wrong");
}

/* Keys of these groups from `number` on: the first, and then a sample that is not part of the time. */
static uint64_t find_key(uint64_t number, uint32_t first, uint32_t last)
{
    for (;; number++) {
        uint32_t group = hash_key_group(hash64(&number, 8));
        if (group >= first && group <= last) return number;
    }
}

struct job {
    const struct part *parts;
    uint32_t n_parts;
    uint32_t first, last;
};

static double restore(const struct job *job, uint64_t keys, uint64_t epochs)
{
    struct instance in;
    struct weir_diag diag;
    struct keyed_restore_from from[PARTS];
    for (uint32_t i = 0; i < job->n_parts; i++)
        from[i] = (struct keyed_restore_from){.dir = job->parts[i].dir, .files = &job->parts[i].files};
    instance_new(&in, (uint64_t)64 << 20, job->first, job->last);
    double began = seconds_of(CLOCK_MONOTONIC);
    must(keyed_restore(in.keyed, from, job->n_parts, 0, 1, &diag), &diag);
    instance_open(&in);
    check_value(&in, find_key(0, job->first, job->last), epochs);
    double seconds = seconds_of(CLOCK_MONOTONIC) - began;
    for (uint64_t at = 1; at < 1000; at++) {
        uint64_t number = find_key(at * (keys / 1000), job->first, job->last);
        if (number < keys) check_value(&in, number, epochs);
        if (at % 100 == 0 && keyed_safe_point(in.keyed, 1)) bench_die("the slot failed");
    }
    instance_close(&in);
    return seconds;
}

/* ---- the table ---------------------------------------------------------------------------------------------------------------------- */

enum kind { READ, READ_FIRST, SAME, HALF_AS_MANY, FIRST_OF_TWO, TWICE_AS_MANY, KINDS };

static double measure(const struct part *parts, enum kind kind, uint64_t keys, uint64_t epochs)
{
    struct job quarters[2] = {{&parts[0], 1, 0, HALF / 2 - 1}, {&parts[0], 1, HALF / 2, HALF - 1}};
    struct job same = {&parts[0], 1, 0, HALF - 1}, half = {parts, PARTS, 0, WEIR_KEY_GROUPS - 1};
    double began = seconds_of(CLOCK_MONOTONIC);
    switch (kind) {
    case READ: read_part(&parts[1]); /* fallthrough */
    case READ_FIRST: read_part(&parts[0]); return seconds_of(CLOCK_MONOTONIC) - began;
    case SAME: return restore(&same, keys, epochs);
    case HALF_AS_MANY: return restore(&half, keys, epochs);
    case FIRST_OF_TWO: return restore(&quarters[0], keys, epochs);
    default: break;
    }
    double seconds = restore(&quarters[0], keys, epochs);
    return seconds + restore(&quarters[1], keys, epochs);
}

static void print_table(const struct part *parts, bool warm, int rounds, uint64_t keys, uint64_t epochs)
{
    double best[KINDS];
    for (int kind = 0; kind < KINDS; kind++) best[kind] = 1e9;
    for (int round = 0; round < rounds; round++) {
        for (int kind = 0; kind < KINDS; kind++) {
            prepare(parts, warm);
            best[kind] = bench_min(best[kind], measure(parts, (enum kind)kind, keys, epochs));
        }
    }
    printf("restore, page cache %s: one list read in %.3f s (%.0f MiB/s), both in %.3f s\n", warm ? "warm" : "cold", best[READ_FIRST],
           (double)part_bytes(&parts[0]) / MIB / best[READ_FIRST], best[READ]);
    printf("  seconds: same %.3f, half %.3f, first of double %.3f, both of double %.3f\n", best[SAME], best[HALF_AS_MANY],
           best[FIRST_OF_TWO], best[TWICE_AS_MANY]);
    bench_verdict("same parallelism, of reading", best[SAME] / best[READ_FIRST], "at most", 1.5);
    bench_verdict("half, of reading both lists", best[HALF_AS_MANY] / best[READ], "at most", 3);
    bench_verdict("double, one alone", best[FIRST_OF_TWO] / best[READ_FIRST], "at most", 3);
    bench_verdict("double, one after the other", best[TWICE_AS_MANY] / best[READ_FIRST], "at most", 3);
    (void)fflush(stdout);
}

int main(int argc, char **argv)
{
    struct part parts[PARTS] = {{.first = 0, .last = HALF - 1}, {.first = HALF, .last = WEIR_KEY_GROUPS - 1}};
    bool is_short = argc > 1 && strcmp(argv[1], "--short") == 0;
    uint64_t mib = argc > 1 && !is_short ? strtoull(argv[1], NULL, 10) : is_short ? 10 : 614;
    uint64_t keys = mib * KEYS_A_MIB, epochs = 4;
    if (keys == 0) bench_die("bench_restore [--short | MIB]");
    place_enter("restore");
    for (uint32_t i = 0; i < PARTS; i++) {
        make_part(&parts[i], keys, epochs);
        printf("list %" PRIu32 ": %" PRIu32 " files, %.1f MiB\n", i, parts[i].files.n, (double)part_bytes(&parts[i]) / MIB);
    }
    (void)fflush(stdout);
    print_table(parts, true, is_short ? 2 : 3, keys, epochs);
    print_table(parts, false, is_short ? 1 : 3, keys, epochs);
    for (uint32_t i = 0; i < PARTS; i++) keyed_files_close(&parts[i].files);
    return 0;
}
