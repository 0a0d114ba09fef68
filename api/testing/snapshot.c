/* SPDX-License-Identifier: Apache-2.0 */
/* Snapshots: what the state layer of every operator instance freezes, and its way back at any parallelism. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/testing/harness.h"
#include "runtime/base/folder.h"

/* One operator instance's. */
struct part {
    char operator_id[WEIR_NAME_MAX + 1];
    struct keyed_files files;
};

struct weir_harness_snapshot {
    struct home *home;
    char dir[PATH_MAX]; /* in it; the files of all snapshots */
    uint32_t n, cap;
    struct part *parts; /* of an operator in the order of its subtasks */
};

struct home *harness_snapshot_home(const struct weir_harness_snapshot *from)
{
    return from->home;
}

void weir_harness_snapshot_destroy(struct weir_harness_snapshot **snapshot)
{
    struct weir_harness_snapshot *s = *snapshot;
    if (!s) return;
    for (uint32_t i = 0; i < s->n; i++) keyed_files_close(&s->parts[i].files);
    home_release(&s->home);
    free(s->parts);
    free(s);
    *snapshot = NULL;
}

/* ---- taking ---------------------------------------------------------------------------------------------------------------------- */

static weir_err add_part(struct weir_harness *h, struct weir_harness_snapshot *to, const struct op *op)
{
    struct keyed_snapshot *frozen = NULL;
    if (to->n == to->cap) {
        struct part *grown = realloc(to->parts, (to->cap * 2u + 8u) * sizeof *grown);
        if (!grown) return weir_fail(&h->diag, WEIR_E_NOMEM, "no memory for a snapshot");
        to->parts = grown;
        to->cap = to->cap * 2 + 8;
    }
    struct part *part = &to->parts[to->n];
    weir_err err = keyed_freeze(op->keyed, h->home->epoch, &frozen, &h->diag);
    if (!err) err = keyed_persist(frozen, to->dir, &part->files, &h->diag);
    keyed_snapshot_destroy(&frozen);
    if (err) return err;
    (void)snprintf(part->operator_id, sizeof part->operator_id, "%s", op->spec.id);
    to->n++;
    return WEIR_OK;
}

static weir_err add_subtask(struct weir_harness *h, struct subtask *s, void *to)
{
    weir_err err = WEIR_OK;
    for (uint32_t i = 0; i < s->n_ops && !err; i++)
        if (s->ops[i].keyed) err = add_part(h, to, &s->ops[i]);
    return err;
}

weir_err weir_harness_snapshot(struct weir_harness *h, struct weir_harness_snapshot **out)
{
    if (h->finished) return weir_fail(&h->diag, WEIR_E_STATE, "the harness has finished: a snapshot is taken before");
    weir_err err = harness_settle(h);
    if (err) return err;
    struct weir_harness_snapshot *s = calloc(1, sizeof *s);
    if (!s) return weir_fail(&h->diag, WEIR_E_NOMEM, "no memory for a snapshot");
    s->home = h->home;
    s->home->n_keepers++;
    s->home->epoch++;
    (void)snprintf(s->dir, sizeof s->dir, "%s/snapshots", h->home->path);
    err = folder_make(s->dir, &h->diag);
    if (!err) err = harness_each(h, add_subtask, s);
    if (err)
        weir_harness_snapshot_destroy(&s);
    else
        *out = s;
    return err;
}

/* ---- restoring ------------------------------------------------------------------------------------------------------------------- */

/* The parts of one operator, from all of its instances. */
static uint32_t parts_of(const struct weir_harness_snapshot *from, const char *operator_id, struct keyed_restore_from *parts)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < from->n; i++)
        if (strcmp(from->parts[i].operator_id, operator_id) == 0)
            parts[n++] = (struct keyed_restore_from){.dir = from->dir, .files = &from->parts[i].files};
    return n;
}

static weir_err restore_op(struct weir_harness *h, struct op *op, const struct weir_harness_snapshot *from)
{
    struct subtask *s = op->subtask;
    struct keyed_restore_from *parts = calloc((size_t)from->n + 1, sizeof *parts);
    if (!parts) return weir_fail(&h->diag, WEIR_E_NOMEM, "no memory to restore a snapshot");
    uint32_t n = parts_of(from, op->spec.id, parts);
    weir_err err = WEIR_OK;
    if (n && !op->keyed && op_make_state(op)) {
        h->diag = s->diag;
        err = s->diag.code;
    }
    if (n && !err) {
        err = keyed_safe_point(op->keyed, h->now_ms); /* the clock, for times to live */
        if (err) (void)slot_error(s->slot, &h->diag);
        if (!err) err = keyed_restore(op->keyed, parts, n, s->index, s->parallelism, &h->diag);
    }
    free(parts);
    return err;
}

static weir_err restore_subtask(struct weir_harness *h, struct subtask *s, void *from)
{
    weir_err err = WEIR_OK;
    for (uint32_t i = 0; i < s->n_ops && !err; i++)
        if (s->ops[i].spec.kind == OP_USER) err = restore_op(h, &s->ops[i], from);
    return err;
}

static bool has_operator(const struct weir_harness *h, const char *id)
{
    for (uint32_t i = 0; i < h->d->graph.n_nodes; i++)
        if (strcmp(h->d->graph.nodes[i].id, id) == 0) return true;
    return false;
}

weir_err harness_restore(struct weir_harness *h, const struct weir_harness_snapshot *from)
{
    for (uint32_t i = 0; i < from->n && !h->options.allow_lost_state; i++) {
        if (from->parts[i].files.n == 0 || has_operator(h, from->parts[i].operator_id)) continue;
        return weir_fail(&h->diag, WEIR_E_STATE,
                         "the snapshot has state of operator %s, which the graph does not have: give a step that id, or set "
                         "allow_lost_state",
                         from->parts[i].operator_id);
    }
    return harness_each(h, restore_subtask, (void *)(uintptr_t)from);
}
