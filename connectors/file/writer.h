/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows into a part file: formats each into a buffer and writes that out when it is full. The file is made with the first row.
 *
 *     writer_row ... ── writer_rest ── writer_row ... ── writer_finish ── writer_commit
 *         └───────────────── writer_close: what was not committed is removed ─────┘
 *
 * A resting writer holds no descriptor and no buffer, so that a sink may have more files than a process may have open.
 */
#ifndef WEIR_CONNECTORS_FILE_WRITER_H
#define WEIR_CONNECTORS_FILE_WRITER_H

#include "connectors/file/part.h"
#include "connectors/text/text_buf.h"
#include "weir/connector/file.h"

/* How rows become text; shared by the writers of a sink. */
struct writer_format {
    enum weir_file_format format;
    enum weir_file_time time_format;
    bool changes; /* '+' or '-' before each row */
    const struct weir_schema *schema;
    uint32_t text_offset; /* LINES: where the string that is written lies in the row */
};

/* Errors: WEIR_E_ARGUMENT (unknown format, a type that the format cannot write). */
weir_err writer_format_init(struct writer_format *format, const struct weir_file_sink *sink, const struct weir_schema *schema,
                            struct weir_diag *diag);

/* Embedded. */
struct writer {
    struct part_options options;
    struct part part;
    struct text_buf buf;
    bool begun; /* there is a file */
};

void writer_init(struct writer *writer, const struct part_options *options); /* options->dir is borrowed until writer_close */
weir_err writer_row(struct writer *writer, const struct writer_format *format, const struct weir_record *rec, struct weir_diag *diag);

/* Makes what was written durable and lets go of descriptor and buffer; needs options.always_named. The next row takes them up again. */
weir_err writer_rest(struct writer *writer, struct weir_diag *diag);

/* The rest of the buffer, fsync: durable, not visible. Nothing to do without rows. */
weir_err writer_finish(struct writer *writer, struct weir_diag *diag);
weir_err writer_commit(struct writer *writer, bool replace, struct weir_diag *diag); /* idempotent */
void writer_close(struct writer *writer);

#endif
