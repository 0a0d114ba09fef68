/* SPDX-License-Identifier: Apache-2.0 */
/* Handles for routing ids: stable while they live, never reused, and bounded whatever the peers call themselves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "jobmanager/routes.h"

static struct weir_bytes bytes(const void *data, uint32_t n)
{
    return (struct weir_bytes){data, n};
}

static void a_peer_keeps_its_handle(void **state)
{
    (void)state;
    struct routes *r = NULL;
    struct weir_bytes id;
    assert_int_equal(routes_new(&r), WEIR_OK);
    uint64_t a = routes_handle(r, bytes("aaaa", 4)), b = routes_handle(r, bytes("bbbb", 4));
    assert_true(a != 0 && b != 0 && a != b);
    assert_true(routes_handle(r, bytes("aaaa", 4)) == a);
    assert_true(routes_find(r, b, &id));
    assert_int_equal(id.length, 4);
    assert_memory_equal(id.data, "bbbb", 4);
    routes_forget(r, a);
    assert_false(routes_find(r, a, &id));
    assert_true(routes_handle(r, bytes("aaaa", 4)) != a);
    routes_destroy(&r);
}

static void impossible_ids_and_handles_are_nobody(void **state)
{
    (void)state;
    struct routes *r = NULL;
    struct weir_bytes id;
    static const char large[ROUTES_ID_MAX + 1];
    assert_int_equal(routes_new(&r), WEIR_OK);
    assert_true(routes_handle(r, bytes("", 0)) == 0);
    assert_true(routes_handle(r, bytes(large, sizeof large)) == 0);
    assert_true(routes_handle(r, bytes(large, ROUTES_ID_MAX)) != 0);
    assert_false(routes_find(r, 0, &id));
    assert_false(routes_find(r, UINT64_MAX, &id));
    routes_forget(r, 0);
    routes_forget(r, UINT64_MAX);
    routes_destroy(&r);
}

/* A hundred thousand strangers cannot push out one that is heard of between them. */
static void strangers_do_not_push_out_who_is_heard_of(void **state)
{
    (void)state;
    struct routes *r = NULL;
    struct weir_bytes id;
    assert_int_equal(routes_new(&r), WEIR_OK);
    uint64_t friend = routes_handle(r, bytes("friend", 6));
    for (uint32_t i = 0; i < 100000; i++) {
        (void)routes_handle(r, bytes(&i, sizeof i));
        if (i % 1000 == 0) assert_true(routes_handle(r, bytes("friend", 6)) == friend);
    }
    assert_true(routes_find(r, friend, &id));
    routes_destroy(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_peer_keeps_its_handle),
        cmocka_unit_test(impossible_ids_and_handles_are_nobody),
        cmocka_unit_test(strangers_do_not_push_out_who_is_heard_of),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
