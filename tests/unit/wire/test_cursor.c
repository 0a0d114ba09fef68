/* SPDX-License-Identifier: Apache-2.0 */
/* clang-format off: cmocka wants these first, in this order */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
#include <stdlib.h>
#include <string.h>

#include "runtime/wire/cursor.h"
#include "runtime/wire/pack.h"
#include "tests/unit/wire/samples.h"

static struct buffer b;

static int setup(void **state)
{
    (void)state;
    buffer_close(&b);
    buffer_init(&b, 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    buffer_close(&b);
    return 0;
}

static struct cursor cursor_on(const void *data, size_t len)
{
    struct cursor c;
    cursor_init(&c, data, len);
    return c;
}

static void values_come_back(void **state)
{
    (void)state;
    pack_array(&b, 9);
    pack_nil(&b);
    pack_bool(&b, true);
    pack_uint(&b, UINT64_MAX);
    pack_int(&b, INT64_MIN);
    pack_float(&b, 0.25);
    pack_str(&b, "weir");
    pack_bin(&b, "\0\1", 2);
    pack_map(&b, 1);
    pack_uint(&b, 1);
    pack_array(&b, 0);
    pack_str(&b, NULL);
    assert_int_equal(b.err, WEIR_OK);

    struct cursor c = cursor_on(b.data, b.len);
    uint32_t n;
    bool flag;
    uint64_t u;
    int64_t i;
    double d;
    struct weir_bytes s;
    assert_true(cursor_array(&c, &n) && n == 9);
    assert_int_equal(cursor_peek(&c), CURSOR_NIL);
    assert_true(cursor_nil(&c));
    assert_true(cursor_bool(&c, &flag) && flag);
    assert_true(cursor_uint(&c, UINT64_MAX, &u) && u == UINT64_MAX);
    assert_int_equal(cursor_peek(&c), CURSOR_INT);
    assert_true(cursor_int(&c, INT64_MIN, INT64_MAX, &i) && i == INT64_MIN);
    assert_true(cursor_float(&c, &d) && d == 0.25);
    assert_true(cursor_str(&c, &s) && s.length == 4 && memcmp(s.data, "weir", 4) == 0);
    assert_true(cursor_bin(&c, &s) && s.length == 2);
    assert_true(cursor_map(&c, &n) && n == 1);
    assert_true(cursor_uint(&c, 1, &u));
    assert_true(cursor_array(&c, &n) && n == 0);
    assert_false(cursor_done(&c)); /* a value of the outer array is still owed */
    assert_true(cursor_str(&c, &s) && s.length == 0);
    assert_true(cursor_done(&c));
    assert_int_equal(cursor_peek(&c), CURSOR_NONE);
    assert_false(cursor_nil(&c));
    assert_false(cursor_done(&c)); /* a failed read is remembered */
}

static void integers_keep_to_their_range(void **state)
{
    (void)state;
    static const struct {
        unsigned char bytes[9];
        size_t len;
        int64_t value;
    } forms[] = {
        {{0x00}, 1, 0},
        {{0x7f}, 1, 127},
        {{0xff}, 1, -1},
        {{0xe0}, 1, -32},
        {{0xcc, 200}, 2, 200},
        {{0xcd, 1, 0}, 3, 256},
        {{0xce, 0x80, 0, 0, 0}, 5, INT64_C(0x80000000)},
        {{0xcf, 0x7f, 255, 255, 255, 255, 255, 255, 255}, 9, INT64_MAX},
        {{0xd0, 0x80}, 2, -128},
        {{0xd0, 5}, 2, 5},
        {{0xd1, 0x80, 0}, 3, -32768},
        {{0xd2, 0x80, 0, 0, 0}, 5, INT32_MIN},
        {{0xd3, 0x80, 0, 0, 0, 0, 0, 0, 0}, 9, INT64_MIN},
    };
    for (size_t k = 0; k < sizeof forms / sizeof forms[0]; k++) {
        int64_t v = forms[k].value, i;
        uint64_t u;
        struct cursor c = cursor_on(forms[k].bytes, forms[k].len);
        assert_true(cursor_int(&c, v, v, &i) && i == v && cursor_done(&c));
        c = cursor_on(forms[k].bytes, forms[k].len);
        if (v < INT64_MAX) assert_false(cursor_int(&c, v + 1, INT64_MAX, &i));
        c = cursor_on(forms[k].bytes, forms[k].len);
        if (v > INT64_MIN) assert_false(cursor_int(&c, INT64_MIN, v - 1, &i));
        c = cursor_on(forms[k].bytes, forms[k].len);
        assert_int_equal(cursor_uint(&c, UINT64_MAX, &u), v >= 0);
        if (v > 0) {
            c = cursor_on(forms[k].bytes, forms[k].len);
            assert_false(cursor_uint(&c, (uint64_t)v - 1, &u));
        }
        for (size_t len = 0; len < forms[k].len; len++) {
            c = cursor_on(forms[k].bytes, len);
            assert_false(cursor_int(&c, INT64_MIN, INT64_MAX, &i));
        }
    }
    static const unsigned char above[] = {0xcf, 0x80, 0, 0, 0, 0, 0, 0, 0};
    struct cursor c = cursor_on(above, sizeof above);
    int64_t i;
    assert_false(cursor_int(&c, INT64_MIN, INT64_MAX, &i)); /* does not fit a signed number */
}

static void counts_are_paid_for_in_bytes(void **state)
{
    (void)state;
    static const unsigned char map[] = {0x82, 1, 2, 3, 4};
    uint32_t n = 99;
    struct cursor c = cursor_on(map, 5);
    assert_true(cursor_map(&c, &n) && n == 2);
    n = 99;
    c = cursor_on(map, 4);
    assert_false(cursor_map(&c, &n));
    assert_int_equal(n, 99);
    assert_true(c.broken);
    static const unsigned char bombs[][5] = {{0xdd, 255, 255, 255, 255}, {0xdf, 255, 255, 255, 255}, {0xdb, 255, 255, 255, 255},
                                             {0xc6, 255, 255, 255, 255}, {0xc9, 255, 255, 255, 255}, {0xdf, 0x80, 0, 0, 0}};
    for (size_t k = 0; k < sizeof bombs / sizeof bombs[0]; k++) {
        c = cursor_on(bombs[k], 5);
        assert_false(cursor_skip(&c));
    }
}

static void skip_takes_exactly_one_value(void **state)
{
    (void)state;
    static const unsigned char values[] = {
        0x93, 0x01, 0x92, 0xc0, 0x81, 0xa1, 'k', 0x90, 0xcb, 0, 0, 0, 0, 0, 0, 0, 0, /* [1, [nil, {"k": []}], 0.0] */
        0xd5, 7,    1,    2,                                                         /* ext */
        0x2a,
    };
    struct cursor c = cursor_on(values, sizeof values);
    assert_true(cursor_skip(&c));
    int8_t type;
    struct weir_bytes body;
    assert_true(cursor_ext(&c, &type, &body) && type == 7 && body.length == 2);
    assert_int_equal(cursor_left(&c), 1);
    assert_true(cursor_skip(&c));
    assert_true(cursor_done(&c));

    c = cursor_on(values, sizeof values); /* skipping inside of a container ends where its own value ends */
    uint32_t n;
    uint64_t u;
    double d;
    assert_true(cursor_array(&c, &n));
    assert_true(cursor_uint(&c, 1, &u));
    assert_true(cursor_skip(&c));
    assert_true(cursor_float(&c, &d));
    assert_int_equal(cursor_left(&c), 5);
}

static void depth_is_counted_over_the_document(void **state)
{
    (void)state;
    for (int depth = 1; depth < 40; depth++) {
        for (int entered = 0; entered <= depth; entered++) {
            buffer_clear(&b);
            for (int i = 0; i < depth; i++) pack_array(&b, 1);
            pack_nil(&b);
            struct cursor c = cursor_on(b.data, b.len);
            uint32_t n;
            bool ok = true;
            for (int i = 0; i < entered && ok; i++) ok = cursor_array(&c, &n);
            if (ok) ok = cursor_skip(&c);
            assert_int_equal(ok, depth <= WEIR_MSGPACK_DEPTH);
            if (ok) assert_true(cursor_done(&c));
        }
    }
    buffer_clear(&b); /* but what was left no longer counts */
    pack_array(&b, 100);
    for (int i = 0; i < 100; i++) {
        for (int k = 1; k < WEIR_MSGPACK_DEPTH; k++) pack_array(&b, 1);
        pack_nil(&b);
    }
    struct cursor c = cursor_on(b.data, b.len);
    assert_true(cursor_skip(&c) && cursor_done(&c));
}

static void strings_hold_no_nul(void **state)
{
    (void)state;
    struct weir_bytes s = {NULL, 7};
    pack_strn(&b, "a\0b", 3);
    struct cursor c = cursor_on(b.data, b.len);
    assert_false(cursor_str(&c, &s));
    assert_int_equal(s.length, 7);
    c = cursor_on(b.data, b.len);
    assert_false(cursor_bin(&c, &s)); /* nor is a string a binary */
    c = cursor_on(b.data, b.len);
    assert_true(cursor_skip(&c));
}

static void empty_input_is_no_value(void **state)
{
    (void)state;
    struct cursor c = cursor_on(NULL, 0);
    assert_true(cursor_done(&c));
    assert_int_equal(cursor_peek(&c), CURSOR_NONE);
    assert_false(cursor_skip(&c));
    static const unsigned char never[] = {0xc1};
    c = cursor_on(never, 1);
    assert_false(cursor_skip(&c));
}

/* Random bytes: the cursor always ends, inside the input. */
static void random_bytes_do_no_harm(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20000; seed++) {
        uint64_t s = seed;
        size_t len = draw_below(&s, 64);
        unsigned char *data = malloc(len + 1);
        assert_non_null(data);
        sample_fill(&s, data, len);
        struct cursor c = cursor_on(data, len);
        while (cursor_skip(&c)) assert_true(cursor_left(&c) < len);
        free(data);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(values_come_back, setup, teardown),
        cmocka_unit_test(integers_keep_to_their_range),
        cmocka_unit_test(counts_are_paid_for_in_bytes),
        cmocka_unit_test(skip_takes_exactly_one_value),
        cmocka_unit_test_setup_teardown(depth_is_counted_over_the_document, setup, teardown),
        cmocka_unit_test_setup_teardown(strings_hold_no_nul, setup, teardown),
        cmocka_unit_test(empty_input_is_no_value),
        cmocka_unit_test(random_bytes_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
