/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The events: fixed tables, random fields, order of arrival, watermarks. Events come in batches of rows, whole and in the layout of
 * nexmark_rows.h, that stay until the next batch is asked for.
 */
#ifndef WEIR_TESTS_BENCH_LOOP_EVENTS_H
#define WEIR_TESTS_BENCH_LOOP_EVENTS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "tests/bench/nexmark_loop.h"
#include "tests/bench/nexmark_rows.h"

#define BASE_TIME INT64_C(1700006392863) /* of event 0 */

/* Bytes that no row of the generator exceeds. */
#define NAME_MAX_LEN 14
#define BID_EXTRA_MAX 81
#define BID_TEXT_MAX (12 + 77 + BID_EXTRA_MAX) /* channel, url, extra */
#define EVENT_ROW_MAX 1024

/*
 * Strings are copied in whole blocks, those of bids in a constant number of them: cheaper than an exact copy, whose length the processor
 * would have to guess. So behind every source and target COPY_SLACK bytes may be touched.
 */
#define COPY_BLOCK 32
#define BID_EXTRA_COPY 96 /* copies any extra of a bid */
#define BID_TEXT_COPY 192 /* copies any text of a bid */
#define COPY_SLACK 96     /* no bid has less than 96 bytes of text */

struct person {
    int64_t seq, id;
    struct nexmark_str name, email_address, credit_card, city, state;
    int64_t date_time;
    struct nexmark_str extra;
};

struct auction {
    int64_t seq, id;
    struct nexmark_str item_name, description;
    int64_t initial_bid, reserve, date_time, expires, seller, category;
    struct nexmark_str extra;
};

struct bid {
    int64_t seq, auction, bidder, price;
    struct nexmark_str channel, url;
    int64_t date_time;
    struct nexmark_str extra;
};

enum event_kind { PERSON, AUCTION, BID };

struct event {
    enum event_kind kind;
    const void *row; /* struct person, auction or bid */
};

#define EVENTS_BATCH 64 /* rows that stay in the first-level cache */

/* What the 50 events of an epoch share. Ids are those stored. */
struct epoch {
    uint64_t number;
    uint64_t hot_auction, cold_auctions, n_cold_auctions; /* the hot one of bids; the first of the others and how many */
    uint64_t hot_person, persons, n_persons;              /* the hot seller, behind whom the hot bidder comes; likewise */
};

struct loop_events {
    struct nexmark_params params;
    uint64_t root;                /* S: output 0 of the seed */
    uint64_t position;            /* of the next event to arrive */
    uint64_t block, offset, step; /* the group it arrives in, its place there, and the distance to the next place */
    struct epoch epoch;
    int64_t watermark; /* after the batch: no later event has this time or an earlier one */
    uint32_t n;        /* events of the batch */
    struct event batch[EVENTS_BATCH];
    char rows[EVENTS_BATCH * EVENT_ROW_MAX + COPY_SLACK];
};

/* Begins at event 0; `params` are valid. The first call in a process makes the fixed tables. */
void loop_events_init(struct loop_events *in, const struct nexmark_params *params);

/* Makes the next batch; false at the end, where the watermark passes everything. */
bool loop_events_next(struct loop_events *in);

/* Writes the event as a line of CSV. */
void loop_event_print(FILE *out, const struct event *event);

#define EACH_EVENT(e, in) for (const struct event *e = (in)->batch, *e##_end = e + (in)->n; e < e##_end; e++)

/* Steps through the bids of a batch. */
#define EACH_BID(b, in)                                                                                                 \
    for (const struct event *b##_event = (in)->batch, *b##_end = b##_event + (in)->n; b##_event < b##_end; b##_event++) \
        for (const struct bid *b = b##_event->kind == BID ? b##_event->row : NULL; b; b = NULL)

/* Time of event `n` and, by the same rule, the arrival clock of position `n`. */
static inline int64_t event_time(const struct loop_events *in, uint64_t n)
{
    return BASE_TIME + (int64_t)(n * 1000 / in->params.rate);
}

/* Copies `length` bytes in whole blocks. */
static inline void copy_blocks(char *to, const char *from, uint32_t length)
{
    for (uint32_t i = 0; i < length; i += COPY_BLOCK) memcpy(to + i, from + i, COPY_BLOCK);
}

/* The auction that the event is about; 0 for a person. */
static inline int64_t event_auction(const struct event *e)
{
    switch (e->kind) {
    case AUCTION: return ((const struct auction *)e->row)->id;
    case BID: return ((const struct bid *)e->row)->auction;
    default: return 0;
    }
}

static inline const char *str_data(const void *row, struct nexmark_str s)
{
    return (const char *)row + s.offset;
}

#endif
