/* SPDX-License-Identifier: Apache-2.0 */
/* Workers as the supervisor sees them: from DEPLOY to the last word on how one ended. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/assert.h"
#include "taskmanager/supervisor_internal.h"
#include "weir/stream.h"

#define SHORT_ID 9 /* eight hex digits and NUL: enough to tell jobs apart in a line */

static const char *short_id(struct weir_id id, char out[static SHORT_ID])
{
    char text[WEIR_ID_TEXT];
    memcpy(out, id_text(id, text), SHORT_ID - 1);
    out[SHORT_ID - 1] = '\0';
    return out;
}

static void trace_worker(struct supervisor *s, const struct worker *w, bool notable, const char *what, const char *more)
{
    char id[SHORT_ID];
    supervisor_trace(s, notable, "worker of job %s attempt %" PRIu32 " %s%s%s", short_id(w->job, id), w->attempt, what, *more ? ": " : "",
                     more);
}

/* ---- words ---- */

static void words_close(struct words *w)
{
    free(w->operator_id);
    free(w->reason);
    *w = (struct words){0};
}

/* Comes from a worker or its black box, which user code may have written to: the wire has room for so much. */
static int32_t bounded_subtask(int32_t subtask)
{
    return subtask < -1 || subtask >= WEIR_PARALLELISM_MAX ? -1 : subtask;
}

static struct words words_make(enum wire_outcome outcome, weir_err code, const char *operator_id, int32_t subtask, const char *reason)
{
    return (struct words){.outcome = outcome,
                          .code = code,
                          .operator_id = supervisor_copy_text(operator_id),
                          .subtask = bounded_subtask(subtask),
                          .reason = supervisor_copy_text(reason)};
}

static void tell_ended(struct supervisor *s, uint64_t epoch, struct weir_id job, uint32_t attempt, const struct words *words)
{
    struct wire_msg msg = {.type = WIRE_WORKER_ENDED, .epoch = epoch, .job = job, .attempt = attempt};
    msg.ended.outcome = words->outcome;
    msg.ended.failure =
        (struct wire_failure){.code = words->code, .operator_id = words->operator_id, .subtask = words->subtask, .reason = words->reason};
    supervisor_tell(s, &msg);
}

/* ---- workers ---- */

struct worker *worker_find(const struct supervisor *s, struct weir_id job, uint32_t attempt)
{
    for (uint32_t i = 0; i < s->n_workers; i++)
        if (s->workers[i]->attempt == attempt && id_equal(s->workers[i]->job, job)) return s->workers[i];
    return NULL;
}

struct worker *worker_of_job(const struct supervisor *s, struct weir_id job)
{
    for (uint32_t i = 0; i < s->n_workers; i++)
        if (id_equal(s->workers[i]->job, job)) return s->workers[i];
    return NULL;
}

void worker_destroy(struct worker *w)
{
    words_close(&w->said);
    words_close(&w->sentence);
    words_close(&w->last);
    report_close(w);
    free(w->deploy);
    free(w);
}

/* Frees the slots of a worker that is no more, tells the JobManager, forgets it. */
static void forget(struct supervisor *s, struct worker *w, const struct words *words)
{
    slots_release(&s->slots, w->job, w->attempt);
    s->ended[s->n_ended++ % ENDED_KEPT] = report_ended(w, words->outcome);
    tell_ended(s, w->epoch, w->job, w->attempt, words);
    uint32_t i = 0;
    while (s->workers[i] != w) i++;
    memmove(&s->workers[i], &s->workers[i + 1], (s->n_workers - i - 1) * sizeof(struct worker *));
    s->n_workers--;
    worker_destroy(w);
}

/* The worker is no more. Its slots are held until a JobManager hears of it: the report of it may be on its way already. */
static void finish(struct supervisor *s, struct worker *w, const struct words *words)
{
    static const char *const outcomes[] = {"ended", "committed", "failed", "was canceled"};
    trace_worker(s, w, true, outcomes[words->outcome], words->reason);
    copies_rest(s, w->job);
    if (s->state != SUPERVISOR_REGISTERING) {
        forget(s, w, words);
        return;
    }
    w->state = SUPERVISOR_WORKER_GONE;
    w->last = words_make(words->outcome, words->code, words->operator_id, words->subtask, words->reason);
}

void workers_tell_gone(struct supervisor *s)
{
    for (uint32_t i = s->n_workers; i > 0; i--) {
        struct worker *w = s->workers[i - 1];
        if (w->state != SUPERVISOR_WORKER_GONE) continue;
        struct words words = w->last;
        w->last = (struct words){0};
        forget(s, w, &words);
        words_close(&words);
    }
}

void worker_finish_now(struct supervisor *s, struct worker *w, enum wire_outcome outcome, weir_err code, const char *reason)
{
    struct words words = words_make(outcome, code, "", -1, reason);
    finish(s, w, &words);
    words_close(&words);
}

void worker_kill(struct supervisor *s, struct worker *w, enum wire_outcome outcome, weir_err code, const char *reason)
{
    if (w->state == SUPERVISOR_WORKER_KILLED || w->state == SUPERVISOR_WORKER_GONE) return;
    if (w->state == SUPERVISOR_WORKER_FETCHING) {
        worker_finish_now(s, w, outcome, code, reason);
        return;
    }
    trace_worker(s, w, true, "is killed", reason);
    w->state = SUPERVISOR_WORKER_KILLED;
    w->sentence = words_make(outcome, code, "", -1, reason);
    s->counts.workers_killed++;
    struct supervisor_action *action = supervisor_act(s, SUPERVISOR_DO_KILL);
    action->kill.job = w->job;
    action->kill.attempt = w->attempt;
}

void workers_kill(struct supervisor *s, weir_err code, const char *reason)
{
    for (uint32_t i = s->n_workers; i > 0; i--) worker_kill(s, s->workers[i - 1], WIRE_FAILED, code, reason);
}

void workers_end_fetching(struct supervisor *s)
{
    for (uint32_t i = s->n_workers; i > 0; i--)
        if (s->workers[i - 1]->state == SUPERVISOR_WORKER_FETCHING)
            worker_finish_now(s, s->workers[i - 1], WIRE_FAILED, WEIR_E_UNREACHABLE, "the JobManager does not answer");
}

void worker_spawn(struct supervisor *s, struct worker *w)
{
    struct weir_bytes deploy = supervisor_keep(s, w->deploy, w->deploy_len);
    free(w->deploy);
    w->deploy = NULL;
    w->state = SUPERVISOR_WORKER_STARTED;
    w->heard_ms = s->now_ms;
    w->ready_ms = s->now_ms + s->config.ready_timeout_ms;
    s->counts.workers_started++;
    trace_worker(s, w, false, "is started", "");
    struct supervisor_action *action = supervisor_act(s, SUPERVISOR_DO_SPAWN);
    action->spawn.job = w->job;
    action->spawn.attempt = w->attempt;
    action->spawn.digest = w->digest;
    action->spawn.deploy = deploy;
    action->spawn.heartbeat_timeout_ms = s->heartbeat_timeout_ms;
    action->spawn.log_level = s->log_level;
}

struct worker *worker_new(struct supervisor *s, const struct wire_msg *msg, uint32_t n_slots, struct weir_bytes bytes)
{
    struct worker *w = calloc(1, sizeof *w);
    WEIR_ASSERT(w);
    w->job = msg->job;
    w->attempt = msg->attempt;
    w->epoch = msg->epoch;
    w->state = SUPERVISOR_WORKER_FETCHING;
    w->n_slots = n_slots;
    w->digest = msg->deploy.digest;
    w->progress_timeout_ms = msg->deploy.progress_timeout_ms ? msg->deploy.progress_timeout_ms : WEIR_PROGRESS_TIMEOUT_MS;
    w->deploy = malloc(bytes.length);
    WEIR_ASSERT(w->deploy);
    memcpy(w->deploy, bytes.data, bytes.length);
    w->deploy_len = bytes.length;
    w->ready_ms = s->now_ms + s->config.ready_timeout_ms;
    w->leave_ms = INT64_MAX;
    report_init(w, msg);
    if (*msg->deploy.checkpoint.dir || msg->deploy.restore.id) copies_use(s, w->job);
    s->workers[s->n_workers++] = w; /* there is room: each worker holds a slot */
    return w;
}

bool worker_has_ended(const struct supervisor *s, struct weir_id job, uint32_t attempt)
{
    uint32_t n = s->n_ended < ENDED_KEPT ? s->n_ended : ENDED_KEPT;
    for (uint32_t i = 0; i < n; i++)
        if (s->ended[i].attempt == attempt && id_equal(s->ended[i].job, job)) return true;
    return false;
}

void worker_send(struct supervisor *s, const struct worker *w, struct weir_bytes bytes)
{
    struct weir_bytes copy = supervisor_keep(s, bytes.data, bytes.length);
    struct supervisor_action *action = supervisor_act(s, SUPERVISOR_DO_TO_WORKER);
    action->to_worker.job = w->job;
    action->to_worker.attempt = w->attempt;
    action->to_worker.data = copy;
}

void workers_tell_log_level(struct supervisor *s)
{
    struct wire_msg msg = {.type = WIRE_LOG_LEVEL, .log_level.lowest = s->log_level};
    struct buffer bytes = {0};
    weir_err err = wire_msg_encode(&msg, &bytes);
    WEIR_ASSERT(!err);
    for (uint32_t i = 0; i < s->n_workers; i++)
        if (s->workers[i]->state == SUPERVISOR_WORKER_STARTED || s->workers[i]->state == SUPERVISOR_WORKER_UP)
            worker_send(s, s->workers[i], (struct weir_bytes){bytes.data, (uint32_t)bytes.len});
    buffer_close(&bytes);
}

void worker_cancel(struct supervisor *s, struct worker *w, struct weir_bytes bytes)
{
    w->canceling = true;
    switch (w->state) {
    case SUPERVISOR_WORKER_FETCHING: worker_finish_now(s, w, WIRE_CANCELED, WEIR_OK, ""); return;
    case SUPERVISOR_WORKER_STARTED:
    case SUPERVISOR_WORKER_UP:
        worker_send(s, w, bytes);
        w->leave_ms = s->now_ms + s->config.cancel_timeout_ms;
        return;
    case SUPERVISOR_WORKER_LEAVING:
    case SUPERVISOR_WORKER_KILLED:
    case SUPERVISOR_WORKER_GONE: return; /* is going already */
    }
}

void worker_refuse(struct supervisor *s, const struct wire_msg *deploy, weir_err code, const char *reason)
{
    struct words words = words_make(WIRE_FAILED, code, "", -1, reason);
    tell_ended(s, deploy->epoch, deploy->job, deploy->attempt, &words);
    words_close(&words);
}

/* ---- what workers say ---- */

static void on_goodbye(struct supervisor *s, struct worker *w, const struct wire_msg *msg)
{
    const struct wire_failure *f = &msg->ended.failure;
    w->said = words_make((enum wire_outcome)msg->ended.outcome, f->code, f->operator_id, f->subtask, f->reason);
    if (w->state == SUPERVISOR_WORKER_KILLED) return; /* it said so before the signal came */
    w->state = SUPERVISOR_WORKER_LEAVING;
    w->leave_ms = s->now_ms + s->config.cancel_timeout_ms;
}

static void on_alive(struct supervisor *s, struct worker *w, const struct wire_msg *msg)
{
    if (msg->alive.stalled_ms <= w->progress_timeout_ms) return;
    char reason[160];
    snprintf(reason, sizeof reason, "no progress for %" PRIu64 " ms: a step does not return (--progress-timeout is %" PRIu32 " ms)",
             msg->alive.stalled_ms, w->progress_timeout_ms);
    worker_kill(s, w, WIRE_FAILED, WEIR_E_TIMEOUT, reason);
}

/* Is the message about this worker, and does its type fit the worker's state? */
static bool worker_may_say(const struct worker *w, const struct wire_msg *msg)
{
    if (msg->epoch != w->epoch || msg->attempt != w->attempt || !id_equal(msg->job, w->job)) return false;
    switch (msg->type) {
    case WIRE_WORKER_READY: return w->state != SUPERVISOR_WORKER_UP;
    case WIRE_WORKER_RUNNING:
    case WIRE_WORKER_PREPARED:
    case WIRE_CHECKPOINT_ACK:
    case WIRE_CHECKPOINT_DECLINE: return w->state != SUPERVISOR_WORKER_STARTED;
    case WIRE_WORKER_STATS:
    case WIRE_WORKER_ENDED:
    case WIRE_WORKER_ALIVE: return true;
    default: return false;
    }
}

void worker_said(struct supervisor *s, const struct supervisor_event *ev)
{
    struct worker *w = worker_find(s, ev->worker_message.job, ev->worker_message.attempt);
    if (!w || w->said.outcome) return; /* nothing counts behind the goodbye */
    struct wire_msg msg;
    struct weir_bytes bytes = ev->worker_message.data;
    if (wire_msg_decode(&msg, bytes.data, bytes.length, NULL)) {
        worker_kill(s, w, WIRE_FAILED, WEIR_E_PROTOCOL, "the worker sent a message that cannot be read");
        return;
    }
    w->heard_ms = s->now_ms;
    if (!worker_may_say(w, &msg)) {
        char reason[128];
        snprintf(reason, sizeof reason, "the worker sent %s when it must not", wire_type_name(msg.type));
        worker_kill(s, w, WIRE_FAILED, WEIR_E_PROTOCOL, reason);
    } else if (msg.type == WIRE_WORKER_ENDED) {
        on_goodbye(s, w, &msg);
    } else if (msg.type == WIRE_WORKER_ALIVE) {
        on_alive(s, w, &msg);
    } else if (w->state != SUPERVISOR_WORKER_KILLED) {
        if (msg.type == WIRE_WORKER_READY) w->state = SUPERVISOR_WORKER_UP;
        report_said(w, &msg);
        supervisor_tell_bytes(s, bytes.data, bytes.length); /* said so by the worker, passed on as it is */
    }
    wire_msg_close(&msg);
}

/*
 * The last word on a worker. What it said itself counts most: one that has committed has committed, whatever happened to it afterwards,
 * even a KILL of ours that crossed its goodbye. Then our reason to kill it. Then what the process's end tells; also after CANCEL, since a
 * crash may be what the others were canceled for.
 */
static struct words last_words(const struct worker *w, const struct wire_failure *seen)
{
    const struct words *known = w->said.outcome ? &w->said : &w->sentence;
    if (known->outcome == WIRE_FAILED && !*known->operator_id)
        return words_make(known->outcome, known->code, seen->operator_id, seen->subtask, known->reason);
    if (known->outcome) return words_make(known->outcome, known->code, known->operator_id, known->subtask, known->reason);
    if (seen->code) return words_make(WIRE_FAILED, seen->code, seen->operator_id, seen->subtask, seen->reason);
    if (w->canceling) return words_make(WIRE_CANCELED, WEIR_OK, "", -1, "");
    return words_make(WIRE_FAILED, WEIR_E_INTERNAL, seen->operator_id, seen->subtask, "the worker exited without saying why");
}

void worker_exited(struct supervisor *s, const struct supervisor_event *ev)
{
    struct worker *w = worker_find(s, ev->worker_exited.job, ev->worker_exited.attempt);
    if (!w || w->state == SUPERVISOR_WORKER_FETCHING || w->state == SUPERVISOR_WORKER_GONE) return;
    struct words words = last_words(w, &ev->worker_exited.failure);
    finish(s, w, &words);
    words_close(&words);
}

/* ---- time ---- */

int64_t worker_deadline(const struct supervisor *s, const struct worker *w)
{
    int64_t silent_ms = w->heard_ms + s->config.worker_silence_ms;
    int64_t at = w->leave_ms;
    switch (w->state) {
    case SUPERVISOR_WORKER_FETCHING: return w->ready_ms;
    case SUPERVISOR_WORKER_STARTED: return w->ready_ms < at ? w->ready_ms : at; /* loading a plugin, it says nothing */
    case SUPERVISOR_WORKER_UP: return silent_ms < at ? silent_ms : at;
    case SUPERVISOR_WORKER_LEAVING: return at;
    case SUPERVISOR_WORKER_KILLED:
    case SUPERVISOR_WORKER_GONE: return INT64_MAX;
    }
    return INT64_MAX;
}

void workers_forgive(struct supervisor *s, int64_t away_ms)
{
    for (uint32_t i = 0; i < s->n_workers; i++) s->workers[i]->heard_ms += away_ms;
}

static void expire(struct supervisor *s, struct worker *w)
{
    char reason[128];
    if (w->state == SUPERVISOR_WORKER_FETCHING) {
        artifact_expire(s, w->digest);
        return;
    }
    if (s->now_ms >= w->leave_ms) {
        snprintf(reason, sizeof reason, "the worker did not end within %" PRIu32 " ms", s->config.cancel_timeout_ms);
        worker_kill(s, w, WIRE_CANCELED, WEIR_E_TIMEOUT, reason);
        return;
    }
    if (w->state == SUPERVISOR_WORKER_UP)
        snprintf(reason, sizeof reason, "the worker was silent for %" PRIu32 " ms", s->config.worker_silence_ms);
    else
        snprintf(reason, sizeof reason, "the worker did not get ready within %" PRIu32 " ms", s->config.ready_timeout_ms);
    worker_kill(s, w, WIRE_FAILED, WEIR_E_TIMEOUT, reason);
}

/* An expired fetch ends several workers at once: look again from the end each time. */
void workers_watch(struct supervisor *s)
{
    for (uint32_t i = s->n_workers; i > 0; i--) {
        if (i > s->n_workers) continue;
        struct worker *w = s->workers[i - 1];
        if (worker_deadline(s, w) <= s->now_ms) expire(s, w);
    }
}
