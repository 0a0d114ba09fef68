/* SPDX-License-Identifier: Apache-2.0 */
/* CURVE on sockets: who comes in, who does not and is told so, and that nobody else is disturbed by it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "runtime/base/clock.h"
#include "runtime/net/security.h"
#include "tests/support/temp_dir.h"
#include "tests/support/zmtp.h"

enum { WAIT_MS = 20000 };

#define SERVER "tcp://127.0.0.1:*"

static struct temp_dir dir;
static struct net_key_pair jm, other_jm, ann, joe, stranger;

static const char *path_of(const char *name)
{
    return temp_path(&dir, name);
}

static void write_list(const char *fmt, ...)
{
    char text[8192];
    va_list args;
    va_start(args, fmt);
    int length = vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    temp_write(path_of("known.new"), text, (size_t)length);
    assert_int_equal(rename(path_of("known.new"), path_of("known")), 0);
}

static void write_usual_list(void)
{
    write_list("jobmanager jm %s tcp://127.0.0.1:* ipc://@weir-test-keys\njobmanager other %s\nadmin ann %s\nviewer joe %s\n", jm.open,
               other_jm.open, ann.open, joe.open);
}

static weir_err secure(const char *key, uint32_t roles, struct weir_diag *diag)
{
    struct net_security_config config = {.key = path_of(key), .known_keys = path_of("known"), .roles = roles};
    return net_secure(&config, diag);
}

static struct net_socket *server_as(const struct net_key_pair *who, uint32_t roles, struct net_socket **monitor, const char *endpoint)
{
    struct net_socket_config config = {
        .kind = NET_ROUTER, .message_max = 1000, .send_hwm = 100, .receive_hwm = 100, .roles = roles, .identity = who};
    struct net_socket *s = NULL;
    struct weir_diag diag;
    assert_int_equal(net_socket_new(&s, &config, &diag), WEIR_OK);
    if (monitor) assert_int_equal(net_monitor_new(monitor, s, &diag), WEIR_OK);
    weir_err err = net_socket_bind(s, endpoint, &diag);
    if (err) print_error("%s\n", diag.text);
    assert_int_equal(err, WEIR_OK);
    return s;
}

static struct net_socket *client_of(const struct net_key_pair *who, struct net_socket **monitor, const char *endpoint)
{
    struct net_socket_config config = {
        .kind = NET_DEALER, .message_max = 1000, .send_hwm = 100, .receive_hwm = 100, .identity = who, .once = true};
    struct net_socket *s = NULL;
    struct weir_diag diag;
    assert_int_equal(net_socket_new(&s, &config, &diag), WEIR_OK);
    assert_int_equal(net_monitor_new(monitor, s, &diag), WEIR_OK);
    weir_err err = net_socket_connect(s, endpoint, &diag);
    if (err) print_error("%s\n", diag.text);
    assert_int_equal(err, WEIR_OK);
    return s;
}

static struct weir_bytes text(const char *s)
{
    return (struct weir_bytes){s, (uint32_t)strlen(s)};
}

static bool wait_message(struct net_socket *s, struct net_parts *out)
{
    struct net_wait w = {.socket = s, .want_read = true};
    (void)net_poll(&w, 1, WAIT_MS);
    return net_receive(s, out) == NET_MESSAGE;
}

/* The next change of that type. */
static struct net_change wait_change(struct net_socket *monitor, enum net_change_type type)
{
    struct net_change change = {.connection = -2};
    int64_t until_ms = clock_mono_ms() + WAIT_MS;
    while (clock_mono_ms() < until_ms) {
        struct net_wait w = {.socket = monitor, .want_read = true};
        (void)net_poll(&w, 1, until_ms - clock_mono_ms());
        while (net_monitor_next(monitor, &change))
            if (change.type == type) return change;
    }
    fail_msg("no change of type %d came", type);
    return change;
}

/* One word there and one back. */
static void exchange(struct net_socket *client, struct net_socket *server, const char *key)
{
    struct net_parts got;
    net_parts_init(&got);
    assert_int_equal(net_send_bytes(client, (struct weir_bytes[]){text("knock")}, 1), WEIR_OK);
    assert_true(wait_message(server, &got));
    assert_int_equal(got.n, 2);
    assert_string_equal(net_parts_key(&got), key);
    struct weir_bytes route = net_part(&got, 0);
    assert_int_equal(net_send_bytes(server, (struct weir_bytes[]){route, text("come in")}, 2), WEIR_OK);
    assert_true(wait_message(client, &got));
    assert_string_equal(net_parts_key(&got), ""); /* who connects chose the other's key itself */
    net_parts_close(&got);
}

static void close_both(struct net_socket **socket, struct net_socket **monitor)
{
    net_socket_destroy(monitor);
    net_socket_destroy(socket);
}

/* ---- who comes in ---- */

static void known_keys_come_in_and_are_told_apart(void **state)
{
    static const char *const endpoints[] = {SERVER, "ipc://@weir-test-keys"};
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct net_socket *m1, *m2, *server = server_as(NULL, NET_ROLE_ADMIN | NET_ROLE_VIEWER, NULL, endpoints[i]);
        struct net_socket *a = client_of(&ann, &m1, net_socket_endpoint(server)), *j = client_of(&joe, &m2, net_socket_endpoint(server));
        exchange(a, server, ann.open);
        exchange(j, server, joe.open);
        exchange(a, server, ann.open);
        close_both(&a, &m1);
        close_both(&j, &m2);
        net_socket_destroy(&server);
    }
    assert_int_equal(net_role_of(ann.open), NET_ROLE_ADMIN);
    assert_int_equal(net_role_of(stranger.open), NET_ROLE_NONE);
    char name[NET_KEY_NAME_MAX + 1];
    assert_true(net_name_of(joe.open, name));
    assert_string_equal(name, "joe");
    assert_string_equal(net_own_key(), jm.open);
}

/* Whoever fails at the door: those inside notice nothing, and are not taken for gone. */
static void a_random_key_is_refused_and_told_so(void **state)
{
    (void)state;
    struct net_socket *watch, *m1, *m2, *server = server_as(NULL, NET_ROLE_ADMIN, &watch, SERVER);
    struct net_socket *a = client_of(&ann, &m1, net_socket_endpoint(server));
    exchange(a, server, ann.open);
    int inside = wait_change(watch, NET_CAME).connection;
    struct net_socket *s = client_of(&stranger, &m2, net_socket_endpoint(server));
    assert_int_equal(net_send_bytes(s, (struct weir_bytes[]){text("let me in")}, 1), WEIR_OK);
    assert_int_equal(wait_change(m2, NET_REFUSED).why, NET_REFUSED_KEY);
    assert_true(wait_change(m2, NET_WENT).connection >= 0);
    int outside = wait_change(watch, NET_CAME).connection;
    assert_int_equal(wait_change(watch, NET_WENT).connection, outside);
    assert_int_not_equal(outside, inside);
    exchange(a, server, ann.open); /* and what the stranger sent is not before it */
    close_both(&a, &m1);
    close_both(&s, &m2);
    close_both(&server, &watch);
}

static void a_key_of_another_role_is_refused(void **state)
{
    (void)state;
    struct net_socket *m, *server = server_as(NULL, NET_ROLE_JOBMANAGER, NULL, SERVER);
    struct net_socket *a = client_of(&ann, &m, net_socket_endpoint(server));
    assert_int_equal(wait_change(m, NET_REFUSED).why, NET_REFUSED_KEY);
    close_both(&a, &m);
    net_socket_destroy(&server);
}

/* The list says that jm answers there, but it is another: nothing is said to it. */
static void a_server_with_another_key_is_left_alone(void **state)
{
    (void)state;
    struct net_socket *m, *server = server_as(&other_jm, NET_ROLE_ADMIN, NULL, SERVER);
    struct net_socket *a = client_of(&ann, &m, net_socket_endpoint(server));
    (void)net_send_bytes(a, (struct weir_bytes[]){text("a secret")}, 1);
    assert_int_equal(wait_change(m, NET_REFUSED).why, NET_REFUSED_SILENTLY);
    close_both(&a, &m);
    net_socket_destroy(&server);
}

/* ---- without CURVE ---- */

static int dial(const struct net_socket *server)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    to.sin_port = htons((uint16_t)atoi(strrchr(net_socket_endpoint(server), ':') + 1));
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

/* Says it, and reads until the other end hangs up. */
static void say_until_hung_up(const struct net_socket *server, const void *bytes, size_t length)
{
    int fd = dial(server);
    char answer[256];
    (void)!send(fd, bytes, length, MSG_NOSIGNAL);
    while (recv(fd, answer, sizeof answer, 0) > 0) continue;
    close(fd);
}

/* ZMTP without security, and a message. */
static size_t plain_greeting(unsigned char out[static 256])
{
    static const unsigned char message[] = "\0\x05knock";
    size_t n = zmtp_begin(out);
    memcpy(out + n, message, sizeof message - 1);
    return n + sizeof message - 1;
}

static void plain_peers_and_garbage_are_hung_up_on(void **state)
{
    (void)state;
    unsigned char bytes[256], noise[4096];
    struct net_socket *m, *server = server_as(NULL, NET_ROLES_ALL, NULL, SERVER);
    struct net_socket *a = client_of(&ann, &m, net_socket_endpoint(server));
    exchange(a, server, ann.open);
    say_until_hung_up(server, bytes, plain_greeting(bytes));
    for (size_t i = 0; i < sizeof noise; i++) noise[i] = (unsigned char)(i * 31 + 7);
    say_until_hung_up(server, noise, sizeof noise);
    (void)plain_greeting(bytes);
    memcpy(bytes + ZMTP_MECHANISM_AT, "PLAIN", 5);
    say_until_hung_up(server, bytes, ZMTP_GREETING_BYTES);
    memset(bytes + ZMTP_MECHANISM_AT, 0, 20); /* CURVE, and then no HELLO */
    memcpy(bytes + ZMTP_MECHANISM_AT, "CURVE", 5);
    memcpy(bytes + ZMTP_GREETING_BYTES, "\x04\x06\x05READY", 8);
    say_until_hung_up(server, bytes, ZMTP_GREETING_BYTES + 8);
    close(dial(server));
    exchange(a, server, ann.open); /* the first message since */
    close_both(&a, &m);
    net_socket_destroy(&server);
}

/* A handshake that fails is told with an error number. It is nobody's descriptor. */
static void a_failed_handshake_ends_no_other_connection(void **state)
{
    (void)state;
    bool came[1024] = {false};
    unsigned gone = 0;
    struct net_socket *watch, *server = server_as(NULL, NET_ROLES_ALL, &watch, SERVER);
    for (int i = 0; i < 3; i++) close(dial(server));
    while (gone < 3) {
        struct net_wait w = {.socket = watch, .want_read = true};
        struct net_change change;
        assert_int_equal(net_poll(&w, 1, WAIT_MS), 1);
        while (net_monitor_next(watch, &change)) {
            if (change.type == NET_CAME) came[change.connection % 1024] = true;
            if (change.type == NET_WENT) assert_true(change.connection >= 0 && came[change.connection % 1024]);
            if (change.type == NET_REFUSED) assert_int_equal(change.connection, -1);
            gone += change.type == NET_WENT;
        }
    }
    close_both(&server, &watch);
}

/* ---- the list changes ---- */

static void wait_role(const char *key, enum net_role role)
{
    int64_t until_ms = clock_mono_ms() + WAIT_MS;
    while (net_role_of(key) != role && clock_mono_ms() < until_ms) (void)net_poll(NULL, 0, 5);
    assert_int_equal(net_role_of(key), role);
}

static void a_key_that_was_struck_out_is_known_no_more(void **state)
{
    (void)state;
    struct net_socket *m, *server = server_as(NULL, NET_ROLES_ALL, NULL, SERVER);
    struct net_socket *a = client_of(&ann, &m, net_socket_endpoint(server));
    exchange(a, server, ann.open);
    write_list("jobmanager jm %s tcp://127.0.0.1:*\nviewer joe %s\nclient new %s\n", jm.open, joe.open, stranger.open);
    wait_role(ann.open, NET_ROLE_NONE);
    wait_role(stranger.open, NET_ROLE_CLIENT);
    close_both(&a, &m);
    a = client_of(&ann, &m, net_socket_endpoint(server));
    assert_int_equal(wait_change(m, NET_REFUSED).why, NET_REFUSED_KEY);
    close_both(&a, &m);
    a = client_of(&stranger, &m, net_socket_endpoint(server));
    exchange(a, server, stranger.open);
    close_both(&a, &m);
    write_list("jobmanager jm\n"); /* a bad list is not taken */
    (void)net_poll(NULL, 0, NET_KEYS_LOOK_MS + 1);
    assert_int_equal(net_role_of(joe.open), NET_ROLE_VIEWER);
    write_list("admin ann %s\n", ann.open);
    wait_role(ann.open, NET_ROLE_ADMIN);
    net_socket_destroy(&server);
}

/* ---- half a configuration ---- */

static void expect_refusal(weir_err err, weir_err expected, const struct weir_diag *diag, const char *words)
{
    if (err != expected || !strstr(diag->text, words)) print_error("%s: %s\n", weir_err_name(err), diag->text);
    assert_int_equal(err, expected);
    assert_non_null(strstr(diag->text, words));
    assert_false(net_is_secured());
}

static void half_a_configuration_is_refused(void **state)
{
    (void)state;
    struct weir_diag diag;
    struct net_security_config config = {.key = path_of("jm.key"), .known_keys = "", .roles = NET_ROLE_JOBMANAGER};
    expect_refusal(net_secure(&config, &diag), WEIR_E_ARGUMENT, &diag, "security.key is given and security.known-keys is not");
    config = (struct net_security_config){.key = "", .known_keys = path_of("known")};
    expect_refusal(net_secure(&config, &diag), WEIR_E_ARGUMENT, &diag, "security.known-keys is given and security.key is not");
    config = (struct net_security_config){.key = path_of("none.key"), .known_keys = path_of("known")};
    expect_refusal(net_secure(&config, &diag), WEIR_E_NOT_FOUND, &diag, "security.key: open ");
    config = (struct net_security_config){.key = path_of("jm.key"), .known_keys = path_of("nowhere")};
    expect_refusal(net_secure(&config, &diag), WEIR_E_NOT_FOUND, &diag, "security.known-keys: find ");
    expect_refusal(secure("stranger.key", NET_ROLE_JOBMANAGER, &diag), WEIR_E_ARGUMENT, &diag, "is not among those of");
    expect_refusal(secure("ann.key", NET_ROLE_JOBMANAGER, &diag), WEIR_E_ARGUMENT, &diag, "is that of \"ann\", whose role is admin");
    assert_int_equal(secure("jm.key", NET_ROLE_JOBMANAGER, &diag), WEIR_OK);
    assert_int_equal(secure("jm.key", NET_ROLE_JOBMANAGER, &diag), WEIR_E_STATE);
}

/* A socket for which nobody said who may come is not opened; one without a handler lets nobody in. */
static void whatever_is_missing_nobody_comes_in(void **state)
{
    (void)state;
    struct weir_diag diag;
    struct net_socket_config config = {.kind = NET_ROUTER, .message_max = 1000, .send_hwm = 100, .receive_hwm = 100};
    struct net_socket *m, *s = NULL;
    assert_int_equal(secure("ann.key", 0, &diag), WEIR_OK); /* only connects: no handler */
    assert_int_equal(net_socket_new(&s, &config, &diag), WEIR_OK);
    assert_int_equal(net_socket_bind(s, SERVER, &diag), WEIR_E_STATE);
    net_socket_destroy(&s);
    struct net_socket *server = server_as(&jm, NET_ROLES_ALL, NULL, SERVER);
    s = client_of(&ann, &m, net_socket_endpoint(server));
    (void)wait_change(m, NET_REFUSED);
    close_both(&s, &m);
    net_socket_destroy(&server);
}

static void an_endpoint_without_a_key_is_not_dialed(void **state)
{
    (void)state;
    struct weir_diag diag;
    struct net_socket_config config = {.kind = NET_DEALER, .message_max = 1000, .send_hwm = 100, .receive_hwm = 100};
    struct net_socket *s = NULL;
    assert_int_equal(secure("ann.key", 0, &diag), WEIR_OK);
    assert_int_equal(net_socket_new(&s, &config, &diag), WEIR_OK);
    assert_int_equal(net_socket_connect(s, "tcp://127.0.0.9:1", &diag), WEIR_E_NOT_FOUND);
    assert_non_null(strstr(diag.text, "put the endpoint behind the key of its JobManager in"));
    net_socket_destroy(&s);
    assert_int_equal(net_endpoint_check("tcp://10.1.2.3:4", &diag), WEIR_OK); /* with keys, other machines can be named ... */
    assert_int_equal(net_endpoint_check_as("tcp://10.1.2.3:4", false, &diag), WEIR_E_UNSUPPORTED);
    assert_int_equal(net_endpoint_check("tcp://example.org:4", &diag), WEIR_E_UNSUPPORTED); /* ... by number */
}

/* ---- frame ---- */

static int start_plain(void **state)
{
    (void)state;
    write_usual_list();
    return net_start(1) != WEIR_OK;
}

static int start_secured(void **state)
{
    struct weir_diag diag = {0};
    if (start_plain(state)) return 1;
    weir_err err = secure("jm.key", NET_ROLE_JOBMANAGER, &diag);
    if (err) print_error("%s\n", diag.text);
    return err != WEIR_OK;
}

static int stop(void **state)
{
    (void)state;
    net_stop();
    assert_false(net_is_secured());
    return 0;
}

static int make_keys(void **state)
{
    (void)state;
    struct net_key_pair *pairs[] = {&jm, &other_jm, &ann, &joe, &stranger};
    static const char *const names[] = {"jm.key", "other.key", "ann.key", "joe.key", "stranger.key"};
    temp_dir_make(&dir);
    for (int i = 0; i < 5; i++)
        if (net_key_pair_new(pairs[i], NULL) || net_key_pair_save(pairs[i], names[i], path_of(names[i]), NULL)) return 1;
    return 0;
}

static int remove_keys(void **state)
{
    (void)state;
    temp_dir_remove(&dir);
    return 0;
}

#define SECURED(test) cmocka_unit_test_setup_teardown(test, start_secured, stop)
#define PLAIN(test) cmocka_unit_test_setup_teardown(test, start_plain, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SECURED(known_keys_come_in_and_are_told_apart),
        SECURED(a_random_key_is_refused_and_told_so),
        SECURED(a_key_of_another_role_is_refused),
        SECURED(a_server_with_another_key_is_left_alone),
        SECURED(plain_peers_and_garbage_are_hung_up_on),
        SECURED(a_failed_handshake_ends_no_other_connection),
        PLAIN(a_failed_handshake_ends_no_other_connection),
        SECURED(a_key_that_was_struck_out_is_known_no_more),
        PLAIN(half_a_configuration_is_refused),
        PLAIN(whatever_is_missing_nobody_comes_in),
        PLAIN(an_endpoint_without_a_key_is_not_dialed),
    };
    return cmocka_run_group_tests(tests, make_keys, remove_keys);
}
