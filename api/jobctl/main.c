/* SPDX-License-Identifier: Apache-2.0 */
#include "api/jobctl/commands.h"
#include "api/jobctl/exit.h"
#include "api/jobctl/interrupt.h"
#include "runtime/base/log.h"
#include "runtime/net/security.h"
#include <locale.h>
#include <stdlib.h>

static weir_err use_keys(const struct ctl_arguments *args)
{
    struct weir_diag diag;
    struct net_security_config config = {.key = args->key_file, .known_keys = args->known_keys};
    if (!args->key_file || !arguments_need_keys(args)) return WEIR_OK;
    weir_err err = net_secure(&config, &diag);
    if (err) fprintf(stderr, "jobctl: %s\n", diag.text);
    return err;
}

int main(int argc, char **argv)
{
    struct ctl_arguments args;
    struct weir_diag diag;
    setlocale(LC_CTYPE, ""); /* not LC_ALL: numbers are read and written the same everywhere */
    if (arguments_parse(&args, argc, argv, getenv(CTL_JOBMANAGER_ENV), &diag)) {
        fprintf(stderr, "jobctl: %s\n", diag.text);
        return CTL_EXIT_USAGE;
    }
    log_init("jobctl", LOG_LEVEL_WARN); /* what the libraries have to say */
    interrupt_watch();
    if (net_start(1)) {
        fputs("jobctl: out of memory\n", stderr);
        return CTL_EXIT_FAILED;
    }
    int code = use_keys(&args) ? CTL_EXIT_USAGE : commands_run(&args);
    net_stop();
    if (fflush(stdout) != 0 && code == CTL_EXIT_OK) code = CTL_EXIT_FAILED;
    return code;
}
