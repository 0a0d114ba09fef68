/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/operator/window.h"

const struct weir_operator *window_operator(const struct weir_window *window)
{
    if (window->kind == WEIR_SESSION) return &window_session_operator;
    if (window->kind == WEIR_GLOBAL || window->trigger) return &window_trigger_operator;
    return &window_slice_operator;
}

const char *window_kind_name(enum weir_window_kind kind)
{
    switch (kind) {
    case WEIR_TUMBLING: return "tumbling window";
    case WEIR_SESSION: return "session window";
    case WEIR_SLIDING: return "sliding window";
    case WEIR_CUMULATING: return "cumulating window";
    case WEIR_GLOBAL: return "global window";
    }
    return "window";
}
