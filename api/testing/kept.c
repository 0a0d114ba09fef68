/* SPDX-License-Identifier: Apache-2.0 */
#include "api/testing/kept.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct kept {
    uint64_t id;
    char *dir;
    uint32_t n_subtasks;
    struct restore_op *ops; /* all that they point to is owned */
    uint32_t n_ops, ops_cap;
    struct restore_split *splits;
    uint32_t n_splits, splits_cap;
    struct snapshot_ledger *ledger;
    uint32_t n_ledger, ledger_cap;
};

static weir_err no_memory(struct weir_diag *diag)
{
    return weir_fail(diag, WEIR_E_NOMEM, "no memory for a checkpoint");
}

weir_err kept_new(struct kept **out, uint64_t id, const char *dir, struct weir_diag *diag)
{
    struct kept *k = calloc(1, sizeof *k);
    if (!k) return no_memory(diag);
    k->id = id;
    k->dir = strdup(dir);
    if (!k->dir) {
        free(k);
        return no_memory(diag);
    }
    *out = k;
    return WEIR_OK;
}

static void free_op(struct restore_op *op)
{
    free((void *)(uintptr_t)op->operator_id);
    if (op->state.files) keyed_files_close((struct keyed_files *)(uintptr_t)op->state.files);
    free((void *)(uintptr_t)op->state.files);
    free((void *)(uintptr_t)op->times);
    for (uint32_t i = 0; i < op->n_committables; i++) free((void *)(uintptr_t)op->committables[i].data.data);
    free((void *)(uintptr_t)op->committables);
}

void kept_destroy(struct kept **kept)
{
    struct kept *k = *kept;
    if (!k) return;
    for (uint32_t i = 0; i < k->n_ops; i++) free_op(&k->ops[i]);
    for (uint32_t i = 0; i < k->n_splits; i++) {
        free((void *)(uintptr_t)k->splits[i].operator_id);
        free((void *)(uintptr_t)k->splits[i].split.position.data);
    }
    free(k->ops);
    free(k->splits);
    free(k->ledger);
    free(k->dir);
    free(k);
    *kept = NULL;
}

/* ---- adding ------------------------------------------------------------------------------------------------------------------------ */

/* Room for one more; false: no memory. */
static bool room_for_one(void **items, uint32_t n, uint32_t *cap, size_t size)
{
    if (n < *cap) return true;
    void *grown = realloc(*items, (*cap * 2u + 16u) * size);
    if (!grown) return false;
    *items = grown;
    *cap = *cap * 2u + 16u;
    return true;
}

static void *copy_of(const void *data, size_t length)
{
    void *copy = malloc(length ? length : 1);
    if (copy && length) memcpy(copy, data, length);
    return copy;
}

static weir_err copy_committables(struct restore_op *to, const struct weir_committables *from)
{
    struct committable *items = calloc((size_t)from->n + 1, sizeof *items);
    to->committables = items;
    if (!items) return WEIR_E_NOMEM;
    for (uint32_t i = 0; i < from->n; i++) {
        items[i] = from->items[i];
        items[i].data.data = copy_of(from->items[i].data.data, from->items[i].data.length);
        if (!items[i].data.data) return WEIR_E_NOMEM;
        to->n_committables = i + 1;
    }
    return WEIR_OK;
}

static weir_err persist(const struct kept *k, struct restore_op *to, struct keyed_snapshot *state, struct weir_diag *diag)
{
    struct keyed_files *files = calloc(1, sizeof *files);
    if (!files) return no_memory(diag);
    to->state = (struct keyed_restore_from){.dir = k->dir, .files = files};
    return keyed_persist(state, k->dir, files, diag);
}

static weir_err add_op(struct kept *k, const struct subtask_snapshot *snapshot, const struct snapshot_op *from, struct weir_diag *diag)
{
    if (!room_for_one((void **)&k->ops, k->n_ops, &k->ops_cap, sizeof *k->ops)) return no_memory(diag);
    struct restore_op *to = &k->ops[k->n_ops++];
    *to = (struct restore_op){.operator_id = strdup(from->operator_id),
                              .index = snapshot->index,
                              .parallelism = snapshot->parallelism,
                              .finished = snapshot->finished,
                              .watermark = from->watermark,
                              .times = copy_of(from->times, from->n_times * sizeof *from->times),
                              .n_times = from->n_times};
    if (!to->operator_id || !to->times || copy_committables(to, &from->committables)) return no_memory(diag);
    return from->state ? persist(k, to, from->state, diag) : WEIR_OK;
}

static weir_err add_split(struct kept *k, const char *operator_id, const struct snapshot_split *from, struct weir_diag *diag)
{
    if (!room_for_one((void **)&k->splits, k->n_splits, &k->splits_cap, sizeof *k->splits)) return no_memory(diag);
    struct restore_split *to = &k->splits[k->n_splits++];
    *to = (struct restore_split){.operator_id = strdup(operator_id), .split = *from};
    to->split.position.data = copy_of(from->position.data, from->position.length);
    return to->operator_id && to->split.position.data ? WEIR_OK : no_memory(diag);
}

static weir_err add_ledger(struct kept *k, const struct snapshot_ledger *from, struct weir_diag *diag)
{
    if (!room_for_one((void **)&k->ledger, k->n_ledger, &k->ledger_cap, sizeof *k->ledger)) return no_memory(diag);
    k->ledger[k->n_ledger++] = *from;
    return WEIR_OK;
}

weir_err kept_add(struct kept *k, const struct subtask_snapshot *snapshot, struct weir_diag *diag)
{
    if (snapshot->declined.code) {
        *diag = snapshot->declined;
        return diag->code;
    }
    weir_err err = WEIR_OK;
    for (uint32_t i = 0; i < snapshot->n_ops && !err; i++) err = add_op(k, snapshot, &snapshot->ops[i], diag);
    for (uint32_t i = 0; i < snapshot->n_splits && !err; i++) err = add_split(k, snapshot->ops[0].operator_id, &snapshot->splits[i], diag);
    for (uint32_t i = 0; i < snapshot->n_ledger && !err; i++) err = add_ledger(k, &snapshot->ledger[i], diag);
    k->n_subtasks++;
    return err;
}

/* ---- using ------------------------------------------------------------------------------------------------------------------------- */

uint32_t kept_count(const struct kept *kept)
{
    return kept->n_subtasks;
}

uint64_t kept_id(const struct kept *kept)
{
    return kept->id;
}

bool kept_ledgers_agree(const struct kept *k, uint32_t *channel)
{
    for (uint32_t a = 0; a < k->n_ledger; a++) {
        bool agreed = false;
        for (uint32_t b = 0; b < k->n_ledger; b++) {
            if (k->ledger[a].channel != k->ledger[b].channel || k->ledger[a].side == k->ledger[b].side) continue;
            agreed = ledger_equal(&k->ledger[a].counts, &k->ledger[b].counts);
        }
        if (!agreed) *channel = k->ledger[a].channel;
        if (!agreed) return false;
    }
    return true;
}

struct restore kept_restore(const struct kept *kept)
{
    return (struct restore){.id = kept->id, .ops = kept->ops, .n_ops = kept->n_ops, .splits = kept->splits, .n_splits = kept->n_splits};
}
