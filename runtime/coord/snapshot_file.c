/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/coord/snapshot_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <unistd.h>

#include "runtime/base/assert.h"
#include "runtime/base/hash.h"

#define MAGIC 0x504e5357u /* "WSNP" */
#define VERSION 1u
#define HEAD_BYTES 32u
#define END_BYTES 24u

/* ---- writing ------------------------------------------------------------------------------------------------------------------- */

static weir_err write_out(struct snapshot_writer *w, const struct buffer *b, struct weir_diag *diag)
{
    if (b->err) return weir_fail(diag, WEIR_E_NOMEM, "no memory to write a snapshot");
    weir_err err = file_write(w->fd, b->data, b->len, (off_t)w->at, SNAPSHOT_TEMPORARY, diag);
    /* On its way to the disk from now on: the last sync, for which the log has to wait, then finds little left to do. */
    (void)sync_file_range(w->fd, (off_t)w->at, (off_t)b->len, SYNC_FILE_RANGE_WRITE);
    w->at += b->len;
    return err;
}

static void put_head(struct buffer *b, struct zxid zxid, struct weir_bytes members)
{
    put_u32(b, MAGIC);
    put_u32(b, VERSION);
    put_zxid(b, zxid);
    put_u32(b, members.length);
    uint32_t crc = b->err ? 0 : crc32c(crc32c(0, b->data, b->len), members.data, members.length);
    put_u32(b, crc);
    buffer_add(b, members.data, members.length);
}

weir_err snapshot_writer_begin(struct snapshot_writer *w, int folder, struct coord_name name, struct weir_bytes members,
                               struct weir_diag *diag)
{
    struct buffer b = {0};
    WEIR_ASSERT(members.length <= SNAPSHOT_MEMBERS_MAX);
    *w = (struct snapshot_writer){.folder = folder, .name = name};
    w->fd = openat(folder, SNAPSHOT_TEMPORARY, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (w->fd < 0) {
        weir_fail_errno(diag, errno, "create %s", SNAPSHOT_TEMPORARY);
        return WEIR_E_IO;
    }
    put_head(&b, name.zxid, members);
    weir_err err = write_out(w, &b, diag);
    buffer_close(&b);
    if (err) snapshot_writer_close(w);
    return err;
}

weir_err snapshot_writer_add(struct snapshot_writer *w, struct weir_bytes slice, struct weir_diag *diag)
{
    struct buffer b = {0};
    WEIR_ASSERT(slice.length > 0);
    put_u32(&b, slice.length);
    put_u32(&b, crc32c(0, slice.data, slice.length));
    buffer_add(&b, slice.data, slice.length);
    weir_err err = write_out(w, &b, diag);
    buffer_close(&b);
    w->n_slices++;
    return err;
}

weir_err snapshot_writer_finish(struct snapshot_writer *w, struct weir_diag *diag)
{
    struct buffer b = {0};
    char name[COORD_NAME_BYTES];
    put_u32(&b, 0);
    put_u32(&b, 0);
    put_u64(&b, w->n_slices);
    put_u64(&b, w->at);
    if (!b.err) patch_u32(&b, 4, crc32c(0, b.data + 8, END_BYTES - 8));
    weir_err err = write_out(w, &b, diag);
    buffer_close(&b);
    if (!err) err = file_sync(w->fd, SNAPSHOT_TEMPORARY, diag);
    if (err) return err;
    close(w->fd);
    w->fd = -1;
    coord_name_text(name, SNAPSHOT_KIND, w->name);
    return file_rename(w->folder, SNAPSHOT_TEMPORARY, name, diag);
}

void snapshot_writer_close(struct snapshot_writer *w)
{
    if (w->fd < 0) return;
    close(w->fd);
    unlinkat(w->folder, SNAPSHOT_TEMPORARY, 0);
    w->fd = -1;
}

/* ---- reading ------------------------------------------------------------------------------------------------------------------- */

struct reading {
    int fd;
    const char *name;
    uint64_t at, n_slices;
    struct buffer bytes;
    struct weir_diag *diag;
};

static weir_err broken(const struct reading *r, const char *what)
{
    return weir_fail(r->diag, WEIR_E_CORRUPT, "%s, byte %" PRIu64 ": %s", r->name, r->at, what);
}

/* The next n bytes, in r->bytes. */
static weir_err take(struct reading *r, uint32_t n)
{
    size_t got;
    buffer_clear(&r->bytes);
    void *to = buffer_extend(&r->bytes, n > 0 ? n : 1);
    if (!to) return weir_fail(r->diag, WEIR_E_NOMEM, "no memory to read %s", r->name);
    weir_err err = file_read(r->fd, to, n, (off_t)r->at, &got, r->name, r->diag);
    if (err) return err;
    if (got < n) return broken(r, "the file ends too early");
    r->at += n;
    return WEIR_OK;
}

static weir_err read_head(struct reading *r, struct snapshot_info *info)
{
    struct reader in;
    weir_err err = take(r, HEAD_BYTES);
    if (err) return err;
    reader_init(&in, r->bytes.data, HEAD_BYTES);
    if (read_u32(&in) != MAGIC || read_u32(&in) != VERSION) return broken(r, "not a snapshot of this version of Weir");
    info->zxid = read_zxid(&in);
    info->n_members = read_u32(&in);
    uint32_t crc = read_u32(&in), sum = crc32c(0, r->bytes.data, HEAD_BYTES - 4);
    if (info->n_members > SNAPSHOT_MEMBERS_MAX) return broken(r, "too many members");
    err = take(r, info->n_members);
    if (err) return err;
    if (crc32c(sum, r->bytes.data, info->n_members) != crc) return broken(r, "the head's checksum differs");
    memcpy(info->members, r->bytes.data, info->n_members);
    return WEIR_OK;
}

static weir_err read_end(struct reading *r, uint32_t crc)
{
    uint64_t front = r->at - 8;
    uint8_t extra;
    size_t got;
    struct reader in;
    weir_err err = take(r, END_BYTES - 8);
    if (err) return err;
    reader_init(&in, r->bytes.data, END_BYTES - 8);
    if (crc32c(0, r->bytes.data, END_BYTES - 8) != crc || read_u64(&in) != r->n_slices || read_u64(&in) != front)
        return broken(r, "the end does not fit what is in front of it");
    err = file_read(r->fd, &extra, 1, (off_t)r->at, &got, r->name, r->diag);
    return err ? err : got > 0 ? broken(r, "bytes behind the end") : WEIR_OK;
}

static weir_err read_slice_of(struct reading *r, uint32_t length, uint32_t crc, struct image_reader *image)
{
    if (length > SNAPSHOT_SLICE_MAX) return broken(r, "a slice that is too long");
    weir_err err = take(r, length);
    if (err) return err;
    if (crc32c(0, r->bytes.data, length) != crc) return broken(r, "the checksum of a slice differs");
    r->n_slices++;
    return image ? image_read(image, bytes_of(r->bytes.data, length), r->diag) : WEIR_OK;
}

static weir_err read_slices(struct reading *r, struct image_reader *image)
{
    for (;;) {
        struct reader in;
        weir_err err = take(r, 8);
        if (err) return err;
        reader_init(&in, r->bytes.data, 8);
        uint32_t length = read_u32(&in), crc = read_u32(&in);
        if (length == 0) return read_end(r, crc);
        err = read_slice_of(r, length, crc, image);
        if (err) return err;
    }
}

weir_err snapshot_file_read(int fd, const char *name, struct snapshot_info *info, struct coord_state *state, struct weir_diag *diag)
{
    struct reading r = {.fd = fd, .name = name, .diag = diag};
    struct image_reader image;
    if (state) image_reader_init(&image, state);
    weir_err err = read_head(&r, info);
    if (!err) err = read_slices(&r, state ? &image : NULL);
    if (!err && state) err = image_read_end(&image, diag);
    if (!err && state && zxid_cmp(state->last, info->zxid) > 0) err = broken(&r, "the image is of another transaction");
    buffer_close(&r.bytes);
    return err;
}
