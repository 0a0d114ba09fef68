/* SPDX-License-Identifier: Apache-2.0 */
/* The states of a job (job.h). */
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
#include "runtime/base/limits.h"
#include "runtime/checkpoint/layout.h"
#include "runtime/wire/link.h"
#include "weir/stream.h"

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

/* Stores how the job ends; it has ended when that is stored. */
static void conclude(struct job *job, enum job_state outcome, const struct job_event *ev, struct job_actions *out)
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

static void close_failure(struct job_failure *f)
{
    free(f->operator_id);
    free(f->reason);
    free(f->taskmanager);
}

static struct job_failure no_failure(void)
{
    return (struct job_failure){.operator_id = must_copy(""), .reason = must_copy(""), .taskmanager = must_copy(""), .subtask = -1};
}

/* It is overcome: the next attempt begins without. */
static void remember_failure(struct job *job)
{
    if (!job->failure.code) return;
    if (job->n_failures == JOB_FAILURES_MAX) {
        close_failure(&job->failures[0]);
        memmove(&job->failures[0], &job->failures[1], --job->n_failures * sizeof job->failures[0]);
    }
    job->failures[job->n_failures++] = job->failure;
    job->failure = no_failure();
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
    close_failure(&job->failure);
    job->failure = f;
}

/* ---- after a failure ---- */

/* Without checkpoints what was committed stays; with them a restart commits the rest. */
static bool may_restart(const struct job *job)
{
    return !job->fatal && !job->cancel_requested && job->attempt > 0 && !(job->committing && !job->ckpt);
}

static void restart_or_end(struct job *job, const struct job_event *ev, struct job_actions *out)
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
        conclude(job, JOB_FAILED, ev, out);
        return;
    }
    job_enter(job, JOB_RESTARTING, ev);
    job->n_restarts++;
    job->deadline_ms = ev->now_ms + decision.delay_ms;
    job_tell(out, "restart %" PRIu32 " in %" PRId64 " ms", job->n_restarts, decision.delay_ms);
}

void job_leave_if_empty(struct job *job, const struct job_event *ev, struct job_actions *out)
{
    if (job->outcome || job_workers_before(job, JOB_WORKER_COMMITTED)) return;
    if (job->state == JOB_RUNNING && job->cancel_storing) return; /* as COMMIT does: whoever leads when it is stored obeys it */
    if (job->state == JOB_RUNNING && job_all_committed(job)) job_checkpoints_detach(job, NULL, ev, out);
    if (!job_checkpoints_settled(job)) return;
    if (job->state == JOB_FAILING)
        restart_or_end(job, ev, out);
    else if (job->state == JOB_CANCELLING)
        conclude(job, JOB_CANCELED, ev, out);
    else if (job->state == JOB_RUNNING && job_all_committed(job))
        conclude(job, JOB_FINISHED, ev, out);
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

/* ---- from the submission to CREATED ---- */

static void on_begin(struct job *job, struct job_actions *out)
{
    struct job_submission sub = job_submission_of(job);
    size_t at = out->bytes.len;
    records_submission(&sub, job->number, job->submitted_wall_ms, &out->bytes);
    job_put(job, JOB_KEY_SUBMISSION, at, true, out);
}

static void describe(struct job *job, const struct job_event *ev, struct job_actions *out)
{
    job->deadline_ms = ev->now_ms + job->describe_timeout_ms;
    job_act(out, JOB_DO_DESCRIBE);
}

/* Takes the graph. False: it has failed the job. */
static bool take_graph(struct job *job, struct graph *graph, const struct job_event *ev, struct job_actions *out)
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
    if (!take_graph(job, ev->described.graph, ev, out)) return;
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
        describe(job, ev, out);
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
    remember_failure(job);
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

/* ---- recovery ---- */

static void recover_result(struct job *job, const struct job_recovery *r)
{
    close_failure(&job->failure);
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

static void on_recover(struct job *job, const struct job_event *ev, struct job_actions *out)
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
    if (r->graph && !take_graph(job, r->graph, ev, out)) return;
    if (job->attempt && r->graph)
        job_begin_reconciling(job, ev);
    else if (r->cancel)
        job_begin_cancelling(job, ev, out);
    else if (r->graph)
        job_put_attempt(job, job->attempt + 1, false, out);
    else
        describe(job, ev, out);
}

/* ---- the step ---- */

void job_step(struct job *job, const struct job_event *ev, struct job_actions *out)
{
    job_clear(out);
    switch (ev->type) {
    case JOB_EV_BEGIN: on_begin(job, out); return;
    case JOB_EV_RECOVER: on_recover(job, ev, out); return;
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

/* ---- life ---- */

/* Its own options over the cluster's. */
static weir_err read_options(const struct job_submission *sub, const struct job_options *cluster, struct job_options *out,
                             struct weir_diag *diag)
{
    *out = *cluster;
    for (uint32_t i = 0; i < sub->n_options; i++) {
        weir_err err = job_options_set(out, sub->options[i].key, sub->options[i].value, diag);
        if (err) return err;
    }
    return job_options_check(out, diag);
}

static weir_err check_from(const struct job_submission *sub, struct weir_diag *diag)
{
    if (!sub->from || !*sub->from) return WEIR_OK;
    if (sub->from[0] != '/' || strlen(sub->from) >= CKPT_TEXT_MAX)
        return weir_fail(diag, WEIR_E_ARGUMENT, "the savepoint's path must be absolute, of at most %u bytes", CKPT_TEXT_MAX - 1);
    return WEIR_OK;
}

weir_err job_submission_check(const struct job_submission *sub, const struct job_options *options, struct weir_diag *diag)
{
    struct job_options own;
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
    if (sub->n_options > JOB_OPTIONS_MAX) return weir_fail(diag, WEIR_E_ARGUMENT, "a job takes at most %u options", JOB_OPTIONS_MAX);
    weir_err err = read_options(sub, options, &own, diag);
    return err ? err : check_from(sub, diag);
}

static void copy_submission(struct job *job, const struct job_submission *sub)
{
    job->id = sub->id;
    job->digest = sub->digest;
    job->size = sub->size;
    job->name = must_copy(sub->name);
    job->cwd = must_copy(sub->cwd);
    job->parallelism = sub->parallelism ? sub->parallelism : 1;
    job->progress_timeout_ms = sub->progress_timeout_ms ? sub->progress_timeout_ms : WEIR_PROGRESS_TIMEOUT_MS;
    job->n_args = sub->n_args;
    job->args = must_zero(sub->n_args, sizeof *job->args);
    for (uint32_t i = 0; i < sub->n_args; i++) job->args[i] = must_copy(sub->args[i]);
    job->n_options = sub->n_options;
    job->own_options = must_zero(sub->n_options, sizeof *job->own_options);
    for (uint32_t i = 0; i < sub->n_options; i++)
        job->own_options[i] = (struct job_option){must_copy(sub->options[i].key), must_copy(sub->options[i].value)};
    job->from = must_copy(sub->from);
    job->from_claim = sub->from_claim;
    job->from_unmatched = sub->from_unmatched;
    job->predecessor = sub->predecessor;
}

struct job_submission job_submission_of(const struct job *job)
{
    return (struct job_submission){.id = job->id,
                                   .digest = job->digest,
                                   .size = job->size,
                                   .name = job->name,
                                   .cwd = job->cwd,
                                   .parallelism = job->parallelism,
                                   .progress_timeout_ms = job->progress_timeout_ms,
                                   .n_args = job->n_args,
                                   .args = (const char *const *)job->args,
                                   .n_options = job->n_options,
                                   .options = job->own_options,
                                   .from = job->from,
                                   .from_claim = job->from_claim,
                                   .from_unmatched = job->from_unmatched,
                                   .predecessor = job->predecessor};
}

static struct ckpt_config ckpt_config_of(const struct job_options *options)
{
    return (struct ckpt_config){.interval_ms = options->interval_ms,
                                .min_pause_ms = options->min_pause_ms,
                                .timeout_ms = options->timeout_ms,
                                .tolerable_failures = options->tolerable_failures,
                                .n_retained = options->n_retained};
}

/* The coordinator, when the job has checkpoints, be it only the savepoint that it begins with. */
static void make_coordinator(struct job *job, const char *default_dir)
{
    char dir[PATH_MAX];
    if (!job_options_checkpoints(&job->options) && !*job->from) return;
    weir_err err = layout_job(job->options.dir[0] ? job->options.dir : default_dir, job->id, dir, NULL);
    WEIR_ASSERT(!err); /* JOB_PATH_MAX */
    struct ckpt_config config = ckpt_config_of(&job->options);
    config.dir = dir;
    ckpt_new(&job->ckpt, &config);
}

void job_new(struct job **out, const struct job_config *config, const struct job_submission *sub, int64_t now_ms, int64_t wall_ms)
{
    struct job *job = must_zero(1, sizeof *job);
    copy_submission(job, sub);
    job->epoch = config->epoch;
    job->number = config->number;
    job->slot_wait_ms = config->slot_wait_ms;
    job->describe_timeout_ms = config->describe_timeout_ms;
    job->start_timeout_ms = config->start_timeout_ms;
    job->reconcile_ms = config->reconcile_ms;
    job->coordination = config->coordination;
    job->submitted_wall_ms = wall_ms;
    job->failure = no_failure();
    /* What the catalog holds was checked when it was submitted; a limit that was changed since is passed over. */
    if (read_options(sub, config->options, &job->options, NULL)) job->options = *config->options;
    struct restart_config strategy = job_options_restart(&job->options);
    job->strategy = strategy.kind;
    restart_init(&job->restart, &strategy, id_word(job->id) + (uint64_t)now_ms);
    make_coordinator(job, config->checkpoint_dir);
    job->state = JOB_INITIALIZING;
    job->deadline_ms = INT64_MAX;
    job->history[job->n_history++] = (struct job_change){.state = JOB_INITIALIZING, .wall_ms = wall_ms};
    job->n_changes++;
    *out = job;
}

weir_err job_options_with(const struct job *job, const struct job_options *cluster, const struct live_setting *live, uint32_t n,
                          struct job_options *out, struct weir_diag *diag)
{
    struct job_submission sub = job_submission_of(job);
    struct job_options options;
    char id[WEIR_ID_TEXT];
    weir_err err = read_options(&sub, cluster, &options, diag);
    if (!err) live_apply(live, n, id_text(job->id, id), &options);
    if (!err) err = job_options_check(&options, diag);
    if (!options.strategy) options.strategy = job->strategy;
    if (!err) *out = options;
    return err;
}

weir_err job_configure(struct job *job, const struct job_options *cluster, const struct live_setting *live, uint32_t n, int64_t now_ms,
                       struct weir_diag *diag)
{
    weir_err err = job_options_with(job, cluster, live, n, &job->options, diag);
    if (err) return err;
    struct restart_config strategy = job_options_restart(&job->options);
    restart_configure(&job->restart, &strategy);
    if (!job->ckpt) return WEIR_OK;
    struct ckpt_config config = ckpt_config_of(&job->options);
    ckpt_configure(job->ckpt, &config, now_ms);
    return WEIR_OK;
}

static void close_submission(struct job *job)
{
    for (uint32_t i = 0; i < job->n_args; i++) free(job->args[i]);
    for (uint32_t i = 0; i < job->n_options; i++) {
        free((char *)(uintptr_t)job->own_options[i].key);
        free((char *)(uintptr_t)job->own_options[i].value);
    }
    free(job->own_options);
    free(job->args);
    free(job->name);
    free(job->cwd);
    free(job->from);
}

void job_destroy(struct job **pjob)
{
    struct job *job = *pjob;
    if (!job) return;
    job_forget_workers(job);
    ckpt_destroy(&job->ckpt);
    restart_close(&job->restart);
    plan_destroy(&job->plan);
    if (job->described) graph_close(&job->graph);
    close_submission(job);
    close_failure(&job->failure);
    for (uint32_t i = 0; i < job->n_awaited; i++) free(job->awaited[i]);
    free(job->awaited);
    for (uint32_t i = 0; i < job->n_failures; i++) close_failure(&job->failures[i]);
    free(job);
    *pjob = NULL;
}
