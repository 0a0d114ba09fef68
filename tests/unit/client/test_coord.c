/* SPDX-License-Identifier: Apache-2.0 */
/* The client and its recipes against peers that are processes and may be killed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/client/coord_task.h"
#include "runtime/base/gate.h"
#include "tests/support/peer/hosts.h"
#include "tests/support/temp_dir.h"
#include "weir/coord_recipes.h"

#define PEERS 3u

struct world {
    struct temp_dir dir;
    struct hosts hosts;
    char servers[2048];
};

static struct world world;

static int begin(void **state)
{
    struct world *w = *state = &world;
    *w = (struct world){0};
    temp_dir_make(&w->dir);
    hosts_init(&w->hosts, w->dir.path, PEERS);
    for (uint32_t id = 1; id <= PEERS; id++) host_start(&w->hosts, id);
    (void)hosts_leader(&w->hosts);
    for (uint32_t id = 1; id <= PEERS; id++) {
        host_serves(&w->hosts, id);
        (void)snprintf(w->servers + strlen(w->servers), sizeof w->servers - strlen(w->servers), "%s%s", id > 1 ? "," : "",
                       w->hosts.at[id].client);
    }
    return 0;
}

static int end(void **state)
{
    struct world *w = *state;
    hosts_close(&w->hosts);
    temp_dir_remove(&w->dir);
    return 0;
}

static struct weir_coord *open_client(struct world *w)
{
    struct weir_coord *c = NULL;
    struct weir_diag diag;
    if (weir_coord_open(&c, &(struct weir_coord_config){.servers = w->servers, .session_timeout_ms = 5000}, &diag))
        fail_msg("%s", diag.text);
    return c;
}

static void ok(enum weir_coord_err err)
{
    if (err) fail_msg("%s: %s", weir_coord_err_name(err), weir_coord_err_words(err));
}

static void refused(enum weir_coord_err err, enum weir_coord_err expected)
{
    if (err != expected) fail_msg("%s instead of %s", weir_coord_err_name(err), weir_coord_err_name(expected));
}

static void kill_leader(struct world *w)
{
    uint32_t leader = hosts_leader(&w->hosts);
    host_kill(&w->hosts, leader);
    host_start(&w->hosts, leader);
}

/* ---- operations ---------------------------------------------------------------------------------------------------------------- */

static void expect_data(struct weir_coord *c, const char *path, const char *data)
{
    struct weir_coord_reply reply;
    ok(weir_coord_get(c, path, &reply));
    assert_int_equal(reply.results[0].data.length, strlen(data));
    assert_memory_equal(reply.results[0].data.data, data, strlen(data));
    weir_coord_reply_close(&reply);
}

static void every_operation(void **state)
{
    struct weir_coord *c = open_client(*state), *other = open_client(*state);
    struct weir_coord_reply reply;
    struct weir_coord_stat stat;
    ok(weir_coord_create(c, "/a", "one", 3, WEIR_COORD_PERSISTENT, &reply));
    assert_string_equal(reply.results[0].path, "/a");
    weir_coord_reply_close(&reply);
    refused(weir_coord_create(c, "/a", NULL, 0, WEIR_COORD_PERSISTENT, NULL), WEIR_COORD_NODE_EXISTS);
    refused(weir_coord_create(c, "/x/y", NULL, 0, WEIR_COORD_PERSISTENT, NULL), WEIR_COORD_NO_NODE);
    refused(weir_coord_create(c, "no slash", NULL, 0, WEIR_COORD_PERSISTENT, NULL), WEIR_COORD_BAD_ARGUMENTS);
    ok(weir_coord_set(c, "/a", "two", 3, 0, &stat));
    assert_int_equal(stat.version, 1);
    refused(weir_coord_set(c, "/a", "x", 1, 0, NULL), WEIR_COORD_BAD_VERSION);
    ok(weir_coord_sync(other));
    expect_data(other, "/a", "two");
    ok(weir_coord_create(c, "/a/s-", NULL, 0, WEIR_COORD_EPHEMERAL | WEIR_COORD_SEQUENTIAL, &reply));
    assert_string_equal(reply.results[0].path, "/a/s-0000000000");
    assert_int_equal(reply.results[0].stat.owner, weir_coord_session(c));
    weir_coord_reply_close(&reply);
    struct weir_coord_op ttl = {.type = WEIR_COORD_CREATE, .path = "/a/t", .kind = WEIR_COORD_TTL, .ttl_ms = 60000};
    ok(weir_coord_write(c, &ttl, 1, NULL));
    ok(weir_coord_create(c, "/a/c", NULL, 0, WEIR_COORD_CONTAINER, NULL));
    ok(weir_coord_children(c, "/a", &reply));
    assert_int_equal(reply.results[0].n_names, 3);
    assert_string_equal(reply.results[0].names[0], "c");
    assert_string_equal(reply.results[0].names[2], "t");
    weir_coord_reply_close(&reply);
    refused(weir_coord_delete(c, "/a", WEIR_COORD_ANY_VERSION), WEIR_COORD_NOT_EMPTY);
    struct weir_coord_op multi[3] = {{.type = WEIR_COORD_CHECK, .path = "/a", .version = 1},
                                     {.type = WEIR_COORD_DELETE, .path = "/a/c", .version = WEIR_COORD_ANY_VERSION},
                                     {.type = WEIR_COORD_DELETE, .path = "/a/none", .version = WEIR_COORD_ANY_VERSION}};
    refused(weir_coord_write(c, multi, 3, &reply), WEIR_COORD_NO_NODE);
    assert_int_equal(reply.failed, 2);
    weir_coord_reply_close(&reply);
    ok(weir_coord_exists(c, "/a/c", &stat)); /* all or none */
    assert_int_equal(stat.kind, WEIR_COORD_CONTAINER);
    struct weir_coord_read reads[4] = {{.type = WEIR_COORD_EPHEMERALS},
                                       {.type = WEIR_COORD_USAGE, .path = "/a"},
                                       {.type = WEIR_COORD_GET, .path = "/none"},
                                       {.type = WEIR_COORD_GET, .path = "/a"}};
    ok(weir_coord_read(c, reads, 4, true, &reply));
    assert_string_equal(reply.results[0].names[0], "/a/s-0000000000");
    assert_int_equal(reply.results[1].nodes, 4);
    assert_int_equal(reply.results[2].err, WEIR_COORD_NO_NODE);
    assert_int_equal(reply.results[3].data.length, 3);
    weir_coord_reply_close(&reply);
    struct weir_coord_op quota = {.type = WEIR_COORD_SET_QUOTA, .path = "/a", .quota_nodes = 4};
    ok(weir_coord_write(c, &quota, 1, NULL));
    refused(weir_coord_create(c, "/a/more", NULL, 0, WEIR_COORD_PERSISTENT, NULL), WEIR_COORD_QUOTA_EXCEEDED);
    weir_coord_close(&c); /* its ephemeral node goes with it */
    ok(weir_coord_sync(other));
    refused(weir_coord_exists(other, "/a/s-0000000000", NULL), WEIR_COORD_NO_NODE);
    weir_coord_close(&other);
}

static void acls(void **state)
{
    struct weir_coord *c = open_client(*state), *other = open_client(*state);
    struct weir_coord_reply reply;
    char acl[512];
    uint32_t length, at = 0;
    struct weir_coord_acl_entry entry;
    refused(weir_coord_acl_parse("world:anyone", acl, sizeof acl, &length), WEIR_COORD_INVALID_ACL);
    refused(weir_coord_acl_parse("world:anyone:rz", acl, sizeof acl, &length), WEIR_COORD_INVALID_ACL);
    ok(weir_coord_acl_parse("auth::cdrwa,world:anyone:r", acl, sizeof acl, &length));
    refused(weir_coord_add_auth(c, "no colon"), WEIR_COORD_AUTH_FAILED);
    ok(weir_coord_add_auth(c, "ann:secret"));
    struct weir_coord_op op = {.type = WEIR_COORD_CREATE, .path = "/mine", .acl = {(const uint8_t *)acl, length}};
    ok(weir_coord_write(c, &op, 1, NULL));
    ok(weir_coord_sync(other));
    expect_data(other, "/mine", "");
    refused(weir_coord_set(other, "/mine", "x", 1, WEIR_COORD_ANY_VERSION, NULL), WEIR_COORD_NO_AUTH);
    kill_leader(*state); /* the identity is shown again */
    ok(weir_coord_set(c, "/mine", "y", 1, WEIR_COORD_ANY_VERSION, NULL));
    ok(weir_coord_read(other, &(struct weir_coord_read){.type = WEIR_COORD_GET_ACL, .path = "/mine"}, 1, true, &reply));
    assert_true(weir_coord_acl_next(reply.results[0].data, &at, &entry));
    assert_string_equal(entry.scheme, "digest");
    assert_string_equal(entry.id, "ann:x");
    assert_int_equal(entry.permissions, WEIR_COORD_MAY_ALL);
    assert_true(weir_coord_acl_next(reply.results[0].data, &at, &entry));
    assert_string_equal(entry.id, "anyone");
    assert_false(weir_coord_acl_next(reply.results[0].data, &at, &entry));
    weir_coord_reply_close(&reply);
    weir_coord_close(&c);
    weir_coord_close(&other);
}

static void wrong_use(void **state)
{
    struct weir_coord *c = NULL;
    struct weir_diag diag;
    (void)state;
    static const char *const wrong[] = {"", "tcp://127.0.0.1:1,", "tcp://10.0.0.1:1", "127.0.0.1:1", "tcp://127.0.0.1:*"};
    for (size_t i = 0; i < 4; i++) {
        assert_int_not_equal(weir_coord_open(&c, &(struct weir_coord_config){.servers = wrong[i]}, &diag), WEIR_OK);
        assert_true(strlen(diag.text) > 10);
    }
    /* Nobody there: the request's time passes. */
    struct weir_coord_config config = {.servers = "ipc://@weir-test-nobody", .request_timeout_ms = 200};
    assert_int_equal(weir_coord_open(&c, &config, &diag), WEIR_OK);
    refused(weir_coord_create(c, "/a", NULL, 0, WEIR_COORD_PERSISTENT, NULL), WEIR_COORD_OPERATION_TIMEOUT);
    assert_false(weir_coord_alive(c));
    weir_coord_close(&c);
}

/* ---- watches and failures ------------------------------------------------------------------------------------------------------ */

struct events {
    atomic_uint n;
    char last[64];
    struct gate gate;
};

static void on_event(void *arg, const struct weir_coord_event *event)
{
    struct events *e = arg;
    if (event->type == WEIR_COORD_ENDED) return;
    (void)snprintf(e->last, sizeof e->last, "%d %s", event->type, event->path);
    if (atomic_fetch_add(&e->n, 1) + 1 == 100) gate_open(&e->gate);
}

/* A recursive watch hears each of a hundred creations once, in spite of three leaders killed. */
static void watches_survive_leaders(void **state)
{
    struct weir_coord *c = open_client(*state), *writer = open_client(*state);
    struct events e = {0};
    uint64_t watch;
    char path[32];
    gate_init(&e.gate);
    ok(weir_coord_watch(c, "/", true, on_event, &e, &watch));
    for (int i = 0; i < 100; i++) {
        if (i % 30 == 10) kill_leader(*state);
        (void)snprintf(path, sizeof path, "/n%02d", i);
        ok(weir_coord_create(writer, path, NULL, 0, WEIR_COORD_PERSISTENT, NULL));
    }
    gate_wait(&e.gate);
    ok(weir_coord_sync(c));
    assert_int_equal(atomic_load(&e.n), 100);
    assert_string_equal(e.last, "1 /n99");
    ok(weir_coord_unwatch(c, watch));
    refused(weir_coord_unwatch(c, watch), WEIR_COORD_NO_WATCHER);
    gate_close(&e.gate);
    weir_coord_close(&c);
    weir_coord_close(&writer);
}

/* ---- recipes ------------------------------------------------------------------------------------------------------------------- */

struct worker {
    struct world *w;
    uint32_t index, rounds;
    atomic_int *inside;
    struct weir_coord_zxid *last; /* guarded by the lock itself */
    int64_t *sum;
    uint32_t violations;
};

/* Enters a lock again and again. Whoever is inside is alone, and his token is greater than all before. */
static void *contend(void *arg)
{
    struct worker *me = arg;
    struct weir_coord *c = open_client(me->w);
    for (uint32_t i = 0; i < me->rounds; i++) {
        struct weir_coord_claim *claim = NULL;
        struct weir_coord_zxid token;
        if (weir_coord_claim_enter(&claim, c, "/locks/one", WEIR_COORD_EXCLUSIVE, (struct weir_bytes){0}, NULL, NULL)) me->violations++;
        if (weir_coord_claim_wait(claim, 60000)) me->violations++;
        if (!weir_coord_claim_held(claim, &token)) me->violations++;
        if (atomic_fetch_add(me->inside, 1) != 0) me->violations++;
        if (weir_coord_zxid_compare(token, *me->last) <= 0) me->violations++;
        *me->last = token;
        (*me->sum)++;
        atomic_fetch_sub(me->inside, 1);
        weir_coord_claim_leave(&claim);
    }
    weir_coord_close(&c);
    return NULL;
}

static void a_lock_excludes_while_leaders_die(void **state)
{
    atomic_int inside = 0;
    struct weir_coord_zxid last = {0};
    int64_t sum = 0;
    struct worker workers[4];
    pthread_t threads[4];
    for (uint32_t i = 0; i < 4; i++) {
        workers[i] = (struct worker){*state, i, 15, &inside, &last, &sum, 0};
        assert_int_equal(pthread_create(&threads[i], NULL, contend, &workers[i]), 0);
    }
    for (int i = 0; i < 3; i++) kill_leader(*state);
    for (uint32_t i = 0; i < 4; i++) {
        (void)pthread_join(threads[i], NULL);
        assert_int_equal(workers[i].violations, 0);
    }
    assert_int_equal(sum, 60);
}

static void claims_wait_for_each_other(void **state)
{
    struct weir_coord *a = open_client(*state), *b = open_client(*state);
    struct weir_coord_claim *w1 = NULL, *r1 = NULL, *r2 = NULL, *w2 = NULL;
    struct weir_coord_reply reply;
    const struct weir_bytes none = {0};
    refused(weir_coord_claim_enter(&w1, a, "relative", WEIR_COORD_EXCLUSIVE, none, NULL, NULL), WEIR_COORD_BAD_ARGUMENTS);
    ok(weir_coord_claim_enter(&r1, a, "/l/deep/folder", WEIR_COORD_SHARED, none, NULL, NULL));
    ok(weir_coord_claim_wait(r1, -1));
    ok(weir_coord_claim_enter(&r2, b, "/l/deep/folder", WEIR_COORD_SHARED, none, NULL, NULL));
    ok(weir_coord_claim_wait(r2, -1));
    ok(weir_coord_claim_enter(&w1, a, "/l/deep/folder", WEIR_COORD_EXCLUSIVE, (struct weir_bytes){(const uint8_t *)"a", 1}, NULL, NULL));
    refused(weir_coord_claim_wait(w1, 50), WEIR_COORD_OPERATION_TIMEOUT);
    ok(weir_coord_claim_enter(&w2, b, "/l/deep/folder", WEIR_COORD_EXCLUSIVE, none, NULL, NULL));
    weir_coord_claim_leave(&r2);
    weir_coord_claim_leave(&r1);
    ok(weir_coord_claim_wait(w1, -1));
    ok(weir_coord_claim_holder(b, "/l/deep/folder", &reply));
    assert_int_equal(reply.results[0].data.length, 1);
    weir_coord_reply_close(&reply);
    refused(weir_coord_claim_wait(w2, 50), WEIR_COORD_OPERATION_TIMEOUT);
    struct weir_coord_op ops[2] = {weir_coord_claim_check(w1), {.type = WEIR_COORD_CREATE, .path = "/guarded"}};
    ok(weir_coord_write(a, ops, 2, NULL));
    /* Somebody takes the place away: the holder hears of it, what it writes with its check fails, the next one is in. */
    ok(weir_coord_delete(b, ops[0].path, WEIR_COORD_ANY_VERSION));
    ok(weir_coord_claim_wait(w2, -1));
    ops[1].path = "/too-late";
    refused(weir_coord_write(a, ops, 2, NULL), WEIR_COORD_NO_NODE);
    assert_false(weir_coord_claim_held(w1, NULL));
    weir_coord_claim_leave(&w1);
    weir_coord_claim_leave(&w2);
    weir_coord_close(&a);
    weir_coord_close(&b);
}

/* Whoever reads that a write with its check was refused finds the claim lost: the event comes before the answer. */
static void a_claim_is_lost_before_its_check_fails(void **state)
{
    struct weir_coord *holder = open_client(*state), *other = open_client(*state);
    for (int round = 0; round < 30; round++) {
        struct weir_coord_claim *claim = NULL;
        ok(weir_coord_claim_enter(&claim, holder, "/taken", WEIR_COORD_EXCLUSIVE, (struct weir_bytes){0}, NULL, NULL));
        ok(weir_coord_claim_wait(claim, -1));
        struct weir_coord_op ops[2] = {weir_coord_claim_check(claim), {.type = WEIR_COORD_CREATE, .path = "/after-it"}};
        ok(weir_coord_delete(other, ops[0].path, WEIR_COORD_ANY_VERSION));
        refused(weir_coord_write(holder, ops, 2, NULL), WEIR_COORD_NO_NODE);
        bool held = weir_coord_claim_held(claim, NULL);
        weir_coord_claim_leave(&claim);
        assert_false(held);
    }
    weir_coord_close(&holder);
    weir_coord_close(&other);
}

struct party {
    struct world *w;
    char name[8];
    atomic_int *inside, *most;
    enum weir_coord_err err;
};

static void *attend(void *arg)
{
    struct party *p = arg;
    struct weir_coord *c = open_client(p->w);
    struct weir_coord_lease lease;
    p->err = weir_coord_meeting_enter(c, "/meeting", p->name, 4, 30000);
    for (int i = 0; !p->err && i < 5; i++) {
        p->err = weir_coord_semaphore_acquire(c, "/two", 2, 30000, &lease);
        int inside = atomic_fetch_add(p->inside, 1) + 1;
        if (inside > atomic_load(p->most)) atomic_store(p->most, inside);
        atomic_fetch_sub(p->inside, 1);
        if (!p->err) p->err = weir_coord_semaphore_release(c, &lease);
    }
    if (!p->err) p->err = weir_coord_meeting_leave(c, "/meeting", p->name, 30000);
    weir_coord_close(&c);
    return NULL;
}

static void a_meeting_with_two_chairs(void **state)
{
    atomic_int inside = 0, most = 0;
    struct party parties[4];
    pthread_t threads[4];
    struct weir_coord *c = open_client(*state);
    for (uint32_t i = 0; i < 4; i++) {
        parties[i] = (struct party){.w = *state, .inside = &inside, .most = &most};
        (void)snprintf(parties[i].name, sizeof parties[i].name, "p%u", i);
        assert_int_equal(pthread_create(&threads[i], NULL, attend, &parties[i]), 0);
    }
    for (uint32_t i = 0; i < 4; i++) {
        (void)pthread_join(threads[i], NULL);
        ok(parties[i].err);
    }
    assert_true(atomic_load(&most) <= 2);
    refused(weir_coord_exists(c, "/meeting/ready", NULL), WEIR_COORD_NO_NODE);
    refused(weir_coord_meeting_enter(c, "/meeting", "alone", 2, 50), WEIR_COORD_OPERATION_TIMEOUT);
    struct weir_coord_lease leases[3];
    ok(weir_coord_semaphore_acquire(c, "/two", 2, -1, &leases[0]));
    ok(weir_coord_semaphore_acquire(c, "/two", 2, -1, &leases[1]));
    assert_true(weir_coord_zxid_compare(leases[1].token, leases[0].token) > 0);
    refused(weir_coord_semaphore_acquire(c, "/two", 2, 50, &leases[2]), WEIR_COORD_OPERATION_TIMEOUT);
    weir_coord_close(&c);
}

static void *lift(void *arg)
{
    (void)weir_coord_barrier_lift(arg, "/b/barrier");
    return NULL;
}

static void barriers_queues_counters(void **state)
{
    struct weir_coord *a = open_client(*state), *b = open_client(*state);
    struct weir_coord_reply reply;
    struct weir_coord_zxid first, second;
    pthread_t thread;
    int64_t sum;
    ok(weir_coord_barrier_close(a, "/b/barrier"));
    ok(weir_coord_barrier_close(a, "/b/barrier"));
    ok(weir_coord_sync(b));
    refused(weir_coord_barrier_wait(b, "/b/barrier", 50), WEIR_COORD_OPERATION_TIMEOUT);
    assert_int_equal(pthread_create(&thread, NULL, lift, a), 0);
    ok(weir_coord_barrier_wait(b, "/b/barrier", -1));
    (void)pthread_join(thread, NULL);
    ok(weir_coord_barrier_wait(b, "/b/barrier", -1));

    for (char i = '0'; i < '5'; i++) ok(weir_coord_queue_put(a, "/q", &i, 1));
    ok(weir_coord_sync(b));
    for (char i = '0'; i < '5'; i++) {
        ok(weir_coord_queue_take(b, "/q", -1, &reply));
        assert_memory_equal(reply.results[0].data.data, &i, 1);
        weir_coord_reply_close(&reply);
    }
    refused(weir_coord_queue_take(b, "/q", 50, &reply), WEIR_COORD_OPERATION_TIMEOUT);

    ok(weir_coord_counter_add(a, "/c/counter", 5, &sum, &first));
    ok(weir_coord_sync(b));
    ok(weir_coord_counter_add(b, "/c/counter", -7, &sum, &second));
    assert_int_equal(sum, -2);
    assert_true(weir_coord_zxid_compare(second, first) > 0);
    weir_coord_close(&a);
    weir_coord_close(&b);
}

struct told {
    pthread_mutex_t mutex;
    pthread_cond_t cond;
    uint32_t n_members;
    char value[32];
    enum weir_coord_err err;
};

static void on_group(void *arg, enum weir_coord_err err, const struct weir_coord_member *members, uint32_t n)
{
    struct told *t = arg;
    (void)members;
    (void)pthread_mutex_lock(&t->mutex);
    t->n_members = n;
    t->err = err;
    (void)pthread_cond_broadcast(&t->cond);
    (void)pthread_mutex_unlock(&t->mutex);
}

static void on_value(void *arg, enum weir_coord_err err, struct weir_bytes data, struct weir_coord_zxid token)
{
    struct told *t = arg;
    (void)token;
    (void)pthread_mutex_lock(&t->mutex);
    (void)snprintf(t->value, sizeof t->value, "%.*s", (int)data.length, data.data ? (const char *)data.data : "");
    t->err = err;
    (void)pthread_cond_broadcast(&t->cond);
    (void)pthread_mutex_unlock(&t->mutex);
}

static void wait_for_value(struct told *t, const char *value)
{
    (void)pthread_mutex_lock(&t->mutex);
    while (strcmp(t->value, value) != 0) (void)pthread_cond_wait(&t->cond, &t->mutex);
    (void)pthread_mutex_unlock(&t->mutex);
}

static void wait_for_members(struct told *t, uint32_t n)
{
    (void)pthread_mutex_lock(&t->mutex);
    while (t->n_members != n) (void)pthread_cond_wait(&t->cond, &t->mutex);
    (void)pthread_mutex_unlock(&t->mutex);
}

static void groups_and_configuration(void **state)
{
    struct weir_coord *a = open_client(*state), *b = open_client(*state);
    struct told t = {.mutex = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER};
    struct weir_coord_group *group = NULL;
    struct weir_coord_value *value = NULL;
    struct weir_coord_zxid token;
    char name[256], data[64];
    uint32_t length;
    ok(weir_coord_group_watch(&group, b, "/services/mail", on_group, &t));
    refused(weir_coord_group_choose(group, name, data, sizeof data, &length), WEIR_COORD_NO_NODE);
    ok(weir_coord_group_join(a, "/services/mail", "one", "tcp://1", 7, &token));
    ok(weir_coord_group_join(b, "/services/mail", "two", "tcp://2", 7, &token));
    refused(weir_coord_group_join(b, "/services/mail", "one", "", 0, &token), WEIR_COORD_NODE_EXISTS);
    wait_for_members(&t, 2);
    ok(weir_coord_group_choose(group, name, data, sizeof data, &length));
    assert_string_equal(name, "one");
    assert_memory_equal(data, "tcp://1", 7);
    ok(weir_coord_group_choose(group, name, data, sizeof data, &length));
    assert_string_equal(name, "two");

    ok(weir_coord_config_watch(&value, b, "/config/x", on_value, &t));
    ok(weir_coord_config_set(a, "/config/x", "one", 3));
    wait_for_value(&t, "one");
    kill_leader(*state);
    ok(weir_coord_config_set(a, "/config/x", "two", 3));
    wait_for_value(&t, "two");

    weir_coord_close(&a); /* leaves the group with its session */
    wait_for_members(&t, 1);
    weir_coord_config_unwatch(&value);
    weir_coord_group_unwatch(&group);
    weir_coord_close(&b);
}

/* On the thread of a task calls wait while they may, and not for ever; what is kept up to date is looked at in any case. */
static void a_task_waits_where_it_may(void **state)
{
    struct world *w = *state;
    struct weir_coord *c = NULL;
    struct weir_coord_claim *first = NULL, *second = NULL;
    struct weir_coord_value *value = NULL;
    struct weir_coord_zxid none, token;
    bool may_wait = true;
    char text[4];
    uint32_t length;
    assert_int_equal(coord_open_for_task(&c, w->servers, &may_wait, NULL), WEIR_OK);
    ok(weir_coord_config_watch(&value, c, "/task/rate", NULL, NULL));
    refused(weir_coord_config_get(value, text, sizeof text, &length, &none), WEIR_COORD_NO_NODE);
    ok(weir_coord_claim_enter(&first, c, "/task/line", WEIR_COORD_EXCLUSIVE, (struct weir_bytes){0}, NULL, NULL));
    ok(weir_coord_claim_wait(first, -1));
    ok(weir_coord_claim_enter(&second, c, "/task/line", WEIR_COORD_EXCLUSIVE, (struct weir_bytes){0}, NULL, NULL));
    refused(weir_coord_claim_wait(second, -1), WEIR_COORD_OPERATION_TIMEOUT);
    ok(weir_coord_config_set(c, "/task/rate", "12345", 5));
    may_wait = false;
    refused(weir_coord_exists(c, "/task", NULL), WEIR_COORD_WRONG_THREAD);
    refused(weir_coord_sync(c), WEIR_COORD_WRONG_THREAD);
    refused(weir_coord_claim_wait(first, 0), WEIR_COORD_WRONG_THREAD);
    refused(weir_coord_barrier_wait(c, "/task/barrier", 0), WEIR_COORD_WRONG_THREAD);
    assert_true(weir_coord_claim_held(first, NULL));
    while (weir_coord_config_get(value, text, sizeof text, &length, &token)) continue; /* the client's thread will see to it */
    assert_int_equal(length, 5);
    assert_memory_equal(text, "1234", sizeof text);
    assert_true(weir_coord_zxid_compare(none, token) < 0);
    may_wait = true;
    weir_coord_claim_leave(&second);
    weir_coord_claim_leave(&first);
    weir_coord_config_unwatch(&value);
    weir_coord_close(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_operation, begin, end),
        cmocka_unit_test_setup_teardown(acls, begin, end),
        cmocka_unit_test(wrong_use),
        cmocka_unit_test_setup_teardown(watches_survive_leaders, begin, end),
        cmocka_unit_test_setup_teardown(a_lock_excludes_while_leaders_die, begin, end),
        cmocka_unit_test_setup_teardown(claims_wait_for_each_other, begin, end),
        cmocka_unit_test_setup_teardown(a_claim_is_lost_before_its_check_fails, begin, end),
        cmocka_unit_test_setup_teardown(a_meeting_with_two_chairs, begin, end),
        cmocka_unit_test_setup_teardown(barriers_queues_counters, begin, end),
        cmocka_unit_test_setup_teardown(groups_and_configuration, begin, end),
        cmocka_unit_test_setup_teardown(a_task_waits_where_it_may, begin, end),
    };
    if (net_start(1)) return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    net_stop();
    return failed;
}
