/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/coord/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

void coord_name_text(char out[static COORD_NAME_BYTES], const char *kind, struct coord_name name)
{
    snprintf(out, COORD_NAME_BYTES, "%s-%016" PRIx64 "-%016" PRIx64 "-%016" PRIx64, kind, name.generation, name.zxid.epoch,
             name.zxid.counter);
}

bool coord_name_parse(const char *text, const char *kind, struct coord_name *out)
{
    char again[COORD_NAME_BYTES];
    struct coord_name n;
    size_t skip = strlen(kind);
    if (strncmp(text, kind, skip) != 0) return false;
    if (sscanf(text + skip, "-%16" SCNx64 "-%16" SCNx64 "-%16" SCNx64, &n.generation, &n.zxid.epoch, &n.zxid.counter) != 3) return false;
    coord_name_text(again, kind, n);
    if (strcmp(again, text) != 0) return false;
    *out = n;
    return true;
}

static weir_err failed(struct weir_diag *diag, const char *what, const char *name)
{
    weir_fail_errno(diag, errno, "%s %s", what, name);
    if (diag) diag->code = WEIR_E_IO;
    return WEIR_E_IO;
}

weir_err file_write(int fd, const void *data, size_t len, off_t at, const char *name, struct weir_diag *diag)
{
    const uint8_t *from = data;
    while (len > 0) {
        ssize_t n = pwrite(fd, from, len, at);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return failed(diag, "write", name);
        from += n;
        at += n;
        len -= (size_t)n;
    }
    return WEIR_OK;
}

weir_err file_read(int fd, void *data, size_t len, off_t at, size_t *got, const char *name, struct weir_diag *diag)
{
    uint8_t *to = data;
    *got = 0;
    while (*got < len) {
        ssize_t n = pread(fd, to + *got, len - *got, at + (off_t)*got);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return failed(diag, "read", name);
        if (n == 0) break;
        *got += (size_t)n;
    }
    return WEIR_OK;
}

weir_err file_sync(int fd, const char *name, struct weir_diag *diag)
{
    return fdatasync(fd) ? failed(diag, "make durable", name) : WEIR_OK;
}

weir_err file_sync_folder(int folder, struct weir_diag *diag)
{
    return fsync(folder) ? failed(diag, "make durable", "the folder") : WEIR_OK;
}

weir_err file_rename(int folder, const char *from, const char *to, struct weir_diag *diag)
{
    char whole[64 + COORD_NAME_BYTES], old[64 + COORD_NAME_BYTES];
    snprintf(old, sizeof old, "/proc/self/fd/%d/%s", folder, from);
    snprintf(whole, sizeof whole, "/proc/self/fd/%d/%s", folder, to);
    if (rename(old, whole)) return failed(diag, "rename to", to);
    return file_sync_folder(folder, diag);
}

weir_err file_remove(int folder, const char *name, struct weir_diag *diag)
{
    return unlinkat(folder, name, 0) && errno != ENOENT ? failed(diag, "remove", name) : WEIR_OK;
}

weir_err file_size(int fd, uint64_t *out, const char *name, struct weir_diag *diag)
{
    struct stat st;
    if (fstat(fd, &st)) return failed(diag, "size of", name);
    *out = (uint64_t)st.st_size;
    return WEIR_OK;
}

static int by_name(const void *a, const void *b)
{
    const struct coord_name *x = a, *y = b;
    if (x->generation != y->generation) return x->generation < y->generation ? -1 : 1;
    return zxid_cmp(x->zxid, y->zxid);
}

/* All names of a kind, sorted; the caller frees them. */
static weir_err gather(DIR *d, const char *kind, struct coord_name **names, size_t *n, struct weir_diag *diag)
{
    const struct dirent *entry;
    struct coord_name name;
    size_t cap = 0;
    for (errno = 0; (entry = readdir(d)) != NULL; errno = 0) {
        if (!coord_name_parse(entry->d_name, kind, &name)) continue;
        if (*n == cap) {
            cap = cap ? 2 * cap : 16;
            struct coord_name *moved = realloc(*names, cap * sizeof *moved);
            if (!moved) return weir_fail(diag, WEIR_E_NOMEM, "no memory for the names of %zu files", cap);
            *names = moved;
        }
        (*names)[(*n)++] = name;
    }
    if (errno) return failed(diag, "list", kind);
    if (*n > 0) qsort(*names, *n, sizeof **names, by_name);
    return WEIR_OK;
}

weir_err file_list(int folder, const char *kind, file_visit *visit, void *arg, struct weir_diag *diag)
{
    struct coord_name *names = NULL;
    size_t n = 0;
    int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
    if (!d) {
        if (fd >= 0) close(fd);
        return failed(diag, "list", kind);
    }
    weir_err err = gather(d, kind, &names, &n, diag);
    closedir(d);
    for (size_t i = 0; !err && i < n; i++) err = visit(arg, names[i], diag);
    free(names);
    return err;
}
