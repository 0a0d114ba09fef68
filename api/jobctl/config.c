/* SPDX-License-Identifier: Apache-2.0 */
#include "api/jobctl/config.h"

#include "api/jobctl/exit.h"
#include "api/jobctl/field.h"
#include "api/jobctl/table.h"
#include "weir/coord_recipes.h"
#include <string.h>

weir_err config_check(struct ctl_arguments *args, const char *const *operands, unsigned n, struct weir_diag *diag)
{
    static const struct {
        const char *verb;
        unsigned n;
    } verbs[] = {{"list", 1}, {"get", 2}, {"unset", 2}, {"set", 3}};
    unsigned i = 0;
    args->verb = n ? operands[0] : "list";
    args->key = n > 1 ? operands[1] : NULL;
    args->value = n > 2 ? operands[2] : NULL;
    while (i < 4 && strcmp(verbs[i].verb, args->verb) != 0) i++;
    if (i == 4 || (n ? n : 1) != verbs[i].n)
        return weir_fail(diag, WEIR_E_ARGUMENT, "the use is `jobctl config [list | get KEY | set KEY VALUE | unset KEY]`");
    return WEIR_OK;
}

/* ---- showing ---- */

/* Of the job that --job names, or, without, of everything. */
static bool is_asked_for(const struct session *s, const char *job, const json_t *setting)
{
    if (s->args->job && strcmp(field_text(setting, "job"), job) != 0) return false;
    if (s->args->key && !s->args->job && *field_text(setting, "job")) return false;
    return !s->args->key || strcmp(field_text(setting, "key"), s->args->key) == 0;
}

static json_t *choose(const struct session *s, const char *job, const json_t *doc)
{
    json_t *list = json_array();
    size_t i;
    json_t *setting;
    json_array_foreach(field_list(doc, "settings"), i, setting)
    {
        if (is_asked_for(s, job, setting)) (void)json_array_append(list, setting);
    }
    return list;
}

static weir_err view_settings(const json_t *list, FILE *out)
{
    static const struct table_column columns[] = {{"KEY", TABLE_LEFT}, {"VALUE", TABLE_LEFT}, {"JOB", TABLE_LEFT}, {"REFUSED", TABLE_WRAP}};
    struct table *t = table_new(columns, sizeof columns / sizeof *columns);
    size_t i;
    const json_t *setting;
    json_array_foreach(list, i, setting)
    {
        table_row(t);
        table_cell(t, field_text(setting, "key"));
        table_cell(t, json_is_true(json_object_get(setting, "counts")) ? field_text(setting, "value") : "");
        table_cellf(t, "%.12s", field_text(setting, "job"));
        table_cell(t, field_text(setting, "refused"));
    }
    weir_err err = table_print(t, out);
    table_destroy(&t);
    return err;
}

/* `get`: the bare value, for scripts. */
static int print_value(const struct session *s, const json_t *list)
{
    const json_t *setting = json_array_get(list, 0);
    if (!setting) {
        session_complain("%s is not configured live: the configuration of the start counts", s->args->key);
        return CTL_EXIT_FAILED;
    }
    if (*field_text(setting, "refused")) session_complain("refused: %s", field_text(setting, "refused"));
    if (!json_is_true(json_object_get(setting, "counts"))) return CTL_EXIT_FAILED;
    if (s->args->format == CTL_JSON) return session_print(s, setting, view_settings);
    (void)printf("%s\n", field_text(setting, "value"));
    return CTL_EXIT_OK;
}

static int show(struct session *s, const char *job)
{
    json_t *doc = NULL;
    int code = session_ask(s, "GET", "/config/live", NULL, &doc);
    if (code) return code;
    json_t *list = choose(s, job, doc);
    code = s->args->key ? print_value(s, list) : session_print(s, list, view_settings);
    json_decref(list);
    json_decref(doc);
    return code;
}

/* ---- changing ---- */

static enum weir_coord_err change(struct weir_coord *coord, const struct ctl_arguments *a, const char *path)
{
    if (a->value) return weir_coord_config_set(coord, path, a->value, (uint32_t)strlen(a->value));
    return weir_coord_delete(coord, path, WEIR_COORD_ANY_VERSION);
}

static int change_tree(const struct session *s, const char *servers, const char *path)
{
    struct weir_coord *coord = NULL;
    struct weir_diag diag;
    struct weir_coord_config config = {.servers = servers, .request_timeout_ms = (uint32_t)s->args->timeout_ms};
    weir_err failed = weir_coord_open(&coord, &config, &diag);
    if (failed) {
        session_complain("the coordination at %s cannot be asked: %s", servers, diag.text);
        return session_exit_code(failed, 0);
    }
    enum weir_coord_err err = change(coord, s->args, path);
    weir_coord_close(&coord);
    if (err == WEIR_COORD_NO_NODE) {
        session_complain("%s is not configured live: there is nothing to unset", s->args->key);
        return CTL_EXIT_FAILED;
    }
    if (!err) return CTL_EXIT_OK;
    session_complain("%s in the coordination tree: %s: %s", path, weir_coord_err_name(err), weir_coord_err_words(err));
    return err == WEIR_COORD_OPERATION_TIMEOUT ? CTL_EXIT_UNREACHABLE : CTL_EXIT_FAILED;
}

/* The JobManager says whether the value may be, and where it goes. */
static int change_setting(struct session *s, const char *job)
{
    json_t *doc = NULL, *body = json_pack("{s:s, s:s, s:s*}", "job", job, "key", s->args->key, "value", s->args->value);
    char *text = json_dumps(body, JSON_COMPACT);
    if (!text) session_complain("key and value must be UTF-8 text");
    int code = text ? session_ask(s, "POST", "/config/live/check", text, &doc) : CTL_EXIT_USAGE;
    if (!code) code = change_tree(s, field_text(doc, "coordination"), field_text(doc, "path"));
    free(text);
    json_decref(body);
    json_decref(doc);
    return code;
}

int config_command(struct session *s)
{
    char job[RESOLVE_ID_MAX] = "";
    if (s->args->job) {
        struct ctl_arguments named = *s->args;
        struct session of_job = {.args = &named, .client = s->client};
        named.subject = s->args->job;
        int code = session_find_job(&of_job, job);
        if (code) return code;
    }
    return strcmp(s->args->verb, "set") == 0 || strcmp(s->args->verb, "unset") == 0 ? change_setting(s, job) : show(s, job);
}
