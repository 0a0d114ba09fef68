/* SPDX-License-Identifier: Apache-2.0 */
#include "taskmanager/worker/local_files.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/folder.h"

struct local_files {
    char *dir;
    struct local_file *items; /* by name */
    uint32_t n, cap;
};

weir_err local_files_new(struct local_files **out, const char *dir, struct weir_diag *diag)
{
    struct local_files *f = calloc(1, sizeof *f);
    if (f) f->dir = strdup(dir);
    weir_err err = f && f->dir ? folder_make(dir, diag) : weir_fail(diag, WEIR_E_NOMEM, "no memory for local copies");
    if (err) {
        local_files_destroy(&f);
        return weir_wrap(diag, err, "local copies of checkpoints");
    }
    *out = f;
    return WEIR_OK;
}

void local_files_destroy(struct local_files **files)
{
    struct local_files *f = *files;
    *files = NULL;
    if (!f) return;
    free(f->items);
    free(f->dir);
    free(f);
}

const char *local_files_dir(const struct local_files *files)
{
    return files->dir;
}

uint32_t local_files_count(const struct local_files *files)
{
    return files->n;
}

/* Where the name stands, or would. */
static uint32_t place_of(const struct local_files *f, const char *name)
{
    uint32_t low = 0, high = f->n;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (strcmp(f->items[middle].name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct local_file *local_files_find(struct local_files *f, const char *name)
{
    uint32_t at = place_of(f, name);
    return at < f->n && strcmp(f->items[at].name, name) == 0 ? &f->items[at] : NULL;
}

struct local_file *local_files_need(struct local_files *f, const char *name, uint64_t id)
{
    struct local_file *file = local_files_find(f, name);
    if (!file) {
        uint32_t at = place_of(f, name);
        if (f->n == f->cap) {
            uint32_t cap = f->cap ? 2 * f->cap : 64;
            struct local_file *items = realloc(f->items, cap * sizeof *items);
            if (!items) return NULL;
            f->items = items;
            f->cap = cap;
        }
        memmove(&f->items[at + 1], &f->items[at], (f->n++ - at) * sizeof *f->items);
        file = &f->items[at];
        *file = (struct local_file){0};
        (void)snprintf(file->name, sizeof file->name, "%s", name);
    }
    if (id > file->needed_by) file->needed_by = id;
    return file;
}

static void remove_foreign(struct local_files *f, int folder)
{
    DIR *dir = opendir(f->dir);
    if (!dir) return;
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        if (!local_files_find(f, entry->d_name)) (void)unlinkat(folder, entry->d_name, 0);
    }
    (void)closedir(dir);
}

void local_files_release(struct local_files *f, uint64_t id, bool foreign)
{
    int folder = open(f->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0) return; /* it has gone as a whole */
    uint32_t n = 0;
    for (uint32_t i = 0; i < f->n; i++) {
        if (f->items[i].needed_by < id)
            (void)unlinkat(folder, f->items[i].name, 0);
        else
            f->items[n++] = f->items[i];
    }
    f->n = n;
    if (foreign) remove_foreign(f, folder);
    (void)close(folder);
}
