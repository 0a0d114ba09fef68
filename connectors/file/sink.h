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
weir_err sink_check_empty(const char *dir, struct weir_diag *diag);

/* Fails: rows that are no inserts cannot be written. */
weir_err sink_refuse_kind(struct weir_ctx *ctx, const struct weir_record *rec);

#endif
