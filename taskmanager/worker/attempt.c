/* SPDX-License-Identifier: Apache-2.0 */
#include "taskmanager/worker/attempt.h"

static uint32_t stop(struct attempt *a, enum wire_outcome outcome)
{
    if (a->state == ATTEMPT_STOPPING || a->state == ATTEMPT_ENDED) return 0;
    a->state = ATTEMPT_STOPPING;
    a->outcome = outcome;
    return ATTEMPT_DO_STOP;
}

static uint32_t end(struct attempt *a, enum wire_outcome outcome)
{
    a->state = ATTEMPT_ENDED;
    a->outcome = outcome;
    return ATTEMPT_DO_SAY_ENDED;
}

static uint32_t start(struct attempt *a, const struct attempt_event *ev)
{
    if (a->state != ATTEMPT_READY) return 0;
    a->state = ev->restores ? ATTEMPT_RESTORING : ATTEMPT_OPENING;
    return ATTEMPT_DO_CONNECT | (ev->restores ? ATTEMPT_DO_RESTORE : ATTEMPT_DO_RUN);
}

static uint32_t commit(struct attempt *a)
{
    a->state = ATTEMPT_COMMITTING;
    return ATTEMPT_DO_COMMIT;
}

static uint32_t look_at_running(struct attempt *a, const struct attempt_event *ev)
{
    a->state = ATTEMPT_RUNNING;
    if (ev->n_prepared < ev->n_threads) return 0;
    if (a->commit_due) return commit(a);
    a->state = ev->resting ? ATTEMPT_RESTING : ATTEMPT_PREPARED;
    return ev->resting ? 0 : ATTEMPT_DO_SAY_PREPARED;
}

static uint32_t look_at_threads(struct attempt *a, const struct attempt_event *ev)
{
    switch (a->state) {
    case ATTEMPT_OPENING: return ev->n_opened < ev->n_threads ? 0 : ATTEMPT_DO_SAY_RUNNING | look_at_running(a, ev);
    case ATTEMPT_RUNNING:
    case ATTEMPT_RESTING: return look_at_running(a, ev);
    case ATTEMPT_COMMITTING: return ev->n_committed == ev->n_threads && ev->n_closed == ev->n_threads ? end(a, WIRE_COMMITTED) : 0;
    case ATTEMPT_STOPPING: return ev->n_closed == ev->n_threads ? end(a, a->outcome) : 0;
    case ATTEMPT_NEW:
    case ATTEMPT_READY:
    case ATTEMPT_RESTORING:
    case ATTEMPT_PREPARED:
    case ATTEMPT_ENDED: break;
    }
    return 0;
}

uint32_t attempt_step(struct attempt *a, const struct attempt_event *ev)
{
    switch (ev->type) {
    case ATTEMPT_EV_DEPLOYED:
        if (a->state != ATTEMPT_NEW) return 0;
        a->state = ATTEMPT_READY;
        return ATTEMPT_DO_SAY_READY;
    case ATTEMPT_EV_START: return start(a, ev);
    case ATTEMPT_EV_RESTORED:
        if (a->state != ATTEMPT_RESTORING) return 0;
        a->state = ATTEMPT_OPENING;
        return ATTEMPT_DO_RUN;
    case ATTEMPT_EV_COMMIT:
        if (a->state == ATTEMPT_PREPARED) return commit(a);
        a->commit_due |= ev->stopped && (a->state == ATTEMPT_RUNNING || a->state == ATTEMPT_RESTING);
        return 0;
    case ATTEMPT_EV_CANCEL:
        return a->state == ATTEMPT_COMMITTING ? 0 : stop(a, WIRE_CANCELED); /* once committing, the end is near anyway */
    case ATTEMPT_EV_FAILED: return stop(a, WIRE_FAILED);
    case ATTEMPT_EV_THREADS: return look_at_threads(a, ev);
    }
    return 0;
}
