/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A thread for what blocks: tasks go in, are worked on in order, and come back; a descriptor tells when some have.
 *
 *     owner: background_give ──▶ queue ──▶ thread: work(batch) ──▶ done ──▶ owner: background_take, when background_fd is readable
 *
 * The thread takes all tasks that wait as one batch, so that `work` can make one fsync for many. Order is kept throughout. The queue has no
 * limit of its own: an owner gives only what it waits for.
 *
 * Owner: one thread; `work` runs in the other.
 */
#ifndef WEIR_RUNTIME_BASE_BACKGROUND_H
#define WEIR_RUNTIME_BASE_BACKGROUND_H

#include "weir/base.h"

/* First member of a task. */
struct background_task {
    struct background_task *next;
};

struct background;

struct background_config {
    const char *name; /* of the thread, at most 15 bytes */
    void *arg;
    /* Works on a batch, a list that ends with NULL. It must not change the list. */
    void (*work)(void *arg, struct background_task *batch);
    /* Frees a task that nobody takes any more. */
    void (*drop)(struct background_task *task);
};

/* Starts the thread. Errors: WEIR_E_NOMEM, WEIR_E_IO. */
weir_err background_new(struct background **out, const struct background_config *config, struct weir_diag *diag);
/* Waits for the batch in hand; tasks behind it are not begun. All are dropped. */
void background_destroy(struct background **background);

/* Takes the task. */
void background_give(struct background *b, struct background_task *task);
/* Gives the next one that was worked on; NULL: none. */
struct background_task *background_take(struct background *b);
/* Readable while there is something to take. */
int background_fd(const struct background *b);

#endif
