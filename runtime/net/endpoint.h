/* SPDX-License-Identifier: Apache-2.0 */
/* An endpoint taken apart. A pure function of its text; inside runtime/net only, others ask net_endpoint_check. */
#ifndef WEIR_RUNTIME_NET_ENDPOINT_H
#define WEIR_RUNTIME_NET_ENDPOINT_H

#include "runtime/net/socket.h"

enum endpoint_kind { ENDPOINT_IPC, ENDPOINT_TCP };

struct endpoint {
    enum endpoint_kind kind;
    char where[NET_ENDPOINT_MAX]; /* ipc: the path; tcp: the address by number, without brackets */
    bool ipv6;
    bool local;    /* ipc, or loopback */
    uint16_t port; /* 0: any free one */
};

/* Takes addresses of other machines, too. Errors: WEIR_E_ARGUMENT, WEIR_E_UNSUPPORTED: a name; a source address. *out is untouched then. */
weir_err endpoint_parse(struct endpoint *out, const char *text, struct weir_diag *diag);
/* The text ZeroMQ gets: addresses by number, no names for it to resolve. */
void endpoint_text(const struct endpoint *e, char out[static NET_ENDPOINT_MAX]);

/* May it be used without keys? Errors: WEIR_E_UNSUPPORTED, with `text`, the endpoint as it was written. */
weir_err endpoint_check_local(const struct endpoint *e, const char *text, struct weir_diag *diag);

#endif
