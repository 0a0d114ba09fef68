/* SPDX-License-Identifier: Apache-2.0 */
/* The two keys of heartbeats: what they may be, alone and together. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "runtime/base/heartbeat.h"
#include "runtime/base/limits.h"

static const struct config_key keys[] = {HEARTBEAT_KEYS};
static const struct config_table table = {keys, sizeof keys / sizeof *keys, NULL};

/* What the two values come to; NULL = the default. */
static weir_err read(const char *interval, const char *timeout, struct heartbeat *out, struct weir_diag *diag)
{
    char *argv[] = {"program",
                    "--heartbeat.interval",
                    (char *)(uintptr_t)(interval ? interval : "250ms"),
                    "--heartbeat.timeout",
                    (char *)(uintptr_t)timeout,
                    NULL};
    int argc = timeout ? 5 : interval ? 3 : 1;
    struct config *config;
    assert_int_equal(config_new(&config, &table), WEIR_OK);
    weir_err err = config_read_flags(config, &argc, argv, diag);
    if (!err) err = heartbeat_from_config(out, config, diag);
    config_destroy(&config);
    return err;
}

static void by_default_they_are_those_of_limits(void **state)
{
    (void)state;
    struct heartbeat h;
    struct weir_diag diag;
    assert_int_equal(read(NULL, NULL, &h, &diag), WEIR_OK);
    assert_int_equal(h.interval_ms, WEIR_HEARTBEAT_MS);
    assert_int_equal(h.timeout_ms, WEIR_HEARTBEAT_TIMEOUT_MS);
}

static void a_timeout_has_room_for_a_lost_packet(void **state)
{
    (void)state;
    struct heartbeat h = {7, 7};
    struct weir_diag diag;
    assert_int_equal(read("1s", "3999ms", &h, &diag), WEIR_E_ARGUMENT);
    assert_string_equal(diag.text, "heartbeat.timeout is 3999 ms, but must be at least 4 times heartbeat.interval, which is 1000 ms: one "
                                   "lost packet must not look like an end");
    assert_int_equal(h.timeout_ms, 7);
    assert_int_equal(read("1s", "4s", &h, &diag), WEIR_OK);
    assert_int_equal(h.interval_ms, 1000);
    assert_int_equal(h.timeout_ms, 4000);
    assert_int_equal(read("10s", NULL, &h, &diag), WEIR_E_ARGUMENT); /* one alone may not fit the other's default */
}

static void they_have_bounds(void **state)
{
    (void)state;
    struct heartbeat h;
    struct weir_diag diag;
    assert_int_equal(read("20ms", "100ms", &h, &diag), WEIR_OK);
    assert_int_equal(read("60s", "10m", &h, &diag), WEIR_OK);
    assert_int_equal(read("19ms", NULL, &h, &diag), WEIR_E_ARGUMENT);
    assert_int_equal(read("61s", "10m", &h, &diag), WEIR_E_ARGUMENT);
    assert_int_equal(read("20ms", "99ms", &h, &diag), WEIR_E_ARGUMENT);
    assert_int_equal(read(NULL, "11m", &h, &diag), WEIR_E_ARGUMENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_default_they_are_those_of_limits),
        cmocka_unit_test(a_timeout_has_room_for_a_lost_packet),
        cmocka_unit_test(they_have_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
