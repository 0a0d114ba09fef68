/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every sink must keep whatever fails: a job with checkpoints runs in a process that is ended before the Nth call it makes to the file
 * system, N = 1, 2, ..., and is begun again from the last complete checkpoint until it ends by itself. Nothing may be lost, nothing
 * doubled, nothing seen before its checkpoint is complete, nothing half, nothing left over.
 */
#ifndef WEIR_TESTS_CONFORMANCE_SINK_SUITE_H
#define WEIR_TESTS_CONFORMANCE_SINK_SUITE_H

#include "weir/weir.h"

#define SUITE_ROWS 60u

/* The rows that are written: id 0 ... SUITE_ROWS - 1. */
struct suite_row {
    int64_t id;
    struct weir_str text; /* suite_text of the id */
};
extern const struct weir_schema suite_row_schema;
const char *suite_text(int64_t id);

/* How often each row can be seen. */
struct suite_seen {
    uint32_t times[SUITE_ROWS];
    uint32_t broken;    /* what is no whole row */
    uint32_t left_over; /* files that are neither output nor somebody else's */
};

struct suite_sink {
    const char *name;
    bool at_least_once;                      /* all that it promises */
    void (*prepare_folder)(const char *dir); /* what is there before the job; may be NULL */
    struct weir_stream *(*add)(struct weir_stream *in, const char *dir);
    void (*read)(const char *dir, struct suite_seen *seen); /* as a reader would */
};

/* For cmocka: state is the sink. */
void suite_ended_anywhere(void **state);
void suite_ended_again_and_again(void **state);

#endif
