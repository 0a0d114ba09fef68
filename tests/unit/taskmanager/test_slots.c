/* SPDX-License-Identifier: Apache-2.0 */
/* cmocka wants these first, in this order */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "taskmanager/slots.h"

static void slots_are_taken_and_freed_by_attempt(void **state)
{
    (void)state;
    struct slots s;
    struct weir_id a = {{1}}, b = {{2}};
    slots_init(&s, 4);
    assert_true(slots_take(&s, a, 1, 2));
    assert_true(slots_take(&s, b, 1, 1));
    assert_false(slots_take(&s, b, 2, 2)); /* one is free, and stays free */
    assert_int_equal(s.n_free, 1);
    assert_int_equal(slots_release(&s, a, 2), 0); /* another attempt's are not its own */
    assert_int_equal(slots_release(&s, a, 1), 2);
    assert_int_equal(s.n_free, 3);
    assert_true(slots_take(&s, b, 2, 3));
    assert_int_equal(s.n_free, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(slots_are_taken_and_freed_by_attempt)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
