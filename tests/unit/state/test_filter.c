/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/state/filter.h"
#include "tests/unit/state/oracle.h"

#define ROOMY (&(struct filter_share){.bytes_max = UINT64_C(1) << 30})

/* Hashes of a subtask that owns four key groups: their upper 13 bits are alike. */
static uint64_t draw_hash(struct rng *r)
{
    return UINT64_C(0xabc8) << 48 | draw(r) >> 13;
}

static void add_many(struct filter *f, uint64_t seed, uint64_t n)
{
    struct rng r = {seed};
    for (uint64_t i = 0; i < n; i++) filter_add(f, draw_hash(&r));
}

static void check_all_there(const struct filter *f, uint64_t seed, uint64_t n)
{
    struct rng r = {seed};
    for (uint64_t i = 0; i < n; i++) CHECK(filter_may_hold(f, draw_hash(&r)));
}

/* Of a hundred thousand hashes that were not added, those it may hold. */
static uint32_t count_false_positives(const struct filter *f, uint64_t seed)
{
    struct rng r = {~seed * 0x2545f4914f6cdd1du};
    uint32_t found = 0;
    for (uint32_t i = 0; i < 100000; i++) found += filter_may_hold(f, draw_hash(&r));
    return found;
}

/* ---- what it must hold, and what it may --------------------------------------------------------------------------------------------- */

static void an_empty_filter_holds_nothing_and_no_memory(void **state)
{
    (void)state;
    struct memory memory = {0};
    struct filter f;
    filter_init(&f, ROOMY, &memory);
    assert_int_equal(count_false_positives(&f, 1), 0);
    assert_int_equal(memory.bytes, 0);
    filter_close(&f);
    filter_close(&f); /* once more does no harm */
}

/* What was added is held at every size on the way. */
static void nothing_added_is_forgotten(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 5; seed++) {
        current_seed = seed;
        struct memory memory = {0};
        struct filter f;
        filter_init(&f, ROOMY, &memory);
        struct rng r = {seed};
        for (uint32_t n = 1; n <= 20000; n++) {
            uint64_t hash = draw_hash(&r);
            filter_add(&f, hash);
            CHECK(filter_may_hold(&f, hash));
            if (n % 2500 == 0 || n == 1) check_all_there(&f, seed, n);
        }
        CHECK(!f.gave_up && f.n_layers > 1);
        filter_close(&f);
        CHECK(memory.bytes == 0);
    }
}

static void check_rate(uint64_t seed, uint64_t n)
{
    current_seed = seed;
    struct memory memory = {0};
    struct filter f;
    filter_init(&f, ROOMY, &memory);
    add_many(&f, seed, n);
    CHECK(count_false_positives(&f, seed) < 3000);
    if (n <= 100000) check_all_there(&f, seed, n);
    CHECK(memory.bytes == f.bytes);
    filter_close(&f);
    CHECK(memory.bytes == 0);
}

static void false_positives_are_below_three_in_a_hundred(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) check_rate(seed, 1000);
    for (uint64_t seed = 1; seed <= 5; seed++) check_rate(seed, 100000);
    check_rate(1, 5000000);
}

/* Just before a layer is added is when a filter is at its worst. */
static void a_full_filter_is_below_three_in_a_hundred_and_twelve_bits_a_key(void **state)
{
    (void)state;
    struct memory memory = {0};
    struct filter f;
    struct rng r = {7};
    filter_init(&f, ROOMY, &memory);
    uint64_t keys = 0;
    for (uint32_t layers = 1; layers <= 8; layers++) {
        do filter_add(&f, draw_hash(&r));
        while (f.n_layers < layers);
        struct filter_layer *last = &f.layers[layers - 1];
        while (last->count < last->count_max) filter_add(&f, draw_hash(&r));
        keys += last->count;
        assert_in_range(count_false_positives(&f, 7), 0, 2999);
        if (keys >= 2000000) assert_in_range(f.bytes * 8, 0, keys * 12);
    }
    assert_int_equal(f.n_layers, 8);
    assert_in_range(keys, 5000000, 6000000);
    filter_close(&f);
}

static void a_hash_held_already_is_not_counted_again(void **state)
{
    (void)state;
    struct memory memory = {0};
    struct filter f;
    filter_init(&f, ROOMY, &memory);
    for (uint32_t i = 0; i < 100; i++) add_many(&f, 3, 1000);
    assert_int_equal(f.n_layers, 2);
    assert_in_range(f.layers[0].count + f.layers[1].count, 990, 1000);
    filter_close(&f);
}

/* ---- giving up ---------------------------------------------------------------------------------------------------------------------- */

static void having_given_up_it_may_hold_everything_and_has_no_memory(void **state)
{
    (void)state;
    struct memory memory = {0};
    struct filter f;
    filter_init(&f, ROOMY, &memory);
    add_many(&f, 1, 100000);
    filter_give_up(&f);
    assert_int_equal(memory.bytes, 0);
    assert_int_equal(f.bytes, 0);
    assert_int_equal(count_false_positives(&f, 1), 100000);
    add_many(&f, 2, 10); /* stays so */
    filter_give_up(&f);
    assert_int_equal(memory.bytes, 0);
    assert_true(filter_may_hold(&f, 0));
    filter_close(&f);
}

/* Every size of budget is kept, used for the most part, and its end is no wrong answer. */
static void it_gives_up_at_its_budget(void **state)
{
    (void)state;
    const uint64_t budgets[] = {0, 4095, 4096, 5000, 8192, 24000, 100000, 500000, 1u << 20, 3000000};
    for (size_t i = 0; i < sizeof budgets / sizeof *budgets; i++) {
        current_seed = budgets[i];
        struct memory memory = {0};
        struct filter f;
        struct rng r = {i};
        uint64_t most = 0;
        struct filter_share share = {.bytes_max = budgets[i]};
        filter_init(&f, &share, &memory);
        do {
            uint64_t hash = draw_hash(&r);
            filter_add(&f, hash);
            CHECK(filter_may_hold(&f, hash));
            CHECK(memory.bytes == f.bytes && share.bytes == f.bytes && f.bytes <= budgets[i]);
            if (f.bytes > most) most = f.bytes;
        } while (!f.gave_up);
        CHECK(memory.bytes == 0);
        CHECK(budgets[i] < 4096 || most * 2 > budgets[i]);
        filter_close(&f);
    }
}

/* Two filters of one slot: what the one has taken is not there for the other, until it gives up. */
static void filters_share_what_there_is(void **state)
{
    (void)state;
    struct memory memory = {0};
    struct filter_share share = {.bytes_max = 100000};
    struct filter a, b;
    filter_init(&a, &share, &memory);
    filter_init(&b, &share, &memory);
    add_many(&a, 1, 30000);
    assert_false(a.gave_up);
    add_many(&b, 2, 30000);
    assert_true(b.gave_up);
    filter_give_up(&a);
    assert_int_equal(share.bytes, 0);
    filter_close(&a);
    filter_close(&b);
}

/* Questions about what it holds, and, each `new_every`th, about what it does not. */
static void ask_many(struct filter *f, uint64_t seed, uint64_t n, uint64_t new_every)
{
    struct rng known = {seed}, unknown = {~seed * 0x2545f4914f6cdd1du};
    for (uint64_t i = 0; i < n; i++) {
        if (i % 1000 == 0) known = (struct rng){seed};
        (void)filter_ask(f, draw_hash(new_every && i % new_every == 0 ? &unknown : &known));
    }
}

/* As long as one read in 32 is spared it stays; when nothing new comes any more it goes, but not at once. */
static void a_filter_that_spares_nothing_gives_up(void **state)
{
    (void)state;
    struct memory memory = {0};
    struct filter f;
    filter_init(&f, ROOMY, &memory);
    add_many(&f, 5, 400000);
    ask_many(&f, 5, f.trial * 10, 32);
    assert_false(f.gave_up);
    ask_many(&f, 5, f.trial - 1, 0);
    assert_false(f.gave_up);
    ask_many(&f, 5, 1, 0);
    assert_true(f.gave_up);
    assert_int_equal(memory.bytes, 0);
    assert_true(filter_ask(&f, 1));
    filter_close(&f);
}

/* Fails the Nth allocation, N = 1, 2, ...: it gives up and answers yes. */
static void without_memory_it_gives_up(void **state)
{
    (void)state;
    for (uint64_t n = 1;; n++) {
        current_seed = n;
        struct memory memory = {.fail_in = n};
        struct filter f;
        filter_init(&f, ROOMY, &memory);
        add_many(&f, n, 50000);
        bool failed = f.gave_up;
        check_all_there(&f, n, 50000);
        CHECK(failed == (memory.bytes == 0));
        filter_close(&f);
        CHECK(memory.bytes == 0);
        if (!failed) break;
        CHECK(n < FILTER_LAYERS_MAX);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_filter_holds_nothing_and_no_memory),
        cmocka_unit_test(nothing_added_is_forgotten),
        cmocka_unit_test(false_positives_are_below_three_in_a_hundred),
        cmocka_unit_test(a_full_filter_is_below_three_in_a_hundred_and_twelve_bits_a_key),
        cmocka_unit_test(a_hash_held_already_is_not_counted_again),
        cmocka_unit_test(having_given_up_it_may_hold_everything_and_has_no_memory),
        cmocka_unit_test(it_gives_up_at_its_budget),
        cmocka_unit_test(without_memory_it_gives_up),
        cmocka_unit_test(filters_share_what_there_is),
        cmocka_unit_test(a_filter_that_spares_nothing_gives_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
