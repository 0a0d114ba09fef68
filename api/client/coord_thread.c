/* SPDX-License-Identifier: Apache-2.0 */
#include "api/client/coord_thread.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "api/client/coord_reply.h"
#include "runtime/base/assert.h"
#include "runtime/base/clock.h"
#include "runtime/base/log.h"

enum {
    SEND_HWM = 64,    /* packets queued to the server; then the client collects */
    RECEIVE_HWM = 64, /* packets queued from it; then it is held */
    GOODBYE_MS = 100, /* how long a last packet outlives its socket */
    BATCH = 64,       /* packets taken in one turn */
};

/* ---- servers ------------------------------------------------------------------------------------------------------------------- */

static weir_err add_server(struct weir_coord *c, const char *text, size_t length, struct weir_diag *diag)
{
    if (length == 0) return weir_fail(diag, WEIR_E_ARGUMENT, "an empty endpoint in the list of servers");
    if (length >= NET_ENDPOINT_MAX) return weir_fail(diag, WEIR_E_ARGUMENT, "an endpoint has at most %u bytes", NET_ENDPOINT_MAX - 1);
    if (c->n_servers == WEIR_COORD_SERVERS_MAX)
        return weir_fail(diag, WEIR_E_LIMIT, "more than %u servers: name those that this client shall use", WEIR_COORD_SERVERS_MAX);
    char *server = c->servers[c->n_servers];
    memcpy(server, text, length);
    server[length] = '\0';
    weir_err err = net_endpoint_check(server, diag);
    if (!err) c->n_servers++;
    return err;
}

weir_err coord_servers_parse(struct weir_coord *c, const char *servers, struct weir_diag *diag)
{
    if (!servers) return weir_fail(diag, WEIR_E_ARGUMENT, "no servers: give the endpoints for clients, separated by commas");
    for (const char *at = servers;; at++) {
        size_t length = strcspn(at, ",");
        weir_err err = add_server(c, at, length, diag);
        if (err) return err;
        at += length;
        if (*at == '\0') return WEIR_OK;
    }
}

/* ---- orders -------------------------------------------------------------------------------------------------------------------- */

void coord_thread_order(struct weir_coord *c, struct order *order)
{
    const uint64_t one = 1;
    (void)pthread_mutex_lock(&c->mutex);
    bool first = STAILQ_EMPTY(&c->orders);
    STAILQ_INSERT_TAIL(&c->orders, order, next);
    (void)pthread_mutex_unlock(&c->mutex);
    if (first && write(c->order_fd, &one, sizeof one) != sizeof one)
        log_warn("cannot wake the coordination client", " error=\"%s\"", strerror(errno));
}

static struct order_list take_orders(struct weir_coord *c)
{
    struct order_list taken = STAILQ_HEAD_INITIALIZER(taken);
    uint64_t n;
    (void)!read(c->order_fd, &n, sizeof n);
    (void)pthread_mutex_lock(&c->mutex);
    STAILQ_CONCAT(&taken, &c->orders);
    (void)pthread_mutex_unlock(&c->mutex);
    return taken;
}

/* ---- the connection ------------------------------------------------------------------------------------------------------------ */

static void hang_up(struct weir_coord *c)
{
    struct weir_bytes packet;
    if (c->socket && c->up && !c->lost && !c->held) {
        if (lane_packet(&c->lane, &packet) && !net_send_bytes(c->socket, &packet, 1)) lane_sent(&c->lane);
        if (!lane_packet(&c->lane, &packet)) {
            lane_put_bye(&c->lane, "the client goes to another server, or ends");
            if (lane_packet(&c->lane, &packet)) (void)net_send_bytes(c->socket, &packet, 1);
        }
    }
    net_parts_close(&c->parts);
    net_socket_destroy(&c->monitor);
    net_socket_destroy(&c->socket);
    lane_close(&c->lane);
    c->up = c->held = c->lost = c->refused = false;
}

static weir_err open_socket(struct weir_coord *c, const char *endpoint, struct weir_diag *diag)
{
    struct weir_id incarnation = id_random();
    incarnation.bytes[0] |= 1; /* ZeroMQ keeps identities that begin with zero to itself */
    struct net_socket_config config = {.kind = NET_DEALER,
                                       .routing_id = bytes_of(incarnation.bytes, sizeof incarnation.bytes),
                                       .message_max = LANE_PACKET_MAX,
                                       .send_hwm = SEND_HWM,
                                       .receive_hwm = RECEIVE_HWM,
                                       .linger_ms = GOODBYE_MS,
                                       .once = true};
    weir_err err = net_socket_new(&c->socket, &config, diag);
    if (!err) err = net_monitor_new(&c->monitor, c->socket, diag);
    if (!err) err = net_socket_connect(c->socket, endpoint, diag);
    return err;
}

/* A client tries again and again, and needs not say so each time. */
static void tell_once(struct weir_coord *c, const char *what, const char *why)
{
    if (strncmp(why, c->told, sizeof c->told - 1) == 0) return;
    (void)snprintf(c->told, sizeof c->told, "%.*s", (int)sizeof c->told - 1, why);
    log_warn(what, " reason=\"%s\"", why);
}

static void dial(struct weir_coord *c, const struct coord_client_action *a)
{
    struct weir_diag diag;
    hang_up(c);
    c->connection = a->connection;
    weir_err err = open_socket(c, c->servers[a->index], &diag);
    if (err) tell_once(c, "no connection to a coordination server", diag.text);
    c->lost = err != WEIR_OK;
    c->refused = err == WEIR_E_NOT_FOUND; /* whose key answers there is not known: it will not be at the next try */
    lane_put_open(&c->lane, &(struct lane_open){0});
}

static void flush(struct weir_coord *c)
{
    struct weir_bytes packet;
    if (!c->socket || c->lost || !lane_packet(&c->lane, &packet)) return;
    weir_err err = net_send_bytes(c->socket, &packet, 1);
    c->held = err == WEIR_E_LIMIT;
    if (c->held) return;
    if (err) c->lost = true;
    lane_sent(&c->lane);
}

static void send_message(struct weir_coord *c, struct weir_bytes message)
{
    if (c->socket && lane_put(&c->lane, message)) flush(c);
}

/* ---- what the core decided ----------------------------------------------------------------------------------------------------- */

static void answer(const struct weir_coord *c, const struct coord_client_action *a)
{
    struct weir_coord_reply reply;
    if (!a->reply.fn) return;
    reply_make(&reply, &c->actions, a);
    a->reply.fn(a->reply.arg, &reply);
    weir_coord_reply_close(&reply);
}

static void tell_event(const struct weir_coord *c, const struct coord_client_action *a)
{
    char path[COORD_PATH_MAX + 1];
    if (a->length > COORD_PATH_MAX) return;
    memcpy(path, c->actions.bytes.data + a->at, a->length);
    path[a->length] = '\0';
    struct weir_coord_event event = {.type = (enum weir_coord_event_type)a->event, .path = path, .zxid = {a->zxid.epoch, a->zxid.counter}};
    a->watch.fn(a->watch.arg, &event);
}

static void publish(struct weir_coord *c)
{
    atomic_store(&c->session, coord_client_session(c->client));
    atomic_store(&c->alive_until_ms, coord_client_alive_until(c->client));
    atomic_store(&c->state, (int)coord_client_state(c->client));
}

static void perform(struct weir_coord *c)
{
    publish(c);
    for (uint32_t i = 0; i < c->actions.n; i++) {
        const struct coord_client_action *a = &c->actions.at[i];
        switch (a->type) {
        case CLIENT_DO_DIAL: dial(c, a); break;
        case CLIENT_DO_HANG_UP: hang_up(c); break;
        case CLIENT_DO_SEND: send_message(c, bytes_of(c->actions.bytes.data + a->at, a->length)); break;
        case CLIENT_DO_ANSWER: answer(c, a); break;
        case CLIENT_DO_EVENT: tell_event(c, a); break;
        case CLIENT_DO_STATE:
            if (c->on_state) c->on_state(c->arg, a->state);
            break;
        }
    }
}

/* ---- turns --------------------------------------------------------------------------------------------------------------------- */

static void obey(struct weir_coord *c, struct order *order)
{
    bool found = false;
    switch (order->type) {
    case ORDER_ASK: coord_client_ask(c->client, &order->request, clock_mono_ms(), &c->actions); break;
    case ORDER_UNWATCH: found = coord_client_unwatch(c->client, order->id, order->arg, clock_mono_ms(), &c->actions); break;
    case ORDER_END:
        coord_client_end(c->client, &c->actions);
        c->ended = true;
        break;
    }
    perform(c);
    if (order->done) {
        order->done->found = found;
        gate_open(&order->done->gate);
    }
    free(order);
}

static void obey_all(struct weir_coord *c)
{
    struct order_list orders = take_orders(c);
    while (!STAILQ_EMPTY(&orders)) {
        struct order *order = STAILQ_FIRST(&orders);
        STAILQ_REMOVE_HEAD(&orders, next);
        obey(c, order);
    }
}

/* They lie in the packet, which goes when the core hangs up; then the rest is of no interest. */
static void take_messages(struct weir_coord *c, struct reader *messages)
{
    struct weir_bytes message;
    const uint64_t connection = c->connection;
    while (c->connection == connection && c->socket && lane_next(messages, &message)) {
        coord_client_message(c->client, connection, message, clock_mono_ms(), &c->actions);
        perform(c);
    }
    if (c->socket && c->connection == connection && messages->broken) c->lost = true;
}

static void take_packet(struct weir_coord *c)
{
    struct lane_packet packet;
    if (c->parts.n != 1 || lane_read(&c->lane, net_part(&c->parts, 0), &packet, NULL)) {
        c->lost = true;
    } else if (packet.kind == LANE_ACCEPT) {
        c->up = true;
        coord_client_up(c->client, c->connection, clock_mono_ms(), &c->actions);
        perform(c);
    } else if (packet.kind == LANE_DATA && c->up) {
        take_messages(c, &packet.messages);
    } else {
        c->lost = true;
    }
}

static void receive(struct weir_coord *c)
{
    struct net_change change;
    for (uint32_t i = 0; i < BATCH && c->socket && !c->lost; i++) {
        if (net_receive(c->socket, &c->parts) != NET_MESSAGE) break;
        take_packet(c);
    }
    while (c->monitor && net_monitor_next(c->monitor, &change)) {
        if (change.type == NET_REFUSED && change.why != NET_REFUSED_SILENTLY) {
            c->refused = true;
            tell_once(c, "a coordination server refuses the connection", net_refusal_words(change.why));
        }
        if (change.type == NET_WENT) c->lost = true;
    }
}

static void lose(struct weir_coord *c)
{
    while (c->lost) {
        bool refused = c->refused;
        hang_up(c);
        if (refused)
            coord_client_refused(c->client, c->connection, clock_mono_ms(), &c->actions);
        else
            coord_client_down(c->client, c->connection, clock_mono_ms(), &c->actions);
        perform(c);
    }
}

static int64_t wait_ms(const struct weir_coord *c)
{
    int64_t now = clock_mono_ms(), at = c->actions.deadline_ms;
    return at == INT64_MAX ? -1 : at <= now ? 0 : at - now;
}

static void wait_for_work(struct weir_coord *c)
{
    struct net_wait waits[3] = {{.fd = c->order_fd, .want_read = true}, {.fd = -1}, {.fd = -1}};
    if (c->socket) waits[1] = (struct net_wait){.socket = c->socket, .want_read = true, .want_write = c->held};
    if (c->monitor) waits[2] = (struct net_wait){.socket = c->monitor, .want_read = true};
    (void)net_poll(waits, 3, wait_ms(c));
}

void *coord_thread_run(void *arg)
{
    struct weir_coord *c = arg;
    (void)pthread_setname_np(pthread_self(), "coord-client");
    coord_client_tick(c->client, clock_mono_ms(), &c->actions);
    perform(c);
    while (!c->ended) {
        flush(c);
        lose(c);
        wait_for_work(c);
        obey_all(c);
        receive(c);
        if (c->ended || clock_mono_ms() < c->actions.deadline_ms) continue;
        coord_client_tick(c->client, clock_mono_ms(), &c->actions);
        perform(c);
    }
    hang_up(c);
    coord_client_actions_close(&c->actions);
    return NULL;
}
