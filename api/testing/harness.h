/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of a weir_harness: a deployment (taskmanager/worker) whose threads are never started; the harness steps their subtasks itself.
 *
 *     calls ──▶ queue of events ──release──▶ ready list of an input ──▶ its source's reader ──▶ ... ──▶ sink of an output ──▶ its items
 *
 * An event is released only when the graph has nothing left to do, so the order of the calls is the order of delivery, over all inputs.
 * Parts: harness.c (life), ends.c (the source and sink tables), play.c (queue, steps), text.c (lines), snapshot.c, home.c (the folder).
 * Owner: the test's thread.
 */
#ifndef WEIR_API_TESTING_HARNESS_H
#define WEIR_API_TESTING_HARNESS_H

#include <limits.h>

#include "api/src/builder.h"
#include "connectors/text/row_text.h"
#include "taskmanager/worker/deployment.h"
#include "weir/testing.h"

/* ---- the folder ------------------------------------------------------------------------------------------------------------------ */

/* Shared by a harness, its snapshots, and what is restored from them: lists of a snapshot go on naming files of earlier ones. */
struct home {
    uint32_t n_keepers;
    uint32_t n_harnesses; /* there ever were: each has a state folder of its own */
    uint64_t epoch;       /* of the last snapshot */
    char path[];
};

/* Makes the folder. Errors: WEIR_E_IO, WEIR_E_NOMEM. */
weir_err home_new(struct home **out, struct weir_diag *diag);
/* Gives up one share; the last one removes the folder. */
void home_release(struct home **home);

/* ---- inputs and outputs ---------------------------------------------------------------------------------------------------------- */

enum event_kind { EVENT_ROW, EVENT_WATERMARK, EVENT_IDLE, EVENT_END, EVENT_TIME };

struct event {
    struct event *next;
    enum event_kind kind;
    uint32_t input;
    weir_time time_ms; /* of the row, the watermark, the clock */
    uint8_t row_kind;
    uint32_t size;
    _Alignas(8) unsigned char row[];
};

struct events {
    struct event *first, *last;
};
void events_put(struct events *list, struct event *event);
struct event *events_take(struct events *list);
void events_close(struct events *list);

struct input {
    uint32_t node; /* its source's, in the graph */
    const struct weir_schema *schema;
    bool changes, ended;
    weir_time watermark_ms; /* last one that was put in */
    struct events ready;    /* released; the reader takes all of it in one call */
    /* the row that weir_harness_str and _line put together: a record whose strings are there before its struct */
    unsigned char *building;
    uint32_t capacity, tail; /* tail: bytes of the row so far; 0 = none begun */
    weir_err failed;         /* a string found no room */
};

struct item {
    struct item *next;
    bool is_watermark;
    uint8_t kind;
    uint32_t subtask, size;
    weir_time time_ms;
    _Alignas(8) unsigned char row[];
};

struct output {
    uint32_t node; /* its sink's, in the graph */
    const struct weir_schema *schema;
    struct item *first, *last;
    struct item *given; /* by weir_harness_next: valid until the next call */
    uint64_t n_rows;    /* unread, without watermarks */
    weir_time *times;   /* watermark of each of the sink's subtasks */
    uint32_t n_times;
    weir_time watermark_ms; /* the lowest of them */
    struct text_buf text;
};

/* What the source and the sink are configured with. */
struct end_config {
    struct weir_harness *h;
    uint32_t index;
};

extern const struct weir_source harness_source;
extern const struct weir_operator harness_changes; /* behind the source of an input that brings changes */
extern const struct weir_operator harness_sink;

struct kept;

struct weir_harness {
    struct weir_harness_options options;
    struct weir_env *env; /* until it is deployed */
    struct home *home;
    struct deployment *d;
    struct blackbox *blackbox;
    struct wire_split splits[WEIR_HARNESS_INPUTS_MAX]; /* one an input; the deployment borrows them */
    struct input inputs[WEIR_HARNESS_INPUTS_MAX];
    struct output outputs[WEIR_HARNESS_OUTPUTS_MAX];
    uint32_t n_inputs, n_outputs;
    struct events queue;
    uint64_t n_waiting; /* rows in the queue */
    weir_time now_ms;
    weir_time clock_ms; /* as the last set_time that was put in says */
    uint64_t rng;
    uint32_t n_rounds;                  /* since the last event was released */
    uint32_t n_idle;                    /* rounds in which no subtask had anything to do, one after the other */
    bool finished;                      /* committed */
    struct kept *taking;                /* the snapshot under way; NULL: none */
    struct subtask_snapshot *persisted; /* to be settled */
    bool checkpointed;                  /* a snapshot was taken, or restored: it ends as a job with checkpoints does */
    const char *failed_id;
    weir_err failed; /* what user code returned; the sentence: */
    struct weir_diag failure;
    struct weir_diag diag; /* of the last call that failed */
};

/* Calls visit for every subtask, thread by thread, until one returns an error. */
weir_err harness_each(struct weir_harness *h, weir_err (*visit)(struct weir_harness *h, struct subtask *s, void *arg), void *arg);

/* Notes a failure of user code in `s`, with the operator's name in its sentence; returns its code. */
weir_err harness_fail(struct weir_harness *h, const struct subtask *s);

/* ---- play.c ---------------------------------------------------------------------------------------------------------------------- */

/* Delivers all that waits, until nothing is left to do. Errors: user code's, also an earlier one. */
weir_err harness_settle(struct weir_harness *h);
/* Gives every subtask a step. Errors: as above. */
weir_err harness_round(struct weir_harness *h);
/* Before reading: the same unless the test steps by hand. A failure stays noted. */
void harness_catch_up(struct weir_harness *h);

/* ---- outputs --------------------------------------------------------------------------------------------------------------------- */

struct item *output_take(struct output *o);
void output_close(struct output *o);

/* ---- snapshot.c ------------------------------------------------------------------------------------------------------------------ */

/* Gives the subtasks, which are not open yet, what the snapshot has of them. Errors: those of subtask_restore; WEIR_E_STATE. */
weir_err harness_restore(struct weir_harness *h, const struct weir_harness_snapshot *from);
struct home *harness_snapshot_home(const struct weir_harness_snapshot *from);

/* A checkpoint of all subtasks, which have nothing else to do. Gives *out. */
weir_err harness_checkpoint(struct weir_harness *h, struct kept **out);
/* Before the subtask is opened. */
void harness_watch_snapshots(struct weir_harness *h, struct subtask *s);

#endif
