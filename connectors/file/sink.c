/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file sink. Each subtask writes its rows to a part file (writer.h), which has no visible name until the whole job has finished; a
 * subtask without rows has none.
 *
 *     open       folder made; part files of an earlier run refused unless `replace`
 *     process    rows -> buffer -> file
 *     finish     the rest of the buffer, fsync: durable, not visible
 *     commit     rename, fsync of the folder; with `replace` the files that this run has not replaced go
 *     close      what was not committed is removed
 *
 * Rows that are divided over folders: folders.c.
 */
#include "connectors/file/sink.h"

#include <errno.h>
#include <unistd.h>

struct file_sink {
    struct file_sink_config config;
    struct writer_format format;
    struct writer writer;
};

/* ---- open -------------------------------------------------------------------------------------------------------------------------- */

weir_err sink_open_folder(const struct weir_file_sink *sink, struct weir_diag *diag)
{
    if (!sink->dir || sink->dir[0] != '/') {
        return weir_fail(diag, WEIR_E_ARGUMENT, "file sink: the folder \"%s\" is not absolute; make it so with weir_env_path",
                         sink->dir ? sink->dir : "");
    }
    weir_err err = part_make_folder(sink->dir, diag);
    if (!err && access(sink->dir, W_OK | X_OK)) err = weir_fail_errno(diag, errno, "write to folder %s", sink->dir);
    return err;
}

/* Refuses a folder that holds somebody's result. Every subtask looks before any commits: commits wait for the end of the whole job. */
weir_err sink_check_empty(const char *dir, struct weir_diag *diag)
{
    bool found = false;
    char name[64];
    weir_err err = part_find(dir, &found, name, diag);
    if (err || !found) return err;
    return weir_fail(diag, WEIR_E_EXISTS, "folder %s holds %s of an earlier run; set replace, or give another folder", dir, name);
}

static weir_err file_sink_open(void *self, struct weir_ctx *ctx)
{
    struct file_sink *s = self;
    memcpy(&s->config, ctx->config, sizeof s->config);
    const struct weir_file_sink *sink = &s->config.sink;
    writer_init(&s->writer, &(struct part_options){.dir = sink->dir, .index = ctx->subtask, .job_id = ctx->job_id});
    weir_err err = writer_format_init(&s->format, sink, s->config.schema, ctx->diag);
    if (!err) err = sink_open_folder(sink, ctx->diag);
    if (!err && !sink->replace) err = sink_check_empty(sink->dir, ctx->diag);
    return err;
}

/* ---- process ----------------------------------------------------------------------------------------------------------------------- */

weir_err sink_refuse_kind(struct weir_ctx *ctx, const struct weir_record *rec)
{
    return weir_fail(ctx->diag, WEIR_E_UNSUPPORTED,
                     "file sink: a row of kind %u; part files only grow, they cannot take back or change a row", rec->kind);
}

static weir_err file_sink_process(void *self, struct weir_ctx *ctx, uint32_t input, struct weir_batch *batch)
{
    struct file_sink *s = self;
    (void)input;
    for (uint32_t i = 0; i < batch->count; i++) {
        const struct weir_record *rec = weir_batch_record(batch, i);
        if (WEIR_UNLIKELY(rec->kind != WEIR_INSERT && !s->format.changes)) return sink_refuse_kind(ctx, rec);
        weir_err err = writer_row(&s->writer, &s->format, rec, ctx->diag);
        if (WEIR_UNLIKELY(err)) return err;
    }
    return WEIR_OK;
}

/* ---- the end ----------------------------------------------------------------------------------------------------------------------- */

static weir_err file_sink_finish(void *self, struct weir_ctx *ctx)
{
    struct file_sink *s = self;
    return writer_finish(&s->writer, ctx->diag);
}

/* What an earlier run has left under names this run has not used: this subtask's own, and, by the first subtask, those beyond the last. */
static weir_err remove_old(const struct file_sink *s, struct weir_ctx *ctx)
{
    const char *dir = s->config.sink.dir;
    weir_err err = s->writer.begun ? WEIR_OK : part_remove(&s->writer.part, ctx->diag);
    if (!err && ctx->subtask == 0) err = part_remove_from(dir, ctx->parallelism, ctx->job_id, ctx->diag);
    return err ? err : part_sync_folder(dir, ctx->diag);
}

static weir_err file_sink_commit(void *self, struct weir_ctx *ctx)
{
    struct file_sink *s = self;
    weir_err err = writer_commit(&s->writer, s->config.sink.replace, ctx->diag);
    return err || !s->config.sink.replace ? err : remove_old(s, ctx);
}

static void file_sink_close(void *self, struct weir_ctx *ctx)
{
    struct file_sink *s = self;
    (void)ctx;
    writer_close(&s->writer);
}

#define FILE_SINK(flags_)                                                                                                      \
    {                                                                                                                          \
        .struct_size = sizeof(struct weir_operator), .name = "file", .self_size = sizeof(struct file_sink), .flags = (flags_), \
        .open = file_sink_open, .process = file_sink_process, .finish = file_sink_finish, .commit = file_sink_commit,          \
        .close = file_sink_close                                                                                               \
    }
static const struct weir_operator file_sink = FILE_SINK(WEIR_OPERATOR_SINK);
static const struct weir_operator file_changelog_sink = FILE_SINK(WEIR_OPERATOR_SINK | WEIR_OPERATOR_TAKES_CHANGES);

struct weir_stream *weir_to_file(struct weir_stream *in, const char *id, const struct weir_file_sink *config)
{
    if (!in || !config) return weir_apply(in, id, &file_sink, NULL, sizeof(struct file_sink_config)); /* which keeps the mistake */
    struct file_sink_config copy = {.sink = *config, .schema = weir_stream_schema(in)};
    const struct weir_operator *op = config->folders ? &file_folders_sink : config->changes ? &file_changelog_sink : &file_sink;
    return weir_apply(in, id, op, &copy, sizeof copy);
}
