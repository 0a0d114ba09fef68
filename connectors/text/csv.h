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

/* Where the search for a record's end has got to. Zero-initialise for each record. */
struct csv_scan {
    size_t at;        /* bytes of the record looked at */
    size_t behind_lf; /* behind the record's first LF; 0 = none yet */
    enum { CSV_FIELD_START = 0, CSV_PLAIN, CSV_QUOTED, CSV_BEHIND_QUOTE, CSV_BEHIND_CR, CSV_BROKEN } state;
};

/*
 * Finds the end of a record whose fields may hold line feeds in quotes. record[0..len) is what there is of it, with what may come behind;
 * `last` when that will not become more. False: not in there, call again with the same scan and more text. True: *end is the index of the
 * LF that ends the record, or `len`.
 *
 * A record with broken quotes (one inside an unquoted field, text behind a closing one, none that closes) ends at its first LF, so that it
 * takes no other record with it.
 */
bool csv_record_end(struct csv_scan *scan, const char *record, size_t len, bool last, size_t *end);

#endif
