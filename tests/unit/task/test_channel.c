/* SPDX-License-Identifier: Apache-2.0 */
/* Channels: order and credit on one thread against a model, then between real threads that are slow at random and park: no frame, no
 * wake-up is lost. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>

#include "runtime/base/clock.h"
#include "runtime/task/channel.h"

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define FRAMES 60000u
#else
#define FRAMES 500000u
#endif
#define LOST_US 10000000 /* a thread that sleeps so long although it has work was not woken */

static uint64_t draw(uint64_t *state, uint64_t below)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (z ^ (z >> 31)) % below;
}

static struct frame *numbered(struct frame_pool *pool, uint64_t n)
{
    struct frame *frame = frame_take(pool, 8);
    frame->head->time_ms = (int64_t)n;
    return frame;
}

/* ---- one thread, against a model
 * ---------------------------------------------------------------------------------------------------------- */

static void open_local(struct channel *ch, struct wake *wake, uint32_t window)
{
    assert_int_equal(wake_init(wake, NULL), WEIR_OK);
    assert_int_equal(channel_init(ch, 5, window), WEIR_OK);
    ch->sender = ch->receiver = wake;
}

/* Whatever the turns of both sides: frames come in order, never more than the window on the way, the others wait. */
static void frames_come_in_order_and_never_beyond_the_window(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        static struct channel ch;
        struct wake wake;
        struct frame_pool pool;
        uint64_t r = seed, sent = 0, taken = 0;
        uint32_t window = 2u << draw(&r, 6);
        frame_pool_init(&pool);
        frame_pool_adopt(&pool);
        open_local(&ch, &wake, window);
        for (int i = 0; i < 3000; i++) {
            uint64_t what = draw(&r, 10);
            if (what < 5) channel_send(&ch, numbered(&pool, sent++));
            bool drained = what == 5 && channel_drain(&ch);
            if (what == 5) assert_int_equal(drained, !channel_blocked(&ch));
            struct frame *frame = what > 5 ? channel_take(&ch) : NULL;
            if (frame) {
                assert_int_equal(frame->head->time_ms, taken);
                assert_int_equal(frame->head->seq, taken++);
                assert_int_equal(frame->head->channel, 5);
                frame_release(frame);
            }
            assert_in_range(ch.n_out - taken, 0, window);
            assert_int_equal(channel_empty(&ch), ch.n_out == taken);
            assert_int_equal(channel_blocked(&ch), ch.n_out < sent);
            /* Nothing waits beside free credit once the sender has drained. */
            if (what == 5 && channel_blocked(&ch)) assert_int_equal(ch.n_out - taken, window);
        }
        channel_close(&ch);
        assert_int_equal(atomic_load(&pool.n_out), 0); /* those in the ring and those that waited came home */
        frame_pool_close(&pool);
        wake_close(&wake);
    }
    frame_pool_adopt(NULL);
}

static void impossible_numbers_are_rejected(void **state)
{
    (void)state;
    static struct channel out, in;
    struct wake wake;
    struct frame_pool pool;
    struct outbox box = {0};
    frame_pool_init(&pool);
    frame_pool_adopt(&pool);
    open_local(&out, &wake, 8);
    assert_int_equal(channel_init(&in, 5, 8), WEIR_OK);
    assert_int_equal(outbox_init(&box, 1, &wake), WEIR_OK);
    in.receiver = &wake;
    in.credits = &box;
    /* A credit may repeat what is known or tell of what was sent, nothing else. */
    out.n_sent_net = 6;
    assert_false(channel_credit(&out, 7));
    assert_true(channel_credit(&out, 4));
    assert_true(channel_credit(&out, 2));
    assert_int_equal(atomic_load(&out.n_taken), 4);
    assert_false(channel_credit(&out, UINT64_MAX));
    assert_int_equal(atomic_load(&out.n_taken), 4);
    /* Frames may arrive as far as the window goes. */
    for (uint64_t i = 0; i < 8; i++) assert_true(channel_deliver(&in, numbered(&pool, i)));
    struct frame *frame = numbered(&pool, 8);
    assert_false(channel_deliver(&in, frame));
    frame_release(channel_take(&in));
    assert_true(channel_deliver(&in, frame));
    channel_close(&in);
    channel_close(&out);
    outbox_close(&box);
    frame_pool_close(&pool);
    wake_close(&wake);
    frame_pool_adopt(NULL);
}

/* A receiver tells of its credit a few times a window, and never has two announcements under way, however many frames probes let in. */
static void one_announcement_is_under_way_at_most(void **state)
{
    (void)state;
    static struct channel in;
    struct wake wake;
    struct frame_pool pool;
    struct outbox box = {0};
    struct frame *frame;
    struct channel *credit;
    frame_pool_init(&pool);
    frame_pool_adopt(&pool);
    open_local(&in, &wake, 16);
    in.sender = NULL;
    assert_int_equal(outbox_init(&box, 1, &wake), WEIR_OK);
    in.credits = &box;
    for (uint64_t i = 0; i < 1000; i++) { /* the net thread does not empty the outbox; probes bring the credit back */
        assert_true(channel_deliver(&in, numbered(&pool, i)));
        frame_release(channel_take(&in));
        assert_in_range(ring_count(&box.ring), 0, 1);
    }
    assert_true(outbox_take(&box, &frame, &credit));
    assert_ptr_equal(credit, &in);
    assert_null(frame);
    assert_false(outbox_take(&box, &frame, &credit));
    uint32_t portions = 0;
    for (uint64_t i = 0; i < 160; i++) {
        assert_true(channel_deliver(&in, numbered(&pool, i)));
        frame_release(channel_take(&in));
        portions += outbox_take(&box, &frame, &credit);
    }
    assert_in_range(portions, 10 * CHANNEL_CREDIT_PORTIONS - 1, 10 * CHANNEL_CREDIT_PORTIONS);
    channel_close(&in);
    outbox_close(&box);
    frame_pool_close(&pool);
    wake_close(&wake);
    frame_pool_adopt(NULL);
}

/* Frames that never left an outbox come home when it is closed. */
static void a_closed_outbox_gives_its_frames_back(void **state)
{
    (void)state;
    static struct channel out;
    struct wake wake;
    struct frame_pool pool;
    struct outbox box = {0};
    frame_pool_init(&pool);
    frame_pool_adopt(&pool);
    open_local(&out, &wake, 8);
    assert_int_equal(outbox_init(&box, 8, &wake), WEIR_OK);
    out.outbox = &box;
    for (uint64_t i = 0; i < 20; i++) channel_send(&out, numbered(&pool, i));
    assert_true(channel_blocked(&out));
    assert_int_equal(ring_count(&box.ring), 8);
    channel_close(&out);
    outbox_close(&box);
    frame_pool_close(&pool);
    wake_close(&wake);
    frame_pool_adopt(NULL);
}

static void windows_share_what_a_receiver_has(void **state)
{
    (void)state;
    for (uint32_t n = 0; n < 2000; n++) {
        uint32_t window = channel_remote_window(n);
        assert_int_equal(window & (window - 1), 0);
        assert_in_range(window, WEIR_CREDITS_REMOTE_MIN, WEIR_CREDITS_REMOTE_MAX);
        assert_true(window == WEIR_CREDITS_REMOTE_MIN || window * n <= WEIR_CREDITS_RECEIVER);
        assert_true(n == 0 || window <= channel_remote_window(n - 1));
    }
}

/* ---- real threads
 * -------------------------------------------------------------------------------------------------------------------------- */

/* Sender and receiver of one channel; remote: two half channels with the net thread between them. */
static struct pair {
    struct channel out, in;
    struct channel *from; /* what the receiver takes from */
    struct wake sender, receiver, net;
    struct outbox frames, credits;
    struct frame_pool pool;
    uint64_t seed;
    bool remote;
    atomic_bool received_all;
    _Atomic uint32_t n_lost_wakes, n_disorders, n_parked;
} pair;

/* Sleeps as a task thread does. work: whether there is something to do after all. */
static void park(struct wake *wake, bool (*work)(void))
{
    wake_prepare(wake);
    if (!work()) {
        int64_t since = clock_mono_ns();
        atomic_fetch_add_explicit(&pair.n_parked, 1, memory_order_relaxed);
        wake_wait(wake, LOST_US);
        if (clock_mono_ns() - since >= LOST_US * 1000ll && work()) atomic_fetch_add(&pair.n_lost_wakes, 1);
    }
    wake_clear(wake);
}

/* Slow now and then, for a while that lets the other side fall asleep. */
static void be_slow(uint64_t *r)
{
    if (draw(r, 512)) return;
    for (uint64_t n = draw(r, 20000); n > 0; n--) __asm__ volatile("" ::: "memory");
}

static bool sender_work(void)
{
    return pair.out.n_out - atomic_load(&pair.out.n_taken) < pair.out.window;
}
static bool receiver_work(void)
{
    return !channel_empty(pair.from);
}
static bool net_work(void)
{
    return ring_count(&pair.frames.ring) > 0 || ring_count(&pair.credits.ring) > 0 || atomic_load(&pair.received_all);
}

static void *send_all(void *arg)
{
    uint64_t r = pair.seed;
    frame_pool_adopt(&pair.pool);
    for (uint64_t n = 0; n < FRAMES;) {
        be_slow(&r);
        for (uint64_t burst = 1 + draw(&r, 8); burst > 0 && n < FRAMES; burst--) channel_send(&pair.out, numbered(&pair.pool, n++));
        if (pair.remote) outbox_announce(&pair.frames);
        while (!channel_drain(&pair.out)) {
            if (pair.remote) outbox_announce(&pair.frames);
            park(&pair.sender, sender_work);
        }
        if (pair.remote) outbox_announce(&pair.frames);
    }
    frame_pool_adopt(NULL);
    return arg;
}

static void *take_all(void *arg)
{
    uint64_t r = ~pair.seed;
    for (uint64_t n = 0; n < FRAMES;) {
        struct frame *frame = channel_take(pair.from);
        if (!frame) {
            if (pair.remote) outbox_announce(&pair.credits);
            park(&pair.receiver, receiver_work);
            continue;
        }
        if (frame->head->time_ms != (int64_t)n || frame->head->seq != n) atomic_fetch_add(&pair.n_disorders, 1);
        n++;
        frame_release(frame);
        be_slow(&r);
    }
    atomic_store(&pair.received_all, true);
    wake_up(&pair.net);
    return arg;
}

/* The wire and both net threads in one: now and then a credit is lost, and a probe brings it back when all is quiet. */
static void *move_all(void *arg)
{
    uint64_t r = pair.seed ^ 0x5555;
    while (!atomic_load(&pair.received_all)) {
        struct frame *frame;
        struct channel *credit;
        bool moved = false, lost = false;
        while (outbox_take(&pair.frames, &frame, &credit)) {
            moved = true;
            pair.out.n_sent_net++;
            if (channel_deliver(&pair.in, frame)) continue;
            atomic_fetch_add(&pair.n_disorders, 1);
            frame_release(frame);
        }
        if (moved) wake_up(&pair.receiver);
        while (outbox_take(&pair.credits, &frame, &credit)) {
            moved = lost = draw(&r, 8) == 0;
            if (!lost && !channel_credit(&pair.out, atomic_load_explicit(&credit->n_taken, memory_order_acquire)))
                atomic_fetch_add(&pair.n_disorders, 1);
        }
        be_slow(&r);
        if (moved) continue;
        (void)channel_credit(&pair.out, atomic_load_explicit(&pair.in.n_taken, memory_order_acquire));
        park(&pair.net, net_work);
        (void)channel_credit(&pair.out, atomic_load_explicit(&pair.in.n_taken, memory_order_acquire));
    }
    return arg;
}

static void between_threads(bool remote, uint32_t window, uint64_t seed)
{
    pthread_t threads[3];
    uint32_t n = 0;
    memset(&pair, 0, sizeof pair);
    pair.seed = seed;
    pair.remote = remote;
    frame_pool_init(&pair.pool);
    assert_int_equal(wake_init(&pair.sender, NULL), WEIR_OK);
    assert_int_equal(wake_init(&pair.receiver, NULL), WEIR_OK);
    assert_int_equal(wake_init(&pair.net, NULL), WEIR_OK);
    assert_int_equal(channel_init(&pair.out, 1, window), WEIR_OK);
    assert_int_equal(channel_init(&pair.in, 1, window), WEIR_OK);
    assert_int_equal(outbox_init(&pair.frames, window, &pair.net), WEIR_OK);
    assert_int_equal(outbox_init(&pair.credits, 1, &pair.net), WEIR_OK);
    pair.out.sender = &pair.sender;
    pair.out.receiver = pair.in.receiver = &pair.receiver;
    pair.from = remote ? &pair.in : &pair.out;
    if (remote) {
        pair.out.outbox = &pair.frames;
        pair.in.credits = &pair.credits;
        assert_int_equal(pthread_create(&threads[n++], NULL, move_all, NULL), 0);
    }
    assert_int_equal(pthread_create(&threads[n++], NULL, take_all, NULL), 0);
    assert_int_equal(pthread_create(&threads[n++], NULL, send_all, NULL), 0);
    for (uint32_t i = 0; i < n; i++) (void)pthread_join(threads[i], NULL);
    if (pair.n_lost_wakes || pair.n_disorders) print_error("seed %llu, window %u\n", (unsigned long long)seed, window);
    assert_int_equal(pair.n_lost_wakes, 0);
    assert_int_equal(pair.n_disorders, 0);
    assert_true(pair.n_parked > 0); /* else nothing was tested */
    channel_close(&pair.out);
    channel_close(&pair.in);
    outbox_close(&pair.frames);
    outbox_close(&pair.credits);
    frame_pool_close(&pair.pool);
    wake_close(&pair.sender);
    wake_close(&pair.receiver);
    wake_close(&pair.net);
}

static void a_local_channel_loses_no_frame_and_no_wake_up(void **state)
{
    (void)state;
    between_threads(false, WEIR_CREDITS_LOCAL, 1);
    between_threads(false, 2, 2);
}

static void a_remote_channel_loses_no_frame_and_no_wake_up(void **state)
{
    (void)state;
    between_threads(true, WEIR_CREDITS_REMOTE_MAX, 3);
    between_threads(true, 8, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_come_in_order_and_never_beyond_the_window),
        cmocka_unit_test(impossible_numbers_are_rejected),
        cmocka_unit_test(one_announcement_is_under_way_at_most),
        cmocka_unit_test(a_closed_outbox_gives_its_frames_back),
        cmocka_unit_test(windows_share_what_a_receiver_has),
        cmocka_unit_test(a_local_channel_loses_no_frame_and_no_wake_up),
        cmocka_unit_test(a_remote_channel_loses_no_frame_and_no_wake_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
