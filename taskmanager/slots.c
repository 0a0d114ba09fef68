/* SPDX-License-Identifier: Apache-2.0 */
#include "taskmanager/slots.h"

#include "runtime/base/assert.h"

void slots_init(struct slots *s, uint32_t n)
{
    WEIR_ASSERT(n > 0);
    WEIR_ASSERT(n <= WEIR_SLOTS_MAX);
    *s = (struct slots){.n = n, .n_free = n};
}

bool slots_take(struct slots *s, struct weir_id job, uint32_t attempt, uint32_t n)
{
    if (n > s->n_free) return false;
    s->n_free -= n;
    for (uint32_t i = 0; n > 0; i++) {
        if (s->holders[i].used) continue;
        s->holders[i] = (struct slots_holder){.used = true, .job = job, .attempt = attempt};
        n--;
    }
    return true;
}

uint32_t slots_release(struct slots *s, struct weir_id job, uint32_t attempt)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < s->n; i++) {
        struct slots_holder *holder = &s->holders[i];
        if (!holder->used || holder->attempt != attempt || !id_equal(holder->job, job)) continue;
        holder->used = false;
        n++;
    }
    s->n_free += n;
    return n;
}
