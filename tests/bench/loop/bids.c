/* SPDX-License-Identifier: Apache-2.0 */
/* q0, q1, q2: one bid, at most one row. */
#include "tests/bench/loop/bids.h"
#include "tests/bench/loop/queries.h"

void loop_q0(struct loop_events *in, struct loop_sink *out)
{
    while (loop_events_next(in)) {
        EACH_BID(bid, in) loop_sink_end(out, short_bid(loop_sink_begin(out), bid, bid->price));
    }
}

void loop_q1(struct loop_events *in, struct loop_sink *out)
{
    while (loop_events_next(in)) {
        EACH_BID(bid, in) loop_sink_end(out, short_bid(loop_sink_begin(out), bid, bid->price * 908));
    }
}

void loop_q2(struct loop_events *in, struct loop_sink *out)
{
    while (loop_events_next(in)) {
        EACH_BID(bid, in)
        {
            if (bid->auction % 123 != 0) continue;
            *(struct nexmark_q2_row *)loop_sink_begin(out) = (struct nexmark_q2_row){bid->auction, bid->price};
            loop_sink_end(out, sizeof(struct nexmark_q2_row));
        }
    }
}
