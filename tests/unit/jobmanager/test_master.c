/* SPDX-License-Identifier: Apache-2.0 */
/* The JobManager's core and one hand-made TaskManager: limits, fencing, refusals. Its stories are in tests/sim. */
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

#include "jobmanager/catalog_records.h"
#include "jobmanager/master.h"

struct fixture {
    struct master *m;
    struct master_actions actions;
    int64_t now_ms;
    /* the TaskManager */
    struct link *link;
    struct wire_msg got[16]; /* what it was told; closed by the teardown */
    uint32_t n_got;
    struct wire_worker *workers; /* that it reports when it registers */
    uint32_t n_workers;
    /* what was asked of the driver in all steps since `forget` */
    uint32_t n_describe, n_stop_describe, n_read_chunk, n_ended, n_send;
    struct master_action read_chunk;
    uint32_t n_forget_live;
    struct weir_id forgotten; /* live settings of it were to be removed last */
    uint32_t n_asked;         /* who leads; the tests answer that */
    uint32_t n_anew;          /* that another master is to take its place */
    uint64_t asked;           /* number of the last such order */
    bool holds_orders;        /* the catalog's store answers when the test does: */
    uint64_t held[8];
    uint32_t n_held;
    uint32_t accepted; /* set of 1 << enum job_key */
};

static struct weir_id id_of(uint32_t n)
{
    struct weir_id id = {{(uint8_t)n, (uint8_t)(n >> 8), 1}};
    return id;
}

static void step(struct fixture *f, struct master_event *ev);

/* The catalog's store says yes to everything, at once. */
static void let_store(struct fixture *f, uint64_t orders[], uint32_t n)
{
    struct weir_diag answer = f->actions.answer;
    for (uint32_t i = 0; i < n; i++) {
        struct master_event ev = {.type = MASTER_EV_CATALOG};
        ev.catalog = (struct catalog_answer){.number = orders[i], .outcome = CATALOG_COMMITTED, .version = 1 + orders[i]};
        step(f, &ev);
    }
    f->actions.answer = answer;
}

static void step(struct fixture *f, struct master_event *ev)
{
    uint64_t orders[16];
    uint32_t n_orders = 0;
    ev->now_ms = ev->wall_ms = f->now_ms;
    master_step(f->m, ev, &f->actions);
    for (uint32_t i = 0; i < f->actions.n; i++) {
        const struct master_action *a = &f->actions.at[i];
        bool asks = a->type == MASTER_DO_CATALOG && a->catalog.kind == CATALOG_CONFIRM;
        if (asks) f->asked = a->catalog.number;
        if (a->type == MASTER_DO_CATALOG && !asks) orders[n_orders++] = a->catalog.number;
        f->n_asked += asks;
        f->n_anew += a->type == MASTER_DO_LEAD_ANEW;
        f->n_send += a->type == MASTER_DO_SEND;
        f->n_describe += a->type == MASTER_DO_DESCRIBE;
        f->n_stop_describe += a->type == MASTER_DO_STOP_DESCRIBE;
        f->n_read_chunk += a->type == MASTER_DO_READ_CHUNK;
        f->n_ended += a->type == MASTER_DO_JOB_ENDED;
        if (a->type == MASTER_DO_READ_CHUNK) f->read_chunk = *a;
        f->n_forget_live += a->type == MASTER_DO_FORGET_LIVE;
        if (a->type == MASTER_DO_ACCEPTED) f->accepted |= 1u << a->accepted.key;
        if (a->type == MASTER_DO_FORGET_LIVE) f->forgotten = a->forget_live.job;
        if (a->type == MASTER_DO_SEND && f->link) link_receive(f->link, a->send.data.data, a->send.data.length, f->now_ms);
    }
    for (uint32_t i = 0; i < n_orders && f->holds_orders; i++) f->held[f->n_held++] = orders[i];
    if (!f->holds_orders) let_store(f, orders, n_orders);
}

/* Lets both sides talk until neither has anything to say. */
static void exchange(struct fixture *f)
{
    struct buffer packet = {0};
    for (bool busy = true; busy;) {
        busy = false;
        while (link_packet(f->link, &packet, f->now_ms)) {
            struct master_event ev = {.type = MASTER_EV_PACKET};
            ev.packet.route = 7;
            ev.packet.data = (struct weir_bytes){packet.data, (uint32_t)packet.len};
            step(f, &ev);
            busy = true;
        }
        struct weir_bytes data;
        while (link_next(f->link, &data)) {
            assert_true(f->n_got < 16);
            assert_int_equal(wire_msg_decode(&f->got[f->n_got++], data.data, data.length, NULL), WEIR_OK);
        }
    }
    buffer_close(&packet);
}

static void tell(struct fixture *f, struct wire_msg *msg)
{
    struct buffer bytes = {0};
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

static void connect_as(struct fixture *f, uint32_t incarnation, const char *id, uint32_t slots, const char *version)
{
    struct link_config config = {.self = id_of(incarnation), .heartbeat_ms = 250, .timeout_ms = 3000, .retransmit_ms = 300};
    link_destroy(&f->link);
    assert_int_equal(link_new(&f->link, &config, f->now_ms), WEIR_OK);
    struct wire_msg msg = {.type = WIRE_REGISTER};
    msg.reg.taskmanager = id;
    msg.reg.host = "host";
    msg.reg.version = version;
    msg.reg.slots = slots;
    msg.reg.workers = f->workers;
    msg.reg.n_workers = f->n_workers;
    forget(f);
    tell(f, &msg);
}

static void answer_who_leads(struct fixture *f, uint64_t number, enum catalog_outcome outcome)
{
    struct master_event ev = {.type = MASTER_EV_CATALOG};
    ev.catalog = (struct catalog_answer){.number = number, .outcome = outcome, .version = 3, .reason = "NO_QUORUM"};
    step(f, &ev);
}

/* Another JobManager, which leads. */
static void start_with(struct fixture *f, const struct master_config *config, const struct master_listed *at, uint32_t n)
{
    master_destroy(&f->m);
    master_new(&f->m, config, f->now_ms);
    step(f, &(struct master_event){.type = MASTER_EV_LISTED, .listed = {.n = n, .at = at}});
    answer_who_leads(f, f->asked, CATALOG_COMMITTED);
    f->n_asked = 0;
}

static void start_anew(struct fixture *f, const struct master_config *config)
{
    start_with(f, config, NULL, 0);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    master_actions_init(&f->actions);
    start_anew(f, &(struct master_config){.incarnation = id_of(9999), .epoch = 5, .version = "1"});
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    forget(f);
    link_destroy(&f->link);
    master_actions_close(&f->actions);
    master_destroy(&f->m);
    free(f);
    return 0;
}

static weir_err submit(struct fixture *f, uint32_t job, uint32_t parallelism, uint32_t n_args)
{
    static const char *args[WEIR_ARGS_MAX + 1];
    for (uint32_t i = 0; i <= WEIR_ARGS_MAX; i++) args[i] = "x";
    struct master_event ev = {.type = MASTER_EV_SUBMIT};
    ev.submit = (struct job_submission){
        .id = id_of(job), .size = 10, .name = "n", .cwd = "/", .parallelism = parallelism, .n_args = n_args, .args = args};
    step(f, &ev);
    return f->actions.answer.code;
}

static weir_err cancel(struct fixture *f, uint32_t job)
{
    struct master_event ev = {.type = MASTER_EV_CANCEL};
    ev.cancel.job = id_of(job);
    step(f, &ev);
    return f->actions.answer.code;
}

static void make_graph(struct buffer *out)
{
    struct graph_input input = {.node = 0, .partition = GRAPH_FORWARD, .way = ""};
    struct graph_node nodes[] = {
        {.id = "read", .name = "source", .kind = GRAPH_SOURCE, .n_outputs = 1},
        {.id = "write", .name = "sink", .kind = GRAPH_SINK, .chain = true, .n_ports = 1, .n_inputs = 1, .inputs = &input}};
    struct graph made = {.name = "g", .n_nodes = 2, .nodes = nodes};
    assert_int_equal(graph_encode(&made, out), WEIR_OK);
}

static void described(struct fixture *f, uint32_t job)
{
    struct graph graph;
    struct buffer bytes = {0};
    make_graph(&bytes);
    assert_int_equal(graph_decode(&graph, bytes.data, bytes.len, NULL), WEIR_OK);
    buffer_close(&bytes);
    struct master_event ev = {.type = MASTER_EV_DESCRIBED};
    ev.described.job = id_of(job);
    ev.described.graph = &graph;
    step(f, &ev);
    assert_null(graph.arena.blocks); /* taken in any case */
}

static void submissions_out_of_bounds_are_refused(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(submit(f, 1, 1025, 1), WEIR_E_ARGUMENT);
    assert_int_equal(submit(f, 1, 1, WEIR_ARGS_MAX + 1), WEIR_E_ARGUMENT);
    assert_int_equal(submit(f, 1, 0, WEIR_ARGS_MAX), WEIR_OK);
    assert_int_equal(submit(f, 1, 1, 1), WEIR_E_EXISTS);
    assert_int_equal(master_n_jobs(f->m), 1);
    assert_int_equal(f->n_describe, 1);
    assert_int_equal(cancel(f, 2), WEIR_E_NOT_FOUND);
}

static void active_jobs_are_limited_and_ended_ones_forgotten(void **state)
{
    struct fixture *f = *state;
    for (uint32_t i = 1; i <= WEIR_JOBS_ACTIVE_MAX; i++) assert_int_equal(submit(f, i, 1, 1), WEIR_OK);
    assert_int_equal(submit(f, 500, 1, 1), WEIR_E_LIMIT);
    for (uint32_t i = 1; i <= WEIR_JOBS_ACTIVE_MAX; i++) assert_int_equal(cancel(f, i), WEIR_OK);
    assert_int_equal(f->n_ended, WEIR_JOBS_ACTIVE_MAX);
    assert_int_equal(f->n_stop_describe, WEIR_JOBS_ACTIVE_MAX);
    for (uint32_t i = 1000; i < 1000 + WEIR_JOBS_KEPT_MAX; i++) {
        assert_int_equal(submit(f, i, 1, 1), WEIR_OK);
        assert_int_equal(cancel(f, i), WEIR_OK);
    }
    assert_int_equal(master_n_jobs(f->m), WEIR_JOBS_KEPT_MAX);
    assert_null(master_job_find(f->m, id_of(1)));
    assert_non_null(master_job_find(f->m, id_of(1000)));
}

static void a_taskmanager_registers(void **state)
{
    struct fixture *f = *state;
    connect_as(f, 1, "tm-1", 3, "1");
    assert_int_equal(f->n_got, 1);
    assert_int_equal(f->got[0].type, WIRE_REGISTERED);
    assert_int_equal(f->got[0].epoch, 5);
    assert_int_equal(master_n_taskmanagers(f->m), 1);
    assert_int_equal(master_taskmanager_at(f->m, 0)->n_free, 3);
}

static void a_taskmanager_that_does_not_fit_is_refused_with_a_reason(void **state)
{
    struct fixture *f = *state;
    connect_as(f, 1, "tm-1", 3, "2");
    assert_int_equal(f->got[0].type, WIRE_REFUSED);
    assert_string_equal(f->got[0].refused.reason, "TaskManager tm-1 is Weir 2, the JobManager is Weir 1: install the same version");
    connect_as(f, 2, "", 3, "1");
    assert_int_equal(f->got[0].type, WIRE_REFUSED);
    connect_as(f, 3, "tm-1", 0, "1");
    assert_int_equal(f->got[0].type, WIRE_REFUSED);
    assert_int_equal(master_n_taskmanagers(f->m), 0);
}

/* A packet that names a JobManager of the past, or is none, begins nothing. */
static void foreign_packets_are_dropped_and_counted(void **state)
{
    struct fixture *f = *state;
    connect_as(f, 1, "tm-1", 3, "1");
    struct buffer packet = {0};
    f->now_ms += 250;
    assert_true(link_packet(f->link, &packet, f->now_ms)); /* knows its peer by now */
    struct master_event ev = {.type = MASTER_EV_PACKET};
    ev.packet.data = (struct weir_bytes){packet.data, (uint32_t)packet.len};
    struct fixture other = {0};
    struct master_config config = {.incarnation = id_of(8888), .epoch = 6};
    master_new(&other.m, &config, 0);
    master_actions_init(&other.actions);
    step(&other, &ev);
    assert_int_equal(other.actions.n, 1); /* whoever sent it learns that the JobManager it talks to is no more */
    assert_int_equal(other.actions.at[0].type, MASTER_DO_SEND);
    assert_int_equal(link_state(f->link), LINK_OPEN);
    (void)link_receive(f->link, other.actions.at[0].send.data.data, other.actions.at[0].send.data.length, f->now_ms);
    assert_int_equal(link_state(f->link), LINK_DEAD);
    ev.packet.data.length = 20;
    step(&other, &ev);
    assert_int_equal(other.actions.n, 0);
    assert_int_equal(master_counts(other.m).packets_dropped, 2);
    master_actions_close(&other.actions);
    master_destroy(&other.m);
    buffer_close(&packet);
}

static struct wire_msg about(uint32_t job, uint32_t attempt, enum wire_type type)
{
    return (struct wire_msg){.type = type, .epoch = 5, .job = id_of(job), .attempt = attempt};
}

static void messages_that_do_not_belong_are_dropped_and_counted(void **state)
{
    struct fixture *f = *state;
    connect_as(f, 1, "tm-1", 1, "1");
    submit(f, 1, 1, 1);
    described(f, 1);
    assert_int_equal(master_job_at(f->m, 0)->state, JOB_DEPLOYING);
    struct wire_msg msg = about(1, 1, WIRE_WORKER_READY);
    msg.ready.endpoint = "tcp://h:1";
    msg.ready.fingerprint = master_job_at(f->m, 0)->graph.fingerprint;
    msg.epoch = 4;
    tell(f, &msg); /* an older leader's */
    msg.epoch = 6;
    tell(f, &msg); /* a newer one's */
    msg.epoch = 5;
    msg.attempt = 0;
    tell(f, &msg); /* an older attempt's */
    assert_int_equal(master_counts(f->m).messages_stale, 3);
    msg.attempt = 2;
    tell(f, &msg); /* an attempt that never was */
    msg = about(77, 1, WIRE_WORKER_RUNNING);
    tell(f, &msg); /* no such job */
    assert_int_equal(master_counts(f->m).messages_unknown, 2);
    msg = about(1, 1, WIRE_WORKER_PREPARED);
    tell(f, &msg); /* it is not even ready */
    assert_int_equal(master_counts(f->m).messages_broken, 1);
    assert_int_equal(master_job_at(f->m, 0)->workers[0].state, JOB_WORKER_DEPLOYED);
}

static void a_commit_that_nobody_asked_for_fails_the_job(void **state)
{
    struct fixture *f = *state;
    connect_as(f, 1, "tm-1", 1, "1");
    submit(f, 1, 1, 1);
    described(f, 1);
    struct wire_msg msg = about(1, 1, WIRE_WORKER_ENDED);
    msg.ended.outcome = WIRE_COMMITTED;
    msg.ended.failure = (struct wire_failure){.operator_id = "", .reason = ""};
    tell(f, &msg);
    assert_int_equal(master_job_at(f->m, 0)->state, JOB_FAILED);
    assert_string_equal(master_job_at(f->m, 0)->failure.reason, "the worker on TaskManager tm-1 (host) committed without being asked");
    assert_int_equal(master_taskmanager_at(f->m, 0)->n_free, 1);
}

static void chunks_go_to_whom_asked_for_them(void **state)
{
    struct fixture *f = *state;
    connect_as(f, 1, "tm-1", 1, "1");
    struct wire_msg msg = {.type = WIRE_FETCH, .epoch = 5};
    msg.fetch.offset = WEIR_CHUNK_BYTES;
    tell(f, &msg);
    assert_int_equal(f->n_read_chunk, 1);
    assert_int_equal(f->read_chunk.read_chunk.offset, WEIR_CHUNK_BYTES);
    struct master_event ev = {.type = MASTER_EV_CHUNK};
    ev.chunk.reader = f->read_chunk.read_chunk.reader;
    ev.chunk.offset = WEIR_CHUNK_BYTES;
    ev.chunk.total = WEIR_CHUNK_BYTES + 3;
    ev.chunk.data = (struct weir_bytes){"abc", 3};
    forget(f);
    step(f, &ev);
    exchange(f);
    assert_int_equal(f->n_got, 1);
    assert_memory_equal(f->got[0].chunk.data.data, "abc", 3);
    ev.chunk.reader += 1; /* somebody who has gone */
    step(f, &ev);
    assert_int_equal(f->actions.n, 0);
}

/* In place of the fixture's master. */
static void the_heartbeat_is_told_and_new_leaders_wait_by_it(void **state)
{
    struct fixture *f = *state;
    struct master_config config = {.incarnation = id_of(9999), .epoch = 5, .version = "1"};
    connect_as(f, 1, "tm-1", 1, "1");
    submit(f, 1, 1, 1);
    assert_int_equal(f->got[0].registered.heartbeat_ms, WEIR_HEARTBEAT_MS);
    assert_int_equal(f->got[0].registered.heartbeat_timeout_ms, WEIR_HEARTBEAT_TIMEOUT_MS);
    assert_int_equal(master_job_at(f->m, 0)->reconcile_ms, WEIR_RECONCILE_MS);
    config.heartbeat_ms = 5000;
    config.heartbeat_timeout_ms = 20000;
    start_anew(f, &config);
    connect_as(f, 1, "tm-1", 1, "1");
    submit(f, 1, 1, 1);
    assert_int_equal(f->got[0].registered.heartbeat_ms, 5000);
    assert_int_equal(f->got[0].registered.heartbeat_timeout_ms, 20000);
    assert_int_equal(master_job_at(f->m, 0)->reconcile_ms, 40000);
}

/* Somebody else may lead after a stop, however seldom signs of life are given. */
static void a_stop_is_noticed_whatever_the_heartbeat(void **state)
{
    struct fixture *f = *state;
    start_anew(f, &(struct master_config){.incarnation = id_of(9999), .epoch = 5, .heartbeat_ms = 60000, .heartbeat_timeout_ms = 600000});
    step(f, &(struct master_event){.type = MASTER_EV_TICK});
    connect_as(f, 1, "tm-1", 1, "1");
    f->now_ms = f->actions.deadline_ms + WEIR_HEARTBEAT_MS + 1;
    struct master_event tick = {.type = MASTER_EV_TICK, .now_ms = f->now_ms, .wall_ms = f->now_ms};
    master_step(f->m, &tick, &f->actions);
    assert_int_equal(f->actions.n, 1);
    assert_int_equal(f->actions.at[0].type, MASTER_DO_CATALOG);
    assert_int_equal(f->actions.at[0].catalog.kind, CATALOG_CONFIRM);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

/* ---- live configuration ---- */

static struct live_setting setting(const char *key, const char *value)
{
    struct live_setting s = {0};
    (void)snprintf(s.key, sizeof s.key, "%s", key);
    (void)snprintf(s.value, sizeof s.value, "%s", value);
    return s;
}

static void live(struct fixture *f, const struct live_setting *at, uint32_t n)
{
    struct master_event ev = {.type = MASTER_EV_LIVE};
    ev.live.at = at;
    ev.live.n = n;
    forget(f);
    step(f, &ev);
    if (f->link) exchange(f);
}

static void live_settings_reach_taskmanagers(void **state)
{
    struct fixture *f = *state;
    struct live_setting at[] = {setting("log.level", "debug"), setting("restart-strategy.type", "none")};
    connect_as(f, 1, "tm-1", 1, "1");
    assert_int_equal(f->n_got, 1); /* nothing is known yet */
    live(f, at, 2);
    assert_int_equal(f->n_got, 1);
    assert_int_equal(f->got[0].type, WIRE_SETTINGS);
    assert_int_equal(f->got[0].settings.n, 1);
    assert_string_equal(f->got[0].settings.items[0], "log.level=debug");
    connect_as(f, 2, "tm-1", 1, "1");
    assert_int_equal(f->got[1].type, WIRE_SETTINGS); /* behind REGISTERED */
    live(f, NULL, 0);
    assert_int_equal(f->got[0].settings.n, 0); /* as at the start */
}

static const struct job_options *options_of(const struct fixture *f, uint32_t job)
{
    return &master_job_find(f->m, id_of(job))->options;
}

static void live_settings_reach_jobs_and_bad_ones_do_not(void **state)
{
    struct fixture *f = *state;
    struct live_setting at[] = {setting("restart-strategy.type", "fixed-delay"), setting("restart-strategy.fixed-delay.attempts", "7"),
                                setting("execution.checkpointing.interval", "5s")};
    const struct live_setting *kept;
    assert_int_equal(submit(f, 1, 1, 1), WEIR_OK);
    assert_int_equal(options_of(f, 1)->strategy, RESTART_NONE);
    live(f, at, 2);
    assert_int_equal(options_of(f, 1)->strategy, RESTART_FIXED_DELAY);
    assert_int_equal(submit(f, 2, 1, 1), WEIR_OK);
    assert_int_equal(options_of(f, 2)->fixed_attempts, 7);

    at[1] = setting("restart-strategy.fixed-delay.attempts", "many");
    live(f, at, 3);
    assert_int_equal(master_live(f->m, &kept), 3);
    assert_true(kept[1].counts); /* with the former value */
    assert_string_equal(kept[1].value, "7");
    assert_non_null(strstr(kept[1].refusal, "many is not"));
    assert_int_equal(options_of(f, 1)->fixed_attempts, 7);
    assert_null(master_job_find(f->m, id_of(1))->ckpt); /* that was decided when it was submitted */

    live(f, at, 1);
    assert_int_equal(options_of(f, 1)->fixed_attempts, 1);
}

static void live_settings_of_a_job_are_its_own(void **state)
{
    struct fixture *f = *state;
    struct live_setting own = setting("restart-strategy.type", "failure-rate"), nobody;
    struct weir_diag diag;
    assert_int_equal(submit(f, 1, 1, 1), WEIR_OK);
    assert_int_equal(submit(f, 2, 1, 1), WEIR_OK);
    (void)id_text(id_of(2), own.job);
    assert_int_equal(master_live_check(f->m, &own, &diag), WEIR_OK);
    live(f, &own, 1);
    assert_int_equal(options_of(f, 1)->strategy, RESTART_NONE);
    assert_int_equal(options_of(f, 2)->strategy, RESTART_FAILURE_RATE);
    nobody = own;
    (void)id_text(id_of(3), nobody.job);
    assert_int_equal(master_live_check(f->m, &nobody, &diag), WEIR_E_NOT_FOUND);
    own = setting("execution.checkpointing.interval", "5s");
    (void)id_text(id_of(2), own.job);
    assert_int_equal(master_live_check(f->m, &own, &diag), WEIR_E_ARGUMENT);
    assert_non_null(strstr(diag.text, "has no checkpoints"));
    own = setting("restart-strategy.exponential-delay.max-backoff", "1ms");
    assert_int_equal(master_live_check(f->m, &own, &diag), WEIR_E_ARGUMENT); /* does not fit the others */
}

static void live_settings_of_a_job_go_with_it(void **state)
{
    struct fixture *f = *state;
    struct weir_diag diag;
    struct live_setting at[] = {setting("job.a", "1"), setting("job.b", "2"), setting("job.a", "3"), setting("log.level", "debug")};
    (void)id_text(id_of(1), at[0].job);
    (void)id_text(id_of(1), at[1].job);
    (void)id_text(id_of(77), at[2].job); /* another JobManager may know it */
    assert_int_equal(submit(f, 1, 1, 1), WEIR_OK);
    assert_int_equal(submit(f, 2, 1, 1), WEIR_OK);
    live(f, at, 4);
    assert_int_equal(cancel(f, 2), WEIR_OK); /* has none */
    assert_int_equal(f->n_forget_live, 0);
    assert_int_equal(cancel(f, 1), WEIR_OK);
    assert_int_equal(master_job_find(f->m, id_of(1))->state, JOB_CANCELED);
    assert_int_equal(f->n_forget_live, 1);
    assert_true(id_equal(f->forgotten, id_of(1)));
    live(f, at, 4); /* they are still there: the JobManager that led before has not removed them */
    assert_int_equal(f->n_forget_live, 2);
    live(f, at + 2, 2);
    assert_int_equal(f->n_forget_live, 2);
    assert_int_equal(master_live_check(f->m, &at[0], &diag), WEIR_E_STATE);
    assert_string_equal(diag.text, "the job has ended: CANCELED");
}

/* Its submission is not stored yet: a cancel that was stored before would be lost with it, and somebody had been told. */
static void a_cancel_is_stored_behind_its_job(void **state)
{
    struct fixture *f = *state;
    f->holds_orders = true;
    assert_int_equal(submit(f, 1, 1, 1), WEIR_OK);
    assert_int_equal(cancel(f, 1), WEIR_OK);
    assert_int_equal(f->n_held, 1);
    let_store(f, f->held, 1);
    assert_int_equal(f->accepted, 1u << JOB_KEY_SUBMISSION);
    assert_int_equal(f->n_held, 2);
    let_store(f, &f->held[1], 1);
    assert_int_equal(f->accepted, 1u << JOB_KEY_SUBMISSION | 1u << JOB_KEY_CANCEL);
    assert_int_equal(master_job_find(f->m, id_of(1))->state, JOB_CANCELLING);
}

/* ---- after a stop ---- */

/* So much later than it was due: the process was stopped. */
static void wake_late(struct fixture *f, int64_t ms)
{
    f->now_ms += ms;
    step(f, &(struct master_event){.type = MASTER_EV_TICK});
}

/* Whether what its TaskManager says again and again is not heard yet, and nothing is said to it. */
static bool waits(struct fixture *f)
{
    f->n_send = 0;
    f->now_ms += 200; /* no stop */
    link_tick(f->link, f->now_ms);
    exchange(f);
    step(f, &(struct master_event){.type = MASTER_EV_TICK});
    return f->n_send == 0 && master_job_at(f->m, 0)->workers[0].state == JOB_WORKER_DEPLOYED;
}

/* Somebody else may lead by now. What was answered before the last stop says nothing, nor does an answer that there is none. */
static void who_was_stopped_waits_until_the_catalog_has_answered(void **state)
{
    struct fixture *f = *state;
    struct buffer bytes = {0};
    struct wire_msg ready = about(1, 1, WIRE_WORKER_READY);
    connect_as(f, 1, "tm-1", 2, "1");
    submit(f, 1, 1, 1);
    submit(f, 2, 1, 1);
    described(f, 1);
    exchange(f);
    ready.ready.endpoint = "tcp://h:1";
    ready.ready.fingerprint = master_job_at(f->m, 0)->graph.fingerprint;
    assert_int_equal(wire_msg_encode(&ready, &bytes), WEIR_OK);
    assert_int_equal(link_send(f->link, bytes.data, bytes.len, f->now_ms), WEIR_OK);
    buffer_close(&bytes);

    wake_late(f, 900);
    assert_int_equal(f->n_asked, 1);
    assert_true(waits(f));
    described(f, 2);
    assert_int_equal(master_job_at(f->m, 1)->state, JOB_CREATED); /* no slot is given */
    answer_who_leads(f, f->asked, CATALOG_UNKNOWN);
    assert_int_equal(f->n_asked, 2);
    assert_true(waits(f));
    uint64_t before = f->asked;
    wake_late(f, 900);
    assert_int_equal(f->n_asked, 3);
    assert_int_not_equal(f->asked, before);
    answer_who_leads(f, before, CATALOG_COMMITTED);
    assert_true(waits(f));
    answer_who_leads(f, f->asked, CATALOG_COMMITTED);
    assert_int_equal(master_job_at(f->m, 1)->state, JOB_DEPLOYING);
    for (int64_t end = f->now_ms + 1000; f->now_ms < end;) (void)waits(f);
    assert_int_equal(master_job_at(f->m, 0)->workers[0].state, JOB_WORKER_READY);
    assert_int_equal(f->n_asked, 3);
}

/* It may have been stopped since it claimed the catalog: what it has read may be what somebody else goes on with. */
static void who_begins_to_lead_waits_until_the_catalog_has_answered(void **state)
{
    (void)state;
    struct fixture other = {0};
    struct master_config config = {.incarnation = id_of(8888), .epoch = 5, .version = "1"};
    master_new(&other.m, &config, 0);
    master_actions_init(&other.actions);
    step(&other, &(struct master_event){.type = MASTER_EV_LISTED});
    assert_int_equal(other.n_asked, 1);
    connect_as(&other, 1, "tm-1", 1, "1");
    assert_int_equal(other.n_got, 0);
    answer_who_leads(&other, other.asked, CATALOG_COMMITTED);
    connect_as(&other, 2, "tm-1", 1, "1");
    assert_int_equal(other.n_got, 1);
    assert_int_equal(other.got[0].type, WIRE_REGISTERED);
    forget(&other);
    link_destroy(&other.link);
    master_actions_close(&other.actions);
    master_destroy(&other.m);
}

/*
 * It leads still, and knew so after 2.5 s of 3 that TaskManagers are silent for; the stop may be shorter, and the answer late. They may
 * have given it up: nothing that they say is heard any more, and another master finds what runs on them.
 */
static void who_was_stopped_for_long_leads_anew(void **state)
{
    (void)state;
    static const struct {
        int64_t stopped_ms, answered_ms; /* one after the other */
        bool member, anew;
    } cases[] = {{2200, 0, true, false}, {2600, 0, true, true}, {900, 1300, true, false}, {900, 1700, true, true}, {9000, 0, false, false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        void *fresh;
        setup(&fresh);
        struct fixture *f = fresh;
        if (cases[i].member) connect_as(f, 1, "tm-1", 1, "1");
        wake_late(f, cases[i].stopped_ms);
        for (int64_t ms = 0; ms < cases[i].answered_ms; ms += 100) wake_late(f, 100); /* no stops */
        answer_who_leads(f, f->asked, CATALOG_COMMITTED);
        assert_int_equal(f->n_anew, cases[i].anew);
        wake_late(f, 5000);
        assert_int_equal(f->n_asked, cases[i].anew ? 1 : 2);
        assert_int_equal(f->n_anew, cases[i].anew); /* once */
        teardown(&fresh);
    }
}

/* Stopped at any moment of a silence that ends a TaskManager: nobody is given up before it is known who leads. */
static void who_was_stopped_gives_nobody_up(void **state)
{
    (void)state;
    bool lost = false;
    for (uint32_t n = 0; !lost; n++) {
        void *fresh;
        setup(&fresh);
        struct fixture *f = fresh;
        connect_as(f, 1, "tm-1", 1, "1");
        for (uint32_t i = 0; i < n; i++) {
            f->now_ms = f->actions.deadline_ms;
            step(f, &(struct master_event){.type = MASTER_EV_TICK});
        }
        lost = master_n_taskmanagers(f->m) == 0;
        f->now_ms = f->actions.deadline_ms > f->now_ms && f->actions.deadline_ms != INT64_MAX ? f->actions.deadline_ms : f->now_ms;
        wake_late(f, 1000);
        if (!lost) assert_int_equal(f->n_asked, 1);
        if (!lost) assert_int_equal(master_n_taskmanagers(f->m), 1);
        teardown(&fresh);
    }
}

/* There is no catalog that it could ask, and it names the leader as before. */
static void who_does_not_lead_is_in_no_doubt(void **state)
{
    (void)state;
    struct fixture other = {0};
    struct master_config config = {.incarnation = id_of(8888), .leader = "tcp://leader:1"};
    master_new(&other.m, &config, 0);
    master_actions_init(&other.actions);
    connect_as(&other, 1, "tm-1", 1, "1");
    assert_int_equal(other.n_got, 1);
    assert_int_equal(other.got[0].type, WIRE_NOT_LEADER);
    assert_string_equal(other.got[0].not_leader.endpoint, "tcp://leader:1");
    struct master_event ev = {.type = MASTER_EV_PACKET, .packet = {.route = 8}};
    struct link_config another = {.self = id_of(2), .heartbeat_ms = 250, .timeout_ms = 3000, .retransmit_ms = 300};
    struct buffer packet = {0};
    link_destroy(&other.link);
    assert_int_equal(link_new(&other.link, &another, 0), WEIR_OK);
    assert_true(link_packet(other.link, &packet, 0));
    ev.packet.data = (struct weir_bytes){packet.data, (uint32_t)packet.len};
    step(&other, &ev);
    buffer_close(&packet);
    assert_int_not_equal(other.actions.deadline_ms, INT64_MAX); /* it looks after that link */
    wake_late(&other, 2000);
    assert_int_equal(other.n_asked, 0);
    forget(&other);
    link_destroy(&other.link);
    master_actions_close(&other.actions);
    master_destroy(&other.m);
}

/* ---- attempts of a leader before ---- */

/* Epoch 5 leads, and the catalog has attempt 2 of job 1, of two slots, which it does not say where they are. */
static void lead_after(struct fixture *f)
{
    static const char *const names[] = {"attempt", "graph", "submission"};
    struct buffer values[3] = {0};
    struct master_listed listed[3];
    char keys[3][64], id[WEIR_ID_TEXT];
    const struct job_submission sub = {.id = id_of(1), .size = 10, .name = "n", .cwd = "/", .parallelism = 2, .from = ""};
    records_attempt(&(struct job){.epoch = 4, .attempt = 1}, 2, false, &values[0]);
    make_graph(&values[1]);
    records_submission(&sub, 1, 0, &values[2]);
    for (uint32_t i = 0; i < 3; i++) {
        (void)snprintf(keys[i], sizeof keys[i], RECORDS_PREFIX "%s/%s", id_text(id_of(1), id), names[i]);
        listed[i] = (struct master_listed){keys[i], 1, {values[i].data, (uint32_t)values[i].len}, NULL};
    }
    start_with(f, &(struct master_config){.incarnation = id_of(9999), .epoch = 5, .version = "1"}, listed, 3);
    for (uint32_t i = 0; i < 3; i++) buffer_close(&values[i]);
    assert_int_equal(master_job_at(f->m, 0)->state, JOB_RECONCILING);
}

struct report {
    uint32_t attempt;
    uint64_t epoch;
    uint32_t worker, n_workers, slot;
};

/* A TaskManager registers with these. Gives how many of them it is told to cancel. */
static uint32_t report(struct fixture *f, uint32_t incarnation, const char *id, const struct report *reports, uint32_t n)
{
    struct wire_worker workers[2];
    uint32_t slots[2], n_cancel = 0;
    for (uint32_t i = 0; i < n; i++) {
        const struct report *r = &reports[i];
        slots[i] = r->slot;
        workers[i] = (struct wire_worker){.job = id_of(1), .attempt = r->attempt, .epoch = r->epoch, .state = WIRE_WORKER_IS_RUNNING};
        workers[i].worker = r->worker;
        workers[i].n_workers = r->n_workers;
        workers[i].slots = &slots[i];
        workers[i].n_slots = 1;
        workers[i].endpoint = "tcp://h:1";
    }
    f->workers = workers;
    f->n_workers = n;
    connect_as(f, incarnation, id, 4, "1");
    f->workers = NULL;
    f->n_workers = 0;
    for (uint32_t i = 0; i < f->n_got; i++) n_cancel += f->got[i].type == WIRE_CANCEL;
    return n_cancel;
}

static void an_attempt_is_taken_up_when_all_of_it_is_reported(void **state)
{
    static const struct report whole[] = {{2, 4, 0, 2, 0}, {2, 4, 1, 2, 1}};
    struct fixture *f = *state;
    lead_after(f);
    assert_int_equal(report(f, 1, "tm-1", whole, 1), 0);
    assert_int_equal(master_job_at(f->m, 0)->state, JOB_RECONCILING);
    assert_int_equal(report(f, 2, "tm-2", whole + 1, 1), 0);
    assert_int_equal(master_job_at(f->m, 0)->state, JOB_RUNNING);
    assert_int_equal(report(f, 3, "tm-3", whole + 1, 1), 1); /* nobody waits for another one */
    assert_int_equal(master_job_at(f->m, 0)->state, JOB_RUNNING);
}

/* A worker of another attempt, or of another deployment of the same one, would be a second one of the same part. */
static void what_does_not_belong_to_the_attempt_is_canceled(void **state)
{
    static const struct report alone[] = {{1, 4, 0, 2, 0}, {3, 4, 0, 2, 0}, {2, 6, 0, 2, 0}, {2, 4, 0, 3, 0}, {2, 4, 0, 2, 2}};
    static const struct report pairs[][2] = {{{2, 4, 0, 2, 0}, {1, 4, 1, 2, 1}},
                                             {{2, 4, 0, 2, 0}, {2, 3, 1, 2, 1}},
                                             {{2, 4, 1, 2, 1}, {2, 4, 0, 1, 0}},
                                             {{2, 4, 0, 2, 0}, {2, 4, 0, 2, 1}},
                                             {{2, 4, 0, 2, 0}, {2, 4, 1, 2, 0}}};
    struct fixture *f = *state;
    for (uint32_t i = 0; i < sizeof alone / sizeof alone[0]; i++) {
        lead_after(f);
        assert_int_equal(report(f, 1, "tm-1", &alone[i], 1), 1);
        assert_int_equal(master_job_at(f->m, 0)->n_workers, 0);
    }
    for (uint32_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        lead_after(f);
        assert_int_equal(report(f, 1, "tm-1", pairs[i], 2), 1);
        assert_int_equal(master_job_at(f->m, 0)->state, JOB_RECONCILING);
    }
}

/* The attempt was given up, since nobody reported any of it. */
static void what_is_reported_too_late_is_canceled(void **state)
{
    static const struct report late = {2, 4, 0, 2, 0};
    struct fixture *f = *state;
    lead_after(f);
    while (master_job_at(f->m, 0)->state != JOB_CREATED) {
        assert_true(f->now_ms < 2 * WEIR_RECONCILE_MS);
        f->now_ms = f->actions.deadline_ms;
        step(f, &(struct master_event){.type = MASTER_EV_TICK});
    }
    assert_int_equal(report(f, 1, "tm-1", &late, 1), 1);
    assert_int_equal(master_job_at(f->m, 0)->n_workers, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(submissions_out_of_bounds_are_refused),
        CASE(active_jobs_are_limited_and_ended_ones_forgotten),
        CASE(a_taskmanager_registers),
        CASE(a_taskmanager_that_does_not_fit_is_refused_with_a_reason),
        CASE(foreign_packets_are_dropped_and_counted),
        CASE(messages_that_do_not_belong_are_dropped_and_counted),
        CASE(a_commit_that_nobody_asked_for_fails_the_job),
        CASE(chunks_go_to_whom_asked_for_them),
        CASE(the_heartbeat_is_told_and_new_leaders_wait_by_it),
        CASE(a_stop_is_noticed_whatever_the_heartbeat),
        CASE(live_settings_reach_taskmanagers),
        CASE(live_settings_reach_jobs_and_bad_ones_do_not),
        CASE(live_settings_of_a_job_are_its_own),
        CASE(live_settings_of_a_job_go_with_it),
        CASE(an_attempt_is_taken_up_when_all_of_it_is_reported),
        CASE(what_does_not_belong_to_the_attempt_is_canceled),
        CASE(what_is_reported_too_late_is_canceled),
        CASE(who_was_stopped_waits_until_the_catalog_has_answered),
        cmocka_unit_test(who_begins_to_lead_waits_until_the_catalog_has_answered),
        cmocka_unit_test(who_was_stopped_gives_nobody_up),
        cmocka_unit_test(who_was_stopped_for_long_leads_anew),
        cmocka_unit_test(who_does_not_lead_is_in_no_doubt),
        cmocka_unit_test_setup_teardown(a_cancel_is_stored_behind_its_job, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
