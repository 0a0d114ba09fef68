/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Three whole peers in one thread: zab, server and files, joined as a driver joins them. A peer dies by being forgotten; what it had not
 * synced is lost. One client writes on.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "runtime/coord/disk.h"
#include "runtime/coord/server.h"
#include "runtime/coord/zab.h"
#include "tests/support/temp_dir.h"

#define PEERS 3

/* What waits for a peer: an event of zab with its bytes, or a message from another peer. */
struct waiting {
    TAILQ_ENTRY(waiting) next;
    struct zab_event ev;
    struct buffer bytes;
};

TAILQ_HEAD(waiting_list, waiting);

struct peer {
    uint32_t id;
    bool alive, leads;
    struct temp_dir dir;
    struct zab *zab;
    struct zab_actions actions;
    struct coord_server *server;
    struct coord_server_actions said;
    struct coord_state state;
    struct coord_disk *disk;
    struct coord_transfer transfers[PEERS + 1];
    struct waiting_list queue;
};

struct world {
    struct peer peers[PEERS + 1]; /* by id */
    int64_t now_ms;
    struct zab_members members;
    /* the client */
    uint32_t at; /* its peer; 0: none */
    uint64_t connection, session, xid, replied;
    uint8_t password[16];
    struct zxid seen;
    bool connected;
    uint16_t err;
};

static struct world world;

static struct waiting *put(struct peer *p, struct zab_event ev, struct weir_bytes bytes)
{
    struct waiting *w = calloc(1, sizeof *w);
    assert_non_null(w);
    w->ev = ev;
    buffer_add(&w->bytes, bytes.data, bytes.length);
    TAILQ_INSERT_TAIL(&p->queue, w, next);
    return w;
}

static void drop_queue(struct peer *p, uint32_t from)
{
    for (struct waiting *w = TAILQ_FIRST(&p->queue), *next; w; w = next) {
        next = TAILQ_NEXT(w, next);
        if (from && !(w->ev.type == ZAB_EV_MESSAGE && w->ev.message.peer == from)) continue;
        TAILQ_REMOVE(&p->queue, w, next);
        buffer_close(&w->bytes);
        free(w);
    }
}

/* ---- server -------------------------------------------------------------------------------------------------------------------- */

static void hear(struct world *w, struct weir_bytes bytes)
{
    struct say say;
    assert_true(read_say(bytes, &say));
    if (say.type != SAY_REFUSED && zxid_cmp(say.zxid, w->seen) > 0) w->seen = say.zxid;
    if (say.type == SAY_CONNECTED) {
        w->connected = true;
        w->session = say.session;
        memcpy(w->password, say.password, 16);
    } else if (say.type == SAY_REPLY) {
        w->replied = say.xid;
        w->err = say.err;
    } else if (say.type == SAY_REFUSED) {
        w->at = 0;
    }
}

static void step_server(struct world *w, struct peer *p, struct coord_server_event ev)
{
    struct weir_diag diag;
    ev.now_ms = ev.wall_ms = w->now_ms;
    if (coord_server_step(p->server, &ev, &p->said, &diag)) fail_msg("%s", diag.text);
    for (uint32_t i = 0; i < p->said.n; i++) {
        const struct coord_server_action *a = &p->said.at[i];
        struct weir_bytes bytes = a->length ? coord_server_bytes(&p->said, a) : bytes_of("", 0);
        switch (a->type) {
        case COORD_DO_PROPOSE: put(p, (struct zab_event){.type = ZAB_EV_PROPOSE}, bytes); break;
        case COORD_DO_FORWARD: put(p, (struct zab_event){.type = ZAB_EV_FORWARD}, bytes); break;
        case COORD_DO_TOUCH: put(p, (struct zab_event){.type = ZAB_EV_TOUCH}, bytes); break;
        case COORD_DO_BARRIER: put(p, (struct zab_event){.type = ZAB_EV_BARRIER, .token = a->token}, bytes_of("", 0)); break;
        case COORD_DO_SEND:
            if (p->id == w->at) hear(w, bytes);
            break;
        case COORD_DO_CLOSE: break;
        }
    }
}

/* ---- zab ----------------------------------------------------------------------------------------------------------------------- */

static void send_to(struct peer *from, struct peer *to, const struct zab_message *m)
{
    struct buffer b = {0};
    if (!to->alive) return;
    message_encode(m, &b);
    put(to, (struct zab_event){.type = ZAB_EV_MESSAGE, .message = {.peer = from->id}}, bytes_of(b.data, b.len));
    buffer_close(&b);
}

static void break_link(struct world *w, struct peer *p, uint32_t other)
{
    struct peer *q = &w->peers[other];
    drop_queue(p, other);
    drop_queue(q, p->id);
    if (q->alive) put(q, (struct zab_event){.type = ZAB_EV_LINK_DOWN, .peer = p->id}, bytes_of("", 0));
    put(p, (struct zab_event){.type = ZAB_EV_LINK_UP, .peer = other}, bytes_of("", 0));
    if (q->alive) put(q, (struct zab_event){.type = ZAB_EV_LINK_UP, .peer = p->id}, bytes_of("", 0));
}

struct gathered {
    struct zab_entry at[64];
    struct buffer bytes[64];
    uint32_t n;
};

static weir_err gather(void *arg, const struct zab_entry *entry, struct weir_diag *diag)
{
    struct gathered *g = arg;
    (void)diag;
    if (g->n == 64) return WEIR_E_LIMIT;
    g->at[g->n] = *entry;
    g->bytes[g->n] = (struct buffer){0};
    buffer_add(&g->bytes[g->n], entry->bytes.data, entry->bytes.length);
    g->at[g->n].bytes = bytes_of(g->bytes[g->n].data, g->bytes[g->n].len);
    g->n++;
    return WEIR_OK;
}

static void step_zab(struct world *w, struct peer *p, struct zab_event ev);

static void read_log(struct world *w, struct peer *p, const struct zab_action *a)
{
    struct gathered g;
    struct weir_diag diag;
    struct zab_event ev = {.type = ZAB_EV_LOG_READ, .log_read = {.reader = a->read_log.reader, .read = a->read_log.read}};
    g.n = 0;
    coord_disk_read_log(p->disk, a->read_log.after, gather, &g, &diag);
    ev.log_read.n = g.n;
    ev.log_read.entries = g.at;
    step_zab(w, p, ev);
    for (uint32_t i = 0; i < g.n; i++) buffer_close(&g.bytes[i]);
}

static void take_snapshot(struct peer *p, struct zxid *floor)
{
    struct buffer members = {0}, slice = {0};
    struct weir_diag diag;
    bool last = false;
    struct image *m = image_begin(&p->state);
    members_encode(&world.members, &members);
    assert_int_equal(coord_disk_snapshot_begin(p->disk, image_zxid(m), bytes_of(members.data, members.len), &diag), WEIR_OK);
    while (!last) {
        buffer_clear(&slice);
        assert_int_equal(image_slice(m, IMAGE_SLICE_BYTES, &slice, &last), WEIR_OK);
        assert_int_equal(coord_disk_snapshot_add(p->disk, bytes_of(slice.data, slice.len), &diag), WEIR_OK);
    }
    image_end(&m);
    assert_int_equal(coord_disk_snapshot_finish(p->disk, floor, &diag), WEIR_OK);
    buffer_close(&members);
    buffer_close(&slice);
}

static void read_snapshot(struct world *w, struct peer *p, const struct zab_action *a)
{
    struct coord_transfer *t = &p->transfers[a->peer];
    struct buffer bytes = {0};
    struct weir_diag diag;
    struct zab_event ev = {.type = ZAB_EV_SNAPSHOT_READ};
    bool last;
    assert_int_equal(coord_disk_read_snapshot(p->disk, t, a->read_snapshot.offset, 300, &bytes, &last, &diag), WEIR_OK);
    ev.snapshot_read.peer = a->peer;
    ev.snapshot_read.read = a->read_snapshot.read;
    ev.snapshot_read.zxid = t->info.zxid;
    ev.snapshot_read.offset = a->read_snapshot.offset;
    ev.snapshot_read.last = last;
    ev.snapshot_read.members = bytes_of(t->info.members, t->info.n_members);
    ev.snapshot_read.bytes = bytes_of(bytes.data, bytes.len);
    step_zab(w, p, ev);
    buffer_close(&bytes);
}

static void install(struct peer *p, const struct zab_action *a)
{
    struct weir_diag diag;
    if (a->install.last) {
        coord_state_close(&p->state);
        assert_int_equal(coord_state_init(&p->state), WEIR_OK);
    }
    if (coord_disk_install(p->disk, a->zxid, a->install.offset, a->install.bytes, a->install.last, &p->state, &diag))
        fail_msg("%s", diag.text);
    if (a->install.last) coord_server_replaced(p->server, &p->said);
}

/* Performs one action; those that need another step of zab are left for later. */
static void perform(struct world *w, struct peer *p, const struct zab_action *a)
{
    struct weir_diag diag;
    struct coord_server_event ev = {.peer = a->peer};
    switch (a->type) {
    case ZAB_DO_SEND: send_to(p, &w->peers[a->peer], a->message); break;
    case ZAB_DO_RESET_LINK: break_link(w, p, a->peer); break;
    case ZAB_DO_APPEND: assert_int_equal(coord_disk_append(p->disk, &a->entry, &diag), WEIR_OK); break;
    case ZAB_DO_TRUNCATE: assert_int_equal(coord_disk_truncate(p->disk, a->zxid, &diag), WEIR_OK); break;
    case ZAB_DO_SET_EPOCHS: assert_int_equal(coord_disk_set_epochs(p->disk, a->epochs.accepted, a->epochs.current, &diag), WEIR_OK); break;
    case ZAB_DO_INSTALL: install(p, a); break;
    case ZAB_DO_END_SNAPSHOT: coord_transfer_end(&p->transfers[a->peer]); break;
    case ZAB_DO_DELIVER:
        ev.type = COORD_EV_DELIVER;
        ev.zxid = a->entry.zxid;
        if (a->entry.kind == ZAB_ENTRY_DATA) ev.bytes = a->entry.bytes;
        step_server(w, p, ev);
        break;
    case ZAB_DO_ROLE:
        ev.type = COORD_EV_ROLE;
        ev.established = a->role.established;
        ev.leads = p->leads = a->role.established && a->role.role == ZAB_LEADING;
        step_server(w, p, ev);
        break;
    case ZAB_DO_FORWARDED:
    case ZAB_DO_TOUCHED:
        ev.type = a->type == ZAB_DO_FORWARDED ? COORD_EV_FORWARDED : COORD_EV_TOUCHED;
        ev.bytes = a->bytes;
        step_server(w, p, ev);
        break;
    case ZAB_DO_SYNCED:
    case ZAB_DO_BARRIER_LOST:
        ev.type = a->type == ZAB_DO_SYNCED ? COORD_EV_SYNCED : COORD_EV_BARRIER_LOST;
        ev.token = a->token;
        step_server(w, p, ev);
        break;
    case ZAB_DO_FAIL: fail_msg("peer %u: %s", p->id, a->reason); break;
    default: break;
    }
}

static void step_zab(struct world *w, struct peer *p, struct zab_event ev)
{
    struct weir_diag diag;
    struct zab_action reads[16];
    uint32_t n_reads = 0;
    uint64_t ticket = 0;
    ev.now_ms = w->now_ms;
    zab_step(p->zab, &ev, &p->actions);
    if (ev.type == ZAB_EV_PROPOSE) assert_int_equal(p->actions.outcome, ZAB_TAKEN);
    for (uint32_t i = 0; i < p->actions.n; i++) {
        const struct zab_action *a = &p->actions.at[i];
        if (a->ticket > ticket) ticket = a->ticket;
        if (a->type == ZAB_DO_READ_LOG || a->type == ZAB_DO_READ_SNAPSHOT) {
            assert_true(n_reads < 16);
            reads[n_reads++] = *a;
        } else {
            perform(w, p, a);
        }
    }
    if (ticket) {
        assert_int_equal(coord_disk_sync(p->disk, &diag), WEIR_OK);
        put(p, (struct zab_event){.type = ZAB_EV_PERSISTED, .ticket = ticket}, bytes_of("", 0));
    }
    for (uint32_t i = 0; i < n_reads; i++)
        if (reads[i].type == ZAB_DO_READ_LOG)
            read_log(w, p, &reads[i]);
        else
            read_snapshot(w, p, &reads[i]);
}

/* ---- the world ----------------------------------------------------------------------------------------------------------------- */

static void start(struct world *w, uint32_t id)
{
    struct peer *p = &w->peers[id];
    struct coord_disk_config disk = {.folder = p->dir.path, .cluster = {{1}}, .peer = id, .segment_bytes = 4000, .keep = 1};
    struct coord_server_config server = {.id = id, .limits = COORD_LIMITS_DEFAULT};
    struct zab_config config = {.id = id, .cluster = {{1}}, .window_bytes = 1};
    struct zab_recovery *recovery = calloc(1, sizeof *recovery);
    struct weir_diag diag;
    p->id = id;
    p->alive = true;
    TAILQ_INIT(&p->queue);
    for (uint32_t i = 0; i <= PEERS; i++) p->transfers[i] = (struct coord_transfer)COORD_TRANSFER_NONE;
    recovery_init(recovery, &w->members);
    assert_int_equal(coord_state_init(&p->state), WEIR_OK);
    if (coord_disk_open(&p->disk, &disk, &p->state, recovery, NULL, &diag)) fail_msg("%s", diag.text);
    coord_server_new(&p->server, &server, &p->state, w->now_ms);
    zab_new(&p->zab, &config, recovery, w->now_ms, &p->actions);
    for (uint32_t i = 0; i < p->actions.n; i++) perform(w, p, &p->actions.at[i]);
    history_close(&recovery->history);
    free(recovery);
    for (uint32_t other = 1; other <= PEERS; other++) {
        if (other == id || !w->peers[other].alive) continue;
        put(p, (struct zab_event){.type = ZAB_EV_LINK_UP, .peer = other}, bytes_of("", 0));
        put(&w->peers[other], (struct zab_event){.type = ZAB_EV_LINK_UP, .peer = id}, bytes_of("", 0));
    }
}

static void stop(struct world *w, uint32_t id)
{
    struct peer *p = &w->peers[id];
    if (!p->alive) return;
    p->alive = p->leads = false;
    drop_queue(p, 0);
    for (uint32_t i = 0; i <= PEERS; i++) coord_transfer_end(&p->transfers[i]);
    zab_destroy(&p->zab);
    zab_actions_close(&p->actions);
    coord_server_destroy(&p->server);
    coord_server_actions_close(&p->said);
    coord_disk_close(&p->disk);
    coord_state_close(&p->state);
    for (uint32_t other = 1; other <= PEERS; other++) {
        if (!w->peers[other].alive) continue;
        drop_queue(&w->peers[other], id);
        put(&w->peers[other], (struct zab_event){.type = ZAB_EV_LINK_DOWN, .peer = id}, bytes_of("", 0));
    }
    if (w->at == id) w->at = 0;
}

static bool work_off(struct world *w, struct peer *p)
{
    struct waiting *q = p->alive ? TAILQ_FIRST(&p->queue) : NULL;
    struct zab_message m;
    struct weir_diag diag;
    if (!q) return false;
    TAILQ_REMOVE(&p->queue, q, next);
    if (q->ev.type == ZAB_EV_MESSAGE) {
        assert_int_equal(message_decode(q->bytes.data, q->bytes.len, &m, &diag), WEIR_OK);
        q->ev.message.message = &m;
    } else if (q->ev.type == ZAB_EV_PROPOSE || q->ev.type == ZAB_EV_FORWARD || q->ev.type == ZAB_EV_TOUCH) {
        q->ev.bytes = bytes_of(q->bytes.data, q->bytes.len);
    }
    bool stale = q->ev.type == ZAB_EV_PROPOSE && !p->leads; /* of a leadership that is over */
    if (!stale) step_zab(w, p, q->ev);
    buffer_close(&q->bytes);
    free(q);
    return true;
}

static void pass(struct world *w, int64_t ms)
{
    for (int64_t until = w->now_ms + ms; w->now_ms < until; w->now_ms += 5) {
        for (bool busy = true; busy;) {
            busy = false;
            for (uint32_t id = 1; id <= PEERS; id++) busy |= work_off(w, &w->peers[id]);
        }
        for (uint32_t id = 1; id <= PEERS; id++) {
            if (!w->peers[id].alive) continue;
            step_zab(w, &w->peers[id], (struct zab_event){.type = ZAB_EV_TICK});
            step_server(w, &w->peers[id], (struct coord_server_event){.type = COORD_EV_TICK});
        }
    }
}

/* ---- the client ---------------------------------------------------------------------------------------------------------------- */

static void ask_peer(struct world *w, const struct ask *ask)
{
    struct buffer b = {0};
    put_ask(&b, ask);
    step_server(w, &w->peers[w->at],
                (struct coord_server_event){.type = COORD_EV_MESSAGE, .connection = w->connection, .bytes = bytes_of(b.data, b.len)});
    buffer_close(&b);
}

/* Until it has a connection, to whichever peer takes it. */
static void be_connected(struct world *w)
{
    for (uint32_t id = 1, tries = 0; !w->at || !w->connected; id = id % PEERS + 1, tries++) {
        assert_true(tries < 30);
        if (!w->peers[id].alive) continue;
        struct coord_server_event ev = {
            .type = COORD_EV_OPENED, .connection = ++w->connection, .random = {(uint8_t)w->connection, (uint8_t)id}};
        ev.random[16] = (uint8_t)w->connection;
        struct ask ask = {.type = ASK_CONNECT, .seen = w->seen, .timeout_ms = 60000, .session = w->session};
        memcpy(ask.password, w->password, 16);
        w->at = id;
        w->connected = false;
        step_server(w, &w->peers[id], ev);
        ask_peer(w, &ask);
        pass(w, 500);
    }
}

/* Creates one more node; repeats the request until it is answered. */
static void write_one(struct world *w)
{
    struct op op = {.type = OP_CREATE, .path = bytes_text("/n-"), .data = bytes_text("data"), .acl = acl_open(), .sequential = true};
    struct buffer b = {0};
    uint64_t xid = ++w->xid;
    put_request_op(&b, &op);
    for (int tries = 0; w->replied != xid; tries++) {
        assert_true(tries < 20);
        if (!w->at) w->connected = false;
        be_connected(w);
        if (w->replied == xid) break;
        ask_peer(w, &(struct ask){.type = ASK_WRITE, .xid = xid, .acked = xid - 1, .n = 1, .ops = bytes_of(b.data, b.len)});
        for (int i = 0; i < 200 && w->replied != xid && w->at; i++) pass(w, 10);
        if (w->replied != xid) w->at = 0;
    }
    assert_int_equal(w->err, COORD_OK);
    buffer_close(&b);
}

static uint32_t leader(const struct world *w)
{
    for (uint32_t id = 1; id <= PEERS; id++)
        if (w->peers[id].alive && w->peers[id].leads) return id;
    return 0;
}

static int begin(void **state)
{
    struct world *w = *state = &world;
    *w = (struct world){.now_ms = 1000, .members = {.n = PEERS}};
    for (uint32_t id = 1; id <= PEERS; id++) {
        w->members.at[id - 1] = (struct zab_member){.id = id};
        temp_dir_make(&w->peers[id].dir);
    }
    for (uint32_t id = 1; id <= PEERS; id++) start(w, id);
    return 0;
}

static int end(void **state)
{
    struct world *w = *state;
    for (uint32_t id = 1; id <= PEERS; id++) {
        stop(w, id);
        temp_dir_remove(&w->peers[id].dir);
    }
    return 0;
}

/* Every peer has exactly the nodes that were answered for. */
static void expect_nodes(struct world *w, uint64_t n)
{
    pass(w, 1000);
    for (uint32_t id = 1; id <= PEERS; id++) {
        if (!w->peers[id].alive) continue;
        assert_int_equal(w->peers[id].state.tree.root->n_children, n);
        assert_int_equal(w->peers[id].state.tree.root->sequence, n);
        assert_true(zxid_eq(w->peers[id].state.last, w->peers[leader(w)].state.last));
    }
}

static void a_client_writes_through_deaths_of_leaders(void **state)
{
    struct world *w = *state;
    for (uint32_t round = 0; round < 6; round++) {
        for (int i = 0; i < 5; i++) write_one(w);
        uint32_t victim = leader(w);
        assert_int_not_equal(victim, 0);
        stop(w, victim);
        for (int i = 0; i < 5; i++) write_one(w);
        start(w, victim);
        write_one(w);
    }
    expect_nodes(w, 6 * 11);
}

static void everything_comes_back_from_disk(void **state)
{
    struct world *w = *state;
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 5; i++) write_one(w);
        for (uint32_t id = 1; id <= PEERS; id++) stop(w, id);
        for (uint32_t id = 1; id <= PEERS; id++) start(w, id);
        write_one(w);
    }
    expect_nodes(w, 18);
}

/* Who was away while the others dropped their log gets a snapshot, and can be a leader with it. */
static void a_laggard_gets_a_snapshot(void **state)
{
    struct world *w = *state;
    write_one(w);
    uint32_t away = leader(w) % PEERS + 1;
    stop(w, away);
    for (int i = 0; i < 60; i++) write_one(w);
    for (uint32_t id = 1; id <= PEERS; id++) {
        struct zab_event ev = {.type = ZAB_EV_SNAPSHOT_TAKEN};
        if (!w->peers[id].alive) continue;
        ev.snapshot_taken.zxid = w->peers[id].state.last;
        take_snapshot(&w->peers[id], &ev.snapshot_taken.floor);
        step_zab(w, &w->peers[id], ev);
    }
    start(w, away);
    expect_nodes(w, 61);
    stop(w, leader(w));
    write_one(w);
    for (uint32_t id = 1; id <= PEERS; id++)
        if (!w->peers[id].alive) start(w, id);
    expect_nodes(w, 62);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_client_writes_through_deaths_of_leaders, begin, end),
        cmocka_unit_test_setup_teardown(everything_comes_back_from_disk, begin, end),
        cmocka_unit_test_setup_teardown(a_laggard_gets_a_snapshot, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
