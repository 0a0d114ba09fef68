/* SPDX-License-Identifier: Apache-2.0 */
/* The catalog in the coordination tree: what is put is listed by the next leadership, and the former writes no more. */
/* cmocka wants these first, in this order */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
#include "tests/unit/jobmanager/leaders.h"

#define JOB "job/00000000000000000000000000000001"
#define KEY JOB "/"

static struct ensemble e;
static struct leader a, b; /* b begins while a still believes in itself: it has not heard of its role */

static int setup(void **state)
{
    (void)state;
    ensemble_init(&e);
    ensemble_start(&e);
    a = b = (struct leader){0};
    leadership_init(&a.l);
    leadership_init(&b.l);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    leadership_close(&a.l);
    leadership_close(&b.l);
    assert_int_equal(e.err, WEIR_OK);
    ensemble_end(&e);
    return 0;
}

static enum catalog_outcome put(struct leader *j, const char *key, const char *value, uint64_t expected)
{
    return leader_order(&e, j, CATALOG_PUT, key, value, expected).outcome;
}

static void expect_key(struct leader *j, const char *key, const char *value, uint64_t version)
{
    struct catalog_answer got = leader_order(&e, j, CATALOG_GET, key, "", 0);
    assert_int_equal(got.outcome, CATALOG_COMMITTED);
    assert_int_equal(got.version, version);
    assert_true(bytes_equal(got.value, bytes_text(value)));
}

static void expect_lost(const struct leader *j, const char *reason)
{
    assert_int_equal(catalog_tree_state(j->l.catalog), CATALOG_TREE_LOST);
    assert_string_equal(catalog_tree_reason(j->l.catalog), reason);
}

static void values_are_put_over_the_version_that_was_seen(void **state)
{
    (void)state;
    leader_begin(&e, &a, 0, 1);
    struct catalog_answer first = leader_order(&e, &a, CATALOG_PUT, KEY "attempt", "one", 0);
    assert_int_equal(first.outcome, CATALOG_COMMITTED);
    assert_int_equal(first.version, 1);
    assert_int_equal(put(&a, KEY "attempt", "again", 0), CATALOG_CONFLICT);
    assert_int_equal(leader_order(&e, &a, CATALOG_PUT, KEY "attempt", "two", 1).version, 2);
    assert_int_equal(put(&a, KEY "attempt", "late", 1), CATALOG_CONFLICT);
    expect_key(&a, KEY "attempt", "two", 2);
    assert_int_equal(leader_order(&e, &a, CATALOG_DELETE, KEY "attempt", "", 1).outcome, CATALOG_CONFLICT);
    assert_int_equal(leader_order(&e, &a, CATALOG_DELETE, KEY "attempt", "", 2).outcome, CATALOG_COMMITTED);
    expect_key(&a, KEY "attempt", "", 0);
}

static void the_next_leader_finds_what_was_put(void **state)
{
    const struct master_listed *listed;
    (void)state;
    leader_begin(&e, &a, 0, 1);
    assert_int_equal(catalog_tree_listed(a.l.catalog, &listed), 0);
    assert_int_equal(put(&a, KEY "graph", "g", 0), CATALOG_COMMITTED);
    assert_int_equal(put(&a, "job/00000000000000000000000000000000/attempt", "x", 0), CATALOG_COMMITTED);
    assert_int_equal(put(&a, KEY "attempt", "a", 0), CATALOG_COMMITTED);
    assert_int_equal(put(&a, KEY "attempt", "b", 1), CATALOG_COMMITTED);
    leader_begin(&e, &b, 1, 2);
    assert_int_equal(catalog_tree_listed(b.l.catalog, &listed), 3);
    assert_string_equal(listed[0].key, "job/00000000000000000000000000000000/attempt");
    assert_string_equal(listed[1].key, KEY "attempt");
    assert_int_equal(listed[1].version, 2);
    assert_memory_equal(listed[1].value.data, "b", 1);
    assert_string_equal(listed[2].key, KEY "graph");
}

/* The folder of a job goes by itself when nothing is in it any more: also while it is about to be listed. */
static void a_folder_may_go_while_it_is_listed(void **state)
{
    const struct master_listed *listed;
    (void)state;
    leader_begin(&e, &a, 0, 1);
    assert_int_equal(put(&a, KEY "attempt", "a", 0), CATALOG_COMMITTED);
    assert_int_equal(put(&a, "job/00000000000000000000000000000002/attempt", "b", 0), CATALOG_COMMITTED);
    assert_int_equal(leader_order(&e, &a, CATALOG_DELETE, KEY "attempt", "", 1).outcome, CATALOG_COMMITTED);
    leader_claim(&e, &b, 1, 2);
    for (uint32_t i = 0; i < 5; i++) { /* connected, folders and leader, claimed, artifacts, jobs */
        (void)leader_say(&e, &b, UINT32_MAX);
        settle(&e);
        leader_hear(&b);
    }
    assert_int_equal(catalog_tree_state(b.l.catalog), CATALOG_TREE_LISTING);
    pass(&e, e.limits.cleanup_ms + 1000);
    leader_talk(&e, &b);
    assert_int_equal(leader_turn(&e, &b), LEADERSHIP_LEADS);
    assert_int_equal(catalog_tree_listed(b.l.catalog, &listed), 1);
    expect_key(&b, JOB, "", 0); /* it has gone */
}

/* ---- a former leader ---- */

/* None of its writes is done, be it over a value that nobody has changed since; the first one tells it. */
static void a_leader_that_was_deposed_writes_nothing(void **state)
{
    static const struct {
        enum catalog_kind kind;
        const char *key;
        uint64_t expected;
    } writes[] = {{CATALOG_PUT, KEY "attempt", 1}, {CATALOG_PUT, KEY "cancel", 0}, {CATALOG_DELETE, KEY "attempt", 1}};
    (void)state;
    leader_begin(&e, &a, 0, 1);
    assert_int_equal(put(&a, KEY "attempt", "mine", 0), CATALOG_COMMITTED);
    for (uint32_t i = 0; i < 3; i++) {
        leader_begin(&e, &b, 1, 2 * i + 2);
        assert_int_equal(leader_order(&e, &a, writes[i].kind, writes[i].key, "still mine", writes[i].expected).outcome, 0);
        expect_lost(&a, "another JobManager has begun to lead");
        expect_key(&b, KEY "attempt", "mine", 1);
        expect_key(&b, KEY "cancel", "", 0);
        assert_int_equal(leader_turn(&e, &a), LEADERSHIP_ENDS);
        leader_role(&b, false, 0);
        assert_int_equal(leader_turn(&e, &b), LEADERSHIP_ENDS);
        leader_begin(&e, &a, 0, 2 * i + 3);
    }
}

/* Nor does it make the folder of a key: what it had said before it was told comes to the tree after its successor's claim. */
static void what_was_said_before_comes_too_late(void **state)
{
    const struct catalog_order o = {.number = 1, .kind = CATALOG_PUT, .key = KEY "submission", .value = bytes_text("job")};
    struct catalog_answer answer;
    (void)state;
    leader_begin(&e, &a, 0, 1);
    lead(&e, -1); /* its peer keeps what it is told for the next leader */
    catalog_tree_order(a.l.catalog, &o);
    assert_int_equal(leader_say(&e, &a, UINT32_MAX), 2);
    e.lose_forwards = true;
    lead(&e, 1);
    e.lose_forwards = false;
    leader_begin(&e, &b, 1, 2);
    lead(&e, 1); /* told again */
    leader_talk(&e, &a);
    expect_lost(&a, "another JobManager has begun to lead");
    assert_false(catalog_tree_answer(a.l.catalog, &answer));
    expect_key(&b, KEY "submission", "", 0);
    expect_key(&b, JOB, "", 0);
}

/* Who knows that it is over says nothing, and hears nothing: an answer that comes late is nobody's. */
static void who_has_lost_the_catalog_is_silent(void **state)
{
    struct catalog_order o = {.number = 1, .kind = CATALOG_PUT, .key = KEY "attempt", .value = bytes_text("one")};
    struct catalog_answer answer;
    (void)state;
    leader_begin(&e, &a, 0, 1);
    catalog_tree_order(a.l.catalog, &o);
    (void)leader_say(&e, &a, UINT32_MAX);
    settle(&e); /* done, and not heard */
    leader_begin(&e, &b, 1, 2);
    o.number = 2;
    o.key = KEY "counter";
    catalog_tree_order(a.l.catalog, &o);
    catalog_tree_closed(a.l.catalog);
    expect_lost(&a, "the coordination peer has closed the connection");
    e.now_ms += CATALOG_TREE_PING_MS;
    assert_int_equal(leader_say(&e, &a, UINT32_MAX), 0);
    o.number = 3;
    catalog_tree_order(a.l.catalog, &o);
    assert_int_equal(leader_say(&e, &a, UINT32_MAX), 0);
    leader_hear(&a);
    assert_false(catalog_tree_answer(a.l.catalog, &answer));
    expect_key(&b, KEY "attempt", "one", 1);
    expect_key(&b, KEY "counter", "", 0);
}

/* It was closed before it was made. */
static void who_has_lost_the_catalog_does_not_claim_it(void **state)
{
    (void)state;
    leader_claim(&e, &a, 0, 1);
    (void)leader_say(&e, &a, UINT32_MAX);
    settle(&e);
    catalog_tree_closed(a.l.catalog);
    leader_hear(&a);
    expect_lost(&a, "the coordination peer has closed the connection");
}

/* Its epoch is older than the one that has claimed the catalog: it does not even begin. */
static void a_leader_that_comes_late_does_not_begin(void **state)
{
    (void)state;
    leader_begin(&e, &b, 1, 2);
    leader_claim(&e, &a, 0, 1);
    leader_talk(&e, &a);
    expect_lost(&a, "a JobManager with epoch 2 leads, ours is 1");
    expect_key(&b, "leader", "2", 2);
    assert_int_equal(put(&b, KEY "attempt", "x", 0), CATALOG_COMMITTED);
}

/* It had read that nobody newer leads, and was held up before it wrote its own epoch. */
static void a_claim_that_comes_late_is_refused(void **state)
{
    (void)state;
    leader_claim(&e, &a, 0, 1);
    for (uint32_t i = 0; i < 2; i++) { /* connected; folders, and who leads */
        (void)leader_say(&e, &a, UINT32_MAX);
        settle(&e);
        leader_hear(&a);
    }
    leader_begin(&e, &b, 1, 2);
    assert_int_equal(leader_say(&e, &a, UINT32_MAX), 1); /* the claim */
    leader_talk(&e, &a);
    expect_lost(&a, "the catalog could not be read from the tree: BAD_VERSION");
    expect_key(&b, "leader", "2", 2);
    assert_int_equal(put(&b, KEY "attempt", "x", 0), CATALOG_COMMITTED);
}

/* ---- what nobody knows ---- */

/* A peer that has no quorum does not say what became of a write. It had been done here, as the next reading tells. */
static void without_a_quorum_a_write_is_in_doubt(void **state)
{
    const struct catalog_order o = {.number = 1, .kind = CATALOG_PUT, .key = "artifact/00", .value = bytes_text("one")};
    struct catalog_answer answer = {0};
    (void)state;
    leader_begin(&e, &a, 0, 1);
    for (uint32_t i = 0; i < SERVERS; i++) e.stopped[i] = true;
    catalog_tree_order(a.l.catalog, &o);
    (void)leader_say(&e, &a, UINT32_MAX); /* proposed, and committed nowhere yet */
    lead(&e, -1);
    pass(&e, e.limits.quorum_wait_ms + 100);
    leader_hear(&a);
    assert_true(catalog_tree_answer(a.l.catalog, &answer));
    assert_int_equal(answer.outcome, CATALOG_UNKNOWN);
    for (uint32_t i = 0; i < SERVERS; i++) e.stopped[i] = false;
    lead(&e, 0);
    expect_key(&a, "artifact/00", "one", 1);
}

/* What another leader has written is seen, or nothing is. */
static void what_is_read_takes_a_quorum(void **state)
{
    struct catalog_answer answer = {0};
    (void)state;
    leader_begin(&e, &a, 0, 1);
    e.hold_barriers = true;
    assert_int_equal(leader_order(&e, &a, CATALOG_GET, "leader", "", 0).outcome, 0);
    e.hold_barriers = false;
    leader_talk(&e, &a);
    assert_true(catalog_tree_answer(a.l.catalog, &answer));
    assert_true(bytes_equal(answer.value, bytes_text("1")));
}

/* Whoever asks whether it still leads is answered by a quorum, or not at all. What it writes meanwhile need not be done for that. */
static void who_leads_is_confirmed_by_a_quorum(void **state)
{
    const struct catalog_order write = {.number = 1, .kind = CATALOG_PUT, .key = "artifact/00", .value = bytes_text("one")};
    const struct catalog_order ask = {.number = UINT64_MAX, .kind = CATALOG_CONFIRM, .key = ""};
    const struct catalog_order again = {.number = UINT64_MAX - 1, .kind = CATALOG_CONFIRM, .key = ""};
    struct catalog_answer answer = {0};
    (void)state;
    leader_begin(&e, &a, 0, 1);
    hold_commits(&e, true);
    catalog_tree_order(a.l.catalog, &write);
    e.hold_barriers = true;
    catalog_tree_order(a.l.catalog, &ask);
    leader_talk(&e, &a);
    assert_false(catalog_tree_answer(a.l.catalog, &answer));
    catalog_tree_order(a.l.catalog, &again);
    leader_talk(&e, &a);
    assert_false(catalog_tree_answer(a.l.catalog, &answer));
    e.hold_barriers = false;
    leader_talk(&e, &a);
    assert_true(catalog_tree_answer(a.l.catalog, &answer));
    assert_int_equal(answer.number, again.number);
    assert_int_equal(answer.outcome, CATALOG_COMMITTED);
    assert_false(catalog_tree_answer(a.l.catalog, &answer)); /* neither the question before nor the write */
    hold_commits(&e, false);
    leader_talk(&e, &a);
    assert_true(catalog_tree_answer(a.l.catalog, &answer));
    assert_int_equal(answer.number, write.number);
}

/* It was on its way when the next question was put, and says nothing about the time since. */
static void a_confirmation_that_comes_late_counts_for_nothing(void **state)
{
    const struct catalog_order ask = {.number = 8, .kind = CATALOG_CONFIRM, .key = ""};
    const struct catalog_order again = {.number = 9, .kind = CATALOG_CONFIRM, .key = ""};
    struct catalog_answer answer = {0};
    (void)state;
    leader_begin(&e, &a, 0, 1);
    catalog_tree_order(a.l.catalog, &ask);
    assert_int_equal(leader_say(&e, &a, UINT32_MAX), 1);
    settle(&e);
    catalog_tree_order(a.l.catalog, &again);
    assert_int_equal(leader_say(&e, &a, UINT32_MAX), 1);
    leader_hear(&a);
    assert_false(catalog_tree_answer(a.l.catalog, &answer));
    leader_talk(&e, &a);
    assert_true(catalog_tree_answer(a.l.catalog, &answer));
    assert_int_equal(answer.number, 9);
}

static void without_a_quorum_nobody_confirms(void **state)
{
    const struct catalog_order ask = {.number = 7, .kind = CATALOG_CONFIRM, .key = ""};
    struct catalog_answer answer = {0};
    (void)state;
    leader_begin(&e, &a, 0, 1);
    lead(&e, -1);
    catalog_tree_order(a.l.catalog, &ask);
    leader_talk(&e, &a);
    pass(&e, e.limits.quorum_wait_ms + 100);
    leader_hear(&a);
    assert_true(catalog_tree_answer(a.l.catalog, &answer));
    assert_int_equal(answer.number, 7);
    assert_int_equal(answer.outcome, CATALOG_UNKNOWN);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(values_are_put_over_the_version_that_was_seen),
        CASE(the_next_leader_finds_what_was_put),
        CASE(a_folder_may_go_while_it_is_listed),
        CASE(a_leader_that_was_deposed_writes_nothing),
        CASE(what_was_said_before_comes_too_late),
        CASE(who_has_lost_the_catalog_is_silent),
        CASE(who_has_lost_the_catalog_does_not_claim_it),
        CASE(a_leader_that_comes_late_does_not_begin),
        CASE(a_claim_that_comes_late_is_refused),
        CASE(without_a_quorum_a_write_is_in_doubt),
        CASE(what_is_read_takes_a_quorum),
        CASE(who_leads_is_confirmed_by_a_quorum),
        CASE(a_confirmation_that_comes_late_counts_for_nothing),
        CASE(without_a_quorum_nobody_confirms),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
