/* SPDX-License-Identifier: Apache-2.0 */
/* Phase 3: proposals, acknowledgements, commits, delivery; quorum loss. Peer 1 is the subject. */
#include "tests/unit/coord/scripted.h"

static void a_quorum_on_disk_commits(void **state)
{
    (void)state;
    struct scripted f;
    scripted_init(&f, &(struct scripted_options){.id = 1, .voters = 3});
    established_leader(&f);
    expect(&f, "> 2 UP_TO_DATE 0.0\nrole leading 1 epoch 1 established\n");
    assert_int_equal(propose(&f, "a"), ZAB_TAKEN);
    assert_true(zxid_eq(f.actions.proposed, (struct zxid){1, 1}));
    expect(&f, "disk append 1.1\n> 2 ENTRY 1.1\n");
    hear(&f, 2, (struct zab_message){.type = ZAB_ACK, .zxid = {1, 1}, .nonce = 1});
    expect(&f, ""); /* the own disk has not answered yet */
    persisted(&f);
    expect(&f, "> 2 COMMIT 1.1\ndeliver 1.1\n");
    scripted_close(&f);
}

/* Several under way; one acknowledgement and one fsync cover all before them. */
static void commits_are_cumulative_and_in_order(void **state)
{
    (void)state;
    struct scripted f;
    scripted_init(&f, &(struct scripted_options){.id = 1, .voters = 3});
    established_leader(&f);
    for (int i = 0; i < 3; i++) propose(&f, "a");
    persisted(&f);
    expect(&f, "");
    hear(&f, 2, (struct zab_message){.type = ZAB_ACK, .zxid = {1, 2}, .nonce = 2});
    expect(&f, "> 2 COMMIT 1.2\ndeliver 1.1\ndeliver 1.2\n");
    hear(&f, 2, (struct zab_message){.type = ZAB_ACK, .zxid = {1, 3}, .nonce = 3});
    expect(&f, "> 2 COMMIT 1.3\ndeliver 1.3\n");
    scripted_close(&f);
}

static void followers_alone_can_commit(void **state)
{
    (void)state;
    struct scripted f;
    scripted_init(&f, &(struct scripted_options){.id = 1, .voters = 3});
    established_leader(&f);
    greet(&f, 3);
    hear(&f, 3, (struct zab_message){.type = ZAB_FOLLOW, .session = 7});
    promise_of(&f, 3, (struct zxid){0});
    hear(&f, 3, (struct zab_message){.type = ZAB_JOINED, .epoch = 1});
    propose(&f, "a");
    hear(&f, 2, (struct zab_message){.type = ZAB_ACK, .zxid = {1, 1}, .nonce = 1});
    hear(&f, 3, (struct zab_message){.type = ZAB_ACK, .zxid = {1, 1}, .nonce = 1});
    expect_line(&f, "deliver 1.1"); /* the leader's own disk is the slow one */
    scripted_close(&f);
}

/* Who has not joined is not counted, whatever it acknowledges. */
static void acknowledgements_before_joining_do_not_count(void **state)
{
    (void)state;
    struct scripted f;
    scripted_init(&f, &(struct scripted_options){.id = 1, .voters = 5});
    greet(&f, 2);
    greet(&f, 3);
    vote(&f, 2, ZAB_VOTE_LOOKING, 1, 1, 0, (struct zxid){0});
    vote(&f, 3, ZAB_VOTE_LOOKING, 1, 1, 0, (struct zxid){0});
    f.session = 7;
    for (uint32_t p = 2; p <= 3; p++) hear(&f, p, (struct zab_message){.type = ZAB_FOLLOW});
    persisted(&f);
    for (uint32_t p = 2; p <= 3; p++) promise_of(&f, p, (struct zxid){0});
    persisted(&f);
    for (uint32_t p = 2; p <= 3; p++) hear(&f, p, (struct zab_message){.type = ZAB_JOINED, .epoch = 1});
    expect_line(&f, "role leading 1 epoch 1 established");
    greet(&f, 4);
    hear(&f, 4, (struct zab_message){.type = ZAB_FOLLOW});
    promise_of(&f, 4, (struct zxid){0});
    propose(&f, "a");
    persisted(&f);
    hear(&f, 4, (struct zab_message){.type = ZAB_ACK, .zxid = {1, 1}, .nonce = 1});
    hear(&f, 2, (struct zab_message){.type = ZAB_ACK, .zxid = {1, 1}, .nonce = 1});
    expect(&f, ""); /* 1 and 2 of five: 4 does not count */
    hear(&f, 4, (struct zab_message){.type = ZAB_JOINED, .epoch = 1, .zxid = {1, 1}});
    expect_line(&f, "deliver 1.1");
    scripted_close(&f);
}

static void a_follower_acknowledges_what_is_on_disk(void **state)
{
    (void)state;
    struct scripted f;
    scripted_init(&f, &(struct scripted_options){.id = 1, .voters = 3, .window_bytes = 1u << 20});
    established_follower(&f, 1);
    hear(&f, 2, entry_message((struct zxid){1, 1}, (struct zxid){0}));
    hear(&f, 2, entry_message((struct zxid){1, 2}, (struct zxid){1, 1}));
    expect(&f, "disk append 1.2\n");
    persisted(&f);
    expect(&f, "> 2 ACK 1.2\n");
    hear(&f, 2, (struct zab_message){.type = ZAB_COMMIT, .commit = {1, 1}});
    expect(&f, "deliver 1.1\n");
    hear(&f, 2, (struct zab_message){.type = ZAB_COMMIT, .commit = {1, 3}});
    expect_line(&f, "reset 2: peer 2 commits 1.3, which it has not sent");
    scripted_close(&f);
}

static void only_a_leader_proposes(void **state)
{
    (void)state;
    struct scripted f;
    scripted_init(&f, &(struct scripted_options){.id = 1, .voters = 3});
    assert_int_equal(propose(&f, "a"), ZAB_NOT_LEADER);
    assert_int_equal(step(&f, (struct zab_event){.type = ZAB_EV_FORWARD, .bytes = {"a", 1}}), ZAB_NOT_ESTABLISHED);
    elected(&f, 0);
    assert_int_equal(propose(&f, "a"), ZAB_NOT_ESTABLISHED);
    scripted_close(&f);
    scripted_init(&f, &(struct scripted_options){.id = 1, .voters = 3});
    established_follower(&f, 1);
    assert_int_equal(propose(&f, "a"), ZAB_NOT_LEADER);
    assert_int_equal(step(&f, (struct zab_event){.type = ZAB_EV_FORWARD, .bytes = {"a", 1}}), ZAB_TAKEN);
    expect(&f, "> 2 FORWARD\n");
    scripted_close(&f);
}

static void what_is_under_way_is_bounded(void **state)
{
    (void)state;
    static char large[ZAB_ENTRY_MAX + 1];
    struct scripted f;
    scripted_init(&f, &(struct scripted_options){.id = 1, .voters = 3});
    established_leader(&f);
    assert_int_equal(step(&f, (struct zab_event){.type = ZAB_EV_PROPOSE, .bytes = {large, sizeof large}}), ZAB_TOO_LARGE);
    for (uint32_t i = 0; i < ZAB_OUTSTANDING_BYTES / ZAB_ENTRY_MAX; i++)
        assert_int_equal(step(&f, (struct zab_event){.type = ZAB_EV_PROPOSE, .bytes = {large, ZAB_ENTRY_MAX}}), ZAB_TAKEN);
    assert_int_equal(propose(&f, "a"), ZAB_BUSY);
    persisted(&f);
    hear(&f, 2, (struct zab_message){.type = ZAB_ACK, .zxid = {1, 1}, .nonce = ZAB_ENTRY_MAX});
    assert_int_equal(propose(&f, "a"), ZAB_TAKEN);
    scripted_close(&f);
}

static void a_leader_without_a_quorum_resigns(void **state)
{
    (void)state;
    struct scripted f;
    scripted_init(&f, &(struct scripted_options){.id = 1, .voters = 3});
    established_leader(&f);
    tick(&f, ZAB_TICK_MS);
    expect_line(&f, "> 2 PING (1)");
    hear(&f, 2, (struct zab_message){.type = ZAB_PONG, .nonce = 1});
    tick(&f, ZAB_SYNC_TIMEOUT_MS - 1);
    expect_no(&f, "role");
    tick(&f, 50); /* nothing was heard since the pong */
    tick(&f, ZAB_SYNC_TIMEOUT_MS);
    expect_line(&f, "role looking 0 epoch 0");
    assert_int_equal(propose(&f, "a"), ZAB_NOT_LEADER);
    scripted_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_quorum_on_disk_commits),
        cmocka_unit_test(commits_are_cumulative_and_in_order),
        cmocka_unit_test(followers_alone_can_commit),
        cmocka_unit_test(acknowledgements_before_joining_do_not_count),
        cmocka_unit_test(a_follower_acknowledges_what_is_on_disk),
        cmocka_unit_test(only_a_leader_proposes),
        cmocka_unit_test(what_is_under_way_is_bounded),
        cmocka_unit_test(a_leader_without_a_quorum_resigns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
