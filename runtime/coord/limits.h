/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every limit of the tree and what happens at it. Two kinds:
 *
 * - bounds of the format: constants. Whatever breaks them is no path, no request, no transaction.
 * - limits of a cluster: `struct coord_limits`. The leader checks them, against the state that a request would produce, before it proposes
 *   anything; peers apply what was proposed whatever their own limits are. So two peers with different settings never differ in state, and
 *   a transaction that was accepted can always be read again.
 */
#ifndef WEIR_RUNTIME_COORD_LIMITS_H
#define WEIR_RUNTIME_COORD_LIMITS_H

#include <stdint.h>

/* ---- bounds of the format ---- */
#define COORD_ENSEMBLE_PATH "/weir/ensemble"   /* whose ACL says who, beside super, changes the members; only super creates it */
#define COORD_PATH_MAX 1024u                   /* bytes of a path */
#define COORD_NAME_MAX 255u                    /* bytes of one element of a path, with its sequence number */
#define COORD_DEPTH_MAX 64u                    /* elements of a path */
#define COORD_ACL_MAX 64u                      /* entries of an ACL */
#define COORD_ID_MAX 255u                      /* bytes of an identity in an ACL or of a connection */
#define COORD_IDENTITIES_MAX 16u               /* identities of a connection; one more is refused with AUTH_FAILED */
#define COORD_DATA_MAX (3u << 20)              /* bytes of a node's data, whatever the cluster's limit */
#define COORD_MULTI_MAX 16384u                 /* operations of a multi, whatever the cluster's limit */
#define COORD_TXN_MAX (4u << 20)               /* bytes of a transaction, whatever the cluster's limit: what the log takes */
#define COORD_REQUEST_MAX ((4u << 20) - 8192u) /* bytes of a client's message; a longer one ends its connection with MARSHALLING */
#define COORD_CONNECT_MS 10000                 /* a connection that has not said CONNECT so long is closed */
#define COORD_TOUCHES_MAX 4096u                /* sessions named in one message of touches */
#define COORD_OUTCOMES_MAX 256u             /* outcomes kept per session, which is also how many requests a connection may have under way */
#define COORD_OUTCOMES_TOTAL (256ull << 20) /* bytes of the outcomes of all sessions; beyond, a new one is not kept: OUTCOME_FORGOTTEN */
#define COORD_OUTCOME_BYTES \
    (1u << 20) /* bytes of the outcomes kept per session; the oldest go first, the newest is kept whatever its size */

/* ---- limits of a cluster ---- */
struct coord_limits {
    uint32_t data;           /* bytes of a node's data: LIMIT */
    uint32_t txn;            /* bytes of the transaction a request makes: LIMIT */
    uint32_t reply;          /* bytes of the reply to a write, and of a page of children: LIMIT, or a shorter page */
    uint32_t multi;          /* operations of a multi: LIMIT */
    uint64_t nodes;          /* nodes of the tree: LIMIT */
    uint64_t bytes;          /* bytes of paths and data in the tree: LIMIT */
    uint32_t children;       /* children of a node: LIMIT */
    uint32_t ephemerals;     /* ephemeral nodes of a session: LIMIT */
    uint32_t sessions;       /* sessions of the cluster: a new one is refused with LIMIT */
    uint32_t timeout_min_ms; /* a session's timeout is raised to this ... */
    uint32_t timeout_max_ms; /* ... or lowered to this */
    uint32_t watches;        /* watches of a connection: LIMIT */
    uint32_t connections;    /* of a peer: a further one is refused with THROTTLED */
    uint32_t outstanding;    /* requests under way at a peer: THROTTLED */
    uint32_t events;         /* events a peer remembers for watches that come back; older ones are answered with RESYNC */
    uint32_t cleanup_ms;     /* pause between looks for containers and TTL nodes that may go */
    uint32_t cleanup_nodes;  /* of them removed in one look */
    uint32_t quorum_wait_ms; /* a request waits so long for a leader: NO_QUORUM */
    uint32_t touch_ms;       /* pause between two reports to the leader of who has been heard */
    uint32_t proposals;      /* under way at the leader; what comes then waits there */
    uint32_t proposal_bytes; /* bytes of them; the same */
};

#define COORD_LIMITS_DEFAULT                                                                                                              \
    {                                                                                                                                     \
        .data = 1u << 20, .txn = 4u << 20, .reply = 1u << 20, .multi = 1024, .nodes = 10000000, .bytes = 4ull << 30, .children = 1000000, \
        .ephemerals = 100000, .sessions = 65536, .timeout_min_ms = 500, .timeout_max_ms = 600000, .watches = 100000, .connections = 4096, \
        .outstanding = 16384, .events = 65536, .cleanup_ms = 1000, .cleanup_nodes = 1000, .quorum_wait_ms = 2000, .touch_ms = 100,        \
        .proposals = 8192, .proposal_bytes = 32u << 20                                                                                    \
    }

#endif
