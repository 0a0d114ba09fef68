/* SPDX-License-Identifier: Apache-2.0 */
#include "taskmanager/worker/checkpoint_part.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/plan/plan.h"

/* ---- what is copied ---------------------------------------------------------------------------------------------------------------- */

static enum pack_split_status status_of(enum split_state state)
{
    switch (state) {
    case SPLIT_WAITING: return PACK_SPLIT_NEW;
    case SPLIT_READING: return PACK_SPLIT_OPEN;
    case SPLIT_DONE: return PACK_SPLIT_DONE;
    }
    return PACK_SPLIT_NEW;
}

static void copy_splits(struct checkpoint_part *p, const struct subtask_snapshot *from, struct pack_operator *to)
{
    to->splits = arena_alloc(&p->arena, from->n_splits, sizeof *to->splits);
    for (uint32_t i = 0; i < from->n_splits && !p->arena.failed; i++) {
        const struct snapshot_split *split = &from->splits[i];
        to->splits[to->n_splits++] = (struct pack_split){.index = split->index,
                                                         .status = status_of(split->state),
                                                         .watermark_ms = split->stated,
                                                         .position = arena_bytes(&p->arena, split->position)};
    }
}

static void copy_times(struct checkpoint_part *p, const struct snapshot_op *from, struct pack_operator *to)
{
    to->times = arena_alloc(&p->arena, from->n_times, sizeof *to->times);
    for (uint32_t i = 0; i < from->n_times && to->times; i++)
        to->times[to->n_times++] = (struct pack_time){.split = from->times[i].split, .highest = from->times[i].highest};
}

static void copy_committables(struct checkpoint_part *p, const struct snapshot_op *from, struct pack_operator *to)
{
    to->committables = arena_alloc(&p->arena, from->committables.n, sizeof *to->committables);
    for (uint32_t i = 0; i < from->committables.n && !p->arena.failed; i++) {
        const struct committable *item = &from->committables.items[i];
        to->committables[to->n_committables++] =
            (struct pack_committable){.checkpoint_id = item->checkpoint_id, .data = arena_bytes(&p->arena, item->data)};
    }
}

static void copy_ledger(struct checkpoint_part *p, const struct subtask_snapshot *from)
{
    p->ledger = arena_alloc(&p->arena, from->n_ledger, sizeof *p->ledger);
    if (!p->ledger) return;
    if (from->n_ledger) memcpy(p->ledger, from->ledger, from->n_ledger * sizeof *p->ledger);
    p->n_ledger = from->n_ledger;
}

/* ---- state ------------------------------------------------------------------------------------------------------------------------- */

static void describe_states(struct checkpoint_part *p, const struct keyed_snapshot *state, struct pack_operator *to)
{
    uint32_t n = 0;
    while (keyed_snapshot_state(state, n)) n++;
    to->states = arena_alloc(&p->arena, n, sizeof *to->states);
    for (uint32_t i = 0; i < n && !p->arena.failed; i++) {
        const struct keyed_state_info *info = keyed_snapshot_state(state, i);
        struct pack_state *s = &to->states[to->n_states++];
        *s = (struct pack_state){.name = arena_text(&p->arena, info->name),
                                 .kind = (uint32_t)info->kind,
                                 .value_size = info->value_size,
                                 .element_size = info->element_size,
                                 .ttl_ms = info->ttl_ms,
                                 .namespaced = info->namespaced};
        if (info->value) s->value = *info->value; /* the plugin's, which stays */
        if (info->user_key) s->user_key = *info->user_key;
    }
    const struct weir_field *key = keyed_snapshot_key(state);
    if (key) to->key = *key;
}

static bool is_of(const struct keyed_file *file, const struct pack_state *state)
{
    return (uint32_t)file->kind == state->kind && strcmp(file->state, state->name) == 0;
}

/* The files of one state, in the order of the list. */
static void list_files(struct checkpoint_part *p, const struct keyed_files *files, struct pack_state *to)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < files->n; i++) n += is_of(&files->items[i], to);
    to->files = arena_alloc(&p->arena, n, sizeof *to->files);
    for (uint32_t i = 0; i < files->n && to->files; i++) {
        const struct keyed_file *file = &files->items[i];
        if (!is_of(file, to)) continue;
        struct part_file *at = &p->files[p->n_files++];
        at->file = &to->files[to->n_files++];
        (void)snprintf(at->name, sizeof at->name, "%s", file->name);
        *at->file = (struct pack_file){.first_group = file->first_group,
                                       .last_group = file->last_group,
                                       .epoch = file->epoch,
                                       .bytes = file->bytes,
                                       .entries = file->entries,
                                       .crc32c = file->crc32c};
    }
}

static weir_err note_files(const struct keyed_files *files, uint64_t id, struct local_files *local)
{
    for (uint32_t i = 0; i < files->n; i++)
        if (!local_files_need(local, files->items[i].name, id)) return WEIR_E_NOMEM;
    return WEIR_OK;
}

/* Room for so many more: the files of all operators stand in one array. */
static void grow_files(struct checkpoint_part *p, uint32_t n)
{
    struct part_file *files = arena_alloc(&p->arena, (size_t)p->n_files + n, sizeof *files);
    if (files && p->n_files) memcpy(files, p->files, p->n_files * sizeof *files);
    p->files = files;
}

static weir_err persist(struct checkpoint_part *p, struct keyed_snapshot *state, struct pack_operator *to, struct local_files *local,
                        struct weir_diag *diag)
{
    struct keyed_files files = {0};
    weir_err err = keyed_persist(state, local_files_dir(local), &files, diag);
    if (err) return err;
    if (files.step_us > p->sync_us) p->sync_us = files.step_us;
    describe_states(p, state, to);
    grow_files(p, files.n);
    for (uint32_t i = 0; i < to->n_states && !p->arena.failed; i++) list_files(p, &files, &to->states[i]);
    to->first_group = files.first_group;
    to->last_group = files.last_group;
    if (p->arena.failed || note_files(&files, p->id, local)) err = weir_fail(diag, WEIR_E_NOMEM, "no memory for a checkpoint");
    keyed_files_close(&files);
    return err;
}

/* ---- the whole --------------------------------------------------------------------------------------------------------------------- */

static weir_err add_operator(struct checkpoint_part *p, const struct subtask_snapshot *from, uint32_t i, struct local_files *local,
                             struct weir_diag *diag)
{
    const struct snapshot_op *op = &from->ops[i];
    struct pack_operator *to = &p->subtask.operators[p->subtask.n_operators++];
    uint32_t first, last;
    plan_key_groups(from->index, from->parallelism, &first, &last);
    *to = (struct pack_operator){.id = op->operator_id,
                                 .finished = from->finished,
                                 .watermark_ms = op->watermark,
                                 .first_group = (uint16_t)first,
                                 .last_group = (uint16_t)last};
    copy_times(p, op, to);
    copy_committables(p, op, to);
    if (i == 0) copy_splits(p, from, to);
    return op->state ? persist(p, op->state, to, local, diag) : WEIR_OK;
}

weir_err checkpoint_part_new(struct checkpoint_part **out, const struct subtask_snapshot *snapshot, struct local_files *local,
                             struct weir_diag *diag)
{
    struct checkpoint_part *p = calloc(1, sizeof *p);
    if (!p) return weir_fail(diag, WEIR_E_NOMEM, "no memory for a checkpoint");
    p->id = snapshot->id;
    p->sync_us = snapshot->sync_us;
    p->align_us = snapshot->align_us;
    p->subtask = (struct pack_subtask){
        .vertex = snapshot->vertex, .index = snapshot->index, .parallelism = snapshot->parallelism, .finished = snapshot->finished};
    p->subtask.operators = arena_alloc(&p->arena, snapshot->n_ops, sizeof *p->subtask.operators);
    copy_ledger(p, snapshot);
    weir_err err = p->arena.failed ? weir_fail(diag, WEIR_E_NOMEM, "no memory for a checkpoint") : WEIR_OK;
    for (uint32_t i = 0; i < snapshot->n_ops && !err; i++) err = add_operator(p, snapshot, i, local, diag);
    if (!err && p->arena.failed) err = weir_fail(diag, WEIR_E_NOMEM, "no memory for a checkpoint");
    if (err) {
        checkpoint_part_destroy(&p);
        return err;
    }
    *out = p;
    return WEIR_OK;
}

void checkpoint_part_destroy(struct checkpoint_part **part)
{
    struct checkpoint_part *p = *part;
    *part = NULL;
    if (!p) return;
    arena_close(&p->arena);
    free(p);
}
