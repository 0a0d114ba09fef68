/* SPDX-License-Identifier: Apache-2.0 */
/* A job as others see it (job.h). */
#include <stdio.h>

#include "jobmanager/job_internal.h"
#include "runtime/base/assert.h"
#include "weir/stream.h"

const char *job_state_name(enum job_state state)
{
    switch (state) {
    case JOB_INITIALIZING: return "INITIALIZING";
    case JOB_RECONCILING: return "RECONCILING";
    case JOB_CREATED: return "CREATED";
    case JOB_DEPLOYING: return "DEPLOYING";
    case JOB_RUNNING: return "RUNNING";
    case JOB_RESTARTING: return "RESTARTING";
    case JOB_FAILING: return "FAILING";
    case JOB_CANCELLING: return "CANCELLING";
    case JOB_FINISHED: return "FINISHED";
    case JOB_FAILED: return "FAILED";
    case JOB_CANCELED: return "CANCELED";
    }
    return "?";
}

const char *job_name(const struct job *job)
{
    if (*job->name) return job->name;
    return job->described && job->graph.name ? job->graph.name : "";
}

const struct wire_subtask_stats *job_subtask_stats(const struct job *job, uint32_t vertex, uint32_t subtask)
{
    static const struct wire_subtask_stats none = {.watermark_ms = WEIR_TIME_MIN};
    return job->subtasks ? &job->subtasks[job_subtask_index(job, vertex, subtask)] : &none;
}

const struct job_worker *job_subtask_worker(const struct job *job, uint32_t subtask)
{
    return job->n_workers && job->slot_worker[subtask] < job->n_workers ? &job->workers[job->slot_worker[subtask]] : NULL;
}

const char *job_subtask_state(const struct job *job, uint32_t vertex, uint32_t subtask)
{
    const struct job_worker *worker = job_subtask_worker(job, subtask);
    if (!worker) return job->state == JOB_CANCELED ? "CANCELED" : "CREATED";
    enum wire_subtask_state seen = (enum wire_subtask_state)job_subtask_stats(job, vertex, subtask)->state;
    switch (worker->state) {
    case JOB_WORKER_COMMITTED: return "FINISHED";
    case JOB_WORKER_LOST: return "FAILED";
    case JOB_WORKER_FAILED: return seen == WIRE_SUBTASK_FAILED || job->failure.subtask < 0 ? "FAILED" : "CANCELED";
    case JOB_WORKER_CANCELED: return "CANCELED";
    default: break;
    }
    if (seen == WIRE_SUBTASK_FAILED) return "FAILED";
    if (job->state == JOB_FAILING || job->state == JOB_CANCELLING) return "CANCELING";
    if (seen == WIRE_SUBTASK_FINISHED || worker->state == JOB_WORKER_PREPARED) return "FINISHED";
    if (worker->state == JOB_WORKER_RUNNING) return "RUNNING";
    return worker->state == JOB_WORKER_READY ? "INITIALIZING" : "DEPLOYING";
}

enum ckpt_request_state job_request_state(const struct job *job, const struct ckpt_request *request, const char **why)
{
    bool done = request->state == CKPT_REQUEST_DONE;
    *why = NULL;
    if (request->state >= CKPT_REQUEST_DONE && !request->recorded) return CKPT_REQUEST_RUNNING;
    if (done && (request->options & CHECKPOINT_STOP) && job->state != JOB_FINISHED) return CKPT_REQUEST_RUNNING; /* or it fails */
    if (request->state == CKPT_REQUEST_FAILED) *why = request->failure;
    return request->state;
}
