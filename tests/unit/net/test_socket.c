/* SPDX-License-Identifier: Apache-2.0 */
/* Sockets on every transport: round trips, routing, copies saved, limits; and the endpoints Weir refuses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "runtime/net/socket.h"

enum { WAIT_MS = 5000 };

static struct net_socket *new_socket(enum net_kind kind, const char *routing_id, uint64_t message_max, uint32_t hwm)
{
    struct net_socket_config config = {.kind = kind,
                                       .message_max = message_max,
                                       .send_hwm = hwm,
                                       .receive_hwm = hwm,
                                       .linger_ms = 0,
                                       .routing_id = {routing_id, routing_id ? (uint32_t)strlen(routing_id) : 0}};
    struct net_socket *s = NULL;
    assert_int_equal(net_socket_new(&s, &config, NULL), WEIR_OK);
    return s;
}

static enum net_received wait_message(struct net_socket *s, struct net_parts *out)
{
    struct net_wait w = {.socket = s, .want_read = true};
    (void)net_poll(&w, 1, WAIT_MS);
    return net_receive(s, out);
}

static void expect_part(struct net_parts *p, uint32_t index, const char *text)
{
    struct weir_bytes b = net_part(p, index);
    assert_int_equal(b.length, strlen(text));
    assert_memory_equal(b.data, text, b.length);
}

static struct weir_bytes text(const char *s)
{
    return (struct weir_bytes){s, (uint32_t)strlen(s)};
}

/* A DEALER asks, the ROUTER answers it by its routing id. */
static void round_trip(const char *endpoint)
{
    struct net_socket *router = new_socket(NET_ROUTER, NULL, 1000, 100);
    struct net_socket *dealer = new_socket(NET_DEALER, "incarnation-1", 1000, 100);
    struct weir_diag diag;
    assert_int_equal(net_socket_bind(router, endpoint, &diag), WEIR_OK);
    assert_int_equal(net_socket_connect(dealer, net_socket_endpoint(router), &diag), WEIR_OK);
    assert_int_equal(net_send_bytes(dealer, (struct weir_bytes[]){text("hello"), text(""), text("world")}, 3), WEIR_OK);
    struct net_parts got;
    net_parts_init(&got);
    assert_int_equal(wait_message(router, &got), NET_MESSAGE);
    assert_int_equal(got.n, 4);
    expect_part(&got, 0, "incarnation-1");
    expect_part(&got, 1, "hello");
    expect_part(&got, 2, "");
    expect_part(&got, 3, "world");
    assert_int_equal(net_send(router, got.part, got.n), WEIR_OK);
    assert_int_equal(wait_message(dealer, &got), NET_MESSAGE);
    assert_int_equal(got.n, 3);
    expect_part(&got, 2, "world");
    assert_int_equal(net_receive(dealer, &got), NET_NOTHING);
    net_parts_close(&got);
    net_socket_destroy(&dealer);
    net_socket_destroy(&router);
}

static void round_trip_inproc(void **state)
{
    (void)state;
    round_trip("inproc://story");
}

static void round_trip_tcp(void **state)
{
    (void)state;
    round_trip("tcp://127.0.0.1:*");
    round_trip("tcp://localhost:0");
}

static void round_trip_ipc(void **state)
{
    (void)state;
    char dir[] = "/tmp/weir-test-net-XXXXXX", endpoint[64];
    assert_non_null(mkdtemp(dir));
    (void)snprintf(endpoint, sizeof endpoint, "ipc://%s/s", dir);
    round_trip(endpoint);
    assert_int_equal(rmdir(dir), 0); /* the socket's file went with the socket */
}

/* A process that comes back binds the path again while its predecessor still closes; its file stays. */
static void a_path_taken_over_is_left_alone(void **state)
{
    (void)state;
    char dir[] = "/tmp/weir-test-net-XXXXXX", endpoint[64];
    assert_non_null(mkdtemp(dir));
    (void)snprintf(endpoint, sizeof endpoint, "ipc://%s/s", dir);
    struct net_socket *old = new_socket(NET_ROUTER, NULL, 100, 100), *new = new_socket(NET_ROUTER, NULL, 100, 100);
    assert_int_equal(net_socket_bind(old, endpoint, NULL), WEIR_OK);
    assert_int_equal(net_socket_bind(new, endpoint, NULL), WEIR_OK);
    net_socket_destroy(&old);
    assert_int_equal(access(endpoint + 6, F_OK), 0);
    net_socket_destroy(&new);
    assert_int_equal(rmdir(dir), 0);
}

/* A ROUTER says so when it knows nobody of that name. */
static void an_unknown_peer_is_unreachable(void **state)
{
    (void)state;
    struct net_socket *router = new_socket(NET_ROUTER, NULL, 1000, 100);
    assert_int_equal(net_socket_bind(router, "tcp://127.0.0.1:*", NULL), WEIR_OK);
    assert_int_equal(net_send_bytes(router, (struct weir_bytes[]){text("nobody"), text("hello")}, 2), WEIR_E_UNREACHABLE);
    net_socket_destroy(&router);
}

/* A routing id may be any sixteen bytes, a zero in front too. */
static void routing_ids_are_bytes(void **state)
{
    (void)state;
    static const unsigned char id[16] = {0, 1, 2, 3, 0, 255};
    struct net_socket *router = new_socket(NET_ROUTER, NULL, 1000, 100);
    struct net_socket_config config = {
        .kind = NET_DEALER, .message_max = 10, .send_hwm = 1, .receive_hwm = 1, .routing_id = {id, sizeof id}};
    struct net_socket *dealer = NULL;
    assert_int_equal(net_socket_new(&dealer, &config, NULL), WEIR_OK);
    assert_int_equal(net_socket_bind(router, "inproc://zero", NULL), WEIR_OK);
    assert_int_equal(net_socket_connect(dealer, "inproc://zero", NULL), WEIR_OK);
    assert_int_equal(net_send_bytes(dealer, (struct weir_bytes[]){text("x")}, 1), WEIR_OK);
    struct net_parts got;
    net_parts_init(&got);
    assert_int_equal(wait_message(router, &got), NET_MESSAGE);
    assert_int_equal(net_part(&got, 0).length, sizeof id);
    assert_memory_equal(net_part(&got, 0).data, id, sizeof id);
    net_parts_close(&got);
    net_socket_destroy(&dealer);
    net_socket_destroy(&router);
}

/* The second process with the same id gets through: the corpse of the first does not hold the door. */
static void a_newcomer_takes_the_routing_id_over(void **state)
{
    (void)state;
    struct net_socket *router = new_socket(NET_ROUTER, NULL, 1000, 100);
    struct net_socket *first = new_socket(NET_DEALER, "same", 1000, 100);
    struct net_socket *second = new_socket(NET_DEALER, "same", 1000, 100);
    struct net_parts got;
    net_parts_init(&got);
    assert_int_equal(net_socket_bind(router, "tcp://127.0.0.1:*", NULL), WEIR_OK);
    struct net_socket *both[] = {first, second};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(net_socket_connect(both[i], net_socket_endpoint(router), NULL), WEIR_OK);
        assert_int_equal(net_send_bytes(both[i], (struct weir_bytes[]){text(i ? "second" : "first")}, 1), WEIR_OK);
        assert_int_equal(wait_message(router, &got), NET_MESSAGE);
        expect_part(&got, 1, i ? "second" : "first");
    }
    assert_int_equal(net_send_bytes(router, (struct weir_bytes[]){text("same"), text("to you")}, 2), WEIR_OK);
    assert_int_equal(wait_message(second, &got), NET_MESSAGE);
    expect_part(&got, 0, "to you");
    net_parts_close(&got);
    net_socket_destroy(&first);
    net_socket_destroy(&second);
    net_socket_destroy(&router);
}

static _Atomic int released;

static void count_release(void *data, void *hint)
{
    (void)hint;
    free(data);
    atomic_fetch_add(&released, 1);
}

/* Bytes given to a message are sent as they lie, kept by the receiver as long as it likes, and given back exactly once. */
static void wrapped_bytes_travel_without_a_copy(void **state)
{
    (void)state;
    enum { SIZE = 32768 };
    atomic_store(&released, 0);
    struct net_socket *router = new_socket(NET_ROUTER, NULL, SIZE, 100);
    struct net_socket *dealer = new_socket(NET_DEALER, NULL, SIZE, 100);
    assert_int_equal(net_socket_bind(router, "inproc://wrap", NULL), WEIR_OK);
    assert_int_equal(net_socket_connect(dealer, "inproc://wrap", NULL), WEIR_OK);
    char *bytes = calloc(1, SIZE);
    struct net_message m, kept;
    assert_int_equal(net_message_wrap(&m, bytes, SIZE, count_release, NULL), WEIR_OK);
    assert_int_equal(net_send(dealer, &m, 1), WEIR_OK);
    assert_int_equal(net_message_size(&m), 0);
    struct net_parts got;
    net_parts_init(&got);
    net_message_init(&kept);
    assert_int_equal(wait_message(router, &got), NET_MESSAGE);
    net_message_move(&kept, &got.part[1]);
    net_parts_close(&got);
    assert_ptr_equal(net_message_data(&kept), bytes);
    assert_int_equal(atomic_load(&released), 0);
    net_message_close(&kept);
    assert_int_equal(atomic_load(&released), 1);
    net_message_close(&kept);
    assert_int_equal(atomic_load(&released), 1);
    net_socket_destroy(&dealer);
    net_socket_destroy(&router);
}

/* A full queue is a limit, and the message is still the sender's. */
static void a_full_queue_leaves_the_message_with_its_sender(void **state)
{
    (void)state;
    struct net_socket *dealer = new_socket(NET_DEALER, NULL, 100, 4);
    assert_int_equal(net_socket_connect(dealer, "tcp://127.0.0.1:1", NULL), WEIR_OK);
    struct net_message m;
    weir_err err = WEIR_OK;
    for (int i = 0; i < 100 && !err; i++) {
        assert_int_equal(net_message_copy(&m, "frame", 5), WEIR_OK);
        err = net_send(dealer, &m, 1);
    }
    assert_int_equal(err, WEIR_E_LIMIT);
    assert_int_equal(net_message_size(&m), 5);
    net_message_close(&m);
    net_socket_destroy(&dealer);
}

/* Nine parts: the first eight arrive, the fact is told, and the next message is whole. */
static void too_many_parts_are_told(void **state)
{
    (void)state;
    struct net_socket *router = new_socket(NET_ROUTER, NULL, 100, 100);
    struct net_socket *dealer = new_socket(NET_DEALER, NULL, 100, 100);
    assert_int_equal(net_socket_bind(router, "inproc://parts", NULL), WEIR_OK);
    assert_int_equal(net_socket_connect(dealer, "inproc://parts", NULL), WEIR_OK);
    struct weir_bytes eight[8];
    for (int i = 0; i < 8; i++) eight[i] = text("x");
    assert_int_equal(net_send_bytes(dealer, eight, 8), WEIR_OK); /* the routing id is the ninth part */
    assert_int_equal(net_send_bytes(dealer, (struct weir_bytes[]){text("next")}, 1), WEIR_OK);
    struct net_parts got;
    net_parts_init(&got);
    assert_int_equal(wait_message(router, &got), NET_TOO_MANY_PARTS);
    assert_int_equal(got.n, NET_PARTS_MAX);
    assert_int_equal(wait_message(router, &got), NET_MESSAGE);
    expect_part(&got, 1, "next");
    net_parts_close(&got);
    net_socket_destroy(&dealer);
    net_socket_destroy(&router);
}

/* A part beyond the limit costs its sender the connection; others are not disturbed. */
static void an_oversized_part_never_arrives(void **state)
{
    (void)state;
    struct net_socket *router = new_socket(NET_ROUTER, NULL, 100, 100);
    struct net_socket *bad = new_socket(NET_DEALER, "bad", 100, 100);
    struct net_socket *good = new_socket(NET_DEALER, "good", 100, 100);
    assert_int_equal(net_socket_bind(router, "tcp://127.0.0.1:*", NULL), WEIR_OK);
    assert_int_equal(net_socket_connect(bad, net_socket_endpoint(router), NULL), WEIR_OK);
    assert_int_equal(net_socket_connect(good, net_socket_endpoint(router), NULL), WEIR_OK);
    static char large[101];
    assert_int_equal(net_send_bytes(bad, &(struct weir_bytes){large, sizeof large}, 1), WEIR_OK);
    struct net_parts got;
    net_parts_init(&got);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(net_send_bytes(good, (struct weir_bytes[]){text("fine")}, 1), WEIR_OK);
        assert_int_equal(wait_message(router, &got), NET_MESSAGE);
        expect_part(&got, 0, "good");
    }
    net_parts_close(&got);
    net_socket_destroy(&bad);
    net_socket_destroy(&good);
    net_socket_destroy(&router);
}

/* Descriptors and sockets are waited for together; entries without either are skipped. */
static void poll_takes_descriptors_too(void **state)
{
    (void)state;
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    struct net_socket *router = new_socket(NET_ROUTER, NULL, 100, 100);
    assert_int_equal(net_socket_bind(router, "inproc://poll", NULL), WEIR_OK);
    struct net_wait w[] = {{.socket = router, .want_read = true}, {.fd = -1}, {.fd = fds[0], .want_read = true}};
    assert_int_equal(net_poll(w, 3, 0), 0);
    assert_int_equal(write(fds[1], "x", 1), 1);
    assert_int_equal(net_poll(w, 3, WAIT_MS), 1);
    assert_true(w[2].readable);
    assert_false(w[0].readable);
    close(fds[0]);
    close(fds[1]);
    net_socket_destroy(&router);
}

/* Two servers on one port: the second is told so. */
static void a_taken_port_is_an_error_in_words(void **state)
{
    (void)state;
    struct net_socket *one = new_socket(NET_ROUTER, NULL, 100, 100), *two = new_socket(NET_ROUTER, NULL, 100, 100);
    struct weir_diag diag;
    assert_int_equal(net_socket_bind(one, "tcp://127.0.0.1:*", &diag), WEIR_OK);
    assert_int_equal(net_socket_bind(two, net_socket_endpoint(one), &diag), WEIR_E_EXISTS);
    assert_non_null(strstr(diag.text, "Address already in use"));
    net_socket_destroy(&one);
    net_socket_destroy(&two);
}

struct endpoint_case {
    const char *endpoint;
    weir_err err;
    const char *words;
};

static const struct endpoint_case endpoint_cases[] = {
    {"tcp://127.0.0.1:6123", WEIR_OK, ""},
    {"tcp://127.1.2.3:*", WEIR_OK, ""},
    {"tcp://[::1]:0", WEIR_OK, ""},
    {"tcp://localhost:65535", WEIR_OK, ""},
    {"ipc:///tmp/x", WEIR_OK, ""},
    {"ipc://@weir-abstract", WEIR_OK, ""},
    {"tcp://0.0.0.0:1", WEIR_E_UNSUPPORTED, "plain transport is allowed on ipc and loopback only"},
    {"tcp://*:1", WEIR_E_UNSUPPORTED, "not loopback"},
    {"tcp://10.0.0.1:1", WEIR_E_UNSUPPORTED, "'10.0.0.1' is not loopback"},
    {"tcp://example.org:1", WEIR_E_UNSUPPORTED, "not loopback"},
    {"tcp://127.0.0.1.example.org:1", WEIR_E_UNSUPPORTED, "not loopback"},
    {"tcp://127.1:1", WEIR_E_UNSUPPORTED, "not loopback"},
    {"tcp://[::2]:1", WEIR_E_UNSUPPORTED, "not loopback"},
    {"tcp://lo:1", WEIR_E_UNSUPPORTED, "not loopback"},
    {"tcp://127.0.0.1:0;10.0.0.1:5", WEIR_E_UNSUPPORTED, "source address"},
    {"tcp://127.0.0.1", WEIR_E_ARGUMENT, "no port"},
    {"tcp://[::1]", WEIR_E_ARGUMENT, "no port"},
    {"tcp://:1", WEIR_E_ARGUMENT, "no host"},
    {"tcp://127.0.0.1:", WEIR_E_ARGUMENT, "port ''"},
    {"tcp://127.0.0.1:65536", WEIR_E_ARGUMENT, "port '65536'"},
    {"tcp://127.0.0.1:1x", WEIR_E_ARGUMENT, "port '1x'"},
    {"ipc://", WEIR_E_ARGUMENT, "no path"},
    {"ipc://*", WEIR_E_ARGUMENT, "needs a path"},
    {"udp://127.0.0.1:1", WEIR_E_ARGUMENT, "not an endpoint"},
    {"", WEIR_E_ARGUMENT, "not an endpoint"},
};

static void endpoints_are_checked(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof endpoint_cases / sizeof endpoint_cases[0]; i++) {
        const struct endpoint_case *c = &endpoint_cases[i];
        struct weir_diag diag = {0};
        weir_err err = net_endpoint_check(c->endpoint, &diag);
        if (err != c->err || !strstr(diag.text, c->words)) print_error("%s: %s: %s\n", c->endpoint, weir_err_name(err), diag.text);
        assert_int_equal(err, c->err);
        assert_non_null(strstr(diag.text, c->words));
    }
    char path[200] = "ipc:///";
    memset(path + 7, 'x', 150);
    assert_int_equal(net_endpoint_check(path, NULL), WEIR_E_ARGUMENT);
}

/* The check is not the caller's duty: bind and connect do it themselves. */
static void sockets_refuse_endpoints_that_leave_the_machine(void **state)
{
    (void)state;
    struct net_socket *s = new_socket(NET_DEALER, NULL, 100, 100);
    assert_int_equal(net_socket_bind(s, "tcp://0.0.0.0:*", NULL), WEIR_E_UNSUPPORTED);
    assert_int_equal(net_socket_connect(s, "tcp://192.0.2.1:9", NULL), WEIR_E_UNSUPPORTED);
    assert_int_equal(net_socket_connect(s, "tcp://127.0.0.1:*", NULL), WEIR_E_ARGUMENT);
    net_socket_destroy(&s);
}

static int start(void **state)
{
    (void)state;
    return net_start(1) != WEIR_OK;
}

static int stop(void **state)
{
    (void)state;
    net_stop();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip_inproc),
        cmocka_unit_test(round_trip_tcp),
        cmocka_unit_test(round_trip_ipc),
        cmocka_unit_test(a_path_taken_over_is_left_alone),
        cmocka_unit_test(an_unknown_peer_is_unreachable),
        cmocka_unit_test(routing_ids_are_bytes),
        cmocka_unit_test(a_newcomer_takes_the_routing_id_over),
        cmocka_unit_test(wrapped_bytes_travel_without_a_copy),
        cmocka_unit_test(a_full_queue_leaves_the_message_with_its_sender),
        cmocka_unit_test(too_many_parts_are_told),
        cmocka_unit_test(an_oversized_part_never_arrives),
        cmocka_unit_test(poll_takes_descriptors_too),
        cmocka_unit_test(a_taken_port_is_an_error_in_words),
        cmocka_unit_test(endpoints_are_checked),
        cmocka_unit_test(sockets_refuse_endpoints_that_leave_the_machine),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
