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
    /*
     * Source: rows are struct weir_line. Sink: of struct weir_line, `text` is written; of other rows their string, of which there must be
     * exactly one, and no other field. As it is, LF behind it.
     */
    WEIR_FILE_LINES = 0,
    /* Fields in schema order, comma, no header; a field with comma, quote, CR or LF is quoted, quotes inside doubled. */
    WEIR_FILE_CSV = 1,
    /* One object a line, keys = field names. Sink: in schema order, no spaces. Source: any order, unknown keys skipped. */
    WEIR_FILE_JSON = 2,
};

enum weir_file_time { WEIR_FILE_TIME_MS = 0, /* integer */ WEIR_FILE_TIME_ISO = 1 /* 2015-05-17T10:05:00Z, with .123 when not whole */ };

/*
 * Compression follows the name: .gz (gzip, several members allowed), .zst (zstd), else none. A plain file is split by byte ranges cut at
 * line ends; a compressed one is a split of its own. In a folder all regular files are read whose names do not begin with '_' or '.',
 * sub-folders not. A CSV record never spans lines when the file is split: set `multiline` when fields may hold line feeds (then a file is
 * one split).
 *
 * Lines end at LF or CR LF; the last may end with the file. An empty line is a row of LINES, and of CSV with one field; else it is skipped.
 * Records have no event time (WEIR_TIME_MIN): weir_assign_watermarks gives it.
 *
 * Errors name file and byte position: unreadable file, missing folder, truncated or damaged compression, a line that does not fit the
 * schema, a file whose size or time of last change is no longer what it was when the job was submitted.
 */
struct weir_file_source {
    const char *path; /* file or folder; a relative one counts from where the job was submitted */
    enum weir_file_format format;
    const struct weir_schema *schema; /* CSV, JSON: of the rows; fields by order (CSV) or name (JSON). LINES: NULL */
    enum weir_file_time time_format;
    bool multiline;
    int64_t split_bytes; /* smallest byte range worth a split; 0 = 1 MiB */
};
WEIR_EXPORT struct weir_stream *weir_from_file(struct weir_env *env, const char *id, const struct weir_file_source *config);

/*
 * Writes part files of the rows of each subtask, first out of sight (a file without a name, or where the file system has no such thing a
 * hidden temporary name in the same folder). The folder is made if missing (parents too). A subtask without rows leaves no file. Every file
 * is fsynced before its rename and the folder after it. Rows must be inserts unless `changes` says otherwise (weir_final_rows makes inserts
 * of an updating stream). Errors name the file and, for a full disk, the byte.
 *
 * In a job without checkpoints: `DIR/part-00000` (subtask number), shown when the whole job has finished; a failed or cancelled job leaves
 * no part file. In a job with checkpoints: exactly once. Each checkpoint closes the file of each subtask and shows it, once it is complete,
 * as `DIR/part-00000-JOB-17` (first digits of the job's id, number of the checkpoint); whatever fails and restarts, every row is in one
 * file that can be seen, once, and no file that can be seen ever changes. So readers must read files that can be seen only: names that
 * begin with
 * '.' are not. Do not take files away before the next checkpoint is complete: that a file was shown must be provable.
 */
#define WEIR_FILE_FOLDER_MAX 255 /* bytes of a row's folder */

/*
 * Divides rows over folders below `dir`, as "dt=2023-11-14/hm=23:59": rows of a folder lie in DIR/FOLDER/part-NNNNN. The stream must be
 * keyed so that rows of one folder have one key: its subtask then knows when the folder is complete, and shows it with an empty file
 * `_SUCCESS` beside its part file, once the watermark has reached complete_ms and the sink commits. Readers skip names that begin with '_'
 * or '.'.
 *
 * folder       writes the row's folder without NUL, returns its length: 1 ... WEIR_FILE_FOLDER_MAX bytes, relative, no component that is
 * empty or begins with '.' or '_'; anything else fails the job complete_ms  event time at which the row's folder takes no more rows; later
 * ones still get in. NULL: at the end of the input
 */
struct weir_file_folders {
    size_t struct_size;
    uint32_t (*folder)(const void *row, char to[WEIR_FILE_FOLDER_MAX]);
    weir_time (*complete_ms)(const void *row);
};

struct weir_file_sink {
    const char *dir; /* absolute: weir_env_path, or an option of type PATH */
    enum weir_file_format format;
    enum weir_file_time time_format;
    bool replace; /* true: part files of an earlier run are replaced or removed when this one first shows its own; false: their presence
                     fails the job at its start. With folders: of each folder that this run writes to, when it first does. A run that
                     continues one from its savepoint leaves that one's files alone */
    bool changes; /* takes a stream with updates and deletes, and writes it as a changelog: '+' or '-' before each row. Not with folders */
    const struct weir_file_folders *folders; /* NULL: all rows in `dir` */
    int64_t roll_bytes;                      /* a file of at least so many bytes takes no more rows; 0 = any size */
    int64_t roll_ms;                         /* nor does one whose first row is so old, which is looked at when rows come; 0 = any age */
    /* Files are shown as soon as they are closed, without waiting for a checkpoint to be complete: earlier, but after a failure rows
     * written since the last checkpoint show again in other files. */
    bool at_least_once;
};
WEIR_EXPORT struct weir_stream *weir_to_file(struct weir_stream *in, const char *id, const struct weir_file_sink *config);

#ifdef __cplusplus
}
#endif
#endif
