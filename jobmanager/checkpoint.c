/* SPDX-License-Identifier: Apache-2.0 */
#include "jobmanager/checkpoint.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/assert.h"
#include "runtime/base/must.h"

enum {
    LAST = CHECKPOINT_STOP | CHECKPOINT_FINAL, /* none comes after one of these */
    FINAL_RETRY_MS = 1000,                     /* a last one that failed is tried again, without an interval after so long */
    RECORD_RETRY_MS = 1000,                    /* requests that the catalog has refused are put again after so long */
};

/* ---- actions ---- */

static void clear(struct ckpt_actions *out)
{
    for (uint32_t i = 0; i < out->n; i++) free(out->at[i].path);
    out->n = 0;
    out->outcome = CKPT_TAKEN;
    out->answer.code = out->failure.code = out->refusal.code = WEIR_OK;
    out->answer.text[0] = out->failure.text[0] = out->refusal.text[0] = out->reason[0] = '\0';
}

void ckpt_actions_close(struct ckpt_actions *out)
{
    clear(out);
}

static void act(struct ckpt_actions *out, enum ckpt_action_type type, const struct ckpt *c)
{
    WEIR_ASSERT(out->n < CKPT_ACTIONS_MAX);
    out->at[out->n++] = (struct ckpt_action){.type = type, .id = c->id, .options = c->options};
}

/* path: taken. */
static void discard(struct ckpt_actions *out, uint64_t id, uint32_t options, char *path)
{
    WEIR_ASSERT(out->n < CKPT_ACTIONS_MAX);
    out->at[out->n++] = (struct ckpt_action){.type = CKPT_DO_DISCARD, .id = id, .options = options, .path = path};
}

/* ---- requests ---- */

static struct ckpt_request *running_request(struct ckpt *c)
{
    for (uint32_t i = 0; i < c->n_requests; i++)
        if (c->requests[i].state == CKPT_REQUEST_RUNNING) return &c->requests[i];
    return NULL;
}

static void act_as_asked(struct ckpt_actions *out, enum ckpt_action_type type, struct ckpt *c)
{
    const struct ckpt_request *request = running_request(c);
    act(out, type, c);
    if (request) out->at[out->n - 1].request = request->id;
}

/* Savepoints before checkpoints, each in order of arrival. */
static struct ckpt_request *next_request(struct ckpt *c)
{
    struct ckpt_request *best = NULL;
    for (uint32_t i = 0; i < c->n_requests; i++) {
        struct ckpt_request *r = &c->requests[i];
        if (r->state != CKPT_REQUEST_WAITING) continue;
        if (!best || ((r->options & CHECKPOINT_SAVEPOINT) && !(best->options & CHECKPOINT_SAVEPOINT))) best = r;
    }
    return best;
}

/* It is over, and the catalog is told. */
static void end_request(struct ckpt *c, struct ckpt_request *r, enum ckpt_request_state state)
{
    r->state = state;
    r->recorded = false;
    c->news = c->unrecorded = true;
}

static void fail_request(struct ckpt *c, struct ckpt_request *r, const char *reason)
{
    snprintf(r->failure, sizeof r->failure, "%s", reason);
    end_request(c, r, CKPT_REQUEST_FAILED);
}

/* The savepoint is complete, and what was to come behind it does not. */
static void fail_stop(struct ckpt *c, struct ckpt_request *r)
{
    r->complete = true;
    fail_request(c, r,
                 "the savepoint is complete, but the job failed before all of its output was committed; what goes on from the savepoint "
                 "commits it");
}

static void remove_request(struct ckpt *c, uint32_t index)
{
    memmove(&c->requests[index], &c->requests[index + 1], (--c->n_requests - index) * sizeof c->requests[0]);
}

/* Room for one more: the oldest answered one goes. False: all of them wait. */
static bool make_room(struct ckpt *c)
{
    uint32_t i = 0;
    if (c->n_requests < CKPT_REQUESTS_MAX) return true;
    while (i < c->n_requests && (c->requests[i].state < CKPT_REQUEST_DONE || c->requests[i].awaited)) i++;
    if (i == c->n_requests) return false;
    remove_request(c, i);
    return true;
}

static bool stop_is_asked_for(const struct ckpt *c)
{
    for (uint32_t i = 0; i < c->n_requests; i++)
        if (c->requests[i].state < CKPT_REQUEST_DONE && (c->requests[i].options & CHECKPOINT_STOP)) return true;
    return false;
}

static void on_request(struct ckpt *c, const struct ckpt_request *asked, struct ckpt_actions *out)
{
    if (c->state == CKPT_OFF || c->detached) {
        weir_fail(&out->answer, WEIR_E_STATE, "the job does not run now: try again when it is RUNNING");
    } else if (c->stopped || ((asked->options & CHECKPOINT_STOP) && stop_is_asked_for(c))) {
        weir_fail(&out->answer, WEIR_E_STATE, "the job is being stopped already");
    } else if (!make_room(c)) {
        weir_fail(&out->answer, WEIR_E_LIMIT, "%u requests of this job wait already, which is the limit: try again when one is done",
                  CKPT_REQUESTS_MAX);
    } else {
        struct ckpt_request *r = &c->requests[c->n_requests++];
        *r = *asked;
        r->state = CKPT_REQUEST_STORING;
        r->awaited = c->news = true;
    }
}

/* The list as it was put last is in the catalog, or certainly not. */
static void on_recorded(struct ckpt *c, const struct ckpt_event *ev, struct ckpt_actions *out)
{
    weir_err err = ev->answer.err;
    if (err) (void)weir_fail(&out->refusal, err, "the request could not be stored: %s", ev->answer.reason);
    for (uint32_t i = 0; i < c->n_requests;) {
        struct ckpt_request *r = &c->requests[i++];
        r->recorded |= !err && r->state >= CKPT_REQUEST_DONE;
        if (!r->awaited) continue;
        act(out, CKPT_DO_ACCEPTED, c);
        out->at[out->n - 1].request = r->id;
        r->awaited = false;
        if (err)
            remove_request(c, --i);
        else if (r->state == CKPT_REQUEST_STORING)
            r->state = CKPT_REQUEST_WAITING;
    }
    if (!err)
        c->unrecorded = false;
    else if (c->unrecorded)
        c->record_ms = ev->now_ms + RECORD_RETRY_MS;
}

static void discard_lost(struct ckpt *c, struct ckpt_actions *out)
{
    for (uint32_t i = 0; i < c->n_requests; i++) {
        struct ckpt_request *r = &c->requests[i];
        if (!r->lost) continue;
        r->lost = false;
        discard(out, 0, r->options, must_copy(r->path));
        out->at[out->n - 1].request = r->id;
    }
}

static void record_if_news(struct ckpt *c, struct ckpt_actions *out)
{
    if (!c->news) return;
    discard_lost(c, out);
    c->news = false;
    c->record_ms = INT64_MAX;
    act(out, CKPT_DO_RECORD, c);
}

/* ---- the end of one ---- */

static struct ckpt_stat *stat_of(struct ckpt *c)
{
    return &c->history.recent[c->history.n - 1];
}

static void forget_parts(struct ckpt *c)
{
    for (uint32_t i = 0; i < c->n_workers && c->parts; i++) free(c->parts[i].pack);
    if (c->parts && c->n_workers) memset(c->parts, 0, c->n_workers * sizeof *c->parts);
    ckpt_ledger_clear(&c->ledger);
    c->n_acked = 0;
}

static void release_attempt(struct ckpt *c)
{
    forget_parts(c);
    free(c->parts);
    c->parts = NULL;
    ckpt_ledger_close(&c->ledger);
    c->plan = NULL;
    c->detached = false;
    c->state = CKPT_OFF;
    c->due_ms = INT64_MAX;
}

/* Nothing is under way any more. */
static void rest(struct ckpt *c, int64_t now_ms)
{
    free(c->path);
    c->path = NULL;
    c->id = 0;
    c->doomed = false;
    c->ended_ms = now_ms;
    c->state = CKPT_IDLE;
    if (c->detached)
        release_attempt(c);
    else
        forget_parts(c);
}

/* Its files go, whatever there is of them. */
static void throw_away(struct ckpt *c, int64_t now_ms, struct ckpt_actions *out)
{
    discard(out, c->id, c->options, c->path);
    c->path = NULL;
    rest(c, now_ms);
}

static void fail_attempt(struct ckpt_actions *out, weir_err code, const char *fmt, ...) WEIR_PRINTF(3, 4);
static void fail_attempt(struct ckpt_actions *out, weir_err code, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    out->failure.code = code;
    vsnprintf(out->failure.text, sizeof out->failure.text, fmt, args);
    va_end(args);
    WEIR_ASSERT(out->n < CKPT_ACTIONS_MAX);
    out->at[out->n++] = (struct ckpt_action){.type = CKPT_DO_FAIL};
}

/* Does the failure end the attempt? A loss always; a stop that sources have heard of, since they rest; and too many in a row. */
static void judge(struct ckpt *c, enum ckpt_cause cause, bool triggered, struct ckpt_actions *out)
{
    if (c->detached) return; /* it is over already */
    if (cause == CKPT_CAUSE_LEDGER)
        fail_attempt(out, WEIR_E_CORRUPT, "checkpoint %" PRIu64 ": %s", c->id, out->reason);
    else if (triggered && (c->options & CHECKPOINT_STOP))
        fail_attempt(out, WEIR_E_STATE, "the savepoint %" PRIu64 " that was to stop the job failed, %s: %s", c->id, ckpt_cause_name(cause),
                     out->reason);
    else if (!(c->options & CHECKPOINT_SAVEPOINT) && ++c->n_failures > c->config.tolerable_failures)
        fail_attempt(out, WEIR_E_STATE,
                     "checkpoint %" PRIu64 " failed, %s: %s; that makes %" PRIu32 " in a row, %" PRIu32
                     " are tolerated (execution.checkpointing.tolerable-failed-checkpoints)",
                     c->id, ckpt_cause_name(cause), out->reason, c->n_failures, c->config.tolerable_failures);
}

/*
 * Gives up the one under way. What is with the storage is waited for, and then undone. Not in COMMITTING: nobody knows yet whether it is
 * complete.
 */
static void give_up(struct ckpt *c, enum ckpt_cause cause, int64_t now_ms, int64_t wall_ms, struct ckpt_actions *out, const char *fmt, ...)
    WEIR_PRINTF(6, 7);
static void give_up(struct ckpt *c, enum ckpt_cause cause, int64_t now_ms, int64_t wall_ms, struct ckpt_actions *out, const char *fmt, ...)
{
    WEIR_ASSERT(c->id && !c->doomed);
    bool triggered = c->state == CKPT_PENDING || c->state == CKPT_SEALING || c->state == CKPT_COMMITTING;
    struct ckpt_stat *stat = stat_of(c);
    va_list args;
    va_start(args, fmt);
    vsnprintf(out->reason, sizeof out->reason, fmt, args);
    va_end(args);
    stat->cause = cause;
    snprintf(stat->reason, sizeof stat->reason, "%s", out->reason);
    ckpt_history_end(&c->history, CKPT_FAILED, now_ms, c->began_ms, wall_ms);
    struct ckpt_request *request = running_request(c);
    if (request) fail_request(c, request, out->reason);
    if (triggered) act(out, CKPT_DO_ABORT, c); /* also when the attempt ends: what was prepared for it will never be anybody's */
    judge(c, cause, triggered, out);
    if (c->state == CKPT_PENDING)
        throw_away(c, now_ms, out);
    else
        c->doomed = true;
}

/* ---- the beginning of one ---- */

static int64_t next_due(const struct ckpt *c, int64_t now_ms)
{
    if (c->config.interval_ms) return now_ms + c->config.interval_ms;
    return c->all_finished ? now_ms + FINAL_RETRY_MS : INT64_MAX;
}

static int64_t earliest(const struct ckpt *c)
{
    if (c->all_finished || c->ended_ms == INT64_MIN || c->due_ms == INT64_MAX) return c->due_ms; /* nothing is gained by a last pause */
    int64_t after_pause = c->ended_ms + c->config.min_pause_ms;
    return c->due_ms > after_pause ? c->due_ms : after_pause;
}

static void begin(struct ckpt *c, uint32_t options, struct ckpt_request *request, const struct ckpt_event *ev, struct ckpt_actions *out)
{
    char path[CKPT_TEXT_MAX];
    c->id = c->last_id + 1;
    c->last_id = c->id;
    c->options = options;
    c->began_ms = ev->now_ms;
    c->began_wall_ms = ev->wall_ms;
    c->due_ms = next_due(c, ev->now_ms);
    snprintf(path, sizeof path, "%s/chk-%" PRIu64, c->dir, c->id);
    c->path = must_copy(options & CHECKPOINT_SAVEPOINT ? request->path : path);
    struct ckpt_stat stat = {.id = c->id,
                             .attempt = c->attempt,
                             .options = options,
                             .manual = request != NULL,
                             .status = CKPT_IN_PROGRESS,
                             .n_workers = c->n_workers,
                             .trigger_wall_ms = ev->wall_ms};
    (void)ckpt_history_begin(&c->history, &stat);
    if (request) {
        request->state = CKPT_REQUEST_RUNNING;
        request->checkpoint = c->id;
        request->attempt = c->attempt;
    }
    c->state = CKPT_RESERVING;
    act(out, CKPT_DO_RESERVE, c);
}

/* What was asked for, then the last one, then what is due. */
static void begin_if_due(struct ckpt *c, const struct ckpt_event *ev, struct ckpt_actions *out)
{
    if (c->state != CKPT_IDLE || c->stopped || c->unrecorded || out->failure.code) return;
    struct ckpt_request *request = next_request(c);
    if (request)
        begin(c, request->options, request, ev, out);
    else if (ev->now_ms >= earliest(c))
        begin(c, c->all_finished ? CHECKPOINT_FINAL : 0, NULL, ev, out);
}

/* ---- answers of storage and catalog ---- */

/* Is this the answer that the state waits for? */
static bool awaited(const struct ckpt *c, enum ckpt_state state, const struct ckpt_event *ev, struct ckpt_actions *out)
{
    if (c->state == state && ev->answer.id == c->id) return true;
    out->outcome = CKPT_UNEXPECTED;
    return false;
}

static void on_reserved(struct ckpt *c, const struct ckpt_event *ev, struct ckpt_actions *out)
{
    if (!awaited(c, CKPT_RESERVING, ev, out)) return;
    if (ev->answer.err && !c->doomed)
        give_up(c, CKPT_CAUSE_CATALOG, ev->now_ms, ev->wall_ms, out, "its number could not be stored: %s", ev->answer.reason);
    if (c->doomed) { /* there is no folder yet */
        rest(c, ev->now_ms);
        return;
    }
    c->state = CKPT_BEGINNING;
    act_as_asked(out, CKPT_DO_BEGIN, c);
}

static void on_begun(struct ckpt *c, const struct ckpt_event *ev, struct ckpt_actions *out)
{
    if (!awaited(c, CKPT_BEGINNING, ev, out)) return;
    if (ev->answer.err && !c->doomed) give_up(c, CKPT_CAUSE_STORAGE, ev->now_ms, ev->wall_ms, out, "%s", ev->answer.reason);
    if (ev->answer.err && c->doomed) { /* whatever lies under its name is not ours */
        rest(c, ev->now_ms);
        return;
    }
    if (c->doomed) {
        throw_away(c, ev->now_ms, out);
        return;
    }
    c->state = CKPT_PENDING;
    act(out, CKPT_DO_TRIGGER, c);
}

static void on_sealed(struct ckpt *c, const struct ckpt_event *ev, struct ckpt_actions *out)
{
    if (!awaited(c, CKPT_SEALING, ev, out)) return;
    if (ev->answer.err && !c->doomed) give_up(c, CKPT_CAUSE_STORAGE, ev->now_ms, ev->wall_ms, out, "%s", ev->answer.reason);
    if (c->doomed) {
        throw_away(c, ev->now_ms, out);
        return;
    }
    c->made = (struct ckpt_pointer){.id = c->id,
                                    .options = c->options,
                                    .owned = !(c->options & CHECKPOINT_SAVEPOINT),
                                    .path = c->path,
                                    .bytes = ev->answer.bytes,
                                    .crc32c = ev->answer.crc32c,
                                    .wall_ms = ev->wall_ms,
                                    .state_bytes = stat_of(c)->state_bytes};
    const struct ckpt_request *request = running_request(c);
    if (request) c->made.request = request->id;
    c->state = CKPT_COMMITTING;
    act(out, CKPT_DO_COMMIT, c);
}

/* ---- what is retained ---- */

/* With one more complete: a savepoint is a recovery point only while it is the newest; of checkpoints the newest n_retained stay. */
static bool stays(const struct ckpt *c, uint32_t index)
{
    uint32_t newer = 1; /* the new one */
    if (!c->retained[index].owned || (c->retained[index].options & CHECKPOINT_SAVEPOINT)) return false;
    if (c->made.options & CHECKPOINT_SAVEPOINT) newer = 0;
    for (uint32_t i = index + 1; i < c->n_retained; i++) newer += c->retained[i].owned && !(c->retained[i].options & CHECKPOINT_SAVEPOINT);
    return newer < c->config.n_retained;
}

uint32_t ckpt_next_pointers(const struct ckpt *c, const struct ckpt_pointer *out[static CKPT_RETAINED_MAX + 2])
{
    uint32_t n = 0;
    WEIR_ASSERT(c->state == CKPT_COMMITTING);
    for (uint32_t i = 0; i < c->n_retained; i++)
        if (stays(c, i)) out[n++] = &c->retained[i];
    out[n++] = &c->made;
    return n;
}

/* The catalog holds ckpt_next_pointers now: what it does not name any more may go. */
static void subsume(struct ckpt *c, struct ckpt_actions *out)
{
    struct ckpt_pointer kept[CKPT_RETAINED_MAX + 2];
    uint32_t n = 0;
    for (uint32_t i = 0; i < c->n_retained; i++) {
        struct ckpt_pointer *p = &c->retained[i];
        if (stays(c, i))
            kept[n++] = *p;
        else if (p->owned)
            discard(out, p->id, p->options, p->path);
        else
            free(p->path);
    }
    kept[n++] = c->made;
    memcpy(c->retained, kept, n * sizeof kept[0]);
    c->n_retained = n;
    c->made = (struct ckpt_pointer){0};
    c->path = NULL;
}

static void complete(struct ckpt *c, const struct ckpt_event *ev, struct ckpt_actions *out)
{
    snprintf(stat_of(c)->path, sizeof stat_of(c)->path, "%s", c->path);
    ckpt_history_end(&c->history, CKPT_COMPLETED, ev->now_ms, c->began_ms, ev->wall_ms);
    struct ckpt_request *request = running_request(c);
    if (request) {
        snprintf(request->path, sizeof request->path, "%s", c->path);
        if (c->detached && (request->options & CHECKPOINT_STOP))
            fail_stop(c, request);
        else
            end_request(c, request, CKPT_REQUEST_DONE);
    }
    c->n_failures = 0;
    if (!c->detached) { /* else they have gone: who restores it commits */
        act(out, CKPT_DO_COMPLETE, c);
        c->stopped = (c->options & LAST) != 0;
        if (c->stopped) act(out, CKPT_DO_STOPPED, c);
    }
    subsume(c, out);
    rest(c, ev->now_ms);
}

static void on_pointer(struct ckpt *c, const struct ckpt_event *ev, struct ckpt_actions *out)
{
    if (!awaited(c, CKPT_COMMITTING, ev, out)) return;
    if (!ev->answer.err) {
        complete(c, ev, out);
        return;
    }
    c->made = (struct ckpt_pointer){0};
    give_up(c, CKPT_CAUSE_CATALOG, ev->now_ms, ev->wall_ms, out, "its pointer could not be stored: %s", ev->answer.reason);
    throw_away(c, ev->now_ms, out);
}

/* ---- answers of workers ---- */

static bool expected(const struct ckpt *c, const struct ckpt_event *ev, uint64_t id, struct ckpt_actions *out)
{
    if (c->state != CKPT_PENDING || id != c->id)
        out->outcome = CKPT_STALE;
    else if (ev->worker.worker >= c->n_workers)
        out->outcome = CKPT_UNEXPECTED;
    else if (c->parts[ev->worker.worker].acked)
        out->outcome = CKPT_DUPLICATE;
    else
        return true;
    return false;
}

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static void record(struct ckpt *c, const struct ckpt_event *ev)
{
    const struct wire_msg *msg = ev->worker.msg;
    struct ckpt_part *part = &c->parts[ev->worker.worker];
    *part = (struct ckpt_part){.acked = true,
                               .pack = must_copy(msg->ack.pack),
                               .pack_bytes = msg->ack.pack_bytes,
                               .pack_crc32c = msg->ack.pack_crc32c,
                               .state_bytes = msg->ack.state_bytes};
    struct ckpt_stat *stat = stat_of(c);
    stat->n_acked = ++c->n_acked;
    stat->ack_wall_ms = ev->wall_ms;
    stat->state_bytes += msg->ack.state_bytes;
    stat->new_bytes += msg->ack.new_bytes;
    stat->sync_us_max = larger(stat->sync_us_max, msg->ack.sync_us_max);
    stat->align_us_max = larger(stat->align_us_max, msg->ack.align_us_max);
    stat->async_us_max = larger(stat->async_us_max, msg->ack.async_us);
}

static void on_ack(struct ckpt *c, const struct ckpt_event *ev, struct ckpt_actions *out)
{
    struct weir_diag diag = {0};
    if (!expected(c, ev, ev->worker.msg->ack.id, out)) return;
    if (!ckpt_ledger_take(&c->ledger, ev->worker.msg->ack.ledger, ev->worker.msg->ack.n_ledger, &diag)) {
        give_up(c, CKPT_CAUSE_DECLINED, ev->now_ms, ev->wall_ms, out, "worker %" PRIu32 ": %s", ev->worker.worker, diag.text);
        return;
    }
    record(c, ev);
    if (c->n_acked < c->n_workers) return;
    if (ckpt_ledger_compare(&c->ledger, c->plan, &diag)) {
        give_up(c, CKPT_CAUSE_LEDGER, ev->now_ms, ev->wall_ms, out, "%s", diag.text);
        return;
    }
    c->state = CKPT_SEALING;
    act_as_asked(out, CKPT_DO_SEAL, c);
}

static void on_decline(struct ckpt *c, const struct ckpt_event *ev, struct ckpt_actions *out)
{
    const struct wire_failure *f = &ev->worker.msg->decline.failure;
    if (!expected(c, ev, ev->worker.msg->decline.id, out)) return;
    give_up(c, CKPT_CAUSE_DECLINED, ev->now_ms, ev->wall_ms, out, "worker %" PRIu32 ": %s%s%s", ev->worker.worker, f->operator_id,
            *f->operator_id ? ": " : "", f->reason && *f->reason ? f->reason : weir_err_name(f->code));
}

/* ---- attempts, time ---- */

static void tell(struct ckpt_actions *out, enum ckpt_action_type type, uint64_t id, uint32_t options)
{
    WEIR_ASSERT(out->n < CKPT_ACTIONS_MAX);
    out->at[out->n++] = (struct ckpt_action){.type = type, .id = id, .options = options};
}

/* Of the one that was under way nothing is known but its number: whatever there is of it goes. */
static void give_up_former(struct ckpt *c, const struct ckpt_event *ev, struct ckpt_actions *out)
{
    char path[CKPT_TEXT_MAX];
    snprintf(out->reason, sizeof out->reason, "the JobManager that had begun it has gone");
    tell(out, CKPT_DO_ABORT, ev->attempt.triggered, ev->attempt.options);
    if (!(ev->attempt.options & CHECKPOINT_SAVEPOINT)) {
        snprintf(path, sizeof path, "%s/chk-%" PRIu64, c->dir, ev->attempt.triggered);
        discard(out, ev->attempt.triggered, ev->attempt.options, must_copy(path));
    }
    if (ev->attempt.options & CHECKPOINT_STOP) /* its sources rest */
        fail_attempt(out, WEIR_E_STATE, "the savepoint %" PRIu64 " that was to stop the job was lost with the JobManager",
                     ev->attempt.triggered);
}

static void take_over(struct ckpt *c, const struct ckpt_event *ev, struct ckpt_actions *out)
{
    const struct ckpt_pointer *newest = c->n_retained ? &c->retained[c->n_retained - 1] : NULL;
    bool complete = newest && newest->id == ev->attempt.triggered;
    ckpt_used(c, ev->attempt.triggered);
    if (newest && newest->id <= ev->attempt.triggered) tell(out, CKPT_DO_COMPLETE, newest->id, newest->options);
    if (!complete) {
        give_up_former(c, ev, out);
        return;
    }
    c->stopped = (newest->options & LAST) != 0;
    if (c->stopped) tell(out, CKPT_DO_STOPPED, newest->id, newest->options);
}

static void on_attempt(struct ckpt *c, const struct ckpt_event *ev, struct ckpt_actions *out)
{
    WEIR_ASSERT(c->state == CKPT_OFF);
    c->attempt = ev->attempt.attempt;
    c->n_workers = ev->attempt.n_workers;
    c->plan = ev->attempt.plan;
    c->parts = calloc(c->n_workers, sizeof *c->parts);
    WEIR_ASSERT(c->parts);
    ckpt_ledger_init(&c->ledger, c->plan->n_channels);
    c->stopped = c->all_finished = false;
    c->n_failures = 0;
    c->due_ms = next_due(c, ev->now_ms);
    c->state = CKPT_IDLE;
    if (ev->attempt.triggered) take_over(c, ev, out);
}

static void fail_stops(struct ckpt *c)
{
    for (uint32_t i = 0; i < c->n_requests; i++) {
        struct ckpt_request *r = &c->requests[i];
        if (r->state == CKPT_REQUEST_DONE && (r->options & CHECKPOINT_STOP)) fail_stop(c, r);
    }
}

static void on_detach(struct ckpt *c, const struct ckpt_event *ev, struct ckpt_actions *out)
{
    const char *reason = ev->detach.reason ? ev->detach.reason : "the job has finished";
    if (ev->detach.reason) fail_stops(c);
    if (c->state == CKPT_OFF || c->detached) return;
    c->detached = true;
    if (c->id && !c->doomed && c->state != CKPT_COMMITTING) give_up(c, CKPT_CAUSE_STOPPED, ev->now_ms, ev->wall_ms, out, "%s", reason);
    for (uint32_t i = 0; i < c->n_requests; i++)
        if (c->requests[i].state < CKPT_REQUEST_RUNNING) fail_request(c, &c->requests[i], reason);
    if (c->state == CKPT_IDLE) release_attempt(c);
}

static void on_finished(struct ckpt *c, const struct ckpt_event *ev)
{
    if (c->state == CKPT_OFF || c->detached) return;
    c->all_finished = true;
    c->due_ms = ev->now_ms;
}

static bool expires(const struct ckpt *c)
{
    return c->id && !c->doomed && c->state != CKPT_COMMITTING;
}

static void on_tick(struct ckpt *c, const struct ckpt_event *ev, struct ckpt_actions *out)
{
    if (ev->now_ms >= c->record_ms) c->news = true;
    if (expires(c) && ev->now_ms - c->began_ms >= c->config.timeout_ms)
        give_up(c, CKPT_CAUSE_EXPIRED, ev->now_ms, ev->wall_ms, out,
                "not complete after %" PRId64 " ms, with %" PRIu32 " of %" PRIu32 " workers acknowledged (execution.checkpointing.timeout)",
                c->config.timeout_ms, c->n_acked, c->n_workers);
}

void ckpt_step(struct ckpt *c, const struct ckpt_event *ev, struct ckpt_actions *out)
{
    clear(out);
    switch (ev->type) {
    case CKPT_EV_ATTEMPT: on_attempt(c, ev, out); break;
    case CKPT_EV_FINISHED: on_finished(c, ev); break;
    case CKPT_EV_DETACH: on_detach(c, ev, out); break;
    case CKPT_EV_REQUEST: on_request(c, &ev->request, out); break;
    case CKPT_EV_RESERVED: on_reserved(c, ev, out); break;
    case CKPT_EV_BEGUN: on_begun(c, ev, out); break;
    case CKPT_EV_ACK: on_ack(c, ev, out); break;
    case CKPT_EV_DECLINE: on_decline(c, ev, out); break;
    case CKPT_EV_SEALED: on_sealed(c, ev, out); break;
    case CKPT_EV_POINTER: on_pointer(c, ev, out); break;
    case CKPT_EV_RECORDED: on_recorded(c, ev, out); break;
    case CKPT_EV_TICK: on_tick(c, ev, out); break;
    }
    begin_if_due(c, ev, out);
    record_if_news(c, out);
}

int64_t ckpt_deadline_ms(const struct ckpt *c)
{
    int64_t at = c->state == CKPT_IDLE && !c->stopped && !c->unrecorded ? earliest(c) : INT64_MAX;
    if (expires(c)) at = c->began_ms + c->config.timeout_ms;
    return c->record_ms < at ? c->record_ms : at;
}

/* ---- life and views ---- */

void ckpt_new(struct ckpt **out, const struct ckpt_config *config)
{
    WEIR_ASSERT(config->n_retained >= 1);
    WEIR_ASSERT(config->n_retained <= CKPT_RETAINED_MAX);
    struct ckpt *c = calloc(1, sizeof *c);
    WEIR_ASSERT(c);
    c->config = *config;
    c->dir = must_copy(config->dir);
    c->config.dir = c->dir;
    c->state = CKPT_OFF;
    c->due_ms = INT64_MAX;
    c->ended_ms = INT64_MIN;
    c->record_ms = INT64_MAX;
    *out = c;
}

void ckpt_configure(struct ckpt *c, const struct ckpt_config *config, int64_t now_ms)
{
    bool other_interval = config->interval_ms != c->config.interval_ms;
    WEIR_ASSERT(config->n_retained >= 1);
    WEIR_ASSERT(config->n_retained <= CKPT_RETAINED_MAX);
    c->config = *config;
    c->config.dir = c->dir;
    if (other_interval && c->state != CKPT_OFF && !c->all_finished) c->due_ms = next_due(c, now_ms);
}

void ckpt_destroy(struct ckpt **ckpt)
{
    struct ckpt *c = *ckpt;
    if (!c) return;
    if (c->state != CKPT_OFF) release_attempt(c);
    for (uint32_t i = 0; i < c->n_retained; i++) free(c->retained[i].path);
    free(c->path);
    free(c->dir);
    free(c);
    *ckpt = NULL;
}

bool ckpt_settled(const struct ckpt *c)
{
    return c->state == CKPT_OFF && !c->unrecorded;
}

const struct ckpt_pointer *ckpt_restore_point(const struct ckpt *c)
{
    for (uint32_t i = c->n_retained; i > 0; i--)
        if (!c->retained[i - 1].refused) return &c->retained[i - 1];
    return NULL;
}

void ckpt_refuse(struct ckpt *c, uint64_t id)
{
    for (uint32_t i = 0; i < c->n_retained; i++)
        if (c->retained[i].id == id) c->retained[i].refused = true;
}

bool ckpt_retain(struct ckpt *c, const struct ckpt_pointer *pointer)
{
    if (c->n_retained == sizeof c->retained / sizeof c->retained[0]) return false;
    c->retained[c->n_retained] = *pointer;
    c->retained[c->n_retained++].path = must_copy(pointer->path);
    ckpt_used(c, pointer->id);
    return true;
}

void ckpt_used(struct ckpt *c, uint64_t id)
{
    if (id > c->last_id) c->last_id = id;
}

static const struct ckpt_pointer *fulfils(const struct ckpt *c, struct weir_id request)
{
    for (uint32_t i = 0; i < c->n_retained; i++)
        if (id_equal(c->retained[i].request, request)) return &c->retained[i];
    return NULL;
}

void ckpt_recall(struct ckpt *c, const struct ckpt_request *request, uint32_t attempt)
{
    WEIR_ASSERT(c->n_requests < CKPT_REQUESTS_MAX);
    struct ckpt_request *r = &c->requests[c->n_requests++];
    const struct ckpt_pointer *done = fulfils(c, request->id);
    *r = *request;
    r->recorded = r->state >= CKPT_REQUEST_DONE;
    if (r->recorded) return;
    if (!done) {
        fail_request(c, r, "the JobManager that had accepted it has gone before it was complete: ask for it again");
        r->lost = (r->options & CHECKPOINT_SAVEPOINT) != 0;
        return;
    }
    r->attempt = attempt;
    r->checkpoint = done->id;
    snprintf(r->path, sizeof r->path, "%s", done->path);
    end_request(c, r, CKPT_REQUEST_DONE);
}

void ckpt_discard_all(struct ckpt *c, struct ckpt_actions *out)
{
    clear(out);
    for (uint32_t i = 0; i < c->n_retained; i++) {
        struct ckpt_pointer *p = &c->retained[i];
        if (p->owned)
            discard(out, p->id, p->options, p->path);
        else
            free(p->path);
    }
    c->n_retained = 0;
}

const struct ckpt_request *ckpt_find_request(const struct ckpt *c, struct weir_id id)
{
    for (uint32_t i = 0; i < c->n_requests; i++)
        if (id_equal(c->requests[i].id, id)) return &c->requests[i];
    return NULL;
}
