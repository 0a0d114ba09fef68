/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/coord/ensemble.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/assert.h"
#include "runtime/base/hash.h"

#define SPIN_MAX 100000u /* events of one moment */

/* ---- chance ---- */

uint64_t ens_random(struct ens *e, uint64_t below)
{
    uint64_t z = (e->random += 0x9e3779b97f4a7c15u); /* splitmix64 */
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (z ^ (z >> 31)) % below;
}

int64_t ens_delay(struct ens *e, uint32_t longest_ms)
{
    return e->calm ? longest_ms : (int64_t)ens_random(e, longest_ms + 1);
}

bool ens_chance(struct ens *e, uint32_t per_mille)
{
    return !e->calm && per_mille && ens_random(e, 1000) < per_mille;
}

/* ---- lines ---- */

void ens_trace(struct ens *e, const char *fmt, ...)
{
    if (!e->print) return;
    va_list args;
    printf("[%6" PRId64 "] ", e->now_ms);
    va_start(args, fmt);
    vprintf(fmt, args);
    va_end(args);
    putchar('\n');
}

void ens_violate(struct ens *e, const char *fmt, ...)
{
    if (e->violated) return;
    e->violated = true;
    va_list args;
    va_start(args, fmt);
    vsnprintf(e->violation, sizeof e->violation, fmt, args);
    va_end(args);
    ens_trace(e, "VIOLATION: %s", e->violation);
}

/* ---- the arena ---- */

struct ens_block {
    struct ens_block *next;
};

#define ARENA_BLOCK (64u << 10)

static void *arena_take(struct ens *e, size_t len)
{
    len = (len + 15) & ~(size_t)15;
    WEIR_ASSERT(len < ARENA_BLOCK / 2);
    if (e->arena_used + len > e->arena_cap) {
        struct ens_block *block = malloc(ARENA_BLOCK);
        WEIR_ASSERT(block);
        block->next = e->blocks;
        e->blocks = block;
        e->arena = (unsigned char *)block;
        e->arena_used = 16;
        e->arena_cap = ARENA_BLOCK;
    }
    void *at = e->arena + e->arena_used;
    e->arena_used += len;
    return at;
}

void *ens_keep(struct ens *e, const void *data, size_t len)
{
    void *at = arena_take(e, len);
    if (len) memcpy(at, data, len);
    return at;
}

/* ---- events ---- */

static bool before(const struct ens_event *a, const struct ens_event *b)
{
    return a->at_ms != b->at_ms ? a->at_ms < b->at_ms : a->order < b->order;
}

static void sift_up(struct ens *e, uint32_t i)
{
    struct ens_event ev = e->events[i];
    for (; i > 0 && before(&ev, &e->events[(i - 1) / 2]); i = (i - 1) / 2) e->events[i] = e->events[(i - 1) / 2];
    e->events[i] = ev;
}

static void insert(struct ens *e, const struct ens_event *ev)
{
    if (e->n_events == e->cap_events) {
        e->cap_events = e->cap_events ? 2 * e->cap_events : 256;
        e->events = realloc(e->events, e->cap_events * sizeof *e->events);
        WEIR_ASSERT(e->events);
    }
    e->events[e->n_events] = *ev;
    sift_up(e, e->n_events++);
}

static struct ens_event pop(struct ens *e)
{
    struct ens_event top = e->events[0];
    struct ens_event last = e->events[--e->n_events];
    uint32_t i = 0;
    for (;;) {
        uint32_t child = 2 * i + 1;
        if (child >= e->n_events) break;
        if (child + 1 < e->n_events && before(&e->events[child + 1], &e->events[child])) child++;
        if (!before(&e->events[child], &last)) break;
        e->events[i] = e->events[child];
        i = child;
    }
    if (e->n_events) e->events[i] = last;
    return top;
}

/* Ticks come when nothing else waits at that moment. */
void ens_push(struct ens *e, struct ens_event ev, int64_t at_ms)
{
    ev.at_ms = at_ms;
    ev.order = ++e->order | (ev.kind == ENS_EV_TICK ? 1ull << 63 : 0);
    insert(e, &ev);
}

static void dispatch(struct ens *e, const struct ens_event *ev)
{
    struct ens_peer *p = &e->peers[ev->peer];
    switch (ev->kind) {
    case ENS_EV_MESSAGE:
    case ENS_EV_LINK_UP:
    case ENS_EV_LINK_DOWN:
    case ENS_EV_BREAK:
    case ENS_EV_CONNECT: net_on_event(e, ev); return;
    case ENS_EV_TICK:
        p->tick_ms = INT64_MAX;
        peer_step(e, p, &(struct zab_event){.type = ZAB_EV_TICK});
        return;
    case ENS_EV_FSYNC: peer_step(e, p, &(struct zab_event){.type = ZAB_EV_PERSISTED, .ticket = disk_synced(e, p)}); return;
    case ENS_EV_LOG_READ: disk_answer_log(e, p, ev); return;
    case ENS_EV_SNAPSHOT_READ: disk_answer_snapshot(e, p, ev); return;
    case ENS_EV_ASKED: client_asked(e, p, (uint32_t)ev->offset); return;
    case ENS_EV_FORWARDED: client_forwarded(e, p, (struct weir_bytes){ev->data, ev->len}); return;
    case ENS_EV_START:
        if (!p->core) peer_start(e, ev->peer);
        return;
    case ENS_EV_OP: client_op(e, ev->peer, (enum ens_op_kind)ev->other, ev->len); return;
    case ENS_EV_RECONFIG: client_reconfig(e); return;
    case ENS_EV_FAULT: fault_strike(e); return;
    case ENS_EV_POWER: fault_power(e); return;
    }
}

/* Whoever is stopped gets his events when he goes on, in their order, ticks last. */
static bool deferred(struct ens *e, struct ens_event *ev)
{
    if (!ev->life) return false;
    const struct ens_peer *p = &e->peers[ev->peer];
    if (p->paused_ms <= e->now_ms) return false;
    ev->at_ms = p->paused_ms;
    insert(e, ev);
    return true;
}

bool ens_step(struct ens *e)
{
    WEIR_ASSERT(e->n_events > 0);
    struct ens_event ev = pop(e);
    e->spin = ev.at_ms == e->now_ms ? e->spin + 1 : 0;
    if (e->spin > SPIN_MAX) ens_violate(e, "time stands still: peer %u asks to be woken again and again", ev.peer);
    e->now_ms = ev.at_ms;
    e->n_events_done++;
    if (deferred(e, &ev)) return true;
    if (ev.life && (!e->peers[ev.peer].core || e->peers[ev.peer].life != ev.life)) return true; /* of a life that is over */
    uint64_t mark[] = {(uint64_t)ev.at_ms, ev.kind, ev.peer, ev.other};
    e->hash = hash64_seed(mark, sizeof mark, e->hash);
    dispatch(e, &ev);
    return !e->violated;
}

void ens_run(struct ens *e, int64_t ms)
{
    int64_t until = e->now_ms + ms;
    while (!e->violated && e->n_events && e->events[0].at_ms <= until) ens_step(e);
    if (!e->violated) e->now_ms = until;
}

/* ---- life ---- */

static void first_members(const struct ens_config *config, struct zab_members *out)
{
    *out = (struct zab_members){.n = config->n_members};
    for (uint32_t i = 0; i < config->n_members; i++) out->at[i] = (struct zab_member){.id = i + 1, .observer = i >= config->n_voters};
}

void ens_new(struct ens **out, const struct ens_config *config, uint64_t seed, bool calm, bool print)
{
    struct ens *e = calloc(1, sizeof *e);
    WEIR_ASSERT(e);
    e->seed = e->random = seed;
    e->calm = calm;
    e->print = print;
    e->config = *config;
    e->above = &clients_above;
    struct zab_members initial;
    first_members(config, &initial);
    for (uint32_t id = 1; id <= config->n_peers; id++) {
        struct ens_peer *p = &e->peers[id];
        *p = (struct ens_peer){.world = e, .id = id, .tick_ms = INT64_MAX, .crash_in = -1, .fsync_ms = config->fsync_ms};
        disk_begin(&p->disk, &initial);
        ens_push(e, (struct ens_event){.kind = ENS_EV_START, .peer = id}, ens_delay(e, 5));
    }
    net_begin(e);
    *out = e;
}

void ens_destroy(struct ens **ens)
{
    struct ens *e = *ens;
    if (!e) return;
    for (uint32_t id = 1; id <= ENS_PEERS; id++) {
        zab_destroy(&e->peers[id].core);
        disk_close(&e->peers[id].disk);
    }
    while (e->blocks) {
        struct ens_block *next = e->blocks->next;
        free(e->blocks);
        e->blocks = next;
    }
    zab_actions_close(&e->actions);
    buffer_close(&e->scratch);
    free(e->events);
    free(e->chosen);
    free(e->epochs);
    free(e);
    *ens = NULL;
}
