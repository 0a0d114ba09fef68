/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parking and waking a thread. The waiter announces that it sleeps, looks at its queues once more, and waits; a waker publishes its work first and
 * then looks whether anybody sleeps, so that in the usual case a wake costs one load. An eventfd, so that a net thread can poll it beside sockets.
 */
#ifndef WEIR_RUNTIME_TASK_WAKE_H
#define WEIR_RUNTIME_TASK_WAKE_H

#include <stdatomic.h>

#include "weir/base.h"

struct wake {
    _Alignas(64) atomic_bool asleep;
    int fd; /* eventfd, non-blocking */
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
    atomic_thread_fence(memory_order_seq_cst);
    if (atomic_load_explicit(&w->asleep, memory_order_relaxed)) wake_up_slow(w);
}

#endif
