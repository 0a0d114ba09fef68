/* SPDX-License-Identifier: Apache-2.0 */
/* What Zab is made of: lists of members, the shape of the log, recovery, messages. */
/* clang-format off: cmocka wants these first, in this order */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
#include <stdio.h>
#include <string.h>

#include "runtime/coord/recovery.h"
#include "runtime/coord/message.h"

static void numbers_are_ordered_and_follow_each_other(void **state)
{
    (void)state;
    struct zxid a = {1, 9}, b = {2, 1};
    assert_true(zxid_cmp(a, b) < 0 && zxid_cmp(b, a) > 0 && zxid_cmp(a, a) == 0);
    assert_true(zxid_follows((struct zxid){1, 10}, a) && zxid_follows(b, a));
    assert_false(zxid_follows((struct zxid){1, 11}, a) || zxid_follows((struct zxid){2, 2}, a) || zxid_follows(a, b));
    assert_true(zxid_cmp((struct zxid){1, UINT64_MAX}, (struct zxid){2, 0}) < 0); /* a full counter does not run into the epoch */
}

/* ---- members ---- */

static void a_majority_of_voters_is_a_quorum(void **state)
{
    (void)state;
    struct zab_members m = {.n = 5, .at = {{.id = 1}, {.id = 2}, {.id = 3}, {.id = 4}, {.id = 5, .observer = true}}};
    struct zab_set set = {0};
    set_add(&set, 1);
    set_add(&set, 2);
    set_add(&set, 2);
    set_add(&set, 5);
    set_add(&set, 77);
    assert_false(members_quorum(&m, &set)); /* two of four */
    set_add(&set, 4);
    assert_true(members_quorum(&m, &set));
}

static void changes_apply_in_order_or_not_at_all(void **state)
{
    (void)state;
    struct zab_members m = {.version = {4, 2}, .n = 2, .at = {{.id = 2}, {.id = 5}}}, out = {.n = 99};
    struct zab_change good[] = {
        {.member = {.id = 3, .observer = true, .address = "a:1"}}, {.member = {.id = 3}}, {.remove = true, .member = {.id = 2}}};
    struct zab_change none_left[] = {{.remove = true, .member = {.id = 2}}, {.member = {.id = 5, .observer = true}}};
    assert_int_equal(members_change(&m, none_left, 2, &out), WEIR_E_ARGUMENT);
    assert_int_equal(out.n, 99);
    assert_int_equal(members_change(&m, good, 3, &out), WEIR_OK);
    assert_int_equal(out.n, 2);
    assert_int_equal(out.at[0].id, 3);
    assert_false(out.at[0].observer);
    for (uint32_t i = 0; out.n < ZAB_MEMBERS_MAX; i++)
        assert_int_equal(members_change(&out, &(struct zab_change){.member = {.id = 100 - i}}, 1, &out), WEIR_OK);
    assert_int_equal(members_change(&out, &(struct zab_change){.member = {.id = 1}}, 1, &out), WEIR_E_LIMIT);
}

static void lists_of_members_are_checked(void **state)
{
    (void)state;
    struct zab_members m = {.version = {4, 2}, .n = 2, .at = {{.id = 2, .address = "host:1"}, {.id = 5, .observer = true}}}, out;
    struct buffer b = {0};
    members_encode(&m, &b);
    assert_int_equal(members_decode((struct weir_bytes){b.data, (uint32_t)b.len}, &out), WEIR_OK);
    assert_memory_equal(&m, &out, sizeof m);
    for (uint32_t n = 0; n < b.len; n++) assert_int_equal(members_decode((struct weir_bytes){b.data, n}, &out), WEIR_E_CORRUPT);
    b.data[20] = 7; /* ids no longer ascend */
    assert_int_equal(members_decode((struct weir_bytes){b.data, (uint32_t)b.len}, &out), WEIR_E_CORRUPT);
    b.data[20] = 2;
    b.data[24] = 1; /* no voter left */
    assert_int_equal(members_decode((struct weir_bytes){b.data, (uint32_t)b.len}, &out), WEIR_E_CORRUPT);
    buffer_close(&b);
}

/* ---- history ---- */

static void add(struct history *h, uint64_t epoch, uint64_t counter)
{
    struct zab_entry entry = {.zxid = {epoch, counter}, .prev = h->last, .bytes = {"0123456789", 10}};
    assert_true(history_append(h, &entry));
}

static void the_shape_says_what_the_log_holds(void **state)
{
    (void)state;
    struct history h;
    history_init(&h, 1u << 20);
    for (uint64_t c = 1; c <= 3; c++) add(&h, 1, c);
    for (uint64_t c = 1; c <= 2; c++) add(&h, 4, c);
    assert_true(history_holds(&h, (struct zxid){1, 3}) && history_holds(&h, (struct zxid){4, 1}) && history_holds(&h, (struct zxid){0, 0}));
    assert_false(history_holds(&h, (struct zxid){1, 4}) || history_holds(&h, (struct zxid){2, 1}) ||
                 history_holds(&h, (struct zxid){4, 0}));
    assert_true(zxid_eq(history_after(&h, (struct zxid){1, 3})->zxid, (struct zxid){4, 1}));
    assert_null(history_after(&h, (struct zxid){4, 2}));
    history_truncate(&h, (struct zxid){1, 2});
    assert_false(history_holds(&h, (struct zxid){4, 1}) || history_holds(&h, (struct zxid){1, 3}));
    add(&h, 5, 1);
    assert_true(zxid_eq(history_after(&h, (struct zxid){1, 2})->zxid, (struct zxid){5, 1}));
    history_raise_floor(&h, (struct zxid){1, 2});
    assert_false(history_holds(&h, (struct zxid){1, 1}));
    history_close(&h);
}

static void the_window_forgets_the_oldest(void **state)
{
    (void)state;
    struct history h;
    history_init(&h, 3 * (10 + sizeof(struct zab_entry)));
    for (uint64_t c = 1; c <= 100; c++) add(&h, 1, c);
    assert_non_null(history_after(&h, (struct zxid){0, 0})); /* until the next step nothing moves */
    history_trim(&h, (struct zxid){1, 50});
    assert_null(history_after(&h, (struct zxid){1, 49}));
    assert_true(zxid_eq(history_after(&h, (struct zxid){1, 50})->zxid, (struct zxid){1, 51})); /* no further than asked */
    history_trim(&h, h.last);
    assert_null(history_after(&h, (struct zxid){1, 96}));
    assert_true(zxid_eq(history_after(&h, (struct zxid){1, 97})->zxid, (struct zxid){1, 98}));
    assert_true(history_holds(&h, (struct zxid){1, 1})); /* on disk it still is */
    history_close(&h);
}

static void the_common_point_of_two_logs(void **state)
{
    (void)state;
    struct history h;
    struct zxid common;
    history_init(&h, 1u << 20);
    for (uint64_t c = 1; c <= 3; c++) add(&h, 1, c);
    for (uint64_t c = 1; c <= 3; c++) add(&h, 5, c);
    static const struct {
        struct zab_span spans[3];
        uint32_t n;
        struct zxid common;
    } cases[] = {
        {{{5, 2}}, 1, {5, 2}},         {{{5, 9}}, 1, {5, 3}},
        {{{1, 2}, {3, 7}}, 2, {1, 2}}, /* 3.x is unknown here */
        {{{1, 9}, {3, 7}}, 2, {1, 3}}, {{{0, 0}, {1, 1}, {6, 7}}, 3, {1, 1}},
        {{{0, 0}}, 1, {0, 0}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_true(history_common(&h, cases[i].spans, cases[i].n, &common));
        assert_true(zxid_eq(common, cases[i].common));
    }
    assert_false(history_common(&h, (struct zab_span[]){{3, 7}}, 1, &common));
    history_raise_floor(&h, (struct zxid){5, 1});
    assert_false(history_common(&h, (struct zab_span[]){{1, 2}}, 1, &common)); /* the log no longer reaches back there */
    history_close(&h);
}

static void a_log_of_very_many_epochs_forgets_the_first(void **state)
{
    (void)state;
    struct history h;
    history_init(&h, 0);
    for (uint64_t e = 1; e <= 2 * ZAB_SPANS_MAX; e++) history_note(&h, (struct zxid){e, 1});
    assert_int_equal(h.n_spans, ZAB_SPANS_MAX);
    assert_false(history_holds(&h, (struct zxid){ZAB_SPANS_MAX, 1}));
    assert_true(history_holds(&h, (struct zxid){ZAB_SPANS_MAX + 1, 1}));
    assert_true(zxid_eq(h.floor, (struct zxid){ZAB_SPANS_MAX + 1, 1}));
    history_close(&h);
}

/* ---- recovery ---- */

static void a_log_that_contradicts_itself_is_refused(void **state)
{
    (void)state;
    struct zab_members members = {.n = 1, .at = {{.id = 1}}};
    struct zab_recovery r;
    struct weir_diag diag;
    recovery_init(&r, &members);
    recovery_epochs(&r, 2, 2);
    assert_int_equal(recovery_entry(&r, &(struct zab_entry){.zxid = {1, 1}}, &diag), WEIR_OK);
    assert_int_equal(recovery_entry(&r, &(struct zab_entry){.zxid = {1, 3}, .prev = {1, 2}}, &diag), WEIR_E_CORRUPT);
    assert_string_equal(diag.text, "the log has a gap: 1.3 behind 1.1");
    assert_int_equal(recovery_entry(&r, &(struct zab_entry){.zxid = {1, 2}, .prev = {1, 1}, .kind = ZAB_ENTRY_MEMBERS}, &diag),
                     WEIR_E_CORRUPT);
    assert_int_equal(recovery_check(&r, &diag), WEIR_OK);
    assert_int_equal(recovery_entry(&r, &(struct zab_entry){.zxid = {3, 1}, .prev = {1, 1}}, &diag), WEIR_OK);
    assert_int_equal(recovery_check(&r, &diag), WEIR_E_CORRUPT); /* nobody promised epoch 3 */
}

static void members_in_the_log_are_found_again(void **state)
{
    (void)state;
    struct zab_members m = {.n = 1, .at = {{.id = 1}}};
    struct zab_recovery r;
    struct buffer b = {0};
    recovery_init(&r, &m);
    recovery_epochs(&r, 1, 1);
    for (uint64_t c = 1; c <= 2; c++) {
        m.version = (struct zxid){1, c};
        m.at[m.n++] = (struct zab_member){.id = (uint32_t)c + 1};
        buffer_clear(&b);
        members_encode(&m, &b);
        struct zab_entry entry = {.zxid = m.version, .prev = r.history.last, .kind = ZAB_ENTRY_MEMBERS, .bytes = {b.data, (uint32_t)b.len}};
        assert_int_equal(recovery_entry(&r, &entry, NULL), WEIR_OK);
    }
    assert_int_equal(r.active.n, 2); /* the first was committed, else the second would not be there */
    assert_int_equal(r.pending.n, 3);
    recovery_committed(&r, (struct zxid){1, 2});
    assert_int_equal(r.active.n, 3);
    assert_true(zxid_is_zero(r.pending.version));
    buffer_close(&b);
}

/* ---- messages ---- */

static void messages_fit_their_form_or_are_refused(void **state)
{
    (void)state;
    struct buffer b = {0};
    struct zab_message out;
    struct weir_diag diag;
    for (enum zab_type t = ZAB_HELLO; t < ZAB_TYPES; t++) {
        struct zab_message m = {.type = t, .n_spans = 1, .spans = {{3, 4}}};
        buffer_clear(&b);
        message_encode(&m, &b);
        assert_int_equal(message_decode(b.data, b.len, &out, &diag), WEIR_OK);
        for (size_t n = 0; n < b.len; n++) assert_int_equal(message_decode(b.data, n, &out, &diag), WEIR_E_CORRUPT);
        buffer_add(&b, "", 1);
        assert_int_equal(message_decode(b.data, b.len, &out, &diag), WEIR_E_CORRUPT);
    }
    assert_string_equal(message_name(ZAB_NEW_LEADER), "NEW_LEADER");
    assert_string_equal(message_name((enum zab_type)200), "?");
    assert_int_equal(message_decode("Z\x63", 2, &out, &diag), WEIR_E_CORRUPT);
    assert_string_equal(diag.text, "message of unknown type 99");
    buffer_close(&b);
}

/* The bytes of an ENTRY, as docs/protocol/zab.md has them. */
static void the_bytes_are_those_of_the_document(void **state)
{
    (void)state;
    static const unsigned char want[] = {'Z', 10, 1, 7, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 2,   0,  0,
                                         0,   0,  0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0,   0,  3,
                                         0,   0,  0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 'h', 'i'};
    struct zab_message m = {
        .type = ZAB_ENTRY, .kind = ZAB_ENTRY_MEMBERS, .session = 7, .zxid = {3, 2}, .prev = {3, 1}, .commit = {3, 1}, .bytes = {"hi", 2}};
    struct buffer b = {0};
    message_encode(&m, &b);
    assert_int_equal(b.len, sizeof want);
    assert_memory_equal(b.data, want, sizeof want);
    buffer_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_ordered_and_follow_each_other),
        cmocka_unit_test(a_majority_of_voters_is_a_quorum),
        cmocka_unit_test(changes_apply_in_order_or_not_at_all),
        cmocka_unit_test(lists_of_members_are_checked),
        cmocka_unit_test(the_shape_says_what_the_log_holds),
        cmocka_unit_test(the_window_forgets_the_oldest),
        cmocka_unit_test(the_common_point_of_two_logs),
        cmocka_unit_test(a_log_of_very_many_epochs_forgets_the_first),
        cmocka_unit_test(a_log_that_contradicts_itself_is_refused),
        cmocka_unit_test(members_in_the_log_are_found_again),
        cmocka_unit_test(messages_fit_their_form_or_are_refused),
        cmocka_unit_test(the_bytes_are_those_of_the_document),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
