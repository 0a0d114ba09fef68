/* SPDX-License-Identifier: Apache-2.0 */
/* Phase 0: who wins, how fast, and who is let in later. Peer 1 is the subject; the test is everybody else. */
#include "tests/unit/coord/scripted.h"

#define Z(e, c) ((struct zxid){e, c})

static void a_single_voter_leads_at_once(void **state)
{
    (void)state;
    struct scripted f;
    scripted_init(&f, &(struct scripted_options){.id = 1, .voters = 1});
    expect(&f, "members 1 pending 0\ndisk epochs 1 0\nrole leading 1 epoch 0\n");
    persisted(&f);
    expect(&f, "disk epochs 1 1\n");
    persisted(&f);
    expect(&f, "role leading 1 epoch 1 established\n");
    scripted_close(&f);
}

static void a_better_vote_is_adopted_and_told(void **state)
{
    (void)state;
    struct scripted f;
    scripted_init(&f, &(struct scripted_options){.id = 1, .voters = 3, .accepted = 1, .current = 1, .n_log = 1, .log = {{1, 1}}});
    greet(&f, 2);
    expect(&f, "> 2 VOTE looking 1 round 1\n");
    vote(&f, 2, ZAB_VOTE_LOOKING, 2, 1, 1, Z(1, 2));
    expect_line(&f, "> 2 VOTE looking 2 round 1"); /* longer log */
    expect_line(&f, "> 2 FOLLOW accepted 1");      /* everybody connected agrees: no waiting */
    scripted_close(&f);
}

/* The epoch counts before the length of the log, the log before the id. */
static void a_worse_vote_is_not(void **state)
{
    (void)state;
    struct scripted f;
    scripted_init(&f, &(struct scripted_options){.id = 1, .voters = 3, .accepted = 2, .current = 2, .n_log = 1, .log = {{1, 1}}});
    greet(&f, 3);
    vote(&f, 3, ZAB_VOTE_LOOKING, 3, 1, 1, Z(1, 9));
    expect(&f, "");
    vote(&f, 3, ZAB_VOTE_LOOKING, 1, 1, 2, Z(1, 1));
    expect_line(&f, "role leading 1 epoch 0");
    scripted_close(&f);
}

static void a_later_round_begins_anew(void **state)
{
    (void)state;
    struct scripted f;
    scripted_init(&f, &(struct scripted_options){.id = 2, .voters = 3});
    greet(&f, 3);
    greet(&f, 1);
    vote(&f, 1, ZAB_VOTE_LOOKING, 3, 1, 0, Z(0, 0)); /* round 1: 3 is ahead, but its vote never came from itself */
    expect_line(&f, "> 1 VOTE looking 3 round 1");
    vote(&f, 1, ZAB_VOTE_LOOKING, 1, 5, 0, Z(0, 0)); /* round 5: back to one's own first vote */
    expect_line(&f, "> 1 VOTE looking 2 round 5");
    vote(&f, 3, ZAB_VOTE_LOOKING, 3, 4, 0, Z(0, 0)); /* behind: is told */
    expect(&f, "> 3 VOTE looking 2 round 5\n");
    scripted_close(&f);
}

/* A quorum agrees, but somebody connected does not yet: a short wait for a better vote. */
static void a_minority_is_waited_for_but_not_long(void **state)
{
    (void)state;
    struct scripted f;
    scripted_init(&f, &(struct scripted_options){.id = 1, .voters = 3, .accepted = 1, .current = 1});
    greet(&f, 2);
    greet(&f, 3);
    vote(&f, 2, ZAB_VOTE_LOOKING, 1, 1, 1, Z(0, 0));
    expect(&f, "");
    assert_int_equal(f.actions.deadline_ms, f.now_ms + ZAB_FINALIZE_MS);
    tick(&f, ZAB_FINALIZE_MS);
    expect_line(&f, "role leading 1 epoch 0");
    scripted_close(&f);
}

static void whoever_comes_late_joins_in_any_round(void **state)
{
    (void)state;
    struct scripted f;
    scripted_init(&f, &(struct scripted_options){.id = 1, .voters = 3});
    greet(&f, 3);
    vote(&f, 3, ZAB_VOTE_FOLLOWING, 2, 17, 4, Z(4, 2)); /* 2 itself has not said that it leads */
    expect(&f, "");
    greet(&f, 2);
    vote(&f, 2, ZAB_VOTE_LEADING, 2, 17, 4, Z(4, 2));
    expect_line(&f, "> 2 FOLLOW accepted 0");
    expect_line(&f, "role following 2 epoch 0");
    scripted_close(&f);
}

/* The leader stops answering, its link stays: it must not be joined again for what it said once. */
static void a_silent_leader_is_not_believed_again(void **state)
{
    (void)state;
    struct scripted f;
    scripted_init(&f, &(struct scripted_options){.id = 1, .voters = 3});
    greet(&f, 3);
    established_follower(&f, 1);
    vote(&f, 3, ZAB_VOTE_FOLLOWING, 2, 1, 1, Z(0, 0));
    tick(&f, ZAB_SYNC_TIMEOUT_MS);
    expect_line(&f, "role looking 0 epoch 0");
    tick(&f, ZAB_RESEND_MS);
    expect_no(&f, "FOLLOW ");
    vote(&f, 2, ZAB_VOTE_LEADING, 2, 1, 1, Z(0, 0)); /* it lives */
    expect_line(&f, "> 2 FOLLOW accepted 1");
    scripted_close(&f);
}

static void the_vote_for_a_peer_that_died_is_taken_back(void **state)
{
    (void)state;
    struct scripted f;
    scripted_init(&f, &(struct scripted_options){.id = 1, .voters = 5});
    greet(&f, 3);
    vote(&f, 3, ZAB_VOTE_LOOKING, 3, 1, 0, Z(0, 0));
    expect_line(&f, "> 3 VOTE looking 3 round 1");
    step(&f, (struct zab_event){.type = ZAB_EV_LINK_DOWN, .peer = 3});
    assert_int_equal(zab_status(f.zab).round, 2);
    greet(&f, 2);
    expect(&f, "> 2 VOTE looking 1 round 2\n");
    scripted_close(&f);
}

/* 2 brought a vote for 5 and died. Whether 5 lives, nobody here can tell. */
static void a_candidate_out_of_reach_is_given_up(void **state)
{
    (void)state;
    struct scripted f;
    scripted_init(&f, &(struct scripted_options){.id = 1, .voters = 5});
    greet(&f, 2);
    vote(&f, 2, ZAB_VOTE_LOOKING, 5, 1, 3, Z(3, 1));
    expect_line(&f, "> 2 VOTE looking 5 round 1");
    step(&f, (struct zab_event){.type = ZAB_EV_LINK_DOWN, .peer = 2});
    tick(&f, ZAB_RESEND_MS);
    assert_int_equal(zab_status(f.zab).round, 1);
    tick(&f, ZAB_RESEND_MS);
    assert_int_equal(zab_status(f.zab).round, 2);
    greet(&f, 3);
    expect(&f, "> 3 VOTE looking 1 round 2\n");
    scripted_close(&f);
}

/* It looks, too, and hears its former leader's vote at once. */
static void a_follower_hears_that_its_leader_looks(void **state)
{
    (void)state;
    struct scripted f;
    scripted_init(&f, &(struct scripted_options){.id = 1, .voters = 3});
    established_follower(&f, 1);
    vote(&f, 2, ZAB_VOTE_LOOKING, 2, 2, 1, Z(0, 0));
    expect(&f, "> 2 VOTE looking 1 round 2\n"
               "> 2 VOTE looking 2 round 2\n"
               "> 2 VOTE following 2 round 2\n"
               "> 2 FOLLOW accepted 1\n"
               "role following 2 epoch 0\n");
    scripted_close(&f);
}

static void observers_vote_but_not_for_themselves(void **state)
{
    (void)state;
    struct scripted f;
    scripted_init(&f, &(struct scripted_options){.id = 4, .voters = 3, .observers = 1});
    greet(&f, 1);
    expect(&f, "> 1 VOTE looking 0 round 1\n");
    vote(&f, 1, ZAB_VOTE_LOOKING, 1, 3, 0, Z(0, 0));
    expect(&f, "> 1 VOTE looking 1 round 3\n"); /* one voter is no quorum, its own vote does not count here */
    greet(&f, 2);
    vote(&f, 2, ZAB_VOTE_LOOKING, 1, 3, 0, Z(0, 0));
    expect_line(&f, "role observing 1 epoch 0");
    scripted_close(&f);
}

static void strangers_are_refused_with_a_reason(void **state)
{
    (void)state;
    static const struct {
        struct zab_message hello;
        const char *line;
    } cases[] = {
        {{.protocol = 9, .peer = 2}, "reset 2: peer 2 speaks protocol 9, this one 1: run the same version"},
        {{.protocol = 1, .peer = 2, .cluster = {{1}}}, "reset 2: peer 2 belongs to another cluster: check its addresses and its folder"},
        {{.protocol = 1, .peer = 3}, "reset 2: peer 2 says that it is peer 3"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct scripted f;
        scripted_init(&f, &(struct scripted_options){.id = 1, .voters = 3});
        step(&f, (struct zab_event){.type = ZAB_EV_LINK_UP, .peer = 2});
        struct zab_message m = cases[i].hello;
        m.type = ZAB_HELLO;
        hear(&f, 2, m);
        expect_line(&f, cases[i].line);
        scripted_close(&f);
    }
    struct scripted f;
    scripted_init(&f, &(struct scripted_options){.id = 1, .voters = 3});
    greet(&f, 9);
    expect(&f, "reset 9: peer 9 is not a member: add it first\n");
    step(&f, (struct zab_event){.type = ZAB_EV_LINK_UP, .peer = 2});
    hear(&f, 2, (struct zab_message){.type = ZAB_VOTE});
    expect(&f, "reset 2: peer 2 sent VOTE before its HELLO\n");
    step(&f, (struct zab_event){.type = ZAB_EV_LINK_UP, .peer = 1});
    assert_int_equal(f.actions.at[0].type, ZAB_DO_RESET_LINK);
    scripted_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_single_voter_leads_at_once),
        cmocka_unit_test(a_better_vote_is_adopted_and_told),
        cmocka_unit_test(a_worse_vote_is_not),
        cmocka_unit_test(a_later_round_begins_anew),
        cmocka_unit_test(a_minority_is_waited_for_but_not_long),
        cmocka_unit_test(whoever_comes_late_joins_in_any_round),
        cmocka_unit_test(a_silent_leader_is_not_believed_again),
        cmocka_unit_test(the_vote_for_a_peer_that_died_is_taken_back),
        cmocka_unit_test(a_candidate_out_of_reach_is_given_up),
        cmocka_unit_test(a_follower_hears_that_its_leader_looks),
        cmocka_unit_test(observers_vote_but_not_for_themselves),
        cmocka_unit_test(strangers_are_refused_with_a_reason),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
