/* SPDX-License-Identifier: Apache-2.0 */
/* A folder of the benchmark's own below /tmp, and what a process can know of its own memory and time. The folder goes when the program
 * ends: at its end, by bench_die, or by a SIGINT or SIGTERM. */
#ifndef WEIR_TESTS_BENCH_PLACE_H
#define WEIR_TESTS_BENCH_PLACE_H

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "tests/bench/bench.h"

#define PLACE_PATH_MAX 512

static char place_root[64];

static int place_remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    (void)st, (void)kind, (void)ftw;
    return remove(path);
}

static inline void place_remove(const char *path)
{
    (void)nftw(path, place_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void place_leave(void)
{
    place_remove(place_root);
}

/* Waits for a signal that all threads block. Those that are still at work may make the folder again for a moment: twice is enough. */
static void *place_watch(void *signals)
{
    int number = 0;
    (void)sigwait(signals, &number);
    place_leave();
    place_leave();
    _exit(128 + number);
}

/* Call first of all: threads made later inherit the mask. */
static inline void place_enter(const char *name)
{
    static sigset_t signals;
    pthread_t watch;
    (void)snprintf(place_root, sizeof place_root, "/tmp/weir-%s-XXXXXX", name);
    if (!mkdtemp(place_root) || atexit(place_leave)) bench_die("no folder below /tmp");
    (void)sigemptyset(&signals);
    (void)sigaddset(&signals, SIGINT);
    (void)sigaddset(&signals, SIGTERM);
    (void)pthread_sigmask(SIG_BLOCK, &signals, NULL);
    if (pthread_create(&watch, NULL, place_watch, &signals) == 0) (void)pthread_detach(watch);
}

/* A path in the folder, which nobody has had before. */
static inline void place_path(char path[PLACE_PATH_MAX], const char *stem)
{
    static unsigned serial;
    (void)snprintf(path, PLACE_PATH_MAX, "%s/%s-%u", place_root, stem, serial++);
}

static inline void place_folder(char path[PLACE_PATH_MAX], const char *stem)
{
    place_path(path, stem);
    if (mkdir(path, 0700)) bench_die("cannot make a folder");
}

static inline double seconds_of(clockid_t clock)
{
    struct timespec t;
    (void)clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Resident bytes of this process, the page cache not counted. */
static inline uint64_t resident_bytes(void)
{
    char line[256];
    unsigned long long kib = 0;
    FILE *f = fopen("/proc/self/status", "re");
    while (f && fgets(line, sizeof line, f)) {
        if (sscanf(line, "VmRSS: %llu kB", &kib) == 1) break;
    }
    if (f) (void)fclose(f);
    return kib * 1024;
}

/* Waits until what works in the background (compaction) is done: until the process has hardly used a core for a while. */
static inline void wait_until_quiet(double seconds_max)
{
    double end = seconds_of(CLOCK_MONOTONIC) + seconds_max;
    for (int quiet = 0; quiet < 3 && seconds_of(CLOCK_MONOTONIC) < end;) {
        double cpu = seconds_of(CLOCK_PROCESS_CPUTIME_ID);
        (void)usleep(10000);
        quiet = seconds_of(CLOCK_PROCESS_CPUTIME_ID) - cpu < 0.0005 ? quiet + 1 : 0;
    }
}

#endif
