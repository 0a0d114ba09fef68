/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fresh blocks of memory (MEMORY_HUGE_BYTES) that a thread of its own makes ready.
 *
 * The first touch of a block is a page fault, in which the kernel clears it: 0.2 ms, and many times that on a virtual machine whose host
 * has taken free memory back. What a freeze copies goes into such blocks, between two steps of the record path; so they are ordered ahead.
 *
 * The thread starts with the first order. From then on SUPPLY_BLOCKS are ready or ordered, beside the account of who takes them. Embedded
 * value; zeroed it is one without blocks. Owner: one thread.
 */
#ifndef WEIR_RUNTIME_STATE_SUPPLY_H
#define WEIR_RUNTIME_STATE_SUPPLY_H

#include <stdbool.h>
#include <stdint.h>

#include "runtime/base/background.h"

#define SUPPLY_BLOCKS 4u

struct supply_order {
    struct background_task task; /* first */
    void *block;                 /* NULL: there was no memory */
};

struct supply {
    struct background *thread; /* NULL = nothing has been ordered yet */
    struct supply_order orders[SUPPLY_BLOCKS];
    struct supply_order *idle[SUPPLY_BLOCKS], *ready[SUPPLY_BLOCKS];
    uint32_t n_idle, n_ready; /* the others are with the thread */
};

void supply_close(struct supply *s); /* frees what is left */

/* A block of zeros, or NULL: none is ready. Orders further ones. */
void *supply_take(struct supply *s);

/* True: none is ready, but one is on its way; who can wait fares better than with a page fault. */
bool supply_is_coming(struct supply *s);

#endif
