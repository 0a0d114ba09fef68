/* SPDX-License-Identifier: Apache-2.0 */
#include "taskmanager/worker/checkpointing.h"

#include "runtime/wire/message.h"

static bool is_under_way(const struct checkpointing *c, uint64_t id)
{
    return c->state != CHECKPOINTING_IDLE && c->id == id;
}

static uint32_t drop(struct checkpointing *c, uint64_t id)
{
    c->dropped = id;
    c->state = CHECKPOINTING_IDLE;
    return CHECKPOINTING_DO_DROP;
}

/* Gives up an older one; the threads were told of the new one by whoever brought it here. */
static uint32_t begin(struct checkpointing *c, const struct checkpointing_event *ev)
{
    uint32_t todo = c->state == CHECKPOINTING_IDLE ? 0 : drop(c, c->id);
    c->state = CHECKPOINTING_COLLECTING;
    c->id = ev->id;
    c->n_snapshots = 0;
    c->triggered = false;
    c->resting = (ev->options & CHECKPOINT_STOP) != 0;
    c->stopped = false;
    return todo;
}

static uint32_t store_if_whole(struct checkpointing *c)
{
    if (!c->triggered || c->n_snapshots < c->n_subtasks) return 0;
    c->state = CHECKPOINTING_STORING;
    return CHECKPOINTING_DO_STORE;
}

static uint32_t trigger(struct checkpointing *c, const struct checkpointing_event *ev)
{
    uint32_t todo = 0;
    if (ev->id > c->id)
        todo = begin(c, ev);
    else if (c->state != CHECKPOINTING_COLLECTING || c->id != ev->id || c->triggered)
        return 0; /* doubled, or late */
    c->triggered = true;
    c->options = ev->options;
    return todo | CHECKPOINTING_DO_TRIGGER | store_if_whole(c);
}

static uint32_t take_snapshot(struct checkpointing *c, const struct checkpointing_event *ev)
{
    uint32_t todo = ev->id > c->id ? begin(c, ev) : 0;
    if (c->state != CHECKPOINTING_COLLECTING || c->id != ev->id) return ev->failed ? 0 : CHECKPOINTING_DO_PERSIST_ONLY;
    if (ev->failed) return todo | drop(c, ev->id) | CHECKPOINTING_DO_SAY_DECLINE;
    c->n_snapshots++;
    return todo | CHECKPOINTING_DO_PERSIST | store_if_whole(c);
}

static uint32_t end_storing(struct checkpointing *c, const struct checkpointing_event *ev)
{
    if (c->state != CHECKPOINTING_STORING || c->id != ev->id) return 0;
    c->state = CHECKPOINTING_IDLE;
    if (ev->failed) return CHECKPOINTING_DO_SAY_DECLINE;
    c->acknowledged = c->id;
    return CHECKPOINTING_DO_SAY_ACK;
}

/* A doubled one is passed on as well: sinks may have missed the first. What rests behind it has nothing to go on for. */
static uint32_t complete(struct checkpointing *c, const struct checkpointing_event *ev)
{
    if (ev->id > c->completed) c->completed = ev->id;
    if (ev->id >= c->id && c->resting) {
        c->resting = false;
        c->stopped = true;
    }
    return CHECKPOINTING_DO_COMPLETE;
}

static uint32_t give_up(struct checkpointing *c, const struct checkpointing_event *ev)
{
    if (ev->id >= c->acknowledged) c->acknowledged = 0; /* orders come in order: what had become of older ones is known */
    if (ev->id < c->id) return 0;                       /* it was superseded already */
    c->resting = false;
    uint32_t todo = is_under_way(c, ev->id) ? drop(c, ev->id) : 0;
    c->dropped = ev->id;
    c->id = ev->id;
    return todo | CHECKPOINTING_DO_ABORT;
}

uint64_t checkpointing_kept(const struct checkpointing *c)
{
    uint64_t kept = c->acknowledged > c->completed ? c->acknowledged : c->completed;
    return c->state != CHECKPOINTING_IDLE && c->id > kept ? c->id : kept;
}

uint32_t checkpointing_step(struct checkpointing *c, const struct checkpointing_event *ev)
{
    switch (ev->type) {
    case CHECKPOINTING_EV_TRIGGER: return trigger(c, ev);
    case CHECKPOINTING_EV_SNAPSHOT: return take_snapshot(c, ev);
    case CHECKPOINTING_EV_LOST: return is_under_way(c, ev->id) ? drop(c, ev->id) : 0;
    case CHECKPOINTING_EV_STORED: return end_storing(c, ev);
    case CHECKPOINTING_EV_COMPLETE: return complete(c, ev);
    case CHECKPOINTING_EV_ABORT: return give_up(c, ev);
    }
    return 0;
}
