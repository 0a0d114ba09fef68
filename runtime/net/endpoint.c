/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/net/endpoint.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include "runtime/base/assert.h"

#define LOOPBACK_ONLY                                                                                                   \
    "plain transport is allowed on ipc and loopback only: give this process its key and the known ones (security.key, " \
    "security.known-keys), or use loopback"

enum { HOST_MAX = 64 };

static weir_err parse_ipc(struct endpoint *e, const char *path, const char *text, struct weir_diag *diag)
{
    size_t max = sizeof((struct sockaddr_un *)0)->sun_path - 1;
    size_t len = strlen(path);
    if (len == 0 || strcmp(path, "@") == 0) return weir_fail(diag, WEIR_E_ARGUMENT, "endpoint %s has no path", text);
    if (len > max)
        return weir_fail(diag, WEIR_E_ARGUMENT, "the path of endpoint %s is longer than the %zu bytes of a socket's name", text, max);
    /* ZeroMQ would make a temporary folder of its own, and nobody would remove it. */
    if (strcmp(path, "*") == 0) return weir_fail(diag, WEIR_E_ARGUMENT, "endpoint %s: ipc needs a path, * is for tcp ports", text);
    e->kind = ENDPOINT_IPC;
    e->local = true;
    memcpy(e->where, path, len + 1);
    return WEIR_OK;
}

static bool parse_port(const char *text, uint16_t *out)
{
    if (strcmp(text, "*") == 0) {
        *out = 0;
        return true;
    }
    uint32_t value = 0;
    size_t n = 0;
    for (; text[n] >= '0' && text[n] <= '9' && n < 5; n++) value = value * 10 + (uint32_t)(text[n] - '0');
    if (n == 0 || text[n] != '\0' || value > UINT16_MAX) return false;
    *out = (uint16_t)value;
    return true;
}

static bool take_ipv4(struct endpoint *e, const char *host)
{
    struct in_addr a;
    if (inet_pton(AF_INET, host, &a) != 1) return false;
    e->local = ntohl(a.s_addr) >> 24 == 127;
    return inet_ntop(AF_INET, &a, e->where, sizeof e->where) != NULL;
}

/* The address in brackets; `where` is without them. */
static bool take_ipv6(struct endpoint *e, const char *host)
{
    struct in6_addr a;
    size_t len = strlen(host);
    if (len < 3 || host[0] != '[' || host[len - 1] != ']') return false;
    char inner[HOST_MAX];
    memcpy(inner, host + 1, len - 2);
    inner[len - 2] = '\0';
    if (inet_pton(AF_INET6, inner, &a) != 1) return false;
    e->ipv6 = true;
    e->local = IN6_IS_ADDR_LOOPBACK(&a);
    return inet_ntop(AF_INET6, &a, e->where, sizeof e->where) != NULL;
}

/* No names: a resolver would have its say about where we go. */
static weir_err parse_host(struct endpoint *e, const char *host, const char *text, struct weir_diag *diag)
{
    if (take_ipv6(e, host) || take_ipv4(e, strcmp(host, "localhost") == 0 ? "127.0.0.1" : host)) return WEIR_OK;
    return weir_fail(diag, WEIR_E_UNSUPPORTED, "endpoint %s: host '%s' is not loopback, and no address by number", text, host);
}

static weir_err parse_tcp(struct endpoint *e, const char *rest, const char *text, struct weir_diag *diag)
{
    const char *colon = strrchr(rest, ':');
    if (!colon || strchr(colon, ']')) return weir_fail(diag, WEIR_E_ARGUMENT, "endpoint %s has no port: tcp://HOST:PORT", text);
    size_t len = (size_t)(colon - rest);
    if (len == 0) return weir_fail(diag, WEIR_E_ARGUMENT, "endpoint %s has no host: tcp://HOST:PORT", text);
    /* "source;target" is ZeroMQ's way to choose the outgoing address; a loopback source in front must not hide a target elsewhere. */
    if (memchr(rest, ';', len)) return weir_fail(diag, WEIR_E_UNSUPPORTED, "endpoint %s: a source address is not supported", text);
    if (!parse_port(colon + 1, &e->port))
        return weir_fail(diag, WEIR_E_ARGUMENT, "endpoint %s: port '%s' is not 0 ... 65535 or *", text, colon + 1);
    if (len >= HOST_MAX) return weir_fail(diag, WEIR_E_ARGUMENT, "endpoint %s: the host is too long", text);
    char host[HOST_MAX];
    memcpy(host, rest, len);
    host[len] = '\0';
    e->kind = ENDPOINT_TCP;
    return parse_host(e, host, text, diag);
}

weir_err endpoint_parse(struct endpoint *out, const char *text, struct weir_diag *diag)
{
    struct endpoint e = {0};
    weir_err err;
    if (strlen(text) >= NET_ENDPOINT_MAX) return weir_fail(diag, WEIR_E_ARGUMENT, "an endpoint has at most %u bytes", NET_ENDPOINT_MAX - 1);
    if (strncmp(text, "ipc://", 6) == 0) {
        err = parse_ipc(&e, text + 6, text, diag);
    } else if (strncmp(text, "tcp://", 6) == 0) {
        err = parse_tcp(&e, text + 6, text, diag);
    } else {
        err = weir_fail(diag, WEIR_E_ARGUMENT, "'%s' is not an endpoint: tcp://HOST:PORT or ipc://PATH", text);
    }
    if (!err) *out = e;
    return err;
}

void endpoint_text(const struct endpoint *e, char out[static NET_ENDPOINT_MAX])
{
    char port[8] = "*";
    if (e->port != 0) (void)snprintf(port, sizeof port, "%u", e->port);
    int n;
    if (e->kind == ENDPOINT_IPC)
        n = snprintf(out, NET_ENDPOINT_MAX, "ipc://%s", e->where);
    else
        n = snprintf(out, NET_ENDPOINT_MAX, e->ipv6 ? "tcp://[%s]:%s" : "tcp://%s:%s", e->where, port);
    WEIR_ASSERT(n > 0 && n < (int)NET_ENDPOINT_MAX);
}

weir_err endpoint_check_local(const struct endpoint *e, const char *text, struct weir_diag *diag)
{
    if (e->local) return WEIR_OK;
    return weir_fail(diag, WEIR_E_UNSUPPORTED, "endpoint %s: host '%s' is not loopback: " LOOPBACK_ONLY, text, e->where);
}
