/* SPDX-License-Identifier: Apache-2.0 */
/* What socket.c and security.c need of each other; inside runtime/net only. `zmq`: a socket of libzmq. */
#ifndef WEIR_RUNTIME_NET_CURVE_H
#define WEIR_RUNTIME_NET_CURVE_H

#include "runtime/net/security.h"

void *net_context(void); /* NULL: no net_start */

/* Options before a bind. Errors: WEIR_E_STATE: `roles` is none: the socket would admit nobody; WEIR_E_UNSUPPORTED. */
weir_err curve_bind(void *zmq, const struct net_key_pair *identity, uint32_t roles, struct weir_diag *diag);
/* Options before a connect; endpoint as endpoint_text writes it. Errors: WEIR_E_NOT_FOUND: whose key answers there is not known. */
weir_err curve_connect(void *zmq, const struct net_key_pair *identity, const char *endpoint, struct weir_diag *diag);
/* Ends the handler; every socket is closed. */
void curve_stop(void);

#endif
