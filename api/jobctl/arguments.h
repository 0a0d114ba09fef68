/* SPDX-License-Identifier: Apache-2.0 */
/*
 * jobctl's command line as data. arguments.c holds the tables of commands and options; help, hints for typing errors and the shell's
 * completion are made from the same tables.
 *
 *   jobctl [global options] COMMAND [options] [operands] [-- job arguments]
 *
 * Global options may stand before or behind the command. Nothing here prints or exits except what arguments_help and
 * arguments_completion are asked to print. Thread: one at a time (argp).
 */
#ifndef WEIR_JOBCTL_ARGUMENTS_H
#define WEIR_JOBCTL_ARGUMENTS_H

#include "weir/base.h"
#include <stdio.h>

#define CTL_JOBMANAGER_DEFAULT "tcp://127.0.0.1:8081"
#define CTL_JOBMANAGER_ENV "WEIR_JOBMANAGER"
#define CTL_COORD_ENV "WEIR_COORD"
#define CTL_KEY_ENV "WEIR_SECURITY_KEY" /* as of the daemons */
#define CTL_KNOWN_KEYS_ENV "WEIR_SECURITY_KNOWN_KEYS"
#define CTL_TIMEOUT_MS_DEFAULT 10000
#define CTL_TIMEOUT_MS_MAX 3600000 /* more is wrong use */
#define CTL_LOCAL_TASKMANAGERS_DEFAULT 1
#define CTL_LOCAL_TASKMANAGERS_MAX 64 /* TaskManagers of a local cluster; more is wrong use */
#define CTL_PROGRESS_TIMEOUT_MS_MAX 86400000
#define CTL_DEFINITIONS_MAX 64 /* -D of one command; more is wrong use */

/* In the order of the table in arguments.c. */
enum ctl_command {
    CTL_RUN,
    CTL_LIST,
    CTL_SHOW,
    CTL_PLAN,
    CTL_CANCEL,
    CTL_CHECKPOINT,
    CTL_CHECKPOINTS,
    CTL_EXCEPTIONS,
    CTL_SAVEPOINT,
    CTL_STOP,
    CTL_RESCALE,
    CTL_PLUGINS, /* list, or remove when `remove` is set */
    CTL_TASKMANAGERS,
    CTL_STATUS,
    CTL_STATE, /* of a checkpoint: ls without `state`, get with `key`, else scan */
    CTL_COORD,
    CTL_QUORUM,
    CTL_CONFIG,
    CTL_CERT,
    CTL_VERSION,
    CTL_COMPLETION,
    CTL_HELP,
    CTL_COMMANDS, /* how many; as the argument of arguments_help: the program itself */
};

enum ctl_format { CTL_TABLE, CTL_JSON };

/* Strings are borrowed from argv and the environment. */
struct ctl_arguments {
    enum ctl_command command;
    enum ctl_command help_on; /* CTL_HELP: the command to explain, or CTL_COMMANDS */

    const char *jobmanager; /* endpoint of the admin socket */
    bool jobmanager_given;  /* by option, not by environment or default */
    bool jobmanager_named;  /* by option or environment, not by default */
    int64_t timeout_ms;     /* of each request, and of the connection */
    enum ctl_format format;
    bool no_progress;
    const char *key_file, *known_keys; /* files, by option or environment; NULL: none */

    bool local;
    uint32_t taskmanagers; /* of the local cluster; 0 = not given */
    uint32_t slots;        /* of each TaskManager of the local cluster; 0 = not given */
    uint32_t n_definitions;
    const char *definitions[CTL_DEFINITIONS_MAX]; /* KEY=VALUE: options of the job, and with --local configuration of the cluster */
    uint32_t parallelism;                         /* 1 when not given */
    bool parallelism_given;
    const char *from; /* run: a savepoint or retained checkpoint to begin with; NULL = none */
    bool claim_given;
    bool claim;         /* ... whose files are the job's from then on */
    bool unmatched;     /* ... some of whose state may be left behind */
    bool drain;         /* stop: sources end first */
    const char *target; /* savepoint, stop: folder; NULL = the JobManager chooses */
    bool detached;
    bool dot;                     /* plan: as a Graphviz digraph */
    const char *name;             /* of the job; NULL = the plugin's */
    uint32_t progress_timeout_ms; /* 0 = the JobManager's default */
    int n_job_args;
    char **job_args;

    const char *subject; /* JOB.so, JOB, TaskManager, plugin or a checkpoint's folder; NULL = none given */
    bool remove;         /* plugins rm */

    const char *state; /* OPERATOR/STATE; NULL: all are listed */
    const char *key;   /* of the entries to get; NULL: all are printed */
    uint32_t limit;    /* of entries to print; 0 = none */

    /* coord: subject is the path; behind --: the program of `lock`. quorum: verb is add, remove or NULL, value the member */
    const char *verb;            /* ls, get, ... */
    const char *value;           /* data, or an ACL; NULL = none */
    const char *job;             /* config: of which job; NULL = the cluster's */
    const char *role, *at, *dir; /* cert new: of the key; its endpoints; folder of the files. NULL = not given */
    const char *servers;         /* endpoints for clients, with commas between them */
    const char *auth;            /* user:password; NULL = none */
    const char *acl;             /* of a new node; NULL = open */
    int64_t version;             /* the node must have; -1 = any */
    uint32_t ttl_ms;             /* of a new TTL node; 0 = none */
    bool container, sequential, parents, recursive, linear;
};

/*
 * Parses argv (kept, as are the strings in it; not changed). `-h`, `--help` and `--version` anywhere make it the command CTL_HELP or
 * CTL_VERSION, whatever else is wrong behind them.
 *
 * environment   Value of WEIR_JOBMANAGER; NULL or "" = unset.
 * Fills *out. Untouched on failure.
 * Errors: WEIR_E_ARGUMENT   wrong use; diag says what, why and what to do.
 */
weir_err arguments_parse(struct ctl_arguments *out, int argc, char **argv, const char *environment, struct weir_diag *diag);

/* TaskManagers of the local cluster and slots of each, with the defaults filled in: enough slots for the parallelism. */
uint32_t arguments_taskmanagers(const struct ctl_arguments *args);
uint32_t arguments_slots(const struct ctl_arguments *args);

/* Whether -D KEY=VALUE is an option of the job (and not of a daemon). */
bool arguments_is_job_option(const char *definition);

/* Whether the subject of `plan` is a plugin's file and not a job: it ends with .so or has a slash. */
bool arguments_is_plugin(const char *subject);

/* Whether the command speaks to a cluster that was there before it, so that its keys count. */
bool arguments_need_keys(const struct ctl_arguments *args);

/* "show", as typed. */
const char *arguments_command_name(enum ctl_command command);

/* Prints the manual of a command, or of the program (CTL_COMMANDS). */
void arguments_help(enum ctl_command command, FILE *out);

/* Prints a bash script that completes commands, options and file names. */
void arguments_completion(FILE *out);

#endif
