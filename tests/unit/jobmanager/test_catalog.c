/* SPDX-License-Identifier: Apache-2.0 */
/* The catalog's core: what the store cannot say is read back until it is known. */
/* cmocka wants these first, in this order */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
#include <stdlib.h>
#include <string.h>

#include "jobmanager/catalog.h"

struct fixture {
    struct catalog *c;
    struct catalog_order order;
    struct catalog_done done;
    int64_t now_ms;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    catalog_new(&f->c);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    catalog_destroy(&f->c);
    free(f);
    return 0;
}

static struct weir_bytes text(const char *s)
{
    return (struct weir_bytes){(const unsigned char *)s, (uint32_t)strlen(s)};
}

static void put(struct fixture *f, const char *key, const char *value, uint64_t tag)
{
    catalog_put(f->c, key, text(value), tag);
}

static bool next(struct fixture *f)
{
    return catalog_next(f->c, f->now_ms, &f->order);
}

/* Answers the newest order. */
static void answer(struct fixture *f, enum catalog_outcome outcome, uint64_t version, const char *value)
{
    struct catalog_answer a = {
        .number = f->order.number, .outcome = outcome, .version = version, .value = text(value), .reason = "the disk is full"};
    catalog_answer(f->c, &a, f->now_ms);
}

static bool done(struct fixture *f)
{
    return catalog_done(f->c, &f->done);
}

static void a_put_goes_over_the_version_seen_last(void **state)
{
    struct fixture *f = *state;
    catalog_know(f->c, "k", 7);
    put(f, "k", "one", 1);
    assert_true(next(f));
    assert_int_equal(f->order.kind, CATALOG_PUT);
    assert_int_equal(f->order.expected, 7);
    assert_false(next(f));
    assert_false(done(f));
    answer(f, CATALOG_COMMITTED, 8, "");
    assert_true(done(f));
    assert_int_equal(f->done.tag, 1);
    assert_int_equal(f->done.err, WEIR_OK);
    put(f, "k", "two", 2);
    assert_true(next(f));
    assert_int_equal(f->order.expected, 8);
}

static void one_key_keeps_its_order_and_others_do_not_wait(void **state)
{
    struct fixture *f = *state;
    put(f, "k", "one", 1);
    put(f, "k", "two", 2);
    put(f, "l", "three", 3);
    assert_true(next(f));
    struct catalog_order first = f->order;
    assert_true(next(f));
    assert_string_equal(f->order.key, "l");
    assert_false(next(f));
    f->order = first;
    answer(f, CATALOG_COMMITTED, 1, "");
    assert_true(next(f));
    assert_int_equal(f->order.expected, 1);
    assert_memory_equal(f->order.value.data, "two", 3);
}

static void a_refusal_is_told(void **state)
{
    struct fixture *f = *state;
    put(f, "k", "one", 1);
    assert_true(next(f));
    answer(f, CATALOG_REFUSED, 0, "");
    assert_true(done(f));
    assert_int_equal(f->done.err, WEIR_E_IO);
    assert_string_equal(f->done.diag.text, "the disk is full");
    assert_true(catalog_idle(f->c));
}

static void an_unknown_outcome_is_read_back(void **state)
{
    struct fixture *f = *state;
    put(f, "k", "mine", 1);
    assert_true(next(f));
    answer(f, CATALOG_UNKNOWN, 0, "");
    assert_false(next(f)); /* not at once */
    assert_int_equal(catalog_deadline_ms(f->c), CATALOG_RETRY_MS);
    f->now_ms += CATALOG_RETRY_MS;
    assert_true(next(f));
    assert_int_equal(f->order.kind, CATALOG_GET);
    answer(f, CATALOG_UNKNOWN, 0, ""); /* the store does not even answer that */
    f->now_ms += CATALOG_RETRY_MS;
    assert_true(next(f));
    assert_int_equal(f->order.kind, CATALOG_GET);
    answer(f, CATALOG_COMMITTED, 1, "mine"); /* it had been done */
    assert_true(done(f));
    assert_int_equal(f->done.err, WEIR_OK);
    put(f, "k", "again", 2);
    assert_true(next(f));
    assert_int_equal(f->order.expected, 1);
}

static void what_had_not_been_done_is_done_again(void **state)
{
    struct fixture *f = *state;
    catalog_know(f->c, "k", 4);
    put(f, "k", "mine", 1);
    assert_true(next(f));
    answer(f, CATALOG_UNKNOWN, 0, "");
    f->now_ms += CATALOG_RETRY_MS;
    assert_true(next(f));
    answer(f, CATALOG_COMMITTED, 4, "before");
    assert_false(done(f));
    assert_true(next(f));
    assert_int_equal(f->order.kind, CATALOG_PUT);
    /* it lands late, twice: the second meets the first */
    answer(f, CATALOG_CONFLICT, 0, "");
    assert_true(next(f));
    assert_int_equal(f->order.kind, CATALOG_GET);
    answer(f, CATALOG_COMMITTED, 5, "mine");
    assert_true(done(f));
    assert_int_equal(f->done.err, WEIR_OK);
}

/* The first order is in doubt and the second is refused: the first may still land, so nothing is certain yet. */
static void a_refusal_says_nothing_of_an_order_in_doubt(void **state)
{
    struct fixture *f = *state;
    put(f, "k", "mine", 1);
    assert_true(next(f));
    answer(f, CATALOG_UNKNOWN, 0, "");
    f->now_ms += CATALOG_RETRY_MS;
    assert_true(next(f));
    answer(f, CATALOG_COMMITTED, 0, "");
    assert_true(next(f));
    assert_int_equal(f->order.kind, CATALOG_PUT);
    answer(f, CATALOG_REFUSED, 0, "");
    assert_false(done(f));
    f->now_ms += CATALOG_RETRY_MS;
    assert_true(next(f));
    assert_int_equal(f->order.kind, CATALOG_GET);
    answer(f, CATALOG_COMMITTED, 1, "mine"); /* it has landed */
    assert_true(done(f));
    assert_int_equal(f->done.err, WEIR_OK);
}

static void anothers_value_is_never_overwritten(void **state)
{
    struct fixture *f = *state;
    put(f, "k", "mine", 1);
    assert_true(next(f));
    answer(f, CATALOG_CONFLICT, 0, "");
    assert_true(next(f));
    answer(f, CATALOG_COMMITTED, 1, "mine, and more");
    assert_true(done(f));
    assert_int_equal(f->done.err, WEIR_E_STATE);
    put(f, "l", "mine", 2);
    assert_true(next(f));
    answer(f, CATALOG_UNKNOWN, 0, "");
    f->now_ms += CATALOG_RETRY_MS;
    assert_true(next(f));
    answer(f, CATALOG_COMMITTED, 1, "ours"); /* as long as ours */
    assert_true(done(f));
    assert_int_equal(f->done.err, WEIR_E_STATE);
    catalog_know(f->c, "m", 2);
    catalog_delete(f->c, "m");
    assert_true(next(f));
    assert_int_equal(f->order.expected, 2);
    answer(f, CATALOG_CONFLICT, 0, "");
    assert_true(next(f));
    answer(f, CATALOG_COMMITTED, 3, "theirs");
    assert_true(done(f));
    assert_int_equal(f->done.err, WEIR_E_STATE);
}

/* Nobody knew what became of it, and it is being read back: an answer to the first order that comes now, or again, counts no more. */
static void the_answer_to_an_order_before_is_ignored(void **state)
{
    struct fixture *f = *state;
    put(f, "k", "mine", 1);
    assert_true(next(f));
    struct catalog_order first = f->order;
    answer(f, CATALOG_UNKNOWN, 0, "");
    answer(f, CATALOG_COMMITTED, 1, ""); /* twice: the first one counts */
    assert_false(done(f));
    f->now_ms += CATALOG_RETRY_MS;
    assert_true(next(f));
    struct catalog_order reading = f->order;
    assert_int_equal(reading.kind, CATALOG_GET);
    f->order = first;
    answer(f, CATALOG_COMMITTED, 1, "mine"); /* as if it were what was read */
    assert_false(done(f));
    f->order = reading;
    answer(f, CATALOG_COMMITTED, 0, ""); /* not done */
    assert_true(next(f));
    f->order = first;
    answer(f, CATALOG_REFUSED, 0, "");
    assert_false(done(f));
}

static void answers_to_nothing_are_ignored(void **state)
{
    struct fixture *f = *state;
    put(f, "k", "mine", 1);
    assert_true(next(f));
    f->order.number++;
    answer(f, CATALOG_COMMITTED, 1, "");
    assert_false(done(f));
    f->order.number--;
    answer(f, CATALOG_COMMITTED, 1, "");
    answer(f, CATALOG_REFUSED, 1, "");
    assert_true(done(f));
    assert_int_equal(f->done.err, WEIR_OK);
    assert_false(done(f));
}

static void deletes_are_read_back_too(void **state)
{
    struct fixture *f = *state;
    catalog_delete(f->c, "nothing");
    assert_false(next(f)); /* there is nothing to delete */
    assert_true(done(f));
    catalog_know(f->c, "k", 2);
    catalog_delete(f->c, "k");
    assert_true(next(f));
    assert_int_equal(f->order.kind, CATALOG_DELETE);
    answer(f, CATALOG_UNKNOWN, 0, "");
    f->now_ms += CATALOG_RETRY_MS;
    assert_true(next(f));
    answer(f, CATALOG_COMMITTED, 0, "");
    assert_true(done(f));
    put(f, "k", "new", 1);
    assert_true(next(f));
    assert_int_equal(f->order.expected, 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_put_goes_over_the_version_seen_last),
        T(one_key_keeps_its_order_and_others_do_not_wait),
        T(a_refusal_is_told),
        T(an_unknown_outcome_is_read_back),
        T(what_had_not_been_done_is_done_again),
        T(a_refusal_says_nothing_of_an_order_in_doubt),
        T(anothers_value_is_never_overwritten),
        T(answers_to_nothing_are_ignored),
        T(the_answer_to_an_order_before_is_ignored),
        T(deletes_are_read_back_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
