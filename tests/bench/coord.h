/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What bench_coord asks of an ensemble of three, ours or ZooKeeper's: each is a table of these functions. Values have COORD_VALUE bytes,
 * every write is fsynced by a quorum. All waits have an end; then the program dies with words.
 */
#ifndef WEIR_TESTS_BENCH_COORD_H
#define WEIR_TESTS_BENCH_COORD_H

#include <stdint.h>

#include "tests/bench/histogram.h"

#define COORD_VALUE 100u /* bytes of a value */
#define COORD_PEERS 3u
#define COORD_SESSIONS 4u /* of the pipelined runs, spread over the peers ... */
#define COORD_WINDOW 64u  /* ... with so many requests under way each */

struct coord_side {
    const char *name;
    /* Starts three servers in the folder, and makes a node for each session. NULL: can be used; else why not. */
    const char *(*start)(const char *folder);
    /* `ms` of sets, or gets, with COORD_WINDOW under way on each session: operations per second. */
    double (*pipelined)(int64_t ms, int reads);
    /* `ms` of sets, one at a time on one session. */
    void (*one_by_one)(int64_t ms, struct histogram *out);
    /* Kills the leader (SIGKILL), returns the milliseconds to the first successful write, and starts the killed one again. */
    double (*failover)(void);
    /* CPU time that the servers have used so far, in microseconds. */
    double (*cpu_us)(void);
    void (*stop)(void);
};

extern const struct coord_side coord_weir;
extern const struct coord_side coord_zookeeper;

/* CPU time of a process, user and system, in microseconds; 0: it is gone. */
double coord_cpu_of(int pid);

#endif
