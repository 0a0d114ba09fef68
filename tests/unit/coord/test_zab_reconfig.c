/* SPDX-License-Identifier: Apache-2.0 */
/* Members that change: quorums of both lists until the commit. Peer 1 is the subject. */
#include "tests/unit/coord/scripted.h"

static enum zab_outcome change(struct scripted *f, struct zab_change c)
{
    return step(f, (struct zab_event){.type = ZAB_EV_RECONFIG, .reconfig = {.n = 1, .changes = &c}});
}

static struct zab_change put(uint32_t id, bool observer)
{
    return (struct zab_change){.member = {.id = id, .observer = observer}};
}

static void join(struct scripted *f, uint32_t peer)
{
    greet(f, peer);
    hear(f, peer, (struct zab_message){.type = ZAB_FOLLOW});
    promise_of(f, peer, (struct zxid){0});
    hear(f, peer, (struct zab_message){.type = ZAB_JOINED, .epoch = 1});
}

static void acknowledge(struct scripted *f, uint32_t peer, uint64_t counter)
{
    struct zxid acked;
    hear(f, peer,
         (struct zab_message){.type = ZAB_ACK, .zxid = {1, counter}, .nonce = zab_follower(f->zab, peer, &acked) ? acked.counter : 0});
}

static void a_new_list_needs_both_quorums(void **state)
{
    (void)state;
    struct scripted f;
    scripted_init(&f, &(struct scripted_options){.id = 1, .voters = 3, .observers = 2});
    established_leader(&f);
    join(&f, 4);
    join(&f, 5);
    assert_int_equal(change(&f, put(4, false)), ZAB_TAKEN); /* {1 2 3} to {1 2 3 4}: three of four */
    expect_line(&f, "members 5 pending 5");
    persisted(&f);
    acknowledge(&f, 5, 1);
    expect_no(&f, "COMMIT");
    acknowledge(&f, 2, 1);
    expect_no(&f, "COMMIT"); /* a quorum of the old ones alone */
    acknowledge(&f, 4, 1);
    expect_line(&f, "> 4 COMMIT 1.1");
    expect_line(&f, "members 5 pending 0");
    scripted_close(&f);
}

static void one_change_at_a_time_and_only_sensible_ones(void **state)
{
    (void)state;
    struct scripted f;
    struct zxid other = {7, 7};
    struct zab_change c = put(3, true);
    scripted_init(&f, &(struct scripted_options){.id = 1, .voters = 3});
    assert_int_equal(change(&f, put(9, true)), ZAB_NOT_LEADER);
    established_leader(&f);
    assert_int_equal(change(&f, put(9, false)), ZAB_NO_QUORUM); /* {1 2} are a quorum of three, not of four: 9 must follow first */
    assert_int_equal(change(&f, (struct zab_change){.remove = true, .member = {.id = 9}}), ZAB_BAD_CHANGE);
    assert_int_equal(change(&f, put(0, true)), ZAB_BAD_CHANGE);
    struct zab_event ev = {.type = ZAB_EV_RECONFIG, .reconfig = {.n = 1, .changes = &c, .version = &other}};
    assert_int_equal(step(&f, ev), ZAB_BAD_VERSION);
    assert_int_equal(change(&f, put(3, true)), ZAB_TAKEN);
    assert_int_equal(change(&f, put(9, true)), ZAB_PENDING);
    scripted_close(&f);
}

static void a_leader_that_takes_itself_out_resigns_at_the_commit(void **state)
{
    (void)state;
    struct scripted f;
    scripted_init(&f, &(struct scripted_options){.id = 1, .voters = 3});
    established_leader(&f);
    join(&f, 3);
    assert_int_equal(change(&f, (struct zab_change){.remove = true, .member = {.id = 1}}), ZAB_TAKEN);
    acknowledge(&f, 2, 1);
    acknowledge(&f, 3, 1);
    expect_line(&f, "> 2 COMMIT 1.1");
    expect_line(&f, "> 3 COMMIT 1.1");
    expect_line(&f, "role detached 0 epoch 0");
    scripted_close(&f);
}

static void a_newcomer_waits_until_it_is_told(void **state)
{
    (void)state;
    struct scripted f;
    struct buffer b = {0};
    struct zab_members members = {.version = {1, 1}, .n = 2, .at = {{.id = 1}, {.id = 9, .observer = true}}};
    scripted_init(&f, &(struct scripted_options){.id = 9, .voters = 3});
    expect_line(&f, "role detached 0 epoch 0");
    step(&f, (struct zab_event){.type = ZAB_EV_LINK_UP, .peer = 1});
    hear(&f, 1, (struct zab_message){.type = ZAB_HELLO, .protocol = ZAB_PROTOCOL, .peer = 1, .zxid = {1, 1}});
    members_encode(&members, &b);
    hear(&f, 1, (struct zab_message){.type = ZAB_MEMBERS, .bytes = {b.data, (uint32_t)b.len}});
    expect_line(&f, "members 2 pending 0");
    expect_line(&f, "role looking 0 epoch 0");
    vote(&f, 1, ZAB_VOTE_LEADING, 1, 4, 1, (struct zxid){1, 1});
    expect_line(&f, "role observing 1 epoch 0");
    buffer_close(&b);
    scripted_close(&f);
}

/* The entry that named new members was cut off: they were never in force. */
static void members_go_with_their_entry(void **state)
{
    (void)state;
    struct scripted f;
    struct buffer b = {0};
    scripted_init(&f, &(struct scripted_options){.id = 1, .voters = 3});
    established_follower(&f, 1);
    struct zab_members members = f.members;
    members.version = (struct zxid){1, 1};
    members.n = 2;
    members_encode(&members, &b);
    struct zab_message m = {.type = ZAB_ENTRY, .kind = ZAB_ENTRY_MEMBERS, .zxid = {1, 1}, .bytes = {b.data, (uint32_t)b.len}};
    hear(&f, 2, m);
    expect_line(&f, "members 3 pending 2");
    step(&f, (struct zab_event){.type = ZAB_EV_LINK_DOWN, .peer = 2});
    follow_two(&f, 2);
    hear(&f, 2, (struct zab_message){.type = ZAB_SYNC, .flag = true});
    expect(&f, "disk truncate 0.0\nmembers 3 pending 0\n");
    buffer_close(&b);
    scripted_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_list_needs_both_quorums),
        cmocka_unit_test(one_change_at_a_time_and_only_sensible_ones),
        cmocka_unit_test(a_leader_that_takes_itself_out_resigns_at_the_commit),
        cmocka_unit_test(a_newcomer_waits_until_it_is_told),
        cmocka_unit_test(members_go_with_their_entry),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
