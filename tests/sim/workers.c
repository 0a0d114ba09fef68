/* SPDX-License-Identifier: Apache-2.0 */
/* Worker processes: what they do with orders, how they fare, and what a sink of theirs makes visible. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/assert.h"
#include "tests/sim/world.h"

void workers_act_later(struct sim *sim, uint32_t process, enum sim_act how, int64_t at_ms)
{
    const struct sim_process *p = &sim->processes[process];
    sim_push(sim, (struct sim_event){.at_ms = at_ms, .kind = SIM_EV_PROCESS, .tm = p->tm, .life = p->life, .what = process, .how = how});
}

struct sim_process *workers_find(struct sim *sim, uint32_t tm, struct weir_id job, uint32_t attempt)
{
    for (uint32_t i = 0; i < sim->n_processes; i++) {
        struct sim_process *p = &sim->processes[i];
        if (p->tm == tm && p->life == sim->tms[tm].life && p->attempt == attempt && id_equal(sim->jobs[p->job].id, job)) return p;
    }
    return NULL;
}

/* ---- what it computes: each of its slots makes one row a millisecond, up to run_ms rows ---- */

static bool runs_slot(const struct sim_process *p, uint32_t slot)
{
    return p->slots & (1u << slot);
}

static uint64_t position(const struct sim *sim, const struct sim_process *p, uint32_t slot)
{
    uint64_t length = sim->jobs[p->job].spec.run_ms;
    int64_t until = sim->now_ms < p->rest_ms ? sim->now_ms : p->rest_ms;
    uint64_t at = p->state[slot].position + (uint64_t)(until - p->base_ms);
    return at < length ? at : length;
}

/* The one place where output becomes visible: each row once, in order, without a hole. A commit may come again. */
static void make_visible(struct sim *sim, uint32_t job, uint32_t slot, const struct sim_committable *c)
{
    uint64_t *visible = &sim->jobs[job].visible[slot];
    if (c->to <= *visible) return;
    if (c->from != *visible)
        sim_violate(sim, "job %08" PRIu32 " slot %" PRIu32 ": rows %" PRIu64 " ... %" PRIu64 " are committed behind row %" PRIu64 ": %s",
                    job + 1, slot, c->from, c->to, *visible, c->from < *visible ? "doubled" : "lost");
    *visible = c->to;
}

/* Commits what was prepared for checkpoints up to `id`. */
static void commit_up_to(struct sim *sim, struct sim_process *p, uint64_t id)
{
    for (uint32_t s = 0; s < SIM_SLOTS; s++) {
        struct sim_slot *slot = &p->state[s];
        uint32_t n = 0;
        while (n < slot->n_pending && slot->pending[n].id <= id) make_visible(sim, p->job, s, &slot->pending[n++]);
        memmove(slot->pending, slot->pending + n, (slot->n_pending - n) * sizeof slot->pending[0]);
        slot->n_pending -= n;
    }
}

/* Goes back to a checkpoint: positions, and what its sinks had prepared, which is committed at once. False: it is not there. */
static bool restore(struct sim *sim, struct sim_process *p)
{
    const struct sim_checkpoint *c = p->restore_id ? durable_find(sim, p->restore_path) : NULL;
    if (p->restore_id && (!c || !c->sealed || c->id != p->restore_id)) return false;
    for (uint32_t s = 0; s < SIM_SLOTS; s++) {
        if (!runs_slot(p, s)) continue;
        if (c) p->state[s] = c->slots[s];
        p->begun[s] = p->state[s].position;
    }
    commit_up_to(sim, p, UINT64_MAX);
    p->base_ms = sim->now_ms;
    p->rest_ms = INT64_MAX;
    return true;
}

/* ---- orders of the TaskManager ---- */

/* Where the attempt begins: "/c/JOB/chk-1/MANIFEST" without its last part. */
static void read_restore(struct sim_process *p, const struct wire_msg *msg)
{
    const char *end = strrchr(msg->deploy.restore.path, '/');
    p->checkpoints = msg->deploy.checkpoint.dir[0] != '\0';
    p->restore_id = msg->deploy.restore.id;
    if (p->restore_id)
        snprintf(p->restore_path, sizeof p->restore_path, "%.*s", (int)(end - msg->deploy.restore.path), msg->deploy.restore.path);
}

void workers_start(struct sim *sim, uint32_t tm, const struct supervisor_action *a)
{
    for (uint32_t i = 0; i < sim->n_processes; i++)
        if (sim->processes[i].tm == tm && sim->processes[i].attempt == a->spawn.attempt &&
            id_equal(sim->jobs[sim->processes[i].job].id, a->spawn.job))
            sim_violate(sim, "%s starts a worker twice", sim_tm_name(tm).text);
    WEIR_ASSERT(sim->n_processes < SIM_PROCESSES_MAX);
    uint32_t index = sim->n_processes++;
    struct sim_process *p = &sim->processes[index];
    struct wire_msg msg;
    int job = sim_find_job(sim, a->spawn.job);
    weir_err err = wire_msg_decode(&msg, a->spawn.deploy.data, a->spawn.deploy.length, NULL);
    WEIR_ASSERT(!err);
    *p = (struct sim_process){.exists = true, .tm = tm, .life = sim->tms[tm].life, .job = (uint32_t)job, .attempt = a->spawn.attempt};
    p->worker = msg.deploy.worker;
    p->epoch = msg.epoch;
    p->fingerprint = msg.deploy.fingerprint;
    p->stalled_since_ms = -1;
    read_restore(p, &msg);
    for (uint32_t i = 0; i < msg.deploy.n_slots; i++) p->slots |= (msg.deploy.slot_worker[i] == p->worker ? 1u : 0u) << i;
    for (uint32_t i = 0; i < msg.deploy.n_slots; i++) p->n_slots += msg.deploy.slot_worker[i] == p->worker;
    for (uint32_t i = 0; i < msg.deploy.n_splits; i++) p->splits |= UINT64_C(1) << msg.deploy.splits[i].index;
    wire_msg_close(&msg);
    const struct sim_spec *spec = &sim->jobs[job].spec;
    bool fated = p->worker == spec->fate_worker && (!spec->fate_attempts || p->attempt <= spec->fate_attempts);
    p->fate = fated ? spec->fate : SIM_GOOD;
    if (!sim->tms[tm].cached[sim_plugin_of(a->spawn.digest)])
        sim_violate(sim, "%s starts a worker without its plugin", sim_tm_name(tm).text);
    if (sim->engine) {
        sim->engine->start(sim, index, a->spawn.deploy);
        return;
    }
    workers_act_later(sim, index, p->fate == SIM_NO_START ? SIM_ACT_EXIT : SIM_ACT_ALIVE, sim->now_ms + 1);
    int64_t ready_ms = sim->now_ms + sim_delay(sim, spec->step_ms);
    if (p->fate == SIM_CRASHES_LOADING)
        workers_act_later(sim, index, SIM_ACT_EXIT, ready_ms);
    else if (p->fate != SIM_NEVER_READY)
        workers_act_later(sim, index, SIM_ACT_READY, ready_ms);
}

void workers_order(struct sim *sim, uint32_t tm, const struct supervisor_action *a)
{
    struct sim_process *p = workers_find(sim, tm, a->to_worker.job, a->to_worker.attempt);
    if (!p || !p->exists) return;
    int64_t at_ms = sim->now_ms + sim_delay(sim, 3);
    if (at_ms < p->order_ms) at_ms = p->order_ms;
    p->order_ms = at_ms;
    sim_push(sim, (struct sim_event){.at_ms = at_ms,
                                     .kind = SIM_EV_PROCESS,
                                     .tm = tm,
                                     .life = p->life,
                                     .what = (uint32_t)(p - sim->processes),
                                     .how = SIM_ACT_ORDER,
                                     .data = actors_copy(a->to_worker.data.data, a->to_worker.data.length),
                                     .len = a->to_worker.data.length});
}

/* ---- worker processes ---- */

void workers_say(struct sim *sim, uint32_t process, const void *data, size_t len)
{
    const struct sim_process *p = &sim->processes[process];
    struct supervisor_event se = {.type = SUPERVISOR_EV_WORKER_MESSAGE};
    se.worker_message.job = sim->jobs[p->job].id;
    se.worker_message.attempt = p->attempt;
    se.worker_message.data = (struct weir_bytes){data, (uint32_t)len};
    actors_step_taskmanager(sim, p->tm, &se);
}

static void say(struct sim *sim, uint32_t index, struct wire_msg *msg)
{
    const struct sim_process *p = &sim->processes[index];
    struct buffer bytes;
    buffer_init(&bytes, 0);
    msg->epoch = p->epoch;
    msg->job = sim->jobs[p->job].id;
    msg->attempt = p->attempt;
    weir_err err = wire_msg_encode(msg, &bytes);
    WEIR_ASSERT(!err);
    bool garbage = p->fate == SIM_GARBAGE && msg->type == WIRE_WORKER_RUNNING;
    workers_say(sim, index, bytes.data, garbage ? 3 : bytes.len);
    buffer_close(&bytes);
}

static void say_ended(struct sim *sim, uint32_t index, enum wire_outcome outcome, weir_err code, const char *reason)
{
    struct wire_msg msg = {.type = WIRE_WORKER_ENDED};
    msg.ended.outcome = outcome;
    msg.ended.failure =
        (struct wire_failure){.code = code, .operator_id = code == WEIR_E_USER ? "parse" : "", .subtask = code ? 0 : -1, .reason = reason};
    struct sim_process *p = &sim->processes[index];
    p->leaving = true;
    say(sim, index, &msg);
    if (p->fate != SIM_LINGERS && p->exists) workers_act_later(sim, index, SIM_ACT_EXIT, sim->now_ms + sim_delay(sim, 20));
}

static void say_bare(struct sim *sim, uint32_t index, enum wire_type type)
{
    struct wire_msg msg = {.type = type};
    say(sim, index, &msg);
}

static void say_stats(struct sim *sim, uint32_t index)
{
    struct sim_process *p = &sim->processes[index];
    const struct job *job = sim_job(sim, p->job);
    struct wire_subtask_stats stats[2] = {{.vertex = 0, .subtask = 0, .records_in = 7}, {.vertex = 9, .subtask = 1000}};
    struct wire_counter counter = {.operator_id = "parse", .name = "bad lines", .value = 3};
    struct wire_slot_stats slots[2] = {{.slot = 0, .memory_bytes = 4096}, {.slot = 1000, .memory_bytes = 1}};
    struct wire_msg msg = {.type = WIRE_WORKER_STATS};
    msg.stats.n_slots = 2;
    msg.stats.slots = slots;
    msg.stats.n_subtasks = 2;
    msg.stats.subtasks = stats;
    msg.stats.n_counters = 1;
    msg.stats.counters = &counter;
    if (job) say(sim, index, &msg);
}

static void be_alive(struct sim *sim, uint32_t index)
{
    struct sim_process *p = &sim->processes[index];
    if (p->quiet) return;
    workers_act_later(sim, index, SIM_ACT_ALIVE, sim->now_ms + 200);
    struct wire_msg msg = {.type = WIRE_WORKER_ALIVE};
    if (p->stalled_since_ms >= 0) msg.alive.stalled_ms = (uint64_t)(sim->now_ms - p->stalled_since_ms);
    say(sim, index, &msg);
}

static void become_ready(struct sim *sim, uint32_t index)
{
    struct sim_process *p = &sim->processes[index];
    p->ready = true;
    struct wire_msg msg = {.type = WIRE_WORKER_READY};
    msg.ready.endpoint = "tcp://host:1";
    msg.ready.incarnation = actors_random_id(sim);
    msg.ready.fingerprint = p->fingerprint + (p->fate == SIM_OTHER_GRAPH);
    say(sim, index, &msg);
}

/* Milliseconds until the last of its slots is done. */
static int64_t rows_left(const struct sim *sim, const struct sim_process *p)
{
    uint64_t most = 0;
    for (uint32_t s = 0; s < SIM_SLOTS; s++) {
        uint64_t left = runs_slot(p, s) ? sim->jobs[p->job].spec.run_ms - position(sim, p, s) : 0;
        if (left > most) most = left;
    }
    return (int64_t)most;
}

static void become_running(struct sim *sim, uint32_t index)
{
    struct sim_process *p = &sim->processes[index];
    const struct sim_spec *spec = &sim->jobs[p->job].spec;
    if (p->fate == SIM_NEVER_CONNECTS) return;
    if (!restore(sim, p)) {
        say_ended(sim, index, WIRE_FAILED, WEIR_E_NOT_FOUND, "the checkpoint is not there");
        return;
    }
    int64_t done_ms = sim->now_ms + (p->checkpoints ? rows_left(sim, p) : sim_delay(sim, spec->run_ms));
    p->running = true;
    say_bare(sim, index, WIRE_WORKER_RUNNING);
    if (p->fate == SIM_SILENT)
        p->quiet = true;
    else if (p->fate == SIM_STALLS)
        p->stalled_since_ms = done_ms;
    else if (p->fate == SIM_CRASHES_RUNNING || p->fate == SIM_MUTE)
        workers_act_later(sim, index, SIM_ACT_EXIT, done_ms);
    else if (p->fate == SIM_FAILS || p->fate == SIM_SYMPTOM)
        workers_act_later(sim, index, SIM_ACT_FAIL, done_ms);
    else
        workers_act_later(sim, index, SIM_ACT_PREPARED, done_ms);
}

static void become_prepared(struct sim *sim, uint32_t index)
{
    if (sim->processes[index].rest_ms != INT64_MAX) return; /* its sources rest: it never comes so far */
    sim->processes[index].prepared = true;
    say_stats(sim, index);
    if (sim->processes[index].exists) say_bare(sim, index, WIRE_WORKER_PREPARED);
}

/* An order that comes so late that another attempt has begun, or the job has ended: the catalog does not name any more what it was about.
 */
static bool comes_late(const struct sim *sim, const struct sim_process *p)
{
    return p->attempt < sim->jobs[p->job].attempt || job_state_terminal(sim->jobs[p->job].state);
}

/*
 * Two-phase commit in one line: nobody may commit before everybody has prepared, or a last checkpoint holds what they had. A worker that
 * was told so, and lost before it did, may come late: another attempt has committed the same, and make_visible sees that nothing is
 * doubled.
 */
static void check_commit(struct sim *sim, const struct sim_process *p)
{
    uint64_t id;
    uint32_t options;
    char path[96];
    if (p->checkpoints) {
        if (comes_late(sim, p)) return;
        if (!durable_newest(sim, p->job, &id, &options, path) || !(options & (CHECKPOINT_STOP | CHECKPOINT_FINAL)))
            sim_violate(sim, "job %u commits without a last checkpoint", p->job + 1);
        return;
    }
    uint32_t prepared = 0;
    for (uint32_t i = 0; i < sim->n_processes; i++) {
        const struct sim_process *q = &sim->processes[i];
        prepared += q->job == p->job && q->attempt == p->attempt && q->prepared;
    }
    if (!sim->jobs[p->job].forgotten && prepared != sim->jobs[p->job].n_workers)
        sim_violate(sim, "job %u commits with %u of %u workers prepared", p->job + 1, prepared, sim->jobs[p->job].n_workers);
}

static void commit(struct sim *sim, uint32_t index)
{
    struct sim_process *p = &sim->processes[index];
    if (p->fate == SIM_CRASHES_COMMITTING) {
        workers_act_later(sim, index, SIM_ACT_EXIT, sim->now_ms);
        return;
    }
    check_commit(sim, p);
    commit_up_to(sim, p, UINT64_MAX);
    p->committed = true;
    if (p->fate == SIM_DIES_AFTER_COMMIT)
        workers_act_later(sim, index, SIM_ACT_EXIT, sim->now_ms);
    else
        say_ended(sim, index, WIRE_COMMITTED, WEIR_OK, "");
}

/* ---- checkpoints ---- */

static void on_trigger(struct sim *sim, uint32_t index, const struct wire_msg *msg)
{
    struct sim_process *p = &sim->processes[index];
    if (!p->checkpoints || !p->running) sim_violate(sim, "TRIGGER to a worker that does not run, or has no checkpoints");
    if (msg->trigger.id <= p->triggered) return; /* doubled or late */
    p->triggered = msg->trigger.id;
    snprintf(p->target, sizeof p->target, "%s", msg->trigger.dir);
    struct sim_event ev = {.at_ms = sim->now_ms + sim_delay(sim, sim->jobs[p->job].spec.step_ms), .kind = SIM_EV_PROCESS, .tm = p->tm};
    ev.life = p->life;
    ev.what = index;
    ev.how = SIM_ACT_SNAPSHOT;
    ev.ref = msg->trigger.id;
    ev.offset = msg->trigger.options;
    sim_push(sim, ev);
}

/* The barriers have met: what was written since the last ones is prepared, and all is handed to who stores it. */
static void take_snapshot(struct sim *sim, const struct sim_event *trigger)
{
    struct sim_process *p = &sim->processes[trigger->what];
    if (trigger->ref <= p->aborted || trigger->ref != p->triggered) return;
    for (uint32_t s = 0; s < SIM_SLOTS; s++) {
        if (!runs_slot(p, s)) continue;
        struct sim_slot *slot = &p->state[s];
        uint64_t at = position(sim, p, s);
        if ((trigger->offset & CHECKPOINT_FINAL) && at != sim->jobs[p->job].spec.run_ms) sim_violate(sim, "FINAL before the end");
        WEIR_ASSERT(slot->n_pending < SIM_PENDING_MAX);
        if (at > p->begun[s]) slot->pending[slot->n_pending++] = (struct sim_committable){trigger->ref, p->begun[s], at};
        p->begun[s] = at;
        p->taken[s] = *slot;
        p->taken[s].told = true;
        p->taken[s].position = at;
    }
    if (trigger->offset & CHECKPOINT_STOP) p->rest_ms = sim->now_ms;
    struct sim_event ev = *trigger;
    ev.at_ms = sim->now_ms + sim_delay(sim, 2 * sim->jobs[p->job].spec.step_ms);
    ev.how = SIM_ACT_ACKNOWLEDGE;
    ev.data = NULL;
    sim_push(sim, ev);
}

/* What both ends of each channel that end here have counted. lie: one record of the first one never came. */
static uint32_t fill_ledger(const struct sim *sim, const struct sim_process *p, uint64_t id, bool lie, struct wire_ledger *out)
{
    const struct job *job = sim_job(sim, p->job);
    uint32_t n = 0;
    for (uint32_t e = 0; e < job->plan->n_edges; e++) {
        const struct plan_edge *edge = &job->plan->edges[e];
        uint32_t senders = job->plan->vertices[edge->from_vertex].parallelism, receivers = job->plan->vertices[edge->to_vertex].parallelism;
        for (uint32_t s = 0; s < senders; s++)
            for (uint32_t r = 0; r < receivers; r++) {
                if (edge->partition == GRAPH_FORWARD && s != r) continue;
                uint32_t channel = plan_channel(job->plan, edge, s, r);
                struct wire_ledger end = {.channel = channel, .records = id + channel, .bytes = 8 * (id + channel), .hash = id ^ channel};
                if (runs_slot(p, s)) out[n++] = end;
                end.side = WIRE_LEDGER_RECEIVER;
                end.records -= lie && runs_slot(p, r);
                lie = lie && !runs_slot(p, r);
                if (runs_slot(p, r)) out[n++] = end;
            }
    }
    return n;
}

static void decline(struct sim *sim, uint32_t index, uint64_t id, const char *reason)
{
    struct wire_msg msg = {.type = WIRE_CHECKPOINT_DECLINE};
    msg.decline.id = id;
    msg.decline.failure = (struct wire_failure){.code = WEIR_E_IO, .operator_id = "", .subtask = -1, .reason = reason};
    say(sim, index, &msg);
}

/* The snapshot is written to the storage, then the JobManager is told. */
static void acknowledge(struct sim *sim, const struct sim_event *trigger)
{
    struct sim_process *p = &sim->processes[trigger->what];
    char path[96], id[WEIR_ID_TEXT];
    struct wire_ledger ledger[4 * SIM_SLOTS * SIM_SLOTS];
    if (trigger->ref <= p->aborted || trigger->ref != p->triggered || !sim_job(sim, p->job)) return;
    snprintf(path, sizeof path, "/c/%s/chk-%" PRIu64, id_text(sim->jobs[p->job].id, id), trigger->ref);
    struct sim_checkpoint *c = durable_find(sim, p->target[0] ? p->target : path);
    if (!c || sim_chance(sim, sim->config.storage_fails)) {
        decline(sim, trigger->what, trigger->ref, c ? "the storage is away" : "the folder is not there");
        return;
    }
    for (uint32_t s = 0; s < SIM_SLOTS; s++)
        if (runs_slot(p, s)) c->slots[s] = p->taken[s];
    c->n_packs++;
    bool lie = sim_chance(sim, sim->config.lies);
    c->lied |= lie;
    struct wire_msg msg = {.type = WIRE_CHECKPOINT_ACK};
    msg.ack.id = trigger->ref;
    msg.ack.options = (uint32_t)trigger->offset;
    msg.ack.pack = "pack-0";
    msg.ack.pack_bytes = 100;
    msg.ack.state_bytes = 1000;
    msg.ack.new_bytes = 10;
    msg.ack.n_ledger = fill_ledger(sim, p, trigger->ref, lie, ledger);
    msg.ack.ledger = ledger;
    say(sim, trigger->what, &msg);
}

static void on_complete(struct sim *sim, struct sim_process *p, uint64_t id)
{
    uint64_t newest = 0;
    uint32_t options;
    char path[96];
    if (!comes_late(sim, p) && (!durable_newest(sim, p->job, &newest, &options, path) || newest < id))
        sim_violate(sim, "job %08" PRIu32 ": checkpoint %" PRIu64 " is told complete, and the catalog does not name it", p->job + 1, id);
    commit_up_to(sim, p, id);
}

static void take_order(struct sim *sim, uint32_t index, const struct sim_event *ev)
{
    struct sim_process *p = &sim->processes[index];
    struct wire_msg msg;
    weir_err err = wire_msg_decode(&msg, ev->data, ev->len, NULL);
    WEIR_ASSERT(!err);
    enum wire_type type = msg.type;
    uint64_t id = type == WIRE_CHECKPOINT_COMPLETE ? msg.complete.id : type == WIRE_CHECKPOINT_ABORT ? msg.abort.id : 0;
    if (type == WIRE_TRIGGER) on_trigger(sim, index, &msg);
    wire_msg_close(&msg);
    int64_t at_ms = sim->now_ms + sim_delay(sim, sim->jobs[p->job].spec.step_ms);
    switch (type) {
    case WIRE_START: workers_act_later(sim, index, SIM_ACT_RUNNING, at_ms); break;
    case WIRE_COMMIT:
        if (!p->prepared && !p->checkpoints) sim_violate(sim, "COMMIT to a worker that has not prepared");
        workers_act_later(sim, index, SIM_ACT_COMMIT, at_ms);
        break;
    case WIRE_CANCEL:
        if (p->fate != SIM_DEAF && p->fate != SIM_SILENT && p->stalled_since_ms < 0) say_ended(sim, index, WIRE_CANCELED, WEIR_OK, "");
        break;
    case WIRE_TRIGGER: break;
    case WIRE_CHECKPOINT_COMPLETE: on_complete(sim, p, id); break;
    case WIRE_CHECKPOINT_ABORT:
        if (id > p->aborted) p->aborted = id;
        break;
    default: sim_violate(sim, "a worker got %s", wire_type_name(type));
    }
}

static bool dies_of_signal(const struct sim_process *p)
{
    return p->fate == SIM_CRASHES_LOADING || p->fate == SIM_CRASHES_RUNNING || p->fate == SIM_CRASHES_COMMITTING ||
           p->fate == SIM_DIES_AFTER_COMMIT;
}

void workers_vanish(struct sim *sim, uint32_t process)
{
    sim->processes[process].exists = false;
    if (sim->engine) sim->engine->kill(sim, process);
}

static void end_process(struct sim *sim, uint32_t index)
{
    struct sim_process *p = &sim->processes[index];
    workers_vanish(sim, index);
    struct supervisor_event se = {.type = SUPERVISOR_EV_WORKER_EXITED};
    se.worker_exited.job = sim->jobs[p->job].id;
    se.worker_exited.attempt = p->attempt;
    struct wire_failure *f = &se.worker_exited.failure;
    *f = (struct wire_failure){.operator_id = "", .subtask = -1, .reason = ""};
    if (p->fate == SIM_NO_START)
        *f = (struct wire_failure){WEIR_E_IO, "", -1, "the worker could not be started"};
    else if (dies_of_signal(p))
        *f = (struct wire_failure){WEIR_E_USER, "parse", 1, "killed by SIGSEGV"};
    actors_step_taskmanager(sim, p->tm, &se);
}

void workers_on_event(struct sim *sim, const struct sim_event *ev)
{
    struct sim_process *p = &sim->processes[ev->what];
    if (!p->exists) return;
    bool hung = p->leaving || p->quiet || p->stalled_since_ms >= 0;
    if (hung && ev->how != SIM_ACT_EXIT && ev->how != SIM_ACT_ALIVE && ev->how != SIM_ACT_ORDER) return;
    if (p->leaving && ev->how != SIM_ACT_EXIT) return;
    switch ((enum sim_act)ev->how) {
    case SIM_ACT_ALIVE: be_alive(sim, ev->what); return;
    case SIM_ACT_READY: become_ready(sim, ev->what); return;
    case SIM_ACT_RUNNING: become_running(sim, ev->what); return;
    case SIM_ACT_PREPARED: become_prepared(sim, ev->what); return;
    case SIM_ACT_COMMIT: commit(sim, ev->what); return;
    case SIM_ACT_ORDER:
        if (sim->engine)
            sim->engine->order(sim, ev->what, (struct weir_bytes){ev->data, (uint32_t)ev->len});
        else
            take_order(sim, ev->what, ev);
        return;
    case SIM_ACT_STEP: sim->engine->step(sim, ev->what); return;
    case SIM_ACT_SNAPSHOT: take_snapshot(sim, ev); return;
    case SIM_ACT_ACKNOWLEDGE: acknowledge(sim, ev); return;
    case SIM_ACT_FAIL:
        if (p->fate == SIM_FAILS)
            say_ended(sim, ev->what, WIRE_FAILED, WEIR_E_USER, "the record is poison");
        else
            say_ended(sim, ev->what, WIRE_FAILED, WEIR_E_UNREACHABLE, "a peer does not answer");
        return;
    case SIM_ACT_EXIT: end_process(sim, ev->what); return;
    }
}
