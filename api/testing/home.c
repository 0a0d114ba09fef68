/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/testing/harness.h"
#include "runtime/base/folder.h"

weir_err home_new(struct home **out, struct weir_diag *diag)
{
    char path[PATH_MAX];
    const char *base = getenv("TMPDIR");
    if (snprintf(path, sizeof path, "%s/weir-harness-XXXXXX", base && *base ? base : "/tmp") >= (int)sizeof path)
        return weir_fail(diag, WEIR_E_LIMIT, "TMPDIR is too long a path");
    struct home *home = calloc(1, sizeof *home + strlen(path) + 1);
    if (!home) return weir_fail(diag, WEIR_E_NOMEM, "no memory for a harness");
    if (!mkdtemp(path)) {
        free(home);
        return weir_fail_errno(diag, errno, "make a folder for the harness: %s", path);
    }
    memcpy(home->path, path, strlen(path) + 1);
    home->n_keepers = 1;
    *out = home;
    return WEIR_OK;
}

void home_release(struct home **home_)
{
    struct home *home = *home_;
    *home_ = NULL;
    if (!home || --home->n_keepers > 0) return;
    (void)folder_remove(home->path, NULL);
    free(home);
}
