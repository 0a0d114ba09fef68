/* SPDX-License-Identifier: Apache-2.0 */
/* The two phases of a sink, as the functions of its table have them. */
#include <inttypes.h>
#include <stdlib.h>

#include "runtime/task/subtask.h"

static bool is_user(const struct op *op)
{
    return op->spec.kind == OP_USER && op->opened;
}

/* User code that may block begins (the operator's node) and ends (-1). */
static void note_code(struct op *op, int32_t node)
{
    atomic_store_explicit(op->subtask->probe.op, node, memory_order_relaxed);
    op->may_wait = node >= 0;
}

/* The last link of the ledger: what went into the sink is what it holds. */
static weir_err check_records(struct op *op)
{
    const struct weir_committables *list = &op->committables;
    if (!list->counted || list->records == op->taken) return WEIR_OK;
    return weir_fail(op->ctx.diag, WEIR_E_STATE, "sink %s was given %" PRIu64 " records since the last checkpoint and prepared %" PRIu64,
                     op->spec.id, op->taken, list->records);
}

weir_err op_prepare(struct op *op, uint64_t checkpoint_id)
{
    if (!is_user(op) || !op->spec.table->prepare) return WEIR_OK;
    struct weir_committables *list = &op->committables;
    list->checkpoint_id = checkpoint_id;
    list->records = 0;
    list->counted = false;
    list->diag = op->ctx.diag;
    note_code(op, (int32_t)op->spec.node);
    weir_err err = op->spec.table->prepare(op->self, &op->ctx, checkpoint_id, list);
    note_code(op, -1);
    if (!err) err = check_records(op);
    op->taken = 0;
    return err ? op_fail(op, err) : WEIR_OK;
}

static weir_err commit_one(struct op *op, struct weir_bytes committable)
{
    if (!op->spec.table->commit) return WEIR_OK;
    note_code(op, (int32_t)op->spec.node);
    weir_err err = op->spec.table->commit(op->self, &op->ctx, committable);
    note_code(op, -1);
    return err ? op_fail(op, err) : WEIR_OK;
}

weir_err op_commit(struct op *op, uint64_t checkpoint_id)
{
    struct weir_committables *list = &op->committables;
    uint32_t n = 0;
    weir_err err = WEIR_OK;
    while (n < list->n && list->items[n].checkpoint_id <= checkpoint_id) {
        err = commit_one(op, list->items[n].data);
        if (err) break;
        n++;
    }
    committables_drop(list, n);
    return err;
}

void op_abort(struct op *op, uint64_t kept)
{
    const struct weir_committables *list = &op->committables;
    if (!is_user(op) || !op->spec.table->abort) return;
    note_code(op, (int32_t)op->spec.node);
    for (uint32_t i = 0; i < list->n; i++)
        if (list->items[i].checkpoint_id > kept) op->spec.table->abort(op->self, &op->ctx, list->items[i].data);
    note_code(op, -1);
}

/* Each subtask commits its share of what all former ones had prepared, so that none of it is forgotten when there are fewer of them now. */
static weir_err commit_restored(struct op *op)
{
    const struct weir_committables *list = &op->restored;
    weir_err err = WEIR_OK;
    for (uint32_t i = op->subtask->index; i < list->n && !err; i += op->subtask->parallelism) err = commit_one(op, list->items[i].data);
    return err;
}

static weir_err recover(struct op *op)
{
    const struct weir_committables *list = &op->restored;
    struct weir_bytes *kept = calloc((size_t)list->n + 1, sizeof *kept);
    if (!kept) return op_fail(op, weir_fail(op->ctx.diag, WEIR_E_NOMEM, "no memory to recover sink %s", op->spec.id));
    for (uint32_t i = 0; i < list->n; i++) kept[i] = list->items[i].data;
    note_code(op, (int32_t)op->spec.node);
    weir_err err = op->spec.table->recover(op->self, &op->ctx, kept, list->n);
    note_code(op, -1);
    free(kept);
    return err ? op_fail(op, err) : WEIR_OK;
}

weir_err op_recover(struct op *op)
{
    if (!is_user(op)) return WEIR_OK;
    weir_err err = commit_restored(op);
    if (!err && op->spec.table->recover) err = recover(op);
    committables_close(&op->restored);
    return err;
}
