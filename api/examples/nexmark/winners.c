/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Queries over winning bids: q4, q6, q9. One operator finds them: the auctions by id as input 0, the bids by auction as input 1.
 *
 * State per auction: its standing (fixed size), the auction's row and that of the best bid (q9 alone prints them), and bids that came
 * before their auction. The watermark closes an auction when it has reached `expires`: its winner leaves. A bid whose auction is not there
 * waits until the watermark has reached the bid's own time: an auction that has not come by then begins later than the bid, or has closed,
 * and the bid does not count. Popular auctions get bids after they have closed; so that these are known for what they are at once and need
 * not wait, the standing of a closed auction stays for a while. What has waited in vain, and what has been closed for long, goes in a sweep
 * now and then, which costs less than a timer each. State follows the auctions that are open or closed lately.
 */
#include "api/examples/nexmark/queries.h"

/* ---- standing
 * -------------------------------------------------------------------------------------------------------------------------------------- */

struct standing {
    weir_time date_time, expires; /* of the auction */
    int64_t seller, category;
    int64_t price; /* of the best bid; -1: none */
    weir_time bid_time;
    int64_t bid_seq;
    weir_time waiting_until; /* highest time of the bids that wait */
    bool known;              /* the auction has come */
    bool listed;             /* bids wait in the list */
    uint8_t n_early;         /* bids that wait here, the first ones: most are one or two */
    struct {
        int64_t price, seq;
        weir_time date_time;
    } early[2];
};

#define SWEEP_MS (10 * SECOND_MS) /* of event time, from one sweep to the next; so long a closed auction is known at least */

/* True when the bid is the best so far: the highest, of equal ones the earliest, then the lowest number. */
static inline bool offer(struct standing *s, int64_t price, weir_time t, int64_t seq)
{
    if (t < s->date_time || t > s->expires) return false;
    bool better = price != s->price ? price > s->price : t != s->bid_time ? t < s->bid_time : seq < s->bid_seq;
    if (!better) return false;
    s->price = price;
    s->bid_time = t;
    s->bid_seq = seq;
    return true;
}

struct winners {
    struct weir_state *standing;
    struct weir_state *early;         /* rows of bids whose auction has not come */
    struct weir_state *auction, *bid; /* q9: rows */
    weir_time swept_ms;               /* watermark of the last sweep */
};

static weir_err winners_open(void *self, struct weir_ctx *ctx)
{
    struct winners *w = self;
    const struct weir_state_desc standing = {.struct_size = sizeof standing, .name = "standing", .value_size = sizeof(struct standing)};
    const struct weir_state_desc early = {.struct_size = sizeof early, .name = "early"};
    w->swept_ms = WEIR_TIME_MIN;
    weir_err err = weir_value_open(ctx, &standing, &w->standing);
    return err ? err : weir_list_open(ctx, &early, &w->early);
}

static weir_err begin_auction(struct weir_ctx *ctx, struct standing *s, weir_time date_time, weir_time expires, int64_t seller,
                              int64_t category)
{
    s->known = true;
    s->date_time = date_time;
    s->expires = expires;
    s->seller = seller;
    s->category = category;
    s->price = -1;
    return weir_timer_set(ctx, WEIR_EVENT_TIME, expires, 0);
}

static inline bool is_waiting(const struct standing *s)
{
    return s->listed || s->n_early;
}

static inline void wait_until(struct standing *s, weir_time t)
{
    if (!is_waiting(s) || t > s->waiting_until) s->waiting_until = t;
}

/* Keeps the row of a bid until its auction comes. */
static weir_err keep_row(struct winners *w, struct weir_ctx *ctx, struct standing *s, const void *row, uint32_t size, weir_time t)
{
    wait_until(s, t);
    s->listed = true;
    return weir_list_add(ctx, w->early, row, size);
}

static weir_err forget_rows(struct winners *w, struct weir_ctx *ctx, bool listed)
{
    return listed ? weir_list_clear(ctx, w->early) : WEIR_OK;
}

/* Puts `best`, made from the key's standing while its address did not hold, back: no bid waits any more. */
static weir_err settle(struct winners *w, struct weir_ctx *ctx, struct standing *best)
{
    weir_err err = forget_rows(w, ctx, best->listed);
    struct standing *s = weir_value(ctx, w->standing);
    if (!s) return WEIR_E_NOMEM;
    best->listed = false;
    best->n_early = 0;
    *s = *best;
    return err;
}

/* The watermark has passed all bids that wait; or the auction, and long ago. */
static bool is_over(const struct standing *s, weir_time watermark_ms)
{
    return s->known ? watermark_ms - SWEEP_MS > s->expires : s->waiting_until <= watermark_ms;
}

static weir_err winners_watermark(void *self, struct weir_ctx *ctx, weir_time watermark_ms)
{
    struct winners *w = self;
    if (watermark_ms == WEIR_TIME_MAX || watermark_ms < WEIR_TIME_MIN + SWEEP_MS || watermark_ms - SWEEP_MS < w->swept_ms) return WEIR_OK;
    w->swept_ms = watermark_ms;
    struct weir_key key;
    struct weir_bytes value;
    weir_err err = WEIR_OK;
    for (uint64_t cursor = 0; weir_value_next(ctx, w->standing, &cursor, &key, &value);) {
        struct standing s;
        memcpy(&s, value.data, sizeof s);
        if (err || !is_over(&s, watermark_ms)) continue; /* a scan is finished in any case */
        err = forget_rows(w, ctx, s.listed);
        weir_value_clear(ctx, w->standing);
    }
    return err;
}

/* ---- q4 and q6: the price alone
 * ----------------------------------------------------------------------------------------------------------------------- */

struct opening {
    int64_t id, seller, category;
    weir_time date_time, expires;
};
WEIR_ROW(opening, WEIR_FIELD(opening, 1, I64, id), WEIR_FIELD(opening, 2, I64, seller), WEIR_FIELD(opening, 3, I64, category),
         WEIR_FIELD(opening, 4, TIME, date_time), WEIR_FIELD(opening, 5, TIME, expires));
WEIR_KEY_FIXED(opening_by_id, opening, id);

struct bidding {
    int64_t auction, price, seq;
    weir_time date_time;
};
WEIR_ROW(bidding, WEIR_FIELD(bidding, 1, I64, auction), WEIR_FIELD(bidding, 2, I64, price), WEIR_FIELD(bidding, 3, I64, seq),
         WEIR_FIELD(bidding, 4, TIME, date_time));
WEIR_KEY_FIXED(bidding_by_auction, bidding, auction);

struct sale {
    int64_t auction, seller, category, price;
};
WEIR_ROW(sale, WEIR_FIELD(sale, 1, I64, auction), WEIR_FIELD(sale, 2, I64, seller), WEIR_FIELD(sale, 3, I64, category),
         WEIR_FIELD(sale, 4, I64, price));

static inline void take_opening(const struct nexmark_auction *a, struct opening *row)
{
    *row = (struct opening){.id = a->id, .seller = a->seller, .category = a->category, .date_time = a->date_time, .expires = a->expires};
}
WEIR_MAP(opening_op, nexmark_auction, opening, take_opening);

static inline void take_bidding(const struct nexmark_bid *b, struct bidding *row)
{
    *row = (struct bidding){.auction = b->auction, .price = b->price, .seq = b->seq, .date_time = b->date_time};
}
WEIR_MAP(bidding_op, nexmark_bid, bidding, take_bidding);

static inline weir_err sale_auction(struct winners *w, struct weir_ctx *ctx, const struct opening *a, const struct weir_record *rec)
{
    (void)rec;
    struct standing *s = weir_value(ctx, w->standing);
    if (!s) return WEIR_E_NOMEM;
    struct standing best = *s;
    weir_err err = begin_auction(ctx, &best, a->date_time, a->expires, a->seller, a->category);
    for (uint32_t i = 0; i < best.n_early; i++) (void)offer(&best, best.early[i].price, best.early[i].date_time, best.early[i].seq);
    struct weir_bytes row;
    for (uint64_t cursor = 0; best.listed && weir_list_next(ctx, w->early, &cursor, &row);) {
        struct bidding b; /* elements of a list lie at any address */
        memcpy(&b, row.data, sizeof b);
        (void)offer(&best, b.price, b.date_time, b.seq);
    }
    return err ? err : settle(w, ctx, &best);
}

static weir_err keep_bid(struct winners *w, struct weir_ctx *ctx, struct standing *s, const struct bidding *b)
{
    if (s->n_early == sizeof s->early / sizeof s->early[0]) return keep_row(w, ctx, s, b, sizeof *b, b->date_time);
    wait_until(s, b->date_time);
    s->early[s->n_early].price = b->price;
    s->early[s->n_early].seq = b->seq;
    s->early[s->n_early++].date_time = b->date_time;
    return WEIR_OK;
}

static inline weir_err sale_bid(struct winners *w, struct weir_ctx *ctx, const struct bidding *b, const struct weir_record *rec)
{
    (void)rec;
    struct standing *s = weir_value(ctx, w->standing);
    if (WEIR_UNLIKELY(!s)) return WEIR_E_NOMEM;
    if (WEIR_UNLIKELY(!s->known)) return keep_bid(w, ctx, s, b);
    (void)offer(s, b->price, b->date_time, b->seq);
    return WEIR_OK;
}
WEIR_CO_PROCESS(sales, winners, opening, sale_auction, bidding, sale_bid);

static weir_err sales_timer(void *self, struct weir_ctx *ctx, const struct weir_timer *timer)
{
    struct winners *w = self;
    const struct standing *s = weir_value_read(ctx, w->standing).data;
    if (!s || s->price < 0) return WEIR_OK;
    struct sale row = {.seller = s->seller, .category = s->category, .price = s->price};
    memcpy(&row.auction, timer->key->data, sizeof row.auction);
    return weir_emit(ctx->out, &row, sizeof row, timer->time_ms);
}

static const struct weir_operator sales_op = {.struct_size = sizeof sales_op,
                                              .name = "winners",
                                              .self_size = sizeof(struct winners),
                                              .in = &opening_schema,
                                              .second = &bidding_schema,
                                              .out = &sale_schema,
                                              .flags = WEIR_OPERATOR_KEYED | WEIR_OPERATOR_TWO_INPUTS,
                                              .open = winners_open,
                                              .process = sales_process,
                                              .on_watermark = winners_watermark,
                                              .on_timer = sales_timer};

static struct weir_stream *sales(const struct query_input *in)
{
    struct weir_stream *openings = weir_map(in->auctions, "opening", &opening_op), *bids = weir_map(in->bids, "bidding", &bidding_op);
    return weir_co_apply(weir_key_by(openings, &opening_by_id), weir_key_by(bids, &bidding_by_auction), "winners", &sales_op, NULL, 0);
}

/* ---- averages: sums that may exceed 64 bits, in two words of them
 * ------------------------------------------------------------------------------------------ */

struct mean {
    uint64_t low, high;
    int64_t n;
};

static inline void mean_add(struct mean *m, int64_t value)
{
    m->high += __builtin_add_overflow(m->low, (uint64_t)value, &m->low);
    m->n++;
}

static inline void mean_merge(struct mean *into, const struct mean *from)
{
    into->high += from->high + __builtin_add_overflow(into->low, from->low, &into->low);
    into->n += from->n;
}

static inline int64_t mean_of(const struct mean *m)
{
    return (int64_t)(((unsigned __int128)m->high << 64 | m->low) / (uint64_t)m->n);
}

/* ---- q4: average of a category
 * ----------------------------------------------------------------------------------------------------------------------------- */

WEIR_KEY_FIXED(by_category, sale, category);

struct category_average {
    int64_t category, average;
};
WEIR_ROW(category_average, WEIR_FIELD(category_average, 1, I64, category), WEIR_FIELD(category_average, 2, I64, average));

static inline void price_add(struct mean *m, const struct sale *sale, weir_time t)
{
    (void)t;
    mean_add(m, sale->price);
}

static inline void category_result(const struct mean *m, const struct weir_key *key, struct category_average *row, struct weir_out *out)
{
    (void)out;
    memcpy(&row->category, key->data, sizeof row->category);
    row->average = mean_of(m);
}
WEIR_GROUP_AGGREGATE(per_category, sale, mean, category_average, price_add, mean_merge, category_result);

struct result q4(const struct query_input *in)
{
    struct weir_stream *(*aggregate)(struct weir_stream *, const char *, const struct weir_keyer *, const struct weir_group_aggregate *) =
        in->changes ? weir_two_stage_aggregate : weir_two_stage_aggregate_at_end;
    return (struct result){.rows = aggregate(sales(in), "average", &by_category, &per_category), .updating = in->changes};
}

/* ---- q6: average of a seller's last ten
 * ----------------------------------------------------------------------------------------------------------------------- */

WEIR_KEY_FIXED(by_seller, sale, seller);

struct seller_average {
    int64_t seller, auction, average;
};
WEIR_ROW(seller_average, WEIR_FIELD(seller_average, 1, I64, seller), WEIR_FIELD(seller_average, 2, I64, auction),
         WEIR_FIELD(seller_average, 3, I64, average));

static inline uint64_t sale_id(const struct sale *sale)
{
    return (uint64_t)sale->auction;
}

static inline void ten_result(const struct sale *const *sales, uint32_t n, struct seller_average *row, struct weir_out *out)
{
    (void)out;
    struct mean m = {0};
    for (uint32_t i = 0; i < n; i++) mean_add(&m, sales[i]->price);
    *row = (struct seller_average){.seller = sales[n - 1]->seller, .auction = sales[n - 1]->auction, .average = mean_of(&m)};
}
WEIR_OVER_ROWS(last_ten, sale, seller_average, 10, sale_id, ten_result);

/* Sales carry the time at which the auction closed, so their order is that of (expires, id). */
struct result q6(const struct query_input *in)
{
    return (struct result){.rows = weir_over_rows(weir_key_by(sales(in), &by_seller), "last-ten", &last_ten)};
}

/* ---- q9: auctions with their winning bids
 * --------------------------------------------------------------------------------------------------------------------------- */

WEIR_KEY_FIXED(auction_by_id, nexmark_auction, id);

/* What is told of a bid, without its channel and url: a third less to move and to keep. */
struct offered {
    int64_t auction, bidder, price, seq;
    weir_time date_time;
    struct weir_str extra;
};
WEIR_ROW(offered, WEIR_FIELD(offered, 1, I64, auction), WEIR_FIELD(offered, 2, I64, bidder), WEIR_FIELD(offered, 3, I64, price),
         WEIR_FIELD(offered, 4, I64, seq), WEIR_FIELD(offered, 5, TIME, date_time), WEIR_FIELD(offered, 6, STR, extra));
WEIR_KEY_FIXED(offered_by_auction, offered, auction);

static inline weir_err take_offered(struct weir_none *self, struct weir_ctx *ctx, const struct nexmark_bid *b,
                                    const struct weir_record *rec)
{
    (void)self;
    struct offered row = {.auction = b->auction, .bidder = b->bidder, .price = b->price, .seq = b->seq, .date_time = b->date_time};
    row.extra = COPY_STR(ctx->out, &row, b, extra);
    return weir_emit(ctx->out, &row, sizeof row, rec->time_ms);
}
WEIR_FLAT_MAP(offered_op, nexmark_bid, offered, take_offered);

struct won_auction {
    int64_t id;
    struct weir_str item_name, description;
    int64_t initial_bid, reserve;
    weir_time date_time, expires;
    int64_t seller, category;
    struct weir_str extra;
    int64_t auction, bidder, price;
    weir_time bid_time;
    struct weir_str bid_extra;
};
WEIR_ROW(won_auction, WEIR_FIELD(won_auction, 1, I64, id), WEIR_FIELD(won_auction, 2, STR, item_name),
         WEIR_FIELD(won_auction, 3, STR, description), WEIR_FIELD(won_auction, 4, I64, initial_bid),
         WEIR_FIELD(won_auction, 5, I64, reserve), WEIR_FIELD(won_auction, 6, TIME, date_time), WEIR_FIELD(won_auction, 7, TIME, expires),
         WEIR_FIELD(won_auction, 8, I64, seller), WEIR_FIELD(won_auction, 9, I64, category), WEIR_FIELD(won_auction, 10, STR, extra),
         WEIR_FIELD(won_auction, 11, I64, auction), WEIR_FIELD(won_auction, 12, I64, bidder), WEIR_FIELD(won_auction, 13, I64, price),
         WEIR_FIELD(won_auction, 14, TIME, bid_time), WEIR_FIELD(won_auction, 15, STR, bid_extra));

static weir_err wins_open(void *self, struct weir_ctx *ctx)
{
    struct winners *w = self;
    const struct weir_state_desc auction = {.struct_size = sizeof auction, .name = "auction", .schema = &nexmark_auction_schema};
    const struct weir_state_desc bid = {.struct_size = sizeof bid, .name = "bid", .schema = &offered_schema};
    weir_err err = winners_open(self, ctx);
    if (!err) err = weir_value_open(ctx, &auction, &w->auction);
    return err ? err : weir_value_open(ctx, &bid, &w->bid);
}

static inline weir_err win_auction(struct winners *w, struct weir_ctx *ctx, const struct nexmark_auction *a, const struct weir_record *rec)
{
    struct standing *s = weir_value(ctx, w->standing);
    if (!s) return WEIR_E_NOMEM;
    struct standing best = *s;
    weir_err err = begin_auction(ctx, &best, a->date_time, a->expires, a->seller, a->category);
    if (!err) err = weir_value_write(ctx, w->auction, a, rec->size);
    struct weir_bytes row;
    for (uint64_t cursor = 0; !err && best.listed && weir_list_next(ctx, w->early, &cursor, &row);) {
        struct offered b;
        memcpy(&b, row.data, sizeof b);
        if (offer(&best, b.price, b.date_time, b.seq)) err = weir_value_write(ctx, w->bid, row.data, row.length);
    }
    return err ? err : settle(w, ctx, &best);
}

static inline weir_err win_bid(struct winners *w, struct weir_ctx *ctx, const struct offered *b, const struct weir_record *rec)
{
    struct standing *s = weir_value(ctx, w->standing);
    if (WEIR_UNLIKELY(!s)) return WEIR_E_NOMEM;
    if (WEIR_UNLIKELY(!s->known)) return keep_row(w, ctx, s, b, rec->size, b->date_time);
    return offer(s, b->price, b->date_time, b->seq) ? weir_value_write(ctx, w->bid, b, rec->size) : WEIR_OK;
}
WEIR_CO_PROCESS(wins, winners, nexmark_auction, win_auction, offered, win_bid);

/* Two rows of state are looked at in turn, as an address holds until the next call only; the strings of each are put before that. */
static weir_err emit_win(struct winners *w, struct weir_ctx *ctx, weir_time time_ms)
{
    struct won_auction row = {0};
    const struct nexmark_auction *a = weir_value_read(ctx, w->auction).data;
    if (!a) return WEIR_OK;
    row.id = a->id;
    row.item_name = COPY_STR(ctx->out, &row, a, item_name);
    row.description = COPY_STR(ctx->out, &row, a, description);
    row.initial_bid = a->initial_bid;
    row.reserve = a->reserve;
    row.date_time = a->date_time;
    row.expires = a->expires;
    row.seller = a->seller;
    row.category = a->category;
    row.extra = COPY_STR(ctx->out, &row, a, extra);
    const struct offered *b = weir_value_read(ctx, w->bid).data;
    if (!b) return WEIR_OK;
    row.auction = b->auction;
    row.bidder = b->bidder;
    row.price = b->price;
    row.bid_time = b->date_time;
    row.bid_extra = COPY_STR(ctx->out, &row, b, extra);
    return weir_emit(ctx->out, &row, sizeof row, time_ms);
}

static weir_err wins_timer(void *self, struct weir_ctx *ctx, const struct weir_timer *timer)
{
    struct winners *w = self;
    const struct standing *s = weir_value_read(ctx, w->standing).data;
    weir_err err = !s || s->price < 0 ? WEIR_OK : emit_win(w, ctx, timer->time_ms);
    weir_value_clear(ctx, w->auction);
    weir_value_clear(ctx, w->bid);
    return err;
}

static const struct weir_operator wins_op = {.struct_size = sizeof wins_op,
                                             .name = "winners",
                                             .self_size = sizeof(struct winners),
                                             .in = &nexmark_auction_schema,
                                             .second = &offered_schema,
                                             .out = &won_auction_schema,
                                             .flags = WEIR_OPERATOR_KEYED | WEIR_OPERATOR_TWO_INPUTS,
                                             .open = wins_open,
                                             .process = wins_process,
                                             .on_watermark = winners_watermark,
                                             .on_timer = wins_timer};

struct result q9(const struct query_input *in)
{
    struct weir_stream *bids = weir_flat_map(in->bids, "offered", &offered_op);
    return (struct result){.rows = weir_co_apply(weir_key_by(in->auctions, &auction_by_id), weir_key_by(bids, &offered_by_auction),
                                                 "winners", &wins_op, NULL, 0)};
}
