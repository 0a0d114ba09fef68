/* SPDX-License-Identifier: Apache-2.0 */
/* The live configuration (live.h) in the master: what counts of it, and who is told. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jobmanager/master_internal.h"
#include "runtime/base/assert.h"
#include "runtime/base/live_keys.h"

static struct job *job_of(const struct master *m, const struct live_setting *s)
{
    struct weir_id id;
    return id_parse(s->job, &id) ? master_find_job(m, id) : NULL;
}

/* By its own rules, and by what the job is. */
static weir_err check_alone(const struct master *m, const struct live_setting *s, struct weir_diag *diag)
{
    const struct job *job = *s->job ? job_of(m, s) : NULL;
    if (*s->job && !job) return weir_fail(diag, WEIR_E_NOT_FOUND, "there is no job %s", s->job);
    if (job && !job->ckpt && live_is_of_checkpoints(s->key))
        return weir_fail(
            diag, WEIR_E_ARGUMENT,
            "the job has no checkpoints: it was submitted without execution.checkpointing.interval and .dir, which decides for its "
            "life");
    return live_check(s, diag);
}

static const struct live_setting *find(const struct live_setting *at, uint32_t n, const struct live_setting *like)
{
    for (uint32_t i = 0; i < n; i++)
        if (strcmp(at[i].job, like->job) == 0 && strcmp(at[i].key, like->key) == 0) return &at[i];
    return NULL;
}

/* What cannot be keeps the value that was in force. */
static void refuse(struct master *m, struct live_setting *s, const struct live_setting *former, const char *reason)
{
    bool known = former && strcmp(former->refusal, reason) == 0;
    (void)snprintf(s->refusal, sizeof s->refusal, "%s", reason);
    s->counts = former && former->counts;
    if (s->counts) memcpy(s->value, former->value, sizeof s->value);
    if (known) return;
    master_trace(m, true, "live configuration: %s%s%s is refused: %s; %s", s->job, *s->job ? " " : "", s->key, reason,
                 s->counts ? "the former value stays" : "it changes nothing");
}

/* The settings of the cluster as options of jobs. They must fit together; else the former ones stay. */
static void take_cluster(struct master *m)
{
    struct job_options options = m->options;
    struct weir_diag diag;
    live_apply(m->live, m->n_live, "", &options);
    if (job_options_check(&options, &diag))
        master_trace(m, true, "live configuration: the options of jobs stay as they were: %s", diag.text);
    else
        m->live_options = options;
}

void master_configure_job(struct master *m, struct job *job)
{
    struct weir_diag diag;
    char id[SHORT_ID];
    if (job_configure(job, &m->live_options, m->live, m->n_live, m->now_ms, &diag))
        master_trace(m, true, "live configuration: job %s keeps its options: %s", master_short_id(job->id, id), diag.text);
}

/* Those that daemons take, for TaskManagers. */
void master_tell_settings(struct master *m, struct cluster_session *s)
{
    struct wire_msg msg = {.type = WIRE_SETTINGS};
    char text[WIRE_SETTINGS_MAX][CONFIG_NAME_MAX + 1 + LIVE_VALUE_MAX + 1];
    const char *items[WIRE_SETTINGS_MAX];
    int64_t value;
    if (!m->live_known) return; /* whoever led before us has told them */
    for (uint32_t i = 0; i < m->n_live && msg.settings.n < WIRE_SETTINGS_MAX; i++) {
        const struct live_setting *l = &m->live[i];
        if (!l->counts || *l->job || live_key_parse(l->key, l->value, &value, NULL)) continue;
        items[msg.settings.n] = text[msg.settings.n];
        (void)snprintf(text[msg.settings.n++], sizeof text[0], "%s=%s", l->key, l->value);
    }
    msg.settings.items = items;
    master_send(m, s, &msg);
}

void master_forget_live(struct master *m, const struct job *job)
{
    char id[WEIR_ID_TEXT];
    (void)id_text(job->id, id);
    for (uint32_t i = 0; i < m->n_live; i++) {
        if (strcmp(m->live[i].job, id) != 0) continue;
        master_act(m, MASTER_DO_FORGET_LIVE)->forget_live.job = job->id;
        return;
    }
}

void master_on_live(struct master *m, const struct master_event *ev)
{
    struct weir_diag diag;
    struct live_setting *at = calloc(ev->live.n + 1u, sizeof *at);
    WEIR_ASSERT(at);
    for (uint32_t i = 0; i < ev->live.n; i++) {
        at[i] = ev->live.at[i];
        const struct live_setting *former = find(m->live, m->n_live, &at[i]);
        at[i].counts = true;
        if (at[i].refusal[0])
            refuse(m, &at[i], former, ev->live.at[i].refusal);
        else if (check_alone(m, &at[i], &diag))
            refuse(m, &at[i], former, diag.text);
        else if (!former || strcmp(former->value, at[i].value) != 0)
            master_trace(m, true, "live configuration: %s%s%s = %s", at[i].job, *at[i].job ? " " : "", at[i].key, at[i].value);
    }
    free(m->live);
    m->live = at;
    m->n_live = ev->live.n;
    m->live_known = true;
    take_cluster(m);
    for (uint32_t i = 0; i < m->n_jobs; i++) {
        if (job_state_terminal(m->jobs[i]->state))
            master_forget_live(m, m->jobs[i]); /* whoever led when it ended did not come to it, or it was set afterwards */
        else
            master_configure_job(m, m->jobs[i]);
    }
    for (uint32_t i = 0; i < m->cluster.n_members; i++) master_tell_settings(m, m->cluster.members[i]->session);
}

uint32_t master_live(const struct master *m, const struct live_setting **out)
{
    *out = m->live;
    return m->n_live;
}

weir_err master_live_check(const struct master *m, const struct live_setting *setting, struct weir_diag *diag)
{
    weir_err err = check_alone(m, setting, diag);
    if (err) return err;
    const struct job *job = *setting->job ? job_of(m, setting) : NULL;
    if (job && job_state_terminal(job->state)) return weir_fail(diag, WEIR_E_STATE, "the job has ended: %s", job_state_name(job->state));
    struct live_setting *at = calloc(m->n_live + 1u, sizeof *at);
    WEIR_ASSERT(at);
    if (m->n_live) memcpy(at, m->live, m->n_live * sizeof *at);
    at[m->n_live] = *setting; /* the last one of a key is in force */
    at[m->n_live].counts = true;
    struct job_options options = m->options;
    live_apply(at, m->n_live + 1, "", &options);
    err = job ? job_options_with(job, &options, at, m->n_live + 1, &options, diag) : job_options_check(&options, diag);
    free(at);
    return err;
}
