/* SPDX-License-Identifier: Apache-2.0 */
#include "connectors/file/part.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- the file -------------------------------------------------------------------------------------------------------------------- */

/* "DIR/NAME"; false when it is longer than the system takes. */
static bool join(char to[PATH_MAX], const char *dir, const char *name)
{
    int len = snprintf(to, PATH_MAX, "%s/%s", dir, name);
    return len > 0 && len < PATH_MAX;
}

static weir_err too_long(const char *dir, struct weir_diag *diag)
{
    return weir_fail_errno(diag, ENAMETOOLONG, "write to folder %s", dir);
}

void part_init(struct part *part, const struct part_options *options)
{
    *part = (struct part){.dir = options->dir, .fd = -1};
    snprintf(part->name, sizeof part->name, "part-%05u", options->index);
    snprintf(part->temporary, sizeof part->temporary, ".part-%05u.%.32s.tmp", options->index, options->job_id);
}

weir_err part_open(struct part *part, const struct part_options *options, struct weir_diag *diag)
{
    part_init(part, options);
    char path[PATH_MAX];
    if (!join(path, part->dir, part->temporary)) return too_long(part->dir, diag);
    bool nameless = !options->always_named && access("/proc/self/fd", X_OK) == 0; /* through which it gets its name */
    if (nameless) part->fd = open(part->dir, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0666);
    if (part->fd >= 0) return WEIR_OK;
    /* EOPNOTSUPP, or EISDIR from an old kernel. Any other refusal meets us again here, with words. Left over from a killed attempt: begin
     * anew. */
    part->fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0666);
    if (part->fd < 0) return weir_fail_errno(diag, errno, "write %s", path);
    part->named = true;
    return WEIR_OK;
}

/* What failed once stays failed. */
static weir_err fail(struct part *part, const char *doing, struct weir_diag *diag)
{
    int cause = errno;
    part->failed = true;
    return weir_fail_errno(diag, cause, "%s %s/%s at byte %" PRId64, doing, part->dir, part->name, part->written);
}

static weir_err failed_before(const struct part *part, struct weir_diag *diag)
{
    return weir_fail(diag, WEIR_E_IO, "%s/%s: an earlier write or fsync of this file failed", part->dir, part->name);
}

weir_err part_write(struct part *part, const void *data, size_t len, struct weir_diag *diag)
{
    if (part->failed) return failed_before(part, diag);
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

weir_err part_sync(struct part *part, struct weir_diag *diag)
{
    if (part->failed) return failed_before(part, diag);
    return fsync(part->fd) ? fail(part, "fsync", diag) : WEIR_OK;
}

void part_pause(struct part *part)
{
    if (part->fd >= 0) close(part->fd);
    part->fd = -1;
}

weir_err part_resume(struct part *part, struct weir_diag *diag)
{
    if (part->failed) return failed_before(part, diag);
    char path[PATH_MAX];
    if (!join(path, part->dir, part->temporary)) return too_long(part->dir, diag);
    part->fd = open(path, O_WRONLY | O_APPEND | O_NOFOLLOW | O_CLOEXEC);
    return part->fd < 0 ? fail(part, "open", diag) : WEIR_OK;
}

/* Gives a file without a name its temporary one, so that one rename can show it in place of an older one. */
static weir_err give_name(struct part *part, const char *temporary, struct weir_diag *diag)
{
    if (part->named) return WEIR_OK;
    char self[64];
    snprintf(self, sizeof self, "/proc/self/fd/%d", part->fd);
    if (unlink(temporary) && errno != ENOENT) return fail(part, "name", diag); /* of an earlier attempt of this job */
    if (linkat(AT_FDCWD, self, AT_FDCWD, temporary, AT_SYMLINK_FOLLOW)) return fail(part, "name", diag);
    part->named = true;
    return WEIR_OK;
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

weir_err part_commit(struct part *part, bool replace, struct weir_diag *diag)
{
    if (part->committed) return WEIR_OK;
    if (part->failed) return failed_before(part, diag);
    char from[PATH_MAX], to[PATH_MAX];
    if (!join(from, part->dir, part->temporary) || !join(to, part->dir, part->name)) return too_long(part->dir, diag);
    weir_err err = give_name(part, from, diag);
    if (err) return err;
    if (rename_part(from, to, replace)) {
        if (errno == EEXIST) return weir_fail(diag, WEIR_E_EXISTS, "%s exists already; set replace, or give another folder", to);
        return fail(part, "rename to", diag);
    }
    part->named = false;
    err = part_sync_folder(part->dir, diag);
    part->failed = err != WEIR_OK;
    part->committed = !err;
    return err;
}

void part_close(struct part *part)
{
    char path[PATH_MAX];
    if (part->named && join(path, part->dir, part->temporary)) (void)unlink(path);
    part->named = false;
    if (part->fd >= 0) close(part->fd);
    part->fd = -1;
}

/* ---- the folder ------------------------------------------------------------------------------------------------------------------ */

weir_err part_sync_folder(const char *dir, struct weir_diag *diag)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return weir_fail_errno(diag, errno, "open folder %s", dir);
    int result = fsync(fd);
    int cause = errno;
    close(fd);
    return result ? weir_fail_errno(diag, cause, "fsync folder %s", dir) : WEIR_OK;
}

/* Makes path[0..len) if it is missing, and its name durable in `path`'s parent. */
static weir_err make_one(char *path, size_t len, struct weir_diag *diag)
{
    char after = path[len];
    path[len] = '\0';
    weir_err err = WEIR_OK;
    if (mkdir(path, 0777) == 0) {
        char *slash = strrchr(path, '/');
        char parent[PATH_MAX] = "/";
        if (slash > path) snprintf(parent, sizeof parent, "%.*s", (int)(slash - path), path);
        err = part_sync_folder(parent, diag);
    } else if (errno != EEXIST) {
        err = weir_fail_errno(diag, errno, "make folder %s", path);
    }
    path[len] = after;
    return err;
}

weir_err part_make_folder(const char *dir, struct weir_diag *diag)
{
    char path[PATH_MAX];
    size_t len = strlen(dir);
    if (len >= sizeof path) return too_long(dir, diag);
    memcpy(path, dir, len + 1);
    while (len > 1 && path[len - 1] == '/') path[--len] = '\0';
    struct stat st;
    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode)) return WEIR_OK; /* parents may be out of our reach */
    weir_err err = WEIR_OK;
    for (size_t i = 1; i <= len && !err; i++) {
        if ((i == len || path[i] == '/') && path[i - 1] != '/') err = make_one(path, i, diag);
    }
    if (err) return err;
    if (stat(path, &st)) return weir_fail_errno(diag, errno, "make folder %s", path);
    return S_ISDIR(st.st_mode) ? WEIR_OK : weir_fail_errno(diag, ENOTDIR, "make folder %s", path);
}

bool part_index(const char *name, uint32_t *index)
{
    if (strncmp(name, "part-", 5) != 0) return false;
    const char *digits = name + 5;
    size_t n = strspn(digits, "0123456789");
    if (n < 5 || n > 9 || digits[n] != '\0') return false;
    *index = (uint32_t)strtoul(digits, NULL, 10);
    return true;
}

typedef weir_err (*visit_fn)(void *arg, const char *name, struct weir_diag *diag);

/* Calls `visit` with each name in the folder, until it fails. */
static weir_err each_name(const char *dir, visit_fn visit, void *arg, struct weir_diag *diag)
{
    DIR *d = opendir(dir);
    if (!d) return weir_fail_errno(diag, errno, "open folder %s", dir);
    weir_err err = WEIR_OK;
    while (!err) {
        errno = 0;
        struct dirent *entry = readdir(d);
        if (!entry && errno) err = weir_fail_errno(diag, errno, "read folder %s", dir);
        if (!entry) break;
        err = visit(arg, entry->d_name, diag);
    }
    closedir(d);
    return err;
}

struct finding {
    bool found;
    char *name; /* 64 bytes */
};

static weir_err see_part(void *arg, const char *name, struct weir_diag *diag)
{
    struct finding *f = arg;
    uint32_t index;
    (void)diag;
    if (!part_index(name, &index)) return WEIR_OK;
    f->found = true;
    snprintf(f->name, 64, "%.63s", name);
    return WEIR_OK;
}

weir_err part_find(const char *dir, bool *found, char name[64], struct weir_diag *diag)
{
    struct finding f = {false, name};
    weir_err err = each_name(dir, see_part, &f, diag);
    if (!err) *found = f.found;
    return err;
}

struct removal {
    const char *dir;
    uint32_t from;
    const char *keep; /* NULL = none */
    const char *job_id;
};

/* ".part-NNNNN.JOB.tmp" of a job other than `job_id`. */
static bool is_left_over(const char *name, const char *job_id)
{
    size_t len = strlen(name);
    if (strncmp(name, ".part-", 6) != 0 || len < 11 || strcmp(name + len - 4, ".tmp") != 0) return false;
    size_t digits = strspn(name + 6, "0123456789");
    if (digits < 5 || name[6 + digits] != '.') return false;
    return strncmp(name + 7 + digits, job_id, strlen(job_id)) != 0;
}

static weir_err remove_name(const char *dir, const char *name, struct weir_diag *diag)
{
    char path[PATH_MAX];
    if (!join(path, dir, name)) return too_long(dir, diag);
    if (unlink(path) && errno != ENOENT) return weir_fail_errno(diag, errno, "remove %s", path);
    return WEIR_OK;
}

static weir_err remove_if_old(void *arg, const char *name, struct weir_diag *diag)
{
    const struct removal *r = arg;
    uint32_t index;
    bool old = part_index(name, &index) ? index >= r->from : is_left_over(name, r->job_id);
    if (r->keep && strcmp(name, r->keep) == 0) old = false;
    return old ? remove_name(r->dir, name, diag) : WEIR_OK;
}

weir_err part_remove_from(const char *dir, uint32_t from, const char *job_id, struct weir_diag *diag)
{
    struct removal r = {.dir = dir, .from = from, .job_id = job_id};
    return each_name(dir, remove_if_old, &r, diag);
}

weir_err part_remove_others(const struct part *part, const char *job_id, struct weir_diag *diag)
{
    struct removal r = {.dir = part->dir, .keep = part->name, .job_id = job_id};
    return each_name(part->dir, remove_if_old, &r, diag);
}

weir_err part_remove(const struct part *part, struct weir_diag *diag)
{
    return remove_name(part->dir, part->name, diag);
}
