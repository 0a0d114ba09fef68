/* SPDX-License-Identifier: Apache-2.0 */
#include "api/jobctl/submission.h"

#include "api/jobctl/exit.h"
#include "api/jobctl/trigger.h"
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_BYTES = 256 };

int submission_check(const char *file)
{
    struct weir_diag diag;
    struct stat st;
    int error = stat(file, &st) == 0 && access(file, R_OK) == 0 ? 0 : errno;
    if (!error && S_ISREG(st.st_mode)) return CTL_EXIT_OK;
    if (error)
        weir_fail_errno(&diag, error, "cannot read the plugin %s", file);
    else
        weir_fail(&diag, WEIR_E_ARGUMENT, "%s is no regular file", file);
    session_complain("%s: name a job plugin, a .so file", diag.text);
    return CTL_EXIT_USAGE;
}

int submission_upload(struct session *s, char plugin[static WEIR_DIGEST_TEXT])
{
    struct weir_diag diag;
    weir_err err = weir_client_upload(s->client, s->args->subject, plugin, &diag);
    if (!err) return CTL_EXIT_OK;
    if (err != WEIR_E_CANCELED) session_complain("%s", diag.text);
    bool file = err == WEIR_E_IO && weir_client_status(s->client) == 0;
    return file ? CTL_EXIT_USAGE : session_exit_code(err, weir_client_status(s->client));
}

static json_t *argument_list(const struct ctl_arguments *args, struct weir_diag *diag)
{
    json_t *list = json_array();
    for (int i = 0; list && i < args->n_job_args; i++) {
        if (json_array_append_new(list, json_string(args->job_args[i])) == 0) continue;
        weir_fail(diag, WEIR_E_ARGUMENT, "argument %d of the job cannot be sent: it is not UTF-8", i + 1);
        json_decref(list);
        return NULL;
    }
    return list;
}

/* The job's own options, of the definitions; nothing when there are none. */
static bool add_options(json_t *body, const struct ctl_arguments *args)
{
    json_t *options = json_object();
    bool good = options != NULL;
    for (uint32_t i = 0; good && i < args->n_definitions; i++) {
        const char *definition = args->definitions[i];
        size_t len = strcspn(definition, "=");
        if (arguments_is_job_option(definition))
            good = json_object_setn_new(options, definition, len, json_string(definition + len + 1)) == 0;
    }
    if (good && json_object_size(options) > 0) return json_object_set_new(body, "configuration", options) == 0;
    json_decref(options);
    return good;
}

char *submission_body(const struct ctl_arguments *args, const char *cwd, struct weir_diag *diag)
{
    weir_fail(diag, WEIR_E_ARGUMENT, "the job's name or the present folder cannot be sent: out of memory, or not UTF-8");
    json_t *list = argument_list(args, diag);
    if (!list) return NULL;
    json_t *body = json_pack("{s:i, s:o, s:s}", "parallelism", (int)args->parallelism, "args", list, "cwd", cwd);
    bool good = body != NULL;
    if (good) good = add_options(body, args);
    if (good && args->from) {
        char path[PATH_MAX];
        if (trigger_path(args->from, path, sizeof path, diag)) {
            json_decref(body);
            return NULL;
        }
        good = json_object_set_new(body, "savepointPath", json_string(path)) == 0 &&
               json_object_set_new(body, "claimMode", json_string(args->claim ? "CLAIM" : "NO_CLAIM")) == 0 &&
               json_object_set_new(body, "allowNonRestoredState", json_boolean(args->unmatched)) == 0;
    }
    if (good && args->name) good = json_object_set_new(body, "name", json_string(args->name)) == 0;
    if (good && args->progress_timeout_ms) {
        good = json_object_set_new(body, "progress_timeout_ms", json_integer(args->progress_timeout_ms)) == 0;
    }
    char *text = good ? json_dumps(body, JSON_COMPACT) : NULL;
    json_decref(body);
    return text;
}

int submission_post(struct session *s, const char *plugin, const char *what, json_t **answer)
{
    struct weir_diag diag;
    char *cwd = getcwd(NULL, 0);
    char *body = cwd ? submission_body(s->args, cwd, &diag) : NULL;
    if (!cwd) weir_fail_errno(&diag, errno, "cannot find out the present folder");
    free(cwd);
    if (!body) {
        session_complain("%s", diag.text);
        return CTL_EXIT_USAGE;
    }
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "/plugins/%s/%s", plugin, what);
    int failed = session_ask(s, "POST", path, body, answer);
    free(body);
    return failed;
}
