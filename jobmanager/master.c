/* SPDX-License-Identifier: Apache-2.0 */
#include "jobmanager/master.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "jobmanager/schedule.h"
#include "runtime/base/assert.h"

struct master {
    struct master_config config;
    struct cluster cluster;
    uint64_t last_job;
    uint32_t n_jobs, cap_jobs, n_ended;
    struct job **jobs; /* in order of submission */
    struct master_counts counts;

    /* of the step that runs */
    int64_t now_ms, wall_ms;
    struct master_actions *out;
    struct job_actions job_out;
    struct buffer packet;
};

/* What an action's pointers point at, until the next step. */
struct blob {
    struct blob *next;
    unsigned char data[];
};

/* ---- actions ---- */

void master_actions_init(struct master_actions *a)
{
    *a = (struct master_actions){0};
}

static void clear(struct master_actions *a)
{
    struct blob *blob = a->blobs;
    while (blob) {
        struct blob *next = blob->next;
        free(blob);
        blob = next;
    }
    a->blobs = NULL;
    a->n = 0;
    a->answer.code = WEIR_OK;
    a->answer.text[0] = '\0';
}

void master_actions_close(struct master_actions *a)
{
    clear(a);
    free(a->at);
    *a = (struct master_actions){0};
}

static struct master_action *act(struct master *m, enum master_action_type type)
{
    struct master_actions *a = m->out;
    if (a->n == a->cap) {
        a->cap = a->cap ? 2 * a->cap : 16;
        a->at = realloc(a->at, a->cap * sizeof *a->at);
        WEIR_ASSERT(a->at);
    }
    a->at[a->n] = (struct master_action){.type = type};
    return &a->at[a->n++];
}

static struct weir_bytes keep(struct master *m, const void *data, size_t len)
{
    struct blob *blob = malloc(sizeof *blob + len);
    WEIR_ASSERT(blob);
    memcpy(blob->data, data, len);
    blob->next = m->out->blobs;
    m->out->blobs = blob;
    return (struct weir_bytes){blob->data, (uint32_t)len};
}

/* ---- trace ---- */

static void trace(struct master *m, bool notable, const char *fmt, ...) WEIR_PRINTF(3, 4);
static void trace(struct master *m, bool notable, const char *fmt, ...)
{
    if (!m->config.trace) return;
    char line[WEIR_DIAG_MAX + 256];
    va_list args;
    va_start(args, fmt);
    vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    m->config.trace(m->config.trace_arg, notable, line);
}

#define SHORT_ID 9 /* eight hex digits and NUL: enough to tell jobs apart in a line */

static const char *short_id(struct weir_id id, char out[static SHORT_ID])
{
    char text[WEIR_ID_TEXT];
    memcpy(out, id_text(id, text), SHORT_ID - 1);
    out[SHORT_ID - 1] = '\0';
    return out;
}

/* ---- jobs ---- */

static struct job *find_job(const struct master *m, struct weir_id id)
{
    for (uint32_t i = 0; i < m->n_jobs; i++)
        if (id_equal(m->jobs[i]->id, id)) return m->jobs[i];
    return NULL;
}

static void send_bytes(struct master *m, struct cluster_session *s, const void *data, size_t len)
{
    /* A full window kills the link; the next step finds it dead and declares the TaskManager lost. A dead link is on its way there. */
    weir_err err = link_send(s->link, data, len, m->now_ms);
    WEIR_ASSERT(err != WEIR_E_NOMEM);
    WEIR_ASSERT(err != WEIR_E_ARGUMENT);
    s->touched = true;
}

static void send_message(struct master *m, struct cluster_session *s, struct wire_msg *msg)
{
    struct buffer bytes;
    buffer_init(&bytes, 0);
    msg->epoch = m->config.epoch;
    weir_err err = wire_msg_encode(msg, &bytes);
    WEIR_ASSERT(!err);
    send_bytes(m, s, bytes.data, bytes.len);
    buffer_close(&bytes);
}

static void send_to_member(struct master *m, const struct job *job, const struct job_action *action)
{
    struct cluster_member *member = cluster_find(&m->cluster, action->member);
    WEIR_ASSERT(member); /* a job forgets a member in the step in which the cluster does */
    char id[SHORT_ID];
    trace(m, false, "> %s %s job %s attempt %" PRIu32, member->id, wire_type_name(action->message), short_id(job->id, id), job->attempt);
    send_bytes(m, member->session, m->job_out.bytes.data + action->offset, action->len);
}

static void trace_changes(struct master *m, const struct job *job, enum job_state before)
{
    if (!m->config.trace || job->state == before) return;
    char id[SHORT_ID];
    if (job->state == JOB_FAILING || job->state == JOB_FAILED)
        trace(m, true, "job %s attempt %" PRIu32 " %s -> %s: %s%s%s", short_id(job->id, id), job->attempt, job_state_name(before),
              job_state_name(job->state), job->failure.operator_id, *job->failure.operator_id ? ": " : "", job->failure.reason);
    else
        trace(m, true, "job %s attempt %" PRIu32 " %s -> %s", short_id(job->id, id), job->attempt, job_state_name(before),
              job_state_name(job->state));
}

/* Steps a job and performs what it decides. */
static enum job_outcome step_job(struct master *m, struct job *job, struct job_event *ev)
{
    ev->now_ms = m->now_ms;
    ev->wall_ms = m->wall_ms;
    enum job_state before = job->state;
    job_step(job, ev, &m->job_out);
    trace_changes(m, job, before);
    for (uint32_t i = 0; i < m->job_out.n; i++) {
        const struct job_action *action = &m->job_out.at[i];
        switch (action->type) {
        case JOB_DO_STOP_DESCRIBE: act(m, MASTER_DO_STOP_DESCRIBE)->stop_describe.job = job->id; break;
        case JOB_DO_SEND: send_to_member(m, job, action); break;
        case JOB_DO_RELEASE: cluster_release(cluster_find(&m->cluster, action->member), job->id, job->attempt); break;
        case JOB_DO_ENDED:
            m->n_ended++;
            act(m, MASTER_DO_JOB_ENDED)->job_ended.job = job;
            break;
        }
    }
    return m->job_out.outcome;
}

/* ---- submit, describe, cancel ---- */

static void forget_oldest(struct master *m)
{
    uint32_t i = 0;
    while (!job_state_terminal(m->jobs[i]->state)) i++;
    job_destroy(&m->jobs[i]);
    memmove(&m->jobs[i], &m->jobs[i + 1], (m->n_jobs - i - 1) * sizeof *m->jobs);
    m->n_jobs--;
    m->n_ended--;
}

static weir_err check_submission(const struct master *m, const struct job_submission *sub, struct weir_diag *diag)
{
    if (find_job(m, sub->id)) return weir_fail(diag, WEIR_E_EXISTS, "there is a job with this id already");
    weir_err err = job_submission_check(sub, diag);
    if (err) return err;
    uint32_t active = m->n_jobs - m->n_ended;
    if (active >= WEIR_JOBS_ACTIVE_MAX)
        return weir_fail(diag, WEIR_E_LIMIT, "%" PRIu32 " jobs have not ended yet, which is the limit: try again when one has", active);
    return WEIR_OK;
}

static void on_submit(struct master *m, const struct job_submission *sub)
{
    if (check_submission(m, sub, &m->out->answer)) return;
    if (m->n_ended >= WEIR_JOBS_KEPT_MAX) forget_oldest(m);
    if (m->n_jobs == m->cap_jobs) {
        m->cap_jobs = m->cap_jobs ? 2 * m->cap_jobs : 16;
        m->jobs = realloc(m->jobs, m->cap_jobs * sizeof(struct job *));
        WEIR_ASSERT(m->jobs);
    }
    struct job_config config = {.epoch = m->config.epoch,
                                .number = ++m->last_job,
                                .slot_wait_ms = m->config.slot_wait_ms,
                                .describe_timeout_ms = m->config.describe_timeout_ms,
                                .start_timeout_ms = m->config.start_timeout_ms};
    struct job *job;
    job_new(&job, &config, sub, m->now_ms, m->wall_ms);
    m->jobs[m->n_jobs++] = job;
    char id[SHORT_ID];
    trace(m, true, "job %s INITIALIZING", short_id(job->id, id));
    act(m, MASTER_DO_DESCRIBE)->describe.job = job;
}

static void on_described(struct master *m, const struct master_event *ev)
{
    struct job *job = find_job(m, ev->described.job);
    if (job) {
        struct job_event je = {.type = JOB_EV_DESCRIBED};
        je.described.err = ev->described.err;
        je.described.reason = ev->described.reason;
        je.described.graph = ev->described.graph;
        step_job(m, job, &je);
    }
    if (ev->described.graph) graph_close(ev->described.graph); /* nothing, if the job has taken it */
}

static void on_cancel(struct master *m, struct weir_id id)
{
    struct job *job = find_job(m, id);
    if (!job) {
        weir_fail(&m->out->answer, WEIR_E_NOT_FOUND, "there is no such job");
        return;
    }
    struct job_event je = {.type = JOB_EV_CANCEL};
    step_job(m, job, &je);
    m->out->answer = m->job_out.answer;
}

/* ---- placement ---- */

/*
 * Gives each TaskManager that got a slot a worker index, in the order of TaskManagers, takes the slots, and turns slot_host from indices of
 * members into indices of workers. Returns the number of workers.
 */
static uint32_t take_slots(struct master *m, const struct job *job, uint32_t *slot_host, struct job_place *places)
{
    uint32_t n_workers = 0;
    uint32_t *worker_of = calloc(m->cluster.n_members, sizeof *worker_of); /* plus one; 0 = none */
    WEIR_ASSERT(worker_of);
    for (uint32_t i = 0; i < job->n_slots; i++) worker_of[slot_host[i]] = 1;
    for (uint32_t h = 0; h < m->cluster.n_members; h++) {
        if (!worker_of[h]) continue;
        const struct cluster_member *member = m->cluster.members[h];
        places[n_workers++] = (struct job_place){.member = member->number, .taskmanager = member->id, .host = member->host};
        worker_of[h] = n_workers;
    }
    for (uint32_t i = 0; i < job->n_slots; i++) {
        cluster_take(m->cluster.members[slot_host[i]], job->id, job->attempt + 1, i);
        slot_host[i] = worker_of[slot_host[i]] - 1;
    }
    free(worker_of);
    return n_workers;
}

static void place(struct master *m, struct job *job)
{
    uint32_t n_members = m->cluster.n_members;
    uint32_t *free_slots = calloc((size_t)n_members + 1, sizeof *free_slots);
    uint32_t *slot_host = calloc(job->n_slots, sizeof *slot_host);
    struct job_place *places = calloc((size_t)n_members + 1, sizeof *places);
    WEIR_ASSERT(free_slots);
    WEIR_ASSERT(slot_host);
    WEIR_ASSERT(places);
    for (uint32_t i = 0; i < n_members; i++) {
        struct cluster_member *member = m->cluster.members[i];
        free_slots[i] = link_state(member->session->link) == LINK_OPEN ? member->n_free : 0;
    }
    if (!schedule_spread(free_slots, n_members, job->n_slots, slot_host)) {
        struct job_event je = {.type = JOB_EV_PLACED};
        je.placed.n_workers = take_slots(m, job, slot_host, places);
        je.placed.places = places;
        je.placed.n_slots = job->n_slots;
        je.placed.slot_worker = slot_host;
        step_job(m, job, &je);
    }
    free(free_slots);
    free(slot_host);
    free(places);
}

/* In order of submission. A job that does not fit does not hold up the ones behind it; its wait is bounded by slot_wait_ms. */
static void place_jobs(struct master *m)
{
    for (uint32_t i = 0; i < m->n_jobs; i++)
        if (m->jobs[i]->state == JOB_CREATED) place(m, m->jobs[i]);
}

/* ---- TaskManagers ---- */

/* Fails what runs on a TaskManager, forgets it. Its session is CLOSING then. */
static void lose(struct master *m, struct cluster_member *member, const char *why)
{
    char reason[WEIR_DIAG_MAX];
    snprintf(reason, sizeof reason, "TaskManager %s (%s) was lost: %s", member->id, member->host, why);
    trace(m, true, "%s", reason);
    for (uint32_t i = 0; i < m->n_jobs; i++) {
        struct job *job = m->jobs[i];
        for (uint32_t w = 0; w < job->n_workers; w++) {
            if (job->workers[w].member != member->number) continue;
            struct job_event je = {.type = JOB_EV_LOST};
            je.lost.worker = w;
            je.lost.reason = reason;
            step_job(m, job, &je);
        }
    }
    cluster_forget(&m->cluster, member);
}

static void refuse(struct master *m, struct cluster_session *s, const char *reason)
{
    trace(m, true, "refused: %s", reason);
    struct wire_msg msg = {.type = WIRE_REFUSED};
    msg.refused.reason = reason;
    send_message(m, s, &msg);
}

static void on_register(struct master *m, struct cluster_session *s, const struct wire_msg *msg)
{
    if (s->state == CLUSTER_REGISTERED) return; /* said twice on one link: nothing changes */
    struct cluster_member *former;
    struct weir_diag diag;
    if (cluster_register(&m->cluster, s, msg, m->now_ms, m->wall_ms, &former, &diag) == CLUSTER_REFUSED) {
        refuse(m, s, diag.text);
        s->state = CLUSTER_CLOSING;
        return;
    }
    if (former) {
        /* If the former is a process of its own and still alive, it must not come back and fight for the id. */
        refuse(m, former->session, "another TaskManager has registered with the same id");
        lose(m, former, "it has registered again");
    }
    trace(m, true, "TaskManager %s (%s) registered with %" PRIu32 " slots", s->member->id, s->member->host, s->member->n_slots);
    struct wire_msg answer = {.type = WIRE_REGISTERED};
    answer.registered.heartbeat_ms = m->config.heartbeat_ms;
    answer.registered.heartbeat_timeout_ms = m->config.heartbeat_timeout_ms;
    send_message(m, s, &answer);
}

static void on_chunk(struct master *m, const struct master_event *ev)
{
    struct cluster_session *s = cluster_session_find(&m->cluster, ev->chunk.reader);
    if (!s || s->state != CLUSTER_REGISTERED) return; /* lost meanwhile */
    WEIR_ASSERT(ev->chunk.data.length <= WEIR_CHUNK_BYTES);
    struct wire_msg msg = {.type = WIRE_CHUNK};
    msg.chunk.digest = ev->chunk.digest;
    msg.chunk.offset = ev->chunk.offset;
    msg.chunk.total = ev->chunk.total;
    msg.chunk.data = ev->chunk.total ? ev->chunk.data : (struct weir_bytes){"", 0};
    send_message(m, s, &msg);
}

static void on_fetch(struct master *m, const struct cluster_session *s, const struct wire_msg *msg)
{
    struct master_action *action = act(m, MASTER_DO_READ_CHUNK);
    action->read_chunk.reader = s->number;
    action->read_chunk.digest = msg->fetch.digest;
    action->read_chunk.offset = msg->fetch.offset;
}

/* ---- messages of workers ---- */

static bool find_worker(const struct job *job, const struct cluster_member *member, uint32_t *out)
{
    for (uint32_t w = 0; w < job->n_workers; w++) {
        if (job->workers[w].member != member->number) continue;
        *out = w;
        return true;
    }
    return false;
}

/* Fencing: only what belongs to this epoch, to a job we know and to its present attempt reaches the job. */
static void on_worker_message(struct master *m, const struct cluster_session *s, struct wire_msg *msg)
{
    struct job *job = find_job(m, msg->job);
    struct job_event je = {.type = JOB_EV_MESSAGE};
    je.message.msg = msg;
    if (msg->epoch != m->config.epoch || (job && msg->attempt < job->attempt)) {
        m->counts.messages_stale++;
        return;
    }
    if (!job || msg->attempt > job->attempt || !find_worker(job, s->member, &je.message.worker)) {
        m->counts.messages_unknown++;
        return;
    }
    char id[SHORT_ID];
    if (msg->type != WIRE_WORKER_STATS)
        trace(m, false, "< %s %s job %s attempt %" PRIu32, s->member->id, wire_type_name(msg->type), short_id(job->id, id), job->attempt);
    if (step_job(m, job, &je) == JOB_UNEXPECTED) m->counts.messages_broken++;
}

static void on_message(struct master *m, struct cluster_session *s, struct wire_msg *msg)
{
    if (msg->type == WIRE_REGISTER) {
        on_register(m, s, msg);
        return;
    }
    if (s->state != CLUSTER_REGISTERED) {
        m->counts.messages_broken++;
        return;
    }
    switch (msg->type) {
    case WIRE_FETCH: on_fetch(m, s, msg); return;
    case WIRE_WORKER_READY:
    case WIRE_WORKER_RUNNING:
    case WIRE_WORKER_STATS:
    case WIRE_WORKER_PREPARED:
    case WIRE_WORKER_ENDED: on_worker_message(m, s, msg); return;
    default: m->counts.messages_broken++; return;
    }
}

static void on_packet(struct master *m, uint64_t route, struct weir_bytes packet)
{
    struct cluster_session *s = cluster_receive(&m->cluster, route, packet, m->now_ms, m->wall_ms);
    struct weir_bytes data;
    while (s && link_next(s->link, &data)) {
        if (s->state == CLUSTER_CLOSING) continue;
        struct wire_msg msg;
        if (wire_msg_decode(&msg, data.data, data.length, NULL)) {
            m->counts.messages_broken++;
            continue;
        }
        on_message(m, s, &msg);
        wire_msg_close(&msg);
    }
}

/* ---- time ---- */

/* Lets time pass on the links; TaskManagers whose link has died are lost, other sessions just end. */
static void tick_links(struct master *m)
{
    for (uint32_t i = 0; i < m->cluster.n_sessions;) {
        struct cluster_session *s = m->cluster.sessions[i];
        if (s->touched || link_deadline_ms(s->link) <= m->now_ms) link_tick(s->link, m->now_ms);
        bool done = s->state == CLUSTER_CLOSING && link_idle(s->link);
        if (link_state(s->link) == LINK_OPEN && !done) {
            i++;
            continue;
        }
        if (s->member) lose(m, s->member, link_reason(s->link));
        cluster_drop(&m->cluster, s);
    }
}

static void tick_jobs(struct master *m)
{
    for (uint32_t i = 0; i < m->n_jobs; i++) {
        if (m->now_ms < m->jobs[i]->deadline_ms) continue;
        struct job_event je = {.type = JOB_EV_TICK};
        cluster_slots(&m->cluster, &je.tick.slots_total, &je.tick.slots_free);
        step_job(m, m->jobs[i], &je);
    }
}

static void flush(struct master *m)
{
    for (uint32_t i = 0; i < m->cluster.n_sessions; i++) {
        struct cluster_session *s = m->cluster.sessions[i];
        if (!s->touched && link_deadline_ms(s->link) > m->now_ms) continue;
        s->touched = false;
        while (link_packet(s->link, &m->packet, m->now_ms)) {
            struct weir_bytes data = keep(m, m->packet.data, m->packet.len);
            struct master_action *action = act(m, MASTER_DO_SEND);
            action->send.route = s->route;
            action->send.data = data;
        }
    }
}

static int64_t deadline(const struct master *m)
{
    int64_t at = INT64_MAX;
    for (uint32_t i = 0; i < m->cluster.n_sessions; i++) {
        const struct cluster_session *s = m->cluster.sessions[i];
        int64_t due = link_state(s->link) == LINK_DEAD ? m->now_ms : link_deadline_ms(s->link);
        if (due < at) at = due;
    }
    for (uint32_t i = 0; i < m->n_jobs; i++)
        if (m->jobs[i]->deadline_ms < at) at = m->jobs[i]->deadline_ms;
    return at;
}

/* ---- the step ---- */

void master_step(struct master *m, const struct master_event *ev, struct master_actions *actions)
{
    clear(actions);
    m->out = actions;
    m->now_ms = ev->now_ms;
    m->wall_ms = ev->wall_ms;
    tick_links(m); /* before the event: who was silent for too long is lost, even if he speaks now */
    switch (ev->type) {
    case MASTER_EV_TICK: break;
    case MASTER_EV_PACKET: on_packet(m, ev->packet.route, ev->packet.data); break;
    case MASTER_EV_SUBMIT: on_submit(m, &ev->submit); break;
    case MASTER_EV_CANCEL: on_cancel(m, ev->cancel.job); break;
    case MASTER_EV_DESCRIBED: on_described(m, ev); break;
    case MASTER_EV_CHUNK: on_chunk(m, ev); break;
    }
    place_jobs(m); /* before the deadlines: slots that came in the last moment count */
    tick_jobs(m);
    flush(m);
    actions->deadline_ms = deadline(m);
    m->out = NULL;
}

/* ---- life ---- */

static uint32_t or_default(uint32_t value, uint32_t fallback)
{
    return value ? value : fallback;
}

void master_new(struct master **out, const struct master_config *config, int64_t now_ms)
{
    WEIR_ASSERT(config->epoch > 0);
    struct master *m = calloc(1, sizeof *m);
    WEIR_ASSERT(m);
    m->config = *config;
    m->config.heartbeat_ms = or_default(config->heartbeat_ms, WEIR_HEARTBEAT_MS);
    m->config.heartbeat_timeout_ms = or_default(config->heartbeat_timeout_ms, WEIR_HEARTBEAT_TIMEOUT_MS);
    m->config.retransmit_ms = or_default(config->retransmit_ms, WEIR_RETRANSMIT_MS);
    m->config.slot_wait_ms = or_default(config->slot_wait_ms, WEIR_SLOT_WAIT_MS);
    m->config.describe_timeout_ms = or_default(config->describe_timeout_ms, WEIR_DESCRIBE_TIMEOUT_MS);
    m->config.start_timeout_ms = or_default(config->start_timeout_ms, WEIR_START_TIMEOUT_MS);
    struct cluster_config cluster = {.incarnation = config->incarnation,
                                     .epoch = config->epoch,
                                     .version = config->version,
                                     .heartbeat_ms = m->config.heartbeat_ms,
                                     .timeout_ms = m->config.heartbeat_timeout_ms,
                                     .retransmit_ms = m->config.retransmit_ms};
    cluster_init(&m->cluster, &cluster);
    job_actions_init(&m->job_out);
    buffer_init(&m->packet, 0);
    m->now_ms = now_ms;
    *out = m;
}

void master_destroy(struct master **master)
{
    struct master *m = *master;
    if (!m) return;
    for (uint32_t i = 0; i < m->n_jobs; i++) job_destroy(&m->jobs[i]);
    free(m->jobs);
    cluster_close(&m->cluster);
    job_actions_close(&m->job_out);
    buffer_close(&m->packet);
    free(m);
    *master = NULL;
}

/* ---- views ---- */

uint32_t master_n_jobs(const struct master *m)
{
    return m->n_jobs;
}

const struct job *master_job_at(const struct master *m, uint32_t index)
{
    WEIR_ASSERT(index < m->n_jobs);
    return m->jobs[index];
}

const struct job *master_job_find(const struct master *m, struct weir_id id)
{
    return find_job(m, id);
}

uint32_t master_n_taskmanagers(const struct master *m)
{
    return m->cluster.n_members;
}

const struct cluster_member *master_taskmanager_at(const struct master *m, uint32_t index)
{
    WEIR_ASSERT(index < m->cluster.n_members);
    return m->cluster.members[index];
}

void master_slots(const struct master *m, uint32_t *total, uint32_t *free_slots)
{
    cluster_slots(&m->cluster, total, free_slots);
}

uint64_t master_epoch(const struct master *m)
{
    return m->config.epoch;
}

struct master_counts master_counts(const struct master *m)
{
    struct master_counts counts = m->counts;
    counts.packets_dropped = m->cluster.packets_dropped;
    return counts;
}
