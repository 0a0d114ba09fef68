/* SPDX-License-Identifier: Apache-2.0 */
/* The operators behind weir_top_n and weir_deduplicate. ctx->config has the descriptor. */
#ifndef WEIR_RUNTIME_OPERATOR_FIRST_ROWS_H
#define WEIR_RUNTIME_OPERATOR_FIRST_ROWS_H

#include "weir/weir.h"

struct top_n_config {
    const struct weir_top_n *top;
};
struct deduplicate_config {
    const struct weir_deduplicate *deduplicate;
    bool at_end; /* nothing is told before the end of event time */
};

extern const struct weir_operator top_n_operator;
extern const struct weir_operator deduplicate_operator;
extern const struct weir_operator end_deduplicate_operator;

#endif
