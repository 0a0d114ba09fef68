/* SPDX-License-Identifier: Apache-2.0 */
/* The checkpoint coordinator: the walk of one checkpoint, what gives it up, what it may not be given up by, and what is retained. */
/* cmocka wants these first, in this order */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jobmanager/job.h"

enum { WORKERS = 2 };

struct fixture {
    struct graph graph;
    struct plan *plan;
    struct ckpt *c;
    struct ckpt_actions out;
    int64_t now_ms;
    bool holds_records; /* the catalog takes its time with requests */
    weir_err records_fail;
};

/* read (2) -> by key -> write (2): four channels. */
static void make_plan(struct fixture *f)
{
    struct graph_input input = {.node = 0, .partition = GRAPH_KEY, .way = "by_key"};
    struct graph_node nodes[] = {
        {.id = "read", .name = "source", .kind = GRAPH_SOURCE, .n_outputs = 1},
        {.id = "write", .name = "sink", .kind = GRAPH_SINK, .n_ports = 1, .n_inputs = 1, .inputs = &input},
    };
    struct graph made = {.name = "g", .n_nodes = 2, .nodes = nodes};
    struct buffer bytes = {0};
    assert_int_equal(graph_encode(&made, &bytes), WEIR_OK);
    assert_int_equal(graph_decode(&f->graph, bytes.data, bytes.len, NULL), WEIR_OK);
    buffer_close(&bytes);
    assert_int_equal(plan_new(&f->plan, &f->graph, 2, NULL), WEIR_OK);
    assert_int_equal(f->plan->n_channels, 4);
}

/* What is recorded is in the catalog, or refused by it, at once: what that leads to counts for the same step. */
static void record(struct fixture *f)
{
    struct ckpt_event ev = {.type = CKPT_EV_RECORDED, .now_ms = f->now_ms, .wall_ms = f->now_ms};
    struct ckpt_actions more = {0};
    ev.answer.err = f->records_fail;
    ev.answer.reason = "no space left";
    ckpt_step(f->c, &ev, &more);
    for (uint32_t i = 0; i < more.n; i++) f->out.at[f->out.n++] = more.at[i];
    f->out.refusal = more.refusal;
}

static void step(struct fixture *f, struct ckpt_event *ev)
{
    ev->now_ms = ev->wall_ms = f->now_ms;
    ckpt_step(f->c, ev, &f->out);
    for (uint32_t i = 0; i < f->out.n && !f->holds_records; i++)
        if (f->out.at[i].type == CKPT_DO_RECORD) record(f);
}

static void make(struct fixture *f, uint32_t tolerable, uint32_t n_retained)
{
    struct ckpt_config config = {.interval_ms = 1000,
                                 .min_pause_ms = 300,
                                 .timeout_ms = 5000,
                                 .tolerable_failures = tolerable,
                                 .n_retained = n_retained,
                                 .dir = "/c/job"};
    ckpt_destroy(&f->c);
    ckpt_new(&f->c, &config);
}

static void attempt(struct fixture *f, uint32_t number)
{
    struct ckpt_event ev = {.type = CKPT_EV_ATTEMPT};
    ev.attempt.attempt = number;
    ev.attempt.n_workers = WORKERS;
    ev.attempt.plan = f->plan;
    step(f, &ev);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    make_plan(f);
    make(f, 0, 2);
    attempt(f, 1);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    ckpt_actions_close(&f->out);
    ckpt_destroy(&f->c);
    plan_destroy(&f->plan);
    graph_close(&f->graph);
    free(f);
    return 0;
}

static const struct ckpt_action *did(const struct fixture *f, enum ckpt_action_type type)
{
    for (uint32_t i = 0; i < f->out.n; i++)
        if (f->out.at[i].type == type) return &f->out.at[i];
    return NULL;
}

static void tick(struct fixture *f, int64_t ms)
{
    f->now_ms += ms;
    step(f, &(struct ckpt_event){.type = CKPT_EV_TICK});
}

static void answer_of(struct fixture *f, enum ckpt_event_type type, uint64_t id, weir_err err)
{
    struct ckpt_event ev = {.type = type};
    ev.answer.id = id;
    ev.answer.err = err;
    ev.answer.reason = "no space left";
    ev.answer.bytes = 99;
    step(f, &ev);
}

static void answer(struct fixture *f, enum ckpt_event_type type)
{
    answer_of(f, type, f->c->id, WEIR_OK);
}

/* Worker w sends on channels 2w and 2w + 1 and receives on w and 2 + w. `lost`: records that its channels did not bring. */
static void ack(struct fixture *f, uint64_t id, uint32_t w, uint64_t lost)
{
    struct wire_ledger ledger[] = {
        {.channel = 2 * w, .side = WIRE_LEDGER_SENDER, .records = 10, .bytes = 100, .hash = 7},
        {.channel = 2 * w + 1, .side = WIRE_LEDGER_SENDER, .records = 10, .bytes = 100, .hash = 7},
        {.channel = w, .side = WIRE_LEDGER_RECEIVER, .records = 10, .bytes = 100, .hash = 7},
        {.channel = 2 + w, .side = WIRE_LEDGER_RECEIVER, .records = 10 - lost, .bytes = 100, .hash = 7},
    };
    struct wire_msg msg = {.type = WIRE_CHECKPOINT_ACK};
    msg.ack.id = id;
    msg.ack.pack = w ? "pack-1" : "pack-0";
    msg.ack.pack_bytes = 11;
    msg.ack.state_bytes = 1000;
    msg.ack.new_bytes = 100;
    msg.ack.sync_us_max = 5 + w;
    msg.ack.n_ledger = 4;
    msg.ack.ledger = ledger;
    struct ckpt_event ev = {.type = CKPT_EV_ACK};
    ev.worker.worker = w;
    ev.worker.msg = &msg;
    step(f, &ev);
}

static void decline(struct fixture *f, uint64_t id, uint32_t w)
{
    struct wire_msg msg = {.type = WIRE_CHECKPOINT_DECLINE};
    msg.decline.id = id;
    msg.decline.failure = (struct wire_failure){WEIR_E_IO, "", -1, "the disk is full"};
    struct ckpt_event ev = {.type = CKPT_EV_DECLINE};
    ev.worker.worker = w;
    ev.worker.msg = &msg;
    step(f, &ev);
}

static void detach(struct fixture *f)
{
    struct ckpt_event ev = {.type = CKPT_EV_DETACH};
    ev.detach.reason = "the attempt has failed";
    step(f, &ev);
}

static struct weir_id id_of(uint8_t n)
{
    return (struct weir_id){{n}};
}

static void request(struct fixture *f, uint8_t id, uint32_t options)
{
    struct ckpt_event ev = {.type = CKPT_EV_REQUEST};
    ev.request.id = id_of(id);
    ev.request.options = options;
    snprintf(ev.request.path, sizeof ev.request.path, "/save/%d", id);
    step(f, &ev);
}

/* From RESERVING to PENDING. */
static void let_begin(struct fixture *f)
{
    assert_non_null(did(f, CKPT_DO_RESERVE));
    answer(f, CKPT_EV_RESERVED);
    assert_non_null(did(f, CKPT_DO_BEGIN));
    answer(f, CKPT_EV_BEGUN);
    assert_non_null(did(f, CKPT_DO_TRIGGER));
}

static void let_acknowledge(struct fixture *f)
{
    uint64_t id = f->c->id;
    ack(f, id, 0, 0);
    assert_int_equal(f->out.n, 0);
    ack(f, id, 1, 0);
    assert_non_null(did(f, CKPT_DO_SEAL));
}

static void let_complete(struct fixture *f)
{
    let_begin(f);
    let_acknowledge(f);
    answer(f, CKPT_EV_SEALED);
    assert_non_null(did(f, CKPT_DO_COMMIT));
    answer(f, CKPT_EV_POINTER);
    assert_non_null(did(f, CKPT_DO_COMPLETE));
}

/* ---- the walk ---- */

static void completes_only_after_every_condition(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(ckpt_deadline_ms(f->c), 1000);
    tick(f, 999);
    assert_int_equal(f->out.n, 0);
    tick(f, 1);
    let_begin(f);
    let_acknowledge(f);
    assert_null(did(f, CKPT_DO_COMPLETE));
    answer(f, CKPT_EV_SEALED);
    assert_null(did(f, CKPT_DO_COMPLETE));
    assert_null(ckpt_restore_point(f->c)); /* not before the catalog has it */
    answer(f, CKPT_EV_POINTER);
    assert_non_null(did(f, CKPT_DO_COMPLETE));
    const struct ckpt_pointer *p = ckpt_restore_point(f->c);
    assert_int_equal(p->id, 1);
    assert_string_equal(p->path, "/c/job/chk-1");
    assert_int_equal(p->bytes, 99);
    const struct ckpt_stat *stat = &f->c->history.completed;
    assert_int_equal(stat->id, 1);
    assert_int_equal(stat->state_bytes, 2000);
    assert_int_equal(stat->new_bytes, 200);
    assert_int_equal(stat->sync_us_max, 6);
    assert_int_equal(stat->n_acked, 2);
}

static void late_and_doubled_answers_are_outcomes(void **state)
{
    struct fixture *f = *state;
    tick(f, 1000);
    let_begin(f);
    ack(f, 1, 0, 0);
    ack(f, 1, 0, 0);
    assert_int_equal(f->out.outcome, CKPT_DUPLICATE);
    decline(f, 1, 0); /* who has acknowledged cannot decline */
    assert_int_equal(f->out.outcome, CKPT_DUPLICATE);
    ack(f, 7, 1, 0);
    assert_int_equal(f->out.outcome, CKPT_STALE);
    tick(f, 5000); /* expires */
    assert_non_null(did(f, CKPT_DO_ABORT));
    ack(f, 1, 1, 0);
    assert_int_equal(f->out.outcome, CKPT_STALE);
    answer_of(f, CKPT_EV_SEALED, 1, WEIR_OK);
    assert_int_equal(f->out.outcome, CKPT_UNEXPECTED);
    assert_null(ckpt_restore_point(f->c));
}

static void numbers_are_never_used_twice(void **state)
{
    struct fixture *f = *state;
    make(f, 9, 2);
    ckpt_used(f->c, 41);
    attempt(f, 1);
    tick(f, 1000);
    assert_int_equal(did(f, CKPT_DO_RESERVE)->id, 42);
    let_begin(f);
    decline(f, 42, 1);
    assert_non_null(did(f, CKPT_DO_DISCARD));
    tick(f, 1000);
    assert_int_equal(did(f, CKPT_DO_RESERVE)->id, 43);
}

static void the_pause_counts_from_the_end(void **state)
{
    struct fixture *f = *state;
    tick(f, 1000);
    let_begin(f);
    tick(f, 900);
    let_acknowledge(f);
    answer(f, CKPT_EV_SEALED);
    answer(f, CKPT_EV_POINTER); /* at 1900; the next one was due at 2000 */
    assert_int_equal(ckpt_deadline_ms(f->c), 2200);
    tick(f, 299);
    assert_null(did(f, CKPT_DO_RESERVE));
    tick(f, 1);
    assert_non_null(did(f, CKPT_DO_RESERVE));
}

static void one_at_a_time(void **state)
{
    struct fixture *f = *state;
    tick(f, 1000);
    let_begin(f);
    tick(f, 3000);
    assert_int_equal(f->out.n, 0);
    request(f, 1, 0);
    assert_int_equal(f->out.answer.code, WEIR_OK);
    assert_null(did(f, CKPT_DO_RESERVE));
}

/* ---- giving up ---- */

static void a_failure_that_is_not_tolerated_fails_the_attempt(void **state)
{
    struct fixture *f = *state;
    tick(f, 1000);
    let_begin(f);
    decline(f, 1, 1);
    assert_non_null(did(f, CKPT_DO_ABORT));
    assert_non_null(did(f, CKPT_DO_DISCARD));
    assert_non_null(did(f, CKPT_DO_FAIL));
    assert_non_null(strstr(f->out.failure.text, "worker 1: the disk is full"));
    assert_int_equal(f->c->history.failed.cause, CKPT_CAUSE_DECLINED);
}

static void failures_in_a_row_are_counted_and_a_success_forgives(void **state)
{
    struct fixture *f = *state;
    make(f, 1, 2);
    attempt(f, 1);
    for (int round = 0; round < 2; round++) {
        tick(f, 1000);
        let_begin(f);
        decline(f, f->c->id, 0);
        assert_null(did(f, CKPT_DO_FAIL));
        tick(f, 1000);
        let_complete(f);
    }
    for (int i = 0; i < 2; i++) {
        tick(f, 1000);
        let_begin(f);
        decline(f, f->c->id, 0);
        assert_int_equal(did(f, CKPT_DO_FAIL) != NULL, i == 1);
    }
}

static void a_storage_that_is_away_gives_up_before_the_workers_hear(void **state)
{
    struct fixture *f = *state;
    make(f, 5, 2);
    attempt(f, 1);
    tick(f, 1000);
    answer(f, CKPT_EV_RESERVED);
    answer_of(f, CKPT_EV_BEGUN, 1, WEIR_E_IO);
    assert_null(did(f, CKPT_DO_TRIGGER));
    assert_null(did(f, CKPT_DO_ABORT));
    assert_null(did(f, CKPT_DO_DISCARD)); /* what lies there is not ours */
    assert_int_equal(f->c->history.failed.cause, CKPT_CAUSE_STORAGE);
}

static void what_is_with_the_storage_is_waited_for_and_undone(void **state)
{
    struct fixture *f = *state;
    make(f, 5, 2);
    attempt(f, 1);
    tick(f, 1000);
    let_begin(f);
    let_acknowledge(f);
    tick(f, 5000); /* the manifest takes too long */
    assert_non_null(did(f, CKPT_DO_ABORT));
    assert_null(did(f, CKPT_DO_DISCARD));
    tick(f, 5000);
    assert_int_equal(f->out.n, 0); /* no other one meanwhile */
    answer(f, CKPT_EV_SEALED);
    assert_null(did(f, CKPT_DO_COMMIT));
    assert_int_equal(did(f, CKPT_DO_DISCARD)->id, 1);
    assert_string_equal(did(f, CKPT_DO_DISCARD)->path, "/c/job/chk-1");
    tick(f, 300);
    assert_non_null(did(f, CKPT_DO_RESERVE)); /* overdue, after the pause */
}

static void a_pointer_on_its_way_is_never_given_up(void **state)
{
    struct fixture *f = *state;
    tick(f, 1000);
    let_begin(f);
    let_acknowledge(f);
    answer(f, CKPT_EV_SEALED);
    tick(f, 100000);
    assert_int_equal(f->out.n, 0);
    detach(f);
    assert_int_equal(f->out.n, 0);
    assert_false(ckpt_settled(f->c)); /* what to restore is not known yet */
    answer(f, CKPT_EV_POINTER);
    assert_true(ckpt_settled(f->c));
    assert_null(did(f, CKPT_DO_COMPLETE)); /* the workers have gone */
    assert_int_equal(ckpt_restore_point(f->c)->id, 1);
}

static void a_refused_pointer_is_a_failed_checkpoint(void **state)
{
    struct fixture *f = *state;
    make(f, 5, 2);
    attempt(f, 1);
    tick(f, 1000);
    let_begin(f);
    let_acknowledge(f);
    answer(f, CKPT_EV_SEALED);
    answer_of(f, CKPT_EV_POINTER, 1, WEIR_E_IO);
    assert_non_null(did(f, CKPT_DO_ABORT));
    assert_non_null(did(f, CKPT_DO_DISCARD));
    assert_null(ckpt_restore_point(f->c));
    assert_int_equal(f->c->history.failed.cause, CKPT_CAUSE_CATALOG);
}

static void the_end_of_the_attempt_gives_up_but_does_not_count(void **state)
{
    struct fixture *f = *state;
    tick(f, 1000);
    let_begin(f);
    detach(f);
    assert_null(did(f, CKPT_DO_FAIL));
    assert_non_null(did(f, CKPT_DO_ABORT)); /* what sinks prepared for it is nobody's, if they are still there to hear it */
    assert_non_null(did(f, CKPT_DO_DISCARD));
    assert_true(ckpt_settled(f->c));
    attempt(f, 2);
    tick(f, 1000);
    let_complete(f);
    assert_int_equal(ckpt_restore_point(f->c)->id, 2);
}

/* ---- the ledger ---- */

static void a_lost_record_is_named_and_fails_the_attempt(void **state)
{
    struct fixture *f = *state;
    make(f, 100, 2);
    attempt(f, 1);
    tick(f, 1000);
    let_begin(f);
    ack(f, 1, 0, 0);
    ack(f, 1, 1, 1); /* channel 3 */
    assert_null(did(f, CKPT_DO_SEAL));
    assert_non_null(did(f, CKPT_DO_FAIL));
    assert_int_equal(f->out.failure.code, WEIR_E_CORRUPT);
    assert_non_null(strstr(f->out.failure.text, "channel 3 from 'read' subtask 1 to 'write' subtask 1"));
    assert_non_null(strstr(f->out.failure.text, "sender counted 10 records"));
    assert_non_null(strstr(f->out.failure.text, "receiver 9 records"));
}

static void every_kind_of_difference_is_seen(void **state)
{
    struct fixture *f = *state;
    struct wire_ledger good[] = {{0, 0, 5, 50, 1}, {0, 1, 5, 50, 1}, {1, 0, 0, 0, 0}, {1, 1, 0, 0, 0},
                                 {2, 0, 1, 9, 3},  {2, 1, 1, 9, 3},  {3, 0, 8, 8, 8}, {3, 1, 8, 8, 8}};
    struct ckpt_ledger l;
    ckpt_ledger_init(&l, 4);
    assert_true(ckpt_ledger_take(&l, good, 8, NULL));
    assert_int_equal(ckpt_ledger_compare(&l, f->plan, NULL), WEIR_OK);
    for (int what = 0; what < 4; what++) {
        struct wire_ledger bad[8];
        memcpy(bad, good, sizeof bad);
        bad[5].records += what == 0;
        bad[5].bytes += what == 1;
        bad[5].hash += what == 2;
        ckpt_ledger_clear(&l);
        assert_true(ckpt_ledger_take(&l, bad, what == 3 ? 7 : 8, NULL)); /* 3: the last end says nothing */
        assert_int_equal(ckpt_ledger_compare(&l, f->plan, NULL), WEIR_E_CORRUPT);
    }
    struct wire_ledger twice[] = {{3, 0, 8, 8, 8}}, outside[] = {{4, 0, 0, 0, 0}}, side[] = {{3, 2, 0, 0, 0}};
    assert_false(ckpt_ledger_take(&l, twice, 1, NULL));
    assert_false(ckpt_ledger_take(&l, outside, 1, NULL));
    assert_false(ckpt_ledger_take(&l, side, 1, NULL));
    ckpt_ledger_close(&l);
}

/* ---- requests ---- */

static void savepoints_come_before_checkpoints(void **state)
{
    struct fixture *f = *state;
    tick(f, 1000);
    let_begin(f);
    request(f, 1, 0);
    request(f, 2, CHECKPOINT_SAVEPOINT);
    let_acknowledge(f);
    answer(f, CKPT_EV_SEALED);
    answer(f, CKPT_EV_POINTER);
    assert_non_null(did(f, CKPT_DO_RESERVE)); /* at once: neither interval nor pause */
    assert_int_equal(f->c->options, CHECKPOINT_SAVEPOINT);
    assert_string_equal(f->c->path, "/save/2");
    let_complete(f);
    assert_int_equal(ckpt_find_request(f->c, id_of(2))->state, CKPT_REQUEST_DONE);
    assert_string_equal(ckpt_find_request(f->c, id_of(2))->path, "/save/2");
    assert_int_equal(f->c->options, 0);
    assert_int_equal(ckpt_find_request(f->c, id_of(1))->state, CKPT_REQUEST_RUNNING);
}

static void a_failed_savepoint_is_answered_and_harms_nobody(void **state)
{
    struct fixture *f = *state;
    request(f, 1, CHECKPOINT_SAVEPOINT);
    let_begin(f);
    decline(f, 1, 0);
    assert_null(did(f, CKPT_DO_FAIL));
    assert_int_equal(ckpt_find_request(f->c, id_of(1))->state, CKPT_REQUEST_FAILED);
    assert_non_null(strstr(ckpt_find_request(f->c, id_of(1))->failure, "disk is full"));
}

static void a_second_stop_is_refused(void **state)
{
    struct fixture *f = *state;
    request(f, 1, CHECKPOINT_SAVEPOINT | CHECKPOINT_STOP);
    let_begin(f);
    request(f, 2, CHECKPOINT_SAVEPOINT | CHECKPOINT_STOP);
    assert_int_equal(f->out.answer.code, WEIR_E_STATE);
}

static void a_completed_stop_lets_the_workers_end(void **state)
{
    struct fixture *f = *state;
    request(f, 1, CHECKPOINT_SAVEPOINT | CHECKPOINT_STOP);
    let_complete(f);
    assert_non_null(did(f, CKPT_DO_STOPPED));
    tick(f, 100000);
    assert_int_equal(f->out.n, 0);
    assert_int_equal(ckpt_deadline_ms(f->c), INT64_MAX);
    request(f, 2, 0);
    assert_int_equal(f->out.answer.code, WEIR_E_STATE);
}

static void a_stop_that_fails_halfway_fails_the_attempt(void **state)
{
    struct fixture *f = *state;
    make(f, 100, 2);
    attempt(f, 1);
    request(f, 1, CHECKPOINT_SAVEPOINT | CHECKPOINT_STOP);
    let_begin(f);
    decline(f, 1, 0);
    assert_non_null(did(f, CKPT_DO_FAIL)); /* its sources rest: only a restart moves them again */
}

/* Until the catalog holds it nothing is begun for it, and nobody is told. */
static void what_is_asked_for_is_stored_first(void **state)
{
    struct fixture *f = *state;
    f->holds_records = true;
    request(f, 1, CHECKPOINT_SAVEPOINT);
    assert_int_equal(f->out.answer.code, WEIR_OK);
    assert_int_equal(f->out.n, 1);
    assert_non_null(did(f, CKPT_DO_RECORD));
    tick(f, 10);
    assert_int_equal(f->out.n, 0);
    answer_of(f, CKPT_EV_RECORDED, 0, WEIR_OK);
    assert_true(id_equal(did(f, CKPT_DO_ACCEPTED)->request, id_of(1)));
    assert_int_equal(f->out.refusal.code, WEIR_OK);
    assert_non_null(did(f, CKPT_DO_RESERVE));
}

static void what_the_catalog_refuses_was_never_asked_for(void **state)
{
    struct fixture *f = *state;
    f->records_fail = WEIR_E_IO;
    request(f, 1, CHECKPOINT_SAVEPOINT);
    assert_true(id_equal(did(f, CKPT_DO_ACCEPTED)->request, id_of(1)));
    assert_int_equal(f->out.refusal.code, WEIR_E_IO);
    assert_non_null(strstr(f->out.refusal.text, "no space left"));
    assert_null(ckpt_find_request(f->c, id_of(1)));
    assert_null(did(f, CKPT_DO_RESERVE));
    assert_true(ckpt_deadline_ms(f->c) >= f->now_ms + 1000); /* nothing is left to be stored */
}

/* Its pointer is what the next leader knows it by: it stays until the end is stored, and so does the attempt. */
static void what_became_of_it_is_stored_before_anything_else(void **state)
{
    struct fixture *f = *state;
    request(f, 1, CHECKPOINT_SAVEPOINT);
    let_begin(f);
    let_acknowledge(f);
    answer(f, CKPT_EV_SEALED);
    const struct ckpt_pointer *pointers[CKPT_RETAINED_MAX + 2];
    assert_int_equal(ckpt_next_pointers(f->c, pointers), 1);
    assert_true(id_equal(pointers[0]->request, id_of(1)));
    f->holds_records = true;
    answer(f, CKPT_EV_POINTER);
    assert_non_null(did(f, CKPT_DO_COMPLETE));
    assert_non_null(did(f, CKPT_DO_RECORD));
    assert_false(ckpt_find_request(f->c, id_of(1))->recorded);
    tick(f, 5000);
    assert_null(did(f, CKPT_DO_RESERVE));
    answer_of(f, CKPT_EV_RECORDED, 0, WEIR_E_IO); /* it is put again */
    assert_int_equal(ckpt_deadline_ms(f->c), f->now_ms + 1000);
    tick(f, 999);
    assert_int_equal(f->out.n, 0);
    tick(f, 1);
    assert_non_null(did(f, CKPT_DO_RECORD));
    detach(f);
    assert_false(ckpt_settled(f->c));
    answer_of(f, CKPT_EV_RECORDED, 0, WEIR_OK);
    assert_true(ckpt_find_request(f->c, id_of(1))->recorded);
    assert_true(ckpt_settled(f->c));
}

/* What is asked for while the attempt ends was accepted, and has failed. */
static void who_asks_in_the_last_moment_is_told_the_truth(void **state)
{
    struct fixture *f = *state;
    f->holds_records = true;
    request(f, 1, CHECKPOINT_SAVEPOINT);
    detach(f);
    assert_non_null(did(f, CKPT_DO_RECORD));
    assert_false(ckpt_settled(f->c));
    answer_of(f, CKPT_EV_RECORDED, 0, WEIR_OK);
    assert_non_null(did(f, CKPT_DO_ACCEPTED));
    assert_int_equal(ckpt_find_request(f->c, id_of(1))->state, CKPT_REQUEST_FAILED);
    assert_string_equal(ckpt_find_request(f->c, id_of(1))->failure, "the attempt has failed");
    assert_true(ckpt_settled(f->c));
}

/* A new leader: what a pointer names is done, what none names never will be, and what had ended stays so. */
static void what_another_leader_accepted_has_an_end(void **state)
{
    struct fixture *f = *state;
    struct ckpt_pointer pointer = {.id = 7, .options = CHECKPOINT_SAVEPOINT, .path = "/save/2", .request = id_of(2)};
    struct ckpt_request asked = {.id = id_of(1), .options = CHECKPOINT_SAVEPOINT, .state = CKPT_REQUEST_WAITING, .path = "/save/1"};
    make(f, 0, 2);
    assert_true(ckpt_retain(f->c, &pointer));
    ckpt_recall(f->c, &asked, 3);
    asked.id = id_of(2);
    ckpt_recall(f->c, &asked, 3);
    asked.id = id_of(3);
    asked.state = CKPT_REQUEST_DONE;
    ckpt_recall(f->c, &asked, 3);
    asked = (struct ckpt_request){.id = id_of(4), .state = CKPT_REQUEST_WAITING}; /* no savepoint: the archive sweeps */
    ckpt_recall(f->c, &asked, 3);
    f->holds_records = true;
    tick(f, 0);
    assert_non_null(did(f, CKPT_DO_RECORD));
    const struct ckpt_action *discarded = did(f, CKPT_DO_DISCARD);
    assert_string_equal(discarded->path, "/save/1");
    assert_true(id_equal(discarded->request, id_of(1)));
    for (uint32_t i = 0; i < f->out.n; i++) assert_true(f->out.at[i].type != CKPT_DO_DISCARD || &f->out.at[i] == discarded);
    const struct ckpt_request *lost = ckpt_find_request(f->c, id_of(1)), *done = ckpt_find_request(f->c, id_of(2));
    assert_int_equal(lost->state, CKPT_REQUEST_FAILED);
    assert_non_null(strstr(lost->failure, "ask for it again"));
    assert_int_equal(done->state, CKPT_REQUEST_DONE);
    assert_string_equal(done->path, "/save/2");
    assert_int_equal(done->checkpoint, 7);
    assert_int_equal(done->attempt, 3);
    assert_false(done->recorded);
    assert_true(ckpt_find_request(f->c, id_of(3))->recorded);
    answer_of(f, CKPT_EV_RECORDED, 0, WEIR_OK);
    assert_true(done->recorded && lost->recorded);
    assert_true(ckpt_settled(f->c));
}

/* Also under a leader that has not seen the attempt run. */
static void a_stop_whose_job_fails_behind_it_has_failed(void **state)
{
    struct fixture *f = *state;
    struct ckpt_request stop = {.id = id_of(1), .options = CHECKPOINT_SAVEPOINT | CHECKPOINT_STOP, .state = CKPT_REQUEST_DONE};
    request(f, 2, stop.options);
    let_complete(f);
    step(f, &(struct ckpt_event){.type = CKPT_EV_DETACH}); /* its workers have committed */
    assert_int_equal(ckpt_find_request(f->c, id_of(2))->state, CKPT_REQUEST_DONE);
    make(f, 0, 2);
    ckpt_recall(f->c, &stop, 1);
    detach(f);
    assert_int_equal(ckpt_find_request(f->c, id_of(1))->state, CKPT_REQUEST_FAILED);
    assert_true(ckpt_find_request(f->c, id_of(1))->complete);
    assert_non_null(did(f, CKPT_DO_RECORD));
}

/* Its pointer was being put when the attempt ended: the savepoint is there, and nobody commits behind it. */
static void a_stop_that_is_complete_behind_its_attempt_has_failed(void **state)
{
    struct fixture *f = *state;
    request(f, 1, CHECKPOINT_SAVEPOINT | CHECKPOINT_STOP);
    let_begin(f);
    let_acknowledge(f);
    answer(f, CKPT_EV_SEALED);
    detach(f);
    assert_null(did(f, CKPT_DO_ABORT)); /* it may be complete */
    answer(f, CKPT_EV_POINTER);
    assert_int_equal(ckpt_find_request(f->c, id_of(1))->state, CKPT_REQUEST_FAILED);
    assert_true(ckpt_find_request(f->c, id_of(1))->complete);
    assert_int_equal(ckpt_restore_point(f->c)->id, 1);
    assert_true(ckpt_settled(f->c));
}

/* Nobody is told an end that the catalog does not hold; of a stop, before the job has ended. */
static void an_end_is_told_when_it_is_stored(void **state)
{
    static const struct job runs = {.state = JOB_RUNNING}, finished = {.state = JOB_FINISHED};
    struct ckpt_request r = {.options = CHECKPOINT_SAVEPOINT, .state = CKPT_REQUEST_DONE, .failure = "full"};
    const char *why;
    (void)state;
    assert_int_equal(job_request_state(&runs, &r, &why), CKPT_REQUEST_RUNNING);
    r.recorded = true;
    assert_int_equal(job_request_state(&runs, &r, &why), CKPT_REQUEST_DONE);
    assert_null(why);
    r.options |= CHECKPOINT_STOP;
    assert_int_equal(job_request_state(&runs, &r, &why), CKPT_REQUEST_RUNNING);
    assert_int_equal(job_request_state(&finished, &r, &why), CKPT_REQUEST_DONE);
    r.state = CKPT_REQUEST_FAILED;
    assert_int_equal(job_request_state(&runs, &r, &why), CKPT_REQUEST_FAILED);
    assert_string_equal(why, "full");
    r.recorded = false;
    assert_int_equal(job_request_state(&runs, &r, &why), CKPT_REQUEST_RUNNING);
    assert_null(why);
}

static void requests_are_bounded_and_answers_make_room(void **state)
{
    struct fixture *f = *state;
    for (uint8_t i = 1; i <= CKPT_REQUESTS_MAX; i++) request(f, i, 0);
    assert_int_equal(f->out.answer.code, WEIR_OK);
    request(f, 100, 0);
    assert_int_equal(f->out.answer.code, WEIR_E_LIMIT);
    detach(f);
    answer(f, CKPT_EV_RESERVED);
    attempt(f, 2);
    request(f, 101, 0);
    assert_int_equal(f->out.answer.code, WEIR_OK);
    assert_null(ckpt_find_request(f->c, id_of(1)));
}

static void the_last_one_is_taken_when_all_have_finished(void **state)
{
    struct fixture *f = *state;
    tick(f, 1000);
    let_begin(f);
    step(f, &(struct ckpt_event){.type = CKPT_EV_FINISHED});
    assert_int_equal(f->out.n, 0);
    let_acknowledge(f);
    answer(f, CKPT_EV_SEALED);
    answer(f, CKPT_EV_POINTER);
    assert_non_null(did(f, CKPT_DO_RESERVE));
    assert_int_equal(f->c->options, CHECKPOINT_FINAL);
    let_complete(f);
    assert_non_null(did(f, CKPT_DO_STOPPED));
}

static void a_last_one_that_failed_is_tried_again(void **state)
{
    struct fixture *f = *state;
    make(f, 1, 2);
    f->c->config.interval_ms = 0;
    attempt(f, 1);
    step(f, &(struct ckpt_event){.type = CKPT_EV_FINISHED});
    let_begin(f);
    decline(f, 1, 0);
    tick(f, 1000);
    let_complete(f);
    assert_non_null(did(f, CKPT_DO_STOPPED));
}

/* ---- what is retained ---- */

static void older_ones_go_when_newer_ones_are_complete(void **state)
{
    struct fixture *f = *state;
    for (uint64_t id = 1; id <= 4; id++) {
        tick(f, 1000);
        let_complete(f);
        const struct ckpt_action *gone = did(f, CKPT_DO_DISCARD);
        assert_int_equal(gone ? gone->id : 0, id > 2 ? id - 2 : 0);
    }
    assert_int_equal(f->c->n_retained, 2);
}

static void a_savepoint_is_a_recovery_point_until_a_newer_one_is_there(void **state)
{
    struct fixture *f = *state;
    tick(f, 1000);
    let_complete(f);
    tick(f, 1000);
    let_complete(f);
    request(f, 1, CHECKPOINT_SAVEPOINT);
    let_complete(f);
    assert_null(did(f, CKPT_DO_DISCARD)); /* it is not counted: the two checkpoints stay */
    assert_int_equal(f->c->n_retained, 3);
    assert_string_equal(ckpt_restore_point(f->c)->path, "/save/1");
    tick(f, 1000);
    let_complete(f);
    assert_int_equal(f->c->n_retained, 2); /* 2 and 4; the savepoint left the list, and its files stay */
    assert_int_equal(did(f, CKPT_DO_DISCARD)->id, 1);
    assert_int_equal(ckpt_restore_point(f->c)->id, 4);
}

static void a_refused_one_is_passed_over(void **state)
{
    struct fixture *f = *state;
    tick(f, 1000);
    let_complete(f);
    tick(f, 1000);
    let_complete(f);
    ckpt_refuse(f->c, 2);
    assert_int_equal(ckpt_restore_point(f->c)->id, 1);
    ckpt_refuse(f->c, 1);
    assert_null(ckpt_restore_point(f->c));
}

static void what_a_job_began_with_is_never_deleted_unless_claimed(void **state)
{
    struct fixture *f = *state;
    for (int claimed = 0; claimed < 2; claimed++) {
        make(f, 0, 1);
        struct ckpt_pointer from = {.id = 7, .options = CHECKPOINT_SAVEPOINT, .owned = claimed, .path = (char *)"/save/old"};
        assert_true(ckpt_retain(f->c, &from));
        attempt(f, 1);
        tick(f, 1000);
        assert_int_equal(did(f, CKPT_DO_RESERVE)->id, 8);
        let_complete(f);
        const struct ckpt_action *gone = did(f, CKPT_DO_DISCARD);
        assert_int_equal(gone != NULL, claimed);
        assert_int_equal(f->c->n_retained, 1);
    }
}

static void a_job_that_keeps_nothing_discards_all(void **state)
{
    struct fixture *f = *state;
    tick(f, 1000);
    let_complete(f);
    tick(f, 1000);
    let_complete(f);
    detach(f);
    ckpt_discard_all(f->c, &f->out);
    assert_int_equal(f->out.n, 2);
    assert_null(ckpt_restore_point(f->c));
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

/* ---- an attempt that another leader has begun ---- */

/* The catalog names checkpoint `complete` (0: none); the workers were told to take `triggered` last. */
static void take_over(struct fixture *f, uint64_t complete, uint32_t complete_options, uint64_t triggered, uint32_t options)
{
    char path[] = "/c/job/chk";
    struct ckpt_pointer pointer = {.id = complete, .options = complete_options, .owned = true, .path = path};
    make(f, 0, 2);
    if (complete) assert_true(ckpt_retain(f->c, &pointer));
    struct ckpt_event ev = {.type = CKPT_EV_ATTEMPT};
    ev.attempt.attempt = 3;
    ev.attempt.n_workers = WORKERS;
    ev.attempt.plan = f->plan;
    ev.attempt.triggered = triggered;
    ev.attempt.options = options;
    step(f, &ev);
}

static void what_the_former_leader_completed_is_told_again(void **state)
{
    struct fixture *f = *state;
    take_over(f, 7, 0, 7, 0);
    assert_int_equal(f->out.n, 1);
    assert_int_equal(did(f, CKPT_DO_COMPLETE)->id, 7);
    tick(f, 1000);
    assert_int_equal(did(f, CKPT_DO_RESERVE)->id, 8);
}

static void what_the_former_leader_had_begun_is_given_up(void **state)
{
    struct fixture *f = *state;
    take_over(f, 7, 0, 9, 0);
    assert_int_equal(did(f, CKPT_DO_COMPLETE)->id, 7);
    assert_int_equal(did(f, CKPT_DO_ABORT)->id, 9);
    assert_string_equal(f->out.reason, "the JobManager that had begun it has gone");
    assert_string_equal(did(f, CKPT_DO_DISCARD)->path, "/c/job/chk-9");
    assert_null(did(f, CKPT_DO_FAIL));
    ack(f, 9, 0, 0);
    assert_int_equal(f->out.outcome, CKPT_STALE);
    tick(f, 1000);
    assert_int_equal(did(f, CKPT_DO_RESERVE)->id, 10);
    take_over(f, 0, 0, 1, CHECKPOINT_SAVEPOINT); /* its folder is its user's */
    assert_null(did(f, CKPT_DO_COMPLETE));
    assert_int_equal(did(f, CKPT_DO_ABORT)->id, 1);
    assert_null(did(f, CKPT_DO_DISCARD));
}

static void a_last_checkpoint_of_the_former_leader_lets_the_workers_commit(void **state)
{
    struct fixture *f = *state;
    take_over(f, 7, CHECKPOINT_FINAL, 7, CHECKPOINT_FINAL);
    assert_int_equal(did(f, CKPT_DO_COMPLETE)->id, 7);
    assert_non_null(did(f, CKPT_DO_STOPPED));
    tick(f, 10000);
    assert_int_equal(f->out.n, 0); /* none comes after it */
}

/* The sources rest behind it, and nobody knows whether all of its parts were stored. */
static void a_stop_that_the_former_leader_had_begun_fails_the_attempt(void **state)
{
    struct fixture *f = *state;
    take_over(f, 7, 0, 8, CHECKPOINT_SAVEPOINT | CHECKPOINT_STOP);
    assert_non_null(did(f, CKPT_DO_FAIL));
    assert_string_equal(f->out.failure.text, "the savepoint 8 that was to stop the job was lost with the JobManager");
}

/* The newest pointer is what the attempt began with, and it was told nothing since. */
static void an_attempt_without_checkpoints_of_its_own_is_left_alone(void **state)
{
    struct fixture *f = *state;
    take_over(f, 7, CHECKPOINT_FINAL, 0, 0);
    assert_int_equal(f->out.n, 0);
    assert_false(f->c->stopped);
}

/* A new interval counts from now on; the same one changes nothing that is due. */
static void intervals_change_while_the_attempt_runs(void **state)
{
    struct fixture *f = *state;
    struct ckpt_config config = f->c->config;
    int64_t due = ckpt_deadline_ms(f->c);
    f->now_ms += 10;
    config.timeout_ms = 77;
    ckpt_configure(f->c, &config, f->now_ms);
    assert_int_equal(ckpt_deadline_ms(f->c), due);
    config.interval_ms = 20;
    ckpt_configure(f->c, &config, f->now_ms);
    assert_int_equal(ckpt_deadline_ms(f->c), f->now_ms + 20);
    tick(f, 20);
    assert_non_null(did(f, CKPT_DO_RESERVE));
    assert_int_equal(ckpt_deadline_ms(f->c), f->now_ms + 77);
    config.interval_ms = 0;
    ckpt_configure(f->c, &config, f->now_ms);
    let_complete(f);
    assert_int_equal(ckpt_deadline_ms(f->c), INT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(completes_only_after_every_condition),
        T(late_and_doubled_answers_are_outcomes),
        T(numbers_are_never_used_twice),
        T(the_pause_counts_from_the_end),
        T(one_at_a_time),
        T(a_failure_that_is_not_tolerated_fails_the_attempt),
        T(failures_in_a_row_are_counted_and_a_success_forgives),
        T(a_storage_that_is_away_gives_up_before_the_workers_hear),
        T(what_is_with_the_storage_is_waited_for_and_undone),
        T(a_pointer_on_its_way_is_never_given_up),
        T(a_refused_pointer_is_a_failed_checkpoint),
        T(the_end_of_the_attempt_gives_up_but_does_not_count),
        T(a_lost_record_is_named_and_fails_the_attempt),
        T(every_kind_of_difference_is_seen),
        T(savepoints_come_before_checkpoints),
        T(a_failed_savepoint_is_answered_and_harms_nobody),
        T(a_second_stop_is_refused),
        T(a_completed_stop_lets_the_workers_end),
        T(a_stop_that_fails_halfway_fails_the_attempt),
        T(what_is_asked_for_is_stored_first),
        T(what_the_catalog_refuses_was_never_asked_for),
        T(what_became_of_it_is_stored_before_anything_else),
        T(who_asks_in_the_last_moment_is_told_the_truth),
        T(what_another_leader_accepted_has_an_end),
        T(a_stop_whose_job_fails_behind_it_has_failed),
        T(a_stop_that_is_complete_behind_its_attempt_has_failed),
        T(an_end_is_told_when_it_is_stored),
        T(requests_are_bounded_and_answers_make_room),
        T(the_last_one_is_taken_when_all_have_finished),
        T(a_last_one_that_failed_is_tried_again),
        T(older_ones_go_when_newer_ones_are_complete),
        T(a_savepoint_is_a_recovery_point_until_a_newer_one_is_there),
        T(a_refused_one_is_passed_over),
        T(what_a_job_began_with_is_never_deleted_unless_claimed),
        T(a_job_that_keeps_nothing_discards_all),
        T(what_the_former_leader_completed_is_told_again),
        T(what_the_former_leader_had_begun_is_given_up),
        T(a_last_checkpoint_of_the_former_leader_lets_the_workers_commit),
        T(a_stop_that_the_former_leader_had_begun_fails_the_attempt),
        T(an_attempt_without_checkpoints_of_its_own_is_left_alone),
        T(intervals_change_while_the_attempt_runs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
