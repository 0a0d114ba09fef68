/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sockets between the workers, as runtime/net/socket.h has them: a DEALER for each ROUTER it is connected to. What is sent arrives later
 * and in order, unless the connection breaks: then all that is under way on it is lost, as ZeroMQ loses it, and nobody is told.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/assert.h"
#include "runtime/net/socket.h"
#include "tests/sim/tasks/tasks.h"

struct letter {
    struct letter *next;
    int64_t at_ms;
    const struct net_socket *from; /* compared only */
    struct weir_id routing_id;     /* of the sender, for a ROUTER */
    size_t len;
    unsigned char data[];
};

struct net_socket {
    struct net_socket *next;
    enum net_kind kind;
    struct weir_id routing_id;
    char endpoint[NET_ENDPOINT_MAX]; /* bound to, or connected to */
    struct letter *first;            /* in the order of their arrival */
};

static struct net_socket *sockets;
static uint64_t n_bound;

/* ---- messages: the bytes are the message's own ----------------------------------------------------------------------------------- */

struct message {
    void *data;
    size_t len;
    net_free_fn release;
    void *hint;
};
static_assert(sizeof(struct message) <= sizeof(struct net_message), "a message fits");

static struct message *inside(const struct net_message *m)
{
    return (struct message *)(uintptr_t)m->opaque;
}

static void release_copy(void *data, void *hint)
{
    (void)hint;
    free(data);
}

void net_message_init(struct net_message *m)
{
    *inside(m) = (struct message){0};
}

weir_err net_message_copy(struct net_message *m, const void *data, size_t len)
{
    void *copy = malloc(len ? len : 1);
    WEIR_ASSERT(copy);
    if (len) memcpy(copy, data, len);
    return net_message_wrap(m, copy, len, release_copy, NULL);
}

weir_err net_message_wrap(struct net_message *m, void *data, size_t len, net_free_fn release, void *hint)
{
    *inside(m) = (struct message){data, len, release, hint};
    return WEIR_OK;
}

void net_message_close(struct net_message *m)
{
    struct message *in = inside(m);
    if (in->release) in->release(in->data, in->hint);
    *in = (struct message){0};
}

void net_message_move(struct net_message *to, struct net_message *from)
{
    net_message_close(to);
    *inside(to) = *inside(from);
    *inside(from) = (struct message){0};
}

void *net_message_data(struct net_message *m)
{
    return inside(m)->data;
}

size_t net_message_size(const struct net_message *m)
{
    return inside(m)->len;
}

void net_parts_init(struct net_parts *p)
{
    p->n = 0;
    for (uint32_t i = 0; i < NET_PARTS_MAX; i++) net_message_init(&p->part[i]);
}

void net_parts_close(struct net_parts *p)
{
    for (uint32_t i = 0; i < NET_PARTS_MAX; i++) net_message_close(&p->part[i]);
    p->n = 0;
}

struct weir_bytes net_part(struct net_parts *p, uint32_t index)
{
    return (struct weir_bytes){net_message_data(&p->part[index]), (uint32_t)net_message_size(&p->part[index])};
}

/* ---- sockets --------------------------------------------------------------------------------------------------------------------- */

weir_err net_start(uint32_t io_threads)
{
    (void)io_threads;
    return WEIR_OK;
}

void net_stop(void)
{
}

weir_err net_socket_new(struct net_socket **out, const struct net_socket_config *config, struct weir_diag *diag)
{
    struct net_socket *s = calloc(1, sizeof *s);
    (void)diag;
    WEIR_ASSERT(s);
    s->kind = config->kind;
    if (config->routing_id.length == sizeof s->routing_id) memcpy(&s->routing_id, config->routing_id.data, sizeof s->routing_id);
    s->next = sockets;
    sockets = s;
    *out = s;
    return WEIR_OK;
}

static void forget_letters(struct net_socket *s, const struct net_socket *from)
{
    for (struct letter **at = &s->first; *at;) {
        struct letter *l = *at;
        if (from && l->from != from) {
            at = &l->next;
            continue;
        }
        *at = l->next;
        free(l);
    }
}

void net_socket_destroy(struct net_socket **socket)
{
    struct net_socket *s = *socket;
    if (!s) return;
    struct net_socket **at = &sockets;
    while (*at != s) at = &(*at)->next;
    *at = s->next;
    forget_letters(s, NULL);
    free(s);
    *socket = NULL;
}

weir_err net_socket_bind(struct net_socket *socket, const char *endpoint, struct weir_diag *diag)
{
    (void)endpoint, (void)diag;
    snprintf(socket->endpoint, sizeof socket->endpoint, "tcp://127.0.0.1:%llu", (unsigned long long)++n_bound);
    return WEIR_OK;
}

weir_err net_socket_connect(struct net_socket *socket, const char *endpoint, struct weir_diag *diag)
{
    (void)diag;
    snprintf(socket->endpoint, sizeof socket->endpoint, "%s", endpoint);
    return WEIR_OK;
}

const char *net_socket_endpoint(const struct net_socket *socket)
{
    return socket->endpoint;
}

/* The other end: of a DEALER the ROUTER it is connected to, of a ROUTER the DEALER of that name. NULL: it has gone. */
static struct net_socket *other_end(const struct net_socket *from, const void *routing_id)
{
    for (struct net_socket *s = sockets; s; s = s->next) {
        if (s->kind == from->kind || strcmp(s->endpoint, from->endpoint) != 0) continue;
        if (s->kind == NET_ROUTER || memcmp(&s->routing_id, routing_id, sizeof s->routing_id) == 0) return s;
    }
    return NULL;
}

/* Behind what is under way from the same socket. */
static void put_letter(struct net_socket *to, struct letter *l)
{
    for (const struct letter *other = to->first; other; other = other->next)
        if (other->from == l->from && other->at_ms > l->at_ms) l->at_ms = other->at_ms;
    struct letter **at = &to->first;
    while (*at && (*at)->at_ms <= l->at_ms) at = &(*at)->next;
    l->next = *at;
    *at = l;
}

static void reset(struct net_socket *a, struct net_socket *b)
{
    forget_letters(a, b);
    forget_letters(b, a);
    tasks.n_resets++;
    sim_trace(tasks.sim, "a connection between workers breaks");
}

static void post(struct net_socket *from, const void *routing_id, const void *data, size_t len)
{
    struct sim *sim = tasks.sim;
    struct net_socket *to = other_end(from, routing_id);
    if (!to) return;
    struct letter *l = malloc(sizeof *l + len);
    WEIR_ASSERT(l);
    *l = (struct letter){
        .at_ms = sim->now_ms + sim_delay(sim, tasks.config.net_ms) - 1, .from = from, .routing_id = from->routing_id, .len = len};
    memcpy(l->data, data, len);
    put_letter(to, l);
    if (sim_random(sim, 10000) < tasks.config.resets) reset(to, from);
}

weir_err net_send_bytes(struct net_socket *socket, const struct weir_bytes *parts, uint32_t n)
{
    post(socket, parts[0].data, parts[n - 1].data, parts[n - 1].length);
    return WEIR_OK;
}

weir_err net_send(struct net_socket *socket, struct net_message *parts, uint32_t n)
{
    post(socket, net_message_data(&parts[0]), net_message_data(&parts[n - 1]), net_message_size(&parts[n - 1]));
    for (uint32_t i = 0; i < n; i++) net_message_close(&parts[i]);
    return WEIR_OK;
}

enum net_received net_receive(struct net_socket *socket, struct net_parts *out)
{
    struct letter *l = socket->first;
    if (!l || l->at_ms > tasks.sim->now_ms) return NET_NOTHING;
    socket->first = l->next;
    net_parts_close(out);
    weir_err err = WEIR_OK;
    if (socket->kind == NET_ROUTER) err = net_message_copy(&out->part[out->n++], &l->routing_id, sizeof l->routing_id);
    if (!err) err = net_message_copy(&out->part[out->n++], l->data, l->len);
    WEIR_ASSERT(!err);
    free(l);
    return NET_MESSAGE;
}

/* The loop of a worker process, which waits, does not run here. */
uint32_t net_poll(struct net_wait *items, uint32_t n, int64_t timeout_ms)
{
    (void)items, (void)n, (void)timeout_ms;
    WEIR_ASSERT(false);
    return 0;
}

void network_end(void)
{
    WEIR_ASSERT(!sockets); /* every worker has gone */
    n_bound = 0;
}
