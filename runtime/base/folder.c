/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/base/folder.h"

#include <errno.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define OPEN_MAX_FOLDERS 16

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *where)
{
    (void)st, (void)type, (void)where;
    return remove(path) && errno != ENOENT ? -1 : 0;
}

weir_err folder_remove(const char *path, struct weir_diag *diag)
{
    if (nftw(path, remove_one, OPEN_MAX_FOLDERS, FTW_DEPTH | FTW_PHYS) == 0 || errno == ENOENT) return WEIR_OK;
    return weir_fail_errno(diag, errno, "remove folder %s", path);
}

static weir_err make_one(const char *path, struct weir_diag *diag)
{
    if (mkdir(path, 0700) == 0 || errno == EEXIST) return WEIR_OK;
    return weir_fail_errno(diag, errno, "make folder %s", path);
}

weir_err folder_make(const char *path, struct weir_diag *diag)
{
    char part[PATH_MAX];
    if (strlen(path) >= sizeof part) return weir_fail(diag, WEIR_E_LIMIT, "the path of a folder is too long: %s", path);
    for (const char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        (void)snprintf(part, sizeof part, "%.*s", (int)(slash - path), path);
        weir_err err = make_one(part, diag);
        if (err) return err;
    }
    weir_err err = make_one(path, diag);
    if (err) return err;
    struct stat st; /* in a folder like /tmp, others may have been first */
    if (lstat(path, &st) != 0) return weir_fail_errno(diag, errno, "look at folder %s", path);
    if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid())
        return weir_fail(diag, WEIR_E_IO, "%s is no folder of this user: remove it, or name another one", path);
    return WEIR_OK;
}

weir_err folder_have(const char *path, struct weir_diag *diag)
{
    struct stat st;
    if (stat(path, &st) != 0) return errno == ENOENT ? folder_make(path, diag) : weir_fail_errno(diag, errno, "look at folder %s", path);
    return S_ISDIR(st.st_mode) ? WEIR_OK : weir_fail(diag, WEIR_E_IO, "%s is no folder: remove it, or name another one", path);
}
