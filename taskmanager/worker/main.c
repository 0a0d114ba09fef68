/* SPDX-License-Identifier: Apache-2.0 */
/* weir-worker: runs, or describes, one job. Started by a TaskManager or JobManager only; handover.h has the agreement. */
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "runtime/base/limits.h"
#include "runtime/base/log.h"
#include "runtime/base/scratch.h"
#include "runtime/net/security.h"
#include "taskmanager/worker/describe.h"
#include "taskmanager/worker/worker.h"

const char *malloc_conf = WORKER_MALLOC_CONF; /* jemalloc looks for this name */

enum { EXIT_WRONG_USE = 2 };

static int wrong_use(const char *what)
{
    (void)fprintf(stderr, "weir-worker: %s\nIt is started by weir-taskmanager and weir-jobmanager; use jobctl to run a job.\n", what);
    return EXIT_WRONG_USE;
}

static const char *socket_path; /* of an ipc data socket; NULL = none */
static char scratch[PATH_MAX];  /* "" = none */

/* Only what a signal handler may do: so a folder is left to rm. */
static void leave_nothing(int signal_number)
{
    (void)signal_number;
    if (socket_path) (void)unlink(socket_path);
    if (scratch[0] && access(scratch, F_OK) == 0) (void)execl("/bin/rm", "rm", "-rf", "--", scratch, (char *)NULL);
    _exit(1);
}

/*
 * Dies with its parent, also when that one died before this call. By SIGTERM, so that the data socket's file goes too; should user code
 * keep the signal from arriving, the end of the pipe to the parent ends the process all the same.
 */
static bool follow_parent(const char *pid, const char *data)
{
    static const char ipc[] = "ipc://";
    if (data && strncmp(data, ipc, sizeof ipc - 1) == 0 && data[sizeof ipc - 1] != '@') socket_path = data + sizeof ipc - 1;
    struct sigaction action = {.sa_handler = leave_nothing};
    if (sigaction(SIGTERM, &action, NULL) != 0 || prctl(PR_SET_PDEATHSIG, SIGTERM) != 0) return false;
    return strtol(pid, NULL, 10) == (long)getppid();
}

/* Before any code of the job. Keys are for its clients of the tree; records travel plain. */
static bool start_network(const struct net_security_config *keys)
{
    struct weir_diag diag;
    if (net_start(1)) return false;
    if (!keys->key || !net_secure(keys, &diag)) return true;
    log_error("no key", " reason=\"%s\"", diag.text);
    return false;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"run", no_argument, NULL, 'r'},
                                            {"describe", no_argument, NULL, 'd'},
                                            {"parent", required_argument, NULL, 'p'},
                                            {"data", required_argument, NULL, 'e'},
                                            {"state", required_argument, NULL, 's'},
                                            {"local", required_argument, NULL, 'l'},
                                            {"memory", required_argument, NULL, 'b'},
                                            {"segment", required_argument, NULL, 'g'},
                                            {"parallelism", required_argument, NULL, 'n'},
                                            {"name", required_argument, NULL, 'm'},
                                            {"cwd", required_argument, NULL, 'c'},
                                            {"silence", required_argument, NULL, 'i'},
                                            {"log-level", required_argument, NULL, 'v'},
                                            {"key", required_argument, NULL, 'k'},
                                            {"known-keys", required_argument, NULL, 'K'},
                                            {NULL, 0, NULL, 0}};
    int mode = 0, option;
    long parallelism = 1;
    unsigned long segment = WEIR_FRAME_BYTES;
    enum log_level level = LOG_LEVEL_INFO;
    bool known_level = true;
    struct worker_config config = {0};
    struct net_security_config keys = {0};
    const char *parent = NULL, *data = NULL, *state = NULL, *name = "", *cwd = "/";
    while ((option = getopt_long(argc, argv, "+", options, NULL)) != -1) {
        switch (option) {
        case 'r':
        case 'd': mode = option; break;
        case 'p': parent = optarg; break;
        case 'e': data = optarg; break;
        case 's': state = optarg; break;
        case 'l': config.local_dir = optarg; break;
        case 'b': config.slot_memory = strtoull(optarg, NULL, 10); break;
        case 'g': segment = strtoul(optarg, NULL, 10); break;
        case 'i': config.silence_ms = (uint32_t)strtoul(optarg, NULL, 10); break;
        case 'k': keys.key = optarg; break;
        case 'K': keys.known_keys = optarg; break;
        case 'v': known_level = !log_level_parse(optarg, &level); break;
        case 'n': parallelism = strtol(optarg, NULL, 10); break;
        case 'm': name = optarg; break;
        case 'c': cwd = optarg; break;
        default: return wrong_use("unknown option");
        }
    }
    log_init("worker", level);
    if (!known_level) return wrong_use("--log-level is none of debug, info, warn, error");
    if (!mode || !parent) return wrong_use("it needs --run or --describe, and --parent");
    if (!follow_parent(parent, data)) return 1;
    if (mode == 'r') {
        struct weir_diag diag;
        if (!data) return wrong_use("--run needs --data");
        if (segment < 1 || segment > WEIR_FRAME_BYTES) return wrong_use("--segment is out of range");
        if (state && scratch_path(state, scratch, &diag)) return wrong_use(diag.text);
        config.data_endpoint = data;
        config.state_dir = state ? scratch : NULL;
        config.segment = (uint32_t)segment;
        if (!start_network(&keys)) return 1;
        return worker_run(&config);
    }
    if (parallelism < 1 || parallelism > WEIR_PARALLELISM_MAX) return wrong_use("--parallelism is out of range");
    /* The job's own argument vector: its name first. */
    int n = argc - optind;
    char **args = calloc((size_t)n + 2, sizeof *args);
    if (!args) return 1;
    args[0] = strdup(name);
    for (int i = 0; i < n; i++) args[i + 1] = argv[optind + i];
    optind = 1; /* the plugin may use getopt itself */
    return describe_run((uint32_t)parallelism, cwd, n + 1, args);
}
