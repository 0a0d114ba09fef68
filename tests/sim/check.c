/* SPDX-License-Identifier: Apache-2.0 */
/* What must hold after every event, whatever the world does. */
#include <inttypes.h>
#include <string.h>

#include "tests/sim/world.h"

/* ---- the life of a job ---- */

static bool may_follow(enum job_state from, enum job_state to)
{
    switch (from) {
    case JOB_INITIALIZING: return to == JOB_RECONCILING || to == JOB_CREATED || to == JOB_FAILING || to == JOB_CANCELLING;
    case JOB_RECONCILING: return to == JOB_RUNNING || to == JOB_FAILING || to == JOB_CANCELLING;
    case JOB_CREATED: return to == JOB_DEPLOYING || to == JOB_FAILING || to == JOB_CANCELLING;
    case JOB_RESTARTING: return to == JOB_CREATED || to == JOB_FAILING || to == JOB_CANCELLING;
    case JOB_DEPLOYING: return to == JOB_RUNNING || to == JOB_FAILING || to == JOB_CANCELLING;
    case JOB_RUNNING: return to == JOB_FINISHED || to == JOB_FAILING || to == JOB_CANCELLING;
    case JOB_FAILING: return to == JOB_FAILED || to == JOB_RESTARTING;
    case JOB_CANCELLING: return to == JOB_CANCELED;
    case JOB_FINISHED:
    case JOB_FAILED:
    case JOB_CANCELED: return false;
    }
    return false;
}

static bool is_registered(const struct sim *sim, uint32_t tm)
{
    const struct supervisor *core = sim->tms[tm].core;
    struct sim_tm_name name = sim_tm_name(tm);
    if (!core || supervisor_state(core) != SUPERVISOR_REGISTERED) return false;
    for (uint32_t i = 0; i < master_n_taskmanagers(sim->jm); i++)
        if (!strcmp(master_taskmanager_at(sim->jm, i)->id, name.text)) return true;
    return false;
}

/* Before its time only when no worker of the attempt can be left but those that were reported. */
static void check_given_up_early(struct sim *sim, const struct sim_job *mine, const struct job *job)
{
    for (uint32_t i = 0; i < sim->n_processes; i++) {
        const struct sim_process *p = &sim->processes[i];
        struct sim_tm_name name = sim_tm_name(p->tm);
        bool known = false;
        for (uint32_t t = 0; t < master_n_taskmanagers(sim->jm); t++) known |= !strcmp(master_taskmanager_at(sim->jm, t)->id, name.text);
        if (&sim->jobs[p->job] == mine && p->attempt == job->attempt && p->exists && !known)
            sim_violate(sim, "job %08" PRIu64 " is restarted before its worker on %s was reported", job->number, name.text);
    }
}

/* A new leader gives up an attempt: then some worker of it is gone, or did not run, or its TaskManager has not come back. */
static void check_given_up(struct sim *sim, const struct sim_job *mine, const struct job *job)
{
    uint32_t well = 0;
    for (uint32_t i = 0; i < sim->n_processes; i++) {
        const struct sim_process *p = &sim->processes[i];
        if (&sim->jobs[p->job] != mine || p->attempt != job->attempt || !p->exists) continue;
        well += p->running && !p->leaving && p->life == sim->tms[p->tm].life && is_registered(sim, p->tm);
    }
    if (well && well == mine->n_workers && !strstr(job->failure.reason, "was to stop the job"))
        sim_violate(sim, "job %08" PRIu64 " is restarted, though all its workers have survived the leader", job->number);
}

static void check_adoption(struct sim *sim, const struct sim_job *mine, const struct job *job)
{
    for (uint32_t i = 1; i < job->n_history; i++) {
        if (job->history[i - 1].state != JOB_RECONCILING || job->n_changes - job->n_history + i < mine->n_seen) continue;
        sim->n_adopted += job->history[i].state == JOB_RUNNING;
        if (job->history[i].state != JOB_FAILING) continue;
        check_given_up(sim, mine, job);
        if (strstr(job->failure.reason, "have reported")) check_given_up_early(sim, mine, job);
    }
}

/* n_seen counts all changes; the job remembers the newest ones. */
static void check_history(struct sim *sim, struct sim_job *mine, const struct job *job)
{
    uint32_t forgotten = job->n_changes - job->n_history;
    uint32_t from = mine->n_seen > forgotten ? mine->n_seen - forgotten : 0;
    for (uint32_t i = from ? from : 1; i < job->n_history; i++)
        if (!may_follow(job->history[i - 1].state, job->history[i].state) && !job_state_terminal(job->history[i].state))
            sim_violate(sim, "job %08" PRIu64 " went from %s to %s", job->number, job_state_name(job->history[i - 1].state),
                        job_state_name(job->history[i].state));
    if (job->history[job->n_history - 1].state != job->state)
        sim_violate(sim, "job %08" PRIu64 ": its history lacks its state", job->number);
    mine->n_seen = job->n_changes;
}

/* An attempt begins with the newest complete checkpoint, whoever has crashed before. */
static void check_restore(struct sim *sim, const struct sim_job *mine, const struct job *job)
{
    uint64_t id = 0;
    uint32_t options;
    char path[96];
    (void)durable_newest(sim, (uint32_t)(mine - sim->jobs), &id, &options, path);
    if (job->restored_id != id)
        sim_violate(sim, "job %08" PRIu64 " attempt %" PRIu32 " restores checkpoint %" PRIu64 " instead of %" PRIu64, job->number,
                    job->attempt, job->restored_id, id);
    sim->n_restarted += job->attempt > 1;
    if (sim->spared && !mine->stop_asked && mine->ran && mine->ran == mine->attempt - 1)
        sim_violate(sim, "job %08" PRIu64 " was running, only JobManagers suffered, and attempt %" PRIu32 " begins", job->number,
                    job->attempt);
}

static void check_attempt(struct sim *sim, struct sim_job *mine, const struct job *job)
{
    if (job->attempt < mine->attempt) sim_violate(sim, "job %08" PRIu64 ": its attempt fell", job->number);
    if (job->attempt == mine->attempt) return;
    if (mine->attempt && !job_state_terminal(mine->state) && mine->state != JOB_CREATED && mine->state != JOB_RESTARTING &&
        mine->state != JOB_INITIALIZING && mine->state != JOB_RECONCILING)
        sim_violate(sim, "job %08" PRIu64 ": a new attempt began while one was running", job->number);
    mine->attempt = job->attempt;
    if (job->n_workers && !job_state_terminal(job->state)) check_restore(sim, mine, job);
    mine->n_workers = job->n_workers;
    mine->tms = 0;
    for (uint32_t w = 0; w < job->n_workers; w++) mine->tms |= 1u << (job->workers[w].taskmanager[3] - '1');
}

/* FINISHED: every row is visible, or, behind a stop, every row up to the savepoint. */
static void check_output(struct sim *sim, const struct sim_job *mine, const struct job *job)
{
    if (sim->engine) sim->engine->finished(sim, mine);
    for (uint32_t s = 0; !sim->engine && s < mine->spec.parallelism; s++) {
        bool all = mine->visible[s] == mine->spec.run_ms;
        if (!all && !mine->stop_asked)
            sim_violate(sim, "job %08" PRIu64 " is FINISHED, but of %" PRIu32 " rows of slot %" PRIu32 " only %" PRIu64 " are visible",
                        job->number, mine->spec.run_ms, s, mine->visible[s]);
    }
}

/* What the workers really did agrees with what the job says. */
static void check_end(struct sim *sim, const struct sim_job *mine, const struct job *job)
{
    uint32_t committed = 0;
    uint64_t splits = 0;
    bool shared = false;
    for (uint32_t i = 0; i < sim->n_processes; i++) {
        const struct sim_process *p = &sim->processes[i];
        if (&sim->jobs[p->job] != mine || p->attempt != job->attempt) continue;
        committed += p->committed;
        shared |= (splits & p->splits) != 0;
        splits |= p->splits;
        if (p->exists && p->worker < job->n_workers && job->workers[p->worker].state != JOB_WORKER_LOST)
            sim_violate(sim, "job %08" PRIu64 " is %s, but its worker on tm-%" PRIu32 " still runs", job->number,
                        job_state_name(job->state), p->tm + 1);
    }
    if (job->state == JOB_FINISHED && committed != job->n_workers)
        sim_violate(sim, "job %08" PRIu64 " is FINISHED with %" PRIu32 " of %" PRIu32 " workers committed", job->number, committed,
                    job->n_workers);
    if (job->state == JOB_FINISHED && job->ckpt) check_output(sim, mine, job);
    if (job->state == JOB_FINISHED && (shared || splits != (UINT64_C(1) << mine->spec.n_splits) - 1))
        sim_violate(sim, "job %08" PRIu64 ": a split was read by none or by two", job->number);
    if (job->state == JOB_CANCELED && committed && !job->ckpt)
        sim_violate(sim, "job %08" PRIu64 " is CANCELED, but a worker committed", job->number);
    if (job->state == JOB_CANCELED ? !mine->cancel_asked : mine->canceled)
        sim_violate(sim, "job %08" PRIu64 ": its cancel and its end differ", job->number);
    if (job->state != JOB_FAILED) return;
    if (!*job->failure.reason) sim_violate(sim, "job %08" PRIu64 " FAILED without a reason", job->number);
    if (committed && !strstr(job->failure.reason, "partly visible"))
        sim_violate(sim, "job %08" PRIu64 " hides that output is visible", job->number);
}

/* Whoever leads knows it, and what the user was told of its end is not taken back. */
static void check_request(struct sim *sim, struct sim_job *mine, const struct job *job, struct sim_request *r)
{
    const char *why;
    const struct ckpt_request *known = job->ckpt ? ckpt_find_request(job->ckpt, r->id) : NULL;
    if (!known) {
        sim_violate(sim, "job %08" PRIu64 ": a request that was accepted is forgotten", job->number);
        return;
    }
    enum ckpt_request_state state = job_request_state(job, known, &why);
    if (r->seen && r->seen != state) sim_violate(sim, "job %08" PRIu64 ": what became of a request is taken back", job->number);
    if (r->seen || state < CKPT_REQUEST_DONE) {
        if (job_state_terminal(job->state) && !r->seen)
            sim_violate(sim, "job %08" PRIu64 ": it has ended, and a request has not", job->number);
        return;
    }
    r->seen = state;
    if (state == CKPT_REQUEST_FAILED && r->completed && !known->complete)
        sim_violate(sim, "job %08" PRIu64 ": a savepoint is complete, and told to have failed", job->number);
    const struct sim_checkpoint *c = durable_find(sim, known->path);
    if (state == CKPT_REQUEST_DONE && (r->options & CHECKPOINT_SAVEPOINT) && (!c || !c->sealed || c->lied))
        sim_violate(sim, "job %08" PRIu64 ": a savepoint is told to be there, and is not", job->number);
    if (mine->stop_asked && state == CKPT_REQUEST_DONE && (r->options & CHECKPOINT_STOP) && job->state != JOB_FINISHED)
        sim_violate(sim, "job %08" PRIu64 ": it is told to be stopped, and is not", job->number);
}

static void check_job(struct sim *sim, struct sim_job *mine)
{
    const struct job *job = master_job_find(sim->jm, mine->id);
    if (!job) {
        sim_violate(sim, "a job was forgotten");
        return;
    }
    bool ended = job_state_terminal(mine->state);
    if (ended && job->state != mine->state) sim_violate(sim, "job %08" PRIu64 " left a terminal state", job->number);
    check_adoption(sim, mine, job);
    check_history(sim, mine, job);
    check_attempt(sim, mine, job);
    bool fails = job->state == JOB_FAILING || job->state == JOB_RESTARTING || job->state == JOB_FAILED;
    if (sim->engine && fails && job->state != mine->state) sim->engine->failing(sim, job->failure.reason);
    mine->state = job->state;
    if (job->state == JOB_RUNNING) mine->ran = job->attempt;
    if (!ended && job_state_terminal(job->state)) check_end(sim, mine, job);
    for (uint32_t i = 0; i < mine->n_requests; i++)
        if (mine->requests[i].accepted) check_request(sim, mine, job, &mine->requests[i]);
}

/* What a new leader has taken up of a job, compared with what was seen of the one before. */
static void look_again(struct sim *sim, struct sim_job *mine)
{
    const struct job *job = master_job_find(sim->jm, mine->id);
    mine->forgotten = !job; /* its submission had not been stored */
    if (!job && mine->accepted) sim_violate(sim, "a job that was accepted is lost");
    if (!job) return;
    sim->n_recovered += !job_state_terminal(job->state);
    mine->n_seen = 0;
    mine->describe_stopped = false;
    if (job_state_terminal(mine->state)) return;
    mine->state = job->state;
    if (job_state_terminal(job->state)) mine->n_ended = 1; /* it had ended, and nobody had seen it */
}

void check_leader(struct sim *sim)
{
    sim->n_leaders++;
    for (uint32_t i = 0; i < sim->n_jobs; i++)
        if (sim->jobs[i].submitted) look_again(sim, &sim->jobs[i]);
}

/* ---- slots ---- */

/* Held by a worker that its TaskManager brought along when it registered, and that nobody wants: until it has ended. */
static bool is_foreign(const struct sim *sim, const struct cluster_member *m, const struct cluster_slot *slot)
{
    const struct job *job = master_job_find(sim->jm, slot->job);
    if (!job || job_state_terminal(job->state) || slot->attempt != job->attempt || !job->n_workers) return true;
    for (uint32_t w = 0; w < job->n_workers; w++)
        if (job->workers[w].member == m->number) return false;
    return true;
}

static void check_slot(struct sim *sim, const struct cluster_member *m, const struct cluster_slot *slot, uint64_t seen[SIM_JOBS_MAX])
{
    int index = sim_find_job(sim, slot->job);
    const struct job *job = master_job_find(sim->jm, slot->job);
    if (is_foreign(sim, m, slot)) return;
    if (seen[index] & (UINT64_C(1) << slot->slot))
        sim_violate(sim, "slot %" PRIu32 " of job %08" PRIu64 " was given twice", slot->slot, job->number);
    seen[index] |= UINT64_C(1) << slot->slot;
    if (job->slot_worker[slot->slot] >= job->n_workers || job->workers[job->slot_worker[slot->slot]].member != m->number)
        sim_violate(sim, "slot %" PRIu32 " of job %08" PRIu64 " is held on %s, where its worker is not", slot->slot, job->number, m->id);
}

static void check_slots(struct sim *sim)
{
    uint64_t seen[SIM_JOBS_MAX] = {0};
    for (uint32_t i = 0; i < master_n_taskmanagers(sim->jm); i++) {
        const struct cluster_member *m = master_taskmanager_at(sim->jm, i);
        uint32_t used = 0;
        for (uint32_t k = 0; k < m->n_slots; k++) {
            if (!m->slots[k].used) continue;
            used++;
            check_slot(sim, m, &m->slots[k], seen);
        }
        if (m->n_free != m->n_slots - used) sim_violate(sim, "%s counts its free slots wrongly", m->id);
        if (i && !strcmp(m->id, master_taskmanager_at(sim->jm, i - 1)->id)) sim_violate(sim, "%s is registered twice", m->id);
    }
    for (uint32_t i = 0; i < sim->n_jobs; i++) { /* a worker that is not gone holds its slots */
        const struct job *job = sim->jobs[i].submitted && !sim->jobs[i].forgotten ? master_job_find(sim->jm, sim->jobs[i].id) : NULL;
        uint32_t held = 0;
        for (uint32_t w = 0; job && w < job->n_workers; w++)
            if (!job_worker_gone(job->workers[w].state)) held += job->workers[w].n_slots;
        if (held != (uint32_t)__builtin_popcountll(seen[i]))
            sim_violate(sim, "job %08" PRIu32 " runs in slots that it does not hold", i + 1);
    }
}

void check_jobmanager(struct sim *sim)
{
    for (uint32_t i = 0; i < sim->n_jobs; i++)
        if (sim->jobs[i].submitted && !sim->jobs[i].forgotten && master_job_find(sim->jm, sim->jobs[i].id)) check_job(sim, &sim->jobs[i]);
    check_slots(sim);
}

/* ---- a TaskManager ---- */

static bool known(const struct supervisor *core, struct weir_id job, uint32_t attempt)
{
    for (uint32_t i = 0; i < supervisor_n_workers(core); i++) {
        struct supervisor_worker_view view = supervisor_worker_at(core, i);
        if (view.attempt == attempt && id_equal(view.job, job))
            return view.state != SUPERVISOR_WORKER_FETCHING && view.state != SUPERVISOR_WORKER_GONE;
    }
    return false;
}

void check_taskmanager(struct sim *sim, uint32_t tm)
{
    const struct sim_taskmanager *t = &sim->tms[tm];
    uint32_t slots = 0, processes = 0, workers = 0;
    uint64_t jobs = 0;
    for (uint32_t i = 0; i < sim->n_processes; i++) {
        const struct sim_process *p = &sim->processes[i];
        const struct sim_job *job = &sim->jobs[p->job];
        if (!p->exists || p->tm != tm || p->life != t->life) continue;
        slots += p->n_slots;
        processes++;
        if (jobs & (UINT64_C(1) << p->job)) sim_violate(sim, "tm-%" PRIu32 " runs two workers of one job", tm + 1);
        jobs |= UINT64_C(1) << p->job;
        if (!known(t->core, job->id, p->attempt)) sim_violate(sim, "tm-%" PRIu32 " does not know a worker that it runs", tm + 1);
        if (job->forgotten || p->epoch < sim->epoch) continue; /* ordered by a leader before: the new one adopts or ends it */
        if (p->attempt < job->attempt) continue;               /* of a TaskManager that was lost: it is not told before it is heard again */
        if (p->attempt != job->attempt || !(job->tms & (1u << tm)))
            sim_violate(sim, "tm-%" PRIu32 " runs a worker that nobody deployed", tm + 1);
    }
    for (uint32_t i = 0; i < supervisor_n_workers(t->core); i++) {
        enum supervisor_worker_state state = supervisor_worker_at(t->core, i).state;
        workers += state != SUPERVISOR_WORKER_FETCHING && state != SUPERVISOR_WORKER_GONE;
    }
    if (slots > sim->config.slots[tm]) sim_violate(sim, "tm-%" PRIu32 " gave a slot twice", tm + 1);
    if (workers != processes)
        sim_violate(sim, "tm-%" PRIu32 " thinks that %" PRIu32 " workers run, but %" PRIu32 " do", tm + 1, workers, processes);
}
