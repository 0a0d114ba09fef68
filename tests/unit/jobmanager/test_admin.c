/* SPDX-License-Identifier: Apache-2.0 */
/* The admin endpoint over an empty cluster: what clients of every kind get back, in documents and in words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <ftw.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "jobmanager/admin.h"

static char dir[64];
static struct admin admin;
static struct plans plans;
static struct weir_id described; /* what was to be described last */
static weir_err describe_err;
static struct master_actions actions;
static struct admin_reply reply;
static json_t *doc;
static uint32_t let_through; /* orders to the catalog that are answered; what comes after them is held back */
static uint64_t held_back;

static void stored(uint64_t order);

/* The catalog's store says yes to everything, at once, as long as it lets through. */
static void step(void *arg, struct master_event *ev, struct weir_diag *answer)
{
    uint64_t orders[16];
    uint32_t n = 0;
    (void)arg;
    ev->now_ms = ev->wall_ms = 1;
    master_step(admin.master, ev, &actions);
    *answer = actions.answer;
    for (uint32_t i = 0; i < actions.n; i++) {
        const struct master_action *a = &actions.at[i];
        if (a->type == MASTER_DO_CATALOG) orders[n++] = a->catalog.number;
        if (a->type == MASTER_DO_ARTIFACT) artifacts_kept(admin.artifacts, a->artifact.about.digest, !a->artifact.err);
    }
    for (uint32_t i = 0; i < n; i++) {
        if (let_through == 0) {
            held_back = orders[i];
            continue;
        }
        let_through--;
        stored(orders[i]);
    }
}

static void stored(uint64_t order)
{
    struct weir_diag ignored;
    struct master_event ev = {.type = MASTER_EV_CATALOG};
    ev.catalog = (struct catalog_answer){.number = order, .outcome = CATALOG_COMMITTED, .version = 1 + order};
    step(NULL, &ev, &ignored);
}

/* This JobManager is alone: what it holds, a quorum holds. */
static void work_artifacts(void)
{
    struct artifacts_order o;
    struct weir_diag ignored;
    while (artifacts_next(admin.artifacts, 1, &o)) {
        if (o.type == ARTIFACTS_REMOVE) assert_int_equal(store_remove(admin.store, o.about.digest, &ignored), WEIR_OK);
        struct master_event keep = {.type = MASTER_EV_ARTIFACT, .artifact = {.about = &o.about}};
        if (o.type == ARTIFACTS_KEEP) step(NULL, &keep, &ignored);
    }
}

static weir_err describe(void *arg, const struct job_submission *sub, struct weir_diag *diag)
{
    (void)arg;
    described = sub->id;
    return describe_err ? weir_fail(diag, describe_err, "cannot start it") : WEIR_OK;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *walk)
{
    (void)st, (void)type, (void)walk;
    return remove(path);
}

static int open_admin(void **state)
{
    (void)state;
    struct master_config config = {
        .incarnation = {{1}}, .epoch = 7, .version = WEIR_VERSION, .heartbeat_ms = 500, .heartbeat_timeout_ms = 9000};
    (void)snprintf(dir, sizeof dir, "/tmp/weir-test-admin-XXXXXX");
    admin = (struct admin){.control = "tcp://127.0.0.1:1",
                           .endpoint = "tcp://127.0.0.1:2",
                           .data_dir = dir,
                           .step = step,
                           .plans = &plans,
                           .describe = describe};
    describe_err = WEIR_OK;
    let_through = UINT32_MAX;
    if (!mkdtemp(dir) || store_open(&admin.store, dir, NULL, NULL)) return -1;
    struct zab_members alone = {.n = 1, .at = {{.id = 1}}};
    artifacts_new(&admin.artifacts);
    artifacts_members(admin.artifacts, &alone, 1);
    artifacts_role(admin.artifacts, 7, true);
    artifacts_named(admin.artifacts);
    master_new(&admin.master, &config, 0);
    master_actions_init(&actions);
    step(NULL, &(struct master_event){.type = MASTER_EV_LISTED}, &(struct weir_diag){0});
    return 0;
}

static void forget_reply(void)
{
    json_decref(doc);
    doc = NULL;
    admin_reply_close(&reply);
}

static int close_admin(void **state)
{
    (void)state;
    forget_reply();
    master_actions_close(&actions);
    master_destroy(&admin.master);
    store_close(&admin.store);
    artifacts_destroy(&admin.artifacts);
    plans_close(&plans);
    return nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static struct weir_bytes text(const char *s)
{
    return (struct weir_bytes){s, (uint32_t)strlen(s)};
}

static void ask_with(enum rest_method method, const char *target, const char *headers, struct weir_bytes body)
{
    struct weir_bytes parts[REST_REQUEST_PARTS];
    forget_reply();
    rest_request_build(parts, method, target, headers, body);
    admin_handle(&admin, NET_ROLES_ALL, parts, REST_REQUEST_PARTS, &reply);
    doc = json_loadb(reply.body, reply.len, 0, NULL);
    assert_non_null(doc);
}

static void ask(enum rest_method method, const char *target, const char *body)
{
    ask_with(method, target, "", text(body));
}

static const char *member(const char *key)
{
    const char *value = json_string_value(json_object_get(doc, key));
    assert_non_null(value);
    return value;
}

static void expect_error(enum rest_status status, const char *code, const char *words)
{
    const json_t *error = json_array_get(json_object_get(doc, "errors"), 0);
    const char *cause = json_string_value(json_object_get(error, "cause"));
    assert_int_equal(reply.status, status);
    assert_string_equal(json_string_value(json_object_get(error, "code")), code);
    if (!strstr(cause, words)) print_error("'%s' does not say '%s'\n", cause, words);
    assert_non_null(strstr(cause, words));
}

/* Uploads "plugin" and leaves its digest in `id`. */
static void upload(char id[static WEIR_DIGEST_TEXT])
{
    char target[128];
    ask(REST_POST, "/plugins?size=6&name=job.so", "");
    assert_int_equal(reply.status, REST_CREATED);
    (void)snprintf(target, sizeof target, "/plugins/%s?offset=0", member("upload"));
    ask(REST_PUT, target, "plugin");
    assert_int_equal(reply.status, REST_CREATED);
    assert_string_equal(member("status"), "success");
    (void)snprintf(id, WEIR_DIGEST_TEXT, "%s", member("id"));
    work_artifacts();
}

static void an_empty_cluster_says_so(void **state)
{
    (void)state;
    ask(REST_GET, "/overview", "");
    assert_int_equal(reply.status, REST_OK);
    assert_int_equal(json_integer_value(json_object_get(doc, "slots-total")), 0);
    assert_int_equal(json_integer_value(json_object_get(doc, "epoch")), 7);
    const char *const lists[][2] = {
        {"/jobs", "jobs"}, {"/jobs/overview", "jobs"}, {"/taskmanagers", "taskmanagers"}, {"/plugins", "files"}};
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        ask(REST_GET, lists[i][0], "");
        assert_int_equal(reply.status, REST_OK);
        assert_true(json_is_array(json_object_get(doc, lists[i][1])));
    }
    ask(REST_GET, "/config", "");
    assert_string_equal(member("data-dir"), dir);
    const json_t *limits = json_object_get(doc, "limits");
    assert_int_equal(json_integer_value(json_object_get(limits, "heartbeat-interval-ms")), 500);
    assert_int_equal(json_integer_value(json_object_get(limits, "heartbeat-timeout-ms")), 9000);
}

static void unknown_things_are_not_found(void **state)
{
    (void)state;
    ask(REST_GET, "/", "");
    expect_error(REST_NOT_FOUND, "NOT_FOUND", "no such path");
    ask(REST_GET, "/jobs/x/y/z", "");
    expect_error(REST_NOT_FOUND, "NOT_FOUND", "no such path");
    ask(REST_GET, "/jobs/0123456789abcdef0123456789abcdef", "");
    expect_error(REST_NOT_FOUND, "NOT_FOUND", "no job");
    ask(REST_GET, "/taskmanagers/tm-1", "");
    expect_error(REST_NOT_FOUND, "NOT_FOUND", "'tm-1'");
    ask(REST_DELETE, "/plugins/..%2Fepoch", "");
    expect_error(REST_NOT_FOUND, "NOT_FOUND", "no plugin");
    ask(REST_PUT, "/plugins/0123456789abcdef0123456789abcdef?offset=0", "x");
    expect_error(REST_NOT_FOUND, "NOT_FOUND", "no such upload");
    ask(REST_DELETE, "/overview", "");
    expect_error(REST_METHOD_NOT_ALLOWED, "ARGUMENT", "DELETE");
}

static void headers_are_honoured(void **state)
{
    (void)state;
    ask_with(REST_GET, "/overview", "Accept: application/json\nRequest-Id: a b\n", text(""));
    assert_string_equal(reply.headers, "content-type: application/json\nrequest-id: a b\n");
    ask_with(REST_GET, "/nothing?%", "request-id: 5\n", text(""));
    assert_int_equal(reply.status, REST_BAD_REQUEST);
    assert_non_null(strstr(reply.headers, "request-id: 5\n"));
    ask_with(REST_GET, "/overview", "accept: application/msgpack\n", text(""));
    expect_error(REST_NOT_ACCEPTABLE, "UNSUPPORTED", "application/json");
}

/* No request at all is answered, too. */
static void garbage_is_answered(void **state)
{
    (void)state;
    struct weir_bytes garbage[] = {text("\xff\xfe"), text("x")};
    forget_reply();
    admin_handle(&admin, NET_ROLES_ALL, garbage, 2, &reply);
    assert_int_equal(reply.status, REST_BAD_REQUEST);
    admin_reply_close(&reply);
    admin_handle(&admin, NET_ROLES_ALL, NULL, 0, &reply);
    assert_int_equal(reply.status, REST_BAD_REQUEST);
    admin_reply_close(&reply);
    garbage[0] = text("WEIR/2");
    admin_handle(&admin, NET_ROLES_ALL, garbage, 2, &reply);
    assert_int_equal(reply.status, REST_VERSION_UNKNOWN);
    assert_non_null(strstr(reply.body, "WEIR/1"));
}

static void sizes_are_bounded(void **state)
{
    (void)state;
    char *large = calloc(1, WEIR_ADMIN_MAX + 1);
    char target[128];
    assert_non_null(large);
    ask_with(REST_GET, "/overview", "", (struct weir_bytes){large, WEIR_ADMIN_MAX + 1});
    expect_error(REST_TOO_LARGE, "LIMIT", "body");
    ask(REST_POST, "/plugins?size=268435457", "");
    expect_error(REST_TOO_LARGE, "ARGUMENT", "bytes");
    ask(REST_POST, "/plugins?size=1000000", "");
    (void)snprintf(target, sizeof target, "/plugins/%s?offset=0", member("upload"));
    ask_with(REST_PUT, target, "", (struct weir_bytes){large, WEIR_CHUNK_BYTES + 1});
    expect_error(REST_TOO_LARGE, "LIMIT", "chunk");
    free(large);
}

/* A job is submitted, seen, cannot lose its plugin, and is cancelled; then the plugin may go. */
static void a_job_lives_and_is_cancelled(void **state)
{
    (void)state;
    char id[WEIR_DIGEST_TEXT], run[128], remove_plugin[128], job[64], cancel[96];
    upload(id);
    (void)snprintf(run, sizeof run, "/plugins/%s/run", id);
    (void)snprintf(remove_plugin, sizeof remove_plugin, "/plugins/%s", id);
    ask(REST_POST, run, "{\"name\":\"n\",\"parallelism\":3,\"args\":[\"--x\",\"1\"],\"cwd\":\"/tmp\"}");
    assert_int_equal(reply.status, REST_OK);
    (void)snprintf(job, sizeof job, "/jobs/%s", member("jobid"));
    (void)snprintf(cancel, sizeof cancel, "%s?mode=cancel", job);
    ask(REST_GET, job, "");
    assert_string_equal(member("state"), "INITIALIZING");
    assert_string_equal(member("name"), "n");
    assert_int_equal(json_integer_value(json_object_get(doc, "end-time")), -1);
    assert_int_equal(json_array_size(json_object_get(doc, "args")), 2);
    assert_true(json_is_null(json_object_get(doc, "failure")));
    ask(REST_DELETE, remove_plugin, "");
    expect_error(REST_CONFLICT, "STATE", "still uses");
    ask(REST_PATCH, "/jobs/00000000000000000000000000000000?mode=cancel", "");
    expect_error(REST_NOT_FOUND, "NOT_FOUND", "no job");
    let_through = 1; /* that it was asked for, and not yet how it ended */
    ask(REST_PATCH, cancel, "");
    assert_int_equal(reply.status, REST_ACCEPTED);
    ask(REST_GET, job, "");
    assert_string_equal(member("state"), "CANCELLING");
    assert_int_equal(json_integer_value(json_object_get(doc, "end-time")), -1);
    let_through = UINT32_MAX;
    stored(held_back);
    ask(REST_GET, job, "");
    assert_string_equal(member("state"), "CANCELED");
    assert_int_equal(json_integer_value(json_object_get(doc, "end-time")), 1);
    ask(REST_PATCH, cancel, "");
    expect_error(REST_CONFLICT, "STATE", "");
    ask(REST_DELETE, remove_plugin, "");
    assert_int_equal(reply.status, REST_OK);
}

/* What asks a job for checkpoints is refused in words where there are none, or nothing runs. */
static void checkpoints_are_asked_for(void **state)
{
    (void)state;
    char id[WEIR_DIGEST_TEXT], run[128], job[64], path[128];
    upload(id);
    (void)snprintf(run, sizeof run, "/plugins/%s/run", id);
    ask(REST_POST, run, "{\"configuration\":{\"execution.checkpointing.interval\":\"5s\",\"state.checkpoints.num-retained\":\"7\"}}");
    assert_int_equal(reply.status, REST_OK);
    (void)snprintf(job, sizeof job, "/jobs/%s", member("jobid"));
    (void)snprintf(path, sizeof path, "%s/checkpoints/config", job);
    ask(REST_GET, path, "");
    assert_int_equal(json_integer_value(json_object_get(doc, "interval")), 5000);
    assert_int_equal(json_integer_value(json_object_get(doc, "num_retained")), 7);
    assert_string_equal(member("restart_strategy"), "exponential-delay");
    (void)snprintf(path, sizeof path, "%s/checkpoints", job);
    ask(REST_GET, path, "");
    assert_true(json_is_true(json_object_get(doc, "enabled")));
    assert_int_equal(json_array_size(json_object_get(doc, "history")), 0);
    ask(REST_POST, path, "");
    expect_error(REST_CONFLICT, "STATE", "does not run now");
    (void)snprintf(path, sizeof path, "%s/savepoints", job);
    ask(REST_POST, path, "{\"target-directory\":\"here\"}");
    expect_error(REST_BAD_REQUEST, "ARGUMENT", "absolute");
    ask(REST_POST, path, "{\"targetDirectory\":\"/x\"}");
    expect_error(REST_BAD_REQUEST, "ARGUMENT", "\"targetDirectory\" is unknown");
    (void)snprintf(path, sizeof path, "%s/stop", job);
    ask(REST_POST, path, "{\"drain\":1}");
    expect_error(REST_BAD_REQUEST, "ARGUMENT", "true or false");
    (void)snprintf(path, sizeof path, "%s/rescaling?parallelism=0", job);
    ask(REST_PATCH, path, "");
    expect_error(REST_BAD_REQUEST, "ARGUMENT", "parallelism=N");
    (void)snprintf(path, sizeof path, "%s/rescaling?parallelism=1", job);
    ask(REST_PATCH, path, "");
    expect_error(REST_CONFLICT, "STATE", "is 1 already");
    (void)snprintf(path, sizeof path, "%s/savepoints/00000000000000000000000000000001", job);
    ask(REST_GET, path, "");
    expect_error(REST_NOT_FOUND, "NOT_FOUND", "no request");
    ask(REST_POST, run, "{}");
    (void)snprintf(path, sizeof path, "/jobs/%s/savepoints", member("jobid"));
    ask(REST_POST, path, "");
    expect_error(REST_CONFLICT, "STATE", "has no checkpoints");
}

static void wrong_submissions_are_refused_in_words(void **state)
{
    (void)state;
    static const struct {
        const char *body, *words;
    } cases[] = {
        {"{", "not JSON"},
        {"[]", "not a JSON object"},
        {"{\"paralelism\":1}", "\"paralelism\" is unknown"},
        {"{\"parallelism\":\"2\"}", "\"parallelism\""},
        {"{\"configuration\":{\"execution.checkpointing.interva\":\"1s\"}}", "did you mean execution.checkpointing.interval?"},
        {"{\"configuration\":{\"execution.checkpointing.interval\":\"soon\"}}", "a duration"},
        {"{\"configuration\":{\"execution.checkpointing.interval\":1}}", "\"execution.checkpointing.interval\""},
        {"{\"configuration\":[]}", "an object of strings"},
        {"{\"savepointPath\":\"x\"}", "must be absolute"},
        {"{\"claimMode\":\"MINE\"}", "CLAIM or NO_CLAIM"},
        {"{\"allowNonRestoredState\":0}", "true or false"},
        {"{\"parallelism\":-1}", "\"parallelism\""},
        {"{\"parallelism\":1e99}", "\"parallelism\""},
        {"{\"parallelism\":4294967295}", "parallelism"},
        {"{\"args\":[1]}", "\"args\""},
        {"{\"args\":\"x\"}", "\"args\""},
        {"{\"cwd\":\"relative\"}", "\"cwd\""},
        {"{\"name\":\"a\",\"name\":\"b\"}", "duplicate"},
        {"{\"name\":\"a\\u0000b\"}", "not JSON"},
    };
    char id[WEIR_DIGEST_TEXT], run[128];
    upload(id);
    (void)snprintf(run, sizeof run, "/plugins/%s/run", id);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ask(REST_POST, run, cases[i].body);
        expect_error(REST_BAD_REQUEST, "ARGUMENT", cases[i].words);
    }
    assert_int_equal(master_n_jobs(admin.master), 0);
}

/* ---- plans without jobs ---- */

/* read -> write, of a source with two splits. */
static struct graph read_and_write(void)
{
    static struct graph_input from_read = {.partition = GRAPH_FORWARD, .way = ""};
    static struct weir_bytes splits[2];
    static struct graph_node nodes[2];
    nodes[0] = (struct graph_node){.id = "read",
                                   .name = "file",
                                   .kind = GRAPH_SOURCE,
                                   .chain = true,
                                   .updating = true,
                                   .n_outputs = 1,
                                   .n_splits = 2,
                                   .splits = splits};
    nodes[1] = (struct graph_node){
        .id = "write", .name = "print", .kind = GRAPH_SINK, .alone = true, .n_ports = 1, .n_inputs = 1, .inputs = &from_read};
    return (struct graph){.name = "demo", .n_nodes = 2, .nodes = nodes};
}

static void ask_plan(const char *plugin, const char *body, char target[static 192])
{
    (void)snprintf(target, 192, "/plugins/%s/plan", plugin);
    ask(REST_POST, target, body);
    if (reply.status != REST_ACCEPTED) return;
    (void)snprintf(target, 192, "/plugins/%s/plan/%s", plugin, member("request-id"));
}

static const json_t *operation(const char *key)
{
    assert_int_equal(reply.status, REST_OK);
    assert_string_equal(json_string_value(json_object_get(json_object_get(doc, "status"), "id")), "COMPLETED");
    return json_object_get(json_object_get(doc, "operation"), key);
}

static void a_plan_is_polled_until_it_is_made(void **state)
{
    (void)state;
    char id[WEIR_DIGEST_TEXT], target[192];
    upload(id);
    ask_plan(id, "{\"parallelism\": 3, \"args\": [\"--x\"]}", target);
    assert_int_equal(reply.status, REST_ACCEPTED);
    ask(REST_GET, target, "");
    assert_int_equal(reply.status, REST_OK);
    assert_string_equal(json_string_value(json_object_get(json_object_get(doc, "status"), "id")), "IN_PROGRESS");
    assert_null(json_object_get(doc, "operation"));
    struct graph graph = read_and_write();
    assert_true(plans_described(&plans, described, WEIR_OK, "", &graph, 0));
    for (int i = 0; i < 2; i++) { /* it may be fetched again */
        ask(REST_GET, target, "");
        const json_t *plan = operation("plan"), *nodes = json_object_get(plan, "nodes"), *write = json_array_get(nodes, 1);
        assert_string_equal(json_string_value(json_object_get(plan, "name")), "demo");
        assert_non_null(json_object_get(plan, "jid"));
        assert_int_equal(json_array_size(nodes), 2);
        assert_string_equal(json_string_value(json_object_get(write, "operator")), "write");
        assert_string_equal(json_string_value(json_object_get(write, "description")), "write");
        assert_int_equal(json_integer_value(json_object_get(write, "parallelism")), 3);
        const json_t *in = json_array_get(json_object_get(write, "inputs"), 0);
        assert_string_equal(json_string_value(json_object_get(in, "ship_strategy")), "FORWARD");
        assert_int_equal(json_integer_value(json_object_get(in, "id")), 0);
        const json_t *sink = json_array_get(json_object_get(write, "operators"), 0);
        assert_string_equal(json_string_value(json_object_get(sink, "chaining")), "NEVER");
        const json_t *source = json_array_get(json_object_get(json_array_get(nodes, 0), "operators"), 0);
        assert_int_equal(json_integer_value(json_object_get(source, "splits")), 2);
        assert_true(json_is_true(json_object_get(source, "updating")));
        assert_non_null(strstr(json_string_value(operation("text")), "read [file], 2 splits, updating"));
        assert_non_null(strstr(json_string_value(operation("dot")), "digraph \"demo\""));
    }
    ask(REST_GET, "/jobs", ""); /* no job has come of it */
    assert_int_equal(json_array_size(json_object_get(doc, "jobs")), 0);
}

static void a_plan_that_cannot_be_made_says_why(void **state)
{
    (void)state;
    char id[WEIR_DIGEST_TEXT], target[192];
    upload(id);
    ask_plan(id, "", target);
    struct graph graph = {.name = "none"};
    assert_true(plans_described(&plans, described, WEIR_OK, "", &graph, 0));
    ask(REST_GET, target, "");
    assert_string_equal(json_string_value(json_object_get(operation("failure"), "code")), "GRAPH");
    assert_non_null(strstr(json_string_value(json_object_get(operation("failure"), "reason")), "no source"));
    describe_err = WEIR_E_IO;
    ask_plan(id, "", target);
    ask(REST_GET, target, "");
    assert_string_equal(json_string_value(json_object_get(operation("failure"), "reason")), "cannot start it");
}

static void wrong_requests_for_plans_are_refused(void **state)
{
    (void)state;
    char id[WEIR_DIGEST_TEXT], other[WEIR_DIGEST_TEXT], target[192];
    upload(id);
    ask_plan(id, "{\"parallelism\": 5000}", target);
    expect_error(REST_BAD_REQUEST, "ARGUMENT", "parallelism 5000");
    ask_plan(id, "{\"speed\": 1}", target);
    expect_error(REST_BAD_REQUEST, "ARGUMENT", "speed");
    memset(other, 'a', sizeof other - 1);
    other[sizeof other - 1] = '\0';
    ask_plan(other, "", target);
    expect_error(REST_NOT_FOUND, "NOT_FOUND", "no plugin");
    ask_plan(id, "", target);
    memcpy(strstr(target, id), other, strlen(other));
    ask(REST_GET, target, "");
    expect_error(REST_NOT_FOUND, "NOT_FOUND", "no plan");
    (void)snprintf(target, sizeof target, "/plugins/%s/plan/x", id);
    ask(REST_GET, target, "");
    expect_error(REST_NOT_FOUND, "NOT_FOUND", "no plan 'x'");
    for (int i = 1; i < PLANS_MAX; i++) ask_plan(id, "", target);
    assert_int_equal(reply.status, REST_ACCEPTED);
    ask_plan(id, "", target);
    expect_error(REST_TOO_MANY, "LIMIT", "16 plans are being made");
}

static void live_configuration_is_checked_and_shown(void **state)
{
    (void)state;
    struct live_setting at = {.key = "log.level", .value = "debug"};
    struct master_event ev = {.type = MASTER_EV_LIVE, .live = {.n = 1, .at = &at}};
    master_set_coordination(admin.master, "tcp://127.0.0.1:6141");
    ask(REST_POST, "/config/live/check", "{\"key\": \"log.level\", \"value\": \"warn\"}");
    assert_int_equal(reply.status, REST_OK);
    assert_string_equal(member("path"), "/weir/config/log.level");
    assert_string_equal(member("coordination"), "tcp://127.0.0.1:6141");
    ask(REST_POST, "/config/live/check", "{\"key\": \"log.level\"}"); /* to unset it */
    assert_int_equal(reply.status, REST_OK);
    ask(REST_POST, "/config/live/check", "{\"key\": \"log.level\", \"value\": \"loud\"}");
    expect_error(REST_BAD_REQUEST, "ARGUMENT", "is not one of");
    ask(REST_POST, "/config/live/check", "{\"key\": \"a/b\", \"value\": \"1\"}");
    expect_error(REST_BAD_REQUEST, "ARGUMENT", "'a/b' is no key");
    ask(REST_POST, "/config/live/check", "{\"key\": \"job.x\", \"value\": \"1\", \"job\": \"0123456789abcdef0123456789abcdef\"}");
    expect_error(REST_NOT_FOUND, "NOT_FOUND", "no job");
    ask(REST_POST, "/config/live/check", "{\"colour\": \"red\"}");
    expect_error(REST_BAD_REQUEST, "ARGUMENT", "colour");
    step(NULL, &ev, &(struct weir_diag){0});
    ask(REST_GET, "/config/live", "");
    const json_t *shown = json_array_get(json_object_get(doc, "settings"), 0);
    assert_string_equal(json_string_value(json_object_get(shown, "value")), "debug");
    assert_true(json_is_true(json_object_get(shown, "counts")));
}

/* Each request, and the least role that may make it. */
static const struct {
    enum rest_method method;
    const char *target;
    uint32_t least; /* of viewer, operator, deployer, admin */
    bool jobmanagers;
} rights[] = {
    {REST_GET, "/overview", NET_ROLE_VIEWER, false},
    {REST_GET, "/config", NET_ROLE_VIEWER, false},
    {REST_GET, "/config/live", NET_ROLE_VIEWER, false},
    {REST_POST, "/config/live/check", NET_ROLE_ADMIN, false},
    {REST_GET, "/taskmanagers", NET_ROLE_VIEWER, false},
    {REST_GET, "/taskmanagers/x", NET_ROLE_VIEWER, false},
    {REST_GET, "/plugins", NET_ROLE_VIEWER, false},
    {REST_POST, "/plugins", NET_ROLE_DEPLOYER, false},
    {REST_PUT, "/plugins/x", NET_ROLE_DEPLOYER, false},
    {REST_DELETE, "/plugins/x", NET_ROLE_ADMIN, false},
    {REST_POST, "/plugins/x/run", NET_ROLE_DEPLOYER, false},
    {REST_POST, "/plugins/x/plan", NET_ROLE_DEPLOYER, false},
    {REST_GET, "/plugins/x/plan/y", NET_ROLE_DEPLOYER, false},
    {REST_GET, "/plugins/x/bytes", NET_ROLE_DEPLOYER, true},
    {REST_PUT, "/replicas", 0, true},
    {REST_GET, "/jobs", NET_ROLE_VIEWER, false},
    {REST_GET, "/jobs/overview", NET_ROLE_VIEWER, false},
    {REST_GET, "/jobs/x", NET_ROLE_VIEWER, false},
    {REST_PATCH, "/jobs/x?mode=cancel", NET_ROLE_OPERATOR, false},
    {REST_GET, "/jobs/x/plan", NET_ROLE_VIEWER, false},
    {REST_GET, "/jobs/x/exceptions", NET_ROLE_VIEWER, false},
    {REST_POST, "/jobs/x/savepoints", NET_ROLE_OPERATOR, false},
    {REST_GET, "/jobs/x/savepoints/y", NET_ROLE_VIEWER, false},
    {REST_POST, "/jobs/x/stop", NET_ROLE_OPERATOR, false},
    {REST_GET, "/jobs/x/stop/y", NET_ROLE_VIEWER, false},
    {REST_POST, "/jobs/x/checkpoints", NET_ROLE_OPERATOR, false},
    {REST_GET, "/jobs/x/checkpoints", NET_ROLE_VIEWER, false},
    {REST_GET, "/jobs/x/checkpoints/config", NET_ROLE_VIEWER, false},
    {REST_GET, "/jobs/x/checkpoints/y", NET_ROLE_VIEWER, false},
    {REST_PATCH, "/jobs/x/rescaling", NET_ROLE_OPERATOR, false},
    {REST_GET, "/jobs/x/rescaling/y", NET_ROLE_VIEWER, false},
};

static bool may(uint32_t role, size_t i)
{
    if (role == NET_ROLE_JOBMANAGER) return rights[i].jobmanagers;
    return role >= NET_ROLE_VIEWER && rights[i].least && role >= rights[i].least;
}

static void each_role_may_what_is_written(void **state)
{
    (void)state;
    for (uint32_t role = 0; role <= NET_ROLE_ADMIN; role = role ? 2 * role : 1) {
        for (size_t i = 0; i < sizeof rights / sizeof *rights; i++) {
            struct weir_bytes parts[REST_REQUEST_PARTS];
            forget_reply();
            rest_request_build(parts, rights[i].method, rights[i].target, "", text(""));
            admin_handle(&admin, role, parts, REST_REQUEST_PARTS, &reply);
            doc = json_loadb(reply.body, reply.len, 0, NULL);
            if ((reply.status != REST_FORBIDDEN) != may(role, i)) fail_msg("role %u, %s: %u", role, rights[i].target, reply.status);
            if (reply.status == REST_FORBIDDEN) expect_error(REST_FORBIDDEN, "DENIED", "the role of this key does not allow it");
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_empty_cluster_says_so, open_admin, close_admin),
        cmocka_unit_test_setup_teardown(unknown_things_are_not_found, open_admin, close_admin),
        cmocka_unit_test_setup_teardown(headers_are_honoured, open_admin, close_admin),
        cmocka_unit_test_setup_teardown(garbage_is_answered, open_admin, close_admin),
        cmocka_unit_test_setup_teardown(sizes_are_bounded, open_admin, close_admin),
        cmocka_unit_test_setup_teardown(a_job_lives_and_is_cancelled, open_admin, close_admin),
        cmocka_unit_test_setup_teardown(checkpoints_are_asked_for, open_admin, close_admin),
        cmocka_unit_test_setup_teardown(wrong_submissions_are_refused_in_words, open_admin, close_admin),
        cmocka_unit_test_setup_teardown(a_plan_is_polled_until_it_is_made, open_admin, close_admin),
        cmocka_unit_test_setup_teardown(a_plan_that_cannot_be_made_says_why, open_admin, close_admin),
        cmocka_unit_test_setup_teardown(wrong_requests_for_plans_are_refused, open_admin, close_admin),
        cmocka_unit_test_setup_teardown(each_role_may_what_is_written, open_admin, close_admin),
        cmocka_unit_test_setup_teardown(live_configuration_is_checked_and_shown, open_admin, close_admin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
