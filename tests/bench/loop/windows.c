/* SPDX-License-Identifier: Apache-2.0 */
/* q5, q7, q8, q12: windows. One table for each slice that the watermark has not passed; closing a window frees what it alone needed. */
#include "tests/bench/loop/bids.h"
#include "tests/bench/loop/queries.h"
#include "tests/bench/loop/slices.h"
#include "tests/bench/loop/table.h"

#define WINDOW_MS 10000

struct count {
    int64_t key, n;
};

/* Whether all of the tumbling window `number` lies behind the watermark. */
static bool window_passed(const struct loop_events *in, int64_t number)
{
    return in->watermark >= (number + 1) * WINDOW_MS - 1;
}

/* ---- q5: the auctions with most bids, in windows of 10 s every 2 s ---- */

#define SLIDE_MS 2000
#define SLICES_PER_WINDOW (WINDOW_MS / SLIDE_MS)

struct q5 {
    struct loop_slices slices; /* of struct loop_table: bids per auction */
    int64_t next;              /* the oldest window not closed yet, by the number of its first slice */
    struct loop_table window;  /* the slices of the window that closes, added up */
    struct loop_sink *out;
};

static int64_t add_slice(struct loop_table *window, const struct loop_table *slice, int64_t most)
{
    TABLE_EACH(const struct count, s, slice)
    {
        struct count *sum = loop_table_at(window, s->key, sizeof *sum);
        sum->n += s->n;
        most = sum->n > most ? sum->n : most;
    }
    return most;
}

static void emit_q5(struct q5 *q, int64_t most)
{
    TABLE_EACH(const struct count, c, &q->window)
    {
        if (c->n != most) continue;
        *(struct nexmark_q5_row *)loop_sink_begin(q->out) = (struct nexmark_q5_row){c->key, c->n, q->next * SLIDE_MS};
        loop_sink_end(q->out, sizeof(struct nexmark_q5_row));
    }
}

static void close_sliding_window(struct q5 *q)
{
    int64_t most = 0, first = q->next > q->slices.first ? q->next : q->slices.first;
    loop_table_clear(&q->window);
    for (int64_t i = first; i < q->next + SLICES_PER_WINDOW && i <= q->slices.last; i++) {
        most = add_slice(&q->window, loop_slices_at(&q->slices, i, sizeof(struct loop_table)), most);
    }
    emit_q5(q, most);
    if (q->next == q->slices.first) {
        loop_table_clear(loop_slices_at(&q->slices, q->next, sizeof(struct loop_table)));
        q->slices.first++;
    }
    q->next++;
}

static void close_sliding_windows(struct q5 *q, const struct loop_events *in)
{
    while (q->next <= q->slices.last && in->watermark >= (q->next + SLICES_PER_WINDOW) * SLIDE_MS - 1) close_sliding_window(q);
}

void loop_q5(struct loop_events *in, struct loop_sink *out)
{
    int64_t first = BASE_TIME / SLIDE_MS;
    struct q5 q = {.slices = {.first = first, .last = first}, .next = first - SLICES_PER_WINDOW + 1, .out = out};
    while (loop_events_next(in)) {
        EACH_BID(bid, in)
        {
            struct loop_table *slice = loop_slices_at(&q.slices, bid->date_time / SLIDE_MS, sizeof *slice);
            ((struct count *)loop_table_at(slice, bid->auction, sizeof(struct count)))->n++;
        }
        close_sliding_windows(&q, in);
    }
    close_sliding_windows(&q, in);
    for (int64_t i = 0; i < q.slices.n; i++) loop_table_close((struct loop_table *)(void *)q.slices.items + i);
    loop_slices_close(&q.slices, sizeof(struct loop_table));
    loop_table_close(&q.window);
}

/* ---- q7: the highest bids of a window ---- */

struct highest {
    int64_t price;
    struct loop_vec rows; /* of q0, each at a multiple of 8 and with room for a block copy behind it */
};

static void keep_highest(struct highest *h, const struct bid *bid)
{
    if (bid->price < h->price) return;
    if (bid->price > h->price) h->rows.size = 0;
    h->price = bid->price;
    size_t size = sizeof(struct nexmark_q0_row) + bid->extra.length + COPY_SLACK;
    (void)short_bid(loop_vec_add(&h->rows, (size + 7) & ~(size_t)7), bid, bid->price);
}

static void emit_highest(struct highest *h, struct loop_sink *out)
{
    for (size_t at = 0; at < h->rows.size;) {
        const struct nexmark_q0_row *row = (void *)(h->rows.data + at);
        uint32_t size = row->extra.offset + row->extra.length;
        memcpy(loop_sink_begin(out), row, size);
        loop_sink_end(out, size);
        at += (size + COPY_SLACK + 7) & ~7u;
    }
    h->price = 0;
    h->rows.size = 0;
}

static void close_highest(struct loop_slices *windows, const struct loop_events *in, struct loop_sink *out)
{
    for (; windows->first <= windows->last && window_passed(in, windows->first); windows->first++) {
        emit_highest(loop_slices_at(windows, windows->first, sizeof(struct highest)), out);
    }
}

void loop_q7(struct loop_events *in, struct loop_sink *out)
{
    struct loop_slices windows = {.first = BASE_TIME / WINDOW_MS, .last = BASE_TIME / WINDOW_MS};
    while (loop_events_next(in)) {
        EACH_BID(bid, in) keep_highest(loop_slices_at(&windows, bid->date_time / WINDOW_MS, sizeof(struct highest)), bid);
        close_highest(&windows, in, out);
    }
    close_highest(&windows, in, out);
    for (int64_t i = 0; i < windows.n; i++) loop_vec_close(&((struct highest *)(void *)windows.items + i)->rows);
    loop_slices_close(&windows, sizeof(struct highest));
}

/* ---- q8: persons who open an auction in the window in which they register ---- */

struct newcomer {
    int64_t id;
    bool sells;
    uint32_t name_length; /* 0: no such person yet, as a name is never empty */
    char name[NAME_MAX_LEN + COPY_BLOCK];
};

static void emit_newcomer(struct loop_sink *out, const struct newcomer *n, int64_t window)
{
    struct nexmark_q8_row *row = loop_sink_begin(out);
    *row = (struct nexmark_q8_row){n->id, {sizeof *row, n->name_length}, window * WINDOW_MS};
    copy_blocks((char *)(row + 1), n->name, n->name_length);
    loop_sink_end(out, (uint32_t)sizeof *row + n->name_length);
}

/* The row leaves when the second of the two comes. */
static void q8_person(struct loop_slices *windows, const struct person *p, struct loop_sink *out)
{
    int64_t window = p->date_time / WINDOW_MS;
    struct newcomer *n = loop_table_at(loop_slices_at(windows, window, sizeof(struct loop_table)), p->id, sizeof *n);
    n->name_length = p->name.length;
    copy_blocks(n->name, str_data(p, p->name), p->name.length);
    if (n->sells) emit_newcomer(out, n, window);
}

static void q8_auction(struct loop_slices *windows, const struct auction *a, struct loop_sink *out)
{
    int64_t window = a->date_time / WINDOW_MS;
    struct newcomer *n = loop_table_at(loop_slices_at(windows, window, sizeof(struct loop_table)), a->seller, sizeof *n);
    if (!n->sells && n->name_length) emit_newcomer(out, n, window);
    n->sells = true;
}

void loop_q8(struct loop_events *in, struct loop_sink *out)
{
    struct loop_slices windows = {.first = BASE_TIME / WINDOW_MS, .last = BASE_TIME / WINDOW_MS};
    while (loop_events_next(in)) {
        EACH_EVENT(e, in)
        {
            if (e->kind == PERSON) q8_person(&windows, e->row, out);
            if (e->kind == AUCTION) q8_auction(&windows, e->row, out);
        }
        for (; windows.first <= windows.last && window_passed(in, windows.first); windows.first++) {
            loop_table_clear(loop_slices_at(&windows, windows.first, sizeof(struct loop_table)));
        }
    }
    for (int64_t i = 0; i < windows.n; i++) loop_table_close((struct loop_table *)(void *)windows.items + i);
    loop_slices_close(&windows, sizeof(struct loop_table));
}

/* ---- q12: bids per bidder and window of the arrival clock, which never goes back: one window is open ---- */

static void close_counts(struct loop_table *counts, int64_t start, struct loop_sink *out)
{
    TABLE_EACH(const struct count, c, counts)
    {
        *(struct nexmark_q11_row *)loop_sink_begin(out) = (struct nexmark_q11_row){c->key, c->n, start, start + WINDOW_MS};
        loop_sink_end(out, sizeof(struct nexmark_q11_row));
    }
    loop_table_clear(counts);
}

void loop_q12(struct loop_events *in, struct loop_sink *out)
{
    struct loop_table counts = {0};
    int64_t start = BASE_TIME - BASE_TIME % WINDOW_MS;
    while (loop_events_next(in)) {
        uint64_t position = in->position - in->n;
        EACH_EVENT(e, in)
        {
            int64_t arrival = event_time(in, position++);
            if (e->kind != BID) continue;
            if (arrival >= start + WINDOW_MS) {
                close_counts(&counts, start, out);
                start = arrival - arrival % WINDOW_MS;
            }
            ((struct count *)loop_table_at(&counts, ((const struct bid *)e->row)->bidder, sizeof(struct count)))->n++;
        }
    }
    close_counts(&counts, start, out);
    loop_table_close(&counts);
}
