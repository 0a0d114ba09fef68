/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/coord/epochs.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "runtime/base/hash.h"
#include "runtime/coord/file.h"

#define MAGIC 0x4f504557u /* "WEPO" */
#define VERSION 1u
#define TEMPORARY EPOCHS_FILE ".tmp"

void epochs_encode(struct buffer *b, const struct epochs *e)
{
    static const uint8_t zero[EPOCHS_BYTES];
    size_t at = b->len;
    put_u32(b, MAGIC);
    put_u32(b, VERSION);
    buffer_add(b, e->cluster.bytes, sizeof e->cluster.bytes);
    put_u32(b, e->peer);
    put_u64(b, e->accepted);
    put_u64(b, e->current);
    put_u64(b, e->generation);
    put_zxid(b, e->base);
    buffer_add(b, zero, EPOCHS_BYTES - 4 - (b->len - at));
    put_u32(b, b->err ? 0 : crc32c(0, b->data + at, EPOCHS_BYTES - 4));
}

weir_err epochs_decode(struct weir_bytes bytes, struct epochs *e, struct weir_diag *diag)
{
    struct reader r, crc;
    struct epochs read;
    if (bytes.length != EPOCHS_BYTES)
        return weir_fail(diag, WEIR_E_CORRUPT, "%s has %u bytes instead of %u", EPOCHS_FILE, bytes.length, EPOCHS_BYTES);
    reader_init(&crc, (const uint8_t *)bytes.data + EPOCHS_BYTES - 4, 4);
    if (read_u32(&crc) != crc32c(0, bytes.data, EPOCHS_BYTES - 4))
        return weir_fail(diag, WEIR_E_CORRUPT, "%s: its checksum differs", EPOCHS_FILE);
    reader_init(&r, bytes.data, EPOCHS_BYTES - 4);
    if (read_u32(&r) != MAGIC || read_u32(&r) != VERSION)
        return weir_fail(diag, WEIR_E_CORRUPT, "%s: not a file of this version of Weir", EPOCHS_FILE);
    read_exactly(&r, read.cluster.bytes, sizeof read.cluster.bytes);
    read.peer = read_u32(&r);
    read.accepted = read_u64(&r);
    read.current = read_u64(&r);
    read.generation = read_u64(&r);
    read.base = read_zxid(&r);
    if (read.current > read.accepted || read.generation == 0)
        return weir_fail(diag, WEIR_E_CORRUPT, "%s: the current epoch is above the accepted one, or no generation", EPOCHS_FILE);
    *e = read;
    return WEIR_OK;
}

static weir_err write_temporary(int folder, const struct buffer *b, struct weir_diag *diag)
{
    int fd = openat(folder, TEMPORARY, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) {
        weir_fail_errno(diag, errno, "create %s", TEMPORARY);
        return WEIR_E_IO;
    }
    weir_err err = file_write(fd, b->data, b->len, 0, TEMPORARY, diag);
    if (!err) err = file_sync(fd, TEMPORARY, diag);
    close(fd);
    return err;
}

weir_err epochs_write(int folder, const struct epochs *e, struct weir_diag *diag)
{
    struct buffer b = {0};
    epochs_encode(&b, e);
    weir_err err = b.err ? weir_fail(diag, WEIR_E_NOMEM, "no memory for %s", EPOCHS_FILE) : write_temporary(folder, &b, diag);
    buffer_close(&b);
    return err ? err : file_rename(folder, TEMPORARY, EPOCHS_FILE, diag);
}

weir_err epochs_read(int folder, struct epochs *e, struct weir_diag *diag)
{
    uint8_t bytes[EPOCHS_BYTES + 1];
    size_t got;
    int fd = openat(folder, EPOCHS_FILE, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return weir_fail_errno(diag, errno, "open %s", EPOCHS_FILE);
    weir_err err = file_read(fd, bytes, sizeof bytes, 0, &got, EPOCHS_FILE, diag);
    close(fd);
    return err ? err : epochs_decode(bytes_of(bytes, got), e, diag);
}
