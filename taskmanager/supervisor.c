/* SPDX-License-Identifier: Apache-2.0 */
#include "taskmanager/supervisor.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "runtime/base/assert.h"
#include "runtime/wire/link.h"
#include "weir/stream.h"

enum { FAREWELL_MS = 1000 }; /* how long a stopping TaskManager tries to tell the JobManager how its workers ended */
enum { ENDED_KEPT = 256 };   /* ended attempts remembered, so that a repeated DEPLOY does not start them again */

/* How a worker ended, or why it had to; strings are owned. */
struct words {
    enum wire_outcome outcome; /* 0 = not known yet */
    weir_err code;
    char *operator_id, *reason;
    int32_t subtask;
};

struct worker {
    struct weir_id job;
    uint32_t attempt;
    uint64_t epoch;
    enum supervisor_worker_state state;
    uint32_t n_slots;
    struct weir_digest digest;
    uint32_t progress_timeout_ms;
    bool canceling;
    void *deploy; /* encoded; until SPAWN */
    size_t deploy_len;
    int64_t heard_ms;      /* STARTED, UP: last message, or the start */
    int64_t ready_ms;      /* FETCHING, STARTED: when it is too late */
    int64_t leave_ms;      /* when it must be gone: after CANCEL or ENDED; INT64_MAX before */
    struct words said;     /* by the worker itself, in ENDED */
    struct words sentence; /* by us, with KILL */
};

enum artifact_state { ARTIFACT_FETCHING, ARTIFACT_STORING, ARTIFACT_READY };

struct artifact {
    struct weir_digest digest;
    enum artifact_state state;
    uint64_t total;     /* 0 before the first chunk */
    uint64_t expected;  /* offset of the next chunk to come */
    uint64_t requested; /* offset of the next chunk to ask for */
    uint64_t used;      /* grows with each use, to find the one used longest ago */
};

struct attempt_id {
    struct weir_id job;
    uint32_t attempt;
};

struct supervisor {
    struct supervisor_config config;
    char *taskmanager, *host, *version;
    enum supervisor_state state;
    uint64_t epoch; /* highest seen */
    uint64_t n_incarnations;
    struct link *link;                           /* NULL in CLEARING, and in STOPPING when it has died */
    uint32_t heartbeat_ms, heartbeat_timeout_ms; /* of the next link */
    bool reconnect;                              /* tell the driver of the new link */
    bool refused;                                /* STOPPING: the JobManager does not want us */
    char *stop_reason;
    int64_t farewell_ms; /* STOPPING without workers: leave then; INT64_MAX before */

    struct slots slots;
    uint32_t n_workers;
    struct worker *workers[WEIR_SLOTS_MAX]; /* in order of DEPLOY; each holds a slot at least */
    uint32_t n_artifacts;
    struct artifact artifacts[SUPERVISOR_ARTIFACTS_MAX];
    uint64_t uses;
    uint32_t n_ended; /* all there ever were; the last ENDED_KEPT are in the ring */
    struct attempt_id ended[ENDED_KEPT];
    struct supervisor_counts counts;

    /* of the step that runs */
    int64_t now_ms;
    struct supervisor_actions *out;
    struct buffer packet;
};

/* ---- small things ---- */

struct blob {
    struct blob *next;
    unsigned char data[];
};

static char *copy_text(const char *text)
{
    char *copy = strdup(text ? text : "");
    WEIR_ASSERT(copy);
    return copy;
}

/* The n-th incarnation derived from a random one: different for each n, and as good as random to everyone else. */
static struct weir_id derive(struct weir_id base, uint64_t n)
{
    for (int i = 0; i < 8; i++) base.bytes[8 + i] ^= (uint8_t)(n >> (8 * i));
    return base;
}

static void trace(struct supervisor *s, bool notable, const char *fmt, ...) WEIR_PRINTF(3, 4);
static void trace(struct supervisor *s, bool notable, const char *fmt, ...)
{
    if (!s->config.trace) return;
    char line[WEIR_DIAG_MAX + 256];
    va_list args;
    va_start(args, fmt);
    vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    s->config.trace(s->config.trace_arg, notable, line);
}

#define SHORT_ID 9 /* eight hex digits and NUL: enough to tell jobs apart in a line */

static const char *short_id(struct weir_id id, char out[static SHORT_ID])
{
    char text[WEIR_ID_TEXT];
    memcpy(out, id_text(id, text), SHORT_ID - 1);
    out[SHORT_ID - 1] = '\0';
    return out;
}

static void trace_worker(struct supervisor *s, const struct worker *w, bool notable, const char *what, const char *more)
{
    char id[SHORT_ID];
    trace(s, notable, "worker of job %s attempt %" PRIu32 " %s%s%s", short_id(w->job, id), w->attempt, what, *more ? ": " : "", more);
}

/* ---- actions ---- */

void supervisor_actions_init(struct supervisor_actions *a)
{
    *a = (struct supervisor_actions){0};
}

static void clear(struct supervisor_actions *a)
{
    struct blob *blob = a->blobs;
    while (blob) {
        struct blob *next = blob->next;
        free(blob);
        blob = next;
    }
    a->blobs = NULL;
    a->n = 0;
}

void supervisor_actions_close(struct supervisor_actions *a)
{
    clear(a);
    free(a->at);
    *a = (struct supervisor_actions){0};
}

static struct supervisor_action *act(struct supervisor *s, enum supervisor_action_type type)
{
    struct supervisor_actions *a = s->out;
    if (a->n == a->cap) {
        a->cap = a->cap ? 2 * a->cap : 16;
        a->at = realloc(a->at, a->cap * sizeof *a->at);
        WEIR_ASSERT(a->at);
    }
    a->at[a->n] = (struct supervisor_action){.type = type};
    return &a->at[a->n++];
}

static struct weir_bytes keep(struct supervisor *s, const void *data, size_t len)
{
    struct blob *blob = malloc(sizeof *blob + len + 1);
    WEIR_ASSERT(blob);
    memcpy(blob->data, data, len);
    blob->data[len] = '\0';
    blob->next = s->out->blobs;
    s->out->blobs = blob;
    return (struct weir_bytes){blob->data, (uint32_t)len};
}

/* ---- to the JobManager ---- */

static void tell_bytes(struct supervisor *s, const void *data, size_t len)
{
    if (!s->link) return;
    /* A link that has died, or dies of a full window, is noticed at the end of the step; all workers end then. */
    weir_err err = link_send(s->link, data, len, s->now_ms);
    WEIR_ASSERT(err != WEIR_E_NOMEM);
    WEIR_ASSERT(err != WEIR_E_ARGUMENT);
}

static void tell(struct supervisor *s, const struct wire_msg *msg)
{
    struct buffer bytes;
    buffer_init(&bytes, 0);
    weir_err err = wire_msg_encode(msg, &bytes);
    WEIR_ASSERT(!err);
    tell_bytes(s, bytes.data, bytes.len);
    buffer_close(&bytes);
}

static void tell_ended(struct supervisor *s, uint64_t epoch, struct weir_id job, uint32_t attempt, const struct words *words)
{
    struct wire_msg msg = {.type = WIRE_WORKER_ENDED, .epoch = epoch, .job = job, .attempt = attempt};
    msg.ended.outcome = words->outcome;
    msg.ended.failure =
        (struct wire_failure){.code = words->code, .operator_id = words->operator_id, .subtask = words->subtask, .reason = words->reason};
    tell(s, &msg);
}

static void begin_link(struct supervisor *s)
{
    struct link_config config = {.self = derive(s->config.incarnation, ++s->n_incarnations),
                                 .heartbeat_ms = s->heartbeat_ms,
                                 .timeout_ms = s->heartbeat_timeout_ms,
                                 .retransmit_ms = s->config.retransmit_ms};
    weir_err err = link_new(&s->link, &config, s->now_ms);
    WEIR_ASSERT(!err);
    s->state = SUPERVISOR_REGISTERING;
    s->reconnect = true;
    struct wire_msg msg = {.type = WIRE_REGISTER, .epoch = s->epoch};
    msg.reg.taskmanager = s->taskmanager;
    msg.reg.incarnation = config.self;
    msg.reg.host = s->host;
    msg.reg.slots = s->config.slots;
    msg.reg.pid = s->config.pid;
    msg.reg.version = s->version;
    tell(s, &msg);
}

/* ---- words ---- */

static void close_words(struct words *w)
{
    free(w->operator_id);
    free(w->reason);
    *w = (struct words){0};
}

/* Comes from a worker or its black box, which user code may have written to: the wire has room for so much. */
static int32_t bounded_subtask(int32_t subtask)
{
    return subtask < -1 || subtask >= WEIR_PARALLELISM_MAX ? -1 : subtask;
}

static struct words make_words(enum wire_outcome outcome, weir_err code, const char *operator_id, int32_t subtask, const char *reason)
{
    return (struct words){.outcome = outcome,
                          .code = code,
                          .operator_id = copy_text(operator_id),
                          .subtask = bounded_subtask(subtask),
                          .reason = copy_text(reason)};
}

/* ---- workers ---- */

static struct worker *find_worker(const struct supervisor *s, struct weir_id job, uint32_t attempt)
{
    for (uint32_t i = 0; i < s->n_workers; i++)
        if (s->workers[i]->attempt == attempt && id_equal(s->workers[i]->job, job)) return s->workers[i];
    return NULL;
}

static struct worker *find_job(const struct supervisor *s, struct weir_id job)
{
    for (uint32_t i = 0; i < s->n_workers; i++)
        if (id_equal(s->workers[i]->job, job)) return s->workers[i];
    return NULL;
}

static void destroy_worker(struct worker *w)
{
    close_words(&w->said);
    close_words(&w->sentence);
    free(w->deploy);
    free(w);
}

/* The worker is no more: frees its slots, tells the JobManager, forgets it. */
static void finish(struct supervisor *s, struct worker *w, const struct words *words)
{
    static const char *const outcomes[] = {"ended", "committed", "failed", "was canceled"};
    trace_worker(s, w, true, outcomes[words->outcome], words->reason);
    slots_release(&s->slots, w->job, w->attempt);
    s->ended[s->n_ended++ % ENDED_KEPT] = (struct attempt_id){w->job, w->attempt};
    tell_ended(s, w->epoch, w->job, w->attempt, words);
    uint32_t i = 0;
    while (s->workers[i] != w) i++;
    memmove(&s->workers[i], &s->workers[i + 1], (s->n_workers - i - 1) * sizeof(struct worker *));
    s->n_workers--;
    destroy_worker(w);
}

static void finish_now(struct supervisor *s, struct worker *w, enum wire_outcome outcome, weir_err code, const char *reason)
{
    struct words words = make_words(outcome, code, "", -1, reason);
    finish(s, w, &words);
    close_words(&words);
}

/* Ends a worker whatever it does. One without a process is finished at once: `w` may be gone afterwards. */
static void kill_worker(struct supervisor *s, struct worker *w, enum wire_outcome outcome, weir_err code, const char *reason)
{
    if (w->state == SUPERVISOR_WORKER_KILLED) return;
    if (w->state == SUPERVISOR_WORKER_FETCHING) {
        finish_now(s, w, outcome, code, reason);
        return;
    }
    trace_worker(s, w, true, "is killed", reason);
    w->state = SUPERVISOR_WORKER_KILLED;
    w->sentence = make_words(outcome, code, "", -1, reason);
    s->counts.workers_killed++;
    struct supervisor_action *action = act(s, SUPERVISOR_DO_KILL);
    action->kill.job = w->job;
    action->kill.attempt = w->attempt;
}

static void kill_all(struct supervisor *s, weir_err code, const char *reason)
{
    for (uint32_t i = s->n_workers; i > 0; i--) kill_worker(s, s->workers[i - 1], WIRE_FAILED, code, reason);
}

static void spawn(struct supervisor *s, struct worker *w)
{
    struct weir_bytes deploy = keep(s, w->deploy, w->deploy_len);
    free(w->deploy);
    w->deploy = NULL;
    w->state = SUPERVISOR_WORKER_STARTED;
    w->heard_ms = s->now_ms;
    w->ready_ms = s->now_ms + s->config.ready_timeout_ms;
    s->counts.workers_started++;
    trace_worker(s, w, false, "is started", "");
    struct supervisor_action *action = act(s, SUPERVISOR_DO_SPAWN);
    action->spawn.job = w->job;
    action->spawn.attempt = w->attempt;
    action->spawn.digest = w->digest;
    action->spawn.deploy = deploy;
}

/* ---- plugins ---- */

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
    act(s, SUPERVISOR_DO_DROP_ARTIFACT)->drop_artifact.digest = a->digest;
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
        tell(s, &msg);
        a->requested += WEIR_CHUNK_BYTES;
    }
}

/* The plugin cannot be had: so end all that wait for it. */
static void fail_waiting(struct supervisor *s, struct weir_digest digest, weir_err code, const char *reason)
{
    for (uint32_t i = s->n_workers; i > 0; i--) {
        struct worker *w = s->workers[i - 1];
        if (w->state == SUPERVISOR_WORKER_FETCHING && digest_equal(w->digest, digest)) finish_now(s, w, WIRE_FAILED, code, reason);
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

static void on_chunk(struct supervisor *s, const struct wire_msg *msg)
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
    struct supervisor_action *action = act(s, SUPERVISOR_DO_STORE_CHUNK);
    action->store_chunk.digest = a->digest;
    action->store_chunk.offset = msg->chunk.offset;
    action->store_chunk.total = msg->chunk.total;
    action->store_chunk.data = keep(s, msg->chunk.data.data, msg->chunk.data.length);
    a->total = msg->chunk.total;
    a->expected += msg->chunk.data.length;
    for (uint32_t i = 0; i < s->n_workers; i++)
        if (s->workers[i]->state == SUPERVISOR_WORKER_FETCHING) s->workers[i]->ready_ms = s->now_ms + s->config.ready_timeout_ms;
    if (a->expected == a->total)
        a->state = ARTIFACT_STORING;
    else
        request_chunks(s, a);
}

static void on_artifact_ready(struct supervisor *s, struct weir_digest digest)
{
    struct artifact *a = find_artifact(s, digest);
    if (!a) a = add_artifact(s, digest, ARTIFACT_READY);
    if (!a) return; /* found at the start, and no room: the file is fetched again when it is needed */
    a->state = ARTIFACT_READY;
    a->used = ++s->uses;
    for (uint32_t i = 0; i < s->n_workers; i++) {
        struct worker *w = s->workers[i];
        if (w->state == SUPERVISOR_WORKER_FETCHING && digest_equal(w->digest, digest)) spawn(s, w);
    }
}

static void on_artifact_failed(struct supervisor *s, const struct supervisor_event *ev)
{
    struct artifact *a = find_artifact(s, ev->artifact.digest);
    if (a) forget_artifact(s, a);
    fail_waiting(s, ev->artifact.digest, ev->artifact.err ? ev->artifact.err : WEIR_E_IO, ev->artifact.reason);
}

/* Gives up the fetches that are under way: the link that carried them is dead. */
static void drop_fetches(struct supervisor *s)
{
    for (uint32_t i = s->n_artifacts; i > 0; i--)
        if (s->artifacts[i - 1].state == ARTIFACT_FETCHING) drop_artifact(s, &s->artifacts[i - 1]);
}

/* ---- orders of the JobManager ---- */

static bool has_ended(const struct supervisor *s, struct weir_id job, uint32_t attempt)
{
    uint32_t n = s->n_ended < ENDED_KEPT ? s->n_ended : ENDED_KEPT;
    for (uint32_t i = 0; i < n; i++)
        if (s->ended[i].attempt == attempt && id_equal(s->ended[i].job, job)) return true;
    return false;
}

static void refuse_deploy(struct supervisor *s, const struct wire_msg *msg, weir_err code, const char *fmt, ...) WEIR_PRINTF(4, 5);
static void refuse_deploy(struct supervisor *s, const struct wire_msg *msg, weir_err code, const char *fmt, ...)
{
    char reason[WEIR_DIAG_MAX];
    va_list args;
    va_start(args, fmt);
    vsnprintf(reason, sizeof reason, fmt, args);
    va_end(args);
    trace(s, true, "refused to deploy: %s", reason);
    struct words words = make_words(WIRE_FAILED, code, "", -1, reason);
    tell_ended(s, msg->epoch, msg->job, msg->attempt, &words);
    close_words(&words);
}

static struct worker *new_worker(struct supervisor *s, const struct wire_msg *msg, uint32_t n_slots, struct weir_bytes bytes)
{
    struct worker *w = calloc(1, sizeof *w);
    WEIR_ASSERT(w);
    w->job = msg->job;
    w->attempt = msg->attempt;
    w->epoch = msg->epoch;
    w->state = SUPERVISOR_WORKER_FETCHING;
    w->n_slots = n_slots;
    w->digest = msg->deploy.digest;
    w->progress_timeout_ms = msg->deploy.progress_timeout_ms ? msg->deploy.progress_timeout_ms : WEIR_PROGRESS_TIMEOUT_MS;
    w->deploy = malloc(bytes.length);
    WEIR_ASSERT(w->deploy);
    memcpy(w->deploy, bytes.data, bytes.length);
    w->deploy_len = bytes.length;
    w->ready_ms = s->now_ms + s->config.ready_timeout_ms;
    w->leave_ms = INT64_MAX;
    s->workers[s->n_workers++] = w; /* there is room: each worker holds a slot */
    return w;
}

static uint32_t own_slots(const struct wire_msg *msg)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < msg->deploy.n_slots; i++) n += msg->deploy.slot_worker[i] == msg->deploy.worker;
    return n;
}

/* The plugin for a new worker: from the cache, or on its way. */
static void provide_plugin(struct supervisor *s, struct worker *w)
{
    struct artifact *a = find_artifact(s, w->digest);
    if (a && a->state == ARTIFACT_READY) {
        a->used = ++s->uses;
        spawn(s, w);
        return;
    }
    if (a) return; /* another worker waits for it, too */
    a = add_artifact(s, w->digest, ARTIFACT_FETCHING);
    if (a)
        request_chunks(s, a);
    else
        finish_now(s, w, WIRE_FAILED, WEIR_E_LIMIT, "too many plugins are being fetched at once");
}

static void on_deploy(struct supervisor *s, const struct wire_msg *msg, struct weir_bytes bytes)
{
    uint32_t n_slots = own_slots(msg);
    const struct worker *other = find_job(s, msg->job);
    if (find_worker(s, msg->job, msg->attempt) || has_ended(s, msg->job, msg->attempt)) {
        s->counts.messages_stale++;
        return;
    }
    if (s->state != SUPERVISOR_REGISTERED) {
        refuse_deploy(s, msg, WEIR_E_STATE, "TaskManager %s (%s) takes no work now", s->taskmanager, s->host);
        return;
    }
    if (other) {
        refuse_deploy(s, msg, WEIR_E_STATE,
                      "attempt %" PRIu32 " of this job still runs on TaskManager %s; attempt %" PRIu32 " was not started", other->attempt,
                      s->taskmanager, msg->attempt);
        return;
    }
    if (!n_slots || !slots_take(&s->slots, msg->job, msg->attempt, n_slots)) {
        refuse_deploy(s, msg, WEIR_E_LIMIT, "TaskManager %s (%s) has %" PRIu32 " free slots, but was ordered to use %" PRIu32,
                      s->taskmanager, s->host, s->slots.n_free, n_slots);
        return;
    }
    provide_plugin(s, new_worker(s, msg, n_slots, bytes));
}

static void to_worker(struct supervisor *s, const struct worker *w, struct weir_bytes bytes)
{
    struct weir_bytes copy = keep(s, bytes.data, bytes.length);
    struct supervisor_action *action = act(s, SUPERVISOR_DO_TO_WORKER);
    action->to_worker.job = w->job;
    action->to_worker.attempt = w->attempt;
    action->to_worker.data = copy;
}

static void on_cancel(struct supervisor *s, struct worker *w, struct weir_bytes bytes)
{
    w->canceling = true;
    switch (w->state) {
    case SUPERVISOR_WORKER_FETCHING: finish_now(s, w, WIRE_CANCELED, WEIR_OK, ""); return;
    case SUPERVISOR_WORKER_STARTED:
    case SUPERVISOR_WORKER_UP:
        to_worker(s, w, bytes);
        w->leave_ms = s->now_ms + s->config.cancel_timeout_ms;
        return;
    case SUPERVISOR_WORKER_LEAVING:
    case SUPERVISOR_WORKER_KILLED: return; /* is going already */
    }
}

/* START, COMMIT, CANCEL: for exactly the attempt that they name. */
static void on_order(struct supervisor *s, const struct wire_msg *msg, struct weir_bytes bytes)
{
    struct worker *w = find_worker(s, msg->job, msg->attempt);
    if (!w || msg->epoch < w->epoch) {
        s->counts.messages_stale++;
        return;
    }
    if (msg->type == WIRE_CANCEL)
        on_cancel(s, w, bytes);
    else if (w->state == SUPERVISOR_WORKER_UP)
        to_worker(s, w, bytes);
}

static void on_registered(struct supervisor *s, const struct wire_msg *msg)
{
    if (s->state != SUPERVISOR_REGISTERING) return;
    trace(s, true, "registered with the JobManager");
    s->state = SUPERVISOR_REGISTERED;
    s->heartbeat_ms = msg->registered.heartbeat_ms;
    s->heartbeat_timeout_ms = msg->registered.heartbeat_timeout_ms;
}

static void begin_stop(struct supervisor *s, const char *reason, bool refused)
{
    if (s->state == SUPERVISOR_STOPPING) return;
    trace(s, true, "stops: %s", reason);
    char text[WEIR_DIAG_MAX];
    snprintf(text, sizeof text, "TaskManager %s (%s) was shut down: %s", s->taskmanager, s->host, reason);
    s->state = SUPERVISOR_STOPPING;
    s->refused = refused;
    s->stop_reason = copy_text(reason);
    kill_all(s, WEIR_E_STATE, text);
}

static void on_master_message(struct supervisor *s, struct weir_bytes bytes)
{
    struct wire_msg msg;
    if (wire_msg_decode(&msg, bytes.data, bytes.length, NULL)) {
        s->counts.messages_broken++;
        return;
    }
    if (msg.epoch < s->epoch) {
        s->counts.messages_stale++;
        wire_msg_close(&msg);
        return;
    }
    s->epoch = msg.epoch;
    switch (msg.type) {
    case WIRE_REGISTERED: on_registered(s, &msg); break;
    case WIRE_REFUSED: begin_stop(s, msg.refused.reason, true); break;
    case WIRE_CHUNK: on_chunk(s, &msg); break;
    case WIRE_DEPLOY: on_deploy(s, &msg, bytes); break;
    case WIRE_START:
    case WIRE_COMMIT:
    case WIRE_CANCEL: on_order(s, &msg, bytes); break;
    default: s->counts.messages_broken++; break;
    }
    wire_msg_close(&msg);
}

static void on_packet(struct supervisor *s, struct weir_bytes packet)
{
    enum link_outcome outcome = s->link ? link_receive(s->link, packet.data, packet.length, s->now_ms) : LINK_STALE;
    if (outcome == LINK_STALE || outcome == LINK_CORRUPT) {
        s->counts.packets_dropped++;
        return;
    }
    struct weir_bytes bytes;
    while (link_next(s->link, &bytes)) on_master_message(s, bytes);
}

/* ---- what workers say ---- */

static void on_goodbye(struct supervisor *s, struct worker *w, const struct wire_msg *msg)
{
    const struct wire_failure *f = &msg->ended.failure;
    w->said = make_words((enum wire_outcome)msg->ended.outcome, f->code, f->operator_id, f->subtask, f->reason);
    if (w->state == SUPERVISOR_WORKER_KILLED) return; /* it said so before the signal came */
    w->state = SUPERVISOR_WORKER_LEAVING;
    w->leave_ms = s->now_ms + s->config.cancel_timeout_ms;
}

static void on_alive(struct supervisor *s, struct worker *w, const struct wire_msg *msg)
{
    if (msg->alive.stalled_ms <= w->progress_timeout_ms) return;
    char reason[160];
    snprintf(reason, sizeof reason, "no progress for %" PRIu64 " ms: a step does not return (--progress-timeout is %" PRIu32 " ms)",
             msg->alive.stalled_ms, w->progress_timeout_ms);
    kill_worker(s, w, WIRE_FAILED, WEIR_E_TIMEOUT, reason);
}

/* Is the message about this worker, and does its type fit the worker's state? */
static bool worker_may_say(const struct worker *w, const struct wire_msg *msg)
{
    if (msg->epoch != w->epoch || msg->attempt != w->attempt || !id_equal(msg->job, w->job)) return false;
    switch (msg->type) {
    case WIRE_WORKER_READY: return w->state != SUPERVISOR_WORKER_UP;
    case WIRE_WORKER_RUNNING:
    case WIRE_WORKER_PREPARED: return w->state != SUPERVISOR_WORKER_STARTED;
    case WIRE_WORKER_STATS:
    case WIRE_WORKER_ENDED:
    case WIRE_WORKER_ALIVE: return true;
    default: return false;
    }
}

static void on_worker_message(struct supervisor *s, const struct supervisor_event *ev)
{
    struct worker *w = find_worker(s, ev->worker_message.job, ev->worker_message.attempt);
    if (!w || w->said.outcome) return; /* nothing counts behind the goodbye */
    struct wire_msg msg;
    struct weir_bytes bytes = ev->worker_message.data;
    if (wire_msg_decode(&msg, bytes.data, bytes.length, NULL)) {
        kill_worker(s, w, WIRE_FAILED, WEIR_E_PROTOCOL, "the worker sent a message that cannot be read");
        return;
    }
    w->heard_ms = s->now_ms;
    if (!worker_may_say(w, &msg)) {
        char reason[128];
        snprintf(reason, sizeof reason, "the worker sent %s when it must not", wire_type_name(msg.type));
        kill_worker(s, w, WIRE_FAILED, WEIR_E_PROTOCOL, reason);
    } else if (msg.type == WIRE_WORKER_ENDED) {
        on_goodbye(s, w, &msg);
    } else if (msg.type == WIRE_WORKER_ALIVE) {
        on_alive(s, w, &msg);
    } else if (w->state != SUPERVISOR_WORKER_KILLED) {
        if (msg.type == WIRE_WORKER_READY) w->state = SUPERVISOR_WORKER_UP;
        tell_bytes(s, bytes.data, bytes.length); /* said so by the worker, passed on as it is */
    }
    wire_msg_close(&msg);
}

/*
 * The last word on a worker. What it said itself counts most: one that has committed has committed, whatever happened to it afterwards,
 * even a KILL of ours that crossed its goodbye. Then our reason to kill it. Then what the process's end tells; also after CANCEL, since a
 * crash may be what the others were canceled for.
 */
static struct words last_words(const struct worker *w, const struct wire_failure *seen)
{
    const struct words *known = w->said.outcome ? &w->said : &w->sentence;
    if (known->outcome == WIRE_FAILED && !*known->operator_id)
        return make_words(known->outcome, known->code, seen->operator_id, seen->subtask, known->reason);
    if (known->outcome) return make_words(known->outcome, known->code, known->operator_id, known->subtask, known->reason);
    if (seen->code) return make_words(WIRE_FAILED, seen->code, seen->operator_id, seen->subtask, seen->reason);
    if (w->canceling) return make_words(WIRE_CANCELED, WEIR_OK, "", -1, "");
    return make_words(WIRE_FAILED, WEIR_E_INTERNAL, seen->operator_id, seen->subtask, "the worker exited without saying why");
}

static void on_worker_exited(struct supervisor *s, const struct supervisor_event *ev)
{
    struct worker *w = find_worker(s, ev->worker_exited.job, ev->worker_exited.attempt);
    if (!w || w->state == SUPERVISOR_WORKER_FETCHING) return;
    struct words words = last_words(w, &ev->worker_exited.failure);
    finish(s, w, &words);
    close_words(&words);
}

/* ---- time ---- */

/* When the next watch on a worker runs out. */
static int64_t worker_deadline(const struct supervisor *s, const struct worker *w)
{
    int64_t silent_ms = w->heard_ms + s->config.worker_silence_ms;
    int64_t at = w->leave_ms;
    switch (w->state) {
    case SUPERVISOR_WORKER_FETCHING: return w->ready_ms;
    case SUPERVISOR_WORKER_STARTED:
        if (w->ready_ms < at) at = w->ready_ms;
        return silent_ms < at ? silent_ms : at;
    case SUPERVISOR_WORKER_UP: return silent_ms < at ? silent_ms : at;
    case SUPERVISOR_WORKER_LEAVING: return at;
    case SUPERVISOR_WORKER_KILLED: return INT64_MAX;
    }
    return INT64_MAX;
}

static void expire(struct supervisor *s, struct worker *w)
{
    char reason[128];
    if (w->state == SUPERVISOR_WORKER_FETCHING) {
        struct artifact *a = find_artifact(s, w->digest);
        WEIR_ASSERT(a); /* a worker in FETCHING has its plugin on the way */
        fail_fetch(s, a, WEIR_E_TIMEOUT, "the plugin did not arrive: no chunk for %" PRIu32 " ms", s->config.ready_timeout_ms);
        return;
    }
    if (s->now_ms >= w->leave_ms) {
        snprintf(reason, sizeof reason, "the worker did not end within %" PRIu32 " ms", s->config.cancel_timeout_ms);
        kill_worker(s, w, WIRE_CANCELED, WEIR_E_TIMEOUT, reason);
        return;
    }
    if (s->now_ms >= w->heard_ms + s->config.worker_silence_ms)
        snprintf(reason, sizeof reason, "the worker was silent for %" PRIu32 " ms", s->config.worker_silence_ms);
    else
        snprintf(reason, sizeof reason, "the worker did not get ready within %" PRIu32 " ms", s->config.ready_timeout_ms);
    kill_worker(s, w, WIRE_FAILED, WEIR_E_TIMEOUT, reason);
}

/* An expired fetch ends several workers at once: look again from the end each time. */
static void watch_workers(struct supervisor *s)
{
    for (uint32_t i = s->n_workers; i > 0; i--) {
        if (i > s->n_workers) continue;
        struct worker *w = s->workers[i - 1];
        if (worker_deadline(s, w) <= s->now_ms) expire(s, w);
    }
}

/* Nobody tells this TaskManager what to do any more, and the JobManager takes it for lost: so nothing may run here. */
static void on_link_dead(struct supervisor *s)
{
    trace(s, true, "lost the JobManager: %s", link_reason(s->link));
    link_destroy(&s->link);
    if (s->state == SUPERVISOR_STOPPING) return;
    s->state = SUPERVISOR_CLEARING;
    kill_all(s, WEIR_E_UNREACHABLE, "the JobManager does not answer");
    drop_fetches(s);
}

static void stop_when_empty(struct supervisor *s)
{
    if (s->n_workers) return;
    if (s->farewell_ms == INT64_MAX) s->farewell_ms = s->now_ms + FAREWELL_MS;
    if (s->link && !s->refused && !link_idle(s->link) && s->now_ms < s->farewell_ms) return;
    s->state = SUPERVISOR_EXITED;
    struct supervisor_action *action = act(s, SUPERVISOR_DO_EXIT);
    action->exit.err = s->refused ? WEIR_E_STATE : WEIR_OK;
    action->exit.reason = s->stop_reason;
}

static void flush(struct supervisor *s)
{
    if (s->reconnect) act(s, SUPERVISOR_DO_RECONNECT)->reconnect.incarnation = derive(s->config.incarnation, s->n_incarnations);
    s->reconnect = false;
    while (s->link && link_packet(s->link, &s->packet, s->now_ms)) {
        struct weir_bytes data = keep(s, s->packet.data, s->packet.len);
        act(s, SUPERVISOR_DO_SEND)->send.data = data;
    }
}

static int64_t deadline(const struct supervisor *s)
{
    if (s->state == SUPERVISOR_EXITED) return INT64_MAX;
    int64_t at = s->state == SUPERVISOR_STOPPING ? s->farewell_ms : INT64_MAX;
    if (s->link) {
        int64_t due = link_state(s->link) == LINK_DEAD ? s->now_ms : link_deadline_ms(s->link);
        if (due < at) at = due;
    }
    for (uint32_t i = 0; i < s->n_workers; i++) {
        int64_t due = worker_deadline(s, s->workers[i]);
        if (due < at) at = due;
    }
    return at;
}

/* ---- the step ---- */

static void on_event(struct supervisor *s, const struct supervisor_event *ev)
{
    switch (ev->type) {
    case SUPERVISOR_EV_TICK: return;
    case SUPERVISOR_EV_PACKET: on_packet(s, ev->packet.data); return;
    case SUPERVISOR_EV_WORKER_MESSAGE: on_worker_message(s, ev); return;
    case SUPERVISOR_EV_WORKER_EXITED: on_worker_exited(s, ev); return;
    case SUPERVISOR_EV_ARTIFACT_READY: on_artifact_ready(s, ev->artifact.digest); return;
    case SUPERVISOR_EV_ARTIFACT_FAILED: on_artifact_failed(s, ev); return;
    case SUPERVISOR_EV_STOP: begin_stop(s, ev->stop.reason, false); return;
    }
}

void supervisor_step(struct supervisor *s, const struct supervisor_event *ev, struct supervisor_actions *actions)
{
    clear(actions);
    s->out = actions;
    s->now_ms = ev->now_ms;
    if (s->state != SUPERVISOR_EXITED) {
        on_event(s, ev);
        if (s->link) link_tick(s->link, s->now_ms);
        if (s->link && link_state(s->link) == LINK_DEAD) on_link_dead(s);
        watch_workers(s);
        if (s->state == SUPERVISOR_CLEARING && !s->n_workers) begin_link(s);
        if (s->state == SUPERVISOR_STOPPING) stop_when_empty(s);
        flush(s);
    }
    actions->deadline_ms = deadline(s);
    s->out = NULL;
}

/* ---- life ---- */

static uint32_t or_default(uint32_t value, uint32_t fallback)
{
    return value ? value : fallback;
}

void supervisor_new(struct supervisor **out, const struct supervisor_config *config, int64_t now_ms)
{
    struct supervisor *s = calloc(1, sizeof *s);
    WEIR_ASSERT(s);
    s->config = *config;
    s->taskmanager = copy_text(config->taskmanager);
    s->host = copy_text(config->host);
    s->version = copy_text(config->version);
    s->heartbeat_ms = or_default(config->heartbeat_ms, WEIR_HEARTBEAT_MS);
    s->heartbeat_timeout_ms = or_default(config->heartbeat_timeout_ms, WEIR_HEARTBEAT_TIMEOUT_MS);
    s->config.retransmit_ms = or_default(config->retransmit_ms, WEIR_RETRANSMIT_MS);
    s->config.worker_silence_ms = or_default(config->worker_silence_ms, WEIR_WORKER_SILENCE_MS);
    s->config.cancel_timeout_ms = or_default(config->cancel_timeout_ms, WEIR_CANCEL_TIMEOUT_MS);
    s->config.ready_timeout_ms = or_default(config->ready_timeout_ms, WEIR_READY_TIMEOUT_MS);
    s->farewell_ms = INT64_MAX;
    s->now_ms = now_ms;
    slots_init(&s->slots, config->slots);
    buffer_init(&s->packet, 0);
    begin_link(s);
    *out = s;
}

void supervisor_destroy(struct supervisor **supervisor)
{
    struct supervisor *s = *supervisor;
    if (!s) return;
    for (uint32_t i = 0; i < s->n_workers; i++) destroy_worker(s->workers[i]);
    link_destroy(&s->link);
    buffer_close(&s->packet);
    free(s->taskmanager);
    free(s->host);
    free(s->version);
    free(s->stop_reason);
    free(s);
    *supervisor = NULL;
}

/* ---- views ---- */

enum supervisor_state supervisor_state(const struct supervisor *s)
{
    return s->state;
}

uint32_t supervisor_n_workers(const struct supervisor *s)
{
    return s->n_workers;
}

struct supervisor_worker_view supervisor_worker_at(const struct supervisor *s, uint32_t index)
{
    WEIR_ASSERT(index < s->n_workers);
    const struct worker *w = s->workers[index];
    return (struct supervisor_worker_view){
        .job = w->job, .attempt = w->attempt, .state = w->state, .n_slots = w->n_slots, .canceling = w->canceling};
}

uint32_t supervisor_free_slots(const struct supervisor *s)
{
    return s->slots.n_free;
}

struct supervisor_counts supervisor_counts(const struct supervisor *s)
{
    return s->counts;
}
