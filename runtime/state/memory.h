/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The memory account of keyed state: everything tables, timers and values hold is taken from one account, so that "how much" is a field and
 * not a walk, and so that a test can make the Nth allocation fail.
 *
 * Blocks of MEMORY_HUGE_BYTES and more are mapped at huge-page boundaries and marked MADV_HUGEPAGE: on most systems transparent huge pages
 * are given only to those who ask, and at a GiB of state they take a quarter off an update. Embedded value; zero-initialised it is an
 * account without limit. Owner: one thread.
 */
#ifndef WEIR_RUNTIME_STATE_MEMORY_H
#define WEIR_RUNTIME_STATE_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MEMORY_HUGE_BYTES (2u << 20)

struct supply;

struct memory {
    uint64_t bytes; /* held now, as asked for */
    uint64_t free;  /* of which tables have as room for further entries, and spare blocks */
    void *spare;    /* blocks given back, each with the address of the next at its front */
    uint32_t n_spare;
    uint32_t spare_max;    /* blocks that are kept instead of being given to the kernel; 0 at first */
    struct supply *supply; /* where fresh blocks may be had that another thread has made ready; NULL = nowhere */
    uint64_t limit;        /* allocations that would pass it fail; 0 = none */
    uint64_t fail_in;      /* tests: the fail_in-th allocation from now fails, and so do all later ones; 0 = off */
};

/* Gives n zeroed bytes (n > 0), 16-byte aligned; a cache line's alignment from 4 KiB on. NULL when there are none: the account is
 * unchanged. */
void *memory_alloc(struct memory *m, size_t n);

/* Takes back what memory_alloc(m, n) gave; p may be NULL. */
void memory_free(struct memory *m, void *p, size_t n);

/*
 * Blocks of MEMORY_HUGE_BYTES for what comes and goes as a whole, as the copies of a freeze do: clearing fresh pages costs more than
 * filling them. A block's bytes are anything; they may have been memory_alloc'ed, and may be freed by memory_free. Up to spare_max are
 * kept.
 */
void *memory_take_block(struct memory *m);     /* NULL: as memory_alloc */
bool memory_block_is_coming(struct memory *m); /* none is at hand, but the supply will soon have one: who can wait fares better */
void memory_give_block(struct memory *m, void *block);
void memory_drop_spare(struct memory *m); /* gives all spare blocks to the kernel */

/* Blocks of no account, for the supply: zeroed, and each of their pages there. Thread: any. */
void *memory_map_block(void); /* NULL: no memory */
void memory_unmap_block(void *block);

#endif
