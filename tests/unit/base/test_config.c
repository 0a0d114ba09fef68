/* SPDX-License-Identifier: Apache-2.0 */
/* clang-format off: cmocka wants these first, in this order */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/config.h"

static const struct config_key keys[] = {
    {"config.file", CONFIG_STR, "", .flag = "config", .help = "configuration file"},
    {"net.port", CONFIG_INT, "6123", .min = 1, .max = 65535, .help = "port to listen on"},
    {"net.host", CONFIG_STR, "localhost", .help = "..."},
    {"net.max-peers", CONFIG_INT, "10", .help = "..."},
    {"task.timeout", CONFIG_DURATION, "3s", .min = 1, .max = 3600000, .flag = "progress-timeout"},
    {"state.memory", CONFIG_SIZE, "64MiB", .help = "..."},
    {"log.color", CONFIG_BOOL, "no", .help = "..."},
    {"checkpoint.local.dir", CONFIG_STR, "", .help = "..."},
};
static const struct config_table table = {keys, sizeof keys / sizeof keys[0], (const char *const[]){"other", NULL}};

static char dir[64];
static char path[128];
static struct config *config;
static struct weir_diag diag;

static void write_file(const char *name, const char *text)
{
    FILE *f = fopen(name, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static void write_dropin(const char *name, const char *text)
{
    char file[256];
    snprintf(file, sizeof file, "%s.d", path);
    mkdir(file, 0700);
    snprintf(file, sizeof file, "%s.d/%s", path, name);
    write_file(file, text);
}

static int setup(void **state)
{
    (void)state;
    strcpy(dir, "/tmp/weir-config-XXXXXX");
    if (!mkdtemp(dir)) return -1;
    snprintf(path, sizeof path, "%s/weir.yaml", dir);
    memset(&diag, 0, sizeof diag);
    return config_new(&config, &table) ? -1 : 0;
}

static int teardown(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", dir);
    config_destroy(&config);
    config_destroy(&config); /* NULL is fine */
    return system(command);
}

static const char *origin_in_file(const char *name, int line)
{
    static char text[256];
    snprintf(text, sizeof text, "file %s%s:%d", path, name, line);
    return text;
}

static void defaults_are_values(void **state)
{
    (void)state;
    assert_int_equal(config_int(config, "net.port"), 6123);
    assert_int_equal(config_int(config, "task.timeout"), 3000);
    assert_int_equal(config_int(config, "state.memory"), 64 << 20);
    assert_string_equal(config_str(config, "net.host"), "localhost");
    assert_false(config_bool(config, "log.color"));
    assert_string_equal(config_origin(config, "net.port"), "default");
    assert_true(config_is_default(config, "net.port"));
}

static void each_source_hides_the_one_before(void **state)
{
    (void)state;
    write_file(path, "# a comment\nnet:\n  port: 1\n  host: \"a b\"\n  max-peers: 7\ntask.timeout: 5m\nother: {whatever: [1, 2]}\n");
    write_dropin("20-b.yaml", "net.port: 3\n");
    write_dropin("10-a.yaml", "\nnet.port: 2\nstate:\n  memory: 1GiB\n");
    write_dropin("ignored.txt", "net.port: nonsense\n");
    write_dropin(".hidden.yaml", "net.port: nonsense\n");
    write_dropin("30-empty.yaml", "# nothing\n");
    char *env[] = {"HOME=/",
                   "WEIR_NET_MAX_PEERS=8",
                   "WEIR_LOG_COLOR=true",
                   "WEIR_OTHER_THING=x",
                   "WEIR_COORD=tcp://x",
                   "WEIR_JOBMANAGER=tcp://y",
                   "WEIR_TEST_SEED=1",
                   "WEIRD=1",
                   NULL};
    char *argv[] = {"weir", "run", "--log.color=off", "--config", path, "--progress-timeout", "2s", "--help", "--", "--net.port=9", NULL};
    int argc = 10;
    assert_int_equal(config_load(config, "config.file", &argc, argv, env, &diag), WEIR_OK);

    assert_int_equal(config_int(config, "net.port"), 3);
    assert_string_equal(config_origin(config, "net.port"), origin_in_file(".d/20-b.yaml", 1));
    assert_string_equal(config_str(config, "net.host"), "a b");
    assert_string_equal(config_origin(config, "net.host"), origin_in_file("", 4));
    assert_int_equal(config_int(config, "net.max-peers"), 8);
    assert_string_equal(config_origin(config, "net.max-peers"), "environment WEIR_NET_MAX_PEERS");
    assert_int_equal(config_int(config, "state.memory"), 1 << 30);
    assert_string_equal(config_origin(config, "state.memory"), origin_in_file(".d/10-a.yaml", 4));
    assert_int_equal(config_int(config, "task.timeout"), 2000);
    assert_string_equal(config_origin(config, "task.timeout"), "flag --progress-timeout");
    assert_false(config_bool(config, "log.color"));
    assert_string_equal(config_origin(config, "log.color"), "flag --log.color");
    assert_false(config_is_default(config, "log.color"));

    assert_int_equal(argc, 4);
    assert_string_equal(argv[1], "run");
    assert_string_equal(argv[2], "--help");
    assert_string_equal(argv[3], "--net.port=9");
    assert_null(argv[4]);
}

static void expect_file(const char *text, weir_err err, const char *sentence)
{
    char whole[512];
    write_file(path, text);
    assert_int_equal(config_read_file(config, path, false, &diag), err);
    snprintf(whole, sizeof whole, sentence, path);
    assert_string_equal(diag.text, whole);
}

static void mistakes_in_a_file_name_the_line(void **state)
{
    (void)state;
    expect_file("net:\n  prot: 1\n", WEIR_E_ARGUMENT, "unknown key net.prot (file %s:2); did you mean net.port?");
    expect_file("completely: 1\n", WEIR_E_ARGUMENT, "unknown key completely (file %s:1)");
    expect_file("net.port: 65536\n", WEIR_E_ARGUMENT, "net.port = \"65536\" (file %s:1) is not a whole number from 1 to 65535");
    expect_file("net.max-peers: -1\n", WEIR_E_ARGUMENT, "net.max-peers = \"-1\" (file %s:1) is not a whole number of 0 or more");
    expect_file("log:\n  color: maybe\n", WEIR_E_ARGUMENT, "log.color = \"maybe\" (file %s:2) is not true or false");
    expect_file("net:\n  host: [a, b]\n", WEIR_E_ARGUMENT, "%s:2: net.host is a list or an alias; write a plain value");
    expect_file("net:\n  host:\n", WEIR_E_ARGUMENT, "%s:2: net.host has no value");
    expect_file("net:\n  host: !!str x\n", WEIR_E_ARGUMENT, "%s:2: net.host has a tag; write a plain value");
    expect_file("net: &x\n  host: a\ntask: *x\n", WEIR_E_ARGUMENT, "%s:3: task is a list or an alias; write a plain value");
    expect_file("- a\n", WEIR_E_ARGUMENT, "%s is not a mapping of keys to values");
    expect_file("net.port: 1\n---\nnet.port: 2\n", WEIR_E_ARGUMENT, "%s holds more than one document");
    write_file(path, "net:\n  port: [\n");
    assert_int_equal(config_read_file(config, path, false, &diag), WEIR_E_ARGUMENT);
    assert_memory_equal(diag.text, path, strlen(path)); /* the rest is the parser's words */
    assert_int_equal(config_read_file(config, "/nowhere/weir.yaml", false, &diag), WEIR_E_NOT_FOUND);
    assert_int_equal(config_read_file(config, "/nowhere/weir.yaml", true, &diag), WEIR_OK);
}

static void a_broken_drop_in_is_named(void **state)
{
    (void)state;
    write_dropin("1.yaml", "net.port: 0\n");
    assert_int_equal(config_read_file(config, path, true, &diag), WEIR_E_ARGUMENT);
    char whole[512];
    snprintf(whole, sizeof whole, "net.port = \"0\" (file %s.d/1.yaml:1) is not a whole number from 1 to 65535", path);
    assert_string_equal(diag.text, whole);
}

static weir_err one_variable(char *variable)
{
    char *env[] = {variable, NULL};
    return config_read_env(config, env, &diag);
}

static void mistakes_in_the_environment_are_found(void **state)
{
    (void)state;
    assert_int_equal(one_variable("WEIR_NET_PROT=1"), WEIR_E_ARGUMENT);
    assert_string_equal(diag.text, "environment variable WEIR_NET_PROT sets no known key; did you mean WEIR_NET_PORT?");
    assert_int_equal(one_variable("WEIR_=1"), WEIR_E_ARGUMENT);
    assert_int_equal(one_variable("WEIR_NET_PORT=x"), WEIR_E_ARGUMENT);
    assert_string_equal(diag.text, "net.port = \"x\" (environment WEIR_NET_PORT) is not a whole number from 1 to 65535");
    assert_int_equal(one_variable("WEIR_CHECKPOINT_LOCAL_DIR=a=b"), WEIR_OK);
    assert_string_equal(config_str(config, "checkpoint.local.dir"), "a=b");
}

static weir_err one_flag(char *a, char *b)
{
    char *argv[] = {"weir", a, b, NULL};
    int argc = b ? 3 : 2;
    weir_err err = config_read_flags(config, &argc, argv, &diag);
    if (err) assert_int_equal(argc, b ? 3 : 2);
    return err;
}

static void mistakes_in_flags_are_found(void **state)
{
    (void)state;
    assert_int_equal(one_flag("--net.prot", "1"), WEIR_E_ARGUMENT);
    assert_string_equal(diag.text, "unknown flag --net.prot; did you mean --net.port?");
    assert_int_equal(one_flag("--progres-timeout=1", NULL), WEIR_E_ARGUMENT);
    assert_string_equal(diag.text, "unknown flag --progres-timeout; did you mean --progress-timeout?");
    assert_int_equal(one_flag("--net.port", NULL), WEIR_E_ARGUMENT);
    assert_string_equal(diag.text, "flag --net.port needs a value");
    assert_int_equal(one_flag("--no-net.port", NULL), WEIR_E_ARGUMENT);
    assert_int_equal(one_flag("--log.color", "word"), WEIR_OK); /* a truth takes no word after it */
    assert_true(config_bool(config, "log.color"));
    assert_int_equal(one_flag("--no-log.color", NULL), WEIR_OK);
    assert_false(config_bool(config, "log.color"));
    assert_int_equal(one_flag("--net.host=", NULL), WEIR_OK);
    assert_string_equal(config_str(config, "net.host"), "");
}

static void definitions_are_flags_by_full_name(void **state)
{
    (void)state;
    char *argv[] = {"weir", "-D", "net.port=7", "word", "-Dnet.host=a=b", "-D", "other.thing=1", "--", "-D", NULL};
    int argc = 9;
    assert_int_equal(config_read_flags(config, &argc, argv, &diag), WEIR_OK);
    assert_int_equal(argc, 3);
    assert_string_equal(argv[1], "word");
    assert_string_equal(argv[2], "-D");
    assert_int_equal(config_int(config, "net.port"), 7);
    assert_string_equal(config_origin(config, "net.port"), "flag -D");
    assert_string_equal(config_str(config, "net.host"), "a=b");
    assert_int_equal(one_flag("-D", "net.host="), WEIR_OK);
    assert_string_equal(config_str(config, "net.host"), "");
}

static void mistakes_in_definitions_are_found(void **state)
{
    (void)state;
    char name[CONFIG_NAME_MAX + 16];
    assert_int_equal(one_flag("-D", "net.prot=1"), WEIR_E_ARGUMENT);
    assert_string_equal(diag.text, "unknown key net.prot (flag -D); did you mean net.port?");
    assert_int_equal(one_flag("-D", "net.port=0"), WEIR_E_ARGUMENT);
    assert_string_equal(diag.text, "net.port = \"0\" (flag -D) is not a whole number from 1 to 65535");
    assert_int_equal(one_flag("-D", "progress-timeout=1s"), WEIR_E_ARGUMENT); /* short flags are no keys */
    assert_int_equal(one_flag("-D", "net.port"), WEIR_E_ARGUMENT);
    assert_string_equal(diag.text, "flag -D takes KEY=VALUE, not \"net.port\"");
    assert_int_equal(one_flag("-D", "=1"), WEIR_E_ARGUMENT);
    assert_int_equal(one_flag("-D", NULL), WEIR_E_ARGUMENT);
    memset(name, 'a', sizeof name);
    name[CONFIG_NAME_MAX + 1] = '=';
    name[sizeof name - 1] = '\0';
    assert_int_equal(one_flag("-D", name), WEIR_E_ARGUMENT);
}

static void order_of_reading_does_not_matter(void **state)
{
    (void)state;
    char *env[] = {"WEIR_NET_PORT=5", NULL};
    write_file(path, "net.port: 4\n");
    assert_int_equal(config_read_env(config, env, &diag), WEIR_OK);
    assert_int_equal(config_read_file(config, path, false, &diag), WEIR_OK);
    assert_int_equal(config_int(config, "net.port"), 5);
}

static void units_are_read(void **state)
{
    (void)state;
    static const struct {
        char *flag;
        int64_t ms;
    } durations[] = {{"--task.timeout=250ms", 250}, {"--task.timeout=7", 7}, {"--task.timeout=2m", 120000}, {"--task.timeout=1h", 3600000}};
    for (size_t i = 0; i < sizeof durations / sizeof durations[0]; i++) {
        assert_int_equal(one_flag(durations[i].flag, NULL), WEIR_OK);
        assert_int_equal(config_int(config, "task.timeout"), durations[i].ms);
    }
    static char *const wrong[] = {"--task.timeout=",
                                  "--task.timeout=0",
                                  "--task.timeout=2h",
                                  "--task.timeout=1 s",
                                  "--task.timeout=-1s",
                                  "--task.timeout=1e3",
                                  "--task.timeout=99999999999999999999",
                                  "--state.memory=9223372036854775807KiB",
                                  "--state.memory=1kb"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) assert_int_equal(one_flag(wrong[i], NULL), WEIR_E_ARGUMENT);
}

static void values_can_be_shown(void **state)
{
    (void)state;
    struct buffer b;
    buffer_init(&b, 0);
    one_flag("--net.port=80", NULL);
    config_show(config, &b);
    assert_non_null(strstr(buffer_cstr(&b), "net.port = 80   # flag --net.port\nnet.host = localhost   # default\n"));
    buffer_clear(&b);
    config_help(&table, &b);
    assert_non_null(strstr(buffer_cstr(&b), "  --net.port VALUE                   port to listen on (default 6123)\n"));
    buffer_close(&b);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(defaults_are_values),
        CASE(each_source_hides_the_one_before),
        CASE(mistakes_in_a_file_name_the_line),
        CASE(a_broken_drop_in_is_named),
        CASE(mistakes_in_the_environment_are_found),
        CASE(mistakes_in_flags_are_found),
        CASE(definitions_are_flags_by_full_name),
        CASE(mistakes_in_definitions_are_found),
        CASE(order_of_reading_does_not_matter),
        CASE(units_are_read),
        CASE(values_can_be_shown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
