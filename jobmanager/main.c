/* SPDX-License-Identifier: Apache-2.0 */
/* weir-jobmanager: flags, then the server until a signal comes. */
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "jobmanager/coordination.h"
#include "jobmanager/server.h"
#include "runtime/base/daemon.h"
#include "runtime/base/process.h"
#include "runtime/net/security.h"

static const struct config_key keys[] = {
    DAEMON_KEYS,
    HEARTBEAT_KEYS,
    SECURITY_KEYS,
    JOB_OPTION_KEYS,
    COORDINATION_KEYS,
    {"jobmanager.bind", CONFIG_STR, "tcp://127.0.0.1:6123", .flag = "bind",
     .help = "endpoint for TaskManagers: tcp://127.0.0.1:PORT or ipc://PATH"},
    {"jobmanager.admin", CONFIG_STR, "tcp://127.0.0.1:8081", .flag = "admin", .help = "endpoint for clients (jobctl)"},
    {"jobmanager.data-dir", CONFIG_STR, "weir-data", .flag = "data-dir",
     .help = "folder of uploaded plugins, made if missing; one JobManager each"},
    {"jobmanager.worker", CONFIG_STR, "", .flag = "worker",
     .help = "program that describes graphs; by default weir-worker beside this one"},
};
static const char *const foreign[] = {"taskmanager", NULL};
static const struct config_table table = {keys, sizeof keys / sizeof keys[0], foreign};
static const struct daemon_program program = {"weir-jobmanager", "jobmanager",
                                              "Takes jobs from clients and runs them on TaskManagers. Ends at SIGTERM or Ctrl-C.", &table};

static weir_err serve(const struct config *config, int signals, struct weir_diag *diag)
{
    char worker[PATH_MAX];
    struct jobmanager_config c = {
        .bind = config_str(config, "jobmanager.bind"),
        .admin = config_str(config, "jobmanager.admin"),
        .data_dir = config_str(config, "jobmanager.data-dir"),
        .worker_path = config_str(config, "jobmanager.worker"),
        .signals = signals,
    };
    if (c.worker_path[0] == '\0') {
        weir_err err = process_beside("weir-worker", worker, sizeof worker, diag);
        if (err) return err;
        c.worker_path = worker;
    }
    struct peer *peer = NULL;
    struct jobmanager *jobmanager = NULL;
    struct job_options options;
    weir_err err = job_options_from_config(&options, config, diag);
    if (err) return err;
    c.options = &options;
    err = heartbeat_from_config(&c.heartbeat, config, diag);
    if (err) return err;
    err = net_start(1);
    if (err) return weir_fail(diag, err, "cannot start the network");
    err = net_secure_from_config(config, NET_ROLE_JOBMANAGER, diag);
    if (!err) err = coordination_start(&peer, config, c.data_dir, diag);
    c.peer = peer;
    if (!err) err = jobmanager_new(&jobmanager, &c, diag);
    if (!err) err = jobmanager_run(jobmanager, diag);
    jobmanager_destroy(&jobmanager);
    peer_destroy(&peer);
    net_stop();
    return err;
}

int main(int argc, char **argv)
{
    return daemon_main(&program, serve, argc, argv);
}
