/* SPDX-License-Identifier: Apache-2.0 */
#include "api/jobctl/state_text.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- bytes --------------------------------------------------------------------------------------------------------------------------- */

void state_text_hex(struct buffer *out, struct weir_bytes bytes)
{
    const unsigned char *at = bytes.data;
    buffer_str(out, "{\"hex\": \"");
    for (uint32_t i = 0; i < bytes.length; i++) buffer_printf(out, "%02x", at[i]);
    buffer_str(out, "\"}");
}

void state_text_string(struct buffer *out, struct weir_bytes text)
{
    json_t *string = json_stringn(text.length ? text.data : "", text.length); /* NULL: no UTF-8 */
    char *quoted = string ? json_dumps(string, JSON_ENCODE_ANY) : NULL;
    if (quoted)
        buffer_str(out, quoted);
    else
        state_text_hex(out, text);
    free(quoted);
    json_decref(string);
}

/* ---- numbers ------------------------------------------------------------------------------------------------------------------------- */

static uint32_t type_size(enum weir_type type)
{
    return type == WEIR_TYPE_BOOL ? 1 : type == WEIR_TYPE_I32 ? 4 : 8;
}

static void put_decimal(struct buffer *out, int64_t units, uint32_t scale)
{
    char digits[32];
    uint64_t size = units < 0 ? 0 - (uint64_t)units : (uint64_t)units;
    int n = snprintf(digits, sizeof digits, "%0*" PRIu64, (int)scale + 1, size);
    buffer_printf(out, "%s%.*s%s%s", units < 0 ? "-" : "", n - (int)scale, digits, scale ? "." : "", digits + n - scale);
}

static void put_real(struct buffer *out, double value)
{
    if (isfinite(value))
        buffer_printf(out, "%.17g", value);
    else
        buffer_printf(out, "\"%s\"", isnan(value) ? "nan" : value < 0 ? "-inf" : "inf");
}

/* A field that is no string, at `at`. */
static void put_scalar(struct buffer *out, const struct weir_field *field, const unsigned char *at)
{
    int64_t wide = 0;
    int32_t narrow;
    double real;
    switch (field->type) {
    case WEIR_TYPE_BOOL: buffer_str(out, *at ? "true" : "false"); return;
    case WEIR_TYPE_I32:
        memcpy(&narrow, at, sizeof narrow);
        buffer_printf(out, "%" PRId32, narrow);
        return;
    case WEIR_TYPE_F64:
        memcpy(&real, at, sizeof real);
        put_real(out, real);
        return;
    default:
        memcpy(&wide, at, sizeof wide);
        put_decimal(out, wide, field->type == WEIR_TYPE_DECIMAL ? field->scale : 0);
        return;
    }
}

/* ---- rows and keys ------------------------------------------------------------------------------------------------------------------- */

static void put_field(struct buffer *out, const struct weir_field *field, const unsigned char *row)
{
    struct weir_str s;
    if (field->type != WEIR_TYPE_STR) {
        put_scalar(out, field, row + field->offset);
        return;
    }
    memcpy(&s, row + field->offset, sizeof s);
    state_text_string(out, (struct weir_bytes){row + s.offset, s.length});
}

void state_text_row(struct buffer *out, const struct weir_schema *schema, struct weir_bytes row)
{
    unsigned char *aligned = schema->n_fields ? calloc(1, (size_t)row.length + 1) : NULL; /* weir_row_valid reads it as a struct */
    if (aligned && row.length) memcpy(aligned, row.data, row.length);
    if (!aligned || !weir_row_valid(schema, aligned, row.length)) {
        state_text_hex(out, row);
        free(aligned);
        return;
    }
    for (uint32_t i = 0; i < schema->n_fields; i++) {
        const struct weir_field *field = &schema->fields[i];
        buffer_str(out, i ? ", " : "{");
        state_text_string(out, (struct weir_bytes){field->name, (uint32_t)strlen(field->name)});
        buffer_str(out, ": ");
        put_field(out, field, aligned);
    }
    buffer_str(out, "}");
    free(aligned);
}

void state_text_key(struct buffer *out, const struct weir_field *field, struct weir_bytes key)
{
    if (field->name && field->type == WEIR_TYPE_STR)
        state_text_string(out, key);
    else if (field->name && key.length == type_size(field->type))
        put_scalar(out, field, key.data);
    else
        state_text_hex(out, key);
}

/* ---- reading a key ------------------------------------------------------------------------------------------------------------------- */

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool parse_hex(const char *text, struct buffer *out)
{
    for (; text[0] && text[1]; text += 2) {
        int high = hex_digit(text[0]), low = hex_digit(text[1]);
        if (high < 0 || low < 0) return false;
        unsigned char byte = (unsigned char)(high * 16 + low);
        buffer_add(out, &byte, 1);
    }
    return !*text;
}

/* A number with at most `scale` digits behind its point, in units of the last one. */
static bool parse_units(const char *text, uint32_t scale, int64_t *out)
{
    const char *point = strchr(text, '.');
    size_t fraction = point ? strlen(point + 1) : 0;
    char digits[64], *end;
    if (strlen(text) > 40 || fraction > scale) return false;
    int n = snprintf(digits, sizeof digits, "%.*s%s", point ? (int)(point - text) : (int)strlen(text), text, point ? point + 1 : "");
    for (; fraction < scale && n < (int)sizeof digits - 1; fraction++) digits[n++] = '0';
    digits[n] = '\0';
    errno = 0;
    long long value = strtoll(digits, &end, 10);
    if (n == 0 || *end || errno) return false;
    *out = value;
    return true;
}

static bool parse_scalar(const struct weir_field *field, const char *text, struct buffer *out)
{
    int64_t wide;
    char *end;
    if (field->type == WEIR_TYPE_F64) {
        double real = strtod(text, &end);
        buffer_add(out, &real, sizeof real);
        return *text && !*end;
    }
    if (field->type == WEIR_TYPE_BOOL) {
        bool yes = strcmp(text, "true") == 0;
        buffer_add(out, &yes, 1);
        return yes || strcmp(text, "false") == 0;
    }
    if (!parse_units(text, field->type == WEIR_TYPE_DECIMAL ? field->scale : 0, &wide)) return false;
    int32_t narrow = (int32_t)wide;
    if (field->type != WEIR_TYPE_I32)
        buffer_add(out, &wide, sizeof wide);
    else
        buffer_add(out, &narrow, sizeof narrow);
    return field->type != WEIR_TYPE_I32 || narrow == wide;
}

weir_err state_text_parse_key(const struct weir_field *field, const char *text, struct buffer *out, struct weir_diag *diag)
{
    size_t prefix = strlen(STATE_TEXT_HEX);
    bool read = true;
    if (strncmp(text, STATE_TEXT_HEX, prefix) == 0) {
        read = parse_hex(text + prefix, out);
    } else if (!field->name) {
        return weir_fail(diag, WEIR_E_ARGUMENT, "the type of these keys is not declared: give the key's bytes as " STATE_TEXT_HEX "0a0b");
    } else if (field->type == WEIR_TYPE_STR) {
        buffer_str(out, text);
    } else {
        read = parse_scalar(field, text, out);
    }
    if (read) return out->err ? weir_fail(diag, out->err, "no memory for a key") : WEIR_OK;
    struct buffer type = {0};
    state_text_type(&type, field);
    (void)weir_fail(diag, WEIR_E_ARGUMENT, "'%s' is no key: it is a %s; give its bytes as " STATE_TEXT_HEX "0a0b if you must", text,
                    buffer_cstr(&type));
    buffer_close(&type);
    return WEIR_E_ARGUMENT;
}

/* ---- types --------------------------------------------------------------------------------------------------------------------------- */

void state_text_type(struct buffer *out, const struct weir_field *field)
{
    static const char *const names[] = {"-", "bool", "i32", "i64", "f64", "time", "str", "decimal"};
    uint32_t type = field->name ? (uint32_t)field->type : 0;
    buffer_str(out, type < sizeof names / sizeof names[0] ? names[type] : "-");
    if (field->name && field->type == WEIR_TYPE_DECIMAL) buffer_printf(out, "(%" PRIu32 ")", field->scale);
}

void state_text_schema(struct buffer *out, const struct weir_schema *schema)
{
    if (schema->n_fields == 0) {
        buffer_str(out, "-");
        return;
    }
    buffer_printf(out, "%s {", schema->name);
    for (uint32_t i = 0; i < schema->n_fields; i++) {
        buffer_printf(out, "%s%s ", i ? ", " : "", schema->fields[i].name);
        state_text_type(out, &schema->fields[i]);
    }
    buffer_str(out, "}");
}
