/* SPDX-License-Identifier: Apache-2.0 */
#include "taskmanager/worker/worker.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "runtime/base/clock.h"
#include "runtime/base/live_keys.h"
#include "runtime/base/log.h"
#include "runtime/net/pipe.h"
#include "taskmanager/worker/attempt.h"
#include "taskmanager/worker/checkpoints.h"
#include "taskmanager/worker/crash.h"
#include "taskmanager/worker/exchange.h"
#include "taskmanager/worker/plugin.h"

#define ALIVE_MS 500
#define OPENED_STEPS 2 /* of a thread's counter: the first round of all opens its subtasks */
#define STATS_MS 1000
#define OPENING_MS 1    /* longest sleep while threads open their subtasks, which wakes nobody */
#define TICK_MS 100     /* longest sleep: the watchdog looks so often */
#define GOODBYE_MS 2000 /* for the last message to leave */

struct worker {
    struct pipe_end pipe;
    struct blackbox *blackbox;
    struct worker_config config;
    struct wire_msg deploy; /* kept whole: the deployment borrows from it */
    bool deployed;
    uint64_t epoch; /* of the newest leader whose orders came */
    struct deployment *d;
    struct exchange *x;
    struct attempt attempt;
    struct checkpoints checkpoints;
    struct restoring_result restored; /* of the checkpoint that DEPLOY named */
    int64_t started_ns;               /* when START came */
    struct wire_failure failure;      /* the first one */
    struct weir_diag diag;
    bool parent_gone;
    int64_t alive_at_ms, stats_at_ms;
    struct {
        uint64_t steps;
        int64_t since_ms;
    } watch[WEIR_SLOTS_MAX];
    struct net_wait waits[NET_POLL_MAX];
};

/* ---- saying
 * --------------------------------------------------------------------------------------------------------------------------------- */

/* Errors: WEIR_E_LIMIT, it is too large; WEIR_E_UNREACHABLE. */
static weir_err say(struct worker *w, struct wire_msg *msg)
{
    msg->epoch = w->deploy.epoch;
    msg->job = w->deploy.job;
    msg->attempt = w->deploy.attempt;
    struct buffer bytes;
    buffer_init(&bytes, WEIR_CONTROL_MAX);
    weir_err err = wire_msg_encode(msg, &bytes);
    if (!err) err = pipe_send(&w->pipe, bytes.data, bytes.len);
    if (err == WEIR_E_UNREACHABLE) w->parent_gone = true;
    if (err && err != WEIR_E_UNREACHABLE)
        log_error("message to the TaskManager lost", " type=%s error=%s", wire_type_name(msg->type), weir_err_name(err));
    buffer_close(&bytes);
    return err;
}

static void note_failure(struct worker *w, weir_err code, const char *operator_id, int32_t subtask, const char *reason)
{
    if (w->failure.reason) return;
    char *kept = strdup(reason);
    w->failure = (struct wire_failure){.code = code, .operator_id = operator_id, .subtask = subtask, .reason = kept ? kept : "no memory"};
}

/* Latest published counters of all threads. A thread in a long step has not answered yet: its last ones are told again. */
static void say_stats(struct worker *w)
{
    uint32_t n_subtasks = 0, n_counters = 0;
    for (uint32_t t = 0; t < w->d->n_threads; t++) {
        n_subtasks += w->d->threads[t].n_subtasks;
        n_counters += w->d->threads[t].counters_cap;
    }
    struct wire_msg msg = {.type = WIRE_WORKER_STATS};
    msg.stats.subtasks = calloc(n_subtasks ? n_subtasks : 1, sizeof *msg.stats.subtasks);
    msg.stats.counters = calloc(n_counters ? n_counters : 1, sizeof *msg.stats.counters);
    msg.stats.slots = calloc(w->d->n_threads ? w->d->n_threads : 1, sizeof *msg.stats.slots);
    msg.stats.frames_dropped = exchange_dropped(w->x);
    bool room = msg.stats.subtasks && msg.stats.counters && msg.stats.slots;
    for (uint32_t t = 0; room && t < w->d->n_threads; t++) task_thread_read_stats(&w->d->threads[t], &msg);
    if (room) (void)say(w, &msg);
    free(msg.stats.subtasks);
    free(msg.stats.counters);
    free(msg.stats.slots);
}

static void ask_stats(struct worker *w)
{
    for (uint32_t t = 0; t < w->d->n_threads; t++) task_thread_ask_stats(&w->d->threads[t]);
}

static void say_ended(struct worker *w)
{
    if (w->d && w->x) say_stats(w);
    struct wire_msg msg = {.type = WIRE_WORKER_ENDED};
    msg.ended.outcome = w->attempt.outcome;
    msg.ended.failure = w->failure;
    if (w->attempt.outcome != WIRE_FAILED) msg.ended.failure = (struct wire_failure){.subtask = -1};
    if (!msg.ended.failure.operator_id) msg.ended.failure.operator_id = "";
    if (!msg.ended.failure.reason) msg.ended.failure.reason = "";
    (void)say(w, &msg);
}

/* ---- doing
 * ---------------------------------------------------------------------------------------------------------------------------------- */

static void step(struct worker *w, const struct attempt_event *ev, const struct wire_msg *msg);

static void fail(struct worker *w, weir_err err)
{
    note_failure(w, err, "", -1, w->diag.text);
    step(w, &(struct attempt_event){.type = ATTEMPT_EV_FAILED}, NULL);
}

static weir_err say_for_checkpoints(void *arg, struct wire_msg *msg)
{
    return say(arg, msg);
}

static void fail_for_checkpoints(void *arg, weir_err err, const char *reason)
{
    struct worker *w = arg;
    (void)weir_fail(&w->diag, err, "%s", reason);
    fail(w, err);
}

static void on_restored(void *arg, const struct restoring_result *result, uint64_t us)
{
    struct worker *w = arg;
    w->restored = *result;
    log_info("checkpoint restored", "checkpoint=%" PRIu64 " files=%" PRIu32 " bytes=%" PRIu64 " from_local_bytes=%" PRIu64 " us=%" PRIu64,
             w->deploy.deploy.restore.id, result->n_files, result->bytes, result->from_local_bytes, us);
    step(w, &(struct attempt_event){.type = ATTEMPT_EV_RESTORED}, NULL);
}

static weir_err make_checkpoints(struct worker *w)
{
    const struct checkpoints_owner owner = {.arg = w, .say = say_for_checkpoints, .fail = fail_for_checkpoints, .restored = on_restored};
    return checkpoints_init(&w->checkpoints, &owner, &w->deploy, w->d, w->config.local_dir, &w->diag);
}

static weir_err deploy(struct worker *w)
{
    char **argv = calloc(w->deploy.deploy.n_args + 1, sizeof *argv);
    if (!argv) return weir_fail(&w->diag, WEIR_E_NOMEM, "no memory for the arguments");
    if (w->deploy.deploy.n_args == 0) return weir_fail(&w->diag, WEIR_E_CORRUPT, "a deployment without the job's name");
    argv[0] = strdup(w->deploy.deploy.name); /* copies: the plugin may keep and change them */
    for (uint32_t i = 1; i < w->deploy.deploy.n_args; i++) argv[i] = strdup(w->deploy.deploy.args[i]);
    const struct weir_plugin *plugin = NULL;
    struct weir_env *env = NULL;
    w->blackbox->loading = 1;
    weir_err err = plugin_load(&plugin, WORKER_FD_PLUGIN, &w->diag);
    if (!err)
        err = plugin_build(&env, plugin, w->deploy.deploy.cwd, w->deploy.deploy.parallelism, (int)w->deploy.deploy.n_args, argv, &w->diag);
    w->blackbox->loading = 0;
    const struct deployment_state state = {.dir = w->config.state_dir,
                                           .slot_memory = w->config.slot_memory,
                                           .segment = w->config.segment,
                                           .snapshots = *w->deploy.deploy.checkpoint.dir != 0};
    if (!err) err = deployment_new(&w->d, &w->deploy, env, &state, w->blackbox, &w->diag);
    if (err) return err;
    for (uint32_t t = 0; t < w->d->n_threads; t++) w->d->threads[t].on_start = crash_watch_thread;
    err = make_checkpoints(w);
    if (err) return err;
    struct weir_id incarnation = id_random();
    err = exchange_new(&w->x, w->d, &w->deploy, incarnation, w->config.data_endpoint, w->config.silence_ms, &w->diag);
    if (err) return err;
    struct wire_msg ready = {.type = WIRE_WORKER_READY};
    ready.ready.endpoint = exchange_endpoint(w->x);
    ready.ready.incarnation = incarnation;
    ready.ready.fingerprint = w->d->graph.fingerprint;
    (void)say(w, &ready);
    return WEIR_OK;
}

static weir_err run(struct worker *w)
{
    weir_err err = WEIR_OK;
    for (uint32_t t = 0; !err && t < w->d->n_threads; t++) err = task_thread_start(&w->d->threads[t], &w->diag);
    return err;
}

static void say_running(struct worker *w)
{
    struct wire_msg msg = {.type = WIRE_WORKER_RUNNING};
    if (checkpoints_has_restore(&w->checkpoints)) {
        msg.running.restore_us = (uint64_t)(clock_mono_ns() - w->started_ns) / 1000;
        msg.running.restored_bytes = w->restored.bytes;
        msg.running.from_local_bytes = w->restored.from_local_bytes;
    }
    (void)say(w, &msg);
}

static void command_threads(struct worker *w, enum thread_command command)
{
    for (uint32_t t = 0; w->d && t < w->d->n_threads; t++)
        if (w->d->threads[t].started) task_thread_command(&w->d->threads[t], command);
}

static void stop_threads(struct worker *w)
{
    for (uint32_t t = 0; w->d && t < w->d->n_threads; t++)
        if (w->d->threads[t].started) task_thread_stop(&w->d->threads[t], checkpoints_kept(&w->checkpoints));
}

static struct attempt_event thread_counts(const struct worker *w)
{
    struct attempt_event ev = {.type = ATTEMPT_EV_THREADS, .resting = checkpoints_resting(&w->checkpoints)};
    for (uint32_t t = 0; w->d && t < w->d->n_threads; t++) {
        const struct task_thread *thread = &w->d->threads[t];
        if (!thread->started) continue;
        int state = atomic_load_explicit(&thread->state, memory_order_acquire);
        ev.n_threads++;
        ev.n_opened += atomic_load_explicit(thread->steps, memory_order_acquire) >= OPENED_STEPS;
        ev.n_prepared += state == THREAD_PREPARED && !checkpoints_resumes(&w->checkpoints, t);
        ev.n_committed += state == THREAD_COMMITTED;
        ev.n_closed += atomic_load_explicit(&thread->closed, memory_order_acquire);
    }
    return ev;
}

static void step(struct worker *w, const struct attempt_event *ev, const struct wire_msg *msg)
{
    uint32_t todo = attempt_step(&w->attempt, ev);
    if (todo & ATTEMPT_DO_SAY_READY) {
        weir_err err = deploy(w);
        if (err) fail(w, err);
    }
    if (todo & ATTEMPT_DO_CONNECT) {
        w->started_ns = clock_mono_ns();
        weir_err err = exchange_connect(w->x, msg, &w->diag);
        if (err) fail(w, err);
        if (err) return;
    }
    if (todo & ATTEMPT_DO_RESTORE) checkpoints_restore(&w->checkpoints);
    if (todo & ATTEMPT_DO_RUN) {
        weir_err err = run(w);
        if (err) fail(w, err);
    }
    if (todo & ATTEMPT_DO_SAY_RUNNING) say_running(w);
    if (todo & ATTEMPT_DO_SAY_PREPARED) {
        say_stats(w);
        (void)say(w, &(struct wire_msg){.type = WIRE_WORKER_PREPARED});
    }
    if (todo & ATTEMPT_DO_COMMIT) command_threads(w, THREAD_COMMIT);
    if (todo & ATTEMPT_DO_STOP) stop_threads(w);
    if (todo & ATTEMPT_DO_SAY_ENDED) say_ended(w);
}

/* ---- hearing
 * -------------------------------------------------------------------------------------------------------------------------------- */

/* Threads that run may be told of checkpoints. */
static bool takes_checkpoints(const struct worker *w)
{
    return w->attempt.state >= ATTEMPT_OPENING && w->attempt.state <= ATTEMPT_PREPARED;
}

static void obey(struct worker *w, const struct wire_msg *msg)
{
    switch ((int)msg->type) {
    case WIRE_START:
        step(w, &(struct attempt_event){.type = ATTEMPT_EV_START, .restores = checkpoints_has_restore(&w->checkpoints)}, msg);
        return;
    case WIRE_COMMIT:
        step(w, &(struct attempt_event){.type = ATTEMPT_EV_COMMIT, .stopped = checkpoints_stopped(&w->checkpoints)}, NULL);
        return;
    case WIRE_CANCEL: step(w, &(struct attempt_event){.type = ATTEMPT_EV_CANCEL}, NULL); return;
    case WIRE_TRIGGER:
    case WIRE_CHECKPOINT_COMPLETE:
    case WIRE_CHECKPOINT_ABORT:
        if (takes_checkpoints(w)) checkpoints_order(&w->checkpoints, msg);
        return;
    default: return;
    }
}

static void take_message(struct worker *w, struct weir_bytes bytes)
{
    struct wire_msg msg;
    struct weir_diag diag;
    if (wire_msg_decode(&msg, bytes.data, bytes.length, &diag)) {
        log_error("message from the TaskManager not understood", " reason=\"%s\"", diag.text);
        return;
    }
    if (msg.type == WIRE_DEPLOY && !w->deployed) {
        w->deploy = msg; /* with its arena: kept until the process ends */
        w->deployed = true;
        w->epoch = msg.epoch;
        step(w, &(struct attempt_event){.type = ATTEMPT_EV_DEPLOYED}, NULL);
        return;
    }
    if (msg.type == WIRE_LOG_LEVEL) live_log_level((enum log_level)msg.log_level.lowest);
    bool ours = w->deployed && id_equal(msg.job, w->deploy.job) && msg.attempt == w->deploy.attempt && msg.epoch >= w->epoch;
    if (ours) {
        w->epoch = msg.epoch;
        obey(w, &msg);
    }
    wire_msg_close(&msg);
}

/* A failed thread speaks for the attempt: the first one found, with its operator. */
static void look_at_threads(struct worker *w)
{
    for (uint32_t t = 0; w->d && t < w->d->n_threads; t++) {
        struct task_thread *thread = &w->d->threads[t];
        if (!thread->started || atomic_load_explicit(&thread->state, memory_order_acquire) != THREAD_FAILED) continue;
        const struct subtask *s = thread->failed;
        note_failure(w, s->diag.code ? s->diag.code : WEIR_E_USER, s->failed_id, (int32_t)s->index, s->diag.text);
        step(w, &(struct attempt_event){.type = ATTEMPT_EV_FAILED}, NULL);
        break;
    }
    struct attempt_event ev = thread_counts(w);
    step(w, &ev, NULL);
}

/* How long the slowest task has been inside one step. */
static int64_t stalled_ms(struct worker *w, int64_t now_ms)
{
    int64_t longest = 0;
    for (uint32_t t = 0; w->d && t < w->d->n_threads; t++) {
        uint64_t steps = atomic_load_explicit(&w->blackbox->threads[t].steps, memory_order_relaxed);
        if (steps != w->watch[t].steps || steps % 2 == 0) {
            w->watch[t].steps = steps;
            w->watch[t].since_ms = now_ms;
        } else if (now_ms - w->watch[t].since_ms > longest) {
            longest = now_ms - w->watch[t].since_ms;
        }
    }
    return longest;
}

static void tick(struct worker *w, int64_t now_ms)
{
    int64_t stalled = stalled_ms(w, now_ms);
    if (now_ms >= w->alive_at_ms && w->deployed) {
        struct wire_msg msg = {.type = WIRE_WORKER_ALIVE};
        msg.alive.stalled_ms = (uint64_t)stalled;
        (void)say(w, &msg);
        w->alive_at_ms = now_ms + ALIVE_MS;
    }
    if (now_ms >= w->stats_at_ms && w->attempt.state == ATTEMPT_RUNNING) {
        say_stats(w);
        ask_stats(w);
        w->stats_at_ms = now_ms + STATS_MS;
    }
}

/* ---- a turn ------------------------------------------------------------------------------------------------------------------------ */

void worker_body_hear(struct worker *w)
{
    weir_err err = pipe_fill(&w->pipe);
    struct weir_bytes bytes;
    while (pipe_next(&w->pipe, &bytes)) take_message(w, bytes);
    if (err) w->parent_gone = true;
}

bool worker_body_turn(struct worker *w)
{
    bool moved = false;
    if (w->x) {
        weir_err err = exchange_pump(w->x, clock_mono_ms(), &moved, &w->diag);
        if (err) fail(w, err);
    }
    moved |= checkpoints_pump(&w->checkpoints);
    look_at_threads(w);
    tick(w, clock_mono_ms());
    return moved;
}

bool worker_body_lives(const struct worker *w)
{
    return w->attempt.state != ATTEMPT_ENDED && !w->parent_gone;
}

weir_err worker_body_new(struct worker **out, const struct worker_config *config, int pipe, struct blackbox *box)
{
    struct worker *w = calloc(1, sizeof *w);
    if (!w) return WEIR_E_NOMEM;
    w->config = *config;
    w->blackbox = box;
    w->blackbox->magic = BLACKBOX_MAGIC;
    pipe_init(&w->pipe, pipe, WEIR_CONTROL_MAX);
    *out = w;
    return WEIR_OK;
}

void worker_body_destroy(struct worker **worker)
{
    struct worker *w = *worker;
    if (!w) return;
    exchange_close(w->x);
    checkpoints_close(&w->checkpoints);
    deployment_destroy(&w->d);
    exchange_destroy(&w->x);
    pipe_close(&w->pipe);
    wire_msg_close(&w->deploy);
    free((char *)(uintptr_t)w->failure.reason);
    free(w);
    *worker = NULL;
}

/* ---- the loop
 * ------------------------------------------------------------------------------------------------------------------------------ */

static void wait_for_work(struct worker *w)
{
    uint32_t n = 0;
    w->waits[n++] = (struct net_wait){.fd = w->pipe.fd, .want_read = true, .want_write = pipe_wants_write(&w->pipe)};
    if (w->d) w->waits[n++] = (struct net_wait){.fd = w->d->wake.fd, .want_read = true};
    if (w->x) n += exchange_wait_items(w->x, w->waits + n, NET_POLL_MAX - n);
    if (w->d) wake_prepare(&w->d->wake);
    /* What became of the threads since they were last looked at, and before we announced that we sleep, wakes nobody. */
    struct attempt_event threads = thread_counts(w);
    bool prepared = w->attempt.state == ATTEMPT_RUNNING && threads.n_prepared == threads.n_threads;
    bool busy = checkpoints_pump(&w->checkpoints) || (w->x && exchange_has_output(w->x)) || prepared || threads.n_closed > 0;
    int64_t timeout_ms = busy || w->attempt.state == ATTEMPT_STOPPING ? 0 : w->attempt.state == ATTEMPT_OPENING ? OPENING_MS : TICK_MS;
    (void)net_poll(w->waits, n, timeout_ms);
    if (w->d) wake_clear(&w->d->wake);
    if (w->waits[0].readable) worker_body_hear(w);
    if (w->waits[0].writable && pipe_flush(&w->pipe) == WEIR_E_UNREACHABLE) w->parent_gone = true;
}

static void loop(struct worker *w)
{
    while (worker_body_lives(w))
        if (!worker_body_turn(w) && worker_body_lives(w)) wait_for_work(w);
}

/* The last message must leave before the process does. */
static void say_goodbye(struct worker *w)
{
    int64_t until_ms = clock_mono_ms() + GOODBYE_MS;
    while (!w->parent_gone && pipe_wants_write(&w->pipe) && clock_mono_ms() < until_ms) {
        struct pollfd p = {.fd = w->pipe.fd, .events = POLLOUT};
        (void)poll(&p, 1, GOODBYE_MS);
        if (pipe_flush(&w->pipe) == WEIR_E_UNREACHABLE) w->parent_gone = true;
    }
}

int worker_run(const struct worker_config *config)
{
    struct worker *w;
    struct blackbox *box = mmap(NULL, sizeof *box, PROT_READ | PROT_WRITE, MAP_SHARED, WORKER_FD_BLACKBOX, 0);
    if (box == MAP_FAILED) {
        log_error("no black box", " errno=%d", errno);
        return 1;
    }
    crash_watch(box);
    if (worker_body_new(&w, config, WORKER_FD_PIPE, box)) return 1;
    loop(w);
    say_goodbye(w);
    if (w->parent_gone) {
        /* Nobody is left to answer to; operators that were open lose what they did not commit. */
        exchange_close(w->x);
        _exit(1);
    }
    for (uint32_t t = 0; w->d && t < w->d->n_threads; t++) task_thread_join(&w->d->threads[t]);
    exchange_close(w->x);
    net_stop();
    pipe_close(&w->pipe);
    _exit(0); /* the plugin's destructors have no place in the end of an attempt */
}
