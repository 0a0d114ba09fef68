/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Admin requests: the input, cut at each byte 0x1e, is the parts of a message. As a request it is parsed, and answered by an admin endpoint
 * with an empty cluster: exactly one well-formed answer, whatever came. As a reply it is parsed the way a client does.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "jobmanager/admin.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SEPARATOR = 0x1e, PARTS_MAX = 8 };

static char folder[] = "/tmp/weir-fuzz-rest-XXXXXX";
static struct admin admin;
static struct master_actions actions;

static void must(bool condition)
{
    if (!condition) abort();
}

static void step(void *arg, struct master_event *ev, struct weir_diag *answer)
{
    (void)arg;
    ev->now_ms = ev->wall_ms = 1;
    master_step(admin.master, ev, &actions);
    *answer = actions.answer;
}

static void clean_up(void)
{
    char path[128];
    store_close(&admin.store); /* takes its uploads along */
    for (const char *const *name = (const char *const[]){"artifacts", "lock", "", NULL}; *name; name++) {
        (void)snprintf(path, sizeof path, "%s/%s", folder, *name);
        (void)remove(path);
    }
    artifacts_destroy(&admin.artifacts);
    master_actions_close(&actions);
    master_destroy(&admin.master);
}

static void set_up(void)
{
    struct master_config config = {.incarnation = {{1}}, .epoch = 1, .version = WEIR_VERSION};
    must(mkdtemp(folder) != NULL);
    must(store_open(&admin.store, folder, NULL, NULL) == WEIR_OK);
    artifacts_new(&admin.artifacts);
    artifacts_role(admin.artifacts, 1, true);
    master_new(&admin.master, &config, 0);
    master_actions_init(&actions);
    admin.control = admin.endpoint = admin.data_dir = "x";
    admin.step = step;
    (void)atexit(clean_up);
}

/* Each part in memory of its own, so that reading beyond its end is seen. */
static uint32_t cut(const uint8_t *data, size_t size, struct weir_bytes parts[static PARTS_MAX])
{
    uint32_t n = 0;
    for (size_t at = 0; at <= size && n < PARTS_MAX; n++) {
        const uint8_t *end = size > at ? memchr(data + at, SEPARATOR, size - at) : NULL;
        size_t len = end ? (size_t)(end - (data + at)) : size - at;
        void *copy = malloc(len ? len : 1);
        must(copy != NULL);
        if (len > 0) memcpy(copy, data + at, len);
        parts[n] = (struct weir_bytes){copy, (uint32_t)len};
        at += len + 1;
    }
    return n;
}

static bool inside(const char *text, const char *area, size_t size)
{
    return text >= area && text < area + size && memchr(text, '\0', size - (size_t)(text - area)) != NULL;
}

static void check_request(const struct weir_bytes *parts, uint32_t n)
{
    static struct rest_request r;
    if (rest_request_parse(&r, parts, n, NULL) != REST_OK) return;
    must(r.method >= REST_GET && r.method <= REST_DELETE);
    must(r.n_segments <= REST_SEGMENTS_MAX && r.n_query <= REST_QUERY_MAX && r.headers.n <= REST_HEADERS_MAX);
    for (uint32_t i = 0; i < r.n_segments; i++) must(inside(r.segment[i], r.target, sizeof r.target));
    for (uint32_t i = 0; i < r.n_query; i++)
        must(inside(r.query[i].name, r.target, sizeof r.target) && strlen(r.query[i].value) < sizeof r.target);
    for (uint32_t i = 0; i < r.headers.n; i++) must(inside(r.headers.item[i].value, r.headers.text, sizeof r.headers.text));
}

static void check_answer(const struct weir_bytes *parts, uint32_t n)
{
    struct admin_reply reply;
    admin_handle(&admin, NET_ROLES_ALL, parts, n, &reply);
    must(reply.status >= REST_OK && reply.status <= REST_VERSION_UNKNOWN);
    must(reply.body != NULL);
    json_t *json = json_loadb(reply.body, reply.len, 0, NULL);
    must(json != NULL);
    must((reply.status >= REST_BAD_REQUEST) == (json_object_get(json, "errors") != NULL));
    json_decref(json);
    struct weir_bytes out[REST_REPLY_PARTS];
    char status[4];
    static struct rest_reply back;
    rest_reply_build(out, status, reply.status, reply.headers, (struct weir_bytes){reply.body, (uint32_t)reply.len});
    must(rest_reply_parse(&back, out, REST_REPLY_PARTS, NULL) == WEIR_OK);
    must(back.status == reply.status);
    admin_reply_close(&reply);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct rest_reply reply;
    struct weir_bytes parts[PARTS_MAX];
    if (!admin.master) set_up();
    uint32_t n = cut(data, size, parts);
    check_request(parts, n);
    check_answer(parts, n);
    (void)rest_reply_parse(&reply, parts, n, NULL);
    for (uint32_t i = 0; i < n; i++) free((void *)(uintptr_t)parts[i].data);
    return 0;
}
