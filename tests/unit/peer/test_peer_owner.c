/* SPDX-License-Identifier: Apache-2.0 */
/* A peer as its JobManager sees it: roles, connections without a socket, members that change. Two peers in this process. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <poll.h>
#include <stdio.h>

#include "jobmanager/peer/ensemble.h"
#include "jobmanager/peer/peer.h"
#include "runtime/coord/protocol.h"
#include "runtime/coord/watch.h"
#include "runtime/net/socket.h"
#include "tests/support/peer/hosts.h"
#include "tests/support/temp_dir.h"

enum { WAIT_MS = 20000 };

static struct peer *start(const struct temp_dir *dir, uint32_t id, const char *peers)
{
    struct zab_members members;
    struct weir_diag diag = {0};
    struct peer *peer = NULL;
    char folder[TEMP_PATH_MAX], bind[ZAB_ADDRESS_MAX], clients[ZAB_ADDRESS_MAX];
    (void)snprintf(folder, sizeof folder, "%.400s/%u", dir->path, id);
    assert_int_equal(ensemble_parse(peers, id, &members, &diag), WEIR_OK);
    const char *address = members_find(&members, id)->address;
    struct peer_config config = {.id = id,
                                 .cluster = ensemble_cluster("owner"),
                                 .folder = folder,
                                 .members = &members,
                                 .bind = ensemble_endpoint(address, ENSEMBLE_PEER, bind),
                                 .client_bind = ensemble_endpoint(address, ENSEMBLE_CLIENT, clients),
                                 .limits = COORD_LIMITS_DEFAULT};
    if (peer_new(&peer, &config, &diag)) fail_msg("%s", diag.text);
    return peer;
}

static void wait_any(struct peer *peer, struct peer_news *out)
{
    struct pollfd ready = {.fd = peer_fd(peer), .events = POLLIN};
    while (!peer_take(peer, out)) assert_int_equal(poll(&ready, 1, WAIT_MS), 1);
}

/* The next news of this type; others are passed over. */
static void wait_news(struct peer *peer, enum peer_news_type type, struct peer_news *out)
{
    do wait_any(peer, out);
    while (out->type != type);
}

static struct peer_role wait_established(struct peer *peer)
{
    struct peer_news news;
    do wait_news(peer, PEER_NEWS_ROLE, &news);
    while (!news.role.established);
    return news.role;
}

static void ask(struct peer *peer, uint64_t connection, const struct ask *ask)
{
    struct buffer b = {0};
    put_ask(&b, ask);
    peer_send(peer, connection, bytes_of(b.data, b.len));
    buffer_close(&b);
}

static struct say wait_say(struct peer *peer, uint64_t connection)
{
    struct peer_news news;
    struct say say;
    do wait_news(peer, PEER_NEWS_MESSAGE, &news);
    while (news.connection != connection);
    assert_true(read_say(news.message, &say));
    return say;
}

static void create(struct peer *peer, uint64_t connection, uint64_t xid, const char *path)
{
    struct buffer ops = {0};
    struct op op = {.type = OP_CREATE, .path = bytes_text(path), .data = bytes_text("1"), .acl = raw_open_acl()};
    put_request_op(&ops, &op);
    ask(peer, connection, &(struct ask){.type = ASK_WRITE, .xid = xid, .n = 1, .ops = bytes_of(ops.data, ops.len)});
    buffer_close(&ops);
}

/* It leads with an epoch that grows with each start; its connections write and watch like any client's, and end when they are told to. */
static void the_owner_has_connections_without_a_socket(void **state)
{
    struct temp_dir dir;
    struct buffer gets = {0};
    (void)state;
    temp_dir_make(&dir);
    for (uint64_t epoch = 1; epoch <= 2; epoch++) {
        struct peer *peer = start(&dir, 1, "");
        struct peer_role role = wait_established(peer);
        assert_true(role.leads);
        assert_int_equal(role.epoch, epoch);
        uint64_t watcher = peer_connect(peer), writer = peer_connect(peer);
        ask(peer, watcher, &(struct ask){.type = ASK_CONNECT, .timeout_ms = 10000});
        assert_int_equal(wait_say(peer, watcher).type, SAY_CONNECTED);
        ask(peer, writer, &(struct ask){.type = ASK_CONNECT, .timeout_ms = 10000});
        assert_int_equal(wait_say(peer, writer).type, SAY_CONNECTED);
        buffer_clear(&gets);
        put_get(&gets, &(struct get){.type = GET_WATCH, .path = bytes_text("/"), .kind = WATCH_RECURSIVE});
        ask(peer, watcher, &(struct ask){.type = ASK_READ, .xid = 1, .n = 1, .ops = bytes_of(gets.data, gets.len)});
        assert_int_equal(wait_say(peer, watcher).type, SAY_REPLY);
        create(peer, writer, 1, epoch == 1 ? "/a" : "/b");
        struct say event = wait_say(peer, watcher);
        assert_int_equal(event.type, SAY_EVENT);
        assert_true(bytes_equal(event.path, bytes_text(epoch == 1 ? "/a" : "/b")));
        peer_disconnect(peer, writer);
        ask(peer, watcher, &(struct ask){.type = ASK_CONNECT}); /* a second time: refused and closed */
        struct peer_news news;
        wait_news(peer, PEER_NEWS_CLOSED, &news);
        assert_int_equal(news.connection, watcher);
        peer_destroy(&peer);
    }
    buffer_close(&gets);
    temp_dir_remove(&dir);
}

/* A second peer joins as an observer, is promoted, and the two decide together; a change of what is not there is refused. */
static void members_are_added_one_by_one(void **state)
{
    struct temp_dir dir;
    struct peer_news news;
    char one[300], both[600];
    (void)state;
    temp_dir_make(&dir);
    (void)snprintf(one, sizeof one, "1=ipc://@%.60s/p1;ipc://@%.60s/c1", dir.path, dir.path);
    (void)snprintf(both, sizeof both, "%s,2=ipc://@%.60s/p2;ipc://@%.60s/c2", one, dir.path, dir.path);
    struct zab_members members;
    assert_int_equal(ensemble_parse(both, 1, &members, NULL), WEIR_OK);
    struct peer *first = start(&dir, 1, one);
    assert_true(wait_established(first).leads);
    struct peer *second = start(&dir, 2, both);
    struct zab_change add = {.member = members.at[1]}, gone = {.remove = true, .member = {.id = 9}};
    add.member.observer = true;
    peer_reconfig(first, 7, &gone, 1, NULL);
    wait_news(first, PEER_NEWS_RECONFIG, &news);
    assert_int_equal(news.token, 7);
    assert_int_equal(news.outcome, ZAB_BAD_CHANGE);
    peer_reconfig(first, 8, &add, 1, NULL);
    wait_news(first, PEER_NEWS_RECONFIG, &news);
    assert_int_equal(news.outcome, ZAB_TAKEN);
    wait_news(first, PEER_NEWS_MEMBERS, &news);
    assert_int_equal(news.members->n, 2);
    struct peer_role role;
    do role = wait_established(second); /* it may follow before it hears that it has no vote yet */
    while (role.role != ZAB_OBSERVING);
    add.member.observer = false;
    peer_reconfig(first, 9, &add, 1, NULL);
    wait_news(first, PEER_NEWS_RECONFIG, &news);
    assert_int_equal(news.outcome, ZAB_TAKEN);
    wait_news(first, PEER_NEWS_MEMBERS, &news);
    assert_int_equal(members_voters(news.members), 2);
    do role = wait_established(second);
    while (role.role != ZAB_FOLLOWING);
    uint64_t connection = peer_connect(second);
    ask(second, connection, &(struct ask){.type = ASK_CONNECT, .timeout_ms = 10000});
    assert_int_equal(wait_say(second, connection).type, SAY_CONNECTED);
    create(second, connection, 1, "/through-the-second");
    assert_int_equal(wait_say(second, connection).err, COORD_OK);
    peer_destroy(&second);
    peer_destroy(&first);
    temp_dir_remove(&dir);
}

static void refused(const char *text, uint32_t id, const char *words)
{
    struct zab_members members;
    struct weir_diag diag = {0};
    assert_int_not_equal(ensemble_parse(text, id, &members, &diag), WEIR_OK);
    if (!strstr(diag.text, words)) fail_msg("\"%s\": %s", text, diag.text);
}

/* The list of members as people write it. */
static void ensembles_are_read_and_refused_with_reasons(void **state)
{
    struct zab_members members;
    char endpoint[ZAB_ADDRESS_MAX];
    (void)state;
    assert_int_equal(ensemble_parse("2=ipc://b;ipc://c , observer:1=tcp://127.0.0.1:1;;tcp://127.0.0.1:2", 1, &members, NULL), WEIR_OK);
    assert_int_equal(members.n, 2);
    assert_true(members.at[0].observer);
    assert_int_equal(members.at[1].id, 2);
    assert_string_equal(ensemble_endpoint(members.at[0].address, ENSEMBLE_CLIENT, endpoint), "");
    assert_string_equal(ensemble_endpoint(members.at[0].address, ENSEMBLE_ADMIN, endpoint), "tcp://127.0.0.1:2");
    assert_string_equal(ensemble_endpoint(members.at[0].address, ENSEMBLE_CONTROL, endpoint), "");
    char clients[ENSEMBLE_CLIENTS_MAX];
    assert_string_equal(ensemble_clients(&members, "tcp://127.0.0.1:9", clients), "tcp://127.0.0.1:9,ipc://c");
    assert_string_equal(ensemble_clients(&members, "ipc://c", clients), "ipc://c");
    assert_string_equal(ensemble_clients(&members, "", clients), "ipc://c");
    assert_int_equal(ensemble_parse("", 3, &members, NULL), WEIR_OK);
    assert_int_equal(members.at[0].id, 3);
    assert_string_equal(ensemble_clients(&members, "", clients), "");
    refused("1=ipc://a,1=ipc://b", 1, "twice");
    refused("1=ipc://a", 2, "is not in");
    refused("observer:1=ipc://a", 1, "observers only");
    refused("x=ipc://a", 1, "no member");
    refused("0=ipc://a", 1, "no member");
    refused("1=tcp://10.0.0.1:5", 1, "10.0.0.1");
    refused("1=ipc://a;ipc://b;ipc://c;ipc://d;ipc://e", 1, "more than 4");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_owner_has_connections_without_a_socket),
        cmocka_unit_test(members_are_added_one_by_one),
        cmocka_unit_test(ensembles_are_read_and_refused_with_reasons),
    };
    if (net_start(1)) return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    if (!failed) net_stop();
    return failed;
}
