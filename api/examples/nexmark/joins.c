/* SPDX-License-Identifier: Apache-2.0 */
/* Queries that join: q3, q8, q20. All are append-only. */
#include "api/examples/nexmark/queries.h"

/* ---- q3: who sells in some states
 * ------------------------------------------------------------------------------------------------------------- */

struct local_seller {
    struct weir_str name, city, state;
    int64_t auction;
};
WEIR_ROW(local_seller, WEIR_FIELD(local_seller, 1, STR, name), WEIR_FIELD(local_seller, 2, STR, city),
         WEIR_FIELD(local_seller, 3, STR, state), WEIR_FIELD(local_seller, 4, I64, auction));

/* A person; name, city and state only of those that the query wants: the others must still be known, so that no auction waits for them. */
struct seller {
    int64_t id;
    bool wanted;
    struct weir_str name, city, state;
};
WEIR_ROW(seller, WEIR_FIELD(seller, 1, I64, id), WEIR_FIELD(seller, 2, BOOL, wanted), WEIR_FIELD(seller, 3, STR, name),
         WEIR_FIELD(seller, 4, STR, city), WEIR_FIELD(seller, 5, STR, state));
WEIR_KEY_FIXED(by_id, seller, id);

struct offer {
    int64_t id, seller;
};
WEIR_ROW(offer, WEIR_FIELD(offer, 1, I64, id), WEIR_FIELD(offer, 2, I64, seller));
WEIR_KEY_FIXED(by_seller, offer, seller);

static inline bool is_wanted_state(const char *state, uint32_t length)
{
    return length == 2 && (memcmp(state, "OR", 2) == 0 || memcmp(state, "ID", 2) == 0 || memcmp(state, "CA", 2) == 0);
}

static inline weir_err seller(struct weir_none *self, struct weir_ctx *ctx, const struct nexmark_person *p, const struct weir_record *rec)
{
    (void)self;
    struct seller row = {.id = p->id, .wanted = is_wanted_state(weir_str_data(p, p->state), p->state.length)};
    if (row.wanted) {
        row.name = COPY_STR(ctx->out, &row, p, name);
        row.city = COPY_STR(ctx->out, &row, p, city);
        row.state = COPY_STR(ctx->out, &row, p, state);
    }
    return weir_emit(ctx->out, &row, sizeof row, rec->time_ms);
}
WEIR_FLAT_MAP(seller_op, nexmark_person, seller, seller);

static inline bool is_category(const struct nexmark_auction *a)
{
    return a->category == CATEGORY;
}
WEIR_FILTER(category_op, nexmark_auction, is_category);

static inline void take_offer(const struct nexmark_auction *a, struct offer *row)
{
    row->id = a->id;
    row->seller = a->seller;
}
WEIR_MAP(offer_op, nexmark_auction, offer, take_offer);

static inline bool sells(const struct offer *offer, const struct seller *seller, struct local_seller *row, struct weir_out *out)
{
    if (!seller->wanted) return false;
    row->name = COPY_STR(out, row, seller, name);
    row->city = COPY_STR(out, row, seller, city);
    row->state = COPY_STR(out, row, seller, state);
    row->auction = offer->id;
    return true;
}
WEIR_PAIRS(local_sellers, offer, seller, local_seller, sells);

struct result q3(const struct query_input *in)
{
    const struct weir_join_options options = {.right.unique = true};
    struct weir_stream *offers = weir_map(weir_filter(in->auctions, "category", &category_op), "offer", &offer_op);
    struct weir_stream *sellers = weir_flat_map(in->persons, "seller", &seller_op);
    return (struct result){.rows =
                               weir_join(weir_key_by(offers, &by_seller), weir_key_by(sellers, &by_id), "sells", &local_sellers, &options)};
}

/* ---- q8: new sellers
 * ---------------------------------------------------------------------------------------------------------------------------- */

#define Q8_MS (10 * SECOND_MS)

struct newcomer {
    int64_t id;
    struct weir_str name;
    weir_time start;
};
WEIR_ROW(newcomer, WEIR_FIELD(newcomer, 1, I64, id), WEIR_FIELD(newcomer, 2, STR, name), WEIR_FIELD(newcomer, 3, TIME, start));
WEIR_KEY_FIXED(by_newcomer, newcomer, id);

static inline weir_err newcomer(struct weir_none *self, struct weir_ctx *ctx, const struct nexmark_person *p, const struct weir_record *rec)
{
    (void)self;
    struct newcomer row = {.id = p->id, .start = p->date_time - p->date_time % Q8_MS};
    row.name = COPY_STR(ctx->out, &row, p, name);
    return weir_emit(ctx->out, &row, sizeof row, rec->time_ms);
}
WEIR_FLAT_MAP(newcomer_op, nexmark_person, newcomer, newcomer);

static inline bool as_is(const struct newcomer *person, const struct offer *offer, struct newcomer *row, struct weir_out *out)
{
    (void)offer; /* there is one, which is all that counts */
    *row = *person;
    row->name = COPY_STR(out, row, person, name);
    return true;
}
WEIR_PAIRS(selling_newcomers, newcomer, offer, newcomer, as_is);

struct result q8(const struct query_input *in)
{
    const struct weir_join_window window = {.size_ms = Q8_MS, .semi = true};
    struct weir_stream *persons = weir_flat_map(in->persons, "newcomer", &newcomer_op);
    struct weir_stream *offers = weir_map(in->auctions, "offer", &offer_op);
    return (struct result){.rows = weir_window_join(weir_key_by(persons, &by_newcomer), weir_key_by(offers, &by_seller), "sells",
                                                    &selling_newcomers, &window)};
}

/* ---- q20: bids with their auctions
 * ---------------------------------------------------------------------------------------------------------------- */

struct full_bid {
    int64_t auction, bidder, price;
    struct weir_str channel, url;
    weir_time bid_time;
    struct weir_str bid_extra, item_name, description;
    int64_t initial_bid, reserve;
    weir_time auction_time, expires;
    int64_t seller, category;
    struct weir_str auction_extra;
};
WEIR_ROW(full_bid, WEIR_FIELD(full_bid, 1, I64, auction), WEIR_FIELD(full_bid, 2, I64, bidder), WEIR_FIELD(full_bid, 3, I64, price),
         WEIR_FIELD(full_bid, 4, STR, channel), WEIR_FIELD(full_bid, 5, STR, url), WEIR_FIELD(full_bid, 6, TIME, bid_time),
         WEIR_FIELD(full_bid, 7, STR, bid_extra), WEIR_FIELD(full_bid, 8, STR, item_name), WEIR_FIELD(full_bid, 9, STR, description),
         WEIR_FIELD(full_bid, 10, I64, initial_bid), WEIR_FIELD(full_bid, 11, I64, reserve), WEIR_FIELD(full_bid, 12, TIME, auction_time),
         WEIR_FIELD(full_bid, 13, TIME, expires), WEIR_FIELD(full_bid, 14, I64, seller), WEIR_FIELD(full_bid, 15, I64, category),
         WEIR_FIELD(full_bid, 16, STR, auction_extra));

WEIR_KEY_FIXED(by_bid_auction, nexmark_bid, auction);
WEIR_KEY_FIXED(by_auction_id, nexmark_auction, id);

/* Texts only of the auctions that the query wants: the others must still be known, so that no bid waits for them. */
static inline weir_err known(struct weir_none *self, struct weir_ctx *ctx, const struct nexmark_auction *a, const struct weir_record *rec)
{
    (void)self;
    struct nexmark_auction row = *a;
    bool wanted = a->category == CATEGORY;
    row.item_name = weir_put_str(ctx->out, sizeof row, weir_str_data(a, a->item_name), wanted ? a->item_name.length : 0);
    row.description = weir_put_str(ctx->out, sizeof row, weir_str_data(a, a->description), wanted ? a->description.length : 0);
    row.extra = weir_put_str(ctx->out, sizeof row, weir_str_data(a, a->extra), wanted ? a->extra.length : 0);
    return weir_emit(ctx->out, &row, sizeof row, rec->time_ms);
}
WEIR_FLAT_MAP(known_op, nexmark_auction, nexmark_auction, known);

static inline bool expand(const struct nexmark_bid *b, const struct nexmark_auction *a, struct full_bid *row, struct weir_out *out)
{
    if (a->category != CATEGORY) return false;
    *row = (struct full_bid){.auction = b->auction,
                             .bidder = b->bidder,
                             .price = b->price,
                             .bid_time = b->date_time,
                             .initial_bid = a->initial_bid,
                             .reserve = a->reserve,
                             .auction_time = a->date_time,
                             .expires = a->expires,
                             .seller = a->seller,
                             .category = a->category};
    row->channel = COPY_STR(out, row, b, channel);
    row->url = COPY_STR(out, row, b, url);
    row->bid_extra = COPY_STR(out, row, b, extra);
    row->item_name = COPY_STR(out, row, a, item_name);
    row->description = COPY_STR(out, row, a, description);
    row->auction_extra = COPY_STR(out, row, a, extra);
    return true;
}
WEIR_PAIRS(full_bids, nexmark_bid, nexmark_auction, full_bid, expand);

struct result q20(const struct query_input *in)
{
    const struct weir_join_options options = {.right.unique = true};
    struct weir_stream *auctions = weir_flat_map(in->auctions, "known", &known_op);
    return (struct result){
        .rows = weir_join(weir_key_by(in->bids, &by_bid_auction), weir_key_by(auctions, &by_auction_id), "expand", &full_bids, &options)};
}
