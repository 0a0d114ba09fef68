/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a peer does for clients, as a core: it takes their requests, has the leader order the writes, applies what is committed, answers,
 * and tells watches. At the leader it also prepares transactions and ends sessions that are silent. It stands on zab.h; the driver carries
 * events and actions between the two, clients, and files:
 *
 *     zab action  DELIVER  ROLE  FORWARDED  TOUCHED  SYNCED  BARRIER_LOST        client's connection opened, message, closed
 *                    │       │       │         │        └────┬────┘                    │
 *                    ▼       ▼       ▼         ▼             ▼                         ▼
 *                  ─────────────────────── coord_server_step ───────────────────────────
 *                    │          │          │          │                        │           │
 *                 PROPOSE    FORWARD     TOUCH     BARRIER                    SEND       CLOSE
 *     zab event   PROPOSE    FORWARD     TOUCH     BARRIER                    to a client's connection
 *
 * A connection:
 *
 *     OPENED ──CONNECT──▶ fresh ──(OPEN or MOVE delivered)──▶ READY ──▶ requests … ──▶ closed
 *                │ refused: ahead of us, unknown session, wrong password                ▲
 *                └─────────────────────────────────────────────────────────────────────┘
 *
 * Order. Replies on a connection come in the order of its requests. A write goes to the leader at once; a read waits until all requests
 * before it are answered, and is then served from this peer's state. A linear read and a sync wait for a quorum round besides. An event is
 * sent before any reply that shows its change. CONFIRM stands outside: it is answered after a quorum round, whatever is under way.
 *
 * No leader. Requests wait; when the next leader is established, what was forwarded goes again: the leader knows by xid what it has. What
 * has waited quorum_wait_ms is answered NO_QUORUM together with all that follows it on the connection: of a write the outcome is then
 * unknown, and asking again with the same xid tells it. Reads go on being served.
 *
 * Sessions live where the log says (TXN_MOVE). A connection whose session has moved is told SESSION_MOVED and closed; what still comes to
 * the leader by way of its former peer is dropped.
 *
 * What zab says to an action. PROPOSE and FORWARD are TAKEN, or the role has changed and its ROLE is on the way: drop them, the server does
 * them again. (Its own limits are below zab's, so neither is BUSY or TOO_LARGE.) BARRIER: as well; BUSY: tell BARRIER_LOST with the next
 * TICK. TOUCH: whatever it is, another follows. All actions of one step go to zab, in order, before the next event comes here.
 *
 * Memory: a failed allocation aborts. This is control code.  Thread: one at a time.
 */
#ifndef WEIR_RUNTIME_COORD_SERVER_H
#define WEIR_RUNTIME_COORD_SERVER_H

#include "runtime/coord/limits.h"
#include "runtime/coord/protocol.h"
#include "runtime/coord/state.h"

struct coord_server;

struct coord_server_config {
    uint64_t id; /* of this peer, as in zab_config */
    struct coord_limits limits;
};

enum coord_server_event_type {
    COORD_EV_OPENED,       /* a client's connection */
    COORD_EV_MESSAGE,      /* from it */
    COORD_EV_CLOSED,       /* it is gone; also in answer to CLOSE, where it changes nothing */
    COORD_EV_DELIVER,      /* zab: committed. bytes NULL: an entry of zab's own */
    COORD_EV_ROLE,         /* zab */
    COORD_EV_FORWARDED,    /* zab, at the leader */
    COORD_EV_TOUCHED,      /* zab, at the leader */
    COORD_EV_SYNCED,       /* zab: a barrier of this peer was passed */
    COORD_EV_BARRIER_LOST, /* zab: ask again when there is a leader */
    COORD_EV_TICK,         /* time passed; at the latest at deadline_ms */
};

struct coord_server_event {
    enum coord_server_event_type type;
    int64_t now_ms;          /* monotonic */
    int64_t wall_ms;         /* since 1970; for transactions */
    uint64_t connection;     /* OPENED (never used before), MESSAGE, CLOSED */
    struct weir_bytes bytes; /* MESSAGE, DELIVER, FORWARDED, TOUCHED */
    struct weir_bytes key;   /* OPENED: the client's CURVE key, Z85; empty: none */
    bool super;              /* OPENED: that key is an administrator's */
    uint8_t random[24];      /* OPENED: from the kernel; the password of a session that it may open, and a token */
    struct zxid zxid;        /* DELIVER */
    uint64_t peer;           /* FORWARDED, TOUCHED */
    uint64_t token;          /* SYNCED, BARRIER_LOST */
    bool established, leads; /* ROLE: there is a leader with a quorum; it is this peer */
};

enum coord_server_action_type {
    COORD_DO_PROPOSE, /* leader */
    COORD_DO_FORWARD,
    COORD_DO_TOUCH,
    COORD_DO_BARRIER,
    COORD_DO_SEND,  /* to a connection */
    COORD_DO_CLOSE, /* a connection, after what was sent on it; CLOSED may be told or not */
};

struct coord_server_action {
    enum coord_server_action_type type;
    uint64_t connection; /* SEND, CLOSE */
    uint64_t token;      /* BARRIER */
    size_t at, length;   /* PROPOSE, FORWARD, TOUCH, SEND: in `bytes` below */
};

struct coord_server_actions {
    struct coord_server_action *at;
    uint32_t n, cap;
    struct buffer bytes;
    int64_t deadline_ms;
};

static inline struct weir_bytes coord_server_bytes(const struct coord_server_actions *out, const struct coord_server_action *a)
{
    return bytes_of(out->bytes.data + a->at, a->length);
}

/* state: as the newest snapshot has it; kept, and changed by the server alone while there is one. */
void coord_server_new(struct coord_server **out, const struct coord_server_config *config, struct coord_state *state, int64_t now_ms);
void coord_server_destroy(struct coord_server **server);

/*
 * `out` is cleared first; zero-initialise it once, coord_server_actions_close frees it. Errors: WEIR_E_CORRUPT: a delivered transaction
 * does not fit this peer's state; end the process, keep its files.
 */
weir_err coord_server_step(struct coord_server *server, const struct coord_server_event *event, struct coord_server_actions *out,
                           struct weir_diag *diag);
void coord_server_actions_close(struct coord_server_actions *actions);

/*
 * The state was replaced by an installed snapshot (zab's INSTALL): all connections are told to look again, whatever they watch; what was
 * answered stays answered.
 */
void coord_server_replaced(struct coord_server *server, struct coord_server_actions *out);

struct coord_server_status {
    uint32_t connections, waiting; /* requests not yet answered */
    uint64_t watches;
    uint64_t proposals; /* leader: under way */
    struct zxid applied;
    bool established, leads;
};

/*
 * May this connection change the members of the ensemble? As ZooKeeper has it: super, and whom the ACL of COORD_ENSEMBLE_PATH lets WRITE by
 * name. The driver asks, for the members are its own.
 */
bool coord_server_may_reconfig(const struct coord_server *server, uint64_t connection);

struct coord_server_status coord_server_status(const struct coord_server *server);

#endif
