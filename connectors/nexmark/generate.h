/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From an event's number to its bytes: sections 1 to 6 of docs/reference/nexmark.md. Needs no runtime. Each event depends on its number
 * alone, so events may be made in any order, by any thread.
 */
#ifndef WEIR_CONNECTORS_NEXMARK_GENERATE_H
#define WEIR_CONNECTORS_NEXMARK_GENERATE_H

#include "connectors/nexmark/divide.h"
#include "weir/connector/nexmark.h"

#define GENERATE_BASE_MS 1700006392863 /* 2023-11-14T23:59:52.863Z: dateTime of event 0 */
#define GENERATE_SHUFFLE 953u          /* a prime: a step of so many visits every place of a group, unless it divides the group's size */

struct channel;
struct generate_tables;

/* What the ids of one epoch of 50 events are drawn from; ids as they are stored. */
struct generate_epoch {
    uint64_t number;
    uint64_t hot_auction;
    uint64_t some_auction; /* the first of the `auctions` a cold bid may go to */
    uint64_t hot_person;   /* hot seller; the hot bidder is the next one */
    uint64_t some_person;  /* the first of the `people` who take part */
    uint32_t auctions;
    uint32_t people;
};

/* A run of the generator. Embedded value; owner: one reader. */
struct generate {
    uint64_t root; /* S of section 2 */
    uint64_t events;
    uint64_t group;
    struct divide by_rate;
    struct divide by_group;
    const struct generate_tables *tables;
    struct generate_epoch epoch; /* of the event made last: the next one's is the same as a rule */
};

/* rate and group at least 1, events at most WEIR_NEXMARK_EVENTS_MAX. Builds the tables when nobody has yet. Thread: any. */
void generate_init(struct generate *g, uint64_t seed, uint64_t events, uint64_t rate, uint64_t group);

/* ts(n): dateTime of event n, and itime of arrival position n. */
static inline weir_time generate_time(const struct generate *g, uint64_t n)
{
    return (weir_time)(GENERATE_BASE_MS + divide(&g->by_rate, n * 1000));
}

/* e(p): number of the event at arrival position p < events. */
static inline uint64_t generate_event_at(const struct generate *g, uint64_t p)
{
    if (g->group == 1) return p;
    uint64_t first = divide(&g->by_group, p) * g->group;
    if (first + g->group > g->events) return p;
    uint64_t shuffled = (p - first) * GENERATE_SHUFFLE;
    return first + shuffled - divide(&g->by_group, shuffled) * g->group;
}

/* Every event at a position >= p has a dateTime above this. */
static inline weir_time generate_watermark(const struct generate *g, uint64_t p)
{
    return generate_time(g, divide(&g->by_group, p) * g->group) - 1;
}

enum generate_kind { GENERATE_BID = 0, GENERATE_AUCTION = 1, GENERATE_PERSON = 2 }; /* = the source's outputs */

static inline enum generate_kind generate_kind(uint64_t n)
{
    uint64_t r = n % 50;
    return r > 3 ? GENERATE_BID : r > 0 ? GENERATE_AUCTION : GENERATE_PERSON;
}

/*
 * Bytes a row of each kind may take while it is made: its struct, its longest strings, and what a copy in blocks writes beyond the last of
 * them.
 */
#define GENERATE_BID_ROOM 256u
#define GENERATE_AUCTION_ROOM 832u
#define GENERATE_PERSON_ROOM 384u

#define GENERATE_BID_FIELDS 0xffu /* WEIR_NEXMARK_FIELD of all fields */
#define GENERATE_AUCTION_FIELDS 0x7ffu
#define GENERATE_PERSON_FIELDS 0x1ffu

/*
 * What is known of an event before its row is made. Most channels lie beyond the second-level cache: begun some events ahead, a bid's
 * channel is there when its row is made.
 */
struct generate_draft {
    uint64_t n;
    uint64_t word;                 /* s(n) of section 2 */
    const struct channel *channel; /* if it is a bid with a field of it */
};

/* Begins event n, and fetches what its row reads beyond the caches if it is a bid with these fields. */
struct generate_draft generate_begin(const struct generate *g, uint64_t n, uint32_t bid_fields);

/*
 * Writes the row of an event of that kind with the fields given (the others 0 or empty) to `row`, which has the room above and is 8-byte
 * aligned. time: generate_time of its number. Returns the row's size.
 */
uint32_t generate_bid(struct generate *g, const struct generate_draft *draft, weir_time time, uint32_t fields, void *row);
uint32_t generate_auction(struct generate *g, const struct generate_draft *draft, weir_time time, uint32_t fields, void *row);
uint32_t generate_person(struct generate *g, const struct generate_draft *draft, weir_time time, uint32_t fields, void *row);

#endif
