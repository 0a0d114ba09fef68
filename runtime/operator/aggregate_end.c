/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Aggregates told once, when the input ends: an accumulator per key, and no changes on the way.
 *
 * State: as of running aggregates (aggregate.c), a value per key. A batch's records are probed together and folded in; nothing is compared,
 * nothing emitted. The watermark WEIR_TIME_MAX releases everything: a scan over all keys, of memory and RocksDB, which pauses when the
 * output is full. A key whose records have all been taken back has no result.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/operator/aggregate.h"
#include "runtime/operator/partial.h"
#include "runtime/operator/rows.h"
#include "runtime/operator/step.h"

struct end_aggregator {
    const struct weir_group_aggregate *aggregate;
    bool partials;
    bool telling; /* the end has come */
    uint64_t cursor;
    struct weir_state *state;
    struct aggregate_cell *told; /* a key's value, which may lie askew where it was read */
    void *cells[WEIR_BATCH_MAX];
    void *accs[WEIR_BATCH_MAX];
    const void *from[WEIR_BATCH_MAX];
    struct aggregate_fold fold;
};

static weir_err end_open(void *self, struct weir_ctx *ctx)
{
    struct end_aggregator *op = self;
    const struct aggregate_config *config = ctx->config;
    op->aggregate = config->aggregate;
    op->partials = config->partials;
    op->told = malloc(sizeof *op->told + op->aggregate->acc_size);
    if (!op->told) return weir_fail(ctx->diag, WEIR_E_NOMEM, "%s: no memory for an accumulator", ctx->operator_id);
    return aggregate_open_state(ctx, op->aggregate, &op->state);
}

static void end_close(void *self, struct weir_ctx *ctx)
{
    (void)ctx;
    free(((struct end_aggregator *)self)->told);
}

static weir_err fold_partials(struct end_aggregator *op, struct weir_ctx *ctx, const struct weir_batch *batch)
{
    for (uint32_t i = 0; i < batch->count; i++) {
        struct aggregate_cell *cell = op->cells[i];
        int64_t count;
        weir_err err = partial_read(ctx, weir_batch_record(batch, i), op->aggregate->acc_size, &count, &op->from[i]);
        if (err) return err;
        cell->count += count;
    }
    op->aggregate->merge(op->accs, op->from, batch->count, op->aggregate->acc_size);
    return WEIR_OK;
}

static void fold_rows(struct end_aggregator *op, const struct weir_batch *batch)
{
    if (!op->aggregate->subtract) {
        for (uint32_t i = 0; i < batch->count; i++) ((struct aggregate_cell *)op->cells[i])->count++;
        op->aggregate->add(op->accs, batch, NULL, batch->count);
        return;
    }
    for (uint32_t i = 0; i < batch->count; i++)
        ((struct aggregate_cell *)op->cells[i])->count += takes_back(weir_batch_record(batch, i)->kind) ? -1 : 1;
    aggregate_fold(&op->fold, op->aggregate, batch, 0, batch->count, op->accs);
}

static weir_err end_process(void *self, struct weir_ctx *ctx, uint32_t input, struct weir_batch *batch)
{
    struct end_aggregator *op = self;
    (void)input; /* one input */
    if (op->telling) return refuse_after_end(ctx);
    weir_err err = weir_value_probe(ctx, op->state, NULL, batch->count, op->cells);
    if (err) return err;
    for (uint32_t i = 0; i < batch->count; i++) op->accs[i] = ((struct aggregate_cell *)op->cells[i])->acc;
    if (op->partials) return fold_partials(op, ctx, batch);
    fold_rows(op, batch);
    return WEIR_OK;
}

static weir_err tell(const struct end_aggregator *op, struct weir_ctx *ctx, const struct weir_key *key, const struct aggregate_cell *cell)
{
    if (cell->count < 0)
        return weir_fail(ctx->diag, WEIR_E_USER, "%s: %" PRId64 " records of a key were taken back that had not been given",
                         ctx->operator_id, -cell->count);
    const struct weir_result result = {cell->acc, key, WEIR_TIME_MAX - 1, WEIR_INSERT};
    return cell->count ? op->aggregate->emit(ctx->out, &result, 1) : WEIR_OK;
}

static weir_err end_on_watermark(void *self, struct weir_ctx *ctx, weir_time watermark_ms)
{
    struct end_aggregator *op = self;
    struct weir_key key;
    struct weir_bytes value;
    if (watermark_ms != WEIR_TIME_MAX) return WEIR_OK;
    op->telling = true;
    while (weir_value_next(ctx, op->state, &op->cursor, &key, &value)) {
        memcpy(op->told, value.data, sizeof *op->told + op->aggregate->acc_size);
        weir_err err = tell(op, ctx, &key, op->told);
        if (err) return err;
        if (weir_should_yield(ctx)) return WEIR_AGAIN;
    }
    return WEIR_OK;
}

const struct weir_operator end_aggregate_operator = {
    .struct_size = sizeof(struct weir_operator),
    .name = "aggregate-at-end",
    .self_size = sizeof(struct end_aggregator),
    .flags = WEIR_OPERATOR_KEYED,
    .open = end_open,
    .process = end_process,
    .on_watermark = end_on_watermark,
    .close = end_close,
};
