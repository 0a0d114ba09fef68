/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Small scopes, explored to the end: three peers, four transactions, and up to FAULTS faults, each at every moment at which something had
 * happened that matters. The world is calm otherwise: every delay is one millisecond, so a run is decided by its faults alone.
 *
 *     explore_coord --faults 2 [--states N]
 *     explore_coord --path 31:3,57:12 --trace        (the faults of one run: moment and kind)
 *
 * Two worlds of one fingerprint (cores, disks, what is on its way, relative times) go on alike, so each is followed once for each number of
 * faults left. After the last fault the world is healed, and must be well in bounded time. --states bounds the search; it then says so.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/assert.h"
#include "runtime/base/hash.h"
#include "tests/sim/coord/ensemble.h"
#include "tests/sim/coord/region.h"

#define PEERS 3u
#define HORIZON_MS 140
#define HEAL_MS 2000
#define RESTART_MS 12 /* a crashed peer comes back */
#define FAULTS_MAX 8u
#define POWER (5u * PEERS) /* everybody crashes without his unsynced writes */
#define KINDS (POWER + 1)

struct fault {
    uint64_t moment; /* number of events before it */
    uint32_t kind;
};

static struct ens *e;
static struct fault path[FAULTS_MAX];
static uint32_t n_path;
static uint64_t n_states, n_runs, n_same, max_states;
static bool bounded;
static const char *program;

/* Fingerprints seen, outside the region: open addressing, grown by doubling. */
static uint64_t *seen_slots, seen_cap, seen_n;
void *__real_calloc(size_t n, size_t size);
void __real_free(void *p);

/* ---- what was seen ---- */

static bool remember(uint64_t print)
{
    if (!print) print = 1;
    if (2 * seen_n >= seen_cap) {
        uint64_t *old = seen_slots, cap = seen_cap;
        seen_cap = cap ? 2 * cap : 1u << 16;
        seen_slots = __real_calloc(seen_cap, sizeof *seen_slots);
        WEIR_ASSERT(seen_slots);
        seen_n = 0;
        for (uint64_t i = 0; i < cap; i++)
            if (old[i]) remember(old[i]);
        __real_free(old);
    }
    uint64_t i = print & (seen_cap - 1);
    for (; seen_slots[i]; i = (i + 1) & (seen_cap - 1))
        if (seen_slots[i] == print) return false;
    seen_slots[i] = print;
    seen_n++;
    return true;
}

static void fold(uint64_t *hash, const void *data, size_t n)
{
    *hash = hash64_seed(data, n, *hash);
}

static void fold_image(uint64_t *hash, const struct ens_image *image)
{
    fold(hash, (uint64_t[]){image->accepted, image->current, image->n}, 3 * sizeof(uint64_t));
    for (uint32_t i = 0; i < image->n; i++) fold(hash, &image->log[i].zxid, sizeof(struct zxid));
}

static void fold_peer(uint64_t *hash, const struct ens_peer *p)
{
    uint64_t core = p->core ? zab_fingerprint(p->core) : 0;
    fold(hash, (uint64_t[]){core, p->place, p->established, p->epoch, p->disk.n, p->disk.syncing != 0}, 6 * sizeof(uint64_t));
    fold_image(hash, &p->disk.durable);
    if (p->disk.n) fold_image(hash, &p->disk.seen);
}

static uint64_t event_print(const struct ens_event *ev)
{
    uint64_t hash = hash64(ev->data ? ev->data : (const unsigned char *)"", ev->data ? ev->len : 0);
    bool dead = ev->life && (!e->peers[ev->peer].core || e->peers[ev->peer].life != ev->life);
    if (dead) return 0;
    fold(&hash, (uint64_t[]){ev->kind, ev->peer, ev->other, (uint64_t)(ev->at_ms - e->now_ms), ev->zxid.counter, ev->offset},
         6 * sizeof(uint64_t));
    return hash;
}

/* Events of one moment are summed up: their order among different receivers does not matter, towards one receiver it follows from links. */
static uint64_t fingerprint(uint32_t faults_left)
{
    uint64_t hash = faults_left, sum = 0;
    for (uint32_t id = 1; id <= PEERS; id++) fold_peer(&hash, &e->peers[id]);
    for (uint32_t a = 1; a <= PEERS; a++)
        for (uint32_t b = a + 1; b <= PEERS; b++) {
            const struct ens_link *l = &e->links[a][b];
            fold(&hash, (bool[]){l->connected, l->end_up[0], l->end_up[1], l->doomed, e->cut[a][b], e->cut[b][a]}, 6);
        }
    for (uint32_t i = 0; i < e->n_events; i++) sum += event_print(&e->events[i]);
    fold(&hash, &sum, sizeof sum);
    fold(&hash, (uint64_t[]){e->n_ops, e->n_chosen, (uint64_t)e->now_ms}, 3 * sizeof(uint64_t));
    return hash;
}

/* ---- the world ---- */

static const char *fault_name(uint32_t kind)
{
    static const char *names[] = {"crash without its unsynced writes", "crash with them", "cut off", "mute", "link broken"};
    return names[kind / PEERS];
}

static void crash(uint32_t id, uint32_t keep)
{
    peer_crash(e, id, keep);
    ens_push(e, (struct ens_event){.kind = ENS_EV_START, .peer = id}, e->now_ms + RESTART_MS);
}

static void power_cut(void)
{
    ens_trace(e, "FAULT power cut");
    for (uint32_t id = 1; id <= PEERS; id++) crash(id, 0);
}

static void strike(uint32_t kind)
{
    if (kind == POWER) {
        power_cut();
        return;
    }
    uint32_t id = 1 + kind % PEERS;
    ens_trace(e, "FAULT %s: peer %u", fault_name(kind), id);
    switch (kind / PEERS) {
    case 0: crash(id, 0); return;
    case 1: crash(id, e->peers[id].disk.n); return;
    case 2:
    case 3:
        for (uint32_t other = 1; other <= PEERS; other++) {
            if (other == id) continue;
            net_cut(e, id, other, true);
            if (kind / PEERS == 2) net_cut(e, other, id, true);
        }
        return;
    default: net_break(e, id, 1 + id % PEERS); return;
    }
}

/* A fault that changes nothing is not one. */
static bool possible(uint32_t kind)
{
    uint32_t id = 1 + kind % PEERS, next = 1 + id % PEERS;
    if (kind == POWER) return true;
    switch (kind / PEERS) {
    case 0: return e->peers[id].core != NULL;
    case 1: return e->peers[id].core && e->peers[id].disk.n > 0;
    case 2:
    case 3: return !e->cut[id][next];
    default: return (id < next ? e->links[id][next] : e->links[next][id]).connected;
    }
}

static void begin(bool print)
{
    static const struct ens_config config = {.n_peers = PEERS,
                                             .n_voters = PEERS,
                                             .n_members = PEERS,
                                             .delay_ms = 1,
                                             .break_ms = 2,
                                             .detect_ms = 10,
                                             .retry_ms = 4,
                                             .fsync_ms = 2,
                                             .tick_ms = 8,
                                             .sync_timeout_ms = 24,
                                             .init_timeout_ms = 60,
                                             .finalize_ms = 2,
                                             .window_bytes = 1u << 20};
    region_begin();
    ens_new(&e, &config, 1, true, print);
    static const struct {
        int64_t at_ms;
        uint32_t peer;
    } ops[] = {{30, 3}, {31, 1}, {70, 2}, {72, 1}};
    for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++)
        ens_push(e, (struct ens_event){.kind = ENS_EV_OP, .peer = ops[i].peer, .other = ENS_WRITE}, ops[i].at_ms);
}

/* ---- the search ---- */

static void report(void)
{
    printf("%s\nrepeat with: %s --path ", e->violation, program);
    for (uint32_t i = 0; i < n_path; i++) printf("%s%" PRIu64 ":%u", i ? "," : "", path[i].moment, path[i].kind);
    printf(" --trace\n");
}

static void finish_run(void)
{
    n_runs++;
    if (!e->violated) ens_heal(e, HEAL_MS);
}

/* What decides where a fault makes a difference: disks, roles, places. Pings and votes alone do not. */
static uint64_t notable_state(void)
{
    uint64_t hash = 0;
    for (uint32_t id = 1; id <= PEERS; id++) {
        const struct ens_peer *p = &e->peers[id];
        struct zab_status s = p->core ? zab_status(p->core) : (struct zab_status){0};
        fold(&hash,
             (uint64_t[]){p->core != NULL, p->life, p->place, p->disk.n, s.accepted, s.current, s.role, s.leader, s.established,
                          s.last.counter, s.durable.counter, s.commit.counter},
             12 * sizeof(uint64_t));
    }
    return hash;
}

static bool explore(uint32_t faults_left);

static bool try_faults(uint32_t faults_left)
{
    region_push();
    for (uint32_t kind = 0; kind < KINDS && !bounded; kind++) {
        if (!possible(kind)) continue;
        path[n_path++] = (struct fault){e->n_events_done, kind};
        strike(kind);
        bool well = explore(faults_left - 1);
        if (!well) return false;
        n_path--;
        region_restore();
    }
    region_pop();
    return true;
}

static bool explore(uint32_t faults_left)
{
    uint64_t before = 0;
    while (!e->violated && e->now_ms < HORIZON_MS && faults_left && !bounded) {
        uint64_t now = notable_state();
        if (now != before) {
            before = now;
            n_states++;
            if (!remember(fingerprint(faults_left))) {
                n_same++;
                return true;
            }
            bounded = max_states && n_states >= max_states;
            if (!try_faults(faults_left)) return false;
        }
        ens_step(e);
    }
    if (!e->violated && !faults_left) ens_run(e, HORIZON_MS / 2);
    finish_run();
    return !e->violated;
}

static bool replay(const char *text)
{
    begin(true);
    for (char *end; *text && !e->violated; text = *end ? end + 1 : end) {
        uint64_t moment = strtoull(text, &end, 10);
        uint32_t kind = (uint32_t)strtoull(end + 1, &end, 10);
        while (!e->violated && e->n_events_done < moment) ens_step(e);
        if (kind < KINDS) strike(kind);
    }
    if (!e->violated) ens_run(e, HORIZON_MS / 2);
    finish_run();
    return !e->violated;
}

int main(int argc, char **argv)
{
    uint32_t faults = 1;
    const char *wanted = NULL;
    program = argv[0];
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--trace")) continue;
        if (i + 1 == argc) return fprintf(stderr, "usage: explore_coord --faults N [--states N] | --path M:K,... --trace\n"), 2;
        if (!strcmp(argv[i], "--faults")) faults = (uint32_t)strtoull(argv[i + 1], NULL, 10);
        if (!strcmp(argv[i], "--states")) max_states = strtoull(argv[i + 1], NULL, 10);
        if (!strcmp(argv[i], "--path")) wanted = argv[i + 1];
        i++;
    }
    if (faults > FAULTS_MAX) faults = FAULTS_MAX;
    if (wanted) return replay(wanted) ? 0 : 1;
    begin(false);
    bool well = explore(faults);
    if (!well) report();
    printf("%u faults: %" PRIu64 " states, %" PRIu64 " of them met before, %" PRIu64 " runs to the end%s%s\n", faults, n_states, n_same,
           n_runs, bounded ? "; bounded, not exhaustive" : "; exhaustive", well ? ", every invariant held" : "");
    return well ? 0 : 1;
}
