/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of a peer have in common: whole writes, whole reads, names that sort, files that appear at once and whole. */
#ifndef WEIR_RUNTIME_COORD_FILE_H
#define WEIR_RUNTIME_COORD_FILE_H

#include <sys/types.h>

#include "runtime/coord/bytes.h"

#define COORD_NAME_BYTES 80u /* of a file's name in the folder, with NUL */

/* "KIND-GENERATION-EPOCH-COUNTER", each number in 16 hex digits; names of a kind sort by their numbers. */
struct coord_name {
    uint64_t generation;
    struct zxid zxid;
};
void coord_name_text(char out[static COORD_NAME_BYTES], const char *kind, struct coord_name name);
bool coord_name_parse(const char *text, const char *kind, struct coord_name *out);

/* Errors of all: WEIR_E_IO, with the name of the file. `name` is for the text. */
weir_err file_write(int fd, const void *data, size_t len, off_t at, const char *name, struct weir_diag *diag);
/* Reads up to `len` bytes; *got is less at the end of the file. */
weir_err file_read(int fd, void *data, size_t len, off_t at, size_t *got, const char *name, struct weir_diag *diag);
weir_err file_sync(int fd, const char *name, struct weir_diag *diag);                       /* data and length */
weir_err file_sync_folder(int folder, struct weir_diag *diag);                              /* names in it */
weir_err file_rename(int folder, const char *from, const char *to, struct weir_diag *diag); /* and makes it last */
weir_err file_remove(int folder, const char *name, struct weir_diag *diag);                 /* one that is not there is no error */
weir_err file_size(int fd, uint64_t *out, const char *name, struct weir_diag *diag);

/* Calls `visit` for each file of a kind, in the order of their numbers, until it returns an error. */
typedef weir_err file_visit(void *arg, struct coord_name name, struct weir_diag *diag);
weir_err file_list(int folder, const char *kind, file_visit *visit, void *arg, struct weir_diag *diag);

#endif
