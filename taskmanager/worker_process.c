/* SPDX-License-Identifier: Apache-2.0 */
#include "taskmanager/worker_process.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/process.h"
#include "runtime/base/scratch.h"

struct worker_process {
    struct weir_id job;
    uint32_t attempt;
    struct child child;
    int box_fd;
    char ipc_path[NET_ENDPOINT_MAX]; /* of its data socket; "" with tcp */
    char state_dir[PATH_MAX];        /* base of scratch folders */
    bool pipe_ended;
    weir_err pipe_err; /* why we killed it: WEIR_E_CORRUPT it broke the pipe, WEIR_E_LIMIT it did not read */
    /* Steps of its threads as last seen, and since when they stand still: who hangs, when it has to be killed. */
    uint64_t steps[WEIR_SLOTS_MAX];
    int64_t still_since_ms[WEIR_SLOTS_MAX];
};

/* ---- starting ---- */

static weir_err make_box(struct worker_process *w, struct weir_diag *diag)
{
    w->box_fd = memfd_new("blackbox");
    if (w->box_fd < 0) return weir_fail_errno(diag, errno, "make a memory file for the black box");
    return memfd_seal_size(w->box_fd, sizeof(struct blackbox), diag); /* the worker cannot cut it under our reads */
}

static weir_err start_child(struct worker_process *w, const struct worker_process_config *c, struct weir_diag *diag)
{
    char parent[16];
    (void)snprintf(parent, sizeof parent, "%d", (int)getpid());
    char memory[24], segment[16], silence[16];
    (void)snprintf(memory, sizeof memory, "%" PRIu64, c->slot_memory);
    (void)snprintf(segment, sizeof segment, "%" PRIu32, c->segment);
    (void)snprintf(silence, sizeof silence, "%" PRIu32, c->silence_ms);
    const char *argv[] = {"weir-worker", "--run",      "--parent",  parent,       "--data",      c->data,
                          "--state",     c->state_dir, "--local",   c->local_dir, "--memory",    memory,
                          "--segment",   segment,      "--silence", silence,      "--log-level", log_level_name(c->log_level),
                          NULL,          NULL,         NULL,        NULL,         NULL};
    size_t n = sizeof argv / sizeof *argv - 5;
    if (c->key && *c->key) {
        argv[n++] = "--key";
        argv[n++] = c->key;
        argv[n++] = "--known-keys";
        argv[n++] = c->known_keys;
    }
    int fds[] = {c->plugin_fd, w->box_fd}; /* 4 and 5 */
    struct child_config config = {
        .path = c->worker_path, .argv = (char *const *)(uintptr_t)argv, .n_fds = 2, .fds = fds, .message_max = WEIR_CONTROL_MAX};
    weir_err err = child_start(&w->child, &config, diag);
    if (err) return err;
    err = pipe_send(&w->child.pipe, c->deploy.data, c->deploy.length);
    /* A worker that is gone already is no failure of the start: its end will be told. */
    return err == WEIR_E_UNREACHABLE ? WEIR_OK : err ? weir_fail(diag, err, "cannot hand the job to its worker") : WEIR_OK;
}

weir_err worker_process_start(struct worker_process **out, const struct worker_process_config *config, struct weir_diag *diag)
{
    struct worker_process *w = calloc(1, sizeof *w);
    if (!w) return weir_fail(diag, WEIR_E_NOMEM, "no memory for a worker");
    w->job = config->job;
    w->attempt = config->attempt;
    w->child.pidfd = w->child.pipe.fd = -1;
    if (strncmp(config->data, "ipc://", 6) == 0 && config->data[6] != '@')
        (void)snprintf(w->ipc_path, sizeof w->ipc_path, "%s", config->data + 6);
    (void)snprintf(w->state_dir, sizeof w->state_dir, "%s", config->state_dir);
    weir_err err = make_box(w, diag);
    if (!err) err = start_child(w, config, diag);
    if (err) {
        worker_process_destroy(&w);
        return err;
    }
    *out = w;
    return WEIR_OK;
}

void worker_process_destroy(struct worker_process **worker)
{
    struct worker_process *w = *worker;
    *worker = NULL;
    if (!w) return;
    child_close(&w->child);
    if (w->ipc_path[0]) (void)unlink(w->ipc_path); /* a killed worker leaves it */
    if (w->state_dir[0]) scratch_sweep(w->state_dir);
    if (w->box_fd >= 0) close(w->box_fd);
    free(w);
}

bool worker_process_is(const struct worker_process *w, struct weir_id job, uint32_t attempt)
{
    return w->attempt == attempt && id_equal(w->job, job);
}

struct weir_id worker_process_job(const struct worker_process *w)
{
    return w->job;
}

uint32_t worker_process_attempt(const struct worker_process *w)
{
    return w->attempt;
}

int worker_process_pid(const struct worker_process *w)
{
    return (int)w->child.pid;
}

/* ---- the black box ---- */

/* Everything the worker wrote, as it is. A box that cannot be read is an empty one. */
static void read_box(const struct worker_process *w, struct blackbox *out)
{
    memset(out, 0, sizeof *out);
    out->ended_by_thread = -1;
    size_t done = 0;
    while (done < sizeof *out) {
        ssize_t n = pread(w->box_fd, (char *)out + done, sizeof *out - done, (off_t)done);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return;
        done += (size_t)n;
    }
}

/* Only the part that tells whether threads move. */
static void observe(struct worker_process *w, int64_t now_ms)
{
    struct blackbox box; /* the names behind the threads are not read */
    size_t size = offsetof(struct blackbox, operators);
    if (pread(w->box_fd, &box, size, 0) != (ssize_t)size) return;
    for (uint32_t i = 0; i < WEIR_SLOTS_MAX; i++) {
        uint64_t steps = box.threads[i].steps;
        if (steps == w->steps[i] && w->still_since_ms[i] != 0) continue;
        w->steps[i] = steps;
        w->still_since_ms[i] = now_ms;
    }
}

/* The thread inside user code that has stood still for longest. */
static int32_t find_suspect(const struct worker_process *w, const struct blackbox *box)
{
    int32_t suspect = -1;
    uint32_t n = box->n_threads < WEIR_SLOTS_MAX ? box->n_threads : WEIR_SLOTS_MAX;
    for (uint32_t i = 0; i < n; i++) {
        if (box->threads[i].op < 0) continue;
        if (suspect < 0 || w->still_since_ms[i] < w->still_since_ms[suspect]) suspect = (int32_t)i;
    }
    return suspect;
}

static bool is_id(const char *name)
{
    size_t len = strnlen(name, WEIR_NAME_MAX + 1);
    if (len == 0 || len > WEIR_NAME_MAX) return false;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)name[i];
        if (c <= 0x20 || c >= 0x7f || c == '"') return false;
    }
    return true;
}

/* The operator a thread was in. false: none, or the box does not hold together. */
static bool operator_of(const struct blackbox *box, int32_t thread, struct worker_end *out)
{
    if (box->magic != BLACKBOX_MAGIC || thread < 0 || thread >= WEIR_SLOTS_MAX || (uint32_t)thread >= box->n_threads) return false;
    int32_t op = box->threads[thread].op, subtask = box->threads[thread].subtask;
    if (op < 0 || op >= BLACKBOX_NAMES_MAX || (uint32_t)op >= box->n_operators || !is_id(box->operators[op])) return false;
    (void)snprintf(out->operator_id, sizeof out->operator_id, "%s", box->operators[op]);
    out->subtask = subtask < 0 ? -1 : subtask;
    return true;
}

static void by_signal(const struct blackbox *box, struct child_end end, int32_t suspect, bool loading, struct worker_end *out)
{
    char words[CHILD_END_WORDS_MAX];
    child_end_words(end, words);
    bool killed = end.number == SIGKILL || end.number == SIGTERM || end.number == SIGXCPU;
    bool known = operator_of(box, killed ? suspect : box->ended_by_thread, out);
    out->code = known && !killed ? WEIR_E_USER : WEIR_E_IO;
    if (killed && known)
        (void)snprintf(out->reason, sizeof out->reason,
                       "the worker was killed: %s (out of memory, or by hand) while operator %s (subtask %d) ran", words, out->operator_id,
                       out->subtask);
    else if (killed)
        (void)snprintf(out->reason, sizeof out->reason, "the worker was killed: %s (out of memory, or by hand)", words);
    else if (known)
        (void)snprintf(out->reason, sizeof out->reason, "operator %s (subtask %d) crashed the worker: %s", out->operator_id, out->subtask,
                       words);
    else if (loading)
        (void)snprintf(out->reason, sizeof out->reason, "the plugin crashed while it was loaded: %s", words);
    else
        (void)snprintf(out->reason, sizeof out->reason, "the worker crashed outside of any operator: %s", words);
    if (loading && !known && !killed) out->code = WEIR_E_USER;
    if (!loading && !known && !killed) out->code = WEIR_E_INTERNAL;
}

static void by_exit(const struct blackbox *box, struct child_end end, int32_t suspect, bool loading, struct worker_end *out)
{
    bool through_exit = box->magic == BLACKBOX_MAGIC && box->ended_by_exit == 1;
    bool known = through_exit && operator_of(box, box->ended_by_thread, out);
    /* Status 0 is the worker's own end, unless a task thread brought it about. */
    if (end.number == 0 && !known && !loading) return;
    /* Another status without exit() is _exit() by somebody: who ran is all that can be said. */
    bool near = !through_exit && operator_of(box, suspect, out);
    out->code = known || near || loading ? WEIR_E_USER : WEIR_E_INTERNAL;
    if (near)
        (void)snprintf(out->reason, sizeof out->reason, "the worker ended with exit status %d while operator %s (subtask %d) ran",
                       end.number, out->operator_id, out->subtask);
    else if (known)
        (void)snprintf(out->reason, sizeof out->reason, "operator %s (subtask %d) left through exit(%d)", out->operator_id, out->subtask,
                       end.number);
    else if (loading)
        (void)snprintf(out->reason, sizeof out->reason, "the plugin left through exit(%d) while it was loaded", end.number);
    else
        (void)snprintf(out->reason, sizeof out->reason, "the worker ended with exit status %d", end.number);
}

void worker_end_words(const struct blackbox *box, struct child_end end, int32_t suspect, struct worker_end *out)
{
    *out = (struct worker_end){.subtask = -1};
    bool loading = box->magic == BLACKBOX_MAGIC && box->loading == 1;
    if (end.by_signal)
        by_signal(box, end, suspect, loading, out);
    else
        by_exit(box, end, suspect, loading, out);
}

void worker_process_end(const struct worker_process *w, struct worker_end *out)
{
    struct blackbox box;
    read_box(w, &box);
    worker_end_words(&box, w->child.end, find_suspect(w, &box), out);
    if (!w->pipe_err) return;
    out->code = WEIR_E_PROTOCOL;
    (void)snprintf(out->reason, sizeof out->reason, "the worker was killed: %s",
                   w->pipe_err == WEIR_E_LIMIT ? "it did not read its messages" : "it sent a message that is too large");
}

/* ---- watching ---- */

void worker_process_waits(const struct worker_process *w, struct net_wait out[static 2])
{
    out[0] = (struct net_wait){.fd = w->child.pidfd, .want_read = true};
    out[1] =
        (struct net_wait){.fd = w->pipe_ended ? -1 : w->child.pipe.fd, .want_read = true, .want_write = pipe_wants_write(&w->child.pipe)};
}

static void give_up(struct worker_process *w, weir_err err)
{
    w->pipe_ended = true;
    w->pipe_err = err;
    child_kill(&w->child);
}

void worker_process_exchange(struct worker_process *w, int64_t now_ms)
{
    if (w->pipe_ended) return;
    observe(w, now_ms);
    (void)pipe_flush(&w->child.pipe); /* a peer that is gone shows in the reading, after its last words */
    weir_err err = pipe_fill(&w->child.pipe);
    if (err == WEIR_E_UNREACHABLE)
        w->pipe_ended = true;
    else if (err == WEIR_E_CORRUPT)
        give_up(w, err);
}

bool worker_process_next(struct worker_process *w, struct weir_bytes *out)
{
    return pipe_next(&w->child.pipe, out);
}

void worker_process_send(struct worker_process *w, struct weir_bytes message)
{
    if (w->pipe_ended) return;
    if (pipe_send(&w->child.pipe, message.data, message.length) == WEIR_E_LIMIT) give_up(w, WEIR_E_LIMIT);
}

void worker_process_kill(struct worker_process *w)
{
    child_kill(&w->child);
}

bool worker_process_ended(struct worker_process *w, int64_t now_ms)
{
    if (!child_collect(&w->child)) return false;
    if (w->pipe_ended) return true;
    /* The process is gone, so what the kernel holds is all there will be; someone it started may keep the other end open. */
    size_t before = w->child.pipe.in.len - w->child.pipe.in_read;
    worker_process_exchange(w, now_ms);
    return w->child.pipe.in.len - w->child.pipe.in_read == before; /* else the caller takes what came, and asks again */
}
