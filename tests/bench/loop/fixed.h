/* SPDX-License-Identifier: Apache-2.0 */
/* The tables that all events are cut from. They depend on no seed and are made once in a process. */
#ifndef WEIR_TESTS_BENCH_LOOP_FIXED_H
#define WEIR_TESTS_BENCH_LOOP_FIXED_H

#include "tests/bench/loop/events.h"
#include "tests/bench/loop/random.h"

#define POOL_SIZE 65536
#define N_NUMBERED 10000
#define N_CHANNELS (N_NUMBERED + 4)
#define CHANNEL_TEXT 96 /* name and url, at most 12 + 77 bytes, in three blocks */

struct channel {
    uint16_t name_length, url_length;
    char text[CHANNEL_TEXT]; /* name and url, end to end, as in a bid */
};

extern char loop_letters[POOL_SIZE + COPY_SLACK];
extern char loop_words[POOL_SIZE + COPY_SLACK]; /* letters and spaces */
extern struct channel loop_channels[N_CHANNELS];

/* Makes the tables if they are not yet made. Thread: any, one at a time. */
void loop_fixed_init(void);

/* `length` bytes of a pool from a random place on. */
static inline const char *cut(const char *pool, uint64_t x, uint64_t length)
{
    return pool + hi(x, POOL_SIZE - length);
}

/* A random channel: one of the four named ones in half of the cases. */
static inline const struct channel *some_channel(uint64_t x)
{
    return &loop_channels[pick(lo(x, 2) > 0, N_NUMBERED + hi(x, 4), hi(x, N_NUMBERED))];
}

#endif
