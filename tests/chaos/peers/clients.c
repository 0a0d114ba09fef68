/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/chaos/peers/clients.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/clock.h"
#include "tests/linear/linear.h"
#include "tests/support/peer/hosts.h"

enum {
    CLIENTS = 4,
    REGISTERS = 2,
    LEAVES = 30,       /* one of so many requests is sent, and its connection left at once */
    PATIENCE_MS = 800, /* for an answer; then another peer is asked */
    CONNECT_MS = 200,
    TURN_MS = 5,
    SESSION_MS = 60000,
};
#define SEARCH_STEPS (1u << 22)

struct client {
    struct raw raw;
    bool open, ready;
    int64_t since_ms; /* of the connection, or of the request */
    bool busy, asked; /* a request is not answered; it was sent on this connection */
    bool leaves;      /* and it will not wait for the answer */
    struct linear_op op;
    uint64_t xid;    /* of the write: the same when it is repeated */
    int64_t rest_ms; /* no request before */
};

static struct clients_config config;
static struct client clients[CLIENTS];
static struct linear *history_of_all;
static uint64_t history; /* its number */
static uint64_t seed, n_requests, values, moved, repeated;

uint64_t clients_draw(uint64_t below)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed % below;
}

static const char *path_of(uint64_t key)
{
    static char path[64];
    (void)snprintf(path, sizeof path, "/h%" PRIu64 "-%" PRIu64, history, key);
    return path;
}

/* ---- clients ------------------------------------------------------------------------------------------------------------------- */

static void leave(struct client *c)
{
    struct raw kept = {.session = c->raw.session, .xid = c->raw.xid, .acked = c->raw.acked, .seen = c->raw.seen};
    memcpy(kept.password, c->raw.password, sizeof kept.password);
    if (c->open) raw_close(&c->raw);
    c->raw = kept;
    c->open = c->ready = c->asked = false;
}

/* A peer, drawn; one that runs, if that is known. */
static const char *some_endpoint(void)
{
    unsigned peer = (unsigned)clients_draw(config.n_peers);
    for (unsigned i = 0; config.runs && !config.runs(peer) && i < config.n_peers; i++) peer = (peer + 1) % config.n_peers;
    return config.endpoints[peer];
}

static void connect_somewhere(struct client *c)
{
    struct ask hello = {.type = ASK_CONNECT, .seen = c->raw.seen, .timeout_ms = SESSION_MS, .session = c->raw.session};
    memcpy(hello.password, c->raw.password, sizeof hello.password);
    raw_open(&c->raw, some_endpoint());
    raw_ask(&c->raw, &hello);
    raw_flush(&c->raw);
    c->open = true;
    c->since_ms = clock_mono_ms();
    moved++;
}

static void send_write(struct client *c)
{
    char text[32];
    (void)snprintf(text, sizeof text, "%" PRIu64, c->op.value);
    struct op op = {.type = OP_SET, .path = bytes_text(path_of(c->op.key)), .data = bytes_text(text), .version = OP_ANY_VERSION};
    if (c->xid) {
        c->raw.xid = c->xid - 1;
        repeated++;
    }
    c->xid = raw_write(&c->raw, &op);
}

static void send_request(struct client *c)
{
    if (c->op.kind == LINEAR_WRITE)
        send_write(c);
    else
        (void)raw_read(&c->raw, GET_DATA, path_of(c->op.key), true);
    raw_flush(&c->raw);
    c->asked = true;
    c->since_ms = clock_mono_ms();
    c->leaves = clients_draw(LEAVES) == 0;
}

static void begin_request(struct client *c)
{
    c->op = (struct linear_op){
        .kind = clients_draw(2) ? LINEAR_WRITE : LINEAR_READ, .key = clients_draw(REGISTERS), .invoked = (uint64_t)clock_mono_ns()};
    if (c->op.kind == LINEAR_WRITE) c->op.value = ++values;
    c->busy = true;
    c->asked = false;
    c->xid = 0;
}

static uint64_t value_in(struct weir_bytes body)
{
    struct reader r;
    char text[32] = "";
    reader_init(&r, body.data, body.length);
    if (read_u32(&r) != 1 || read_u16(&r) != 0) hosts_die("a read without a result");
    struct weir_bytes data = read_data(&r, sizeof text - 1);
    if (r.broken) hosts_die("a register that holds no number");
    memcpy(text, data.data, data.length);
    return strtoull(text, NULL, 10);
}

/* NO_QUORUM: a write's outcome is unknown, and it may be repeated on a new connection only. */
static void answered(struct client *c, const struct say *say)
{
    c->raw.acked = say->err == COORD_NO_QUORUM ? c->raw.acked : say->xid;
    if (say->err == COORD_NO_QUORUM) {
        leave(c);
        return;
    }
    c->op.returned = (uint64_t)clock_mono_ns();
    if (say->err == COORD_OUTCOME_FORGOTTEN)
        c->op.returned = LINEAR_NEVER;
    else if (say->err)
        hosts_die("a request failed");
    if (c->op.kind == LINEAR_READ) c->op.value = value_in(say->body);
    linear_add(history_of_all, c->op);
    n_requests++;
    c->busy = false;
    c->rest_ms = clock_mono_ms() + config.pause_ms;
}

static void connected(struct client *c, const struct say *say)
{
    c->raw.session = say->session;
    if (say->last_xid > c->raw.xid) c->raw.xid = say->last_xid;
    memcpy(c->raw.password, say->password, sizeof c->raw.password);
    c->ready = true;
}

static void listen(struct client *c)
{
    struct say say;
    while (c->open && raw_next(&c->raw, &say, 0)) {
        if (say.type == SAY_CONNECTED) connected(c, &say);
        if (say.type == SAY_REFUSED && say.err == COORD_SESSION_EXPIRED) hosts_die("a session ended before its time");
        if (say.type == SAY_REFUSED) leave(c);
        if (say.type == SAY_REPLY) answered(c, &say);
    }
    int64_t silent_ms = clock_mono_ms() - c->since_ms;
    if (c->open && (c->raw.broken || (!c->ready && silent_ms > CONNECT_MS) || (c->ready && c->asked && c->busy && silent_ms > PATIENCE_MS)))
        leave(c);
}

/* ---- a history ----------------------------------------------------------------------------------------------------------------- */

void clients_turn(bool more)
{
    struct net_wait waits[CLIENTS];
    int64_t now_ms = clock_mono_ms();
    for (unsigned i = 0; i < CLIENTS; i++) {
        struct client *c = &clients[i];
        if (!c->open) connect_somewhere(c);
        if (!c->busy && more && now_ms >= c->rest_ms) begin_request(c);
        if (c->ready && c->busy && !c->asked) send_request(c);
        waits[i] = (struct net_wait){.socket = c->raw.socket, .fd = -1, .want_read = true};
    }
    (void)net_poll(waits, CLIENTS, TURN_MS);
    for (unsigned i = 0; i < CLIENTS; i++) {
        if (clients[i].leaves && clients[i].asked && more) leave(&clients[i]);
        listen(&clients[i]);
    }
}

bool clients_answered(void)
{
    for (unsigned i = 0; i < CLIENTS; i++)
        if (clients[i].busy) return false;
    return true;
}

/* By whichever peer takes a session. */
static void open_somewhere(struct raw *r)
{
    int64_t until_ms = clock_mono_ms() + HOSTS_WAIT_MS;
    for (;;) {
        raw_open(r, some_endpoint());
        if (raw_hello(r, SESSION_MS)) return;
        raw_close(r);
        *r = (struct raw){0};
        if (clock_mono_ms() > until_ms) hosts_die("no session");
    }
}

void clients_begin(uint64_t number)
{
    struct raw r = {0};
    history = number;
    n_requests = 0;
    history_of_all = linear_new();
    open_somewhere(&r);
    for (uint64_t key = 0; key < REGISTERS; key++)
        if (raw_create(&r, path_of(key), "0")) hosts_die("no register");
    for (unsigned i = 0; i < CLIENTS; i++)
        if (zxid_cmp(r.seen, clients[i].raw.seen) > 0) clients[i].raw.seen = r.seen;
    raw_close(&r);
}

uint64_t clients_check(uint64_t number)
{
    struct linear_verdict verdict = linear_check(history_of_all, SEARCH_STEPS);
    linear_destroy(&history_of_all);
    if (verdict.result == LINEAR_YES) return n_requests;
    (void)fprintf(stderr, "history %" PRIu64 ", register %" PRIu64 ": %s\n", number, verdict.key,
                  verdict.result == LINEAR_NO ? "not linearizable" : "too long to be searched");
    abort();
}

/* ---- life ---------------------------------------------------------------------------------------------------------------------- */

void clients_init(const struct clients_config *how, uint64_t first)
{
    config = *how;
    seed = first;
}

void clients_close(void)
{
    for (unsigned i = 0; i < CLIENTS; i++) leave(&clients[i]);
}

const char *clients_totals(void)
{
    static char text[128];
    (void)snprintf(text, sizeof text, "%" PRIu64 " values, %" PRIu64 " connections, %" PRIu64 " writes repeated", values, moved, repeated);
    return text;
}
