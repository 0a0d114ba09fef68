/* SPDX-License-Identifier: Apache-2.0 */
#include "connectors/text/row_text.h"

#include <stdio.h>

#include "connectors/text/number_text.h"
#include "connectors/text/time_text.h"

static size_t type_size(enum weir_type type)
{
    switch (type) {
    case WEIR_TYPE_BOOL: return sizeof(bool);
    case WEIR_TYPE_I32: return sizeof(int32_t);
    case WEIR_TYPE_I64: return sizeof(int64_t);
    case WEIR_TYPE_F64: return sizeof(double);
    case WEIR_TYPE_TIME: return sizeof(weir_time);
    case WEIR_TYPE_STR: return sizeof(struct weir_str);
    case WEIR_TYPE_DECIMAL: return sizeof(int64_t);
    }
    return 0;
}

weir_err row_text_init(struct row_text *row, const struct weir_schema *schema, enum weir_file_time time_format, struct weir_diag *diag)
{
    if (!schema) return weir_fail(diag, WEIR_E_ARGUMENT, "no schema: CSV and JSON need the type of the rows");
    if (schema->n_fields == 0 || schema->n_fields > WEIR_FIELDS_MAX || schema->row_size > WEIR_ROW_MAX) {
        return weir_fail(diag, WEIR_E_ARGUMENT, "schema %s: needs 1 to %d fields", schema->name, WEIR_FIELDS_MAX);
    }
    for (uint32_t i = 0; i < schema->n_fields; i++) {
        const struct weir_field *field = &schema->fields[i];
        size_t size = type_size(field->type);
        if (size == 0) return weir_fail(diag, WEIR_E_ARGUMENT, "schema %s: field %s has no known type", schema->name, field->name);
        if (field->offset > schema->row_size || schema->row_size - field->offset < size) {
            return weir_fail(diag, WEIR_E_ARGUMENT, "schema %s: field %s lies outside the struct", schema->name, field->name);
        }
    }
    unsigned char *bytes = calloc(1, schema->row_size);
    if (!bytes) return weir_fail(diag, WEIR_E_NOMEM, "no memory for a row of %s", schema->name);
    *row = (struct row_text){.schema = schema, .time_format = time_format, .bytes = bytes};
    return WEIR_OK;
}

void row_text_close(struct row_text *row)
{
    free(row->bytes);
    *row = (struct row_text){0};
}

/* ---- a field from its text ------------------------------------------------------------------------------------------------------- */

static const char *set_i64(const struct row_text *row, unsigned char *to, const char *text, size_t len)
{
    int64_t value;
    switch (number_read_i64(text, len, &value)) {
    case NUMBER_OK:
        if (row->strict && text[0] == '-') return "is negative";
        memcpy(to, &value, sizeof value);
        return NULL;
    case NUMBER_RANGE: return "is out of range for a 64-bit integer";
    default: return "is not an integer";
    }
}

static const char *set_decimal(unsigned char *to, const char *text, size_t len, uint32_t scale)
{
    int64_t value;
    switch (number_read_decimal(text, len, scale, &value)) {
    case NUMBER_OK: memcpy(to, &value, sizeof value); return NULL;
    case NUMBER_RANGE: return "is out of range for a decimal, or has more digits behind the point than its scale";
    default: return "is not a decimal number";
    }
}

static const char *set_i32(const struct row_text *row, unsigned char *to, const char *text, size_t len)
{
    int64_t value = 0;
    enum number_result result = number_read_i64(text, len, &value);
    if (result == NUMBER_MALFORMED) return "is not an integer";
    if (result == NUMBER_RANGE || value < INT32_MIN || value > INT32_MAX) return "is out of range for a 32-bit integer";
    if (row->strict && text[0] == '-') return "is negative";
    int32_t narrow = (int32_t)value;
    memcpy(to, &narrow, sizeof narrow);
    return NULL;
}

static const char *set_f64(unsigned char *to, const char *text, size_t len)
{
    double value;
    switch (number_read_f64(text, len, &value)) {
    case NUMBER_OK: memcpy(to, &value, sizeof value); return NULL;
    case NUMBER_RANGE: return "is out of range for a double";
    default: return "is not a number";
    }
}

static const char *set_bool(unsigned char *to, const char *text, size_t len)
{
    bool is_true = len == 4 && memcmp(text, "true", 4) == 0;
    if (!is_true && !(len == 5 && memcmp(text, "false", 5) == 0)) return "is neither true nor false";
    memcpy(to, &is_true, sizeof is_true);
    return NULL;
}

static const char *set_time(const struct row_text *row, unsigned char *to, const char *text, size_t len)
{
    if (row->time_format == WEIR_FILE_TIME_MS) return set_i64(row, to, text, len);
    weir_time value;
    if (!time_read_iso(text, len, &value)) return "is not an ISO-8601 time like 2015-05-17T10:05:00Z";
    if (row->strict && value < 0) return "is negative";
    memcpy(to, &value, sizeof value);
    return NULL;
}

const char *row_text_set(struct row_text *row, const struct weir_field *field, struct weir_out *out, const char *text, size_t len)
{
    unsigned char *to = row->bytes + field->offset;
    switch (field->type) {
    case WEIR_TYPE_I64: return set_i64(row, to, text, len);
    case WEIR_TYPE_DECIMAL: return set_decimal(to, text, len, field->scale);
    case WEIR_TYPE_I32: return set_i32(row, to, text, len);
    case WEIR_TYPE_F64: return set_f64(to, text, len);
    case WEIR_TYPE_BOOL: return set_bool(to, text, len);
    case WEIR_TYPE_TIME: return set_time(row, to, text, len);
    case WEIR_TYPE_STR: {
        struct weir_str str = weir_put_str(out, row->schema->row_size, text, (uint32_t)len);
        memcpy(to, &str, sizeof str);
        return NULL;
    }
    }
    return "has a type this format does not know"; /* row_text_init has checked the types */
}

/* ---- a field to text ------------------------------------------------------------------------------------------------------------- */

size_t row_text_write_scalar(char *to, const struct weir_field *field, const void *row, enum weir_file_time time_format)
{
    static_assert(ROW_TEXT_SCALAR_MAX >= NUMBER_TEXT_MAX && ROW_TEXT_SCALAR_MAX >= TIME_TEXT_MAX, "room for each");
    const unsigned char *from = (const unsigned char *)row + field->offset;
    int64_t wide;
    int32_t narrow;
    double real;
    switch (field->type) {
    case WEIR_TYPE_TIME:
        memcpy(&wide, from, sizeof wide);
        return time_format == WEIR_FILE_TIME_ISO ? time_write_iso(to, wide) : number_write_i64(to, wide);
    case WEIR_TYPE_I64: memcpy(&wide, from, sizeof wide); return number_write_i64(to, wide);
    case WEIR_TYPE_DECIMAL: memcpy(&wide, from, sizeof wide); return number_write_decimal(to, wide, field->scale);
    case WEIR_TYPE_I32: memcpy(&narrow, from, sizeof narrow); return number_write_i64(to, narrow);
    case WEIR_TYPE_F64: memcpy(&real, from, sizeof real); return number_write_f64(to, real);
    case WEIR_TYPE_BOOL: memcpy(to, *from ? "true" : "false", *from ? 4 : 5); return *from ? 4 : 5;
    case WEIR_TYPE_STR: break; /* not a scalar */
    }
    return 0;
}

/* ---- messages -------------------------------------------------------------------------------------------------------------------- */

const char *row_text_show(char to[ROW_TEXT_SHOW_MAX], const char *text, size_t len)
{
    size_t at = 0, i = 0;
    to[at++] = '"';
    for (; i < len && at < ROW_TEXT_SHOW_MAX - 10; i++) { /* room for one escape, the dots, the quote and the NUL */
        unsigned char c = (unsigned char)text[i];
        if (c >= 0x20 && c < 0x7f) {
            to[at++] = (char)c;
        } else {
            at += (size_t)snprintf(to + at, 5, "\\x%02x", c);
        }
    }
    snprintf(to + at, ROW_TEXT_SHOW_MAX - at, "\"%s", i < len ? "..." : "");
    return to;
}
