/* SPDX-License-Identifier: Apache-2.0 */
/* What the file sink's two forms share: all rows of a subtask in one part file (sink.c), or divided over folders (folders.c). */
#ifndef WEIR_CONNECTORS_FILE_SINK_H
#define WEIR_CONNECTORS_FILE_SINK_H

#include "connectors/file/writer.h"

struct file_sink_config {
    struct weir_file_sink sink;
    const struct weir_schema *schema; /* of the rows; NULL = unknown */
};

extern const struct weir_operator file_folders_sink;

/* Makes the sink's folder. Errors: WEIR_E_ARGUMENT (not absolute), WEIR_E_IO. */
weir_err sink_open_folder(const struct weir_file_sink *sink, struct weir_diag *diag);

/* Refuses a folder that holds part files of an earlier run: WEIR_E_EXISTS. */
weir_err sink_check_empty(const char *dir, const struct lineage *lineage, struct weir_diag *diag);

/* For a writer of the sink's. */
struct writer_options sink_writer_options(const struct weir_file_sink *sink, const struct weir_ctx *ctx, const char *dir,
                                          const struct lineage *lineage);

/*
 * Removes the temporary files of earlier attempts below `dir`, but not those that a committable tells of. By one subtask for all, since
 * there may have been more of them. deep: in all folders below, too. Errors: WEIR_E_IO, WEIR_E_CORRUPT.
 */
weir_err sink_remove_orphans(const char *dir, bool deep, struct weir_ctx *ctx, const struct weir_bytes *kept, uint32_t n_kept);

/* As weir_operator.abort: the temporary file goes. */
void sink_abort(void *self, struct weir_ctx *ctx, struct weir_bytes committable);

/* Fails: rows that are no inserts cannot be written. */
weir_err sink_refuse_kind(struct weir_ctx *ctx, const struct weir_record *rec);

#endif
