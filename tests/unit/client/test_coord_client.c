/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clients' cores against the servers' core in one thread. What is on the way lies in queues; a connection that breaks loses them. A seed
 * breaks connections, stops and moves servers, changes leaders, loses what is forwarded; then everything heals, and what was promised is
 * looked for: no write twice, none missing, first in first out, no event lost or doubled, registers linearizable.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "api/client/coord_claim.h"
#include "api/client/coord_client.h"
#include "api/client/coord_reply.h"
#include "runtime/coord/watch.h"
#include "tests/linear/linear.h"
#include "tests/unit/coord/ensemble.h"

#define SIM_CLIENTS 4u
#define WRITES_MAX 400u

struct sim;

struct sim_client {
    struct sim *sim;
    uint32_t index;
    struct coord_client *core;
    struct coord_client_actions actions;
    struct client *end; /* where the servers' messages for it lie */
    uint64_t connection;
    bool linked, dialing;
    struct buffer out[512]; /* on their way to the server */
    uint32_t n_out;
    uint32_t asked, answered, expired;
    enum weir_coord_err outcomes[WRITES_MAX]; /* of the creates, by number */
    uint32_t n_writes;
    uint32_t next_answer; /* of the creates: they must come in order */
    struct weir_coord_zxid last;
    char events[2 * WRITES_MAX * SIM_CLIENTS][40]; /* creations the persistent watch told */
    uint32_t n_events, n_resyncs;
    bool at_register; /* one at a time: the search for an order would be too long */
    bool look_again;  /* the chain of one-shot watches */
    uint32_t n_seen;
};

struct sim {
    struct ensemble e;
    uint64_t random;
    uint64_t moment;
    bool down[SERVERS];
    bool lose_answers; /* at the moment */
    struct sim_client clients[SIM_CLIENTS];
    struct linear *history;
    uint64_t next_value;
};

static struct sim the_sim;

static uint64_t draw(struct sim *s, uint64_t n)
{
    s->random += 0x9e3779b97f4a7c15u;
    return hash64(&s->random, 8) % n;
}

/* ---- the network --------------------------------------------------------------------------------------------------------------- */

static void clear_inbox(struct client *end)
{
    for (uint32_t i = 0; i < end->n; i++) buffer_close(&end->inbox[i]);
    end->n = end->read = 0;
}

static void clear_out(struct sim_client *c)
{
    for (uint32_t i = 0; i < c->n_out; i++) buffer_close(&c->out[i]);
    c->n_out = 0;
}

static void unlink_client(struct sim_client *c)
{
    if (c->linked && c->end->id) disconnect(&c->sim->e, c->end);
    c->linked = c->dialing = false;
    c->end->id = 0;
    clear_inbox(c->end);
    clear_out(c);
}

static void obey(struct sim_client *c)
{
    for (uint32_t i = 0; i < c->actions.n; i++) {
        const struct coord_client_action *a = &c->actions.at[i];
        struct weir_bytes bytes = bytes_of(c->actions.bytes.data ? c->actions.bytes.data + a->at : (const uint8_t *)"", a->length);
        struct weir_coord_reply reply;
        char path[64];
        switch (a->type) {
        case CLIENT_DO_DIAL:
            unlink_client(c);
            c->connection = a->connection;
            c->end->server = a->index;
            c->dialing = true;
            break;
        case CLIENT_DO_HANG_UP: unlink_client(c); break;
        case CLIENT_DO_SEND:
            assert_true(c->n_out < 512);
            buffer_add(&c->out[c->n_out++], bytes.data, bytes.length);
            break;
        case CLIENT_DO_ANSWER:
            c->answered += a->ask != ASK_UNWATCH; /* the core's own */
            reply_make(&reply, &c->actions, a);
            a->reply.fn(a->reply.arg, &reply);
            weir_coord_reply_close(&reply);
            break;
        case CLIENT_DO_EVENT:
            snprintf(path, sizeof path, "%.*s", (int)bytes.length, (const char *)bytes.data);
            a->watch.fn(a->watch.arg, &(struct weir_coord_event){.type = (enum weir_coord_event_type)a->event, .path = path});
            break;
        case CLIENT_DO_STATE: c->expired += a->state == WEIR_COORD_EXPIRED; break;
        }
    }
}

static void step_down(struct sim_client *c)
{
    unlink_client(c);
    coord_client_down(c->core, c->connection, c->sim->e.now_ms, &c->actions);
    obey(c);
}

static void dial_now(struct sim_client *c)
{
    c->dialing = false;
    if (c->sim->down[c->end->server]) {
        step_down(c);
        return;
    }
    open_connection(&c->sim->e, c->end, c->end->server);
    c->linked = true;
    coord_client_up(c->core, c->connection, c->sim->e.now_ms, &c->actions);
    obey(c);
}

static void send_one(struct sim_client *c)
{
    struct buffer b = c->out[0];
    memmove(c->out, c->out + 1, --c->n_out * sizeof *c->out);
    c->out[c->n_out] = (struct buffer){0};
    step(&c->sim->e, c->end->server,
         (struct coord_server_event){.type = COORD_EV_MESSAGE, .connection = c->end->id, .bytes = bytes_of(b.data, b.len)});
    buffer_close(&b);
}

static void receive_one(struct sim_client *c)
{
    struct buffer copy = {0};
    const struct buffer *b = &c->end->inbox[c->end->read++];
    buffer_add(&copy, b->data, b->len);
    if (c->end->read == c->end->n) clear_inbox(c->end);
    coord_client_message(c->core, c->connection, bytes_of(copy.data, copy.len), c->sim->e.now_ms, &c->actions);
    obey(c);
    buffer_close(&copy);
}

/* One thing moves, if anything can. */
static void move(struct sim_client *c)
{
    if (c->dialing)
        dial_now(c);
    else if (c->linked && c->end->id && c->n_out > 0 && draw(c->sim, 2))
        send_one(c);
    else if (c->end->read < c->end->n && !c->sim->lose_answers)
        receive_one(c);
    else if (c->linked && !c->end->id && c->end->read == c->end->n)
        step_down(c);
}

static void tick(struct sim *s, int64_t ms)
{
    s->e.now_ms += ms;
    for (uint32_t i = 0; i < SERVERS; i++) step(&s->e, i, (struct coord_server_event){.type = COORD_EV_TICK});
    for (uint32_t i = 0; i < SIM_CLIENTS; i++) {
        if (s->e.now_ms < s->clients[i].actions.deadline_ms) continue;
        coord_client_tick(s->clients[i].core, s->e.now_ms, &s->clients[i].actions);
        obey(&s->clients[i]);
    }
}

/* ---- what clients ask ---------------------------------------------------------------------------------------------------------- */

static void ask_core(struct sim_client *c, struct request *q, int64_t timeout_ms)
{
    q->deadline_ms = c->sim->e.now_ms + timeout_ms;
    c->asked++;
    coord_client_ask(c->core, &q, c->sim->e.now_ms, &c->actions);
    obey(c);
}

struct numbered {
    struct sim_client *c;
    uint32_t number;
};

static void not_older(struct sim_client *c, const struct weir_coord_reply *reply)
{
    if (reply->err) return;
    assert_true(weir_coord_zxid_compare(reply->zxid, c->last) >= 0);
    c->last = reply->zxid;
}

static void on_created(void *arg, struct weir_coord_reply *reply)
{
    struct numbered *n = arg;
    n->c->outcomes[n->number] = reply->err;
    if (reply->err != WEIR_COORD_OPERATION_TIMEOUT) { /* those that are given up come early */
        assert_true(n->number >= n->c->next_answer);
        n->c->next_answer = n->number;
    }
    not_older(n->c, reply);
    free(n);
}

static void create_next(struct sim_client *c)
{
    char path[32], data[16];
    if (c->n_writes == WRITES_MAX) return;
    struct numbered *n = malloc(sizeof *n);
    *n = (struct numbered){c, c->n_writes++};
    snprintf(path, sizeof path, "/c%u-%u-", c->index, n->number);
    snprintf(data, sizeof data, "%u", n->number);
    struct request *q = request_new(ASK_WRITE, on_created, n);
    struct weir_coord_op op = {
        .type = WEIR_COORD_CREATE, .path = path, .data = bytes_text(data), .kind = WEIR_COORD_SEQUENTIAL | WEIR_COORD_PERSISTENT};
    assert_int_equal(request_put_ops(q, &op, 1), WEIR_COORD_OK);
    ask_core(c, q, draw(c->sim, 20) == 0 ? 50 : 60000);
}

static void on_any_event(void *arg, const struct weir_coord_event *event)
{
    struct sim_client *c = arg;
    if (event->type == WEIR_COORD_RESYNC) c->n_resyncs++;
    if (event->type != WEIR_COORD_CREATED) return;
    assert_true(c->n_events < sizeof c->events / sizeof *c->events);
    snprintf(c->events[c->n_events++], sizeof *c->events, "%s", event->path);
}

static void nothing(void *arg, struct weir_coord_reply *reply)
{
    not_older(arg, reply);
}

static void show_identity(struct sim_client *c)
{
    struct request *q = request_new(ASK_AUTH, nothing, c);
    buffer_str(&q->ops, "ann:secret");
    ask_core(c, q, 1000000);
}

static void watch_all(struct sim_client *c)
{
    struct request *q = request_new(ASK_READ, nothing, c);
    q->watch = (struct client_event_to){on_any_event, c, 1000 + c->index};
    q->watch_kind = WATCH_RECURSIVE;
    q->n = 1;
    buffer_str(&q->path, "/");
    put_get(&q->ops, &(struct get){.type = GET_WATCH, .path = bytes_text("/"), .kind = WATCH_RECURSIVE});
    ask_core(c, q, 1000000);
}

static void on_children_changed(void *arg, const struct weir_coord_event *event)
{
    ((struct sim_client *)arg)->look_again |= event->type != WEIR_COORD_ENDED;
}

static void on_children(void *arg, struct weir_coord_reply *reply)
{
    struct sim_client *c = arg;
    not_older(c, reply);
    if (reply->err)
        c->look_again = true;
    else
        c->n_seen = reply->results[0].stat.n_children;
}

static void look(struct sim_client *c)
{
    struct request *q = request_new(ASK_READ, on_children, c);
    struct weir_coord_read read = {.type = WEIR_COORD_GET_CHILDREN, .path = "/", .max = 1, .on_change = on_children_changed, .arg = c};
    c->look_again = false;
    assert_int_equal(request_put_reads(q, &read, 1), WEIR_COORD_OK);
    q->watch.id = 2000;
    ask_core(c, q, 1000000);
}

/* ---- a register ---- */

struct register_op {
    struct sim_client *c;
    struct linear_op op;
};

static void on_register(void *arg, struct weir_coord_reply *reply)
{
    struct register_op *r = arg;
    not_older(r->c, reply);
    r->op.returned = ++r->c->sim->moment;
    r->c->at_register = false;
    bool read = r->op.kind == LINEAR_READ;
    if (read && !reply->err) {
        struct weir_bytes data = reply->results[0].data;
        r->op.value = 0;
        if (data.length == 8) memcpy(&r->op.value, data.data, 8);
        linear_add(r->c->sim->history, r->op);
    } else if (!read && reply->err != WEIR_COORD_OUTCOME_FORGOTTEN) {
        if (reply->err) r->op.returned = LINEAR_NEVER;
        linear_add(r->c->sim->history, r->op);
    }
    free(r);
}

static void use_register(struct sim_client *c)
{
    if (c->at_register) return;
    struct register_op *r = malloc(sizeof *r);
    c->at_register = true;
    bool read = draw(c->sim, 2);
    struct request *q = request_new(read ? ASK_READ : ASK_WRITE, on_register, r);
    *r = (struct register_op){c, {.kind = read ? LINEAR_READ : LINEAR_WRITE, .key = 1, .invoked = ++c->sim->moment}};
    if (read) {
        struct weir_coord_read get = {.type = WEIR_COORD_GET, .path = "/register"};
        q->linear = true;
        assert_int_equal(request_put_reads(q, &get, 1), WEIR_COORD_OK);
    } else {
        r->op.value = ++c->sim->next_value;
        struct weir_coord_op set = {.type = WEIR_COORD_SET, .path = "/register", .data = bytes_of(&r->op.value, 8), .version = -1};
        assert_int_equal(request_put_ops(q, &set, 1), WEIR_COORD_OK);
    }
    ask_core(c, q, draw(c->sim, 10) == 0 ? 100 : 100000);
}

/* ---- the world ----------------------------------------------------------------------------------------------------------------- */

static void begin_world(struct sim *s, uint64_t seed)
{
    memset(s, 0, sizeof *s);
    s->random = seed;
    s->history = linear_new();
    ensemble_init(&s->e);
    ensemble_start(&s->e);
    for (uint32_t i = 0; i < SIM_CLIENTS; i++) {
        struct sim_client *c = &s->clients[i];
        *c = (struct sim_client){.sim = s, .index = i, .end = &s->e.clients[i]};
        coord_client_new(&c->core, &(struct coord_client_config){.n_servers = SERVERS, .first = i, .session_timeout_ms = 600000});
    }
}

static void end_world(struct sim *s)
{
    for (uint32_t i = 0; i < SIM_CLIENTS; i++) {
        struct sim_client *c = &s->clients[i];
        coord_client_end(c->core, &c->actions);
        obey(c);
        assert_int_equal(c->asked, c->answered); /* each request is answered once */
        coord_client_destroy(&c->core);
        coord_client_actions_close(&c->actions);
        clear_out(c);
    }
    linear_destroy(&s->history);
    assert_int_equal(s->e.err, WEIR_OK);
    ensemble_end(&s->e);
}

static void heal(struct sim *s)
{
    for (uint32_t i = 0; i < SERVERS; i++) s->down[i] = s->e.stopped[i] = false;
    s->e.lose_forwards = s->lose_answers = false;
    lead(&s->e, (int)draw(s, SERVERS)); /* what was lost goes again with a new leader alone */
}

/* Until all that was asked is answered. */
static void quiet(struct sim *s)
{
    for (uint32_t round = 0;; round++) {
        bool busy = false;
        assert_true(round < 5000);
        for (uint32_t i = 0; i < SIM_CLIENTS; i++) {
            struct sim_client *c = &s->clients[i];
            if (c->look_again) look(c);
            for (uint32_t k = 0; k < 8; k++) move(c);
            busy |= c->asked != c->answered || c->look_again || coord_client_state(c->core) != WEIR_COORD_CONNECTED || c->n_out > 0 ||
                    c->end->read < c->end->n;
        }
        settle(&s->e);
        if (!busy && round > 10) return;
        if (round % 4 == 0) tick(s, 10);
    }
}

static void fault(struct sim *s)
{
    struct sim_client *c = &s->clients[draw(s, SIM_CLIENTS)];
    uint32_t server = (uint32_t)draw(s, SERVERS);
    switch (draw(s, 9)) {
    case 8: /* a server loses the leader, who goes on with the others */
        if (s->e.leader < 0 || (int)server == s->e.leader) break;
        s->e.stopped[server] = true;
        step(&s->e, server, (struct coord_server_event){.type = COORD_EV_ROLE});
        break;
    case 0:
    case 1:
        if (c->linked) step_down(c); /* with all that was on the way */
        break;
    case 2: s->e.stopped[server] = !s->e.stopped[server]; break;
    case 3: lead(&s->e, (int)draw(s, SERVERS + 1) - 1); break;
    case 4: s->e.lose_forwards = !s->e.lose_forwards; break;
    case 5: s->lose_answers = !s->lose_answers; break;
    case 6:
        s->down[server] = !s->down[server];
        for (uint32_t i = 0; i < SIM_CLIENTS; i++)
            if (s->down[server] && s->clients[i].linked && s->clients[i].end->server == server) step_down(&s->clients[i]);
        break;
    default: heal(s); break;
    }
}

static void live(struct sim *s, uint32_t steps)
{
    for (uint32_t i = 0; i < steps; i++) {
        struct sim_client *c = &s->clients[draw(s, SIM_CLIENTS)];
        switch (draw(s, 24)) {
        case 0: create_next(c); break;
        case 1: use_register(c); break;
        case 2:
            if (draw(s, 3) == 0) fault(s);
            break;
        case 3: tick(s, 1 + (int64_t)draw(s, 30)); break;
        case 4:
        case 5:
            for (uint32_t k = 0; k < SERVERS; k++)
                if (!s->e.stopped[k] && s->e.applied[k] < s->e.n) apply_one(&s->e, k);
            break;
        case 6: (void)pass_barriers(&s->e); break;
        case 7:
            if (c->look_again) look(c);
            break;
        default: move(c); break;
        }
    }
}

/* ---- what must be so afterwards ---- */

/* Of each client's creates: which are there, by the order of their numbers, with the outcome that was told. */
static void expect_writes(struct sim *s)
{
    uint32_t places[SIM_CLIENTS][WRITES_MAX] = {{0}};
    const struct node *root = s->e.states[0].tree.root;
    for (const struct node *n = node_child_after(root, bytes_of("", 0)); n; n = node_child_after(root, node_name(n))) {
        unsigned client, number;
        unsigned long place;
        char name[64];
        snprintf(name, sizeof name, "%.*s", (int)node_name(n).length, (const char *)node_name(n).data);
        if (sscanf(name, "c%u-%u-%lu", &client, &number, &place) != 3) continue;
        assert_int_equal(places[client][number], 0); /* twice */
        places[client][number] = (uint32_t)place + 1;
    }
    for (uint32_t i = 0; i < SIM_CLIENTS; i++) {
        uint32_t before = 0;
        for (uint32_t k = 0; k < s->clients[i].n_writes; k++) {
            enum weir_coord_err err = s->clients[i].outcomes[k];
            if (err == WEIR_COORD_OK) assert_int_not_equal(places[i][k], 0);
            if (err == WEIR_COORD_OUTCOME_FORGOTTEN) assert_int_equal(places[i][k], 0);
            if (err && err != WEIR_COORD_OPERATION_TIMEOUT && err != WEIR_COORD_OUTCOME_FORGOTTEN)
                fail_msg("create %u: %s", k, weir_coord_err_name(err));
            if (places[i][k] == 0) continue;
            assert_true(places[i][k] > before); /* first in, first out */
            before = places[i][k];
        }
    }
}

/* Events told every creation behind the watch's beginning, each once and in order. */
static void expect_events(struct sim *s, const struct sim_client *c)
{
    unsigned long last = 0;
    uint32_t n = 0;
    if (c->n_resyncs > 0) return;
    for (uint32_t i = 0; i < c->n_events; i++) {
        unsigned client, number;
        unsigned long place;
        if (sscanf(c->events[i], "/c%u-%u-%lu", &client, &number, &place) != 3) continue;
        if (n++ > 0 && place != last + 1) fail_msg("event of %lu after that of %lu", place, last);
        last = place;
    }
    if (n > 0) assert_int_equal(last, s->e.states[0].tree.root->sequence - 1);
}

static void run_seed(uint64_t seed)
{
    struct sim *s = &the_sim;
    begin_world(s, seed);
    struct request *q = request_new(ASK_WRITE, nothing, &s->clients[0]);
    struct weir_coord_op op = {.type = WEIR_COORD_CREATE, .path = "/register"};
    assert_int_equal(request_put_ops(q, &op, 1), WEIR_COORD_OK);
    ask_core(&s->clients[0], q, 60000);
    quiet(s);
    watch_all(&s->clients[0]);
    watch_all(&s->clients[1]);
    show_identity(&s->clients[0]);
    look(&s->clients[2]);
    quiet(s);
    live(s, 6000);
    heal(s);
    quiet(s);
    expect_writes(s);
    expect_events(s, &s->clients[0]);
    expect_events(s, &s->clients[1]);
    assert_int_equal(s->clients[2].n_seen, s->e.states[0].tree.root->n_children);
    struct linear_verdict v = linear_check(s->history, 1 << 18);
    if (v.result == LINEAR_NO) fail_msg("the register is not linearizable");
    end_world(s);
}

static void clients_keep_their_promises(void **state)
{
    const char *first = getenv("SEED"), *n = getenv("SEEDS");
    uint64_t from = first ? strtoull(first, NULL, 10) : 1, count = n ? strtoull(n, NULL, 10) : 500;
    (void)state;
    for (uint64_t seed = from; seed < from + count; seed++) {
        print_message("seed %lu\r", (unsigned long)seed);
        run_seed(seed);
    }
}

/* ---- claims -------------------------------------------------------------------------------------------------------------------- */

/* The public client without its thread: what it would do is done by hand. */
struct locker {
    struct sim_client *c;
    struct weir_coord coord;
    struct weir_coord_claim *claim;
    enum weir_coord_claim_kind kind;
    enum weir_coord_claim_state state;
    uint32_t n_held, n_lost;
};

static struct locker lockers[SIM_CLIENTS];
static struct weir_coord_zxid greatest; /* token of all that held */

static void carry_orders(struct locker *l)
{
    struct order *order;
    while ((order = STAILQ_FIRST(&l->coord.orders)) != NULL) {
        STAILQ_REMOVE_HEAD(&l->coord.orders, next);
        if (order->type == ORDER_ASK) {
            l->c->asked++;
            coord_client_ask(l->c->core, &order->request, l->c->sim->e.now_ms, &l->c->actions);
        } else {
            (void)coord_client_unwatch(l->c->core, order->id, order->arg, l->c->sim->e.now_ms, &l->c->actions);
        }
        free(order);
        obey(l->c);
    }
}

static bool certain(const struct locker *l)
{
    return l->claim && l->state == WEIR_COORD_HELD && l->c->sim->e.now_ms < coord_client_alive_until(l->c->core);
}

/* Nobody is in together with an exclusive one, as far as each can be certain. */
static void expect_exclusion(void)
{
    uint32_t n = 0, exclusive = 0;
    for (uint32_t i = 0; i < SIM_CLIENTS; i++) {
        n += certain(&lockers[i]);
        exclusive += certain(&lockers[i]) && lockers[i].kind == WEIR_COORD_EXCLUSIVE;
    }
    assert_true(exclusive == 0 || n == 1);
}

static void on_claim(void *arg, struct weir_coord_claim *claim, enum weir_coord_claim_state state)
{
    struct locker *l = arg;
    struct weir_coord_zxid token;
    l->state = state;
    if (state == WEIR_COORD_LOST) {
        l->n_lost++;
        return;
    }
    l->n_held++;
    (void)weir_coord_claim_held(claim, &token);
    if (l->kind == WEIR_COORD_EXCLUSIVE) assert_true(weir_coord_zxid_compare(token, greatest) > 0);
    if (weir_coord_zxid_compare(token, greatest) > 0) greatest = token;
    expect_exclusion();
}

static void open_locker(struct locker *l, struct sim_client *c)
{
    memset(l, 0, sizeof *l);
    l->c = c;
    l->coord.client = c->core;
    l->coord.thread = pthread_self();
    l->coord.order_fd = eventfd(0, EFD_NONBLOCK);
    STAILQ_INIT(&l->coord.orders);
    assert_int_equal(pthread_mutex_init(&l->coord.mutex, NULL), 0);
}

static void close_locker(struct locker *l)
{
    weir_coord_claim_leave(&l->claim);
    carry_orders(l);
    coord_client_end(l->c->core, &l->c->actions);
    obey(l->c);
    carry_orders(l);
    (void)close(l->coord.order_fd);
}

/* A session that is over is followed by another. */
static void open_again(struct locker *l)
{
    struct sim_client *c = l->c;
    uint32_t held = l->n_held, lost = l->n_lost;
    close_locker(l);
    coord_client_destroy(&c->core);
    coord_client_new(&c->core, &(struct coord_client_config){.n_servers = SERVERS, .first = c->index, .session_timeout_ms = 1500});
    c->actions.deadline_ms = 0;
    c->last = (struct weir_coord_zxid){0};
    open_locker(l, c);
    l->n_held = held;
    l->n_lost = lost;
}

static void use_lock(struct locker *l)
{
    struct sim *s = l->c->sim;
    if (!l->claim) {
        l->kind = draw(s, 3) ? WEIR_COORD_EXCLUSIVE : WEIR_COORD_SHARED;
        l->state = WEIR_COORD_WAITING;
        assert_int_equal(weir_coord_claim_enter(&l->claim, &l->coord, "/locks/one", l->kind, (struct weir_bytes){0}, on_claim, l), 0);
    } else if (coord_client_state(l->c->core) == WEIR_COORD_EXPIRED) {
        open_again(l);
    } else if (l->state == WEIR_COORD_LOST || draw(s, 15) == 0) {
        weir_coord_claim_leave(&l->claim);
    }
    carry_orders(l);
}

static void lock_for(struct sim *s, uint32_t steps, bool faults)
{
    for (uint32_t i = 0; i < steps; i++) {
        struct locker *l = &lockers[draw(s, SIM_CLIENTS)];
        switch (draw(s, 16)) {
        case 0: use_lock(l); break;
        case 1:
            if (faults && draw(s, 6) == 0) fault(s);
            break;
        case 2: tick(s, 1 + (int64_t)draw(s, 30)); break;
        case 3:
        case 4:
            for (uint32_t k = 0; k < SERVERS; k++)
                if (!s->e.stopped[k] && s->e.applied[k] < s->e.n) apply_one(&s->e, k);
            break;
        case 5: (void)pass_barriers(&s->e); break;
        default: move(l->c); break;
        }
        for (uint32_t k = 0; k < SIM_CLIENTS; k++) carry_orders(&lockers[k]);
        expect_exclusion();
    }
}

static void claims_exclude_each_other(void **state)
{
    struct sim *s = &the_sim;
    const char *n = getenv("SEEDS");
    uint64_t count = n ? strtoull(n, NULL, 10) : 200;
    uint32_t lost = 0;
    (void)state;
    for (uint64_t seed = 1; seed <= count; seed++) {
        uint32_t held[SIM_CLIENTS];
        begin_world(s, seed);
        greatest = (struct weir_coord_zxid){0};
        for (uint32_t i = 0; i < SIM_CLIENTS; i++) {
            open_locker(&lockers[i], &s->clients[i]);
            open_again(&lockers[i]);
        }
        lock_for(s, 6000, true);
        heal(s);
        for (uint32_t i = 0; i < SIM_CLIENTS; i++) held[i] = lockers[i].n_held;
        for (uint32_t waits = 0, i = 0; i < SIM_CLIENTS; i++)
            for (; lockers[i].n_held == held[i]; waits++) { /* each gets on */
                assert_true(waits < 40);
                lock_for(s, 2000, false);
            }
        for (uint32_t i = 0; i < SIM_CLIENTS; i++) {
            lost += lockers[i].n_lost;
            close_locker(&lockers[i]);
        }
        end_world(s);
    }
    assert_true(lost > 0); /* there were sessions that ended */
}

static void refuse_dial(struct sim_client *c)
{
    coord_client_refused(c->core, c->connection, c->sim->e.now_ms, &c->actions);
    obey(c);
}

/* Dials until the client has been refused so many times; time passes as it wants. */
static void refuse_dials(struct sim *s, struct sim_client *c, uint32_t n)
{
    for (uint32_t round = 0; n > 0; round++) {
        assert_true(round < 10000);
        if (c->dialing) {
            c->dialing = false;
            refuse_dial(c);
            n--;
        }
        s->e.now_ms += 1;
        coord_client_tick(c->core, s->e.now_ms, &c->actions);
        obey(c);
    }
}

/* All servers refuse the handshake: requests are told so, not left to their time; when the key is made known, the client comes in. */
static void a_key_that_nobody_knows_is_told(void **state)
{
    struct sim *s = &the_sim;
    (void)state;
    begin_world(s, 1);
    struct sim_client *c = &s->clients[0];
    create_next(c);
    refuse_dials(s, c, SERVERS - 1);
    assert_int_equal(c->answered, 0); /* one has not been asked */
    refuse_dials(s, c, 1);
    assert_int_equal(c->answered, 1);
    assert_int_equal(c->outcomes[0], WEIR_COORD_KEY_REFUSED);
    create_next(c);
    refuse_dials(s, c, 1); /* the next one needs no whole round */
    assert_int_equal(c->outcomes[1], WEIR_COORD_KEY_REFUSED);
    create_next(c);
    quiet(s);
    assert_int_equal(c->outcomes[2], WEIR_COORD_OK);
    step_down(c); /* with a session it is unknown what became of a write: it waits */
    create_next(c);
    uint32_t answered = c->answered;
    refuse_dials(s, c, 2 * SERVERS);
    assert_int_equal(c->answered, answered);
    quiet(s);
    assert_int_equal(c->outcomes[3], WEIR_COORD_OK);
    end_world(s);
}

/* A session that is silent for too long is over: told once, with every request answered so. */
static void an_expired_session_is_told_once(void **state)
{
    struct sim *s = &the_sim;
    (void)state;
    begin_world(s, 1);
    struct sim_client *c = &s->clients[0];
    coord_client_destroy(&c->core);
    coord_client_new(&c->core, &(struct coord_client_config){.n_servers = SERVERS, .session_timeout_ms = 1000});
    quiet(s);
    watch_all(c);
    quiet(s);
    s->lose_answers = true; /* it is not heard, either: its pings stay where they are */
    for (uint32_t i = 0; i < 3; i++) s->down[i] = true;
    step_down(c);
    create_next(c);
    assert_int_equal(coord_client_state(c->core), WEIR_COORD_SUSPENDED);
    for (int i = 0; i < 400; i++) {
        tick(s, 10);
        settle(&s->e);
        for (uint32_t k = 0; k < SIM_CLIENTS; k++) move(&s->clients[k]);
    }
    assert_int_equal(c->expired, 0); /* nobody has said so */
    heal(s);
    for (int i = 0; i < 400; i++) {
        tick(s, 10);
        settle(&s->e);
        for (uint32_t k = 0; k < SIM_CLIENTS; k++) move(&s->clients[k]);
    }
    assert_int_equal(c->expired, 1);
    assert_int_equal(c->outcomes[0], WEIR_COORD_SESSION_EXPIRED);
    create_next(c);
    assert_int_equal(c->outcomes[1], WEIR_COORD_SESSION_EXPIRED);
    assert_true(coord_client_alive_until(c->core) < s->e.now_ms);
    end_world(s);
}

static void count_event(void *arg, const struct weir_coord_event *event)
{
    (void)event;
    ++*(uint32_t *)arg;
}

static void watch_children(struct sim_client *c, uint32_t *events)
{
    struct request *q = request_new(ASK_READ, nothing, c);
    struct weir_coord_read read = {.type = WEIR_COORD_GET_CHILDREN, .path = "/", .max = 1, .on_change = count_event, .arg = events};
    assert_int_equal(request_put_reads(q, &read, 1), WEIR_COORD_OK);
    q->watch.id = 3000;
    ask_core(c, q, 1000000);
}

/* A server has one watch of a kind for each path and session, which the read under way has taken over when the other one goes. */
static void a_watch_that_goes_leaves_the_one_under_way(void **state)
{
    struct sim *s = &the_sim;
    (void)state;
    begin_world(s, 1);
    struct sim_client *c = &s->clients[0];
    uint32_t first = 0, second = 0;
    watch_children(c, &first);
    quiet(s);
    watch_children(c, &second);
    assert_true(coord_client_unwatch(c->core, 0, &first, s->e.now_ms, &c->actions));
    obey(c);
    quiet(s);
    create_next(c);
    quiet(s);
    assert_int_equal(first, 0);
    assert_int_equal(second, 1);
    end_world(s);
}

/* A server that has lost the leader answers pings, but nobody prolongs the session's life: it is not certain. */
static void a_server_without_a_leader_proves_nothing(void **state)
{
    struct sim *s = &the_sim;
    (void)state;
    begin_world(s, 1);
    struct sim_client *c = &s->clients[0];
    coord_client_destroy(&c->core);
    coord_client_new(&c->core, &(struct coord_client_config){.n_servers = SERVERS, .session_timeout_ms = 1500});
    quiet(s);
    uint32_t server = c->end->server;
    lead(&s->e, (int)(server + 1) % SERVERS);
    quiet(s);
    for (int i = 0; i < 300; i++) {
        if (i == 150) {
            assert_true(coord_client_alive_until(c->core) > s->e.now_ms);
            s->e.stopped[server] = true;
            step(&s->e, server, (struct coord_server_event){.type = COORD_EV_ROLE});
        }
        tick(s, 10);
        for (uint32_t k = 0; k < 8; k++) move(c);
        settle(&s->e);
    }
    assert_int_equal(c->end->server, server);
    assert_true(coord_client_alive_until(c->core) < s->e.now_ms);
    end_world(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clients_keep_their_promises),
        cmocka_unit_test(claims_exclude_each_other),
        cmocka_unit_test(a_watch_that_goes_leaves_the_one_under_way),
        cmocka_unit_test(a_server_without_a_leader_proves_nothing),
        cmocka_unit_test(a_key_that_nobody_knows_is_told),
        cmocka_unit_test(an_expired_session_is_told_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
