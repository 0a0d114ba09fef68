/* SPDX-License-Identifier: Apache-2.0 */
/* Plugins: in the cache, or fetched from the JobManager chunk by chunk. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "runtime/base/assert.h"
#include "taskmanager/supervisor_internal.h"

static struct artifact *find_artifact(struct supervisor *s, struct weir_digest digest)
{
    for (uint32_t i = 0; i < s->n_artifacts; i++)
        if (digest_equal(s->artifacts[i].digest, digest)) return &s->artifacts[i];
    return NULL;
}

static void forget_artifact(struct supervisor *s, struct artifact *a)
{
    *a = s->artifacts[--s->n_artifacts];
}

static void drop_artifact(struct supervisor *s, struct artifact *a)
{
    supervisor_act(s, SUPERVISOR_DO_DROP_ARTIFACT)->drop_artifact.digest = a->digest;
    forget_artifact(s, a);
}

/* Room for one more: drops the plugin used longest ago. false: all are on their way. Running workers have their own copy. */
static bool make_room(struct supervisor *s)
{
    if (s->n_artifacts < SUPERVISOR_ARTIFACTS_MAX) return true;
    struct artifact *oldest = NULL;
    for (uint32_t i = 0; i < s->n_artifacts; i++) {
        struct artifact *a = &s->artifacts[i];
        if (a->state == ARTIFACT_READY && (!oldest || a->used < oldest->used)) oldest = a;
    }
    if (oldest) drop_artifact(s, oldest);
    return oldest != NULL;
}

static struct artifact *add_artifact(struct supervisor *s, struct weir_digest digest, enum artifact_state state)
{
    if (!make_room(s)) return NULL;
    struct artifact *a = &s->artifacts[s->n_artifacts++];
    *a = (struct artifact){.digest = digest, .state = state, .used = ++s->uses};
    return a;
}

/* Keeps up to SUPERVISOR_FETCH_WINDOW chunks on their way; the first alone, because it tells the size. */
static void request_chunks(struct supervisor *s, struct artifact *a)
{
    uint64_t end = a->expected + (uint64_t)SUPERVISOR_FETCH_WINDOW * WEIR_CHUNK_BYTES;
    if (end > a->total) end = a->total ? a->total : 1;
    while (a->requested < end) {
        struct wire_msg msg = {.type = WIRE_FETCH, .epoch = s->epoch};
        msg.fetch.digest = a->digest;
        msg.fetch.offset = a->requested;
        supervisor_tell(s, &msg);
        a->requested += WEIR_CHUNK_BYTES;
    }
}

/* The plugin cannot be had: so end all that wait for it. */
static void fail_waiting(struct supervisor *s, struct weir_digest digest, weir_err code, const char *reason)
{
    for (uint32_t i = s->n_workers; i > 0; i--) {
        struct worker *w = s->workers[i - 1];
        if (w->state == SUPERVISOR_WORKER_FETCHING && digest_equal(w->digest, digest)) worker_finish_now(s, w, WIRE_FAILED, code, reason);
    }
}

static void fail_fetch(struct supervisor *s, struct artifact *a, weir_err code, const char *fmt, ...) WEIR_PRINTF(4, 5);
static void fail_fetch(struct supervisor *s, struct artifact *a, weir_err code, const char *fmt, ...)
{
    char reason[WEIR_DIAG_MAX];
    va_list args;
    va_start(args, fmt);
    vsnprintf(reason, sizeof reason, fmt, args);
    va_end(args);
    struct weir_digest digest = a->digest;
    drop_artifact(s, a);
    fail_waiting(s, digest, code, reason);
}

static bool chunk_fits(const struct artifact *a, const struct wire_msg *msg)
{
    uint64_t left = msg->chunk.total - msg->chunk.offset; /* the decoder has checked that offset and data lie in total */
    uint64_t due = left < WEIR_CHUNK_BYTES ? left : WEIR_CHUNK_BYTES;
    return due > 0 && msg->chunk.data.length == due && (!a->total || a->total == msg->chunk.total);
}

void artifact_chunk(struct supervisor *s, const struct wire_msg *msg)
{
    char digest[WEIR_DIGEST_TEXT];
    struct artifact *a = find_artifact(s, msg->chunk.digest);
    if (!a || a->state != ARTIFACT_FETCHING || msg->chunk.offset != a->expected) {
        s->counts.messages_stale++; /* of a fetch that was given up */
        return;
    }
    if (!msg->chunk.total) {
        fail_fetch(s, a, WEIR_E_NOT_FOUND, "the JobManager has no plugin with digest %s", digest_text(a->digest, digest));
        return;
    }
    if (!chunk_fits(a, msg)) {
        fail_fetch(s, a, WEIR_E_PROTOCOL, "the JobManager sent a chunk of the plugin that does not fit");
        return;
    }
    struct supervisor_action *action = supervisor_act(s, SUPERVISOR_DO_STORE_CHUNK);
    action->store_chunk.digest = a->digest;
    action->store_chunk.offset = msg->chunk.offset;
    action->store_chunk.total = msg->chunk.total;
    action->store_chunk.data = supervisor_keep(s, msg->chunk.data.data, msg->chunk.data.length);
    a->total = msg->chunk.total;
    a->expected += msg->chunk.data.length;
    for (uint32_t i = 0; i < s->n_workers; i++)
        if (s->workers[i]->state == SUPERVISOR_WORKER_FETCHING) s->workers[i]->ready_ms = s->now_ms + s->config.ready_timeout_ms;
    if (a->expected == a->total)
        a->state = ARTIFACT_STORING;
    else
        request_chunks(s, a);
}

void artifact_ready(struct supervisor *s, struct weir_digest digest)
{
    struct artifact *a = find_artifact(s, digest);
    if (!a) a = add_artifact(s, digest, ARTIFACT_READY);
    if (!a) return; /* found at the start, and no room: the file is fetched again when it is needed */
    a->state = ARTIFACT_READY;
    a->used = ++s->uses;
    for (uint32_t i = 0; i < s->n_workers; i++) {
        struct worker *w = s->workers[i];
        if (w->state == SUPERVISOR_WORKER_FETCHING && digest_equal(w->digest, digest)) worker_spawn(s, w);
    }
}

void artifact_failed(struct supervisor *s, const struct supervisor_event *ev)
{
    struct artifact *a = find_artifact(s, ev->artifact.digest);
    if (a) forget_artifact(s, a);
    fail_waiting(s, ev->artifact.digest, ev->artifact.err ? ev->artifact.err : WEIR_E_IO, ev->artifact.reason);
}

void artifact_drop_fetches(struct supervisor *s)
{
    for (uint32_t i = s->n_artifacts; i > 0; i--)
        if (s->artifacts[i - 1].state == ARTIFACT_FETCHING) drop_artifact(s, &s->artifacts[i - 1]);
}

void artifact_provide(struct supervisor *s, struct worker *w)
{
    struct artifact *a = find_artifact(s, w->digest);
    if (a && a->state == ARTIFACT_READY) {
        a->used = ++s->uses;
        worker_spawn(s, w);
        return;
    }
    if (a) return; /* another worker waits for it, too */
    a = add_artifact(s, w->digest, ARTIFACT_FETCHING);
    if (a)
        request_chunks(s, a);
    else
        worker_finish_now(s, w, WIRE_FAILED, WEIR_E_LIMIT, "too many plugins are being fetched at once");
}

void artifact_expire(struct supervisor *s, struct weir_digest digest)
{
    struct artifact *a = find_artifact(s, digest);
    WEIR_ASSERT(a);
    fail_fetch(s, a, WEIR_E_TIMEOUT, "the plugin did not arrive: no chunk for %" PRIu32 " ms", s->config.ready_timeout_ms);
}
