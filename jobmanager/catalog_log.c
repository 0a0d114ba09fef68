/* SPDX-License-Identifier: Apache-2.0 */
#include "jobmanager/catalog_log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/hash.h"

#define FILE_MAX ((size_t)4 << 30)
#define MAGIC UINT64_C(0x3130474c54414357) /* "WCATLG01" read as little-endian */
#define RECORD_MAGIC 0x43455257u           /* "WREC" */

enum record_kind { RECORD_PUT = 1, RECORD_DELETE = 2, RECORD_SYNCED = 3 };
enum { FLAG_LAST = 1 }; /* the last one of its batch */

/* Before each record; all fields little-endian, which is the byte order of all machines Weir runs on. */
struct head {
    uint32_t magic;
    uint32_t crc; /* CRC32C of what follows it, with key, value and padding */
    uint64_t batch;
    uint64_t version;
    uint32_t value_len;
    uint16_t key_len;
    uint8_t kind, flags;
};
static_assert(sizeof(struct head) == 32, "the format on disk");

struct catalog_log {
    char *dir, *path;
    int fd;
    uint64_t size;  /* of the file */
    uint64_t batch; /* the one that is being filled, or will be */
    uint64_t live;  /* bytes of records of what is alive */
    bool broken;
    struct buffer pending; /* of this batch: records not written yet */
    size_t last_head;      /* of the last record in it */
    uint32_t n, cap;
    struct catalog_entry *entries; /* in order of key */
};

/* ---- memory ---- */

static uint32_t place_of(const struct catalog_log *l, const char *key, bool *found)
{
    uint32_t lo = 0, hi = l->n;
    *found = false;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        int order = strcmp(l->entries[mid].key, key);
        if (order == 0) *found = true;
        if (order == 0) return mid;
        if (order < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

static uint64_t record_bytes(size_t key_len, size_t value_len)
{
    return (sizeof(struct head) + key_len + value_len + 7) & ~(uint64_t)7;
}

static void free_entry(struct catalog_log *l, struct catalog_entry *e)
{
    l->live -= record_bytes(strlen(e->key), e->value.length);
    free(e->key);
    free((void *)e->value.data);
}

static weir_err grow(struct catalog_log *l)
{
    if (l->n < l->cap) return WEIR_OK;
    uint32_t cap = l->cap ? 2 * l->cap : 64;
    struct catalog_entry *entries = realloc(l->entries, cap * sizeof *entries);
    if (!entries) return WEIR_E_NOMEM;
    l->entries = entries;
    l->cap = cap;
    return WEIR_OK;
}

static weir_err set(struct catalog_log *l, const char *key, size_t key_len, struct weir_bytes value, uint64_t version)
{
    char *name = strndup(key, key_len);
    unsigned char *bytes = malloc(value.length ? value.length : 1);
    if (!name || !bytes || grow(l)) {
        free(name);
        free(bytes);
        return WEIR_E_NOMEM;
    }
    if (value.length) memcpy(bytes, value.data, value.length);
    bool found;
    uint32_t at = place_of(l, name, &found);
    if (found)
        free_entry(l, &l->entries[at]);
    else
        memmove(&l->entries[at + 1], &l->entries[at], (l->n++ - at) * sizeof *l->entries);
    l->entries[at] = (struct catalog_entry){.key = name, .version = version, .value = {bytes, value.length}};
    l->live += record_bytes(key_len, value.length);
    return WEIR_OK;
}

static void unset(struct catalog_log *l, const char *key)
{
    bool found;
    uint32_t at = place_of(l, key, &found);
    if (!found) return;
    free_entry(l, &l->entries[at]);
    memmove(&l->entries[at], &l->entries[at + 1], (--l->n - at) * sizeof *l->entries);
}

const struct catalog_entry *catalog_log_get(const struct catalog_log *log, const char *key)
{
    bool found;
    uint32_t at = place_of(log, key, &found);
    return found ? &log->entries[at] : NULL;
}

const struct catalog_entry *catalog_log_all(const struct catalog_log *log, uint32_t *n)
{
    *n = log->n;
    return log->entries;
}

/* ---- records ---- */

static uint32_t record_crc(const void *record, size_t len)
{
    size_t from = offsetof(struct head, batch);
    return crc32c(0, (const unsigned char *)record + from, len - from);
}

static weir_err append(struct catalog_log *l, enum record_kind kind, const char *key, struct weir_bytes value, uint64_t version)
{
    size_t key_len = strlen(key), len = record_bytes(key_len, value.length), at = l->pending.len;
    unsigned char *p = buffer_extend(&l->pending, len);
    if (!p) return l->pending.err;
    memset(p, 0, len);
    struct head head = {.magic = RECORD_MAGIC,
                        .batch = l->batch,
                        .version = version,
                        .value_len = value.length,
                        .key_len = (uint16_t)key_len,
                        .kind = (uint8_t)kind};
    memcpy(p, &head, sizeof head);
    memcpy(p + sizeof head, key, key_len);
    if (value.length) memcpy(p + sizeof head + key_len, value.data, value.length);
    head.crc = record_crc(p, len);
    memcpy(p, &head, sizeof head);
    l->last_head = at;
    return WEIR_OK;
}

static void mark_last(struct catalog_log *l)
{
    unsigned char *p = (unsigned char *)l->pending.data + l->last_head;
    struct head head;
    memcpy(&head, p, sizeof head);
    head.flags |= FLAG_LAST;
    memcpy(p, &head, sizeof head);
    head.crc = record_crc(p, l->pending.len - l->last_head);
    memcpy(p, &head, sizeof head);
}

/* The length of the whole record at `data`; 0: there is none. */
static size_t check_record(const unsigned char *data, size_t left, struct head *out)
{
    if (left < sizeof *out) return 0;
    memcpy(out, data, sizeof *out);
    if (out->magic != RECORD_MAGIC || out->key_len > CATALOG_KEY_MAX || out->value_len > CATALOG_VALUE_MAX) return 0;
    size_t len = record_bytes(out->key_len, out->value_len);
    if (len > left || record_crc(data, len) != out->crc) return 0;
    if (memchr(data + sizeof *out, '\0', out->key_len)) return 0;
    return len;
}

/* ---- replay ---- */

struct replay {
    const unsigned char *data;
    size_t len, at;
    uint64_t batch; /* of the last good record */
    bool whole;     /* that batch has its last record */
};

static weir_err apply(struct catalog_log *l, const struct head *head, const unsigned char *record)
{
    const char *key = (const char *)record + sizeof *head;
    char name[CATALOG_KEY_MAX + 1];
    memcpy(name, key, head->key_len);
    name[head->key_len] = '\0';
    if (head->kind == RECORD_DELETE) unset(l, name);
    if (head->kind != RECORD_PUT) return WEIR_OK;
    return set(l, key, head->key_len, (struct weir_bytes){record + sizeof *head + head->key_len, head->value_len}, head->version);
}

/*
 * The bytes at r->at are no record. They are the torn end of the last batch, unless a record of a later batch, or the mark that this one
 * was synced, stands behind them: nothing is written behind a batch before that is durable.
 */
static bool is_torn_end(const struct replay *r)
{
    uint64_t damaged = r->whole ? r->batch + 1 : r->batch;
    for (size_t at = r->at; at + sizeof(struct head) <= r->len; at += 8) {
        struct head head;
        if (!check_record(r->data + at, r->len - at, &head)) continue;
        if (head.batch > damaged || (head.kind == RECORD_SYNCED && head.batch == damaged)) return false;
    }
    return true;
}

/* Applies whole batches only: *end is where the last one ends. */
static weir_err replay(struct catalog_log *l, const unsigned char *data, size_t len, size_t *end, struct weir_diag *diag)
{
    struct replay r = {.data = data, .len = len, .at = sizeof(uint64_t), .whole = true};
    size_t batch_at = r.at; /* where the batch that is being read began */
    *end = r.at;
    while (r.at < len) {
        struct head head;
        size_t n = check_record(data + r.at, len - r.at, &head);
        if (!n && is_torn_end(&r)) break;
        if (!n)
            return weir_fail(
                diag, WEIR_E_CORRUPT,
                "%s is damaged at byte %zu, in what had been committed: restore the file from a copy, or move the data folder away "
                "and submit the jobs again",
                l->path, r.at);
        if (r.whole) batch_at = r.at;
        r.at += n;
        r.batch = head.batch;
        r.whole = head.kind == RECORD_SYNCED || (head.flags & FLAG_LAST);
        if (!r.whole) continue;
        for (size_t at = batch_at; at < r.at;) {
            size_t length = check_record(data + at, len - at, &head);
            weir_err err = apply(l, &head, data + at);
            if (err) return weir_fail(diag, err, "no memory for %s", l->path);
            at += length;
        }
        *end = r.at;
    }
    l->batch = r.batch + 1;
    return WEIR_OK;
}

/* ---- files ---- */

static weir_err write_all(int fd, const void *data, size_t len, uint64_t offset)
{
    for (size_t done = 0; done < len;) {
        ssize_t n = pwrite(fd, (const char *)data + done, len - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return WEIR_E_IO;
        done += (size_t)n;
    }
    return WEIR_OK;
}

static weir_err sync_dir(const struct catalog_log *l, struct weir_diag *diag)
{
    int fd = open(l->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool ok = fd >= 0 && fsync(fd) == 0;
    if (!ok) (void)weir_fail_errno(diag, errno, "fsync %s", l->dir);
    if (fd >= 0) close(fd);
    return ok ? WEIR_OK : WEIR_E_IO;
}

static weir_err read_all(int fd, struct buffer *out)
{
    for (;;) {
        size_t len = out->len;
        unsigned char *p = buffer_extend(out, 1 << 16);
        if (!p) return out->err;
        ssize_t n = pread(fd, p, 1 << 16, (off_t)len);
        out->len = len + (n > 0 ? (size_t)n : 0);
        if (n < 0 && errno != EINTR) return WEIR_E_IO;
        if (n == 0) return WEIR_OK;
    }
}

/* A new file with what is alive as one batch, in place of the old one. *fd: the new one. */
static weir_err rewrite(struct catalog_log *l, struct weir_diag *diag)
{
    char temporary[PATH_MAX];
    uint64_t magic = MAGIC;
    snprintf(temporary, sizeof temporary, "%s.tmp", l->path);
    buffer_clear(&l->pending);
    weir_err err = WEIR_OK;
    for (uint32_t i = 0; i < l->n && !err; i++) err = append(l, RECORD_PUT, l->entries[i].key, l->entries[i].value, l->entries[i].version);
    if (err) return weir_fail(diag, err, "no memory to compact %s", l->path);
    if (l->pending.len) mark_last(l);
    int fd = open(temporary, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) return weir_fail_errno(diag, errno, "open %s", temporary);
    err = write_all(fd, &magic, sizeof magic, 0);
    if (!err) err = write_all(fd, l->pending.data, l->pending.len, sizeof magic);
    if (err || fsync(fd) || rename(temporary, l->path)) {
        err = weir_fail_errno(diag, errno, "write %s", temporary);
        close(fd);
        return err;
    }
    if (l->fd >= 0) close(l->fd);
    l->fd = fd;
    l->size = sizeof magic + l->pending.len;
    l->batch++;
    buffer_clear(&l->pending);
    return sync_dir(l, diag);
}

static weir_err load(struct catalog_log *l, struct weir_diag *diag)
{
    struct buffer data;
    buffer_init(&data, FILE_MAX);
    weir_err err = read_all(l->fd, &data);
    size_t end = 0;
    uint64_t magic = 0;
    if (err) {
        err = weir_fail(diag, err, "cannot read %s", l->path);
    } else if (data.len < sizeof magic) {
        err = weir_fail(diag, WEIR_E_CORRUPT, "%s has no head: it is not a catalog", l->path);
    } else {
        memcpy(&magic, data.data, sizeof magic);
        if (magic != MAGIC)
            err = weir_fail(diag, WEIR_E_UNSUPPORTED, "%s is no catalog of this version of Weir", l->path);
        else
            err = replay(l, data.data, data.len, &end, diag);
    }
    bool torn = !err && end < data.len;
    l->size = end;
    if (torn && (ftruncate(l->fd, (off_t)end) || fdatasync(l->fd))) err = weir_fail_errno(diag, errno, "cut the torn end off %s", l->path);
    buffer_close(&data);
    return err;
}

weir_err catalog_log_open(struct catalog_log **out, const char *dir, struct weir_diag *diag)
{
    char path[PATH_MAX];
    struct catalog_log *l = calloc(1, sizeof *l);
    if (!l) return weir_fail(diag, WEIR_E_NOMEM, "no memory for the catalog");
    snprintf(path, sizeof path, "%s/" CATALOG_LOG_NAME, dir);
    l->dir = strdup(dir);
    l->path = strdup(path);
    l->fd = -1;
    weir_err err = WEIR_OK;
    if (!l->dir || !l->path) err = weir_fail(diag, WEIR_E_NOMEM, "no memory for the catalog");
    if (!err) l->fd = open(path, O_RDWR | O_CLOEXEC);
    if (!err && l->fd < 0 && errno != ENOENT) err = weir_fail_errno(diag, errno, "open %s", path);
    if (!err) err = l->fd < 0 ? rewrite(l, diag) : load(l, diag);
    if (err) {
        catalog_log_close(&l);
        return err;
    }
    *out = l;
    return WEIR_OK;
}

void catalog_log_close(struct catalog_log **log)
{
    struct catalog_log *l = *log;
    *log = NULL;
    if (!l) return;
    while (l->n) unset(l, l->entries[l->n - 1].key);
    if (l->fd >= 0) close(l->fd);
    buffer_close(&l->pending);
    free(l->entries);
    free(l->dir);
    free(l->path);
    free(l);
}

/* ---- changes ---- */

static enum catalog_outcome admit(const struct catalog_log *l, const char *key, uint64_t expected, struct weir_diag *diag)
{
    const struct catalog_entry *e = catalog_log_get(l, key);
    if (l->broken) {
        (void)weir_fail(diag, WEIR_E_IO, "%s could not be written before; start the JobManager again", l->path);
        return CATALOG_REFUSED;
    }
    if ((e ? e->version : 0) == expected) return CATALOG_COMMITTED;
    (void)weir_fail(diag, WEIR_E_STATE, "%s has version %" PRIu64 ", not %" PRIu64, key, e ? e->version : 0, expected);
    return CATALOG_CONFLICT;
}

static enum catalog_outcome no_memory(struct catalog_log *l, struct weir_diag *diag)
{
    l->broken = true; /* memory and batch may differ now */
    (void)weir_fail(diag, WEIR_E_NOMEM, "no memory for the catalog");
    return CATALOG_UNKNOWN;
}

enum catalog_outcome catalog_log_put(struct catalog_log *log, const char *key, struct weir_bytes value, uint64_t expected,
                                     uint64_t *version, struct weir_diag *diag)
{
    enum catalog_outcome outcome = admit(log, key, expected, diag);
    if (outcome != CATALOG_COMMITTED) return outcome;
    if (append(log, RECORD_PUT, key, value, expected + 1) || set(log, key, strlen(key), value, expected + 1)) return no_memory(log, diag);
    *version = expected + 1;
    return CATALOG_COMMITTED;
}

enum catalog_outcome catalog_log_delete(struct catalog_log *log, const char *key, uint64_t expected, struct weir_diag *diag)
{
    enum catalog_outcome outcome = admit(log, key, expected, diag);
    if (outcome != CATALOG_COMMITTED || !expected) return outcome;
    if (append(log, RECORD_DELETE, key, (struct weir_bytes){0}, expected)) return no_memory(log, diag);
    unset(log, key);
    return CATALOG_COMMITTED;
}

/* The mark that the batch was synced; written behind it and not synced itself: it only helps to tell damage from a torn end. */
static void mark_synced(struct catalog_log *l, uint64_t batch)
{
    l->batch = batch;
    if (append(l, RECORD_SYNCED, "", (struct weir_bytes){0}, 0) == WEIR_OK && !write_all(l->fd, l->pending.data, l->pending.len, l->size))
        l->size += l->pending.len;
    else
        l->broken = true;
    buffer_clear(&l->pending);
    l->batch = batch + 1;
}

weir_err catalog_log_sync(struct catalog_log *log, struct weir_diag *diag)
{
    if (log->broken) return weir_fail(diag, WEIR_E_IO, "%s could not be written before; start the JobManager again", log->path);
    if (!log->pending.len) return WEIR_OK;
    mark_last(log);
    if (write_all(log->fd, log->pending.data, log->pending.len, log->size) || fdatasync(log->fd)) {
        log->broken = true;
        return weir_fail_errno(diag, errno, "write %s", log->path);
    }
    log->size += log->pending.len;
    buffer_clear(&log->pending);
    mark_synced(log, log->batch);
    if (log->size < CATALOG_COMPACT_BYTES || log->size < 2 * log->live) return WEIR_OK;
    weir_err err = rewrite(log, diag);
    if (err) log->broken = true;
    return err;
}
