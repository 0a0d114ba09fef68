/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Phase 3: broadcast. Proposals are appended and streamed at once, to the own disk and to every follower in parallel; many may be under
 * way, and one fsync acknowledges all before it. What a quorum has on disk is committed, in order. Only entries of the own epoch are
 * counted: older ones were committed by the quorum that joined.
 */
#include <inttypes.h>

#include "runtime/coord/internal.h"

/* ---- leader ---- */

static uint64_t outstanding(const struct zab *z)
{
    return z->counter - (z->commit.epoch == z->epoch ? z->commit.counter : 0);
}

enum zab_outcome broadcast_propose(struct zab *z, enum zab_entry_kind kind, struct weir_bytes bytes)
{
    if (z->role != ZAB_LEADING) return ZAB_NOT_LEADER;
    if (!zab_serving(z)) return ZAB_NOT_ESTABLISHED;
    if (bytes.length > ZAB_ENTRY_MAX) return ZAB_TOO_LARGE;
    if (outstanding(z) >= ZAB_OUTSTANDING_MAX || z->outstanding_bytes + bytes.length > ZAB_OUTSTANDING_BYTES) return ZAB_BUSY;
    struct zab_entry entry = {.zxid = {z->epoch, ++z->counter}, .prev = z->history.last, .kind = kind, .bytes = bytes};
    z->outstanding_bytes += bytes.length;
    zab_log_append(z, &entry);
    z->out->proposed = entry.zxid;
    for (uint32_t i = 0; i < ZAB_PEERS_MAX; i++)
        if (z->peers[i].id) sync_pump(z, &z->peers[i]);
    return ZAB_TAKEN;
}

/* Who has entry `zxid` on disk, and counts. */
static struct zab_set holders(const struct zab *z, struct zxid zxid)
{
    struct zab_set set = {0};
    if (z->adopted && zxid_cmp(z->durable, zxid) >= 0) set_add(&set, z->config.id);
    for (uint32_t i = 0; i < ZAB_PEERS_MAX; i++) {
        const struct learner *l = &z->peers[i].learner;
        if (l->stage == LEARNER_JOINED && zxid_cmp(l->acked, zxid) >= 0) set_add(&set, z->peers[i].id);
    }
    return set;
}

/* New members count from the entry on that names them. */
static bool committable(const struct zab *z, struct zxid zxid)
{
    struct zab_set set = holders(z, zxid);
    if (!members_quorum(&z->active, &set)) return false;
    return !zab_has_pending(z) || zxid_cmp(zxid, z->pending.version) < 0 || members_quorum(&z->pending, &set);
}

static bool commit_next(struct zab *z)
{
    if (zxid_cmp(z->commit, z->history.last) >= 0) return false;
    const struct zab_entry *entry = history_after(&z->history, z->commit);
    WEIR_ASSERT(entry != NULL); /* the window keeps what is not committed */
    if (!committable(z, entry->zxid)) return false;
    z->outstanding_bytes -= entry->bytes.length;
    broadcast_commit_to(z, entry->zxid);
    return true;
}

void broadcast_advance(struct zab *z)
{
    if (z->role != ZAB_LEADING || z->phase != PHASE_ESTABLISHED) return;
    bool moved = false;
    while (commit_next(z)) moved = true;
    if (!moved) return;
    for (uint32_t i = 0; i < ZAB_PEERS_MAX; i++)
        if (z->peers[i].learner.stage == LEARNER_JOINED)
            zab_say(z, &z->peers[i], ZAB_COMMIT)->commit = zxid_min(z->commit, z->peers[i].learner.sent);
}

void broadcast_on_ack(struct zab *z, struct peer *p, const struct zab_message *m)
{
    struct learner *l = &p->learner;
    if (l->stage < LEARNER_STREAMING || zxid_cmp(m->zxid, l->sent) > 0 || m->nonce > l->sent_bytes || m->nonce < l->acked_bytes) {
        zab_peer_reset(z, p, "peer %" PRIu32 " acknowledges what it was not sent", p->id);
        return;
    }
    z->progress_ms = z->now_ms;
    l->acked_bytes = m->nonce;
    l->acked = zxid_max(l->acked, m->zxid);
    broadcast_advance(z);
    sync_pump(z, p);
}

void broadcast_on_forward(struct zab *z, struct peer *p, const struct zab_message *m)
{
    if (p->learner.stage != LEARNER_JOINED) return;
    struct zab_action *a = zab_act(z, ZAB_DO_FORWARDED);
    a->peer = p->id;
    a->bytes = m->bytes;
}

/* ---- follower ---- */

void broadcast_acknowledge(struct zab *z)
{
    struct zab_message *m = zab_say(z, zab_peer_find(z, z->leader), ZAB_ACK);
    m->zxid = z->durable;
    m->nonce = z->session_bytes;
}

void broadcast_on_commit(struct zab *z, struct peer *p, struct zxid commit)
{
    if (z->phase != PHASE_ESTABLISHED) return; /* UP_TO_DATE will tell */
    if (zxid_cmp(commit, z->history.last) > 0)
        zab_peer_reset(z, p, "peer %" PRIu32 " commits %" PRIu64 ".%" PRIu64 ", which it has not sent", p->id, commit.epoch,
                       commit.counter);
    else
        broadcast_commit_to(z, commit);
}

/* ---- both ---- */

void broadcast_commit_to(struct zab *z, struct zxid zxid)
{
    if (zxid_cmp(zxid, z->commit) <= 0) return;
    z->commit = zxid;
    if (zab_has_pending(z) && zxid_cmp(z->pending.version, zxid) <= 0) zab_members_adopt(z, &z->pending);
}

enum zab_outcome broadcast_forward(struct zab *z, struct weir_bytes bytes)
{
    if (!zab_serving(z)) return ZAB_NOT_ESTABLISHED;
    if (bytes.length > ZAB_ENTRY_MAX) return ZAB_TOO_LARGE;
    if (z->role != ZAB_LEADING) {
        zab_say(z, zab_peer_find(z, z->leader), ZAB_FORWARD)->bytes = bytes;
        return ZAB_TAKEN;
    }
    struct zab_action *a = zab_act(z, ZAB_DO_FORWARDED);
    a->peer = z->config.id;
    a->bytes = bytes;
    return ZAB_TAKEN;
}
