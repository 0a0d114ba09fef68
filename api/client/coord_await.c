/* SPDX-License-Identifier: Apache-2.0 */
#include "api/client/coord_await.h"

#include "runtime/base/clock.h"

static void on_change(void *arg, const struct weir_coord_event *event)
{
    struct await *a = arg;
    (void)pthread_mutex_lock(&a->mutex);
    a->changed = true;
    a->ended |= event->type == WEIR_COORD_ENDED;
    (void)pthread_cond_broadcast(&a->cond);
    (void)pthread_mutex_unlock(&a->mutex);
}

enum weir_coord_err await_begin(struct await *a, struct weir_coord *coord, int64_t timeout_ms)
{
    pthread_condattr_t attr;
    if (!coord_may_wait(coord)) return WEIR_COORD_WRONG_THREAD;
    timeout_ms = coord_wait_ms(coord, timeout_ms);
    *a = (struct await){.coord = coord, .until = coord_moment(timeout_ms), .for_ever = timeout_ms < 0};
    (void)pthread_mutex_init(&a->mutex, NULL);
    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&a->cond, &attr);
    (void)pthread_condattr_destroy(&attr);
    return WEIR_COORD_OK;
}

void await_end(struct await *a)
{
    weir_coord_forget(a->coord, a); /* no callback comes any more */
    (void)pthread_cond_destroy(&a->cond);
    (void)pthread_mutex_destroy(&a->mutex);
}

int64_t await_left_ms(const struct await *a)
{
    int64_t left = a->until.tv_sec * 1000 + a->until.tv_nsec / 1000000 - clock_mono_ms();
    return a->for_ever ? -1 : left < 0 ? 0 : left;
}

enum weir_coord_err await_read(struct await *a, enum weir_coord_read_type type, const char *path, struct weir_coord_reply *reply)
{
    struct weir_coord_read read = {.type = type, .path = path, .on_change = on_change, .arg = a};
    struct weir_coord_reply own;
    a->changed = false; /* no watch is set: the last one has fired */
    enum weir_coord_err err = weir_coord_read(a->coord, &read, 1, false, reply ? reply : &own);
    if (!reply) weir_coord_reply_close(&own);
    return err;
}

enum weir_coord_err await_change(struct await *a)
{
    int late = 0;
    (void)pthread_mutex_lock(&a->mutex);
    while (!a->changed && !late)
        late = a->for_ever ? pthread_cond_wait(&a->cond, &a->mutex) : pthread_cond_timedwait(&a->cond, &a->mutex, &a->until);
    enum weir_coord_err err = a->ended ? WEIR_COORD_SESSION_EXPIRED : a->changed ? WEIR_COORD_OK : WEIR_COORD_OPERATION_TIMEOUT;
    (void)pthread_mutex_unlock(&a->mutex);
    return err;
}
