/* SPDX-License-Identifier: Apache-2.0 */
/* The JobManager's documents as tables and sentences, which job is meant, and what an attached run says and returns. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/jobctl/exit.h"
#include "api/jobctl/format.h"
#include "api/jobctl/progress.h"
#include "api/jobctl/resolve.h"
#include "api/jobctl/run.h"
#include "api/jobctl/submission.h"
#include "api/jobctl/session.h"
#include "api/jobctl/view.h"
#include "weir/row.h"
#include <locale.h>
#include <stdlib.h>
#include <string.h>

#define JOB_A "4f2a0c81d9e34f2a0c81d9e34f2a0c81"
#define JOB_B "4f2a0c81d9e34f2a0c81d9e34f2a0c82"
#define JOB_C "00ffaa81d9e34f2a0c81d9e34f2a0c81"

static const char jobs[] =
    "{\"jobs\": ["
    "{\"jid\": \"" JOB_A "\", \"name\": \"accesslog\", \"state\": \"RUNNING\", \"start-time\": 1431857100000, \"end-time\": -1,"
    " \"duration\": 61500, \"tasks\": {\"total\": 8, \"running\": 6, \"finished\": 1}},"
    "{\"jid\": \"" JOB_B "\", \"name\": \"twin\", \"state\": \"FAILED\", \"duration\": 310},"
    "{\"jid\": \"" JOB_C "\", \"name\": \"twin\", \"state\": \"FINISHED\"},"
    "{\"jid\": \"../../etc\", \"name\": \"evil\"}, 7, null]}";

static const char job[] =
    "{\"jid\": \"" JOB_A "\", \"name\": \"accesslog\", \"state\": \"FAILED\", \"plugin\": \"ab12\", \"parallelism\": 2, \"attempt\": 1,"
    "\"args\": [\"--input\", \"a\\u001b[2Jb\"], \"start-time\": 1431857100000, \"duration\": 2000,"
    "\"failure\": {\"code\": \"USER\", \"operator\": \"parse\", \"subtask\": 1, \"taskmanager\": \"tm-2\", \"reason\": \"killed by signal "
    "11 "
    "(Segmentation fault)\"},"
    "\"vertices\": ["
    "{\"id\": 0, \"name\": \"read -> parse\", \"parallelism\": 2, \"status\": \"FAILED\", \"metrics\": {\"read-records\": 10000, "
    "\"write-records\": 9999,"
    " \"busy-time-us\": 300, \"idle-time-us\": 600, \"blocked-time-us\": 100, \"watermark\": 1431857100000},"
    " \"subtasks\": [{\"subtask\": 0, \"status\": \"CANCELED\", \"taskmanager\": \"tm-1\", \"metrics\": {\"frames-out-remote\": 1234}},"
    "                {\"subtask\": 1, \"status\": \"FAILED\", \"taskmanager\": \"tm-2\"}]},"
    "{\"id\": 1, \"name\": \"count -> write\", \"parallelism\": 3, \"status\": \"CANCELED\", \"metrics\": {\"read-records\": 9000, "
    "\"watermark\": null}}],"
    "\"state-backend\": [{\"slot\": 1, \"taskmanager\": \"tm-2\", \"metrics\": {\"memory-bytes\": 1536, \"memory-budget-bytes\": 2048,"
    " \"entries\": 12345, \"loads\": 6, \"evictions\": 7, \"write-outs\": 8, \"compaction-stalls\": 9,"
    " \"rocksdb-live-sst-files-size\": 5120, \"rocksdb-live-sst-files\": 3, \"rocksdb-num-files-at-level0\": 2}}, 5],"
    "\"counters\": [{\"operator\": \"parse\", \"subtask\": 1, \"name\": \"malformed\", \"value\": 1}]}";

static const char plan[] = "{\"plan\": {\"nodes\": [{\"id\": 0, \"parallelism\": 2, \"description\": \"read -> parse\", \"inputs\": []},"
                           "{\"id\": 1, \"parallelism\": 3, \"description\": \"count -> write\", \"inputs\": [{\"num\": 0, \"id\": 0,"
                           " \"ship_strategy\": \"HASH\"}]}]}}";

static json_t *load(const char *text)
{
    json_error_t why;
    json_t *doc = json_loads(text, 0, &why);
    if (!doc) fail_msg("%s", why.text);
    return doc;
}

static char *render(weir_err (*view)(const json_t *doc, FILE *out), const char *text)
{
    char *rendered = NULL;
    size_t size = 0;
    json_t *doc = load(text);
    FILE *out = open_memstream(&rendered, &size);
    assert_int_equal(view(doc, out), WEIR_OK);
    fclose(out);
    json_decref(doc);
    return rendered;
}

static void shows(const char *rendered, const char *part)
{
    if (!strstr(rendered, part)) fail_msg("no \"%s\" in:\n%s", part, rendered);
}

static void jobs_are_a_table(void **state)
{
    (void)state;
    char *text = render(view_jobs, jobs);
    shows(text, "JOB          NAME      STATE    TASKS STARTED              DURATION\n");
    shows(text, "4f2a0c81d9e3 accesslog RUNNING    7/8 2015-05-17T10:05:00Z 1 m 01 s\n");
    shows(text, "twin      FAILED     0/0 -                     0.310 s\n");
    free(text);
    text = render(view_jobs, "{\"jobs\": []}");
    assert_string_equal(text, "JOB NAME STATE TASKS STARTED DURATION\n");
    free(text);
}

static void a_job_shows_all_it_has(void **state)
{
    (void)state;
    char *text = render(view_job, job);
    shows(text, "job           " JOB_A "\nname          accesslog\nstate         FAILED\n");
    shows(text, "arguments     --input a?[2Jb\n"); /* nothing moves the cursor */
    shows(text, "reason        killed by signal 11 (Segmentation fault)\noperator      parse\nsubtask       1\nTaskManager   tm-2\n");
    shows(text, "read -> parse");
    shows(text, "10,000");
    shows(text, "30%");
    shows(text, "2015-05-17T10:05:00Z");
    shows(text, "1,234");
    shows(text, "malformed");
    shows(text, "SLOT TASKMANAGER   STATE  BUDGET ENTRIES LOADS EVICTIONS WRITE-OUTS STALLS ON DISK FILES LEVEL 0\n"
                "   1 tm-2        1.5 KiB 2.0 KiB  12,345     6         7          8      9 5.0 KiB     3       2\n");
    free(text);
}

static void exceptions_say_what_was_got_over(void **state)
{
    (void)state;
    char *text = render(view_exceptions, "{\"failure\": {\"timestamp\": 1431857100000, \"operator\": \"parse\", \"subtask\": 1,"
                                         " \"taskmanager\": \"tm-2\", \"reason\": \"killed by signal 11\"},"
                                         " \"history\": [{\"timestamp\": 1431857100000, \"operator\": \"\", \"subtask\": -1,"
                                         " \"taskmanager\": \"tm-1\", \"reason\": \"lost\"}], \"truncated\": true}");
    shows(text, "2015-05-17T10:05:00Z failed    parse subtask 1 tm-2        killed by signal 11\n"
                "2015-05-17T10:05:00Z restarted -               tm-1        lost\n"
                "\nolder ones are in the JobManager's log\n");
    free(text);
    text = render(view_exceptions, "{\"failure\": null, \"history\": []}");
    assert_string_equal(text, "the job has not failed\n");
    free(text);
}

static void a_plan_names_inputs_and_how_they_are_shipped(void **state)
{
    (void)state;
    char *text = render(view_plan, plan);
    shows(text, "0        2 -           read -> parse\n");
    shows(text, "1        3 HASH from 0 count -> write\n");
    free(text);
    text = render(view_plan, "{\"text\": \"read\\n  \\u001b[2Jparse\\n\"}");
    assert_string_equal(text, "read\n  ?[2Jparse\n");
    free(text);
}

static void the_cluster_shows(void **state)
{
    (void)state;
    char *text = render(view_overview, "{\"taskmanagers\": 2, \"slots-total\": 4, \"slots-available\": 3, \"jobs-running\": 1}");
    shows(text, "TaskManagers  2\nslots         3 of 4 free\njobs          1 running, 0 finished, 0 canceled, 0 failed\n");
    free(text);
    text = render(view_taskmanagers,
                  "{\"taskmanagers\": [{\"id\": \"tm-1\", \"host\": \"h\", \"pid\": 7, \"slotsNumber\": 2, \"freeSlots\": 1,"
                  " \"timeSinceLastHeartbeat\": 120, \"registered\": 1431857100000}]}");
    shows(text, "tm-1 h      7     2    1 0.120 s ago 2015-05-17T10:05:00Z\n");
    free(text);
    text = render(view_taskmanager, "{\"id\": \"tm-1\", \"allocatedSlots\": [{\"index\": 0, \"jobId\": \"" JOB_A "\", \"attempt\": 1}]}");
    shows(text, "   0 " JOB_A "       1\n");
    free(text);
    text = render(view_plugins,
                  "{\"files\": [{\"id\": \"0123456789abcdef\", \"name\": \"job.so\", \"size\": 1536, \"uploaded\": 1431857100000}]}");
    shows(text, "0123456789ab job.so 1.5 KiB 2015-05-17T10:05:00Z\n");
    free(text);
}

/* The other side may send anything: no view may trip over it. */
static void nonsense_is_shown_as_nothing(void **state)
{
    (void)state;
    weir_err (*const views[])(const json_t *, FILE *) = {view_overview,    view_jobs,        view_job,     view_plan,
                                                         view_exceptions,  view_checkpoints, view_plugins, view_taskmanagers,
                                                         view_taskmanager, view_nothing};
    const char *const documents[] = {"{}", "[]", "{\"jobs\": 1, \"files\": {}, \"taskmanagers\": \"x\", \"vertices\": {}, \"plan\": []}",
                                     "{\"jobs\": [[], \"\", {\"jid\": 3}], \"files\": [null], \"taskmanagers\": [1], \"vertices\": "
                                     "[{\"metrics\": 1, \"subtasks\": [2]}, 3],"
                                     "\"failure\": {\"subtask\": \"x\"}, \"counters\": [0], \"plan\": {\"nodes\": [{\"inputs\": [1]}]}, "
                                     "\"args\": [1], \"allocatedSlots\": [9],"
                                     "\"duration\": -9223372036854775808, \"start-time\": 9223372036854775807, \"slots-total\": -1}"};
    for (size_t v = 0; v < sizeof views / sizeof *views; v++) {
        for (size_t d = 0; d < sizeof documents / sizeof *documents; d++) free(render(views[v], documents[d]));
    }
}

static void totals_count_sources_once(void **state)
{
    (void)state;
    json_t *j = load(job), *p = load(plan), *none = load("{}");
    struct view_totals t = view_totals(j, p);
    assert_int_equal(t.read, 10000);
    assert_int_equal(t.exchanged, 9999);
    assert_int_equal(t.slots, 3);
    assert_true(t.watermark_ms == WEIR_TIME_MIN); /* of one vertex it is not known yet */
    t = view_totals(none, NULL);
    assert_int_equal(t.read, 0);
    assert_true(t.watermark_ms == WEIR_TIME_MIN);
    json_decref(j);
    json_decref(p);
    json_decref(none);
}

static void progress_has_a_rate_and_an_event_time(void **state)
{
    (void)state;
    struct progress p = {0};
    char text[256];
    json_t *doc = load("{\"state\": \"RUNNING\", \"duration\": 1500}");
    struct view_totals t = {.read = 1000, .exchanged = 5, .watermark_ms = WEIR_TIME_MIN};
    progress_text(&p, doc, &t, 1000, 0, text, sizeof text);
    assert_string_equal(text, "RUNNING  1.500 s  read 1,000 (0/s)  exchanged 5");
    t.read = 3000;
    progress_text(&p, doc, &t, 2000, 0, text, sizeof text);
    assert_string_equal(text, "RUNNING  1.500 s  read 3,000 (2,000/s)  exchanged 5");
    t.watermark_ms = 1431857100000;
    progress_text(&p, doc, &t, 2200, 1431857101500, text, sizeof text); /* no new report: the rate stays */
    assert_string_equal(text, "RUNNING  1.500 s  read 3,000 (2,000/s)  exchanged 5  lag 1.500 s");
    progress_text(&p, doc, &t, 2200, 1731857101500, text, sizeof text);
    assert_string_equal(text, "RUNNING  1.500 s  read 3,000 (2,000/s)  exchanged 5  event time 2015-05-17T10:05");
    json_decref(doc);
}

static void no_terminal_no_progress(void **state)
{
    (void)state;
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    struct progress p;
    struct view_totals t = {0};
    json_t *doc = load("{}");
    progress_init(&p, out, true);
    progress_show(&p, doc, &t, 1, 1);
    progress_clear(&p);
    fclose(out);
    assert_string_equal(text, "");
    json_decref(doc);
    free(text);
}

/* ---- which one is meant ---- */

static weir_err find(const char *typed, char id[static RESOLVE_ID_MAX], struct weir_diag *diag)
{
    json_t *doc = load(jobs);
    id[0] = '\0';
    weir_err err = resolve_find(&resolve_job, json_object_get(doc, "jobs"), typed, id, diag);
    json_decref(doc);
    return err;
}

static void a_job_is_found_by_id_prefix_and_name(void **state)
{
    (void)state;
    char id[RESOLVE_ID_MAX];
    struct weir_diag diag = {0};
    assert_int_equal(find("00ff", id, &diag), WEIR_OK);
    assert_string_equal(id, JOB_C);
    assert_int_equal(find(JOB_B, id, &diag), WEIR_OK);
    assert_string_equal(id, JOB_B);
    assert_int_equal(find("accesslog", id, &diag), WEIR_OK);
    assert_string_equal(id, JOB_A);
    assert_true(resolve_is_id(&resolve_job, JOB_A));
    assert_false(resolve_is_id(&resolve_job, "4F2A0C81D9E34F2A0C81D9E34F2A0C81"));
}

static void several_or_none_are_refused_in_words(void **state)
{
    (void)state;
    char id[RESOLVE_ID_MAX];
    struct weir_diag diag = {0};
    assert_int_equal(find("4f2a", id, &diag), WEIR_E_ARGUMENT);
    assert_string_equal(diag.text, "2 jobs have the beginning of the id '4f2a' (4f2a0c81d9e3, 4f2a0c81d9e3): give more of the id");
    assert_int_equal(find("twin", id, &diag), WEIR_E_ARGUMENT);
    assert_non_null(strstr(diag.text, "2 jobs have the name 'twin'"));
    assert_int_equal(find("00f", id, &diag), WEIR_E_NOT_FOUND);
    assert_non_null(strstr(diag.text, "at least 4 digits"));
    assert_int_equal(find("nobody", id, &diag), WEIR_E_NOT_FOUND);
    assert_non_null(strstr(diag.text, "`jobctl list`"));
    assert_int_equal(find("evil", id, &diag), WEIR_E_NOT_FOUND); /* its id would not be one */
    assert_int_equal(find("", id, &diag), WEIR_E_NOT_FOUND);
    assert_string_equal(id, "");
    assert_int_equal(resolve_find(&resolve_job, NULL, "x", id, &diag), WEIR_E_NOT_FOUND);
}

/* ---- run ---- */

static void the_body_of_a_submission(void **state)
{
    (void)state;
    char *args[] = {"--input", "f\"x"};
    struct ctl_arguments a = {.parallelism = 2, .name = "n", .progress_timeout_ms = 50, .n_job_args = 2, .job_args = args};
    struct weir_diag diag = {0};
    char *body = submission_body(&a, "/home", &diag);
    assert_string_equal(
        body, "{\"parallelism\":2,\"args\":[\"--input\",\"f\\\"x\"],\"cwd\":\"/home\",\"name\":\"n\",\"progress_timeout_ms\":50}");
    free(body);
    a = (struct ctl_arguments){.parallelism = 1};
    body = submission_body(&a, "/", &diag);
    assert_string_equal(body, "{\"parallelism\":1,\"args\":[],\"cwd\":\"/\"}");
    free(body);
    char *latin[] = {"\xe9t\xe9"};
    a = (struct ctl_arguments){.parallelism = 1, .n_job_args = 1, .job_args = latin};
    assert_null(submission_body(&a, "/", &diag));
    assert_non_null(strstr(diag.text, "argument 1 of the job cannot be sent: it is not UTF-8"));
}

static void the_outcome_is_the_exit_code(void **state)
{
    (void)state;
    assert_int_equal(run_outcome("FINISHED", false), CTL_EXIT_OK);
    assert_int_equal(run_outcome("FINISHED", true), CTL_EXIT_OK); /* the Ctrl-C came too late */
    assert_int_equal(run_outcome("FAILED", false), CTL_EXIT_FAILED);
    assert_int_equal(run_outcome("CANCELED", false), CTL_EXIT_FAILED);
    assert_int_equal(run_outcome("CANCELED", true), CTL_EXIT_INTERRUPTED);
    assert_int_equal(session_exit_code(WEIR_E_UNREACHABLE, 0), CTL_EXIT_UNREACHABLE);
    assert_int_equal(session_exit_code(WEIR_E_UNREACHABLE, 503), CTL_EXIT_REFUSED);
    assert_int_equal(session_exit_code(WEIR_E_PROTOCOL, 0), CTL_EXIT_UNREACHABLE);
    assert_int_equal(session_exit_code(WEIR_E_NOT_FOUND, 0), CTL_EXIT_USAGE);
    assert_int_equal(session_exit_code(WEIR_E_NOT_FOUND, 404), CTL_EXIT_REFUSED);
    assert_int_equal(session_exit_code(WEIR_E_CANCELED, 0), CTL_EXIT_INTERRUPTED);
    assert_int_equal(session_exit_code(WEIR_E_NOMEM, 0), CTL_EXIT_FAILED);
}

static void a_summary_says_how_it_ended(void **state)
{
    (void)state;
    char *text = NULL;
    size_t size = 0;
    json_t *failed = load(job), *p = load(plan);
    json_t *finished = load("{\"jid\": \"" JOB_A "\", \"name\": \"n\", \"state\": \"FINISHED\", \"duration\": 2000, \"failure\": null,"
                            "\"vertices\": [{\"metrics\": {\"read-records\": 10000}}]}");
    FILE *out = open_memstream(&text, &size);
    run_summary(failed, p, out);
    run_summary(finished, p, out);
    fclose(out);
    assert_string_equal(text, "job 4f2a0c81d9e3 (accesslog) FAILED after 2.000 s\n"
                              "reason        killed by signal 11 (Segmentation fault)\n"
                              "operator      parse\nsubtask       1\nTaskManager   tm-2\ncode          USER\n"
                              "job 4f2a0c81d9e3 (n) FINISHED after 2.000 s, 10,000 records read, 5,000/s\n");
    free(text);
    json_decref(failed);
    json_decref(finished);
    json_decref(p);
}

static void numbers_for_people(void **state)
{
    (void)state;
    char out[FORMAT_MAX], small[8];
    assert_string_equal(format_count(0, out), "0");
    assert_string_equal(format_count(999, out), "999");
    assert_string_equal(format_count(1234567, out), "1,234,567");
    assert_string_equal(format_count(UINT64_MAX, out), "18,446,744,073,709,551,615");
    assert_string_equal(format_bytes(1023, out), "1023 B");
    assert_string_equal(format_bytes(UINT64_MAX, out), "16.0 EiB");
    assert_string_equal(format_duration(0, out), "0.000 s");
    assert_string_equal(format_duration(59999, out), "59.9 s");
    assert_string_equal(format_duration(3600000, out), "1 h 00 m");
    assert_string_equal(format_duration(100000000, out), "1 d 03 h");
    assert_string_equal(format_duration(-1, out), "-");
    assert_string_equal(format_time(INT64_MAX, out), "-");
    assert_string_equal(format_clean("a\nb\x7f", small, sizeof small), "a?b?");
    assert_string_equal(format_clean("abcdefghij", small, sizeof small), "abcd...");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(jobs_are_a_table),
        cmocka_unit_test(a_job_shows_all_it_has),
        cmocka_unit_test(exceptions_say_what_was_got_over),
        cmocka_unit_test(a_plan_names_inputs_and_how_they_are_shipped),
        cmocka_unit_test(the_cluster_shows),
        cmocka_unit_test(nonsense_is_shown_as_nothing),
        cmocka_unit_test(totals_count_sources_once),
        cmocka_unit_test(progress_has_a_rate_and_an_event_time),
        cmocka_unit_test(no_terminal_no_progress),
        cmocka_unit_test(a_job_is_found_by_id_prefix_and_name),
        cmocka_unit_test(several_or_none_are_refused_in_words),
        cmocka_unit_test(the_body_of_a_submission),
        cmocka_unit_test(the_outcome_is_the_exit_code),
        cmocka_unit_test(a_summary_says_how_it_ended),
        cmocka_unit_test(numbers_for_people),
    };
    setlocale(LC_CTYPE, "C.UTF-8");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
