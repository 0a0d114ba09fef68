/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The generator. Row n follows from n alone (SplitMix64 can be entered anywhere: Steele, Lea, Flood, "Fast Splittable Pseudorandom Number
 * Generators", 2014), so a reader's whole position is the n of its next row, and any division into splits makes the same rows.
 */
#include "weir/connector/generator.h"

#include "connectors/generator/pace.h"
#include "weir/source.h"

#define CALL_ROWS 4096 /* one call of `read` makes at most so many ... */
#define BURST_ROWS 256 /* ... and looks after so many whether its output is full */

#define RATE_DEFAULT 1000
#define RATE_MAX 1000000000000 /* keeps n * 1000 / rate exact without wide arithmetic */

static const struct weir_field generated_fields[] = {
    WEIR_FIELD(weir_generated, 1, I64, seq),
    WEIR_FIELD(weir_generated, 2, I64, key),
    WEIR_FIELD(weir_generated, 3, I64, value),
    WEIR_FIELD(weir_generated, 4, TIME, time),
};
const struct weir_schema weir_generated_schema = {sizeof(struct weir_schema), "weir_generated", sizeof(struct weir_generated), 4,
                                                  generated_fields};

/* A split makes the rows first, first + step, first + 2 * step ... */
struct generator_split {
    int64_t first;
    int64_t step;
};

struct generator {
    struct weir_generator config;
    struct generator_split split;
    int64_t next; /* n of the next row */

    /* Event time of row `next`, kept by addition: time_rest < rate is what the division by rate has left. */
    weir_time time;
    int64_t time_rest;
    int64_t time_step, time_step_rest; /* of split.step rows */

    struct pace pace;
};

/* ---- rows -------------------------------------------------------------------------------------------------------------------------- */

static uint64_t word(uint64_t seed, int64_t n)
{
    uint64_t z = seed + ((uint64_t)n + 1) * 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static void go_to(struct generator *g, int64_t n)
{
    int64_t rate = g->config.rate;
    g->next = n;
    g->time = g->config.start_ms + n / rate * 1000 + n % rate * 1000 / rate;
    g->time_rest = n % rate * 1000 % rate;
}

static weir_err make_row(struct generator *g, struct weir_out *out)
{
    uint64_t value = word(g->config.seed, g->next);
    struct weir_generated row = {
        .seq = g->next, .key = (int64_t)(value % (uint64_t)g->config.keys), .value = (int64_t)value, .time = g->time};
    g->next += g->split.step;
    g->time += g->time_step;
    g->time_rest += g->time_step_rest;
    if (g->time_rest >= g->config.rate) {
        g->time_rest -= g->config.rate;
        g->time++;
    }
    return weir_emit(out, &row, sizeof row, row.time);
}

/* ---- how many rows --------------------------------------------------------------------------------------------------------------- */

/* Rows of this split with an n below `n`, from `next` on. */
static int64_t rows_below(const struct generator *g, int64_t n)
{
    return n <= g->next ? 0 : (n - g->next - 1) / g->split.step + 1;
}

static int64_t rows_now(struct generator *g, struct weir_ctx *ctx)
{
    int64_t n = CALL_ROWS;
    if (g->config.rows >= 0 && rows_below(g, g->config.rows) < n) n = rows_below(g, g->config.rows);
    if (g->config.rows < 0 && g->config.silent_after) {
        int64_t left = g->config.silent_after - (g->next - g->split.first) / g->split.step;
        if (left < n) n = left < 0 ? 0 : left;
    }
    if (g->config.pace && n) {
        int64_t due = rows_below(g, pace_due_below(&g->pace, g->next, g->config.pace, weir_now_ms(ctx)));
        if (due < n) n = due;
    }
    return n;
}

/* ---- the source -------------------------------------------------------------------------------------------------------------------- */

static struct weir_generator with_defaults(const struct weir_generator *config)
{
    struct weir_generator c = *config;
    if (c.keys == 0) c.keys = 1;
    if (c.rate == 0) c.rate = RATE_DEFAULT;
    return c;
}

static weir_err generator_discover(const void *config, uint32_t parallelism, struct weir_splits *splits, struct weir_diag *diag)
{
    struct weir_generator c = with_defaults(config);
    if (c.keys < 0) return weir_fail(diag, WEIR_E_ARGUMENT, "generator: keys is negative");
    if (c.rate < 0 || c.rate > RATE_MAX)
        return weir_fail(diag, WEIR_E_ARGUMENT, "generator: rate is outside 1 ... %lld", (long long)RATE_MAX);
    if (c.pace < 0 || c.pace > PACE_MAX)
        return weir_fail(diag, WEIR_E_ARGUMENT, "generator: pace is outside 0 ... %lld", (long long)PACE_MAX);
    if (c.silent_after < 0) return weir_fail(diag, WEIR_E_ARGUMENT, "generator: silent_after is negative");
    for (uint32_t i = 0; i < parallelism; i++) {
        struct generator_split split = {.first = i, .step = parallelism};
        weir_err err = weir_splits_add(splits, &split, sizeof split);
        if (err) return weir_fail(diag, err, "generator: split %u", i);
    }
    return WEIR_OK;
}

static weir_err generator_open(void *self, struct weir_ctx *ctx, struct weir_bytes split, struct weir_bytes position)
{
    struct generator *g = self;
    if (split.length != sizeof g->split) return weir_fail(ctx->diag, WEIR_E_CORRUPT, "not a split of the generator");
    memcpy(&g->split, split.data, sizeof g->split);
    int64_t next = g->split.first;
    if (position.length == sizeof next) memcpy(&next, position.data, sizeof next);
    if (position.length % sizeof next || next < g->split.first)
        return weir_fail(ctx->diag, WEIR_E_CORRUPT, "not a position of the generator");
    g->config = with_defaults(ctx->config);
    g->time_step = g->split.step / g->config.rate * 1000 + g->split.step % g->config.rate * 1000 / g->config.rate;
    g->time_step_rest = g->split.step % g->config.rate * 1000 % g->config.rate;
    go_to(g, next);
    return WEIR_OK;
}

static weir_err generator_read(void *self, struct weir_ctx *ctx)
{
    struct generator *g = self;
    int64_t n = rows_now(g, ctx), left = n;
    while (left > 0 && !weir_should_yield(ctx)) {
        int64_t burst = left < BURST_ROWS ? left : BURST_ROWS;
        for (int64_t i = 0; i < burst; i++) {
            weir_err err = make_row(g, ctx->out);
            if (WEIR_UNLIKELY(err)) return err;
        }
        left -= burst;
    }
    /* Times never fall, so all later ones are at least that of the next row. */
    weir_err err = left < n ? weir_source_watermark(ctx, g->time - 1) : WEIR_OK;
    if (err) return err;
    if (g->config.rows >= 0 && g->next >= g->config.rows) return WEIR_DONE;
    return n ? WEIR_OK : WEIR_AGAIN;
}

static weir_err generator_position(void *self, struct weir_ctx *ctx, void *data, uint32_t *length)
{
    struct generator *g = self;
    (void)ctx;
    memcpy(data, &g->next,
           sizeof g->next); /* splits and positions: numbers in the byte order of all machines Weir runs on, little-endian */
    *length = sizeof g->next;
    return WEIR_OK;
}

static const struct weir_source generator = {
    .struct_size = sizeof(struct weir_source),
    .name = "generator",
    .self_size = sizeof(struct generator),
    .schema = &weir_generated_schema,
    .discover = generator_discover,
    .open = generator_open,
    .read = generator_read,
    .position = generator_position,
};

struct weir_stream *weir_from_generator(struct weir_env *env, const char *id, const struct weir_generator *config)
{
    return weir_from(env, id, &generator, config, sizeof *config);
}
