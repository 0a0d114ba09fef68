/* SPDX-License-Identifier: Apache-2.0 */
/* A job and its checkpoints (job.h): between the coordinator on one side and workers, storage and catalog on the other; and the way back.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jobmanager/catalog_records.h"
#include "jobmanager/job_internal.h"
#include "jobmanager/restore.h"
#include "runtime/base/assert.h"

/* ---- what the coordinator decides ---- */

static void put_counter(struct job *job, struct job_actions *out)
{
    size_t at = out->bytes.len;
    records_counter(job->epoch, job->ckpt->id, &out->bytes);
    job_put(job, JOB_KEY_COUNTER, at, false, out);
}

static void put_pointers(struct job *job, struct job_actions *out)
{
    const struct ckpt_pointer *pointers[CKPT_RETAINED_MAX + 2];
    uint32_t n = ckpt_next_pointers(job->ckpt, pointers);
    size_t at = out->bytes.len;
    records_pointers(job->epoch, pointers, n, &out->bytes);
    job_put(job, JOB_KEY_POINTERS, at, false, out);
}

static void put_requests(struct job *job, struct job_actions *out)
{
    size_t at = out->bytes.len;
    records_requests(job->epoch, job->ckpt->requests, job->ckpt->n_requests, &out->bytes);
    job_put(job, JOB_KEY_REQUESTS, at, false, out);
}

static void tell_accepted(const struct ckpt_actions *acts, struct weir_id request, struct job_actions *out)
{
    size_t text = job_text(out, acts->refusal.text);
    struct job_action *accepted = job_act(out, JOB_DO_ACCEPTED);
    accepted->key = JOB_KEY_REQUESTS;
    accepted->request = request;
    accepted->code = acts->refusal.code;
    accepted->text = text;
}

static void order_storage(enum job_action_type type, const struct ckpt_action *what, const char *path, struct job_actions *out)
{
    size_t text = job_text(out, path);
    struct job_action *action = job_act(out, type);
    action->id = what->id;
    action->options = what->options;
    action->request = what->request;
    action->text = text;
}

static struct manifest_vertex *list_vertices(const struct job *job)
{
    struct manifest_vertex *vertices = calloc(job->plan->n_vertices, sizeof *vertices);
    WEIR_ASSERT(vertices);
    for (uint32_t v = 0; v < job->plan->n_vertices; v++) {
        const struct plan_vertex *from = &job->plan->vertices[v];
        vertices[v] = (struct manifest_vertex){.parallelism = from->parallelism, .n_operators = from->n_ops};
        vertices[v].operators = calloc(from->n_ops, sizeof *vertices[v].operators);
        WEIR_ASSERT(vertices[v].operators);
        for (uint32_t i = 0; i < from->n_ops; i++) {
            const struct graph_node *node = &job->graph.nodes[from->ops[i].node];
            vertices[v].operators[i] =
                (struct manifest_operator){.id = node->id, .name = node->name, .kind = node->kind, .n_splits = node->n_splits};
        }
    }
    return vertices;
}

static struct manifest_pack *list_packs(const struct ckpt *c)
{
    struct manifest_pack *packs = calloc(c->n_workers, sizeof *packs);
    WEIR_ASSERT(packs);
    for (uint32_t w = 0; w < c->n_workers; w++)
        packs[w] = (struct manifest_pack){.name = c->parts[w].pack,
                                          .bytes = c->parts[w].pack_bytes,
                                          .crc32c = c->parts[w].pack_crc32c,
                                          .state_bytes = c->parts[w].state_bytes};
    return packs;
}

/* Appends the manifest of the checkpoint under way to out->bytes. */
static weir_err encode_manifest(const struct job *job, const struct job_event *ev, struct job_actions *out, struct weir_diag *diag)
{
    const struct ckpt *c = job->ckpt;
    struct buffer graph = {0};
    weir_err err = graph_encode(&job->graph, &graph);
    WEIR_ASSERT(!err);
    struct manifest manifest = {
        .kind = c->options & CHECKPOINT_SAVEPOINT ? MANIFEST_SAVEPOINT : MANIFEST_CHECKPOINT,
        .job = job->id,
        .job_name = job_name(job),
        .attempt = job->attempt,
        .epoch = job->epoch,
        .checkpoint_id = c->id,
        .options = c->options,
        .triggered_ms = c->began_wall_ms,
        .created_ms = ev->wall_ms,
        .graph_fingerprint = job->graph.fingerprint,
        .plugin = job->digest,
        .version = WEIR_VERSION,
        .parallelism = job->parallelism,
        .n_vertices = job->plan->n_vertices,
        .vertices = list_vertices(job),
        .n_packs = c->n_workers,
        .packs = list_packs(c),
        .graph = {graph.data, (uint32_t)graph.len},
    };
    err = manifest_encode(&manifest, &out->bytes, diag);
    for (uint32_t v = 0; v < manifest.n_vertices; v++) free(manifest.vertices[v].operators);
    free(manifest.vertices);
    free(manifest.packs);
    buffer_close(&graph);
    return err;
}

static void seal(struct job *job, const struct ckpt_action *action, const struct job_event *ev, struct job_actions *out)
{
    struct weir_diag diag;
    size_t at = out->bytes.len;
    weir_err err = encode_manifest(job, ev, out, &diag);
    if (!err) {
        size_t len = out->bytes.len - at;
        order_storage(JOB_DO_SEAL, action, job->ckpt->path, out);
        out->at[out->n - 1].offset = at;
        out->at[out->n - 1].len = len;
        return;
    }
    out->bytes.err = WEIR_OK;
    out->bytes.len = at;
    struct ckpt_event sealed = {.type = CKPT_EV_SEALED};
    sealed.answer.id = job->ckpt->id;
    sealed.answer.err = err;
    sealed.answer.reason = diag.text;
    (void)job_checkpoints_step(job, &sealed, ev, out);
}

static void tell_workers(const struct job *job, const struct ckpt_action *action, const char *reason, struct job_actions *out)
{
    struct wire_msg msg = {.type = WIRE_TRIGGER};
    if (action->type == CKPT_DO_TRIGGER) {
        msg.trigger.id = action->id;
        msg.trigger.options = action->options;
        msg.trigger.dir = action->options & CHECKPOINT_SAVEPOINT ? job->ckpt->path : "";
    } else if (action->type == CKPT_DO_ABORT) {
        msg.type = WIRE_CHECKPOINT_ABORT;
        msg.abort.id = action->id;
        msg.abort.reason = reason;
    } else {
        msg.type = WIRE_CHECKPOINT_COMPLETE;
        msg.complete.id = action->id;
    }
    job_send_all(job, &msg, out);
}

static void fail_attempt(struct job *job, const struct weir_diag *why, const struct job_event *ev, struct job_actions *out)
{
    struct cause cause = {.code = why->code, .operator_id = "", .reason = why->text, .taskmanager = "", .subtask = -1};
    job_fail(job, &cause, ev, out);
}

static void perform(struct job *job, const struct ckpt_actions *acts, const struct ckpt_action *a, const struct job_event *ev,
                    struct job_actions *out)
{
    switch (a->type) {
    case CKPT_DO_RESERVE: put_counter(job, out); return;
    case CKPT_DO_BEGIN: order_storage(JOB_DO_BEGIN_CHECKPOINT, a, job->ckpt->path, out); return;
    case CKPT_DO_TRIGGER:
    case CKPT_DO_ABORT:
    case CKPT_DO_COMPLETE: tell_workers(job, a, acts->reason, out); return;
    case CKPT_DO_SEAL: seal(job, a, ev, out); return;
    case CKPT_DO_COMMIT: put_pointers(job, out); return;
    case CKPT_DO_DISCARD: order_storage(JOB_DO_DISCARD, a, a->path, out); return;
    case CKPT_DO_RECORD: put_requests(job, out); return;
    case CKPT_DO_ACCEPTED: tell_accepted(acts, a->request, out); return;
    case CKPT_DO_STOPPED: job_commit(job, out); return;
    case CKPT_DO_FAIL: fail_attempt(job, &acts->failure, ev, out); return;
    }
}

/* A line for each one that has come to its end in this step. */
static void tell_ends(const struct job *job, uint64_t completed_before, uint64_t failed_before, struct job_actions *out)
{
    const struct ckpt_history *h = &job->ckpt->history;
    const struct ckpt_stat *s = h->n ? &h->recent[h->n - 1] : NULL;
    if (h->n_failed > failed_before)
        job_tell(out, "checkpoint %" PRIu64 " failed, %s: %s", h->failed.id, ckpt_cause_name(h->failed.cause), h->failed.reason);
    if (h->n_completed == completed_before) return;
    if (s->status == CKPT_IN_PROGRESS) s--; /* the next one has begun in the same step */
    job_tell(out, "%s %" PRIu64 " completed in %" PRId64 " ms: %" PRIu64 " bytes, %" PRIu64 " of them new",
             s->options & CHECKPOINT_SAVEPOINT ? "savepoint" : "checkpoint", s->id, s->duration_ms, s->state_bytes, s->new_bytes);
}

enum ckpt_outcome job_checkpoints_step(struct job *job, struct ckpt_event *cev, const struct job_event *ev, struct job_actions *out)
{
    struct ckpt_actions acts = {0};
    uint64_t completed = job->ckpt->history.n_completed, failed = job->ckpt->history.n_failed;
    cev->now_ms = ev->now_ms;
    cev->wall_ms = ev->wall_ms;
    ckpt_step(job->ckpt, cev, &acts);
    tell_ends(job, completed, failed, out);
    for (uint32_t i = 0; i < acts.n; i++) perform(job, &acts, &acts.at[i], ev, out);
    if (cev->type == CKPT_EV_REQUEST) out->answer = acts.answer;
    enum ckpt_outcome outcome = acts.outcome;
    ckpt_actions_close(&acts);
    return outcome;
}

/* ---- attempts ---- */

static void attach(struct job *job, const struct ckpt_event *taken_over, const struct job_event *ev, struct job_actions *out)
{
    struct ckpt_event attempt = *taken_over;
    if (!job->ckpt) return;
    const struct ckpt_pointer *from = ckpt_restore_point(job->ckpt);
    if (from && from->id == job->restored_id) ckpt_history_restored(&job->ckpt->history, from->id, from->path, ev->wall_ms);
    attempt.attempt.attempt = job->attempt;
    attempt.attempt.n_workers = job->n_workers;
    attempt.attempt.plan = job->plan;
    (void)job_checkpoints_step(job, &attempt, ev, out);
}

void job_checkpoints_attach(struct job *job, const struct job_event *ev, struct job_actions *out)
{
    attach(job, &(struct ckpt_event){.type = CKPT_EV_ATTEMPT}, ev, out);
}

void job_checkpoints_take_over(struct job *job, const struct job_event *ev, struct job_actions *out)
{
    struct ckpt_event attempt = {.type = CKPT_EV_ATTEMPT};
    attempt.attempt.triggered = job->triggered;
    attempt.attempt.options = job->triggered_options;
    attach(job, &attempt, ev, out);
}

void job_checkpoints_detach(struct job *job, const char *reason, const struct job_event *ev, struct job_actions *out)
{
    struct ckpt_event detach = {.type = CKPT_EV_DETACH};
    if (!job->ckpt) return;
    detach.detach.reason = reason;
    (void)job_checkpoints_step(job, &detach, ev, out);
}

bool job_checkpoints_settled(const struct job *job)
{
    return !job->ckpt || ckpt_settled(job->ckpt);
}

const char *job_checkpoint_dir(const struct job *job)
{
    return job->ckpt ? job->ckpt->dir : "";
}

void job_on_checkpoint(struct job *job, const struct job_event *ev, struct job_actions *out)
{
    struct ckpt_event answer = {.type = ev->checkpoint.sealed ? CKPT_EV_SEALED : CKPT_EV_BEGUN};
    if (!job->ckpt) return;
    answer.answer.id = ev->checkpoint.id;
    answer.answer.err = ev->checkpoint.err;
    answer.answer.reason = ev->checkpoint.reason;
    answer.answer.bytes = ev->checkpoint.bytes;
    answer.answer.crc32c = ev->checkpoint.crc32c;
    (void)job_checkpoints_step(job, &answer, ev, out);
    job_leave_if_empty(job, ev, out); /* it may have waited for this */
}

/* ---- requests ---- */

void job_on_request(struct job *job, const struct job_event *ev, struct job_actions *out)
{
    struct ckpt_event request = {.type = CKPT_EV_REQUEST, .request = ev->request};
    const struct ckpt_request *same = job->ckpt ? ckpt_find_request(job->ckpt, ev->request.id) : NULL;
    if (same && same->options == ev->request.options && same->parallelism == ev->request.parallelism) return; /* it was asked for already */
    if (same)
        weir_fail(&out->answer, WEIR_E_EXISTS, "something else was asked for under this id already");
    else if (job_state_terminal(job->state))
        job_refuse_ended(job, &out->answer);
    else if (!job->ckpt)
        weir_fail(&out->answer, WEIR_E_STATE,
                  "the job has no checkpoints: run it with -D execution.checkpointing.interval=10s, or another interval");
    else
        (void)job_checkpoints_step(job, &request, ev, out);
}

void job_on_recorded(struct job *job, const struct job_event *ev, struct job_actions *out)
{
    struct ckpt_event recorded = {.type = CKPT_EV_RECORDED};
    recorded.answer.err = ev->stored.err;
    recorded.answer.reason = ev->stored.reason;
    (void)job_checkpoints_step(job, &recorded, ev, out);
    job_leave_if_empty(job, ev, out); /* it may have waited for this */
}

void job_find_successor(struct job *job)
{
    for (uint32_t i = 0; job->ckpt && i < job->ckpt->n_requests; i++) {
        const struct ckpt_request *r = &job->ckpt->requests[i];
        if (r->state != CKPT_REQUEST_DONE || !r->parallelism || r->attempt != job->attempt) continue;
        job->successor.id = r->successor;
        job->successor.parallelism = r->parallelism;
        snprintf(job->successor.path, sizeof job->successor.path, "%s", r->path);
    }
}

/* ---- restore ---- */

static void put_first_pointer(struct job *job, struct job_actions *out)
{
    const struct ckpt_pointer *first = &job->ckpt->retained[0];
    size_t at = out->bytes.len;
    records_pointers(job->epoch, &first, 1, &out->bytes);
    job_put(job, JOB_KEY_POINTERS, at, true, out);
}

void job_on_opened(struct job *job, const struct job_event *ev, struct job_actions *out)
{
    struct weir_diag diag;
    const struct manifest *m = ev->opened.manifest;
    if (ev->opened.err) {
        job_fail_text(job, ev->opened.err, "", ev, out, "cannot begin with %s: %s", job->from, ev->opened.reason);
        return;
    }
    weir_err err = restore_check(m, ev->opened.has_state, &job->graph, job->from_unmatched, &diag);
    if (!err) err = restore_splits(m, &job->graph, &diag);
    if (err) {
        job_fail_text(job, err, "", ev, out, "cannot begin with %s: %s", job->from, diag.text);
        return;
    }
    struct ckpt_pointer pointer = {.id = m->checkpoint_id,
                                   .options = m->options,
                                   .owned = job->from_claim,
                                   .path = job->from,
                                   .bytes = ev->opened.bytes,
                                   .crc32c = ev->opened.crc32c,
                                   .wall_ms = m->created_ms};
    for (uint32_t i = 0; i < m->n_packs; i++) pointer.state_bytes += m->packs[i].state_bytes;
    bool fits = ckpt_retain(job->ckpt, &pointer);
    WEIR_ASSERT(fits); /* it is the first */
    put_first_pointer(job, out);
}

bool job_pass_over(struct job *job, const char *reason, struct job_actions *out)
{
    const struct ckpt_pointer *from = ckpt_restore_point(job->ckpt);
    if (!job->options.older_checkpoint) {
        job_tell(out, "%s; execution.state-recovery.older-checkpoint=true would allow to restore an older one, whose output may be doubled",
                 reason);
        return false;
    }
    if (from && from->id == job->restored_id) ckpt_refuse(job->ckpt, from->id); /* the first worker to say so */
    from = ckpt_restore_point(job->ckpt);
    if (from)
        job_tell(out, "%s; AN OLDER ONE IS RESTORED, %" PRIu64 " at %s: output that was committed since is doubled", reason, from->id,
                 from->path);
    else
        job_tell(out, "%s, and there is no older one", reason);
    return from != NULL;
}

/* ---- the end ---- */

static bool retains(const struct job *job, enum job_state outcome)
{
    switch (outcome) {
    case JOB_FAILED: return job->options.retention != JOB_RETAIN_NOTHING;
    case JOB_CANCELED: return job->options.retention == JOB_RETAIN_ON_CANCEL_AND_FAIL;
    default: return false;
    }
}

void job_checkpoints_end(struct job *job, enum job_state outcome, struct job_actions *out)
{
    struct ckpt_actions acts = {0};
    if (!job->ckpt) return;
    if (retains(job, outcome)) {
        const struct ckpt_pointer *newest = ckpt_restore_point(job->ckpt);
        if (newest) job_tell(out, "checkpoint %" PRIu64 " is retained at %s", newest->id, newest->path);
        job_act(out, JOB_DO_END_STORAGE);
        return;
    }
    ckpt_discard_all(job->ckpt, &acts);
    for (uint32_t i = 0; i < acts.n; i++) order_storage(JOB_DO_DISCARD, &acts.at[i], acts.at[i].path, out);
    ckpt_actions_close(&acts);
    job_act(out, JOB_DO_END_STORAGE);
    job_act(out, JOB_DO_DELETE)->key = JOB_KEY_POINTERS;
}
