/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asks several JobManagers at once, over and over, whether they serve, and says when that changes.
 *
 *     who_serves ENDPOINT...        admin endpoints; ends when its standard input does
 *
 * A line a change: the place of the endpoint among the arguments, the status of its answer to GET /overview (200: it leads; 503: it does
 * not; 0: there was none in time), and when that came, in microseconds of the monotonic clock.
 */
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "runtime/base/clock.h"
#include "runtime/net/rest.h"
#include "runtime/net/socket.h"

enum {
    ENDPOINTS_MAX = 8,
    PAUSE_MS = 2,     /* between an answer and the next request */
    PATIENCE_MS = 500 /* for an answer; its process may be dead, so it is asked again */
};

struct asked {
    struct net_socket *socket;
    int place;
    bool waits;
    int64_t again_ms;
    uint32_t status; /* as was told */
};

static void tell(struct asked *a, uint32_t status)
{
    if (status != a->status) printf("%d %" PRIu32 " %" PRId64 "\n", a->place, status, clock_mono_ns() / 1000);
    a->status = status;
}

static void ask(struct asked *a, int64_t now_ms)
{
    struct weir_bytes parts[REST_REQUEST_PARTS];
    if (now_ms < a->again_ms) return;
    if (a->waits) tell(a, 0);
    a->waits = true;
    rest_request_build(parts, REST_GET, "/overview", "", (struct weir_bytes){0});
    (void)net_send_bytes(a->socket, parts, REST_REQUEST_PARTS); /* where nobody is connected it waits, or is asked again */
    a->again_ms = now_ms + PATIENCE_MS;
}

static void hear(struct asked *a, struct net_parts *in)
{
    struct weir_bytes parts[NET_PARTS_MAX];
    struct rest_reply reply;
    struct weir_diag diag;
    while (net_receive(a->socket, in) == NET_MESSAGE) {
        for (uint32_t i = 0; i < in->n; i++) parts[i] = net_part(in, i);
        if (rest_reply_parse(&reply, parts, in->n, &diag)) continue;
        a->again_ms = clock_mono_ms() + PAUSE_MS;
        a->waits = false;
        tell(a, reply.status);
    }
}

static int64_t next_ms(const struct asked *asked, int n, int64_t now_ms)
{
    int64_t at_ms = now_ms + PATIENCE_MS;
    for (int i = 0; i < n; i++)
        if (asked[i].again_ms < at_ms) at_ms = asked[i].again_ms;
    return at_ms > now_ms ? at_ms - now_ms : 0;
}

static void watch(struct asked *asked, int n)
{
    struct net_wait waits[ENDPOINTS_MAX + 1];
    struct net_parts in;
    net_parts_init(&in);
    do {
        int64_t now_ms = clock_mono_ms();
        for (int i = 0; i < n; i++) ask(&asked[i], now_ms);
        for (int i = 0; i < n; i++) waits[i] = (struct net_wait){.socket = asked[i].socket, .fd = -1, .want_read = true};
        waits[n] = (struct net_wait){.fd = STDIN_FILENO, .want_read = true};
        (void)net_poll(waits, (uint32_t)n + 1, next_ms(asked, n, now_ms));
        for (int i = 0; i < n; i++) hear(&asked[i], &in);
        (void)fflush(stdout);
    } while (!waits[n].readable);
    net_parts_close(&in);
}

int main(int argc, char **argv)
{
    struct asked asked[ENDPOINTS_MAX] = {0};
    const struct net_socket_config config = {.kind = NET_DEALER, .message_max = 1 << 20, .send_hwm = 1, .receive_hwm = 100};
    struct weir_diag diag = {0};
    int n = argc - 1;
    if (n < 1 || n > ENDPOINTS_MAX || net_start(1)) return 2;
    for (int i = 0; i < n && !diag.code; i++) {
        asked[i].place = i;
        if (!net_socket_new(&asked[i].socket, &config, &diag)) (void)net_socket_connect(asked[i].socket, argv[i + 1], &diag);
    }
    if (diag.code)
        (void)fprintf(stderr, "who_serves: %s\n", diag.text);
    else
        watch(asked, n);
    for (int i = 0; i < n; i++) net_socket_destroy(&asked[i].socket);
    net_stop();
    return diag.code ? 1 : 0;
}
