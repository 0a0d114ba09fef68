/* SPDX-License-Identifier: Apache-2.0 */
/* Help and completion, from the tables. */
#include <stdlib.h>

#include "api/jobctl/arguments_internal.h"
#include "runtime/base/buffer.h"

/* Without parsers: nothing is parsed here. */
static const struct argp global_help = {ctl_global_options, NULL, NULL, NULL, NULL, NULL, NULL};
static const struct argp_child program_children[] = {{&global_help, 0, "Options:", 1}, {0}};
static const struct argp_child command_children[] = {{&global_help, 0, "Global options:", 1}, {0}};

static void help_on_program(FILE *out)
{
    struct buffer doc = {.limit = 16384};
    buffer_str(&doc, "Submits, shows and ends jobs of a Weir cluster.\n\nCommands:\n");
    for (enum ctl_command i = 0; i < CTL_COMMANDS; i++) buffer_printf(&doc, "  %-14s %s\n", ctl_syntax[i].name, ctl_syntax[i].summary);
    buffer_str(&doc, "\v`jobctl COMMAND --help` explains a command. The first steps:\n"
                     "  jobctl run --local JOB.so          with a cluster of its own, here\n"
                     "  jobctl -m tcp://HOST:8081 status   of a cluster that is there");
    const struct argp program = {NULL, NULL, "COMMAND [ARGUMENT...]", buffer_cstr(&doc), program_children, NULL, NULL};
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
    const struct syntax *s = &ctl_syntax[command];
    const struct argp argp = {ctl_argp_options(s->options), NULL, s->operands, s->doc, command_children, NULL, NULL};
    char name[64];
    snprintf(name, sizeof name, "jobctl %s", s->name);
    argp_help(&argp, out, ARGP_HELP_SHORT_USAGE | ARGP_HELP_LONG | ARGP_HELP_DOC, name);
}

/* ---- completion ---- */

/* What a command's first word may be, where that is one of a few. */
static const char *const verbs[CTL_COMMANDS] = {
    [CTL_PLUGINS] = "list rm",   [CTL_STATE] = "ls scan get", [CTL_COORD] = "ls get set create rm stat watch acl lock members",
    [CTL_QUORUM] = "add remove", [CTL_CERT] = "new",          [CTL_CONFIG] = "list get set unset",
    [CTL_COMPLETION] = "bash",
};

static void print_command_words(const char *separator, FILE *out)
{
    for (enum ctl_command i = 0; i < CTL_COMMANDS; i++) fprintf(out, "%s%s", i ? separator : "", ctl_syntax[i].name);
}

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
    print_command_words("|", out);
    fputs(") command=${command:-$word} ;;\n        esac\n    done\n"
          "    [[ $prev == -o || $prev == --output ]] && { COMPREPLY=($(compgen -W 'table json' -- \"$cur\")); return; }\n"
          "    words='",
          out);
    print_option_words(ctl_global_options, out);
    fputs("'\n    case $command in\n    ''|help) words+=' ", out);
    print_command_words(" ", out);
    fputs("' ;;\n", out);
    for (enum ctl_command i = 0; i < CTL_COMMANDS; i++) {
        if (!verbs[i] && !ctl_syntax[i].options->name) continue;
        fprintf(out, "    %s) words+=' %s", ctl_syntax[i].name, verbs[i] ? verbs[i] : "");
        print_option_words(ctl_syntax[i].options, out);
        fputs("' ;;\n", out);
    }
    fputs("    esac\n"
          "    COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
          "    [[ ( $command == run || $command == plan ) && $cur != -* ]] && COMPREPLY+=($(compgen -f -X '!*.so' -- \"$cur\") $(compgen "
          "-d -- \"$cur\"))\n"
          "}\ncomplete -o filenames -F _jobctl jobctl\n",
          out);
}
