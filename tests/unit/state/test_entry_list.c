/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/state/entry_list.h"
#include "runtime/state/table.h"
#include "tests/unit/state/oracle.h"

#define N 40000u /* several of the largest chunks */

static struct table_entry entries[N];

static uint32_t number_of(const struct table_entry *e)
{
    return (uint32_t)(e - entries);
}

static void put_range(struct entry_list *list, struct memory *memory, uint32_t from, uint32_t to)
{
    for (uint32_t i = from; i < to; i++) CHECK(entry_list_put(list, memory, &entries[i]));
}

static void an_empty_list_gives_nothing_and_holds_no_memory(void **state)
{
    (void)state;
    struct memory memory = {0};
    struct entry_list list = {0};
    assert_null(entry_list_take(&list, &memory));
    assert_true(entry_list_is_full(&list)); /* the next one put asks for memory */
    entry_list_close(&list, &memory);
    assert_int_equal(memory.bytes, 0);
}

/* What was put comes in the same order, and what has been taken is no longer held. */
static void entries_come_in_order(void **state)
{
    (void)state;
    struct memory memory = {0};
    struct entry_list list = {0};
    put_range(&list, &memory, 0, N);
    uint64_t most = memory.bytes;
    assert_int_equal(list.n, N);
    for (uint32_t i = 0; i < N; i++) CHECK(number_of(entry_list_take(&list, &memory)) == i);
    assert_null(entry_list_take(&list, &memory));
    assert_true(most >= N * sizeof(void *));
    assert_true(most <= N * sizeof(void *) * 5 / 4 + (64u << 10));
    assert_int_equal(memory.bytes, 0);
}

/* One that always has about as many entries holds no more memory the longer it is used. */
static void taking_gives_back_what_putting_took(void **state)
{
    (void)state;
    struct memory memory = {0};
    struct entry_list list = {0};
    put_range(&list, &memory, 0, 100);
    for (uint32_t i = 0; i < 10 * N; i++) {
        CHECK(number_of(entry_list_take(&list, &memory)) == i % N);
        CHECK(entry_list_put(&list, &memory, &entries[(i + 100) % N]));
    }
    assert_int_equal(list.n, 100);
    assert_true(memory.bytes <= 3 * (64u << 10));
    entry_list_close(&list, &memory);
    assert_int_equal(memory.bytes, 0);
}

/* ---- keeping ------------------------------------------------------------------------------------------------------------------------ */

static bool by_chance(struct table_entry *e, void *share)
{
    return (number_of(e) * 2654435761u >> 24) < *(uint32_t *)share;
}

/* Whatever share stays, from whatever place on: the rest is as if it had never been there. */
static void what_stays_keeps_its_order(void **state)
{
    (void)state;
    const uint32_t shares[] = {0, 1, 60, 128, 255, 256}, taken[] = {0, 1, 13, 14, 5000, N - 1};
    for (size_t i = 0; i < sizeof shares / sizeof *shares; i++) {
        for (size_t k = 0; k < sizeof taken / sizeof *taken; k++) {
            struct memory memory = {0};
            struct entry_list list = {0};
            uint32_t share = shares[i], n = 0;
            put_range(&list, &memory, 0, N);
            for (uint32_t t = 0; t < taken[k]; t++) (void)entry_list_take(&list, &memory);
            entry_list_keep(&list, &memory, by_chance, &share);
            put_range(&list, &memory, 0, 20); /* it goes on behind them */
            for (uint32_t e = taken[k]; e < N; e++) {
                if (!by_chance(&entries[e], &share)) continue;
                CHECK(number_of(entry_list_take(&list, &memory)) == e);
                n++;
            }
            for (uint32_t e = 0; e < 20; e++) CHECK(number_of(entry_list_take(&list, &memory)) == e);
            assert_int_equal(list.n, 0);
            assert_int_equal(memory.bytes, 0);
        }
    }
}

static void without_memory_the_list_is_as_before(void **state)
{
    (void)state;
    struct memory memory = {.fail_in = 3};
    struct entry_list list = {0};
    uint32_t n = 0;
    while (n < N && entry_list_put(&list, &memory, &entries[n])) n++;
    assert_in_range(n, 1, N - 1);
    assert_int_equal(list.n, n);
    for (uint32_t i = 0; i < n; i++) CHECK(number_of(entry_list_take(&list, &memory)) == i);
    assert_int_equal(memory.bytes, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_list_gives_nothing_and_holds_no_memory),
        cmocka_unit_test(entries_come_in_order),
        cmocka_unit_test(taking_gives_back_what_putting_took),
        cmocka_unit_test(what_stays_keeps_its_order),
        cmocka_unit_test(without_memory_the_list_is_as_before),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
