/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The checkpoint storage (runtime/checkpoint) in a thread of its own, for the server: it may be a network mount that does not answer. Keeps
 * the archives of the jobs that run; sweeps each now and then. Owner: the main thread.
 */
#ifndef WEIR_JOBMANAGER_STORAGE_THREAD_H
#define WEIR_JOBMANAGER_STORAGE_THREAD_H

#include "jobmanager/master.h"
#include "runtime/checkpoint/archive.h"

struct storage_thread;

weir_err storage_thread_new(struct storage_thread **out, struct weir_diag *diag);
/* Waits for what is in hand. */
void storage_thread_destroy(struct storage_thread **thread);

/* Copies the order, a MASTER_DO_STORAGE. */
void storage_thread_order(struct storage_thread *thread, const struct master_action *order);
/* The next answer, as the event to step with; false: none. It lasts until the next call. What needs no answer gives none. */
bool storage_thread_answer(struct storage_thread *thread, struct master_event *out);
int storage_thread_fd(const struct storage_thread *thread);

#endif
