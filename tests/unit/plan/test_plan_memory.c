/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory runs out at the Nth allocation, N = 1, 2, ...: describing, decoding and planning a job then fail in words and leave nothing
 * behind. The allocator of this program is counted; under a sanitizer, which brings its own, the stories are skipped.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "api/src/env.h"
#include "tests/unit/plan/graphs.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define COUNTED 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define COUNTED 0
#endif
#endif
#ifndef COUNTED
#define COUNTED 1
#endif

static long until_failure = -1; /* allocations that still succeed; -1 = all */
static long balance;            /* blocks taken and not freed while counting */

#if COUNTED
/* Exported, so that the libc's own calls (strdup, reallocarray) come here too. */
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *at, size_t size);
extern void __libc_free(void *at);

static bool runs_out(void)
{
    if (until_failure < 0) return false;
    if (until_failure == 0) {
        errno = ENOMEM;
        return true;
    }
    until_failure--;
    return false;
}

WEIR_EXPORT void *malloc(size_t size)
{
    if (runs_out()) return NULL;
    balance++;
    return __libc_malloc(size);
}

WEIR_EXPORT void *calloc(size_t n, size_t size)
{
    if (runs_out()) return NULL;
    balance++;
    return __libc_calloc(n, size);
}

WEIR_EXPORT void *realloc(void *at, size_t size)
{
    if (runs_out()) return NULL;
    balance += at == NULL;
    return __libc_realloc(at, size);
}

WEIR_EXPORT void free(void *at)
{
    balance -= at != NULL;
    __libc_free(at);
}
#endif

/* Runs `job` with less and less luck until it succeeds, after `least` failures; each must be told as memory and balance its blocks. */
static void with_every_allocation_failing(weir_err (*job)(struct weir_diag *diag), long least)
{
    if (!COUNTED) skip();
    for (long n = 0; n < 10000; n++) {
        struct weir_diag diag = {.code = WEIR_OK, .text = ""};
        long before = balance;
        until_failure = n;
        weir_err err = job(&diag);
        until_failure = -1;
        assert_int_equal(balance, before);
        if (err == WEIR_OK) {
            assert_true(n >= least);
            return;
        }
        assert_int_equal(err, WEIR_E_NOMEM);
    }
    fail_msg("never enough memory");
}

static struct buffer encoded;

static void draw_one(struct sketch *s)
{
    uint64_t dice = 7;
    draw_graph(s, &dice);
}

static weir_err make_plan(struct weir_diag *diag)
{
    struct sketch s;
    struct plan *plan = NULL;
    draw_one(&s);
    weir_err err = plan_new(&plan, &s.g, 3, diag);
    assert_true((plan == NULL) == (err != WEIR_OK));
    plan_destroy(&plan);
    return err;
}

static weir_err make_graph(struct weir_diag *diag)
{
    struct graph g = {0};
    weir_err err = graph_decode(&g, encoded.data, encoded.len, diag);
    graph_close(&g);
    return err;
}

static weir_err make_bytes(struct weir_diag *diag)
{
    struct sketch s;
    struct buffer bytes = {0};
    (void)diag;
    draw_one(&s);
    weir_err err = graph_encode(&s.g, &bytes);
    buffer_close(&bytes);
    return err;
}

static weir_err discover(const void *config, uint32_t parallelism, struct weir_splits *splits, struct weir_diag *diag)
{
    (void)config, (void)parallelism, (void)splits, (void)diag;
    return WEIR_OK;
}

static weir_err read_nothing(void *self, struct weir_ctx *ctx)
{
    (void)self, (void)ctx;
    return WEIR_DONE;
}

static const struct weir_source source = {.struct_size = sizeof source, .name = "none", .discover = discover, .read = read_nothing};
static const struct weir_operator step = {.struct_size = sizeof step, .name = "pass"};

static weir_err make_env(struct weir_diag *diag)
{
    struct weir_env *env = NULL;
    char name[] = "job", word[] = "--path=x";
    char *argv[] = {name, word, NULL};
    const char *path = NULL;
    const struct weir_option option = {"path", WEIR_OPTION_PATH, &path, true, NULL};
    int64_t config = 1;
    weir_err err = weir_env_new(&env, "job", "/", 2);
    if (err) return err;
    (void)weir_options(env, 2, argv, &option, 1, diag);
    struct weir_stream *all = weir_union((struct weir_stream *[]){weir_from(env, "a", &source, &config, sizeof config)}, 1);
    for (int i = 0; i < 20; i++) (void)weir_union_add(all, weir_rebalance(weir_apply(all, weir_env_printf(env, "s%d", i), &step, NULL, 0)));
    err = weir_env_finish(env, diag);
    weir_env_destroy(&env);
    return err;
}

static weir_err make_splits(struct weir_diag *diag)
{
    struct weir_splits splits = {0};
    weir_err err = WEIR_OK;
    (void)diag;
    for (int i = 0; i < 40 && !err; i++) err = weir_splits_add(&splits, "split", 5);
    weir_splits_close(&splits);
    return err;
}

static void planning_runs_out_of_memory(void **state)
{
    (void)state;
    with_every_allocation_failing(make_plan, 6);
}

static void decoding_runs_out_of_memory(void **state)
{
    (void)state;
    struct sketch s;
    draw_one(&s);
    assert_int_equal(graph_encode(&s.g, &encoded), WEIR_OK);
    with_every_allocation_failing(make_graph, 1);
    buffer_close(&encoded);
}

static void encoding_runs_out_of_memory(void **state)
{
    (void)state;
    struct buffer bytes = {0};
    struct sketch s;
    draw_one(&s);
    for (long n = 0; COUNTED && n < 3; n++) {
        until_failure = n;
        weir_err err = graph_encode(&s.g, &bytes);
        until_failure = -1;
        assert_true(err == WEIR_OK || err == WEIR_E_NOMEM);
        buffer_close(&bytes);
    }
    assert_int_equal(make_bytes(NULL), WEIR_OK);
}

static void building_runs_out_of_memory(void **state)
{
    (void)state;
    with_every_allocation_failing(make_env, 6);
}

static void splitting_runs_out_of_memory(void **state)
{
    (void)state;
    with_every_allocation_failing(make_splits, 6);
}

int main(void)
{
    const struct CMUnitTest stories[] = {
        cmocka_unit_test(planning_runs_out_of_memory),  cmocka_unit_test(decoding_runs_out_of_memory),
        cmocka_unit_test(encoding_runs_out_of_memory),  cmocka_unit_test(building_runs_out_of_memory),
        cmocka_unit_test(splitting_runs_out_of_memory),
    };
    return cmocka_run_group_tests(stories, NULL, NULL);
}
