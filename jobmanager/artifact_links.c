/* SPDX-License-Identifier: Apache-2.0 */
#include "jobmanager/artifact_links.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jobmanager/artifacts_json.h"
#include "jobmanager/peer/ensemble.h"
#include "runtime/base/assert.h"
#include "runtime/base/limits.h"
#include "runtime/base/log.h"
#include "runtime/net/rest.h"

enum {
    LINK_HWM = 8,            /* requests queued to a member; what is beyond is not sent, and asked again */
    LINK_REPLY_MAX = 1 << 20 /* bytes of an answer: a chunk, or a list of digests; a longer one costs the connection */
};

struct member_link {
    uint32_t id;
    char endpoint[ZAB_ADDRESS_MAX];
    struct net_socket *socket; /* NULL: it cannot be asked */
};

struct artifact_links {
    struct artifacts *artifacts;
    struct store *store;
    uint32_t n;
    struct member_link at[ZAB_MEMBERS_MAX];
    struct net_parts parts;
    struct store_artifact fetching; /* what the upload is of */
    struct weir_id upload;          /* into the store */
};

/* ---- members ---- */

static void connect_member(struct member_link *m)
{
    struct net_socket_config config = {.kind = NET_DEALER, .message_max = LINK_REPLY_MAX, .send_hwm = LINK_HWM, .receive_hwm = LINK_HWM};
    struct weir_diag diag = {0};
    weir_err err = net_socket_new(&m->socket, &config, &diag);
    if (!err) err = net_socket_connect(m->socket, m->endpoint, &diag);
    if (!err) return;
    net_socket_destroy(&m->socket);
    log_warn("cannot ask a JobManager for plugins", "peer=%" PRIu32 " reason=\"%s\"", m->id, diag.text);
}

/* The connection of before, if it is to the same place. */
static struct net_socket *take_socket(struct member_link *before, uint32_t n, const struct member_link *m)
{
    for (uint32_t i = 0; i < n; i++) {
        if (before[i].id != m->id || strcmp(before[i].endpoint, m->endpoint) != 0) continue;
        struct net_socket *socket = before[i].socket;
        before[i].socket = NULL;
        return socket;
    }
    return NULL;
}

void artifact_links_members(struct artifact_links *l, const struct zab_members *members, uint32_t self)
{
    struct member_link before[ZAB_MEMBERS_MAX];
    uint32_t n = l->n;
    memcpy(before, l->at, sizeof before);
    l->n = 0;
    for (uint32_t i = 0; i < members->n; i++) {
        struct member_link *m = &l->at[l->n];
        if (members->at[i].id == self) continue;
        *m = (struct member_link){.id = members->at[i].id};
        if (!*ensemble_endpoint(members->at[i].address, ENSEMBLE_ADMIN, m->endpoint)) continue;
        m->socket = take_socket(before, n, m);
        if (!m->socket) connect_member(m);
        l->n++;
    }
    for (uint32_t i = 0; i < n; i++) net_socket_destroy(&before[i].socket);
}

/* ---- requests ---- */

static void send_request(struct artifact_links *l, const struct artifacts_order *order, enum rest_method method, const char *path,
                         struct weir_bytes body)
{
    char headers[64];
    struct weir_bytes parts[REST_REQUEST_PARTS];
    (void)snprintf(headers, sizeof headers, "request-id: %" PRIu64 "\n", order->number);
    rest_request_build(parts, method, path, headers, body);
    for (uint32_t i = 0; i < l->n; i++)
        if (l->at[i].id == order->member && l->at[i].socket) (void)net_send_bytes(l->at[i].socket, parts, REST_REQUEST_PARTS);
}

static void send_list(struct artifact_links *l, const struct artifacts_order *order, uint32_t self)
{
    json_t *list = artifacts_json_list(l->artifacts, self);
    char *text = json_dumps(list, JSON_COMPACT);
    json_decref(list);
    WEIR_ASSERT(text); /* control code: no memory ends it */
    send_request(l, order, REST_PUT, "/replicas", (struct weir_bytes){text, (uint32_t)strlen(text)});
    free(text);
}

void artifact_links_send(struct artifact_links *l, const struct artifacts_order *order, uint32_t self, int64_t now_ms)
{
    char hex[WEIR_DIGEST_TEXT], path[128];
    struct weir_diag diag = {0};
    if (order->type == ARTIFACTS_SYNC) {
        send_list(l, order, self);
        return;
    }
    if (order->offset == 0) {
        l->fetching = order->about;
        if (store_upload_begin(l->store, order->about.size, order->about.name, now_ms, &l->upload, &diag)) {
            log_warn("cannot fetch a plugin", "plugin=%s reason=\"%s\"", digest_text(order->about.digest, hex), diag.text);
            artifacts_missed(l->artifacts, true, now_ms);
            return;
        }
        store_upload_expect(l->store, l->upload, order->about.digest);
    }
    (void)snprintf(path, sizeof path, "/plugins/%s/bytes?offset=%" PRIu64, digest_text(order->about.digest, hex), order->offset);
    send_request(l, order, REST_GET, path, (struct weir_bytes){"", 0});
}

/* ---- answers ---- */

static void take_answer(struct artifact_links *l, const struct member_link *m, uint64_t number, const struct rest_reply *reply,
                        int64_t now_ms)
{
    uint64_t fetched = 0;
    struct weir_digest *missing = NULL;
    uint32_t n = 0;
    struct weir_diag diag = {0};
    if (reply->status != REST_OK) return; /* it follows another leader, or not yet us */
    if (artifacts_json_parse_answer(reply->body, &fetched, &missing, &n, &diag)) {
        log_warn("what a JobManager says of its plugins cannot be read", "peer=%" PRIu32 " reason=\"%s\"", m->id, diag.text);
        return;
    }
    artifacts_synced(l->artifacts, m->id, number, fetched, missing, n, now_ms);
    free(missing);
}

/* true: it is whole. */
static bool take_chunk(struct artifact_links *l, const struct member_link *m, const struct rest_reply *reply, int64_t now_ms)
{
    char hex[WEIR_DIGEST_TEXT];
    struct store_progress progress = {0};
    struct weir_diag diag = {0};
    if (reply->status != REST_OK) {
        artifacts_missed(l->artifacts, false, now_ms); /* it has none, or not any more */
        return false;
    }
    uint64_t offset = artifacts_offset(l->artifacts);
    if (store_upload_chunk(l->store, l->upload, offset, reply->body, now_ms, &progress, &diag)) {
        log_warn("cannot fetch a plugin", "plugin=%s peer=%" PRIu32 " reason=\"%s\"", digest_text(l->fetching.digest, hex), m->id,
                 diag.text);
        artifacts_missed(l->artifacts, true, now_ms);
        return false;
    }
    artifacts_fetched(l->artifacts, reply->body.length);
    if (!progress.complete) return false;
    artifacts_held(l->artifacts, &progress.artifact);
    log_info("plugin fetched", "plugin=%s name=\"%s\" size=%" PRIu64 " peer=%" PRIu32, digest_text(progress.artifact.digest, hex),
             progress.artifact.name, progress.artifact.size, m->id);
    return true;
}

static bool take_reply(struct artifact_links *l, const struct member_link *m, int64_t now_ms)
{
    struct weir_bytes in[NET_PARTS_MAX];
    struct rest_reply reply;
    uint64_t number = 0;
    for (uint32_t i = 0; i < l->parts.n; i++) in[i] = net_part(&l->parts, i);
    if (rest_reply_parse(&reply, in, l->parts.n, NULL)) return false;
    const char *id = rest_header(&reply.headers, "request-id");
    if (!id || !rest_number(id, UINT64_MAX, &number)) return false;
    if (artifacts_expects(l->artifacts, m->id, number)) return take_chunk(l, m, &reply, now_ms);
    if (artifacts_asked(l->artifacts, m->id, number)) take_answer(l, m, number, &reply, now_ms);
    return false;
}

bool artifact_links_receive(struct artifact_links *l, int64_t now_ms)
{
    bool any = false;
    for (uint32_t i = 0; i < l->n; i++)
        while (l->at[i].socket && net_receive(l->at[i].socket, &l->parts) == NET_MESSAGE) any |= take_reply(l, &l->at[i], now_ms);
    return any;
}

uint32_t artifact_links_waits(const struct artifact_links *l, struct net_wait *out)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < l->n; i++)
        if (l->at[i].socket) out[n++] = (struct net_wait){.socket = l->at[i].socket, .want_read = true};
    return n;
}

/* ---- life ---- */

void artifact_links_new(struct artifact_links **out, struct artifacts *artifacts, struct store *store)
{
    struct artifact_links *l = calloc(1, sizeof *l);
    WEIR_ASSERT(l);
    l->artifacts = artifacts;
    l->store = store;
    net_parts_init(&l->parts);
    *out = l;
}

void artifact_links_destroy(struct artifact_links **links)
{
    struct artifact_links *l = *links;
    *links = NULL;
    if (!l) return;
    for (uint32_t i = 0; i < l->n; i++) net_socket_destroy(&l->at[i].socket);
    net_parts_close(&l->parts);
    free(l);
}
