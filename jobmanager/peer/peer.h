/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The coordination peer of a JobManager: a thread that carries events and actions between the cores (runtime/coord/zab.h, server.h) and
 * files, other peers, clients, and this process. It decides nothing of the protocol.
 *
 *     other peers ══ links (ZeroMQ) ══╗                         ╔══ disk thread: log, epochs, snapshots
 *     clients ══ lanes (ZeroMQ) ══════╬══ thread "coord": zab ══╣
 *     the owner ══ queues, eventfd ═══╝           server        ╚══ slices of snapshots, one a turn
 *
 * The owner, the JobManager's main thread, has connections as any client has, without a socket: peer_connect, peer_send, and what comes
 * back from peer_take. What goes in and comes out are the messages of docs/protocol/coord.md (runtime/coord/protocol.h).
 *
 * A peer that must not go on (its disk fails, it contradicts the ensemble) ends the process with a sentence in the log.
 */
#ifndef WEIR_JOBMANAGER_PEER_PEER_H
#define WEIR_JOBMANAGER_PEER_PEER_H

#include "runtime/base/id.h"
#include "runtime/coord/limits.h"
#include "runtime/coord/zab.h"

#define PEER_SNAPSHOT_ENTRIES 100000u     /* entries delivered since the last snapshot, after which one is taken ... */
#define PEER_SNAPSHOT_BYTES (64ull << 20) /* ... or bytes of them */
#define PEER_NEWS_BYTES (64u << 20)       /* of messages the owner has not taken; then a connection that gets one more is closed */

struct peer;

struct peer_config {
    uint32_t id;
    struct weir_id cluster;                    /* of the ensemble: peers of another are refused */
    const char *folder;                        /* of this peer alone, made if missing; borrowed during peer_new */
    const struct zab_members *members;         /* those the ensemble began with; what the log says counts more. Borrowed during peer_new */
    const char *bind;                          /* endpoint for other peers; "": none can come (an ensemble of one) */
    const char *client_bind;                   /* endpoint for clients; "": none */
    uint32_t tick_ms, sync_timeout_ms;         /* 0: zab's defaults */
    uint64_t snapshot_entries, snapshot_bytes; /* 0: the defaults above */
    uint64_t segment_bytes;                    /* of the log; 0: the default of coord_disk_config */
    struct coord_limits limits;                /* COORD_LIMITS_DEFAULT */
};

/*
 * Recovers from the folder, binds, starts the threads; net_start comes before. Gives `*out` when it takes part.
 * Errors: of coord_disk_open, net_socket_bind, folder_make; WEIR_E_NOMEM. What was passed over in the recovery is logged.
 */
weir_err peer_new(struct peer **out, const struct peer_config *config, struct weir_diag *diag);
/* Stops the threads; what was not yet on disk may be there or not. */
void peer_destroy(struct peer **peer);

uint32_t peer_id(const struct peer *peer);
/* The endpoints that were bound, with their real ports; "" for none. Borrowed. */
const char *peer_endpoint(const struct peer *peer);
const char *peer_client_endpoint(const struct peer *peer);

/* ---- the owner's connections; thread: any one at a time ---- */

/* Opens a connection. Its first message must be ASK_CONNECT. Gives its number, never used before. */
uint64_t peer_connect(struct peer *peer);
/* Copies one message of a client. */
void peer_send(struct peer *peer, uint64_t connection, struct weir_bytes message);
/* Closes it; news of it may still come. */
void peer_disconnect(struct peer *peer, uint64_t connection);

/* Changes the members (jobctl quorum); NEWS_RECONFIG with this token tells the outcome. Copies. version NULL: whatever it is. */
void peer_reconfig(struct peer *peer, uint64_t token, const struct zab_change *changes, uint32_t n, const struct zxid *version);

/* ---- news ---- */

enum peer_news_type {
    PEER_NEWS_ROLE,     /* the role has changed; the present one comes first of all */
    PEER_NEWS_MEMBERS,  /* the committed members have changed; the present ones come before anything but ROLE */
    PEER_NEWS_MESSAGE,  /* of the peer, to a connection of the owner */
    PEER_NEWS_CLOSED,   /* the peer closed it */
    PEER_NEWS_RECONFIG, /* outcome of peer_reconfig: taken is not yet committed, MEMBERS tells that */
};

struct peer_role {
    enum zab_role role;
    bool established; /* there is a leader with a quorum, and this peer serves */
    bool leads;       /* established, and it is this peer: epoch is its fencing token */
    uint64_t epoch;   /* of the established leader; else 0 */
    uint32_t leader;  /* 0: none known */
};

struct peer_news {
    enum peer_news_type type;
    struct peer_role role;
    const struct zab_members *members; /* MEMBERS: borrowed until the next peer_take */
    uint64_t connection;               /* MESSAGE, CLOSED */
    struct weir_bytes message;         /* MESSAGE: borrowed until the next peer_take */
    uint64_t token;                    /* RECONFIG */
    enum zab_outcome outcome;          /* RECONFIG */
};

/* Readable while there is news. */
int peer_fd(const struct peer *peer);
/* The next news. false: none. Thread: one. */
bool peer_take(struct peer *peer, struct peer_news *out);

/* ---- for status pages ---- */

struct peer_follower {
    uint32_t id;
    bool linked, follows;
    struct zxid acked; /* leader: up to where it has the log on disk */
};

struct peer_status {
    uint32_t id;
    struct peer_role role;
    struct zxid last, commit, delivered; /* of the log; committed; applied */
    uint64_t accepted, current;          /* epochs */
    uint32_t connections;                /* of clients */
    uint64_t watches, waiting;
    uint64_t nodes, bytes, sessions; /* of the tree */
    struct zxid snapshot;            /* the newest */
    struct zab_members members;
    uint32_t n_followers; /* the other members, as this peer sees them */
    struct peer_follower followers[ZAB_MEMBERS_MAX];
};

/* As it was some milliseconds ago. Thread: any. */
void peer_status(struct peer *peer, struct peer_status *out);

#endif
