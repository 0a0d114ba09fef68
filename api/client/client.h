/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libweir-client: a client of the JobManager's admin endpoint, REST over ZeroMQ (docs/protocol/admin.md).
 *
 *   struct weir_client *client = NULL;
 *   struct weir_client_config config = {.endpoint = "tcp://127.0.0.1:8081", .timeout_ms = 10000};
 *   err = weir_client_new(&client, &config, &diag);
 *   err = weir_client_request(client, "GET", "/overview", NULL, &reply, &diag);    reply.body is a JSON document
 *   weir_reply_close(&reply);
 *   weir_client_destroy(&client);
 *
 * One request is under way at a time. Each has a deadline: nothing here waits longer than timeout_ms. Replies are network bytes: parts,
 * sizes and the status are checked, texts of the other side are cleaned of control characters before they enter a diagnostic. Each request
 * carries a number (`request-id`) its reply must mirror, and a connection on which an answer is overdue or was broken is given up, with
 * what is still queued on it; the next request starts on a new one. So a late answer is never taken for that of a later request.
 *
 * Of several JobManagers one leads. One that does not answers who does, and the request goes there; where nobody listens the next endpoint
 * is asked, and so while nobody leads, until timeout_ms. A request is made again only when it was certainly not carried out (it was refused
 * for this reason, or no connection was made), or may be made twice (GET, PUT, DELETE, and what has an id of its own). So a wait that asks
 * again and again survives a change of leader.
 *
 * The process has called net_start. Owner: one thread, the one that made it.
 */
#ifndef WEIR_API_CLIENT_CLIENT_H
#define WEIR_API_CLIENT_CLIENT_H

#include "runtime/base/id.h"
#include "weir/base.h"

#define WEIR_CLIENT_REPLY_MAX (64u << 20) /* bytes of a reply; a longer one breaks the connection, and the request fails */
#define WEIR_CLIENT_PATH_MAX 2048u        /* bytes of path and query; a longer one is refused */
#define WEIR_CLIENT_ENDPOINTS_MAX 16u     /* endpoints of a client; more are refused */

struct weir_client;

struct weir_client_config {
    const char *endpoint; /* of the admin socket; of several JobManagers all of them, separated by commas; kept as a copy */
    int64_t timeout_ms;   /* of each request with all its repetitions, greater than zero */
    /* Asked about ten times a second while a request waits; true ends the wait with WEIR_E_CANCELED. NULL: never. */
    bool (*interrupted)(void *arg);
    void *arg; /* kept */
};

/* A JSON document with a NUL behind it; "" when the answer has no body. */
struct weir_reply {
    uint32_t status; /* 200 ... 399: errors never become a reply */
    char *body;
    size_t len;
};

/*
 * Connects, without waiting for the other side: that is found out by the first request.
 * Gives *out. Errors: WEIR_E_ARGUMENT, WEIR_E_UNSUPPORTED (endpoint), WEIR_E_NOMEM, WEIR_E_LIMIT, WEIR_E_IO.
 */
weir_err weir_client_new(struct weir_client **out, const struct weir_client_config *config, struct weir_diag *diag);
void weir_client_destroy(struct weir_client **client);

/*
 * One request and its answer.
 *
 * method   "GET", "POST", "PUT", "PATCH", "DELETE".
 * path     With the query: "/jobs/overview", "/jobs/ID?mode=cancel". weir_client_escape makes values fit for it.
 * body     JSON text, or NULL for none.
 * Gives *out (weir_reply_close frees it); NULL: the answer's body is not wanted. Untouched on failure.
 * Errors: WEIR_E_UNREACHABLE  no answer within the time limit: nobody there, or too slow; the diagnostic says which endpoint and what to do
 *         WEIR_E_PROTOCOL     the answer is none
 *         WEIR_E_CANCELED     interrupted
 *         WEIR_E_NOMEM, WEIR_E_LIMIT, WEIR_E_IO
 *         the code the JobManager named, or the one nearest to the status, when it answered with an error: cause and remedy are in the
 * diagnostic, and weir_client_status is 400 or more
 */
weir_err weir_client_request(struct weir_client *client, const char *method, const char *path, const char *body, struct weir_reply *out,
                             struct weir_diag *diag);
/*
 * The same, of a request that carries an id of its own (`triggerId`) and is carried out once, however often it is made. So it is made again
 * where a GET would be.
 */
weir_err weir_client_request_once(struct weir_client *client, const char *method, const char *path, const char *body,
                                  struct weir_reply *out, struct weir_diag *diag);
void weir_reply_close(struct weir_reply *reply);

/* Status of the last request's answer; 0 when there was none. */
uint32_t weir_client_status(const struct weir_client *client);

/*
 * Uploads a file as a plugin in chunks of WEIR_CHUNK_BYTES, each a request with a deadline of its own.
 *
 * file   Path of a regular file of 1 ... WEIR_PLUGIN_MAX bytes, borrowed.
 * id     The digest under which the JobManager keeps it, which has been compared with the bytes sent.
 * Errors: as weir_client_request; WEIR_E_NOT_FOUND, WEIR_E_IO (file), WEIR_E_ARGUMENT (no file, empty), WEIR_E_LIMIT (too large);
 *         WEIR_E_CORRUPT (another digest came back).
 */
weir_err weir_client_upload(struct weir_client *client, const char *file, char id[static WEIR_DIGEST_TEXT], struct weir_diag *diag);

/*
 * Writes `text` percent-encoded for a path or query value, with its NUL. False when it does not fit into `size`.
 * Everything but letters, digits and -._~ is encoded.
 */
bool weir_client_escape(const char *text, char *out, size_t size);

#endif
