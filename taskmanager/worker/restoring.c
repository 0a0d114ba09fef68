/* SPDX-License-Identifier: Apache-2.0 */
#include "taskmanager/worker/restoring.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/arena.h"
#include "runtime/base/clock.h"
#include "runtime/base/log.h"
#include "runtime/checkpoint/reader.h"

struct restoring {
    const struct checkpoint *checkpoint;
    const struct deployment *d;
    struct local_files *local;
    struct arena arena; /* of what `restore` points to */
    struct restore restore;
    struct restoring_result result;
};

static weir_err no_memory(struct weir_diag *diag)
{
    return weir_fail(diag, WEIR_E_NOMEM, "no memory to restore a checkpoint");
}

/* ---- what no operator wants -------------------------------------------------------------------------------------------------------- */

static bool has_operator(const struct deployment *d, const char *id)
{
    for (uint32_t i = 0; i < d->graph.n_nodes; i++)
        if (strcmp(d->graph.nodes[i].id, id) == 0) return true;
    return false;
}

static weir_err check_unmatched(const struct restoring *r, bool allow, struct weir_diag *diag)
{
    struct checkpoint_place at = {0};
    for (const struct pack_operator *op; (op = checkpoint_next(r->checkpoint, NULL, &at, NULL)) != NULL;) {
        if (has_operator(r->d, op->id) || !checkpoint_has_state(r->checkpoint, op->id)) continue;
        if (!allow)
            return weir_fail(diag, WEIR_E_STATE,
                             "%s has state of operator %s, which the job does not have: give a step that id, or allow state to be left "
                             "behind (--allow-unmatched)",
                             r->checkpoint->dir, op->id);
        log_warn("state of an operator that the job no longer has is left behind", "operator=%s", op->id);
    }
    return WEIR_OK;
}

/* ---- files ------------------------------------------------------------------------------------------------------------------------- */

/* Does an instance of the operator in this worker hold some of these key groups? */
static bool is_needed(const struct deployment *d, const char *operator_id, const struct keyed_file *file)
{
    for (uint32_t t = 0; t < d->n_threads; t++) {
        for (uint32_t i = 0; i < d->threads[t].n_subtasks; i++) {
            const struct subtask *s = &d->threads[t].subtasks[i];
            uint32_t first, last;
            plan_key_groups(s->index, s->parallelism, &first, &last);
            for (uint32_t o = 0; o < s->n_ops; o++)
                if (strcmp(s->ops[o].spec.id, operator_id) == 0 && restore_needs(file, (uint16_t)first, (uint16_t)last)) return true;
        }
    }
    return false;
}

/*
 * A local copy of a file, or none: one that is not what it should be goes. It is read only when the storage has bytes of its own; a link to
 * the same ones proves nothing, and whoever reads it next compares its checksum.
 */
static bool is_here(const struct restoring *r, const char *content, const struct files_seal *seal, const char *path)
{
    struct stat here, there;
    char stored[PATH_MAX];
    struct weir_diag diag;
    if (stat(path, &here) != 0) return false;
    if (layout_join(r->checkpoint->files, content, stored, NULL)) return false;
    bool same = stat(stored, &there) == 0 && there.st_dev == here.st_dev && there.st_ino == here.st_ino;
    if (same || files_verify(path, seal, &diag) == WEIR_OK) return true;
    log_warn("a local copy is not used", "reason=\"%s\"", diag.text);
    (void)unlink(path);
    return false;
}

static weir_err fetch(struct restoring *r, const struct pack_file *file, struct weir_diag *diag)
{
    char path[PATH_MAX];
    const struct files_seal seal = {.bytes = file->bytes, .crc32c = file->crc32c};
    if (local_files_find(r->local, file->content)) return WEIR_OK; /* another operator's, with the same bytes; or for two instances */
    weir_err err = layout_join(local_files_dir(r->local), file->content, path, diag);
    if (err) return err;
    bool here = is_here(r, file->content, &seal, path);
    if (!here) err = files_fetch(r->checkpoint->files, file->content, &seal, local_files_dir(r->local), diag);
    struct local_file *noted = err ? NULL : local_files_need(r->local, file->content, r->restore.id);
    if (err || !noted) return err ? err : no_memory(diag);
    (void)strcpy(noted->content, file->content);
    r->result.n_files++;
    r->result.bytes += file->bytes;
    r->result.from_local_bytes += here ? file->bytes : 0;
    return WEIR_OK;
}

/* A file that travelled in the pack becomes one again. */
static weir_err unpack(struct restoring *r, const struct pack_file *file, const char *name, struct weir_diag *diag)
{
    char path[PATH_MAX];
    weir_err err = layout_join(local_files_dir(r->local), name, path, diag);
    if (err) return err;
    if (!local_files_need(r->local, name, r->restore.id)) return no_memory(diag);
    (void)unlink(path); /* an earlier attempt's, whose bytes others may have linked */
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) return weir_fail_errno(diag, errno, "make %s", path);
    ssize_t n = write(fd, file->inlined.data, file->inlined.length);
    if (n != (ssize_t)file->inlined.length) err = weir_fail_errno(diag, n < 0 ? errno : ENOSPC, "write %s", path);
    if (close(fd) != 0 && !err) err = weir_fail_errno(diag, errno, "write %s", path);
    r->result.n_files++;
    r->result.bytes += file->bytes;
    return err;
}

/* ---- states ------------------------------------------------------------------------------------------------------------------------ */

static weir_err add_file(struct restoring *r, const struct pack_operator *op, const struct pack_state *state, const struct pack_file *from,
                         struct keyed_files *to, struct weir_diag *diag)
{
    struct keyed_file *file = &to->items[to->n++];
    *file = (struct keyed_file){.kind = (enum keyed_kind)state->kind,
                                .value_size = state->value_size,
                                .first_group = from->first_group,
                                .last_group = from->last_group,
                                .epoch = from->epoch,
                                .bytes = from->bytes,
                                .entries = from->entries,
                                .crc32c = from->crc32c};
    (void)snprintf(file->state, sizeof file->state, "%s", state->name);
    if (from->content[0])
        (void)snprintf(file->name, sizeof file->name, "%s", from->content);
    else
        (void)snprintf(file->name, sizeof file->name, "inlined-%u", (unsigned)local_files_count(r->local));
    if (!is_needed(r->d, op->id, file)) return WEIR_OK;
    return from->content[0] ? fetch(r, from, diag) : unpack(r, from, file->name, diag);
}

/* What they were declared with: a job that declares them otherwise is refused when it opens them. */
static weir_err describe_states(struct restoring *r, const struct pack_operator *op, struct keyed_restore_from *to, struct weir_diag *diag)
{
    struct keyed_state_info *states = arena_alloc(&r->arena, op->n_states, sizeof *states);
    if (!states) return no_memory(diag);
    for (uint32_t i = 0; i < op->n_states; i++) {
        const struct pack_state *from = &op->states[i];
        states[i] = (struct keyed_state_info){.kind = (enum keyed_kind)from->kind,
                                              .value_size = from->value_size,
                                              .element_size = from->element_size,
                                              .ttl_ms = from->ttl_ms,
                                              .namespaced = from->namespaced,
                                              .value = from->value.n_fields ? &from->value : NULL,
                                              .user_key = from->user_key.n_fields ? &from->user_key : NULL};
        (void)snprintf(states[i].name, sizeof states[i].name, "%s", from->name);
    }
    to->states = states;
    to->n_states = op->n_states;
    return WEIR_OK;
}

static weir_err add_states(struct restoring *r, const struct pack_operator *op, struct restore_op *to, struct weir_diag *diag)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < op->n_states; i++) n += op->states[i].n_files;
    if (n == 0) return WEIR_OK;
    struct keyed_files *files = arena_alloc(&r->arena, 1, sizeof *files);
    if (files) files->items = arena_alloc(&r->arena, n, sizeof *files->items);
    if (r->arena.failed) return no_memory(diag);
    files->cap = n;
    files->first_group = op->first_group;
    files->last_group = op->last_group;
    weir_err err = WEIR_OK;
    for (uint32_t i = 0; i < op->n_states; i++)
        for (uint32_t k = 0; k < op->states[i].n_files && !err; k++)
            err = add_file(r, op, &op->states[i], &op->states[i].files[k], files, diag);
    to->state = (struct keyed_restore_from){.dir = local_files_dir(r->local), .files = files};
    return err ? err : describe_states(r, op, &to->state, diag);
}

/* ---- all else ---------------------------------------------------------------------------------------------------------------------- */

static void add_times(struct restoring *r, const struct pack_operator *op, struct restore_op *to)
{
    struct snapshot_time *times = arena_alloc(&r->arena, op->n_times, sizeof *times);
    for (uint32_t i = 0; i < op->n_times && times; i++)
        times[i] = (struct snapshot_time){.split = op->times[i].split, .highest = op->times[i].highest};
    to->times = times;
    to->n_times = times ? op->n_times : 0;
}

static void add_committables(struct restoring *r, const struct pack_operator *op, struct restore_op *to)
{
    struct committable *items = arena_alloc(&r->arena, op->n_committables, sizeof *items);
    for (uint32_t i = 0; i < op->n_committables && items; i++)
        items[i] = (struct committable){.checkpoint_id = op->committables[i].checkpoint_id, .data = op->committables[i].data};
    to->committables = items;
    to->n_committables = items ? op->n_committables : 0;
}

static enum split_state state_of(enum pack_split_status status)
{
    switch (status) {
    case PACK_SPLIT_NEW: return SPLIT_WAITING;
    case PACK_SPLIT_OPEN: return SPLIT_READING;
    case PACK_SPLIT_DONE: return SPLIT_DONE;
    }
    return SPLIT_WAITING;
}

static void add_splits(const struct pack_operator *op, struct restore_split *splits, uint32_t *n)
{
    for (uint32_t i = 0; i < op->n_splits; i++) {
        const struct pack_split *split = &op->splits[i];
        splits[(*n)++] = (struct restore_split){
            .operator_id = op->id,
            .split = {.index = split->index, .state = state_of(split->status), .stated = split->watermark_ms, .position = split->position}};
    }
}

static weir_err add_operators(struct restoring *r, struct restore_op *ops, struct restore_split *splits, struct weir_diag *diag)
{
    const struct pack_subtask *subtask;
    struct checkpoint_place at = {0};
    weir_err err = WEIR_OK;
    for (const struct pack_operator *op; !err && (op = checkpoint_next(r->checkpoint, NULL, &at, &subtask)) != NULL;) {
        struct restore_op *to = &ops[r->restore.n_ops++];
        *to = (struct restore_op){.operator_id = op->id,
                                  .index = subtask->index,
                                  .parallelism = subtask->parallelism,
                                  .finished = op->finished,
                                  .watermark = op->watermark_ms};
        add_times(r, op, to);
        add_committables(r, op, to);
        add_splits(op, splits, &r->restore.n_splits);
        err = add_states(r, op, to, diag);
    }
    if (!err && r->arena.failed) err = no_memory(diag);
    return err;
}

/* `restore` as the subtasks want it, and the files that they need. */
static weir_err gather(struct restoring *r, struct weir_diag *diag)
{
    struct checkpoint_place at = {0};
    size_t n_ops = 0, n_splits = 0;
    for (const struct pack_operator *op; (op = checkpoint_next(r->checkpoint, NULL, &at, NULL)) != NULL; n_ops++) n_splits += op->n_splits;
    struct restore_op *ops = arena_alloc(&r->arena, n_ops, sizeof *ops);
    struct restore_split *splits = arena_alloc(&r->arena, n_splits, sizeof *splits);
    if (r->arena.failed) return no_memory(diag);
    r->restore.ops = ops;
    r->restore.splits = splits;
    return add_operators(r, ops, splits, diag);
}

static weir_err give_back(const struct restoring *r, struct deployment *d, struct weir_diag *diag)
{
    weir_time now_ms = clock_wall_ms();
    weir_err err = WEIR_OK;
    for (uint32_t t = 0; t < d->n_threads && !err; t++)
        for (uint32_t i = 0; i < d->threads[t].n_subtasks && !err; i++)
            err = subtask_restore(&d->threads[t].subtasks[i], &r->restore, now_ms, diag);
    return err;
}

weir_err restoring_run(const struct wire_msg *deploy, struct deployment *d, struct local_files *local, struct restoring_result *out,
                       struct weir_diag *diag)
{
    struct checkpoint *checkpoint;
    const struct files_seal seal = {.bytes = deploy->deploy.restore.bytes, .crc32c = deploy->deploy.restore.crc32c};
    weir_err err = checkpoint_open(&checkpoint, deploy->deploy.restore.path, &seal, diag);
    if (err) return weir_wrap(diag, err, "restore");
    struct restoring r = {.checkpoint = checkpoint, .d = d, .local = local, .restore = {.id = deploy->deploy.restore.id}};
    err = check_unmatched(&r, deploy->deploy.restore.allow_unmatched != 0, diag);
    if (!err) err = gather(&r, diag);
    if (!err) err = give_back(&r, d, diag);
    if (!err) local_files_release(local, 0, true); /* what earlier attempts left and nobody needs */
    arena_close(&r.arena);
    checkpoint_close(&checkpoint);
    if (err) return weir_wrap(diag, err, "restore");
    *out = r.result;
    return WEIR_OK;
}
