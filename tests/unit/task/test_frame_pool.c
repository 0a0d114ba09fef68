/* SPDX-License-Identifier: Apache-2.0 */
/* Frames come home, whoever releases them; each kind of frame returns to its own list, and the account is empty at the end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdlib.h>

#include "runtime/task/frame_pool.h"

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define ROUNDS 20000u
#else
#define ROUNDS 300000u
#endif
#define RELEASERS 3
#define QUEUE 64u
#define ROOM (WEIR_FRAME_BYTES - (uint32_t)sizeof(struct frame_header))

static void take_and_release(void **state)
{
    (void)state;
    struct frame_pool pool;
    frame_pool_init(&pool);
    frame_pool_adopt(&pool);
    struct frame *a = frame_take(&pool, 0), *b = frame_take(&pool, ROOM);
    assert_ptr_not_equal(a, b);
    assert_int_equal(a->capacity, ROOM);
    assert_int_equal(((uintptr_t)frame_records(a)) % 8, 0);
    assert_int_equal(atomic_load(&pool.n_out), 2);
    memset(a->head, 0xff, WEIR_FRAME_BYTES);
    frame_release(a);
    struct frame *again = frame_take(&pool, 8);
    assert_ptr_equal(again, a); /* the warmest one first */
    assert_int_equal(again->head->kind, 0);
    assert_int_equal(again->head->bytes, 0);
    assert_false(again->remote);
    frame_release(again);
    frame_release(b);
    assert_int_equal(atomic_load(&pool.n_out), 0);
    assert_int_equal(pool.n_chunks, 1);
    frame_pool_adopt(NULL);
    frame_pool_close(&pool);
}

/* One larger record gets a frame by itself, which any thread frees and no pool counts. */
static void a_large_frame_is_its_own(void **state)
{
    (void)state;
    struct frame_pool pool;
    frame_pool_init(&pool);
    const uint32_t sizes[] = {ROOM + 1, ROOM + 8, 100000, WEIR_FRAME_MAX};
    for (uint32_t i = 0; i < 4; i++) {
        struct frame *frame = frame_take(&pool, sizes[i]);
        assert_int_equal(frame->capacity, sizes[i]);
        assert_null(frame->home);
        memset(frame_records(frame), 1, sizes[i]); /* all of it is ours */
        assert_int_equal(atomic_load(&pool.n_out), 0);
        frame_release(frame);
    }
    frame_pool_close(&pool);
}

/* A frame has the room of its segment, or of the one record that is larger, and forgets the larger record when it comes home. */
static void a_segment_limits_the_room(void **state)
{
    (void)state;
    const struct {
        uint32_t segment, room;
    } sizes[] = {{1, 1}, {64, 1}, {65, 1}, {72, 8}, {400, 336}, {WEIR_FRAME_BYTES - 1, ROOM - 1}, {WEIR_FRAME_BYTES, ROOM}};
    for (uint32_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        const uint32_t room = sizes[i].room, asked[] = {0, 1, room, room + 1, 200, 256, 257, 5000, ROOM + 1, 0, 40};
        struct frame_pool pool;
        frame_pool_init(&pool);
        frame_pool_set_segment(&pool, sizes[i].segment);
        frame_pool_adopt(&pool);
        for (uint32_t k = 0; k < sizeof asked / sizeof *asked; k++) {
            struct frame *frame = frame_take(&pool, asked[k]);
            assert_int_equal(frame->capacity, asked[k] > room ? asked[k] : room);
            assert_int_equal(((uintptr_t)frame_records(frame)) % 8, 0);
            memset(frame->head, 0xff, sizeof(struct frame_header) + frame->capacity);
            frame_release(frame);
        }
        assert_int_equal(atomic_load(&pool.n_out), 0);
        frame_pool_adopt(NULL);
        frame_pool_close(&pool);
    }
}

/* Small frames take little memory each: what waits without credit is bounded by the bytes of its records, not by the number of frames. */
static void small_frames_share_a_chunk(void **state)
{
    (void)state;
    static struct frame *kept[5000];
    struct frame_pool pool;
    frame_pool_init(&pool);
    frame_pool_set_segment(&pool, 1);
    for (uint32_t i = 0; i < 5000; i++) {
        kept[i] = frame_take(&pool, 48);
        memset(frame_records(kept[i]), (int)(i % 256), 48);
    }
    assert_int_equal(pool.n_chunks, 1);
    for (uint32_t i = 0; i < 5000; i++) assert_int_equal(frame_records(kept[i])[i % 48], i % 256);
    for (uint32_t i = 0; i < 5000; i++) frame_release(kept[i]);
    frame_pool_close(&pool);
}

static void count_free(void *foreign)
{
    ++*(uint32_t *)foreign;
}

/* A frame around somebody else's bytes gives them back once, and its shell serves again. */
static void shells_give_foreign_bytes_back(void **state)
{
    (void)state;
    struct frame_pool pool;
    struct frame *kept[600];
    static _Alignas(8) struct frame_header bytes;
    uint32_t n_freed = 0;
    frame_pool_init(&pool);
    frame_pool_adopt(&pool);
    for (uint32_t i = 0; i < 600; i++) {
        kept[i] = frame_wrap(&pool, &bytes, count_free, &n_freed);
        assert_true(kept[i]->remote);
        assert_ptr_equal(kept[i]->head, &bytes);
    }
    uint32_t chunks = pool.n_chunks;
    frame_pool_adopt(NULL); /* now the long way */
    for (uint32_t i = 0; i < 600; i++) frame_release(kept[i]);
    assert_int_equal(n_freed, 600);
    frame_pool_adopt(&pool);
    struct frame *own = frame_take(&pool, 8); /* a shell has no room and must not be taken for a frame */
    assert_int_equal(own->capacity, ROOM);
    frame_release(own);
    for (uint32_t i = 0; i < 600; i++) kept[i] = frame_wrap(&pool, &bytes, count_free, &n_freed);
    assert_int_equal(pool.n_chunks, chunks + 1); /* the one for `own` */
    for (uint32_t i = 0; i < 600; i++) frame_release(kept[i]);
    assert_int_equal(n_freed, 1200);
    assert_int_equal(atomic_load(&pool.n_out), 0);
    frame_pool_adopt(NULL);
    frame_pool_close(&pool);
}

/* ---- several threads release
 * ---------------------------------------------------------------------------------------------------------------- */

static struct frame_pool shared;
static _Atomic(struct frame *) queues[RELEASERS][QUEUE];
static atomic_bool all_given;
static _Atomic uint32_t n_spoiled, n_foreign;

static void free_foreign(void *foreign)
{
    free(foreign);
    atomic_fetch_add_explicit(&n_foreign, 1, memory_order_relaxed);
}

/* Releases what lies in its queue; each frame must still say what its maker wrote into it. */
static void *release_all(void *arg)
{
    _Atomic(struct frame *) *queue = arg;
    bool last = false;
    while (!last) {
        last = atomic_load(&all_given);
        for (uint32_t i = 0; i < QUEUE; i++) {
            struct frame *frame = atomic_exchange_explicit(&queue[i], NULL, memory_order_acquire);
            if (!frame) continue;
            if (frame->head->seq != (uint64_t)(uintptr_t)frame) atomic_fetch_add(&n_spoiled, 1);
            frame_release(frame);
        }
    }
    return NULL;
}

static struct frame *make_frame(uint32_t n)
{
    struct frame *frame;
    if (n % 7 == 0) {
        struct frame_header *head = calloc(1, sizeof *head);
        frame = frame_wrap(&shared, head, free_foreign, head);
    } else {
        frame = frame_take(&shared, n % 101 == 0 ? 100000 : 8);
    }
    frame->head->seq = (uint64_t)(uintptr_t)frame;
    return frame;
}

static void frames_released_elsewhere_come_home(void **state)
{
    (void)state;
    pthread_t threads[RELEASERS];
    uint32_t n_wrapped = 0;
    frame_pool_init(&shared);
    frame_pool_adopt(&shared);
    atomic_store(&all_given, false);
    for (uint32_t t = 0; t < RELEASERS; t++) assert_int_equal(pthread_create(&threads[t], NULL, release_all, queues[t]), 0);
    for (uint32_t n = 0; n < ROUNDS; n++) {
        struct frame *frame = make_frame(n);
        n_wrapped += n % 7 == 0;
        frame = atomic_exchange_explicit(&queues[n % RELEASERS][n / RELEASERS % QUEUE], frame, memory_order_acq_rel);
        if (frame) frame_release(frame); /* the others are slow: its owner releases it */
    }
    atomic_store(&all_given, true);
    for (uint32_t t = 0; t < RELEASERS; t++) (void)pthread_join(threads[t], NULL);
    assert_int_equal(n_spoiled, 0);
    assert_int_equal(n_foreign, n_wrapped);
    assert_int_equal(atomic_load(&shared.n_out), 0);
    assert_true(shared.n_chunks < 40); /* it lives on what comes back: a few hundred frames are out at most */
    frame_pool_adopt(NULL);
    frame_pool_close(&shared);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(take_and_release),
        cmocka_unit_test(a_large_frame_is_its_own),
        cmocka_unit_test(a_segment_limits_the_room),
        cmocka_unit_test(small_frames_share_a_chunk),
        cmocka_unit_test(shells_give_foreign_bytes_back),
        cmocka_unit_test(frames_released_elsewhere_come_home),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
