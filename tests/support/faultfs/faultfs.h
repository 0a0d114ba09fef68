/* SPDX-License-Identifier: Apache-2.0 */
/* Functions of the preloaded library, for dlsym. README.md says what it does. Thread: any. */
#ifndef WEIR_TESTS_SUPPORT_FAULTFS_H
#define WEIR_TESTS_SUPPORT_FAULTFS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum weir_fault_ops {
    WEIR_FAULT_OPEN = 1u << 0, /* that creates */
    WEIR_FAULT_WRITE = 1u << 1,
    WEIR_FAULT_PWRITE = 1u << 2,
    WEIR_FAULT_FSYNC = 1u << 3,
    WEIR_FAULT_FDATASYNC = 1u << 4,
    WEIR_FAULT_RENAME = 1u << 5,
    WEIR_FAULT_LINK = 1u << 6,
    WEIR_FAULT_FTRUNCATE = 1u << 7,
    WEIR_FAULT_FALLOCATE = 1u << 8,
    WEIR_FAULT_COPY = 1u << 9,
    WEIR_FAULT_UNLINK = 1u << 10, /* unlink, unlinkat, remove, rmdir */
    WEIR_FAULT_MKDIR = 1u << 11,
    WEIR_FAULT_SYNCS = WEIR_FAULT_FSYNC | WEIR_FAULT_FDATASYNC,
    WEIR_FAULT_ALL = (1u << 10) - 1,   /* that write */
    WEIR_FAULT_EVERY = (1u << 12) - 1, /* and those that make and remove names */
};

#define WEIR_FAULT_CRASH (-1)     /* as errnum: the process ends at once, before the call */
#define WEIR_FAULT_CRASH_EXIT 137 /* with this status */

/*
 * From now on the nth of the calls `ops` on paths that contain `path` fails with `errnum`, with `sticky` all later ones, too. Counts begin
 * anew. n 0: none fails, but they are counted.
 */
typedef void weir_fault_set_fn(const char *path, uint32_t ops, uint64_t n, int errnum, bool sticky);

/*
 * Gives the number of matching calls since weir_fault_set; in *failed which kinds of them were failed (enum weir_fault_ops), in `path`
 * (room for `size` bytes) the path of the first that was. Both may be NULL.
 */
typedef uint64_t weir_fault_count_fn(uint32_t *failed, char *path, size_t size);

#endif
