/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Strangers on every socket: control and admin of the JobManager, data of each worker. While they send garbage a job runs; its result is
 * that of a run in peace, the daemons stay, use bounded memory, and take the next job.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "runtime/net/socket.h"
#include "runtime/wire/link.h"
#include "tests/support/cluster/cluster.h"
#include "tests/support/zmtp.h"

#define TARGETS_MAX 4 /* control, admin, two workers */
#define ATTACK_MS 1500
#define MEMORY_KB (192 * 1024) /* a daemon may grow by this at its peak; sanitizers keep freed memory, so they get more */
#ifdef WEIR_TEST_SANITIZED
#define MEMORY_FACTOR 6
#else
#define MEMORY_FACTOR 1
#endif

struct siege {
    char job[JOB_ID_MAX];
    int64_t checksum;
    uint32_t n_targets;
    char target[TARGETS_MAX][NET_ENDPOINT_MAX];
    uint32_t n_pids;
    pid_t pid[8];
    int64_t before_kb[8];
    uint64_t state; /* of the pseudo-random bytes */
};

static uint32_t draw(struct siege *s)
{
    s->state = s->state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(s->state >> 33);
}

static void fill(struct siege *s, unsigned char *data, size_t len)
{
    for (size_t i = 0; i < len; i++) data[i] = (unsigned char)draw(s);
}

/* ---- the job ------------------------------------------------------------------------------------------------------------------------- */

static void watch_memory(struct siege *s, pid_t pid)
{
    s->pid[s->n_pids] = pid;
    s->before_kb[s->n_pids++] = proc_status_kb(pid, "VmHWM:");
}

static void begin(struct cluster *c, struct siege *s)
{
    *s = (struct siege){.state = 1888};
    cluster_start(c, 2, 2);
    assert_int_equal(
        ctl(c, "run", "--name", "calm", "--parallelism", "2", job_plugin("steady"), "--", "--rows", "60000", "--pace", "0", NULL).code, 0);
    json_t *job = job_wait(c, "calm", "FINISHED");
    s->checksum = job_counter(job, "hole", "checksum");
    json_decref(job);
    job_submit(c, s->job, "--parallelism", "2", job_plugin("steady"), "--", "--rows", "60000", "--pace", "20000", NULL);
    job = job_wait(c, s->job, "RUNNING");
    (void)snprintf(s->target[s->n_targets++], NET_ENDPOINT_MAX, "%s", c->control);
    (void)snprintf(s->target[s->n_targets++], NET_ENDPOINT_MAX, "%s", c->admin);
    for (size_t i = 0; i < 2; i++) {
        const json_t *host = json_array_get(json_object_get(job, "taskmanagers"), i);
        (void)snprintf(s->target[s->n_targets++], NET_ENDPOINT_MAX, "%s", json_text(host, "endpoint"));
        assert_has(s->target[s->n_targets - 1], "tcp://127.0.0.1:");
    }
    json_decref(job);
    watch_memory(s, c->jobmanager->pid);
    for (uint32_t i = 0; i < 2; i++) {
        pid_t worker = 0;
        watch_memory(s, c->taskmanager[i]->pid);
        assert_int_equal(proc_children(c->taskmanager[i]->pid, "weir-worker", &worker, 1), 1);
        watch_memory(s, worker);
    }
}

static void check_memory(const struct siege *s)
{
    for (uint32_t i = 0; i < s->n_pids; i++) {
        int64_t now_kb = proc_status_kb(s->pid[i], "VmHWM:");
        if (now_kb == 0) continue; /* a worker that has done its work */
        print_message("pid %d: at most %lld kB, %lld kB before\n", (int)s->pid[i], (long long)now_kb, (long long)s->before_kb[i]);
        assert_true(now_kb - s->before_kb[i] < (int64_t)MEMORY_KB * MEMORY_FACTOR);
    }
}

static void check_job(struct cluster *c, const char *id, const struct siege *s)
{
    json_t *job = job_wait(c, id, "FINISHED");
    assert_int_equal(job_counter(job, "hole", "rows"), 60000);
    assert_int_equal(job_counter(job, "hole", "checksum"), s->checksum);
    json_decref(job);
}

static void end(struct cluster *c, const struct siege *s)
{
    json_t *job = job_show(c, s->job);
    assert_string_equal(json_text(job, "state"), "RUNNING"); /* else the siege has met nobody */
    json_decref(job);
    check_memory(s);
    check_job(c, s->job, s);
    cluster_wait_registered(c, 2);
    assert_int_equal(
        ctl(c, "run", "--name", "after", "--parallelism", "2", job_plugin("steady"), "--", "--rows", "60000", "--pace", "0", NULL).code, 0);
    check_job(c, "after", s);
    check_memory(s);
}

/* ---- plain connections ------------------------------------------------------------------------------------------------------------------
 */

static int plain_connect(const char *endpoint)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    address.sin_port = htons((uint16_t)strtoul(strrchr(endpoint, ':') + 1, NULL, 10));
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_true(fd >= 0);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0) assert_int_equal(errno, EINPROGRESS);
    return fd;
}

/* Sends until all is sent, the other end has had enough, or the time is over. Returns the bytes that went. */
static size_t plain_send(int fd, const void *data, size_t len, int64_t deadline_ms)
{
    size_t done = 0;
    while (done < len && now_ms() < deadline_ms) {
        struct pollfd p = {.fd = fd, .events = POLLOUT};
        (void)poll(&p, 1, 20);
        ssize_t n = send(fd, (const char *)data + done, len - done, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n > 0) done += (size_t)n;
        if (n < 0 && errno != EAGAIN && errno != EINTR && errno != ENOTCONN) break;
    }
    return done;
}

STORY(raw_bytes)
{
    static const char web[] = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
    static unsigned char noise[65536];
    struct siege s;
    begin(c, &s);
    int64_t until_ms = now_ms() + ATTACK_MS;
    for (uint32_t round = 0; now_ms() < until_ms; round++) {
        int fd = plain_connect(s.target[round % s.n_targets]);
        int64_t soon_ms = now_ms() + 50;
        fill(&s, noise, sizeof noise);
        if (round / s.n_targets % 3 == 0) (void)plain_send(fd, web, sizeof web - 1, soon_ms);
        if (round / s.n_targets % 3 == 1) (void)plain_send(fd, noise, 1 + draw(&s) % sizeof noise, soon_ms);
        if (round / s.n_targets % 3 == 2) { /* looks like the beginning of a ZMTP greeting */
            memcpy(noise, "\xff\0\0\0\0\0\0\0\x01\x7f\x03", 11);
            (void)plain_send(fd, noise, 1 + draw(&s) % 200, soon_ms);
        }
        close(fd);
    }
    end(c, &s);
}

/* ---- a connection that knows how to begin
 * --------------------------------------------------------------------------------------------------- */

/* One frame that says it has `claimed` bytes, of which as many come as the other end takes. */
static void send_huge(const char *endpoint, uint64_t claimed, uint64_t real)
{
    static unsigned char zeros[1 << 20];
    unsigned char head[128];
    int64_t deadline_ms = now_ms() + 400;
    int fd = plain_connect(endpoint);
    size_t n = zmtp_begin(head);
    head[n++] = 2; /* a long frame, the last part */
    for (int shift = 56; shift >= 0; shift -= 8) head[n++] = (unsigned char)(claimed >> shift);
    (void)plain_send(fd, head, n, deadline_ms);
    for (uint64_t sent = 0; sent < real && now_ms() < deadline_ms;) {
        size_t went = plain_send(fd, zeros, sizeof zeros, deadline_ms);
        if (went == 0) break;
        sent += went;
    }
    close(fd);
}

STORY(huge_messages)
{
    struct siege s;
    begin(c, &s);
    int64_t until_ms = now_ms() + ATTACK_MS;
    for (uint32_t round = 0; round < 2 && now_ms() < until_ms; round++) {
        for (uint32_t i = 0; i < s.n_targets; i++) {
            send_huge(s.target[i], 100u << 20, 100u << 20);
            send_huge(s.target[i], INT64_MAX, 1 << 20);
            send_huge(s.target[i], UINT64_MAX, 1 << 20);
        }
    }
    end(c, &s);
}

/* ---- messages that arrive ---------------------------------------------------------------------------------------------------------------
 */

static struct net_socket *stranger(const char *endpoint)
{
    struct net_socket *socket = NULL;
    struct weir_diag diag;
    struct weir_id id = id_random();
    struct net_socket_config config = {
        .kind = NET_DEALER, .routing_id = {id.bytes, sizeof id.bytes}, .message_max = 1 << 20, .send_hwm = 50, .receive_hwm = 50};
    assert_int_equal(net_socket_new(&socket, &config, &diag), WEIR_OK);
    assert_int_equal(net_socket_connect(socket, endpoint, &diag), WEIR_OK);
    return socket;
}

static const struct weir_bytes bombs[] = {
    {"\xdd\xff\xff\xff\xff", 5},
    {"\xdf\xff\xff\xff\xff", 5},
    {"\xc6\xff\xff\xff\xff", 5},
    {"\xdb\xff\xff\xff\xff", 5},
    {"\x91\x91\x91\x91\x91", 5},
    {"\x95\x01\x00\xc4\x10", 5},
    {"\x80", 1},
    {"", 0},
    {"WEIR/1", 6},
    {"WEIR/9", 6},
    {"GET", 3},
    {"POST", 4},
    {"/jobs/../../etc", 15},
    {"/plugins?size=268435456", 23},
    {"WLNK\1\0\0\0", 8},
    {"WEIR\1\1\0\0", 8},
};

/* A message of one to ten parts, each a bomb or noise. More than NET_PARTS_MAX do not leave through net_send, so eight it is. */
static void send_parts(struct siege *s, struct net_socket *socket)
{
    static unsigned char noise[NET_PARTS_MAX][4096];
    struct weir_bytes parts[NET_PARTS_MAX];
    uint32_t n = 1 + draw(s) % NET_PARTS_MAX;
    for (uint32_t i = 0; i < n; i++) {
        parts[i] = bombs[draw(s) % (sizeof bombs / sizeof *bombs)];
        if (draw(s) % 3) continue;
        parts[i] = (struct weir_bytes){noise[i], draw(s) % sizeof noise[i]};
        fill(s, noise[i], parts[i].length);
        if (parts[i].length > 8 && draw(s) % 2) memcpy(noise[i], draw(s) % 2 ? "WLNK\1\0\0\0" : "WEIR\1\1\0\0", 8);
    }
    if (n >= 4 && draw(s) % 2) parts[0] = bombs[8]; /* so that the admin looks at the rest */
    (void)net_send_bytes(socket, parts, n);         /* a full queue is waited for by the caller */
}

STORY(foreign_messages)
{
    struct siege s;
    struct net_socket *sockets[TARGETS_MAX];
    struct net_wait waits[TARGETS_MAX];
    struct net_parts in;
    begin(c, &s);
    assert_int_equal(net_start(1), WEIR_OK);
    net_parts_init(&in);
    for (uint32_t i = 0; i < s.n_targets; i++) sockets[i] = stranger(s.target[i]);
    int64_t until_ms = now_ms() + ATTACK_MS;
    while (now_ms() < until_ms) {
        for (uint32_t i = 0; i < s.n_targets; i++)
            waits[i] = (struct net_wait){.socket = sockets[i], .want_read = true, .want_write = true};
        (void)net_poll(waits, s.n_targets, 20);
        for (uint32_t i = 0; i < s.n_targets; i++) {
            for (int k = 0; k < 20; k++) send_parts(&s, sockets[i]);
            for (int k = 0; k < 20 && net_receive(sockets[i], &in) != NET_NOTHING;) k++;
        }
    }
    net_parts_close(&in);
    for (uint32_t i = 0; i < s.n_targets; i++) net_socket_destroy(&sockets[i]);
    net_stop();
    end(c, &s);
}

/* A TaskManager that speaks the link well and then says what no TaskManager says. */
static void speak_link(struct siege *s, struct net_socket *socket, struct weir_bytes message, int64_t until_ms)
{
    struct link *link = NULL;
    struct buffer packet;
    struct net_parts in;
    struct link_config config = {.self = id_random(), .heartbeat_ms = 250, .timeout_ms = 3000, .retransmit_ms = 300};
    (void)s;
    buffer_init(&packet, WEIR_CONTROL_MAX);
    net_parts_init(&in);
    assert_int_equal(link_new(&link, &config, now_ms()), WEIR_OK);
    if (message.length) (void)link_send(link, message.data, message.length, now_ms());
    while (now_ms() < until_ms && link_state(link) == LINK_OPEN && !link_idle(link)) {
        link_tick(link, now_ms());
        while (link_packet(link, &packet, now_ms()))
            (void)net_send_bytes(socket, &(struct weir_bytes){packet.data, (uint32_t)packet.len}, 1);
        struct net_wait wait = {.socket = socket, .want_read = true};
        (void)net_poll(&wait, 1, 10);
        for (int k = 0; k < 64 && net_receive(socket, &in) == NET_MESSAGE; k++) {
            struct weir_bytes part = net_part(&in, 0);
            (void)link_receive(link, part.data, part.length, now_ms());
        }
    }
    link_destroy(&link);
    net_parts_close(&in);
    buffer_close(&packet);
}

STORY(bombs_within_valid_packets)
{
    static unsigned char noise[100000];
    struct siege s;
    begin(c, &s);
    assert_int_equal(net_start(1), WEIR_OK);
    int64_t until_ms = now_ms() + ATTACK_MS;
    for (uint32_t i = 0; now_ms() < until_ms; i++) {
        struct net_socket *socket = stranger(c->control);
        struct weir_bytes message = bombs[i % (sizeof bombs / sizeof *bombs)];
        if (i % 5 == 4) {
            memset(noise, 0x91, sizeof noise); /* nested without end */
            message = (struct weir_bytes){noise, sizeof noise};
        }
        speak_link(&s, socket, message, until_ms);
        net_socket_destroy(&socket);
    }
    net_stop();
    end(c, &s);
}

/* Valid messages of the largest size, as fast as they are taken: queues are bounded in bytes, not only in number. */
STORY(floods_of_large_messages)
{
    static unsigned char large[(4 << 20) - 1024];
    struct siege s;
    struct net_socket *sockets[TARGETS_MAX];
    begin(c, &s);
    assert_int_equal(net_start(1), WEIR_OK);
    for (uint32_t i = 0; i < s.n_targets; i++) sockets[i] = stranger(s.target[i]);
    int64_t until_ms = now_ms() + ATTACK_MS;
    while (now_ms() < until_ms) {
        struct net_wait waits[TARGETS_MAX];
        for (uint32_t i = 0; i < s.n_targets; i++) {
            (void)net_send_bytes(sockets[i], &(struct weir_bytes){large, sizeof large}, 1);
            waits[i] = (struct net_wait){.socket = sockets[i], .want_read = true};
        }
        (void)net_poll(waits, s.n_targets, 5);
    }
    for (uint32_t i = 0; i < s.n_targets; i++) net_socket_destroy(&sockets[i]);
    net_stop();
    end(c, &s);
}

/* ---- many ------------------------------------------------------------------------------------------------------------------------------
 */

STORY(many_connections)
{
    enum { EACH = 150 };
    static int fds[TARGETS_MAX * EACH];
    unsigned char head[128];
    struct siege s;
    uint32_t n = 0;
    begin(c, &s);
    size_t len = zmtp_begin(head);
    for (uint32_t i = 0; i < EACH; i++) {
        for (uint32_t t = 0; t < s.n_targets; t++) {
            fds[n] = plain_connect(s.target[t]);
            /* A third says nothing, a third stops half-way, a third completes the handshake and falls silent. */
            if (i % 3) (void)plain_send(fds[n], head, i % 3 == 1 ? 40 : len, now_ms() + 20);
            n++;
        }
    }
    end(c, &s);
    for (uint32_t i = 0; i < n; i++) close(fds[i]);
}

STORY_MAIN(STORY_TEST(raw_bytes), STORY_TEST(huge_messages), STORY_TEST(foreign_messages), STORY_TEST(bombs_within_valid_packets),
           STORY_TEST(floods_of_large_messages), STORY_TEST(many_connections))
