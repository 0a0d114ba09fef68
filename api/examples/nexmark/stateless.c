/* SPDX-License-Identifier: Apache-2.0 */
/* Queries that look at one bid at a time: q0, q1, q2, q10, q13, q14, q21, q22. All are append-only. */
#include "api/examples/nexmark/queries.h"
#include "weir/connector/file.h"

#include <stdio.h>

/* ---- q0: pass-through; q1: in euro ------------------------------------------------------------------------------------------------------
 */

static inline weir_err pass(struct weir_none *self, struct weir_ctx *ctx, const struct nexmark_bid *bid, const struct weir_record *rec)
{
    (void)self;
    struct short_bid row = shorten(bid, ctx->out);
    return weir_emit(ctx->out, &row, sizeof row, rec->time_ms);
}
WEIR_FLAT_MAP(pass_op, nexmark_bid, short_bid, pass);

struct result q0(const struct query_input *in)
{
    return (struct result){.rows = weir_flat_map(in->bids, "pass", &pass_op)};
}

/* The price is in thousandths, which the text shows as what they are. */
static const struct weir_field euro_bid_fields[] = {
    WEIR_FIELD(short_bid, 1, I64, auction),    WEIR_FIELD(short_bid, 2, I64, bidder), WEIR_FIELD_DECIMAL(short_bid, 3, price, 3),
    WEIR_FIELD(short_bid, 4, TIME, date_time), WEIR_FIELD(short_bid, 5, STR, extra),
};
static const struct weir_schema euro_bid_schema = {sizeof(struct weir_schema), "euro_bid", sizeof(struct short_bid), 5, euro_bid_fields};

static inline weir_err convert(struct weir_none *self, struct weir_ctx *ctx, const struct nexmark_bid *bid, const struct weir_record *rec)
{
    (void)self;
    struct short_bid row = shorten(bid, ctx->out);
    if (WEIR_UNLIKELY(__builtin_mul_overflow(bid->price, EURO_PER_MILLE, &row.price)))
        return weir_fail(ctx->diag, WEIR_E_USER, "bid %lld: its price of %lld, in thousandths of a euro, exceeds 63 bits",
                         (long long)bid->seq, (long long)bid->price);
    return weir_emit(ctx->out, &row, sizeof row, rec->time_ms);
}
WEIR_PROCESS(convert, weir_none, nexmark_bid, convert);
static const struct weir_operator convert_op = {
    .struct_size = sizeof convert_op, .name = "flat_map", .in = &nexmark_bid_schema, .out = &euro_bid_schema, .process = convert_process};

struct result q1(const struct query_input *in)
{
    return (struct result){.rows = weir_flat_map(in->bids, "euro", &convert_op)};
}

/* ---- q2: some auctions ------------------------------------------------------------------------------------------------------------------
 */

struct price_of {
    int64_t auction, price;
};
WEIR_ROW(price_of, WEIR_FIELD(price_of, 1, I64, auction), WEIR_FIELD(price_of, 2, I64, price));

static inline bool is_selected(const struct nexmark_bid *bid)
{
    return bid->auction % 123 == 0;
}
WEIR_FILTER(selected_op, nexmark_bid, is_selected);

static inline void take_price(const struct nexmark_bid *bid, struct price_of *row)
{
    row->auction = bid->auction;
    row->price = bid->price;
}
WEIR_MAP(price_op, nexmark_bid, price_of, take_price);

struct result q2(const struct query_input *in)
{
    return (struct result){.rows = weir_map(weir_filter(in->bids, "selected", &selected_op), "price", &price_op)};
}

/* ---- q10: into folders by day and minute
 * ------------------------------------------------------------------------------------------------- */

static uint32_t minute_key(const struct short_bid *row, unsigned char *key)
{
    int64_t minute = row->date_time / MINUTE_MS;
    memcpy(key, &minute, sizeof minute);
    return sizeof minute;
}
WEIR_KEY_OF(by_minute, short_bid, sizeof(int64_t), minute_key);

/* "dt=2023-11-14/hm=23:59" */
static uint32_t folder_of(const void *row, char to[WEIR_FILE_FOLDER_MAX])
{
    weir_time t = ((const struct short_bid *)row)->date_time;
    memcpy(to, "dt=", 3);
    day_text(to + 3, t / DAY_MS);
    memcpy(to + 3 + DAY_TEXT_SIZE, "/hm=", 4);
    minute_text(to + 7 + DAY_TEXT_SIZE, t % DAY_MS / MINUTE_MS);
    return 7 + DAY_TEXT_SIZE + MINUTE_TEXT_SIZE;
}

static weir_time folder_end(const void *row)
{
    weir_time t = ((const struct short_bid *)row)->date_time;
    return t - t % MINUTE_MS + MINUTE_MS - 1;
}

static const struct weir_file_folders folders = {sizeof folders, folder_of, folder_end};

struct result q10(const struct query_input *in)
{
    return (struct result){.rows = weir_key_by(weir_flat_map(in->bids, "pass", &pass_op), &by_minute), .folders = &folders};
}

/* ---- q13: beside a side table
 * ------------------------------------------------------------------------------------------------------------ */

#define SIDE_ROWS 10000

struct side {
    struct weir_str value;
};
WEIR_ROW(side, WEIR_FIELD(side, 1, STR, value));

struct sided_bid {
    int64_t auction, bidder, price;
    weir_time date_time;
    struct weir_str value;
};
WEIR_ROW(sided_bid, WEIR_FIELD(sided_bid, 1, I64, auction), WEIR_FIELD(sided_bid, 2, I64, bidder), WEIR_FIELD(sided_bid, 3, I64, price),
         WEIR_FIELD(sided_bid, 4, TIME, date_time), WEIR_FIELD(sided_bid, 5, STR, value));

static uint32_t side_key(const struct nexmark_bid *bid, unsigned char *key)
{
    int64_t k = bid->auction % SIDE_ROWS;
    memcpy(key, &k, sizeof k);
    return sizeof k;
}
WEIR_KEY_OF(by_side, nexmark_bid, sizeof(int64_t), side_key);

/* Row k has the value "side-" and k * 7919 mod 10007. */
static weir_err load_side(struct weir_lookup *table, const void *config, struct weir_diag *diag)
{
    (void)config, (void)diag;
    weir_err err = WEIR_OK;
    for (int64_t k = 0; k < SIDE_ROWS && !err; k++) {
        struct {
            struct side row;
            char text[16];
        } made;
        int length = snprintf(made.text, sizeof made.text, "side-%d", (int)(k * 7919 % 10007));
        made.row.value = (struct weir_str){sizeof made.row, (uint32_t)length};
        err = weir_lookup_put(table, &k, sizeof k, &made, (uint32_t)(sizeof made.row + (size_t)length));
    }
    return err;
}

static inline bool beside(const struct nexmark_bid *bid, const struct side *side, struct sided_bid *row, struct weir_out *out)
{
    *row = (struct sided_bid){.auction = bid->auction, .bidder = bid->bidder, .price = bid->price, .date_time = bid->date_time};
    row->value = COPY_STR(out, row, side, value);
    return true;
}
WEIR_PAIRS(sided, nexmark_bid, side, sided_bid, beside);

struct result q13(const struct query_input *in)
{
    const struct weir_lookup_options side = {.keyer = &by_side, .load = load_side};
    return (struct result){.rows = weir_lookup_join(in->bids, "side", &sided, &side)};
}

/* ---- q14: filtered, with words and numbers made from each
 * ----------------------------------------------------------------------------------- */

struct described_bid {
    int64_t auction, bidder, price; /* in thousandths of a euro cent */
    struct weir_str kind;
    weir_time date_time;
    struct weir_str extra;
    int64_t c;
};
WEIR_ROW(described_bid, WEIR_FIELD(described_bid, 1, I64, auction), WEIR_FIELD(described_bid, 2, I64, bidder),
         WEIR_FIELD_DECIMAL(described_bid, 3, price, 3), WEIR_FIELD(described_bid, 4, STR, kind),
         WEIR_FIELD(described_bid, 5, TIME, date_time), WEIR_FIELD(described_bid, 6, STR, extra), WEIR_FIELD(described_bid, 7, I64, c));

static const char *kind_of_hour(int64_t hour)
{
    if (hour >= 8 && hour <= 18) return "dayTime";
    return hour <= 6 || hour >= 20 ? "nightTime" : "otherTime";
}

static int64_t count_letter(const char *text, uint32_t length, char letter)
{
    int64_t n = 0;
    for (uint32_t i = 0; i < length; i++) n += text[i] == letter;
    return n;
}

static inline weir_err describe(struct weir_none *self, struct weir_ctx *ctx, const struct nexmark_bid *bid, const struct weir_record *rec)
{
    (void)self;
    const int64_t low = 1000000, high = 50000000; /* cents, both excluded; compared in thousandths, and a price is far from overflow then */
    if (bid->price > high * 1000 / EURO_PER_MILLE + 1) return WEIR_OK;
    int64_t euro = bid->price * EURO_PER_MILLE;
    if (euro <= low * 1000 || euro >= high * 1000) return WEIR_OK;
    struct described_bid row = {.auction = bid->auction, .bidder = bid->bidder, .price = euro, .date_time = bid->date_time};
    const char *kind = kind_of_hour(bid->date_time % DAY_MS / (60 * MINUTE_MS));
    row.kind = weir_put_str(ctx->out, sizeof row, kind, (uint32_t)strlen(kind));
    row.extra = COPY_STR(ctx->out, &row, bid, extra);
    row.c = count_letter(weir_str_data(bid, bid->extra), bid->extra.length, 'c');
    return weir_emit(ctx->out, &row, sizeof row, rec->time_ms);
}
WEIR_FLAT_MAP(describe_op, nexmark_bid, described_bid, describe);

struct result q14(const struct query_input *in)
{
    return (struct result){.rows = weir_flat_map(in->bids, "describe", &describe_op)};
}

/* ---- q21: channel ids
 * ---------------------------------------------------------------------------------------------------------------------- */

struct channel_bid {
    int64_t auction, bidder, price;
    struct weir_str channel, id;
};
WEIR_ROW(channel_bid, WEIR_FIELD(channel_bid, 1, I64, auction), WEIR_FIELD(channel_bid, 2, I64, bidder),
         WEIR_FIELD(channel_bid, 3, I64, price), WEIR_FIELD(channel_bid, 4, STR, channel), WEIR_FIELD(channel_bid, 5, STR, id));

/* `word` is in lower case. */
static bool is_word(const char *text, uint32_t length, const char *word)
{
    uint32_t i = 0;
    while (i < length && word[i] && (char)(text[i] | (text[i] >= 'A' && text[i] <= 'Z' ? 0x20 : 0)) == word[i]) i++;
    return i == length && !word[i];
}

/* The text behind the first "channel_id=" that stands at the beginning or behind '&', up to the next '&'. */
static bool find_id(const char *url, uint32_t length, const char **id, uint32_t *id_length)
{
    static const char name[] = "channel_id=";
    const char *end = url + length;
    for (const char *at = url; (size_t)(end - at) >= sizeof name - 1;) {
        if (memcmp(at, name, sizeof name - 1) == 0) {
            *id = at + sizeof name - 1;
            const char *stop = memchr(*id, '&', (size_t)(end - *id));
            *id_length = (uint32_t)((stop ? stop : end) - *id);
            return true;
        }
        const char *next = memchr(at, '&', (size_t)(end - at));
        if (!next) return false;
        at = next + 1;
    }
    return false;
}

static inline weir_err channel(struct weir_none *self, struct weir_ctx *ctx, const struct nexmark_bid *bid, const struct weir_record *rec)
{
    static const char *const known[] = {"apple", "google", "facebook", "baidu"};
    (void)self;
    const char *name = weir_str_data(bid, bid->channel), *id = NULL;
    uint32_t id_length = 1;
    for (uint32_t i = 0; i < 4 && !id; i++)
        if (is_word(name, bid->channel.length, known[i])) id = &"0123"[i];
    if (!id && !find_id(weir_str_data(bid, bid->url), bid->url.length, &id, &id_length)) return WEIR_OK;
    struct channel_bid row = {.auction = bid->auction, .bidder = bid->bidder, .price = bid->price};
    row.channel = COPY_STR(ctx->out, &row, bid, channel);
    row.id = weir_put_str(ctx->out, sizeof row, id, id_length);
    return weir_emit(ctx->out, &row, sizeof row, rec->time_ms);
}
WEIR_FLAT_MAP(channel_op, nexmark_bid, channel_bid, channel);

struct result q21(const struct query_input *in)
{
    return (struct result){.rows = weir_flat_map(in->bids, "channel", &channel_op)};
}

/* ---- q22: parts of the url
 * -------------------------------------------------------------------------------------------------------------------- */

struct parted_bid {
    int64_t auction, bidder, price;
    struct weir_str channel, parts[3];
};
WEIR_ROW(parted_bid, WEIR_FIELD(parted_bid, 1, I64, auction), WEIR_FIELD(parted_bid, 2, I64, bidder), WEIR_FIELD(parted_bid, 3, I64, price),
         WEIR_FIELD(parted_bid, 4, STR, channel), WEIR_FIELD(parted_bid, 5, STR, parts[0]), WEIR_FIELD(parted_bid, 6, STR, parts[1]),
         WEIR_FIELD(parted_bid, 7, STR, parts[2]));

/* Moves *at behind the next '/', and gives the length of what lies before it. At the end *at is NULL, and so are all further parts. */
static uint32_t take_part(const char **at, const char *end)
{
    if (!*at) return 0;
    const char *from = *at, *slash = memchr(from, '/', (size_t)(end - from));
    *at = slash ? slash + 1 : NULL;
    return (uint32_t)((slash ? slash : end) - from);
}

static inline weir_err part(struct weir_none *self, struct weir_ctx *ctx, const struct nexmark_bid *bid, const struct weir_record *rec)
{
    (void)self;
    struct parted_bid row = {.auction = bid->auction, .bidder = bid->bidder, .price = bid->price};
    const char *at = weir_str_data(bid, bid->url), *end = at + bid->url.length;
    row.channel = COPY_STR(ctx->out, &row, bid, channel);
    for (uint32_t i = 0; i < 3; i++) (void)take_part(&at, end); /* scheme, nothing, host */
    for (uint32_t i = 0; i < 3; i++) {
        const char *from = at;
        row.parts[i] = weir_put_str(ctx->out, sizeof row, from, take_part(&at, end));
    }
    return weir_emit(ctx->out, &row, sizeof row, rec->time_ms);
}
WEIR_FLAT_MAP(part_op, nexmark_bid, parted_bid, part);

struct result q22(const struct query_input *in)
{
    return (struct result){.rows = weir_flat_map(in->bids, "parts", &part_op)};
}
