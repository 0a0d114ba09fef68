/* SPDX-License-Identifier: Apache-2.0 */
/* Our side of bench_coord: peers as processes, and clients that speak the protocol themselves, all in one thread. */
#include "tests/bench/coord.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/clock.h"
#include "tests/support/peer/hosts.h"

#define TIMEOUT_MS 30000

static struct hosts hosts;
static struct raw clients[COORD_SESSIONS];
static char value[COORD_VALUE + 1];

static void open_client(struct raw *r, uint32_t peer)
{
    *r = (struct raw){0};
    raw_open(r, hosts.at[peer].client);
    if (!raw_hello(r, TIMEOUT_MS)) hosts_die("no session");
}

static const char *path_of(unsigned session)
{
    static const char *const paths[COORD_SESSIONS] = {"/n0", "/n1", "/n2", "/n3"};
    return paths[session];
}

static const char *start(const char *folder)
{
    memset(value, 'v', COORD_VALUE);
    hosts_init(&hosts, folder, COORD_PEERS);
    for (uint32_t id = 1; id <= COORD_PEERS; id++) host_start(&hosts, id);
    (void)hosts_leader(&hosts);
    for (uint32_t id = 1; id <= COORD_PEERS; id++) host_serves(&hosts, id);
    for (unsigned i = 0; i < COORD_SESSIONS; i++) {
        open_client(&clients[i], i % COORD_PEERS + 1);
        if (raw_create(&clients[i], path_of(i), value)) hosts_die("no node");
    }
    return NULL;
}

static void ask(unsigned i, int reads)
{
    struct op op = {.type = OP_SET, .path = bytes_text(path_of(i)), .data = bytes_of(value, COORD_VALUE), .version = OP_ANY_VERSION};
    if (reads)
        (void)raw_read(&clients[i], GET_DATA, path_of(i), false);
    else
        (void)raw_write(&clients[i], &op);
}

/* Takes what has come for a client, and asks as often again. */
static uint64_t take(unsigned i, int reads, bool again)
{
    struct say say;
    uint64_t n = 0;
    while (raw_next(&clients[i], &say, 0)) {
        if (say.type != SAY_REPLY) continue;
        if (say.err) hosts_die("a request failed");
        clients[i].acked = say.xid;
        n++;
        if (again) ask(i, reads);
    }
    if (clients[i].broken) hosts_die("a connection broke");
    raw_flush(&clients[i]);
    return n;
}

static uint64_t take_all(int reads, bool again)
{
    struct net_wait waits[COORD_SESSIONS];
    uint64_t n = 0;
    for (unsigned i = 0; i < COORD_SESSIONS; i++) waits[i] = (struct net_wait){.socket = clients[i].socket, .want_read = true};
    (void)net_poll(waits, COORD_SESSIONS, 1000);
    for (unsigned i = 0; i < COORD_SESSIONS; i++) n += take(i, reads, again);
    return n;
}

static double pipelined(int64_t ms, int reads)
{
    uint64_t n = 0, left = COORD_SESSIONS * COORD_WINDOW;
    int64_t began_ns = clock_mono_ns(), until_ns = began_ns + ms * 1000000;
    for (unsigned i = 0; i < COORD_SESSIONS; i++) {
        for (unsigned k = 0; k < COORD_WINDOW; k++) ask(i, reads);
        raw_flush(&clients[i]);
    }
    while (clock_mono_ns() < until_ns) n += take_all(reads, true);
    double rate = (double)n * 1e9 / (double)(clock_mono_ns() - began_ns);
    while (left > 0) left -= take_all(reads, false);
    return rate;
}

static void one_by_one(int64_t ms, struct histogram *out)
{
    int64_t until_ns = clock_mono_ns() + ms * 1000000;
    struct say say;
    for (int64_t now_ns = clock_mono_ns(); now_ns < until_ns;) {
        ask(0, 0);
        if (!raw_reply(&clients[0], clients[0].xid, &say) || say.err) hosts_die("a write failed");
        int64_t then_ns = clock_mono_ns();
        histogram_add(out, (uint64_t)(then_ns - now_ns), 1);
        now_ns = then_ns;
    }
}

/* A client of each survivor writes; the first answer counts. */
static double failover(void)
{
    struct raw probes[COORD_PEERS - 1];
    struct net_wait waits[COORD_PEERS - 1];
    struct op op = {.type = OP_SET, .path = bytes_text(path_of(0)), .data = bytes_of(value, COORD_VALUE), .version = OP_ANY_VERSION};
    struct say say;
    unsigned n = 0;
    uint32_t leader = hosts_leader(&hosts);
    for (uint32_t id = 1; id <= COORD_PEERS; id++) {
        if (id == leader) continue;
        open_client(&probes[n], id);
        waits[n] = (struct net_wait){.socket = probes[n].socket, .want_read = true};
        n++;
    }
    int64_t began_ns = clock_mono_ns();
    host_kill(&hosts, leader);
    for (unsigned i = 0; i < n; i++) {
        (void)raw_write(&probes[i], &op);
        raw_flush(&probes[i]);
    }
    bool served = false;
    while (!served) {
        if (clock_mono_ns() - began_ns > TIMEOUT_MS * INT64_C(1000000)) hosts_die("nobody serves");
        (void)net_poll(waits, n, 1000);
        for (unsigned i = 0; i < n && !served; i++) served = raw_next(&probes[i], &say, 0) && say.type == SAY_REPLY && say.err == COORD_OK;
    }
    double ms = (double)(clock_mono_ns() - began_ns) / 1e6;
    for (unsigned i = 0; i < n; i++) raw_close(&probes[i]);
    (void)hosts_leader(&hosts);
    host_start(&hosts, leader);
    host_serves(&hosts, leader);
    return ms;
}

static double cpu_us(void)
{
    double sum = 0;
    for (uint32_t id = 1; id <= COORD_PEERS; id++) sum += coord_cpu_of(hosts.at[id].pid);
    return sum;
}

static void stop(void)
{
    for (unsigned i = 0; i < COORD_SESSIONS; i++) raw_close(&clients[i]);
    hosts_close(&hosts);
}

const struct coord_side coord_weir = {"Weir", start, pipelined, one_by_one, failover, cpu_us, stop};
