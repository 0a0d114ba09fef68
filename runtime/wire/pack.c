/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/wire/pack.h"

#include <msgpack.h>
#include <string.h>

static int append(void *out, const char *data, size_t len)
{
    buffer_add(out, data, len);
    return ((const struct buffer *)out)->err ? -1 : 0;
}

static msgpack_packer packer(struct buffer *out)
{
    msgpack_packer pk;
    msgpack_packer_init(&pk, out, append);
    return pk;
}

/* The format counts with 32 bits. */
static bool countable(struct buffer *out, size_t n)
{
    if (n <= UINT32_MAX) return true;
    if (!out->err) out->err = WEIR_E_LIMIT;
    return false;
}

void pack_nil(struct buffer *out)
{
    msgpack_packer pk = packer(out);
    msgpack_pack_nil(&pk);
}

void pack_bool(struct buffer *out, bool value)
{
    msgpack_packer pk = packer(out);
    if (value)
        msgpack_pack_true(&pk);
    else
        msgpack_pack_false(&pk);
}

void pack_uint(struct buffer *out, uint64_t value)
{
    msgpack_packer pk = packer(out);
    msgpack_pack_uint64(&pk, value);
}

void pack_int(struct buffer *out, int64_t value)
{
    msgpack_packer pk = packer(out);
    msgpack_pack_int64(&pk, value);
}

void pack_float(struct buffer *out, double value)
{
    msgpack_packer pk = packer(out);
    msgpack_pack_double(&pk, value);
}

void pack_str(struct buffer *out, const char *text)
{
    pack_strn(out, text ? text : "", text ? strlen(text) : 0);
}

void pack_strn(struct buffer *out, const char *text, size_t len)
{
    msgpack_packer pk = packer(out);
    if (!countable(out, len)) return;
    msgpack_pack_str(&pk, len);
    buffer_add(out, text, len);
}

void pack_bin(struct buffer *out, const void *data, size_t len)
{
    msgpack_packer pk = packer(out);
    if (!countable(out, len)) return;
    msgpack_pack_bin(&pk, len);
    buffer_add(out, data, len);
}

void pack_array(struct buffer *out, size_t n)
{
    msgpack_packer pk = packer(out);
    if (countable(out, n)) msgpack_pack_array(&pk, n);
}

void pack_map(struct buffer *out, size_t n)
{
    msgpack_packer pk = packer(out);
    if (countable(out, n)) msgpack_pack_map(&pk, n);
}
