/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the text formats share: a row under construction, a value for an error message, a field as text.
 */
#ifndef WEIR_CONNECTORS_TEXT_ROW_TEXT_H
#define WEIR_CONNECTORS_TEXT_ROW_TEXT_H

#include "connectors/text/text_buf.h"
#include "weir/connector/file.h"

/*
 * A row that a format's reader fills: its struct here, its strings at once in the output (weir_put_str), so that the caller only needs
 * weir_emit_bytes(out, row->bytes, schema->row_size, ...). Used again for each row; what lies between the fields stays zero.
 */
struct row_text {
    const struct weir_schema *schema;
    enum weir_file_time time_format;
    unsigned char *bytes; /* schema->row_size */

    /* Set after row_text_init where wanted. */
    bool multiline;  /* CSV: what is read may hold line feeds, so a closing quote that is missing is not in the next line */
    bool strict;     /* integers and times must not be negative; JSON: keys that are no fields are refused */
    const char *tag; /* JSON: but this one must be there, once; its value belongs to the caller */
};

/* Checks the schema as far as this code relies on it. Errors: WEIR_E_ARGUMENT (no schema, or one without fields or with fields outside it),
 * WEIR_E_NOMEM. */
weir_err row_text_init(struct row_text *row, const struct weir_schema *schema, enum weir_file_time time_format, struct weir_diag *diag);
void row_text_close(struct row_text *row);

/*
 * Sets a field from the text of its value: all of CSV, and JSON's numbers and times. Returns NULL, or what is wrong in words that follow
 * the value: "is not an integer". Strings are copied to `out`; when that fails, NULL is returned and out->err is set.
 */
const char *row_text_set(struct row_text *row, const struct weir_field *field, struct weir_out *out, const char *text, size_t len);

/* Room for a number or time of any type, without the quotes JSON puts around some. */
#define ROW_TEXT_SCALAR_MAX 40

/* Writes a field that is no string to `to` (at most ROW_TEXT_SCALAR_MAX bytes); returns how many. */
size_t row_text_write_scalar(char *to, const struct weir_field *field, const void *row, enum weir_file_time time_format);

/* A value for an error message: at most ROW_TEXT_SHOW_MAX bytes with final NUL, in double quotes, what cannot be printed as \x1f, cut with
 * "...". */
#define ROW_TEXT_SHOW_MAX 128
const char *row_text_show(char to[ROW_TEXT_SHOW_MAX], const char *text, size_t len);

#endif
