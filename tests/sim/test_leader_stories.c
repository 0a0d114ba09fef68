/* SPDX-License-Identifier: Apache-2.0 */
/* Stories of three JobManagers in a calm world: what a change of leader does to a job that runs. */
/* cmocka wants these first, in this order */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
#include <string.h>

#include "tests/sim/stories.h"

enum { TM_1, TM_2, TM_3 };

/* It has a worker on each TaskManager, and a checkpoint every 200 ms. */
static const struct sim_spec usual = {.parallelism = 6,
                                      .n_splits = 7,
                                      .describe_ms = 50,
                                      .step_ms = 20,
                                      .run_ms = 25000,
                                      .fate_worker = 3,
                                      .interval_ms = 200,
                                      .restarts = 3,
                                      .restart_delay_ms = 10};

static int setup(void **state)
{
    struct sim *sim;
    sim_new_ensemble(&sim, 3);
    sim_run(sim, 8000); /* somebody leads, and all have registered */
    *state = sim;
    return 0;
}

/* A job that runs and has completed checkpoints. */
static uint32_t begin(struct sim *sim)
{
    uint32_t job = sim_submit(sim, &usual);
    assert_true(sim_run_until(sim, job, JOB_RUNNING, 3000));
    sim_run(sim, 1500);
    assert_true(sim->n_completed > 0);
    return job;
}

static void assert_same_attempt(struct sim *sim, uint32_t job)
{
    uint64_t completed = sim->n_completed;
    assert_true(sim_run_until(sim, job, JOB_FINISHED, 40000));
    assert_int_equal(sim_job(sim, job)->attempt, 1);
    assert_true(sim->n_completed > completed);
}

static void a_job_goes_on_when_its_leader_dies(void **state)
{
    struct sim *sim = *state;
    uint32_t job = begin(sim), leader = sim->leader;
    sim_crash_jobmanager(sim, sim->leader, 500);
    sim_run(sim, 5000);
    assert_int_not_equal(sim->leader, leader);
    assert_int_equal(sim->n_adopted, 1);
    assert_same_attempt(sim, job);
}

static void a_job_outlives_many_leaders(void **state)
{
    struct sim *sim = *state;
    struct sim_spec spec = usual;
    spec.run_ms = 80000;
    uint32_t job = sim_submit(sim, &spec);
    for (int i = 0; i < 8; i++) {
        assert_true(sim_run_until(sim, job, JOB_RUNNING, 8000));
        sim_run(sim, 1000);
        sim_crash_jobmanager(sim, sim->leader, 500);
    }
    assert_true(sim_run_until(sim, job, JOB_FINISHED, 90000));
    assert_int_equal(sim_job(sim, job)->attempt, 1);
}

/*
 * A leader is stopped so long that one TaskManager, of which it had not heard for a moment before, has been silent for too long as it sees
 * it. The others have not given it up yet. When it goes on it must not cancel what runs on them: the silence was its own, and somebody else
 * leads by then.
 */
static void a_leader_that_was_stopped_cancels_nothing(void **state)
{
    struct sim *sim = *state;
    uint32_t job = begin(sim);
    sim_cut(sim, TM_2, true, true);
    sim_run(sim, 400);
    sim_pause_leader(sim, 2700);
    sim_cut(sim, TM_2, false, false);
    sim_run(sim, 6000);
    assert_same_attempt(sim, job);
}

/*
 * The same, but TaskManagers have given it up, found nobody else, and ask it again. When it goes on it finds that they register anew while
 * it has them already, and must not take that for the end of what runs on them before it knows whether it leads.
 */
static void taskmanagers_come_back_to_a_leader_that_was_stopped(void **state)
{
    struct sim *sim = *state;
    uint32_t job = begin(sim);
    for (uint32_t jm = 0; jm < 3; jm++)
        if (jm != sim->leader) sim_crash_jobmanager(sim, jm, 11500);
    sim_pause_leader(sim, 11000);
    sim_run(sim, 14500);
    assert_same_attempt(sim, job);
}

/*
 * The leader is stopped for longer than TaskManagers wait, and its peer is not, or all are stopped together: nobody else leads meanwhile.
 * TaskManagers have given it up and register anew with it, one after the other. What runs on them goes on.
 */
static void a_leader_that_was_given_up_and_leads_still_goes_on(void **state)
{
    struct sim *sim = *state;
    for (int64_t ms = 2400; ms <= 4000; ms += 100) {
        uint32_t job = begin(sim), leader = sim->leader;
        sim->jms[leader].paused_ms = sim->now_ms + ms;
        assert_same_attempt(sim, job);
        assert_int_equal(sim->leader, leader);
    }
}

/*
 * Disks are so slow that something is being written whenever the leader is stopped for a moment. Whether it still leads is no question to a
 * disk: it is answered before what is being written, and nobody has been silent for too long by then.
 */
static void a_slow_disk_keeps_no_leader_in_doubt(void **state)
{
    struct sim *sim = *state;
    uint32_t job = begin(sim);
    sim_slow_disks(sim, 7000);
    sim_run(sim, 1000);
    uint64_t completed = sim->n_completed;
    sim->jms[sim->leader].paused_ms = sim->now_ms + 900; /* its peer goes on */
    sim_run(sim, 5000);
    assert_int_equal(sim->n_completed, completed); /* its disk had not answered yet */
    assert_int_equal(sim_job(sim, job)->state, JOB_RUNNING);
    sim_slow_disks(sim, 1);
    assert_same_attempt(sim, job);
}

/* The graph does not fit into a node of the tree, and the leader dies at some moment between the submission and the first attempt. */
static void a_graph_in_parts_is_there_or_not(void **state)
{
    uint32_t attempt = 0;
    sim_destroy((struct sim **)state);
    for (int64_t ms = 0; !attempt; ms += 2) {
        struct sim *sim;
        sim_new_ensemble(&sim, 3);
        sim->config.node_bytes = 25;
        *state = sim;
        sim_run(sim, 8000);
        uint32_t job = sim_submit(sim, &usual);
        for (int i = 0; i < 1000 && !sim->jobs[job].accepted; i++) sim_run(sim, 1);
        sim_run(sim, ms);
        attempt = sim_job(sim, job)->attempt;
        sim_crash_jobmanager(sim, sim->leader, 500);
        assert_true(sim_run_until(sim, job, JOB_FINISHED, 90000));
        leaders_check_parts(sim);
        assert_int_equal(teardown(state), 0);
    }
    sim_new_ensemble((struct sim **)state, 3); /* for who ends the story */
}

/*
 * A leader has decided to cancel, and before that is written it is cut off and deposed. Its peer has come back, and would pass on to the
 * new leader what its main thread had said; nobody has told that one of a cancel, so the job goes on.
 */
static void what_a_former_leader_decided_comes_too_late(void **state)
{
    struct sim *sim = *state;
    uint32_t job = begin(sim), former = sim->leader;
    sim_hold_orders(sim, former, 10000);
    assert_int_equal(sim_cancel(sim, job), WEIR_OK); /* so far; it is not accepted yet */
    sim_cut_jobmanager(sim, former, true);
    sim_run(sim, 5000);
    assert_int_not_equal(sim->leader, former);
    sim_cut_jobmanager(sim, former, false);
    sim_run(sim, 6000);
    assert_same_attempt(sim, job);
}

/*
 * Without checkpoints a cancel comes too late after COMMIT, also when the commit fails: the next leader could not tell it from one that
 * came before, after which nothing was made visible.
 */
static void a_cancel_comes_too_late_when_the_commit_fails(void **state)
{
    struct sim *sim = *state;
    struct sim_spec spec = usual;
    spec.interval_ms = spec.restarts = 0;
    spec.run_ms = 500;
    uint32_t job = sim_submit(sim, &spec);
    sim_drop_next(sim, WIRE_COMMIT, TM_3, 12); /* so that its worker is waited for */
    assert_true(sim_run_until(sim, job, JOB_RUNNING, 3000));
    for (int i = 0; i < 5000 && !sim_job(sim, job)->committing; i++) sim_run(sim, 1);
    sim_crash(sim, TM_1);
    assert_true(sim_run_until(sim, job, JOB_FAILING, 4000));
    assert_int_equal(sim_cancel(sim, job), WEIR_E_STATE);
    sim_crash_jobmanager(sim, sim->leader, 500);
    assert_true(sim_run_until(sim, job, JOB_FAILED, 20000));
    assert_non_null(strstr(sim_job(sim, job)->failure.reason, "partly visible"));
}

/* Its worker has committed, and nobody has heard that; a new leader is asked to cancel before it has been told. Either is the truth. */
static void a_cancel_may_meet_workers_that_have_committed(void **state)
{
    struct sim *sim = *state;
    struct sim_spec spec = usual;
    spec.parallelism = spec.n_splits = 1;
    spec.run_ms = 1000;
    uint32_t job = sim_submit(sim, &spec);
    assert_true(sim_run_until(sim, job, JOB_RUNNING, 3000));
    sim_drop_next(sim, WIRE_WORKER_ENDED, (uint32_t)__builtin_ctz(sim->jobs[job].tms), 50);
    bool commits = false;
    for (int i = 0; i < 5000 && !commits; i++) {
        sim_run(sim, 1);
        for (uint32_t p = 0; p < sim->n_processes; p++) commits |= sim->processes[p].committed;
    }
    assert_true(commits);
    sim_drop_next(sim, WIRE_WORKER_ENDED, TM_1, 0);
    for (uint32_t jm = 0; jm < 3; jm++) sim_crash_jobmanager(sim, jm, 100);
    for (int i = 0; i < 8000 && !(sim->jm && sim_job(sim, job)->state == JOB_RECONCILING); i++) sim_run(sim, 1);
    sim_run(sim, 10); /* it knows that it leads */
    sim_hold_orders(sim, sim->leader, 3000);
    assert_int_equal(sim_job(sim, job)->state, JOB_RECONCILING);
    assert_int_equal(sim_cancel(sim, job), WEIR_OK);
    sim_run(sim, 1000); /* all is reported, and the cancel is not stored yet */
    assert_int_equal(sim_job(sim, job)->state, JOB_RUNNING);
    for (int i = 0; i < 20000 && !job_state_terminal(sim_job(sim, job)->state); i++) sim_run(sim, 1);
    assert_int_equal(sim_job(sim, job)->state, JOB_CANCELED);
}

/* Everybody at once, and the disks have it all. */
static void a_cold_start_finds_job_and_checkpoints(void **state)
{
    struct sim *sim = *state;
    uint32_t job = begin(sim);
    for (uint32_t jm = 0; jm < 3; jm++) sim_crash_jobmanager(sim, jm, 1000);
    for (uint32_t tm = 0; tm < SIM_TMS; tm++) sim_crash(sim, tm);
    sim_run(sim, 500);
    for (uint32_t tm = 0; tm < SIM_TMS; tm++) sim_start(sim, tm);
    assert_true(sim_run_until(sim, job, JOB_FINISHED, 40000));
    assert_int_equal(sim_job(sim, job)->attempt, 2);
    assert_true(sim_job(sim, job)->restored_id > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_job_goes_on_when_its_leader_dies, setup, teardown),
        cmocka_unit_test_setup_teardown(a_job_outlives_many_leaders, setup, teardown),
        cmocka_unit_test_setup_teardown(a_leader_that_was_stopped_cancels_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(taskmanagers_come_back_to_a_leader_that_was_stopped, setup, teardown),
        cmocka_unit_test_setup_teardown(a_leader_that_was_given_up_and_leads_still_goes_on, setup, teardown),
        cmocka_unit_test_setup_teardown(a_slow_disk_keeps_no_leader_in_doubt, setup, teardown),
        cmocka_unit_test_setup_teardown(a_graph_in_parts_is_there_or_not, setup, teardown),
        cmocka_unit_test_setup_teardown(what_a_former_leader_decided_comes_too_late, setup, teardown),
        cmocka_unit_test_setup_teardown(a_cancel_comes_too_late_when_the_commit_fails, setup, teardown),
        cmocka_unit_test_setup_teardown(a_cancel_may_meet_workers_that_have_committed, setup, teardown),
        cmocka_unit_test_setup_teardown(a_cold_start_finds_job_and_checkpoints, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
