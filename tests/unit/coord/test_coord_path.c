/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "runtime/coord/limits.h"
#include "runtime/coord/path.h"

static void expect(const char *path, size_t len, const char *wrong)
{
    const char *said = path_check(bytes_of(path, len));
    if (!wrong) {
        if (said) fail_msg("%s %s", path, said);
        return;
    }
    if (!said || !strstr(said, wrong)) fail_msg("%s: \"%s\" instead of \"%s\"", path, said ? said : "good", wrong);
}

static void good_and_bad_paths(void **state)
{
    static const struct {
        const char *path, *wrong;
    } cases[] = {
        {"/", NULL},
        {"/a", NULL},
        {"/a/b.c/...", NULL},
        {"/\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", NULL},
        {"/ ", NULL},
        {"", "begin with a slash"},
        {"a", "begin with a slash"},
        {"/a/", "ends in a slash"},
        {"//", "ends in a slash"},
        {"//a", "empty element"},
        {"/a//b", "empty element"},
        {"/.", ". or .."},
        {"/a/../b", ". or .."},
        {"/a\n", "control"},
        {"/a\x7f", "control"},
        {"/\xc2\x85", "control"},
        {"/\xed\xa0\x80", "surrogate"},
        {"/\xee\x80\x80", "private"},
        {"/\xef\xbf\xbe", "special"},
        {"/\xff", "UTF-8"},
        {"/\xc3", "UTF-8"},
        {"/\xc0\xaf", "UTF-8"},
        {"/\xe0\x80\xaf", "UTF-8"},
        {"/\xf4\x90\x80\x80", "UTF-8"},
        {"/\x80", "UTF-8"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) expect(cases[i].path, strlen(cases[i].path), cases[i].wrong);
    expect("/a\0b", 4, "control");
}

static void lengths_and_depth(void **state)
{
    char path[2048] = "/";
    (void)state;
    memset(path + 1, 'x', COORD_NAME_MAX + 1);
    expect(path, 1 + COORD_NAME_MAX, NULL);
    expect(path, 2 + COORD_NAME_MAX, "255");
    for (size_t i = 0; i < sizeof path; i += 200) path[i] = '/';
    memset(path + 1, 'x', 100);
    for (size_t i = 1; i < sizeof path; i++)
        if (path[i] == '\0') path[i] = 'x';
    expect(path, COORD_PATH_MAX, NULL);
    expect(path, COORD_PATH_MAX + 1, "1024");
    for (size_t i = 0; i < sizeof path; i += 2) memcpy(path + i, "/a", 2);
    expect(path, 2 * COORD_DEPTH_MAX, NULL);
    expect(path, 2 * COORD_DEPTH_MAX + 2, "64");
}

static void sequential_prefixes(void **state)
{
    char path[300] = "/";
    (void)state;
    assert_null(path_check_sequential(bytes_text("/")));
    assert_null(path_check_sequential(bytes_text("/a/")));
    assert_null(path_check_sequential(bytes_text("/a/.")));
    assert_non_null(path_check_sequential(bytes_text("")));
    assert_non_null(path_check_sequential(bytes_text("a")));
    assert_non_null(path_check_sequential(bytes_text("//")));
    memset(path + 1, 'x', 290);
    assert_null(path_check_sequential(bytes_of(path, 1 + COORD_NAME_MAX - PATH_SEQUENCE_MAX)));
    assert_non_null(path_check_sequential(bytes_of(path, 2 + COORD_NAME_MAX - PATH_SEQUENCE_MAX)));
}

static void parts(void **state)
{
    struct weir_bytes rest = bytes_text("/a/bc"), e;
    (void)state;
    assert_true(bytes_equal(path_parent(bytes_text("/a")), bytes_text("/")));
    assert_true(bytes_equal(path_parent(bytes_text("/a/bc")), bytes_text("/a")));
    assert_true(bytes_equal(path_name(bytes_text("/a/bc")), bytes_text("bc")));
    assert_true(path_element(&rest, &e) && bytes_equal(e, bytes_text("a")));
    assert_true(path_element(&rest, &e) && bytes_equal(e, bytes_text("bc")));
    assert_false(path_element(&rest, &e));
    assert_true(path_within(bytes_text("/a/b"), bytes_text("/a")));
    assert_true(path_within(bytes_text("/a"), bytes_text("/a")));
    assert_true(path_within(bytes_text("/a"), bytes_text("/")));
    assert_false(path_within(bytes_text("/ab"), bytes_text("/a")));
    assert_false(path_within(bytes_text("/"), bytes_text("/a")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_and_bad_paths),
        cmocka_unit_test(lengths_and_depth),
        cmocka_unit_test(sequential_prefixes),
        cmocka_unit_test(parts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
