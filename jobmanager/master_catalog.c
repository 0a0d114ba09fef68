/* SPDX-License-Identifier: Apache-2.0 */
/* The master and the catalog (master.h): what it holds at the start, what is put, what is settled. */
#include <stdlib.h>

#include "jobmanager/master_internal.h"
#include "runtime/base/assert.h"

/* ---- puts ---- */

enum { DOUBT_MARGIN = 2 }; /* heartbeats by which a TaskManager's silence may have begun, or be measured, earlier than ours */

void master_put(struct master *m, const struct job *job, enum job_key key, struct weir_bytes value, uint64_t number)
{
    char name[CATALOG_KEY_MAX + 1];
    catalog_put(m->catalog, records_key(job->id, key, name), value, number);
}

void master_delete(struct master *m, struct weir_id job, enum job_key key)
{
    char name[CATALOG_KEY_MAX + 1];
    catalog_delete(m->catalog, records_key(job, key, name));
}

void master_on_artifact(struct master *m, const struct master_event *ev)
{
    char name[CATALOG_KEY_MAX + 1];
    struct buffer value = {0};
    (void)records_artifact_key(ev->artifact.about->digest, name);
    if (ev->artifact.remove) {
        catalog_delete(m->catalog, name);
        return;
    }
    records_artifact(m->config.epoch, ev->artifact.about, &value);
    WEIR_ASSERT(!value.err);
    catalog_put(m->catalog, name, (struct weir_bytes){value.data, (uint32_t)value.len}, 1);
    buffer_close(&value);
}

static void tell_artifact(struct master *m, const struct catalog_done *done, struct weir_digest digest)
{
    struct weir_bytes reason = master_keep(m, done->diag.text, strlen(done->diag.text));
    if (!done->tag) return; /* a delete */
    struct master_action *action = master_act(m, MASTER_DO_ARTIFACT);
    action->artifact.about.digest = digest;
    action->artifact.err = done->err;
    action->artifact.reason = (const char *)reason.data;
}

static void tell(struct master *m, const struct catalog_done *done)
{
    struct weir_id id;
    struct weir_digest digest;
    struct job_event ev = {.type = JOB_EV_STORED};
    if (done->err) master_trace(m, true, "catalog: %s: %s", done->key, done->diag.text);
    if (records_artifact_key_parse(done->key, &digest)) {
        tell_artifact(m, done, digest);
        return;
    }
    bool known = records_key_parse(done->key, &id, &ev.stored.key);
    WEIR_ASSERT(known); /* all keys are ours */
    struct job *job = master_find_job(m, id);
    if (!job || !done->tag) return;
    ev.stored.number = done->tag;
    ev.stored.err = done->err;
    ev.stored.reason = done->diag.text;
    (void)master_step_job(m, job, &ev);
    if (job_state_terminal(job->state)) master_succeed(m, job);
}

static bool give_order(struct master *m)
{
    struct catalog_order order;
    if (!catalog_next(m->catalog, m->now_ms, &order)) return false;
    order.key = (const char *)master_keep(m, order.key, strlen(order.key)).data;
    order.value = master_keep(m, order.value.data, order.value.length);
    master_act(m, MASTER_DO_CATALOG)->catalog = order;
    return true;
}

/* A peer that still leads confirms it, after a round of the quorum. No read: that would wait for the writes before it, and so for a disk.
 */
static void ask_who_leads(struct master *m)
{
    m->doubt = DOUBT_ASKED;
    m->doubt_number = UINT64_MAX - m->n_doubts++; /* none of the catalog's */
    master_act(m, MASTER_DO_CATALOG)->catalog = (struct catalog_order){.number = m->doubt_number, .kind = CATALOG_CONFIRM, .key = ""};
}

void master_doubt(struct master *m, int64_t alive_ms)
{
    if (m->doubt == DOUBT_GIVEN_UP) return;
    if (m->doubt == DOUBT_NONE) m->alive_ms = alive_ms;
    m->doubt = DOUBT_BEGINS;
}

/*
 * We lead. But TaskManagers that heard nothing of us for so long may have given us up; they register anew, which must not be taken for
 * their loss: who leads next, in the same epoch, finds what runs on them.
 */
static void end_doubt(struct master *m)
{
    int64_t silent_ms = m->real_ms - m->alive_ms + DOUBT_MARGIN * m->config.heartbeat_ms;
    m->doubt = m->cluster.n_members > 0 && silent_ms >= m->config.heartbeat_timeout_ms ? DOUBT_GIVEN_UP : DOUBT_NONE;
    if (m->doubt) master_act(m, MASTER_DO_LEAD_ANEW);
}

void master_work_catalog(struct master *m)
{
    if (m->doubt == DOUBT_BEGINS) ask_who_leads(m);
    struct catalog_done done;
    bool busy = true;
    while (busy) {
        busy = false;
        while (give_order(m)) busy = true;
        while (catalog_done(m->catalog, &done)) {
            tell(m, &done);
            busy = true;
        }
    }
}

void master_on_catalog(struct master *m, const struct catalog_answer *answer)
{
    if (m->doubt != DOUBT_ASKED || answer->number != m->doubt_number)
        catalog_answer(m->catalog, answer, m->now_ms);
    else if (answer->outcome == CATALOG_COMMITTED)
        end_doubt(m);
    else
        m->doubt = DOUBT_BEGINS;
}

/* ---- the start ---- */

static weir_err read_artifact(struct master *m, const struct master_listed *listed, struct weir_digest digest)
{
    struct weir_diag diag = {0};
    struct store_artifact about = {.digest = digest};
    weir_err err = records_artifact_take(&about, listed->value, &diag);
    if (err) return weir_fail(&m->out->answer, err, "the catalog's '%s' cannot be read: %s", listed->key, diag.text);
    struct master_action *action = master_act(m, MASTER_DO_ARTIFACT);
    action->artifact.about = about;
    action->artifact.reason = "";
    return WEIR_OK;
}

static weir_err read_key(struct master *m, const struct master_listed *listed, struct records_job *jobs, uint32_t *n)
{
    struct weir_id id;
    struct weir_digest digest;
    enum job_key key;
    bool artifact = records_artifact_key_parse(listed->key, &digest);
    if (!artifact && !records_key_parse(listed->key, &id, &key))
        return weir_fail(&m->out->answer, WEIR_E_UNSUPPORTED, "the catalog holds '%s', which this version of Weir does not know",
                         listed->key);
    if (listed->damage)
        return weir_fail(&m->out->answer, WEIR_E_CORRUPT, "the catalog's '%s' cannot be read: %s", listed->key, listed->damage);
    catalog_know(m->catalog, listed->key, listed->version);
    if (artifact) return read_artifact(m, listed, digest);
    /* Keys are in order, so those of one job stand together. */
    if (*n == 0 || !id_equal(jobs[*n - 1].submission.id, id)) jobs[(*n)++].submission.id = id;
    struct weir_diag diag = {0};
    weir_err err = records_take(&jobs[*n - 1], key, listed->value, &diag);
    if (err) return weir_fail(&m->out->answer, err, "the catalog's '%s' cannot be read: %s", listed->key, diag.text);
    jobs[*n - 1].submission.id = id;
    return WEIR_OK;
}

static int by_number(const void *a, const void *b)
{
    uint64_t x = (*(const struct records_job *const *)a)->number, y = (*(const struct records_job *const *)b)->number;
    return x < y ? -1 : x > y;
}

/* A job without a submission was being deleted when the JobManager ended: the rest of its keys goes. */
static void adopt_or_delete(struct master *m, struct records_job *found)
{
    if (found->submitted) {
        master_adopt(m, found);
        return;
    }
    for (unsigned key = 0; key < JOB_KEYS; key++) master_delete(m, found->submission.id, (enum job_key)key);
}

/* In order of submission, by way of pointers: the records point into themselves, and stay where they are. */
static void adopt_all(struct master *m, struct records_job *jobs, uint32_t n)
{
    struct records_job **order = calloc((size_t)n + 1, sizeof(struct records_job *));
    WEIR_ASSERT(order);
    for (uint32_t i = 0; i < n; i++) order[i] = &jobs[i];
    qsort(order, n, sizeof(struct records_job *), by_number);
    for (uint32_t i = 0; i < n; i++) adopt_or_delete(m, order[i]);
    free(order);
    for (uint32_t i = 0; i < m->n_jobs; i++)
        if (job_state_terminal(m->jobs[i]->state)) master_succeed(m, m->jobs[i]);
}

void master_on_listed(struct master *m, const struct master_event *ev)
{
    struct records_job *jobs = calloc((size_t)ev->listed.n + 1, sizeof *jobs);
    uint32_t n = 0;
    WEIR_ASSERT(jobs);
    WEIR_ASSERT(!m->listed);
    weir_err err = WEIR_OK;
    for (uint32_t i = 0; i < ev->listed.n && !err; i++) err = read_key(m, &ev->listed.at[i], jobs, &n);
    m->listed = !err;
    master_doubt(m, m->real_ms); /* the process may have been stopped since it claimed the catalog */
    if (!err) adopt_all(m, jobs, n);
    for (uint32_t i = 0; i < n; i++) records_close(&jobs[i]);
    free(jobs);
}
