/* SPDX-License-Identifier: Apache-2.0 */
#include "connectors/text/csv.h"

/* ---- writing --------------------------------------------------------------------------------------------------------------------- */

static const bool needs_quotes[256] = {[','] = true, ['"'] = true, ['\r'] = true, ['\n'] = true};

static bool must_quote(const char *text, uint32_t len)
{
    for (uint32_t i = 0; i < len; i++) {
        if (needs_quotes[(unsigned char)text[i]]) return true;
    }
    return false;
}

static bool write_string(struct text_buf *buf, const char *text, uint32_t len)
{
    if (!text_reserve(buf, 2 * (size_t)len + 2)) return false; /* every byte a quote */
    if (!must_quote(text, len)) return text_put(buf, text, len), true;
    text_put_char(buf, '"');
    for (uint32_t i = 0; i < len; i++) {
        if (text[i] == '"') text_put_char(buf, '"');
        text_put_char(buf, text[i]);
    }
    text_put_char(buf, '"');
    return true;
}

static bool write_field(struct text_buf *buf, const struct weir_field *field, const void *row, enum weir_file_time time_format)
{
    if (field->type == WEIR_TYPE_STR) {
        struct weir_str str;
        memcpy(&str, (const char *)row + field->offset, sizeof str);
        return write_string(buf, weir_str_data(row, str), str.length);
    }
    if (!text_reserve(buf, ROW_TEXT_SCALAR_MAX)) return false;
    buf->len += row_text_write_scalar(buf->data + buf->len, field, row, time_format);
    return true;
}

bool csv_write_row(struct text_buf *buf, const struct weir_schema *schema, const void *row, enum weir_file_time time_format)
{
    for (uint32_t i = 0; i < schema->n_fields; i++) {
        if (!write_field(buf, &schema->fields[i], row, time_format) || !text_reserve(buf, 1)) return false;
        text_put_char(buf, i + 1 < schema->n_fields ? ',' : '\n');
    }
    return true;
}

/* ---- reading --------------------------------------------------------------------------------------------------------------------- */

/* One field's value, decoded, and where the next field begins. */
struct csv_field {
    char *text;
    size_t len;
    char *next; /* behind the comma; NULL when the record ends here */
};

static const char not_closed[] = "has no closing quote";

/* Returns NULL, or what is wrong. */
static const char *take_plain(char *p, char *end, struct csv_field *f)
{
    char *comma = memchr(p, ',', (size_t)(end - p));
    char *stop = comma ? comma : end;
    *f = (struct csv_field){p, (size_t)(stop - p), comma ? comma + 1 : NULL};
    return memchr(p, '"', f->len) ? "has a quote inside an unquoted field" : NULL;
}

/* `p` is at the opening quote. Doubled quotes are folded in place. */
static const char *take_quoted(char *p, char *end, struct csv_field *f)
{
    char *to = ++p;
    *f = (struct csv_field){.text = p};
    for (;;) {
        char *quote = memchr(p, '"', (size_t)(end - p));
        size_t run = (size_t)((quote ? quote : end) - p);
        if (to != p) memmove(to, p, run);
        to += run;
        f->len = (size_t)(to - f->text);
        if (!quote) return not_closed;
        p = quote + 1;
        if (p == end || *p != '"') break;
        *to++ = '"';
        p++;
    }
    if (p < end && *p != ',') return "has text behind its closing quote";
    f->next = p < end ? p + 1 : NULL;
    return NULL;
}

static weir_err refuse(const struct row_text *row, struct weir_diag *diag, const struct weir_field *field, const struct csv_field *f,
                       const char *why)
{
    char shown[ROW_TEXT_SHOW_MAX];
    const char *remedy = why == not_closed && !row->multiline ? " (set multiline when fields hold line feeds)" : "";
    return weir_fail(diag, WEIR_E_CORRUPT, "field \"%s\": %s %s%s", field->name, row_text_show(shown, f->text, f->len), why, remedy);
}

weir_err csv_read_row(struct row_text *row, struct weir_out *out, char *record, size_t len, size_t *error_at, struct weir_diag *diag)
{
    const struct weir_schema *schema = row->schema;
    char *end = record + len, *p = record;
    for (uint32_t i = 0; i < schema->n_fields; i++) {
        const struct weir_field *field = &schema->fields[i];
        if (!p) {
            *error_at = len;
            return weir_fail(diag, WEIR_E_CORRUPT, "field \"%s\": missing, the record has %u of %u fields", field->name, i,
                             schema->n_fields);
        }
        struct csv_field f;
        *error_at = (size_t)(p - record);
        const char *why = p < end && *p == '"' ? take_quoted(p, end, &f) : take_plain(p, end, &f);
        if (!why) why = row_text_set(row, field, out, f.text, f.len);
        if (WEIR_UNLIKELY(why)) return refuse(row, diag, field, &f, why);
        if (WEIR_UNLIKELY(out->err)) return out->err;
        p = f.next;
    }
    if (!p) return WEIR_OK;
    char shown[ROW_TEXT_SHOW_MAX];
    *error_at = (size_t)(p - record);
    return weir_fail(diag, WEIR_E_CORRUPT, "behind field \"%s\": %s is more than the %u fields of %s",
                     schema->fields[schema->n_fields - 1].name, row_text_show(shown, p, (size_t)(end - p)), schema->n_fields, schema->name);
}

/* ---- the end of a record ---------------------------------------------------------------------------------------------------------- */

/* One byte; true when it is the LF that ends the record. */
static bool scan_byte(struct csv_scan *scan, char c)
{
    switch (scan->state) {
    case CSV_FIELD_START:
    case CSV_PLAIN:
        if (c == '\n') return true;
        if (c == '"')
            scan->state = scan->state == CSV_FIELD_START ? CSV_QUOTED : CSV_BROKEN;
        else
            scan->state = c == ',' ? CSV_FIELD_START : CSV_PLAIN;
        return false;
    case CSV_QUOTED:
        if (c == '"') scan->state = CSV_BEHIND_QUOTE;
        return false;
    case CSV_BEHIND_QUOTE:
        if (c == '\n') return true;
        scan->state = c == '"' ? CSV_QUOTED : c == ',' ? CSV_FIELD_START : c == '\r' ? CSV_BEHIND_CR : CSV_BROKEN;
        return false;
    case CSV_BEHIND_CR:
        if (c == '\n') return true;
        scan->state = CSV_BROKEN;
        return false;
    case CSV_BROKEN: return c == '\n';
    }
    return false;
}

/* Most records have no quotes and are there as a whole. */
static bool without_quotes(const char *record, size_t len, size_t *end)
{
    const char *lf = memchr(record, '\n', len);
    if (!lf || memchr(record, '"', (size_t)(lf - record))) return false;
    *end = (size_t)(lf - record);
    return true;
}

bool csv_record_end(struct csv_scan *scan, const char *record, size_t len, bool last, size_t *end)
{
    if (scan->at == 0 && without_quotes(record, len, end)) return true;
    while (scan->at < len) {
        size_t i = scan->at++;
        bool ends = scan_byte(scan, record[i]);
        if (record[i] == '\n' && !scan->behind_lf) scan->behind_lf = i + 1;
        if (ends || (scan->state == CSV_BROKEN && scan->behind_lf)) {
            *end = scan->state == CSV_BROKEN ? scan->behind_lf - 1 : i;
            return true;
        }
    }
    if (!last) return false;
    bool open = scan->state == CSV_QUOTED || scan->state == CSV_BEHIND_CR;
    *end = open && scan->behind_lf ? scan->behind_lf - 1 : len;
    return true;
}
