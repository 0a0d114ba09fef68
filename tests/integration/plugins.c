/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Plugins that misbehave. Whatever they do, their job fails with a reason that names the culprit, and the TaskManagers and a healthy job on
 * the same TaskManagers go on.
 */
#include <elf.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/cluster/cluster.h"

/* Room for both jobs at parallelism 2 on each of two TaskManagers. Whose job fails is not to be lost because the machine stood still. */
static void begin(struct cluster *c, struct neighbour *n)
{
    assert_int_equal(setenv("WEIR_HEARTBEAT_TIMEOUT", "15s", 1), 0);
    cluster_start(c, 2, 2);
    neighbour_start(c, n);
}

static struct said run_how(struct cluster *c, const char *how)
{
    struct said s = ctl(c, "run", "--name", "misbehave", "--parallelism", "2", "--progress-timeout", "1000", job_plugin("misbehave"), "--",
                        "--how", how, NULL);
    if (s.code != 1) fail_msg("jobctl ended with %d instead of 1: %s", s.code, s.err);
    assert_has(s.err, "(misbehave) FAILED");
    return s;
}

/* The failing job's document, which has the same in fields. */
static void check_failure(struct cluster *c, const char *code, const char *operator_id, int64_t subtask)
{
    json_t *job = job_show(c, "misbehave");
    const json_t *failure = json_object_get(job, "failure");
    assert_string_equal(json_text(failure, "code"), code);
    assert_string_equal(json_text(failure, "operator"), operator_id);
    assert_int_equal(json_number(failure, "subtask"), subtask);
    if (*operator_id) {
        /* Slots are dealt out evenly, so the subtask's place says which of the two it was. */
        const json_t *vertex = json_array_get(json_object_get(job, "vertices"), 1);
        const json_t *at = json_array_get(json_object_get(vertex, "subtasks"), (size_t)subtask);
        assert_string_equal(json_text(failure, "taskmanager"), json_text(at, "taskmanager"));
    }
    json_decref(job);
}

static void operator_fails(struct cluster *c, const char *how, const char *code, const char *reason)
{
    struct neighbour n;
    begin(c, &n);
    struct said s = run_how(c, how);
    assert_has(s.err, "wreck");
    assert_has(s.err, reason);
    check_failure(c, code, "wreck", 1);
    neighbour_is_well(c, &n);
}

STORY(segv_in_an_operator)
{
    operator_fails(c, "segv", "USER", "operator wreck (subtask 1) crashed the worker: SIGSEGV");
}
STORY(abort_in_an_operator)
{
    operator_fails(c, "abort", "USER", "operator wreck (subtask 1) crashed the worker: SIGABRT");
}
STORY(stack_overflow_in_an_operator)
{
    operator_fails(c, "overflow", "USER", "operator wreck (subtask 1) crashed the worker: SIGSEGV");
}
STORY(exit_in_an_operator)
{
    operator_fails(c, "exit", "USER", "operator wreck (subtask 1) left through exit(3)");
}
STORY(endless_loop_in_an_operator)
{
    operator_fails(c, "loop", "TIMEOUT", "1000 ms");
}
STORY(error_of_an_operator)
{
    operator_fails(c, "error", "USER", "a row from the year 1888 cannot be right");
}
STORY(endless_output_from_one_record)
{
    operator_fails(c, "flood", "LIMIT", "WEIR_OVERFLOW_MAX");
}

/* In a chain the output is consumed as it is made: nothing fills up, but the step does not return. Either end of the chain may be named. */
STORY(endless_output_within_a_chain)
{
    struct neighbour n;
    begin(c, &n);
    struct said s = run_how(c, "chained-flood");
    assert_has(s.err, "a step does not return");
    assert_has(s.err, "subtask       1\n");
    neighbour_is_well(c, &n);
}

static void entry_fails(struct cluster *c, const char *how, const char *code, const char *reason)
{
    struct neighbour n;
    begin(c, &n);
    assert_has(run_how(c, how).err, reason);
    check_failure(c, code, "", -1);
    neighbour_is_well(c, &n);
}

STORY(crash_in_the_entry_function)
{
    entry_fails(c, "entry-crash", "USER", "crashed while describing its graph: SIGSEGV");
}
STORY(exit_in_the_entry_function)
{
    entry_fails(c, "entry-exit", "USER", "ended the process while describing its graph: exit status 3");
}
STORY(crash_in_the_entry_function_on_a_taskmanager)
{
    entry_fails(c, "worker-entry-crash", "USER", "the plugin crashed while it was loaded: SIGSEGV");
}
STORY(exit_in_the_entry_function_on_a_taskmanager)
{
    entry_fails(c, "worker-entry-exit", "USER", "the plugin left through exit(3) while it was loaded");
}
STORY(cyclic_graph)
{
    entry_fails(c, "cycle", "GRAPH", "form a cycle");
}
STORY(empty_graph)
{
    entry_fails(c, "empty", "GRAPH", "no source");
}
STORY(graph_without_sink)
{
    entry_fails(c, "sinkless", "GRAPH", "sink");
}
STORY(graph_that_differs_between_processes)
{
    struct neighbour n;
    begin(c, &n);
    struct said s = run_how(c, "moody");
    assert_has(s.err, "the plugin built another graph");
    assert_has(s.err, "TaskManager   tm-");
    check_failure(c, "GRAPH", "", -1);
    neighbour_is_well(c, &n);
}

/* It may be canceled at once, and is given up in the end; the process that describes it is gone in both cases. */
STORY(entry_function_that_does_not_return)
{
    char id[JOB_ID_MAX];
    struct neighbour n;
    begin(c, &n);
    job_submit(c, id, job_plugin("misbehave"), "--", "--how", "entry-hang", NULL);
    json_decref(job_wait(c, id, "INITIALIZING"));
    cluster_wait_processes(c, "weir-worker", 3, CLUSTER_WAIT_MS);
    assert_int_equal(ctl(c, "cancel", id, NULL).code, 0);
    json_decref(job_wait(c, id, "CANCELED"));
    cluster_wait_processes(c, "weir-worker", 2, CLUSTER_WAIT_MS);

    struct said s = ctl_within(c, 60000, "run", job_plugin("misbehave"), "--", "--how", "entry-hang", NULL);
    assert_int_equal(s.code, 1);
    assert_has(s.err, "FAILED");
    assert_has(s.err, "30000 ms");
    cluster_wait_processes(c, "weir-worker", 2, CLUSTER_WAIT_MS);
    neighbour_is_well(c, &n);
}

/* ---- what is no plugin, or none of this Weir ------------------------------------------------------------------------------------------
 */

STORY(undefined_symbol)
{
    struct neighbour n;
    begin(c, &n);
    struct said s = ctl(c, "run", job_plugin("unresolved"), NULL);
    assert_int_equal(s.code, 1);
    assert_has(s.err, "FAILED");
    assert_has(s.err, "function_that_is_nowhere");
    neighbour_is_well(c, &n);
}

/* Refused at the door: no job comes of it. */
static void file_is_refused(struct cluster *c, const char *path, const char *reason)
{
    struct said s = ctl(c, "run", path, NULL);
    if (s.code != 4) fail_msg("jobctl ended with %d instead of 4: %s", s.code, s.err);
    assert_has(s.err, reason);
}

static void refused(struct cluster *c, const char *path, const char *reason)
{
    struct neighbour n;
    begin(c, &n);
    file_is_refused(c, path, reason);
    json_t *plugins = ctl_json(c, "plugins", NULL), *jobs = ctl_json(c, "list", NULL);
    assert_int_equal(json_array_size(json_object_get(plugins, "files")), 1); /* the neighbour's */
    assert_int_equal(json_array_size(json_object_get(jobs, "jobs")), 1);
    json_decref(plugins);
    json_decref(jobs);
    neighbour_is_well(c, &n);
}

STORY(file_that_is_no_elf)
{
    static const char text[] = "#!/bin/sh\necho I am a plugin, too\n";
    const char *path = in_dir(c, "text.so");
    file_write(path, text, sizeof text - 1);
    refused(c, path, "ELF");
}

/* The bytes a loader needs: up to the end of the last segment. Debugging information may lie behind. */
static size_t loaded_bytes(const char *elf)
{
    Elf64_Ehdr head;
    size_t end = 0;
    memcpy(&head, elf, sizeof head);
    for (size_t i = 0; i < head.e_phnum; i++) {
        Elf64_Phdr segment;
        memcpy(&segment, elf + head.e_phoff + i * sizeof segment, sizeof segment);
        if (segment.p_type == PT_LOAD && segment.p_offset + segment.p_filesz > end) end = segment.p_offset + segment.p_filesz;
    }
    return end;
}

/* Cut anywhere in what would be loaded: refused at the door. */
STORY(truncated_plugin)
{
    struct neighbour n;
    size_t len;
    const char *path = in_dir(c, "cut.so");
    char *whole = file_read(job_plugin("steady"), &len);
    len = loaded_bytes(whole);
    begin(c, &n);
    for (size_t part = 0; part < 8; part++) {
        size_t cut = part == 0 ? 40 : len * part / 8;
        file_write(path, whole, cut);
        struct said s = ctl(c, "run", path, "--", "--rows", "10", NULL);
        if (s.code != 4) fail_msg("cut to %zu of %zu bytes: jobctl ended with %d: %s", cut, len, s.code, s.err);
        assert_has(s.err, "cut");
    }
    free(whole);
    neighbour_is_well(c, &n);
}

/* The proof that the mark is missing because nothing ran: the same source, built for this Weir, does leave it. */
STORY(plugin_for_another_weir_is_not_even_loaded)
{
    const char *mark = in_dir(c, "mark");
    assert_int_equal(setenv("WEIR_TEST_MARK", mark, 1), 0);
    refused(c, job_plugin("marking_other_abi"), "ABI 99");
    assert_false(file_exists(mark));
    assert_int_equal(ctl(c, "run", job_plugin("marking"), NULL).code, 0);
    assert_true(file_exists(mark));
}

STORY_MAIN(STORY_TEST(segv_in_an_operator), STORY_TEST(abort_in_an_operator), STORY_TEST(stack_overflow_in_an_operator),
           STORY_TEST(exit_in_an_operator), STORY_TEST(endless_loop_in_an_operator), STORY_TEST(error_of_an_operator),
           STORY_TEST(endless_output_from_one_record), STORY_TEST(endless_output_within_a_chain), STORY_TEST(crash_in_the_entry_function),
           STORY_TEST(exit_in_the_entry_function), STORY_TEST(crash_in_the_entry_function_on_a_taskmanager),
           STORY_TEST(exit_in_the_entry_function_on_a_taskmanager), STORY_TEST(cyclic_graph), STORY_TEST(empty_graph),
           STORY_TEST(graph_without_sink), STORY_TEST(graph_that_differs_between_processes),
           STORY_TEST(entry_function_that_does_not_return), STORY_TEST(undefined_symbol), STORY_TEST(file_that_is_no_elf),
           STORY_TEST(truncated_plugin), STORY_TEST(plugin_for_another_weir_is_not_even_loaded))
