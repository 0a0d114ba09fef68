/* SPDX-License-Identifier: Apache-2.0 */
/* A split of a file, and its bytes as they travel from the describing process to the reader. */
#ifndef WEIR_CONNECTORS_TEXT_SPLIT_H
#define WEIR_CONNECTORS_TEXT_SPLIT_H

#include "connectors/text/input.h"
#include "weir/source.h"

/* The lines that begin in [begin, end) of a file's text. A split that cannot be cut has begin 0, end INT64_MAX. */
struct split {
    int64_t begin, end;
    int64_t first_line; /* number in the file of the line at `begin`, where somebody has counted; else 0 */
    struct input_identity identity;
    const char *path;
};

/*
 * Adds the split. Its bytes: u8 version 2, then little-endian i64 begin, end, first_line, size, mtime_ns, then the path without NUL.
 * Errors: those of weir_splits_add; WEIR_E_LIMIT (path too long).
 */
weir_err split_add(struct weir_splits *splits, const struct split *split, struct weir_diag *diag);

/*
 * Reads them back. Gives split->path (malloc'ed; the caller frees it); the rest of *split is values.
 * Errors: WEIR_E_CORRUPT, WEIR_E_NOMEM.
 */
weir_err split_read(struct split *split, struct weir_bytes bytes, struct weir_diag *diag);

/* Numbers in the bytes of splits and positions. */
void split_put_i64(unsigned char *to, int64_t value);
int64_t split_get_i64(const unsigned char *from);

#endif
