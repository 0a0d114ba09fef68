/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/base/scratch.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/folder.h"

#define START_FIELD 22 /* of /proc/PID/stat, counted from 1 (proc(5)) */

/* Start time of a process; 0: there is none, or only what its parent has not collected yet. */
static unsigned long long start_of(long pid)
{
    char path[64], text[1024];
    (void)snprintf(path, sizeof path, "/proc/%ld/stat", pid);
    FILE *file = fopen(path, "re");
    if (!file) return 0;
    size_t n = fread(text, 1, sizeof text - 1, file);
    (void)fclose(file);
    text[n] = '\0';
    char *at = strrchr(text, ')'); /* behind the name, which may hold anything */
    if (at && strncmp(at, ") Z", 3) == 0) return 0;
    for (int field = 2; at && field < START_FIELD; field++) at = strchr(at + 1, ' ');
    return at ? strtoull(at + 1, NULL, 10) : 0;
}

weir_err scratch_path(const char *base, char path[static PATH_MAX], struct weir_diag *diag)
{
    unsigned long long start = start_of((long)getpid());
    if (start == 0) return weir_fail(diag, WEIR_E_IO, "cannot read /proc/self/stat");
    int n = snprintf(path, PATH_MAX, "%s/scratch-%ld-%llu", base, (long)getpid(), start);
    if (n < 0 || n >= PATH_MAX) return weir_fail(diag, WEIR_E_LIMIT, "the path of the scratch folder is too long: %s", base);
    return WEIR_OK;
}

static bool is_orphan(const char *name)
{
    long pid;
    unsigned long long start;
    char rest;
    if (sscanf(name, "scratch-%ld-%llu%c", &pid, &start, &rest) != 2 || pid <= 0) return false;
    return start_of(pid) != start;
}

void scratch_sweep(const char *base)
{
    DIR *dir = opendir(base);
    if (!dir) return;
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        char path[PATH_MAX];
        if (!is_orphan(entry->d_name)) continue;
        int n = snprintf(path, sizeof path, "%s/%s", base, entry->d_name);
        if (n > 0 && n < PATH_MAX) (void)folder_remove(path, NULL);
    }
    (void)closedir(dir);
}
