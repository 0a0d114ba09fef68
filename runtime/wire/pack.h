/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes msgpack into a buffer: the other side of cursor.h, and with it the only place that knows a msgpack library. Failures stay in
 * the buffer (buffer.h: sticky error), so nothing here returns one. Numbers are written in their shortest form.
 */
#ifndef WEIR_RUNTIME_WIRE_PACK_H
#define WEIR_RUNTIME_WIRE_PACK_H

#include "runtime/base/buffer.h"

void pack_nil(struct buffer *out);
void pack_bool(struct buffer *out, bool value);
void pack_uint(struct buffer *out, uint64_t value);
void pack_int(struct buffer *out, int64_t value);
void pack_float(struct buffer *out, double value);
void pack_str(struct buffer *out, const char *text); /* NULL is written as "" */
void pack_strn(struct buffer *out, const char *text, size_t len);
void pack_bin(struct buffer *out, const void *data, size_t len);
void pack_array(struct buffer *out, size_t n); /* n values must follow */
void pack_map(struct buffer *out, size_t n);   /* n pairs must follow */

#endif
