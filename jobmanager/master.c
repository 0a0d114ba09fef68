/* SPDX-License-Identifier: Apache-2.0 */
#include "jobmanager/master.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "jobmanager/master_internal.h"
#include "runtime/base/assert.h"

/* ---- actions ---- */

void master_actions_init(struct master_actions *a)
{
    *a = (struct master_actions){0};
}

static void clear(struct master_actions *a)
{
    arena_close(&a->kept);
    a->n = 0;
    a->answer.code = WEIR_OK;
    a->answer.text[0] = '\0';
}

void master_actions_close(struct master_actions *a)
{
    clear(a);
    free(a->at);
    *a = (struct master_actions){0};
}

struct master_action *master_act(struct master *m, enum master_action_type type)
{
    struct master_actions *a = m->out;
    if (a->n == a->cap) {
        a->cap = a->cap ? 2 * a->cap : 16;
        a->at = realloc(a->at, a->cap * sizeof *a->at);
        WEIR_ASSERT(a->at);
    }
    a->at[a->n] = (struct master_action){.type = type};
    return &a->at[a->n++];
}

struct weir_bytes master_keep(struct master *m, const void *data, size_t len)
{
    struct weir_bytes copy = arena_bytes(&m->out->kept, (struct weir_bytes){data, (uint32_t)len});
    WEIR_ASSERT(copy.data);
    return copy;
}

/* ---- trace ---- */

void master_trace(struct master *m, bool notable, const char *fmt, ...)
{
    if (!m->config.trace) return;
    char line[WEIR_DIAG_MAX + 256];
    va_list args;
    va_start(args, fmt);
    vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    m->config.trace(m->config.trace_arg, notable, line);
}

const char *master_short_id(struct weir_id id, char out[static SHORT_ID])
{
    char text[WEIR_ID_TEXT];
    memcpy(out, id_text(id, text), SHORT_ID - 1);
    out[SHORT_ID - 1] = '\0';
    return out;
}

/* ---- the step ---- */

/* A step that comes so much too late was held up. */
static int64_t stop_ms(const struct master *m)
{
    return m->config.heartbeat_ms < WEIR_HEARTBEAT_MS ? m->config.heartbeat_ms : WEIR_HEARTBEAT_MS;
}

/* Who leads has something due after so long, whatever happens: a stop shows by what comes late (pass_time). */
static int64_t deadline(const struct master *m)
{
    int64_t at = master_leads(m) ? m->now_ms + stop_ms(m) : INT64_MAX, links = master_links_deadline_ms(m);
    if (catalog_deadline_ms(m->catalog) < at) at = catalog_deadline_ms(m->catalog);
    if (m->doubt) return at;
    if (links < at) at = links;
    for (uint32_t i = 0; i < m->n_jobs; i++) {
        int64_t due = job_deadline_ms(m->jobs[i]);
        if (due < at) at = due;
    }
    return at;
}

/*
 * A step that comes long after it was due: the process was stopped. That is no silence of others, so our clock stands still meanwhile. And
 * somebody else may lead by now: before the catalog has answered, nothing that TaskManagers say is heard and nothing is ordered, since it
 * would cancel what runs under another one. They say it again.
 */
static void pass_time(struct master *m, int64_t now_ms)
{
    int64_t late_ms = now_ms - (m->due_ms > m->real_ms ? m->due_ms : m->real_ms), alive_ms = m->real_ms;
    m->real_ms = now_ms;
    if (late_ms > stop_ms(m)) {
        m->stopped_ms += late_ms;
        if (master_leads(m)) master_doubt(m, alive_ms);
    }
    m->now_ms = now_ms - m->stopped_ms;
}

static void work(struct master *m)
{
    master_place_jobs(m); /* before the deadlines: slots that came in the last moment count */
    master_tick_jobs(m);
    master_work_catalog(m); /* what the steps since have asked for */
    master_flush(m);
}

void master_step(struct master *m, const struct master_event *ev, struct master_actions *actions)
{
    clear(actions);
    m->out = actions;
    pass_time(m, ev->now_ms);
    m->wall_ms = ev->wall_ms;
    if (!m->doubt) master_tick_links(m); /* before the event: who was silent for too long is lost, even if he speaks now */
    switch (ev->type) {
    case MASTER_EV_TICK: break;
    case MASTER_EV_LISTED: master_on_listed(m, ev); break;
    case MASTER_EV_CATALOG: master_on_catalog(m, &ev->catalog); break;
    case MASTER_EV_STORAGE: master_on_storage(m, ev); break;
    case MASTER_EV_PACKET:
        if (!m->doubt) master_on_packet(m, ev->packet.route, ev->packet.data);
        break;
    case MASTER_EV_SUBMIT: master_on_submit(m, &ev->submit); break;
    case MASTER_EV_CANCEL: master_on_cancel(m, ev->cancel.job); break;
    case MASTER_EV_REQUEST: master_on_request(m, ev); break;
    case MASTER_EV_DESCRIBED: master_on_described(m, ev); break;
    case MASTER_EV_ARTIFACT: master_on_artifact(m, ev); break;
    case MASTER_EV_LIVE: master_on_live(m, ev); break;
    case MASTER_EV_CHUNK: master_on_chunk(m, ev); break;
    }
    master_work_catalog(m);
    if (!m->doubt) work(m);
    int64_t due_ms = deadline(m);
    m->due_ms = actions->deadline_ms = due_ms == INT64_MAX ? due_ms : due_ms + m->stopped_ms;
    m->out = NULL;
}

/* ---- life ---- */

static uint32_t or_default(uint32_t value, uint32_t fallback)
{
    return value ? value : fallback;
}

static uint32_t reconcile_ms(uint32_t heartbeat_timeout_ms)
{
    return 2 * heartbeat_timeout_ms > WEIR_RECONCILE_MS ? 2 * heartbeat_timeout_ms : WEIR_RECONCILE_MS;
}

void master_new(struct master **out, const struct master_config *config, int64_t now_ms)
{
    struct master *m = calloc(1, sizeof *m);
    WEIR_ASSERT(m);
    m->config = *config;
    m->config.heartbeat_ms = or_default(config->heartbeat_ms, WEIR_HEARTBEAT_MS);
    m->config.heartbeat_timeout_ms = or_default(config->heartbeat_timeout_ms, WEIR_HEARTBEAT_TIMEOUT_MS);
    m->config.retransmit_ms = or_default(config->retransmit_ms, WEIR_RETRANSMIT_MS);
    m->config.slot_wait_ms = or_default(config->slot_wait_ms, WEIR_SLOT_WAIT_MS);
    m->config.describe_timeout_ms = or_default(config->describe_timeout_ms, WEIR_DESCRIBE_TIMEOUT_MS);
    m->config.start_timeout_ms = or_default(config->start_timeout_ms, WEIR_START_TIMEOUT_MS);
    m->config.reconcile_ms = or_default(config->reconcile_ms, reconcile_ms(m->config.heartbeat_timeout_ms));
    struct cluster_config cluster = {.incarnation = config->incarnation,
                                     .epoch = config->epoch,
                                     .version = config->version,
                                     .heartbeat_ms = m->config.heartbeat_ms,
                                     .timeout_ms = m->config.heartbeat_timeout_ms,
                                     .retransmit_ms = m->config.retransmit_ms};
    cluster_init(&m->cluster, &cluster);
    catalog_new(&m->catalog);
    if (config->options)
        m->options = *config->options;
    else
        job_options_default(&m->options);
    m->live_options = m->options;
    m->checkpoint_dir = strdup(config->checkpoint_dir ? config->checkpoint_dir : "/nonexistent");
    m->leader = strdup(config->leader ? config->leader : "");
    WEIR_ASSERT(m->checkpoint_dir);
    WEIR_ASSERT(m->leader);
    master_set_coordination(m, "");
    job_actions_init(&m->job_out);
    buffer_init(&m->packet, 0);
    m->now_ms = m->real_ms = now_ms;
    m->due_ms = INT64_MAX;
    *out = m;
}

void master_set_coordination(struct master *m, const char *endpoints)
{
    free(m->coordination);
    m->coordination = strdup(endpoints);
    WEIR_ASSERT(m->coordination);
}

const char *master_coordination(const struct master *m)
{
    return m->coordination;
}

void master_destroy(struct master **master)
{
    struct master *m = *master;
    if (!m) return;
    for (uint32_t i = 0; i < m->n_jobs; i++) job_destroy(&m->jobs[i]);
    free(m->jobs);
    cluster_close(&m->cluster);
    catalog_destroy(&m->catalog);
    free(m->checkpoint_dir);
    free(m->leader);
    free(m->coordination);
    free(m->live);
    job_actions_close(&m->job_out);
    buffer_close(&m->packet);
    free(m);
    *master = NULL;
}

/* ---- views ---- */

uint32_t master_n_jobs(const struct master *m)
{
    return m->n_jobs;
}

const struct job *master_job_at(const struct master *m, uint32_t index)
{
    WEIR_ASSERT(index < m->n_jobs);
    return m->jobs[index];
}

const struct job *master_job_find(const struct master *m, struct weir_id id)
{
    return master_find_job(m, id);
}

uint32_t master_n_taskmanagers(const struct master *m)
{
    return m->cluster.n_members;
}

const struct cluster_member *master_taskmanager_at(const struct master *m, uint32_t index)
{
    WEIR_ASSERT(index < m->cluster.n_members);
    return m->cluster.members[index];
}

void master_slots(const struct master *m, uint32_t *total, uint32_t *free_slots)
{
    cluster_slots(&m->cluster, total, free_slots);
}

uint64_t master_epoch(const struct master *m)
{
    return m->config.epoch;
}

bool master_leads(const struct master *m)
{
    return m->config.epoch > 0;
}

struct heartbeat master_heartbeat(const struct master *m)
{
    return (struct heartbeat){m->config.heartbeat_ms, m->config.heartbeat_timeout_ms};
}

struct master_counts master_counts(const struct master *m)
{
    struct master_counts counts = m->counts;
    counts.packets_dropped = m->cluster.packets_dropped;
    return counts;
}
