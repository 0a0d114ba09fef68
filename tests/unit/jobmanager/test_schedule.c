/* SPDX-License-Identifier: Apache-2.0 */
/* cmocka wants these first, in this order */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
#include <string.h>

#include "jobmanager/schedule.h"

static void slots_are_spread_evenly(void **state)
{
    (void)state;
    const uint32_t free_slots[] = {4, 4, 4};
    const uint32_t expected[] = {0, 1, 2, 0, 1, 2, 0};
    uint32_t got[7];
    assert_int_equal(schedule_spread(free_slots, 3, 7, got), WEIR_OK);
    assert_memory_equal(got, expected, sizeof expected);
}

static void the_emptier_one_is_preferred_and_a_full_one_left_out(void **state)
{
    (void)state;
    const uint32_t free_slots[] = {1, 0, 3};
    const uint32_t expected[] = {2, 0, 2, 2};
    uint32_t got[4];
    assert_int_equal(schedule_spread(free_slots, 3, 4, got), WEIR_OK);
    assert_memory_equal(got, expected, sizeof expected);
}

static void too_few_slots_change_nothing(void **state)
{
    (void)state;
    const uint32_t free_slots[] = {1, 1};
    uint32_t got[3] = {77, 77, 77};
    assert_int_equal(schedule_spread(free_slots, 2, 3, got), WEIR_E_LIMIT);
    assert_int_equal(got[0], 77);
    assert_int_equal(schedule_spread(NULL, 0, 1, got), WEIR_E_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slots_are_spread_evenly),
        cmocka_unit_test(the_emptier_one_is_preferred_and_a_full_one_left_out),
        cmocka_unit_test(too_few_slots_change_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
