/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pack, manifest and deletion: what is written is what is read, and nothing else is read. Each format runs the same cases through a small
 * table of its functions.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/unit/checkpoint/samples.h"

#define HEAD 24u /* bytes before the body */

/* Encodes a sample; decodes bytes and encodes what came out. */
struct format {
    const char *name;
    weir_err (*sample)(uint64_t seed, struct buffer *out);
    weir_err (*again)(const void *data, size_t length, struct buffer *out, struct weir_diag *diag);
};

static weir_err pack_sample(uint64_t seed, struct buffer *out)
{
    struct sample_pack p;
    return pack_encode(sample_pack(&p, seed), out, NULL);
}

static weir_err pack_again(const void *data, size_t length, struct buffer *out, struct weir_diag *diag)
{
    struct pack p;
    weir_err err = pack_decode(&p, data, length, diag);
    if (err) return err;
    err = pack_encode(&p, out, diag);
    pack_close(&p);
    return err;
}

static weir_err manifest_sample(uint64_t seed, struct buffer *out)
{
    struct sample_manifest m;
    return manifest_encode(sample_manifest(&m, seed), out, NULL);
}

static weir_err manifest_again(const void *data, size_t length, struct buffer *out, struct weir_diag *diag)
{
    struct manifest m;
    weir_err err = manifest_decode(&m, data, length, diag);
    if (err) return err;
    err = manifest_encode(&m, out, diag);
    manifest_close(&m);
    return err;
}

static weir_err journal_sample(uint64_t seed, struct buffer *out)
{
    struct sample_journal j;
    return journal_encode(sample_journal(&j, seed), out, NULL);
}

static weir_err journal_again(const void *data, size_t length, struct buffer *out, struct weir_diag *diag)
{
    struct journal j;
    weir_err err = journal_decode(&j, data, length, diag);
    if (err) return err;
    err = journal_encode(&j, out, diag);
    journal_close(&j);
    return err;
}

static const struct format formats[] = {
    {"pack", pack_sample, pack_again}, {"manifest", manifest_sample, manifest_again}, {"deletion", journal_sample, journal_again}};
#define N_FORMATS (sizeof formats / sizeof formats[0])

/* Puts length and checksum of a changed file right, so that what is inside is looked at. */
static void seal(struct buffer *b)
{
    uint64_t body = b->len - HEAD - 4;
    for (size_t i = 0; i < 8; i++) b->data[16 + i] = (unsigned char)(body >> 8 * i);
    uint32_t crc = crc32c(0, b->data, b->len - 4);
    for (size_t i = 0; i < 4; i++) b->data[b->len - 4 + i] = (unsigned char)(crc >> 8 * i);
}

static void what_is_written_is_read(void **state)
{
    (void)state;
    for (size_t f = 0; f < N_FORMATS; f++) {
        for (uint64_t seed = 1; seed <= 50; seed++) {
            struct buffer first = {0}, second = {0};
            struct weir_diag diag = {.text = ""};
            assert_int_equal(formats[f].sample(seed, &first), WEIR_OK);
            if (formats[f].again(first.data, first.len, &second, &diag)) fail_msg("%s: %s", formats[f].name, diag.text);
            assert_int_equal(first.len, second.len);
            assert_memory_equal(first.data, second.data, first.len);
            buffer_close(&first);
            buffer_close(&second);
        }
    }
}

static void a_cut_or_changed_file_is_refused(void **state)
{
    (void)state;
    for (size_t f = 0; f < N_FORMATS; f++) {
        struct buffer whole = {0}, out = {0};
        struct weir_diag diag;
        assert_int_equal(formats[f].sample(3, &whole), WEIR_OK);
        for (size_t n = 0; n < whole.len; n++) {
            assert_int_equal(formats[f].again(whole.data, n, &out, &diag), WEIR_E_CORRUPT);
            whole.data[n] ^= 0x20;
            weir_err err = formats[f].again(whole.data, whole.len, &out, &diag);
            assert_true(err == WEIR_E_CORRUPT || err == WEIR_E_UNSUPPORTED);
            whole.data[n] ^= 0x20;
        }
        buffer_close(&whole);
        buffer_close(&out);
    }
}

/* With its checksum put right, a changed file is refused in words or means something else: it never crashes, and is never read two ways. */
static void a_forged_file_is_read_one_way_or_refused(void **state)
{
    (void)state;
    for (size_t f = 0; f < N_FORMATS; f++) {
        struct buffer whole = {0};
        struct weir_diag diag;
        uint32_t refused = 0;
        assert_int_equal(formats[f].sample(4, &whole), WEIR_OK);
        for (size_t n = HEAD; n < whole.len - 4; n++) {
            static const unsigned char turns[] = {0x01, 0x80, 0xff};
            for (size_t t = 0; t < sizeof turns; t++) {
                struct buffer out = {0};
                whole.data[n] ^= turns[t];
                seal(&whole);
                weir_err err = formats[f].again(whole.data, whole.len, &out, &diag);
                if (err) {
                    assert_int_equal(err, WEIR_E_CORRUPT);
                    assert_non_null(strstr(diag.text, formats[f].name));
                    refused++;
                } else {
                    assert_int_equal(out.len, whole.len);
                    assert_memory_equal(out.data, whole.data, out.len);
                }
                whole.data[n] ^= turns[t];
                buffer_close(&out);
            }
        }
        assert_true(refused > 10);
        buffer_close(&whole);
    }
}

static void another_version_is_named(void **state)
{
    (void)state;
    for (size_t f = 0; f < N_FORMATS; f++) {
        struct buffer whole = {0}, out = {0};
        struct weir_diag diag;
        assert_int_equal(formats[f].sample(5, &whole), WEIR_OK);
        whole.data[8] = 2;
        seal(&whole);
        assert_int_equal(formats[f].again(whole.data, whole.len, &out, &diag), WEIR_E_UNSUPPORTED);
        assert_non_null(strstr(diag.text, "version 2"));
        buffer_close(&whole);
        buffer_close(&out);
    }
}

/* The bytes that docs/protocol/checkpoint.md shows. */
static void the_example_of_the_specification(void **state)
{
    (void)state;
    static const unsigned char want[] = {'W', 'E', 'I', 'R', 'D',  'R',  'O',  'P',  1,    0,    0,    0,    0, 0,  0, 0, 36, 0, 0, 0,
                                         0,   0,   0,   0,   42,   0,    0,    0,    0,    0,    0,    0,    1, 0,  0, 0, 8,  7, 6, 5,
                                         4,   3,   2,   1,   0x18, 0x17, 0x16, 0x15, 0x14, 0x13, 0x12, 0x11, 0, 16, 0, 0, 0,  0, 0, 0};
    struct journal_file file = {{0x0102030405060708u, 0x1112131415161718u}, 4096};
    struct journal j = {.checkpoint_id = 42, .n_files = 1, .files = &file};
    struct buffer out = {0};
    char name[CONTENT_NAME];
    assert_int_equal(journal_encode(&j, &out, NULL), WEIR_OK);
    assert_int_equal(out.len, sizeof want + 4);
    assert_memory_equal(out.data, want, sizeof want);
    assert_string_equal(content_name(file.hash, file.bytes, name), "11121314151617180102030405060708-4096");
    buffer_close(&out);
}

static void what_is_beyond_a_limit_is_not_written(void **state)
{
    (void)state;
    static const char large[PACK_COMMITTABLE_MAX + 1];
    char name[200];
    memset(name, 'x', sizeof name);
    name[sizeof name - 1] = '\0';
    struct sample_pack p;
    struct weir_diag diag;
    struct buffer out = {0};
    (void)sample_pack(&p, 6);
    p.parts[0].committables[0][0].data = (struct weir_bytes){large, sizeof large};
    assert_int_equal(pack_encode(&p.pack, &out, &diag), WEIR_E_LIMIT);
    (void)sample_pack(&p, 6);
    p.parts[0].states[0][0].name = name;
    assert_int_equal(pack_encode(&p.pack, &out, &diag), WEIR_E_LIMIT);
    (void)sample_pack(&p, 6);
    (void)snprintf(p.parts[0].files[0][0][0].content, CONTENT_NAME, "000001.sst");
    assert_int_equal(pack_encode(&p.pack, &out, &diag), WEIR_E_LIMIT);
    assert_non_null(strstr(diag.text, "content name"));
    buffer_close(&out);
}

static void names_of_the_layout(void **state)
{
    (void)state;
    struct hash128 hash;
    uint64_t n;
    char name[CONTENT_NAME], pack[PACK_NAME];
    assert_true(content_parse(content_name((struct hash128){UINT64_MAX, UINT64_MAX}, UINT64_MAX, name), &hash, &n));
    assert_int_equal(strlen(name), CONTENT_NAME - 1);
    assert_true(hash.low == UINT64_MAX && hash.high == UINT64_MAX && n == UINT64_MAX);
    static const char *const none[] = {"",
                                       "11121314151617180102030405060708-",
                                       "11121314151617180102030405060708-01",
                                       "11121314151617180102030405060708-18446744073709551616",
                                       "1112131415161718010203040506070-40960",
                                       "11121314151617180102030405060708-4096x",
                                       "1112131415161718010203040506070G-4096",
                                       ".tmp-11121314151617180102030405060708-4096"};
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++) assert_false(content_parse(none[i], &hash, &n));
    assert_true(layout_is_pack(layout_pack(UINT32_MAX, pack)));
    assert_false(layout_is_pack("pack-4294967296"));
    assert_false(layout_is_pack("pack-00"));
    assert_true(layout_number("chk-17", "chk-", &n) && n == 17);
    assert_false(layout_number("chk-", "chk-", &n));
    assert_false(layout_number("chk-1 ", "chk-", &n));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(a_cut_or_changed_file_is_refused),
        cmocka_unit_test(a_forged_file_is_read_one_way_or_refused),
        cmocka_unit_test(another_version_is_named),
        cmocka_unit_test(the_example_of_the_specification),
        cmocka_unit_test(what_is_beyond_a_limit_is_not_written),
        cmocka_unit_test(names_of_the_layout),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
