/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a peer tells about the ensemble, and how its members are changed: messages on a client's connection that the driver of the peer
 * answers by itself, before or after CONNECT, whether there is a quorum or not. docs/protocol/coord.md, "Quorum", has the bytes.
 */
#ifndef WEIR_RUNTIME_COORD_QUORUM_H
#define WEIR_RUNTIME_COORD_QUORUM_H

#include "runtime/coord/bytes.h"
#include "runtime/coord/members.h"

enum quorum_ask_type { QUORUM_ASK_STATUS = 32, QUORUM_ASK_RECONFIG = 33 };
enum quorum_say_type { QUORUM_SAY_STATUS = 32, QUORUM_SAY_RECONFIG = 33 };

#define QUORUM_CHANGES_MAX ZAB_MEMBERS_MAX /* of one RECONFIG */

struct quorum_ask {
    enum quorum_ask_type type;
    uint32_t n;
    struct zab_change changes[QUORUM_CHANGES_MAX];
};

struct quorum_follower {
    uint32_t id;
    bool linked, follows; /* there is a link to it; the leader: it follows */
    struct zxid acked;    /* the leader: up to where it has the log on disk */
};

struct quorum_status {
    uint32_t id;
    uint8_t role; /* enum zab_role */
    bool established, leads;
    uint32_t leader; /* 0: none known */
    uint64_t epoch;  /* of the established leader; else 0 */
    struct zxid last, commit, delivered, snapshot;
    uint32_t connections;
    uint64_t watches, nodes, bytes, sessions;
    struct zab_members members;
    uint32_t n_followers;
    struct quorum_follower followers[ZAB_MEMBERS_MAX];
};

/* Is a client's message one of these? Then it is not for the server. */
bool quorum_is_ask(struct weir_bytes message);

void put_quorum_ask(struct buffer *b, const struct quorum_ask *ask);
bool read_quorum_ask(struct weir_bytes message, struct quorum_ask *ask); /* false: the bytes are none */
void put_quorum_status(struct buffer *b, const struct quorum_status *status);
bool read_quorum_status(struct weir_bytes message, struct quorum_status *status);
/* Of a change, besides those of enum zab_outcome: who asks may not (coord_server_may_reconfig). */
#define QUORUM_DENIED 255u
/* The outcome of a change (enum zab_outcome, or QUORUM_DENIED): taken is not yet committed; the members in a later status tell that. */
void put_quorum_outcome(struct buffer *b, uint8_t outcome);
bool read_quorum_outcome(struct weir_bytes message, uint8_t *outcome);

#endif
