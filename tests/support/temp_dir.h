/* SPDX-License-Identifier: Apache-2.0 */
/* A private folder for one test, and the files in it. Every function fails the test (cmocka) when the system refuses. */
#ifndef WEIR_TESTS_SUPPORT_TEMP_DIR_H
#define WEIR_TESTS_SUPPORT_TEMP_DIR_H

#include <stddef.h>

#define TEMP_PATH_MAX 512

struct temp_dir {
    char path[TEMP_PATH_MAX];
};

void temp_dir_make(struct temp_dir *dir);         /* under $TMPDIR or /tmp */
void temp_dir_remove(const struct temp_dir *dir); /* with all that is in it */

/* "DIR/NAME"; the text lies in one of eight static places, used in turn. */
const char *temp_path(const struct temp_dir *dir, const char *name);

void temp_write(const char *path, const void *data, size_t len);

/* Gives the whole file, NUL-terminated, *len bytes; the caller frees it. NULL when there is no such file. */
char *temp_read(const char *path, size_t *len);

/* Names in the folder but "." and "..", sorted, each with a blank behind it: "part-00000 part-00001 ". Static; valid until the next call.
 */
const char *temp_list(const char *path);

#endif
