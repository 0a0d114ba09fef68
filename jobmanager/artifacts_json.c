/* SPDX-License-Identifier: Apache-2.0 */
#include "jobmanager/artifacts_json.h"

#include <stdio.h>
#include <stdlib.h>

#include "jobmanager/admin_json.h"
#include "runtime/base/limits.h"

static json_t *about_json(const struct store_artifact *about)
{
    char hex[WEIR_DIGEST_TEXT];
    json_t *o = json_object();
    (void)json_object_set_new(o, "id", json_string(digest_text(about->digest, hex)));
    (void)json_object_set_new(o, "name", admin_json_text(about->name));
    (void)json_object_set_new(o, "size", json_integer((json_int_t)about->size));
    (void)json_object_set_new(o, "uploaded", json_integer(about->uploaded_wall_ms));
    return o;
}

json_t *artifacts_json_list(const struct artifacts *a, uint32_t self)
{
    json_t *o = json_object(), *files = json_array();
    for (uint32_t i = 0; i < artifacts_count(a); i++) {
        const struct artifact *it = artifacts_at(a, i);
        if (it->state != ARTIFACT_STRAY) (void)json_array_append_new(files, about_json(&it->about));
    }
    (void)json_object_set_new(o, "epoch", json_integer((json_int_t)artifacts_epoch(a)));
    (void)json_object_set_new(o, "version", json_integer((json_int_t)artifacts_version(a)));
    (void)json_object_set_new(o, "leader", json_integer((json_int_t)self));
    (void)json_object_set_new(o, "files", files);
    return o;
}

json_t *artifacts_json_answer(const struct artifacts *a)
{
    char hex[WEIR_DIGEST_TEXT];
    json_t *o = json_object(), *missing = json_array();
    for (uint32_t i = 0; i < artifacts_count(a); i++) {
        const struct artifact *it = artifacts_at(a, i);
        if (!it->here) (void)json_array_append_new(missing, json_string(digest_text(it->about.digest, hex)));
    }
    (void)json_object_set_new(o, "fetched", json_integer((json_int_t)artifacts_bytes_fetched(a)));
    (void)json_object_set_new(o, "missing", missing);
    return o;
}

/* ---- parsers: what is no number in its range, or not there, is refused ---- */

static bool take_number(const json_t *o, const char *key, uint64_t max, uint64_t *out)
{
    const json_t *value = json_object_get(o, key);
    json_int_t n = json_integer_value(value);
    if (!json_is_integer(value) || n < 0 || (uint64_t)n > max) return false;
    *out = (uint64_t)n;
    return true;
}

static bool take_digest(const json_t *value, struct weir_digest *out)
{
    return json_is_string(value) && digest_parse(json_string_value(value), out);
}

static bool take_about(const json_t *o, struct store_artifact *out)
{
    uint64_t uploaded = 0;
    const char *name = json_string_value(json_object_get(o, "name"));
    if (!name || !take_digest(json_object_get(o, "id"), &out->digest) || !take_number(o, "size", WEIR_PLUGIN_MAX, &out->size) ||
        !take_number(o, "uploaded", INT64_MAX, &uploaded))
        return false;
    store_clean_name(name, out->name);
    out->uploaded_wall_ms = (int64_t)uploaded;
    return out->size > 0;
}

/* The array `key` of a document, of at most STORE_ARTIFACTS_MAX elements. */
static weir_err open_list(json_t *doc, const char *key, json_t **out, struct weir_diag *diag)
{
    *out = json_object_get(doc, key);
    if (!json_is_array(*out)) return weir_fail(diag, WEIR_E_PROTOCOL, "no document with an array \"%s\"", key);
    if (json_array_size(*out) > STORE_ARTIFACTS_MAX)
        return weir_fail(diag, WEIR_E_LIMIT, "more than %u plugins in one list", STORE_ARTIFACTS_MAX);
    return WEIR_OK;
}

static weir_err parse_list(struct artifacts_list *out, json_t *doc, struct weir_diag *diag)
{
    json_t *files;
    uint64_t leader = 0;
    weir_err err = open_list(doc, "files", &files, diag);
    if (err) return err;
    if (!take_number(doc, "epoch", INT64_MAX, &out->epoch) || !take_number(doc, "version", INT64_MAX, &out->version) ||
        !take_number(doc, "leader", UINT32_MAX, &leader))
        return weir_fail(diag, WEIR_E_PROTOCOL, "a list of plugins without \"epoch\", \"version\" and \"leader\"");
    out->leader = (uint32_t)leader;
    out->at = calloc(json_array_size(files) + 1, sizeof *out->at);
    if (!out->at) return weir_fail(diag, WEIR_E_NOMEM, "no memory for a list of plugins");
    for (; out->n < json_array_size(files); out->n++)
        if (!take_about(json_array_get(files, out->n), &out->at[out->n]))
            return weir_fail(diag, WEIR_E_PROTOCOL, "file %u of the list is no plugin", out->n);
    return WEIR_OK;
}

weir_err artifacts_json_parse_list(struct artifacts_list *out, struct weir_bytes text, struct weir_diag *diag)
{
    struct artifacts_list list = {0};
    json_t *doc = text.length ? json_loadb(text.data, text.length, JSON_REJECT_DUPLICATES, NULL) : NULL;
    weir_err err = parse_list(&list, doc, diag);
    json_decref(doc);
    if (err)
        free(list.at);
    else
        *out = list;
    return err;
}

static weir_err parse_answer(json_t *doc, uint64_t *fetched, struct weir_digest *missing, const json_t *list, struct weir_diag *diag)
{
    if (!take_number(doc, "fetched", INT64_MAX, fetched)) return weir_fail(diag, WEIR_E_PROTOCOL, "an answer without \"fetched\"");
    for (size_t i = 0; i < json_array_size(list); i++)
        if (!take_digest(json_array_get(list, i), &missing[i])) return weir_fail(diag, WEIR_E_PROTOCOL, "what is missing is no plugin");
    return WEIR_OK;
}

weir_err artifacts_json_parse_answer(struct weir_bytes text, uint64_t *fetched, struct weir_digest **missing, uint32_t *n,
                                     struct weir_diag *diag)
{
    json_t *list, *doc = text.length ? json_loadb(text.data, text.length, JSON_REJECT_DUPLICATES, NULL) : NULL;
    weir_err err = open_list(doc, "missing", &list, diag);
    struct weir_digest *found = err ? NULL : calloc(json_array_size(list) + 1, sizeof *found);
    if (!err && !found) err = weir_fail(diag, WEIR_E_NOMEM, "no memory for an answer");
    if (!err) err = parse_answer(doc, fetched, found, list, diag);
    if (err) {
        free(found);
    } else {
        *missing = found;
        *n = (uint32_t)json_array_size(list);
    }
    json_decref(doc);
    return err;
}
