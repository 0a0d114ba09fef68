/* SPDX-License-Identifier: Apache-2.0 */
/* The operator behind weir_over_rows. Output 0: results. Output 1: late rows, as they came. */
#ifndef WEIR_RUNTIME_OPERATOR_OVER_ROWS_H
#define WEIR_RUNTIME_OPERATOR_OVER_ROWS_H

#include "weir/weir.h"

struct over_rows_config {
    const struct weir_over_rows *over;
};
extern const struct weir_operator over_rows_operator;

#endif
