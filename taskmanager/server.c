/* SPDX-License-Identifier: Apache-2.0 */
#include "taskmanager/server.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/folder.h"
#include "runtime/base/assert.h"
#include "runtime/base/background.h"
#include "runtime/base/clock.h"
#include "runtime/base/live_keys.h"
#include "runtime/base/log.h"
#include "runtime/base/process.h"
#include "runtime/base/scratch.h"
#include "runtime/net/socket.h"
#include "taskmanager/plugin_cache.h"
#include "taskmanager/supervisor.h"
#include "taskmanager/worker_process.h"

enum {
    CONTROL_HWM = 1000,           /* packets queued; above, packets are dropped and the link sends them again */
    CONTROL_BATCH = 256,          /* packets taken in one turn of the loop */
    CONTROL_LINGER_MS = 500,      /* so that the last words reach the JobManager */
    PACKET_OVERHEAD = 4096,       /* what a link may put around a control message */
    JOBMANAGERS_MAX = 16,         /* addresses to look for one */
    WORKERS_MAX = WEIR_SLOTS_MAX, /* each holds a slot at least */
    DATA_SUFFIX = 18,             /* "-" or "/" and 16 hex digits, NUL */
    LOCAL_SUFFIX = 48,            /* LOCAL_DIR, a job's id, NUL */
};

#define LOCAL_DIR "/local/"

/* What must not be done while the actions of a step are performed, since it steps again: the event it becomes. */
struct deferred {
    struct deferred *next;
    struct supervisor_event event;
    char reason[WEIR_DIAG_MAX];
};

struct taskmanager {
    struct taskmanager_config config;
    char host[64];
    uint32_t n_jobmanagers, next_jobmanager; /* addresses; the one that the next connection goes to */
    char jobmanagers[JOBMANAGERS_MAX][NET_ENDPOINT_MAX];
    char scratch[PATH_MAX]; /* its own folder: local copies of checkpoints, LOCAL_DIR/JOB; gone with it, or swept by the next one */
    struct supervisor *supervisor;
    struct supervisor_actions actions;
    struct plugin_cache *cache;
    struct background *removals;
    struct net_socket *socket, *monitor; /* NULL before the first RECONNECT */
    struct net_parts parts;
    struct worker_process *workers[WORKERS_MAX];
    uint32_t n_workers;
    bool refused; /* the last handshake was, and that is logged */
    struct deferred *first, **last;
    unsigned n_signals;
    bool ended;
    weir_err end_err;
    struct weir_diag end_diag;
};

/* ---- performing ---- */

static struct deferred *defer(struct taskmanager *s, enum supervisor_event_type type)
{
    struct deferred *d = calloc(1, sizeof *d);
    WEIR_ASSERT(d != NULL); /* control code: as the supervisor does */
    d->event.type = type;
    *s->last = d;
    s->last = &d->next;
    return d;
}

static void defer_artifact(struct taskmanager *s, struct weir_digest digest, weir_err err, const char *reason)
{
    struct deferred *d = defer(s, err ? SUPERVISOR_EV_ARTIFACT_FAILED : SUPERVISOR_EV_ARTIFACT_READY);
    (void)snprintf(d->reason, sizeof d->reason, "%s", reason);
    d->event.artifact.digest = digest;
    d->event.artifact.err = err;
    d->event.artifact.reason = d->reason;
}

/* leader: where it is said to be; "" = at the next of the addresses. */
static void reconnect(struct taskmanager *s, struct weir_id incarnation, const char *leader)
{
    struct weir_diag diag;
    const char *endpoint = leader;
    if (*leader == '\0') {
        endpoint = s->jobmanagers[s->next_jobmanager];
        s->next_jobmanager = (s->next_jobmanager + 1) % s->n_jobmanagers;
    }
    net_socket_destroy(&s->monitor);
    net_socket_destroy(&s->socket);
    struct net_socket_config config = {.kind = NET_DEALER,
                                       .routing_id = {incarnation.bytes, sizeof incarnation.bytes},
                                       .message_max = WEIR_CONTROL_MAX + PACKET_OVERHEAD,
                                       .send_hwm = CONTROL_HWM,
                                       .receive_hwm = CONTROL_HWM,
                                       .linger_ms = CONTROL_LINGER_MS,
                                       .silence_ms = HEARTBEAT_TIMEOUT_MAX_MS}; /* gone with its link, whatever the JobManager tells */
    weir_err err = net_socket_new(&s->socket, &config, &diag);
    if (!err) err = net_monitor_new(&s->monitor, s->socket, &diag);
    if (!err) err = net_socket_connect(s->socket, endpoint, &diag);
    if (err) log_error("cannot connect to the JobManager", "reason=\"%s\"", diag.text); /* the link dies, and the next one tries again */
}

/* Where the workers of a job keep local copies. The length was checked when the server was made. */
static void local_dir(const struct taskmanager *s, struct weir_id job, char out[static PATH_MAX])
{
    char id[WEIR_ID_TEXT];
    (void)snprintf(out, PATH_MAX, "%.*s%s%s", PATH_MAX - LOCAL_SUFFIX, s->scratch, LOCAL_DIR, id_text(job, id));
}

/* The data endpoint of one worker. The length was checked when the server was made. */
static void data_endpoint(const struct taskmanager *s, char out[static NET_ENDPOINT_MAX])
{
    const char *data = s->config.data;
    struct stat st;
    if (strncmp(data, "ipc://", 6) != 0) {
        (void)snprintf(out, NET_ENDPOINT_MAX, "%s", data);
        return;
    }
    size_t len = strlen(data);
    bool folder = data[6] != '@' && data[len - 1] != '/' && stat(data + 6, &st) == 0 && S_ISDIR(st.st_mode);
    const char *between = folder ? "/" : data[len - 1] == '/' ? "" : "-";
    (void)snprintf(out, NET_ENDPOINT_MAX, "%s%s%016" PRIx64, data, between, id_word(id_random()));
}

static void defer_not_started(struct taskmanager *s, const struct supervisor_action *a, weir_err err, const char *reason)
{
    struct deferred *d = defer(s, SUPERVISOR_EV_WORKER_EXITED);
    (void)snprintf(d->reason, sizeof d->reason, "%s", reason);
    d->event.worker_exited.job = a->spawn.job;
    d->event.worker_exited.attempt = a->spawn.attempt;
    d->event.worker_exited.failure = (struct wire_failure){.code = err, .operator_id = "", .subtask = -1, .reason = d->reason};
}

static void spawn(struct taskmanager *s, const struct supervisor_action *a)
{
    char endpoint[NET_ENDPOINT_MAX];
    char local[PATH_MAX];
    struct weir_diag diag = {0};
    data_endpoint(s, endpoint);
    local_dir(s, a->spawn.job, local);
    struct worker_process_config config = {
        .worker_path = s->config.worker_path,
        .data = endpoint,
        .state_dir = s->config.state_dir,
        .local_dir = local,
        .slot_memory = s->config.slot_memory,
        .segment = s->config.segment,
        .silence_ms = a->spawn.heartbeat_timeout_ms,
        .log_level = a->spawn.log_level,
        .key = s->config.worker_key,
        .known_keys = s->config.known_keys,
        .plugin_fd = plugin_cache_find(s->cache, a->spawn.digest),
        .job = a->spawn.job,
        .attempt = a->spawn.attempt,
        .deploy = a->spawn.deploy,
    };
    weir_err err = WEIR_OK;
    if (s->n_workers == WORKERS_MAX)
        err = weir_fail(&diag, WEIR_E_LIMIT, "%d workers run here, the most there can be", WORKERS_MAX);
    else if (config.plugin_fd < 0)
        err = weir_fail(&diag, WEIR_E_NOT_FOUND, "the plugin is no longer in the cache");
    else
        err = worker_process_start(&s->workers[s->n_workers], &config, &diag);
    if (err) {
        defer_not_started(s, a, err, diag.text);
        return;
    }
    char job[WEIR_ID_TEXT];
    log_info("worker started", "job=%s attempt=%" PRIu32 " pid=%d data=%s", id_text(a->spawn.job, job), a->spawn.attempt,
             worker_process_pid(s->workers[s->n_workers]), endpoint);
    s->n_workers++;
}

static struct worker_process *find_worker(struct taskmanager *s, struct weir_id job, uint32_t attempt)
{
    for (uint32_t i = 0; i < s->n_workers; i++)
        if (worker_process_is(s->workers[i], job, attempt)) return s->workers[i];
    return NULL;
}

static void store_chunk(struct taskmanager *s, const struct supervisor_action *a)
{
    struct weir_digest evicted[PLUGIN_CACHE_MAX];
    uint32_t n_evicted = 0;
    enum plugin_cache_state state;
    struct weir_diag diag;
    weir_err err = plugin_cache_store(s->cache, a->store_chunk.digest, a->store_chunk.offset, a->store_chunk.total, a->store_chunk.data,
                                      &state, evicted, &n_evicted, &diag);
    for (uint32_t i = 0; i < n_evicted; i++) defer_artifact(s, evicted[i], WEIR_E_NOT_FOUND, "the plugin had to make room in the cache");
    if (err)
        defer_artifact(s, a->store_chunk.digest, err, diag.text);
    else if (state == PLUGIN_CACHE_COMPLETE)
        defer_artifact(s, a->store_chunk.digest, WEIR_OK, "");
}

/* ---- what is not needed any more goes in a thread of its own: gigabytes take seconds, and heartbeats do not wait ---- */

struct removal {
    struct background_task base;
    char path[PATH_MAX];
};

static void free_removal(struct background_task *task)
{
    free(task);
}

static void remove_folders(void *arg, struct background_task *batch)
{
    struct weir_diag diag;
    (void)arg;
    for (struct background_task *task = batch; task; task = task->next)
        if (folder_remove(((struct removal *)task)->path, &diag)) log_warn("local copies stay behind", "reason=\"%s\"", diag.text);
}

static void take_removals(struct taskmanager *s)
{
    for (struct background_task *task; (task = background_take(s->removals));) free_removal(task);
}

/* Out of the way at once, since the job may come again. */
static void forget_job(struct taskmanager *s, struct weir_id job)
{
    char local[PATH_MAX], id[WEIR_ID_TEXT];
    struct removal *removal = calloc(1, sizeof *removal);
    if (!removal) return; /* they go with the TaskManager */
    local_dir(s, job, local);
    (void)snprintf(removal->path, PATH_MAX, "%.*s%s.%s", PATH_MAX - LOCAL_SUFFIX, s->scratch, LOCAL_DIR, id_text(id_random(), id));
    if (rename(local, removal->path) == 0) {
        background_give(s->removals, &removal->base);
        return;
    }
    if (errno != ENOENT) log_warn("local copies stay behind", "folder=%s errno=%d", local, errno);
    free(removal);
}

static void end(struct taskmanager *s, const struct supervisor_action *a)
{
    s->ended = true;
    s->end_err = a->exit.err;
    if (a->exit.err) (void)weir_fail(&s->end_diag, a->exit.err, "%s", a->exit.reason);
}

static void perform(struct taskmanager *s, const struct supervisor_action *a)
{
    struct worker_process *w;
    switch (a->type) {
    case SUPERVISOR_DO_SEND:
        if (s->socket) (void)net_send_bytes(s->socket, &a->send.data, 1); /* the link sends again what is lost */
        return;
    case SUPERVISOR_DO_RECONNECT: reconnect(s, a->reconnect.incarnation, a->reconnect.endpoint); return;
    case SUPERVISOR_DO_SPAWN: spawn(s, a); return;
    case SUPERVISOR_DO_KILL:
        w = find_worker(s, a->kill.job, a->kill.attempt);
        if (w) worker_process_kill(w);
        return;
    case SUPERVISOR_DO_TO_WORKER:
        w = find_worker(s, a->to_worker.job, a->to_worker.attempt);
        if (w) worker_process_send(w, a->to_worker.data);
        return;
    case SUPERVISOR_DO_STORE_CHUNK: store_chunk(s, a); return;
    case SUPERVISOR_DO_DROP_ARTIFACT: plugin_cache_drop(s->cache, a->drop_artifact.digest); return;
    case SUPERVISOR_DO_FORGET_JOB: forget_job(s, a->forget_job.job); return;
    case SUPERVISOR_DO_LOG_LEVEL: live_log_level(a->log_level); return;
    case SUPERVISOR_DO_EXIT: end(s, a); return;
    }
}

static void step_once(struct taskmanager *s, struct supervisor_event *ev)
{
    if (s->ended) return;
    ev->now_ms = clock_mono_ms();
    supervisor_step(s->supervisor, ev, &s->actions);
    for (uint32_t i = 0; i < s->actions.n; i++) perform(s, &s->actions.at[i]);
}

static void step(struct taskmanager *s, struct supervisor_event *ev)
{
    step_once(s, ev);
    while (s->first) {
        struct deferred *d = s->first;
        s->first = d->next;
        if (!s->first) s->last = &s->first;
        step_once(s, &d->event);
        free(d);
    }
}

/* ---- events ---- */

static void take_packets(struct taskmanager *s)
{
    for (int i = 0; i < CONTROL_BATCH && s->socket; i++) { /* a packet may bring a new socket about */
        enum net_received got = net_receive(s->socket, &s->parts);
        if (got == NET_NOTHING) return;
        s->refused = false;
        if (got != NET_MESSAGE || s->parts.n != 1) continue; /* no packet: the JobManager does not send such */
        struct supervisor_event ev = {.type = SUPERVISOR_EV_PACKET};
        ev.packet.data = net_part(&s->parts, 0);
        step(s, &ev);
    }
}

/* ZeroMQ tries again for ever: a key may be made known meanwhile. */
static void tell_refused(struct taskmanager *s, enum net_refusal why)
{
    if (!s->refused) log_warn("the JobManager refuses the connection", " reason=\"%s\"", net_refusal_words(why));
    s->refused = true;
}

/* A step may reconnect: what is known of the former connection then is gone with its monitor. */
static void take_changes(struct taskmanager *s)
{
    struct net_change change;
    const struct net_socket *monitor = s->monitor;
    while (s->monitor == monitor && net_monitor_next(s->monitor, &change)) {
        if (change.type == NET_REFUSED) {
            tell_refused(s, change.why);
            continue;
        }
        struct supervisor_event ev = {.type = change.type == NET_CAME ? SUPERVISOR_EV_CONNECTED : SUPERVISOR_EV_DISCONNECTED};
        step(s, &ev);
    }
}

static void take_messages(struct taskmanager *s, struct worker_process *w)
{
    struct supervisor_event ev = {.type = SUPERVISOR_EV_WORKER_MESSAGE};
    ev.worker_message.job = worker_process_job(w);
    ev.worker_message.attempt = worker_process_attempt(w);
    worker_process_exchange(w, clock_mono_ms());
    while (worker_process_next(w, &ev.worker_message.data)) step(s, &ev);
}

static void tell_exited(struct taskmanager *s, struct worker_process *w)
{
    struct worker_end e;
    char job[WEIR_ID_TEXT];
    worker_process_end(w, &e);
    struct supervisor_event ev = {.type = SUPERVISOR_EV_WORKER_EXITED};
    ev.worker_exited.job = worker_process_job(w);
    ev.worker_exited.attempt = worker_process_attempt(w);
    ev.worker_exited.failure =
        (struct wire_failure){.code = e.code, .operator_id = e.operator_id, .subtask = e.subtask, .reason = e.reason};
    log_info("worker ended", "job=%s attempt=%" PRIu32 " how=\"%s\"", id_text(ev.worker_exited.job, job), ev.worker_exited.attempt,
             e.code ? e.reason : "exit status 0");
    worker_process_destroy(&w); /* first, so that nothing of it is left when the JobManager hears of the end */
    step(s, &ev);
}

/* Workers are added at the end of the list only, and removed here only. */
static void take_workers(struct taskmanager *s, const struct net_wait *waits, uint32_t n)
{
    for (uint32_t i = n; i-- > 0;) {
        struct worker_process *w = s->workers[i];
        if (!waits[2 * i].readable && !waits[2 * i + 1].readable && !waits[2 * i + 1].writable) continue;
        take_messages(s, w);
        if (!worker_process_ended(w, clock_mono_ms())) continue;
        s->workers[i] = s->workers[--s->n_workers];
        tell_exited(s, w);
    }
}

static void take_signals(struct taskmanager *s)
{
    int number = process_signals_next(s->config.signals);
    if (number == 0) return;
    char name[16];
    (void)snprintf(name, sizeof name, "SIG%s", sigabbrev_np(number));
    log_info("ending", "signal=%s", name);
    struct supervisor_event ev = {.type = SUPERVISOR_EV_STOP};
    ev.stop.reason = name;
    if (++s->n_signals > 1)
        s->ended = true; /* asked twice: workers are killed by taskmanager_destroy */
    else
        step(s, &ev);
}

/* ---- the loop ---- */

enum { W_SIGNALS, W_CONTROL, W_MONITOR, W_REMOVALS, W_WORKERS };
static_assert(W_WORKERS + 2 * WORKERS_MAX <= NET_POLL_MAX, "everything can be waited for");

static void turn(struct taskmanager *s)
{
    struct net_wait waits[W_WORKERS + 2 * WORKERS_MAX];
    uint32_t n_workers = s->n_workers;
    waits[W_SIGNALS] = (struct net_wait){.fd = s->config.signals, .want_read = true};
    waits[W_CONTROL] = (struct net_wait){.socket = s->socket, .fd = -1, .want_read = true};
    waits[W_MONITOR] = (struct net_wait){.socket = s->monitor, .fd = -1, .want_read = true};
    waits[W_REMOVALS] = (struct net_wait){.fd = background_fd(s->removals), .want_read = true};
    for (uint32_t i = 0; i < n_workers; i++) worker_process_waits(s->workers[i], &waits[W_WORKERS + 2 * i]);
    int64_t wait_ms = s->actions.deadline_ms - clock_mono_ms();
    (void)net_poll(waits, W_WORKERS + 2 * n_workers, wait_ms > 0 ? wait_ms : 0);
    if (waits[W_SIGNALS].readable) take_signals(s);
    if (waits[W_REMOVALS].readable) take_removals(s);
    take_workers(s, &waits[W_WORKERS], n_workers);
    if (waits[W_CONTROL].readable) take_packets(s);
    if (waits[W_MONITOR].readable && !s->ended) take_changes(s);
    if (!s->ended && clock_mono_ms() >= s->actions.deadline_ms) step(s, &(struct supervisor_event){.type = SUPERVISOR_EV_TICK});
}

weir_err taskmanager_run(struct taskmanager *taskmanager, struct weir_diag *diag)
{
    step(taskmanager, &(struct supervisor_event){.type = SUPERVISOR_EV_TICK});
    while (!taskmanager->ended) turn(taskmanager);
    if (taskmanager->end_err) return weir_fail(diag, taskmanager->end_err, "%s", taskmanager->end_diag.text);
    return WEIR_OK;
}

/* ---- life ---- */

static void trace(void *arg, bool notable, const char *line)
{
    (void)arg;
    log_event("supervisor", notable, line);
}

static weir_err check_id(const char *id, struct weir_diag *diag)
{
    size_t len = strlen(id);
    bool good = len > 0 && len <= WEIR_NAME_MAX;
    for (size_t i = 0; i < len && good; i++)
        good = (id[i] >= 'a' && id[i] <= 'z') || (id[i] >= 'A' && id[i] <= 'Z') || (id[i] >= '0' && id[i] <= '9') || strchr("-_.", id[i]);
    return good ? WEIR_OK : weir_fail(diag, WEIR_E_ARGUMENT, "--id takes 1 ... %d letters, digits, '-', '_', '.'", WEIR_NAME_MAX);
}

/* The data endpoint must leave room for one socket per worker. Fills host: where workers can be reached. */
static weir_err check_data(struct taskmanager *s, struct weir_diag *diag)
{
    const char *data = s->config.data;
    weir_err err = net_endpoint_check_as(data, false, diag); /* workers have no keys */
    if (err) return weir_wrap(diag, err, "--data");
    if (strncmp(data, "ipc://", 6) == 0) {
        char longest[NET_ENDPOINT_MAX + DATA_SUFFIX];
        (void)snprintf(s->host, sizeof s->host, "localhost");
        (void)snprintf(longest, sizeof longest, "%s-0123456789abcdef", data);
        err = net_endpoint_check_as(longest, false, diag);
        return err ? weir_wrap(diag, err, "--data leaves no room for the names of the workers' sockets") : WEIR_OK;
    }
    const char *host = data + strlen("tcp://"), *colon = strrchr(host, ':');
    if (strcmp(colon, ":*") != 0 && strcmp(colon, ":0") != 0)
        return weir_fail(diag, WEIR_E_ARGUMENT, "--data needs the port *: each worker takes a port of its own");
    (void)snprintf(s->host, sizeof s->host, "%.*s", (int)(colon - host), host);
    return WEIR_OK;
}

/* Takes the list of addresses apart. */
static weir_err read_jobmanagers(struct taskmanager *s, struct weir_diag *diag)
{
    for (const char *at = s->config.jobmanager;; at++) {
        size_t len = strcspn(at, ",");
        if (s->n_jobmanagers == JOBMANAGERS_MAX)
            return weir_fail(diag, WEIR_E_LIMIT, "--jobmanager takes at most %d addresses", JOBMANAGERS_MAX);
        if (len >= NET_ENDPOINT_MAX)
            return weir_fail(diag, WEIR_E_LIMIT, "--jobmanager: an address has at most %u bytes", NET_ENDPOINT_MAX - 1);
        char *to = s->jobmanagers[s->n_jobmanagers++];
        memcpy(to, at, len);
        weir_err err = net_endpoint_check(to, diag);
        if (err) return weir_wrap(diag, err, "--jobmanager");
        at += len;
        if (!*at) return WEIR_OK;
    }
}

static weir_err check_config(struct taskmanager *s, struct weir_diag *diag)
{
    weir_err err = check_id(s->config.id, diag);
    if (!err) err = check_data(s, diag);
    if (err) return err;
    err = read_jobmanagers(s, diag);
    if (err) return err;
    if (s->config.slots == 0 || s->config.slots > WEIR_SLOTS_MAX)
        return weir_fail(diag, WEIR_E_ARGUMENT, "--slots takes 1 ... %d", WEIR_SLOTS_MAX);
    if (access(s->config.worker_path, X_OK) != 0)
        return weir_fail(diag, WEIR_E_NOT_FOUND, "%s is no program: name it by --worker", s->config.worker_path);
    return WEIR_OK;
}

weir_err taskmanager_new(struct taskmanager **out, const struct taskmanager_config *config, struct weir_diag *diag)
{
    struct taskmanager *s = calloc(1, sizeof *s);
    if (!s) return weir_fail(diag, WEIR_E_NOMEM, "no memory for the server");
    s->config = *config;
    s->last = &s->first;
    net_parts_init(&s->parts);
    weir_err err = check_config(s, diag);
    if (!err) err = folder_make(config->state_dir, diag);
    if (!err) scratch_sweep(config->state_dir); /* of a TaskManager that was killed, and of its workers */
    if (!err) err = scratch_path(config->state_dir, s->scratch, diag);
    if (!err && strlen(s->scratch) + LOCAL_SUFFIX > PATH_MAX)
        err = weir_fail(diag, WEIR_E_LIMIT, "the path of the state folder is too long: %s", config->state_dir);
    const struct background_config removals = {.name = "removals", .work = remove_folders, .drop = free_removal};
    if (!err) err = background_new(&s->removals, &removals, diag);
    if (!err && plugin_cache_new(&s->cache)) err = weir_fail(diag, WEIR_E_NOMEM, "no memory for the plugin cache");
    if (err) {
        taskmanager_destroy(&s);
        return err;
    }
    struct supervisor_config core = {.taskmanager = config->id,
                                     .host = s->host,
                                     .version = WEIR_VERSION,
                                     .slots = config->slots,
                                     .pid = (uint32_t)getpid(),
                                     .incarnation = id_random(),
                                     .log_level = log_lowest(),
                                     .heartbeat_ms = config->heartbeat.interval_ms,
                                     .heartbeat_timeout_ms = config->heartbeat.timeout_ms,
                                     .leader_wait_ms = config->leader_wait_ms,
                                     .trace = trace};
    supervisor_new(&s->supervisor, &core, clock_mono_ms());
    supervisor_actions_init(&s->actions);
    log_info("starting", "taskmanager=%s slots=%" PRIu32 " jobmanager=%s data=%s pid=%d", config->id, config->slots, config->jobmanager,
             config->data, (int)getpid());
    *out = s;
    return WEIR_OK;
}

void taskmanager_destroy(struct taskmanager **taskmanager)
{
    struct taskmanager *s = *taskmanager;
    *taskmanager = NULL;
    if (!s) return;
    for (uint32_t i = 0; i < s->n_workers; i++) worker_process_destroy(&s->workers[i]);
    for (struct deferred *d = s->first, *next; d; d = next) {
        next = d->next;
        free(d);
    }
    if (s->supervisor) {
        supervisor_actions_close(&s->actions);
        supervisor_destroy(&s->supervisor);
    }
    background_destroy(&s->removals);
    plugin_cache_destroy(&s->cache);
    net_parts_close(&s->parts);
    net_socket_destroy(&s->monitor);
    net_socket_destroy(&s->socket);
    if (s->scratch[0]) {
        (void)folder_remove(s->scratch, NULL);
        scratch_sweep(s->config.state_dir); /* workers of a killed TaskManager may have been dying when we started */
    }
    free(s);
}
