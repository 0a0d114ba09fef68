/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/net/socket.h"

#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zmq.h>

#include "runtime/base/assert.h"
#include "runtime/net/curve.h"
#include "runtime/net/endpoint.h"

/* The one context of the process; made before other threads and ended after them. */
static void *context;

struct net_socket {
    void *zmq;
    char endpoint[NET_ENDPOINT_MAX];
    /* The file of an ipc bind, which libzmq 4.3 leaves behind; its inode, so that we never remove the file of one who took the path over.
     */
    char path[NET_ENDPOINT_MAX];
    dev_t device;
    ino_t inode;
    struct net_socket *watched; /* of a monitor */
    uint32_t roles;
    const struct net_key_pair *identity;
    bool plain;
};

void *net_context(void)
{
    return context;
}

weir_err net_start(uint32_t io_threads)
{
    WEIR_ASSERT(context == NULL);
    if (io_threads == 0 || io_threads > 64) return WEIR_E_ARGUMENT;
    void *c = zmq_ctx_new();
    if (!c) return WEIR_E_NOMEM;
    (void)zmq_ctx_set(c, ZMQ_IO_THREADS, (int)io_threads);
    (void)zmq_ctx_set(c, ZMQ_MAX_SOCKETS, 4096);
    context = c;
    return WEIR_OK;
}

void net_stop(void)
{
    if (!context) return;
    curve_stop();
    while (zmq_ctx_term(context) != 0 && errno == EINTR) continue;
    context = NULL;
}

/* ---- messages ---- */

static_assert(sizeof(struct net_message) == sizeof(zmq_msg_t), "net_message stores a zmq_msg_t");
static_assert(_Alignof(struct net_message) >= _Alignof(zmq_msg_t), "net_message stores a zmq_msg_t");

static zmq_msg_t *raw(struct net_message *m)
{
    return (zmq_msg_t *)(void *)m;
}

void net_message_init(struct net_message *m)
{
    (void)zmq_msg_init(raw(m));
}

weir_err net_message_copy(struct net_message *m, const void *data, size_t len)
{
    if (zmq_msg_init_size(raw(m), len) != 0) return WEIR_E_NOMEM;
    if (len > 0) memcpy(zmq_msg_data(raw(m)), data, len);
    return WEIR_OK;
}

weir_err net_message_wrap(struct net_message *m, void *data, size_t len, net_free_fn release, void *hint)
{
    return zmq_msg_init_data(raw(m), data, len, release, hint) == 0 ? WEIR_OK : WEIR_E_NOMEM;
}

void net_message_close(struct net_message *m)
{
    (void)zmq_msg_close(raw(m));
    (void)zmq_msg_init(raw(m));
}

void net_message_move(struct net_message *to, struct net_message *from)
{
    (void)zmq_msg_move(raw(to), raw(from));
}

void *net_message_data(struct net_message *m)
{
    return zmq_msg_data(raw(m));
}

size_t net_message_size(const struct net_message *m)
{
    return zmq_msg_size((const zmq_msg_t *)(const void *)m);
}

void net_parts_init(struct net_parts *p)
{
    p->n = 0;
    for (uint32_t i = 0; i < NET_PARTS_MAX; i++) net_message_init(&p->part[i]);
}

void net_parts_close(struct net_parts *p)
{
    for (uint32_t i = 0; i < p->n; i++) net_message_close(&p->part[i]);
    p->n = 0;
}

struct weir_bytes net_part(struct net_parts *p, uint32_t index)
{
    WEIR_ASSERT_HOT(index < p->n);
    return (struct weir_bytes){net_message_data(&p->part[index]), (uint32_t)net_message_size(&p->part[index])};
}

/* ---- sockets ---- */

static int set_int(void *zmq, int option, int value)
{
    return zmq_setsockopt(zmq, option, &value, sizeof value);
}

static int int_of(uint32_t value)
{
    return value > INT32_MAX ? INT32_MAX : (int)value;
}

static int heartbeat_timeout_ms(const struct net_socket_config *c)
{
    int own_ms = int_of(2 * c->silence_ms);
    return own_ms > NET_HEARTBEAT_TIMEOUT_MS ? own_ms : NET_HEARTBEAT_TIMEOUT_MS;
}

static int set_options(void *zmq, const struct net_socket_config *c)
{
    int64_t message_max = c->message_max > INT64_MAX ? INT64_MAX : (int64_t)c->message_max;
    int bad = zmq_setsockopt(zmq, ZMQ_MAXMSGSIZE, &message_max, sizeof message_max);
    bad |= set_int(zmq, ZMQ_LINGER, int_of(c->linger_ms));
    bad |= set_int(zmq, ZMQ_SNDHWM, int_of(c->send_hwm));
    bad |= set_int(zmq, ZMQ_RCVHWM, int_of(c->receive_hwm));
    bad |= set_int(zmq, ZMQ_HANDSHAKE_IVL, NET_HANDSHAKE_MS);
    bad |= set_int(zmq, ZMQ_HEARTBEAT_IVL, NET_HEARTBEAT_MS);
    bad |= set_int(zmq, ZMQ_HEARTBEAT_TIMEOUT, heartbeat_timeout_ms(c));
    bad |= set_int(zmq, ZMQ_RECONNECT_IVL, c->once ? -1 : NET_RECONNECT_MS);
    bad |= set_int(zmq, ZMQ_RECONNECT_IVL_MAX, NET_RECONNECT_MAX_MS);
    bad |= set_int(zmq, ZMQ_IPV6, 0);
    if (c->kind == NET_ROUTER) {
        bad |= set_int(zmq, ZMQ_ROUTER_MANDATORY, 1);
        bad |= set_int(zmq, ZMQ_ROUTER_HANDOVER, 1);
    }
    if (c->routing_id.length > 0) bad |= zmq_setsockopt(zmq, ZMQ_ROUTING_ID, c->routing_id.data, c->routing_id.length);
    return bad;
}

weir_err net_socket_new(struct net_socket **out, const struct net_socket_config *config, struct weir_diag *diag)
{
    WEIR_ASSERT(config->message_max > 0);
    WEIR_ASSERT(config->send_hwm > 0); /* ZeroMQ reads 0 as "no limit" */
    WEIR_ASSERT(config->receive_hwm > 0);
    if (!context) return weir_fail(diag, WEIR_E_STATE, "the network is not started");
    if (config->routing_id.length > NET_ROUTING_ID_MAX)
        return weir_fail(diag, WEIR_E_ARGUMENT, "a routing id has at most %u bytes", NET_ROUTING_ID_MAX);
    struct net_socket *s = calloc(1, sizeof *s);
    if (!s) return weir_fail(diag, WEIR_E_NOMEM, "no memory for a socket");
    s->roles = config->roles;
    s->identity = config->identity;
    s->plain = config->plain;
    s->zmq = zmq_socket(context, config->kind == NET_ROUTER ? ZMQ_ROUTER : ZMQ_DEALER);
    int error = errno;
    if (s->zmq && set_options(s->zmq, config) == 0) {
        *out = s;
        return WEIR_OK;
    }
    if (s->zmq) error = errno;
    net_socket_destroy(&s);
    return weir_fail(diag, error == EMFILE ? WEIR_E_LIMIT : WEIR_E_IO, "cannot make a socket: %s", zmq_strerror(error));
}

static void remember_path(struct net_socket *s)
{
    struct stat st;
    const char *path = s->endpoint + strlen("ipc://");
    if (strncmp(s->endpoint, "ipc://", 6) != 0 || *path == '@' || lstat(path, &st) != 0) return;
    (void)snprintf(s->path, sizeof s->path, "%s", path);
    s->device = st.st_dev;
    s->inode = st.st_ino;
}

static void remove_path(const struct net_socket *s)
{
    struct stat st;
    if (s->path[0] != '\0' && lstat(s->path, &st) == 0 && st.st_dev == s->device && st.st_ino == s->inode) (void)unlink(s->path);
}

void net_socket_destroy(struct net_socket **socket)
{
    struct net_socket *s = *socket;
    *socket = NULL;
    if (!s) return;
    remove_path(s);
    /* libzmq tells a monitor with a send that waits: one whose reader has gone would hold up the I/O thread for ever. */
    if (s->watched) (void)zmq_socket_monitor(s->watched->zmq, NULL, 0);
    if (s->zmq) (void)zmq_close(s->zmq);
    free(s);
}

static weir_err attach_error(struct weir_diag *diag, const char *verb, const char *endpoint, int error)
{
    weir_err err = error == EADDRINUSE ? WEIR_E_EXISTS : error == ENOENT ? WEIR_E_NOT_FOUND : WEIR_E_IO;
    return weir_fail(diag, err, "cannot %s %s: %s", verb, endpoint, zmq_strerror(error));
}

static bool is_inproc(const char *endpoint)
{
    return strncmp(endpoint, "inproc://", 9) == 0;
}

static weir_err check(struct endpoint *out, const char *endpoint, bool with_keys, struct weir_diag *diag)
{
    weir_err err = endpoint_parse(out, endpoint, diag);
    return err || with_keys ? err : endpoint_check_local(out, endpoint, diag);
}

weir_err net_endpoint_check_as(const char *endpoint, bool with_keys, struct weir_diag *diag)
{
    struct endpoint parsed;
    return check(&parsed, endpoint, with_keys, diag);
}

weir_err net_endpoint_check(const char *endpoint, struct weir_diag *diag)
{
    return net_endpoint_check_as(endpoint, net_is_secured(), diag);
}

static weir_err arm(struct net_socket *s, const char *endpoint, bool for_connect, struct weir_diag *diag)
{
    if (!net_is_secured() || s->plain) return WEIR_OK;
    return for_connect ? curve_connect(s->zmq, s->identity, endpoint, diag) : curve_bind(s->zmq, s->identity, s->roles, diag);
}

/* Checks the endpoint and rewrites it as ZeroMQ shall see it: localhost by number, since a resolver may send a name anywhere. */
static weir_err prepare(struct net_socket *s, const char *endpoint, bool for_connect, char out[static NET_ENDPOINT_MAX],
                        struct weir_diag *diag)
{
    if (is_inproc(endpoint)) {
        if (snprintf(out, NET_ENDPOINT_MAX, "%s", endpoint) < (int)NET_ENDPOINT_MAX) return WEIR_OK;
        return weir_fail(diag, WEIR_E_ARGUMENT, "an endpoint has at most %u bytes", NET_ENDPOINT_MAX - 1);
    }
    struct endpoint parsed;
    weir_err err = check(&parsed, endpoint, net_is_secured() && !s->plain, diag);
    if (err) return err;
    if (for_connect && parsed.kind == ENDPOINT_TCP && parsed.port == 0)
        return weir_fail(diag, WEIR_E_ARGUMENT, "endpoint %s has no port to connect to", endpoint);
    if (parsed.kind == ENDPOINT_TCP && parsed.ipv6) (void)set_int(s->zmq, ZMQ_IPV6, 1);
    endpoint_text(&parsed, out);
    return arm(s, out, for_connect, diag);
}

weir_err net_socket_bind(struct net_socket *socket, const char *endpoint, struct weir_diag *diag)
{
    char text[NET_ENDPOINT_MAX];
    weir_err err = prepare(socket, endpoint, false, text, diag);
    if (err) return err;
    if (zmq_bind(socket->zmq, text) != 0) return attach_error(diag, "bind to", endpoint, errno);
    size_t size = sizeof socket->endpoint;
    if (zmq_getsockopt(socket->zmq, ZMQ_LAST_ENDPOINT, socket->endpoint, &size) != 0) socket->endpoint[0] = '\0';
    remember_path(socket);
    return WEIR_OK;
}

weir_err net_socket_connect(struct net_socket *socket, const char *endpoint, struct weir_diag *diag)
{
    char text[NET_ENDPOINT_MAX];
    weir_err err = prepare(socket, endpoint, true, text, diag);
    if (err) return err;
    if (zmq_connect(socket->zmq, text) != 0) return attach_error(diag, "connect to", endpoint, errno);
    return WEIR_OK;
}

const char *net_socket_endpoint(const struct net_socket *socket)
{
    return socket->endpoint;
}

static int send_part(struct net_socket *s, struct net_message *part, bool more)
{
    int rc;
    do rc = zmq_msg_send(raw(part), s->zmq, ZMQ_DONTWAIT | (more ? ZMQ_SNDMORE : 0));
    while (rc < 0 && errno == EINTR);
    return rc < 0 ? errno : 0;
}

weir_err net_send(struct net_socket *socket, struct net_message *parts, uint32_t n)
{
    WEIR_ASSERT_HOT(n > 0 && n <= NET_PARTS_MAX);
    int error = send_part(socket, &parts[0], n > 1);
    if (error == EAGAIN) return WEIR_E_LIMIT;
    bool lost = error != 0;
    /* The peer may go between two parts; the others are still handed over, for the socket swallows them up to the last and starts afresh.
     */
    for (uint32_t i = 1; i < n && error == 0; i++)
        if (send_part(socket, &parts[i], i + 1 < n) != 0) lost = true;
    if (!lost) return WEIR_OK;
    for (uint32_t i = 0; i < n; i++) net_message_close(&parts[i]);
    return error == 0 || error == EHOSTUNREACH ? WEIR_E_UNREACHABLE : WEIR_E_IO;
}

weir_err net_send_bytes(struct net_socket *socket, const struct weir_bytes *parts, uint32_t n)
{
    WEIR_ASSERT(n <= NET_PARTS_MAX);
    struct net_message messages[NET_PARTS_MAX];
    weir_err err = WEIR_OK;
    uint32_t made = 0;
    while (made < n && !err) {
        err = net_message_copy(&messages[made], parts[made].data, parts[made].length);
        if (!err) made++;
    }
    if (!err) err = net_send(socket, messages, n);
    for (uint32_t i = 0; i < made; i++) net_message_close(&messages[i]);
    return err;
}

/* One part into *m. false: nothing there. */
static bool receive_part(struct net_socket *s, struct net_message *m, bool *more)
{
    int rc;
    do rc = zmq_msg_recv(raw(m), s->zmq, ZMQ_DONTWAIT);
    while (rc < 0 && errno == EINTR);
    *more = rc >= 0 && zmq_msg_more(raw(m));
    return rc >= 0;
}

static void swallow_rest(struct net_socket *s)
{
    struct net_message m;
    net_message_init(&m);
    bool more = true;
    while (more && receive_part(s, &m, &more)) continue;
    net_message_close(&m);
}

enum net_received net_receive(struct net_socket *socket, struct net_parts *out)
{
    net_parts_close(out);
    bool more = true;
    while (more && out->n < NET_PARTS_MAX) {
        if (!receive_part(socket, &out->part[out->n], &more)) break;
        out->n++;
    }
    if (out->n == 0) return NET_NOTHING;
    if (!more) return NET_MESSAGE;
    swallow_rest(socket);
    return NET_TOO_MANY_PARTS;
}

/* ---- connections ---- */

enum {
    WATCHED_CAME = ZMQ_EVENT_ACCEPTED | ZMQ_EVENT_CONNECTED,
    WATCHED_WENT = ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_CLOSED,
    WATCHED_REFUSED = ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL | ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH,
};

static weir_err watch(struct net_socket *watched, struct net_socket *monitor)
{
    static atomic_uint_fast64_t number;
    (void)snprintf(monitor->endpoint, sizeof monitor->endpoint, "inproc://monitor-%" PRIuFAST64, atomic_fetch_add(&number, 1));
    monitor->zmq = zmq_socket(context, ZMQ_PAIR);
    if (!monitor->zmq) return errno == EMFILE ? WEIR_E_LIMIT : WEIR_E_IO;
    int bad = set_int(monitor->zmq, ZMQ_LINGER, 0);
    bad |= set_int(monitor->zmq, ZMQ_RCVHWM, 0); /* a change must not be lost; there is one for each connection that comes or goes */
    bad |= zmq_socket_monitor(watched->zmq, monitor->endpoint, WATCHED_CAME | WATCHED_WENT | WATCHED_REFUSED);
    bad |= zmq_connect(monitor->zmq, monitor->endpoint);
    monitor->watched = watched;
    return bad ? WEIR_E_IO : WEIR_OK;
}

weir_err net_monitor_new(struct net_socket **out, struct net_socket *watched, struct weir_diag *diag)
{
    struct net_socket *s = calloc(1, sizeof *s);
    if (!s) return weir_fail(diag, WEIR_E_NOMEM, "no memory for a socket");
    weir_err err = watch(watched, s);
    int error = errno;
    if (!err) {
        *out = s;
        return WEIR_OK;
    }
    net_socket_destroy(&s);
    return weir_fail(diag, err, "cannot watch a socket: %s", zmq_strerror(error));
}

/* The number of a handshake that failed is an error, not a descriptor: taken for one it would end somebody else's connection. */
static struct net_change change_of(uint16_t event, int32_t value)
{
    if (event & WATCHED_CAME) return (struct net_change){.type = NET_CAME, .connection = value};
    if (event & WATCHED_WENT) return (struct net_change){.type = NET_WENT, .connection = value};
    enum net_refusal why = event == ZMQ_EVENT_HANDSHAKE_FAILED_AUTH       ? NET_REFUSED_KEY
                           : event == ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL ? NET_REFUSED_PROTOCOL
                                                                          : NET_REFUSED_SILENTLY;
    return (struct net_change){.type = NET_REFUSED, .connection = -1, .why = why};
}

const char *net_refusal_words(enum net_refusal why)
{
    if (why == NET_REFUSED_KEY)
        return "it does not know this key, or not for what this endpoint is for: have the line of its .pub file added to the known keys "
               "there";
    if (!net_is_secured())
        return why == NET_REFUSED_PROTOCOL
                   ? "it wants keys, or speaks no ZeroMQ: name a key and the known keys (security.key, security.known-keys)"
                   : "it hung up during the handshake: perhaps it wants keys, then name a key and the known keys (security.key, "
                     "security.known-keys)";
    return why == NET_REFUSED_PROTOCOL ? "it has no keys, or speaks no ZeroMQ: give it keys, or take them away here"
                                       : "it hung up during the handshake: the key known for this endpoint may not be its own";
}

/* An event is two parts: u16 type and u32 value, then the address. */
bool net_monitor_next(struct net_socket *monitor, struct net_change *out)
{
    struct net_message m;
    bool more = false, known = false;
    uint16_t event;
    int32_t value;
    net_message_init(&m);
    while (!known && receive_part(monitor, &m, &more)) {
        if (net_message_size(&m) >= sizeof event + sizeof value) {
            memcpy(&event, net_message_data(&m), sizeof event);
            memcpy(&value, (char *)net_message_data(&m) + sizeof event, sizeof value);
            *out = change_of(event, value);
            known = true;
        }
        if (more) swallow_rest(monitor);
    }
    net_message_close(&m);
    return known;
}

int net_parts_connection(struct net_parts *p)
{
    return p->n > 0 ? zmq_msg_get(raw(&p->part[p->n - 1]), ZMQ_SRCFD) : -1;
}

const char *net_parts_key(struct net_parts *p)
{
    const char *key = p->n > 0 ? zmq_msg_gets(raw(&p->part[p->n - 1]), "User-Id") : NULL;
    return key ? key : "";
}

/* ---- waiting ---- */

static short wanted_events(const struct net_wait *w)
{
    return (short)((w->want_read ? ZMQ_POLLIN : 0) | (w->want_write ? ZMQ_POLLOUT : 0));
}

static uint32_t fill_poll_items(zmq_pollitem_t *polled, uint32_t *index, struct net_wait *items, uint32_t n)
{
    uint32_t n_polled = 0;
    for (uint32_t i = 0; i < n; i++) {
        items[i].readable = items[i].writable = false;
        if (!items[i].socket && items[i].fd < 0) continue;
        polled[n_polled] = (zmq_pollitem_t){.socket = items[i].socket ? items[i].socket->zmq : NULL,
                                            .fd = items[i].socket ? 0 : items[i].fd,
                                            .events = wanted_events(&items[i])};
        index[n_polled++] = i;
    }
    return n_polled;
}

static long poll_timeout(int64_t timeout_ms)
{
    return timeout_ms < 0 ? -1 : timeout_ms > INT32_MAX ? INT32_MAX : (long)timeout_ms;
}

uint32_t net_poll(struct net_wait *items, uint32_t n, int64_t timeout_ms)
{
    WEIR_ASSERT(n <= NET_POLL_MAX);
    zmq_pollitem_t polled[NET_POLL_MAX];
    uint32_t index[NET_POLL_MAX];
    uint32_t n_polled = fill_poll_items(polled, index, items, n);
    if (zmq_poll(polled, (int)n_polled, poll_timeout(timeout_ms)) <= 0) return 0;
    uint32_t ready = 0;
    for (uint32_t i = 0; i < n_polled; i++) {
        struct net_wait *w = &items[index[i]];
        bool broken = polled[i].revents & ZMQ_POLLERR;
        w->readable = broken || (polled[i].revents & ZMQ_POLLIN);
        w->writable = broken || (polled[i].revents & ZMQ_POLLOUT);
        if (w->readable || w->writable) ready++;
    }
    return ready;
}
