/* SPDX-License-Identifier: Apache-2.0 */
/* File connector: reads lines, CSV or JSON lines from a file or the files of a folder; writes part files. */
#ifndef WEIR_CONNECTOR_FILE_H
#define WEIR_CONNECTOR_FILE_H

#include "weir/stream.h"

#ifdef __cplusplus
extern "C" {
#endif

#define WEIR_LINE_MAX (1u << 20) /* bytes of one input line; a longer one fails the source with its file and position */

/* The row of a file read as lines. */
struct weir_line {
    int64_t position;     /* of the line's first byte in the file's (uncompressed) text */
    struct weir_str file; /* path */
    struct weir_str text; /* without its LF or CR LF */
};
extern WEIR_EXPORT const struct weir_schema weir_line_schema;

enum weir_file_format {
    WEIR_FILE_LINES = 0, /* source: rows are struct weir_line. Sink: rows have exactly one string field, written as it is, LF behind it */
    WEIR_FILE_CSV = 1,   /* fields in schema order, comma, no header; a field with comma, quote, CR or LF is quoted, quotes inside doubled */
    WEIR_FILE_JSON = 2,  /* one object a line, keys = field names in schema order, no spaces */
};

enum weir_file_time { WEIR_FILE_TIME_MS = 0, /* integer */ WEIR_FILE_TIME_ISO = 1 /* 2015-05-17T10:05:00Z, with .123 when not whole */ };

/*
 * Compression follows the name: .gz (gzip, several members allowed), .zst (zstd), else none. A plain file is split by byte ranges cut at line
 * ends; a compressed one is a split of its own. In a folder all regular files are read whose names do not begin with '_' or '.', sub-folders
 * not. A CSV record never spans lines when the file is split: set `multiline` when fields may hold line feeds (then a file is one split).
 * Errors name file and byte position: unreadable file, missing folder, truncated or damaged compression, a line that does not fit the schema.
 */
struct weir_file_source {
    const char *path;                 /* file or folder */
    enum weir_file_format format;
    const struct weir_schema *schema; /* CSV, JSON: of the rows; fields by order (CSV) or name (JSON). LINES: NULL */
    enum weir_file_time time_format;
    bool multiline;
    int64_t split_bytes;              /* smallest byte range worth a split; 0 = 1 MiB */
};
WEIR_EXPORT struct weir_stream *weir_from_file(struct weir_env *env, const char *id, const struct weir_file_source *config);

/*
 * Writes `DIR/part-00000` (subtask number) of the rows of each subtask, first under a hidden temporary name in the same folder, renamed when the
 * whole job has finished: a failed or cancelled job leaves no part file. The folder is made if missing (parents too). A subtask without rows
 * leaves no file. Every file is fsynced before its rename and the folder after it.
 */
struct weir_file_sink {
    const char *dir;
    enum weir_file_format format;
    enum weir_file_time time_format;
    bool replace; /* true: part files of an earlier run are replaced and those beyond this run's parallelism removed; false: their presence
                     fails the job at its start */
};
WEIR_EXPORT struct weir_stream *weir_to_file(struct weir_stream *in, const char *id, const struct weir_file_sink *config);

#ifdef __cplusplus
}
#endif
#endif
