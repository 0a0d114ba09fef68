/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Coordination: three peers on this machine beside three ZooKeeper servers (Debian's, when they are installed), in turns in one run. fsync
 * is on for both, values have 100 bytes. --short: a look at each, Weir alone.
 */
#include "tests/bench/coord.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/folder.h"
#include "runtime/net/socket.h"
#include "tests/bench/bench.h"

#define ROUNDS 3
#define KILLS_MAX 100

struct figures {
    double writes, reads, write_cpu_us, read_cpu_us;
    struct histogram single;
    double failover[KILLS_MAX];
    unsigned n_failovers;
};

double coord_cpu_of(int pid)
{
    char path[64], text[512];
    unsigned long user = 0, system = 0;
    (void)snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE *f = fopen(path, "r");
    if (!f) return 0;
    size_t n = fread(text, 1, sizeof text - 1, f);
    (void)fclose(f);
    text[n] = '\0';
    const char *at = strrchr(text, ')');
    if (!at || sscanf(at + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system) != 2) return 0;
    return (double)(user + system) * 1e6 / (double)sysconf(_SC_CLK_TCK);
}

/* Operations a second, the better of the rounds; and the servers' CPU time for one, the least. */
static void measure_pipelined(const struct coord_side *side, int64_t ms, int reads, double *best, double *cpu_us)
{
    double before = side->cpu_us();
    double rate = side->pipelined(ms, reads);
    double used = (side->cpu_us() - before) / (rate * (double)ms / 1000);
    if (rate > *best) *best = rate;
    if (*cpu_us == 0 || used < *cpu_us) *cpu_us = used;
}

static void measure_round(const struct coord_side *side, int64_t ms, struct figures *f)
{
    measure_pipelined(side, ms, 0, &f->writes, &f->write_cpu_us);
    side->one_by_one(ms, &f->single);
    measure_pipelined(side, ms, 1, &f->reads, &f->read_cpu_us);
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void measure_failover(const struct coord_side *side, unsigned kills, struct figures *f)
{
    for (f->n_failovers = 0; f->n_failovers < kills && f->n_failovers < KILLS_MAX; f->n_failovers++)
        f->failover[f->n_failovers] = side->failover();
    qsort(f->failover, f->n_failovers, sizeof f->failover[0], ascending);
}

static double quantile(const struct figures *f, double q)
{
    unsigned at = (unsigned)ceil(q * f->n_failovers);
    return f->n_failovers ? f->failover[at > 0 ? at - 1 : 0] : 0;
}

static void print_side(const char *name, const struct figures *f)
{
    printf("%-10s writes %8.0f/s (%4.0f us CPU each)   reads %8.0f/s (%4.1f us)   one write p50 %6.3f ms p99 %7.3f ms   failover median "
           "%6.1f ms "
           "p99 %6.1f ms of %u\n",
           name, f->writes, f->write_cpu_us, f->reads, f->read_cpu_us, histogram_quantile_ms(&f->single, 0.5),
           histogram_quantile_ms(&f->single, 0.99), quantile(f, 0.5), quantile(f, 0.99), f->n_failovers);
    (void)fflush(stdout);
}

static void print_ratio(const char *what, double ratio, double target, int at_least)
{
    printf("  %-28s %6.2f   target %s %.2f   %s\n", what, ratio, at_least ? "at least" : "at most", target,
           (at_least ? ratio >= target : ratio <= target) ? "met" : "MISSED");
}

static void compare(const struct figures *ours, const struct figures *theirs)
{
    print_ratio("writes per second", ours->writes / theirs->writes, 2, 1);
    print_ratio("reads per second", ours->reads / theirs->reads, 2, 1);
    print_ratio("p99 of a single write", histogram_quantile_ms(&ours->single, 0.99) / histogram_quantile_ms(&theirs->single, 0.99), 0.5, 0);
    print_ratio("median failover", quantile(ours, 0.5) / quantile(theirs, 0.5), 0.2, 0);
}

/* Both run all the time, and are measured in turns; the one that is not asked anything rests. */
static void run(const char *folder, int64_t ms, unsigned rounds, unsigned kills, bool with_zookeeper)
{
    static struct figures figures[2];
    const struct coord_side *sides[] = {&coord_weir, &coord_zookeeper};
    unsigned n = 1;
    const char *why = coord_weir.start(folder);
    if (why) bench_die(why);
    why = with_zookeeper ? coord_zookeeper.start(folder) : "not in the short form";
    if (why)
        printf("ZooKeeper is left out: %s\n", why);
    else
        n = 2;
    for (unsigned r = 0; r < rounds; r++)
        for (unsigned i = 0; i < n; i++) measure_round(sides[i], ms, &figures[i]);
    for (unsigned i = 0; i < n; i++) measure_failover(sides[i], i == 0 ? kills : kills / 5, &figures[i]);
    for (unsigned i = 0; i < n; i++) print_side(sides[i]->name, &figures[i]);
    if (n == 2) compare(&figures[0], &figures[1]);
    for (unsigned i = 0; i < n; i++) sides[i]->stop();
}

int main(int argc, char **argv)
{
    bool brief = argc > 1 && strcmp(argv[1], "--short") == 0;
    char folder[256];
    const char *temp = getenv("TMPDIR");
    (void)snprintf(folder, sizeof folder, "%s/coord-XXXXXX", temp ? temp : "/tmp");
    if (!mkdtemp(folder)) bench_die("cannot make a folder");
    if (net_start(1)) bench_die("no network");
    run(folder, brief ? 200 : 2000, brief ? 1 : ROUNDS, brief ? 1 : 40, !brief);
    net_stop();
    (void)folder_remove(folder, NULL);
    return 0;
}
