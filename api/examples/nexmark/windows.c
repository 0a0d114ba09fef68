/* SPDX-License-Identifier: Apache-2.0 */
/* Queries over windows: q5, q7, q11, q12. All are append-only, their state goes when the watermark passes. */
#include "api/examples/nexmark/queries.h"

/* ---- highest of a window: what q5 and q7 end with
 * ------------------------------------------------------------------------------------------ */

/* Gives the rows of a window whose value is the highest one; `value` says what counts of a row. */
static weir_err emit_highest(struct weir_ctx *ctx, struct weir_window_rows *rows, int64_t (*value)(const void *row))
{
    int64_t highest = INT64_MIN;
    struct weir_record *rec;
    while ((rec = weir_window_next(rows)) != NULL)
        if (value(weir_record_row(rec)) > highest) highest = value(weir_record_row(rec));
    weir_window_rewind(rows);
    weir_err err = WEIR_OK;
    while (!err && (rec = weir_window_next(rows)) != NULL)
        if (value(weir_record_row(rec)) == highest) err = weir_emit_record(ctx->out, rec);
    return err;
}

/* ---- q5: hot items
 * ----------------------------------------------------------------------------------------------------------------------------- */

struct bid_of {
    int64_t auction;
};
WEIR_ROW(bid_of, WEIR_FIELD(bid_of, 1, I64, auction));
WEIR_KEY_FIXED(by_auction, bid_of, auction);

struct hot_item {
    int64_t auction, count;
    weir_time start;
};
WEIR_ROW(hot_item, WEIR_FIELD(hot_item, 1, I64, auction), WEIR_FIELD(hot_item, 2, I64, count), WEIR_FIELD(hot_item, 3, TIME, start));
WEIR_KEY_FIXED(by_start, hot_item, start);

struct count {
    int64_t n;
};
struct most {
    int64_t n;
};

static inline void take_auction(const struct nexmark_bid *bid, struct bid_of *row)
{
    row->auction = bid->auction;
}
WEIR_MAP(auction_op, nexmark_bid, bid_of, take_auction);

static inline void count_add(struct count *acc, const struct bid_of *row, weir_time t)
{
    (void)row, (void)t;
    acc->n++;
}
static inline void count_merge(struct count *into, const struct count *from)
{
    into->n += from->n;
}
static inline void count_subtract(struct count *into, const struct count *from)
{
    into->n -= from->n;
}
static inline void count_survey(struct most *most, const struct count *acc)
{
    if (acc->n > most->n) most->n = acc->n;
}
/* Of the auctions of this subtask only those with the most bids can be the window's. */
static inline weir_err count_emit(struct weir_ctx *ctx, const struct count *acc, const struct most *most, const struct weir_key *key,
                                  weir_time start, weir_time end)
{
    if (acc->n < most->n) return WEIR_OK;
    struct hot_item row = {.count = acc->n, .start = start};
    memcpy(&row.auction, key->data, sizeof row.auction);
    return weir_emit(ctx->out, &row, sizeof row, end - 1);
}
WEIR_AGGREGATE_SURVEYED(bids_per_auction, bid_of, count, most, hot_item, count_add, count_merge, count_subtract, count_survey, count_emit);

static int64_t item_count(const void *row)
{
    return ((const struct hot_item *)row)->count;
}
static weir_err hottest_process(void *self, struct weir_ctx *ctx, const struct weir_key *key, struct weir_window_rows *rows)
{
    (void)self, (void)key;
    return emit_highest(ctx, rows, item_count);
}
static const struct weir_window_function hottest = {
    .struct_size = sizeof hottest, .name = "hottest", .in = &hot_item_schema, .out = &hot_item_schema, .process = hottest_process};

/* The windows of one end meet in one subtask: results carry the time end - 1, and ends are a slide apart. */
struct result q5(const struct query_input *in)
{
    const struct weir_window hop = {.kind = WEIR_SLIDING, .size_ms = 10 * SECOND_MS, .slide_ms = 2 * SECOND_MS};
    const struct weir_window slide = {.kind = WEIR_TUMBLING, .size_ms = 2 * SECOND_MS};
    struct weir_stream *bids = weir_map(in->bids, "auction", &auction_op);
    struct weir_stream *hot = weir_window_aggregate(weir_key_by(bids, &by_auction), "count", &hop, &bids_per_auction);
    return (struct result){.rows = weir_window_process(weir_key_by(hot, &by_start), "hottest", &slide, &hottest)};
}

/* ---- q7: highest bids
 * ---------------------------------------------------------------------------------------------------------------------------- */

#define Q7_MS (10 * SECOND_MS)
#define SEEN 8 /* windows that a subtask remembers; more under way at once only let more bids through */

/*
 * Lets a bid through unless a higher one of its window has passed here before. It needs no state: what it forgets, on a restart or because
 * too many windows are under way, costs a few candidates more and no result.
 */
struct candidates {
    weir_time start[SEEN];
    int64_t highest[SEEN];
};

static weir_err candidates_open(void *self, struct weir_ctx *ctx)
{
    struct candidates *c = self;
    (void)ctx;
    for (uint32_t i = 0; i < SEEN; i++) c->start[i] = WEIR_TIME_MIN;
    return WEIR_OK;
}

static inline bool is_candidate(struct candidates *c, const struct nexmark_bid *bid)
{
    weir_time start = bid->date_time - bid->date_time % Q7_MS;
    uint32_t i = (uint32_t)((uint64_t)start / Q7_MS % SEEN);
    if (c->start[i] == start && bid->price < c->highest[i]) return false;
    c->start[i] = start;
    c->highest[i] = bid->price;
    return true;
}

static inline weir_err candidate(struct candidates *c, struct weir_ctx *ctx, const struct nexmark_bid *bid, const struct weir_record *rec)
{
    if (WEIR_LIKELY(!is_candidate(c, bid))) return WEIR_OK;
    struct short_bid row = shorten(bid, ctx->out);
    return weir_emit(ctx->out, &row, sizeof row, rec->time_ms);
}
WEIR_PROCESS(candidates, candidates, nexmark_bid, candidate);
static const struct weir_operator candidates_op = {.struct_size = sizeof candidates_op,
                                                   .name = "candidates",
                                                   .self_size = sizeof(struct candidates),
                                                   .in = &nexmark_bid_schema,
                                                   .out = &short_bid_schema,
                                                   .open = candidates_open,
                                                   .process = candidates_process};

static uint32_t window_key(const struct short_bid *row, unsigned char *key)
{
    int64_t window = row->date_time / Q7_MS;
    memcpy(key, &window, sizeof window);
    return sizeof window;
}
WEIR_KEY_OF(by_window, short_bid, sizeof(int64_t), window_key);

static int64_t bid_price(const void *row)
{
    return ((const struct short_bid *)row)->price;
}
static weir_err highest_process(void *self, struct weir_ctx *ctx, const struct weir_key *key, struct weir_window_rows *rows)
{
    (void)self, (void)key;
    return emit_highest(ctx, rows, bid_price);
}
static const struct weir_window_function highest = {
    .struct_size = sizeof highest, .name = "highest", .in = &short_bid_schema, .out = &short_bid_schema, .process = highest_process};

struct result q7(const struct query_input *in)
{
    const struct weir_window window = {.kind = WEIR_TUMBLING, .size_ms = Q7_MS};
    struct weir_stream *few = weir_apply(in->bids, "candidates", &candidates_op, NULL, 0);
    return (struct result){.rows = weir_window_process(weir_key_by(few, &by_window), "highest", &window, &highest)};
}

/* ---- q11: sessions; q12: windows on the arrival clock
 * ------------------------------------------------------------------------------------------------ */

struct bidder_at {
    int64_t bidder;
    weir_time date_time;
};
WEIR_ROW(bidder_at, WEIR_FIELD(bidder_at, 1, I64, bidder), WEIR_FIELD(bidder_at, 2, TIME, date_time));
WEIR_KEY_FIXED(by_bidder, bidder_at, bidder);

struct activity {
    int64_t bidder, count;
    weir_time start, end;
};
WEIR_ROW(activity, WEIR_FIELD(activity, 1, I64, bidder), WEIR_FIELD(activity, 2, I64, count), WEIR_FIELD(activity, 3, TIME, start),
         WEIR_FIELD(activity, 4, TIME, end));

static inline void take_bidder(const struct nexmark_bid *bid, struct bidder_at *row)
{
    row->bidder = bid->bidder;
    row->date_time = bid->date_time;
}
WEIR_MAP(bidder_op, nexmark_bid, bidder_at, take_bidder);

static inline void activity_add(struct count *acc, const struct bidder_at *row, weir_time t)
{
    (void)row, (void)t;
    acc->n++;
}

static weir_err emit_activity(struct weir_ctx *ctx, const struct count *acc, const struct weir_key *key, weir_time start, weir_time end,
                              weir_time time_ms)
{
    struct activity row = {.count = acc->n, .start = start, .end = end};
    memcpy(&row.bidder, key->data, sizeof row.bidder);
    return weir_emit(ctx->out, &row, sizeof row, time_ms);
}

/* A session ends, as the query counts, the gap after its last bid; the window ends a millisecond later, as one at that distance still
 * belongs to it. */
static inline weir_err session_emit(struct weir_ctx *ctx, const struct count *acc, const struct weir_key *key, weir_time start,
                                    weir_time end)
{
    return emit_activity(ctx, acc, key, start, end - 1, end - 1);
}
WEIR_AGGREGATE(bids_per_session, bidder_at, count, activity, activity_add, count_merge, session_emit);

struct result q11(const struct query_input *in)
{
    const struct weir_window session = {.kind = WEIR_SESSION, .gap_ms = 10 * SECOND_MS};
    struct weir_stream *bids = weir_map(in->bids, "bidder", &bidder_op);
    return (struct result){.rows = weir_window_aggregate(weir_key_by(bids, &by_bidder), "sessions", &session, &bids_per_session)};
}

static inline weir_err window_emit(struct weir_ctx *ctx, const struct count *acc, const struct weir_key *key, weir_time start,
                                   weir_time end)
{
    return emit_activity(ctx, acc, key, start, end, end - 1);
}
WEIR_AGGREGATE(bids_per_bidder, bidder_at, count, activity, activity_add, count_merge, window_emit);

struct result q12(const struct query_input *in)
{
    const struct weir_window window = {.kind = WEIR_TUMBLING, .size_ms = 10 * SECOND_MS};
    struct weir_stream *bids = weir_map(in->bids, "bidder", &bidder_op);
    return (struct result){.rows = weir_window_aggregate(weir_key_by(bids, &by_bidder), "count", &window, &bids_per_bidder)};
}
