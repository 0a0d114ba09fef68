/* SPDX-License-Identifier: Apache-2.0 */
/* Gives a subtask what a checkpoint has of it, at any parallelism. */
#include <stdlib.h>
#include <string.h>

#include "runtime/task/subtask.h"

bool restore_needs(const struct keyed_file *file, uint16_t first_group, uint16_t last_group)
{
    if (file->kind == KEYED_BROADCAST || file->kind == KEYED_OPERATOR_LIST) return true;
    return file->first_group <= last_group && file->last_group >= first_group;
}

/* ---- what there is of an operator -------------------------------------------------------------------------------------------------- */

struct found {
    uint32_t n, n_finished;
    weir_time watermark; /* lowest: what all of them had reached */
};

static struct found find(const struct restore *from, const char *operator_id)
{
    struct found found = {.watermark = WEIR_TIME_MAX};
    for (uint32_t i = 0; i < from->n_ops; i++) {
        const struct restore_op *part = &from->ops[i];
        if (strcmp(part->operator_id, operator_id) != 0) continue;
        found.n++;
        found.n_finished += part->finished;
        if (part->watermark < found.watermark) found.watermark = part->watermark;
    }
    return found;
}

/* The part of the former instance that this one continues, when as many of them run now as then. */
static const struct restore_op *same_index(const struct restore *from, const struct op *op)
{
    for (uint32_t i = 0; i < from->n_ops; i++) {
        const struct restore_op *part = &from->ops[i];
        if (part->index == op->subtask->index && part->parallelism == op->subtask->parallelism &&
            strcmp(part->operator_id, op->spec.id) == 0)
            return part;
    }
    return NULL;
}

/* ---- state ------------------------------------------------------------------------------------------------------------------------- */

/* The files of a former instance that hold something for this one. */
static weir_err choose_files(const struct op *op, const struct keyed_files *all, struct keyed_files *chosen)
{
    uint32_t first, last;
    plan_key_groups(op->subtask->index, op->subtask->parallelism, &first, &last);
    *chosen = (struct keyed_files){.first_group = all->first_group, .last_group = all->last_group};
    chosen->items = calloc((size_t)all->n + 1, sizeof *chosen->items);
    if (!chosen->items) return WEIR_E_NOMEM;
    for (uint32_t i = 0; i < all->n; i++)
        if (restore_needs(&all->items[i], (uint16_t)first, (uint16_t)last)) chosen->items[chosen->n++] = all->items[i];
    return WEIR_OK;
}

static weir_err restore_state(struct op *op, const struct keyed_restore_from *parts, uint32_t n, weir_time now_ms, struct weir_diag *diag)
{
    struct subtask *s = op->subtask;
    if (n == 0) return WEIR_OK;
    if (!op->keyed && op_make_state(op)) {
        *diag = s->diag;
        return s->diag.code;
    }
    /* the clock, for times to live */
    if (keyed_safe_point(op->keyed, now_ms)) return slot_error(s->slot, diag);
    return keyed_restore(op->keyed, parts, n, s->index, s->parallelism, diag);
}

static weir_err collect_state(struct op *op, const struct restore *from, weir_time now_ms, struct weir_diag *diag)
{
    struct keyed_restore_from *parts = calloc((size_t)from->n_ops + 1, sizeof *parts);
    struct keyed_files *files = calloc((size_t)from->n_ops + 1, sizeof *files);
    uint32_t n = 0;
    weir_err err = parts && files ? WEIR_OK : weir_fail(diag, WEIR_E_NOMEM, "no memory to restore operator %s", op->spec.id);
    for (uint32_t i = 0; i < from->n_ops && !err; i++) {
        const struct restore_op *part = &from->ops[i];
        if (!part->state.files || strcmp(part->operator_id, op->spec.id) != 0) continue;
        err = choose_files(op, part->state.files, &files[n]);
        if (err) err = weir_fail(diag, err, "no memory to restore operator %s", op->spec.id);
        parts[n] = part->state;
        parts[n].files = &files[n];
        n++;
    }
    if (!err) err = restore_state(op, parts, n, now_ms, diag);
    for (uint32_t i = 0; i < n; i++) free(files[i].items);
    free(parts);
    free(files);
    return err;
}

/* ---- time -------------------------------------------------------------------------------------------------------------------------- */

/*
 * The operator begins where it stood: records that were late are late again, and windows that have fired do not fire once more. At another
 * parallelism it begins where the slowest stood. The same goes out on its edges, whose receivers know nothing yet.
 */
static void restore_time(struct op *op, weir_time watermark)
{
    op->time_in = op->time_out = op->ctx.watermark_ms = watermark;
    for (uint32_t o = 0; o < op->spec.n_outs; o++)
        for (uint32_t i = 0; i < op->outs[o].n_targets; i++)
            if (op->outs[o].targets[i].edge) op->outs[o].targets[i].edge->time_noted = watermark;
}

/* An assigner chained to a source goes on with each split; one for all inputs with the least of what was seen. */
static void restore_times(struct op *op, const struct restore *from)
{
    const struct subtask *s = op->subtask;
    bool chained = s->ops[0].spec.kind == OP_SOURCE;
    bool any = false;
    for (uint32_t i = 0; i < from->n_ops; i++) {
        const struct restore_op *part = &from->ops[i];
        if (strcmp(part->operator_id, op->spec.id) != 0) continue;
        for (uint32_t t = 0; t < part->n_times; t++) {
            if (!chained) {
                weir_time *highest = &op->splits.items[0].highest;
                if (!any || part->times[t].highest < *highest) *highest = part->times[t].highest;
                any = true;
                continue;
            }
            for (uint32_t k = 0; k < s->n_splits; k++)
                if (s->splits[k].index == part->times[t].split) op->splits.items[k].highest = part->times[t].highest;
        }
    }
}

/* ---- splits ------------------------------------------------------------------------------------------------------------------------ */

static weir_err restore_split(struct subtask *s, uint32_t i, const struct snapshot_split *from, struct weir_diag *diag)
{
    if (from->position.length > WEIR_POSITION_BYTES_MAX || from->state > SPLIT_DONE)
        return weir_fail(diag, WEIR_E_CORRUPT, "split %u of source %s: its position or state cannot be", from->index, s->ops[0].spec.id);
    subtask_set_split(s, i, from->state);
    s->progress.items[i].stated = from->stated;
    if (from->position.length == 0) return WEIR_OK;
    void *copy = malloc(from->position.length);
    if (!copy) return weir_fail(diag, WEIR_E_NOMEM, "no memory to restore source %s", s->ops[0].spec.id);
    memcpy(copy, from->position.data, from->position.length);
    free((void *)(uintptr_t)s->splits[i].position.data);
    s->splits[i].position = (struct weir_bytes){copy, from->position.length};
    return WEIR_OK;
}

static weir_err restore_splits(struct subtask *s, const struct restore *from, struct weir_diag *diag)
{
    weir_err err = WEIR_OK;
    for (uint32_t k = 0; k < from->n_splits && !err; k++) {
        const struct restore_split *part = &from->splits[k];
        if (strcmp(part->operator_id, s->ops[0].spec.id) != 0) continue;
        for (uint32_t i = 0; i < s->n_splits && !err; i++)
            if (s->splits[i].index == part->split.index) err = restore_split(s, i, &part->split, diag);
    }
    return err;
}

/* ---- the end ----------------------------------------------------------------------------------------------------------------------- */

static weir_err restore_committables(struct op *op, const struct restore *from, struct weir_diag *diag)
{
    weir_err err = WEIR_OK;
    op->restored.diag = diag;
    for (uint32_t i = 0; i < from->n_ops && !err; i++) {
        const struct restore_op *part = &from->ops[i];
        if (strcmp(part->operator_id, op->spec.id) != 0) continue;
        for (uint32_t k = 0; k < part->n_committables && !err; k++)
            err = committables_add(&op->restored, part->committables[k].checkpoint_id, part->committables[k].data);
    }
    op->restored.diag = NULL;
    return err;
}

/*
 * What had finished stays so: its inputs end again, and it says so to whoever comes behind, while nothing of it but sinks is opened. A
 * vertex that had finished in part does not stay so at another parallelism: its instances share the splits and the state of those that had
 * not finished (the others left none, and gave all they had to give), and finish anew with those.
 */
static void finish_again(struct op *op)
{
    struct subtask *s = op->subtask;
    op->finished = op->done = true;
    op->time_in = op->time_out = WEIR_TIME_MAX;
    for (uint32_t i = 0; op->spec.kind == OP_SOURCE && i < s->n_splits; i++) subtask_set_split(s, i, SPLIT_DONE);
}

static weir_err restore_op(struct op *op, const struct restore *from, weir_time now_ms, struct weir_diag *diag)
{
    struct found found = find(from, op->spec.id);
    op->ctx.restored = from->id;
    if (found.n == 0) return WEIR_OK;
    weir_err err = restore_committables(op, from, diag);
    if (err) return err;
    const struct restore_op *same = same_index(from, op);
    if (same ? same->finished : found.n_finished == found.n) {
        finish_again(op);
        return op_is_sink(op) ? collect_state(op, from, now_ms, diag) : WEIR_OK;
    }
    restore_time(op, same ? same->watermark : found.watermark);
    if (op->spec.kind == OP_WATERMARKS) restore_times(op, from);
    return op->spec.kind == OP_USER ? collect_state(op, from, now_ms, diag) : WEIR_OK;
}

weir_err subtask_restore(struct subtask *s, const struct restore *from, weir_time now_ms, struct weir_diag *diag)
{
    weir_err err = s->ops[0].spec.kind == OP_SOURCE ? restore_splits(s, from, diag) : WEIR_OK;
    for (uint32_t i = 0; i < s->n_ops && !err; i++) err = restore_op(&s->ops[i], from, now_ms, diag);
    return err;
}
