/* SPDX-License-Identifier: Apache-2.0 */
/* `jobctl config`: live configuration. The JobManager says what there is and what may be; the tree is where it is changed. */
#ifndef WEIR_JOBCTL_CONFIG_H
#define WEIR_JOBCTL_CONFIG_H

#include "api/jobctl/session.h"

/* Checks what follows `config`: fills args->verb, key, value. Errors: WEIR_E_ARGUMENT. */
weir_err config_check(struct ctl_arguments *args, const char *const *operands, unsigned n, struct weir_diag *diag);

/* Returns an exit code, having printed what there is to say. */
int config_command(struct session *s);

#endif
