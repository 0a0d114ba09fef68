/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ZooKeeper's side of bench_coord: Debian's server (package zookeeper, Java) at its default settings, its multi-threaded C client
 * (libzookeeper-mt-dev). Built as a side that cannot be used where the client's header is missing.
 */
#include "tests/bench/coord.h"

#ifndef WEIR_BENCH_ZOOKEEPER

static const char *start(const char *folder)
{
    (void)folder;
    return "built without its client (packages zookeeper, libzookeeper-mt-dev)";
}

const struct coord_side coord_zookeeper = {.name = "ZooKeeper", .start = start};

#else

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <arpa/inet.h>
#include <zookeeper/zookeeper.h>

#include "runtime/base/clock.h"
#include "tests/bench/bench.h"

#define JAR "/usr/share/java/zookeeper.jar"
#define CLASSES "/usr/share/java/*"
#define FIRST_PORT 21810
#define WAIT_MS 60000
#define SESSION_MS 10000

static struct {
    pid_t pid[COORD_PEERS + 1];
    char folder[256], hosts[256];
    zhandle_t *sessions[COORD_SESSIONS];
    char value[COORD_VALUE];
} zk;

static atomic_bool again;
static atomic_int under_way;
static atomic_uint_fast64_t done;

/* ---- servers ------------------------------------------------------------------------------------------------------------------- */

static void write_text(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    if (!f || fputs(text, f) < 0 || fclose(f)) bench_die("cannot write a configuration");
}

static void configure(unsigned id)
{
    char path[320], text[1024];
    (void)snprintf(path, sizeof path, "%s/zk-%u", zk.folder, id);
    (void)mkdir(path, 0700);
    (void)snprintf(path, sizeof path, "%s/zk-%u/myid", zk.folder, id);
    (void)snprintf(text, sizeof text, "%u\n", id);
    write_text(path, text);
    (void)snprintf(path, sizeof path, "%s/zk-%u.cfg", zk.folder, id);
    (void)snprintf(text, sizeof text,
                   "tickTime=2000\ninitLimit=10\nsyncLimit=5\ndataDir=%s/zk-%u\nclientPort=%u\nclientPortAddress=127.0.0.1\n"
                   "admin.enableServer=false\n4lw.commands.whitelist=srvr\nmaxClientCnxns=0\n"
                   "server.1=127.0.0.1:21821:21831\nserver.2=127.0.0.1:21822:21832\nserver.3=127.0.0.1:21823:21833\n",
                   zk.folder, id, FIRST_PORT + id);
    write_text(path, text);
}

static void launch(unsigned id)
{
    char config[320], log[320], classes[] = "/etc/zookeeper/conf:" JAR ":" CLASSES;
    (void)snprintf(config, sizeof config, "%s/zk-%u.cfg", zk.folder, id);
    (void)snprintf(log, sizeof log, "%s/zk-%u.log", zk.folder, id);
    char *argv[] = {"java",
                    "-Xmx512m",
                    "-cp",
                    classes,
                    "-Dzookeeper.root.logger=WARN,CONSOLE",
                    "-Dslf4j.internal.verbosity=ERROR",
                    "org.apache.zookeeper.server.quorum.QuorumPeerMain",
                    config,
                    NULL};
    posix_spawn_file_actions_t actions;
    (void)posix_spawn_file_actions_init(&actions);
    (void)posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    (void)posix_spawn_file_actions_addopen(&actions, 1, log, O_WRONLY | O_CREAT | O_APPEND, 0600);
    (void)posix_spawn_file_actions_adddup2(&actions, 1, 2);
    if (posix_spawnp(&zk.pid[id], "java", &actions, NULL, argv, environ)) bench_die("cannot start java");
    (void)posix_spawn_file_actions_destroy(&actions);
}

/* What a server says of itself ("srvr"); "" when it does not answer. */
static const char *mode_of(unsigned id)
{
    static char text[2048];
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)(FIRST_PORT + id)), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    size_t n = 0;
    ssize_t got;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0 && write(fd, "srvr", 4) == 4)
        while (n < sizeof text - 1 && (got = read(fd, text + n, sizeof text - 1 - n)) > 0) n += (size_t)got;
    if (fd >= 0) (void)close(fd);
    text[n] = '\0';
    return strstr(text, "Mode: leader") ? "leader" : strstr(text, "Mode: follower") ? "follower" : "";
}

/* The leader's id, once all three serve. There is nothing to wait on but to ask again. */
static unsigned wait_for_leader(void)
{
    for (int64_t until_ms = clock_mono_ms() + WAIT_MS; clock_mono_ms() < until_ms; (void)poll(NULL, 0, 50)) {
        unsigned leader = 0, serve = 0;
        for (unsigned id = 1; id <= COORD_PEERS; id++) {
            const char *mode = mode_of(id);
            if (*mode != '\0') serve++;
            if (strcmp(mode, "leader") == 0) leader = id;
        }
        if (serve == COORD_PEERS && leader) return leader;
    }
    bench_die("ZooKeeper has no leader");
}

/* ---- sessions ------------------------------------------------------------------------------------------------------------------ */

static void on_session(zhandle_t *zh, int type, int state, const char *path, void *context)
{
    (void)zh, (void)type, (void)state, (void)path, (void)context;
}

static zhandle_t *open_session(const char *hosts)
{
    zhandle_t *zh = zookeeper_init(hosts, on_session, SESSION_MS, NULL, NULL, 0);
    if (!zh) bench_die("no ZooKeeper session");
    for (int64_t until_ms = clock_mono_ms() + WAIT_MS; zoo_state(zh) != ZOO_CONNECTED_STATE; (void)poll(NULL, 0, 1))
        if (clock_mono_ms() > until_ms) bench_die("no ZooKeeper session");
    return zh;
}

static const char *path_of(unsigned session)
{
    static const char *const paths[COORD_SESSIONS] = {"/n0", "/n1", "/n2", "/n3"};
    return paths[session];
}

static const char *start(const char *folder)
{
    if (access(JAR, R_OK) != 0) return "its server is not installed (package zookeeper)";
    (void)snprintf(zk.folder, sizeof zk.folder, "%s", folder);
    memset(zk.value, 'v', sizeof zk.value);
    zoo_set_debug_level((ZooLogLevel)0);
    for (unsigned id = 1; id <= COORD_PEERS; id++) {
        configure(id);
        launch(id);
    }
    (void)wait_for_leader();
    for (unsigned i = 0; i < COORD_SESSIONS; i++) {
        char host[64];
        (void)snprintf(host, sizeof host, "127.0.0.1:%u", FIRST_PORT + i % COORD_PEERS + 1);
        zk.sessions[i] = open_session(host);
        int rc = zoo_create(zk.sessions[i], path_of(i), zk.value, COORD_VALUE, &ZOO_OPEN_ACL_UNSAFE, 0, NULL, 0);
        if (rc != ZOK && rc != ZNODEEXISTS) bench_die("no ZooKeeper node");
    }
    return NULL;
}

/* ---- requests ------------------------------------------------------------------------------------------------------------------ */

static void ask_set(uintptr_t i);
static void ask_get(uintptr_t i);

static void answered(int rc)
{
    if (rc != ZOK) bench_die("a request to ZooKeeper failed");
    atomic_fetch_add(&done, 1);
}

static void on_set(int rc, const struct Stat *stat, const void *data)
{
    (void)stat;
    answered(rc);
    if (atomic_load(&again))
        ask_set((uintptr_t)data);
    else
        atomic_fetch_sub(&under_way, 1);
}

static void on_get(int rc, const char *bytes, int length, const struct Stat *stat, const void *data)
{
    (void)bytes, (void)length, (void)stat;
    answered(rc);
    if (atomic_load(&again))
        ask_get((uintptr_t)data);
    else
        atomic_fetch_sub(&under_way, 1);
}

static void ask_set(uintptr_t i)
{
    if (zoo_aset(zk.sessions[i], path_of((unsigned)i), zk.value, COORD_VALUE, -1, on_set, (const void *)i) != ZOK) bench_die("zoo_aset");
}

static void ask_get(uintptr_t i)
{
    if (zoo_aget(zk.sessions[i], path_of((unsigned)i), 0, on_get, (const void *)i) != ZOK) bench_die("zoo_aget");
}

static double pipelined(int64_t ms, int reads)
{
    atomic_store(&again, true);
    atomic_store(&done, 0);
    atomic_store(&under_way, (int)(COORD_SESSIONS * COORD_WINDOW));
    int64_t began_ns = clock_mono_ns();
    for (uintptr_t i = 0; i < COORD_SESSIONS; i++)
        for (unsigned k = 0; k < COORD_WINDOW; k++) reads ? ask_get(i) : ask_set(i);
    (void)poll(NULL, 0, (int)ms);
    double rate = (double)atomic_load(&done) * 1e9 / (double)(clock_mono_ns() - began_ns);
    atomic_store(&again, false);
    while (atomic_load(&under_way) > 0) (void)poll(NULL, 0, 1);
    return rate;
}

static void one_by_one(int64_t ms, struct histogram *out)
{
    int64_t until_ns = clock_mono_ns() + ms * 1000000;
    for (int64_t now_ns = clock_mono_ns(); now_ns < until_ns;) {
        if (zoo_set(zk.sessions[0], path_of(0), zk.value, COORD_VALUE, -1) != ZOK) bench_die("a write to ZooKeeper failed");
        int64_t then_ns = clock_mono_ns();
        histogram_add(out, (uint64_t)(then_ns - now_ns), 1);
        now_ns = then_ns;
    }
}

/* A client that knows the survivors writes until it succeeds, as soon as each try has failed. */
static double failover(void)
{
    char hosts[128] = "";
    unsigned leader = wait_for_leader();
    for (unsigned id = 1; id <= COORD_PEERS; id++) {
        char host[32];
        if (id == leader) continue;
        (void)snprintf(host, sizeof host, "%s127.0.0.1:%u", hosts[0] ? "," : "", FIRST_PORT + id);
        (void)strncat(hosts, host, sizeof hosts - strlen(hosts) - 1);
    }
    zhandle_t *zh = open_session(hosts);
    int64_t began_ns = clock_mono_ns();
    (void)kill(zk.pid[leader], SIGKILL);
    while (zoo_set(zh, path_of(0), zk.value, COORD_VALUE, -1) != ZOK) {
        if (clock_mono_ns() - began_ns > WAIT_MS * INT64_C(1000000)) bench_die("ZooKeeper does not come back");
        (void)poll(NULL, 0, 1);
    }
    double ms = (double)(clock_mono_ns() - began_ns) / 1e6;
    (void)waitpid(zk.pid[leader], NULL, 0);
    (void)zookeeper_close(zh);
    launch(leader);
    (void)wait_for_leader();
    return ms;
}

static double cpu_us(void)
{
    double sum = 0;
    for (unsigned id = 1; id <= COORD_PEERS; id++) sum += coord_cpu_of(zk.pid[id]);
    return sum;
}

static void stop(void)
{
    for (unsigned i = 0; i < COORD_SESSIONS; i++) (void)zookeeper_close(zk.sessions[i]);
    for (unsigned id = 1; id <= COORD_PEERS; id++) {
        (void)kill(zk.pid[id], SIGKILL);
        (void)waitpid(zk.pid[id], NULL, 0);
    }
}

const struct coord_side coord_zookeeper = {"ZooKeeper", start, pipelined, one_by_one, failover, cpu_us, stop};

#endif
