/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/operator/groups.h"

#include <string.h>

static bool same_key(const struct weir_key *a, const struct weir_key *b)
{
    if (a->hash != b->hash || a->length != b->length) return false;
    return a->length == 0 || memcmp(a->data, b->data, a->length) == 0;
}

static void begin_group(struct groups *g, uint32_t i)
{
    g->first[g->n] = g->last[g->n] = i;
    g->of[i] = g->n++;
}

static void join_group(struct groups *g, uint32_t group, uint32_t i)
{
    g->next[g->last[group]] = i;
    g->last[group] = i;
    g->of[i] = group;
}

void groups_make(struct groups *g, const struct weir_key *keys, uint32_t n)
{
    uint32_t slots = 16;
    while (slots < 2 * n) slots *= 2;
    memset(g->slots, 0, slots * sizeof g->slots[0]);
    g->n = 0;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t at = (uint32_t)keys[i].hash & (slots - 1);
        while (g->slots[at] && !same_key(&keys[g->first[g->slots[at] - 1]], &keys[i])) at = (at + 1) & (slots - 1);
        g->next[i] = GROUPS_END;
        if (g->slots[at]) {
            join_group(g, g->slots[at] - 1u, i);
        } else {
            begin_group(g, i);
            g->slots[at] = (uint16_t)g->n;
        }
    }
}
