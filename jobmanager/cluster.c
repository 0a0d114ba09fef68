/* SPDX-License-Identifier: Apache-2.0 */
#include "jobmanager/cluster.h"

#include <inttypes.h>
#include <stdlib.h>

#include "runtime/base/assert.h"
#include "runtime/base/must.h"

/* The n-th incarnation derived from a random one: different for each n, and as good as random to everyone else. */
static struct weir_id derive(struct weir_id base, uint64_t n)
{
    for (int i = 0; i < 8; i++) base.bytes[8 + i] ^= (uint8_t)(n >> (8 * i));
    return base;
}

void cluster_init(struct cluster *c, const struct cluster_config *config)
{
    *c = (struct cluster){.config = *config};
}

/* ---- sessions ---- */

static struct cluster_session *find_peer(const struct cluster *c, struct weir_id peer)
{
    for (uint32_t i = 0; i < c->n_sessions; i++)
        if (id_equal(c->sessions[i]->peer, peer)) return c->sessions[i];
    return NULL;
}

struct cluster_session *cluster_session_find(const struct cluster *c, uint64_t number)
{
    for (uint32_t i = 0; i < c->n_sessions; i++)
        if (c->sessions[i]->number == number) return c->sessions[i];
    return NULL;
}

static struct link *new_link(const struct cluster *c, struct weir_id self, struct weir_id peer, int64_t now_ms)
{
    struct link *link;
    struct link_config config = {.self = self,
                                 .peer = peer,
                                 .heartbeat_ms = c->config.heartbeat_ms,
                                 .timeout_ms = c->config.timeout_ms,
                                 .retransmit_ms = c->config.retransmit_ms};
    weir_err err = link_new(&link, &config, now_ms);
    WEIR_ASSERT(!err);
    return link;
}

/* The first packet of a link that nobody will use: whoever waits for another incarnation of us learns that it is no more. */
static void answer_in_a_new_name(struct cluster *c, struct weir_id peer, int64_t now_ms, struct buffer *answer)
{
    struct link *link = new_link(c, derive(c->config.incarnation, ++c->last_session), peer, now_ms);
    (void)link_packet(link, answer, now_ms);
    link_destroy(&link);
}

static struct cluster_session *begin_session(struct cluster *c, struct weir_id peer, int64_t now_ms)
{
    struct cluster_session *s = must_zero(1, sizeof *s);
    s->number = ++c->last_session;
    s->self = derive(c->config.incarnation, s->number);
    s->peer = peer;
    s->link = new_link(c, s->self, peer, now_ms);
    if (c->n_sessions == c->cap_sessions) {
        c->cap_sessions = c->cap_sessions ? 2 * c->cap_sessions : 16;
        c->sessions = realloc(c->sessions, c->cap_sessions * sizeof *c->sessions);
        WEIR_ASSERT(c->sessions);
    }
    c->sessions[c->n_sessions++] = s;
    return s;
}

static void destroy_session(struct cluster_session *s)
{
    link_destroy(&s->link);
    free(s);
}

void cluster_drop(struct cluster *c, struct cluster_session *s)
{
    WEIR_ASSERT(!s->member);
    uint32_t i = 0;
    while (c->sessions[i] != s) i++;
    memmove(&c->sessions[i], &c->sessions[i + 1], (c->n_sessions - i - 1) * sizeof *c->sessions);
    c->n_sessions--;
    destroy_session(s);
}

struct cluster_session *cluster_receive(struct cluster *c, uint64_t route, struct weir_bytes packet, int64_t now_ms, int64_t wall_ms,
                                        struct buffer *answer)
{
    struct weir_id from, to;
    struct cluster_session *s = NULL;
    bool fresh = false;
    buffer_clear(answer);
    if (link_peek(packet.data, packet.length, &from, &to)) {
        s = find_peer(c, from);
        fresh = !s && id_is_zero(to) && c->n_sessions < CLUSTER_SESSIONS_MAX;
        if (fresh) s = begin_session(c, from, now_ms);
        if (!s && !id_is_zero(to)) answer_in_a_new_name(c, from, now_ms, answer);
    }
    enum link_outcome outcome = s ? link_receive(s->link, packet.data, packet.length, now_ms) : LINK_STALE;
    if (outcome == LINK_STALE || outcome == LINK_CORRUPT) {
        c->packets_dropped++;
        if (fresh) cluster_drop(c, s);
        return NULL;
    }
    s->route = route;
    s->touched = true;
    if (s->member) {
        s->member->heard_ms = now_ms;
        s->member->heard_wall_ms = wall_ms;
    }
    return s;
}

/* ---- members ---- */

static void destroy_member(struct cluster_member *m)
{
    free(m->host);
    free(m->version);
    free(m->slots);
    free(m);
}

void cluster_close(struct cluster *c)
{
    for (uint32_t i = 0; i < c->n_sessions; i++) destroy_session(c->sessions[i]);
    for (uint32_t i = 0; i < c->n_members; i++) destroy_member(c->members[i]);
    free(c->sessions);
    free(c->members);
    *c = (struct cluster){0};
}

struct cluster_member *cluster_find_id(const struct cluster *c, const char *id)
{
    for (uint32_t i = 0; i < c->n_members; i++)
        if (!strcmp(c->members[i]->id, id)) return c->members[i];
    return NULL;
}

struct cluster_member *cluster_find(const struct cluster *c, uint64_t number)
{
    for (uint32_t i = 0; i < c->n_members; i++)
        if (c->members[i]->number == number) return c->members[i];
    return NULL;
}

/* Is the registration acceptable? WEIR_OK, or why not. */
static weir_err check(const struct cluster *c, const struct wire_msg *msg, const struct cluster_member *former, struct weir_diag *diag)
{
    size_t len = strlen(msg->reg.taskmanager);
    if (!len || len > WEIR_NAME_MAX)
        return weir_fail(diag, WEIR_E_ARGUMENT, "the id of a TaskManager has 1 to %d bytes, this one has %zu", WEIR_NAME_MAX, len);
    if (!msg->reg.slots || msg->reg.slots > WEIR_SLOTS_MAX)
        return weir_fail(diag, WEIR_E_LIMIT, "TaskManager %s offers %" PRIu32 " slots; 1 to %d are allowed", msg->reg.taskmanager,
                         msg->reg.slots, WEIR_SLOTS_MAX);
    if (c->config.version && strcmp(c->config.version, msg->reg.version) != 0)
        return weir_fail(diag, WEIR_E_UNSUPPORTED, "TaskManager %s is Weir %s, the JobManager is Weir %s: install the same version",
                         msg->reg.taskmanager, msg->reg.version, c->config.version);
    if (!former && c->n_members >= WEIR_TASKMANAGERS_MAX)
        return weir_fail(diag, WEIR_E_LIMIT, "the cluster already has %d TaskManagers, which is its limit", WEIR_TASKMANAGERS_MAX);
    return WEIR_OK;
}

static struct cluster_member *new_member(struct cluster *c, struct cluster_session *s, const struct wire_msg *msg, int64_t now_ms,
                                         int64_t wall_ms)
{
    struct cluster_member *m = must_zero(1, sizeof *m);
    m->number = ++c->last_member;
    memcpy(m->id, msg->reg.taskmanager, strlen(msg->reg.taskmanager) + 1);
    m->host = must_copy(msg->reg.host);
    m->version = must_copy(msg->reg.version);
    m->pid = msg->reg.pid;
    m->incarnation = s->peer;
    m->n_slots = m->n_free = msg->reg.slots;
    m->slots = must_zero(m->n_slots, sizeof *m->slots);
    m->registered_wall_ms = m->heard_wall_ms = wall_ms;
    m->heard_ms = now_ms;
    m->session = s;
    for (uint32_t i = 0; i < msg->reg.n_workers; i++) /* the decoder has seen that they fit */
        for (uint32_t k = 0; k < msg->reg.workers[i].n_slots; k++)
            cluster_take(m, msg->reg.workers[i].job, msg->reg.workers[i].attempt, msg->reg.workers[i].slots[k]);
    return m;
}

static void insert_member(struct cluster *c, struct cluster_member *m)
{
    if (c->n_members == c->cap_members) {
        c->cap_members = c->cap_members ? 2 * c->cap_members : 16;
        c->members = realloc(c->members, c->cap_members * sizeof *c->members);
        WEIR_ASSERT(c->members);
    }
    uint32_t at = c->n_members++;
    for (; at > 0 && strcmp(c->members[at - 1]->id, m->id) > 0; at--) c->members[at] = c->members[at - 1];
    c->members[at] = m;
}

enum cluster_outcome cluster_register(struct cluster *c, struct cluster_session *s, const struct wire_msg *msg, int64_t now_ms,
                                      int64_t wall_ms, struct cluster_member **replaced, struct weir_diag *diag)
{
    WEIR_ASSERT(s->state == CLUSTER_GREETING);
    *replaced = NULL;
    struct cluster_member *former = cluster_find_id(c, msg->reg.taskmanager);
    if (check(c, msg, former, diag)) return CLUSTER_REFUSED;
    s->member = new_member(c, s, msg, now_ms, wall_ms);
    s->state = CLUSTER_REGISTERED;
    insert_member(c, s->member);
    *replaced = former;
    return CLUSTER_ACCEPTED;
}

void cluster_forget(struct cluster *c, struct cluster_member *m)
{
    uint32_t i = 0;
    while (c->members[i] != m) i++;
    memmove(&c->members[i], &c->members[i + 1], (c->n_members - i - 1) * sizeof *c->members);
    c->n_members--;
    m->session->member = NULL;
    m->session->state = CLUSTER_CLOSING;
    destroy_member(m);
}

/* ---- slots ---- */

void cluster_take(struct cluster_member *m, struct weir_id job, uint32_t attempt, uint32_t slot)
{
    for (uint32_t i = 0; i < m->n_slots; i++) {
        if (m->slots[i].used) continue;
        m->slots[i] = (struct cluster_slot){.used = true, .job = job, .attempt = attempt, .slot = slot};
        m->n_free--;
        return;
    }
    WEIR_ASSERT(false); /* the caller looked at n_free */
}

bool cluster_holds_other(const struct cluster_member *m, struct weir_id job, uint32_t attempt)
{
    for (uint32_t i = 0; i < m->n_slots; i++)
        if (m->slots[i].used && m->slots[i].attempt != attempt && id_equal(m->slots[i].job, job)) return true;
    return false;
}

uint32_t cluster_release(struct cluster_member *m, struct weir_id job, uint32_t attempt)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < m->n_slots; i++) {
        struct cluster_slot *slot = &m->slots[i];
        if (!slot->used || slot->attempt != attempt || !id_equal(slot->job, job)) continue;
        slot->used = false;
        n++;
    }
    m->n_free += n;
    return n;
}

void cluster_slots(const struct cluster *c, uint32_t *total, uint32_t *free_slots)
{
    *total = *free_slots = 0;
    for (uint32_t i = 0; i < c->n_members; i++) {
        *total += c->members[i]->n_slots;
        *free_slots += c->members[i]->n_free;
    }
}
