/* SPDX-License-Identifier: Apache-2.0 */
/* The supply's thread is held where it would map a block: this program is linked with --wrap=memory_map_block. */
#include <poll.h>

#include "runtime/base/gate.h"
#include "runtime/state/memory.h"
#include "runtime/state/run.h"
#include "runtime/state/supply.h"
#include "tests/unit/state/oracle.h"

#define WAIT_MS 60000

static struct gate *hold; /* NULL = it is let through */

void *__real_memory_map_block(void);
void *__wrap_memory_map_block(void);
void *__wrap_memory_map_block(void)
{
    if (hold) gate_wait(hold);
    return __real_memory_map_block();
}

/* Waits until the thread has made all that is ordered. */
static void await_all(struct supply *s)
{
    while (s->n_ready + s->n_idle < SUPPLY_BLOCKS) {
        struct pollfd done = {.fd = background_fd(s->thread), .events = POLLIN};
        assert_int_equal(poll(&done, 1, WAIT_MS), 1);
        (void)supply_is_coming(s); /* collects */
    }
}

static void check_zero(const void *block)
{
    const uint64_t *words = block;
    for (size_t i = 0; i < MEMORY_HUGE_BYTES / 8; i++) CHECK(words[i] == 0);
}

static void the_first_block_is_ordered_by_asking_for_it(void **state)
{
    (void)state;
    struct supply s = {0};
    assert_false(supply_is_coming(&s)); /* nobody has asked: whoever waited would wait for ever */
    assert_null(supply_take(&s));
    await_all(&s);
    assert_int_equal(s.n_ready, SUPPLY_BLOCKS);
    assert_false(supply_is_coming(&s));
    supply_close(&s);
}

/* Each block is given once, and is zeros though others were written to. */
static void blocks_are_zeroed_and_each_is_ones_own(void **state)
{
    (void)state;
    void *blocks[3 * SUPPLY_BLOCKS];
    struct supply s = {0};
    (void)supply_take(&s);
    for (size_t i = 0; i < 3 * SUPPLY_BLOCKS; i++) {
        await_all(&s);
        blocks[i] = supply_take(&s);
        assert_non_null(blocks[i]);
        assert_int_equal((uintptr_t)blocks[i] % MEMORY_HUGE_BYTES, 0);
        check_zero(blocks[i]);
        memset(blocks[i], 0xa5, MEMORY_HUGE_BYTES);
    }
    for (size_t i = 0; i < 3 * SUPPLY_BLOCKS; i++) memory_unmap_block(blocks[i]);
    supply_close(&s);
}

/* Closed while blocks are ordered, made and ready; the sanitizers would see what is left. */
static void it_may_be_closed_at_any_time(void **state)
{
    (void)state;
    for (int i = 0; i < 50; i++) {
        struct supply s = {0};
        (void)supply_take(&s);
        if (i % 3 == 1) await_all(&s);
        if (i % 3 == 2) (void)supply_is_coming(&s);
        supply_close(&s);
    }
}

/* ---- in an account ------------------------------------------------------------------------------------------------------------------- */

static void blocks_are_counted_when_they_are_taken(void **state)
{
    (void)state;
    struct supply s = {0};
    struct memory memory = {.supply = &s, .limit = 2 * MEMORY_HUGE_BYTES};
    void *first = memory_take_block(&memory); /* mapped at once: nothing was ready */
    assert_non_null(first);
    await_all(&s);
    assert_int_equal(memory.bytes, MEMORY_HUGE_BYTES);
    void *second = memory_take_block(&memory);
    assert_int_equal(memory.bytes, 2 * MEMORY_HUGE_BYTES);
    assert_null(memory_take_block(&memory)); /* the limit is the account's */
    memory_give_block(&memory, first);
    memory_give_block(&memory, second);
    assert_int_equal(memory.bytes, 0);
    supply_close(&s);
}

/* Fills a run until it says that a block is coming, or until it has `bytes`. */
static bool fill_until_coming(struct run *run, uint64_t bytes)
{
    unsigned char value[1000] = {0};
    for (uint64_t i = 0; run->bytes < bytes; i++) {
        if (run_block_is_coming(run, 2 * sizeof value)) return true;
        assert_int_equal(run_add(run, 1, &i, sizeof i, 0, value, sizeof value), WEIR_OK);
    }
    return false;
}

/* Only near the end of a large chunk, only when nothing is ready, and only while something is on its way. */
static void a_run_tells_when_a_block_is_coming(void **state)
{
    (void)state;
    struct supply s = {0};
    struct memory memory = {.supply = &s};
    struct gate gate;
    struct run run;
    gate_init(&gate);
    run_init(&run, &memory);
    hold = &gate;
    assert_true(fill_until_coming(&run, UINT64_MAX)); /* its first large chunk was mapped, and ordered the next ones */
    assert_true(s.n_ready == 0);
    assert_false(run_block_is_coming(&run, 1)); /* there is room for that */
    gate_open(&gate);
    await_all(&s);
    uint64_t before = run.bytes;
    for (uint32_t i = 0; i < SUPPLY_BLOCKS; i++, await_all(&s)) assert_false(fill_until_coming(&run, run.bytes + MEMORY_HUGE_BYTES / 2));
    assert_true(run.bytes > before + SUPPLY_BLOCKS * (MEMORY_HUGE_BYTES / 2));
    run_close(&run);
    assert_int_equal(memory.bytes, 0);
    supply_close(&s);
    gate_close(&gate);
    hold = NULL;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_block_is_ordered_by_asking_for_it),
        cmocka_unit_test(blocks_are_zeroed_and_each_is_ones_own),
        cmocka_unit_test(it_may_be_closed_at_any_time),
        cmocka_unit_test(blocks_are_counted_when_they_are_taken),
        cmocka_unit_test(a_run_tells_when_a_block_is_coming),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
