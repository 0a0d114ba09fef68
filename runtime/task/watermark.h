/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Watermarks: two small cores without I/O.
 *
 * valve: the event time of a subtask = the minimum over its input channels, idle and ended ones left out; never goes back. With every
 * channel that has not ended idle the subtask is idle itself, at the highest time that any channel told: so it does not matter which fell
 * silent or ended first. With every channel ended it is at WEIR_TIME_MAX. (After Flink's StatusWatermarkValve; there an end while others
 * are idle is the end of all time, and what the idle ones bring later is late.) splits: the watermark a source's splits allow = the minimum
 * over splits that are read or still wait to be read (a waiting split holds it at WEIR_TIME_MIN: nothing is known of its times), finished
 * and idle ones left out.
 */
#ifndef WEIR_RUNTIME_TASK_WATERMARK_H
#define WEIR_RUNTIME_TASK_WATERMARK_H

#include "weir/row.h"

/*
 * Channels of one stream (from the subtasks of one step) may drift apart in time, and what the fastest has brought then waits in the state
 * until the slowest has caught up. So the valve also counts how far each is ahead, in the bytes that it brought: to within
 * VALVE_MARK_BYTES above it, more once it is further ahead than all its marks.
 */
#define VALVE_MARKS 16
#define VALVE_MARK_BYTES (64u << 10)

struct valve_mark { /* when so many bytes had come, the channel's watermark was this */
    weir_time watermark;
    uint64_t bytes;
};

struct valve_input {
    weir_time watermark; /* highest below WEIR_TIME_MAX */
    bool idle;
    bool final; /* it ended, or said WEIR_TIME_MAX, which is the same as far as time goes */
    bool ended;
    uint32_t stream; /* set by the owner after valve_init */
    uint32_t n_marks;
    uint64_t bytes;                       /* brought by the channel */
    uint64_t bytes_passed;                /* of them, before a watermark that the whole stream has reached */
    struct valve_mark marks[VALVE_MARKS]; /* the stream has not reached them yet; oldest first */
};

struct valve {
    struct valve_input *inputs;
    uint32_t n;
    uint32_t n_ended;
    weir_time watermark; /* of the subtask */
    bool idle;           /* every input that has not ended is idle, and there is one */
};

weir_err valve_init(struct valve *v, uint32_t n_inputs);
void valve_close(struct valve *v);

/* Each returns true when the subtask's watermark or idleness changed. A watermark that goes back is ignored; a watermark makes its channel
 * active. */
bool valve_watermark(struct valve *v, uint32_t input, weir_time watermark);
bool valve_idle(struct valve *v, uint32_t input, bool idle);
bool valve_end(struct valve *v, uint32_t input);

/* `bytes` of records came over a channel. */
void valve_brought(struct valve *v, uint32_t input, uint64_t bytes);
/* Bytes that a channel has brought beyond the time that the slowest active one of its stream has reached. */
static inline uint64_t valve_ahead(const struct valve *v, uint32_t input)
{
    const struct valve_input *in = &v->inputs[input];
    return in->n_marks ? in->bytes - in->bytes_passed : 0;
}
static inline bool valve_ended(const struct valve *v)
{
    return v->n_ended == v->n;
}

enum split_state { SPLIT_WAITING, SPLIT_READING, SPLIT_DONE };

struct split_progress {
    enum split_state state;
    weir_time highest;      /* highest record time seen; WEIR_TIME_MIN = none */
    weir_time stated;       /* watermark the source itself stated; WEIR_TIME_MIN = none */
    weir_time last_seen_ms; /* wall clock of its last record; at first of when it was first asked */
    weir_time asked_ms;     /* wall clock of when it was last asked for records; 0 = never */
};

struct splits {
    struct split_progress *items;
    uint32_t n;
};

weir_err splits_init(struct splits *s, uint32_t n);
void splits_close(struct splits *s);

/* A split was asked for records at now_ms and what came of it has been seen. */
void split_asked(struct split_progress *p, weir_time now_ms);
/*
 * The watermark of bounded out-of-orderness over the splits. A split is idle when it was asked idle_ms after its last record, or later, and
 * still gave none; 0 = never. Time in which nobody asks (no credit, a long step) does not count: there may be records. *idle: all that are
 * left are idle; the watermark is then the highest that any split, finished ones too, would allow: nobody holds it back. So it is without
 * any split left (not idle).
 */
weir_time splits_bounded(const struct splits *s, int64_t max_out_of_orderness_ms, int64_t idle_ms, bool *idle);
/* The watermark the source stated itself: minimum of `stated`. */
weir_time splits_stated(const struct splits *s);

#endif
