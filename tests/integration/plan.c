/* SPDX-License-Identifier: Apache-2.0 */
/* `jobctl plan` of a plugin: what would run, before anything does, with a JobManager of its own or one that is there. */
#include <stdlib.h>
#include <string.h>

#include "tests/support/cluster/cluster.h"

/* What `jobctl plan` says of the example job at parallelism 2, in one of the three forms. */
static char *plan_of(struct cluster *c, const char *flag, const char *value)
{
    const char *log = in_dir(c, "log"), *out = in_dir(c, "out"), *job = example_plugin("accesslog");
    file_gunzip(test_data("apache_logs.gz"), log);
    struct said s = value  ? ctl(c, "plan", "-p", "2", flag, value, job, "--", "--input", log, "--output", out, NULL)
                    : flag ? ctl(c, "plan", "-p", "2", flag, job, "--", "--input", log, "--output", out, NULL)
                           : ctl(c, "plan", "-p", "2", job, "--", "--input", log, "--output", out, NULL);
    if (s.code) fail_msg("jobctl ended with %d: %s", s.code, s.err);
    assert_false(file_exists(out)); /* nothing has run */
    return s.out;
}

static uint32_t count(const char *text, const char *part)
{
    uint32_t n = 0;
    for (const char *at = strstr(text, part); at; at = strstr(at + 1, part)) n++;
    return n;
}

static const char *const vertices[] = {"read -> parse -> event-time -> write-malformed", "per-minute -> write-minute", "per-path",
                                       "rank -> write-top", "per-visit -> write-sessions"};
enum { N_VERTICES = sizeof vertices / sizeof *vertices, N_EDGES = 4 };

static void check_text(const char *text)
{
    char line[128];
    assert_has(text, "job accesslog: 5 vertices, 4 edges, 16 channels, 2 slots\n");
    for (uint32_t v = 0; v < N_VERTICES; v++) {
        (void)snprintf(line, sizeof line, "%u: %s x2\n", v, vertices[v]);
        assert_int_equal(count(text, line), 1);
    }
    assert_has(text, "   read [file], 2 splits\n     parse [parse]\n       event-time [watermarks]\n");
    assert_has(text, "   => 2 from event-time, by key path, 4 channels\n");
}

/* Graphviz would read it: one digraph, quotes and braces closed, each statement ended, every vertex once, every edge between two of them.
 */
static void check_dot(const char *dot)
{
    char label[128];
    bool quoted = false;
    int depth = 0, statements = 0;
    assert_int_equal(strncmp(dot, "digraph \"accesslog\" {\n", 22), 0);
    for (const char *at = dot; *at; at++) {
        if (*at == '\\' && quoted && at[1])
            at++;
        else if (*at == '"')
            quoted = !quoted;
        else if (!quoted) {
            depth += (*at == '{') - (*at == '}');
            statements += *at == ';';
            assert_true(depth >= 0 && depth <= 1);
        }
    }
    assert_true(!quoted && depth == 0);
    assert_int_equal(statements, 2 + N_VERTICES + N_EDGES);
    assert_int_equal(count(dot, " -> v"), N_EDGES);
    for (uint32_t v = 0; v < N_VERTICES; v++) {
        (void)snprintf(label, sizeof label, "    v%u [label=\"%s\\nx2", v, vertices[v]);
        assert_int_equal(count(dot, label), 1);
    }
    assert_has(dot, "v2 -> v3 [label=\"by key hour\"];");
}

static void check_json(const char *text)
{
    json_t *doc = json_loads(text, 0, NULL);
    const json_t *plan = json_object_get(doc, "plan"), *nodes = json_object_get(plan, "nodes");
    assert_int_equal(json_object_size(doc), 1);
    assert_string_equal(json_text(plan, "name"), "accesslog");
    assert_int_equal(strlen(json_text(plan, "jid")), 32);
    assert_int_equal(json_array_size(nodes), N_VERTICES);
    size_t n_inputs = 0;
    for (uint32_t v = 0; v < N_VERTICES; v++) {
        const json_t *node = json_array_get(nodes, v);
        assert_int_equal(json_number(node, "id"), v);
        assert_int_equal(json_number(node, "parallelism"), 2);
        assert_string_equal(json_text(node, "description"), vertices[v]);
        assert_int_equal(strncmp(vertices[v], json_text(node, "operator"), strlen(json_text(node, "operator"))), 0);
        n_inputs += json_array_size(json_object_get(node, "inputs"));
    }
    assert_int_equal(n_inputs, N_EDGES);
    const json_t *in = json_array_get(json_object_get(json_array_get(nodes, 3), "inputs"), 0);
    assert_int_equal(json_number(in, "num"), 0);
    assert_int_equal(json_number(in, "id"), 2);
    assert_string_equal(json_text(in, "ship_strategy"), "HASH");
    assert_string_equal(json_text(in, "by"), "hour");
    json_decref(doc);
}

STORY(plan_without_a_cluster)
{
    check_text(plan_of(c, NULL, NULL));
    check_dot(plan_of(c, "--dot", NULL));
    check_json(plan_of(c, "-o", "json"));
}

/* The JobManager that is there makes the same plan, keeps the plugin and knows of no job; a job that runs then has that very plan. */
STORY(plan_at_a_jobmanager)
{
    cluster_start_jobmanager(c, false);
    const char *text = plan_of(c, NULL, NULL);
    check_text(text);
    check_dot(plan_of(c, "--dot", NULL));
    check_json(plan_of(c, "-o", "json"));
    json_t *jobs = ctl_json(c, "list", NULL), *plugins = ctl_json(c, "plugins", NULL);
    assert_int_equal(json_array_size(json_object_get(jobs, "jobs")), 0);
    assert_int_equal(json_array_size(json_object_get(plugins, "files")), 1);
    json_decref(jobs);
    json_decref(plugins);
    (void)cluster_start_taskmanager(c, 2);
    struct said s =
        ctl(c, "run", "-p", "2", example_plugin("accesslog"), "--", "--input", in_dir(c, "log"), "--output", in_dir(c, "out"), NULL);
    if (s.code) fail_msg("jobctl ended with %d: %s", s.code, s.err);
    assert_string_equal(ctl(c, "plan", "accesslog", NULL).out, text);
    check_dot(ctl(c, "plan", "--dot", "accesslog", NULL).out);
    check_json(ctl(c, "plan", "-o", "json", "accesslog", NULL).out);
}

/* Each fails as `run` does, and no process of it stays. */
STORY(graphs_without_a_plan)
{
    static const struct {
        const char *how, *code, *reason;
    } bad[] = {{"cycle", "GRAPH", "form a cycle"},
               {"sinkless", "GRAPH", "sink"},
               {"entry-crash", "USER", "crashed while describing its graph: SIGSEGV"},
               {"entry-exit", "USER", "ended the process while describing its graph: exit status"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct said s = ctl(c, "plan", job_plugin("misbehave"), "--", "--how", bad[i].how, NULL);
        assert_int_equal(s.code, 1);
        assert_string_equal(s.out, "");
        assert_has(s.err, "misbehave.so has no plan");
        assert_has(s.err, bad[i].code);
        assert_has(s.err, bad[i].reason);
    }
    struct said s = ctl(c, "plan", example_plugin("accesslog"), "--", "--inptu", "x", NULL);
    assert_int_equal(s.code, 1);
    assert_has(s.err, "did you mean --input?");
    s = ctl(c, "plan", job_plugin("marking_other_abi"), NULL);
    assert_int_equal(s.code, 4);
    assert_has(s.err, "built for Weir ABI 99");
    s = ctl(c, "plan", in_dir(c, "none.so"), NULL);
    assert_int_equal(s.code, 2);
}

STORY_MAIN(STORY_TEST(plan_without_a_cluster), STORY_TEST(plan_at_a_jobmanager), STORY_TEST(graphs_without_a_plan))
