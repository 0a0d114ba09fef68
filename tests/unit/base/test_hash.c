/* SPDX-License-Identifier: Apache-2.0 */
/* clang-format off: cmocka wants these first, in this order */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
#include <string.h>

#include "runtime/base/hash.h"

/* RFC 3720, B.4, and the check value every catalogue of CRCs has. */
static void crc32c_of_known_bytes(void **state)
{
    (void)state;
    unsigned char bytes[48] = {0};
    assert_int_equal(crc32c(0, "123456789", 9), 0xe3069283u);
    assert_int_equal(crc32c(0, bytes, 32), 0x8a9136aau);
    memset(bytes, 0xff, 32);
    assert_int_equal(crc32c(0, bytes, 32), 0x62a8ab43u);
    for (unsigned i = 0; i < 32; i++) bytes[i] = (unsigned char)i;
    assert_int_equal(crc32c(0, bytes, 32), 0x46dd794eu);
    assert_int_equal(crc32c(0, "", 0), 0);
}

static void crc32c_goes_on(void **state)
{
    (void)state;
    for (size_t cut = 0; cut <= 9; cut++) {
        uint32_t crc = crc32c(0, "123456789", cut);
        assert_int_equal(crc32c(crc, &"123456789"[cut], 9 - cut), 0xe3069283u);
    }
}

/* Values of the published algorithm: a change here would orphan every savepoint. */
static void xxh3_of_known_bytes(void **state)
{
    (void)state;
    assert_true(hash64("", 0) == UINT64_C(0x2d06800538d394c2));
    assert_true(hash64("", 0) == hash64_seed("", 0, 0));
    assert_true(hash64("weir", 4) != hash64_seed("weir", 4, 1));
    assert_int_equal(hash_key_group(UINT64_MAX), 32767);
    assert_int_equal(hash_key_group((UINT64_C(1) << 49) - 1), 0);
    assert_int_equal(hash_key_group(UINT64_C(1) << 49), 1);
}

static void keys_are_hashed_alike_on_every_path(void **state)
{
    (void)state;
    unsigned char bytes[300];
    struct weir_key keys[300];
    for (unsigned i = 0; i < 300; i++) bytes[i] = (unsigned char)(i * 7);
    for (uint32_t i = 0; i < 300; i++) keys[i] = (struct weir_key){.data = bytes + i % 3, .length = i % 4 ? 8 : i / 2};
    hash_keys(keys, 300);
    for (uint32_t i = 0; i < 300; i++) assert_true(keys[i].hash == hash64(keys[i].data, keys[i].length));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(crc32c_of_known_bytes),
        cmocka_unit_test(crc32c_goes_on),
        cmocka_unit_test(xxh3_of_known_bytes),
        cmocka_unit_test(keys_are_hashed_alike_on_every_path),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
