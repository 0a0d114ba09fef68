/* SPDX-License-Identifier: Apache-2.0 */
#include "jobmanager/describe_process.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/assert.h"
#include "runtime/base/limits.h"
#include "runtime/net/child.h"

enum { FIXED_ARGS = 12, NUMBER_TEXT = 16 };

struct describe {
    struct weir_id job;
    struct child child;
    bool pipe_ended;     /* the end of the stream, or a break */
    weir_err pipe_err;   /* of a break: WEIR_E_CORRUPT when the message is too large */
    struct buffer reply; /* the one message, once it is there */
    bool replied;
};

/* argv of handover.h; the strings are borrowed. */
static char **make_argv(const struct describe_config *c, char parent[static NUMBER_TEXT], char parallelism[static NUMBER_TEXT])
{
    const char **argv = calloc(FIXED_ARGS + (size_t)c->n_args + 1, sizeof *argv);
    if (!argv) return NULL;
    (void)snprintf(parent, NUMBER_TEXT, "%d", (int)getpid());
    (void)snprintf(parallelism, NUMBER_TEXT, "%u", c->parallelism);
    const char *fixed[FIXED_ARGS] = {"weir-worker", "--describe", "--parent", parent, "--parallelism", parallelism, "--name", c->name,
                                     "--cwd",       c->cwd,       "--",       NULL};
    uint32_t n = 0;
    for (; fixed[n]; n++) argv[n] = fixed[n];
    for (uint32_t i = 0; i < c->n_args; i++) argv[n++] = c->args[i];
    return (char **)(uintptr_t)argv; /* posix_spawn does not write to them */
}

static weir_err start_child(struct describe *d, const struct describe_config *c, struct weir_diag *diag)
{
    char parent[NUMBER_TEXT], parallelism[NUMBER_TEXT];
    char **argv = make_argv(c, parent, parallelism);
    if (!argv) return weir_fail(diag, WEIR_E_NOMEM, "no memory to start a describing worker");
    struct child_config config = {.path = c->worker_path, .argv = argv, .n_fds = 1, .fds = &c->plugin_fd, .message_max = WEIR_DESCRIBE_MAX};
    weir_err err = child_start(&d->child, &config, diag);
    free(argv);
    return err;
}

weir_err describe_start(struct describe **out, const struct describe_config *config, struct weir_diag *diag)
{
    struct describe *d = calloc(1, sizeof *d);
    weir_err err = d ? start_child(d, config, diag) : weir_fail(diag, WEIR_E_NOMEM, "no memory to start a describing worker");
    close(config->plugin_fd);
    if (err) {
        free(d);
        return err;
    }
    d->job = config->job;
    buffer_init(&d->reply, WEIR_DESCRIBE_MAX);
    *out = d;
    return WEIR_OK;
}

void describe_destroy(struct describe **describe)
{
    struct describe *d = *describe;
    *describe = NULL;
    if (!d) return;
    child_close(&d->child);
    buffer_close(&d->reply);
    free(d);
}

struct weir_id describe_job(const struct describe *d)
{
    return d->job;
}

void describe_waits(const struct describe *d, struct net_wait out[static 2])
{
    out[0] = (struct net_wait){.fd = d->child.pidfd, .want_read = true};
    out[1] = (struct net_wait){.fd = d->pipe_ended ? -1 : d->child.pipe.fd, .want_read = true};
}

/* Keeps the first message. A second one is not in the agreement: the worker's exit status decides what the first is worth. */
static void read_pipe(struct describe *d)
{
    if (d->pipe_ended) return;
    weir_err err = pipe_fill(&d->child.pipe);
    struct weir_bytes message;
    while (pipe_next(&d->child.pipe, &message)) {
        if (d->replied) continue;
        buffer_add(&d->reply, message.data, message.length);
        d->replied = true;
    }
    if (!err) return;
    d->pipe_ended = true;
    d->pipe_err = err == WEIR_E_UNREACHABLE ? WEIR_OK : err;
    if (d->pipe_err) child_kill(&d->child);
}

/* Byte 'E', one byte weir_err, sentence. */
static weir_err told_error(const struct buffer *reply, struct weir_diag *diag)
{
    unsigned code = reply->len > 1 ? reply->data[1] : 0;
    weir_err err = code > WEIR_OK && code <= WEIR_E_INTERNAL ? (weir_err)code : WEIR_E_GRAPH;
    size_t len = reply->len > 2 ? reply->len - 2 : 0;
    if (len > WEIR_DIAG_MAX) len = WEIR_DIAG_MAX;
    return weir_fail(diag, err, "%.*s", (int)len, len > 0 ? (const char *)reply->data + 2 : "");
}

static weir_err judge(struct describe *d, struct graph *graph, struct weir_diag *diag)
{
    char words[CHILD_END_WORDS_MAX];
    struct child_end end = d->child.end;
    if (d->pipe_err)
        return weir_fail(diag, WEIR_E_LIMIT,
                         "the plugin described a graph of more than %u bytes (WEIR_DESCRIBE_MAX): give its sources fewer, larger splits, "
                         "or make several jobs of it",
                         WEIR_DESCRIBE_MAX);
    if (end.by_signal && end.number == 9)
        return weir_fail(diag, WEIR_E_USER, "the describing process was killed: SIGKILL (out of memory, or by hand)");
    if (end.by_signal)
        return weir_fail(diag, WEIR_E_USER, "the plugin crashed while describing its graph: %s", child_end_words(end, words));
    if (d->reply.err) return weir_fail(diag, d->reply.err, "no memory for the described graph");
    if (d->replied && d->reply.len > 0 && d->reply.data[0] == 'E') return told_error(&d->reply, diag);
    if (end.number != 0 || !d->replied)
        return weir_fail(diag, WEIR_E_USER, "the plugin ended the process while describing its graph: %s", child_end_words(end, words));
    if (d->reply.len == 0 || d->reply.data[0] != 'G') return weir_fail(diag, WEIR_E_PROTOCOL, "the describing worker did not send a graph");
    weir_err err = graph_decode(graph, d->reply.data + 1, d->reply.len - 1, diag);
    return err ? weir_wrap(diag, err, "read the described graph") : WEIR_OK;
}

bool describe_step(struct describe *d, struct describe_result *out)
{
    read_pipe(d);
    if (!child_collect(&d->child)) return false;
    /* Collected: nothing more is written. What the kernel still holds comes in portions. */
    for (size_t before = SIZE_MAX; !d->pipe_ended && !d->replied && d->child.pipe.in.len != before;) {
        before = d->child.pipe.in.len;
        read_pipe(d);
    }
    *out = (struct describe_result){.err = WEIR_OK};
    out->err = judge(d, &out->graph, &out->diag);
    return true;
}
