/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Links as the core is promised them: in order, whole, and broken for good once anything was lost. Each end notices a break at a time of
 * its own; until then it may still get what was on its way. A cut loses all one way, which dooms the link.
 */
#include "tests/sim/coord/ensemble.h"

#include "runtime/base/assert.h"

static struct ens_link *link_of(struct ens *e, uint32_t a, uint32_t b)
{
    return a < b ? &e->links[a][b] : &e->links[b][a];
}

static int end_of(uint32_t id, uint32_t other)
{
    return id > other;
}

static void push_connect(struct ens *e, uint32_t a, uint32_t b, int64_t delay)
{
    ens_push(e, (struct ens_event){.kind = ENS_EV_CONNECT, .peer = a, .other = b}, e->now_ms + delay);
}

void net_begin(struct ens *e)
{
    for (uint32_t a = 1; a <= e->config.n_peers; a++)
        for (uint32_t b = a + 1; b <= e->config.n_peers; b++) push_connect(e, a, b, 6);
}

static void notice(struct ens *e, uint32_t id, uint32_t other, int64_t delay)
{
    struct ens_link *l = link_of(e, id, other);
    if (!l->end_up[end_of(id, other)]) return;
    ens_push(e, (struct ens_event){.kind = ENS_EV_LINK_DOWN, .peer = id, .life = e->peers[id].life, .other = other, .link = l->number},
             e->now_ms + delay);
}

void net_break(struct ens *e, uint32_t a, uint32_t b)
{
    struct ens_link *l = link_of(e, a, b);
    if (!l->connected) return;
    l->connected = false;
    notice(e, a, b, ens_delay(e, e->config.break_ms));
    notice(e, b, a, ens_delay(e, e->config.break_ms));
}

void net_reset(struct ens *e, uint32_t from, uint32_t to)
{
    struct ens_link *l = link_of(e, from, to);
    l->end_up[end_of(from, to)] = false;
    if (!l->connected) return;
    l->connected = false;
    notice(e, to, from, ens_delay(e, e->config.break_ms));
}

void net_crash(struct ens *e, uint32_t id)
{
    for (uint32_t other = 1; other <= e->config.n_peers; other++)
        if (other != id) net_reset(e, id, other);
}

void net_cut(struct ens *e, uint32_t from, uint32_t to, bool cut)
{
    e->cut[from][to] = cut;
}

/* Lost: the link cannot go on. */
static void doom(struct ens *e, struct ens_link *l, uint32_t a, uint32_t b)
{
    if (l->doomed) return;
    l->doomed = true;
    ens_push(e, (struct ens_event){.kind = ENS_EV_BREAK, .peer = a, .other = b, .link = l->number},
             e->now_ms + ens_delay(e, e->config.detect_ms));
}

/* The vote as it might have been: whoever wins by it, discovery must get it right. */
static const struct zab_message *tell_lie(struct ens *e, const struct zab_message *m, struct zab_message *lie)
{
    *lie = *m;
    lie->epoch = ens_random(e, 5);
    lie->zxid = (struct zxid){ens_random(e, 5), ens_random(e, 30)};
    return lie;
}

void network_send(struct ens *e, uint32_t from, uint32_t to, const struct zab_message *m)
{
    struct ens_link *l = link_of(e, from, to);
    if (!l->connected) return; /* broken, and this end does not know yet */
    int end = end_of(to, from);
    if (e->cut[from][to]) {
        l->lost[end] = true;
        doom(e, l, from, to);
    }
    if (l->lost[end]) return; /* nothing comes behind a gap */
    int64_t delay = ens_chance(e, e->config.slow_per_mille) ? ens_delay(e, e->config.slow_ms) : ens_delay(e, e->config.delay_ms);
    int64_t at = e->now_ms + delay;
    if (at < l->last_ms[end]) at = l->last_ms[end];
    l->last_ms[end] = at;
    buffer_clear(&e->scratch);
    struct zab_message lie;
    if (m->type == ZAB_VOTE && !e->healed && ens_chance(e, e->config.lies)) m = tell_lie(e, m, &lie);
    message_encode(m, &e->scratch);
    WEIR_ASSERT(!e->scratch.err);
    struct ens_event ev = {.kind = ENS_EV_MESSAGE, .peer = to, .life = e->peers[to].life, .other = from, .link = l->number};
    ev.data = ens_keep(e, e->scratch.data, e->scratch.len);
    ev.len = (uint32_t)e->scratch.len;
    ens_push(e, ev, at);
}

void net_mend(struct ens *e)
{
    for (uint32_t a = 1; a <= e->config.n_peers; a++)
        for (uint32_t b = a + 1; b <= e->config.n_peers; b++)
            if (e->links[a][b].doomed) net_break(e, a, b);
}

/* ---- events ---- */

static bool wanted(const struct ens *e, uint32_t a, uint32_t b)
{
    const struct ens_peer *pa = &e->peers[a], *pb = &e->peers[b];
    return pa->core && pb->core && ((pa->wants >> b & 1) || (pb->wants >> a & 1));
}

static void on_connect(struct ens *e, uint32_t a, uint32_t b)
{
    struct ens_link *l = link_of(e, a, b);
    push_connect(e, a, b, e->config.retry_ms);
    if (l->connected || l->end_up[0] || l->end_up[1] || !wanted(e, a, b) || e->cut[a][b] || e->cut[b][a]) return;
    if (e->peers[a].paused_ms > e->now_ms || e->peers[b].paused_ms > e->now_ms) return;
    *l = (struct ens_link){.connected = true, .end_up = {true, true}, .number = l->number + 1, .last_ms = {e->now_ms, e->now_ms}};
    for (int i = 0; i < 2; i++) {
        struct ens_event up = {.kind = ENS_EV_LINK_UP, .peer = i ? b : a, .other = i ? a : b, .link = l->number};
        up.life = e->peers[up.peer].life;
        ens_push(e, up, e->now_ms);
    }
}

void net_on_event(struct ens *e, const struct ens_event *ev)
{
    if (ev->kind == ENS_EV_CONNECT) {
        on_connect(e, ev->peer, ev->other);
        return;
    }
    struct ens_link *l = link_of(e, ev->peer, ev->other);
    if (l->number != ev->link) return;
    if (ev->kind == ENS_EV_BREAK) {
        net_break(e, ev->peer, ev->other);
        return;
    }
    bool *up = &l->end_up[end_of(ev->peer, ev->other)];
    if (!*up) return;
    struct ens_peer *p = &e->peers[ev->peer];
    struct zab_event step = {.type = ev->kind == ENS_EV_LINK_UP ? ZAB_EV_LINK_UP : ZAB_EV_LINK_DOWN, .peer = ev->other};
    struct zab_message m;
    if (ev->kind == ENS_EV_LINK_DOWN) *up = false;
    if (ev->kind == ENS_EV_MESSAGE) {
        weir_err err = message_decode(ev->data, ev->len, &m, NULL);
        WEIR_ASSERT(!err);
        step.type = ZAB_EV_MESSAGE;
        step.message.peer = ev->other;
        step.message.message = &m;
        ens_trace(e, "%u <- %u %s %llu.%llu", ev->peer, ev->other, message_name(m.type), (unsigned long long)m.zxid.epoch,
                  (unsigned long long)m.zxid.counter);
    }
    peer_step(e, p, &step);
}
