/* SPDX-License-Identifier: Apache-2.0 */
/* clang-format off: cmocka wants these first, in this order */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/buffer.h"

static void appends_grow(void **state)
{
    (void)state;
    struct buffer b;
    buffer_init(&b, 0);
    for (int i = 0; i < 10000; i++) buffer_add(&b, &i, sizeof i);
    assert_int_equal(b.err, WEIR_OK);
    assert_int_equal(b.len, 10000 * sizeof(int));
    for (int i = 0; i < 10000; i++) assert_memory_equal(b.data + (size_t)i * sizeof i, &i, sizeof i);
    buffer_close(&b);
    assert_null(b.data);
    assert_int_equal(b.len, 0);
    buffer_str(&b, "again");
    assert_string_equal(buffer_cstr(&b), "again");
    buffer_close(&b);
}

static void the_limit_is_sticky(void **state)
{
    (void)state;
    struct buffer b;
    buffer_init(&b, 8);
    buffer_str(&b, "12345678");
    assert_int_equal(b.err, WEIR_OK);
    assert_string_equal(buffer_cstr(&b), "12345678"); /* the NUL does not count */
    buffer_str(&b, "9");
    assert_int_equal(b.err, WEIR_E_LIMIT);
    buffer_str(&b, "");
    buffer_printf(&b, "%d", 5);
    assert_null(buffer_extend(&b, 0));
    assert_string_equal(buffer_cstr(&b), "");
    assert_int_equal(b.len, 8); /* what was there stays */
    assert_int_equal(b.err, WEIR_E_LIMIT);
    buffer_clear(&b);
    assert_int_equal(b.err, WEIR_OK);
    assert_int_equal(b.len, 0);
    buffer_printf(&b, "%s%d", "abcdefg", 1);
    assert_string_equal(buffer_cstr(&b), "abcdefg1");
    buffer_clear(&b);
    buffer_printf(&b, "%s", "123456789");
    assert_int_equal(b.err, WEIR_E_LIMIT);
    buffer_close(&b);
    assert_int_equal(b.limit, 8);
}

static void zero_is_ready(void **state)
{
    (void)state;
    struct buffer b = {0};
    buffer_add(&b, NULL, 0);
    assert_non_null(buffer_extend(&b, 0));
    assert_string_equal(buffer_cstr(&b), "");
    assert_int_equal(b.err, WEIR_OK);
    void *room = buffer_extend(&b, 3);
    assert_ptr_equal(room, b.data);
    memcpy(room, "abc", 3);
    assert_string_equal(buffer_cstr(&b), "abc");
    assert_null(buffer_extend(&b, SIZE_MAX)); /* no overflow of the sum */
    assert_int_equal(b.err, WEIR_E_LIMIT);
    buffer_close(&b);
    buffer_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(appends_grow),
        cmocka_unit_test(the_limit_is_sticky),
        cmocka_unit_test(zero_is_ready),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
