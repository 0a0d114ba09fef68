/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a daemon's main begins: flags, environment and file into one configuration, --help and --version answered, the log set up, the
 * parent's end arranged. Thread: the main one, before any other.
 */
#ifndef WEIR_RUNTIME_BASE_DAEMON_H
#define WEIR_RUNTIME_BASE_DAEMON_H

#include "runtime/base/config.h"

/* Exit statuses of the daemons. */
enum { DAEMON_OK = 0, DAEMON_FAILED = 1, DAEMON_USAGE = 2 };
#define DAEMON_GO_ON (-1)

/* Keys every daemon has; begin the table with them. */
#define DAEMON_KEYS                                                                                                              \
    {"config.file", CONFIG_STR, "", .flag = "config", .help = "configuration file (YAML)"},                                      \
        {"log.level", CONFIG_STR, "info", .flag = "log-level", .help = "lowest level written: debug, info, warn, error"},        \
    {                                                                                                                            \
        "process.exit-with-parent", CONFIG_INT, "0", .flag = "exit-with-parent",                                                 \
                                                     .help = "end when this process, which must be the parent, ends; 0 = do not" \
    }

struct daemon_program {
    const char *name;      /* "weir-jobmanager" */
    const char *component; /* "jobmanager": its name in log lines */
    const char *purpose;   /* a sentence for --help */
    const struct config_table *table;
};

/*
 * DAEMON_GO_ON and *out, or the status to exit with after what had to be said was said. argv's array is changed.
 */
int daemon_configure(struct config **out, const struct daemon_program *program, int argc, char **argv);

/* What a daemon does once configured, until it is told to end. signals: descriptor of process_signals_open. */
typedef weir_err (*daemon_serve)(const struct config *config, int signals, struct weir_diag *diag);

/* A daemon's whole main: configures, serves, logs why it cannot go on. Returns the exit status. */
int daemon_main(const struct daemon_program *program, daemon_serve serve, int argc, char **argv);

#endif
