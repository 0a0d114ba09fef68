/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/checkpoint/files.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/hash.h"

#define BLOCK ((size_t)256 << 10) /* bytes read and written at once */

/* ---- the calls ----------------------------------------------------------------------------------------------------------------------- */

static weir_err write_all(int fd, const void *data, size_t length, const char *path, struct weir_diag *diag)
{
    const unsigned char *at = data;
    while (length > 0) {
        ssize_t n = write(fd, at, length);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return weir_fail_errno(diag, errno, "write %s", path);
        at += n;
        length -= (size_t)n;
    }
    return WEIR_OK;
}

/* Up to `length` bytes, fewer at the end only. */
static weir_err read_all(int fd, void *data, size_t length, size_t *got, const char *path, struct weir_diag *diag)
{
    unsigned char *at = data;
    size_t done = 0;
    while (done < length) {
        ssize_t n = read(fd, at + done, length - done);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return weir_fail_errno(diag, errno, "read %s", path);
        if (n == 0) break;
        done += (size_t)n;
    }
    *got = done;
    return WEIR_OK;
}

static weir_err open_to_read(const char *path, int *fd, struct weir_diag *diag)
{
    *fd = open(path, O_RDONLY | O_CLOEXEC);
    return *fd < 0 ? weir_fail_errno(diag, errno, "open %s", path) : WEIR_OK;
}

weir_err files_sync_folder(const char *dir, struct weir_diag *diag)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return weir_fail_errno(diag, errno, "open folder %s", dir);
    weir_err err = fsync(fd) ? weir_fail_errno(diag, errno, "fsync folder %s", dir) : WEIR_OK;
    close(fd);
    return err;
}

/* ---- a file under a temporary name --------------------------------------------------------------------------------------------------- */

struct temporary {
    int fd;
    char path[PATH_MAX];
};

static weir_err temporary_open(struct temporary *t, const char *dir, const char *name, struct weir_diag *diag)
{
    char temporary[NAME_MAX + 1];
    int length = snprintf(temporary, sizeof temporary, "%s%s-%016" PRIx64, LAYOUT_TEMPORARY, name, id_word(id_random()));
    if (length < 0 || (size_t)length >= sizeof temporary) return weir_fail(diag, WEIR_E_LIMIT, "the file name %.80s... is too long", name);
    weir_err err = layout_join(dir, temporary, t->path, diag);
    if (err) return err;
    t->fd = open(t->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    return t->fd < 0 ? weir_fail_errno(diag, errno, "make %s", t->path) : WEIR_OK;
}

/* What an earlier step gave, or the end of the file's life under this name: fsynced, and renamed to `path`. After a failure it is gone. */
static weir_err temporary_finish(struct temporary *t, weir_err err, bool durable, const char *path, struct weir_diag *diag)
{
    if (!err && durable && fsync(t->fd)) err = weir_fail_errno(diag, errno, "fsync %s", t->path);
    if (close(t->fd) && !err) err = weir_fail_errno(diag, errno, "close %s", t->path);
    if (!err && rename(t->path, path)) err = weir_fail_errno(diag, errno, "rename %s to %s", t->path, path);
    if (err) (void)unlink(t->path);
    return err;
}

weir_err files_write(const char *dir, const char *name, const void *data, size_t length, struct weir_diag *diag)
{
    char path[PATH_MAX];
    struct temporary t;
    weir_err err = layout_join(dir, name, path, diag);
    if (!err) err = temporary_open(&t, dir, name, diag);
    if (err) return err;
    err = write_all(t.fd, data, length, t.path, diag);
    return temporary_finish(&t, err, true, path, diag);
}

/* ---- reading ------------------------------------------------------------------------------------------------------------------------- */

weir_err files_read(const char *path, size_t max, struct buffer *out, struct weir_diag *diag)
{
    int fd;
    struct stat st;
    weir_err err = open_to_read(path, &fd, diag);
    if (err) return err;
    if (fstat(fd, &st)) err = weir_fail_errno(diag, errno, "look at %s", path);
    if (!err && !S_ISREG(st.st_mode)) err = weir_fail(diag, WEIR_E_CORRUPT, "%s is no file", path);
    if (!err && (uint64_t)st.st_size > max)
        err = weir_fail(diag, WEIR_E_LIMIT, "%s has %lld bytes, at most %zu are read", path, (long long)st.st_size, max);
    size_t start = out->len, got = 0, want = err ? 0 : (size_t)st.st_size;
    unsigned char *to = want ? buffer_extend(out, want) : NULL;
    if (!err && want && !to) err = weir_fail(diag, WEIR_E_NOMEM, "no memory for the %zu bytes of %s", want, path);
    if (!err) err = read_all(fd, to, want, &got, path, diag);
    if (!err && got != want) err = weir_fail(diag, WEIR_E_CORRUPT, "%s ends at byte %zu of %zu", path, got, want);
    if (err && to) out->len = start;
    close(fd);
    return err;
}

struct digest {
    struct files_seal seal;
    struct hash128 hash;
};

/* Reads `from` to its end into `digest`, and into `to` (with its path) unless that is -1. */
static weir_err pour(int from, const char *from_path, int to, const char *to_path, struct digest *digest, struct weir_diag *diag)
{
    unsigned char *block = malloc(BLOCK);
    struct hash128_state *hash = hash128_new();
    struct digest d = {0};
    weir_err err = block && hash ? WEIR_OK : weir_fail(diag, WEIR_E_NOMEM, "no memory to read %s", from_path);
    for (size_t n = 1; n > 0 && !err;) {
        err = read_all(from, block, BLOCK, &n, from_path, diag);
        if (err || n == 0) break;
        hash128_add(hash, block, n);
        d.seal.crc32c = crc32c(d.seal.crc32c, block, n);
        d.seal.bytes += n;
        if (to >= 0) err = write_all(to, block, n, to_path, diag);
    }
    if (!err) d.hash = hash128_get(hash);
    if (!err) *digest = d;
    hash128_free(hash);
    free(block);
    return err;
}

static weir_err compare(const char *path, const struct files_seal *is, const struct files_seal *want, struct weir_diag *diag)
{
    if (is->bytes != want->bytes)
        return weir_fail(diag, WEIR_E_CORRUPT, "%s has %" PRIu64 " bytes instead of %" PRIu64, path, is->bytes, want->bytes);
    if (is->crc32c != want->crc32c)
        return weir_fail(diag, WEIR_E_CORRUPT, "%s: checksum %08" PRIx32 " instead of %08" PRIx32, path, is->crc32c, want->crc32c);
    return WEIR_OK;
}

static weir_err digest_file(const char *path, const struct files_seal *seal, struct digest *digest, struct weir_diag *diag)
{
    int fd;
    weir_err err = open_to_read(path, &fd, diag);
    if (err) return err;
    err = pour(fd, path, -1, NULL, digest, diag);
    close(fd);
    return err ? err : compare(path, &digest->seal, seal, diag);
}

weir_err files_verify(const char *path, const struct files_seal *seal, struct weir_diag *diag)
{
    struct digest digest;
    return digest_file(path, seal, &digest, diag);
}

/* ---- content-named files ------------------------------------------------------------------------------------------------------------- */

/* Is a file of that length there? One of another length is as if it were not. */
static weir_err is_there(const char *path, uint64_t bytes, bool *there, struct weir_diag *diag)
{
    struct stat st;
    *there = false;
    if (stat(path, &st)) return errno == ENOENT ? WEIR_OK : weir_fail_errno(diag, errno, "look at %s", path);
    *there = S_ISREG(st.st_mode) && (uint64_t)st.st_size == bytes;
    return WEIR_OK;
}

/* As is_there, and makes it young. One that goes in between was not there. */
static weir_err is_there_young(const char *path, uint64_t bytes, bool *there, struct weir_diag *diag)
{
    weir_err err = is_there(path, bytes, there, diag);
    if (err || !*there || utimensat(AT_FDCWD, path, NULL, 0) == 0) return err;
    *there = false;
    return errno == ENOENT ? WEIR_OK : weir_fail_errno(diag, errno, "make %s young", path);
}

/* File systems that are not one, or know no links, or have enough of them. */
static bool cannot_be_linked(int errnum)
{
    return errnum == EXDEV || errnum == EPERM || errnum == EMLINK || errnum == EOPNOTSUPP || errnum == ENOSYS || errnum == EEXIST;
}

static weir_err copy_file(const char *from, const struct files_seal *seal, const char *dir, const char *name, bool durable,
                          struct weir_diag *diag)
{
    char path[PATH_MAX];
    int fd;
    struct temporary t;
    struct digest digest;
    weir_err err = layout_join(dir, name, path, diag);
    if (!err) err = open_to_read(from, &fd, diag);
    if (err) return err;
    err = temporary_open(&t, dir, name, diag);
    if (!err) {
        err = pour(fd, from, t.fd, t.path, &digest, diag);
        if (!err) err = compare(from, &digest.seal, seal, diag);
        err = temporary_finish(&t, err, durable, path, diag);
    }
    close(fd);
    return err;
}

static weir_err link_or_copy(const char *from, const struct files_seal *seal, const char *dir, const char *name, bool durable,
                             struct weir_diag *diag)
{
    char path[PATH_MAX];
    weir_err err = layout_join(dir, name, path, diag);
    if (err || link(from, path) == 0) return err;
    if (!cannot_be_linked(errno)) return weir_fail_errno(diag, errno, "link %s as %s", from, path);
    return copy_file(from, seal, dir, name, durable, diag);
}

weir_err files_put(const char *path, const struct files_seal *seal, const char *to_dir, char content[static CONTENT_NAME], uint64_t *added,
                   struct weir_diag *diag)
{
    char name[CONTENT_NAME], to[PATH_MAX];
    struct digest digest;
    bool there;
    weir_err err = WEIR_OK;
    if (content[0]) {
        memcpy(name, content, CONTENT_NAME);
    } else {
        err = digest_file(path, seal, &digest, diag);
        if (!err) (void)content_name(digest.hash, digest.seal.bytes, name);
    }
    if (!err) err = layout_join(to_dir, name, to, diag);
    if (!err) err = is_there_young(to, seal->bytes, &there, diag);
    if (!err && !there) err = link_or_copy(path, seal, to_dir, name, true, diag);
    if (err) return err;
    memcpy(content, name, CONTENT_NAME);
    if (added) *added = there ? 0 : seal->bytes;
    return WEIR_OK;
}

weir_err files_fetch(const char *dir, const char *content, const struct files_seal *seal, const char *to_dir, struct weir_diag *diag)
{
    char from[PATH_MAX], to[PATH_MAX];
    bool there;
    weir_err err = layout_join(dir, content, from, diag);
    if (!err) err = layout_join(to_dir, content, to, diag);
    if (!err) err = is_there(to, seal->bytes, &there, diag);
    if (err || there) return err;
    err = is_there(from, seal->bytes, &there, diag);
    if (err) return err;
    if (!there) return files_verify(from, seal, diag); /* which says what is wrong with it */
    return link_or_copy(from, seal, to_dir, content, false, diag);
}
