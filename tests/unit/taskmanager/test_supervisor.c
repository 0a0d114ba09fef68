/* SPDX-License-Identifier: Apache-2.0 */
/* The TaskManager's core and a hand-made JobManager: what it refuses, what it forgets. Its stories are in tests/sim. */
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

#include "runtime/base/log.h"
#include "runtime/wire/link.h"
#include "taskmanager/supervisor.h"

struct fixture {
    struct supervisor *s;
    struct supervisor_actions actions;
    int64_t now_ms;
    uint64_t epoch;
    /* the JobManager */
    struct link *link;
    struct wire_msg got[96]; /* what it was told; closed by the teardown */
    uint32_t n_got;
    uint32_t n_spawn, n_kill, n_to_worker, n_store, n_drop, n_exit, n_reconnect, n_forget;
    uint32_t n_log_level, spawn_timeout_ms, n_told_level;
    int64_t log_level, spawn_log_level, told_level; /* of the process, of the last worker at its start, told last to a worker */
    struct weir_id forgotten;                       /* the last job whose local copies were dropped */
    char endpoint[32];                              /* of the last RECONNECT */
};

static struct weir_id id_of(uint32_t n)
{
    struct weir_id id = {{(uint8_t)n, (uint8_t)(n >> 8), 1}};
    return id;
}

static struct weir_digest digest_of(uint32_t n)
{
    struct weir_digest digest = {{(uint8_t)n, 2}};
    return digest;
}

/* The link at the JobManager begins with the first packet that comes. */
static void take_packet(struct fixture *f, struct weir_bytes packet)
{
    struct weir_id from, to;
    assert_true(link_peek(packet.data, packet.length, &from, &to));
    struct link_config config = {.self = id_of(500), .peer = from, .heartbeat_ms = 250, .timeout_ms = 3000, .retransmit_ms = 300};
    if (!f->link) assert_int_equal(link_new(&f->link, &config, f->now_ms), WEIR_OK);
    link_receive(f->link, packet.data, packet.length, f->now_ms);
}

static void look_for_level(struct fixture *f, struct weir_bytes data)
{
    struct wire_msg msg;
    assert_int_equal(wire_msg_decode(&msg, data.data, data.length, NULL), WEIR_OK);
    f->n_told_level += msg.type == WIRE_LOG_LEVEL;
    if (msg.type == WIRE_LOG_LEVEL) f->told_level = msg.log_level.lowest;
    wire_msg_close(&msg);
}

static void step(struct fixture *f, struct supervisor_event *ev)
{
    ev->now_ms = f->now_ms;
    supervisor_step(f->s, ev, &f->actions);
    for (uint32_t i = 0; i < f->actions.n; i++) {
        const struct supervisor_action *a = &f->actions.at[i];
        f->n_spawn += a->type == SUPERVISOR_DO_SPAWN;
        if (a->type == SUPERVISOR_DO_SPAWN) f->spawn_log_level = a->spawn.log_level;
        if (a->type == SUPERVISOR_DO_TO_WORKER) look_for_level(f, a->to_worker.data);
        if (a->type == SUPERVISOR_DO_SPAWN) f->spawn_timeout_ms = a->spawn.heartbeat_timeout_ms;
        f->n_kill += a->type == SUPERVISOR_DO_KILL;
        f->n_to_worker += a->type == SUPERVISOR_DO_TO_WORKER;
        f->n_store += a->type == SUPERVISOR_DO_STORE_CHUNK;
        f->n_drop += a->type == SUPERVISOR_DO_DROP_ARTIFACT;
        f->n_exit += a->type == SUPERVISOR_DO_EXIT;
        f->n_reconnect += a->type == SUPERVISOR_DO_RECONNECT;
        if (a->type == SUPERVISOR_DO_LOG_LEVEL) {
            f->n_log_level++;
            f->log_level = a->log_level;
        }
        if (a->type == SUPERVISOR_DO_FORGET_JOB) {
            f->n_forget++;
            f->forgotten = a->forget_job.job;
        }
        if (a->type == SUPERVISOR_DO_RECONNECT) (void)snprintf(f->endpoint, sizeof f->endpoint, "%s", a->reconnect.endpoint);
        if (a->type == SUPERVISOR_DO_SEND) take_packet(f, a->send.data);
    }
}

static void exchange(struct fixture *f)
{
    struct buffer packet = {0};
    while (f->link && link_packet(f->link, &packet, f->now_ms)) {
        struct supervisor_event ev = {.type = SUPERVISOR_EV_PACKET};
        ev.packet.data = (struct weir_bytes){packet.data, (uint32_t)packet.len};
        step(f, &ev);
    }
    struct weir_bytes data;
    while (f->link && link_next(f->link, &data)) {
        assert_true(f->n_got < 96);
        assert_int_equal(wire_msg_decode(&f->got[f->n_got++], data.data, data.length, NULL), WEIR_OK);
    }
    buffer_close(&packet);
}

static void order(struct fixture *f, struct wire_msg *msg)
{
    struct buffer bytes = {0};
    msg->epoch = f->epoch;
    assert_int_equal(wire_msg_encode(msg, &bytes), WEIR_OK);
    assert_int_equal(link_send(f->link, bytes.data, bytes.len, f->now_ms), WEIR_OK);
    buffer_close(&bytes);
    exchange(f);
}

static void forget(struct fixture *f)
{
    for (uint32_t i = 0; i < f->n_got; i++) wire_msg_close(&f->got[i]);
    f->n_got = 0;
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    f->epoch = 5;
    struct supervisor_config config = {
        .taskmanager = "tm-1", .host = "host", .version = "1", .slots = 2, .log_level = LOG_LEVEL_INFO, .incarnation = id_of(1)};
    supervisor_new(&f->s, &config, 0);
    supervisor_actions_init(&f->actions);
    struct supervisor_event ev = {.type = SUPERVISOR_EV_TICK};
    step(f, &ev);
    exchange(f);
    struct wire_msg msg = {.type = WIRE_REGISTERED};
    msg.registered.heartbeat_ms = 250;
    msg.registered.heartbeat_timeout_ms = 3000;
    order(f, &msg);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    forget(f);
    link_destroy(&f->link);
    supervisor_actions_close(&f->actions);
    supervisor_destroy(&f->s);
    free(f);
    return 0;
}

static void have_plugin(struct fixture *f, uint32_t plugin)
{
    struct supervisor_event ev = {.type = SUPERVISOR_EV_ARTIFACT_READY};
    ev.artifact.digest = digest_of(plugin);
    step(f, &ev);
}

static void deploy(struct fixture *f, uint32_t job, uint32_t attempt, uint32_t plugin, uint32_t slots)
{
    static uint32_t slot_worker[8];
    struct wire_msg msg = {.type = WIRE_DEPLOY, .job = id_of(job), .attempt = attempt};
    msg.deploy.digest = digest_of(plugin);
    msg.deploy.name = msg.deploy.cwd = "";
    msg.deploy.n_workers = 1;
    msg.deploy.n_slots = slots;
    msg.deploy.slot_worker = slot_worker;
    msg.deploy.checkpoint.dir = "/checkpoints/job"; /* so they have local copies */
    forget(f);
    order(f, &msg);
}

/* From the pipe of the worker of attempt 1 of `job`. */
static void hear_worker(struct fixture *f, uint32_t job, const struct wire_msg *msg)
{
    struct buffer bytes = {0};
    assert_int_equal(wire_msg_encode(msg, &bytes), WEIR_OK);
    struct supervisor_event ev = {.type = SUPERVISOR_EV_WORKER_MESSAGE};
    ev.worker_message.job = id_of(job);
    ev.worker_message.attempt = 1;
    ev.worker_message.data = (struct weir_bytes){bytes.data, (uint32_t)bytes.len};
    step(f, &ev);
    buffer_close(&bytes);
}

static void say(struct fixture *f, uint32_t job, enum wire_type type)
{
    struct wire_msg msg = {.type = type, .epoch = f->epoch, .job = id_of(job), .attempt = 1};
    if (type == WIRE_WORKER_READY) msg.ready.endpoint = "tcp://h:1";
    if (type == WIRE_CHECKPOINT_ACK) msg.ack.id = 7;
    if (type == WIRE_CHECKPOINT_DECLINE) msg.decline.id = 7;
    hear_worker(f, job, &msg);
    exchange(f);
}

static void exited(struct fixture *f, uint32_t job, struct wire_failure failure)
{
    struct supervisor_event ev = {.type = SUPERVISOR_EV_WORKER_EXITED};
    ev.worker_exited.job = id_of(job);
    ev.worker_exited.attempt = 1;
    ev.worker_exited.failure = failure;
    forget(f);
    step(f, &ev);
    exchange(f);
}

static void it_registers(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(f->n_got, 1);
    assert_int_equal(f->got[0].type, WIRE_REGISTER);
    assert_string_equal(f->got[0].reg.taskmanager, "tm-1");
    assert_int_equal(supervisor_state(f->s), SUPERVISOR_REGISTERED);
    assert_int_equal(f->n_reconnect, 1);
}

static void an_attempt_is_started_once(void **state)
{
    struct fixture *f = *state;
    have_plugin(f, 1);
    deploy(f, 1, 1, 1, 1);
    deploy(f, 1, 1, 1, 1);
    assert_int_equal(f->n_spawn, 1);
    exited(f, 1, (struct wire_failure){WEIR_E_USER, "parse", 3, "killed by SIGSEGV"});
    assert_int_equal(f->got[0].type, WIRE_WORKER_ENDED);
    assert_int_equal(f->got[0].ended.outcome, WIRE_FAILED);
    assert_int_equal(f->got[0].ended.failure.subtask, 3);
    deploy(f, 1, 1, 1, 1); /* nor again after its end */
    assert_int_equal(f->n_spawn, 1);
    assert_int_equal(supervisor_counts(f->s).messages_stale, 2);
    assert_int_equal(supervisor_free_slots(f->s), 2);
}

static void another_attempt_beside_one_that_runs_is_refused(void **state)
{
    struct fixture *f = *state;
    have_plugin(f, 1);
    deploy(f, 1, 2, 1, 1);
    deploy(f, 1, 1, 1, 1);
    assert_int_equal(f->n_got, 1);
    assert_int_equal(f->got[0].attempt, 1);
    assert_int_equal(f->got[0].ended.outcome, WIRE_FAILED);
    assert_string_equal(f->got[0].ended.failure.reason, "attempt 2 of this job still runs on TaskManager tm-1; attempt 1 was not started");
    assert_int_equal(f->n_spawn, 1);
}

static void a_slot_is_never_given_twice(void **state)
{
    struct fixture *f = *state;
    have_plugin(f, 1);
    deploy(f, 1, 1, 1, 2);
    deploy(f, 2, 1, 1, 1);
    assert_string_equal(f->got[0].ended.failure.reason, "TaskManager tm-1 (host) has 0 free slots, but was ordered to use 1");
    assert_int_equal(f->n_spawn, 1);
}

static void orders_of_an_older_epoch_are_dropped(void **state)
{
    struct fixture *f = *state;
    have_plugin(f, 1);
    f->epoch = 4;
    deploy(f, 1, 1, 1, 1);
    assert_int_equal(f->n_spawn, 0);
    assert_int_equal(supervisor_counts(f->s).messages_stale, 1);
    f->epoch = 6; /* a newer one is believed at once, and the one before no more */
    deploy(f, 1, 1, 1, 1);
    assert_int_equal(f->n_spawn, 1);
    f->epoch = 5;
    deploy(f, 2, 1, 1, 1);
    assert_int_equal(f->n_spawn, 1);
    assert_int_equal(supervisor_counts(f->s).messages_stale, 2);
}

/* Whatever it is: also what names no attempt. */
static void nothing_of_an_older_epoch_has_an_effect(void **state)
{
    struct fixture *f = *state;
    struct wire_msg late[] = {{.type = WIRE_START, .attempt = 1},
                              {.type = WIRE_COMMIT, .attempt = 1},
                              {.type = WIRE_TRIGGER, .attempt = 1, .trigger = {.id = 7, .dir = ""}},
                              {.type = WIRE_CHECKPOINT_COMPLETE, .attempt = 1, .complete = {.id = 7}},
                              {.type = WIRE_CHECKPOINT_ABORT, .attempt = 1, .abort = {.id = 7}},
                              {.type = WIRE_CANCEL, .attempt = 1},
                              {.type = WIRE_FORGET_JOB},
                              {.type = WIRE_SETTINGS},
                              {.type = WIRE_CHUNK, .chunk = {.digest = digest_of(2), .data = {"", 0}}},
                              {.type = WIRE_REFUSED, .refused = {.reason = "another leader wants another TaskManager"}}};
    const uint32_t n = sizeof late / sizeof late[0];
    have_plugin(f, 1);
    deploy(f, 1, 1, 1, 1);
    say(f, 1, WIRE_WORKER_READY);
    deploy(f, 2, 1, 2, 1); /* waits for its plugin */
    forget(f);
    f->epoch = 4;
    for (uint32_t i = 0; i < n; i++) {
        if (late[i].attempt || late[i].type == WIRE_FORGET_JOB) late[i].job = id_of(1);
        order(f, &late[i]);
        assert_int_equal(supervisor_counts(f->s).messages_stale, i + 1);
        assert_int_equal(f->n_to_worker + f->n_forget + f->n_log_level + f->n_kill + f->n_got, 0);
    }
    assert_false(supervisor_worker_at(f->s, 0).canceling);
    assert_int_equal(supervisor_n_workers(f->s), 2);
    assert_int_equal(supervisor_state(f->s), SUPERVISOR_REGISTERED);
}

static void orders_go_to_workers_that_can_take_them(void **state)
{
    struct fixture *f = *state;
    struct wire_msg start = {.type = WIRE_START, .job = id_of(1), .attempt = 1};
    have_plugin(f, 1);
    deploy(f, 1, 1, 1, 1);
    order(f, &start); /* not ready yet */
    assert_int_equal(f->n_to_worker, 0);
    say(f, 1, WIRE_WORKER_READY);
    order(f, &start);
    assert_int_equal(f->n_to_worker, 1);
    start.attempt = 2;
    order(f, &start);
    assert_int_equal(f->n_to_worker, 1);
}

/* What a checkpoint needs passes in both directions, for the attempt that runs, and no other. */
static void checkpoints_are_relayed(void **state)
{
    struct fixture *f = *state;
    struct wire_msg orders[] = {{.type = WIRE_TRIGGER, .trigger = {.id = 7}},
                                {.type = WIRE_CHECKPOINT_COMPLETE, .complete = {.id = 7}},
                                {.type = WIRE_CHECKPOINT_ABORT, .abort = {.id = 7}}};
    have_plugin(f, 1);
    deploy(f, 1, 1, 1, 1);
    say(f, 1, WIRE_WORKER_READY);
    for (uint32_t i = 0; i < 3; i++) {
        orders[i].job = id_of(1);
        orders[i].attempt = 2; /* one that does not run here */
        order(f, &orders[i]);
        assert_int_equal(f->n_to_worker, i);
        orders[i].attempt = 1;
        order(f, &orders[i]);
        assert_int_equal(f->n_to_worker, i + 1);
    }
    forget(f);
    say(f, 1, WIRE_CHECKPOINT_ACK);
    say(f, 1, WIRE_CHECKPOINT_DECLINE);
    assert_int_equal(f->n_got, 2);
    assert_int_equal(f->got[0].type, WIRE_CHECKPOINT_ACK);
    assert_int_equal(f->got[0].ack.id, 7);
    assert_int_equal(f->got[1].type, WIRE_CHECKPOINT_DECLINE);
    assert_int_equal(f->n_kill, 0);
}

static void tick(struct fixture *f, int64_t later_ms)
{
    f->now_ms += later_ms;
    struct supervisor_event ev = {.type = SUPERVISOR_EV_TICK};
    step(f, &ev);
    exchange(f);
}

/* As long as it takes, with a JobManager that answers. */
static void pass(struct fixture *f, int64_t ms)
{
    for (int64_t end = f->now_ms + ms; f->now_ms < end;) tick(f, 200);
}

static void local_copies_last_until_their_job_ends(void **state)
{
    struct fixture *f = *state;
    struct wire_msg end = {.type = WIRE_FORGET_JOB, .job = id_of(1)};
    have_plugin(f, 1);
    deploy(f, 1, 1, 1, 1);
    exited(f, 1, (struct wire_failure){WEIR_E_IO, "", -1, "killed by SIGKILL"});
    assert_int_equal(f->n_forget, 0); /* the next attempt may come here */
    deploy(f, 2, 1, 1, 1);
    order(f, &end);
    assert_int_equal(f->n_forget, 1);
    assert_true(id_equal(f->forgotten, id_of(1)));
    order(f, &end); /* once is enough */
    assert_int_equal(f->n_forget, 1);
    end.job = id_of(2); /* still runs: with its end */
    order(f, &end);
    assert_int_equal(f->n_forget, 1);
    exited(f, 2, (struct wire_failure){.subtask = -1});
    assert_int_equal(f->n_forget, 2);
    assert_true(id_equal(f->forgotten, id_of(2)));
}

/* The JobManager may never say that a job has ended: it may have forgotten it itself. */
static void local_copies_nobody_comes_back_for_are_dropped(void **state)
{
    struct fixture *f = *state;
    have_plugin(f, 1);
    deploy(f, 1, 1, 1, 1);
    exited(f, 1, (struct wire_failure){WEIR_E_IO, "", -1, "killed by SIGKILL"});
    pass(f, WEIR_LOCAL_COPIES_MS - 1000);
    assert_int_equal(f->n_forget, 0);
    pass(f, 1000);
    assert_int_equal(f->n_forget, 1);
    assert_int_equal(supervisor_state(f->s), SUPERVISOR_REGISTERED);
}

static void a_silent_worker_is_killed_once_it_was_ready(void **state)
{
    struct fixture *f = *state;
    have_plugin(f, 1);
    deploy(f, 1, 1, 1, 1);
    pass(f, 2 * WEIR_WORKER_SILENCE_MS); /* it loads its plugin */
    assert_int_equal(f->n_kill, 0);
    say(f, 1, WIRE_WORKER_READY);
    pass(f, WEIR_WORKER_SILENCE_MS - 400);
    assert_int_equal(f->n_kill, 0);
    pass(f, 400);
    assert_int_equal(f->n_kill, 1);
}

/* A TaskManager that the machine left waiting finds messages of all its workers, one after the other. */
static void its_own_absence_is_nobodys_silence(void **state)
{
    struct fixture *f = *state;
    have_plugin(f, 1);
    deploy(f, 1, 1, 1, 1);
    deploy(f, 2, 1, 1, 1);
    say(f, 1, WIRE_WORKER_READY);
    say(f, 2, WIRE_WORKER_READY);
    pass(f, 1000);
    f->now_ms += 2500; /* less than the link stands */
    say(f, 1, WIRE_WORKER_STATS);
    assert_int_equal(f->n_kill, 0);
    say(f, 2, WIRE_WORKER_STATS);
    pass(f, WEIR_WORKER_SILENCE_MS - 400);
    assert_int_equal(f->n_kill, 0);
    pass(f, 600);
    assert_int_equal(f->n_kill, 2); /* and silence is silence */
}

static void a_worker_that_speaks_out_of_turn_is_killed(void **state)
{
    struct fixture *f = *state;
    have_plugin(f, 1);
    deploy(f, 1, 1, 1, 1);
    say(f, 1, WIRE_WORKER_PREPARED);
    assert_int_equal(f->n_kill, 1);
    exited(f, 1, (struct wire_failure){WEIR_E_INTERNAL, "parse", 2, "killed by SIGKILL"});
    assert_string_equal(f->got[0].ended.failure.reason, "the worker sent WORKER_PREPARED when it must not");
    assert_string_equal(f->got[0].ended.failure.operator_id, "parse"); /* where it was, the black box knows */
}

static void the_plugin_used_longest_ago_makes_room(void **state)
{
    struct fixture *f = *state;
    for (uint32_t i = 1; i <= SUPERVISOR_ARTIFACTS_MAX; i++) have_plugin(f, i);
    have_plugin(f, 1); /* used again */
    assert_int_equal(f->n_drop, 0);
    have_plugin(f, 100);
    assert_int_equal(f->n_drop, 1);
    forget(f);
    deploy(f, 1, 1, 1, 1);
    assert_int_equal(f->n_spawn, 1);
    deploy(f, 2, 1, 2, 1); /* the one that had to go is fetched again */
    assert_int_equal(f->n_spawn, 1);
    assert_int_equal(f->got[0].type, WIRE_FETCH);
}

static void a_missing_plugin_fails_the_worker(void **state)
{
    struct fixture *f = *state;
    deploy(f, 1, 1, 1, 1);
    assert_int_equal(f->got[0].type, WIRE_FETCH);
    struct wire_msg msg = {.type = WIRE_CHUNK};
    msg.chunk.digest = digest_of(1);
    msg.chunk.data.data = "";
    forget(f);
    order(f, &msg);
    assert_int_equal(f->got[0].type, WIRE_WORKER_ENDED);
    assert_int_equal(f->got[0].ended.failure.code, WEIR_E_NOT_FOUND);
    assert_int_equal(supervisor_free_slots(f->s), 2);
}

static void refused_it_kills_its_workers_and_exits(void **state)
{
    struct fixture *f = *state;
    have_plugin(f, 1);
    deploy(f, 1, 1, 1, 1);
    struct wire_msg msg = {.type = WIRE_REFUSED};
    msg.refused.reason = "another TaskManager has registered with the same id";
    order(f, &msg);
    assert_int_equal(f->n_kill, 1);
    assert_int_equal(f->n_exit, 0); /* not before they are gone */
    exited(f, 1, (struct wire_failure){WEIR_E_INTERNAL, "", -1, "killed by SIGKILL"});
    assert_int_equal(f->n_exit, 1);
    assert_int_equal(supervisor_state(f->s), SUPERVISOR_EXITED);
}

/* ---- without a JobManager ---- */

static void order_trigger(struct fixture *f, uint64_t id)
{
    struct wire_msg msg = {.type = WIRE_TRIGGER, .job = id_of(1), .attempt = 1, .trigger = {.id = id, .dir = ""}};
    order(f, &msg);
}

/* The JobManager says nothing for so long that the link dies. What the TaskManager says on the next one comes to another JobManager. */
static void lose_jobmanager(struct fixture *f)
{
    struct wire_msg alive = {.type = WIRE_WORKER_ALIVE, .epoch = 5, .job = id_of(1), .attempt = 1};
    uint32_t before = f->n_reconnect;
    while (f->n_reconnect == before) {
        f->now_ms += 100;
        link_destroy(&f->link);
        hear_worker(f, 1, &alive);
    }
    forget(f);
}

static void find_jobmanager_with(struct fixture *f, uint32_t heartbeat_ms, uint32_t timeout_ms)
{
    exchange(f);
    struct wire_msg msg = {.type = WIRE_REGISTERED};
    msg.registered.heartbeat_ms = heartbeat_ms;
    msg.registered.heartbeat_timeout_ms = timeout_ms;
    f->epoch++;
    order(f, &msg);
    assert_int_equal(supervisor_state(f->s), SUPERVISOR_REGISTERED);
    assert_int_equal(f->got[0].type, WIRE_REGISTER);
}

static void find_jobmanager(struct fixture *f)
{
    find_jobmanager_with(f, 250, 3000);
}

/* On the link that tells it, on the next one until somebody has answered, and for the connections of workers. */
static void it_keeps_to_the_heartbeat_of_its_jobmanager(void **state)
{
    struct fixture *f = *state;
    have_plugin(f, 1);
    lose_jobmanager(f);
    find_jobmanager_with(f, 1000, 20000);
    deploy(f, 1, 1, 1, 1);
    assert_int_equal(f->spawn_timeout_ms, 20000);
    for (int i = 0; i < 2; i++) {
        int64_t from_ms = f->now_ms;
        lose_jobmanager(f);
        assert_in_range(f->now_ms - from_ms, 19900, 20100);
    }
    find_jobmanager(f);
    int64_t from_ms = f->now_ms;
    lose_jobmanager(f);
    assert_in_range(f->now_ms - from_ms, 2900, 3100);
}

static void a_worker_outlives_the_jobmanager_and_is_reported(void **state)
{
    struct fixture *f = *state;
    have_plugin(f, 1);
    deploy(f, 1, 1, 1, 1);
    say(f, 1, WIRE_WORKER_READY);
    order_trigger(f, 7);
    lose_jobmanager(f);
    assert_int_equal(f->n_kill, 0);
    say(f, 1, WIRE_WORKER_RUNNING); /* to a JobManager that dies as well */
    lose_jobmanager(f);
    find_jobmanager(f);
    const struct wire_worker *w = &f->got[0].reg.workers[0];
    assert_int_equal(f->got[0].reg.n_workers, 1);
    assert_true(id_equal(w->job, id_of(1)));
    assert_int_equal(w->attempt, 1);
    assert_int_equal(w->epoch, 5);
    assert_int_equal(w->state, WIRE_WORKER_IS_RUNNING);
    assert_int_equal(w->n_slots, 1);
    assert_int_equal(w->slots[0], 0);
    assert_string_equal(w->endpoint, "tcp://h:1");
    assert_int_equal(w->triggered, 7);
    uint32_t orders = f->n_to_worker;
    order_trigger(f, 8); /* of the new leader */
    assert_int_equal(f->n_to_worker, orders + 1);
    f->epoch--;
    order_trigger(f, 9); /* the former one's */
    assert_int_equal(f->n_to_worker, orders + 1);
}

static void one_that_ends_without_a_jobmanager_is_told_to_the_next(void **state)
{
    struct fixture *f = *state;
    have_plugin(f, 1);
    deploy(f, 1, 1, 1, 1);
    say(f, 1, WIRE_WORKER_READY);
    lose_jobmanager(f);
    exited(f, 1, (struct wire_failure){WEIR_E_USER, "parse", 3, "killed by SIGSEGV"});
    assert_int_equal(supervisor_free_slots(f->s), 1); /* held until it is told */
    find_jobmanager(f);
    exchange(f);
    assert_int_equal(f->got[0].reg.n_workers, 1);
    assert_int_equal(f->n_got, 2);
    assert_int_equal(f->got[1].type, WIRE_WORKER_ENDED);
    assert_int_equal(f->got[1].epoch, 5);
    assert_string_equal(f->got[1].ended.failure.reason, "killed by SIGSEGV");
    assert_int_equal(supervisor_free_slots(f->s), 2);
    lose_jobmanager(f);
    find_jobmanager(f);
    assert_int_equal(f->got[0].reg.n_workers, 0); /* once is enough */
}

/* Its output is visible: a leader that does not know it must not take the worker for missing. */
static void one_that_has_committed_is_reported_for_a_while(void **state)
{
    struct fixture *f = *state;
    struct wire_msg msg = {.type = WIRE_WORKER_ENDED, .epoch = 5, .job = id_of(1), .attempt = 1};
    msg.ended.outcome = WIRE_COMMITTED;
    msg.ended.failure = (struct wire_failure){.operator_id = "", .subtask = -1, .reason = ""};
    have_plugin(f, 1);
    deploy(f, 1, 1, 1, 1);
    say(f, 1, WIRE_WORKER_READY);
    hear_worker(f, 1, &msg);
    exited(f, 1, (struct wire_failure){.subtask = -1});
    lose_jobmanager(f);
    find_jobmanager(f);
    assert_int_equal(f->got[0].reg.n_workers, 1);
    assert_int_equal(f->got[0].reg.workers[0].state, WIRE_WORKER_HAS_COMMITTED);
    assert_int_equal(f->got[0].reg.workers[0].n_slots, 0);
}

static void workers_wait_for_a_jobmanager_but_not_for_ever(void **state)
{
    struct fixture *f = *state;
    have_plugin(f, 1);
    deploy(f, 1, 1, 1, 1);
    say(f, 1, WIRE_WORKER_READY);
    lose_jobmanager(f);
    for (int64_t end = f->now_ms + WEIR_LEADER_WAIT_MS - 10000; f->now_ms < end;) lose_jobmanager(f);
    assert_int_equal(f->n_kill, 0);
    for (int64_t end = f->now_ms + 10000; f->now_ms < end;) lose_jobmanager(f);
    assert_int_equal(f->n_kill, 1);
}

static void settings(struct fixture *f, const char *const *items, uint32_t n)
{
    struct wire_msg msg = {.type = WIRE_SETTINGS};
    msg.settings.items = (const char **)(uintptr_t)items;
    msg.settings.n = n;
    order(f, &msg);
}

static void settings_change_while_it_runs(void **state)
{
    static const char *const good[] = {"log.level=debug", "taskmanager.leader-wait=20s"};
    static const char *const bad[] = {"log.level=warn", "taskmanager.leader-wait=soon", "nonsense", "what.is-this=1"};
    struct fixture *f = *state;
    settings(f, good, 2);
    assert_int_equal(f->log_level, LOG_LEVEL_DEBUG);
    settings(f, bad, 4);
    assert_int_equal(f->log_level, LOG_LEVEL_WARN);
    have_plugin(f, 1);
    deploy(f, 1, 1, 1, 1);
    say(f, 1, WIRE_WORKER_READY);
    lose_jobmanager(f);
    for (int64_t end = f->now_ms + 10000; f->now_ms < end;) lose_jobmanager(f);
    assert_int_equal(f->n_kill, 0);
    for (int64_t end = f->now_ms + 12000; f->now_ms < end;) lose_jobmanager(f);
    assert_int_equal(f->n_kill, 1); /* the 20 s, long before the default */
}

static void without_settings_all_is_as_configured(void **state)
{
    static const char *const good[] = {"log.level=debug", "taskmanager.leader-wait=20s"};
    struct fixture *f = *state;
    settings(f, good, 2);
    settings(f, NULL, 0);
    assert_int_equal(f->n_log_level, 2);
    assert_int_equal(f->log_level, LOG_LEVEL_INFO);
    settings(f, NULL, 0);
    assert_int_equal(f->n_log_level, 2); /* it is so already */
    have_plugin(f, 1);
    deploy(f, 1, 1, 1, 1);
    say(f, 1, WIRE_WORKER_READY);
    lose_jobmanager(f);
    for (int64_t end = f->now_ms + 30000; f->now_ms < end;) lose_jobmanager(f);
    assert_int_equal(f->n_kill, 0);
}

/* At its start, and at each change; one that has no process yet is told at its start. */
static void workers_have_the_log_level_of_their_taskmanager(void **state)
{
    static const char *const debug[] = {"log.level=debug"}, *const warn[] = {"log.level=warn"}, *const bad[] = {"log.level=loud"};
    struct fixture *f = *state;
    have_plugin(f, 1);
    deploy(f, 1, 1, 1, 1);
    assert_int_equal(f->spawn_log_level, LOG_LEVEL_INFO);
    settings(f, debug, 1); /* it is not ready */
    assert_int_equal(f->n_told_level, 1);
    say(f, 1, WIRE_WORKER_READY);
    deploy(f, 2, 1, 2, 1); /* its plugin is on its way */
    settings(f, warn, 1);
    assert_int_equal(f->n_told_level, 2);
    assert_int_equal(f->told_level, LOG_LEVEL_WARN);
    have_plugin(f, 2);
    assert_int_equal(f->spawn_log_level, LOG_LEVEL_WARN);
    settings(f, warn, 1);
    settings(f, bad, 1);
    assert_int_equal(f->n_told_level, 2);
    settings(f, NULL, 0);
    assert_int_equal(f->n_told_level, 4);
    assert_int_equal(f->told_level, LOG_LEVEL_INFO);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static void hear(struct fixture *f, enum supervisor_event_type type)
{
    struct supervisor_event ev = {.type = type};
    step(f, &ev);
}

/* A connection that breaks is nothing; when it cannot be made again, nobody waits for the time limit. Addresses are asked with pauses. */
static void a_jobmanager_that_nobody_is_any_more_is_lost_at_once(void **state)
{
    struct fixture *f = *state;
    hear(f, SUPERVISOR_EV_CONNECTED);
    hear(f, SUPERVISOR_EV_DISCONNECTED);
    hear(f, SUPERVISOR_EV_CONNECTED); /* it was only the connection */
    assert_int_equal(f->n_reconnect, 1);
    hear(f, SUPERVISOR_EV_DISCONNECTED);
    hear(f, SUPERVISOR_EV_DISCONNECTED);
    assert_int_equal(f->n_reconnect, 2); /* the next address, at once */
    hear(f, SUPERVISOR_EV_DISCONNECTED);
    hear(f, SUPERVISOR_EV_TICK);
    assert_int_equal(f->n_reconnect, 2);
    int64_t asked_ms = f->now_ms;
    f->now_ms = f->actions.deadline_ms;
    hear(f, SUPERVISOR_EV_TICK);
    assert_int_equal(f->n_reconnect, 3);
    assert_in_range(f->now_ms - asked_ms, 1, 400);
}

/* It was asked too early, and is there now: what was said to it is on its way, and saying it anew would be another registration. */
static void a_jobmanager_that_listens_at_last_is_not_given_up(void **state)
{
    struct fixture *f = *state;
    lose_jobmanager(f);
    uint32_t before = f->n_reconnect;
    hear(f, SUPERVISOR_EV_DISCONNECTED);
    hear(f, SUPERVISOR_EV_CONNECTED);
    f->now_ms += 1000;
    hear(f, SUPERVISOR_EV_TICK);
    assert_int_equal(f->n_reconnect, before);
    find_jobmanager(f);
    /* one that does not lead is left all the same */
    lose_jobmanager(f);
    exchange(f);
    struct wire_msg msg = {.type = WIRE_NOT_LEADER};
    msg.not_leader.endpoint = "";
    order(f, &msg);
    before = f->n_reconnect;
    hear(f, SUPERVISOR_EV_CONNECTED);
    f->now_ms += 1000;
    hear(f, SUPERVISOR_EV_TICK);
    assert_int_equal(f->n_reconnect, before + 1);
}

/* ---- what a former leader or its link leaves behind ---- */

/* It was on its way when the link died: nobody has been heard on the next one yet, so no epoch would stop it. */
static void a_packet_of_a_link_that_has_died_is_dropped(void **state)
{
    struct fixture *f = *state;
    struct wire_msg forget_job = {.type = WIRE_FORGET_JOB, .epoch = 5, .job = id_of(1)};
    struct buffer bytes = {0}, late = {0};
    assert_int_equal(wire_msg_encode(&forget_job, &bytes), WEIR_OK);
    assert_int_equal(link_send(f->link, bytes.data, bytes.len, f->now_ms), WEIR_OK);
    assert_true(link_packet(f->link, &late, f->now_ms));
    lose_jobmanager(f);
    uint64_t dropped = supervisor_counts(f->s).packets_dropped;
    struct supervisor_event ev = {.type = SUPERVISOR_EV_PACKET};
    ev.packet.data = (struct weir_bytes){late.data, (uint32_t)late.len};
    step(f, &ev);
    assert_int_equal(supervisor_counts(f->s).packets_dropped, dropped + 1);
    find_jobmanager(f);
    buffer_close(&bytes);
    buffer_close(&late);
}

/* The pipe is its own; its words must be, too: they are passed on as they are. */
static void a_worker_that_speaks_for_another_is_killed(void **state)
{
    struct fixture *f = *state;
    const struct wire_msg foreign[] = {{.type = WIRE_WORKER_RUNNING, .epoch = 4, .job = id_of(1), .attempt = 1},
                                       {.type = WIRE_WORKER_RUNNING, .epoch = 6, .job = id_of(2), .attempt = 1},
                                       {.type = WIRE_WORKER_RUNNING, .epoch = 5, .job = id_of(3), .attempt = 2},
                                       {.type = WIRE_WORKER_RUNNING, .epoch = 5, .job = id_of(3), .attempt = 1}};
    have_plugin(f, 1);
    for (uint32_t job = 1; job <= 4; job++) {
        deploy(f, job, 1, 1, 1);
        say(f, job, WIRE_WORKER_READY);
        hear_worker(f, job, &foreign[job - 1]);
        assert_int_equal(f->n_kill, job);
        exited(f, job, (struct wire_failure){WEIR_E_INTERNAL, "", -1, "killed by SIGKILL"});
    }
}

/* The next leader deploys another attempt: what came of the plugin before may be half of it, and nobody sends the rest. */
static void a_fetch_ends_with_its_link(void **state)
{
    static const unsigned char bytes[WEIR_CHUNK_BYTES];
    struct fixture *f = *state;
    struct wire_msg chunk = {.type = WIRE_CHUNK};
    chunk.chunk.digest = digest_of(1);
    chunk.chunk.total = 3 * WEIR_CHUNK_BYTES;
    chunk.chunk.data = (struct weir_bytes){bytes, WEIR_CHUNK_BYTES};
    deploy(f, 1, 1, 1, 1);
    order(f, &chunk);
    lose_jobmanager(f);
    assert_int_equal(f->n_drop, 1);
    find_jobmanager(f);
    exchange(f);
    assert_int_equal(f->got[f->n_got - 1].type, WIRE_WORKER_ENDED);
    assert_int_equal(f->got[f->n_got - 1].ended.failure.code, WEIR_E_UNREACHABLE);
    deploy(f, 1, 2, 1, 1);
    assert_int_equal(f->got[0].type, WIRE_FETCH);
    assert_int_equal(f->got[0].fetch.offset, 0);
    uint64_t stale = supervisor_counts(f->s).messages_stale;
    chunk.chunk.offset = WEIR_CHUNK_BYTES; /* of the fetch before */
    order(f, &chunk);
    assert_int_equal(supervisor_counts(f->s).messages_stale, stale + 1);
    assert_int_equal(f->n_store, 1);
}

/* The plugin is here, whole: it must not be written over. */
static void a_chunk_that_nobody_waits_for_is_dropped(void **state)
{
    static const unsigned char bytes[WEIR_CHUNK_BYTES];
    struct fixture *f = *state;
    struct wire_msg chunk = {.type = WIRE_CHUNK};
    chunk.chunk.digest = digest_of(1);
    chunk.chunk.total = 3 * WEIR_CHUNK_BYTES;
    chunk.chunk.data = (struct weir_bytes){bytes, WEIR_CHUNK_BYTES};
    order(f, &chunk);
    have_plugin(f, 1);
    order(f, &chunk);
    assert_int_equal(supervisor_counts(f->s).messages_stale, 2);
    assert_int_equal(f->n_store + f->n_drop, 0);
}

/* Numbers of checkpoints only grow: an order that comes twice, or late, does not take a newer one back. */
static void the_newest_trigger_is_reported(void **state)
{
    struct fixture *f = *state;
    have_plugin(f, 1);
    deploy(f, 1, 1, 1, 1);
    say(f, 1, WIRE_WORKER_READY);
    order_trigger(f, 9);
    order_trigger(f, 8);
    lose_jobmanager(f);
    find_jobmanager(f);
    assert_int_equal(f->got[0].reg.workers[0].triggered, 9);
}

/* It is said without an epoch, so it counts for who looks for a leader only. */
static void who_is_registered_is_sent_nowhere(void **state)
{
    struct fixture *f = *state;
    struct wire_msg msg = {.type = WIRE_NOT_LEADER};
    msg.not_leader.endpoint = "tcp://other:1";
    order(f, &msg);
    pass(f, 1000);
    assert_int_equal(supervisor_state(f->s), SUPERVISOR_REGISTERED);
    lose_jobmanager(f);
    assert_string_equal(f->endpoint, ""); /* the next address */
    exchange(f);
    order(f, &msg);
    tick(f, 100);
    assert_int_equal(f->n_reconnect, 3);
    assert_string_equal(f->endpoint, "tcp://other:1");
}

/* Whatever a leader, old or new, still says. */
static void who_stops_begins_nothing(void **state)
{
    struct fixture *f = *state;
    have_plugin(f, 1);
    deploy(f, 1, 1, 1, 1); /* keeps it from leaving */
    struct supervisor_event stop = {.type = SUPERVISOR_EV_STOP};
    stop.stop.reason = "SIGTERM";
    step(f, &stop);
    struct wire_msg registered = {.type = WIRE_REGISTERED};
    registered.registered.heartbeat_ms = 250;
    registered.registered.heartbeat_timeout_ms = 3000;
    order(f, &registered);
    assert_int_equal(supervisor_state(f->s), SUPERVISOR_STOPPING);
    deploy(f, 2, 1, 1, 1);
    assert_int_equal(f->n_spawn, 1);
    assert_string_equal(f->got[0].ended.failure.reason, "TaskManager tm-1 (host) takes no work now");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(it_registers),
        CASE(an_attempt_is_started_once),
        CASE(another_attempt_beside_one_that_runs_is_refused),
        CASE(a_slot_is_never_given_twice),
        CASE(orders_of_an_older_epoch_are_dropped),
        CASE(nothing_of_an_older_epoch_has_an_effect),
        CASE(orders_go_to_workers_that_can_take_them),
        CASE(checkpoints_are_relayed),
        CASE(local_copies_last_until_their_job_ends),
        CASE(local_copies_nobody_comes_back_for_are_dropped),
        CASE(a_silent_worker_is_killed_once_it_was_ready),
        CASE(its_own_absence_is_nobodys_silence),
        CASE(a_worker_that_speaks_out_of_turn_is_killed),
        CASE(the_plugin_used_longest_ago_makes_room),
        CASE(a_missing_plugin_fails_the_worker),
        CASE(refused_it_kills_its_workers_and_exits),
        CASE(it_keeps_to_the_heartbeat_of_its_jobmanager),
        CASE(a_worker_outlives_the_jobmanager_and_is_reported),
        CASE(one_that_ends_without_a_jobmanager_is_told_to_the_next),
        CASE(one_that_has_committed_is_reported_for_a_while),
        CASE(workers_wait_for_a_jobmanager_but_not_for_ever),
        CASE(a_jobmanager_that_nobody_is_any_more_is_lost_at_once),
        CASE(a_jobmanager_that_listens_at_last_is_not_given_up),
        CASE(settings_change_while_it_runs),
        CASE(without_settings_all_is_as_configured),
        CASE(workers_have_the_log_level_of_their_taskmanager),
        CASE(a_packet_of_a_link_that_has_died_is_dropped),
        CASE(a_worker_that_speaks_for_another_is_killed),
        CASE(a_fetch_ends_with_its_link),
        CASE(a_chunk_that_nobody_waits_for_is_dropped),
        CASE(the_newest_trigger_is_reported),
        CASE(who_is_registered_is_sent_nowhere),
        CASE(who_stops_begins_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
