/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each kind has one function that makes a row with the fields asked for. It is inlined twice: for all fields, which the compiler then
 * knows, and for any. Random choices are taken without branches (`pick`): nobody can predict them. Strings are copied in blocks of a
 * constant size wherever their longest is short; what a block writes beyond its string, the next string covers.
 */
#include "connectors/nexmark/generate.h"

#include "connectors/nexmark/tables.h"

#define FIRST_ID 1000u /* ids are counted from 0 and stored from here */
#define EPOCH 50u      /* events in which one person and three auctions come up */
#define AUCTIONS_AN_EPOCH 3u

#define HOT_EVERY 100u /* of so many ids, the first is hot */
#define IDS_AHEAD 10u  /* references reach so many ids beyond the newest */
#define PEOPLE 1000u   /* the newest ones take part */
#define AUCTIONS_BACK 100u
#define EVENTS_OF_100_AUCTIONS 1666u

#define LONG_BLOCK 64u
#define CACHE_LINE 64u

static_assert(LONG_BLOCK <= COPY_BYTES, "blocks that begin in a pool stay readable");

/* ---- epochs ------------------------------------------------------------------------------------------------------------------------ */

/* Section 4's rules for the events of epoch q. A bid sees all auctions of its epoch. */
static void enter_epoch(struct generate_epoch *e, uint64_t q)
{
    uint64_t auction = q * AUCTIONS_AN_EPOCH + 2, people = q + 1;
    uint64_t low = auction > AUCTIONS_BACK ? auction - AUCTIONS_BACK : 0;
    uint32_t active = people < PEOPLE ? (uint32_t)people : PEOPLE;
    *e = (struct generate_epoch){
        .number = q,
        .hot_auction = FIRST_ID + auction / HOT_EVERY * HOT_EVERY,
        .some_auction = FIRST_ID + low,
        .auctions = (uint32_t)(auction - low) + IDS_AHEAD + 1,
        .hot_person = FIRST_ID + q / HOT_EVERY * HOT_EVERY,
        .some_person = FIRST_ID + people - active,
        .people = active + IDS_AHEAD,
    };
}

void generate_init(struct generate *g, uint64_t seed, uint64_t events, uint64_t rate, uint64_t group)
{
    *g = (struct generate){.root = random_word(seed, 0),
                           .events = events,
                           .group = group,
                           .by_rate = divide_by(rate),
                           .by_group = divide_by(group),
                           .tables = generate_tables()};
    enter_epoch(&g->epoch, 0);
}

/* ---- choices ----------------------------------------------------------------------------------------------------------------------- */

WEIR_INLINE uint64_t pick(bool first, uint64_t a, uint64_t b)
{
    return b ^ ((a ^ b) & (0 - (uint64_t)first));
}

WEIR_INLINE const struct generate_epoch *epoch_of(struct generate *g, uint64_t n)
{
    if (WEIR_UNLIKELY(n / EPOCH != g->epoch.number)) enter_epoch(&g->epoch, n / EPOCH);
    return &g->epoch;
}

/* beside: how far the hot person is from the first of its hundred. */
WEIR_INLINE int64_t person_or_hot(const struct generate_epoch *e, uint64_t x, uint64_t beside)
{
    return (int64_t)pick(random_lo(x, 4) > 0, e->hot_person + beside, e->some_person + random_hi(x, e->people));
}

WEIR_INLINE int64_t auction_of_bid(const struct generate_epoch *e, uint64_t x)
{
    return (int64_t)pick(random_lo(x, 2) > 0, e->hot_auction, e->some_auction + random_hi(x, e->auctions));
}

WEIR_INLINE const struct channel *channel_of(const struct generate_tables *t, uint64_t x)
{
    return &t->channels[pick(random_lo(x, 2) > 0, CHANNELS_NUMBERED + random_hi(x, CHANNELS - CHANNELS_NUMBERED),
                             random_hi(x, CHANNELS_NUMBERED))];
}

/* ---- strings ----------------------------------------------------------------------------------------------------------------------- */

/* A row being made and where its next string goes. */
struct text {
    char *row;
    uint32_t at;
};

#define NO_STRING ((struct weir_str){0, 0})

/* Appends `len` bytes, at most `block`, a constant; reads and writes all of the block. */
WEIR_INLINE struct weir_str put(struct text *to, const char *from, uint32_t len, const uint32_t block)
{
    memcpy(to->row + to->at, from, block);
    struct weir_str str = {to->at, len};
    to->at += len;
    return str;
}

WEIR_INLINE struct weir_str put_long(struct text *to, const char *from, uint32_t len)
{
    for (uint32_t i = 0; i < len; i += LONG_BLOCK) memcpy(to->row + to->at + i, from + i, LONG_BLOCK);
    struct weir_str str = {to->at, len};
    to->at += len;
    return str;
}

/* cut(Pool, x, len) */
WEIR_INLINE const char *cut(const char *pool, uint64_t x, uint32_t len)
{
    return pool + random_hi(x, POOL_BYTES - len);
}

/* Length of fill(x, size, average). */
WEIR_INLINE uint32_t fill_len(uint64_t x, uint32_t size, uint32_t average)
{
    if (size > average) return 0;
    uint32_t d = average - size, spread = (d + 2) / 5;
    return d - spread + random_lo(x, 2 * spread); /* of 2 * 0 it gives 0 */
}

/* fill(x, size, average) */
WEIR_INLINE struct weir_str put_fill(struct text *to, const struct generate_tables *t, uint64_t x, uint32_t size, uint32_t average)
{
    uint32_t len = fill_len(x, size, average);
    return put_long(to, cut(t->letters, x, len), len);
}

/* ---- bids -------------------------------------------------------------------------------------------------------------------------- */

#define WANTS(index) (fields & WEIR_NEXMARK_FIELD(index))
#define F(field) random_word(draft->word, field) /* F(n, f) of section 2 */

#define BID_EXTRA_SIZE 32u /* what the other fields count as, and how long all are on average */
#define BID_AVERAGE 100u
#define BID_EXTRA_BLOCK 96u

WEIR_INLINE struct weir_str put_bid_extra(struct text *to, const struct generate_tables *t, uint64_t x)
{
    uint32_t len = fill_len(x, BID_EXTRA_SIZE, BID_AVERAGE);
    return put(to, cut(t->letters, x, len), len, BID_EXTRA_BLOCK);
}

#define BID_CHANNEL_FIELDS (WEIR_NEXMARK_FIELD(4) | WEIR_NEXMARK_FIELD(5))

/* Whatever its kind: to know it costs more than the choice of a channel that nobody reads. */
struct generate_draft generate_begin(const struct generate *g, uint64_t n, uint32_t bid_fields)
{
    struct generate_draft draft = {.n = n, .word = random_word(g->root, n)};
    if (!(bid_fields & BID_CHANNEL_FIELDS)) return draft;
    draft.channel = channel_of(g->tables, random_word(draft.word, 3));
    __builtin_prefetch(draft.channel->url);
    __builtin_prefetch(draft.channel->url + CACHE_LINE);
    return draft;
}

WEIR_INLINE uint32_t make_bid(struct generate *g, const struct generate_draft *draft, weir_time time, uint32_t fields, void *to)
{
    const struct generate_epoch *epoch = epoch_of(g, draft->n);
    struct nexmark_bid *row = to;
    struct text text = {to, sizeof *row};
    row->seq = WANTS(0) ? (int64_t)draft->n : 0;
    row->auction = WANTS(1) ? auction_of_bid(epoch, F(0)) : 0;
    row->bidder = WANTS(2) ? person_or_hot(epoch, F(1), 1) : 0;
    row->price = WANTS(3) ? table_price(F(2)) : 0;
    const struct channel *channel = draft->channel;
    row->channel = WANTS(4) ? put(&text, channel->name, channel->name_len, CHANNEL_NAME_BLOCK) : NO_STRING;
    row->url = WANTS(5) ? put(&text, channel->url, channel->url_len, CHANNEL_URL_BLOCK) : NO_STRING;
    row->date_time = WANTS(6) ? time : 0;
    row->extra = WANTS(7) ? put_bid_extra(&text, g->tables, F(4)) : NO_STRING;
    return text.at;
}

uint32_t generate_bid(struct generate *g, const struct generate_draft *draft, weir_time time, uint32_t fields, void *row)
{
    static_assert(sizeof(struct nexmark_bid) + 12 + 77 + BID_EXTRA_BLOCK <= GENERATE_BID_ROOM, "name, url, extra");
    if (WEIR_LIKELY(fields == GENERATE_BID_FIELDS)) return make_bid(g, draft, time, GENERATE_BID_FIELDS, row);
    return make_bid(g, draft, time, fields, row);
}

/* ---- auctions ---------------------------------------------------------------------------------------------------------------------- */

#define AUCTION_EXTRA_SIZE 48u /* without its strings */
#define AUCTION_AVERAGE 500u
#define ITEM_BLOCK 32u
#define DESCRIPTION_BLOCK 112u

WEIR_INLINE weir_time expiry(const struct generate *g, uint64_t n, weir_time time, uint64_t x)
{
    uint32_t horizon = (uint32_t)(generate_time(g, n + EVENTS_OF_100_AUCTIONS) - time);
    return time + 1 + random_hi(x, horizon ? 2 * horizon : 1);
}

WEIR_INLINE uint32_t make_auction(struct generate *g, const struct generate_draft *draft, weir_time time, uint32_t fields, void *to)
{
    const struct generate_tables *t = g->tables;
    uint64_t n = draft->n, item = F(4), description = F(5);
    uint32_t item_len = 3 + random_lo(item, 17), description_len = 3 + random_lo(description, 97);
    struct nexmark_auction *row = to;
    struct text text = {to, sizeof *row};
    row->seq = WANTS(0) ? (int64_t)n : 0;
    row->id = WANTS(1) ? (int64_t)(FIRST_ID + n / EPOCH * AUCTIONS_AN_EPOCH + n % EPOCH - 1) : 0;
    row->item_name = WANTS(2) ? put(&text, cut(t->text, item, item_len), item_len, ITEM_BLOCK) : NO_STRING;
    row->description = WANTS(3) ? put(&text, cut(t->text, description, description_len), description_len, DESCRIPTION_BLOCK) : NO_STRING;
    row->initial_bid = WANTS(4) ? table_price(F(2)) : 0;
    row->reserve = WANTS(5) ? table_price(F(2)) + table_price(F(3)) : 0;
    row->date_time = WANTS(6) ? time : 0;
    row->expires = WANTS(7) ? expiry(g, n, time, F(1)) : 0;
    row->seller = WANTS(8) ? person_or_hot(epoch_of(g, n), F(0), 0) : 0;
    row->category = WANTS(9) ? 10 + random_lo(F(1), 5) : 0;
    row->extra = WANTS(10) ? put_fill(&text, t, F(6), AUCTION_EXTRA_SIZE + item_len + description_len, AUCTION_AVERAGE) : NO_STRING;
    return text.at;
}

uint32_t generate_auction(struct generate *g, const struct generate_draft *draft, weir_time time, uint32_t fields, void *row)
{
    static_assert(sizeof(struct nexmark_auction) + 19 + 99 + 534 + LONG_BLOCK <= GENERATE_AUCTION_ROOM, "item, description, extra");
    if (WEIR_LIKELY(fields == GENERATE_AUCTION_FIELDS)) return make_auction(g, draft, time, GENERATE_AUCTION_FIELDS, row);
    return make_auction(g, draft, time, fields, row);
}

/* ---- persons ----------------------------------------------------------------------------------------------------------------------- */

#define PERSON_EXTRA_SIZE 8u /* without its strings */
#define PERSON_AVERAGE 200u
#define WORD_BLOCK 16u
#define CARD_LEN 19u

/* What a person's strings are made of; their lengths count for `extra` whether they are asked for or not. */
struct person_parts {
    const struct table_word *first, *last, *city, *state;
    const char *user, *host;
    uint32_t user_len, host_len;
};

WEIR_INLINE struct person_parts person_parts(const struct generate_tables *t, const struct generate_draft *draft)
{
    uint64_t name = F(0), user = F(1), host = F(2), place = F(4);
    struct person_parts p = {.first = &first_names[random_hi(name, FIRST_NAMES)],
                             .last = &last_names[random_lo(name, LAST_NAMES)],
                             .city = &cities[random_hi(place, CITIES)],
                             .state = &states[random_lo(place, STATES)],
                             .user_len = 3 + random_lo(user, 4),
                             .host_len = 3 + random_lo(host, 2)};
    p.user = cut(t->letters, user, p.user_len);
    p.host = cut(t->letters, host, p.host_len);
    return p;
}

WEIR_INLINE struct weir_str put_name(struct text *to, const struct person_parts *p)
{
    uint32_t from = to->at;
    put(to, p->first->text, p->first->len, WORD_BLOCK);
    to->row[to->at++] = ' ';
    put(to, p->last->text, p->last->len, WORD_BLOCK);
    return (struct weir_str){from, to->at - from};
}

WEIR_INLINE struct weir_str put_email(struct text *to, const struct person_parts *p)
{
    uint32_t from = to->at;
    put(to, p->user, p->user_len, WORD_BLOCK);
    to->row[to->at++] = '@';
    put(to, p->host, p->host_len, WORD_BLOCK);
    put(to, ".com", 4, 4);
    return (struct weir_str){from, to->at - from};
}

/* Four groups of four digits, from the low end of x. The blank behind the last is covered by the next string. */
WEIR_INLINE struct weir_str put_card(struct text *to, uint64_t x)
{
    char *card = to->row + to->at;
    for (uint32_t k = 0; k < 4; k++, x >>= 16, card += 5) {
        uint32_t number = (uint32_t)(x % 65536 * 10000 >> 16);
        for (uint32_t i = 4; i-- > 0; number /= 10) card[i] = (char)('0' + number % 10);
        card[4] = ' ';
    }
    struct weir_str str = {to->at, CARD_LEN};
    to->at += CARD_LEN;
    return str;
}

/* Bytes that count for `extra`. */
WEIR_INLINE uint32_t person_size(const struct person_parts *p)
{
    uint32_t name_len = p->first->len + 1 + p->last->len, email_len = p->user_len + 1 + p->host_len + 4;
    return PERSON_EXTRA_SIZE + name_len + email_len + CARD_LEN + p->city->len + p->state->len;
}

WEIR_INLINE uint32_t make_person(struct generate *g, const struct generate_draft *draft, weir_time time, uint32_t fields, void *to)
{
    uint64_t n = draft->n;
    struct person_parts p = person_parts(g->tables, draft);
    struct nexmark_person *row = to;
    struct text text = {to, sizeof *row};
    row->seq = WANTS(0) ? (int64_t)n : 0;
    row->id = WANTS(1) ? (int64_t)(FIRST_ID + n / EPOCH) : 0;
    row->name = WANTS(2) ? put_name(&text, &p) : NO_STRING;
    row->email_address = WANTS(3) ? put_email(&text, &p) : NO_STRING;
    row->credit_card = WANTS(4) ? put_card(&text, F(3)) : NO_STRING;
    row->city = WANTS(5) ? put(&text, p.city->text, p.city->len, WORD_BLOCK) : NO_STRING;
    row->state = WANTS(6) ? put(&text, p.state->text, p.state->len, WORD_BLOCK) : NO_STRING;
    row->date_time = WANTS(7) ? time : 0;
    row->extra = WANTS(8) ? put_fill(&text, g->tables, F(5), person_size(&p), PERSON_AVERAGE) : NO_STRING;
    return text.at;
}

uint32_t generate_person(struct generate *g, const struct generate_draft *draft, weir_time time, uint32_t fields, void *row)
{
    static_assert(sizeof(struct nexmark_person) + 14 + 15 + CARD_LEN + 13 + 2 + 174 + LONG_BLOCK <= GENERATE_PERSON_ROOM, "its strings");
    if (WEIR_LIKELY(fields == GENERATE_PERSON_FIELDS)) return make_person(g, draft, time, GENERATE_PERSON_FIELDS, row);
    return make_person(g, draft, time, fields, row);
}
