/* SPDX-License-Identifier: Apache-2.0 */
#include "connectors/file/show.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "connectors/text/checksum.h"
#include "connectors/text/split.h"

#define SHOW_VERSION 1
#define FIXED_BYTES 26 /* before the strings */

/* ---- bytes ------------------------------------------------------------------------------------------------------------------------- */

static void put_u32(unsigned char *to, uint32_t value)
{
    for (int i = 0; i < 4; i++) to[i] = (unsigned char)(value >> 8 * i);
}

static uint32_t get_u32(const unsigned char *from)
{
    uint32_t value = 0;
    for (int i = 0; i < 4; i++) value |= (uint32_t)from[i] << 8 * i;
    return value;
}

static size_t put_string(unsigned char *to, const char *text)
{
    size_t length = strlen(text);
    to[0] = (unsigned char)length;
    to[1] = (unsigned char)(length >> 8);
    memcpy(to + 2, text, length);
    return length + 2;
}

/* A string with neither NUL nor more than `room` bytes; false when it is not there. */
static bool get_string(char *to, size_t room, const unsigned char **from, const unsigned char *end)
{
    if (end - *from < 2) return false;
    size_t length = (size_t)((*from)[0] | (*from)[1] << 8);
    if (length >= room || (size_t)(end - *from) - 2 < length || memchr(*from + 2, 0, length)) return false;
    memcpy(to, *from + 2, length);
    to[length] = '\0';
    *from += length + 2;
    return true;
}

weir_err show_add(struct weir_committables *out, const struct show *s, struct weir_diag *diag)
{
    unsigned char data[FIXED_BYTES + 8 + PATH_MAX + 3 * PART_NAME_MAX];
    data[0] = SHOW_VERSION;
    data[1] = (unsigned char)s->flags;
    put_u32(data + 2, s->from);
    put_u32(data + 6, s->own);
    put_u32(data + 10, s->n_own);
    put_u32(data + 14, s->crc);
    split_put_i64(data + 18, s->length);
    size_t at = FIXED_BYTES;
    at += put_string(data + at, s->dir);
    at += put_string(data + at, s->temporary);
    at += put_string(data + at, s->name);
    at += put_string(data + at, s->job);
    weir_err err = weir_committable_add(out, data, (uint32_t)at);
    return err ? weir_wrap(diag, err, "file sink") : WEIR_OK;
}

static bool is_plain(const char *name)
{
    return name[0] != '\0' && !strchr(name, '/');
}

weir_err show_read(struct show *s, struct weir_bytes committable, struct weir_diag *diag)
{
    const unsigned char *at = committable.data, *end = at + committable.length;
    if (committable.length >= FIXED_BYTES && at[0] == SHOW_VERSION) {
        *s = (struct show){.flags = at[1],
                           .from = get_u32(at + 2),
                           .own = get_u32(at + 6),
                           .n_own = get_u32(at + 10),
                           .crc = get_u32(at + 14),
                           .length = split_get_i64(at + 18)};
        at += FIXED_BYTES;
        bool whole = get_string(s->dir, sizeof s->dir, &at, end) && get_string(s->temporary, sizeof s->temporary, &at, end) &&
                     get_string(s->name, sizeof s->name, &at, end) && get_string(s->job, sizeof s->job, &at, end) && at == end;
        bool sane = s->dir[0] == '/' && (!(s->flags & SHOW_FILE) || (is_plain(s->temporary) && is_plain(s->name)));
        if (whole && sane) return WEIR_OK;
    }
    return weir_fail(diag, WEIR_E_CORRUPT, "file sink: %zu bytes that are no committable of it", (size_t)committable.length);
}

/* ---- making it true ---------------------------------------------------------------------------------------------------------------- */

enum found { FOUND_NONE, FOUND_SAME, FOUND_OTHER };

static weir_err checksum_of(int fd, const char *path, uint32_t *crc, struct weir_diag *diag)
{
    unsigned char buffer[64 << 10];
    *crc = 0;
    for (;;) {
        ssize_t n = read(fd, buffer, sizeof buffer);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return weir_fail_errno(diag, errno, "read %s", path);
        if (n == 0) return WEIR_OK;
        *crc = text_crc32(*crc, buffer, (size_t)n);
    }
}

/* What stands under the name: length and checksum say whether it is this file. */
static weir_err look(const struct show *s, const char *path, enum found *found, struct weir_diag *diag)
{
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    *found = FOUND_NONE;
    if (fd < 0 && errno == ENOENT) return WEIR_OK;
    *found = FOUND_OTHER;
    if (fd < 0) return errno == ELOOP ? WEIR_OK : weir_fail_errno(diag, errno, "read %s", path);
    struct stat st;
    uint32_t crc = ~s->crc;
    weir_err err = WEIR_OK;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size == s->length) err = checksum_of(fd, path, &crc, diag);
    if (!err && crc == s->crc) *found = FOUND_SAME;
    close(fd);
    return err;
}

/* Rename, but not over another file unless `replace`. A file system that cannot promise that gets a look before the rename. */
static int rename_part(const char *from, const char *to, bool replace)
{
    if (replace) return rename(from, to);
    int result = renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE);
    if (result == 0 || (errno != EINVAL && errno != ENOSYS)) return result;
    if (faccessat(AT_FDCWD, to, F_OK, AT_SYMLINK_NOFOLLOW) == 0) {
        errno = EEXIST;
        return -1;
    }
    return rename(from, to);
}

/* The temporary name is gone: an earlier commit has shown the file, or somebody has taken it away. */
static weir_err prove_shown(const struct show *s, const char *from, const char *to, struct weir_diag *diag)
{
    enum found found;
    weir_err err = look(s, to, &found, diag);
    if (err || found == FOUND_SAME) return err;
    if (found == FOUND_OTHER)
        return weir_fail(diag, WEIR_E_EXISTS, "%s is not the file of %" PRId64 " bytes that was prepared, and %s is gone", to, s->length,
                         from);
    return weir_fail(diag, WEIR_E_NOT_FOUND,
                     "neither %s nor %s is there: output of %" PRId64
                     " bytes would be lost; put the file back, or restore another checkpoint",
                     from, to, s->length);
}

/* The name is taken: by this file, then an earlier commit was interrupted; or by another. */
static weir_err settle_conflict(const struct show *s, const char *from, const char *to, struct weir_diag *diag)
{
    enum found found;
    weir_err err = look(s, to, &found, diag);
    if (err) return err;
    if (found == FOUND_OTHER) return weir_fail(diag, WEIR_E_EXISTS, "%s exists already; set replace, or give another folder", to);
    return unlink(from) && errno != ENOENT ? weir_fail_errno(diag, errno, "remove %s", from) : WEIR_OK;
}

static weir_err show_file(const struct show *s, struct weir_diag *diag)
{
    char from[PATH_MAX], to[PATH_MAX];
    if (!name_join(from, s->dir, s->temporary) || !name_join(to, s->dir, s->name))
        return weir_fail_errno(diag, ENAMETOOLONG, "write to folder %s", s->dir);
    weir_err err = WEIR_OK;
    if (rename_part(from, to, s->flags & SHOW_REPLACE)) {
        if (errno == ENOENT)
            err = prove_shown(s, from, to, diag);
        else if (errno == EEXIST)
            err = settle_conflict(s, from, to, diag);
        else
            err = weir_fail_errno(diag, errno, "rename to %s", to);
    }
    return err ? err : folder_sync(s->dir, diag);
}

static weir_err mark_complete(const char *dir, struct weir_diag *diag)
{
    char path[PATH_MAX];
    if (!name_join(path, dir, "_SUCCESS")) return weir_fail_errno(diag, ENAMETOOLONG, "write to folder %s", dir);
    int fd = open(path, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0666);
    if (fd < 0) return weir_fail_errno(diag, errno, "write %s", path);
    int result = fsync(fd), cause = errno;
    close(fd);
    return result ? weir_fail_errno(diag, cause, "fsync %s", path) : folder_sync(dir, diag);
}

weir_err show(const struct show *s, const struct lineage *lineage, const char *job_id, struct weir_diag *diag)
{
    const struct folder_cleaning clean = {.lineage = lineage, .job_id = job_id, .from = s->from, .own = s->own, .n_own = s->n_own};
    weir_err err = s->flags & SHOW_FILE ? show_file(s, diag) : WEIR_OK;
    bool clear = (s->flags & SHOW_CLEAR) && lineage_has(lineage, s->job);
    if (!err && clear) err = folder_remove_foreign(s->dir, &clean, diag);
    if (!err && clear) err = folder_sync(s->dir, diag);
    if (!err && (s->flags & SHOW_COMPLETE)) err = mark_complete(s->dir, diag);
    return err;
}
