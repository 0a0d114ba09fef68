/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/task/wake.h"

#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

weir_err wake_init(struct wake *w, struct weir_diag *diag)
{
    atomic_init(&w->asleep, false);
    w->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    return w->fd < 0 ? weir_fail_errno(diag, errno, "make an eventfd") : WEIR_OK;
}

void wake_close(struct wake *w)
{
    if (w->fd >= 0) close(w->fd);
    w->fd = -1;
}

void wake_prepare(struct wake *w)
{
    (void)atomic_exchange_explicit(&w->asleep, true, memory_order_acq_rel);
}

void wake_wait(struct wake *w, int64_t timeout_us)
{
    struct pollfd p = {.fd = w->fd, .events = POLLIN};
    struct timespec limit = {.tv_sec = timeout_us / 1000000, .tv_nsec = timeout_us % 1000000 * 1000};
    (void)ppoll(&p, 1, &limit, NULL); /* an early return only means one more look at the queues */
}

void wake_clear(struct wake *w)
{
    uint64_t n;
    (void)atomic_exchange_explicit(&w->asleep, false, memory_order_acq_rel);
    (void)!read(w->fd, &n, sizeof n); /* EAGAIN: nobody woke us */
}

void wake_up_slow(struct wake *w)
{
    uint64_t one = 1;
    (void)!write(w->fd, &one, sizeof one); /* EAGAIN: already signalled */
}
