/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parsing happens twice with argp: once up to the command's name, once from there on with the command's own table. argp's messages, exits
 * and help options are switched off, so that every refusal is a sentence of ours in a weir_diag and a test can read it.
 */
#include "api/jobctl/arguments.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "api/jobctl/arguments_internal.h"
#include "runtime/base/limits.h"
#include "runtime/base/nearest.h"
#include "runtime/net/socket.h"
#include "weir/stream.h"

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

static error_t parse_program(int key, char *arg, struct argp_state *state)
{
    struct parse *p = state->input;
    if (key == ARGP_KEY_INIT) {
        state->child_inputs[0] = p;
        return 0;
    }
    if (key != ARGP_KEY_ARG) return ARGP_ERR_UNKNOWN;
    if (p->stop) return 0;
    if (ctl_find_command(arg, &p->args.command, p->diag)) return refuse(p);
    p->syntax = &ctl_syntax[p->args.command];
    p->command_at = state->next - 1;
    state->next = state->argc; /* the rest is parsed with the command's own table */
    return 0;
}

/* ---- what is wrong with an option ---- */

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

static const char *nearest_option(const struct argp_option *own, const char *typed)
{
    struct nearest near = {.word = typed};
    for (; own->name; own++) nearest_offer(&near, own->name);
    for (const struct argp_option *o = ctl_global_options; o->name; o++) nearest_offer(&near, o->name);
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
    if (!known) known = find_option(ctl_global_options, typed, len);
    if (known) return explain_known(known, diag);
    char word[NEAREST_WORD_MAX + 1];
    snprintf(word, sizeof word, "%.*s", (int)(len < NEAREST_WORD_MAX ? len : NEAREST_WORD_MAX), typed);
    const char *near = nearest_option(own, word);
    if (near)
        return weir_fail(diag, WEIR_E_ARGUMENT, "unknown option '--%s': did you mean '--%s'? `%s --help` lists the options", word, near,
                         where);
    bool of_run = find_option(ctl_run_options, typed, len) != NULL;
    if (of_run) return weir_fail(diag, WEIR_E_ARGUMENT, "option '--%s' belongs to `jobctl run`: write it behind `run`", word);
    return weir_fail(diag, WEIR_E_ARGUMENT, "unknown option '--%s': `%s --help` lists the options", word, where);
}

/* argp tells only that some option is bad; it stands just before (or, in a bunch of letters, at) the place where parsing ended. */
static weir_err explain_bad_option(const struct parse *p, int argc, char **argv)
{
    const struct argp_option *own = p->syntax ? p->syntax->options : ctl_global_options;
    char where[64] = "jobctl";
    if (p->syntax) snprintf(where, sizeof where, "jobctl %s", p->syntax->name);
    int at = p->bad_at - 1;
    if (at < 1 || argv[at][0] != '-') at = p->bad_at;
    if (at < 1 || at >= argc) return weir_fail(p->diag, WEIR_E_ARGUMENT, "wrong use: see `%s --help`", where);
    const char *typed = argv[at];
    if (strncmp(typed, "--", 2) == 0) return explain_long(own, typed + 2, where, p->diag);
    const struct argp_option *known = find_letter(own, typed[1]);
    if (!known) known = find_letter(ctl_global_options, typed[1]);
    if (known && typed[2] == '\0') return explain_known(known, p->diag);
    return weir_fail(p->diag, WEIR_E_ARGUMENT, "unknown option '%s': `%s --help` lists the options", typed, where);
}

/* ---- the two passes ---- */

static const struct argp global_argp = {ctl_global_options, parse_global, NULL, NULL, NULL, NULL, NULL};
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
        const struct argp command = {ctl_argp_options(p.syntax->options), parse_command_option, NULL, NULL, command_children, NULL, NULL};
        err = run_pass(&p, &command, argc - p.command_at, argv + p.command_at);
        if (!err && !p.stop) err = arguments_check(&p);
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
