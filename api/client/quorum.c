/* SPDX-License-Identifier: Apache-2.0 */
#include "api/client/quorum.h"

#include "runtime/base/assert.h"
#include "runtime/base/clock.h"
#include "runtime/coord/lane.h"
#include "runtime/net/socket.h"

enum { QUEUE = 8, GOODBYE_MS = 50 };

struct asking {
    struct net_socket *socket, *monitor;
    struct net_parts parts;
    struct lane lane;
    int64_t until_ms;
};

static weir_err send_packet(struct asking *a)
{
    struct weir_bytes packet;
    if (!lane_packet(&a->lane, &packet)) return WEIR_OK;
    weir_err err = net_send_bytes(a->socket, &packet, 1);
    lane_sent(&a->lane);
    return err;
}

static weir_err look_for_refusal(struct asking *a, struct weir_diag *diag)
{
    struct net_change change;
    while (net_monitor_next(a->monitor, &change))
        if (change.type == NET_REFUSED && change.why != NET_REFUSED_SILENTLY)
            return weir_fail(diag, WEIR_E_DENIED, "the peer refuses the connection: %s", net_refusal_words(change.why));
    return WEIR_OK;
}

/* The next packet, in a->parts. */
static weir_err next_packet(struct asking *a, struct lane_packet *out, struct weir_diag *diag)
{
    while (net_receive(a->socket, &a->parts) == NET_NOTHING) {
        int64_t left = a->until_ms - clock_mono_ms();
        if (left <= 0)
            return weir_fail(diag, WEIR_E_UNREACHABLE, "no answer in time: does a peer run there, and is this its endpoint for clients?");
        struct net_wait waits[] = {{.socket = a->socket, .want_read = true}, {.socket = a->monitor, .want_read = true}};
        (void)net_poll(waits, 2, left);
        weir_err refused = look_for_refusal(a, diag);
        if (refused) return refused;
    }
    if (a->parts.n != 1) return weir_fail(diag, WEIR_E_PROTOCOL, "what answers there is no coordination peer");
    weir_err err = lane_read(&a->lane, net_part(&a->parts, 0), out, diag);
    if (!err && out->kind == LANE_BYE)
        return weir_fail(diag, WEIR_E_UNREACHABLE, "the peer refuses: %.*s", (int)out->reason.length, (const char *)out->reason.data);
    return err;
}

static weir_err converse(struct asking *a, struct weir_bytes message, struct weir_bytes *answer, struct weir_diag *diag)
{
    struct lane_packet packet;
    lane_put_open(&a->lane, &(struct lane_open){0});
    weir_err err = send_packet(a);
    lane_put(&a->lane, message);
    if (!err) err = send_packet(a);
    if (err) return weir_fail(diag, err, "cannot send");
    do err = next_packet(a, &packet, diag);
    while (!err && packet.kind != LANE_DATA);
    if (!err && !lane_next(&packet.messages, answer)) err = weir_fail(diag, WEIR_E_PROTOCOL, "an empty packet");
    return err;
}

static weir_err begin(struct asking *a, const char *endpoint, int64_t timeout_ms, struct weir_diag *diag)
{
    struct net_socket_config config = {
        .kind = NET_DEALER, .message_max = LANE_PACKET_MAX, .send_hwm = QUEUE, .receive_hwm = QUEUE, .linger_ms = GOODBYE_MS, .once = true};
    *a = (struct asking){.until_ms = clock_mono_ms() + timeout_ms};
    net_parts_init(&a->parts);
    weir_err err = net_socket_new(&a->socket, &config, diag);
    if (!err) err = net_monitor_new(&a->monitor, a->socket, diag);
    return err ? err : net_socket_connect(a->socket, endpoint, diag);
}

static void end(struct asking *a)
{
    if (a->socket) {
        lane_put_bye(&a->lane, "that was all");
        (void)send_packet(a);
    }
    net_parts_close(&a->parts);
    net_socket_destroy(&a->monitor);
    net_socket_destroy(&a->socket);
    lane_close(&a->lane);
}

weir_err quorum_status(struct quorum_status *out, const char *endpoint, int64_t timeout_ms, struct weir_diag *diag)
{
    struct asking a;
    struct weir_bytes answer;
    uint8_t ask = QUORUM_ASK_STATUS;
    weir_err err = begin(&a, endpoint, timeout_ms, diag);
    if (!err) err = converse(&a, bytes_of(&ask, 1), &answer, diag);
    if (!err && !read_quorum_status(answer, out))
        err = weir_fail(diag, WEIR_E_PROTOCOL, "the answer is no status: the peer is of another version");
    end(&a);
    return err ? weir_wrap(diag, err, "%s", endpoint) : WEIR_OK;
}

weir_err quorum_reconfig(uint8_t *outcome, const char *endpoint, const struct zab_change *changes, uint32_t n, int64_t timeout_ms,
                         struct weir_diag *diag)
{
    struct asking a;
    struct weir_bytes answer;
    struct quorum_ask ask = {.type = QUORUM_ASK_RECONFIG, .n = n};
    struct buffer b = {0};
    WEIR_ASSERT(n <= QUORUM_CHANGES_MAX);
    memcpy(ask.changes, changes, n * sizeof *changes);
    put_quorum_ask(&b, &ask);
    weir_err err = begin(&a, endpoint, timeout_ms, diag);
    if (!err) err = converse(&a, bytes_of(b.data, b.len), &answer, diag);
    if (!err && !read_quorum_outcome(answer, outcome))
        err = weir_fail(diag, WEIR_E_PROTOCOL, "the answer is none: the peer is of another version");
    end(&a);
    buffer_close(&b);
    return err ? weir_wrap(diag, err, "%s", endpoint) : WEIR_OK;
}
