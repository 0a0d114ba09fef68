/* SPDX-License-Identifier: Apache-2.0 */
#include "taskmanager/worker/checkpoint_store.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/base/hash.h"
#include "runtime/base/log.h"

struct checkpoint_store {
    struct checkpoint_store_config config;
    char *job_dir;
    struct checkpoint_part *parts; /* in order of vertex and index; those of a newer checkpoint may be among them */
};

weir_err checkpoint_store_new(struct checkpoint_store **out, const struct checkpoint_store_config *config, struct weir_diag *diag)
{
    struct checkpoint_store *s = calloc(1, sizeof *s);
    if (s) s->job_dir = strdup(config->job_dir);
    if (!s || !s->job_dir) {
        free(s);
        return weir_fail(diag, WEIR_E_NOMEM, "no memory for checkpoints");
    }
    s->config = *config;
    *out = s;
    return WEIR_OK;
}

void checkpoint_store_destroy(struct checkpoint_store **store)
{
    struct checkpoint_store *s = *store;
    *store = NULL;
    if (!s) return;
    checkpoint_store_drop(s, UINT64_MAX);
    free(s->job_dir);
    free(s);
}

/* ---- parts ------------------------------------------------------------------------------------------------------------------------- */

static bool stands_before(const struct checkpoint_part *a, const struct checkpoint_part *b)
{
    if (a->subtask.vertex != b->subtask.vertex) return a->subtask.vertex < b->subtask.vertex;
    return a->subtask.index < b->subtask.index;
}

weir_err checkpoint_store_add(struct checkpoint_store *s, const struct subtask_snapshot *snapshot, struct weir_diag *diag)
{
    struct checkpoint_part *part;
    weir_err err = checkpoint_part_new(&part, snapshot, s->config.local, diag);
    if (err) return err;
    struct checkpoint_part **at = &s->parts;
    while (*at && stands_before(*at, part)) at = &(*at)->next;
    part->next = *at;
    *at = part;
    return WEIR_OK;
}

void checkpoint_store_drop(struct checkpoint_store *s, uint64_t id)
{
    struct checkpoint_part **at = &s->parts;
    while (*at) {
        struct checkpoint_part *part = *at;
        if (part->id > id) {
            at = &part->next;
            continue;
        }
        *at = part->next;
        checkpoint_part_destroy(&part);
    }
}

/* ---- files ------------------------------------------------------------------------------------------------------------------------- */

/* Where the files of one checkpoint go. */
struct place {
    char folder[PATH_MAX]; /* of its pack */
    char files[PATH_MAX];  /* of state files */
};

static weir_err choose_place(const struct checkpoint_store *s, uint64_t id, const char *dir, struct place *out, struct weir_diag *diag)
{
    if (*dir) {
        weir_err err = layout_join(dir, LAYOUT_FILES, out->files, diag);
        return err ? err : layout_join(dir, "", out->folder, diag);
    }
    weir_err err = layout_checkpoint(s->job_dir, id, out->folder, diag);
    return err ? err : layout_join(s->job_dir, LAYOUT_SHARED, out->files, diag);
}

/* Into the pack itself. The bytes are compared with the checksum that was taken when they were written. */
static weir_err put_inline(struct checkpoint_part *part, struct pack_file *file, const char *path, struct weir_diag *diag)
{
    struct buffer bytes;
    buffer_init(&bytes, 0);
    weir_err err = files_read(path, PACK_INLINE_MAX, &bytes, diag);
    if (!err && (bytes.len != file->bytes || crc32c(0, bytes.data, bytes.len) != file->crc32c))
        err = weir_fail(diag, WEIR_E_CORRUPT, "%s has changed since it was written", path);
    if (!err) file->inlined = arena_bytes(&part->arena, (struct weir_bytes){bytes.data, (uint32_t)bytes.len});
    if (!err && part->arena.failed) err = weir_fail(diag, WEIR_E_NOMEM, "no memory for a checkpoint");
    buffer_close(&bytes);
    return err;
}

/* Under its content's name here, too: a copy less is no failure. */
static void keep_local(const struct checkpoint_store *s, uint64_t id, const struct files_seal *seal, const char *path, const char *content)
{
    char name[CONTENT_NAME];
    struct weir_diag diag;
    (void)strcpy(name, content);
    if (files_put(path, seal, local_files_dir(s->config.local), name, NULL, &diag)) {
        log_warn("no local copy of a checkpoint's file", "reason=\"%s\"", diag.text);
        return;
    }
    struct local_file *copy = local_files_need(s->config.local, content, id);
    if (copy) (void)strcpy(copy->content, content);
}

static weir_err put_shared(const struct checkpoint_store *s, uint64_t id, const struct part_file *file, const char *path,
                           const char *to_dir, uint64_t *added, struct weir_diag *diag)
{
    const struct files_seal seal = {.bytes = file->file->bytes, .crc32c = file->file->crc32c};
    struct local_file *known = local_files_need(s->config.local, file->name, id);
    if (!known) return weir_fail(diag, WEIR_E_NOMEM, "no memory for a checkpoint");
    uint64_t new_bytes = 0;
    weir_err err = files_put(path, &seal, to_dir, known->content, &new_bytes, diag);
    if (err) return err;
    *added += new_bytes;
    (void)strcpy(file->file->content, known->content);
    keep_local(s, id, &seal, path, file->file->content);
    return WEIR_OK;
}

static weir_err put_files(const struct checkpoint_store *s, struct checkpoint_part *part, const struct place *place,
                          struct checkpoint_written *out, struct weir_diag *diag)
{
    weir_err err = WEIR_OK;
    for (uint32_t i = 0; i < part->n_files && !err; i++) {
        const struct part_file *file = &part->files[i];
        char path[PATH_MAX];
        err = layout_join(local_files_dir(s->config.local), file->name, path, diag);
        if (err) return err;
        out->state_bytes += file->file->bytes;
        if (file->file->bytes <= PACK_INLINE_MAX)
            err = put_inline(part, file->file, path, diag);
        else
            err = put_shared(s, part->id, file, path, place->files, &out->new_bytes, diag);
    }
    return err;
}

/* ---- the pack ---------------------------------------------------------------------------------------------------------------------- */

static weir_err write_pack(const struct checkpoint_store *s, const struct pack *pack, const struct place *place,
                           struct checkpoint_written *out, struct weir_diag *diag)
{
    struct buffer bytes;
    buffer_init(&bytes, 0);
    (void)layout_pack(s->config.worker, out->pack);
    weir_err err = pack_encode(pack, &bytes, diag);
    if (!err) err = files_write(place->folder, out->pack, bytes.data, bytes.len, diag);
    if (!err) err = files_sync_folder(place->folder, diag);
    if (!err) out->seal = (struct files_seal){.bytes = bytes.len, .crc32c = crc32c(0, bytes.data, bytes.len)};
    buffer_close(&bytes);
    return err;
}

/* The parts of one checkpoint, in order; `subtasks` has room for all. */
static void gather(const struct checkpoint_store *s, struct pack *pack, struct checkpoint_written *out)
{
    for (const struct checkpoint_part *part = s->parts; part; part = part->next) {
        if (part->id != pack->checkpoint_id) continue;
        pack->subtasks[pack->n_subtasks++] = part->subtask;
        if (part->n_ledger) memcpy(out->ledger + out->n_ledger, part->ledger, part->n_ledger * sizeof *out->ledger);
        out->n_ledger += part->n_ledger;
        if (part->sync_us > out->sync_us_max) out->sync_us_max = part->sync_us;
        if (part->align_us > out->align_us_max) out->align_us_max = part->align_us;
    }
}

static weir_err make_pack(const struct checkpoint_store *s, uint64_t id, const struct place *place, struct checkpoint_written *out,
                          struct weir_diag *diag)
{
    size_t n_parts = 0, n_ledger = 0;
    for (const struct checkpoint_part *part = s->parts; part; part = part->next) {
        n_parts += part->id == id;
        n_ledger += part->id == id ? part->n_ledger : 0;
    }
    struct pack pack = {.job = s->config.job, .attempt = s->config.attempt, .checkpoint_id = id, .worker = s->config.worker};
    pack.subtasks = calloc(n_parts + 1, sizeof *pack.subtasks);
    out->ledger = calloc(n_ledger + 1, sizeof *out->ledger);
    weir_err err = pack.subtasks && out->ledger ? WEIR_OK : weir_fail(diag, WEIR_E_NOMEM, "no memory for a checkpoint");
    if (!err) gather(s, &pack, out);
    if (!err) err = write_pack(s, &pack, place, out, diag);
    free(pack.subtasks);
    if (!err) return WEIR_OK;
    free(out->ledger);
    out->ledger = NULL;
    return err;
}

weir_err checkpoint_store_write(struct checkpoint_store *s, uint64_t id, const char *dir, struct checkpoint_written *out,
                                struct weir_diag *diag)
{
    struct place place;
    struct checkpoint_written written = {0};
    weir_err err = choose_place(s, id, dir, &place, diag);
    for (struct checkpoint_part *part = s->parts; part && !err; part = part->next)
        if (part->id == id) err = put_files(s, part, &place, &written, diag);
    /* Also when nothing is new: an earlier one may have put files and failed before it came to this. */
    if (!err && written.state_bytes) err = files_sync_folder(place.files, diag);
    if (!err) err = make_pack(s, id, &place, &written, diag);
    checkpoint_store_drop(s, id);
    if (err) return err;
    *out = written;
    return WEIR_OK;
}
