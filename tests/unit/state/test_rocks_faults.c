/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keeper on a disk that fails: the Nth call that changes a file, N = 1, 2, ..., until the story is over before the Nth. Run with
 * LD_PRELOAD=<faultfs>; without it the tests are skipped.
 */
#include "runtime/state/rocks.h"

#include <dlfcn.h>
#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/support/faultfs/faultfs.h"
#include "tests/support/temp_dir.h"

static weir_fault_set_fn *fault_set;
static weir_fault_count_fn *fault_count;

static int find_faults(void **state)
{
    (void)state;
    *(void **)&fault_set = dlsym(RTLD_DEFAULT, "weir_fault_set");
    *(void **)&fault_count = dlsym(RTLD_DEFAULT, "weir_fault_count");
    return 0;
}

struct story {
    struct temp_dir dir;
    struct rocks_shared *shared;
    struct rocks *db;
    struct rocks_family *a;
    struct weir_diag diag;
};

#define KEYS 2000u

/* Keys 0, step, 2 step, ... below KEYS, each with the file's generation as its value. */
static weir_err write_file(struct story *s, const char *path, uint32_t step, uint32_t generation)
{
    struct rocks_writer *w = NULL;
    weir_err err = rocks_writer_new(&w, s->shared, path, &s->diag);
    for (uint32_t i = 0; !err && i < KEYS; i += step) {
        char key[16];
        int length = snprintf(key, sizeof key, "%08" PRIu32, i);
        err = rocks_writer_put(w, key, (size_t)length, &generation, sizeof generation, &s->diag);
    }
    if (!err) err = rocks_writer_finish(w, &s->diag);
    rocks_writer_destroy(&w);
    return err;
}

/* A writer that failed leaves nothing behind. */
static weir_err add_file(struct story *s, uint32_t step, uint32_t generation)
{
    const char *path = temp_path(&s->dir, "faulty/new.sst");
    weir_err err = write_file(s, path, step, generation);
    if (err) assert_int_not_equal(access(path, F_OK), 0);
    return err ? err : rocks_ingest(s->a, path, 0, &s->diag);
}

static weir_err drop_one(struct story *s, const char *from, const char *to)
{
    const char *path = temp_path(&s->dir, "faulty/new.sst");
    struct weir_bytes first = {from, (uint32_t)strlen(from)}, end = {to, (uint32_t)strlen(to)};
    struct rocks_writer *w = NULL;
    weir_err err = rocks_writer_new(&w, s->shared, path, &s->diag);
    if (!err) err = rocks_writer_delete_range(w, first, end, &s->diag);
    if (!err) err = rocks_writer_finish(w, &s->diag);
    rocks_writer_destroy(&w);
    return err ? err : rocks_ingest(s->a, path, 0, &s->diag);
}

static weir_err expect_all(struct story *s)
{
    for (uint32_t i = 0; i < KEYS; i++) {
        char key[16];
        struct rocks_value v;
        int length = snprintf(key, sizeof key, "%08" PRIu32, i);
        weir_err err = rocks_get(s->a, key, (size_t)length, &v, &s->diag);
        if (err) return err;
        uint32_t expected = i == 7 ? 0 : i % 3 == 0 ? 2 : 1;
        assert_int_equal(v.data != NULL, expected != 0);
        if (expected) assert_memory_equal(v.data, &expected, sizeof expected);
        rocks_value_release(&v);
    }
    return WEIR_OK;
}

/* Everything the keeper does to a disk: an open, a file, a file that deletes a range, a file over both, a compaction. */
static weir_err play(struct story *s)
{
    weir_err err = rocks_open(&s->db, s->shared, temp_path(&s->dir, "faulty/db"), &s->diag);
    if (!err) err = rocks_family_new(s->db, "a", NULL, &s->a, &s->diag);
    if (!err) err = add_file(s, 1, 1);
    if (!err) err = drop_one(s, "00000007", "000000070");
    if (!err) err = add_file(s, 3, 2);
    if (!err) err = rocks_compact(s->a, &s->diag);
    if (!err) err = expect_all(s);
    if (!err) err = rocks_health(s->db, &s->diag);
    return err;
}

static void end(struct story *s)
{
    if (s->a) rocks_family_destroy(&s->a);
    rocks_destroy(&s->db);
    (void)unlink(temp_path(&s->dir, "faulty/new.sst")); /* an ingest that fails leaves it */
}

/*
 * The files data depends on. RocksDB also writes its options down, for people to read, and goes on when it cannot; and the entries of the
 * folder need not outlive the process, since the folder is wiped at the next open.
 */
static bool is_essential(const char *path)
{
    return strstr(path, ".sst") || strstr(path, "/MANIFEST-") || strstr(path, "/CURRENT");
}

static void check_outcome(struct story *s, weir_err err, uint64_t n)
{
    uint32_t failed = 0;
    char path[512];
    (void)fault_count(&failed, path, sizeof path);
    if (err && !failed) fail_msg("N = %" PRIu64 ": %s, though nothing failed", n, s->diag.text);
    if (err && !strstr(s->diag.text, s->dir.path)) fail_msg("N = %" PRIu64 ": names no file: %s", n, s->diag.text);
    if (!err && (failed & WEIR_FAULT_SYNCS) && is_essential(path)) fail_msg("N = %" PRIu64 ": success after failed fsync of %s", n, path);
    if (!err && (failed & (WEIR_FAULT_WRITE | WEIR_FAULT_PWRITE)) && is_essential(path))
        fail_msg("N = %" PRIu64 ": success after failed write of %s", n, path);
    if (getenv("VERBOSE")) print_message("N = %" PRIu64 " failed %x %s -> %s\n", n, failed, path, err ? s->diag.text : "success");
}

static bool play_with_fault(struct story *s, uint32_t ops, uint64_t n, int errnum, bool sticky)
{
    fault_set("/faulty", ops, n, errnum, sticky);
    weir_err err = play(s);
    check_outcome(s, err, n);
    uint32_t failed = 0;
    (void)fault_count(&failed, NULL, 0);
    end(s); /* still on a disk that fails */
    fault_set("", 0, 0, 0, false);
    err = play(s); /* the same folder, the faults off */
    if (err) fail_msg("after N = %" PRIu64 ", from clean: %s", n, s->diag.text);
    end(s);
    return failed;
}

static void play_all(uint32_t ops, int errnum, bool sticky)
{
    if (!fault_set) skip();
    struct story *s = calloc(1, sizeof *s);
    assert_non_null(s);
    temp_dir_make(&s->dir);
    assert_int_equal(mkdir(temp_path(&s->dir, "faulty"), 0755), 0);
    assert_int_equal(rocks_shared_new(&s->shared, 1u << 20, 1, &s->diag), WEIR_OK);
    uint64_t n = 1;
    while (play_with_fault(s, ops, n, errnum, sticky)) n++;
    assert_true(n > 2); /* the shim was there and met something */
    rocks_shared_destroy(&s->shared);
    temp_dir_remove(&s->dir);
    free(s);
}

static void the_disk_is_full_once(void **state)
{
    (void)state;
    play_all(WEIR_FAULT_ALL, ENOSPC, false);
}

static void the_disk_is_full_from_now_on(void **state)
{
    (void)state;
    play_all(WEIR_FAULT_ALL, ENOSPC, true);
}

static void the_disk_breaks(void **state)
{
    (void)state;
    play_all(WEIR_FAULT_ALL, EIO, true);
}

static void a_sync_fails_once(void **state)
{
    (void)state;
    play_all(WEIR_FAULT_SYNCS, EIO, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_disk_is_full_once),
        cmocka_unit_test(the_disk_is_full_from_now_on),
        cmocka_unit_test(the_disk_breaks),
        cmocka_unit_test(a_sync_fails_once),
    };
    return cmocka_run_group_tests(tests, find_faults, NULL);
}
