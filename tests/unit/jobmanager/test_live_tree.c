/* SPDX-License-Identifier: Apache-2.0 */
/* The live configuration in the tree of a real peer, an ensemble of one: it is read, and read again after every change. */
/* cmocka wants these first, in this order */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "jobmanager/live_tree.h"
#include "tests/unit/jobmanager/peer_alone.h"
#include "weir/coord_recipes.h"

#define JOB "0123456789abcdef0123456789abcdef"
#define OTHER "fedcba9876543210fedcba9876543210"

struct fixture {
    struct temp_dir dir;
    struct peer *peer;
    struct weir_coord *client; /* who changes it */
    struct live_tree *tree;
    uint64_t connection;
    bool leads;
};

static void turn(struct fixture *f)
{
    struct peer_news news;
    struct weir_bytes message;
    while (f->tree && live_tree_say(f->tree, &message, clock_mono_ms())) peer_send(f->peer, f->connection, message);
    struct pollfd p = {.fd = peer_fd(f->peer), .events = POLLIN};
    (void)poll(&p, 1, 100);
    while (peer_take(f->peer, &news)) {
        if (news.type == PEER_NEWS_ROLE) f->leads = news.role.leads;
        if (!f->tree || news.connection != f->connection) continue;
        if (news.type == PEER_NEWS_MESSAGE) live_tree_hear(f->tree, news.message);
        if (news.type == PEER_NEWS_CLOSED) live_tree_closed(f->tree);
    }
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    temp_dir_make(&f->dir);
    f->peer = peer_alone(&f->dir, "tcp://127.0.0.1:*");
    for (int64_t end = clock_mono_ms() + WAIT_MS; !f->leads; turn(f)) assert_true(clock_mono_ms() < end);
    struct weir_coord_config client = {.servers = peer_client_endpoint(f->peer)};
    assert_int_equal(weir_coord_open(&f->client, &client, NULL), WEIR_OK);
    live_tree_new(&f->tree);
    f->connection = peer_connect(f->peer);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    live_tree_destroy(&f->tree);
    weir_coord_close(&f->client);
    peer_destroy(&f->peer);
    net_stop();
    temp_dir_remove(&f->dir);
    free(f);
    return 0;
}

static void set(struct fixture *f, const char *path, const char *value)
{
    assert_int_equal(weir_coord_config_set(f->client, path, value, (uint32_t)strlen(value)), WEIR_COORD_OK);
}

/* Until so many settings are there, of which the last is this one. */
static const struct live_setting *await(struct fixture *f, uint32_t n, const char *key, const char *value)
{
    for (int64_t end = clock_mono_ms() + WAIT_MS;; turn(f)) {
        const struct live_setting *at;
        uint32_t there;
        uint64_t reading = live_tree_reading(f->tree, &at, &there);
        if (reading && there == n && (n == 0 || (strcmp(at[n - 1].key, key) == 0 && strcmp(at[n - 1].value, value) == 0))) return at;
        assert_false(live_tree_lost(f->tree));
        if (clock_mono_ms() >= end) fail_msg("%s = %s does not come; there are %u", key, value, (unsigned)there);
    }
}

static void changes_are_read(void **state)
{
    struct fixture *f = *state;
    (void)await(f, 0, "", "");
    set(f, "/weir/config/log.level", "debug");
    (void)await(f, 1, "log.level", "debug");
    set(f, "/weir/config/jobs/" JOB "/job.rate", "5");
    set(f, "/weir/config/jobs/ill named/x", "5");
    set(f, "/weir/config/taskmanager.leader-wait", "1m");
    const struct live_setting *at = await(f, 3, "taskmanager.leader-wait", "1m"); /* in order of their paths */
    assert_string_equal(at[0].job, JOB);
    assert_string_equal(at[0].key, "job.rate");
    assert_string_equal(at[1].key, "log.level");
    assert_int_equal(weir_coord_delete(f->client, "/weir/config/taskmanager.leader-wait", WEIR_COORD_ANY_VERSION), WEIR_COORD_OK);
    set(f, "/weir/config/log.level", "warn");
    (void)await(f, 2, "log.level", "warn");
}

static struct weir_id job_of(const char *text)
{
    struct weir_id id;
    assert_true(id_parse(text, &id));
    return id;
}

/* Those of one job, all of them and no others, whenever it is asked; its folder goes, too. */
static void settings_of_a_job_that_has_ended_go(void **state)
{
    struct fixture *f = *state;
    struct weir_coord_reply reply;
    set(f, "/weir/config/jobs/" JOB "/job.rate", "5");
    set(f, "/weir/config/jobs/" JOB "/restart-strategy.type", "none");
    set(f, "/weir/config/jobs/" OTHER "/job.rate", "6");
    set(f, "/weir/config/log.level", "debug");
    live_tree_forget(f->tree, job_of(JOB)); /* nothing is read yet */
    const struct live_setting *at = await(f, 2, "log.level", "debug");
    assert_string_equal(at[0].job, OTHER);
    assert_int_equal(weir_coord_get(f->client, "/weir/config/jobs/" JOB, &reply), WEIR_COORD_NO_NODE);
    weir_coord_reply_close(&reply);
    live_tree_forget(f->tree, job_of(JOB)); /* has none */
    live_tree_forget(f->tree, job_of(OTHER));
    (void)await(f, 1, "log.level", "debug");
    set(f, "/weir/config/log.level", "warn"); /* and it is read as before */
    (void)await(f, 1, "log.level", "warn");
}

/* The rest goes, and nobody tries for ever. */
static void what_may_not_be_removed_stays(void **state)
{
    struct fixture *f = *state;
    set(f, "/weir/config/jobs/" JOB "/job.a", "1");
    set(f, "/weir/config/jobs/" JOB "/job.a/child", "1");
    set(f, "/weir/config/jobs/" JOB "/job.b", "2");
    (void)await(f, 2, "job.b", "2");
    live_tree_forget(f->tree, job_of(JOB));
    (void)await(f, 1, "job.a", "1");
    const struct live_setting *at;
    uint32_t n;
    uint64_t reading = live_tree_reading(f->tree, &at, &n);
    live_tree_forget(f->tree, job_of(JOB));
    while (!live_tree_reading(f->tree, &at, &n)) turn(f);
    assert_int_equal(live_tree_reading(f->tree, &at, &n), reading); /* nothing has changed */
    assert_int_equal(n, 1);
}

static void what_is_no_text_or_too_long_is_refused_by_name(void **state)
{
    struct fixture *f = *state;
    char large[LIVE_VALUE_MAX + 2];
    memset(large, 'x', sizeof large - 1);
    large[sizeof large - 1] = '\0';
    set(f, "/weir/config/log.level", large);
    const struct live_setting *at = await(f, 1, "log.level", "");
    assert_non_null(strstr(at[0].refusal, "more than 1024 bytes"));
    assert_int_equal(weir_coord_config_set(f->client, "/weir/config/log.level", "a\0b", 3), WEIR_COORD_OK);
    while (!strstr((at = await(f, 1, "log.level", ""))[0].refusal, "no text")) turn(f);
}

static void garbage_and_the_end_are_told(void **state)
{
    struct fixture *f = *state;
    (void)await(f, 0, "", "");
    live_tree_hear(f->tree, (struct weir_bytes){"garbage", 7});
    assert_true(live_tree_lost(f->tree));
    live_tree_destroy(&f->tree);
    live_tree_new(&f->tree);
    live_tree_closed(f->tree);
    assert_true(live_tree_lost(f->tree));
    struct weir_bytes message;
    assert_false(live_tree_say(f->tree, &message, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(changes_are_read, setup, teardown),
        cmocka_unit_test_setup_teardown(settings_of_a_job_that_has_ended_go, setup, teardown),
        cmocka_unit_test_setup_teardown(what_may_not_be_removed_stays, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_no_text_or_too_long_is_refused_by_name, setup, teardown),
        cmocka_unit_test_setup_teardown(garbage_and_the_end_are_told, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
