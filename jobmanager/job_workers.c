/* SPDX-License-Identifier: Apache-2.0 */
/* A job and its workers (job.h): what it tells them, and what it does with what they say. */
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jobmanager/job_internal.h"
#include "runtime/base/assert.h"
#include "runtime/base/must.h"
#include "runtime/base/limits.h"
#include "runtime/checkpoint/layout.h"
#include "runtime/wire/link.h"
#include "weir/stream.h"

/* ---- to the workers ---- */

static weir_err send(const struct job *job, const struct job_worker *to, struct wire_msg *msg, struct job_actions *out)
{
    msg->epoch = job->epoch;
    msg->job = job->id;
    msg->attempt = job->attempt;
    size_t offset = out->bytes.len;
    weir_err err = wire_msg_encode(msg, &out->bytes);
    if (err) return err;
    if (out->bytes.len - offset > LINK_MESSAGE_MAX) return WEIR_E_LIMIT;
    struct job_action *action = job_act(out, JOB_DO_SEND);
    action->member = to->member;
    action->message = msg->type;
    action->offset = offset;
    action->len = out->bytes.len - offset;
    return WEIR_OK;
}

/* Parallelism of the vertex that `node`, a source, leads: a source has no input, so it is the head of its vertex. */
static uint32_t source_parallelism(const struct job *job, uint32_t node)
{
    for (uint32_t v = 0; v < job->plan->n_vertices; v++)
        if (job->plan->vertices[v].ops[0].node == node) return job->plan->vertices[v].parallelism;
    WEIR_ASSERT(false); /* the plan has every node */
    return 1;
}

/* The splits that the subtasks on worker `w` read, in order of source and index. `out` has room for all splits of the job. */
static uint32_t collect_splits(const struct job *job, uint32_t w, struct wire_split *out)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < job->graph.n_nodes; i++) {
        const struct graph_node *node = &job->graph.nodes[i];
        if (!node->n_splits) continue;
        uint32_t parallelism = source_parallelism(job, i);
        for (uint32_t k = 0; k < node->n_splits; k++) {
            if (job->slot_worker[plan_split_owner(k, parallelism)] != w) continue;
            out[n++] = (struct wire_split){.node = i, .index = k, .data = node->splits[k]};
        }
    }
    return n;
}

static uint64_t count_splits(const struct graph *graph)
{
    uint64_t n = 0;
    for (uint32_t i = 0; i < graph->n_nodes; i++) n += graph->nodes[i].n_splits;
    return n;
}

/* What the attempt begins with. path: room for the manifest's. */
static void fill_restore(const struct job *job, struct wire_msg *msg, char path[static PATH_MAX])
{
    const struct ckpt_pointer *from = job->ckpt ? ckpt_restore_point(job->ckpt) : NULL;
    msg->deploy.checkpoint.dir = job_checkpoint_dir(job);
    msg->deploy.checkpoint.alignment_timeout_ms = (uint32_t)job->options.alignment_timeout_ms;
    msg->deploy.checkpoint.mode = job->options.at_least_once ? CHECKPOINT_AT_LEAST_ONCE : CHECKPOINT_EXACTLY_ONCE;
    msg->deploy.restore.path = "";
    if (!from || layout_join(from->path, LAYOUT_MANIFEST, path, NULL)) return;
    msg->deploy.restore.id = from->id;
    msg->deploy.restore.path = path;
    msg->deploy.restore.bytes = from->bytes;
    msg->deploy.restore.crc32c = from->crc32c;
    msg->deploy.restore.allow_unmatched = job->from_unmatched;
}

weir_err job_send_deploy(const struct job *job, struct job_actions *out)
{
    char path[PATH_MAX];
    struct wire_split *splits = must_zero(count_splits(&job->graph), sizeof *splits);
    weir_err err = WEIR_OK;
    for (uint32_t w = 0; w < job->n_workers && !err; w++) {
        struct wire_msg msg = {.type = WIRE_DEPLOY};
        msg.deploy.digest = job->digest;
        msg.deploy.size = job->size;
        msg.deploy.name = job_name(job); /* a worker runs under the name the graph was described with */
        msg.deploy.cwd = job->cwd;
        msg.deploy.parallelism = job->parallelism;
        msg.deploy.fingerprint = job->graph.fingerprint;
        msg.deploy.progress_timeout_ms = job->progress_timeout_ms;
        msg.deploy.n_args = job->n_args;
        msg.deploy.args = (const char **)job->args;
        msg.deploy.worker = w;
        msg.deploy.n_workers = job->n_workers;
        msg.deploy.n_slots = job->n_slots;
        msg.deploy.slot_worker = job->slot_worker;
        msg.deploy.n_splits = collect_splits(job, w, splits);
        msg.deploy.splits = splits;
        msg.deploy.coordination = job->coordination ? *job->coordination : "";
        fill_restore(job, &msg, path);
        err = send(job, &job->workers[w], &msg, out);
    }
    free(splits);
    return err;
}

static weir_err send_start(const struct job *job, struct job_actions *out)
{
    struct wire_peer *peers = must_zero(job->n_workers, sizeof *peers);
    for (uint32_t w = 0; w < job->n_workers; w++)
        peers[w] = (struct wire_peer){.worker = w, .endpoint = job->workers[w].endpoint, .incarnation = job->workers[w].incarnation};
    weir_err err = WEIR_OK;
    for (uint32_t w = 0; w < job->n_workers && !err; w++) {
        struct wire_msg msg = {.type = WIRE_START};
        msg.start.n_peers = job->n_workers;
        msg.start.peers = peers;
        err = send(job, &job->workers[w], &msg, out);
    }
    free(peers);
    return err;
}

void job_send_all(const struct job *job, struct wire_msg *msg, struct job_actions *out)
{
    for (uint32_t w = 0; w < job->n_workers; w++) {
        if (job_worker_gone(job->workers[w].state)) continue;
        weir_err err = send(job, &job->workers[w], msg, out);
        WEIR_ASSERT(!err);
    }
}

void job_commit(struct job *job, struct job_actions *out)
{
    struct wire_msg msg = {.type = WIRE_COMMIT};
    job->commit_waits = job->cancel_storing;
    if (job->commit_waits) return;
    job->committing = true;
    job_send_all(job, &msg, out);
}

/* ---- how far they are ---- */

uint32_t job_workers_before(const struct job *job, enum job_worker_state state)
{
    uint32_t n = 0;
    for (uint32_t w = 0; w < job->n_workers; w++) n += job->workers[w].state < state;
    return n;
}

bool job_all_committed(const struct job *job)
{
    for (uint32_t w = 0; w < job->n_workers; w++)
        if (job->workers[w].state != JOB_WORKER_COMMITTED) return false;
    return true;
}

int64_t job_start_wait_ms(const struct job *job)
{
    return job->restored_id ? job->options.restore_timeout_ms : job->start_timeout_ms;
}

const struct job_worker *job_first_before(const struct job *job, enum job_worker_state state)
{
    for (uint32_t w = 0; w < job->n_workers; w++)
        if (job->workers[w].state < state) return &job->workers[w];
    WEIR_ASSERT(false); /* else the job would be RUNNING */
    return NULL;
}

void job_forget_workers(struct job *job)
{
    for (uint32_t w = 0; w < job->n_workers; w++) {
        struct job_worker *worker = &job->workers[w];
        free(worker->taskmanager);
        free(worker->host);
        free(worker->endpoint);
        if (worker->has_stats) wire_msg_close(&worker->stats);
    }
    free(job->workers);
    free(job->slot_worker);
    free(job->subtasks);
    job->workers = NULL;
    job->slot_worker = NULL;
    job->subtasks = NULL;
    job->n_workers = 0;
}

uint32_t job_subtask_index(const struct job *job, uint32_t vertex, uint32_t subtask)
{
    uint32_t base = 0;
    for (uint32_t v = 0; v < vertex; v++) base += job->plan->vertices[v].parallelism;
    return base + subtask;
}

void job_worker_gone_as(struct job_worker *worker, enum job_worker_state state, struct job_actions *out)
{
    worker->state = state;
    if (state != JOB_WORKER_LOST) job_act(out, JOB_DO_RELEASE)->member = worker->member;
    worker->member = 0;
}

/* ---- from the workers ---- */

static bool come_to(struct job_worker *worker, enum job_worker_state from, enum job_worker_state to)
{
    if (worker->state != from) return false;
    worker->state = to;
    return true;
}

void job_advance(struct job *job, const struct job_event *ev, struct job_actions *out)
{
    if (job->state == JOB_RECONCILING) job_take_up_if_whole(job, ev, out);
    if (job->state != JOB_DEPLOYING && job->state != JOB_RUNNING) return;
    if (!job->started && !job_workers_before(job, JOB_WORKER_READY)) {
        job->started = true;
        job->deadline_ms = ev->now_ms + job_start_wait_ms(job);
        weir_err err = send_start(job, out);
        if (err) job_fail_text(job, err, "", ev, out, "the order to start is larger than %u bytes: too many workers", LINK_MESSAGE_MAX);
        return;
    }
    if (job->state == JOB_DEPLOYING && !job_workers_before(job, JOB_WORKER_RUNNING)) {
        job_enter(job, JOB_RUNNING, ev);
        job_checkpoints_attach(job, ev, out);
    }
    if (job->state != JOB_RUNNING || job->committing || job_workers_before(job, JOB_WORKER_PREPARED)) return;
    struct ckpt_event last = {.type = CKPT_EV_FINISHED};
    if (job->ckpt)
        (void)job_checkpoints_step(job, &last, ev, out);
    else
        job_put_attempt(job, job->attempt, true,
                        out); /* COMMIT when it is stored: whoever recovers the job knows that output may be visible */
}

static enum job_outcome on_ready(struct job *job, struct job_worker *worker, const struct job_event *ev, struct job_actions *out)
{
    const struct wire_msg *msg = ev->message.msg;
    if (!come_to(worker, JOB_WORKER_DEPLOYED, JOB_WORKER_READY)) return JOB_UNEXPECTED;
    free(worker->endpoint);
    worker->endpoint = must_copy(msg->ready.endpoint);
    worker->incarnation = msg->ready.incarnation;
    if (msg->ready.fingerprint == job->graph.fingerprint) {
        job_advance(job, ev, out);
        return JOB_TAKEN;
    }
    job_fail_text(job, WEIR_E_GRAPH, worker->taskmanager, ev, out,
                  "the plugin built another graph on TaskManager %s (%s) than when it was described: fingerprint %016" PRIx64
                  " instead of %016" PRIx64 "; a graph must depend on nothing but the arguments",
                  worker->taskmanager, worker->host, msg->ready.fingerprint, job->graph.fingerprint);
    return JOB_TAKEN;
}

static enum job_outcome on_running(struct job *job, struct job_worker *worker, const struct job_event *ev, struct job_actions *out)
{
    if (!job->started || !come_to(worker, JOB_WORKER_READY, JOB_WORKER_RUNNING)) return JOB_UNEXPECTED;
    job_advance(job, ev, out);
    return JOB_TAKEN;
}

static enum job_outcome on_prepared(struct job *job, struct job_worker *worker, const struct job_event *ev, struct job_actions *out)
{
    if (!come_to(worker, JOB_WORKER_RUNNING, JOB_WORKER_PREPARED)) return JOB_UNEXPECTED;
    job_advance(job, ev, out);
    return JOB_TAKEN;
}

/* Copies the counters of those subtasks that the worker runs; a worker cannot speak for others. */
static enum job_outcome on_stats(struct job *job, struct job_worker *worker, const struct job_event *ev)
{
    struct wire_msg *msg = ev->message.msg;
    for (uint32_t i = 0; i < msg->stats.n_subtasks; i++) {
        const struct wire_subtask_stats *s = &msg->stats.subtasks[i];
        if (s->vertex >= job->plan->n_vertices || s->subtask >= job->plan->vertices[s->vertex].parallelism) continue;
        if (job->slot_worker[s->subtask] != ev->message.worker) continue;
        job->subtasks[job_subtask_index(job, s->vertex, s->subtask)] = *s;
    }
    if (worker->has_stats) wire_msg_close(&worker->stats);
    worker->stats = *msg;
    worker->has_stats = true;
    *msg = (struct wire_msg){0};
    return JOB_TAKEN;
}

static void on_committed(struct job *job, struct job_worker *worker, const struct job_event *ev, struct job_actions *out)
{
    /* Behind a savepoint that stops the job a worker has not finished, and commits all the same. */
    bool asked = job->committing && worker->state >= (job->ckpt ? JOB_WORKER_RUNNING : JOB_WORKER_PREPARED);
    job_worker_gone_as(worker, JOB_WORKER_COMMITTED, out);
    if (job->state == JOB_RECONCILING) { /* by order of the leader before us */
        job_take_up_if_whole(job, ev, out);
        return;
    }
    if (!asked) {
        job_fail_text(job, WEIR_E_PROTOCOL, worker->taskmanager, ev, out, "the worker on TaskManager %s (%s) committed without being asked",
                      worker->taskmanager, worker->host);
        return;
    }
    job_leave_if_empty(job, ev, out);
}

static void on_canceled(struct job *job, struct job_worker *worker, const struct job_event *ev, struct job_actions *out)
{
    job_worker_gone_as(worker, JOB_WORKER_CANCELED, out);
    if (job->state == JOB_FAILING || job->state == JOB_CANCELLING) { /* asked for */
        job_leave_if_empty(job, ev, out);
        return;
    }
    job_fail_text(job, WEIR_E_PROTOCOL, worker->taskmanager, ev, out,
                  "the worker on TaskManager %s (%s) was canceled, but nobody asked for it", worker->taskmanager, worker->host);
}

/* A refusal, before the first record, that the next attempt would meet as well: the graph, or a checkpoint that does not fit the job. */
static bool is_told_again(const struct job *job, weir_err code)
{
    return code == WEIR_E_GRAPH || (job->restored_id && (code == WEIR_E_STATE || code == WEIR_E_UNSUPPORTED));
}

/* What a worker said of its end, as a cause. text: room for a sentence. */
static struct cause cause_of(struct job *job, const struct job_worker *worker, const struct wire_failure *f,
                             char text[static WEIR_DIAG_MAX], struct job_actions *out)
{
    struct cause cause = {.code = f->code ? f->code : WEIR_E_INTERNAL,
                          .operator_id = f->operator_id,
                          .subtask = f->subtask,
                          .reason = f->reason && *f->reason ? f->reason : "the worker ended without a reason",
                          .taskmanager = worker->taskmanager,
                          .symptom = f->code == WEIR_E_UNREACHABLE};
    bool began = worker->state >= JOB_WORKER_RUNNING;
    if (began) return cause;
    cause.fatal = is_told_again(job, f->code);
    if (!job->restored_id || (f->code != WEIR_E_CORRUPT && f->code != WEIR_E_NOT_FOUND)) return cause;
    snprintf(text, WEIR_DIAG_MAX, "checkpoint %" PRIu64 " could not be restored: %s", job->restored_id, cause.reason);
    cause.reason = text;
    cause.fatal = !job_pass_over(job, text, out);
    return cause;
}

static enum job_outcome on_ended(struct job *job, struct job_worker *worker, const struct job_event *ev, struct job_actions *out)
{
    const struct wire_msg *msg = ev->message.msg;
    char text[WEIR_DIAG_MAX];
    struct cause cause;
    switch ((enum wire_outcome)msg->ended.outcome) {
    case WIRE_COMMITTED: on_committed(job, worker, ev, out); return JOB_TAKEN;
    case WIRE_CANCELED: on_canceled(job, worker, ev, out); return JOB_TAKEN;
    case WIRE_FAILED: break;
    }
    /* An outcome that we do not know is a failure as well: the worker is gone and has not committed. */
    cause = cause_of(job, worker, &msg->ended.failure, text, out);
    job_worker_gone_as(worker, JOB_WORKER_FAILED, out);
    job_fail(job, &cause, ev, out);
    return JOB_TAKEN;
}

/* An acknowledgement or a refusal of a checkpoint. */
static enum job_outcome on_answer(struct job *job, const struct job_event *ev, struct job_actions *out)
{
    bool ack = ev->message.msg->type == WIRE_CHECKPOINT_ACK;
    struct ckpt_event answer = {.type = ack ? CKPT_EV_ACK : CKPT_EV_DECLINE};
    answer.worker.worker = ev->message.worker;
    answer.worker.msg = ev->message.msg;
    if (!job->ckpt) return JOB_UNEXPECTED;
    switch (job_checkpoints_step(job, &answer, ev, out)) {
    case CKPT_TAKEN: return JOB_TAKEN;
    case CKPT_STALE:
    case CKPT_DUPLICATE: return JOB_LATE;
    case CKPT_UNEXPECTED: break;
    }
    return JOB_UNEXPECTED;
}

enum job_outcome job_on_message(struct job *job, const struct job_event *ev, struct job_actions *out)
{
    WEIR_ASSERT(ev->message.worker < job->n_workers);
    struct job_worker *worker = &job->workers[ev->message.worker];
    if (job_state_terminal(job->state) || job_worker_gone(worker->state)) return JOB_UNEXPECTED;
    switch (ev->message.msg->type) {
    case WIRE_WORKER_READY: return on_ready(job, worker, ev, out);
    case WIRE_WORKER_RUNNING: return on_running(job, worker, ev, out);
    case WIRE_WORKER_STATS: return on_stats(job, worker, ev);
    case WIRE_WORKER_PREPARED: return on_prepared(job, worker, ev, out);
    case WIRE_WORKER_ENDED: return on_ended(job, worker, ev, out);
    case WIRE_CHECKPOINT_ACK:
    case WIRE_CHECKPOINT_DECLINE: return on_answer(job, ev, out);
    default: return JOB_UNEXPECTED;
    }
}

void job_on_lost(struct job *job, const struct job_event *ev, struct job_actions *out)
{
    WEIR_ASSERT(ev->lost.worker < job->n_workers);
    struct job_worker *worker = &job->workers[ev->lost.worker];
    if (job_state_terminal(job->state) || job_worker_gone(worker->state)) return;
    if (job->state == JOB_RECONCILING) {
        job_miss_again(job, ev->lost.worker);
        return;
    }
    job_worker_gone_as(worker, JOB_WORKER_LOST, out);
    job_fail_text(job, WEIR_E_UNREACHABLE, worker->taskmanager, ev, out, "%s", ev->lost.reason);
}
