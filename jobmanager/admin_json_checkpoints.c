/* SPDX-License-Identifier: Apache-2.0 */
/* What the admin endpoint shows of checkpoints; Flink's names where the meaning is the same. */
#include "jobmanager/admin_json.h"

static void set(json_t *object, const char *key, json_t *value)
{
    (void)json_object_set_new(object, key, value);
}

static void set_count(json_t *object, const char *key, uint64_t value)
{
    set(object, key, json_integer(value > INT64_MAX ? INT64_MAX : (json_int_t)value));
}

static void set_text(json_t *object, const char *key, const char *text)
{
    set(object, key, admin_json_text(text));
}

/* -1 where it has not happened yet. */
static void set_moment(json_t *object, const char *key, int64_t wall_ms)
{
    set(object, key, json_integer(wall_ms ? wall_ms : -1));
}

static json_t *stat_json(const struct ckpt_stat *s)
{
    bool savepoint = s->options & CHECKPOINT_SAVEPOINT, failed = s->status == CKPT_FAILED;
    if (!s->id) return json_null();
    json_t *o = json_object();
    set_count(o, "id", s->id);
    set_text(o, "status", ckpt_status_name(s->status));
    set(o, "is_savepoint", json_boolean(savepoint));
    set_text(o, "checkpoint_type",
             s->options & CHECKPOINT_STOP    ? "SYNC_SAVEPOINT"
             : savepoint                     ? "SAVEPOINT"
             : s->options & CHECKPOINT_FINAL ? "FINAL"
                                             : "CHECKPOINT");
    set(o, "manual", json_boolean(s->manual));
    set_count(o, "attempt", s->attempt);
    set_moment(o, "trigger_timestamp", s->trigger_wall_ms);
    set_moment(o, "latest_ack_timestamp", s->ack_wall_ms);
    set_moment(o, "end_timestamp", s->end_wall_ms);
    set(o, "end_to_end_duration", json_integer(s->status == CKPT_IN_PROGRESS ? -1 : s->duration_ms));
    set_count(o, "num_workers", s->n_workers);
    set_count(o, "num_acknowledged_workers", s->n_acked);
    set_count(o, "state_size", s->state_bytes);
    set_count(o, "checkpointed_size", s->new_bytes);
    set_count(o, "sync_us_max", s->sync_us_max);
    set_count(o, "alignment_us_max", s->align_us_max);
    set_count(o, "async_us_max", s->async_us_max);
    set_text(o, "external_path", s->path);
    set(o, "failure_cause", failed ? admin_json_text(ckpt_cause_name(s->cause)) : json_null());
    set(o, "failure_message", failed ? admin_json_text(s->reason) : json_null());
    return o;
}

static json_t *spread_json(const struct ckpt_spread *s)
{
    json_t *o = json_object();
    set_count(o, "min", s->least);
    set_count(o, "max", s->most);
    set_count(o, "avg", s->n ? s->sum / s->n : 0);
    return o;
}

static json_t *counts_json(const struct ckpt_history *h)
{
    json_t *o = json_object();
    set_count(o, "restored", h->n_restored);
    set_count(o, "total", h->n_total);
    set_count(o, "in_progress", h->n_total - h->n_completed - h->n_failed);
    set_count(o, "completed", h->n_completed);
    set_count(o, "failed", h->n_failed);
    return o;
}

static json_t *restored_json(const struct ckpt_history *h)
{
    if (!h->restored_id) return json_null();
    json_t *o = json_object();
    set_count(o, "id", h->restored_id);
    set_moment(o, "restore_timestamp", h->restored_wall_ms);
    set_text(o, "external_path", h->restored_path);
    return o;
}

static json_t *latest_json(const struct ckpt_history *h)
{
    json_t *o = json_object();
    set(o, "completed", stat_json(&h->completed));
    set(o, "savepoint", stat_json(&h->savepoint));
    set(o, "failed", stat_json(&h->failed));
    set(o, "restored", restored_json(h));
    return o;
}

static json_t *retained_json(const struct ckpt *c)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < c->n_retained; i++) {
        const struct ckpt_pointer *p = &c->retained[i];
        json_t *o = json_object();
        set_count(o, "id", p->id);
        set_text(o, "external_path", p->path);
        set(o, "is_savepoint", json_boolean(p->options & CHECKPOINT_SAVEPOINT));
        set_count(o, "state_size", p->state_bytes);
        set_moment(o, "completed", p->wall_ms);
        (void)json_array_append_new(list, o);
    }
    return list;
}

json_t *admin_json_checkpoints(const struct job *job)
{
    static const struct ckpt_history none;
    const struct ckpt_history *h = job->ckpt ? &job->ckpt->history : &none;
    json_t *o = json_object(), *summary = json_object(), *history = json_array();
    set(o, "enabled", json_boolean(job->ckpt != NULL));
    set(o, "counts", counts_json(h));
    set(summary, "end_to_end_duration", spread_json(&h->duration_ms));
    set(summary, "state_size", spread_json(&h->state_bytes));
    set(summary, "checkpointed_size", spread_json(&h->new_bytes));
    set(o, "summary", summary);
    set(o, "latest", latest_json(h));
    set(o, "retained", job->ckpt ? retained_json(job->ckpt) : json_array());
    for (uint32_t i = h->n; i > 0; i--) (void)json_array_append_new(history, stat_json(&h->recent[i - 1])); /* newest first */
    set(o, "history", history);
    return o;
}

static const char *retention_name(enum job_retention retention)
{
    switch (retention) {
    case JOB_RETAIN_NOTHING: return "NO_EXTERNALIZED_CHECKPOINTS";
    case JOB_RETAIN_ON_FAILURE: return "DELETE_ON_CANCELLATION";
    case JOB_RETAIN_ON_CANCEL_AND_FAIL: return "RETAIN_ON_CANCELLATION";
    }
    return "?";
}

json_t *admin_json_checkpoint_config(const struct job *job)
{
    const struct job_options *options = &job->options;
    json_t *o = json_object();
    set(o, "enabled", json_boolean(job->ckpt != NULL));
    set_text(o, "mode", options->at_least_once ? "at_least_once" : "exactly_once");
    set(o, "interval", json_integer(options->interval_ms));
    set(o, "timeout", json_integer(options->timeout_ms));
    set(o, "min_pause", json_integer(options->min_pause_ms));
    set(o, "alignment_timeout", json_integer(options->alignment_timeout_ms));
    set_count(o, "max_concurrent", 1);
    set_count(o, "tolerable_failed_checkpoints", options->tolerable_failures);
    set_count(o, "num_retained", options->n_retained);
    set_text(o, "externalization", retention_name(options->retention));
    set_text(o, "dir", job->ckpt ? job->ckpt->dir : "");
    set_text(o, "restart_strategy", restart_kind_name(job->restart.config.kind));
    return o;
}

static json_t *operation_json(const struct job *job, const struct ckpt_request *request, const char *why)
{
    char id[WEIR_ID_TEXT];
    json_t *o = json_object();
    if (request->checkpoint) set_count(o, "checkpointId", request->checkpoint);
    if (why) set_text(o, "failure-cause", why);
    if (request->state == CKPT_REQUEST_DONE || request->complete) set_text(o, "location", request->path);
    if (!why && request->parallelism && job->state == JOB_FINISHED) set_text(o, "jobid", id_text(request->successor, id));
    return o;
}

json_t *admin_json_request(const struct job *job, const struct ckpt_request *request)
{
    const char *why;
    enum ckpt_request_state state = job_request_state(job, request, &why);
    bool over = state == CKPT_REQUEST_DONE || state == CKPT_REQUEST_FAILED;
    json_t *o = json_object(), *status = json_object();
    set_text(status, "id", over ? "COMPLETED" : "IN_PROGRESS");
    set(o, "status", status);
    set(o, "operation", over ? operation_json(job, request, why) : json_null());
    return o;
}
