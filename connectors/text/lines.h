/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lines of a file that begin in a byte range of its text, each with its position.
 *
 * A range that does not begin at 0 begins inside a line, as a rule: that line belongs to the range before. So ranges that together cover
 * the text give each of its lines once, wherever the cuts are. Lines end at LF or CR LF; the last one may end with the text. With
 * `multiline`, line feeds inside double quotes do not end a line (CSV, see csv_record_end); the range must then begin at 0, or `resume` be
 * where a line begins. Memory: a buffer that grows to what the longest line needs, at most WEIR_LINE_MAX and a read.
 */
#ifndef WEIR_CONNECTORS_TEXT_LINES_H
#define WEIR_CONNECTORS_TEXT_LINES_H

#include "connectors/text/csv.h"
#include "connectors/text/input.h"
#include "weir/connector/file.h"

/* Embedded; zero-initialised it may be closed. */
struct lines {
    const char *path; /* borrowed */
    struct input *input;
    char *buf;
    size_t cap;
    size_t begin, end; /* text in buf that no line has been given of */
    size_t scanned;    /* begin <= scanned <= end: no line ends before it; not with multiline */
    int64_t position;  /* in the text, of buf[begin]: where the next line begins, once `skipping` and `discard` are done */
    int64_t range_end;
    int64_t discard; /* text before this position is thrown away (a compressed file that is taken up in its middle) */
    bool skipping;   /* in the line that belongs to the range before */
    bool multiline;
    struct csv_scan scan; /* multiline: of the record at buf[begin] */
    bool ended;           /* the text has no more bytes than buf has */
};

struct lines_range {
    int64_t begin, end;
    int64_t resume; /* position of the line to begin with, from lines_position; < 0 = the range's first */
    bool multiline;
};

weir_err lines_open(struct lines *lines, const char *path, const struct input_identity *identity, const struct lines_range *range,
                    struct weir_diag *diag);
void lines_close(struct lines *lines);

struct line {
    char *text; /* may be changed by the receiver; valid until the next call */
    size_t len; /* without its line end */
    int64_t position;
};

/*
 * Gives the next line. WEIR_AGAIN: none yet, but the call has read as much as one should; call again. WEIR_DONE: no more in this range.
 * Errors: those of input_read; WEIR_E_LIMIT (longer than WEIR_LINE_MAX), WEIR_E_NOMEM. The sentence names file and byte.
 */
weir_err lines_next(struct lines *lines, struct line *line, struct weir_diag *diag);

/* Where the line after the last one given begins; < 0 while that is not known yet because none has been reached. */
int64_t lines_position(const struct lines *lines);

#endif
