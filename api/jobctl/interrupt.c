/* SPDX-License-Identifier: Apache-2.0 */
#include "api/jobctl/interrupt.h"

#include <signal.h>
#include <stddef.h>
#include <sys/select.h>
#include <time.h>

static volatile sig_atomic_t seen;
static volatile sig_atomic_t hangup;
static sig_atomic_t answered;

static void count(int signal)
{
    if (signal == SIGHUP) hangup = 1;
    if (seen < 1000) seen = seen + 1;
}

void interrupt_watch(void)
{
    struct sigaction action = {.sa_handler = count}; /* no SA_RESTART: waits shall end */
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigemptyset(&ignore.sa_mask);
    sigaction(SIGPIPE, &ignore, NULL);
}

unsigned interrupt_pending(void)
{
    return (unsigned)(seen - answered);
}

bool interrupt_hangup(void)
{
    return hangup != 0;
}

void interrupt_answered(void)
{
    if (answered < seen) answered++;
}

bool interrupt_asked(void *arg)
{
    (void)arg;
    return interrupt_pending() > 0;
}

void interrupt_pause(int64_t pause_ms)
{
    /* The signals stay blocked between the look and the sleep, so none slips through the gap. */
    sigset_t watched, before;
    sigemptyset(&watched);
    sigaddset(&watched, SIGINT);
    sigaddset(&watched, SIGTERM);
    sigaddset(&watched, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &watched, &before);
    struct timespec pause = {pause_ms / 1000, (pause_ms % 1000) * 1000000};
    if (!interrupt_pending()) (void)pselect(0, NULL, NULL, NULL, &pause, &before);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}
