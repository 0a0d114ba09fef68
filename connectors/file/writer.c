/* SPDX-License-Identifier: Apache-2.0 */
#include "connectors/file/writer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

/* ---- files ------------------------------------------------------------------------------------------------------------------------- */

void writer_init(struct writer *writer, const struct writer_options *options)
{
    *writer = (struct writer){.options = *options, .part = {.fd = -1}};
}

static weir_err open_file(struct writer *w, struct weir_diag *diag)
{
    const struct writer_options *o = &w->options;
    char temporary[PART_NAME_MAX];
    name_temporary(temporary, o->subtask, w->n_files, o->job_id, o->attempt);
    weir_err err = part_open(&w->part, o->dir, temporary, o->always_named, diag);
    if (err) return err;
    w->n_files++;
    w->begun = true;
    return WEIR_OK;
}

static weir_err flush(struct writer *w, struct weir_diag *diag)
{
    weir_err err = WEIR_OK;
    if (!w->begun)
        err = open_file(w, diag);
    else if (w->part.fd < 0)
        err = part_resume(&w->part, diag);
    if (!err) err = part_write(&w->part, w->buf.data, w->buf.len, diag);
    if (!err) w->buf.len = 0;
    return err;
}

/* What is the folder's, to begin a committable with. Of a job without checkpoints names come again, so they tell nothing of whose they are.
 */
static struct show of_folder(const struct writer *w, uint64_t checkpoint_id, uint32_t flags)
{
    const struct writer_options *o = &w->options;
    bool plain = checkpoint_id == 0 && !o->at_least_once;
    struct show s = {.flags = flags, .from = plain && !o->alone ? o->parallelism : 0, .own = o->subtask, .n_own = plain ? w->n_sealed : 0};
    (void)snprintf(s.dir, sizeof s.dir, "%s", o->dir);
    (void)snprintf(s.job, sizeof s.job, "%.*s", PART_JOB_DIGITS, o->job_id);
    return s;
}

/* At least once a file shows as soon as it is whole. Its name has the attempt in it: the next one writes its rows again, to others. */
static weir_err show_now(struct writer *w, struct weir_diag *diag)
{
    const struct writer_options *o = &w->options;
    struct show s = of_folder(w, 0, SHOW_FILE | (o->replace && !w->cleared ? SHOW_CLEAR : 0u));
    s.length = w->part.written;
    s.crc = w->part.crc;
    (void)snprintf(s.temporary, sizeof s.temporary, "%s", w->part.temporary);
    name_of_attempt(s.name, o->subtask, o->job_id, o->attempt, w->n_shown++);
    weir_err err = show(&s, o->lineage, o->job_id, diag);
    w->cleared = true;
    return err;
}

static weir_err keep_sealed(struct writer *w, struct weir_diag *diag)
{
    if (w->n_sealed == w->cap) {
        struct sealed *grown = realloc(w->sealed, (w->cap * 2u + 4u) * sizeof *grown);
        if (!grown) return weir_fail(diag, WEIR_E_NOMEM, "file sink: no memory for a file");
        w->sealed = grown;
        w->cap = w->cap * 2u + 4u;
    }
    w->sealed[w->n_sealed++] = (struct sealed){.part = w->part, .rows = w->rows};
    return WEIR_OK;
}

/* The file takes no more rows. name: it must outlive the process. */
static weir_err seal(struct writer *w, bool name, struct weir_diag *diag)
{
    weir_err err = w->buf.len ? flush(w, diag) : WEIR_OK;
    if (err || !w->begun) return err;
    err = part_seal(&w->part, name || w->options.at_least_once, diag);
    if (!err) err = keep_sealed(w, diag);
    if (err) return err;
    if (w->options.at_least_once) err = show_now(w, diag);
    w->part = (struct part){.fd = -1};
    w->begun = false;
    w->rows = 0;
    return err;
}

/* ---- rows -------------------------------------------------------------------------------------------------------------------------- */

weir_err writer_row(struct writer *w, const struct writer_format *format, const struct weir_record *rec, weir_time now_ms,
                    struct weir_diag *diag)
{
    if (WEIR_UNLIKELY(!put_row(&w->buf, format, rec))) return weir_fail(diag, WEIR_E_NOMEM, "file sink: no memory for a row");
    if (w->rows++ == 0) w->begun_ms = now_ms;
    if (WEIR_LIKELY(w->buf.len < BUFFER_BYTES)) return WEIR_OK;
    weir_err err = flush(w, diag);
    bool full = w->options.roll_bytes > 0 && w->part.written >= w->options.roll_bytes;
    return err || !full ? err : seal(w, true, diag);
}

weir_err writer_roll_by_time(struct writer *w, weir_time now_ms, struct weir_diag *diag)
{
    bool old = w->options.roll_ms > 0 && w->rows > 0 && now_ms - w->begun_ms >= w->options.roll_ms;
    return old ? seal(w, true, diag) : WEIR_OK;
}

weir_err writer_rest(struct writer *w, struct weir_diag *diag)
{
    weir_err err = w->buf.len ? flush(w, diag) : WEIR_OK;
    if (!err && w->begun && w->part.fd >= 0) err = part_pause(&w->part, diag);
    if (!err) text_close(&w->buf);
    return err;
}

/* ---- the two phases ---------------------------------------------------------------------------------------------------------------- */

/*
 * Of a job without checkpoints the last file keeps its descriptor, and no name where that can be, until the commit: nobody else will do
 * that one.
 */
static weir_err add_file(struct writer *w, uint32_t i, uint64_t checkpoint_id, uint32_t flags, struct weir_committables *out,
                         struct weir_diag *diag)
{
    const struct writer_options *o = &w->options;
    struct sealed *file = &w->sealed[i];
    struct show s = of_folder(w, checkpoint_id, SHOW_FILE | flags | (o->replace && !checkpoint_id ? SHOW_REPLACE : 0u));
    if (checkpoint_id)
        name_of_checkpoint(s.name, o->subtask, o->job_id, checkpoint_id, i);
    else
        name_plain(s.name, o->subtask, i);
    s.crc = file->part.crc;
    s.length = file->part.written;
    (void)snprintf(s.temporary, sizeof s.temporary, "%s", file->part.temporary);
    memcpy(file->name, s.name, sizeof file->name);
    file->prepared = true;
    return show_add(out, &s, diag);
}

static void count_rows(const struct writer *w, struct weir_committables *out)
{
    uint64_t rows = 0;
    for (uint32_t i = 0; i < w->n_sealed; i++) rows += w->sealed[i].rows;
    weir_committables_records(out, rows);
}

weir_err writer_prepare(struct writer *w, uint64_t checkpoint_id, uint32_t mark, struct weir_committables *out, struct weir_diag *diag)
{
    weir_err err = seal(w, checkpoint_id != 0, diag);
    if (err) return err;
    count_rows(w, out);
    uint32_t last = mark | (w->options.replace && !w->cleared ? SHOW_CLEAR : 0u);
    uint32_t n = w->options.at_least_once ? 0 : w->n_sealed;
    for (uint32_t i = 0; i < n && !err; i++) err = add_file(w, i, checkpoint_id, i + 1 == n ? last : 0, out, diag);
    if (!err && n == 0 && last) {
        struct show s = of_folder(w, checkpoint_id, last);
        err = show_add(out, &s, diag);
    }
    if (err) return err;
    w->cleared = true;
    if (checkpoint_id || w->options.at_least_once) w->n_sealed = 0; /* they are the committables' now */
    return WEIR_OK;
}

weir_err writer_commit(struct writer *w, const struct show *file, struct weir_diag *diag)
{
    for (uint32_t i = 0; i < w->n_sealed; i++) {
        struct sealed *s = &w->sealed[i];
        if (!s->prepared || strcmp(s->name, file->name) != 0) continue;
        return s->part.fd >= 0 ? part_seal(&s->part, true, diag) : WEIR_OK;
    }
    return WEIR_OK;
}

void writer_close(struct writer *w)
{
    part_discard(&w->part, true);
    for (uint32_t i = 0; i < w->n_sealed; i++) part_discard(&w->sealed[i].part, true);
    free(w->sealed);
    w->sealed = NULL;
    w->n_sealed = w->cap = 0;
    text_close(&w->buf);
}
