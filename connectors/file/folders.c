/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file sink with rows divided over folders.
 *
 * A subtask owns the folders whose rows have its keys. Each has a writer; of a folder that is complete, or that is the longest open one of
 * too many, it rests (writer.h): durable, without descriptor. The folders of a run are remembered until the commit, sorted by name.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "connectors/file/sink.h"

#define OPEN_MAX 64u /* folders with a descriptor and a buffer at once; the one opened first rests beyond that */

struct folder {
    char *dir; /* of the sink, with the folder's name behind it */
    const char *name;
    uint32_t name_length;
    weir_time complete_ms;
    struct writer writer;
    struct folder *next; /* open ones, in order of opening */
    bool open;
};

struct folders {
    struct file_sink_config config;
    struct writer_format format;
    struct folder **items; /* by name */
    uint32_t n, cap;
    struct folder *last;            /* of the last row */
    struct folder *oldest, *newest; /* open ones */
    uint32_t n_open;
};

/* ---- folders by name ----------------------------------------------------------------------------------------------------------------- */

static bool is_name(const struct folder *folder, const char *name, uint32_t length)
{
    return folder && folder->name_length == length && memcmp(folder->name, name, length) == 0;
}

static int compare(const struct folder *folder, const char *name, uint32_t length)
{
    uint32_t shared = folder->name_length < length ? folder->name_length : length;
    int order = memcmp(folder->name, name, shared);
    return order ? order : (folder->name_length > length) - (folder->name_length < length);
}

/* Where the name stands, or would stand. */
static uint32_t place_of(const struct folders *s, const char *name, uint32_t length)
{
    uint32_t lo = 0, hi = s->n;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (compare(s->items[mid], name, length) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

static bool reserve(struct folders *s)
{
    if (s->n < s->cap) return true;
    uint32_t cap = s->cap ? s->cap * 2 : 16;
    struct folder **items = realloc(s->items, cap * sizeof *items);
    if (!items) return false;
    s->items = items;
    s->cap = cap;
    return true;
}

/* The author's function decides about paths, so it is not trusted with "..", absolute paths and names that readers skip. */
static const char *name_fault(const char *name, uint32_t length)
{
    if (length == 0 || length > WEIR_FILE_FOLDER_MAX) return "has a length outside 1 ... WEIR_FILE_FOLDER_MAX";
    if (memchr(name, '\0', length)) return "holds a NUL";
    for (uint32_t i = 0; i < length; i++) {
        if (i > 0 && name[i - 1] != '/') continue;
        if (name[i] == '/') return "is absolute, or has an empty component";
        if (name[i] == '.' || name[i] == '_') return "has a component that begins with '.' or '_'";
    }
    return name[length - 1] == '/' ? "ends in '/'" : NULL;
}

static weir_err no_memory(struct weir_ctx *ctx)
{
    return weir_fail(ctx->diag, WEIR_E_NOMEM, "file sink: no memory for a folder");
}

static weir_err make_folder(struct folders *s, struct weir_ctx *ctx, uint32_t at, const char *name, uint32_t length, struct folder **out)
{
    const char *fault = name_fault(name, length), *root = s->config.sink.dir;
    if (fault)
        return weir_fail(ctx->diag, WEIR_E_USER, "file sink: the folder \"%.*s\" of a row %s", length < 255 ? (int)length : 255, name,
                         fault);
    size_t root_length = strlen(root);
    struct folder *folder = calloc(1, sizeof *folder);
    char *dir = malloc(root_length + length + 2);
    if (!folder || !dir || !reserve(s)) {
        free(folder);
        free(dir);
        return no_memory(ctx);
    }
    (void)snprintf(dir, root_length + length + 2, "%s/%.*s", root, (int)length, name);
    *folder = (struct folder){.dir = dir, .name = dir + root_length + 1, .name_length = length, .complete_ms = WEIR_TIME_MAX};
    writer_init(&folder->writer, &(struct part_options){.dir = dir, .index = ctx->subtask, .job_id = ctx->job_id, .always_named = true});
    memmove(s->items + at + 1, s->items + at, (s->n - at) * sizeof *s->items);
    s->items[at] = *out = folder; /* from here on close frees it */
    s->n++;
    weir_err err = part_make_folder(dir, ctx->diag);
    return !err && !s->config.sink.replace ? sink_check_empty(dir, ctx->diag) : err;
}

/* ---- open folders -------------------------------------------------------------------------------------------------------------------- */

static weir_err rest_oldest(struct folders *s, struct weir_ctx *ctx)
{
    struct folder *folder = s->oldest;
    s->oldest = folder->next;
    if (!s->oldest) s->newest = NULL;
    folder->next = NULL;
    folder->open = false;
    s->n_open--;
    return writer_rest(&folder->writer, ctx->diag);
}

static weir_err open_folder(struct folders *s, struct weir_ctx *ctx, struct folder *folder)
{
    weir_err err = s->n_open < OPEN_MAX ? WEIR_OK : rest_oldest(s, ctx);
    if (err) return err;
    folder->open = true;
    if (s->newest)
        s->newest->next = folder;
    else
        s->oldest = folder;
    s->newest = folder;
    s->n_open++;
    return WEIR_OK;
}

static weir_err find_folder(struct folders *s, struct weir_ctx *ctx, const void *row, struct folder **out)
{
    const struct weir_file_folders *how = s->config.sink.folders;
    char name[WEIR_FILE_FOLDER_MAX];
    uint32_t length = how->folder(row, name);
    struct folder *folder = s->last;
    weir_err err = WEIR_OK;
    if (!is_name(folder, name, length)) {
        uint32_t at = length <= sizeof name ? place_of(s, name, length) : 0;
        folder = at < s->n && is_name(s->items[at], name, length) ? s->items[at] : NULL;
        if (!folder) err = make_folder(s, ctx, at, name, length, &folder);
    }
    if (!err && !folder->open) err = open_folder(s, ctx, folder);
    if (err) return err;
    if (how->complete_ms) folder->complete_ms = how->complete_ms(row);
    s->last = *out = folder;
    return WEIR_OK;
}

/* ---- the operator -------------------------------------------------------------------------------------------------------------------- */

static weir_err folders_open(void *self, struct weir_ctx *ctx)
{
    struct folders *s = self;
    memcpy(&s->config, ctx->config, sizeof s->config);
    const struct weir_file_sink *sink = &s->config.sink;
    if (sink->folders->struct_size != sizeof *sink->folders || !sink->folders->folder)
        return weir_fail(ctx->diag, WEIR_E_ARGUMENT, "file sink: folders need a struct_size and a function `folder`");
    if (sink->changes) return weir_fail(ctx->diag, WEIR_E_ARGUMENT, "file sink: a changelog cannot be divided over folders");
    weir_err err = writer_format_init(&s->format, sink, s->config.schema, ctx->diag);
    return err ? err : sink_open_folder(sink, ctx->diag);
}

static weir_err folders_process(void *self, struct weir_ctx *ctx, uint32_t input, struct weir_batch *batch)
{
    struct folders *s = self;
    (void)input;
    for (uint32_t i = 0; i < batch->count; i++) {
        struct weir_record *rec = weir_batch_record(batch, i);
        struct folder *folder;
        if (WEIR_UNLIKELY(rec->kind != WEIR_INSERT)) return sink_refuse_kind(ctx, rec);
        weir_err err = find_folder(s, ctx, weir_record_row(rec), &folder);
        if (!err) err = writer_row(&folder->writer, &s->format, rec, ctx->diag);
        if (WEIR_UNLIKELY(err)) return err;
    }
    return WEIR_OK;
}

/* Complete folders are made durable now and not all together at the end. One that stands behind younger ones waits for them. */
static weir_err folders_on_watermark(void *self, struct weir_ctx *ctx, weir_time watermark_ms)
{
    struct folders *s = self;
    weir_err err = WEIR_OK;
    while (!err && s->oldest && s->oldest->complete_ms <= watermark_ms) err = rest_oldest(s, ctx);
    return err;
}

static weir_err folders_finish(void *self, struct weir_ctx *ctx)
{
    struct folders *s = self;
    weir_err err = WEIR_OK;
    for (uint32_t i = 0; i < s->n && !err; i++) err = writer_finish(&s->items[i]->writer, ctx->diag);
    return err;
}

static weir_err mark_complete(const char *dir, struct weir_diag *diag)
{
    char path[PATH_MAX];
    if (snprintf(path, sizeof path, "%s/_SUCCESS", dir) >= (int)sizeof path)
        return weir_fail_errno(diag, ENAMETOOLONG, "write to folder %s", dir);
    int fd = open(path, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0666);
    if (fd < 0) return weir_fail_errno(diag, errno, "write %s", path);
    int result = fsync(fd), cause = errno;
    close(fd);
    return result ? weir_fail_errno(diag, cause, "fsync %s", path) : part_sync_folder(dir, diag);
}

static weir_err commit_folder(const struct folders *s, struct weir_ctx *ctx, struct folder *folder)
{
    bool replace = s->config.sink.replace;
    weir_err err = replace ? part_remove_others(&folder->writer.part, ctx->job_id, ctx->diag) : WEIR_OK;
    if (!err) err = writer_commit(&folder->writer, replace, ctx->diag);
    return err ? err : mark_complete(folder->dir, ctx->diag);
}

static weir_err folders_commit(void *self, struct weir_ctx *ctx)
{
    struct folders *s = self;
    weir_err err = WEIR_OK;
    for (uint32_t i = 0; i < s->n && !err; i++) err = commit_folder(s, ctx, s->items[i]);
    return err;
}

static void folders_close(void *self, struct weir_ctx *ctx)
{
    struct folders *s = self;
    (void)ctx;
    for (uint32_t i = 0; i < s->n; i++) {
        writer_close(&s->items[i]->writer);
        free(s->items[i]->dir);
        free(s->items[i]);
    }
    free(s->items);
    s->items = NULL;
    s->n = 0;
}

const struct weir_operator file_folders_sink = {
    .struct_size = sizeof(struct weir_operator),
    .name = "file",
    .self_size = sizeof(struct folders),
    .flags = WEIR_OPERATOR_SINK | WEIR_OPERATOR_KEYED,
    .open = folders_open,
    .process = folders_process,
    .on_watermark = folders_on_watermark,
    .finish = folders_finish,
    .commit = folders_commit,
    .close = folders_close,
};
