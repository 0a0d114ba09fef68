/* SPDX-License-Identifier: Apache-2.0 */
/* Snapshots: a checkpoint as a job takes it, with barriers through the whole graph, and its way back at any parallelism. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/testing/harness.h"
#include "api/testing/kept.h"
#include "runtime/base/folder.h"

struct weir_harness_snapshot {
    struct home *home;
    struct kept *kept;
};

struct home *harness_snapshot_home(const struct weir_harness_snapshot *from)
{
    return from->home;
}

void weir_harness_snapshot_destroy(struct weir_harness_snapshot **snapshot)
{
    struct weir_harness_snapshot *s = *snapshot;
    if (!s) return;
    kept_destroy(&s->kept);
    home_release(&s->home);
    free(s);
    *snapshot = NULL;
}

/* ---- taking ---------------------------------------------------------------------------------------------------------------------- */

static weir_err trigger(struct weir_harness *h, struct subtask *s, void *arg)
{
    (void)arg;
    s->checkpoints.on = true; /* from here on sinks prepare with snapshots */
    subtask_trigger(s, h->home->epoch, 0);
    return WEIR_OK;
}

/* Within the step that made it, which may wait until its state is persisted. */
static void take_snapshot(void *owner, struct subtask_snapshot *snapshot)
{
    struct weir_harness *h = owner;
    if (snapshot->subtask->slot) (void)slot_copy(snapshot->subtask->slot, UINT64_MAX);
    weir_err err = kept_add(h->taking, snapshot, &h->failure);
    if (err && !h->failed) h->failed = err;
    snapshot->next = h->persisted;
    h->persisted = snapshot;
}

void harness_watch_snapshots(struct weir_harness *h, struct subtask *s)
{
    s->checkpoints.hand_over = take_snapshot;
    s->checkpoints.owner = h;
}

static void settle(struct weir_harness *h)
{
    for (struct subtask_snapshot *s; (s = h->persisted);) {
        h->persisted = s->next;
        subtask_settle(s);
    }
}

static weir_err count(struct weir_harness *h, struct subtask *s, void *n)
{
    (void)h, (void)s;
    ++*(uint32_t *)n;
    return WEIR_OK;
}

static weir_err collect(struct weir_harness *h, struct kept *kept)
{
    uint32_t n = 0, channel;
    weir_err err = harness_each(h, count, &n);
    h->n_rounds = 0;
    h->taking = kept;
    while (!err && kept_count(kept) < n) {
        err = harness_round(h);
        settle(h);
        if (!err) err = h->failed;
        if (err) h->diag = h->failure;
    }
    h->taking = NULL;
    if (err || kept_ledgers_agree(kept, &channel)) return err;
    return weir_fail(&h->diag, WEIR_E_STATE, "the two ends of channel %u tell different things of what went over it", channel);
}

weir_err harness_checkpoint(struct weir_harness *h, struct kept **out)
{
    char dir[PATH_MAX];
    struct kept *kept = NULL;
    (void)snprintf(dir, sizeof dir, "%s/snapshots", h->home->path);
    weir_err err = folder_make(dir, &h->diag);
    if (!err) err = kept_new(&kept, ++h->home->epoch, dir, &h->diag);
    if (err) return err;
    h->checkpointed = true;
    (void)harness_each(h, trigger, NULL);
    err = collect(h, kept);
    if (err)
        kept_destroy(&kept);
    else
        *out = kept;
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
    err = harness_checkpoint(h, &s->kept);
    if (err)
        weir_harness_snapshot_destroy(&s);
    else
        *out = s;
    return err;
}

static weir_err complete(struct weir_harness *h, struct subtask *s, void *arg)
{
    (void)arg;
    return subtask_complete(s, h->home->epoch) ? harness_fail(h, s) : WEIR_OK;
}

weir_err weir_harness_complete(struct weir_harness *h)
{
    weir_err err = h->failed ? h->failed : harness_each(h, complete, NULL);
    if (err) h->diag = h->failure;
    return err;
}

/* ---- restoring ------------------------------------------------------------------------------------------------------------------- */

static weir_err restore_subtask(struct weir_harness *h, struct subtask *s, void *from)
{
    return subtask_restore(s, from, h->now_ms, &h->diag);
}

static const struct graph_node *find_node(const struct weir_harness *h, const char *id)
{
    for (uint32_t i = 0; i < h->d->graph.n_nodes; i++)
        if (strcmp(h->d->graph.nodes[i].id, id) == 0) return &h->d->graph.nodes[i];
    return NULL;
}

/* An input that had ended has ended. */
static void end_inputs(struct weir_harness *h, const struct restore *from)
{
    for (uint32_t i = 0; i < from->n_splits; i++)
        for (uint32_t k = 0; k < h->n_inputs; k++)
            if (from->splits[i].split.state == SPLIT_DONE &&
                strcmp(from->splits[i].operator_id, h->d->graph.nodes[h->inputs[k].node].id) == 0)
                h->inputs[k].ended = true;
}

weir_err harness_restore(struct weir_harness *h, const struct weir_harness_snapshot *snapshot)
{
    struct restore from = kept_restore(snapshot->kept);
    for (uint32_t i = 0; i < from.n_ops && !h->options.allow_lost_state; i++) {
        const struct restore_op *part = &from.ops[i];
        if (!part->state.files || part->state.files->n == 0 || find_node(h, part->operator_id)) continue;
        return weir_fail(&h->diag, WEIR_E_STATE,
                         "the snapshot has state of operator %s, which the graph does not have: give a step that id, or set "
                         "allow_lost_state",
                         part->operator_id);
    }
    end_inputs(h, &from);
    h->checkpointed = true;
    return harness_each(h, restore_subtask, &from);
}
