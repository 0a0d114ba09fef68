/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An attempt that a leader before us has deployed (job.h). TaskManagers report their workers when they register; when every one of the
 * attempt was reported and runs, the job is RUNNING as if nothing had happened.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jobmanager/job_internal.h"
#include "runtime/base/assert.h"
#include "runtime/base/must.h"

#define NO_WORKER UINT32_MAX /* in slot_worker: nobody has reported the slot yet */

void job_begin_reconciling(struct job *job, const struct job_event *ev)
{
    const struct job_recovery *r = ev->recover;
    job->awaited = must_zero(r->n_taskmanagers, sizeof *job->awaited);
    for (; job->n_awaited < r->n_taskmanagers; job->n_awaited++) job->awaited[job->n_awaited] = must_copy(r->taskmanagers[job->n_awaited]);
    job_enter(job, JOB_RECONCILING, ev);
    job->started = true;
    job->deadline_ms = ev->now_ms + job->reconcile_ms;
}

/* With the first report it is known how many workers there are. */
static void make_room(struct job *job, const struct wire_worker *w)
{
    if (job->n_workers) return;
    job->n_workers = w->n_workers;
    job->attempt_epoch = w->epoch;
    job->workers = calloc(job->n_workers, sizeof *job->workers);
    job->slot_worker = calloc(job->n_slots, sizeof *job->slot_worker);
    WEIR_ASSERT(job->workers);
    WEIR_ASSERT(job->slot_worker);
    for (uint32_t i = 0; i < job->n_workers; i++) {
        job->workers[i].taskmanager = must_copy("");
        job->workers[i].host = must_copy("");
        job->workers[i].endpoint = must_copy("");
    }
    for (uint32_t i = 0; i < job->n_slots; i++) job->slot_worker[i] = NO_WORKER;
    job_reset_subtasks(job);
}

/* Does it belong to the attempt that we wait for, and agree with what others have reported of it? */
static bool fits(const struct job *job, const struct wire_worker *w)
{
    if (job->state != JOB_RECONCILING || w->attempt != job->attempt) return false;
    if (job->n_workers && (w->n_workers != job->n_workers || w->epoch != job->attempt_epoch)) return false;
    if (w->epoch > job->epoch || w->n_workers > job->n_slots) return false; /* the decoder has checked that `worker` lies in n_workers */
    if (job->n_workers && job->workers[w->worker].state != JOB_WORKER_MISSING) return false;
    for (uint32_t i = 0; i < w->n_slots; i++)
        if (w->slots[i] >= job->n_slots || (job->n_workers && job->slot_worker[w->slots[i]] != NO_WORKER)) return false;
    return true;
}

static enum job_worker_state state_of(const struct wire_worker *w)
{
    switch ((enum wire_worker_state)w->state) {
    case WIRE_WORKER_IS_STARTING: return JOB_WORKER_DEPLOYED;
    case WIRE_WORKER_IS_READY: return JOB_WORKER_READY;
    case WIRE_WORKER_IS_RUNNING: return JOB_WORKER_RUNNING;
    case WIRE_WORKER_IS_PREPARED: return JOB_WORKER_PREPARED;
    case WIRE_WORKER_HAS_COMMITTED: return JOB_WORKER_COMMITTED;
    }
    return JOB_WORKER_DEPLOYED;
}

static void record(struct job *job, const struct wire_worker *w, const struct job_place *place)
{
    struct job_worker *worker = &job->workers[w->worker];
    free(worker->taskmanager);
    free(worker->host);
    free(worker->endpoint);
    worker->taskmanager = must_copy(place->taskmanager);
    worker->host = must_copy(place->host);
    worker->endpoint = must_copy(w->endpoint);
    worker->incarnation = w->incarnation;
    worker->state = state_of(w);
    worker->member = job_worker_gone(worker->state) ? 0 : place->member;
    worker->n_slots = w->n_slots;
    for (uint32_t i = 0; i < w->n_slots; i++) job->slot_worker[w->slots[i]] = w->worker;
    if (w->restored_id) job->restored_id = w->restored_id;
    if (w->triggered <= job->triggered) return;
    job->triggered = w->triggered;
    job->triggered_options = w->options;
}

enum job_outcome job_on_reported(struct job *job, const struct job_event *ev, struct job_actions *out)
{
    const struct wire_worker *w = ev->reported.worker;
    if (!fits(job, w)) return JOB_UNEXPECTED;
    make_room(job, w);
    record(job, w, &ev->reported.place);
    job_advance(job, ev, out);
    return JOB_TAKEN;
}

/* Slots of a worker that has committed belong to nobody any more: for people, they are those of the first such worker. */
static bool every_slot_is_run(struct job *job)
{
    uint32_t committed = NO_WORKER;
    for (uint32_t w = job->n_workers; w > 0; w--)
        if (job->workers[w - 1].state == JOB_WORKER_COMMITTED) committed = w - 1;
    for (uint32_t i = 0; i < job->n_slots; i++) {
        if (job->slot_worker[i] == NO_WORKER) job->slot_worker[i] = committed;
        if (job->slot_worker[i] == NO_WORKER) return false;
    }
    return true;
}

static bool any_committed(const struct job *job)
{
    for (uint32_t w = 0; w < job->n_workers; w++)
        if (job->workers[w].state == JOB_WORKER_COMMITTED) return true;
    return false;
}

void job_take_up_if_whole(struct job *job, const struct job_event *ev, struct job_actions *out)
{
    if (!job->n_workers || job_workers_before(job, JOB_WORKER_RUNNING) || !every_slot_is_run(job)) return;
    if (job->cancel_requested) {
        job_begin_cancelling(job, ev, out);
        return;
    }
    job_tell(out, "attempt %" PRIu32 " runs on %" PRIu32 " TaskManagers and goes on under the new leader", job->attempt, job->n_workers);
    job_enter(job, JOB_RUNNING, ev);
    job_checkpoints_take_over(job, ev, out);
    if (job->state == JOB_RUNNING && job->committing && !job->ckpt) job_commit(job, out);
    /* Asked they were if COMMIT only waits here for a cancel that is being stored. */
    if (job->state == JOB_RUNNING && !job->committing && !job->commit_waits && any_committed(job))
        job_fail_text(job, WEIR_E_PROTOCOL, "", ev, out, "a worker committed without being asked");
    if (job->state == JOB_RUNNING) job_leave_if_empty(job, ev, out);
}

void job_give_up_reconciling(struct job *job, const struct job_event *ev, struct job_actions *out, const char *fmt, ...)
{
    char text[128];
    va_list args;
    if (job->cancel_requested) {
        job_begin_cancelling(job, ev, out);
        return;
    }
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    job->unreported = true;
    job_fail_text(job, WEIR_E_UNREACHABLE, "", ev, out, "the JobManager was restarted, and of the workers of attempt %" PRIu32 " %s",
                  job->attempt, text);
}

/*
 * A TaskManager that registers reports each worker that it has, and gets none of this attempt any more. One that has not registered may
 * still run its worker: for that one we wait, even when it is known of another one that it is gone.
 */
void job_on_all_back(struct job *job, const struct job_event *ev, struct job_actions *out)
{
    if (job->state != JOB_RECONCILING || (job->n_workers && !job_workers_before(job, JOB_WORKER_DEPLOYED))) return;
    job_give_up_reconciling(job, ev, out, "not all are there any more: its TaskManagers have reported those that they run");
}

void job_miss_again(struct job *job, uint32_t worker)
{
    job->workers[worker].state = JOB_WORKER_MISSING;
    job->workers[worker].member = 0;
    job->workers[worker].n_slots = 0;
    for (uint32_t i = 0; i < job->n_slots; i++)
        if (job->slot_worker[i] == worker) job->slot_worker[i] = NO_WORKER;
}

void job_stop_reconciling(struct job *job, struct job_actions *out)
{
    if (job->state != JOB_RECONCILING) return;
    for (uint32_t w = 0; w < job->n_workers; w++)
        if (job->workers[w].state == JOB_WORKER_MISSING) job->workers[w].state = JOB_WORKER_LOST;
    if (job->committing) job_commit(job, out); /* those that are here may not have heard it, and shall not wait for ever */
}
