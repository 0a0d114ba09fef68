/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The records of a batch by key. What is done once a key and batch instead of once a record is cheaper the fewer keys there are: probes of
 * the state, changes that leave. The table lies in the first caches and is made anew for each batch.
 */
#ifndef WEIR_RUNTIME_OPERATOR_GROUPS_H
#define WEIR_RUNTIME_OPERATOR_GROUPS_H

#include "weir/operator.h"

#define GROUPS_SLOTS (2 * WEIR_BATCH_MAX)

struct groups {
    uint32_t n;                     /* groups, in order of their first records */
    uint32_t first[WEIR_BATCH_MAX]; /* a group's first record */
    uint32_t of[WEIR_BATCH_MAX];    /* a record's group */
    uint32_t next[WEIR_BATCH_MAX];  /* the next record of the same group; GROUPS_END */
    uint32_t last[WEIR_BATCH_MAX];  /* a group's last record */
    uint16_t slots[GROUPS_SLOTS];   /* group + 1; 0 = free */
};

#define GROUPS_END UINT32_MAX

/* Of records 0 ... n - 1 (n <= WEIR_BATCH_MAX), whose keys have their hashes. */
void groups_make(struct groups *groups, const struct weir_key *keys, uint32_t n);

#endif
