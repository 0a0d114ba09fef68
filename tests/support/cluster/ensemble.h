/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Three JobManagers of one ensemble, on ipc sockets in the story's folder: member i (from 0) has the id i + 1 and the sockets pN (peers),
 * kN (coordination clients), aN (admin) and cN (control), N = i + 1. c->jobmanager and c->admin are those of the leader that was found
 * last.
 */
#ifndef WEIR_TESTS_SUPPORT_CLUSTER_ENSEMBLE_H
#define WEIR_TESTS_SUPPORT_CLUSTER_ENSEMBLE_H

#include "tests/support/cluster/cluster.h"

#define JOBMANAGERS 3u

struct ensemble {
    struct proc *jobmanager[JOBMANAGERS]; /* NULL: dead */
    uint32_t leader;                      /* that was found last */
};

/* All members, and TaskManagers of two slots that know them all; returns when one leads and those are registered. */
void ensemble_start(struct cluster *c, struct ensemble *e, uint32_t n_taskmanagers);
/* A member on its folder; does not wait. */
void ensemble_start_member(struct cluster *c, struct ensemble *e, uint32_t i);
void ensemble_wait_leader(struct cluster *c, struct ensemble *e);
/* It stays dead; returns, when another one leads, which one it was. */
uint32_t ensemble_kill_leader(struct cluster *c, struct ensemble *e);

#endif
