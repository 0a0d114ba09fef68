/* SPDX-License-Identifier: Apache-2.0 */
#include "jobmanager/admin_json.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void set(json_t *object, const char *key, json_t *value)
{
    (void)json_object_set_new(object, key, value);
}

static void set_count(json_t *object, const char *key, uint64_t value)
{
    set(object, key, json_integer(value > INT64_MAX ? INT64_MAX : (json_int_t)value));
}

static void set_time(json_t *object, const char *key, int64_t value)
{
    set(object, key, json_integer(value));
}

static void add(json_t *array, json_t *value)
{
    (void)json_array_append_new(array, value);
}

json_t *admin_json_text(const char *text)
{
    json_t *good = json_string(text);
    if (good) return good;
    char *copy = strdup(text);
    if (!copy) return NULL;
    for (char *p = copy; *p; p++)
        if ((unsigned char)*p >= 0x80) *p = '?';
    good = json_string(copy);
    free(copy);
    return good;
}

static void set_text(json_t *object, const char *key, const char *text)
{
    set(object, key, admin_json_text(text ? text : ""));
}

static void set_id(json_t *object, const char *key, struct weir_id id)
{
    char text[WEIR_ID_TEXT];
    set_text(object, key, id_text(id, text));
}

/* ---- cluster ---- */

json_t *admin_json_overview(const struct master *m)
{
    uint32_t total = 0, available = 0, running = 0, finished = 0, canceled = 0, failed = 0;
    master_slots(m, &total, &available);
    for (uint32_t i = 0; i < master_n_jobs(m); i++) {
        enum job_state state = master_job_at(m, i)->state;
        if (state == JOB_FINISHED)
            finished++;
        else if (state == JOB_CANCELED)
            canceled++;
        else if (state == JOB_FAILED)
            failed++;
        else
            running++;
    }
    json_t *o = json_object();
    set_count(o, "taskmanagers", master_n_taskmanagers(m));
    set_count(o, "slots-total", total);
    set_count(o, "slots-available", available);
    set_count(o, "jobs-running", running);
    set_count(o, "jobs-finished", finished);
    set_count(o, "jobs-cancelled", canceled);
    set_count(o, "jobs-failed", failed);
    set_text(o, "weir-version", WEIR_VERSION);
    set_count(o, "epoch", master_epoch(m));
    return o;
}

static json_t *member_summary(const struct cluster_member *member, int64_t wall_ms)
{
    json_t *o = json_object();
    set_text(o, "id", member->id);
    set_text(o, "host", member->host);
    set_count(o, "pid", member->pid);
    set_text(o, "version", member->version);
    set_id(o, "incarnation", member->incarnation);
    set_count(o, "slotsNumber", member->n_slots);
    set_count(o, "freeSlots", member->n_free);
    set_time(o, "registered", member->registered_wall_ms);
    set_time(o, "timeSinceLastHeartbeat", wall_ms > member->heard_wall_ms ? wall_ms - member->heard_wall_ms : 0);
    return o;
}

json_t *admin_json_taskmanagers(const struct master *m, int64_t wall_ms)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < master_n_taskmanagers(m); i++) add(list, member_summary(master_taskmanager_at(m, i), wall_ms));
    json_t *o = json_object();
    set(o, "taskmanagers", list);
    return o;
}

json_t *admin_json_taskmanager(const struct cluster_member *member, int64_t wall_ms)
{
    json_t *slots = json_array();
    for (uint32_t i = 0; i < member->n_slots; i++) {
        const struct cluster_slot *s = &member->slots[i];
        if (!s->used) continue;
        json_t *slot = json_object();
        set_count(slot, "index", i);
        set_id(slot, "jobId", s->job);
        set_count(slot, "attempt", s->attempt);
        add(slots, slot);
    }
    json_t *o = member_summary(member, wall_ms);
    set(o, "allocatedSlots", slots);
    return o;
}

json_t *admin_json_counters(const struct master *m)
{
    struct master_counts c = master_counts(m);
    json_t *o = json_object();
    set_count(o, "packets-dropped", c.packets_dropped);
    set_count(o, "messages-stale", c.messages_stale);
    set_count(o, "messages-unknown", c.messages_unknown);
    set_count(o, "messages-broken", c.messages_broken);
    return o;
}

/* ---- plugins ---- */

json_t *admin_json_plugins(const struct artifacts *artifacts)
{
    json_t *files = json_array();
    for (uint32_t i = 0; i < artifacts_count(artifacts); i++) {
        const struct artifact *it = artifacts_at(artifacts, i);
        if (it->state != ARTIFACT_LISTED) continue;
        const struct store_artifact *a = &it->about;
        char hex[WEIR_DIGEST_TEXT];
        json_t *o = json_object();
        set_text(o, "id", digest_text(a->digest, hex));
        set_text(o, "name", a->name);
        set_count(o, "size", a->size);
        set_time(o, "uploaded", a->uploaded_wall_ms);
        add(files, o);
    }
    json_t *o = json_object();
    set(o, "files", files);
    return o;
}

/* ---- counting subtasks ---- */

/* A state is of a vertex when one of its subtasks is in it and none in a state above: the worst, then the one that is behind the others. */
static const struct {
    const char *state, *key;
} subtask_states[] = {
    {"FAILED", "failed"},       {"CANCELING", "canceling"},       {"CANCELED", "canceled"}, {"CREATED", "created"},
    {"DEPLOYING", "deploying"}, {"INITIALIZING", "initializing"}, {"RUNNING", "running"},   {"FINISHED", "finished"},
};

enum { N_SUBTASK_STATES = sizeof subtask_states / sizeof subtask_states[0] };

struct tally {
    uint32_t total;
    uint32_t of[N_SUBTASK_STATES];
};

static void tally_vertex(struct tally *t, const struct job *job, uint32_t vertex)
{
    for (uint32_t i = 0; i < job->plan->vertices[vertex].parallelism; i++) {
        const char *state = job_subtask_state(job, vertex, i);
        t->total++;
        for (uint32_t k = 0; k < N_SUBTASK_STATES; k++)
            if (strcmp(state, subtask_states[k].state) == 0) t->of[k]++;
    }
}

static struct tally tally_job(const struct job *job)
{
    struct tally t = {0};
    if (!job->described) return t;
    for (uint32_t v = 0; v < job->plan->n_vertices; v++) tally_vertex(&t, job, v);
    return t;
}

static json_t *tally_json(const struct tally *t, bool with_total)
{
    json_t *o = json_object();
    if (with_total) set_count(o, "total", t->total);
    for (uint32_t k = 0; k < N_SUBTASK_STATES; k++) set_count(o, subtask_states[k].key, t->of[k]);
    return o;
}

static const char *tally_state(const struct tally *t)
{
    for (uint32_t k = 0; k < N_SUBTASK_STATES; k++)
        if (t->of[k] > 0) return subtask_states[k].state;
    return "CREATED";
}

/* ---- metrics ---- */

static void sum_stats(struct wire_subtask_stats *sum, const struct wire_subtask_stats *s)
{
    sum->records_in += s->records_in;
    sum->records_out += s->records_out;
    sum->bytes_in += s->bytes_in;
    sum->bytes_out += s->bytes_out;
    sum->frames_in_local += s->frames_in_local;
    sum->frames_in_remote += s->frames_in_remote;
    sum->frames_out_local += s->frames_out_local;
    sum->frames_out_remote += s->frames_out_remote;
    sum->late += s->late;
    sum->busy_us += s->busy_us;
    sum->idle_us += s->idle_us;
    sum->blocked_us += s->blocked_us;
    if (s->watermark_ms < sum->watermark_ms) sum->watermark_ms = s->watermark_ms;
}

static json_t *metrics_json(const struct wire_subtask_stats *s, bool reported)
{
    json_t *o = json_object();
    set_count(o, "read-records", s->records_in);
    set_count(o, "write-records", s->records_out);
    set_count(o, "read-bytes", s->bytes_in);
    set_count(o, "write-bytes", s->bytes_out);
    set_count(o, "frames-in-local", s->frames_in_local);
    set_count(o, "frames-in-remote", s->frames_in_remote);
    set_count(o, "frames-out-local", s->frames_out_local);
    set_count(o, "frames-out-remote", s->frames_out_remote);
    set_count(o, "late-records", s->late);
    set(o, "watermark", reported && s->watermark_ms != WEIR_TIME_MIN ? json_integer(s->watermark_ms) : json_null());
    set_count(o, "busy-time-us", s->busy_us);
    set_count(o, "idle-time-us", s->idle_us);
    set_count(o, "blocked-time-us", s->blocked_us);
    return o;
}

/* ---- one job ---- */

static int64_t started_ms(const struct job *job)
{
    return job->submitted_wall_ms;
}

static int64_t ended_ms(const struct job *job)
{
    return job_state_terminal(job->state) ? job->ended_wall_ms : -1; /* it is known before, and holds when it is stored */
}

static int64_t duration_ms(const struct job *job, int64_t wall_ms)
{
    int64_t until = job_state_terminal(job->state) ? job->ended_wall_ms : wall_ms;
    return until > started_ms(job) ? until - started_ms(job) : 0;
}

static void set_times(json_t *o, const struct job *job, int64_t wall_ms)
{
    set_time(o, "start-time", started_ms(job));
    set_time(o, "end-time", ended_ms(job));
    set_time(o, "duration", duration_ms(job, wall_ms));
}

static json_t *failure_json(const struct job_failure *f)
{
    if (f->code == WEIR_OK) return json_null();
    json_t *o = json_object();
    set_text(o, "code", weir_err_name(f->code));
    set_text(o, "operator", f->operator_id);
    set_time(o, "subtask", f->subtask);
    set_text(o, "taskmanager", f->taskmanager);
    set_text(o, "reason", f->reason);
    set_time(o, "timestamp", f->wall_ms);
    return o;
}

static json_t *timestamps_json(const struct job *job)
{
    json_t *o = json_object();
    for (uint32_t i = 0; i < job->n_history; i++) set_time(o, job_state_name(job->history[i].state), job->history[i].wall_ms);
    return o;
}

static json_t *subtask_json(const struct job *job, uint32_t vertex, uint32_t subtask)
{
    const struct job_worker *w = job_subtask_worker(job, subtask);
    json_t *o = json_object();
    set_count(o, "subtask", subtask);
    set_text(o, "status", job_subtask_state(job, vertex, subtask));
    set_text(o, "taskmanager", w ? w->taskmanager : "");
    set(o, "metrics", metrics_json(job_subtask_stats(job, vertex, subtask), w && w->has_stats));
    return o;
}

static const char *op_id(const struct graph *graph, const struct plan_vertex *v, uint32_t op)
{
    return graph->nodes[v->ops[op].node].id;
}

static json_t *vertex_json(const struct job *job, uint32_t index)
{
    const struct plan_vertex *v = &job->plan->vertices[index];
    struct tally t = {0};
    tally_vertex(&t, job, index);
    json_t *operators = json_array(), *subtasks = json_array();
    for (uint32_t i = 0; i < v->n_ops; i++) add(operators, admin_json_text(op_id(&job->graph, v, i)));
    struct wire_subtask_stats sum = {.watermark_ms = WEIR_TIME_MAX};
    bool all_reported = v->parallelism > 0;
    for (uint32_t i = 0; i < v->parallelism; i++) {
        const struct job_worker *w = job_subtask_worker(job, i);
        all_reported &= w && w->has_stats;
        sum_stats(&sum, job_subtask_stats(job, index, i));
        add(subtasks, subtask_json(job, index, i));
    }
    json_t *o = json_object();
    set_count(o, "id", index);
    set_text(o, "name", v->name);
    set_count(o, "parallelism", v->parallelism);
    set_text(o, "status", tally_state(&t));
    set(o, "operators", operators);
    set(o, "tasks", tally_json(&t, false));
    set(o, "metrics", metrics_json(&sum, all_reported));
    set(o, "subtasks", subtasks);
    return o;
}

static json_t *vertices_json(const struct job *job)
{
    json_t *list = json_array();
    if (!job->described) return list;
    for (uint32_t i = 0; i < job->plan->n_vertices; i++) add(list, vertex_json(job, i));
    return list;
}

static const char *worker_state_name(enum job_worker_state state)
{
    switch (state) {
    case JOB_WORKER_MISSING: return "MISSING";
    case JOB_WORKER_DEPLOYED: return "DEPLOYED";
    case JOB_WORKER_READY: return "READY";
    case JOB_WORKER_RUNNING: return "RUNNING";
    case JOB_WORKER_PREPARED: return "PREPARED";
    case JOB_WORKER_COMMITTED: return "COMMITTED";
    case JOB_WORKER_FAILED: return "FAILED";
    case JOB_WORKER_CANCELED: return "CANCELED";
    case JOB_WORKER_LOST: return "LOST";
    }
    return "?";
}

static json_t *workers_json(const struct job *job)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < job->n_workers; i++) {
        const struct job_worker *w = &job->workers[i];
        json_t *o = json_object();
        set_count(o, "worker", i);
        set_text(o, "id", w->taskmanager);
        set_text(o, "host", w->host);
        set_count(o, "slots", w->n_slots);
        set_text(o, "state", worker_state_name(w->state));
        set_text(o, "endpoint", w->endpoint);
        set_count(o, "frames-dropped", w->has_stats ? w->stats.stats.frames_dropped : 0);
        add(list, o);
    }
    return list;
}

/* JSON's integers end at 2^63 here; a checksum above is shown as the digits it has, not as another number. */
static json_t *counter_value(uint64_t value)
{
    char digits[24];
    if (value <= INT64_MAX) return json_integer((json_int_t)value);
    (void)snprintf(digits, sizeof digits, "%" PRIu64, value);
    return json_string(digits);
}

static json_t *counters_json(const struct job *job)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < job->n_workers; i++) {
        const struct job_worker *w = &job->workers[i];
        for (uint32_t k = 0; w->has_stats && k < w->stats.stats.n_counters; k++) {
            const struct wire_counter *c = &w->stats.stats.counters[k];
            json_t *o = json_object();
            set_text(o, "operator", c->operator_id);
            set_count(o, "subtask", c->subtask);
            set_text(o, "name", c->name);
            set(o, "value", counter_value(c->value));
            add(list, o);
        }
    }
    return list;
}

/* Flink's names where the meaning is the same; what begins with "rocksdb" is zero before state has left memory. */
static json_t *slot_metrics_json(const struct wire_slot_stats *s)
{
    json_t *o = json_object();
    set_count(o, "memory-bytes", s->memory_bytes);
    set_count(o, "memory-budget-bytes", s->memory_budget);
    set_count(o, "entries", s->entries);
    set_count(o, "loads", s->loads);
    set_count(o, "evictions", s->evictions);
    set_count(o, "write-outs", s->write_outs);
    set_count(o, "snapshot-waits", s->waits);
    set_count(o, "compaction-stalls", s->stalls);
    set_count(o, "compaction-stalled-time-ms", s->stalled_ms);
    set_count(o, "filter-useful", s->filter_useful);
    set_count(o, "rocksdb-live-sst-files", s->sst_files);
    set_count(o, "rocksdb-live-sst-files-size", s->sst_bytes);
    set_count(o, "rocksdb-num-files-at-level0", s->level0_files);
    set_count(o, "rocksdb-block-cache-usage", s->cache_bytes);
    set_count(o, "rocksdb-estimate-table-readers-mem", s->reader_bytes);
    set_count(o, "rocksdb-num-running-compactions", s->compactions);
    set_count(o, "rocksdb-estimate-pending-compaction-bytes", s->compaction_pending_bytes);
    set_count(o, "rocksdb-compaction-read-bytes", s->compaction_read_bytes);
    set_count(o, "rocksdb-compaction-write-bytes", s->compaction_write_bytes);
    set_count(o, "rocksdb-gets", s->gets);
    set_count(o, "rocksdb-gets-found", s->gets_found);
    set_count(o, "rocksdb-bloom-filter-useful", s->bloom_useful);
    set_count(o, "rocksdb-ingested-files", s->ingested_files);
    set_count(o, "rocksdb-ingested-bytes", s->ingested_bytes);
    return o;
}

/* A worker tells of the slots that it runs; what it says of others is not shown. */
static json_t *state_json(const struct job *job)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < job->n_workers; i++) {
        const struct job_worker *w = &job->workers[i];
        for (uint32_t k = 0; w->has_stats && k < w->stats.stats.n_slots; k++) {
            const struct wire_slot_stats *s = &w->stats.stats.slots[k];
            if (s->slot >= job->n_slots || job->slot_worker[s->slot] != i) continue;
            json_t *o = json_object();
            set_count(o, "slot", s->slot);
            set_text(o, "taskmanager", w->taskmanager);
            set(o, "metrics", slot_metrics_json(s));
            add(list, o);
        }
    }
    return list;
}

static void set_request(json_t *o, const struct job *job)
{
    char hex[WEIR_DIGEST_TEXT];
    set_text(o, "plugin", digest_text(job->digest, hex));
    set_count(o, "parallelism", job->parallelism);
    json_t *args = json_array();
    for (uint32_t i = 1; i < job->n_args; i++) add(args, admin_json_text(job->args[i]));
    set(o, "args", args);
    set_text(o, "cwd", job->cwd);
}

/* The job that goes on for a rescaled one, or the one before; null: none. */
static json_t *relative_json(struct weir_id id)
{
    char text[WEIR_ID_TEXT];
    return id_is_zero(id) ? json_null() : json_string(id_text(id, text));
}

json_t *admin_json_job(const struct job *job, int64_t wall_ms)
{
    struct tally all = tally_job(job);
    json_t *o = json_object();
    set_id(o, "jid", job->id);
    set_text(o, "name", job_name(job));
    set_text(o, "state", job_state_name(job->state));
    set_count(o, "attempt", job->attempt);
    set_count(o, "restarts", job->n_restarts);
    set_count(o, "restored-checkpoint", job->restored_id);
    set(o, "successor", relative_json(job->successor.id));
    set(o, "predecessor", relative_json(job->predecessor));
    set_request(o, job);
    set_times(o, job, wall_ms);
    set_time(o, "now", wall_ms);
    set(o, "timestamps", timestamps_json(job));
    set(o, "failure", failure_json(&job->failure));
    set(o, "taskmanagers", workers_json(job));
    set(o, "vertices", vertices_json(job));
    set(o, "counters", counters_json(job));
    set(o, "state-backend", state_json(job));
    set(o, "status-counts", tally_json(&all, false));
    return o;
}

json_t *admin_json_exceptions(const struct job *job)
{
    bool failed = job->failure.code != WEIR_OK;
    json_t *o = json_object();
    set_id(o, "jid", job->id);
    set(o, "root-exception", failed ? admin_json_text(job->failure.reason) : json_null());
    set(o, "timestamp", failed ? json_integer(job->failure.wall_ms) : json_null());
    set(o, "failure", failure_json(&job->failure));
    json_t *history = json_array();
    for (uint32_t i = job->n_failures; i > 0; i--) add(history, failure_json(&job->failures[i - 1])); /* newest first */
    set(o, "history", history);
    set(o, "truncated", json_boolean(job->n_failures < job->n_restarts));
    return o;
}

/* ---- the plan ---- */

static const char *ship_strategy(enum graph_partition partition)
{
    switch (partition) {
    case GRAPH_FORWARD: return "FORWARD";
    case GRAPH_KEY: return "HASH";
    case GRAPH_REBALANCE: return "REBALANCE";
    case GRAPH_BROADCAST: return "BROADCAST";
    case GRAPH_GLOBAL: return "GLOBAL";
    case GRAPH_CUSTOM: return "CUSTOM";
    }
    return "?";
}

/* Flink's names. */
static const char *chaining(const struct graph_node *node)
{
    if (node->alone) return "NEVER";
    return node->chain ? "ALWAYS" : "HEAD";
}

static json_t *plan_operator_json(const struct graph_node *node)
{
    json_t *o = json_object();
    set_text(o, "id", node->id);
    set_text(o, "kind", node->name);
    set(o, "updating", json_boolean(node->updating));
    set_text(o, "chaining", chaining(node));
    if (node->kind == GRAPH_SOURCE) set_count(o, "splits", node->n_splits);
    return o;
}

static json_t *plan_input_json(const struct plan *plan, const struct graph *graph, const struct plan_vertex *v, uint32_t num)
{
    const struct plan_edge *e = &plan->edges[v->in[num]];
    const struct plan_vertex *from = &plan->vertices[e->from_vertex];
    json_t *o = json_object();
    set_count(o, "num", num);
    set_count(o, "id", e->from_vertex);
    set_text(o, "ship_strategy", ship_strategy(e->partition));
    set_text(o, "by", graph->nodes[v->ops[0].node].inputs[e->to_input].way);
    set_text(o, "operator", op_id(graph, from, e->from_op));
    set_count(o, "output", e->from_output);
    return o;
}

static json_t *plan_node_json(const struct plan *plan, const struct graph *graph, uint32_t index)
{
    const struct plan_vertex *v = &plan->vertices[index];
    json_t *operators = json_array(), *inputs = json_array();
    for (uint32_t i = 0; i < v->n_ops; i++) add(operators, plan_operator_json(&graph->nodes[v->ops[i].node]));
    for (uint32_t i = 0; i < v->n_in; i++) add(inputs, plan_input_json(plan, graph, v, i));
    json_t *o = json_object();
    set_count(o, "id", index);
    set_text(o, "operator", op_id(graph, v, 0));
    set_text(o, "description", v->name);
    set_count(o, "parallelism", v->parallelism);
    set(o, "operators", operators);
    set(o, "inputs", inputs);
    return o;
}

json_t *admin_json_plan(struct weir_id jid, const char *name, const struct plan *plan, const struct graph *graph)
{
    struct buffer text = {0}, dot = {0};
    plan_text(plan, graph, &text);
    plan_dot(plan, graph, &dot);
    json_t *nodes = json_array(), *drawn = json_object(), *o = json_object();
    for (uint32_t i = 0; i < plan->n_vertices; i++) add(nodes, plan_node_json(plan, graph, i));
    set_id(drawn, "jid", jid);
    set_text(drawn, "name", name);
    set(drawn, "nodes", nodes);
    set(o, "plan", drawn);
    set_text(o, "text", buffer_cstr(&text));
    set_text(o, "dot", buffer_cstr(&dot));
    buffer_close(&text);
    buffer_close(&dot);
    return o;
}

static json_t *operation_json(const struct planned *planned)
{
    if (planned->state == PLANS_READY) return admin_json_plan(planned->id, plans_name(planned), planned->plan, &planned->graph);
    json_t *failure = json_object(), *o = json_object();
    set_text(failure, "code", weir_err_name(planned->diag.code));
    set_text(failure, "reason", planned->diag.text);
    set(o, "failure", failure);
    return o;
}

json_t *admin_json_planned(const struct planned *planned)
{
    bool done = planned->state != PLANS_DESCRIBING;
    json_t *status = json_object(), *o = json_object();
    set_text(status, "id", done ? "COMPLETED" : "IN_PROGRESS");
    set(o, "status", status);
    if (done) set(o, "operation", operation_json(planned));
    return o;
}

/* ---- all jobs ---- */

json_t *admin_json_jobs(const struct master *m)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < master_n_jobs(m); i++) {
        const struct job *job = master_job_at(m, i);
        json_t *o = json_object();
        set_id(o, "id", job->id);
        set_text(o, "status", job_state_name(job->state));
        add(list, o);
    }
    json_t *o = json_object();
    set(o, "jobs", list);
    return o;
}

json_t *admin_json_jobs_overview(const struct master *m, int64_t wall_ms)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < master_n_jobs(m); i++) {
        const struct job *job = master_job_at(m, i);
        struct tally t = tally_job(job);
        json_t *o = json_object();
        set_id(o, "jid", job->id);
        set_text(o, "name", job_name(job));
        set_text(o, "state", job_state_name(job->state));
        set_times(o, job, wall_ms);
        set_time(o, "last-modification", job->n_history ? job->history[job->n_history - 1].wall_ms : started_ms(job));
        set(o, "tasks", tally_json(&t, true));
        add(list, o);
    }
    json_t *o = json_object();
    set(o, "jobs", list);
    return o;
}
