/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The catalog's log as a file. A fuzzer does not guess checksums, so each input is tried as it is and once more with the checksum of every
 * record put right. What opens can be written to, and holds the same when it is opened again.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "jobmanager/catalog_log.h"
#include "runtime/base/hash.h"

enum { HEAD = 32, CRC_AT = 4, CRC_FROM = 8, VALUE_LEN_AT = 24, KEY_LEN_AT = 28, LARGEST = 1 << 16 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char dir[64];

static void write_file(const uint8_t *data, size_t size)
{
    char path[96];
    if (!*dir) {
        snprintf(dir, sizeof dir, "%s", access("/dev/shm", W_OK) == 0 ? "/dev/shm/weir-fuzz-XXXXXX" : "/tmp/weir-fuzz-XXXXXX");
        if (!mkdtemp(dir)) abort();
    }
    snprintf(path, sizeof path, "%s/" CATALOG_LOG_NAME, dir);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size) abort();
    close(fd);
}

static void remove_file(void)
{
    char path[96];
    snprintf(path, sizeof path, "%s/" CATALOG_LOG_NAME, dir);
    (void)unlink(path);
    (void)rmdir(dir);
    dir[0] = '\0';
}

static uint32_t count(const struct catalog_log *log)
{
    uint32_t n;
    (void)catalog_log_all(log, &n);
    return n;
}

static void open_twice(const uint8_t *data, size_t size)
{
    struct catalog_log *log = NULL;
    struct weir_diag diag;
    uint64_t version;
    write_file(data, size);
    if (!catalog_log_open(&log, dir, &diag)) {
        const struct catalog_entry *e = catalog_log_get(log, "fuzz");
        uint32_t expected = count(log) + !e;
        if (catalog_log_put(log, "fuzz", (struct weir_bytes){"x", 1}, e ? e->version : 0, &version, &diag) != CATALOG_COMMITTED) abort();
        if (catalog_log_sync(log, &diag)) abort();
        catalog_log_close(&log);
        if (catalog_log_open(&log, dir, &diag) || count(log) != expected) abort();
        catalog_log_close(&log);
    }
    remove_file();
}

/* As if each 32 bytes that can be the head of a record were one. */
static void put_right(uint8_t *data, size_t size)
{
    memcpy(data, "WCATLG01", 8);
    for (size_t at = 8; at + HEAD <= size;) {
        uint32_t value_len;
        uint16_t key_len;
        memcpy(data + at, "WREC", 4);
        memcpy(&value_len, data + at + VALUE_LEN_AT, sizeof value_len);
        memcpy(&key_len, data + at + KEY_LEN_AT, sizeof key_len);
        size_t len = (HEAD + (size_t)key_len + value_len + 7) & ~(size_t)7;
        if (len > size - at) return;
        uint32_t crc = crc32c(0, data + at + CRC_FROM, len - CRC_FROM);
        memcpy(data + at + CRC_AT, &crc, sizeof crc);
        at += len;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > LARGEST) return 0;
    open_twice(data, size);
    if (size < 8) return 0;
    uint8_t *copy = malloc(size);
    if (!copy) abort();
    memcpy(copy, data, size);
    put_right(copy, size);
    open_twice(copy, size);
    free(copy);
    return 0;
}
