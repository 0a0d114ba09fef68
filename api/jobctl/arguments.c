/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parsing happens twice with argp: once up to the command's name, once from there on with the command's own table. argp's messages, exits
 * and help options are switched off, so that every refusal is a sentence of ours in a weir_diag and a test can read it.
 */
#include "api/jobctl/arguments.h"

#include "api/jobctl/cert.h"
#include "api/jobctl/config.h"
#include "api/jobctl/coord.h"
#include "runtime/base/buffer.h"
#include "runtime/base/limits.h"
#include "runtime/base/nearest.h"
#include "runtime/net/socket.h"
#include "weir/stream.h"
#include <argp.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Keys of options without a letter. */
enum option_key {
    KEY_TIMEOUT = 256,
    KEY_NO_PROGRESS,
    KEY_LOCAL,
    KEY_TASKMANAGERS,
    KEY_SLOTS,
    KEY_NAME,
    KEY_PROGRESS_TIMEOUT,
    KEY_DOT,
    KEY_LIMIT,
    KEY_FROM,
    KEY_CLAIM,
    KEY_UNMATCHED,
    KEY_DRAIN,
    KEY_SERVERS,
    KEY_JOB,
    KEY_AUTH,
    KEY_ACL,
    KEY_VERSION,
    KEY_TTL,
    KEY_CONTAINER,
    KEY_SEQUENTIAL,
    KEY_LINEAR,
    KEY_KEY,
    KEY_KNOWN_KEYS,
    KEY_ROLE,
    KEY_AT,
    KEY_DIR,
};

struct syntax {
    const char *name;
    const char *operands; /* of the usage line */
    const char *summary;  /* of the list of commands */
    const char *doc;      /* before "\v": above the options; behind it: below */
    const struct argp_option *options;
    unsigned operands_min, operands_max;
    bool takes_rest; /* job arguments behind "--" */
};

static const struct argp_option global_options[] = {
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

static const struct argp_option run_options[] = {
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

/* For argp, which leaks a byte for a table that is there and empty. */
static const struct argp_option *argp_options(const struct argp_option *options)
{
    return options->name ? options : NULL;
}

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

static const struct syntax commands[CTL_COMMANDS] = {
    [CTL_RUN] = {"run", "JOB.so [-- ARGUMENT...]", "submit a job plugin and watch it to its end", run_doc, run_options, 1, 1, true},
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

/* What one call of arguments_parse knows. */
struct parse {
    struct ctl_arguments args;
    struct weir_diag *diag;
    const struct syntax *syntax; /* NULL while the command is not known */
    const char *operands[4];
    unsigned n_operands;
    int command_at; /* index of the command's name in argv; -1 = not seen */
    int bad_at;     /* argv index where argp gave up */
    bool stop;      /* help or version asked for: nothing else counts */
};

const char *arguments_command_name(enum ctl_command command)
{
    return command < CTL_COMMANDS ? commands[command].name : "jobctl";
}

static const struct argp_option *find_option(const struct argp_option *options, const char *name, size_t len)
{
    for (; options->name; options++) {
        if (strlen(options->name) == len && strncmp(options->name, name, len) == 0) return options;
    }
    return NULL;
}

static const struct argp_option *find_letter(const struct argp_option *options, int letter)
{
    for (; options->name; options++) {
        if (options->key == letter) return options;
    }
    return NULL;
}

/* ---- values ---- */

static error_t refuse(struct parse *p)
{
    (void)p; /* its diag has the sentence */
    return EINVAL;
}

static error_t parse_whole(struct parse *p, const char *option, const char *text, uint32_t max, uint32_t *out)
{
    char *end = NULL;
    errno = 0;
    unsigned long value = strtoul(text, &end, 10);
    bool digits = text[0] >= '0' && text[0] <= '9';
    if (!digits || *end != '\0' || errno || value < 1 || value > max) {
        weir_fail(p->diag, WEIR_E_ARGUMENT, "option --%s takes a whole number from 1 to %u, not '%s'", option, max, text);
        return refuse(p);
    }
    *out = (uint32_t)value;
    return 0;
}

static error_t parse_version(struct parse *p, const char *text)
{
    char *end = NULL;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (text[0] >= '0' && text[0] <= '9' && *end == '\0' && !errno) {
        p->args.version = value;
        return 0;
    }
    weir_fail(p->diag, WEIR_E_ARGUMENT, "option --if-version takes the version that `jobctl coord stat` shows, a whole number, not '%s'",
              text);
    return refuse(p);
}

static error_t parse_timeout(struct parse *p, const char *text)
{
    char *end = NULL;
    double seconds = strtod(text, &end);
    if (end == text || *end != '\0' || !isfinite(seconds) || seconds < 0.001 || seconds * 1000 > CTL_TIMEOUT_MS_MAX) {
        weir_fail(p->diag, WEIR_E_ARGUMENT, "option --timeout takes seconds from 0.001 to %d, such as 2.5, not '%s'",
                  CTL_TIMEOUT_MS_MAX / 1000, text);
        return refuse(p);
    }
    p->args.timeout_ms = (int64_t)(seconds * 1000);
    return 0;
}

static error_t parse_format(struct parse *p, const char *text)
{
    if (strcmp(text, "table") == 0) {
        p->args.format = CTL_TABLE;
        return 0;
    }
    if (strcmp(text, "json") == 0) {
        p->args.format = CTL_JSON;
        return 0;
    }
    weir_fail(p->diag, WEIR_E_ARGUMENT, "unknown output format '%s': use -o table or -o json", text);
    return refuse(p);
}

static error_t parse_claim(struct parse *p, const char *text)
{
    p->args.claim = strcmp(text, "claim") == 0;
    p->args.claim_given = true;
    if (p->args.claim || strcmp(text, "no-claim") == 0) return 0;
    weir_fail(p->diag, WEIR_E_ARGUMENT, "option --claim takes claim or no-claim, not '%s'", text);
    return refuse(p);
}

/* Configuration that the local cluster decides itself, and what says it instead. */
static const struct {
    const char *key, *instead;
} local_keys[] = {
    {"taskmanager.slots", "use --slots"},
    {"taskmanager.id", "TaskManagers are called tm-1, tm-2, ..."},
    {"taskmanager.jobmanager", "its sockets are in its own folder"},
    {"taskmanager.data", "its sockets are in its own folder"},
    {"jobmanager.bind", "its sockets are in its own folder"},
    {"jobmanager.admin", "its sockets are in its own folder"},
    {"jobmanager.data-dir", "its data is in its own folder"},
    {"process.exit-with-parent", "its processes end with jobctl"},
};

/* Whether the key exists is for the daemons to say, which know their keys. */
static error_t take_definition(struct parse *p, const char *text)
{
    size_t len = strcspn(text, "=");
    if (len == 0 || text[len] == '\0') {
        weir_fail(p->diag, WEIR_E_ARGUMENT, "option -D takes KEY=VALUE, such as taskmanager.memory.managed.size=64MiB, not '%s'", text);
        return refuse(p);
    }
    for (size_t i = 0; i < sizeof local_keys / sizeof *local_keys; i++) {
        if (strlen(local_keys[i].key) != len || strncmp(local_keys[i].key, text, len) != 0) continue;
        weir_fail(p->diag, WEIR_E_ARGUMENT, "the local cluster sets %s itself: %s", local_keys[i].key, local_keys[i].instead);
        return refuse(p);
    }
    if (p->args.n_definitions == CTL_DEFINITIONS_MAX) {
        weir_fail(p->diag, WEIR_E_ARGUMENT, "more than %d times -D: put the keys in a file and use -D config.file=FILE",
                  CTL_DEFINITIONS_MAX);
        return refuse(p);
    }
    p->args.definitions[p->args.n_definitions++] = text;
    return 0;
}

/* One, or several separated by commas. */
static weir_err check_endpoint(const char *list, bool keys, const char *origin, struct weir_diag *diag)
{
    struct weir_diag why;
    char endpoint[NET_ENDPOINT_MAX + 1];
    weir_err err = WEIR_OK;
    do {
        size_t len = strcspn(list, ",");
        (void)snprintf(endpoint, sizeof endpoint, "%.*s", (int)len, list);
        err = net_endpoint_check_as(endpoint, keys, &why);
        list += len;
    } while (!err && *list++ == ',');
    return err ? weir_fail(diag, WEIR_E_ARGUMENT, "%s: %s; an admin socket looks like %s or ipc:///PATH", origin, why.text,
                           CTL_JOBMANAGER_DEFAULT)
               : WEIR_OK;
}

/* ---- options ---- */

static void stop_for(struct parse *p, struct argp_state *state, enum ctl_command command)
{
    p->stop = true;
    p->args.help_on = p->syntax ? p->args.command : CTL_COMMANDS;
    p->args.command = command;
    state->next = state->argc;
}

static error_t parse_global(int key, char *arg, struct argp_state *state)
{
    struct parse *p = state->input;
    switch (key) {
    case 'm':
        p->args.jobmanager = arg;
        p->args.jobmanager_given = true;
        return 0;
    case KEY_TIMEOUT: return parse_timeout(p, arg);
    case 'o': return parse_format(p, arg);
    case KEY_NO_PROGRESS: p->args.no_progress = true; return 0;
    case KEY_KEY: p->args.key_file = arg; return 0;
    case KEY_KNOWN_KEYS: p->args.known_keys = arg; return 0;
    case 'h': stop_for(p, state, CTL_HELP); return 0;
    case 'V': stop_for(p, state, CTL_VERSION); return 0;
    case ARGP_KEY_ERROR: p->bad_at = state->next; return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static error_t take_rest(struct parse *p, struct argp_state *state)
{
    p->args.job_args = state->argv + state->next - 1;
    p->args.n_job_args = state->argc - state->next + 1;
    state->next = state->argc;
    return 0;
}

static error_t take_operand(struct parse *p, char *arg, struct argp_state *state)
{
    const struct syntax *s = p->syntax;
    bool quoted = state->quoted && state->next > state->quoted;
    if (s->takes_rest && quoted) return take_rest(p, state);
    if (p->n_operands < s->operands_max) {
        p->operands[p->n_operands++] = arg;
        return 0;
    }
    if (s->takes_rest && p->args.command != CTL_COORD) {
        weir_fail(p->diag, WEIR_E_ARGUMENT,
                  "unexpected '%s' behind the plugin: arguments of the job stand behind --, as in `jobctl %s %s -- %s`", arg, s->name,
                  p->operands[0], arg);
    } else {
        weir_fail(p->diag, WEIR_E_ARGUMENT, "unexpected '%s': the use is `jobctl %s%s%s`", arg, s->name, *s->operands ? " " : "",
                  s->operands);
    }
    return refuse(p);
}

static error_t parse_command_option(int key, char *arg, struct argp_state *state)
{
    struct parse *p = state->input;
    switch (key) {
    case ARGP_KEY_INIT: state->child_inputs[0] = p; return 0;
    case ARGP_KEY_ARG: return p->stop ? 0 : take_operand(p, arg, state);
    case KEY_LOCAL: p->args.local = true; return 0;
    case KEY_TASKMANAGERS: return parse_whole(p, "taskmanagers", arg, CTL_LOCAL_TASKMANAGERS_MAX, &p->args.taskmanagers);
    case KEY_SLOTS: return parse_whole(p, "slots", arg, WEIR_SLOTS_MAX, &p->args.slots);
    case 'D': return take_definition(p, arg);
    case KEY_FROM: p->args.from = arg; return 0;
    case KEY_CLAIM: return parse_claim(p, arg);
    case KEY_UNMATCHED: p->args.unmatched = true; return 0;
    case KEY_DRAIN: p->args.drain = true; return 0;
    case KEY_SERVERS: p->args.servers = arg; return 0;
    case KEY_JOB: p->args.job = arg; return 0;
    case KEY_AUTH: p->args.auth = arg; return 0;
    case KEY_ROLE: p->args.role = arg; return 0;
    case KEY_AT: p->args.at = arg; return 0;
    case KEY_DIR: p->args.dir = arg; return 0;
    case KEY_ACL: p->args.acl = arg; return 0;
    case KEY_VERSION: return parse_version(p, arg);
    case KEY_TTL: return parse_whole(p, "ttl", arg, UINT32_MAX, &p->args.ttl_ms);
    case KEY_CONTAINER: p->args.container = true; return 0;
    case KEY_SEQUENTIAL: p->args.sequential = true; return 0;
    case KEY_LINEAR: p->args.linear = true; return 0;
    case 'r': p->args.recursive = true; return 0;
    case 'p':
        if (p->args.command == CTL_COORD) {
            p->args.parents = true;
            return 0;
        }
        p->args.parallelism_given = true;
        return parse_whole(p, "parallelism", arg, WEIR_PARALLELISM_MAX, &p->args.parallelism);
    case 'd': p->args.detached = true; return 0;
    case KEY_NAME: p->args.name = arg; return 0;
    case KEY_DOT: p->args.dot = true; return 0;
    case KEY_LIMIT: return parse_whole(p, "limit", arg, UINT32_MAX, &p->args.limit);
    case KEY_PROGRESS_TIMEOUT: return parse_whole(p, "progress-timeout", arg, CTL_PROGRESS_TIMEOUT_MS_MAX, &p->args.progress_timeout_ms);
    default: return ARGP_ERR_UNKNOWN;
    }
}

static weir_err find_command(const char *name, enum ctl_command *out, struct weir_diag *diag)
{
    struct nearest near = {.word = name};
    for (enum ctl_command i = 0; i < CTL_COMMANDS; i++) {
        nearest_offer(&near, commands[i].name);
        if (strcmp(name, commands[i].name) != 0) continue;
        *out = i;
        return WEIR_OK;
    }
    if (near.best)
        return weir_fail(diag, WEIR_E_ARGUMENT, "unknown command '%s': did you mean '%s'? `jobctl --help` lists the commands", name,
                         near.best);
    return weir_fail(diag, WEIR_E_ARGUMENT, "unknown command '%s': `jobctl --help` lists the commands", name);
}

static error_t parse_program(int key, char *arg, struct argp_state *state)
{
    struct parse *p = state->input;
    if (key == ARGP_KEY_INIT) {
        state->child_inputs[0] = p;
        return 0;
    }
    if (key != ARGP_KEY_ARG) return ARGP_ERR_UNKNOWN;
    if (p->stop) return 0;
    if (find_command(arg, &p->args.command, p->diag)) return refuse(p);
    p->syntax = &commands[p->args.command];
    p->command_at = state->next - 1;
    state->next = state->argc; /* the rest is parsed with the command's own table */
    return 0;
}

/* ---- what is wrong with an option ---- */

static const char *nearest_option(const struct argp_option *own, const char *typed)
{
    struct nearest near = {.word = typed};
    for (; own->name; own++) nearest_offer(&near, own->name);
    for (const struct argp_option *o = global_options; o->name; o++) nearest_offer(&near, o->name);
    return near.best;
}

static weir_err explain_known(const struct argp_option *o, struct weir_diag *diag)
{
    if (!o->arg) return weir_fail(diag, WEIR_E_ARGUMENT, "option --%s takes no value", o->name);
    return weir_fail(diag, WEIR_E_ARGUMENT, "option --%s needs a value: --%s %s", o->name, o->name, o->arg);
}

static weir_err explain_long(const struct argp_option *own, const char *typed, const char *where, struct weir_diag *diag)
{
    size_t len = strcspn(typed, "=");
    const struct argp_option *known = find_option(own, typed, len);
    if (!known) known = find_option(global_options, typed, len);
    if (known) return explain_known(known, diag);
    char word[NEAREST_WORD_MAX + 1];
    snprintf(word, sizeof word, "%.*s", (int)(len < NEAREST_WORD_MAX ? len : NEAREST_WORD_MAX), typed);
    const char *near = nearest_option(own, word);
    if (near)
        return weir_fail(diag, WEIR_E_ARGUMENT, "unknown option '--%s': did you mean '--%s'? `%s --help` lists the options", word, near,
                         where);
    bool of_run = find_option(run_options, typed, len) != NULL;
    if (of_run) return weir_fail(diag, WEIR_E_ARGUMENT, "option '--%s' belongs to `jobctl run`: write it behind `run`", word);
    return weir_fail(diag, WEIR_E_ARGUMENT, "unknown option '--%s': `%s --help` lists the options", word, where);
}

/* argp tells only that some option is bad; it stands just before (or, in a bunch of letters, at) the place where parsing ended. */
static weir_err explain_bad_option(const struct parse *p, int argc, char **argv)
{
    const struct argp_option *own = p->syntax ? p->syntax->options : no_options;
    char where[64] = "jobctl";
    if (p->syntax) snprintf(where, sizeof where, "jobctl %s", p->syntax->name);
    int at = p->bad_at - 1;
    if (at < 1 || argv[at][0] != '-') at = p->bad_at;
    if (at < 1 || at >= argc) return weir_fail(p->diag, WEIR_E_ARGUMENT, "wrong use: see `%s --help`", where);
    const char *typed = argv[at];
    if (strncmp(typed, "--", 2) == 0) return explain_long(own, typed + 2, where, p->diag);
    const struct argp_option *known = find_letter(own, typed[1]);
    if (!known) known = find_letter(global_options, typed[1]);
    if (known && typed[2] == '\0') return explain_known(known, p->diag);
    return weir_fail(p->diag, WEIR_E_ARGUMENT, "unknown option '%s': `%s --help` lists the options", typed, where);
}

/* ---- what does not fit together ---- */

static weir_err check_local(const struct ctl_arguments *a, struct weir_diag *diag)
{
    if (!a->local && a->taskmanagers) {
        return weir_fail(diag, WEIR_E_ARGUMENT, "--taskmanagers says how large a local cluster is: add --local, or leave it out");
    }
    if (!a->local && a->slots)
        return weir_fail(diag, WEIR_E_ARGUMENT, "--slots says how large a local cluster is: add --local, or leave it out");
    for (uint32_t i = 0; !a->local && i < a->n_definitions; i++) {
        if (arguments_is_job_option(a->definitions[i])) continue;
        return weir_fail(
            diag, WEIR_E_ARGUMENT,
            "-D %s configures a local cluster: add --local, or configure the daemons of the cluster that is there; options of a job "
            "begin with execution., state. or restart-strategy.",
            a->definitions[i]);
    }
    if (!a->local) return WEIR_OK;
    if (a->jobmanager_given) {
        return weir_fail(diag, WEIR_E_ARGUMENT,
                         "--local starts a JobManager of its own, so --jobmanager does not fit: leave out one of them");
    }
    if (a->detached) {
        return weir_fail(
            diag, WEIR_E_ARGUMENT,
            "--detached does not fit --local, because the local cluster ends with jobctl: leave out one of them, or use a JobManager "
            "that stays");
    }
    uint64_t there = (uint64_t)arguments_taskmanagers(a) * arguments_slots(a);
    if (arguments_slots(a) > WEIR_SLOTS_MAX || there < a->parallelism) {
        return weir_fail(diag, WEIR_E_ARGUMENT,
                         "parallelism %u needs %u slots, and %u TaskManagers with at most %u slots each have %" PRIu64
                         ": raise --slots or --taskmanagers, or lower --parallelism",
                         a->parallelism, a->parallelism, arguments_taskmanagers(a), a->slots ? a->slots : WEIR_SLOTS_MAX, there);
    }
    return WEIR_OK;
}

static weir_err check_job_args(const struct ctl_arguments *a, struct weir_diag *diag)
{
    if (a->n_job_args > WEIR_ARGS_MAX - 1) { /* the job's name is its first argument */
        return weir_fail(diag, WEIR_E_ARGUMENT, "%d arguments for the job are more than %d: put them in a file the job reads",
                         a->n_job_args, WEIR_ARGS_MAX - 1);
    }
    size_t bytes = 0;
    for (int i = 0; i < a->n_job_args; i++) bytes += strlen(a->job_args[i]) + 1;
    if (bytes > WEIR_ARG_BYTES_MAX) {
        return weir_fail(diag, WEIR_E_ARGUMENT, "the job's arguments have %zu bytes, more than %d: put them in a file the job reads", bytes,
                         WEIR_ARG_BYTES_MAX);
    }
    return WEIR_OK;
}

static weir_err check_plan(const struct ctl_arguments *a, struct weir_diag *diag)
{
    if (a->dot && a->format == CTL_JSON) return weir_fail(diag, WEIR_E_ARGUMENT, "--dot is a form of its own: leave out it or -o json");
    if (a->n_job_args && !arguments_is_plugin(a->subject)) {
        return weir_fail(diag, WEIR_E_ARGUMENT,
                         "'%s' is a job's id or name, and its arguments are known: name the plugin, a .so file, to plan it with others",
                         a->subject);
    }
    return check_job_args(a, diag);
}

static weir_err check_run(const struct ctl_arguments *a, struct weir_diag *diag)
{
    weir_err err = check_job_args(a, diag);
    if (err) return err;
    if (a->name && (a->name[0] == '\0' || strlen(a->name) > WEIR_NAME_MAX)) {
        return weir_fail(diag, WEIR_E_ARGUMENT, "--name takes 1 to %d bytes, not %zu", WEIR_NAME_MAX, strlen(a->name));
    }
    if (!a->from && (a->claim_given || a->unmatched))
        return weir_fail(diag, WEIR_E_ARGUMENT, "--%s is about the savepoint the job begins with: add --from PATH, or leave it out",
                         a->unmatched ? "allow-unmatched" : "claim");
    if (a->from && !*a->from) return weir_fail(diag, WEIR_E_ARGUMENT, "--from takes the folder of a savepoint or checkpoint");
    return check_local(a, diag);
}

static weir_err check_target(struct parse *p)
{
    p->args.target = p->n_operands > 1 ? p->operands[1] : NULL;
    if (!p->args.target || *p->args.target) return WEIR_OK;
    return weir_fail(p->diag, WEIR_E_ARGUMENT, "the savepoint's folder is empty: name one, or leave it out");
}

static weir_err check_rescale(const struct ctl_arguments *a, struct weir_diag *diag)
{
    if (a->parallelism_given) return WEIR_OK;
    return weir_fail(diag, WEIR_E_ARGUMENT, "`jobctl rescale` needs the new parallelism: `jobctl rescale %s --parallelism N`", a->subject);
}

static weir_err check_plugins(struct parse *p)
{
    p->args.subject = NULL;
    if (p->n_operands == 0) return WEIR_OK;
    const char *verb = p->operands[0];
    if (strcmp(verb, "list") == 0 && p->n_operands == 1) return WEIR_OK;
    if (strcmp(verb, "rm") != 0) {
        return weir_fail(p->diag, WEIR_E_ARGUMENT, "cannot '%s%s%s' plugins: the use is `jobctl plugins [list | rm PLUGIN]`", verb,
                         p->n_operands == 2 ? " " : "", p->n_operands == 2 ? p->operands[1] : "");
    }
    if (p->n_operands == 1)
        return weir_fail(p->diag, WEIR_E_ARGUMENT,
                         "which plugin? `jobctl plugins list` shows their digests; then `jobctl plugins rm PLUGIN`");
    p->args.remove = true;
    p->args.subject = p->operands[1];
    return WEIR_OK;
}

static weir_err check_state(struct parse *p)
{
    static const char *const verbs[] = {"ls", "scan", "get"}; /* with 2, 3 and 4 operands */
    unsigned i = p->n_operands ? 0 : 3;
    while (i < 3 && strcmp(p->operands[0], verbs[i]) != 0) i++;
    if (i == 3 || p->n_operands != i + 2) return weir_fail(p->diag, WEIR_E_ARGUMENT, "the use is `jobctl state %s`", p->syntax->operands);
    p->args.subject = p->operands[1];
    if (i >= 1) p->args.state = p->operands[2];
    if (i == 2) p->args.key = p->operands[3];
    if (i >= 1 && (!strchr(p->args.state, '/') || strchr(p->args.state, '/') - p->args.state > WEIR_NAME_MAX))
        return weir_fail(p->diag, WEIR_E_ARGUMENT, "'%s' names no state: it is OPERATOR/STATE, as `jobctl state ls %s` lists them",
                         p->args.state, p->args.subject);
    if (i == 0 && p->args.limit) return weir_fail(p->diag, WEIR_E_ARGUMENT, "--limit is for scan and get");
    return WEIR_OK;
}

static weir_err check_operands(struct parse *p)
{
    const struct syntax *s = p->syntax;
    if (p->n_operands < s->operands_min) {
        return weir_fail(p->diag, WEIR_E_ARGUMENT, "`jobctl %s` needs %.*s: `jobctl %s %s`", s->name, (int)strcspn(s->operands, " "),
                         s->operands, s->name, s->operands);
    }
    p->args.subject = p->n_operands ? p->operands[0] : NULL;
    switch (p->args.command) {
    case CTL_RUN: return check_run(&p->args, p->diag);
    case CTL_PLAN: return check_plan(&p->args, p->diag);
    case CTL_PLUGINS: return check_plugins(p);
    case CTL_SAVEPOINT:
    case CTL_STOP: return check_target(p);
    case CTL_RESCALE: return check_rescale(&p->args, p->diag);
    case CTL_STATE: return check_state(p);
    case CTL_CERT: return cert_check(&p->args, p->operands, p->n_operands, p->diag);
    case CTL_CONFIG: return config_check(&p->args, p->operands, p->n_operands, p->diag);
    case CTL_COORD:
    case CTL_QUORUM: return coord_check(&p->args, p->operands, p->n_operands, p->diag);
    case CTL_HELP: return p->args.subject ? find_command(p->args.subject, &p->args.help_on, p->diag) : WEIR_OK;
    case CTL_COMPLETION:
        if (strcmp(p->args.subject, "bash") == 0) return WEIR_OK;
        return weir_fail(p->diag, WEIR_E_ARGUMENT, "no completion for '%s': `jobctl completion bash` is there", p->args.subject);
    default: return WEIR_OK;
    }
}

/* ---- the two passes ---- */

static const struct argp global_argp = {global_options, parse_global, NULL, NULL, NULL, NULL, NULL};
static const struct argp_child program_children[] = {{&global_argp, 0, "Options:", 1}, {0}};
static const struct argp_child command_children[] = {{&global_argp, 0, "Global options:", 1}, {0}};
static const unsigned quiet = ARGP_IN_ORDER | ARGP_NO_EXIT | ARGP_NO_ERRS | ARGP_NO_HELP;

static weir_err run_pass(struct parse *p, const struct argp *argp, int argc, char **argv)
{
    p->diag->text[0] = '\0';
    error_t failed = argp_parse(argp, argc, argv, quiet, NULL, p);
    if (!failed || p->stop) return WEIR_OK;
    if (failed == ENOMEM) return weir_fail(p->diag, WEIR_E_NOMEM, "out of memory");
    if (p->diag->text[0]) return WEIR_E_ARGUMENT; /* a parser has said what is wrong */
    return explain_bad_option(p, argc, argv);
}

static const char *or_environment(const char *given, const char *variable)
{
    const char *value = given ? given : getenv(variable);
    return value && *value ? value : NULL;
}

static weir_err use_keys(struct ctl_arguments *args, struct weir_diag *diag)
{
    args->key_file = or_environment(args->key_file, CTL_KEY_ENV);
    args->known_keys = or_environment(args->known_keys, CTL_KNOWN_KEYS_ENV);
    if (!args->key_file == !args->known_keys) return WEIR_OK;
    return weir_fail(diag, WEIR_E_ARGUMENT, "%s is given and %s is not: a key needs the keys of the JobManagers, give both or none",
                     args->key_file ? "--key ($" CTL_KEY_ENV ")" : "--known-keys ($" CTL_KNOWN_KEYS_ENV ")",
                     args->key_file ? "--known-keys ($" CTL_KNOWN_KEYS_ENV ")" : "--key ($" CTL_KEY_ENV ")");
}

bool arguments_need_keys(const struct ctl_arguments *args)
{
    switch (args->command) {
    case CTL_STATE:
    case CTL_CERT:
    case CTL_VERSION:
    case CTL_COMPLETION:
    case CTL_HELP: return false;
    case CTL_PLAN: return args->jobmanager_named || !arguments_is_plugin(args->subject);
    default: return !args->local;
    }
}

static weir_err use_environment(struct ctl_arguments *args, const char *environment, struct weir_diag *diag)
{
    if (args->jobmanager) {
        args->jobmanager_named = true;
        return check_endpoint(args->jobmanager, args->key_file, "option --jobmanager", diag);
    }
    bool set = environment && *environment;
    args->jobmanager_named = set;
    args->jobmanager = set ? environment : CTL_JOBMANAGER_DEFAULT;
    return set && !args->local ? check_endpoint(environment, args->key_file, "from " CTL_JOBMANAGER_ENV, diag) : WEIR_OK;
}

weir_err arguments_parse(struct ctl_arguments *out, int argc, char **argv, const char *environment, struct weir_diag *diag)
{
    struct weir_diag unread;
    struct parse p = {.diag = diag ? diag : &unread, .command_at = -1};
    p.args = (struct ctl_arguments){
        .command = CTL_HELP, .help_on = CTL_COMMANDS, .timeout_ms = CTL_TIMEOUT_MS_DEFAULT, .parallelism = 1, .version = -1};
    const struct argp program = {NULL, parse_program, NULL, NULL, program_children, NULL, NULL};
    weir_err err = run_pass(&p, &program, argc, argv);
    if (err) return err;
    if (!p.stop && p.command_at < 0) {
        return weir_fail(p.diag, WEIR_E_ARGUMENT,
                         "no command given: `jobctl --help` lists the commands; `jobctl run --local JOB.so` runs a job here");
    }
    if (!p.stop) {
        const struct argp command = {argp_options(p.syntax->options), parse_command_option, NULL, NULL, command_children, NULL, NULL};
        err = run_pass(&p, &command, argc - p.command_at, argv + p.command_at);
        if (!err && !p.stop) err = check_operands(&p);
        if (!err && !p.stop) err = use_keys(&p.args, p.diag);
        if (!err && !p.stop) err = use_environment(&p.args, environment, p.diag);
        if (err) return err;
    }
    *out = p.args;
    return WEIR_OK;
}

bool arguments_is_job_option(const char *definition)
{
    static const char *const sections[] = {"execution.", "state.", "restart-strategy."};
    for (size_t i = 0; i < sizeof sections / sizeof *sections; i++)
        if (strncmp(definition, sections[i], strlen(sections[i])) == 0) return true;
    return false;
}

bool arguments_is_plugin(const char *subject)
{
    size_t len = strlen(subject);
    return strchr(subject, '/') || (len > 3 && strcmp(subject + len - 3, ".so") == 0);
}

uint32_t arguments_taskmanagers(const struct ctl_arguments *args)
{
    return args->taskmanagers ? args->taskmanagers : CTL_LOCAL_TASKMANAGERS_DEFAULT;
}

uint32_t arguments_slots(const struct ctl_arguments *args)
{
    uint32_t n = arguments_taskmanagers(args);
    return args->slots ? args->slots : (args->parallelism + n - 1) / n;
}

/* ---- help ---- */

static void help_on_program(FILE *out)
{
    struct buffer doc = {.limit = 16384};
    buffer_str(&doc, "Submits, shows and ends jobs of a Weir cluster.\n\nCommands:\n");
    for (enum ctl_command i = 0; i < CTL_COMMANDS; i++) buffer_printf(&doc, "  %-14s %s\n", commands[i].name, commands[i].summary);
    buffer_str(&doc, "\v`jobctl COMMAND --help` explains a command. The first steps:\n"
                     "  jobctl run --local JOB.so          with a cluster of its own, here\n"
                     "  jobctl -m tcp://HOST:8081 status   of a cluster that is there");
    const struct argp program = {NULL, parse_program, "COMMAND [ARGUMENT...]", buffer_cstr(&doc), program_children, NULL, NULL};
    char name[] = "jobctl";
    argp_help(&program, out, ARGP_HELP_SHORT_USAGE | ARGP_HELP_LONG | ARGP_HELP_DOC, name);
    buffer_close(&doc);
}

void arguments_help(enum ctl_command command, FILE *out)
{
    (void)setenv("ARGP_HELP_FMT", "no-dup-args-note", 0); /* that a letter takes what its long form takes needs no paragraph */
    if (command >= CTL_COMMANDS) {
        help_on_program(out);
        return;
    }
    const struct syntax *s = &commands[command];
    const struct argp argp = {argp_options(s->options), parse_command_option, s->operands, s->doc, command_children, NULL, NULL};
    char name[64];
    snprintf(name, sizeof name, "jobctl %s", s->name);
    argp_help(&argp, out, ARGP_HELP_SHORT_USAGE | ARGP_HELP_LONG | ARGP_HELP_DOC, name);
}

/* ---- completion ---- */

static void print_option_words(const struct argp_option *options, FILE *out)
{
    for (; options->name; options++) fprintf(out, " --%s", options->name);
}

void arguments_completion(FILE *out)
{
    fputs("# bash completion of jobctl, printed by `jobctl completion bash`\n_jobctl()\n{\n"
          "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} command= word words\n"
          "    for word in \"${COMP_WORDS[@]:1:COMP_CWORD-1}\"; do\n"
          "        [[ $word == -- ]] && { COMPREPLY=($(compgen -f -- \"$cur\")); return; }\n"
          "        case $word in\n        ",
          out);
    for (enum ctl_command i = 0; i < CTL_COMMANDS; i++) fprintf(out, "%s%s", i ? "|" : "", commands[i].name);
    fputs(") command=${command:-$word} ;;\n        esac\n    done\n"
          "    [[ $prev == -o || $prev == --output ]] && { COMPREPLY=($(compgen -W 'table json' -- \"$cur\")); return; }\n"
          "    words='",
          out);
    print_option_words(global_options, out);
    fputs("'\n    case $command in\n    '') words+='", out);
    for (enum ctl_command i = 0; i < CTL_COMMANDS; i++) fprintf(out, " %s", commands[i].name);
    fputs("' ;;\n    run) words+='", out);
    print_option_words(run_options, out);
    fputs("' ;;\n    plan) words+='", out);
    print_option_words(plan_options, out);
    fputs("' ;;\n    plugins) words+=' list rm' ;;\n    state) words+=' ls scan get --limit' ;;\n    completion) words+=' bash' ;;\n    "
          "esac\n"
          "    COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
          "    [[ ( $command == run || $command == plan ) && $cur != -* ]] && COMPREPLY+=($(compgen -f -X '!*.so' -- \"$cur\") $(compgen "
          "-d -- \"$cur\"))\n"
          "}\ncomplete -o filenames -F _jobctl jobctl\n",
          out);
}
