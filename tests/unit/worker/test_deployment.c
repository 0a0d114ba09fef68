/* SPDX-License-Identifier: Apache-2.0 */
/* A DEPLOY message that contradicts the plan is refused with a sentence, the environment stays the caller's, and nothing is left behind
 * (see ASan). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "taskmanager/worker/deployment.h"
#include "taskmanager/worker/describe.h"
#include "weir/connector/blackhole.h"
#include "weir/connector/generator.h"

#define SLOTS 4

WEIR_KEY_FIXED(by_key, weir_generated, key);
WEIR_KEY_FIXED(by_value, weir_generated, value);

static struct weir_env *job(bool keyed_two_ways)
{
    struct weir_env *env = NULL;
    assert_int_equal(weir_env_new(&env, "job", "/", SLOTS), WEIR_OK);
    struct weir_stream *s = weir_from_generator(env, "generate", &(struct weir_generator){.rows = 10, .keys = 3});
    struct weir_stream *ways[] = {weir_key_by(s, &by_key),
                                  weir_key_by(weir_set_parallelism(s, SLOTS), keyed_two_ways ? &by_value : &by_key)};
    weir_to_blackhole(weir_union(ways, 2), "end");
    assert_int_equal(weir_env_finish(env, NULL), WEIR_OK);
    return env;
}

struct order {
    struct wire_msg msg;
    uint32_t slot_worker[SLOTS + 1];
};

/* A right order for worker 0 of 2, to be spoiled by the story. */
static struct order right(const struct weir_env *env)
{
    struct order o = {.msg = {.type = WIRE_DEPLOY, .attempt = 1}, .slot_worker = {0, 1, 0, 1, 0}};
    struct graph graph;
    assert_int_equal(describe_graph(&graph, env, "job"), WEIR_OK);
    o.msg.deploy.fingerprint = graph.fingerprint;
    o.msg.deploy.name = "job";
    o.msg.deploy.parallelism = SLOTS;
    o.msg.deploy.n_workers = 2;
    o.msg.deploy.n_slots = SLOTS;
    describe_graph_close(&graph);
    return o;
}

static weir_err deploy(struct order *o, struct weir_env *env, struct weir_diag *diag)
{
    struct deployment *d = NULL;
    struct blackbox *box = calloc(1, sizeof *box);
    assert_non_null(box);
    o->msg.deploy.slot_worker = o->slot_worker;
    weir_err err = deployment_new(&d, &o->msg, env, NULL, box, diag);
    assert_int_equal(err == WEIR_OK, d != NULL);
    if (err) weir_env_destroy(&env); /* still the caller's */
    deployment_destroy(&d);
    assert_null(d);
    deployment_destroy(&d); /* NULL is accepted */
    free(box);
    return err;
}

static void refused(struct order *o, struct weir_env *env, weir_err expected, const char *words)
{
    struct weir_diag diag = {0};
    weir_err err = deploy(o, env, &diag);
    assert_int_equal(err, expected);
    if (!strstr(diag.text, words)) print_error("\"%s\" was said, not \"%s\"\n", diag.text, words);
    assert_non_null(strstr(diag.text, words));
}

static void a_right_order_is_deployed(void **state)
{
    (void)state;
    struct weir_env *env = job(false);
    struct order o = right(env);
    struct weir_diag diag = {0};
    assert_int_equal(deploy(&o, env, &diag), WEIR_OK);
}

static void another_graph_is_refused(void **state)
{
    (void)state;
    struct weir_env *env = job(false);
    struct order o = right(env);
    o.msg.deploy.fingerprint ^= 1;
    refused(&o, env, WEIR_E_GRAPH, "another graph");
}

static void a_worker_that_does_not_exist_is_refused(void **state)
{
    (void)state;
    struct weir_env *env = job(false);
    struct order o = right(env);
    o.slot_worker[3] = 2;
    refused(&o, env, WEIR_E_CORRUPT, "slot 3");
    env = job(false);
    o = right(env);
    o.msg.deploy.worker = 2;
    refused(&o, env, WEIR_E_CORRUPT, "contradicts");
    env = job(false);
    o = right(env);
    o.msg.deploy.n_workers = 0;
    refused(&o, env, WEIR_E_CORRUPT, "contradicts");
}

static void a_wrong_number_of_slots_is_refused(void **state)
{
    (void)state;
    const uint32_t counts[] = {0, 1, SLOTS - 1, SLOTS + 1};
    for (uint32_t i = 0; i < 4; i++) {
        struct weir_env *env = job(false);
        struct order o = right(env);
        o.msg.deploy.n_slots = counts[i];
        refused(&o, env, WEIR_E_CORRUPT, "slots for 4");
    }
}

static void a_worker_without_a_slot_is_refused(void **state)
{
    (void)state;
    struct weir_env *env = job(false);
    struct order o = right(env);
    o.slot_worker[0] = o.slot_worker[2] = 1;
    refused(&o, env, WEIR_E_CORRUPT, "0 slots");
}

static void inputs_keyed_differently_are_refused(void **state)
{
    (void)state;
    struct weir_env *env = job(true);
    struct order o = right(env);
    refused(&o, env, WEIR_E_GRAPH, "operator end");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_right_order_is_deployed),
        cmocka_unit_test(another_graph_is_refused),
        cmocka_unit_test(a_worker_that_does_not_exist_is_refused),
        cmocka_unit_test(a_wrong_number_of_slots_is_refused),
        cmocka_unit_test(a_worker_without_a_slot_is_refused),
        cmocka_unit_test(inputs_keyed_differently_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
