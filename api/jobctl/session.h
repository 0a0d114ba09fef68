/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the commands share: the connection to the JobManager, questions whose failures are told and become exit codes, and the two output
 * formats. Everything here that can fail returns an exit code (exit.h) and has printed why. Owner: the main thread.
 */
#ifndef WEIR_JOBCTL_SESSION_H
#define WEIR_JOBCTL_SESSION_H

#include "api/client/client.h"
#include "api/jobctl/arguments.h"
#include "api/jobctl/local.h"
#include "api/jobctl/resolve.h"
#include <jansson.h>

struct session {
    const struct ctl_arguments *args; /* borrowed */
    struct weir_client *client;
};

/* "jobctl: sentence" on stderr. */
void session_complain(const char *fmt, ...) WEIR_PRINTF(1, 2);

/* The exit code for a failed request: what came back (status, 0 = nothing) counts more than the code. */
int session_exit_code(weir_err err, uint32_t status);

/* Connects to `endpoint`. session_close always. */
int session_open(struct session *s, const struct ctl_arguments *args, const char *endpoint);
/* The same with a cluster of our own, once it is ready. Gives *local, also when something goes wrong later: local_destroy always. */
int session_start(struct session *s, struct local **local, const struct ctl_arguments *args, const struct local_config *config);
void session_close(struct session *s);

/* A request; gives the answer's document (json_decref), NULL wanted: none. */
int session_ask(struct session *s, const char *method, const char *path, const char *body, json_t **out);

/* The same, of one that names itself (`triggerId`): weir_client_request_once. */
int session_ask_once(struct session *s, const char *method, const char *path, const char *body, json_t **out);

/* The id of the job or plugin in args->subject, asking for the list if need be. */
int session_find_job(struct session *s, char id[static RESOLVE_ID_MAX]);
int session_find_plugin(struct session *s, char id[static RESOLVE_ID_MAX]);

/* Prints a document on stdout: as it is, or by `view` as people read it. */
int session_print(const struct session *s, const json_t *doc, weir_err (*view)(const json_t *doc, FILE *out));

#endif
