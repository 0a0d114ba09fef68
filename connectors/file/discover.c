/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file that can be cut is cut into as many equal ranges as there are subtasks, unless they became smaller than split_bytes: each subtask
 * then reads one run of each file, and a file's times advance in all of them alike.
 */
#include "connectors/file/discover.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "connectors/text/row_text.h"
#include "connectors/text/split.h"

#define SPLIT_BYTES_DEFAULT (1 << 20)

/* ---- the files ------------------------------------------------------------------------------------------------------------------- */

struct paths {
    char **items;
    size_t n, cap;
};

static void paths_close(struct paths *paths)
{
    for (size_t i = 0; i < paths->n; i++) free(paths->items[i]);
    free(paths->items);
}

static weir_err paths_add(struct paths *paths, char *path, struct weir_diag *diag)
{
    if (paths->n == paths->cap && path) {
        size_t cap = paths->cap ? paths->cap * 2 : 64;
        char **items = realloc(paths->items, cap * sizeof *items);
        if (!items) {
            free(path);
            path = NULL;
        } else {
            paths->items = items;
            paths->cap = cap;
        }
    }
    if (!path) return weir_fail(diag, WEIR_E_NOMEM, "no memory for the list of input files");
    paths->items[paths->n++] = path;
    return WEIR_OK;
}

/* Sub-folders, pipes and devices in a folder are not input; a link counts as what it leads to. */
static weir_err add_if_regular(struct paths *paths, const char *folder, const char *name, struct weir_diag *diag)
{
    char *path = NULL;
    if (asprintf(&path, "%s/%s", folder, name) < 0) return paths_add(paths, NULL, diag);
    struct stat st;
    if (stat(path, &st)) {
        weir_err err = weir_fail_errno(diag, errno, "read %s", path);
        free(path);
        return err;
    }
    if (S_ISREG(st.st_mode)) return paths_add(paths, path, diag);
    free(path);
    return WEIR_OK;
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static weir_err list_folder(struct paths *paths, const char *folder, struct weir_diag *diag)
{
    DIR *dir = opendir(folder);
    if (!dir) return weir_fail_errno(diag, errno, "read folder %s", folder);
    weir_err err = WEIR_OK;
    while (!err) {
        errno = 0;
        struct dirent *entry = readdir(dir);
        if (!entry && errno) err = weir_fail_errno(diag, errno, "read folder %s", folder);
        if (!entry) break;
        if (entry->d_name[0] != '.' && entry->d_name[0] != '_') err = add_if_regular(paths, folder, entry->d_name, diag);
    }
    closedir(dir);
    if (paths->n) qsort(paths->items, paths->n, sizeof *paths->items, by_bytes); /* the same order whatever the file system's is */
    return err;
}

static weir_err list_input(struct paths *paths, const char *path, struct weir_diag *diag)
{
    struct stat st;
    if (stat(path, &st)) return weir_fail_errno(diag, errno, "read %s", path);
    if (S_ISDIR(st.st_mode)) return list_folder(paths, path, diag);
    return paths_add(paths, strdup(path), diag); /* what it is, input_identify will see */
}

/* ---- the splits ------------------------------------------------------------------------------------------------------------------ */

static weir_err cut(const char *path, const struct weir_file_source *config, uint32_t ranges_max, struct weir_splits *splits,
                    struct weir_diag *diag)
{
    struct split split = {.path = path, .end = INT64_MAX};
    weir_err err = input_identify(path, &split.identity, diag);
    if (err) return err;
    int64_t size = split.identity.size;
    if (config->multiline || input_codec_of(path) != INPUT_PLAIN) return split_add(splits, &split, diag);
    int64_t n = size / (config->split_bytes ? config->split_bytes : SPLIT_BYTES_DEFAULT);
    n = n < 1 ? 1 : n > ranges_max ? ranges_max : n;
    for (int64_t i = 0; i < n && !err; i++) {
        split.begin = size / n * i + size % n * i / n; /* = size * i / n without overflow */
        split.end = size / n * (i + 1) + size % n * (i + 1) / n;
        if (split.begin < split.end) err = split_add(splits, &split, diag); /* an empty file has no lines */
    }
    return err;
}

static weir_err check_config(const struct weir_file_source *c, struct weir_diag *diag)
{
    if (!c->path || !*c->path) return weir_fail(diag, WEIR_E_ARGUMENT, "file source: no path");
    if (c->format > WEIR_FILE_JSON) return weir_fail(diag, WEIR_E_ARGUMENT, "file source: %d is no format", (int)c->format);
    if (c->time_format > WEIR_FILE_TIME_ISO)
        return weir_fail(diag, WEIR_E_ARGUMENT, "file source: %d is no time format", (int)c->time_format);
    if (c->multiline && c->format != WEIR_FILE_CSV) return weir_fail(diag, WEIR_E_ARGUMENT, "file source: multiline is for CSV only");
    if (c->split_bytes < 0) return weir_fail(diag, WEIR_E_ARGUMENT, "file source: split_bytes is negative");
    if (c->format == WEIR_FILE_LINES) return c->schema ? weir_fail(diag, WEIR_E_ARGUMENT, "file source: LINES takes no schema") : WEIR_OK;
    struct row_text row = {0}; /* only to check the schema */
    weir_err err = row_text_init(&row, c->schema, c->time_format, diag);
    row_text_close(&row);
    return err ? weir_wrap(diag, err, "file source") : WEIR_OK;
}

weir_err file_discover(const void *config, uint32_t parallelism, struct weir_splits *splits, struct weir_diag *diag)
{
    const struct weir_file_source *c = config;
    weir_err err = check_config(c, diag);
    if (err) return err;
    struct paths paths = {0};
    err = list_input(&paths, c->path, diag);
    uint32_t room = paths.n ? (uint32_t)(WEIR_SPLITS_MAX / paths.n) : 1; /* many files: rather whole ones than too many splits */
    uint32_t ranges = parallelism < room ? parallelism : room;
    for (size_t i = 0; i < paths.n && !err; i++) err = cut(paths.items[i], c, ranges ? ranges : 1, splits, diag);
    paths_close(&paths);
    return err;
}
