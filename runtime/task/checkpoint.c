/* SPDX-License-Identifier: Apache-2.0 */
/* Performs what the aligner decides: takes the snapshot of a subtask, and sends its barrier on. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/assert.h"
#include "runtime/base/clock.h"
#include "runtime/task/subtask.h"
#include "runtime/wire/message.h"

/* ---- the parts of a snapshot ------------------------------------------------------------------------------------------------------- */

static weir_err no_memory(struct subtask *s)
{
    return weir_fail(&s->diag, WEIR_E_NOMEM, "no memory for a snapshot");
}

static weir_err take_times(const struct subtask *s, const struct op *op, struct snapshot_op *to)
{
    bool chained = s->ops[0].spec.kind == OP_SOURCE;
    to->times = calloc((size_t)op->splits.n + 1, sizeof *to->times);
    if (!to->times) return WEIR_E_NOMEM;
    to->n_times = op->splits.n;
    for (uint32_t i = 0; i < op->splits.n; i++)
        to->times[i] = (struct snapshot_time){.split = chained ? s->splits[i].index : 0, .highest = op->splits.items[i].highest};
    return WEIR_OK;
}

static weir_err take_committables(const struct op *op, struct snapshot_op *to)
{
    weir_err err = WEIR_OK;
    for (uint32_t i = 0; i < op->committables.n && !err; i++)
        err = committables_add(&to->committables, op->committables.items[i].checkpoint_id, op->committables.items[i].data);
    return err;
}

/* Of what has finished only sinks are needed again: to commit. */
static bool keeps_state(const struct op *op, bool finished)
{
    return op->keyed && (!finished || op_is_sink(op));
}

static weir_err take_op(struct subtask *s, struct op *op, struct subtask_snapshot *snapshot)
{
    struct snapshot_op *to = &snapshot->ops[snapshot->n_ops++];
    *to = (struct snapshot_op){.operator_id = op->spec.id, .watermark = op->time_out};
    weir_err err = op_prepare(op, snapshot->id);
    if (err) return err;
    if (take_committables(op, to) || (op->spec.kind == OP_WATERMARKS && take_times(s, op, to))) return no_memory(s);
    if (!keeps_state(op, snapshot->finished)) return WEIR_OK;
    err = keyed_freeze(op->keyed, snapshot->id, &to->state, s->failed_id ? NULL : &s->diag);
    return err ? op_fail(op, err) : WEIR_OK;
}

/* Where the reader stands; one that was not opened since a restore stands where it was put. */
static weir_err take_position(struct subtask *s, const struct subtask_split *split, struct snapshot_split *to)
{
    unsigned char data[WEIR_POSITION_BYTES_MAX];
    struct op *op = &s->ops[0];
    struct weir_bytes position = split->position;
    uint32_t length = 0;
    if (split->opened) {
        if (!op->spec.source->position)
            return weir_fail(&s->diag, WEIR_E_UNSUPPORTED, "source %s cannot say where it stands: no checkpoint can be taken of it",
                             op->spec.source->name);
        weir_err err = op->spec.source->position(split->self, &op->ctx, data, &length);
        if (err) return op_fail(op, err);
        if (length > sizeof data)
            return weir_fail(&s->diag, WEIR_E_LIMIT, "source %s has a position of %u bytes (WEIR_POSITION_BYTES_MAX is %u)",
                             op->spec.source->name, length, WEIR_POSITION_BYTES_MAX);
        position = (struct weir_bytes){data, length};
    }
    void *copy = malloc(position.length + 1u);
    if (!copy) return no_memory(s);
    if (position.length) memcpy(copy, position.data, position.length);
    to->position = (struct weir_bytes){copy, position.length};
    return WEIR_OK;
}

static weir_err take_splits(struct subtask *s, struct subtask_snapshot *snapshot)
{
    weir_err err = WEIR_OK;
    for (uint32_t i = 0; i < s->n_splits && !err; i++) {
        struct snapshot_split *to = &snapshot->splits[i];
        const struct split_progress *progress = &s->progress.items[i];
        *to = (struct snapshot_split){.index = s->splits[i].index, .state = progress->state, .stated = progress->stated};
        snapshot->n_splits = i + 1;
        if (to->state == SPLIT_READING) err = take_position(s, &s->splits[i], to);
    }
    return err;
}

/* Senders as they stand: all that belongs to the checkpoint is sent. Receivers as they stood at their barriers. */
static void take_ledger(const struct subtask *s, struct subtask_snapshot *snapshot)
{
    struct snapshot_ledger *to = snapshot->ledger;
    for (uint32_t e = 0; e < s->n_edges; e++) {
        for (uint32_t c = 0; c < s->edges[e].n_channels; c++) {
            const struct channel *ch = s->edges[e].channels[c];
            *to++ = (struct snapshot_ledger){.channel = ch->id, .side = LEDGER_SENDER, .counts = ch->sent};
        }
    }
    for (uint32_t i = 0; i < s->n_inputs; i++)
        *to++ = (struct snapshot_ledger){.channel = s->inputs[i].channel->id, .side = LEDGER_RECEIVER, .counts = s->inputs[i].counts};
    snapshot->n_ledger = (uint32_t)(to - snapshot->ledger);
}

/* ---- the whole --------------------------------------------------------------------------------------------------------------------- */

static struct subtask_snapshot *new_snapshot(struct subtask *s, const struct align_action *action)
{
    struct subtask_snapshot *snapshot = calloc(1, sizeof *snapshot);
    if (!snapshot) return NULL;
    *snapshot = (struct subtask_snapshot){.subtask = s,
                                          .id = action->id,
                                          .options = action->options,
                                          .vertex = s->vertex,
                                          .index = s->index,
                                          .parallelism = s->parallelism,
                                          .finished = s->checkpoints.align.finished,
                                          .align_us = action->waited_ms * 1000};
    return snapshot;
}

static weir_err fill(struct subtask *s, struct subtask_snapshot *snapshot)
{
    size_t n_ledger = s->n_inputs;
    for (uint32_t e = 0; e < s->n_edges; e++) n_ledger += s->edges[e].n_channels;
    snapshot->ops = calloc((size_t)s->n_ops + 1, sizeof *snapshot->ops);
    snapshot->splits = calloc((size_t)s->n_splits + 1, sizeof *snapshot->splits);
    snapshot->ledger = calloc(n_ledger + 1, sizeof *snapshot->ledger);
    if (!snapshot->ops || !snapshot->splits || !snapshot->ledger) return no_memory(s);
    weir_err err = WEIR_OK;
    for (uint32_t i = 0; i < s->n_ops && !err; i++) err = take_op(s, &s->ops[i], snapshot);
    if (!err) err = take_splits(s, snapshot);
    take_ledger(s, snapshot);
    return err;
}

static void hand_over(struct subtask *s, struct subtask_snapshot *snapshot)
{
    s->checkpoints.hand_over(s->checkpoints.owner, snapshot);
}

/* Says that the subtask takes no part in the checkpoint. */
static weir_err decline(struct subtask *s, const struct align_action *action, struct weir_diag why)
{
    struct subtask_snapshot *snapshot = new_snapshot(s, action);
    if (!snapshot) return no_memory(s);
    snapshot->declined = why;
    hand_over(s, snapshot);
    return WEIR_OK;
}

static bool holds_state(const struct subtask_snapshot *snapshot)
{
    for (uint32_t i = 0; i < snapshot->n_ops; i++)
        if (snapshot->ops[i].state) return true;
    return false;
}

static weir_err take_snapshot(struct subtask *s, const struct align_action *action)
{
    int64_t began_ns = clock_mono_ns();
    struct subtask_snapshot *snapshot = new_snapshot(s, action);
    if (!snapshot) return no_memory(s);
    weir_err err = fill(s, snapshot);
    if (err) {
        subtask_snapshot_destroy(&snapshot);
        return err;
    }
    snapshot->sync_us = (uint64_t)(clock_mono_ns() - began_ns) / 1000;
    s->checkpoints.n_unsettled += holds_state(snapshot);
    hand_over(s, snapshot);
    return WEIR_OK;
}

static bool wants_state(const struct subtask *s)
{
    bool any = false;
    for (uint32_t i = 0; i < s->n_ops; i++) any |= keeps_state(&s->ops[i], s->checkpoints.align.finished);
    return any;
}

/* A state is frozen once at a time: while an earlier snapshot is still being written, the checkpoint is declined and its barrier passes. */
static weir_err snapshot_or_decline(struct subtask *s, const struct align_action *action)
{
    if (s->checkpoints.n_unsettled == 0 || !wants_state(s)) return take_snapshot(s, action);
    struct weir_diag why = {0};
    (void)weir_fail(&why, WEIR_E_STATE, "the snapshot before checkpoint %" PRIu64 " is still being written", action->id);
    return decline(s, action, why);
}

static weir_err do_snapshot(struct subtask *s, const struct align_action *action)
{
    bool ended = s->checkpoints.align.finished;
    weir_err err = ended ? WEIR_OK : subtask_flush(s);
    if (!err) err = snapshot_or_decline(s, action);
    for (uint32_t e = 0; e < s->n_edges && !err && !ended; e++) err = edge_barrier(&s->edges[e], action->id, (uint16_t)action->options);
    if (!err && !ended) s->state = s->checkpoints.align.resting ? SUBTASK_RESTING : SUBTASK_RUNNING;
    return err;
}

static weir_err do_give_up(struct subtask *s, const struct align_action *action)
{
    struct weir_diag why = {0};
    (void)weir_fail(&why, WEIR_E_TIMEOUT,
                    "the barriers of checkpoint %" PRIu64 " did not all arrive within %u ms of the first (alignment timeout)", action->id,
                    s->checkpoints.options.timeout_ms);
    return decline(s, action, why);
}

weir_err subtask_align(struct subtask *s, struct align_event ev)
{
    struct align_action action;
    ev.now_ms = s->now_ms;
    align_step(&s->checkpoints.align, &ev, &action);
    switch (action.type) {
    case ALIGN_DO_NOTHING: break;
    case ALIGN_DO_SNAPSHOT: return do_snapshot(s, &action);
    case ALIGN_DO_DRAIN: s->state = SUBTASK_DRAINING; return subtask_align(s, (struct align_event){.type = ALIGN_EV_END});
    case ALIGN_DO_GIVE_UP: return do_give_up(s, &action);
    case ALIGN_DO_RESUME: s->state = SUBTASK_RUNNING; break;
    }
    return WEIR_OK;
}

/* ---- between the steps ------------------------------------------------------------------------------------------------------------- */

static weir_err judge(struct subtask *s, weir_err err)
{
    if (!err) return WEIR_OK;
    (void)op_fail(&s->ops[0], err); /* unless an operator said it first */
    s->state = SUBTASK_FAILED;
    return err;
}

void subtask_trigger(struct subtask *s, uint64_t id, uint32_t options)
{
    if (id <= s->checkpoints.trigger) return;
    s->checkpoints.trigger = id;
    s->checkpoints.trigger_options = options;
}

weir_err subtask_complete(struct subtask *s, uint64_t id)
{
    weir_err err = WEIR_OK;
    if (s->state == SUBTASK_FAILED) return s->diag.code;
    for (uint32_t i = 0; i < s->n_ops && !err; i++) err = op_commit(&s->ops[i], id);
    return judge(s, err);
}

weir_err subtask_abort(struct subtask *s, uint64_t id)
{
    if (s->state == SUBTASK_FAILED) return s->diag.code;
    return judge(s, subtask_align(s, (struct align_event){.type = ALIGN_EV_ABORT, .id = id}));
}

void subtask_settle(struct subtask_snapshot *snapshot)
{
    snapshot->subtask->checkpoints.n_unsettled -= holds_state(snapshot);
    subtask_snapshot_destroy(&snapshot);
}
