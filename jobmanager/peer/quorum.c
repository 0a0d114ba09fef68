/* SPDX-License-Identifier: Apache-2.0 */
/* What clients ask about the ensemble (runtime/coord/quorum.h): answered here, for the server knows nothing of it. */
#include "runtime/coord/quorum.h"

#include <stdlib.h>

#include "jobmanager/peer/internal.h"
#include "runtime/base/assert.h"

static void put_status(struct peer *p, struct buffer *b)
{
    struct peer_status s;
    peer_status(p, &s);
    struct quorum_status out = {.id = s.id,
                                .role = (uint8_t)s.role.role,
                                .established = s.role.established,
                                .leads = s.role.leads,
                                .leader = s.role.leader,
                                .epoch = s.role.epoch,
                                .last = s.last,
                                .commit = s.commit,
                                .delivered = s.delivered,
                                .snapshot = s.snapshot,
                                .connections = s.connections,
                                .watches = s.watches,
                                .nodes = s.nodes,
                                .bytes = s.bytes,
                                .sessions = s.sessions,
                                .members = s.members,
                                .n_followers = s.n_followers};
    for (uint32_t i = 0; i < s.n_followers; i++)
        out.followers[i] = (struct quorum_follower){s.followers[i].id, s.followers[i].linked, s.followers[i].follows, s.followers[i].acked};
    put_quorum_status(b, &out);
}

static enum zab_outcome reconfig(struct peer *p, const struct quorum_ask *ask)
{
    size_t length = ask->n * sizeof *ask->changes;
    struct order *order = calloc(1, sizeof *order + length);
    WEIR_ASSERT(order);
    order->type = ORDER_RECONFIG;
    order->n_changes = ask->n;
    memcpy(order->bytes, ask->changes, length);
    enum zab_outcome outcome = carry_reconfig(p, order);
    free(order);
    return outcome;
}

/* As ZooKeeper: super, and whom the ACL of a node lets. Without keys nobody can be told from another, so whoever can connect may: on this
 * machine. */
static bool may_reconfig(const struct peer *p, uint64_t connection)
{
    return !net_is_secured() || coord_server_may_reconfig(p->server, connection);
}

bool quorum_answer(struct peer *p, uint64_t connection, struct weir_bytes message)
{
    struct quorum_ask ask;
    struct buffer b = {0};
    if (!read_quorum_ask(message, &ask)) return false;
    if (ask.type == QUORUM_ASK_STATUS)
        put_status(p, &b);
    else
        put_quorum_outcome(&b, may_reconfig(p, connection) ? (uint8_t)reconfig(p, &ask) : QUORUM_DENIED);
    WEIR_ASSERT(!b.err);
    clients_send(p, connection, bytes_of(b.data, b.len));
    buffer_close(&b);
    return true;
}
