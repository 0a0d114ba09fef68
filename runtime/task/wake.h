/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parking and waking a thread. The waiter announces that it sleeps, looks at its queues once more, and waits; a waker publishes its work
 * first and then looks whether anybody sleeps. An eventfd, so that a net thread can poll it beside sockets.
 *
 * Both sides touch `asleep` by read-modify-write only, and so always meet in one order: either the waker comes second and sees the sleeper,
 * or the waiter comes second and, by acquire and release, sees the work. It costs what a fence would, once a frame, and race detectors
 * understand it.
 */
#ifndef WEIR_RUNTIME_TASK_WAKE_H
#define WEIR_RUNTIME_TASK_WAKE_H

#include <stdatomic.h>

#include "weir/base.h"

struct wake {
    _Alignas(64) atomic_bool asleep;
    int fd;   /* eventfd, non-blocking */
    bool due; /* the net thread's note to itself: to be woken once all that came is delivered */
};

weir_err wake_init(struct wake *w, struct weir_diag *diag);
void wake_close(struct wake *w);

/* Waiter: call, then check the queues again; then wake_wait (or poll fd yourself), then wake_clear. */
void wake_prepare(struct wake *w);
void wake_wait(struct wake *w, int64_t timeout_us); /* at most so long */
void wake_clear(struct wake *w);

/* Waker: after publishing. Thread: any. */
void wake_up_slow(struct wake *w);
static inline void wake_up(struct wake *w)
{
    if (atomic_exchange_explicit(&w->asleep, false, memory_order_acq_rel)) wake_up_slow(w);
}

#endif
