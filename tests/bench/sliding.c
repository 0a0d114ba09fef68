/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sliding windows of 60 s, counts and sums by key, with slides of 60 s (one slice a window), 5 s, 1 s and 0.5 s (120 slices a window): what
 * a slide costs beside the records. By an aggregate that can be subtracted, and by a maximum, which cannot. Each slide emits all keys.
 */
#include <stdio.h>
#include <stdlib.h>

#include "runtime/base/clock.h"
#include "tests/bench/bench.h"
#include "tests/support/local/local_job.h"
#include "weir/weir.h"

#define RECORDS_A_MS 80 /* 40,000 in the smallest slice */
#define KEYS 100

struct reading {
    int64_t key, value;
    weir_time time;
};
WEIR_ROW(reading, WEIR_FIELD(reading, 1, I64, key), WEIR_FIELD(reading, 2, I64, value), WEIR_FIELD(reading, 3, TIME, time));
WEIR_TIMESTAMP(reading_time, reading, time);
WEIR_KEY_FIXED(by_key, reading, key);

struct total {
    int64_t count, sum;
};
WEIR_ROW(total, WEIR_FIELD(total, 1, I64, count), WEIR_FIELD(total, 2, I64, sum));

static inline void add(struct total *t, const struct reading *r, weir_time time)
{
    (void)time;
    t->count++;
    t->sum += r->value;
}
static inline void merge(struct total *into, const struct total *from)
{
    into->count += from->count;
    into->sum += from->sum;
}
static inline void subtract(struct total *into, const struct total *from)
{
    into->count -= from->count;
    into->sum -= from->sum;
}
static inline void add_max(struct total *t, const struct reading *r, weir_time time)
{
    (void)time;
    if (t->count++ == 0 || r->value > t->sum) t->sum = r->value;
}
static inline void merge_max(struct total *into, const struct total *from)
{
    if (from->sum > into->sum) into->sum = from->sum;
    into->count += from->count;
}
static inline weir_err emit(struct weir_ctx *ctx, const struct total *t, const struct weir_key *key, weir_time start, weir_time end)
{
    (void)key, (void)start;
    return weir_emit(ctx->out, t, sizeof *t, end - 1);
}
WEIR_AGGREGATE_INVERTIBLE(sums, reading, total, total, add, merge, emit, subtract);
WEIR_AGGREGATE(maxima, reading, total, total, add_max, merge_max, emit);

/* ---- source and sink ---- */

static int64_t n_rows;
static uint64_t n_results;
static struct weir_window window = {.kind = WEIR_SLIDING, .size_ms = 60000};
static const struct weir_aggregate *aggregate;

struct reader {
    int64_t at;
};
static weir_err discover(const void *config, uint32_t parallelism, struct weir_splits *splits, struct weir_diag *diag)
{
    (void)config, (void)parallelism, (void)diag;
    return weir_splits_add(splits, "", 1);
}
static weir_err open_split(void *self, struct weir_ctx *ctx, struct weir_bytes split, struct weir_bytes position)
{
    (void)self, (void)ctx, (void)split, (void)position;
    return WEIR_OK;
}
static weir_err read_rows(void *self, struct weir_ctx *ctx)
{
    struct reader *r = self;
    int64_t end = r->at + 4096 < n_rows ? r->at + 4096 : n_rows;
    while (r->at < end) {
        uint32_t n = weir_run_begin(ctx->out, sizeof(struct reading), (uint32_t)(end - r->at));
        if (n == 0) return ctx->out->err;
        for (uint32_t i = 0; i < n; i++, r->at++) {
            uint64_t x = (uint64_t)r->at * 0x9E3779B97F4A7C15u;
            struct reading *row = weir_run_row(ctx->out, sizeof(struct reading), i, 0, WEIR_INSERT);
            *row = (struct reading){.key = (int64_t)((x >> 32) % KEYS), .value = (int64_t)(x >> 40), .time = r->at / RECORDS_A_MS};
        }
        weir_run_end(ctx->out, sizeof(struct reading), n);
    }
    return r->at < n_rows ? WEIR_OK : WEIR_DONE;
}
static const struct weir_source source = {.struct_size = sizeof source,
                                          .name = "readings",
                                          .self_size = sizeof(struct reader),
                                          .schema = &reading_schema,
                                          .discover = discover,
                                          .open = open_split,
                                          .read = read_rows};

static weir_err count_process(void *self, struct weir_ctx *ctx, uint32_t input, struct weir_batch *b)
{
    (void)self, (void)ctx, (void)input;
    n_results += b->count;
    return WEIR_OK;
}
static const struct weir_operator count = {
    .struct_size = sizeof count, .name = "count", .in = &total_schema, .flags = WEIR_OPERATOR_SINK, .process = count_process};

static weir_err build(struct weir_env *env, int argc, char **argv, struct weir_diag *diag)
{
    (void)argc, (void)argv, (void)diag;
    const struct weir_watermarks in_order = {0};
    struct weir_stream *s = weir_assign_watermarks(weir_from(env, "source", &source, NULL, 0), "times", reading_time, &in_order);
    weir_apply(weir_window_aggregate(weir_key_by(s, &by_key), "window", &window, aggregate), "sink", &count, NULL, 0);
    return WEIR_OK;
}

static double run(const struct weir_aggregate *what, int64_t slide_ms)
{
    struct local_job job;
    struct weir_diag diag = {0};
    window.slide_ms = slide_ms;
    aggregate = what;
    n_results = 0;
    int64_t from = clock_mono_ns();
    if (local_job_run(&job, build, 1, 0, NULL, &diag)) bench_die(diag.text);
    double ns = (double)(clock_mono_ns() - from) / (double)n_rows;
    local_job_close(&job);
    return ns;
}

int main(int argc, char **argv)
{
    static const int64_t slides[] = {60000, 5000, 1000, 500};
    static const struct weir_aggregate *const whats[] = {&sums, &maxima};
    double ns[2][4];
    uint64_t results[4];
    n_rows = bench_size(argc, argv, 20000000);
    for (int round = 0; round < BENCH_ROUNDS - 2; round++)
        for (int w = 0; w < 2; w++)
            for (int s = 0; s < 4; s++) {
                double took = run(whats[w], slides[s]);
                ns[w][s] = round ? bench_min(ns[w][s], took) : took;
                results[s] = n_results;
            }
    printf("sliding: windows of 60 s, %d keys, %d records a second of event time, one thread, %lld rows\n", KEYS, RECORDS_A_MS * 1000,
           (long long)n_rows);
    for (int s = 0; s < 4; s++)
        printf("  slide %5.1f s  %8llu results  %6.2f ns a row by subtraction  %6.2f by two stacks\n", (double)slides[s] / 1000,
               (unsigned long long)results[s], ns[0][s], ns[1][s]);
    for (int s = 1; s < 4; s++) {
        char what[64];
        (void)snprintf(what, sizeof what, "throughput, slide %.1f s to 60 s", (double)slides[s] / 1000);
        bench_verdict(what, bench_min(ns[0][0] / ns[0][s], ns[1][0] / ns[1][s]), "at least", 0.7);
    }
    return 0;
}
