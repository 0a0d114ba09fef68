/* SPDX-License-Identifier: Apache-2.0 */
/* The functions of weir/coord.h: each makes a request and hands it to the client's thread; the synchronous ones wait for it. */
#include "weir/coord.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "api/client/coord_claim.h"
#include "api/client/coord_reply.h"
#include "api/client/coord_task.h"
#include "runtime/base/assert.h"
#include "runtime/base/clock.h"
#include "runtime/coord/limits.h"
#include "runtime/net/security.h"

enum { CLOSE_MS = 1000 }; /* how long weir_coord_close waits for the end of the session */

/* ---- life ---------------------------------------------------------------------------------------------------------------------- */

weir_err weir_coord_start(void)
{
    return net_start(1);
}

void weir_coord_stop(void)
{
    net_stop();
}

weir_err weir_coord_secure(const char *key_file, const char *known_keys, struct weir_diag *diag)
{
    return net_secure(&(struct net_security_config){.key = key_file, .known_keys = known_keys}, diag);
}

static void free_coord(struct weir_coord *c)
{
    coord_client_destroy(&c->client);
    if (c->order_fd >= 0) (void)close(c->order_fd);
    (void)pthread_mutex_destroy(&c->mutex);
    free(c);
}

static weir_err start(struct weir_coord *c, const struct weir_coord_config *config, struct weir_diag *diag)
{
    struct net_socket_config probe = {.kind = NET_DEALER, .message_max = 1, .send_hwm = 1, .receive_hwm = 1};
    struct net_socket *socket = NULL;
    weir_err err = coord_servers_parse(c, config->servers, diag);
    if (!err) err = net_socket_new(&socket, &probe, diag); /* is ZeroMQ started? */
    if (err) return err;
    net_socket_destroy(&socket);
    c->order_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (c->order_fd < 0) return weir_fail(diag, WEIR_E_IO, "cannot make an eventfd");
    struct coord_client_config core = {.n_servers = c->n_servers,
                                       .first = (uint32_t)id_word(id_random()),
                                       .session_timeout_ms =
                                           config->session_timeout_ms ? config->session_timeout_ms : WEIR_COORD_SESSION_MS};
    coord_client_new(&c->client, &core);
    c->started = pthread_create(&c->thread, NULL, coord_thread_run, c) == 0;
    return c->started ? WEIR_OK : weir_fail(diag, WEIR_E_LIMIT, "cannot start a thread");
}

static weir_err open_client(struct weir_coord **out, const struct weir_coord_config *config, const bool *may_wait, struct weir_diag *diag)
{
    struct weir_coord *c = calloc(1, sizeof *c);
    if (!c) return weir_fail(diag, WEIR_E_NOMEM, "out of memory");
    c->order_fd = -1;
    c->on_state = config->on_state;
    c->arg = config->arg;
    c->task = pthread_self();
    c->may_wait = may_wait;
    c->request_timeout_ms = config->request_timeout_ms ? config->request_timeout_ms : WEIR_COORD_REQUEST_MS;
    STAILQ_INIT(&c->orders);
    net_parts_init(&c->parts);
    WEIR_ASSERT(pthread_mutex_init(&c->mutex, NULL) == 0);
    atomic_init(&c->alive_until_ms, INT64_MIN);
    weir_err err = start(c, config, diag);
    if (err) {
        free_coord(c);
        return err;
    }
    *out = c;
    return WEIR_OK;
}

weir_err weir_coord_open(struct weir_coord **out, const struct weir_coord_config *config, struct weir_diag *diag)
{
    return open_client(out, config, NULL, diag);
}

weir_err coord_open_for_task(struct weir_coord **out, const char *servers, const bool *may_wait, struct weir_diag *diag)
{
    return open_client(out, &(struct weir_coord_config){.servers = servers, .request_timeout_ms = COORD_TASK_MS}, may_wait, diag);
}

static struct order *order_new(enum order_type type)
{
    struct order *order = calloc(1, sizeof *order);
    WEIR_ASSERT(order);
    order->type = type;
    return order;
}

static void ask_until(struct weir_coord *c, struct request *request, int64_t timeout_ms)
{
    struct order *order = order_new(ORDER_ASK);
    request->deadline_ms = clock_mono_ms() + timeout_ms;
    order->request = request;
    coord_thread_order(c, order);
}

static void ask(struct weir_coord *c, struct request *request)
{
    ask_until(c, request, c->request_timeout_ms);
}

void coord_ask_patiently(struct weir_coord *coord, struct request *request)
{
    struct order *order = order_new(ORDER_ASK);
    request->deadline_ms = INT64_MAX;
    order->request = request;
    coord_thread_order(coord, order);
}

uint64_t coord_next_watch(struct weir_coord *coord)
{
    return atomic_fetch_add(&coord->last_watch, 1) + 1;
}

struct timespec coord_moment(int64_t timeout_ms)
{
    int64_t at_ms = clock_mono_ms() + (timeout_ms < 0 ? 0 : timeout_ms);
    return (struct timespec){.tv_sec = at_ms / 1000, .tv_nsec = at_ms % 1000 * 1000000};
}

/* ---- waiting ------------------------------------------------------------------------------------------------------------------- */

struct waiter {
    struct gate gate;
    struct weir_coord_reply reply;
};

static void wake(void *arg, struct weir_coord_reply *reply)
{
    struct waiter *w = arg;
    w->reply = *reply;
    *reply = (struct weir_coord_reply){0};
    gate_open(&w->gate);
}

bool coord_is_own_thread(const struct weir_coord *coord)
{
    return pthread_equal(pthread_self(), coord->thread);
}

static bool is_task_thread(const struct weir_coord *coord)
{
    return coord->may_wait && pthread_equal(pthread_self(), coord->task);
}

bool coord_may_wait(const struct weir_coord *coord)
{
    return !coord_is_own_thread(coord) && (!is_task_thread(coord) || *coord->may_wait);
}

int64_t coord_wait_ms(const struct weir_coord *coord, int64_t timeout_ms)
{
    bool longer = timeout_ms < 0 || timeout_ms > COORD_TASK_MS;
    return longer && is_task_thread(coord) ? COORD_TASK_MS : timeout_ms;
}

/* Waits for the request that `w` was given to. */
static enum weir_coord_err wait_for(struct waiter *w, struct weir_coord_reply *out)
{
    gate_wait(&w->gate);
    gate_close(&w->gate);
    enum weir_coord_err err = w->reply.err;
    if (out)
        *out = w->reply;
    else
        weir_coord_reply_close(&w->reply);
    return err;
}

static enum weir_coord_err refuse(struct weir_coord_reply *reply, enum weir_coord_err err)
{
    if (reply) *reply = (struct weir_coord_reply){.err = err};
    return err;
}

void weir_coord_close(struct weir_coord **coord)
{
    struct weir_coord *c = *coord;
    struct waiter w = {0};
    if (!c) return;
    WEIR_ASSERT(!coord_is_own_thread(c)); /* it would wait for itself */
    *coord = NULL;
    gate_init(&w.gate);
    ask_until(c, request_new(ASK_CLOSE, wake, &w), CLOSE_MS);
    (void)wait_for(&w, NULL);
    coord_thread_order(c, order_new(ORDER_END));
    (void)pthread_join(c->thread, NULL);
    while (!STAILQ_EMPTY(&c->orders)) { /* given by callbacks of the last turn */
        struct order *order = STAILQ_FIRST(&c->orders);
        STAILQ_REMOVE_HEAD(&c->orders, next);
        if (order->request && order->request->reply.fn)
            order->request->reply.fn(order->request->reply.arg, &(struct weir_coord_reply){.err = WEIR_COORD_CLOSING});
        request_destroy(&order->request);
        free(order);
    }
    free_coord(c);
}

/* ---- state --------------------------------------------------------------------------------------------------------------------- */

enum weir_coord_state weir_coord_state(struct weir_coord *coord)
{
    return (enum weir_coord_state)atomic_load(&coord->state);
}

uint64_t weir_coord_session(struct weir_coord *coord)
{
    return atomic_load(&coord->session);
}

bool weir_coord_alive(struct weir_coord *coord)
{
    return clock_mono_ms() < atomic_load(&coord->alive_until_ms);
}

/* ---- requests ------------------------------------------------------------------------------------------------------------------ */

/* What cannot be asked is answered so on the client's thread, as every request. */
static void ask_checked(struct weir_coord *c, struct request *request, enum weir_coord_err err)
{
    request->refused = err;
    ask(c, request);
}

void weir_coord_write_async(struct weir_coord *coord, const struct weir_coord_op *ops, uint32_t n, weir_coord_reply_fn *fn, void *arg)
{
    struct request *q = request_new(ASK_WRITE, fn, arg);
    ask_checked(coord, q, request_put_ops(q, ops, n));
}

enum weir_coord_err weir_coord_write(struct weir_coord *coord, const struct weir_coord_op *ops, uint32_t n, struct weir_coord_reply *reply)
{
    struct waiter w = {0};
    if (!coord_may_wait(coord)) return refuse(reply, WEIR_COORD_WRONG_THREAD);
    gate_init(&w.gate);
    weir_coord_write_async(coord, ops, n, wake, &w);
    return wait_for(&w, reply);
}

void weir_coord_read_async(struct weir_coord *coord, const struct weir_coord_read *reads, uint32_t n, bool linear, weir_coord_reply_fn *fn,
                           void *arg)
{
    struct request *q = request_new(ASK_READ, fn, arg);
    q->linear = linear;
    q->watch.id = coord_next_watch(coord);
    ask_checked(coord, q, request_put_reads(q, reads, n));
}

enum weir_coord_err weir_coord_read(struct weir_coord *coord, const struct weir_coord_read *reads, uint32_t n, bool linear,
                                    struct weir_coord_reply *reply)
{
    struct waiter w = {0};
    if (!coord_may_wait(coord)) return refuse(reply, WEIR_COORD_WRONG_THREAD);
    gate_init(&w.gate);
    weir_coord_read_async(coord, reads, n, linear, wake, &w);
    enum weir_coord_err err = wait_for(&w, reply);
    return !err && n == 1 ? reply->results[0].err : err;
}

void weir_coord_sync_async(struct weir_coord *coord, weir_coord_reply_fn *fn, void *arg)
{
    ask(coord, request_new(ASK_SYNC, fn, arg));
}

/* Waits for the answer to a request that has no results. */
static enum weir_coord_err ask_and_wait(struct weir_coord *c, struct request *request, struct waiter *w)
{
    gate_init(&w->gate);
    request->reply = (struct client_reply_to){wake, w};
    ask(c, request);
    return wait_for(w, NULL);
}

enum weir_coord_err weir_coord_sync(struct weir_coord *coord)
{
    struct waiter w = {0};
    if (!coord_may_wait(coord)) return WEIR_COORD_WRONG_THREAD;
    return ask_and_wait(coord, request_new(ASK_SYNC, NULL, NULL), &w);
}

enum weir_coord_err weir_coord_add_auth(struct weir_coord *coord, const char *user_password)
{
    struct waiter w = {0};
    char id[256];
    if (!coord_may_wait(coord)) return WEIR_COORD_WRONG_THREAD;
    if (!weir_coord_acl_digest(user_password, id)) return WEIR_COORD_AUTH_FAILED; /* the server would end the connection */
    struct request *q = request_new(ASK_AUTH, NULL, NULL);
    buffer_str(&q->ops, user_password);
    WEIR_ASSERT(!q->ops.err);
    return ask_and_wait(coord, q, &w);
}

/* ---- watches ------------------------------------------------------------------------------------------------------------------- */

void weir_coord_watch_async(struct weir_coord *coord, const char *path, bool recursive, weir_coord_event_fn *fn, void *arg, uint64_t *watch,
                            weir_coord_reply_fn *done, void *done_arg)
{
    struct request *q = request_new(ASK_READ, done, done_arg);
    bool fits = path && strnlen(path, COORD_PATH_MAX + 1) <= COORD_PATH_MAX;
    q->watch = (struct client_event_to){fn, arg, coord_next_watch(coord)};
    q->watch_kind = recursive ? WATCH_RECURSIVE : WATCH_PERSISTENT;
    q->n = 1;
    if (watch) *watch = q->watch.id;
    if (fits) {
        buffer_str(&q->path, path);
        put_get(&q->ops, &(struct get){.type = GET_WATCH, .path = bytes_text(path), .kind = q->watch_kind});
    }
    ask_checked(coord, q, fits ? WEIR_COORD_OK : WEIR_COORD_BAD_ARGUMENTS);
}

enum weir_coord_err weir_coord_watch(struct weir_coord *coord, const char *path, bool recursive, weir_coord_event_fn *fn, void *arg,
                                     uint64_t *watch)
{
    struct waiter w = {0};
    struct weir_coord_reply reply;
    if (!coord_may_wait(coord)) return WEIR_COORD_WRONG_THREAD;
    gate_init(&w.gate);
    weir_coord_watch_async(coord, path, recursive, fn, arg, watch, wake, &w);
    enum weir_coord_err err = wait_for(&w, &reply);
    if (!err) err = reply.results[0].err;
    weir_coord_reply_close(&reply);
    return err;
}

static bool unwatch(struct weir_coord *c, uint64_t id, const void *arg)
{
    struct order *order = order_new(ORDER_UNWATCH);
    struct order_done done = {.found = true};
    order->id = id;
    order->arg = arg;
    if (coord_is_own_thread(c)) {
        coord_thread_order(c, order);
        return true;
    }
    gate_init(&done.gate);
    order->done = &done;
    coord_thread_order(c, order);
    gate_wait(&done.gate);
    gate_close(&done.gate);
    return done.found;
}

enum weir_coord_err weir_coord_unwatch(struct weir_coord *coord, uint64_t watch)
{
    return watch && unwatch(coord, watch, NULL) ? WEIR_COORD_OK : WEIR_COORD_NO_WATCHER;
}

void weir_coord_forget(struct weir_coord *coord, const void *arg)
{
    (void)unwatch(coord, 0, arg);
}

/* ---- the usual ones ------------------------------------------------------------------------------------------------------------ */

enum weir_coord_err weir_coord_create(struct weir_coord *coord, const char *path, const void *data, uint32_t length, unsigned kind,
                                      struct weir_coord_reply *reply)
{
    struct weir_coord_op op = {.type = WEIR_COORD_CREATE, .path = path, .data = bytes_of(data, length), .kind = kind};
    return weir_coord_write(coord, &op, 1, reply);
}

enum weir_coord_err weir_coord_create_parents(struct weir_coord *coord, const char *path)
{
    char parent[COORD_PATH_MAX + 1];
    if (strnlen(path, sizeof parent) == sizeof parent) return WEIR_COORD_BAD_ARGUMENTS;
    for (const char *slash = *path ? strchr(path + 1, '/') : NULL; slash; slash = strchr(slash + 1, '/')) {
        memcpy(parent, path, (size_t)(slash - path));
        parent[slash - path] = '\0';
        enum weir_coord_err err = weir_coord_create(coord, parent, NULL, 0, WEIR_COORD_PERSISTENT, NULL);
        if (err && err != WEIR_COORD_NODE_EXISTS) return err;
    }
    return WEIR_COORD_OK;
}

enum weir_coord_err weir_coord_delete(struct weir_coord *coord, const char *path, int64_t version)
{
    struct weir_coord_op op = {.type = WEIR_COORD_DELETE, .path = path, .version = version};
    return weir_coord_write(coord, &op, 1, NULL);
}

enum weir_coord_err weir_coord_set(struct weir_coord *coord, const char *path, const void *data, uint32_t length, int64_t version,
                                   struct weir_coord_stat *stat)
{
    struct weir_coord_op op = {.type = WEIR_COORD_SET, .path = path, .data = bytes_of(data, length), .version = version};
    struct weir_coord_reply reply;
    enum weir_coord_err err = weir_coord_write(coord, &op, 1, &reply);
    if (!err && stat) *stat = reply.results[0].stat;
    weir_coord_reply_close(&reply);
    return err;
}

enum weir_coord_err weir_coord_get(struct weir_coord *coord, const char *path, struct weir_coord_reply *reply)
{
    return weir_coord_read(coord, &(struct weir_coord_read){.type = WEIR_COORD_GET, .path = path}, 1, false, reply);
}

enum weir_coord_err weir_coord_exists(struct weir_coord *coord, const char *path, struct weir_coord_stat *stat)
{
    struct weir_coord_reply reply;
    enum weir_coord_err err = weir_coord_read(coord, &(struct weir_coord_read){.type = WEIR_COORD_EXISTS, .path = path}, 1, false, &reply);
    if (!err && stat) *stat = reply.results[0].stat;
    weir_coord_reply_close(&reply);
    return err;
}

enum weir_coord_err weir_coord_children(struct weir_coord *coord, const char *path, struct weir_coord_reply *reply)
{
    return weir_coord_read(coord, &(struct weir_coord_read){.type = WEIR_COORD_GET_CHILDREN, .path = path}, 1, false, reply);
}
