/* SPDX-License-Identifier: Apache-2.0 */
#include "api/jobctl/local.h"

#include "api/jobctl/arguments.h"
#include "api/jobctl/interrupt.h"
#include "runtime/base/clock.h"
#include "runtime/base/daemon.h"
#include "runtime/base/process.h"
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <jansson.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    LOOK_MS = 5,     /* pause between two looks at starting or ending processes */
    NAME_BYTES = 16, /* "jobmanager", "tm-64" */
    PATH_BYTES = LOCAL_DIR_MAX + 32,
    FLAGS_MAX = 16,
    ARGV_MAX = FLAGS_MAX + 2 * CTL_DEFINITIONS_MAX,
};

struct child {
    char name[NAME_BYTES];
    pid_t pid;    /* 0 = not running */
    bool lost;    /* ended without being asked to */
    bool refused; /* ... because its configuration is wrong */
    char how[96]; /* how it ended */
};

struct local {
    char dir[LOCAL_DIR_MAX];
    char admin[PATH_BYTES];
    const char *programs; /* folder; NULL: beside this program */
    uint32_t taskmanagers;
    uint32_t n_definitions;
    const char *const *definitions;
    uint32_t n_children; /* child[0] is the JobManager */
    struct child child[];
};

extern char **environ;

/* ---- folder and programs ---- */

static weir_err make_folder(struct local *l, struct weir_diag *diag)
{
    const char *base = getenv("TMPDIR");
    bool usable = base && base[0] == '/' && strlen(base) + sizeof "/weir-XXXXXX" <= sizeof l->dir;
    snprintf(l->dir, sizeof l->dir, "%s/weir-XXXXXX", usable ? base : "/tmp");
    if (mkdtemp(l->dir)) { /* mode 0700 */
        snprintf(l->admin, sizeof l->admin, "ipc://%s/admin", l->dir);
        return WEIR_OK;
    }
    int error = errno;
    weir_err err =
        weir_fail_errno(diag, error, "cannot make a folder for the local cluster, %s: set TMPDIR to a folder that can be written", l->dir);
    l->dir[0] = '\0';
    return err;
}

static weir_err program_path(const char *folder, const char *program, char *out, size_t size, struct weir_diag *diag)
{
    if (folder) {
        int n = snprintf(out, size, "%s/%s", folder, program);
        if (n < 0 || (size_t)n >= size) return weir_fail(diag, WEIR_E_LIMIT, "the folder of %s has a name that is too long", program);
    } else {
        weir_err err = process_beside(program, out, size, diag);
        if (err) return err;
    }
    if (access(out, X_OK) == 0) return WEIR_OK;
    return weir_fail(diag, WEIR_E_NOT_FOUND, "there is no program %s, and it must stand beside jobctl: build it, or install it there", out);
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *walk)
{
    (void)st, (void)type, (void)walk;
    (void)remove(path); /* what cannot go stays, the rest goes */
    return 0;
}

/* ---- starting ---- */

struct spawn {
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
};

/* stdin from nowhere, stderr (and stdout, unless it is inherited) into the log; own process group; signals as a fresh program expects them.
 */
static int prepare(struct spawn *s, const char *log, bool inherit_stdout)
{
    sigset_t none, defaults;
    sigemptyset(&none);
    sigfillset(&defaults);
    int bad = posix_spawn_file_actions_init(&s->files);
    if (bad) return bad;
    bad = posix_spawnattr_init(&s->attributes);
    if (bad) {
        posix_spawn_file_actions_destroy(&s->files);
        return bad;
    }
    bad = posix_spawn_file_actions_addopen(&s->files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    if (!bad) bad = posix_spawn_file_actions_addopen(&s->files, STDERR_FILENO, log, O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (!bad && !inherit_stdout) bad = posix_spawn_file_actions_adddup2(&s->files, STDERR_FILENO, STDOUT_FILENO);
    if (!bad) bad = posix_spawnattr_setpgroup(&s->attributes, 0);
    if (!bad) bad = posix_spawnattr_setsigmask(&s->attributes, &none);
    if (!bad) bad = posix_spawnattr_setsigdefault(&s->attributes, &defaults);
    short flags = POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF;
    if (!bad) bad = posix_spawnattr_setflags(&s->attributes, flags);
    if (!bad) return 0;
    posix_spawn_file_actions_destroy(&s->files);
    posix_spawnattr_destroy(&s->attributes);
    return bad;
}

static bool is_of_another_cluster(const char *variable)
{
    static const char *const names[] = {CTL_JOBMANAGER_ENV "=", CTL_KEY_ENV "=", CTL_KNOWN_KEYS_ENV "="};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strncmp(variable, names[i], strlen(names[i])) == 0) return true;
    return false;
}

/* The environment without another cluster's address and keys. */
static char **own_environment(void)
{
    size_t n = 0, kept = 0;
    while (environ[n]) n++;
    char **env = calloc(n + 1, sizeof *env);
    for (size_t i = 0; env && i < n; i++) {
        if (!is_of_another_cluster(environ[i])) env[kept++] = environ[i];
    }
    return env;
}

/* The flags, then the definitions. */
static void make_argv(const struct local *l, const char *const *flags, const char *argv[static ARGV_MAX])
{
    uint32_t n = 0;
    for (; flags[n]; n++) argv[n] = flags[n];
    for (uint32_t i = 0; i < l->n_definitions; i++) {
        argv[n++] = "-D";
        argv[n++] = l->definitions[i];
    }
    argv[n] = NULL;
}

/* flags: NULL-terminated, flags[0] is the program's name. */
static weir_err start(struct local *l, const char *name, const char *const *flags, bool inherit_stdout, struct weir_diag *diag)
{
    char path[PATH_MAX], log[PATH_BYTES + NAME_BYTES];
    const char *argv[ARGV_MAX];
    make_argv(l, flags, argv);
    weir_err err = program_path(l->programs, flags[0], path, sizeof path, diag);
    if (err) return err;
    snprintf(log, sizeof log, "%s/%s.log", l->dir, name);
    struct spawn s;
    pid_t pid = 0;
    char **env = own_environment();
    int bad = env ? prepare(&s, log, inherit_stdout) : ENOMEM;
    if (!bad) {
        bad = posix_spawn(&pid, path, &s.files, &s.attributes, (char *const *)(uintptr_t)argv, env);
        posix_spawn_file_actions_destroy(&s.files);
        posix_spawnattr_destroy(&s.attributes);
    }
    free(env);
    if (bad) return weir_fail_errno(diag, bad, "cannot start %s", path);
    struct child *c = &l->child[l->n_children++];
    snprintf(c->name, sizeof c->name, "%s", name);
    c->pid = pid;
    return WEIR_OK;
}

static weir_err start_jobmanager(struct local *l, const char *parent, struct weir_diag *diag)
{
    char control[PATH_BYTES], data[PATH_BYTES];
    snprintf(control, sizeof control, "ipc://%s/control", l->dir);
    snprintf(data, sizeof data, "%s/data", l->dir);
    const char *flags[FLAGS_MAX] = {"weir-jobmanager",    "--bind", control, "--admin", l->admin, "--data-dir", data,
                                    "--exit-with-parent", parent,   NULL};
    return start(l, "jobmanager", flags, false, diag);
}

static weir_err start_taskmanager(struct local *l, uint32_t number, const char *slots, const char *parent, struct weir_diag *diag)
{
    char control[PATH_BYTES], data[PATH_BYTES], state[PATH_BYTES], id[NAME_BYTES];
    snprintf(id, sizeof id, "tm-%" PRIu32, number);
    snprintf(state, sizeof state, "%s/state", l->dir);
    snprintf(control, sizeof control, "ipc://%s/control", l->dir);
    snprintf(data, sizeof data, "ipc://%s/%s", l->dir, id);
    const char *flags[FLAGS_MAX] = {
        "weir-taskmanager",   "--jobmanager", control, "--id", id, "--slots", slots, "--data", data, "--state-dir", state,
        "--exit-with-parent", parent,         NULL};
    return start(l, id, flags, true, diag);
}

static weir_err start_all(struct local *l, const struct local_config *config, struct weir_diag *diag)
{
    char parent[16], slots[16];
    snprintf(parent, sizeof parent, "%d", (int)getpid());
    snprintf(slots, sizeof slots, "%" PRIu32, config->slots);
    weir_err err = start_jobmanager(l, parent, diag);
    for (uint32_t i = 1; !err && i <= config->taskmanagers; i++) err = start_taskmanager(l, i, slots, parent, diag);
    return err;
}

weir_err local_new(struct local **out, const struct local_config *config, struct weir_diag *diag)
{
    struct local *l = calloc(1, sizeof *l + (config->taskmanagers + 1) * sizeof l->child[0]);
    if (!l) return weir_fail(diag, WEIR_E_NOMEM, "out of memory");
    l->taskmanagers = config->taskmanagers;
    l->programs = config->programs;
    l->n_definitions = config->n_definitions;
    l->definitions = config->definitions;
    weir_err err = make_folder(l, diag);
    if (!err) err = start_all(l, config, diag);
    if (err) {
        local_destroy(&l);
        return err;
    }
    *out = l;
    return WEIR_OK;
}

const char *local_admin(const struct local *local)
{
    return local->admin;
}

/* ---- watching ---- */

static void describe_end(struct child *c, const siginfo_t *info)
{
    if (info->si_code == CLD_EXITED) {
        snprintf(c->how, sizeof c->how, "ended with exit code %d", info->si_status);
        c->refused = info->si_status == DAEMON_USAGE;
    } else {
        snprintf(c->how, sizeof c->how, "was killed by signal %d (%s)", info->si_status, strsignal(info->si_status));
    }
}

/*
 * Collects a child that has ended. Until then its number cannot be given to another process or group, so this is the moment to end what it
 * may have left in its group.
 */
static bool collect(struct child *c)
{
    siginfo_t info = {0};
    if (!c->pid) return true;
    if (waitid(P_PID, (id_t)c->pid, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == 0) return false;
    describe_end(c, &info);
    (void)kill(-c->pid, SIGKILL);
    while (waitpid(c->pid, NULL, 0) < 0 && errno == EINTR) continue;
    c->pid = 0;
    return true;
}

weir_err local_check(struct local *local, struct weir_diag *diag)
{
    for (uint32_t i = 0; i < local->n_children; i++) {
        struct child *c = &local->child[i];
        if (c->lost || !collect(c)) continue;
        c->lost = true;
    }
    for (uint32_t i = 0; i < local->n_children; i++) {
        const struct child *c = &local->child[i];
        if (c->lost)
            return weir_fail(diag, c->refused ? WEIR_E_ARGUMENT : WEIR_E_UNREACHABLE, "%s%s of the local cluster %s",
                             i ? "TaskManager " : "the JobManager", i ? c->name : "", c->how);
    }
    return WEIR_OK;
}

bool local_jobmanager_runs(const struct local *local)
{
    return local->n_children > 0 && !local->child[0].lost;
}

static weir_err count_registered(struct weir_client *client, size_t *out, struct weir_diag *diag)
{
    struct weir_reply reply = {0};
    weir_err err = weir_client_request(client, "GET", "/taskmanagers", NULL, &reply, diag);
    if (err) return err;
    json_t *doc = json_loadb(reply.body, reply.len, 0, NULL);
    *out = json_array_size(json_object_get(doc, "taskmanagers"));
    json_decref(doc);
    weir_reply_close(&reply);
    return WEIR_OK;
}

static bool bound(const struct local *l)
{
    return access(l->admin + strlen("ipc://"), F_OK) == 0;
}

weir_err local_wait_ready(struct local *local, struct weir_client *client, struct weir_diag *diag)
{
    int64_t deadline_ms = clock_mono_ms() + LOCAL_START_MS;
    size_t registered = 0;
    for (;;) {
        weir_err err = local_check(local, diag);
        if (err) return err;
        /* Asking before the socket is there would cost the pause before ZeroMQ connects again. */
        if (bound(local)) {
            err = count_registered(client, &registered, diag);
            if (err || registered >= local->taskmanagers) return err;
        }
        if (interrupt_pending()) return weir_fail(diag, WEIR_E_CANCELED, "interrupted");
        if (clock_mono_ms() > deadline_ms) {
            return weir_fail(diag, WEIR_E_TIMEOUT, "%zu of %" PRIu32 " TaskManagers are registered after %d s", registered,
                             local->taskmanagers, LOCAL_START_MS / 1000);
        }
        interrupt_pause(LOOK_MS);
    }
}

/* ---- logs ---- */

static void print_tail(const struct local *l, const char *name, FILE *out)
{
    char path[PATH_BYTES + NAME_BYTES], text[LOCAL_TAIL_BYTES + 1];
    snprintf(path, sizeof path, "%s/%s.log", l->dir, name);
    FILE *log = fopen(path, "re");
    if (!log) return;
    bool cut = fseek(log, -LOCAL_TAIL_BYTES, SEEK_END) == 0;
    size_t n = fread(text, 1, LOCAL_TAIL_BYTES, log);
    fclose(log);
    if (n == 0) return;
    text[n] = '\0';
    const char *from = text;
    if (cut && strchr(text, '\n')) from = strchr(text, '\n') + 1; /* begin with a whole line */
    fprintf(out, "---- %s%s ----\n%s%s", name, cut ? ", the end of its log" : "", from, text[n - 1] == '\n' ? "" : "\n");
}

void local_print_logs(const struct local *local, FILE *out)
{
    for (uint32_t i = 0; i < local->n_children; i++) print_tail(local, local->child[i].name, out);
}

/* ---- ending ---- */

static void signal_all(struct local *l, int signal, bool group)
{
    for (uint32_t i = 0; i < l->n_children; i++) {
        pid_t pid = l->child[i].pid; /* not collected yet, so it is still ours */
        if (pid) (void)kill(group ? -pid : pid, signal);
    }
}

static bool all_ended(struct local *l)
{
    bool all = true;
    for (uint32_t i = 0; i < l->n_children; i++) all &= collect(&l->child[i]);
    return all;
}

static void end_processes(struct local *l)
{
    int64_t deadline_ms = clock_mono_ms() + LOCAL_STOP_MS;
    signal_all(l, SIGTERM, false);
    while (!all_ended(l)) {
        if (clock_mono_ms() > deadline_ms || interrupt_pending()) break;
        interrupt_pause(LOOK_MS);
    }
    signal_all(l, SIGKILL, true);
    const struct timespec pause = {0, LOOK_MS * 1000000};
    while (!all_ended(l)) (void)nanosleep(&pause, NULL); /* SIGKILL has no answer to wait for but the kernel's */
}

void local_destroy(struct local **local)
{
    struct local *l = *local;
    *local = NULL;
    if (!l) return;
    end_processes(l);
    if (l->dir[0]) (void)nftw(l->dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    free(l);
}
