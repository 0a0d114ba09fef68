/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Everything jobctl does, any ZeroMQ client can do: here czmq's, which shares no code with ours. A REQ socket (with its delimiter part) and
 * a DEALER (without) speak the admin protocol of docs/protocol/admin.md.
 */
#include "tests/support/cluster/cluster.h"

#include <czmq.h>

#define ANSWER_MS 10000

/* Sends one request and returns the reply's body; *status and the number of parts are checked to be what the protocol says. The caller
 * frees. */
static char *ask(zsock_t *socket, bool delimiter, const char *method, const char *path, int *status)
{
    zmsg_t *request = zmsg_new();
    if (delimiter) assert_int_equal(zmsg_addmem(request, "", 0), 0);
    assert_int_equal(zmsg_addstr(request, "WEIR/1"), 0);
    assert_int_equal(zmsg_addstr(request, method), 0);
    assert_int_equal(zmsg_addstr(request, path), 0);
    assert_int_equal(zmsg_addstr(request, "accept: application/json"), 0);
    assert_int_equal(zmsg_addmem(request, "", 0), 0);
    assert_int_equal(zmsg_send(&request, socket), 0);
    zmsg_t *reply = zmsg_recv(socket);
    assert_non_null(reply); /* within ANSWER_MS */
    if (delimiter) {
        zframe_t *empty = zmsg_pop(reply);
        assert_int_equal(zframe_size(empty), 0);
        zframe_destroy(&empty);
    }
    assert_int_equal(zmsg_size(reply), 3);
    char *first = zmsg_popstr(reply), *headers = zmsg_popstr(reply), *body = zmsg_popstr(reply);
    *status = atoi(first);
    assert_non_null(strstr(headers, "content-type: application/json"));
    freen(first);
    freen(headers);
    zmsg_destroy(&reply);
    return body;
}

static zsock_t *open_client(const char *endpoint, int type)
{
    zsock_t *socket = zsock_new(type);
    assert_non_null(socket);
    zsock_set_rcvtimeo(socket, ANSWER_MS);
    zsock_set_linger(socket, 0);
    assert_int_equal(zsock_connect(socket, "%s", endpoint), 0);
    return socket;
}

static void speak(struct cluster *c, int type, bool delimiter)
{
    int status = 0;
    zsock_t *socket = open_client(c->admin, type);
    char *body = ask(socket, delimiter, "GET", "/overview", &status);
    assert_int_equal(status, 200);
    assert_non_null(strstr(body, "\"taskmanagers\""));
    freen(body);
    body = ask(socket, delimiter, "GET", "/jobs/overview", &status);
    assert_int_equal(status, 200);
    freen(body);
    body = ask(socket, delimiter, "GET", "/no/such/thing", &status);
    assert_int_equal(status, 404);
    assert_non_null(strstr(body, "\"errors\""));
    freen(body);
    body = ask(socket, delimiter, "BREW", "/overview", &status);
    assert_int_equal(status, 405);
    freen(body);
    zsock_destroy(&socket);
}

STORY(req_socket_of_another_library_is_served)
{
    cluster_start(c, 1, 1);
    speak(c, ZMQ_REQ, false); /* czmq's REQ adds and removes the delimiter itself */
}

STORY(dealer_socket_of_another_library_is_served)
{
    cluster_start(c, 1, 1);
    speak(c, ZMQ_DEALER, false);
    speak(c, ZMQ_DEALER, true);
}

STORY_MAIN(STORY_TEST(req_socket_of_another_library_is_served), STORY_TEST(dealer_socket_of_another_library_is_served))
