/* SPDX-License-Identifier: Apache-2.0 */
/* The admin endpoint: checkpoints, savepoints, stop, rescale (docs/protocol/admin.md). */
#include <stdio.h>
#include <string.h>

#include "jobmanager/admin_internal.h"
#include "jobmanager/admin_json.h"
#include "runtime/base/limits.h"
#include "weir/stream.h"

/* What the body of a savepoint or stop says. */
struct target {
    const char *path;    /* "" = the job's folder of savepoints */
    const char *trigger; /* id of the request, so that it may be made again; "" = one is drawn */
    bool drain;
};

static weir_err take_savepoint(struct call *c, const char *key, json_t *value, void *out)
{
    struct target *t = out;
    if (strcmp(key, "target-directory") == 0) return admin_take_string(c, key, value, CKPT_TEXT_MAX - 1, &t->path);
    if (strcmp(key, "triggerId") == 0) return admin_take_string(c, key, value, WEIR_ID_TEXT - 1, &t->trigger);
    c->remedy = "known are target-directory, triggerId";
    return weir_fail(&c->diag, WEIR_E_ARGUMENT, "the field \"%s\" is unknown", key);
}

static weir_err take_stop(struct call *c, const char *key, json_t *value, void *out)
{
    struct target *t = out;
    if (strcmp(key, "targetDirectory") == 0) return admin_take_string(c, key, value, CKPT_TEXT_MAX - 1, &t->path);
    if (strcmp(key, "drain") == 0) return admin_take_bool(c, key, value, &t->drain);
    if (strcmp(key, "triggerId") == 0) return admin_take_string(c, key, value, WEIR_ID_TEXT - 1, &t->trigger);
    c->remedy = "known are targetDirectory, drain, triggerId";
    return weir_fail(&c->diag, WEIR_E_ARGUMENT, "the field \"%s\" is unknown", key);
}

static weir_err take_checkpoint(struct call *c, const char *key, json_t *value, void *out)
{
    struct target *t = out;
    if (strcmp(key, "triggerId") == 0) return admin_take_string(c, key, value, WEIR_ID_TEXT - 1, &t->trigger);
    c->remedy = "known is triggerId";
    return weir_fail(&c->diag, WEIR_E_ARGUMENT, "the field \"%s\" is unknown", key);
}

static weir_err choose_id(struct call *c, const char *trigger, struct weir_id *out)
{
    if (!trigger || !*trigger) {
        *out = id_random();
        return WEIR_OK;
    }
    if (id_parse(trigger, out) && !id_is_zero(*out)) return WEIR_OK;
    return weir_fail(&c->diag, WEIR_E_ARGUMENT, "triggerId '%s' is no id: 32 hex digits, not all of them zero", trigger);
}

/* Where a savepoint goes: as asked, or a folder of its own below the job's folder of savepoints. */
static weir_err choose_path(struct call *c, const struct job *job, const char *asked, struct ckpt_request *request)
{
    char jid[WEIR_ID_TEXT], rid[WEIR_ID_TEXT];
    const char *dir = job->options.savepoint_dir[0] ? job->options.savepoint_dir : c->admin->savepoint_dir;
    if (asked && *asked && asked[0] != '/')
        return weir_fail(&c->diag, WEIR_E_ARGUMENT, "the savepoint's folder '%s' is no absolute path", asked);
    if (asked && *asked)
        (void)snprintf(request->path, sizeof request->path, "%s", asked);
    else
        (void)snprintf(request->path, sizeof request->path, "%s/savepoint-%.8s-%.12s", dir, id_text(job->id, jid),
                       id_text(request->id, rid));
    return WEIR_OK;
}

static weir_err ask(struct call *c, const struct job *job, const struct ckpt_request *request)
{
    struct master_event ev = {.type = MASTER_EV_REQUEST};
    ev.request.job = job->id;
    ev.request.request = *request;
    c->admin->step(c->admin->arg, &ev, &c->diag);
    if (c->diag.code) return c->diag.code;
    job = master_job_find(c->admin->master, ev.request.job);
    const struct ckpt_request *taken = job && job->ckpt ? ckpt_find_request(job->ckpt, request->id) : NULL;
    if (taken && taken->awaited) c->awaits = request->id;
    c->awaits_key = JOB_KEY_REQUESTS;
    c->status = REST_ACCEPTED;
    return admin_give_id(c, "request-id", request->id);
}

static weir_err post(struct call *c, admin_take take, uint32_t options)
{
    struct target target = {.path = "", .trigger = ""};
    struct ckpt_request request = {.options = options};
    json_t *json = NULL;
    const struct job *job = admin_named_job(c);
    if (!job) return c->diag.code;
    weir_err err = admin_parse_body(c, take, &target, &json);
    if (!err) err = choose_id(c, target.trigger, &request.id);
    if (!err && target.drain) request.options |= CHECKPOINT_DRAIN;
    if (!err && (options & CHECKPOINT_SAVEPOINT)) err = choose_path(c, job, target.path, &request);
    json_decref(json);
    return err ? err : ask(c, job, &request);
}

weir_err admin_post_savepoint(struct call *c)
{
    return post(c, take_savepoint, CHECKPOINT_SAVEPOINT);
}

weir_err admin_post_stop(struct call *c)
{
    return post(c, take_stop, CHECKPOINT_SAVEPOINT | CHECKPOINT_STOP);
}

weir_err admin_post_checkpoint(struct call *c)
{
    return post(c, take_checkpoint, 0);
}

weir_err admin_patch_rescaling(struct call *c)
{
    uint64_t parallelism = 0;
    const char *text = rest_query(c->request, "parallelism");
    const struct job *job = admin_named_job(c);
    if (!job) return c->diag.code;
    if (!text || !rest_number(text, WEIR_PARALLELISM_MAX, &parallelism) || !parallelism)
        return weir_fail(&c->diag, WEIR_E_ARGUMENT, "the query needs parallelism=N, a whole number from 1 to %d", WEIR_PARALLELISM_MAX);
    struct ckpt_request request = {
        .options = CHECKPOINT_SAVEPOINT | CHECKPOINT_STOP, .parallelism = (uint32_t)parallelism, .successor = id_random()};
    if (choose_id(c, rest_query(c->request, "triggerId"), &request.id)) return c->diag.code;
    if (parallelism == job->parallelism)
        return weir_fail(&c->diag, WEIR_E_STATE, "the job's parallelism is %llu already", (unsigned long long)parallelism);
    weir_err err = choose_path(c, job, "", &request);
    return err ? err : ask(c, job, &request);
}

weir_err admin_get_request(struct call *c)
{
    struct weir_id id;
    const struct job *job = admin_named_job(c);
    if (!job) return c->diag.code;
    const struct ckpt_request *request = job->ckpt && id_parse(c->param[1], &id) ? ckpt_find_request(job->ckpt, id) : NULL;
    if (request) return admin_give(c, admin_json_request(job, request));
    c->remedy = "the job remembers its last 16 requests: look at GET /jobs/:id/checkpoints";
    return weir_fail(&c->diag, WEIR_E_NOT_FOUND, "the job has no request '%s'", c->param[1]);
}

weir_err admin_get_checkpoints(struct call *c)
{
    const struct job *job = admin_named_job(c);
    return job ? admin_give(c, admin_json_checkpoints(job)) : c->diag.code;
}

weir_err admin_get_checkpoint_config(struct call *c)
{
    const struct job *job = admin_named_job(c);
    return job ? admin_give(c, admin_json_checkpoint_config(job)) : c->diag.code;
}
