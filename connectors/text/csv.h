/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows as CSV records, by schema: fields in schema order, comma between, no header.
 *
 * A string with comma, double quote, CR or LF stands in double quotes, quotes inside doubled; no other string is quoted; the empty string
 * is nothing. Numbers: number_text.h. bool: true, false. Times: integer milliseconds or ISO-8601. The reader takes any field in quotes, and
 * refuses a quote inside an unquoted field and text behind a closing quote: guessing there would shift fields silently.
 */
#ifndef WEIR_CONNECTORS_TEXT_CSV_H
#define WEIR_CONNECTORS_TEXT_CSV_H

#include "connectors/text/row_text.h"

/* Appends the record and an LF. False when there is no memory. */
bool csv_write_row(struct text_buf *buf, const struct weir_schema *schema, const void *row, enum weir_file_time time_format);

/*
 * Fills `row` from a record without its line end. The record is decoded in place: its bytes are changed.
 *
 * Errors: WEIR_E_CORRUPT   not the schema's fields; *diag names field and value, *error_at is the field's first byte, from `record`
 *         that of weir_put_str (out->err)
 */
weir_err csv_read_row(struct row_text *row, struct weir_out *out, char *record, size_t len, size_t *error_at, struct weir_diag *diag);

/*
 * Finds the end of a record whose fields may hold line feeds: the first LF of text[from..len) outside quotes, or `len`. *quoted carries
 * over from one call to the next where text goes on; false at the start of a record.
 */
size_t csv_record_end(const char *text, size_t from, size_t len, bool *quoted);

#endif
