/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A peer's folder on a disk that fails: the Nth call that changes a file, N = 1, 2, ..., until the story is over before the Nth. Whatever
 * fails is told, ends the use of the disk for good, and leaves a folder from which everything durable is recovered. Run with
 * LD_PRELOAD=<faultfs>; without it the tests are skipped.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <dlfcn.h>
#include <errno.h>

#include <cmocka.h>

#include "runtime/coord/disk.h"
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
    struct coord_disk *disk;
    struct coord_state state;
    struct zab_recovery recovery;
    uint64_t durable, appended; /* counters of epoch 1 */
    uint64_t accepted;          /* known to be durable */
    struct weir_diag diag;
};

static weir_err open_disk(struct story *s)
{
    static const struct zab_members initial = {.n = 1, .at = {{.id = 1}}};
    struct coord_disk_config config = {.folder = s->dir.path, .cluster = {{1}}, .peer = 1, .segment_bytes = 400, .keep = 1};
    history_close(&s->recovery.history);
    coord_state_close(&s->state);
    assert_int_equal(coord_state_init(&s->state), WEIR_OK);
    recovery_init(&s->recovery, &initial);
    return coord_disk_open(&s->disk, &config, &s->state, &s->recovery, NULL, &s->diag);
}

static weir_err append(struct story *s, uint64_t n)
{
    weir_err err = WEIR_OK;
    for (; !err && n > 0; n--) {
        struct zxid last = coord_disk_last(s->disk);
        struct zab_entry e = {.zxid = {1, last.counter + 1}, .prev = last, .bytes = bytes_text("an entry")};
        err = coord_disk_append(s->disk, &e, &s->diag);
        if (!err) s->appended = e.zxid.counter;
    }
    if (!err) err = coord_disk_sync(s->disk, &s->diag);
    if (!err) s->durable = s->appended;
    return err;
}

static weir_err write_snapshot(struct story *s)
{
    struct zab_members list = {.n = 1, .at = {{.id = 1}}};
    struct buffer members = {0}, slice = {0};
    struct zxid floor;
    bool last;
    s->state.last = coord_disk_last(s->disk);
    struct image *image = image_begin(&s->state);
    assert_int_equal(image_slice(image, IMAGE_SLICE_BYTES, &slice, &last), WEIR_OK);
    image_end(&image);
    members_encode(&list, &members);
    weir_err err = coord_disk_snapshot_begin(s->disk, s->state.last, bytes_of(members.data, members.len), &s->diag);
    if (!err) err = coord_disk_snapshot_add(s->disk, bytes_of(slice.data, slice.len), &s->diag);
    if (!err) err = coord_disk_snapshot_finish(s->disk, &floor, &s->diag);
    buffer_close(&members);
    buffer_close(&slice);
    return err;
}

/* The newest snapshot, installed where it came from: log and snapshots are replaced by it. */
static weir_err install(struct story *s)
{
    struct coord_transfer t = COORD_TRANSFER_NONE;
    struct buffer bytes = {0};
    bool last;
    weir_err err = coord_disk_read_snapshot(s->disk, &t, 0, 1u << 20, &bytes, &last, &s->diag);
    coord_transfer_end(&t);
    coord_state_close(&s->state);
    assert_int_equal(coord_state_init(&s->state), WEIR_OK);
    if (!err) err = coord_disk_install(s->disk, t.info.zxid, 0, bytes_of(bytes.data, bytes.len), true, &s->state, &s->diag);
    buffer_close(&bytes);
    return err;
}

static weir_err set_epochs(struct story *s, uint64_t epoch)
{
    weir_err err = coord_disk_set_epochs(s->disk, epoch, epoch, &s->diag);
    if (!err) s->accepted = epoch;
    return err;
}

static weir_err tell(struct story *s)
{
    weir_err err = open_disk(s);
    if (!err) err = set_epochs(s, 1);
    if (!err) err = append(s, 10);
    if (!err) err = append(s, 3);
    if (!err) s->durable = 12; /* what is dropped may be gone, or not */
    if (!err) err = coord_disk_truncate(s->disk, (struct zxid){1, 12}, &s->diag);
    if (!err) err = write_snapshot(s);
    if (!err) err = append(s, 10);
    if (!err) err = write_snapshot(s);
    if (!err) err = set_epochs(s, 2);
    if (!err) err = install(s);
    if (!err) err = append(s, 10);
    return err;
}

/* After a failure nothing is taken any more. */
static void expect_dead(struct story *s)
{
    if (!s->disk) return; /* it was not even opened */
    assert_true(coord_disk_failed(s->disk));
    struct zxid last = coord_disk_last(s->disk);
    struct zab_entry e = {.zxid = {last.epoch + 1, 1}, .prev = last, .bytes = bytes_text("x")};
    assert_int_equal(coord_disk_append(s->disk, &e, &s->diag), WEIR_E_IO);
    assert_int_equal(coord_disk_sync(s->disk, &s->diag), WEIR_E_IO);
    assert_int_equal(coord_disk_set_epochs(s->disk, 9, 9, &s->diag), WEIR_E_IO);
}

static void expect_recovered(struct story *s)
{
    coord_disk_close(&s->disk);
    if (open_disk(s)) fail_msg("%s", s->diag.text);
    assert_true(s->recovery.accepted >= s->accepted);
    assert_true(coord_disk_last(s->disk).counter >= s->durable);
    assert_true(coord_disk_last(s->disk).counter <= 33);
    assert_int_equal(append(s, 5), WEIR_OK);
}

static void every_failure(uint32_t ops, int errnum)
{
    if (!fault_set) skip();
    for (uint64_t n = 1;; n++) {
        struct story s = {0};
        uint32_t failed;
        temp_dir_make(&s.dir);
        fault_set(s.dir.path, ops, n, errnum, false);
        weir_err err = tell(&s);
        fault_count(&failed, NULL, 0);
        fault_set("", 0, 0, 0, false);
        if (err) expect_dead(&s);
        if (failed && failed != WEIR_FAULT_FALLOCATE) assert_int_not_equal(err, WEIR_OK);
        expect_recovered(&s);
        coord_disk_close(&s.disk);
        history_close(&s.recovery.history);
        coord_state_close(&s.state);
        temp_dir_remove(&s.dir);
        if (failed) continue;
        assert_true(n > 3);
        return;
    }
}

static void a_disk_that_is_full(void **state)
{
    (void)state;
    every_failure(WEIR_FAULT_ALL, ENOSPC);
}

static void a_disk_that_breaks(void **state)
{
    (void)state;
    every_failure(WEIR_FAULT_ALL, EIO);
}

static void a_sync_that_fails(void **state)
{
    (void)state;
    every_failure(WEIR_FAULT_SYNCS, EIO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_disk_that_is_full),
        cmocka_unit_test(a_disk_that_breaks),
        cmocka_unit_test(a_sync_that_fails),
    };
    return cmocka_run_group_tests(tests, find_faults, NULL);
}
