/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/peer/hosts.h"

#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/base/clock.h"

_Noreturn void hosts_die(const char *what)
{
    (void)fprintf(stderr, "hosts: %s\n", what);
    abort();
}

/* ---- life ---------------------------------------------------------------------------------------------------------------------- */

void hosts_init(struct hosts *h, const char *folder, uint32_t n)
{
    *h = (struct hosts){.n = n};
    (void)snprintf(h->folder, sizeof h->folder, "%s", folder);
    for (uint32_t id = 1; id <= n; id++) {
        struct host *host = &h->at[id];
        char member[400];
        (void)snprintf(host->client, sizeof host->client, "ipc://@%s/c%u", folder, id);
        (void)snprintf(host->folder, sizeof host->folder, "%s/peer-%u", folder, id);
        (void)snprintf(member, sizeof member, "%s%u=ipc://@%s/p%u;%s", id > 1 ? "," : "", id, folder, id, host->client);
        (void)strncat(h->peers, member, sizeof h->peers - strlen(h->peers) - 1);
    }
}

static void spawn(struct hosts *h, struct host *host, uint32_t id, const int in[2], const int out[2], const int err[2])
{
    char number[16], entries[32], segment[32], program[] = WEIR_TEST_PEER_HOST, preload[512];
    (void)snprintf(number, sizeof number, "%u", id);
    (void)snprintf(entries, sizeof entries, "%" PRIu64, h->snapshot_entries);
    (void)snprintf(segment, sizeof segment, "%" PRIu64, h->segment_bytes);
    char cluster[64];
    (void)snprintf(cluster, sizeof cluster, "%s", h->cluster ? h->cluster : "test");
    char *argv[] = {program, number, h->peers, host->folder, cluster, entries, segment, NULL};
    posix_spawn_file_actions_t actions;
    (void)posix_spawn_file_actions_init(&actions);
    (void)posix_spawn_file_actions_adddup2(&actions, in[0], 0);
    (void)posix_spawn_file_actions_adddup2(&actions, out[1], 1);
    (void)posix_spawn_file_actions_adddup2(&actions, err[1], 2);
    (void)snprintf(preload, sizeof preload, "%s", h->preload ? h->preload : "");
    if (h->preload) (void)setenv("LD_PRELOAD", preload, 1);
    if (posix_spawn(&host->pid, program, &actions, NULL, argv, environ)) hosts_die("cannot start a peer");
    if (h->preload) (void)unsetenv("LD_PRELOAD");
    (void)posix_spawn_file_actions_destroy(&actions);
}

void host_start(struct hosts *h, uint32_t id)
{
    struct host *host = &h->at[id];
    int in[2], out[2], err[2];
    if (pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC) || pipe2(err, O_CLOEXEC)) hosts_die("no pipes");
    host->ready = host->established = false;
    host->length = host->log_length = 0;
    host->role[0] = '\0';
    spawn(h, host, id, in, out, err);
    (void)close(in[0]);
    (void)close(out[1]);
    (void)close(err[1]);
    (void)fcntl(out[0], F_SETFL, O_NONBLOCK);
    (void)fcntl(err[0], F_SETFL, O_NONBLOCK);
    host->in = in[1];
    host->out = out[0];
    host->err = err[0];
}

static int ended(struct host *host)
{
    int status = 0;
    (void)waitpid(host->pid, &status, 0);
    (void)close(host->in);
    (void)close(host->out);
    (void)close(host->err);
    host->pid = 0;
    host->ready = host->established = false;
    return status;
}

void host_kill(struct hosts *h, uint32_t id)
{
    (void)kill(h->at[id].pid, SIGKILL);
    (void)ended(&h->at[id]);
}

void host_stop(struct hosts *h, uint32_t id)
{
    struct host *host = &h->at[id];
    (void)close(host->in);
    host->in = open("/dev/null", O_RDONLY | O_CLOEXEC);
    (void)host_wait(h, id);
}

void hosts_close(struct hosts *h)
{
    for (uint32_t id = 1; id <= h->n; id++)
        if (h->at[id].pid) host_kill(h, id);
}

/* ---- what they say ------------------------------------------------------------------------------------------------------------- */

static void on_line(struct host *host, const char *line)
{
    int established;
    if (sscanf(line, "role %15s %" SCNu32 " %" SCNu64 " %d", host->role, &host->leader, &host->epoch, &established) == 4)
        host->established = established;
    if (strncmp(line, "ready", 5) == 0) host->ready = true;
}

static void read_lines(struct host *host)
{
    char c;
    while (read(host->out, &c, 1) == 1) {
        if (c != '\n' && host->length < sizeof host->line - 1) host->line[host->length++] = c;
        if (c != '\n') continue;
        host->line[host->length] = '\0';
        host->length = 0;
        on_line(host, host->line);
    }
}

static void read_log(struct host *host)
{
    ssize_t got;
    if (host->log_length > sizeof host->log / 2) host->log_length = 0; /* what is looked for is said late */
    while ((got = read(host->err, host->log + host->log_length, sizeof host->log - 1 - host->log_length)) > 0) {
        if (getenv("HOSTS_SHOW")) (void)!write(2, host->log + host->log_length, (size_t)got);
        host->log_length += (size_t)got;
    }
    host->log[host->log_length] = '\0';
}

void hosts_read(struct hosts *h, int64_t timeout_ms)
{
    struct pollfd fds[2 * HOSTS_MAX];
    nfds_t n = 0;
    for (uint32_t id = 1; id <= h->n; id++) {
        if (!h->at[id].pid) continue;
        fds[n++] = (struct pollfd){.fd = h->at[id].out, .events = POLLIN};
        fds[n++] = (struct pollfd){.fd = h->at[id].err, .events = POLLIN};
    }
    (void)poll(fds, n, (int)timeout_ms);
    for (uint32_t id = 1; id <= h->n; id++) {
        if (!h->at[id].pid) continue;
        read_lines(&h->at[id]);
        read_log(&h->at[id]);
    }
}

static void wait_more(struct hosts *h, int64_t until_ms, const char *what)
{
    int64_t now_ms = clock_mono_ms();
    if (now_ms < until_ms) {
        hosts_read(h, until_ms - now_ms);
        return;
    }
    for (uint32_t id = 1; id <= h->n; id++)
        if (h->at[id].pid) (void)fprintf(stderr, "---- %u %s\n%s", id, h->at[id].role, h->at[id].log);
    hosts_die(what);
}

int host_wait(struct hosts *h, uint32_t id)
{
    struct host *host = &h->at[id];
    struct pollfd end = {.fd = host->out, .events = POLLIN};
    int64_t until_ms = clock_mono_ms() + HOSTS_WAIT_MS;
    while (!(end.revents & POLLHUP)) {
        wait_more(h, until_ms, "a peer does not end");
        (void)poll(&end, 1, 0);
    }
    hosts_read(h, 0);
    return ended(host);
}

static uint32_t agreed_leader(const struct hosts *h)
{
    for (uint32_t id = 1; id <= h->n; id++) {
        const struct host *l = &h->at[id];
        uint32_t follow = 0;
        if (!l->pid || !l->established || strcmp(l->role, "leading") != 0) continue;
        for (uint32_t k = 1; k <= h->n; k++)
            if (h->at[k].pid && h->at[k].established && h->at[k].leader == id && h->at[k].epoch == l->epoch) follow++;
        if (2 * follow > h->n) return id;
    }
    return 0;
}

uint32_t hosts_leader(struct hosts *h)
{
    int64_t until_ms = clock_mono_ms() + HOSTS_WAIT_MS;
    uint32_t id;
    hosts_read(h, 0);
    while ((id = agreed_leader(h)) == 0) wait_more(h, until_ms, "no leader");
    return id;
}

void host_serves(struct hosts *h, uint32_t id)
{
    int64_t until_ms = clock_mono_ms() + HOSTS_WAIT_MS;
    while (!h->at[id].established) wait_more(h, until_ms, "a peer does not serve");
}

void host_said(struct hosts *h, uint32_t id, const char *text)
{
    int64_t until_ms = clock_mono_ms() + HOSTS_WAIT_MS;
    while (!strstr(h->at[id].log, text)) wait_more(h, until_ms, text);
}

/* ---- a client ------------------------------------------------------------------------------------------------------------------ */

void raw_open(struct raw *r, const char *endpoint)
{
    raw_open_as(r, endpoint, NULL);
}

void raw_open_as(struct raw *r, const char *endpoint, const struct net_key_pair *who)
{
    struct weir_diag diag = {0};
    struct weir_id route = id_random();
    struct net_socket_config config = {.kind = NET_DEALER,
                                       .routing_id = {route.bytes, sizeof route.bytes},
                                       .message_max = LANE_PACKET_MAX,
                                       .send_hwm = 100000,
                                       .receive_hwm = 100000,
                                       .once = true,
                                       .identity = who};
    net_parts_init(&r->parts);
    r->broken = r->reading = false;
    if (net_socket_new(&r->socket, &config, &diag) || net_monitor_new(&r->monitor, r->socket, &diag) ||
        net_socket_connect(r->socket, endpoint, &diag))
        hosts_die(diag.text);
    lane_put_open(&r->lane, &(struct lane_open){0});
    raw_flush(r);
}

void raw_close(struct raw *r)
{
    net_parts_close(&r->parts);
    net_socket_destroy(&r->monitor);
    net_socket_destroy(&r->socket);
    lane_close(&r->lane);
    buffer_close(&r->ops);
    buffer_close(&r->message);
    r->broken = true;
}

void raw_flush(struct raw *r)
{
    struct weir_bytes packet;
    if (!lane_packet(&r->lane, &packet)) return;
    if (net_send_bytes(r->socket, &packet, 1)) r->broken = true;
    lane_sent(&r->lane);
}

void raw_ask(struct raw *r, const struct ask *ask)
{
    buffer_clear(&r->message);
    put_ask(&r->message, ask);
    if (lane_put(&r->lane, bytes_of(r->message.data, r->message.len))) raw_flush(r);
}

static void take_packet(struct raw *r)
{
    struct lane_packet packet;
    struct weir_diag diag = {0};
    if (lane_read(&r->lane, net_part(&r->parts, 0), &packet, &diag)) hosts_die(diag.text);
    if (packet.kind == LANE_BYE) r->broken = true;
    if (packet.kind != LANE_DATA) return;
    r->messages = packet.messages;
    r->reading = true;
}

static bool next_here(struct raw *r, struct say *out)
{
    struct weir_bytes message;
    if (!r->reading || !lane_next(&r->messages, &message)) {
        r->reading = false;
        return false;
    }
    if (!read_say(message, out)) hosts_die("a message that is none");
    if (zxid_cmp(out->zxid, r->seen) > 0) r->seen = out->zxid;
    return true;
}

bool raw_next(struct raw *r, struct say *out, int64_t timeout_ms)
{
    struct net_wait waits[] = {{.socket = r->socket, .want_read = true}, {.socket = r->monitor, .want_read = true}};
    int64_t until_ms = clock_mono_ms() + timeout_ms;
    raw_flush(r);
    for (;;) {
        struct net_change change;
        if (next_here(r, out)) return true;
        if (net_receive(r->socket, &r->parts) == NET_MESSAGE) {
            take_packet(r);
            continue;
        }
        while (net_monitor_next(r->monitor, &change)) r->broken |= change.type == NET_WENT;
        int64_t left_ms = until_ms - clock_mono_ms();
        if (r->broken || left_ms <= 0) return false;
        (void)net_poll(waits, 2, left_ms);
    }
}

bool raw_hello(struct raw *r, uint32_t timeout_ms)
{
    struct ask ask = {.type = ASK_CONNECT, .seen = r->seen, .timeout_ms = timeout_ms, .session = r->session};
    struct say say;
    memcpy(ask.password, r->password, sizeof ask.password);
    raw_ask(r, &ask);
    r->refused = 0;
    if (!raw_next(r, &say, HOSTS_WAIT_MS)) return false;
    if (say.type == SAY_REFUSED) r->refused = say.err;
    if (say.type != SAY_CONNECTED) return false;
    r->session = say.session;
    if (say.last_xid > r->xid) r->xid = say.last_xid;
    memcpy(r->password, say.password, sizeof r->password);
    return true;
}

uint64_t raw_write(struct raw *r, const struct op *op)
{
    buffer_clear(&r->ops);
    put_request_op(&r->ops, op);
    struct ask ask = {.type = ASK_WRITE, .xid = ++r->xid, .acked = r->acked, .n = 1, .ops = bytes_of(r->ops.data, r->ops.len)};
    raw_ask(r, &ask);
    return ask.xid;
}

uint64_t raw_read(struct raw *r, enum get_type type, const char *path, bool linear)
{
    buffer_clear(&r->ops);
    put_get(&r->ops, &(struct get){.type = type, .path = bytes_text(path)});
    struct ask ask = {.type = ASK_READ, .xid = ++r->xid, .linear = linear, .n = 1, .ops = bytes_of(r->ops.data, r->ops.len)};
    raw_ask(r, &ask);
    return ask.xid;
}

bool raw_reply(struct raw *r, uint64_t xid, struct say *out)
{
    while (raw_next(r, out, HOSTS_WAIT_MS)) {
        if (out->type != SAY_REPLY) continue;
        r->acked = out->xid;
        if (out->xid == xid) return true;
    }
    return false;
}

static uint16_t outcome(struct raw *r, uint64_t xid)
{
    struct say say;
    return raw_reply(r, xid, &say) ? say.err : COORD_NO_QUORUM;
}

struct weir_bytes raw_open_acl(void)
{
    static const uint8_t bytes[] = {1, 0, 31, 1, 6, 0, 'a', 'n', 'y', 'o', 'n', 'e'};
    return bytes_of(bytes, sizeof bytes);
}

uint16_t raw_create(struct raw *r, const char *path, const char *data)
{
    struct op op = {.type = OP_CREATE, .path = bytes_text(path), .data = bytes_text(data), .acl = raw_open_acl()};
    return outcome(r, raw_write(r, &op));
}

uint16_t raw_set(struct raw *r, const char *path, const char *data)
{
    struct op op = {.type = OP_SET, .path = bytes_text(path), .data = bytes_text(data), .version = OP_ANY_VERSION};
    return outcome(r, raw_write(r, &op));
}

const char *raw_get(struct raw *r, const char *path, bool linear)
{
    static char text[1024];
    struct say say;
    if (!raw_reply(r, raw_read(r, GET_DATA, path, linear), &say) || say.err) return NULL;
    struct reader reader;
    reader_init(&reader, say.body.data, say.body.length);
    if (read_u32(&reader) != 1 || read_u16(&reader) != 0) return NULL;
    struct weir_bytes data = read_data(&reader, COORD_DATA_MAX);
    (void)snprintf(text, sizeof text, "%.*s", (int)data.length, (const char *)data.data);
    return text;
}
