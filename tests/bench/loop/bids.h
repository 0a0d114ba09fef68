/* SPDX-License-Identifier: Apache-2.0 */
/* Result rows that are a part of a bid. */
#ifndef WEIR_TESTS_BENCH_LOOP_BIDS_H
#define WEIR_TESTS_BENCH_LOOP_BIDS_H

#include "tests/bench/loop/events.h"

/* Makes the row of q0 with another price; returns its size. COPY_SLACK bytes behind it may be written. */
static inline uint32_t short_bid(struct nexmark_q0_row *row, const struct bid *bid, int64_t price)
{
    *row = (struct nexmark_q0_row){bid->auction, bid->bidder, price, bid->date_time, {sizeof *row, bid->extra.length}};
    memcpy(row + 1, str_data(bid, bid->extra), BID_EXTRA_COPY);
    return (uint32_t)sizeof *row + bid->extra.length;
}

/* A string that moves with the rest of its row. */
static inline struct nexmark_str moved(struct nexmark_str s, uint32_t distance)
{
    return (struct nexmark_str){s.offset + distance, s.length};
}

/* Bytes of the strings of a bid, which lie end to end behind it. */
static inline uint32_t bid_text_length(const struct bid *bid)
{
    return bid->extra.offset + bid->extra.length - (uint32_t)sizeof *bid;
}

#endif
