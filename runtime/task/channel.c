/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/task/channel.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/base/assert.h"

weir_err outbox_init(struct outbox *box, uint64_t n_items, struct wake *net)
{
    uint32_t size = 4;
    while (size < n_items + 2) size *= 2; /* a ck ring holds one less than its size, which must be a power of two */
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
    ch->slots = calloc(window * 2u, sizeof *ch->slots);
    if (!ch->slots) return WEIR_E_NOMEM;
    ck_ring_init(&ch->ring, window * 2u);
    return WEIR_OK;
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
    free(ch->slots);
    ch->slots = NULL;
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
        bool ok = ring_put(&ch->outbox->ring, ch->outbox->slots, frame);
        WEIR_ASSERT(ok);
        ch->outbox->unannounced = true;
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
    ch->credits->unannounced = true;
}

struct frame *channel_take(struct channel *ch)
{
    void *frame;
    if (!ring_take(&ch->ring, ch->slots, &frame)) return NULL;
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
    if (!ring_put(&ch->ring, ch->slots, frame)) return false;
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
