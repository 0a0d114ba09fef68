/* SPDX-License-Identifier: Apache-2.0 */
/* The commands of jobctl. Returns the exit code (exit.h), having printed what there is to say. */
#ifndef WEIR_JOBCTL_COMMANDS_H
#define WEIR_JOBCTL_COMMANDS_H

#include "api/jobctl/arguments.h"

/* Does what the command line says. The network is started and signals are watched. */
int commands_run(const struct ctl_arguments *args);

#endif
