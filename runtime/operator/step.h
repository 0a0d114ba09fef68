/* SPDX-License-Identifier: Apache-2.0 */
/* What the builders of the operators share: steps whose row types are known only when the graph is built. */
#ifndef WEIR_RUNTIME_OPERATOR_STEP_H
#define WEIR_RUNTIME_OPERATOR_STEP_H

#include "weir/weir.h"

/*
 * weir_apply, or weir_co_apply when `second` is given, of a copy of `table` that lives as long as the graph. The types of side outputs are
 * copied, too. NULL after a mistake.
 */
struct weir_stream *step_apply(struct weir_stream *in, const char *id, const struct weir_operator *table, const void *config,
                               size_t config_size);
struct weir_stream *step_co_apply(struct weir_stream *left, struct weir_stream *right, const char *id, const struct weir_operator *table,
                                  const void *config, size_t config_size);

/* "ID.PART" in the environment's memory; NULL for a NULL stream or after a mistake. */
const char *step_part_id(struct weir_stream *in, const char *id, const char *part);

/* True when a descriptor, whose first member is struct_size, is there and of this Weir; else the job is refused. */
bool step_check(struct weir_stream *in, const char *id, const char *type, const void *desc, size_t size);

#endif
