/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The folder of a peer: what zab.h wants written and read, on files.
 *
 *     lock       held by the process that uses the folder
 *     epochs     both epochs, whose folder it is, which generation counts (epochs.h)
 *     log-…      segments of the log (log_file.h)
 *     snapshot-… images of the state with the members (snapshot_file.h); the newest `keep` of them, and the log behind the oldest
 *
 * zab's disk actions become calls, in the order of their tickets. What is appended is durable after coord_disk_sync (one fsync for all
 * that was appended); everything else is durable on return, with all that was appended before it. So PERSISTED of the newest ticket may be
 * told whenever one of these has returned.
 *
 * Fatal: a writing call that returns an error. What the disk holds is then unknown, and a repeated fsync may lie; the disk refuses
 * everything from then on (coord_disk_failed), and the driver must end the process at once, without a word to anybody that counts as a
 * promise.
 *
 * Recovery cuts a tail that was never durable, and says nothing of it. It refuses, with file, place and remedy: damage of what was durable,
 * a missing segment, a gap, log or snapshots without epochs, the folder of another cluster or peer, a folder in use. A damaged snapshot is
 * passed over for an older one with the log behind it, and `note` says so; an installed one has no older one, and is refused.
 *
 * Owner: one thread.
 */
#ifndef WEIR_RUNTIME_COORD_DISK_H
#define WEIR_RUNTIME_COORD_DISK_H

#include "runtime/base/id.h"
#include "runtime/coord/log_file.h"
#include "runtime/coord/recovery.h"
#include "runtime/coord/snapshot_file.h"

struct coord_disk_config {
    const char *folder; /* exists, and belongs to the peer alone; borrowed during the call */
    struct weir_id cluster;
    uint32_t peer;
    uint64_t segment_bytes; /* 0: LOG_SEGMENT_BYTES */
    uint32_t keep;          /* snapshots; 0: 3 */
};

struct coord_disk;

/*
 * Opens the folder and recovers: `state`, just made, becomes the newest snapshot's, and `recovery`, just initialised, is given epochs,
 * snapshot and log. note: what was passed over, "" for nothing.
 * Errors: WEIR_E_STATE    another process holds the lock
 *         WEIR_E_CORRUPT  see above
 *         WEIR_E_ARGUMENT the folder is another cluster's or peer's
 *         WEIR_E_IO, WEIR_E_NOMEM
 */
weir_err coord_disk_open(struct coord_disk **out, const struct coord_disk_config *config, struct coord_state *state,
                         struct zab_recovery *recovery, struct weir_diag *note, struct weir_diag *diag);
void coord_disk_close(struct coord_disk **disk);
bool coord_disk_failed(const struct coord_disk *disk);

/* ---- zab's actions ---- */

weir_err coord_disk_append(struct coord_disk *disk, const struct zab_entry *entry, struct weir_diag *diag);
weir_err coord_disk_sync(struct coord_disk *disk, struct weir_diag *diag);
weir_err coord_disk_truncate(struct coord_disk *disk, struct zxid to, struct weir_diag *diag);
weir_err coord_disk_set_epochs(struct coord_disk *disk, uint64_t accepted, uint64_t current, struct weir_diag *diag);

/* READ_LOG. Errors: those of `visit`; WEIR_E_NOT_FOUND: the log no longer reaches back there (LOG_READ with n = 0). */
weir_err coord_disk_read_log(struct coord_disk *disk, struct zxid after, segment_visit *visit, void *arg, struct weir_diag *diag);

/*
 * INSTALL: a piece of another peer's snapshot file. With `last` it is checked as a whole, replaces snapshots and log in one moment, and is
 * loaded into `state`, which was just made. Errors: WEIR_E_CORRUPT: it is none, or of another zxid; nothing was replaced, and a new one may
 * be begun with offset 0. This error is not fatal.
 */
weir_err coord_disk_install(struct coord_disk *disk, struct zxid zxid, uint64_t offset, struct weir_bytes bytes, bool last,
                            struct coord_state *state, struct weir_diag *diag);

/*
 * READ_SNAPSHOT: a transfer holds its file open, so that it can be read to its end though it be purged meanwhile. offset 0 opens the
 * newest. Gives up to `max` bytes; *last with the final ones. WEIR_E_NOT_FOUND: there is no snapshot yet: take one first.
 */
struct coord_transfer {
    int fd; /* -1: not begun */
    struct snapshot_info info;
    uint64_t size;
};
#define COORD_TRANSFER_NONE \
    {                       \
        .fd = -1            \
    }
weir_err coord_disk_read_snapshot(struct coord_disk *disk, struct coord_transfer *t, uint64_t offset, uint32_t max, struct buffer *out,
                                  bool *last, struct weir_diag *diag);
void coord_transfer_end(struct coord_transfer *t); /* END_SNAPSHOT */

/* ---- snapshots of its own ---- */

/*
 * Begins, goes on with and finishes a snapshot; one at a time. zxid: of the image. finish makes it durable behind the log, drops old
 * snapshots and what of the log lies before the oldest that is left; *floor is then that of the log (SNAPSHOT_TAKEN).
 */
weir_err coord_disk_snapshot_begin(struct coord_disk *disk, struct zxid zxid, struct weir_bytes members, struct weir_diag *diag);
weir_err coord_disk_snapshot_add(struct coord_disk *disk, struct weir_bytes slice, struct weir_diag *diag);
weir_err coord_disk_snapshot_finish(struct coord_disk *disk, struct zxid *floor, struct weir_diag *diag);
void coord_disk_snapshot_give_up(struct coord_disk *disk);

struct zxid coord_disk_last(const struct coord_disk *disk);
struct zxid coord_disk_floor(const struct coord_disk *disk);

#endif
