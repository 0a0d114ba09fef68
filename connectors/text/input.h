/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The uncompressed text of a file, in order: plain, gzip (RFC 1952, several members) or zstd (several frames, window at most 128 MiB).
 *
 * The end of the text is only reported when the file ends where its format does: a file cut short, or with something behind its last
 * member, is an error and never an early end. So is a file that is not the one `input_identity` saw. Thread: one at a time.
 */
#ifndef WEIR_CONNECTORS_TEXT_INPUT_H
#define WEIR_CONNECTORS_TEXT_INPUT_H

#include "weir/base.h"

enum input_codec { INPUT_PLAIN = 0, INPUT_GZIP = 1, INPUT_ZSTD = 2 };

/* From the end of the name: .gz, .zst, else plain. */
enum input_codec input_codec_of(const char *path);

/* How a file is told from a changed one. */
struct input_identity {
    int64_t size;
    int64_t mtime_ns; /* of its last change */
};

/* Opens the file once, to see that it is readable and a regular file. Errors: WEIR_E_NOT_FOUND, WEIR_E_IO, WEIR_E_ARGUMENT. */
weir_err input_identify(const char *path, struct input_identity *identity, struct weir_diag *diag);

struct input;

/*
 * Opens `path` (borrowed until input_close). A plain file is read from byte `offset`; the others from their beginning, offset must be 0.
 * Errors: as input_identify; WEIR_E_CORRUPT (changed since `identity`), WEIR_E_NOMEM.
 */
weir_err input_open(struct input **out, const char *path, const struct input_identity *identity, int64_t offset, struct weir_diag *diag);
void input_close(struct input **input);

/*
 * Reads between 1 and `cap` (> 0) bytes; *n = 0 means the end of the text.
 * Errors: WEIR_E_IO, WEIR_E_CORRUPT; the sentence names the file, and the byte in it.
 */
weir_err input_read(struct input *input, void *to, size_t cap, size_t *n, struct weir_diag *diag);

/* Is the open file still the one that was opened? Errors: WEIR_E_CORRUPT. */
weir_err input_check_unchanged(const struct input *input, struct weir_diag *diag);

#endif
