/* SPDX-License-Identifier: Apache-2.0 */
#include "jobmanager/job.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "runtime/base/assert.h"
#include "runtime/base/limits.h"
#include "runtime/wire/link.h"
#include "weir/stream.h"

static char *copy_text(const char *text)
{
    char *copy = strdup(text ? text : "");
    WEIR_ASSERT(copy);
    return copy;
}

static void *zeroed(size_t n, size_t size)
{
    void *p = calloc(n ? n : 1, size);
    WEIR_ASSERT(p);
    return p;
}

const char *job_state_name(enum job_state state)
{
    switch (state) {
    case JOB_INITIALIZING: return "INITIALIZING";
    case JOB_CREATED: return "CREATED";
    case JOB_DEPLOYING: return "DEPLOYING";
    case JOB_RUNNING: return "RUNNING";
    case JOB_FAILING: return "FAILING";
    case JOB_CANCELLING: return "CANCELLING";
    case JOB_FINISHED: return "FINISHED";
    case JOB_FAILED: return "FAILED";
    case JOB_CANCELED: return "CANCELED";
    }
    return "?";
}

/* ---- actions ---- */

void job_actions_init(struct job_actions *a)
{
    *a = (struct job_actions){0};
}

void job_actions_close(struct job_actions *a)
{
    free(a->at);
    buffer_close(&a->bytes);
    *a = (struct job_actions){0};
}

static void clear(struct job_actions *a)
{
    a->n = 0;
    buffer_clear(&a->bytes);
    a->outcome = JOB_TAKEN;
    a->answer.code = WEIR_OK;
    a->answer.text[0] = '\0';
}

static struct job_action *act(struct job_actions *a, enum job_action_type type, uint64_t member)
{
    if (a->n == a->cap) {
        a->cap = a->cap ? 2 * a->cap : 16;
        a->at = realloc(a->at, a->cap * sizeof *a->at);
        WEIR_ASSERT(a->at);
    }
    struct job_action *action = &a->at[a->n++];
    *action = (struct job_action){.type = type, .member = member};
    return action;
}

/* ---- messages to workers ---- */

static weir_err send(const struct job *job, const struct job_worker *to, struct wire_msg *msg, struct job_actions *out)
{
    msg->epoch = job->epoch;
    msg->job = job->id;
    msg->attempt = job->attempt;
    size_t offset = out->bytes.len;
    weir_err err = wire_msg_encode(msg, &out->bytes);
    if (err) return err;
    if (out->bytes.len - offset > LINK_MESSAGE_MAX) return WEIR_E_LIMIT;
    struct job_action *action = act(out, JOB_DO_SEND, to->member);
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

/* DEPLOY for every worker. On failure some may be in `out`; the caller clears it. */
static weir_err send_deploy(const struct job *job, struct job_actions *out)
{
    struct wire_split *splits = zeroed(count_splits(&job->graph), sizeof *splits);
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
        err = send(job, &job->workers[w], &msg, out);
    }
    free(splits);
    return err;
}

static weir_err send_start(const struct job *job, struct job_actions *out)
{
    struct wire_peer *peers = zeroed(job->n_workers, sizeof *peers);
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

/* COMMIT or CANCEL, which have no body and always fit, to every worker that is not gone. */
static void send_all(const struct job *job, enum wire_type type, struct job_actions *out)
{
    for (uint32_t w = 0; w < job->n_workers; w++) {
        if (job_worker_gone(job->workers[w].state)) continue;
        struct wire_msg msg = {.type = type};
        weir_err err = send(job, &job->workers[w], &msg, out);
        WEIR_ASSERT(!err);
    }
}

/* ---- states ---- */

static void enter(struct job *job, enum job_state state, const struct job_event *ev)
{
    WEIR_ASSERT(!job_state_terminal(job->state));
    job->state = state;
    job->deadline_ms = INT64_MAX;
    if (job->n_history < JOB_HISTORY_MAX) job->n_history++;
    job->history[job->n_history - 1] = (struct job_change){.state = state, .wall_ms = ev->wall_ms};
}

static void end(struct job *job, enum job_state state, const struct job_event *ev, struct job_actions *out)
{
    enter(job, state, ev);
    job->ended_wall_ms = ev->wall_ms;
    act(out, JOB_DO_ENDED, 0);
}

/* Workers that are not gone and have come less far than `state`; JOB_WORKER_COMMITTED counts all that are not gone. */
static uint32_t workers_before(const struct job *job, enum job_worker_state state)
{
    uint32_t n = 0;
    for (uint32_t w = 0; w < job->n_workers; w++) n += job->workers[w].state < state;
    return n;
}

static bool all_committed(const struct job *job)
{
    for (uint32_t w = 0; w < job->n_workers; w++)
        if (job->workers[w].state != JOB_WORKER_COMMITTED) return false;
    return true;
}

/* In FAILING and CANCELLING: ends the job when no worker is left. */
static void end_if_empty(struct job *job, const struct job_event *ev, struct job_actions *out)
{
    if (workers_before(job, JOB_WORKER_COMMITTED)) return;
    end(job, job->state == JOB_FAILING ? JOB_FAILED : JOB_CANCELED, ev, out);
}

static void close_failure(struct job_failure *f)
{
    free(f->operator_id);
    free(f->reason);
    free(f->taskmanager);
}

/* A cause of failure on its way into job->failure. Everything is borrowed. */
struct cause {
    weir_err code;
    const char *operator_id, *reason, *taskmanager;
    int32_t subtask;
    bool symptom; /* seen from afar: a later cause that is none takes its place */
};

static void set_failure(struct job *job, const struct cause *cause, const struct job_event *ev)
{
    static const char partly[] = "; the output may be partly visible, because its commit had begun";
    struct job_failure f = {.code = cause->code, .subtask = cause->subtask, .symptom = cause->symptom, .wall_ms = ev->wall_ms};
    struct buffer text;
    buffer_init(&text, 0);
    buffer_str(&text, cause->reason);
    if (job->committing) buffer_str(&text, partly);
    f.operator_id = copy_text(cause->operator_id);
    f.taskmanager = copy_text(cause->taskmanager);
    f.reason = copy_text(buffer_cstr(&text));
    buffer_close(&text);
    close_failure(&job->failure);
    job->failure = f;
}

/* A failure of the job or of one of its workers, in any state that is not terminal. */
static void fail(struct job *job, const struct cause *cause, const struct job_event *ev, struct job_actions *out)
{
    switch (job->state) {
    case JOB_INITIALIZING:
    case JOB_CREATED:
        set_failure(job, cause, ev);
        end(job, JOB_FAILED, ev, out);
        return;
    case JOB_DEPLOYING:
    case JOB_RUNNING:
        set_failure(job, cause, ev);
        enter(job, JOB_FAILING, ev);
        /* Workers that were told to commit are let finish: to stop them halfway only makes more of the output partial. */
        if (!job->committing) send_all(job, WIRE_CANCEL, out);
        end_if_empty(job, ev, out);
        return;
    case JOB_FAILING:
        if (job->failure.symptom && !cause->symptom) set_failure(job, cause, ev);
        end_if_empty(job, ev, out);
        return;
    case JOB_CANCELLING: /* the user does not care any more */ end_if_empty(job, ev, out); return;
    case JOB_FINISHED:
    case JOB_FAILED:
    case JOB_CANCELED: return;
    }
}

static void fail_text(struct job *job, weir_err code, const char *taskmanager, const struct job_event *ev, struct job_actions *out,
                      const char *fmt, ...) WEIR_PRINTF(6, 7);
static void fail_text(struct job *job, weir_err code, const char *taskmanager, const struct job_event *ev, struct job_actions *out,
                      const char *fmt, ...)
{
    char text[WEIR_DIAG_MAX];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    struct cause cause = {.code = code, .operator_id = "", .reason = text, .taskmanager = taskmanager, .subtask = -1};
    fail(job, &cause, ev, out);
}

/* ---- described, placed ---- */

static void on_described(struct job *job, const struct job_event *ev, struct job_actions *out)
{
    if (job->state != JOB_INITIALIZING) return; /* canceled or timed out meanwhile */
    if (ev->described.err) {
        fail_text(job, ev->described.err, "", ev, out, "%s",
                  ev->described.reason ? ev->described.reason : "the plugin could not be described");
        return;
    }
    struct weir_diag diag;
    weir_err err = plan_new(&job->plan, ev->described.graph, job->parallelism, &diag);
    WEIR_ASSERT(err != WEIR_E_NOMEM);
    if (err) {
        fail_text(job, err, "", ev, out, "%s", diag.text);
        return;
    }
    job->graph = *ev->described.graph;
    *ev->described.graph = (struct graph){0};
    job->described = true;
    job->n_slots = job->plan->n_slots;
    for (uint32_t v = 0; v < job->plan->n_vertices; v++) job->n_subtasks += job->plan->vertices[v].parallelism;
    enter(job, JOB_CREATED, ev);
    job->deadline_ms = ev->now_ms + job->slot_wait_ms;
}

static void forget_workers(struct job *job)
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

/* The index of a subtask in job->subtasks. */
static uint32_t subtask_index(const struct job *job, uint32_t vertex, uint32_t subtask)
{
    uint32_t base = 0;
    for (uint32_t v = 0; v < vertex; v++) base += job->plan->vertices[v].parallelism;
    return base + subtask;
}

static void reset_subtasks(struct job *job)
{
    job->subtasks = zeroed(job->n_subtasks, sizeof *job->subtasks);
    uint32_t at = 0;
    for (uint32_t v = 0; v < job->plan->n_vertices; v++)
        for (uint32_t i = 0; i < job->plan->vertices[v].parallelism; i++)
            job->subtasks[at++] = (struct wire_subtask_stats){.vertex = v, .subtask = i, .watermark_ms = WEIR_TIME_MIN};
}

static void take_places(struct job *job, const struct job_event *ev)
{
    forget_workers(job);
    job->n_workers = ev->placed.n_workers;
    job->workers = zeroed(job->n_workers, sizeof *job->workers);
    job->slot_worker = zeroed(job->n_slots, sizeof *job->slot_worker);
    for (uint32_t w = 0; w < job->n_workers; w++) {
        job->workers[w].member = ev->placed.places[w].member;
        job->workers[w].taskmanager = copy_text(ev->placed.places[w].taskmanager);
        job->workers[w].host = copy_text(ev->placed.places[w].host);
        job->workers[w].endpoint = copy_text("");
        job->workers[w].state = JOB_WORKER_DEPLOYED;
    }
    for (uint32_t i = 0; i < job->n_slots; i++) {
        job->slot_worker[i] = ev->placed.slot_worker[i];
        job->workers[job->slot_worker[i]].n_slots++;
    }
    reset_subtasks(job);
}

/* The worker is gone from its TaskManager; when that one still lives its slots are free again. */
static void worker_gone(struct job_worker *worker, enum job_worker_state state, struct job_actions *out)
{
    worker->state = state;
    if (state != JOB_WORKER_LOST) act(out, JOB_DO_RELEASE, worker->member);
    worker->member = 0;
}

static void on_placed(struct job *job, const struct job_event *ev, struct job_actions *out)
{
    WEIR_ASSERT(job->state == JOB_CREATED);
    WEIR_ASSERT(ev->placed.n_slots == job->n_slots);
    take_places(job, ev);
    job->attempt++;
    job->started = false;
    job->committing = false;
    enter(job, JOB_DEPLOYING, ev);
    weir_err err = send_deploy(job, out);
    if (!err) return;
    clear(out); /* nobody has heard of this attempt, so nobody needs to be told of its end */
    for (uint32_t w = 0; w < job->n_workers; w++) worker_gone(&job->workers[w], JOB_WORKER_CANCELED, out);
    fail_text(job, err, "", ev, out, "the order to deploy is larger than %u bytes: too many splits or arguments for one worker",
              LINK_MESSAGE_MAX);
}

/* ---- messages of workers ---- */

static bool come_to(struct job_worker *worker, enum job_worker_state from, enum job_worker_state to)
{
    if (worker->state != from) return false;
    worker->state = to;
    return true;
}

/* Takes the steps that are due when the slowest worker has come far enough. */
static void advance(struct job *job, const struct job_event *ev, struct job_actions *out)
{
    if (job->state != JOB_DEPLOYING && job->state != JOB_RUNNING) return;
    if (!job->started && !workers_before(job, JOB_WORKER_READY)) {
        job->started = true;
        job->deadline_ms = ev->now_ms + job->start_timeout_ms;
        weir_err err = send_start(job, out);
        if (err) fail_text(job, err, "", ev, out, "the order to start is larger than %u bytes: too many workers", LINK_MESSAGE_MAX);
        return;
    }
    if (job->state == JOB_DEPLOYING && !workers_before(job, JOB_WORKER_RUNNING)) enter(job, JOB_RUNNING, ev);
    if (job->state != JOB_RUNNING || job->committing) return;
    if (workers_before(job, JOB_WORKER_PREPARED)) return;
    job->committing = true;
    send_all(job, WIRE_COMMIT, out);
}

static bool on_ready(struct job *job, struct job_worker *worker, const struct job_event *ev, struct job_actions *out)
{
    const struct wire_msg *msg = ev->message.msg;
    if (!come_to(worker, JOB_WORKER_DEPLOYED, JOB_WORKER_READY)) return false;
    free(worker->endpoint);
    worker->endpoint = copy_text(msg->ready.endpoint);
    worker->incarnation = msg->ready.incarnation;
    if (msg->ready.fingerprint == job->graph.fingerprint) {
        advance(job, ev, out);
        return true;
    }
    fail_text(job, WEIR_E_GRAPH, worker->taskmanager, ev, out,
              "the plugin built another graph on TaskManager %s (%s) than when it was described: fingerprint %016" PRIx64
              " instead of %016" PRIx64 "; a graph must depend on nothing but the arguments",
              worker->taskmanager, worker->host, msg->ready.fingerprint, job->graph.fingerprint);
    return true;
}

static bool on_running(struct job *job, struct job_worker *worker, const struct job_event *ev, struct job_actions *out)
{
    if (!job->started || !come_to(worker, JOB_WORKER_READY, JOB_WORKER_RUNNING)) return false;
    advance(job, ev, out);
    return true;
}

static bool on_prepared(struct job *job, struct job_worker *worker, const struct job_event *ev, struct job_actions *out)
{
    if (!come_to(worker, JOB_WORKER_RUNNING, JOB_WORKER_PREPARED)) return false;
    advance(job, ev, out);
    return true;
}

/* Copies the counters of those subtasks that the worker runs; a worker cannot speak for others. */
static bool on_stats(struct job *job, struct job_worker *worker, const struct job_event *ev)
{
    struct wire_msg *msg = ev->message.msg;
    for (uint32_t i = 0; i < msg->stats.n_subtasks; i++) {
        const struct wire_subtask_stats *s = &msg->stats.subtasks[i];
        if (s->vertex >= job->plan->n_vertices || s->subtask >= job->plan->vertices[s->vertex].parallelism) continue;
        if (job->slot_worker[s->subtask] != ev->message.worker) continue;
        job->subtasks[subtask_index(job, s->vertex, s->subtask)] = *s;
    }
    if (worker->has_stats) wire_msg_close(&worker->stats);
    worker->stats = *msg;
    worker->has_stats = true;
    *msg = (struct wire_msg){0};
    return true;
}

static void on_committed(struct job *job, struct job_worker *worker, const struct job_event *ev, struct job_actions *out)
{
    bool asked = job->committing && worker->state == JOB_WORKER_PREPARED;
    worker_gone(worker, JOB_WORKER_COMMITTED, out);
    if (!asked) {
        fail_text(job, WEIR_E_PROTOCOL, worker->taskmanager, ev, out, "the worker on TaskManager %s (%s) committed without being asked",
                  worker->taskmanager, worker->host);
        return;
    }
    if (job->state == JOB_RUNNING && all_committed(job)) end(job, JOB_FINISHED, ev, out);
    if (job->state == JOB_FAILING || job->state == JOB_CANCELLING) end_if_empty(job, ev, out);
}

static void on_canceled(struct job *job, struct job_worker *worker, const struct job_event *ev, struct job_actions *out)
{
    worker_gone(worker, JOB_WORKER_CANCELED, out);
    if (job->state == JOB_FAILING || job->state == JOB_CANCELLING) {
        end_if_empty(job, ev, out);
        return;
    }
    fail_text(job, WEIR_E_PROTOCOL, worker->taskmanager, ev, out, "the worker on TaskManager %s (%s) was canceled, but nobody asked for it",
              worker->taskmanager, worker->host);
}

static bool on_ended(struct job *job, struct job_worker *worker, const struct job_event *ev, struct job_actions *out)
{
    const struct wire_msg *msg = ev->message.msg;
    switch ((enum wire_outcome)msg->ended.outcome) {
    case WIRE_COMMITTED: on_committed(job, worker, ev, out); return true;
    case WIRE_CANCELED: on_canceled(job, worker, ev, out); return true;
    case WIRE_FAILED: break;
    }
    /* An outcome that we do not know is a failure as well: the worker is gone and has not committed. */
    const struct wire_failure *f = &msg->ended.failure;
    struct cause cause = {.code = f->code ? f->code : WEIR_E_INTERNAL,
                          .operator_id = f->operator_id,
                          .subtask = f->subtask,
                          .reason = f->reason && *f->reason ? f->reason : "the worker ended without a reason",
                          .taskmanager = worker->taskmanager,
                          .symptom = f->code == WEIR_E_UNREACHABLE};
    worker_gone(worker, JOB_WORKER_FAILED, out);
    fail(job, &cause, ev, out);
    return true;
}

static bool on_message(struct job *job, const struct job_event *ev, struct job_actions *out)
{
    WEIR_ASSERT(ev->message.worker < job->n_workers);
    struct job_worker *worker = &job->workers[ev->message.worker];
    if (job_state_terminal(job->state) || job_worker_gone(worker->state)) return false;
    switch (ev->message.msg->type) {
    case WIRE_WORKER_READY: return on_ready(job, worker, ev, out);
    case WIRE_WORKER_RUNNING: return on_running(job, worker, ev, out);
    case WIRE_WORKER_STATS: return on_stats(job, worker, ev);
    case WIRE_WORKER_PREPARED: return on_prepared(job, worker, ev, out);
    case WIRE_WORKER_ENDED: return on_ended(job, worker, ev, out);
    default: return false;
    }
}

static void on_lost(struct job *job, const struct job_event *ev, struct job_actions *out)
{
    WEIR_ASSERT(ev->lost.worker < job->n_workers);
    struct job_worker *worker = &job->workers[ev->lost.worker];
    if (job_state_terminal(job->state) || job_worker_gone(worker->state)) return;
    worker_gone(worker, JOB_WORKER_LOST, out);
    fail_text(job, WEIR_E_UNREACHABLE, worker->taskmanager, ev, out, "%s", ev->lost.reason);
}

/* ---- cancel, time ---- */

static void on_cancel(struct job *job, const struct job_event *ev, struct job_actions *out)
{
    switch (job->state) {
    case JOB_INITIALIZING:
        act(out, JOB_DO_STOP_DESCRIBE, 0);
        end(job, JOB_CANCELED, ev, out);
        return;
    case JOB_CREATED: end(job, JOB_CANCELED, ev, out); return;
    case JOB_DEPLOYING:
    case JOB_RUNNING:
        if (job->committing) {
            weir_fail(&out->answer, WEIR_E_STATE, "too late: the job has finished its work and its output is being committed");
            return;
        }
        job->cancel_requested = true;
        enter(job, JOB_CANCELLING, ev);
        send_all(job, WIRE_CANCEL, out);
        return;
    case JOB_FAILING: job->cancel_requested = true; return; /* its workers are being canceled already; the failure is kept */
    case JOB_CANCELLING: return;
    case JOB_FINISHED:
    case JOB_FAILED:
    case JOB_CANCELED: weir_fail(&out->answer, WEIR_E_STATE, "the job has already ended: %s", job_state_name(job->state)); return;
    }
}

static const struct job_worker *first_before(const struct job *job, enum job_worker_state state)
{
    for (uint32_t w = 0; w < job->n_workers; w++)
        if (job->workers[w].state < state) return &job->workers[w];
    WEIR_ASSERT(false); /* else the job would be RUNNING */
    return NULL;
}

static void on_tick(struct job *job, const struct job_event *ev, struct job_actions *out)
{
    if (ev->now_ms < job->deadline_ms) return;
    const struct job_worker *late;
    switch (job->state) {
    case JOB_INITIALIZING:
        act(out, JOB_DO_STOP_DESCRIBE, 0);
        fail_text(job, WEIR_E_TIMEOUT, "", ev, out, "the plugin did not describe its graph within %" PRIu32 " ms",
                  job->describe_timeout_ms);
        return;
    case JOB_CREATED:
        fail_text(job, WEIR_E_TIMEOUT, "", ev, out,
                  "the job needs %" PRIu32 " slots; after %" PRIu32 " ms the cluster has %" PRIu32 " free of %" PRIu32
                  ": start TaskManagers, or lower the parallelism",
                  job->n_slots, job->slot_wait_ms, ev->tick.slots_free, ev->tick.slots_total);
        return;
    case JOB_DEPLOYING:
        late = first_before(job, JOB_WORKER_RUNNING);
        fail_text(job, WEIR_E_TIMEOUT, late->taskmanager, ev, out,
                  "the worker on TaskManager %s (%s) did not connect to its peers within %" PRIu32 " ms", late->taskmanager, late->host,
                  job->start_timeout_ms);
        return;
    default: return;
    }
}

void job_step(struct job *job, const struct job_event *ev, struct job_actions *out)
{
    clear(out);
    switch (ev->type) {
    case JOB_EV_DESCRIBED: on_described(job, ev, out); return;
    case JOB_EV_PLACED: on_placed(job, ev, out); return;
    case JOB_EV_MESSAGE: out->outcome = on_message(job, ev, out) ? JOB_TAKEN : JOB_UNEXPECTED; return;
    case JOB_EV_LOST: on_lost(job, ev, out); return;
    case JOB_EV_CANCEL: on_cancel(job, ev, out); return;
    case JOB_EV_TICK: on_tick(job, ev, out); return;
    }
}

/* ---- life ---- */

weir_err job_submission_check(const struct job_submission *sub, struct weir_diag *diag)
{
    if (id_is_zero(sub->id)) return weir_fail(diag, WEIR_E_ARGUMENT, "a job needs an id");
    if (sub->parallelism > WEIR_PARALLELISM_MAX)
        return weir_fail(diag, WEIR_E_ARGUMENT, "parallelism %" PRIu32 " is outside 1 ... %d", sub->parallelism, WEIR_PARALLELISM_MAX);
    if (!sub->size || sub->size > WEIR_PLUGIN_MAX)
        return weir_fail(diag, WEIR_E_ARGUMENT, "a plugin has 1 to %u bytes, this one has %" PRIu64, WEIR_PLUGIN_MAX, sub->size);
    if (sub->progress_timeout_ms > INT32_MAX) return weir_fail(diag, WEIR_E_ARGUMENT, "the progress timeout is above %d ms", INT32_MAX);
    size_t bytes = 0;
    for (uint32_t i = 0; i < sub->n_args && i <= WEIR_ARGS_MAX; i++) bytes += strlen(sub->args[i]);
    if (sub->n_args > WEIR_ARGS_MAX || bytes > WEIR_ARG_BYTES_MAX)
        return weir_fail(diag, WEIR_E_ARGUMENT, "a job takes at most %d arguments of %d bytes together", WEIR_ARGS_MAX, WEIR_ARG_BYTES_MAX);
    return WEIR_OK;
}

void job_new(struct job **out, const struct job_config *config, const struct job_submission *sub, int64_t now_ms, int64_t wall_ms)
{
    struct job *job = zeroed(1, sizeof *job);
    job->id = sub->id;
    job->epoch = config->epoch;
    job->number = config->number;
    job->digest = sub->digest;
    job->size = sub->size;
    job->name = copy_text(sub->name);
    job->cwd = copy_text(sub->cwd);
    job->parallelism = sub->parallelism ? sub->parallelism : 1;
    job->progress_timeout_ms = sub->progress_timeout_ms ? sub->progress_timeout_ms : WEIR_PROGRESS_TIMEOUT_MS;
    job->n_args = sub->n_args;
    job->args = zeroed(sub->n_args, sizeof *job->args);
    for (uint32_t i = 0; i < sub->n_args; i++) job->args[i] = copy_text(sub->args[i]);
    job->slot_wait_ms = config->slot_wait_ms;
    job->describe_timeout_ms = config->describe_timeout_ms;
    job->start_timeout_ms = config->start_timeout_ms;
    job->submitted_wall_ms = wall_ms;
    job->failure = (struct job_failure){.operator_id = copy_text(""), .reason = copy_text(""), .taskmanager = copy_text(""), .subtask = -1};
    job->state = JOB_INITIALIZING;
    job->deadline_ms = now_ms + job->describe_timeout_ms;
    job->history[job->n_history++] = (struct job_change){.state = JOB_INITIALIZING, .wall_ms = wall_ms};
    *out = job;
}

void job_destroy(struct job **pjob)
{
    struct job *job = *pjob;
    if (!job) return;
    forget_workers(job);
    plan_destroy(&job->plan);
    if (job->described) graph_close(&job->graph);
    for (uint32_t i = 0; i < job->n_args; i++) free(job->args[i]);
    free(job->args);
    free(job->name);
    free(job->cwd);
    close_failure(&job->failure);
    free(job);
    *pjob = NULL;
}

/* ---- views ---- */

const char *job_name(const struct job *job)
{
    if (*job->name) return job->name;
    return job->described && job->graph.name ? job->graph.name : "";
}

const struct wire_subtask_stats *job_subtask_stats(const struct job *job, uint32_t vertex, uint32_t subtask)
{
    static const struct wire_subtask_stats none = {.watermark_ms = WEIR_TIME_MIN};
    return job->subtasks ? &job->subtasks[subtask_index(job, vertex, subtask)] : &none;
}

const struct job_worker *job_subtask_worker(const struct job *job, uint32_t subtask)
{
    return job->n_workers ? &job->workers[job->slot_worker[subtask]] : NULL;
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
