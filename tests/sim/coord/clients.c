/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clients: each writes or reads one register through one peer. A write goes to the leader, forwarded by a follower, and is answered when
 * the peer that was asked delivers it; a read is a barrier. An operation whose peer crashed or lost its role is never answered.
 */
#include "tests/sim/coord/ensemble.h"

#include <string.h>

void client_op(struct ens *e, uint32_t id, enum ens_op_kind kind, uint32_t key)
{
    struct ens_peer *p = &e->peers[id];
    if (!p->core || e->n_ops == ENS_OPS_MAX) return;
    uint32_t i = e->n_ops++;
    ens_push(e, (struct ens_event){.kind = ENS_EV_ASKED, .peer = id, .life = p->life, .offset = i}, e->now_ms);
    e->ops[i] = (struct ens_op){
        .kind = kind, .key = key, .value = i + 1, .peer = id, .life = p->life, .chosen_before = e->n_chosen, .asked = 2 * e->n_events_done};
}

/* The request has reached the peer: at once, or when it goes on after a pause. */
void client_asked(struct ens *e, struct ens_peer *p, uint32_t i)
{
    struct ens_op *op = &e->ops[i];
    struct zab_event ev = {.type = op->kind == ENS_READ ? ZAB_EV_BARRIER : p->role == ZAB_LEADING ? ZAB_EV_PROPOSE : ZAB_EV_FORWARD};
    if (op->kind == ENS_READ)
        ev.token = i;
    else
        ev.bytes = (struct weir_bytes){&i, sizeof i};
    peer_step(e, p, &ev);
    op->refused = p->core && p->life == op->life && e->actions.outcome != ZAB_TAKEN; /* it did not happen */
}

void client_forwarded(struct ens *e, struct ens_peer *p, struct weir_bytes bytes)
{
    struct zab_event ev = {.type = ZAB_EV_PROPOSE, .bytes = bytes};
    peer_step(e, p, &ev);
}

static void forwarded(struct ens *e, struct ens_peer *p, uint32_t from, struct weir_bytes bytes)
{
    (void)from;
    struct ens_event ev = {.kind = ENS_EV_FORWARDED, .peer = p->id, .life = p->life, .len = bytes.length};
    ev.data = ens_keep(e, bytes.data, bytes.length);
    ens_push(e, ev, e->now_ms);
}

static void delivered(struct ens *e, struct ens_peer *p, const struct zab_entry *entry)
{
    if (entry->kind != ZAB_ENTRY_DATA) return;
    uint32_t i;
    memcpy(&i, entry->bytes.data, sizeof i);
    struct ens_op *op = &e->ops[i];
    if (op->peer != p->id || op->life != p->life || op->answered) return;
    op->answered = 2 * e->n_events_done + 1;
    e->n_acknowledged++;
    ens_trace(e, "%u: write %u acknowledged", p->id, i);
}

static uint32_t value_at(const struct ens *e, uint32_t place, uint32_t key)
{
    while (place-- > 0) {
        const struct zab_entry *entry = &e->chosen[place];
        if (entry->kind != ZAB_ENTRY_DATA) continue;
        uint32_t i;
        memcpy(&i, entry->bytes.data, sizeof i);
        if (e->ops[i].key == key) return e->ops[i].value;
    }
    return 0;
}

static void synced(struct ens *e, struct ens_peer *p, uint64_t token)
{
    struct ens_op *op = &e->ops[token];
    op->answered = 2 * e->n_events_done + 1;
    op->value = value_at(e, p->place, op->key);
    e->n_reads++;
    check_read(e, p, op);
}

const struct ens_above clients_above = {.delivered = delivered, .forwarded = forwarded, .synced = synced};

/* ---- changes of members ---- */

/* Adds a stranger as observer, turns an observer into a voter or back, or takes somebody out. */
static struct zab_change draw_change(struct ens *e, const struct zab_members *m)
{
    uint32_t id = 1 + (uint32_t)ens_random(e, e->config.n_peers);
    const struct zab_member *member = members_find(m, id);
    struct zab_change change = {.member = {.id = id, .observer = true}};
    if (!member) return change;
    if (ens_random(e, 3) == 0)
        change.remove = true;
    else
        change.member.observer = !member->observer;
    return change;
}

void client_reconfig(struct ens *e)
{
    struct ens_peer *p = ens_leader(e);
    if (!p || p->paused_ms > e->now_ms) return;
    struct zab_change changes[2] = {draw_change(e, &p->members), draw_change(e, &p->members)};
    struct zab_event ev = {.type = ZAB_EV_RECONFIG};
    ev.reconfig.n = 1 + (uint32_t)ens_random(e, 2);
    ev.reconfig.changes = changes;
    uint32_t life = p->life;
    peer_step(e, p, &ev);
    if (p->core && p->life == life && e->actions.outcome == ZAB_TAKEN) e->n_reconfigured++;
}
