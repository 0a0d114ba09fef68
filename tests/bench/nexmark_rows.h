/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Result rows of the Nexmark queries, columns in the order in which the queries print them. The layout is that of api/include/weir/row.h
 * (members of 8 bytes, the bytes of the strings after the struct in the order of the members, without gaps), declared here without it, so
 * that a program that shares nothing with Weir can make the same bytes: equal rows have equal checksums.
 *
 * Integers and times (milliseconds since 1970) are int64_t, prices are cents.
 */
#ifndef WEIR_TESTS_BENCH_NEXMARK_ROWS_H
#define WEIR_TESTS_BENCH_NEXMARK_ROWS_H

#include <stdint.h>

/* A string of a row: `offset` from the row's first byte. */
struct nexmark_str {
    uint32_t offset;
    uint32_t length;
};

/* Also the row of q7, and of q1, where `price` is euro(price) in thousandths: price * 908, a decimal of scale 3. */
struct nexmark_q0_row {
    int64_t auction, bidder, price, date_time;
    struct nexmark_str extra;
};

struct nexmark_q2_row {
    int64_t auction, price;
};

struct nexmark_q3_row {
    struct nexmark_str name, city, state;
    int64_t auction;
};

struct nexmark_q4_row {
    int64_t category, average;
};

struct nexmark_q5_row {
    int64_t auction, count, start;
};

struct nexmark_q8_row {
    int64_t id;
    struct nexmark_str name;
    int64_t start;
};

/* Sessions of q11 (start = first dateTime) and windows of q12. */
struct nexmark_q11_row {
    int64_t bidder, count, start, end;
};

struct nexmark_q17_row {
    int64_t auction;
    struct nexmark_str day; /* YYYY-MM-DD */
    int64_t bids, bids_by_rank[3], min, max, average, sum;
};

struct nexmark_q18_row {
    int64_t auction, bidder, price;
    struct nexmark_str channel, url;
    int64_t date_time;
    struct nexmark_str extra;
};

struct nexmark_q20_row {
    int64_t auction, bidder, price;
    struct nexmark_str channel, url;
    int64_t bid_time;
    struct nexmark_str bid_extra, item_name, description;
    int64_t initial_bid, reserve, auction_time, expires, seller, category;
    struct nexmark_str auction_extra;
};

#endif
