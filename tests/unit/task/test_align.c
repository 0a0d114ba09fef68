/* SPDX-License-Identifier: Apache-2.0 */
/* The barrier aligner: its rules one by one, then any interleaving of a whole run against what a snapshot means. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/task/align.h"
#include "runtime/wire/message.h"

#define INPUTS_MAX 5

static struct align_action step(struct align *a, struct align_event ev)
{
    struct align_action action;
    align_step(a, &ev, &action);
    return action;
}

static struct align_action barrier(struct align *a, uint32_t input, uint64_t id)
{
    return step(a, (struct align_event){.type = ALIGN_EV_BARRIER, .input = input, .id = id});
}

static struct align_action trigger(struct align *a, uint64_t id, uint32_t options)
{
    return step(a, (struct align_event){.type = ALIGN_EV_TRIGGER, .id = id, .options = options});
}

static struct align_action end(struct align *a, uint32_t input)
{
    return step(a, (struct align_event){.type = ALIGN_EV_END, .input = input});
}

static struct align open_align(uint32_t n_inputs, struct align_options options)
{
    struct align a;
    assert_int_equal(align_init(&a, n_inputs, &options), WEIR_OK);
    return a;
}

#define NOTHING(action) assert_int_equal((action).type, ALIGN_DO_NOTHING)
#define DOES(action, type_, id_)                     \
    do {                                             \
        struct align_action a_ = (action);           \
        assert_int_equal(a_.type, ALIGN_DO_##type_); \
        assert_int_equal(a_.id, id_);                \
    } while (0)

/* ---- the rules ----------------------------------------------------------------------------------------------------------------------- */

static void a_snapshot_waits_for_all_inputs(void **state)
{
    (void)state;
    struct align a = open_align(3, (struct align_options){0});
    NOTHING(barrier(&a, 1, 7));
    assert_true(align_blocked(&a, 1));
    assert_false(align_blocked(&a, 0));
    assert_true(align_waits(&a));
    NOTHING(barrier(&a, 1, 7)); /* once more: nothing */
    NOTHING(barrier(&a, 0, 7));
    DOES(barrier(&a, 2, 7), SNAPSHOT, 7);
    for (uint32_t i = 0; i < 3; i++) assert_false(align_blocked(&a, i));
    assert_false(align_waits(&a));
    NOTHING(barrier(&a, 0, 7)); /* late */
    align_close(&a);
}

static void an_end_stands_for_every_barrier(void **state)
{
    (void)state;
    struct align a = open_align(3, (struct align_options){0});
    NOTHING(end(&a, 0));
    NOTHING(barrier(&a, 1, 1));
    DOES(end(&a, 2), SNAPSHOT, 1);
    DOES(barrier(&a, 1, 2), SNAPSHOT, 2); /* the only one left */
    NOTHING(end(&a, 1));
    NOTHING(trigger(&a, 3, 0)); /* work on what came may go on */
    DOES(step(&a, (struct align_event){.type = ALIGN_EV_FINISHED}), SNAPSHOT, 3);
    NOTHING(trigger(&a, 3, 0));
    DOES(trigger(&a, 4, 0), SNAPSHOT, 4);
    assert_false(align_blocked(&a, 0));
    align_close(&a);
}

static void a_trigger_waits_for_the_end_of_an_unfinished_subtask(void **state)
{
    (void)state;
    struct align a = open_align(2, (struct align_options){0});
    NOTHING(trigger(&a, 5, 0));
    NOTHING(end(&a, 0));
    NOTHING(end(&a, 1));
    DOES(step(&a, (struct align_event){.type = ALIGN_EV_FINISHED}), SNAPSHOT, 5);
    align_close(&a);
    a = open_align(2, (struct align_options){0}); /* but when barriers bring it, the trigger is old */
    NOTHING(trigger(&a, 5, 0));
    NOTHING(barrier(&a, 0, 5));
    DOES(barrier(&a, 1, 5), SNAPSHOT, 5);
    NOTHING(end(&a, 0));
    NOTHING(end(&a, 1));
    NOTHING(step(&a, (struct align_event){.type = ALIGN_EV_FINISHED}));
    align_close(&a);
}

static void a_newer_barrier_supersedes(void **state)
{
    (void)state;
    struct align a = open_align(3, (struct align_options){0});
    NOTHING(barrier(&a, 0, 1));
    NOTHING(barrier(&a, 1, 2));
    assert_false(align_blocked(&a, 0)); /* its barrier of 2 is still to come */
    assert_true(align_blocked(&a, 1));
    NOTHING(barrier(&a, 2, 1)); /* late */
    NOTHING(barrier(&a, 0, 2));
    DOES(barrier(&a, 2, 2), SNAPSHOT, 2);
    align_close(&a);
}

static void what_is_aborted_is_not_waited_for(void **state)
{
    (void)state;
    struct align a = open_align(2, (struct align_options){0});
    NOTHING(barrier(&a, 0, 3));
    NOTHING(step(&a, (struct align_event){.type = ALIGN_EV_ABORT, .id = 3}));
    assert_false(align_blocked(&a, 0));
    NOTHING(barrier(&a, 1, 3)); /* late */
    assert_false(align_blocked(&a, 1));
    NOTHING(step(&a, (struct align_event){.type = ALIGN_EV_ABORT, .id = 5})); /* before any barrier of it */
    NOTHING(barrier(&a, 0, 5));
    NOTHING(barrier(&a, 1, 5));
    NOTHING(barrier(&a, 0, 6));
    NOTHING(step(&a, (struct align_event){.type = ALIGN_EV_ABORT, .id = 5})); /* an old one does not touch a new one */
    assert_true(align_blocked(&a, 0));
    DOES(barrier(&a, 1, 6), SNAPSHOT, 6);
    align_close(&a);
}

static void an_alignment_that_takes_too_long_is_given_up(void **state)
{
    (void)state;
    struct align a = open_align(2, (struct align_options){.timeout_ms = 100});
    assert_true(align_deadline(&a) == WEIR_TIME_MAX);
    NOTHING(step(&a, (struct align_event){.type = ALIGN_EV_BARRIER, .input = 1, .id = 4, .now_ms = 1000}));
    assert_true(align_deadline(&a) == 1100);
    NOTHING(step(&a, (struct align_event){.type = ALIGN_EV_TIME, .now_ms = 1099}));
    DOES(step(&a, (struct align_event){.type = ALIGN_EV_TIME, .now_ms = 1100}), GIVE_UP, 4);
    assert_false(align_blocked(&a, 1));
    assert_true(align_deadline(&a) == WEIR_TIME_MAX);
    NOTHING(barrier(&a, 0, 4));
    NOTHING(barrier(&a, 0, 5));
    DOES(barrier(&a, 1, 5), SNAPSHOT, 5);
    align_close(&a);
}

static void at_least_once_nothing_is_blocked(void **state)
{
    (void)state;
    struct align a = open_align(2, (struct align_options){.at_least_once = true, .timeout_ms = 100});
    NOTHING(barrier(&a, 0, 1));
    assert_false(align_blocked(&a, 0));
    assert_true(align_deadline(&a) == WEIR_TIME_MAX);
    NOTHING(end(&a, 0)); /* of the blocked one nobody would have taken it */
    DOES(barrier(&a, 1, 1), SNAPSHOT, 1);
    align_close(&a);
}

static void a_source_answers_triggers(void **state)
{
    (void)state;
    struct align a = open_align(0, (struct align_options){.source = true});
    DOES(trigger(&a, 1, 0), SNAPSHOT, 1);
    NOTHING(trigger(&a, 1, 0));
    NOTHING(step(&a, (struct align_event){.type = ALIGN_EV_ABORT, .id = 3}));
    NOTHING(trigger(&a, 3, 0)); /* overtaken by its own abort */
    DOES(trigger(&a, 4, CHECKPOINT_STOP), SNAPSHOT, 4);
    assert_true(align_blocked(&a, 0)); /* it rests */
    DOES(step(&a, (struct align_event){.type = ALIGN_EV_ABORT, .id = 4}), RESUME, 4);
    assert_false(align_blocked(&a, 0));
    DOES(trigger(&a, 5, CHECKPOINT_STOP), SNAPSHOT, 5);
    DOES(trigger(&a, 6, 0), SNAPSHOT, 6); /* so 5 must have been given up: it goes on */
    assert_false(align_blocked(&a, 0));
    DOES(trigger(&a, 7, CHECKPOINT_STOP | CHECKPOINT_DRAIN), DRAIN, 7);
    NOTHING(end(&a, 0));
    DOES(step(&a, (struct align_event){.type = ALIGN_EV_FINISHED}), SNAPSHOT, 7);
    assert_false(a.resting); /* it has finished */
    align_close(&a);
}

static void a_subtask_rests_behind_stop_until_it_is_aborted(void **state)
{
    (void)state;
    struct align a = open_align(2, (struct align_options){0});
    NOTHING(step(&a, (struct align_event){.type = ALIGN_EV_BARRIER, .input = 0, .id = 2, .options = CHECKPOINT_STOP}));
    DOES(step(&a, (struct align_event){.type = ALIGN_EV_BARRIER, .input = 1, .id = 2, .options = CHECKPOINT_STOP}), SNAPSHOT, 2);
    assert_true(align_blocked(&a, 0));
    assert_true(align_blocked(&a, 1));
    NOTHING(step(&a, (struct align_event){.type = ALIGN_EV_ABORT, .id = 1}));
    DOES(trigger(&a, 3, 0), RESUME, 3);
    NOTHING(barrier(&a, 0, 3));
    DOES(barrier(&a, 1, 3), SNAPSHOT, 3);
    align_close(&a);
}

/* ---- any interleaving ------------------------------------------------------------------------------------------------------------------
 */

static uint64_t rng;

static uint32_t draw(uint32_t n)
{
    rng = rng * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(rng >> 33) % n;
}

enum item_kind { ITEM_ROW, ITEM_BARRIER, ITEM_END };
struct item {
    enum item_kind kind;
    uint64_t id;
};

/* What an input brings: rows, barriers of growing ids (some left out: their trigger was lost), perhaps an early end. */
struct input {
    struct item items[64];
    uint32_t n, next;
    uint32_t rows_before[16]; /* the barrier of each id; of one that is missing: unknown */
    bool has[16];
    uint32_t rows; /* taken */
    bool ended;
};

static void make_input(struct input *in, uint32_t n_ids)
{
    uint32_t rows = 0;
    *in = (struct input){0};
    for (uint64_t id = 1; id <= n_ids; id++) {
        for (uint32_t k = draw(4); k > 0; k--, rows++) in->items[in->n++] = (struct item){.kind = ITEM_ROW};
        if (draw(12) == 0) break;
        if (draw(6) == 0) continue;
        in->items[in->n++] = (struct item){ITEM_BARRIER, id};
        in->rows_before[id] = rows;
        in->has[id] = true;
    }
    in->items[in->n++] = (struct item){.kind = ITEM_END};
}

struct world {
    struct align a;
    struct input inputs[INPUTS_MAX];
    uint32_t n;
    uint64_t last; /* snapshot */
    bool at_least_once;
};

/* The point of it: what a snapshot has seen of each input is what stood before that input's barrier, or all there was. */
static void check_snapshot(struct world *w, uint64_t id)
{
    assert_true(id > w->last);
    w->last = id;
    for (uint32_t i = 0; i < w->n; i++) {
        const struct input *in = &w->inputs[i];
        if (!in->has[id] && in->ended) continue;
        assert_true(in->has[id]);
        if (w->at_least_once)
            assert_true(in->rows >= in->rows_before[id]);
        else
            assert_int_equal(in->rows, in->rows_before[id]);
    }
}

static void obey(struct world *w, struct align_action action)
{
    if (action.type == ALIGN_DO_SNAPSHOT) check_snapshot(w, action.id);
}

static void take(struct world *w, uint32_t i)
{
    struct input *in = &w->inputs[i];
    const struct item item = in->items[in->next++];
    switch (item.kind) {
    case ITEM_ROW: in->rows++; return;
    case ITEM_BARRIER: obey(w, barrier(&w->a, i, item.id)); return;
    case ITEM_END:
        in->ended = true;
        obey(w, end(&w->a, i));
        return;
    }
}

/* An input that may be taken from, in random order; false: all that is left is blocked. */
static bool take_any(struct world *w)
{
    uint32_t first = draw(w->n);
    for (uint32_t k = 0; k < w->n; k++) {
        uint32_t i = (first + k) % w->n;
        if (w->inputs[i].ended || align_blocked(&w->a, i)) continue;
        take(w, i);
        return true;
    }
    return false;
}

static bool all_ended(const struct world *w)
{
    for (uint32_t i = 0; i < w->n; i++)
        if (!w->inputs[i].ended) return false;
    return true;
}

static void run(uint64_t seed)
{
    struct world w = {.n = 0};
    rng = seed * 2 + 1;
    w.n = 1 + draw(INPUTS_MAX);
    w.at_least_once = draw(4) == 0;
    w.a = open_align(w.n, (struct align_options){.at_least_once = w.at_least_once, .timeout_ms = draw(2) ? 0 : 50});
    uint32_t n_ids = 1 + draw(9);
    for (uint32_t i = 0; i < w.n; i++) make_input(&w.inputs[i], n_ids);
    for (weir_time now = 0; !all_ended(&w); now++) {
        if (draw(20) == 0) obey(&w, step(&w.a, (struct align_event){.type = ALIGN_EV_ABORT, .id = w.a.decided + draw(2), .now_ms = now}));
        if (draw(10) == 0) obey(&w, step(&w.a, (struct align_event){.type = ALIGN_EV_TIME, .now_ms = now}));
        if (take_any(&w)) continue;
        /* Only a barrier whose trigger was lost on another input may hold it up, and the coordinator ends that. */
        assert_true(align_waits(&w.a));
        obey(&w, step(&w.a, (struct align_event){.type = ALIGN_EV_ABORT, .id = w.a.id}));
        assert_true(take_any(&w));
    }
    obey(&w, step(&w.a, (struct align_event){.type = ALIGN_EV_FINISHED}));
    align_close(&w.a);
}

static void any_interleaving_gives_consistent_snapshots(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20000; seed++) run(seed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_snapshot_waits_for_all_inputs),
        cmocka_unit_test(an_end_stands_for_every_barrier),
        cmocka_unit_test(a_trigger_waits_for_the_end_of_an_unfinished_subtask),
        cmocka_unit_test(a_newer_barrier_supersedes),
        cmocka_unit_test(what_is_aborted_is_not_waited_for),
        cmocka_unit_test(an_alignment_that_takes_too_long_is_given_up),
        cmocka_unit_test(at_least_once_nothing_is_blocked),
        cmocka_unit_test(a_source_answers_triggers),
        cmocka_unit_test(a_subtask_rests_behind_stop_until_it_is_aborted),
        cmocka_unit_test(any_interleaving_gives_consistent_snapshots),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
