/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/faultfs/faultfs.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#include "weir/base.h"

/* ---- what is to fail ----------------------------------------------------------------------------------------------------------------- */

static struct {
    pthread_mutex_t lock;
    char path[256];
    uint32_t ops;
    uint64_t n, seen;
    int errnum; /* 0: it does not fail */
    int delay_ms;
    bool sticky;
    uint32_t failed;
    char first[PATH_MAX]; /* path of the first that was failed */
} rule = {.lock = PTHREAD_MUTEX_INITIALIZER};

WEIR_EXPORT weir_fault_set_fn weir_fault_set;
WEIR_EXPORT weir_fault_count_fn weir_fault_count;

void weir_fault_set(const char *path, uint32_t ops, uint64_t n, int errnum, bool sticky)
{
    pthread_mutex_lock(&rule.lock);
    snprintf(rule.path, sizeof rule.path, "%s", path);
    rule.ops = ops;
    rule.n = n;
    rule.seen = 0;
    rule.errnum = errnum;
    rule.delay_ms = 0;
    rule.sticky = sticky;
    rule.failed = 0;
    rule.first[0] = '\0';
    pthread_mutex_unlock(&rule.lock);
}

uint64_t weir_fault_count(uint32_t *failed, char *path, size_t size)
{
    pthread_mutex_lock(&rule.lock);
    uint64_t seen = rule.seen;
    if (failed) *failed = rule.failed;
    if (path) snprintf(path, size, "%s", rule.first);
    pthread_mutex_unlock(&rule.lock);
    return seen;
}

static void read_file(void);

/* True, and errno set: this call fails. */
static bool fails(uint32_t op, const char *path)
{
    read_file();
    pthread_mutex_lock(&rule.lock);
    bool now = false;
    if ((rule.ops & op) && rule.path[0] && strstr(path, rule.path)) {
        uint64_t number = ++rule.seen;
        now = rule.n && (number == rule.n || (rule.sticky && number > rule.n));
        if (now && !rule.failed) snprintf(rule.first, sizeof rule.first, "%s", path);
        if (now) rule.failed |= op;
    }
    int errnum = rule.errnum, delay_ms = rule.delay_ms;
    pthread_mutex_unlock(&rule.lock);
    if (!now) return false;
    if (errnum == WEIR_FAULT_CRASH) _exit(WEIR_FAULT_CRASH_EXIT);
    if (delay_ms) {
        struct timespec rest = {delay_ms / 1000, delay_ms % 1000 * 1000000L};
        nanosleep(&rest, NULL);
    }
    errno = errnum;
    return errnum != 0;
}

static bool fails_fd(uint32_t op, int fd)
{
    char name[64], path[PATH_MAX];
    int before = errno;
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(name, path, sizeof path - 1);
    errno = before;
    if (length <= 0) return false;
    path[length] = '\0';
    return fails(op, path);
}

/* ---- from the environment ------------------------------------------------------------------------------------------------------------ */

static uint32_t ops_of(const char *names)
{
    static const char *const all[] = {"open", "write",     "pwrite",    "fsync",           "fdatasync", "rename",
                                      "link", "ftruncate", "fallocate", "copy_file_range", "unlink",    "mkdir"};
    if (!names) return WEIR_FAULT_ALL;
    uint32_t ops = 0;
    while (*names) {
        size_t length = strcspn(names, ",");
        for (uint32_t i = 0; i < sizeof all / sizeof all[0]; i++)
            if (strlen(all[i]) == length && strncmp(all[i], names, length) == 0) ops |= 1u << i;
        names += length;
        names += *names == ',';
    }
    return ops;
}

static int errno_of(const char *text)
{
    if (!text || strcmp(text, "EIO") == 0) return EIO;
    if (strcmp(text, "crash") == 0) return WEIR_FAULT_CRASH;
    if (strcmp(text, "none") == 0) return 0;
    return strcmp(text, "ENOSPC") == 0 ? ENOSPC : atoi(text);
}

/*
 * FAULTFS_FILE: one line "PATH OPS N ERRNO STICKY DELAY_MS", looked at again when it has changed; without the file nothing fails. So a
 * test turns faults on and off in processes that run.
 */
static struct {
    char path[PATH_MAX];
    struct timespec changed;
    ino_t inode;
    bool there;
} control;

static void take_line(FILE *f)
{
    char path[256], ops[256], errnum[32];
    unsigned long long n;
    int sticky, delay_ms;
    if (fscanf(f, "%255s %255s %llu %31s %d %d", path, ops, &n, errnum, &sticky, &delay_ms) != 6) return;
    weir_fault_set(path, ops_of(strcmp(ops, "all") ? ops : NULL), n, errno_of(errnum), sticky);
    pthread_mutex_lock(&rule.lock);
    rule.delay_ms = delay_ms;
    pthread_mutex_unlock(&rule.lock);
}

static void read_file(void)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    struct stat st;
    int before = errno;
    if (!control.path[0]) return;
    pthread_mutex_lock(&lock);
    bool there = stat(control.path, &st) == 0;
    if (!there && control.there) weir_fault_set("", 0, 0, 0, false);
    if (there && (!control.there || st.st_ino != control.inode || st.st_mtim.tv_sec != control.changed.tv_sec ||
                  st.st_mtim.tv_nsec != control.changed.tv_nsec)) {
        FILE *f = fopen(control.path, "re");
        if (f) {
            take_line(f);
            fclose(f);
        }
        control.inode = st.st_ino;
        control.changed = st.st_mtim;
    }
    control.there = there;
    pthread_mutex_unlock(&lock);
    errno = before;
}

__attribute__((constructor)) static void read_environment(void)
{
    const char *file = getenv("FAULTFS_FILE");
    if (file) snprintf(control.path, sizeof control.path, "%s", file);
    const char *path = getenv("FAULTFS_PATH"), *n = getenv("FAULTFS_N"), *sticky = getenv("FAULTFS_STICKY");
    if (!path) return;
    weir_fault_set(path, ops_of(getenv("FAULTFS_OPS")), n ? strtoull(n, NULL, 10) : 1, errno_of(getenv("FAULTFS_ERRNO")),
                   sticky && strcmp(sticky, "1") == 0);
}

/* ---- the calls ----------------------------------------------------------------------------------------------------------------------- */

/* The next definition of the function this stands in, as a pointer of its type. */
#define REAL(name)                                              \
    __extension__({                                             \
        static __typeof__(&name) real_;                         \
        if (!real_) *(void **)&real_ = dlsym(RTLD_NEXT, #name); \
        real_;                                                  \
    })

static mode_t mode_argument(int flags, va_list args)
{
    return flags & (O_CREAT | __O_TMPFILE) ? (mode_t)va_arg(args, int) : 0;
}

#define OPEN(name)                                                        \
    WEIR_EXPORT int name(const char *path, int flags, ...)                \
    {                                                                     \
        va_list args;                                                     \
        va_start(args, flags);                                            \
        mode_t mode = mode_argument(flags, args);                         \
        va_end(args);                                                     \
        if ((flags & O_CREAT) && fails(WEIR_FAULT_OPEN, path)) return -1; \
        return REAL(name)(path, flags, mode);                             \
    }
OPEN(open)
OPEN(open64)

#define OPENAT(name)                                                      \
    WEIR_EXPORT int name(int dir, const char *path, int flags, ...)       \
    {                                                                     \
        va_list args;                                                     \
        va_start(args, flags);                                            \
        mode_t mode = mode_argument(flags, args);                         \
        va_end(args);                                                     \
        if ((flags & O_CREAT) && fails(WEIR_FAULT_OPEN, path)) return -1; \
        return REAL(name)(dir, path, flags, mode);                        \
    }
OPENAT(openat)
OPENAT(openat64)

WEIR_EXPORT ssize_t write(int fd, const void *data, size_t length)
{
    return fails_fd(WEIR_FAULT_WRITE, fd) ? -1 : REAL(write)(fd, data, length);
}

WEIR_EXPORT ssize_t pwrite(int fd, const void *data, size_t length, off_t at)
{
    return fails_fd(WEIR_FAULT_PWRITE, fd) ? -1 : REAL(pwrite)(fd, data, length, at);
}

WEIR_EXPORT ssize_t pwrite64(int fd, const void *data, size_t length, off64_t at)
{
    return fails_fd(WEIR_FAULT_PWRITE, fd) ? -1 : REAL(pwrite64)(fd, data, length, at);
}

/* No test pulls the plug, so one that does not fail need not wait for the disk. */
WEIR_EXPORT int fsync(int fd)
{
    return fails_fd(WEIR_FAULT_FSYNC, fd) ? -1 : 0;
}

WEIR_EXPORT int fdatasync(int fd)
{
    return fails_fd(WEIR_FAULT_FDATASYNC, fd) ? -1 : 0;
}

/* Libraries rest after a failure, RocksDB for a second; a test of many failures has no time for that. */
WEIR_EXPORT int usleep(useconds_t us)
{
    return REAL(usleep)(us < 1000 ? us : 1000);
}

/* Of two names the new one counts. */
WEIR_EXPORT int rename(const char *from, const char *to)
{
    return fails(WEIR_FAULT_RENAME, to) ? -1 : REAL(rename)(from, to);
}

WEIR_EXPORT int renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags)
{
    return fails(WEIR_FAULT_RENAME, to) ? -1 : REAL(renameat2)(from_dir, from, to_dir, to, flags);
}

WEIR_EXPORT int link(const char *from, const char *to)
{
    return fails(WEIR_FAULT_LINK, to) ? -1 : REAL(link)(from, to);
}

WEIR_EXPORT int linkat(int from_dir, const char *from, int to_dir, const char *to, int flags)
{
    return fails(WEIR_FAULT_LINK, to) ? -1 : REAL(linkat)(from_dir, from, to_dir, to, flags);
}

WEIR_EXPORT int unlink(const char *path)
{
    return fails(WEIR_FAULT_UNLINK, path) ? -1 : REAL(unlink)(path);
}

WEIR_EXPORT int unlinkat(int dir, const char *path, int flags)
{
    return fails(WEIR_FAULT_UNLINK, path) ? -1 : REAL(unlinkat)(dir, path, flags);
}

WEIR_EXPORT int remove(const char *path)
{
    return fails(WEIR_FAULT_UNLINK, path) ? -1 : REAL(remove)(path);
}

WEIR_EXPORT int rmdir(const char *path)
{
    return fails(WEIR_FAULT_UNLINK, path) ? -1 : REAL(rmdir)(path);
}

WEIR_EXPORT int mkdir(const char *path, mode_t mode)
{
    return fails(WEIR_FAULT_MKDIR, path) ? -1 : REAL(mkdir)(path, mode);
}

WEIR_EXPORT int ftruncate(int fd, off_t length)
{
    return fails_fd(WEIR_FAULT_FTRUNCATE, fd) ? -1 : REAL(ftruncate)(fd, length);
}

WEIR_EXPORT int ftruncate64(int fd, off64_t length)
{
    return fails_fd(WEIR_FAULT_FTRUNCATE, fd) ? -1 : REAL(ftruncate64)(fd, length);
}

WEIR_EXPORT int fallocate(int fd, int mode, off_t at, off_t length)
{
    return fails_fd(WEIR_FAULT_FALLOCATE, fd) ? -1 : REAL(fallocate)(fd, mode, at, length);
}

WEIR_EXPORT int fallocate64(int fd, int mode, off64_t at, off64_t length)
{
    return fails_fd(WEIR_FAULT_FALLOCATE, fd) ? -1 : REAL(fallocate64)(fd, mode, at, length);
}

WEIR_EXPORT ssize_t copy_file_range(int from, off64_t *from_at, int to, off64_t *to_at, size_t length, unsigned flags)
{
    return fails_fd(WEIR_FAULT_COPY, to) ? -1 : REAL(copy_file_range)(from, from_at, to, to_at, length, flags);
}

static bool disk_is_full(void)
{
    pthread_mutex_lock(&rule.lock);
    bool full = rule.failed && rule.errnum == ENOSPC;
    pthread_mutex_unlock(&rule.lock);
    return full;
}

/*
 * A disk that was full has no free blocks until the next rule: RocksDB looks, and where it finds room it revives its database in a thread
 * of its own, which in 7.8.3 fails an assertion when the manifest was written meanwhile.
 */
#define STATVFS(name)                                                    \
    WEIR_EXPORT int name(const char *path, struct name *out)             \
    {                                                                    \
        int rc = REAL(name)(path, out);                                  \
        if (rc == 0 && disk_is_full()) out->f_bfree = out->f_bavail = 0; \
        return rc;                                                       \
    }
STATVFS(statvfs)
STATVFS(statvfs64)
