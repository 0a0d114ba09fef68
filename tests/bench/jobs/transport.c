/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The job behind bench_transport: a keyed stream of 64-byte records (16 of header, 48 of row) whose source lives in slot 1 and whose sink
 * in slot 0, so with one slot a TaskManager every frame crosses from one to the other.
 *
 * Throughput (--rows): the sink counts, sums, and tells the time from its first batch to its last as counter `elapsed_ns`.
 * Latency (--interval-us): one row at a time, stamped when it is emitted; the sink keeps a histogram and tells p50, p99, p999 and max in
 * nanoseconds. Both ends run on one machine, so CLOCK_MONOTONIC is common.
 */
#include <stdlib.h>
#include <time.h>

#include "weir/weir.h"

struct sample {
    int64_t key;
    int64_t stamp_ns;
    int64_t a, b, c, d;
};
WEIR_ROW(sample, WEIR_FIELD(sample, 1, I64, key), WEIR_FIELD(sample, 2, I64, stamp_ns), WEIR_FIELD(sample, 3, I64, a),
         WEIR_FIELD(sample, 4, I64, b), WEIR_FIELD(sample, 5, I64, c), WEIR_FIELD(sample, 6, I64, d));
WEIR_KEY_FIXED(by_key, sample, key);

struct config {
    int64_t rows;
    int64_t interval_us; /* 0 = as fast as possible */
};

static int64_t now_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* ---- source ---- */

struct reader {
    int64_t at, end, due_ns;
};

static weir_err discover(const void *config, uint32_t parallelism, struct weir_splits *splits, struct weir_diag *diag)
{
    (void)config, (void)parallelism, (void)diag;
    weir_err err = weir_splits_add(splits, "0", 1); /* slot 0: nothing */
    return err ? err : weir_splits_add(splits, "1", 1);
}

static weir_err open_split(void *self, struct weir_ctx *ctx, struct weir_bytes split, struct weir_bytes position)
{
    (void)position;
    ((struct reader *)self)->end = *(const char *)split.data == '1' ? ((const struct config *)ctx->config)->rows : 0;
    return WEIR_OK;
}

static weir_err read_fast(struct reader *r, struct weir_out *out)
{
    for (int blocks = 0; r->at < r->end && blocks < 4; blocks++) {
        uint32_t n = weir_run_begin(out, sizeof(struct sample), (uint32_t)(r->end - r->at < 2048 ? r->end - r->at : 2048));
        if (n == 0) return out->err;
        for (uint32_t i = 0; i < n; i++, r->at++)
            *(struct sample *)weir_run_row(out, sizeof(struct sample), i, r->at, WEIR_INSERT) =
                (struct sample){.key = r->at * 7919 % 100003, .stamp_ns = 0, .a = r->at, .b = 1, .c = 2, .d = 3};
        weir_run_end(out, sizeof(struct sample), n);
    }
    return r->at < r->end ? WEIR_OK : WEIR_DONE;
}

static weir_err read_paced(struct reader *r, struct weir_out *out, int64_t interval_us)
{
    int64_t now = now_ns();
    if (r->due_ns == 0) r->due_ns = now + 300000000; /* connections first settle */
    if (r->at == r->end) return WEIR_DONE;
    if (now < r->due_ns) return WEIR_AGAIN;
    r->due_ns = now + interval_us * 1000;
    struct sample row = {.key = r->at, .a = r->at};
    row.stamp_ns = now_ns();
    r->at++;
    return weir_emit(out, &row, sizeof row, row.a);
}

static weir_err read_rows(void *self, struct weir_ctx *ctx)
{
    const struct config *config = ctx->config;
    struct reader *r = self;
    if (r->end == 0) return WEIR_DONE;
    return config->interval_us ? read_paced(r, ctx->out, config->interval_us) : read_fast(r, ctx->out);
}

static const struct weir_source source = {.struct_size = sizeof source,
                                          .name = "samples",
                                          .self_size = sizeof(struct reader),
                                          .schema = &sample_schema,
                                          .discover = discover,
                                          .open = open_split,
                                          .read = read_rows};

/* ---- sink ---- */

#define BUCKET_NS 1000
#define BUCKETS 100000 /* up to 100 ms; the last one holds what is beyond */

struct gauge {
    int64_t rows, first_ns, last_ns, max_ns;
    uint64_t sum;
    uint64_t *buckets;
};

static weir_err gauge_open(void *self, struct weir_ctx *ctx)
{
    struct gauge *g = self;
    g->buckets = calloc(BUCKETS, sizeof *g->buckets);
    return g->buckets ? WEIR_OK : weir_fail(ctx->diag, WEIR_E_NOMEM, "no memory for the histogram");
}

static inline weir_err gauge_loop(const uint32_t *sel, uint32_t stride, struct gauge *g, struct weir_batch *b, int64_t now)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < b->count; i++) {
        const struct sample *row = weir_record_row(WEIR_RECORD_AT(b, sel, stride, i));
        sum += (uint64_t)row->a;
        if (row->stamp_ns == 0) continue;
        int64_t took = now - row->stamp_ns;
        g->buckets[took / BUCKET_NS < BUCKETS ? took / BUCKET_NS : BUCKETS - 1]++;
        if (took > g->max_ns) g->max_ns = took;
    }
    g->sum += sum;
    return WEIR_OK;
}

static weir_err gauge_process(void *self, struct weir_ctx *ctx, uint32_t input, struct weir_batch *b)
{
    (void)ctx, (void)input;
    struct gauge *g = self;
    int64_t now = now_ns();
    if (g->rows == 0) g->first_ns = now;
    g->last_ns = now;
    g->rows += b->count;
    return WEIR_BATCH_LOOP(gauge_loop, b, sample, g, b, now);
}

static uint64_t quantile_ns(const struct gauge *g, int64_t per_thousand)
{
    int64_t seen = 0;
    for (int64_t i = 0; i < BUCKETS; i++) {
        seen += (int64_t)g->buckets[i];
        if (seen * 1000 >= g->rows * per_thousand) return (uint64_t)(i + 1) * BUCKET_NS;
    }
    return 0;
}

static weir_err gauge_finish(void *self, struct weir_ctx *ctx)
{
    struct gauge *g = self;
    weir_count(ctx, "rows", (uint64_t)g->rows);
    weir_count(ctx, "sum", g->sum);
    weir_count(ctx, "elapsed_ns", (uint64_t)(g->last_ns - g->first_ns));
    weir_count(ctx, "p50_ns", quantile_ns(g, 500));
    weir_count(ctx, "p99_ns", quantile_ns(g, 990));
    weir_count(ctx, "p999_ns", quantile_ns(g, 999));
    weir_count(ctx, "max_ns", (uint64_t)g->max_ns);
    return WEIR_OK;
}

static void gauge_close(void *self, struct weir_ctx *ctx)
{
    (void)ctx;
    free(((struct gauge *)self)->buckets);
}

static const struct weir_operator gauge = {.struct_size = sizeof gauge,
                                           .name = "gauge",
                                           .self_size = sizeof(struct gauge),
                                           .in = &sample_schema,
                                           .flags = WEIR_OPERATOR_SINK,
                                           .open = gauge_open,
                                           .process = gauge_process,
                                           .finish = gauge_finish,
                                           .close = gauge_close};

static weir_err build(struct weir_env *env, int argc, char **argv, struct weir_diag *diag)
{
    struct config *config = weir_env_alloc(env, sizeof *config);
    if (!config) return WEIR_E_NOMEM;
    const struct weir_option options[] = {
        {"rows", WEIR_OPTION_I64, &config->rows, true, "rows to send"},
        {"interval-us", WEIR_OPTION_I64, &config->interval_us, false, "pause between two rows; 0 = none"},
    };
    weir_err err = weir_options(env, argc, argv, options, sizeof options / sizeof *options, diag);
    if (err) return err;
    struct weir_stream *rows = weir_from(env, "source", &source, config, sizeof *config);
    weir_set_parallelism(weir_apply(weir_key_by(rows, &by_key), "sink", &gauge, NULL, 0), 1);
    return WEIR_OK;
}

WEIR_PLUGIN("transport", "1.0", build);
