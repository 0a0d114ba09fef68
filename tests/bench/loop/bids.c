/* SPDX-License-Identifier: Apache-2.0 */
/* q0, q1, q2: one bid, at most one row. */
#include "tests/bench/loop/bids.h"
#include "tests/bench/loop/queries.h"

void q0(struct events *in, struct sink *out)
{
    while (events_next(in)) {
        EACH_BID(bid, in) sink_end(out, short_bid(sink_begin(out), bid, bid->price));
    }
}

void q1(struct events *in, struct sink *out)
{
    while (events_next(in)) {
        EACH_BID(bid, in) sink_end(out, short_bid(sink_begin(out), bid, bid->price * 908));
    }
}

void q2(struct events *in, struct sink *out)
{
    while (events_next(in)) {
        EACH_BID(bid, in)
        {
            if (bid->auction % 123 != 0) continue;
            *(struct nexmark_q2_row *)sink_begin(out) = (struct nexmark_q2_row){bid->auction, bid->price};
            sink_end(out, sizeof(struct nexmark_q2_row));
        }
    }
}
