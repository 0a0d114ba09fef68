/* SPDX-License-Identifier: Apache-2.0 */
/* weir-taskmanager: flags, then the server until a signal comes or the JobManager refuses. */
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "runtime/base/daemon.h"
#include "runtime/base/id.h"
#include "runtime/base/limits.h"
#include "runtime/base/live_keys.h"
#include "runtime/base/process.h"
#include "runtime/net/security.h"
#include "taskmanager/server.h"

static const struct config_key keys[] = {
    DAEMON_KEYS,
    HEARTBEAT_KEYS,
    SECURITY_KEYS,
    {"taskmanager.jobmanager", CONFIG_STR, "tcp://127.0.0.1:6123", .flag = "jobmanager",
     .help = "control endpoint of the JobManager; of several, separated by commas, the one that leads is found"},
    {"taskmanager.id", CONFIG_STR, "", .flag = "id", .help = "name shown to people; by default tm- and eight random digits"},
    {"taskmanager.slots", CONFIG_INT, "0", .min = 0, .max = WEIR_SLOTS_MAX, .flag = "slots",
     .help = "slots offered; 0 = one for each core"},
    LIVE_LEADER_WAIT_KEY,
    {"taskmanager.data", CONFIG_STR, "tcp://127.0.0.1:*", .flag = "data",
     .help = "where workers exchange records: tcp://127.0.0.1:* or ipc://PATH, from which each worker's path is made"},
    {"taskmanager.memory.managed.size", CONFIG_SIZE, "0", .flag = "managed-memory",
     .help = "memory for keyed state, shared evenly by the slots; 0 = 256MiB for each. What does not fit lies in RocksDB"},
    {"taskmanager.memory.segment-size", CONFIG_SIZE, "32KiB", .min = 1, .max = WEIR_FRAME_BYTES,
     .help = "bytes of a frame, in which records travel together; with 1 each travels alone"},
    {"taskmanager.state.dir", CONFIG_STR, "", .flag = "state-dir",
     .help = "folder on a local disk for state that does not fit its memory; by default /tmp/weir-UID"},
    {"taskmanager.worker-key", CONFIG_STR, "",
     .help = "file of the key pair with which jobs are clients of the coordination tree, of a cluster with keys; none: they cannot be"},
    {"taskmanager.worker", CONFIG_STR, "", .flag = "worker", .help = "program of the workers; by default weir-worker beside this one"},
};
static const char *const foreign[] = {"jobmanager", "execution", "state", "restart-strategy", "coordination", NULL};
static const struct config_table table = {keys, sizeof keys / sizeof keys[0], foreign};
static const struct daemon_program program = {"weir-taskmanager", "taskmanager",
                                              "Offers slots to a JobManager and runs workers. Ends at SIGTERM or Ctrl-C.", &table};

static uint32_t count_slots(const struct config *config)
{
    int64_t slots = config_int(config, "taskmanager.slots");
    if (slots == 0) slots = sysconf(_SC_NPROCESSORS_ONLN);
    if (slots < 1) slots = 1;
    return slots > WEIR_SLOTS_MAX ? WEIR_SLOTS_MAX : (uint32_t)slots;
}

static const char *make_id(const struct config *config, char random[static 16])
{
    const char *id = config_str(config, "taskmanager.id");
    if (id[0] != '\0') return id;
    (void)snprintf(random, 16, "tm-%08x", (unsigned)(id_word(id_random()) & 0xffffffffu));
    return random;
}

static const char *choose_state_dir(const struct config *config, char fallback[static 32])
{
    const char *dir = config_str(config, "taskmanager.state.dir");
    if (dir[0] != '\0') return dir;
    (void)snprintf(fallback, 32, "/tmp/weir-%u", (unsigned)geteuid());
    return fallback;
}

/* Jobs can read the file, so it must be good for nothing but the tree. */
static weir_err check_worker_key(const struct taskmanager_config *c, struct weir_diag *diag)
{
    struct net_key_pair pair;
    if (c->worker_key[0] == '\0') return WEIR_OK;
    if (!net_is_secured())
        return weir_fail(
            diag, WEIR_E_ARGUMENT,
            "taskmanager.worker-key is given and security.key is not: give this TaskManager its own key, too, or leave it out");
    weir_err err = net_key_pair_load(&pair, c->worker_key, diag);
    if (err) return weir_wrap(diag, err, "taskmanager.worker-key");
    enum net_role role = net_role_of(pair.open);
    net_key_pair_forget(&pair);
    if (role == NET_ROLE_CLIENT) return WEIR_OK;
    return weir_fail(diag, WEIR_E_ARGUMENT,
                     "taskmanager.worker-key: the key in %s %s: jobs have a key with the role client (`jobctl cert new`)", c->worker_key,
                     role ? "has another role" : "is not among the known ones");
}

static weir_err serve(const struct config *config, int signals, struct weir_diag *diag)
{
    char worker[PATH_MAX], random[16], state_dir[32];
    struct taskmanager_config c = {
        .jobmanager = config_str(config, "taskmanager.jobmanager"),
        .id = make_id(config, random),
        .data = config_str(config, "taskmanager.data"),
        .worker_path = config_str(config, "taskmanager.worker"),
        .worker_key = config_str(config, "taskmanager.worker-key"),
        .known_keys = config_str(config, "security.known-keys"),
        .state_dir = choose_state_dir(config, state_dir),
        .slots = count_slots(config),
        .leader_wait_ms = (uint32_t)config_int(config, LIVE_LEADER_WAIT),
        .segment = (uint32_t)config_int(config, "taskmanager.memory.segment-size"),
        .signals = signals,
    };
    c.slot_memory = (uint64_t)config_int(config, "taskmanager.memory.managed.size") / c.slots;
    if (c.worker_path[0] == '\0') {
        weir_err err = process_beside("weir-worker", worker, sizeof worker, diag);
        if (err) return err;
        c.worker_path = worker;
    }
    struct taskmanager *taskmanager = NULL;
    weir_err err = heartbeat_from_config(&c.heartbeat, config, diag);
    if (err) return err;
    err = net_start(1);
    if (err) return weir_fail(diag, err, "cannot start the network");
    err = net_secure_from_config(config, NET_ROLE_TASKMANAGER, diag);
    if (!err) err = check_worker_key(&c, diag);
    if (!err) err = taskmanager_new(&taskmanager, &c, diag);
    if (!err) err = taskmanager_run(taskmanager, diag);
    taskmanager_destroy(&taskmanager);
    net_stop();
    return err;
}

int main(int argc, char **argv)
{
    return daemon_main(&program, serve, argc, argv);
}
