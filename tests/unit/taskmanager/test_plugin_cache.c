/* SPDX-License-Identifier: Apache-2.0 */
/* Plugins in memory files: only whole ones with the right digest can be had, and nobody can change them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "taskmanager/plugin_cache.h"

static struct plugin_cache *cache;
static struct weir_digest evicted[PLUGIN_CACHE_MAX];
static uint32_t n_evicted;
static enum plugin_cache_state cache_state;
static struct weir_diag diag;

static int open_cache(void **state)
{
    (void)state;
    return (int)plugin_cache_new(&cache);
}

static int close_cache(void **state)
{
    (void)state;
    plugin_cache_destroy(&cache);
    return 0;
}

static struct weir_digest digest_of(const void *data, size_t n)
{
    struct sha256 h;
    sha256_init(&h);
    sha256_update(&h, data, n);
    return sha256_final(&h);
}

static weir_err put(struct weir_digest digest, uint64_t offset, uint64_t total, const char *text)
{
    struct weir_bytes chunk = {text, (uint32_t)strlen(text)};
    return plugin_cache_store(cache, digest, offset, total, chunk, &cache_state, evicted, &n_evicted, &diag);
}

static void a_plugin_can_be_had_when_it_is_whole(void **state)
{
    (void)state;
    struct weir_digest d = digest_of("abcdef", 6);
    assert_int_equal(put(d, 0, 6, "abc"), WEIR_OK);
    assert_int_equal(cache_state, PLUGIN_CACHE_MORE);
    assert_int_equal(plugin_cache_find(cache, d), -1);
    assert_int_equal(put(d, 3, 6, "def"), WEIR_OK);
    assert_int_equal(cache_state, PLUGIN_CACHE_COMPLETE);
    int fd = plugin_cache_find(cache, d);
    char data[8];
    assert_int_equal(pread(fd, data, sizeof data, 0), 6);
    assert_memory_equal(data, "abcdef", 6);
    assert_int_equal(pwrite(fd, "X", 1, 0), -1);
    assert_int_equal(errno, EPERM);
    assert_int_equal(ftruncate(fd, 0), -1);
    plugin_cache_drop(cache, d);
    assert_int_equal(plugin_cache_find(cache, d), -1);
}

static void another_digest_is_refused_and_dropped(void **state)
{
    (void)state;
    struct weir_digest d = digest_of("abcdef", 6);
    assert_int_equal(put(d, 0, 6, "abcdeX"), WEIR_E_CORRUPT);
    assert_int_equal(plugin_cache_find(cache, d), -1);
    assert_int_equal(put(d, 0, 6, "abcdef"), WEIR_OK); /* fetched again */
    assert_int_equal(cache_state, PLUGIN_CACHE_COMPLETE);
}

static void chunks_come_in_order(void **state)
{
    (void)state;
    struct weir_digest d = digest_of("abcdef", 6);
    assert_int_equal(put(d, 3, 6, "def"), WEIR_E_ARGUMENT);
    assert_int_equal(put(d, 0, 6, "abc"), WEIR_OK);
    assert_int_equal(put(d, 3, 7, "def"), WEIR_E_ARGUMENT);
    assert_int_equal(put(d, 0, 6, "abc"), WEIR_OK);
    assert_int_equal(put(d, 3, 6, "defg"), WEIR_E_ARGUMENT);
    assert_int_equal(put(d, 0, 6, "abc"), WEIR_OK);
    assert_int_equal(put(d, 0, 6, "abc"), WEIR_OK); /* offset 0 begins again */
    assert_int_equal(put(d, 3, 6, "def"), WEIR_OK);
    assert_int_equal(cache_state, PLUGIN_CACHE_COMPLETE);
}

/* The bound is on bytes announced: memory is never promised twice. What was used longest ago goes first. */
static void the_oldest_makes_room(void **state)
{
    (void)state;
    struct weir_digest a = digest_of("a", 1), b = digest_of("b", 1), big = digest_of("big", 3);
    assert_int_equal(put(a, 0, 1, "a"), WEIR_OK);
    assert_int_equal(put(b, 0, 1, "b"), WEIR_OK);
    assert_true(plugin_cache_find(cache, a) >= 0); /* now b is the oldest */
    assert_int_equal(put(big, 0, PLUGIN_CACHE_BYTES_MAX - 1, "x"), WEIR_OK);
    assert_int_equal(n_evicted, 1);
    assert_true(digest_equal(evicted[0], b));
    assert_true(plugin_cache_find(cache, a) >= 0);
    assert_int_equal(put(b, 0, PLUGIN_CACHE_BYTES_MAX, "x"), WEIR_E_LIMIT); /* one on the way is not dropped for another */
    assert_int_equal(put(b, 0, PLUGIN_CACHE_BYTES_MAX + 1, "x"), WEIR_E_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_plugin_can_be_had_when_it_is_whole, open_cache, close_cache),
        cmocka_unit_test_setup_teardown(another_digest_is_refused_and_dropped, open_cache, close_cache),
        cmocka_unit_test_setup_teardown(chunks_come_in_order, open_cache, close_cache),
        cmocka_unit_test_setup_teardown(the_oldest_makes_room, open_cache, close_cache),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
