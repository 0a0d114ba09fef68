/* SPDX-License-Identifier: Apache-2.0 */
/* The states of a job (job.h): from the submission to the first attempt, what the catalog has stored, cancels, time, the end. */
#include "jobmanager/job.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jobmanager/catalog_records.h"
#include "jobmanager/job_internal.h"
#include "runtime/base/assert.h"
#include "runtime/base/must.h"
#include "runtime/wire/link.h"

enum { RESULT_RETRY_MS = 1000 }; /* the end of a job that the catalog refused is put again after so long */

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

void job_clear(struct job_actions *a)
{
    a->n = 0;
    buffer_clear(&a->bytes);
    buffer_add(&a->bytes, "", 1); /* so that no text lies at 0 */
    a->outcome = JOB_TAKEN;
    a->answer.code = WEIR_OK;
    a->answer.text[0] = '\0';
}

struct job_action *job_act(struct job_actions *a, enum job_action_type type)
{
    if (a->n == a->cap) {
        a->cap = a->cap ? 2 * a->cap : 16;
        a->at = realloc(a->at, a->cap * sizeof *a->at);
        WEIR_ASSERT(a->at);
    }
    struct job_action *action = &a->at[a->n++];
    *action = (struct job_action){.type = type};
    return action;
}

size_t job_text(struct job_actions *a, const char *text)
{
    size_t at = a->bytes.len;
    buffer_add(&a->bytes, text, strlen(text) + 1);
    WEIR_ASSERT(!a->bytes.err);
    return at;
}

void job_tell(struct job_actions *out, const char *fmt, ...)
{
    char text[2 * WEIR_DIAG_MAX];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    size_t at = job_text(out, text);
    job_act(out, JOB_DO_TELL)->text = at;
}

void job_put(struct job *job, enum job_key key, size_t from, bool waits, struct job_actions *out)
{
    WEIR_ASSERT(!out->bytes.err);
    struct job_action *action = job_act(out, JOB_DO_PUT);
    action->key = key;
    action->id = job->put_of[key] = ++job->last_put;
    action->offset = from;
    action->len = out->bytes.len - from;
    if (waits) job->storing |= 1u << key;
}

static void put_attempt(struct job *job, uint32_t attempt, bool committing, bool waits, struct job_actions *out)
{
    size_t at = out->bytes.len;
    records_attempt(job, attempt, committing, &out->bytes);
    job_put(job, JOB_KEY_ATTEMPT, at, waits, out);
}

void job_put_attempt(struct job *job, uint32_t attempt, bool committing, struct job_actions *out)
{
    put_attempt(job, attempt, committing, true, out);
}

/* ---- states ---- */

void job_enter(struct job *job, enum job_state state, const struct job_event *ev)
{
    WEIR_ASSERT(!job_state_terminal(job->state));
    job->state = state;
    job->deadline_ms = INT64_MAX;
    if (job->n_history == JOB_HISTORY_MAX) memmove(&job->history[0], &job->history[1], --job->n_history * sizeof job->history[0]);
    job->history[job->n_history++] = (struct job_change){.state = state, .wall_ms = ev->wall_ms};
    job->n_changes++;
}

static void put_result(struct job *job, struct job_actions *out)
{
    size_t at = out->bytes.len;
    records_result(job, job->outcome, job->ended_wall_ms, &out->bytes);
    job_put(job, JOB_KEY_RESULT, at, true, out);
}

void job_conclude(struct job *job, enum job_state outcome, const struct job_event *ev, struct job_actions *out)
{
    job->outcome = outcome;
    job->ended_wall_ms = ev->wall_ms;
    if (outcome == JOB_FINISHED) job_find_successor(job);
    put_result(job, out);
}

static void on_concluded(struct job *job, const struct job_event *ev, struct job_actions *out)
{
    if (ev->stored.err) {
        job_tell(out, "the catalog does not take how the job ended, and is asked again: %s", ev->stored.reason);
        job->deadline_ms = ev->now_ms + RESULT_RETRY_MS;
        return;
    }
    job_checkpoints_end(job, job->outcome, out);
    job_act(out, JOB_DO_DELETE)->key = JOB_KEY_GRAPH;
    job_act(out, JOB_DO_DELETE)->key = JOB_KEY_CANCEL;
    job_enter(job, job->outcome, ev);
    job_act(out, JOB_DO_ENDED);
}

void job_leave_if_empty(struct job *job, const struct job_event *ev, struct job_actions *out)
{
    if (job->outcome || job_workers_before(job, JOB_WORKER_COMMITTED)) return;
    if (job->state == JOB_RUNNING && job->cancel_storing) return; /* as COMMIT does: whoever leads when it is stored obeys it */
    if (job->state == JOB_RUNNING && job_all_committed(job)) job_checkpoints_detach(job, NULL, ev, out);
    if (!job_checkpoints_settled(job)) return;
    if (job->state == JOB_FAILING)
        job_restart_or_end(job, ev, out);
    else if (job->state == JOB_CANCELLING)
        job_conclude(job, JOB_CANCELED, ev, out);
    else if (job->state == JOB_RUNNING && job_all_committed(job))
        job_conclude(job, JOB_FINISHED, ev, out);
}

/* ---- from the submission to CREATED ---- */

static void on_begin(struct job *job, struct job_actions *out)
{
    struct job_submission sub = job_submission_of(job);
    size_t at = out->bytes.len;
    records_submission(&sub, job->number, job->submitted_wall_ms, &out->bytes);
    job_put(job, JOB_KEY_SUBMISSION, at, true, out);
}

void job_describe(struct job *job, const struct job_event *ev, struct job_actions *out)
{
    job->deadline_ms = ev->now_ms + job->describe_timeout_ms;
    job_act(out, JOB_DO_DESCRIBE);
}

bool job_take_graph(struct job *job, struct graph *graph, const struct job_event *ev, struct job_actions *out)
{
    struct weir_diag diag;
    weir_err err = plan_new(&job->plan, graph, job->parallelism, &diag);
    WEIR_ASSERT(err != WEIR_E_NOMEM);
    if (err) {
        job_fail_text(job, err, "", ev, out, "%s", diag.text);
        return false;
    }
    job->graph = *graph;
    *graph = (struct graph){0};
    job->described = true;
    job->n_slots = job->plan->n_slots;
    for (uint32_t v = 0; v < job->plan->n_vertices; v++) job->n_subtasks += job->plan->vertices[v].parallelism;
    return true;
}

/* The graph with its splits, and the number of the next attempt. CREATED when they are stored. */
static void store_graph(struct job *job, struct job_actions *out)
{
    size_t at = out->bytes.len;
    weir_err err = graph_encode(&job->graph, &out->bytes);
    WEIR_ASSERT(!err);
    job_put(job, JOB_KEY_GRAPH, at, true, out);
    job_put_attempt(job, job->attempt + 1, false, out);
}

static void on_described(struct job *job, const struct job_event *ev, struct job_actions *out)
{
    if (job->state != JOB_INITIALIZING || job->described) return; /* canceled or timed out meanwhile */
    if (ev->described.err) {
        job_fail_text(job, ev->described.err, "", ev, out, "%s",
                      ev->described.reason ? ev->described.reason : "the plugin could not be described");
        return;
    }
    if (!job_take_graph(job, ev->described.graph, ev, out)) return;
    job->deadline_ms = INT64_MAX;
    if (*job->from)
        job_act(out, JOB_DO_OPEN);
    else
        store_graph(job, out);
}

static void on_opened(struct job *job, const struct job_event *ev, struct job_actions *out)
{
    if (job->state != JOB_INITIALIZING) return; /* canceled meanwhile */
    job_on_opened(job, ev, out);
    if (job->state == JOB_INITIALIZING) store_graph(job, out);
}

static void become_created(struct job *job, const struct job_event *ev)
{
    job_enter(job, JOB_CREATED, ev);
    job->deadline_ms = ev->now_ms + job->slot_wait_ms;
}

/* ---- what the catalog has stored ---- */

void job_refuse_ended(const struct job *job, struct weir_diag *diag)
{
    weir_fail(diag, WEIR_E_STATE, "the job has already ended: %s", job_state_name(job->state));
}

/* Everything that the state waited for is stored. */
static void go_on(struct job *job, const struct job_event *ev, struct job_actions *out)
{
    if (job->outcome)
        on_concluded(job, ev, out);
    else if (job->state == JOB_INITIALIZING && !job->described)
        job_describe(job, ev, out);
    else if (job->state == JOB_INITIALIZING || job->state == JOB_RESTARTING)
        become_created(job, ev);
    else if (job->state == JOB_RUNNING)
        job_commit(job, out); /* without checkpoints */
}

/* Who asked for what is under `key` waits for an answer, whether or not anybody wants the job any more. */
static void accept(enum job_key key, weir_err err, const char *reason, struct job_actions *out)
{
    size_t text = job_text(out, err ? reason : "");
    struct job_action *accepted = job_act(out, JOB_DO_ACCEPTED);
    accepted->key = key;
    accepted->code = err;
    accepted->text = text;
}

static void put_cancel(struct job *job, struct job_actions *out)
{
    size_t at = out->bytes.len;
    records_cancel(job->epoch, &out->bytes);
    job_put(job, JOB_KEY_CANCEL, at, false, out);
}

/* A cancel waits for the submission: of a job that nobody knows, it would be lost with it. */
static void on_submission_stored(struct job *job, const struct job_event *ev, struct job_actions *out)
{
    accept(JOB_KEY_SUBMISSION, ev->stored.err, ev->stored.reason, out);
    if (!job->cancel_storing) return;
    if (!ev->stored.err) {
        put_cancel(job, out);
        return;
    }
    job->cancel_storing = false;
    accept(JOB_KEY_CANCEL, ev->stored.err, ev->stored.reason, out);
}

static void on_cancel_stored(struct job *job, const struct job_event *ev, struct job_actions *out)
{
    struct weir_diag diag = {.code = ev->stored.err};
    job->cancel_storing = false;
    if (!diag.code && job_state_terminal(job->state)) job_refuse_ended(job, &diag);
    accept(JOB_KEY_CANCEL, diag.code, ev->stored.err ? ev->stored.reason : diag.text, out);
    if (!diag.code)
        job_begin_cancelling(job, ev, out);
    else if (job->commit_waits && job->state == JOB_RUNNING)
        job_commit(job, out);
    if (job->state == JOB_RUNNING) job_leave_if_empty(job, ev, out); /* all have committed under a leader before */
}

static void on_stored(struct job *job, const struct job_event *ev, struct job_actions *out)
{
    uint32_t bit = 1u << ev->stored.key;
    if (ev->stored.key == JOB_KEY_SUBMISSION) on_submission_stored(job, ev, out);
    if (ev->stored.key == JOB_KEY_CANCEL) {
        on_cancel_stored(job, ev, out);
        return;
    }
    if (ev->stored.number != job->put_of[ev->stored.key]) return; /* another one of the same key has followed it */
    if (ev->stored.key == JOB_KEY_REQUESTS) {
        job_on_recorded(job, ev, out);
        return;
    }
    if (ev->stored.key == JOB_KEY_COUNTER || (ev->stored.key == JOB_KEY_POINTERS && !(job->storing & bit))) {
        struct ckpt_event answer = {.type = ev->stored.key == JOB_KEY_COUNTER ? CKPT_EV_RESERVED : CKPT_EV_POINTER};
        answer.answer.id = job->ckpt->id;
        answer.answer.err = ev->stored.err;
        answer.answer.reason = ev->stored.reason;
        (void)job_checkpoints_step(job, &answer, ev, out);
        job_leave_if_empty(job, ev, out); /* it may have waited for this */
        return;
    }
    if (!(job->storing & bit)) return; /* canceled or failed meanwhile */
    job->storing &= ~bit;
    if (ev->stored.err && !job->outcome)
        job_fail_text(job, ev->stored.err, "", ev, out, "the catalog does not take the job: %s", ev->stored.reason);
    else if (!job->storing)
        go_on(job, ev, out);
}

/* ---- placed ---- */

void job_reset_subtasks(struct job *job)
{
    job->subtasks = must_zero(job->n_subtasks, sizeof *job->subtasks);
    uint32_t at = 0;
    for (uint32_t v = 0; v < job->plan->n_vertices; v++)
        for (uint32_t i = 0; i < job->plan->vertices[v].parallelism; i++)
            job->subtasks[at++] = (struct wire_subtask_stats){.vertex = v, .subtask = i, .watermark_ms = WEIR_TIME_MIN};
}

static void take_places(struct job *job, const struct job_event *ev)
{
    job_forget_workers(job);
    job->n_workers = ev->placed.n_workers;
    job->workers = must_zero(job->n_workers, sizeof *job->workers);
    job->slot_worker = must_zero(job->n_slots, sizeof *job->slot_worker);
    for (uint32_t w = 0; w < job->n_workers; w++) {
        job->workers[w].member = ev->placed.places[w].member;
        job->workers[w].taskmanager = must_copy(ev->placed.places[w].taskmanager);
        job->workers[w].host = must_copy(ev->placed.places[w].host);
        job->workers[w].endpoint = must_copy("");
        job->workers[w].state = JOB_WORKER_DEPLOYED;
    }
    for (uint32_t i = 0; i < job->n_slots; i++) {
        job->slot_worker[i] = ev->placed.slot_worker[i];
        job->workers[job->slot_worker[i]].n_slots++;
    }
    job_reset_subtasks(job);
}

static void on_placed(struct job *job, const struct job_event *ev, struct job_actions *out)
{
    WEIR_ASSERT(job->state == JOB_CREATED);
    WEIR_ASSERT(ev->placed.n_slots == job->n_slots);
    const struct ckpt_pointer *from = job->ckpt ? ckpt_restore_point(job->ckpt) : NULL;
    take_places(job, ev);
    job_remember_failure(job);
    job->attempt++;
    job->attempt_epoch = job->epoch;
    job->started = false;
    job->committing = job->commit_waits = false;
    job->restored_id = from ? from->id : 0;
    job_enter(job, JOB_DEPLOYING, ev);
    if (from) job_tell(out, "attempt %" PRIu32 " restores checkpoint %" PRIu64 " at %s", job->attempt, from->id, from->path);
    size_t told = out->n;
    weir_err err = job_send_deploy(job, out);
    if (!err) { /* where its workers are; nobody waits for this: who does not find it waits longer for them (job_reconcile.c) */
        put_attempt(job, job->attempt, false, false, out);
        return;
    }
    out->n = (uint32_t)told; /* nobody has heard of this attempt, so nobody needs to be told of its end */
    for (uint32_t w = 0; w < job->n_workers; w++) job_worker_gone_as(&job->workers[w], JOB_WORKER_CANCELED, out);
    job->fatal = true;
    job_fail_text(job, err, "", ev, out, "the order to deploy is larger than %u bytes: too many splits or arguments for one worker",
                  LINK_MESSAGE_MAX);
}

/* ---- cancel, time ---- */

static void on_cancel(struct job *job, struct job_actions *out)
{
    if (job_state_terminal(job->state)) {
        job_refuse_ended(job, &out->answer);
        return;
    }
    /* With checkpoints a failure behind COMMIT begins another attempt, which may be canceled. */
    bool lasts = !job->ckpt || job->state == JOB_RUNNING || job->state == JOB_RECONCILING;
    if (job->outcome == JOB_FINISHED || (job->committing && lasts)) {
        weir_fail(&out->answer, WEIR_E_STATE, "too late: the job has finished its work and its output is being committed");
        return;
    }
    if (job->cancel_requested || job->cancel_storing) return;
    job->cancel_storing = true;
    if (!(job->storing & 1u << JOB_KEY_SUBMISSION)) put_cancel(job, out);
}

void job_begin_cancelling(struct job *job, const struct job_event *ev, struct job_actions *out)
{
    struct wire_msg cancel = {.type = WIRE_CANCEL};
    job->cancel_requested = true;
    if (job->state == JOB_FAILING || job->state == JOB_CANCELLING) return; /* its workers are being canceled already; a failure is kept */
    if (job->state == JOB_INITIALIZING) job_act(out, JOB_DO_STOP_DESCRIBE);
    job_stop_reconciling(job, out);
    job_enter(job, JOB_CANCELLING, ev);
    job->storing = 0;
    job_checkpoints_detach(job, "the job was canceled", ev, out);
    job_send_all(job, &cancel, out);
    job_leave_if_empty(job, ev, out);
}

static void on_time(struct job *job, const struct job_event *ev, struct job_actions *out)
{
    const struct job_worker *late;
    if (job->outcome) {
        job->deadline_ms = INT64_MAX;
        put_result(job, out);
        return;
    }
    switch (job->state) {
    case JOB_INITIALIZING:
        job_act(out, JOB_DO_STOP_DESCRIBE);
        job_fail_text(job, WEIR_E_TIMEOUT, "", ev, out, "the plugin did not describe its graph within %" PRIu32 " ms",
                      job->describe_timeout_ms);
        return;
    case JOB_RECONCILING: job_give_up_reconciling(job, ev, out, "not all were reported within %" PRIu32 " ms", job->reconcile_ms); return;
    case JOB_CREATED:
        job_fail_text(job, WEIR_E_TIMEOUT, "", ev, out,
                      "the job needs %" PRIu32 " slots; after %" PRIu32 " ms the cluster has %" PRIu32 " free of %" PRIu32
                      ": start TaskManagers, or lower the parallelism",
                      job->n_slots, job->slot_wait_ms, ev->tick.slots_free, ev->tick.slots_total);
        return;
    case JOB_DEPLOYING:
        late = job_first_before(job, JOB_WORKER_RUNNING);
        job_fail_text(job, WEIR_E_TIMEOUT, late->taskmanager, ev, out,
                      "the worker on TaskManager %s (%s) did not %sconnect to its peers within %" PRId64 " ms%s", late->taskmanager,
                      late->host, job->restored_id ? "restore its state and " : "", job_start_wait_ms(job),
                      job->restored_id ? " (execution.state-recovery.timeout)" : "");
        return;
    case JOB_RESTARTING:
        job->deadline_ms = INT64_MAX;
        job_put_attempt(job, job->attempt + 1, false, out);
        return;
    default: return;
    }
}

static void on_tick(struct job *job, const struct job_event *ev, struct job_actions *out)
{
    struct ckpt_event tick = {.type = CKPT_EV_TICK};
    if (ev->now_ms >= job->deadline_ms) on_time(job, ev, out);
    if (job->ckpt && !job_state_terminal(job->state)) (void)job_checkpoints_step(job, &tick, ev, out);
}

int64_t job_deadline_ms(const struct job *job)
{
    int64_t at = job->ckpt && !job_state_terminal(job->state) ? ckpt_deadline_ms(job->ckpt) : INT64_MAX;
    return job->deadline_ms < at ? job->deadline_ms : at;
}

/* ---- the step ---- */

void job_step(struct job *job, const struct job_event *ev, struct job_actions *out)
{
    job_clear(out);
    switch (ev->type) {
    case JOB_EV_BEGIN: on_begin(job, out); return;
    case JOB_EV_RECOVER: job_on_recover(job, ev, out); return;
    case JOB_EV_STORED: on_stored(job, ev, out); return;
    case JOB_EV_DESCRIBED: on_described(job, ev, out); return;
    case JOB_EV_OPENED: on_opened(job, ev, out); return;
    case JOB_EV_PLACED: on_placed(job, ev, out); return;
    case JOB_EV_REPORTED: out->outcome = job_on_reported(job, ev, out); return;
    case JOB_EV_ALL_BACK: job_on_all_back(job, ev, out); return;
    case JOB_EV_MESSAGE: out->outcome = job_on_message(job, ev, out); return;
    case JOB_EV_LOST: job_on_lost(job, ev, out); return;
    case JOB_EV_CHECKPOINT: job_on_checkpoint(job, ev, out); return;
    case JOB_EV_CLEANED:
        if (!ev->cleaned.err) job_act(out, JOB_DO_DELETE)->key = JOB_KEY_COUNTER; /* nothing is left to do after a restart */
        return;
    case JOB_EV_REQUEST: job_on_request(job, ev, out); return;
    case JOB_EV_CANCEL: on_cancel(job, out); return;
    case JOB_EV_TICK: on_tick(job, ev, out); return;
    }
}
