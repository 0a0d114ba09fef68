/* SPDX-License-Identifier: Apache-2.0 */
/* Which job or plugin somebody means who typed a whole id, the beginning of one, or a name. Pure functions of the JobManager's list.
 * Thread: any. */
#ifndef WEIR_JOBCTL_RESOLVE_H
#define WEIR_JOBCTL_RESOLVE_H

#include "weir/base.h"
#include <jansson.h>

#define RESOLVE_PREFIX_MIN 4 /* hex digits; fewer are only looked up as a name */
#define RESOLVE_ID_MAX 65    /* with its NUL */

struct resolve_kind {
    const char *noun;         /* "job" */
    const char *id_key;       /* "jid" */
    size_t id_digits;         /* 32 */
    const char *list_command; /* "jobctl list" */
};

extern const struct resolve_kind resolve_job, resolve_plugin;

/* Whether `typed` is a whole id, which needs no list. */
bool resolve_is_id(const struct resolve_kind *kind, const char *typed);

/*
 * Looks `typed` up in a list of objects with the kind's id and a "name". A whole id wins over a name, a name over the beginning of an id.
 * Errors: WEIR_E_NOT_FOUND; WEIR_E_ARGUMENT: several fit, the diagnostic lists some.
 */
weir_err resolve_find(const struct resolve_kind *kind, const json_t *list, const char *typed, char out[static RESOLVE_ID_MAX],
                      struct weir_diag *diag);

#endif
