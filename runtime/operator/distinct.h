/* SPDX-License-Identifier: Apache-2.0 */
/* The operators behind weir_distinct and weir_count_distinct. */
#ifndef WEIR_RUNTIME_OPERATOR_DISTINCT_H
#define WEIR_RUNTIME_OPERATOR_DISTINCT_H

#include "weir/weir.h"

struct distinct_config {
    const struct weir_distinct *distinct;
};
struct count_distinct_config {
    const struct weir_count_distinct *count;
};

extern const struct weir_operator distinct_operator;
extern const struct weir_operator distinct_values_operator; /* the first step of weir_count_distinct; gives partials (partial.h) */

/* merge of the aggregate that adds those up: counts of 8 bytes. */
void distinct_merge(void *const *into, const void *const *from, uint32_t n, uint32_t acc_size);

#endif
