/* SPDX-License-Identifier: Apache-2.0 */
#include "taskmanager/worker/crash.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "runtime/task/thread.h"

#define HANDLER_STACK 65536

static struct blackbox *watched;
static const int fatal_signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGSYS, SIGTRAP};

static void note_signal(int signal_number)
{
    watched->ended_by_signal = signal_number;
    watched->ended_by_thread = task_thread_index();
    /* SA_RESETHAND restored the default action: the fault itself, or this raise, now ends the process with its true cause. */
    (void)raise(signal_number);
}

static void note_exit(int status, void *arg)
{
    (void)arg;
    watched->ended_by_exit = 1;
    watched->ended_by_thread = task_thread_index();
    _exit(status); /* other threads still run user code: no destructors */
}

void crash_watch_thread(void)
{
    stack_t present;
    /* A sanitizer gives each thread such a stack, and takes back at the thread's end whatever it finds there: ours would be the wrong one.
     */
    if (sigaltstack(NULL, &present) == 0 && !(present.ss_flags & SS_DISABLE)) return;
    void *stack = malloc(HANDLER_STACK);
    if (!stack) return; /* without it only a stack overflow stays unexplained */
    stack_t alternate = {.ss_sp = stack, .ss_size = HANDLER_STACK};
    (void)sigaltstack(&alternate, NULL);
}

void crash_watch(struct blackbox *box)
{
    watched = box;
    box->ended_by_thread = -1;
    for (size_t i = 0; i < sizeof fatal_signals / sizeof *fatal_signals; i++) {
        struct sigaction action = {.sa_handler = note_signal, .sa_flags = (int)(SA_RESETHAND | SA_NODEFER | SA_ONSTACK)};
        (void)sigaction(fatal_signals[i], &action, NULL);
    }
    (void)on_exit(note_exit, NULL);
    crash_watch_thread();
}
