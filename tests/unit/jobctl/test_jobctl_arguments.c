/* SPDX-License-Identifier: Apache-2.0 */
/* jobctl's command line: what is understood, what is refused and in which words, help and hints from the tables. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/jobctl/arguments.h"
#include <stdlib.h>
#include <string.h>

enum { WORDS_MAX = 400 };

/* Splits a line at single spaces and parses it. */
static weir_err parse_with(struct ctl_arguments *out, const char *line, const char *environment, struct weir_diag *diag)
{
    static char text[4096];
    static char *argv[WORDS_MAX + 1];
    int argc = 0;
    snprintf(text, sizeof text, "%s", line);
    for (char *word = strtok(text, " "); word && argc < WORDS_MAX; word = strtok(NULL, " ")) argv[argc++] = word;
    argv[argc] = NULL;
    return arguments_parse(out, argc, argv, environment, diag);
}

static struct ctl_arguments parse(const char *line)
{
    struct ctl_arguments args = {0};
    struct weir_diag diag = {0};
    if (parse_with(&args, line, NULL, &diag)) fail_msg("%s: %s", line, diag.text);
    return args;
}

/* Wrong use, whose sentence contains `words`; the output stays untouched. */
static void refused(const char *line, const char *words)
{
    struct ctl_arguments args;
    memset(&args, 0x5a, sizeof args);
    struct weir_diag diag = {0};
    if (parse_with(&args, line, NULL, &diag) != WEIR_E_ARGUMENT) fail_msg("'%s' was accepted", line);
    if (!strstr(diag.text, words)) fail_msg("'%s' says: %s", line, diag.text);
    assert_int_equal(((const unsigned char *)&args)[0], 0x5a);
}

static void a_run_with_everything(void **state)
{
    (void)state;
    struct ctl_arguments a =
        parse("jobctl run --local --taskmanagers 2 --slots 3 --parallelism 6 --name n --progress-timeout 500 --timeout 2.5 "
              "-o json --no-progress job.so -- --input f -h");
    assert_int_equal(a.command, CTL_RUN);
    assert_true(a.local);
    assert_int_equal(arguments_taskmanagers(&a), 2);
    assert_int_equal(arguments_slots(&a), 3);
    assert_int_equal(a.parallelism, 6);
    assert_string_equal(a.name, "n");
    assert_int_equal(a.progress_timeout_ms, 500);
    assert_int_equal(a.timeout_ms, 2500);
    assert_int_equal(a.format, CTL_JSON);
    assert_true(a.no_progress);
    assert_string_equal(a.subject, "job.so");
    assert_int_equal(a.n_job_args, 3); /* the -h is the job's */
    assert_string_equal(a.job_args[0], "--input");
    assert_string_equal(a.job_args[2], "-h");
}

static void definitions_configure_a_local_cluster(void **state)
{
    (void)state;
    struct ctl_arguments a =
        parse("jobctl run --local -D log.level=debug j.so -Dtaskmanager.state.dir=/a=b --define jobmanager.x= -- -D c");
    assert_int_equal(a.n_definitions, 3);
    assert_string_equal(a.definitions[0], "log.level=debug");
    assert_string_equal(a.definitions[1], "taskmanager.state.dir=/a=b");
    assert_string_equal(a.definitions[2], "jobmanager.x=");
    assert_int_equal(a.n_job_args, 2);
    refused("jobctl run --local -D log.level j.so", "takes KEY=VALUE");
    refused("jobctl run --local -D =x j.so", "takes KEY=VALUE");
    refused("jobctl run --local -D taskmanager.slots=4 j.so", "sets taskmanager.slots itself: use --slots");
    refused("jobctl run --local -D jobmanager.admin=ipc:///tmp/a j.so", "sets jobmanager.admin itself");
    char line[CTL_DEFINITIONS_MAX * 8 + 64] = "jobctl run --local j.so";
    for (int i = 0; i < CTL_DEFINITIONS_MAX; i++) strcat(line, " -D a.b=");
    assert_int_equal(parse(line).n_definitions, CTL_DEFINITIONS_MAX);
    strcat(line, " -D a.b=");
    refused(line, "-D config.file=FILE");
}

static void a_plan_is_of_a_job_or_of_a_plugin(void **state)
{
    (void)state;
    struct ctl_arguments a = parse("jobctl plan -p 4 --dot job.so -- --input f");
    assert_int_equal(a.command, CTL_PLAN);
    assert_int_equal(a.parallelism, 4);
    assert_true(a.dot && !a.jobmanager_named);
    assert_int_equal(a.n_job_args, 2);
    assert_true(arguments_is_plugin("job.so") && arguments_is_plugin("./job") && arguments_is_plugin("/x/y"));
    assert_false(arguments_is_plugin(".so") || arguments_is_plugin("4f2a0c81") || arguments_is_plugin("nightly.sort"));
    assert_true(parse("jobctl plan -m ipc:///a job.so").jobmanager_named);
    struct weir_diag diag;
    assert_int_equal(parse_with(&a, "jobctl plan job.so", "ipc:///a", &diag), WEIR_OK);
    assert_true(a.jobmanager_named);
    refused("jobctl plan nightly -- --input f", "name the plugin, a .so file");
    refused("jobctl plan --dot -o json j.so", "leave out it or -o json");
    refused("jobctl plan j.so x", "as in `jobctl plan j.so -- x`");
    refused("jobctl plan --local j.so", "'--local' belongs to `jobctl run`");
    refused("jobctl plan", "`jobctl plan` needs JOB");
}

static void the_least_that_runs(void **state)
{
    (void)state;
    struct ctl_arguments a = parse("jobctl run job.so");
    assert_int_equal(a.parallelism, 1);
    assert_int_equal(a.timeout_ms, 10000);
    assert_int_equal(a.format, CTL_TABLE);
    assert_int_equal(a.n_job_args, 0);
    assert_string_equal(a.jobmanager, "tcp://127.0.0.1:8081");
    assert_false(a.local || a.detached || a.no_progress);
    assert_int_equal(parse("jobctl run job.so --").n_job_args, 0);
}

static void global_options_stand_anywhere(void **state)
{
    (void)state;
    struct ctl_arguments a = parse("jobctl -m tcp://127.0.0.1:9 --timeout=1 list -o json");
    assert_int_equal(a.command, CTL_LIST);
    assert_string_equal(a.jobmanager, "tcp://127.0.0.1:9");
    assert_int_equal(a.timeout_ms, 1000);
    assert_int_equal(a.format, CTL_JSON);
    a = parse("jobctl show -m ipc:///run/weir job1");
    assert_string_equal(a.jobmanager, "ipc:///run/weir");
    assert_string_equal(a.subject, "job1");
}

static void options_may_follow_the_plugin(void **state)
{
    (void)state;
    struct ctl_arguments a = parse("jobctl run job.so -p 4 -d -- x");
    assert_int_equal(a.parallelism, 4);
    assert_true(a.detached);
    assert_int_equal(a.n_job_args, 1);
}

static void the_environment_names_the_jobmanager_unless_an_option_does(void **state)
{
    (void)state;
    struct ctl_arguments a;
    struct weir_diag diag;
    assert_int_equal(parse_with(&a, "jobctl list", "ipc:///run/a", &diag), WEIR_OK);
    assert_string_equal(a.jobmanager, "ipc:///run/a");
    assert_int_equal(parse_with(&a, "jobctl list -m ipc:///run/b", "ipc:///run/a", &diag), WEIR_OK);
    assert_string_equal(a.jobmanager, "ipc:///run/b");
    assert_int_equal(parse_with(&a, "jobctl list", "", &diag), WEIR_OK);
    assert_string_equal(a.jobmanager, CTL_JOBMANAGER_DEFAULT);
    assert_int_equal(parse_with(&a, "jobctl list", "nonsense", &diag), WEIR_E_ARGUMENT);
    assert_non_null(strstr(diag.text, CTL_JOBMANAGER_ENV));
    assert_int_equal(parse_with(&a, "jobctl run --local j.so", "nonsense", &diag), WEIR_OK); /* not used, so not in the way */
}

static void slots_are_enough_for_the_parallelism(void **state)
{
    (void)state;
    struct ctl_arguments a = parse("jobctl run --local --taskmanagers 3 -p 7 j.so");
    assert_int_equal(arguments_slots(&a), 3);
    a = parse("jobctl run --local -p 5 j.so");
    assert_int_equal(arguments_taskmanagers(&a), 1);
    assert_int_equal(arguments_slots(&a), 5);
    refused("jobctl run --local --taskmanagers 2 --slots 1 -p 3 j.so", "needs 3 slots");
    refused("jobctl run --local -p 1000 j.so", "raise --slots or --taskmanagers");
}

static void config_has_four_verbs(void **state)
{
    (void)state;
    assert_string_equal(parse("jobctl config").verb, "list");
    assert_string_equal(parse("jobctl config get log.level").key, "log.level");
    struct ctl_arguments a = parse("jobctl config set --job nightly job.rate 5");
    assert_string_equal(a.verb, "set");
    assert_string_equal(a.job, "nightly");
    assert_string_equal(a.key, "job.rate");
    assert_string_equal(a.value, "5");
    assert_null(parse("jobctl config unset log.level").value);
    refused("jobctl config set log.level", "set KEY VALUE");
    refused("jobctl config list log.level", "set KEY VALUE");
    refused("jobctl config burn", "set KEY VALUE");
}

static void plugins_has_two_verbs(void **state)
{
    (void)state;
    assert_false(parse("jobctl plugins").remove);
    assert_false(parse("jobctl plugins list").remove);
    struct ctl_arguments a = parse("jobctl plugins rm abcd");
    assert_true(a.remove);
    assert_string_equal(a.subject, "abcd");
    refused("jobctl plugins rm", "which plugin?");
    refused("jobctl plugins burn abcd", "[list | rm PLUGIN]");
    refused("jobctl plugins list abcd", "[list | rm PLUGIN]");
}

static void help_and_version_win_over_everything(void **state)
{
    (void)state;
    assert_int_equal(parse("jobctl -h").command, CTL_HELP);
    assert_int_equal(parse("jobctl --help").help_on, CTL_COMMANDS);
    assert_int_equal(parse("jobctl run --help").help_on, CTL_RUN);
    assert_int_equal(parse("jobctl show -h --nonsense").help_on, CTL_SHOW);
    assert_int_equal(parse("jobctl help cancel").help_on, CTL_CANCEL);
    assert_int_equal(parse("jobctl help").help_on, CTL_COMMANDS);
    assert_int_equal(parse("jobctl --version").command, CTL_VERSION);
    assert_int_equal(parse("jobctl version").command, CTL_VERSION);
}

static void wrong_use_is_explained(void **state)
{
    (void)state;
    refused("jobctl", "no command given");
    refused("jobctl lsit", "did you mean 'list'?");
    refused("jobctl canel x", "did you mean 'cancel'?");
    refused("jobctl zzzzzz", "`jobctl --help` lists the commands");
    refused("jobctl help zz", "unknown command 'zz'");
    refused("jobctl run", "needs JOB.so");
    refused("jobctl show", "needs JOB");
    refused("jobctl show a b", "unexpected 'b'");
    refused("jobctl list extra", "unexpected 'extra'");
    refused("jobctl run j.so arg", "stand behind --");
    refused("jobctl run --paralellism 2 j.so", "did you mean '--parallelism'?");
    refused("jobctl run --wxyz j.so", "unknown option '--wxyz'");
    refused("jobctl list --parallelism 2", "belongs to `jobctl run`");
    refused("jobctl list -q", "unknown option '-q'");
    refused("jobctl list -o", "needs a value");
    refused("jobctl list --timeout", "--timeout S");
    refused("jobctl list --no-progress=1", "takes no value");
    refused("jobctl completion zsh", "jobctl completion bash");
}

static void values_out_of_range_are_refused(void **state)
{
    (void)state;
    refused("jobctl list --timeout 0", "seconds from 0.001");
    refused("jobctl list --timeout -1", "not '-1'");
    refused("jobctl list --timeout nan", "not 'nan'");
    refused("jobctl list --timeout 1e9", "not '1e9'");
    refused("jobctl list --timeout 5x", "not '5x'");
    refused("jobctl run -p 0 j.so", "from 1 to 1024, not '0'");
    refused("jobctl run -p 1025 j.so", "not '1025'");
    refused("jobctl run -p +1 j.so", "not '+1'");
    refused("jobctl run -p 99999999999999999999999 j.so", "whole number");
    refused("jobctl run --local --slots 257 j.so", "from 1 to 256");
    refused("jobctl run --local --taskmanagers 65 j.so", "from 1 to 64");
    refused("jobctl list -o yaml", "unknown output format 'yaml'");
    refused("jobctl list -m http://x", "--jobmanager");
    refused("jobctl list -m tcp://127.0.0.1", "--jobmanager");
}

static void what_does_not_fit_together_is_refused(void **state)
{
    (void)state;
    refused("jobctl run --local --detached j.so", "does not fit --local");
    refused("jobctl run --local -m tcp://127.0.0.1:9 j.so", "leave out one of them");
    refused("jobctl run --taskmanagers 2 j.so", "add --local");
    refused("jobctl run -D taskmanager.memory.managed.size=1GiB j.so", "add --local");
    refused("jobctl run --slots 2 j.so", "add --local");
    char line[2048] = "jobctl run j.so --";
    for (int i = 0; i < 256; i++) strcat(line, " a");
    refused(line, "256 arguments for the job are more than 255");
}

static char *printed(void (*print)(FILE *out))
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    assert_non_null(out);
    print(out);
    fclose(out);
    return text;
}

static void help_on_everything(FILE *out)
{
    for (enum ctl_command c = 0; c <= CTL_COMMANDS; c++) arguments_help(c, out);
}

static void help_and_completion_name_all_there_is(void **state)
{
    (void)state;
    char *help = printed(help_on_everything), *completion = printed(arguments_completion);
    const char *const words[] = {"--local",      "--taskmanagers", "--parallelism", "--detached", "--progress-timeout",
                                 "--jobmanager", "--timeout",      "--output",      "--drain",    "--servers",
                                 "--if-version", "--role",         "--job",         "--limit",    "--known-keys"};
    for (enum ctl_command c = 0; c < CTL_COMMANDS; c++) {
        char usage[64];
        snprintf(usage, sizeof usage, "Usage: jobctl %s", arguments_command_name(c));
        assert_non_null(strstr(help, usage));
        assert_non_null(strstr(completion, arguments_command_name(c)));
    }
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        assert_non_null(strstr(help, words[i]));
        assert_non_null(strstr(completion, words[i]));
    }
    free(help);
    free(completion);
}

static void a_state_of_a_checkpoint(void **state)
{
    (void)state;
    struct ctl_arguments a = parse("jobctl state ls /ckpt/chk-7");
    assert_int_equal(a.command, CTL_STATE);
    assert_string_equal(a.subject, "/ckpt/chk-7");
    assert_null(a.state);
    a = parse("jobctl state scan --limit 5 /ckpt/chk-7 tally/count");
    assert_string_equal(a.state, "tally/count");
    assert_null(a.key);
    assert_int_equal(a.limit, 5);
    a = parse("jobctl state get /ckpt/chk-7 tally/count alice");
    assert_string_equal(a.key, "alice");
    refused("jobctl state ls", "the use is `jobctl state ls PATH | scan");
    refused("jobctl state ls a b", "the use is");
    refused("jobctl state get a b/c", "the use is");
    refused("jobctl state rm a", "the use is");
    refused("jobctl state scan a count", "OPERATOR/STATE");
    refused("jobctl state ls --limit 5 a", "--limit");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_state_of_a_checkpoint),
        cmocka_unit_test(a_run_with_everything),
        cmocka_unit_test(the_least_that_runs),
        cmocka_unit_test(a_plan_is_of_a_job_or_of_a_plugin),
        cmocka_unit_test(definitions_configure_a_local_cluster),
        cmocka_unit_test(global_options_stand_anywhere),
        cmocka_unit_test(options_may_follow_the_plugin),
        cmocka_unit_test(the_environment_names_the_jobmanager_unless_an_option_does),
        cmocka_unit_test(slots_are_enough_for_the_parallelism),
        cmocka_unit_test(plugins_has_two_verbs),
        cmocka_unit_test(config_has_four_verbs),
        cmocka_unit_test(help_and_version_win_over_everything),
        cmocka_unit_test(wrong_use_is_explained),
        cmocka_unit_test(values_out_of_range_are_refused),
        cmocka_unit_test(what_does_not_fit_together_is_refused),
        cmocka_unit_test(help_and_completion_name_all_there_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
