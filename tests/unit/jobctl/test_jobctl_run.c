/* SPDX-License-Identifier: Apache-2.0 */
/* An attached run, or a plan, against a JobManager played by a thread: the job's end, its exit code, waiting for slots, Ctrl-C, and a
 * JobManager that goes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/jobctl/commands.h"
#include "api/jobctl/exit.h"
#include "api/jobctl/interrupt.h"
#include "runtime/base/id.h"
#include "runtime/net/rest.h"
#include "runtime/net/socket.h"
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define JOB "4f2a0c81d9e34f2a0c81d9e34f2a0c81"

enum { OUTPUT_BYTES = 8192 };

/* What the JobManager does. */
struct play {
    const char *const *states; /* one for each question about the job, the last for ever; NULL behind it: no more answers */
    unsigned interrupt_at;     /* question at which Ctrl-C is pressed; 0 = never */
    unsigned again_at;         /* and once more */
    bool cancels;              /* whether a cancel has an effect */
    const char *operation;     /* outcome of a plan, which is in progress at the first two questions; NULL = it never ends */
};

struct world {
    char dir[32], endpoint[64], plugin[64];
    pthread_t thread;
    atomic_bool ready, stop;
    struct play play;
    unsigned questions, cancels;
    char submitted[256]; /* the body of the last run */
    char err[OUTPUT_BYTES], out[OUTPUT_BYTES];
};

/* ---- the JobManager ---- */

static void answer(struct net_socket *socket, struct weir_bytes route, const struct rest_request *request, const char *status,
                   const char *body)
{
    char headers[64];
    snprintf(headers, sizeof headers, "request-id: %s\n", rest_header(&request->headers, "request-id"));
    struct weir_bytes parts[4] = {
        route, {status, (uint32_t)strlen(status)}, {headers, (uint32_t)strlen(headers)}, {body, (uint32_t)strlen(body)}};
    (void)net_send_bytes(socket, parts, 4);
}

static const char *state_now(struct world *w)
{
    unsigned i = 0;
    if (w->cancels && w->play.cancels) return "CANCELED";
    while (i < w->questions && w->play.states[i + 1]) i++;
    bool gone = w->play.states[i + 1] == NULL && strcmp(w->play.states[i], "GONE") == 0;
    return gone ? NULL : w->play.states[i];
}

static void answer_job(struct world *w, struct net_socket *socket, struct weir_bytes route, const struct rest_request *request)
{
    char body[512];
    const char *state = state_now(w);
    w->questions++;
    if (w->questions == w->play.interrupt_at || w->questions == w->play.again_at) kill(getpid(), SIGINT);
    if (!state) return;
    bool failed = strcmp(state, "FAILED") == 0;
    snprintf(body, sizeof body,
             "{\"jid\": \"" JOB "\", \"name\": \"n\", \"state\": \"%s\", \"duration\": 1000, \"failure\": %s,"
             "\"vertices\": [{\"id\": 0, \"parallelism\": 7, \"metrics\": {\"read-records\": 42}}]}",
             state, failed ? "{\"reason\": \"it broke\", \"operator\": \"parse\", \"subtask\": 3, \"taskmanager\": \"tm-2\"}" : "null");
    answer(socket, route, request, "200", body);
}

static void answer_planned(struct world *w, struct net_socket *socket, struct weir_bytes route, const struct rest_request *request)
{
    char body[512] = "{\"status\": {\"id\": \"IN_PROGRESS\"}}";
    w->questions++;
    if (w->questions == w->play.interrupt_at) kill(getpid(), SIGINT);
    if (w->play.operation && w->questions > 2)
        snprintf(body, sizeof body, "{\"status\": {\"id\": \"COMPLETED\"}, \"operation\": %s}", w->play.operation);
    answer(socket, route, request, "200", body);
}

static void answer_chunk(struct net_socket *socket, struct weir_bytes route, const struct rest_request *request)
{
    char body[128], id[WEIR_DIGEST_TEXT];
    struct sha256 hash;
    sha256_init(&hash);
    sha256_update(&hash, request->body.data, request->body.length);
    snprintf(body, sizeof body, "{\"id\": \"%s\"}", digest_text(sha256_final(&hash), id));
    answer(socket, route, request, "201", body);
}

static void serve(struct world *w, struct net_socket *socket, struct net_parts *parts)
{
    struct weir_bytes slices[NET_PARTS_MAX], route = net_part(parts, 0);
    struct rest_request request;
    struct weir_diag diag;
    for (uint32_t i = 0; i < parts->n; i++) slices[i] = net_part(parts, i);
    if (rest_request_parse(&request, slices + 1, parts->n - 1, &diag) != REST_OK) return;
    const char *last = request.n_segments ? request.segment[request.n_segments - 1] : "";
    if (strcmp(last, "overview") == 0) {
        answer(socket, route, &request, "200", "{\"slots-total\": 4, \"slots-available\": 1}");
    } else if (strcmp(last, "plan") == 0 && request.method == REST_POST) {
        snprintf(w->submitted, sizeof w->submitted, "%.*s", (int)request.body.length, (const char *)request.body.data);
        answer(socket, route, &request, "202", "{\"request-id\": \"" JOB "\"}");
    } else if (request.n_segments == 4 && strcmp(request.segment[2], "plan") == 0) {
        answer_planned(w, socket, route, &request);
    } else if (strcmp(last, "plan") == 0) {
        answer(socket, route, &request, "200", "{\"plan\": {\"nodes\": [{\"inputs\": []}]}}");
    } else if (strcmp(last, "run") == 0) {
        snprintf(w->submitted, sizeof w->submitted, "%.*s", (int)request.body.length, (const char *)request.body.data);
        answer(socket, route, &request, "200", "{\"jobid\": \"" JOB "\"}");
    } else if (request.method == REST_POST) {
        answer(socket, route, &request, "201", "{\"upload\": \"1\"}");
    } else if (request.method == REST_PUT) {
        answer_chunk(socket, route, &request);
    } else if (request.method == REST_PATCH) {
        w->cancels++;
        answer(socket, route, &request, "202", "{}");
    } else {
        answer_job(w, socket, route, &request);
    }
}

static void *play_jobmanager(void *arg)
{
    struct world *w = arg;
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, NULL); /* Ctrl-C is jobctl's */
    struct net_socket_config config = {.kind = NET_ROUTER, .message_max = 1 << 20, .send_hwm = 100, .receive_hwm = 100};
    struct net_socket *socket = NULL;
    struct net_parts parts;
    struct weir_diag diag;
    net_parts_init(&parts);
    if (net_socket_new(&socket, &config, &diag) || net_socket_bind(socket, w->endpoint, &diag)) abort();
    atomic_store(&w->ready, true);
    while (!atomic_load(&w->stop)) {
        struct net_wait wait = {.socket = socket, .fd = -1, .want_read = true};
        if (net_poll(&wait, 1, 10) == 0) continue;
        if (net_receive(socket, &parts) == NET_MESSAGE) serve(w, socket, &parts);
    }
    net_parts_close(&parts);
    net_socket_destroy(&socket);
    return NULL;
}

/* ---- running jobctl ---- */

static int open_world(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    snprintf(w->dir, sizeof w->dir, "/tmp/weir-run-XXXXXX");
    if (!mkdtemp(w->dir) || net_start(1)) return -1;
    snprintf(w->endpoint, sizeof w->endpoint, "ipc://%s/admin", w->dir);
    snprintf(w->plugin, sizeof w->plugin, "%s/job.so", w->dir);
    FILE *plugin = fopen(w->plugin, "w");
    fputs("plugin", plugin);
    fclose(plugin);
    interrupt_watch();
    *state = w;
    return 0;
}

static int close_world(void **state)
{
    struct world *w = *state;
    char path[64];
    snprintf(path, sizeof path, "%s/admin", w->dir);
    unlink(path);
    unlink(w->plugin);
    rmdir(w->dir);
    net_stop();
    free(w);
    return 0;
}

static int redirect(FILE *stream, FILE *to)
{
    fflush(stream);
    int saved = dup(fileno(stream));
    dup2(fileno(to), fileno(stream));
    return saved;
}

static void restore(FILE *stream, int saved, FILE *from, char text[static OUTPUT_BYTES])
{
    fflush(stream);
    dup2(saved, fileno(stream));
    close(saved);
    rewind(from);
    text[fread(text, 1, OUTPUT_BYTES - 1, from)] = '\0';
    fclose(from);
}

/* Runs `jobctl COMMAND OPTIONS job.so` while the play is on; what it printed is in w->out and w->err. */
static int command(struct world *w, const char *name, const struct play *play, const char *const *options)
{
    char *argv[16] = {(char *)"jobctl", (char *)(uintptr_t)name, (char *)"-m", w->endpoint, w->plugin};
    int argc = 5;
    for (; options && *options; options++) argv[argc++] = (char *)(uintptr_t)*options;
    struct ctl_arguments args;
    struct weir_diag diag = {0};
    if (arguments_parse(&args, argc, argv, NULL, &diag)) fail_msg("%s", diag.text);
    w->play = *play;
    w->questions = w->cancels = 0;
    atomic_store(&w->ready, false);
    atomic_store(&w->stop, false);
    assert_int_equal(pthread_create(&w->thread, NULL, play_jobmanager, w), 0);
    while (!atomic_load(&w->ready)) usleep(1000);
    FILE *err = tmpfile(), *out = tmpfile();
    int saved_err = redirect(stderr, err), saved_out = redirect(stdout, out);
    int code = commands_run(&args);
    restore(stderr, saved_err, err, w->err);
    restore(stdout, saved_out, out, w->out);
    atomic_store(&w->stop, true);
    pthread_join(w->thread, NULL);
    while (interrupt_pending()) interrupt_answered();
    return code;
}

static int run(struct world *w, const struct play *play, const char *const *options)
{
    return command(w, "run", play, options);
}

static void says(const char *text, const char *part)
{
    if (!strstr(text, part)) fail_msg("no \"%s\" in:\n%s", part, text);
}

#define PLAY(...)                   \
    .states = (const char *const[]) \
    {                               \
        __VA_ARGS__, NULL           \
    }
#define OPTIONS(...) ((const char *const[]){__VA_ARGS__, NULL})

/* ---- stories ---- */

static void a_finished_job_is_success(void **state)
{
    struct world *w = *state;
    assert_int_equal(run(w, &(struct play){PLAY("INITIALIZING", "CREATED", "DEPLOYING", "RUNNING", "FINISHED")}, NULL), CTL_EXIT_OK);
    assert_string_equal(w->err, "job 4f2a0c81d9e3 (n) FINISHED after 1.000 s, 42 records read, 42/s\n"); /* no progress: no terminal */
    assert_string_equal(w->out, "");
    says(w->submitted, "{\"parallelism\":1,\"args\":[],\"cwd\":\"/");
}

static void a_failed_job_says_who_and_why(void **state)
{
    struct world *w = *state;
    assert_int_equal(run(w, &(struct play){PLAY("RUNNING", "FAILING", "FAILED")}, OPTIONS("-o", "json")), CTL_EXIT_FAILED);
    says(w->err, "reason        it broke\noperator      parse\nsubtask       3\nTaskManager   tm-2\n");
    says(w->out, "\"state\": \"FAILED\"");
}

static void a_job_canceled_by_others_is_a_failure(void **state)
{
    struct world *w = *state;
    assert_int_equal(run(w, &(struct play){PLAY("RUNNING", "CANCELLING", "CANCELED")}, NULL), CTL_EXIT_FAILED);
    says(w->err, "CANCELED after");
}

static void detached_prints_the_id_and_leaves(void **state)
{
    struct world *w = *state;
    assert_int_equal(run(w, &(struct play){PLAY("RUNNING")}, OPTIONS("-d", "--", "x", "y")), CTL_EXIT_OK);
    assert_string_equal(w->out, JOB "\n");
    says(w->submitted, "\"args\":[\"x\",\"y\"]");
    assert_int_equal(w->questions, 0);
    assert_int_equal(run(w, &(struct play){PLAY("RUNNING")}, OPTIONS("-d", "-o", "json")), CTL_EXIT_OK);
    assert_string_equal(w->out, "{\"jobid\": \"" JOB "\"}\n");
    assert_string_equal(w->err, "");
}

static void ctrl_c_cancels_the_job(void **state)
{
    struct world *w = *state;
    const struct play play = {PLAY("RUNNING"), .interrupt_at = 3, .cancels = true};
    assert_int_equal(run(w, &play, NULL), CTL_EXIT_INTERRUPTED);
    assert_int_equal(w->cancels, 1);
    says(w->err, "canceling job 4f2a0c81d9e3; Ctrl-C again to leave without waiting\n");
    says(w->err, "CANCELED after");
}

static void ctrl_c_twice_leaves_a_job_that_does_not_end(void **state)
{
    struct world *w = *state;
    const struct play play = {PLAY("RUNNING"), .interrupt_at = 2, .again_at = 5};
    assert_int_equal(run(w, &play, NULL), CTL_EXIT_INTERRUPTED);
    assert_int_equal(w->cancels, 1);
    assert_in_range(w->questions, 5, 6);
    assert_null(strstr(w->err, "after"));
}

static void ctrl_c_that_comes_too_late_is_no_failure(void **state)
{
    struct world *w = *state;
    const struct play play = {PLAY("RUNNING", "RUNNING", "RUNNING", "RUNNING", "FINISHED"), .interrupt_at = 2};
    assert_int_equal(run(w, &play, NULL), CTL_EXIT_OK);
}

static void a_jobmanager_that_goes_is_unreachable(void **state)
{
    struct world *w = *state;
    assert_int_equal(run(w, &(struct play){PLAY("RUNNING", "GONE")}, OPTIONS("--timeout", "0.3")), CTL_EXIT_UNREACHABLE);
    says(w->err, "no answer from ipc://");
    says(w->err, "job " JOB " was submitted and may go on");
}

static void a_job_without_a_state_is_no_answer(void **state)
{
    struct world *w = *state;
    assert_int_equal(run(w, &(struct play){PLAY("")}, NULL), CTL_EXIT_UNREACHABLE);
    says(w->err, "has no \"state\"");
}

static void waiting_for_slots_is_explained_once(void **state)
{
    struct world *w = *state;
    const char *states[20];
    for (size_t i = 0; i < 18; i++) states[i] = i < 14 ? "CREATED" : "RUNNING"; /* more than a second */
    states[18] = "FINISHED";
    states[19] = NULL;
    assert_int_equal(run(w, &(struct play){.states = states}, NULL), CTL_EXIT_OK);
    says(w->err, "the job needs 7 slots, of 4 there are 1 free: it waits;");
    assert_null(strstr(strstr(w->err, "needs 7 slots") + 1, "needs 7 slots"));
}

static void a_plugin_that_is_not_there_is_wrong_use(void **state)
{
    struct world *w = *state;
    char right[64];
    memcpy(right, w->plugin, sizeof right);
    snprintf(w->plugin, sizeof w->plugin, "%s/none.so", w->dir);
    assert_int_equal(run(w, &(struct play){PLAY("RUNNING")}, NULL), CTL_EXIT_USAGE);
    says(w->err, "none.so: No such file or directory: name a job plugin, a .so file\n");
    snprintf(w->plugin, sizeof w->plugin, "%s", w->dir);
    assert_int_equal(run(w, &(struct play){PLAY("RUNNING")}, NULL), CTL_EXIT_USAGE);
    says(w->err, "is no regular file: name a job plugin");
    memcpy(w->plugin, right, sizeof right);
}

#define PLAN \
    "{\"plan\": {\"jid\": \"" JOB "\", \"name\": \"n\", \"nodes\": []}, \"text\": \"job n\\n0: a\\n\", \"dot\": \"digraph {\\n}\\n\"}"

static void a_plan_is_awaited_and_printed_in_three_forms(void **state)
{
    struct world *w = *state;
    const struct play play = {.operation = PLAN};
    assert_int_equal(command(w, "plan", &play, OPTIONS("-p", "3", "--", "--input", "f")), CTL_EXIT_OK);
    assert_string_equal(w->out, "job n\n0: a\n");
    assert_string_equal(w->err, "");
    assert_int_equal(w->questions, 3);
    says(w->submitted, "{\"parallelism\":3,\"args\":[\"--input\",\"f\"],\"cwd\":\"/");
    assert_int_equal(command(w, "plan", &play, OPTIONS("--dot")), CTL_EXIT_OK);
    assert_string_equal(w->out, "digraph {\n}\n");
    assert_int_equal(command(w, "plan", &play, OPTIONS("-o", "json")), CTL_EXIT_OK);
    assert_string_equal(w->out, "{\n  \"plan\": {\n    \"jid\": \"" JOB "\",\n    \"name\": \"n\",\n    \"nodes\": []\n  }\n}\n");
}

static void a_graph_without_a_plan_says_why(void **state)
{
    struct world *w = *state;
    const struct play none = {.operation = "{\"failure\": {\"code\": \"GRAPH\", \"reason\": \"a -> a form a cycle\"}}"};
    assert_int_equal(command(w, "plan", &none, NULL), CTL_EXIT_FAILED);
    says(w->err, "job.so has no plan\nreason        a -> a form a cycle\ncode          GRAPH\n");
    assert_string_equal(w->out, "");
    assert_int_equal(command(w, "plan", &(struct play){.operation = "{}"}, NULL), CTL_EXIT_UNREACHABLE);
    assert_int_equal(command(w, "plan", &(struct play){.interrupt_at = 4}, NULL), CTL_EXIT_INTERRUPTED); /* one that is never made */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_finished_job_is_success),
        cmocka_unit_test(a_failed_job_says_who_and_why),
        cmocka_unit_test(a_job_canceled_by_others_is_a_failure),
        cmocka_unit_test(detached_prints_the_id_and_leaves),
        cmocka_unit_test(ctrl_c_cancels_the_job),
        cmocka_unit_test(ctrl_c_twice_leaves_a_job_that_does_not_end),
        cmocka_unit_test(ctrl_c_that_comes_too_late_is_no_failure),
        cmocka_unit_test(a_jobmanager_that_goes_is_unreachable),
        cmocka_unit_test(a_job_without_a_state_is_no_answer),
        cmocka_unit_test(waiting_for_slots_is_explained_once),
        cmocka_unit_test(a_plugin_that_is_not_there_is_wrong_use),
        cmocka_unit_test(a_plan_is_awaited_and_printed_in_three_forms),
        cmocka_unit_test(a_graph_without_a_plan_says_why),
    };
    return cmocka_run_group_tests(tests, open_world, close_world);
}
