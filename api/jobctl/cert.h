/* SPDX-License-Identifier: Apache-2.0 */
/* `jobctl cert`: makes key pairs for CURVE (runtime/net/keys.h). */
#ifndef WEIR_JOBCTL_CERT_H
#define WEIR_JOBCTL_CERT_H

#include "api/jobctl/arguments.h"

/* Checks the operands and options. Errors: WEIR_E_ARGUMENT. */
weir_err cert_check(struct ctl_arguments *args, const char *const *operands, unsigned n, struct weir_diag *diag);
/* Performs it; returns the exit code. */
int cert_command(const struct ctl_arguments *args);

#endif
