/* SPDX-License-Identifier: Apache-2.0 */
/* The operators behind weir/join.h. The builders put row types and the flags of changes in. */
#ifndef WEIR_RUNTIME_OPERATOR_JOIN_H
#define WEIR_RUNTIME_OPERATOR_JOIN_H

#include "weir/weir.h"

struct join_config {
    const struct weir_pairs *pairs;
    struct weir_join_options options;
};
struct interval_join_config {
    const struct weir_pairs *pairs;
    struct weir_interval interval;
};
struct window_join_config {
    const struct weir_pairs *pairs;
    struct weir_join_window window;
};
struct lookup_join_config {
    const struct weir_pairs *pairs;
    struct weir_lookup_options options;
};

extern const struct weir_operator join_operator;
extern const struct weir_operator interval_join_operator;
extern const struct weir_operator window_join_operator;
extern const struct weir_operator lookup_join_operator;

/* True when the descriptor may be used for the step; else the job is refused. */
bool pairs_check(struct weir_stream *in, const char *id, const struct weir_pairs *pairs);

#endif
