/* SPDX-License-Identifier: Apache-2.0 */
/* Who leads: as long as the peer leads the epoch that the catalog was claimed for, and not before it serves. */
/* cmocka wants these first, in this order */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
#include "tests/unit/jobmanager/leaders.h"

static struct ensemble e;
static struct leader j;

static int setup(void **state)
{
    (void)state;
    ensemble_init(&e);
    ensemble_start(&e);
    j = (struct leader){0};
    leadership_init(&j.l);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    leadership_close(&j.l);
    assert_int_equal(e.err, WEIR_OK);
    ensemble_end(&e);
    return 0;
}

static void expect_turn(enum leadership_turn turn)
{
    assert_int_equal(leader_turn(&e, &j), turn);
}

static void expect_end(const char *why)
{
    expect_turn(LEADERSHIP_ENDS);
    assert_string_equal(j.l.why, why);
    assert_null(j.l.catalog);
    assert_false(j.l.leads);
}

static void who_follows_is_told_once(void **state)
{
    (void)state;
    expect_turn(LEADERSHIP_STAYS);
    leader_role(&j, false, 0);
    expect_turn(LEADERSHIP_FOLLOWS);
    expect_turn(LEADERSHIP_STAYS);
}

static void nobody_leads_before_the_catalog_serves(void **state)
{
    (void)state;
    leader_claim(&e, &j, 0, 1);
    while (catalog_tree_state(j.l.catalog) != CATALOG_TREE_SERVING) {
        expect_turn(LEADERSHIP_STAYS);
        assert_false(j.l.leads);
        settle(&e);
        leader_hear(&j);
        (void)leader_say(&e, &j, UINT32_MAX);
    }
    expect_turn(LEADERSHIP_LEADS);
    assert_int_equal(j.l.epoch, 1);
    expect_turn(LEADERSHIP_STAYS);
}

static void it_ends_with_the_role_of_the_peer(void **state)
{
    (void)state;
    leader_begin(&e, &j, 0, 1);
    leader_role(&j, false, 0);
    expect_end("the peer has lost its quorum, or another one leads");
    expect_turn(LEADERSHIP_STAYS);
    leader_begin(&e, &j, 0, 2);
}

/* Also while it claims: nobody may lead by a claim of an epoch that is over. */
static void a_claim_ends_with_the_role_of_the_peer(void **state)
{
    (void)state;
    leader_claim(&e, &j, 0, 1);
    leader_role(&j, false, 0);
    expect_end("the peer has lost its quorum, or another one leads");
}

/* The peer was deposed and elected again, and both is heard at once: between the two somebody else may have led. */
static void another_epoch_is_another_leadership(void **state)
{
    (void)state;
    leader_begin(&e, &j, 0, 1);
    leader_role(&j, true, 3);
    expect_end("the peer has lost its quorum, or another one leads");
    expect_turn(LEADERSHIP_CLAIMS);
    leader_talk(&e, &j);
    expect_turn(LEADERSHIP_LEADS);
    assert_int_equal(j.l.epoch, 3);
}

/* The peer still says that it leads: then the catalog is claimed anew. */
static void who_loses_the_catalog_leads_no_more(void **state)
{
    (void)state;
    leader_begin(&e, &j, 0, 1);
    catalog_tree_closed(j.l.catalog);
    expect_end("the coordination peer has closed the connection");
    expect_turn(LEADERSHIP_CLAIMS);
    leader_talk(&e, &j);
    expect_turn(LEADERSHIP_LEADS);
}

/* The master asks for it, and another one leads the same epoch. What asked for it once does not end the next one. */
static void a_master_that_was_given_up_has_a_successor(void **state)
{
    (void)state;
    leadership_anew(&j.l); /* it is over already */
    leader_begin(&e, &j, 0, 1);
    leadership_anew(&j.l);
    expect_end("it was stopped for so long that TaskManagers have given it up; it begins anew");
    expect_turn(LEADERSHIP_CLAIMS);
    leader_talk(&e, &j);
    expect_turn(LEADERSHIP_LEADS);
    assert_int_equal(j.l.epoch, 1);
    expect_turn(LEADERSHIP_STAYS);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(who_follows_is_told_once),
        CASE(nobody_leads_before_the_catalog_serves),
        CASE(it_ends_with_the_role_of_the_peer),
        CASE(a_claim_ends_with_the_role_of_the_peer),
        CASE(another_epoch_is_another_leadership),
        CASE(who_loses_the_catalog_leads_no_more),
        CASE(a_master_that_was_given_up_has_a_successor),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
