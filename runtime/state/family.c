/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/state/family.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/assert.h"
#include "runtime/state/internal.h"

/* ---- files ------------------------------------------------------------------------------------------------------------------------ */

weir_err file_list_add(struct file_list *list, const struct keyed_file *file)
{
    if (list->n == list->cap) {
        uint32_t cap = list->cap ? list->cap * 2 : 8;
        struct keyed_file *items = realloc(list->items, cap * sizeof *items);
        if (!items) return WEIR_E_NOMEM;
        list->items = items;
        list->cap = cap;
    }
    list->items[list->n++] = *file;
    return WEIR_OK;
}

weir_err file_list_append(struct file_list *list, const struct file_list *from)
{
    weir_err err = WEIR_OK;
    for (uint32_t i = 0; i < from->n && !err; i++) err = file_list_add(list, &from->items[i]);
    return err;
}

void file_list_close(struct file_list *list)
{
    free(list->items);
    *list = (struct file_list){0};
}

uint64_t file_list_bytes(const struct file_list *list)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < list->n; i++) bytes += list->items[i].bytes;
    return bytes;
}

/* ---- life ------------------------------------------------------------------------------------------------------------------------- */

weir_err family_new(struct family **out, struct state_slot *slot, const struct family_options *options, struct weir_diag *diag)
{
    struct family *f = calloc(1, sizeof *f);
    if (f) f->name = strdup(options->name);
    if (!f || !f->name) {
        free(f);
        return weir_fail(diag, WEIR_E_NOMEM, "state '%s': out of memory", options->name);
    }
    f->slot = slot;
    f->options = *options;
    f->options.name = f->name;
    f->dirty = 1;
    f->next = slot->families;
    if (f->next) f->next->prev = f;
    slot->families = f;
    *out = f;
    return WEIR_OK;
}

void family_destroy(struct family **family)
{
    struct family *f = *family;
    if (!f) return;
    WEIR_ASSERT(f->stores == NULL);
    WEIR_ASSERT(f->frozen == NULL);
    struct state_slot *slot = f->slot;
    if (slot->writing && slot->writing->family == f) (void)write_out_end(slot, true);
    if (f->prev)
        f->prev->next = f->next;
    else
        slot->families = f->next;
    if (f->next) f->next->prev = f->prev;
    if (slot->hand == f) slot->hand = NULL; /* from the front */
    rocks_family_destroy(&f->keeper);
    run_ranges_close(f->ranges, f->n_ranges);
    file_list_close(&f->files);
    file_list_close(&f->spills);
    free(f->turn.key);
    free(f->name);
    free(f);
    *family = NULL;
}

struct state_slot *family_slot(struct family *f)
{
    return f->slot;
}

/* ---- the keeper -------------------------------------------------------------------------------------------------------------------- */

static int64_t now_ms(void *arg)
{
    return atomic_load_explicit(&((struct state_slot *)arg)->now_ms, memory_order_relaxed);
}

weir_err family_open_keeper(struct family *f)
{
    if (f->keeper) return WEIR_OK;
    weir_err err = slot_rocks(f->slot);
    if (err) return err;
    struct rocks_family_options options = {.runs = !f->restored, .ttl_ms = f->options.ttl_ms, .now_ms = now_ms, .now_arg = f->slot};
    struct weir_diag diag;
    return rocks_family_new(f->slot->rocks, f->name, &options, &f->keeper, &diag) ? slot_fail_diag(f->slot, &diag) : WEIR_OK;
}

bool family_holds(const struct family *f, struct weir_bytes key, uint16_t first, uint16_t last)
{
    const unsigned char *p = (const unsigned char *)key.data + f->options.prefix_length;
    if (key.length < f->options.prefix_length + 2) return false;
    uint32_t group = (uint32_t)p[0] << 8 | p[1];
    return group >= first && group <= last && group >= f->options.first_group && group <= f->options.last_group;
}

bool family_in_flight(const struct family *f)
{
    return f->frozen && f->frozen->ingest && !gate_is_open(&f->frozen->ingested);
}

void family_wait(struct family *f)
{
    (void)slot_copy(f->slot, UINT64_MAX); /* whoever persists waits for that, perhaps for another family's */
    if (family_in_flight(f)) gate_wait(&f->frozen->ingested);
}

static void own_path(const struct family *f, const char *path, char own[4096])
{
    const char *base = strrchr(path, '/');
    (void)snprintf(own, 4096, "%s/in-%s", f->slot->dir, base ? base + 1 : path);
}

static weir_err copy_and_ingest(struct family *f, struct rocks_family *keeper, const char *path, struct weir_diag *diag)
{
    char own[4096];
    own_path(f, path, own);
    weir_err err = run_file_copy(path, own, diag);
    if (!err) err = rocks_ingest(keeper, own, 0, diag);
    if (err) (void)unlink(own);
    return err;
}

/* *linked false: nothing has happened, one of them lies on another file system. */
static weir_err link_and_ingest(struct family *f, struct rocks_family *keeper, const char *const *paths, uint32_t n, bool *linked,
                                struct weir_diag *diag)
{
    char own[FAMILY_SHARE_MAX][4096];
    const char *names[FAMILY_SHARE_MAX] = {NULL};
    uint32_t n_linked = 0;
    for (; n_linked < n; n_linked++) {
        own_path(f, paths[n_linked], own[n_linked]);
        names[n_linked] = own[n_linked];
        if (link(paths[n_linked], own[n_linked])) break;
    }
    *linked = n_linked == n;
    weir_err err = *linked ? rocks_ingest_all(keeper, names, n, ROCKS_INGEST_SHARED, diag) : WEIR_OK;
    if (err || !*linked) {
        for (uint32_t i = 0; i < n_linked; i++) (void)unlink(own[i]);
    }
    return err;
}

weir_err family_share(struct family *f, struct rocks_family *keeper, const char *const *paths, uint32_t n, struct weir_diag *diag)
{
    bool linked;
    WEIR_ASSERT(n <= FAMILY_SHARE_MAX);
    weir_err err = link_and_ingest(f, keeper, paths, n, &linked, diag);
    if (linked && err != WEIR_E_EXISTS) return err;
    err = WEIR_OK;
    for (uint32_t i = 0; i < n && !err; i++) err = copy_and_ingest(f, keeper, paths[i], diag);
    return err;
}

weir_err family_ingest(struct family *f, const char *path, struct weir_diag *diag)
{
    return f->slot->snapshots ? family_share(f, f->keeper, &path, 1, diag) : rocks_ingest(f->keeper, path, 0, diag);
}

static bool copy_bytes(struct weir_bytes *out, struct weir_bytes from)
{
    void *p = malloc(from.length ? from.length : 1);
    if (!p) return false;
    memcpy(p, from.data, from.length);
    *out = (struct weir_bytes){p, from.length};
    return true;
}

static bool add_range(struct family *f, struct weir_bytes from, struct weir_bytes to)
{
    if (f->n_ranges == f->ranges_cap) {
        uint32_t cap = f->ranges_cap ? f->ranges_cap * 2 : 8;
        struct run_range *ranges = realloc(f->ranges, cap * sizeof *ranges);
        if (!ranges) return false;
        f->ranges = ranges;
        f->ranges_cap = cap;
    }
    struct run_range range = {{NULL, 0}, {NULL, 0}};
    if (!copy_bytes(&range.from, from)) return false;
    if (!copy_bytes(&range.to, to)) {
        free((void *)(uintptr_t)range.from.data);
        return false;
    }
    f->ranges[f->n_ranges++] = range;
    return true;
}

weir_err family_forget_range(struct family *f, struct weir_bytes from, struct weir_bytes to)
{
    return add_range(f, from, to) ? WEIR_OK : slot_fail(f->slot, WEIR_E_NOMEM, "state '%s': out of memory", f->name);
}

static weir_err note_files(struct family *f, const struct run_file *files, uint32_t n, uint64_t epoch, struct file_list *out)
{
    for (uint32_t i = 0; i < n; i++) {
        struct keyed_file file = {.value_size = f->options.value_size,
                                  .first_group = f->options.first_group,
                                  .last_group = f->options.last_group,
                                  .epoch = epoch,
                                  .bytes = files[i].bytes,
                                  .entries = files[i].entries,
                                  .crc32c = files[i].crc32c,
                                  .is_new = true};
        memcpy(file.name, files[i].name, sizeof file.name);
        if (file_list_add(out, &file)) return WEIR_E_NOMEM;
    }
    return WEIR_OK;
}

weir_err family_write_run(struct family *f, struct run *run, const struct run_range *ranges, uint32_t n_ranges, const char *dir,
                          const char *stem, uint64_t epoch, struct file_list *out, struct weir_diag *diag)
{
    weir_err err = run_sort(run);
    if (err) return weir_fail(diag, err, "state '%s': out of memory to sort a run", f->name);
    struct run_file *files = NULL;
    uint32_t n = 0;
    err = run_write(run, f->slot->shared, dir, stem, ranges, n_ranges, &files, &n, diag);
    if (!err && note_files(f, files, n, epoch, out)) err = weir_fail(diag, WEIR_E_NOMEM, "out of memory");
    free(files);
    return err ? weir_wrap(diag, err, "state '%s'", f->name) : WEIR_OK;
}

/* ---- prefixes ---------------------------------------------------------------------------------------------------------------------- */

static bool any_begins(const struct run_range *ranges, uint32_t n, const void *prefix, uint32_t length)
{
    for (uint32_t i = 0; i < n; i++) {
        if (memcmp(ranges[i].from.data, prefix, length) == 0) return true;
    }
    return false;
}

/* Whether the keeper may hold keys of a prefix that have been forgotten: ranges reach it with the next run. */
static bool is_forgotten(const struct family *f, const void *prefix, uint32_t length)
{
    const struct write_out *w = f->slot->writing;
    return any_begins(f->ranges, f->n_ranges, prefix, length) ||
           (f->frozen && any_begins(f->frozen->ranges, f->frozen->n_ranges, prefix, length)) ||
           (w && w->family == f && any_begins(w->ranges, w->n_ranges, prefix, length));
}

/* The first key of the keeper from `from` on whose key group, behind `length` bytes of prefix, is this family's. */
static weir_err first_prefix(struct family *f, struct weir_bytes from, uint32_t length, unsigned char *out, bool *found)
{
    struct rocks_cursor *cursor = NULL;
    struct weir_bytes none = {NULL, 0}, key, value;
    struct weir_diag diag;
    bool more = true;
    *found = false;
    weir_err err = rocks_cursor_new(f->keeper, from, none, 0, &cursor, &diag);
    while (!err && more && !*found) {
        err = rocks_cursor_next(cursor, &more, &key, &value, &diag);
        if (err || !more || key.length < length + 2) continue;
        const unsigned char *p = key.data;
        uint32_t group = (uint32_t)p[length] << 8 | p[length + 1];
        unsigned char next[FAMILY_PREFIX_MAX + 2];
        memcpy(next, p, length);
        if (group >= f->options.first_group && group <= f->options.last_group && !is_forgotten(f, p, length)) {
            memcpy(out, p, length);
            *found = true;
            break;
        }
        uint32_t to = group < f->options.first_group ? f->options.first_group : 0xffffu; /* groups end below 0x8000 */
        next[length] = (unsigned char)(to >> 8);
        next[length + 1] = (unsigned char)to;
        rocks_cursor_seek(cursor, (struct weir_bytes){next, length + 2});
    }
    rocks_cursor_destroy(&cursor);
    return err ? slot_fail_diag(f->slot, &diag) : WEIR_OK;
}

weir_err family_next_prefix(struct family *f, const void *after, uint32_t length, void *out, bool *found)
{
    unsigned char from[FAMILY_PREFIX_MAX + 2] = {0};
    *found = false;
    if (!f->keeper) return WEIR_OK;
    if (after) {
        memcpy(from, after, length);
        from[length] = from[length + 1] = 0xff;
    }
    return first_prefix(f, (struct weir_bytes){from, after ? length + 2 : 0}, length, out, found);
}

bool family_restored(struct family *f, struct weir_bytes prefix)
{
    if (!f->restored || prefix.length == 0) return f->restored;
    unsigned char found_prefix[FAMILY_PREFIX_MAX];
    bool found;
    if (first_prefix(f, prefix, prefix.length, found_prefix, &found)) return true;
    return found && memcmp(found_prefix, prefix.data, prefix.length) == 0;
}
