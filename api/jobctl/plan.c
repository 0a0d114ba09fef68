/* SPDX-License-Identifier: Apache-2.0 */
#include "api/jobctl/plan.h"

#include "api/jobctl/exit.h"
#include "api/jobctl/field.h"
#include "api/jobctl/interrupt.h"
#include "api/jobctl/submission.h"
#include "api/jobctl/view.h"
#include "runtime/base/id.h"
#include <string.h>

enum {
    PAUSE_MS = 5, /* between two looks at the plan; plugins describe their graph in a few milliseconds ... */
    PAUSE_MS_MAX = 200,
    PATH_BYTES = 256,
};

static int print_plan(const struct session *s, const json_t *doc)
{
    if (s->args->format != CTL_JSON) return session_print(s, doc, s->args->dot ? view_dot : view_plan);
    json_t *only = json_pack("{s:O?}", "plan", json_object_get(doc, "plan"));
    int failed = session_print(s, only, view_nothing);
    json_decref(only);
    return failed;
}

/* ---- of a job ---- */

static int plan_of_job(struct session *s)
{
    char id[RESOLVE_ID_MAX], path[PATH_BYTES];
    json_t *doc = NULL;
    int failed = session_find_job(s, id);
    if (failed) return failed;
    snprintf(path, sizeof path, "/jobs/%s/plan", id);
    failed = session_ask(s, "GET", path, NULL, &doc);
    if (!failed) failed = print_plan(s, doc);
    json_decref(doc);
    return failed;
}

/* ---- of a plugin ---- */

static int ask_for_plan(struct session *s, const char *plugin, char path[static PATH_BYTES])
{
    json_t *answer = NULL;
    int failed = submission_post(s, plugin, "plan", &answer);
    if (failed) return failed;
    struct weir_id id;
    char text[WEIR_ID_TEXT];
    bool good = id_parse(field_text(answer, "request-id"), &id);
    json_decref(answer);
    if (good) {
        snprintf(path, PATH_BYTES, "/plugins/%s/plan/%s", plugin, id_text(id, text));
        return CTL_EXIT_OK;
    }
    session_complain("the JobManager's answer has no usable \"request-id\": is it of another version?");
    return CTL_EXIT_UNREACHABLE;
}

/* Gives the answer once the plan is made; the JobManager limits how long that takes. */
static int await_plan(struct session *s, const char *path, json_t **out)
{
    for (int64_t pause_ms = PAUSE_MS;; pause_ms = pause_ms * 2 < PAUSE_MS_MAX ? pause_ms * 2 : PAUSE_MS_MAX) {
        json_t *doc = NULL;
        if (interrupt_pending()) return CTL_EXIT_INTERRUPTED;
        int failed = session_ask(s, "GET", path, NULL, &doc);
        if (failed) return failed;
        const char *status = field_text(json_object_get(doc, "status"), "id");
        if (strcmp(status, "IN_PROGRESS") != 0) {
            *out = doc;
            return CTL_EXIT_OK;
        }
        json_decref(doc);
        interrupt_pause(pause_ms);
    }
}

static int tell(const struct session *s, const json_t *operation)
{
    if (json_is_object(json_object_get(operation, "plan"))) return print_plan(s, operation);
    if (!json_is_object(json_object_get(operation, "failure"))) {
        session_complain("the JobManager's answer has neither plan nor failure: is it of another version?");
        return CTL_EXIT_UNREACHABLE;
    }
    session_complain("%s has no plan", s->args->subject);
    view_failure(operation, stderr);
    return CTL_EXIT_FAILED;
}

static int plan_of_plugin(struct session *s)
{
    char plugin[WEIR_DIGEST_TEXT], path[PATH_BYTES];
    json_t *doc = NULL;
    int failed = submission_upload(s, plugin);
    if (!failed) failed = ask_for_plan(s, plugin, path);
    if (!failed) failed = await_plan(s, path, &doc);
    if (!failed) failed = tell(s, json_object_get(doc, "operation"));
    json_decref(doc);
    return failed;
}

/* ---- the command ---- */

int plan_command(const struct ctl_arguments *args)
{
    struct session s = {0};
    struct local *local = NULL;
    const struct local_config alone = {.taskmanagers = 0};
    bool plugin = arguments_is_plugin(args->subject), own = plugin && !args->jobmanager_named;
    int code = plugin ? submission_check(args->subject) : CTL_EXIT_OK;
    if (!code) code = own ? session_start(&s, &local, args, &alone) : session_open(&s, args, args->jobmanager);
    if (!code) code = plugin ? plan_of_plugin(&s) : plan_of_job(&s);
    session_close(&s);
    if (code == CTL_EXIT_INTERRUPTED) interrupt_answered(); /* another Ctrl-C shortens the end of the JobManager */
    local_destroy(&local);
    return code;
}
