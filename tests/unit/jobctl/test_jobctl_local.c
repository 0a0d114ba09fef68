/* SPDX-License-Identifier: Apache-2.0 */
/* A local cluster's processes, with shell scripts in their place: how they are started, how a failed start is told, and that nothing stays.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/jobctl/local.h"
#include "runtime/base/clock.h"
#include "runtime/net/socket.h"
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct folder {
    char path[32];
};

static const char stays[] = "#!/bin/sh\nexec sleep 1000 >&2\n";

static void write_script(const struct folder *f, const char *name, const char *text)
{
    char path[80];
    snprintf(path, sizeof path, "%s/%s", f->path, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    assert_int_equal(chmod(path, 0700), 0);
}

static int make_folder(void **state)
{
    struct folder *f = calloc(1, sizeof *f);
    snprintf(f->path, sizeof f->path, "/tmp/weir-ctl-XXXXXX");
    *state = f;
    unsetenv("TMPDIR");
    return mkdtemp(f->path) && !net_start(1) ? 0 : -1;
}

static int remove_folder(void **state)
{
    struct folder *f = *state;
    char path[80];
    snprintf(path, sizeof path, "%s/weir-jobmanager", f->path);
    unlink(path);
    snprintf(path, sizeof path, "%s/weir-taskmanager", f->path);
    unlink(path);
    snprintf(path, sizeof path, "%s/pid", f->path);
    unlink(path);
    rmdir(f->path);
    free(f);
    net_stop();
    return 0;
}

static struct local *start(const struct folder *f, uint32_t taskmanagers)
{
    struct local *l = NULL;
    struct weir_diag diag = {0};
    static const char *const definitions[] = {"log.level=debug", "taskmanager.x=a b"};
    const struct local_config config = {
        .programs = f->path, .taskmanagers = taskmanagers, .slots = 2, .n_definitions = 2, .definitions = definitions};
    if (local_new(&l, &config, &diag)) fail_msg("%s", diag.text);
    return l;
}

static void dir_of(const struct local *l, char dir[static 128])
{
    snprintf(dir, 128, "%s", local_admin(l) + strlen("ipc://"));
    *strrchr(dir, '/') = '\0';
}

static char *logs_of(const struct local *l)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    local_print_logs(l, out);
    fclose(out);
    return text;
}

/* Waits until a process has ended, which local_check tells. */
static void await_loss(struct local *l, struct weir_diag *diag)
{
    int64_t deadline_ms = clock_mono_ms() + 10000;
    while (local_check(l, diag) == WEIR_OK) {
        assert_true(clock_mono_ms() < deadline_ms);
        usleep(2000);
    }
}

static void processes_get_their_flags_and_end(void **state)
{
    struct folder *f = *state;
    write_script(f, "weir-jobmanager", "#!/bin/sh\necho \"$@\"\nexec sleep 1000\n");
    write_script(f, "weir-taskmanager", "#!/bin/sh\necho \"$@\" >&2\nexec sleep 1000 >&2\n");
    struct local *l = start(f, 2);
    char dir[128], expected[1280];
    dir_of(l, dir);
    struct stat st;
    assert_int_equal(stat(dir, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    snprintf(expected, sizeof expected,
             "---- jobmanager ----\n--bind ipc://%s/control --admin ipc://%s/admin --data-dir %s/data --exit-with-parent %d "
             "-D log.level=debug -D taskmanager.x=a b\n"
             "---- tm-1 ----\n--jobmanager ipc://%s/control --id tm-1 --slots 2 --data ipc://%s/tm-1 --state-dir %s/state "
             "--exit-with-parent %d -D log.level=debug -D taskmanager.x=a b\n"
             "---- tm-2 ----\n",
             dir, dir, dir, getpid(), dir, dir, dir, getpid());
    char *logs = logs_of(l);
    for (int i = 0; i < 2000 && (!strstr(logs, "tm-2 ----") || strlen(logs) < strlen(expected) + 50); i++) {
        usleep(2000);
        free(logs);
        logs = logs_of(l);
    }
    weir_err lost = local_check(l, NULL);
    int64_t before = clock_mono_ms();
    local_destroy(&l); /* before anything can fail: orphans would keep the test's output open, and its runner waiting for them */
    if (strncmp(logs, expected, strlen(expected)) != 0) fail_msg("expected\n%sgot\n%s", expected, logs);
    free(logs);
    assert_int_equal(lost, WEIR_OK);
    assert_true(clock_mono_ms() - before < LOCAL_STOP_MS);
    assert_null(l);
    assert_int_equal(stat(dir, &st), -1);
}

static void a_process_that_ends_is_named_with_its_last_words(void **state)
{
    struct folder *f = *state;
    write_script(f, "weir-jobmanager", stays);
    write_script(f, "weir-taskmanager", "#!/bin/sh\necho 'no such flag' >&2\nexit 3\n");
    struct local *l = start(f, 1);
    struct weir_diag diag = {0};
    await_loss(l, &diag);
    assert_string_equal(diag.text, "TaskManager tm-1 of the local cluster ended with exit code 3");
    assert_true(local_jobmanager_runs(l));
    char *logs = logs_of(l);
    assert_string_equal(logs, "---- tm-1 ----\nno such flag\n");
    free(logs);
    local_destroy(&l);
}

/* Exit code 2 of a daemon: what it was told is wrong, and not the machine. */
/* Enough to plan. Until its socket is there, it is not ready. */
static void a_jobmanager_may_be_alone(void **state)
{
    struct folder *f = *state;
    write_script(f, "weir-jobmanager", stays);
    struct local *l = start(f, 0);
    struct weir_diag diag = {0};
    struct weir_client *c = NULL;
    const struct weir_client_config config = {.endpoint = local_admin(l), .timeout_ms = 200};
    assert_int_equal(weir_client_new(&c, &config, &diag), WEIR_OK);
    FILE *nobody = fopen(local_admin(l) + strlen("ipc://"), "w"); /* there, but nobody answers */
    assert_non_null(nobody);
    fclose(nobody);
    assert_int_equal(local_wait_ready(l, c, &diag), WEIR_E_UNREACHABLE);
    assert_int_equal(local_check(l, NULL), WEIR_OK);
    weir_client_destroy(&c);
    local_destroy(&l);
}

static void a_refused_configuration_is_an_argument(void **state)
{
    struct folder *f = *state;
    write_script(f, "weir-jobmanager", stays);
    write_script(f, "weir-taskmanager", "#!/bin/sh\nexit 2\n");
    struct local *l = start(f, 1);
    struct weir_diag diag = {0};
    await_loss(l, &diag);
    assert_int_equal(local_check(l, &diag), WEIR_E_ARGUMENT);
    local_destroy(&l);
}

static void a_killed_jobmanager_is_told_before_all_else(void **state)
{
    struct folder *f = *state;
    write_script(f, "weir-jobmanager", "#!/bin/sh\nkill -SEGV $$\n");
    write_script(f, "weir-taskmanager", "#!/bin/sh\nexit 1\n");
    struct local *l = start(f, 1);
    struct weir_diag diag = {0};
    while (local_jobmanager_runs(l)) await_loss(l, &diag);
    await_loss(l, &diag);
    assert_non_null(strstr(diag.text, "the JobManager of the local cluster was killed by signal 11"));
    struct weir_client *c = NULL;
    const struct weir_client_config config = {.endpoint = local_admin(l), .timeout_ms = 10000};
    assert_int_equal(weir_client_new(&c, &config, &diag), WEIR_OK);
    int64_t before = clock_mono_ms();
    assert_int_equal(local_wait_ready(l, c, &diag), WEIR_E_UNREACHABLE);
    assert_true(clock_mono_ms() - before < 5000); /* it does not wait for an answer that cannot come */
    weir_client_destroy(&c);
    local_destroy(&l);
}

/* What a dead process leaves in its group ends with it. */
static void grandchildren_do_not_stay(void **state)
{
    struct folder *f = *state;
    char script[160], path[80];
    snprintf(path, sizeof path, "%s/pid", f->path);
    snprintf(script, sizeof script, "#!/bin/sh\nsleep 1000 &\necho $! > %s\nexit 1\n", path);
    write_script(f, "weir-jobmanager", stays);
    write_script(f, "weir-taskmanager", script);
    struct local *l = start(f, 1);
    struct weir_diag diag = {0};
    await_loss(l, &diag);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    int pid = 0;
    assert_int_equal(fscanf(file, "%d", &pid), 1);
    fclose(file);
    local_destroy(&l);
    char status[64], line[128] = "";
    snprintf(status, sizeof status, "/proc/%d/stat", pid);
    for (int i = 0; i < 1000; i++) { /* gone, or a zombie that nobody has collected yet */
        file = fopen(status, "r");
        if (!file) return;
        bool ended = fgets(line, sizeof line, file) && strstr(line, ") Z");
        fclose(file);
        if (ended) return;
        usleep(2000);
    }
    fail_msg("process %d is still there: %s", pid, line);
}

static void deaf_processes_are_killed(void **state)
{
    struct folder *f = *state;
    write_script(f, "weir-jobmanager", "#!/bin/sh\ntrap '' TERM\necho deaf\nwhile :; do sleep 1; done\n");
    write_script(f, "weir-taskmanager", stays);
    struct local *l = start(f, 1);
    char *logs = logs_of(l), dir[128];
    for (int i = 0; i < 2000 && !strstr(logs, "deaf"); i++) {
        usleep(2000);
        free(logs);
        logs = logs_of(l);
    }
    free(logs);
    dir_of(l, dir);
    int64_t before = clock_mono_ms();
    local_destroy(&l);
    assert_true(clock_mono_ms() - before >= LOCAL_STOP_MS);
    assert_int_equal(access(dir, F_OK), -1);
}

static void missing_programs_are_named(void **state)
{
    struct folder *f = *state;
    struct local *l = NULL;
    struct weir_diag diag = {0};
    char path[80];
    snprintf(path, sizeof path, "%s/weir-taskmanager", f->path);
    unlink(path);
    write_script(f, "weir-jobmanager", stays);
    const struct local_config config = {.programs = f->path, .taskmanagers = 1, .slots = 1};
    assert_int_equal(local_new(&l, &config, &diag), WEIR_E_NOT_FOUND); /* and the JobManager that ran already is ended */
    assert_non_null(strstr(diag.text, "weir-taskmanager, and it must stand beside jobctl"));
    assert_null(l);
}

static void the_folder_is_where_tmpdir_says_unless_that_is_too_long(void **state)
{
    struct folder *f = *state;
    char dir[128], deep[128];
    write_script(f, "weir-jobmanager", stays);
    write_script(f, "weir-taskmanager", stays);
    setenv("TMPDIR", f->path, 1);
    struct local *l = start(f, 1);
    dir_of(l, dir);
    assert_int_equal(strncmp(dir, f->path, strlen(f->path)), 0);
    local_destroy(&l);
    memset(deep, 'x', 100);
    deep[0] = '/';
    deep[100] = '\0';
    setenv("TMPDIR", deep, 1);
    l = start(f, 1);
    dir_of(l, dir);
    assert_int_equal(strncmp(dir, "/tmp/weir-", 10), 0);
    local_destroy(&l);
    setenv("TMPDIR", "/no/such/folder", 1);
    struct weir_diag diag = {0};
    const struct local_config config = {.programs = f->path, .taskmanagers = 1, .slots = 1};
    assert_int_not_equal(local_new(&l, &config, &diag), WEIR_OK);
    assert_non_null(strstr(diag.text, "set TMPDIR to a folder that can be written"));
    unsetenv("TMPDIR");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(processes_get_their_flags_and_end),
        cmocka_unit_test(a_process_that_ends_is_named_with_its_last_words),
        cmocka_unit_test(a_jobmanager_may_be_alone),
        cmocka_unit_test(a_refused_configuration_is_an_argument),
        cmocka_unit_test(a_killed_jobmanager_is_told_before_all_else),
        cmocka_unit_test(grandchildren_do_not_stay),
        cmocka_unit_test(deaf_processes_are_killed),
        cmocka_unit_test(missing_programs_are_named),
        cmocka_unit_test(the_folder_is_where_tmpdir_says_unless_that_is_too_long),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
