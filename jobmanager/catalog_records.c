/* SPDX-License-Identifier: Apache-2.0 */
#include "jobmanager/catalog_records.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/limits.h"
#include "runtime/wire/cursor.h"
#include "runtime/wire/pack.h"
#include "weir/stream.h"

enum { FORM = 1 };

/* Of a request: under way, or how it ended. COMPLETE: there is a savepoint, and the stop behind it has failed. */
enum { REQUEST_ACCEPTED = 1, REQUEST_DONE, REQUEST_FAILED, REQUEST_COMPLETE };

static const char *const names[JOB_KEYS] = {"submission", "graph", "attempt", "counter", "pointers", "result", "cancel", "requests"};

const char *records_key(struct weir_id job, enum job_key key, char out[static CATALOG_KEY_MAX + 1])
{
    char id[WEIR_ID_TEXT];
    snprintf(out, CATALOG_KEY_MAX + 1, RECORDS_PREFIX "%s/%s", id_text(job, id), names[key]);
    return out;
}

bool records_key_parse(const char *text, struct weir_id *job, enum job_key *key)
{
    char id[WEIR_ID_TEXT];
    size_t prefix = strlen(RECORDS_PREFIX);
    if (strncmp(text, RECORDS_PREFIX, prefix) != 0 || strlen(text) < prefix + WEIR_ID_TEXT || text[prefix + WEIR_ID_TEXT - 1] != '/')
        return false;
    snprintf(id, sizeof id, "%s", text + prefix);
    if (!id_parse(id, job)) return false;
    for (unsigned k = 0; k < JOB_KEYS; k++) {
        if (strcmp(names[k], text + prefix + WEIR_ID_TEXT) != 0) continue;
        *key = (enum job_key)k;
        return true;
    }
    return false;
}

const char *records_artifact_key(struct weir_digest digest, char out[static CATALOG_KEY_MAX + 1])
{
    char hex[WEIR_DIGEST_TEXT];
    snprintf(out, CATALOG_KEY_MAX + 1, RECORDS_ARTIFACT_PREFIX "%s", digest_text(digest, hex));
    return out;
}

bool records_artifact_key_parse(const char *text, struct weir_digest *out)
{
    size_t prefix = strlen(RECORDS_ARTIFACT_PREFIX);
    return strncmp(text, RECORDS_ARTIFACT_PREFIX, prefix) == 0 && digest_parse(text + prefix, out);
}

/* ---- encoders ---- */

static void pack_id(struct buffer *out, struct weir_id id)
{
    pack_bin(out, id.bytes, sizeof id.bytes);
}

void records_submission(const struct job_submission *sub, uint64_t number, int64_t submitted_wall_ms, struct buffer *out)
{
    pack_array(out, 15);
    pack_uint(out, FORM);
    pack_id(out, sub->id);
    pack_bin(out, sub->digest.bytes, sizeof sub->digest.bytes);
    pack_uint(out, sub->size);
    pack_str(out, sub->name);
    pack_str(out, sub->cwd);
    pack_uint(out, sub->parallelism);
    pack_uint(out, sub->progress_timeout_ms);
    pack_array(out, sub->n_args);
    for (uint32_t i = 0; i < sub->n_args; i++) pack_str(out, sub->args[i]);
    pack_array(out, 2 * (size_t)sub->n_options);
    for (uint32_t i = 0; i < sub->n_options; i++) {
        pack_str(out, sub->options[i].key);
        pack_str(out, sub->options[i].value);
    }
    pack_str(out, sub->from);
    pack_uint(out, (sub->from_claim ? 1u : 0u) | (sub->from_unmatched ? 2u : 0u));
    pack_id(out, sub->predecessor);
    pack_uint(out, number);
    pack_int(out, submitted_wall_ms);
}

void records_attempt(const struct job *job, uint32_t attempt, bool committing, struct buffer *out)
{
    uint32_t n = attempt == job->attempt ? job->n_workers : 0;
    pack_array(out, 5);
    pack_uint(out, FORM);
    pack_uint(out, job->epoch);
    pack_uint(out, attempt);
    pack_bool(out, committing);
    pack_array(out, n);
    for (uint32_t i = 0; i < n; i++) pack_str(out, job->workers[i].taskmanager);
}

void records_counter(uint64_t epoch, uint64_t id, struct buffer *out)
{
    pack_array(out, 3);
    pack_uint(out, FORM);
    pack_uint(out, epoch);
    pack_uint(out, id);
}

void records_pointers(uint64_t epoch, const struct ckpt_pointer *const *pointers, uint32_t n, struct buffer *out)
{
    pack_array(out, 3);
    pack_uint(out, FORM);
    pack_uint(out, epoch);
    pack_array(out, n);
    for (uint32_t i = 0; i < n; i++) {
        const struct ckpt_pointer *p = pointers[i];
        pack_array(out, 9);
        pack_uint(out, p->id);
        pack_uint(out, p->options);
        pack_bool(out, p->owned);
        pack_str(out, p->path);
        pack_uint(out, p->bytes);
        pack_uint(out, p->crc32c);
        pack_int(out, p->wall_ms);
        pack_uint(out, p->state_bytes);
        pack_id(out, p->request);
    }
}

static unsigned end_of(const struct ckpt_request *r)
{
    if (r->state == CKPT_REQUEST_DONE) return REQUEST_DONE;
    if (r->state != CKPT_REQUEST_FAILED) return REQUEST_ACCEPTED;
    return r->complete ? REQUEST_COMPLETE : REQUEST_FAILED;
}

void records_requests(uint64_t epoch, const struct ckpt_request *requests, uint32_t n, struct buffer *out)
{
    pack_array(out, 3);
    pack_uint(out, FORM);
    pack_uint(out, epoch);
    pack_array(out, n);
    for (uint32_t i = 0; i < n; i++) {
        const struct ckpt_request *r = &requests[i];
        pack_array(out, 9);
        pack_id(out, r->id);
        pack_uint(out, r->options);
        pack_uint(out, end_of(r));
        pack_uint(out, r->attempt);
        pack_uint(out, r->checkpoint);
        pack_uint(out, r->parallelism);
        pack_id(out, r->successor);
        pack_str(out, r->path);
        pack_str(out, r->failure);
    }
}

void records_cancel(uint64_t epoch, struct buffer *out)
{
    pack_array(out, 2);
    pack_uint(out, FORM);
    pack_uint(out, epoch);
}

void records_result(const struct job *job, enum job_state outcome, int64_t ended_wall_ms, struct buffer *out)
{
    const struct job_failure *f = &job->failure;
    pack_array(out, 14);
    pack_uint(out, FORM);
    pack_uint(out, job->epoch);
    pack_str(out, job_state_name(outcome));
    pack_uint(out, job->attempt);
    pack_int(out, ended_wall_ms);
    pack_uint(out, (uint64_t)f->code);
    pack_str(out, f->operator_id);
    pack_int(out, f->subtask);
    pack_str(out, f->reason);
    pack_str(out, f->taskmanager);
    pack_int(out, f->wall_ms);
    pack_id(out, job->successor.id);
    pack_uint(out, job->successor.parallelism);
    pack_str(out, job->successor.path);
}

void records_artifact(uint64_t epoch, const struct store_artifact *artifact, struct buffer *out)
{
    pack_array(out, 5);
    pack_uint(out, FORM);
    pack_uint(out, epoch);
    pack_uint(out, artifact->size);
    pack_str(out, artifact->name);
    pack_int(out, artifact->uploaded_wall_ms);
}

/* ---- decoders ---- */

/* A reader of one record: its cursor, and memory for its strings, which cannot be longer than the record. */
struct reader {
    struct cursor c;
    char *arena;
    size_t used;
};

/* A NUL-terminated copy; "" after an error. */
static const char *read_str(struct reader *r)
{
    struct weir_bytes text;
    if (!cursor_str(&r->c, &text)) return "";
    char *copy = r->arena + r->used;
    if (text.length) memcpy(copy, text.data, text.length);
    copy[text.length] = '\0';
    r->used += text.length + 1;
    return copy;
}

static uint64_t read_uint(struct reader *r, uint64_t max)
{
    uint64_t value = 0;
    (void)cursor_uint(&r->c, max, &value);
    return value;
}

static int64_t read_int(struct reader *r)
{
    int64_t value = 0;
    (void)cursor_int(&r->c, INT64_MIN, INT64_MAX, &value);
    return value;
}

static bool read_bool(struct reader *r)
{
    bool value = false;
    (void)cursor_bool(&r->c, &value);
    return value;
}

static void read_bytes(struct reader *r, void *out, size_t len)
{
    struct weir_bytes bytes;
    if (!cursor_bin(&r->c, &bytes)) return;
    if (bytes.length == len)
        memcpy(out, bytes.data, len);
    else
        r->c.broken = true;
}

static uint32_t read_array(struct reader *r, uint32_t max)
{
    uint32_t n = 0;
    if (!cursor_array(&r->c, &n)) return 0;
    if (n > max) r->c.broken = true;
    return n > max ? 0 : n;
}

static void take_submission(struct reader *r, struct records_job *out)
{
    static const size_t tables = WEIR_ARGS_MAX * sizeof(char *) + JOB_OPTIONS_MAX * sizeof(struct job_option);
    struct job_submission *sub = &out->submission;
    const char **args = (const char **)(void *)r->arena;
    struct job_option *options = (struct job_option *)(void *)(r->arena + WEIR_ARGS_MAX * sizeof(char *));
    r->used = tables;
    read_bytes(r, sub->id.bytes, sizeof sub->id.bytes);
    read_bytes(r, sub->digest.bytes, sizeof sub->digest.bytes);
    sub->size = read_uint(r, UINT64_MAX);
    sub->name = read_str(r);
    sub->cwd = read_str(r);
    sub->parallelism = (uint32_t)read_uint(r, UINT32_MAX);
    sub->progress_timeout_ms = (uint32_t)read_uint(r, UINT32_MAX);
    sub->n_args = read_array(r, WEIR_ARGS_MAX);
    for (uint32_t i = 0; i < sub->n_args; i++) args[i] = read_str(r);
    sub->args = args;
    uint32_t n = read_array(r, 2 * JOB_OPTIONS_MAX);
    if (n % 2) r->c.broken = true;
    sub->n_options = n / 2;
    for (uint32_t i = 0; i < sub->n_options; i++) {
        options[i].key = read_str(r);
        options[i].value = read_str(r);
    }
    sub->options = options;
    sub->from = read_str(r);
    uint64_t flags = read_uint(r, 3);
    sub->from_claim = flags & 1;
    sub->from_unmatched = flags & 2;
    read_bytes(r, sub->predecessor.bytes, sizeof sub->predecessor.bytes);
    out->number = read_uint(r, UINT64_MAX);
    out->recovery.submitted_wall_ms = read_int(r);
    out->submitted = true;
}

static void take_attempt(struct reader *r, struct records_job *out)
{
    (void)read_uint(r, UINT64_MAX); /* the epoch: only makes the value one of a kind */
    const char **taskmanagers = (const char **)(void *)r->arena;
    r->used = WEIR_TASKMANAGERS_MAX * sizeof(char *);
    out->recovery.attempt = (uint32_t)read_uint(r, UINT32_MAX - 1);
    out->recovery.committing = read_bool(r);
    out->recovery.n_taskmanagers = read_array(r, WEIR_TASKMANAGERS_MAX);
    for (uint32_t i = 0; i < out->recovery.n_taskmanagers; i++) taskmanagers[i] = read_str(r);
    out->recovery.taskmanagers = taskmanagers;
}

static void take_counter(struct reader *r, struct records_job *out)
{
    (void)read_uint(r, UINT64_MAX);
    out->recovery.counter = read_uint(r, UINT64_MAX - 1);
}

static void take_pointers(struct reader *r, struct records_job *out)
{
    (void)read_uint(r, UINT64_MAX);
    out->recovery.n_pointers = read_array(r, CKPT_RETAINED_MAX + 1);
    out->recovery.pointers = out->pointers;
    for (uint32_t i = 0; i < out->recovery.n_pointers; i++) {
        struct ckpt_pointer *p = &out->pointers[i];
        uint32_t n = read_array(r, 9);
        if (n < 8) r->c.broken = true;
        p->id = read_uint(r, UINT64_MAX - 1);
        p->options = (uint32_t)read_uint(r, CHECKPOINT_OPTIONS);
        p->owned = read_bool(r);
        p->path = (char *)(uintptr_t)read_str(r);
        p->bytes = read_uint(r, UINT64_MAX);
        p->crc32c = (uint32_t)read_uint(r, UINT32_MAX);
        p->wall_ms = read_int(r);
        p->state_bytes = read_uint(r, UINT64_MAX);
        if (n == 9) read_bytes(r, p->request.bytes, sizeof p->request.bytes); /* the version before had none */
        if (!p->id || (i && p->id <= out->pointers[i - 1].id)) r->c.broken = true;
    }
}

static void take_cancel(struct reader *r, struct records_job *out)
{
    (void)read_uint(r, UINT64_MAX);
    out->recovery.cancel = true;
}

static void read_text(struct reader *r, char out[static CKPT_TEXT_MAX])
{
    snprintf(out, CKPT_TEXT_MAX, "%s", read_str(r));
}

static void take_requests(struct reader *r, struct records_job *out)
{
    static const enum ckpt_request_state states[] = {[REQUEST_ACCEPTED] = CKPT_REQUEST_WAITING,
                                                     [REQUEST_DONE] = CKPT_REQUEST_DONE,
                                                     [REQUEST_FAILED] = CKPT_REQUEST_FAILED,
                                                     [REQUEST_COMPLETE] = CKPT_REQUEST_FAILED};
    (void)read_uint(r, UINT64_MAX);
    out->recovery.n_requests = read_array(r, CKPT_REQUESTS_MAX);
    out->recovery.requests = out->requests;
    for (uint32_t i = 0; i < out->recovery.n_requests; i++) {
        struct ckpt_request *q = &out->requests[i];
        if (read_array(r, 9) != 9) r->c.broken = true;
        read_bytes(r, q->id.bytes, sizeof q->id.bytes);
        q->options = (uint32_t)read_uint(r, CHECKPOINT_OPTIONS);
        uint64_t end = read_uint(r, REQUEST_COMPLETE);
        q->state = states[end];
        q->complete = end == REQUEST_COMPLETE;
        q->attempt = (uint32_t)read_uint(r, UINT32_MAX);
        q->checkpoint = read_uint(r, UINT64_MAX);
        q->parallelism = (uint32_t)read_uint(r, WEIR_PARALLELISM_MAX);
        read_bytes(r, q->successor.bytes, sizeof q->successor.bytes);
        read_text(r, q->path);
        read_text(r, q->failure);
        if (!q->state || id_is_zero(q->id)) r->c.broken = true;
    }
}

static enum job_state terminal_named(const char *name)
{
    for (enum job_state state = JOB_FINISHED; state <= JOB_CANCELED; state++)
        if (!strcmp(job_state_name(state), name)) return state;
    return 0;
}

static void take_result(struct reader *r, struct records_job *out)
{
    struct job_failure *f = &out->failure;
    (void)read_uint(r, UINT64_MAX);
    out->recovery.result = terminal_named(read_str(r));
    if (!out->recovery.result) r->c.broken = true;
    out->recovery.attempt = (uint32_t)read_uint(r, UINT32_MAX - 1);
    out->recovery.ended_wall_ms = read_int(r);
    f->code = (weir_err)read_uint(r, INT32_MAX);
    f->operator_id = (char *)(uintptr_t)read_str(r);
    f->subtask = (int32_t)read_int(r);
    f->reason = (char *)(uintptr_t)read_str(r);
    f->taskmanager = (char *)(uintptr_t)read_str(r);
    f->wall_ms = read_int(r);
    out->recovery.failure = f;
    read_bytes(r, out->successor.id.bytes, sizeof out->successor.id.bytes);
    out->successor.parallelism = (uint32_t)read_uint(r, UINT32_MAX);
    snprintf(out->successor.path, sizeof out->successor.path, "%s", read_str(r));
    out->recovery.successor = &out->successor;
}

static const struct {
    void (*take)(struct reader *r, struct records_job *out);
    uint32_t n_fields; /* with the form */
} takers[JOB_KEYS] = {
    [JOB_KEY_SUBMISSION] = {take_submission, 15}, [JOB_KEY_ATTEMPT] = {take_attempt, 5}, [JOB_KEY_COUNTER] = {take_counter, 3},
    [JOB_KEY_POINTERS] = {take_pointers, 3},      [JOB_KEY_RESULT] = {take_result, 14},  [JOB_KEY_CANCEL] = {take_cancel, 2},
    [JOB_KEY_REQUESTS] = {take_requests, 3},
};

static weir_err take_graph(struct records_job *out, struct weir_bytes value, struct weir_diag *diag)
{
    weir_err err = graph_decode(&out->graph, value.data, value.length, diag);
    if (!err) out->recovery.graph = &out->graph;
    return err;
}

weir_err records_take(struct records_job *out, enum job_key key, struct weir_bytes value, struct weir_diag *diag)
{
    struct reader r = {0};
    uint64_t form = 0;
    if (out->arenas[key] || (key == JOB_KEY_GRAPH && out->recovery.graph)) return weir_fail(diag, WEIR_E_CORRUPT, "it is there twice");
    if (key == JOB_KEY_GRAPH) return take_graph(out, value, diag);
    size_t tables = WEIR_ARGS_MAX * sizeof(char *) + JOB_OPTIONS_MAX * sizeof(struct job_option);
    if (key == JOB_KEY_ATTEMPT) tables = WEIR_TASKMANAGERS_MAX * sizeof(char *);
    r.arena = malloc(tables + value.length + 1);
    if (!r.arena) return weir_fail(diag, WEIR_E_NOMEM, "no memory");
    out->arenas[key] = r.arena;
    cursor_init(&r.c, value.data, value.length);
    uint32_t n = read_array(&r, UINT32_MAX);
    form = read_uint(&r, UINT64_MAX);
    if (!r.c.broken && (form != FORM || n != takers[key].n_fields))
        return weir_fail(diag, WEIR_E_UNSUPPORTED, "it has form %llu, which this version of Weir cannot read", (unsigned long long)form);
    takers[key].take(&r, out);
    if (cursor_done(&r.c)) return WEIR_OK;
    return weir_fail(diag, WEIR_E_CORRUPT, "its bytes make no sense");
}

void records_close(struct records_job *job)
{
    for (unsigned k = 0; k < JOB_KEYS; k++) free(job->arenas[k]);
    graph_close(&job->graph);
    *job = (struct records_job){0};
}

weir_err records_artifact_take(struct store_artifact *out, struct weir_bytes value, struct weir_diag *diag)
{
    struct cursor c;
    struct weir_bytes name = {0};
    struct store_artifact a = {.digest = out->digest};
    uint32_t n = 0;
    uint64_t form = 0, epoch = 0;
    cursor_init(&c, value.data, value.length);
    (void)cursor_array(&c, &n);
    (void)cursor_uint(&c, UINT64_MAX, &form);
    if (!c.broken && (form != FORM || n != 5))
        return weir_fail(diag, WEIR_E_UNSUPPORTED, "it has form %llu, which this version of Weir cannot read", (unsigned long long)form);
    (void)cursor_uint(&c, UINT64_MAX, &epoch);
    (void)cursor_uint(&c, WEIR_PLUGIN_MAX, &a.size);
    (void)cursor_str(&c, &name);
    (void)cursor_int(&c, INT64_MIN, INT64_MAX, &a.uploaded_wall_ms);
    if (!cursor_done(&c) || a.size == 0 || name.length > STORE_NAME_MAX) return weir_fail(diag, WEIR_E_CORRUPT, "its bytes make no sense");
    snprintf(a.name, sizeof a.name, "%.*s", (int)name.length, (const char *)name.data);
    *out = a;
    return WEIR_OK;
}
