/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/state/supply.h"

#include "runtime/state/memory.h"

static void make_ready(void *arg, struct background_task *batch)
{
    (void)arg;
    for (struct background_task *task = batch; task; task = task->next) ((struct supply_order *)task)->block = memory_map_block();
}

static void drop(struct background_task *task)
{
    struct supply_order *order = (struct supply_order *)task;
    if (order->block) memory_unmap_block(order->block);
}

/* Without a thread nothing is ever ready, and whoever takes blocks maps them. */
static void start(struct supply *s)
{
    struct background_config config = {.name = "weir-supply", .work = make_ready, .drop = drop};
    struct weir_diag diag;
    if (background_new(&s->thread, &config, &diag)) return;
    for (uint32_t i = 0; i < SUPPLY_BLOCKS; i++) s->idle[s->n_idle++] = &s->orders[i];
}

static void order(struct supply *s)
{
    if (!s->thread) start(s);
    while (s->n_idle) {
        struct supply_order *order = s->idle[--s->n_idle];
        order->block = NULL;
        background_give(s->thread, &order->task);
    }
}

static void collect(struct supply *s)
{
    if (!s->thread || s->n_idle + s->n_ready == SUPPLY_BLOCKS) return;
    for (struct background_task *task; (task = background_take(s->thread)) != NULL;) {
        struct supply_order *order = (struct supply_order *)task;
        if (order->block)
            s->ready[s->n_ready++] = order;
        else
            s->idle[s->n_idle++] = order;
    }
}

void supply_close(struct supply *s)
{
    background_destroy(&s->thread);
    while (s->n_ready) memory_unmap_block(s->ready[--s->n_ready]->block);
}

void *supply_take(struct supply *s)
{
    void *block = NULL;
    collect(s);
    if (s->n_ready) {
        struct supply_order *ready = s->ready[--s->n_ready];
        block = ready->block;
        s->idle[s->n_idle++] = ready;
    }
    order(s);
    return block;
}

bool supply_is_coming(struct supply *s)
{
    collect(s);
    return s->thread && s->n_ready == 0 && s->n_idle < SUPPLY_BLOCKS;
}
