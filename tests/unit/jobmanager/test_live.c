/* SPDX-License-Identifier: Apache-2.0 */
/* Live configuration: where settings lie, which there are, and what they do to a job's options. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "jobmanager/live.h"

#define JOB "0123456789abcdef0123456789abcdef"

static struct live_setting setting(const char *job, const char *key, const char *value)
{
    struct live_setting s = {.counts = true};
    (void)snprintf(s.job, sizeof s.job, "%s", job);
    (void)snprintf(s.key, sizeof s.key, "%s", key);
    (void)snprintf(s.value, sizeof s.value, "%s", value);
    return s;
}

static void may(const char *job, const char *key, const char *value)
{
    struct live_setting s = setting(job, key, value);
    struct weir_diag diag = {0};
    if (live_check(&s, &diag)) fail_msg("%s = %s: %s", key, value, diag.text);
}

static void refused(const char *job, const char *key, const char *value, const char *words)
{
    struct live_setting s = setting(job, key, value);
    struct weir_diag diag = {0};
    assert_int_equal(live_check(&s, &diag), WEIR_E_ARGUMENT);
    if (!strstr(diag.text, words)) fail_msg("%s = %s: %s", key, value, diag.text);
}

static void paths_are_written_and_read(void **state)
{
    char path[LIVE_PATH_MAX];
    struct live_setting s;
    (void)state;
    live_path("", "log.level", path);
    assert_string_equal(path, "/weir/config/log.level");
    assert_true(live_parse_path(path, &s));
    assert_string_equal(s.job, "");
    assert_string_equal(s.key, "log.level");
    live_path(JOB, "job.rate", path);
    assert_string_equal(path, "/weir/config/jobs/" JOB "/job.rate");
    assert_true(live_parse_path(path, &s));
    assert_string_equal(s.job, JOB);
    assert_string_equal(s.key, "job.rate");
    assert_false(live_parse_path("/weir/config/jobs/12/job.rate", &s));
    assert_false(live_parse_path("/weir/config/jobs/" JOB, &s));
    assert_false(live_parse_path("/weir/config/a/b", &s));
    assert_false(live_parse_path("/weir/config/", &s));
    assert_false(live_parse_path("/weir/job/x", &s));
}

static void values_follow_the_rules_of_the_start(void **state)
{
    (void)state;
    may("", "log.level", "debug");
    refused("", "log.level", "loud", "debug, info, warn, error");
    may("", "taskmanager.leader-wait", "10m");
    refused("", "taskmanager.leader-wait", "soon", "taskmanager.leader-wait = soon is not");
    may("", "execution.checkpointing.interval", "1m");
    may(JOB, "execution.checkpointing.interval", "0");
    refused(JOB, "execution.checkpointing.interval", "often", "is not");
    may(JOB, "restart-strategy.type", "none");
    refused(JOB, "restart-strategy.type", "sometimes", "one of none");
    may(JOB, "job.anything at all", "");
}

static void what_cannot_change_is_refused_in_words(void **state)
{
    (void)state;
    refused("", "taskmanager.slots", "3", "cannot be changed while the cluster runs");
    refused("", "coordination.tick", "50ms", "in the configuration, and start again");
    refused("", "log.leve", "info", "did you mean log.level?");
    refused("", "job.rate", "1", "cannot be changed");
    refused(JOB, "log.level", "debug", "while a job runs");
    refused(JOB, "rate", "1", "a job's own keys begin with job.");
}

static void jobs_take_what_counts_for_them(void **state)
{
    struct live_setting at[] = {setting("", "execution.checkpointing.interval", "7s"), setting("", "log.level", "debug"),
                                setting(JOB, "execution.checkpointing.timeout", "9s"),
                                setting(JOB, "execution.checkpointing.min-pause", "2s")};
    struct job_options options;
    (void)state;
    at[3].counts = false;
    job_options_default(&options);
    live_apply(at, 4, "", &options);
    assert_int_equal(options.interval_ms, 7000);
    assert_int_equal(options.timeout_ms, 600000);
    live_apply(at, 4, JOB, &options);
    assert_int_equal(options.interval_ms, 7000);
    assert_int_equal(options.timeout_ms, 9000);
    assert_int_equal(options.min_pause_ms, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_are_written_and_read),
        cmocka_unit_test(values_follow_the_rules_of_the_start),
        cmocka_unit_test(what_cannot_change_is_refused_in_words),
        cmocka_unit_test(jobs_take_what_counts_for_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
