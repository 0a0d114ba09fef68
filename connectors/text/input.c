/* SPDX-License-Identifier: Apache-2.0 */
#include "connectors/text/input.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <zlib.h>
#include <zstd.h>

#define FEED_BYTES (64u << 10) /* compressed bytes read at a time */

/* One step of a decoder: takes from feed, writes up to `cap` bytes, sets at_boundary when a member has ended with the bytes taken so far.
 */
struct codec {
    const char *name;
    weir_err (*start)(struct input *in, struct weir_diag *diag);
    weir_err (*decode)(struct input *in, void *to, size_t cap, size_t *n, struct weir_diag *diag);
    void (*stop)(struct input *in);
};

struct input {
    const char *path;
    struct input_identity identity;
    int fd;
    int64_t at;                /* of the next byte to read from the file */
    const struct codec *codec; /* NULL: plain */
    unsigned char *feed;       /* FEED_BYTES of the file that wait for the decoder */
    size_t feed_begin, feed_end;
    bool at_boundary; /* the file may end here */
    z_stream gzip;
    ZSTD_DStream *zstd;
};

/* ---- the file -------------------------------------------------------------------------------------------------------------------- */

static bool ends_in(const char *path, const char *suffix)
{
    size_t n = strlen(path), m = strlen(suffix);
    return n > m && strcmp(path + n - m, suffix) == 0;
}

enum input_codec input_codec_of(const char *path)
{
    return ends_in(path, ".gz") ? INPUT_GZIP : ends_in(path, ".zst") ? INPUT_ZSTD : INPUT_PLAIN;
}

static weir_err identify(int fd, const char *path, struct input_identity *identity, struct weir_diag *diag)
{
    struct stat st;
    if (fstat(fd, &st)) return weir_fail_errno(diag, errno, "read %s", path);
    if (!S_ISREG(st.st_mode)) return weir_fail(diag, WEIR_E_ARGUMENT, "read %s: not a regular file", path);
    *identity = (struct input_identity){st.st_size, (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec};
    return WEIR_OK;
}

static weir_err open_file(const char *path, int *fd, struct input_identity *identity, struct weir_diag *diag)
{
    *fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe in the folder must not keep us waiting for its writer */
    if (*fd < 0) return weir_fail_errno(diag, errno, "read %s", path);
    weir_err err = identify(*fd, path, identity, diag);
    if (err) {
        close(*fd);
        *fd = -1;
    }
    return err;
}

weir_err input_identify(const char *path, struct input_identity *identity, struct weir_diag *diag)
{
    int fd;
    weir_err err = open_file(path, &fd, identity, diag);
    if (!err) close(fd);
    return err;
}

static weir_err compare(const char *path, const struct input_identity *now, const struct input_identity *then, struct weir_diag *diag)
{
    if (now->size < then->size) {
        return weir_fail(diag, WEIR_E_CORRUPT,
                         "%s: byte %" PRId64 ": the file has shrunk since the job was submitted, from %" PRId64 " bytes", path, now->size,
                         then->size);
    }
    if (now->size == then->size && now->mtime_ns == then->mtime_ns) return WEIR_OK;
    return weir_fail(diag, WEIR_E_CORRUPT, "%s: the file has changed since the job was submitted (size %" PRId64 " then, %" PRId64 " now)",
                     path, then->size, now->size);
}

weir_err input_check_unchanged(const struct input *input, struct weir_diag *diag)
{
    struct input_identity now;
    weir_err err = identify(input->fd, input->path, &now, diag);
    return err ? err : compare(input->path, &now, &input->identity, diag);
}

/* Reads at input->at, never past the size the file had; *n = 0 only there. */
static weir_err read_file(struct input *in, void *to, size_t cap, size_t *n, struct weir_diag *diag)
{
    *n = 0;
    if (in->at >= in->identity.size) return WEIR_OK;
    if ((int64_t)cap > in->identity.size - in->at) cap = (size_t)(in->identity.size - in->at);
    ssize_t got;
    do got = pread(in->fd, to, cap, in->at);
    while (got < 0 && errno == EINTR);
    if (got < 0) return weir_fail_errno(diag, errno, "%s: byte %" PRId64, in->path, in->at);
    if (got == 0)
        return weir_fail(diag, WEIR_E_CORRUPT, "%s: byte %" PRId64 ": the file has shrunk since the job was submitted", in->path, in->at);
    in->at += got;
    *n = (size_t)got;
    return WEIR_OK;
}

/* ---- gzip ------------------------------------------------------------------------------------------------------------------------ */

static weir_err damaged(const struct input *in, const char *why, struct weir_diag *diag)
{
    int64_t at = in->at - (int64_t)(in->feed_end - in->feed_begin);
    return weir_fail(diag, WEIR_E_CORRUPT, "%s: byte %" PRId64 " of the %s file: %s", in->path, at, in->codec->name, why);
}

static weir_err gzip_start(struct input *in, struct weir_diag *diag)
{
    if (inflateInit2(&in->gzip, 15 + 16) != Z_OK)
        return weir_fail(diag, WEIR_E_NOMEM, "%s: no memory to inflate", in->path); /* 16: gzip only */
    return WEIR_OK;
}

static weir_err gzip_decode(struct input *in, void *to, size_t cap, size_t *n, struct weir_diag *diag)
{
    size_t fed = in->feed_end - in->feed_begin;
    if (in->at_boundary && fed && inflateReset(&in->gzip) != Z_OK) return weir_fail(diag, WEIR_E_INTERNAL, "%s: inflateReset", in->path);
    if (fed) in->at_boundary = false; /* what follows a member must be another */
    if (cap > UINT32_MAX) cap = UINT32_MAX;
    in->gzip.next_in = in->feed + in->feed_begin;
    in->gzip.avail_in = (uInt)fed;
    in->gzip.next_out = to;
    in->gzip.avail_out = (uInt)cap;
    int result = inflate(&in->gzip, Z_NO_FLUSH);
    in->feed_begin = in->feed_end - in->gzip.avail_in;
    *n = cap - in->gzip.avail_out;
    if (result == Z_OK || result == Z_BUF_ERROR) return WEIR_OK; /* BUF: nothing more without more input */
    if (result == Z_MEM_ERROR) return weir_fail(diag, WEIR_E_NOMEM, "%s: no memory to inflate", in->path);
    if (result != Z_STREAM_END) return damaged(in, in->gzip.msg ? in->gzip.msg : "damaged", diag);
    in->at_boundary = true;
    return WEIR_OK;
}

static void gzip_stop(struct input *in)
{
    inflateEnd(&in->gzip);
}

static const struct codec gzip_codec = {"gzip", gzip_start, gzip_decode, gzip_stop};

/* ---- zstd ------------------------------------------------------------------------------------------------------------------------ */

static weir_err zstd_start(struct input *in, struct weir_diag *diag)
{
    in->zstd = ZSTD_createDStream();
    return in->zstd ? WEIR_OK : weir_fail(diag, WEIR_E_NOMEM, "%s: no memory to decompress", in->path);
}

static weir_err zstd_decode(struct input *in, void *to, size_t cap, size_t *n, struct weir_diag *diag)
{
    ZSTD_inBuffer from = {in->feed, in->feed_end, in->feed_begin};
    ZSTD_outBuffer into = {to, cap, 0};
    size_t result = ZSTD_decompressStream(in->zstd, &into, &from);
    in->feed_begin = from.pos;
    *n = into.pos;
    if (ZSTD_isError(result)) return damaged(in, ZSTD_getErrorName(result), diag);
    in->at_boundary = result == 0; /* else: a hint how much is still to come */
    return WEIR_OK;
}

static void zstd_stop(struct input *in)
{
    ZSTD_freeDStream(in->zstd);
}

static const struct codec zstd_codec = {"zstd", zstd_start, zstd_decode, zstd_stop};

/* ---- input ----------------------------------------------------------------------------------------------------------------------- */

static weir_err start(struct input *in, const struct input_identity *identity, int64_t offset, struct weir_diag *diag)
{
    struct input_identity now;
    weir_err err = open_file(in->path, &in->fd, &now, diag);
    if (!err) err = compare(in->path, &now, identity, diag);
    if (err) return err;
    in->identity = now;
    in->at = offset;
    (void)posix_fadvise(in->fd, offset, 0, POSIX_FADV_SEQUENTIAL); /* a hint: reads ahead further */
    enum input_codec codec = input_codec_of(in->path);
    if (codec == INPUT_PLAIN) return WEIR_OK;
    in->feed = malloc(FEED_BYTES);
    if (!in->feed) return weir_fail(diag, WEIR_E_NOMEM, "%s: no memory to read it", in->path);
    const struct codec *table = codec == INPUT_GZIP ? &gzip_codec : &zstd_codec;
    err = table->start(in, diag);
    if (!err) in->codec = table;
    return err;
}

weir_err input_open(struct input **out, const char *path, const struct input_identity *identity, int64_t offset, struct weir_diag *diag)
{
    struct input *in = calloc(1, sizeof *in);
    if (!in) return weir_fail(diag, WEIR_E_NOMEM, "%s: no memory to read it", path);
    in->path = path;
    in->fd = -1;
    weir_err err = start(in, identity, offset, diag);
    if (err) {
        input_close(&in);
        return err;
    }
    *out = in;
    return WEIR_OK;
}

void input_close(struct input **input)
{
    struct input *in = *input;
    if (!in) return;
    if (in->codec) in->codec->stop(in);
    if (in->fd >= 0) close(in->fd);
    free(in->feed);
    free(in);
    *input = NULL;
}

weir_err input_read(struct input *in, void *to, size_t cap, size_t *n, struct weir_diag *diag)
{
    if (!in->codec) return read_file(in, to, cap, n, diag);
    for (;;) {
        bool fed = in->feed_begin < in->feed_end;
        if (!fed) {
            in->feed_begin = in->feed_end = 0;
            weir_err err = read_file(in, in->feed, FEED_BYTES, &in->feed_end, diag);
            if (err) return err;
            fed = in->feed_end > 0;
        }
        *n = 0;
        if (!fed && in->at_boundary) return WEIR_OK; /* the end */
        weir_err err = in->codec->decode(in, to, cap, n, diag);
        if (err || *n) return err;
        if (!fed && !in->at_boundary) return damaged(in, "the file ends before its data does", diag);
    }
}
