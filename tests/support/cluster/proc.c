/* SPDX-License-Identifier: Apache-2.0 */
/* Children of the test and everything below them: started, watched, collected, counted. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/support/cluster/cluster.h"

#define LOOK_MS 5       /* pause between two looks at what is waited for */
#define DEAR_LOOK_MS 40 /* the same where looking is dear */
#define DESCENDANTS_SHOWN 256

/* One of a few static places, used in turn, so that several results can stand in one call. */
static char *place(void)
{
    static char places[16][CLUSTER_PATH_MAX * 4];
    static unsigned next;
    return places[next++ % 16];
}

/* ---- time ------------------------------------------------------------------------------------------------------------------------ */

int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Every child is collected here: the ones in the table with their status, orphans that became ours without. */
static void reap(struct cluster *c)
{
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        for (uint32_t i = 0; i < CLUSTER_PROCS_MAX; i++) {
            struct proc *p = &c->procs[i];
            if (p->pid != pid) continue;
            p->pid = 0;
            p->code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
        }
    }
}

static bool rest(struct cluster *c, int64_t deadline_ms, long pause_ms)
{
    const struct timespec pause = {0, pause_ms * 1000000};
    reap(c);
    if (now_ms() > deadline_ms) return false;
    (void)nanosleep(&pause, NULL);
    reap(c);
    return true;
}

bool wait_a_little(struct cluster *c, int64_t deadline_ms)
{
    return rest(c, deadline_ms, LOOK_MS);
}

bool wait_a_while(struct cluster *c, int64_t deadline_ms)
{
    return rest(c, deadline_ms, DEAR_LOOK_MS);
}

/* ---- processes -------------------------------------------------------------------------------------------------------------------- */

static struct proc *free_place(struct cluster *c)
{
    for (uint32_t i = 0; i < CLUSTER_PROCS_MAX; i++)
        if (!c->procs[i].used) return &c->procs[i];
    for (uint32_t i = 0; i < CLUSTER_PROCS_MAX; i++)
        if (c->procs[i].forgotten && c->procs[i].pid == 0) return &c->procs[i];
    fail_msg("more than %d processes that nobody has forgotten", CLUSTER_PROCS_MAX);
    return NULL;
}

/* In the child, between fork and exec: nothing but system calls. */
static void become(const struct proc *p, const char *path, char *const *argv, pid_t parent)
{
    sigset_t none;
    sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)setpgid(0, 0); /* a Ctrl-C meant for the test must not reach it twice */
    int in = open("/dev/null", O_RDONLY), out = open(p->out, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    int err = open(p->err, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0600);
    if (in < 0 || out < 0 || err < 0 || dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(err, 2) < 0) _exit(126);
    /* SIGTERM, so that a local cluster is cleaned away when the test is killed. */
    if (prctl(PR_SET_PDEATHSIG, SIGTERM) != 0 || getppid() != parent) _exit(126);
    execv(path, argv);
    _exit(127);
}

struct proc *proc_start(struct cluster *c, const char *name, const char *const *argv)
{
    static unsigned serial;
    char path[PATH_MAX];
    struct proc *p = free_place(c);
    *p = (struct proc){.used = true};
    (void)snprintf(p->name, sizeof p->name, "%s", name);
    (void)snprintf(p->out, sizeof p->out, "%s/%s-%u.out", c->dir, name, serial);
    (void)snprintf(p->err, sizeof p->err, "%s/%s-%u.err", c->dir, name, serial++);
    (void)snprintf(path, sizeof path, "%s%s", strchr(argv[0], '/') ? "" : WEIR_TEST_BIN "/", argv[0]);
    pid_t parent = getpid(), pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) become(p, path, (char *const *)(uintptr_t)argv, parent);
    p->pid = pid;
    return p;
}

void proc_forget(struct proc *p)
{
    p->forgotten = true;
}

bool proc_ended(struct cluster *c, struct proc *p)
{
    reap(c);
    return p->pid == 0;
}

int proc_wait(struct cluster *c, struct proc *p, int64_t within_ms)
{
    int64_t deadline_ms = now_ms() + within_ms;
    while (!proc_ended(c, p))
        if (!wait_a_little(c, deadline_ms))
            fail_msg("%s (pid %d) has not ended within %lld ms", p->name, (int)p->pid, (long long)within_ms);
    return p->code;
}

void proc_signal(struct proc *p, int signal_number)
{
    assert_true(p->pid > 0);
    assert_int_equal(kill(p->pid, signal_number), 0);
}

static const char *find_line(const char *text, const char *part, uint32_t nth, uint32_t *count)
{
    uint32_t n = 0;
    const char *found = NULL;
    for (const char *line = text; *line;) {
        const char *end = strchr(line, '\n');
        if (!end) break; /* not whole yet */
        const char *at = strstr(line, part);
        if (at && at < end && ++n == nth) found = line;
        line = end + 1;
    }
    if (count) *count = n;
    return found;
}

uint32_t proc_count_log(const struct proc *p, const char *text)
{
    size_t len;
    uint32_t n = 0;
    char *log = file_read(p->err, &len);
    if (log) (void)find_line(log, text, 0, &n);
    free(log);
    return n;
}

const char *proc_wait_log(struct cluster *c, struct proc *p, const char *text, uint32_t nth)
{
    int64_t deadline_ms = now_ms() + CLUSTER_WAIT_MS;
    char *to = place();
    do {
        size_t len;
        char *log = file_read(p->err, &len);
        const char *line = log ? find_line(log, text, nth, NULL) : NULL;
        if (line) (void)snprintf(to, CLUSTER_PATH_MAX * 4, "%.*s", (int)strcspn(line, "\n"), line);
        free(log);
        if (line) return to;
        if (proc_ended(c, p)) fail_msg("%s ended with %d without line %u \"%s\" in its log", p->name, p->code, nth, text);
    } while (wait_a_little(c, deadline_ms));
    fail_msg("%s has not logged \"%s\" %u times", p->name, text, nth);
    return NULL;
}

const char *log_field(const char *line, const char *key)
{
    char *to = place();
    const char *at = strstr(line, key);
    if (!at) fail_msg("no %s in: %s", key, line);
    at += strlen(key);
    size_t len = *at == '"' ? strcspn(++at, "\"") : strcspn(at, " ");
    (void)snprintf(to, CLUSTER_PATH_MAX * 4, "%.*s", (int)len, at);
    return to;
}

int64_t proc_status_kb(pid_t pid, const char *field)
{
    char path[64], text[8192];
    (void)snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    FILE *file = fopen(path, "re");
    if (!file) return 0;
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    (void)fclose(file);
    const char *at = strstr(text, field);
    return at ? strtoll(at + strlen(field) + 1, NULL, 10) : 0;
}

/* ---- who is there -------------------------------------------------------------------------------------------------------------------- */

struct seen {
    pid_t pid, parent;
    char program[64], state;
};

/* Of /proc/PID/stat and the name of its program (not of its main thread, which may have another). */
static bool read_process(const char *pid, struct seen *out)
{
    char path[64], text[512], target[PATH_MAX];
    (void)snprintf(path, sizeof path, "/proc/%.20s/stat", pid);
    FILE *file = fopen(path, "re");
    if (!file) return false;
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    (void)fclose(file);
    const char *name = strchr(text, '('), *behind = strrchr(text, ')');
    int parent;
    if (!name || !behind || sscanf(behind, ") %c %d", &out->state, &parent) != 2) return false;
    out->pid = (pid_t)strtol(text, NULL, 10);
    out->parent = (pid_t)parent;
    (void)snprintf(out->program, sizeof out->program, "%.*s", (int)(behind - name - 1), name + 1);
    (void)snprintf(path, sizeof path, "/proc/%.20s/exe", pid);
    ssize_t len = readlink(path, target, sizeof target - 1);
    if (len <= 0) return true;
    target[len] = '\0';
    (void)snprintf(out->program, sizeof out->program, "%.63s", strrchr(target, '/') ? strrchr(target, '/') + 1 : target);
    return true;
}

static uint32_t read_all(struct seen *out, uint32_t max)
{
    uint32_t n = 0;
    DIR *proc = opendir("/proc");
    assert_non_null(proc);
    for (struct dirent *entry; n < max && (entry = readdir(proc));)
        if (entry->d_name[0] >= '0' && entry->d_name[0] <= '9' && read_process(entry->d_name, &out[n])) n++;
    (void)closedir(proc);
    return n;
}

static bool is_below(const struct seen *all, uint32_t n, const struct seen *who, pid_t root)
{
    pid_t parent = who->parent;
    for (int depth = 0; depth < 32 && parent > 1; depth++) {
        if (parent == root) return true;
        uint32_t i = 0;
        while (i < n && all[i].pid != parent) i++;
        if (i == n) return false;
        parent = all[i].parent;
    }
    return false;
}

static uint32_t processes_below(pid_t root, const char *name, bool direct, pid_t *out, uint32_t max)
{
    static struct seen all[16384];
    uint32_t n = read_all(all, sizeof all / sizeof *all), found = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (all[i].state == 'Z' || (*name && strcmp(all[i].program, name) != 0)) continue;
        if (direct ? all[i].parent != root : !is_below(all, n, &all[i], root)) continue;
        if (found < max) out[found] = all[i].pid;
        found++;
    }
    return found;
}

uint32_t cluster_processes(struct cluster *c, const char *name, pid_t *out, uint32_t max)
{
    reap(c);
    return processes_below(getpid(), name, false, out, max);
}

uint32_t proc_children(pid_t parent, const char *name, pid_t *out, uint32_t max)
{
    return processes_below(parent, name, true, out, max);
}

void cluster_wait_processes(struct cluster *c, const char *name, uint32_t n, int64_t within_ms)
{
    int64_t deadline_ms = now_ms() + within_ms;
    pid_t pids[DESCENDANTS_SHOWN];
    uint32_t found;
    while ((found = cluster_processes(c, name, pids, DESCENDANTS_SHOWN)) != n)
        if (!wait_a_while(c, deadline_ms))
            fail_msg("%u processes %s instead of %u (the first: %d)", found, name, n, found ? (int)pids[0] : 0);
}
