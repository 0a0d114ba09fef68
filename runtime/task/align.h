/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The barrier aligner of a subtask: a core without I/O. Events go in with the wall clock, at most one action comes out.
 *
 *              barrier n of some input             last barrier n, or end of the last input without one
 *     IDLE ───────────────────────────▶ ALIGNING ──────────────────────────────────────────────────────▶ IDLE        (SNAPSHOT)
 *       ▲                                │  │ ▲└─ barrier of a newer checkpoint: ALIGNING that one         or, with STOP, RESTING
 *       └──── abort, time limit (GIVE_UP)┘  └─┘
 *     RESTING ──abort, or a newer trigger──▶ IDLE (RESUME)        all inputs ended and all work done ──▶ FINISHED: each trigger is a
 * SNAPSHOT
 *
 * After the barrier of an input nothing is taken from it until all have brought theirs: what lies behind it belongs after the snapshot. An
 * input that has ended counts as having brought every barrier to come. In at-least-once mode nothing waits, and what came behind a barrier
 * may be in the snapshot, too. A source subtask has one input, its splits: the trigger is the barrier of it.
 *
 * Ids only grow. What is not newer than the last decided one (snapshot taken, given up, aborted) is late, and nothing happens: a trigger
 * that comes twice, a barrier of an aborted checkpoint.
 *
 * After Flink's SingleCheckpointBarrierHandler; one checkpoint is under way at a time. Owner: the task thread.
 */
#ifndef WEIR_RUNTIME_TASK_ALIGN_H
#define WEIR_RUNTIME_TASK_ALIGN_H

#include "weir/row.h"

struct align_options {
    bool source;         /* triggers begin a checkpoint here */
    bool at_least_once;  /* inputs are not blocked */
    uint32_t timeout_ms; /* an alignment that takes longer is given up; 0 = never, and so at least once */
};

struct align_input {
    bool arrived; /* its barrier of the checkpoint that is being aligned */
    bool ended;
};

struct align {
    struct align_options options;
    struct align_input *inputs;
    uint32_t n_inputs, n_arrived; /* arrived: brought the barrier or ended, each once */
    uint32_t n_ended;
    uint64_t id; /* being aligned; 0 = none */
    uint32_t id_options;
    weir_time since_ms;
    uint64_t decided; /* highest id of which there is nothing left to decide here */
    uint64_t triggered;
    uint32_t triggered_options; /* highest trigger, for when the inputs have all ended */
    uint64_t resting;           /* id of the checkpoint behind which the subtask rests; 0 = it does not */
    bool finished;
};

enum align_event_type {
    ALIGN_EV_BARRIER,  /* input, id, options: taken from the input */
    ALIGN_EV_END,      /* input: has ended; of a source: its splits have */
    ALIGN_EV_TRIGGER,  /* id, options: the coordinator began a checkpoint */
    ALIGN_EV_FINISHED, /* all inputs have ended, and so has the work on what they brought */
    ALIGN_EV_ABORT,    /* id: it and all before it will not be completed, or are */
    ALIGN_EV_TIME,     /* now_ms has moved */
};

struct align_event {
    enum align_event_type type;
    uint32_t input;
    uint64_t id;
    uint32_t options; /* set of enum checkpoint_option (wire/message.h) */
    weir_time now_ms;
};

enum align_action_type {
    ALIGN_DO_NOTHING,
    ALIGN_DO_SNAPSHOT, /* id, options: take it, pass the barrier on (unless finished, which sends none), rest if STOP says so, else go on */
    ALIGN_DO_DRAIN,    /* a source: end its splits where they stand; FINISHED will bring the SNAPSHOT */
    ALIGN_DO_GIVE_UP,  /* id: report that it was not taken */
    ALIGN_DO_RESUME,   /* go on reading */
};

struct align_action {
    enum align_action_type type;
    uint64_t id;
    uint32_t options;
    uint64_t waited_ms; /* since the first barrier */
};

/* Errors: WEIR_E_NOMEM. */
weir_err align_init(struct align *a, uint32_t n_inputs, const struct align_options *options);
void align_close(struct align *a);

void align_step(struct align *a, const struct align_event *ev, struct align_action *out);

/* Nothing may be taken from the input now. */
static inline bool align_blocked(const struct align *a, uint32_t input)
{
    return a->resting || (a->id && !a->options.at_least_once && a->inputs[input].arrived);
}

/* Inputs without barrier must be taken from, whatever else would have them wait: the others wait for theirs. */
static inline bool align_waits(const struct align *a)
{
    return a->id != 0;
}

/* When to give ALIGN_EV_TIME at the latest; WEIR_TIME_MAX = no need. */
weir_time align_deadline(const struct align *a);

#endif
