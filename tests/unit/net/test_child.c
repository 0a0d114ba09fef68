/* SPDX-License-Identifier: Apache-2.0 */
/* Child processes: what they get, how they end, and that nothing of them stays. The children are shells. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "runtime/net/child.h"

static struct weir_diag diag;

static void start(struct child *c, const char *script, uint32_t n_fds, const int *fds)
{
    char *argv[] = {"sh", "-c", (char *)(uintptr_t)script, NULL};
    struct child_config config = {.path = "/bin/sh", .argv = argv, .n_fds = n_fds, .fds = fds, .message_max = 4096};
    assert_int_equal(child_start(c, &config, &diag), WEIR_OK);
}

static void wait_end(struct child *c)
{
    struct pollfd p = {.fd = c->pidfd, .events = POLLIN};
    assert_int_equal(poll(&p, 1, 10000), 1);
    assert_true(child_collect(c));
}

static void expect_end(struct child *c, const char *words)
{
    char text[CHILD_END_WORDS_MAX];
    wait_end(c);
    assert_string_equal(child_end_words(c->end, text), words);
    child_close(c);
}

static void ends_are_told_in_words(void **state)
{
    (void)state;
    struct child c;
    start(&c, "exit 3", 0, NULL);
    expect_end(&c, "exit status 3");
    start(&c, "kill -SEGV $$", 0, NULL);
    expect_end(&c, "SIGSEGV");
    start(&c, "exec sleep 100", 0, NULL);
    assert_false(child_collect(&c));
    child_kill(&c);
    expect_end(&c, "SIGKILL");
}

/* The pipe is descriptor 3, the others follow, and there are no more, whatever is open here. */
static void a_child_gets_its_descriptors_and_no_others(void **state)
{
    (void)state;
    struct child c;
    int stray = open("/dev/null", O_RDONLY); /* deliberately without close-on-exec */
    int given[2];
    assert_int_equal(pipe2(given, O_CLOEXEC), 0);
    start(&c, "printf '\\004\\0\\0\\0weir' >&3; echo x >&4; ls /proc/self/fd | wc -l >&4", 1, &given[1]);
    close(given[1]);
    wait_end(&c);
    struct weir_bytes message;
    assert_int_equal(pipe_fill(&c.pipe), WEIR_E_UNREACHABLE);
    assert_true(pipe_next(&c.pipe, &message));
    assert_int_equal(message.length, 4);
    assert_memory_equal(message.data, "weir", 4);
    char text[16] = "";
    assert_true(read(given[0], text, sizeof text - 1) > 0);
    assert_string_equal(text, "x\n6\n"); /* 0 to 4 and the one ls itself opens */
    close(given[0]);
    close(stray);
    child_close(&c);
}

/* Descriptors with small numbers, in the worst order, do not overwrite each other. */
static void descriptors_may_have_any_number(void **state)
{
    (void)state;
    struct child c;
    int a[2], b[2];
    assert_int_equal(pipe2(a, O_CLOEXEC), 0);
    assert_int_equal(pipe2(b, O_CLOEXEC), 0);
    int fds[] = {b[1] > a[1] ? b[1] : a[1], b[1] > a[1] ? a[1] : b[1]};
    int first = b[1] > a[1] ? b[0] : a[0];
    start(&c, "echo four >&4; echo five >&5", 2, fds);
    wait_end(&c);
    char text[8] = "";
    assert_int_equal(read(first, text, sizeof text), 5);
    assert_memory_equal(text, "four\n", 5);
    child_close(&c);
    for (int i = 0; i < 2; i++) {
        close(a[i]);
        close(b[i]);
    }
}

/* What a child started ends with it. */
static void grandchildren_end_with_the_child(void **state)
{
    (void)state;
    struct child c;
    int given[2];
    assert_int_equal(pipe2(given, O_CLOEXEC), 0);
    start(&c, "sleep 100 & echo $! >&4; exit 0", 1, &given[1]);
    close(given[1]);
    char text[16] = "";
    assert_true(read(given[0], text, sizeof text - 1) > 0);
    pid_t pid = (pid_t)strtol(text, NULL, 10);
    assert_true(pid > 0);
    wait_end(&c);
    /* Its descriptor of ours closes when it is gone. */
    assert_int_equal(read(given[0], text, sizeof text), 0);
    close(given[0]);
    child_close(&c);
}

static void a_missing_program_is_an_error(void **state)
{
    (void)state;
    struct child c;
    char *argv[] = {"nothing", NULL};
    struct child_config config = {.path = "/nonexistent/weir-worker", .argv = argv, .message_max = 4096};
    assert_int_equal(child_start(&c, &config, &diag), WEIR_E_NOT_FOUND);
    assert_non_null(strstr(diag.text, "/nonexistent/weir-worker"));
    child_close(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ends_are_told_in_words),          cmocka_unit_test(a_child_gets_its_descriptors_and_no_others),
        cmocka_unit_test(descriptors_may_have_any_number), cmocka_unit_test(grandchildren_end_with_the_child),
        cmocka_unit_test(a_missing_program_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
