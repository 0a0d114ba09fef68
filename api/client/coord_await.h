/* SPDX-License-Identifier: Apache-2.0 */
/* Waiting for a change of a node in a thread of the user's: a read with a watch that wakes it. */
#ifndef WEIR_API_CLIENT_COORD_AWAIT_H
#define WEIR_API_CLIENT_COORD_AWAIT_H

#include "api/client/coord_claim.h"

struct await {
    struct weir_coord *coord;
    struct timespec until;
    bool for_ever;
    pthread_mutex_t mutex;
    pthread_cond_t cond;
    bool changed, ended;
};

/* timeout_ms: below zero is for ever. WRONG_THREAD on the client's own thread; else await_end comes at the end. */
enum weir_coord_err await_begin(struct await *a, struct weir_coord *coord, int64_t timeout_ms);
void await_end(struct await *a);
/* What is left of the time; below zero: for ever. */
int64_t await_left_ms(const struct await *a);
/* Reads, and watches what was read (but for an error other than EXISTS's NO_NODE). Gives `*reply`, NULL: not wanted. */
enum weir_coord_err await_read(struct await *a, enum weir_coord_read_type type, const char *path, struct weir_coord_reply *reply);
/* Until what await_read showed has changed. OPERATION_TIMEOUT, SESSION_EXPIRED. */
enum weir_coord_err await_change(struct await *a);

#endif
