/* SPDX-License-Identifier: Apache-2.0 */
/* The programs of api/examples/coord, run as a reader runs them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/peer/hosts.h"
#include "tests/support/temp_dir.h"

static const struct {
    const char *name, *says;
} examples[] = {
    {"leader", "the leader is at tcp://127.0.0.1:7000"},
    {"lock", "alone: created /examples/job-0000000000"},
    {"shared_lock", "two readers are in\nthe writer is alone\n"},
    {"semaphore", "one of three: /examples/semaphore/leases/l-"},
    {"barrier", "still closed\npassed\n"},
    {"double_barrier", "all are here\nall are done\n"},
    {"queue", "first\nsecond\n"},
    {"members", "ann is there\n"},
    {"service", "mail-1 at tcp://127.0.0.1:25\n"},
    {"counter", "run number 1\n"},
    {"configuration", "rate 100\n"},
};

static void every_example_says_what_it_should(void **state)
{
    struct temp_dir dir;
    struct hosts hosts;
    (void)state;
    temp_dir_make(&dir);
    hosts_init(&hosts, dir.path, 1);
    host_start(&hosts, 1);
    (void)hosts_leader(&hosts);
    assert_int_equal(setenv("WEIR_COORD", hosts.at[1].client, 1), 0);
    for (size_t i = 0; i < sizeof examples / sizeof *examples; i++) {
        char command[512], printed[4096];
        (void)snprintf(command, sizeof command, "%s/coord_%s 2>&1 </dev/null", WEIR_TEST_EXAMPLES, examples[i].name);
        FILE *out = popen(command, "r");
        assert_non_null(out);
        size_t n = fread(printed, 1, sizeof printed - 1, out);
        printed[n] = '\0';
        int status = pclose(out);
        if (status != 0 || !strstr(printed, examples[i].says)) fail_msg("%s: status %d: %s", examples[i].name, status, printed);
    }
    hosts_close(&hosts);
    temp_dir_remove(&dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_example_says_what_it_should)};
    if (net_start(1)) return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    net_stop();
    return failed;
}
