/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/checkpoint/reader.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/folder.h"
#include "runtime/base/hash.h"

/* ---- names --------------------------------------------------------------------------------------------------------------------------- */

/* The folder that `path` names, itself or by its MANIFEST. */
static weir_err set_dir(struct checkpoint *c, const char *path, struct weir_diag *diag)
{
    static const char tail[] = "/" LAYOUT_MANIFEST;
    size_t length = strlen(path);
    if (length >= sizeof tail && strcmp(path + length - (sizeof tail - 1), tail) == 0) length -= sizeof tail - 1;
    while (length > 1 && path[length - 1] == '/') length--;
    if (length >= sizeof c->dir) return weir_fail(diag, WEIR_E_LIMIT, "the path %.200s... is longer than the system allows", path);
    memcpy(c->dir, path, length);
    c->dir[length] = '\0';
    return WEIR_OK;
}

static weir_err set_files(struct checkpoint *c, struct weir_diag *diag)
{
    bool shared = c->manifest.kind == MANIFEST_CHECKPOINT;
    return layout_join(c->dir, shared ? "../" LAYOUT_SHARED : LAYOUT_FILES, c->files, diag);
}

weir_err checkpoint_file_path(const struct checkpoint *c, const struct pack_file *file, char out[static PATH_MAX], struct weir_diag *diag)
{
    return layout_join(c->files, file->content, out, diag);
}

/* ---- packs --------------------------------------------------------------------------------------------------------------------------- */

static weir_err read_pack(struct checkpoint *c, uint32_t i, struct weir_diag *diag)
{
    const struct manifest *m = &c->manifest;
    const struct manifest_pack *want = &m->packs[i];
    char path[PATH_MAX];
    struct buffer bytes = {0};
    weir_err err = layout_join(c->dir, want->name, path, diag);
    if (!err) err = files_read(path, PACK_MAX, &bytes, diag);
    if (!err && bytes.len != want->bytes)
        err = weir_fail(diag, WEIR_E_CORRUPT, "%s has %zu bytes instead of %" PRIu64, path, bytes.len, want->bytes);
    if (!err && crc32c(0, bytes.data, bytes.len) != want->crc32c)
        err = weir_fail(diag, WEIR_E_CORRUPT, "%s: its checksum is not the one in the manifest", path);
    if (!err) {
        err = pack_decode(&c->packs[i], bytes.data, bytes.len, diag);
        if (err) (void)weir_wrap(diag, err, "%s", path);
    }
    const struct pack *p = &c->packs[i];
    if (!err && (!id_equal(p->job, m->job) || p->checkpoint_id != m->checkpoint_id || p->attempt != m->attempt))
        err = weir_fail(diag, WEIR_E_CORRUPT, "%s belongs to another checkpoint: number %" PRIu64 " of attempt %" PRIu64, path,
                        p->checkpoint_id, p->attempt);
    buffer_close(&bytes);
    return err;
}

/* Marks the subtasks of a pack as told, each at its place in the row of all subtasks. */
static weir_err mark_subtasks(const struct checkpoint *c, const struct pack *p, const uint64_t *first, bool *told, struct weir_diag *diag)
{
    const struct manifest *m = &c->manifest;
    for (uint32_t i = 0; i < p->n_subtasks; i++) {
        const struct pack_subtask *s = &p->subtasks[i];
        if (s->vertex >= m->n_vertices || s->parallelism != m->vertices[s->vertex].parallelism)
            return weir_fail(diag, WEIR_E_CORRUPT, "%s: a pack has subtask %u of vertex %u, which the manifest does not know", c->dir,
                             s->index, s->vertex);
        bool *at = &told[first[s->vertex] + s->index];
        if (*at) return weir_fail(diag, WEIR_E_CORRUPT, "%s: two packs have subtask %u of vertex %u", c->dir, s->index, s->vertex);
        *at = true;
    }
    return WEIR_OK;
}

/* Every subtask of the job stands in exactly one pack. */
static weir_err check_subtasks(const struct checkpoint *c, struct weir_diag *diag)
{
    const struct manifest *m = &c->manifest;
    uint64_t n = 0, *first = calloc((size_t)m->n_vertices + 1, sizeof *first);
    for (uint32_t v = 0; first && v < m->n_vertices; v++) {
        first[v] = n;
        n += m->vertices[v].parallelism;
    }
    bool *told = calloc(n + 1, sizeof *told);
    weir_err err = first && told ? WEIR_OK : weir_fail(diag, WEIR_E_NOMEM, "no memory to check %s", c->dir);
    for (uint32_t i = 0; i < m->n_packs && !err; i++) err = mark_subtasks(c, &c->packs[i], first, told, diag);
    for (uint32_t v = 0; v < m->n_vertices && !err; v++) {
        for (uint32_t s = 0; s < m->vertices[v].parallelism && !err; s++) {
            if (!told[first[v] + s]) err = weir_fail(diag, WEIR_E_CORRUPT, "%s: no pack has subtask %u of vertex %u", c->dir, s, v);
        }
    }
    free(told);
    free(first);
    return err;
}

/* ---- state files --------------------------------------------------------------------------------------------------------------------- */

typedef weir_err (*visit)(const struct checkpoint *c, const struct pack_file *file, struct weir_diag *diag);

static weir_err visit_operator(const struct checkpoint *c, const struct pack_operator *o, visit fn, struct weir_diag *diag)
{
    for (uint32_t s = 0; s < o->n_states; s++) {
        for (uint32_t f = 0; f < o->states[s].n_files; f++) {
            const struct pack_file *file = &o->states[s].files[f];
            weir_err err = file->content[0] ? fn(c, file, diag) : WEIR_OK;
            if (err) return weir_wrap(diag, err, "state '%s' of operator %s", o->states[s].name, o->id);
        }
    }
    return WEIR_OK;
}

/* Calls fn for each file that is not inlined. */
static weir_err visit_files(const struct checkpoint *c, visit fn, struct weir_diag *diag)
{
    const struct pack_operator *o;
    weir_err err = WEIR_OK;
    for (struct checkpoint_place at = {0}; !err && (o = checkpoint_next(c, NULL, &at, NULL));) err = visit_operator(c, o, fn, diag);
    return err;
}

static weir_err check_length(const struct checkpoint *c, const struct pack_file *file, struct weir_diag *diag)
{
    char path[PATH_MAX];
    struct stat st;
    weir_err err = checkpoint_file_path(c, file, path, diag);
    if (err) return err;
    if (stat(path, &st)) return weir_fail_errno(diag, errno, "look at %s", path);
    if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size != file->bytes)
        return weir_fail(diag, WEIR_E_CORRUPT, "%s has %lld bytes instead of %" PRIu64, path, (long long)st.st_size, file->bytes);
    return WEIR_OK;
}

static weir_err check_bytes(const struct checkpoint *c, const struct pack_file *file, struct weir_diag *diag)
{
    char path[PATH_MAX];
    struct files_seal seal = {file->bytes, file->crc32c};
    weir_err err = checkpoint_file_path(c, file, path, diag);
    return err ? err : files_verify(path, &seal, diag);
}

weir_err checkpoint_verify(const struct checkpoint *c, struct weir_diag *diag)
{
    return visit_files(c, check_bytes, diag);
}

/* ---- opening ------------------------------------------------------------------------------------------------------------------------- */

/* The checkpoint in c->dir whose manifest has these bytes. */
static weir_err load(struct checkpoint *c, const struct buffer *bytes, struct weir_diag *diag)
{
    weir_err err = manifest_decode(&c->manifest, bytes->data, bytes->len, diag);
    if (err) return weir_wrap(diag, err, "%s/%s", c->dir, LAYOUT_MANIFEST);
    c->seal = (struct files_seal){bytes->len, crc32c(0, bytes->data, bytes->len)};
    err = set_files(c, diag);
    c->packs = calloc((size_t)c->manifest.n_packs + 1, sizeof *c->packs);
    if (!err && !c->packs) err = weir_fail(diag, WEIR_E_NOMEM, "no memory to open %s", c->dir);
    for (uint32_t i = 0; i < c->manifest.n_packs && !err; i++) err = read_pack(c, i, diag);
    if (!err) err = check_subtasks(c, diag);
    if (!err) err = visit_files(c, check_length, diag);
    return err;
}

static weir_err read_manifest(struct checkpoint *c, const struct files_seal *expect, struct buffer *bytes, struct weir_diag *diag)
{
    char path[PATH_MAX];
    weir_err err = layout_join(c->dir, LAYOUT_MANIFEST, path, diag);
    if (!err) err = files_read(path, MANIFEST_MAX, bytes, diag);
    if (err == WEIR_E_NOT_FOUND && access(c->dir, F_OK) == 0)
        return weir_fail(diag, err, "%s is no checkpoint, or was never completed: it has no %s", c->dir, LAYOUT_MANIFEST);
    if (err || !expect) return err;
    if (bytes->len != expect->bytes || crc32c(0, bytes->data, bytes->len) != expect->crc32c)
        return weir_fail(diag, WEIR_E_CORRUPT, "%s is not the manifest that was completed: its length or checksum differs", path);
    return WEIR_OK;
}

weir_err checkpoint_open(struct checkpoint **out, const char *path, const struct files_seal *expect, struct weir_diag *diag)
{
    struct checkpoint *c = calloc(1, sizeof *c);
    struct buffer bytes = {0};
    if (!c) return weir_fail(diag, WEIR_E_NOMEM, "no memory to open %s", path);
    weir_err err = set_dir(c, path, diag);
    if (!err) err = read_manifest(c, expect, &bytes, diag);
    if (!err) err = load(c, &bytes, diag);
    buffer_close(&bytes);
    if (err)
        checkpoint_close(&c);
    else
        *out = c;
    return err;
}

void checkpoint_close(struct checkpoint **checkpoint)
{
    struct checkpoint *c = *checkpoint;
    if (!c) return;
    for (uint32_t i = 0; c->packs && i < c->manifest.n_packs; i++) pack_close(&c->packs[i]);
    free(c->packs);
    manifest_close(&c->manifest);
    free(c);
    *checkpoint = NULL;
}

/* ---- what is in it ------------------------------------------------------------------------------------------------------------------- */

/* The operator at a place, or NULL where none stands any more; the place moves behind it. */
static const struct pack_operator *step(const struct checkpoint *c, struct checkpoint_place *at, const struct pack_subtask **subtask)
{
    for (; at->pack < c->manifest.n_packs; at->pack++, at->subtask = 0) {
        const struct pack *p = &c->packs[at->pack];
        for (; at->subtask < p->n_subtasks; at->subtask++, at->step = 0) {
            *subtask = &p->subtasks[at->subtask];
            if (at->step < (*subtask)->n_operators) return &(*subtask)->operators[at->step++];
        }
    }
    return NULL;
}

const struct pack_operator *checkpoint_next(const struct checkpoint *c, const char *id, struct checkpoint_place *at,
                                            const struct pack_subtask **subtask)
{
    const struct pack_subtask *of;
    const struct pack_operator *o;
    while ((o = step(c, at, &of))) {
        if (id && strcmp(o->id, id) != 0) continue;
        if (subtask) *subtask = of;
        return o;
    }
    return NULL;
}

static bool has_state(const struct pack_operator *o)
{
    for (uint32_t i = 0; i < o->n_states; i++) {
        if (o->states[i].n_files) return true;
    }
    for (uint32_t i = 0; i < o->n_splits; i++) {
        if (o->splits[i].status != PACK_SPLIT_NEW) return true;
    }
    return o->n_committables > 0;
}

bool checkpoint_has_state(const struct checkpoint *c, const char *operator_id)
{
    const struct pack_operator *o;
    for (struct checkpoint_place at = {0}; (o = checkpoint_next(c, operator_id, &at, NULL));) {
        if (has_state(o)) return true;
    }
    return false;
}

/* ---- completing and removing --------------------------------------------------------------------------------------------------------- */

/* A new folder, or an empty one that is there. */
static weir_err make_folder(const char *path, struct weir_diag *diag)
{
    if (mkdir(path, 0700) == 0) return WEIR_OK;
    int failed = errno;
    if (failed == EEXIST && rmdir(path) == 0 && mkdir(path, 0700) == 0) return WEIR_OK;
    if (failed == EEXIST) return weir_fail(diag, WEIR_E_EXISTS, "%s is there and not empty: give another path", path);
    return weir_fail_errno(diag, failed, "make the folder %s", path);
}

static weir_err unfinished_path(const char *path, struct weir_id request, char out[static PATH_MAX], struct weir_diag *diag)
{
    char name[sizeof LAYOUT_UNFINISHED + WEIR_ID_TEXT], id[WEIR_ID_TEXT];
    (void)snprintf(name, sizeof name, LAYOUT_UNFINISHED "%s", id_text(request, id));
    return layout_join(path, name, out, diag);
}

weir_err savepoint_begin(const char *path, struct weir_id request, struct weir_diag *diag)
{
    char files[PATH_MAX], mark[PATH_MAX];
    weir_err err = make_folder(path, diag);
    if (!err) err = unfinished_path(path, request, mark, diag);
    if (!err) err = layout_join(path, LAYOUT_FILES, files, diag);
    if (err) return err;
    int fd = open(mark, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0) return weir_fail_errno(diag, errno, "create %s", mark);
    (void)close(fd);
    return make_folder(files, diag);
}

weir_err savepoint_finish(const char *path, struct weir_id request, struct weir_diag *diag)
{
    char mark[PATH_MAX];
    weir_err err = unfinished_path(path, request, mark, diag);
    if (err) return err;
    return unlink(mark) == 0 || errno == ENOENT ? WEIR_OK : weir_fail_errno(diag, errno, "remove %s", mark);
}

weir_err savepoint_give_up(const char *path, struct weir_id request, struct weir_diag *diag)
{
    char mark[PATH_MAX];
    weir_err err = unfinished_path(path, request, mark, diag);
    if (err) return err;
    if (access(mark, F_OK) == 0) return checkpoint_remove(path, diag);
    return errno == ENOENT || errno == ENOTDIR ? WEIR_OK : weir_fail_errno(diag, errno, "look at %s", mark);
}

static weir_err sync_with_parent(const char *dir, struct weir_diag *diag)
{
    char parent[PATH_MAX];
    weir_err err = files_sync_folder(dir, diag);
    if (!err) err = layout_join(dir, "..", parent, diag);
    return err ? err : files_sync_folder(parent, diag);
}

weir_err checkpoint_seal(const char *dir, const struct manifest *manifest, struct files_seal *seal, struct checkpoint **out,
                         struct weir_diag *diag)
{
    struct checkpoint *c = calloc(1, sizeof *c);
    struct buffer bytes = {0};
    if (!c) return weir_fail(diag, WEIR_E_NOMEM, "no memory to complete %s", dir);
    weir_err err = set_dir(c, dir, diag);
    if (!err) err = manifest_encode(manifest, &bytes, diag);
    if (!err) err = load(c, &bytes, diag);
    if (!err) err = files_write(c->dir, LAYOUT_MANIFEST, bytes.data, bytes.len, diag);
    if (!err) err = sync_with_parent(c->dir, diag);
    if (!err) {
        *seal = c->seal;
        if (out) {
            *out = c;
            c = NULL;
        }
    }
    buffer_close(&bytes);
    checkpoint_close(&c);
    return err;
}

weir_err checkpoint_remove(const char *dir, struct weir_diag *diag)
{
    char path[PATH_MAX];
    weir_err err = layout_join(dir, LAYOUT_MANIFEST, path, diag);
    if (err) return err;
    if (unlink(path) == 0) {
        err = files_sync_folder(dir, diag);
    } else if (errno != ENOENT) {
        err = weir_fail_errno(diag, errno, "remove %s", path);
    }
    return err ? err : folder_remove(dir, diag);
}
