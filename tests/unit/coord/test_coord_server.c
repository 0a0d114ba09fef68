/* SPDX-License-Identifier: Apache-2.0 */
/* Clients, peers and the leader, above a log that always agrees (ensemble.h). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "runtime/coord/watch.h"
#include "tests/unit/coord/ensemble.h"

static struct ensemble ensemble;

static int begin(void **state)
{
    ensemble_init(&ensemble);
    ensemble_start(&ensemble);
    *state = &ensemble;
    return 0;
}

static int end(void **state)
{
    struct ensemble *e = *state;
    assert_int_equal(e->err, WEIR_OK);
    ensemble_end(e);
    return 0;
}

static struct client *new_client(struct ensemble *e, uint32_t i, uint32_t server)
{
    struct client *c = &e->clients[i];
    struct say say;
    connect_to(e, c, server);
    settle(e);
    assert_true(next_say(c, &say));
    assert_int_equal(say.type, SAY_CONNECTED);
    assert_true(say.session > 0);
    return c;
}

static struct say expect(struct client *c, enum say_type type)
{
    struct say say;
    if (!next_say(c, &say)) fail_msg("no message of type %d", type);
    if (say.type != type) fail_msg("message of type %d (%s) instead of %d", say.type, coord_err_name(say.err), type);
    return say;
}

static void expect_reply(struct client *c, uint64_t xid, enum coord_err err)
{
    struct say say = expect(c, SAY_REPLY);
    assert_int_equal(say.xid, xid);
    if (say.err != err) fail_msg("%s instead of %s", coord_err_name(say.err), coord_err_name(err));
}

static void expect_event(struct client *c, enum event_type type, const char *path)
{
    struct say say = expect(c, SAY_EVENT);
    assert_int_equal(say.event, type);
    assert_true(bytes_equal(say.path, bytes_text(path)));
}

static void expect_nothing(struct client *c)
{
    assert_int_equal(c->read, c->n);
}

/* The reply to a GET_DATA: its data. */
static void expect_data(struct client *c, uint64_t xid, const char *data)
{
    struct say say = expect(c, SAY_REPLY);
    struct reader r;
    assert_int_equal(say.xid, xid);
    assert_int_equal(say.err, COORD_OK);
    reader_init(&r, say.body.data, say.body.length);
    assert_int_equal(read_u32(&r), 1);
    enum coord_err err = read_u16(&r);
    if (!data) {
        assert_int_equal(err, COORD_NO_NODE);
        return;
    }
    assert_int_equal(err, COORD_OK);
    assert_true(bytes_equal(read_data(&r, UINT32_MAX), bytes_text(data)));
    read_stat(&r);
    assert_true(reader_done(&r));
}

static void expect_refusal(struct client *c, enum coord_err err)
{
    struct say say = expect(c, SAY_REFUSED);
    if (say.err != err) fail_msg("%s instead of %s", coord_err_name(say.err), coord_err_name(err));
    assert_true(say.reason.length > 10);
    assert_true(c->closed);
}

/* ---- order ---------------------------------------------------------------------------------------------------------------------- */

static void a_read_waits_for_the_writes_before_it(void **state)
{
    struct ensemble *e = *state;
    struct client *c = new_client(e, 0, 1);
    create(e, c, "/a", NODE_PERSISTENT);
    set(e, c, "/a", "one");
    get_data(e, c, "/a", false);
    set(e, c, "/a", "two");
    expect_nothing(c);
    settle(e);
    expect_reply(c, 1, COORD_OK);
    expect_reply(c, 2, COORD_OK);
    expect_data(c, 3, "one");
    expect_reply(c, 4, COORD_OK);
    get_data(e, c, "/a", false);
    expect_data(c, 5, "two");
}

static void an_event_comes_before_the_reply_that_shows_it(void **state)
{
    struct ensemble *e = *state;
    struct client *a = new_client(e, 0, 1), *b = new_client(e, 1, 2);
    create(e, a, "/n", NODE_PERSISTENT);
    settle(e);
    expect_reply(a, 1, COORD_OK);
    get_data(e, a, "/n", true);
    expect_data(a, 2, "x");
    set(e, b, "/n", "new"); /* somebody else's, */
    create(e, a, "/m", NODE_PERSISTENT);
    get_data(e, a, "/n", true);
    settle(e);
    expect_event(a, EVENT_CHANGED, "/n");
    expect_reply(a, 3, COORD_OK);
    expect_data(a, 4, "new");
    drop(e, a, "/n"); /* and its own */
    settle(e);
    expect_event(a, EVENT_DELETED, "/n");
    expect_reply(a, 5, COORD_OK);
    expect_nothing(a);
}

static void watches_of_each_kind(void **state)
{
    struct ensemble *e = *state;
    struct client *c = new_client(e, 0, 0), *w = new_client(e, 1, 1);
    get(e, w, &(struct get){.type = GET_EXISTS, .path = bytes_text("/a"), .watch = true}, false);
    get_data(e, w, "/b", true); /* missing: sets none */
    get(e, w, &(struct get){.type = GET_CHILDREN, .path = bytes_text("/"), .watch = true}, false);
    get(e, w, &(struct get){.type = GET_WATCH, .path = bytes_text("/p"), .kind = WATCH_PERSISTENT}, false);
    get(e, w, &(struct get){.type = GET_WATCH, .path = bytes_text("/p"), .kind = WATCH_RECURSIVE}, false);
    for (uint64_t xid = 1; xid <= 5; xid++) expect_reply(w, xid, COORD_OK);
    create(e, c, "/a", NODE_PERSISTENT);
    create(e, c, "/b", NODE_PERSISTENT);
    create(e, c, "/p", NODE_PERSISTENT);
    create(e, c, "/p/q", NODE_PERSISTENT);
    set(e, c, "/p/q", "y");
    drop(e, c, "/p/q");
    settle(e);
    expect_event(w, EVENT_CREATED, "/a");
    expect_event(w, EVENT_CHILDREN, "/");
    expect_event(w, EVENT_CREATED, "/p"); /* once, though two watches concern it */
    expect_event(w, EVENT_CREATED, "/p/q");
    expect_event(w, EVENT_CHILDREN, "/p");
    expect_event(w, EVENT_CHANGED, "/p/q");
    expect_event(w, EVENT_DELETED, "/p/q");
    expect_event(w, EVENT_CHILDREN, "/p");
    expect_nothing(w);
    ask_of(e, w, &(struct ask){.type = ASK_UNWATCH, .xid = 6, .kinds = WATCH_PERSISTENT, .path = bytes_text("/p")});
    ask_of(e, w, &(struct ask){.type = ASK_UNWATCH, .xid = 7, .kinds = WATCH_PERSISTENT, .path = bytes_text("/p")});
    expect_reply(w, 6, COORD_OK);
    expect_reply(w, 7, COORD_NO_WATCHER);
    create(e, c, "/p/r", NODE_PERSISTENT);
    settle(e);
    expect_event(w, EVENT_CREATED, "/p/r"); /* the recursive one is still there (ZOOKEEPER-4466) */
    expect_nothing(w);
    disconnect(e, w);
    assert_int_equal(coord_server_status(e->servers[1]).watches, 0);
}

static void a_sync_is_a_round(void **state)
{
    struct ensemble *e = *state;
    struct client *a = new_client(e, 0, 0), *b = new_client(e, 1, 1);
    e->stopped[1] = true;
    create(e, a, "/n", NODE_PERSISTENT);
    settle(e);
    expect_reply(a, 1, COORD_OK);
    get_data(e, b, "/n", false);
    expect_data(b, 1, NULL); /* stale, and that is allowed */
    ask_of(e, b, &(struct ask){.type = ASK_SYNC, .xid = ++b->xid});
    get_data(e, b, "/n", false);
    get(e, b, &(struct get){.type = GET_DATA, .path = bytes_text("/n")}, true);
    settle(e);
    expect_nothing(b);
    e->stopped[1] = false;
    settle(e);
    expect_reply(b, 2, COORD_OK);
    expect_data(b, 3, "x");
    expect_data(b, 4, "x");
}

static void confirm(struct ensemble *e, struct client *c, uint64_t xid)
{
    ask_of(e, c, &(struct ask){.type = ASK_CONFIRM, .xid = xid});
}

static void expect_confirmed(struct client *c, uint64_t xid, enum coord_err err)
{
    struct say say = expect(c, SAY_CONFIRMED);
    assert_int_equal(say.xid, xid);
    assert_int_equal(say.err, err);
}

/* What is being written holds up what is asked behind it, but for this. */
static void a_confirmation_waits_for_no_write(void **state)
{
    struct ensemble *e = *state;
    struct client *c = new_client(e, 0, 0);
    hold_commits(e, true);
    create(e, c, "/a", NODE_PERSISTENT);
    ask_of(e, c, &(struct ask){.type = ASK_SYNC, .xid = ++c->xid});
    e->hold_barriers = true;
    confirm(e, c, 7);
    confirm(e, c, 5); /* takes its place */
    expect_nothing(c);
    e->hold_barriers = false;
    settle(e);
    expect_confirmed(c, 5, COORD_OK);
    expect_nothing(c);
    hold_commits(e, false);
    settle(e);
    expect_reply(c, 1, COORD_OK);
    expect_reply(c, 2, COORD_OK);
    expect_nothing(c);
}

static void nobody_confirms_without_a_quorum(void **state)
{
    struct ensemble *e = *state;
    struct client *c = new_client(e, 0, 1), *early = &e->clients[1];
    lead(e, -1);
    confirm(e, c, 1);
    pass(e, e->limits.quorum_wait_ms - 100);
    expect_nothing(c);
    lead(e, 0); /* in time */
    settle(e);
    expect_confirmed(c, 1, COORD_OK);
    lead(e, -1);
    confirm(e, c, 2);
    pass(e, e->limits.quorum_wait_ms + 100);
    expect_confirmed(c, 2, COORD_NO_QUORUM);
    lead(e, 0);
    settle(e);
    expect_nothing(c);
    open_connection(e, early, 1);
    confirm(e, early, 1);
    expect_refusal(early, COORD_MARSHALLING);
}

/* ---- sessions ------------------------------------------------------------------------------------------------------------------ */

static void a_session_goes_on_at_another_peer(void **state)
{
    struct ensemble *e = *state;
    struct client *c = new_client(e, 0, 1);
    uint64_t session = c->session;
    create(e, c, "/e", NODE_EPHEMERAL);
    settle(e);
    expect_reply(c, 1, COORD_OK);
    c->id = 0; /* the old connection hangs; the client has given it up */
    connect_to(e, c, 2);
    settle(e);
    assert_int_equal(expect(c, SAY_CONNECTED).session, session);
    create(e, c, "/f", NODE_EPHEMERAL);
    settle(e);
    expect_reply(c, 2, COORD_OK);
    assert_int_equal(coord_server_status(e->servers[1]).connections, 0); /* the old one was closed */
}

static void what_comes_by_way_of_the_former_peer_is_dropped(void **state)
{
    struct ensemble *e = *state;
    struct client *c = new_client(e, 0, 1), *old = &e->clients[1];
    e->stopped[1] = true;
    old->id = c->id;
    old->server = 1;
    c->id = 0;
    connect_to(e, c, 2);
    settle(e);
    expect(c, SAY_CONNECTED);
    create(e, old, "/late", NODE_PERSISTENT); /* its peer does not know yet */
    e->stopped[1] = false;
    settle(e);
    expect_refusal(old, COORD_SESSION_MOVED);
    assert_null(tree_find(&e->states[0].tree, bytes_text("/late")));
    create(e, c, "/new", NODE_PERSISTENT);
    settle(e);
    expect_reply(c, 1, COORD_OK);
}

/* Who has seen the number and the password of a session still needs its key; and a session without a key is of no use to one. */
static void a_session_belongs_to_its_key(void **state)
{
    static const char ann[] = "ann.......ann.......ann.......ann.......", eve[] = "eve.......eve.......eve.......eve.......";
    struct ensemble *e = *state;
    struct client *c = &e->clients[0], *x = &e->clients[1], *plain = new_client(e, 2, 0);
    c->key = ann;
    c = new_client(e, 0, 1);
    for (uint32_t server = 0; server < 3; server++) {
        for (int with_key = 0; with_key < 2; with_key++) {
            x->key = with_key ? eve : NULL;
            x->session = c->session;
            memcpy(x->password, c->password, 16);
            connect_to(e, x, server);
            expect_refusal(x, COORD_AUTH_FAILED);
        }
    }
    x->key = eve;
    x->session = plain->session;
    memcpy(x->password, plain->password, 16);
    connect_to(e, x, 0);
    expect_refusal(x, COORD_AUTH_FAILED);
    create(e, c, "/mine", NODE_EPHEMERAL); /* nothing has changed for it */
    settle(e);
    expect_reply(c, 1, COORD_OK);
    uint64_t session = c->session;
    disconnect(e, c);
    connect_to(e, c, 2); /* and it goes on elsewhere */
    settle(e);
    assert_int_equal(expect(c, SAY_CONNECTED).session, session);
}

static struct client *client_with(struct ensemble *e, uint32_t i, const char *key, bool super)
{
    e->clients[i].key = key;
    e->clients[i].super = super;
    return new_client(e, i, 1);
}

static bool may_reconfig(const struct ensemble *e, const struct client *c)
{
    return coord_server_may_reconfig(e->servers[1], c->id);
}

/* Super, and whom the node lets write by name; the node is super's, for who made it could let himself. */
static void members_are_changed_by_whom_zookeeper_would_let(void **state)
{
    static const char ann[] = "ann.......ann.......ann.......ann.......", bob[] = "bob.......bob.......bob.......bob.......";
    struct ensemble *e = *state;
    struct buffer acl = {0};
    struct client *plain = client_with(e, 0, NULL, true); /* without a key nobody is super */
    struct client *super = client_with(e, 1, ann, true), *named = client_with(e, 2, bob, false);
    create(e, plain, "/weir", NODE_PERSISTENT);
    create(e, plain, COORD_ENSEMBLE_PATH, NODE_PERSISTENT);
    settle(e);
    expect_reply(plain, 1, COORD_OK);
    expect_reply(plain, 2, COORD_NO_AUTH);
    create(e, named, COORD_ENSEMBLE_PATH, NODE_PERSISTENT);
    settle(e);
    expect_reply(named, 1, COORD_NO_AUTH);
    assert_false(may_reconfig(e, plain));
    assert_false(may_reconfig(e, named));
    assert_true(may_reconfig(e, super));
    create(e, super, COORD_ENSEMBLE_PATH, NODE_PERSISTENT); /* open to everybody, which names nobody */
    settle(e);
    expect_reply(super, 1, COORD_OK);
    assert_false(may_reconfig(e, plain));
    assert_false(may_reconfig(e, named));
    put_u16(&acl, 1);
    put_u8(&acl, ACL_WRITE);
    put_u8(&acl, ACL_KEY);
    put_u16(&acl, 40);
    buffer_add(&acl, bob, 40);
    struct op op = {
        .type = OP_SET_ACL, .path = bytes_text(COORD_ENSEMBLE_PATH), .acl = bytes_of(acl.data, acl.len), .version = OP_ANY_VERSION};
    (void)write_ops(e, super, &op, 1, ++super->xid);
    settle(e);
    expect_reply(super, 2, COORD_OK);
    assert_true(may_reconfig(e, named));
    assert_true(may_reconfig(e, super));
    assert_false(may_reconfig(e, plain));
    assert_false(coord_server_may_reconfig(e->servers[1], 4711)); /* no such connection */
    buffer_close(&acl);
}

static void strangers_are_refused(void **state)
{
    struct ensemble *e = *state;
    struct client *c = new_client(e, 0, 0), *x = &e->clients[1];
    x->session = c->session;
    memset(x->password, 7, 16);
    connect_to(e, x, 1);
    expect_refusal(x, COORD_AUTH_FAILED);
    x->session = 4711;
    connect_to(e, x, 1);
    expect_refusal(x, COORD_SESSION_EXPIRED);
    x->session = 0;
    x->seen = (struct zxid){99, 1};
    connect_to(e, x, 1);
    expect_refusal(x, COORD_CLIENT_AHEAD);
    open_connection(e, x, 1);
    step(e, 1, (struct coord_server_event){.type = COORD_EV_MESSAGE, .connection = x->id, .bytes = bytes_text("GET / HTTP/1.1")});
    expect_refusal(x, COORD_MARSHALLING);
    open_connection(e, x, 1);
    create(e, x, "/a", NODE_PERSISTENT);
    expect_refusal(x, COORD_MARSHALLING);
    open_connection(e, x, 1);
    pass(e, COORD_CONNECT_MS);
    expect_refusal(x, COORD_MARSHALLING);
    x->seen = (struct zxid){0};
    x = new_client(e, 1, 1); /* nobody else was disturbed */
    create(e, x, "/a", NODE_PERSISTENT);
    settle(e);
    expect_reply(x, x->xid, COORD_OK);
}

static void silence_ends_a_session(void **state)
{
    struct ensemble *e = *state;
    struct client *c = new_client(e, 0, 1), *w = new_client(e, 1, 2);
    create(e, c, "/e", NODE_EPHEMERAL);
    settle(e);
    expect_reply(c, 1, COORD_OK);
    get_data(e, w, "/e", true);
    expect_data(w, 1, "x");
    for (int i = 0; i < 20; i++) { /* who speaks lives */
        pass(e, 300);
        ask_of(e, c, &(struct ask){.type = ASK_PING});
        ask_of(e, w, &(struct ask){.type = ASK_PING});
    }
    for (int i = 0; i < 20; i++) {
        expect(c, SAY_PONG);
        expect(w, SAY_PONG);
    }
    for (int i = 0; i < 10; i++) {
        pass(e, 300);
        ask_of(e, w, &(struct ask){.type = ASK_PING});
        if (c->closed) break;
    }
    expect_refusal(c, COORD_SESSION_EXPIRED);
    struct say say;
    while (next_say(w, &say) && say.type == SAY_PONG) continue;
    assert_int_equal(say.type, SAY_EVENT);
    assert_int_equal(say.event, EVENT_DELETED);
    c->session = 1; /* it cannot go on */
    connect_to(e, c, 0);
    expect_refusal(c, COORD_SESSION_EXPIRED);
}

static void a_new_leader_gives_a_whole_timeout(void **state)
{
    struct ensemble *e = *state;
    struct client *c = new_client(e, 0, 1);
    disconnect(e, c);
    pass(e, 1800);
    lead(e, -1);
    pass(e, 1500);
    lead(e, 2);
    pass(e, 1800);
    connect_to(e, c, 2);
    settle(e);
    expect(c, SAY_CONNECTED);
}

static void closing_a_session(void **state)
{
    struct ensemble *e = *state;
    struct client *c = new_client(e, 0, 1);
    create(e, c, "/e", NODE_EPHEMERAL);
    get_data(e, c, "/e", false);
    ask_of(e, c, &(struct ask){.type = ASK_CLOSE, .xid = ++c->xid});
    settle(e);
    expect_reply(c, 1, COORD_OK);
    expect_data(c, 2, "x");
    expect_reply(c, 3, COORD_OK);
    assert_true(c->closed);
    assert_null(tree_find(&e->states[2].tree, bytes_text("/e")));
    assert_null(session_find(&e->states[2].sessions, c->session));
}

/* ---- repeated writes ----------------------------------------------------------------------------------------------------------- */

/* The connection broke during a write. It had been carried out; it was under way; it never arrived: each is carried out once. */
static void a_repeated_write_is_carried_out_once(void **state)
{
    struct ensemble *e = *state;
    struct client *c = new_client(e, 0, 1);
    struct op op = {.type = OP_CREATE, .path = bytes_text("/n-"), .acl = acl_open(), .sequential = true};
    for (int when = 0; when < 3; when++) {
        uint64_t xid = ++c->xid;
        e->lose_forwards = when == 2;
        write_ops(e, c, &op, 1, xid);
        e->lose_forwards = false;
        if (when == 0) settle(e);
        disconnect(e, c);
        c->read = c->n;
        connect_to(e, c, when % 2 ? 1 : 2);
        settle(e);
        expect(c, SAY_CONNECTED);
        write_ops(e, c, &op, 1, xid);
        settle(e);
        struct say say = expect(c, SAY_REPLY);
        assert_int_equal(say.err, COORD_OK);
        struct reader r;
        char path[20];
        reader_init(&r, say.body.data, say.body.length);
        read_u64(&r);
        read_u8(&r);
        struct weir_bytes made = read_bytes(&r, 100);
        snprintf(path, sizeof path, "/n-%010d", when);
        assert_true(bytes_equal(made, bytes_text(path)));
        assert_int_equal(e->states[0].tree.root->n_children, when + 1);
    }
    c->acked = c->xid;
    create(e, c, "/more", NODE_PERSISTENT); /* drops the outcomes */
    settle(e);
    expect_reply(c, c->xid, COORD_OK);
    disconnect(e, c);
    connect_to(e, c, 0);
    settle(e);
    expect(c, SAY_CONNECTED);
    write_ops(e, c, &op, 1, 1);
    settle(e);
    expect_reply(c, 1, COORD_OUTCOME_FORGOTTEN);
}

static void a_change_of_leader_is_not_seen(void **state)
{
    struct ensemble *e = *state;
    struct client *c = new_client(e, 0, 1);
    create(e, c, "/a", NODE_PERSISTENT); /* in the log */
    e->lose_forwards = true;
    create(e, c, "/b", NODE_PERSISTENT); /* lost */
    e->lose_forwards = false;
    ask_of(e, c, &(struct ask){.type = ASK_SYNC, .xid = ++c->xid});
    lead(e, -1);
    create(e, c, "/c", NODE_PERSISTENT); /* when nobody leads */
    pass(e, 500);
    lead(e, 2);
    settle(e);
    expect_reply(c, 1, COORD_OK);
    expect_reply(c, 2, COORD_OK);
    expect_reply(c, 3, COORD_OK);
    expect_reply(c, 4, COORD_OK);
    assert_int_equal(e->states[0].tree.root->n_children, 3);
    lead(e, 1); /* the client's own peer */
    create(e, c, "/d", NODE_PERSISTENT);
    settle(e);
    expect_reply(c, 5, COORD_OK);
}

static void without_a_quorum(void **state)
{
    struct ensemble *e = *state;
    struct client *c = new_client(e, 0, 1), *x = &e->clients[1];
    lead(e, -1);
    get_data(e, c, "/", false);
    expect_data(c, 1, "");
    create(e, c, "/a", NODE_PERSISTENT);
    get_data(e, c, "/", false);
    connect_to(e, x, 2);
    pass(e, e->limits.quorum_wait_ms - 100);
    expect_nothing(c);
    pass(e, 200);
    expect_reply(c, 2, COORD_NO_QUORUM);
    expect_reply(c, 3, COORD_NO_QUORUM);
    expect_refusal(x, COORD_NO_QUORUM);
    get(e, c, &(struct get){.type = GET_DATA, .path = bytes_text("/")}, true);
    ask_of(e, c, &(struct ask){.type = ASK_SYNC, .xid = ++c->xid});
    pass(e, e->limits.quorum_wait_ms + 100);
    expect_reply(c, 4, COORD_NO_QUORUM);
    expect_reply(c, 5, COORD_NO_QUORUM);
    lead(e, 0);
    create(e, c, "/b", NODE_PERSISTENT);
    settle(e);
    expect_reply(c, 6, COORD_OK);
}

/* ---- watches that come back ---------------------------------------------------------------------------------------------------- */

static void what_was_missed_is_told(void **state)
{
    struct ensemble *e = *state;
    struct client *w = new_client(e, 0, 1), *c = new_client(e, 1, 0);
    static const char *const paths[] = {"/data", "/gone", "/child", "/same", "/p"};
    for (int i = 0; i < 5; i++) create(e, c, paths[i], NODE_PERSISTENT);
    settle(e);
    ask_of(e, w, &(struct ask){.type = ASK_PING});
    expect(w, SAY_PONG);
    struct zxid seen = w->seen;
    disconnect(e, w);
    set(e, c, "/data", "y");
    drop(e, c, "/gone");
    create(e, c, "/child/x", NODE_PERSISTENT);
    create(e, c, "/new", NODE_PERSISTENT);
    create(e, c, "/p/x", NODE_PERSISTENT);
    drop(e, c, "/p/x");
    settle(e);
    connect_to(e, w, 2);
    settle(e);
    expect(w, SAY_CONNECTED);
    const struct rewatch list[] = {{WATCH_DATA, bytes_text("/data")},   {WATCH_DATA, bytes_text("/gone")},
                                   {WATCH_CHILD, bytes_text("/child")}, {WATCH_DATA, bytes_text("/same")},
                                   {WATCH_EXIST, bytes_text("/new")},   {WATCH_EXIST, bytes_text("/never")},
                                   {WATCH_RECURSIVE, bytes_text("/p")}, {WATCH_PERSISTENT, bytes_text("/p")}};
    rewatch(e, w, list, 8, seen);
    get_data(e, w, "/data", false);
    expect_event(w, EVENT_CREATED, "/p/x");
    expect_event(w, EVENT_CHILDREN, "/p");
    expect_event(w, EVENT_DELETED, "/p/x");
    expect_event(w, EVENT_CHILDREN, "/p");
    expect_event(w, EVENT_CHANGED, "/data");
    expect_event(w, EVENT_DELETED, "/gone");
    expect_event(w, EVENT_CHILDREN, "/child");
    expect_event(w, EVENT_CREATED, "/new");
    expect_reply(w, w->xid - 1, COORD_OK);
    expect_data(w, w->xid, "y");
    set(e, c, "/same", "z");
    create(e, c, "/never", NODE_PERSISTENT);
    create(e, c, "/p/y", NODE_PERSISTENT);
    set(e, c, "/data", "once was enough");
    settle(e);
    expect_event(w, EVENT_CHANGED, "/same");
    expect_event(w, EVENT_CREATED, "/never");
    expect_event(w, EVENT_CREATED, "/p/y");
    expect_event(w, EVENT_CHILDREN, "/p");
    expect_nothing(w);
}

static void who_was_away_too_long_looks_again(void **state)
{
    struct ensemble *e = *state;
    ensemble_end(e);
    ensemble_init(e);
    e->limits.events = 4;
    ensemble_start(e);
    struct client *w = new_client(e, 0, 1), *c = new_client(e, 1, 0);
    struct zxid seen = w->seen;
    disconnect(e, w);
    for (int i = 0; i < 3; i++) {
        char path[] = {'/', (char)('a' + i), '\0'};
        create(e, c, path, NODE_PERSISTENT);
    }
    settle(e);
    connect_to(e, w, 1);
    expect(w, SAY_CONNECTED);
    rewatch(e, w, &(struct rewatch){WATCH_RECURSIVE, bytes_text("/")}, 1, seen);
    expect_event(w, EVENT_RESYNC, "/");
    expect_reply(w, w->xid, COORD_OK);
    create(e, c, "/d", NODE_PERSISTENT);
    settle(e);
    expect_event(w, EVENT_CREATED, "/d");
}

/* ZOOKEEPER-706: more watches than one message holds. The client sends several; each does its part. */
static void watches_come_back_in_parts(void **state)
{
    struct ensemble *e = *state;
    struct client *w = new_client(e, 0, 1);
    static struct rewatch list[1000];
    static char paths[1000][1000];
    for (uint32_t part = 0; part < 3; part++) {
        for (uint32_t i = 0; i < 1000; i++) {
            memset(paths[i], 'x', sizeof paths[i]);
            paths[i][0] = '/';
            for (size_t k = 100; k < sizeof paths[i]; k += 100) paths[i][k] = '/';
            snprintf(paths[i] + 980, 20, "%06u", part * 1000 + i);
            list[i] = (struct rewatch){WATCH_EXIST, bytes_text(paths[i])};
        }
        rewatch(e, w, list, 1000, w->seen);
        expect_reply(w, w->xid, COORD_OK);
    }
    assert_int_equal(coord_server_status(e->servers[1]).watches, 3000);
}

/* ---- limits -------------------------------------------------------------------------------------------------------------------- */

static void too_much_under_way_is_refused_in_order(void **state)
{
    struct ensemble *e = *state;
    struct client *c = new_client(e, 0, 1);
    for (uint32_t i = 0; i < COORD_OUTCOMES_MAX + 2; i++) set(e, c, "/", "x");
    settle(e);
    for (uint32_t i = 1; i <= COORD_OUTCOMES_MAX + 2; i++) expect_reply(c, i, i <= COORD_OUTCOMES_MAX ? COORD_OK : COORD_THROTTLED);
}

static void the_leader_proposes_only_so_much(void **state)
{
    struct ensemble *e = *state;
    ensemble_end(e);
    ensemble_init(e);
    e->limits.proposals = 4;
    ensemble_start(e);
    struct client *c = new_client(e, 0, 1);
    uint32_t before = e->n;
    for (uint32_t i = 0; i < 100; i++) set(e, c, "/", "x");
    assert_int_equal(e->n, before + 4);
    settle(e);
    for (uint32_t i = 1; i <= 100; i++) expect_reply(c, i, COORD_OK);
}

static void children_come_in_pages(void **state)
{
    struct ensemble *e = *state;
    struct client *c = new_client(e, 0, 0);
    struct get page = {.type = GET_CHILDREN, .path = bytes_text("/"), .max = 2, .after = bytes_of("", 0)};
    static const char *const expected[] = {"a", "b", "c", "d", "e"};
    char last[8];
    for (int i = 4; i >= 0; i--) {
        char path[8];
        snprintf(path, sizeof path, "/%s", expected[i]);
        create(e, c, path, NODE_PERSISTENT);
    }
    settle(e);
    c->read = c->n;
    for (uint32_t n = 0; n < 5;) {
        get(e, c, &page, false);
        struct say say = expect(c, SAY_REPLY);
        struct reader r;
        reader_init(&r, say.body.data, say.body.length);
        read_u32(&r);
        assert_int_equal(read_u16(&r), COORD_OK);
        assert_int_equal(read_stat(&r).n_children, 5);
        bool more = read_bool(&r);
        for (uint32_t k = read_u32(&r); k > 0; k--, n++) {
            struct weir_bytes name = read_bytes(&r, 100);
            assert_true(bytes_equal(name, bytes_text(expected[n])));
            snprintf(last, sizeof last, "%s", expected[n]);
        }
        assert_true(reader_done(&r));
        assert_int_equal(more, n < 5);
        page.after = bytes_text(last);
    }
}

static void identities_open_what_is_closed(void **state)
{
    struct ensemble *e = *state;
    struct client *a = new_client(e, 0, 0), *b = new_client(e, 1, 1);
    static const uint8_t mine[] = {1, 0, ACL_ALL, ACL_AUTH, 0, 0};
    struct op op = {.type = OP_CREATE, .path = bytes_text("/mine"), .acl = bytes_of(mine, sizeof mine)};
    ask_of(e, a, &(struct ask){.type = ASK_AUTH, .xid = ++a->xid, .scheme = ACL_DIGEST, .credentials = bytes_text("ann:secret")});
    write_ops(e, a, &op, 1, ++a->xid);
    settle(e);
    expect_reply(a, 1, COORD_OK);
    expect_reply(a, 2, COORD_OK);
    set(e, b, "/mine", "y");
    settle(e);
    expect_reply(b, 1, COORD_NO_AUTH);
    ask_of(e, b, &(struct ask){.type = ASK_AUTH, .xid = ++b->xid, .scheme = ACL_DIGEST, .credentials = bytes_text("ann:secret")});
    set(e, b, "/mine", "y");
    settle(e);
    expect_reply(b, 2, COORD_OK);
    expect_reply(b, 3, COORD_OK);
    ask_of(e, b, &(struct ask){.type = ASK_AUTH, .xid = ++b->xid, .scheme = ACL_KEY, .credentials = bytes_text("I am the admin")});
    expect_reply(b, 4, COORD_AUTH_FAILED);
    assert_true(b->closed);
}

/* ---- a recursive watcher that comes and goes hears everything once, in order ------------------------------------------------------ */

struct heard {
    struct zxid zxid;
    uint8_t type;
    uint64_t path;
};

static uint32_t gather(struct client *w, struct heard *out, uint32_t max)
{
    struct say say;
    uint32_t n = 0;
    while (next_say(w, &say)) {
        if (say.type != SAY_EVENT) continue;
        assert_true(n < max);
        assert_int_not_equal(say.event, EVENT_RESYNC);
        out[n++] = (struct heard){say.zxid, say.event, hash64(say.path.data, say.path.length)};
    }
    return n;
}

static void random_change(struct ensemble *e, struct client *c, uint64_t *seed)
{
    char path[16];
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    uint32_t r = (uint32_t)(*seed >> 40), what = r % 3, a = r / 3 % 3, b = r / 9 % 3;
    snprintf(path, sizeof path, r / 27 % 2 ? "/%c" : "/%c/%c", 'a' + (int)a, 'a' + (int)b);
    if (what == 0)
        create(e, c, path, NODE_PERSISTENT);
    else if (what == 1)
        set(e, c, path, "z");
    else
        drop(e, c, path);
}

static void a_recursive_watcher_hears_everything_once(void **state)
{
    struct ensemble *e = *state;
    static struct heard always[INBOX], sometimes[INBOX];
    struct client *steady = new_client(e, 0, 0), *restless = new_client(e, 1, 1), *c = new_client(e, 2, 2);
    uint64_t seed = 1;
    struct rewatch all = {WATCH_RECURSIVE, bytes_text("/")};
    rewatch(e, steady, &all, 1, steady->seen);
    rewatch(e, restless, &all, 1, steady->seen);
    for (int round = 0; round < 60; round++) {
        for (int i = 0; i < 10; i++) random_change(e, c, &seed);
        for (uint32_t i = 0; i < SERVERS; i++)
            for (int k = 0; k < 4 && e->applied[i] < e->n && (seed >> (8 + i + (unsigned)k) & 1); k++) apply_one(e, i);
        c->acked = c->xid > 20 ? c->xid - 20 : 0;
        if (round % 3 == 0) {
            struct zxid seen = restless->seen; /* of replies and events alike: events come first */
            struct say say;
            for (uint32_t i = 0; i < restless->n; i++) {
                read_say(bytes_of(restless->inbox[i].data, restless->inbox[i].len), &say);
                if (say.type == SAY_EVENT && zxid_cmp(say.zxid, seen) > 0) seen = say.zxid;
            }
            disconnect(e, restless);
            restless->seen = seen;
            settle(e);
            connect_to(e, restless, (uint32_t)round / 3 % SERVERS);
            settle(e);
            rewatch(e, restless, &all, 1, seen);
        }
        if (round % 7 == 0) settle(e);
    }
    settle(e);
    uint32_t n = gather(steady, always, INBOX), m = gather(restless, sometimes, INBOX);
    assert_true(n > 100);
    assert_int_equal(n, m);
    for (uint32_t i = 0; i < n; i++) {
        assert_int_equal(zxid_cmp(always[i].zxid, sometimes[i].zxid), 0);
        assert_int_equal(always[i].type, sometimes[i].type);
        assert_int_equal(always[i].path, sometimes[i].path);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_read_waits_for_the_writes_before_it, begin, end),
        cmocka_unit_test_setup_teardown(an_event_comes_before_the_reply_that_shows_it, begin, end),
        cmocka_unit_test_setup_teardown(watches_of_each_kind, begin, end),
        cmocka_unit_test_setup_teardown(a_sync_is_a_round, begin, end),
        cmocka_unit_test_setup_teardown(a_confirmation_waits_for_no_write, begin, end),
        cmocka_unit_test_setup_teardown(nobody_confirms_without_a_quorum, begin, end),
        cmocka_unit_test_setup_teardown(a_session_goes_on_at_another_peer, begin, end),
        cmocka_unit_test_setup_teardown(what_comes_by_way_of_the_former_peer_is_dropped, begin, end),
        cmocka_unit_test_setup_teardown(a_session_belongs_to_its_key, begin, end),
        cmocka_unit_test_setup_teardown(members_are_changed_by_whom_zookeeper_would_let, begin, end),
        cmocka_unit_test_setup_teardown(strangers_are_refused, begin, end),
        cmocka_unit_test_setup_teardown(silence_ends_a_session, begin, end),
        cmocka_unit_test_setup_teardown(a_new_leader_gives_a_whole_timeout, begin, end),
        cmocka_unit_test_setup_teardown(closing_a_session, begin, end),
        cmocka_unit_test_setup_teardown(a_repeated_write_is_carried_out_once, begin, end),
        cmocka_unit_test_setup_teardown(a_change_of_leader_is_not_seen, begin, end),
        cmocka_unit_test_setup_teardown(without_a_quorum, begin, end),
        cmocka_unit_test_setup_teardown(what_was_missed_is_told, begin, end),
        cmocka_unit_test_setup_teardown(who_was_away_too_long_looks_again, begin, end),
        cmocka_unit_test_setup_teardown(watches_come_back_in_parts, begin, end),
        cmocka_unit_test_setup_teardown(too_much_under_way_is_refused_in_order, begin, end),
        cmocka_unit_test_setup_teardown(the_leader_proposes_only_so_much, begin, end),
        cmocka_unit_test_setup_teardown(children_come_in_pages, begin, end),
        cmocka_unit_test_setup_teardown(identities_open_what_is_closed, begin, end),
        cmocka_unit_test_setup_teardown(a_recursive_watcher_hears_everything_once, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
