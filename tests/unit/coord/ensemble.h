/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Servers above a log that always agrees: what zab does, without zab. Everything is performed by hand: a test says when a server applies,
 * who leads, and when there is no leader. Clients are lists of messages received.
 */
#ifndef WEIR_TESTS_UNIT_COORD_ENSEMBLE_H
#define WEIR_TESTS_UNIT_COORD_ENSEMBLE_H

#include <stdlib.h>

#include "runtime/base/assert.h"
#include "runtime/base/hash.h"
#include "runtime/coord/server.h"

#define SERVERS 3
#define CLIENTS 16
#define INBOX 4096

struct client {
    const char *key; /* by the transport; NULL: none */
    bool super;
    uint64_t id;     /* of its connection; 0: none */
    uint32_t server; /* index */
    bool closed;     /* by the server */
    uint64_t session, xid, acked;
    uint8_t password[16];
    struct zxid seen;
    uint32_t timeout_ms;
    struct buffer inbox[INBOX]; /* messages, as they came */
    uint32_t n, read;
};

struct log_entry {
    struct zxid zxid;
    struct buffer bytes;
};

struct ensemble {
    struct coord_limits limits;
    struct coord_state states[SERVERS];
    struct coord_server *servers[SERVERS];
    uint32_t applied[SERVERS];
    bool stopped[SERVERS]; /* applies nothing by itself */
    struct log_entry *log;
    uint32_t n, cap;
    int leader; /* index; -1: none */
    uint64_t epoch;
    int64_t now_ms;
    uint64_t next_connection;
    struct client clients[CLIENTS];
    bool lose_forwards; /* what is forwarded does not arrive */
    bool hold_barriers;
    bool hold_commits;  /* what is proposed is on no disk yet ... */
    uint32_t committed; /* ... but for so many */
    struct {
        uint32_t server;
        uint64_t token;
        uint32_t at; /* length of the log when it was asked */
    } barriers[256];
    uint32_t n_barriers;
    weir_err err;
    struct weir_diag diag;
};

static inline void perform(struct ensemble *e, uint32_t server, struct coord_server_actions *out);

static inline void step(struct ensemble *e, uint32_t server, struct coord_server_event ev)
{
    struct coord_server_actions out = {0};
    ev.now_ms = e->now_ms;
    ev.wall_ms = 1000000 + e->now_ms;
    weir_err err = coord_server_step(e->servers[server], &ev, &out, &e->diag);
    if (err) e->err = err;
    perform(e, server, &out);
    coord_server_actions_close(&out);
}

static inline struct client *client_of(struct ensemble *e, uint64_t connection)
{
    for (uint32_t i = 0; i < CLIENTS; i++)
        if (e->clients[i].id == connection) return &e->clients[i];
    return NULL;
}

static inline void receive(struct client *c, struct weir_bytes bytes)
{
    struct say say;
    WEIR_ASSERT(c->n < INBOX);
    bool valid = read_say(bytes, &say);
    WEIR_ASSERT(valid);
    buffer_add(&c->inbox[c->n++], bytes.data, bytes.length);
    if (say.type != SAY_REFUSED && say.type != SAY_EVENT && zxid_cmp(say.zxid, c->seen) > 0) c->seen = say.zxid;
    if (say.type != SAY_CONNECTED) return;
    c->session = say.session;
    c->timeout_ms = say.timeout_ms;
    memcpy(c->password, say.password, 16);
}

static inline uint32_t committed(const struct ensemble *e)
{
    return e->hold_commits ? e->committed : e->n;
}

static inline void append(struct ensemble *e, struct weir_bytes bytes)
{
    if (e->n == e->cap) {
        e->cap = e->cap ? 2 * e->cap : 256;
        e->log = realloc(e->log, e->cap * sizeof *e->log);
        WEIR_ASSERT(e->log);
    }
    uint64_t counter = e->n && e->log[e->n - 1].zxid.epoch == e->epoch ? e->log[e->n - 1].zxid.counter + 1 : 1;
    e->log[e->n] = (struct log_entry){.zxid = {e->epoch, counter}};
    buffer_add(&e->log[e->n++].bytes, bytes.data, bytes.length);
}

static inline void perform_one(struct ensemble *e, uint32_t server, const struct coord_server_action *a, struct weir_bytes bytes)
{
    struct client *c = client_of(e, a->connection);
    switch (a->type) {
    case COORD_DO_PROPOSE:
        WEIR_ASSERT((int)server == e->leader);
        append(e, bytes);
        break;
    case COORD_DO_FORWARD:
        if (e->leader >= 0 && !e->lose_forwards)
            step(e, (uint32_t)e->leader, (struct coord_server_event){.type = COORD_EV_FORWARDED, .peer = server + 1, .bytes = bytes});
        break;
    case COORD_DO_TOUCH:
        if (e->leader >= 0)
            step(e, (uint32_t)e->leader, (struct coord_server_event){.type = COORD_EV_TOUCHED, .peer = server + 1, .bytes = bytes});
        break;
    case COORD_DO_BARRIER:
        e->barriers[e->n_barriers].server = server;
        e->barriers[e->n_barriers].token = a->token;
        e->barriers[e->n_barriers++].at = committed(e);
        break;
    case COORD_DO_SEND:
        if (c) receive(c, bytes);
        break;
    case COORD_DO_CLOSE:
        if (c) {
            c->closed = true;
            c->id = 0;
        }
        break;
    }
}

static inline void perform(struct ensemble *e, uint32_t server, struct coord_server_actions *out)
{
    for (uint32_t i = 0; i < out->n; i++)
        perform_one(e, server, &out->at[i], out->bytes.data ? coord_server_bytes(out, &out->at[i]) : bytes_of("", 0));
}

static inline void apply_one(struct ensemble *e, uint32_t server)
{
    uint32_t i = e->applied[server]++;
    struct buffer copy = {0}; /* the log may move while it is applied */
    buffer_add(&copy, e->log[i].bytes.data, e->log[i].bytes.len);
    step(e, server, (struct coord_server_event){.type = COORD_EV_DELIVER, .zxid = e->log[i].zxid, .bytes = bytes_of(copy.data, copy.len)});
    buffer_close(&copy);
}

static inline bool pass_barriers(struct ensemble *e)
{
    for (uint32_t i = 0; !e->hold_barriers && i < e->n_barriers; i++) {
        uint32_t server = e->barriers[i].server;
        uint64_t token = e->barriers[i].token;
        if (e->applied[server] < e->barriers[i].at) continue;
        e->barriers[i] = e->barriers[--e->n_barriers];
        step(e, server, (struct coord_server_event){.type = COORD_EV_SYNCED, .token = token});
        return true;
    }
    return false;
}

/* Disks take what is proposed from now on, and do not say so. */
static inline void hold_commits(struct ensemble *e, bool hold)
{
    e->committed = e->n;
    e->hold_commits = hold;
}

/* Until nothing moves: everybody who is not stopped applies all there is. */
static inline void settle(struct ensemble *e)
{
    for (bool moved = true; moved;) {
        moved = pass_barriers(e);
        for (uint32_t i = 0; i < SERVERS; i++) {
            if (e->stopped[i] || e->applied[i] == committed(e)) continue;
            apply_one(e, i);
            moved = true;
        }
    }
}

static inline void tell_role(struct ensemble *e, uint32_t server)
{
    step(e, server, (struct coord_server_event){.type = COORD_EV_ROLE, .established = e->leader >= 0, .leads = (int)server == e->leader});
}

/* -1: nobody leads. A new leader has applied everything. */
static inline void lead(struct ensemble *e, int leader)
{
    e->leader = -1;
    for (uint32_t i = 0; i < SERVERS; i++) tell_role(e, i);
    e->n_barriers = 0;
    if (leader < 0) return;
    while (e->applied[leader] < e->n) apply_one(e, (uint32_t)leader);
    e->epoch++;
    e->leader = leader;
    tell_role(e, (uint32_t)leader);
    for (uint32_t i = 0; i < SERVERS; i++)
        if ((int)i != leader) tell_role(e, i);
}

static inline void pass(struct ensemble *e, int64_t ms)
{
    for (int64_t until = e->now_ms + ms; e->now_ms < until;) {
        e->now_ms += 10;
        for (uint32_t i = 0; i < SERVERS; i++) step(e, i, (struct coord_server_event){.type = COORD_EV_TICK});
        settle(e);
    }
}

static inline void ensemble_init(struct ensemble *e)
{
    *e = (struct ensemble){.limits = COORD_LIMITS_DEFAULT, .leader = -1, .now_ms = 1000};
}

static inline void ensemble_start(struct ensemble *e)
{
    for (uint32_t i = 0; i < SERVERS; i++) {
        struct coord_server_config config = {.id = i + 1, .limits = e->limits};
        weir_err err = coord_state_init(&e->states[i]);
        WEIR_ASSERT(!err);
        coord_server_new(&e->servers[i], &config, &e->states[i], e->now_ms);
    }
    lead(e, 0);
}

static inline void ensemble_end(struct ensemble *e)
{
    for (uint32_t i = 0; i < SERVERS; i++) {
        coord_server_destroy(&e->servers[i]);
        coord_state_close(&e->states[i]);
    }
    for (uint32_t i = 0; i < e->n; i++) buffer_close(&e->log[i].bytes);
    for (uint32_t i = 0; i < CLIENTS; i++)
        for (uint32_t k = 0; k < e->clients[i].n; k++) buffer_close(&e->clients[i].inbox[k]);
    free(e->log);
}

/* ---- clients ---- */

static inline void ask_of(struct ensemble *e, struct client *c, const struct ask *ask)
{
    struct buffer b = {0};
    put_ask(&b, ask);
    step(e, c->server, (struct coord_server_event){.type = COORD_EV_MESSAGE, .connection = c->id, .bytes = bytes_of(b.data, b.len)});
    buffer_close(&b);
}

static inline void open_connection(struct ensemble *e, struct client *c, uint32_t server)
{
    struct coord_server_event ev = {.type = COORD_EV_OPENED, .connection = ++e->next_connection};
    ev.key = bytes_text(c->key ? c->key : "");
    ev.super = c->super;
    for (uint32_t i = 0; i < sizeof ev.random; i++) ev.random[i] = (uint8_t)(hash64(&e->next_connection, 8) >> 8 * (i % 8));
    c->id = ev.connection;
    c->server = server;
    c->closed = false;
    step(e, server, ev);
}

/* Connects, to go on with its session if it has one. */
static inline void connect_to(struct ensemble *e, struct client *c, uint32_t server)
{
    struct ask ask = {.type = ASK_CONNECT, .seen = c->seen, .timeout_ms = c->timeout_ms ? c->timeout_ms : 2000, .session = c->session};
    memcpy(ask.password, c->password, 16);
    open_connection(e, c, server);
    ask_of(e, c, &ask);
}

static inline void disconnect(struct ensemble *e, struct client *c)
{
    step(e, c->server, (struct coord_server_event){.type = COORD_EV_CLOSED, .connection = c->id});
    c->id = 0;
}

/* The next message received; false: none. */
static inline bool next_say(struct client *c, struct say *say)
{
    if (c->read == c->n) return false;
    const struct buffer *b = &c->inbox[c->read++];
    return read_say(bytes_of(b->data, b->len), say);
}

static inline uint64_t write_ops(struct ensemble *e, struct client *c, const struct op *ops, uint32_t n, uint64_t xid)
{
    struct buffer b = {0};
    for (uint32_t i = 0; i < n; i++) put_request_op(&b, &ops[i]);
    ask_of(e, c, &(struct ask){.type = ASK_WRITE, .xid = xid, .acked = c->acked, .n = n, .ops = bytes_of(b.data, b.len)});
    buffer_close(&b);
    return xid;
}

static inline uint64_t create(struct ensemble *e, struct client *c, const char *path, uint8_t kind)
{
    struct op op = {.type = OP_CREATE, .path = bytes_text(path), .data = bytes_text("x"), .acl = acl_open(), .kind = kind};
    return write_ops(e, c, &op, 1, ++c->xid);
}

static inline uint64_t set(struct ensemble *e, struct client *c, const char *path, const char *data)
{
    struct op op = {.type = OP_SET, .path = bytes_text(path), .data = bytes_text(data), .version = OP_ANY_VERSION};
    return write_ops(e, c, &op, 1, ++c->xid);
}

static inline uint64_t drop(struct ensemble *e, struct client *c, const char *path)
{
    struct op op = {.type = OP_DELETE, .path = bytes_text(path), .version = OP_ANY_VERSION};
    return write_ops(e, c, &op, 1, ++c->xid);
}

static inline uint64_t get(struct ensemble *e, struct client *c, const struct get *get, bool linear)
{
    struct buffer b = {0};
    put_get(&b, get);
    ask_of(e, c, &(struct ask){.type = ASK_READ, .xid = ++c->xid, .linear = linear, .n = 1, .ops = bytes_of(b.data, b.len)});
    buffer_close(&b);
    return c->xid;
}

static inline uint64_t get_data(struct ensemble *e, struct client *c, const char *path, bool watch)
{
    return get(e, c, &(struct get){.type = GET_DATA, .path = bytes_text(path), .watch = watch}, false);
}

static inline void rewatch(struct ensemble *e, struct client *c, const struct rewatch *w, uint32_t n, struct zxid seen)
{
    struct buffer b = {0};
    for (uint32_t i = 0; i < n; i++) put_rewatch(&b, &w[i]);
    ask_of(e, c, &(struct ask){.type = ASK_WATCHES, .xid = ++c->xid, .seen = seen, .n = n, .ops = bytes_of(b.data, b.len)});
    buffer_close(&b);
}

#endif
