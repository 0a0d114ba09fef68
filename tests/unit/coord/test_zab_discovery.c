/* SPDX-License-Identifier: Apache-2.0 */
/* Phase 1: epochs and promises. Peer 1 is the subject. */
#include "tests/unit/coord/scripted.h"

static void a_leader_chooses_above_all_promises_and_promises_first(void **state)
{
    (void)state;
    struct scripted f;
    scripted_init(&f, &(struct scripted_options){.id = 1, .voters = 3, .accepted = 2, .current = 2});
    elected(&f, 6);
    expect(&f, "disk epochs 7 2\n"); /* EPOCH waits for the disk */
    persisted(&f);
    expect(&f, "> 2 EPOCH epoch 7\n");
    promise_of(&f, 2, (struct zxid){0});
    expect_line(&f, "disk epochs 7 7");
    scripted_close(&f);
}

static void a_follower_promises_only_what_is_on_disk(void **state)
{
    (void)state;
    struct scripted f;
    scripted_init(&f, &(struct scripted_options){.id = 1, .voters = 3, .accepted = 4, .current = 3, .n_log = 1, .log = {{3, 1}}});
    greet(&f, 2);
    vote(&f, 2, ZAB_VOTE_LEADING, 2, 1, 3, (struct zxid){3, 1});
    hear(&f, 2, (struct zab_message){.type = ZAB_EPOCH, .epoch = 5});
    expect(&f, "disk epochs 5 3\n");
    persisted(&f);
    expect(&f, "> 2 PROMISE epoch 3 3.1\n");
    scripted_close(&f);
}

/* The same number may have been promised to somebody else: following is fine, counting twice is not. */
static void an_epoch_is_promised_once(void **state)
{
    (void)state;
    struct scripted f;
    scripted_init(&f, &(struct scripted_options){.id = 1, .voters = 3, .accepted = 5, .current = 3});
    greet(&f, 2);
    vote(&f, 2, ZAB_VOTE_LEADING, 2, 1, 3, (struct zxid){0});
    hear(&f, 2, (struct zab_message){.type = ZAB_EPOCH, .epoch = 5});
    expect(&f, "> 2 PROMISE epoch 3 0.0, does not count\n");
    scripted_close(&f);
}

static void an_older_epoch_is_left(void **state)
{
    (void)state;
    struct scripted f;
    scripted_init(&f, &(struct scripted_options){.id = 1, .voters = 3, .accepted = 5, .current = 3});
    greet(&f, 2);
    vote(&f, 2, ZAB_VOTE_LEADING, 2, 1, 3, (struct zxid){0});
    hear(&f, 2, (struct zab_message){.type = ZAB_EPOCH, .epoch = 4});
    expect_line(&f, "role looking 0 epoch 0");
    scripted_close(&f);
}

static void a_leader_that_meets_a_newer_log_steps_down(void **state)
{
    (void)state;
    struct scripted f;
    scripted_init(&f, &(struct scripted_options){.id = 1, .voters = 3});
    elected(&f, 0);
    persisted(&f);
    promise_of(&f, 2, (struct zxid){0, 0});
    expect_line(&f, "disk epochs 1 1");
    scripted_close(&f);

    scripted_init(&f, &(struct scripted_options){.id = 1, .voters = 3, .accepted = 1, .current = 1});
    elected(&f, 1);
    persisted(&f);
    struct zab_message m = {.type = ZAB_PROMISE, .flag = true, .epoch = 1, .zxid = {1, 1}, .n_spans = 1, .spans = {{1, 1}}};
    hear(&f, 2, m);
    expect_line(&f, "role looking 0 epoch 0");
    scripted_close(&f);

    /* shorter, but of a history that was adopted later */
    scripted_init(&f, &(struct scripted_options){.id = 1, .voters = 3, .accepted = 1, .current = 1, .n_log = 2, .log = {{1, 1}, {1, 2}}});
    elected(&f, 2);
    persisted(&f);
    m.epoch = 2;
    hear(&f, 2, m);
    expect_line(&f, "role looking 0 epoch 0");
    scripted_close(&f);
}

/* A promise that does not count makes no quorum. */
static void a_doubled_promise_is_not_counted(void **state)
{
    (void)state;
    struct scripted f;
    scripted_init(&f, &(struct scripted_options){.id = 1, .voters = 3});
    elected(&f, 0);
    persisted(&f);
    hear(&f, 2, (struct zab_message){.type = ZAB_PROMISE, .n_spans = 1});
    expect(&f, "");
    scripted_close(&f);
}

/* 3 promised a later epoch to a leader that failed. Only a still later one lets it in. */
static void a_later_promise_makes_a_new_election(void **state)
{
    (void)state;
    struct scripted f;
    scripted_init(&f, &(struct scripted_options){.id = 1, .voters = 3});
    established_leader(&f);
    greet(&f, 3);
    hear(&f, 3, (struct zab_message){.type = ZAB_FOLLOW, .session = 1, .accepted = 9});
    expect_line(&f, "role looking 0 epoch 0");
    scripted_close(&f);
}

static void a_lonely_leader_gives_up(void **state)
{
    (void)state;
    struct scripted f;
    scripted_init(&f, &(struct scripted_options){.id = 1, .voters = 3});
    greet(&f, 2);
    vote(&f, 2, ZAB_VOTE_LOOKING, 1, 1, 0, (struct zxid){0});
    expect_line(&f, "role leading 1 epoch 0");
    tick(&f, ZAB_SYNC_TIMEOUT_MS - 1);
    expect_no(&f, "role");
    tick(&f, 1);
    expect_line(&f, "role looking 0 epoch 0");
    scripted_close(&f);
}

/* What an earlier role wrote says nothing to this one. */
static void a_write_of_an_earlier_role_releases_nothing(void **state)
{
    (void)state;
    struct scripted f;
    scripted_init(&f, &(struct scripted_options){.id = 1, .voters = 3});
    greet(&f, 2);
    vote(&f, 2, ZAB_VOTE_LEADING, 2, 1, 0, (struct zxid){0});
    hear(&f, 2, (struct zab_message){.type = ZAB_EPOCH, .epoch = 1});
    tick(&f, ZAB_SYNC_TIMEOUT_MS);
    vote(&f, 2, ZAB_VOTE_LEADING, 2, 1, 0, (struct zxid){0});
    expect_line(&f, "> 2 FOLLOW accepted 1");
    persisted(&f);
    expect(&f, "");
    scripted_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_leader_chooses_above_all_promises_and_promises_first),
        cmocka_unit_test(a_follower_promises_only_what_is_on_disk),
        cmocka_unit_test(an_epoch_is_promised_once),
        cmocka_unit_test(an_older_epoch_is_left),
        cmocka_unit_test(a_leader_that_meets_a_newer_log_steps_down),
        cmocka_unit_test(a_doubled_promise_is_not_counted),
        cmocka_unit_test(a_later_promise_makes_a_new_election),
        cmocka_unit_test(a_lonely_leader_gives_up),
        cmocka_unit_test(a_write_of_an_earlier_role_releases_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
