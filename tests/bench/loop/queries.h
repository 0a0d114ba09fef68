/* SPDX-License-Identifier: Apache-2.0 */
/* The queries. Each reads all events, gives its final rows to the sink, and frees what it kept. */
#ifndef WEIR_TESTS_BENCH_LOOP_QUERIES_H
#define WEIR_TESTS_BENCH_LOOP_QUERIES_H

#include "tests/bench/loop/events.h"
#include "tests/bench/loop/sink.h"

typedef void query_loop(struct events *in, struct sink *out);

query_loop q0, q1, q2;           /* bids.c: one bid, one row */
query_loop q3, q20;              /* joins.c: two sides, kept for the whole run */
query_loop q4, q17, q18;         /* updates.c: tables whose last state is the result */
query_loop q5, q7, q8, q11, q12; /* windows.c and sessions.c: closed by the watermark */

#endif
