/* SPDX-License-Identifier: Apache-2.0 */
#include "api/jobctl/trigger.h"

#include "api/jobctl/exit.h"
#include "api/jobctl/field.h"
#include "api/jobctl/interrupt.h"
#include "api/jobctl/view.h"
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PATH_BYTES = 256, PAUSE_MS = 50, SHORT_ID = 12 };

weir_err trigger_path(const char *typed, char *out, size_t size, struct weir_diag *diag)
{
    char here[PATH_MAX] = "";
    if (typed[0] != '/' && !getcwd(here, sizeof here)) return weir_fail_errno(diag, errno, "cannot find out the present folder");
    int n = snprintf(out, size, "%s%s%s", here, *here ? "/" : "", typed);
    if (n >= 0 && (size_t)n < size) return WEIR_OK;
    return weir_fail(diag, WEIR_E_LIMIT, "the path %s is too long: at most %zu bytes", typed, size - 1);
}

/* What is asked for, by command: below /jobs/ID. */
static const char *resource(enum ctl_command command)
{
    switch (command) {
    case CTL_SAVEPOINT: return "savepoints";
    case CTL_STOP: return "stop";
    case CTL_RESCALE: return "rescaling";
    default: return "checkpoints";
    }
}

/* The request's body, to be freed; NULL: no memory, or a path that is not UTF-8. */
static char *make_body(const struct ctl_arguments *args, const char *path, const char *trigger)
{
    json_t *body = json_object();
    bool good = json_object_set_new(body, "triggerId", json_string(trigger)) == 0;
    if (*path)
        good =
            json_object_set_new(body, args->command == CTL_STOP ? "targetDirectory" : "target-directory", json_string(path)) == 0 && good;
    if (args->drain) good = json_object_set_new(body, "drain", json_true()) == 0 && good;
    char *text = good ? json_dumps(body, JSON_COMPACT) : NULL;
    json_decref(body);
    return text;
}

/* The request names itself, so that it is carried out once whatever becomes of its answer, and of the JobManager that took it. */
static int post(struct session *s, const char *job, json_t **answer)
{
    char url[PATH_BYTES], path[PATH_MAX] = "", trigger[WEIR_ID_TEXT];
    struct weir_diag diag;
    const struct ctl_arguments *args = s->args;
    (void)id_text(id_random(), trigger);
    snprintf(url, sizeof url, "/jobs/%s/%s", job, resource(args->command));
    if (args->command == CTL_RESCALE) {
        size_t len = strlen(url);
        snprintf(url + len, sizeof url - len, "?parallelism=%u&triggerId=%s", args->parallelism, trigger);
        return session_ask_once(s, "PATCH", url, "", answer);
    }
    if (args->target && trigger_path(args->target, path, sizeof path, &diag)) {
        session_complain("%s", diag.text);
        return CTL_EXIT_USAGE;
    }
    char *body = make_body(args, path, trigger);
    if (!body) {
        session_complain("the path cannot be sent: out of memory, or not UTF-8");
        return CTL_EXIT_USAGE;
    }
    int failed = session_ask_once(s, "POST", url, body, answer);
    free(body);
    return failed;
}

/* Asks until the request is over. Gives its last answer. */
static int wait_for(struct session *s, const char *job, const char *request, json_t **out)
{
    char url[PATH_BYTES];
    snprintf(url, sizeof url, "/jobs/%s/%s/%s", job, resource(s->args->command), request);
    for (;;) {
        json_t *answer = NULL;
        int failed = session_ask(s, "GET", url, NULL, &answer);
        if (failed == CTL_EXIT_INTERRUPTED)
            session_complain("the request goes on; `jobctl checkpoints %.*s` tells what became of it", SHORT_ID, job);
        if (failed) return failed;
        if (strcmp(field_text(json_object_get(answer, "status"), "id"), "IN_PROGRESS") != 0) {
            *out = answer;
            return CTL_EXIT_OK;
        }
        json_decref(answer);
        interrupt_pause(PAUSE_MS);
    }
}

/* What people want to know of it: where the savepoint is, the number of the checkpoint, the job that goes on. */
static weir_err view_operation(const json_t *answer, FILE *out)
{
    const json_t *operation = json_object_get(answer, "operation");
    const char *location = field_text(operation, "location"), *job = field_text(operation, "jobid");
    fprintf(out, "%s\n", *job ? job : location);
    return WEIR_OK;
}

static int tell(struct session *s, const json_t *answer)
{
    const json_t *operation = json_object_get(answer, "operation");
    const char *failure = field_text(operation, "failure-cause"), *location = field_text(operation, "location");
    if (!*failure) return session_print(s, answer, view_operation);
    if (s->args->format == CTL_JSON) (void)session_print(s, answer, view_operation);
    session_complain("%s: %s%s%s", arguments_command_name(s->args->command), failure, *location ? "; the savepoint is at " : "", location);
    return CTL_EXIT_FAILED;
}

int trigger_command(struct session *s)
{
    char job[RESOLVE_ID_MAX];
    json_t *posted = NULL, *answer = NULL;
    int failed = session_find_job(s, job);
    if (!failed) failed = post(s, job, &posted);
    const char *request = field_text(posted, "request-id");
    if (!failed && s->args->detached)
        failed = s->args->format == CTL_JSON ? session_print(s, posted, view_nothing) : printf("%s\n", request) < 0;
    else if (!failed)
        failed = wait_for(s, job, request, &answer);
    if (!failed && answer) failed = tell(s, answer);
    json_decref(posted);
    json_decref(answer);
    return failed;
}
