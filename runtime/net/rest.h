/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The REST-over-ZMQ framing of the admin protocol (docs/protocol/admin.md): what the parts of a message mean, for both ends. Pure functions
 * over byte slices: no socket, no allocation, bounded by the structs below.
 *
 *     request   [""]  "WEIR/1"  method  path[?query]  headers  body
 *     reply     [""]  status    headers  body
 *
 * The empty part in front is what a REQ socket sends; who gets one sends one back. `headers` are lines `name: value`. Names are compared
 * without case. Path segments and query values are percent-decoded; '+' is an ordinary character. A `request-id` header is mirrored in the
 * reply, so that a client with several requests under way tells the replies apart.
 */
#ifndef WEIR_RUNTIME_NET_REST_H
#define WEIR_RUNTIME_NET_REST_H

#include "runtime/base/buffer.h"
#include "weir/row.h"

#define REST_VERSION "WEIR/1"
#define REST_TARGET_MAX 2048u        /* bytes of path and query; a longer one is answered 414 */
#define REST_SEGMENTS_MAX 8u         /* of the path; a deeper one is answered 414 */
#define REST_QUERY_MAX 16u           /* pairs of the query; more are answered 414 */
#define REST_HEADERS_MAX 32u         /* lines; more are answered 431 */
#define REST_HEADERS_BYTES_MAX 4096u /* of all lines; more are answered 431 */
#define REST_REQUEST_PARTS 5u        /* without the empty one in front */
#define REST_REPLY_PARTS 3u

enum rest_method { REST_GET = 1, REST_POST, REST_PUT, REST_PATCH, REST_DELETE };

enum rest_status { /* HTTP's numbers and meanings */
                   REST_OK = 200,
                   REST_CREATED = 201,
                   REST_ACCEPTED = 202,
                   REST_BAD_REQUEST = 400,
                   REST_FORBIDDEN = 403,
                   REST_NOT_FOUND = 404,
                   REST_METHOD_NOT_ALLOWED = 405,
                   REST_NOT_ACCEPTABLE = 406,
                   REST_CONFLICT = 409,
                   REST_TOO_LARGE = 413,
                   REST_TARGET_TOO_LONG = 414,
                   REST_TOO_MANY = 429,
                   REST_HEADERS_TOO_LARGE = 431,
                   REST_INTERNAL = 500,
                   REST_UNAVAILABLE = 503,
                   REST_TIMEOUT = 504,
                   REST_VERSION_UNKNOWN = 505,
};

struct rest_pair {
    const char *name, *value;
};

struct rest_headers {
    uint32_t n;
    struct rest_pair item[REST_HEADERS_MAX]; /* names in lower case; into `text` */
    char text[REST_HEADERS_BYTES_MAX + 1];
};

/* A parsed request. Holds pointers into itself: do not copy it. */
struct rest_request {
    enum rest_method method;
    uint32_t n_segments;
    const char *segment[REST_SEGMENTS_MAX]; /* "/jobs/x" is "jobs", "x"; "/" is none */
    uint32_t n_query;
    struct rest_pair query[REST_QUERY_MAX];
    struct rest_headers headers;
    struct weir_bytes body;           /* borrowed from the parts */
    char target[REST_TARGET_MAX + 2]; /* decoded: what segment and query point into */
};

struct rest_reply {
    uint32_t status;
    struct rest_headers headers;
    struct weir_bytes body; /* borrowed from the parts */
};

/* 1 when the message starts with an empty part that the answer must mirror, else 0. */
uint32_t rest_delimiters(const struct weir_bytes *parts, uint32_t n);

/*
 * Reads a request from the parts as they came (without the routing id). REST_OK, or the status to answer with and the reason in diag:
 * 505 another version, 400 wrong parts or syntax, 405 unknown method, 414, 431.
 */
enum rest_status rest_request_parse(struct rest_request *out, const struct weir_bytes *parts, uint32_t n, struct weir_diag *diag);

/* Reads a reply. Errors: WEIR_E_PROTOCOL. */
weir_err rest_reply_parse(struct rest_reply *out, const struct weir_bytes *parts, uint32_t n, struct weir_diag *diag);

/* The value of a query pair or header (name in lower case); NULL when there is none. Borrowed. */
const char *rest_query(const struct rest_request *request, const char *name);
const char *rest_header(const struct rest_headers *headers, const char *name);

/* A decimal number without sign, at most `max`; anything else is false. For query values and ids. */
bool rest_number(const char *text, uint64_t max, uint64_t *out);

/* The parts of a request; target and headers ("name: value\n" lines, "" for none) are borrowed. */
void rest_request_build(struct weir_bytes out[static REST_REQUEST_PARTS], enum rest_method method, const char *target, const char *headers,
                        struct weir_bytes body);
/* The parts of a reply; `status_text` holds the first one while `out` is used. */
void rest_reply_build(struct weir_bytes out[static REST_REPLY_PARTS], char status_text[static 4], enum rest_status status,
                      const char *headers, struct weir_bytes body);

/* Appends text as part of a path or query: everything but letters, digits and -._~ as %XX. */
void rest_percent_encode(struct buffer *out, const char *text);

const char *rest_method_name(enum rest_method method); /* "GET" */

#endif
