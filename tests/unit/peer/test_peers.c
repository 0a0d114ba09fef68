/* SPDX-License-Identifier: Apache-2.0 */
/* Ensembles of peers as processes: they elect, serve, are killed, come back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/support/peer/hosts.h"
#include "tests/support/temp_dir.h"

struct story {
    struct temp_dir dir;
    struct hosts hosts;
    struct raw client;
};

static void begin(struct story *s, uint32_t n)
{
    *s = (struct story){0};
    temp_dir_make(&s->dir);
    hosts_init(&s->hosts, s->dir.path, n);
    for (uint32_t id = 1; id <= n; id++) host_start(&s->hosts, id);
}

static void end(struct story *s)
{
    raw_close(&s->client);
    hosts_close(&s->hosts);
    temp_dir_remove(&s->dir);
}

/* The client goes to another peer, with its session if it has one. */
static void go_to(struct story *s, uint32_t id)
{
    struct raw former = s->client;
    raw_close(&s->client);
    s->client = (struct raw){.session = former.session, .xid = former.xid, .acked = former.acked, .seen = former.seen};
    memcpy(s->client.password, former.password, sizeof former.password);
    raw_open(&s->client, s->hosts.at[id].client);
    assert_true(raw_hello(&s->client, 10000));
}

static uint32_t another(uint32_t id)
{
    return id == 1 ? 2 : 1;
}

/* A peer alone is an ensemble of one: it leads at once, and what it acknowledged is there after kill -9. */
static void a_lone_peer_serves_and_remembers(void **state)
{
    struct story s;
    (void)state;
    begin(&s, 1);
    assert_int_equal(hosts_leader(&s.hosts), 1);
    go_to(&s, 1);
    assert_int_equal(raw_create(&s.client, "/a", "1"), COORD_OK);
    host_kill(&s.hosts, 1);
    host_start(&s.hosts, 1);
    assert_int_equal(hosts_leader(&s.hosts), 1);
    go_to(&s, 1);
    assert_string_equal(raw_get(&s.client, "/a", true), "1");
    end(&s);
}

/* Three peers agree on a leader; writes through a follower are seen at the others. */
static void three_peers_serve(void **state)
{
    struct story s;
    (void)state;
    begin(&s, 3);
    uint32_t leader = hosts_leader(&s.hosts);
    host_serves(&s.hosts, another(leader));
    go_to(&s, another(leader));
    assert_int_equal(raw_create(&s.client, "/a", "1"), COORD_OK);
    assert_int_equal(raw_create(&s.client, "/a", "2"), COORD_NODE_EXISTS);
    go_to(&s, leader);
    assert_string_equal(raw_get(&s.client, "/a", true), "1");
    end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_lone_peer_serves_and_remembers),
        cmocka_unit_test(three_peers_serve),
    };
    if (net_start(1)) return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    net_stop();
    return failed;
}
