/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The first of two stages of an aggregate: each batch is folded by key, and a row a key goes on with the accumulator. No state: nothing is
 * held between two batches, so there is nothing to lose, and nothing waits. What leaves is a sum of changes and itself no change. For
 * windows a batch is cut where the slice of time changes, since what is one row falls to one slice; it has the highest of its records'
 * times.
 */
#include <stdlib.h>
#include <string.h>

#include "runtime/base/hash.h"
#include "runtime/operator/aggregate.h"
#include "runtime/operator/groups.h"
#include "runtime/operator/partial.h"
#include "runtime/operator/step.h"
#include "runtime/operator/window_grid.h"

struct local_aggregate {
    const struct weir_group_aggregate *aggregate;
    const struct weir_keyer *keyer;
    bool sliced;
    struct window_grid grid; /* of the slices */
    uint32_t piece;
    unsigned char *key_scratch;
    unsigned char *group_accs;
    struct groups groups;
    struct weir_key keys[WEIR_BATCH_MAX];
    int64_t counts[WEIR_BATCH_MAX]; /* of the groups */
    weir_time times[WEIR_BATCH_MAX];
    void *accs[WEIR_BATCH_MAX]; /* of the records */
    struct aggregate_fold fold;
};

static weir_err local_open(void *self, struct weir_ctx *ctx)
{
    struct local_aggregate *op = self;
    const struct aggregate_config *config = ctx->config;
    op->aggregate = config->aggregate;
    op->keyer = config->keyer;
    op->sliced = config->window.kind != 0;
    if (op->sliced && window_grid_init(&op->grid, &config->window)) return WEIR_E_ARGUMENT; /* the next stage's builder has refused it */
    op->piece = aggregate_piece(op->aggregate->acc_size);
    op->key_scratch = calloc(WEIR_BATCH_MAX, op->keyer->key_size ? op->keyer->key_size : 1);
    op->group_accs = malloc((size_t)op->piece * op->aggregate->acc_size);
    if (op->key_scratch && op->group_accs) return WEIR_OK;
    return weir_fail(ctx->diag, WEIR_E_NOMEM, "%s: no memory for the accumulators of a batch", ctx->operator_id);
}

static void local_close(void *self, struct weir_ctx *ctx)
{
    struct local_aggregate *op = self;
    (void)ctx;
    free(op->key_scratch);
    free(op->group_accs);
}

static void gather(struct local_aggregate *op, const struct weir_batch *batch, uint32_t from, uint32_t n)
{
    size_t acc_size = op->aggregate->acc_size;
    groups_make(&op->groups, op->keys + from, n);
    memset(op->group_accs, 0, op->groups.n * acc_size);
    for (uint32_t k = 0; k < op->groups.n; k++) {
        op->counts[k] = 0;
        op->times[k] = WEIR_TIME_MIN;
    }
    for (uint32_t i = 0; i < n; i++) {
        const struct weir_record *rec = weir_batch_record(batch, from + i);
        uint32_t k = op->groups.of[i];
        op->counts[k] += takes_back(rec->kind) ? -1 : 1;
        if (rec->time_ms > op->times[k]) op->times[k] = rec->time_ms;
        op->accs[i] = op->group_accs + k * acc_size;
    }
}

static weir_err emit_groups(struct local_aggregate *op, struct weir_ctx *ctx, uint32_t from)
{
    uint32_t acc_size = op->aggregate->acc_size;
    for (uint32_t k = 0; k < op->groups.n; k++) {
        const struct weir_bytes acc = {op->group_accs + (size_t)k * acc_size, acc_size};
        weir_err err = partial_emit(ctx->out, &op->keys[from + op->groups.first[k]], op->counts[k], acc, op->times[k]);
        if (err) return err;
    }
    return WEIR_OK;
}

/* How many records from `from` on, `most` at most, are folded together. */
static uint32_t piece_of(const struct local_aggregate *op, const struct weir_batch *batch, uint32_t from, uint32_t most)
{
    weir_time t = weir_batch_record(batch, from)->time_ms, lowest = t, last = t;
    uint32_t n = 1;
    if (!op->sliced) return most;
    if (t != WEIR_TIME_MIN) { /* else it is no time, as the next stage will say */
        window_slice slice = window_grid_slice(&op->grid, t);
        lowest = window_grid_lowest(&op->grid, slice);
        last = window_grid_last(&op->grid, slice);
    }
    for (; n < most; n++) {
        t = weir_batch_record(batch, from + n)->time_ms;
        if (t < lowest || t > last) break;
    }
    return n;
}

static weir_err local_process(void *self, struct weir_ctx *ctx, uint32_t input, struct weir_batch *batch)
{
    struct local_aggregate *op = self;
    weir_err err = WEIR_OK;
    (void)input; /* one input */
    op->keyer->extract(batch, op->keys, op->key_scratch);
    hash_keys(op->keys, batch->count);
    for (uint32_t from = 0, n; !err && from < batch->count; from += n) {
        n = piece_of(op, batch, from, batch->count - from < op->piece ? batch->count - from : op->piece);
        gather(op, batch, from, n);
        aggregate_fold(&op->fold, op->aggregate, batch, from, n, op->accs);
        err = emit_groups(op, ctx, from);
    }
    return err;
}

const struct weir_operator local_aggregate_operator = {
    .struct_size = sizeof(struct weir_operator),
    .name = "local-aggregate",
    .self_size = sizeof(struct local_aggregate),
    .out = &partial_schema,
    .open = local_open,
    .process = local_process,
    .close = local_close,
};

struct weir_stream *aggregate_locally(struct weir_stream *in, const char *id, const struct aggregate_config *config)
{
    struct weir_operator table = local_aggregate_operator;
    table.in = config->aggregate->in;
    if (config->aggregate->subtract) table.flags |= WEIR_OPERATOR_TAKES_CHANGES;
    return weir_key_by(step_apply(in, step_part_id(in, id, "local"), &table, config, sizeof *config), &partial_key);
}

static struct weir_stream *two_stages(struct weir_stream *in, const char *id, const struct weir_keyer *keyer,
                                      const struct weir_group_aggregate *aggregate, bool at_end)
{
    if (!aggregate_check(in, id, aggregate) || !step_check(in, id, "weir_keyer", keyer, sizeof *keyer)) return NULL;
    if (!aggregate->merge)
        return weir_refuse(weir_stream_env(in), "operator %s: aggregate %s has no merge function, which two stages need", id,
                           aggregate->name);
    const struct aggregate_config config = {.aggregate = aggregate, .keyer = keyer};
    return partial_merge(aggregate_locally(in, id, &config), id, aggregate, at_end);
}

struct weir_stream *weir_two_stage_aggregate(struct weir_stream *in, const char *id, const struct weir_keyer *keyer,
                                             const struct weir_group_aggregate *aggregate)
{
    return two_stages(in, id, keyer, aggregate, false);
}

struct weir_stream *weir_two_stage_aggregate_at_end(struct weir_stream *in, const char *id, const struct weir_keyer *keyer,
                                                    const struct weir_group_aggregate *aggregate)
{
    return two_stages(in, id, keyer, aggregate, true);
}
