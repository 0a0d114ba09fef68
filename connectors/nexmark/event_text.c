/* SPDX-License-Identifier: Apache-2.0 */
#include "connectors/nexmark/event_text.h"

#include "connectors/text/csv.h"
#include "connectors/text/json.h"

const struct weir_schema *const event_schemas[EVENT_KINDS] = {&nexmark_bid_schema, &nexmark_auction_schema, &nexmark_person_schema};
static const char letters[EVENT_KINDS] = {'B', 'A', 'P'};

static const char json_head[] = "{\"type\":\"?\""; /* how our own records begin */
#define JSON_HEAD (sizeof json_head - 1)
#define JSON_LETTER (JSON_HEAD - 2)

/* ---- writing ----------------------------------------------------------------------------------------------------------------------- */

static bool write_csv(struct text_buf *buf, enum generate_kind kind, const void *row)
{
    if (!text_reserve(buf, 2)) return false;
    text_put_char(buf, letters[kind]);
    text_put_char(buf, ',');
    return csv_write_row(buf, event_schemas[kind], row, WEIR_FILE_TIME_MS);
}

/* The row is an object of its own: its opening brace becomes the comma behind the kind. */
static bool write_json(struct text_buf *buf, enum generate_kind kind, const void *row)
{
    if (!text_reserve(buf, JSON_HEAD)) return false;
    text_put(buf, json_head, JSON_HEAD);
    buf->data[buf->len - 2] = letters[kind];
    size_t brace = buf->len;
    if (!json_write_row(buf, event_schemas[kind], row, WEIR_FILE_TIME_MS)) return false;
    buf->data[brace] = ',';
    return true;
}

bool event_write(struct text_buf *buf, enum weir_nexmark_format format, enum generate_kind kind, const void *row)
{
    return format == WEIR_NEXMARK_JSON ? write_json(buf, kind, row) : write_csv(buf, kind, row);
}

/* ---- reading ----------------------------------------------------------------------------------------------------------------------- */

weir_err event_reader_init(struct event_reader *r, enum weir_nexmark_format format, struct weir_diag *diag)
{
    *r = (struct event_reader){.format = format};
    for (int kind = 0; kind < EVENT_KINDS; kind++) {
        weir_err err = row_text_init(&r->rows[kind], event_schemas[kind], WEIR_FILE_TIME_MS, diag);
        if (err) return err;
        r->rows[kind].multiline = true;
        r->rows[kind].strict = true;
        r->rows[kind].tag = "type";
    }
    return WEIR_OK;
}

void event_reader_close(struct event_reader *r)
{
    for (int kind = 0; kind < EVENT_KINDS; kind++) row_text_close(&r->rows[kind]);
    text_close(&r->copy);
}

static weir_err unknown_kind(const char *text, size_t len, struct weir_diag *diag)
{
    char shown[ROW_TEXT_SHOW_MAX];
    return weir_fail(diag, WEIR_E_CORRUPT, "unknown kind %s, not P, A or B", row_text_show(shown, text, len));
}

static weir_err kind_of(const char *text, size_t len, enum generate_kind *kind, struct weir_diag *diag)
{
    for (int k = 0; k < EVENT_KINDS && len == 1; k++) {
        if (text[0] != letters[k]) continue;
        *kind = (enum generate_kind)k;
        return WEIR_OK;
    }
    return unknown_kind(text, len, diag);
}

static weir_err read_csv(struct event_reader *r, struct weir_out *outs, char *record, size_t len, enum generate_kind *kind,
                         size_t *error_at, struct weir_diag *diag)
{
    const char *comma = memchr(record, ',', len);
    size_t kind_len = comma ? (size_t)(comma - record) : len;
    *error_at = 0;
    weir_err err = kind_of(record, kind_len, kind, diag);
    if (err) return err;
    if (!comma) return weir_fail(diag, WEIR_E_CORRUPT, "no fields behind the kind");
    err = csv_read_row(&r->rows[*kind], &outs[*kind], record + kind_len + 1, len - kind_len - 1, error_at, diag);
    *error_at += kind_len + 1;
    return err;
}

/* The kind where it stands first, as in every record we write; else of a copy, since looking for it decodes what it passes. */
static weir_err json_kind(struct event_reader *r, const char *record, size_t len, enum generate_kind *kind, size_t *error_at,
                          struct weir_diag *diag)
{
    bool first = len >= JSON_HEAD && memcmp(record, json_head, JSON_LETTER) == 0 && record[JSON_HEAD - 1] == '"';
    *error_at = JSON_LETTER;
    if (first && record[JSON_LETTER] != '\\') return kind_of(record + JSON_LETTER, 1, kind, diag);
    r->copy.len = 0;
    if (!text_reserve(&r->copy, len + 1)) return weir_fail(diag, WEIR_E_NOMEM, "no memory for a copy of the record");
    text_put(&r->copy, record, len);
    struct weir_bytes value = {0};
    weir_err err = json_find_string(r->copy.data, len, "type", &value, error_at, diag);
    if (err) return err;
    *error_at = (size_t)((const char *)value.data - r->copy.data);
    return kind_of(value.data, value.length, kind, diag);
}

static weir_err read_json(struct event_reader *r, struct weir_out *outs, char *record, size_t len, enum generate_kind *kind,
                          size_t *error_at, struct weir_diag *diag)
{
    weir_err err = json_kind(r, record, len, kind, error_at, diag);
    return err ? err : json_read_row(&r->rows[*kind], &outs[*kind], record, len, error_at, diag);
}

weir_err event_read(struct event_reader *r, struct weir_out outs[EVENT_KINDS], char *record, size_t len, enum generate_kind *kind,
                    size_t *error_at, struct weir_diag *diag)
{
    weir_err err = (r->format == WEIR_NEXMARK_JSON ? read_json : read_csv)(r, outs, record, len, kind, error_at, diag);
    if (err) {
        for (int k = 0; k < EVENT_KINDS; k++) weir_row_drop(&outs[k]);
    }
    return err;
}
