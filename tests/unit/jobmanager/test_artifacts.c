/* SPDX-License-Identifier: Apache-2.0 */
/* Which JobManagers hold which plugins: what is promised is held by a quorum, what is lacking is fetched, what nobody names goes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "jobmanager/artifacts.h"

#define EPOCH 7

static struct artifacts *a;
static struct artifacts_order order;

static const struct store_artifact x = {.digest = {{1}}, .size = 10, .name = "x.so"}, y = {.digest = {{2}}, .size = 20, .name = "y.so"};

static void be(bool leads)
{
    const struct zab_members three = {.n = 3, .at = {{.id = 1}, {.id = 2}, {.id = 3}}};
    artifacts_new(&a);
    artifacts_members(a, &three, 1);
    artifacts_role(a, EPOCH, leads);
}

static int close_all(void **state)
{
    (void)state;
    artifacts_destroy(&a);
    return 0;
}

static void expect(enum artifacts_order_type type, uint32_t member, int64_t now_ms)
{
    assert_true(artifacts_next(a, now_ms, &order));
    assert_int_equal(order.type, type);
    assert_int_equal(order.member, member);
}

static void expect_nothing(int64_t now_ms)
{
    assert_false(artifacts_next(a, now_ms, &order));
}

/* The member is told the list; what it lacks comes back. */
static void sync(uint32_t member, const struct store_artifact *missing, uint64_t fetched, int64_t now_ms)
{
    expect(ARTIFACTS_SYNC, member, now_ms);
    artifacts_synced(a, member, order.number, fetched, missing ? &missing->digest : NULL, missing ? 1 : 0, now_ms);
}

static void lead_with_nothing(void)
{
    be(true);
    artifacts_named(a);
    sync(2, NULL, 0, 0);
    sync(3, NULL, 0, 0);
    expect_nothing(0);
}

static void an_upload_is_kept_when_a_quorum_holds_it(void **state)
{
    (void)state;
    lead_with_nothing();
    assert_true(artifacts_offer(a, &x, 1));
    sync(2, &x, 0, 1);
    sync(3, &x, 0, 1);
    expect_nothing(1); /* it is here, and nowhere else */
    assert_null(artifacts_find(a, x.digest));
    assert_int_equal(artifacts_deadline_ms(a), 1 + ARTIFACTS_POLL_MS);
    sync(2, NULL, 10, 1 + ARTIFACTS_POLL_MS);
    expect(ARTIFACTS_KEEP, 0, 1 + ARTIFACTS_POLL_MS);
    assert_null(artifacts_find(a, x.digest)); /* before the catalog has it */
    artifacts_kept(a, x.digest, true);
    assert_non_null(artifacts_find(a, x.digest));
    assert_false(artifacts_offer(a, &x, 100)); /* the same bytes once more: nothing to wait for */
}

/* An answer to a list that did not name it says nothing of it. */
static void an_answer_to_an_older_list_makes_no_holder(void **state)
{
    (void)state;
    lead_with_nothing();
    expect(ARTIFACTS_SYNC, 2, ARTIFACTS_SYNC_MS);
    uint64_t number = order.number;
    assert_true(artifacts_offer(a, &x, ARTIFACTS_SYNC_MS));
    artifacts_synced(a, 2, number, 0, NULL, 0, ARTIFACTS_SYNC_MS);
    expect(ARTIFACTS_SYNC, 2, ARTIFACTS_SYNC_MS);
    expect(ARTIFACTS_SYNC, 3, ARTIFACTS_SYNC_MS);
    expect_nothing(ARTIFACTS_SYNC_MS);
}

static void an_upload_that_nobody_takes_is_given_up(void **state)
{
    (void)state;
    lead_with_nothing();
    assert_true(artifacts_offer(a, &x, 1));
    sync(2, &x, 0, 1);
    sync(3, &x, 0, 1);
    int64_t end_ms = 1 + ARTIFACTS_WAIT_MS;
    sync(2, &x, 0, end_ms - 1);
    sync(3, &x, 5, end_ms - 1); /* a byte came: it is waited for anew */
    end_ms += ARTIFACTS_WAIT_MS - 1;
    expect(ARTIFACTS_GIVE_UP, 0, end_ms);
    assert_int_equal(order.n_holders, 1);
    assert_int_equal(order.n_members, 3);
    expect(ARTIFACTS_REMOVE, 0, end_ms);
}

/* A new leader that lacks one asks those that hold it, one after the other. */
static void the_leader_fetches_what_it_lacks(void **state)
{
    (void)state;
    be(true);
    artifacts_name(a, &x);
    artifacts_named(a);
    sync(2, NULL, 0, 0);
    sync(3, NULL, 0, 0);
    expect(ARTIFACTS_FETCH, 2, 0);
    assert_int_equal(order.offset, 0);
    assert_true(artifacts_expects(a, 2, order.number));
    artifacts_fetched(a, 4);
    expect(ARTIFACTS_FETCH, 2, 0);
    assert_int_equal(order.offset, 4);
    expect_nothing(ARTIFACTS_ANSWER_MS - 1);
    sync(2, NULL, 0, ARTIFACTS_SYNC_MS); /* it holds it still, but did not send it */
    sync(3, NULL, 0, ARTIFACTS_SYNC_MS);
    expect_nothing(ARTIFACTS_SYNC_MS);
    expect(ARTIFACTS_FETCH, 3, ARTIFACTS_SYNC_MS + ARTIFACTS_RETRY_MS);
    assert_int_equal(order.offset, 4);
}

static void an_artifact_is_fetched_once_and_then_here(void **state)
{
    (void)state;
    be(false);
    assert_int_equal(artifacts_take(a, EPOCH, 1, 2, &x, 1, NULL), WEIR_OK);
    expect(ARTIFACTS_FETCH, 2, 0);
    artifacts_missed(a, true, 0); /* damaged: from its beginning */
    expect_nothing(ARTIFACTS_RETRY_MS - 1);
    expect(ARTIFACTS_FETCH, 2, ARTIFACTS_RETRY_MS);
    assert_int_equal(order.offset, 0);
    artifacts_fetched(a, 10);
    artifacts_held(a, &x);
    expect_nothing(ARTIFACTS_RETRY_MS);
    assert_true(artifacts_find(a, x.digest)->here);
}

/* Nothing goes before a list has been heard; then what it does not name does. */
static void what_nobody_names_goes(void **state)
{
    (void)state;
    be(false);
    artifacts_held(a, &x);
    artifacts_held(a, &y);
    expect_nothing(0);
    assert_int_equal(artifacts_take(a, EPOCH, 5, 2, &y, 1, NULL), WEIR_OK);
    expect(ARTIFACTS_REMOVE, 0, 0);
    assert_true(digest_equal(order.about.digest, x.digest));
    expect_nothing(0);
}

/* A late list cannot take away what a newer one has named. */
static void older_lists_are_refused(void **state)
{
    (void)state;
    be(false);
    assert_int_equal(artifacts_take(a, EPOCH, 5, 2, &x, 1, NULL), WEIR_OK);
    artifacts_held(a, &x);
    assert_int_equal(artifacts_take(a, EPOCH, 4, 2, NULL, 0, NULL), WEIR_E_STATE);
    assert_int_equal(artifacts_take(a, EPOCH - 1, 9, 2, NULL, 0, NULL), WEIR_E_STATE);
    assert_int_equal(artifacts_take(a, EPOCH + 1, 9, 2, NULL, 0, NULL), WEIR_E_STATE); /* the peer has not told of it yet */
    expect_nothing(0);
    artifacts_role(a, EPOCH + 1, true);
    assert_int_equal(artifacts_take(a, EPOCH + 1, 9, 2, NULL, 0, NULL), WEIR_E_STATE); /* who leads takes none */
    artifacts_role(a, 0, false);
    assert_int_equal(artifacts_take(a, 0, 9, 2, NULL, 0, NULL), WEIR_E_STATE); /* of nobody */
    expect_nothing(0);
}

/* Versions are of one leadership: those of the next begin anew, and what was heard before counts no more. */
static void the_next_leader_has_a_list_of_its_own(void **state)
{
    (void)state;
    be(false);
    artifacts_held(a, &y);
    assert_int_equal(artifacts_take(a, EPOCH, 5, 2, (struct store_artifact[]){x, y}, 2, NULL), WEIR_OK);
    expect(ARTIFACTS_FETCH, 2, 0);
    uint64_t number = order.number;
    artifacts_fetched(a, 4);
    artifacts_role(a, EPOCH + 1, false);
    assert_false(artifacts_expects(a, 2, number)); /* bytes of the fetch before are of no use */
    assert_null(artifacts_find(a, y.digest));
    expect_nothing(0); /* nothing is removed, nobody is asked */
    assert_int_equal(artifacts_take(a, EPOCH + 1, 1, 3, (struct store_artifact[]){x, y}, 2, NULL), WEIR_OK);
    expect(ARTIFACTS_FETCH, 3, 0);
    assert_int_equal(order.offset, 0);
    assert_false(artifacts_expects(a, 2, order.number));
    assert_false(artifacts_expects(a, 3, number));
    assert_true(artifacts_expects(a, 3, order.number));
    artifacts_fetched(a, 4);
    assert_false(artifacts_expects(a, 3, order.number)); /* once */
    assert_false(artifacts_expects(a, 3, 0));
}

/* The request was made anew: an answer to the first says nothing of what the second asked about, nor does one that comes twice. */
static void an_answer_that_comes_late_makes_no_holder(void **state)
{
    (void)state;
    lead_with_nothing();
    int64_t now_ms = ARTIFACTS_SYNC_MS;
    expect(ARTIFACTS_SYNC, 2, now_ms);
    uint64_t first = order.number;
    assert_true(artifacts_asked(a, 2, first));
    now_ms += ARTIFACTS_ANSWER_MS;
    assert_true(artifacts_offer(a, &x, now_ms));
    expect(ARTIFACTS_SYNC, 2, now_ms);
    assert_false(artifacts_asked(a, 2, first));
    artifacts_synced(a, 2, first, 0, NULL, 0, now_ms);
    expect(ARTIFACTS_SYNC, 3, now_ms);
    uint64_t third = order.number;
    expect_nothing(now_ms);
    artifacts_synced(a, 2, third, 0, NULL, 0, now_ms); /* nor one of somebody else */
    expect_nothing(now_ms);
    artifacts_synced(a, 3, third, 0, &x.digest, 1, now_ms);
    artifacts_synced(a, 3, third, 0, NULL, 0, now_ms);
    artifacts_synced(a, 3, 0, 0, NULL, 0, now_ms);
    expect_nothing(now_ms);
}

/* What a former leadership has put into the catalog is nothing to the next one: it may not even be there. */
static void what_was_kept_for_another_leadership_is_not_listed(void **state)
{
    (void)state;
    lead_with_nothing();
    assert_true(artifacts_offer(a, &x, 1));
    sync(2, NULL, 0, 1);
    expect(ARTIFACTS_KEEP, 0, 1);
    artifacts_role(a, EPOCH + 1, true);
    artifacts_kept(a, x.digest, true);
    assert_null(artifacts_find(a, x.digest));
    artifacts_named(a);
    assert_true(artifacts_offer(a, &x, 2)); /* uploaded again, before it was removed */
    artifacts_kept(a, x.digest, true);
    assert_null(artifacts_find(a, x.digest)); /* nobody but us holds it */
}

/* Who is deposed forgets who held what. */
static void holders_are_of_one_leadership(void **state)
{
    (void)state;
    lead_with_nothing();
    assert_true(artifacts_offer(a, &x, 1));
    sync(2, NULL, 0, 1);
    artifacts_role(a, EPOCH + 1, true);
    expect_nothing(2);
    artifacts_named(a);
    expect(ARTIFACTS_REMOVE, 0, 2); /* it was never in the catalog */
}

/* An answer of one is none in the next. */
static void answers_are_of_one_leadership(void **state)
{
    (void)state;
    lead_with_nothing();
    assert_true(artifacts_offer(a, &x, 1));
    expect(ARTIFACTS_SYNC, 2, 1);
    uint64_t number = order.number;
    artifacts_role(a, EPOCH + 1, true);
    artifacts_name(a, &y);
    artifacts_named(a);
    assert_false(artifacts_asked(a, 2, number));
    artifacts_synced(a, 2, number, 0, NULL, 0, 1);
    expect(ARTIFACTS_REMOVE, 0, 1); /* x */
    expect(ARTIFACTS_SYNC, 2, 1);
    expect(ARTIFACTS_SYNC, 3, 1);
    expect_nothing(1); /* y is nowhere */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(an_upload_is_kept_when_a_quorum_holds_it, close_all),
        cmocka_unit_test_teardown(an_answer_to_an_older_list_makes_no_holder, close_all),
        cmocka_unit_test_teardown(an_upload_that_nobody_takes_is_given_up, close_all),
        cmocka_unit_test_teardown(the_leader_fetches_what_it_lacks, close_all),
        cmocka_unit_test_teardown(an_artifact_is_fetched_once_and_then_here, close_all),
        cmocka_unit_test_teardown(what_nobody_names_goes, close_all),
        cmocka_unit_test_teardown(older_lists_are_refused, close_all),
        cmocka_unit_test_teardown(holders_are_of_one_leadership, close_all),
        cmocka_unit_test_teardown(answers_are_of_one_leadership, close_all),
        cmocka_unit_test_teardown(the_next_leader_has_a_list_of_its_own, close_all),
        cmocka_unit_test_teardown(an_answer_that_comes_late_makes_no_holder, close_all),
        cmocka_unit_test_teardown(what_was_kept_for_another_leadership_is_not_listed, close_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
