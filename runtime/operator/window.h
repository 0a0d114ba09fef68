/* SPDX-License-Identifier: Apache-2.0 */
/* The window operator behind weir_window_aggregate, written against the public operator ABI. */
#ifndef WEIR_RUNTIME_OPERATOR_WINDOW_H
#define WEIR_RUNTIME_OPERATOR_WINDOW_H

#include "weir/weir.h"

/* ctx->config of both operators. Output 0: results. Output 1: late records, as they came. */
struct window_config {
    struct weir_window window;
    const struct weir_aggregate *aggregate;
};

extern const struct weir_operator window_tumbling_operator;
extern const struct weir_operator window_session_operator;

#endif
