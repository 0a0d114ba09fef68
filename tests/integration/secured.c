/* SPDX-License-Identifier: Apache-2.0 */
/* A cluster with keys: who has one comes in, in his role; who has none, or another's, is told so and disturbs nobody. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/net/security.h"
#include "tests/support/cluster/ensemble.h"
#include "tests/support/peer/hosts.h"

#define KEY_ENV "WEIR_SECURITY_KEY"
#define KNOWN_ENV "WEIR_SECURITY_KNOWN_KEYS"

/* Whose key the processes started from now on have; NULL: none. */
static void be(const struct cluster *c, const char *name)
{
    char file[64];
    if (!name) {
        assert_int_equal(unsetenv(KEY_ENV) | unsetenv(KNOWN_ENV), 0);
        return;
    }
    (void)snprintf(file, sizeof file, "%s.key", name);
    assert_int_equal(setenv(KEY_ENV, in_dir(c, file), 1), 0);
    assert_int_equal(setenv(KNOWN_ENV, in_dir(c, "known"), 1), 0);
}

/* A key pair; its line goes to the known keys when `known`. */
static void make_key(struct cluster *c, const char *name, const char *role, const char *at, bool known)
{
    struct said s = at ? ctl(c, "cert", "new", name, "--role", role, "--dir", c->dir, "--at", at, NULL)
                       : ctl(c, "cert", "new", name, "--role", role, "--dir", c->dir, NULL);
    assert_int_equal(s.code, 0);
    if (!known) return;
    FILE *f = fopen(in_dir(c, "known"), "a");
    assert_non_null(f);
    assert_true(fputs(s.out, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static void make_keys(struct cluster *c)
{
    be(c, NULL);
    make_key(c, "jm", "jobmanager", "tcp://127.0.0.1:*", true);
    make_key(c, "tm", "taskmanager", NULL, true);
    make_key(c, "ann", "admin", NULL, true);
    make_key(c, "joe", "client", NULL, true);
    make_key(c, "eve", "admin", NULL, false);
}

static void start_cluster(struct cluster *c, uint32_t n_taskmanagers)
{
    make_keys(c);
    be(c, "jm");
    cluster_start_jobmanager(c, false);
    be(c, "tm");
    for (uint32_t i = 0; i < n_taskmanagers; i++) (void)cluster_start_taskmanager(c, 2);
    be(c, "ann");
    cluster_wait_registered(c, n_taskmanagers);
}

/* ---- whole ---- */

STORY(a_cluster_with_keys_runs_a_job)
{
    char id[JOB_ID_MAX];
    start_cluster(c, 2);
    job_submit(c, id, "--parallelism", "4", example_plugin("accesslog"), "--", "--input", test_data("apache_logs.gz"), "--output",
               in_dir(c, "out"), NULL);
    json_decref(job_wait(c, id, "FINISHED"));
    assert_true(files_with_prefix(in_dir(c, "out"), "part-") > 0);
}

/* Its cluster has no keys, whatever jobctl has for others. */
STORY(a_local_cluster_needs_no_keys)
{
    make_keys(c);
    be(c, "ann");
    struct said s = ctl_within(c, 2 * CLUSTER_WAIT_MS, "run", "--local", example_plugin("accesslog"), "--", "--input",
                               test_data("apache_logs.gz"), "--output", in_dir(c, "out"), NULL);
    assert_int_equal(s.code, 0);
}

/* ---- strangers ---- */

static void say(int port, const void *bytes, size_t length)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons((uint16_t)port)};
    char answer[256];
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    (void)!send(fd, bytes, length, MSG_NOSIGNAL);
    while (recv(fd, answer, sizeof answer, 0) > 0) continue; /* until it is hung up on */
    close(fd);
}

static int port_of(const char *endpoint)
{
    return atoi(strrchr(endpoint, ':') + 1);
}

STORY(strangers_are_refused_and_told_why)
{
    struct neighbour job;
    start_cluster(c, 2);
    neighbour_start(c, &job);
    be(c, "eve");
    struct said s = ctl(c, "status", NULL);
    assert_int_equal(s.code, 4);
    assert_has(s.err, "it does not know this key");
    assert_has(s.err, "added to the known keys there");
    be(c, "joe");
    assert_int_equal(ctl(c, "status", NULL).code, 4); /* a client of the tree has no business at the admin endpoint */
    be(c, NULL);
    s = ctl(c, "--timeout", "2", "status", NULL);
    assert_true(s.code == 3 || s.code == 4); /* the one hangs up, the other sees why: which comes first is open */
    assert_has(s.err, "wants keys");
    assert_has(s.err, "security.known-keys");
    (void)proc_wait_log(c, c->jobmanager, "an unknown key was refused", 1);
    char noise[3000];
    for (size_t i = 0; i < sizeof noise; i++) noise[i] = (char)(i * 37 + 11);
    const char *endpoints[] = {c->admin, c->control, log_field(proc_wait_log(c, c->jobmanager, "msg=\"coordinating\"", 1), "clients=")};
    for (int i = 0; i < 3; i++) say(port_of(endpoints[i]), noise, sizeof noise);
    be(c, "ann");
    neighbour_is_well(c, &job);
}

/* A TaskManager without a key, and one with a client's, do not register. One whose key is made known later comes in by itself. */
STORY(a_taskmanager_needs_a_key_of_its_role)
{
    start_cluster(c, 0);
    make_key(c, "late", "taskmanager", NULL, false);
    be(c, "late");
    struct proc *late = cluster_start_taskmanager(c, 2);
    assert_int_equal(proc_wait(c, late, CLUSTER_WAIT_MS), 1); /* it knows itself that nobody would let it in */
    assert_has(proc_said(late).err, "is not among those of");
    be(c, "joe");
    struct proc *joe = cluster_start_taskmanager(c, 2);
    assert_int_equal(proc_wait(c, joe, CLUSTER_WAIT_MS), 1);
    assert_has(proc_said(joe).err, "whose role is client");
    be(c, NULL);
    struct proc *plain = cluster_start_taskmanager(c, 2);
    assert_has(proc_wait_log(c, plain, "the JobManager refuses the connection", 1), "wants keys");
    be(c, "ann");
    cluster_wait_registered(c, 0);
    proc_signal(plain, SIGTERM);
    assert_int_equal(proc_wait(c, plain, CLUSTER_WAIT_MS), 0);
}

/* ---- the tree ---- */

static const char *find_tree(struct cluster *c)
{
    const char *tree = log_field(proc_wait_log(c, c->jobmanager, "msg=\"coordinating\"", 1), "clients=");
    assert_int_equal(setenv("WEIR_COORD", tree, 1), 0);
    return tree;
}

/* The public key of a pair. */
static const char *key_of(struct cluster *c, const char *name)
{
    static char keys[4][NET_KEY_TEXT];
    static unsigned next;
    char file[64], *at = keys[next++ % 4];
    size_t length;
    (void)snprintf(file, sizeof file, "%s.pub", name);
    char *line = file_read(in_dir(c, file), &length);
    assert_non_null(line);
    assert_int_equal(sscanf(line, "%*s %*s %40s", at), 1);
    free(line);
    return at;
}

static int coord(struct cluster *c, const char *who, const char *verb, const char *path, const char *value, const char *words)
{
    be(c, who);
    struct said s =
        value ? ctl(c, "--timeout", "20", "coord", verb, path, value, NULL) : ctl(c, "--timeout", "20", "coord", verb, path, NULL);
    assert_has(s.code ? s.err : s.out, words);
    return s.code;
}

STORY(acls_of_keys_grant_and_deny)
{
    char acl[256];
    start_cluster(c, 0);
    make_key(c, "bob", "client", NULL, true);
    (void)find_tree(c);
    be(c, "joe");
    assert_int_equal(ctl(c, "coord", "create", "/mine", "gold", "--acl", "auth::rwcda", NULL).code, 0);
    assert_int_equal(coord(c, "joe", "get", "/mine", NULL, "gold"), 0);
    assert_int_equal(coord(c, "bob", "get", "/mine", NULL, "NO_AUTH"), 4);
    assert_int_equal(coord(c, "ann", "get", "/mine", NULL, "gold"), 0); /* an administrator may do everything */
    (void)snprintf(acl, sizeof acl, "key:%s:rwcda,key:%s:r", key_of(c, "joe"), key_of(c, "bob"));
    assert_int_equal(coord(c, "bob", "acl", "/mine", acl, "NO_AUTH"), 4);
    assert_int_equal(coord(c, "joe", "acl", "/mine", acl, ""), 0);
    assert_int_equal(coord(c, "joe", "acl", "/mine", NULL, key_of(c, "bob")), 0);
    assert_int_equal(coord(c, "bob", "get", "/mine", NULL, "gold"), 0);
    assert_int_equal(coord(c, "bob", "set", "/mine", "lead", "NO_AUTH"), 4);
    assert_int_equal(coord(c, "eve", "get", "/mine", NULL, "KEY_REFUSED"), 4); /* long before its time is over */
    be(c, NULL);
    struct said s = ctl(c, "--timeout", "5", "coord", "get", "/mine", NULL);
    assert_true(s.code == 3 || s.code == 4);
    assert_has(s.err, "wants keys");
    assert_has_not(s.out, "gold");
    be(c, "ann");
}

/* Jobs are clients with a key of their own, which is good for nothing else; without one they are told so. */
STORY(a_job_uses_the_tree_with_the_key_of_workers)
{
    char id[JOB_ID_MAX], path[128];
    start_cluster(c, 0);
    make_key(c, "jobs", "client", NULL, true);
    (void)find_tree(c);
    be(c, "tm");
    assert_int_equal(setenv("WEIR_TASKMANAGER_WORKER_KEY", in_dir(c, "ann.key"), 1), 0);
    struct proc *refused = cluster_start_taskmanager(c, 2);
    assert_int_equal(proc_wait(c, refused, CLUSTER_WAIT_MS), 1);
    assert_has(proc_said(refused).err, "jobs have a key with the role client");
    assert_int_equal(setenv("WEIR_TASKMANAGER_WORKER_KEY", in_dir(c, "jobs.key"), 1), 0);
    for (uint32_t i = 0; i < 2; i++) (void)cluster_start_taskmanager(c, 2);
    assert_int_equal(unsetenv("WEIR_TASKMANAGER_WORKER_KEY"), 0);
    be(c, "ann");
    cluster_wait_registered(c, 2);
    job_submit(c, id, "--parallelism", "4", example_plugin("elected"), "--", "--pace", "20000", NULL);
    json_decref(job_wait(c, id, "RUNNING"));
    (void)snprintf(path, sizeof path, "/elected/%s/status", id);
    int64_t deadline_ms = now_ms() + CLUSTER_WAIT_MS;
    while (ctl(c, "coord", "get", path, NULL).code != 0)
        if (!wait_a_while(c, deadline_ms)) fail_msg("the job writes nothing into the tree");
    assert_int_equal(ctl(c, "cancel", id, NULL).code, 0);
    json_decref(job_wait(c, id, "CANCELED"));
}

/* ---- sessions ---- */

/* This program becomes a client, joe. */
static void become(struct cluster *c)
{
    struct weir_diag diag;
    struct net_security_config config = {.key = in_dir(c, "joe.key"), .known_keys = in_dir(c, "known")};
    assert_int_equal(net_start(1), WEIR_OK);
    weir_err err = net_secure(&config, &diag);
    if (err) fail_msg("%s", diag.text);
}

static void resume(struct raw *r, const struct raw *whose)
{
    r->session = whose->session;
    r->seen = whose->seen;
    memcpy(r->password, whose->password, sizeof r->password);
}

STORY(another_key_cannot_go_on_with_a_session)
{
    struct net_key_pair bob;
    struct raw joe = {0}, thief = {0}, again = {0};
    start_cluster(c, 0);
    make_key(c, "bob", "client", NULL, true);
    const char *tree = find_tree(c);
    become(c);
    assert_int_equal(net_key_pair_load(&bob, in_dir(c, "bob.key"), NULL), WEIR_OK);
    raw_open(&joe, tree);
    assert_true(raw_hello(&joe, 60000));
    assert_int_equal(raw_create(&joe, "/joes", "x"), COORD_OK);
    raw_open_as(&thief, tree, &bob); /* it knows all that joe knows, but for the key */
    resume(&thief, &joe);
    assert_false(raw_hello(&thief, 60000));
    assert_int_equal(thief.refused, COORD_AUTH_FAILED);
    assert_int_equal(raw_set(&joe, "/joes", "y"), COORD_OK); /* who has the session has noticed nothing */
    raw_open(&again, tree);
    resume(&again, &joe);
    assert_true(raw_hello(&again, 60000));
    assert_int_equal(again.session, joe.session);
    raw_close(&joe);
    raw_close(&thief);
    raw_close(&again);
    net_stop();
}

static void strike_out(struct cluster *c, const char *name)
{
    size_t length;
    char *list = file_read(in_dir(c, "known"), &length), word[64];
    (void)snprintf(word, sizeof word, " %s ", name);
    char *at = strstr(list, word);
    assert_non_null(at);
    while (at > list && at[-1] != '\n') at--;
    char *end = strchr(at, '\n') + 1;
    memmove(at, end, strlen(end) + 1);
    file_write(in_dir(c, "known.new"), list, strlen(list));
    assert_int_equal(rename(in_dir(c, "known.new"), in_dir(c, "known")), 0);
    free(list);
}

STORY(a_key_that_is_struck_out_ends)
{
    struct raw joe = {0};
    struct say say;
    start_cluster(c, 0);
    const char *tree = find_tree(c);
    become(c);
    raw_open(&joe, tree);
    assert_true(raw_hello(&joe, 60000));
    strike_out(c, "joe");
    int64_t deadline_ms = now_ms() + CLUSTER_WAIT_MS;
    while (!joe.broken) {
        raw_ask(&joe, &(struct ask){.type = ASK_PING});
        (void)raw_next(&joe, &say, 50);
        if (!wait_a_little(c, deadline_ms)) fail_msg("the connection of a key that is not known any more goes on");
    }
    raw_close(&joe);
    assert_int_equal(coord(c, "joe", "get", "/", NULL, "KEY_REFUSED"), 4);
    be(c, "ann");
    net_stop();
}

/* ---- roles ---- */

STORY(roles_say_what_may_be_asked)
{
    struct neighbour job;
    start_cluster(c, 2);
    make_key(c, "vic", "viewer", NULL, true);
    make_key(c, "ops", "operator", NULL, true);
    make_key(c, "dep", "deployer", NULL, true);
    be(c, "dep");
    neighbour_start(c, &job);
    be(c, "vic");
    assert_int_equal(ctl(c, "list", NULL).code, 0);
    struct said s = ctl(c, "cancel", job.id, NULL);
    assert_int_equal(s.code, 4);
    assert_has(s.err, "the role of this key does not allow it: operator, deployer, admin may");
    be(c, "ops");
    s = ctl(c, "run", "--detached", example_plugin("accesslog"), "--", "--input", test_data("apache_logs.gz"), "--output", in_dir(c, "no"),
            NULL);
    assert_int_equal(s.code, 4);
    assert_has(s.err, "deployer, admin may");
    neighbour_is_well(c, &job); /* an operator looks, and cancels it */
}

/* ---- the ensemble ---- */

static void make_peer_key(struct cluster *c, uint32_t i, bool known)
{
    char name[16], at[4 * CLUSTER_PATH_MAX];
    (void)snprintf(name, sizeof name, "jm%u", i);
    (void)snprintf(at, sizeof at, "ipc://%s/p%u,ipc://%s/k%u,ipc://%s/a%u,ipc://%s/c%u", c->dir, i, c->dir, i, c->dir, i, c->dir, i);
    make_key(c, name, "jobmanager", at, known);
}

static void start_member(struct cluster *c, struct ensemble *e, uint32_t i, const char *key)
{
    be(c, key);
    ensemble_start_member(c, e, i - 1);
    be(c, "ann");
}

static void end_member(struct cluster *c, struct ensemble *e, uint32_t i)
{
    proc_signal(e->jobmanager[i - 1], SIGTERM);
    assert_int_equal(proc_wait(c, e->jobmanager[i - 1], CLUSTER_WAIT_MS), 0);
    e->jobmanager[i - 1] = NULL;
}

static void copy_known(struct cluster *c, const char *to, const char *more)
{
    size_t length, n;
    char *list = file_read(in_dir(c, "known"), &length), *line = file_read(in_dir(c, more), &n);
    char *all = calloc(1, length + n + 1);
    memcpy(all, list, length);
    memcpy(all + length, line, n);
    file_write(in_dir(c, to), all, length + n);
    free(list);
    free(line);
    free(all);
}

/* Two members lead; the third comes with a key that nobody knows, then with the second's, then with its own. */
STORY(a_peer_with_a_foreign_key_stays_outside)
{
    struct ensemble e = {0};
    char tree[2 * CLUSTER_PATH_MAX];
    be(c, NULL);
    for (uint32_t i = 1; i <= 3; i++) make_peer_key(c, i, true);
    make_key(c, "ann", "admin", NULL, true);
    make_key(c, "joe", "client", NULL, true);
    make_key(c, "mallory", "jobmanager", "ipc://@nowhere", false);
    assert_int_equal(setenv("WEIR_EXECUTION_CHECKPOINTING_DIR", in_dir(c, "checkpoints"), 1), 0);
    start_member(c, &e, 1, "jm1");
    start_member(c, &e, 2, "jm2");
    ensemble_wait_leader(c, &e);
    uint32_t leader = e.leader;
    (void)snprintf(tree, sizeof tree, "ipc://%s/k1,ipc://%s/k2", c->dir, c->dir);
    assert_int_equal(setenv("WEIR_COORD", tree, 1), 0);
    assert_int_equal(coord(c, "joe", "create", "/n", "1", ""), 0);

    copy_known(c, "mallory.known", "mallory.pub"); /* it knows itself; nobody else does */
    be(c, "mallory");
    assert_int_equal(setenv(KNOWN_ENV, in_dir(c, "mallory.known"), 1), 0);
    ensemble_start_member(c, &e, 2);
    be(c, "ann");
    assert_has(proc_wait_log(c, e.jobmanager[2], "a peer refuses the connection", 1), "it does not know this key");
    assert_int_equal(coord(c, "joe", "set", "/n", "2", ""), 0);
    end_member(c, &e, 3);

    start_member(c, &e, 3, "jm2"); /* known, but another's */
    (void)proc_wait_log(c, e.jobmanager[2], "this key is not that of the peer with this id", 1);
    assert_int_equal(coord(c, "joe", "set", "/n", "3", ""), 0);
    end_member(c, &e, 3);

    start_member(c, &e, 3, "jm3");
    (void)proc_wait_log(c, e.jobmanager[2], "follows", 1);
    ensemble_wait_leader(c, &e);
    assert_int_equal(e.leader, leader); /* nothing of it all has disturbed the leader */
    assert_int_equal(proc_count_log(e.jobmanager[leader], "leads no more"), 0);
    assert_int_equal(coord(c, "joe", "get", "/n", NULL, "3"), 0);

    /* Struck out: it is left by those who have dialed it, and let in by nobody. The others go on without it. */
    strike_out(c, "jm1");
    assert_has(proc_wait_log(c, e.jobmanager[0], "a peer refuses the connection", 1), "it does not know this key");
    (void)snprintf(tree, sizeof tree, "ipc://%s/k2,ipc://%s/k3", c->dir, c->dir);
    assert_int_equal(setenv("WEIR_COORD", tree, 1), 0);
    assert_int_equal(coord(c, "joe", "set", "/n", "4", ""), 0);
}

/* Super, and whom the ACL of a node lets. */
STORY(members_are_changed_by_whom_zookeeper_would_let)
{
    start_cluster(c, 0);
    (void)find_tree(c);
    be(c, "joe");
    assert_int_equal(ctl(c, "quorum", NULL).code, 0); /* everybody may look */
    struct said s = ctl(c, "quorum", "add", "2=observer:tcp://127.0.0.1:1", NULL);
    assert_int_equal(s.code, 4);
    assert_has(s.err, "only keys with the role admin change the members");
    be(c, "eve");
    s = ctl(c, "quorum", NULL);
    assert_has(s.err, "refuses the connection: it does not know this key");
    char acl[64];
    (void)snprintf(acl, sizeof acl, "key:%s:w", key_of(c, "joe"));
    be(c, "ann");
    assert_int_equal(ctl(c, "coord", "create", "--parents", "/weir/ensemble", "--acl", acl, NULL).code, 0);
    be(c, "joe");
    assert_int_equal(ctl(c, "quorum", "add", "2=observer:tcp://127.0.0.1:1", NULL).code, 0);
    assert_int_equal(ctl(c, "quorum", "remove", "2", NULL).code, 0);
    be(c, "ann");
    assert_int_equal(ctl(c, "quorum", "add", "2=observer:tcp://127.0.0.1:1", NULL).code, 0);
    assert_int_equal(ctl(c, "quorum", "remove", "2", NULL).code, 0);
}

/* ---- half a configuration ---- */

static void expect_no_start(struct cluster *c, const char *words, const char *const *more)
{
    const char *argv[16] = {"weir-jobmanager",   "--bind",     "tcp://127.0.0.1:*", "--admin",
                            "tcp://127.0.0.1:*", "--data-dir", in_dir(c, "half")};
    for (int i = 0; more[i]; i++) argv[7 + i] = more[i];
    struct proc *p = proc_start(c, "half", argv);
    assert_int_equal(proc_wait(c, p, CLUSTER_WAIT_MS), 1);
    assert_has(proc_said(p).err, words);
    assert_has_not(proc_said(p).err, "listening");
}

STORY(half_a_configuration_does_not_start)
{
    make_keys(c);
    const char *key = in_dir(c, "jm.key"), *known = in_dir(c, "known");
    char key_is[CLUSTER_PATH_MAX + 32], known_is[CLUSTER_PATH_MAX + 32], other_is[CLUSTER_PATH_MAX + 32];
    (void)snprintf(key_is, sizeof key_is, "security.key=%s", key);
    (void)snprintf(known_is, sizeof known_is, "security.known-keys=%s", known);
    (void)snprintf(other_is, sizeof other_is, "security.key=%s", in_dir(c, "eve.key"));
    expect_no_start(c, "security.key is given and security.known-keys is not", (const char *const[]){"-D", key_is, NULL});
    expect_no_start(c, "security.known-keys is given and security.key is not", (const char *const[]){"-D", known_is, NULL});
    expect_no_start(c, "is not among those of", (const char *const[]){"-D", other_is, "-D", known_is, NULL});
    assert_int_equal(chmod(key, 0644), 0);
    expect_no_start(c, "`chmod 600` it", (const char *const[]){"-D", key_is, "-D", known_is, NULL});
    struct said s = ctl(c, "--key", key, "status", NULL);
    assert_int_equal(s.code, 2);
    assert_has(s.err, "--known-keys");
    c->dirty = true;
}

STORY_MAIN(STORY_TEST(a_cluster_with_keys_runs_a_job), STORY_TEST(a_local_cluster_needs_no_keys),
           STORY_TEST(strangers_are_refused_and_told_why), STORY_TEST(a_taskmanager_needs_a_key_of_its_role),
           STORY_TEST(acls_of_keys_grant_and_deny), STORY_TEST(a_job_uses_the_tree_with_the_key_of_workers),
           STORY_TEST(another_key_cannot_go_on_with_a_session), STORY_TEST(a_key_that_is_struck_out_ends),
           STORY_TEST(roles_say_what_may_be_asked), STORY_TEST(a_peer_with_a_foreign_key_stays_outside),
           STORY_TEST(members_are_changed_by_whom_zookeeper_would_let), STORY_TEST(half_a_configuration_does_not_start))
