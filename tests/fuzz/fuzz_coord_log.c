/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A segment of the log, a snapshot file, a record of epochs, as they may lie on a disk. The first byte says which, and whether checksums
 * are put right first. A log that is accepted is accepted again, with the same entries; one that is refused is refused again.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "runtime/base/hash.h"
#include "runtime/coord/epochs.h"
#include "runtime/coord/log_file.h"
#include "runtime/coord/snapshot_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int folder = -1;
static char path[64];

static void must(bool condition)
{
    if (!condition) abort();
}

static void clean_up(void)
{
    unlinkat(folder, "log-0000000000000001-0000000000000001-0000000000000001", 0);
    unlinkat(folder, "file", 0);
    rmdir(path);
}

static void make_folder(void)
{
    snprintf(path, sizeof path, "%s/weir-fuzz-XXXXXX", access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
    must(mkdtemp(path) != NULL);
    folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    must(folder >= 0);
    atexit(clean_up);
}

static int put_file(const char *name, const uint8_t *data, size_t size)
{
    int fd = openat(folder, name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    must(fd >= 0);
    must(!file_write(fd, data, size, 0, name, NULL));
    return fd;
}

static void put_right(uint8_t *at, size_t len, size_t crc_at)
{
    uint32_t crc = crc_at == 0 ? crc32c(0, at + 4, len - 4) : crc32c(0, at, crc_at);
    memcpy(at + crc_at, &crc, 4);
}

/* Puts right the checksums of the head and of all records, as long as their lengths make sense. */
static void repair_log(uint8_t *bytes, size_t size)
{
    if (size < SEGMENT_HEAD_BYTES) return;
    put_right(bytes, SEGMENT_HEAD_BYTES, SEGMENT_HEAD_BYTES - 4);
    for (size_t at = SEGMENT_HEAD_BYTES; size - at >= RECORD_HEAD_BYTES;) {
        uint32_t length;
        memcpy(&length, bytes + at + 4, 4);
        if (length > RECORD_ENTRY_MAX || log_record_size(length) > size - at) return;
        put_right(bytes + at, log_record_size(length), 0);
        at += log_record_size(length);
    }
}

static weir_err count(void *arg, const struct zab_entry *entry, struct weir_diag *diag)
{
    uint64_t *sum = arg;
    (void)diag;
    *sum = *sum * 31 + hash64_seed(entry->bytes.data, entry->bytes.length, entry->zxid.counter);
    return WEIR_OK;
}

static weir_err read_log(uint64_t *sum)
{
    struct log_file *log = NULL;
    struct weir_diag diag;
    *sum = 0;
    weir_err err = log_file_open(&log, folder, 1, (struct zxid){0}, 4096, count, sum, &diag);
    must(!err || err == WEIR_E_CORRUPT);
    if (!err) {
        uint64_t again = 0;
        must(!log_file_read(log, log_file_floor(log), count, &again, &diag));
        must(again == *sum);
    }
    log_file_close(&log);
    return err;
}

static void fuzz_log(uint8_t *bytes, size_t size, bool repair)
{
    uint64_t first, second;
    if (repair) repair_log(bytes, size);
    close(put_file("log-0000000000000001-0000000000000001-0000000000000001", bytes, size));
    weir_err err = read_log(&first);
    must(read_log(&second) == err);
    must(err || first == second);
}

static void fuzz_snapshot(const uint8_t *bytes, size_t size)
{
    static struct snapshot_info info;
    struct coord_state state;
    struct weir_diag diag;
    int fd = put_file("file", bytes, size);
    must(!coord_state_init(&state));
    weir_err err = snapshot_file_read(fd, "file", &info, &state, &diag);
    must(!err || err == WEIR_E_CORRUPT);
    if (!err) must(!snapshot_file_read(fd, "file", &info, NULL, &diag));
    coord_state_close(&state);
    close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct epochs e;
    struct weir_diag diag;
    if (size == 0) return 0;
    if (folder < 0) make_folder();
    uint8_t *bytes = malloc(size);
    must(bytes != NULL);
    memcpy(bytes, data + 1, size - 1);
    if ((data[0] & 3) < 2)
        fuzz_log(bytes, size - 1, data[0] & 1);
    else if ((data[0] & 3) == 2)
        fuzz_snapshot(bytes, size - 1);
    else
        epochs_decode(bytes_of(bytes, size - 1), &e, &diag);
    free(bytes);
    return 0;
}
