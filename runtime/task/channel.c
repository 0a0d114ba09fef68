/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/task/channel.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/base/assert.h"

weir_err outbox_init(struct outbox *box, uint32_t n_out, uint32_t n_in, struct wake *net)
{
    /* Room for every frame that credit lets out and one announcement for each channel, so that enqueueing never fails. */
    uint64_t need = 2 + (uint64_t)n_out * WEIR_CHANNEL_CREDITS + n_in;
    uint32_t size = 4;
    while (size < need) size *= 2;
    box->slots = calloc(size, sizeof *box->slots);
    if (!box->slots) return WEIR_E_NOMEM;
    ck_ring_init(&box->ring, size);
    box->net = net;
    return WEIR_OK;
}

bool outbox_take(struct outbox *box, struct frame **frame, struct channel **credit)
{
    void *item;
    if (!ring_take(&box->ring, box->slots, &item)) return false;
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
    while (box->slots && outbox_take(box, &frame, &credit))
        if (frame) frame_release(frame);
    free(box->slots);
    box->slots = NULL;
}

void channel_init(struct channel *ch, uint32_t id)
{
    memset(ch, 0, sizeof *ch);
    ch->id = id;
    ch->waiting_tail = &ch->waiting;
    ck_ring_init(&ch->ring, CHANNEL_RING);
}

void channel_close(struct channel *ch)
{
    void *frame;
    while (ring_take(&ch->ring, ch->slots, &frame)) frame_release(frame);
    while (ch->waiting) {
        struct frame *next = ch->waiting->next;
        frame_release(ch->waiting);
        ch->waiting = next;
    }
    ch->waiting_tail = &ch->waiting;
}

static bool has_credit(const struct channel *ch)
{
    return ch->n_out - atomic_load_explicit(&ch->n_taken, memory_order_acquire) < WEIR_CHANNEL_CREDITS;
}

static void hand_over(struct channel *ch, struct frame *frame)
{
    ch->n_out++;
    if (ch->outbox) {
        bool ok = ring_put(&ch->outbox->ring, ch->outbox->slots, frame);
        WEIR_ASSERT(ok);
        wake_up(ch->outbox->net);
    } else {
        bool ok = ring_put(&ch->ring, ch->slots, frame);
        WEIR_ASSERT(ok);
        wake_up(ch->receiver);
    }
}

void channel_send(struct channel *ch, struct frame *frame)
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
    bool ok = ring_put(&ch->credits->ring, ch->credits->slots, (void *)((uintptr_t)ch | 1u));
    WEIR_ASSERT(ok);
    wake_up(ch->credits->net);
}

struct frame *channel_take(struct channel *ch)
{
    void *frame;
    if (!ring_take(&ch->ring, ch->slots, &frame)) return NULL;
    uint64_t taken = atomic_load_explicit(&ch->n_taken, memory_order_relaxed) + 1;
    atomic_store_explicit(&ch->n_taken, taken, memory_order_release);
    if (ch->sender)
        wake_up(ch->sender);
    else if (taken - ch->n_told >= CHANNEL_CREDIT_BATCH)
        announce_credit(ch, taken);
    return frame;
}

bool channel_deliver(struct channel *ch, struct frame *frame)
{
    if (ch->n_received - atomic_load_explicit(&ch->n_taken, memory_order_acquire) >= WEIR_CHANNEL_CREDITS) return false;
    if (!ring_put(&ch->ring, ch->slots, frame)) return false;
    ch->n_received++;
    wake_up(ch->receiver);
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
