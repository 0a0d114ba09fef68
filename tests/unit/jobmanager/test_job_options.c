/* SPDX-License-Identifier: Apache-2.0 */
/* A job's options: defaults, values, and what is said of wrong ones. */
/* cmocka wants these first, in this order */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
#include <string.h>

#include "jobmanager/job_options.h"

static struct job_options defaults(void)
{
    struct job_options o;
    job_options_default(&o);
    return o;
}

static void set(struct job_options *o, const char *name, const char *text)
{
    struct weir_diag diag;
    assert_int_equal(job_options_set(o, name, text, &diag), WEIR_OK);
}

static void defaults_are_flinks(void **state)
{
    (void)state;
    struct job_options o = defaults();
    assert_false(job_options_checkpoints(&o));
    assert_int_equal(o.timeout_ms, 600000);
    assert_int_equal(o.tolerable_failures, 0);
    assert_int_equal(o.n_retained, 3);
    assert_int_equal(o.retention, JOB_RETAIN_NOTHING);
    assert_int_equal(job_options_restart(&o).kind, RESTART_NONE);
    set(&o, "execution.checkpointing.interval", "10s");
    assert_true(job_options_checkpoints(&o));
    struct restart_config r = job_options_restart(&o);
    assert_int_equal(r.kind, RESTART_EXPONENTIAL_DELAY);
    assert_int_equal(r.attempts, RESTART_UNLIMITED);
    assert_int_equal(r.initial_ms, 1000);
    assert_int_equal(r.max_ms, 60000);
    assert_int_equal(r.multiplier_milli, 1500);
    assert_int_equal(r.jitter_milli, 100);
    assert_int_equal(r.reset_ms, 3600000);
    set(&o, "restart-strategy.type", "none");
    assert_int_equal(job_options_restart(&o).kind, RESTART_NONE);
}

static void each_strategy_has_its_own_numbers(void **state)
{
    (void)state;
    struct job_options o = defaults();
    set(&o, "restart-strategy.type", "fixed-delay");
    set(&o, "restart-strategy.fixed-delay.attempts", "7");
    set(&o, "restart-strategy.fixed-delay.delay", "20ms");
    set(&o, "restart-strategy.exponential-delay.attempts-before-reset-backoff", "9");
    set(&o, "restart-strategy.failure-rate.delay", "3s");
    struct restart_config r = job_options_restart(&o);
    assert_int_equal(r.attempts, 7);
    assert_int_equal(r.delay_ms, 20);
    set(&o, "restart-strategy.type", "failure-rate");
    assert_int_equal(job_options_restart(&o).delay_ms, 3000);
    set(&o, "restart-strategy.type", "exponential-delay");
    assert_int_equal(job_options_restart(&o).attempts, 9);
}

static void folders_are_absolute_and_lose_their_last_slash(void **state)
{
    (void)state;
    struct job_options o = defaults();
    struct weir_diag diag;
    set(&o, "execution.checkpointing.dir", "/mnt/c//");
    assert_string_equal(o.dir, "/mnt/c");
    assert_true(job_options_checkpoints(&o));
    assert_int_equal(job_options_set(&o, "execution.checkpointing.dir", "here", &diag), WEIR_E_ARGUMENT);
    char longer[600];
    memset(longer, '/', sizeof longer);
    memset(longer + 1, 'a', sizeof longer - 2);
    longer[sizeof longer - 1] = '\0';
    assert_int_equal(job_options_set(&o, "execution.checkpointing.dir", longer, &diag), WEIR_E_ARGUMENT);
}

static void wrong_ones_are_told_what_would_be_right(void **state)
{
    (void)state;
    static const struct {
        const char *name, *text, *words;
    } wrong[] = {
        {"execution.checkpointing.intervall", "1s", "did you mean execution.checkpointing.interval?"},
        {"zzz", "1", "docs/reference/configuration.md"},
        {"execution.checkpointing.interval", "soon", "a duration"},
        {"execution.checkpointing.mode", "TWICE", "one of EXACTLY_ONCE, AT_LEAST_ONCE"},
        {"execution.checkpointing.externalized-checkpoint-retention", "", "RETAIN_ON_CANCELLATION"},
        {"state.checkpoints.num-retained", "0", "from 1 to 100"},
        {"restart-strategy.type", "always", "one of none, fixed-delay, failure-rate, exponential-delay"},
        {"restart-strategy.exponential-delay.backoff-multiplier", "0.5", "a number from 1 to 1000"},
        {"restart-strategy.exponential-delay.jitter-factor", "0.1x", "a number from 0 to 1"},
        {"restart-strategy.exponential-delay.attempts-before-reset-backoff", "0", "infinite, or a whole number from 1"},
    };
    struct job_options o = defaults();
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct weir_diag diag;
        assert_int_equal(job_options_set(&o, wrong[i].name, wrong[i].text, &diag), WEIR_E_ARGUMENT);
        assert_non_null(strstr(diag.text, wrong[i].words));
    }
    struct job_options same = defaults();
    assert_memory_equal(&o, &same, sizeof o);
}

static void options_must_fit_together(void **state)
{
    (void)state;
    struct job_options o = defaults();
    struct weir_diag diag;
    assert_int_equal(job_options_check(&o, &diag), WEIR_OK);
    set(&o, "execution.checkpointing.interval", "1ms");
    assert_int_equal(job_options_check(&o, &diag), WEIR_E_ARGUMENT);
    o = defaults();
    set(&o, "restart-strategy.exponential-delay.max-backoff", "500ms");
    assert_int_equal(job_options_check(&o, &diag), WEIR_E_ARGUMENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_flinks),
        cmocka_unit_test(each_strategy_has_its_own_numbers),
        cmocka_unit_test(folders_are_absolute_and_lose_their_last_slash),
        cmocka_unit_test(wrong_ones_are_told_what_would_be_right),
        cmocka_unit_test(options_must_fit_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
