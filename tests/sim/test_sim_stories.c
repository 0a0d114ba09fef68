/* SPDX-License-Identifier: Apache-2.0 */
/* Stories of one cluster in a calm world, where one thing goes wrong at a time. */
/* cmocka wants these first, in this order */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
#include <string.h>

#include "jobmanager/admin_json.h"
#include "tests/sim/stories.h"

enum { TM_1, TM_2, TM_3 };

/* Six slots on three TaskManagers; the job takes all of them, so it has a worker on each. */
static const struct sim_spec usual = {.parallelism = 6, .n_splits = 7, .describe_ms = 50, .step_ms = 20, .run_ms = 1000, .fate_worker = 1};

static int setup(void **state)
{
    struct sim *sim;
    sim_new(&sim);
    sim_run(sim, 100); /* all have registered */
    *state = sim;
    return 0;
}

static uint32_t submit(struct sim *sim, enum sim_fate fate)
{
    struct sim_spec spec = usual;
    spec.fate = fate;
    return sim_submit(sim, &spec);
}

static void assert_failed(struct sim *sim, uint32_t job, const char *reason)
{
    const struct job *j = sim_job(sim, job);
    assert_string_equal(job_state_name(j->state), "FAILED");
    assert_string_equal(j->failure.reason, reason);
}

static void a_job_runs_to_its_end(void **state)
{
    struct sim *sim = *state;
    uint32_t job = submit(sim, SIM_GOOD);
    assert_true(sim_run_until(sim, job, JOB_FINISHED, 3000));
    assert_true(sim_expect(sim, "jm | job 00000001 INITIALIZING\n"
                                "jm | job 00000001 attempt 0 INITIALIZING -> CREATED\n"
                                "jm | job 00000001 attempt 1 CREATED -> DEPLOYING\n"
                                "jm   > tm-1 DEPLOY job 00000001 attempt 1\n"
                                "jm   > tm-2 DEPLOY job 00000001 attempt 1\n"
                                "jm   > tm-3 DEPLOY job 00000001 attempt 1\n"
                                "jm   < tm-3 WORKER_READY job 00000001 attempt 1\n"
                                "jm   > tm-1 START job 00000001 attempt 1\n"
                                "jm   < tm-3 WORKER_RUNNING job 00000001 attempt 1\n"
                                "jm | job 00000001 attempt 1 DEPLOYING -> RUNNING\n"
                                "jm   < tm-3 WORKER_PREPARED job 00000001 attempt 1\n"
                                "jm   > tm-1 COMMIT job 00000001 attempt 1\n"
                                "tm-3 | worker of job 00000001 attempt 1 committed\n"
                                "jm   < tm-3 WORKER_ENDED job 00000001 attempt 1\n"
                                "jm | job 00000001 attempt 1 RUNNING -> FINISHED\n"));
}

/* What workers count is there to be shown after the end; what they say about subtasks that they do not run, or that do not exist, is not.
 */
static void counters_are_kept_after_the_end(void **state)
{
    struct sim *sim = *state;
    uint32_t job = submit(sim, SIM_GOOD);
    assert_true(sim_run_until(sim, job, JOB_FINISHED, 3000));
    const struct job *j = sim_job(sim, job);
    assert_int_equal(job_subtask_stats(j, 0, 0)->records_in, 7);
    assert_int_equal(job_subtask_stats(j, 0, 1)->records_in, 0);
    assert_string_equal(j->workers[1].stats.stats.counters[0].name, "bad lines");
    json_t *shown = admin_json_job(j, 0);
    const json_t *slots = json_object_get(shown, "state-backend"), *slot = json_array_get(slots, 0);
    assert_int_equal(json_array_size(slots), 1);
    assert_int_equal(json_integer_value(json_object_get(slot, "slot")), 0);
    assert_int_equal(json_integer_value(json_object_get(json_object_get(slot, "metrics"), "memory-bytes")), 4096);
    json_decref(shown);
    assert_string_equal(job_subtask_state(j, 1, 5), "FINISHED");
    assert_string_equal(job_subtask_worker(j, 5)->taskmanager, "tm-3");
    assert_string_equal(job_name(j), "sim");
}

static void a_lost_DEPLOY_is_sent_again(void **state)
{
    struct sim *sim = *state;
    sim_drop_next(sim, WIRE_DEPLOY, TM_2, 3);
    uint32_t job = submit(sim, SIM_GOOD);
    assert_true(sim_run_until(sim, job, JOB_FINISHED, 4000));
    assert_true(sim_expect(sim, "jm   > tm-2 DEPLOY job 00000001 attempt 1\n"
                                "network loses DEPLOY\n"
                                "network loses DEPLOY\n"
                                "network loses DEPLOY\n"
                                "tm-2   worker of job 00000001 attempt 1 is started\n"));
}

/* COMMIT to one worker is late: the job waits for it, and still ends well. */
static void a_lost_COMMIT_is_sent_again(void **state)
{
    struct sim *sim = *state;
    sim_drop_next(sim, WIRE_COMMIT, TM_3, 2);
    uint32_t job = submit(sim, SIM_GOOD);
    assert_true(sim_run_until(sim, job, JOB_FINISHED, 4000));
}

static void a_lost_taskmanager_fails_the_job_and_is_named(void **state)
{
    struct sim *sim = *state;
    uint32_t job = submit(sim, SIM_GOOD);
    assert_true(sim_run_until(sim, job, JOB_RUNNING, 2000));
    sim_crash(sim, TM_2);
    assert_true(sim_run_until(sim, job, JOB_FAILED, 5000));
    assert_failed(sim, job, "TaskManager tm-2 (host) was lost: no answer for 3000 ms");
    assert_string_equal(job_subtask_state(sim_job(sim, job), 0, 1), "FAILED");
    assert_string_equal(job_subtask_state(sim_job(sim, job), 0, 0), "CANCELED");
}

/* The neighbours of a lost TaskManager notice first. What they report is a symptom and gives way to the cause. */
static void a_symptom_gives_way_to_the_cause(void **state)
{
    struct sim *sim = *state;
    struct sim_spec spec = usual;
    spec.fate = SIM_SYMPTOM;
    spec.fate_worker = 0;
    uint32_t job = sim_submit(sim, &spec);
    assert_true(sim_run_until(sim, job, JOB_RUNNING, 2000));
    sim_crash(sim, TM_3);
    assert_true(sim_run_until(sim, job, JOB_FAILED, 6000));
    assert_true(sim_expect(sim, "jm | job 00000001 attempt 1 RUNNING -> FAILING: a peer does not answer\n"
                                "jm | TaskManager tm-3 (host) was lost: no answer for 3000 ms\n"));
    assert_failed(sim, job, "TaskManager tm-3 (host) was lost: no answer for 3000 ms");
}

static void a_crashed_worker_is_told_with_operator_and_subtask(void **state)
{
    struct sim *sim = *state;
    uint32_t job = submit(sim, SIM_CRASHES_RUNNING);
    uint32_t other;
    assert_true(sim_run_until(sim, job, JOB_FAILED, 5000));
    assert_failed(sim, job, "killed by SIGSEGV");
    assert_string_equal(sim_job(sim, job)->failure.operator_id, "parse");
    assert_int_equal(sim_job(sim, job)->failure.subtask, 1);
    assert_string_equal(sim_job(sim, job)->failure.taskmanager, "tm-2");
    other = submit(sim, SIM_GOOD); /* nothing has stayed behind that would hold slots */
    assert_true(sim_run_until(sim, other, JOB_FINISHED, 5000));
}

static void a_crash_does_not_disturb_another_job(void **state)
{
    struct sim *sim = *state;
    struct sim_spec small = usual;
    small.parallelism = 3;
    uint32_t good = sim_submit(sim, &small);
    small.fate = SIM_CRASHES_RUNNING;
    small.run_ms = 200;
    uint32_t bad = sim_submit(sim, &small);
    assert_true(sim_run_until(sim, bad, JOB_FAILED, 2000));
    assert_true(sim_run_until(sim, good, JOB_FINISHED, 3000));
}

static void cancel_while_it_is_described(void **state)
{
    struct sim *sim = *state;
    uint32_t job = submit(sim, SIM_GOOD);
    assert_int_equal(sim_cancel(sim, job), WEIR_OK);
    assert_true(sim_run_until(sim, job, JOB_CANCELED, 20)); /* when the catalog has it */
    sim_run(sim, 1000);                                     /* DESCRIBED comes all the same, and wakes nobody */
    assert_int_equal(sim_job(sim, job)->state, JOB_CANCELED);
    assert_int_equal(sim_cancel(sim, job), WEIR_E_STATE);
    assert_true(sim_expect(sim, "jm answers: OK\n"
                                "jm answers: the job has already ended: CANCELED\n"));
}

static void cancel_while_it_runs(void **state)
{
    struct sim *sim = *state;
    uint32_t job = submit(sim, SIM_GOOD);
    assert_true(sim_run_until(sim, job, JOB_RUNNING, 2000));
    assert_int_equal(sim_cancel(sim, job), WEIR_OK);
    assert_int_equal(sim_cancel(sim, job), WEIR_OK); /* patience */
    assert_true(sim_run_until(sim, job, JOB_CANCELED, 1000));
}

/* Nobody is told to commit while a cancel is being stored: when it is, it takes place. */
static void COMMIT_waits_for_a_cancel(void **state)
{
    struct sim *sim = *state;
    uint32_t job = submit(sim, SIM_GOOD);
    assert_true(sim_run_until(sim, job, JOB_RUNNING, 2000));
    for (int i = 0; i < 5000 && !sim_job(sim, job)->storing; i++) sim_run(sim, 1);
    assert_int_equal(sim_cancel(sim, job), WEIR_OK);
    assert_true(sim_run_until(sim, job, JOB_CANCELED, 1000));
    assert_false(sim_expect(sim, "jm   > tm-1 COMMIT job 00000001 attempt 1\n"));
}

static void cancel_comes_too_late_after_COMMIT(void **state)
{
    struct sim *sim = *state;
    uint32_t job = submit(sim, SIM_GOOD);
    for (int i = 0; i < 5000 && !sim_job(sim, job)->committing; i++) sim_run(sim, 1);
    assert_int_equal(sim_cancel(sim, job), WEIR_E_STATE);
    assert_true(sim_expect(sim, "jm answers: too late: the job has finished its work and its output is being committed\n"));
    assert_true(sim_run_until(sim, job, JOB_FINISHED, 1000));
}

static void a_worker_that_ignores_cancel_is_killed(void **state)
{
    struct sim *sim = *state;
    uint32_t job = submit(sim, SIM_DEAF);
    assert_true(sim_run_until(sim, job, JOB_RUNNING, 2000));
    sim_cancel(sim, job);
    sim_run(sim, 900);
    assert_int_equal(sim_job(sim, job)->state, JOB_CANCELLING);
    assert_true(sim_run_until(sim, job, JOB_CANCELED, 1000));
    assert_true(sim_expect(sim, "tm-2 | worker of job 00000001 attempt 1 is killed: the worker did not end within 1000 ms\n"));
}

static void a_worker_that_never_gets_ready_is_killed(void **state)
{
    struct sim *sim = *state;
    uint32_t job = submit(sim, SIM_NEVER_READY);
    assert_true(sim_run_until(sim, job, JOB_FAILED, 7000));
    assert_failed(sim, job, "the worker did not get ready within 5000 ms");
}

static void a_silent_worker_is_killed(void **state)
{
    struct sim *sim = *state;
    uint32_t job = submit(sim, SIM_SILENT);
    assert_true(sim_run_until(sim, job, JOB_FAILED, 7000));
    assert_failed(sim, job, "the worker was silent for 2000 ms");
}

static void a_step_that_does_not_return_fails_the_job(void **state)
{
    struct sim *sim = *state;
    uint32_t job = submit(sim, SIM_STALLS);
    assert_true(sim_run_until(sim, job, JOB_FAILED, 9000));
    assert_non_null(strstr(sim_job(sim, job)->failure.reason, "a step does not return"));
}

/* TaskManagers see the JobManager, but not each other. */
static void workers_that_cannot_connect_fail_the_job(void **state)
{
    struct sim *sim = *state;
    uint32_t job = submit(sim, SIM_NEVER_CONNECTS);
    assert_true(sim_run_until(sim, job, JOB_FAILED, 9000));
    assert_failed(sim, job, "the worker on TaskManager tm-2 (host) did not connect to its peers within 5000 ms");
}

static void a_graph_that_differs_is_refused(void **state)
{
    struct sim *sim = *state;
    uint32_t job = submit(sim, SIM_OTHER_GRAPH);
    assert_true(sim_run_until(sim, job, JOB_FAILED, 3000));
    assert_non_null(strstr(sim_job(sim, job)->failure.reason, "the plugin built another graph on TaskManager tm-2 (host)"));
}

static void a_message_that_cannot_be_read_costs_the_worker_its_life(void **state)
{
    struct sim *sim = *state;
    uint32_t job = submit(sim, SIM_GARBAGE);
    assert_true(sim_run_until(sim, job, JOB_FAILED, 3000));
    assert_failed(sim, job, "the worker sent a message that cannot be read");
}

static void a_graph_with_a_cycle_is_refused(void **state)
{
    struct sim *sim = *state;
    struct sim_spec spec = usual;
    spec.describe = SIM_DESCRIBE_CYCLE;
    uint32_t job = sim_submit(sim, &spec);
    assert_true(sim_run_until(sim, job, JOB_FAILED, 1000));
    assert_int_equal(sim_job(sim, job)->failure.code, WEIR_E_GRAPH);
}

static void a_plugin_that_does_not_describe_itself_is_given_up(void **state)
{
    struct sim *sim = *state;
    struct sim_spec spec = usual;
    spec.describe = SIM_DESCRIBE_NEVER;
    uint32_t job = sim_submit(sim, &spec);
    assert_true(sim_run_until(sim, job, JOB_FAILED, 6000));
    assert_failed(sim, job, "the plugin did not describe its graph within 5000 ms");
    assert_true(sim->jobs[job].describe_stopped);
}

static void a_job_waits_for_slots_but_not_for_ever(void **state)
{
    struct sim *sim = *state;
    struct sim_spec spec = usual;
    spec.parallelism = 7;
    uint32_t job = sim_submit(sim, &spec);
    assert_true(sim_run_until(sim, job, JOB_FAILED, 12000));
    assert_failed(sim, job,
                  "the job needs 7 slots; after 10000 ms the cluster has 6 free of 6: start TaskManagers, or lower the parallelism");
}

static void a_waiting_job_begins_when_slots_come_free(void **state)
{
    struct sim *sim = *state;
    uint32_t first = submit(sim, SIM_GOOD);
    uint32_t second = submit(sim, SIM_GOOD);
    assert_true(sim_run_until(sim, first, JOB_RUNNING, 2000));
    assert_int_equal(sim_job(sim, second)->state, JOB_CREATED);
    assert_true(sim_run_until(sim, second, JOB_FINISHED, 5000));
    assert_int_equal(sim_job(sim, first)->state, JOB_FINISHED);
}

/* It comes back before anybody has missed it: the former self is lost at once, with all that ran there. */
static void a_restarted_taskmanager_replaces_its_former_self(void **state)
{
    struct sim *sim = *state;
    uint32_t job = submit(sim, SIM_GOOD);
    assert_true(sim_run_until(sim, job, JOB_RUNNING, 2000));
    sim_crash(sim, TM_1);
    sim_start(sim, TM_1);
    assert_true(sim_run_until(sim, job, JOB_FAILED, 500));
    assert_failed(sim, job, "TaskManager tm-1 (host) was lost: it has registered again");
}

/* What the JobManager says arrives, what the TaskManager says does not: both give up, and after its patience no worker is left. */
static void a_cut_in_one_direction_is_seen_at_both_ends(void **state)
{
    struct sim *sim = *state;
    uint32_t job = submit(sim, SIM_GOOD);
    assert_true(sim_run_until(sim, job, JOB_RUNNING, 2000));
    sim_cut(sim, TM_3, false, true);
    assert_true(sim_run_until(sim, job, JOB_FAILED, 4000));
    sim_run(sim, 5000);
    assert_int_equal(supervisor_worker_at(sim->tms[TM_3].core, 0).state, SUPERVISOR_WORKER_UP);
    sim_run(sim, 6000);
    assert_int_equal(supervisor_worker_at(sim->tms[TM_3].core, 0).state, SUPERVISOR_WORKER_GONE);
    assert_true(sim_expect(sim, "tm-3 | lost the JobManager: no answer for 3000 ms\n"
                                "tm-3 | worker of job 00000001 attempt 1 is killed: no JobManager has answered for 10000 ms "
                                "(taskmanager.leader-wait)\n"));
}

static void after_COMMIT_a_lost_taskmanager_leaves_output_partly_visible(void **state)
{
    struct sim *sim = *state;
    uint32_t job = submit(sim, SIM_GOOD);
    for (int i = 0; i < 5000 && !sim_job(sim, job)->committing; i++) sim_run(sim, 1);
    sim_crash(sim, TM_2);
    assert_true(sim_run_until(sim, job, JOB_FAILED, 5000));
    assert_failed(
        sim, job,
        "TaskManager tm-2 (host) was lost: no answer for 3000 ms; the output may be partly visible, because its commit had begun");
    assert_int_equal(sim_job(sim, job)->workers[0].state, JOB_WORKER_COMMITTED);
}

/* It has committed and says so, but its process hangs: it is killed, and the job is FINISHED all the same. */
static void a_worker_that_lingers_after_its_commit_has_committed(void **state)
{
    struct sim *sim = *state;
    uint32_t job = submit(sim, SIM_LINGERS);
    assert_true(sim_run_until(sim, job, JOB_FINISHED, 5000));
    assert_true(sim_expect(sim, "tm-2 | worker of job 00000001 attempt 1 is killed: the worker did not end within 1000 ms\n"
                                "tm-2 | worker of job 00000001 attempt 1 committed\n"));
}

static void a_large_plugin_is_fetched_in_chunks_and_only_once(void **state)
{
    struct sim *sim = *state;
    struct sim_spec spec = usual;
    spec.plugin = 3; /* five chunks */
    sim_drop_next(sim, WIRE_CHUNK, TM_2, 2);
    uint32_t first = sim_submit(sim, &spec);
    assert_true(sim_run_until(sim, first, JOB_FINISHED, 5000));
    sim_drop_next(sim, WIRE_FETCH, TM_2, 1);
    uint32_t second = sim_submit(sim, &spec);
    assert_true(sim_run_until(sim, second, JOB_FINISHED, 5000));
    assert_int_equal(sim->drop_n, 1); /* nobody has asked for it again */
}

static void a_taskmanager_that_is_told_to_stop_takes_leave(void **state)
{
    struct sim *sim = *state;
    uint32_t job = submit(sim, SIM_GOOD);
    assert_true(sim_run_until(sim, job, JOB_RUNNING, 2000));
    sim_stop(sim, TM_1);
    assert_true(sim_run_until(sim, job, JOB_FAILED, 1000));
    assert_failed(sim, job, "TaskManager tm-1 (host) was shut down: SIGTERM");
    assert_true(sim_expect(sim, "tm-1 exits: SIGTERM\n"));
}

/* ---- restarts, checkpoints ---- */

/* As `usual`, with a checkpoint every 200 ms and up to three restarts. */
static struct sim_spec with_checkpoints(enum sim_fate fate)
{
    struct sim_spec spec = usual;
    spec.fate = fate;
    spec.fate_attempts = 1;
    spec.interval_ms = 200;
    spec.timeout_ms = 1000;
    spec.n_retained = 2;
    spec.restarts = 3;
    spec.restart_delay_ms = 100;
    return spec;
}

/* TaskManagers keep what they run and report it to the new one; nothing is restarted. */
static void a_new_jobmanager_takes_its_jobs_up_again(void **state)
{
    struct sim *sim = *state;
    uint32_t job = submit(sim, SIM_GOOD);
    assert_true(sim_run_until(sim, job, JOB_RUNNING, 2000));
    sim_restart_jobmanager(sim);
    assert_int_equal(sim_job(sim, job)->state, JOB_RECONCILING);
    assert_true(sim_run_until(sim, job, JOB_FINISHED, 8000));
    assert_int_equal(sim_job(sim, job)->attempt, 1);
    assert_true(sim_expect(sim, "jm | job 00000001 attempt 1 INITIALIZING -> RECONCILING\n"
                                "jm | TaskManager tm-3 (host) registered with 2 slots\n"
                                "jm | job 00000001 attempt 1 RECONCILING -> RUNNING\n"
                                "jm | job 00000001 attempt 1 RUNNING -> FINISHED\n"));
    sim_restart_jobmanager(sim);
    assert_int_equal(sim_job(sim, job)->state, JOB_FINISHED); /* and it is not run again */
    sim_run(sim, 5000);
    assert_true(sim_at_rest(sim, NULL));
}

static void a_job_with_checkpoints_ends_with_a_last_one(void **state)
{
    struct sim *sim = *state;
    struct sim_spec spec = with_checkpoints(SIM_GOOD);
    uint32_t job = sim_submit(sim, &spec);
    assert_true(sim_run_until(sim, job, JOB_FINISHED, 5000));
    assert_true(sim_expect(sim, "jm   > tm-1 TRIGGER job 00000001 attempt 1\n"
                                "jm   < tm-1 CHECKPOINT_ACK job 00000001 attempt 1\n"
                                "jm   > tm-1 CHECKPOINT_COMPLETE job 00000001 attempt 1\n"
                                "jm   < tm-1 WORKER_PREPARED job 00000001 attempt 1\n"
                                "jm   > tm-1 TRIGGER job 00000001 attempt 1\n"
                                "jm   > tm-1 CHECKPOINT_COMPLETE job 00000001 attempt 1\n"
                                "jm   > tm-1 COMMIT job 00000001 attempt 1\n"
                                "jm | job 00000001 attempt 1 RUNNING -> FINISHED\n"));
}

static void a_crashed_worker_costs_one_attempt(void **state)
{
    struct sim *sim = *state;
    struct sim_spec spec = with_checkpoints(SIM_CRASHES_RUNNING);
    uint32_t job = sim_submit(sim, &spec);
    assert_true(sim_run_until(sim, job, JOB_FINISHED, 9000));
    assert_int_equal(sim_job(sim, job)->attempt, 2);
    assert_int_equal(sim_job(sim, job)->failure.code, WEIR_OK);
    assert_int_equal(sim_job(sim, job)->n_failures, 1);
    assert_string_equal(sim_job(sim, job)->failures[0].reason, "killed by SIGSEGV");
    assert_true(sim_expect(sim, "jm | job 00000001 attempt 1 RUNNING -> FAILING: parse: killed by SIGSEGV\n"
                                "jm | job 00000001 attempt 1 FAILING -> RESTARTING\n"
                                "jm | job 00000001 restart 1 in 100 ms\n"
                                "jm | job 00000001 attempt 1 RESTARTING -> CREATED\n"
                                "jm | job 00000001 attempt 2 CREATED -> DEPLOYING\n"
                                "jm | job 00000001 attempt 2 RUNNING -> FINISHED\n"));
}

static void a_failure_while_it_commits_is_made_good(void **state)
{
    struct sim *sim = *state;
    struct sim_spec spec = with_checkpoints(SIM_CRASHES_COMMITTING);
    uint32_t job = sim_submit(sim, &spec);
    assert_true(sim_run_until(sim, job, JOB_FINISHED, 9000));
    assert_int_equal(sim_job(sim, job)->attempt, 2);
}

/* A job with checkpoints that has run for a second, and `spec.run_ms` in all. */
static uint32_t run_for_a_second(struct sim *sim, uint32_t run_ms)
{
    struct sim_spec spec = with_checkpoints(SIM_GOOD);
    spec.run_ms = run_ms;
    uint32_t job = sim_submit(sim, &spec);
    assert_true(sim_run_until(sim, job, JOB_RUNNING, 2000));
    sim_run(sim, 1000);
    return job;
}

static void a_new_jobmanager_takes_over_the_sequence_of_checkpoints(void **state)
{
    struct sim *sim = *state;
    uint32_t job = run_for_a_second(sim, 8000);
    uint64_t before = sim_job(sim, job)->ckpt->last_id;
    sim_restart_jobmanager(sim);
    assert_true(sim_run_until(sim, job, JOB_RUNNING, 5000));
    sim_run(sim, 1000);
    assert_true(sim_job(sim, job)->ckpt->last_id > before + 2);
    assert_true(sim_run_until(sim, job, JOB_FINISHED, 12000));
    assert_int_equal(sim_job(sim, job)->attempt, 1);
    assert_int_equal(sim_job(sim, job)->restored_id, 0);
}

/* One that its workers were told to take, and nobody has collected, is given up; it never was complete. */
static void a_checkpoint_under_way_is_given_up_by_the_new_jobmanager(void **state)
{
    struct sim *sim = *state;
    uint32_t job = run_for_a_second(sim, 8000);
    while (sim_job(sim, job)->ckpt->state != CKPT_PENDING) sim_run(sim, 1);
    sim_run(sim, 5);
    sim_restart_jobmanager(sim);
    assert_true(sim_run_until(sim, job, JOB_FINISHED, 15000));
    assert_int_equal(sim_job(sim, job)->attempt, 1);
    assert_true(sim_expect(sim, "jm   > tm-1 TRIGGER job 00000001 attempt 1\n"
                                "jm crashes and starts again\n"
                                "jm   > tm-1 CHECKPOINT_COMPLETE job 00000001 attempt 1\n"
                                "jm   > tm-1 CHECKPOINT_ABORT job 00000001 attempt 1\n"
                                "jm   > tm-1 TRIGGER job 00000001 attempt 1\n"));
}

/* The last checkpoint is complete, some may have committed and gone: the rest commits, and nothing is restarted. */
static void what_was_being_committed_is_committed_by_the_new_jobmanager(void **state)
{
    struct sim *sim = *state;
    uint32_t job = run_for_a_second(sim, 2000);
    for (int i = 0; i < 5000 && !sim_job(sim, job)->committing; i++) sim_run(sim, 1);
    sim_cut(sim, TM_2, true, false); /* COMMIT does not reach it in time */
    sim_run(sim, 100);
    assert_int_equal(sim_job(sim, job)->workers[0].state, JOB_WORKER_COMMITTED);
    sim_restart_jobmanager(sim);
    sim_cut(sim, TM_2, false, false);
    assert_true(sim_run_until(sim, job, JOB_FINISHED, 8000));
    assert_int_equal(sim_job(sim, job)->attempt, 1);
}

/* The same without checkpoints, where COMMIT is the point of no return. */
static void a_commit_without_checkpoints_goes_on_as_well(void **state)
{
    struct sim *sim = *state;
    uint32_t job = submit(sim, SIM_GOOD);
    for (int i = 0; i < 5000 && !sim_job(sim, job)->committing; i++) sim_run(sim, 1);
    sim_cut(sim, TM_2, true, false);
    sim_run(sim, 100);
    sim_restart_jobmanager(sim);
    sim_cut(sim, TM_2, false, false);
    assert_true(sim_run_until(sim, job, JOB_FINISHED, 8000));
    assert_int_equal(sim_job(sim, job)->attempt, 1);
}

/* Workers that restore state have a limit of their own. */
static void a_restore_that_does_not_end_fails_the_attempt(void **state)
{
    struct sim *sim = *state;
    uint32_t job = run_for_a_second(sim, 3000);
    sim->jobs[job].spec.fate = SIM_NEVER_CONNECTS;
    sim->jobs[job].spec.fate_attempts = 2;
    sim_crash(sim, TM_2);
    sim_start(sim, TM_2);
    assert_true(sim_run_until(sim, job, JOB_FINISHED, 30000));
    assert_int_equal(sim_job(sim, job)->attempt, 3);
    assert_true(sim_expect(sim,
                           "jm | job 00000001 attempt 2 DEPLOYING -> FAILING: the worker on TaskManager tm-2 (host) did not restore its "
                           "state and connect to its peers within 4000 ms (execution.state-recovery.timeout)\n"
                           "jm | job 00000001 attempt 3 RUNNING -> FINISHED\n"));
}

/* A TaskManager that dies with the JobManager does not come back with its workers: the newest checkpoint is restored. */
static void a_new_jobmanager_restores_the_newest_checkpoint(void **state)
{
    struct sim *sim = *state;
    uint32_t job = run_for_a_second(sim, 3000);
    sim_crash(sim, TM_2);
    sim_restart_jobmanager(sim);
    sim_run(sim, 5900);
    assert_int_equal(sim_job(sim, job)->state, JOB_RECONCILING); /* its worker might run */
    assert_true(sim_run_until(sim, job, JOB_FAILING, 200));
    sim_start(sim, TM_2);
    assert_true(sim_run_until(sim, job, JOB_FINISHED, 20000));
    assert_int_equal(sim_job(sim, job)->attempt, 2);
    assert_true(sim_job(sim, job)->restored_id >= 3);
    assert_true(
        sim_expect(sim, "jm | job 00000001 attempt 1 RECONCILING -> FAILING: the JobManager was restarted, and of the workers of attempt "
                        "1 not all were reported within 6000 ms\n"
                        "jm | job 00000001 attempt 2 RUNNING -> FINISHED\n"));
}

/* One that comes back without its worker does not have it any more. When all have come back, there is nothing to wait for. */
static void a_new_jobmanager_does_not_wait_for_workers_that_cannot_come(void **state)
{
    struct sim *sim = *state;
    uint32_t job = run_for_a_second(sim, 3000);
    sim_crash(sim, TM_2);
    sim_crash(sim, TM_3);
    sim_restart_jobmanager(sim);
    sim_start(sim, TM_2);
    sim_run(sim, 3000);
    assert_int_equal(sim_job(sim, job)->state, JOB_RECONCILING); /* one is lost, but another one might run */
    sim_start(sim, TM_3);
    assert_true(sim_run_until(sim, job, JOB_RUNNING, 1000));
    assert_int_equal(sim_job(sim, job)->attempt, 2);
    assert_true(sim_job(sim, job)->restored_id >= 3);
    assert_true(sim_expect(sim, "jm | job 00000001 attempt 1 RECONCILING -> FAILING: the JobManager was restarted, and of the workers of "
                                "attempt 1 not all are there any more: its TaskManagers have reported those that they run\n"));
}

/* Its workers had gone before the JobManager did. */
static void a_cancel_that_was_all_but_done_is_done(void **state)
{
    struct sim *sim = *state;
    uint32_t job = run_for_a_second(sim, 3000);
    sim_cut(sim, TM_3, true, false); /* it does not hear of the cancel */
    assert_int_equal(sim_cancel(sim, job), WEIR_OK);
    sim_run(sim, 1000);
    assert_int_equal(sim_job(sim, job)->state, JOB_CANCELLING);
    sim_crash(sim, TM_3);
    sim_restart_jobmanager(sim);
    sim_cut(sim, TM_3, false, false);
    sim_start(sim, TM_3);
    assert_true(sim_run_until(sim, job, JOB_CANCELED, 1000));
}

/* The worker fails while there is no JobManager: the next one hears of it, and restarts the job. */
static void a_worker_that_fails_without_a_jobmanager_is_told_to_the_next_one(void **state)
{
    struct sim *sim = *state;
    struct sim_spec spec = with_checkpoints(SIM_CRASHES_RUNNING);
    spec.run_ms = 5000;
    uint32_t job = sim_submit(sim, &spec);
    assert_true(sim_run_until(sim, job, JOB_RUNNING, 2000));
    for (uint32_t tm = 0; tm < SIM_TMS; tm++) sim_cut(sim, tm, true, true);
    sim_run(sim, 2500);
    sim_restart_jobmanager(sim);
    sim_run(sim, 2800);
    for (uint32_t tm = 0; tm < SIM_TMS; tm++) sim_cut(sim, tm, false, false);
    assert_true(sim_run_until(sim, job, JOB_FINISHED, 20000));
    assert_int_equal(sim_job(sim, job)->attempt, 2);
    assert_string_equal(sim_job(sim, job)->failures[0].reason, "killed by SIGSEGV");
}

/* Whoever was told that the job will be canceled need not ask again when another JobManager leads. */
static void a_cancel_outlives_its_JobManager(void **state)
{
    struct sim *sim = *state;
    struct sim_spec spec = with_checkpoints(SIM_DEAF); /* so that the cancel is under way for a while */
    uint32_t job = sim_submit(sim, &spec);
    assert_true(sim_run_until(sim, job, JOB_RUNNING, 2000));
    assert_int_equal(sim_cancel(sim, job), WEIR_OK);
    assert_true(sim_run_until(sim, job, JOB_CANCELLING, 100));
    sim_restart_jobmanager(sim);
    assert_true(sim_run_until(sim, job, JOB_CANCELED, 10000));
    assert_int_equal(sim_job(sim, job)->attempt, 1);
}

/* Canceled while its TaskManager was away: the worker has no place in the cluster any more. */
static void a_worker_nobody_wants_is_canceled_when_it_is_reported(void **state)
{
    struct sim *sim = *state;
    struct sim_spec spec = with_checkpoints(SIM_GOOD);
    spec.run_ms = 60000;
    uint32_t job = sim_submit(sim, &spec);
    assert_true(sim_run_until(sim, job, JOB_RUNNING, 2000));
    sim_cut(sim, TM_3, true, true);
    assert_int_equal(sim_cancel(sim, job), WEIR_OK);
    assert_true(sim_run_until(sim, job, JOB_CANCELED, 4000));
    assert_int_equal(supervisor_n_workers(sim->tms[TM_3].core), 1);
    sim_cut(sim, TM_3, false, false);
    sim_run(sim, 4000);
    assert_int_equal(supervisor_n_workers(sim->tms[TM_3].core), 0);
    assert_true(sim_expect(sim, "jm | TaskManager tm-3 runs attempt 1 of job 00000001, which is not wanted any more\n"
                                "tm-3 | worker of job 00000001 attempt 1 was canceled\n"));
}

/* And not before it has gone may the next attempt use its slots. */
static void the_next_attempt_waits_for_slots_of_the_former(void **state)
{
    struct sim *sim = *state;
    uint32_t job = run_for_a_second(sim, 6000);
    sim_cut(sim, TM_3, true, true);
    sim_run(sim, 4000);
    assert_true(sim_job(sim, job)->state == JOB_CREATED); /* it wants all six slots */
    sim_cut(sim, TM_3, false, false);
    assert_true(sim_run_until(sim, job, JOB_FINISHED, 15000));
    assert_int_equal(sim_job(sim, job)->attempt, 2);
}

static void a_savepoint_stops_the_job(void **state)
{
    struct sim *sim = *state;
    struct sim_spec spec = with_checkpoints(SIM_GOOD);
    spec.run_ms = 60000;
    uint32_t job = sim_submit(sim, &spec);
    assert_true(sim_run_until(sim, job, JOB_RUNNING, 2000));
    sim_run(sim, 500);
    assert_int_equal(sim_request(sim, job, CHECKPOINT_SAVEPOINT | CHECKPOINT_STOP), WEIR_OK);
    assert_true(sim_run_until(sim, job, JOB_FINISHED, 2000));
    assert_int_equal(sim_request(sim, job, CHECKPOINT_SAVEPOINT), WEIR_E_STATE);
}

static void storage_that_is_away_is_tolerated_so_often(void **state)
{
    struct sim *sim = *state;
    struct sim_spec spec = with_checkpoints(SIM_GOOD);
    spec.run_ms = 60000;
    spec.tolerable = 2;
    spec.restarts = 0;
    uint32_t job = sim_submit(sim, &spec);
    assert_true(sim_run_until(sim, job, JOB_RUNNING, 2000));
    sim->calm = false; /* chance decides what the storage does, and it always fails */
    sim->config.storage_fails = 1000;
    assert_true(sim_run_until(sim, job, JOB_FAILED, 5000));
    sim->calm = true;
    assert_non_null(strstr(sim_job(sim, job)->failure.reason, "that makes 3 in a row, 2 are tolerated"));
    assert_non_null(strstr(sim_job(sim, job)->failure.reason, "the storage is away"));
}

static void a_lost_record_sends_the_job_back(void **state)
{
    struct sim *sim = *state;
    struct sim_spec spec = with_checkpoints(SIM_GOOD);
    spec.tolerable = 100;
    uint32_t job = sim_submit(sim, &spec);
    assert_true(sim_run_until(sim, job, JOB_RUNNING, 2000));
    sim_run(sim, 300);
    sim->calm = false;
    sim->config.lies = 1000;
    assert_true(sim_run_until(sim, job, JOB_FAILING, 1000));
    sim->config.lies = 0;
    sim->calm = true;
    assert_non_null(strstr(sim_job(sim, job)->failure.reason, "records were lost or doubled on channel"));
    assert_true(sim_run_until(sim, job, JOB_FINISHED, 9000));
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest stories[] = {
        STORY(a_job_runs_to_its_end),
        STORY(counters_are_kept_after_the_end),
        STORY(a_lost_DEPLOY_is_sent_again),
        STORY(a_lost_COMMIT_is_sent_again),
        STORY(a_lost_taskmanager_fails_the_job_and_is_named),
        STORY(a_symptom_gives_way_to_the_cause),
        STORY(a_crashed_worker_is_told_with_operator_and_subtask),
        STORY(a_crash_does_not_disturb_another_job),
        STORY(cancel_while_it_is_described),
        STORY(cancel_while_it_runs),
        STORY(a_cancel_outlives_its_JobManager),
        STORY(COMMIT_waits_for_a_cancel),
        STORY(cancel_comes_too_late_after_COMMIT),
        STORY(a_worker_that_ignores_cancel_is_killed),
        STORY(a_worker_that_never_gets_ready_is_killed),
        STORY(a_silent_worker_is_killed),
        STORY(a_step_that_does_not_return_fails_the_job),
        STORY(workers_that_cannot_connect_fail_the_job),
        STORY(a_graph_that_differs_is_refused),
        STORY(a_message_that_cannot_be_read_costs_the_worker_its_life),
        STORY(a_graph_with_a_cycle_is_refused),
        STORY(a_plugin_that_does_not_describe_itself_is_given_up),
        STORY(a_job_waits_for_slots_but_not_for_ever),
        STORY(a_waiting_job_begins_when_slots_come_free),
        STORY(a_restarted_taskmanager_replaces_its_former_self),
        STORY(a_cut_in_one_direction_is_seen_at_both_ends),
        STORY(after_COMMIT_a_lost_taskmanager_leaves_output_partly_visible),
        STORY(a_worker_that_lingers_after_its_commit_has_committed),
        STORY(a_large_plugin_is_fetched_in_chunks_and_only_once),
        STORY(a_taskmanager_that_is_told_to_stop_takes_leave),
        STORY(a_new_jobmanager_takes_its_jobs_up_again),
        STORY(a_job_with_checkpoints_ends_with_a_last_one),
        STORY(a_crashed_worker_costs_one_attempt),
        STORY(a_failure_while_it_commits_is_made_good),
        STORY(a_new_jobmanager_restores_the_newest_checkpoint),
        STORY(a_new_jobmanager_does_not_wait_for_workers_that_cannot_come),
        STORY(a_cancel_that_was_all_but_done_is_done),
        STORY(a_restore_that_does_not_end_fails_the_attempt),
        STORY(a_new_jobmanager_takes_over_the_sequence_of_checkpoints),
        STORY(a_checkpoint_under_way_is_given_up_by_the_new_jobmanager),
        STORY(what_was_being_committed_is_committed_by_the_new_jobmanager),
        STORY(a_commit_without_checkpoints_goes_on_as_well),
        STORY(a_worker_that_fails_without_a_jobmanager_is_told_to_the_next_one),
        STORY(a_worker_nobody_wants_is_canceled_when_it_is_reported),
        STORY(the_next_attempt_waits_for_slots_of_the_former),
        STORY(a_savepoint_stops_the_job),
        STORY(storage_that_is_away_is_tolerated_so_often),
        STORY(a_lost_record_sends_the_job_back),
    };
    return cmocka_run_group_tests(stories, NULL, NULL);
}
