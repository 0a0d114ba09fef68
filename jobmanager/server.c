/* SPDX-License-Identifier: Apache-2.0 */
#include "jobmanager/server.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/src/note.h"
#include "jobmanager/admin.h"
#include "jobmanager/artifact_links.h"
#include "jobmanager/describe_process.h"
#include "jobmanager/live_tree.h"
#include "jobmanager/leadership.h"
#include "jobmanager/peer/ensemble.h"
#include "jobmanager/pending.h"
#include "jobmanager/routes.h"
#include "jobmanager/storage_thread.h"
#include "runtime/base/assert.h"
#include "runtime/base/clock.h"
#include "runtime/base/folder.h"
#include "runtime/base/live_keys.h"
#include "runtime/base/log.h"
#include "runtime/base/process.h"
#include "runtime/net/security.h"

enum {
    CONTROL_HWM = 1000,  /* packets queued per TaskManager; above, packets are dropped and their links send them again */
    CONTROL_BATCH = 256, /* packets taken in one turn of the loop */
    ADMIN_HWM = 64,      /* requests or replies queued per client */
    ADMIN_BATCH = 16,    /* requests answered in one turn */
    CHUNK_BATCH = 16,    /* chunks read in one turn */
    CONTROL_LINGER_MS = 200,
    ADMIN_LINGER_MS = 500, /* so that the last answers still go */
    LIVE_RETRY_MS = 500,   /* pause before the live configuration is asked for again: the peer had no leader */
    EXPIRE_MS = 1000,      /* pause between looks at idle uploads and plans */
    DESCRIBES_MAX = WEIR_JOBS_ACTIVE_MAX + PLANS_MAX,
    PACKET_OVERHEAD = 4096, /* what a link may put around a control message */
};

/* What must not be done while the actions of a step are performed, since it steps again; or waits for a plugin that is not here yet. */
struct deferred {
    struct deferred *next;
    enum master_event_type type; /* CHUNK: read, then tell. DESCRIBED: begin to, and tell if that failed */
    uint64_t reader, offset;
    struct weir_digest digest;
    struct weir_id job;
};

struct jobmanager {
    struct jobmanager_config config;
    struct store *store;
    struct artifacts *artifacts;
    struct artifact_links *links; /* to other JobManagers */
    struct leadership leadership;
    struct zab_members members;    /* of the ensemble */
    uint64_t connection;           /* of the catalog, to the peer */
    struct live_tree *live;        /* the live configuration */
    uint64_t live_connection;      /* to the peer */
    int64_t live_retry_ms;         /* without one: when the next is made */
    uint64_t live_seen, live_told; /* readings: that the log has heeded; that the master was told */
    enum log_level log_level;      /* as configured */
    struct storage_thread *storage;
    char checkpoint_dir[PATH_MAX], savepoint_dir[PATH_MAX]; /* of jobs whose options name none */
    struct master *master;                                  /* leads when the catalog serves; else it tells TaskManagers who does */
    struct master_actions actions;
    struct net_socket *control, *admin_socket;
    struct routes *routes;
    struct admin admin;
    struct pending pending;
    struct net_parts parts;
    struct deferred *first, **last;
    struct deferred *waiting; /* for plugins; of no order */
    struct plans plans;
    struct describe *describes[DESCRIBES_MAX];
    uint32_t n_describes;
    int64_t expire_at_ms;
    bool stopping;
    struct weir_diag failure; /* why it ends, if it had to */
    unsigned char chunk[WEIR_CHUNK_BYTES];
};

/* ---- performing ---- */

static void send_packet(struct jobmanager *s, uint64_t route, struct weir_bytes packet)
{
    struct weir_bytes id;
    if (!routes_find(s->routes, route, &id)) return; /* the link will notice */
    weir_err err = net_send_bytes(s->control, (struct weir_bytes[]){id, packet}, 2);
    if (err == WEIR_E_UNREACHABLE) routes_forget(s->routes, route);
}

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

/* A plugin came: whoever waited for one looks again. */
static void resume_waiting(struct jobmanager *s)
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

static weir_err describe_for_admin(void *arg, const struct job_submission *sub, struct weir_diag *diag)
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

static void stop_describe(struct jobmanager *s, struct weir_id job)
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

static void send_answer(struct jobmanager *s, struct weir_bytes route, bool delimited, const struct admin_reply *reply)
{
    struct weir_bytes out[2 + REST_REPLY_PARTS] = {route};
    uint32_t n = 1;
    char status[4];
    if (delimited) out[n++] = (struct weir_bytes){"", 0};
    rest_reply_build(&out[n], status, reply->status, reply->headers, (struct weir_bytes){reply->body, (uint32_t)reply->len});
    weir_err err = net_send_bytes(s->admin_socket, out, n + REST_REPLY_PARTS);
    if (err) log_debug("an answer was dropped", "reason=%s", weir_err_name(err));
}

/* Whoever asked is answered. A job that was taken over from a predecessor, or found in the catalog, has nobody who waits. */
static void answer_waiting(struct jobmanager *s, struct weir_id awaited, enum job_key key, weir_err err, const char *reason)
{
    struct pending_answer answer;
    while (pending_take(&s->pending, awaited, key, &answer)) {
        if (err) admin_reply_fail(&answer.reply, err, reason);
        send_answer(s, (struct weir_bytes){answer.route, answer.route_len}, answer.delimited, &answer.reply);
        admin_reply_close(&answer.reply);
    }
}

static void answer_upload(struct jobmanager *s, struct weir_digest digest, weir_err err, const char *reason)
{
    answer_waiting(s, admin_ticket(digest), JOB_KEYS, err, reason);
}

/* What the catalog says of a plugin: at the start, that there is one; later, what became of one that was offered. */
static void take_artifact(struct jobmanager *s, const struct master_action *a)
{
    if (a->artifact.about.size)
        artifacts_name(s->artifacts, &a->artifact.about);
    else
        artifacts_kept(s->artifacts, a->artifact.about.digest, a->artifact.err == WEIR_OK);
    answer_upload(s, a->artifact.about.digest, a->artifact.err, a->artifact.reason);
}

static void take_accepted(struct jobmanager *s, const struct master_action *a)
{
    bool request = a->accepted.key == JOB_KEY_REQUESTS;
    answer_waiting(s, request ? a->accepted.request : a->accepted.job, a->accepted.key, a->accepted.err, a->accepted.reason);
}

static void perform(struct jobmanager *s, const struct master_action *a)
{
    struct deferred later = {0};
    switch (a->type) {
    case MASTER_DO_ACCEPTED: take_accepted(s, a); return;
    case MASTER_DO_ARTIFACT: take_artifact(s, a); return;
    case MASTER_DO_SEND: send_packet(s, a->send.route, a->send.data); return;
    case MASTER_DO_STOP_DESCRIBE: stop_describe(s, a->stop_describe.job); return;
    case MASTER_DO_DESCRIBE:
        later.type = MASTER_EV_DESCRIBED;
        later.job = a->describe.job->id;
        later.digest = a->describe.job->digest;
        defer(s, &later);
        return;
    case MASTER_DO_READ_CHUNK:
        later.type = MASTER_EV_CHUNK;
        later.reader = a->read_chunk.reader;
        later.digest = a->read_chunk.digest;
        later.offset = a->read_chunk.offset;
        defer(s, &later);
        return;
    case MASTER_DO_CATALOG: catalog_tree_order(s->leadership.catalog, &a->catalog); return;
    case MASTER_DO_STORAGE: storage_thread_order(s->storage, a); return;
    case MASTER_DO_FORGET_LIVE:
        if (s->live) live_tree_forget(s->live, a->forget_live.job); /* else the next reading brings it up again */
        return;
    case MASTER_DO_JOB_ENDED: return; /* clients ask; nobody waits here, and a job leaves no files with the JobManager */
    }
}

static void step(struct jobmanager *s, struct master_event *ev)
{
    ev->now_ms = clock_mono_ms();
    ev->wall_ms = clock_wall_ms();
    master_step(s->master, ev, &s->actions);
    for (uint32_t i = 0; i < s->actions.n; i++) perform(s, &s->actions.at[i]);
}

static void step_for_admin(void *arg, struct master_event *ev, struct weir_diag *answer)
{
    struct jobmanager *s = arg;
    step(s, ev);
    *answer = s->actions.answer;
}

/* ---- events ---- */

static void tell_described(struct jobmanager *s, struct weir_id job, weir_err err, const char *reason, struct graph *graph)
{
    struct graph none = {0};
    struct master_event ev = {.type = MASTER_EV_DESCRIBED};
    ev.described.job = job;
    ev.described.err = err;
    ev.described.reason = err ? reason : "";
    ev.described.graph = graph ? graph : &none;
    step(s, &ev);
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
    step(s, &ev);
}

static void do_deferred(struct jobmanager *s)
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

/* By the list as it is now: the transport asks at the handshake only. */
static uint32_t roles_of_sender(struct jobmanager *s)
{
    return net_is_secured() ? net_role_of(net_parts_key(&s->parts)) : NET_ROLES_ALL;
}

static void take_control(struct jobmanager *s)
{
    for (int i = 0; i < CONTROL_BATCH; i++) {
        enum net_received got = net_receive(s->control, &s->parts);
        if (got == NET_NOTHING) return;
        uint64_t route = got == NET_MESSAGE && s->parts.n == 2 ? routes_handle(s->routes, net_part(&s->parts, 0)) : 0;
        if (route == 0) continue;                                   /* not from a TaskManager: a packet is one part */
        if (!(roles_of_sender(s) & NET_ROLE_TASKMANAGER)) continue; /* its key was struck out */
        struct master_event ev = {.type = MASTER_EV_PACKET};
        ev.packet.route = route;
        ev.packet.data = net_part(&s->parts, 1);
        step(s, &ev);
    }
}

static void answer_request(struct jobmanager *s)
{
    struct weir_bytes in[NET_PARTS_MAX];
    uint32_t n = s->parts.n - 1;
    for (uint32_t i = 0; i < n; i++) in[i] = net_part(&s->parts, i + 1);
    struct admin_reply reply;
    admin_handle(&s->admin, roles_of_sender(s), in, n, &reply);
    bool delimited = rest_delimiters(in, n) > 0;
    if (!id_is_zero(reply.awaits)) {
        if (pending_add(&s->pending, net_part(&s->parts, 0), delimited, &reply)) return;
        admin_reply_fail(&reply, WEIR_E_LIMIT, "too many requests wait for the catalog; what was asked for may be done all the same");
    }
    send_answer(s, net_part(&s->parts, 0), delimited, &reply);
    admin_reply_close(&reply);
}

static void take_admin(struct jobmanager *s)
{
    for (int i = 0; i < ADMIN_BATCH; i++) {
        if (net_receive(s->admin_socket, &s->parts) == NET_NOTHING) return;
        answer_request(s); /* too many parts are answered too: they are no request */
    }
}

/* One that ends steps the master, which may stop or start others: the walk begins anew. */
static void take_describes(struct jobmanager *s)
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

static void take_storage(struct jobmanager *s)
{
    struct master_event ev;
    while (storage_thread_answer(s->storage, &ev)) step(s, &ev);
}

static bool any_readable(const struct net_wait *waits, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        if (waits[i].readable) return true;
    return false;
}

static void take_signals(struct jobmanager *s)
{
    int number = process_signals_next(s->config.signals);
    if (number == 0) return;
    log_info("ending", "signal=SIG%s", sigabbrev_np(number));
    s->stopping = true;
}

/* ---- leadership ---- */

static void trace(void *arg, bool notable, const char *line)
{
    (void)arg;
    log_event("cluster", notable, line);
}

/* The endpoint of the established leader, "" when there is none or it has none. */
static const char *leader_endpoint(const struct jobmanager *s, enum ensemble_address which, char out[static ZAB_ADDRESS_MAX])
{
    uint32_t id = s->leadership.role.leader;
    const struct zab_member *leader = id ? members_find(&s->members, id) : NULL;
    out[0] = '\0';
    return leader ? ensemble_endpoint(leader->address, which, out) : out;
}

/* Where workers find the coordination. */
static void tell_clients_endpoints(struct jobmanager *s)
{
    char endpoints[ENSEMBLE_CLIENTS_MAX];
    master_set_coordination(s->master, ensemble_clients(&s->members, peer_client_endpoint(s->config.peer), endpoints));
}

/* A new master. With epoch 0 it leads nothing. */
static void start_master(struct jobmanager *s, uint64_t epoch)
{
    char leader[ZAB_ADDRESS_MAX];
    if (s->master) {
        master_actions_close(&s->actions);
        master_destroy(&s->master);
    }
    struct master_config config = {.incarnation = id_random(), .epoch = epoch, .version = WEIR_VERSION, .trace = trace};
    config.heartbeat_ms = s->config.heartbeat.interval_ms;
    config.heartbeat_timeout_ms = s->config.heartbeat.timeout_ms;
    config.options = s->config.options;
    config.checkpoint_dir = s->checkpoint_dir;
    config.leader = epoch ? NULL : leader_endpoint(s, ENSEMBLE_CONTROL, leader);
    master_new(&s->master, &config, clock_mono_ms());
    master_actions_init(&s->actions);
    s->admin.master = s->master;
    s->live_told = 0;
    tell_clients_endpoints(s);
    (void)leader_endpoint(s, ENSEMBLE_ADMIN, leader);
    (void)snprintf(s->admin.leader, sizeof s->admin.leader, "%s", leader);
}

static void log_listening(const struct jobmanager *s)
{
    log_info("listening", "control=%s admin=%s data-dir=\"%s\" epoch=%" PRIu64 " plugins=%u pid=%d", net_socket_endpoint(s->control),
             net_socket_endpoint(s->admin_socket), s->config.data_dir, master_epoch(s->master), store_count(s->store), (int)getpid());
}

/* What was under way for a master that is no more. */
static void forget_work(struct jobmanager *s)
{
    while (s->n_describes > 0) drop_describe(s, 0);
    plans_close(&s->plans);
    pending_close(&s->pending);
    s->plans = (struct plans){0};
    resume_waiting(s);
    for (struct deferred *d = s->first, *next; d; d = next) {
        next = d->next;
        free(d);
    }
    s->first = NULL;
    s->last = &s->first;
}

/* Whose list of plugins counts, if anybody's. */
static void follow_artifacts(struct jobmanager *s)
{
    const struct peer_role *role = &s->leadership.role;
    artifacts_role(s->artifacts, role->established && !role->leads ? role->epoch : 0, false);
}

/* From now on nobody is told anything by us but who leads. */
static void stop_leading(struct jobmanager *s)
{
    static const char unknown[] = "this JobManager leads no more: look whether the request was carried out before you repeat it";
    log_warn("leads no more", "reason=\"%s\"", s->leadership.why);
    while (s->pending.n > 0) answer_waiting(s, s->pending.at[0].awaited, s->pending.at[0].key, WEIR_E_UNREACHABLE, unknown);
    peer_disconnect(s->config.peer, s->connection);
    follow_artifacts(s);
    forget_work(s);
    start_master(s, 0);
}

/* A job that has not ended needs its plugin, whatever else the catalog says of that. */
static void name_plugins_of_jobs(struct jobmanager *s)
{
    for (uint32_t i = 0; i < master_n_jobs(s->master); i++) {
        const struct job *job = master_job_at(s->master, i);
        struct store_artifact about = {.digest = job->digest, .size = job->size};
        if (job_state_terminal(job->state) || artifacts_find(s->artifacts, job->digest)) continue;
        store_clean_name(job->name, about.name);
        artifacts_name(s->artifacts, &about);
    }
}

/* The catalog is ours: the jobs that it holds are taken up. */
static void lead(struct jobmanager *s)
{
    struct master_event ev = {.type = MASTER_EV_LISTED};
    start_master(s, s->leadership.epoch);
    artifacts_role(s->artifacts, s->leadership.epoch, true);
    ev.listed.n = catalog_tree_listed(s->leadership.catalog, &ev.listed.at);
    step(s, &ev);
    name_plugins_of_jobs(s);
    artifacts_named(s->artifacts);
    s->failure = s->actions.answer;
    s->stopping |= s->failure.code != WEIR_OK;
    if (!s->failure.code) log_listening(s);
}

static void follow(struct jobmanager *s)
{
    start_master(s, 0);
    follow_artifacts(s);
    log_info("stands by", "leader=%" PRIu32, s->leadership.role.leader);
}

static void take_turns(struct jobmanager *s)
{
    for (enum leadership_turn turn; (turn = leadership_turn(&s->leadership)) != LEADERSHIP_STAYS;) {
        switch (turn) {
        case LEADERSHIP_STAYS: break;
        case LEADERSHIP_FOLLOWS: follow(s); break;
        case LEADERSHIP_CLAIMS:
            follow_artifacts(s);
            s->connection = peer_connect(s->config.peer);
            break;
        case LEADERSHIP_LEADS: lead(s); break;
        case LEADERSHIP_ENDS: stop_leading(s); break;
        }
    }
}

static void take_members(struct jobmanager *s, const struct zab_members *members)
{
    uint32_t self = peer_id(s->config.peer);
    s->members = *members;
    tell_clients_endpoints(s);
    artifacts_members(s->artifacts, members, self);
    artifact_links_members(s->links, members, self);
}

static void take_news(struct jobmanager *s, const struct peer_news *news)
{
    struct catalog_tree *catalog = news->connection == s->connection ? s->leadership.catalog : NULL;
    switch (news->type) {
    case PEER_NEWS_ROLE: leadership_role(&s->leadership, &news->role); break;
    case PEER_NEWS_MEMBERS: take_members(s, news->members); break;
    case PEER_NEWS_MESSAGE:
        if (catalog) catalog_tree_hear(catalog, news->message);
        if (s->live && news->connection == s->live_connection) live_tree_hear(s->live, news->message);
        break;
    case PEER_NEWS_CLOSED:
        if (catalog) catalog_tree_closed(catalog);
        if (s->live && news->connection == s->live_connection) live_tree_closed(s->live);
        break;
    case PEER_NEWS_RECONFIG: break; /* nobody here asks for it */
    }
}

static void take_peer(struct jobmanager *s)
{
    struct peer_news news;
    while (peer_take(s->config.peer, &news)) {
        take_news(s, &news);
        take_turns(s);
    }
}

/* Between the catalog's core and its two sides. */
static void work_catalog(struct jobmanager *s)
{
    struct master_event ev = {.type = MASTER_EV_CATALOG};
    struct catalog_tree *catalog = s->leadership.catalog;
    struct weir_bytes message;
    if (!catalog) return;
    while (catalog_tree_answer(catalog, &ev.catalog)) step(s, &ev);
    while (catalog_tree_say(catalog, &message, clock_mono_ms())) peer_send(s->config.peer, s->connection, message);
}

/* ---- artifacts ---- */

static void remove_artifact(struct jobmanager *s, const struct store_artifact *about)
{
    char hex[WEIR_DIGEST_TEXT];
    struct weir_diag diag = {0};
    weir_err err = store_remove(s->store, about->digest, &diag);
    if (err && err != WEIR_E_NOT_FOUND) log_warn("cannot remove a plugin", "reason=\"%s\"", diag.text);
    if (!err) log_info("plugin removed", "plugin=%s name=\"%s\"", digest_text(about->digest, hex), about->name);
}

static void refuse_artifact(struct jobmanager *s, const struct artifacts_order *o)
{
    char reason[WEIR_DIAG_MAX];
    (void)snprintf(reason, sizeof reason,
                   "%" PRIu32 " of %" PRIu32 " JobManagers hold the plugin, which is no majority: look at the logs of the others, and "
                   "whether coordination.peers names their admin endpoints",
                   o->n_holders, o->n_members);
    answer_upload(s, o->about.digest, WEIR_E_UNREACHABLE, reason);
}

/* Between the artifacts' core and its three sides: the store, the catalog, other JobManagers. */
static void work_artifacts(struct jobmanager *s)
{
    struct artifacts_order o;
    int64_t now = clock_mono_ms();
    struct master_event keep = {.type = MASTER_EV_ARTIFACT, .artifact = {.about = &o.about}};
    if (artifact_links_receive(s->links, now)) resume_waiting(s);
    while (artifacts_next(s->artifacts, now, &o)) {
        switch (o.type) {
        case ARTIFACTS_SYNC:
        case ARTIFACTS_FETCH: artifact_links_send(s->links, &o, peer_id(s->config.peer), now); break;
        case ARTIFACTS_REMOVE: remove_artifact(s, &o.about); break;
        case ARTIFACTS_KEEP: step(s, &keep); break;
        case ARTIFACTS_GIVE_UP: refuse_artifact(s, &o); break;
        }
    }
}

/* ---- live configuration ---- */

static void begin_live(struct jobmanager *s)
{
    live_tree_new(&s->live);
    s->live_connection = peer_connect(s->config.peer);
    s->live_seen = s->live_told = 0;
}

static void end_live(struct jobmanager *s)
{
    if (s->live) peer_disconnect(s->config.peer, s->live_connection);
    live_tree_destroy(&s->live);
}

/* Our own share. A value that is none changes nothing; whoever leads says so. */
static void take_log_level(struct jobmanager *s, const struct live_setting *at, uint32_t n)
{
    int64_t value;
    enum log_level lowest = s->log_level;
    for (uint32_t i = 0; i < n; i++) {
        if (*at[i].job || strcmp(at[i].key, LIVE_LOG_LEVEL) != 0) continue;
        lowest = live_key_parse(at[i].key, at[i].value, &value, NULL) ? log_lowest() : (enum log_level)value;
    }
    live_log_level(lowest);
}

static void take_live(struct jobmanager *s)
{
    struct master_event ev = {.type = MASTER_EV_LIVE};
    uint64_t reading = live_tree_reading(s->live, &ev.live.at, &ev.live.n);
    if (reading && reading != s->live_seen) {
        s->live_seen = reading;
        take_log_level(s, ev.live.at, ev.live.n);
        if (live_tree_passed_over(s->live))
            log_warn("live configuration is larger than what is read", "settings_max=%u passed_over=%" PRIu32, LIVE_SETTINGS_MAX,
                     live_tree_passed_over(s->live));
    }
    if (!reading || reading == s->live_told || !master_leads(s->master)) return;
    s->live_told = reading;
    step(s, &ev);
}

static void work_live(struct jobmanager *s, int64_t now_ms)
{
    struct weir_bytes message;
    if (s->live && live_tree_lost(s->live)) {
        end_live(s);
        s->live_retry_ms = now_ms + LIVE_RETRY_MS;
    }
    if (!s->live && now_ms >= s->live_retry_ms) begin_live(s);
    if (!s->live) return;
    take_live(s);
    while (live_tree_say(s->live, &message, now_ms)) peer_send(s->config.peer, s->live_connection, message);
}

/* It will lead in a moment: requests wait for that. Nobody is known to ask instead. */
static bool is_about_to_lead(const struct jobmanager *s)
{
    return !master_leads(s->master) && (s->leadership.role.leads || s->members.n <= 1);
}

/* ---- the loop ---- */

static int64_t timeout_ms(const struct jobmanager *s)
{
    int64_t now = clock_mono_ms();
    int64_t until = s->actions.deadline_ms < s->expire_at_ms ? s->actions.deadline_ms : s->expire_at_ms;
    const struct catalog_tree *catalog = s->leadership.catalog;
    if (artifacts_deadline_ms(s->artifacts) < until) until = artifacts_deadline_ms(s->artifacts);
    if (catalog && catalog_tree_deadline_ms(catalog) < until) until = catalog_tree_deadline_ms(catalog);
    int64_t live = s->live ? live_tree_deadline_ms(s->live) : s->live_retry_ms;
    if (live < until) until = live;
    if (s->first || until <= now) return 0;
    return until - now;
}

static void expire(struct jobmanager *s, int64_t now)
{
    struct weir_id late;
    store_expire(s->store, now);
    while (plans_expire(&s->plans, now, &late)) stop_describe(s, late);
    s->expire_at_ms = now + EXPIRE_MS;
}

enum { W_SIGNALS, W_CONTROL, W_ADMIN, W_PEER, W_STORAGE, W_DESCRIBES, W_MAX = W_DESCRIBES + 2 * DESCRIBES_MAX + ARTIFACT_LINKS_WAITS };
static_assert(W_MAX <= NET_POLL_MAX, "everything can be waited for");

static void turn(struct jobmanager *s)
{
    struct net_wait waits[W_MAX];
    uint32_t n_describes = s->n_describes, n = W_DESCRIBES + 2 * s->n_describes;
    waits[W_SIGNALS] = (struct net_wait){.fd = s->config.signals, .want_read = true};
    waits[W_CONTROL] = (struct net_wait){.socket = s->control, .want_read = true};
    waits[W_ADMIN] = (struct net_wait){.socket = s->admin_socket, .want_read = !is_about_to_lead(s)};
    waits[W_PEER] = (struct net_wait){.fd = peer_fd(s->config.peer), .want_read = true};
    waits[W_STORAGE] = (struct net_wait){.fd = storage_thread_fd(s->storage), .want_read = true};
    for (uint32_t i = 0; i < n_describes; i++) describe_waits(s->describes[i], &waits[W_DESCRIBES + 2 * i]);
    n += artifact_links_waits(s->links, &waits[n]);
    (void)net_poll(waits, n, timeout_ms(s));
    if (waits[W_SIGNALS].readable) take_signals(s);
    if (any_readable(&waits[W_DESCRIBES], 2 * n_describes)) take_describes(s);
    if (waits[W_PEER].readable) take_peer(s);
    if (waits[W_STORAGE].readable) take_storage(s);
    if (waits[W_CONTROL].readable) take_control(s);
    if (waits[W_ADMIN].readable) take_admin(s);
    work_artifacts(s);
    do_deferred(s);
    int64_t now = clock_mono_ms();
    if (now >= s->expire_at_ms) expire(s, now);
    if (now >= s->actions.deadline_ms) step(s, &(struct master_event){.type = MASTER_EV_TICK});
    work_catalog(s);
    work_live(s, now);
}

weir_err jobmanager_run(struct jobmanager *jobmanager, struct weir_diag *diag)
{
    step(jobmanager, &(struct master_event){.type = MASTER_EV_TICK});
    while (!jobmanager->stopping) turn(jobmanager);
    if (jobmanager->failure.code) *diag = jobmanager->failure;
    return jobmanager->failure.code;
}

/* ---- life ---- */

static weir_err open_sockets(struct jobmanager *s, struct weir_diag *diag)
{
    struct net_socket_config control = {.kind = NET_ROUTER,
                                        .message_max = WEIR_CONTROL_MAX + PACKET_OVERHEAD,
                                        .send_hwm = CONTROL_HWM,
                                        .receive_hwm = CONTROL_HWM,
                                        .linger_ms = CONTROL_LINGER_MS,
                                        .silence_ms = s->config.heartbeat.timeout_ms,
                                        .roles = NET_ROLE_TASKMANAGER};
    struct net_socket_config admin = {.kind = NET_ROUTER,
                                      .message_max = ADMIN_PART_MAX,
                                      .send_hwm = ADMIN_HWM,
                                      .receive_hwm = ADMIN_HWM,
                                      .linger_ms = ADMIN_LINGER_MS,
                                      .roles =
                                          NET_ROLE_VIEWER | NET_ROLE_OPERATOR | NET_ROLE_DEPLOYER | NET_ROLE_ADMIN | NET_ROLE_JOBMANAGER};
    weir_err err = net_socket_new(&s->control, &control, diag);
    if (!err) err = net_socket_new(&s->admin_socket, &admin, diag);
    if (!err) err = net_socket_bind(s->control, s->config.bind, diag);
    if (!err) err = net_socket_bind(s->admin_socket, s->config.admin, diag);
    return err;
}

/* Where checkpoints and savepoints go that were told no place: below the data folder. */
static weir_err make_folders(struct jobmanager *s, struct weir_diag *diag)
{
    char dir[PATH_MAX];
    if (!realpath(s->config.data_dir, dir)) return weir_fail_errno(diag, errno, "find %s", s->config.data_dir);
    if (strlen(dir) >= JOB_PATH_MAX - sizeof "/checkpoints")
        return weir_fail(diag, WEIR_E_LIMIT, "the path %s is too long for checkpoints below it: at most %zu bytes", dir,
                         JOB_PATH_MAX - sizeof "/checkpoints");
    (void)snprintf(s->checkpoint_dir, sizeof s->checkpoint_dir, "%.*s/checkpoints", JOB_PATH_MAX, dir);
    (void)snprintf(s->savepoint_dir, sizeof s->savepoint_dir, "%.*s/savepoints", JOB_PATH_MAX, dir);
    weir_err err = folder_make(s->checkpoint_dir, diag);
    if (!err) err = folder_make(s->savepoint_dir, diag);
    const char *configured = s->config.options->dir;
    return err || !configured[0] ? err : folder_have(configured, diag);
}

weir_err jobmanager_new(struct jobmanager **out, const struct jobmanager_config *config, struct weir_diag *diag)
{
    struct jobmanager *s = calloc(1, sizeof *s);
    if (!s) return weir_fail(diag, WEIR_E_NOMEM, "no memory for the server");
    s->config = *config;
    s->log_level = log_lowest();
    s->last = &s->first;
    leadership_init(&s->leadership);
    net_parts_init(&s->parts);
    weir_err err = routes_new(&s->routes);
    if (err) err = weir_fail(diag, err, "no memory for the routes");
    if (!err) err = store_open(&s->store, config->data_dir, note_check, diag);
    if (!err) err = make_folders(s, diag);
    if (!err) err = storage_thread_new(&s->storage, diag);
    if (!err) err = open_sockets(s, diag);
    if (err) {
        jobmanager_destroy(&s);
        return err;
    }
    artifacts_new(&s->artifacts);
    artifact_links_new(&s->links, s->artifacts, s->store);
    for (uint32_t i = 0; i < store_count(s->store); i++) artifacts_held(s->artifacts, store_at(s->store, i));
    s->admin = (struct admin){.store = s->store,
                              .artifacts = s->artifacts,
                              .plans = &s->plans,
                              .control = net_socket_endpoint(s->control),
                              .endpoint = net_socket_endpoint(s->admin_socket),
                              .data_dir = config->data_dir,
                              .savepoint_dir = s->savepoint_dir,
                              .step = step_for_admin,
                              .describe = describe_for_admin,
                              .arg = s};
    start_master(s, 0);
    *out = s;
    return WEIR_OK;
}

void jobmanager_destroy(struct jobmanager **jobmanager)
{
    struct jobmanager *s = *jobmanager;
    *jobmanager = NULL;
    if (!s) return;
    forget_work(s);
    end_live(s);
    if (s->master) {
        master_actions_close(&s->actions);
        master_destroy(&s->master);
    }
    if (s->leadership.catalog) peer_disconnect(s->config.peer, s->connection);
    leadership_close(&s->leadership);
    storage_thread_destroy(&s->storage);
    net_parts_close(&s->parts);
    net_socket_destroy(&s->control);
    net_socket_destroy(&s->admin_socket);
    artifact_links_destroy(&s->links);
    artifacts_destroy(&s->artifacts);
    routes_destroy(&s->routes);
    store_close(&s->store);
    free(s);
}
