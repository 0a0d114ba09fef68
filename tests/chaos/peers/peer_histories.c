/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Histories of clients (clients.h) of three real peers that are killed and stopped: is each linearizable?
 *
 *     peer_histories [--histories N] [--seed S]
 *
 * A history lasts for about half a second in which peers are killed (SIGKILL) or stopped (SIGSTOP) and come back. Then all come back. What
 * is done when is drawn from the seed; what the processes make of it is theirs, so a seed repeats the faults, not the outcome.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/clock.h"
#include "runtime/base/folder.h"
#include "tests/chaos/peers/clients.h"
#include "tests/support/peer/hosts.h"

enum {
    PEERS = 3,
    HISTORY_MS = 500,
    FAULT_MS = 120,    /* between two faults, about */
    HEALED_MS = 15000, /* within this all must be answered when nothing fails any more */
};

static struct hosts hosts;
static bool stopped[PEERS + 1];

static bool runs(unsigned peer)
{
    return hosts.at[peer + 1].pid != 0;
}

/* ---- faults -------------------------------------------------------------------------------------------------------------------- */

/* One peer at a time is away, so that there is a quorum most of the time; now and then two are. */
static void some_fault(void)
{
    uint32_t id = (uint32_t)clients_draw(PEERS) + 1;
    if (stopped[id]) {
        (void)kill(hosts.at[id].pid, SIGCONT);
        stopped[id] = false;
    } else if (!hosts.at[id].pid) {
        host_start(&hosts, id);
    } else if (clients_draw(2)) {
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

/* ---- a history ----------------------------------------------------------------------------------------------------------------- */

static void turn(bool more)
{
    clients_turn(more);
    hosts_read(&hosts, 0);
}

static void run_history(uint64_t history)
{
    (void)hosts_leader(&hosts);
    clients_begin(history);
    int64_t now_ms = clock_mono_ms(), end_ms = now_ms + HISTORY_MS, fault_ms = now_ms + (int64_t)clients_draw(FAULT_MS);
    while ((now_ms = clock_mono_ms()) < end_ms) {
        if (now_ms >= fault_ms) {
            some_fault();
            fault_ms = now_ms + (int64_t)clients_draw(2 * FAULT_MS);
        }
        turn(true);
    }
    heal();
    for (end_ms = clock_mono_ms() + HEALED_MS; !clients_answered(); turn(false))
        if (clock_mono_ms() > end_ms) hosts_die("a request is not answered though nothing fails any more");
    (void)clients_check(history);
}

int main(int argc, char **argv)
{
    char folder[128];
    const char *temp = getenv("TMPDIR");
    uint64_t n = 5, seed = 1;
    const char *endpoints[PEERS];
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--histories") == 0) n = strtoull(argv[i + 1], NULL, 10);
        if (strcmp(argv[i], "--seed") == 0) seed = strtoull(argv[i + 1], NULL, 10);
    }
    seed = seed ? seed : 1;
    (void)snprintf(folder, sizeof folder, "%s/peers-XXXXXX", temp ? temp : "/tmp");
    if (!mkdtemp(folder) || net_start(1)) return 1;
    hosts_init(&hosts, folder, PEERS);
    hosts.snapshot_entries = 500;
    hosts.segment_bytes = 65536;
    for (uint32_t id = 1; id <= PEERS; id++) {
        host_start(&hosts, id);
        endpoints[id - 1] = hosts.at[id].client;
    }
    clients_init(&(struct clients_config){.n_peers = PEERS, .endpoints = endpoints, .runs = runs}, seed);
    printf("peer_histories --seed %" PRIu64 " --histories %" PRIu64 "\n", seed, n);
    for (uint64_t h = 0; h < n; h++) run_history(h);
    printf("%" PRIu64 " histories linearizable: %s\n", n, clients_totals());
    clients_close();
    hosts_close(&hosts);
    net_stop();
    (void)folder_remove(folder, NULL);
    return 0;
}
