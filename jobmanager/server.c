/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/src/note.h"
#include "jobmanager/server_internal.h"
#include "runtime/base/clock.h"
#include "runtime/base/folder.h"
#include "runtime/base/process.h"
#include "runtime/net/security.h"

enum {
    CONTROL_HWM = 1000,  /* packets queued per TaskManager; above, packets are dropped and their links send them again */
    CONTROL_BATCH = 256, /* packets taken in one turn of the loop */
    ADMIN_HWM = 64,      /* requests or replies queued per client */
    ADMIN_BATCH = 16,    /* requests answered in one turn */
    CONTROL_LINGER_MS = 200,
    ADMIN_LINGER_MS = 500,  /* so that the last answers still go */
    EXPIRE_MS = 1000,       /* pause between looks at idle uploads and plans */
    PACKET_OVERHEAD = 4096, /* what a link may put around a control message */
};

/* ---- events ---- */

static void step_for_admin(void *arg, struct master_event *ev, struct weir_diag *answer)
{
    struct jobmanager *s = arg;
    server_step(s, ev);
    *answer = s->actions.answer;
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
        server_step(s, &ev);
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
    server_answer(s, net_part(&s->parts, 0), delimited, &reply);
    admin_reply_close(&reply);
}

static void take_admin(struct jobmanager *s)
{
    for (int i = 0; i < ADMIN_BATCH; i++) {
        if (net_receive(s->admin_socket, &s->parts) == NET_NOTHING) return;
        answer_request(s); /* too many parts are answered too: they are no request */
    }
}

static void take_storage(struct jobmanager *s)
{
    struct master_event ev;
    while (storage_thread_answer(s->storage, &ev)) server_step(s, &ev);
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
    while (plans_expire(&s->plans, now, &late)) server_stop_describe(s, late);
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
    waits[W_ADMIN] = (struct net_wait){.socket = s->admin_socket, .want_read = !server_is_about_to_lead(s)};
    waits[W_PEER] = (struct net_wait){.fd = peer_fd(s->config.peer), .want_read = true};
    waits[W_STORAGE] = (struct net_wait){.fd = storage_thread_fd(s->storage), .want_read = true};
    for (uint32_t i = 0; i < n_describes; i++) describe_waits(s->describes[i], &waits[W_DESCRIBES + 2 * i]);
    n += artifact_links_waits(s->links, &waits[n]);
    (void)net_poll(waits, n, timeout_ms(s));
    if (waits[W_SIGNALS].readable) take_signals(s);
    if (any_readable(&waits[W_DESCRIBES], 2 * n_describes)) server_take_describes(s);
    if (waits[W_PEER].readable) server_take_peer(s);
    if (waits[W_STORAGE].readable) take_storage(s);
    if (waits[W_CONTROL].readable) take_control(s);
    if (waits[W_ADMIN].readable) take_admin(s);
    server_work_artifacts(s);
    server_do_deferred(s);
    int64_t now = clock_mono_ms();
    if (now >= s->expire_at_ms) expire(s, now);
    if (now >= s->actions.deadline_ms) server_step(s, &(struct master_event){.type = MASTER_EV_TICK});
    server_work_catalog(s);
    server_work_live(s, now);
}

weir_err jobmanager_run(struct jobmanager *jobmanager, struct weir_diag *diag)
{
    server_step(jobmanager, &(struct master_event){.type = MASTER_EV_TICK});
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
                              .describe = server_describe,
                              .arg = s};
    server_start_master(s, 0);
    *out = s;
    return WEIR_OK;
}

void jobmanager_destroy(struct jobmanager **jobmanager)
{
    struct jobmanager *s = *jobmanager;
    *jobmanager = NULL;
    if (!s) return;
    server_forget_work(s);
    server_end_live(s);
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
