/* SPDX-License-Identifier: Apache-2.0 */
/* Plans without jobs: time limits, what is forgotten and when, and whose description is whose. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "jobmanager/plans.h"
#include "runtime/base/limits.h"

static struct plans plans;

static int close_plans(void **state)
{
    (void)state;
    plans_close(&plans);
    assert_int_equal(plans.n, 0);
    return 0;
}

static struct weir_id id_of(uint32_t n)
{
    return (struct weir_id){{(unsigned char)(n + 1), 7}};
}

static weir_err begin(uint32_t n, int64_t now_ms)
{
    static const char *const args[] = {"asked"};
    const struct job_submission sub = {.id = id_of(n), .size = 1, .name = n ? "" : "asked", .cwd = "/", .n_args = 1, .args = args};
    return plans_begin(&plans, &sub, now_ms, NULL);
}

static bool end(uint32_t n, weir_err err, int64_t now_ms)
{
    return plans_described(&plans, id_of(n), err, "it broke", NULL, now_ms);
}

static void a_description_becomes_a_plan(void **state)
{
    (void)state;
    struct graph_input input = {.partition = GRAPH_FORWARD, .way = ""};
    struct graph_node nodes[] = {{.id = "a", .name = "file", .kind = GRAPH_SOURCE, .n_outputs = 1},
                                 {.id = "b", .name = "print", .kind = GRAPH_SINK, .n_ports = 1, .n_inputs = 1, .inputs = &input}};
    for (uint32_t n = 0; n < 2; n++) {
        struct graph graph = {.name = "own", .n_nodes = 2, .nodes = nodes};
        assert_int_equal(begin(n, 0), WEIR_OK);
        assert_int_equal(plans_find(&plans, id_of(n))->state, PLANS_DESCRIBING);
        assert_true(plans_described(&plans, id_of(n), WEIR_OK, "", &graph, 0));
        assert_null(graph.nodes); /* taken */
        const struct planned *planned = plans_find(&plans, id_of(n));
        assert_int_equal(planned->state, PLANS_READY);
        assert_int_equal(planned->plan->n_slots, 1);
        assert_string_equal(plans_name(planned), n ? "own" : "asked");
    }
}

static void foreign_and_late_descriptions_change_nothing(void **state)
{
    (void)state;
    assert_false(end(1, WEIR_E_USER, 0)); /* a job's */
    assert_int_equal(begin(1, 0), WEIR_OK);
    assert_true(end(1, WEIR_E_USER, 0));
    assert_string_equal(plans_find(&plans, id_of(1))->diag.text, "it broke");
    assert_false(end(1, WEIR_E_CORRUPT, 0));
    assert_int_equal(plans_find(&plans, id_of(1))->diag.code, WEIR_E_USER);
    assert_null(plans_find(&plans, id_of(2)));
}

static void a_slow_description_is_stopped_once(void **state)
{
    (void)state;
    struct weir_id stop = {{0}};
    assert_int_equal(begin(1, 1000), WEIR_OK);
    assert_int_equal(begin(2, 1001), WEIR_OK);
    assert_false(plans_expire(&plans, 1000 + WEIR_DESCRIBE_TIMEOUT_MS - 1, &stop));
    assert_true(plans_expire(&plans, 1000 + WEIR_DESCRIBE_TIMEOUT_MS, &stop));
    assert_true(id_equal(stop, id_of(1)));
    assert_false(plans_expire(&plans, 1000 + WEIR_DESCRIBE_TIMEOUT_MS, &stop));
    const struct planned *late = plans_find(&plans, id_of(1));
    assert_int_equal(late->state, PLANS_FAILED);
    assert_int_equal(late->diag.code, WEIR_E_TIMEOUT);
    assert_non_null(strstr(late->diag.text, "30000 ms"));
    assert_int_equal(plans_find(&plans, id_of(2))->state, PLANS_DESCRIBING);
    assert_false(end(1, WEIR_OK, 0)); /* what comes of it is nobody's */
}

static void answers_are_forgotten_in_time(void **state)
{
    (void)state;
    struct weir_id stop;
    assert_int_equal(begin(1, 0), WEIR_OK);
    assert_true(end(1, WEIR_E_USER, 500));
    assert_false(plans_expire(&plans, 500 + PLANS_KEPT_MS - 1, &stop));
    assert_non_null(plans_find(&plans, id_of(1)));
    assert_false(plans_expire(&plans, 500 + PLANS_KEPT_MS, &stop));
    assert_null(plans_find(&plans, id_of(1)));
}

/* The oldest answer makes place; nothing that is being made does. */
static void places_are_bounded(void **state)
{
    (void)state;
    for (uint32_t n = 0; n < PLANS_MAX; n++) assert_int_equal(begin(n, 0), WEIR_OK);
    assert_int_equal(begin(100, 0), WEIR_E_LIMIT);
    assert_true(end(3, WEIR_E_USER, 0) && end(2, WEIR_E_USER, 0));
    assert_int_equal(begin(100, 0), WEIR_OK);
    assert_null(plans_find(&plans, id_of(2)));
    assert_non_null(plans_find(&plans, id_of(3)));
    assert_int_equal(begin(101, 0), WEIR_OK);
    assert_null(plans_find(&plans, id_of(3)));
    assert_int_equal(begin(102, 0), WEIR_E_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_description_becomes_a_plan, close_plans),
        cmocka_unit_test_teardown(foreign_and_late_descriptions_change_nothing, close_plans),
        cmocka_unit_test_teardown(a_slow_description_is_stopped_once, close_plans),
        cmocka_unit_test_teardown(answers_are_forgotten_in_time, close_plans),
        cmocka_unit_test_teardown(places_are_bounded, close_plans),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
