/* SPDX-License-Identifier: Apache-2.0 */
/* clang-format off: cmocka wants these first, in this order */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
#include <stdlib.h>
#include <string.h>

#include "runtime/base/hash.h"
#include "runtime/base/limits.h"
#include "runtime/wire/frame.h"
#include "runtime/wire/message.h"

/* A frame in a space of its own, 8-byte aligned as the data plane has it. */
struct space {
    struct frame_header header;
    _Alignas(8) unsigned char body[4096];
};

static void add_record(struct space *f, uint32_t size, uint16_t key_group)
{
    struct weir_record rec = {.size = size, .key_group = key_group, .kind = WEIR_INSERT, .time_ms = 5};
    memcpy(f->body + f->header.bytes, &rec, sizeof rec);
    f->header.bytes += weir_record_span(size);
    f->header.count++;
}

static struct space *data_frame(void)
{
    static struct space f;
    memset(&f, 0, sizeof f);
    f.header = (struct frame_header){.kind = FRAME_DATA, .job = 1, .epoch = 2, .attempt = 3, .channel = 4, .seq = 5};
    add_record(&f, 8, 0);
    add_record(&f, 0, 32767);
    add_record(&f, 13, 7);
    frame_seal(&f.header);
    return &f;
}

/* Checks `len` bytes at an odd address, as a transport may hand them over, with nothing behind them. */
static weir_err check(const struct space *f, size_t len)
{
    unsigned char *copy = malloc(len + 1);
    assert_non_null(copy);
    memcpy(copy + 1, f, len);
    struct weir_diag diag;
    weir_err err = frame_check(copy + 1, len, &diag);
    if (err) {
        assert_int_equal(diag.code, err);
        assert_true(strlen(diag.text) > 0);
    }
    free(copy);
    return err;
}

static weir_err reseal(struct space *f)
{
    frame_seal(&f->header);
    return check(f, sizeof f->header + f->header.bytes);
}

static void a_sealed_frame_passes(void **state)
{
    (void)state;
    struct space *f = data_frame();
    assert_int_equal(f->header.magic, FRAME_MAGIC);
    assert_int_equal(f->header.version, FRAME_VERSION);
    assert_memory_equal(f, "WEIR", 4);
    assert_int_equal(check(f, sizeof f->header + f->header.bytes), WEIR_OK);
    static const uint8_t markers[] = {FRAME_WATERMARK, FRAME_IDLE, FRAME_ACTIVE, FRAME_END, FRAME_BARRIER, FRAME_CREDIT, FRAME_PROBE};
    for (size_t i = 0; i < sizeof markers; i++) {
        struct space m = {.header = {.kind = markers[i], .seq = 9, .time_ms = markers[i] == FRAME_BARRIER ? 1 : WEIR_TIME_MIN}};
        assert_int_equal(reseal(&m), WEIR_OK);
        m.header.flags = CHECKPOINT_SAVEPOINT | CHECKPOINT_STOP; /* a barrier's options; nobody else has flags */
        assert_int_equal(reseal(&m), markers[i] == FRAME_BARRIER ? WEIR_OK : WEIR_E_CORRUPT);
        m.header.flags = CHECKPOINT_OPTIONS + 1;
        assert_int_equal(reseal(&m), WEIR_E_CORRUPT);
    }
    struct space nameless = {.header = {.kind = FRAME_BARRIER, .time_ms = 0}};
    assert_int_equal(reseal(&nameless), WEIR_E_CORRUPT);
}

static void every_bit_counts(void **state)
{
    (void)state;
    struct space *f = data_frame();
    size_t len = sizeof f->header + f->header.bytes;
    for (size_t bit = 0; bit < 8 * len; bit++) {
        ((unsigned char *)f)[bit / 8] ^= (unsigned char)(1u << bit % 8);
        assert_int_not_equal(check(f, len), WEIR_OK);
        ((unsigned char *)f)[bit / 8] ^= (unsigned char)(1u << bit % 8);
    }
    for (size_t n = 0; n < len; n++) assert_int_equal(check(f, n), WEIR_E_CORRUPT);
    assert_int_equal(check(f, len + 8), WEIR_E_CORRUPT);
}

/* A sender with a right checksum and wrong records is not believed either. */
static void records_must_fill_the_frame(void **state)
{
    (void)state;
    struct space *f = data_frame();
    f->header.count++;
    assert_int_equal(reseal(f), WEIR_E_CORRUPT);
    f->header.count -= 2;
    assert_int_equal(reseal(f), WEIR_E_CORRUPT);
    f->header.count = 0;
    assert_int_equal(reseal(f), WEIR_E_CORRUPT);
    f = data_frame();
    ((struct weir_record *)(void *)f->body)->size = 17; /* now it swallows the second one */
    assert_int_equal(reseal(f), WEIR_E_CORRUPT);
    struct space empty = {.header = {.kind = FRAME_DATA}};
    assert_int_equal(reseal(&empty), WEIR_E_CORRUPT);
    struct space huge = {.header = {.kind = FRAME_DATA}};
    add_record(&huge, 0, 0);
    ((struct weir_record *)(void *)huge.body)->size = UINT32_MAX; /* whose span, computed carelessly, is that of an empty row */
    assert_int_equal(reseal(&huge), WEIR_E_CORRUPT);
    f = data_frame();
    ((struct weir_record *)(void *)f->body)->kind = 4;
    assert_int_equal(reseal(f), WEIR_E_CORRUPT);
    f = data_frame();
    ((struct weir_record *)(void *)f->body)->flags = 1;
    assert_int_equal(reseal(f), WEIR_E_CORRUPT);
    f = data_frame();
    ((struct weir_record *)(void *)f->body)->key_group = 32768;
    assert_int_equal(reseal(f), WEIR_E_CORRUPT);
}

static void a_uniform_frame_keeps_its_stride(void **state)
{
    (void)state;
    static struct space f;
    f.header = (struct frame_header){.kind = FRAME_DATA, .flags = FRAME_UNIFORM, .stride = 24};
    for (int i = 0; i < 10; i++) add_record(&f, (uint32_t)(1 + i % 8), 0);
    assert_int_equal(reseal(&f), WEIR_OK);
    f.header.stride = 32;
    assert_int_equal(reseal(&f), WEIR_E_CORRUPT);
    f.header.stride = 24;
    f.header.flags = FRAME_UNIFORM | 2;
    assert_int_equal(reseal(&f), WEIR_E_CORRUPT);
    f.header.flags = 0;
    f.header.kind = FRAME_WATERMARK;
    assert_int_equal(reseal(&f), WEIR_E_CORRUPT);
    f.header.kind = 7;
    assert_int_equal(reseal(&f), WEIR_E_CORRUPT);
}

static void another_version_is_unsupported(void **state)
{
    (void)state;
    struct space *f = data_frame();
    f->header.version = 2;
    assert_int_equal(check(f, sizeof f->header + f->header.bytes), WEIR_E_UNSUPPORTED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sealed_frame_passes),          cmocka_unit_test(every_bit_counts),
        cmocka_unit_test(records_must_fill_the_frame),    cmocka_unit_test(a_uniform_frame_keeps_its_stride),
        cmocka_unit_test(another_version_is_unsupported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
