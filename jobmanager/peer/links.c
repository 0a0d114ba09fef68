/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Links to other peers. Each is a lane (runtime/coord/lane.h) over one connection that is never made anew: a DEALER of whoever dials, a
 * route in the ROUTER of the other. So what breaks the connection breaks the link, at both ends, and the kernel's word of it (the monitor)
 * comes within a millisecond of a peer's death.
 *
 * Two peers dial each other when both know each other's address. One link must be left: of two that meet, the one that the higher id
 * dialed. Therefore the lower id waits before it dials: a member that knows it will come by itself.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jobmanager/peer/ensemble.h"
#include "jobmanager/peer/internal.h"
#include "runtime/base/assert.h"
#include "runtime/base/log.h"

/* ---- the table ----------------------------------------------------------------------------------------------------------------- */

static struct link *find(struct peer *p, uint32_t id)
{
    for (uint32_t i = 0; i < ZAB_PEERS_MAX; i++)
        if (p->links.at[i].id == id) return &p->links.at[i];
    return NULL;
}

/* A new one; NULL: there is no room. */
static struct link *add(struct peer *p, uint32_t id)
{
    struct link *l = find(p, 0);
    if (!l) return NULL;
    *l = (struct link){.id = id, .connection = -1, .since_ms = p->now_ms, .dial_at_ms = p->now_ms, .pause_ms = DIAL_PAUSE_MS};
    return l;
}

static struct link *find_route(struct peer *p, struct weir_bytes route)
{
    for (uint32_t i = 0; i < ZAB_PEERS_MAX; i++) {
        struct link *l = &p->links.at[i];
        if (l->id != 0 && l->state == LINK_UP && !l->socket && memcmp(l->route.bytes, route.data, sizeof l->route.bytes) == 0) return l;
    }
    return NULL;
}

bool links_is_up(const struct peer *p, uint32_t id)
{
    for (uint32_t i = 0; i < ZAB_PEERS_MAX; i++)
        if (p->links.at[i].id == id) return p->links.at[i].state == LINK_UP;
    return false;
}

/* ---- sending ------------------------------------------------------------------------------------------------------------------- */

/* Sends the packet under way, if there is one. What cannot be sent breaks the link, which is told at the end of the turn. */
static void send_packet(struct peer *p, struct link *l)
{
    struct weir_bytes packet;
    if (!lane_packet(&l->lane, &packet)) return;
    struct weir_bytes route = {l->route.bytes, sizeof l->route.bytes};
    weir_err err =
        l->socket ? net_send_bytes(l->socket, &packet, 1) : net_send_bytes(p->links.router, (struct weir_bytes[]){route, packet}, 2);
    lane_sent(&l->lane);
    if (err) l->broken = true;
}

/* To a route that is no link. Nobody may be there any more. */
static void send_bye(struct peer *p, struct weir_bytes route, const char *reason)
{
    struct lane lane = {0};
    struct weir_bytes packet;
    lane_put_bye(&lane, reason);
    if (lane_packet(&lane, &packet)) (void)net_send_bytes(p->links.router, (struct weir_bytes[]){route, packet}, 2);
    lane_close(&lane);
}

void links_send(struct peer *p, uint32_t to, const struct zab_message *message)
{
    struct link *l = find(p, to);
    if (!l || l->state != LINK_UP || l->broken) return;
    buffer_clear(&p->scratch);
    message_encode(message, &p->scratch);
    WEIR_ASSERT(!p->scratch.err);
    if (lane_put(&l->lane, bytes_of(p->scratch.data, p->scratch.len))) send_packet(p, l);
}

/* ---- breaking ------------------------------------------------------------------------------------------------------------------ */

/* Leaves the connection, if there is one, with a reason for the other end. */
static void leave(struct peer *p, struct link *l, const char *reason)
{
    buffer_clear(&l->lane.out);
    if (l->state == LINK_UP && !l->broken) {
        lane_put_bye(&l->lane, reason);
        send_packet(p, l);
    }
    net_socket_destroy(&l->monitor);
    net_socket_destroy(&l->socket);
    lane_close(&l->lane);
    l->state = LINK_NONE;
    l->broken = false;
    l->connection = -1;
    l->since_ms = p->now_ms;
    l->dial_at_ms = p->now_ms + l->pause_ms;
    l->pause_ms = 2 * l->pause_ms < DIAL_PAUSE_MAX_MS ? 2 * l->pause_ms : DIAL_PAUSE_MAX_MS;
    if (!l->member) l->id = 0;
}

/* It broke: zab is told when it knew of it. */
static void break_link(struct peer *p, struct link *l, const char *reason)
{
    uint32_t id = l->id;
    bool up = l->state == LINK_UP;
    leave(p, l, reason);
    if (!up) return;
    log_debug("link broke", " peer=%" PRIu32 " reason=\"%s\"", id, reason);
    carry_zab(p, &(struct zab_event){.type = ZAB_EV_LINK_DOWN, .peer = id});
}

void links_reset(struct peer *p, uint32_t to, const char *reason)
{
    struct link *l = find(p, to);
    if (l) leave(p, l, reason);
}

static void become_up(struct peer *p, struct link *l)
{
    l->state = LINK_UP;
    l->since_ms = p->now_ms;
    carry_zab(p, &(struct zab_event){.type = ZAB_EV_LINK_UP, .peer = l->id});
}

/* ---- dialing ------------------------------------------------------------------------------------------------------------------- */

static weir_err make_socket(struct link *l, struct weir_diag *diag)
{
    struct weir_id route = id_random();
    struct net_socket_config config = {.kind = NET_DEALER,
                                       .routing_id = {route.bytes, sizeof route.bytes},
                                       .message_max = LANE_PACKET_MAX,
                                       .send_hwm = LINK_SEND_HWM,
                                       .receive_hwm = LINK_RECEIVE_HWM,
                                       .linger_ms = GOODBYE_MS,
                                       .once = true};
    weir_err err = net_socket_new(&l->socket, &config, diag);
    if (!err) err = net_monitor_new(&l->monitor, l->socket, diag);
    return err ? err : net_socket_connect(l->socket, l->endpoint, diag);
}

static void dial(struct peer *p, struct link *l)
{
    struct weir_diag diag = {0};
    if (make_socket(l, &diag)) {
        log_warn("cannot dial a peer", " peer=%" PRIu32 " reason=\"%s\"", l->id, diag.text);
        leave(p, l, "");
        return;
    }
    if (!net_key_at(l->endpoint, l->key)) l->key[0] = '\0';
    l->state = LINK_DIALING;
    l->since_ms = p->now_ms;
    lane_put_open(&l->lane, &(struct lane_open){.cluster = p->cluster, .from = p->id, .to = l->id});
    send_packet(p, l);
}

/* When to dial; INT64_MAX: never. */
static int64_t dial_at_ms(const struct peer *p, const struct link *l)
{
    if (l->id == 0 || !l->member || l->state != LINK_NONE || l->endpoint[0] == '\0') return INT64_MAX;
    int64_t patience_ms = p->id > l->id ? 0 : DIAL_LOWER_MS;
    return l->since_ms + patience_ms > l->dial_at_ms ? l->since_ms + patience_ms : l->dial_at_ms;
}

int64_t links_deadline(const struct peer *p)
{
    int64_t deadline_ms = INT64_MAX;
    for (uint32_t i = 0; i < ZAB_PEERS_MAX; i++) {
        const struct link *l = &p->links.at[i];
        int64_t at_ms = l->state == LINK_DIALING ? l->since_ms + DIAL_MS : dial_at_ms(p, l);
        if (at_ms < deadline_ms) deadline_ms = at_ms;
    }
    return deadline_ms;
}

void links_tick(struct peer *p)
{
    for (uint32_t i = 0; i < ZAB_PEERS_MAX; i++) {
        struct link *l = &p->links.at[i];
        if (l->state == LINK_DIALING && p->now_ms - l->since_ms >= DIAL_MS) leave(p, l, "");
        if (dial_at_ms(p, l) <= p->now_ms) dial(p, l);
    }
}

/* ---- members ------------------------------------------------------------------------------------------------------------------- */

static void want_members(struct peer *p, const struct zab_members *members)
{
    for (uint32_t i = 0; i < members->n; i++) {
        const struct zab_member *m = &members->at[i];
        if (m->id == p->id) continue;
        struct link *l = find(p, m->id);
        if (!l) l = add(p, m->id);
        if (!l) continue; /* as many strangers as there may be: they leave, and zab asks again with the next members */
        l->member = true;
        ensemble_endpoint(m->address, ENSEMBLE_PEER, l->endpoint);
    }
}

void links_members(struct peer *p, const struct zab_members *active, const struct zab_members *pending)
{
    for (uint32_t i = 0; i < ZAB_PEERS_MAX; i++) p->links.at[i].member = false;
    want_members(p, active);
    want_members(p, pending);
    for (uint32_t i = 0; i < ZAB_PEERS_MAX; i++) {
        struct link *l = &p->links.at[i];
        if (l->id != 0 && !l->member && l->state != LINK_UP) leave(p, l, "no member any more");
    }
}

/* ---- receiving ----------------------------------------------------------------------------------------------------------------- */

static void take_messages(struct peer *p, struct link *l, struct reader *messages)
{
    struct weir_bytes bytes;
    struct weir_diag diag = {0};
    uint32_t id = l->id;
    uint64_t received = l->lane.received;
    while (lane_next(messages, &bytes)) {
        struct zab_message message;
        if (message_decode(bytes.data, bytes.length, &message, &diag)) {
            break_link(p, l, diag.text);
            return;
        }
        carry_zab(p, &(struct zab_event){.type = ZAB_EV_MESSAGE, .message = {.peer = id, .message = &message}});
        if (l->id != id || l->state != LINK_UP || l->lane.received != received) return; /* zab broke it */
    }
    if (messages->broken) break_link(p, l, "a packet that holds no whole messages");
}

static void said_bye(struct peer *p, struct link *l, struct weir_bytes reason)
{
    char text[LANE_REASON_MAX + 1] = "";
    (void)snprintf(text, sizeof text, "%.*s", (int)reason.length, (const char *)reason.data);
    if (strcmp(text, l->refused) != 0) {
        log_warn("a peer ended the link", " peer=%" PRIu32 " reason=\"%s\"", l->id, text);
        memcpy(l->refused, text, sizeof text);
    }
    break_link(p, l, "the other end left");
}

static void take_packet(struct peer *p, struct link *l, struct weir_bytes bytes)
{
    struct weir_diag diag = {0};
    struct lane_packet packet;
    if (lane_read(&l->lane, bytes, &packet, &diag)) {
        break_link(p, l, diag.text);
        return;
    }
    switch (packet.kind) {
    case LANE_BYE: said_bye(p, l, packet.reason); return;
    case LANE_ACCEPT:
        if (l->state == LINK_DIALING)
            become_up(p, l);
        else
            break_link(p, l, "ACCEPT of a link that is open");
        return;
    case LANE_DATA:
        if (l->state == LINK_UP)
            take_messages(p, l, &packet.messages);
        else
            break_link(p, l, "messages before ACCEPT");
        return;
    case LANE_OPEN: break_link(p, l, "OPEN of a link that is open"); return;
    }
}

/* With keys: is it the peer that it says it is? The list says whose key answers where a member is dialed. */
static bool is_another_key(struct peer *p, const struct link *l)
{
    char expected[NET_KEY_TEXT];
    if (!net_is_secured() || !l || !l->member || !net_key_at(l->endpoint, expected)) return false;
    return strcmp(expected, net_parts_key(&p->parts)) != 0;
}

/* NULL: welcome. */
static const char *refusal(struct peer *p, const struct lane_open *open)
{
    const struct link *l = find(p, open->from);
    if (!id_equal(open->cluster, p->cluster)) return "this is a peer of another cluster: compare coordination.cluster";
    if (open->to != p->id) return "this is another peer than the one you dialed: compare coordination.peers";
    if (open->from == 0 || open->from == p->id) return "this id is not yours: compare coordination.id";
    if (is_another_key(p, l)) return "this key is not that of the peer with this id: compare coordination.id and security.known-keys";
    if (l && l->socket && p->id > l->id) return "dialed from here already";
    if (!l && !find(p, 0)) return "as many links as a peer may have";
    return NULL;
}

static void connection_went(struct peer *p, int connection)
{
    for (uint32_t i = 0; i < ZAB_PEERS_MAX; i++) {
        struct link *l = &p->links.at[i];
        if (l->id != 0 && l->state == LINK_UP && !l->socket && l->connection == connection) break_link(p, l, "the connection broke");
    }
}

static void notice_changes(struct peer *p)
{
    struct net_change change;
    while (net_monitor_next(p->links.monitor, &change))
        if (change.type == NET_WENT) connection_went(p, change.connection);
}

static void welcome(struct peer *p, const struct lane_open *open, struct weir_bytes route)
{
    notice_changes(p); /* the former connection of this descriptor went before */
    struct link *l = find(p, open->from);
    if (l) break_link(p, l, "there is a newer link");
    l = find(p, open->from); /* it goes with its link unless it is a member */
    if (!l) l = add(p, open->from);
    if (!l) return;
    memcpy(l->route.bytes, route.data, sizeof l->route.bytes);
    l->connection = net_parts_connection(&p->parts);
    (void)snprintf(l->key, sizeof l->key, "%s", net_parts_key(&p->parts));
    l->lane.received = 1;
    lane_put_accept(&l->lane);
    send_packet(p, l);
    become_up(p, l);
}

/* The dialed peer's answer to our key, told once until another one comes. */
static void tell_refused(struct link *l, enum net_refusal why)
{
    const char *words = net_refusal_words(why);
    if (strncmp(words, l->refused, LANE_REASON_MAX) == 0) return;
    log_warn("a peer refuses the connection", " peer=%" PRIu32 " reason=\"%s\"", l->id, words);
    (void)snprintf(l->refused, sizeof l->refused, "%s", words);
}

/* A packet of a route that is no link. */
static void take_stranger(struct peer *p, struct weir_bytes route, struct weir_bytes bytes)
{
    struct lane lane = {0};
    struct lane_packet packet;
    weir_err err = lane_read(&lane, bytes, &packet, NULL);
    if (!err && packet.kind == LANE_BYE) return;
    const char *reason = !err && packet.kind == LANE_OPEN ? refusal(p, &packet.open) : "the link is broken, or never was one";
    if (!reason) {
        welcome(p, &packet.open, route);
        return;
    }
    if (!err && packet.kind == LANE_OPEN) log_debug("peer refused", " peer=%" PRIu32 " reason=\"%s\"", packet.open.from, reason);
    send_bye(p, route, reason);
}

/* The transport asks at the handshake only. Who was dialed has shown the key that was expected of it. */
static bool is_stale_key(struct peer *p, const struct link *l)
{
    if (!net_is_secured()) return false;
    bool same = l->socket || strcmp(l->key, net_parts_key(&p->parts)) == 0;
    return !same || net_role_of(l->key) != NET_ROLE_JOBMANAGER;
}

static void take_from(struct peer *p, struct link *l, struct weir_bytes bytes)
{
    if (is_stale_key(p, l))
        break_link(p, l, "its key is not known any more, or is another");
    else
        take_packet(p, l, bytes);
}

static void receive_accepted(struct peer *p)
{
    for (uint32_t i = 0; i < LINK_BATCH && net_receive(p->links.router, &p->parts) == NET_MESSAGE; i++) {
        if (p->parts.n != 2) continue;
        struct weir_bytes route = net_part(&p->parts, 0), bytes = net_part(&p->parts, 1);
        if (route.length != sizeof(struct weir_id)) continue;
        struct link *l = find_route(p, route);
        if (l)
            take_from(p, l, bytes);
        else
            take_stranger(p, route, bytes);
    }
}

static void receive_dialed(struct peer *p, struct link *l)
{
    struct net_change change;
    const struct net_socket *socket = l->socket;
    while (l->monitor && net_monitor_next(l->monitor, &change)) {
        if (change.type == NET_REFUSED) tell_refused(l, change.why);
        if (change.type != NET_WENT) continue;
        break_link(p, l, "the connection broke");
        return;
    }
    for (uint32_t i = 0; i < LINK_BATCH && l->socket == socket && net_receive(l->socket, &p->parts) == NET_MESSAGE; i++)
        if (p->parts.n == 1) take_from(p, l, net_part(&p->parts, 0));
}

void links_receive(struct peer *p)
{
    if (p->links.router) notice_changes(p);
    for (uint32_t i = 0; i < ZAB_PEERS_MAX; i++)
        if (p->links.at[i].socket) receive_dialed(p, &p->links.at[i]);
    if (p->links.router) receive_accepted(p);
}

/* ---- turns --------------------------------------------------------------------------------------------------------------------- */

void links_flush(struct peer *p)
{
    for (uint32_t i = 0; i < ZAB_PEERS_MAX; i++) {
        struct link *l = &p->links.at[i];
        if (l->id == 0) continue;
        send_packet(p, l);
        if (l->broken) break_link(p, l, "a message could not be sent");
    }
}

static uint32_t add_wait(struct net_wait *out, uint32_t n, struct net_socket *socket)
{
    if (!socket) return n;
    out[n] = (struct net_wait){.socket = socket, .want_read = true};
    return n + 1;
}

uint32_t links_waits(const struct peer *p, struct net_wait *out)
{
    uint32_t n = add_wait(out, 0, p->links.router);
    n = add_wait(out, n, p->links.monitor);
    for (uint32_t i = 0; i < ZAB_PEERS_MAX; i++) {
        n = add_wait(out, n, p->links.at[i].socket);
        n = add_wait(out, n, p->links.at[i].monitor);
    }
    return n;
}

weir_err links_open(struct peer *p, struct weir_diag *diag)
{
    struct net_socket_config config = {.kind = NET_ROUTER,
                                       .message_max = LANE_PACKET_MAX,
                                       .send_hwm = LINK_SEND_HWM,
                                       .receive_hwm = LINK_RECEIVE_HWM,
                                       .linger_ms = GOODBYE_MS,
                                       .roles = NET_ROLE_JOBMANAGER};
    if (p->bind[0] == '\0') return WEIR_OK;
    weir_err err = net_socket_new(&p->links.router, &config, diag);
    if (!err) err = net_monitor_new(&p->links.monitor, p->links.router, diag);
    return err ? err : net_socket_bind(p->links.router, p->bind, diag);
}

void links_close(struct peer *p)
{
    for (uint32_t i = 0; i < ZAB_PEERS_MAX; i++)
        if (p->links.at[i].id != 0) leave(p, &p->links.at[i], "this peer stops");
    net_socket_destroy(&p->links.monitor);
    net_socket_destroy(&p->links.router);
}
