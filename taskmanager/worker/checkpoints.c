/* SPDX-License-Identifier: Apache-2.0 */
#include "taskmanager/worker/checkpoints.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/assert.h"
#include "runtime/base/log.h"

#define ROUND_STEPS 4 /* of a thread's counter: the end of the round that runs, and a whole one in which it reads its mail */

weir_err checkpoints_init(struct checkpoints *c, const struct checkpoints_owner *owner, const struct wire_msg *deploy, struct deployment *d,
                          const char *local_dir, struct weir_diag *diag)
{
    *c = (struct checkpoints){.owner = *owner, .deploy = deploy, .d = d};
    for (uint32_t t = 0; t < d->n_threads; t++) c->core.n_subtasks += d->threads[t].n_subtasks;
    bool any = *deploy->deploy.checkpoint.dir || deploy->deploy.restore.id;
    if (!any) return WEIR_OK;
    if (!local_dir) return weir_fail(diag, WEIR_E_CORRUPT, "a job with checkpoints, and no folder for local copies");
    const struct snapshot_thread_config config = {.job_dir = deploy->deploy.checkpoint.dir,
                                                  .local_dir = local_dir,
                                                  .restores = deploy->deploy.restore.id != 0,
                                                  .job = deploy->job,
                                                  .attempt = deploy->attempt,
                                                  .worker = deploy->deploy.worker,
                                                  .net = &d->wake};
    return snapshot_thread_start(&c->thread, &config, diag);
}

void checkpoints_close(struct checkpoints *c)
{
    snapshot_thread_stop(&c->thread);
    free(c->dir);
    *c = (struct checkpoints){0};
}

static void no_memory(struct checkpoints *c)
{
    c->owner.fail(c->owner.arg, WEIR_E_NOMEM, "no memory for a checkpoint");
}

/* ---- saying ------------------------------------------------------------------------------------------------------------------------ */

static void say_decline(struct checkpoints *c, uint64_t id, weir_err err, const char *operator_id, int32_t subtask, const char *reason)
{
    struct wire_msg msg = {.type = WIRE_CHECKPOINT_DECLINE};
    msg.decline.id = id;
    msg.decline.failure = (struct wire_failure){.code = err, .operator_id = operator_id, .subtask = subtask, .reason = reason};
    log_warn("checkpoint declined", "checkpoint=%" PRIu64 " reason=\"%s\"", id, reason);
    (void)c->owner.say(c->owner.arg, &msg);
}

static struct wire_ledger *ledger_to_send(const struct checkpoint_written *written)
{
    struct wire_ledger *to = calloc(written->n_ledger + 1u, sizeof *to);
    for (uint32_t i = 0; i < written->n_ledger && to; i++) {
        const struct snapshot_ledger *from = &written->ledger[i];
        to[i] = (struct wire_ledger){.channel = from->channel,
                                     .side = from->side == LEDGER_SENDER ? WIRE_LEDGER_SENDER : WIRE_LEDGER_RECEIVER,
                                     .records = from->counts.records,
                                     .bytes = from->counts.bytes,
                                     .hash = from->counts.hash};
    }
    return to;
}

static void say_ack(struct checkpoints *c, const struct snapshot_answer *a)
{
    const struct checkpoint_written *written = &a->written;
    struct wire_msg msg = {.type = WIRE_CHECKPOINT_ACK};
    msg.ack.id = a->id;
    msg.ack.options = c->core.options;
    msg.ack.pack = written->pack;
    msg.ack.pack_bytes = written->seal.bytes;
    msg.ack.pack_crc32c = written->seal.crc32c;
    msg.ack.state_bytes = written->state_bytes;
    msg.ack.new_bytes = written->new_bytes;
    msg.ack.sync_us_max = written->sync_us_max;
    msg.ack.align_us_max = written->align_us_max;
    msg.ack.async_us = a->us;
    msg.ack.n_ledger = written->n_ledger;
    msg.ack.ledger = ledger_to_send(written);
    if (!msg.ack.ledger)
        no_memory(c);
    else if (c->owner.say(c->owner.arg, &msg) == WEIR_E_LIMIT)
        say_decline(c, a->id, WEIR_E_LIMIT, "", -1,
                    "the ledger of the worker's channels does not fit a control message: use more TaskManagers");
    free(msg.ack.ledger);
    log_debug("checkpoint stored",
              "checkpoint=%" PRIu64 " state_bytes=%" PRIu64 " new_bytes=%" PRIu64 " sync_us=%" PRIu64 " align_us=%" PRIu64
              " async_us=%" PRIu64,
              a->id, written->state_bytes, written->new_bytes, written->sync_us_max, written->align_us_max, a->us);
}

/* ---- performing -------------------------------------------------------------------------------------------------------------------- */

/* What an event brings along for the actions. */
struct occasion {
    struct subtask_snapshot *snapshot;
    const struct snapshot_answer *answer;
    struct wire_failure failure; /* of a DECLINE */
};

static void tell_threads(struct checkpoints *c, void (*tell)(struct task_thread *t, uint64_t id), uint64_t id)
{
    for (uint32_t t = 0; t < c->d->n_threads; t++) tell(&c->d->threads[t], id);
}

static void step(struct checkpoints *c, const struct checkpointing_event *ev, const struct occasion *o)
{
    struct checkpointing *core = &c->core;
    bool rested = core->resting;
    uint32_t todo = checkpointing_step(core, ev);
    weir_err err = WEIR_OK;
    if (todo & CHECKPOINTING_DO_TRIGGER)
        for (uint32_t t = 0; t < c->d->n_threads; t++) task_thread_trigger(&c->d->threads[t], core->id, core->options);
    if (todo & (CHECKPOINTING_DO_PERSIST | CHECKPOINTING_DO_PERSIST_ONLY))
        err = snapshot_thread_persist(c->thread, o->snapshot, (todo & CHECKPOINTING_DO_PERSIST) != 0);
    if (todo & CHECKPOINTING_DO_STORE && !err) err = snapshot_thread_store(c->thread, core->id, c->dir);
    if (todo & CHECKPOINTING_DO_DROP && !err) err = snapshot_thread_drop(c->thread, core->dropped);
    if (todo & CHECKPOINTING_DO_COMPLETE) {
        tell_threads(c, task_thread_complete, ev->id);
        if (!err) err = snapshot_thread_release(c->thread, core->completed);
    }
    if (todo & CHECKPOINTING_DO_ABORT) tell_threads(c, task_thread_abort, core->dropped);
    for (uint32_t t = 0; rested && !core->resting && !core->stopped && t < c->d->n_threads; t++)
        c->resumed_at[t] = atomic_load_explicit(c->d->threads[t].steps, memory_order_acquire) + ROUND_STEPS;
    if (todo & CHECKPOINTING_DO_SAY_ACK) say_ack(c, o->answer);
    if (todo & CHECKPOINTING_DO_SAY_DECLINE)
        say_decline(c, ev->id, o->failure.code, o->failure.operator_id, o->failure.subtask, o->failure.reason);
    if (err) no_memory(c);
}

/* ---- orders ------------------------------------------------------------------------------------------------------------------------ */

static void on_trigger(struct checkpoints *c, const struct wire_msg *msg)
{
    if (!*c->deploy->deploy.checkpoint.dir) {
        say_decline(c, msg->trigger.id, WEIR_E_STATE, "", -1, "the job was deployed without checkpoints");
        return;
    }
    char *dir = strdup(msg->trigger.dir);
    if (!dir) {
        no_memory(c);
        return;
    }
    free(c->dir);
    c->dir = dir;
    step(c, &(struct checkpointing_event){.type = CHECKPOINTING_EV_TRIGGER, .id = msg->trigger.id, .options = msg->trigger.options},
         &(struct occasion){0});
}

void checkpoints_order(struct checkpoints *c, const struct wire_msg *msg)
{
    struct checkpointing_event ev = {0};
    switch ((int)msg->type) {
    case WIRE_TRIGGER: on_trigger(c, msg); return;
    case WIRE_CHECKPOINT_COMPLETE: ev = (struct checkpointing_event){.type = CHECKPOINTING_EV_COMPLETE, .id = msg->complete.id}; break;
    case WIRE_CHECKPOINT_ABORT: ev = (struct checkpointing_event){.type = CHECKPOINTING_EV_ABORT, .id = msg->abort.id}; break;
    default: return;
    }
    if (c->thread) step(c, &ev, &(struct occasion){0});
}

/* ---- what the threads say ---------------------------------------------------------------------------------------------------------- */

static struct task_thread *thread_of(const struct checkpoints *c, const struct subtask_snapshot *snapshot)
{
    for (uint32_t t = 0; t < c->d->n_threads; t++) {
        struct task_thread *thread = &c->d->threads[t];
        if (snapshot->subtask >= thread->subtasks && snapshot->subtask < thread->subtasks + thread->n_subtasks) return thread;
    }
    WEIR_ASSERT(false);
    return NULL;
}

static void take_snapshot(struct checkpoints *c, struct subtask_snapshot *snapshot)
{
    struct wire_failure failure = {.code = snapshot->declined.code,
                                   .operator_id = snapshot->subtask->ops[0].spec.id,
                                   .subtask = (int32_t)snapshot->index,
                                   .reason = snapshot->declined.text};
    bool declined = failure.code != WEIR_OK;
    step(c,
         &(struct checkpointing_event){
             .type = CHECKPOINTING_EV_SNAPSHOT, .id = snapshot->id, .options = snapshot->options, .failed = declined},
         &(struct occasion){.snapshot = snapshot, .failure = failure});
    if (declined) task_thread_settle(thread_of(c, snapshot), snapshot);
}

static void take_answer(struct checkpoints *c, const struct snapshot_answer *a)
{
    struct occasion o = {.answer = a, .failure = {.code = a->err, .operator_id = "", .subtask = -1, .reason = a->diag.text}};
    switch (a->type) {
    case SNAPSHOT_RESTORED:
        if (!a->err) c->owner.restored(c->owner.arg, &a->restored, a->us);
        break;
    case SNAPSHOT_PERSISTED:
        if (a->err) step(c, &(struct checkpointing_event){.type = CHECKPOINTING_EV_LOST, .id = a->id}, &o);
        task_thread_settle(thread_of(c, a->snapshot), a->snapshot);
        break;
    case SNAPSHOT_STORED:
        step(c, &(struct checkpointing_event){.type = CHECKPOINTING_EV_STORED, .id = a->id, .failed = a->err != WEIR_OK}, &o);
        free(a->written.ledger);
        return;
    }
    if (a->err) c->owner.fail(c->owner.arg, a->err, a->diag.text);
}

bool checkpoints_pump(struct checkpoints *c)
{
    bool any = false;
    if (!c->thread) return false;
    for (uint32_t t = 0; t < c->d->n_threads; t++) {
        for (struct subtask_snapshot *s; (s = task_thread_take_snapshot(&c->d->threads[t])) != NULL; any = true) take_snapshot(c, s);
    }
    for (struct snapshot_answer a; snapshot_thread_next(c->thread, &a); any = true) take_answer(c, &a);
    return any;
}

/* ---- restore, rest ----------------------------------------------------------------------------------------------------------------- */

bool checkpoints_has_restore(const struct checkpoints *c)
{
    return c->deploy && c->deploy->deploy.restore.id != 0;
}

void checkpoints_restore(struct checkpoints *c)
{
    if (snapshot_thread_restore(c->thread, c->deploy, c->d)) no_memory(c);
}

uint64_t checkpoints_kept(const struct checkpoints *c)
{
    return checkpointing_kept(&c->core);
}

bool checkpoints_resting(const struct checkpoints *c)
{
    return c->core.resting;
}

bool checkpoints_stopped(const struct checkpoints *c)
{
    return c->core.stopped;
}

bool checkpoints_resumes(const struct checkpoints *c, uint32_t thread)
{
    return c->resumed_at[thread] && atomic_load_explicit(c->d->threads[thread].steps, memory_order_acquire) < c->resumed_at[thread];
}
