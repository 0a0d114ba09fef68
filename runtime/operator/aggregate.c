/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Running aggregates: an accumulator per key, whose result is told whenever it changes.
 *
 * State: a value per key, the number of its records and the accumulator. A batch's records are grouped by key, the groups probed together,
 * their old accumulators set aside, all records folded in, and what has changed is told: once a key and batch. A watermark releases
 * nothing. A key whose records have all been taken back loses its state.
 */
#include "runtime/operator/aggregate.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/operator/groups.h"
#include "runtime/operator/partial.h"
#include "runtime/operator/step.h"

struct aggregator {
    const struct weir_group_aggregate *aggregate;
    bool partials;
    struct weir_state *state;
    unsigned char *old; /* the groups' accumulators before the batch */
    uint32_t piece;
    struct groups groups;
    uint32_t firsts[WEIR_BATCH_MAX]; /* each group's first record, as the batch counts */
    void *cells[WEIR_BATCH_MAX];     /* of the groups */
    int64_t counts[WEIR_BATCH_MAX];  /* of the groups, before the batch */
    weir_time times[WEIR_BATCH_MAX];
    void *accs[WEIR_BATCH_MAX]; /* of the records */
    const void *from[WEIR_BATCH_MAX];
    struct aggregate_fold fold;
    struct weir_result results[2 * WEIR_BATCH_MAX];
};

weir_err aggregate_open_state(struct weir_ctx *ctx, const struct weir_group_aggregate *aggregate, struct weir_state **out)
{
    const struct weir_state_desc desc = {
        .struct_size = sizeof desc, .name = "aggregate", .value_size = (uint32_t)sizeof(struct aggregate_cell) + aggregate->acc_size};
    return weir_value_open(ctx, &desc, out);
}

static weir_err aggregate_open(void *self, struct weir_ctx *ctx)
{
    struct aggregator *op = self;
    const struct aggregate_config *config = ctx->config;
    uint32_t acc_size = config->aggregate->acc_size;
    op->aggregate = config->aggregate;
    op->partials = config->partials;
    op->piece = aggregate_piece(acc_size);
    op->old = malloc((size_t)op->piece * acc_size);
    if (!op->old) return weir_fail(ctx->diag, WEIR_E_NOMEM, "%s: no memory for accumulators of %u bytes", ctx->operator_id, acc_size);
    return aggregate_open_state(ctx, op->aggregate, &op->state);
}

static void aggregate_close(void *self, struct weir_ctx *ctx)
{
    (void)ctx;
    free(((struct aggregator *)self)->old);
}

/* ---- folding --------------------------------------------------------------------------------------------------------------------- */

void aggregate_fold(struct aggregate_fold *fold, const struct weir_group_aggregate *aggregate, const struct weir_batch *batch,
                    uint32_t from, uint32_t n, void *const *accs)
{
    uint32_t m[2] = {0, 0};
    for (uint32_t i = 0; i < n; i++) {
        bool back = takes_back(weir_batch_record(batch, from + i)->kind);
        fold->idx[back][m[back]] = from + i;
        fold->accs[back][m[back]++] = accs[i];
    }
    if (m[0]) aggregate->add(fold->accs[0], batch, fold->idx[0], m[0]);
    if (m[1]) aggregate->subtract(fold->accs[1], batch, fold->idx[1], m[1]);
}

/* Finds the groups of records from ... from + n - 1, their cells, and sets their old accumulators aside. */
static weir_err gather(struct aggregator *op, struct weir_ctx *ctx, const struct weir_batch *batch, uint32_t from, uint32_t n)
{
    struct groups *g = &op->groups;
    uint32_t acc_size = op->aggregate->acc_size;
    groups_make(g, ctx->keys + from, n);
    for (uint32_t k = 0; k < g->n; k++) op->firsts[k] = from + g->first[k];
    weir_err err = weir_value_probe(ctx, op->state, op->firsts, g->n, op->cells);
    if (err) return err;
    for (uint32_t k = 0; k < g->n; k++) {
        struct aggregate_cell *cell = op->cells[k];
        memcpy(op->old + (size_t)k * acc_size, cell->acc, acc_size);
        op->counts[k] = cell->count;
        op->times[k] = WEIR_TIME_MIN;
    }
    for (uint32_t i = 0; i < n; i++) {
        uint32_t k = g->of[i];
        weir_time t = weir_batch_record(batch, from + i)->time_ms;
        if (t > op->times[k]) op->times[k] = t;
        op->accs[i] = ((struct aggregate_cell *)op->cells[k])->acc;
    }
    return WEIR_OK;
}

static void fold_rows(struct aggregator *op, const struct weir_batch *batch, uint32_t from, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        struct aggregate_cell *cell = op->cells[op->groups.of[i]];
        cell->count += takes_back(weir_batch_record(batch, from + i)->kind) ? -1 : 1;
    }
    aggregate_fold(&op->fold, op->aggregate, batch, from, n, op->accs);
}

static weir_err fold_partials(struct aggregator *op, struct weir_ctx *ctx, const struct weir_batch *batch, uint32_t from, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        struct aggregate_cell *cell = op->cells[op->groups.of[i]];
        int64_t count;
        weir_err err = partial_read(ctx, weir_batch_record(batch, from + i), op->aggregate->acc_size, &count, &op->from[i]);
        if (err) return err;
        cell->count += count;
    }
    op->aggregate->merge(op->accs, op->from, n, op->aggregate->acc_size);
    return WEIR_OK;
}

/* ---- telling --------------------------------------------------------------------------------------------------------------------- */

/* The changes of group k. Returns how many results were added. */
static uint32_t compare_group(struct aggregator *op, struct weir_ctx *ctx, uint32_t k, struct weir_result *results)
{
    const struct aggregate_cell *cell = op->cells[k];
    const void *old = op->old + (size_t)k * op->aggregate->acc_size;
    const struct weir_key *key = &ctx->keys[op->firsts[k]];
    bool was = op->counts[k] > 0, is = cell->count > 0;
    uint32_t n = 0;
    if (was && is && memcmp(old, cell->acc, op->aggregate->acc_size) == 0) return 0;
    if (was) results[n++] = (struct weir_result){old, key, op->times[k], is ? WEIR_UPDATE_BEFORE : WEIR_DELETE};
    if (is) results[n++] = (struct weir_result){cell->acc, key, op->times[k], was ? WEIR_UPDATE_AFTER : WEIR_INSERT};
    return n;
}

static weir_err tell(struct aggregator *op, struct weir_ctx *ctx)
{
    uint32_t n = 0;
    for (uint32_t k = 0; k < op->groups.n; k++) {
        const struct aggregate_cell *cell = op->cells[k];
        if (cell->count < 0)
            return weir_fail(ctx->diag, WEIR_E_USER, "%s: %" PRId64 " records of a key were taken back that had not been given",
                             ctx->operator_id, -cell->count);
        n += compare_group(op, ctx, k, op->results + n);
    }
    return n ? op->aggregate->emit(ctx->out, op->results, n) : WEIR_OK;
}

static void forget_empty(struct aggregator *op, struct weir_ctx *ctx)
{
    for (uint32_t k = 0; k < op->groups.n; k++) op->counts[k] = ((struct aggregate_cell *)op->cells[k])->count;
    for (uint32_t k = 0; k < op->groups.n; k++) {
        if (op->counts[k]) continue;
        weir_set_key(ctx, op->firsts[k]);
        weir_value_clear(ctx, op->state);
    }
}

static weir_err aggregate_process(void *self, struct weir_ctx *ctx, uint32_t input, struct weir_batch *batch)
{
    struct aggregator *op = self;
    weir_err err = WEIR_OK;
    (void)input; /* one input */
    for (uint32_t from = 0; !err && from < batch->count; from += op->piece) {
        uint32_t n = batch->count - from < op->piece ? batch->count - from : op->piece;
        err = gather(op, ctx, batch, from, n);
        if (err) break;
        if (op->partials)
            err = fold_partials(op, ctx, batch, from, n);
        else
            fold_rows(op, batch, from, n);
        if (!err) err = tell(op, ctx);
        if (!err) forget_empty(op, ctx);
    }
    return err;
}

const struct weir_operator group_aggregate_operator = {
    .struct_size = sizeof(struct weir_operator),
    .name = "group-aggregate",
    .self_size = sizeof(struct aggregator),
    .flags = WEIR_OPERATOR_KEYED | WEIR_OPERATOR_RETRACTS,
    .open = aggregate_open,
    .process = aggregate_process,
    .close = aggregate_close,
};

/* ---- builders -------------------------------------------------------------------------------------------------------------------- */

bool aggregate_check(struct weir_stream *in, const char *id, const struct weir_group_aggregate *a)
{
    if (!step_check(in, id, "weir_group_aggregate", a, sizeof *a)) return false;
    if (a->add && a->emit && a->acc_size > 0 && a->acc_size <= WEIR_VALUE_MAX - sizeof(struct aggregate_cell)) return true;
    (void)weir_refuse(weir_stream_env(in), "operator %s: its aggregate needs add, emit, and an acc_size of 1 ... WEIR_VALUE_MAX - %zu", id,
                      sizeof(struct aggregate_cell));
    return false;
}

/* The step of `how` over rows, or over partials. */
static struct weir_stream *apply(struct weir_stream *in, const char *id, const struct weir_operator *how,
                                 const struct weir_group_aggregate *aggregate, bool partials)
{
    struct weir_operator table = *how;
    table.in = partials ? &partial_schema : aggregate->in;
    table.out = aggregate->out;
    if (aggregate->subtract && !partials) table.flags |= WEIR_OPERATOR_TAKES_CHANGES;
    const struct aggregate_config config = {.aggregate = aggregate, .partials = partials};
    return step_apply(in, id, &table, &config, sizeof config);
}

struct weir_stream *weir_group_aggregate(struct weir_stream *keyed, const char *id, const struct weir_group_aggregate *aggregate)
{
    return aggregate_check(keyed, id, aggregate) ? apply(keyed, id, &group_aggregate_operator, aggregate, false) : NULL;
}

struct weir_stream *weir_group_aggregate_at_end(struct weir_stream *keyed, const char *id, const struct weir_group_aggregate *aggregate)
{
    return aggregate_check(keyed, id, aggregate) ? apply(keyed, id, &end_aggregate_operator, aggregate, false) : NULL;
}

struct weir_stream *partial_merge(struct weir_stream *in, const char *id, const struct weir_group_aggregate *aggregate, bool at_end)
{
    return apply(in, id, at_end ? &end_aggregate_operator : &group_aggregate_operator, aggregate, true);
}
