/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/task/thread.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/base/clock.h"
#include "runtime/state/rocks.h"

weir_err task_thread_init(struct task_thread *t, uint64_t n_outbox, struct weir_diag *diag)
{
    weir_err err = wake_init(&t->wake, diag);
    if (err) return err;
    frame_pool_init(&t->pool);
    frame_pool_set_segment(&t->pool, t->segment);
    (void)pthread_mutex_init(&t->stats_lock, NULL);
    (void)pthread_mutex_init(&t->mail.lock, NULL);
    t->mail.tail = &t->mail.taken;
    atomic_init(&t->kept, UINT64_MAX);
    err = outbox_init(&t->outbox, n_outbox, t->net);
    t->stats = calloc(t->n_subtasks ? t->n_subtasks : 1, sizeof *t->stats);
    t->counters = calloc(t->counters_cap ? t->counters_cap : 1, sizeof *t->counters);
    if (err || !t->stats || !t->counters) return weir_fail(diag, WEIR_E_NOMEM, "no memory for a task thread");
    return WEIR_OK;
}

void task_thread_close(struct task_thread *t)
{
    outbox_close(&t->outbox); /* first: its frames come home to the pool */
    frame_pool_close(&t->pool);
    wake_close(&t->wake);
    state_slot_destroy(&t->slot); /* its subtasks are closed */
    free(t->stats);
    free(t->counters);
    free(t->subtasks);
    t->stats = NULL;
    t->counters = NULL;
    t->subtasks = NULL;
}

/* ---- what others see --------------------------------------------------------------------------------------------------------------------
 */

static uint32_t wire_state(const struct subtask *s)
{
    switch (s->state) {
    case SUBTASK_CREATED: return WIRE_SUBTASK_CREATED;
    case SUBTASK_RUNNING:
    case SUBTASK_RESTING:
    case SUBTASK_DRAINING: return WIRE_SUBTASK_RUNNING;
    case SUBTASK_PREPARED:
    case SUBTASK_COMMITTED: return WIRE_SUBTASK_FINISHED;
    case SUBTASK_FAILED: break;
    }
    return WIRE_SUBTASK_FAILED;
}

/* What the task thread alone knows. */
static struct wire_slot_stats slot_state(const struct task_thread *t)
{
    struct wire_slot_stats out = {.slot = t->n_subtasks ? t->subtasks[0].index : 0};
    struct slot_stats s;
    if (!t->slot) return out;
    slot_stats(t->slot, &s);
    out.memory_bytes = s.bytes - s.free_bytes + s.reserved_bytes;
    out.memory_budget = s.budget == UINT64_MAX / 2 ? 0 : s.budget;
    out.entries = s.entries;
    out.loads = s.loads;
    out.evictions = s.evictions;
    out.write_outs = s.write_outs;
    out.waits = s.waits;
    out.stalls = s.stalls;
    out.stalled_ms = s.stalled_ms;
    out.filter_useful = s.hits_filter;
    return out;
}

static void add_keeper(const struct task_thread *t, struct wire_slot_stats *out)
{
    struct rocks_stats r;
    if (!t->slot || !slot_keeper_stats(t->slot, &r)) return;
    out->sst_files = r.files;
    out->sst_bytes = r.bytes;
    out->level0_files = r.level0_files;
    out->cache_bytes = r.cache_bytes;
    out->reader_bytes = r.reader_bytes;
    out->compactions = r.compactions_running;
    out->compaction_pending_bytes = r.compaction_bytes_pending;
    out->compaction_read_bytes = r.compaction_read_bytes;
    out->compaction_write_bytes = r.compaction_write_bytes;
    out->gets = r.gets;
    out->gets_found = r.gets_found;
    out->bloom_useful = r.bloom_useful;
    out->ingested_files = r.ingested_files;
    out->ingested_bytes = r.ingested_bytes;
}

static void publish_stats(struct task_thread *t)
{
    struct wire_slot_stats slot = slot_state(t);
    pthread_mutex_lock(&t->stats_lock);
    t->slot_stats = slot;
    t->n_counters = 0;
    for (uint32_t i = 0; i < t->n_subtasks; i++) {
        struct subtask *s = &t->subtasks[i];
        s->stats.state = wire_state(s);
        if (s->ops) s->stats.watermark_ms = s->ops[s->n_ops - 1].time_out;
        t->stats[i] = s->stats;
        for (uint32_t o = 0; s->ops && o < s->n_ops; o++) {
            struct op *op = &s->ops[o];
            for (uint32_t c = 0; c < op->n_counters && t->n_counters < t->counters_cap; c++) {
                if (strcmp(op->counters[c].name, "late") == 0) t->stats[i].late += op->counters[c].value;
                t->counters[t->n_counters++] = (struct wire_counter){
                    .operator_id = op->spec.id, .subtask = s->index, .name = op->counters[c].name, .value = op->counters[c].value};
            }
        }
    }
    pthread_mutex_unlock(&t->stats_lock);
}

void task_thread_ask_stats(struct task_thread *t)
{
    if (atomic_load_explicit(&t->state, memory_order_acquire) != THREAD_RUNNING) return;
    atomic_store_explicit(&t->stats_wanted, true, memory_order_relaxed);
    wake_up(&t->wake);
}

void task_thread_read_stats(struct task_thread *t, struct wire_msg *stats)
{
    pthread_mutex_lock(&t->stats_lock);
    memcpy(stats->stats.subtasks + stats->stats.n_subtasks, t->stats, t->n_subtasks * sizeof *t->stats);
    memcpy(stats->stats.counters + stats->stats.n_counters, t->counters, t->n_counters * sizeof *t->counters);
    stats->stats.n_subtasks += t->n_subtasks;
    stats->stats.n_counters += t->n_counters;
    struct wire_slot_stats slot = t->slot_stats;
    pthread_mutex_unlock(&t->stats_lock);
    if (slot.memory_bytes == 0) return; /* it has had no state */
    add_keeper(t, &slot);
    stats->stats.slots[stats->stats.n_slots++] = slot;
}

static void answer_stats(struct task_thread *t)
{
    if (!atomic_load_explicit(&t->stats_wanted, memory_order_relaxed)) return;
    atomic_store_explicit(&t->stats_wanted, false, memory_order_relaxed);
    publish_stats(t);
}

static void become(struct task_thread *t, enum thread_state state)
{
    publish_stats(t); /* its last word, before the state is seen */
    atomic_store_explicit(&t->state, (int)state, memory_order_release);
    wake_up(t->net);
}

/* ---- stepping
 * ---------------------------------------------------------------------------------------------------------------------------- */

struct round {
    bool progress;
    bool source_quiet; /* a source may have something soon, without anybody waking us */
    uint32_t n_done;
    uint32_t n_blocked;
};

static struct subtask *step_all(struct task_thread *t, struct round *r)
{
    weir_time now_ms = clock_wall_ms();
    for (uint32_t i = 0; i < t->n_subtasks; i++) {
        struct subtask *s = &t->subtasks[i];
        atomic_store_explicit(s->probe.subtask, (int32_t)s->index, memory_order_relaxed);
        switch (subtask_step(s, now_ms)) {
        case STEP_PROGRESS: r->progress = true; break;
        case STEP_IDLE: r->source_quiet |= s->n_splits > 0; break;
        case STEP_BLOCKED: r->n_blocked++; break;
        case STEP_DONE: r->n_done++; break;
        case STEP_FAILED: return s;
        }
        if (t->slot) r->progress |= slot_copy(t->slot, SLOT_COPY_BYTES);
    }
    return NULL;
}

/* ---- checkpoints ------------------------------------------------------------------------------------------------------------------- */

static void post(struct task_thread *t)
{
    atomic_store_explicit(&t->mail.waiting, true, memory_order_release);
    pthread_mutex_unlock(&t->mail.lock);
    wake_up(&t->wake);
}

void task_thread_trigger(struct task_thread *t, uint64_t id, uint32_t options)
{
    pthread_mutex_lock(&t->mail.lock);
    if (id > t->mail.trigger) {
        t->mail.trigger = id;
        t->mail.trigger_options = options;
    }
    post(t);
}

void task_thread_complete(struct task_thread *t, uint64_t id)
{
    pthread_mutex_lock(&t->mail.lock);
    if (id > t->mail.complete) t->mail.complete = id;
    post(t);
}

void task_thread_abort(struct task_thread *t, uint64_t id)
{
    pthread_mutex_lock(&t->mail.lock);
    if (id > t->mail.abort) t->mail.abort = id;
    post(t);
}

void task_thread_settle(struct task_thread *t, struct subtask_snapshot *snapshot)
{
    pthread_mutex_lock(&t->mail.lock);
    snapshot->next = t->mail.settled;
    t->mail.settled = snapshot;
    t->mail.n_out--;
    post(t);
}

struct subtask_snapshot *task_thread_take_snapshot(struct task_thread *t)
{
    pthread_mutex_lock(&t->mail.lock);
    struct subtask_snapshot *snapshot = t->mail.taken;
    if (snapshot) {
        t->mail.taken = snapshot->next;
        if (!t->mail.taken) t->mail.tail = &t->mail.taken;
        snapshot->next = NULL;
        t->mail.n_out++;
    }
    pthread_mutex_unlock(&t->mail.lock);
    return snapshot;
}

static void settle_all(struct subtask_snapshot *list)
{
    while (list) {
        struct subtask_snapshot *next = list->next;
        subtask_settle(list);
        list = next;
    }
}

/* What the net thread has put in the mail since the last round. */
static struct subtask *open_mail(struct task_thread *t)
{
    struct thread_mail *mail = &t->mail;
    if (!atomic_load_explicit(&mail->waiting, memory_order_acquire)) return NULL;
    pthread_mutex_lock(&mail->lock);
    atomic_store_explicit(&mail->waiting, false, memory_order_relaxed);
    uint64_t trigger = mail->trigger, complete = mail->complete, aborted = mail->abort;
    uint32_t options = mail->trigger_options;
    struct subtask_snapshot *settled = mail->settled;
    mail->settled = NULL;
    pthread_mutex_unlock(&mail->lock);
    settle_all(settled);
    for (uint32_t i = 0; i < t->n_subtasks; i++) {
        struct subtask *s = &t->subtasks[i];
        atomic_store_explicit(s->probe.subtask, (int32_t)s->index, memory_order_relaxed);
        if (subtask_complete(s, complete) || subtask_abort(s, aborted)) return s;
        subtask_trigger(s, trigger, options);
    }
    return NULL;
}

/* Of a subtask, within its step: the net thread has it at once. */
static void send_snapshot(void *owner, struct subtask_snapshot *snapshot)
{
    struct task_thread *t = owner;
    pthread_mutex_lock(&t->mail.lock);
    *t->mail.tail = snapshot;
    t->mail.tail = &snapshot->next;
    pthread_mutex_unlock(&t->mail.lock);
    wake_up(t->net);
}

/* Frees what came back, and what nobody has fetched, which is not out. True when nothing is out any more. */
static bool snapshots_are_back(struct task_thread *t)
{
    struct thread_mail *mail = &t->mail;
    if (t->slot) (void)slot_copy(t->slot, UINT64_MAX); /* whoever has them waits for that */
    pthread_mutex_lock(&mail->lock);
    struct subtask_snapshot *unfetched = mail->taken, *settled = mail->settled;
    uint32_t n_out = mail->n_out;
    mail->taken = mail->settled = NULL;
    mail->tail = &mail->taken;
    pthread_mutex_unlock(&mail->lock);
    settle_all(unfetched);
    settle_all(settled);
    return n_out == 0;
}

bool task_thread_has_work(const struct task_thread *t)
{
    if (atomic_load_explicit(&t->command, memory_order_acquire) != t->obeyed) return true;
    if (atomic_load_explicit(&t->stats_wanted, memory_order_relaxed)) return true;
    if (atomic_load_explicit(&t->mail.waiting, memory_order_acquire)) return true;
    for (uint32_t i = 0; i < t->n_subtasks; i++)
        if (subtask_has_work(&t->subtasks[i])) return true;
    return false;
}

/* Time since the last call goes to what each subtask was doing; read once a round, never per record. */
static void account(struct task_thread *t, bool progress)
{
    int64_t now = clock_mono_ns();
    uint64_t us = (uint64_t)(now - t->since_ns) / 1000;
    if (us == 0) return;
    t->since_ns = now;
    for (uint32_t i = 0; i < t->n_subtasks; i++) {
        struct wire_subtask_stats *stats = &t->subtasks[i].stats;
        if (subtask_blocked(&t->subtasks[i]))
            stats->blocked_us += us;
        else if (progress)
            stats->busy_us += us;
        else
            stats->idle_us += us;
    }
}

static enum thread_state commit_all(struct task_thread *t)
{
    atomic_fetch_add_explicit(t->steps, 1, memory_order_relaxed);
    for (uint32_t i = 0; i < t->n_subtasks && !t->failed; i++)
        if (subtask_commit(&t->subtasks[i])) t->failed = &t->subtasks[i];
    atomic_fetch_add_explicit(t->steps, 1, memory_order_relaxed);
    return t->failed ? THREAD_FAILED : THREAD_COMMITTED;
}

static void one_round(struct task_thread *t, struct round *r)
{
    atomic_fetch_add_explicit(t->steps, 1, memory_order_relaxed);
    *r = (struct round){0};
    t->failed = open_mail(t);
    if (!t->failed) t->failed = step_all(t, r);
    outbox_announce(&t->outbox);
    atomic_fetch_add_explicit(t->steps, 1, memory_order_relaxed);
}

static void open_all(struct task_thread *t)
{
    atomic_fetch_add_explicit(t->steps, 1, memory_order_relaxed);
    for (uint32_t i = 0; i < t->n_subtasks && !t->failed; i++) {
        atomic_store_explicit(t->subtasks[i].probe.subtask, (int32_t)t->subtasks[i].index, memory_order_relaxed);
        t->subtasks[i].checkpoints.hand_over = send_snapshot;
        t->subtasks[i].checkpoints.owner = t;
        if (subtask_open(&t->subtasks[i], clock_wall_ms())) t->failed = &t->subtasks[i];
    }
    atomic_fetch_add_explicit(t->steps, 1, memory_order_relaxed);
    t->opened = true;
    t->since_ns = clock_mono_ns();
}

static enum thread_turn end_as(struct task_thread *t, enum thread_state state)
{
    t->ends_as = state;
    return THREAD_TURN_LAST;
}

/* Steps go on when all is done, too: of subtasks that have finished or rest, checkpoints are taken and aborted all the same. */
enum thread_turn task_thread_turn(struct task_thread *t)
{
    struct round r;
    frame_pool_adopt(&t->pool);
    if (!t->opened)
        open_all(t);
    else if (!t->moved)
        account(t, false); /* it has been parked */
    if (t->failed) return end_as(t, THREAD_FAILED);
    enum thread_state state = (enum thread_state)atomic_load_explicit(&t->state, memory_order_relaxed); /* this thread's own word */
    t->obeyed = atomic_load_explicit(&t->command, memory_order_acquire);
    if (t->obeyed == THREAD_STOP) return end_as(t, THREAD_STOPPED);
    if (t->obeyed == THREAD_COMMIT && state == THREAD_PREPARED) return end_as(t, commit_all(t));
    one_round(t, &r);
    if (t->failed) return end_as(t, THREAD_FAILED);
    enum thread_state now = r.n_done == t->n_subtasks ? THREAD_PREPARED : THREAD_RUNNING;
    if (now != state) become(t, now);
    account(t, r.progress);
    answer_stats(t);
    t->source_quiet = r.source_quiet;
    t->moved = r.progress;
    return r.progress ? THREAD_TURN_MOVED : THREAD_TURN_IDLE;
}

/* Their frozen state is the subtasks', which therefore stay until all that is out has come back. */
bool task_thread_end(struct task_thread *t)
{
    publish_stats(t);
    if (!snapshots_are_back(t)) return false;
    for (uint32_t i = 0; i < t->n_subtasks; i++) {
        atomic_store_explicit(t->subtasks[i].probe.subtask, (int32_t)t->subtasks[i].index, memory_order_relaxed);
        if (t->ends_as == THREAD_STOPPED) subtask_abandon(&t->subtasks[i], atomic_load_explicit(&t->kept, memory_order_relaxed));
        subtask_close(&t->subtasks[i]);
    }
    atomic_store_explicit(&t->state, (int)t->ends_as, memory_order_release);
    atomic_store_explicit(&t->closed, true, memory_order_release);
    wake_up(t->net);
    frame_pool_adopt(NULL); /* frames released from here on by others go the long way */
    return true;
}

void task_thread_stop(struct task_thread *t, uint64_t kept)
{
    atomic_store_explicit(&t->kept, kept, memory_order_relaxed); /* seen with the command */
    task_thread_command(t, THREAD_STOP);
}

void task_thread_command(struct task_thread *t, enum thread_command command)
{
    atomic_store_explicit(&t->command, (int)command, memory_order_release);
    wake_up(&t->wake);
}
