/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What tables and joins cost on Nexmark's events, std, in one task thread: the source, one operator or two, a sink that counts. Beside the
 * time it counts the changes that leave. The rows that stand in the end, of 100,000 events, are compared with docs/reference/nexmark.md.
 */
#include <inttypes.h>

#include "runtime/base/clock.h"
#include "tests/bench/bench.h"
#include "tests/support/local/local_job.h"
#include "weir/connector/nexmark.h"
#include "weir/weir.h"

typedef struct weir_stream *query(struct weir_env *env);

static int64_t n_events;
static query *chosen;
static bool as_table; /* only the rows that stand in the end reach the sink */
static uint64_t counted;

static weir_err count(void *self, struct weir_ctx *ctx, uint32_t input, struct weir_batch *batch)
{
    (void)self, (void)ctx, (void)input;
    counted += batch->count;
    return WEIR_OK;
}
static const struct weir_operator count_sink = {.struct_size = sizeof(struct weir_operator),
                                                .name = "count",
                                                .flags = WEIR_OPERATOR_SINK | WEIR_OPERATOR_TAKES_CHANGES,
                                                .process = count};

static struct weir_nexmark_streams events(struct weir_env *env)
{
    return weir_from_nexmark(env, "events", &(struct weir_nexmark){.events = n_events});
}

/* ---- bids alone (q0) ------------------------------------------------------------------------------------------------------------------
 */

static struct weir_stream *pass(struct weir_env *env)
{
    return events(env).bids;
}

/* ---- sums per auction and day (q17) -----------------------------------------------------------------------------------------------------
 */

struct sums {
    int64_t n, sum, least, most;
};
struct sums_row {
    int64_t auction, n, sum, least, most;
};
WEIR_ROW(sums_row, WEIR_FIELD(sums_row, 1, I64, auction), WEIR_FIELD(sums_row, 2, I64, n), WEIR_FIELD(sums_row, 3, I64, sum),
         WEIR_FIELD(sums_row, 4, I64, least), WEIR_FIELD(sums_row, 5, I64, most));

static inline void sums_add(struct sums *s, const struct nexmark_bid *b, weir_time t)
{
    (void)t;
    if (s->n++ == 0 || b->price < s->least) s->least = b->price;
    if (b->price > s->most) s->most = b->price;
    s->sum += b->price;
}
static inline void sums_merge(struct sums *into, const struct sums *from)
{
    if (into->n == 0 || from->least < into->least) into->least = from->least;
    if (from->most > into->most) into->most = from->most;
    into->n += from->n;
    into->sum += from->sum;
}
static inline void sums_result(const struct sums *s, const struct weir_key *key, struct sums_row *row, struct weir_out *out)
{
    (void)out;
    memcpy(&row->auction, key->data, sizeof row->auction);
    row->n = s->n;
    row->sum = s->sum;
    row->least = s->least;
    row->most = s->most;
}
WEIR_GROUP_AGGREGATE(sums_agg, nexmark_bid, sums, sums_row, sums_add, sums_merge, sums_result);

static inline uint32_t put_auction_day(const struct nexmark_bid *b, unsigned char *key)
{
    int64_t day = b->date_time / 86400000;
    memcpy(key, &b->auction, 8);
    memcpy(key + 8, &day, 8);
    return 16;
}
WEIR_KEY_OF(auction_day, nexmark_bid, 16, put_auction_day);

static struct weir_stream *group_aggregate(struct weir_env *env)
{
    return weir_group_aggregate(weir_key_by(events(env).bids, &auction_day), "sums", &sums_agg);
}
static struct weir_stream *two_stage_aggregate(struct weir_env *env)
{
    return weir_two_stage_aggregate(events(env).bids, "sums", &auction_day, &sums_agg);
}

/* ---- the last bid of a bidder in an auction (q18) ---------------------------------------------------------------------------------------
 */

static inline uint32_t put_bidder(const struct nexmark_bid *b, unsigned char *key)
{
    memcpy(key, &b->auction, 8);
    memcpy(key + 8, &b->bidder, 8);
    return 16;
}
WEIR_KEY_OF(auction_bidder, nexmark_bid, 16, put_bidder);
static inline bool earlier(const struct nexmark_bid *a, const struct nexmark_bid *b)
{
    return a->seq < b->seq;
}
WEIR_DEDUPLICATE(last_bid, nexmark_bid, WEIR_KEEP_LAST, earlier);

static struct weir_stream *deduplicate(struct weir_env *env)
{
    return weir_deduplicate(weir_key_by(events(env).bids, &auction_bidder), "last", &last_bid);
}

/* ---- the ten dearest bids of an auction (q19)
 * --------------------------------------------------------------------------------------------- */

struct ranked {
    int64_t auction, bidder, price, rank;
    weir_time date_time;
    struct weir_str channel, url, extra;
};
WEIR_ROW(ranked, WEIR_FIELD(ranked, 1, I64, auction), WEIR_FIELD(ranked, 2, I64, bidder), WEIR_FIELD(ranked, 3, I64, price),
         WEIR_FIELD(ranked, 4, I64, rank), WEIR_FIELD(ranked, 5, TIME, date_time), WEIR_FIELD(ranked, 6, STR, channel),
         WEIR_FIELD(ranked, 7, STR, url), WEIR_FIELD(ranked, 8, STR, extra));

static inline bool dearer(const struct nexmark_bid *a, const struct nexmark_bid *b)
{
    if (a->price != b->price) return a->price > b->price;
    return a->date_time != b->date_time ? a->date_time < b->date_time : a->seq < b->seq;
}
static inline struct weir_str copy(struct weir_out *out, uint32_t row_size, const void *from, struct weir_str s)
{
    return weir_put_str(out, row_size, weir_str_data(from, s), s.length);
}
static inline void rank(const struct nexmark_bid *b, uint32_t r, struct ranked *row, struct weir_out *out)
{
    row->auction = b->auction;
    row->bidder = b->bidder;
    row->price = b->price;
    row->rank = r;
    row->date_time = b->date_time;
    row->channel = copy(out, sizeof *row, b, b->channel);
    row->url = copy(out, sizeof *row, b, b->url);
    row->extra = copy(out, sizeof *row, b, b->extra);
}
WEIR_TOP_N(dearest, nexmark_bid, ranked, 10, dearer, rank);
WEIR_TOP_N_ROWS(dearest_rows, nexmark_bid, 10, dearer);
WEIR_KEY_FIXED(bid_auction, nexmark_bid, auction);

static struct weir_stream *top_n(struct weir_env *env)
{
    return weir_top_n(weir_key_by(events(env).bids, &bid_auction), "dearest", &dearest);
}
static struct weir_stream *top_n_rows(struct weir_env *env)
{
    return weir_top_n(weir_key_by(events(env).bids, &bid_auction), "dearest", &dearest_rows);
}

/* ---- bids with their auctions (q20)
 * ------------------------------------------------------------------------------------------------------- */

struct sale {
    int64_t auction, bidder, price, seller;
    struct weir_str item_name, url;
};
WEIR_ROW(sale, WEIR_FIELD(sale, 1, I64, auction), WEIR_FIELD(sale, 2, I64, bidder), WEIR_FIELD(sale, 3, I64, price),
         WEIR_FIELD(sale, 4, I64, seller), WEIR_FIELD(sale, 5, STR, item_name), WEIR_FIELD(sale, 6, STR, url));

static inline bool sell(const struct nexmark_bid *b, const struct nexmark_auction *a, struct sale *row, struct weir_out *out)
{
    row->auction = b->auction;
    row->bidder = b->bidder;
    row->price = b->price;
    row->seller = a->seller;
    row->item_name = copy(out, sizeof *row, a, a->item_name);
    row->url = copy(out, sizeof *row, b, b->url);
    return true;
}
WEIR_PAIRS(sales, nexmark_bid, nexmark_auction, sale, sell);
WEIR_KEY_FIXED(auction_id, nexmark_auction, id);
static inline bool of_category_10(const struct nexmark_auction *a)
{
    return a->category == 10;
}
WEIR_FILTER(category_10, nexmark_auction, of_category_10);

static struct weir_stream *join(struct weir_env *env)
{
    struct weir_nexmark_streams s = events(env);
    return weir_join(weir_key_by(s.bids, &bid_auction), weir_key_by(weir_filter(s.auctions, "category", &category_10), &auction_id), "join",
                     &sales, &(struct weir_join_options){.right = {.unique = true}});
}

/* ---- persons that open an auction within ten seconds (q8)
 * ---------------------------------------------------------------------------------- */

struct opener {
    int64_t id;
    struct weir_str name;
};
WEIR_ROW(opener, WEIR_FIELD(opener, 1, I64, id), WEIR_FIELD(opener, 2, STR, name));
static inline bool open_auction(const struct nexmark_person *p, const struct nexmark_auction *a, struct opener *row, struct weir_out *out)
{
    (void)a;
    row->id = p->id;
    row->name = copy(out, sizeof *row, p, p->name);
    return true;
}
WEIR_PAIRS(openers, nexmark_person, nexmark_auction, opener, open_auction);
WEIR_KEY_FIXED(person_id, nexmark_person, id);
WEIR_KEY_FIXED(auction_seller, nexmark_auction, seller);

static struct weir_stream *window_join(struct weir_env *env)
{
    struct weir_nexmark_streams s = events(env);
    return weir_window_join(weir_key_by(s.persons, &person_id), weir_key_by(s.auctions, &auction_seller), "join", &openers,
                            &(struct weir_join_window){.size_ms = 10000, .semi = true});
}

/* ---- running
 * -------------------------------------------------------------------------------------------------------------------------------- */

static weir_err build(struct weir_env *env, int argc, char **argv, struct weir_diag *diag)
{
    (void)argc, (void)argv, (void)diag;
    struct weir_stream *rows = chosen(env);
    if (as_table) rows = weir_final_rows(rows, "final", NULL);
    weir_apply(rows, "count", &count_sink, NULL, 0);
    return WEIR_OK;
}

/* Nanoseconds an event. */
static double run(query *q, bool table)
{
    struct local_job job;
    struct weir_diag diag;
    chosen = q;
    as_table = table;
    counted = 0;
    int64_t begin = clock_mono_ns();
    weir_err err = local_job_run(&job, build, 1, 0, NULL, &diag);
    int64_t end = clock_mono_ns();
    if (err) bench_die(diag.text);
    local_job_close(&job);
    return (double)(end - begin) / (double)n_events;
}

static const struct {
    const char *name;
    query *q;
    uint64_t rows; /* that stand after 100,000 events */
} queries[] = {
    {"bids alone", pass, 92000},
    {"group aggregate (q17)", group_aggregate, 6073},
    {"two-stage aggregate (q17)", two_stage_aggregate, 6073},
    {"deduplicate (q18)", deduplicate, 28368},
    {"top 10 with ranks (q19)", top_n, 44000},
    {"top 10 rows (q19)", top_n_rows, 44000},
    {"join, one side unique (q20)", join, 17003},
    {"window join (q8)", window_join, 780},
};
#define QUERIES (sizeof queries / sizeof queries[0])

static void check_rows(void)
{
    n_events = 100000;
    for (uint32_t i = 0; i < QUERIES; i++) {
        (void)run(queries[i].q, true);
        if (counted == queries[i].rows) continue;
        (void)fprintf(stderr, "%s: %" PRIu64 " rows instead of %" PRIu64 "\n", queries[i].name, counted, queries[i].rows);
        bench_die("the rows that stand are not those of the specification");
    }
}

int main(int argc, char **argv)
{
    check_rows();
    n_events = bench_size(argc, argv, 2000000);
    printf("tables: %" PRId64 " Nexmark events, std, one thread\n", n_events);
    for (uint32_t i = 0; i < QUERIES; i++) {
        double best = 1e9;
        for (int round = 0; round < 2; round++) best = bench_min(best, run(queries[i].q, false));
        printf("  %-28s %8.1f ns an event, %8.3f records out an event\n", queries[i].name, best, (double)counted / (double)n_events);
    }
    return 0;
}
