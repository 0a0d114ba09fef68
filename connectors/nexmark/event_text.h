/* SPDX-License-Identifier: Apache-2.0 */
/* Events as text, both ways: section 7 of docs/reference/nexmark.md, on top of connectors/text. */
#ifndef WEIR_CONNECTORS_NEXMARK_EVENT_TEXT_H
#define WEIR_CONNECTORS_NEXMARK_EVENT_TEXT_H

#include "connectors/nexmark/generate.h"
#include "connectors/text/row_text.h"

#define EVENT_KINDS 3 /* of enum generate_kind */

extern const struct weir_schema *const event_schemas[EVENT_KINDS];

/* Appends the event and an LF. False when there is no memory. */
bool event_write(struct text_buf *buf, enum weir_nexmark_format format, enum generate_kind kind, const void *row);

/* Reads events; owner: one reader. Zero-initialised it may be closed. */
struct event_reader {
    enum weir_nexmark_format format;
    struct row_text rows[EVENT_KINDS];
    struct text_buf copy; /* JSON: of a record whose kind does not stand first */
};

/* Errors: WEIR_E_NOMEM. */
weir_err event_reader_init(struct event_reader *r, enum weir_nexmark_format format, struct weir_diag *diag);
void event_reader_close(struct event_reader *r);

/*
 * Reads a record without its line end, in place: its bytes are changed. On success *kind says what it is, its struct is in
 * rows[*kind].bytes and its strings are put on outs[*kind], for weir_emit_bytes.
 *
 * Errors: WEIR_E_CORRUPT, WEIR_E_LIMIT   it is no event; *diag says why, *error_at is the byte. Nothing is left on the outputs
 *         any other                      the output's own (outs[...].err), or WEIR_E_NOMEM
 */
weir_err event_read(struct event_reader *r, struct weir_out outs[EVENT_KINDS], char *record, size_t len, enum generate_kind *kind,
                    size_t *error_at, struct weir_diag *diag);

#endif
