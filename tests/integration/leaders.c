/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The JobManager dies under a running job, again and again, and is started anew on its folder: the job goes on in the same attempt, and
 * what it writes is what it writes without faults.
 */
#include <signal.h>

#include "tests/integration/tasks.h"
#include "tests/support/cluster/ensemble.h"

#define DEATHS 3
#define JOB_MS 90000 /* for a whole job with all the deaths */

/* The job as the one that leads shows it. On a busy machine that may become another one between two looks. */
static json_t *show(struct cluster *c, struct ensemble *e, const char *id)
{
    if (!e) return job_show(c, id);
    for (int64_t deadline_ms = now_ms() + CLUSTER_WAIT_MS;;) {
        ensemble_wait_leader(c, e);
        struct said s = ctl(c, "-o", "json", "show", id, NULL);
        json_t *job = s.code ? NULL : json_loads(s.out, 0, NULL);
        if (job) return job;
        if (!wait_a_while(c, deadline_ms)) fail_msg("no JobManager shows the job: %s", s.err);
    }
}

/* Waits until it runs, and has completed a checkpoint since; false: it has finished. */
static bool runs_again(struct cluster *c, struct ensemble *e, const char *id, int64_t *reconciled_ms)
{
    int64_t begin_ms = now_ms(), deadline_ms = begin_ms + JOB_MS;
    struct proc *asked = NULL;
    uint32_t before = 0;
    for (;;) {
        json_t *job = show(c, e, id);
        const char *state = json_text(job, "state");
        bool ended = strcmp(state, "FINISHED") == 0, runs = strcmp(state, "RUNNING") == 0;
        if (strcmp(state, "FAILED") == 0) fail_msg("the job has failed: %s", json_text(json_object_get(job, "failure"), "reason"));
        if (json_number(job, "attempt") > 1) fail_msg("the job was restarted");
        json_decref(job);
        if (ended) return false;
        if (asked != c->jobmanager) before = proc_count_log(c->jobmanager, " completed in ");
        asked = c->jobmanager;
        if (runs && !*reconciled_ms) *reconciled_ms = now_ms() - begin_ms;
        if (runs && proc_count_log(c->jobmanager, " completed in ") > before) return true;
        if (!wait_a_while(c, deadline_ms)) fail_msg("the job does not run, or completes no checkpoint");
    }
}

static void restart_jobmanager(struct cluster *c)
{
    proc_signal(c->jobmanager, SIGKILL);
    assert_int_equal(proc_wait(c, c->jobmanager, CLUSTER_WAIT_MS), 128 + SIGKILL);
    cluster_start_jobmanager(c, true);
}

static void finishes(struct cluster *c, const struct task *task, const char *id, int64_t attempt)
{
    json_t *job = job_wait(c, id, "FINISHED");
    assert_int_equal(json_number(job, "attempt"), attempt);
    json_decref(job);
    same_output(c, task);
}

static void jobmanagers_die(struct cluster *c, const struct task *task, const char *parallelism)
{
    char id[JOB_ID_MAX];
    uint32_t n = 0;
    int64_t ms = 0;
    expect(c, task);
    often("100ms");
    cluster_start_jobmanager(c, true);
    for (int i = 0; i < 2; i++) (void)cluster_start_taskmanager(c, 2);
    cluster_wait_registered(c, 2);
    submit(c, task, parallelism, id);
    json_decref(job_wait(c, id, "RUNNING"));
    for (; n < DEATHS && runs_again(c, NULL, id, &ms); n++) {
        restart_jobmanager(c);
        ms = 0;
        if (runs_again(c, NULL, id, &ms)) print_message("RUNNING %lld ms after the JobManager was there again\n", (long long)ms);
    }
    assert_true(n >= 1); /* else it was over too soon to say anything */
    finishes(c, task, id, 1);
    cluster_wait_processes(c, "weir-worker", 0, CLUSTER_WAIT_MS);
}

STORY(writer_goes_on_under_new_jobmanagers)
{
    struct task task = writer;
    task.arguments[1] = "120000";
    task.pace[1] = "6000";
    jobmanagers_die(c, &task, "3");
}
STORY(nexmark_q5_goes_on_under_new_jobmanagers)
{
    struct task task = nexmark("q5");
    task.pace[1] = "6000";
    jobmanagers_die(c, &task, "3");
}

/* ---- three JobManagers ---- */

#define LEADER_KILLS 4

/* Three JobManagers, and the job running. */
static void begin(struct cluster *c, struct ensemble *e, const struct task *task, const char *parallelism, char id[static JOB_ID_MAX])
{
    expect(c, task);
    often("100ms");
    ensemble_start(c, e, 3);
    submit(c, task, parallelism, id);
    json_decref(job_wait(c, id, "RUNNING"));
}

static void ends_well(struct cluster *c, struct ensemble *e, const struct task *task, const char *id)
{
    int64_t deadline_ms = now_ms() + JOB_MS;
    for (bool ended = false; !ended;) {
        json_t *job = show(c, e, id);
        ended = strcmp(json_text(job, "state"), "FINISHED") == 0;
        assert_int_equal(json_number(job, "attempt"), 1);
        json_decref(job);
        if (!wait_a_while(c, deadline_ms)) fail_msg("the job does not end");
    }
    same_output(c, task);
}

/* A worker is killed: the second attempt ends, with the same output. */
static void ends_well_without_a_worker(struct cluster *c, const struct task *task, const char *id)
{
    pid_t pids[8];
    assert_true(cluster_processes(c, "weir-worker", pids, 8) > 0);
    assert_int_equal(kill(pids[0], SIGKILL), 0);
    finishes(c, task, id, 2);
}

/* The leader dies again and again: another one adopts the job, which never begins anew. */
STORY(leaders_die_and_a_nexmark_job_goes_on)
{
    struct task task = nexmark("q5");
    struct ensemble e;
    char id[JOB_ID_MAX];
    uint32_t n = 0;
    int64_t ms = 0;
    task.pace[1] = "6000";
    begin(c, &e, &task, "5", id);
    for (; n < LEADER_KILLS && runs_again(c, &e, id, &ms); n++) {
        ensemble_start_member(c, &e, ensemble_kill_leader(c, &e));
        ms = 0;
        if (runs_again(c, &e, id, &ms)) print_message("RUNNING %lld ms after another JobManager leads\n", (long long)ms);
    }
    assert_true(n >= 1);
    ends_well(c, &e, &task, id);
}

/*
 * The graph with its splits is three times as large as a node of the coordination tree may be. The next leader has it, for the attempt that
 * runs, and whole, for a new one.
 */
STORY(a_job_of_many_splits_outlives_its_leader)
{
    const struct task task = {.plugin = "manysplits", .arguments = {"--splits", "800"}, .pace = {"--pause", "15"}, .folders = {""}};
    struct ensemble e;
    char id[JOB_ID_MAX];
    int64_t ms = 0;
    begin(c, &e, &task, "2", id);
    assert_true(runs_again(c, &e, id, &ms));
    ensemble_start_member(c, &e, ensemble_kill_leader(c, &e));
    assert_true(runs_again(c, &e, id, &ms));
    ends_well_without_a_worker(c, &task, id);
}

/* The JobManager that took the plugin is gone for good: the next one has it, for a new job and for a new attempt. */
STORY(plugins_outlive_the_leader_that_took_them)
{
    struct task task = writer;
    struct ensemble e;
    char id[JOB_ID_MAX];
    int64_t ms = 0;
    task.pace[1] = "6000";
    begin(c, &e, &task, "2", id);
    (void)ensemble_kill_leader(c, &e);
    assert_true(runs_again(c, &e, id, &ms));
    print_message("RUNNING %lld ms after another JobManager leads\n", (long long)ms);
    struct said s = ctl(c, "rescale", id, "--parallelism", "3", NULL);
    if (s.code) fail_msg("jobctl rescale ended with %d: %s", s.code, s.err);
    (void)snprintf(id, sizeof id, "%.*s", (int)strcspn(s.out, "\n "), s.out);
    assert_true(runs_again(c, &e, id, &ms));
    ends_well_without_a_worker(c, &task, id);
}

/* Who was away when a plugin was uploaded has it soon after, and loses it when it is deleted. */
STORY(plugins_come_to_who_was_away)
{
    struct ensemble e;
    char id[JOB_ID_MAX];
    ensemble_start(c, &e, 3);
    uint32_t away = (e.leader + 1) % JOBMANAGERS;
    proc_signal(e.jobmanager[away], SIGKILL);
    assert_int_equal(proc_wait(c, e.jobmanager[away], CLUSTER_WAIT_MS), 128 + SIGKILL);
    e.jobmanager[away] = NULL;
    job_submit(c, id, job_plugin("writer"), "--", "--output", in_dir(c, "out"), "--rows", "10", NULL);
    json_decref(job_wait(c, id, "FINISHED"));
    ensemble_start_member(c, &e, away);
    const char *digest = log_field(proc_wait_log(c, e.jobmanager[away], "msg=\"plugin fetched\"", 1), "plugin=");
    struct said s = ctl(c, "plugins", "rm", digest, NULL);
    if (s.code) fail_msg("jobctl plugins rm ended with %d: %s", s.code, s.err);
    assert_has(proc_wait_log(c, e.jobmanager[away], "msg=\"plugin removed\"", 1), digest);
}

/* jobctl is told all addresses from now on. */
static void ask_all(struct cluster *c)
{
    (void)snprintf(c->admin, sizeof c->admin, "ipc://%s/a1,ipc://%s/a2,ipc://%s/a3", c->dir, c->dir, c->dir);
}

/* The leader dies for good under an attached `run`, which waits on at the next one; that one also cancels what its predecessor took. */
STORY(jobctl_follows_the_leader)
{
    struct task task = writer;
    struct ensemble e;
    char endless[JOB_ID_MAX];
    task.pace[1] = "15000";
    expect(c, &task);
    often("100ms");
    ensemble_start(c, &e, 3);
    ask_all(c);
    job_submit(c, endless, job_plugin("writer"), "--", "--output", in_dir(c, "endless"), "--rows", "-1", "--pace", "1000", NULL);
    json_decref(job_wait(c, endless, "RUNNING"));
    const char *argv[] = {"jobctl",
                          "--jobmanager",
                          c->admin,
                          "run",
                          "--no-progress",
                          "--name",
                          "attached",
                          "-p",
                          "2",
                          plugin_of(&task),
                          "--",
                          "--output",
                          in_dir(c, "out"),
                          task.arguments[0],
                          task.arguments[1],
                          task.pace[0],
                          task.pace[1],
                          NULL};
    struct proc *attached = proc_start(c, "attached", argv);
    while (strstr(ctl(c, "show", "attached", NULL).out, "RUNNING") == NULL) assert_false(proc_ended(c, attached));
    (void)ensemble_kill_leader(c, &e);
    ask_all(c);
    json_decref(job_wait(c, endless, "RUNNING"));
    assert_int_equal(ctl(c, "cancel", endless, NULL).code, 0);
    json_decref(job_wait(c, endless, "CANCELED"));
    if (proc_wait(c, attached, JOB_MS)) fail_msg("the attached jobctl ended with %d: %s", attached->code, proc_said(attached).err);
    same_output(c, &task);
}

/* Whether a savepoint is being taken. */
static bool saves(struct cluster *c, const char *job)
{
    struct said s = ctl(c, "-o", "json", "checkpoints", job, NULL);
    json_t *stats = s.code ? NULL : json_loads(s.out, 0, NULL);
    json_t *newest = json_array_get(json_object_get(stats, "history"), 0);
    bool is = newest && json_is_true(json_object_get(newest, "is_savepoint")) && !strcmp(json_text(newest, "status"), "IN_PROGRESS");
    json_decref(stats);
    return is;
}

static struct proc *ask(struct cluster *c, const char *command, const char *path)
{
    const char *argv[] = {"jobctl", "--jobmanager", c->admin, command, "w", path, NULL};
    return proc_start(c, command, argv);
}

static void run_endless(struct cluster *c, const char *output, char id[static JOB_ID_MAX])
{
    job_submit(c, id, "--name", "w", "--parallelism", "2", job_plugin("writer"), "--", "--output", in_dir(c, output), "--rows", "-1",
               "--pace", "2000", NULL);
    json_decref(job_wait(c, id, "RUNNING"));
}

/*
 * The leader dies while a savepoint is taken that cannot come to its end: the next one knows that it was asked for, and says that it has
 * failed to who still waits. Then it is taken when it is asked for again.
 */
STORY(a_savepoint_is_answered_by_the_next_leader)
{
    struct ensemble e;
    char id[JOB_ID_MAX];
    c->dirty = true;                                                 /* savepoints are their user's */
    often("1h");                                                     /* no checkpoint is in the savepoint's way */
    assert_int_equal(setenv("WEIR_HEARTBEAT_TIMEOUT", "60s", 1), 0); /* a TaskManager may be silent for long */
    ensemble_start(c, &e, 3);
    ask_all(c);
    run_endless(c, "out", id);
    proc_signal(c->taskmanager[0], SIGSTOP); /* it passes on no worker's answer */
    struct proc *waits = ask(c, "savepoint", in_dir(c, "one"));
    for (int64_t until_ms = now_ms() + CLUSTER_WAIT_MS; !saves(c, "w");)
        if (proc_ended(c, waits) || !wait_a_while(c, until_ms)) fail_msg("no savepoint is begun: %s", proc_said(waits).err);
    (void)ensemble_kill_leader(c, &e);
    proc_signal(c->taskmanager[0], SIGCONT);
    assert_int_equal(proc_wait(c, waits, JOB_MS), 1);
    assert_has(proc_said(waits).err, "the JobManager that had accepted it has gone before it was complete");
    for (int64_t until_ms = now_ms() + CLUSTER_WAIT_MS; access(in_dir(c, "one"), F_OK) == 0;) /* what there was of it goes */
        if (!wait_a_while(c, until_ms)) fail_msg("the unfinished savepoint stays");
    ask_all(c);
    json_decref(job_wait(c, id, "RUNNING"));
    struct said s = ctl(c, "savepoint", "w", in_dir(c, "two"), NULL);
    if (s.code) fail_msg("jobctl savepoint ended with %d: %s", s.code, s.err);
    assert_has(s.out, in_dir(c, "two"));
    assert_int_equal(ctl(c, "cancel", id, NULL).code, 0);
    json_decref(job_wait(c, id, "CANCELED"));
}

/* The leader dies some time after a stop was asked for. Whatever is answered is what happened: the job has ended, or goes on. */
STORY(a_stop_is_answered_by_the_truth)
{
    struct ensemble e;
    char id[JOB_ID_MAX] = "", path[16], output[16];
    c->dirty = true; /* savepoints are their user's */
    often("100ms");
    ensemble_start(c, &e, 3);
    for (uint32_t round = 0; round < 3; round++) {
        ask_all(c);
        (void)snprintf(path, sizeof path, "save-%u", round);
        (void)snprintf(output, sizeof output, "out-%u", round);
        if (!*id) run_endless(c, output, id);
        struct proc *stops = ask(c, "stop", in_dir(c, path));
        for (int64_t until_ms = now_ms() + CLUSTER_WAIT_MS; round == 1 && !saves(c, "w") && !proc_ended(c, stops);)
            if (!wait_a_while(c, until_ms)) fail_msg("no savepoint is begun: %s", proc_said(stops).err);
        ensemble_start_member(c, &e, ensemble_kill_leader(c, &e));
        int code = proc_wait(c, stops, JOB_MS);
        ask_all(c);
        ensemble_wait_leader(c, &e);
        print_message("round %u: jobctl stop ended with %d: %s%s\n", round, code, proc_said(stops).out, proc_said(stops).err);
        if (code == 0) assert_has(proc_said(stops).out, in_dir(c, path));
        json_decref(job_wait(c, id, code ? "RUNNING" : "FINISHED"));
        if (!code) *id = '\0';
    }
    if (!*id) return;
    ask_all(c);
    assert_int_equal(ctl(c, "cancel", id, NULL).code, 0);
    json_decref(job_wait(c, id, "CANCELED"));
}

/*
 * The leader dies some time after a rescale was asked for: before it begins, while its savepoint is taken, or when that is done. The job
 * goes on under its old id or its new one, as was answered, and writes what it writes without faults.
 */
STORY(a_rescale_is_answered_by_the_truth)
{
    static const char *const parallelism[] = {"3", "1", "2"};
    struct task task = writer;
    struct ensemble e;
    char id[JOB_ID_MAX];
    task.arguments[1] = "120000";
    task.pace[1] = "6000";
    begin(c, &e, &task, "2", id);
    for (uint32_t round = 0; round < 3; round++) {
        ask_all(c);
        const char *argv[] = {"jobctl", "--jobmanager", c->admin, "rescale", id, "--parallelism", parallelism[round], NULL};
        uint32_t stopped = proc_count_log(e.jobmanager[e.leader], " FINISHED");
        struct proc *rescales = proc_start(c, "rescale", argv);
        for (int64_t until_ms = now_ms() + CLUSTER_WAIT_MS; round && !proc_ended(c, rescales); wait_a_while(c, until_ms))
            if (round == 1 ? saves(c, id) : proc_count_log(e.jobmanager[e.leader], " FINISHED") > stopped) break;
        ensemble_start_member(c, &e, ensemble_kill_leader(c, &e));
        int code = proc_wait(c, rescales, JOB_MS);
        print_message("round %u: jobctl rescale ended with %d: %s%s\n", round, code, proc_said(rescales).out, proc_said(rescales).err);
        ask_all(c);
        ensemble_wait_leader(c, &e);
        json_decref(job_wait(c, id, code ? "RUNNING" : "FINISHED"));
        if (code == 0) {
            const char *named = proc_said(rescales).out;
            (void)snprintf(id, sizeof id, "%.*s", (int)strcspn(named, "\n "), named);
        }
        json_decref(job_wait(c, id, "RUNNING"));
    }
    json_decref(job_wait(c, id, "FINISHED")); /* maybe in its second attempt: the first was not complete when its leader died */
    same_output(c, &task);
}

/* One of three cannot lead: the job runs on without checkpoints until there is a majority again. */
STORY(job_goes_on_without_a_quorum)
{
    struct task task = nexmark("q5");
    struct ensemble e;
    char id[JOB_ID_MAX];
    int64_t ms = 0;
    task.pace[1] = "6000";
    begin(c, &e, &task, "5", id);
    assert_true(runs_again(c, &e, id, &ms));
    ensemble_wait_leader(c, &e);
    struct proc *leader = e.jobmanager[e.leader];
    uint32_t resigned = proc_count_log(leader, "msg=\"leads no more\"");
    for (uint32_t i = 0; i < JOBMANAGERS; i++)
        if (i != e.leader) proc_signal(e.jobmanager[i], SIGSTOP);
    (void)proc_wait_log(c, leader, "msg=\"leads no more\"", resigned + 1);
    uint32_t completed = proc_count_log(leader, " completed in ");
    for (int64_t until_ms = now_ms() + CLUSTER_WAIT_MS;;) { /* it answers so at once; on a busy machine not within half a second */
        struct said s = ctl(c, "--timeout", "0.5", "list", NULL);
        assert_int_not_equal(s.code, 0);
        if (strstr(s.err, "does not lead")) break;
        if (!wait_a_while(c, until_ms)) fail_msg("who leads no more does not say so: %s", s.err);
    }
    for (int64_t until_ms = now_ms() + 1500; wait_a_while(c, until_ms);) continue; /* several intervals */
    assert_int_equal(proc_count_log(leader, " completed in "), completed);
    for (uint32_t i = 0; i < JOBMANAGERS; i++)
        if (i != e.leader) proc_signal(e.jobmanager[i], SIGCONT);
    ensemble_wait_leader(c, &e);
    ends_well(c, &e, &task, id);
}

/* JobManagers are stopped until TaskManagers have given them up. */
static void stop_for_long(struct cluster *c, struct proc *const *jobmanagers, uint32_t n)
{
    uint32_t before[2];
    for (uint32_t t = 0; t < 2; t++) before[t] = proc_count_log(c->taskmanager[t], "no answer for 1500 ms");
    for (uint32_t i = 0; i < n; i++) proc_signal(jobmanagers[i], SIGSTOP);
    for (uint32_t t = 0; t < 2; t++) (void)proc_wait_log(c, c->taskmanager[t], "no answer for 1500 ms", before[t] + 1);
    for (uint32_t i = 0; i < n; i++) proc_signal(jobmanagers[i], SIGCONT);
}

static void give_up_soon(void)
{
    assert_int_equal(setenv("WEIR_HEARTBEAT_INTERVAL", "100ms", 1), 0);
    assert_int_equal(setenv("WEIR_HEARTBEAT_TIMEOUT", "1500ms", 1), 0);
}

/* Whoever leads then finds TaskManagers that register anew; that is no loss of what runs on them. */
STORY(all_jobmanagers_are_stopped_and_a_job_goes_on)
{
    struct task task = nexmark("q5");
    struct ensemble e;
    char id[JOB_ID_MAX];
    int64_t ms = 0;
    task.pace[1] = "6000";
    give_up_soon();
    begin(c, &e, &task, "4", id);
    assert_true(runs_again(c, &e, id, &ms));
    stop_for_long(c, e.jobmanager, JOBMANAGERS);
    assert_true(runs_again(c, &e, id, &ms));
    ends_well(c, &e, &task, id);
}

STORY(the_only_jobmanager_is_stopped_and_a_job_goes_on)
{
    struct task task = writer;
    char id[JOB_ID_MAX];
    int64_t ms = 0;
    task.arguments[1] = "60000";
    task.pace[1] = "6000";
    give_up_soon();
    expect(c, &task);
    often("100ms");
    cluster_start(c, 2, 2);
    submit(c, &task, "4", id);
    assert_true(runs_again(c, NULL, id, &ms));
    stop_for_long(c, &c->jobmanager, 1);
    assert_true(runs_again(c, NULL, id, &ms));
    finishes(c, &task, id, 1);
}

/* Jobs do not wait for a JobManager for ever. */
STORY(workers_end_when_no_jobmanager_comes)
{
    char id[JOB_ID_MAX];
    assert_int_equal(setenv("WEIR_TASKMANAGER_LEADER_WAIT", "1s", 1), 0);
    cluster_start_jobmanager(c, true);
    for (int i = 0; i < 2; i++) (void)cluster_start_taskmanager(c, 2);
    cluster_wait_registered(c, 2);
    job_submit(c, id, "--parallelism", "2", job_plugin("writer"), "--", "--output", in_dir(c, "out"), "--rows", "-1", "--pace", "20000",
               NULL);
    json_decref(job_wait(c, id, "RUNNING"));
    proc_signal(c->jobmanager, SIGKILL);
    assert_int_equal(proc_wait(c, c->jobmanager, CLUSTER_WAIT_MS), 128 + SIGKILL);
    cluster_wait_processes(c, "weir-worker", 0, CLUSTER_WAIT_MS);
    cluster_wait_processes(c, "weir-taskmanager", 2, CLUSTER_WAIT_MS);
}

STORY_MAIN(STORY_TEST(writer_goes_on_under_new_jobmanagers), STORY_TEST(nexmark_q5_goes_on_under_new_jobmanagers),
           STORY_TEST(leaders_die_and_a_nexmark_job_goes_on), STORY_TEST(a_job_of_many_splits_outlives_its_leader),
           STORY_TEST(plugins_outlive_the_leader_that_took_them), STORY_TEST(plugins_come_to_who_was_away),
           STORY_TEST(jobctl_follows_the_leader), STORY_TEST(a_savepoint_is_answered_by_the_next_leader),
           STORY_TEST(a_stop_is_answered_by_the_truth), STORY_TEST(a_rescale_is_answered_by_the_truth),
           STORY_TEST(job_goes_on_without_a_quorum), STORY_TEST(all_jobmanagers_are_stopped_and_a_job_goes_on),
           STORY_TEST(the_only_jobmanager_is_stopped_and_a_job_goes_on), STORY_TEST(workers_end_when_no_jobmanager_comes))
