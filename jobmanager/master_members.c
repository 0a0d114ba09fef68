/* SPDX-License-Identifier: Apache-2.0 */
/* The master and its TaskManagers (master.h): links, registration, loss, and what workers say through them. */
#include <inttypes.h>
#include <stdio.h>

#include "jobmanager/master_internal.h"
#include "runtime/base/assert.h"

/* ---- sending ---- */

static void send_bytes(struct master *m, struct cluster_session *s, const void *data, size_t len)
{
    /* A full window kills the link; the next step finds it dead and declares the TaskManager lost. A dead link is on its way there. */
    weir_err err = link_send(s->link, data, len, m->now_ms);
    WEIR_ASSERT(err != WEIR_E_NOMEM);
    WEIR_ASSERT(err != WEIR_E_ARGUMENT);
    s->touched = true;
}

void master_send(struct master *m, struct cluster_session *s, struct wire_msg *msg)
{
    struct buffer bytes;
    buffer_init(&bytes, 0);
    msg->epoch = m->config.epoch;
    weir_err err = wire_msg_encode(msg, &bytes);
    WEIR_ASSERT(!err);
    send_bytes(m, s, bytes.data, bytes.len);
    buffer_close(&bytes);
}

void master_send_to_member(struct master *m, const struct job *job, const struct job_action *action)
{
    struct cluster_member *member = cluster_find(&m->cluster, action->member);
    WEIR_ASSERT(member); /* a job forgets a member in the step in which the cluster does */
    char id[SHORT_ID];
    master_trace(m, false, "> %s %s job %s attempt %" PRIu32, member->id, wire_type_name(action->message), master_short_id(job->id, id),
                 job->attempt);
    send_bytes(m, member->session, m->job_out.bytes.data + action->offset, action->len);
}

void master_forget_job(struct master *m, struct weir_id job)
{
    for (uint32_t i = 0; i < m->cluster.n_members; i++) {
        struct wire_msg msg = {.type = WIRE_FORGET_JOB, .job = job};
        master_send(m, m->cluster.members[i]->session, &msg);
    }
}

/* ---- TaskManagers ---- */

/* Fails what runs on a TaskManager, forgets it. Its session is CLOSING then. */
static void lose(struct master *m, struct cluster_member *member, const char *why)
{
    char reason[WEIR_DIAG_MAX];
    snprintf(reason, sizeof reason, "TaskManager %s (%s) was lost: %s", member->id, member->host, why);
    master_trace(m, true, "%s", reason);
    for (uint32_t i = 0; i < m->n_jobs; i++) {
        struct job *job = m->jobs[i];
        for (uint32_t w = 0; w < job->n_workers; w++) {
            if (job->workers[w].member != member->number) continue;
            struct job_event je = {.type = JOB_EV_LOST};
            je.lost.worker = w;
            je.lost.reason = reason;
            master_step_job(m, job, &je);
        }
    }
    cluster_forget(&m->cluster, member);
}

static void refuse(struct master *m, struct cluster_session *s, const char *reason)
{
    master_trace(m, true, "refused: %s", reason);
    struct wire_msg msg = {.type = WIRE_REFUSED};
    msg.refused.reason = reason;
    master_send(m, s, &msg);
}

/* There is nothing to register with here. The session lives until that has arrived. */
static void name_leader(struct master *m, struct cluster_session *s)
{
    struct wire_msg msg = {.type = WIRE_NOT_LEADER};
    msg.not_leader.endpoint = m->leader;
    master_send(m, s, &msg);
    s->state = CLUSTER_CLOSING;
}

/* A worker that a TaskManager has had since before it registered: a job takes it up, or it has to go. */
static void on_report(struct master *m, struct cluster_session *s, const struct wire_worker *w)
{
    struct job *job = master_find_job(m, w->job);
    struct job_event je = {.type = JOB_EV_REPORTED};
    je.reported.worker = w;
    je.reported.place = (struct job_place){.member = s->member->number, .taskmanager = s->member->id, .host = s->member->host};
    if (job && master_step_job(m, job, &je) == JOB_TAKEN) return;
    if (w->state == WIRE_WORKER_HAS_COMMITTED) return;
    char id[SHORT_ID];
    struct wire_msg cancel = {.type = WIRE_CANCEL, .job = w->job, .attempt = w->attempt};
    master_trace(m, true, "TaskManager %s runs attempt %" PRIu32 " of job %s, which is not wanted any more", s->member->id, w->attempt,
                 master_short_id(w->job, id));
    master_send(m, s, &cancel);
}

static bool all_registered(const struct master *m, const struct job *job)
{
    for (uint32_t i = 0; i < job->n_awaited; i++)
        if (!cluster_find_id(&m->cluster, job->awaited[i])) return false;
    return job->n_awaited > 0;
}

/* A TaskManager has come back, with what it has. Was it the last one that a job waits for? */
static void tell_all_back(struct master *m)
{
    struct job_event je = {.type = JOB_EV_ALL_BACK};
    for (uint32_t i = 0; i < m->n_jobs; i++)
        if (m->jobs[i]->state == JOB_RECONCILING && all_registered(m, m->jobs[i])) (void)master_step_job(m, m->jobs[i], &je);
}

static void on_register(struct master *m, struct cluster_session *s, const struct wire_msg *msg)
{
    if (s->state == CLUSTER_REGISTERED) return; /* said twice on one link: nothing changes */
    if (!master_leads(m)) {
        name_leader(m, s);
        return;
    }
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
    master_trace(m, true, "TaskManager %s (%s) registered with %" PRIu32 " slots", s->member->id, s->member->host, s->member->n_slots);
    struct wire_msg answer = {.type = WIRE_REGISTERED};
    answer.registered.heartbeat_ms = m->config.heartbeat_ms;
    answer.registered.heartbeat_timeout_ms = m->config.heartbeat_timeout_ms;
    master_send(m, s, &answer);
    master_tell_settings(m, s);
    for (uint32_t i = 0; i < msg->reg.n_workers; i++) on_report(m, s, &msg->reg.workers[i]);
    tell_all_back(m);
}

void master_on_chunk(struct master *m, const struct master_event *ev)
{
    struct cluster_session *s = cluster_session_find(&m->cluster, ev->chunk.reader);
    if (!s || s->state != CLUSTER_REGISTERED) return; /* lost meanwhile */
    WEIR_ASSERT(ev->chunk.data.length <= WEIR_CHUNK_BYTES);
    struct wire_msg msg = {.type = WIRE_CHUNK};
    msg.chunk.digest = ev->chunk.digest;
    msg.chunk.offset = ev->chunk.offset;
    msg.chunk.total = ev->chunk.total;
    msg.chunk.data = ev->chunk.total ? ev->chunk.data : (struct weir_bytes){"", 0};
    master_send(m, s, &msg);
}

static void on_fetch(struct master *m, const struct cluster_session *s, const struct wire_msg *msg)
{
    struct master_action *action = master_act(m, MASTER_DO_READ_CHUNK);
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

/* Of a worker that is not wanted only its end is of interest: its slots are free then. */
static void on_foreign_message(const struct cluster_session *s, const struct wire_msg *msg, uint64_t *count)
{
    if (msg->type == WIRE_WORKER_ENDED && cluster_release(s->member, msg->job, msg->attempt)) return;
    (*count)++;
}

/* Fencing: only what belongs to a job we know, to its present attempt and to the epoch of that one reaches the job. */
static void on_worker_message(struct master *m, const struct cluster_session *s, struct wire_msg *msg)
{
    struct job *job = master_find_job(m, msg->job);
    struct job_event je = {.type = JOB_EV_MESSAGE};
    je.message.msg = msg;
    if (job && (msg->attempt < job->attempt || msg->epoch != job->attempt_epoch)) {
        on_foreign_message(s, msg, &m->counts.messages_stale);
        return;
    }
    if (!job || msg->attempt > job->attempt || !find_worker(job, s->member, &je.message.worker)) {
        on_foreign_message(s, msg, &m->counts.messages_unknown);
        return;
    }
    char id[SHORT_ID];
    if (msg->type != WIRE_WORKER_STATS)
        master_trace(m, false, "< %s %s job %s attempt %" PRIu32, s->member->id, wire_type_name(msg->type), master_short_id(job->id, id),
                     job->attempt);
    enum job_outcome outcome = master_step_job(m, job, &je);
    m->counts.messages_late += outcome == JOB_LATE;
    m->counts.messages_broken += outcome == JOB_UNEXPECTED;
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
    case WIRE_WORKER_ENDED:
    case WIRE_CHECKPOINT_ACK:
    case WIRE_CHECKPOINT_DECLINE: on_worker_message(m, s, msg); return;
    default: m->counts.messages_broken++; return;
    }
}

/* What lies in m->packet. */
static void send_packet(struct master *m, uint64_t route)
{
    struct weir_bytes data = master_keep(m, m->packet.data, m->packet.len);
    struct master_action *action = master_act(m, MASTER_DO_SEND);
    action->send.route = route;
    action->send.data = data;
}

void master_on_packet(struct master *m, uint64_t route, struct weir_bytes packet)
{
    struct cluster_session *s = cluster_receive(&m->cluster, route, packet, m->now_ms, m->wall_ms, &m->packet);
    struct weir_bytes data;
    if (m->packet.len) send_packet(m, route);
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

void master_tick_links(struct master *m)
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

void master_flush(struct master *m)
{
    for (uint32_t i = 0; i < m->cluster.n_sessions; i++) {
        struct cluster_session *s = m->cluster.sessions[i];
        if (!s->touched && link_deadline_ms(s->link) > m->now_ms) continue;
        s->touched = false;
        while (link_packet(s->link, &m->packet, m->now_ms)) send_packet(m, s->route);
    }
}

int64_t master_links_deadline_ms(const struct master *m)
{
    int64_t at = INT64_MAX;
    for (uint32_t i = 0; i < m->cluster.n_sessions; i++) {
        const struct cluster_session *s = m->cluster.sessions[i];
        int64_t due = link_state(s->link) == LINK_DEAD ? m->now_ms : link_deadline_ms(s->link);
        if (due < at) at = due;
    }
    return at;
}
