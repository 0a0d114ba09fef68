/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Three maps, a filter that keeps half, and a sink that sums, on rows of 32 bytes: Weir's operators, each in a function of its own behind
 * the batch ABI, against one loop written by hand that does the same arithmetic on the same rows in the same order. Both make their rows;
 * the same source with a sink that only counts shows what making and handing over rows costs by itself.
 */
#include <stdio.h>
#include <stdlib.h>

#include "runtime/base/clock.h"
#include "tests/bench/bench.h"
#include "tests/support/local/local_job.h"
#include "weir/weir.h"

struct reading {
    int64_t id, a, b, c;
};
WEIR_ROW(reading, WEIR_FIELD(reading, 1, I64, id), WEIR_FIELD(reading, 2, I64, a), WEIR_FIELD(reading, 3, I64, b),
         WEIR_FIELD(reading, 4, I64, c));

#define MAKE_A(n) ((int64_t)((uint64_t)(n)*0x9E3779B97F4A7C15u >> 20))

static inline void make(struct reading *r, int64_t n)
{
    *r = (struct reading){.id = n, .a = MAKE_A(n), .b = n ^ 0x55, .c = n >> 3};
}
static inline void first(struct reading *r)
{
    r->a = r->a * 3 + r->b;
}
static inline void second(struct reading *r)
{
    r->b += r->a ^ (r->a >> 7);
}
static inline void third(struct reading *r)
{
    r->c = r->c * 5 - r->b;
}
static inline bool half(const struct reading *r)
{
    return (r->c & 1) != 0;
}

WEIR_UPDATE(first_op, reading, first);
WEIR_UPDATE(second_op, reading, second);
WEIR_UPDATE(third_op, reading, third);
WEIR_FILTER(half_op, reading, half);

/* ---- source and sink ---- */

static int64_t n_rows;
static uint64_t total; /* what the sink summed: keeps both sides honest */

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
        for (uint32_t i = 0; i < n; i++, r->at++) make(weir_run_row(ctx->out, sizeof(struct reading), i, r->at, WEIR_INSERT), r->at);
        weir_run_end(ctx->out, sizeof(struct reading), n);
    }
    return r->at < n_rows ? WEIR_OK : WEIR_DONE;
}
static weir_err position(void *self, struct weir_ctx *ctx, void *data, uint32_t *length)
{
    (void)ctx;
    memcpy(data, self, sizeof(struct reader));
    *length = sizeof(struct reader);
    return WEIR_OK;
}
static const struct weir_source source = {.struct_size = sizeof source,
                                          .name = "readings",
                                          .self_size = sizeof(struct reader),
                                          .schema = &reading_schema,
                                          .discover = discover,
                                          .open = open_split,
                                          .read = read_rows,
                                          .position = position};

static inline weir_err add_loop(const uint32_t *sel, uint32_t stride, struct weir_batch *b)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < b->count; i++)
        sum += (uint64_t)((const struct reading *)weir_record_row(WEIR_RECORD_AT(b, sel, stride, i)))->c;
    total += sum;
    return WEIR_OK;
}
static weir_err add_process(void *self, struct weir_ctx *ctx, uint32_t input, struct weir_batch *b)
{
    (void)self, (void)ctx, (void)input;
    return WEIR_BATCH_LOOP(add_loop, b, reading, b);
}
static weir_err count_process(void *self, struct weir_ctx *ctx, uint32_t input, struct weir_batch *b)
{
    (void)self, (void)ctx, (void)input;
    total += b->count;
    return WEIR_OK;
}
static const struct weir_operator add = {
    .struct_size = sizeof add, .name = "add", .in = &reading_schema, .flags = WEIR_OPERATOR_SINK, .process = add_process};
static const struct weir_operator count = {
    .struct_size = sizeof count, .name = "count", .in = &reading_schema, .flags = WEIR_OPERATOR_SINK, .process = count_process};

static weir_err build_chain(struct weir_env *env, int argc, char **argv, struct weir_diag *diag)
{
    (void)argc, (void)argv, (void)diag;
    struct weir_stream *s = weir_from(env, "source", &source, NULL, 0);
    s = weir_map(weir_map(weir_map(s, "first", &first_op), "second", &second_op), "third", &third_op);
    weir_apply(weir_filter(s, "half", &half_op), "sink", &add, NULL, 0);
    return WEIR_OK;
}
static weir_err build_bare(struct weir_env *env, int argc, char **argv, struct weir_diag *diag)
{
    (void)argc, (void)argv, (void)diag;
    weir_apply(weir_from(env, "source", &source, NULL, 0), "sink", &count, NULL, 0);
    return WEIR_OK;
}

static double run_job(weir_job_fn build)
{
    struct local_job job;
    struct weir_diag diag = {0};
    total = 0;
    int64_t from = clock_mono_ns();
    if (local_job_run(&job, build, 1, 0, NULL, &diag)) bench_die(diag.text);
    double ns = (double)(clock_mono_ns() - from) / (double)n_rows;
    local_job_close(&job);
    return ns;
}

/* By hand, as one would write it with rows that pass through memory: a block is made, then run through the steps in one loop. */
__attribute__((noinline)) static double by_hand(void)
{
    enum { BLOCK = 680 }; /* rows of a frame of 32 KiB */
    static struct reading rows[BLOCK];
    total = 0;
    int64_t from = clock_mono_ns();
    for (int64_t n = 0; n < n_rows; n += BLOCK) {
        int64_t m = n_rows - n < BLOCK ? n_rows - n : BLOCK;
        for (int64_t i = 0; i < m; i++) make(&rows[i], n + i);
        bench_keep(rows);
        uint64_t sum = 0;
        for (int64_t i = 0; i < m; i++) {
            struct reading *r = &rows[i];
            first(r);
            second(r);
            third(r);
            if (half(r)) sum += (uint64_t)r->c;
        }
        bench_keep(rows);
        total += sum;
    }
    return (double)(clock_mono_ns() - from) / (double)n_rows;
}
__attribute__((noinline)) static double by_hand_bare(void)
{
    enum { BLOCK = 680 };
    static struct reading rows[BLOCK];
    int64_t from = clock_mono_ns();
    for (int64_t n = 0; n < n_rows; n += BLOCK) {
        int64_t m = n_rows - n < BLOCK ? n_rows - n : BLOCK;
        for (int64_t i = 0; i < m; i++) make(&rows[i], n + i);
        bench_keep(rows);
    }
    return (double)(clock_mono_ns() - from) / (double)n_rows;
}

int main(int argc, char **argv)
{
    n_rows = bench_size(argc, argv, 50000000);
    double weir = 1e9, hand = 1e9, weir_bare = 1e9, hand_bare = 1e9;
    uint64_t sum_hand = 0, sum_weir = 1;
    for (int round = 0; round < BENCH_ROUNDS; round++) {
        hand = bench_min(hand, by_hand());
        sum_hand = total;
        weir = bench_min(weir, run_job(build_chain));
        sum_weir = total;
        hand_bare = bench_min(hand_bare, by_hand_bare());
        weir_bare = bench_min(weir_bare, run_job(build_bare));
    }
    if (sum_hand != sum_weir) bench_die("the two sides summed differently");
    printf("chain: 3 maps, filter, sink on 32-byte rows, one thread, %lld rows\n", (long long)n_rows);
    printf("  %-34s %8.2f ns a row  (%.2f of it to make the rows)\n", "loop by hand", hand, hand_bare);
    printf("  %-34s %8.2f ns a row  (%.2f of it to make and hand over)\n", "weir", weir, weir_bare);
    bench_verdict("cost, making the rows included", weir / hand, "at most", 3.0);
    bench_verdict("cost of the steps alone", (weir - weir_bare) / (hand - hand_bare), "at most", 3.0);
    return 0;
}
