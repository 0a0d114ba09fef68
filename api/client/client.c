/* SPDX-License-Identifier: Apache-2.0 */
#include "api/client/client.h"

#include "runtime/base/assert.h"
#include "runtime/base/buffer.h"
#include "runtime/base/clock.h"
#include "runtime/base/limits.h"
#include "runtime/net/rest.h"
#include "runtime/net/socket.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    LOOK_MS = 100,     /* pause between two looks at `interrupted` */
    QUEUE = 8,         /* messages either way; one request is under way, so this is never reached */
    HOPS_MAX = 3,      /* times that one JobManager names another before there is a pause */
    PAUSE_MS = 50,     /* before the next address is asked, where nobody leads or listens */
    SILENCE_MS = 2000, /* of one address, after which the next one is asked what may be asked twice */
    UPLOADS_MAX = 3,   /* times that an upload is begun, when the JobManager that took its beginning leads no more */
};

struct weir_client {
    uint32_t n_endpoints, next; /* next: to be asked when the present one is of no use */
    char endpoints[WEIR_CLIENT_ENDPOINTS_MAX][NET_ENDPOINT_MAX];
    char endpoint[NET_ENDPOINT_MAX]; /* the present one: of these, or as one of them named the leader */
    char leader[NET_ENDPOINT_MAX];   /* named by the last answer; "" = it knows none */
    bool follows;                    /* the last answer was that another one leads: nothing was carried out */
    bool made, broken;               /* the connection of `socket`: was made; went again, or cannot be made */
    bool refused;                    /* ... in its handshake, `refusal` */
    enum net_refusal refusal;
    uint32_t n_refusals; /* handshakes refused since the last answer */
    uint32_t moves;      /* how often another endpoint was turned to */
    int64_t timeout_ms;
    bool (*interrupted)(void *arg);
    void *arg;
    struct net_socket *socket, *monitor; /* NULL: given up, made anew by the next request */
    struct net_parts parts;              /* of the last message received */
    uint64_t request_id;                 /* of the last request */
    uint32_t status;                     /* of its answer; 0 = none */
};

/* ---- connection ---- */

static weir_err connect_anew(struct weir_client *c, struct weir_diag *diag)
{
    struct net_socket_config config = {.kind = NET_DEALER, .message_max = WEIR_CLIENT_REPLY_MAX, .send_hwm = QUEUE, .receive_hwm = QUEUE};
    struct net_socket *socket = NULL;
    weir_err err = net_socket_new(&socket, &config, diag);
    if (!err) err = net_monitor_new(&c->monitor, socket, diag);
    if (!err) err = net_socket_connect(socket, c->endpoint, diag);
    if (err) {
        net_socket_destroy(&c->monitor);
        net_socket_destroy(&socket);
        return err;
    }
    c->socket = socket;
    c->made = c->broken = c->refused = false;
    return WEIR_OK;
}

static void give_up_connection(struct weir_client *c)
{
    net_parts_close(&c->parts);
    net_socket_destroy(&c->monitor);
    net_socket_destroy(&c->socket);
}

static bool has_others(const struct weir_client *c)
{
    return c->n_endpoints > 1 || strcmp(c->endpoint, c->endpoints[0]) != 0;
}

/* One that cannot be made is waited for when there is no other to ask. */
static void notice_changes(struct weir_client *c)
{
    struct net_change change;
    while (c->monitor && net_monitor_next(c->monitor, &change)) {
        if (change.type == NET_REFUSED) {
            c->refused = true;
            c->refusal = change.why;
            c->n_refusals += change.why != NET_REFUSED_SILENTLY; /* an end in the middle of it is no refusal */
        } else if (change.type == NET_CAME) {
            c->made = true;
        } else {
            c->broken |= c->made || has_others(c);
        }
    }
}

static weir_err take_endpoints(struct weir_client *c, const char *list, struct weir_diag *diag)
{
    while (*list) {
        size_t len = strcspn(list, ",");
        if (c->n_endpoints == WEIR_CLIENT_ENDPOINTS_MAX)
            return weir_fail(diag, WEIR_E_ARGUMENT, "more than %u endpoints", WEIR_CLIENT_ENDPOINTS_MAX);
        if (len >= NET_ENDPOINT_MAX) return weir_fail(diag, WEIR_E_ARGUMENT, "an endpoint has at most %u bytes", NET_ENDPOINT_MAX - 1);
        snprintf(c->endpoints[c->n_endpoints++], NET_ENDPOINT_MAX, "%.*s", (int)len, list);
        list += len + (list[len] == ',');
    }
    return c->n_endpoints ? WEIR_OK : weir_fail(diag, WEIR_E_ARGUMENT, "no endpoint");
}

/* The next request goes to who was named, else to the next endpoint. */
static void move_on(struct weir_client *c)
{
    char before[NET_ENDPOINT_MAX];
    memcpy(before, c->endpoint, sizeof before);
    give_up_connection(c);
    if (c->follows && c->leader[0]) {
        memcpy(c->endpoint, c->leader, sizeof c->endpoint);
    } else {
        memcpy(c->endpoint, c->endpoints[c->next], sizeof c->endpoint);
        c->next = (c->next + 1) % c->n_endpoints;
    }
    c->moves += strcmp(before, c->endpoint) != 0;
}

weir_err weir_client_new(struct weir_client **out, const struct weir_client_config *config, struct weir_diag *diag)
{
    WEIR_ASSERT(config->timeout_ms > 0);
    struct weir_client *c = calloc(1, sizeof *c);
    if (!c) return weir_fail(diag, WEIR_E_NOMEM, "out of memory");
    net_parts_init(&c->parts);
    c->timeout_ms = config->timeout_ms;
    c->interrupted = config->interrupted;
    c->arg = config->arg;
    weir_err err = take_endpoints(c, config->endpoint, diag);
    if (!err) move_on(c);
    if (!err) err = connect_anew(c, diag);
    if (err) {
        weir_client_destroy(&c);
        return err;
    }
    *out = c;
    return WEIR_OK;
}

void weir_client_destroy(struct weir_client **client)
{
    struct weir_client *c = *client;
    *client = NULL;
    if (!c) return;
    give_up_connection(c);
    free(c);
}

uint32_t weir_client_status(const struct weir_client *client)
{
    return client->status;
}

/* ---- the error document ---- */

/* Text of the other side is shown on terminals: nothing in it may move the cursor. */
static void clean(char *text)
{
    for (; *text; text++) {
        if ((unsigned char)*text < 0x20 || *text == 0x7f) *text = '?';
    }
}

static weir_err code_of_name(const char *name)
{
    for (int code = WEIR_E_ARGUMENT; code <= WEIR_E_DENIED; code++) {
        if (strcmp(weir_err_name((weir_err)code), name) == 0) return (weir_err)code;
    }
    return WEIR_OK;
}

static weir_err code_of_status(uint32_t status)
{
    switch (status) {
    case REST_NOT_FOUND: return WEIR_E_NOT_FOUND;
    case REST_FORBIDDEN: return WEIR_E_DENIED;
    case REST_CONFLICT: return WEIR_E_STATE;
    case REST_TOO_LARGE:
    case REST_TARGET_TOO_LONG:
    case REST_TOO_MANY:
    case REST_HEADERS_TOO_LARGE: return WEIR_E_LIMIT;
    case REST_TIMEOUT: return WEIR_E_TIMEOUT;
    case REST_UNAVAILABLE: return WEIR_E_UNREACHABLE;
    case REST_VERSION_UNKNOWN: return WEIR_E_UNSUPPORTED;
    default: return status >= REST_INTERNAL ? WEIR_E_INTERNAL : WEIR_E_ARGUMENT;
    }
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

/* Who leads, of a JobManager that does not. */
static void note_leader(struct weir_client *c, const struct rest_reply *reply, const json_t *doc)
{
    const json_t *leader = json_object_get(doc, "leader");
    c->follows = reply->status == REST_UNAVAILABLE && json_is_string(leader);
    c->leader[0] = '\0';
    if (c->follows && json_string_length(leader) < sizeof c->leader)
        memcpy(c->leader, json_string_value(leader), json_string_length(leader) + 1);
    clean(c->leader);
    if (net_endpoint_check(c->leader, NULL)) c->leader[0] = '\0'; /* also what is no endpoint */
}

/* {"errors":[{"code","cause","remedy"}]} as a sentence; whatever else the body holds, the status remains. */
static weir_err explain_refusal(struct weir_client *c, const struct rest_reply *reply, struct weir_diag *diag)
{
    json_t *doc = reply->body.length ? json_loadb((const char *)reply->body.data, reply->body.length, 0, NULL) : NULL;
    const json_t *first = json_array_get(json_object_get(doc, "errors"), 0);
    const char *cause = text_of(first, "cause"), *remedy = text_of(first, "remedy");
    weir_err err = code_of_name(text_of(first, "code"));
    if (!err) err = code_of_status(reply->status);
    if (*cause) {
        weir_fail(diag, err, "%s%s%s", cause, *remedy ? ": " : "", remedy);
    } else {
        weir_fail(diag, err, "the JobManager refused with status %u and no reason", reply->status);
    }
    if (diag) clean(diag->text);
    note_leader(c, reply, doc);
    json_decref(doc);
    return err;
}

/* ---- one request ---- */

static bool is_interrupted(const struct weir_client *c)
{
    return c->interrupted && c->interrupted(c->arg);
}

static weir_err no_answer(const struct weir_client *c, struct weir_diag *diag)
{
    return weir_fail(diag, WEIR_E_UNREACHABLE,
                     "no answer from %s within %" PRId64 "%s: is weir-jobmanager running there? start it, or use --jobmanager or --local",
                     c->endpoint, c->timeout_ms % 1000 ? c->timeout_ms : c->timeout_ms / 1000, c->timeout_ms % 1000 ? " ms" : " s");
}

static weir_err no_connection(const struct weir_client *c, struct weir_diag *diag)
{
    if (c->refused && c->refusal != NET_REFUSED_SILENTLY)
        return weir_fail(diag, WEIR_E_DENIED, "%s refuses the connection: %s", c->endpoint, net_refusal_words(c->refusal));
    if (c->refused) return weir_fail(diag, WEIR_E_UNREACHABLE, "no answer from %s: %s", c->endpoint, net_refusal_words(c->refusal));
    if (!c->made)
        return weir_fail(diag, WEIR_E_UNREACHABLE,
                         "nobody listens at %s: is weir-jobmanager running there? start it, or use --jobmanager or --local", c->endpoint);
    return weir_fail(diag, WEIR_E_UNREACHABLE,
                     "the connection to %s broke before the answer came: look whether the request was carried out before you repeat it",
                     c->endpoint);
}

/* Waits for the socket. WEIR_OK: something is ready. */
static weir_err wait_ready(struct weir_client *c, bool write, int64_t deadline_ms, struct weir_diag *diag)
{
    for (;;) {
        if (is_interrupted(c)) return weir_fail(diag, WEIR_E_CANCELED, "interrupted");
        int64_t left = deadline_ms - clock_mono_ms();
        if (left <= 0) return no_answer(c, diag);
        struct net_wait waits[] = {{.socket = c->socket, .fd = -1, .want_read = !write, .want_write = write},
                                   {.socket = c->monitor, .fd = -1, .want_read = true}};
        (void)net_poll(waits, 2, left < LOOK_MS ? left : LOOK_MS);
        if (waits[0].readable || waits[0].writable) return WEIR_OK;
        notice_changes(c);
        if (c->broken) return no_connection(c, diag);
    }
}

static weir_err send_request(struct weir_client *c, enum rest_method method, const char *path, struct weir_bytes body, int64_t deadline_ms,
                             struct weir_diag *diag)
{
    char headers[96];
    snprintf(headers, sizeof headers, "accept: application/json\nrequest-id: %" PRIu64 "\n", c->request_id);
    struct weir_bytes parts[REST_REQUEST_PARTS];
    rest_request_build(parts, method, path, headers, body);
    for (;;) {
        weir_err err = net_send_bytes(c->socket, parts, REST_REQUEST_PARTS);
        if (!err) return WEIR_OK;
        if (err != WEIR_E_LIMIT) return weir_fail(diag, err, "cannot send to %s: the connection failed; try again", c->endpoint);
        err = wait_ready(c, true, deadline_ms, diag);
        if (err) return err;
    }
}

/* Whether a parsed reply answers the request under way. One without a number can only be a refusal from before the headers were read. */
static bool answers(const struct weir_client *c, const struct rest_reply *reply)
{
    const char *text = rest_header(&reply->headers, "request-id");
    uint64_t id = 0;
    if (!text) return reply->status >= REST_BAD_REQUEST;
    return rest_number(text, UINT64_MAX, &id) && id == c->request_id;
}

static weir_err broken_answer(const struct weir_client *c, const char *why, struct weir_diag *diag)
{
    weir_err err = weir_fail(diag, WEIR_E_PROTOCOL, "what came from %s is no answer of a JobManager (%s): is this its admin endpoint?",
                             c->endpoint, why);
    if (diag) clean(diag->text);
    return err;
}

/* Receives until the answer to the request under way is there; late answers to others are dropped. *out borrows from c->parts. */
static weir_err receive_reply(struct weir_client *c, int64_t deadline_ms, struct rest_reply *out, struct weir_diag *diag)
{
    for (;;) {
        weir_err err = wait_ready(c, false, deadline_ms, diag);
        if (err) return err;
        enum net_received received = net_receive(c->socket, &c->parts);
        if (received == NET_NOTHING) continue;
        if (received == NET_TOO_MANY_PARTS) return broken_answer(c, "too many parts", diag);
        struct weir_bytes parts[NET_PARTS_MAX];
        for (uint32_t i = 0; i < c->parts.n; i++) parts[i] = net_part(&c->parts, i);
        struct weir_diag why;
        if (rest_reply_parse(out, parts, c->parts.n, &why)) return broken_answer(c, why.text, diag);
        if (answers(c, out)) return WEIR_OK;
    }
}

static weir_err give_reply(const struct rest_reply *reply, struct weir_reply *out, struct weir_diag *diag)
{
    if (!out) return WEIR_OK;
    char *body = malloc((size_t)reply->body.length + 1);
    if (!body) return weir_fail(diag, WEIR_E_NOMEM, "no memory for an answer of %u bytes", reply->body.length);
    if (reply->body.length) memcpy(body, reply->body.data, reply->body.length);
    body[reply->body.length] = '\0';
    *out = (struct weir_reply){.status = reply->status, .body = body, .len = reply->body.length};
    return WEIR_OK;
}

/* One request to the present endpoint. */
static weir_err attempt(struct weir_client *c, enum rest_method method, const char *path, struct weir_bytes body, int64_t deadline_ms,
                        struct weir_reply *out, struct weir_diag *diag)
{
    c->status = 0;
    c->follows = false;
    c->request_id++;
    notice_changes(c);
    if (c->broken) give_up_connection(c); /* while nothing was asked */
    weir_err err = c->socket ? WEIR_OK : connect_anew(c, diag);
    if (err) return err;
    struct rest_reply reply;
    err = send_request(c, method, path, body, deadline_ms, diag);
    if (!err) err = receive_reply(c, deadline_ms, &reply, diag);
    if (err) {
        give_up_connection(c);
        return err;
    }
    c->status = reply.status;
    c->n_refusals = 0;
    err = reply.status >= REST_BAD_REQUEST ? explain_refusal(c, &reply, diag) : give_reply(&reply, out, diag);
    net_parts_close(&c->parts);
    return err;
}

/* What has the same effect twice as once. */
static bool is_idempotent(enum rest_method method)
{
    return method == REST_GET || method == REST_PUT || method == REST_DELETE;
}

/*
 * Whether a failed request was certainly not carried out, or may be made twice. One that is answered so because its JobManager leads no
 * more may have been.
 */
static bool may_repeat(const struct weir_client *c, bool twice, weir_err err)
{
    if (c->status) return c->follows || (twice && err == WEIR_E_UNREACHABLE);
    if (err == WEIR_E_DENIED) return c->n_refusals < c->n_endpoints; /* another may know this key; asking again changes nothing */
    return err == WEIR_E_UNREACHABLE && (!c->made || twice);
}

static weir_err rest(const struct weir_client *c, struct weir_diag *diag)
{
    struct net_wait nothing = {.fd = -1};
    (void)net_poll(&nothing, 1, PAUSE_MS);
    return is_interrupted(c) ? weir_fail(diag, WEIR_E_CANCELED, "interrupted") : WEIR_OK;
}

/* twice: it may be made so. */
static weir_err exchange(struct weir_client *c, enum rest_method method, bool twice, const char *path, struct weir_bytes body,
                         struct weir_reply *out, struct weir_diag *diag)
{
    int64_t deadline_ms = clock_mono_ms() + c->timeout_ms;
    for (uint32_t hops = 1;; hops++) {
        int64_t until_ms = clock_mono_ms() + SILENCE_MS;
        if (until_ms > deadline_ms || !has_others(c) || !twice) until_ms = deadline_ms;
        weir_err err = attempt(c, method, path, body, until_ms, out, diag);
        if (!err || !may_repeat(c, twice, err) || clock_mono_ms() + PAUSE_MS >= deadline_ms) return err;
        bool named = c->follows && c->leader[0] && hops % (HOPS_MAX + 1) != 0;
        move_on(c);
        if (named) continue;
        err = rest(c, diag);
        if (err) return err;
    }
}

static bool find_method(const char *name, enum rest_method *out)
{
    for (enum rest_method m = REST_GET; m <= REST_DELETE; m++) {
        if (strcmp(rest_method_name(m), name) != 0) continue;
        *out = m;
        return true;
    }
    return false;
}

static weir_err request(struct weir_client *client, const char *method, bool once, const char *path, const char *body,
                        struct weir_reply *out, struct weir_diag *diag)
{
    enum rest_method which = REST_GET;
    bool known = find_method(method, &which);
    WEIR_ASSERT(known);
    size_t len = body ? strlen(body) : 0;
    if (strlen(path) > WEIR_CLIENT_PATH_MAX) return weir_fail(diag, WEIR_E_LIMIT, "a path of more than %u bytes", WEIR_CLIENT_PATH_MAX);
    if (len > WEIR_ADMIN_MAX) return weir_fail(diag, WEIR_E_LIMIT, "a request of %zu bytes is more than %u", len, WEIR_ADMIN_MAX);
    return exchange(client, which, once || is_idempotent(which), path, (struct weir_bytes){body, (uint32_t)len}, out, diag);
}

weir_err weir_client_request(struct weir_client *client, const char *method, const char *path, const char *body, struct weir_reply *out,
                             struct weir_diag *diag)
{
    return request(client, method, false, path, body, out, diag);
}

weir_err weir_client_request_once(struct weir_client *client, const char *method, const char *path, const char *body,
                                  struct weir_reply *out, struct weir_diag *diag)
{
    return request(client, method, true, path, body, out, diag);
}

void weir_reply_close(struct weir_reply *reply)
{
    free(reply->body);
    *reply = (struct weir_reply){0};
}

bool weir_client_escape(const char *text, char *out, size_t size)
{
    struct buffer b = {.limit = size};
    rest_percent_encode(&b, text);
    bool fits = !b.err && b.len < size;
    if (fits) memcpy(out, buffer_cstr(&b), b.len + 1);
    buffer_close(&b);
    return fits;
}

/* ---- upload ---- */

struct upload {
    int fd;
    uint64_t size;
    const char *file;
    char name[3 * WEIR_NAME_MAX + 1];  /* the file's, percent-encoded */
    char id[WEIR_CLIENT_PATH_MAX / 2]; /* the upload's, percent-encoded */
    struct sha256 hash;                /* of what was sent */
    unsigned char chunk[WEIR_CHUNK_BYTES];
};

static weir_err open_plugin(struct upload *u, struct weir_diag *diag)
{
    u->fd = open(u->file, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO must not hold us here */
    if (u->fd < 0) return weir_fail_errno(diag, errno, "cannot read the plugin %s", u->file);
    struct stat st;
    if (fstat(u->fd, &st) != 0) return weir_fail_errno(diag, errno, "cannot read the plugin %s", u->file);
    if (!S_ISREG(st.st_mode)) return weir_fail(diag, WEIR_E_ARGUMENT, "%s is no regular file: name a job plugin, a .so file", u->file);
    if (st.st_size == 0) return weir_fail(diag, WEIR_E_ARGUMENT, "%s is empty: name a job plugin, a .so file", u->file);
    u->size = (uint64_t)st.st_size;
    if (u->size > WEIR_PLUGIN_MAX) {
        return weir_fail(diag, WEIR_E_LIMIT, "%s has %" PRIu64 " bytes, more than %u: is it a plugin? strip it", u->file, u->size,
                         WEIR_PLUGIN_MAX);
    }
    const char *slash = strrchr(u->file, '/');
    if (!weir_client_escape(slash ? slash + 1 : u->file, u->name, sizeof u->name)) snprintf(u->name, sizeof u->name, "plugin.so");
    return WEIR_OK;
}

/* Takes a text field of the answer's document, percent-encoded. */
static weir_err take_field(const struct weir_reply *reply, const char *key, char *out, size_t size, struct weir_diag *diag)
{
    json_t *doc = json_loadb(reply->body, reply->len, 0, NULL);
    const char *text = text_of(doc, key);
    bool good = *text && weir_client_escape(text, out, size);
    json_decref(doc);
    return good ? WEIR_OK : weir_fail(diag, WEIR_E_PROTOCOL, "the JobManager's answer to an upload has no usable \"%s\"", key);
}

static weir_err begin_upload(struct weir_client *c, struct upload *u, struct weir_diag *diag)
{
    char path[WEIR_CLIENT_PATH_MAX];
    snprintf(path, sizeof path, "/plugins?size=%" PRIu64 "&name=%s", u->size, u->name);
    struct weir_reply reply = {0};
    weir_err err = weir_client_request(c, "POST", path, NULL, &reply, diag);
    if (err) return err;
    err = take_field(&reply, "upload", u->id, sizeof u->id, diag);
    weir_reply_close(&reply);
    return err;
}

static weir_err read_chunk(struct upload *u, uint64_t offset, size_t *len, struct weir_diag *diag)
{
    size_t want = u->size - offset < WEIR_CHUNK_BYTES ? (size_t)(u->size - offset) : WEIR_CHUNK_BYTES;
    for (*len = 0; *len < want;) {
        ssize_t n = pread(u->fd, u->chunk + *len, want - *len, (off_t)(offset + *len));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return weir_fail_errno(diag, errno, "cannot read the plugin %s", u->file);
        if (n == 0) return weir_fail(diag, WEIR_E_IO, "the plugin %s became shorter while it was read: is it being built?", u->file);
        *len += (size_t)n;
    }
    return WEIR_OK;
}

static weir_err send_chunks(struct weir_client *c, struct upload *u, struct weir_reply *last, struct weir_diag *diag)
{
    for (uint64_t offset = 0; offset < u->size;) {
        size_t len = 0;
        weir_err err = read_chunk(u, offset, &len, diag);
        if (err) return err;
        char path[WEIR_CLIENT_PATH_MAX];
        snprintf(path, sizeof path, "/plugins/%s?offset=%" PRIu64, u->id, offset);
        sha256_update(&u->hash, u->chunk, len);
        offset += len;
        struct weir_bytes body = {u->chunk, (uint32_t)len};
        err = exchange(c, REST_PUT, true, path, body, offset == u->size ? last : NULL, diag);
        if (err) return err;
    }
    return WEIR_OK;
}

static weir_err transfer(struct weir_client *c, struct upload *u, char id[static WEIR_DIGEST_TEXT], struct weir_diag *diag)
{
    weir_err err = open_plugin(u, diag);
    struct weir_reply last = {0};
    for (uint32_t begun = 1; !err; begun++) {
        err = begin_upload(c, u, diag);
        uint32_t moves = c->moves;
        sha256_init(&u->hash);
        if (!err) err = send_chunks(c, u, &last, diag);
        if (!err) break;
        if (err == WEIR_E_NOT_FOUND && c->moves != moves && begun < UPLOADS_MAX)
            err = WEIR_OK; /* another one leads: it knows nothing of it */
    }
    if (err) return err;
    char theirs[WEIR_DIGEST_TEXT] = "", ours[WEIR_DIGEST_TEXT];
    err = take_field(&last, "id", theirs, sizeof theirs, diag);
    weir_reply_close(&last);
    if (err) return err;
    digest_text(sha256_final(&u->hash), ours);
    if (strcmp(ours, theirs) != 0) return weir_fail(diag, WEIR_E_CORRUPT, "the JobManager received other bytes than were sent: try again");
    memcpy(id, ours, sizeof ours);
    return WEIR_OK;
}

weir_err weir_client_upload(struct weir_client *client, const char *file, char id[static WEIR_DIGEST_TEXT], struct weir_diag *diag)
{
    client->status = 0;
    struct upload *u = calloc(1, sizeof *u);
    if (!u) return weir_fail(diag, WEIR_E_NOMEM, "out of memory");
    u->file = file;
    u->fd = -1;
    weir_err err = transfer(client, u, id, diag);
    if (u->fd >= 0) close(u->fd);
    free(u);
    return err;
}
