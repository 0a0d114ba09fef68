/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/net/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/base/assert.h"

extern char **environ;

enum {
    FIRST_FD = 3,                                /* the pipe in the child */
    SAFE_FD = FIRST_FD + 1 + (int)CHILD_FDS_MAX, /* from here on no number collides with those of the child */
    N_MAX = 1 + (int)CHILD_FDS_MAX,
};

/* A struct of posix_spawn's two attributes, so that they are made and dropped together. */
struct recipe {
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
};

static int recipe_init(struct recipe *r)
{
    int bad = posix_spawn_file_actions_init(&r->files);
    if (bad) return bad;
    bad = posix_spawnattr_init(&r->attributes);
    if (bad) (void)posix_spawn_file_actions_destroy(&r->files);
    return bad;
}

static void recipe_close(struct recipe *r)
{
    (void)posix_spawn_file_actions_destroy(&r->files);
    (void)posix_spawnattr_destroy(&r->attributes);
}

static int recipe_fill(struct recipe *r, const int *fds, int n)
{
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    int bad = 0;
    for (int i = 0; i < n && !bad; i++) bad = posix_spawn_file_actions_adddup2(&r->files, fds[i], FIRST_FD + i);
    if (!bad) bad = posix_spawn_file_actions_addclosefrom_np(&r->files, FIRST_FD + n);
    if (!bad) bad = posix_spawnattr_setsigmask(&r->attributes, &none);
    if (!bad) bad = posix_spawnattr_setsigdefault(&r->attributes, &all);
    if (!bad) bad = posix_spawnattr_setpgroup(&r->attributes, 0);
    if (!bad) bad = posix_spawnattr_setflags(&r->attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
    return bad;
}

static int spawn(struct child *c, const struct child_config *config, const int *fds, int n)
{
    struct recipe r;
    int bad = recipe_init(&r);
    if (bad) return bad;
    bad = recipe_fill(&r, fds, n);
    pid_t pid = 0;
    if (!bad) bad = posix_spawn(&pid, config->path, &r.files, &r.attributes, config->argv, environ);
    recipe_close(&r);
    if (!bad) c->pid = pid;
    return bad;
}

/* Copies with numbers out of the way of FIRST_FD..., for dup2 one after the other must not overwrite a source. Returns how many were made.
 */
static int copy_fds(const struct child_config *config, int pipe_fd, int *copies)
{
    int n = 0;
    for (; n < 1 + (int)config->n_fds; n++) {
        copies[n] = fcntl(n == 0 ? pipe_fd : config->fds[n - 1], F_DUPFD_CLOEXEC, SAFE_FD);
        if (copies[n] < 0) break;
    }
    return n;
}

static int start_with(struct child *c, const struct child_config *config, int pipe_fd)
{
    int copies[N_MAX];
    int n = copy_fds(config, pipe_fd, copies);
    int bad = n == 1 + (int)config->n_fds ? spawn(c, config, copies, n) : errno;
    for (int i = 0; i < n; i++) close(copies[i]);
    if (bad) return bad;
    c->pidfd = (int)syscall(SYS_pidfd_open, c->pid, 0);
    return c->pidfd < 0 ? errno : 0;
}

weir_err child_start(struct child *c, const struct child_config *config, struct weir_diag *diag)
{
    WEIR_ASSERT(config->n_fds <= CHILD_FDS_MAX);
    *c = (struct child){.pidfd = -1, .pipe = {.fd = -1}};
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) return weir_fail_errno(diag, errno, "cannot make a pipe");
    pipe_init(&c->pipe, ends[0], config->message_max);
    int bad = start_with(c, config, ends[1]);
    close(ends[1]);
    if (!bad) return WEIR_OK;
    child_close(c);
    return weir_fail_errno(diag, bad, "cannot start %s", config->path);
}

void child_kill(struct child *c)
{
    /* Not collected yet, so the number is still its own, as process and as group. */
    if (c->pid == 0) return;
    (void)kill(-c->pid, SIGKILL);
    (void)kill(c->pid, SIGKILL);
}

static bool has_ended(const struct child *c, siginfo_t *info, int flags)
{
    int rc;
    do rc = waitid(P_PID, (id_t)c->pid, info, WEXITED | flags);
    while (rc != 0 && errno == EINTR);
    return rc == 0 && info->si_pid == c->pid;
}

bool child_collect(struct child *c)
{
    siginfo_t info = {0};
    if (c->pid == 0) return true;
    if (!has_ended(c, &info, WNOHANG | WNOWAIT)) return false;
    (void)kill(-c->pid, SIGKILL); /* while the number cannot be given to another group */
    (void)has_ended(c, &info, 0);
    c->end = (struct child_end){.by_signal = info.si_code != CLD_EXITED, .number = info.si_status};
    c->pid = 0;
    return true;
}

void child_close(struct child *c)
{
    siginfo_t info = {0};
    child_kill(c);
    if (c->pid != 0) (void)has_ended(c, &info, 0);
    c->pid = 0;
    if (c->pidfd > 0) close(c->pidfd);
    c->pidfd = -1;
    if (c->pipe.message_max > 0) pipe_close(&c->pipe);
}

const char *child_end_words(struct child_end end, char out[static CHILD_END_WORDS_MAX])
{
    const char *name = end.by_signal ? sigabbrev_np(end.number) : NULL;
    if (name)
        (void)snprintf(out, CHILD_END_WORDS_MAX, "SIG%s", name);
    else
        (void)snprintf(out, CHILD_END_WORDS_MAX, "%s %d", end.by_signal ? "signal" : "exit status", end.number);
    return out;
}
