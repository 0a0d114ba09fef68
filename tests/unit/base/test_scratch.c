/* SPDX-License-Identifier: Apache-2.0 */
/* Scratch folders and folders: what dead processes left goes, what living ones have stays. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "runtime/base/folder.h"
#include "runtime/base/scratch.h"

static char base[32];

static int make_base(void **state)
{
    (void)state;
    (void)snprintf(base, sizeof base, "/tmp/weir-scratch-XXXXXX");
    return mkdtemp(base) ? 0 : -1;
}

static int drop_base(void **state)
{
    (void)state;
    return folder_remove(base, NULL) ? -1 : 0;
}

static bool exists(const char *path)
{
    return access(path, F_OK) == 0;
}

static void make_file(const char *dir, const char *name)
{
    char path[PATH_MAX + 16];
    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    (void)fclose(file);
}

/* A child that ends without cleaning up; its path comes back through a pipe. */
static void leave_behind(char path[static PATH_MAX])
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        char own[PATH_MAX] = "";
        if (scratch_path(base, own, NULL) || folder_make(own, NULL)) _exit(1);
        make_file(own, "state");
        _exit(write(ends[1], own, sizeof own) == sizeof own ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(read(ends[0], path, PATH_MAX), PATH_MAX);
    (void)close(ends[0]);
    (void)close(ends[1]);
}

static void what_the_dead_left_is_removed(void **state)
{
    (void)state;
    char dead[PATH_MAX], own[PATH_MAX], other[64];
    leave_behind(dead);
    assert_int_equal(scratch_path(base, own, NULL), WEIR_OK);
    assert_int_equal(folder_make(own, NULL), WEIR_OK);
    (void)snprintf(other, sizeof other, "%s/scratch-of-mine", base);
    assert_int_equal(folder_make(other, NULL), WEIR_OK);
    assert_true(exists(dead));
    scratch_sweep(base);
    assert_false(exists(dead));
    assert_true(exists(own));   /* alive */
    assert_true(exists(other)); /* no name of ours */
    scratch_sweep("/nowhere/at/all");
}

/* A process number that another process has now, told apart by its start time. */
static void a_number_used_again_is_no_owner(void **state)
{
    (void)state;
    char reused[PATH_MAX];
    (void)snprintf(reused, sizeof reused, "%s/scratch-%ld-1", base, (long)getpid());
    assert_int_equal(folder_make(reused, NULL), WEIR_OK);
    scratch_sweep(base);
    assert_false(exists(reused));
}

static void folders_are_made_and_removed_whole(void **state)
{
    (void)state;
    struct weir_diag diag;
    char deep[64], link_path[64], target[64];
    (void)snprintf(deep, sizeof deep, "%s/a/b/c", base);
    (void)snprintf(target, sizeof target, "%s/kept", base);
    assert_int_equal(folder_make(deep, &diag), WEIR_OK);
    assert_int_equal(folder_make(deep, &diag), WEIR_OK); /* there already */
    assert_int_equal(folder_make(target, &diag), WEIR_OK);
    make_file(target, "file");
    (void)snprintf(link_path, sizeof link_path, "%s/a/link", base);
    assert_int_equal(symlink(target, link_path), 0);
    (void)snprintf(deep, sizeof deep, "%s/a", base);
    assert_int_equal(folder_remove(deep, &diag), WEIR_OK);
    assert_false(exists(deep));
    assert_true(exists(target)); /* the link went, not what it points to */
    assert_int_equal(folder_remove(deep, &diag), WEIR_OK);
}

static void a_folder_that_is_none_is_refused_by_name(void **state)
{
    (void)state;
    struct weir_diag diag;
    char path[64];
    make_file(base, "file");
    (void)snprintf(path, sizeof path, "%s/file", base);
    assert_int_equal(folder_make(path, &diag), WEIR_E_IO);
    assert_non_null(strstr(diag.text, path));
    (void)snprintf(path, sizeof path, "%s/link", base);
    assert_int_equal(symlink("/tmp", path), 0);
    assert_int_equal(folder_make(path, &diag), WEIR_E_IO); /* somebody else may have put it there */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_the_dead_left_is_removed, make_base, drop_base),
        cmocka_unit_test_setup_teardown(a_number_used_again_is_no_owner, make_base, drop_base),
        cmocka_unit_test_setup_teardown(folders_are_made_and_removed_whole, make_base, drop_base),
        cmocka_unit_test_setup_teardown(a_folder_that_is_none_is_refused_by_name, make_base, drop_base),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
