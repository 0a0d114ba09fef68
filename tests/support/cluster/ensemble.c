/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/cluster/ensemble.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* jobctl asks who leads from now on. False: nobody does. */
static bool find_leader(struct cluster *c, struct ensemble *e)
{
    for (uint32_t i = 0; i < JOBMANAGERS; i++) {
        struct proc *p = e->jobmanager[i];
        if (!p || proc_count_log(p, "msg=\"listening\"") <= proc_count_log(p, "msg=\"leads no more\"")) continue;
        e->leader = i;
        c->jobmanager = p;
        (void)snprintf(c->admin, sizeof c->admin, "ipc://%s/a%u", c->dir, i + 1);
        return true;
    }
    return false;
}

void ensemble_wait_leader(struct cluster *c, struct ensemble *e)
{
    int64_t deadline_ms = now_ms() + CLUSTER_WAIT_MS;
    while (!find_leader(c, e))
        if (!wait_a_little(c, deadline_ms)) fail_msg("no JobManager leads");
}

void ensemble_start_member(struct cluster *c, struct ensemble *e, uint32_t i)
{
    char peers[1024] = "", id[8], parent[16], bind[CLUSTER_PATH_MAX], admin[CLUSTER_PATH_MAX], data[CLUSTER_PATH_MAX], name[16];
    for (uint32_t k = 1; k <= JOBMANAGERS; k++) {
        size_t at = strlen(peers);
        (void)snprintf(peers + at, sizeof peers - at, "%s%u=ipc://%s/p%u;ipc://%s/k%u;ipc://%s/a%u;ipc://%s/c%u", k > 1 ? "," : "", k,
                       c->dir, k, c->dir, k, c->dir, k, c->dir, k);
    }
    (void)snprintf(id, sizeof id, "%u", i + 1);
    (void)snprintf(name, sizeof name, "jm-%u", i + 1);
    (void)snprintf(parent, sizeof parent, "%d", (int)getpid());
    (void)snprintf(bind, sizeof bind, "ipc://%s/c%u", c->dir, i + 1);
    (void)snprintf(admin, sizeof admin, "ipc://%s/a%u", c->dir, i + 1);
    (void)snprintf(data, sizeof data, "%s/jm%u", c->dir, i + 1);
    const char *argv[] = {"weir-jobmanager",
                          "--bind",
                          bind,
                          "--admin",
                          admin,
                          "--data-dir",
                          data,
                          "--coordination.peers",
                          peers,
                          "--exit-with-parent",
                          parent,
                          "--coordination.id",
                          id,
                          NULL};
    e->jobmanager[i] = proc_start(c, name, argv);
    e->jobmanager[i]->daemon = true;
}

void ensemble_start(struct cluster *c, struct ensemble *e, uint32_t n_taskmanagers)
{
    assert_int_equal(setenv("WEIR_EXECUTION_CHECKPOINTING_DIR", in_dir(c, "checkpoints"), 1), 0);
    *e = (struct ensemble){0};
    for (uint32_t i = 0; i < JOBMANAGERS; i++) ensemble_start_member(c, e, i);
    (void)snprintf(c->control, sizeof c->control, "ipc://%s/c1,ipc://%s/c2,ipc://%s/c3", c->dir, c->dir, c->dir);
    ensemble_wait_leader(c, e);
    for (uint32_t i = 0; i < n_taskmanagers; i++) (void)cluster_start_taskmanager(c, 2);
    cluster_wait_registered(c, n_taskmanagers);
}

uint32_t ensemble_kill_leader(struct cluster *c, struct ensemble *e)
{
    ensemble_wait_leader(c, e);
    uint32_t i = e->leader;
    int64_t begin_ms = now_ms();
    proc_signal(e->jobmanager[i], SIGKILL);
    assert_int_equal(proc_wait(c, e->jobmanager[i], CLUSTER_WAIT_MS), 128 + SIGKILL);
    e->jobmanager[i] = NULL;
    ensemble_wait_leader(c, e);
    print_message("another JobManager leads %lld ms after the kill\n", (long long)(now_ms() - begin_ms));
    return i;
}
