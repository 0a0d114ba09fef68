/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/net/pipe.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "runtime/base/assert.h"
#include "runtime/base/endian.h"

enum { HEADER = 4, READ_BYTES = 64 << 10 };

void pipe_init(struct pipe_end *p, int fd, uint32_t message_max)
{
    WEIR_ASSERT(message_max > HEADER);
    memset(p, 0, sizeof *p);
    p->fd = fd;
    p->message_max = message_max;
    buffer_init(&p->in, (size_t)message_max + HEADER + READ_BYTES);
    buffer_init(&p->out, (size_t)message_max * 4);
    int flags = fcntl(fd, F_GETFL);
    (void)fcntl(fd, F_SETFL, (flags < 0 ? 0 : flags) | O_NONBLOCK);
    (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
}

void pipe_close(struct pipe_end *p)
{
    if (p->fd >= 0) close(p->fd);
    p->fd = -1;
    buffer_close(&p->in);
    buffer_close(&p->out);
    p->in_read = p->out_written = 0;
}

/* Moves what is not consumed to the front, so that the bound of the buffer is a bound on unconsumed bytes. */
static void compact(struct buffer *b, size_t *consumed)
{
    if (*consumed == 0) return;
    size_t left = b->len - *consumed;
    if (left > 0) memmove(b->data, b->data + *consumed, left);
    b->len = left;
    *consumed = 0;
}

bool pipe_wants_write(const struct pipe_end *p)
{
    return p->fd >= 0 && p->out.len > p->out_written;
}

weir_err pipe_flush(struct pipe_end *p)
{
    if (p->fd < 0) return WEIR_E_UNREACHABLE;
    while (p->out_written < p->out.len) {
        ssize_t n = send(p->fd, p->out.data + p->out_written, p->out.len - p->out_written, MSG_NOSIGNAL);
        if (n > 0) {
            p->out_written += (size_t)n;
            continue;
        }
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS)) return WEIR_OK;
        return WEIR_E_UNREACHABLE;
    }
    buffer_clear(&p->out);
    p->out_written = 0;
    return WEIR_OK;
}

weir_err pipe_send(struct pipe_end *p, const void *data, size_t len)
{
    if (p->fd < 0) return WEIR_E_UNREACHABLE;
    size_t waiting = p->out.len - p->out_written;
    if (len > p->message_max || waiting + HEADER + len > (size_t)p->message_max * 4) return WEIR_E_LIMIT;
    compact(&p->out, &p->out_written);
    unsigned char *to = buffer_extend(&p->out, HEADER + len);
    if (!to) {
        weir_err err = p->out.err;
        p->out.err = WEIR_OK; /* nothing was appended: what waits is still whole */
        return err;
    }
    le_put(to, len, HEADER);
    if (len > 0) memcpy(to + HEADER, data, len);
    return pipe_flush(p);
}

/* The message at `at` when it is whole. *broken: its length is beyond the limit, so nothing behind it can be trusted. */
static bool whole_message(const struct pipe_end *p, size_t at, uint32_t *len, bool *broken)
{
    size_t have = p->in.len - at;
    if (have < HEADER) return false;
    *len = (uint32_t)le_get(p->in.data + at, HEADER);
    *broken = *len > p->message_max;
    return !*broken && have - HEADER >= *len;
}

static weir_err check_lengths(const struct pipe_end *p)
{
    size_t at = p->in_read;
    uint32_t len = 0;
    bool broken = false;
    while (whole_message(p, at, &len, &broken)) at += HEADER + len;
    return broken ? WEIR_E_CORRUPT : WEIR_OK;
}

/* One read. *more: the kernel may have more. */
static weir_err read_some(struct pipe_end *p, bool *more)
{
    *more = false;
    unsigned char *to = buffer_extend(&p->in, READ_BYTES);
    if (!to) {
        p->in.err = WEIR_OK; /* what is there stays whole; the caller may try again */
        return WEIR_E_NOMEM;
    }
    ssize_t n;
    do n = read(p->fd, to, READ_BYTES);
    while (n < 0 && errno == EINTR);
    int error = errno;
    p->in.len -= READ_BYTES - (n > 0 ? (size_t)n : 0);
    if (n > 0) {
        *more = true;
        return WEIR_OK;
    }
    return n < 0 && (error == EAGAIN || error == EWOULDBLOCK) ? WEIR_OK : WEIR_E_UNREACHABLE;
}

weir_err pipe_fill(struct pipe_end *p)
{
    if (p->fd < 0) return WEIR_E_UNREACHABLE;
    compact(&p->in, &p->in_read);
    bool more = true;
    weir_err err = WEIR_OK;
    /* A buffer with message_max + HEADER bytes holds at least one whole message: the rest stays with the kernel until it is taken. */
    while (!err && more && p->in.len < (size_t)p->message_max + HEADER) err = read_some(p, &more);
    weir_err bad = check_lengths(p);
    return bad ? bad : err;
}

bool pipe_next(struct pipe_end *p, struct weir_bytes *out)
{
    uint32_t len = 0;
    bool broken = false;
    if (!whole_message(p, p->in_read, &len, &broken)) return false;
    *out = (struct weir_bytes){p->in.data + p->in_read + HEADER, len};
    p->in_read += HEADER + len;
    return true;
}
