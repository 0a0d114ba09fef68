/* SPDX-License-Identifier: Apache-2.0 */
/* What REGISTER tells a new leader of the workers that are here, so that it can adopt the attempts they belong to. */
#include <stdlib.h>
#include <string.h>

#include "runtime/base/assert.h"
#include "taskmanager/supervisor_internal.h"

static_assert(WIRE_REPORTS_MAX >= WEIR_SLOTS_MAX + ENDED_KEPT, "each worker holds a slot, and ended ones are few");

void report_init(struct worker *w, const struct wire_msg *deploy)
{
    uint32_t n = 0;
    uint32_t *slots = calloc(w->n_slots, sizeof *slots);
    WEIR_ASSERT(slots);
    for (uint32_t i = 0; i < deploy->deploy.n_slots; i++)
        if (deploy->deploy.slot_worker[i] == deploy->deploy.worker) slots[n++] = i;
    w->report = (struct wire_worker){.job = w->job,
                                     .attempt = w->attempt,
                                     .epoch = w->epoch,
                                     .state = WIRE_WORKER_IS_STARTING,
                                     .worker = deploy->deploy.worker,
                                     .n_workers = deploy->deploy.n_workers,
                                     .n_slots = n,
                                     .slots = slots,
                                     .endpoint = supervisor_copy_text(""),
                                     .restored_id = deploy->deploy.restore.id};
}

void report_close(struct worker *w)
{
    free(w->report.slots);
    free((char *)(uintptr_t)w->report.endpoint);
}

void report_said(struct worker *w, const struct wire_msg *msg)
{
    switch ((int)msg->type) {
    case WIRE_WORKER_READY:
        free((char *)(uintptr_t)w->report.endpoint);
        w->report.endpoint = supervisor_copy_text(msg->ready.endpoint);
        w->report.incarnation = msg->ready.incarnation;
        w->report.state = WIRE_WORKER_IS_READY;
        return;
    case WIRE_WORKER_RUNNING: w->report.state = WIRE_WORKER_IS_RUNNING; return;
    case WIRE_WORKER_PREPARED: w->report.state = WIRE_WORKER_IS_PREPARED; return;
    default: return;
    }
}

void report_ordered(struct worker *w, const struct wire_msg *msg)
{
    if (msg->type != WIRE_TRIGGER || msg->trigger.id <= w->report.triggered) return;
    w->report.triggered = msg->trigger.id;
    w->report.options = msg->trigger.options;
}

struct ended_attempt report_ended(const struct worker *w, enum wire_outcome outcome)
{
    return (struct ended_attempt){.job = w->job,
                                  .attempt = w->attempt,
                                  .epoch = w->epoch,
                                  .outcome = outcome,
                                  .worker = w->report.worker,
                                  .n_workers = w->report.n_workers,
                                  .triggered = w->report.triggered,
                                  .options = w->report.options};
}

uint32_t report_fill(const struct supervisor *s, struct wire_worker *out)
{
    uint32_t n = 0, n_ended = s->n_ended < ENDED_KEPT ? s->n_ended : ENDED_KEPT;
    for (uint32_t i = 0; i < s->n_workers; i++) out[n++] = s->workers[i]->report;
    for (uint32_t i = 0; i < n_ended; i++) {
        const struct ended_attempt *e = &s->ended[i];
        if (e->outcome != WIRE_COMMITTED) continue;
        out[n++] = (struct wire_worker){.job = e->job,
                                        .attempt = e->attempt,
                                        .epoch = e->epoch,
                                        .state = WIRE_WORKER_HAS_COMMITTED,
                                        .worker = e->worker,
                                        .n_workers = e->n_workers,
                                        .triggered = e->triggered,
                                        .options = e->options,
                                        .endpoint = ""};
    }
    return n;
}
