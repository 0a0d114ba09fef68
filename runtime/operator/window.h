/* SPDX-License-Identifier: Apache-2.0 */
/* The window operators behind weir/window.h, written against the public operator ABI. */
#ifndef WEIR_RUNTIME_OPERATOR_WINDOW_H
#define WEIR_RUNTIME_OPERATOR_WINDOW_H

#include "weir/weir.h"

/* ctx->config of each of them. Output 0: results. Output 1: late records, as they came. */
struct window_config {
    struct weir_window window;
    const struct weir_aggregate *aggregate;      /* this ... */
    const struct weir_window_function *function; /* ... or this */
};

extern const struct weir_operator window_slice_operator;   /* tumbling, sliding, cumulating windows */
extern const struct weir_operator window_session_operator; /* sessions */
extern const struct weir_operator window_trigger_operator; /* global windows, and others with a trigger of their own */

/* The operator that runs such a window. */
const struct weir_operator *window_operator(const struct weir_window *window);

/* The word for the kind in plans: "sliding window". */
const char *window_kind_name(enum weir_window_kind kind);

#endif
