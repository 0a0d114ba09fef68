/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "runtime/coord/acl.h"
#include "runtime/coord/limits.h"

#define KEY "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7"

static void add(struct buffer *acl, uint8_t perms, uint8_t scheme, const char *id)
{
    if (acl->len == 0) put_u16(acl, 0);
    acl->data[0]++;
    put_u8(acl, perms);
    put_u8(acl, scheme);
    put_u16(acl, (uint16_t)strlen(id));
    buffer_str(acl, id);
}

static struct weir_bytes of(const struct buffer *b)
{
    return bytes_of(b->data, b->len);
}

static void digests_need_the_password(void **state)
{
    struct buffer acl = {0}, right = {0}, wrong = {0}, id = {0};
    (void)state;
    assert_int_equal(identity_of_password(bytes_text("ann:secret"), &id), COORD_OK);
    assert_int_equal(id.len, 4 + 64);
    assert_int_equal(identities_add(&right, ACL_DIGEST, of(&id)), COORD_OK);
    add(&acl, ACL_READ | ACL_WRITE, ACL_DIGEST, buffer_cstr(&id));
    buffer_clear(&id);
    assert_int_equal(identity_of_password(bytes_text("ann:Secret"), &id), COORD_OK);
    assert_int_equal(identities_add(&wrong, ACL_DIGEST, of(&id)), COORD_OK);
    assert_int_equal(identities_add(&wrong, ACL_KEY, bytes_text(KEY)), COORD_OK);
    assert_true(acl_allows(of(&acl), ACL_WRITE, of(&right)));
    assert_false(acl_allows(of(&acl), ACL_DELETE, of(&right)));
    assert_false(acl_allows(of(&acl), ACL_READ, of(&wrong)));
    assert_false(acl_allows(of(&acl), ACL_READ, bytes_of("", 0)));
    assert_int_equal(identities_add(&wrong, ACL_SUPER, bytes_text("admin")), COORD_OK);
    assert_true(acl_allows(of(&acl), ACL_ADMIN, of(&wrong)));
    assert_int_equal(identity_of_password(bytes_text("ann"), &id), COORD_AUTH_FAILED);
    assert_int_equal(identity_of_password(bytes_text(":x"), &id), COORD_AUTH_FAILED);
    struct buffer masked = {0};
    acl_mask(of(&acl), &masked);
    assert_int_equal(masked.len, 2 + 4 + 5);
    assert_memory_equal(masked.data + 6, "ann:x", 5);
    buffer_close(&masked);
    buffer_close(&acl);
    buffer_close(&right);
    buffer_close(&wrong);
    buffer_close(&id);
}

static void auth_stands_for_whoever_sets_it(void **state)
{
    struct buffer request = {0}, me = {0}, out = {0}, expected = {0};
    (void)state;
    assert_int_equal(identities_add(&me, ACL_KEY, bytes_text(KEY)), COORD_OK);
    assert_int_equal(identities_add(&me, ACL_SUPER, bytes_text("admin")), COORD_OK);
    add(&request, ACL_ALL, ACL_AUTH, "");
    add(&request, ACL_READ, ACL_WORLD, "anyone");
    add(&request, ACL_READ, ACL_WORLD, "anyone");
    assert_int_equal(acl_resolve(of(&request), of(&me), &out), COORD_OK);
    add(&expected, ACL_ALL, ACL_KEY, KEY);
    add(&expected, ACL_READ, ACL_WORLD, "anyone");
    assert_true(bytes_equal(of(&out), of(&expected)));
    request.len = 0;
    buffer_clear(&out);
    add(&request, ACL_ALL, ACL_AUTH, "");
    assert_int_equal(acl_resolve(of(&request), bytes_of("", 0), &out), COORD_INVALID_ACL); /* nobody would be left */
    buffer_close(&request);
    buffer_close(&me);
    buffer_close(&out);
    buffer_close(&expected);
}

static void malformed_lists(void **state)
{
    static const struct {
        uint8_t perms, scheme;
        const char *id;
    } bad[] = {{0, ACL_WORLD, "anyone"}, {32, ACL_WORLD, "anyone"}, {1, ACL_WORLD, "me"}, {1, ACL_DIGEST, ""},
               {1, ACL_AUTH, ""},        {1, ACL_SUPER, "x"},       {1, 0, "anyone"},     {1, 9, "anyone"}};
    struct buffer acl = {0};
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        buffer_clear(&acl);
        add(&acl, bad[i].perms, bad[i].scheme, bad[i].id);
        assert_false(acl_valid(of(&acl)));
    }
    buffer_clear(&acl);
    assert_false(acl_valid(of(&acl)));
    for (uint32_t i = 0; i < COORD_ACL_MAX; i++) {
        char id[20];
        snprintf(id, sizeof id, "u%u:x", i);
        add(&acl, ACL_READ, ACL_DIGEST, id);
    }
    assert_true(acl_valid(of(&acl)));
    for (size_t n = 0; n < acl.len; n++) assert_false(acl_valid(bytes_of(acl.data, n)));
    add(&acl, ACL_READ, ACL_DIGEST, "more:x");
    assert_false(acl_valid(of(&acl)));
    buffer_close(&acl);
}

static void identities_are_bounded(void **state)
{
    struct buffer me = {0};
    (void)state;
    for (uint32_t i = 0; i < COORD_IDENTITIES_MAX; i++) {
        char id[20];
        snprintf(id, sizeof id, "u%u:x", i);
        assert_int_equal(identities_add(&me, ACL_DIGEST, bytes_text(id)), COORD_OK);
        assert_int_equal(identities_add(&me, ACL_DIGEST, bytes_text(id)), COORD_OK); /* again: nothing changes */
    }
    assert_true(identities_valid(of(&me)));
    assert_int_equal(identities_add(&me, ACL_DIGEST, bytes_text("more:x")), COORD_AUTH_FAILED);
    assert_int_equal(identities_add(&me, ACL_WORLD, bytes_text("anyone")), COORD_AUTH_FAILED);
    for (size_t n = 0; n < me.len; n++) assert_false(identities_valid(bytes_of(me.data, n)));
    buffer_close(&me);
}

static void equal_lists_are_one(void **state)
{
    struct map lists = {0};
    (void)state;
    struct acl *a = acl_intern(&lists, acl_open()), *b = acl_intern(&lists, acl_open());
    assert_ptr_equal(a, b);
    assert_int_equal(lists.n, 1);
    acl_release(&lists, a);
    assert_int_equal(lists.n, 1);
    acl_release(&lists, b);
    assert_int_equal(lists.n, 0);
    map_close(&lists);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(digests_need_the_password), cmocka_unit_test(auth_stands_for_whoever_sets_it),
        cmocka_unit_test(malformed_lists),           cmocka_unit_test(identities_are_bounded),
        cmocka_unit_test(equal_lists_are_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
