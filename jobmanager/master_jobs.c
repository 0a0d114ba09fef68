/* SPDX-License-Identifier: Apache-2.0 */
/* The master and its jobs (master.h): submission, steps, places. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "jobmanager/master_internal.h"
#include "jobmanager/schedule.h"
#include "runtime/base/assert.h"

struct job *master_find_job(const struct master *m, struct weir_id id)
{
    for (uint32_t i = 0; i < m->n_jobs; i++)
        if (id_equal(m->jobs[i]->id, id)) return m->jobs[i];
    return NULL;
}

static void trace_changes(struct master *m, const struct job *job, enum job_state before)
{
    if (!m->config.trace || job->state == before) return;
    char id[SHORT_ID];
    if (job->state == JOB_FAILING || job->state == JOB_FAILED)
        master_trace(m, true, "job %s attempt %" PRIu32 " %s -> %s: %s%s%s", master_short_id(job->id, id), job->attempt,
                     job_state_name(before), job_state_name(job->state), job->failure.operator_id, *job->failure.operator_id ? ": " : "",
                     job->failure.reason);
    else
        master_trace(m, true, "job %s attempt %" PRIu32 " %s -> %s", master_short_id(job->id, id), job->attempt, job_state_name(before),
                     job_state_name(job->state));
}

static const char *text_of(const struct master *m, const struct job_action *action)
{
    return (const char *)m->job_out.bytes.data + action->text;
}

static struct weir_bytes bytes_of(const struct master *m, const struct job_action *action)
{
    return (struct weir_bytes){m->job_out.bytes.data + action->offset, (uint32_t)action->len};
}

static void order_storage(struct master *m, const struct job *job, const struct job_action *action, enum master_storage what)
{
    const char *path = action->text ? text_of(m, action) : job->from;
    struct weir_bytes kept = master_keep(m, path, strlen(path)),
                      manifest = master_keep(m, m->job_out.bytes.data + action->offset, action->len);
    struct master_action *order = master_act(m, MASTER_DO_STORAGE);
    order->storage.what = what;
    order->storage.job = job->id;
    order->storage.dir = job->ckpt->dir;
    order->storage.id = action->id;
    order->storage.request = action->request;
    order->storage.options = action->options;
    order->storage.path = (const char *)kept.data;
    order->storage.bytes = action->bytes;
    order->storage.crc32c = action->crc32c;
    order->storage.manifest = manifest;
}

static void tell_accepted(struct master *m, const struct job *job, const struct job_action *action)
{
    const char *text = text_of(m, action);
    struct weir_bytes reason = master_keep(m, text, strlen(text));
    struct master_action *accepted = master_act(m, MASTER_DO_ACCEPTED);
    accepted->accepted.job = job->id;
    accepted->accepted.key = action->key;
    accepted->accepted.request = action->request;
    accepted->accepted.err = action->code;
    accepted->accepted.reason = (const char *)reason.data;
}

static void end_job(struct master *m, struct job *job)
{
    m->n_ended++;
    if (job->ckpt) master_forget_job(m, job->id);
    master_forget_live(m, job);
    master_act(m, MASTER_DO_JOB_ENDED)->job_ended.job = job;
}

static void perform(struct master *m, struct job *job, const struct job_action *action)
{
    char id[SHORT_ID];
    switch (action->type) {
    case JOB_DO_ACCEPTED: tell_accepted(m, job, action); return;
    case JOB_DO_DESCRIBE: master_act(m, MASTER_DO_DESCRIBE)->describe.job = job; return;
    case JOB_DO_STOP_DESCRIBE: master_act(m, MASTER_DO_STOP_DESCRIBE)->stop_describe.job = job->id; return;
    case JOB_DO_PUT: master_put(m, job, action->key, bytes_of(m, action), action->id); return;
    case JOB_DO_DELETE: master_delete(m, job->id, action->key); return;
    case JOB_DO_OPEN: order_storage(m, job, action, MASTER_STORAGE_OPEN); return;
    case JOB_DO_KEEP: order_storage(m, job, action, MASTER_STORAGE_KEEP); return;
    case JOB_DO_BEGIN_CHECKPOINT: order_storage(m, job, action, MASTER_STORAGE_BEGIN); return;
    case JOB_DO_SEAL: order_storage(m, job, action, MASTER_STORAGE_SEAL); return;
    case JOB_DO_DISCARD: order_storage(m, job, action, MASTER_STORAGE_DISCARD); return;
    case JOB_DO_END_STORAGE: order_storage(m, job, action, MASTER_STORAGE_END); return;
    case JOB_DO_SEND: master_send_to_member(m, job, action); return;
    case JOB_DO_RELEASE: cluster_release(cluster_find(&m->cluster, action->member), job->id, job->attempt); return;
    case JOB_DO_TELL: master_trace(m, true, "job %s %s", master_short_id(job->id, id), text_of(m, action)); return;
    case JOB_DO_ENDED: end_job(m, job); return;
    }
}

enum job_outcome master_step_job(struct master *m, struct job *job, struct job_event *ev)
{
    ev->now_ms = m->now_ms;
    ev->wall_ms = m->wall_ms;
    enum job_state before = job->state;
    job_step(job, ev, &m->job_out);
    trace_changes(m, job, before);
    for (uint32_t i = 0; i < m->job_out.n; i++) perform(m, job, &m->job_out.at[i]);
    return m->job_out.outcome;
}

/* ---- submit ---- */

/* The oldest ended job, with all that the catalog holds of it. */
static void forget_oldest(struct master *m)
{
    uint32_t i = 0;
    while (!job_state_terminal(m->jobs[i]->state)) i++;
    for (unsigned key = 0; key < JOB_KEYS; key++) master_delete(m, m->jobs[i]->id, (enum job_key)key);
    job_destroy(&m->jobs[i]);
    memmove(&m->jobs[i], &m->jobs[i + 1], (m->n_jobs - i - 1) * sizeof *m->jobs);
    m->n_jobs--;
    m->n_ended--;
}

static weir_err check_submission(const struct master *m, const struct job_submission *sub, struct weir_diag *diag)
{
    if (!m->listed) return weir_fail(diag, WEIR_E_STATE, "the JobManager is still starting: try again");
    if (master_find_job(m, sub->id)) return weir_fail(diag, WEIR_E_EXISTS, "there is a job with this id already");
    weir_err err = job_submission_check(sub, &m->options, diag);
    if (err) return err;
    uint32_t active = m->n_jobs - m->n_ended;
    if (active >= WEIR_JOBS_ACTIVE_MAX)
        return weir_fail(diag, WEIR_E_LIMIT, "%" PRIu32 " jobs have not ended yet, which is the limit: try again when one has", active);
    return WEIR_OK;
}

static struct job *add_job(struct master *m, const struct job_submission *sub, uint64_t number)
{
    if (m->n_ended >= WEIR_JOBS_KEPT_MAX) forget_oldest(m);
    if (m->n_jobs == m->cap_jobs) {
        m->cap_jobs = m->cap_jobs ? 2 * m->cap_jobs : 16;
        m->jobs = realloc(m->jobs, m->cap_jobs * sizeof(struct job *));
        WEIR_ASSERT(m->jobs);
    }
    struct job_config config = {.epoch = m->config.epoch,
                                .number = number,
                                .slot_wait_ms = m->config.slot_wait_ms,
                                .describe_timeout_ms = m->config.describe_timeout_ms,
                                .start_timeout_ms = m->config.start_timeout_ms,
                                .reconcile_ms = m->config.reconcile_ms,
                                .options = &m->options,
                                .checkpoint_dir = m->checkpoint_dir,
                                .coordination = &m->coordination};
    struct job *job;
    job_new(&job, &config, sub, m->now_ms, m->wall_ms);
    m->jobs[m->n_jobs++] = job;
    master_configure_job(m, job);
    if (number > m->last_job) m->last_job = number;
    return job;
}

static void begin_job(struct master *m, const struct job_submission *sub)
{
    char id[SHORT_ID];
    struct job *job = add_job(m, sub, m->last_job + 1);
    struct job_event begin = {.type = JOB_EV_BEGIN};
    master_trace(m, true, "job %s INITIALIZING", master_short_id(job->id, id));
    (void)master_step_job(m, job, &begin);
}

void master_on_submit(struct master *m, const struct job_submission *sub)
{
    if (!check_submission(m, sub, &m->out->answer)) begin_job(m, sub);
}

void master_adopt(struct master *m, struct records_job *found)
{
    struct job *job = add_job(m, &found->submission, found->number);
    struct job_event recover = {.type = JOB_EV_RECOVER, .recover = &found->recovery};
    (void)master_step_job(m, job, &recover);
    m->n_ended += job_state_terminal(job->state);
}

void master_succeed(struct master *m, const struct job *job)
{
    struct job_submission sub = job_submission_of(job);
    if (id_is_zero(job->successor.id) || master_find_job(m, job->successor.id)) return;
    sub.id = job->successor.id;
    sub.parallelism = job->successor.parallelism;
    sub.from = job->successor.path;
    sub.from_claim = true;
    sub.from_unmatched = false;
    sub.predecessor = job->id;
    begin_job(m, &sub);
}

/* ---- answers and wishes ---- */

void master_on_described(struct master *m, const struct master_event *ev)
{
    struct job *job = master_find_job(m, ev->described.job);
    if (job) {
        struct job_event je = {.type = JOB_EV_DESCRIBED};
        je.described.err = ev->described.err;
        je.described.reason = ev->described.reason;
        je.described.graph = ev->described.graph;
        (void)master_step_job(m, job, &je);
    }
    if (ev->described.graph) graph_close(ev->described.graph); /* nothing, if the job has taken it */
}

void master_on_storage(struct master *m, const struct master_event *ev)
{
    struct job *job = master_find_job(m, ev->storage.job);
    struct job_event je = {.type = JOB_EV_CHECKPOINT};
    if (!job) return;
    if (ev->storage.what == MASTER_STORAGE_OPEN) {
        je.type = JOB_EV_OPENED;
        je.opened.err = ev->storage.err;
        je.opened.reason = ev->storage.reason;
        je.opened.manifest = ev->storage.manifest;
        je.opened.has_state = ev->storage.has_state;
        je.opened.bytes = ev->storage.bytes;
        je.opened.crc32c = ev->storage.crc32c;
    } else if (ev->storage.what == MASTER_STORAGE_END) {
        je.type = JOB_EV_CLEANED;
        je.cleaned.err = ev->storage.err;
    } else {
        je.checkpoint.id = ev->storage.id;
        je.checkpoint.sealed = ev->storage.what == MASTER_STORAGE_SEAL;
        je.checkpoint.err = ev->storage.err;
        je.checkpoint.reason = ev->storage.reason;
        je.checkpoint.bytes = ev->storage.bytes;
        je.checkpoint.crc32c = ev->storage.crc32c;
    }
    (void)master_step_job(m, job, &je);
}

/* An event that a user causes; its answer is the job's. */
static void ask_job(struct master *m, struct weir_id id, struct job_event *ev)
{
    struct job *job = master_find_job(m, id);
    if (!job) {
        weir_fail(&m->out->answer, WEIR_E_NOT_FOUND, "there is no such job");
        return;
    }
    (void)master_step_job(m, job, ev);
    m->out->answer = m->job_out.answer;
}

void master_on_request(struct master *m, const struct master_event *ev)
{
    struct job_event je = {.type = JOB_EV_REQUEST, .request = ev->request.request};
    ask_job(m, ev->request.job, &je);
}

void master_on_cancel(struct master *m, struct weir_id id)
{
    struct job_event je = {.type = JOB_EV_CANCEL};
    ask_job(m, id, &je);
}

/* ---- placement ---- */

/*
 * Gives each TaskManager that got a slot a worker index, in the order of TaskManagers, takes the slots, and turns slot_host from indices of
 * members into indices of workers. Returns the number of workers.
 */
static uint32_t take_slots(struct master *m, const struct job *job, uint32_t *slot_host, struct job_place *places)
{
    uint32_t n_workers = 0;
    uint32_t *worker_of = calloc(m->cluster.n_members, sizeof *worker_of); /* plus one; 0 = none */
    WEIR_ASSERT(worker_of);
    for (uint32_t i = 0; i < job->n_slots; i++) worker_of[slot_host[i]] = 1;
    for (uint32_t h = 0; h < m->cluster.n_members; h++) {
        if (!worker_of[h]) continue;
        const struct cluster_member *member = m->cluster.members[h];
        places[n_workers++] = (struct job_place){.member = member->number, .taskmanager = member->id, .host = member->host};
        worker_of[h] = n_workers;
    }
    for (uint32_t i = 0; i < job->n_slots; i++) {
        cluster_take(m->cluster.members[slot_host[i]], job->id, job->attempt + 1, i);
        slot_host[i] = worker_of[slot_host[i]] - 1;
    }
    free(worker_of);
    return n_workers;
}

static void place(struct master *m, struct job *job)
{
    uint32_t n_members = m->cluster.n_members;
    uint32_t *free_slots = calloc((size_t)n_members + 1, sizeof *free_slots);
    uint32_t *slot_host = calloc(job->n_slots, sizeof *slot_host);
    struct job_place *places = calloc((size_t)n_members + 1, sizeof *places);
    WEIR_ASSERT(free_slots);
    WEIR_ASSERT(slot_host);
    WEIR_ASSERT(places);
    for (uint32_t i = 0; i < n_members; i++) {
        struct cluster_member *member = m->cluster.members[i];
        bool takes = link_state(member->session->link) == LINK_OPEN && !cluster_holds_other(member, job->id, job->attempt + 1);
        free_slots[i] = takes ? member->n_free : 0;
    }
    if (!schedule_spread(free_slots, n_members, job->n_slots, slot_host)) {
        struct job_event je = {.type = JOB_EV_PLACED};
        je.placed.n_workers = take_slots(m, job, slot_host, places);
        je.placed.places = places;
        je.placed.n_slots = job->n_slots;
        je.placed.slot_worker = slot_host;
        (void)master_step_job(m, job, &je);
    }
    free(free_slots);
    free(slot_host);
    free(places);
}

void master_place_jobs(struct master *m)
{
    for (uint32_t i = 0; i < m->n_jobs; i++)
        if (m->jobs[i]->state == JOB_CREATED) place(m, m->jobs[i]);
}

void master_tick_jobs(struct master *m)
{
    for (uint32_t i = 0; i < m->n_jobs; i++) {
        if (m->now_ms < job_deadline_ms(m->jobs[i])) continue;
        struct job_event je = {.type = JOB_EV_TICK};
        cluster_slots(&m->cluster, &je.tick.slots_total, &je.tick.slots_free);
        (void)master_step_job(m, m->jobs[i], &je);
    }
}
