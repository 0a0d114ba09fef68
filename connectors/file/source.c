/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file source. A reader takes line after line from its range (lines.h), makes a row of each, and stands between two rows: its position
 * is the byte of the uncompressed text where the next line begins, eight bytes, or nothing while no line has been reached. For a compressed
 * file a restored reader decompresses from the start and throws away what lies before.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "connectors/text/csv.h"
#include "connectors/file/discover.h"
#include "connectors/text/json.h"
#include "connectors/text/lines.h"
#include "connectors/text/split.h"

/* One call of `read` ends after so much; between bursts it looks whether its output is full. */
#define CALL_BYTES (256 << 10)
#define BURST_BYTES (16 << 10)
#define BURST_ROWS 64

static const struct weir_field line_fields[] = {
    WEIR_FIELD(weir_line, 1, I64, position),
    WEIR_FIELD(weir_line, 2, STR, file),
    WEIR_FIELD(weir_line, 3, STR, text),
};
const struct weir_schema weir_line_schema = {sizeof(struct weir_schema), "weir_line", sizeof(struct weir_line), 3, line_fields};

struct file_reader {
    const struct weir_file_source *config;
    char *path;
    uint32_t path_len;
    struct lines lines;
    struct row_text row; /* CSV, JSON */
};

/* ---- open and close ---------------------------------------------------------------------------------------------------------------- */

static weir_err open_at(struct file_reader *r, const struct split *split, struct weir_bytes position, struct weir_diag *diag)
{
    struct lines_range range = {.begin = split->begin, .end = split->end, .resume = -1, .multiline = r->config->multiline};
    if (position.length) {
        range.resume = position.length == 8 ? split_get_i64(position.data) : -1;
        if (range.resume < split->begin) return weir_fail(diag, WEIR_E_CORRUPT, "%s: not a position in this split", r->path);
    }
    return lines_open(&r->lines, r->path, &split->identity, &range, diag);
}

static weir_err file_open(void *self, struct weir_ctx *ctx, struct weir_bytes split_bytes, struct weir_bytes position)
{
    struct file_reader *r = self;
    r->config = ctx->config;
    struct split split;
    weir_err err = split_read(&split, split_bytes, ctx->diag);
    if (err) return err;
    r->path = (char *)split.path; /* given */
    r->path_len = (uint32_t)strlen(r->path);
    if (r->config->format != WEIR_FILE_LINES) err = row_text_init(&r->row, r->config->schema, r->config->time_format, ctx->diag);
    r->row.multiline = r->config->multiline;
    return err ? err : open_at(r, &split, position, ctx->diag);
}

static void file_close(void *self, struct weir_ctx *ctx)
{
    struct file_reader *r = self;
    (void)ctx;
    lines_close(&r->lines);
    row_text_close(&r->row);
    free(r->path);
    r->path = NULL;
}

/* ---- read -------------------------------------------------------------------------------------------------------------------------- */

static weir_err emit_line(struct file_reader *r, struct weir_out *out, const struct line *line)
{
    struct weir_line row = {.position = line->position};
    row.file = weir_put_str(out, sizeof row, r->path, r->path_len);
    row.text = weir_put_str(out, sizeof row, line->text, (uint32_t)line->len);
    return weir_emit(out, &row, sizeof row, WEIR_TIME_MIN);
}

static weir_err emit_parsed(struct file_reader *r, struct weir_ctx *ctx, const struct line *line)
{
    struct weir_out *out = ctx->out;
    size_t at = 0;
    weir_err err = r->config->format == WEIR_FILE_CSV ? csv_read_row(&r->row, out, line->text, line->len, &at, ctx->diag)
                                                      : json_read_row(&r->row, out, line->text, line->len, &at, ctx->diag);
    if (WEIR_LIKELY(!err)) return weir_emit_bytes(out, r->row.bytes, r->row.schema->row_size, WEIR_TIME_MIN, WEIR_INSERT);
    if (out->err) return out->err; /* the output's own failure has its own words */
    return weir_wrap(ctx->diag, err, "%s: byte %" PRId64 " (line at %" PRId64 ")", r->path, line->position + (int64_t)at, line->position);
}

/* An empty line is a row of LINES, and of CSV with a single field, whose empty value it is. Elsewhere it is nothing. */
static bool is_blank(const struct file_reader *r, const struct line *line)
{
    if (line->len > 0 || r->config->format == WEIR_FILE_LINES) return false;
    return r->config->format == WEIR_FILE_JSON || r->row.schema->n_fields > 1;
}

static weir_err emit(struct file_reader *r, struct weir_ctx *ctx, const struct line *line)
{
    if (r->config->format == WEIR_FILE_LINES) return emit_line(r, ctx->out, line);
    return is_blank(r, line) ? WEIR_OK : emit_parsed(r, ctx, line);
}

/* A run of rows; *bytes is lowered by what it took. */
static weir_err read_burst(struct file_reader *r, struct weir_ctx *ctx, int64_t *bytes)
{
    int64_t enough = *bytes - BURST_BYTES;
    for (int rows = 0; rows<BURST_ROWS && * bytes> enough; rows++) {
        struct line line;
        weir_err err = lines_next(&r->lines, &line, ctx->diag);
        if (WEIR_UNLIKELY(err)) return err;
        err = emit(r, ctx, &line);
        if (WEIR_UNLIKELY(err)) return err;
        *bytes -= (int64_t)line.len + 1;
    }
    return WEIR_OK;
}

static weir_err file_read(void *self, struct weir_ctx *ctx)
{
    struct file_reader *r = self;
    int64_t bytes = CALL_BYTES;
    while (bytes > 0 && !weir_should_yield(ctx)) {
        weir_err err = read_burst(r, ctx, &bytes);
        if (err == WEIR_AGAIN) return WEIR_OK; /* the buffer has been filled: enough for one call, and there is more at once */
        if (err) return err;
    }
    return WEIR_OK;
}

static weir_err file_position(void *self, struct weir_ctx *ctx, void *data, uint32_t *length)
{
    struct file_reader *r = self;
    (void)ctx;
    int64_t position = lines_position(&r->lines);
    *length = position < 0 ? 0 : 8;
    if (*length) split_put_i64(data, position);
    return WEIR_OK;
}

/* ---- the table --------------------------------------------------------------------------------------------------------------------- */

static const struct weir_source file_source = {
    .struct_size = sizeof(struct weir_source),
    .name = "file",
    .self_size = sizeof(struct file_reader),
    .schema = &weir_line_schema,
    .flags = WEIR_SOURCE_ONE_BY_ONE,
    .discover = file_discover,
    .open = file_open,
    .read = file_read,
    .position = file_position,
    .close = file_close,
};

struct weir_stream *weir_from_file(struct weir_env *env, const char *id, const struct weir_file_source *config)
{
    if (!env || !config) return weir_from(env, id, &file_source, NULL, sizeof *config); /* which keeps the mistake */
    struct weir_file_source copy = *config;
    if (copy.path) copy.path = weir_env_path(env, copy.path);
    if (copy.format == WEIR_FILE_LINES) return weir_from(env, id, &file_source, &copy, sizeof copy);
    struct weir_source *source = weir_env_alloc(env, sizeof *source); /* a table of its own: it says what the rows are */
    if (!source) return NULL;
    *source = file_source;
    source->schema = config->schema; /* NULL is refused by discover, in words */
    return weir_from(env, id, source, &copy, sizeof copy);
}
