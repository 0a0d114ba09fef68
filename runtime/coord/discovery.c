/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Phase 1: discovery. A leader gathers a quorum, chooses an epoch above all that any of them has promised, promises it itself, and has the
 * quorum promise. Whoever has promised never again takes part in an earlier epoch. With the promise comes what the follower's log looks
 * like; a leader that meets a newer one than its own steps down.
 *
 *     FOLLOW(accepted) ─▶ quorum ─▶ epoch on disk ─▶ EPOCH ─▶ epoch on disk ─▶ PROMISE(current, last, spans) ─▶ quorum
 */
#include <inttypes.h>
#include <string.h>

#include "runtime/coord/internal.h"

#define EPOCH_MAX (UINT64_MAX >> 1) /* a peer that promised more is broken */

/* ---- leader ---- */

static void ask(struct zab *z, struct peer *p)
{
    p->learner.stage = LEARNER_ASKED;
    zab_say(z, p, ZAB_EPOCH)->epoch = z->epoch;
}

/* Chooses the epoch once a quorum is there. */
static void gather(struct zab *z)
{
    struct zab_set set = {0};
    uint64_t highest = z->accepted;
    set_add(&set, z->config.id);
    for (uint32_t i = 0; i < ZAB_PEERS_MAX; i++) {
        const struct peer *p = &z->peers[i];
        if (p->learner.stage == LEARNER_NONE) continue;
        set_add(&set, p->id);
        if (p->learner.accepted > highest) highest = p->learner.accepted;
    }
    if (!zab_quorum(z, &set)) return;
    z->phase = PHASE_CHOOSING;
    z->epoch = z->accepted = highest + 1;
    zab_log_epochs(z, DISK_PROMISE);
}

void discovery_lead(struct zab *z)
{
    zab_trace(z, true, "elected in round %" PRIu64, z->round);
    z->role = ZAB_LEADING;
    z->phase = PHASE_GATHERING;
    z->leader = z->config.id;
    z->generation++;
    z->adopted = false;
    z->counter = 0;
    z->ping = z->confirmed = 0;
    z->another_ping = false;
    z->progress_ms = z->quorum_ms = z->ping_ms = z->now_ms;
    for (uint32_t i = 0; i < ZAB_PEERS_MAX; i++) z->peers[i].learner.heard_ms = z->now_ms;
    election_tell_all(z);
    gather(z);
}

/* Would following this leader break the follower's promise? Then only a later epoch helps. */
static bool outbid(const struct zab *z, const struct peer *p)
{
    if (p->learner.accepted > z->epoch) return true;
    return p->learner.accepted == z->epoch && z->phase < PHASE_JOINING && zab_is_voter(z, p->id);
}

void discovery_on_follow(struct zab *z, struct peer *p, const struct zab_message *m)
{
    if (m->accepted > EPOCH_MAX) {
        zab_peer_reset(z, p, "peer %" PRIu32 " has promised epoch %" PRIu64 ": its disk is damaged", p->id, m->accepted);
        return;
    }
    learner_forget(z, p);
    if (!zab_is_member(z, p->id) || (z->role != ZAB_LOOKING && z->role != ZAB_LEADING)) {
        election_tell(z, p); /* it follows somebody who does not lead */
        return;
    }
    p->learner = (struct learner){.stage = LEARNER_WAITS, .session = m->session, .accepted = m->accepted, .heard_ms = z->now_ms};
    if (z->role == ZAB_LOOKING) return;
    z->progress_ms = z->now_ms;
    if (z->phase == PHASE_GATHERING)
        gather(z);
    else if (outbid(z, p))
        election_start(z, "a follower has promised a later epoch");
    else if (z->phase != PHASE_CHOOSING)
        ask(z, p);
}

static bool newer(uint64_t epoch, struct zxid last, const struct zab *z)
{
    return epoch != z->current ? epoch > z->current : zxid_cmp(last, z->history.last) > 0;
}

static void begin_joining(struct zab *z)
{
    z->phase = PHASE_JOINING;
    z->progress_ms = z->now_ms;
    z->current = z->epoch;
    zab_log_epochs(z, DISK_ADOPT);
    for (uint32_t i = 0; i < ZAB_PEERS_MAX; i++)
        if (z->peers[i].learner.stage == LEARNER_PROMISED) sync_begin(z, &z->peers[i]);
}

static void count_promises(struct zab *z)
{
    struct zab_set set = {0};
    set_add(&set, z->config.id);
    for (uint32_t i = 0; i < ZAB_PEERS_MAX; i++)
        if (z->peers[i].learner.stage >= LEARNER_PROMISED && z->peers[i].learner.counts) set_add(&set, z->peers[i].id);
    if (zab_quorum(z, &set)) begin_joining(z);
}

void discovery_on_promise(struct zab *z, struct peer *p, const struct zab_message *m)
{
    struct learner *l = &p->learner;
    if (l->stage != LEARNER_ASKED) return;
    l->stage = LEARNER_PROMISED;
    l->counts = m->flag;
    l->last = m->zxid;
    l->n_spans = m->n_spans;
    memcpy(l->spans, m->spans, m->n_spans * sizeof m->spans[0]);
    z->progress_ms = z->now_ms;
    if (z->phase >= PHASE_JOINING)
        sync_begin(z, p);
    else if (l->counts && zab_is_voter(z, p->id) && newer(m->epoch, m->zxid, z))
        election_start(z, "a follower's log is newer");
    else
        count_promises(z);
}

/* ---- follower ---- */

void discovery_follow(struct zab *z, uint32_t leader)
{
    zab_trace(z, true, "following peer %" PRIu32 " in round %" PRIu64, leader, z->round);
    z->role = zab_is_voter(z, z->config.id) ? ZAB_FOLLOWING : ZAB_OBSERVING;
    z->phase = PHASE_ASKING;
    z->leader = leader;
    z->generation++;
    z->session++;
    z->session_bytes = 0;
    z->synced = false;
    z->progress_ms = z->heard_ms = z->now_ms;
    for (uint32_t i = 0; i < ZAB_PEERS_MAX; i++) learner_forget(z, &z->peers[i]);
    election_tell_all(z);
    zab_say(z, zab_peer_find(z, leader), ZAB_FOLLOW)->accepted = z->accepted;
}

static void promise(struct zab *z, bool counts)
{
    const struct history *h = &z->history;
    struct zab_message *m = zab_say(z, zab_peer_find(z, z->leader), ZAB_PROMISE);
    m->flag = counts;
    m->epoch = z->current;
    m->zxid = h->last;
    m->n_spans = h->n_spans < ZAB_SPANS_SENT ? h->n_spans : ZAB_SPANS_SENT;
    memcpy(m->spans, &h->spans[h->n_spans - m->n_spans], m->n_spans * sizeof m->spans[0]);
    z->phase = PHASE_SYNCING;
}

void discovery_on_epoch(struct zab *z, struct peer *p, const struct zab_message *m)
{
    if (z->phase != PHASE_ASKING || m->epoch > EPOCH_MAX) {
        zab_peer_reset(z, p, "peer %" PRIu32 " asked twice for a promise, or for epoch %" PRIu64, p->id, m->epoch);
        return;
    }
    z->progress_ms = z->now_ms;
    z->epoch = m->epoch;
    if (m->epoch < z->accepted) {
        election_start(z, "the leader's epoch is older than one promised");
    } else if (m->epoch == z->accepted) {
        promise(z, false); /* promised before, perhaps to somebody else: following is fine, counting twice is not */
    } else {
        z->phase = PHASE_PROMISING;
        z->accepted = m->epoch;
        zab_log_epochs(z, DISK_PROMISE);
    }
}

void discovery_promised(struct zab *z)
{
    if (z->role != ZAB_LEADING) {
        promise(z, true);
        return;
    }
    z->phase = PHASE_PROMISES;
    for (uint32_t i = 0; i < ZAB_PEERS_MAX; i++)
        if (z->peers[i].learner.stage == LEARNER_WAITS) ask(z, &z->peers[i]);
    count_promises(z);
}
