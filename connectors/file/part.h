/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One file of the file sink while it is out of sight: written, made durable, sealed. Showing it under its name is show.h's.
 *
 *     part_open ── part_write ... ── part_seal ── show
 *         └──── part_discard: gone ────┘
 *
 * While it is written the file has no name at all where the file system can do that (O_TMPFILE), so that a killed process leaves nothing
 * behind; elsewhere it has its temporary name in the same folder from the start. A failed write or fsync is final: after it the kernel may
 * have dropped the pages and a second fsync would report success (the "fsyncgate" of 2018), so every later call fails as well. Thread: one
 * at a time.
 */
#ifndef WEIR_CONNECTORS_FILE_PART_H
#define WEIR_CONNECTORS_FILE_PART_H

#include "connectors/file/names.h"

/* Embedded. No file: fd is -1 and named is false. */
struct part {
    const char *dir; /* borrowed */
    char temporary[PART_NAME_MAX];
    int fd;
    bool named; /* the temporary name exists */
    bool failed;
    int64_t written;
    uint32_t crc; /* of what was written (connectors/text/checksum.h) */
};

/* Makes the file. always_named: without O_TMPFILE. Errors: WEIR_E_IO (also when the name is taken), WEIR_E_NOT_FOUND (folder gone). */
weir_err part_open(struct part *part, const char *dir, const char *temporary, bool always_named, struct weir_diag *diag);
weir_err part_write(struct part *part, const void *data, size_t len, struct weir_diag *diag);

/* Makes it durable as it is; open or paused. With `name` under its temporary name, durable, too, and then without descriptor. */
weir_err part_seal(struct part *part, bool name, struct weir_diag *diag);

/* Closes the descriptor of a file with a temporary name, and opens it again to write on at its end. For sinks with many files. */
weir_err part_pause(struct part *part, struct weir_diag *diag);
weir_err part_resume(struct part *part, struct weir_diag *diag);

/* Gives up the descriptor, and with `remove` the file. Idempotent. */
void part_discard(struct part *part, bool remove);

#endif
