/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Snapshots on disk: the slices of an image (image.h), and beside them the members of the ensemble. One file each, which appears under its
 * name when it is whole and durable. The same bytes are sent to a peer that is too far behind.
 *
 *     head  u32 magic, u32 version, zxid, u32 length of the members, u32 crc32c of the head and the members, the members
 *     slice u32 length (above 0), u32 crc32c, bytes                                                         … any number
 *     end   u32 0, u32 crc32c of what follows, u64 number of slices, u64 bytes in front of the end
 */
#ifndef WEIR_RUNTIME_COORD_SNAPSHOT_FILE_H
#define WEIR_RUNTIME_COORD_SNAPSHOT_FILE_H

#include "runtime/coord/file.h"
#include "runtime/coord/image.h"

#define SNAPSHOT_KIND "snapshot"
#define SNAPSHOT_TEMPORARY "snapshot.tmp"
#define SNAPSHOT_MEMBERS_MAX 4096u     /* bytes of the members */
#define SNAPSHOT_SLICE_MAX (16u << 20) /* bytes of a slice: one record may be that large */

struct snapshot_writer {
    int folder, fd;
    struct coord_name name;
    uint64_t at, n_slices;
};

/* Begins SNAPSHOT_TEMPORARY; one at a time in a folder. Errors of all: WEIR_E_IO. After one the writer may be begun anew. */
weir_err snapshot_writer_begin(struct snapshot_writer *w, int folder, struct coord_name name, struct weir_bytes members,
                               struct weir_diag *diag);
weir_err snapshot_writer_add(struct snapshot_writer *w, struct weir_bytes slice, struct weir_diag *diag);
/* Makes it durable and gives it its name. */
weir_err snapshot_writer_finish(struct snapshot_writer *w, struct weir_diag *diag);
void snapshot_writer_close(struct snapshot_writer *w); /* without its end it is removed */

struct snapshot_info {
    struct zxid zxid;
    uint32_t n_members;
    uint8_t members[SNAPSHOT_MEMBERS_MAX];
};

/*
 * Reads a whole file into a state that was just made; NULL: only checks it. `name` is for the text.
 * Errors: WEIR_E_CORRUPT, with the place; WEIR_E_IO, WEIR_E_NOMEM
 */
weir_err snapshot_file_read(int fd, const char *name, struct snapshot_info *info, struct coord_state *state, struct weir_diag *diag);

#endif
