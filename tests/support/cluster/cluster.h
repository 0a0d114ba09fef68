/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Real processes for the integration tests: a JobManager, TaskManagers and jobctl, as children of the test, in a private folder.
 *
 *     DIR/NAME.out, DIR/NAME.err   what a process wrote       DIR/jm   data of the JobManager       DIR/t   TMPDIR of everybody
 *
 * A test is a story:
 *
 *     STORY(a_job_is_canceled)
 *     {
 *         cluster_start(c, 2, 2);
 *         ...
 *     }
 *
 * Its end is checked as well: daemons still running must end by SIGTERM with status 0, and leave no process, file or socket
 * (cluster_close). Orphans become children of the test (PR_SET_CHILD_SUBREAPER), so a process that was left behind is seen whatever
 * happened to its parent. A failed story prints the logs and the command that repeats it.
 *
 * Every function fails the story (cmocka) when what it waits for does not come in time; nothing sleeps for a fixed time. Owner: the main
 * thread.
 */
#ifndef WEIR_TESTS_SUPPORT_CLUSTER_H
#define WEIR_TESTS_SUPPORT_CLUSTER_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define CLUSTER_PATH_MAX 256
#define CLUSTER_PROCS_MAX 64 /* processes of a story; the places of those that were forgotten, as runs of ctl are, are used again */
#define CLUSTER_ARGS_MAX 48
#define CLUSTER_WAIT_MS 30000 /* for anything that should happen soon; long, because the machine may be busy */

struct proc {
    char name[24];
    pid_t pid; /* 0 = has ended, or the place is free */
    bool used, daemon, forgotten;
    int code; /* once ended: exit status, or 128 + signal */
    char out[CLUSTER_PATH_MAX], err[CLUSTER_PATH_MAX];
};

struct cluster {
    char dir[64];
    char control[CLUSTER_PATH_MAX], admin[CLUSTER_PATH_MAX]; /* of the JobManager; "" = none was started */
    struct proc *jobmanager, *taskmanager[8];
    uint32_t n_taskmanagers;
    bool passed;
    bool dirty; /* the story left files on purpose: only processes and sockets are checked at its end */
    struct proc procs[CLUSTER_PROCS_MAX];
};

/* What jobctl said. */
struct said {
    int code;
    char *out, *err; /* whole texts */
};

/* ---- stories --------------------------------------------------------------------------------------------------------------------- */

#define STORY(name)                              \
    static void name##_story(struct cluster *c); \
    static void name(void **state)               \
    {                                            \
        struct cluster *c = *state;              \
        name##_story(c);                         \
        c->passed = true;                        \
    }                                            \
    static void name##_story(struct cluster *c)

#define STORY_TEST(name) cmocka_unit_test_setup_teardown(name, cluster_open, cluster_close)

int cluster_open(void **state);
int cluster_close(void **state);

/* argv[1], when given, names the one story to run. Returns the exit status; 77 when a story was skipped by story_skip and none failed. */
#define STORY_MAIN(...)                                                           \
    int main(int argc, char **argv)                                               \
    {                                                                             \
        const struct CMUnitTest stories[] = {__VA_ARGS__};                        \
        return story_main(argc, argv, stories, sizeof stories / sizeof *stories); \
    }
int story_main(int argc, char **argv, const struct CMUnitTest *stories, size_t n);
void story_skip(struct cluster *c, const char *why);

/* ---- processes -------------------------------------------------------------------------------------------------------------------- */

/* Starts argv[0] (a path, or the name of one of ours) with NULL-terminated argv; it ends with the test. */
struct proc *proc_start(struct cluster *c, const char *name, const char *const *argv);
/* Waits for its end; returns its exit status, or 128 + signal. */
int proc_wait(struct cluster *c, struct proc *p, int64_t within_ms);
bool proc_ended(struct cluster *c, struct proc *p); /* looks only */
/* Nobody asks for it any more: when it has ended another may have its place. */
void proc_forget(struct proc *p);
void proc_signal(struct proc *p, int signal_number);
/* Waits for the nth line (from 1) of its log that holds `text`; returns the line, in one of sixteen static places. */
const char *proc_wait_log(struct cluster *c, struct proc *p, const char *text, uint32_t nth);
uint32_t proc_count_log(const struct proc *p, const char *text);
/* Value of "key=" in a log line, up to the blank or its closing quote; in one of sixteen static places. */
const char *log_field(const char *line, const char *key);

/* A number of /proc/PID/status in kB, "VmHWM". 0: no such process or field. */
int64_t proc_status_kb(pid_t pid, const char *field);

/* All living descendants of the test whose program has this name ("weir-worker"); "" = all. Returns how many; fills up to max. */
uint32_t cluster_processes(struct cluster *c, const char *program, pid_t *out, uint32_t max);
/* Living children of one process with this program name. */
uint32_t proc_children(pid_t parent, const char *program, pid_t *out, uint32_t max);
/* Waits until so many are there. */
void cluster_wait_processes(struct cluster *c, const char *program, uint32_t n, int64_t within_ms);

/* ---- daemons ---------------------------------------------------------------------------------------------------------------------- */

/* A JobManager on tcp (ports of its own) or, with `ipc`, on DIR/control and DIR/admin; returns when it listens. */
void cluster_start_jobmanager(struct cluster *c, bool ipc);
/* A TaskManager "tm-N" of the JobManager; its data sockets are tcp, or ipc when the JobManager is. Does not wait. */
struct proc *cluster_start_taskmanager(struct cluster *c, uint32_t slots);
/* Waits until so many TaskManagers are registered. */
void cluster_wait_registered(struct cluster *c, size_t n);
/* JobManager on tcp and n TaskManagers, all registered. */
void cluster_start(struct cluster *c, uint32_t n_taskmanagers, uint32_t slots);

/* ---- jobctl ----------------------------------------------------------------------------------------------------------------------- */

/*
 * Runs jobctl with the NULL-terminated arguments, "--jobmanager ADMIN" in front when a JobManager was started, and waits for its end. The
 * texts last until the story ends or eight further runs have been made.
 */
struct said ctl(struct cluster *c, ...) __attribute__((sentinel));
/* The same with a time limit of its own. */
struct said ctl_within(struct cluster *c, int64_t within_ms, ...) __attribute__((sentinel));
/* Starts jobctl and does not wait. */
struct proc *ctl_start(struct cluster *c, ...) __attribute__((sentinel));
struct said proc_said(const struct proc *p);

/* Runs jobctl -o json with the arguments; fails unless it exits 0. The caller frees. */
json_t *ctl_json(struct cluster *c, ...) __attribute__((sentinel));

/* ---- jobs ------------------------------------------------------------------------------------------------------------------------- */

#define JOB_ID_MAX 40
/* jobctl run --detached with these arguments; fills the job's id. */
void job_submit(struct cluster *c, char id[static JOB_ID_MAX], ...) __attribute__((sentinel));
/* Its document. The caller frees. */
json_t *job_show(struct cluster *c, const char *id);
/* Waits until it is in this state; fails when it ends in another one. The caller frees. */
json_t *job_wait(struct cluster *c, const char *id, const char *state);
/* Waits until the sum of a user counter over subtasks is at least `least`. Returns the sum. */
int64_t job_wait_counter(struct cluster *c, const char *id, const char *operator_id, const char *name, int64_t least);
int64_t job_counter(const json_t *job, const char *operator_id, const char *name);
/* Sum of a metric over the vertices. */
int64_t job_metric(const json_t *job, const char *metric);
const char *json_text(const json_t *object, const char *key); /* "" when missing */
int64_t json_number(const json_t *object, const char *key);   /* INT64_MIN when missing */

/* ---- a neighbour: a healthy job that goes on whatever happens beside it ---------------------------------------------------------------
 */

struct neighbour {
    char id[JOB_ID_MAX];
    int64_t rows;
};
void neighbour_start(struct cluster *c, struct neighbour *n);
/* Same attempt, RUNNING, more rows than before; both TaskManagers registered; then its cancel works. */
void neighbour_is_well(struct cluster *c, struct neighbour *n);

/* ---- files ------------------------------------------------------------------------------------------------------------------------ */

/* Paths: kept until the program ends. */
const char *in_dir(const struct cluster *c, const char *name); /* "DIR/NAME" */
const char *job_plugin(const char *name);                      /* a plugin of tests/integration/jobs */
const char *example_plugin(const char *name);                  /* a plugin of api/examples */
const char *test_data(const char *name);                       /* a file of tests/data */
void file_write(const char *path, const void *data, size_t len);
char *file_read(const char *path, size_t *len); /* NUL-terminated; the caller frees. NULL: there is none */
bool file_exists(const char *path);
void file_gunzip(const char *from, const char *to);
/* Files in a folder and its sub-folders whose name begins with `prefix`; a missing folder has none. */
uint32_t files_with_prefix(const char *dir, const char *prefix);
/* SHA-256, in hex, of all lines of the files DIR/part-*, sorted by bytes; static. *lines: how many. */
const char *sorted_sha256(const char *dir, uint32_t *lines);
/* Entries of /proc/net/unix that name something below DIR. */
uint32_t sockets_below(const char *dir);

/* ---- time and text ------------------------------------------------------------------------------------------------------------------ */

int64_t now_ms(void);
/* The pause of a loop that looks until something is so: collects children, rests 5 ms. False when `deadline_ms` has passed. */
bool wait_a_little(struct cluster *c, int64_t deadline_ms);
/* The same with 40 ms, where looking costs a process or a walk through /proc. */
bool wait_a_while(struct cluster *c, int64_t deadline_ms);
/* Fails with both texts unless `text` holds `part`. */
void assert_has(const char *text, const char *part);
void assert_has_not(const char *text, const char *part);

#endif
