/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a committable of the file sink says, and how it is made true: a file that was sealed under a temporary name gets its own, in one
 * step that can be repeated by anybody at any time.
 */
#ifndef WEIR_CONNECTORS_FILE_SHOW_H
#define WEIR_CONNECTORS_FILE_SHOW_H

#include "connectors/file/names.h"
#include "weir/operator.h"

enum show_flags {
    SHOW_FILE = 1,     /* there is a file; else the folder alone is meant */
    SHOW_REPLACE = 2,  /* a file of that name that is another one goes */
    SHOW_CLEAR = 4,    /* then the folder's part files that are foreign go (folder_cleaning) */
    SHOW_COMPLETE = 8, /* then `_SUCCESS` comes */
};

struct show {
    uint32_t flags;
    uint32_t from, own, n_own; /* SHOW_CLEAR: of folder_cleaning */
    uint32_t crc;
    int64_t length;
    char dir[PATH_MAX];
    char temporary[PART_NAME_MAX], name[PART_NAME_MAX];
    char job[PART_NAME_MAX]; /* that prepared it: its digits */
};

/*
 * Bytes: u8 version 1, u8 flags, then little-endian u32 from, own, n_own, crc, i64 length, and dir, temporary, name and job, each a u16
 * length and its bytes. Errors: WEIR_E_LIMIT.
 */
weir_err show_add(struct weir_committables *out, const struct show *show, struct weir_diag *diag);
/* Errors: WEIR_E_CORRUPT. */
weir_err show_read(struct show *show, struct weir_bytes committable, struct weir_diag *diag);

/*
 * Makes it true. Idempotent: a file that has its name already is known by length and checksum. lineage, job_id: for SHOW_CLEAR, which is
 * left out when the job that prepared it is none of the lineage's: what is foreign for it may be its successor's own.
 * Errors: WEIR_E_EXISTS (another file has the name), WEIR_E_NOT_FOUND (there is neither: output would be lost), WEIR_E_IO.
 */
weir_err show(const struct show *show, const struct lineage *lineage, const char *job_id, struct weir_diag *diag);

#endif
