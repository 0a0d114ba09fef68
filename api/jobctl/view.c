/* SPDX-License-Identifier: Apache-2.0 */
#include "api/jobctl/view.h"

#include "api/jobctl/field.h"
#include "api/jobctl/format.h"
#include "api/jobctl/table.h"
#include "weir/row.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { SHORT_ID = 12, LINE_MAX_BYTES = 1024 };

#define COLUMNS(c) (c), sizeof(c) / sizeof *(c)

static weir_err finish(struct table *t, FILE *out)
{
    weir_err err = table_print(t, out);
    table_destroy(&t);
    return err;
}

static uint64_t count_of(const json_t *object, const char *key)
{
    int64_t n = field_int(object, key, 0);
    return n < 0 ? 0 : (uint64_t)n;
}

static void cell_text(struct table *t, const char *text)
{
    table_cell(t, *text ? text : "-");
}

static void cell_count(struct table *t, uint64_t n)
{
    char text[FORMAT_MAX];
    table_cell(t, format_count(n, text));
}

static void cell_time(struct table *t, const json_t *object, const char *key)
{
    char text[FORMAT_MAX];
    table_cell(t, format_time(field_int(object, key, 0), text));
}

static void cell_duration(struct table *t, const json_t *object, const char *key)
{
    char text[FORMAT_MAX];
    table_cell(t, format_duration(field_int(object, key, -1), text));
}

/* One "name  value" line; the value is foreign text. */
/* Of a value of several lines (the help of a job's options) each stands below the other. */
static void line(FILE *out, const char *name, const char *value)
{
    char text[LINE_MAX_BYTES], clean[LINE_MAX_BYTES];
    for (;; name = "") {
        size_t length = strcspn(value, "\n");
        (void)snprintf(text, sizeof text, "%.*s", (int)length, value);
        fprintf(out, "%-13s %s\n", name, *text ? format_clean(text, clean, sizeof clean) : "-");
        if (!value[length]) return;
        value += length + 1;
    }
}

/* ---- cluster ---- */

weir_err view_overview(const json_t *doc, FILE *out)
{
    fprintf(out, "%-13s %" PRIu64 "\n", "TaskManagers", count_of(doc, "taskmanagers"));
    fprintf(out, "%-13s %" PRIu64 " of %" PRIu64 " free\n", "slots", count_of(doc, "slots-available"), count_of(doc, "slots-total"));
    fprintf(out, "%-13s %" PRIu64 " running, %" PRIu64 " finished, %" PRIu64 " canceled, %" PRIu64 " failed\n", "jobs",
            count_of(doc, "jobs-running"), count_of(doc, "jobs-finished"), count_of(doc, "jobs-cancelled"), count_of(doc, "jobs-failed"));
    line(out, "version", field_text(doc, "weir-version"));
    return WEIR_OK;
}

static const struct table_column taskmanager_columns[] = {
    {"ID", TABLE_LEFT},    {"HOST", TABLE_LEFT},   {"PID", TABLE_RIGHT},  {"SLOTS", TABLE_RIGHT},
    {"FREE", TABLE_RIGHT}, {"HEARD", TABLE_RIGHT}, {"SINCE", TABLE_LEFT},
};

static void add_taskmanager(struct table *t, const json_t *tm)
{
    char heard[FORMAT_MAX];
    table_row(t);
    cell_text(t, field_text(tm, "id"));
    cell_text(t, field_text(tm, "host"));
    table_cellf(t, "%" PRId64, field_int(tm, "pid", 0));
    cell_count(t, count_of(tm, "slotsNumber"));
    cell_count(t, count_of(tm, "freeSlots"));
    int64_t since = field_int(tm, "timeSinceLastHeartbeat", -1);
    if (since < 0)
        table_cell(t, "-");
    else
        table_cellf(t, "%s ago", format_duration(since, heard));
    cell_time(t, tm, "registered");
}

weir_err view_taskmanagers(const json_t *doc, FILE *out)
{
    struct table *t = table_new(COLUMNS(taskmanager_columns));
    size_t i;
    const json_t *tm;
    json_array_foreach(field_list(doc, "taskmanagers"), i, tm) add_taskmanager(t, tm);
    return finish(t, out);
}

weir_err view_taskmanager(const json_t *doc, FILE *out)
{
    struct table *t = table_new(COLUMNS(taskmanager_columns));
    add_taskmanager(t, doc);
    weir_err err = finish(t, out);
    const json_t *slots = field_list(doc, "allocatedSlots"), *slot;
    if (err || json_array_size(slots) == 0) return err;
    static const struct table_column columns[] = {{"SLOT", TABLE_RIGHT}, {"JOB", TABLE_LEFT}, {"ATTEMPT", TABLE_RIGHT}};
    fputc('\n', out);
    t = table_new(COLUMNS(columns));
    size_t i;
    json_array_foreach(slots, i, slot)
    {
        table_row(t);
        cell_count(t, count_of(slot, "index"));
        cell_text(t, field_text(slot, "jobId"));
        cell_count(t, count_of(slot, "attempt"));
    }
    return finish(t, out);
}

/* ---- plugins ---- */

weir_err view_plugins(const json_t *doc, FILE *out)
{
    static const struct table_column columns[] = {
        {"PLUGIN", TABLE_LEFT}, {"FILE", TABLE_LEFT}, {"SIZE", TABLE_RIGHT}, {"UPLOADED", TABLE_LEFT}};
    struct table *t = table_new(COLUMNS(columns));
    size_t i;
    const json_t *file;
    json_array_foreach(field_list(doc, "files"), i, file)
    {
        char size[FORMAT_MAX];
        table_row(t);
        table_cellf(t, "%.*s", SHORT_ID, field_text(file, "id"));
        cell_text(t, field_text(file, "name"));
        table_cell(t, format_bytes(count_of(file, "size"), size));
        cell_time(t, file, "uploaded");
    }
    return finish(t, out);
}

/* ---- jobs ---- */

weir_err view_jobs(const json_t *doc, FILE *out)
{
    static const struct table_column columns[] = {
        {"JOB", TABLE_LEFT},    {"NAME", TABLE_LEFT},    {"STATE", TABLE_LEFT},
        {"TASKS", TABLE_RIGHT}, {"STARTED", TABLE_LEFT}, {"DURATION", TABLE_RIGHT},
    };
    struct table *t = table_new(COLUMNS(columns));
    size_t i;
    const json_t *job;
    json_array_foreach(field_list(doc, "jobs"), i, job)
    {
        const json_t *tasks = json_object_get(job, "tasks");
        table_row(t);
        table_cellf(t, "%.*s", SHORT_ID, field_text(job, "jid"));
        cell_text(t, field_text(job, "name"));
        cell_text(t, field_text(job, "state"));
        table_cellf(t, "%" PRIu64 "/%" PRIu64, count_of(tasks, "running") + count_of(tasks, "finished"), count_of(tasks, "total"));
        cell_time(t, job, "start-time");
        cell_duration(t, job, "duration");
    }
    return finish(t, out);
}

static void print_arguments(const json_t *args, FILE *out)
{
    char clean[LINE_MAX_BYTES];
    size_t i;
    const json_t *arg;
    if (json_array_size(args) == 0) return;
    fprintf(out, "%-13s", "arguments");
    json_array_foreach(args, i, arg)
    {
        const char *text = json_string_value(arg);
        fprintf(out, " %s", text ? format_clean(text, clean, sizeof clean) : "-");
    }
    fputc('\n', out);
}

static void print_head(const json_t *job, FILE *out)
{
    char text[FORMAT_MAX];
    line(out, "job", field_text(job, "jid"));
    line(out, "name", field_text(job, "name"));
    line(out, "state", field_text(job, "state"));
    line(out, "plugin", field_text(job, "plugin"));
    fprintf(out, "%-13s %" PRIu64 "\n%-13s %" PRIu64 "\n", "parallelism", count_of(job, "parallelism"), "attempt",
            count_of(job, "attempt"));
    if (count_of(job, "restarts"))
        fprintf(out, "%-13s %" PRIu64 "; `jobctl exceptions` tells of what\n", "restarts", count_of(job, "restarts"));
    if (count_of(job, "restored-checkpoint"))
        fprintf(out, "%-13s checkpoint %" PRIu64 "\n", "restored", count_of(job, "restored-checkpoint"));
    if (*field_text(job, "predecessor")) line(out, "goes on for", field_text(job, "predecessor"));
    if (*field_text(job, "successor")) line(out, "goes on as", field_text(job, "successor"));
    line(out, "started", format_time(field_int(job, "start-time", 0), text));
    line(out, "duration", format_duration(field_int(job, "duration", -1), text));
    print_arguments(field_list(job, "args"), out);
}

void view_failure(const json_t *job, FILE *out)
{
    const json_t *failure = json_object_get(job, "failure");
    if (!json_is_object(failure)) return;
    line(out, "reason", field_text(failure, "reason"));
    const char *op = field_text(failure, "operator"), *taskmanager = field_text(failure, "taskmanager");
    if (*op) line(out, "operator", op);
    int64_t subtask = field_int(failure, "subtask", -1);
    if (subtask >= 0) fprintf(out, "%-13s %" PRId64 "\n", "subtask", subtask);
    if (*taskmanager) line(out, "TaskManager", taskmanager);
    line(out, "code", field_text(failure, "code"));
}

/* The cells of metrics, in the order of METRIC_COLUMNS. */
#define METRIC_COLUMNS                                                                                                     \
    {"READ", TABLE_RIGHT}, {"SENT", TABLE_RIGHT}, {"LATE", TABLE_RIGHT}, {"FRAMES", TABLE_RIGHT}, {"BY ZMQ", TABLE_RIGHT}, \
        {"BUSY", TABLE_RIGHT}, {"BLOCKED", TABLE_RIGHT},                                                                   \
    {                                                                                                                      \
        "WATERMARK", TABLE_LEFT                                                                                            \
    }

static void cell_share(struct table *t, uint64_t part, uint64_t whole)
{
    if (whole)
        table_cellf(t, "%.0f%%", 100.0 * (double)part / (double)whole);
    else
        table_cell(t, "-");
}

static void add_metrics(struct table *t, const json_t *m)
{
    char watermark[FORMAT_MAX];
    cell_count(t, count_of(m, "read-records"));
    cell_count(t, count_of(m, "write-records"));
    cell_count(t, count_of(m, "late-records"));
    cell_count(t, count_of(m, "frames-out-local"));
    cell_count(t, count_of(m, "frames-out-remote"));
    uint64_t busy = count_of(m, "busy-time-us"), blocked = count_of(m, "blocked-time-us");
    uint64_t all = busy + blocked + count_of(m, "idle-time-us");
    cell_share(t, busy, all);
    cell_share(t, blocked, all);
    int64_t time = field_int(m, "watermark", WEIR_TIME_MIN);
    table_cell(t, time == WEIR_TIME_MAX ? "end of input" : format_time(time, watermark));
}

static weir_err print_vertices(const json_t *vertices, FILE *out)
{
    static const struct table_column columns[] = {
        {"VERTEX", TABLE_RIGHT}, {"OPERATORS", TABLE_WRAP}, {"STATUS", TABLE_LEFT}, {"SUBTASKS", TABLE_RIGHT}, METRIC_COLUMNS,
    };
    struct table *t = table_new(COLUMNS(columns));
    size_t i;
    const json_t *v;
    json_array_foreach(vertices, i, v)
    {
        table_row(t);
        table_cellf(t, "%zu", i);
        cell_text(t, field_text(v, "name"));
        cell_text(t, field_text(v, "status"));
        cell_count(t, count_of(v, "parallelism"));
        add_metrics(t, json_object_get(v, "metrics"));
    }
    return finish(t, out);
}

static void add_subtasks(struct table *t, size_t vertex, const json_t *subtasks)
{
    size_t i;
    const json_t *s;
    json_array_foreach(subtasks, i, s)
    {
        table_row(t);
        table_cellf(t, "%zu", vertex);
        cell_count(t, count_of(s, "subtask"));
        cell_text(t, field_text(s, "taskmanager"));
        cell_text(t, field_text(s, "status"));
        add_metrics(t, json_object_get(s, "metrics"));
    }
}

static weir_err print_subtasks(const json_t *vertices, FILE *out)
{
    static const struct table_column columns[] = {
        {"VERTEX", TABLE_RIGHT}, {"SUBTASK", TABLE_RIGHT}, {"TASKMANAGER", TABLE_LEFT}, {"STATUS", TABLE_LEFT}, METRIC_COLUMNS,
    };
    struct table *t = table_new(COLUMNS(columns));
    size_t i;
    const json_t *v;
    json_array_foreach(vertices, i, v) add_subtasks(t, i, field_list(v, "subtasks"));
    return finish(t, out);
}

static weir_err print_counters(const json_t *counters, FILE *out)
{
    static const struct table_column columns[] = {
        {"OPERATOR", TABLE_LEFT}, {"SUBTASK", TABLE_RIGHT}, {"COUNTER", TABLE_LEFT}, {"VALUE", TABLE_RIGHT}};
    struct table *t = table_new(COLUMNS(columns));
    size_t i;
    const json_t *c;
    json_array_foreach(counters, i, c)
    {
        table_row(t);
        cell_text(t, field_text(c, "operator"));
        cell_count(t, count_of(c, "subtask"));
        cell_text(t, field_text(c, "name"));
        const json_t *value = json_object_get(c, "value");
        if (json_is_string(value)) /* above 2^63 - 1 the JobManager sends digits */
            cell_text(t, json_string_value(value));
        else
            cell_count(t, count_of(c, "value"));
    }
    return finish(t, out);
}

static void cell_bytes(struct table *t, uint64_t n)
{
    char text[FORMAT_MAX];
    table_cell(t, format_bytes(n, text));
}

static void add_slot(struct table *t, const json_t *m)
{
    uint64_t budget = count_of(m, "memory-budget-bytes");
    cell_bytes(t, count_of(m, "memory-bytes"));
    if (budget)
        cell_bytes(t, budget);
    else
        table_cell(t, "-");
    cell_count(t, count_of(m, "entries"));
    cell_count(t, count_of(m, "loads"));
    cell_count(t, count_of(m, "evictions"));
    cell_count(t, count_of(m, "write-outs"));
    cell_count(t, count_of(m, "compaction-stalls"));
    cell_bytes(t, count_of(m, "rocksdb-live-sst-files-size"));
    cell_count(t, count_of(m, "rocksdb-live-sst-files"));
    cell_count(t, count_of(m, "rocksdb-num-files-at-level0"));
}

/* Keyed state by slots; all there is to know of RocksDB is in the JSON. */
static weir_err print_state(const json_t *slots, FILE *out)
{
    static const struct table_column columns[] = {{"SLOT", TABLE_RIGHT},      {"TASKMANAGER", TABLE_LEFT}, {"STATE", TABLE_RIGHT},
                                                  {"BUDGET", TABLE_RIGHT},    {"ENTRIES", TABLE_RIGHT},    {"LOADS", TABLE_RIGHT},
                                                  {"EVICTIONS", TABLE_RIGHT}, {"WRITE-OUTS", TABLE_RIGHT}, {"STALLS", TABLE_RIGHT},
                                                  {"ON DISK", TABLE_RIGHT},   {"FILES", TABLE_RIGHT},      {"LEVEL 0", TABLE_RIGHT}};
    struct table *t = table_new(COLUMNS(columns));
    size_t i;
    const json_t *s;
    json_array_foreach(slots, i, s)
    {
        table_row(t);
        cell_count(t, count_of(s, "slot"));
        cell_text(t, field_text(s, "taskmanager"));
        add_slot(t, json_object_get(s, "metrics"));
    }
    return finish(t, out);
}

weir_err view_job(const json_t *doc, FILE *out)
{
    const json_t *vertices = field_list(doc, "vertices"), *counters = field_list(doc, "counters"),
                 *slots = field_list(doc, "state-backend");
    print_head(doc, out);
    if (json_is_object(json_object_get(doc, "failure"))) {
        fputc('\n', out);
        view_failure(doc, out);
    }
    weir_err err = WEIR_OK;
    if (json_array_size(vertices)) {
        fputc('\n', out);
        err = print_vertices(vertices, out);
        fputc('\n', out);
        if (!err) err = print_subtasks(vertices, out);
    }
    if (!err && json_array_size(slots)) {
        fputc('\n', out);
        err = print_state(slots, out);
    }
    if (!err && json_array_size(counters)) {
        fputc('\n', out);
        err = print_counters(counters, out);
    }
    return err;
}

/* ---- checkpoints ---- */

static const char *kind_of(const json_t *checkpoint)
{
    const char *type = field_text(checkpoint, "checkpoint_type");
    if (strcmp(type, "SYNC_SAVEPOINT") == 0) return "stop";
    if (strcmp(type, "SAVEPOINT") == 0) return "savepoint";
    return strcmp(type, "FINAL") == 0 ? "final" : "checkpoint";
}

static void add_checkpoint(struct table *t, const json_t *c)
{
    char size[FORMAT_MAX], fresh[FORMAT_MAX];
    table_row(t);
    cell_count(t, count_of(c, "id"));
    table_cell(t, kind_of(c));
    cell_text(t, field_text(c, "status"));
    cell_time(t, c, "trigger_timestamp");
    cell_duration(t, c, "end_to_end_duration");
    table_cell(t, format_bytes(count_of(c, "state_size"), size));
    table_cell(t, format_bytes(count_of(c, "checkpointed_size"), fresh));
    cell_text(t, *field_text(c, "failure_message") ? field_text(c, "failure_message") : field_text(c, "external_path"));
}

weir_err view_checkpoints(const json_t *doc, FILE *out)
{
    static const struct table_column columns[] = {
        {"ID", TABLE_RIGHT},   {"KIND", TABLE_LEFT},   {"STATUS", TABLE_LEFT}, {"BEGAN", TABLE_LEFT},
        {"TOOK", TABLE_RIGHT}, {"STATE", TABLE_RIGHT}, {"NEW", TABLE_RIGHT},   {"WHERE, OR WHY NOT", TABLE_WRAP},
    };
    const json_t *counts = json_object_get(doc, "counts"), *checkpoint;
    size_t i;
    if (!json_is_true(json_object_get(doc, "enabled"))) {
        fputs("the job has no checkpoints\n", out);
        return WEIR_OK;
    }
    fprintf(out, "%" PRIu64 " completed, %" PRIu64 " failed, %" PRIu64 " in progress, %" PRIu64 " restored\n\n",
            count_of(counts, "completed"), count_of(counts, "failed"), count_of(counts, "in_progress"), count_of(counts, "restored"));
    struct table *t = table_new(COLUMNS(columns));
    json_array_foreach(field_list(doc, "history"), i, checkpoint) add_checkpoint(t, checkpoint);
    return finish(t, out);
}

/* ---- exceptions ---- */

static void add_failure(struct table *t, const json_t *failure, const char *then)
{
    const char *op = field_text(failure, "operator"), *taskmanager = field_text(failure, "taskmanager");
    int64_t subtask = field_int(failure, "subtask", -1);
    table_row(t);
    cell_time(t, failure, "timestamp");
    table_cell(t, then);
    if (*op && subtask >= 0)
        table_cellf(t, "%s subtask %" PRId64, op, subtask);
    else
        cell_text(t, op);
    cell_text(t, taskmanager);
    cell_text(t, field_text(failure, "reason"));
}

weir_err view_exceptions(const json_t *doc, FILE *out)
{
    static const struct table_column columns[] = {
        {"AT", TABLE_LEFT}, {"THEN", TABLE_LEFT}, {"OPERATOR", TABLE_LEFT}, {"TASKMANAGER", TABLE_LEFT}, {"REASON", TABLE_WRAP}};
    const json_t *root = json_object_get(doc, "failure"), *history = field_list(doc, "history"), *failure;
    size_t i;
    if (!json_is_object(root) && json_array_size(history) == 0) {
        fputs("the job has not failed\n", out);
        return WEIR_OK;
    }
    struct table *t = table_new(COLUMNS(columns));
    if (json_is_object(root)) add_failure(t, root, "failed");
    json_array_foreach(history, i, failure) add_failure(t, failure, "restarted");
    weir_err err = finish(t, out);
    if (!err && json_is_true(json_object_get(doc, "truncated"))) fputs("\nolder ones are in the JobManager's log\n", out);
    return err;
}

/* ---- plan ---- */

static void join_inputs(const json_t *node, char *text, size_t size)
{
    size_t i, at = 0;
    const json_t *input;
    text[0] = '\0';
    json_array_foreach(field_list(node, "inputs"), i, input)
    {
        int n =
            snprintf(text + at, size - at, "%s%s from %" PRIu64, i ? ", " : "", field_text(input, "ship_strategy"), count_of(input, "id"));
        if (n < 0 || (size_t)n >= size - at) return;
        at += (size_t)n;
    }
}

/* Foreign text of several lines. */
static void print_lines(const char *text, FILE *out)
{
    for (; *text; text++) fputc(*text == '\n' || ((unsigned char)*text >= 0x20 && *text != 0x7f) ? *text : '?', out);
}

weir_err view_plan(const json_t *doc, FILE *out)
{
    const char *drawing = field_text(doc, "text");
    if (*drawing) {
        print_lines(drawing, out);
        return WEIR_OK;
    }
    static const struct table_column columns[] = {
        {"VERTEX", TABLE_RIGHT}, {"SUBTASKS", TABLE_RIGHT}, {"INPUTS", TABLE_WRAP}, {"OPERATORS", TABLE_WRAP}};
    struct table *t = table_new(COLUMNS(columns));
    size_t i;
    const json_t *node;
    json_array_foreach(field_list(json_object_get(doc, "plan"), "nodes"), i, node)
    {
        char inputs[LINE_MAX_BYTES];
        join_inputs(node, inputs, sizeof inputs);
        table_row(t);
        cell_count(t, count_of(node, "id"));
        cell_count(t, count_of(node, "parallelism"));
        cell_text(t, inputs);
        cell_text(t, field_text(node, "description"));
    }
    return finish(t, out);
}

weir_err view_dot(const json_t *doc, FILE *out)
{
    print_lines(field_text(doc, "dot"), out);
    return WEIR_OK;
}

weir_err view_nothing(const json_t *doc, FILE *out)
{
    (void)doc, (void)out;
    return WEIR_OK;
}

/* ---- totals ---- */

static bool is_source(const json_t *plan, size_t vertex)
{
    if (!plan) return vertex == 0;
    const json_t *node = json_array_get(field_list(json_object_get(plan, "plan"), "nodes"), vertex);
    return node && json_array_size(field_list(node, "inputs")) == 0;
}

struct view_totals view_totals(const json_t *job, const json_t *plan)
{
    struct view_totals totals = {.watermark_ms = WEIR_TIME_MAX};
    const json_t *vertices = field_list(job, "vertices"), *v;
    size_t i;
    json_array_foreach(vertices, i, v)
    {
        const json_t *m = json_object_get(v, "metrics");
        if (is_source(plan, i)) totals.read += count_of(m, "read-records");
        totals.exchanged += count_of(m, "write-records");
        int64_t watermark = field_int(m, "watermark", WEIR_TIME_MIN);
        if (watermark < totals.watermark_ms) totals.watermark_ms = watermark;
        if (count_of(v, "parallelism") > totals.slots) totals.slots = count_of(v, "parallelism");
    }
    if (json_array_size(vertices) == 0) totals.watermark_ms = WEIR_TIME_MIN;
    return totals;
}

bool view_ended(const char *state)
{
    return strcmp(state, "FINISHED") == 0 || strcmp(state, "FAILED") == 0 || strcmp(state, "CANCELED") == 0;
}
