/* SPDX-License-Identifier: Apache-2.0 */
#include "jobmanager/peer/end.h"

#include <unistd.h>

#include "runtime/base/log.h"

_Noreturn void peer_end(const char *what, const char *why)
{
    log_error("the coordination peer cannot go on, so the process ends; start it again when the cause is removed",
              " failed=\"%s\" reason=\"%s\"", what, why);
    _exit(PEER_END_STATUS);
}
