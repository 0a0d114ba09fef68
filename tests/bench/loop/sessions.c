/* SPDX-License-Identifier: Apache-2.0 */
/*
 * q11: sessions of a bidder. A bidder has a chain of open sessions, more than one only while disorder leaves gaps that may still fill. Each
 * session lies in one slice of deadlines; when the watermark passes the slice, it closes or, if it has grown meanwhile, moves to a later
 * one. So a bid costs no timer.
 */
#include "tests/bench/loop/queries.h"
#include "tests/bench/loop/slices.h"
#include "tests/bench/loop/table.h"

#define GAP_MS 10000
#define DEADLINES_MS 1000

struct session {
    uint32_t next; /* of the bidder */
    uint32_t bidder;
    int64_t first, last;
    int64_t bids; /* 0: another session has swallowed this one, whose deadline is still to come */
};

struct bidder {
    int64_t id;
    uint32_t sessions;
};

struct q11 {
    struct loop_table bidders;
    struct loop_pool sessions;
    struct loop_slices deadlines; /* of struct loop_vec: numbers of sessions */
    struct loop_sink *out;
};

static struct session *session_at(const struct q11 *q, uint32_t number)
{
    return loop_pool_item(&q->sessions, number, sizeof(struct session));
}

static struct bidder *bidder_at(const struct q11 *q, uint32_t number)
{
    return loop_pool_item(&q->bidders.entries, number, sizeof(struct bidder));
}

static void await_deadline(struct q11 *q, uint32_t number)
{
    int64_t deadline = session_at(q, number)->last + GAP_MS;
    struct loop_vec *waiting = loop_slices_at(&q->deadlines, deadline / DEADLINES_MS, sizeof *waiting);
    *(uint32_t *)loop_vec_add(waiting, sizeof number) = number;
}

static void begin_session(struct q11 *q, uint32_t bidder, int64_t time)
{
    uint32_t number = loop_pool_take(&q->sessions, sizeof(struct session));
    *session_at(q, number) = (struct session){bidder_at(q, bidder)->sessions, bidder, time, time, 1};
    bidder_at(q, bidder)->sessions = number;
    await_deadline(q, number);
}

static bool joins(const struct session *s, int64_t time)
{
    return time >= s->first - GAP_MS && time <= s->last + GAP_MS;
}

/* Takes into `s` those behind it in the chain that `time`, which is now in `s`, also joins. */
static void swallow(struct q11 *q, struct session *s, int64_t time)
{
    for (uint32_t *link = &s->next; *link;) {
        struct session *other = session_at(q, *link);
        if (!joins(other, time)) {
            link = &other->next;
            continue;
        }
        s->first = other->first < s->first ? other->first : s->first;
        s->last = other->last > s->last ? other->last : s->last;
        s->bids += other->bids;
        other->bids = 0;
        *link = other->next;
    }
}

static void q11_bid(struct q11 *q, const struct bid *b)
{
    uint32_t bidder = loop_table_number(&q->bidders, (struct table_key){b->bidder, 0}, 1, sizeof(struct bidder));
    for (uint32_t number = bidder_at(q, bidder)->sessions; number; number = session_at(q, number)->next) {
        struct session *s = session_at(q, number);
        if (!joins(s, b->date_time)) continue;
        s->bids++;
        s->first = b->date_time < s->first ? b->date_time : s->first;
        s->last = b->date_time > s->last ? b->date_time : s->last;
        if (s->next) swallow(q, s, b->date_time);
        return;
    }
    begin_session(q, bidder, b->date_time);
}

static void unlink_session(struct q11 *q, uint32_t number)
{
    const struct session *s = session_at(q, number);
    uint32_t *link = &bidder_at(q, s->bidder)->sessions;
    while (*link != number) link = &session_at(q, *link)->next;
    *link = s->next;
    if (!bidder_at(q, s->bidder)->sessions) loop_table_remove(&q->bidders, s->bidder, sizeof(struct bidder));
}

static void close_session(struct q11 *q, uint32_t number)
{
    const struct session *s = session_at(q, number);
    *(struct nexmark_q11_row *)loop_sink_begin(q->out) =
        (struct nexmark_q11_row){bidder_at(q, s->bidder)->id, s->bids, s->first, s->last + GAP_MS};
    loop_sink_end(q->out, sizeof(struct nexmark_q11_row));
    unlink_session(q, number);
}

/* A session is over when no later bid can be within the gap. */
static void meet_deadline(struct q11 *q, uint32_t number, int64_t watermark)
{
    const struct session *s = session_at(q, number);
    if (s->bids && s->last + GAP_MS > watermark) {
        await_deadline(q, number);
        return;
    }
    if (s->bids) close_session(q, number);
    loop_pool_give(&q->sessions, number, sizeof(struct session));
}

static void meet_deadlines(struct q11 *q, int64_t watermark)
{
    struct loop_slices *d = &q->deadlines;
    for (; d->first <= d->last && watermark >= (d->first + 1) * DEADLINES_MS - 1; d->first++) {
        struct loop_vec due = *(struct loop_vec *)loop_slices_at(d, d->first, sizeof due); /* the ring may move */
        for (size_t i = 0; i < due.size / sizeof(uint32_t); i++) meet_deadline(q, ((const uint32_t *)(void *)due.data)[i], watermark);
        ((struct loop_vec *)loop_slices_at(d, d->first, sizeof due))->size = 0;
    }
}

void loop_q11(struct loop_events *in, struct loop_sink *out)
{
    struct q11 q = {.deadlines = {.first = BASE_TIME / DEADLINES_MS, .last = BASE_TIME / DEADLINES_MS}, .out = out};
    while (loop_events_next(in)) {
        EACH_BID(bid, in) q11_bid(&q, bid);
        meet_deadlines(&q, in->watermark);
    }
    meet_deadlines(&q, in->watermark);
    for (int64_t i = 0; i < q.deadlines.n; i++) loop_vec_close((struct loop_vec *)(void *)q.deadlines.items + i);
    loop_slices_close(&q.deadlines, sizeof(struct loop_vec));
    loop_vec_close(&q.sessions.items);
    loop_table_close(&q.bidders);
}
