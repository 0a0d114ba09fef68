/* SPDX-License-Identifier: Apache-2.0 */
#include "connectors/file/names.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- names ------------------------------------------------------------------------------------------------------------------------- */

void lineage_add(struct lineage *lineage, const char *job_id)
{
    char job[PART_JOB_DIGITS + 1];
    snprintf(job, sizeof job, "%.*s", PART_JOB_DIGITS, job_id);
    for (uint32_t i = 0; i < lineage->n; i++)
        if (strcmp(lineage->jobs[i], job) == 0) return;
    if (lineage->n == PART_LINEAGE_MAX) memmove(lineage->jobs[0], lineage->jobs[1], --lineage->n * sizeof lineage->jobs[0]);
    memcpy(lineage->jobs[lineage->n++], job, sizeof job);
}

bool lineage_has(const struct lineage *lineage, const char *job)
{
    for (uint32_t i = 0; lineage && i < lineage->n; i++)
        if (strcmp(lineage->jobs[i], job) == 0) return true;
    return false;
}

void name_plain(char to[PART_NAME_MAX], uint32_t subtask, uint32_t number)
{
    int n = snprintf(to, PART_NAME_MAX, "part-%05" PRIu32, subtask);
    if (number) snprintf(to + n, PART_NAME_MAX - (size_t)n, "-%" PRIu32, number);
}

void name_of_checkpoint(char to[PART_NAME_MAX], uint32_t subtask, const char *job_id, uint64_t checkpoint_id, uint32_t number)
{
    int n = snprintf(to, PART_NAME_MAX, "part-%05" PRIu32 "-%.*s-%" PRIu64, subtask, PART_JOB_DIGITS, job_id, checkpoint_id);
    if (number) snprintf(to + n, PART_NAME_MAX - (size_t)n, "-%" PRIu32, number);
}

void name_of_attempt(char to[PART_NAME_MAX], uint32_t subtask, const char *job_id, uint32_t attempt, uint32_t number)
{
    snprintf(to, PART_NAME_MAX, "part-%05" PRIu32 "-%.*s-a%" PRIu32 "-%" PRIu32, subtask, PART_JOB_DIGITS, job_id, attempt, number);
}

void name_temporary(char to[PART_NAME_MAX], uint32_t subtask, uint32_t number, const char *job_id, uint32_t attempt)
{
    snprintf(to, PART_NAME_MAX, ".part-%05" PRIu32 "-%" PRIu32 ".%.32s.%" PRIu32 ".tmp", subtask, number, job_id, attempt);
}

/* A run of `least` to 9 digits; *at moves behind it. */
static bool read_number(const char **at, size_t least, uint32_t *out)
{
    size_t n = strspn(*at, "0123456789");
    if (n < least || n > 9) return false;
    *out = (uint32_t)strtoul(*at, NULL, 10);
    *at += n;
    return true;
}

bool name_is_part(const char *name, struct part_name *out)
{
    *out = (struct part_name){0};
    if (strncmp(name, "part-", 5) != 0) return false;
    const char *at = name + 5;
    if (!read_number(&at, 5, &out->subtask)) return false;
    if (*at == '\0') return true;
    if (*at++ != '-') return false;
    if (strspn(at, "0123456789abcdef") == PART_JOB_DIGITS && at[PART_JOB_DIGITS] == '-') {
        memcpy(out->job, at, PART_JOB_DIGITS);
        return true;
    }
    return read_number(&at, 1, &out->number) && *at == '\0';
}

/* "JOB", "ATTEMPT" of ".part-NNNNN-K.JOB.ATTEMPT.tmp". */
static bool read_temporary(const char *name, const char **job, size_t *job_length, uint32_t *attempt)
{
    if (strncmp(name, ".part-", 6) != 0) return false;
    const char *end = strstr(name, ".tmp"), *dot = strchr(name + 6, '.');
    if (!end || end[4] != '\0' || !dot || dot >= end) return false;
    *job = dot + 1;
    const char *next = strchr(*job, '.');
    if (!next || next >= end) return false;
    *job_length = (size_t)(next - *job);
    *attempt = (uint32_t)strtoul(next + 1, NULL, 10);
    return true;
}

static bool is_of(const char *job, size_t length, const char *job_id)
{
    return length == strnlen(job_id, 32) && strncmp(job, job_id, length) == 0;
}

bool name_is_orphan(const char *name, const char *job_id, uint32_t attempt)
{
    const char *job;
    size_t length;
    uint32_t of;
    return read_temporary(name, &job, &length, &of) && is_of(job, length, job_id) && of < attempt;
}

bool name_is_left_over(const char *name, const char *job_id)
{
    const char *job;
    size_t length;
    uint32_t of;
    return read_temporary(name, &job, &length, &of) && !is_of(job, length, job_id);
}

bool name_join(char to[PATH_MAX], const char *dir, const char *name)
{
    int len = snprintf(to, PATH_MAX, "%s/%s", dir, name);
    return len > 0 && len < PATH_MAX;
}

/* ---- folders ----------------------------------------------------------------------------------------------------------------------- */

static weir_err too_long(const char *dir, struct weir_diag *diag)
{
    return weir_fail_errno(diag, ENAMETOOLONG, "write to folder %s", dir);
}

weir_err folder_sync(const char *dir, struct weir_diag *diag)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return weir_fail_errno(diag, errno, "open folder %s", dir);
    int result = fsync(fd);
    int cause = errno;
    close(fd);
    return result ? weir_fail_errno(diag, cause, "fsync folder %s", dir) : WEIR_OK;
}

/* Makes path[0..len) if it is missing, and its name durable in `path`'s parent. */
static weir_err make_one(char *path, size_t len, struct weir_diag *diag)
{
    char after = path[len];
    path[len] = '\0';
    weir_err err = WEIR_OK;
    if (mkdir(path, 0777) == 0) {
        char *slash = strrchr(path, '/');
        char parent[PATH_MAX] = "/";
        if (slash > path) snprintf(parent, sizeof parent, "%.*s", (int)(slash - path), path);
        err = folder_sync(parent, diag);
    } else if (errno != EEXIST) {
        err = weir_fail_errno(diag, errno, "make folder %s", path);
    }
    path[len] = after;
    return err;
}

weir_err folder_make_all(const char *dir, struct weir_diag *diag)
{
    char path[PATH_MAX];
    size_t len = strlen(dir);
    if (len >= sizeof path) return too_long(dir, diag);
    memcpy(path, dir, len + 1);
    while (len > 1 && path[len - 1] == '/') path[--len] = '\0';
    struct stat st;
    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode)) return WEIR_OK; /* parents may be out of our reach */
    weir_err err = WEIR_OK;
    for (size_t i = 1; i <= len && !err; i++) {
        if ((i == len || path[i] == '/') && path[i - 1] != '/') err = make_one(path, i, diag);
    }
    if (err) return err;
    if (stat(path, &st)) return weir_fail_errno(diag, errno, "make folder %s", path);
    return S_ISDIR(st.st_mode) ? WEIR_OK : weir_fail_errno(diag, ENOTDIR, "make folder %s", path);
}

weir_err folder_each(const char *dir, folder_visit_fn visit, void *arg, struct weir_diag *diag)
{
    DIR *d = opendir(dir);
    if (!d) return weir_fail_errno(diag, errno, "open folder %s", dir);
    weir_err err = WEIR_OK;
    while (!err) {
        errno = 0;
        struct dirent *entry = readdir(d);
        if (!entry && errno) err = weir_fail_errno(diag, errno, "read folder %s", dir);
        if (!entry) break;
        err = visit(arg, dir, entry->d_name, diag);
    }
    closedir(d);
    return err;
}

weir_err folder_remove_file(const char *dir, const char *name, struct weir_diag *diag)
{
    char path[PATH_MAX];
    if (!name_join(path, dir, name)) return too_long(dir, diag);
    if (unlink(path) && errno != ENOENT) return weir_fail_errno(diag, errno, "remove %s", path);
    return WEIR_OK;
}

struct finding {
    const struct lineage *lineage;
    bool found;
    char *name;
};

static weir_err see_part(void *arg, const char *dir, const char *name, struct weir_diag *diag)
{
    struct finding *f = arg;
    struct part_name part;
    (void)dir, (void)diag;
    if (!name_is_part(name, &part) || lineage_has(f->lineage, part.job)) return WEIR_OK;
    f->found = true;
    snprintf(f->name, PART_NAME_MAX, "%.*s", PART_NAME_MAX - 1, name);
    return WEIR_OK;
}

weir_err folder_find_foreign(const char *dir, const struct lineage *lineage, bool *found, char name[PART_NAME_MAX], struct weir_diag *diag)
{
    struct finding f = {lineage, false, name};
    weir_err err = folder_each(dir, see_part, &f, diag);
    if (!err) *found = f.found;
    return err;
}

static bool is_foreign(const struct folder_cleaning *how, const char *name)
{
    struct part_name part;
    if (!name_is_part(name, &part)) return name_is_left_over(name, how->job_id);
    if (part.job[0]) return !lineage_has(how->lineage, part.job);
    return part.subtask == how->own ? part.number >= how->n_own : part.subtask >= how->from;
}

static weir_err remove_if_foreign(void *arg, const char *dir, const char *name, struct weir_diag *diag)
{
    return is_foreign(arg, name) ? folder_remove_file(dir, name, diag) : WEIR_OK;
}

weir_err folder_remove_foreign(const char *dir, const struct folder_cleaning *how, struct weir_diag *diag)
{
    struct folder_cleaning copy = *how;
    return folder_each(dir, remove_if_foreign, &copy, diag);
}
