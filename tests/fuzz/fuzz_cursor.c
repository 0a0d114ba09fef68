/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cursor against msgpack-c: where the cursor reads a whole value, the library must have read the same one of the same length; where
 * the cursor refuses, the library must refuse too, but for the cursor's own limits (depth, counts that the bytes cannot hold, strings
 * with a NUL).
 *
 * The library believes counts, so inputs that declare more elements than they have bytes are not shown to it.
 */
#include <msgpack.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/wire/cursor.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool condition)
{
    if (!condition) abort();
}

static void compare(struct cursor *c, const msgpack_object *o);

static void compare_bytes(struct weir_bytes got, const void *data, uint32_t size)
{
    must(got.length == size);
    must(size == 0 || memcmp(got.data, data, size) == 0);
}

static void compare_str(struct cursor *c, const msgpack_object_str *o)
{
    struct weir_bytes s;
    struct cursor before = *c;
    if (o->size && memchr(o->ptr, '\0', o->size)) { /* the cursor's own rule; go on behind it */
        must(!cursor_str(c, &s));
        *c = before;
        must(cursor_skip(c));
        return;
    }
    must(cursor_str(c, &s));
    compare_bytes(s, o->ptr, o->size);
}

static void compare_number(struct cursor *c, const msgpack_object *o)
{
    uint64_t u;
    int64_t i;
    double d;
    if (o->type == MSGPACK_OBJECT_POSITIVE_INTEGER) {
        must(cursor_uint(c, UINT64_MAX, &u) && u == o->via.u64);
    } else if (o->type == MSGPACK_OBJECT_NEGATIVE_INTEGER) {
        must(cursor_int(c, INT64_MIN, -1, &i) && i == o->via.i64);
    } else {
        must(cursor_float(c, &d));
        must(d == o->via.f64 || (d != d && o->via.f64 != o->via.f64));
    }
}

static void compare_container(struct cursor *c, const msgpack_object *o)
{
    uint32_t n;
    if (o->type == MSGPACK_OBJECT_ARRAY) {
        must(cursor_array(c, &n) && n == o->via.array.size);
        for (uint32_t i = 0; i < n; i++) compare(c, &o->via.array.ptr[i]);
    } else {
        must(cursor_map(c, &n) && n == o->via.map.size);
        for (uint32_t i = 0; i < n; i++) {
            compare(c, &o->via.map.ptr[i].key);
            compare(c, &o->via.map.ptr[i].val);
        }
    }
}

static void compare(struct cursor *c, const msgpack_object *o)
{
    struct weir_bytes s;
    int8_t type;
    bool flag;
    switch (o->type) {
    case MSGPACK_OBJECT_NIL: must(cursor_nil(c)); return;
    case MSGPACK_OBJECT_BOOLEAN: must(cursor_bool(c, &flag) && flag == o->via.boolean); return;
    case MSGPACK_OBJECT_POSITIVE_INTEGER:
    case MSGPACK_OBJECT_NEGATIVE_INTEGER:
    case MSGPACK_OBJECT_FLOAT32:
    case MSGPACK_OBJECT_FLOAT64: compare_number(c, o); return;
    case MSGPACK_OBJECT_STR: compare_str(c, &o->via.str); return;
    case MSGPACK_OBJECT_BIN:
        must(cursor_bin(c, &s));
        compare_bytes(s, o->via.bin.ptr, o->via.bin.size);
        return;
    case MSGPACK_OBJECT_EXT:
        must(cursor_ext(c, &type, &s) && type == o->via.ext.type);
        compare_bytes(s, o->via.ext.ptr, o->via.ext.size);
        return;
    case MSGPACK_OBJECT_ARRAY:
    case MSGPACK_OBJECT_MAP: compare_container(c, o); return;
    }
    abort();
}

/*
 * Why the cursor may refuse what the library reads. Walks the bytes with a cursor per value, without the depth limit, and says whether a
 * count is greater than the bytes behind it. Such inputs are left out.
 */
static bool declares_too_much(const uint8_t *data, size_t size)
{
    for (size_t at = 0; at < size; at++) { /* from every byte: cheap, and covers whatever the library may take for a first byte */
        uint64_t n = 0, left = size - at - 1;
        if (data[at] == 0xdc && left >= 2) n = (uint64_t)data[at + 1] << 8 | data[at + 2];
        if (data[at] == 0xde && left >= 2) n = 2 * ((uint64_t)data[at + 1] << 8 | data[at + 2]);
        if ((data[at] == 0xdd || data[at] == 0xdf) && left >= 4) {
            n = (uint64_t)data[at + 1] << 24 | (uint64_t)data[at + 2] << 16 | (uint64_t)data[at + 3] << 8 | data[at + 4];
            n *= data[at] == 0xdf ? 2 : 1;
        }
        if (n > size + 65536) return true;
    }
    return false;
}

static uint32_t depth_of(const msgpack_object *o)
{
    uint32_t deepest = 0;
    if (o->type == MSGPACK_OBJECT_ARRAY) {
        for (uint32_t i = 0; i < o->via.array.size; i++) {
            uint32_t d = depth_of(&o->via.array.ptr[i]);
            if (d > deepest) deepest = d;
        }
        return deepest + 1;
    }
    if (o->type != MSGPACK_OBJECT_MAP) return 0;
    for (uint32_t i = 0; i < o->via.map.size; i++) {
        uint32_t k = depth_of(&o->via.map.ptr[i].key), v = depth_of(&o->via.map.ptr[i].val);
        if (k > deepest) deepest = k;
        if (v > deepest) deepest = v;
    }
    return deepest + 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cursor c, again;
    cursor_init(&c, data, size);
    bool accepted = cursor_skip(&c);
    size_t used = size - cursor_left(&c);
    must(used <= size);
    if (size == 0 || declares_too_much(data, size)) return 0;

    msgpack_unpacked result;
    msgpack_unpacked_init(&result);
    size_t offset = 0;
    msgpack_unpack_return ret = msgpack_unpack_next(&result, (const char *)data, size, &offset);
    bool read = ret == MSGPACK_UNPACK_SUCCESS || ret == MSGPACK_UNPACK_EXTRA_BYTES;
    if (accepted) {
        must(read);
        must(offset == used);
        cursor_init(&again, data, size);
        compare(&again, &result.data);
        must(cursor_left(&again) == size - used);
    } else if (read) {
        must(depth_of(&result.data) > WEIR_MSGPACK_DEPTH);
    }
    msgpack_unpacked_destroy(&result);
    return 0;
}
