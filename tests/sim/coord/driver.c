/* SPDX-License-Identifier: Apache-2.0 */
/* What a driver does: starts a core with what its disk holds, steps it, performs its actions in order, wakes it at its deadline. */
#include "tests/sim/coord/ensemble.h"

#include "runtime/base/assert.h"

static void on_line(void *arg, bool notable, const char *line)
{
    const struct ens_peer *p = arg;
    (void)notable;
    ens_trace(p->world, "%u: %s", p->id, line);
}

/* ---- actions ---- */

static void on_members(struct ens_peer *p, const struct zab_action *a)
{
    const struct zab_members *lists[] = {a->members.active, a->members.pending};
    p->members = *a->members.active;
    p->changing = !zxid_is_zero(a->members.pending->version);
    p->wants = 0;
    for (int i = 0; i < 2; i++)
        for (uint32_t k = 0; k < lists[i]->n; k++) p->wants |= 1u << lists[i]->at[k].id;
}

static void on_role(struct ens *e, struct ens_peer *p, const struct zab_action *a)
{
    p->role = a->role.role;
    p->leader = a->role.leader;
    p->epoch = a->role.epoch;
    p->established = a->role.established;
    static const char *names[] = {"looking", "following", "observing", "leading", "detached"};
    ens_trace(e, "%u is %s %u epoch %llu%s", p->id, names[p->role], p->leader, (unsigned long long)p->epoch,
              p->established ? ", established" : "");
    check_role(e, p);
    if (e->above->role) e->above->role(e, p);
    fault_at_role(e, p);
}

static void push_read(struct ens *e, struct ens_peer *p, const struct zab_action *a)
{
    struct ens_event ev = {.peer = p->id, .life = p->life};
    if (a->type == ZAB_DO_READ_LOG) {
        ev.kind = ENS_EV_LOG_READ;
        ev.other = a->read_log.reader;
        ev.read = a->read_log.read;
        ev.zxid = a->read_log.after;
        ev.len = a->read_log.max;
    } else {
        ev.kind = ENS_EV_SNAPSHOT_READ;
        ev.other = a->peer;
        ev.read = a->read_snapshot.read;
        ev.offset = a->read_snapshot.offset;
    }
    ens_push(e, ev, e->now_ms + ens_delay(e, 1));
}

static void perform(struct ens *e, struct ens_peer *p, const struct zab_action *a)
{
    const struct ens_above *above = e->above;
    switch (a->type) {
    case ZAB_DO_SEND: network_send(e, p->id, a->peer, a->message); return;
    case ZAB_DO_RESET_LINK:
        ens_trace(e, "%u resets link to %u: %s", p->id, a->peer, a->reason);
        net_reset(e, p->id, a->peer);
        return;
    case ZAB_DO_APPEND:
    case ZAB_DO_TRUNCATE:
    case ZAB_DO_SET_EPOCHS: disk_write(e, p, a); return;
    case ZAB_DO_INSTALL:
        disk_write(e, p, a);
        if (a->install.last && above->replaced) above->replaced(e, p);
        return;
    case ZAB_DO_READ_LOG:
    case ZAB_DO_READ_SNAPSHOT: push_read(e, p, a); return;
    case ZAB_DO_END_SNAPSHOT: p->disk.pinned[a->peer] = NULL; return;
    case ZAB_DO_DELIVER:
        check_delivered(e, p, &a->entry);
        if (above->delivered) above->delivered(e, p, &a->entry);
        return;
    case ZAB_DO_ROLE: on_role(e, p, a); return;
    case ZAB_DO_MEMBERS: on_members(p, a); return;
    case ZAB_DO_FORWARDED:
        if (above->forwarded) above->forwarded(e, p, a->peer, a->bytes);
        return;
    case ZAB_DO_TOUCHED:
        if (above->touched) above->touched(e, p, a->peer, a->bytes);
        return;
    case ZAB_DO_SYNCED:
        if (above->synced) above->synced(e, p, a->token);
        return;
    case ZAB_DO_BARRIER_LOST:
        if (above->barrier_lost) above->barrier_lost(e, p, a->token);
        return;
    case ZAB_DO_FAIL: ens_violate(e, "peer %u gives up: %s", p->id, a->reason); return;
    }
}

/* Actions are performed one by one; a crash may come between any two. */
static void perform_all(struct ens *e, struct ens_peer *p, const struct zab_actions *actions)
{
    for (uint32_t i = 0; i < actions->n; i++) {
        if (p->crash_in >= 0 && p->crash_in-- == 0) {
            peer_crash(e, p->id, (uint32_t)ens_random(e, p->disk.n + 1));
            return;
        }
        perform(e, p, &actions->at[i]);
    }
    if (e->above->settled) e->above->settled(e, p);
}

static void arm(struct ens *e, struct ens_peer *p, int64_t deadline_ms)
{
    p->wake_ms = deadline_ms;
    if (deadline_ms >= p->tick_ms || deadline_ms == INT64_MAX) return;
    p->tick_ms = deadline_ms < e->now_ms ? e->now_ms : deadline_ms;
    ens_push(e, (struct ens_event){.kind = ENS_EV_TICK, .peer = p->id, .life = p->life}, p->tick_ms);
}

void peer_step(struct ens *e, struct ens_peer *p, struct zab_event *ev)
{
    ev->now_ms = e->now_ms;
    zab_step(p->core, ev, &e->actions);
    arm(e, p, e->actions.deadline_ms);
    perform_all(e, p, &e->actions);
}

/* ---- life ---- */

void peer_start(struct ens *e, uint32_t id)
{
    struct ens_peer *p = &e->peers[id];
    struct zab_members initial = {0};
    struct zab_recovery recovery;
    p->life++;
    if (!disk_recover(e, p, &initial, &recovery)) return;
    if (ens_chance(e, 500)) recovery_committed(&recovery, p->hint);
    struct zab_config config = {.id = id,
                                .tick_ms = e->config.tick_ms,
                                .sync_timeout_ms = e->config.sync_timeout_ms,
                                .init_timeout_ms = e->config.init_timeout_ms,
                                .finalize_ms = e->config.finalize_ms,
                                .window_bytes = e->config.window_bytes,
                                .read_bytes = e->config.read_bytes,
                                .flight_bytes = e->config.flight_bytes,
                                .trace = e->print ? on_line : NULL,
                                .trace_arg = p};
    config.cluster.bytes[0] = 7;
    ens_trace(e, "%u starts, life %u, log to %llu.%llu, epochs %llu %llu", id, p->life, (unsigned long long)recovery.history.last.epoch,
              (unsigned long long)recovery.history.last.counter, (unsigned long long)recovery.accepted,
              (unsigned long long)recovery.current);
    p->tick_ms = INT64_MAX;
    p->crash_in = -1;
    p->established = false;
    if (e->above->started) e->above->started(e, p);
    zab_new(&p->core, &config, &recovery, e->now_ms, &e->actions);
    arm(e, p, e->actions.deadline_ms);
    perform_all(e, p, &e->actions);
}

void peer_crash(struct ens *e, uint32_t id, uint32_t keep)
{
    struct ens_peer *p = &e->peers[id];
    if (!p->core) return;
    ens_trace(e, "%u crashes; %u of %u writes survive", id, keep, p->disk.n);
    p->hint = p->applied;
    p->crash_in = -1;
    p->established = false;
    p->role = ZAB_LOOKING;
    p->tick_ms = INT64_MAX;
    zab_destroy(&p->core);
    disk_crash(e, &p->disk, keep);
    net_crash(e, id);
    if (e->above->crashed) e->above->crashed(e, p);
}

struct ens_peer *ens_leader(struct ens *e)
{
    struct ens_peer *leader = NULL;
    for (uint32_t id = 1; id <= e->config.n_peers; id++) {
        struct ens_peer *p = &e->peers[id];
        if (p->core && p->established && p->role == ZAB_LEADING && (!leader || p->epoch > leader->epoch)) leader = p;
    }
    return leader;
}
