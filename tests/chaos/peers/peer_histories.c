/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Histories of clients of three real peers that are killed and stopped: is each linearizable?
 *
 *     peer_histories [--histories N] [--seed S]
 *
 * A history: four clients write and read (linearly) two registers, one request at a time each, for about half a second in which peers are
 * killed (SIGKILL) or stopped (SIGSTOP) and come back. A client whose connection breaks, is refused or is silent goes to another peer with
 * its session and repeats its write under the same xid; now and then it does so for no reason. Then all come back, and every request must
 * be answered. What is done when is drawn from the seed; what the processes make of it is theirs, so a seed repeats the faults, not the
 * outcome.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/clock.h"
#include "runtime/base/folder.h"
#include "tests/linear/linear.h"
#include "tests/support/peer/hosts.h"

enum {
    PEERS = 3,
    CLIENTS = 4,
    REGISTERS = 2,
    HISTORY_MS = 500,
    LEAVES = 30,       /* one of so many requests is sent, and its connection left at once */
    FAULT_MS = 120,    /* between two faults, about */
    PATIENCE_MS = 800, /* for an answer; then another peer is asked */
    CONNECT_MS = 200,
    HEALED_MS = 15000, /* within this all must be answered when nothing fails any more */
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
    uint64_t xid; /* of the write: the same when it is repeated */
};

static struct hosts hosts;
static struct client clients[CLIENTS];
static bool stopped[PEERS + 1];
static uint64_t seed, values, moved, repeated;

static uint64_t draw(uint64_t below)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed % below;
}

static const char *path_of(uint64_t history, uint64_t key)
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

static void connect_somewhere(struct client *c)
{
    uint32_t id = (uint32_t)draw(PEERS) + 1;
    while (!hosts.at[id].pid) id = id % PEERS + 1;
    struct ask hello = {.type = ASK_CONNECT, .seen = c->raw.seen, .timeout_ms = SESSION_MS, .session = c->raw.session};
    memcpy(hello.password, c->raw.password, sizeof hello.password);
    raw_open(&c->raw, hosts.at[id].client);
    raw_ask(&c->raw, &hello);
    raw_flush(&c->raw);
    c->open = true;
    c->since_ms = clock_mono_ms();
    moved++;
}

static void send_write(struct client *c, uint64_t history)
{
    char text[32];
    (void)snprintf(text, sizeof text, "%" PRIu64, c->op.value);
    struct op op = {.type = OP_SET, .path = bytes_text(path_of(history, c->op.key)), .data = bytes_text(text), .version = OP_ANY_VERSION};
    if (c->xid) {
        c->raw.xid = c->xid - 1;
        repeated++;
    }
    c->xid = raw_write(&c->raw, &op);
}

static void send_request(struct client *c, uint64_t history)
{
    if (c->op.kind == LINEAR_WRITE)
        send_write(c, history);
    else
        (void)raw_read(&c->raw, GET_DATA, path_of(history, c->op.key), true);
    raw_flush(&c->raw);
    c->asked = true;
    c->since_ms = clock_mono_ms();
    c->leaves = draw(LEAVES) == 0;
}

static void begin_request(struct client *c)
{
    c->op = (struct linear_op){.kind = draw(2) ? LINEAR_WRITE : LINEAR_READ, .key = draw(REGISTERS), .invoked = (uint64_t)clock_mono_ns()};
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
static void answered(struct client *c, const struct say *say, struct linear *history)
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
    linear_add(history, c->op);
    c->busy = false;
}

static void connected(struct client *c, const struct say *say)
{
    c->raw.session = say->session;
    if (say->last_xid > c->raw.xid) c->raw.xid = say->last_xid;
    memcpy(c->raw.password, say->password, sizeof c->raw.password);
    c->ready = true;
}

static void listen(struct client *c, struct linear *history)
{
    struct say say;
    while (c->open && raw_next(&c->raw, &say, 0)) {
        if (say.type == SAY_CONNECTED) connected(c, &say);
        if (say.type == SAY_REFUSED && say.err == COORD_SESSION_EXPIRED) hosts_die("a session ended before its time");
        if (say.type == SAY_REFUSED) leave(c);
        if (say.type == SAY_REPLY) answered(c, &say, history);
    }
    int64_t silent_ms = clock_mono_ms() - c->since_ms;
    if (c->open && (c->raw.broken || (!c->ready && silent_ms > CONNECT_MS) || (c->ready && c->asked && c->busy && silent_ms > PATIENCE_MS)))
        leave(c);
}

/* ---- faults -------------------------------------------------------------------------------------------------------------------- */

/* One peer at a time is away, so that there is a quorum most of the time; now and then two are. */
static void some_fault(void)
{
    uint32_t id = (uint32_t)draw(PEERS) + 1;
    if (stopped[id]) {
        (void)kill(hosts.at[id].pid, SIGCONT);
        stopped[id] = false;
    } else if (!hosts.at[id].pid) {
        host_start(&hosts, id);
    } else if (draw(2)) {
        host_kill(&hosts, id);
    } else {
        (void)kill(hosts.at[id].pid, SIGSTOP);
        stopped[id] = true;
    }
}

static void heal(void)
{
    for (uint32_t id = 1; id <= PEERS; id++) {
        if (stopped[id]) (void)kill(hosts.at[id].pid, SIGCONT);
        stopped[id] = false;
        if (!hosts.at[id].pid) host_start(&hosts, id);
    }
}

static unsigned peers_that_run(void)
{
    unsigned n = 0;
    for (uint32_t id = 1; id <= PEERS; id++) n += hosts.at[id].pid != 0;
    return n;
}

/* ---- a history ----------------------------------------------------------------------------------------------------------------- */

static void turn(uint64_t history, struct linear *l, bool more)
{
    struct net_wait waits[CLIENTS];
    for (unsigned i = 0; i < CLIENTS; i++) {
        struct client *c = &clients[i];
        if (!c->open && peers_that_run() > 0) connect_somewhere(c);
        if (!c->busy && more) begin_request(c);
        if (c->ready && c->busy && !c->asked) send_request(c, history);
        waits[i] = (struct net_wait){.socket = c->raw.socket, .fd = -1, .want_read = true};
    }
    (void)net_poll(waits, CLIENTS, 5);
    for (unsigned i = 0; i < CLIENTS; i++) {
        if (clients[i].leaves && clients[i].asked && more) leave(&clients[i]);
        listen(&clients[i], l);
    }
    hosts_read(&hosts, 0);
}

static bool all_answered(void)
{
    for (unsigned i = 0; i < CLIENTS; i++)
        if (clients[i].busy) return false;
    return true;
}

static void make_registers(uint64_t history)
{
    struct raw r = {0};
    raw_open(&r, hosts.at[hosts_leader(&hosts)].client);
    if (!raw_hello(&r, SESSION_MS)) hosts_die("no session");
    for (uint64_t key = 0; key < REGISTERS; key++)
        if (raw_create(&r, path_of(history, key), "0")) hosts_die("no register");
    for (unsigned i = 0; i < CLIENTS; i++)
        if (zxid_cmp(r.seen, clients[i].raw.seen) > 0) clients[i].raw.seen = r.seen;
    raw_close(&r);
}

static void run_history(uint64_t history)
{
    struct linear *l = linear_new();
    make_registers(history);
    int64_t now_ms = clock_mono_ms(), end_ms = now_ms + HISTORY_MS, fault_ms = now_ms + (int64_t)draw(FAULT_MS);
    while ((now_ms = clock_mono_ms()) < end_ms) {
        if (now_ms >= fault_ms) {
            some_fault();
            fault_ms = now_ms + (int64_t)draw(2 * FAULT_MS);
        }
        turn(history, l, true);
    }
    heal();
    for (end_ms = clock_mono_ms() + HEALED_MS; !all_answered(); turn(history, l, false))
        if (clock_mono_ms() > end_ms) hosts_die("a request is not answered though nothing fails any more");
    struct linear_verdict verdict = linear_check(l, SEARCH_STEPS);
    linear_destroy(&l);
    if (verdict.result == LINEAR_YES) return;
    (void)fprintf(stderr, "history %" PRIu64 ", register %" PRIu64 ": %s\n", history, verdict.key,
                  verdict.result == LINEAR_NO ? "not linearizable" : "too long to be searched");
    abort();
}

int main(int argc, char **argv)
{
    char folder[128];
    const char *temp = getenv("TMPDIR");
    uint64_t n = 5;
    seed = 1;
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--histories") == 0) n = strtoull(argv[i + 1], NULL, 10);
        if (strcmp(argv[i], "--seed") == 0) seed = strtoull(argv[i + 1], NULL, 10);
    }
    uint64_t first = seed = seed ? seed : 1;
    (void)snprintf(folder, sizeof folder, "%s/peers-XXXXXX", temp ? temp : "/tmp");
    if (!mkdtemp(folder) || net_start(1)) return 1;
    hosts_init(&hosts, folder, PEERS);
    hosts.snapshot_entries = 500;
    hosts.segment_bytes = 65536;
    for (uint32_t id = 1; id <= PEERS; id++) host_start(&hosts, id);
    printf("peer_histories --seed %" PRIu64 " --histories %" PRIu64 "\n", first, n);
    for (uint64_t h = 0; h < n; h++) run_history(h);
    printf("%" PRIu64 " histories linearizable: %" PRIu64 " values, %" PRIu64 " connections, %" PRIu64 " writes repeated\n", n, values,
           moved, repeated);
    for (unsigned i = 0; i < CLIENTS; i++) leave(&clients[i]);
    hosts_close(&hosts);
    net_stop();
    (void)folder_remove(folder, NULL);
    return 0;
}
