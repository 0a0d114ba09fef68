/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JobManagers of which each has a peer of an ensemble (coord/ensemble.h), and one leads. What their drivers do is done here: the peer's
 * thread carries between zab and the server of clients, the main thread asks leadership.h which master there has to be, and the two tell
 * each other things that take their time. A crash takes all of it; what the disk of the peer holds remains.
 *
 * The truth is a tree of the world's own, to which every transaction is applied once it is delivered anywhere. The catalog that check.c and
 * durable.c look at is what lies in it.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jobmanager/catalog_note.h"
#include "jobmanager/catalog_records.h"
#include "jobmanager/leadership.h"
#include "runtime/base/assert.h"
#include "runtime/base/hash.h"
#include "runtime/coord/server.h"
#include "runtime/coord/txn.h"
#include "tests/sim/coord/ensemble.h"
#include "tests/sim/world.h"

#define NEWS_MS 5 /* longest time between the two threads */

/* What one thread tells the other. `ref` is the connection. */
enum told { TOLD_ROLE, TOLD_OPEN, TOLD_MESSAGE, TOLD_CLOSED };

/* What the server asks of zab, until the step of zab is through. */
struct wish {
    enum coord_server_action_type type;
    uint64_t token;
    struct weir_bytes bytes; /* in the world's arena */
};

struct sim_peer {
    struct coord_server *server; /* NULL: crashed */
    struct coord_state state;
    int64_t server_ms; /* its TICK that counts */
    struct buffer wishes;
    size_t granted; /* bytes of them */
    struct leadership leadership;
    uint64_t connection; /* of the catalog */
    int64_t told_ms[2];  /* the last thing told to the main thread and to the peer's arrives then */
};

/* Who writes to the catalog: the session of each claim. */
struct claim {
    uint64_t session, epoch;
};

struct leaders {
    struct coord_state state; /* the truth: n of what was chosen are applied to it */
    struct applied applied;
    uint32_t n;
    uint64_t epoch; /* that has the catalog */
    uint64_t last_connection;
    struct claim *claims;
    uint32_t n_claims, cap_claims;
    struct coord_server_actions actions;
    struct sim_peer peers[SIM_JMS];
};

static struct sim *world_of(const struct ens *e)
{
    return e->owner;
}

static struct leaders *leaders_of(const struct sim *sim)
{
    return sim->leaders;
}

static struct sim_jobmanager *jm_of(const struct ens_peer *p)
{
    return &world_of(p->world)->jms[p->id - 1];
}

static struct ens_peer *peer_of(const struct sim_jobmanager *jm)
{
    return &jm->world->ens->peers[jm->index + 1];
}

/* ---- between the threads of a JobManager ---- */

static void tell(struct sim_jobmanager *jm, enum sim_kind kind, enum told what, uint64_t ref, const void *data, size_t len)
{
    struct sim *sim = jm->world;
    int64_t *last = &jm->peer->told_ms[kind == SIM_EV_PEER_ASK], at_ms = sim->now_ms + sim_delay(sim, NEWS_MS);
    if (at_ms < *last) at_ms = *last; /* in order */
    *last = at_ms;
    struct sim_event ev = {.at_ms = at_ms, .kind = kind, .jm = jm->index, .life = peer_of(jm)->life, .what = what, .ref = ref};
    ev.data = actors_copy(data, len);
    ev.len = len;
    sim_push(sim, ev);
}

/* ---- the peer's thread ---- */

static void arm_server(struct sim_jobmanager *jm, int64_t at_ms)
{
    struct sim *sim = jm->world;
    if (at_ms == jm->peer->server_ms || at_ms == INT64_MAX) return;
    jm->peer->server_ms = at_ms;
    sim_push(sim, (struct sim_event){.at_ms = at_ms > sim->now_ms ? at_ms : sim->now_ms,
                                     .kind = SIM_EV_SERVER_TICK,
                                     .jm = jm->index,
                                     .life = peer_of(jm)->life,
                                     .offset = (uint64_t)at_ms});
}

/* To the catalog of this process, the one client there is. */
static void tell_client(struct sim_jobmanager *jm, uint64_t connection, struct weir_bytes bytes)
{
    struct leaders *t = leaders_of(jm->world);
    struct say say;
    bool valid = read_say(bytes, &say);
    WEIR_ASSERT(valid);
    if (say.type == SAY_CONNECTED) {
        if (t->n_claims == t->cap_claims) {
            t->cap_claims = t->cap_claims ? 2 * t->cap_claims : 16;
            t->claims = realloc(t->claims, t->cap_claims * sizeof *t->claims);
            WEIR_ASSERT(t->claims);
        }
        t->claims[t->n_claims++] = (struct claim){say.session, jm->peer->leadership.epoch};
    }
    tell(jm, SIM_EV_JM_NEWS, TOLD_MESSAGE, connection, bytes.data, bytes.length);
}

static void perform_server(struct sim_jobmanager *jm)
{
    const struct coord_server_actions *actions = &leaders_of(jm->world)->actions;
    for (uint32_t i = 0; i < actions->n; i++) {
        const struct coord_server_action *a = &actions->at[i];
        struct weir_bytes bytes = {0};
        if (a->length) bytes = coord_server_bytes(actions, a);
        if (a->type == COORD_DO_SEND) {
            tell_client(jm, a->connection, bytes);
        } else if (a->type == COORD_DO_CLOSE) {
            tell(jm, SIM_EV_JM_NEWS, TOLD_CLOSED, a->connection, NULL, 0);
        } else {
            struct wish wish = {.type = a->type, .token = a->token, .bytes = {.length = bytes.length}};
            wish.bytes.data = ens_keep(jm->world->ens, bytes.data, bytes.length);
            buffer_add(&jm->peer->wishes, &wish, sizeof wish);
        }
    }
    arm_server(jm, actions->deadline_ms);
}

static void step_server(struct sim_jobmanager *jm, struct coord_server_event *ev)
{
    struct weir_diag diag = {0};
    ev->now_ms = ev->wall_ms = jm->world->now_ms;
    if (coord_server_step(jm->peer->server, ev, &leaders_of(jm->world)->actions, &diag))
        sim_violate(jm->world, "the tree of jm-%" PRIu32 ": %s", jm->index + 1, diag.text);
    perform_server(jm);
}

static void grant(struct ens *e, struct ens_peer *p, const struct wish *wish)
{
    static const enum zab_event_type types[] = {[COORD_DO_PROPOSE] = ZAB_EV_PROPOSE,
                                                [COORD_DO_FORWARD] = ZAB_EV_FORWARD,
                                                [COORD_DO_TOUCH] = ZAB_EV_TOUCH,
                                                [COORD_DO_BARRIER] = ZAB_EV_BARRIER};
    struct zab_event ev = {.type = types[wish->type]};
    if (wish->type == COORD_DO_BARRIER)
        ev.token = wish->token;
    else
        ev.bytes = wish->bytes;
    peer_step(e, p, &ev);
}

static void settled(struct ens *e, struct ens_peer *p)
{
    struct sim_peer *peer = jm_of(p)->peer;
    uint32_t life = p->life;
    while (p->core && p->life == life && peer->granted < peer->wishes.len) {
        struct wish wish;
        memcpy(&wish, peer->wishes.data + peer->granted, sizeof wish);
        peer->granted += sizeof wish;
        grant(e, p, &wish); /* comes back here for the others */
    }
    buffer_clear(&peer->wishes);
    peer->granted = 0;
}

/* ---- what happens to the peer ---- */

/* What the log says, up to a place in what was chosen. */
static void replay(struct ens *e, struct coord_state *state, uint32_t from, uint32_t to, struct applied *applied)
{
    struct weir_diag diag = {0};
    for (uint32_t i = from; i < to; i++) {
        const struct zab_entry *entry = &e->chosen[i];
        if (entry->kind != ZAB_ENTRY_DATA) continue;
        buffer_clear(&applied->body);
        buffer_clear(&applied->events);
        weir_err err = txn_apply(state, entry->zxid, entry->bytes, applied, &diag);
        if (err) ens_violate(e, "a transaction does not fit: %s", diag.text);
    }
}

static void begin_state(struct ens *e, struct sim_peer *peer, uint32_t place)
{
    struct applied applied = {0};
    weir_err err = coord_state_init(&peer->state);
    WEIR_ASSERT(!err);
    replay(e, &peer->state, 0, place, &applied);
    applied_close(&applied);
}

static void started(struct ens *e, struct ens_peer *p)
{
    struct sim_jobmanager *jm = jm_of(p);
    struct sim_peer *peer = jm->peer;
    struct coord_server_config config = {.id = p->id, .limits = COORD_LIMITS_DEFAULT};
    sim_trace(jm->world, "jm-%" PRIu32 " starts", p->id);
    begin_state(e, peer, p->place);
    coord_server_new(&peer->server, &config, &peer->state, e->now_ms);
    peer->server_ms = INT64_MIN;
    arm_server(jm, e->now_ms);
    leadership_init(&peer->leadership);
    if (jm->world->config.node_bytes) peer->leadership.node_bytes = jm->world->config.node_bytes;
    actors_start_master(jm, 0, "", NULL, 0);
}

static void crashed(struct ens *e, struct ens_peer *p)
{
    (void)e;
    struct sim_jobmanager *jm = jm_of(p);
    sim_trace(jm->world, "jm-%" PRIu32 " crashes", p->id);
    durable_crash(jm);
    if (jm->core == jm->world->jm) jm->world->jm = NULL;
    master_destroy(&jm->core);
    leadership_close(&jm->peer->leadership);
    coord_server_destroy(&jm->peer->server);
    coord_state_close(&jm->peer->state);
    buffer_clear(&jm->peer->wishes);
    jm->peer->granted = 0;
}

static void role(struct ens *e, struct ens_peer *p)
{
    (void)e;
    struct peer_role r = {.role = p->role, .established = p->established, .epoch = p->epoch, .leader = p->leader};
    r.leads = p->established && p->role == ZAB_LEADING;
    step_server(jm_of(p), &(struct coord_server_event){.type = COORD_EV_ROLE, .established = r.established, .leads = r.leads});
    tell(jm_of(p), SIM_EV_JM_NEWS, TOLD_ROLE, 0, &r, sizeof r);
}

static void learn(struct sim *sim);

static void delivered(struct ens *e, struct ens_peer *p, const struct zab_entry *entry)
{
    struct coord_server_event ev = {.type = COORD_EV_DELIVER, .zxid = entry->zxid};
    if (entry->kind == ZAB_ENTRY_DATA) ev.bytes = entry->bytes;
    learn(world_of(e));
    step_server(jm_of(p), &ev);
}

static void replaced(struct ens *e, struct ens_peer *p)
{
    struct sim_jobmanager *jm = jm_of(p);
    coord_state_close(&jm->peer->state);
    begin_state(e, jm->peer, p->place);
    coord_server_replaced(jm->peer->server, &leaders_of(jm->world)->actions);
    perform_server(jm);
}

static void forwarded(struct ens *e, struct ens_peer *p, uint32_t from, struct weir_bytes bytes)
{
    (void)e;
    step_server(jm_of(p), &(struct coord_server_event){.type = COORD_EV_FORWARDED, .peer = from, .bytes = bytes});
}

static void touched(struct ens *e, struct ens_peer *p, uint32_t from, struct weir_bytes bytes)
{
    (void)e;
    step_server(jm_of(p), &(struct coord_server_event){.type = COORD_EV_TOUCHED, .peer = from, .bytes = bytes});
}

static void synced(struct ens *e, struct ens_peer *p, uint64_t token)
{
    (void)e;
    step_server(jm_of(p), &(struct coord_server_event){.type = COORD_EV_SYNCED, .token = token});
}

static void barrier_lost(struct ens *e, struct ens_peer *p, uint64_t token)
{
    (void)e;
    step_server(jm_of(p), &(struct coord_server_event){.type = COORD_EV_BARRIER_LOST, .token = token});
}

static const struct ens_above jobmanagers = {.started = started,
                                             .crashed = crashed,
                                             .role = role,
                                             .delivered = delivered,
                                             .replaced = replaced,
                                             .forwarded = forwarded,
                                             .touched = touched,
                                             .synced = synced,
                                             .barrier_lost = barrier_lost,
                                             .settled = settled};

/* ---- the truth ---- */

static uint64_t claimed_by(const struct leaders *t, uint64_t session)
{
    for (uint32_t i = 0; i < t->n_claims; i++)
        if (t->claims[i].session == session) return t->claims[i].epoch;
    return 0;
}

static void learn_claim(struct sim *sim, struct weir_bytes data)
{
    struct leaders *t = leaders_of(sim);
    char text[24];
    snprintf(text, sizeof text, "%.*s", (int)data.length, (const char *)data.data);
    uint64_t epoch = strtoull(text, NULL, 10);
    if (epoch < t->epoch) sim_violate(sim, "epoch %" PRIu64 " claims the catalog after epoch %" PRIu64, epoch, t->epoch);
    t->epoch = epoch;
    sim_trace(sim, "epoch %" PRIu64 " has the catalog", epoch);
}

/* ---- values in parts ---- */

/* The value that a note promises. Parts are there before their note is. */
static void assemble(struct sim *sim, const char *key, const struct catalog_note *note, struct buffer *out)
{
    struct leaders *t = leaders_of(sim);
    char path[CATALOG_PART_PATH];
    for (uint32_t i = 0; i < catalog_note_parts(note); i++) {
        const struct node *part = tree_find(&t->state.tree, bytes_text(catalog_note_part(note, i, path)));
        if (part) buffer_add(out, node_data(part).data, node_data(part).length);
    }
    if (out->len != note->length || crc32c(0, out->data, out->len) != note->crc32c) sim_violate(sim, "%s is put without its parts", key);
}

static bool is_named(const struct sim *sim, struct weir_bytes path)
{
    char folder[CATALOG_PART_PATH], node[COORD_PATH_MAX + 1];
    for (uint32_t i = 0; i < sim->n_keys; i++) {
        struct catalog_note note;
        snprintf(node, sizeof node, CATALOG_TREE_ROOT "/%s", sim->keys[i].key);
        const struct node *key = tree_find(&leaders_of(sim)->state.tree, bytes_text(node));
        if (!key || !catalog_note_read(node_data(key), &note)) continue;
        struct weir_bytes mine = bytes_text(catalog_note_folder(&note, folder));
        if (path.length >= mine.length && !memcmp(path.data, mine.data, mine.length) &&
            (path.length == mine.length || ((const char *)path.data)[mine.length] == '/'))
            return true;
    }
    return false;
}

static void learn_part(struct sim *sim, uint8_t event, struct weir_bytes path)
{
    const struct leaders *t = leaders_of(sim);
    uint64_t epoch = claimed_by(t, t->applied.txn.session);
    if (event == EVENT_CHILDREN) return;
    if (epoch != t->epoch) sim_violate(sim, "epoch %" PRIu64 " writes parts, and epoch %" PRIu64 " has the catalog", epoch, t->epoch);
    if (event != EVENT_CREATED && is_named(sim, path)) sim_violate(sim, "parts of a value are removed, and the catalog names it");
}

void leaders_check_parts(struct sim *sim)
{
    const struct coord_state *s = &leaders_of(sim)->state;
    const struct node *top = tree_find(&s->tree, bytes_text(CATALOG_PARTS)), *leader = tree_find(&s->tree, bytes_text(CATALOG_TREE_LEADER));
    char path[CATALOG_PART_PATH];
    if (!top || !leader) return;
    for (const struct node *f = node_child_after(top, bytes_text("")); f; f = node_child_after(top, node_name(f))) {
        struct weir_bytes name = node_name(f);
        snprintf(path, sizeof path, CATALOG_PARTS "/%.*s", (int)name.length, (const char *)name.data);
        if (strtoull(path + sizeof CATALOG_PARTS, NULL, 10) == node_stat(leader).version) continue; /* it may be being written */
        if (!is_named(sim, bytes_text(path))) sim_violate(sim, "%s is no value's, and nobody removes it", path);
    }
}

/* A key of the catalog, or what lies above them. */
static void learn_node(struct sim *sim, uint8_t event, struct weir_bytes path)
{
    struct leaders *t = leaders_of(sim);
    char key[COORD_PATH_MAX + 1];
    struct weir_id id;
    enum job_key kind;
    const struct node *node = tree_find(&t->state.tree, path);
    snprintf(key, sizeof key, "%.*s", (int)path.length, (const char *)path.data);
    if (!strcmp(key, CATALOG_TREE_LEADER) && node) learn_claim(sim, node_data(node));
    if (!strncmp(key, CATALOG_PARTS "/", sizeof CATALOG_PARTS)) learn_part(sim, event, path);
    if (strncmp(key, CATALOG_TREE_ROOT "/", sizeof CATALOG_TREE_ROOT) != 0 || event == EVENT_CHILDREN) return;
    if (!records_key_parse(key + sizeof CATALOG_TREE_ROOT, &id, &kind)) return;
    uint64_t epoch = claimed_by(t, t->applied.txn.session);
    if (epoch != t->epoch) sim_violate(sim, "epoch %" PRIu64 " writes %s, and epoch %" PRIu64 " has the catalog", epoch, key, t->epoch);
    struct catalog_note note;
    struct buffer value = {0};
    bool large = node && catalog_note_read(node_data(node), &note);
    if (large) assemble(sim, key, &note, &value);
    if (node)
        durable_set(sim, key + sizeof CATALOG_TREE_ROOT, large ? bytes_of(value.data, value.len) : node_data(node));
    else
        durable_unset(sim, key + sizeof CATALOG_TREE_ROOT);
    buffer_close(&value);
}

static void learn(struct sim *sim)
{
    struct leaders *t = leaders_of(sim);
    for (; t->n < sim->ens->n_chosen; t->n++) {
        struct reader r;
        buffer_clear(&t->applied.events);
        replay(sim->ens, &t->state, t->n, t->n + 1, &t->applied);
        reader_init(&r, t->applied.events.data, t->applied.events.len);
        while (reader_left(&r) && !r.broken) {
            uint8_t event = read_u8(&r);
            struct weir_bytes path = read_bytes(&r, COORD_PATH_MAX);
            learn_node(sim, event, path);
        }
    }
}

/* ---- the main thread ---- */

void leaders_order(struct sim_jobmanager *jm, const struct catalog_order *order)
{
    catalog_tree_order(jm->peer->leadership.catalog, order);
}

void leaders_say(struct sim_jobmanager *jm)
{
    struct catalog_tree *catalog = jm->peer->leadership.catalog;
    struct weir_bytes message;
    while (catalog && catalog_tree_say(catalog, &message, jm->world->now_ms))
        tell(jm, SIM_EV_PEER_ASK, TOLD_MESSAGE, jm->peer->connection, message.data, message.length);
}

int64_t leaders_deadline_ms(const struct sim_jobmanager *jm)
{
    const struct catalog_tree *catalog = jm->peer->leadership.catalog;
    return catalog ? catalog_tree_deadline_ms(catalog) : INT64_MAX;
}

static void follow(struct sim_jobmanager *jm)
{
    uint32_t id = jm->peer->leadership.role.leader;
    actors_start_master(jm, 0, id ? (char[]){'j', 'm', '-', (char)('0' + id), '\0'} : "", NULL, 0);
}

static void claim(struct sim_jobmanager *jm)
{
    jm->peer->connection = ++leaders_of(jm->world)->last_connection;
    tell(jm, SIM_EV_PEER_ASK, TOLD_OPEN, jm->peer->connection, NULL, 0);
}

static void lead(struct sim_jobmanager *jm)
{
    const struct leadership *l = &jm->peer->leadership;
    const struct master_listed *listed;
    uint32_t n = catalog_tree_listed(l->catalog, &listed);
    sim_trace(jm->world, "jm-%" PRIu32 " leads epoch %" PRIu64, jm->index + 1, l->epoch);
    actors_start_master(jm, l->epoch, NULL, listed, n);
}

static void end(struct sim_jobmanager *jm)
{
    sim_trace(jm->world, "jm-%" PRIu32 " leads no more: %s", jm->index + 1, jm->peer->leadership.why);
    tell(jm, SIM_EV_PEER_ASK, TOLD_CLOSED, jm->peer->connection, NULL, 0);
    actors_start_master(jm, 0, "", NULL, 0);
}

static void take_turns(struct sim_jobmanager *jm)
{
    for (enum leadership_turn turn; (turn = leadership_turn(&jm->peer->leadership)) != LEADERSHIP_STAYS;) {
        switch (turn) {
        case LEADERSHIP_STAYS: break;
        case LEADERSHIP_FOLLOWS: follow(jm); break;
        case LEADERSHIP_CLAIMS: claim(jm); break;
        case LEADERSHIP_LEADS: lead(jm); break;
        case LEADERSHIP_ENDS: end(jm); break;
        }
    }
}

void leaders_anew(struct sim_jobmanager *jm)
{
    leadership_anew(&jm->peer->leadership);
}

static void on_news(struct sim_jobmanager *jm, const struct sim_event *ev)
{
    struct sim_peer *peer = jm->peer;
    struct catalog_tree *catalog = ev->ref == peer->connection ? peer->leadership.catalog : NULL;
    struct master_event me = {.type = MASTER_EV_CATALOG};
    if (ev->what == TOLD_ROLE) leadership_role(&peer->leadership, ev->data);
    if (ev->what == TOLD_MESSAGE && catalog) catalog_tree_hear(catalog, (struct weir_bytes){ev->data, (uint32_t)ev->len});
    if (ev->what == TOLD_CLOSED && catalog) catalog_tree_closed(catalog);
    take_turns(jm);
    while (peer->leadership.catalog && catalog_tree_answer(peer->leadership.catalog, &me.catalog)) actors_step_jobmanager(jm, &me);
    take_turns(jm);
    leaders_say(jm);
}

static void on_asked(struct sim_jobmanager *jm, const struct sim_event *ev)
{
    struct coord_server_event se = {.connection = ev->ref, .bytes = {ev->data, (uint32_t)ev->len}};
    se.type = ev->what == TOLD_OPEN ? COORD_EV_OPENED : ev->what == TOLD_CLOSED ? COORD_EV_CLOSED : COORD_EV_MESSAGE;
    for (uint32_t i = 0; i < sizeof se.random && ev->what == TOLD_OPEN; i++) se.random[i] = (uint8_t)sim_random(jm->world, 256);
    step_server(jm, &se);
    settled(jm->world->ens, peer_of(jm));
}

static void on_server_tick(struct sim_jobmanager *jm, const struct sim_event *ev)
{
    if (jm->peer->server_ms != (int64_t)ev->offset) return;
    jm->peer->server_ms = INT64_MIN;
    step_server(jm, &(struct coord_server_event){.type = COORD_EV_TICK});
    settled(jm->world->ens, peer_of(jm));
}

void leaders_on_event(struct sim *sim, const struct sim_event *ev)
{
    struct sim_jobmanager *jm = &sim->jms[ev->jm];
    if (!peer_of(jm)->core || peer_of(jm)->life != ev->life) return; /* of a life that is over */
    if (ev->kind == SIM_EV_JM_NEWS) on_news(jm, ev);
    if (ev->kind == SIM_EV_PEER_ASK) on_asked(jm, ev);
    if (ev->kind == SIM_EV_SERVER_TICK) on_server_tick(jm, ev);
}

/* ---- what breaks ---- */

void sim_crash_jobmanager(struct sim *sim, uint32_t jm, int64_t ms)
{
    struct ens *e = sim->ens;
    peer_crash(e, jm + 1, e->peers[jm + 1].disk.n);
    ens_push(e, (struct ens_event){.kind = ENS_EV_START, .peer = jm + 1}, sim->now_ms + ms);
}

void sim_pause_leader(struct sim *sim, int64_t ms)
{
    sim_trace(sim, "jm-%" PRIu32 " is stopped for %" PRId64 " ms", sim->leader + 1, ms);
    sim->ens->peers[sim->leader + 1].paused_ms = sim->now_ms + ms;
}

void sim_cut_jobmanager(struct sim *sim, uint32_t jm, bool cut)
{
    sim_trace(sim, "network: jm-%" PRIu32 " %s", jm + 1, cut ? "is cut off from the others" : "reaches the others again");
    for (uint32_t other = 1; other <= sim->n_jms; other++) {
        if (other == jm + 1) continue;
        net_cut(sim->ens, jm + 1, other, cut);
        net_cut(sim->ens, other, jm + 1, cut);
    }
}

void sim_hold_orders(struct sim *sim, uint32_t jm, int64_t ms)
{
    sim_trace(sim, "what jm-%" PRIu32 " says to its peer takes %" PRId64 " ms", jm + 1, ms);
    sim->jms[jm].peer->told_ms[1] = sim->now_ms + ms;
}

void sim_slow_disks(struct sim *sim, uint32_t ms)
{
    sim_trace(sim, "an fsync takes %" PRIu32 " ms", ms);
    for (uint32_t jm = 0; jm < sim->n_jms; jm++) sim->ens->peers[jm + 1].fsync_ms = ms;
}

/* ---- life ---- */

void leaders_new(struct sim *sim, const struct ens_config *config)
{
    struct leaders *t = calloc(1, sizeof *t);
    WEIR_ASSERT(t);
    weir_err err = coord_state_init(&t->state);
    WEIR_ASSERT(!err);
    sim->leaders = t;
    ens_new(&sim->ens, config, sim_random(sim, UINT64_MAX), sim->calm, sim->print);
    sim->ens->above = &jobmanagers;
    sim->ens->owner = sim;
    sim->n_jms = config->n_peers;
    for (uint32_t i = 0; i < sim->n_jms; i++) sim->jms[i].peer = &t->peers[i];
}

void leaders_destroy(struct sim *sim)
{
    struct leaders *t = sim->leaders;
    if (!t) return;
    for (uint32_t i = 0; i < sim->n_jms; i++) {
        leadership_close(&t->peers[i].leadership);
        bool lives = t->peers[i].server != NULL;
        coord_server_destroy(&t->peers[i].server); /* what it has under way holds parts of the state */
        if (lives) coord_state_close(&t->peers[i].state);
        buffer_close(&t->peers[i].wishes);
    }
    coord_state_close(&t->state);
    applied_close(&t->applied);
    coord_server_actions_close(&t->actions);
    free(t->claims);
    free(t);
    ens_destroy(&sim->ens);
    sim->leaders = NULL;
}
