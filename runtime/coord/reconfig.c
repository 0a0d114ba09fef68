/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Dynamic membership. A change is an entry of the log. From its append on, a quorum needs a majority of the old voters and one of the new;
 * at its commit the new list alone is in force. One change at a time. New voters must already follow, so that a change never takes away
 * the quorum that has to commit it (ZOOKEEPER-3829): newcomers come as observers first.
 */
#include <inttypes.h>

#include "runtime/coord/internal.h"

static bool can_commit(const struct zab *z, const struct zab_members *next)
{
    struct zab_set set = {0};
    set_add(&set, z->config.id);
    for (uint32_t i = 0; i < ZAB_PEERS_MAX; i++)
        if (z->peers[i].learner.stage == LEARNER_JOINED) set_add(&set, z->peers[i].id);
    return members_quorum(next, &set);
}

enum zab_outcome reconfig_propose(struct zab *z, const struct zab_event *ev)
{
    struct zab_members next;
    if (z->role != ZAB_LEADING) return ZAB_NOT_LEADER;
    if (!zab_serving(z)) return ZAB_NOT_ESTABLISHED;
    if (zab_has_pending(z)) return ZAB_PENDING;
    if (ev->reconfig.version && !zxid_eq(*ev->reconfig.version, z->active.version)) return ZAB_BAD_VERSION;
    if (ev->reconfig.n > ZAB_CHANGES_MAX) return ZAB_BAD_CHANGE;
    if (members_change(&z->active, ev->reconfig.changes, ev->reconfig.n, &next)) return ZAB_BAD_CHANGE;
    if (!can_commit(z, &next)) return ZAB_NO_QUORUM;
    next.version = (struct zxid){z->epoch, z->counter + 1};
    members_encode(&next, &z->scratch);
    return broadcast_propose(z, ZAB_ENTRY_MEMBERS, (struct weir_bytes){z->scratch.data, (uint32_t)z->scratch.len});
}

/* Appended. A list still pending before it must have been committed, else its leader had not gone on to the next. */
void zab_members_propose(struct zab *z, const struct zab_members *m)
{
    if (zxid_cmp(m->version, z->active.version) <= 0) return;
    if (zab_has_pending(z)) z->active = z->pending;
    z->pending = *m;
    zab_tell_members(z);
}

void zab_members_adopt(struct zab *z, const struct zab_members *m)
{
    z->active = *m;
    if (zxid_cmp(z->pending.version, z->active.version) <= 0) z->pending = (struct zab_members){0};
    z->members_changed = true;
    zab_trace(z, true, "members of %" PRIu64 ".%" PRIu64 " are in force: %" PRIu32 " voters of %" PRIu32, z->active.version.epoch,
              z->active.version.counter, members_voters(&z->active), z->active.n);
    zab_tell_members(z);
}

static struct weir_bytes encoded(struct zab *z)
{
    size_t at = z->scratch.len;
    members_encode(&z->active, &z->scratch);
    return (struct weir_bytes){z->scratch.data + at, (uint32_t)(z->scratch.len - at)};
}

void zab_members_tell(struct zab *z, const struct peer *p)
{
    zab_say(z, p, ZAB_MEMBERS)->bytes = encoded(z);
}

/*
 * To everybody connected: newcomers wait for just that, and a follower may have left before the COMMIT reached it. So whoever is connected
 * to a peer knows of the members that are in force there, from here or from the greeting.
 */
static void tell_everybody(struct zab *z)
{
    struct weir_bytes bytes = encoded(z);
    for (uint32_t i = 0; i < ZAB_PEERS_MAX; i++)
        if (z->peers[i].greeted) zab_say(z, &z->peers[i], ZAB_MEMBERS)->bytes = bytes;
}

void zab_members_settle(struct zab *z)
{
    if (!z->members_changed) return;
    z->members_changed = false;
    bool votes = zab_is_voter(z, z->config.id);
    for (uint32_t i = 0; i < ZAB_PEERS_MAX; i++)
        if (!zab_is_member(z, z->peers[i].id)) learner_forget(z, &z->peers[i]);
    tell_everybody(z);
    if (z->role == ZAB_LOOKING || z->role == ZAB_DETACHED || !zab_is_member(z, z->config.id) || (z->role == ZAB_LEADING && !votes))
        election_start(z, "the members changed");
    else if (z->role != ZAB_LEADING)
        z->role = votes ? ZAB_FOLLOWING : ZAB_OBSERVING;
}

/* Committed elsewhere; older peers are told when they connect. A leader that did not know of them has been overtaken. */
void zab_members_on_message(struct zab *z, struct peer *p, const struct zab_message *m)
{
    struct zab_members members;
    if (members_decode(m->bytes, &members)) {
        zab_peer_reset(z, p, "peer %" PRIu32 " sent members that cannot be read", p->id);
        return;
    }
    if (zxid_cmp(members.version, z->active.version) <= 0) return;
    zab_members_adopt(z, &members);
    if (z->role == ZAB_LEADING) election_start(z, "there are newer members");
}
