/* SPDX-License-Identifier: Apache-2.0 */
/* A job that a leader before us has left in the catalog (job.h): where it goes on. */
#include <inttypes.h>

#include "jobmanager/job_internal.h"
#include "runtime/base/assert.h"
#include "runtime/base/must.h"

static void recover_result(struct job *job, const struct job_recovery *r)
{
    job_failure_close(&job->failure);
    job->failure = (struct job_failure){.code = r->failure->code,
                                        .subtask = r->failure->subtask,
                                        .wall_ms = r->failure->wall_ms,
                                        .operator_id = must_copy(r->failure->operator_id),
                                        .reason = must_copy(r->failure->reason),
                                        .taskmanager = must_copy(r->failure->taskmanager)};
    job->successor = *r->successor;
    job->ended_wall_ms = r->ended_wall_ms;
    job->state = r->result;
    job->deadline_ms = INT64_MAX;
    job->history[job->n_history++] = (struct job_change){.state = r->result, .wall_ms = r->ended_wall_ms};
    job->n_changes++;
}

static void recover_checkpoints(struct job *job, const struct job_recovery *r, struct job_actions *out)
{
    if (!job->ckpt) return;
    ckpt_used(job->ckpt, r->counter);
    for (uint32_t i = 0; i < r->n_pointers; i++) {
        const struct ckpt_pointer *p = &r->pointers[i];
        bool fits = ckpt_retain(job->ckpt, p);
        WEIR_ASSERT(fits); /* records_take has counted them */
        size_t text = job_text(out, p->path);
        struct job_action *keep = job_act(out, JOB_DO_KEEP);
        keep->id = p->id;
        keep->options = p->options;
        keep->text = text;
        keep->bytes = p->bytes;
        keep->crc32c = p->crc32c;
    }
    for (uint32_t i = 0; i < r->n_requests; i++) ckpt_recall(job->ckpt, &r->requests[i], r->attempt);
}

void job_on_recover(struct job *job, const struct job_event *ev, struct job_actions *out)
{
    const struct job_recovery *r = ev->recover;
    job->submitted_wall_ms = job->history[0].wall_ms = r->submitted_wall_ms;
    job->attempt = r->attempt;
    recover_checkpoints(job, r, out);
    if (r->result) {
        recover_result(job, r);
        if (r->counter) job_checkpoints_end(job, r->result, out); /* the end was not told to the storage, or not done there */
        return;
    }
    job_tell(out, "taken up again after a restart of the JobManager, with %" PRIu32 " attempts before", r->attempt);
    job->cancel_requested = r->cancel;
    job->committing = r->committing && !r->cancel;
    if (job->ckpt) (void)job_checkpoints_step(job, &(struct ckpt_event){.type = CKPT_EV_TICK}, ev, out); /* what became of requests */
    if (r->graph && !job_take_graph(job, r->graph, ev, out)) return;
    if (job->attempt && r->graph)
        job_begin_reconciling(job, ev);
    else if (r->cancel)
        job_begin_cancelling(job, ev, out);
    else if (r->graph)
        job_put_attempt(job, job->attempt + 1, false, out);
    else
        job_describe(job, ev, out);
}
