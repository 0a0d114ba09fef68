/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/coord/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

#include "runtime/base/assert.h"
#include "runtime/coord/epochs.h"
#include "runtime/coord/message.h"

#define LOCK_FILE "lock"
#define INSTALL_FILE "install.tmp"
#define KEEP_SNAPSHOTS 3u
#define KEEP_MAX 16u

static_assert(RECORD_ENTRY_MAX >= ZAB_ENTRY_MAX, "the log takes every entry");
static_assert(SNAPSHOT_MEMBERS_MAX >= ZAB_MEMBERS_BYTES, "a snapshot takes every list of members");

struct coord_disk {
    int folder, lock;
    uint64_t segment_bytes;
    uint32_t keep;
    struct epochs epochs;
    struct log_file *log;
    struct zxid snapshots[KEEP_MAX + 1]; /* of this generation, oldest first */
    uint32_t n_snapshots;
    struct snapshot_writer writer; /* fd -1: none */
    int install;                   /* INSTALL_FILE; -1: none */
    uint64_t installed;            /* bytes of it */
    bool failed;
};

static weir_err note_failure(struct coord_disk *d, weir_err err)
{
    if (err) d->failed = true;
    return err;
}

static weir_err usable(const struct coord_disk *d, struct weir_diag *diag)
{
    return d->failed ? weir_fail(diag, WEIR_E_IO, "the disk has failed before: this process must end") : WEIR_OK;
}

bool coord_disk_failed(const struct coord_disk *d)
{
    return d->failed;
}

struct zxid coord_disk_last(const struct coord_disk *d)
{
    return log_file_last(d->log);
}

struct zxid coord_disk_floor(const struct coord_disk *d)
{
    return log_file_floor(d->log);
}

/* ---- the folder ---------------------------------------------------------------------------------------------------------------- */

static weir_err take_lock(struct coord_disk *d, const char *folder, struct weir_diag *diag)
{
    d->folder = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (d->folder < 0) return weir_fail_errno(diag, errno, "open folder %s", folder);
    d->lock = openat(d->folder, LOCK_FILE, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (d->lock < 0) return weir_fail_errno(diag, errno, "open %s/%s", folder, LOCK_FILE);
    if (flock(d->lock, LOCK_EX | LOCK_NB) == 0) return WEIR_OK;
    return weir_fail(diag, WEIR_E_STATE, "%s is in use by another process; two peers never share a folder", folder);
}

static weir_err count_file(void *arg, struct coord_name name, struct weir_diag *diag)
{
    uint32_t *n = arg;
    (void)name;
    (void)diag;
    ++*n;
    return WEIR_OK;
}

/* No epochs: a folder that never held a peer, or one that has lost them. */
static weir_err begin_folder(struct coord_disk *d, const struct coord_disk_config *c, struct weir_diag *diag)
{
    uint32_t n = 0;
    weir_err err = file_list(d->folder, SEGMENT_KIND, count_file, &n, diag);
    if (!err) err = file_list(d->folder, SNAPSHOT_KIND, count_file, &n, diag);
    if (!err && n > 0)
        return weir_fail(diag, WEIR_E_CORRUPT,
                         "%s has a log or snapshots, but no file %s: what this peer has promised is lost; take the folder "
                         "away and let the peer fetch a snapshot from the others",
                         c->folder, EPOCHS_FILE);
    d->epochs = (struct epochs){.cluster = c->cluster, .peer = c->peer, .generation = 1};
    return err ? err : epochs_write(d->folder, &d->epochs, diag);
}

static weir_err find_epochs(struct coord_disk *d, const struct coord_disk_config *c, struct weir_diag *diag)
{
    weir_err err = epochs_read(d->folder, &d->epochs, diag);
    if (err == WEIR_E_NOT_FOUND) return begin_folder(d, c, diag);
    if (err) return err;
    if (!id_equal(d->epochs.cluster, c->cluster))
        return weir_fail(diag, WEIR_E_ARGUMENT, "%s belongs to a peer of another cluster", c->folder);
    if (d->epochs.peer != c->peer)
        return weir_fail(diag, WEIR_E_ARGUMENT, "%s belongs to peer %" PRIu32 ", not %" PRIu32, c->folder, d->epochs.peer, c->peer);
    return WEIR_OK;
}

/* What an interrupted installation or an older generation left. */
struct sweep {
    struct coord_disk *disk;
    const char *kind;
};

static weir_err sweep_one(void *arg, struct coord_name name, struct weir_diag *diag)
{
    const struct sweep *s = arg;
    char text[COORD_NAME_BYTES];
    if (name.generation == s->disk->epochs.generation) return WEIR_OK;
    coord_name_text(text, s->kind, name);
    return file_remove(s->disk->folder, text, diag);
}

static weir_err sweep_folder(struct coord_disk *d, struct weir_diag *diag)
{
    struct sweep log = {d, SEGMENT_KIND}, snapshots = {d, SNAPSHOT_KIND};
    weir_err err = file_list(d->folder, SEGMENT_KIND, sweep_one, &log, diag);
    if (!err) err = file_list(d->folder, SNAPSHOT_KIND, sweep_one, &snapshots, diag);
    if (!err) err = file_remove(d->folder, SNAPSHOT_TEMPORARY, diag);
    return err ? err : file_remove(d->folder, INSTALL_FILE, diag);
}

/* ---- snapshots that are there -------------------------------------------------------------------------------------------------- */

static weir_err remove_snapshot(struct coord_disk *d, uint32_t i, struct weir_diag *diag)
{
    char text[COORD_NAME_BYTES];
    coord_name_text(text, SNAPSHOT_KIND, (struct coord_name){d->epochs.generation, d->snapshots[i]});
    d->n_snapshots--;
    memmove(&d->snapshots[i], &d->snapshots[i + 1], (d->n_snapshots - i) * sizeof d->snapshots[0]);
    return file_remove(d->folder, text, diag);
}

/* Notes a snapshot as the newest; the oldest beyond what is kept goes. */
static weir_err note_snapshot(struct coord_disk *d, struct zxid zxid, struct weir_diag *diag)
{
    uint32_t i = d->n_snapshots;
    if (i > 0 && zxid_eq(d->snapshots[i - 1], zxid)) return WEIR_OK; /* the same again */
    d->snapshots[d->n_snapshots++] = zxid;
    return d->n_snapshots > d->keep ? remove_snapshot(d, 0, diag) : WEIR_OK;
}

static weir_err list_snapshot(void *arg, struct coord_name name, struct weir_diag *diag)
{
    struct coord_disk *d = arg;
    return name.generation == d->epochs.generation ? note_snapshot(d, name.zxid, diag) : WEIR_OK;
}

static weir_err open_snapshot(const struct coord_disk *d, uint32_t i, int *fd, char name[static COORD_NAME_BYTES], struct weir_diag *diag)
{
    coord_name_text(name, SNAPSHOT_KIND, (struct coord_name){d->epochs.generation, d->snapshots[i]});
    *fd = openat(d->folder, name, O_RDONLY | O_CLOEXEC);
    return *fd < 0 ? weir_fail_errno(diag, errno, "open %s", name) : WEIR_OK;
}

static weir_err read_snapshot(const struct coord_disk *d, uint32_t i, struct snapshot_info *info, struct coord_state *state,
                              struct weir_diag *diag)
{
    char name[COORD_NAME_BYTES];
    int fd;
    weir_err err = open_snapshot(d, i, &fd, name, diag);
    if (err) return err;
    err = snapshot_file_read(fd, name, info, state, diag);
    close(fd);
    if (!err && !zxid_eq(info->zxid, d->snapshots[i]))
        err = weir_fail(diag, WEIR_E_CORRUPT, "%s is another snapshot than its name says", name);
    return err;
}

/* A fresh state in the place of a half-read one. */
static weir_err renew(struct coord_state *state, struct weir_diag *diag)
{
    coord_state_close(state);
    return coord_state_init(state) ? weir_fail(diag, WEIR_E_NOMEM, "no memory for the tree") : WEIR_OK;
}

/*
 * Loads the newest snapshot that is whole. A damaged one is passed over when there is something else to stand on: an older one, or a log
 * that may reach back to the beginning. Its file stays until newer ones have taken its place.
 */
static weir_err load_newest(struct coord_disk *d, struct coord_state *state, struct snapshot_info *info, struct weir_diag *note,
                            struct weir_diag *diag)
{
    while (d->n_snapshots > 0) {
        weir_err err = read_snapshot(d, d->n_snapshots - 1, info, state, diag);
        bool last_resort = d->n_snapshots == 1 && !zxid_is_zero(d->epochs.base);
        if (err != WEIR_E_CORRUPT || last_resort) return err;
        if (note) {
            *note = *diag;
            weir_wrap(note, err, "a damaged snapshot is passed over");
        }
        err = renew(state, diag);
        if (err) return err;
        d->n_snapshots--;
    }
    return WEIR_OK;
}

/* ---- recovery ------------------------------------------------------------------------------------------------------------------ */

/* The log's entries on their way to the recovery. The floor is known with the first of them. */
struct replay {
    struct coord_disk *disk;
    struct zab_recovery *recovery;
    const struct snapshot_info *info; /* NULL: no snapshot */
    bool begun;
};

static weir_err begin_replay(struct replay *r, struct zxid floor, struct weir_diag *diag)
{
    r->begun = true;
    if (r->info) return recovery_snapshot(r->recovery, r->info->zxid, bytes_of(r->info->members, r->info->n_members), floor, diag);
    if (zxid_is_zero(floor)) return WEIR_OK;
    return weir_fail(diag, WEIR_E_CORRUPT,
                     "the log begins behind entry %" PRIu64 ".%" PRIu64 ", and there is no snapshot to begin with; take this "
                     "peer's folder away and let it fetch one from the others",
                     floor.epoch, floor.counter);
}

static weir_err replay_entry(void *arg, const struct zab_entry *entry, struct weir_diag *diag)
{
    struct replay *r = arg;
    weir_err err = r->begun ? WEIR_OK : begin_replay(r, entry->prev, diag);
    return err ? err : recovery_entry(r->recovery, entry, diag);
}

static weir_err recover_log(struct coord_disk *d, struct zab_recovery *recovery, const struct snapshot_info *info, struct weir_diag *diag)
{
    struct replay r = {.disk = d, .recovery = recovery, .info = info};
    weir_err err = log_file_open(&d->log, d->folder, d->epochs.generation, d->epochs.base, d->segment_bytes, replay_entry, &r, diag);
    if (!err && !r.begun) err = begin_replay(&r, log_file_last(d->log), diag);
    if (err) return err;
    if (info) recovery_committed(recovery, info->zxid);
    return recovery_check(recovery, diag);
}

static weir_err recover(struct coord_disk *d, const struct coord_disk_config *c, struct coord_state *state, struct zab_recovery *recovery,
                        struct weir_diag *note, struct weir_diag *diag)
{
    struct snapshot_info *info = malloc(sizeof *info);
    if (!info) return weir_fail(diag, WEIR_E_NOMEM, "no memory to recover %s", c->folder);
    weir_err err = find_epochs(d, c, diag);
    if (!err) err = sweep_folder(d, diag);
    if (!err) err = file_list(d->folder, SNAPSHOT_KIND, list_snapshot, d, diag);
    if (!err) err = load_newest(d, state, info, note, diag);
    if (!err && d->n_snapshots == 0 && !zxid_is_zero(d->epochs.base))
        err = weir_fail(diag, WEIR_E_CORRUPT, "%s: the snapshot that its log stands on is missing", c->folder);
    recovery_epochs(recovery, d->epochs.accepted, d->epochs.current);
    if (!err) err = recover_log(d, recovery, d->n_snapshots > 0 ? info : NULL, diag);
    free(info);
    return err;
}

weir_err coord_disk_open(struct coord_disk **out, const struct coord_disk_config *c, struct coord_state *state,
                         struct zab_recovery *recovery, struct weir_diag *note, struct weir_diag *diag)
{
    struct weir_diag own;
    struct coord_disk *d = calloc(1, sizeof *d);
    if (!diag) diag = &own;
    if (note) note->text[0] = '\0';
    if (!d) return weir_fail(diag, WEIR_E_NOMEM, "no memory for %s", c->folder);
    d->folder = d->lock = d->install = d->writer.fd = -1;
    d->segment_bytes = c->segment_bytes ? c->segment_bytes : LOG_SEGMENT_BYTES;
    d->keep = c->keep == 0 ? KEEP_SNAPSHOTS : c->keep > KEEP_MAX ? KEEP_MAX : c->keep;
    weir_err err = take_lock(d, c->folder, diag);
    if (!err) err = recover(d, c, state, recovery, note, diag);
    if (err)
        coord_disk_close(&d);
    else
        *out = d;
    return err;
}

void coord_disk_close(struct coord_disk **disk)
{
    struct coord_disk *d = *disk;
    if (!d) return;
    log_file_close(&d->log);
    snapshot_writer_close(&d->writer);
    if (d->install >= 0) close(d->install);
    if (d->lock >= 0) close(d->lock);
    if (d->folder >= 0) close(d->folder);
    free(d);
    *disk = NULL;
}

/* ---- log and epochs ------------------------------------------------------------------------------------------------------------ */

weir_err coord_disk_append(struct coord_disk *d, const struct zab_entry *entry, struct weir_diag *diag)
{
    weir_err err = usable(d, diag);
    return err ? err : note_failure(d, log_file_append(d->log, entry, diag));
}

weir_err coord_disk_sync(struct coord_disk *d, struct weir_diag *diag)
{
    weir_err err = usable(d, diag);
    return err ? err : note_failure(d, log_file_sync(d->log, diag));
}

weir_err coord_disk_truncate(struct coord_disk *d, struct zxid to, struct weir_diag *diag)
{
    weir_err err = usable(d, diag);
    if (err) return err;
    if (d->n_snapshots > 0 && zxid_cmp(to, d->snapshots[d->n_snapshots - 1]) < 0) /* ZOOKEEPER-1549 */
        return note_failure(d, weir_fail(diag, WEIR_E_CORRUPT, "asked to drop log entries that a snapshot already holds"));
    return note_failure(d, log_file_truncate(d->log, to, diag));
}

static weir_err write_epochs(struct coord_disk *d, const struct epochs *e, struct weir_diag *diag)
{
    weir_err err = coord_disk_sync(d, diag); /* a promise rests on the log before it (ZOOKEEPER-4643) */
    if (!err) err = note_failure(d, epochs_write(d->folder, e, diag));
    if (!err) d->epochs = *e;
    return err;
}

weir_err coord_disk_set_epochs(struct coord_disk *d, uint64_t accepted, uint64_t current, struct weir_diag *diag)
{
    struct epochs e = d->epochs;
    e.accepted = accepted;
    e.current = current;
    return write_epochs(d, &e, diag);
}

weir_err coord_disk_read_log(struct coord_disk *d, struct zxid after, segment_visit *visit, void *arg, struct weir_diag *diag)
{
    weir_err err = usable(d, diag);
    return err ? err : log_file_read(d->log, after, visit, arg, diag);
}

/* ---- a snapshot from another peer ---------------------------------------------------------------------------------------------- */

static weir_err begin_install(struct coord_disk *d, struct weir_diag *diag)
{
    if (d->install >= 0) close(d->install);
    d->installed = 0;
    d->install = openat(d->folder, INSTALL_FILE, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (d->install >= 0) return WEIR_OK;
    weir_fail_errno(diag, errno, "create %s", INSTALL_FILE);
    return WEIR_E_IO;
}

static weir_err nothing_to_replay(void *arg, const struct zab_entry *entry, struct weir_diag *diag)
{
    (void)arg;
    return weir_fail(diag, WEIR_E_CORRUPT, "a new generation of the log already holds entry %" PRIu64 ".%" PRIu64, entry->zxid.epoch,
                     entry->zxid.counter);
}

/* The checked file becomes snapshot and base of a new generation. The moment is the rename of the epochs. */
static weir_err switch_generation(struct coord_disk *d, struct zxid zxid, struct weir_diag *diag)
{
    struct epochs e = d->epochs;
    char name[COORD_NAME_BYTES];
    e.generation++;
    e.base = zxid;
    coord_name_text(name, SNAPSHOT_KIND, (struct coord_name){e.generation, zxid});
    weir_err err = file_rename(d->folder, INSTALL_FILE, name, diag);
    if (!err) err = write_epochs(d, &e, diag);
    if (err) return err;
    snapshot_writer_close(&d->writer);
    log_file_close(&d->log);
    d->snapshots[0] = zxid;
    d->n_snapshots = 1;
    err = sweep_folder(d, diag);
    return err ? err : log_file_open(&d->log, d->folder, e.generation, zxid, d->segment_bytes, nothing_to_replay, NULL, diag);
}

static weir_err end_install(struct coord_disk *d, struct zxid zxid, struct coord_state *state, struct weir_diag *diag)
{
    struct snapshot_info *info = malloc(sizeof *info);
    if (!info) return note_failure(d, weir_fail(diag, WEIR_E_NOMEM, "no memory to read %s", INSTALL_FILE));
    weir_err err = snapshot_file_read(d->install, "the snapshot received", info, state, diag);
    if (!err && !zxid_eq(info->zxid, zxid))
        err = weir_fail(diag, WEIR_E_CORRUPT, "the snapshot received is of another transaction than announced");
    free(info);
    if (err == WEIR_E_CORRUPT) return err;
    if (!err) err = file_sync(d->install, INSTALL_FILE, diag);
    close(d->install);
    d->install = -1;
    return note_failure(d, err ? err : switch_generation(d, zxid, diag));
}

weir_err coord_disk_install(struct coord_disk *d, struct zxid zxid, uint64_t offset, struct weir_bytes bytes, bool last,
                            struct coord_state *state, struct weir_diag *diag)
{
    weir_err err = usable(d, diag);
    if (!err && offset == 0) err = note_failure(d, begin_install(d, diag));
    if (err) return err;
    if (d->install < 0 || offset != d->installed) return weir_fail(diag, WEIR_E_CORRUPT, "a piece of a snapshot out of its order");
    err = note_failure(d, file_write(d->install, bytes.data, bytes.length, (off_t)offset, INSTALL_FILE, diag));
    d->installed += bytes.length;
    return err || !last ? err : end_install(d, zxid, state, diag);
}

/* ---- a snapshot for another peer ----------------------------------------------------------------------------------------------- */

static weir_err begin_transfer(struct coord_disk *d, struct coord_transfer *t, struct weir_diag *diag)
{
    char name[COORD_NAME_BYTES];
    coord_transfer_end(t);
    if (d->n_snapshots == 0) return weir_fail(diag, WEIR_E_NOT_FOUND, "there is no snapshot yet");
    weir_err err = open_snapshot(d, d->n_snapshots - 1, &t->fd, name, diag);
    if (!err) err = snapshot_file_read(t->fd, name, &t->info, NULL, diag); /* a damaged one is not passed on */
    if (!err) err = file_size(t->fd, &t->size, name, diag);
    if (err) coord_transfer_end(t);
    return err;
}

weir_err coord_disk_read_snapshot(struct coord_disk *d, struct coord_transfer *t, uint64_t offset, uint32_t max, struct buffer *out,
                                  bool *last, struct weir_diag *diag)
{
    size_t got;
    weir_err err = offset == 0 ? begin_transfer(d, t, diag) : WEIR_OK;
    if (err) return err;
    if (t->fd < 0 || offset > t->size) return weir_fail(diag, WEIR_E_STATE, "this transfer has not begun, or is at its end");
    uint32_t n = t->size - offset < max ? (uint32_t)(t->size - offset) : max;
    void *to = buffer_extend(out, n);
    if (!to) return weir_fail(diag, WEIR_E_NOMEM, "no memory to read a snapshot");
    err = file_read(t->fd, to, n, (off_t)offset, &got, "the newest snapshot", diag);
    if (!err && got < n) err = weir_fail(diag, WEIR_E_IO, "the newest snapshot has become shorter");
    *last = offset + n == t->size;
    return err;
}

void coord_transfer_end(struct coord_transfer *t)
{
    if (t->fd >= 0) close(t->fd);
    t->fd = -1;
}

/* ---- snapshots of its own ------------------------------------------------------------------------------------------------------ */

weir_err coord_disk_snapshot_begin(struct coord_disk *d, struct zxid zxid, struct weir_bytes members, struct weir_diag *diag)
{
    WEIR_ASSERT(d->writer.fd < 0);
    weir_err err = usable(d, diag);
    struct coord_name name = {d->epochs.generation, zxid};
    return err ? err : note_failure(d, snapshot_writer_begin(&d->writer, d->folder, name, members, diag));
}

weir_err coord_disk_snapshot_add(struct coord_disk *d, struct weir_bytes slice, struct weir_diag *diag)
{
    weir_err err = usable(d, diag);
    if (!err && d->writer.fd < 0) return weir_fail(diag, WEIR_E_STATE, "this snapshot was given up");
    return err ? err : note_failure(d, snapshot_writer_add(&d->writer, slice, diag));
}

weir_err coord_disk_snapshot_finish(struct coord_disk *d, struct zxid *floor, struct weir_diag *diag)
{
    struct zxid zxid = d->writer.name.zxid;
    weir_err err = coord_disk_sync(d, diag); /* a snapshot is never ahead of the log */
    if (!err && d->writer.fd < 0) return weir_fail(diag, WEIR_E_STATE, "this snapshot was given up");
    if (!err) err = note_failure(d, snapshot_writer_finish(&d->writer, diag));
    if (!err) err = note_failure(d, note_snapshot(d, zxid, diag));
    if (!err) err = note_failure(d, log_file_purge(d->log, d->snapshots[0], diag));
    if (!err) *floor = log_file_floor(d->log);
    return err;
}

void coord_disk_snapshot_give_up(struct coord_disk *d)
{
    snapshot_writer_close(&d->writer);
}
