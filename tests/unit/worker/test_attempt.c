/* SPDX-License-Identifier: Apache-2.0 */
/* The attempt core as a table: in every state, what each event does; late and doubled orders do nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "taskmanager/worker/attempt.h"

/* Counts of threads, as the driver reads them: started (and opened), prepared, committed, closed. */
#define THREADS(n, p, c, d)  \
    ((struct attempt_event){ \
        .type = ATTEMPT_EV_THREADS, .n_threads = (n), .n_opened = (n), .n_prepared = (p), .n_committed = (c), .n_closed = (d)})
#define OPENED(n, o) ((struct attempt_event){.type = ATTEMPT_EV_THREADS, .n_threads = (n), .n_opened = (o)})
#define RESTING(n, p) \
    ((struct attempt_event){.type = ATTEMPT_EV_THREADS, .n_threads = (n), .n_opened = (n), .n_prepared = (p), .resting = true})
#define RESTART ((struct attempt_event){.type = ATTEMPT_EV_START, .restores = true})
#define EVENT(name) ((struct attempt_event){.type = ATTEMPT_EV_##name})
#define N(array) (sizeof(array) / sizeof((array)[0]))

static const struct attempt_event events[] = {EVENT(DEPLOYED),
                                              EVENT(START),
                                              EVENT(COMMIT),
                                              EVENT(CANCEL),
                                              EVENT(FAILED),
                                              THREADS(3, 0, 0, 0),
                                              THREADS(3, 2, 0, 0),
                                              THREADS(3, 3, 0, 0),
                                              THREADS(3, 0, 3, 2),
                                              THREADS(3, 0, 3, 3),
                                              THREADS(3, 1, 1, 3),
                                              THREADS(0, 0, 0, 0),
                                              RESTART,
                                              EVENT(RESTORED),
                                              OPENED(3, 2),
                                              RESTING(3, 3)};
static const char *const event_names[] = {
    "DEPLOYED",     "START",          "COMMIT",        "CANCEL",     "FAILED",     "none prepared",           "two prepared",
    "all prepared", "not all closed", "all committed", "all closed", "no threads", "START from a checkpoint", "RESTORED",
    "two opened",   "all rest"};

/* What an event leads to: state afterwards and actions. A row not listed: nothing happens. */
static const struct {
    enum attempt_state in;
    uint32_t event;
    enum attempt_state out;
    uint32_t actions;
} table[] = {
    {ATTEMPT_NEW, 0, ATTEMPT_READY, ATTEMPT_DO_SAY_READY},
    {ATTEMPT_NEW, 3, ATTEMPT_STOPPING, ATTEMPT_DO_STOP},
    {ATTEMPT_NEW, 4, ATTEMPT_STOPPING, ATTEMPT_DO_STOP},
    {ATTEMPT_READY, 1, ATTEMPT_OPENING, ATTEMPT_DO_CONNECT | ATTEMPT_DO_RUN},
    {ATTEMPT_READY, 12, ATTEMPT_RESTORING, ATTEMPT_DO_CONNECT | ATTEMPT_DO_RESTORE},
    {ATTEMPT_RESTORING, 3, ATTEMPT_STOPPING, ATTEMPT_DO_STOP},
    {ATTEMPT_RESTORING, 4, ATTEMPT_STOPPING, ATTEMPT_DO_STOP},
    {ATTEMPT_RESTORING, 13, ATTEMPT_OPENING, ATTEMPT_DO_RUN},
    {ATTEMPT_OPENING, 3, ATTEMPT_STOPPING, ATTEMPT_DO_STOP},
    {ATTEMPT_OPENING, 4, ATTEMPT_STOPPING, ATTEMPT_DO_STOP},
    {ATTEMPT_OPENING, 5, ATTEMPT_RUNNING, ATTEMPT_DO_SAY_RUNNING},
    {ATTEMPT_OPENING, 6, ATTEMPT_RUNNING, ATTEMPT_DO_SAY_RUNNING},
    {ATTEMPT_OPENING, 7, ATTEMPT_PREPARED, ATTEMPT_DO_SAY_RUNNING | ATTEMPT_DO_SAY_PREPARED}, /* nothing to do */
    {ATTEMPT_OPENING, 8, ATTEMPT_RUNNING, ATTEMPT_DO_SAY_RUNNING},
    {ATTEMPT_OPENING, 9, ATTEMPT_RUNNING, ATTEMPT_DO_SAY_RUNNING},
    {ATTEMPT_OPENING, 10, ATTEMPT_RUNNING, ATTEMPT_DO_SAY_RUNNING},
    {ATTEMPT_OPENING, 15, ATTEMPT_RESTING, ATTEMPT_DO_SAY_RUNNING},
    {ATTEMPT_READY, 3, ATTEMPT_STOPPING, ATTEMPT_DO_STOP},
    {ATTEMPT_READY, 4, ATTEMPT_STOPPING, ATTEMPT_DO_STOP},
    {ATTEMPT_RUNNING, 3, ATTEMPT_STOPPING, ATTEMPT_DO_STOP},
    {ATTEMPT_RUNNING, 4, ATTEMPT_STOPPING, ATTEMPT_DO_STOP},
    {ATTEMPT_RUNNING, 7, ATTEMPT_PREPARED, ATTEMPT_DO_SAY_PREPARED},
    {ATTEMPT_RUNNING, 15, ATTEMPT_RESTING, 0},
    {ATTEMPT_RESTING, 3, ATTEMPT_STOPPING, ATTEMPT_DO_STOP},
    {ATTEMPT_RESTING, 4, ATTEMPT_STOPPING, ATTEMPT_DO_STOP},
    {ATTEMPT_RESTING, 5, ATTEMPT_RUNNING, 0}, /* the checkpoint was aborted */
    {ATTEMPT_RESTING, 6, ATTEMPT_RUNNING, 0},
    {ATTEMPT_RESTING, 7, ATTEMPT_PREPARED, ATTEMPT_DO_SAY_PREPARED}, /* it is complete, or had drained */
    {ATTEMPT_RESTING, 8, ATTEMPT_RUNNING, 0},
    {ATTEMPT_RESTING, 9, ATTEMPT_RUNNING, 0},
    {ATTEMPT_RESTING, 10, ATTEMPT_RUNNING, 0},
    {ATTEMPT_RESTING, 14, ATTEMPT_RUNNING, 0},
    {ATTEMPT_PREPARED, 2, ATTEMPT_COMMITTING, ATTEMPT_DO_COMMIT},
    {ATTEMPT_PREPARED, 3, ATTEMPT_STOPPING, ATTEMPT_DO_STOP},
    {ATTEMPT_PREPARED, 4, ATTEMPT_STOPPING, ATTEMPT_DO_STOP},
    {ATTEMPT_COMMITTING, 4, ATTEMPT_STOPPING, ATTEMPT_DO_STOP}, /* a commit that failed */
    {ATTEMPT_COMMITTING, 9, ATTEMPT_ENDED, ATTEMPT_DO_SAY_ENDED},
    {ATTEMPT_STOPPING, 9, ATTEMPT_ENDED, ATTEMPT_DO_SAY_ENDED},
    {ATTEMPT_STOPPING, 10, ATTEMPT_ENDED, ATTEMPT_DO_SAY_ENDED},
    {ATTEMPT_STOPPING, 11, ATTEMPT_ENDED, ATTEMPT_DO_SAY_ENDED}, /* nothing was ever started */
};

static void every_event_in_every_state(void **state)
{
    (void)state;
    static_assert(N(events) == N(event_names), "a name for each event");
    for (int in = ATTEMPT_NEW; in <= ATTEMPT_ENDED; in++) {
        for (uint32_t e = 0; e < N(events); e++) {
            /* A driver counts threads only once they are started. */
            bool started = (in >= ATTEMPT_OPENING && in <= ATTEMPT_PREPARED) || in == ATTEMPT_COMMITTING;
            if (started && events[e].type == ATTEMPT_EV_THREADS && events[e].n_threads == 0) continue;
            struct attempt a = {.state = (enum attempt_state)in, .outcome = WIRE_FAILED};
            enum attempt_state out = a.state;
            uint32_t actions = 0;
            for (uint32_t t = 0; t < N(table); t++) {
                if (table[t].in != a.state || table[t].event != e) continue;
                out = table[t].out;
                actions = table[t].actions;
            }
            uint32_t got = attempt_step(&a, &events[e]);
            if (got != actions || a.state != out) print_error("state %d, event %s\n", in, event_names[e]);
            assert_int_equal(got, actions);
            assert_int_equal(a.state, out);
        }
    }
}

/* Steps through the events and returns the actions of the last one. */
static uint32_t play(struct attempt *a, const struct attempt_event *list, uint32_t n)
{
    uint32_t actions = 0;
    for (uint32_t i = 0; i < n; i++) actions = attempt_step(a, &list[i]);
    return actions;
}

static void a_whole_life_ends_committed(void **state)
{
    (void)state;
    struct attempt a = {0};
    const struct attempt_event life[] = {EVENT(DEPLOYED),     EVENT(DEPLOYED),     EVENT(START),        EVENT(START),
                                         OPENED(2, 1),        OPENED(2, 2),        THREADS(2, 1, 0, 0), EVENT(COMMIT),
                                         THREADS(2, 2, 0, 0), THREADS(2, 2, 0, 0), EVENT(COMMIT),       EVENT(COMMIT),
                                         THREADS(2, 0, 1, 1), EVENT(CANCEL),       THREADS(2, 0, 2, 2)};
    assert_int_equal(play(&a, life, N(life)), ATTEMPT_DO_SAY_ENDED);
    assert_int_equal(a.outcome, WIRE_COMMITTED);
    assert_int_equal(attempt_step(&a, &EVENT(FAILED)), 0); /* what comes after the end is late */
    assert_int_equal(a.outcome, WIRE_COMMITTED);
}

/* Nobody is PREPARED behind a checkpoint that stops the job, and the COMMIT may be there before all threads have come to rest. */
static void a_stop_is_committed_once_all_rest(void **state)
{
    (void)state;
    struct attempt a = {0};
    const struct attempt_event commit = {.type = ATTEMPT_EV_COMMIT, .stopped = true};
    const struct attempt_event early[] = {EVENT(DEPLOYED), EVENT(START), OPENED(2, 2), commit, RESTING(2, 1), THREADS(2, 1, 0, 0)};
    assert_int_equal(play(&a, early, N(early)), 0);
    assert_int_equal(attempt_step(&a, &THREADS(2, 2, 0, 0)), ATTEMPT_DO_COMMIT);
    assert_int_equal(attempt_step(&a, &THREADS(2, 0, 2, 2)), ATTEMPT_DO_SAY_ENDED);
    assert_int_equal(a.outcome, WIRE_COMMITTED);
    a = (struct attempt){0};
    const struct attempt_event resting[] = {EVENT(DEPLOYED), EVENT(START), OPENED(2, 2), RESTING(2, 2), EVENT(COMMIT)};
    assert_int_equal(play(&a, resting, N(resting)), 0); /* before the checkpoint was complete: ignored */
    assert_int_equal(a.state, ATTEMPT_RESTING);
    assert_int_equal(attempt_step(&a, &commit), 0);
    assert_int_equal(attempt_step(&a, &RESTING(2, 2)), ATTEMPT_DO_COMMIT);
}

/* The first reason to stop is the one that is told. */
static void the_first_reason_to_stop_counts(void **state)
{
    (void)state;
    struct attempt canceled = {0}, failed = {0};
    const struct attempt_event c[] = {EVENT(DEPLOYED), EVENT(START),        EVENT(CANCEL),
                                      EVENT(FAILED),   THREADS(2, 2, 0, 1), THREADS(2, 0, 0, 2)};
    const struct attempt_event f[] = {EVENT(DEPLOYED), EVENT(START), EVENT(FAILED), EVENT(CANCEL), EVENT(COMMIT), THREADS(2, 0, 0, 2)};
    assert_int_equal(play(&canceled, c, N(c)), ATTEMPT_DO_SAY_ENDED);
    assert_int_equal(canceled.outcome, WIRE_CANCELED);
    assert_int_equal(play(&failed, f, N(f)), ATTEMPT_DO_SAY_ENDED);
    assert_int_equal(failed.outcome, WIRE_FAILED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_event_in_every_state),
        cmocka_unit_test(a_whole_life_ends_committed),
        cmocka_unit_test(a_stop_is_committed_once_all_rest),
        cmocka_unit_test(the_first_reason_to_stop_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
