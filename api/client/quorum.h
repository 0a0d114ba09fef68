/* SPDX-License-Identifier: Apache-2.0 */
/* Asks one peer about the ensemble (runtime/coord/quorum.h), without a session. Blocks, at most timeout_ms. The process has called
 * net_start. */
#ifndef WEIR_API_CLIENT_QUORUM_H
#define WEIR_API_CLIENT_QUORUM_H

#include "runtime/coord/quorum.h"

/* Errors: WEIR_E_ARGUMENT, WEIR_E_UNSUPPORTED (endpoint); WEIR_E_DENIED (its key is not known there), WEIR_E_NOT_FOUND (whose key answers
 * there is not known); WEIR_E_UNREACHABLE, WEIR_E_PROTOCOL, WEIR_E_NOMEM, WEIR_E_IO. */
weir_err quorum_status(struct quorum_status *out, const char *endpoint, int64_t timeout_ms, struct weir_diag *diag);
/* `*outcome`: enum zab_outcome, or QUORUM_DENIED. The peer must lead. */
weir_err quorum_reconfig(uint8_t *outcome, const char *endpoint, const struct zab_change *changes, uint32_t n, int64_t timeout_ms,
                         struct weir_diag *diag);

#endif
