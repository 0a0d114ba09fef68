/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows into the files of one folder: formats each into a buffer and writes that out when it is full. A file is made with its first row, and
 * followed by another when it is large or old enough.
 *
 *     writer_row ... ── [writer_rest] ── writer_row ... ── writer_prepare ── (committables) ── writer_commit
 *         └───────────────── writer_close: what was not prepared is removed ──────┘
 *
 * A resting writer holds no descriptor and no buffer, so that a sink may have more folders than a process may have open files.
 */
#ifndef WEIR_CONNECTORS_FILE_WRITER_H
#define WEIR_CONNECTORS_FILE_WRITER_H

#include "connectors/file/part.h"
#include "connectors/file/show.h"
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

struct writer_options {
    const char *dir; /* borrowed until writer_close */
    const char *job_id;
    const struct lineage *lineage; /* whose files are no one else's */
    uint32_t subtask, parallelism, attempt;
    int64_t roll_bytes, roll_ms; /* 0 = never */
    bool at_least_once;
    bool replace;
    bool always_named; /* no O_TMPFILE: the writer may rest */
    bool alone;        /* no other subtask writes to the folder */
};

/* A file that takes no more rows. */
struct sealed {
    struct part part;
    char name[PART_NAME_MAX]; /* once prepared without checkpoint */
    uint64_t rows;
    bool prepared;
};

/* Embedded. */
struct writer {
    struct writer_options options;
    struct part part;
    struct text_buf buf;
    bool begun;   /* there is a file */
    bool cleared; /* earlier runs' files are gone, or will go with a committable that was added */
    weir_time begun_ms;
    uint64_t rows; /* of the file */
    uint32_t n_files;
    uint32_t n_shown; /* at least once */
    struct sealed *sealed;
    uint32_t n_sealed, cap;
};

void writer_init(struct writer *writer, const struct writer_options *options);
weir_err writer_row(struct writer *writer, const struct writer_format *format, const struct weir_record *rec, weir_time now_ms,
                    struct weir_diag *diag);

/* Makes what was written durable and lets go of descriptor and buffer; needs options.always_named. The next row takes them up again. */
weir_err writer_rest(struct writer *writer, struct weir_diag *diag);

/* A file that is old enough is followed by another with the next row. */
weir_err writer_roll_by_time(struct writer *writer, weir_time now_ms, struct weir_diag *diag);

/*
 * As weir_operator.prepare: seals what was written and adds a committable for each file; with `mark`, one of enum show_flags for the last
 * of them, or for the folder alone. At least once: shows them.
 */
weir_err writer_prepare(struct writer *writer, uint64_t checkpoint_id, uint32_t mark, struct weir_committables *out,
                        struct weir_diag *diag);

/* Before `show` of a file of the folder: gives it its temporary name if this writer still holds it without. */
weir_err writer_commit(struct writer *writer, const struct show *file, struct weir_diag *diag);
void writer_close(struct writer *writer);

#endif
