/* SPDX-License-Identifier: Apache-2.0 */
/* Ensembles of peers as processes: they elect, serve, are killed, come back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "runtime/base/clock.h"
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

/* The client goes to another peer, with its session if it has one. One that lacks what the client has seen refuses it until it is there. */
static void go_to(struct story *s, uint32_t id)
{
    struct raw former = s->client;
    int64_t until_ms = clock_mono_ms() + HOSTS_WAIT_MS;
    bool good = false;
    while (!good && clock_mono_ms() < until_ms) {
        raw_close(&s->client);
        s->client = (struct raw){.session = former.session, .xid = former.xid, .acked = former.acked, .seen = former.seen};
        memcpy(s->client.password, former.password, sizeof former.password);
        raw_open(&s->client, s->hosts.at[id].client);
        good = raw_hello(&s->client, 10000);
        if (!good && s->client.refused != COORD_CLIENT_AHEAD) fail_msg("peer %u refused: %u", id, s->client.refused);
    }
    assert_true(good);
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

/* The leader is killed again and again; what a client was told stays, what it was not told is carried out once. */
static void nothing_acknowledged_is_lost_with_a_leader(void **state)
{
    struct story s;
    char path[32], data[32];
    (void)state;
    begin(&s, 3);
    uint32_t leader = hosts_leader(&s.hosts);
    go_to(&s, another(leader));
    for (unsigned i = 0; i < 10; i++) {
        (void)snprintf(path, sizeof path, "/n%u", i);
        (void)snprintf(data, sizeof data, "%u", i);
        assert_int_equal(raw_create(&s.client, path, data), COORD_OK);
        host_kill(&s.hosts, leader);
        uint32_t next = hosts_leader(&s.hosts);
        assert_int_not_equal(next, leader);
        host_start(&s.hosts, leader);
        host_serves(&s.hosts, leader);
        leader = next;
        go_to(&s, another(leader));
        assert_string_equal(raw_get(&s.client, path, true), data);
    }
    assert_int_equal(raw_create(&s.client, "/n3", "again"), COORD_NODE_EXISTS);
    end(&s);
}

/* A write whose connection broke is repeated with its xid at another peer: carried out once, and answered. */
static void a_repeated_write_is_carried_out_once(void **state)
{
    struct story s;
    struct say say;
    struct op op = {.type = OP_CREATE, .path = bytes_text("/s-"), .data = bytes_text(""), .acl = raw_open_acl(), .sequential = true};
    (void)state;
    begin(&s, 3);
    uint32_t leader = hosts_leader(&s.hosts);
    go_to(&s, leader);
    uint64_t xid = raw_write(&s.client, &op);
    raw_flush(&s.client);
    host_kill(&s.hosts, leader);
    leader = hosts_leader(&s.hosts);
    go_to(&s, leader);
    s.client.xid = xid - 1;
    assert_int_equal(raw_write(&s.client, &op), xid);
    assert_true(raw_reply(&s.client, xid, &say));
    assert_int_equal(say.err, COORD_OK);
    assert_non_null(raw_get(&s.client, "/s-0000000000", true));
    assert_null(raw_get(&s.client, "/s-0000000001", true));
    end(&s);
}

static void write_many(struct story *s, unsigned n)
{
    struct say say;
    char path[32];
    uint64_t xid = 0;
    for (unsigned i = 0; i < n; i++) {
        (void)snprintf(path, sizeof path, "/many-%u", i);
        struct op op = {.type = OP_CREATE, .path = bytes_text(path), .data = bytes_text(path), .acl = raw_open_acl()};
        xid = raw_write(&s->client, &op);
        if (i % 100 == 99 || i + 1 == n) assert_true(raw_reply(&s->client, xid, &say));
    }
    assert_int_equal(say.err, COORD_OK);
}

/* Without peer `id`, `n` nodes are written; then it comes back and has them. */
static void come_back(struct story *s, unsigned n)
{
    char path[32];
    uint32_t leader = hosts_leader(&s->hosts), away = another(leader);
    host_kill(&s->hosts, away);
    go_to(s, leader);
    write_many(s, n);
    host_start(&s->hosts, away);
    host_serves(&s->hosts, away);
    go_to(s, away);
    (void)snprintf(path, sizeof path, "/many-%u", n - 1);
    assert_string_equal(raw_get(&s->client, path, true), path);
}

/* A peer that was away gets the entries it lacks, out of the leader's memory. */
static void a_peer_comes_back_by_entries(void **state)
{
    struct story s;
    (void)state;
    begin(&s, 3);
    come_back(&s, 500);
    end(&s);
}

/* One that was away so long that the log does not reach back gets a snapshot, and goes on from it after a kill. */
static void a_peer_comes_back_by_a_snapshot(void **state)
{
    struct story s = {0};
    (void)state;
    temp_dir_make(&s.dir);
    hosts_init(&s.hosts, s.dir.path, 3);
    s.hosts.snapshot_entries = 50;
    s.hosts.segment_bytes = 4096;
    for (uint32_t id = 1; id <= 3; id++) host_start(&s.hosts, id);
    come_back(&s, 2000);
    uint32_t leader = hosts_leader(&s.hosts), away = another(leader);
    host_said(&s.hosts, leader, "gets a snapshot");
    host_kill(&s.hosts, away);
    host_start(&s.hosts, away);
    host_serves(&s.hosts, away);
    go_to(&s, away);
    assert_string_equal(raw_get(&s.client, "/many-0", true), "/many-0");
    end(&s);
}

/* Five peers bear the loss of two, leader included; without a third one the rest says NO_QUORUM, and goes on reading. */
static void a_minority_serves_no_writes_and_says_so(void **state)
{
    struct story s;
    (void)state;
    begin(&s, 5);
    uint32_t leader = hosts_leader(&s.hosts);
    host_kill(&s.hosts, leader);
    host_kill(&s.hosts, leader % 5 + 1);
    leader = hosts_leader(&s.hosts);
    go_to(&s, leader);
    assert_int_equal(raw_create(&s.client, "/a", "1"), COORD_OK);
    uint32_t third = leader;
    do third = third % 5 + 1;
    while (s.hosts.at[third].pid == 0);
    host_kill(&s.hosts, third);
    assert_int_equal(raw_set(&s.client, "/a", "2"), COORD_NO_QUORUM);
    assert_string_equal(raw_get(&s.client, "/a", false), "1");
    assert_null(raw_get(&s.client, "/a", true));
    host_start(&s.hosts, third);
    go_to(&s, hosts_leader(&s.hosts));
    assert_int_equal(raw_set(&s.client, "/a", "3"), COORD_OK);
    end(&s);
}

/* A leader that hangs is deposed; when it goes on it follows. */
static void a_stopped_leader_is_deposed_and_follows(void **state)
{
    struct story s;
    (void)state;
    begin(&s, 3);
    uint32_t former = hosts_leader(&s.hosts);
    uint64_t epoch = s.hosts.at[former].epoch;
    (void)kill(s.hosts.at[former].pid, SIGSTOP);
    s.hosts.at[former].established = false;
    uint32_t leader = hosts_leader(&s.hosts);
    assert_int_not_equal(leader, former);
    assert_true(s.hosts.at[leader].epoch > epoch);
    go_to(&s, leader);
    assert_int_equal(raw_create(&s.client, "/a", "1"), COORD_OK);
    (void)kill(s.hosts.at[former].pid, SIGCONT);
    while (s.hosts.at[former].leader != leader || !s.hosts.at[former].established) hosts_read(&s.hosts, 1000);
    go_to(&s, former);
    assert_string_equal(raw_get(&s.client, "/a", true), "1");
    end(&s);
}

/* A peer of another cluster is told so and takes no part; the others do not notice. */
static void a_peer_of_another_cluster_is_refused(void **state)
{
    struct story s;
    (void)state;
    begin(&s, 3);
    uint32_t leader = hosts_leader(&s.hosts), stranger = another(leader);
    uint64_t epoch = s.hosts.at[leader].epoch;
    host_kill(&s.hosts, stranger);
    (void)strncat(s.hosts.at[stranger].folder, "-of-another", 16);
    s.hosts.cluster = "another";
    host_start(&s.hosts, stranger);
    host_said(&s.hosts, stranger, "this is a peer of another cluster");
    go_to(&s, leader);
    assert_int_equal(raw_create(&s.client, "/a", "1"), COORD_OK);
    assert_int_equal(s.hosts.at[leader].epoch, epoch);
    assert_false(s.hosts.at[stranger].established);
    end(&s);
}

/* A folder belongs to one peer of one cluster. */
static void a_folder_of_another_cluster_is_refused(void **state)
{
    struct story s;
    (void)state;
    begin(&s, 1);
    (void)hosts_leader(&s.hosts);
    host_kill(&s.hosts, 1);
    s.hosts.cluster = "another";
    host_start(&s.hosts, 1);
    assert_int_not_equal(host_wait(&s.hosts, 1), 0);
    assert_non_null(strstr(s.hosts.at[1].log, "cluster"));
    end(&s);
}

/* Bytes of nobody, to both sockets: as they are, and as messages, and in the packets of a lane. */
static void garbage_disturbs_nobody(void **state)
{
    struct story s;
    struct weir_diag diag = {0};
    char peer[600];
    uint64_t seed = 88172645463325252ull;
    (void)state;
    begin(&s, 3);
    uint32_t leader = hosts_leader(&s.hosts);
    uint64_t epoch = s.hosts.at[leader].epoch;
    (void)snprintf(peer, sizeof peer, "ipc://@%s/p%u", s.dir.path, leader);
    const char *endpoints[] = {s.hosts.at[leader].client, peer};
    for (int i = 0; i < 2; i++) {
        struct weir_id route = id_random();
        struct net_socket_config config = {.kind = NET_DEALER,
                                           .routing_id = {route.bytes, 16},
                                           .message_max = 1u << 20,
                                           .send_hwm = 1000,
                                           .receive_hwm = 1000,
                                           .linger_ms = 200};
        struct net_socket *socket = NULL;
        assert_int_equal(net_socket_new(&socket, &config, &diag), WEIR_OK);
        assert_int_equal(net_socket_connect(socket, endpoints[i], &diag), WEIR_OK);
        for (unsigned n = 0; n < 200; n++) {
            uint8_t bytes[64];
            for (unsigned k = 0; k < sizeof bytes; k++) {
                seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
                bytes[k] = (uint8_t)seed;
            }
            if (n % 3 == 0) memset(bytes, 0, 9), bytes[0] = (uint8_t)(1 + n % 5);
            struct weir_bytes parts[] = {bytes_of(bytes, n % sizeof bytes), bytes_of(bytes, 3), bytes_of(bytes, 9)};
            (void)net_send_bytes(socket, parts, 1 + n % 3 / 2);
        }
        net_socket_destroy(&socket);
    }
    go_to(&s, leader);
    raw_ask(&s.client, &(struct ask){.type = ASK_CONNECT}); /* a second time: the connection ends, with a reason */
    struct say say;
    assert_true(raw_next(&s.client, &say, HOSTS_WAIT_MS));
    assert_int_equal(say.type, SAY_REFUSED);
    go_to(&s, leader);
    assert_int_equal(raw_create(&s.client, "/a", "1"), COORD_OK);
    hosts_read(&s.hosts, 0);
    assert_int_equal(s.hosts.at[leader].epoch, epoch);
    assert_true(s.hosts.at[leader].established);
    end(&s);
}

/* The only segment of the log below a folder. */
static const char *log_of(const struct host *host)
{
    static char path[TEMP_PATH_MAX];
    const char *name = strstr(temp_list(host->folder), "log-");
    assert_non_null(name);
    (void)snprintf(path, sizeof path, "%s/%.*s", host->folder, (int)strcspn(name, " "), name);
    return path;
}

/* How much of a log is written: room that was taken ahead is zeros. */
static size_t log_written(const struct host *host)
{
    size_t length;
    char *bytes = temp_read(log_of(host), &length);
    while (length > 0 && bytes[length - 1] == 0) length--;
    free(bytes);
    return length;
}

/* Writes until the peer has written more of its log, twice: what was there at first is in no batch that a crash may have torn. */
static void bury_what_is_written(struct story *s, const struct host *host)
{
    char path[32];
    for (unsigned i = 0, grown = 0; grown < 2; i++) {
        size_t before = log_written(host);
        (void)snprintf(path, sizeof path, "/more-%u", i);
        assert_int_equal(raw_create(&s->client, path, "1"), COORD_OK);
        grown += log_written(host) > before;
    }
}

/* A committed log that is damaged is refused, with file and place; the process does not start, the others serve. */
static void a_damaged_log_is_refused(void **state)
{
    struct story s;
    size_t length;
    (void)state;
    begin(&s, 3);
    uint32_t leader = hosts_leader(&s.hosts), damaged = another(leader);
    host_serves(&s.hosts, damaged);
    go_to(&s, damaged);
    write_many(&s, 300);
    bury_what_is_written(&s, &s.hosts.at[damaged]);
    host_kill(&s.hosts, damaged);
    const char *path = log_of(&s.hosts.at[damaged]);
    char *bytes = temp_read(path, &length);
    bytes[200] ^= 1;
    temp_write(path, bytes, length);
    free(bytes);
    host_start(&s.hosts, damaged);
    assert_int_not_equal(host_wait(&s.hosts, damaged), 0);
    assert_non_null(strstr(s.hosts.at[damaged].log, "log-"));
    go_to(&s, leader);
    assert_int_equal(raw_create(&s.client, "/after", "1"), COORD_OK);
    end(&s);
}

/* A full disk, or an fsync that fails, ends the peer with a sentence; the others serve, and it comes back when there is room. */
static void a_failing_disk_ends_the_peer(void **state)
{
    struct story s = {0};
    (void)state;
#ifdef WEIR_TEST_SANITIZED
    skip();
#endif
    static const char *const faults[] = {"all 1 ENOSPC 1 0\n", "fdatasync 1 EIO 0 0\n"};
    temp_dir_make(&s.dir);
    hosts_init(&s.hosts, s.dir.path, 3);
    s.hosts.preload = WEIR_TEST_FAULTFS;
    for (uint32_t id = 1; id <= 3; id++) {
        char rules[TEMP_PATH_MAX];
        (void)snprintf(rules, sizeof rules, "%s-rules", s.hosts.at[id].folder);
        (void)setenv("FAULTFS_FILE", rules, 1);
        host_start(&s.hosts, id);
    }
    for (int i = 0; i < 2; i++) {
        char rules[TEMP_PATH_MAX], rule[TEMP_PATH_MAX];
        uint32_t leader = hosts_leader(&s.hosts);
        struct host *failing = &s.hosts.at[leader];
        (void)snprintf(rules, sizeof rules, "%s-rules", failing->folder);
        (void)snprintf(rule, sizeof rule, "%s/ %s", failing->folder, faults[i]);
        go_to(&s, leader);
        temp_write(rules, rule, strlen(rule));
        (void)raw_create(&s.client, i ? "/b" : "/a", "1");
        assert_int_not_equal(host_wait(&s.hosts, leader), 0);
        assert_non_null(strstr(failing->log, "the coordination peer cannot go on"));
        uint32_t next = hosts_leader(&s.hosts);
        go_to(&s, next);
        assert_int_equal(raw_create(&s.client, i ? "/bb" : "/aa", "1"), COORD_OK);
        (void)unlink(rules);
        (void)setenv("FAULTFS_FILE", rules, 1);
        host_start(&s.hosts, leader);
        host_serves(&s.hosts, leader);
    }
    (void)unsetenv("FAULTFS_FILE");
    end(&s);
}

/* argv[1]: only tests of this name; '*' stands for anything. */
int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_lone_peer_serves_and_remembers),
        cmocka_unit_test(three_peers_serve),
        cmocka_unit_test(nothing_acknowledged_is_lost_with_a_leader),
        cmocka_unit_test(a_repeated_write_is_carried_out_once),
        cmocka_unit_test(a_peer_comes_back_by_entries),
        cmocka_unit_test(a_peer_comes_back_by_a_snapshot),
        cmocka_unit_test(a_minority_serves_no_writes_and_says_so),
        cmocka_unit_test(a_stopped_leader_is_deposed_and_follows),
        cmocka_unit_test(a_peer_of_another_cluster_is_refused),
        cmocka_unit_test(a_folder_of_another_cluster_is_refused),
        cmocka_unit_test(garbage_disturbs_nobody),
        cmocka_unit_test(a_damaged_log_is_refused),
        cmocka_unit_test(a_failing_disk_ends_the_peer),
    };
    if (net_start(1)) return 1;
    if (argc > 1) cmocka_set_test_filter(argv[1]);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    if (!failed) net_stop(); /* a test that failed leaves its sockets open */
    return failed;
}
