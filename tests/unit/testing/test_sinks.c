/* SPDX-License-Identifier: Apache-2.0 */
/* Sinks that keep something beside their output, through the harness: snapshot, crash, restore at another parallelism. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "tests/support/temp_dir.h"
#include "weir/connector/blackhole.h"
#include "weir/connector/file.h"
#include "weir/testing.h"

struct event {
    int64_t id;
};
WEIR_ROW(event, WEIR_FIELD(event, 1, I64, id));

/* Ten ids a folder and a key. */
static uint32_t ten_of(const struct event *e, unsigned char *key)
{
    int64_t ten = e->id / 10;
    memcpy(key, &ten, sizeof ten);
    return sizeof ten;
}
WEIR_KEY_OF(by_ten, event, 8, ten_of);

static uint32_t folder_of(const void *row, char to[WEIR_FILE_FOLDER_MAX])
{
    return (uint32_t)snprintf(to, WEIR_FILE_FOLDER_MAX, "ten=%lld", (long long)(((const struct event *)row)->id / 10));
}

static weir_time complete_of(const void *row)
{
    return ((const struct event *)row)->id / 10 * 10 + 9;
}

static const struct weir_file_folders folders = {sizeof folders, folder_of, complete_of};
static struct temp_dir dir;

static weir_err build_folders(struct weir_harness *h, void *arg, struct weir_diag *diag)
{
    (void)arg, (void)diag;
    const struct weir_file_sink sink = {.dir = temp_path(&dir, "out"), .format = WEIR_FILE_CSV, .folders = &folders};
    (void)weir_to_file(weir_key_by(weir_harness_in(h, &event_schema), &by_ten), "write", &sink);
    return WEIR_OK;
}

static weir_err build_blackhole(struct weir_harness *h, void *arg, struct weir_diag *diag)
{
    (void)arg, (void)diag;
    (void)weir_to_blackhole(weir_rebalance(weir_harness_in(h, &event_schema)), "count");
    return WEIR_OK;
}

static struct weir_harness *open_at(weir_harness_build build, uint32_t parallelism, struct weir_harness_snapshot *from)
{
    struct weir_harness *h = NULL;
    struct weir_diag diag = {0};
    if (weir_harness_new(&h, build, NULL, &(struct weir_harness_options){.parallelism = parallelism, .restore = from}, &diag))
        fail_msg("%s", diag.text);
    return h;
}

static void push(struct weir_harness *h, int64_t id)
{
    WEIR_MUST(h, weir_harness_push(h, 0, &(struct event){id}, sizeof(struct event), id, WEIR_INSERT));
}

static bool there(const char *name)
{
    struct stat st;
    return stat(temp_path(&dir, name), &st) == 0;
}

static uint32_t n_parts(const char *folder)
{
    const char *names = temp_list(temp_path(&dir, folder));
    uint32_t n = 0;
    for (const char *at = names; (at = strstr(at, "part-")); at++) n += at == names || at[-1] == ' '; /* hidden ones have a dot in front */
    return n;
}

/* A folder gets its mark when its time comes, though its rows were written before the crash, by a subtask that is no more. */
static void a_folder_is_completed_after_a_restore(void **state)
{
    (void)state;
    temp_dir_make(&dir);
    struct weir_harness_snapshot *s = NULL, *t = NULL;
    struct weir_harness *h = open_at(build_folders, 3, NULL);
    push(h, 1);
    push(h, 12);
    WEIR_MUST(h, weir_harness_snapshot(h, &s)); /* a crash comes before the word of it */
    push(h, 2);
    weir_harness_destroy(&h);
    assert_false(there("out/ten=0/_SUCCESS"));

    h = open_at(build_folders, 2, s);
    assert_int_equal(n_parts("out/ten=0"), 1); /* what was prepared is there */
    assert_int_equal(n_parts("out/ten=1"), 1);
    push(h, 2);
    WEIR_MUST(h, weir_harness_watermark(h, 0, 9));
    WEIR_MUST(h, weir_harness_snapshot(h, &t));
    assert_false(there("out/ten=0/_SUCCESS"));
    WEIR_MUST(h, weir_harness_complete(h));
    assert_true(there("out/ten=0/_SUCCESS"));
    assert_false(there("out/ten=1/_SUCCESS")); /* its time has not come */
    assert_int_equal(n_parts("out/ten=0"), 2);
    weir_harness_destroy(&h);

    h = open_at(build_folders, 1, t);
    WEIR_MUST(h, weir_harness_finish(h));
    assert_true(there("out/ten=1/_SUCCESS"));
    assert_int_equal(n_parts("out/ten=1"), 1);
    weir_harness_destroy(&h);
    weir_harness_snapshot_destroy(&s);
    weir_harness_snapshot_destroy(&t);
    temp_dir_remove(&dir);
}

static void sums_go_on_where_they_stood(void **state)
{
    (void)state;
    struct weir_harness_snapshot *s = NULL;
    struct weir_harness *h = open_at(build_blackhole, 3, NULL);
    for (int64_t id = 0; id < 20; id++) push(h, id);
    uint64_t all = weir_harness_counter(h, "count", "checksum");
    weir_harness_destroy(&h);
    h = open_at(build_blackhole, 3, NULL);
    for (int64_t id = 0; id < 13; id++) push(h, id);
    WEIR_MUST(h, weir_harness_snapshot(h, &s));
    push(h, 77);
    weir_harness_destroy(&h);
    h = open_at(build_blackhole, 2, s);
    assert_int_equal(weir_harness_counter(h, "count", "rows"), 13);
    for (int64_t id = 13; id < 20; id++) push(h, id);
    assert_int_equal(weir_harness_counter(h, "count", "rows"), 20);
    assert_true(weir_harness_counter(h, "count", "checksum") == all);
    weir_harness_destroy(&h);
    weir_harness_snapshot_destroy(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_folder_is_completed_after_a_restore),
        cmocka_unit_test(sums_go_on_where_they_stood),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
