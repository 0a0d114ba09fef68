/* SPDX-License-Identifier: Apache-2.0 */
/* Local copies of checkpoints: a folder per job that outlives its workers, so that the next attempt finds its state here. */
#include <string.h>

#include "runtime/base/assert.h"
#include "taskmanager/supervisor_internal.h"

static struct local_copies *find(struct supervisor *s, struct weir_id job)
{
    for (uint32_t i = 0; i < s->n_copies; i++)
        if (id_equal(s->copies[i].job, job)) return &s->copies[i];
    return NULL;
}

static void drop(struct supervisor *s, struct local_copies *c)
{
    supervisor_act(s, SUPERVISOR_DO_FORGET_JOB)->forget_job.job = c->job;
    *c = s->copies[--s->n_copies];
}

/* There is one as long as the table is full: it has more places than a TaskManager has slots. */
static struct local_copies *longest_idle(struct supervisor *s)
{
    struct local_copies *oldest = &s->copies[0];
    for (uint32_t i = 1; i < s->n_copies; i++)
        if (s->copies[i].idle_since_ms < oldest->idle_since_ms) oldest = &s->copies[i];
    WEIR_ASSERT(oldest->idle_since_ms != INT64_MAX);
    return oldest;
}

void copies_use(struct supervisor *s, struct weir_id job)
{
    struct local_copies *c = find(s, job);
    if (!c) {
        if (s->n_copies == LOCAL_COPIES_MAX) drop(s, longest_idle(s));
        c = &s->copies[s->n_copies++];
    }
    *c = (struct local_copies){.job = job, .idle_since_ms = INT64_MAX};
}

void copies_rest(struct supervisor *s, struct weir_id job)
{
    struct local_copies *c = find(s, job);
    if (!c) return;
    c->idle_since_ms = s->now_ms;
    if (c->forgotten) drop(s, c);
}

void copies_forget(struct supervisor *s, struct weir_id job)
{
    struct local_copies *c = find(s, job);
    if (!c) return;
    if (c->idle_since_ms == INT64_MAX)
        c->forgotten = true; /* with the end of the worker that still uses them */
    else
        drop(s, c);
}

int64_t copies_deadline(const struct supervisor *s)
{
    int64_t at = INT64_MAX;
    for (uint32_t i = 0; i < s->n_copies; i++) {
        int64_t since = s->copies[i].idle_since_ms;
        if (since != INT64_MAX && since + WEIR_LOCAL_COPIES_MS < at) at = since + WEIR_LOCAL_COPIES_MS;
    }
    return at;
}

void copies_expire(struct supervisor *s)
{
    for (uint32_t i = s->n_copies; i > 0; i--) {
        struct local_copies *c = &s->copies[i - 1];
        if (c->idle_since_ms != INT64_MAX && s->now_ms >= c->idle_since_ms + WEIR_LOCAL_COPIES_MS) drop(s, c);
    }
}
