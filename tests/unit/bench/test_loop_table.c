/* SPDX-License-Identifier: Apache-2.0 */
/* clang-format off: cmocka wants these first, in this order */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
#include "tests/bench/loop/slices.h"
#include "tests/bench/loop/table.h"

struct entry {
    int64_t key, value;
};

#define N_KEYS 3000

/* Keys come, are counted and go in an order drawn from a generator; an array knows what the table should. */
static void table_against_array(void **state)
{
    (void)state;
    struct loop_table t = {0};
    static int64_t expected[N_KEYS];
    uint64_t draw = 1;
    uint32_t n = 0;
    for (int i = 0; i < 200000; i++) {
        draw = draw * UINT64_C(6364136223846793005) + 1442695040888963407;
        size_t key = (draw >> 33) % N_KEYS;
        uint32_t number = loop_table_number(&t, (struct table_key){(int64_t)key, 0}, 1, sizeof(struct entry));
        struct entry *e = loop_pool_item(&t.entries, number, sizeof *e);
        assert_int_equal(e->key, key);
        assert_int_equal(e->value, expected[key]);
        n += expected[key] == 0;
        e->value = ++expected[key];
        if (draw >> 62) continue;
        loop_table_remove(&t, number, sizeof *e);
        expected[key] = 0;
        n--;
    }
    assert_int_equal(t.n, n);
    assert_true(t.entries.items.size <= N_KEYS * sizeof(struct entry)); /* what was given back is taken again */
    loop_table_close(&t);
}

static void pairs_are_distinct_keys(void **state)
{
    (void)state;
    struct loop_table t = {0};
    for (int64_t i = 0; i < 10000; i++) ((int64_t *)loop_table_at2(&t, i / 100, i % 100, 3 * sizeof(int64_t)))[2] = i + 1;
    for (int64_t i = 0; i < 10000; i++) {
        assert_int_equal(((int64_t *)loop_table_at2(&t, i / 100, i % 100, 3 * sizeof(int64_t)))[2], i + 1);
    }
    assert_int_equal(t.n, 10000);
    loop_table_clear(&t);
    assert_int_equal(((int64_t *)loop_table_at2(&t, 7, 7, 3 * sizeof(int64_t)))[2], 0);
    loop_table_close(&t);
}

/* Large enough to move from the heap into mappings and on to larger ones. */
static void memory_keeps_its_bytes_as_it_grows(void **state)
{
    (void)state;
    struct loop_vec v = {0};
    for (uint64_t i = 0; i < 2000000; i++) *(uint64_t *)loop_vec_add(&v, sizeof i) = i;
    for (uint64_t i = 0; i < 2000000; i++) assert_int_equal(((uint64_t *)(void *)v.data)[i], i);
    loop_vec_close(&v);
}

static void slices_keep_their_items_as_the_ring_grows(void **state)
{
    (void)state;
    struct loop_slices s = {.first = 1000, .last = 1000};
    for (int64_t i = 1000; i < 1100; i += 3) *(int64_t *)loop_slices_at(&s, i, sizeof i) = i;
    *(int64_t *)loop_slices_at(&s, 1000, sizeof(int64_t)) = 0;
    s.first = 1003; /* the freed slot is that of a later slice now */
    for (int64_t i = 1003; i < 1100; i++) assert_int_equal(*(int64_t *)loop_slices_at(&s, i, sizeof i), i % 3 == 1 ? i : 0);
    assert_int_equal(s.last, 1099);
    loop_slices_close(&s, sizeof(int64_t));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(table_against_array),
        cmocka_unit_test(pairs_are_distinct_keys),
        cmocka_unit_test(memory_keeps_its_bytes_as_it_grows),
        cmocka_unit_test(slices_keep_their_items_as_the_ring_grows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
