/* SPDX-License-Identifier: Apache-2.0 */
/* The functions of weir/operator.h and weir/source.h that an operator calls: thin shells over op and subtask. Those of weir/state.h:
 * state.c. */
#include <string.h>

#include "runtime/base/assert.h"
#include "runtime/task/state.h"
#include "runtime/task/subtask.h"

weir_time weir_now_ms(struct weir_ctx *ctx)
{
    return op_of(ctx)->subtask->now_ms;
}

bool weir_should_yield(struct weir_ctx *ctx)
{
    struct subtask *s = op_of(ctx)->subtask;
    return s->step_flushes >= s->yield_flushes || subtask_blocked(s);
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

weir_err weir_ctx_coord(struct weir_ctx *ctx, struct weir_coord **out)
{
    struct op *op = op_of(ctx);
    const struct task_coord *coord = op->subtask->coord;
    if (!coord)
        return weir_fail(ctx->diag, WEIR_E_UNSUPPORTED,
                         "there is no coordination here: operators reach it in a cluster, or by jobctl run --local");
    if (!coord->servers || !coord->servers[0])
        return weir_fail(
            ctx->diag, WEIR_E_UNREACHABLE,
            "the JobManager has told no endpoint for clients of the coordination: give it coordination.client-bind, or CLIENT in "
            "coordination.peers");
    weir_err err = op->coord ? WEIR_OK : coord->open(&op->coord, coord->servers, &op->may_wait, ctx->diag);
    if (!err) *out = op->coord;
    return err ? weir_wrap(ctx->diag, err, "open a coordination client of %s", coord->servers) : WEIR_OK;
}

/* ---- what state.c asks -----------------------------------------------------------------------------------------------------------------
 */

struct keyed *host_state(struct weir_ctx *ctx, enum state_need need)
{
    struct op *op = op_of(ctx);
    if (need == STATE_KEYED && !op->keys) {
        (void)weir_fail(ctx->diag, WEIR_E_STATE, "keyed state needs WEIR_OPERATOR_KEYED and an input that comes from key_by");
        return NULL;
    }
    return op->keyed || !op_make_state(op) ? op->keyed : NULL;
}

struct state_slot *host_slot(struct weir_ctx *ctx)
{
    return op_of(ctx)->subtask->slot;
}
