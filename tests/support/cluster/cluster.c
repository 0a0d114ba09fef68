/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/cluster/cluster.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char *own_pid(void)
{
    static char text[16];
    (void)snprintf(text, sizeof text, "%d", (int)getpid());
    return text;
}

void cluster_start_jobmanager(struct cluster *c, bool ipc)
{
    char control[CLUSTER_PATH_MAX] = "tcp://127.0.0.1:*", admin[CLUSTER_PATH_MAX] = "tcp://127.0.0.1:*";
    if (c->control[0]) { /* a second one takes the place of the first */
        memcpy(control, c->control, sizeof control);
        memcpy(admin, c->admin, sizeof admin);
    } else if (ipc) {
        (void)snprintf(control, sizeof control, "ipc://%s/control", c->dir);
        (void)snprintf(admin, sizeof admin, "ipc://%s/admin", c->dir);
    }
    const char *argv[] = {"weir-jobmanager",    "--bind",  control, "--admin", admin, "--data-dir", in_dir(c, "jm"),
                          "--exit-with-parent", own_pid(), NULL};
    c->jobmanager = proc_start(c, "jm", argv);
    c->jobmanager->daemon = true;
    const char *line = proc_wait_log(c, c->jobmanager, "msg=\"listening\"", 1);
    (void)snprintf(c->control, sizeof c->control, "%s", log_field(line, "control="));
    (void)snprintf(c->admin, sizeof c->admin, "%s", log_field(line, "admin="));
}

struct proc *cluster_start_taskmanager(struct cluster *c, uint32_t slots)
{
    char id[16], count[16], data[CLUSTER_PATH_MAX];
    assert_true(c->n_taskmanagers < sizeof c->taskmanager / sizeof *c->taskmanager);
    (void)snprintf(id, sizeof id, "tm-%u", c->n_taskmanagers + 1);
    (void)snprintf(count, sizeof count, "%u", slots);
    (void)snprintf(data, sizeof data, strncmp(c->control, "ipc:", 4) == 0 ? "ipc://%s/%s" : "tcp://127.0.0.1:*", c->dir, id);
    const char *argv[] = {"weir-taskmanager", "--jobmanager", c->control,           "--id",    id,  "--slots", count,
                          "--data",           data,           "--exit-with-parent", own_pid(), NULL};
    struct proc *p = proc_start(c, id, argv);
    p->daemon = true;
    c->taskmanager[c->n_taskmanagers++] = p;
    return p;
}

void cluster_wait_registered(struct cluster *c, size_t n)
{
    int64_t deadline_ms = now_ms() + CLUSTER_WAIT_MS;
    size_t registered;
    do {
        json_t *doc = ctl_json(c, "taskmanagers", NULL);
        registered = json_array_size(json_object_get(doc, "taskmanagers"));
        json_decref(doc);
        if (registered == n) return;
    } while (wait_a_while(c, deadline_ms));
    fail_msg("%zu TaskManagers are registered instead of %zu", registered, n);
}

void cluster_start(struct cluster *c, uint32_t n_taskmanagers, uint32_t slots)
{
    cluster_start_jobmanager(c, false);
    for (uint32_t i = 0; i < n_taskmanagers; i++) (void)cluster_start_taskmanager(c, slots);
    cluster_wait_registered(c, n_taskmanagers);
}
