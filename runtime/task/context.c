/* SPDX-License-Identifier: Apache-2.0 */
/* The functions of weir/operator.h, weir/source.h and weir/state.h that an operator calls: thin shells over op, subtask and keyed state. */
#include <string.h>

#include "runtime/base/assert.h"
#include "runtime/task/subtask.h"

/* Batches a step hands on before long emitters are asked to pause, so that one operator does not hold the thread. */
#define YIELD_BATCHES 32u

weir_time weir_now_ms(struct weir_ctx *ctx)
{
    return op_of(ctx)->subtask->now_ms;
}

bool weir_should_yield(struct weir_ctx *ctx)
{
    struct subtask *s = op_of(ctx)->subtask;
    return s->step_flushes >= YIELD_BATCHES || subtask_blocked(s);
}

void weir_count(struct weir_ctx *ctx, const char *name, uint64_t n)
{
    struct op *op = op_of(ctx);
    for (uint32_t i = 0; i < op->n_counters; i++) {
        if (op->counters[i].name != name && strcmp(op->counters[i].name, name) != 0) continue;
        op->counters[i].value += n;
        return;
    }
    if (op->n_counters == OP_COUNTERS_MAX) return; /* documented: at most 8 names */
    op->counters[op->n_counters].name = name;
    op->counters[op->n_counters++].value = n;
}

weir_err weir_source_watermark(struct weir_ctx *ctx, weir_time watermark_ms)
{
    struct op *op = op_of(ctx);
    struct subtask *s = op->subtask;
    if (op->spec.kind != OP_SOURCE) return weir_fail(ctx->diag, WEIR_E_STATE, "only a source states watermarks");
    struct split_progress *split = &s->progress.items[s->current_split];
    if (watermark_ms > split->stated) split->stated = watermark_ms;
    s->pumping = true;
    return WEIR_OK;
}

/* ---- keyed state -------------------------------------------------------------------------------------------------------------------- */

/* A handle knows its keyed state, not its operator; the current key comes with the context. */
static const struct weir_key *current_key(const struct weir_ctx *ctx)
{
    return &ctx->keys[ctx->key_index];
}

weir_err weir_value_open(struct weir_ctx *ctx, const struct weir_state_desc *desc, struct weir_state **out)
{
    struct op *op = op_of(ctx);
    if (!op->keyed) return weir_fail(ctx->diag, WEIR_E_STATE, "keyed state needs WEIR_OPERATOR_KEYED and an input that comes from key_by");
    return keyed_value_open(op->keyed, desc, out, ctx->diag);
}

void *weir_value(struct weir_ctx *ctx, struct weir_state *state)
{
    void *value = keyed_value(state, current_key(ctx));
    if (!value) (void)weir_fail(ctx->diag, WEIR_E_NOMEM, "no memory for keyed state");
    return value;
}

void *weir_value_find(struct weir_ctx *ctx, struct weir_state *state)
{
    return keyed_value_find(state, current_key(ctx));
}

struct weir_bytes weir_value_read(struct weir_ctx *ctx, struct weir_state *state)
{
    return keyed_value_read(state, current_key(ctx));
}

weir_err weir_value_write(struct weir_ctx *ctx, struct weir_state *state, const void *data, uint32_t length)
{
    weir_err err = keyed_value_write(state, current_key(ctx), data, length);
    return err ? weir_fail(ctx->diag, err, "write a value of %u bytes to keyed state", (unsigned)length) : WEIR_OK;
}

void weir_value_clear(struct weir_ctx *ctx, struct weir_state *state)
{
    keyed_value_clear(state, current_key(ctx));
}

weir_err weir_timer_set(struct weir_ctx *ctx, enum weir_time_domain domain, weir_time time_ms, uint64_t tag)
{
    struct op *op = op_of(ctx);
    if (!op->keyed) return weir_fail(ctx->diag, WEIR_E_STATE, "timers need WEIR_OPERATOR_KEYED and an input that comes from key_by");
    weir_err err = keyed_timer_set(op->keyed, current_key(ctx), domain, time_ms, tag);
    return err ? weir_fail(ctx->diag, err, "no memory for a timer") : WEIR_OK;
}

void weir_timer_delete(struct weir_ctx *ctx, enum weir_time_domain domain, weir_time time_ms, uint64_t tag)
{
    struct op *op = op_of(ctx);
    if (op->keyed) keyed_timer_delete(op->keyed, current_key(ctx), domain, time_ms, tag);
}

/* ---- pane tables ----------------------------------------------------------------------------------------------------------------------
 */

weir_err weir_table_new(struct weir_ctx *ctx, uint32_t value_size, struct weir_table **out)
{
    struct op *op = op_of(ctx);
    if (!op->keyed) return weir_fail(ctx->diag, WEIR_E_STATE, "tables need WEIR_OPERATOR_KEYED and an input that comes from key_by");
    weir_err err = keyed_table_new(op->keyed, value_size, out);
    return err ? weir_fail(ctx->diag, err, "no memory for a table") : WEIR_OK;
}

void weir_table_drop(struct weir_ctx *ctx, struct weir_table **table)
{
    keyed_table_drop(op_of(ctx)->keyed, table);
}

weir_err weir_table_probe(struct weir_ctx *ctx, struct weir_table *table, const uint32_t *idx, uint32_t n, void **values)
{
    weir_err err = keyed_table_probe(table, ctx->keys, idx, n, values);
    return err ? weir_fail(ctx->diag, err, "no memory for %u keys of a table", (unsigned)n) : WEIR_OK;
}

void *weir_table_find(struct weir_ctx *ctx, struct weir_table *table, const struct weir_key *key)
{
    (void)ctx;
    return keyed_table_find(table, key);
}

void weir_table_remove(struct weir_ctx *ctx, struct weir_table *table, const struct weir_key *key)
{
    (void)ctx;
    keyed_table_remove(table, key);
}

uint64_t weir_table_count(const struct weir_table *table)
{
    return keyed_table_count(table);
}

bool weir_table_next(const struct weir_table *table, uint64_t *cursor, struct weir_key *key, void **value)
{
    return keyed_table_next(table, cursor, key, value);
}
