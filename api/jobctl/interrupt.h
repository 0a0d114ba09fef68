/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ctrl-C as a number: how often SIGINT, SIGTERM or SIGHUP has come. Waits ask for it instead of dying half-way, so that a canceled job is
 * canceled and a local cluster is cleaned away. One process, one counter. Thread: interrupt_watch and interrupt_pause the main one; the
 * others any.
 */
#ifndef WEIR_JOBCTL_INTERRUPT_H
#define WEIR_JOBCTL_INTERRUPT_H

#include <stdbool.h>
#include <stdint.h>

/* From here on the signals are counted and do nothing else. SIGPIPE is ignored: a closed standard output is an error of printf. */
void interrupt_watch(void);

/* Interrupts so far that have not been answered. */
unsigned interrupt_pending(void);
/* Whether the terminal went away (SIGHUP, counted too): then nobody asked for the end of a job. */
bool interrupt_hangup(void);
/* Says that one of them has been dealt with; the next one counts again from there. */
void interrupt_answered(void);

/* Whether one is pending; in the form waits take. arg is not used. */
bool interrupt_asked(void *arg);

/* Sleeps, but not through an interrupt. */
void interrupt_pause(int64_t pause_ms);

#endif
