/* SPDX-License-Identifier: Apache-2.0 */
/* A worker's share of checkpoints: one at a time, whatever order things come in, and no answer for what was given up. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "runtime/wire/message.h"
#include "taskmanager/worker/checkpointing.h"

enum { SUBTASKS = 3 };

static uint32_t give(struct checkpointing *c, enum checkpointing_event_type type, uint64_t id)
{
    return checkpointing_step(c, &(struct checkpointing_event){.type = type, .id = id});
}

static uint32_t trigger(struct checkpointing *c, uint64_t id, uint32_t options)
{
    return checkpointing_step(c, &(struct checkpointing_event){.type = CHECKPOINTING_EV_TRIGGER, .id = id, .options = options});
}

static uint32_t refuse(struct checkpointing *c, enum checkpointing_event_type type, uint64_t id)
{
    return checkpointing_step(c, &(struct checkpointing_event){.type = type, .id = id, .failed = true});
}

#define SNAPSHOT(c, id) give(c, CHECKPOINTING_EV_SNAPSHOT, id)
#define STORED(c, id) give(c, CHECKPOINTING_EV_STORED, id)

static void all_snapshots_are_stored_and_acknowledged(void **state)
{
    (void)state;
    struct checkpointing c = {.n_subtasks = SUBTASKS};
    assert_int_equal(trigger(&c, 7, 0), CHECKPOINTING_DO_TRIGGER);
    assert_int_equal(trigger(&c, 7, 0), 0); /* doubled */
    assert_int_equal(SNAPSHOT(&c, 7), CHECKPOINTING_DO_PERSIST);
    assert_int_equal(SNAPSHOT(&c, 7), CHECKPOINTING_DO_PERSIST);
    assert_int_equal(SNAPSHOT(&c, 7), CHECKPOINTING_DO_PERSIST | CHECKPOINTING_DO_STORE);
    assert_int_equal(trigger(&c, 7, 0), 0);
    assert_int_equal(STORED(&c, 7), CHECKPOINTING_DO_SAY_ACK);
    assert_int_equal(STORED(&c, 7), 0);
    assert_int_equal(trigger(&c, 6, 0), 0); /* late */
    assert_int_equal(give(&c, CHECKPOINTING_EV_COMPLETE, 7), CHECKPOINTING_DO_COMPLETE);
    assert_int_equal(c.completed, 7);
    assert_int_equal(give(&c, CHECKPOINTING_EV_COMPLETE, 6), CHECKPOINTING_DO_COMPLETE);
    assert_int_equal(c.completed, 7);
}

/* The barriers of other workers may overtake the order; nothing is stored before it is known where. */
static void snapshots_may_come_before_the_order(void **state)
{
    (void)state;
    struct checkpointing c = {.n_subtasks = SUBTASKS};
    for (int i = 0; i < SUBTASKS; i++) assert_int_equal(SNAPSHOT(&c, 7), CHECKPOINTING_DO_PERSIST);
    assert_int_equal(trigger(&c, 7, CHECKPOINT_SAVEPOINT), CHECKPOINTING_DO_TRIGGER | CHECKPOINTING_DO_STORE);
    assert_int_equal(c.options, CHECKPOINT_SAVEPOINT);
    assert_int_equal(trigger(&c, 7, CHECKPOINT_SAVEPOINT), 0);
    assert_int_equal(STORED(&c, 7), CHECKPOINTING_DO_SAY_ACK);
}

/* Its part is missing from what is stored: that must not be acknowledged in the time that the attempt takes to end. */
static void what_could_not_be_persisted_is_not_acknowledged(void **state)
{
    (void)state;
    struct checkpointing c = {.n_subtasks = SUBTASKS};
    trigger(&c, 7, 0);
    for (int i = 0; i < SUBTASKS; i++) SNAPSHOT(&c, 7);
    assert_int_equal(give(&c, CHECKPOINTING_EV_LOST, 6), 0);
    assert_int_equal(give(&c, CHECKPOINTING_EV_LOST, 7), CHECKPOINTING_DO_DROP);
    assert_int_equal(c.dropped, 7);
    assert_int_equal(STORED(&c, 7), 0);
    assert_int_equal(give(&c, CHECKPOINTING_EV_LOST, 7), 0);
}

static void a_subtask_that_declines_declines_for_all(void **state)
{
    (void)state;
    struct checkpointing c = {.n_subtasks = SUBTASKS};
    trigger(&c, 7, 0);
    SNAPSHOT(&c, 7);
    assert_int_equal(refuse(&c, CHECKPOINTING_EV_SNAPSHOT, 7), CHECKPOINTING_DO_DROP | CHECKPOINTING_DO_SAY_DECLINE);
    assert_int_equal(c.dropped, 7);
    assert_int_equal(refuse(&c, CHECKPOINTING_EV_SNAPSHOT, 7), 0);    /* once is enough */
    assert_int_equal(SNAPSHOT(&c, 7), CHECKPOINTING_DO_PERSIST_ONLY); /* the state layer wants it */
    assert_int_equal(trigger(&c, 8, 0), CHECKPOINTING_DO_TRIGGER);
}

static void a_storage_that_fails_declines(void **state)
{
    (void)state;
    struct checkpointing c = {.n_subtasks = 1};
    trigger(&c, 7, 0);
    SNAPSHOT(&c, 7);
    assert_int_equal(refuse(&c, CHECKPOINTING_EV_STORED, 7), CHECKPOINTING_DO_SAY_DECLINE);
    assert_int_equal(c.state, CHECKPOINTING_IDLE);
}

static void what_was_aborted_is_not_answered(void **state)
{
    (void)state;
    struct checkpointing c = {.n_subtasks = 2};
    trigger(&c, 7, 0);
    SNAPSHOT(&c, 7);
    assert_int_equal(give(&c, CHECKPOINTING_EV_ABORT, 7), CHECKPOINTING_DO_DROP | CHECKPOINTING_DO_ABORT);
    assert_int_equal(SNAPSHOT(&c, 7), CHECKPOINTING_DO_PERSIST_ONLY);
    assert_int_equal(trigger(&c, 7, 0), 0);
    trigger(&c, 8, 0);
    SNAPSHOT(&c, 8);
    SNAPSHOT(&c, 8);
    assert_int_equal(give(&c, CHECKPOINTING_EV_ABORT, 8), CHECKPOINTING_DO_DROP | CHECKPOINTING_DO_ABORT); /* while it is stored */
    assert_int_equal(STORED(&c, 8), 0);
    assert_int_equal(refuse(&c, CHECKPOINTING_EV_STORED, 8), 0);
}

static void an_abort_may_come_first(void **state)
{
    (void)state;
    struct checkpointing c = {.n_subtasks = 2};
    assert_int_equal(give(&c, CHECKPOINTING_EV_ABORT, 7), CHECKPOINTING_DO_ABORT);
    assert_int_equal(c.dropped, 7);
    assert_int_equal(SNAPSHOT(&c, 7), CHECKPOINTING_DO_PERSIST_ONLY);
    assert_int_equal(trigger(&c, 7, 0), 0);
}

static void a_newer_one_supersedes(void **state)
{
    (void)state;
    struct checkpointing c = {.n_subtasks = 2};
    trigger(&c, 7, 0);
    SNAPSHOT(&c, 7);
    assert_int_equal(trigger(&c, 8, 0), CHECKPOINTING_DO_DROP | CHECKPOINTING_DO_TRIGGER);
    assert_int_equal(c.dropped, 7);
    assert_int_equal(SNAPSHOT(&c, 7), CHECKPOINTING_DO_PERSIST_ONLY);
    assert_int_equal(give(&c, CHECKPOINTING_EV_ABORT, 7), 0); /* late, and 8 is not touched */
    SNAPSHOT(&c, 8);
    assert_int_equal(SNAPSHOT(&c, 9), CHECKPOINTING_DO_DROP | CHECKPOINTING_DO_PERSIST); /* by its barrier */
    assert_int_equal(c.dropped, 8);
    assert_int_equal(trigger(&c, 9, 0), CHECKPOINTING_DO_TRIGGER);
    assert_int_equal(SNAPSHOT(&c, 9), CHECKPOINTING_DO_PERSIST | CHECKPOINTING_DO_STORE);
}

/* Who rests behind a STOP checkpoint has not finished: until it is complete, or never. */
static void rest_ends_with_the_checkpoint(void **state)
{
    (void)state;
    struct checkpointing c = {.n_subtasks = 1};
    trigger(&c, 7, CHECKPOINT_STOP | CHECKPOINT_SAVEPOINT);
    assert_true(c.resting);
    SNAPSHOT(&c, 7);
    STORED(&c, 7);
    assert_true(c.resting);
    give(&c, CHECKPOINTING_EV_COMPLETE, 6); /* of an earlier one, late */
    assert_true(c.resting);
    assert_false(c.stopped);
    give(&c, CHECKPOINTING_EV_COMPLETE, 7);
    assert_true(!c.resting && c.stopped);
    trigger(&c, 8, CHECKPOINT_STOP);
    give(&c, CHECKPOINTING_EV_ABORT, 8);
    assert_false(c.resting || c.stopped);
    checkpointing_step(&c, &(struct checkpointing_event){.type = CHECKPOINTING_EV_SNAPSHOT, .id = 9, .options = CHECKPOINT_STOP});
    assert_true(c.resting); /* known by its barrier */
}

/* What the newest one was prepared with stays while it may still be complete. */
static void what_a_complete_one_may_name_is_kept(void **state)
{
    (void)state;
    struct checkpointing c = {.n_subtasks = 1};
    assert_int_equal(checkpointing_kept(&c), 0);
    trigger(&c, 7, 0);
    assert_int_equal(checkpointing_kept(&c), 7);
    SNAPSHOT(&c, 7);
    STORED(&c, 7);
    assert_int_equal(checkpointing_kept(&c), 7); /* acknowledged, and nothing was heard of it */
    give(&c, CHECKPOINTING_EV_COMPLETE, 7);
    assert_int_equal(checkpointing_kept(&c), 7);
    trigger(&c, 8, 0);
    give(&c, CHECKPOINTING_EV_ABORT, 8);
    assert_int_equal(checkpointing_kept(&c), 7);
    trigger(&c, 9, 0);
    assert_int_equal(checkpointing_kept(&c), 9);
    refuse(&c, CHECKPOINTING_EV_SNAPSHOT, 9); /* nobody else can complete it */
    assert_int_equal(checkpointing_kept(&c), 7);
    SNAPSHOT(&c, 10); /* by its barrier */
    assert_int_equal(checkpointing_kept(&c), 10);
}

/* Its end may be on its way, or lost with the link, however many are begun and given up here meanwhile. */
static void what_was_acknowledged_is_kept_until_its_end_is_heard(void **state)
{
    (void)state;
    struct checkpointing c = {.n_subtasks = 1};
    trigger(&c, 7, 0);
    SNAPSHOT(&c, 7);
    assert_int_equal(STORED(&c, 7), CHECKPOINTING_DO_SAY_ACK);
    refuse(&c, CHECKPOINTING_EV_SNAPSHOT, 8); /* by its barrier, and declined */
    assert_int_equal(checkpointing_kept(&c), 7);
    trigger(&c, 9, 0);
    SNAPSHOT(&c, 9);
    refuse(&c, CHECKPOINTING_EV_STORED, 9);
    assert_int_equal(checkpointing_kept(&c), 7);
    trigger(&c, 10, 0);
    SNAPSHOT(&c, 10);
    assert_int_equal(checkpointing_kept(&c), 10); /* it may be acknowledged in a moment */
    give(&c, CHECKPOINTING_EV_ABORT, 6);
    give(&c, CHECKPOINTING_EV_LOST, 10);
    assert_int_equal(checkpointing_kept(&c), 7);
    give(&c, CHECKPOINTING_EV_ABORT, 9); /* all ends before that one's have been heard */
    assert_int_equal(checkpointing_kept(&c), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_snapshots_are_stored_and_acknowledged),
        cmocka_unit_test(snapshots_may_come_before_the_order),
        cmocka_unit_test(what_could_not_be_persisted_is_not_acknowledged),
        cmocka_unit_test(a_subtask_that_declines_declines_for_all),
        cmocka_unit_test(a_storage_that_fails_declines),
        cmocka_unit_test(what_was_aborted_is_not_answered),
        cmocka_unit_test(an_abort_may_come_first),
        cmocka_unit_test(a_newer_one_supersedes),
        cmocka_unit_test(rest_ends_with_the_checkpoint),
        cmocka_unit_test(what_a_complete_one_may_name_is_kept),
        cmocka_unit_test(what_was_acknowledged_is_kept_until_its_end_is_heard),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
