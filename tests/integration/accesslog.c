/* SPDX-License-Identifier: Apache-2.0 */
/* The example job on a real access log gives the same bytes however it is divided, and whichever way its input comes. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/cluster/cluster.h"

static const struct {
    const char *folder, *sha256;
    uint32_t lines;
} expected[] = {
    {"minute", "0ba0955ff7045db401e8ddd590e81981388fb360b30ca40756a11e12dd4cfc36", 291},
    {"top", "75246c69204d60a3d0e7ebc368a4763a277c7fcd57bd930ccc4ecc349b29a2f8", 840},
    {"sessions", "5154a0554c7dd439f0be7b208a2ce7e61711e3800d196089ffaf0b22561361b6", 3052},
    {"malformed", "620454c4ae422490f93e297afdb751a1c8fa85ca45db7dbf3bc87963eb360359", 1},
};

static void check_output(const char *dir)
{
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        char folder[CLUSTER_PATH_MAX];
        uint32_t lines;
        (void)snprintf(folder, sizeof folder, "%s/%s", dir, expected[i].folder);
        assert_string_equal(sorted_sha256(folder, &lines), expected[i].sha256);
        assert_int_equal(lines, expected[i].lines);
        assert_int_equal(files_with_prefix(folder, "."), 0);
    }
}

/* The plain file, split by byte ranges, and the compressed one, which is a single split. */
static void run_local(struct cluster *c, const char *taskmanagers, const char *parallelism)
{
    const char *plain = in_dir(c, "apache_logs"), *packed = test_data("apache_logs.gz");
    file_gunzip(packed, plain);
    for (int i = 0; i < 2; i++) {
        const char *output = in_dir(c, i ? "from-gz" : "from-plain");
        struct said s = ctl_within(c, 60000, "run", "--local", "--taskmanagers", taskmanagers, "--parallelism", parallelism,
                                   example_plugin("accesslog"), "--", "--input", i ? packed : plain, "--output", output, NULL);
        if (s.code) fail_msg("jobctl ended with %d: %s", s.code, s.err);
        assert_has(s.err, "(accesslog) FINISHED");
        check_output(output);
    }
}

STORY(one_taskmanager_parallelism_1)
{
    run_local(c, "1", "1");
}
STORY(one_taskmanager_parallelism_2)
{
    run_local(c, "1", "2");
}
STORY(one_taskmanager_parallelism_3)
{
    run_local(c, "1", "3");
}
STORY(one_taskmanager_parallelism_7)
{
    run_local(c, "1", "7");
}
STORY(two_taskmanagers_parallelism_1)
{
    run_local(c, "2", "1");
}
STORY(two_taskmanagers_parallelism_2)
{
    run_local(c, "2", "2");
}
STORY(two_taskmanagers_parallelism_3)
{
    run_local(c, "2", "3");
}
STORY(two_taskmanagers_parallelism_7)
{
    run_local(c, "2", "7");
}
STORY(three_taskmanagers_parallelism_1)
{
    run_local(c, "3", "1");
}
STORY(three_taskmanagers_parallelism_2)
{
    run_local(c, "3", "2");
}
STORY(three_taskmanagers_parallelism_3)
{
    run_local(c, "3", "3");
}
STORY(three_taskmanagers_parallelism_7)
{
    run_local(c, "3", "7");
}

/* What left one process over ZeroMQ has arrived in the other. */
static void check_frames_crossed(const json_t *job)
{
    int64_t sent = job_metric(job, "frames-out-remote"), received = job_metric(job, "frames-in-remote");
    assert_true(sent > 0);
    assert_int_equal(sent, received);
    const json_t *hosts = json_object_get(job, "taskmanagers");
    assert_int_equal(json_array_size(hosts), 2);
    for (size_t i = 0; i < 2; i++) {
        const json_t *host = json_array_get(hosts, i);
        assert_int_equal(json_number(host, "slots"), 1);
        assert_string_equal(json_text(host, "state"), "COMMITTED");
        assert_int_equal(json_number(host, "frames-dropped"), 0);
        assert_has(json_text(host, "endpoint"), "tcp://127.0.0.1:");
    }
}

/* On both hosts some subtask has sent by ZeroMQ and some has received. */
static void check_both_sides(const json_t *job, const char *taskmanager)
{
    int64_t sent = 0, received = 0;
    size_t i, k;
    const json_t *vertex, *subtask;
    json_array_foreach(json_object_get(job, "vertices"), i, vertex)
    {
        json_array_foreach(json_object_get(vertex, "subtasks"), k, subtask)
        {
            if (strcmp(json_text(subtask, "taskmanager"), taskmanager) != 0) continue;
            sent += json_number(json_object_get(subtask, "metrics"), "frames-out-remote");
            received += json_number(json_object_get(subtask, "metrics"), "frames-in-remote");
        }
    }
    assert_true(sent > 0);
    assert_true(received > 0);
}

STORY(processes_started_by_hand_exchange_frames_over_tcp)
{
    const char *plain = in_dir(c, "apache_logs"), *output = in_dir(c, "out");
    file_gunzip(test_data("apache_logs.gz"), plain);
    cluster_start(c, 2, 2);
    assert_has(c->admin, "tcp://127.0.0.1:");
    struct said s = ctl_within(c, 60000, "run", "--parallelism", "2", "--name", "log", example_plugin("accesslog"), "--", "--input", plain,
                               "--output", output, NULL);
    if (s.code) fail_msg("jobctl ended with %d: %s", s.code, s.err);
    check_output(output);
    json_t *job = job_show(c, "log");
    assert_string_equal(json_text(job, "state"), "FINISHED");
    check_frames_crossed(job);
    check_both_sides(job, "tm-1");
    check_both_sides(job, "tm-2");
    json_decref(job);
}

/* A second run into the same folders takes the place of the first, also with fewer part files. */
STORY(second_run_replaces_the_first)
{
    const char *packed = test_data("apache_logs.gz"), *output = in_dir(c, "out");
    static const char *const parallelism[] = {"3", "1"};
    cluster_start(c, 1, 3);
    for (int i = 0; i < 2; i++) {
        struct said s = ctl_within(c, 60000, "run", "--parallelism", parallelism[i], example_plugin("accesslog"), "--", "--input", packed,
                                   "--output", output, NULL);
        if (s.code) fail_msg("jobctl ended with %d: %s", s.code, s.err);
        check_output(output);
    }
    assert_int_equal(files_with_prefix(output, "part-"), 4);
}

/* With hardly any memory for state, panes leave for RocksDB; nobody sees a difference, and no scratch folder stays. */
STORY(state_that_does_not_fit_its_memory)
{
    const char *plain = in_dir(c, "apache_logs"), *output = in_dir(c, "out"), *state = in_dir(c, "state");
    file_gunzip(test_data("apache_logs.gz"), plain);
    assert_int_equal(setenv("WEIR_TASKMANAGER_MEMORY_MANAGED_SIZE", "64KiB", 1), 0);
    assert_int_equal(setenv("WEIR_TASKMANAGER_STATE_DIR", state, 1), 0);
    cluster_start(c, 2, 2);
    struct said s = ctl_within(c, 60000, "run", "--parallelism", "2", "--name", "log", example_plugin("accesslog"), "--", "--input", plain,
                               "--output", output, NULL);
    if (s.code) fail_msg("jobctl ended with %d: %s", s.code, s.err);
    check_output(output);
    (void)proc_wait_log(c, c->taskmanager[0], "state goes to disk", 1);
    (void)proc_wait_log(c, c->taskmanager[1], "state goes to disk", 1);
    for (uint32_t i = 0; i < 2; i++) {
        proc_signal(c->taskmanager[i], SIGTERM);
        assert_int_equal(proc_wait(c, c->taskmanager[i], CLUSTER_WAIT_MS), 0);
    }
    assert_int_equal(files_with_prefix(state, "scratch-"), 0);
}

/* Every record travels alone: nothing depends on which records make a batch. The cluster is configured on the command line. */
STORY(frames_of_one_record)
{
    const char *plain = in_dir(c, "apache_logs"), *output = in_dir(c, "out");
    file_gunzip(test_data("apache_logs.gz"), plain);
    struct said s = ctl_within(c, 60000, "run", "--local", "--taskmanagers", "2", "-p", "3", "-D", "taskmanager.memory.segment-size=1",
                               "-o", "json", example_plugin("accesslog"), "--", "--input", plain, "--output", output, NULL);
    if (s.code) fail_msg("jobctl ended with %d: %s", s.code, s.err);
    check_output(output);
    json_t *job = json_loads(s.out, 0, NULL);
    int64_t records = 0; /* over channels: what a sink reads and a source sends */
    size_t i;
    const json_t *vertex;
    json_array_foreach(json_object_get(job, "vertices"), i, vertex) if (i > 0) records +=
        json_number(json_object_get(vertex, "metrics"), "read-records");
    assert_true(records > 10000);
    assert_true(job_metric(job, "frames-out-local") + job_metric(job, "frames-out-remote") >= records);
    json_decref(job);
}

STORY_MAIN(STORY_TEST(one_taskmanager_parallelism_1), STORY_TEST(one_taskmanager_parallelism_2), STORY_TEST(one_taskmanager_parallelism_3),
           STORY_TEST(one_taskmanager_parallelism_7), STORY_TEST(two_taskmanagers_parallelism_1),
           STORY_TEST(two_taskmanagers_parallelism_2), STORY_TEST(two_taskmanagers_parallelism_3),
           STORY_TEST(two_taskmanagers_parallelism_7), STORY_TEST(three_taskmanagers_parallelism_1),
           STORY_TEST(three_taskmanagers_parallelism_2), STORY_TEST(three_taskmanagers_parallelism_3),
           STORY_TEST(three_taskmanagers_parallelism_7), STORY_TEST(processes_started_by_hand_exchange_frames_over_tcp),
           STORY_TEST(second_run_replaces_the_first), STORY_TEST(state_that_does_not_fit_its_memory), STORY_TEST(frames_of_one_record))
