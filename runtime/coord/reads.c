/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Linearizable reads, and the pings that carry them. A read must see all that was committed when it was asked. The leader notes its commit
 * point, then lets a quorum of voters that follow answer a ping sent afterwards: none of them has promised a later epoch by then, so no
 * other leader had committed anything when the read was asked (a deposed leader that does not know it gets no such quorum:
 * ZOOKEEPER-1675). Many reads share one ping.
 *
 * Pings are sent every tick_ms by a leader of any phase, and when a read asks. Pongs carry session touches to the leader.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "runtime/coord/internal.h"

#define ASKED UINT64_MAX /* nonce of a barrier that the leader was asked for */
#define BARRIERS_ALL (ZAB_BARRIERS_MAX * (ZAB_MEMBERS_MAX + 1))

/* ---- pings ---- */

void zab_ping_all(struct zab *z)
{
    z->ping++;
    z->another_ping = false;
    z->ping_ms = z->now_ms + z->config.tick_ms;
    for (uint32_t i = 0; i < ZAB_PEERS_MAX; i++) {
        const struct learner *l = &z->peers[i].learner;
        if (l->stage == LEARNER_NONE) continue;
        struct zab_message *m = zab_say(z, &z->peers[i], ZAB_PING);
        m->nonce = z->ping;
        if (l->stage == LEARNER_JOINED) m->commit = zxid_min(z->commit, l->sent);
    }
    zab_ping_confirm(z);
}

void zab_ping_answer(struct zab *z, struct peer *p, const struct zab_message *m)
{
    struct zab_message *answer = zab_say(z, p, ZAB_PONG);
    answer->nonce = m->nonce;
    answer->bytes = (struct weir_bytes){z->touches.data, (uint32_t)z->touches.len};
    z->touches_sent = true;
    broadcast_on_commit(z, p, m->commit);
}

static bool answered(const struct zab *z, uint64_t ping)
{
    struct zab_set set = {0};
    set_add(&set, z->config.id);
    for (uint32_t i = 0; i < ZAB_PEERS_MAX; i++)
        if (z->peers[i].learner.stage == LEARNER_JOINED && z->peers[i].learner.pong >= ping) set_add(&set, z->peers[i].id);
    return zab_quorum(z, &set);
}

/* The newest ping that a quorum has answered is one of the newest pongs, or, for a leader that is a quorum alone, the newest ping. */
static uint64_t newest_answered(const struct zab *z)
{
    uint64_t newest = answered(z, z->ping) ? z->ping : z->confirmed;
    for (uint32_t i = 0; i < ZAB_PEERS_MAX; i++) {
        uint64_t pong = z->peers[i].learner.pong;
        if (pong > newest && answered(z, pong)) newest = pong;
    }
    return newest;
}

void zab_ping_confirm(struct zab *z)
{
    uint64_t newest = newest_answered(z);
    if (newest <= z->confirmed) return;
    z->confirmed = newest;
    for (uint32_t i = 0; i < z->n_barriers; i++)
        if (z->barriers[i].nonce <= newest) z->barriers[i].nonce = 0;
    if (z->another_ping && z->confirmed == z->ping) zab_ping_all(z);
}

void zab_ping_on_pong(struct zab *z, struct peer *p, const struct zab_message *m)
{
    if (m->nonce > z->ping || m->nonce < p->learner.pong) {
        zab_peer_reset(z, p, "peer %" PRIu32 " answers a ping that was not sent", p->id);
        return;
    }
    p->learner.pong = m->nonce;
    if (m->bytes.length) {
        struct zab_action *a = zab_act(z, ZAB_DO_TOUCHED);
        a->peer = p->id;
        a->bytes = m->bytes;
    }
    zab_ping_confirm(z);
}

enum zab_outcome zab_touch(struct zab *z, struct weir_bytes bytes)
{
    if (bytes.length > ZAB_TOUCH_MAX) return ZAB_TOO_LARGE;
    if (z->role == ZAB_LEADING) {
        struct zab_action *a = zab_act(z, ZAB_DO_TOUCHED);
        a->peer = z->config.id;
        a->bytes = bytes;
        return ZAB_TAKEN;
    }
    if (z->touches.len + bytes.length > ZAB_TOUCH_MAX) return ZAB_BUSY;
    buffer_add(&z->touches, bytes.data, bytes.length);
    WEIR_ASSERT(!z->touches.err);
    return ZAB_TAKEN;
}

/* ---- barriers ---- */

static void push(struct zab *z, struct barrier b)
{
    if (z->n_barriers == z->barriers_cap) {
        z->barriers_cap = z->barriers_cap ? 2 * z->barriers_cap : 16;
        z->barriers = realloc(z->barriers, z->barriers_cap * sizeof *z->barriers);
        WEIR_ASSERT(z->barriers);
    }
    z->barriers[z->n_barriers++] = b;
}

/* A ping that is under way may have been answered before the read was asked: it takes the next one. */
static void begin(struct zab *z, uint32_t from, uint64_t session, uint64_t token)
{
    bool idle = z->ping == z->confirmed;
    push(z, (struct barrier){.from = from, .session = session, .token = token, .nonce = z->ping + 1, .zxid = z->commit});
    z->another_ping = true;
    if (idle) zab_ping_all(z);
}

enum zab_outcome barrier_ask(struct zab *z, uint64_t token)
{
    if (!zab_serving(z)) return ZAB_NOT_ESTABLISHED;
    uint32_t own = 0;
    for (uint32_t i = 0; i < z->n_barriers; i++) own += z->barriers[i].from == z->config.id;
    if (own >= ZAB_BARRIERS_MAX) return ZAB_BUSY;
    if (z->role == ZAB_LEADING) {
        begin(z, z->config.id, 0, token);
        return ZAB_TAKEN;
    }
    push(z, (struct barrier){.from = z->config.id, .token = token, .nonce = ASKED});
    zab_say(z, zab_peer_find(z, z->leader), ZAB_BARRIER)->nonce = token;
    return ZAB_TAKEN;
}

void barrier_on_ask(struct zab *z, struct peer *p, const struct zab_message *m)
{
    if (z->phase != PHASE_ESTABLISHED || p->learner.stage != LEARNER_JOINED || z->n_barriers >= BARRIERS_ALL)
        zab_peer_reset(z, p, "peer %" PRIu32 " asks for reads out of order", p->id);
    else
        begin(z, p->id, p->learner.session, m->nonce);
}

void barrier_on_ok(struct zab *z, const struct zab_message *m)
{
    for (uint32_t i = 0; i < z->n_barriers; i++) {
        struct barrier *b = &z->barriers[i];
        if (b->token != m->nonce || b->nonce != ASKED) continue;
        b->nonce = 0;
        b->zxid = m->zxid;
        return;
    }
}

static void answer_follower(struct zab *z, const struct barrier *b)
{
    struct peer *p = zab_peer_find(z, b->from);
    if (!p || p->learner.stage != LEARNER_JOINED || p->learner.session != b->session) return;
    struct zab_message *m = zab_say(z, p, ZAB_BARRIER_OK);
    m->nonce = b->token;
    m->zxid = b->zxid;
}

/* true: served, or nobody waits for it any more. */
static bool serve(struct zab *z, const struct barrier *b)
{
    if (b->nonce) return false;
    if (b->from != z->config.id) {
        answer_follower(z, b);
        return true;
    }
    if (zxid_cmp(z->delivered, b->zxid) < 0) return false;
    struct zab_action *a = zab_act(z, ZAB_DO_SYNCED);
    a->token = b->token;
    a->zxid = z->delivered;
    return true;
}

void barrier_serve(struct zab *z)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < z->n_barriers; i++)
        if (!serve(z, &z->barriers[i])) z->barriers[kept++] = z->barriers[i];
    z->n_barriers = kept;
}

void barrier_lose_all(struct zab *z)
{
    for (uint32_t i = 0; i < z->n_barriers; i++)
        if (z->barriers[i].from == z->config.id) zab_act(z, ZAB_DO_BARRIER_LOST)->token = z->barriers[i].token;
    z->n_barriers = 0;
}
