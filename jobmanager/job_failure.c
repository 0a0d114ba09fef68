/* SPDX-License-Identifier: Apache-2.0 */
/* Failures of a job (job.h): which of them is the cause, and what comes of it. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jobmanager/job_internal.h"
#include "runtime/base/must.h"

void job_failure_close(struct job_failure *f)
{
    free(f->operator_id);
    free(f->reason);
    free(f->taskmanager);
}

struct job_failure job_failure_none(void)
{
    return (struct job_failure){.operator_id = must_copy(""), .reason = must_copy(""), .taskmanager = must_copy(""), .subtask = -1};
}

void job_remember_failure(struct job *job)
{
    if (!job->failure.code) return;
    if (job->n_failures == JOB_FAILURES_MAX) {
        job_failure_close(&job->failures[0]);
        memmove(&job->failures[0], &job->failures[1], --job->n_failures * sizeof job->failures[0]);
    }
    job->failures[job->n_failures++] = job->failure;
    job->failure = job_failure_none();
}

static void set_failure(struct job *job, const struct cause *cause, const struct job_event *ev)
{
    static const char partly[] = "; the output may be partly visible, because its commit had begun";
    struct job_failure f = {.code = cause->code, .subtask = cause->subtask, .symptom = cause->symptom, .wall_ms = ev->wall_ms};
    struct buffer text;
    buffer_init(&text, 0);
    buffer_str(&text, cause->reason);
    if (job->committing) buffer_str(&text, partly);
    f.operator_id = must_copy(cause->operator_id);
    f.taskmanager = must_copy(cause->taskmanager);
    f.reason = must_copy(buffer_cstr(&text));
    buffer_close(&text);
    job_failure_close(&job->failure);
    job->failure = f;
}

/* Without checkpoints what was committed stays; with them a restart commits the rest. */
static bool may_restart(const struct job *job)
{
    return !job->fatal && !job->cancel_requested && job->attempt > 0 && !(job->committing && !job->ckpt);
}

void job_restart_or_end(struct job *job, const struct job_event *ev, struct job_actions *out)
{
    struct restart_decision decision = {0};
    bool may = may_restart(job);
    if (may && job->unreported)
        decision.restart = true;
    else if (may)
        restart_failed(&job->restart, ev->now_ms, &decision);
    job->unreported = false;
    if (may && !decision.restart && job->restart.config.kind != RESTART_NONE) job_tell(out, "no restart: %s", decision.why);
    if (!decision.restart) {
        job_conclude(job, JOB_FAILED, ev, out);
        return;
    }
    job_enter(job, JOB_RESTARTING, ev);
    job->n_restarts++;
    job->deadline_ms = ev->now_ms + decision.delay_ms;
    job_tell(out, "restart %" PRIu32 " in %" PRId64 " ms", job->n_restarts, decision.delay_ms);
}

static void begin_failing(struct job *job, const struct cause *cause, const struct job_event *ev, struct job_actions *out)
{
    struct wire_msg cancel = {.type = WIRE_CANCEL};
    set_failure(job, cause, ev);
    job_stop_reconciling(job, out);
    job_enter(job, JOB_FAILING, ev);
    job->storing = 0;
    job_checkpoints_detach(job, "the attempt has failed", ev, out);
    /* Workers that were told to commit are let finish: to stop them halfway only makes more of the output partial. */
    if (!job->committing) job_send_all(job, &cancel, out);
    job_leave_if_empty(job, ev, out);
}

void job_fail(struct job *job, const struct cause *cause, const struct job_event *ev, struct job_actions *out)
{
    if (job->outcome || job_state_terminal(job->state)) return;
    job->fatal |= cause->fatal;
    switch (job->state) {
    case JOB_INITIALIZING:
    case JOB_RECONCILING:
    case JOB_CREATED:
    case JOB_DEPLOYING:
    case JOB_RUNNING:
    case JOB_RESTARTING:
        if (job->cancel_requested)
            job_begin_cancelling(job, ev, out);
        else
            begin_failing(job, cause, ev, out);
        return;
    case JOB_FAILING:
        if (job->failure.symptom && !cause->symptom) set_failure(job, cause, ev);
        job_leave_if_empty(job, ev, out);
        return;
    case JOB_CANCELLING: /* the user does not care any more */ job_leave_if_empty(job, ev, out); return;
    case JOB_FINISHED:
    case JOB_FAILED:
    case JOB_CANCELED: return;
    }
}

void job_fail_text(struct job *job, weir_err code, const char *taskmanager, const struct job_event *ev, struct job_actions *out,
                   const char *fmt, ...)
{
    char text[WEIR_DIAG_MAX];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    struct cause cause = {.code = code, .operator_id = "", .reason = text, .taskmanager = taskmanager, .subtask = -1};
    job_fail(job, &cause, ev, out);
}
