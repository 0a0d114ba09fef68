/* SPDX-License-Identifier: Apache-2.0 */
/* Stories of an ensemble at its default settings in a calm world, in which one thing happens at a time. */
/* clang-format off: cmocka wants these first, in this order */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
#include <stdio.h>
#include <stdlib.h>

#include "tests/sim/coord/ensemble.h"

static struct ens *make(uint32_t voters, uint32_t observers, uint32_t strangers)
{
    struct ens_config config = {.n_voters = voters, .n_members = voters + observers, .n_peers = voters + observers + strangers};
    config.delay_ms = config.break_ms = config.fsync_ms = 1;
    config.detect_ms = 600;
    config.retry_ms = 10;
    config.window_bytes = 1u << 20;
    struct ens *e;
    ens_new(&e, &config, 1, true, false);
    return e;
}

static void well(struct ens *e)
{
    if (e->violated) fail_msg("%s", e->violation);
}

/* Runs until there is an established leader of an epoch above `epoch`; gives the time that took. */
static int64_t until_leader(struct ens *e, uint64_t epoch, int64_t at_most_ms)
{
    int64_t begin = e->now_ms;
    struct ens_peer *leader = ens_leader(e);
    while (!(leader && leader->epoch > epoch)) {
        ens_run(e, 1);
        well(e);
        if (e->now_ms - begin > at_most_ms) fail_msg("no new leader within %lld ms", (long long)at_most_ms);
        leader = ens_leader(e);
    }
    return e->now_ms - begin;
}

/* A write through each member, and a read, all answered. */
static void all_serve(struct ens *e)
{
    uint32_t first = e->n_ops;
    const struct zab_members *m = &ens_leader(e)->members;
    for (uint32_t i = 0; i < m->n; i++) {
        client_op(e, m->at[i].id, ENS_WRITE, 0);
        client_op(e, m->at[i].id, ENS_READ, 0);
    }
    ens_run(e, 100);
    well(e);
    for (uint32_t i = first; i < e->n_ops; i++)
        if (!e->ops[i].answered) fail_msg("operation %u of peer %u was not answered", i, e->ops[i].peer);
}

static void an_ensemble_starts_and_serves(void **state)
{
    (void)state;
    static const uint32_t sizes[][2] = {{1, 0}, {3, 0}, {5, 2}, {2, 1}};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct ens *e = make(sizes[i][0], sizes[i][1], 0);
        until_leader(e, 0, 100);
        ens_run(e, 60);
        all_serve(e);
        ens_destroy(&e);
    }
}

/* Nothing waits for a timer when the links of a dead leader break. */
static void a_killed_leader_is_replaced_in_a_few_round_trips(void **state)
{
    (void)state;
    struct ens *e = make(3, 0, 0);
    until_leader(e, 0, 100);
    ens_run(e, 60);
    for (int round = 0; round < 20; round++) {
        struct ens_peer *leader = ens_leader(e);
        client_op(e, leader->id, ENS_WRITE, 0);
        peer_crash(e, leader->id, 0);
        uint64_t epoch = leader->epoch;
        assert_true(until_leader(e, epoch, 100) <= 40);
        peer_start(e, leader->id);
        ens_run(e, 100);
        all_serve(e);
    }
    ens_destroy(&e);
}

/* It does not answer, but its links stay: silence must do, and its old word must not be believed. */
static void a_hung_leader_is_replaced_after_its_silence(void **state)
{
    (void)state;
    struct ens *e = make(5, 0, 0);
    until_leader(e, 0, 100);
    ens_run(e, 60);
    struct ens_peer *leader = ens_leader(e);
    leader->paused_ms = e->now_ms + 60000;
    uint64_t epoch = leader->epoch;
    assert_true(until_leader(e, epoch, 2000) <= ZAB_SYNC_TIMEOUT_MS + 100);
    ens_run(e, 61000);
    well(e);
    assert_int_equal(ens_leader(e)->epoch, epoch + 1); /* it came back as a follower and disturbed nobody */
    all_serve(e);
    ens_destroy(&e);
}

/* A pause shorter than the timeout costs nothing. */
static void a_stalled_follower_causes_no_election(void **state)
{
    (void)state;
    struct ens *e = make(3, 0, 0);
    until_leader(e, 0, 100);
    ens_run(e, 60);
    uint64_t epoch = ens_leader(e)->epoch;
    for (uint32_t id = 1; id <= 2; id++) {
        e->peers[id].paused_ms = e->now_ms + ZAB_SYNC_TIMEOUT_MS - 50;
        ens_run(e, 1000);
    }
    e->peers[1].paused_ms = e->now_ms + 5000; /* even a long one of a minority */
    ens_run(e, 6000);
    well(e);
    assert_int_equal(ens_leader(e)->epoch, epoch);
    all_serve(e);
    ens_destroy(&e);
}

/* ZOOKEEPER-1732: rounds of joiner and ensemble differ more each time. */
static void whoever_restarts_again_and_again_joins_each_time(void **state)
{
    (void)state;
    struct ens *e = make(3, 0, 0);
    until_leader(e, 0, 100);
    ens_run(e, 60);
    uint64_t epoch = ens_leader(e)->epoch;
    for (int i = 0; i < 20; i++) {
        peer_crash(e, 1, 0);
        ens_run(e, 500); /* looks for nobody */
        peer_start(e, 1);
        ens_run(e, 60);
        assert_true(e->peers[1].established);
        all_serve(e);
    }
    net_cut(e, 1, 2, true);
    net_cut(e, 1, 3, true);
    ens_run(e, 20000); /* its round grows */
    net_cut(e, 1, 2, false);
    net_cut(e, 1, 3, false);
    ens_run(e, 100);
    all_serve(e);
    assert_int_equal(ens_leader(e)->epoch, epoch);
    ens_destroy(&e);
}

/* Cut off with the old leader, a client gets no answer: neither writes nor linearizable reads. */
static void a_minority_serves_nothing_and_says_so(void **state)
{
    (void)state;
    struct ens *e = make(5, 0, 0);
    until_leader(e, 0, 100);
    ens_run(e, 60);
    struct ens_peer *old = ens_leader(e);
    for (uint32_t id = 1; id <= 3; id++) {
        for (uint32_t other = 4; other <= 5; other++) {
            net_cut(e, id, other, true);
            net_cut(e, other, id, true);
        }
    }
    assert_int_equal(old->id, 5);
    client_op(e, 5, ENS_WRITE, 0);
    client_op(e, 5, ENS_READ, 0);
    client_op(e, 4, ENS_READ, 0);
    ens_run(e, 2000);
    well(e);
    for (uint32_t i = 0; i < 3; i++) assert_int_equal(e->ops[i].answered, 0);
    assert_false(old->established);
    assert_false(e->peers[4].established);
    client_op(e, 4, ENS_READ, 0);
    client_op(e, 1, ENS_READ, 0);
    ens_run(e, 50);
    assert_true(e->ops[3].refused);
    assert_true(e->ops[4].answered != 0);
    for (uint32_t id = 1; id <= 3; id++)
        for (uint32_t other = 4; other <= 5; other++) net_cut(e, id, other, false), net_cut(e, other, id, false);
    ens_run(e, 1000);
    all_serve(e);
    ens_destroy(&e);
}

static void change(struct ens *e, uint32_t id, bool remove, bool observer)
{
    struct ens_peer *leader = ens_leader(e);
    struct zab_change c = {.remove = remove, .member = {.id = id, .observer = observer}};
    struct zab_event ev = {.type = ZAB_EV_RECONFIG};
    ev.reconfig.n = 1;
    ev.reconfig.changes = &c;
    peer_step(e, leader, &ev);
    assert_int_equal(e->actions.outcome, ZAB_TAKEN);
    ens_run(e, 600);
    well(e);
    assert_non_null(ens_leader(e));
    all_serve(e);
}

/* One by one, each newcomer first as an observer, until nobody is left of those who began. */
static void every_member_is_replaced_while_the_ensemble_serves(void **state)
{
    (void)state;
    struct ens *e = make(3, 0, 3);
    until_leader(e, 0, 100);
    ens_run(e, 60);
    for (uint32_t id = 1; id <= 3; id++) {
        change(e, id + 3, false, true);
        change(e, id + 3, false, false);
        change(e, id, true, false); /* the last time, the leader itself */
    }
    assert_int_equal(ens_leader(e)->members.n, 3);
    assert_true(ens_leader(e)->id > 3);
    for (uint32_t id = 1; id <= 3; id++) assert_int_equal(e->peers[id].role, ZAB_DETACHED);
    check_history(e);
    well(e);
    ens_destroy(&e);
}

/* Everybody loses what was not on disk; what was acknowledged stays. */
static void a_power_cut_loses_nothing_acknowledged(void **state)
{
    (void)state;
    struct ens *e = make(3, 0, 0);
    until_leader(e, 0, 100);
    ens_run(e, 60);
    for (int round = 0; round < 10; round++) {
        for (int i = 0; i < 5; i++) client_op(e, 3, ENS_WRITE, 0);
        ens_run(e, 3 + round % 3);
        for (uint32_t id = 1; id <= 3; id++) peer_crash(e, id, 0);
        for (uint32_t id = 1; id <= 3; id++) peer_start(e, id);
        ens_run(e, 200);
        well(e);
        all_serve(e);
    }
    check_history(e);
    well(e);
    ens_destroy(&e);
}

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* With chance in network and disk: 300 kills of the leader at the default settings. */
static void failover_is_quick(void **state)
{
    (void)state;
    int64_t took[300];
    struct ens *e = make(3, 0, 0);
    e->calm = false;
    e->config.delay_ms = 2;
    e->config.break_ms = 2;
    for (uint32_t id = 1; id <= 3; id++) e->peers[id].fsync_ms = 5;
    until_leader(e, 0, 300);
    for (size_t i = 0; i < 300; i++) {
        ens_run(e, 200);
        struct ens_peer *leader = ens_leader(e);
        uint64_t epoch = leader->epoch;
        peer_crash(e, leader->id, 0);
        took[i] = until_leader(e, epoch, 1000);
        peer_start(e, leader->id);
    }
    qsort(took, 300, sizeof took[0], by_value);
    printf("failover after a crash: median %lld ms, p99 %lld ms, worst %lld ms\n", (long long)took[150], (long long)took[297],
           (long long)took[299]);
    assert_true(took[150] <= 60);
    assert_true(took[299] <= 200);
    ens_destroy(&e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_ensemble_starts_and_serves),
        cmocka_unit_test(a_killed_leader_is_replaced_in_a_few_round_trips),
        cmocka_unit_test(a_hung_leader_is_replaced_after_its_silence),
        cmocka_unit_test(a_stalled_follower_causes_no_election),
        cmocka_unit_test(whoever_restarts_again_and_again_joins_each_time),
        cmocka_unit_test(a_minority_serves_nothing_and_says_so),
        cmocka_unit_test(every_member_is_replaced_while_the_ensemble_serves),
        cmocka_unit_test(a_power_cut_loses_nothing_acknowledged),
        cmocka_unit_test(failover_is_quick),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
