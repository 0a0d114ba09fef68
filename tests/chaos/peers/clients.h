/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clients of a coordination ensemble whose requests make histories, which are checked for linearizability (tests/linear).
 *
 * A history: four clients write and read (linearly) two registers, one request at a time each. A client whose connection breaks, is refused
 * or is silent goes to another peer with its session and repeats its write under the same xid; now and then it does so for no reason. In
 * the end, when nothing fails any more, every request must be answered.
 *
 *     clients_begin(7);
 *     while (faults) clients_turn(true);
 *     while (!clients_answered()) clients_turn(false);
 *     clients_check(7);
 *
 * What is wrong ends the program with words. Thread: one.
 */
#ifndef WEIR_TESTS_CHAOS_PEERS_CLIENTS_H
#define WEIR_TESTS_CHAOS_PEERS_CLIENTS_H

#include <stdbool.h>
#include <stdint.h>

struct clients_config {
    unsigned n_peers;
    const char *const *endpoints; /* of the peers, for clients; kept */
    bool (*runs)(unsigned peer);  /* whether it is worth asking; NULL: nobody knows */
    uint32_t pause_ms;            /* between a client's answer and its next request */
};

void clients_init(const struct clients_config *config, uint64_t seed);
void clients_close(void);

/* A number below `below`, of the seed. */
uint64_t clients_draw(uint64_t below);

/* Makes the registers of the history, for which a leader must be there soon. */
void clients_begin(uint64_t history);
/* Sends what is to be sent, and hears, for some milliseconds. more: requests that are answered are followed by others. */
void clients_turn(bool more);
bool clients_answered(void);
/* Gives the number of requests in the history. */
uint64_t clients_check(uint64_t history);

/* "12 values, 3 connections, 1 writes repeated" since the beginning, in a static place. */
const char *clients_totals(void);

#endif
