/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A job with checkpoints inside the calling process and thread: its subtasks stepped in an order drawn from a seed, with what a
 * coordinator, workers and a storage do around them in a few lines. Crashes, other parallelisms, lost notices and aborts are drawn, too. A
 * failure fails the running cmocka test and names the seed.
 */
#ifndef WEIR_TESTS_SUPPORT_LOCAL_WORLD_H
#define WEIR_TESTS_SUPPORT_LOCAL_WORLD_H

#include "api/testing/kept.h"
#include "tests/support/local/local_job.h"
#include "tests/support/temp_dir.h"

struct world {
    /* set by the test */
    uint64_t seed;
    weir_job_fn build;
    int argc;
    char **argv;
    uint32_t parallelism_max; /* each attempt draws its own; 0 = 4 */
    uint32_t parallelism;     /* non-zero before world_open: of every attempt */
    bool at_least_once;
    uint64_t slot_memory;    /* of deployment_state */
    uint32_t trigger_one_in; /* steps; 0 = 40 */
    uint32_t crash_one_in;   /* 0 = 400 */
    /* kept by it */
    uint64_t rng;
    struct temp_dir dir;
    struct local_job job;
    bool fixed;
    uint32_t attempt;
    uint64_t id;                        /* of the last trigger */
    uint32_t options;                   /* and its options */
    struct kept *pending;               /* NULL: none is under way */
    struct kept *completed;             /* newest; NULL: none yet */
    struct subtask_snapshot *persisted; /* to be settled */
    uint64_t n_completed, n_crashes;
    bool stopping; /* a checkpoint with STOP is complete: nothing more is to be done */
};

uint32_t world_draw(struct world *w, uint32_t n); /* 0 ... n - 1 */

void world_open(struct world *w); /* deploys and opens the first attempt */
void world_close(struct world *w);

struct subtask *world_subtask(struct world *w, uint32_t n); /* NULL: there are fewer */
uint32_t world_count(const struct world *w);
uint32_t world_count_in(struct world *w, enum subtask_state state);

bool world_step(struct world *w); /* some subtasks; true: all are done */
void world_trigger(struct world *w, uint32_t options);
bool world_all_have_it(const struct world *w); /* the pending checkpoint */
void world_complete(struct world *w);          /* the ledgers are compared; the notice may get lost */
void world_abort(struct world *w);
void world_crash(struct world *w); /* and begins again with what is complete */

/* To the end of the job and its final checkpoint. With `faults`: crashes, aborts. */
void world_drive(struct world *w, bool faults);
void world_commit(struct world *w);

#endif
