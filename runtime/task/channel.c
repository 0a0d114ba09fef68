/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/task/channel.h"

#include <string.h>

#include "runtime/base/assert.h"

weir_err outbox_init(struct outbox *box, uint64_t n_items, struct wake *net)
{
    uint32_t size = 4;
    while (size < n_items) size *= 2;
    box->net = net;
    return ring_init(&box->ring, size);
}

bool outbox_take(struct outbox *box, struct frame **frame, struct channel **credit)
{
    void *item = ring_take(&box->ring);
    if (!item) return false;
    bool is_credit = (uintptr_t)item & 1u;
    *credit = is_credit ? (struct channel *)((uintptr_t)item & ~(uintptr_t)1u) : NULL;
    *frame = is_credit ? NULL : item;
    /* Before the count is read: what is taken from here on either is in that count or finds no announcement and makes one. */
    if (is_credit) (void)atomic_exchange_explicit(&(*credit)->credit_due, false, memory_order_acq_rel);
    return true;
}

void outbox_close(struct outbox *box)
{
    struct frame *frame;
    struct channel *credit;
    while (outbox_take(box, &frame, &credit))
        if (frame) frame_release(frame);
    ring_close(&box->ring);
}

uint32_t channel_remote_window(uint32_t n_remote)
{
    uint32_t window = WEIR_CREDITS_REMOTE_MAX;
    while (window > WEIR_CREDITS_REMOTE_MIN && window * n_remote > WEIR_CREDITS_RECEIVER) window /= 2;
    return window;
}

weir_err channel_init(struct channel *ch, uint32_t id, uint32_t window)
{
    memset(ch, 0, sizeof *ch);
    ch->id = id;
    ch->window = window;
    ch->waiting_tail = &ch->waiting;
    return ring_init(&ch->ring, window);
}

void channel_close(struct channel *ch)
{
    for (struct frame *frame; (frame = ring_take(&ch->ring));) frame_release(frame);
    while (ch->waiting) {
        struct frame *next = ch->waiting->next;
        frame_release(ch->waiting);
        ch->waiting = next;
    }
    ch->waiting_tail = &ch->waiting;
    ring_close(&ch->ring);
}

static bool has_credit(const struct channel *ch)
{
    return ch->n_out - atomic_load_explicit(&ch->n_taken, memory_order_acquire) < ch->window;
}

static void hand_over(struct channel *ch, struct frame *frame)
{
    ch->n_out++;
    if (ch->outbox) {
        /* Sealed here and not by the net thread: the frame's bytes are still in this core's cache. */
        frame->head->job = ch->outbox->address.job;
        frame->head->epoch = ch->outbox->address.epoch;
        frame->head->attempt = ch->outbox->address.attempt;
        frame_seal(frame->head);
        bool ok = ring_put(&ch->outbox->ring, frame);
        WEIR_ASSERT(ok);
        if (++ch->outbox->n_unannounced == OUTBOX_BURST) outbox_announce(ch->outbox);
    } else {
        bool ok = ring_put(&ch->ring, frame);
        WEIR_ASSERT(ok);
        wake_up(ch->receiver);
    }
}

static void put(struct channel *ch, struct frame *frame)
{
    frame->head->channel = ch->id;
    frame->head->seq = ch->n_sent++;
    if (!ch->waiting && has_credit(ch)) {
        hand_over(ch, frame);
        return;
    }
    frame->next = NULL;
    *ch->waiting_tail = frame;
    ch->waiting_tail = &frame->next;
}

static struct frame *copy_of(struct frame_pool *pool, const struct frame *frame)
{
    struct frame *copy = frame_take(pool, frame->head->bytes);
    WEIR_ASSERT(copy);
    memcpy(copy->head, frame->head, sizeof *frame->head + frame->head->bytes);
    return copy;
}

/* True: the frame is lost. */
static bool commit_fault(struct channel *ch, struct frame *frame)
{
    struct channel_fault *fault = ch->fault;
    if (frame->head->kind != FRAME_DATA || ++fault->n != fault->at) return false;
    if (fault->kind == CHANNEL_DOUBLE) put(ch, copy_of(fault->pool, frame));
    if (fault->kind == CHANNEL_DROP) frame_release(frame);
    return fault->kind == CHANNEL_DROP;
}

void channel_send(struct channel *ch, struct frame *frame)
{
    ledger_add(&ch->sent, frame->head);
    if (WEIR_UNLIKELY(ch->fault != NULL) && commit_fault(ch, frame)) return;
    put(ch, frame);
}

bool channel_drain(struct channel *ch)
{
    while (ch->waiting) {
        if (!has_credit(ch)) return false;
        struct frame *frame = ch->waiting;
        ch->waiting = frame->next;
        if (!ch->waiting) ch->waiting_tail = &ch->waiting;
        hand_over(ch, frame);
    }
    return true;
}

static void announce_credit(struct channel *ch, uint64_t taken)
{
    ch->n_told = taken;
    if (atomic_exchange_explicit(&ch->credit_due, true, memory_order_acq_rel)) return; /* the one under way tells of these too */
    bool ok = ring_put(&ch->credits->ring, (void *)((uintptr_t)ch | 1u));
    WEIR_ASSERT(ok);
    if (++ch->credits->n_unannounced == OUTBOX_BURST) outbox_announce(ch->credits);
}

struct frame *channel_take(struct channel *ch)
{
    struct frame *frame = ring_take(&ch->ring);
    if (!frame) return NULL;
    ledger_add(&ch->taken, frame->head);
    uint64_t taken = atomic_load_explicit(&ch->n_taken, memory_order_relaxed) + 1;
    atomic_store_explicit(&ch->n_taken, taken, memory_order_release);
    if (ch->sender)
        wake_up(ch->sender);
    else if (taken - ch->n_told >= ch->window / CHANNEL_CREDIT_PORTIONS)
        announce_credit(ch, taken);
    return frame;
}

bool channel_deliver(struct channel *ch, struct frame *frame)
{
    if (ch->n_received - atomic_load_explicit(&ch->n_taken, memory_order_acquire) >= ch->window) return false;
    if (!ring_put(&ch->ring, frame)) return false;
    ch->n_received++;
    return true;
}

bool channel_credit(struct channel *ch, uint64_t n_taken)
{
    uint64_t known = atomic_load_explicit(&ch->n_taken, memory_order_relaxed);
    if (n_taken > ch->n_sent_net) return false;
    if (n_taken <= known) return true;
    atomic_store_explicit(&ch->n_taken, n_taken, memory_order_release);
    wake_up(ch->sender);
    return true;
}
