/* SPDX-License-Identifier: Apache-2.0 */
/* clang-format off: cmocka wants these first, in this order */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/clock.h"
#include "runtime/base/log.h"

static char text[3 * WEIR_LOG_LINE_MAX];
static int saved, pipe_fds[2];

/* Standard error is a pipe until `caught`, which gives what was written. */
static void catch (void)
{
    fflush(stderr);
    saved = dup(STDERR_FILENO);
    assert_int_equal(pipe(pipe_fds), 0);
    dup2(pipe_fds[1], STDERR_FILENO);
}

static const char *caught(void)
{
    dup2(saved, STDERR_FILENO);
    close(saved);
    close(pipe_fds[1]);
    size_t n = 0;
    for (ssize_t got; (got = read(pipe_fds[0], text + n, sizeof text - 1 - n)) > 0;) n += (size_t)got;
    close(pipe_fds[0]);
    text[n] = '\0';
    return text;
}

static bool matches(const char *line, const char *pattern)
{
    regex_t re;
    assert_int_equal(regcomp(&re, pattern, REG_EXTENDED | REG_NOSUB), 0);
    bool ok = regexec(&re, line, 0, NULL, 0) == 0;
    regfree(&re);
    return ok;
}

static void a_line_has_time_level_component_and_fields(void **state)
{
    (void)state;
    log_init("jobmanager", LOG_LEVEL_INFO);
    catch ();
    log_info("job failed", "job=%d reason=\"%s\"", 7, "a\nb\x7f");
    assert_true(matches(caught(), "^20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{3}Z info jobmanager msg=\"job failed\" "
                                  "job=7 reason=\"a\\?b\\?\"\n$"));
    catch ();
    log_warn("alone", "");
    log_error("leading space", " a=1");
    assert_true(matches(caught(), "^[^ ]+ warn jobmanager msg=\"alone\"\n[^ ]+ error jobmanager msg=\"leading space\" a=1\n$"));
}

static void low_levels_are_silent(void **state)
{
    (void)state;
    log_init("x", LOG_LEVEL_WARN);
    catch ();
    log_debug("no", "");
    log_info("no", "");
    assert_string_equal(caught(), "");
    enum log_level level = LOG_LEVEL_ERROR;
    assert_int_equal(log_level_parse("debug", &level), WEIR_OK);
    assert_int_equal(level, LOG_LEVEL_DEBUG);
    assert_int_equal(log_level_parse("verbose", &level), WEIR_E_ARGUMENT);
    assert_int_equal(level, LOG_LEVEL_DEBUG);
}

static void a_long_line_is_cut(void **state)
{
    (void)state;
    static char big[2 * WEIR_LOG_LINE_MAX];
    memset(big, 'x', sizeof big - 1);
    log_init("x", LOG_LEVEL_INFO);
    catch ();
    log_info("long", "big=%s", big);
    const char *line = caught();
    assert_int_equal(strlen(line), WEIR_LOG_LINE_MAX);
    assert_string_equal(line + WEIR_LOG_LINE_MAX - 5, "x...\n");
    catch ();
    log_info(big, "a=%d", 1);
    assert_int_equal(strlen(caught()), WEIR_LOG_LINE_MAX);
}

static void clocks_move_forward(void **state)
{
    (void)state;
    int64_t ns = clock_mono_ns(), ms = clock_mono_ms();
    assert_true(clock_mono_ns() >= ns);
    assert_true(ms >= ns / 1000000);
    assert_true(clock_wall_ms() > INT64_C(1700000000000));
    assert_true(clock_thread_cpu_ns() > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_has_time_level_component_and_fields),
        cmocka_unit_test(low_levels_are_silent),
        cmocka_unit_test(a_long_line_is_cut),
        cmocka_unit_test(clocks_move_forward),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
