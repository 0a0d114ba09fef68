/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows as JSON lines, by schema: one flat object a line, keys = field names.
 *
 * Written in schema order without spaces; in strings `"` and `\` are escaped by a backslash, control characters as \u001f, nothing else.
 * Times are integer milliseconds or ISO-8601 strings. A double that is no JSON number is the string "nan", "inf" or "-inf".
 *
 * Read in any order, with any white space. Every field must be there once; null is not a value. Unknown keys are skipped with what is below
 * them, which must be JSON too, at most JSON_DEPTH_MAX deep. Escapes are decoded to UTF-8; half a surrogate pair is refused; other bytes
 * are taken as they are. Integers are exact; 1.0 and 1e3 are no integers.
 */
#ifndef WEIR_CONNECTORS_TEXT_JSON_H
#define WEIR_CONNECTORS_TEXT_JSON_H

#include "connectors/text/row_text.h"

#define JSON_DEPTH_MAX 32 /* arrays and objects within each other below an unknown key; deeper ones are WEIR_E_LIMIT */

/* Appends the object and an LF. False when there is no memory. */
bool json_write_row(struct text_buf *buf, const struct weir_schema *schema, const void *row, enum weir_file_time time_format);

/*
 * Fills `row` from a line without its line end. The line is decoded in place: its bytes are changed.
 *
 * Errors: WEIR_E_CORRUPT   not JSON, or not the schema's fields; *diag names field and value, *error_at is the byte, from `line`
 *         WEIR_E_LIMIT     nested deeper than JSON_DEPTH_MAX
 *         that of weir_put_str (out->err)
 */
weir_err json_read_row(struct row_text *row, struct weir_out *out, char *line, size_t len, size_t *error_at, struct weir_diag *diag);

/*
 * Finds the string under `key` of the object, for a reader that must know it before it can choose a schema. *value = its bytes in `line`,
 * decoded in place: of a line that will be read again give a copy. What stands behind the key is not looked at.
 *
 * Errors: WEIR_E_CORRUPT   not JSON up to there, no such key, not a string; *error_at as above
 *         WEIR_E_LIMIT     as above
 */
weir_err json_find_string(char *line, size_t len, const char *key, struct weir_bytes *value, size_t *error_at, struct weir_diag *diag);

#endif
