/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file sink. Each subtask writes its rows to part files (writer.h), which have no visible name until they are committed; a subtask
 * without rows has none.
 *
 *     open       folder made; part files of an earlier run refused unless `replace`
 *     process    rows -> buffer -> file; a file that is large or old enough is followed by another
 *     prepare    the rest of the buffer, fsync, temporary name: durable, not visible; a committable for each file
 *     commit     rename, fsync of the folder; with `replace` the files of earlier runs go
 *     recover    temporary files of earlier attempts that no committable tells of go
 *     abort      a temporary file that no checkpoint will ever tell of goes
 *     close      what was not prepared is removed
 *
 * Rows that are divided over folders: folders.c.
 */
#include "connectors/file/sink.h"

#include <errno.h>
#include <unistd.h>

struct file_sink {
    struct file_sink_config config;
    struct lineage lineage; /* this job: a folder is looked through at its start only, and what it continues was there before */
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
    weir_err err = folder_make_all(sink->dir, diag);
    if (!err && access(sink->dir, W_OK | X_OK)) err = weir_fail_errno(diag, errno, "write to folder %s", sink->dir);
    return err;
}

/* Refuses a folder that holds somebody's result. Every subtask looks before any commits. */
weir_err sink_check_empty(const char *dir, const struct lineage *lineage, struct weir_diag *diag)
{
    bool found = false;
    char name[PART_NAME_MAX];
    weir_err err = folder_find_foreign(dir, lineage, &found, name, diag);
    if (err || !found) return err;
    return weir_fail(diag, WEIR_E_EXISTS, "folder %s holds %s of an earlier run; set replace, or give another folder", dir, name);
}

struct writer_options sink_writer_options(const struct weir_file_sink *sink, const struct weir_ctx *ctx, const char *dir,
                                          const struct lineage *lineage)
{
    return (struct writer_options){.dir = dir,
                                   .job_id = ctx->job_id,
                                   .lineage = lineage,
                                   .subtask = ctx->subtask,
                                   .parallelism = ctx->parallelism,
                                   .attempt = ctx->attempt,
                                   .roll_bytes = sink->roll_bytes,
                                   .roll_ms = sink->roll_ms,
                                   .at_least_once = sink->at_least_once,
                                   .replace = sink->replace};
}

static weir_err file_sink_open(void *self, struct weir_ctx *ctx)
{
    struct file_sink *s = self;
    memcpy(&s->config, ctx->config, sizeof s->config);
    const struct weir_file_sink *sink = &s->config.sink;
    lineage_add(&s->lineage, ctx->job_id);
    struct writer_options options = sink_writer_options(sink, ctx, sink->dir, &s->lineage);
    options.replace &= ctx->restored == 0; /* else what there is belongs to this output, or has gone already */
    writer_init(&s->writer, &options);
    weir_err err = writer_format_init(&s->format, sink, s->config.schema, ctx->diag);
    if (!err) err = sink_open_folder(sink, ctx->diag);
    if (!err && !sink->replace && ctx->restored == 0) err = sink_check_empty(sink->dir, &s->lineage, ctx->diag);
    return err;
}

static weir_err file_sink_recover(void *self, struct weir_ctx *ctx, const struct weir_bytes *kept, uint32_t n_kept)
{
    const struct file_sink *s = self;
    return sink_remove_orphans(s->config.sink.dir, false, ctx, kept, n_kept);
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
    weir_time now_ms = weir_now_ms(ctx);
    weir_err err = writer_roll_by_time(&s->writer, now_ms, ctx->diag);
    (void)input;
    for (uint32_t i = 0; i < batch->count && !err; i++) {
        const struct weir_record *rec = weir_batch_record(batch, i);
        if (WEIR_UNLIKELY(rec->kind != WEIR_INSERT && !s->format.changes)) return sink_refuse_kind(ctx, rec);
        err = writer_row(&s->writer, &s->format, rec, now_ms, ctx->diag);
    }
    return err;
}

/* ---- the two phases ---------------------------------------------------------------------------------------------------------------- */

static weir_err file_sink_prepare(void *self, struct weir_ctx *ctx, uint64_t checkpoint_id, struct weir_committables *out)
{
    struct file_sink *s = self;
    return writer_prepare(&s->writer, checkpoint_id, 0, out, ctx->diag);
}

static weir_err file_sink_commit(void *self, struct weir_ctx *ctx, struct weir_bytes committable)
{
    struct file_sink *s = self;
    struct show file;
    weir_err err = show_read(&file, committable, ctx->diag);
    if (!err) err = writer_commit(&s->writer, &file, ctx->diag);
    return err ? err : show(&file, &s->lineage, ctx->job_id, ctx->diag);
}

void sink_abort(void *self, struct weir_ctx *ctx, struct weir_bytes committable)
{
    struct show file;
    (void)self;
    if (show_read(&file, committable, ctx->diag) || !(file.flags & SHOW_FILE)) return;
    (void)folder_remove_file(file.dir, file.temporary, ctx->diag); /* else recover meets it again */
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
        .open = file_sink_open, .process = file_sink_process, .prepare = file_sink_prepare, .commit = file_sink_commit,        \
        .recover = file_sink_recover, .close = file_sink_close, .abort = sink_abort                                            \
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
