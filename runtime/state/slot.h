/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What all states of one slot share: the memory budget, the RocksDB database behind them, the folder for scratch files, the clock, and the
 * first failure.
 *
 * Budget: `memory.bytes` counts what tables, values and indexes hold. Of it, entries that were freed but whose slabs are still there are
 * room for new ones; and what a freeze would have to copy is held in reserve, so that a freeze cannot break the budget. slot_safe_point
 * evicts, by CLOCK over all stores in turn, until
 *
 *     memory.bytes - free + reserved <= budget
 *
 * and gives whole slabs back when free room has piled up in the wrong place. Between two safe points memory may grow by what one call into
 * an operator touches. The database is opened when it is first needed: a job whose state fits its budget never opens it.
 *
 * What a freeze copies goes into fresh memory. Where the budget is 256 MiB or more a thread of its own makes it ready, 8 MiB ahead, which
 * stand beside the budget (supply.h).
 *
 * What the keeper does not hold yet is written out by a thread of the slot's own, which starts when first needed and ends with the slot.
 * Its run, a tenth of the budget and 16 MiB at most, stands beside the budget as long as it is under way. There is one at a time: where
 * hardly anything may leave memory before it is over, the task thread waits for it.
 *
 * Compaction that lags behind makes every read ask more files. RocksDB stalls writes then, but not ingestion. So a write-out waits while a
 * family has SLOT_LEVEL0_MAX files that are not compacted, SLOT_STALL_MS at most: the input is held back to the pace of compaction, about,
 * and a compaction that does not come forward stops nobody for ever (its failure is the slot's within a second).
 *
 * Owner: the slot's task thread; slot_error and the keeper may be used by the thread that persists.
 */
#ifndef WEIR_RUNTIME_STATE_SLOT_H
#define WEIR_RUNTIME_STATE_SLOT_H

#include <stdbool.h>

#include "runtime/state/memory.h"
#include "weir/base.h"
#include "weir/row.h"

struct rocks;
struct rocks_shared;
struct store;

#define SLOT_BUDGET_DEFAULT ((uint64_t)256 << 20)
#define SLOT_LEVEL0_MAX 36u /* RocksDB's own limit for writes */
#define SLOT_STALL_MS 200u
#define SLOT_SLACK ((uint64_t)64 << 10) /* what fixed structures may take beyond any budget, however small */
#define SLOT_SLACK_STORE 4096u          /* and those of each state or pane */
#define SLOT_COPY_BYTES (256u << 10)    /* a good step of slot_copy: about 0.1 ms */

struct state_slot_config {
    const char *dir; /* scratch folder of the slot: wiped at the start, made when first needed, removed at the end. NULL: state in memory
                        only, without limit */
    uint64_t budget; /* bytes; 0 = SLOT_BUDGET_DEFAULT */
    struct rocks_shared *shared; /* kept; may be NULL when dir is */
    bool snapshots;              /* snapshots will be taken: what is written out early is kept for them */
};

struct state_slot;

weir_err state_slot_new(struct state_slot **out, const struct state_slot_config *config, struct weir_diag *diag);
void state_slot_destroy(struct state_slot **slot); /* after all states of it */

/* The first failure of reading or writing state; WEIR_OK when there was none. Fills diag. Thread: any. */
weir_err slot_error(struct state_slot *slot, struct weir_diag *diag);

/*
 * A step of copying what freezes have found (keyed_freeze): about `bytes` of it, UINT64_MAX: all. True: there is more. Between two calls
 * into operators, soon and again until it returns false: what is written meanwhile is copied first, which costs more, and until all is
 * copied nothing is persisted. It also makes ready what later freezes will need. Errors are sticky.
 */
bool slot_copy(struct state_slot *slot, uint64_t bytes);

/* Notes the first failure and returns err. For the states of the slot. Thread: any. */
weir_err slot_fail(struct state_slot *slot, weir_err err, const char *fmt, ...) WEIR_PRINTF(3, 4);

struct memory *slot_memory(struct state_slot *slot);

/* Gauges, for metrics and tests. */
struct slot_stats {
    uint64_t bytes, free_bytes, reserved_bytes, budget;
    uint64_t entries, clean;
    uint64_t hits_filter; /* misses that the filter answered */
    uint64_t loads;       /* entries read from the keeper */
    uint64_t evictions;
    uint64_t write_outs; /* runs written before a snapshot asked for them */
    uint64_t waits;      /* safe points that had to wait for a snapshot being written */
    uint64_t stalls;     /* write-outs that waited because compaction lagged behind, SLOT_LEVEL0_MAX */
    uint64_t stalled_ms; /* how long, all of them together */
};
void slot_stats(const struct state_slot *slot, struct slot_stats *out);

/* The database's own; false, with *out untouched, before it was opened. Thread: any, as long as the slot lives. */
struct rocks_stats;
bool slot_keeper_stats(const struct state_slot *slot, struct rocks_stats *out);

#endif
