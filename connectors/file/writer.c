/* SPDX-License-Identifier: Apache-2.0 */
#include "connectors/file/writer.h"

#include "connectors/text/csv.h"
#include "connectors/text/json.h"

#define BUFFER_BYTES (256u << 10) /* written out when full; one large row may take more */

/* ---- format ------------------------------------------------------------------------------------------------------------------------ */

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

weir_err writer_format_init(struct writer_format *format, const struct weir_file_sink *sink, const struct weir_schema *schema,
                            struct weir_diag *diag)
{
    if (sink->format > WEIR_FILE_JSON) return weir_fail(diag, WEIR_E_ARGUMENT, "file sink: %d is no format", (int)sink->format);
    if (sink->time_format > WEIR_FILE_TIME_ISO)
        return weir_fail(diag, WEIR_E_ARGUMENT, "file sink: %d is no time format", (int)sink->time_format);
    if (!schema)
        return weir_fail(diag, WEIR_E_ARGUMENT, "file sink: the type of the rows is not known; name it in the `out` of the step before");
    *format = (struct writer_format){.format = sink->format, .time_format = sink->time_format, .changes = sink->changes, .schema = schema};
    if (sink->format != WEIR_FILE_LINES) return WEIR_OK;
    const struct weir_field *field = line_field(schema);
    if (!field)
        return weir_fail(diag, WEIR_E_ARGUMENT, "file sink: LINES needs rows with exactly one string field, %s has another number",
                         schema->name);
    format->text_offset = field->offset;
    return WEIR_OK;
}

static bool put_line(struct text_buf *buf, uint32_t text_offset, const void *row)
{
    struct weir_str text;
    memcpy(&text, (const char *)row + text_offset, sizeof text);
    if (!text_reserve(buf, (size_t)text.length + 1)) return false;
    text_put(buf, weir_str_data(row, text), text.length);
    text_put_char(buf, '\n');
    return true;
}

static bool put_sign(struct text_buf *buf, uint8_t kind)
{
    if (!text_reserve(buf, 1)) return false;
    text_put_char(buf, kind == WEIR_INSERT || kind == WEIR_UPDATE_AFTER ? '+' : '-');
    return true;
}

static bool put_row(struct text_buf *buf, const struct writer_format *f, const struct weir_record *rec)
{
    const void *row = rec + 1;
    if (f->changes && !put_sign(buf, rec->kind)) return false;
    switch (f->format) {
    case WEIR_FILE_CSV: return csv_write_row(buf, f->schema, row, f->time_format);
    case WEIR_FILE_JSON: return json_write_row(buf, f->schema, row, f->time_format);
    default: return put_line(buf, f->text_offset, row);
    }
}

/* ---- rows -------------------------------------------------------------------------------------------------------------------------- */

void writer_init(struct writer *writer, const struct part_options *options)
{
    *writer = (struct writer){.options = *options};
    part_init(&writer->part, options);
}

static weir_err flush(struct writer *writer, struct weir_diag *diag)
{
    weir_err err = WEIR_OK;
    if (!writer->begun)
        err = part_open(&writer->part, &writer->options, diag);
    else if (writer->part.fd < 0)
        err = part_resume(&writer->part, diag);
    if (err) return err;
    writer->begun = true;
    err = part_write(&writer->part, writer->buf.data, writer->buf.len, diag);
    if (!err) writer->buf.len = 0;
    return err;
}

weir_err writer_row(struct writer *writer, const struct writer_format *format, const struct weir_record *rec, struct weir_diag *diag)
{
    if (WEIR_UNLIKELY(!put_row(&writer->buf, format, rec))) return weir_fail(diag, WEIR_E_NOMEM, "file sink: no memory for a row");
    return writer->buf.len < BUFFER_BYTES ? WEIR_OK : flush(writer, diag);
}

weir_err writer_finish(struct writer *writer, struct weir_diag *diag)
{
    weir_err err = writer->buf.len ? flush(writer, diag) : WEIR_OK;
    if (err || !writer->begun || writer->part.fd < 0) return err; /* a resting one is durable already */
    return part_sync(&writer->part, diag);
}

weir_err writer_rest(struct writer *writer, struct weir_diag *diag)
{
    weir_err err = writer_finish(writer, diag);
    if (err) return err;
    text_close(&writer->buf);
    part_pause(&writer->part);
    return WEIR_OK;
}

weir_err writer_commit(struct writer *writer, bool replace, struct weir_diag *diag)
{
    return writer->begun ? part_commit(&writer->part, replace, diag) : WEIR_OK;
}

void writer_close(struct writer *writer)
{
    part_close(&writer->part);
    text_close(&writer->buf);
}
