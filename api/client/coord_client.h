/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One session of the coordination service as a core: which server to dial, what to send on a connection, what an answer means, what must be
 * said again on the next one. docs/protocol/coord.md, "Clients", has the rules. No socket, clock or thread.
 *
 *     APART ──DIAL──▶ DIALING ──UP──▶ GREETING ──CONNECTED──▶ READY ──CLOSE answered──▶ OVER
 *       ▲                │               │                      │                        ▲
 *       └──── pause ◀────┴───DOWN, timeout, refused─────────────┘                        │
 *                                        └─────────── SESSION_EXPIRED ───────────────────┘
 *
 * Numbers. xids of requests begin above CLIENT_GREETINGS and never change: after a reconnection the unanswered requests are sent again as
 * they were, in their order, reads too. What must be said before them on a connection, AUTH and WATCHES, takes numbers below, from 1 on
 * each connection.
 *
 * What is acknowledged: all below the oldest request that is neither answered nor given up.
 *
 * NO_QUORUM is no answer: the connection is left for that to the next server, and the request is repeated there until its time is over. A
 * request whose time is over is answered OPERATION_TIMEOUT; it stays in the list, mute, while its connection lasts, for the server still
 * has it.
 *
 * Keys. A server that refuses the handshake refuses it again. When all have, one after another, and there is no session yet, requests are
 * answered KEY_REFUSED; dialing goes on, for the key may be made known. With a session they wait for their time: a write may have been
 * carried out before.
 *
 * Watches. What was heard completely is `seen`: the zxid of the newest REPLY or PONG of a connection whose watches have all come back. The
 * server tells again what came after; of that, persistent watches have had everything before the newest event before the break, and
 * the first `n_heard` events of that transaction.
 *
 * Memory: a failed allocation aborts.  Thread: one at a time.
 */
#ifndef WEIR_API_CLIENT_COORD_CLIENT_H
#define WEIR_API_CLIENT_COORD_CLIENT_H

#include <sys/queue.h>

#include "runtime/coord/protocol.h"
#include "weir/coord.h"

enum {
    CLIENT_GREETINGS = 1 << 20,   /* numbers below are for what is said again on each connection */
    CLIENT_WINDOW = 224,          /* requests sent and not answered; with the greetings it is below the server's COORD_OUTCOMES_MAX */
    CLIENT_WATCH_BYTES = 3 << 20, /* of the paths of all watches: they come back in one message; a further watch is answered LIMIT */
    CLIENT_DIAL_MIN_MS = 300,     /* a server that does not say CONNECTED so long is left; a third of the session's timeout, but ... */
    CLIENT_DIAL_MAX_MS = 2500,    /* ... between these */
    CLIENT_STALL_MS =
        5000, /* a server that answers pings but no request so long is left: it says NO_QUORUM sooner, unless one was lost on its way */
    CLIENT_PAUSE_MS = 10,      /* after all servers were tried in vain; doubles ... */
    CLIENT_PAUSE_MAX_MS = 500, /* ... up to this */
    CLIENT_MARGIN_MS = 600, /* touches (COORD_LIMITS_DEFAULT.touch_ms) and the time in which a peer misses its leader (zab: sync_timeout) */
    CLIENT_CREDENTIALS_MAX = 16, /* AUTHs that are shown again, as many as a server takes */
};

/* What to do with an answer or event: the core only carries it. */
struct client_reply_to {
    weir_coord_reply_fn *fn;
    void *arg;
};
struct client_event_to {
    weir_coord_event_fn *fn; /* NULL: no watch */
    void *arg;
    uint64_t id; /* above 0 */
};

/* A request, made by the caller with request_new and taken by coord_client_ask. */
struct request {
    TAILQ_ENTRY(request) next;
    enum ask_type type; /* WRITE, READ, SYNC, AUTH, UNWATCH, CLOSE */
    uint64_t xid;       /* the core's */
    int64_t deadline_ms;
    enum weir_coord_err refused; /* it cannot be asked: this is the answer */
    bool sent, mute;             /* on the present connection; its time is over */
    bool linear;
    uint32_t n;         /* operations or reads */
    uint8_t kinds;      /* UNWATCH */
    uint8_t watch_kind; /* READ with a watch: WATCH_DATA, WATCH_CHILD, WATCH_PERSISTENT, WATCH_RECURSIVE */
    struct client_event_to watch;
    struct client_reply_to reply;
    struct buffer path; /* of the watch; UNWATCH */
    struct buffer ops;  /* n operations, n reads, or credentials */
};

TAILQ_HEAD(request_list, request);

struct request *request_new(enum ask_type type, weir_coord_reply_fn *fn, void *arg);
void request_destroy(struct request **request);

enum coord_client_action_type {
    CLIENT_DO_DIAL,    /* server `index`, as connection `connection`; what was open before is closed */
    CLIENT_DO_HANG_UP, /* no connection is wanted now */
    CLIENT_DO_SEND,    /* bytes, on the present connection */
    CLIENT_DO_ANSWER,  /* to a request: err, zxid, body */
    CLIENT_DO_EVENT,   /* of a watch: event, path, zxid */
    CLIENT_DO_STATE,
};

struct coord_client_action {
    enum coord_client_action_type type;
    uint32_t index;
    uint64_t connection;
    struct client_reply_to reply;
    struct client_event_to watch;
    enum ask_type ask;
    uint32_t n; /* ANSWER: operations or reads that were asked for */
    enum weir_coord_err err;
    struct zxid zxid;
    uint8_t event;
    enum weir_coord_state state;
    size_t at, length;                /* SEND: bytes; ANSWER: body; EVENT: path; in `bytes` below */
    size_t requests_at, requests_len; /* ANSWER of a READ: the reads, which tell how to take the body apart */
};

struct coord_client_actions {
    struct coord_client_action *at;
    uint32_t n, cap;
    struct buffer bytes;
    int64_t deadline_ms; /* when TICK is due at the latest */
};

void coord_client_actions_close(struct coord_client_actions *actions);

struct coord_client_config {
    uint32_t n_servers, first; /* which is tried first */
    uint32_t session_timeout_ms;
};

struct coord_client;

void coord_client_new(struct coord_client **out, const struct coord_client_config *config);
void coord_client_destroy(struct coord_client **client);

/* All of these clear `out` first. Time is monotonic, in milliseconds. */
void coord_client_tick(struct coord_client *c, int64_t now_ms, struct coord_client_actions *out);
/* Of the connection with this number; of another they change nothing. */
void coord_client_up(struct coord_client *c, uint64_t connection, int64_t now_ms, struct coord_client_actions *out);
void coord_client_down(struct coord_client *c, uint64_t connection, int64_t now_ms, struct coord_client_actions *out);
/* As down: the handshake was refused, for want of a key or for the wrong one. */
void coord_client_refused(struct coord_client *c, uint64_t connection, int64_t now_ms, struct coord_client_actions *out);
void coord_client_message(struct coord_client *c, uint64_t connection, struct weir_bytes bytes, int64_t now_ms,
                          struct coord_client_actions *out);
/* Takes the request. */
void coord_client_ask(struct coord_client *c, struct request **request, int64_t now_ms, struct coord_client_actions *out);
/* Takes a watch away, or (id 0) all whose callback has this arg; UNWATCH goes to the server where no other of the kind is left. */
bool coord_client_unwatch(struct coord_client *c, uint64_t id, const void *arg, int64_t now_ms, struct coord_client_actions *out);
/* Ends it: every request is answered CLOSING. */
void coord_client_end(struct coord_client *c, struct coord_client_actions *out);

enum weir_coord_state coord_client_state(const struct coord_client *c);
uint64_t coord_client_session(const struct coord_client *c);
/*
 * Until when the session certainly lives: its timeout after what was sent last before a server that is led gave a sign of life, less a
 * third or CLIENT_MARGIN_MS: the leader hears of it some time later, or not, when it and that server are just losing each other. INT64_MIN:
 * not known.
 */
int64_t coord_client_alive_until(const struct coord_client *c);

#endif
