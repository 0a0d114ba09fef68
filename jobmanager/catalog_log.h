/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The catalog's store on one machine: a durable log of puts and deletes in a file, and its outcome in memory.
 *
 *     catalog_log_open ─▶ (put | delete)* ─▶ catalog_log_sync ─▶ what was put is committed ─▶ ...
 *
 * Puts between two syncs are one batch: one fdatasync for all of them. A crash in a batch tears it: what is left of it is cut off at the
 * next open, nobody was told that it was done. Damage to anything that had been synced is refused, never cut. After a failed write or sync
 * the log takes nothing any more (WEIR_E_IO): what the disk holds is unknown then, and only a new open finds out. Compaction writes what is
 * alive into a new file and renames it over the old one. docs/protocol/catalog.md has the bytes.
 *
 * Blocks on disk. Owner: one thread at a time.
 */
#ifndef WEIR_JOBMANAGER_CATALOG_LOG_H
#define WEIR_JOBMANAGER_CATALOG_LOG_H

#include "jobmanager/catalog.h"

#define CATALOG_LOG_NAME "catalog"
#define CATALOG_COMPACT_BYTES (4u << 20) /* a smaller file is never compacted; a larger one when half of it or more is dead */

struct catalog_log;

struct catalog_entry {
    char *key;
    uint64_t version; /* above zero; grows with each put of the key */
    struct weir_bytes value;
};

/*
 * Opens DIR/catalog, makes it if it is missing. The caller holds DIR for itself (store.h).
 * Errors: WEIR_E_CORRUPT (damage to what was committed: the sentence names the place), WEIR_E_UNSUPPORTED, WEIR_E_IO, WEIR_E_NOMEM.
 */
weir_err catalog_log_open(struct catalog_log **out, const char *dir, struct weir_diag *diag);
void catalog_log_close(struct catalog_log **log);

/* CATALOG_COMMITTED: it is once the next sync has succeeded. *version: the new one. */
enum catalog_outcome catalog_log_put(struct catalog_log *log, const char *key, struct weir_bytes value, uint64_t expected,
                                     uint64_t *version, struct weir_diag *diag);
enum catalog_outcome catalog_log_delete(struct catalog_log *log, const char *key, uint64_t expected, struct weir_diag *diag);
/* Makes the batch durable. Nothing to do without one. Errors: WEIR_E_IO: the outcome of the batch is unknown, and the log is broken. */
weir_err catalog_log_sync(struct catalog_log *log, struct weir_diag *diag);

/* NULL: there is none. Borrowed until the next change. */
const struct catalog_entry *catalog_log_get(const struct catalog_log *log, const char *key);
/* All of them in order of their keys; borrowed until the next change. */
const struct catalog_entry *catalog_log_all(const struct catalog_log *log, uint32_t *n);

#endif
