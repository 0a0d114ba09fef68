/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections between workers that are reset while a job runs. ZeroMQ connects again and says nothing of what it lost; the job must then
 * either be exactly right or fail and name the channel. Never wrong, never hung. Needs the kernel's way to destroy sockets (`ss -K`).
 */
#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/support/cluster/cluster.h"

#define ROWS "400000"

static const char *ss_program(void)
{
    static const char *const places[] = {"/usr/bin/ss", "/bin/ss", "/usr/sbin/ss", "/sbin/ss"};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        if (access(places[i], X_OK) == 0) return places[i];
    return NULL;
}

/* Resets every connection with one of these ports at either end. */
static void reset(struct cluster *c, const unsigned *ports, uint32_t n)
{
    char filter[256] = "(";
    for (uint32_t i = 0; i < n; i++) {
        size_t len = strlen(filter);
        (void)snprintf(filter + len, sizeof filter - len, "%s sport = :%u or dport = :%u", i ? " or" : "", ports[i], ports[i]);
    }
    strncat(filter, " )", sizeof filter - strlen(filter) - 1);
    const char *argv[] = {ss_program(), "-K", "-t", "-n", "-H", "state", "established", filter, NULL};
    struct proc *ss = proc_start(c, "ss", argv);
    proc_forget(ss);
    (void)proc_wait(c, ss, CLUSTER_WAIT_MS);
}

/* Whether this kernel, and we, may do so: tried on a connection of our own. */
static bool can_reset(struct cluster *c)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    if (!ss_program()) return false;
    int door = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), near = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(door, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(door, 1), 0);
    assert_int_equal(getsockname(door, (struct sockaddr *)&address, &size), 0);
    assert_int_equal(connect(near, (struct sockaddr *)&address, size), 0);
    unsigned port = ntohs(address.sin_port);
    reset(c, &port, 1);
    struct pollfd p = {.fd = near, .events = POLLIN};
    bool gone = poll(&p, 1, 1000) == 1 && (p.revents & (POLLERR | POLLHUP));
    close(near);
    close(door);
    return gone;
}

static void data_ports(const json_t *job, unsigned ports[2])
{
    for (size_t i = 0; i < 2; i++) {
        const char *endpoint = json_text(json_array_get(json_object_get(job, "taskmanagers"), i), "endpoint");
        assert_has(endpoint, "tcp://127.0.0.1:");
        ports[i] = (unsigned)strtoul(strrchr(endpoint, ':') + 1, NULL, 10);
    }
}

static void start_writer(struct cluster *c, char id[static JOB_ID_MAX], const char *folder, const char *pace)
{
    job_submit(c, id, "--parallelism", "2", job_plugin("writer"), "--", "--output", in_dir(c, folder), "--rows", ROWS, "--pace", pace,
               NULL);
}

/* Right, or failed for the one reason that is allowed. */
static void check_end(struct cluster *c, const char *id, const char *expected)
{
    int64_t deadline_ms = now_ms() + CLUSTER_WAIT_MS;
    json_t *job;
    uint32_t lines;
    for (job = job_show(c, id); json_number(job, "end-time") < 0; job = job_show(c, id)) {
        json_decref(job);
        if (!wait_a_while(c, deadline_ms)) fail_msg("job %s hangs", id);
    }
    const char *state = json_text(job, "state"), *reason = json_text(json_object_get(job, "failure"), "reason");
    print_message("%s: %s\n", state, reason);
    if (strcmp(state, "FINISHED") == 0) {
        assert_string_equal(sorted_sha256(in_dir(c, "out"), &lines), expected);
    } else {
        assert_string_equal(state, "FAILED");
        assert_has(reason, "channel ");
        assert_has(reason, "worker ");
        assert_int_equal(files_with_prefix(in_dir(c, "out"), ""), 0);
    }
    json_decref(job);
}

static void under_resets(struct cluster *c, uint32_t n_resets)
{
    char id[JOB_ID_MAX], expected[80];
    unsigned ports[2];
    uint32_t lines;
    if (!can_reset(c)) story_skip(c, "connections cannot be reset here: ss -K needs root and a kernel with CONFIG_INET_DIAG_DESTROY");
    cluster_start(c, 2, 2);
    start_writer(c, id, "calm", "0");
    json_decref(job_wait(c, id, "FINISHED"));
    (void)snprintf(expected, sizeof expected, "%s", sorted_sha256(in_dir(c, "calm"), &lines));
    assert_int_equal(lines, atoi(ROWS));

    start_writer(c, id, "out", "130000");
    json_t *job = job_wait(c, id, "RUNNING");
    data_ports(job, ports);
    json_decref(job);
    int64_t deadline_ms = now_ms() + 2000;
    for (uint32_t i = 0; i < n_resets; i++) {
        if (!wait_a_while(c, deadline_ms)) break;
        reset(c, ports, 2);
    }
    check_end(c, id, expected);
    cluster_wait_registered(c, 2);
}

STORY(one_reset)
{
    under_resets(c, 1);
}
STORY(many_resets)
{
    under_resets(c, 1000);
}

STORY_MAIN(STORY_TEST(one_reset), STORY_TEST(many_resets))
