/* SPDX-License-Identifier: Apache-2.0 */
#include "connectors/file/part.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "connectors/text/checksum.h"

static weir_err too_long(const char *dir, struct weir_diag *diag)
{
    return weir_fail_errno(diag, ENAMETOOLONG, "write to folder %s", dir);
}

weir_err part_open(struct part *part, const char *dir, const char *temporary, bool always_named, struct weir_diag *diag)
{
    *part = (struct part){.dir = dir, .fd = -1};
    snprintf(part->temporary, sizeof part->temporary, "%s", temporary);
    char path[PATH_MAX];
    if (!name_join(path, dir, temporary)) return too_long(dir, diag);
    bool nameless = !always_named && access("/proc/self/fd", X_OK) == 0; /* through which it gets its name */
    if (nameless) part->fd = open(dir, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0666);
    if (part->fd >= 0) return WEIR_OK;
    /* EOPNOTSUPP, or EISDIR from an old kernel. Any other refusal meets us again here, with words. */
    part->fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
    if (part->fd < 0) return weir_fail_errno(diag, errno, "write %s", path);
    part->named = true;
    return WEIR_OK;
}

/* What failed once stays failed. */
static weir_err fail(struct part *part, const char *doing, struct weir_diag *diag)
{
    int cause = errno;
    part->failed = true;
    return weir_fail_errno(diag, cause, "%s %s/%s at byte %" PRId64, doing, part->dir, part->temporary, part->written);
}

static weir_err failed_before(const struct part *part, struct weir_diag *diag)
{
    return weir_fail(diag, WEIR_E_IO, "%s/%s: an earlier write or fsync of this file failed", part->dir, part->temporary);
}

weir_err part_write(struct part *part, const void *data, size_t len, struct weir_diag *diag)
{
    if (part->failed) return failed_before(part, diag);
    part->crc = text_crc32(part->crc, data, len);
    const char *from = data;
    while (len > 0) {
        ssize_t n = write(part->fd, from, len);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return fail(part, "write", diag);
        from += n;
        len -= (size_t)n;
        part->written += n;
    }
    return WEIR_OK;
}

static weir_err sync_file(struct part *part, struct weir_diag *diag)
{
    if (part->failed) return failed_before(part, diag);
    return fsync(part->fd) ? fail(part, "fsync", diag) : WEIR_OK;
}

weir_err part_pause(struct part *part, struct weir_diag *diag)
{
    weir_err err = sync_file(part, diag);
    if (err) return err;
    close(part->fd);
    part->fd = -1;
    return WEIR_OK;
}

weir_err part_resume(struct part *part, struct weir_diag *diag)
{
    if (part->failed) return failed_before(part, diag);
    char path[PATH_MAX];
    if (!name_join(path, part->dir, part->temporary)) return too_long(part->dir, diag);
    part->fd = open(path, O_WRONLY | O_APPEND | O_NOFOLLOW | O_CLOEXEC);
    return part->fd < 0 ? fail(part, "open", diag) : WEIR_OK;
}

static weir_err give_name(struct part *part, struct weir_diag *diag)
{
    char self[64], path[PATH_MAX];
    if (!name_join(path, part->dir, part->temporary)) return too_long(part->dir, diag);
    snprintf(self, sizeof self, "/proc/self/fd/%d", part->fd);
    if (linkat(AT_FDCWD, self, AT_FDCWD, path, AT_SYMLINK_FOLLOW)) return fail(part, "name", diag);
    part->named = true;
    return WEIR_OK;
}

weir_err part_seal(struct part *part, bool name, struct weir_diag *diag)
{
    weir_err err = part->fd >= 0 ? sync_file(part, diag) : WEIR_OK; /* a paused one is durable already */
    if (err || !name) return err;
    if (!part->named) err = give_name(part, diag);
    if (!err) err = folder_sync(part->dir, diag);
    if (!err) part_discard(part, false);
    return err;
}

void part_discard(struct part *part, bool remove)
{
    char path[PATH_MAX];
    if (remove && part->named && name_join(path, part->dir, part->temporary)) (void)unlink(path);
    if (remove) part->named = false;
    if (part->fd >= 0) close(part->fd);
    part->fd = -1;
}
