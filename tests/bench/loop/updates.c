/* SPDX-License-Identifier: Apache-2.0 */
/* q4, q17, q18: updating tables. Updates are folded as they come; the rows are those of the end. */
#include "tests/bench/loop/bids.h"
#include "tests/bench/loop/queries.h"
#include "tests/bench/loop/table.h"
#include "tests/bench/loop/text.h"

/* ---- q4: average winning price per category ---- */

struct contest {
    int64_t auction;
    int64_t date_time, expires; /* before the auction has come: no bid is valid */
    int64_t category;
    int64_t best;     /* the highest price of a valid bid; 0 = none yet, as prices are positive */
    uint32_t waiting; /* bids that came before the auction */
    bool known;
};

struct early_bid {
    uint32_t next;
    int64_t price, date_time;
};

struct q4 {
    struct loop_table contests;
    struct loop_pool waiting;
};

/* Without a branch: whether a bid is in time is as good as random, and so is whether it is higher. */
static inline void compete(struct contest *c, int64_t price, int64_t date_time)
{
    bool valid = (date_time >= c->date_time) & (date_time <= c->expires);
    int64_t bid = valid ? price : 0;
    c->best = bid > c->best ? bid : c->best;
}

static void q4_bid(struct q4 *q, const struct bid *b)
{
    struct contest *c = loop_table_at(&q->contests, b->auction, sizeof *c);
    compete(c, b->price, b->date_time);
    if (c->known) return;
    uint32_t number = loop_pool_take(&q->waiting, sizeof(struct early_bid));
    *(struct early_bid *)loop_pool_item(&q->waiting, number, sizeof(struct early_bid)) =
        (struct early_bid){c->waiting, b->price, b->date_time};
    c->waiting = number;
}

static void q4_auction(struct q4 *q, const struct auction *a)
{
    struct contest *c = loop_table_at(&q->contests, a->id, sizeof *c);
    c->date_time = a->date_time;
    c->expires = a->expires;
    c->category = a->category;
    c->known = true;
    while (c->waiting) {
        uint32_t number = c->waiting;
        const struct early_bid *b = loop_pool_item(&q->waiting, number, sizeof *b);
        compete(c, b->price, b->date_time);
        c->waiting = b->next;
        loop_pool_give(&q->waiting, number, sizeof *b);
    }
}

static void emit_averages(const struct loop_table *contests, struct loop_sink *out)
{
    struct category {
        int64_t id, sum, n;
    };
    struct loop_table categories = {0};
    TABLE_EACH(const struct contest, c, contests)
    {
        if (c->best == 0) continue;
        struct category *category = loop_table_at(&categories, c->category, sizeof *category);
        category->sum += c->best;
        category->n++;
    }
    TABLE_EACH(const struct category, c, &categories)
    {
        *(struct nexmark_q4_row *)loop_sink_begin(out) = (struct nexmark_q4_row){c->id, c->sum / c->n};
        loop_sink_end(out, sizeof(struct nexmark_q4_row));
    }
    loop_table_close(&categories);
}

void loop_q4(struct loop_events *in, struct loop_sink *out)
{
    struct q4 q = {0};
    while (loop_events_next(in)) {
        EACH_EVENT(e, in) loop_table_prefetch(&q.contests, (struct table_key){event_auction(e), 0}, 1);
        EACH_EVENT(e, in)
        {
            if (e->kind == BID) q4_bid(&q, e->row);
            if (e->kind == AUCTION) q4_auction(&q, e->row);
        }
    }
    emit_averages(&q.contests, out);
    loop_table_close(&q.contests);
    loop_vec_close(&q.waiting.items);
}

/* ---- q17: figures per auction and day ---- */

struct figures {
    int64_t auction, day; /* day: since 1970 */
    int64_t bids_by_rank[3];
    int64_t min, max, sum;
};

static inline void add_price(struct figures *f, int64_t price)
{
    bool first = (f->bids_by_rank[0] | f->bids_by_rank[1] | f->bids_by_rank[2]) == 0;
    f->bids_by_rank[(price >= 10000) + (price >= 1000000)]++;
    f->min = first || price < f->min ? price : f->min;
    f->max = price > f->max ? price : f->max;
    f->sum += price;
}

static void emit_figures(struct loop_sink *out, const struct figures *f, const char day[DAY_LENGTH])
{
    const int64_t *by_rank = f->bids_by_rank;
    int64_t bids = by_rank[0] + by_rank[1] + by_rank[2];
    struct nexmark_q17_row *row = loop_sink_begin(out);
    *row = (struct nexmark_q17_row){
        f->auction, {sizeof *row, DAY_LENGTH}, bids, {by_rank[0], by_rank[1], by_rank[2]}, f->min, f->max, f->sum / bids, f->sum};
    memcpy(row + 1, day, DAY_LENGTH);
    loop_sink_end(out, sizeof *row + DAY_LENGTH);
}

void loop_q17(struct loop_events *in, struct loop_sink *out)
{
    struct loop_table figures = {0};
    while (loop_events_next(in)) {
        EACH_BID(bid, in) loop_table_prefetch(&figures, (struct table_key){bid->auction, bid->date_time / DAY_MS}, 2);
        EACH_BID(bid, in) add_price(loop_table_at2(&figures, bid->auction, bid->date_time / DAY_MS, sizeof(struct figures)), bid->price);
    }
    char text[DAY_LENGTH];
    int64_t day = INT64_MIN; /* of the text */
    TABLE_EACH(const struct figures, f, &figures)
    {
        if (f->day != day) loop_day_text(text, f->day);
        day = f->day;
        emit_figures(out, f, text);
    }
    loop_table_close(&figures);
}

/* ---- q18: the last bid per bidder and auction ---- */

/* The key is the first two columns of the row. */
struct last_bid {
    struct nexmark_q18_row row;
    int64_t seq_after; /* seq + 1; 0 = no bid yet */
    char text[BID_TEXT_COPY];
};

static inline bool is_later(const struct bid *bid, const struct last_bid *last)
{
    if (bid->date_time != last->row.date_time) return bid->date_time > last->row.date_time;
    return bid->seq >= last->seq_after;
}

static inline void replace(struct last_bid *last, const struct bid *b)
{
    const uint32_t back = 0 - (uint32_t)sizeof b->seq; /* the row is a bid without its seq */
    last->row = (struct nexmark_q18_row){
        b->auction, b->bidder, b->price, moved(b->channel, back), moved(b->url, back), b->date_time, moved(b->extra, back)};
    memcpy(last->text, b + 1, BID_TEXT_COPY);
    last->seq_after = b->seq + 1;
}

static void emit_last_bid(struct loop_sink *out, const struct last_bid *last)
{
    struct nexmark_q18_row *row = loop_sink_begin(out);
    *row = last->row;
    memcpy(row + 1, last->text, BID_TEXT_COPY);
    loop_sink_end(out, row->extra.offset + row->extra.length);
}

void loop_q18(struct loop_events *in, struct loop_sink *out)
{
    struct loop_table bids = {0};
    while (loop_events_next(in)) {
        EACH_BID(bid, in) loop_table_prefetch(&bids, (struct table_key){bid->auction, bid->bidder}, 2);
        EACH_BID(bid, in)
        {
            struct last_bid *last = loop_table_at2(&bids, bid->auction, bid->bidder, sizeof *last);
            if (is_later(bid, last)) replace(last, bid);
        }
    }
    TABLE_EACH(const struct last_bid, last, &bids) emit_last_bid(out, last);
    loop_table_close(&bids);
}
