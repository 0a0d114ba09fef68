/* SPDX-License-Identifier: Apache-2.0 */
/* Histories that are linearizable, histories that are not, and the search beside one that tries every order. */
/* clang-format off: cmocka wants these first, in this order */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
#include <stdlib.h>
#include <string.h>

#include "tests/linear/linear.h"

#define W(v, from, to)                  \
    {                                   \
        LINEAR_WRITE, 0, v, from, to, 0 \
    }
#define R(v, from, to)                 \
    {                                  \
        LINEAR_READ, 0, v, from, to, 0 \
    }
#define CAS(old, v, from, to)           \
    {                                   \
        LINEAR_CAS, 0, v, from, to, old \
    }

static enum linear_result check(const struct linear_op *ops, uint32_t n)
{
    struct linear *l = linear_new();
    for (uint32_t i = 0; i < n; i++) linear_add(l, ops[i]);
    enum linear_result result = linear_check(l, 1u << 20).result;
    linear_destroy(&l);
    return result;
}

#define CHECK(want, ...)                                                \
    do {                                                                \
        const struct linear_op ops[] = {__VA_ARGS__};                   \
        assert_int_equal(check(ops, sizeof ops / sizeof ops[0]), want); \
    } while (0)

static void reads_see_the_last_write(void **state)
{
    (void)state;
    assert_int_equal(check(NULL, 0), LINEAR_YES);
    CHECK(LINEAR_YES, R(0, 1, 2), W(1, 3, 4), R(1, 5, 6));
    CHECK(LINEAR_NO, W(1, 1, 2), R(0, 3, 4));                           /* stale */
    CHECK(LINEAR_NO, W(1, 1, 2), W(2, 3, 4), R(1, 5, 6));               /* overwritten */
    CHECK(LINEAR_NO, R(7, 1, 2));                                       /* out of nowhere */
    CHECK(LINEAR_YES, W(1, 1, 10), R(0, 2, 3), R(1, 4, 5), R(1, 6, 7)); /* a write takes effect once, some time */
    CHECK(LINEAR_NO, W(1, 1, 10), R(1, 2, 3), R(0, 4, 5));              /* and is not taken back */
    CHECK(LINEAR_YES, W(1, 1, 10), W(2, 1, 10), R(2, 11, 12));
    CHECK(LINEAR_YES, W(1, 1, 10), W(2, 1, 10), R(1, 11, 12));
    CHECK(LINEAR_NO, W(1, 1, 10), W(2, 1, 10), R(1, 11, 12), R(2, 13, 14));
    CHECK(LINEAR_YES, W(1, 1, 2), R(0, 2, 3)); /* touching in time: both orders are allowed */
}

static void writes_without_an_answer_may_happen_late_or_never(void **state)
{
    (void)state;
    CHECK(LINEAR_YES, W(1, 1, LINEAR_NEVER), R(0, 2, 3), R(1, 100, 101));
    CHECK(LINEAR_YES, W(1, 1, LINEAR_NEVER), R(0, 2, 3), R(0, 100, 101));
    CHECK(LINEAR_NO, R(1, 1, 2), W(1, 3, LINEAR_NEVER));
    CHECK(LINEAR_NO, W(1, 1, LINEAR_NEVER), W(2, 5, 6), R(1, 7, 8), R(2, 9, 10), R(1, 11, 12)); /* once */
}

static void compare_and_set(void **state)
{
    (void)state;
    CHECK(LINEAR_YES, CAS(0, 1, 1, 5), CAS(1, 2, 1, 5), R(2, 6, 7));
    CHECK(LINEAR_NO, CAS(0, 1, 1, 5), CAS(0, 2, 1, 5));
}

static void keys_are_independent_and_named(void **state)
{
    (void)state;
    struct linear *l = linear_new();
    linear_add(l, (struct linear_op){LINEAR_WRITE, 1, 5, 1, 2, 0});
    linear_add(l, (struct linear_op){LINEAR_READ, 2, 0, 3, 4, 0});
    linear_add(l, (struct linear_op){LINEAR_READ, 9, 1, 3, 4, 0});
    struct linear_verdict v = linear_check(l, 1000);
    assert_int_equal(v.result, LINEAR_NO);
    assert_int_equal(v.key, 9);
    linear_destroy(&l);
}

/* ---- beside an oracle ---- */

static uint64_t next(uint64_t *s)
{
    *s = *s * 6364136223846793005u + 1442695040888963407u;
    return *s >> 33;
}

/* Every order, by the definition. */
static bool try_all(const struct linear_op *ops, uint32_t n, uint32_t placed, uint64_t value)
{
    bool left = false;
    for (uint32_t i = 0; i < n; i++) left |= !(placed >> i & 1) && ops[i].returned != LINEAR_NEVER;
    if (!left) return true;
    for (uint32_t i = 0; i < n; i++) {
        if (placed >> i & 1) continue;
        bool first = true;
        for (uint32_t k = 0; k < n; k++) first &= (placed >> k & 1) || ops[k].returned >= ops[i].invoked;
        if (!first || (ops[i].kind == LINEAR_READ && ops[i].value != value) || (ops[i].kind == LINEAR_CAS && ops[i].expected != value))
            continue;
        if (try_all(ops, n, placed | 1u << i, ops[i].value)) return true;
    }
    return false;
}

static void the_search_agrees_with_every_order(void **state)
{
    (void)state;
    uint64_t seed = 42;
    uint32_t yes = 0, rounds = 20000;
    for (uint32_t round = 0; round < rounds; round++) {
        struct linear_op ops[7];
        uint32_t n = 1 + (uint32_t)(next(&seed) % 7);
        for (uint32_t i = 0; i < n; i++) {
            ops[i] = (struct linear_op){.kind = (enum linear_kind)(next(&seed) % 3), .value = next(&seed) % 3, .expected = next(&seed) % 3};
            ops[i].invoked = next(&seed) % 12;
            ops[i].returned = ops[i].invoked + next(&seed) % 8;
            if (ops[i].kind == LINEAR_WRITE && next(&seed) % 5 == 0) ops[i].returned = LINEAR_NEVER;
        }
        bool want = try_all(ops, n, 0, 0);
        yes += want;
        if (check(ops, n) != (want ? LINEAR_YES : LINEAR_NO)) fail_msg("round %u", round);
    }
    assert_true(yes > rounds / 10 && yes < rounds * 9 / 10); /* both kinds were there */
}

/* A long history with few at a time is quick, and the memory bound is kept. */
static void long_histories(void **state)
{
    (void)state;
    struct linear *l = linear_new();
    for (uint64_t i = 1; i <= 5000; i++) {
        linear_add(l, (struct linear_op){LINEAR_WRITE, 0, i, 10 * i, 10 * i + 9, 0});
        linear_add(l, (struct linear_op){LINEAR_READ, 0, i, 10 * i + 1, 10 * i + 12, 0});
    }
    assert_int_equal(linear_check(l, 100000).result, LINEAR_YES);
    linear_destroy(&l);
    l = linear_new();
    for (uint64_t i = 1; i <= 30; i++) linear_add(l, (struct linear_op){LINEAR_WRITE, 0, i, 1, 100, 0});
    linear_add(l, (struct linear_op){LINEAR_READ, 0, 99, 200, 201, 0});
    assert_int_equal(linear_check(l, 1000).result, LINEAR_UNKNOWN);
    linear_destroy(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_see_the_last_write),
        cmocka_unit_test(writes_without_an_answer_may_happen_late_or_never),
        cmocka_unit_test(compare_and_set),
        cmocka_unit_test(keys_are_independent_and_named),
        cmocka_unit_test(the_search_agrees_with_every_order),
        cmocka_unit_test(long_histories),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
