/* SPDX-License-Identifier: Apache-2.0 */
#include "api/jobctl/session.h"

#include "api/jobctl/exit.h"
#include "api/jobctl/field.h"
#include "api/jobctl/interrupt.h"
#include <errno.h>
#include <stdarg.h>
#include <string.h>

void session_complain(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    fputs("jobctl: ", stderr);
    vfprintf(stderr, fmt, args);
    fputc('\n', stderr);
    va_end(args);
}

int session_exit_code(weir_err err, uint32_t status)
{
    if (!err) return CTL_EXIT_OK;
    if (status >= 400) return CTL_EXIT_REFUSED;
    switch (err) {
    case WEIR_E_UNREACHABLE:
    case WEIR_E_TIMEOUT:
    case WEIR_E_PROTOCOL: return CTL_EXIT_UNREACHABLE; /* what answers is no JobManager */
    case WEIR_E_CANCELED: return CTL_EXIT_INTERRUPTED;
    case WEIR_E_DENIED: return CTL_EXIT_REFUSED;
    case WEIR_E_ARGUMENT:
    case WEIR_E_UNSUPPORTED:
    case WEIR_E_NOT_FOUND:
    case WEIR_E_LIMIT: return CTL_EXIT_USAGE; /* the endpoint or the file named on the command line */
    default: return CTL_EXIT_FAILED;
    }
}

int session_open(struct session *s, const struct ctl_arguments *args, const char *endpoint)
{
    *s = (struct session){.args = args};
    struct weir_diag diag;
    const struct weir_client_config config = {.endpoint = endpoint, .timeout_ms = args->timeout_ms, .interrupted = interrupt_asked};
    weir_err err = weir_client_new(&s->client, &config, &diag);
    if (err) session_complain("%s", diag.text);
    return session_exit_code(err, 0);
}

int session_start(struct session *s, struct local **local, const struct ctl_arguments *args, const struct local_config *config)
{
    struct weir_diag diag;
    weir_err err = local_new(local, config, &diag);
    if (err) {
        session_complain("cannot start the local cluster: %s", diag.text);
        return CTL_EXIT_LOCAL;
    }
    int failed = session_open(s, args, local_admin(*local));
    if (failed) return CTL_EXIT_LOCAL;
    err = local_wait_ready(*local, s->client, &diag);
    if (!err) return CTL_EXIT_OK;
    if (err == WEIR_E_CANCELED) return CTL_EXIT_INTERRUPTED;
    session_complain("cannot start the local cluster: %s", diag.text);
    local_print_logs(*local, stderr);
    return err == WEIR_E_ARGUMENT && config->n_definitions ? CTL_EXIT_USAGE : CTL_EXIT_LOCAL; /* a daemon has refused a -D */
}

void session_close(struct session *s)
{
    weir_client_destroy(&s->client);
}

/* A closing brace or a quote missing is a broken answer, not a refusal. */
static int parse_document(const struct weir_reply *reply, json_t **out)
{
    json_error_t why;
    json_t *doc = json_loadb(reply->body, reply->len, JSON_REJECT_DUPLICATES, &why);
    if (doc) {
        *out = doc;
        return CTL_EXIT_OK;
    }
    char text[JSON_ERROR_TEXT_LENGTH];
    snprintf(text, sizeof text, "%s", why.text);
    for (char *c = text; *c; c++) *c = (unsigned char)*c < 0x20 || *c == 0x7f ? '?' : *c;
    session_complain("the JobManager's answer is not JSON (line %d: %s): is it of another version?", why.line, text);
    return CTL_EXIT_UNREACHABLE;
}

static int take_answer(const struct session *s, weir_err err, const struct weir_diag *diag, struct weir_reply *reply, json_t **out)
{
    if (err) {
        if (err != WEIR_E_CANCELED) session_complain("%s", diag->text); /* who pressed Ctrl-C knows */
        return session_exit_code(err, weir_client_status(s->client));
    }
    int failed = out ? parse_document(reply, out) : CTL_EXIT_OK;
    weir_reply_close(reply);
    return failed;
}

int session_ask(struct session *s, const char *method, const char *path, const char *body, json_t **out)
{
    struct weir_diag diag;
    struct weir_reply reply = {0};
    weir_err err = weir_client_request(s->client, method, path, body, &reply, &diag);
    return take_answer(s, err, &diag, &reply, out);
}

int session_ask_once(struct session *s, const char *method, const char *path, const char *body, json_t **out)
{
    struct weir_diag diag;
    struct weir_reply reply = {0};
    weir_err err = weir_client_request_once(s->client, method, path, body, &reply, &diag);
    return take_answer(s, err, &diag, &reply, out);
}

static int find(struct session *s, const struct resolve_kind *kind, const char *path, const char *list, char id[static RESOLVE_ID_MAX])
{
    const char *typed = s->args->subject;
    if (resolve_is_id(kind, typed)) {
        snprintf(id, RESOLVE_ID_MAX, "%s", typed);
        return CTL_EXIT_OK;
    }
    json_t *doc = NULL;
    int failed = session_ask(s, "GET", path, NULL, &doc);
    if (failed) return failed;
    struct weir_diag diag;
    weir_err err = resolve_find(kind, field_list(doc, list), typed, id, &diag);
    json_decref(doc);
    if (!err) return CTL_EXIT_OK;
    session_complain("%s", diag.text);
    return err == WEIR_E_NOT_FOUND ? CTL_EXIT_REFUSED : CTL_EXIT_USAGE;
}

int session_find_job(struct session *s, char id[static RESOLVE_ID_MAX])
{
    return find(s, &resolve_job, "/jobs/overview", "jobs", id);
}

int session_find_plugin(struct session *s, char id[static RESOLVE_ID_MAX])
{
    return find(s, &resolve_plugin, "/plugins", "files", id);
}

int session_print(const struct session *s, const json_t *doc, weir_err (*view)(const json_t *doc, FILE *out))
{
    weir_err err = WEIR_OK;
    if (s->args->format == CTL_JSON) {
        bool written = json_dumpf(doc, stdout, JSON_INDENT(2)) == 0 && fputc('\n', stdout) != EOF;
        err = written ? WEIR_OK : WEIR_E_IO;
    } else {
        err = view(doc, stdout);
    }
    errno = 0;
    if (fflush(stdout) != 0 || ferror(stdout)) err = WEIR_E_IO;
    if (!err) return CTL_EXIT_OK;
    if (err == WEIR_E_NOMEM) session_complain("out of memory");
    if (err == WEIR_E_IO && errno != EPIPE)
        session_complain("cannot write to standard output%s%s", errno ? ": " : "", errno ? strerror(errno) : "");
    return CTL_EXIT_FAILED;
}
