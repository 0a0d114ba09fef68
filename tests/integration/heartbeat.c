/* SPDX-License-Identifier: Apache-2.0 */
/* heartbeat.interval and heartbeat.timeout of the JobManager are those of both ends; what they may not be ends the daemons with a reason.
 */
#include <signal.h>
#include <stdlib.h>

#include "tests/support/cluster/cluster.h"

STORY(a_silence_ends_as_the_jobmanager_is_configured)
{
    assert_int_equal(setenv("WEIR_HEARTBEAT_INTERVAL", "100ms", 1), 0);
    assert_int_equal(setenv("WEIR_HEARTBEAT_TIMEOUT", "1500ms", 1), 0);
    cluster_start_jobmanager(c, false);
    assert_int_equal(unsetenv("WEIR_HEARTBEAT_INTERVAL"), 0);
    assert_int_equal(unsetenv("WEIR_HEARTBEAT_TIMEOUT"), 0);
    struct proc *taskmanager = cluster_start_taskmanager(c, 1);
    cluster_wait_registered(c, 1);

    proc_signal(taskmanager, SIGSTOP);
    (void)proc_wait_log(c, c->jobmanager, "no answer for 1500 ms", 1);
    proc_signal(taskmanager, SIGCONT);
    (void)proc_wait_log(c, c->jobmanager, "registered with 1 slots", 2);

    uint32_t before = proc_count_log(taskmanager, "no answer for 1500 ms"); /* it heard nothing while it was stopped, either */
    proc_signal(c->jobmanager, SIGSTOP);
    (void)proc_wait_log(c, taskmanager, "no answer for 1500 ms", before + 1);
    proc_signal(c->jobmanager, SIGCONT);
    cluster_wait_registered(c, 1);
}

static void refuses(struct cluster *c, const char *program)
{
    const char *argv[] = {program, "-D", "heartbeat.interval=1s", NULL};
    struct proc *p = proc_start(c, "refused", argv);
    assert_int_equal(proc_wait(c, p, CLUSTER_WAIT_MS), 1);
    assert_has(proc_said(p).err, "heartbeat.timeout is 3000 ms, but must be at least 4 times heartbeat.interval, which is 1000 ms");
}

STORY(a_timeout_that_is_too_short_is_refused)
{
    refuses(c, "weir-jobmanager");
    refuses(c, "weir-taskmanager");
}

STORY_MAIN(STORY_TEST(a_silence_ends_as_the_jobmanager_is_configured), STORY_TEST(a_timeout_that_is_too_short_is_refused))
