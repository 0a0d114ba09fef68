/* SPDX-License-Identifier: Apache-2.0 */
/* What a worker process stands on, instead of the operating system: clock, random bytes, pipe, threads, plugin. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "api/client/coord_task.h"
#include "runtime/base/assert.h"
#include "runtime/base/clock.h"
#include "runtime/net/pipe.h"
#include "runtime/net/socket.h"
#include "taskmanager/worker/plugin.h"
#include "tests/sim/tasks/tasks.h"

struct tasks tasks;

/* ---- clock, random bytes --------------------------------------------------------------------------------------------------------- */

#define BEGAN_MS 1000 /* no clock begins at zero */

int64_t clock_mono_ms(void)
{
    return BEGAN_MS + tasks.sim->now_ms;
}

int64_t clock_mono_ns(void)
{
    return clock_mono_ms() * 1000000;
}

int64_t clock_wall_ms(void)
{
    return clock_mono_ms();
}

int64_t clock_thread_cpu_ns(void)
{
    return clock_mono_ns();
}

ssize_t getrandom(void *to, size_t len, unsigned flags)
{
    (void)flags;
    for (size_t i = 0; i < len; i++) ((unsigned char *)to)[i] = (unsigned char)sim_random(tasks.sim, 256);
    return (ssize_t)len;
}

/* ---- the pipe: descriptor 0 is that of the process that runs --------------------------------------------------------------------- */

static void queue_init(struct host_queue *q)
{
    q->first = NULL;
    q->last = &q->first;
}

static void queue_put(struct host_queue *q, const void *data, size_t len)
{
    struct host_message *m = malloc(sizeof *m + len);
    WEIR_ASSERT(m);
    m->next = NULL;
    m->len = len;
    memcpy(m->data, data, len);
    *q->last = m;
    q->last = &m->next;
}

static struct host_message *queue_take(struct host_queue *q)
{
    struct host_message *m = q->first;
    if (!m) return NULL;
    q->first = m->next;
    if (!q->first) q->last = &q->first;
    return m;
}

static void queue_close(struct host_queue *q)
{
    for (struct host_message *m; (m = queue_take(q)) != NULL;) free(m);
}

void pipe_init(struct pipe_end *p, int fd, uint32_t message_max)
{
    *p = (struct pipe_end){.fd = fd, .message_max = message_max};
}

void pipe_close(struct pipe_end *p)
{
    p->fd = -1;
}

weir_err pipe_send(struct pipe_end *p, const void *data, size_t len)
{
    (void)p;
    queue_put(&tasks.current->out, data, len);
    return WEIR_OK;
}

weir_err pipe_flush(struct pipe_end *p)
{
    (void)p;
    return WEIR_OK;
}

bool pipe_wants_write(const struct pipe_end *p)
{
    (void)p;
    return false;
}

weir_err pipe_fill(struct pipe_end *p)
{
    (void)p;
    return WEIR_OK;
}

bool pipe_next(struct pipe_end *p, struct weir_bytes *out)
{
    struct host *h = tasks.current;
    (void)p;
    free(h->read);
    h->read = queue_take(&h->in);
    if (h->read) *out = (struct weir_bytes){h->read->data, (uint32_t)h->read->len};
    return h->read != NULL;
}

/* ---- the plugin ------------------------------------------------------------------------------------------------------------------ */

weir_err plugin_load(const struct weir_plugin **out, int fd, struct weir_diag *diag)
{
    static const struct weir_plugin plugin = {.struct_size = sizeof plugin, .name = "sim", .build = job_build};
    (void)fd, (void)diag;
    *out = &plugin;
    return WEIR_OK;
}

/* The arguments are the plugin's to keep; this one needs none. */
weir_err plugin_build(struct weir_env **out, const struct weir_plugin *plugin, const char *cwd, uint32_t parallelism, int argc, char **argv,
                      struct weir_diag *diag)
{
    struct weir_env *env = NULL;
    weir_err err = weir_env_new(&env, argv[0], cwd, parallelism);
    if (!err) err = plugin->build(env, argc, argv, diag);
    if (!err) err = weir_env_finish(env, diag);
    for (int i = 0; i < argc; i++) free(argv[i]);
    free(argv);
    *out = env;
    return err;
}

/* ---- coordination: no operator here asks for it ---------------------------------------------------------------------------------- */

weir_err coord_open_for_task(struct weir_coord **out, const char *servers, const bool *may_wait, struct weir_diag *diag)
{
    (void)out, (void)servers, (void)may_wait;
    return weir_fail(diag, WEIR_E_UNSUPPORTED, "there is no coordination here");
}

void weir_coord_close(struct weir_coord **coord)
{
    (void)coord;
}

/* ---- task threads, stepped ------------------------------------------------------------------------------------------------------- */

/* One frame of one channel, lost or doubled before it is numbered: only the ledger can tell. */
static void plan_fault(struct host *h, struct task_thread *t)
{
    struct sim *sim = tasks.sim;
    if (h->fault.channel || !sim_chance(sim, tasks.config.faults)) return;
    struct subtask *s = &t->subtasks[sim_random(sim, t->n_subtasks)];
    if (s->n_edges == 0) return;
    struct edge *e = &s->edges[sim_random(sim, s->n_edges)];
    h->fault.channel = e->channels[sim_random(sim, e->n_channels)];
    h->fault.fault = (struct channel_fault){.kind = sim_random(sim, 2) ? CHANNEL_DROP : CHANNEL_DOUBLE, .pool = s->pool};
    h->fault.fault.at = 1 + sim_random(sim, 20);
    h->fault.channel->fault = &h->fault.fault;
}

weir_err task_thread_start(struct task_thread *t, struct weir_diag *diag)
{
    struct host *h = tasks.current;
    (void)diag;
    h->threads[h->n_threads++] = t;
    t->started = true;
    plan_fault(h, t);
    return WEIR_OK;
}

void task_thread_join(struct task_thread *t)
{
    t->started = false;
}

int task_thread_index(void)
{
    return -1;
}

struct task_thread *host_thread_of(const struct host *h, const struct subtask *s)
{
    for (uint32_t i = 0; i < h->n_threads; i++)
        if (s >= h->threads[i]->subtasks && s < h->threads[i]->subtasks + h->threads[i]->n_subtasks) return h->threads[i];
    WEIR_ASSERT(false);
    return NULL;
}

static void watch_fault(struct host_fault *f, uint64_t frames_before)
{
    if (!f->channel || f->happened || f->fault.n < f->fault.at) return;
    f->happened = true;
    f->frames_before = frames_before;
    f->frames_after = f->channel->sent.frames;
    tasks.n_faults++;
    sim_trace(tasks.sim, "a frame of channel %u is %s", f->channel->id, f->fault.kind == CHANNEL_DROP ? "lost" : "doubled");
}

static bool step_thread(struct host *h, uint32_t i)
{
    struct task_thread *t = h->threads[i];
    if (atomic_load(&t->closed)) return false;
    uint64_t frames = h->fault.channel ? h->fault.channel->sent.frames : 0;
    bool moved = true;
    if (h->last_turn[i])
        moved = task_thread_end(t);
    else
        switch (task_thread_turn(t)) {
        case THREAD_TURN_MOVED: break;
        case THREAD_TURN_IDLE: moved = task_thread_has_work(t); break;
        case THREAD_TURN_LAST: h->last_turn[i] = true; break;
        }
    watch_fault(&h->fault, frames);
    return moved;
}

/* ---- the process ----------------------------------------------------------------------------------------------------------------- */

void host_new(struct host **out, uint32_t process, uint32_t n_slots)
{
    struct host *h = calloc(1, sizeof *h);
    WEIR_ASSERT(h);
    h->process = process;
    h->n_slots = n_slots;
    h->box = calloc(1, sizeof *h->box);
    queue_init(&h->in);
    queue_init(&h->out);
    snprintf(h->state_dir, sizeof h->state_dir, "%s/state-%u", tasks.dir, process);
    const struct worker_config config = {
        .data_endpoint = "tcp://127.0.0.1:*", .state_dir = h->state_dir, .local_dir = tasks.dir, .segment = tasks.config.segment};
    weir_err err = h->box ? worker_body_new(&h->worker, &config, 0, h->box) : WEIR_E_NOMEM;
    WEIR_ASSERT(!err);
    *out = h;
}

/* As the kernel does it: at any moment, asking nobody. */
void host_kill(struct host **host)
{
    struct host *h = *host;
    if (!h) return;
    tasks.current = h;
    storage_kill(h);
    for (uint32_t i = 0; i < h->n_threads; i++) {
        bool ended = atomic_load(&h->threads[i]->closed) || task_thread_end(h->threads[i]);
        WEIR_ASSERT(ended);
    }
    worker_body_destroy(&h->worker);
    queue_close(&h->in);
    queue_close(&h->out);
    free(h->read);
    free(h->box);
    free(h);
    *host = NULL;
    tasks.current = NULL;
}

void host_give(struct host *h, const void *data, size_t len)
{
    queue_put(&h->in, data, len);
}

/* Between any two steps it may be killed, and whatever it had said stays with it. */
static bool is_killed(struct host *h)
{
    h->dead |= sim_random(tasks.sim, 10000) < tasks.config.crashes;
    if (h->dead) queue_close(&h->out);
    return h->dead;
}

bool host_step(struct host *h)
{
    tasks.current = h;
    worker_body_hear(h->worker);
    bool moved = worker_body_turn(h->worker);
    for (uint32_t n = h->n_threads ? 1 + (uint32_t)sim_random(tasks.sim, 2 * h->n_threads) : 0; n > 0 && !is_killed(h); n--)
        moved |= step_thread(h, (uint32_t)sim_random(tasks.sim, h->n_threads));
    tasks.current = NULL;
    return moved;
}
