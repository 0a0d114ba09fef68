/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the state table costs beside the loop one would write by hand: count, sum and maximum per 8-byte key, uniform keys.
 *
 *   hand    open addressing, entries of 32 bytes in one array, hash and update inlined, huge pages
 *   probe   the way of a window: extract keys, hash_keys, table_probe of the batch, then an aggregate's `add` behind a function pointer
 *   value   the way of a keyed process function: extract, hash_keys, keyed_prefetch, then keyed_value and the update record by record
 *   keys    extract and hash_keys alone, which probe and value contain
 *
 * All read the same batches of 1024 rows of 16 bytes, generated on the way; the time to generate them is measured and taken off. CPU time
 * of the thread, best of the rounds, which alternate between the ways so that a busy neighbour hits all alike. The ratio is that of speeds.
 * `statetable [--short] [KEYS...]`; without numbers 1e3, 1e5 and 1e6.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "runtime/base/clock.h"
#include "runtime/base/hash.h"
#include "runtime/state/keyed.h"
#include "runtime/state/memory.h"

#define BATCH 1024u

struct row {
    uint64_t key;
    int64_t value;
};

struct acc {
    uint64_t count;
    int64_t sum;
    int64_t max;
};

struct source {
    uint64_t seed;
    uint64_t keys;
};

/* Keys are scattered numbers and not 0 ... n - 1, which would flatter the loop's simple hash. */
static void fill(struct source *s, unsigned char *frame)
{
    for (uint32_t i = 0; i < BATCH; i++) {
        s->seed = s->seed * 6364136223846793005u + 1442695040888963407u;
        uint64_t n = (uint64_t)(((unsigned __int128)(s->seed ^ s->seed >> 29) * s->keys) >> 64);
        struct weir_record *rec = (struct weir_record *)(void *)(frame + i * 32u);
        *rec = (struct weir_record){.size = sizeof(struct row)};
        *(struct row *)weir_record_row(rec) = (struct row){(n + 1) * 0x9e3779b97f4a7c15u, (int64_t)(s->seed >> 40)};
    }
}

static inline void update(struct acc *a, int64_t value)
{
    a->count++;
    a->sum += value;
    if (value > a->max) a->max = value;
}

/* ---- by hand -------------------------------------------------------------------------------------------------------------------- */

struct cell {
    uint64_t key;
    struct acc acc;
};

struct hand {
    struct cell *cells;
    uint64_t mask;
    unsigned shift;
};

static void hand_batch(struct hand *h, const unsigned char *frame)
{
    for (uint32_t i = 0; i < BATCH; i++) {
        const struct row *row = (const struct row *)(const void *)(frame + i * 32u + sizeof(struct weir_record));
        uint64_t at = (row->key ^ row->key >> 32) * 0xff51afd7ed558ccdu >> h->shift;
        while (h->cells[at].key != row->key && h->cells[at].key != 0) at = (at + 1) & h->mask;
        h->cells[at].key = row->key;
        update(&h->cells[at].acc, row->value);
    }
}

/* ---- through the table -------------------------------------------------------------------------------------------------------------- */

static void extract(const unsigned char *frame, struct weir_key *keys)
{
    for (uint32_t i = 0; i < BATCH; i++) {
        keys[i].data = frame + i * 32u + sizeof(struct weir_record);
        keys[i].length = 8;
    }
    hash_keys(keys, BATCH);
}

static void add(void *const *accs, const unsigned char *frame, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        update(accs[i], ((const struct row *)(const void *)(frame + i * 32u + sizeof(struct weir_record)))->value);
    }
}

static void one(struct weir_state *state, const struct weir_key *key, const unsigned char *frame, uint32_t i)
{
    struct acc *a = keyed_value(state, key);
    if (!a) abort();
    update(a, ((const struct row *)(const void *)(frame + i * 32u + sizeof(struct weir_record)))->value);
}

/* As in a plugin: the compiler cannot look inside. */
static void (*volatile add_function)(void *const *, const unsigned char *, uint32_t) = add;
static void (*volatile one_function)(struct weir_state *, const struct weir_key *, const unsigned char *, uint32_t) = one;

struct bench {
    struct hand hand;
    struct keyed *keyed;
    struct weir_table *table;
    struct weir_state *state;
    struct weir_key keys[BATCH];
    void *accs[BATCH];
    _Alignas(64) unsigned char frame[BATCH * 32];
};

enum way { NONE, KEYS, HAND, PROBE, VALUE, WAYS };
static const char *const way_names[WAYS] = {"none", "keys", "hand", "probe", "value"};

static void run_batch(struct bench *b, enum way way)
{
    if (way == HAND) {
        hand_batch(&b->hand, b->frame);
        return;
    }
    if (way == NONE) return;
    extract(b->frame, b->keys);
    if (way == KEYS) return;
    if (way == PROBE) {
        if (keyed_table_probe(b->table, b->keys, NULL, BATCH, b->accs)) abort();
        add_function(b->accs, b->frame, BATCH);
        return;
    }
    keyed_prefetch(b->keyed, b->keys, BATCH);
    void (*f)(struct weir_state *, const struct weir_key *, const unsigned char *, uint32_t) = one_function;
    for (uint32_t i = 0; i < BATCH; i++) f(b->state, &b->keys[i], b->frame, i);
}

static double run(struct bench *b, enum way way, uint64_t keys, uint64_t seed, uint64_t events)
{
    struct source s = {seed, keys};
    int64_t t0 = clock_thread_cpu_ns();
    for (uint64_t i = 0; i < events; i += BATCH) {
        fill(&s, b->frame);
        run_batch(b, way);
    }
    return (double)(clock_thread_cpu_ns() - t0) / (double)events;
}

/* The three tables must hold the same, or the comparison says nothing. */
static uint64_t checksum_table(struct weir_table *table)
{
    uint64_t cursor = 0, sum = 0;
    struct weir_key key;
    void *value;
    while (keyed_table_next(table, &cursor, &key, &value)) {
        struct acc *a = value;
        sum += a->count * 3 + (uint64_t)a->sum * 5 + (uint64_t)a->max * 7;
    }
    return sum;
}

static uint64_t checksum_hand(const struct hand *h)
{
    uint64_t sum = 0;
    for (uint64_t i = 0; i <= h->mask; i++) {
        const struct acc *a = &h->cells[i].acc;
        sum += a->count * 3 + (uint64_t)a->sum * 5 + (uint64_t)a->max * 7;
    }
    return sum;
}

/* The doubling of the slots is the pause that a task sees. */
static double longest_insertion(struct keyed *keyed, uint64_t keys)
{
    struct weir_table *table;
    void *value;
    int64_t longest = 0;
    if (keyed_table_new(keyed, sizeof(struct acc), &table)) abort();
    for (uint64_t i = 0; i < keys; i++) {
        struct weir_key key = {.data = &i, .length = 8, .hash = hash64(&i, 8)};
        int64_t t0 = clock_thread_cpu_ns();
        if (keyed_table_probe(table, &key, NULL, 1, &value)) abort();
        int64_t ns = clock_thread_cpu_ns() - t0;
        if (ns > longest) longest = ns;
    }
    keyed_table_drop(keyed, &table);
    return (double)longest / 1e6;
}

static void measure(uint64_t keys, int rounds, uint64_t events)
{
    struct memory memory = {0};
    struct bench *b = memory_alloc(&memory, sizeof *b);
    unsigned bits = 1;
    while ((1ull << bits) < keys * 2) bits++;
    if (!b || keyed_new(&b->keyed)) abort();
    b->hand = (struct hand){memory_alloc(&memory, sizeof(struct cell) << bits), (1ull << bits) - 1, 64 - bits};
    struct weir_state_desc desc = {.struct_size = sizeof desc, .name = "acc", .value_size = sizeof(struct acc)};
    if (!b->hand.cells || keyed_table_new(b->keyed, sizeof(struct acc), &b->table)) abort();
    if (keyed_value_open(b->keyed, &desc, &b->state, NULL)) abort();

    double best[WAYS] = {1e9, 1e9, 1e9, 1e9, 1e9}, build[WAYS];
    for (int w = 0; w < WAYS; w++) build[w] = run(b, (enum way)w, keys, 42, keys * 2);
    for (int r = 0; r < rounds; r++) {
        for (int w = 0; w < WAYS; w++) {
            double ns = run(b, (enum way)w, keys, 43 + (uint64_t)r, events);
            if (ns < best[w]) best[w] = ns;
        }
    }
    bool same = checksum_hand(&b->hand) == checksum_table(b->table);
    for (int w = KEYS; w < WAYS; w++) {
        double ns = best[w] - best[NONE];
        printf("%10" PRIu64 "  %-6s %7.2f ns  %6.1f M/s", keys, way_names[w], ns, 1e3 / ns);
        if (w != KEYS) printf("  %5.2f of hand   first fill %7.2f ns", (best[HAND] - best[NONE]) / ns, build[w] - build[NONE]);
        putchar('\n');
    }
    printf("%10" PRIu64 "  state %.1f MiB (two tables), by hand %.1f MiB, longest insertion %.2f ms, results %s\n", keys,
           (double)keyed_memory(b->keyed) / 1048576, (double)(sizeof(struct cell) << bits) / 1048576, longest_insertion(b->keyed, keys),
           same ? "equal" : "DIFFER");
    keyed_destroy(&b->keyed);
    memory_free(&memory, b->hand.cells, sizeof(struct cell) << bits);
    memory_free(&memory, b, sizeof *b);
    if (!same) exit(1);
}

int main(int argc, char **argv)
{
    static const uint64_t usual[] = {1000, 100000, 1000000};
    int first = argc > 1 && strcmp(argv[1], "--short") == 0 ? 2 : 1;
    int rounds = first == 2 ? 2 : 5;
    uint64_t events = first == 2 ? 1000000 : 8000000;
    for (int i = first; i < argc; i++) {
        uint64_t keys = strtoull(argv[i], NULL, 10);
        if (keys == 0) {
            fprintf(stderr, "statetable: '%s' is not a number of keys\n", argv[i]);
            return 2;
        }
        measure(keys, rounds, events);
    }
    for (size_t i = 0; argc == first && i < sizeof usual / sizeof usual[0]; i++) measure(usual[i], rounds, events);
    return 0;
}
