/* SPDX-License-Identifier: Apache-2.0 */
/* Linearizable reads: a quorum confirms each, with a ping sent after it was asked. And session touches. Peer 1 is the subject. */
#include "tests/unit/coord/scripted.h"

static enum zab_outcome barrier(struct scripted *f, uint64_t token)
{
    return step(f, (struct zab_event){.type = ZAB_EV_BARRIER, .token = token});
}

static void pong(struct scripted *f, uint64_t nonce)
{
    hear(f, 2, (struct zab_message){.type = ZAB_PONG, .nonce = nonce});
}

static void a_read_waits_for_a_quorum(void **state)
{
    (void)state;
    struct scripted f;
    scripted_init(&f, &(struct scripted_options){.id = 1, .voters = 3});
    established_leader(&f);
    assert_int_equal(barrier(&f, 5), ZAB_TAKEN);
    expect(&f, "> 2 PING (1)\n");
    pong(&f, 1);
    expect(&f, "synced (5) 0.0\n");
    scripted_close(&f);
}

/* The ping under way may have been answered before the read was asked. */
static void a_ping_from_before_does_not_confirm(void **state)
{
    (void)state;
    struct scripted f;
    scripted_init(&f, &(struct scripted_options){.id = 1, .voters = 3});
    established_leader(&f);
    barrier(&f, 5);
    barrier(&f, 6);
    barrier(&f, 7);
    expect(&f, "");
    pong(&f, 1);
    expect(&f, "> 2 PING (2)\nsynced (5) 0.0\n");
    pong(&f, 2);
    expect(&f, "synced (6) 0.0\nsynced (7) 0.0\n"); /* one ping for both */
    scripted_close(&f);
}

/* What was committed when the read was asked must be delivered first. */
static void a_follower_s_read_waits_for_its_delivery(void **state)
{
    (void)state;
    struct scripted f;
    scripted_init(&f, &(struct scripted_options){.id = 1, .voters = 3, .window_bytes = 1u << 20});
    established_follower(&f, 1);
    barrier(&f, 9);
    expect(&f, "> 2 BARRIER (9)\n");
    hear(&f, 2, entry_message((struct zxid){1, 1}, (struct zxid){0}));
    hear(&f, 2, (struct zab_message){.type = ZAB_BARRIER_OK, .nonce = 9, .zxid = {1, 1}});
    expect(&f, "");
    hear(&f, 2, (struct zab_message){.type = ZAB_COMMIT, .commit = {1, 1}});
    expect(&f, "deliver 1.1\nsynced (9) 1.1\n");
    scripted_close(&f);
}

static void a_leader_answers_for_followers(void **state)
{
    (void)state;
    struct scripted f;
    scripted_init(&f, &(struct scripted_options){.id = 1, .voters = 3});
    established_leader(&f);
    hear(&f, 2, (struct zab_message){.type = ZAB_BARRIER, .nonce = 3});
    expect(&f, "> 2 PING (1)\n");
    pong(&f, 1);
    expect(&f, "> 2 BARRIER_OK 0.0 (3)\n");
    scripted_close(&f);
}

static void reads_are_lost_with_the_role_and_the_asker_hears_it(void **state)
{
    (void)state;
    struct scripted f;
    scripted_init(&f, &(struct scripted_options){.id = 1, .voters = 3});
    assert_int_equal(barrier(&f, 1), ZAB_NOT_ESTABLISHED);
    established_follower(&f, 1);
    barrier(&f, 2);
    step(&f, (struct zab_event){.type = ZAB_EV_LINK_DOWN, .peer = 2});
    expect_line(&f, "barrier lost (2)");
    scripted_close(&f);
}

static void a_single_voter_reads_at_once(void **state)
{
    (void)state;
    struct scripted f;
    scripted_init(&f, &(struct scripted_options){.id = 1, .voters = 1});
    persisted(&f);
    persisted(&f);
    barrier(&f, 4);
    expect(&f, "synced (4) 0.0\n");
    scripted_close(&f);
}

static void touches_travel_with_the_pong(void **state)
{
    (void)state;
    struct scripted f;
    scripted_init(&f, &(struct scripted_options){.id = 1, .voters = 3});
    established_follower(&f, 1);
    assert_int_equal(step(&f, (struct zab_event){.type = ZAB_EV_TOUCH, .bytes = {"ab", 2}}), ZAB_TAKEN);
    step(&f, (struct zab_event){.type = ZAB_EV_TOUCH, .bytes = {"c", 1}});
    hear(&f, 2, (struct zab_message){.type = ZAB_PING, .nonce = 1});
    assert_int_equal(f.actions.at[0].message->bytes.length, 3);
    assert_memory_equal(f.actions.at[0].message->bytes.data, "abc", 3);
    hear(&f, 2, (struct zab_message){.type = ZAB_PING, .nonce = 2});
    assert_int_equal(f.actions.at[0].message->bytes.length, 0); /* once */
    scripted_close(&f);
    scripted_init(&f, &(struct scripted_options){.id = 1, .voters = 3});
    established_leader(&f);
    tick(&f, ZAB_TICK_MS);
    hear(&f, 2, (struct zab_message){.type = ZAB_PONG, .nonce = 1, .bytes = {"x", 1}});
    expect_line(&f, "touched from 2");
    scripted_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_read_waits_for_a_quorum),
        cmocka_unit_test(a_ping_from_before_does_not_confirm),
        cmocka_unit_test(a_follower_s_read_waits_for_its_delivery),
        cmocka_unit_test(a_leader_answers_for_followers),
        cmocka_unit_test(reads_are_lost_with_the_role_and_the_asker_hears_it),
        cmocka_unit_test(a_single_voter_reads_at_once),
        cmocka_unit_test(touches_travel_with_the_pong),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
