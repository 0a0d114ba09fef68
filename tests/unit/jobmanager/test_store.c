/* SPDX-License-Identifier: Apache-2.0 */
/* The artifact store: what is listed is whole, whatever crashed, lied or was repeated. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "jobmanager/store.h"

static char dir[64];
static struct store *store;
static struct weir_diag diag;

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *walk)
{
    (void)st, (void)type, (void)walk;
    return remove(path);
}

static int open_store(void **state)
{
    (void)state;
    (void)snprintf(dir, sizeof dir, "/tmp/weir-test-store-XXXXXX");
    return !mkdtemp(dir) || store_open(&store, dir, NULL, &diag);
}

static int close_store(void **state)
{
    (void)state;
    store_close(&store);
    return nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void reopen(store_check_fn check)
{
    store_close(&store);
    assert_int_equal(store_open(&store, dir, check, &diag), WEIR_OK);
}

static struct weir_bytes text(const char *s)
{
    return (struct weir_bytes){s, (uint32_t)strlen(s)};
}

static struct weir_digest digest_of(const char *s)
{
    struct sha256 h;
    sha256_init(&h);
    sha256_update(&h, s, strlen(s));
    return sha256_final(&h);
}

static struct weir_id begin(uint64_t size)
{
    struct weir_id id;
    assert_int_equal(store_upload_begin(store, size, "dir/../job.so", 0, &id, &diag), WEIR_OK);
    return id;
}

static weir_err put(struct weir_id id, uint64_t offset, const char *s, struct store_progress *p)
{
    return store_upload_chunk(store, id, offset, text(s), 0, p, &diag);
}

static void upload(const char *content)
{
    struct store_progress p;
    assert_int_equal(put(begin(strlen(content)), 0, content, &p), WEIR_OK);
    assert_true(p.complete);
}

static int count_files(void)
{
    char path[128], command[160];
    int n = -1;
    (void)snprintf(path, sizeof path, "%s/artifacts", dir);
    (void)snprintf(command, sizeof command, "ls -A %s | wc -l", path);
    FILE *f = popen(command, "r");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%d", &n), 1);
    (void)pclose(f);
    return n;
}

/* A plugin arrives in chunks, is listed under its digest, and is there after a restart. */
static void a_plugin_is_kept_by_its_digest(void **state)
{
    (void)state;
    struct store_progress p;
    struct weir_id id = begin(11);
    assert_int_equal(put(id, 0, "hello ", &p), WEIR_OK);
    assert_false(p.complete);
    assert_int_equal(p.received, 6);
    assert_int_equal(store_count(store), 0);
    assert_int_equal(put(id, 6, "world", &p), WEIR_OK);
    assert_true(p.complete);
    assert_true(digest_equal(p.artifact.digest, digest_of("hello world")));
    reopen(NULL);
    const struct store_artifact *a = store_find(store, digest_of("hello world"));
    assert_non_null(a);
    assert_string_equal(a->name, "job.so");
    assert_int_equal(a->size, 11);
    char data[16];
    size_t got = 0;
    assert_int_equal(store_read(store, a->digest, 6, data, sizeof data, &got, &diag), WEIR_OK);
    assert_int_equal(got, 5);
    assert_memory_equal(data, "world", 5);
    assert_int_equal(store_read(store, a->digest, 11, data, sizeof data, &got, &diag), WEIR_OK);
    assert_int_equal(got, 0);
}

/* A client that did not hear the answer sends its chunk again, the last one too. */
static void chunks_may_be_repeated(void **state)
{
    (void)state;
    struct store_progress p;
    struct weir_id id = begin(4);
    assert_int_equal(put(id, 0, "ab", &p), WEIR_OK);
    assert_int_equal(put(id, 0, "ab", &p), WEIR_OK);
    assert_int_equal(p.received, 2);
    assert_int_equal(put(id, 2, "cd", &p), WEIR_OK);
    assert_int_equal(put(id, 2, "cd", &p), WEIR_OK);
    assert_true(p.complete);
    assert_true(digest_equal(p.artifact.digest, digest_of("abcd")));
    assert_int_equal(store_count(store), 1);
}

/* A chunk in the wrong place is refused, and the upload goes on. */
static void gaps_and_excess_are_refused(void **state)
{
    (void)state;
    struct store_progress p;
    struct weir_id id = begin(4);
    assert_int_equal(put(id, 1, "b", &p), WEIR_E_ARGUMENT);
    assert_int_equal(put(id, 0, "abcde", &p), WEIR_E_ARGUMENT);
    assert_int_equal(put(id, 0, "", &p), WEIR_E_ARGUMENT);
    assert_int_equal(put(id, 0, "ab", &p), WEIR_OK);
    assert_int_equal(put(id, 1, "bc", &p), WEIR_E_ARGUMENT); /* half known, half new */
    assert_int_equal(put(id, 2, "cd", &p), WEIR_OK);
    assert_true(p.complete);
    assert_int_equal(put(id_random(), 0, "ab", &p), WEIR_E_NOT_FOUND);
}

/* What a crash left behind is gone after the next start, and nothing half is listed. */
static void leftovers_of_a_crash_are_removed(void **state)
{
    (void)state;
    struct store_progress p;
    upload("whole");
    assert_int_equal(put(begin(100), 0, "part of something", &p), WEIR_OK);
    char path[160], hex[WEIR_DIGEST_TEXT];
    (void)snprintf(path, sizeof path, "%s/artifacts/.up-0123456789abcdef0123456789abcdef", dir);
    close(open(path, O_CREAT | O_WRONLY, 0600));
    (void)snprintf(path, sizeof path, "%s/artifacts/%s.name", dir, digest_text(digest_of("never came"), hex));
    close(open(path, O_CREAT | O_WRONLY, 0600));
    assert_int_equal(count_files(), 2 + 1 + 2);
    reopen(NULL);
    assert_int_equal(store_count(store), 1);
    assert_int_equal(count_files(), 2);
}

/* Files that are no digests, links and empty files are not ours: neither listed nor opened. */
static void strangers_in_the_folder_are_ignored(void **state)
{
    (void)state;
    char path[160], hex[WEIR_DIGEST_TEXT];
    (void)snprintf(path, sizeof path, "%s/artifacts/%s", dir, digest_text(digest_of("link"), hex));
    assert_int_equal(symlink("/etc/passwd", path), 0);
    (void)snprintf(path, sizeof path, "%s/artifacts/notes.txt", dir);
    close(open(path, O_CREAT | O_WRONLY, 0600));
    reopen(NULL);
    assert_int_equal(store_count(store), 0);
    char data[4];
    size_t got;
    assert_int_equal(store_read(store, digest_of("link"), 0, data, sizeof data, &got, &diag), WEIR_E_NOT_FOUND);
}

static weir_err refuse_all(const void *data, size_t len, struct weir_diag *d)
{
    return weir_fail(d, WEIR_E_ABI, "not with %zu bytes starting with %c", len, *(const char *)data);
}

/* What the check refuses does not enter, and leaves nothing. */
static void a_refused_plugin_leaves_nothing(void **state)
{
    (void)state;
    struct store_progress p;
    reopen(refuse_all);
    struct weir_id id = begin(2);
    assert_int_equal(put(id, 0, "xy", &p), WEIR_E_ABI);
    assert_string_equal(diag.text, "not with 2 bytes starting with x");
    assert_int_equal(put(id, 0, "xy", &p), WEIR_E_NOT_FOUND);
    assert_int_equal(store_count(store), 0);
    assert_int_equal(count_files(), 0);
}

/* The same bytes twice are one plugin. */
static void the_same_plugin_is_kept_once(void **state)
{
    (void)state;
    upload("same");
    upload("same");
    assert_int_equal(store_count(store), 1);
    assert_int_equal(count_files(), 2);
    assert_int_equal(store_remove(store, digest_of("same"), &diag), WEIR_OK);
    assert_int_equal(store_remove(store, digest_of("same"), &diag), WEIR_E_NOT_FOUND);
    assert_int_equal(store_count(store), 0);
    assert_int_equal(count_files(), 0);
}

static void uploads_are_bounded(void **state)
{
    (void)state;
    struct weir_id id;
    assert_int_equal(store_upload_begin(store, 0, "x", 0, &id, &diag), WEIR_E_ARGUMENT);
    assert_int_equal(store_upload_begin(store, WEIR_PLUGIN_MAX + 1ull, "x", 0, &id, &diag), WEIR_E_ARGUMENT);
    for (uint32_t i = 0; i < STORE_UPLOADS_MAX; i++) (void)begin(1);
    assert_int_equal(store_upload_begin(store, 1, "x", 0, &id, &diag), WEIR_E_LIMIT);
    store_expire(store, STORE_UPLOAD_IDLE_MS); /* not yet */
    assert_int_equal(store_upload_begin(store, 1, "x", 0, &id, &diag), WEIR_E_LIMIT);
    store_expire(store, STORE_UPLOAD_IDLE_MS + 1);
    assert_int_equal(store_upload_begin(store, 1, "x", 0, &id, &diag), WEIR_OK);
    assert_int_equal(count_files(), 1);
}

/* Finished uploads, kept for repeated chunks, make room for new ones. */
static void finished_uploads_hold_nobody_up(void **state)
{
    (void)state;
    char content[16];
    for (uint32_t i = 0; i < 3 * STORE_UPLOADS_MAX; i++) {
        (void)snprintf(content, sizeof content, "plugin %u", i);
        upload(content);
    }
    assert_int_equal(store_count(store), 3 * STORE_UPLOADS_MAX);
}

static void two_managers_do_not_share_a_folder(void **state)
{
    (void)state;
    struct store *other = NULL;
    assert_int_equal(store_open(&other, dir, NULL, &diag), WEIR_E_EXISTS);
    assert_non_null(strstr(diag.text, "another JobManager"));
    assert_null(other);
}

/* Bytes that are announced by their digest enter with no other one. */
static void bytes_must_have_the_digest_they_were_announced_with(void **state)
{
    (void)state;
    struct weir_id upload;
    struct store_progress progress;
    for (int good = 0; good < 2; good++) {
        assert_int_equal(store_upload_begin(store, 3, "a.so", 0, &upload, &diag), WEIR_OK);
        store_upload_expect(store, upload, digest_of(good ? "abc" : "abd"));
        weir_err err = store_upload_chunk(store, upload, 0, text("abc"), 0, &progress, &diag);
        assert_int_equal(err, good ? WEIR_OK : WEIR_E_CORRUPT);
        assert_int_equal(store_count(store), good);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(bytes_must_have_the_digest_they_were_announced_with, open_store, close_store),
        cmocka_unit_test_setup_teardown(a_plugin_is_kept_by_its_digest, open_store, close_store),
        cmocka_unit_test_setup_teardown(chunks_may_be_repeated, open_store, close_store),
        cmocka_unit_test_setup_teardown(gaps_and_excess_are_refused, open_store, close_store),
        cmocka_unit_test_setup_teardown(leftovers_of_a_crash_are_removed, open_store, close_store),
        cmocka_unit_test_setup_teardown(strangers_in_the_folder_are_ignored, open_store, close_store),
        cmocka_unit_test_setup_teardown(a_refused_plugin_leaves_nothing, open_store, close_store),
        cmocka_unit_test_setup_teardown(the_same_plugin_is_kept_once, open_store, close_store),
        cmocka_unit_test_setup_teardown(uploads_are_bounded, open_store, close_store),
        cmocka_unit_test_setup_teardown(finished_uploads_hold_nobody_up, open_store, close_store),
        cmocka_unit_test_setup_teardown(two_managers_do_not_share_a_folder, open_store, close_store),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
