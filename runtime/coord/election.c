/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Phase 0: fast leader election. The newest history is made likely to win; that it is safe is discovery's business.
 *
 * Everything is decided from one table: the newest vote of each peer on its present link. Votes are idempotent; a broken link takes its
 * vote along. Looking voters of one round vote for the best (current epoch, last zxid, id); when a quorum agrees, and everybody connected
 * does, the election is over at once, else after finalize_ms. Whoever finds a leader that says so itself, with a quorum behind it, joins
 * it whatever the rounds (ZOOKEEPER-1732): the own vote counts towards that quorum. A leader that was left is believed only when it speaks
 * again, else a hung one would be followed for ever.
 *
 * Observers are never candidates (they begin with a vote for nobody, 0), but vote like everybody: who counts is for each to say by his own
 * members, and somebody who counts by newer members may not know it yet.
 */
#include <inttypes.h>

#include "runtime/coord/internal.h"

static bool better(const struct vote *a, const struct vote *b)
{
    if (!a->leader || !b->leader) return a->leader != 0;
    if (a->epoch != b->epoch) return a->epoch > b->epoch;
    int order = zxid_cmp(a->zxid, b->zxid);
    return order ? order > 0 : a->leader > b->leader;
}

static bool same_candidate(const struct vote *a, const struct vote *b)
{
    return a->leader == b->leader && a->epoch == b->epoch && zxid_eq(a->zxid, b->zxid);
}

static struct vote own_vote(const struct zab *z)
{
    return (struct vote){ZAB_VOTE_LOOKING, z->round, zab_is_voter(z, z->config.id) ? z->config.id : 0, z->current, z->history.last};
}

/* ---- telling ---- */

void election_tell(struct zab *z, const struct peer *p)
{
    if (!p->greeted || z->role == ZAB_DETACHED) return;
    struct zab_message *m = zab_say(z, p, ZAB_VOTE);
    m->round = z->round;
    if (z->role == ZAB_LOOKING) {
        m->state = ZAB_VOTE_LOOKING;
        m->peer = z->vote.leader;
        m->epoch = z->vote.epoch;
        m->zxid = z->vote.zxid;
        return;
    }
    m->state = z->role == ZAB_LEADING ? ZAB_VOTE_LEADING : ZAB_VOTE_FOLLOWING;
    m->peer = z->leader;
    m->epoch = z->current;
    m->zxid = z->history.last;
}

void election_tell_all(struct zab *z)
{
    for (uint32_t i = 0; i < ZAB_PEERS_MAX; i++)
        if (z->peers[i].id) election_tell(z, &z->peers[i]);
}

/* ---- deciding ---- */

/* Those who follow the leader `leader`, itself among them when it says that it leads. */
static struct zab_set supporters(const struct zab *z, uint32_t leader)
{
    struct zab_set set = {0};
    set_add(&set, z->config.id);
    for (uint32_t i = 0; i < ZAB_PEERS_MAX; i++) {
        const struct peer *p = &z->peers[i];
        if (p->voted && p->vote.state != ZAB_VOTE_LOOKING && p->vote.leader == leader) set_add(&set, p->id);
    }
    return set;
}

/* Joins a leader that is there already. */
static bool join(struct zab *z)
{
    for (uint32_t i = 0; i < ZAB_PEERS_MAX; i++) {
        const struct peer *p = &z->peers[i];
        if (!p->voted || p->vote.state != ZAB_VOTE_LEADING || p->vote.leader != p->id) continue;
        struct zab_set set = supporters(z, p->id);
        if (!zab_quorum(z, &set)) continue;
        z->round = p->vote.round;
        discovery_follow(z, p->id);
        return true;
    }
    return false;
}

static bool agrees(const struct zab *z, const struct peer *p)
{
    if (!p->voted || p->vote.round != z->round) return false;
    if (p->vote.state != ZAB_VOTE_LOOKING) return p->vote.leader == z->vote.leader; /* settled already */
    return same_candidate(&p->vote, &z->vote);
}

static bool quorum_agrees(const struct zab *z, bool *everybody)
{
    struct zab_set set = {0};
    set_add(&set, z->config.id);
    *everybody = true;
    for (uint32_t i = 0; i < ZAB_PEERS_MAX; i++) {
        const struct peer *p = &z->peers[i];
        if (!p->greeted || !zab_is_voter(z, p->id)) continue;
        if (agrees(z, p))
            set_add(&set, p->id);
        else
            *everybody = false;
    }
    return zab_quorum(z, &set);
}

static void settle(struct zab *z)
{
    z->finalize_ms = INT64_MAX;
    if (z->vote.leader == z->config.id) {
        discovery_lead(z);
        return;
    }
    const struct peer *p = zab_peer_find(z, z->vote.leader);
    if (p && p->greeted) discovery_follow(z, p->id); /* else: out of reach; others may follow it, this one waits */
}

static void decide(struct zab *z)
{
    bool everybody;
    if (join(z) || z->vote.leader == 0) return;
    if (!quorum_agrees(z, &everybody))
        z->finalize_ms = INT64_MAX;
    else if (everybody)
        settle(z);
    else if (z->finalize_ms == INT64_MAX)
        z->finalize_ms = z->now_ms + z->config.finalize_ms;
}

/* ---- events ---- */

/* What a role leaves behind. */
static void leave_role(struct zab *z)
{
    for (uint32_t i = 0; i < ZAB_PEERS_MAX; i++) {
        struct peer *p = &z->peers[i];
        learner_forget(z, p);
        if (p->voted && p->vote.state == ZAB_VOTE_LEADING) p->voted = false;
    }
    barrier_lose_all(z);
    z->generation++;
    z->leader = 0;
    z->epoch = 0;
    z->phase = PHASE_NONE;
    z->synced = false;
    z->outstanding_bytes = 0;
}

/* The vote of another who looks, too. */
static void weigh(struct zab *z, struct peer *p)
{
    struct vote mine = own_vote(z);
    bool undecided = z->vote.leader == 0, newer = undecided || p->vote.round > z->round;
    if (p->vote.leader == 0 || (p->vote.round < z->round && !undecided)) {
        if (!undecided) election_tell(z, p); /* two observers would tell each other for ever */
        return;
    }
    bool adopt = better(&p->vote, newer ? &mine : &z->vote);
    if (!newer && !adopt) return;
    z->round = p->vote.round;
    z->vote = adopt ? p->vote : mine;
    z->voted_ms = z->now_ms;
    z->finalize_ms = INT64_MAX;
    election_tell_all(z);
}

/* Those who began to look before this peer did have told their votes already, and need not say them again. */
static void weigh_earlier(struct zab *z)
{
    for (uint32_t i = 0; i < ZAB_PEERS_MAX; i++) {
        struct peer *p = &z->peers[i];
        if (p->voted && p->vote.state == ZAB_VOTE_LOOKING && p->vote.round >= z->round) weigh(z, p);
    }
}

void election_start(struct zab *z, const char *why)
{
    leave_role(z);
    z->role = zab_is_member(z, z->config.id) ? ZAB_LOOKING : ZAB_DETACHED;
    z->round++;
    z->vote = own_vote(z);
    z->voted_ms = z->now_ms;
    z->finalize_ms = INT64_MAX;
    z->resend_ms = z->now_ms + z->config.resend_ms;
    zab_trace(z, true, "looking for a leader in round %" PRIu64 ": %s", z->round, why);
    election_tell_all(z);
    if (z->role != ZAB_LOOKING) return;
    weigh_earlier(z);
    decide(z);
}

/* Word of the leader while following it: does it still lead? */
static bool left_alone(const struct zab *z, const struct vote *v)
{
    if (v->state == ZAB_VOTE_LEADING) return false;
    if (v->state == ZAB_VOTE_FOLLOWING) return true;
    return v->round > z->round || z->phase != PHASE_ASKING; /* it may not have settled yet, in this round */
}

void election_on_vote(struct zab *z, struct peer *p, const struct zab_message *m)
{
    p->voted = true;
    p->vote = (struct vote){m->state, m->round, m->peer, m->epoch, m->zxid};
    if (m->state == ZAB_VOTE_LOOKING) learner_forget(z, p); /* whoever looks does not follow */
    bool looking = m->state == ZAB_VOTE_LOOKING;
    if (z->role == ZAB_LOOKING) {
        if (looking) weigh(z, p);
        decide(z);
    } else if (z->leader == p->id && left_alone(z, &p->vote)) {
        election_start(z, "the leader does not lead any more");
    } else if (looking) {
        election_tell(z, p);
    }
}

void election_on_link(struct zab *z, struct peer *p, bool up)
{
    if (up) election_tell(z, p);
    if (!up && (z->leader == p->id || (z->role == ZAB_LOOKING && z->vote.leader == p->id)))
        election_start(z, "the link to the leader broke");
    else if (z->role == ZAB_LOOKING)
        decide(z);
}

/* The candidate may be dead, and those who brought its vote, too: nobody would take it back. */
static bool out_of_reach(struct zab *z)
{
    if (z->vote.leader == 0 || z->vote.leader == z->config.id) return false;
    const struct peer *p = zab_peer_find(z, z->vote.leader);
    return !p || !p->greeted;
}

void election_on_tick(struct zab *z)
{
    if (z->now_ms - z->voted_ms >= z->config.sync_timeout_ms && out_of_reach(z)) {
        election_start(z, "the candidate is out of reach");
        return;
    }
    if (z->now_ms >= z->resend_ms) {
        z->resend_ms = z->now_ms + z->config.resend_ms;
        election_tell_all(z);
    }
    if (z->now_ms >= z->finalize_ms) settle(z);
}
