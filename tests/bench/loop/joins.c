/* SPDX-License-Identifier: Apache-2.0 */
/*
 * q3, q20: joins on the id of one side. As ids are unique, the side that has the id is kept for the whole run, and the other only until its
 * partner comes. Partners that a filter drops leave a mark, so that nobody waits for them.
 */
#include "tests/bench/loop/bids.h"
#include "tests/bench/loop/queries.h"
#include "tests/bench/loop/table.h"

enum partner {
    UNKNOWN, /* has not come yet */
    DROPPED, /* does not pass the filter of its side */
    JOINED,
};

/* ---- q3: auctions of category 10 with their sellers in OR, ID or CA ---- */

#define PLACE_MAX 16 /* bytes of a city or a state */

struct seller {
    int64_t id;
    enum partner partner;
    uint32_t waiting; /* auctions that came first */
    uint32_t name_length, city_length, state_length;
    char text[NAME_MAX_LEN + 2 * PLACE_MAX + COPY_BLOCK]; /* name, city, state */
};

struct waiting_auction {
    uint32_t next;
    int64_t id;
};

struct q3 {
    struct loop_table sellers;
    struct loop_pool waiting;
    struct loop_sink *out;
};

static bool state_wanted(const struct person *p)
{
    const char *state = str_data(p, p->state);
    return p->state.length == 2 && (memcmp(state, "OR", 2) == 0 || memcmp(state, "ID", 2) == 0 || memcmp(state, "CA", 2) == 0);
}

static void emit_q3(struct q3 *q, const struct seller *s, int64_t auction)
{
    struct nexmark_q3_row *row = loop_sink_begin(q->out);
    uint32_t city = (uint32_t)sizeof *row + s->name_length, state = city + s->city_length, end = state + s->state_length;
    *row = (struct nexmark_q3_row){{sizeof *row, s->name_length}, {city, s->city_length}, {state, s->state_length}, auction};
    copy_blocks((char *)(row + 1), s->text, end - (uint32_t)sizeof *row);
    loop_sink_end(q->out, end);
}

static void keep_seller(struct seller *s, const struct person *p)
{
    s->partner = JOINED;
    s->name_length = p->name.length;
    s->city_length = p->city.length;
    s->state_length = p->state.length;
    memcpy(s->text, str_data(p, p->name), s->name_length);
    memcpy(s->text + s->name_length, str_data(p, p->city), s->city_length);
    memcpy(s->text + s->name_length + s->city_length, str_data(p, p->state), s->state_length);
}

static void q3_person(struct q3 *q, const struct person *p)
{
    struct seller *s = loop_table_at(&q->sellers, p->id, sizeof *s);
    s->partner = DROPPED;
    if (state_wanted(p)) keep_seller(s, p);
    while (s->waiting) {
        uint32_t number = s->waiting;
        const struct waiting_auction *a = loop_pool_item(&q->waiting, number, sizeof *a);
        if (s->partner == JOINED) emit_q3(q, s, a->id);
        s->waiting = a->next;
        loop_pool_give(&q->waiting, number, sizeof *a);
    }
}

static void q3_auction(struct q3 *q, const struct auction *a)
{
    if (a->category != 10) return;
    struct seller *s = loop_table_at(&q->sellers, a->seller, sizeof *s);
    if (s->partner == JOINED) emit_q3(q, s, a->id);
    if (s->partner != UNKNOWN) return;
    uint32_t number = loop_pool_take(&q->waiting, sizeof(struct waiting_auction));
    *(struct waiting_auction *)loop_pool_item(&q->waiting, number, sizeof(struct waiting_auction)) =
        (struct waiting_auction){s->waiting, a->id};
    s->waiting = number;
}

void loop_q3(struct loop_events *in, struct loop_sink *out)
{
    struct q3 q = {.out = out};
    while (loop_events_next(in)) {
        EACH_EVENT(e, in)
        {
            if (e->kind == PERSON) q3_person(&q, e->row);
            if (e->kind == AUCTION) q3_auction(&q, e->row);
        }
    }
    loop_table_close(&q.sellers);
    loop_vec_close(&q.waiting.items);
}

/* ---- q20: bids with their auctions of category 10 ---- */

struct item {
    int64_t id;
    enum partner partner;
    uint32_t waiting; /* bids that came first */
    uint64_t auction; /* offset of its row */
};

struct waiting_bid {
    uint32_t next;
    struct bid bid;
    char text[BID_TEXT_COPY];
};

struct q20 {
    struct loop_table items;
    struct loop_vec auctions; /* rows */
    struct loop_pool waiting;
    struct loop_sink *out;
};

static void emit_q20(struct q20 *q, const struct item *item, const struct bid *b)
{
    struct nexmark_q20_row *row = loop_sink_begin(q->out);
    const struct auction *a = (void *)(q->auctions.data + item->auction);
    uint32_t bid_length = bid_text_length(b), auction_length = a->extra.offset + a->extra.length - (uint32_t)sizeof *a;
    uint32_t bid_move = (uint32_t)(sizeof *row - sizeof *b), auction_move = (uint32_t)(sizeof *row - sizeof *a) + bid_length;

    *row = (struct nexmark_q20_row){b->auction,
                                    b->bidder,
                                    b->price,
                                    moved(b->channel, bid_move),
                                    moved(b->url, bid_move),
                                    b->date_time,
                                    moved(b->extra, bid_move),
                                    moved(a->item_name, auction_move),
                                    moved(a->description, auction_move),
                                    a->initial_bid,
                                    a->reserve,
                                    a->date_time,
                                    a->expires,
                                    a->seller,
                                    a->category,
                                    moved(a->extra, auction_move)};
    memcpy(row + 1, b + 1, BID_TEXT_COPY);
    memcpy((char *)(row + 1) + bid_length, a + 1, auction_length);
    loop_sink_end(q->out, (uint32_t)sizeof *row + bid_length + auction_length);
}

/* Returns the offset of the copy. */
static uint64_t keep_auction(struct q20 *q, const struct auction *a)
{
    uint32_t size = a->extra.offset + a->extra.length;
    void *kept = loop_vec_add(&q->auctions, (size + COPY_BLOCK + 7) & ~7u);
    memcpy(kept, a, size);
    return (uint64_t)((char *)kept - q->auctions.data);
}

static void q20_auction(struct q20 *q, const struct auction *a)
{
    struct item *item = loop_table_at(&q->items, a->id, sizeof *item);
    item->partner = a->category == 10 ? JOINED : DROPPED;
    if (item->partner == JOINED) item->auction = keep_auction(q, a);
    while (item->waiting) {
        uint32_t number = item->waiting;
        const struct waiting_bid *w = loop_pool_item(&q->waiting, number, sizeof *w);
        if (item->partner == JOINED) emit_q20(q, item, &w->bid);
        item->waiting = w->next;
        loop_pool_give(&q->waiting, number, sizeof *w);
    }
}

static void q20_bid(struct q20 *q, const struct bid *b)
{
    struct item *item = loop_table_at(&q->items, b->auction, sizeof *item);
    if (item->partner == JOINED) emit_q20(q, item, b);
    if (item->partner != UNKNOWN) return;
    uint32_t number = loop_pool_take(&q->waiting, sizeof(struct waiting_bid));
    struct waiting_bid *w = loop_pool_item(&q->waiting, number, sizeof *w);
    w->next = item->waiting;
    w->bid = *b;
    memcpy(w->text, b + 1, BID_TEXT_COPY);
    item->waiting = number;
}

void loop_q20(struct loop_events *in, struct loop_sink *out)
{
    struct q20 q = {.out = out};
    while (loop_events_next(in)) {
        EACH_EVENT(e, in) loop_table_prefetch(&q.items, (struct table_key){event_auction(e), 0}, 1);
        EACH_EVENT(e, in)
        {
            if (e->kind == BID) q20_bid(&q, e->row);
            if (e->kind == AUCTION) q20_auction(&q, e->row);
        }
    }
    loop_table_close(&q.items);
    loop_vec_close(&q.auctions);
    loop_vec_close(&q.waiting.items);
}
