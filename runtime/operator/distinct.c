/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What has been seen of a key, in 64 bits, and what a record adds to that.
 *
 * State: a value of 8 bytes per key (a group and a value). A batch's keys are probed together; records that set no new bit end here, nearly
 * all of them in a long run. A watermark releases nothing. weir_count_distinct folds the new bits of a batch by group, so that what crosses
 * to the groups' subtasks is a row a group and batch.
 */
#include "runtime/operator/distinct.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/base/hash.h"
#include "runtime/operator/groups.h"
#include "runtime/operator/partial.h"
#include "runtime/operator/step.h"

/* ---- new bits ---------------------------------------------------------------------------------------------------------------------- */

struct seen {
    struct weir_state *state;
    void *values[WEIR_BATCH_MAX];
    uint64_t bits[WEIR_BATCH_MAX];
    uint32_t n; /* records that were the first to set some bits ... */
    uint32_t idx[WEIR_BATCH_MAX];
    uint64_t fresh[WEIR_BATCH_MAX]; /* ... and those */
};

static weir_err seen_open(struct seen *s, struct weir_ctx *ctx)
{
    const struct weir_state_desc desc = {.struct_size = sizeof desc, .name = "seen", .value_size = sizeof(uint64_t)};
    return weir_value_open(ctx, &desc, &s->state);
}

static weir_err seen_take(struct seen *s, struct weir_ctx *ctx, const struct weir_batch *batch,
                          void (*bits)(const struct weir_batch *, uint64_t *))
{
    weir_err err = weir_value_probe(ctx, s->state, NULL, batch->count, s->values);
    if (err) return err;
    bits(batch, s->bits);
    s->n = 0;
    for (uint32_t i = 0; i < batch->count; i++) {
        uint64_t *seen = s->values[i], fresh = s->bits[i] & ~*seen;
        *seen |= fresh;
        s->idx[s->n] = i;
        s->fresh[s->n] = fresh;
        s->n += fresh != 0;
    }
    return WEIR_OK;
}

/* ---- distinct ----------------------------------------------------------------------------------------------------------------------- */

struct distinct {
    const struct weir_distinct *distinct;
    struct seen seen;
};

static weir_err distinct_open(void *self, struct weir_ctx *ctx)
{
    struct distinct *op = self;
    op->distinct = ((const struct distinct_config *)ctx->config)->distinct;
    return seen_open(&op->seen, ctx);
}

static weir_err distinct_process(void *self, struct weir_ctx *ctx, uint32_t input, struct weir_batch *batch)
{
    struct distinct *op = self;
    (void)input; /* one input */
    weir_err err = seen_take(&op->seen, ctx, batch, op->distinct->bits);
    if (err || op->seen.n == 0) return err;
    return op->distinct->emit(ctx->out, batch, op->seen.idx, op->seen.fresh, op->seen.n);
}

const struct weir_operator distinct_operator = {
    .struct_size = sizeof(struct weir_operator),
    .name = "distinct",
    .self_size = sizeof(struct distinct),
    .flags = WEIR_OPERATOR_KEYED,
    .open = distinct_open,
    .process = distinct_process,
};

struct weir_stream *weir_distinct(struct weir_stream *keyed, const char *id, const struct weir_distinct *distinct)
{
    if (!step_check(keyed, id, "weir_distinct", distinct, sizeof *distinct)) return NULL;
    if (!distinct->bits || !distinct->emit)
        return weir_refuse(weir_stream_env(keyed), "operator %s: its weir_distinct needs bits and emit", id);
    struct weir_operator table = distinct_operator;
    table.in = distinct->in;
    table.out = distinct->out;
    const struct distinct_config config = {.distinct = distinct};
    return step_apply(keyed, id, &table, &config, sizeof config);
}

/* ---- counts ------------------------------------------------------------------------------------------------------------------------- */

struct values {
    const struct weir_count_distinct *count;
    unsigned char *key_scratch;
    uint64_t *counts; /* n_bits of each group of a batch */
    struct seen seen;
    struct groups groups;
    struct weir_key keys[WEIR_BATCH_MAX]; /* of the groups' keyer */
    int64_t records[WEIR_BATCH_MAX];      /* of a group, that set new bits */
    weir_time times[WEIR_BATCH_MAX];
};

static weir_err values_open(void *self, struct weir_ctx *ctx)
{
    struct values *op = self;
    op->count = ((const struct count_distinct_config *)ctx->config)->count;
    op->key_scratch = calloc(WEIR_BATCH_MAX, op->count->group->key_size ? op->count->group->key_size : 1);
    op->counts = calloc(WEIR_BATCH_MAX, op->count->n_bits * sizeof *op->counts);
    if (!op->key_scratch || !op->counts) return weir_fail(ctx->diag, WEIR_E_NOMEM, "%s: no memory for counts", ctx->operator_id);
    return seen_open(&op->seen, ctx);
}

static void values_close(void *self, struct weir_ctx *ctx)
{
    struct values *op = self;
    (void)ctx;
    free(op->key_scratch);
    free(op->counts);
}

static void count_bits(uint64_t *counts, uint32_t n_bits, uint64_t bits)
{
    if (n_bits < 64) bits &= ((uint64_t)1 << n_bits) - 1;
    for (; bits; bits &= bits - 1) counts[__builtin_ctzll(bits)]++;
}

static void fold(struct values *op, const struct weir_batch *batch)
{
    uint32_t n_bits = op->count->n_bits;
    op->count->group->extract(batch, op->keys, op->key_scratch);
    hash_keys(op->keys, batch->count);
    groups_make(&op->groups, op->keys, batch->count);
    memset(op->counts, 0, (size_t)op->groups.n * n_bits * sizeof *op->counts);
    memset(op->records, 0, op->groups.n * sizeof op->records[0]);
    for (uint32_t i = 0; i < op->seen.n; i++) {
        uint32_t k = op->groups.of[op->seen.idx[i]];
        weir_time t = weir_batch_record(batch, op->seen.idx[i])->time_ms;
        if (op->records[k]++ == 0 || t > op->times[k]) op->times[k] = t;
        count_bits(op->counts + (size_t)k * n_bits, n_bits, op->seen.fresh[i]);
    }
}

static weir_err values_process(void *self, struct weir_ctx *ctx, uint32_t input, struct weir_batch *batch)
{
    struct values *op = self;
    uint32_t size = op->count->n_bits * (uint32_t)sizeof *op->counts;
    (void)input; /* one input */
    weir_err err = seen_take(&op->seen, ctx, batch, op->count->bits);
    if (err || op->seen.n == 0) return err;
    fold(op, batch);
    for (uint32_t k = 0; !err && k < op->groups.n; k++) {
        const struct weir_bytes counts = {op->counts + (size_t)k * op->count->n_bits, size};
        if (op->records[k]) err = partial_emit(ctx->out, &op->keys[op->groups.first[k]], op->records[k], counts, op->times[k]);
    }
    return err;
}

const struct weir_operator distinct_values_operator = {
    .struct_size = sizeof(struct weir_operator),
    .name = "distinct-values",
    .self_size = sizeof(struct values),
    .out = &partial_schema,
    .flags = WEIR_OPERATOR_KEYED,
    .open = values_open,
    .process = values_process,
    .close = values_close,
};

void distinct_merge(void *const *into, const void *const *from, uint32_t n, uint32_t acc_size)
{
    for (uint32_t i = 0; i < n; i++) {
        uint64_t *a = into[i];
        const uint64_t *b = from[i];
        for (uint32_t bit = 0; bit < acc_size / sizeof *a; bit++) a[bit] += b[bit];
    }
}

static bool count_check(struct weir_stream *in, const char *id, const struct weir_count_distinct *c)
{
    if (!step_check(in, id, "weir_count_distinct", c, sizeof *c)) return false;
    if (!step_check(in, id, "weir_keyer", c->group, sizeof *c->group)) return false;
    if (c->bits && c->emit && c->n_bits >= 1 && c->n_bits <= 64) return true;
    (void)weir_refuse(weir_stream_env(in), "operator %s: its weir_count_distinct needs bits, emit, and n_bits of 1 ... 64", id);
    return false;
}

struct weir_stream *weir_count_distinct(struct weir_stream *in, const char *id, const struct weir_count_distinct *count)
{
    if (!count_check(in, id, count)) return NULL;
    struct weir_group_aggregate *sum = weir_env_alloc(weir_stream_env(in), sizeof *sum);
    if (!sum) return NULL;
    *sum = (struct weir_group_aggregate){.struct_size = sizeof *sum,
                                         .name = count->name,
                                         .out = count->out,
                                         .acc_size = count->n_bits * (uint32_t)sizeof(uint64_t),
                                         .merge = distinct_merge,
                                         .emit = count->emit};
    struct weir_operator table = distinct_values_operator;
    table.in = count->in;
    const struct count_distinct_config config = {.count = count};
    struct weir_stream *values = step_apply(weir_key_by(in, count->value), step_part_id(in, id, "values"), &table, &config, sizeof config);
    return partial_merge(weir_key_by(values, &partial_key), id, sum, false);
}
