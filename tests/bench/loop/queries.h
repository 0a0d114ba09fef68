/* SPDX-License-Identifier: Apache-2.0 */
/* The queries. Each reads all events, gives its final rows to the sink, and frees what it kept. */
#ifndef WEIR_TESTS_BENCH_LOOP_QUERIES_H
#define WEIR_TESTS_BENCH_LOOP_QUERIES_H

#include "tests/bench/loop/events.h"
#include "tests/bench/loop/sink.h"

typedef void query_loop(struct loop_events *in, struct loop_sink *out);

query_loop loop_q0, loop_q1, loop_q2;                     /* bids.c: one bid, one row */
query_loop loop_q3, loop_q20;                             /* joins.c: two sides, kept for the whole run */
query_loop loop_q4, loop_q17, loop_q18;                   /* updates.c: tables whose last state is the result */
query_loop loop_q5, loop_q7, loop_q8, loop_q11, loop_q12; /* windows.c and sessions.c: closed by the watermark */

#endif
