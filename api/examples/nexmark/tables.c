/* SPDX-License-Identifier: Apache-2.0 */
/* Queries whose results change: q15, q16, q17, q18, q19. The table counts when the input has ended. */
#include "api/examples/nexmark/queries.h"

/* ---- q15 and q16: counts and distinct counts of a day
 * ----------------------------------------------------------------------------------------------- */

/*
 * Twelve numbers, four each of bids, distinct bidders, distinct auctions: in total and by rank of price. They come from three sides, as
 * parts: the bids themselves, and what is new among (group, bidder) and (group, auction), which is spread over all subtasks even where a
 * day is one group. The sum of the parts is the result.
 */
enum { BIDS = 0, BIDDERS = 4, AUCTIONS = 8, NUMBERS = 12 };

/* A bid of a group: a day, for q16 of a channel, for q15 of none. Day and channel lie behind each other, and so do value, day and channel:
 * each is a key as it lies. */
struct marked {
    int64_t rank, minute; /* of the price; of the day */
    struct weir_str channel;
    int64_t value; /* what shall be distinct */
    int64_t day;   /* last: the channel's bytes follow */
};
WEIR_ROW(marked, WEIR_FIELD(marked, 1, I64, rank), WEIR_FIELD(marked, 2, I64, minute), WEIR_FIELD(marked, 3, STR, channel),
         WEIR_FIELD(marked, 4, I64, value), WEIR_FIELD(marked, 5, I64, day));

struct part {
    int64_t numbers[NUMBERS], minute;
    struct weir_str channel;
    int64_t day; /* last */
};
WEIR_ROW(part, WEIR_FIELD(part, 1, I64, numbers[0]), WEIR_FIELD(part, 2, I64, numbers[1]), WEIR_FIELD(part, 3, I64, numbers[2]),
         WEIR_FIELD(part, 4, I64, numbers[3]), WEIR_FIELD(part, 5, I64, numbers[4]), WEIR_FIELD(part, 6, I64, numbers[5]),
         WEIR_FIELD(part, 7, I64, numbers[6]), WEIR_FIELD(part, 8, I64, numbers[7]), WEIR_FIELD(part, 9, I64, numbers[8]),
         WEIR_FIELD(part, 10, I64, numbers[9]), WEIR_FIELD(part, 11, I64, numbers[10]), WEIR_FIELD(part, 12, I64, numbers[11]),
         WEIR_FIELD(part, 13, I64, minute), WEIR_FIELD(part, 14, STR, channel), WEIR_FIELD(part, 15, I64, day));

/* From `member` to the end of the row. */
#define WEIR_KEY_TAIL(keyer, row_, member)                                                                 \
    static void keyer##_extract(const struct weir_batch *b, struct weir_key *keys, unsigned char *scratch) \
    {                                                                                                      \
        (void)scratch;                                                                                     \
        for (uint32_t i = 0; i < b->count; i++) {                                                          \
            struct weir_record *rec = weir_batch_record(b, i);                                             \
            keys[i].data = &((const struct row_ *)weir_record_row(rec))->member;                           \
            keys[i].length = rec->size - (uint32_t)offsetof(struct row_, member);                          \
        }                                                                                                  \
    }                                                                                                      \
    static const struct weir_keyer keyer = {sizeof(struct weir_keyer), #member, 0, keyer##_extract, NULL}

WEIR_KEY_TAIL(by_group, part, day);
WEIR_KEY_TAIL(by_value_and_group, marked, value);

static weir_err emit_marked(struct weir_ctx *ctx, const struct nexmark_bid *bid, const struct weir_record *rec, int64_t value,
                            bool with_channel)
{
    struct marked row = {
        .rank = price_rank(bid->price), .minute = bid->date_time % DAY_MS / MINUTE_MS, .value = value, .day = bid->date_time / DAY_MS};
    row.channel = weir_put_str(ctx->out, sizeof row, weir_str_data(bid, bid->channel), with_channel ? bid->channel.length : 0);
    return weir_emit(ctx->out, &row, sizeof row, rec->time_ms);
}

/* Defines operator `op`: bids marked with `member`, with or without their channel. */
#define MARK(op, member, with_channel)                                                                           \
    static inline weir_err op##_one(struct weir_none *self, struct weir_ctx *ctx, const struct nexmark_bid *bid, \
                                    const struct weir_record *rec)                                               \
    {                                                                                                            \
        (void)self;                                                                                              \
        return emit_marked(ctx, bid, rec, bid->member, with_channel);                                            \
    }                                                                                                            \
    WEIR_FLAT_MAP(op, nexmark_bid, marked, op##_one)
MARK(day_bidder_op, bidder, false);
MARK(day_auction_op, auction, false);
MARK(channel_bidder_op, bidder, true);
MARK(channel_auction_op, auction, true);

/* Bit 0: seen at all; bit r: seen with rank r. */
static inline uint64_t seen_bits(const struct marked *m)
{
    return 1u | 1u << m->rank;
}

static inline void make_part(const struct marked *m, uint64_t fresh, uint32_t first, struct part *row, struct weir_out *out)
{
    for (uint32_t bit = 0; bit < 4; bit++) row->numbers[first + bit] = fresh >> bit & 1;
    row->minute = m->minute;
    row->day = m->day;
    row->channel = COPY_STR(out, row, m, channel);
}

static inline void new_bidder(const struct marked *m, uint64_t fresh, struct part *row, struct weir_out *out)
{
    make_part(m, fresh, BIDDERS, row, out);
}
WEIR_DISTINCT(bidders, marked, part, seen_bits, new_bidder);

static inline void new_auction(const struct marked *m, uint64_t fresh, struct part *row, struct weir_out *out)
{
    make_part(m, fresh, AUCTIONS, row, out);
}
WEIR_DISTINCT(auctions, marked, part, seen_bits, new_auction);

static inline weir_err count_bid(struct weir_none *self, struct weir_ctx *ctx, const struct marked *m, const struct weir_record *rec)
{
    (void)self;
    struct part row = {0};
    make_part(m, seen_bits(m), BIDS, &row, ctx->out);
    return weir_emit(ctx->out, &row, sizeof row, rec->time_ms);
}
WEIR_FLAT_MAP(count_bid_op, marked, part, count_bid);

struct numbers {
    int64_t n[NUMBERS], minute;
};

static inline void part_add(struct numbers *acc, const struct part *p, weir_time t)
{
    (void)t;
    for (uint32_t i = 0; i < NUMBERS; i++) acc->n[i] += p->numbers[i];
    if (p->minute > acc->minute) acc->minute = p->minute;
}
static inline void numbers_merge(struct numbers *into, const struct numbers *from)
{
    for (uint32_t i = 0; i < NUMBERS; i++) into->n[i] += from->n[i];
    if (from->minute > into->minute) into->minute = from->minute;
}

/* The parts of marked bids: `by_bidder` and `by_auction` are the same bids, marked with one and the other. */
static struct weir_stream *parts(struct weir_stream *by_bidder, struct weir_stream *by_auction)
{
    struct weir_stream *all[] = {
        weir_flat_map(by_bidder, "bids", &count_bid_op),
        weir_distinct(weir_key_by(by_bidder, &by_value_and_group), "bidders", &bidders),
        weir_distinct(weir_key_by(by_auction, &by_value_and_group), "auctions", &auctions),
    };
    return weir_union(all, 3);
}

/* The reports of all parts: their changes, or each once. */
static struct weir_stream *report(const struct query_input *in, struct weir_stream *all, const struct weir_group_aggregate *aggregate)
{
    return in->changes ? weir_two_stage_aggregate(all, "report", &by_group, aggregate)
                       : weir_two_stage_aggregate_at_end(all, "report", &by_group, aggregate);
}

#define NUMBER_FIELDS(row, id)                                                                                      \
    WEIR_FIELD(row, id, I64, n[0]), WEIR_FIELD(row, id + 1, I64, n[1]), WEIR_FIELD(row, id + 2, I64, n[2]),         \
        WEIR_FIELD(row, id + 3, I64, n[3]), WEIR_FIELD(row, id + 4, I64, n[4]), WEIR_FIELD(row, id + 5, I64, n[5]), \
        WEIR_FIELD(row, id + 6, I64, n[6]), WEIR_FIELD(row, id + 7, I64, n[7]), WEIR_FIELD(row, id + 8, I64, n[8]), \
        WEIR_FIELD(row, id + 9, I64, n[9]), WEIR_FIELD(row, id + 10, I64, n[10]), WEIR_FIELD(row, id + 11, I64, n[11])

/* ---- q15 ---- */

struct day_report {
    struct weir_str day;
    int64_t n[NUMBERS];
};
WEIR_ROW(day_report, WEIR_FIELD(day_report, 1, STR, day), NUMBER_FIELDS(day_report, 2));

static struct weir_str put_day(struct weir_out *out, uint32_t row_size, int64_t day)
{
    char text[DAY_TEXT_SIZE];
    day_text(text, day);
    return weir_put_str(out, row_size, text, sizeof text);
}

static inline void day_result(const struct numbers *acc, const struct weir_key *key, struct day_report *row, struct weir_out *out)
{
    int64_t day;
    memcpy(&day, key->data, sizeof day);
    row->day = put_day(out, sizeof *row, day);
    memcpy(row->n, acc->n, sizeof row->n);
}
WEIR_GROUP_AGGREGATE(per_day, part, numbers, day_report, part_add, numbers_merge, day_result);

struct result q15(const struct query_input *in)
{
    struct weir_stream *all =
        parts(weir_flat_map(in->bids, "by-bidder", &day_bidder_op), weir_flat_map(in->bids, "by-auction", &day_auction_op));
    return (struct result){.rows = report(in, all, &per_day), .updating = in->changes};
}

/* ---- q16 ---- */

struct channel_report {
    struct weir_str channel, day, minute;
    int64_t n[NUMBERS];
};
WEIR_ROW(channel_report, WEIR_FIELD(channel_report, 1, STR, channel), WEIR_FIELD(channel_report, 2, STR, day),
         WEIR_FIELD(channel_report, 3, STR, minute), NUMBER_FIELDS(channel_report, 4));

static inline void channel_result(const struct numbers *acc, const struct weir_key *key, struct channel_report *row, struct weir_out *out)
{
    int64_t day;
    char minute[MINUTE_TEXT_SIZE];
    memcpy(&day, key->data, sizeof day);
    row->channel = weir_put_str(out, sizeof *row, (const char *)key->data + sizeof day, key->length - (uint32_t)sizeof day);
    row->day = put_day(out, sizeof *row, day);
    minute_text(minute, acc->minute);
    row->minute = weir_put_str(out, sizeof *row, minute, sizeof minute);
    memcpy(row->n, acc->n, sizeof row->n);
}
WEIR_GROUP_AGGREGATE(per_channel, part, numbers, channel_report, part_add, numbers_merge, channel_result);

struct result q16(const struct query_input *in)
{
    struct weir_stream *all =
        parts(weir_flat_map(in->bids, "by-bidder", &channel_bidder_op), weir_flat_map(in->bids, "by-auction", &channel_auction_op));
    return (struct result){.rows = report(in, all, &per_channel), .updating = in->changes};
}

/* ---- q17: an auction's day
 * ------------------------------------------------------------------------------------------------------------------------------- */

struct auction_day {
    int64_t auction, day;
};

struct priced {
    struct auction_day key;
    int64_t price;
};
WEIR_ROW(priced, WEIR_FIELD(priced, 1, I64, key.auction), WEIR_FIELD(priced, 2, I64, key.day), WEIR_FIELD(priced, 3, I64, price));
WEIR_KEY_FIXED(by_auction_day, priced, key);

struct day_of_auction {
    int64_t auction;
    struct weir_str day;
    int64_t bids, bids_by_rank[3], min, max, average, sum;
};
WEIR_ROW(day_of_auction, WEIR_FIELD(day_of_auction, 1, I64, auction), WEIR_FIELD(day_of_auction, 2, STR, day),
         WEIR_FIELD(day_of_auction, 3, I64, bids), WEIR_FIELD(day_of_auction, 4, I64, bids_by_rank[0]),
         WEIR_FIELD(day_of_auction, 5, I64, bids_by_rank[1]), WEIR_FIELD(day_of_auction, 6, I64, bids_by_rank[2]),
         WEIR_FIELD(day_of_auction, 7, I64, min), WEIR_FIELD(day_of_auction, 8, I64, max), WEIR_FIELD(day_of_auction, 9, I64, average),
         WEIR_FIELD(day_of_auction, 10, I64, sum));

#define TOO_LARGE (-1)

struct prices {
    int64_t n[3], min, max;
    int64_t sum; /* TOO_LARGE: does not fit */
};

static inline void take_priced(const struct nexmark_bid *bid, struct priced *row)
{
    *row = (struct priced){.key = {.auction = bid->auction, .day = bid->date_time / DAY_MS}, .price = bid->price};
}
WEIR_MAP(priced_op, nexmark_bid, priced, take_priced);

static inline int64_t prices_count(const struct prices *acc)
{
    return acc->n[0] + acc->n[1] + acc->n[2];
}

static inline int64_t sum_of(int64_t a, int64_t b)
{
    int64_t sum;
    return a == TOO_LARGE || b == TOO_LARGE || __builtin_add_overflow(a, b, &sum) ? TOO_LARGE : sum;
}

static inline void prices_merge(struct prices *into, const struct prices *from)
{
    if (prices_count(into) == 0 || from->min < into->min) into->min = from->min;
    if (from->max > into->max) into->max = from->max;
    for (uint32_t i = 0; i < 3; i++) into->n[i] += from->n[i];
    into->sum = sum_of(into->sum, from->sum);
}

static inline void prices_add(struct prices *acc, const struct priced *bid, weir_time t)
{
    (void)t;
    if (prices_count(acc) == 0 || bid->price < acc->min) acc->min = bid->price;
    if (bid->price > acc->max) acc->max = bid->price;
    acc->n[price_rank(bid->price) - 1]++;
    acc->sum = sum_of(acc->sum, bid->price);
}

static inline void prices_result(const struct prices *acc, const struct weir_key *key, struct day_of_auction *row, struct weir_out *out)
{
    struct auction_day group;
    memcpy(&group, key->data, sizeof group);
    *row = (struct day_of_auction){.auction = group.auction, .bids = prices_count(acc), .min = acc->min, .max = acc->max, .sum = acc->sum};
    row->day = put_day(out, sizeof *row, group.day);
    row->average = row->sum / row->bids;
    memcpy(row->bids_by_rank, acc->n, sizeof acc->n);
}
WEIR_GROUP_AGGREGATE(per_auction_day, priced, prices, day_of_auction, prices_add, prices_merge, prices_result);

/* Passes rows on as they are, unless a sum did not fit. */
static weir_err checked_process(void *self, struct weir_ctx *ctx, uint32_t input, struct weir_batch *batch)
{
    (void)self, (void)input;
    for (uint32_t i = 0; i < batch->count; i++) {
        const struct day_of_auction *row = weir_record_row(weir_batch_record(batch, i));
        if (WEIR_UNLIKELY(row->sum == TOO_LARGE))
            return weir_fail(ctx->diag, WEIR_E_USER, "auction %lld: the sum of its prices on %.*s exceeds 63 bits", (long long)row->auction,
                             DAY_TEXT_SIZE, weir_str_data(row, row->day));
    }
    return weir_forward(ctx, 0, batch);
}
static const struct weir_operator checked_op = {.struct_size = sizeof checked_op,
                                                .name = "check",
                                                .in = &day_of_auction_schema,
                                                .flags = WEIR_OPERATOR_PASSES_CHANGES,
                                                .process = checked_process};

struct result q17(const struct query_input *in)
{
    struct weir_stream *bids = weir_key_by(weir_map(in->bids, "priced", &priced_op), &by_auction_day);
    struct weir_stream *reports = in->changes ? weir_group_aggregate(bids, "report", &per_auction_day)
                                              : weir_group_aggregate_at_end(bids, "report", &per_auction_day);
    return (struct result){.rows = weir_apply(reports, "check", &checked_op, NULL, 0), .updating = in->changes};
}

/* ---- q18: a bidder's last bid on an auction
 * --------------------------------------------------------------------------------------------------------------- */

struct last_bid {
    int64_t auction, bidder; /* the key as it lies */
    int64_t price;
    struct weir_str channel, url;
    weir_time date_time;
    struct weir_str extra;
};
WEIR_ROW(last_bid, WEIR_FIELD(last_bid, 1, I64, auction), WEIR_FIELD(last_bid, 2, I64, bidder), WEIR_FIELD(last_bid, 3, I64, price),
         WEIR_FIELD(last_bid, 4, STR, channel), WEIR_FIELD(last_bid, 5, STR, url), WEIR_FIELD(last_bid, 6, TIME, date_time),
         WEIR_FIELD(last_bid, 7, STR, extra));

static uint32_t auction_and_bidder(const struct nexmark_bid *bid, unsigned char *key)
{
    memcpy(key, &bid->auction, sizeof bid->auction);
    memcpy(key + sizeof bid->auction, &bid->bidder, sizeof bid->bidder);
    return sizeof bid->auction + sizeof bid->bidder;
}
WEIR_KEY_OF(by_auction_bidder, nexmark_bid, 2 * sizeof(int64_t), auction_and_bidder);

static uint32_t auction_and_bidder_of_last(const struct last_bid *bid, unsigned char *key)
{
    memcpy(key, bid, 2 * sizeof bid->auction);
    return 2 * sizeof bid->auction;
}
WEIR_KEY_OF(last_by_auction_bidder, last_bid, 2 * sizeof(int64_t), auction_and_bidder_of_last);

static inline bool has_lower_seq(const struct nexmark_bid *a, const struct nexmark_bid *b)
{
    return a->seq < b->seq;
}
WEIR_DEDUPLICATE(last_of_bidder, nexmark_bid, WEIR_KEEP_LAST, has_lower_seq);

static inline weir_err last(struct weir_none *self, struct weir_ctx *ctx, const struct nexmark_bid *bid, const struct weir_record *rec)
{
    (void)self;
    struct last_bid row = {.auction = bid->auction, .bidder = bid->bidder, .price = bid->price, .date_time = bid->date_time};
    row.channel = COPY_STR(ctx->out, &row, bid, channel);
    row.url = COPY_STR(ctx->out, &row, bid, url);
    row.extra = COPY_STR(ctx->out, &row, bid, extra);
    return weir_emit_kind(ctx->out, &row, sizeof row, rec->time_ms, rec->kind);
}
WEIR_PROCESS(last, weir_none, nexmark_bid, last);
static const struct weir_operator last_op = {.struct_size = sizeof last_op,
                                             .name = "flat_map",
                                             .in = &nexmark_bid_schema,
                                             .out = &last_bid_schema,
                                             .flags = WEIR_OPERATOR_PASSES_CHANGES,
                                             .process = last_process};

struct result q18(const struct query_input *in)
{
    struct weir_stream *bids = weir_key_by(in->bids, &by_auction_bidder);
    struct weir_stream *lasts =
        in->changes ? weir_deduplicate(bids, "last", &last_of_bidder) : weir_deduplicate_at_end(bids, "last", &last_of_bidder);
    return (struct result){.rows = weir_flat_map(lasts, "columns", &last_op), .updating = in->changes, .key = &last_by_auction_bidder};
}

/* ---- q19: an auction's ten highest bids
 * -------------------------------------------------------------------------------------------------------------------- */

struct ranked_bid {
    int64_t auction, bidder, price;
    struct weir_str channel, url;
    weir_time date_time;
    struct weir_str extra;
    int64_t rank;
};
WEIR_ROW(ranked_bid, WEIR_FIELD(ranked_bid, 1, I64, auction), WEIR_FIELD(ranked_bid, 2, I64, bidder), WEIR_FIELD(ranked_bid, 3, I64, price),
         WEIR_FIELD(ranked_bid, 4, STR, channel), WEIR_FIELD(ranked_bid, 5, STR, url), WEIR_FIELD(ranked_bid, 6, TIME, date_time),
         WEIR_FIELD(ranked_bid, 7, STR, extra), WEIR_FIELD(ranked_bid, 8, I64, rank));

WEIR_KEY_FIXED(bid_by_auction, nexmark_bid, auction);

static uint32_t auction_and_rank(const struct ranked_bid *row, unsigned char *key)
{
    memcpy(key, &row->auction, sizeof row->auction);
    memcpy(key + sizeof row->auction, &row->rank, sizeof row->rank);
    return sizeof row->auction + sizeof row->rank;
}
WEIR_KEY_OF(by_auction_rank, ranked_bid, 2 * sizeof(int64_t), auction_and_rank);

static inline bool is_before(const struct nexmark_bid *a, const struct nexmark_bid *b)
{
    if (a->price != b->price) return a->price > b->price;
    return a->date_time != b->date_time ? a->date_time < b->date_time : a->seq < b->seq;
}

static inline void rank_result(const struct nexmark_bid *bid, uint32_t rank, struct ranked_bid *row, struct weir_out *out)
{
    *row =
        (struct ranked_bid){.auction = bid->auction, .bidder = bid->bidder, .price = bid->price, .date_time = bid->date_time, .rank = rank};
    row->channel = COPY_STR(out, row, bid, channel);
    row->url = COPY_STR(out, row, bid, url);
    row->extra = COPY_STR(out, row, bid, extra);
}
WEIR_TOP_N(highest_ten, nexmark_bid, ranked_bid, 10, is_before, rank_result);

struct result q19(const struct query_input *in)
{
    return (struct result){
        .rows = weir_top_n(weir_key_by(in->bids, &bid_by_auction), "highest", &highest_ten), .updating = true, .key = &by_auction_rank};
}
