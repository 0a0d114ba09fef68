/* SPDX-License-Identifier: Apache-2.0 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/cluster/cluster.h"

#define TEXTS 16 /* two of each of the last eight runs */

/* ---- running jobctl ----------------------------------------------------------------------------------------------------------------- */

struct arguments {
    const char *at[CLUSTER_ARGS_MAX + 1];
    uint32_t n;
};

static void add(struct arguments *a, const char *text)
{
    assert_true(a->n < CLUSTER_ARGS_MAX);
    a->at[a->n++] = text;
    a->at[a->n] = NULL;
}

static void begin(struct arguments *a, const struct cluster *c)
{
    a->n = 0;
    add(a, "jobctl");
    if (!c->admin[0]) return;
    add(a, "--jobmanager");
    add(a, c->admin);
}

static void add_all(struct arguments *a, va_list more)
{
    for (const char *text; (text = va_arg(more, const char *));) add(a, text);
}

struct said proc_said(const struct proc *p)
{
    static char *texts[TEXTS];
    static unsigned next;
    struct said s = {.code = p->code};
    size_t len;
    for (int i = 0; i < 2; i++) {
        char **text = &texts[next++ % TEXTS];
        free(*text);
        *text = file_read(i ? p->err : p->out, &len);
        assert_non_null(*text);
        *(i ? &s.err : &s.out) = *text;
    }
    return s;
}

static struct said run(struct cluster *c, int64_t within_ms, const struct arguments *a)
{
    struct proc *p = proc_start(c, "jobctl", a->at);
    proc_forget(p);
    (void)proc_wait(c, p, within_ms);
    return proc_said(p);
}

struct said ctl(struct cluster *c, ...)
{
    struct arguments a;
    va_list more;
    begin(&a, c);
    va_start(more, c);
    add_all(&a, more);
    va_end(more);
    return run(c, CLUSTER_WAIT_MS, &a);
}

struct said ctl_within(struct cluster *c, int64_t within_ms, ...)
{
    struct arguments a;
    va_list more;
    begin(&a, c);
    va_start(more, within_ms);
    add_all(&a, more);
    va_end(more);
    return run(c, within_ms, &a);
}

struct proc *ctl_start(struct cluster *c, ...)
{
    struct arguments a;
    va_list more;
    begin(&a, c);
    va_start(more, c);
    add_all(&a, more);
    va_end(more);
    return proc_start(c, "jobctl", a.at);
}

static json_t *parse(const struct said *s, const char *what)
{
    json_error_t error;
    if (s->code != 0) fail_msg("jobctl %s ended with %d: %s", what, s->code, s->err);
    json_t *doc = json_loads(s->out, 0, &error);
    if (!doc) fail_msg("jobctl %s wrote no JSON (%s): %s", what, error.text, s->out);
    return doc;
}

json_t *ctl_json(struct cluster *c, ...)
{
    struct arguments a;
    va_list more;
    begin(&a, c);
    add(&a, "-o");
    add(&a, "json");
    va_start(more, c);
    add_all(&a, more);
    va_end(more);
    struct said s = run(c, CLUSTER_WAIT_MS, &a);
    return parse(&s, a.at[a.n - 1]);
}

/* ---- jobs --------------------------------------------------------------------------------------------------------------------------- */

const char *json_text(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

int64_t json_number(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return json_is_integer(value) ? json_integer_value(value) : INT64_MIN;
}

void job_submit(struct cluster *c, char id[static JOB_ID_MAX], ...)
{
    struct arguments a;
    va_list more;
    begin(&a, c);
    add(&a, "-o");
    add(&a, "json");
    add(&a, "run");
    add(&a, "--detached");
    va_start(more, id);
    add_all(&a, more);
    va_end(more);
    struct said s = run(c, CLUSTER_WAIT_MS, &a);
    json_t *doc = parse(&s, "run --detached");
    (void)snprintf(id, JOB_ID_MAX, "%s", json_text(doc, "jobid"));
    json_decref(doc);
    assert_int_equal(strlen(id), 32);
}

json_t *job_show(struct cluster *c, const char *id)
{
    return ctl_json(c, "show", id, NULL);
}

static bool ended(const char *state)
{
    return strcmp(state, "FINISHED") == 0 || strcmp(state, "FAILED") == 0 || strcmp(state, "CANCELED") == 0;
}

json_t *job_wait(struct cluster *c, const char *id, const char *state)
{
    int64_t deadline_ms = now_ms() + CLUSTER_WAIT_MS;
    for (;;) {
        json_t *job = job_show(c, id);
        const char *is = json_text(job, "state");
        if (strcmp(is, state) == 0) return job;
        if (ended(is)) fail_msg("job %s is %s, not %s: %s", id, is, state, json_text(json_object_get(job, "failure"), "reason"));
        if (!wait_a_while(c, deadline_ms)) fail_msg("job %s is still %s, not %s", id, is, state);
        json_decref(job);
    }
}

int64_t job_counter(const json_t *job, const char *operator_id, const char *name)
{
    int64_t sum = 0;
    size_t i;
    const json_t *counter;
    json_array_foreach(json_object_get(job, "counters"), i, counter) if (strcmp(json_text(counter, "operator"), operator_id) == 0 &&
                                                                         strcmp(json_text(counter, "name"), name) == 0) sum +=
        json_number(counter, "value");
    return sum;
}

int64_t job_metric(const json_t *job, const char *metric)
{
    int64_t sum = 0;
    size_t i;
    const json_t *vertex;
    json_array_foreach(json_object_get(job, "vertices"), i, vertex) sum += json_number(json_object_get(vertex, "metrics"), metric);
    return sum;
}

int64_t job_wait_counter(struct cluster *c, const char *id, const char *operator_id, const char *name, int64_t least)
{
    int64_t deadline_ms = now_ms() + CLUSTER_WAIT_MS;
    for (;;) {
        json_t *job = job_wait(c, id, "RUNNING");
        int64_t sum = job_counter(job, operator_id, name);
        json_decref(job);
        if (sum >= least) return sum;
        if (!wait_a_while(c, deadline_ms))
            fail_msg("%s/%s of job %s is %lld, below %lld", operator_id, name, id, (long long)sum, (long long)least);
    }
}

/* ---- the neighbour ------------------------------------------------------------------------------------------------------------------ */

void neighbour_start(struct cluster *c, struct neighbour *n)
{
    job_submit(c, n->id, "--parallelism", "2", "--name", "neighbour", job_plugin("steady"), NULL);
    n->rows = job_wait_counter(c, n->id, "hole", "rows", 1);
}

void neighbour_is_well(struct cluster *c, struct neighbour *n)
{
    json_t *job = job_wait(c, n->id, "RUNNING");
    int64_t now = job_counter(job, "hole", "rows");
    assert_int_equal(json_number(job, "attempt"), 1);
    assert_true(now >= n->rows);
    json_decref(job);
    n->rows = job_wait_counter(c, n->id, "hole", "rows", now + 1);
    cluster_wait_registered(c, c->n_taskmanagers);
    for (uint32_t i = 0; i < c->n_taskmanagers; i++) assert_false(proc_ended(c, c->taskmanager[i]));
    assert_int_equal(ctl(c, "cancel", n->id, NULL).code, 0);
    json_decref(job_wait(c, n->id, "CANCELED"));
}
