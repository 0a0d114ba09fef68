/* SPDX-License-Identifier: Apache-2.0 */
/* The end of a worker in words, from its status and its black box, in which nothing is believed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>

#include "taskmanager/worker_process.h"

static struct blackbox box;
static struct worker_end e;

/* Two threads; thread 1 is in operator "parse", subtask 3. */
static int fill_box(void **state)
{
    (void)state;
    memset(&box, 0, sizeof box);
    box.magic = BLACKBOX_MAGIC;
    box.n_operators = 2;
    box.n_threads = 2;
    box.ended_by_thread = -1;
    strcpy(box.operators[0], "read");
    strcpy(box.operators[1], "parse");
    box.threads[0].op = -1;
    box.threads[1].op = 1;
    box.threads[1].subtask = 3;
    return 0;
}

static void ended_by_signal(int number, int32_t suspect)
{
    worker_end_words(&box, (struct child_end){true, number}, suspect, &e);
}

static void ended_by_exit(int status)
{
    worker_end_words(&box, (struct child_end){false, status}, -1, &e);
}

static void a_crash_names_operator_and_signal(void **state)
{
    (void)state;
    box.ended_by_thread = 1;
    ended_by_signal(SIGSEGV, -1);
    assert_int_equal(e.code, WEIR_E_USER);
    assert_string_equal(e.operator_id, "parse");
    assert_int_equal(e.subtask, 3);
    assert_string_equal(e.reason, "operator parse (subtask 3) crashed the worker: SIGSEGV");
}

static void a_crash_outside_of_operators_is_ours(void **state)
{
    (void)state;
    ended_by_signal(SIGABRT, 1);
    assert_int_equal(e.code, WEIR_E_INTERNAL);
    assert_string_equal(e.operator_id, "");
    assert_int_equal(e.subtask, -1);
    assert_string_equal(e.reason, "the worker crashed outside of any operator: SIGABRT");
}

static void a_kill_names_who_ran(void **state)
{
    (void)state;
    ended_by_signal(SIGKILL, 1);
    assert_string_equal(e.reason, "the worker was killed: SIGKILL (out of memory, or by hand) while operator parse (subtask 3) ran");
    assert_int_equal(e.subtask, 3);
    ended_by_signal(SIGKILL, -1);
    assert_string_equal(e.reason, "the worker was killed: SIGKILL (out of memory, or by hand)");
}

static void exit_in_user_code_is_named(void **state)
{
    (void)state;
    box.ended_by_exit = 1;
    box.ended_by_thread = 1;
    ended_by_exit(3);
    assert_int_equal(e.code, WEIR_E_USER);
    assert_string_equal(e.reason, "operator parse (subtask 3) left through exit(3)");
    ended_by_exit(0);
    assert_string_equal(e.reason, "operator parse (subtask 3) left through exit(0)");
}

/* _exit leaves no trace but who ran. */
static void a_silent_exit_names_who_ran(void **state)
{
    (void)state;
    worker_end_words(&box, (struct child_end){false, 4}, 1, &e);
    assert_int_equal(e.code, WEIR_E_USER);
    assert_string_equal(e.reason, "the worker ended with exit status 4 while operator parse (subtask 3) ran");
    ended_by_exit(4);
    assert_int_equal(e.code, WEIR_E_INTERNAL);
    assert_string_equal(e.reason, "the worker ended with exit status 4");
}

/* The worker's own end goes through exit as well, but not on a task thread. */
static void an_orderly_end_is_no_failure(void **state)
{
    (void)state;
    ended_by_exit(0);
    assert_int_equal(e.code, WEIR_OK);
    assert_string_equal(e.reason, "");
    box.ended_by_exit = 1;
    ended_by_exit(0);
    assert_int_equal(e.code, WEIR_OK);
    ended_by_exit(1);
    assert_string_equal(e.reason, "the worker ended with exit status 1");
}

static void ends_while_loading_are_the_plugins(void **state)
{
    (void)state;
    box.loading = 1;
    box.n_threads = 0;
    ended_by_signal(SIGFPE, -1);
    assert_int_equal(e.code, WEIR_E_USER);
    assert_string_equal(e.reason, "the plugin crashed while it was loaded: SIGFPE");
    ended_by_exit(0);
    assert_string_equal(e.reason, "the plugin left through exit(0) while it was loaded");
}

/* Whatever a plugin scribbled on the box, no index leaves it and no text of it is printed unchecked. */
static void a_scribbled_box_is_not_believed(void **state)
{
    box.ended_by_thread = 1;
    const int32_t bad_threads[] = {-2, 2, WEIR_SLOTS_MAX, INT32_MAX, INT32_MIN};
    for (size_t i = 0; i < sizeof bad_threads / sizeof bad_threads[0]; i++) {
        box.ended_by_thread = bad_threads[i];
        ended_by_signal(SIGSEGV, bad_threads[i]);
        assert_string_equal(e.operator_id, "");
    }
    const int32_t bad_ops[] = {-2, 2, BLACKBOX_NAMES_MAX, INT32_MAX, INT32_MIN};
    for (size_t i = 0; i < sizeof bad_ops / sizeof bad_ops[0]; i++) {
        (void)fill_box(state);
        box.ended_by_thread = 1;
        box.threads[1].op = bad_ops[i];
        ended_by_signal(SIGSEGV, -1);
        assert_string_equal(e.operator_id, "");
    }
    (void)fill_box(state);
    box.ended_by_thread = 1;
    box.n_operators = UINT32_MAX;
    box.n_threads = UINT32_MAX;
    memset(box.operators[1], 'x', sizeof box.operators[1]); /* no end */
    ended_by_signal(SIGSEGV, -1);
    assert_string_equal(e.operator_id, "");
    strcpy(box.operators[1], "a\033[2Jb");
    ended_by_signal(SIGSEGV, -1);
    assert_string_equal(e.operator_id, "");
    memset(&box, 0xff, sizeof box);
    ended_by_signal(SIGSEGV, 0);
    assert_string_equal(e.reason, "the worker crashed outside of any operator: SIGSEGV");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_crash_names_operator_and_signal, fill_box),
        cmocka_unit_test_setup(a_crash_outside_of_operators_is_ours, fill_box),
        cmocka_unit_test_setup(a_kill_names_who_ran, fill_box),
        cmocka_unit_test_setup(exit_in_user_code_is_named, fill_box),
        cmocka_unit_test_setup(a_silent_exit_names_who_ran, fill_box),
        cmocka_unit_test_setup(an_orderly_end_is_no_failure, fill_box),
        cmocka_unit_test_setup(ends_while_loading_are_the_plugins, fill_box),
        cmocka_unit_test_setup(a_scribbled_box_is_not_believed, fill_box),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
