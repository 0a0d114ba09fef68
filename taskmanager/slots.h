/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The slots of a TaskManager: which attempt of which job holds how many. The JobManager decides; the TaskManager checks, so that no slot is
 * ever given twice even if the two disagree. Embedded value.
 */
#ifndef WEIR_TASKMANAGER_SLOTS_H
#define WEIR_TASKMANAGER_SLOTS_H

#include "runtime/base/id.h"
#include "runtime/base/limits.h"

struct slots_holder {
    bool used;
    struct weir_id job;
    uint32_t attempt;
};

struct slots {
    uint32_t n, n_free;
    struct slots_holder holders[WEIR_SLOTS_MAX];
};

/* n: 1 ... WEIR_SLOTS_MAX. */
void slots_init(struct slots *s, uint32_t n);
/* Takes n slots for an attempt. false: fewer are free; nothing is taken. */
bool slots_take(struct slots *s, struct weir_id job, uint32_t attempt, uint32_t n);
/* Frees the slots of an attempt; returns how many. */
uint32_t slots_release(struct slots *s, struct weir_id job, uint32_t attempt);

#endif
