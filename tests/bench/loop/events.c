/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/bench/loop/events.h"

#include "tests/bench/loop/fixed.h"
#include "tests/bench/loop/random.h"
#include "tests/bench/loop/text.h"

/* ---- fields ---- */

static const uint32_t mantissas[] = {1000000, 1154782, 1333521, 1539927, 1778279, 2053525, 2371374, 2738420, 3162278,
                                     3651741, 4216965, 4869675, 5623413, 6493816, 7498942, 8659643, 10000000};
static const uint32_t tens[] = {1, 10, 100, 1000, 10000, 100000};

static const char *const first_names[] = {"Peter", "Paul", "Luke", "John", "Saul", "Vicky", "Kate", "Julie", "Sarah", "Deiter", "Walter"};
static const char *const last_names[] = {"Shultz", "Abrams", "Spencer", "White", "Bartels", "Walton", "Smith", "Jones", "Noris"};
static const char *const cities[] = {"Phoenix", "Los Angeles", "San Francisco", "Boise", "Portland",
                                     "Bend",    "Redmond",     "Seattle",       "Kent",  "Cheyenne"};
static const char *const states[] = {"AZ", "CA", "ID", "OR", "WA", "WY"};

static inline int64_t price(uint64_t x)
{
    uint64_t s = hi(x, 96), decade = s / 16, j = s % 16, f = x % 1024;
    uint64_t m = mantissas[j] + (((mantissas[j + 1] - mantissas[j]) * f) >> 10);
    return (int64_t)(m * tens[decade] / 10000);
}

/* Length of the filling that brings an event of `size` bytes to about `average`. */
static inline uint32_t fill_length(uint64_t x, uint64_t size, uint64_t average)
{
    if (size > average) return 0;
    uint64_t d = average - size, delta = (d + 2) / 5;
    return (uint32_t)(d - delta + (delta > 0 ? lo(x, 2 * delta) : 0));
}

/* ---- events ---- */

/* What is known of an event before its row is made. Most channels are not in the first-level cache: they are fetched a batch ahead. */
struct draft {
    uint64_t n, e;                 /* number and event key */
    const struct channel *channel; /* if it is a bid */
};

/* Ids: stored ones are larger than those counted from 0. */
#define ID_BASE 1000

static struct epoch epoch_of(uint64_t number)
{
    uint64_t auction = 3 * number + 2, person = number, people = person + 1; /* the newest */
    uint64_t active = people < 1000 ? people : 1000, old_auctions = auction > 100 ? auction - 100 : 0;
    return (struct epoch){
        .number = number,
        .hot_auction = ID_BASE + auction / 100 * 100,
        .cold_auctions = ID_BASE + old_auctions,
        .n_cold_auctions = auction - old_auctions + 11,
        .hot_person = ID_BASE + person / 100 * 100,
        .persons = ID_BASE + people - active,
        .n_persons = active + 10,
    };
}

static inline uint64_t some_person(const struct epoch *epoch, uint64_t x)
{
    return epoch->persons + hi(x, epoch->n_persons);
}

/* Appends a string to the row at `row`, whose end is at *end. */
static inline struct nexmark_str put(char *row, uint32_t *end, const char *data, uint64_t length)
{
    struct nexmark_str s = {*end, (uint32_t)length};
    copy_blocks(row + *end, data, s.length);
    *end += s.length;
    return s;
}

/* This and the next two return the size of the row they made. */
static inline uint32_t make_bid(const struct loop_events *in, struct draft draft, char *row)
{
    const struct epoch *epoch = &in->epoch;
    uint64_t e = draft.e;
    uint64_t a = sm(e, 0), b = sm(e, 1), x = sm(e, 4);
    const struct channel *channel = draft.channel;
    uint32_t channel_end = (uint32_t)sizeof(struct bid) + channel->name_length, url_end = channel_end + channel->url_length;
    uint32_t extra = fill_length(x, 32, 100);

    *(struct bid *)(void *)row = (struct bid){
        .seq = (int64_t)draft.n,
        .auction = (int64_t)pick(lo(a, 2) > 0, epoch->hot_auction, epoch->cold_auctions + hi(a, epoch->n_cold_auctions)),
        .bidder = (int64_t)pick(lo(b, 4) > 0, epoch->hot_person + 1, some_person(epoch, b)),
        .price = price(sm(e, 2)),
        .channel = {(uint32_t)sizeof(struct bid), channel->name_length},
        .url = {channel_end, channel->url_length},
        .date_time = event_time(in, draft.n),
        .extra = {url_end, extra},
    };
    memcpy(row + sizeof(struct bid), channel->text, CHANNEL_TEXT);
    memcpy(row + url_end, cut(loop_letters, x, extra), BID_EXTRA_COPY);
    return url_end + extra;
}

static uint32_t make_auction(const struct loop_events *in, struct draft draft, char *row)
{
    uint64_t n = draft.n, e = draft.e;
    uint64_t s = sm(e, 0), x = sm(e, 1), name = sm(e, 4), description = sm(e, 5);
    int64_t now = event_time(in, n), lifetime = 2 * (event_time(in, n + 1666) - now);
    struct auction *a = (void *)row;
    uint32_t end = sizeof *a;

    a->seq = (int64_t)n;
    a->id = (int64_t)(ID_BASE + 3 * (n / 50) + n % 50 - 1);
    a->initial_bid = price(sm(e, 2));
    a->reserve = a->initial_bid + price(sm(e, 3));
    a->date_time = now;
    a->expires = now + 1 + (int64_t)hi(x, lifetime > 1 ? (uint64_t)lifetime : 1);
    a->seller = (int64_t)pick(lo(s, 4) > 0, in->epoch.hot_person, some_person(&in->epoch, s));
    a->category = (int64_t)(10 + lo(x, 5));
    a->item_name = put(row, &end, cut(loop_words, name, 3 + lo(name, 17)), 3 + lo(name, 17));
    a->description = put(row, &end, cut(loop_words, description, 3 + lo(description, 97)), 3 + lo(description, 97));
    uint64_t filling = sm(e, 6), length = fill_length(filling, 48 + end - sizeof *a, 500);
    a->extra = put(row, &end, cut(loop_letters, filling, length), length);
    return end;
}

/* Four groups of four digits. */
static void write_card(char card[19 + COPY_BLOCK], uint64_t x)
{
    for (int k = 0; k < 4; k++) {
        uint64_t group = (x >> 16 * k & 65535) * 10000 >> 16;
        for (int digit = 3; digit >= 0; digit--, group /= 10) card[5 * k + digit] = (char)('0' + group % 10);
        card[5 * k + 4] = ' ';
    }
}

static struct nexmark_str put_name(char *row, uint32_t *end, uint64_t x)
{
    const char *first = first_names[hi(x, 11)], *last = last_names[lo(x, 9)];
    char name[NAME_MAX_LEN + 1 + COPY_BLOCK] = {0};
    size_t length = strlen(first);
    memcpy(name, first, length);
    name[length] = ' ';
    memcpy(name + length + 1, last, strlen(last));
    return put(row, end, name, length + 1 + strlen(last));
}

static struct nexmark_str put_email(char *row, uint32_t *end, uint64_t user, uint64_t host)
{
    char email[6 + 1 + 4 + 4 + COPY_BLOCK] = {0};
    uint64_t user_length = 3 + lo(user, 4), host_length = 3 + lo(host, 2);
    memcpy(email, cut(loop_letters, user, user_length), user_length);
    email[user_length] = '@';
    memcpy(email + user_length + 1, cut(loop_letters, host, host_length), host_length);
    memcpy(email + user_length + 1 + host_length, ".com", 4);
    return put(row, end, email, user_length + 1 + host_length + 4);
}

static struct nexmark_str put_word(char *row, uint32_t *end, const char *word)
{
    struct nexmark_str s = {*end, (uint32_t)strlen(word)};
    memcpy(row + *end, word, s.length);
    *end += s.length;
    return s;
}

static uint32_t make_person(const struct loop_events *in, struct draft draft, char *row)
{
    uint64_t n = draft.n, e = draft.e, place = sm(e, 4), filling = sm(e, 5);
    char card[19 + COPY_BLOCK] = {0};
    struct person *p = (void *)row;
    uint32_t end = sizeof *p;

    p->seq = (int64_t)n;
    p->id = (int64_t)(ID_BASE + n / 50);
    p->date_time = event_time(in, n);
    p->name = put_name(row, &end, sm(e, 0));
    p->email_address = put_email(row, &end, sm(e, 1), sm(e, 2));
    write_card(card, sm(e, 3));
    p->credit_card = put(row, &end, card, 19);
    p->city = put_word(row, &end, cities[hi(place, 10)]);
    p->state = put_word(row, &end, states[lo(place, 6)]);
    uint64_t length = fill_length(filling, 8 + end - sizeof *p, 200);
    p->extra = put(row, &end, cut(loop_letters, filling, length), length);
    return end;
}

/* ---- order of arrival ---- */

void loop_events_init(struct loop_events *in, const struct nexmark_params *params)
{
    loop_fixed_init();
    in->params = *params;
    in->root = sm(params->seed, 0);
    in->position = 0;
    in->block = 0;
    in->offset = 0;
    in->step = params->group <= params->events ? 953 % params->group : 1;
    in->watermark = INT64_MIN;
    in->n = 0;
    in->epoch = epoch_of(0);
}

/* The last block is in order where it is not whole. */
static void next_block(struct loop_events *in)
{
    in->block += in->params.group;
    in->offset = 0;
    if (in->params.group > in->params.events - in->block) in->step = 1;
}

/* The number of the event that arrives at the position, which moves on. */
static inline uint64_t next_number(struct loop_events *in)
{
    uint64_t group = in->params.group;
    if (in->position == in->block + group) next_block(in);
    uint64_t number = in->block + in->offset;
    in->offset += in->step;
    if (in->offset >= group) in->offset -= group;
    in->position++;
    return number;
}

static inline struct draft begin_event(struct loop_events *in)
{
    uint64_t n = next_number(in), e = sm(in->root, n);
    const struct channel *channel = some_channel(sm(e, 3));
    __builtin_prefetch(channel);
    __builtin_prefetch(channel->text + 60);
    return (struct draft){n, e, channel};
}

bool loop_events_next(struct loop_events *in)
{
    struct draft drafts[EVENTS_BATCH];
    uint64_t left = in->params.events - in->position;
    char *row = in->rows;
    in->n = left < EVENTS_BATCH ? (uint32_t)left : EVENTS_BATCH;
    for (uint32_t i = 0; i < in->n; i++) drafts[i] = begin_event(in);
    for (uint32_t i = 0; i < in->n; i++) {
        uint64_t epoch = drafts[i].n / 50, r = drafts[i].n % 50;
        if (epoch != in->epoch.number) in->epoch = epoch_of(epoch);
        in->batch[i] = (struct event){r >= 4 ? BID : r > 0 ? AUCTION : PERSON, row};
        uint32_t size = r >= 4 ? make_bid(in, drafts[i], row) : r > 0 ? make_auction(in, drafts[i], row) : make_person(in, drafts[i], row);
        row += (size + 7) & ~7u;
    }
    in->watermark = in->n ? event_time(in, in->block) - 1 : INT64_MAX;
    return in->n > 0;
}

void loop_event_print(FILE *out, const struct event *event)
{
    static const char kinds[] = "PAB", *const columns[] = {"iisssssis", "iissiiiiiis", "iiiissis"};
    (void)fputc(kinds[event->kind], out);
    (void)fputc(',', out);
    loop_row_print(out, columns[event->kind], event->row);
}
