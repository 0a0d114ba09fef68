/* SPDX-License-Identifier: Apache-2.0 */
/* Restart strategies: how often, how late, and what is said when it is enough. */
/* cmocka wants these first, in this order */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
#include <string.h>

#include "jobmanager/restart.h"

/* Delay of the restart after a failure at `now_ms`; -1: none. */
static int64_t failed_at(struct restart *r, int64_t now_ms)
{
    struct restart_decision d;
    restart_failed(r, now_ms, &d);
    assert_int_equal(d.restart, d.why[0] == '\0');
    return d.restart ? d.delay_ms : -1;
}

static void none_never_restarts(void **state)
{
    (void)state;
    struct restart r;
    restart_init(&r, &(struct restart_config){.kind = RESTART_NONE}, 1);
    assert_int_equal(failed_at(&r, 10), -1);
    restart_close(&r);
}

static void fixed_delay_counts_over_the_whole_life(void **state)
{
    (void)state;
    struct restart r;
    restart_init(&r, &(struct restart_config){.kind = RESTART_FIXED_DELAY, .attempts = 2, .delay_ms = 300}, 1);
    assert_int_equal(failed_at(&r, 10), 300);
    assert_int_equal(failed_at(&r, 90000000), 300);
    struct restart_decision d;
    restart_failed(&r, 180000000, &d);
    assert_false(d.restart);
    assert_non_null(strstr(d.why, "2 times"));
    restart_close(&r);
}

static void failure_rate_allows_so_many_within_its_interval(void **state)
{
    (void)state;
    struct restart r;
    restart_init(&r, &(struct restart_config){.kind = RESTART_FAILURE_RATE, .max_failures = 2, .interval_ms = 1000, .delay_ms = 5}, 1);
    assert_int_equal(failed_at(&r, 0), 5);
    assert_int_equal(failed_at(&r, 500), 5);
    assert_int_equal(failed_at(&r, 1001), 5);  /* the first lies outside */
    assert_int_equal(failed_at(&r, 1400), -1); /* 500, 1001, 1400 */
    restart_close(&r);
}

static void exponential_delay_grows_to_its_maximum(void **state)
{
    (void)state;
    static const int64_t expected[] = {1000, 1500, 2250, 3375, 5000, 5000};
    struct restart r;
    struct restart_config config = {.kind = RESTART_EXPONENTIAL_DELAY,
                                    .attempts = RESTART_UNLIMITED,
                                    .initial_ms = 1000,
                                    .max_ms = 5000,
                                    .reset_ms = 60000,
                                    .multiplier_milli = 1500};
    restart_init(&r, &config, 1);
    int64_t now = 0;
    for (unsigned i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        int64_t delay = failed_at(&r, now);
        assert_int_equal(delay, expected[i]);
        now += delay + 100;
    }
    now += 60000; /* it ran well for long enough */
    assert_int_equal(failed_at(&r, now), 1000);
    restart_close(&r);
}

static void jitter_spreads_but_stays_within_its_share(void **state)
{
    (void)state;
    struct restart_config config = {.kind = RESTART_EXPONENTIAL_DELAY,
                                    .attempts = RESTART_UNLIMITED,
                                    .initial_ms = 1000,
                                    .max_ms = 2000,
                                    .reset_ms = INT64_MAX,
                                    .multiplier_milli = 1000,
                                    .jitter_milli = 100};
    int64_t least = INT64_MAX, most = 0;
    for (uint64_t seed = 0; seed < 200; seed++) {
        struct restart r;
        restart_init(&r, &config, seed);
        int64_t delay = failed_at(&r, 0);
        if (delay < least) least = delay;
        if (delay > most) most = delay;
        restart_close(&r);
    }
    assert_in_range(least, 900, 920);
    assert_in_range(most, 1080, 1100);
}

static void attempts_before_reset_bound_the_exponential_delay(void **state)
{
    (void)state;
    struct restart_config config = {
        .kind = RESTART_EXPONENTIAL_DELAY, .attempts = 2, .initial_ms = 10, .max_ms = 10, .reset_ms = 1000, .multiplier_milli = 2000};
    struct restart r;
    restart_init(&r, &config, 1);
    assert_int_equal(failed_at(&r, 0), 10);
    assert_int_equal(failed_at(&r, 100), 10);
    assert_int_equal(failed_at(&r, 200), -1);
    assert_int_equal(failed_at(&r, 1110), 10); /* reset: 110 + 1000 */
    restart_close(&r);
}

/* What was counted counts on, unless the strategy becomes another one. */
static void another_strategy_begins_to_count_anew(void **state)
{
    (void)state;
    struct restart r;
    struct restart_config config = {.kind = RESTART_FIXED_DELAY, .attempts = 1, .delay_ms = 300};
    restart_init(&r, &config, 1);
    assert_int_equal(failed_at(&r, 10), 300);
    restart_configure(&r, &config);
    assert_int_equal(failed_at(&r, 20), -1);
    config.delay_ms = 50;
    restart_configure(&r, &config);
    assert_int_equal(failed_at(&r, 30), 50);
    config = (struct restart_config){.kind = RESTART_FAILURE_RATE, .max_failures = 2, .interval_ms = 1000, .delay_ms = 5};
    restart_configure(&r, &config);
    assert_int_equal(failed_at(&r, 40), 5);
    assert_int_equal(failed_at(&r, 41), 5);
    assert_int_equal(failed_at(&r, 42), -1);
    restart_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(none_never_restarts),
        cmocka_unit_test(fixed_delay_counts_over_the_whole_life),
        cmocka_unit_test(failure_rate_allows_so_many_within_its_interval),
        cmocka_unit_test(exponential_delay_grows_to_its_maximum),
        cmocka_unit_test(jitter_spreads_but_stays_within_its_share),
        cmocka_unit_test(attempts_before_reset_bound_the_exponential_delay),
        cmocka_unit_test(another_strategy_begins_to_count_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
