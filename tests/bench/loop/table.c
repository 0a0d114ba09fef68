/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/bench/loop/table.h"

#define TABLE_BITS_MIN 6

static size_t slots_size(const struct loop_table *t)
{
    return t->bits ? sizeof(struct table_slot) << t->bits : 0;
}

void loop_table_grow(struct loop_table *t)
{
    struct loop_table old = *t;
    t->bits = old.bits ? old.bits + 1 : TABLE_BITS_MIN;
    t->slots = loop_space_grow(NULL, 0, slots_size(t));
    uint32_t mask = ((uint32_t)1 << t->bits) - 1;
    for (size_t i = 0; i < slots_size(&old) / sizeof(struct table_slot); i++) {
        if (!old.slots[i].entry) continue;
        uint32_t at = loop_table_begin(t, old.slots[i].tag);
        while (t->slots[at].entry) at = (at + 1) & mask;
        t->slots[at] = old.slots[i];
    }
    loop_space_free(old.slots, slots_size(&old));
}

void loop_table_clear(struct loop_table *t)
{
    if (t->n) memset(t->slots, 0, slots_size(t));
    t->n = 0;
    t->entries.items.size = 0;
    t->entries.free = 0;
}

void loop_table_close(struct loop_table *t)
{
    loop_space_free(t->slots, slots_size(t));
    loop_vec_close(&t->entries.items);
    *t = (struct loop_table){0};
}

/* Linear probing needs no tombstones: entries behind the hole move into it unless probing for them begins after it. */
void loop_table_free_slot(struct loop_table *t, uint32_t tag, uint32_t number)
{
    uint32_t mask = ((uint32_t)1 << t->bits) - 1, hole = loop_table_begin(t, tag);
    while (t->slots[hole].entry != number) hole = (hole + 1) & mask;
    for (uint32_t at = (hole + 1) & mask; t->slots[at].entry; at = (at + 1) & mask) {
        uint32_t begin = loop_table_begin(t, t->slots[at].tag);
        if (((at - begin) & mask) < ((at - hole) & mask)) continue;
        t->slots[hole] = t->slots[at];
        hole = at;
    }
    t->slots[hole] = (struct table_slot){0};
    t->n--;
}
