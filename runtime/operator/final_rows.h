/* SPDX-License-Identifier: Apache-2.0 */
/* The operators behind weir_final_rows. */
#ifndef WEIR_RUNTIME_OPERATOR_FINAL_ROWS_H
#define WEIR_RUNTIME_OPERATOR_FINAL_ROWS_H

#include "weir/weir.h"

/* ctx->config of row_fields_operator, and of final_rows_by_key_operator; the third needs none. */
struct final_rows_config {
    const struct weir_schema *schema; /* by key: NULL = not known */
};

extern const struct weir_operator row_fields_operator;         /* rows by their fields alone */
extern const struct weir_operator final_rows_by_key_operator;  /* one row a key */
extern const struct weir_operator final_rows_counted_operator; /* keyed by the whole row */
extern const struct weir_keyer whole_row_key;

#endif
