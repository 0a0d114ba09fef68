/* SPDX-License-Identifier: Apache-2.0 */
/* `jobctl coord` and `jobctl quorum` as programs, against peers that are processes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "tests/support/peer/hosts.h"
#include "tests/support/temp_dir.h"

static struct hosts hosts;
static struct temp_dir dir;
static char printed[8192];

/* Runs it by the shell, both outputs in `printed`; gives the exit code. */
static int jobctl(const char *arguments)
{
    char command[1024];
    (void)snprintf(command, sizeof command, "%s %s 2>&1 </dev/null", WEIR_TEST_JOBCTL, arguments);
    FILE *out = popen(command, "r");
    assert_non_null(out);
    size_t n = fread(printed, 1, sizeof printed - 1, out);
    printed[n] = '\0';
    int status = pclose(out);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void expect(const char *arguments, int code, const char *text)
{
    int got = jobctl(arguments);
    if (got != code || !strstr(printed, text)) fail_msg("jobctl %s: exit code %d, not %d, and it says: %s", arguments, got, code, printed);
}

static int begin(void **state)
{
    char servers[2048] = "";
    (void)state;
    temp_dir_make(&dir);
    hosts_init(&hosts, dir.path, 3);
    for (uint32_t id = 1; id <= 3; id++) host_start(&hosts, id);
    (void)hosts_leader(&hosts);
    for (uint32_t id = 1; id <= 3; id++) {
        host_serves(&hosts, id);
        (void)snprintf(servers + strlen(servers), sizeof servers - strlen(servers), "%s%s", id > 1 ? "," : "", hosts.at[id].client);
    }
    return setenv("WEIR_COORD", servers, 1);
}

static int end(void **state)
{
    (void)state;
    hosts_close(&hosts);
    temp_dir_remove(&dir);
    return 0;
}

static void the_tree(void **state)
{
    (void)state;
    expect("coord create -p /a/b hello", 0, "/a/b\n");
    expect("coord create --sequential /a/s-", 0, "/a/s-0000000000\n");
    expect("coord create /a/b", 4, "NODE_EXISTS");
    expect("coord ls --linear /a", 0, "b\ns-0000000000\n");
    expect("coord get --linear /a/b", 0, "hello");
    expect("coord get -o json --linear /a/b", 0, "\"data\": \"hello\"");
    expect("coord set --if-version 7 /a/b x", 4, "BAD_VERSION");
    expect("coord set --if-version 0 /a/b world", 0, "");
    expect("coord stat --linear /a/b", 0, "version      1\n");
    expect("coord acl --linear /a/b", 0, "world:anyone:rwcda\n");
    expect("coord acl --auth ann:secret /a/b auth::cdrwa", 0, "");
    expect("coord set /a/b y", 4, "NO_AUTH");
    expect("coord --auth ann:secret set /a/b y", 0, "");
    expect("coord lock /locks/x -- sh -c 'echo \"token $WEIR_LOCK_TOKEN\"; exit 7'", 7, "token ");
    expect("coord members --linear /a", 0, "s-0000000000");
    expect("coord rm /a", 4, "NOT_EMPTY");
    expect("coord rm -r /a", 4, "NO_AUTH");
    expect("coord rm -r --auth ann:secret /a", 0, "");
    expect("coord get --linear /a", 4, "NO_NODE");
}

static void wrong_use_says_what_to_do(void **state)
{
    (void)state;
    expect("coord", 2, "needs VERB");
    expect("coord fetch /a", 2, "ls, get, set");
    expect("coord get a", 2, "begin with a slash");
    expect("coord set /a", 2, "coord set PATH DATA");
    expect("coord lock /a", 2, "-- PROGRAM");
    expect("coord create --acl nobody /a", 2, "SCHEME:ID:PERMISSIONS");
    expect("coord get --servers 10.0.0.1 /a", 2, "10.0.0.1");
    expect("coord get --timeout 0.3 --servers ipc://@weir-test-nobody /a", 3, "OPERATION_TIMEOUT");
    expect("quorum join", 2, "add ID=ADDRESS");
    expect("quorum remove x", 2, "names no member");
}

static void the_quorum(void **state)
{
    (void)state;
    expect("quorum", 0, "leading");
    assert_non_null(strstr(printed, "following"));
    expect("quorum -o json", 0, "\"quorum\": true");
    expect("quorum remove 9", 4, "no such member");
    expect("quorum add '4=observer:ipc://@weir-test-four'", 0, "");
    expect("coord create /committed", 0, "/committed");
    expect("quorum -o json", 0, "weir-test-four");
    expect("quorum remove 4", 0, "");
    uint32_t leader = hosts_leader(&hosts);
    host_kill(&hosts, leader);
    (void)hosts_leader(&hosts);
    expect("quorum --timeout 3", 0, "no answer");
    for (uint32_t id = 1; id <= 3; id++)
        if (id != leader) {
            host_kill(&hosts, id);
            break;
        }
    expect("coord create --timeout 3 /nobody", 3, "OPERATION_TIMEOUT");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_tree, begin, end),
        cmocka_unit_test_setup_teardown(wrong_use_says_what_to_do, begin, end),
        cmocka_unit_test_setup_teardown(the_quorum, begin, end),
    };
    if (net_start(1)) return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    net_stop();
    return failed;
}
