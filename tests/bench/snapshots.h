/* SPDX-License-Identifier: Apache-2.0 */
/* What the owner of snapshots does with their files, for the benchmarks of state. */
#ifndef WEIR_TESTS_BENCH_SNAPSHOTS_H
#define WEIR_TESTS_BENCH_SNAPSHOTS_H

#include <stdbool.h>

#include "runtime/state/keyed.h"
#include "tests/bench/place.h"

static inline void snapshot_path(char path[PLACE_PATH_MAX], const char *dir, const struct keyed_file *file)
{
    if (snprintf(path, PLACE_PATH_MAX, "%s/%s", dir, file->name) >= (int)PLACE_PATH_MAX) bench_die("a path is too long");
}

static inline bool snapshot_names(const struct keyed_files *files, const char *name)
{
    for (uint32_t i = 0; i < files->n; i++) {
        if (strcmp(files->items[i].name, name) == 0) return true;
    }
    return false;
}

/* Removes what the newer list does not name any more, and closes the older one. */
static inline void snapshot_retire(const char *dir, struct keyed_files *older, const struct keyed_files *newer)
{
    char path[PLACE_PATH_MAX];
    for (uint32_t i = 0; i < older->n; i++) {
        if (snapshot_names(newer, older->items[i].name)) continue;
        snapshot_path(path, dir, &older->items[i]);
        (void)remove(path);
    }
    keyed_files_close(older);
}

#endif
