/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/local/world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

uint32_t world_draw(struct world *w, uint32_t n)
{
    w->rng = w->rng * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(w->rng >> 33) % n;
}

struct subtask *world_subtask(struct world *w, uint32_t n)
{
    for (uint32_t t = 0; t < w->job.d->n_threads; t++) {
        struct task_thread *thread = &w->job.d->threads[t];
        if (n < thread->n_subtasks) return &thread->subtasks[n];
        n -= thread->n_subtasks;
    }
    return NULL;
}

uint32_t world_count(const struct world *w)
{
    uint32_t n = 0;
    for (uint32_t t = 0; t < w->job.d->n_threads; t++) n += w->job.d->threads[t].n_subtasks;
    return n;
}

static void give_up(const struct world *w, const char *what, const struct weir_diag *diag)
{
    fail_msg("seed %llu, attempt %u: %s: %s", (unsigned long long)w->seed, w->attempt, what, diag->text);
}

/* A snapshot is persisted, whatever became of its checkpoint, before the step that made it goes on: it may wait for that. */
static void take_snapshot(void *owner, struct subtask_snapshot *snapshot)
{
    struct world *w = owner;
    struct weir_diag diag = {0};
    struct kept *aside = NULL;
    if (snapshot->subtask->slot) (void)slot_copy(snapshot->subtask->slot, UINT64_MAX);
    bool wanted = w->pending && snapshot->id == kept_id(w->pending);
    if (!wanted) assert_int_equal(kept_new(&aside, snapshot->id, w->dir.path, &diag), WEIR_OK);
    if (kept_add(wanted ? w->pending : aside, snapshot, &diag)) give_up(w, "persist", &diag);
    kept_destroy(&aside);
    snapshot->next = w->persisted;
    w->persisted = snapshot;
}

static void settle(struct world *w)
{
    for (struct subtask_snapshot *s; (s = w->persisted);) {
        w->persisted = s->next;
        subtask_settle(s);
    }
}

static void open_attempt(struct world *w)
{
    struct weir_diag diag = {0};
    w->attempt++;
    if (!w->fixed) w->parallelism = 1 + world_draw(w, w->parallelism_max);
    local_job_state = (struct deployment_state){
        .dir = temp_path(&w->dir, w->attempt % 2 ? "state-1" : "state-0"), .snapshots = true, .slot_memory = w->slot_memory};
    local_job_state.segment = world_draw(w, 3) == 0 ? 1 : world_draw(w, 2) ? 256 : 0;
    if (local_job_deploy(&w->job, w->build, w->parallelism, w->argc, w->argv, &diag)) give_up(w, "deploy", &diag);
    for (uint32_t i = 0; i < world_count(w); i++) {
        struct subtask *s = world_subtask(w, i);
        s->checkpoints.on = true;
        s->checkpoints.hand_over = take_snapshot;
        s->checkpoints.owner = w;
        s->checkpoints.options.at_least_once = w->at_least_once;
        if (!w->completed) continue;
        struct restore from = kept_restore(w->completed);
        if (subtask_restore(s, &from, 1, &diag)) give_up(w, "restore", &diag);
    }
    for (uint32_t i = 0; i < world_count(w); i++)
        if (subtask_open(world_subtask(w, i), 1)) give_up(w, "open", &world_subtask(w, i)->diag);
}

void world_open(struct world *w)
{
    w->rng = w->seed * 2 + 1;
    if (w->parallelism_max == 0) w->parallelism_max = 4;
    if (w->trigger_one_in == 0) w->trigger_one_in = 40;
    if (w->crash_one_in == 0) w->crash_one_in = 400;
    w->fixed = w->parallelism != 0;
    temp_dir_make(&w->dir);
    open_attempt(w);
}

static void close_attempt(struct world *w)
{
    kept_destroy(&w->pending);
    local_job_close(&w->job);
}

void world_trigger(struct world *w, uint32_t options)
{
    struct weir_diag diag;
    assert_int_equal(kept_new(&w->pending, ++w->id, w->dir.path, &diag), WEIR_OK);
    w->options = options;
    for (uint32_t i = 0; i < world_count(w); i++) subtask_trigger(world_subtask(w, i), w->id, options);
}

void world_abort(struct world *w)
{
    for (uint32_t i = 0; i < world_count(w); i++)
        if (subtask_abort(world_subtask(w, i), w->id)) give_up(w, "abort", &world_subtask(w, i)->diag);
    kept_destroy(&w->pending);
}

bool world_all_have_it(const struct world *w)
{
    return w->pending && kept_count(w->pending) == world_count(w);
}

void world_complete(struct world *w)
{
    uint32_t channel = 0;
    if (!w->at_least_once && !kept_ledgers_agree(w->pending, &channel))
        fail_msg("seed %llu: the ledgers of channel %u differ", (unsigned long long)w->seed, channel);
    kept_destroy(&w->completed);
    w->completed = w->pending;
    w->pending = NULL;
    w->n_completed++;
    w->stopping = (w->options & CHECKPOINT_STOP) != 0;
    if (world_draw(w, 3) == 0) return; /* the word is lost */
    for (uint32_t i = 0; i < world_count(w); i++)
        if (subtask_complete(world_subtask(w, i), w->id)) give_up(w, "complete", &world_subtask(w, i)->diag);
}

/* One step of one subtask; true: all have finished. */
bool world_step(struct world *w)
{
    uint32_t n = world_count(w), n_done = 0, first = world_draw(w, n);
    for (uint32_t k = 0; k < n; k++) {
        struct subtask *s = world_subtask(w, (first + k) % n);
        enum subtask_step step = subtask_step(s, 1);
        if (step == STEP_FAILED) give_up(w, s->failed_id ? s->failed_id : "?", &s->diag);
        settle(w);
        n_done += step == STEP_DONE;
        if (world_draw(w, 3) == 0) break;
    }
    return n_done == n;
}

static bool all_finished(struct world *w)
{
    for (uint32_t i = 0; i < world_count(w); i++)
        if (world_subtask(w, i)->state != SUBTASK_PREPARED) return false;
    return true;
}

void world_crash(struct world *w)
{
    close_attempt(w);
    w->n_crashes++;
    w->options = 0;
    open_attempt(w);
}

/* Everything is in the final checkpoint; a crash then has it committed again, and nothing else. */
static bool is_over(struct world *w, bool faults)
{
    if (!(w->options & CHECKPOINT_FINAL) || !w->completed || kept_id(w->completed) != w->id) return false;
    if (!faults || world_draw(w, 2)) return true;
    world_crash(w);
    return false;
}

void world_drive(struct world *w, bool faults)
{
    for (;;) {
        bool done = world_step(w);
        if (world_all_have_it(w)) world_complete(w);
        if (w->stopping || is_over(w, faults)) return;
        if (done && !w->pending && all_finished(w)) world_trigger(w, CHECKPOINT_FINAL);
        if (!w->pending && world_draw(w, w->trigger_one_in) == 0) world_trigger(w, 0);
        if (w->pending && faults && !all_finished(w) && world_draw(w, 60) == 0) world_abort(w);
        if (faults && world_draw(w, w->crash_one_in) == 0) world_crash(w);
    }
}

void world_commit(struct world *w)
{
    for (uint32_t i = 0; i < world_count(w); i++)
        if (subtask_commit(world_subtask(w, i))) give_up(w, "commit", &world_subtask(w, i)->diag);
}

void world_close(struct world *w)
{
    close_attempt(w);
    kept_destroy(&w->completed);
    temp_dir_remove(&w->dir);
}

uint32_t world_count_in(struct world *w, enum subtask_state state)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < world_count(w); i++) n += world_subtask(w, i)->state == state;
    return n;
}
