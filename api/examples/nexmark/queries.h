/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The queries q0 to q22 of docs/reference/nexmark.md, a function each: from the three streams of events to the stream of results. Columns
 * and classes are the specification's; what a result waits for, and which state it keeps, stands at each function.
 */
#ifndef WEIR_EXAMPLES_NEXMARK_QUERIES_H
#define WEIR_EXAMPLES_NEXMARK_QUERIES_H

#include "weir/connector/nexmark.h"
#include "weir/weir.h"

/* The results of a query. */
struct result {
    struct weir_stream *rows;
    bool updating;                           /* the rows are changes of a table */
    const struct weir_keyer *key;            /* of the table's rows; NULL: all of their fields */
    const struct weir_file_folders *folders; /* q10 */
};

/* What a query is made from. */
struct query_input {
    struct weir_stream *persons, *auctions, *bids;
    bool changes; /* of a table: the changes are wanted; else its rows, once the input has ended */
};

typedef struct result (*query_fn)(const struct query_input *in);

struct result q0(const struct query_input *in);
struct result q1(const struct query_input *in);
struct result q2(const struct query_input *in);
struct result q3(const struct query_input *in);
struct result q4(const struct query_input *in);
struct result q5(const struct query_input *in);
struct result q6(const struct query_input *in);
struct result q7(const struct query_input *in);
struct result q8(const struct query_input *in);
struct result q9(const struct query_input *in);
struct result q10(const struct query_input *in);
struct result q11(const struct query_input *in);
struct result q12(const struct query_input *in); /* times and watermarks of `in` are those of arrival */
struct result q13(const struct query_input *in);
struct result q14(const struct query_input *in);
struct result q15(const struct query_input *in);
struct result q16(const struct query_input *in);
struct result q17(const struct query_input *in);
struct result q18(const struct query_input *in);
struct result q19(const struct query_input *in);
struct result q20(const struct query_input *in);
struct result q21(const struct query_input *in);
struct result q22(const struct query_input *in);

/* ---- what several queries use ----------------------------------------------------------------------------------------------------------
 */

#define SECOND_MS 1000
#define MINUTE_MS 60000
#define DAY_MS 86400000

#define CATEGORY 10        /* the one that q3 and q20 ask for */
#define EURO_PER_MILLE 908 /* thousandths of a euro for a dollar */

/* 1 below 10000 cents, 2 below 1000000, else 3. */
static inline uint32_t price_rank(int64_t price)
{
    return price < 10000 ? 1 : price < 1000000 ? 2 : 3;
}

/* A bid without what only some queries print; the row of q0, q7 and, with a price in euro, of q1. */
struct short_bid {
    int64_t auction, bidder, price;
    weir_time date_time;
    struct weir_str extra;
};
extern const struct weir_schema short_bid_schema;

/* Copies string `member` of row `from` into the row being built for `out`. */
#define COPY_STR(out, to, from, member) \
    weir_put_str(out, (uint32_t)sizeof *(to), weir_str_data(from, (from)->member), (from)->member.length)

struct short_bid shorten(const struct nexmark_bid *bid, struct weir_out *out); /* puts the string, for one weir_emit */

#define DAY_TEXT_SIZE 10   /* "YYYY-MM-DD" */
#define MINUTE_TEXT_SIZE 5 /* "HH:MM" */

/* UTC, from the day's number since 1970 and from the minute's number in a day. No NUL. Years 0 to 9999; beyond that more digits are cut. */
void day_text(char to[DAY_TEXT_SIZE], int64_t day);
void minute_text(char to[MINUTE_TEXT_SIZE], int64_t minute_of_day);

#endif
