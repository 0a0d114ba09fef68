/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log of a peer on disk: segments, one behind the other. Appending collects; log_file_sync writes and makes durable all that was
 * collected, once (group commit). What was appended can be read before it is durable.
 *
 * A write or fsync that fails is the end: what the disk holds is then unknown (a second fsync may report success for lost pages). Every
 * later call is refused with WEIR_E_IO, and the process must end; recovery finds out what is there.
 *
 * Owner: one thread.
 */
#ifndef WEIR_RUNTIME_COORD_LOG_FILE_H
#define WEIR_RUNTIME_COORD_LOG_FILE_H

#include "runtime/coord/segment.h"

#define LOG_SEGMENT_BYTES (16u << 20) /* a segment is left when the next record would pass this */
#define LOG_PENDING_MAX (4u << 20)    /* bytes collected before they are written, without waiting for the sync */

struct log_file;

/*
 * Opens the segments of a generation in an open folder (kept by the caller) and gives every entry to `visit`. base: what the generation
 * begins behind. Without segments the log is empty.
 * Errors: WEIR_E_CORRUPT  a segment or entries are missing, or what was durable is damaged; with file, place and remedy
 *         WEIR_E_IO, WEIR_E_NOMEM, those of `visit`
 */
weir_err log_file_open(struct log_file **out, int folder, uint64_t generation, struct zxid base, uint64_t segment_bytes,
                       segment_visit *visit, void *arg, struct weir_diag *diag);
void log_file_close(struct log_file **log); /* what was not synced may be lost */

struct zxid log_file_last(const struct log_file *log);  /* base when it is empty */
struct zxid log_file_floor(const struct log_file *log); /* entries behind it are here */

weir_err log_file_append(struct log_file *log, const struct zab_entry *entry, struct weir_diag *diag); /* behind the last; copied */
weir_err log_file_sync(struct log_file *log, struct weir_diag *diag);
/* Drops all behind `to`, which the log holds, or its floor; durable on return, with all before it. */
weir_err log_file_truncate(struct log_file *log, struct zxid to, struct weir_diag *diag);
/* Visits entries behind `after` until `visit` returns an error, which is returned. Below the floor: WEIR_E_NOT_FOUND. */
weir_err log_file_read(struct log_file *log, struct zxid after, segment_visit *visit, void *arg, struct weir_diag *diag);
/* Removes segments that hold nothing behind `to`. */
weir_err log_file_purge(struct log_file *log, struct zxid to, struct weir_diag *diag);

#endif
