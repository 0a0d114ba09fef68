/* SPDX-License-Identifier: Apache-2.0 */
/* Lanes: what is put comes out in order; a packet that is lost, repeated or foreign ends them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "runtime/coord/lane.h"

static struct weir_bytes packet_of(struct lane *lane)
{
    struct weir_bytes packet;
    assert_true(lane_packet(lane, &packet));
    return packet;
}

/* Several messages share a packet, an empty one among them; the next packet has the next number. */
static void messages_come_in_order(void **state)
{
    struct lane from = {0}, to = {0};
    struct lane_packet got;
    struct weir_bytes message;
    (void)state;
    for (int round = 0; round < 3; round++) {
        assert_false(lane_put(&from, bytes_text("one")));
        assert_false(lane_put(&from, bytes_text("")));
        assert_int_equal(lane_read(&to, packet_of(&from), &got, NULL), WEIR_OK);
        assert_int_equal(got.kind, LANE_DATA);
        assert_true(lane_next(&got.messages, &message));
        assert_true(bytes_equal(message, bytes_text("one")));
        assert_true(lane_next(&got.messages, &message));
        assert_int_equal(message.length, 0);
        assert_false(lane_next(&got.messages, &message));
        assert_false(got.messages.broken);
        lane_sent(&from);
    }
    assert_false(lane_packet(&from, &message));
    lane_close(&from);
}

/* A packet that was lost is noticed with the next one, and so is one that comes twice. */
static void a_gap_ends_the_lane(void **state)
{
    struct lane from = {0}, to = {0};
    struct lane_packet got;
    struct weir_diag diag = {0};
    (void)state;
    lane_put_open(&from, &(struct lane_open){.from = 1, .to = 2});
    assert_int_equal(lane_read(&to, packet_of(&from), &got, NULL), WEIR_OK);
    assert_int_equal(got.open.to, 2);
    assert_int_equal(lane_read(&to, packet_of(&from), &got, &diag), WEIR_E_PROTOCOL);
    lane_sent(&from);
    (void)lane_put(&from, bytes_text("lost"));
    lane_sent(&from);
    (void)lane_put(&from, bytes_text("found"));
    assert_int_equal(lane_read(&to, packet_of(&from), &got, &diag), WEIR_E_PROTOCOL);
    assert_non_null(strstr(diag.text, "packet 2 came in the place of 1"));
    lane_sent(&from);
    lane_put_bye(&from, "so long"); /* understood in any case */
    assert_int_equal(lane_read(&to, packet_of(&from), &got, NULL), WEIR_OK);
    assert_true(bytes_equal(got.reason, bytes_text("so long")));
    lane_close(&from);
}

/* A packet is full when it holds LANE_PACKET_BYTES. A message longer than may be breaks the packet it is in. */
static void sizes_are_bounded(void **state)
{
    static uint8_t bytes[LANE_MESSAGE_MAX + 1];
    struct lane from = {0}, to = {0};
    struct lane_packet got;
    struct weir_bytes message;
    (void)state;
    assert_false(lane_put(&from, bytes_of(bytes, LANE_PACKET_BYTES - 100)));
    assert_true(lane_put(&from, bytes_of(bytes, 100)));
    lane_sent(&from);
    to.received = 1;
    assert_true(lane_put(&from, bytes_of(bytes, sizeof bytes)));
    assert_int_equal(lane_read(&to, packet_of(&from), &got, NULL), WEIR_OK);
    assert_false(lane_next(&got.messages, &message));
    assert_true(got.messages.broken);
    lane_close(&from);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_come_in_order),
        cmocka_unit_test(a_gap_ends_the_lane),
        cmocka_unit_test(sizes_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
