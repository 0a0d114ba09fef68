/* SPDX-License-Identifier: Apache-2.0 */
/* The message pipe between a TaskManager and its worker: partial writes, messages that are too large, the end of the other side. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "runtime/net/pipe.h"

enum { MESSAGE_MAX = 1 << 20 };

struct two_ends {
    struct pipe_end a, b;
};

static void open_ends(struct two_ends *t, uint32_t message_max)
{
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    pipe_init(&t->a, fds[0], message_max);
    pipe_init(&t->b, fds[1], message_max);
}

static void close_ends(struct two_ends *t)
{
    pipe_close(&t->a);
    pipe_close(&t->b);
}

static void expect_message(struct pipe_end *p, const char *text)
{
    struct weir_bytes got;
    assert_true(pipe_next(p, &got));
    assert_int_equal(got.length, strlen(text));
    assert_memory_equal(got.data, text, got.length);
}

static void expect_nothing(struct pipe_end *p)
{
    struct weir_bytes got;
    assert_false(pipe_next(p, &got));
}

/* Messages arrive whole and in order, the empty one too. */
static void messages_keep_their_borders(void **state)
{
    (void)state;
    struct two_ends t;
    open_ends(&t, MESSAGE_MAX);
    assert_int_equal(pipe_send(&t.a, "one", 3), WEIR_OK);
    assert_int_equal(pipe_send(&t.a, "", 0), WEIR_OK);
    assert_int_equal(pipe_send(&t.a, "three", 5), WEIR_OK);
    assert_int_equal(pipe_fill(&t.b), WEIR_OK);
    expect_message(&t.b, "one");
    expect_message(&t.b, "");
    expect_message(&t.b, "three");
    expect_nothing(&t.b);
    close_ends(&t);
}

/* A message that arrives byte by byte is handed over once, when its last byte is there. */
static void a_message_in_pieces_waits_for_its_last_byte(void **state)
{
    (void)state;
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    struct pipe_end p;
    pipe_init(&p, fds[0], MESSAGE_MAX);
    const char bytes[] = "\x04\0\0\0weir";
    for (size_t i = 0; i < 8; i++) {
        expect_nothing(&p);
        assert_int_equal(write(fds[1], bytes + i, 1), 1);
        assert_int_equal(pipe_fill(&p), WEIR_OK);
    }
    expect_message(&p, "weir");
    pipe_close(&p);
    close(fds[1]);
}

/* Big messages go through a small kernel buffer by turns; nothing is lost, and the sender knows when it is done. */
static void partial_writes_are_finished_by_flush(void **state)
{
    (void)state;
    struct two_ends t;
    open_ends(&t, MESSAGE_MAX);
    unsigned char *big = malloc(MESSAGE_MAX);
    for (size_t i = 0; i < MESSAGE_MAX; i++) big[i] = (unsigned char)(i * 7);
    for (int i = 0; i < 3; i++) assert_int_equal(pipe_send(&t.a, big, MESSAGE_MAX), WEIR_OK);
    assert_true(pipe_wants_write(&t.a));
    int got = 0;
    for (int turn = 0; turn < 10000 && got < 3; turn++) {
        assert_int_equal(pipe_flush(&t.a), WEIR_OK);
        assert_int_equal(pipe_fill(&t.b), WEIR_OK);
        struct weir_bytes m;
        while (pipe_next(&t.b, &m)) {
            assert_int_equal(m.length, MESSAGE_MAX);
            assert_memory_equal(m.data, big, MESSAGE_MAX);
            got++;
        }
    }
    assert_int_equal(got, 3);
    assert_false(pipe_wants_write(&t.a));
    free(big);
    close_ends(&t);
}

/* A peer that does not read costs four messages of memory, not more. */
static void a_peer_that_does_not_read_is_a_limit(void **state)
{
    (void)state;
    struct two_ends t;
    open_ends(&t, MESSAGE_MAX);
    char *big = calloc(1, MESSAGE_MAX);
    weir_err err = WEIR_OK;
    int sent = 0;
    while (!err && sent < 100) {
        err = pipe_send(&t.a, big, MESSAGE_MAX);
        sent++;
    }
    assert_int_equal(err, WEIR_E_LIMIT);
    assert_in_range(sent, 4, 6);
    assert_in_range(t.a.out.len, 1, MESSAGE_MAX * 4);
    free(big);
    close_ends(&t);
}

/* A length beyond the limit breaks the pipe for good; what came before it is still there. */
static void an_oversized_length_breaks_the_pipe(void **state)
{
    (void)state;
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    struct pipe_end p;
    pipe_init(&p, fds[0], 16);
    assert_int_equal(write(fds[1], "\x02\0\0\0ok\x11\0\0\0garbage", 17), 17);
    assert_int_equal(pipe_fill(&p), WEIR_E_CORRUPT);
    expect_message(&p, "ok");
    expect_nothing(&p);
    assert_int_equal(pipe_fill(&p), WEIR_E_CORRUPT);
    assert_int_equal(pipe_send(&p, "seventeen bytes..", 17), WEIR_E_LIMIT);
    pipe_close(&p);
    close(fds[1]);
}

/* The end of the other process is the end of the stream; its last words are not lost. */
static void last_words_survive_the_end(void **state)
{
    (void)state;
    struct two_ends t;
    open_ends(&t, MESSAGE_MAX);
    assert_int_equal(pipe_send(&t.a, "last words", 10), WEIR_OK);
    pipe_close(&t.a);
    assert_int_equal(pipe_fill(&t.b), WEIR_E_UNREACHABLE);
    expect_message(&t.b, "last words");
    expect_nothing(&t.b);
    assert_int_equal(pipe_send(&t.b, "anyone?", 7), WEIR_E_UNREACHABLE);
    close_ends(&t);
}

/* More than fits in the buffer stays with the kernel and comes with the next call. */
static void a_flood_is_taken_in_portions(void **state)
{
    (void)state;
    struct two_ends t;
    open_ends(&t, 64);
    int sent = 0;
    while (sent < 100 && pipe_send(&t.a, "0123456789abcdef0123456789abcdef", 32) == WEIR_OK) sent++;
    int got = 0;
    struct weir_bytes m;
    for (int turn = 0; turn < 100 && got < sent; turn++) {
        assert_int_equal(pipe_fill(&t.b), WEIR_OK);
        while (pipe_next(&t.b, &m)) got++;
        assert_int_equal(pipe_flush(&t.a), WEIR_OK);
    }
    assert_int_equal(got, sent);
    close_ends(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_keep_their_borders),          cmocka_unit_test(a_message_in_pieces_waits_for_its_last_byte),
        cmocka_unit_test(partial_writes_are_finished_by_flush), cmocka_unit_test(a_peer_that_does_not_read_is_a_limit),
        cmocka_unit_test(an_oversized_length_breaks_the_pipe),  cmocka_unit_test(last_words_survive_the_end),
        cmocka_unit_test(a_flood_is_taken_in_portions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
