/* SPDX-License-Identifier: Apache-2.0 */
#include "jobmanager/schedule.h"

#include <stdlib.h>

#include "runtime/base/assert.h"

/* The host that gets the next slot; given[i] of its free slots are taken already. */
static uint32_t choose(const uint32_t *free_slots, const uint32_t *given, uint32_t n_hosts)
{
    uint32_t best = n_hosts;
    for (uint32_t i = 0; i < n_hosts; i++) {
        if (given[i] == free_slots[i]) continue;
        if (best == n_hosts || given[i] < given[best] || (given[i] == given[best] && free_slots[i] > free_slots[best])) best = i;
    }
    WEIR_ASSERT(best < n_hosts);
    return best;
}

weir_err schedule_spread(const uint32_t *free_slots, uint32_t n_hosts, uint32_t n_slots, uint32_t *slot_host)
{
    uint64_t total = 0;
    for (uint32_t i = 0; i < n_hosts; i++) total += free_slots[i];
    if (total < n_slots) return WEIR_E_LIMIT;
    uint32_t *given = calloc((size_t)n_hosts + 1, sizeof *given);
    WEIR_ASSERT(given);
    for (uint32_t slot = 0; slot < n_slots; slot++) {
        slot_host[slot] = choose(free_slots, given, n_hosts);
        given[slot_host[slot]]++;
    }
    free(given);
    return WEIR_OK;
}
