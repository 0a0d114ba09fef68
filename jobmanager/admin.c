/* SPDX-License-Identifier: Apache-2.0 */
#include "jobmanager/admin.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jobmanager/admin_internal.h"
#include "jobmanager/admin_json.h"
#include "jobmanager/artifacts_json.h"
#include "runtime/base/clock.h"
#include "runtime/base/folder.h"

enum { PROGRESS_TIMEOUT_MAX_MS = 24 * 3600 * 1000 };

typedef weir_err (*handler)(struct call *c);

weir_err admin_give(struct call *c, json_t *json)
{
    if (!json) return weir_fail(&c->diag, WEIR_E_NOMEM, "no memory for the answer");
    c->json = json;
    return WEIR_OK;
}

static weir_err give_empty(struct call *c)
{
    return admin_give(c, json_object());
}

/* ---- cluster ---- */

static weir_err get_overview(struct call *c)
{
    return admin_give(c, admin_json_overview(c->admin->master));
}

static json_t *limits_json(struct heartbeat heartbeat)
{
    json_t *o = json_object();
    const struct {
        const char *name;
        json_int_t value;
    } limits[] = {
        {"admin-bytes", WEIR_ADMIN_MAX},
        {"chunk-bytes", WEIR_CHUNK_BYTES},
        {"plugin-bytes", WEIR_PLUGIN_MAX},
        {"jobs-active", WEIR_JOBS_ACTIVE_MAX},
        {"jobs-kept", WEIR_JOBS_KEPT_MAX},
        {"taskmanagers", WEIR_TASKMANAGERS_MAX},
        {"args", WEIR_ARGS_MAX},
        {"slot-wait-ms", WEIR_SLOT_WAIT_MS},
        {"describe-timeout-ms", WEIR_DESCRIBE_TIMEOUT_MS},
        {"plugins", STORE_ARTIFACTS_MAX},
        {"uploads", STORE_UPLOADS_MAX},
        {"heartbeat-interval-ms", heartbeat.interval_ms},
        {"heartbeat-timeout-ms", heartbeat.timeout_ms},
    };
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++)
        (void)json_object_set_new(o, limits[i].name, json_integer(limits[i].value));
    return o;
}

static weir_err get_config(struct call *c)
{
    const struct admin *a = c->admin;
    json_t *o = json_object();
    (void)json_object_set_new(o, "weir-version", admin_json_text(WEIR_VERSION));
    (void)json_object_set_new(o, "control", admin_json_text(a->control));
    (void)json_object_set_new(o, "admin", admin_json_text(a->endpoint));
    (void)json_object_set_new(o, "data-dir", admin_json_text(a->data_dir));
    (void)json_object_set_new(o, "epoch", json_integer((json_int_t)master_epoch(a->master)));
    (void)json_object_set_new(o, "limits", limits_json(master_heartbeat(a->master)));
    (void)json_object_set_new(o, "counters", admin_json_counters(a->master));
    return admin_give(c, o);
}

static weir_err get_taskmanagers(struct call *c)
{
    return admin_give(c, admin_json_taskmanagers(c->admin->master, clock_wall_ms()));
}

static weir_err get_taskmanager(struct call *c)
{
    const struct master *m = c->admin->master;
    for (uint32_t i = 0; i < master_n_taskmanagers(m); i++) {
        const struct cluster_member *member = master_taskmanager_at(m, i);
        if (strcmp(member->id, c->param[0]) == 0) return admin_give(c, admin_json_taskmanager(member, clock_wall_ms()));
    }
    c->remedy = "GET /taskmanagers lists those that are registered";
    return weir_fail(&c->diag, WEIR_E_NOT_FOUND, "no TaskManager '%s' is registered", c->param[0]);
}

/* ---- plugins ---- */

static weir_err get_plugins(struct call *c)
{
    return admin_give(c, admin_json_plugins(c->admin->artifacts));
}

static weir_err number_query(struct call *c, const char *name, uint64_t max, uint64_t *out)
{
    const char *text = rest_query(c->request, name);
    if (text && rest_number(text, max, out)) return WEIR_OK;
    return weir_fail(&c->diag, WEIR_E_ARGUMENT, "the query needs %s=N, a whole number of at most %llu", name, (unsigned long long)max);
}

static weir_err post_plugins(struct call *c)
{
    uint64_t size = 0;
    weir_err err = number_query(c, "size", UINT64_MAX, &size);
    if (err) return err;
    if (size > WEIR_PLUGIN_MAX) c->status = REST_TOO_LARGE;
    const char *name = rest_query(c->request, "name");
    struct weir_id upload;
    err = store_upload_begin(c->admin->store, size, name && *name ? name : "plugin.so", clock_mono_ms(), &upload, &c->diag);
    if (err) return err;
    char text[WEIR_ID_TEXT];
    json_t *o = json_object();
    (void)json_object_set_new(o, "upload", json_string(id_text(upload, text)));
    (void)json_object_set_new(o, "chunk-bytes", json_integer(WEIR_CHUNK_BYTES));
    c->status = REST_CREATED;
    return admin_give(c, o);
}

static json_t *upload_json(const struct store_progress *p)
{
    json_t *o = json_object();
    (void)json_object_set_new(o, "offset", json_integer((json_int_t)p->received));
    if (!p->complete) return o;
    char hex[WEIR_DIGEST_TEXT];
    (void)json_object_set_new(o, "id", json_string(digest_text(p->artifact.digest, hex)));
    (void)json_object_set_new(o, "filename", admin_json_text(p->artifact.name));
    (void)json_object_set_new(o, "size", json_integer((json_int_t)p->artifact.size));
    (void)json_object_set_new(o, "status", json_string("success"));
    return o;
}

static weir_err put_chunk(struct call *c)
{
    uint64_t offset = 0;
    struct weir_id upload;
    struct store_progress progress;
    if (!id_parse(c->param[0], &upload)) return weir_fail(&c->diag, WEIR_E_NOT_FOUND, "there is no upload '%s'", c->param[0]);
    weir_err err = number_query(c, "offset", WEIR_PLUGIN_MAX, &offset);
    if (err) return err;
    if (c->request->body.length > WEIR_CHUNK_BYTES) {
        c->status = REST_TOO_LARGE;
        return weir_fail(&c->diag, WEIR_E_LIMIT, "a chunk has at most %u bytes", WEIR_CHUNK_BYTES);
    }
    err = store_upload_chunk(c->admin->store, upload, offset, c->request->body, clock_mono_ms(), &progress, &c->diag);
    if (err) return err;
    if (progress.complete) c->status = REST_CREATED;
    if (progress.complete && artifacts_offer(c->admin->artifacts, &progress.artifact, clock_mono_ms())) {
        c->awaits = admin_ticket(progress.artifact.digest);
        c->awaits_key = JOB_KEYS;
    }
    return admin_give(c, upload_json(&progress));
}

/* The plugin the path names, or NULL with the words. */
static const struct store_artifact *named_plugin(struct call *c)
{
    struct weir_digest digest;
    const struct artifact *a = digest_parse(c->param[0], &digest) ? artifacts_find(c->admin->artifacts, digest) : NULL;
    if (a) return &a->about;
    c->remedy = "GET /plugins lists the known ones; upload it first";
    (void)weir_fail(&c->diag, WEIR_E_NOT_FOUND, "there is no plugin '%s'", c->param[0]);
    return NULL;
}

static const struct job *user_of(const struct master *m, struct weir_digest digest)
{
    for (uint32_t i = 0; i < master_n_jobs(m); i++) {
        const struct job *job = master_job_at(m, i);
        if (!job_state_terminal(job->state) && digest_equal(job->digest, digest)) return job;
    }
    return NULL;
}

static weir_err delete_plugin(struct call *c)
{
    const struct store_artifact *a = named_plugin(c);
    if (!a) return c->diag.code;
    const struct job *job = user_of(c->admin->master, a->digest);
    if (job) {
        char id[WEIR_ID_TEXT];
        c->remedy = "cancel the job, or wait for its end";
        return weir_fail(&c->diag, WEIR_E_STATE, "job %s still uses the plugin", id_text(job->id, id));
    }
    struct store_artifact gone = *a;
    struct master_event ev = {.type = MASTER_EV_ARTIFACT, .artifact = {.remove = true, .about = &gone}};
    artifacts_delete(c->admin->artifacts, gone.digest);
    c->admin->step(c->admin->arg, &ev, &c->diag);
    return give_empty(c);
}

/* ---- between JobManagers ---- */

static weir_err put_replicas(struct call *c)
{
    struct artifacts *a = c->admin->artifacts;
    struct artifacts_list list;
    weir_err err = artifacts_json_parse_list(&list, c->request->body, &c->diag);
    if (err) return err;
    err = artifacts_take(a, list.epoch, list.version, list.leader, list.at, list.n, &c->diag);
    free(list.at);
    return err ? err : admin_give(c, artifacts_json_answer(a));
}

static weir_err get_bytes(struct call *c)
{
    uint64_t offset = 0;
    struct weir_digest digest;
    if (!digest_parse(c->param[0], &digest) || !store_find(c->admin->store, digest))
        return weir_fail(&c->diag, WEIR_E_NOT_FOUND, "the plugin '%s' is not here", c->param[0]);
    weir_err err = number_query(c, "offset", WEIR_PLUGIN_MAX, &offset);
    if (err) return err;
    c->bytes = malloc(WEIR_CHUNK_BYTES);
    if (!c->bytes) return weir_fail(&c->diag, WEIR_E_NOMEM, "no memory for the answer");
    return store_read(c->admin->store, digest, offset, c->bytes, WEIR_CHUNK_BYTES, &c->n_bytes, &c->diag);
}

/* ---- run: the body of a submission ---- */

struct run_body {
    json_t *json;
    const char *name, *cwd;
    uint64_t parallelism, progress_timeout_ms;
    uint32_t n_options;
    struct job_option options[JOB_OPTIONS_MAX]; /* into json */
    const char *from;
    bool claim, unmatched;
    uint32_t n_args;
    const char *args[WEIR_ARGS_MAX]; /* into json; args[0] is the name */
};

weir_err admin_wrong_field(struct call *c, const char *key, const char *wanted)
{
    return weir_fail(&c->diag, WEIR_E_ARGUMENT, "the field \"%s\" is not %s", key, wanted);
}

weir_err admin_take_string(struct call *c, const char *key, const json_t *value, size_t max, const char **out)
{
    if (!json_is_string(value) || json_string_length(value) > max) return admin_wrong_field(c, key, "a string, or it is too long");
    *out = json_string_value(value);
    return WEIR_OK;
}

static weir_err take_count(struct call *c, const char *key, const json_t *value, uint64_t max, uint64_t *out)
{
    json_int_t n = json_integer_value(value);
    if (!json_is_integer(value) || n < 0 || (uint64_t)n > max) return admin_wrong_field(c, key, "a whole number in its range");
    *out = (uint64_t)n;
    return WEIR_OK;
}

static weir_err take_args(struct call *c, const json_t *value, struct run_body *run)
{
    size_t n = json_array_size(value);
    if (!json_is_array(value)) return admin_wrong_field(c, "args", "an array of strings");
    if (n + 1 > WEIR_ARGS_MAX) return weir_fail(&c->diag, WEIR_E_ARGUMENT, "a job has at most %d arguments", WEIR_ARGS_MAX - 1);
    for (size_t i = 0; i < n; i++) {
        weir_err err = admin_take_string(c, "args", json_array_get(value, i), WEIR_ARG_BYTES_MAX, &run->args[i + 1]);
        if (err) return err;
    }
    run->n_args = (uint32_t)n + 1;
    return WEIR_OK;
}

weir_err admin_take_bool(struct call *c, const char *key, const json_t *value, bool *out)
{
    if (!json_is_boolean(value)) return admin_wrong_field(c, key, "true or false");
    *out = json_boolean_value(value);
    return WEIR_OK;
}

static weir_err take_options(struct call *c, json_t *value, struct run_body *run)
{
    const char *key;
    json_t *text;
    if (!json_is_object(value)) return admin_wrong_field(c, "configuration", "an object of strings");
    if (json_object_size(value) > JOB_OPTIONS_MAX)
        return weir_fail(&c->diag, WEIR_E_ARGUMENT, "a job takes at most %u options", JOB_OPTIONS_MAX);
    json_object_foreach(value, key, text)
    {
        struct job_option *option = &run->options[run->n_options];
        option->key = key;
        weir_err err = admin_take_string(c, key, text, PATH_MAX - 1, &option->value);
        if (err) return err;
        run->n_options++;
    }
    return WEIR_OK;
}

static weir_err take_claim(struct call *c, const char *key, const json_t *value, struct run_body *run)
{
    const char *mode = "";
    weir_err err = admin_take_string(c, key, value, 16, &mode);
    if (err) return err;
    run->claim = strcmp(mode, "CLAIM") == 0;
    return run->claim || strcmp(mode, "NO_CLAIM") == 0 ? WEIR_OK : admin_wrong_field(c, key, "CLAIM or NO_CLAIM");
}

static weir_err take_field(struct call *c, const char *key, json_t *value, void *out)
{
    struct run_body *run = out;
    if (strcmp(key, "name") == 0) return admin_take_string(c, key, value, WEIR_NAME_MAX, &run->name);
    if (strcmp(key, "cwd") == 0) return admin_take_string(c, key, value, PATH_MAX - 1, &run->cwd);
    if (strcmp(key, "parallelism") == 0) return take_count(c, key, value, UINT32_MAX, &run->parallelism);
    if (strcmp(key, "progress_timeout_ms") == 0) return take_count(c, key, value, PROGRESS_TIMEOUT_MAX_MS, &run->progress_timeout_ms);
    if (strcmp(key, "args") == 0) return take_args(c, value, run);
    if (strcmp(key, "configuration") == 0) return take_options(c, value, run);
    if (strcmp(key, "savepointPath") == 0) return admin_take_string(c, key, value, CKPT_TEXT_MAX - 1, &run->from);
    if (strcmp(key, "claimMode") == 0) return take_claim(c, key, value, run);
    if (strcmp(key, "allowNonRestoredState") == 0) return admin_take_bool(c, key, value, &run->unmatched);
    c->remedy =
        "known are name, parallelism, args, cwd, progress_timeout_ms, configuration, savepointPath, claimMode, allowNonRestoredState";
    return weir_fail(&c->diag, WEIR_E_ARGUMENT, "the field \"%s\" is unknown", key);
}

weir_err admin_parse_body(struct call *c, admin_take take, void *out, json_t **json)
{
    struct weir_bytes body = c->request->body;
    json_error_t error;
    const char *key;
    json_t *value;
    *json = body.length == 0 ? json_object() : json_loadb(body.data, body.length, JSON_REJECT_DUPLICATES, &error);
    if (!*json) return weir_fail(&c->diag, WEIR_E_ARGUMENT, "the body is not JSON: line %d: %s", error.line, error.text);
    if (!json_is_object(*json)) return weir_fail(&c->diag, WEIR_E_ARGUMENT, "the body is not a JSON object");
    json_object_foreach(*json, key, value)
    {
        weir_err err = take(c, key, value, out);
        if (err) return err;
    }
    return WEIR_OK;
}

static weir_err parse_run(struct call *c, struct run_body *run)
{
    *run = (struct run_body){.name = "", .cwd = "/", .n_args = 1};
    weir_err err = admin_parse_body(c, take_field, run, &run->json);
    if (err) return err;
    if (run->cwd[0] != '/') return admin_wrong_field(c, "cwd", "an absolute path");
    run->args[0] = run->name;
    return WEIR_OK;
}

static struct job_submission submission_of(const struct store_artifact *plugin, const struct run_body *run)
{
    return (struct job_submission){
        .id = id_random(),
        .digest = plugin->digest,
        .size = plugin->size,
        .name = run->name,
        .cwd = run->cwd,
        .parallelism = (uint32_t)run->parallelism,
        .progress_timeout_ms = (uint32_t)run->progress_timeout_ms,
        .n_args = run->n_args,
        .args = run->args,
        .n_options = run->n_options,
        .options = run->options,
        .from = run->from,
        .from_claim = run->claim,
        .from_unmatched = run->unmatched,
    };
}

weir_err admin_give_id(struct call *c, const char *key, struct weir_id id)
{
    char text[WEIR_ID_TEXT];
    json_t *o = json_object();
    (void)json_object_set_new(o, key, json_string(id_text(id, text)));
    return admin_give(c, o);
}

/* Asked for now, so made now; later on a folder that is missing is a storage that is away. */
static weir_err make_checkpoint_dir(struct call *c, const struct job_submission *sub)
{
    weir_err err = WEIR_OK;
    for (uint32_t i = 0; i < sub->n_options && !err; i++) {
        const char *dir = sub->options[i].value;
        if (strcmp(sub->options[i].key, "execution.checkpointing.dir") == 0 && dir[0] == '/') err = folder_have(dir, &c->diag);
    }
    return err;
}

static weir_err submit(struct call *c, const struct job_submission *sub)
{
    weir_err err = make_checkpoint_dir(c, sub);
    if (err) return err;
    struct master_event ev = {.type = MASTER_EV_SUBMIT, .submit = *sub};
    c->admin->step(c->admin->arg, &ev, &c->diag);
    if (c->diag.code) return c->diag.code;
    c->awaits = sub->id;
    c->awaits_key = JOB_KEY_SUBMISSION;
    return admin_give_id(c, "jobid", sub->id);
}

/* What keeps the description from starting is told like what ends it: by the answer. */
static weir_err plan(struct call *c, const struct job_submission *sub)
{
    struct admin *a = c->admin;
    struct weir_diag diag;
    weir_err err = plans_begin(a->plans, sub, clock_mono_ms(), &c->diag);
    if (err) return err;
    err = a->describe(a->arg, sub, &diag);
    if (err) (void)plans_described(a->plans, sub->id, err, diag.text, NULL, clock_mono_ms());
    c->status = REST_ACCEPTED;
    return admin_give_id(c, "request-id", sub->id);
}

static weir_err with_submission(struct call *c, weir_err (*use)(struct call *c, const struct job_submission *sub))
{
    const struct store_artifact *plugin = named_plugin(c);
    if (!plugin) return c->diag.code;
    struct run_body run;
    weir_err err = parse_run(c, &run);
    if (!err) {
        struct job_submission sub = submission_of(plugin, &run);
        err = use(c, &sub);
    }
    json_decref(run.json);
    return err;
}

static weir_err post_run(struct call *c)
{
    return with_submission(c, submit);
}

static weir_err post_plan(struct call *c)
{
    return with_submission(c, plan);
}

static weir_err get_planned(struct call *c)
{
    struct weir_id id;
    struct weir_digest digest;
    const struct planned *planned = id_parse(c->param[1], &id) ? plans_find(c->admin->plans, id) : NULL;
    if (planned && digest_parse(c->param[0], &digest) && digest_equal(planned->digest, digest))
        return admin_give(c, admin_json_planned(planned));
    c->remedy = "answers are kept for a minute: POST /plugins/:id/plan again";
    return weir_fail(&c->diag, WEIR_E_NOT_FOUND, "there is no plan '%s' of this plugin", c->param[1]);
}

/* ---- jobs ---- */

static weir_err get_jobs(struct call *c)
{
    return admin_give(c, admin_json_jobs(c->admin->master));
}

static weir_err get_jobs_overview(struct call *c)
{
    return admin_give(c, admin_json_jobs_overview(c->admin->master, clock_wall_ms()));
}

const struct job *admin_named_job(struct call *c)
{
    struct weir_id id;
    const struct job *job = id_parse(c->param[0], &id) ? master_job_find(c->admin->master, id) : NULL;
    if (job) return job;
    c->remedy = "GET /jobs lists the known ones";
    (void)weir_fail(&c->diag, WEIR_E_NOT_FOUND, "there is no job '%s'", c->param[0]);
    return NULL;
}

static weir_err get_job(struct call *c)
{
    const struct job *job = admin_named_job(c);
    return job ? admin_give(c, admin_json_job(job, clock_wall_ms())) : c->diag.code;
}

static weir_err get_plan(struct call *c)
{
    const struct job *job = admin_named_job(c);
    if (!job) return c->diag.code;
    if (job->described) return admin_give(c, admin_json_plan(job->id, job_name(job), job->plan, &job->graph));
    return weir_fail(&c->diag, WEIR_E_STATE, "the job has no plan: its graph %s",
                     job_state_terminal(job->state) ? "could not be made" : "is still being made");
}

static weir_err get_exceptions(struct call *c)
{
    const struct job *job = admin_named_job(c);
    return job ? admin_give(c, admin_json_exceptions(job)) : c->diag.code;
}

static weir_err patch_job(struct call *c)
{
    const struct job *job = admin_named_job(c);
    if (!job) return c->diag.code;
    const char *mode = rest_query(c->request, "mode");
    if (mode && strcmp(mode, "cancel") != 0) return weir_fail(&c->diag, WEIR_E_ARGUMENT, "the mode '%s' is unknown: mode=cancel", mode);
    struct master_event ev = {.type = MASTER_EV_CANCEL, .cancel = {job->id}};
    c->admin->step(c->admin->arg, &ev, &c->diag);
    if (c->diag.code) return c->diag.code;
    job = master_job_find(c->admin->master, ev.cancel.job);
    if (job && job->cancel_storing) c->awaits = job->id;
    c->awaits_key = JOB_KEY_CANCEL;
    c->status = REST_ACCEPTED;
    return give_empty(c);
}

/* ---- from path to handler ---- */

/* Who may, by the role of his key: each of viewer, operator, deployer, admin what those before it may. */
enum {
    ADMINS = NET_ROLE_ADMIN,
    DEPLOYERS = ADMINS | NET_ROLE_DEPLOYER,
    OPERATORS = DEPLOYERS | NET_ROLE_OPERATOR,
    VIEWERS = OPERATORS | NET_ROLE_VIEWER,
    JOBMANAGERS = NET_ROLE_JOBMANAGER, /* among themselves */
};

static const struct {
    uint32_t roles;
    enum rest_method method;
    const char *pattern; /* segments; one that starts with ':' takes any */
    handler handle;
} routes[] = {
    {VIEWERS, REST_GET, "overview", get_overview},
    {VIEWERS, REST_GET, "config", get_config},
    {VIEWERS, REST_GET, "config/live", admin_get_live},
    {ADMINS, REST_POST, "config/live/check", admin_check_live},
    {VIEWERS, REST_GET, "taskmanagers", get_taskmanagers},
    {VIEWERS, REST_GET, "taskmanagers/:id", get_taskmanager},
    {VIEWERS, REST_GET, "plugins", get_plugins},
    {DEPLOYERS, REST_POST, "plugins", post_plugins},
    {DEPLOYERS, REST_PUT, "plugins/:upload", put_chunk},
    {ADMINS, REST_DELETE, "plugins/:id", delete_plugin},
    {DEPLOYERS, REST_POST, "plugins/:id/run", post_run},
    {DEPLOYERS, REST_POST, "plugins/:id/plan", post_plan},
    {DEPLOYERS, REST_GET, "plugins/:id/plan/:request", get_planned},
    {DEPLOYERS | JOBMANAGERS, REST_GET, "plugins/:id/bytes", get_bytes},
    {JOBMANAGERS, REST_PUT, "replicas", put_replicas},
    {VIEWERS, REST_GET, "jobs", get_jobs},
    {VIEWERS, REST_GET, "jobs/overview", get_jobs_overview}, /* before :id */
    {VIEWERS, REST_GET, "jobs/:id", get_job},
    {OPERATORS, REST_PATCH, "jobs/:id", patch_job},
    {VIEWERS, REST_GET, "jobs/:id/plan", get_plan},
    {VIEWERS, REST_GET, "jobs/:id/exceptions", get_exceptions},
    {OPERATORS, REST_POST, "jobs/:id/savepoints", admin_post_savepoint},
    {VIEWERS, REST_GET, "jobs/:id/savepoints/:request", admin_get_request},
    {OPERATORS, REST_POST, "jobs/:id/stop", admin_post_stop},
    {VIEWERS, REST_GET, "jobs/:id/stop/:request", admin_get_request},
    {OPERATORS, REST_POST, "jobs/:id/checkpoints", admin_post_checkpoint},
    {VIEWERS, REST_GET, "jobs/:id/checkpoints", admin_get_checkpoints},
    {VIEWERS, REST_GET, "jobs/:id/checkpoints/config", admin_get_checkpoint_config}, /* before :request */
    {VIEWERS, REST_GET, "jobs/:id/checkpoints/:request", admin_get_request},
    {OPERATORS, REST_PATCH, "jobs/:id/rescaling", admin_patch_rescaling},
    {VIEWERS, REST_GET, "jobs/:id/rescaling/:request", admin_get_request},
};

static bool segment_matches(const char *pattern, size_t len, const char *segment)
{
    return pattern[0] == ':' || (strlen(segment) == len && memcmp(pattern, segment, len) == 0);
}

static bool path_matches(const char *pattern, const struct rest_request *r, const char *param[static ADMIN_PARAMS_MAX])
{
    uint32_t n_params = 0;
    for (uint32_t i = 0; i < r->n_segments; i++) {
        size_t len = strcspn(pattern, "/");
        if (len == 0 || !segment_matches(pattern, len, r->segment[i])) return false;
        if (pattern[0] == ':') param[n_params++] = r->segment[i];
        pattern += len;
        if (*pattern == '/') pattern++;
    }
    return *pattern == '\0' && r->n_segments > 0;
}

static weir_err name_leader(struct call *c)
{
    const char *leader = c->admin->leader;
    c->status = REST_UNAVAILABLE;
    c->remedy = *leader ? "ask the one that leads" : "try again when a majority of the JobManagers runs";
    return weir_fail(&c->diag, WEIR_E_STATE, "this JobManager does not lead%s%s", *leader ? "; the one that does is at " : "", leader);
}

/* What a JobManager that does not lead answers, too. */
static bool is_for_everybody(handler handle)
{
    return handle == get_bytes || handle == put_replicas;
}

static weir_err deny(struct call *c, uint32_t roles)
{
    c->status = REST_FORBIDDEN;
    c->remedy = "use a key of another role, or have the line of this one changed in the known keys";
    return weir_fail(&c->diag, WEIR_E_DENIED, "the role of this key does not allow it: %s may",
                     roles & NET_ROLE_OPERATOR   ? "operator, deployer, admin"
                     : roles & NET_ROLE_DEPLOYER ? "deployer, admin"
                     : roles & NET_ROLE_ADMIN    ? "admin"
                                                 : "jobmanager");
}

static weir_err dispatch(struct call *c)
{
    bool path_known = false;
    for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++) {
        if (!path_matches(routes[i].pattern, c->request, c->param)) continue;
        path_known = true;
        if (routes[i].method != c->request->method) continue;
        if (!(routes[i].roles & c->roles)) return deny(c, routes[i].roles);
        return is_for_everybody(routes[i].handle) || master_leads(c->admin->master) ? routes[i].handle(c) : name_leader(c);
    }
    if (path_known) {
        c->status = REST_METHOD_NOT_ALLOWED;
        return weir_fail(&c->diag, WEIR_E_ARGUMENT, "%s does not go with this path", rest_method_name(c->request->method));
    }
    c->remedy = "docs/protocol/admin.md lists the paths";
    return weir_fail(&c->diag, WEIR_E_NOT_FOUND, "there is no such path");
}

/* ---- answers ---- */

static enum rest_status status_of(weir_err err)
{
    switch (err) {
    case WEIR_E_ARGUMENT:
    case WEIR_E_GRAPH:
    case WEIR_E_ABI:
    case WEIR_E_CORRUPT:
    case WEIR_E_PROTOCOL: return REST_BAD_REQUEST;
    case WEIR_E_NOT_FOUND: return REST_NOT_FOUND;
    case WEIR_E_EXISTS:
    case WEIR_E_STATE: return REST_CONFLICT;
    case WEIR_E_LIMIT: return REST_TOO_MANY;
    case WEIR_E_DENIED: return REST_FORBIDDEN;
    default: return REST_INTERNAL;
    }
}

static json_t *error_json(const struct call *c)
{
    json_t *error = json_object(), *list = json_array(), *o = json_object();
    (void)json_object_set_new(error, "code", json_string(weir_err_name(c->diag.code)));
    (void)json_object_set_new(error, "cause", admin_json_text(c->diag.text));
    (void)json_object_set_new(error, "remedy", json_string(c->remedy ? c->remedy : ""));
    (void)json_array_append_new(list, error);
    (void)json_object_set_new(o, "errors", list);
    if (c->status == REST_UNAVAILABLE) (void)json_object_set_new(o, "leader", admin_json_text(c->admin->leader));
    return o;
}

static bool wants_json(const struct rest_request *r)
{
    const char *accept = rest_header(&r->headers, "accept");
    return !accept || !*accept || strstr(accept, "*/*") || strstr(accept, "application/json") || strstr(accept, "application/*");
}

/* Framing, then what is asked for. Returns the failure; c->status is set where the code says too little. */
static weir_err serve(struct call *c, struct rest_request *request, const struct weir_bytes *parts, uint32_t n)
{
    enum rest_status framing = rest_request_parse(request, parts, n, &c->diag);
    if (framing != REST_OK) {
        c->status = framing;
        return c->diag.code;
    }
    if (request->body.length > WEIR_ADMIN_MAX) {
        c->status = REST_TOO_LARGE;
        return weir_fail(&c->diag, WEIR_E_LIMIT, "the body is larger than %u bytes", WEIR_ADMIN_MAX);
    }
    if (!wants_json(request)) {
        c->status = REST_NOT_ACCEPTABLE;
        return weir_fail(&c->diag, WEIR_E_UNSUPPORTED, "answers are application/json; no other form is supported by this version");
    }
    return dispatch(c);
}

static void fill_headers(struct admin_reply *out, const struct rest_request *request, const char *type)
{
    const char *id = rest_header(&request->headers, "request-id");
    bool mirrored = id && strlen(id) <= ADMIN_REQUEST_ID_MAX;
    (void)snprintf(out->headers, sizeof out->headers, "content-type: %s\n%s%s%s", type, mirrored ? "request-id: " : "", mirrored ? id : "",
                   mirrored ? "\n" : "");
}

/* Takes the document. */
static void fill_body(struct admin_reply *out, json_t *json)
{
    out->body = json_dumps(json, JSON_COMPACT);
    json_decref(json);
    out->len = out->body ? strlen(out->body) : 0;
    if (!out->body) out->status = REST_INTERNAL;
}

void admin_handle(struct admin *a, uint32_t roles, const struct weir_bytes *parts, uint32_t n, struct admin_reply *out)
{
    struct rest_request request;
    struct call c = {.admin = a, .roles = roles, .request = &request};
    request.headers.n = 0;
    weir_err err = serve(&c, &request, parts, n);
    if (err) {
        json_decref(c.json);
        free(c.bytes);
        c.bytes = NULL;
        c.json = error_json(&c);
        if (c.status < REST_BAD_REQUEST) c.status = status_of(err);
    } else if (c.status == 0) {
        c.status = REST_OK;
    }
    *out = (struct admin_reply){.status = c.status, .awaits = c.awaits, .awaits_key = c.awaits_key, .body = c.bytes, .len = c.n_bytes};
    if (!c.bytes) fill_body(out, c.json);
    fill_headers(out, &request, c.bytes ? "application/octet-stream" : "application/json");
}

struct weir_id admin_ticket(struct weir_digest digest)
{
    struct weir_id id;
    memcpy(id.bytes, digest.bytes, sizeof id.bytes);
    return id;
}

void admin_reply_fail(struct admin_reply *reply, weir_err err, const char *reason)
{
    struct call c = {.remedy = "the JobManager's log says more"};
    weir_fail(&c.diag, err, "%s", reason);
    free(reply->body);
    reply->status = status_of(err);
    fill_body(reply, error_json(&c));
}

void admin_reply_close(struct admin_reply *reply)
{
    free(reply->body);
    *reply = (struct admin_reply){0};
}
