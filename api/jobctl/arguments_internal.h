/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of `arguments` share: the tables of commands and options, and what one call of arguments_parse knows. */
#ifndef WEIR_JOBCTL_ARGUMENTS_INTERNAL_H
#define WEIR_JOBCTL_ARGUMENTS_INTERNAL_H

#include <argp.h>

#include "api/jobctl/arguments.h"

/* Keys of options without a letter. */
enum option_key {
    KEY_TIMEOUT = 256,
    KEY_NO_PROGRESS,
    KEY_LOCAL,
    KEY_TASKMANAGERS,
    KEY_SLOTS,
    KEY_NAME,
    KEY_PROGRESS_TIMEOUT,
    KEY_DOT,
    KEY_LIMIT,
    KEY_FROM,
    KEY_CLAIM,
    KEY_UNMATCHED,
    KEY_DRAIN,
    KEY_SERVERS,
    KEY_JOB,
    KEY_AUTH,
    KEY_ACL,
    KEY_VERSION,
    KEY_TTL,
    KEY_CONTAINER,
    KEY_SEQUENTIAL,
    KEY_LINEAR,
    KEY_KEY,
    KEY_KNOWN_KEYS,
    KEY_ROLE,
    KEY_AT,
    KEY_DIR,
};

struct syntax {
    const char *name;
    const char *operands; /* of the usage line */
    const char *summary;  /* of the list of commands */
    const char *doc;      /* before "\v": above the options; behind it: below */
    const struct argp_option *options;
    unsigned operands_min, operands_max;
    bool takes_rest; /* job arguments behind "--" */
};

/* ---- arguments_table.c ---- */

extern const struct argp_option ctl_global_options[], ctl_run_options[];
extern const struct syntax ctl_syntax[CTL_COMMANDS];

/* For argp, which leaks a byte for a table that is there and empty. */
static inline const struct argp_option *ctl_argp_options(const struct argp_option *options)
{
    return options->name ? options : NULL;
}

/* By its whole name. Errors: WEIR_E_ARGUMENT, with the nearest one. */
weir_err ctl_find_command(const char *name, enum ctl_command *out, struct weir_diag *diag);

/* What one call of arguments_parse knows. */
struct parse {
    struct ctl_arguments args;
    struct weir_diag *diag;
    const struct syntax *syntax; /* NULL while the command is not known */
    const char *operands[4];
    unsigned n_operands;
    int command_at; /* index of the command's name in argv; -1 = not seen */
    int bad_at;     /* argv index where argp gave up */
    bool stop;      /* help or version asked for: nothing else counts */
};

/* ---- arguments_check.c ---- */

/* What does not fit together, once all is read; fills in what operands mean. Errors: WEIR_E_ARGUMENT. */
weir_err arguments_check(struct parse *p);

#endif
