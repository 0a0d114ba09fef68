/* SPDX-License-Identifier: Apache-2.0 */
/* Restore: files of earlier snapshots behind a new family. */
#include <stdio.h>
#include <string.h>

#include "runtime/state/snapshot.h"

/* Files of one run, whose names differ in the number behind their last hyphen, do not overlap. Others are taken one by one: RocksDB would
 * have all of them at level 0. */
static bool of_one_run(const struct keyed_file *a, const struct keyed_file *b)
{
    const char *hyphen = strrchr(a->name, '-');
    if (!hyphen || strncmp(a->name, b->name, (size_t)(hyphen - a->name) + 1) != 0) return false;
    const char *number = b->name + (hyphen - a->name) + 1;
    return hyphen[1] >= '0' && hyphen[1] <= '9' && *number >= '0' && *number <= '9';
}

static weir_err bring_all(struct family *f, struct rocks_family *keeper, const struct restore_part *part, struct weir_diag *diag)
{
    char paths[FAMILY_SHARE_MAX][4096];
    const char *names[FAMILY_SHARE_MAX];
    weir_err err = WEIR_OK;
    for (uint32_t i = 0, n; i < part->n && !err; i += n) {
        for (n = 0; n < FAMILY_SHARE_MAX && i + n < part->n && (n == 0 || of_one_run(&part->files[i], &part->files[i + n])); n++) {
            (void)snprintf(paths[n], sizeof paths[n], "%s/%s", part->dir, part->files[i + n].name);
            names[n] = paths[n];
        }
        err = family_share(f, keeper, names, n, diag);
    }
    return err;
}

/* Copies what `from` holds of the part's groups into one file. *file is set when there is any. */
static weir_err write_clipped(struct family *f, struct rocks_family *from, const struct restore_part *part, const char *path,
                              struct keyed_file *file, struct weir_diag *diag)
{
    struct rocks_cursor *cursor = NULL;
    struct rocks_writer *writer = NULL;
    struct weir_bytes none = {NULL, 0}, key, value;
    bool more = true;
    weir_err err = rocks_cursor_new(from, none, none, ROCKS_SCAN, &cursor, diag);
    while (!err && more) {
        err = rocks_cursor_next(cursor, &more, &key, &value, diag);
        if (err || !more || !family_holds(f, key, part->first_group, part->last_group)) continue;
        if (!writer) err = rocks_writer_new(&writer, f->slot->shared, path, diag);
        if (!err) err = rocks_writer_put(writer, key.data, key.length, value.data, value.length, diag);
        file->entries++;
    }
    rocks_cursor_destroy(&cursor);
    if (!err && writer) err = rocks_writer_finish(writer, diag);
    rocks_writer_destroy(&writer);
    return err || file->entries == 0 ? err : run_file_checksum(path, &file->crc32c, &file->bytes, diag);
}

static weir_err add_clipped(struct family *f, struct rocks_family *from, const struct restore_part *part, struct weir_diag *diag)
{
    char stem[48], path[4096];
    struct keyed_file file = {
        .value_size = f->options.value_size, .first_group = f->options.first_group, .last_group = f->options.last_group, .is_new = true};
    slot_stem(f->slot, stem);
    (void)snprintf(file.name, sizeof file.name, "%s-c.sst", stem);
    slot_path(f->slot, path, file.name);
    weir_err err = write_clipped(f, from, part, path, &file, diag);
    if (err || file.entries == 0) return err;
    err = family_ingest(f, path, diag);
    if (!err && f->slot->snapshots && file_list_add(&f->spills, &file)) err = weir_fail(diag, WEIR_E_NOMEM, "out of memory to restore");
    return err;
}

/* The list as a whole goes into a family of its own first, so that its deletions count. */
static weir_err restore_clipped(struct family *f, const struct restore_part *part, struct weir_diag *diag)
{
    char name[ROCKS_NAME_MAX + 1];
    struct rocks_family_options options = {0};
    struct rocks_family *aside = NULL;
    char stem[48];
    slot_stem(f->slot, stem);
    (void)snprintf(name, sizeof name, "~clip %s", stem);
    weir_err err = rocks_family_new(f->slot->rocks, name, &options, &aside, diag);
    if (!err) err = bring_all(f, aside, part, diag);
    if (!err) err = add_clipped(f, aside, part, diag);
    rocks_family_destroy(&aside);
    return err;
}

static weir_err note(struct family *f, const struct restore_part *part, struct weir_diag *diag)
{
    for (uint32_t i = 0; i < part->n; i++) {
        struct keyed_file file = part->files[i];
        file.is_new = false;
        if (file_list_add(&f->files, &file)) return weir_fail(diag, WEIR_E_NOMEM, "state '%s': out of memory", f->name);
    }
    return WEIR_OK;
}

weir_err family_restore(struct family *f, const struct restore_part *part, struct weir_diag *diag)
{
    f->restored = f->spilled = f->all_kept = true;
    if (family_open_keeper(f)) return slot_error(f->slot, diag);
    weir_err err = part->clip ? restore_clipped(f, part, diag) : bring_all(f, f->keeper, part, diag);
    if (!err && !part->clip) err = note(f, part, diag);
    if (err) return slot_fail_diag(f->slot, diag);
    f->turn.bytes_after_last = file_list_bytes(&f->files) + file_list_bytes(&f->spills);
    f->turn.files_after_last = f->files.n + f->spills.n;
    return WEIR_OK;
}
