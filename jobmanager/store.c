/* SPDX-License-Identifier: Apache-2.0 */
#include "jobmanager/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/clock.h"

#define UPLOAD_PREFIX ".up-"
#define NAME_SUFFIX ".name"

enum { FILE_NAME_MAX = WEIR_DIGEST_TEXT + 8 };

struct upload {
    bool used, complete;
    bool expects; /* artifact.digest */
    struct weir_id id;
    int fd; /* -1 once complete */
    uint64_t size, received;
    int64_t touched_ms;
    struct sha256 hash;
    struct store_artifact artifact; /* name from the start, the rest once complete */
};

struct store {
    int dir_fd, artifacts_fd, lock_fd;
    store_check_fn check;
    uint32_t n;
    struct store_artifact artifact[STORE_ARTIFACTS_MAX];
    struct upload upload[STORE_UPLOADS_MAX];
};

/* ---- files ---- */

static void upload_file(struct weir_id id, char out[static FILE_NAME_MAX])
{
    char hex[WEIR_ID_TEXT];
    (void)snprintf(out, FILE_NAME_MAX, UPLOAD_PREFIX "%s", id_text(id, hex));
}

static weir_err write_all(int fd, const void *data, size_t len, struct weir_diag *diag)
{
    for (size_t done = 0; done < len;) {
        ssize_t n = write(fd, (const char *)data + done, len - done);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return weir_fail_errno(diag, n < 0 ? errno : ENOSPC, "write to the store");
        done += (size_t)n;
    }
    return WEIR_OK;
}

static weir_err sync_folder(int fd, struct weir_diag *diag)
{
    return fsync(fd) == 0 ? WEIR_OK : weir_fail_errno(diag, errno, "sync the folder of the store");
}

/* A small file replaced as a whole: temporary name, fsync, rename, fsync of the folder. */
static weir_err write_small(int folder, const char *name, const char *text, struct weir_diag *diag)
{
    static const char temporary[] = UPLOAD_PREFIX "small";
    int fd = openat(folder, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) return weir_fail_errno(diag, errno, "write %s in the store", name);
    weir_err err = write_all(fd, text, strlen(text), diag);
    if (!err && fsync(fd) != 0) err = weir_fail_errno(diag, errno, "sync %s in the store", name);
    close(fd);
    if (!err && renameat(folder, temporary, folder, name) != 0) err = weir_fail_errno(diag, errno, "rename %s in the store", name);
    return err ? err : sync_folder(folder, diag);
}

/* Reads at most size - 1 bytes of a small file and ends them with a NUL. */
static weir_err read_small(int folder, const char *name, char *out, size_t size, struct weir_diag *diag)
{
    int fd = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0) return weir_fail_errno(diag, errno, "read %s in the store", name);
    ssize_t n;
    do n = read(fd, out, size - 1);
    while (n < 0 && errno == EINTR);
    int error = errno;
    close(fd);
    if (n < 0) return weir_fail_errno(diag, error, "read %s in the store", name);
    out[n] = '\0';
    return WEIR_OK;
}

/* ---- opening ---- */

void store_clean_name(const char *name, char out[static STORE_NAME_MAX + 1])
{
    const char *slash = strrchr(name, '/');
    (void)snprintf(out, STORE_NAME_MAX + 1, "%s", slash ? slash + 1 : name);
    for (char *p = out; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f) *p = '?';
}

static void load_name(struct store *s, struct store_artifact *a)
{
    char hex[WEIR_DIGEST_TEXT], file[FILE_NAME_MAX], text[STORE_NAME_MAX + 1];
    (void)snprintf(file, sizeof file, "%s" NAME_SUFFIX, digest_text(a->digest, hex));
    if (read_small(s->artifacts_fd, file, text, sizeof text, NULL)) text[0] = '\0';
    store_clean_name(text[0] ? text : hex, a->name);
}

static void load_artifact(struct store *s, const char *file)
{
    struct store_artifact a = {0};
    struct stat st;
    if (s->n == STORE_ARTIFACTS_MAX || !digest_parse(file, &a.digest)) return;
    if (fstatat(s->artifacts_fd, file, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(st.st_mode)) return;
    if (st.st_size <= 0 || (uint64_t)st.st_size > WEIR_PLUGIN_MAX) return;
    a.size = (uint64_t)st.st_size;
    a.uploaded_wall_ms = (int64_t)st.st_mtim.tv_sec * 1000 + st.st_mtim.tv_nsec / 1000000;
    load_name(s, &a);
    s->artifact[s->n++] = a;
}

static int by_arrival(const void *a, const void *b)
{
    const struct store_artifact *x = a, *y = b;
    if (x->uploaded_wall_ms != y->uploaded_wall_ms) return x->uploaded_wall_ms < y->uploaded_wall_ms ? -1 : 1;
    return memcmp(&x->digest, &y->digest, sizeof x->digest);
}

/* A name whose plugin never came: the crash was between the two. */
static bool is_orphan_name(struct store *s, const char *file)
{
    struct weir_digest ignored;
    char hex[WEIR_DIGEST_TEXT];
    size_t len = strlen(file), hex_len = sizeof hex - 1;
    if (len != hex_len + strlen(NAME_SUFFIX) || strcmp(file + hex_len, NAME_SUFFIX) != 0) return false;
    memcpy(hex, file, hex_len);
    hex[hex_len] = '\0';
    return digest_parse(hex, &ignored) && faccessat(s->artifacts_fd, hex, F_OK, 0) != 0;
}

static weir_err load(struct store *s, struct weir_diag *diag)
{
    int fd = openat(s->artifacts_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *folder = fd < 0 ? NULL : fdopendir(fd);
    if (!folder) {
        int error = errno;
        if (fd >= 0) close(fd);
        return weir_fail_errno(diag, error, "list the store");
    }
    for (struct dirent *e = readdir(folder); e; e = readdir(folder)) {
        bool upload = strncmp(e->d_name, UPLOAD_PREFIX, strlen(UPLOAD_PREFIX)) == 0; /* its process is gone: the lock is ours */
        if (upload || is_orphan_name(s, e->d_name))
            (void)unlinkat(s->artifacts_fd, e->d_name, 0);
        else
            load_artifact(s, e->d_name);
    }
    closedir(folder);
    qsort(s->artifact, s->n, sizeof s->artifact[0], by_arrival);
    return WEIR_OK;
}

static weir_err open_folder(int parent, const char *path, int *out, struct weir_diag *diag)
{
    if (mkdirat(parent, path, 0700) != 0 && errno != EEXIST) return weir_fail_errno(diag, errno, "make the folder %s", path);
    *out = openat(parent, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return *out < 0 ? weir_fail_errno(diag, errno, "open the folder %s", path) : WEIR_OK;
}

static weir_err take_lock(struct store *s, const char *dir, struct weir_diag *diag)
{
    s->lock_fd = openat(s->dir_fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (s->lock_fd < 0) return weir_fail_errno(diag, errno, "open %s/lock", dir);
    if (flock(s->lock_fd, LOCK_EX | LOCK_NB) == 0) return WEIR_OK;
    if (errno == EWOULDBLOCK)
        return weir_fail(diag, WEIR_E_EXISTS, "another JobManager uses the folder %s: give each its own --data-dir", dir);
    return weir_fail_errno(diag, errno, "lock %s/lock", dir);
}

weir_err store_open(struct store **out, const char *dir, store_check_fn check, struct weir_diag *diag)
{
    struct store *s = calloc(1, sizeof *s);
    if (!s) return weir_fail(diag, WEIR_E_NOMEM, "no memory for the store");
    s->dir_fd = s->artifacts_fd = s->lock_fd = -1;
    s->check = check;
    weir_err err = open_folder(AT_FDCWD, dir, &s->dir_fd, diag);
    if (!err) err = take_lock(s, dir, diag);
    if (!err) err = open_folder(s->dir_fd, "artifacts", &s->artifacts_fd, diag);
    if (!err) err = load(s, diag);
    if (err) {
        store_close(&s);
        return err;
    }
    *out = s;
    return WEIR_OK;
}

static void upload_drop(struct store *s, struct upload *u)
{
    char file[FILE_NAME_MAX];
    upload_file(u->id, file);
    if (u->fd >= 0) {
        close(u->fd);
        (void)unlinkat(s->artifacts_fd, file, 0);
    }
    *u = (struct upload){.fd = -1};
}

void store_close(struct store **store)
{
    struct store *s = *store;
    *store = NULL;
    if (!s) return;
    for (uint32_t i = 0; i < STORE_UPLOADS_MAX; i++)
        if (s->upload[i].used) upload_drop(s, &s->upload[i]);
    if (s->artifacts_fd >= 0) close(s->artifacts_fd);
    if (s->lock_fd >= 0) close(s->lock_fd);
    if (s->dir_fd >= 0) close(s->dir_fd);
    free(s);
}

/* ---- uploads ---- */

static uint64_t bytes_held(const struct store *s)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < s->n; i++) sum += s->artifact[i].size;
    for (uint32_t i = 0; i < STORE_UPLOADS_MAX; i++)
        if (s->upload[i].used && !s->upload[i].complete) sum += s->upload[i].size;
    return sum;
}

static struct upload *free_upload(struct store *s)
{
    for (uint32_t i = 0; i < STORE_UPLOADS_MAX; i++)
        if (!s->upload[i].used) return &s->upload[i];
    for (uint32_t i = 0; i < STORE_UPLOADS_MAX; i++) {
        if (!s->upload[i].complete) continue;
        upload_drop(s, &s->upload[i]); /* it is kept for repeated chunks only */
        return &s->upload[i];
    }
    return NULL;
}

weir_err store_upload_begin(struct store *store, uint64_t size, const char *name, int64_t now_ms, struct weir_id *out,
                            struct weir_diag *diag)
{
    if (size == 0 || size > WEIR_PLUGIN_MAX) return weir_fail(diag, WEIR_E_ARGUMENT, "a plugin has 1 ... %u bytes", WEIR_PLUGIN_MAX);
    if (store->n == STORE_ARTIFACTS_MAX)
        return weir_fail(diag, WEIR_E_LIMIT, "the store holds %u plugins, the most it can: delete some", STORE_ARTIFACTS_MAX);
    if (bytes_held(store) + size > STORE_BYTES_MAX)
        return weir_fail(diag, WEIR_E_LIMIT, "the store would hold more than %llu bytes: delete some plugins", STORE_BYTES_MAX);
    struct upload *u = free_upload(store);
    if (!u) return weir_fail(diag, WEIR_E_LIMIT, "%u uploads are under way, the most there can be: try again", STORE_UPLOADS_MAX);
    *u = (struct upload){.used = true, .id = id_random(), .size = size, .touched_ms = now_ms};
    char file[FILE_NAME_MAX];
    upload_file(u->id, file);
    u->fd = openat(store->artifacts_fd, file, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (u->fd < 0) {
        int error = errno;
        *u = (struct upload){.fd = -1};
        return weir_fail_errno(diag, error, "begin an upload");
    }
    sha256_init(&u->hash);
    store_clean_name(name, u->artifact.name);
    *out = u->id;
    return WEIR_OK;
}

static struct upload *find_upload(struct store *s, struct weir_id id)
{
    for (uint32_t i = 0; i < STORE_UPLOADS_MAX; i++)
        if (s->upload[i].used && id_equal(s->upload[i].id, id)) return &s->upload[i];
    return NULL;
}

void store_upload_expect(struct store *store, struct weir_id upload, struct weir_digest digest)
{
    struct upload *u = find_upload(store, upload);
    if (!u) return;
    u->expects = true;
    u->artifact.digest = digest;
}

static weir_err check_content(struct store *s, struct upload *u, struct weir_diag *diag)
{
    if (!s->check) return WEIR_OK;
    void *bytes = mmap(NULL, (size_t)u->size, PROT_READ, MAP_PRIVATE, u->fd, 0);
    if (bytes == MAP_FAILED) return weir_fail_errno(diag, errno, "map an upload");
    weir_err err = s->check(bytes, (size_t)u->size, diag);
    (void)munmap(bytes, (size_t)u->size);
    return err;
}

/* Makes the complete upload durable under its digest. */
static weir_err publish(struct store *s, struct upload *u, struct weir_diag *diag)
{
    char hex[WEIR_DIGEST_TEXT], from[FILE_NAME_MAX], name_file[FILE_NAME_MAX];
    digest_text(u->artifact.digest, hex);
    upload_file(u->id, from);
    (void)snprintf(name_file, sizeof name_file, "%s" NAME_SUFFIX, hex);
    if (fsync(u->fd) != 0) return weir_fail_errno(diag, errno, "sync an upload");
    weir_err err = write_small(s->artifacts_fd, name_file, u->artifact.name, diag);
    if (err) return err;
    if (renameat(s->artifacts_fd, from, s->artifacts_fd, hex) != 0) return weir_fail_errno(diag, errno, "rename an upload");
    return sync_folder(s->artifacts_fd, diag);
}

static weir_err finish(struct store *s, struct upload *u, struct weir_diag *diag)
{
    struct weir_digest digest = sha256_final(&u->hash);
    if (u->expects && !digest_equal(digest, u->artifact.digest))
        return weir_fail(diag, WEIR_E_CORRUPT, "the bytes have another SHA-256 than they were announced with");
    u->artifact.digest = digest;
    u->artifact.size = u->size;
    u->artifact.uploaded_wall_ms = clock_wall_ms();
    weir_err err = check_content(s, u, diag);
    const struct store_artifact *known = store_find(s, u->artifact.digest);
    if (!err && known) {
        u->artifact = *known; /* the same bytes: the first name stays */
        char file[FILE_NAME_MAX];
        upload_file(u->id, file);
        (void)unlinkat(s->artifacts_fd, file, 0);
    } else if (!err && s->n == STORE_ARTIFACTS_MAX) {
        err = weir_fail(diag, WEIR_E_LIMIT, "the store holds %u plugins, the most it can: delete some", STORE_ARTIFACTS_MAX);
    } else if (!err) {
        err = publish(s, u, diag);
        if (!err) s->artifact[s->n++] = u->artifact;
    }
    if (err) return err;
    close(u->fd);
    u->fd = -1;
    u->complete = true;
    return WEIR_OK;
}

static weir_err append(struct upload *u, struct weir_bytes chunk, struct weir_diag *diag)
{
    weir_err err = write_all(u->fd, chunk.data, chunk.length, diag);
    if (err) return err;
    (void)sync_file_range(u->fd, (off_t)u->received, chunk.length, SYNC_FILE_RANGE_WRITE);
    sha256_update(&u->hash, chunk.data, chunk.length);
    u->received += chunk.length;
    return WEIR_OK;
}

weir_err store_upload_chunk(struct store *store, struct weir_id upload, uint64_t offset, struct weir_bytes chunk, int64_t now_ms,
                            struct store_progress *out, struct weir_diag *diag)
{
    struct upload *u = find_upload(store, upload);
    if (!u)
        return weir_fail(diag, WEIR_E_NOT_FOUND, "there is no such upload: it ended, or was idle for %d s; start again",
                         STORE_UPLOAD_IDLE_MS / 1000);
    u->touched_ms = now_ms;
    bool known = offset <= u->received && chunk.length <= u->received - offset && chunk.length > 0;
    if (!known) {
        if (chunk.length == 0) return weir_fail(diag, WEIR_E_ARGUMENT, "a chunk of an upload has at least one byte");
        if (offset != u->received)
            return weir_fail(diag, WEIR_E_ARGUMENT, "the chunk begins at %" PRIu64 ", but %" PRIu64 " bytes are there", offset,
                             u->received);
        if (chunk.length > u->size - offset)
            return weir_fail(diag, WEIR_E_ARGUMENT, "the chunk ends beyond the %" PRIu64 " bytes announced", u->size);
        weir_err err = append(u, chunk, diag);
        if (!err && u->received == u->size) err = finish(store, u, diag);
        if (err) {
            upload_drop(store, u);
            return err;
        }
    }
    *out = (struct store_progress){.received = u->received, .complete = u->complete, .artifact = u->artifact};
    return WEIR_OK;
}

void store_expire(struct store *store, int64_t now_ms)
{
    for (uint32_t i = 0; i < STORE_UPLOADS_MAX; i++) {
        struct upload *u = &store->upload[i];
        if (u->used && now_ms - u->touched_ms > STORE_UPLOAD_IDLE_MS) upload_drop(store, u);
    }
}

/* ---- artifacts ---- */

uint32_t store_count(const struct store *store)
{
    return store->n;
}

const struct store_artifact *store_at(const struct store *store, uint32_t index)
{
    return &store->artifact[index];
}

const struct store_artifact *store_find(const struct store *store, struct weir_digest digest)
{
    for (uint32_t i = 0; i < store->n; i++)
        if (digest_equal(store->artifact[i].digest, digest)) return &store->artifact[i];
    return NULL;
}

weir_err store_read(struct store *store, struct weir_digest digest, uint64_t offset, void *data, size_t len, size_t *got,
                    struct weir_diag *diag)
{
    char hex[WEIR_DIGEST_TEXT];
    digest_text(digest, hex);
    if (!store_find(store, digest)) return weir_fail(diag, WEIR_E_NOT_FOUND, "there is no plugin %s", hex);
    int fd = openat(store->artifacts_fd, hex, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) return weir_fail_errno(diag, errno, "open the plugin %s", hex);
    size_t done = 0;
    ssize_t n = 1;
    while (done < len && n != 0) {
        n = pread(fd, (char *)data + done, len - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) break;
        done += (size_t)n;
    }
    int error = errno;
    close(fd);
    if (n < 0) return weir_fail_errno(diag, error, "read the plugin %s", hex);
    *got = done;
    return WEIR_OK;
}

weir_err store_remove(struct store *store, struct weir_digest digest, struct weir_diag *diag)
{
    char hex[WEIR_DIGEST_TEXT], name_file[FILE_NAME_MAX];
    digest_text(digest, hex);
    uint32_t i = 0;
    while (i < store->n && !digest_equal(store->artifact[i].digest, digest)) i++;
    if (i == store->n) return weir_fail(diag, WEIR_E_NOT_FOUND, "there is no plugin %s", hex);
    if (unlinkat(store->artifacts_fd, hex, 0) != 0 && errno != ENOENT) return weir_fail_errno(diag, errno, "delete the plugin %s", hex);
    (void)snprintf(name_file, sizeof name_file, "%s" NAME_SUFFIX, hex);
    (void)unlinkat(store->artifacts_fd, name_file, 0);
    store->n--;
    memmove(&store->artifact[i], &store->artifact[i + 1], (store->n - i) * sizeof store->artifact[0]);
    return sync_folder(store->artifacts_fd, diag);
}
