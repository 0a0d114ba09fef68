/* SPDX-License-Identifier: Apache-2.0 */
/* What is read from plugins, after the step that asks for it: graphs, and chunks for TaskManagers. */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "jobmanager/server_internal.h"
#include "runtime/base/assert.h"
#include "runtime/base/clock.h"
#include "runtime/base/process.h"

enum { CHUNK_BATCH = 16 }; /* chunks read in one turn */

/* What must not be done while the actions of a step are performed, since it steps again; or waits for a plugin that is not here yet. */
struct deferred {
    struct deferred *next;
    enum master_event_type type; /* CHUNK: read, then tell. DESCRIBED: begin to, and tell if that failed */
    uint64_t reader, offset;
    struct weir_digest digest;
    struct weir_id job;
};

static void put_last(struct jobmanager *s, struct deferred *d)
{
    d->next = NULL;
    *s->last = d;
    s->last = &d->next;
}

static void defer(struct jobmanager *s, const struct deferred *what)
{
    struct deferred *d = malloc(sizeof *d);
    WEIR_ASSERT(d != NULL); /* control code: as the master does */
    *d = *what;
    put_last(s, d);
}

void server_defer_describe(struct jobmanager *s, const struct job *job)
{
    defer(s, &(struct deferred){.type = MASTER_EV_DESCRIBED, .job = job->id, .digest = job->digest});
}

void server_defer_chunk(struct jobmanager *s, uint64_t reader, struct weir_digest digest, uint64_t offset)
{
    defer(s, &(struct deferred){.type = MASTER_EV_CHUNK, .reader = reader, .digest = digest, .offset = offset});
}

void server_resume_waiting(struct jobmanager *s)
{
    for (struct deferred *d; (d = s->waiting) != NULL;) {
        s->waiting = d->next;
        put_last(s, d);
    }
}

/* The plugin is the cluster's, but must be fetched from another JobManager first. */
static bool is_to_come(const struct jobmanager *s, struct weir_digest digest)
{
    const struct artifact *it = artifacts_find(s->artifacts, digest);
    return it && !it->here;
}

/* Copies the plugin from the store into a sealed memory file, checking that it still has its digest. */
static weir_err load_plugin(struct jobmanager *s, struct weir_digest digest, int *out, struct weir_diag *diag)
{
    struct sha256 hash;
    sha256_init(&hash);
    int fd = memfd_new("plugin");
    if (fd < 0) return weir_fail_errno(diag, errno, "make a memory file");
    size_t got = 1;
    weir_err err = WEIR_OK;
    for (uint64_t offset = 0; !err && got > 0; offset += got) {
        err = store_read(s->store, digest, offset, s->chunk, sizeof s->chunk, &got, diag);
        if (!err) sha256_update(&hash, s->chunk, got);
        if (!err) err = memfd_write(fd, offset, s->chunk, got, diag);
    }
    if (!err && !digest_equal(sha256_final(&hash), digest))
        err = weir_fail(diag, WEIR_E_CORRUPT, "the stored plugin has changed on the disk: upload it again");
    if (!err) err = memfd_seal(fd, diag);
    if (err) {
        close(fd);
        return err;
    }
    *out = fd;
    return WEIR_OK;
}

/* args: the job's, its name first. The rest of `config` is filled in. */
static weir_err start_describe(struct jobmanager *s, struct describe_config *config, struct weir_digest plugin, uint32_t n_args,
                               const char *const *args, struct weir_diag *diag)
{
    WEIR_ASSERT(s->n_describes < DESCRIBES_MAX);
    weir_err err = load_plugin(s, plugin, &config->plugin_fd, diag);
    if (err) return err;
    config->worker_path = s->config.worker_path;
    config->n_args = n_args > 0 ? n_args - 1 : 0;
    config->args = args + (n_args > 0 ? 1 : 0);
    err = describe_start(&s->describes[s->n_describes], config, diag);
    if (!err) s->n_describes++;
    return err;
}

static weir_err describe_of_job(struct jobmanager *s, const struct job *job, struct weir_diag *diag)
{
    struct describe_config config = {.job = job->id, .parallelism = job->parallelism, .name = job->name, .cwd = job->cwd};
    return start_describe(s, &config, job->digest, job->n_args, (const char *const *)job->args, diag);
}

weir_err server_describe(void *arg, const struct job_submission *sub, struct weir_diag *diag)
{
    struct describe_config config = {
        .job = sub->id, .parallelism = sub->parallelism ? sub->parallelism : 1, .name = sub->name, .cwd = sub->cwd};
    return start_describe(arg, &config, sub->digest, sub->n_args, sub->args, diag);
}

static void drop_describe(struct jobmanager *s, uint32_t index)
{
    describe_destroy(&s->describes[index]);
    s->describes[index] = s->describes[--s->n_describes];
}

void server_stop_describe(struct jobmanager *s, struct weir_id job)
{
    for (struct deferred **at = &s->waiting, *d; (d = *at) != NULL;) {
        if (d->type != MASTER_EV_DESCRIBED || !id_equal(d->job, job)) {
            at = &d->next;
            continue;
        }
        *at = d->next;
        free(d);
    }
    for (uint32_t i = 0; i < s->n_describes; i++) {
        if (!id_equal(describe_job(s->describes[i]), job)) continue;
        drop_describe(s, i);
        return;
    }
}

static void tell_described(struct jobmanager *s, struct weir_id job, weir_err err, const char *reason, struct graph *graph)
{
    struct graph none = {0};
    struct master_event ev = {.type = MASTER_EV_DESCRIBED};
    ev.described.job = job;
    ev.described.err = err;
    ev.described.reason = err ? reason : "";
    ev.described.graph = graph ? graph : &none;
    server_step(s, &ev);
}

static void begin_describe(struct jobmanager *s, const struct deferred *d)
{
    struct weir_diag diag = {0};
    const struct job *job = master_job_find(s->master, d->job);
    if (job && describe_of_job(s, job, &diag)) tell_described(s, d->job, diag.code, diag.text, NULL);
}

static void tell_chunk(struct jobmanager *s, const struct deferred *d)
{
    size_t got = 0;
    const struct store_artifact *a = store_find(s->store, d->digest);
    struct weir_diag diag;
    weir_err err = a ? store_read(s->store, d->digest, d->offset, s->chunk, sizeof s->chunk, &got, &diag) : WEIR_E_NOT_FOUND;
    if (a && err) log_warn("cannot read a plugin", "reason=\"%s\"", diag.text);
    struct master_event ev = {.type = MASTER_EV_CHUNK};
    ev.chunk.reader = d->reader;
    ev.chunk.digest = d->digest;
    ev.chunk.offset = d->offset;
    ev.chunk.total = err ? 0 : a->size;
    ev.chunk.data = (struct weir_bytes){s->chunk, (uint32_t)got};
    server_step(s, &ev);
}

void server_do_deferred(struct jobmanager *s)
{
    for (int i = 0; i < CHUNK_BATCH && s->first; i++) {
        struct deferred *d = s->first;
        s->first = d->next;
        if (!s->first) s->last = &s->first;
        if (is_to_come(s, d->digest)) {
            d->next = s->waiting;
            s->waiting = d;
            continue;
        }
        if (d->type == MASTER_EV_CHUNK)
            tell_chunk(s, d);
        else
            begin_describe(s, d);
        free(d);
    }
}

/* One that ends steps the master, which may stop or start others: the walk begins anew. */
void server_take_describes(struct jobmanager *s)
{
    for (uint32_t i = 0; i < s->n_describes; i++) {
        struct describe_result result;
        if (!describe_step(s->describes[i], &result)) continue;
        struct weir_id job = describe_job(s->describes[i]);
        drop_describe(s, i);
        if (!plans_described(&s->plans, job, result.err, result.diag.text, &result.graph, clock_mono_ms()))
            tell_described(s, job, result.err, result.diag.text, &result.graph);
        graph_close(&result.graph);
        i = UINT32_MAX;
    }
}

void server_forget_work(struct jobmanager *s)
{
    while (s->n_describes > 0) drop_describe(s, 0);
    plans_close(&s->plans);
    pending_close(&s->pending);
    s->plans = (struct plans){0};
    server_resume_waiting(s);
    for (struct deferred *d = s->first, *next; d; d = next) {
        next = d->next;
        free(d);
    }
    s->first = NULL;
    s->last = &s->first;
}
