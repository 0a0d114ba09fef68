/* SPDX-License-Identifier: Apache-2.0 */
/* The catalog's durable log: what was synced is there after a crash at any byte, and damage to it is never taken for a torn end. */
/* cmocka wants these first, in this order */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "jobmanager/catalog_log.h"
#include "tests/support/temp_dir.h"

struct fixture {
    struct temp_dir dir;
    char path[TEMP_PATH_MAX + 16];
    struct catalog_log *log;
    struct weir_diag diag;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    temp_dir_make(&f->dir);
    snprintf(f->path, sizeof f->path, "%s/" CATALOG_LOG_NAME, f->dir.path);
    assert_int_equal(catalog_log_open(&f->log, f->dir.path, &f->diag), WEIR_OK);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    catalog_log_close(&f->log);
    temp_dir_remove(&f->dir);
    free(f);
    return 0;
}

static void put(struct fixture *f, const char *key, const char *value, uint64_t expected)
{
    uint64_t version = 0;
    struct weir_bytes bytes = {(const unsigned char *)value, (uint32_t)strlen(value)};
    assert_int_equal(catalog_log_put(f->log, key, bytes, expected, &version, &f->diag), CATALOG_COMMITTED);
    assert_int_equal(version, expected + 1);
}

static void sync_log(struct fixture *f)
{
    assert_int_equal(catalog_log_sync(f->log, &f->diag), WEIR_OK);
}

static void reopen(struct fixture *f)
{
    catalog_log_close(&f->log);
    assert_int_equal(catalog_log_open(&f->log, f->dir.path, &f->diag), WEIR_OK);
}

static bool holds(const struct fixture *f, const char *key, const char *value)
{
    const struct catalog_entry *e = catalog_log_get(f->log, key);
    if (!value || !e) return !value && !e;
    return e->value.length == strlen(value) && memcmp(e->value.data, value, strlen(value)) == 0;
}

static size_t slurp(const char *path, unsigned char **out)
{
    struct stat st;
    int fd = open(path, O_RDONLY);
    assert_int_equal(fstat(fd, &st), 0);
    *out = malloc((size_t)st.st_size + 1);
    assert_int_equal(read(fd, *out, (size_t)st.st_size), st.st_size);
    close(fd);
    return (size_t)st.st_size;
}

static void spill(const char *path, const unsigned char *data, size_t len)
{
    int fd = open(path, O_WRONLY | O_TRUNC | O_CREAT, 0600);
    assert_int_equal(write(fd, data, len), (ssize_t)len);
    close(fd);
}

static void what_was_synced_is_there_again(void **state)
{
    struct fixture *f = *state;
    put(f, "job/b", "two", 0);
    put(f, "job/a", "one", 0);
    put(f, "empty", "", 0);
    sync_log(f);
    put(f, "job/a", "three", 1);
    assert_int_equal(catalog_log_delete(f->log, "job/b", 1, &f->diag), CATALOG_COMMITTED);
    sync_log(f);
    reopen(f);
    assert_true(holds(f, "job/a", "three"));
    assert_true(holds(f, "job/b", NULL));
    assert_true(holds(f, "empty", ""));
    assert_int_equal(catalog_log_get(f->log, "job/a")->version, 2);
    uint32_t n;
    const struct catalog_entry *all = catalog_log_all(f->log, &n);
    assert_int_equal(n, 2);
    assert_string_equal(all[0].key, "empty");
}

static void another_version_is_a_conflict(void **state)
{
    struct fixture *f = *state;
    uint64_t version;
    put(f, "k", "v", 0);
    struct weir_bytes value = {(const unsigned char *)"w", 1};
    assert_int_equal(catalog_log_put(f->log, "k", value, 0, &version, &f->diag), CATALOG_CONFLICT);
    assert_int_equal(catalog_log_put(f->log, "other", value, 1, &version, &f->diag), CATALOG_CONFLICT);
    assert_int_equal(catalog_log_delete(f->log, "k", 2, &f->diag), CATALOG_CONFLICT);
    assert_true(holds(f, "k", "v"));
}

/* Two batches; the file is cut at every byte of the second one: all of it or nothing of it is there, and the first one always. */
static void a_torn_batch_is_cut_off_whole(void **state)
{
    struct fixture *f = *state;
    put(f, "a", "old", 0);
    sync_log(f);
    unsigned char *data;
    size_t before = slurp(f->path, &data);
    free(data);
    put(f, "a", "new", 1);
    put(f, "b", "more", 0);
    sync_log(f);
    size_t after = slurp(f->path, &data);
    size_t batch_end = after - 32; /* the mark that it was synced */
    for (size_t cut = before; cut < after; cut++) {
        catalog_log_close(&f->log);
        spill(f->path, data, cut);
        assert_int_equal(catalog_log_open(&f->log, f->dir.path, &f->diag), WEIR_OK);
        bool whole = cut >= batch_end;
        assert_true(holds(f, "a", whole ? "new" : "old"));
        assert_true(holds(f, "b", whole ? "more" : NULL));
        put(f, "c", "later", 0);
        sync_log(f);
        reopen(f);
        assert_true(holds(f, "c", "later"));
    }
    free(data);
}

/* Pages of a batch may reach the disk in any order: a hole in it with good records behind is torn as well. */
static void a_hole_in_the_torn_batch_is_no_damage(void **state)
{
    struct fixture *f = *state;
    put(f, "a", "old", 0);
    sync_log(f);
    unsigned char *data;
    size_t before = slurp(f->path, &data);
    free(data);
    put(f, "x", "one", 0);
    put(f, "y", "two", 0);
    sync_log(f);
    size_t after = slurp(f->path, &data);
    memset(data + before, 0, 40); /* the first record never came */
    catalog_log_close(&f->log);
    spill(f->path, data, after - 32); /* nor the mark */
    assert_int_equal(catalog_log_open(&f->log, f->dir.path, &f->diag), WEIR_OK);
    assert_true(holds(f, "a", "old"));
    assert_true(holds(f, "x", NULL));
    assert_true(holds(f, "y", NULL));
    free(data);
}

/* Any changed byte in what was committed is refused by name. */
static void damage_to_what_was_committed_is_refused(void **state)
{
    struct fixture *f = *state;
    put(f, "a", "value", 0);
    sync_log(f);
    put(f, "b", "other", 0);
    sync_log(f);
    unsigned char *data;
    size_t len = slurp(f->path, &data);
    catalog_log_close(&f->log);
    for (size_t at = 0; at < len - 32; at++) { /* all but the last mark */
        data[at] ^= 0x40;
        spill(f->path, data, len);
        weir_err err = catalog_log_open(&f->log, f->dir.path, &f->diag);
        assert_true(err == WEIR_E_CORRUPT || err == WEIR_E_UNSUPPORTED);
        assert_non_null(strstr(f->diag.text, f->path));
        data[at] ^= 0x40;
    }
    spill(f->path, data, len);
    assert_int_equal(catalog_log_open(&f->log, f->dir.path, &f->diag), WEIR_OK);
    free(data);
}

static void compaction_keeps_what_is_alive(void **state)
{
    struct fixture *f = *state;
    size_t big = 100000;
    char *value = malloc(big + 1);
    memset(value, 'x', big);
    value[big] = '\0';
    put(f, "stays", "here", 0);
    for (uint64_t i = 0; i < 200; i++) {
        value[0] = (char)('a' + i % 26);
        put(f, "grows", value, i);
        sync_log(f);
    }
    struct stat st;
    assert_int_equal(stat(f->path, &st), 0);
    assert_true(st.st_size < 2 * (off_t)CATALOG_COMPACT_BYTES);
    reopen(f);
    assert_true(holds(f, "stays", "here"));
    assert_true(holds(f, "grows", value));
    assert_int_equal(catalog_log_get(f->log, "grows")->version, 200);
    put(f, "stays", "still", 1);
    sync_log(f);
    reopen(f);
    assert_true(holds(f, "stays", "still"));
    free(value);
}

static void what_is_no_catalog_is_refused(void **state)
{
    struct fixture *f = *state;
    catalog_log_close(&f->log);
    spill(f->path, (const unsigned char *)"hello", 5);
    assert_int_equal(catalog_log_open(&f->log, f->dir.path, &f->diag), WEIR_E_CORRUPT);
    spill(f->path, (const unsigned char *)"hello, world", 12);
    assert_int_equal(catalog_log_open(&f->log, f->dir.path, &f->diag), WEIR_E_UNSUPPORTED);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(what_was_synced_is_there_again),        T(another_version_is_a_conflict),           T(a_torn_batch_is_cut_off_whole),
        T(a_hole_in_the_torn_batch_is_no_damage), T(damage_to_what_was_committed_is_refused), T(compaction_keeps_what_is_alive),
        T(what_is_no_catalog_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
