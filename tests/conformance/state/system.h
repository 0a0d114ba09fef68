/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is tested: keyed.h, as the one or more instances of an operator, each with a slot of its own, below a folder of the system's own.
 *
 *     slot-<i>        scratch folder of a slot
 *     snapshots-0     the files of all snapshots of all instances: lists go on naming what they were restored from
 *     restore-<i>     hard links to exactly the files that a snapshot's list names: what a restore gets to see
 *
 * After each persist the list is held against the folder: sizes, checksums, is_new, epochs, nothing changed that was there before, nothing
 * lying about. Then what the last two lists do not name is deleted, as a job's retention does.
 *
 * Beyond the operations it knows what only tests of files ask for.
 */
#ifndef WEIR_TESTS_CONFORMANCE_STATE_SYSTEM_H
#define WEIR_TESTS_CONFORMANCE_STATE_SYSTEM_H

#include "tests/conformance/state/ops.h"

#define SYSTEM_PATH_MAX 512u

struct system;

/* The last snapshot that was kept: an instance's files and their folder. Borrowed until the next join or restore. */
struct keyed_restore_from system_snapshot(const void *subject, uint32_t instance);

/*
 * Restores an instance of the whole range from files as they are, beside the system, and then, unless kind is 0, opens a state. What the
 * first of them that fails says.
 */
weir_err system_try_restore(void *subject, const struct keyed_restore_from *from, enum keyed_kind kind, const struct weir_state_desc *desc,
                            struct weir_diag *diag);

/* An instance's slot, for another operator in it. */
struct state_slot *system_slot(const void *subject, uint32_t instance);

/* A folder of the system's own for a test's files; the path is written to `out`. */
void system_folder(void *subject, const char *stem, char out[SYSTEM_PATH_MAX]);

/* Gauges of an instance's slot. */
struct slot_stats system_stats(const void *subject, uint32_t instance);

/* Entries in the kept snapshot's files that are new. */
uint64_t system_new_entries(const void *subject);

/* Removes the folder that a failed test has left. */
void system_sweep(void);
/* The same, and frees what all systems of the process share: after the last one was closed. */
void system_end(void);

#endif
