/* SPDX-License-Identifier: Apache-2.0 */
/* The admin endpoint: live configuration (docs/protocol/admin.md). It shows and checks; it is changed in the coordination tree. */
#include <stdio.h>
#include <string.h>

#include "jobmanager/admin_internal.h"
#include "jobmanager/admin_json.h"

static json_t *setting_json(const struct live_setting *s)
{
    json_t *o = json_object();
    (void)json_object_set_new(o, "job", admin_json_text(s->job));
    (void)json_object_set_new(o, "key", admin_json_text(s->key));
    (void)json_object_set_new(o, "value", admin_json_text(s->value));
    (void)json_object_set_new(o, "counts", json_boolean(s->counts));
    (void)json_object_set_new(o, "refused", admin_json_text(s->refusal));
    return o;
}

weir_err admin_get_live(struct call *c)
{
    const struct live_setting *at;
    uint32_t n = master_live(c->admin->master, &at);
    json_t *o = json_object(), *list = json_array();
    for (uint32_t i = 0; i < n; i++) (void)json_array_append_new(list, setting_json(&at[i]));
    (void)json_object_set_new(o, "settings", list);
    return admin_give(c, o);
}

/* What the body says. */
struct asked {
    const char *job, *key, *value;
};

static weir_err take_field(struct call *c, const char *key, json_t *value, void *out)
{
    struct asked *a = out;
    if (strcmp(key, "job") == 0) return admin_take_string(c, key, value, WEIR_ID_TEXT - 1, &a->job);
    if (strcmp(key, "key") == 0) return admin_take_string(c, key, value, CONFIG_NAME_MAX, &a->key);
    if (strcmp(key, "value") == 0) return admin_take_string(c, key, value, LIVE_VALUE_MAX, &a->value);
    c->remedy = "known are job, key, value";
    return weir_fail(&c->diag, WEIR_E_ARGUMENT, "the field \"%s\" is unknown", key);
}

/* Without a value it is to be unset, which anything may that is there. */
static weir_err check(struct call *c, const struct asked *a, char path[static LIVE_PATH_MAX])
{
    struct live_setting s;
    live_path(a->job ? a->job : "", a->key ? a->key : "", path);
    if (!live_parse_path(path, &s))
        return weir_fail(&c->diag, WEIR_E_ARGUMENT, "'%s' is no key, or '%s' no job", a->key ? a->key : "", a->job ? a->job : "");
    if (!a->value) return WEIR_OK;
    (void)snprintf(s.value, sizeof s.value, "%s", a->value);
    return master_live_check(c->admin->master, &s, &c->diag);
}

weir_err admin_check_live(struct call *c)
{
    struct asked asked = {0};
    json_t *json = NULL;
    char path[LIVE_PATH_MAX];
    weir_err err = admin_parse_body(c, take_field, &asked, &json);
    if (!err) err = check(c, &asked, path);
    json_decref(json);
    if (err) return err;
    json_t *o = json_object();
    (void)json_object_set_new(o, "path", admin_json_text(path));
    (void)json_object_set_new(o, "coordination", admin_json_text(master_coordination(c->admin->master)));
    return admin_give(c, o);
}
