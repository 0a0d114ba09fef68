/* SPDX-License-Identifier: Apache-2.0 */
/* clang-format off: cmocka wants these first, in this order */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
#include <errno.h>
#include <string.h>

#include "runtime/base/nearest.h"
#include "weir/row.h"

static void a_failure_has_code_and_sentence(void **state)
{
    (void)state;
    struct weir_diag d;
    assert_int_equal(weir_fail(&d, WEIR_E_CORRUPT, "no manifest in %s", "/data/42"), WEIR_E_CORRUPT);
    assert_int_equal(d.code, WEIR_E_CORRUPT);
    assert_int_equal(weir_wrap(&d, WEIR_E_CORRUPT, "open snapshot %d", 42), WEIR_E_CORRUPT);
    assert_int_equal(weir_wrap(&d, WEIR_E_CORRUPT, "restore task %d", 3), WEIR_E_CORRUPT);
    assert_string_equal(d.text, "restore task 3: open snapshot 42: no manifest in /data/42");
    assert_int_equal(weir_fail(&d, WEIR_E_IO, "again: %s", d.text), WEIR_E_IO); /* may quote itself */
    assert_string_equal(d.text, "again: restore task 3: open snapshot 42: no manifest in /data/42");
    assert_int_equal(weir_fail(NULL, WEIR_E_IO, "nobody listens"), WEIR_E_IO);
    assert_int_equal(weir_wrap(NULL, WEIR_E_IO, "nobody listens"), WEIR_E_IO);
}

static void errno_has_words(void **state)
{
    (void)state;
    struct weir_diag d;
    assert_int_equal(weir_fail_errno(&d, ENOENT, "open %s", "/x"), WEIR_E_NOT_FOUND);
    assert_string_equal(d.text, "open /x: No such file or directory");
    assert_int_equal(weir_fail_errno(&d, ENOMEM, "map"), WEIR_E_NOMEM);
    assert_int_equal(weir_fail_errno(&d, EACCES, "open"), WEIR_E_IO);
    assert_int_equal(d.code, WEIR_E_IO);
    assert_int_equal(weir_fail_errno(NULL, EACCES, "open"), WEIR_E_IO);
}

static void a_long_sentence_is_cut_between_characters(void **state)
{
    (void)state;
    struct weir_diag d;
    char big[2 * WEIR_DIAG_MAX];
    for (size_t shift = 0; shift < 2; shift++) {
        memset(big, 'x', shift);
        for (size_t i = shift; i + 2 < sizeof big; i += 2) memcpy(big + i, "\xc3\xa9", 3);
        weir_fail(&d, WEIR_E_LIMIT, "%s", big);
        size_t len = strlen(d.text);
        assert_in_range(len, WEIR_DIAG_MAX - 3, WEIR_DIAG_MAX - 1);
        assert_string_equal(d.text + len - 4, "\xa9...");
        weir_wrap(&d, WEIR_E_LIMIT, "more");
        assert_in_range(strlen(d.text), WEIR_DIAG_MAX - 3, WEIR_DIAG_MAX - 1);
        assert_string_equal(d.text + strlen(d.text) - 3, "...");
    }
}

static void codes_have_names(void **state)
{
    (void)state;
    assert_string_equal(weir_err_name(WEIR_OK), "OK");
    assert_string_equal(weir_err_name(WEIR_E_NOT_FOUND), "NOT_FOUND");
    for (int i = 0; i <= WEIR_E_DENIED; i++) assert_string_not_equal(weir_err_name((weir_err)i), "UNKNOWN");
    assert_string_equal(weir_err_name((weir_err)4711), "UNKNOWN");
}

struct hit {
    weir_time time;
    struct weir_str path;
    struct weir_str agent;
};
WEIR_ROW(hit, WEIR_FIELD(hit, 1, TIME, time), WEIR_FIELD(hit, 2, STR, path), WEIR_FIELD(hit, 3, STR, agent));

static void strings_must_lie_in_their_row(void **state)
{
    (void)state;
    struct {
        struct hit hit;
        char text[8];
    } row = {.hit = {.path = {24, 3}, .agent = {27, 5}}};
    uint32_t size = sizeof row;
    assert_true(weir_row_valid(&hit_schema, &row, size));
    assert_false(weir_row_valid(&hit_schema, &row, size - 1));
    assert_false(weir_row_valid(&hit_schema, &row, 23));
    row.hit.agent = (struct weir_str){32, 0};
    assert_true(weir_row_valid(&hit_schema, &row, size));
    row.hit.agent = (struct weir_str){33, 0};
    assert_false(weir_row_valid(&hit_schema, &row, size));
    row.hit.agent = (struct weir_str){8, UINT32_MAX - 4}; /* whose end, computed in 32 bits, lies in the row */
    assert_false(weir_row_valid(&hit_schema, &row, size));
}

static void the_nearest_word_is_found(void **state)
{
    (void)state;
    assert_int_equal(nearest_distance("kitten", "sitting"), 3);
    assert_int_equal(nearest_distance("", "abc"), 3);
    assert_int_equal(nearest_distance("same", "same"), 0);
    struct nearest n = {.word = "net.prot"};
    nearest_offer(&n, "log.level");
    assert_null(n.best);
    nearest_offer(&n, "net.ports");
    nearest_offer(&n, "net.port");
    nearest_offer(&n, "net.pots");
    assert_string_equal(n.best, "net.port");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_failure_has_code_and_sentence),
        cmocka_unit_test(errno_has_words),
        cmocka_unit_test(a_long_sentence_is_cut_between_characters),
        cmocka_unit_test(codes_have_names),
        cmocka_unit_test(strings_must_lie_in_their_row),
        cmocka_unit_test(the_nearest_word_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
