/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the server share: connections and their requests (connection.c), and its parts. */
#ifndef WEIR_RUNTIME_COORD_SERVER_INTERNAL_H
#define WEIR_RUNTIME_COORD_SERVER_INTERNAL_H

#include "runtime/coord/lease.h"
#include "runtime/coord/prep.h"
#include "runtime/coord/recall.h"
#include "runtime/coord/server.h"
#include "runtime/coord/watch.h"

enum request_state {
    REQUEST_WAITING,  /* served when it is the first */
    REQUEST_FLIGHT,   /* at the leader: a transaction will answer */
    REQUEST_BARRIER,  /* a quorum round; then it waits */
    REQUEST_ANSWERED, /* its reply waits for those before it */
};

struct request {
    STAILQ_ENTRY(request) next;
    enum request_state state;
    enum ask_type type;
    uint64_t xid;
    uint64_t token;     /* BARRIER */
    int64_t since_ms;   /* when it came */
    uint16_t err;       /* ANSWERED */
    struct buffer body; /* ANSWERED */
    uint32_t length;
    uint8_t bytes[]; /* the client's message */
};

STAILQ_HEAD(request_list, request);

/* The newest CONFIRM of a connection, until it is answered. */
struct confirm {
    uint64_t token; /* of its quorum round; 0: none is under way */
    uint64_t xid;
    int64_t since_ms;
};

enum connection_state { CONNECTION_OPENED, CONNECTION_FRESH, CONNECTION_READY };

struct connection {
    struct map_item item; /* first */
    struct map_item by_session;
    TAILQ_ENTRY(connection) next;
    uint64_t id;
    enum connection_state state;
    uint64_t session; /* FRESH that goes on with one, READY */
    uint64_t token;   /* of its wish to open or move a session */
    int64_t since_ms; /* when it began to wait for that */
    uint32_t timeout_ms;
    uint8_t password[SESSION_PASSWORD_BYTES];
    struct buffer identities;
    struct buffer key; /* the client's, empty: none */
    struct watcher watcher;
    struct request_list requests;
    uint32_t n_requests;
    uint64_t xid; /* of its newest request */
    struct confirm confirm;
    bool touched; /* heard since the last report */
    bool closing; /* its session is to end at its own wish */
};

TAILQ_HEAD(connection_list, connection);

/* A relayed request that waits at the leader for room among the proposals. */
struct queued {
    STAILQ_ENTRY(queued) next;
    uint64_t peer;
    uint32_t length;
    uint8_t bytes[];
};

/* What only a leader has. */
struct leader {
    struct leases leases;
    struct prep *prep;
    STAILQ_HEAD(, queued) queue;
    uint64_t bytes; /* of proposals under way */
    int64_t cleaned_ms;
};

struct coord_server {
    struct coord_server_config config;
    struct coord_state *state;
    struct map connections, by_session;
    struct connection_list list;
    uint32_t waiting; /* requests of all connections */
    struct watches watches;
    struct recall recall;
    struct applied applied;
    struct leader *leader; /* NULL: another leads, or nobody */
    bool established;
    int64_t lost_ms;  /* when the last leader was lost */
    uint64_t barrier; /* newest token */
    int64_t touched_ms;
    /* of the present step */
    int64_t now_ms, wall_ms;
    struct coord_server_actions *out;
};

/* ---- actions ---- */

/* Appends to out->bytes between the two: `act_begin`, put…, `act_end`. */
size_t act_begin(struct coord_server *s);
void act_end(struct coord_server *s, enum coord_server_action_type type, uint64_t connection, size_t at);
void act_plain(struct coord_server *s, enum coord_server_action_type type, uint64_t connection, uint64_t token);

void say_to(struct coord_server *s, const struct connection *c, const struct say *say);
/* Tells why, and closes; the connection is freed. */
void refuse(struct coord_server *s, struct connection *c, enum coord_err err, const char *reason);

/* ---- connections (connection.c) ---- */

void connection_open(struct coord_server *s, const struct coord_server_event *ev);
void connection_free(struct coord_server *s, struct connection *c);
struct connection *connection_find(const struct coord_server *s, uint64_t id);
struct connection *connection_of_session(const struct coord_server *s, uint64_t session);
/* It serves this session from now on. */
void connection_ready(struct coord_server *s, struct connection *c, const struct session *session);

/* Appends a request; the newest xid is its. */
struct request *request_add(struct coord_server *s, struct connection *c, const struct ask *ask, struct weir_bytes bytes);
void request_answer(struct request *q, enum coord_err err, struct weir_bytes body);
/* Sends what can be sent in order: answers, and reads whose turn it is. The connection may be freed. */
void connection_run(struct coord_server *s, struct connection *c);

/* ---- from clients (server_ask.c) ---- */

void on_message(struct coord_server *s, struct connection *c, struct weir_bytes bytes);
/* The CONFIRM under way is answered. */
void confirm_answer(struct coord_server *s, struct connection *c, enum coord_err err);
/* Sends again to a new leader what the last one may not have. */
void ask_again(struct coord_server *s, struct connection *c);
/* Answers a write that was carried out, by its outcome. */
void request_repeat(struct request *q, const struct session *session);
void wish_again(struct coord_server *s, const struct connection *c);

/* ---- reads (server_get.c): the request is the first of its connection ---- */

void serve_read(struct coord_server *s, struct connection *c, struct request *q);
void serve_watches(struct coord_server *s, struct connection *c, struct request *q);
void serve_unwatch(struct coord_server *s, struct connection *c, struct request *q);

/* ---- from the log (server_deliver.c) ---- */

weir_err on_deliver(struct coord_server *s, const struct coord_server_event *ev, struct weir_diag *diag);

/* ---- the leader's part (server_lead.c) ---- */

void lead_begin(struct coord_server *s);
void lead_end(struct coord_server *s);
void lead_forwarded(struct coord_server *s, uint64_t peer, struct weir_bytes bytes);
void lead_touched(struct coord_server *s, uint64_t peer, struct weir_bytes bytes);
void lead_applied(struct coord_server *s, const struct txn *txn, uint32_t length);
void lead_tick(struct coord_server *s);

#endif
