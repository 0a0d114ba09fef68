/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A family's part of a snapshot: freeze and copy (task thread, no I/O), persist (another thread), settle (task thread); and restore.
 *
 *     family_freeze ──▶ slot_copy, again and again ──▶ frozen_settle         task thread
 *              │             └── gate `copied` ──┐           ▲
 *              └──────────────────────────▶ frozen_persist ──┘               another
 *                      sort, write, fsync; link what was written out before; then, if the store has spilled:
 *                      ingest, open the gate `ingested`; a piece of the turn over the keeper
 *
 * Until that gate is open its entries stay in memory, and no other run is ingested. The task thread waits for it only when all of its slot
 * has been copied (family_wait): else both threads might wait for each other.
 */
#ifndef WEIR_RUNTIME_STATE_SNAPSHOT_H
#define WEIR_RUNTIME_STATE_SNAPSHOT_H

#include "runtime/state/internal.h"

/* Takes as long however much has changed, but for a few ns a store. Errors: WEIR_E_NOMEM (sticky). */
weir_err family_freeze(struct family *f, uint64_t epoch, struct frozen **out);

/* Waits until all is copied. Leaves the files of the whole snapshot in frozen->files. Errors are sticky, too. Thread: any. */
weir_err frozen_persist(struct frozen *frozen, const char *dir, struct weir_diag *diag);

/* Takes over what persist found, and frees. One that was not persisted fails the slot: what it held is in no file. */
void frozen_settle(struct frozen **frozen);

/* What one list of an earlier snapshot has of the state, in the order in which the files apply. */
struct restore_part {
    struct keyed_file *files;
    uint32_t n;
    const char *dir;
    bool clip; /* some hold keys of other groups than these, of which another list has the last word */
    uint16_t first_group, last_group;
};

/*
 * Puts files behind a new family; may be called for several lists. They are linked or copied, never changed; their checksums have been
 * compared. What must be clipped is read, written as a file of its own, and part of the next snapshot. Errors are sticky, too.
 */
weir_err family_restore(struct family *f, const struct restore_part *part, struct weir_diag *diag);

#endif
