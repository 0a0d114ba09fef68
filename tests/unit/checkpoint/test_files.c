/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/checkpoint/files.h"

#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/checkpoint/storage.h"

static int make(void **state)
{
    static struct storage s;
    storage_make(&s);
    *state = &s;
    return 0;
}

static int unmake(void **state)
{
    storage_remove(*state);
    return 0;
}

static ino_t inode(const char *path)
{
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    return st.st_ino;
}

static void a_written_file_replaces_the_old_one_whole(void **state)
{
    struct storage *s = *state;
    size_t n;
    MUST(s, files_write(s->local, "MANIFEST", "one", 3, &s->diag));
    MUST(s, files_write(s->local, "MANIFEST", "second", 6, &s->diag));
    char *text = temp_read(temp_path(&s->dir, "local/MANIFEST"), &n);
    assert_string_equal(text, "second");
    free(text);
    assert_string_equal(temp_list(s->local), "MANIFEST ");
}

/* A storage that is away must not look like an empty one. */
static void a_folder_that_is_missing_is_not_made(void **state)
{
    struct storage *s = *state;
    struct files_seal seal;
    char content[CONTENT_NAME] = "", away[PATH_MAX];
    (void)snprintf(away, sizeof away, "%.3000s/away", s->dir.path);
    assert_int_equal(files_write(away, "MANIFEST", "one", 3, &s->diag), WEIR_E_NOT_FOUND);
    assert_non_null(strstr(s->diag.text, away));
    assert_int_equal(files_put(storage_local(s, 1, &seal), &seal, away, content, NULL, &s->diag), WEIR_E_NOT_FOUND);
    assert_string_equal(content, "");
    assert_int_equal(files_sync_folder(away, &s->diag), WEIR_E_NOT_FOUND);
    assert_int_not_equal(access(away, F_OK), 0);
}

static void a_file_is_put_once_as_a_link(void **state)
{
    struct storage *s = *state;
    struct files_seal seal;
    uint64_t added = 0;
    char content[CONTENT_NAME] = "", again[CONTENT_NAME] = "", put[PATH_MAX];
    const char *local = storage_local(s, 1, &seal);
    MUST(s, files_put(local, &seal, s->dir.path, content, &added, &s->diag));
    assert_int_equal(added, seal.bytes);
    MUST(s, layout_join(s->dir.path, content, put, &s->diag));
    assert_int_equal(inode(put), inode(local));
    MUST(s, files_put(local, &seal, s->dir.path, again, &added, &s->diag));
    assert_string_equal(again, content);
    assert_int_equal(added, 0);
    MUST(s, files_put(local, &seal, s->dir.path, again, &added, &s->diag)); /* known now: it is not even read */
    assert_int_equal(added, 0);
}

/* A file that lies there with another length is no file of that name. */
static void a_cut_file_in_the_storage_is_put_anew(void **state)
{
    struct storage *s = *state;
    struct files_seal seal;
    uint64_t added = 0;
    char content[CONTENT_NAME] = "", put[PATH_MAX];
    const char *local = storage_local(s, 2, &seal);
    MUST(s, files_put(local, &seal, s->dir.path, content, NULL, &s->diag));
    MUST(s, layout_join(s->dir.path, content, put, &s->diag));
    assert_int_equal(unlink(put), 0);
    temp_write(put, "short", 5);
    MUST(s, files_put(local, &seal, s->dir.path, content, &added, &s->diag));
    assert_int_equal(added, seal.bytes);
    MUST(s, files_verify(put, &seal, &s->diag));
}

static void a_local_file_that_is_not_as_sealed_is_not_put(void **state)
{
    struct storage *s = *state;
    struct files_seal seal;
    char content[CONTENT_NAME] = "";
    const char *local = storage_local(s, 3, &seal);
    seal.crc32c ^= 1;
    assert_int_equal(files_put(local, &seal, s->dir.path, content, NULL, &s->diag), WEIR_E_CORRUPT);
    assert_non_null(strstr(s->diag.text, local));
    assert_string_equal(temp_list(s->dir.path), "local storage ");
}

static void a_file_comes_back(void **state)
{
    struct storage *s = *state;
    struct files_seal seal;
    char content[CONTENT_NAME] = "", back[PATH_MAX], put[PATH_MAX];
    MUST(s, files_put(storage_local(s, 4, &seal), &seal, s->dir.path, content, NULL, &s->diag));
    MUST(s, files_fetch(s->dir.path, content, &seal, temp_path(&s->dir, "storage"), &s->diag));
    MUST(s, files_fetch(s->dir.path, content, &seal, temp_path(&s->dir, "storage"), &s->diag));
    MUST(s, layout_join(temp_path(&s->dir, "storage"), content, back, &s->diag));
    MUST(s, files_verify(back, &seal, &s->diag));
    MUST(s, layout_join(s->dir.path, content, put, &s->diag));
    assert_int_equal(unlink(back), 0);
    assert_int_equal(truncate(put, 5), 0);
    assert_int_equal(files_fetch(s->dir.path, content, &seal, temp_path(&s->dir, "storage"), &s->diag), WEIR_E_CORRUPT);
    assert_non_null(strstr(s->diag.text, put));
    assert_int_equal(unlink(put), 0);
    assert_int_equal(files_fetch(s->dir.path, content, &seal, temp_path(&s->dir, "storage"), &s->diag), WEIR_E_NOT_FOUND);
    assert_non_null(strstr(s->diag.text, put));
}

/* Across file systems there are no links: the copy is the same, in both directions. */
static void across_file_systems_it_is_copied(void **state)
{
    struct storage *s = *state;
    struct files_seal seal;
    char content[CONTENT_NAME] = "", other[] = "/dev/shm/weir-test-XXXXXX", put[PATH_MAX];
    struct stat here, there;
    if (!mkdtemp(other)) skip();
    assert_int_equal(stat(s->dir.path, &here) | stat(other, &there), 0);
    const char *local = storage_local(s, 5, &seal);
    MUST(s, files_put(local, &seal, other, content, NULL, &s->diag));
    MUST(s, layout_join(other, content, put, &s->diag));
    MUST(s, files_verify(put, &seal, &s->diag));
    if (here.st_dev != there.st_dev) assert_int_not_equal(inode(put), inode(local));
    MUST(s, files_fetch(other, content, &seal, s->dir.path, &s->diag));
    seal.crc32c ^= 1;
    char name[CONTENT_NAME] = "11121314151617180102030405060708-700";
    if (here.st_dev != there.st_dev) assert_int_equal(files_put(local, &seal, other, name, NULL, &s->diag), WEIR_E_CORRUPT);
    assert_int_equal(storage_count(other), 1);
    assert_int_equal(unlink(put), 0);
    assert_int_equal(rmdir(other), 0);
}

static void a_limit_keeps_a_file_out(void **state)
{
    struct storage *s = *state;
    struct files_seal seal;
    struct buffer out = {0};
    const char *local = storage_local(s, 6, &seal);
    assert_int_equal(files_read(local, 699, &out, &s->diag), WEIR_E_LIMIT);
    assert_int_equal(out.len, 0);
    MUST(s, files_read(local, 700, &out, &s->diag));
    assert_int_equal(out.len, 700);
    assert_int_equal(files_read(s->local, 700, &out, &s->diag), WEIR_E_CORRUPT);
    buffer_close(&out);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, make, unmake)
    const struct CMUnitTest tests[] = {
        CASE(a_written_file_replaces_the_old_one_whole),
        CASE(a_folder_that_is_missing_is_not_made),
        CASE(a_file_is_put_once_as_a_link),
        CASE(a_cut_file_in_the_storage_is_put_anew),
        CASE(a_local_file_that_is_not_as_sealed_is_not_put),
        CASE(a_file_comes_back),
        CASE(across_file_systems_it_is_copied),
        CASE(a_limit_keeps_a_file_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
