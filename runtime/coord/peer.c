/* SPDX-License-Identifier: Apache-2.0 */
/* The peer as a whole: its life, links and greetings, time, and the table of events. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/hash.h"
#include "runtime/coord/internal.h"

#define SCRATCH_BYTES (4u * ZAB_MEMBERS_BYTES) /* reserved, so that what a step has lent out does not move */

/* ---- links ---- */

struct peer *zab_peer_find(struct zab *z, uint32_t id)
{
    for (uint32_t i = 0; i < ZAB_PEERS_MAX; i++)
        if (id && z->peers[i].id == id) return &z->peers[i];
    return NULL;
}

bool zab_quorum(const struct zab *z, const struct zab_set *set)
{
    return members_quorum(&z->active, set) && (!zab_has_pending(z) || members_quorum(&z->pending, set));
}

bool zab_is_member(const struct zab *z, uint32_t id)
{
    return members_find(&z->active, id) || (zab_has_pending(z) && members_find(&z->pending, id));
}

bool zab_is_voter(const struct zab *z, uint32_t id)
{
    return members_votes(&z->active, id) || (zab_has_pending(z) && members_votes(&z->pending, id));
}

/* The link is gone, whoever ended it. */
static void lose(struct zab *z, struct peer *p)
{
    learner_forget(z, p);
    struct peer gone = *p;
    *p = (struct peer){0};
    if (gone.greeted) election_on_link(z, &gone, false);
}

void zab_peer_reset(struct zab *z, struct peer *p, const char *fmt, ...)
{
    char reason[sizeof z->reason];
    va_list args;
    va_start(args, fmt);
    vsnprintf(reason, sizeof reason, fmt, args);
    va_end(args);
    memcpy(z->reason, reason, sizeof reason);
    zab_trace(z, true, "link to peer %" PRIu32 " reset: %s", p->id, reason);
    struct zab_action *a = zab_act(z, ZAB_DO_RESET_LINK);
    a->peer = p->id;
    a->reason = z->reason;
    lose(z, p);
}

static void on_link_up(struct zab *z, uint32_t id)
{
    struct peer *p = zab_peer_find(z, id);
    if (p) lose(z, p);
    for (uint32_t i = 0; i < ZAB_PEERS_MAX && !p; i++)
        if (z->peers[i].id == 0) p = &z->peers[i];
    if (!p || id == 0 || id == z->config.id) {
        struct zab_action *a = zab_act(z, ZAB_DO_RESET_LINK);
        a->peer = id;
        a->reason = p ? "a peer may not have this id: it is the own one, or zero" : "too many links to peers";
        return;
    }
    *p = (struct peer){.id = id};
    struct zab_message *m = zab_say(z, p, ZAB_HELLO);
    m->protocol = ZAB_PROTOCOL;
    m->cluster = z->config.cluster;
    m->peer = z->config.id;
    m->zxid = z->active.version;
}

static void on_hello(struct zab *z, struct peer *p, const struct zab_message *m)
{
    if (m->protocol != ZAB_PROTOCOL)
        zab_peer_reset(z, p, "peer %" PRIu32 " speaks protocol %" PRIu32 ", this one %u: run the same version", p->id, m->protocol,
                       ZAB_PROTOCOL);
    else if (!id_equal(m->cluster, z->config.cluster))
        zab_peer_reset(z, p, "peer %" PRIu32 " belongs to another cluster: check its addresses and its folder", p->id);
    else if (m->peer != p->id)
        zab_peer_reset(z, p, "peer %" PRIu32 " says that it is peer %" PRIu32, p->id, m->peer);
    else if (!zab_is_member(z, p->id) && zxid_cmp(m->zxid, z->active.version) <= 0)
        zab_peer_reset(z, p, "peer %" PRIu32 " is not a member: add it first", p->id);
    else {
        p->greeted = true;
        if (zxid_cmp(m->zxid, z->active.version) < 0) zab_members_tell(z, p);
        election_on_link(z, p, true);
    }
}

/* ---- messages ---- */

/* To a leader: they belong to the following that this session number names. */
static void from_follower(struct zab *z, struct peer *p, const struct zab_message *m)
{
    if (p->learner.stage == LEARNER_NONE || p->learner.session != m->session) return;
    p->learner.heard_ms = z->now_ms;
    if (z->role != ZAB_LEADING) return;
    switch (m->type) {
    case ZAB_PROMISE: discovery_on_promise(z, p, m); return;
    case ZAB_CHUNK_ACK: sync_on_chunk_ack(z, p, m); return;
    case ZAB_JOINED: sync_on_joined(z, p, m); return;
    case ZAB_ACK: broadcast_on_ack(z, p, m); return;
    case ZAB_PONG: zab_ping_on_pong(z, p, m); return;
    case ZAB_FORWARD: broadcast_on_forward(z, p, m); return;
    case ZAB_BARRIER: barrier_on_ask(z, p, m); return;
    default: return; /* on_message gives nothing else */
    }
}

/* To a follower: from its leader, in this following. */
static void from_leader(struct zab *z, struct peer *p, const struct zab_message *m)
{
    if (z->leader != p->id || z->session != m->session) return;
    z->heard_ms = z->now_ms;
    switch (m->type) {
    case ZAB_EPOCH: discovery_on_epoch(z, p, m); return;
    case ZAB_SYNC: sync_on_sync(z, p, m); return;
    case ZAB_SNAPSHOT: sync_on_snapshot(z, p, m); return;
    case ZAB_ENTRY: sync_on_entry(z, p, m); return;
    case ZAB_NEW_LEADER: sync_on_new_leader(z, p, m); return;
    case ZAB_UP_TO_DATE: sync_on_up_to_date(z, p, m); return;
    case ZAB_COMMIT: broadcast_on_commit(z, p, m->commit); return;
    case ZAB_PING: zab_ping_answer(z, p, m); return;
    case ZAB_BARRIER_OK: barrier_on_ok(z, m); return;
    default: return; /* on_message gives nothing else */
    }
}

static void on_message(struct zab *z, struct peer *p, const struct zab_message *m)
{
    if (!p) return; /* a link already reset */
    if (p->greeted == (m->type == ZAB_HELLO)) {
        zab_peer_reset(z, p, "peer %" PRIu32 " sent %s %s", p->id, message_name(m->type), p->greeted ? "twice" : "before its HELLO");
        return;
    }
    switch (m->type) {
    case ZAB_HELLO: on_hello(z, p, m); return;
    case ZAB_MEMBERS: zab_members_on_message(z, p, m); return;
    case ZAB_VOTE: election_on_vote(z, p, m); return;
    case ZAB_FOLLOW: discovery_on_follow(z, p, m); return;
    case ZAB_PROMISE:
    case ZAB_CHUNK_ACK:
    case ZAB_JOINED:
    case ZAB_ACK:
    case ZAB_PONG:
    case ZAB_FORWARD:
    case ZAB_BARRIER: from_follower(z, p, m); return;
    default:
        if (z->role == ZAB_FOLLOWING || z->role == ZAB_OBSERVING) from_leader(z, p, m);
    }
}

/* ---- time ---- */

static void tick_follower(struct zab *z)
{
    if (z->now_ms - z->heard_ms >= z->config.sync_timeout_ms)
        election_start(z, "the leader is silent");
    else if (z->phase != PHASE_ESTABLISHED && z->n_writes == 0 && z->now_ms - z->progress_ms >= z->config.init_timeout_ms)
        election_start(z, "the leader does not come forward"); /* unless it is the own disk that is waited for */
}

static void tick_leader(struct zab *z)
{
    struct zab_set heard = {0};
    set_add(&heard, z->config.id);
    for (uint32_t i = 0; i < ZAB_PEERS_MAX; i++)
        if (z->peers[i].learner.stage != LEARNER_NONE && z->now_ms - z->peers[i].learner.heard_ms < z->config.sync_timeout_ms)
            set_add(&heard, z->peers[i].id);
    if (zab_quorum(z, &heard)) z->quorum_ms = z->now_ms;
    if (z->now_ms - z->quorum_ms >= z->config.sync_timeout_ms)
        election_start(z, "no quorum follows");
    else if (z->phase != PHASE_ESTABLISHED && z->now_ms - z->progress_ms >= z->config.init_timeout_ms)
        election_start(z, "no quorum joins");
    else if (z->now_ms >= z->ping_ms)
        zab_ping_all(z);
}

static void on_tick(struct zab *z)
{
    switch (z->role) {
    case ZAB_LOOKING: election_on_tick(z); return;
    case ZAB_FOLLOWING:
    case ZAB_OBSERVING: tick_follower(z); return;
    case ZAB_LEADING: tick_leader(z); return;
    case ZAB_DETACHED: return;
    }
}

static int64_t min64(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t deadline(const struct zab *z)
{
    if (z->failed) return INT64_MAX;
    if (zxid_cmp(z->delivered, z->commit) < 0 && !z->read) return z->now_ms;
    switch (z->role) {
    case ZAB_LOOKING: return min64(z->finalize_ms, z->resend_ms);
    case ZAB_FOLLOWING:
    case ZAB_OBSERVING:
        return min64(z->heard_ms + z->config.sync_timeout_ms,
                     z->phase == PHASE_ESTABLISHED || z->n_writes ? INT64_MAX : z->progress_ms + z->config.init_timeout_ms);
    case ZAB_LEADING: return min64(z->ping_ms, z->quorum_ms + z->config.sync_timeout_ms);
    case ZAB_DETACHED: return INT64_MAX;
    }
    return INT64_MAX;
}

/* ---- steps ---- */

static void begin_step(struct zab *z, int64_t now_ms, struct zab_actions *out)
{
    z->now_ms = now_ms;
    z->out = out;
    out->n = 0;
    out->outcome = ZAB_TAKEN;
    out->proposed = (struct zxid){0};
    z->n_messages = 0;
    buffer_clear(&z->scratch);
    if (z->touches_sent) buffer_clear(&z->touches);
    z->touches_sent = false;
    history_trim(&z->history, z->role == ZAB_LEADING ? z->commit : z->history.last);
}

static void end_step(struct zab *z)
{
    zab_members_settle(z);
    zab_deliver(z);
    barrier_serve(z);
    sync_serve(z);
    zab_tell_role(z);
    WEIR_ASSERT(z->scratch.len <= SCRATCH_BYTES);
    z->out->deadline_ms = deadline(z);
    z->out = NULL;
}

static void dispatch(struct zab *z, const struct zab_event *ev)
{
    struct peer *p;
    switch (ev->type) {
    case ZAB_EV_TICK: on_tick(z); return;
    case ZAB_EV_LINK_UP: on_link_up(z, ev->peer); return;
    case ZAB_EV_LINK_DOWN:
        if ((p = zab_peer_find(z, ev->peer))) lose(z, p);
        return;
    case ZAB_EV_MESSAGE: on_message(z, zab_peer_find(z, ev->message.peer), ev->message.message); return;
    case ZAB_EV_PERSISTED: zab_disk_persisted(z, ev->ticket); return;
    case ZAB_EV_LOG_READ:
        if (ev->log_read.reader == 0)
            zab_deliver_read(z, ev);
        else if ((p = zab_peer_find(z, ev->log_read.reader)))
            sync_on_log_read(z, p, ev);
        return;
    case ZAB_EV_SNAPSHOT_READ:
        if ((p = zab_peer_find(z, ev->snapshot_read.peer))) sync_on_snapshot_read(z, p, ev);
        return;
    case ZAB_EV_SNAPSHOT_TAKEN: history_raise_floor(&z->history, ev->snapshot_taken.floor); return;
    case ZAB_EV_PROPOSE: z->out->outcome = broadcast_propose(z, ZAB_ENTRY_DATA, ev->bytes); return;
    case ZAB_EV_FORWARD: z->out->outcome = broadcast_forward(z, ev->bytes); return;
    case ZAB_EV_BARRIER: z->out->outcome = barrier_ask(z, ev->token); return;
    case ZAB_EV_RECONFIG: z->out->outcome = reconfig_propose(z, ev); return;
    case ZAB_EV_TOUCH: z->out->outcome = zab_touch(z, ev->bytes); return;
    }
}

void zab_step(struct zab *z, const struct zab_event *event, struct zab_actions *out)
{
    begin_step(z, event->now_ms, out);
    if (!z->failed) dispatch(z, event);
    if (!z->failed) end_step(z);
    out->deadline_ms = deadline(z);
}

/* ---- life ---- */

static struct zab_config with_defaults(struct zab_config c)
{
    if (!c.tick_ms) c.tick_ms = ZAB_TICK_MS;
    if (!c.sync_timeout_ms) c.sync_timeout_ms = ZAB_SYNC_TIMEOUT_MS;
    if (!c.init_timeout_ms) c.init_timeout_ms = ZAB_INIT_TIMEOUT_MS;
    if (!c.finalize_ms) c.finalize_ms = ZAB_FINALIZE_MS;
    if (!c.resend_ms) c.resend_ms = ZAB_RESEND_MS;
    if (!c.window_bytes) c.window_bytes = ZAB_WINDOW_BYTES;
    if (!c.read_bytes) c.read_bytes = ZAB_READ_BYTES;
    if (!c.flight_bytes) c.flight_bytes = ZAB_FLIGHT_BYTES;
    return c;
}

void zab_new(struct zab **out, const struct zab_config *config, const struct zab_recovery *recovery, int64_t now_ms,
             struct zab_actions *actions)
{
    WEIR_ASSERT(config->id > 0);
    struct zab *z = calloc(1, sizeof *z);
    WEIR_ASSERT(z);
    z->config = with_defaults(*config);
    z->accepted = recovery->accepted;
    z->current = recovery->current;
    z->history = recovery->history;
    z->history.limit = z->config.window_bytes;
    z->active = recovery->active;
    z->pending = recovery->pending;
    z->durable = z->history.last;
    z->delivered = recovery->snapshot;
    z->commit = recovery->committed;
    buffer_init(&z->touches, ZAB_TOUCH_MAX);
    void *reserved = buffer_extend(&z->scratch, SCRATCH_BYTES);
    WEIR_ASSERT(reserved);
    begin_step(z, now_ms, actions);
    zab_tell_members(z);
    election_start(z, "started");
    end_step(z);
    *out = z;
}

void zab_destroy(struct zab **zab)
{
    struct zab *z = *zab;
    if (!z) return;
    history_close(&z->history);
    buffer_close(&z->touches);
    buffer_close(&z->scratch);
    for (uint32_t i = 0; i < z->n_blocks; i++) free(z->blocks[i]);
    free(z->blocks);
    free(z->writes);
    free(z->barriers);
    free(z);
    *zab = NULL;
}

/* ---- status ---- */

struct zab_status zab_status(const struct zab *z)
{
    return (struct zab_status){
        .role = z->role,
        .leader = z->leader,
        .established = z->told.established,
        .epoch = z->told.epoch,
        .accepted = z->accepted,
        .current = z->current,
        .round = z->round,
        .last = z->history.last,
        .durable = z->durable,
        .commit = z->commit,
        .delivered = z->delivered,
    };
}

bool zab_follower(const struct zab *z, uint32_t peer, struct zxid *acked)
{
    for (uint32_t i = 0; i < ZAB_PEERS_MAX; i++) {
        if (z->peers[i].id != peer || z->peers[i].learner.stage != LEARNER_JOINED) continue;
        *acked = z->peers[i].learner.acked;
        return true;
    }
    return false;
}
