/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The artifact store: plugins by the SHA-256 of their bytes, in a folder of the JobManager.
 *
 *     DIR/lock                 held while a JobManager uses DIR: two never share one
 *     DIR/artifacts/HEX        a plugin; HEX = 64 hex digits, the only names ever opened, so no request can name another file
 *     DIR/artifacts/HEX.name   the name under which it was uploaded
 *     DIR/artifacts/.up-HEX    an unfinished upload; removed at start, at failure, and when nobody touches it for STORE_UPLOAD_IDLE_MS
 *
 * A plugin appears under its digest only when it is whole, passed the check given to store_open, and is on the disk: temporary name, fsync,
 * rename, fsync of the folder. So what is listed is complete, whatever crashed when. Chunks start their way to the disk as they come
 * (sync_file_range), so that the fsync at the end is short: the caller's loop waits for it. Owner: one thread.
 */
#ifndef WEIR_JOBMANAGER_STORE_H
#define WEIR_JOBMANAGER_STORE_H

#include "runtime/base/id.h"
#include "runtime/base/limits.h"
#include "weir/row.h"

#define STORE_ARTIFACTS_MAX 1000u    /* plugins; a further upload is refused with WEIR_E_LIMIT */
#define STORE_BYTES_MAX (8ull << 30) /* of all plugins and uploads together; a further upload is refused with WEIR_E_LIMIT */
#define STORE_UPLOADS_MAX 16u        /* under way at once; a further one is refused with WEIR_E_LIMIT */
#define STORE_UPLOAD_IDLE_MS 60000   /* an upload untouched for so long is given up, a finished one forgotten */
#define STORE_NAME_MAX 128u          /* bytes of the uploaded name; a longer one is cut */

struct store;

struct store_artifact {
    struct weir_digest digest;
    uint64_t size;
    int64_t uploaded_wall_ms;
    char name[STORE_NAME_MAX + 1];
};

/* A name as it may be shown: no control characters, no folders, cut to STORE_NAME_MAX bytes. */
void store_clean_name(const char *name, char out[static STORE_NAME_MAX + 1]);

/* Says whether these bytes may enter (api/src/note.h: note_check). */
typedef weir_err (*store_check_fn)(const void *data, size_t len, struct weir_diag *diag);

/*
 * Opens, makes the folder if need be, removes what crashed uploads left. check: NULL = everything may enter.
 * Errors: WEIR_E_EXISTS (another JobManager uses it), WEIR_E_IO, WEIR_E_NOT_FOUND (no parent folder), WEIR_E_NOMEM.
 */
weir_err store_open(struct store **out, const char *dir, store_check_fn check, struct weir_diag *diag);
void store_close(struct store **store);

/* ---- uploads ---- */

/* Begins an upload of `size` bytes. name: shown to people; borrowed. Errors: WEIR_E_ARGUMENT (size), WEIR_E_LIMIT, WEIR_E_IO. */
weir_err store_upload_begin(struct store *store, uint64_t size, const char *name, int64_t now_ms, struct weir_id *out,
                            struct weir_diag *diag);

/* The bytes must have this digest, or the upload fails with WEIR_E_CORRUPT: those that another JobManager sends. */
void store_upload_expect(struct store *store, struct weir_id upload, struct weir_digest digest);

struct store_progress {
    uint64_t received;
    bool complete; /* `artifact` is in the store */
    struct store_artifact artifact;
};
/*
 * Takes the chunk at `offset`. A chunk that is there already is taken again without effect, so a client may repeat what was not answered,
 * the last one too. Errors: WEIR_E_NOT_FOUND (no such upload), WEIR_E_ARGUMENT (gap, overlap, beyond the size; the upload goes on),
 *         WEIR_E_IO and those of the check: the upload is given up.
 */
weir_err store_upload_chunk(struct store *store, struct weir_id upload, uint64_t offset, struct weir_bytes chunk, int64_t now_ms,
                            struct store_progress *out, struct weir_diag *diag);
/* Gives up uploads nobody touches. */
void store_expire(struct store *store, int64_t now_ms);

/* ---- artifacts ---- */

uint32_t store_count(const struct store *store);
const struct store_artifact *store_at(const struct store *store, uint32_t index); /* in order of arrival; borrowed until the next change */
const struct store_artifact *store_find(const struct store *store, struct weir_digest digest); /* NULL: none */

/* Reads up to `len` bytes at `offset`; *got says how many there were. Errors: WEIR_E_NOT_FOUND, WEIR_E_IO. */
weir_err store_read(struct store *store, struct weir_digest digest, uint64_t offset, void *data, size_t len, size_t *got,
                    struct weir_diag *diag);
/* Errors: WEIR_E_NOT_FOUND, WEIR_E_IO. */
weir_err store_remove(struct store *store, struct weir_digest digest, struct weir_diag *diag);

#endif
