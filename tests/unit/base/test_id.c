/* SPDX-License-Identifier: Apache-2.0 */
/* clang-format off: cmocka wants these first, in this order */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
#include <string.h>

#include "runtime/base/id.h"

static void ids_have_a_text(void **state)
{
    (void)state;
    char text[WEIR_ID_TEXT];
    struct weir_id a = id_random(), b = id_random(), c;
    assert_false(id_equal(a, b));
    assert_false(id_is_zero(a));
    assert_true(id_is_zero((struct weir_id){{0}}));
    assert_int_equal(strlen(id_text(a, text)), 32);
    assert_true(id_parse(text, &c));
    assert_true(id_equal(a, c));
    assert_true(id_parse("000102030405060708090a0b0c0d0e0f", &c));
    assert_true(id_word(c) == UINT64_C(0x0706050403020100));
    assert_string_equal(id_text(c, text), "000102030405060708090a0b0c0d0e0f");
}

static void only_32_lower_case_digits_are_an_id(void **state)
{
    (void)state;
    static const char *const wrong[] = {"",
                                        "0",
                                        "000102030405060708090a0b0c0d0e0",
                                        "000102030405060708090a0b0c0d0e0f0",
                                        "000102030405060708090A0b0c0d0e0f",
                                        "000102030405060708090a0b0c0d0eg0",
                                        " 00102030405060708090a0b0c0d0e0f"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct weir_id id = {{42}};
        assert_false(id_parse(wrong[i], &id));
        assert_int_equal(id.bytes[0], 42); /* untouched */
    }
}

/* FIPS 180-2, appendix B. */
static void sha256_of_known_bytes(void **state)
{
    (void)state;
    char text[WEIR_DIGEST_TEXT];
    struct sha256 s;
    struct weir_digest d, parsed;
    sha256_init(&s);
    sha256_update(&s, "a", 1);
    sha256_update(&s, "", 0);
    sha256_update(&s, "bc", 2);
    d = sha256_final(&s);
    assert_string_equal(digest_text(d, text), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_true(digest_parse(text, &parsed));
    assert_true(digest_equal(d, parsed));
    text[63] = 'X';
    assert_false(digest_parse(text, &parsed));
    sha256_init(&s);
    d = sha256_final(&s);
    assert_string_equal(digest_text(d, text), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    assert_false(digest_equal(d, parsed));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_have_a_text),
        cmocka_unit_test(only_32_lower_case_digits_are_an_id),
        cmocka_unit_test(sha256_of_known_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
