/* SPDX-License-Identifier: Apache-2.0 */
/* What does not fit together. */
#include <inttypes.h>
#include <string.h>

#include "api/jobctl/arguments_internal.h"
#include "api/jobctl/cert.h"
#include "api/jobctl/config.h"
#include "api/jobctl/coord.h"
#include "runtime/base/limits.h"
#include "weir/stream.h"

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

weir_err arguments_check(struct parse *p)
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
    case CTL_HELP: return p->args.subject ? ctl_find_command(p->args.subject, &p->args.help_on, p->diag) : WEIR_OK;
    case CTL_COMPLETION:
        if (strcmp(p->args.subject, "bash") == 0) return WEIR_OK;
        return weir_fail(p->diag, WEIR_E_ARGUMENT, "no completion for '%s': `jobctl completion bash` is there", p->args.subject);
    default: return WEIR_OK;
    }
}
