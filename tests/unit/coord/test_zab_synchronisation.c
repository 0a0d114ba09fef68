/* SPDX-License-Identifier: Apache-2.0 */
/* Phase 2: one history for all. Peer 1 is the subject. */
#include "tests/unit/coord/scripted.h"

static const struct scripted_options leader_log = {
    .id = 1, .voters = 3, .accepted = 2, .current = 2, .n_log = 4, .log = {{1, 1}, {1, 2}, {2, 1}, {2, 2}}, .window_bytes = 1u << 20};

/* The leader, with `leader_log`, gets the promise of a follower whose log ends with these spans. */
static void promise_with(struct scripted *f, struct zxid last, uint32_t n, const struct zab_span *spans)
{
    scripted_init(f, &leader_log);
    elected(f, 2);
    persisted(f);
    struct zab_message m = {.type = ZAB_PROMISE, .flag = true, .epoch = 1, .zxid = last, .n_spans = n};
    memcpy(m.spans, spans, n * sizeof spans[0]);
    hear(f, 2, m);
}

static void who_has_it_all_gets_nothing(void **state)
{
    (void)state;
    struct scripted f;
    promise_with(&f, (struct zxid){2, 2}, 2, (struct zab_span[]){{1, 2}, {2, 2}});
    expect(&f, "disk epochs 3 3\n> 2 SYNC 2.2\n> 2 NEW_LEADER epoch 3\n");
    scripted_close(&f);
}

/* What is not in memory is read from the disk, then streamed; NEW_LEADER waits for the last of it. */
static void who_is_behind_gets_the_rest(void **state)
{
    (void)state;
    struct scripted f;
    promise_with(&f, (struct zxid){1, 2}, 1, (struct zab_span[]){{1, 2}});
    expect(&f, "disk epochs 3 3\n> 2 SYNC 1.2\nread log after 1.2 for 2\n");
    struct zab_entry entries[] = {{.zxid = {2, 1}, .prev = {1, 2}}, {.zxid = {2, 2}, .prev = {2, 1}}};
    log_read(&f, 2, 2, entries);
    expect(&f, "> 2 ENTRY 2.1\n> 2 ENTRY 2.2\n> 2 NEW_LEADER epoch 3\n");
    scripted_close(&f);
}

static void a_divergent_tail_is_cut_within_an_epoch(void **state)
{
    (void)state;
    struct scripted f;
    promise_with(&f, (struct zxid){1, 5}, 1, (struct zab_span[]){{1, 5}});
    expect_line(&f, "> 2 SYNC 1.2, truncate");
    scripted_close(&f);
}

/* The follower has entries of an epoch the leader knows nothing of: the last common one is in the epoch before. */
static void a_divergent_tail_is_cut_across_epochs(void **state)
{
    (void)state;
    struct scripted f;
    scripted_init(
        &f, &(struct scripted_options){.id = 1, .voters = 3, .accepted = 3, .current = 3, .n_log = 3, .log = {{1, 1}, {1, 2}, {3, 1}}});
    elected(&f, 2);
    persisted(&f);
    struct zab_message m = {.type = ZAB_PROMISE, .flag = true, .epoch = 2, .zxid = {2, 4}, .n_spans = 2, .spans = {{1, 1}, {2, 4}}};
    hear(&f, 2, m);
    expect_line(&f, "> 2 SYNC 1.1, truncate");
    scripted_close(&f);
}

static void who_is_too_far_behind_gets_a_snapshot_in_pieces(void **state)
{
    (void)state;
    struct scripted f;
    scripted_init(&f, &(struct scripted_options){.id = 1, .voters = 3, .accepted = 2, .current = 2, .snapshot = {2, 1}});
    elected(&f, 0);
    persisted(&f);
    promise_of(&f, 2, (struct zxid){0});
    expect_line(&f, "read snapshot for 2 at 0");
    struct zab_event piece = {.type = ZAB_EV_SNAPSHOT_READ};
    piece.snapshot_read.peer = 2;
    piece.snapshot_read.read = f.read;
    piece.snapshot_read.zxid = (struct zxid){2, 1};
    piece.snapshot_read.bytes = (struct weir_bytes){"12345", 5};
    step(&f, piece);
    expect(&f, "> 2 SNAPSHOT 2.1 at 0\n");
    hear(&f, 2, (struct zab_message){.type = ZAB_CHUNK_ACK, .offset = 5});
    expect(&f, "read snapshot for 2 at 5\n");
    piece.snapshot_read.offset = 5;
    piece.snapshot_read.last = true;
    step(&f, piece);
    expect(&f, "> 2 SNAPSHOT 2.1 at 5, last\n");
    hear(&f, 2, (struct zab_message){.type = ZAB_CHUNK_ACK, .offset = 10});
    expect(&f, "end snapshot for 2\n> 2 NEW_LEADER epoch 3\n");
    scripted_close(&f);
}

static void a_follower_joins_when_all_is_on_disk(void **state)
{
    (void)state;
    struct scripted f;
    scripted_init(&f, &(struct scripted_options){.id = 1, .voters = 3, .accepted = 1, .current = 1, .n_log = 2, .log = {{1, 1}, {1, 2}}});
    follow_two(&f, 3);
    hear(&f, 2, (struct zab_message){.type = ZAB_SYNC, .flag = true, .zxid = {1, 1}});
    expect(&f, "disk truncate 1.1\n");
    hear(&f, 2, entry_message((struct zxid){2, 1}, (struct zxid){1, 1}));
    expect(&f, "disk append 2.1\n");
    hear(&f, 2, (struct zab_message){.type = ZAB_NEW_LEADER, .epoch = 3});
    expect(&f, "disk epochs 3 3\n");
    hear(&f, 2, entry_message((struct zxid){3, 1}, (struct zxid){2, 1})); /* broadcast goes on behind it */
    step(&f, (struct zab_event){.type = ZAB_EV_PERSISTED, .ticket = f.ticket - 1});
    expect(&f, "> 2 JOINED epoch 3 2.1\n> 2 ACK 2.1\n");
    persisted(&f);
    expect(&f, "> 2 ACK 3.1\n");
    hear(&f, 2, (struct zab_message){.type = ZAB_UP_TO_DATE, .commit = {2, 1}});
    expect(&f, "read log after 0.0 for 0\n"); /* it serves when what was committed is delivered */
    struct zab_entry log[] = {{.zxid = {1, 1}}, {.zxid = {2, 1}, .prev = {1, 1}}, {.zxid = {3, 1}, .prev = {2, 1}}};
    log_read(&f, 0, 3, log);
    expect(&f, "deliver 1.1\ndeliver 2.1\nrole following 2 epoch 3 established\n");
    scripted_close(&f);
}

static void a_follower_installs_a_snapshot(void **state)
{
    (void)state;
    struct scripted f;
    scripted_init(&f, &(struct scripted_options){.id = 1, .voters = 3, .accepted = 1, .current = 1, .n_log = 1, .log = {{1, 1}}});
    struct buffer members = {0};
    members_encode(&f.members, &members);
    follow_two(&f, 3);
    struct zab_message m = {.type = ZAB_SNAPSHOT, .zxid = {2, 9}, .bytes = {"abc", 3}};
    hear(&f, 2, m);
    expect_line(&f, "reset 2: peer 2 sent a piece of a snapshot that does not fit"); /* without members */
    follow_two(&f, 4);
    m.members = (struct weir_bytes){members.data, (uint32_t)members.len};
    hear(&f, 2, m);
    expect(&f, "disk install 2.9 at 0\n");
    persisted(&f);
    expect(&f, "> 2 CHUNK_ACK 3\n");
    m.offset = 3;
    m.flag = true;
    hear(&f, 2, m);
    expect_line(&f, "disk install 2.9 at 3, last");
    assert_true(zxid_eq(zab_status(f.zab).delivered, (struct zxid){2, 9}));
    hear(&f, 2, entry_message((struct zxid){2, 10}, (struct zxid){2, 9}));
    expect(&f, "disk append 2.10\n");
    buffer_close(&members);
    scripted_close(&f);
}

static void what_does_not_follow_the_log_is_refused(void **state)
{
    (void)state;
    static const struct zxid bad[][2] = {{{3, 2}, {0, 0}}, {{3, 1}, {2, 7}}, {{4, 1}, {0, 0}}, {{2, 2}, {0, 0}}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct scripted f;
        scripted_init(&f, &(struct scripted_options){.id = 1, .voters = 3});
        established_follower(&f, 3);
        hear(&f, 2, entry_message(bad[i][0], bad[i][1]));
        assert_int_equal(f.actions.at[0].type, ZAB_DO_RESET_LINK);
        expect_no(&f, "disk append");
        scripted_close(&f);
    }
}

/* A leader that would undo what was delivered contradicts the ensemble: this peer stops rather than follows. */
static void what_was_delivered_is_not_undone(void **state)
{
    (void)state;
    struct scripted f;
    scripted_init(
        &f, &(struct scripted_options){.id = 1, .voters = 3, .accepted = 1, .current = 1, .snapshot = {1, 3}, .n_log = 1, .log = {{1, 4}}});
    follow_two(&f, 2);
    hear(&f, 2, (struct zab_message){.type = ZAB_SYNC, .flag = true, .zxid = {1, 3}});
    expect_line(&f, "disk truncate 1.3");
    struct buffer members = {0};
    members_encode(&f.members, &members);
    scripted_close(&f);
    scripted_init(&f, &(struct scripted_options){.id = 1, .voters = 3, .accepted = 1, .current = 1, .snapshot = {1, 3}});
    follow_two(&f, 2);
    hear(&f, 2, (struct zab_message){.type = ZAB_SNAPSHOT, .flag = true, .zxid = {1, 2}, .members = {members.data, (uint32_t)members.len}});
    expect(&f, "fail: leader 2 sends a snapshot older than what was committed here\n");
    tick(&f, 1000);
    expect(&f, ""); /* it has stopped */
    buffer_close(&members);
    scripted_close(&f);
}

/* Entries were asked of the disk for delivery; before they came, another leader had cut them off. */
static void what_was_cut_off_meanwhile_is_not_delivered(void **state)
{
    (void)state;
    struct scripted f;
    scripted_init(
        &f, &(struct scripted_options){
                .id = 1, .voters = 3, .accepted = 1, .current = 1, .n_log = 3, .log = {{1, 1}, {1, 2}, {1, 3}}, .window_bytes = 1u << 20});
    follow_two(&f, 2);
    hear(&f, 2, (struct zab_message){.type = ZAB_SYNC, .zxid = {1, 3}});
    hear(&f, 2, (struct zab_message){.type = ZAB_NEW_LEADER, .epoch = 2});
    persisted(&f);
    hear(&f, 2, (struct zab_message){.type = ZAB_UP_TO_DATE, .commit = {1, 1}});
    expect(&f, "read log after 0.0 for 0\n");
    step(&f, (struct zab_event){.type = ZAB_EV_LINK_DOWN, .peer = 2});
    follow_two(&f, 4);
    hear(&f, 2, (struct zab_message){.type = ZAB_SYNC, .flag = true, .zxid = {1, 1}});
    hear(&f, 2, entry_message((struct zxid){3, 1}, (struct zxid){1, 1}));
    hear(&f, 2, (struct zab_message){.type = ZAB_NEW_LEADER, .epoch = 4});
    persisted(&f);
    hear(&f, 2, (struct zab_message){.type = ZAB_UP_TO_DATE, .commit = {3, 1}});
    expect(&f, "");
    struct zab_entry old[] = {{.zxid = {1, 1}}, {.zxid = {1, 2}, .prev = {1, 1}}, {.zxid = {1, 3}, .prev = {1, 2}}};
    log_read(&f, 0, 3, old);
    expect(&f, "deliver 1.1\ndeliver 3.1\nrole following 2 epoch 4 established\n");
    scripted_close(&f);
}

/* What a follower that serves forwards would be lost with a leader that does not serve yet, since it still reads its log. */
static void followers_serve_when_the_leader_does(void **state)
{
    (void)state;
    struct scripted f;
    struct zab_entry entries[] = {
        {.zxid = {1, 1}}, {.zxid = {1, 2}, .prev = {1, 1}}, {.zxid = {2, 1}, .prev = {1, 2}}, {.zxid = {2, 2}, .prev = {2, 1}}};
    scripted_init(&f, &leader_log);
    established_leader(&f);
    expect(&f, "read log after 0.0 for 0\n");
    log_read(&f, 0, 2, entries);
    expect(&f, "deliver 1.1\ndeliver 1.2\nread log after 1.2 for 0\n");
    log_read(&f, 0, 2, entries + 2);
    expect(&f, "deliver 2.1\ndeliver 2.2\n> 2 UP_TO_DATE 2.2\nrole leading 1 epoch 3 established\n");
    greet(&f, 3);
    hear(&f, 3, (struct zab_message){.type = ZAB_FOLLOW, .session = 7});
    promise_of(&f, 3, (struct zxid){2, 2});
    hear(&f, 3, (struct zab_message){.type = ZAB_JOINED, .epoch = 3, .zxid = {2, 2}});
    expect_line(&f, "> 3 UP_TO_DATE 2.2");
    scripted_close(&f);
}

/* Entries on their way are bounded; acknowledgements let more out. */
static void a_slow_follower_is_not_flooded(void **state)
{
    (void)state;
    struct scripted f;
    scripted_init(&f, &(struct scripted_options){.id = 1, .voters = 3, .flight_bytes = 4});
    established_leader(&f);
    propose(&f, "123");
    expect_line(&f, "> 2 ENTRY 1.1");
    propose(&f, "456");
    expect_line(&f, "> 2 ENTRY 1.2");
    propose(&f, "789");
    expect(&f, "disk append 1.3\n");
    hear(&f, 2, (struct zab_message){.type = ZAB_ACK, .zxid = {1, 1}, .nonce = 3});
    expect(&f, "> 2 ENTRY 1.3\n");
    scripted_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_has_it_all_gets_nothing),
        cmocka_unit_test(who_is_behind_gets_the_rest),
        cmocka_unit_test(a_divergent_tail_is_cut_within_an_epoch),
        cmocka_unit_test(a_divergent_tail_is_cut_across_epochs),
        cmocka_unit_test(who_is_too_far_behind_gets_a_snapshot_in_pieces),
        cmocka_unit_test(a_follower_joins_when_all_is_on_disk),
        cmocka_unit_test(a_follower_installs_a_snapshot),
        cmocka_unit_test(what_does_not_follow_the_log_is_refused),
        cmocka_unit_test(what_was_delivered_is_not_undone),
        cmocka_unit_test(what_was_cut_off_meanwhile_is_not_delivered),
        cmocka_unit_test(followers_serve_when_the_leader_does),
        cmocka_unit_test(a_slow_follower_is_not_flooded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
