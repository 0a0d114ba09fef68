/* SPDX-License-Identifier: Apache-2.0 */
/* The folder of a peer: what is written is found again; a torn tail is cut; damage is refused with its place. */
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

#include "runtime/coord/disk.h"
#include "runtime/coord/epochs.h"
#include "runtime/coord/txn.h"
#include "tests/support/temp_dir.h"

#define ENTRIES_MAX 512

struct fixture {
    struct temp_dir dir;
    struct coord_disk_config config;
    struct coord_disk *disk;
    struct coord_state state;
    struct zab_recovery recovery;
    struct zxid entries[ENTRIES_MAX]; /* what was appended */
    uint32_t n;
    struct weir_diag note, diag;
};

static weir_err try_open(struct fixture *f)
{
    static const struct zab_members initial = {.n = 1, .at = {{.id = 1}}};
    coord_disk_close(&f->disk);
    history_close(&f->recovery.history);
    coord_state_close(&f->state);
    assert_int_equal(coord_state_init(&f->state), WEIR_OK);
    recovery_init(&f->recovery, &initial);
    f->diag.text[0] = '\0';
    return coord_disk_open(&f->disk, &f->config, &f->state, &f->recovery, &f->note, &f->diag);
}

static void reopen(struct fixture *f)
{
    if (try_open(f)) fail_msg("%s", f->diag.text);
}

static void refused(struct fixture *f, weir_err expected, const char *words)
{
    weir_err err = try_open(f);
    if (err != expected || !strstr(f->diag.text, words)) fail_msg("%s: %s", weir_err_name(err), err ? f->diag.text : "accepted");
}

static int begin(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    temp_dir_make(&f->dir);
    f->config = (struct coord_disk_config){.folder = f->dir.path, .cluster = {{1}}, .peer = 1, .segment_bytes = 1000};
    reopen(f);
    *state = f;
    return 0;
}

static int end(void **state)
{
    struct fixture *f = *state;
    coord_disk_close(&f->disk);
    history_close(&f->recovery.history);
    coord_state_close(&f->state);
    temp_dir_remove(&f->dir);
    free(f);
    return 0;
}

/* An entry's bytes: a transaction that counts the root's data, with a length of its own. */
static void make_txn(struct buffer *b, uint64_t number)
{
    char text[200];
    struct buffer ops = {0};
    memset(text, 'a' + (int)(number % 26), sizeof text);
    struct op op = {.type = OP_SET, .path = bytes_text("/"), .data = bytes_of(text, number * 7 % 120)};
    put_txn_op(&ops, &op);
    put_txn(b, &(struct txn){.type = TXN_WRITE, .order = number, .ms = (int64_t)number, .n_ops = 1, .ops = bytes_of(ops.data, ops.len)});
    buffer_close(&ops);
}

static struct zxid next_zxid(const struct fixture *f, uint64_t epoch)
{
    struct zxid last = coord_disk_last(f->disk);
    return last.epoch == epoch ? (struct zxid){epoch, last.counter + 1} : (struct zxid){epoch, 1};
}

static weir_err try_append(struct fixture *f, uint64_t epoch)
{
    struct buffer b = {0};
    struct zab_entry e = {.zxid = next_zxid(f, epoch), .prev = coord_disk_last(f->disk)};
    make_txn(&b, e.zxid.counter);
    e.bytes = bytes_of(b.data, b.len);
    weir_err err = coord_disk_append(f->disk, &e, &f->diag);
    if (!err) f->entries[f->n++] = e.zxid;
    buffer_close(&b);
    return err;
}

static void append(struct fixture *f, uint64_t epoch, uint32_t n)
{
    while (n-- > 0) assert_int_equal(try_append(f, epoch), WEIR_OK);
}

static void sync_log(struct fixture *f)
{
    assert_int_equal(coord_disk_sync(f->disk, &f->diag), WEIR_OK);
}

static void epochs(struct fixture *f, uint64_t epoch)
{
    assert_int_equal(coord_disk_set_epochs(f->disk, epoch, epoch, &f->diag), WEIR_OK);
}

struct expected {
    const struct fixture *f;
    uint32_t i;
};

static weir_err expect_next(void *arg, const struct zab_entry *entry, struct weir_diag *diag)
{
    struct expected *x = arg;
    struct buffer b = {0};
    (void)diag;
    assert_true(x->i < x->f->n);
    assert_true(zxid_eq(entry->zxid, x->f->entries[x->i++]));
    make_txn(&b, entry->zxid.counter);
    assert_true(bytes_equal(entry->bytes, bytes_of(b.data, b.len)));
    buffer_close(&b);
    return WEIR_OK;
}

/* The log holds exactly entries `from` to n. */
static void expect_log(struct fixture *f, uint32_t from)
{
    struct expected x = {f, from};
    struct zxid after = from ? f->entries[from - 1] : (struct zxid){0};
    assert_int_equal(coord_disk_read_log(f->disk, after, expect_next, &x, &f->diag), WEIR_OK);
    assert_int_equal(x.i, f->n);
    if (f->n > from) assert_true(zxid_eq(coord_disk_last(f->disk), f->entries[f->n - 1]));
}

/* ---- log ----------------------------------------------------------------------------------------------------------------------- */

static void what_was_synced_is_found_again(void **state)
{
    struct fixture *f = *state;
    epochs(f, 3);
    append(f, 1, 50);
    append(f, 3, 50);
    expect_log(f, 0); /* before it is durable */
    sync_log(f);
    for (uint32_t from = 0; from <= f->n; from += 7) expect_log(f, from);
    reopen(f);
    assert_int_equal(f->recovery.accepted, 3);
    assert_true(zxid_eq(f->recovery.history.last, f->entries[f->n - 1]));
    expect_log(f, 0);
    append(f, 3, 1);
    sync_log(f);
    reopen(f);
    expect_log(f, 99);
}

static void truncation_reaches_any_entry(void **state)
{
    struct fixture *f = *state;
    epochs(f, 9);
    for (uint32_t to = 0; to <= 40; to += 3) {
        append(f, 1, 40 - f->n);
        f->n = to;
        assert_int_equal(coord_disk_truncate(f->disk, to ? f->entries[to - 1] : (struct zxid){0}, &f->diag), WEIR_OK);
        expect_log(f, 0);
        if (to % 2) reopen(f);
        expect_log(f, 0);
        append(f, 1, 2);
        sync_log(f);
        reopen(f);
        expect_log(f, 0);
    }
    f->n = 10; /* another leader, another history */
    assert_int_equal(coord_disk_truncate(f->disk, f->entries[9], &f->diag), WEIR_OK);
    append(f, 9, 30);
    sync_log(f);
    reopen(f);
    expect_log(f, 0);
}

/* The path of a segment by its number. */
static const char *segment_path(struct fixture *f, uint32_t number)
{
    static char path[TEMP_PATH_MAX];
    char names[4096], *at = names;
    snprintf(names, sizeof names, "%s", temp_list(f->dir.path));
    for (char *name; (name = strsep(&at, " ")) != NULL;) {
        if (strncmp(name, "log-", 4) != 0 || number-- > 0) continue;
        snprintf(path, sizeof path, "%s", temp_path(&f->dir, name));
        return path;
    }
    return NULL;
}

/* Number of entries that recovery finds. */
static uint32_t recovered(struct fixture *f)
{
    uint32_t n = 0;
    while (n < f->n && zxid_cmp(f->entries[n], f->recovery.history.last) <= 0) n++;
    return n;
}

/* Three synced batches in one segment: ends[i] is where the bytes of entry i end. */
static char *write_batches(struct fixture *f, uint64_t *ends, size_t *len)
{
    f->config.segment_bytes = 4096;
    reopen(f);
    epochs(f, 1);
    for (int batch = 0; batch < 3; batch++) {
        append(f, 1, 3);
        sync_log(f);
    }
    coord_disk_close(&f->disk);
    uint64_t at = SEGMENT_HEAD_BYTES;
    char *bytes = temp_read(segment_path(f, 0), len);
    for (uint32_t i = 0; i < f->n; i++) {
        struct log_record rec;
        assert_true(read_log_record(bytes + at, *len - at, &rec));
        ends[i] = at += rec.size;
    }
    return bytes;
}

static bool only_zeros(const char *bytes, size_t len)
{
    while (len > 0 && bytes[len - 1] == 0) len--;
    return len == 0;
}

/* Power fails at every byte of the log: what was whole is there, the rest is cut, nothing is refused, and writing goes on. */
static void a_tail_torn_at_any_byte_is_cut(void **state)
{
    struct fixture *f = *state;
    uint64_t ends[9];
    size_t len;
    char *bytes = write_batches(f, ends, &len), *torn = malloc(len);
    const char *path = segment_path(f, 0);
    char kept[TEMP_PATH_MAX];
    snprintf(kept, sizeof kept, "%s", path);
    for (uint64_t cut = 0; cut <= ends[8]; cut++) {
        bool zeros = cut % 2; /* the file has its length already, or is short */
        memset(torn, 0, len);
        memcpy(torn, bytes, cut);
        temp_write(kept, torn, zeros ? len : cut);
        reopen(f);
        uint32_t whole = 0;
        while (whole < 9 && (ends[whole] <= cut || (zeros && only_zeros(bytes + cut, ends[whole] - cut)))) whole++;
        assert_int_equal(recovered(f), whole);
        if (cut % 50) continue;
        uint32_t n = f->n;
        f->n = whole;
        append(f, 1, 1);
        sync_log(f);
        reopen(f);
        expect_log(f, 0);
        f->n = n;
        for (uint32_t i = 0; i < n; i++) f->entries[i] = (struct zxid){1, i + 1};
    }
    free(bytes);
    free(torn);
}

/* Of the last batch any part may have reached the disk: a hole in it is a torn tail, too, though good records follow. */
static void a_hole_in_the_last_batch_is_cut(void **state)
{
    struct fixture *f = *state;
    uint64_t ends[9];
    size_t len;
    char *bytes = write_batches(f, ends, &len), *torn = malloc(len), kept[TEMP_PATH_MAX];
    snprintf(kept, sizeof kept, "%s", segment_path(f, 0));
    memcpy(torn, bytes, len);
    memset(torn + ends[5] + 8, 0, 16);
    temp_write(kept, torn, len);
    reopen(f);
    assert_int_equal(recovered(f), 6);
    coord_disk_close(&f->disk);
    char *now = temp_read(kept, &len);
    for (uint64_t i = ends[5]; i < len; i++) assert_int_equal(now[i], 0); /* nothing of it can come back */
    free(now);
    free(bytes);
    free(torn);
}

/* A byte of what was durable differs: refused, not cut. */
static void damage_of_what_was_durable_is_refused(void **state)
{
    struct fixture *f = *state;
    uint64_t ends[9];
    size_t len;
    char *bytes = write_batches(f, ends, &len), kept[TEMP_PATH_MAX];
    snprintf(kept, sizeof kept, "%s", segment_path(f, 0));
    for (uint64_t at = 0; at < ends[5]; at += at < 300 ? 1 : 13) {
        bytes[at] ^= 0x40;
        temp_write(kept, bytes, len);
        refused(f, WEIR_E_CORRUPT, at < SEGMENT_HEAD_BYTES ? "its head is damaged" : "is damaged");
        assert_non_null(strstr(f->diag.text, "log-"));
        bytes[at] ^= 0x40;
    }
    temp_write(kept, bytes, len);
    reopen(f);
    assert_int_equal(recovered(f), 9);
    free(bytes);
}

static void missing_files_are_refused(void **state)
{
    struct fixture *f = *state;
    char path[TEMP_PATH_MAX], away[TEMP_PATH_MAX];
    epochs(f, 1);
    append(f, 1, 60);
    sync_log(f);
    coord_disk_close(&f->disk);
    snprintf(away, sizeof away, "%s", temp_path(&f->dir, "away"));
    for (uint32_t i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s", segment_path(f, i));
        assert_int_equal(rename(path, away), 0);
        refused(f, WEIR_E_CORRUPT, i == 0 ? "there is no snapshot to begin with" : "is missing");
        assert_int_equal(rename(away, path), 0);
    }
    reopen(f);
    expect_log(f, 0);
    coord_disk_close(&f->disk);
    assert_int_equal(unlink(temp_path(&f->dir, EPOCHS_FILE)), 0);
    refused(f, WEIR_E_CORRUPT, "no file epochs");
}

static void a_segment_that_was_being_made_is_dropped(void **state)
{
    struct fixture *f = *state;
    char name[COORD_NAME_BYTES], zeros[1000] = {0};
    epochs(f, 1);
    append(f, 1, 60);
    sync_log(f);
    coord_disk_close(&f->disk);
    coord_name_text(name, SEGMENT_KIND, (struct coord_name){1, {1, 61}});
    for (size_t len = 0; len <= sizeof zeros; len += 500) {
        temp_write(temp_path(&f->dir, name), zeros, len);
        reopen(f);
        expect_log(f, 0);
        assert_int_not_equal(access(temp_path(&f->dir, name), F_OK), 0);
    }
    append(f, 1, 5);
    sync_log(f);
    reopen(f);
    expect_log(f, 0);
}

/* ---- epochs and the folder ------------------------------------------------------------------------------------------------------- */

static void epochs_are_whole_or_refused(void **state)
{
    struct fixture *f = *state;
    size_t len;
    epochs(f, 7);
    assert_int_equal(coord_disk_set_epochs(f->disk, 9, 7, &f->diag), WEIR_OK);
    reopen(f);
    assert_int_equal(f->recovery.accepted, 9);
    assert_int_equal(f->recovery.current, 7);
    coord_disk_close(&f->disk);
    char *bytes = temp_read(temp_path(&f->dir, EPOCHS_FILE), &len);
    temp_write(temp_path(&f->dir, EPOCHS_FILE ".tmp"), bytes, 10); /* a crash before the rename */
    reopen(f);
    assert_int_equal(f->recovery.accepted, 9);
    for (size_t i = 0; i < len; i++) {
        bytes[i] ^= 1;
        temp_write(temp_path(&f->dir, EPOCHS_FILE), bytes, len);
        refused(f, WEIR_E_CORRUPT, "epochs");
        bytes[i] ^= 1;
        temp_write(temp_path(&f->dir, EPOCHS_FILE), bytes, i);
        refused(f, WEIR_E_CORRUPT, "epochs");
    }
    free(bytes);
}

static void epochs_behind_the_log_are_refused(void **state)
{
    struct fixture *f = *state;
    append(f, 4, 1);
    sync_log(f);
    refused(f, WEIR_E_CORRUPT, "the log ends in epoch 4");
}

static void a_folder_has_one_owner(void **state)
{
    struct fixture *f = *state;
    struct coord_disk *second = NULL;
    struct coord_state s;
    struct zab_recovery r = {0};
    assert_int_equal(coord_state_init(&s), WEIR_OK);
    assert_int_equal(coord_disk_open(&second, &f->config, &s, &r, NULL, &f->diag), WEIR_E_STATE);
    assert_non_null(strstr(f->diag.text, "in use by another process"));
    coord_state_close(&s);
    f->config.peer = 2;
    refused(f, WEIR_E_ARGUMENT, "belongs to peer 1");
    f->config.peer = 1;
    f->config.cluster.bytes[0] = 9;
    refused(f, WEIR_E_ARGUMENT, "another cluster");
}

/* ---- snapshots ----------------------------------------------------------------------------------------------------------------- */

/* Applies the log up to its end to the state. */
static weir_err apply_entry(void *arg, const struct zab_entry *entry, struct weir_diag *diag)
{
    struct fixture *f = arg;
    struct applied applied = {0};
    weir_err err = txn_apply(&f->state, entry->zxid, entry->bytes, &applied, diag);
    applied_close(&applied);
    return err;
}

static void apply_log(struct fixture *f)
{
    assert_int_equal(coord_disk_read_log(f->disk, f->state.last, apply_entry, f, &f->diag), WEIR_OK);
}

static struct zxid take_snapshot(struct fixture *f)
{
    struct buffer members = {0}, slice = {0};
    struct zab_members list = {.n = 1, .at = {{.id = 1}}};
    struct image *image = image_begin(&f->state);
    struct zxid floor;
    bool last = false;
    members_encode(&list, &members);
    assert_int_equal(coord_disk_snapshot_begin(f->disk, image_zxid(image), bytes_of(members.data, members.len), &f->diag), WEIR_OK);
    while (!last) {
        buffer_clear(&slice);
        assert_int_equal(image_slice(image, 64, &slice, &last), WEIR_OK);
        assert_int_equal(coord_disk_snapshot_add(f->disk, bytes_of(slice.data, slice.len), &f->diag), WEIR_OK);
    }
    image_end(&image);
    assert_int_equal(coord_disk_snapshot_finish(f->disk, &floor, &f->diag), WEIR_OK);
    buffer_close(&members);
    buffer_close(&slice);
    return floor;
}

static void snapshots_shorten_the_log(void **state)
{
    struct fixture *f = *state;
    struct zxid floor = {0};
    epochs(f, 1);
    for (int i = 0; i < 6; i++) {
        append(f, 1, 40);
        apply_log(f);
        floor = take_snapshot(f);
    }
    assert_true(floor.counter > 100 && floor.counter <= 160); /* three snapshots, at 160, 200 and 240 */
    append(f, 1, 5);
    sync_log(f);
    reopen(f);
    assert_true(zxid_eq(f->recovery.snapshot, (struct zxid){1, 240}));
    assert_true(zxid_eq(f->state.last, (struct zxid){1, 240}));
    assert_true(zxid_eq(f->recovery.history.last, (struct zxid){1, 245}));
    assert_true(zxid_eq(coord_disk_floor(f->disk), floor));
    expect_log(f, (uint32_t)floor.counter);
    struct expected x = {f, 0};
    assert_int_equal(coord_disk_read_log(f->disk, (struct zxid){1, 1}, expect_next, &x, &f->diag), WEIR_E_NOT_FOUND);
    assert_int_equal(coord_disk_truncate(f->disk, (struct zxid){1, 239}, &f->diag), WEIR_E_CORRUPT); /* ZOOKEEPER-1549 */
    assert_true(coord_disk_failed(f->disk));
}

static void flip(const char *path, size_t at)
{
    size_t len;
    char *bytes = temp_read(path, &len);
    bytes[at < len ? at : len - 1] ^= 1;
    temp_write(path, bytes, len);
    free(bytes);
}

static void a_damaged_snapshot_is_passed_over(void **state)
{
    struct fixture *f = *state;
    char name[COORD_NAME_BYTES];
    size_t len;
    epochs(f, 1);
    for (int i = 0; i < 2; i++) {
        append(f, 1, 20);
        apply_log(f);
        take_snapshot(f);
    }
    coord_disk_close(&f->disk);
    coord_name_text(name, SNAPSHOT_KIND, (struct coord_name){1, {1, 40}});
    free(temp_read(temp_path(&f->dir, name), &len));
    flip(temp_path(&f->dir, name), len / 2);
    reopen(f);
    assert_non_null(strstr(f->note.text, name));
    assert_true(zxid_eq(f->state.last, (struct zxid){1, 20}));
    assert_true(zxid_eq(f->recovery.history.last, (struct zxid){1, 40}));
    coord_disk_close(&f->disk);
    coord_name_text(name, SNAPSHOT_KIND, (struct coord_name){1, {1, 20}});
    flip(temp_path(&f->dir, name), 3);
    refused(f, WEIR_E_CORRUPT, "there is no snapshot to begin with"); /* nor does the log reach back to the beginning */
    flip(temp_path(&f->dir, name), 3);
    reopen(f); /* refusing has changed nothing */
}

/* Sends the newest snapshot of `from` to `to`; the error of the last piece. */
static weir_err transfer(struct fixture *from, struct fixture *to, struct zxid zxid)
{
    struct coord_transfer t = COORD_TRANSFER_NONE;
    struct buffer piece = {0};
    weir_err err = WEIR_OK;
    bool last = false;
    coord_state_close(&to->state);
    assert_int_equal(coord_state_init(&to->state), WEIR_OK);
    for (uint64_t at = 0; !err && !last; at += piece.len) {
        buffer_clear(&piece);
        assert_int_equal(coord_disk_read_snapshot(from->disk, &t, at, 50, &piece, &last, &from->diag), WEIR_OK);
        err = coord_disk_install(to->disk, zxid, at, bytes_of(piece.data, piece.len), last, &to->state, &to->diag);
    }
    coord_transfer_end(&t);
    buffer_close(&piece);
    return err;
}

static void an_installed_snapshot_replaces_log_and_snapshots(void **state)
{
    struct fixture *f = *state, *other;
    begin((void **)&other);
    epochs(f, 5);
    append(f, 5, 30);
    apply_log(f);
    take_snapshot(f);
    epochs(other, 2);
    append(other, 2, 70); /* another history */
    apply_log(other);
    take_snapshot(other);
    assert_int_equal(transfer(f, other, (struct zxid){5, 29}), WEIR_E_CORRUPT); /* not what was announced */
    assert_false(coord_disk_failed(other->disk));
    epochs(other, 5);
    assert_int_equal(transfer(f, other, (struct zxid){5, 30}), WEIR_OK);
    for (int again = 0; again < 2; again++) {
        assert_true(zxid_eq(other->state.last, (struct zxid){5, 30}));
        assert_true(zxid_eq(coord_disk_last(other->disk), (struct zxid){5, 30}));
        assert_true(zxid_eq(coord_disk_floor(other->disk), (struct zxid){5, 30}));
        assert_null(segment_path(other, 0));
        if (!again) reopen(other);
    }
    other->n = 0;
    for (uint64_t i = 1; i <= 30; i++) other->entries[other->n++] = (struct zxid){5, i};
    append(other, 5, 20);
    sync_log(other);
    reopen(other);
    assert_int_equal(other->recovery.accepted, 5);
    expect_log(other, 30);
    coord_disk_close(&other->disk);
    char name[COORD_NAME_BYTES];
    coord_name_text(name, SNAPSHOT_KIND, (struct coord_name){2, {5, 30}});
    flip(temp_path(&other->dir, name), 70);
    refused(other, WEIR_E_CORRUPT, name); /* nothing else to stand on */
    end((void **)&other);
}

/* The installation is interrupted after the snapshot has its name: the old generation counts, and the new file goes. */
static void an_installation_is_whole_or_nothing(void **state)
{
    struct fixture *f = *state;
    char name[COORD_NAME_BYTES];
    epochs(f, 1);
    append(f, 1, 30);
    sync_log(f);
    coord_name_text(name, SNAPSHOT_KIND, (struct coord_name){2, {9, 9}});
    temp_write(temp_path(&f->dir, name), "whatever", 8);
    temp_write(temp_path(&f->dir, "install.tmp"), "half", 4);
    reopen(f);
    expect_log(f, 0);
    assert_int_not_equal(access(temp_path(&f->dir, name), F_OK), 0);
    assert_int_not_equal(access(temp_path(&f->dir, "install.tmp"), F_OK), 0);
}

/* ---- at random ----------------------------------------------------------------------------------------------------------------- */

/* Appends, syncs, truncations, snapshots, and the process dying: what was durable is there, and of the rest a prefix. */
static void a_random_life(void **state)
{
    struct fixture *f = *state;
    uint64_t seed = 5;
    uint32_t synced = 0, snapshot = 0;
    epochs(f, 100);
    for (int i = 0; i < 3000; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        uint32_t r = (uint32_t)(seed >> 33), what = r % 100;
        uint64_t epoch = coord_disk_last(f->disk).epoch;
        if (what < 70 && f->n < ENTRIES_MAX - 1) {
            append(f, epoch == 0 || what == 0 ? epoch + 1 : epoch, 1);
        } else if (what < 85) {
            sync_log(f);
            synced = f->n;
        } else if (what < 90) {
            uint32_t to = snapshot + r / 100 % (f->n - snapshot + 1);
            if (to == 0) continue;
            f->n = synced = to;
            assert_int_equal(coord_disk_truncate(f->disk, f->entries[to - 1], &f->diag), WEIR_OK);
        } else if (what < 93 && f->n > 0) {
            coord_state_close(&f->state);
            assert_int_equal(coord_state_init(&f->state), WEIR_OK);
            f->state.last = f->entries[f->n - 1]; /* what it holds is of no interest here */
            take_snapshot(f);
            snapshot = synced = f->n;
        } else {
            reopen(f);
            uint32_t n = recovered(f);
            assert_in_range(n, synced, f->n);
            f->n = synced = n;
        }
        uint32_t floor = 0;
        while (floor < f->n && zxid_cmp(f->entries[floor], coord_disk_floor(f->disk)) <= 0) floor++;
        if (i % 10 == 0) expect_log(f, floor);
        if (f->n == ENTRIES_MAX - 1) { /* begin anew */
            end(state);
            begin(state);
            f = *state;
            epochs(f, 100);
            synced = snapshot = 0;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_was_synced_is_found_again, begin, end),
        cmocka_unit_test_setup_teardown(truncation_reaches_any_entry, begin, end),
        cmocka_unit_test_setup_teardown(a_tail_torn_at_any_byte_is_cut, begin, end),
        cmocka_unit_test_setup_teardown(a_hole_in_the_last_batch_is_cut, begin, end),
        cmocka_unit_test_setup_teardown(damage_of_what_was_durable_is_refused, begin, end),
        cmocka_unit_test_setup_teardown(missing_files_are_refused, begin, end),
        cmocka_unit_test_setup_teardown(a_segment_that_was_being_made_is_dropped, begin, end),
        cmocka_unit_test_setup_teardown(epochs_are_whole_or_refused, begin, end),
        cmocka_unit_test_setup_teardown(epochs_behind_the_log_are_refused, begin, end),
        cmocka_unit_test_setup_teardown(a_folder_has_one_owner, begin, end),
        cmocka_unit_test_setup_teardown(snapshots_shorten_the_log, begin, end),
        cmocka_unit_test_setup_teardown(a_damaged_snapshot_is_passed_over, begin, end),
        cmocka_unit_test_setup_teardown(an_installed_snapshot_replaces_log_and_snapshots, begin, end),
        cmocka_unit_test_setup_teardown(an_installation_is_whole_or_nothing, begin, end),
        cmocka_unit_test_setup_teardown(a_random_life, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
