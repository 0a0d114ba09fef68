/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes of states as text, by the schemas that a checkpoint carries: JSON to print, keys to read. Bytes without a schema, or that do not
 * fit theirs, and strings that are no UTF-8, are {"hex": "0a0b"}. Times are milliseconds since 1970, decimals numbers with all their
 * digits. Thread: any.
 */
#ifndef WEIR_JOBCTL_STATE_TEXT_H
#define WEIR_JOBCTL_STATE_TEXT_H

#include "runtime/base/buffer.h"
#include "weir/row.h"

#define STATE_TEXT_HEX "hex:" /* in front of a key given by its bytes */

void state_text_hex(struct buffer *out, struct weir_bytes bytes);
void state_text_string(struct buffer *out, struct weir_bytes text);

/* A row as a JSON object. schema->n_fields 0: not declared. The row may lie at any address. Errors: in out->err. */
void state_text_row(struct buffer *out, const struct weir_schema *schema, struct weir_bytes row);

/* A key. field->name NULL: not declared. */
void state_text_key(struct buffer *out, const struct weir_field *field, struct weir_bytes key);

/* The bytes of the key that somebody typed, appended to *out: by its type, or behind STATE_TEXT_HEX. Errors: WEIR_E_ARGUMENT. */
weir_err state_text_parse_key(const struct weir_field *field, const char *text, struct buffer *out, struct weir_diag *diag);

/* "spending {user str, spent decimal(2)}"; "-" when not declared. "str" for a key. */
void state_text_schema(struct buffer *out, const struct weir_schema *schema);
void state_text_type(struct buffer *out, const struct weir_field *field);

#endif
