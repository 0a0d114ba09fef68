/* SPDX-License-Identifier: Apache-2.0 */
/* The commands and their options, as parsing, help and completion know them. */
#include <string.h>

#include "api/jobctl/arguments_internal.h"
#include "runtime/base/nearest.h"

const struct argp_option ctl_global_options[] = {
    {"jobmanager", 'm', "ENDPOINT", 0,
     "JobManager's admin socket, tcp://HOST:PORT or ipc://PATH; of several JobManagers all of them, separated by commas (default: "
     "$WEIR_JOBMANAGER, else " CTL_JOBMANAGER_DEFAULT ")",
     0},
    {"timeout", KEY_TIMEOUT, "S", 0, "Seconds to wait for each answer of the JobManager (default: 10)", 0},
    {"output", 'o', "FORMAT", 0, "table for people, or json for programs: the JobManager's answer as one document (default: table)", 0},
    {"key", KEY_KEY, "FILE", 0, "This user's key pair, of a cluster with keys; `jobctl cert new` makes one (default: $" CTL_KEY_ENV ")", 0},
    {"known-keys", KEY_KNOWN_KEYS, "FILE", 0,
     "Keys of the JobManagers and where they answer, a file or folder (default: $" CTL_KNOWN_KEYS_ENV ")", 0},
    {"no-progress", KEY_NO_PROGRESS, NULL, 0, "No progress line, even on a terminal", 0},
    {"help", 'h', NULL, 0, "Print this help", -1},
    {"version", 'V', NULL, 0, "Print the version", -1},
    {0},
};

const struct argp_option ctl_run_options[] = {
    {"local", KEY_LOCAL, NULL, 0, "Start a cluster of its own for this job, and end it afterwards", 0},
    {"taskmanagers", KEY_TASKMANAGERS, "N", 0, "With --local: TaskManagers to start (default: 1)", 0},
    {"slots", KEY_SLOTS, "N", 0, "With --local: slots of each TaskManager (default: enough for the parallelism)", 0},
    {"define", 'D', "KEY=VALUE", 0,
     "Option of the job: execution.checkpointing.interval=10s, restart-strategy.type=none, state...; with --local also configuration of "
     "the "
     "cluster (may be repeated)",
     0},
    {"from", KEY_FROM, "PATH", 0, "Begin with the state of a savepoint or retained checkpoint", 0},
    {"claim", KEY_CLAIM, "MODE", 0,
     "With --from: no-claim leaves its files alone; claim makes them the job's, deleted when they are not needed (default: no-claim)", 0},
    {"allow-unmatched", KEY_UNMATCHED, NULL, 0, "With --from: leave state behind of operators that the job does not have", 0},
    {"parallelism", 'p', "P", 0, "Subtasks of each step that does not set its own number (default: 1)", 0},
    {"detached", 'd', NULL, 0, "Print the job's id and leave; the job goes on", 0},
    {"name", KEY_NAME, "NAME", 0, "Name of the job (default: the plugin's)", 0},
    {"progress-timeout", KEY_PROGRESS_TIMEOUT, "MS", 0, "Milliseconds after which a step of a task that has not returned fails the job", 0},
    {0},
};

static const struct argp_option plan_options[] = {
    {"parallelism", 'p', "P", 0, "Of a plugin: subtasks of each step that does not set its own number (default: 1)", 0},
    {"dot", KEY_DOT, NULL, 0, "Print a Graphviz digraph", 0},
    {0},
};

static const struct argp_option request_options[] = {
    {"detached", 'd', NULL, 0, "Print the request's id and leave; it goes on", 0},
    {0},
};

static const struct argp_option stop_options[] = {
    {"drain", KEY_DRAIN, NULL, 0, "Let the sources end first: windows fire, and nothing is left to go on with", 0},
    {"detached", 'd', NULL, 0, "Print the request's id and leave; it goes on", 0},
    {0},
};

static const struct argp_option rescale_options[] = {
    {"parallelism", 'p', "P", 0, "Subtasks of each step that does not set its own number", 0},
    {"detached", 'd', NULL, 0, "Print the request's id and leave; it goes on", 0},
    {0},
};

static const struct argp_option state_options[] = {
    {"limit", KEY_LIMIT, "N", 0, "scan, get: print at most N entries", 0},
    {0},
};

static const struct argp_option coord_options[] = {
    {"servers", KEY_SERVERS, "ENDPOINTS", 0, "Endpoints for clients of the peers, with commas between them (default: $WEIR_COORD)", 0},
    {"auth", KEY_AUTH, "USER:PASSWORD", 0, "Identity to show", 0},
    {"linear", KEY_LINEAR, NULL, 0, "ls, get, stat, acl: not older than any answer given before, whichever peer is asked", 0},
    {"if-version", KEY_VERSION, "N", 0, "set, rm, acl: only if the node (acl: its ACL) has this version", 0},
    {"recursive", 'r', NULL, 0, "watch: everything below, too; rm: everything below first", 0},
    {"parents", 'p', NULL, 0, "create: parents that are missing, too", 0},
    {"sequential", KEY_SEQUENTIAL, NULL, 0, "create: a rising number follows the path", 0},
    {"container", KEY_CONTAINER, NULL, 0, "create: removed after its last child went", 0},
    {"ttl", KEY_TTL, "MS", 0, "create: removed when it was not changed for so many milliseconds", 0},
    {"acl", KEY_ACL, "ACL", 0, "create: who may do what, as world:anyone:r,auth::cdrwa (default: everybody everything)", 0},
    {0},
};

static const struct argp_option quorum_options[] = {
    {"servers", KEY_SERVERS, "ENDPOINTS", 0, "Endpoints for clients of the peers, with commas between them (default: $WEIR_COORD)", 0},
    {0},
};

static const struct argp_option config_options[] = {
    {"job", KEY_JOB, "JOB", 0, "Of this job, by id or name, instead of the cluster", 0},
    {0},
};

static const struct argp_option cert_options[] = {
    {"role", KEY_ROLE, "ROLE", 0, "What the key is for: jobmanager, taskmanager, client, viewer, operator, deployer, admin", 0},
    {"at", KEY_AT, "ENDPOINTS", 0, "Of a JobManager: where it answers, with commas between them; tcp://HOST:* stands for every port", 0},
    {"dir", KEY_DIR, "FOLDER", 0, "Where the files go (default: here)", 0},
    {0},
};

static const struct argp_option no_options[] = {{0}};

static const char run_doc[] = /* */
    "Uploads the job plugin JOB.so, starts it and stays until it has ended. What stands behind -- goes to the job.\v"
    "Attached, Ctrl-C cancels the job and a second Ctrl-C leaves at once. The exit code is the job's outcome: 0 finished, 1 failed or "
    "canceled; "
    "docs/reference/exit-codes.md has the others.\n\n"
    "Examples:\n"
    "  jobctl run --local --taskmanagers 2 -p 2 job.so -- --input FILE\n"
    "  jobctl run --detached --name nightly job.so -- --input FILE";

static const char plan_doc[] = /* */
    "Shows the vertices of a job, the steps chained in each, and the edges between them. What is named with .so at its end, or a slash in "
    "it, "
    "is a plugin: nothing of it runs but its entry function; what stands behind -- goes to that. Anything else is a job the JobManager "
    "knows.\v"
    "A plugin needs no cluster: without --jobmanager (and $WEIR_JOBMANAGER) a JobManager is started for it and ended afterwards. Exit code "
    "1: "
    "there is no plan, and why.\n\n"
    "Examples:\n"
    "  jobctl plan -p 4 job.so -- --input FILE\n"
    "  jobctl plan --dot job.so -- --input FILE | dot -Tsvg > plan.svg";

static const char savepoint_doc[] = /* */
    "Takes a savepoint and prints its folder. PATH is a folder that does not exist or is empty, seen by the JobManager and all "
    "TaskManagers; "
    "without it the JobManager chooses one. The savepoint is whole by itself and yours: nothing deletes it. Until the next checkpoint it "
    "is what "
    "the job goes back to after a failure.\v"
    "Example:\n"
    "  jobctl savepoint nightly /mnt/save/1 && jobctl run --from /mnt/save/1 job.so";

static const char stop_doc[] = /* */
    "Takes a savepoint behind which the job ends, and prints its folder: nothing is computed or written twice when a job begins with it. "
    "The job is "
    "FINISHED when its output up to the savepoint is visible.\v"
    "With --drain the sources end as if their input were over. Exit code 1: the savepoint or the stop failed, and the job goes on.";

static const char rescale_doc[] = /* */
    "Stops the job with a savepoint and starts it again from there, with another parallelism, under the same name. Prints the id of the "
    "job that goes "
    "on; the old one tells it, too.\v"
    "Example:\n"
    "  jobctl rescale nightly -p 4";

static const char state_doc[] = /* */
    "Reads the state in a checkpoint or savepoint: PATH is its folder. Asks no JobManager and needs no plugin: the types that the job "
    "declared "
    "stand in the checkpoint; what has none is printed as its bytes. `ls` lists the states, `scan` prints every entry of one, `get` those "
    "of a "
    "key, each as a line of JSON.\v"
    "KEY is a number or text, as the key's type is; hex:0a0b gives its bytes.\n\n"
    "Examples:\n"
    "  jobctl state ls /ckpt/4f2a.../chk-7\n"
    "  jobctl state get /ckpt/4f2a.../chk-7 tally/count alice";

static const char coord_doc[] = /* */
    "Reads and changes the coordination tree, by way of any of its peers. `ls` the names of the children, `get` the data, `set`, `create`, "
    "`rm`, `stat`; `watch` prints events until Ctrl-C; `acl` shows who may do what, or sets it; `members` the members of a group with "
    "their "
    "data.\v"
    "`lock FOLDER -- PROGRAM` runs the program while it holds the lock, with its fencing token in $WEIR_LOCK_TOKEN; the exit code is the "
    "program's.\n\n"
    "Examples:\n"
    "  jobctl coord create -p /app/settings/rate 100\n"
    "  jobctl coord watch -r /app\n"
    "  jobctl coord lock /locks/nightly -- ./backup";

static const char quorum_doc[] = /* */
    "Shows the peers that --servers names: role, epoch, what they have applied and how far that is behind the leader. `add` and `remove` "
    "change the members; a member that is there is replaced.\v"
    "Exit code 3: none of them leads.\n\n"
    "Example:\n"
    "  jobctl quorum add '4=observer:tcp://127.0.0.1:6134;tcp://127.0.0.1:6144'";

static const char config_doc[] = /* */
    "Shows and changes what is configured live: it reaches JobManagers, TaskManagers and running jobs without a restart, and hides the "
    "value in the configuration file; `unset` gives that one back. With --job it is one job's: its options, and keys that begin with "
    "`job.`, which only the job itself reads.\v"
    "docs/reference/configuration.md lists the keys that may change while something runs. Exit code 1: refused, and why.\n\n"
    "Examples:\n"
    "  jobctl config set log.level debug\n"
    "  jobctl config set --job nightly execution.checkpointing.interval 1m\n"
    "  jobctl config list";

static const char cert_doc[] = /* */
    "Makes a key pair: NAME.key, which its owner alone may read, and NAME.pub, the line by which others know the key; that line is "
    "printed, "
    "too. Asks no JobManager.\v"
    "A cluster has keys when its daemons have security.key and security.known-keys; then jobctl needs --key and --known-keys. "
    "docs/how-to/secure.md goes through it.\n\n"
    "Examples:\n"
    "  jobctl cert new jm-1 --role jobmanager --at 'tcp://127.0.0.1:*'\n"
    "  jobctl cert new ann --role admin\n"
    "  cat *.pub > known-keys";

const struct syntax ctl_syntax[CTL_COMMANDS] = {
    [CTL_RUN] = {"run", "JOB.so [-- ARGUMENT...]", "submit a job plugin and watch it to its end", run_doc, ctl_run_options, 1, 1, true},
    [CTL_LIST] = {"list", "", "list the jobs", "Lists the jobs the JobManager knows, running ones and ended ones.", no_options, 0, 0,
                  false},
    [CTL_SHOW] = {"show", "JOB", "show a job: state, vertices, subtasks, counters, failure",
                  "Shows one job. JOB is its id, the first digits of its id (4 or more), or its name, when no other job has it.",
                  no_options, 1, 1, false},
    [CTL_PLAN] = {"plan", "JOB | JOB.so [-- ARGUMENT...]", "show how a job's steps are chained and connected", plan_doc, plan_options, 1, 1,
                  true},
    [CTL_CANCEL] =
        {"cancel", "JOB", "end a job",
         "Asks the JobManager to cancel a job. Its sinks drop what they have not made visible. The command does not wait for the end.",
         no_options, 1, 1, false},
    [CTL_CHECKPOINT] = {"checkpoint", "JOB", "take a checkpoint now",
                        "Takes a checkpoint of a job, besides those it takes by itself, and prints its folder.", request_options, 1, 1,
                        false},
    [CTL_CHECKPOINTS] = {"checkpoints", "JOB", "show a job's checkpoints", "Shows the newest checkpoints of a job, durations and sizes.",
                         no_options, 1, 1, false},
    [CTL_EXCEPTIONS] = {"exceptions", "JOB", "show what a job failed of",
                        "Shows why a job has failed, and the last failures that it got over by a restart, the newest first.", no_options, 1,
                        1, false},
    [CTL_SAVEPOINT] = {"savepoint", "JOB [PATH]", "take a savepoint", savepoint_doc, request_options, 1, 2, false},
    [CTL_STOP] = {"stop", "JOB [PATH]", "end a job with a savepoint", stop_doc, stop_options, 1, 2, false},
    [CTL_RESCALE] = {"rescale", "JOB", "go on with another parallelism", rescale_doc, rescale_options, 1, 1, false},
    [CTL_PLUGINS] =
        {"plugins", "[list | rm PLUGIN]", "list or remove uploaded plugins",
         "Lists the plugins in the JobManager's store, or removes one. PLUGIN is its digest or the first digits of it (4 or more).",
         no_options, 0, 2, false},
    [CTL_TASKMANAGERS] = {"taskmanagers", "[TASKMANAGER]", "list the TaskManagers, or show one",
                          "Lists the registered TaskManagers, or shows one.", no_options, 0, 1, false},
    [CTL_STATUS] = {"status", "", "show the cluster at a glance", "Shows how many TaskManagers, slots and jobs there are.", no_options, 0,
                    0, false},
    [CTL_STATE] = {"state", "ls PATH | scan PATH OPERATOR/STATE | get PATH OPERATOR/STATE KEY",
                   "read the state in a checkpoint or savepoint", state_doc, state_options, 0, 4, false},
    [CTL_COORD] = {"coord", "VERB PATH [DATA | ACL | -- PROGRAM ARGUMENT...]", "read and change the coordination tree", coord_doc,
                   coord_options, 2, 3, true},
    [CTL_QUORUM] = {"quorum", "[add ID=ADDRESS | remove ID]", "show the coordination peers, change them", quorum_doc, quorum_options, 0, 2,
                    false},
    [CTL_CONFIG] = {"config", "[list | get KEY | set KEY VALUE | unset KEY]", "show and change what is configured live", config_doc,
                    config_options, 0, 3, false},
    [CTL_CERT] = {"cert", "new NAME", "make a key pair", cert_doc, cert_options, 2, 2, false},
    [CTL_VERSION] = {"version", "", "print the version", "Prints the version of jobctl. Asks no JobManager.", no_options, 0, 0, false},
    [CTL_COMPLETION] = {"completion", "bash", "print a completion script for a shell",
                        "Prints a script that completes commands and options.\vUse it with: source <(jobctl completion bash)", no_options,
                        1, 1, false},
    [CTL_HELP] = {"help", "[COMMAND]", "explain a command", "Explains a command.", no_options, 0, 1, false},
};

const char *arguments_command_name(enum ctl_command command)
{
    return command < CTL_COMMANDS ? ctl_syntax[command].name : "jobctl";
}

weir_err ctl_find_command(const char *name, enum ctl_command *out, struct weir_diag *diag)
{
    struct nearest near = {.word = name};
    for (enum ctl_command i = 0; i < CTL_COMMANDS; i++) {
        nearest_offer(&near, ctl_syntax[i].name);
        if (strcmp(name, ctl_syntax[i].name) != 0) continue;
        *out = i;
        return WEIR_OK;
    }
    if (near.best)
        return weir_fail(diag, WEIR_E_ARGUMENT, "unknown command '%s': did you mean '%s'? `jobctl --help` lists the commands", name,
                         near.best);
    return weir_fail(diag, WEIR_E_ARGUMENT, "unknown command '%s': `jobctl --help` lists the commands", name);
}
