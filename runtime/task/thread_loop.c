/* SPDX-License-Identifier: Apache-2.0 */
/* A thread of its own for the turns of a task thread, which parks between them. */
#include "runtime/task/thread.h"

#define SPINS 64          /* looks at the queues before parking; few, since cores are shared with the transport's threads */
#define NAP_SOURCE_US 200 /* a source that has nothing is asked again after so long */
#define NAP_US 20000      /* timers and idle splits are looked at so often; frames and credits wake at once */

static _Thread_local int own_index = -1;

static inline void spin_pause(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

int task_thread_index(void)
{
    return own_index;
}

static void park(struct task_thread *t)
{
    for (int i = 0; i < SPINS; i++) {
        if (task_thread_has_work(t)) return;
        spin_pause();
    }
    wake_prepare(&t->wake);
    if (!task_thread_has_work(t)) wake_wait(&t->wake, t->source_quiet ? NAP_SOURCE_US : NAP_US);
    wake_clear(&t->wake);
}

static void await_end(struct task_thread *t)
{
    for (;;) {
        wake_prepare(&t->wake);
        if (task_thread_end(t)) break;
        wake_wait(&t->wake, NAP_US);
        wake_clear(&t->wake);
    }
    wake_clear(&t->wake);
}

static void *thread_main(void *arg)
{
    struct task_thread *t = arg;
    own_index = (int)t->index;
    if (t->on_start) t->on_start();
    for (enum thread_turn turn; (turn = task_thread_turn(t)) != THREAD_TURN_LAST;)
        if (turn == THREAD_TURN_IDLE) park(t);
    await_end(t);
    return NULL;
}

weir_err task_thread_start(struct task_thread *t, struct weir_diag *diag)
{
    int rc = pthread_create(&t->thread, NULL, thread_main, t);
    if (rc) return weir_fail_errno(diag, rc, "start a task thread");
    t->started = true;
    return WEIR_OK;
}

void task_thread_join(struct task_thread *t)
{
    if (t->started) (void)pthread_join(t->thread, NULL);
    t->started = false;
}
