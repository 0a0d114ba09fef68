/* SPDX-License-Identifier: Apache-2.0 */
/* The local folder of state files: what a complete checkpoint needs stays, all else goes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "taskmanager/worker/local_files.h"
#include "tests/support/temp_dir.h"

static struct temp_dir root;
static struct local_files *files;

static int setup(void **state)
{
    (void)state;
    temp_dir_make(&root);
    return (int)local_files_new(&files, temp_path(&root, "local/job"), NULL);
}

static int teardown(void **state)
{
    (void)state;
    local_files_destroy(&files);
    temp_dir_remove(&root);
    return 0;
}

static const char *path_of(const char *name)
{
    static char path[PATH_MAX];
    (void)snprintf(path, sizeof path, "%s/%s", local_files_dir(files), name);
    return path;
}

static void put(const char *name)
{
    temp_write(path_of(name), name, 1);
}

static bool is_there(const char *name)
{
    return access(path_of(name), F_OK) == 0;
}

static void what_only_older_checkpoints_need_goes(void **state)
{
    (void)state;
    put("a"), put("b"), put("c"), put("foreign");
    local_files_need(files, "c", 1);
    local_files_need(files, "a", 1);
    local_files_need(files, "b", 2);
    local_files_need(files, "c", 3);
    local_files_need(files, "c", 2); /* an older one does not take it back */
    local_files_release(files, 2, false);
    assert_false(is_there("a"));
    assert_true(is_there("b") && is_there("c") && is_there("foreign"));
    assert_int_equal(local_files_count(files), 2);
    local_files_release(files, 3, true);
    assert_false(is_there("b") || is_there("foreign"));
    assert_true(is_there("c"));
}

static void names_are_found_with_what_is_known_of_them(void **state)
{
    (void)state;
    char name[16];
    for (int i = 0; i < 500; i++) {
        (void)snprintf(name, sizeof name, "%d", i * 7919 % 500);
        struct local_file *file = local_files_need(files, name, 1);
        assert_non_null(file);
        (void)strcpy(file->content, name);
    }
    assert_int_equal(local_files_count(files), 500);
    for (int i = 0; i < 500; i++) {
        (void)snprintf(name, sizeof name, "%d", i);
        struct local_file *file = local_files_find(files, name);
        assert_non_null(file);
        assert_string_equal(file->content, name);
    }
    assert_null(local_files_find(files, "500"));
}

/* The folder may go under a worker that is being ended. */
static void a_folder_that_is_gone_is_no_failure(void **state)
{
    (void)state;
    local_files_need(files, "a", 1);
    assert_int_equal(rmdir(local_files_dir(files)), 0);
    local_files_release(files, 2, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_only_older_checkpoints_need_goes, setup, teardown),
        cmocka_unit_test_setup_teardown(names_are_found_with_what_is_known_of_them, setup, teardown),
        cmocka_unit_test_setup_teardown(a_folder_that_is_gone_is_no_failure, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
