/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Histories of clients (clients.h) of an ensemble that somebody else runs and does harm to.
 *
 *     ensemble_clients SEED ENDPOINT...
 *
 * Each line of standard input begins a history, or ends the one that was begun, and is answered by a line: "begun" when harm may be done,
 * "N requests linearizable" when, after the harm, everything was answered. Ends when its standard input does.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "runtime/base/clock.h"
#include "runtime/net/socket.h"
#include "tests/chaos/peers/clients.h"
#include "tests/support/peer/hosts.h"

enum { HEALED_MS = 30000, PAUSE_MS = 10 };

/* A line was said. wait: until one is. The end of the input ends the program. */
static bool is_told(bool wait)
{
    struct net_wait input = {.fd = STDIN_FILENO, .want_read = true};
    char byte;
    (void)net_poll(&input, 1, wait ? -1 : 0);
    if (!input.readable) return false;
    if (read(STDIN_FILENO, &byte, 1) == 1) return byte == '\n';
    clients_close();
    net_stop();
    exit(0);
}

static void say(const char *line)
{
    (void)puts(line);
    (void)fflush(stdout);
}

static void run_history(uint64_t history)
{
    clients_begin(history);
    say("begun");
    while (!is_told(false)) clients_turn(true);
    for (int64_t end_ms = clock_mono_ms() + HEALED_MS; !clients_answered(); clients_turn(false))
        if (clock_mono_ms() > end_ms) hosts_die("a request is not answered though nothing fails any more");
    char text[64];
    (void)snprintf(text, sizeof text, "%" PRIu64 " requests linearizable", clients_check(history));
    say(text);
}

int main(int argc, char **argv)
{
    if (argc < 3 || net_start(1)) return 2;
    struct clients_config config = {.n_peers = (unsigned)argc - 2, .endpoints = (const char *const *)(argv + 2), .pause_ms = PAUSE_MS};
    clients_init(&config, strtoull(argv[1], NULL, 10) + 1);
    for (uint64_t history = 1;; history++) {
        while (!is_told(true)) continue;
        run_history(history);
    }
}
