/* SPDX-License-Identifier: Apache-2.0 */
/* `jobctl coord` and `jobctl quorum`: the coordination tree and its peers. They ask no JobManager, but the peers inside them. */
#ifndef WEIR_JOBCTL_COORD_H
#define WEIR_JOBCTL_COORD_H

#include "api/jobctl/arguments.h"

/* Checks what follows `coord` and `quorum`: operands by verb. Fills args->subject (path), value, verb. Errors: WEIR_E_ARGUMENT. */
weir_err coord_check(struct ctl_arguments *args, const char *const *operands, unsigned n, struct weir_diag *diag);

/* Return an exit code, having printed what there is to say. */
int coord_command(const struct ctl_arguments *args);
int quorum_command(const struct ctl_arguments *args);

/* Asks the servers why none of them has answered in time, and says what they say: no leader with a quorum, or nothing. */
void quorum_explain(const struct ctl_arguments *args);

#endif
