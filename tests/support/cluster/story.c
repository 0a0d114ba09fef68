/* SPDX-License-Identifier: Apache-2.0 */
/* How a story begins and ends, and the program around the stories. */
#include <ftw.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/cluster/cluster.h"

#define STOP_MS 15000   /* a daemon has to end by SIGTERM; far above what it needs */
#define TAIL_BYTES 4000 /* of each log shown after a failure */
#define DESCENDANTS_MAX 256
#define EXIT_SKIPPED 77

static bool skipped;
static struct cluster *unfinished; /* its end failed, or has not come */

/* ---- begin and end of a story -------------------------------------------------------------------------------------------------------- */

/* What a crash of a plugin looks like is what the stories are about, so a sanitizer must not turn it into an exit of its own. */
static void let_crash(void)
{
    char options[1024];
    const char *given = getenv("ASAN_OPTIONS");
    (void)snprintf(options, sizeof options, "%s:handle_segv=0:handle_abort=0", given ? given : "");
    (void)setenv("ASAN_OPTIONS", options, 1);
}

int cluster_open(void **state)
{
    struct cluster *c = calloc(1, sizeof *c);
    if (!c) return -1;
    const char *base = getenv("WEIR_TEST_DIR");
    (void)snprintf(c->dir, sizeof c->dir, "%s/weir-it-XXXXXX",
                   base && *base && strlen(base) < 20 ? base : "/tmp"); /* short: sockets lie there */
    if (!mkdtemp(c->dir) || mkdir(in_dir(c, "t"), 0700) != 0) return -1;
    (void)setenv("TMPDIR", in_dir(c, "t"), 1);
    (void)setenv("NO_COLOR", "1", 1);
    (void)unsetenv("WEIR_JOBMANAGER");
    let_crash();
    if (prctl(PR_SET_CHILD_SUBREAPER, 1) != 0) return -1;
    *state = unfinished = c;
    return 0;
}

static void show_tail(const char *path, const char *name, const char *what)
{
    size_t len;
    char *text = file_read(path, &len);
    const char *from = text && len > TAIL_BYTES ? text + len - TAIL_BYTES : text;
    if (text && len) print_message("---- %s, %s%s ----\n%s\n", name, what, from > text ? ", the end" : "", from);
    free(text);
}

static void show_logs(const struct cluster *c)
{
    for (uint32_t i = 0; i < CLUSTER_PROCS_MAX; i++) {
        const struct proc *p = &c->procs[i];
        if (!p->used) continue;
        print_message("---- %s %s %d ----\n", p->name, p->pid ? "runs still, pid" : "ended with", p->pid ? (int)p->pid : p->code);
        show_tail(p->err, p->name, "standard error");
        show_tail(p->out, p->name, "standard output");
    }
}

/* Whatever is below us is ours. Killing one may orphan others, which come to us: hence the rounds. */
static void kill_all(struct cluster *c)
{
    pid_t pids[DESCENDANTS_MAX];
    int64_t deadline_ms = now_ms() + STOP_MS;
    uint32_t n;
    while ((n = cluster_processes(c, "", pids, DESCENDANTS_MAX)) > 0) {
        for (uint32_t i = 0; i < n && i < DESCENDANTS_MAX; i++) (void)kill(pids[i], SIGKILL);
        if (!wait_a_little(c, deadline_ms)) return;
    }
}

/* SIGTERM ends every daemon with status 0. TaskManagers first: the JobManager then has nobody left to lose. */
static void stop_daemons(struct cluster *c)
{
    for (uint32_t i = CLUSTER_PROCS_MAX; i-- > 0;) {
        struct proc *p = &c->procs[i];
        if (!p->used || !p->daemon || proc_ended(c, p)) continue;
        proc_signal(p, SIGTERM);
        int code = proc_wait(c, p, STOP_MS);
        if (code != 0) fail_msg("%s ended with %d at SIGTERM", p->name, code);
    }
}

static void check_nothing_left(struct cluster *c)
{
    cluster_wait_processes(c, "", 0, STOP_MS);
    assert_int_equal(sockets_below(c->dir), 0);
    if (c->dirty) return;
    assert_int_equal(files_with_prefix(in_dir(c, "t"), ""), 0);
    for (uint32_t i = 0; i < c->n_taskmanagers; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "tm-%u-", i + 1); /* data sockets; the logs end in .err and .out */
        uint32_t n = 0, logs = files_with_prefix(c->dir, name);
        for (uint32_t k = 0; k < CLUSTER_PROCS_MAX; k++)
            n += c->procs[k].used && strncmp(c->procs[k].name, name, strlen(name) - 1) == 0 ? 2 : 0;
        assert_int_equal(logs, n);
    }
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    (void)st, (void)kind, (void)ftw;
    (void)remove(path);
    return 0;
}

/* The parts that may fail the story, in a call of their own: a failed assertion leaves by longjmp. */
static void end_well(struct cluster *c)
{
    stop_daemons(c);
    check_nothing_left(c);
}

/* What must be done in any case, and cannot fail. */
static void finish(struct cluster *c)
{
    if (!c->passed && !skipped) show_logs(c);
    kill_all(c);
    (void)nftw(c->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(c);
    unfinished = NULL;
}

int cluster_close(void **state)
{
    struct cluster *c = *state;
    bool well = c->passed;
    c->passed = false;
    if (well) end_well(c); /* an assertion leaves from here; story_main finishes then */
    c->passed = well;
    finish(c);
    return 0;
}

/* ---- the program ------------------------------------------------------------------------------------------------------------------ */

void story_skip(struct cluster *c, const char *why)
{
    (void)c;
    skipped = true;
    print_message("skipped: %s\n", why);
    skip();
}

static bool known(const char *name, const struct CMUnitTest *stories, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(stories[i].name, name) == 0) return true;
    return false;
}

int story_main(int argc, char **argv, const struct CMUnitTest *stories, size_t n)
{
    if (argc > 1 && !known(argv[1], stories, n)) {
        print_error("there is no story %s\n", argv[1]);
        return 2;
    }
    int failed = 0;
    for (size_t i = 0; i < n; i++) {
        if (argc > 1 && strcmp(stories[i].name, argv[1]) != 0) continue;
        char path[PATH_MAX];
        int bad = _cmocka_run_group_tests(stories[i].name, &stories[i], 1, NULL, NULL);
        if (unfinished) finish(unfinished);
        if (bad == 0) continue;
        failed++;
        print_error("to repeat it: %s %s\n", realpath(argv[0], path) ? path : argv[0], stories[i].name);
    }
    if (failed) return 1;
    return skipped ? EXIT_SKIPPED : 0;
}
