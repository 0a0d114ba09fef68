/* SPDX-License-Identifier: Apache-2.0 */
#include "taskmanager/supervisor_internal.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "runtime/base/assert.h"
#include "runtime/base/live_keys.h"
#include "runtime/wire/link.h"

enum {
    AWAY_MS = 500,      /* a step that comes so much too late was held up: by the machine, or by what was done before it */
    FAREWELL_MS = 1000, /* how long a stopping TaskManager tries to tell the JobManager how its workers ended */
    AGAIN_MS = 50,      /* pause before who is said to lead is asked, or the next address after one where nobody listens; doubles ... */
    AGAIN_MAX_MS = 400, /* ... up to this, until somebody takes us */
};

char *supervisor_copy_text(const char *text)
{
    char *copy = strdup(text ? text : "");
    WEIR_ASSERT(copy);
    return copy;
}

/* The n-th incarnation derived from a random one: different for each n, and as good as random to everyone else. */
static struct weir_id derive(struct weir_id base, uint64_t n)
{
    for (int i = 0; i < 8; i++) base.bytes[8 + i] ^= (uint8_t)(n >> (8 * i));
    return base;
}

void supervisor_trace(struct supervisor *s, bool notable, const char *fmt, ...)
{
    if (!s->config.trace) return;
    char line[WEIR_DIAG_MAX + 256];
    va_list args;
    va_start(args, fmt);
    vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    s->config.trace(s->config.trace_arg, notable, line);
}

/* ---- actions ---- */

void supervisor_actions_init(struct supervisor_actions *a)
{
    *a = (struct supervisor_actions){0};
}

static void clear(struct supervisor_actions *a)
{
    arena_close(&a->kept);
    a->n = 0;
}

void supervisor_actions_close(struct supervisor_actions *a)
{
    clear(a);
    free(a->at);
    *a = (struct supervisor_actions){0};
}

struct supervisor_action *supervisor_act(struct supervisor *s, enum supervisor_action_type type)
{
    struct supervisor_actions *a = s->out;
    if (a->n == a->cap) {
        a->cap = a->cap ? 2 * a->cap : 16;
        a->at = realloc(a->at, a->cap * sizeof *a->at);
        WEIR_ASSERT(a->at);
    }
    a->at[a->n] = (struct supervisor_action){.type = type};
    return &a->at[a->n++];
}

struct weir_bytes supervisor_keep(struct supervisor *s, const void *data, size_t len)
{
    struct weir_bytes copy = arena_bytes(&s->out->kept, (struct weir_bytes){data, (uint32_t)len});
    WEIR_ASSERT(copy.data);
    return copy;
}

/* ---- to the JobManager ---- */

void supervisor_tell_bytes(struct supervisor *s, const void *data, size_t len)
{
    if (!s->link) return;
    /* A link that has died, or dies of a full window, is noticed at the end of the step; what counts is in the next REGISTER. */
    weir_err err = link_send(s->link, data, len, s->now_ms);
    WEIR_ASSERT(err != WEIR_E_NOMEM);
    WEIR_ASSERT(err != WEIR_E_ARGUMENT);
}

void supervisor_tell(struct supervisor *s, const struct wire_msg *msg)
{
    struct buffer bytes;
    buffer_init(&bytes, 0);
    weir_err err = wire_msg_encode(msg, &bytes);
    WEIR_ASSERT(!err);
    supervisor_tell_bytes(s, bytes.data, bytes.len);
    buffer_close(&bytes);
}

static void begin_link(struct supervisor *s)
{
    struct link_config config = {.self = derive(s->config.incarnation, ++s->n_incarnations),
                                 .heartbeat_ms = s->heartbeat_ms,
                                 .timeout_ms = s->heartbeat_timeout_ms,
                                 .retransmit_ms = s->config.retransmit_ms};
    weir_err err = link_new(&s->link, &config, s->now_ms);
    WEIR_ASSERT(!err);
    s->state = SUPERVISOR_REGISTERING;
    s->reconnect = true;
    s->again_ms = INT64_MAX; /* what another link was told to wait for is over */
    s->connected = false;
    struct wire_worker reports[WIRE_REPORTS_MAX];
    struct wire_msg msg = {.type = WIRE_REGISTER, .epoch = s->epoch};
    msg.reg.taskmanager = s->taskmanager;
    msg.reg.incarnation = config.self;
    msg.reg.host = s->host;
    msg.reg.slots = s->config.slots;
    msg.reg.pid = s->config.pid;
    msg.reg.version = s->version;
    msg.reg.n_workers = report_fill(s, reports);
    msg.reg.workers = reports;
    supervisor_tell(s, &msg);
}

/* ---- orders of the JobManager ---- */

static void refuse_deploy(struct supervisor *s, const struct wire_msg *msg, weir_err code, const char *fmt, ...) WEIR_PRINTF(4, 5);
static void refuse_deploy(struct supervisor *s, const struct wire_msg *msg, weir_err code, const char *fmt, ...)
{
    char reason[WEIR_DIAG_MAX];
    va_list args;
    va_start(args, fmt);
    vsnprintf(reason, sizeof reason, fmt, args);
    va_end(args);
    supervisor_trace(s, true, "refused to deploy: %s", reason);
    worker_refuse(s, msg, code, reason);
}

static uint32_t own_slots(const struct wire_msg *msg)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < msg->deploy.n_slots; i++) n += msg->deploy.slot_worker[i] == msg->deploy.worker;
    return n;
}

static void on_deploy(struct supervisor *s, const struct wire_msg *msg, struct weir_bytes bytes)
{
    uint32_t n_slots = own_slots(msg);
    const struct worker *other = worker_of_job(s, msg->job);
    if (worker_find(s, msg->job, msg->attempt) || worker_has_ended(s, msg->job, msg->attempt)) {
        s->counts.messages_stale++;
        return;
    }
    if (s->state != SUPERVISOR_REGISTERED) {
        refuse_deploy(s, msg, WEIR_E_STATE, "TaskManager %s (%s) takes no work now", s->taskmanager, s->host);
        return;
    }
    if (other) {
        refuse_deploy(s, msg, WEIR_E_STATE,
                      "attempt %" PRIu32 " of this job still runs on TaskManager %s; attempt %" PRIu32 " was not started", other->attempt,
                      s->taskmanager, msg->attempt);
        return;
    }
    if (!n_slots || !slots_take(&s->slots, msg->job, msg->attempt, n_slots)) {
        refuse_deploy(s, msg, WEIR_E_LIMIT, "TaskManager %s (%s) has %" PRIu32 " free slots, but was ordered to use %" PRIu32,
                      s->taskmanager, s->host, s->slots.n_free, n_slots);
        return;
    }
    artifact_provide(s, worker_new(s, msg, n_slots, bytes));
}

/* START, COMMIT, CANCEL and the orders of checkpoints: for exactly the attempt that they name. */
static void on_order(struct supervisor *s, const struct wire_msg *msg, struct weir_bytes bytes)
{
    struct worker *w = worker_find(s, msg->job, msg->attempt);
    if (!w) {
        s->counts.messages_stale++;
        return;
    }
    report_ordered(w, msg);
    if (msg->type == WIRE_CANCEL)
        worker_cancel(s, w, bytes);
    else if (w->state == SUPERVISOR_WORKER_UP)
        worker_send(s, w, bytes);
}

static void on_registered(struct supervisor *s, const struct wire_msg *msg)
{
    if (s->state != SUPERVISOR_REGISTERING) return;
    supervisor_trace(s, true, "registered with the JobManager");
    s->state = SUPERVISOR_REGISTERED;
    s->leader_ms = INT64_MAX;
    s->pause_ms = AGAIN_MS;
    workers_tell_gone(s);
    s->heartbeat_ms = msg->registered.heartbeat_ms;
    s->heartbeat_timeout_ms = msg->registered.heartbeat_timeout_ms;
    link_set_heartbeat(s->link, s->heartbeat_ms, s->heartbeat_timeout_ms);
}

static void begin_stop(struct supervisor *s, const char *reason, bool refused)
{
    if (s->state == SUPERVISOR_STOPPING) return;
    supervisor_trace(s, true, "stops: %s", reason);
    char text[WEIR_DIAG_MAX];
    snprintf(text, sizeof text, "TaskManager %s (%s) was shut down: %s", s->taskmanager, s->host, reason);
    s->state = SUPERVISOR_STOPPING;
    s->refused = refused;
    s->stop_reason = supervisor_copy_text(reason);
    workers_tell_gone(s);
    workers_kill(s, WEIR_E_STATE, text);
}

static void on_not_leader(struct supervisor *s, const struct wire_msg *msg)
{
    if (s->state != SUPERVISOR_REGISTERING) return;
    free(s->leader);
    s->leader = supervisor_copy_text(msg->not_leader.endpoint);
    s->again_ms = s->now_ms + AGAIN_MS;
}

static void set_log_level(struct supervisor *s, enum log_level lowest)
{
    if (lowest == s->log_level) return;
    s->log_level = lowest;
    supervisor_act(s, SUPERVISOR_DO_LOG_LEVEL)->log_level = lowest;
    workers_tell_log_level(s);
}

/*
 * All of them are told at once: what is not there is as it was configured. Their values were checked by who sends them; one that we do not
 * understand changes nothing.
 */
static void settings_take(struct supervisor *s, const struct wire_msg *msg)
{
    int64_t value, leader_wait_ms = s->config.leader_wait_ms, log_level = s->config.log_level;
    for (uint32_t i = 0; i < msg->settings.n; i++) {
        char key[CONFIG_NAME_MAX + 1];
        struct weir_diag diag;
        const char *item = msg->settings.items[i], *text = item + strcspn(item, "=");
        snprintf(key, sizeof key, "%.*s", (int)(text - item), item);
        if (*text != '=' || live_key_parse(key, text + 1, &value, &diag)) {
            supervisor_trace(s, true, "a live setting is passed over: %s", *text == '=' ? diag.text : item);
            if (strcmp(key, LIVE_LEADER_WAIT) == 0) leader_wait_ms = s->leader_wait_ms;
            if (strcmp(key, LIVE_LOG_LEVEL) == 0) log_level = s->log_level;
        } else if (strcmp(key, LIVE_LEADER_WAIT) == 0) {
            leader_wait_ms = value;
        } else {
            log_level = value;
        }
    }
    if (leader_wait_ms != s->leader_wait_ms) supervisor_trace(s, true, LIVE_LEADER_WAIT " is %" PRId64 " ms now", leader_wait_ms);
    s->leader_wait_ms = leader_wait_ms;
    set_log_level(s, (enum log_level)log_level);
}

static void on_master_message(struct supervisor *s, struct weir_bytes bytes)
{
    struct wire_msg msg;
    if (wire_msg_decode(&msg, bytes.data, bytes.length, NULL)) {
        s->counts.messages_broken++;
        return;
    }
    if (msg.type == WIRE_NOT_LEADER) { /* of one that has no epoch */
        on_not_leader(s, &msg);
        wire_msg_close(&msg);
        return;
    }
    if (msg.epoch < s->epoch) {
        s->counts.messages_stale++;
        wire_msg_close(&msg);
        return;
    }
    s->epoch = msg.epoch;
    switch (msg.type) {
    case WIRE_REGISTERED: on_registered(s, &msg); break;
    case WIRE_REFUSED: begin_stop(s, msg.refused.reason, true); break;
    case WIRE_CHUNK: artifact_chunk(s, &msg); break;
    case WIRE_DEPLOY: on_deploy(s, &msg, bytes); break;
    case WIRE_START:
    case WIRE_COMMIT:
    case WIRE_TRIGGER:
    case WIRE_CHECKPOINT_COMPLETE:
    case WIRE_CHECKPOINT_ABORT:
    case WIRE_CANCEL: on_order(s, &msg, bytes); break;
    case WIRE_FORGET_JOB: copies_forget(s, msg.job); break;
    case WIRE_SETTINGS: settings_take(s, &msg); break;
    default: s->counts.messages_broken++; break;
    }
    wire_msg_close(&msg);
}

static void on_packet(struct supervisor *s, struct weir_bytes packet)
{
    enum link_outcome outcome = s->link ? link_receive(s->link, packet.data, packet.length, s->now_ms) : LINK_STALE;
    if (outcome == LINK_STALE || outcome == LINK_CORRUPT) {
        s->counts.packets_dropped++;
        return;
    }
    struct weir_bytes bytes;
    while (link_next(s->link, &bytes)) on_master_message(s, bytes);
}

/* ---- the link ---- */

/* Workers go on: whoever leads next decides whether they are still wanted. They commit nothing that nobody has ordered. */
static void on_link_dead(struct supervisor *s, const char *reason)
{
    bool lost = s->state == SUPERVISOR_REGISTERED;
    supervisor_trace(s, lost, "%s the JobManager: %s", lost ? "lost" : "did not reach", reason);
    link_destroy(&s->link);
    if (s->state == SUPERVISOR_STOPPING) return;
    if (lost) s->leader_ms = s->now_ms + s->leader_wait_ms;
    s->state = SUPERVISOR_REGISTERING;
    artifact_drop_fetches(s);
    workers_end_fetching(s);
    begin_link(s);
}

/* Where nobody listened somebody does now, and hears what waits for him: unless he does not lead, as he has said. */
static void on_connected(struct supervisor *s)
{
    s->connected = true;
    if (!s->leader) s->again_ms = INT64_MAX;
}

static void on_disconnected(struct supervisor *s)
{
    if (s->connected) {
        s->connected = false; /* it is being made again */
    } else if (s->state == SUPERVISOR_REGISTERED) {
        on_link_dead(s, "it has ended: nobody listens at its address any more");
    } else if (s->state == SUPERVISOR_REGISTERING && s->again_ms == INT64_MAX) {
        s->again_ms = s->now_ms + s->pause_ms;
        s->pause_ms = 2 * s->pause_ms < AGAIN_MAX_MS ? 2 * s->pause_ms : AGAIN_MAX_MS;
    }
}

/* The link to one that does not lead, or does not live, has said what it had to. */
static void ask_again(struct supervisor *s)
{
    if (s->now_ms < s->again_ms) return;
    s->again_ms = INT64_MAX;
    if (s->state != SUPERVISOR_REGISTERING) return;
    link_destroy(&s->link);
    begin_link(s);
}

static void expire_leader(struct supervisor *s)
{
    char reason[128];
    if (s->now_ms < s->leader_ms) return;
    s->leader_ms = INT64_MAX;
    snprintf(reason, sizeof reason, "no JobManager has answered for %" PRId64 " ms (taskmanager.leader-wait)", s->leader_wait_ms);
    workers_kill(s, WEIR_E_UNREACHABLE, reason);
}

static void stop_when_empty(struct supervisor *s)
{
    if (s->n_workers) return;
    if (s->farewell_ms == INT64_MAX) s->farewell_ms = s->now_ms + FAREWELL_MS;
    if (s->link && !s->refused && !link_idle(s->link) && s->now_ms < s->farewell_ms) return;
    s->state = SUPERVISOR_EXITED;
    struct supervisor_action *action = supervisor_act(s, SUPERVISOR_DO_EXIT);
    action->exit.err = s->refused ? WEIR_E_STATE : WEIR_OK;
    action->exit.reason = s->stop_reason;
}

static void flush(struct supervisor *s)
{
    if (s->reconnect) {
        struct weir_bytes leader = supervisor_keep(s, s->leader ? s->leader : "", s->leader ? strlen(s->leader) : 0);
        struct supervisor_action *action = supervisor_act(s, SUPERVISOR_DO_RECONNECT);
        action->reconnect.incarnation = derive(s->config.incarnation, s->n_incarnations);
        action->reconnect.endpoint = (const char *)leader.data;
        free(s->leader); /* asked once; if it does not answer, the next address is tried */
        s->leader = NULL;
    }
    s->reconnect = false;
    while (s->link && link_packet(s->link, &s->packet, s->now_ms)) {
        struct weir_bytes data = supervisor_keep(s, s->packet.data, s->packet.len);
        supervisor_act(s, SUPERVISOR_DO_SEND)->send.data = data;
    }
}

static int64_t deadline(const struct supervisor *s)
{
    if (s->state == SUPERVISOR_EXITED) return INT64_MAX;
    int64_t at = s->state == SUPERVISOR_STOPPING ? s->farewell_ms : INT64_MAX;
    if (s->link) {
        int64_t due = link_state(s->link) == LINK_DEAD ? s->now_ms : link_deadline_ms(s->link);
        if (due < at) at = due;
    }
    int64_t copies = copies_deadline(s);
    if (copies < at) at = copies;
    if (s->leader_ms < at) at = s->leader_ms;
    if (s->again_ms < at) at = s->again_ms;
    for (uint32_t i = 0; i < s->n_workers; i++) {
        int64_t due = worker_deadline(s, s->workers[i]);
        if (due < at) at = due;
    }
    return at;
}

/* ---- the step ---- */

static void on_event(struct supervisor *s, const struct supervisor_event *ev)
{
    switch (ev->type) {
    case SUPERVISOR_EV_TICK: return;
    case SUPERVISOR_EV_PACKET: on_packet(s, ev->packet.data); return;
    case SUPERVISOR_EV_CONNECTED: on_connected(s); return;
    case SUPERVISOR_EV_DISCONNECTED: on_disconnected(s); return;
    case SUPERVISOR_EV_WORKER_MESSAGE: worker_said(s, ev); return;
    case SUPERVISOR_EV_WORKER_EXITED: worker_exited(s, ev); return;
    case SUPERVISOR_EV_ARTIFACT_READY: artifact_ready(s, ev->artifact.digest); return;
    case SUPERVISOR_EV_ARTIFACT_FAILED: artifact_failed(s, ev); return;
    case SUPERVISOR_EV_STOP: begin_stop(s, ev->stop.reason, false); return;
    }
}

void supervisor_step(struct supervisor *s, const struct supervisor_event *ev, struct supervisor_actions *actions)
{
    clear(actions);
    s->out = actions;
    if (s->due_ms != INT64_MAX && ev->now_ms - s->due_ms > AWAY_MS) workers_forgive(s, ev->now_ms - s->due_ms);
    s->now_ms = ev->now_ms;
    if (s->state != SUPERVISOR_EXITED) {
        on_event(s, ev);
        if (s->link) link_tick(s->link, s->now_ms);
        if (s->link && link_state(s->link) == LINK_DEAD) on_link_dead(s, link_reason(s->link));
        ask_again(s);
        expire_leader(s);
        workers_watch(s);
        copies_expire(s);
        if (s->state == SUPERVISOR_STOPPING) stop_when_empty(s);
        flush(s);
    }
    actions->deadline_ms = s->due_ms = deadline(s);
    s->out = NULL;
}

/* ---- life ---- */

static uint32_t or_default(uint32_t value, uint32_t fallback)
{
    return value ? value : fallback;
}

void supervisor_new(struct supervisor **out, const struct supervisor_config *config, int64_t now_ms)
{
    struct supervisor *s = calloc(1, sizeof *s);
    WEIR_ASSERT(s);
    s->config = *config;
    s->taskmanager = supervisor_copy_text(config->taskmanager);
    s->host = supervisor_copy_text(config->host);
    s->version = supervisor_copy_text(config->version);
    s->heartbeat_ms = or_default(config->heartbeat_ms, WEIR_HEARTBEAT_MS);
    s->heartbeat_timeout_ms = or_default(config->heartbeat_timeout_ms, WEIR_HEARTBEAT_TIMEOUT_MS);
    s->config.retransmit_ms = or_default(config->retransmit_ms, WEIR_RETRANSMIT_MS);
    s->config.worker_silence_ms = or_default(config->worker_silence_ms, WEIR_WORKER_SILENCE_MS);
    s->config.cancel_timeout_ms = or_default(config->cancel_timeout_ms, WEIR_CANCEL_TIMEOUT_MS);
    s->config.ready_timeout_ms = or_default(config->ready_timeout_ms, WEIR_READY_TIMEOUT_MS);
    s->config.leader_wait_ms = or_default(config->leader_wait_ms, WEIR_LEADER_WAIT_MS);
    s->leader_wait_ms = s->config.leader_wait_ms;
    s->log_level = config->log_level;
    s->farewell_ms = s->leader_ms = s->again_ms = s->due_ms = INT64_MAX;
    s->pause_ms = AGAIN_MS;
    s->now_ms = now_ms;
    slots_init(&s->slots, config->slots);
    buffer_init(&s->packet, 0);
    begin_link(s);
    *out = s;
}

void supervisor_destroy(struct supervisor **supervisor)
{
    struct supervisor *s = *supervisor;
    if (!s) return;
    for (uint32_t i = 0; i < s->n_workers; i++) worker_destroy(s->workers[i]);
    link_destroy(&s->link);
    buffer_close(&s->packet);
    free(s->taskmanager);
    free(s->host);
    free(s->version);
    free(s->stop_reason);
    free(s->leader);
    free(s);
    *supervisor = NULL;
}

/* ---- views ---- */

enum supervisor_state supervisor_state(const struct supervisor *s)
{
    return s->state;
}

uint32_t supervisor_n_workers(const struct supervisor *s)
{
    return s->n_workers;
}

struct supervisor_worker_view supervisor_worker_at(const struct supervisor *s, uint32_t index)
{
    WEIR_ASSERT(index < s->n_workers);
    const struct worker *w = s->workers[index];
    return (struct supervisor_worker_view){
        .job = w->job, .attempt = w->attempt, .state = w->state, .n_slots = w->n_slots, .canceling = w->canceling};
}

uint32_t supervisor_free_slots(const struct supervisor *s)
{
    return s->slots.n_free;
}

struct supervisor_counts supervisor_counts(const struct supervisor *s)
{
    return s->counts;
}
