/* SPDX-License-Identifier: Apache-2.0 */
#include "api/jobctl/commands.h"

#include "api/jobctl/cert.h"
#include "api/jobctl/config.h"
#include "api/jobctl/coord.h"
#include "api/jobctl/exit.h"
#include "api/jobctl/field.h"
#include "api/jobctl/plan.h"
#include "api/jobctl/run.h"
#include "api/jobctl/session.h"
#include "api/jobctl/state.h"
#include "api/jobctl/trigger.h"
#include "api/jobctl/view.h"

enum { PATH_BYTES = 1024, SHORT_ID = 12 };

typedef weir_err (*view_fn)(const json_t *doc, FILE *out);

static int get_and_print(struct session *s, const char *path, view_fn view)
{
    json_t *doc = NULL;
    int failed = session_ask(s, "GET", path, NULL, &doc);
    if (!failed) failed = session_print(s, doc, view);
    json_decref(doc);
    return failed;
}

/* part: "", or a part of what is known of a job, with a slash. */
static int show_of_job(struct session *s, const char *part, view_fn view)
{
    char id[RESOLVE_ID_MAX], path[PATH_BYTES];
    int failed = session_find_job(s, id);
    if (failed) return failed;
    snprintf(path, sizeof path, "/jobs/%s%s", id, part);
    return get_and_print(s, path, view);
}

/* Sends a request whose answer has no content for people. */
static int order(struct session *s, const char *method, const char *path)
{
    json_t *doc = NULL;
    int failed = session_ask(s, method, path, NULL, &doc);
    if (!failed) failed = session_print(s, doc, view_nothing);
    json_decref(doc);
    return failed;
}

static int cancel_job(struct session *s)
{
    char id[RESOLVE_ID_MAX], path[PATH_BYTES];
    int failed = session_find_job(s, id);
    if (failed) return failed;
    snprintf(path, sizeof path, "/jobs/%s?mode=cancel", id);
    failed = order(s, "PATCH", path);
    if (!failed && s->args->format == CTL_TABLE)
        fprintf(stderr, "canceling job %.*s; `jobctl show %.*s` tells how it goes\n", SHORT_ID, id, SHORT_ID, id);
    return failed;
}

static int remove_plugin(struct session *s)
{
    char id[RESOLVE_ID_MAX], path[PATH_BYTES];
    int failed = session_find_plugin(s, id);
    if (failed) return failed;
    snprintf(path, sizeof path, "/plugins/%s", id);
    failed = order(s, "DELETE", path);
    if (!failed && s->args->format == CTL_TABLE) fprintf(stderr, "removed plugin %.*s\n", SHORT_ID, id);
    return failed;
}

static int show_taskmanagers(struct session *s)
{
    if (!s->args->subject) return get_and_print(s, "/taskmanagers", view_taskmanagers);
    char id[PATH_BYTES - 32], path[PATH_BYTES];
    if (!weir_client_escape(s->args->subject, id, sizeof id)) {
        session_complain("no TaskManager has an id as long as that: `jobctl taskmanagers` shows them");
        return CTL_EXIT_USAGE;
    }
    snprintf(path, sizeof path, "/taskmanagers/%s", id);
    return get_and_print(s, path, view_taskmanager);
}

static int ask_jobmanager(struct session *s)
{
    switch (s->args->command) {
    case CTL_LIST: return get_and_print(s, "/jobs/overview", view_jobs);
    case CTL_SHOW: return show_of_job(s, "", view_job);
    case CTL_CANCEL: return cancel_job(s);
    case CTL_CHECKPOINT:
    case CTL_SAVEPOINT:
    case CTL_STOP:
    case CTL_RESCALE: return trigger_command(s);
    case CTL_CHECKPOINTS: return show_of_job(s, "/checkpoints", view_checkpoints);
    case CTL_EXCEPTIONS: return show_of_job(s, "/exceptions", view_exceptions);
    case CTL_PLUGINS: return s->args->remove ? remove_plugin(s) : get_and_print(s, "/plugins", view_plugins);
    case CTL_TASKMANAGERS: return show_taskmanagers(s);
    case CTL_CONFIG: return config_command(s);
    default: return get_and_print(s, "/overview", view_overview);
    }
}

static int print_version(const struct ctl_arguments *args)
{
    if (args->format == CTL_JSON)
        printf("{\"weir-version\": \"%s\"}\n", WEIR_VERSION);
    else
        printf("jobctl (Weir) %s\n", WEIR_VERSION);
    return CTL_EXIT_OK;
}

int commands_run(const struct ctl_arguments *args)
{
    struct session s;
    switch (args->command) {
    case CTL_RUN: return run_command(args);
    case CTL_PLAN: return plan_command(args);
    case CTL_STATE: return state_command(args);
    case CTL_COORD: return coord_command(args);
    case CTL_QUORUM: return quorum_command(args);
    case CTL_CERT: return cert_command(args);
    case CTL_HELP: arguments_help(args->help_on, stdout); return CTL_EXIT_OK;
    case CTL_COMPLETION: arguments_completion(stdout); return CTL_EXIT_OK;
    case CTL_VERSION: return print_version(args);
    default: break;
    }
    int code = session_open(&s, args, args->jobmanager);
    if (!code) code = ask_jobmanager(&s);
    session_close(&s);
    return code;
}
