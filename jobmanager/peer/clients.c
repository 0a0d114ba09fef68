/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections of clients: lanes over a ROUTER of their own, and those of the owner, which are plain queues. A connection ends when its lane
 * breaks or the kernel says that its end has gone; the session lives on until its timeout.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jobmanager/peer/internal.h"
#include "runtime/base/assert.h"
#include "runtime/base/hash.h"
#include "runtime/base/log.h"
#include "runtime/coord/quorum.h"

/* ---- the table ----------------------------------------------------------------------------------------------------------------- */

static struct client *with_id(struct map_item *i)
{
    return (struct client *)((char *)i - offsetof(struct client, by_id));
}

static struct client *find(const struct clients *c, uint64_t id)
{
    for (struct map_item *i = map_first(&c->by_id, hash64(&id, sizeof id)); i; i = map_same(i))
        if (with_id(i)->id == id) return with_id(i);
    return NULL;
}

static struct client *find_route(const struct clients *c, struct weir_bytes route)
{
    for (struct map_item *i = map_first(&c->by_route, hash64(route.data, route.length)); i; i = map_same(i)) {
        struct client *client = (struct client *)i;
        if (bytes_equal(bytes_of(client->route, client->n_route), route)) return client;
    }
    return NULL;
}

static struct client *add(struct clients *c, uint64_t id, struct weir_bytes route)
{
    struct client *client = calloc(1, sizeof *client);
    WEIR_ASSERT(client);
    client->id = id;
    client->n_route = (uint8_t)route.length;
    client->connection = -1;
    if (route.length > 0) memcpy(client->route, route.data, route.length);
    bool added = map_add(&c->by_id, &client->by_id, hash64(&id, sizeof id));
    WEIR_ASSERT(added);
    if (route.length > 0) added = map_add(&c->by_route, &client->by_route, hash64(route.data, route.length));
    WEIR_ASSERT(added);
    return client;
}

/* Out of the table; the memory goes when it is in no list any more. */
static void forget(struct clients *c, struct client *client)
{
    map_remove(&c->by_id, &client->by_id);
    if (client->n_route > 0) map_remove(&c->by_route, &client->by_route);
    lane_close(&client->lane);
    client->gone = true;
    if (!client->queued) free(client);
}

/* ---- sending ------------------------------------------------------------------------------------------------------------------- */

static void queue(struct clients *c, struct client *client)
{
    if (client->queued) return;
    client->queued = true;
    client->next_dirty = c->dirty;
    c->dirty = client;
}

static void send_packet(struct peer *p, struct client *client)
{
    struct weir_bytes packet;
    if (!lane_packet(&client->lane, &packet)) return;
    struct weir_bytes route = {client->route, client->n_route};
    if (net_send_bytes(p->clients.router, (struct weir_bytes[]){route, packet}, 2)) client->broken = true;
    lane_sent(&client->lane);
}

void clients_send(struct peer *p, uint64_t connection, struct weir_bytes message)
{
    struct client *client = find(&p->clients, connection);
    if (!client || client->broken) return;
    if (client->local && owner_is_full(p)) {
        client->broken = true;
        queue(&p->clients, client);
        return;
    }
    if (client->local) {
        owner_tell(p, &(struct peer_news){.type = PEER_NEWS_MESSAGE, .connection = connection, .message = message});
        return;
    }
    queue(&p->clients, client);
    if (lane_put(&client->lane, message)) send_packet(p, client);
}

static void say_bye(struct peer *p, struct client *client, const char *reason)
{
    send_packet(p, client);
    lane_put_bye(&client->lane, reason);
    send_packet(p, client);
}

void clients_end(struct peer *p, uint64_t connection)
{
    struct client *client = find(&p->clients, connection);
    if (!client) return;
    if (client->local)
        owner_tell(p, &(struct peer_news){.type = PEER_NEWS_CLOSED, .connection = connection});
    else
        say_bye(p, client, "the peer has closed the connection");
    forget(&p->clients, client);
}

/* Its lane broke: the server is told. */
static void lose(struct peer *p, struct client *client, const char *reason)
{
    uint64_t id = client->id;
    if (*reason) log_debug("client lost", " reason=\"%s\"", reason);
    if (!client->broken && !client->local) say_bye(p, client, reason);
    if (client->local && client->broken) owner_tell(p, &(struct peer_news){.type = PEER_NEWS_CLOSED, .connection = id});
    forget(&p->clients, client);
    carry_server(p, &(struct coord_server_event){.type = COORD_EV_CLOSED, .connection = id});
}

/* Those that are lost on the way may make others write: until nobody does. */
void clients_flush(struct peer *p)
{
    while (p->clients.dirty) {
        struct client *client = p->clients.dirty;
        p->clients.dirty = client->next_dirty;
        client->queued = false;
        if (client->gone) {
            free(client);
            continue;
        }
        send_packet(p, client);
        if (client->broken) lose(p, client, "");
    }
}

/* ---- receiving ----------------------------------------------------------------------------------------------------------------- */

static void tell_opened(struct peer *p, const struct client *client)
{
    struct weir_id random[2] = {id_random(), id_random()};
    struct coord_server_event event = {.type = COORD_EV_OPENED, .connection = client->id};
    event.key = bytes_text(client->key);
    event.super = client->role == NET_ROLE_ADMIN || client->local;
    memcpy(event.random, random, sizeof event.random);
    carry_server(p, &event);
}

static void tell_message(struct peer *p, uint64_t connection, struct weir_bytes message)
{
    if (quorum_is_ask(message) && quorum_answer(p, connection, message)) return; /* one that is malformed, the server refuses */
    carry_server(p, &(struct coord_server_event){.type = COORD_EV_MESSAGE, .connection = connection, .bytes = message});
}

static void take_messages(struct peer *p, struct client *client, struct reader *messages)
{
    struct weir_bytes message;
    uint64_t id = client->id;
    while (lane_next(messages, &message)) {
        tell_message(p, id, message);
        if (find(&p->clients, id) == NULL) return; /* the server has closed it */
    }
    if (messages->broken) lose(p, client, "a packet that holds no whole messages");
}

static void take_packet(struct peer *p, struct client *client, struct weir_bytes bytes)
{
    struct weir_diag diag = {0};
    struct lane_packet packet;
    if (lane_read(&client->lane, bytes, &packet, &diag))
        lose(p, client, diag.text);
    else if (packet.kind == LANE_DATA)
        take_messages(p, client, &packet.messages);
    else
        lose(p, client, packet.kind == LANE_BYE ? "" : "OPEN comes once, ACCEPT never");
}

static void send_stranger_bye(struct peer *p, struct weir_bytes route)
{
    struct lane lane = {0};
    struct weir_bytes packet;
    lane_put_bye(&lane, "this connection is closed, or was never opened");
    if (lane_packet(&lane, &packet)) (void)net_send_bytes(p->clients.router, (struct weir_bytes[]){route, packet}, 2);
    lane_close(&lane);
}

static void connection_went(struct peer *p, int connection)
{
    struct map_item *next = NULL;
    for (struct map_item *i = map_next(&p->clients.by_id, NULL); i; i = next) {
        next = map_next(&p->clients.by_id, i);
        struct client *client = with_id(i);
        if (client->local || client->connection != connection) continue;
        client->broken = true;
        queue(&p->clients, client); /* lost at the end of the turn: what it has sent comes first */
    }
}

static void notice_changes(struct peer *p)
{
    struct net_change change;
    while (net_monitor_next(p->clients.monitor, &change))
        if (change.type == NET_WENT) connection_went(p, change.connection);
}

/* A packet of a route that is no connection. */
static void take_stranger(struct peer *p, struct weir_bytes route, struct weir_bytes bytes)
{
    struct lane lane = {0};
    struct lane_packet packet;
    weir_err err = lane_read(&lane, bytes, &packet, NULL);
    if (!err && packet.kind == LANE_BYE) return;
    if (err || packet.kind != LANE_OPEN) {
        send_stranger_bye(p, route);
        return;
    }
    notice_changes(p); /* the former connection of this descriptor went before */
    struct client *client = add(&p->clients, atomic_fetch_add(&p->clients.last_id, 1) + 1, route);
    client->connection = net_parts_connection(&p->parts);
    (void)snprintf(client->key, sizeof client->key, "%s", net_parts_key(&p->parts));
    client->role = net_role_of(client->key);
    client->lane.received = 1;
    lane_put_accept(&client->lane);
    send_packet(p, client);
    tell_opened(p, client);
}

/* With keys: the transport asks at the handshake only. A key that was struck out since, or means something else, ends here. */
static const char *objection(struct peer *p, const struct client *client)
{
    if (!net_is_secured()) return NULL;
    if (strcmp(net_parts_key(&p->parts), client->key) != 0) return "this connection belongs to another key";
    enum net_role role = net_role_of(client->key);
    if (role == NET_ROLE_NONE) return "this key is not known any more";
    return role == client->role ? NULL : "this key has another role now: connect again";
}

static void take_from(struct peer *p, struct client *client, struct weir_bytes bytes)
{
    const char *objected = objection(p, client);
    if (objected)
        lose(p, client, objected);
    else
        take_packet(p, client, bytes);
}

void clients_receive(struct peer *p)
{
    if (!p->clients.router) return;
    notice_changes(p);
    for (uint32_t i = 0; i < CLIENT_BATCH && net_receive(p->clients.router, &p->parts) == NET_MESSAGE; i++) {
        if (p->parts.n != 2) continue;
        struct weir_bytes route = net_part(&p->parts, 0), bytes = net_part(&p->parts, 1);
        struct client *client = find_route(&p->clients, route);
        if (client)
            take_from(p, client, bytes);
        else
            take_stranger(p, route, bytes);
    }
}

uint32_t clients_waits(const struct peer *p, struct net_wait *out)
{
    if (!p->clients.router) return 0;
    out[0] = (struct net_wait){.socket = p->clients.router, .want_read = true};
    out[1] = (struct net_wait){.socket = p->clients.monitor, .want_read = true};
    return CLIENTS_WAITS;
}

/* ---- the owner's --------------------------------------------------------------------------------------------------------------- */

void clients_add_local(struct peer *p, uint64_t connection)
{
    struct client *client = add(&p->clients, connection, bytes_of("", 0));
    client->local = true;
    (void)snprintf(client->key, sizeof client->key, "%s", net_own_key());
    tell_opened(p, client);
}

void clients_from_local(struct peer *p, uint64_t connection, struct weir_bytes message)
{
    if (find(&p->clients, connection)) tell_message(p, connection, message);
}

void clients_local_gone(struct peer *p, uint64_t connection)
{
    struct client *client = find(&p->clients, connection);
    if (client) lose(p, client, "");
}

/* ---- life ---------------------------------------------------------------------------------------------------------------------- */

weir_err clients_open(struct peer *p, struct weir_diag *diag)
{
    struct net_socket_config config = {.kind = NET_ROUTER,
                                       .message_max = LANE_PACKET_MAX,
                                       .send_hwm = CLIENT_SEND_HWM,
                                       .receive_hwm = CLIENT_RECEIVE_HWM,
                                       .linger_ms = GOODBYE_MS,
                                       .roles = NET_ROLES_ALL};
    if (p->client_bind[0] == '\0') return WEIR_OK;
    weir_err err = net_socket_new(&p->clients.router, &config, diag);
    if (!err) err = net_monitor_new(&p->clients.monitor, p->clients.router, diag);
    return err ? err : net_socket_bind(p->clients.router, p->client_bind, diag);
}

void clients_close(struct peer *p)
{
    struct clients *c = &p->clients;
    for (struct map_item *i = map_next(&c->by_id, NULL); i; i = map_next(&c->by_id, NULL)) {
        if (!with_id(i)->local) say_bye(p, with_id(i), "this peer stops");
        forget(c, with_id(i));
    }
    while (c->dirty) {
        struct client *client = c->dirty;
        c->dirty = client->next_dirty;
        free(client);
    }
    map_close(&c->by_id);
    map_close(&c->by_route);
    net_socket_destroy(&c->monitor);
    net_socket_destroy(&c->router);
}
