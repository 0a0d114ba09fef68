/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The folder of a peer (runtime/coord/disk.h) in a thread of its own. Tasks are done in the order they were given; what waits is done
 * together, with one fdatasync for all that was appended (group commit).
 *
 *     disk_append … disk_append, disk_give ──▶ queue ──▶ thread: append …, sync ──▶ disk_take, when disk_fd is readable
 *
 * A write or sync that fails ends the process here, with a sentence and before anybody hears of anything: what the disk holds is unknown.
 *
 * Owner: one thread, that of the peer.
 */
#ifndef WEIR_JOBMANAGER_PEER_DISK_THREAD_H
#define WEIR_JOBMANAGER_PEER_DISK_THREAD_H

#include "runtime/base/background.h"
#include "runtime/coord/disk.h"
#include "runtime/coord/zab.h"

#define DISK_BATCH_BYTES (4u << 20) /* of appends collected before they go to the thread */

enum disk_kind {
    DISK_APPEND, /* made by disk_append */
    DISK_TRUNCATE,
    DISK_EPOCHS,
    DISK_INSTALL,
    DISK_READ_LOG,
    DISK_READ_SNAPSHOT,
    DISK_END_SNAPSHOT,
    DISK_SNAPSHOT_BEGIN,
    DISK_SNAPSHOT_ADD,
    DISK_SNAPSHOT_FINISH,
    DISK_SNAPSHOT_GIVE_UP,
};

/* Entries with their bytes. */
struct disk_entries {
    struct buffer heads; /* struct zab_entry; data is an offset in `bytes` until they are pointed */
    struct buffer bytes;
};

struct disk_task {
    struct background_task base;
    enum disk_kind kind;
    uint64_t ticket;             /* newest that is durable once this is done; 0: it has none */
    struct zxid zxid;            /* TRUNCATE, INSTALL, SNAPSHOT_BEGIN; READ_LOG: after; FINISH: floor; READ_SNAPSHOT, when done: whose */
    uint64_t accepted, current;  /* EPOCHS */
    uint32_t peer, max;          /* READ_LOG: reader, and bytes; READ_SNAPSHOT, END_SNAPSHOT: whose transfer */
    uint64_t read, offset;       /* READ_LOG, READ_SNAPSHOT, INSTALL: as in zab's action */
    uint64_t generation;         /* FINISH: the owner's */
    bool last;                   /* INSTALL; READ_SNAPSHOT, when done */
    bool none;                   /* READ_LOG, READ_SNAPSHOT, when done: the log does not reach back there; there is no (good) snapshot */
    struct coord_state *state;   /* INSTALL with last: just made; nobody else uses it meanwhile */
    struct disk_entries entries; /* APPEND; READ_LOG, when done */
    struct buffer members;       /* SNAPSHOT_BEGIN; READ_SNAPSHOT, when done */
    struct buffer bytes;         /* INSTALL, SNAPSHOT_ADD; READ_SNAPSHOT, when done */
};

struct disk_thread;

/* Takes the disk. Errors: of background_new. */
weir_err disk_thread_new(struct disk_thread **out, struct coord_disk *disk, struct weir_diag *diag);
/* Waits until all that was given is done. */
void disk_thread_destroy(struct disk_thread **thread);

struct disk_task *disk_task_new(enum disk_kind kind); /* aborts without memory: control code */
void disk_task_free(struct disk_task **task);

/* Takes the task; appends collected before go first. */
void disk_give(struct disk_thread *thread, struct disk_task *task);
/* Collects an append; copied. */
void disk_append(struct disk_thread *thread, const struct zab_entry *entry, uint64_t ticket);
/* Hands the collected appends to the thread: at the end of each turn. */
void disk_flush(struct disk_thread *thread);
/* The next task that is done; the caller frees it. NULL: none. */
struct disk_task *disk_take(struct disk_thread *thread);
/* Gives a task and waits until it is done. What was done before it comes from disk_take as ever; this one is given back. */
struct disk_task *disk_wait(struct disk_thread *thread, struct disk_task *task);
int disk_fd(const struct disk_thread *thread);

/* The entries, with pointers; borrowed from the task. */
const struct zab_entry *disk_entries(struct disk_entries *entries, uint32_t *n);

#endif
