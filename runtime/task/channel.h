/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A channel: frames from one sender subtask to one receiver subtask, in order, at most `window` of them on the way.
 *
 *   local    sender's task thread ──ring──▶ receiver's task thread; the receiver's count of taken frames is the sender's credit
 *   remote   sender's task thread ──outbox──▶ net thread ══ZeroMQ══▶ net thread ──ring──▶ receiver's task thread; FRAME_CREDIT brings the
 * count back
 *
 * A frame that finds no credit waits in the sender's list (`waiting`); its subtask takes no more input until the list is empty.
 */
#ifndef WEIR_RUNTIME_TASK_CHANNEL_H
#define WEIR_RUNTIME_TASK_CHANNEL_H

#include "runtime/task/frame_pool.h"
#include "runtime/task/ledger.h"
#include "runtime/task/ring.h"
#include "runtime/task/wake.h"

#define CHANNEL_CREDIT_PORTIONS \
    4u /* a remote sender is told of its credits four times a window: it does not stall, and few messages are spent */

/* What a task thread hands its net thread: frames to send, and channels whose credit is due (lowest bit of the pointer set). */
struct outbox {
    struct ring ring;
    struct wake *net;            /* the net thread's */
    struct frame_header address; /* job, epoch and attempt that go into every frame */
    uint32_t n_unannounced;      /* items put in since the net thread was last woken; task thread only */
};

/* n_items: frames that credit may let out at once and announcements that can be under way, so that enqueueing never fails: the
 * windows of its remote senders, and one announcement for each remote receiver. */
weir_err outbox_init(struct outbox *box, uint64_t n_items, struct wake *net);
/*
 * Task thread: wakes the net thread for what was put in: at the end of a step, and within one every OUTBOX_BURST items. A wake for each
 * would cost more than the frame it tells of, and takes the core from whoever makes the next frame where threads outnumber cores; one for a
 * whole long step would have the net thread idle, then flooded.
 */
#define OUTBOX_BURST 16u
static inline void outbox_announce(struct outbox *box)
{
    if (box->n_unannounced == 0) return;
    box->n_unannounced = 0;
    wake_up(box->net);
}
/* Releases the frames that never left. Neither thread may use it any more. */
void outbox_close(struct outbox *box);

/*
 * For tests of the ledger: the sender counts its data frame number `at`, from 1, and then loses or doubles it, before it is numbered: so
 * what checks numbers sees nothing.
 */
enum channel_fault_kind { CHANNEL_DROP = 1, CHANNEL_DOUBLE = 2 };
struct channel_fault {
    enum channel_fault_kind kind;
    uint64_t at;
    struct frame_pool *pool; /* the sender's, for the double */
    uint64_t n;              /* data frames so far */
};

struct channel;
/* Net thread: the next thing to send: a frame, or a channel whose credit is due. false: nothing. */
bool outbox_take(struct outbox *box, struct frame **frame, struct channel **credit);

struct channel {
    uint32_t id;
    uint32_t window; /* frames that may be on the way, a power of two; the same at both ends */
    /* sender's side; owner: its task thread */
    struct outbox *outbox; /* remote sender: where frames go; else NULL */
    struct wake *receiver; /* local: the receiving thread */
    uint64_t n_sent;       /* frames numbered and handed over or waiting */
    uint64_t n_out;        /* frames handed over */
    struct frame *waiting, **waiting_tail;
    struct ledger sent;
    struct channel_fault *fault; /* NULL but in tests */
    /* both */
    _Alignas(64) _Atomic uint64_t n_taken; /* frames the receiver has taken; written by it (local) or by the net thread (remote sender) */
    struct wake *sender;                   /* woken when a credit comes back; NULL on a remote receiver */
    /* receiver's side */
    struct ring ring;
    struct outbox *credits; /* remote receiver: where a due credit is announced; else NULL */
    uint64_t n_told;        /* taken count at the last announcement; receiver's task thread */
    struct ledger taken;    /* receiver's task thread */
    atomic_bool
        credit_due; /* an announcement lies in the outbox: a channel has one there at most, however often probes bring credit back */
    /* net thread only */
    uint64_t n_received; /* remote receiver: next number expected */
    uint64_t n_sent_net; /* remote sender: frames put on the socket */
};

/* Window of a remote channel whose receiver has so many of them. */
uint32_t channel_remote_window(uint32_t n_remote);

/* window: a power of two. Errors: WEIR_E_NOMEM. */
weir_err channel_init(struct channel *ch, uint32_t id, uint32_t window);
/* Releases what still lies in ring and list. No other thread may use it any more. */
void channel_close(struct channel *ch);

/* Sender: numbers the frame and sends it or lets it wait. Takes it. */
void channel_send(struct channel *ch, struct frame *frame);
/* Sender: sends what waits as far as credit allows; true when nothing waits. */
bool channel_drain(struct channel *ch);
static inline bool channel_blocked(const struct channel *ch)
{
    return ch->waiting != NULL;
}

/* Receiver: the next frame (caller releases it), or NULL. Returns the credit. */
struct frame *channel_take(struct channel *ch);
static inline bool channel_empty(const struct channel *ch)
{
    return ring_count(&ch->ring) == 0;
}

/* Net thread, remote receiver: puts an arrived frame in the ring; false = the sender went beyond its credit. The caller wakes ch->receiver
 * afterwards, once for all it has delivered. */
bool channel_deliver(struct channel *ch, struct frame *frame);
/* Net thread, remote sender: the receiver has taken `n_taken` frames. Returns false for a number that cannot be. */
bool channel_credit(struct channel *ch, uint64_t n_taken);

#endif
