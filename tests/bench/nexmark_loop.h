/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Nexmark by hand: what a C programmer would write for one query on one core, with libc and a hash function and nothing else. It is what
 * Weir is measured against, so it shares no code with it; equal checksums show that both did the same job.
 *
 * Events are those of the benchmark's definition, all fields of all events, strings copied into the row. Queries know nothing about the
 * order of arrival but the watermark, keep what their definition asks them to keep, and free what can no longer matter.
 */
#ifndef WEIR_TESTS_BENCH_NEXMARK_LOOP_H
#define WEIR_TESTS_BENCH_NEXMARK_LOOP_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct nexmark_params {
    uint64_t seed;
    uint64_t events; /* N: event numbers 0 ... N - 1 */
    uint64_t rate;   /* events per second of event time, at least 1 */
    uint64_t group;  /* arrival order is shuffled within blocks of so many events, at least 1, not a multiple of 953 */
};

struct loop_result {
    uint64_t rows;     /* of an updating query: of the final table */
    uint64_t checksum; /* sum of XXH3_64bits of all rows modulo 2^64; what Weir's blackhole sink shows for inserts. 0 for "generate" */
    double seconds;    /* from the first event made to the last row hashed */
};

/* Whether there is a loop for `query`: "q0" ... "q20", or "generate", which makes the events and drops them. */
bool nexmark_loop_has(const char *query);

/* Whether a run of `params` is defined. */
bool nexmark_params_valid(const struct nexmark_params *params);

/*
 * Runs one query. Asserts that there is one and that `params` are valid; ends the process when memory is short.
 *
 * text    Unless NULL, rows are also written there as CSV, in no particular order (for "generate": the events, in order of arrival).
 *         Borrowed. The time then includes the writing.
 * Thread: any, one at a time in a process.
 */
struct loop_result nexmark_loop_run(const char *query, const struct nexmark_params *params, FILE *text);

#endif
