/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file sink. Each subtask formats its rows into a buffer and writes that to a part file (part.h), which has no visible name until the
 * whole job has finished. Its file is made with the first row; a subtask without rows has none.
 *
 *     open       folder made; part files of an earlier run refused unless `replace`
 *     process    rows -> buffer -> file
 *     finish     the rest of the buffer, fsync: durable, not visible
 *     commit     rename, fsync of the folder; with `replace` the files that this run has not replaced go
 *     close      what was not committed is removed
 */
#include <errno.h>
#include <inttypes.h>
#include <unistd.h>

#include "connectors/text/csv.h"
#include "connectors/text/json.h"
#include "connectors/file/part.h"

#define BUFFER_BYTES (256u << 10) /* written out when full; one large row may take more */

struct file_sink_config {
    struct weir_file_sink sink;
    const struct weir_schema *schema; /* of the rows; NULL = unknown */
};

struct file_sink {
    struct file_sink_config config;
    struct part part;
    struct text_buf buf;
    uint32_t text_offset; /* LINES: where the string that is written lies in the row */
    bool begun;           /* there is a file */
};

/* ---- open -------------------------------------------------------------------------------------------------------------------------- */

/* The field that LINES writes: the only string; of a file source's own lines, `text`. NULL: none, or which is not clear. */
static const struct weir_field *line_field(const struct weir_schema *schema)
{
    bool is_line = strcmp(schema->name, weir_line_schema.name) == 0;
    const struct weir_field *found = NULL;
    for (uint32_t i = 0; i < schema->n_fields; i++) {
        const struct weir_field *field = &schema->fields[i];
        if (field->type != WEIR_TYPE_STR || (is_line && strcmp(field->name, "text") != 0)) continue;
        if (found) return NULL;
        found = field;
    }
    return found;
}

static weir_err check_config(struct file_sink *s, struct weir_diag *diag)
{
    const struct weir_file_sink *c = &s->config.sink;
    const struct weir_schema *schema = s->config.schema;
    if (!c->dir || c->dir[0] != '/') {
        return weir_fail(diag, WEIR_E_ARGUMENT, "file sink: the folder \"%s\" is not absolute; make it so with weir_env_path",
                         c->dir ? c->dir : "");
    }
    if (c->format > WEIR_FILE_JSON) return weir_fail(diag, WEIR_E_ARGUMENT, "file sink: %d is no format", (int)c->format);
    if (c->time_format > WEIR_FILE_TIME_ISO)
        return weir_fail(diag, WEIR_E_ARGUMENT, "file sink: %d is no time format", (int)c->time_format);
    if (!schema)
        return weir_fail(diag, WEIR_E_ARGUMENT, "file sink: the type of the rows is not known; name it in the `out` of the step before");
    if (c->format != WEIR_FILE_LINES) return WEIR_OK;
    const struct weir_field *field = line_field(schema);
    if (!field)
        return weir_fail(diag, WEIR_E_ARGUMENT, "file sink: LINES needs rows with exactly one string field, %s has another number",
                         schema->name);
    s->text_offset = field->offset;
    return WEIR_OK;
}

/* Refuses a folder that holds somebody's result. Every subtask looks before any commits: commits wait for the end of the whole job. */
static weir_err check_empty(const char *dir, struct weir_diag *diag)
{
    bool found = false;
    char name[64];
    weir_err err = part_find(dir, &found, name, diag);
    if (err || !found) return err;
    return weir_fail(diag, WEIR_E_EXISTS, "folder %s holds %s of an earlier run; set replace, or give another folder", dir, name);
}

static struct part_options options(const struct file_sink *s, const struct weir_ctx *ctx)
{
    return (struct part_options){.dir = s->config.sink.dir, .index = ctx->subtask, .job_id = ctx->job_id};
}

static weir_err file_sink_open(void *self, struct weir_ctx *ctx)
{
    struct file_sink *s = self;
    memcpy(&s->config, ctx->config, sizeof s->config);
    struct part_options part_options = options(s, ctx);
    part_init(&s->part, &part_options);
    weir_err err = check_config(s, ctx->diag);
    const char *dir = s->config.sink.dir;
    if (!err) err = part_make_folder(dir, ctx->diag);
    if (!err && access(dir, W_OK | X_OK)) err = weir_fail_errno(ctx->diag, errno, "write to folder %s", dir);
    if (!err && !s->config.sink.replace) err = check_empty(dir, ctx->diag);
    return err;
}

/* ---- process ----------------------------------------------------------------------------------------------------------------------- */

static bool write_line(struct file_sink *s, const void *row)
{
    struct weir_str text;
    memcpy(&text, (const char *)row + s->text_offset, sizeof text);
    if (!text_reserve(&s->buf, (size_t)text.length + 1)) return false;
    text_put(&s->buf, weir_str_data(row, text), text.length);
    text_put_char(&s->buf, '\n');
    return true;
}

static bool write_row(struct file_sink *s, const void *row)
{
    const struct file_sink_config *c = &s->config;
    switch (c->sink.format) {
    case WEIR_FILE_CSV: return csv_write_row(&s->buf, c->schema, row, c->sink.time_format);
    case WEIR_FILE_JSON: return json_write_row(&s->buf, c->schema, row, c->sink.time_format);
    default: return write_line(s, row);
    }
}

static weir_err flush(struct file_sink *s, struct weir_ctx *ctx)
{
    if (!s->begun) {
        struct part_options part_options = options(s, ctx);
        weir_err err = part_open(&s->part, &part_options, ctx->diag);
        if (err) return err;
        s->begun = true;
    }
    weir_err err = part_write(&s->part, s->buf.data, s->buf.len, ctx->diag);
    if (!err) s->buf.len = 0;
    return err;
}

static weir_err refuse_kind(struct weir_ctx *ctx, const struct weir_record *rec)
{
    return weir_fail(ctx->diag, WEIR_E_UNSUPPORTED,
                     "file sink: a row of kind %u; part files only grow, they cannot take back or change a row", rec->kind);
}

static weir_err file_sink_process(void *self, struct weir_ctx *ctx, uint32_t input, struct weir_batch *batch)
{
    struct file_sink *s = self;
    (void)input;
    for (uint32_t i = 0; i < batch->count; i++) {
        struct weir_record *rec = weir_batch_record(batch, i);
        if (WEIR_UNLIKELY(rec->kind != WEIR_INSERT)) return refuse_kind(ctx, rec);
        if (WEIR_UNLIKELY(!write_row(s, weir_record_row(rec)))) return weir_fail(ctx->diag, WEIR_E_NOMEM, "file sink: no memory for a row");
        if (s->buf.len < BUFFER_BYTES) continue;
        weir_err err = flush(s, ctx);
        if (err) return err;
    }
    return WEIR_OK;
}

/* ---- the end ----------------------------------------------------------------------------------------------------------------------- */

static weir_err file_sink_finish(void *self, struct weir_ctx *ctx)
{
    struct file_sink *s = self;
    weir_err err = s->buf.len ? flush(s, ctx) : WEIR_OK;
    if (err || !s->begun) return err;
    return part_sync(&s->part, ctx->diag);
}

/* What an earlier run has left under names this run has not used: this subtask's own, and, by the first subtask, those beyond the last. */
static weir_err remove_old(const struct file_sink *s, struct weir_ctx *ctx)
{
    const char *dir = s->config.sink.dir;
    weir_err err = s->begun ? WEIR_OK : part_remove(&s->part, ctx->diag);
    if (!err && ctx->subtask == 0) err = part_remove_from(dir, ctx->parallelism, ctx->job_id, ctx->diag);
    return err ? err : part_sync_folder(dir, ctx->diag);
}

static weir_err file_sink_commit(void *self, struct weir_ctx *ctx)
{
    struct file_sink *s = self;
    weir_err err = s->begun ? part_commit(&s->part, s->config.sink.replace, ctx->diag) : WEIR_OK;
    if (err || !s->config.sink.replace) return err;
    return remove_old(s, ctx);
}

static void file_sink_close(void *self, struct weir_ctx *ctx)
{
    struct file_sink *s = self;
    (void)ctx;
    part_close(&s->part);
    text_close(&s->buf);
}

static const struct weir_operator file_sink = {
    .struct_size = sizeof(struct weir_operator),
    .name = "file",
    .self_size = sizeof(struct file_sink),
    .flags = WEIR_OPERATOR_SINK,
    .open = file_sink_open,
    .process = file_sink_process,
    .finish = file_sink_finish,
    .commit = file_sink_commit,
    .close = file_sink_close,
};

struct weir_stream *weir_to_file(struct weir_stream *in, const char *id, const struct weir_file_sink *config)
{
    if (!in || !config) return weir_apply(in, id, &file_sink, NULL, sizeof(struct file_sink_config)); /* which keeps the mistake */
    struct file_sink_config copy = {.sink = *config, .schema = weir_stream_schema(in)};
    return weir_apply(in, id, &file_sink, &copy, sizeof copy);
}
