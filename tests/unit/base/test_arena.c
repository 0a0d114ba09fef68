/* SPDX-License-Identifier: Apache-2.0 */
/* clang-format off: cmocka wants these first, in this order */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
#include <string.h>

#include "runtime/base/arena.h"

static void pieces_are_zeroed_aligned_and_apart(void **state)
{
    (void)state;
    struct arena a = {0};
    unsigned char *before = NULL;
    for (size_t n = 0; n < 70000; n = 3 * n + 1) {
        unsigned char *at = arena_alloc(&a, n, 1);
        assert_non_null(at);
        assert_int_equal((uintptr_t)at % 16, 0);
        for (size_t i = 0; i < n; i++) assert_int_equal(at[i], 0);
        memset(at, 0xff, n);
        if (before && n > 1) assert_int_equal(before[0], 0xff);
        before = at;
    }
    arena_close(&a);
    assert_null(a.blocks);
}

static void copies_are_copies(void **state)
{
    (void)state;
    struct arena a = {0};
    char text[] = "text";
    struct weir_bytes bytes = arena_bytes(&a, (struct weir_bytes){text, 4});
    const char *copy = arena_text(&a, text);
    text[0] = 'n';
    assert_memory_equal(bytes.data, "text", 4);
    assert_string_equal(copy, "text");
    arena_close(&a);
}

/* What cannot be had is remembered, whatever is asked for next. */
static void a_failure_is_kept(void **state)
{
    (void)state;
    struct arena a = {0};
    assert_non_null(arena_alloc(&a, 1, 1));
    assert_null(arena_alloc(&a, SIZE_MAX / 2, 3));
    assert_true(a.failed);
    assert_null(arena_alloc(&a, 1, 1));
    assert_null(arena_text(&a, ""));
    arena_close(&a);
    assert_non_null(arena_alloc(&a, 1, 1));
    arena_close(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_are_zeroed_aligned_and_apart),
        cmocka_unit_test(copies_are_copies),
        cmocka_unit_test(a_failure_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
