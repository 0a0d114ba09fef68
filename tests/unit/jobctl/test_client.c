/* SPDX-License-Identifier: Apache-2.0 */
/* The admin client against a server in a thread: answers, refusals, silence, garbage, late answers, interrupts, uploads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/client/client.h"
#include "runtime/base/buffer.h"
#include "runtime/base/clock.h"
#include "runtime/base/limits.h"
#include "runtime/net/rest.h"
#include "runtime/net/socket.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TIMEOUT_MS = 300, PATIENT_MS = 10000, PARTS = 6 };

struct server {
    char dir[32], endpoint[64];
    pthread_t thread;
    atomic_bool ready, stop;
    pthread_mutex_t lock;   /* of what follows */
    struct sha256 received; /* of an upload, with ... */
    uint64_t n_received, size;
    uint32_t n_away; /* requests answered with the name of the leader */
    char name[64];
};

/* ---- the server ---- */

static void send_parts(struct net_socket *socket, struct weir_bytes route, const char *const *texts, uint32_t n)
{
    struct weir_bytes parts[PARTS] = {route};
    for (uint32_t i = 0; i < n; i++) parts[i + 1] = (struct weir_bytes){texts[i], (uint32_t)strlen(texts[i])};
    (void)net_send_bytes(socket, parts, n + 1); /* a client that has gone is no matter */
}

static void answer(struct net_socket *socket, struct weir_bytes route, const struct rest_request *request, const char *status,
                   const char *body)
{
    char headers[64];
    snprintf(headers, sizeof headers, "content-type: application/json\nrequest-id: %s\n", rest_header(&request->headers, "request-id"));
    send_parts(socket, route, (const char *const[]){status, headers, body}, 3);
}

static void take_chunk(struct server *s, struct net_socket *socket, struct weir_bytes route, const struct rest_request *request)
{
    char body[128], id[WEIR_DIGEST_TEXT];
    uint64_t offset = 0;
    bool in_order = rest_number(rest_query(request, "offset"), WEIR_PLUGIN_MAX, &offset) && offset == s->n_received;
    if (!in_order) {
        answer(socket, route, request, "400", "{}");
        return;
    }
    sha256_update(&s->received, request->body.data, request->body.length);
    s->n_received += request->body.length;
    snprintf(body, sizeof body, "{\"offset\": %llu}", (unsigned long long)s->n_received);
    if (s->n_received == s->size) {
        struct weir_digest digest = sha256_final(&s->received);
        if (strcmp(s->name, "altered.so") == 0) digest.bytes[0] ^= 1;
        snprintf(body, sizeof body, "{\"id\": \"%s\"}", digest_text(digest, id));
    }
    answer(socket, route, request, s->n_received == s->size ? "201" : "200", body);
}

static void begin_upload(struct server *s, struct net_socket *socket, struct weir_bytes route, const struct rest_request *request)
{
    sha256_init(&s->received);
    s->n_received = 0;
    (void)rest_number(rest_query(request, "size"), WEIR_PLUGIN_MAX, &s->size);
    snprintf(s->name, sizeof s->name, "%s", rest_query(request, "name"));
    answer(socket, route, request, "201", "{\"upload\": \"an/upload 1\"}"); /* must come back encoded */
}

static void serve(struct server *s, struct net_socket *socket, struct net_parts *parts)
{
    struct weir_bytes slices[NET_PARTS_MAX], route = net_part(parts, 0);
    struct rest_request request;
    struct weir_diag diag;
    for (uint32_t i = 0; i < parts->n; i++) slices[i] = net_part(parts, i);
    if (rest_request_parse(&request, slices + 1, parts->n - 1, &diag) != REST_OK) return;
    const char *what = request.n_segments ? request.segment[0] : "";
    if (strcmp(what, "echo") == 0) {
        char body[256];
        snprintf(body, sizeof body, "{\"method\": \"%s\", \"bytes\": %u}", rest_method_name(request.method), request.body.length);
        answer(socket, route, &request, "200", body);
    } else if (strcmp(what, "empty") == 0) {
        answer(socket, route, &request, "204", "");
    } else if (strcmp(what, "refusal") == 0) {
        answer(socket, route, &request, "409",
               "{\"errors\": [{\"code\": \"STATE\", \"cause\": \"the job \\u001b[2Jhas ended\", \"remedy\": \"choose another\"}]}");
    } else if (strcmp(what, "away") == 0 && s->n_away < 2) { /* nobody leads; then somebody, here */
        char body[256];
        snprintf(body, sizeof body, "{\"errors\": [{\"code\": \"STATE\", \"cause\": \"leads not\"}], \"leader\": \"%s\"}",
                 s->n_away++ ? s->endpoint : "");
        answer(socket, route, &request, "503", body);
    } else if (strcmp(what, "away") == 0) {
        answer(socket, route, &request, "200", "{\"right\": 1}");
    } else if (strcmp(what, "resigned") == 0 && s->n_away++ < 1) { /* whether it was carried out nobody knows */
        answer(socket, route, &request, "503", "{\"errors\": [{\"code\": \"UNREACHABLE\", \"cause\": \"leads no more\"}]}");
    } else if (strcmp(what, "resigned") == 0) {
        answer(socket, route, &request, "202", "{\"right\": 1}");
    } else if (strcmp(what, "shrug") == 0) {
        answer(socket, route, &request, "500", "<html>");
    } else if (strcmp(what, "garbage") == 0) {
        send_parts(socket, route, (const char *const[]){"\x1b\x02 no status", "\xff\xfe", "x"}, 3);
    } else if (strcmp(what, "few") == 0) {
        send_parts(socket, route, (const char *const[]){"200"}, 1);
    } else if (strcmp(what, "stale") == 0) {
        send_parts(socket, route, (const char *const[]){"200", "request-id: 999999\n", "{\"wrong\": 1}"}, 3);
        send_parts(socket, route, (const char *const[]){"200", "", "{\"wrong\": 2}"}, 3);
        answer(socket, route, &request, "200", "{\"right\": 1}");
    } else if (strcmp(what, "plugins") == 0 && request.method == REST_POST) {
        begin_upload(s, socket, route, &request);
    } else if (strcmp(what, "plugins") == 0 && request.n_segments == 2 && strcmp(request.segment[1], "an/upload 1") == 0) {
        take_chunk(s, socket, route, &request);
    } /* "silence" and all else: no answer */
}

static void *run_server(void *arg)
{
    struct server *s = arg;
    struct net_socket_config config = {.kind = NET_ROUTER, .message_max = 1 << 20, .send_hwm = 100, .receive_hwm = 100};
    struct net_socket *socket = NULL;
    struct net_parts parts;
    struct weir_diag diag;
    net_parts_init(&parts);
    if (net_socket_new(&socket, &config, &diag) || net_socket_bind(socket, s->endpoint, &diag)) abort();
    atomic_store(&s->ready, true);
    while (!atomic_load(&s->stop)) {
        struct net_wait wait = {.socket = socket, .fd = -1, .want_read = true};
        if (net_poll(&wait, 1, 20) == 0) continue;
        if (net_receive(socket, &parts) != NET_MESSAGE) continue;
        pthread_mutex_lock(&s->lock);
        serve(s, socket, &parts);
        pthread_mutex_unlock(&s->lock);
    }
    net_parts_close(&parts);
    net_socket_destroy(&socket);
    return NULL;
}

static int start_server(void **state)
{
    struct server *s = calloc(1, sizeof *s);
    pthread_mutex_init(&s->lock, NULL);
    snprintf(s->dir, sizeof s->dir, "/tmp/weir-client-XXXXXX");
    if (!mkdtemp(s->dir) || net_start(1)) return -1;
    snprintf(s->endpoint, sizeof s->endpoint, "ipc://%s/admin", s->dir);
    if (pthread_create(&s->thread, NULL, run_server, s) != 0) return -1;
    while (!atomic_load(&s->ready)) usleep(1000);
    *state = s;
    return 0;
}

static int stop_server(void **state)
{
    struct server *s = *state;
    char path[64];
    atomic_store(&s->stop, true);
    pthread_join(s->thread, NULL);
    net_stop();
    snprintf(path, sizeof path, "%s/admin", s->dir);
    unlink(path);
    rmdir(s->dir);
    free(s);
    return 0;
}

/* ---- the client ---- */

static struct weir_client *client_of(const char *endpoint, int64_t timeout_ms)
{
    struct weir_client *c = NULL;
    struct weir_diag diag = {0};
    struct weir_client_config config = {.endpoint = endpoint, .timeout_ms = timeout_ms};
    if (weir_client_new(&c, &config, &diag)) fail_msg("%s", diag.text);
    return c;
}

static void expect_echo(struct weir_client *c)
{
    struct weir_reply reply = {0};
    struct weir_diag diag = {0};
    if (weir_client_request(c, "GET", "/echo", NULL, &reply, &diag)) fail_msg("%s", diag.text);
    assert_string_equal(reply.body, "{\"method\": \"GET\", \"bytes\": 0}");
    weir_reply_close(&reply);
}

static void a_request_is_answered(void **state)
{
    struct server *s = *state;
    struct weir_client *c = client_of(s->endpoint, PATIENT_MS);
    struct weir_reply reply = {0};
    struct weir_diag diag = {0};
    expect_echo(c);
    assert_int_equal(weir_client_request(c, "POST", "/echo?a=b", "{\"x\": 1}", &reply, &diag), WEIR_OK);
    assert_int_equal(reply.status, 200);
    assert_string_equal(reply.body, "{\"method\": \"POST\", \"bytes\": 8}");
    assert_int_equal(reply.len, strlen(reply.body));
    weir_reply_close(&reply);
    assert_int_equal(weir_client_request(c, "DELETE", "/empty", NULL, &reply, &diag), WEIR_OK);
    assert_string_equal(reply.body, "");
    weir_reply_close(&reply);
    assert_int_equal(weir_client_request(c, "PATCH", "/empty", "", NULL, &diag), WEIR_OK);
    assert_int_equal(weir_client_status(c), 204);
    weir_client_destroy(&c);
}

static void a_refusal_is_a_sentence(void **state)
{
    struct server *s = *state;
    struct weir_client *c = client_of(s->endpoint, PATIENT_MS);
    struct weir_reply reply = {0};
    struct weir_diag diag = {0};
    assert_int_equal(weir_client_request(c, "GET", "/refusal", NULL, &reply, &diag), WEIR_E_STATE);
    assert_string_equal(diag.text, "the job ?[2Jhas ended: choose another"); /* nothing moves the cursor */
    assert_int_equal(weir_client_status(c), 409);
    assert_null(reply.body);
    assert_int_equal(weir_client_request(c, "GET", "/shrug", NULL, &reply, &diag), WEIR_E_INTERNAL);
    assert_non_null(strstr(diag.text, "status 500"));
    expect_echo(c);
    weir_client_destroy(&c);
}

static void silence_ends_at_the_time_limit(void **state)
{
    struct server *s = *state;
    struct weir_client *c = client_of(s->endpoint, TIMEOUT_MS);
    struct weir_diag diag = {0};
    int64_t before = clock_mono_ms();
    assert_int_equal(weir_client_request(c, "GET", "/silence", NULL, NULL, &diag), WEIR_E_UNREACHABLE);
    assert_in_range(clock_mono_ms() - before, TIMEOUT_MS, 10 * TIMEOUT_MS);
    assert_non_null(strstr(diag.text, "within 300 ms: is weir-jobmanager running there?"));
    assert_int_equal(weir_client_status(c), 0);
    expect_echo(c); /* on a new connection */
    weir_client_destroy(&c);
}

static void nobody_there_ends_at_the_time_limit(void **state)
{
    (void)state;
    struct weir_client *c = client_of("tcp://127.0.0.1:1", 1000);
    struct weir_diag diag = {0};
    assert_int_equal(weir_client_request(c, "GET", "/overview", NULL, NULL, &diag), WEIR_E_UNREACHABLE);
    assert_non_null(strstr(diag.text, "no answer from tcp://127.0.0.1:1 within 1 s"));
    weir_client_destroy(&c);
}

static void garbage_is_no_answer(void **state)
{
    struct server *s = *state;
    struct weir_client *c = client_of(s->endpoint, PATIENT_MS);
    struct weir_diag diag = {0};
    const char *const paths[] = {"/garbage", "/few"};
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(weir_client_request(c, "GET", paths[i], NULL, NULL, &diag), WEIR_E_PROTOCOL);
        assert_non_null(strstr(diag.text, "is this its admin endpoint?"));
        for (const char *p = diag.text; *p; p++) assert_true((unsigned char)*p >= 0x20);
        expect_echo(c);
    }
    weir_client_destroy(&c);
}

static void answers_to_other_requests_are_dropped(void **state)
{
    struct server *s = *state;
    struct weir_client *c = client_of(s->endpoint, PATIENT_MS);
    struct weir_reply reply = {0};
    struct weir_diag diag = {0};
    assert_int_equal(weir_client_request(c, "GET", "/stale", NULL, &reply, &diag), WEIR_OK);
    assert_string_equal(reply.body, "{\"right\": 1}");
    weir_reply_close(&reply);
    weir_client_destroy(&c);
}

static bool always(void *arg)
{
    (void)arg;
    return true;
}

static void an_interrupt_ends_the_wait(void **state)
{
    struct server *s = *state;
    struct weir_client *c = NULL;
    struct weir_diag diag = {0};
    struct weir_client_config config = {.endpoint = s->endpoint, .timeout_ms = PATIENT_MS, .interrupted = always};
    assert_int_equal(weir_client_new(&c, &config, &diag), WEIR_OK);
    int64_t before = clock_mono_ms();
    assert_int_equal(weir_client_request(c, "GET", "/silence", NULL, NULL, &diag), WEIR_E_CANCELED);
    assert_true(clock_mono_ms() - before < PATIENT_MS / 2);
    weir_client_destroy(&c);
}

static void endpoints_that_leave_the_machine_are_refused(void **state)
{
    (void)state;
    struct weir_client *c = NULL;
    struct weir_diag diag = {0};
    struct weir_client_config config = {.endpoint = "tcp://192.0.2.1:8081", .timeout_ms = 1};
    assert_int_equal(weir_client_new(&c, &config, &diag), WEIR_E_UNSUPPORTED);
    assert_null(c);
    config.endpoint = "nonsense";
    assert_int_equal(weir_client_new(&c, &config, &diag), WEIR_E_ARGUMENT);
}

/* ---- uploads ---- */

static void make_file(const char *path, size_t bytes)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    for (size_t i = 0; i < bytes; i++) fputc((int)(i * 31 % 251), file);
    fclose(file);
}

static weir_err upload(struct server *s, const char *name, size_t bytes, char id[static WEIR_DIGEST_TEXT], struct weir_diag *diag)
{
    char path[96];
    snprintf(path, sizeof path, "%s/%s", s->dir, name);
    make_file(path, bytes);
    struct weir_client *c = client_of(s->endpoint, PATIENT_MS);
    weir_err err = weir_client_upload(c, path, id, diag);
    weir_client_destroy(&c);
    unlink(path);
    return err;
}

static void uploads_of_every_size_arrive(void **state)
{
    struct server *s = *state;
    const size_t sizes[] = {1, WEIR_CHUNK_BYTES - 1, WEIR_CHUNK_BYTES, WEIR_CHUNK_BYTES + 1, 3 * WEIR_CHUNK_BYTES + 17};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        char id[WEIR_DIGEST_TEXT] = "";
        struct weir_diag diag = {0};
        if (upload(s, "my job+1.so", sizes[i], id, &diag)) fail_msg("%s", diag.text);
        assert_int_equal(strlen(id), 64);
        pthread_mutex_lock(&s->lock);
        uint64_t n_received = s->n_received;
        bool named = strcmp(s->name, "my job+1.so") == 0; /* encoded on the way */
        pthread_mutex_unlock(&s->lock);
        assert_int_equal(n_received, sizes[i]);
        assert_true(named);
    }
}

static void an_altered_upload_is_noticed(void **state)
{
    char id[WEIR_DIGEST_TEXT] = "";
    struct weir_diag diag = {0};
    assert_int_equal(upload(*state, "altered.so", 10, id, &diag), WEIR_E_CORRUPT);
    assert_string_equal(id, "");
}

static void what_is_no_plugin_is_not_sent(void **state)
{
    struct server *s = *state;
    struct weir_client *c = client_of(s->endpoint, TIMEOUT_MS);
    char id[WEIR_DIGEST_TEXT] = "";
    struct weir_diag diag = {0};
    assert_int_equal(weir_client_upload(c, "/no/such/file.so", id, &diag), WEIR_E_NOT_FOUND);
    assert_non_null(strstr(diag.text, "/no/such/file.so"));
    assert_int_equal(weir_client_upload(c, s->dir, id, &diag), WEIR_E_ARGUMENT);
    assert_int_equal(upload(s, "nothing.so", 0, id, &diag), WEIR_E_ARGUMENT);
    assert_non_null(strstr(diag.text, "empty"));
    weir_client_destroy(&c);
}

static void values_are_escaped_for_paths(void **state)
{
    (void)state;
    char out[16];
    assert_true(weir_client_escape("a/b c", out, sizeof out));
    assert_string_equal(out, "a%2Fb%20c");
    assert_false(weir_client_escape("a/b c", out, 9));
    assert_true(weir_client_escape("a/b c", out, 10));
}

/* What was refused for want of leadership is asked again, and goes to who leads, whatever its method. */
static void the_leader_is_followed(void **state)
{
    struct server *s = *state;
    struct weir_diag diag = {0};
    struct weir_client *c = client_of(s->endpoint, PATIENT_MS);
    if (weir_client_request(c, "POST", "/away", "{}", NULL, &diag)) fail_msg("%s", diag.text);
    assert_int_equal(s->n_away, 2);
    weir_client_destroy(&c);
}

/* Its JobManager leads no more, and may have carried it out: only what names itself is asked again. */
static void what_names_itself_is_asked_again(void **state)
{
    struct server *s = *state;
    struct weir_diag diag = {0};
    struct weir_client *c = client_of(s->endpoint, PATIENT_MS);
    assert_int_equal(weir_client_request(c, "POST", "/resigned", "{}", NULL, &diag), WEIR_E_UNREACHABLE);
    assert_int_equal(s->n_away, 1);
    s->n_away = 0;
    if (weir_client_request_once(c, "POST", "/resigned", "{}", NULL, &diag)) fail_msg("%s", diag.text);
    assert_int_equal(s->n_away, 2);
    weir_client_destroy(&c);
}

/* Where nobody listens nothing was carried out: the next endpoint is asked. */
static void an_endpoint_without_anybody_is_passed_over(void **state)
{
    struct server *s = *state;
    char endpoints[256];
    struct weir_diag diag = {0};
    snprintf(endpoints, sizeof endpoints, "ipc://%s/nobody,%s", s->dir, s->endpoint);
    struct weir_client *c = client_of(endpoints, PATIENT_MS);
    if (weir_client_request(c, "POST", "/echo", "{}", NULL, &diag)) fail_msg("%s", diag.text);
    expect_echo(c);
    weir_client_destroy(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_names_itself_is_asked_again),
        cmocka_unit_test(the_leader_is_followed),
        cmocka_unit_test(an_endpoint_without_anybody_is_passed_over),
        cmocka_unit_test(a_request_is_answered),
        cmocka_unit_test(a_refusal_is_a_sentence),
        cmocka_unit_test(silence_ends_at_the_time_limit),
        cmocka_unit_test(nobody_there_ends_at_the_time_limit),
        cmocka_unit_test(garbage_is_no_answer),
        cmocka_unit_test(answers_to_other_requests_are_dropped),
        cmocka_unit_test(an_interrupt_ends_the_wait),
        cmocka_unit_test(endpoints_that_leave_the_machine_are_refused),
        cmocka_unit_test(uploads_of_every_size_arrive),
        cmocka_unit_test(an_altered_upload_is_noticed),
        cmocka_unit_test(what_is_no_plugin_is_not_sent),
        cmocka_unit_test(values_are_escaped_for_paths),
    };
    return cmocka_run_group_tests(tests, start_server, stop_server);
}
