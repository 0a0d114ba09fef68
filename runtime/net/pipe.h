/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A message pipe: whole messages over one end of a stream socketpair between a TaskManager and its worker (or a describing worker and its
 * parent). Each message is a 32-bit little-endian length and so many bytes. Reliable and ordered by the kernel; the end of the other
 * process is the end of the stream. Non-blocking: what the kernel does not take waits in a bounded buffer. Owner: one thread.
 */
#ifndef WEIR_RUNTIME_NET_PIPE_H
#define WEIR_RUNTIME_NET_PIPE_H

#include "runtime/base/buffer.h"
#include "weir/row.h"

struct pipe_end {
    int fd; /* -1 = closed */
    uint32_t message_max;
    struct buffer in, out;
    size_t in_read, out_written; /* consumed parts of the buffers */
};

/* Takes fd (close-on-exec and non-blocking are set). message_max: larger messages break the pipe, WEIR_E_CORRUPT. */
void pipe_init(struct pipe_end *p, int fd, uint32_t message_max);
void pipe_close(struct pipe_end *p);

/* Queues and tries to write. Errors: WEIR_E_UNREACHABLE (peer gone), WEIR_E_LIMIT (peer does not read: message_max * 4 bytes wait). */
weir_err pipe_send(struct pipe_end *p, const void *data, size_t len);
/* Writes what waits; call when the fd is writable. */
weir_err pipe_flush(struct pipe_end *p);
bool pipe_wants_write(const struct pipe_end *p);

/* Reads what there is. WEIR_E_UNREACHABLE at the end of the stream, after the last whole message can be had from pipe_next. */
weir_err pipe_fill(struct pipe_end *p);
/* The next whole message, borrowed until the next call on p. false: none yet. */
bool pipe_next(struct pipe_end *p, struct weir_bytes *out);

#endif
