/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A local channel between two task threads moving records of 32 bytes (16 of header, 16 of row), against a loop by hand: two threads, a
 * single-producer ring of pointers to blocks of 1024 records of 32 bytes, blocks coming back by a second ring. Both sides make each record
 * and sum it at the other end.
 *
 * Then what the ledger of such a channel costs: the same job, each run a process, in turns with a twin of this program whose channels keep
 * none (no_ledger.h), and the ledger alone over frames that are not in the cache.
 *
 *     bench_channel [--short]        bench_channel --weir ROWS: one run; prints its seconds and its CPU seconds
 */
#include <ck_ring.h>
#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>

#include "runtime/base/clock.h"
#include "runtime/task/ledger.h"
#include "tests/bench/bench.h"
#include "tests/support/local/local_job.h"
#include "weir/weir.h"

struct pair {
    int64_t seq, value;
};
WEIR_ROW(pair, WEIR_FIELD(pair, 1, I64, seq), WEIR_FIELD(pair, 2, I64, value));

static int64_t n_rows;
static uint64_t total;

static inline int64_t value_of(int64_t n)
{
    return (int64_t)((uint64_t)n * 0x9E3779B97F4A7C15u >> 20);
}

/* ---- weir: split 1 lives in slot 1, the sink in slot 0 ---- */

struct reader {
    int64_t at, end;
};
static weir_err discover(const void *config, uint32_t parallelism, struct weir_splits *splits, struct weir_diag *diag)
{
    (void)config, (void)parallelism, (void)diag;
    weir_err err = weir_splits_add(splits, "e", 1);
    return err ? err : weir_splits_add(splits, "f", 1);
}
static weir_err open_split(void *self, struct weir_ctx *ctx, struct weir_bytes split, struct weir_bytes position)
{
    (void)ctx, (void)position;
    ((struct reader *)self)->end = *(const char *)split.data == 'f' ? n_rows : 0;
    return WEIR_OK;
}
static weir_err read_rows(void *self, struct weir_ctx *ctx)
{
    struct reader *r = self;
    while (r->at < r->end && !weir_should_yield(ctx)) {
        uint32_t n = weir_run_begin(ctx->out, sizeof(struct pair), (uint32_t)(r->end - r->at < 4096 ? r->end - r->at : 4096));
        if (n == 0) return ctx->out->err;
        for (uint32_t i = 0; i < n; i++, r->at++)
            *(struct pair *)weir_run_row(ctx->out, sizeof(struct pair), i, r->at, WEIR_INSERT) = (struct pair){r->at, value_of(r->at)};
        weir_run_end(ctx->out, sizeof(struct pair), n);
    }
    return r->at < r->end ? WEIR_OK : WEIR_DONE;
}
static const struct weir_source source = {.struct_size = sizeof source,
                                          .name = "pairs",
                                          .self_size = sizeof(struct reader),
                                          .schema = &pair_schema,
                                          .discover = discover,
                                          .open = open_split,
                                          .read = read_rows};

static inline weir_err add_loop(const uint32_t *sel, uint32_t stride, struct weir_batch *b)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < b->count; i++)
        sum += (uint64_t)((const struct pair *)weir_record_row(WEIR_RECORD_AT(b, sel, stride, i)))->value;
    total += sum;
    return WEIR_OK;
}
static weir_err add_process(void *self, struct weir_ctx *ctx, uint32_t input, struct weir_batch *b)
{
    (void)self, (void)ctx, (void)input;
    return WEIR_BATCH_LOOP(add_loop, b, pair, b);
}
static const struct weir_operator add = {
    .struct_size = sizeof add, .name = "add", .in = &pair_schema, .flags = WEIR_OPERATOR_SINK, .process = add_process};

static weir_err build(struct weir_env *env, int argc, char **argv, struct weir_diag *diag)
{
    (void)argc, (void)argv, (void)diag;
    weir_set_parallelism(weir_apply(weir_global(weir_from(env, "source", &source, NULL, 0)), "sink", &add, NULL, 0), 1);
    return WEIR_OK;
}

static double run_weir(void)
{
    struct local_job job;
    struct weir_diag diag = {0};
    total = 0;
    int64_t from = clock_mono_ns();
    if (local_job_run(&job, build, 2, 0, NULL, &diag)) bench_die(diag.text);
    double rate = (double)n_rows * 1e3 / (double)(clock_mono_ns() - from);
    local_job_close(&job);
    return rate;
}

/* ---- by hand ---- */

struct by_hand_record {
    int64_t size, time, seq, value;
};
enum { BLOCK = 1024, BLOCKS = 16, RING = 32 };
struct block {
    struct by_hand_record rows[BLOCK];
    int64_t n;
};
static struct {
    ck_ring_t full, empty;
    ck_ring_buffer_t full_slots[RING], empty_slots[RING];
    struct block blocks[BLOCKS];
} hand;

static void *take(ck_ring_t *ring, ck_ring_buffer_t *slots)
{
    void *item;
    while (!ck_ring_dequeue_spsc(ring, slots, &item)) sched_yield();
    return item;
}
static void *produce(void *arg)
{
    for (int64_t n = 0; n < n_rows;) {
        struct block *b = take(&hand.empty, hand.empty_slots);
        b->n = n_rows - n < BLOCK ? n_rows - n : BLOCK;
        for (int64_t i = 0; i < b->n; i++, n++) b->rows[i] = (struct by_hand_record){16, n, n, value_of(n)};
        (void)ck_ring_enqueue_spsc(&hand.full, hand.full_slots, b);
    }
    return arg;
}
static double run_hand(void)
{
    pthread_t producer;
    ck_ring_init(&hand.full, RING);
    ck_ring_init(&hand.empty, RING);
    for (int i = 0; i < BLOCKS; i++) (void)ck_ring_enqueue_spsc(&hand.empty, hand.empty_slots, &hand.blocks[i]);
    total = 0;
    int64_t from = clock_mono_ns();
    if (pthread_create(&producer, NULL, produce, NULL)) bench_die("no thread");
    for (int64_t n = 0; n < n_rows;) {
        struct block *b = take(&hand.full, hand.full_slots);
        uint64_t sum = 0;
        for (int64_t i = 0; i < b->n; i++) sum += (uint64_t)b->rows[i].value;
        total += sum;
        n += b->n;
        (void)ck_ring_enqueue_spsc(&hand.empty, hand.empty_slots, b);
    }
    double rate = (double)n_rows * 1e3 / (double)(clock_mono_ns() - from);
    (void)pthread_join(producer, NULL);
    return rate;
}

/* ---- the ledger ---- */

#define PAIRS 15 /* runs with it and without, in turns */
#define FRAMES 2048
#define FRAME_BYTES 32768
#define LEDGER_PASSES 20
#define LEDGER_LIMIT 2 /* percent */

struct cost {
    double seconds, cpu_seconds;
};

static struct cost run_program(const char *program, int64_t rows)
{
    char command[512];
    struct cost cost = {0};
    (void)snprintf(command, sizeof command, "%s --weir %lld", program, (long long)rows);
    FILE *said = popen(command, "re");
    if (!said || fscanf(said, "%lf %lf", &cost.seconds, &cost.cpu_seconds) != 2 || pclose(said) != 0) bench_die(command);
    return cost;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* What the job takes more with the ledger, percent: medians of the pairs. */
static struct cost compare_twins(int64_t rows)
{
    double seconds[PAIRS], cpu_seconds[PAIRS];
    for (int i = 0; i < PAIRS; i++) {
        struct cost without = {0};
        if (i % 2) without = run_program(WEIR_BENCH_DIR "/bench_channel_unledgered", rows);
        struct cost with = run_program(WEIR_BENCH_DIR "/bench_channel", rows);
        if (i % 2 == 0) without = run_program(WEIR_BENCH_DIR "/bench_channel_unledgered", rows);
        seconds[i] = 100 * (with.seconds / without.seconds - 1);
        cpu_seconds[i] = 100 * (with.cpu_seconds / without.cpu_seconds - 1);
    }
    qsort(seconds, PAIRS, sizeof *seconds, compare);
    qsort(cpu_seconds, PAIRS, sizeof *cpu_seconds, compare);
    return (struct cost){seconds[PAIRS / 2], cpu_seconds[PAIRS / 2]};
}

/* Nanoseconds of one end for one frame whose header and first row come from memory: more than in a job, where both ends have just had them.
 */
static double ledger_alone(void)
{
    unsigned char *area = aligned_alloc(FRAME_BYTES, (size_t)FRAMES * FRAME_BYTES);
    struct ledger ledger = {0};
    if (!area) bench_die("no memory for frames");
    memset(area, 1, (size_t)FRAMES * FRAME_BYTES);
    for (size_t i = 0; i < FRAMES; i++) {
        struct frame_header head = {.kind = FRAME_DATA, .bytes = FRAME_BYTES - sizeof head, .count = 1000};
        memcpy(area + i * FRAME_BYTES, &head, sizeof head);
    }
    int64_t from = clock_mono_ns();
    for (size_t i = 0; i < (size_t)LEDGER_PASSES * FRAMES; i++) {
        ledger_add(&ledger, (const struct frame_header *)(const void *)(area + i % FRAMES * FRAME_BYTES));
    }
    double ns = (double)(clock_mono_ns() - from) / (LEDGER_PASSES * FRAMES);
    bench_keep(&ledger);
    free(area);
    return ns;
}

static void bench_ledger(double weir)
{
    double alone = ledger_alone(), frame = FRAME_BYTES / 32 * 1e3 / weir;
    struct cost more = compare_twins(n_rows / 4);
    printf("the ledger of that channel, %d pairs of runs of %lld records\n", PAIRS, (long long)(n_rows / 4));
    printf("  %-34s %8.1f ns, cold; such a frame takes %.0f ns\n", "one end, one frame", alone, frame);
    printf("  %-34s %8.2f %%\n", "time more than without", more.seconds);
    printf("  %-34s %8.2f %%\n", "CPU time more than without", more.cpu_seconds);
    bench_verdict("both ends of the frame's time, %", 200 * alone / frame, "at most", LEDGER_LIMIT);
}

static int run_once(int64_t rows)
{
    struct rusage u;
    n_rows = rows;
    double seconds = (double)rows / (run_weir() * 1e6);
    (void)getrusage(RUSAGE_SELF, &u);
    printf("%.6f %.6f\n", seconds,
           (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1e-6);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "--weir") == 0) return run_once(strtoll(argv[2], NULL, 10));
    n_rows = bench_size(argc, argv, 200000000);
    double weir = 0, by_hand = 0;
    for (int round = 0; round < BENCH_ROUNDS; round++) {
        by_hand = bench_max(by_hand, run_hand());
        uint64_t sum = total;
        weir = bench_max(weir, run_weir());
        if (sum != total) bench_die("the two sides summed differently");
    }
    printf("channel: records of 32 bytes from one thread to another, %lld records\n", (long long)n_rows);
    printf("  %-34s %8.1f million records a second\n", "two threads by hand", by_hand);
    printf("  %-34s %8.1f million records a second\n", "weir", weir);
    bench_verdict("throughput", weir / by_hand, "at least", 0.5);
    bench_ledger(weir);
    return 0;
}
