/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two TaskManagers over tcp, as real processes: a keyed stream of 64-byte records, against bare ZeroMQ moving the same bytes in messages of
 * 32 KiB from one process to another (records made beforehand and copied into each message; DEALER to ROUTER); then the latency of single
 * records without load.
 */
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zmq.h>

#include "runtime/base/clock.h"
#include "tests/bench/bench.h"
#include "tests/support/cluster/cluster.h"

#define RECORD 64
#define MESSAGE 32768

static bool is_short;

/* ---- bare ZeroMQ ---- */

#define STOCK 2048 /* messages' worth of records made beforehand: 64 MiB, so that they come from memory as new records do */

static void keep(void *data, void *hint)
{
    (void)data, (void)hint; /* the one buffer serves all messages */
}

/* The next message: the next 32 KiB of the records, or, `cached`, one buffer again and again, which never leaves the cache. */
static void next_message(zmq_msg_t *m, char *stock, int64_t i, bool cached)
{
    if (cached) {
        (void)zmq_msg_init_data(m, stock, MESSAGE, keep, NULL);
        return;
    }
    if (zmq_msg_init_size(m, MESSAGE)) bench_die("no memory for a message");
    memcpy(zmq_msg_data(m), stock + i % STOCK * MESSAGE, MESSAGE);
}

_Noreturn static void send_all(int told, int64_t n, bool cached)
{
    char *stock = malloc((size_t)STOCK * MESSAGE);
    if (!stock) bench_die("no memory for the records");
    for (size_t i = 0; i < (size_t)STOCK * MESSAGE; i++) stock[i] = (char)(i * 2654435761u >> 13);
    char endpoint[64] = "";
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (read(told, endpoint, sizeof endpoint - 1) <= 0) bench_die("the receiver has gone");
    void *context = zmq_ctx_new(), *socket = zmq_socket(context, ZMQ_DEALER);
    int no_limit = 0;
    (void)zmq_setsockopt(socket, ZMQ_SNDHWM, &no_limit, sizeof no_limit);
    if (zmq_connect(socket, endpoint)) bench_die("connect");
    int64_t n_acked = 0; /* bounded memory, as by Weir's credit: 256 messages under way, acknowledged by the 128 */
    char ack;
    for (int64_t i = 0; i < n; i++) {
        zmq_msg_t m;
        next_message(&m, stock, i, cached);
        if (zmq_msg_send(&m, socket, 0) < 0) bench_die("send");
        if (i + 1 - n_acked < 256) continue;
        (void)zmq_recv(socket, &ack, 1, 0);
        n_acked += 128;
    }
    /* All of them: a socket closed with bytes unread resets the connection, and the receiver loses what is on the way. */
    for (; n_acked < n / 128 * 128; n_acked += 128) (void)zmq_recv(socket, &ack, 1, 0);
    (void)zmq_close(socket);
    (void)zmq_ctx_term(context);
    _exit(0);
}

/* Millions of 64-byte records a second. */
static double run_bare(int64_t bytes, bool cached)
{
    int64_t n = bytes / MESSAGE;
    int tell[2];
    if (pipe(tell)) bench_die("pipe");
    pid_t child = fork(); /* before there is a context */
    if (child < 0) bench_die("fork");
    if (child == 0) send_all(tell[0], n, cached);
    void *context = zmq_ctx_new(), *socket = zmq_socket(context, ZMQ_ROUTER);
    int no_limit = 0;
    (void)zmq_setsockopt(socket, ZMQ_RCVHWM, &no_limit, sizeof no_limit);
    (void)zmq_setsockopt(socket, ZMQ_LINGER, &no_limit, sizeof no_limit); /* acks to a sender that has gone */
    char endpoint[64];
    size_t len = sizeof endpoint;
    if (zmq_bind(socket, "tcp://127.0.0.1:*") || zmq_getsockopt(socket, ZMQ_LAST_ENDPOINT, endpoint, &len)) bench_die("bind");
    if (write(tell[1], endpoint, len) < 0) bench_die("tell the sender");
    (void)close(tell[0]);
    (void)close(tell[1]);
    int64_t from = 0;
    for (int64_t i = 0; i < n; i++) {
        zmq_msg_t id, m;
        (void)zmq_msg_init(&id);
        (void)zmq_msg_init(&m);
        if (zmq_msg_recv(&id, socket, 0) < 0 || zmq_msg_recv(&m, socket, 0) < 0) bench_die("receive");
        if (i == 0) from = clock_mono_ns();
        if (i % 128 == 127) {
            (void)zmq_send(socket, zmq_msg_data(&id), zmq_msg_size(&id), ZMQ_SNDMORE);
            (void)zmq_send(socket, "a", 1, 0);
        }
        (void)zmq_msg_close(&id);
        (void)zmq_msg_close(&m);
    }
    double rate = (double)bytes / RECORD * 1e3 / (double)(clock_mono_ns() - from);
    (void)kill(child, SIGKILL);
    (void)waitpid(child, NULL, 0);
    (void)zmq_close(socket);
    (void)zmq_ctx_term(context);
    return rate;
}

/* ---- weir ---- */

/* Finds {"name": NAME, "value": N} wherever the document keeps its counters. */
static bool find_counter(json_t *at, const char *name, double *out)
{
    const char *key, *found = json_string_value(json_object_get(at, "name"));
    size_t i;
    json_t *child;
    if (found && strcmp(found, name) == 0 && json_is_integer(json_object_get(at, "value"))) {
        *out = (double)json_integer_value(json_object_get(at, "value"));
        return true;
    }
    json_object_foreach(at, key, child) if (find_counter(child, name, out)) return true;
    json_array_foreach(at, i, child) if (find_counter(child, name, out)) return true;
    return false;
}

static double counter(json_t *job, const char *name)
{
    double value = 0;
    if (!find_counter(job, name, &value)) bench_die("a counter is missing");
    return value;
}

/*
 * Every look at a job is a process of its own, a few milliseconds of one core: often enough to slow down what is measured, and longer than
 * the latencies. So nobody looks before `quiet_ms` have passed.
 */
static json_t *run_job(struct cluster *c, const char *rows, const char *interval_us, unsigned quiet_ms)
{
    char id[JOB_ID_MAX];
    job_submit(c, id, "--parallelism", "2", WEIR_BENCH_JOBS "/transport.so", "--", "--rows", rows, "--interval-us", interval_us, NULL);
    (void)poll(NULL, 0, (int)quiet_ms);
    return job_wait(c, id, "FINISHED");
}

static double run_weir(struct cluster *c, int64_t rows)
{
    char text[32];
    (void)snprintf(text, sizeof text, "%lld", (long long)rows);
    json_t *job = run_job(c, text, "0", (unsigned)(rows / 12500)); /* as 12.5 million a second take; only a slower run is looked at */
    double rate = (double)rows * 1e3 / counter(job, "elapsed_ns");
    json_decref(job);
    return rate;
}

static void story(void **state)
{
    struct cluster *c = *state;
    int64_t rows = is_short ? 1000000 : 50000000;
    cluster_start(c, 2, 1);
    double bare = 0, cached = 0, weir = 0;
    for (int round = 0; round < 3; round++) {
        bare = bench_max(bare, run_bare(rows * RECORD, false));
        cached = bench_max(cached, run_bare(rows * RECORD, true));
        weir = bench_max(weir, run_weir(c, rows));
    }
    printf("transport: 64-byte records between two processes over tcp, %lld records\n", (long long)rows);
    printf("  %-34s %8.2f million records a second (%.2f GB/s)\n", "bare ZeroMQ, 32 KiB messages", bare, bare * RECORD / 1e3);
    printf("  %-34s %8.2f million records a second (%.2f GB/s)\n", "the same, one cached buffer", cached, cached * RECORD / 1e3);
    printf("  %-34s %8.2f million records a second (%.2f GB/s)\n", "weir, keyed stream", weir, weir * RECORD / 1e3);
    bench_verdict("throughput", weir / bare, "at least", 0.7);
    json_t *job = run_job(c, is_short ? "500" : "5000", "1000", is_short ? 800 : 5500);
    printf("latency: single records, one a millisecond, across two TaskManagers\n");
    printf("  p50 %.0f us, p99 %.0f us, p99.9 %.0f us, max %.0f us\n", counter(job, "p50_ns") / 1e3, counter(job, "p99_ns") / 1e3,
           counter(job, "p999_ns") / 1e3, counter(job, "max_ns") / 1e3);
    bench_verdict("p99 in ms", counter(job, "p99_ns") / 1e6, "at most", 1.0);
    json_decref(job);
    c->passed = true;
}

int main(int argc, char **argv)
{
    is_short = argc > 1 && strcmp(argv[1], "--short") == 0;
    const struct CMUnitTest one[] = {cmocka_unit_test_setup_teardown(story, cluster_open, cluster_close)};
    return cmocka_run_group_tests_name("transport", one, NULL, NULL);
}
