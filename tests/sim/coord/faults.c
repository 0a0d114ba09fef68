/* SPDX-License-Identifier: Apache-2.0 */
/* What a seed draws: the ensemble, its network and disks, what happens to them, what clients do. And the healing. */
#include "tests/sim/coord/ensemble.h"

#include <stdlib.h>

#include "runtime/base/assert.h"

#define HEAL_MS 8000  /* bound for everything to be well again */
#define GRACE_MS 1500 /* an ensemble that is well stays well so long, while clients go on */

static uint32_t up_to(struct ens *e, uint32_t most)
{
    return (uint32_t)ens_random(e, most + 1);
}

static uint32_t any_peer(struct ens *e)
{
    return 1 + (uint32_t)ens_random(e, e->config.n_peers);
}

/* ---- single faults ---- */

static void crash(struct ens *e, uint32_t id)
{
    struct ens_peer *p = &e->peers[id];
    if (!p->core) return;
    if (ens_chance(e, 500))
        peer_crash(e, id, up_to(e, p->disk.n));
    else
        p->crash_in = (int32_t)up_to(e, 40);
    ens_push(e, (struct ens_event){.kind = ENS_EV_START, .peer = id}, e->now_ms + 20 + ens_delay(e, 800));
}

/* Everybody at once: a power cut. */
void fault_power(struct ens *e)
{
    if (e->healed) return;
    for (uint32_t id = 1; id <= e->config.n_peers; id++) {
        peer_crash(e, id, up_to(e, e->peers[id].disk.n));
        ens_push(e, (struct ens_event){.kind = ENS_EV_START, .peer = id}, e->now_ms + 20 + ens_delay(e, 300));
    }
}

/* A pause is never made shorter: what waits for its end keeps its place. */
static void pause_peer(struct ens *e, struct ens_peer *p)
{
    int64_t until = e->now_ms + 50 + ens_delay(e, 1200);
    if (until > p->paused_ms) p->paused_ms = until;
}

static void cut_some(struct ens *e)
{
    uint32_t a = any_peer(e);
    struct ens_peer *leader = ens_leader(e);
    if (leader && ens_chance(e, 500)) a = leader->id;
    bool out = ens_chance(e, 700), in = !out || ens_chance(e, 500);
    for (uint32_t b = 1; b <= e->config.n_peers; b++) {
        if (b == a || ens_chance(e, 300)) continue;
        net_cut(e, a, b, out);
        net_cut(e, b, a, in);
    }
}

static void mend(struct ens *e)
{
    for (uint32_t a = 1; a <= e->config.n_peers; a++)
        for (uint32_t b = 1; b <= e->config.n_peers; b++)
            if (a != b) net_cut(e, a, b, false);
}

void fault_strike(struct ens *e)
{
    if (e->healed) return;
    uint32_t id = any_peer(e);
    struct ens_peer *leader = ens_leader(e);
    if (leader && ens_chance(e, 300)) id = leader->id;
    switch (ens_random(e, 10)) {
    case 0:
    case 1: crash(e, id); return;
    case 2:
        if (ens_chance(e, 300)) fault_power(e);
        return;
    case 3: pause_peer(e, &e->peers[id]); return;
    case 4:
    case 5: cut_some(e); return;
    case 6:
    case 7: mend(e); return;
    case 8: {
        uint32_t other = any_peer(e);
        if (other != id) net_break(e, id, other);
        return;
    }
    default: e->peers[id].fsync_ms = ens_chance(e, 500) ? 300 : e->config.fsync_ms; return;
    }
}

void fault_at_role(struct ens *e, struct ens_peer *p)
{
    if (e->healed || !ens_chance(e, e->config.strikes)) return;
    uint32_t other = any_peer(e);
    switch (ens_random(e, 5)) {
    case 0:
        p->crash_in = (int32_t)up_to(e, 25);
        ens_push(e, (struct ens_event){.kind = ENS_EV_START, .peer = p->id}, e->now_ms + 20 + ens_delay(e, 200));
        return;
    case 1: pause_peer(e, p); return;
    case 2: p->fsync_ms = ens_chance(e, 500) ? 100 : e->config.fsync_ms; return;
    case 3: /* the power goes while every disk is slow: much was written, little is there */
        for (uint32_t id = 1; id <= e->config.n_peers; id++) e->peers[id].fsync_ms = 60;
        ens_push(e, (struct ens_event){.kind = ENS_EV_POWER}, e->now_ms + ens_delay(e, 120));
        return;
    default:
        if (other != p->id) net_break(e, p->id, other);
        return;
    }
}

/* ---- a seed ---- */

struct ens_config fault_draw(struct ens *e)
{
    struct ens_config c = {
        .delay_ms = 1 + up_to(e, 8), .break_ms = up_to(e, 200), .detect_ms = 600, .retry_ms = 40, .fsync_ms = 1 + up_to(e, 10)};
    c.n_voters = ens_random(e, 4) == 0 ? 5 : ens_random(e, 8) == 0 ? 1 : 3;
    c.n_members = c.n_voters + (ens_random(e, 3) == 0);
    c.n_peers = c.n_members;
    if (ens_random(e, 3) == 0) {
        c.reconfigs = 1 + up_to(e, 6);
        c.n_peers = c.n_voters == 5 ? 7 : c.n_members + up_to(e, 2);
    }
    c.slow_per_mille = ens_random(e, 2) ? up_to(e, 30) : 0;
    c.slow_ms = 20 + up_to(e, ens_random(e, 3) ? 300 : 1500);
    c.ops = up_to(e, 150);
    c.faults = ens_random(e, 8) ? up_to(e, 24) : 0;
    c.lies = ens_random(e, 3) ? 0 : 300;
    c.strikes = ens_random(e, 2) ? 0 : up_to(e, 300);
    c.rage_ms = 500 + (int64_t)ens_random(e, 2500);
    c.window_bytes = ens_random(e, 2) ? 1u << 20 : 64 + up_to(e, 2000);
    c.read_bytes = ens_random(e, 2) ? 1u << 16 : up_to(e, 64);
    c.flight_bytes = ens_random(e, 2) ? 1u << 20 : 1 + up_to(e, 64);
    c.snapshot_every = ens_random(e, 2) ? 2 + up_to(e, 20) : 0;
    return c;
}

void fault_schedule(struct ens *e, enum ens_kind kind, uint32_t n, int64_t from_ms, int64_t to_ms)
{
    for (uint32_t i = 0; i < n; i++) {
        struct ens_event ev = {.kind = kind};
        if (kind == ENS_EV_OP) {
            ev.peer = any_peer(e);
            ev.other = ens_random(e, 3) ? ENS_WRITE : ENS_READ;
            ev.len = (uint32_t)ens_random(e, ENS_KEYS);
        }
        ens_push(e, ev, from_ms + (int64_t)ens_random(e, (uint64_t)(to_ms - from_ms)));
    }
}

/* Times when everything is well, too: a leader is made first, sometimes, and bursts come. */
static void schedule_all(struct ens *e)
{
    const struct ens_config *c = &e->config;
    int64_t begin = ens_random(e, 2) ? 0 : 150;
    fault_schedule(e, ENS_EV_OP, c->ops / 2, 0, c->rage_ms);
    int64_t burst = (int64_t)ens_random(e, (uint64_t)c->rage_ms);
    fault_schedule(e, ENS_EV_OP, c->ops / 2, burst, burst + 60);
    fault_schedule(e, ENS_EV_FAULT, c->faults, begin, c->rage_ms);
    fault_schedule(e, ENS_EV_RECONFIG, c->reconfigs, begin, c->rage_ms);
}

void fault_snapshot(struct ens *e)
{
    struct ens_peer *p = &e->peers[any_peer(e)];
    if (e->config.snapshot_every && p->core && p->paused_ms <= e->now_ms && !e->violated) disk_take_snapshot(e, p);
}

static void rage(struct ens *e)
{
    int64_t until = e->config.rage_ms;
    while (!e->violated && e->now_ms < until) {
        ens_run(e, 1 + (int64_t)ens_random(e, 200));
        fault_snapshot(e);
    }
}

int64_t fault_end(struct ens *e)
{
    e->healed = true;
    ens_trace(e, "healed");
    mend(e);
    e->config.slow_per_mille = 0;
    /* breaks not yet noticed, messages on their way and pauses are still of the bad times */
    int64_t rest = e->config.break_ms > e->config.slow_ms ? e->config.break_ms : e->config.slow_ms;
    for (uint32_t id = 1; id <= e->config.n_peers; id++) {
        struct ens_peer *p = &e->peers[id];
        if (p->paused_ms - e->now_ms > rest) rest = p->paused_ms - e->now_ms;
        p->crash_in = -1;
        p->fsync_ms = e->config.fsync_ms;
        ens_push(e, (struct ens_event){.kind = ENS_EV_START, .peer = id}, e->now_ms);
    }
    net_mend(e);
    return rest;
}

bool ens_heal(struct ens *e, int64_t ms)
{
    int64_t rest = fault_end(e);
    ens_run(e, rest + 1);
    const char *why;
    for (int64_t end = e->now_ms + ms; e->now_ms < end && !e->violated;) {
        ens_run(e, 20);
        if (check_settled(e, &why)) return true;
    }
    if (!e->violated) ens_violate(e, "not well %lld ms after the healing: %s", (long long)ms, why);
    return false;
}

/* Well is more than quiet: each member writes and reads, and the leader stays. */
static void prove_well(struct ens *e)
{
    uint64_t epoch = ens_leader(e)->epoch;
    uint32_t first = e->n_ops;
    for (uint32_t i = 0; i < ens_leader(e)->members.n && !e->violated; i++) {
        client_op(e, ens_leader(e)->members.at[i].id, ENS_WRITE, 0);
        client_op(e, ens_leader(e)->members.at[i].id, ENS_READ, 0);
    }
    ens_run(e, GRACE_MS);
    const char *why;
    if (e->violated) return;
    if (!check_settled(e, &why))
        ens_violate(e, "no longer well: %s", why);
    else if (ens_leader(e)->epoch != epoch)
        ens_violate(e, "the leader was deposed without need");
    for (uint32_t i = first; i < e->n_ops; i++)
        if (!e->ops[i].answered) ens_violate(e, "operation %u of peer %u was not answered though all is well", i, e->ops[i].peer);
}

void ens_run_seed(struct ens **out, uint64_t seed, bool print)
{
    struct ens draw = {.random = seed * 0x9e3779b97f4a7c15u + 1};
    struct ens_config config = fault_draw(&draw);
    struct ens *e;
    ens_new(&e, &config, draw.random, false, print);
    e->seed = seed;
    *out = e;
    schedule_all(e);
    if (ens_chance(e, 300)) e->peers[any_peer(e)].fsync_ms = up_to(e, 250); /* one bad disk */
    rage(e);
    if (!e->violated && ens_heal(e, HEAL_MS)) prove_well(e);
    if (!e->violated) check_history(e);
}
