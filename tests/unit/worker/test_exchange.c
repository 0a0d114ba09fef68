/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two workers in one process, their task threads real, their net threads played by the test, which also stands between them and drops,
 * doubles, damages, delays and invents what goes over the wire. Either the result is right to the row, or the job fails and names the
 * channel.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "taskmanager/worker/describe.h"
#include "taskmanager/worker/exchange.h"
#include "tests/unit/task/items.h"

#define SLOTS 4

/* ---- the man in the middle
 * ---------------------------------------------------------------------------------------------------------------- */

enum mischief { PASS, DROP, DOUBLE, TRUNCATE, FLIP_HEAD, FLIP_BODY, OLD_ATTEMPT, OLD_EPOCH, OTHER_JOB, NO_FRAME, OVERSTATE };

/* Between the DEALER of worker `from` and the ROUTER of the other: frames and probes one way, credits the other. */
struct proxy {
    struct net_socket *front, *back;
    struct weir_id from;
    struct net_parts parts;
    uint64_t n_frames, n_credits, n_probes; /* passed by or not */
};

/* What to do to the n-th message of a kind. Set by each story. */
static struct {
    enum mischief (*frames)(uint64_t n, const struct frame_header *head);
    enum mischief (*credits)(uint64_t n);
    uint64_t at;   /* for those that act once */
    uint64_t hold; /* turns of the loop in which nothing passes at all, now and then */
    enum mischief once;
} plan;

static void proxy_open(struct proxy *p, struct weir_id from, const char *to)
{
    static const struct net_socket_config config = {
        .kind = NET_ROUTER, .message_max = WEIR_FRAME_MAX, .send_hwm = 100000, .receive_hwm = 100000};
    struct net_socket_config back = config;
    *p = (struct proxy){.from = from};
    net_parts_init(&p->parts);
    back.kind = NET_DEALER;
    back.routing_id = (struct weir_bytes){p->from.bytes, sizeof p->from.bytes};
    assert_int_equal(net_socket_new(&p->front, &config, NULL), WEIR_OK);
    assert_int_equal(net_socket_new(&p->back, &back, NULL), WEIR_OK);
    assert_int_equal(net_socket_bind(p->front, "tcp://127.0.0.1:*", NULL), WEIR_OK);
    assert_int_equal(net_socket_connect(p->back, to, NULL), WEIR_OK);
}

static void proxy_close(struct proxy *p)
{
    net_parts_close(&p->parts);
    net_socket_destroy(&p->front);
    net_socket_destroy(&p->back);
}

/* Sends `bytes` on: by the front with the worker's routing id, or by the back. */
static void hand_on(struct proxy *p, bool to_front, const void *data, uint32_t length)
{
    struct weir_bytes parts[2] = {{p->from.bytes, sizeof p->from.bytes}, {data, length}};
    (void)net_send_bytes(to_front ? p->front : p->back, to_front ? parts : parts + 1, to_front ? 2 : 1);
}

static void resealed(struct proxy *p, bool to_front, struct frame_header *head, uint32_t length)
{
    frame_seal(head);
    hand_on(p, to_front, head, length);
}

static void do_mischief(struct proxy *p, bool to_front, enum mischief what, struct weir_bytes bytes)
{
    static _Alignas(8) unsigned char copy[1 << 18];
    if (what == DROP) return;
    assert_true(bytes.length <= sizeof copy);
    memcpy(copy, bytes.data, bytes.length);
    struct frame_header *head = (struct frame_header *)(void *)copy;
    switch (what) {
    case DOUBLE: hand_on(p, to_front, copy, bytes.length); break;
    case TRUNCATE: hand_on(p, to_front, copy, bytes.length - 8); return;
    case FLIP_HEAD:
        copy[40] ^= 4;
        hand_on(p, to_front, copy, bytes.length);
        return;
    case FLIP_BODY:
        copy[bytes.length - 1] ^= 64;
        hand_on(p, to_front, copy, bytes.length);
        return;
    case OLD_ATTEMPT:
        head->attempt--;
        resealed(p, to_front, head, bytes.length);
        break;
    case OLD_EPOCH:
        head->epoch--;
        resealed(p, to_front, head, bytes.length);
        break;
    case OTHER_JOB:
        head->job ^= 1;
        resealed(p, to_front, head, bytes.length);
        break;
    case NO_FRAME: hand_on(p, to_front, "no frame at all", 15); break;
    case OVERSTATE:
        head->seq += 1000;
        resealed(p, to_front, head, bytes.length);
        return;
    case PASS:
    case DROP: break;
    }
    hand_on(p, to_front, bytes.data, bytes.length);
}

static bool proxy_pump(struct proxy *p)
{
    bool moved = false;
    while (net_receive(p->front, &p->parts) == NET_MESSAGE) {
        moved = true;
        struct weir_bytes bytes = net_part(&p->parts, 1);
        struct frame_header head;
        memcpy(&head, bytes.data, sizeof head);
        bool probe = head.kind == FRAME_PROBE;
        enum mischief what = probe || !plan.frames ? PASS : plan.frames(p->n_frames, &head);
        if (probe)
            p->n_probes++;
        else
            p->n_frames++;
        do_mischief(p, false, what, bytes);
    }
    while (net_receive(p->back, &p->parts) == NET_MESSAGE) {
        moved = true;
        do_mischief(p, true, plan.credits ? plan.credits(p->n_credits) : PASS, net_part(&p->parts, 0));
        p->n_credits++;
    }
    return moved;
}

/* ---- two workers
 * --------------------------------------------------------------------------------------------------------------------------- */

struct side {
    struct deployment *d;
    struct exchange *x;
    struct blackbox *box;
    struct weir_id incarnation;
};

static struct {
    struct side sides[2];
    struct proxy proxies[2];
    struct net_socket *stranger; /* NULL: none comes */
    struct wire_msg deploy;
    struct wire_split splits[SENDERS_MAX];
    int64_t senders[SENDERS_MAX];
    uint32_t slot_worker[SLOTS];
    struct weir_diag diag;
    uint64_t turns;
} two;

static weir_err build(struct weir_env *env)
{
    struct weir_stream *s = weir_from(env, "items", &item_source, NULL, 0);
    check_items(weir_key_by(s, &item_key), "check", 0, true);
    return weir_env_finish(env, NULL);
}

static void make_side(struct side *side, uint32_t worker)
{
    struct weir_env *env = NULL;
    struct graph graph;
    assert_int_equal(weir_env_new(&env, "two", "/", SLOTS), WEIR_OK);
    assert_int_equal(build(env), WEIR_OK);
    assert_int_equal(describe_graph(&graph, env, "two"), WEIR_OK);
    two.deploy.deploy.fingerprint = graph.fingerprint;
    two.deploy.deploy.worker = worker;
    describe_graph_close(&graph);
    side->box = calloc(1, sizeof *side->box);
    side->incarnation = id_random();
    assert_int_equal(deployment_new(&side->d, &two.deploy, env, NULL, side->box, &two.diag), WEIR_OK);
    assert_int_equal(exchange_new(&side->x, side->d, &two.deploy, side->incarnation, "tcp://127.0.0.1:*", 0, &two.diag), WEIR_OK);
}

/* Each worker is told the proxy's endpoint for the other. */
static void connect_sides(void)
{
    for (uint32_t w = 0; w < 2; w++) {
        proxy_open(&two.proxies[w], two.sides[w].incarnation, exchange_endpoint(two.sides[1 - w].x));
        struct wire_peer peers[2] = {
            {.worker = 0, .endpoint = net_socket_endpoint(two.proxies[w].front), .incarnation = two.sides[0].incarnation},
            {.worker = 1, .endpoint = net_socket_endpoint(two.proxies[w].front), .incarnation = two.sides[1].incarnation}};
        struct wire_msg start = {.type = WIRE_START, .start = {.n_peers = 2, .peers = peers}};
        assert_int_equal(exchange_connect(two.sides[w].x, &start, &two.diag), WEIR_OK);
    }
}

static void open_two(uint64_t seed, int64_t rows)
{
    memset(&two, 0, sizeof two);
    memset(totals, 0, sizeof totals);
    items.seed = seed;
    items.rows = rows;
    items.senders = 5;
    items.keys = 16;
    items.sizes = SIZES_EDGES;
    two.deploy = (struct wire_msg){.type = WIRE_DEPLOY, .epoch = 7, .job = id_random(), .attempt = 3};
    for (uint32_t s = 0; s < SLOTS; s++) two.slot_worker[s] = s % 2;
    for (uint32_t s = 0; s < 5; s++) {
        two.senders[s] = s;
        two.splits[s] = (struct wire_split){.node = 0, .index = s, .data = {&two.senders[s], sizeof two.senders[s]}};
    }
    two.deploy.deploy.name = "two";
    two.deploy.deploy.parallelism = SLOTS;
    two.deploy.deploy.n_workers = 2;
    two.deploy.deploy.n_slots = SLOTS;
    two.deploy.deploy.slot_worker = two.slot_worker;
    two.deploy.deploy.n_splits = 5;
    two.deploy.deploy.splits = two.splits;
    assert_int_equal(net_start(1), WEIR_OK);
    for (uint32_t w = 0; w < 2; w++) make_side(&two.sides[w], w);
    connect_sides();
}

static void command(enum thread_command what)
{
    for (uint32_t w = 0; w < 2; w++)
        for (uint32_t t = 0; t < two.sides[w].d->n_threads; t++) task_thread_command(&two.sides[w].d->threads[t], what);
}

/* Everything comes home in the order that exchange.h names; a frame that does not is an assertion in frame_pool_close. */
static void close_two(void)
{
    for (uint32_t w = 0; w < 2; w++)
        for (uint32_t t = 0; t < two.sides[w].d->n_threads; t++) task_thread_join(&two.sides[w].d->threads[t]);
    for (uint32_t w = 0; w < 2; w++) {
        exchange_close(two.sides[w].x);
        proxy_close(&two.proxies[w]);
    }
    net_socket_destroy(&two.stranger);
    net_stop();
    for (uint32_t w = 0; w < 2; w++) {
        deployment_destroy(&two.sides[w].d);
        exchange_destroy(&two.sides[w].x);
        free(two.sides[w].box);
    }
}

/* Threads that have finished; UINT32_MAX when one has failed. */
static uint32_t n_prepared(void)
{
    uint32_t n = 0;
    for (uint32_t w = 0; w < 2; w++) {
        for (uint32_t t = 0; t < two.sides[w].d->n_threads; t++) {
            int state = atomic_load(&two.sides[w].d->threads[t].state);
            if (state == THREAD_FAILED) return UINT32_MAX;
            n += state == THREAD_PREPARED;
        }
    }
    return n;
}

static void stranger_speaks(void)
{
    if (!two.stranger || two.turns % 4) return;
    struct frame_header head = {
        .kind = FRAME_END, .job = id_word(two.deploy.job), .epoch = two.deploy.epoch, .attempt = two.deploy.attempt, .channel = 1};
    frame_seal(&head);
    struct weir_bytes part = {&head, sizeof head};
    (void)net_send_bytes(two.stranger, &part, 1);
}

/* One turn of all that net threads and wire do; waits when nothing moved. Time runs by itself, so that probes go out often. */
static weir_err turn(void)
{
    bool moved = false;
    weir_err err = WEIR_OK;
    two.turns++;
    for (uint32_t w = 0; !err && w < 2; w++) err = exchange_pump(two.sides[w].x, (int64_t)two.turns * 100, &moved, &two.diag);
    stranger_speaks();
    bool held = plan.hold && two.turns / plan.hold % 2;
    for (uint32_t w = 0; !held && w < 2; w++) moved |= proxy_pump(&two.proxies[w]);
    if (err || moved) return err;
    struct net_wait waits[16];
    uint32_t n = 0;
    for (uint32_t w = 0; w < 2; w++) {
        waits[n++] = (struct net_wait){.socket = two.proxies[w].front, .want_read = true};
        waits[n++] = (struct net_wait){.socket = two.proxies[w].back, .want_read = true};
        n += exchange_wait_items(two.sides[w].x, waits + n, 16 - n);
        if (exchange_has_output(two.sides[w].x)) return WEIR_OK;
    }
    (void)net_poll(waits, n, 1);
    return WEIR_OK;
}

/* The first failed subtask's code, its sentence in two.diag. Only a thread that says it has failed may be looked into. */
static weir_err failure(void)
{
    for (uint32_t w = 0; w < 2; w++) {
        for (uint32_t t = 0; t < two.sides[w].d->n_threads; t++) {
            const struct task_thread *thread = &two.sides[w].d->threads[t];
            if (atomic_load(&thread->state) != THREAD_FAILED) continue;
            two.diag = thread->failed->diag;
            return two.diag.code;
        }
    }
    return WEIR_E_INTERNAL;
}

/* Runs the job to its end. Errors: of the exchange, or of a failed subtask, with the sentence in two.diag. */
static weir_err run_two(void)
{
    weir_err err = WEIR_OK;
    for (uint32_t w = 0; w < 2; w++)
        for (uint32_t t = 0; t < two.sides[w].d->n_threads; t++)
            assert_int_equal(task_thread_start(&two.sides[w].d->threads[t], NULL), WEIR_OK);
    uint32_t n = 0;
    while (!err && n != UINT32_MAX && n < SLOTS) {
        err = turn();
        n = n_prepared();
    }
    if (n == UINT32_MAX) err = failure();
    command(err ? THREAD_STOP : THREAD_COMMIT);
    return err;
}

static uint64_t dropped(void)
{
    return exchange_dropped(two.sides[0].x) + exchange_dropped(two.sides[1].x);
}

/* ---- stories that end well
 * ------------------------------------------------------------------------------------------------------------------- */

static void expect_right_result(uint64_t seed, int64_t rows)
{
    open_two(seed, rows);
    weir_err err = run_two();
    if (err) print_error("seed %llu: %s\n", (unsigned long long)seed, two.diag.text);
    assert_int_equal(err, WEIR_OK);
    assert_true(items_arrived(0, 1, NULL));
}

static void a_job_over_two_workers_gives_the_local_result(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 5; seed++) {
        memset(&plan, 0, sizeof plan);
        expect_right_result(seed, 1500);
        assert_int_equal(dropped(), 0);
        close_two();
    }
}

static enum mischief every_third(uint64_t n, const struct frame_header *head)
{
    (void)head;
    return n % 3 == 0 ? plan.once : PASS;
}

/* Doubled frames, and frames of an older attempt, an older epoch, another job, or none at all, are dropped and counted. */
static void foreign_and_doubled_frames_do_no_harm(void **state)
{
    (void)state;
    const enum mischief kinds[] = {DOUBLE, OLD_ATTEMPT, OLD_EPOCH, OTHER_JOB, NO_FRAME};
    for (uint32_t k = 0; k < 5; k++) {
        memset(&plan, 0, sizeof plan);
        plan.frames = every_third;
        plan.once = kinds[k];
        expect_right_result(10 + k, 800);
        assert_true(dropped() > 0);
        close_two();
    }
}

/* Somebody else who reaches the port and forges whole frames of this very attempt. */
static void a_stranger_is_not_heard(void **state)
{
    (void)state;
    memset(&plan, 0, sizeof plan);
    open_two(20, 800);
    struct net_socket_config config = {.kind = NET_DEALER, .message_max = WEIR_FRAME_MAX, .send_hwm = 1000, .receive_hwm = 1000};
    assert_int_equal(net_socket_new(&two.stranger, &config, NULL), WEIR_OK);
    assert_int_equal(net_socket_connect(two.stranger, exchange_endpoint(two.sides[0].x), NULL), WEIR_OK);
    while (dropped() == 0) {
        two.turns += 3 - two.turns % 4;
        assert_int_equal(turn(), WEIR_OK);
    }
    assert_int_equal(run_two(), WEIR_OK);
    assert_true(items_arrived(0, 1, NULL));
    close_two();
}

static enum mischief first_credits(uint64_t n)
{
    return n < plan.at ? plan.once : PASS;
}

/* Credits that are lost or damaged: senders stall until a probe asks again. */
static void lost_credits_are_brought_back(void **state)
{
    (void)state;
    const enum mischief kinds[] = {DROP, FLIP_HEAD, TRUNCATE, DOUBLE, OLD_ATTEMPT};
    for (uint32_t k = 0; k < 5; k++) {
        memset(&plan, 0, sizeof plan);
        plan.credits = first_credits;
        plan.at = 40;
        plan.once = kinds[k];
        expect_right_result(30 + k, 3000);
        assert_true(two.proxies[0].n_credits > 0);
        close_two();
    }
}

static void a_wire_that_stands_still_now_and_then_only_delays(void **state)
{
    (void)state;
    for (uint64_t seed = 40; seed < 43; seed++) {
        memset(&plan, 0, sizeof plan);
        plan.hold = 5 + seed % 7;
        expect_right_result(seed, 1000);
        close_two();
    }
}

/* ---- stories that end in words
 * --------------------------------------------------------------------------------------------------------------- */

static enum mischief once_at(uint64_t n, const struct frame_header *head)
{
    (void)head;
    return n == plan.at ? plan.once : PASS;
}

static void expect_lost_frame(uint64_t at, enum mischief what)
{
    memset(&plan, 0, sizeof plan);
    plan.frames = once_at;
    plan.at = at;
    plan.once = what;
    open_two(50, 60);
    weir_err err = run_two();
    if (!err) print_error("frame %llu, mischief %d went unnoticed\n", (unsigned long long)at, (int)what);
    assert_int_not_equal(err, WEIR_OK);
    assert_non_null(strstr(two.diag.text, "channel "));
    /* By its gap, or, when damage hit what does not keep it from finding its channel, by the receiver. */
    bool lost = err == WEIR_E_PROTOCOL && strstr(two.diag.text, "lost frames"), damaged = strstr(two.diag.text, "damaged frame");
    assert_true(lost || (what != DROP && damaged));
    close_two();
}

/* Frames that one of the two proxies sees in a run without mischief. */
static uint64_t frames_of_a_run(void)
{
    memset(&plan, 0, sizeof plan);
    open_two(50, 60);
    assert_int_equal(run_two(), WEIR_OK);
    uint64_t n = two.proxies[0].n_frames < two.proxies[1].n_frames ? two.proxies[0].n_frames : two.proxies[1].n_frames;
    close_two();
    return n;
}

/* Whichever frame is lost, a later frame of its channel or, for the last one, a probe shows it. */
static void every_lost_frame_is_noticed(void **state)
{
    (void)state;
    uint64_t n = frames_of_a_run();
    assert_true(n >= 8);
    for (uint64_t at = 0; at < n; at += at + 5 < n ? 3 : 1) expect_lost_frame(at, DROP);
}

static enum mischief ends(uint64_t n, const struct frame_header *head)
{
    (void)n;
    return head->kind == FRAME_END && head->channel == plan.at ? DROP : PASS;
}

/* The end of input is the last frame of its channel: nothing but the probe can tell that it is missing. */
static void a_lost_end_is_found_by_the_probe(void **state)
{
    (void)state;
    /* Channel sender * 4 + receiver; sender and receiver on different workers. */
    const uint32_t remote[] = {1, 3, 4, 6, 9, 11, 12, 14};
    for (uint32_t i = 0; i < sizeof remote / sizeof remote[0]; i++) {
        memset(&plan, 0, sizeof plan);
        plan.frames = ends;
        plan.at = remote[i];
        open_two(60 + i, 50);
        assert_int_equal(run_two(), WEIR_E_PROTOCOL);
        char name[64];
        (void)snprintf(name, sizeof name, "channel %u from worker %u lost", remote[i], remote[i] / 4 % 2);
        assert_non_null(strstr(two.diag.text, name));
        close_two();
    }
}

/* A damaged frame is as good as lost. */
static void damaged_frames_are_noticed(void **state)
{
    (void)state;
    const enum mischief kinds[] = {TRUNCATE, FLIP_HEAD, FLIP_BODY};
    for (uint32_t k = 0; k < 3; k++)
        for (uint64_t at = 0; at < 8; at += 3) expect_lost_frame(at, kinds[k]);
}

static void a_credit_for_frames_never_sent_fails_the_job(void **state)
{
    (void)state;
    memset(&plan, 0, sizeof plan);
    plan.credits = first_credits;
    plan.at = 1;
    plan.once = OVERSTATE;
    open_two(70, 2000);
    assert_int_equal(run_two(), WEIR_E_PROTOCOL);
    assert_non_null(strstr(two.diag.text, "never sent"));
    close_two();
}

static void a_start_that_contradicts_the_deployment_is_refused(void **state)
{
    (void)state;
    memset(&plan, 0, sizeof plan);
    open_two(80, 10);
    struct exchange *x = NULL;
    struct wire_peer peers[3] = {{.worker = 0, .endpoint = "tcp://127.0.0.1:1", .incarnation = id_random()},
                                 {.worker = 0, .endpoint = "tcp://127.0.0.1:1", .incarnation = id_random()},
                                 {.worker = 2, .endpoint = "tcp://127.0.0.1:1", .incarnation = id_random()}};
    const struct wire_msg starts[] = {{.start = {.n_peers = 1, .peers = peers}},
                                      {.start = {.n_peers = 3, .peers = peers}},
                                      {.start = {.n_peers = 2, .peers = peers}},
                                      {.start = {.n_peers = 2, .peers = peers + 1}}};
    for (uint32_t i = 0; i < 4; i++) {
        struct weir_diag diag = {0};
        assert_int_equal(exchange_new(&x, two.sides[0].d, &two.deploy, id_random(), "tcp://127.0.0.1:*", 0, NULL), WEIR_OK);
        assert_int_equal(exchange_connect(x, &starts[i], &diag), WEIR_E_CORRUPT);
        assert_true(strlen(diag.text) > 10);
        exchange_destroy(&x);
    }
    assert_int_equal(run_two(), WEIR_OK); /* the others were not disturbed */
    close_two();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_job_over_two_workers_gives_the_local_result),
        cmocka_unit_test(foreign_and_doubled_frames_do_no_harm),
        cmocka_unit_test(a_stranger_is_not_heard),
        cmocka_unit_test(lost_credits_are_brought_back),
        cmocka_unit_test(a_wire_that_stands_still_now_and_then_only_delays),
        cmocka_unit_test(every_lost_frame_is_noticed),
        cmocka_unit_test(a_lost_end_is_found_by_the_probe),
        cmocka_unit_test(damaged_frames_are_noticed),
        cmocka_unit_test(a_credit_for_frames_never_sent_fails_the_job),
        cmocka_unit_test(a_start_that_contradicts_the_deployment_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
