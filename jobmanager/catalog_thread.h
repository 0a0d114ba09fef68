/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The catalog's store (catalog_log.h) in a thread of its own, for the server: orders in, answers out, one fsync for all that wait. When the
 * log cannot be written any more, nobody knows what the disk holds: the answers say so (CATALOG_UNKNOWN), and the process must end.
 * Owner: the main thread.
 */
#ifndef WEIR_JOBMANAGER_CATALOG_THREAD_H
#define WEIR_JOBMANAGER_CATALOG_THREAD_H

#include "jobmanager/master.h"

struct catalog_thread;

/* Opens DIR/catalog and starts the thread. Errors: of catalog_log_open, background_new. */
weir_err catalog_thread_new(struct catalog_thread **out, const char *dir, struct weir_diag *diag);
void catalog_thread_destroy(struct catalog_thread **thread);

/* What the log held when it was opened; borrowed until the first order. Gives how many. */
uint32_t catalog_thread_listed(const struct catalog_thread *thread, const struct master_listed **out);

/* Copies the order. */
void catalog_thread_order(struct catalog_thread *thread, const struct catalog_order *order);
/* The next answer; false: none. It lasts until the next call. */
bool catalog_thread_answer(struct catalog_thread *thread, struct catalog_answer *out);
int catalog_thread_fd(const struct catalog_thread *thread);
/* The log is broken: why. NULL: it is not. */
const char *catalog_thread_broken(const struct catalog_thread *thread);

#endif
