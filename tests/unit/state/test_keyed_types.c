/* SPDX-License-Identifier: Apache-2.0 */
/* A state that is declared otherwise than it was stored is refused, with the difference. */
#include "runtime/state/keyed_types.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const struct weir_field stored_fields[] = {{"n", 1, WEIR_TYPE_I64, 0, 0}, {"spent", 2, WEIR_TYPE_DECIMAL, 8, 2}};
static const struct weir_schema stored = {sizeof stored, "tally", 16, 2, stored_fields};

static struct keyed_state_info info(enum keyed_kind kind, const struct weir_schema *value)
{
    return (struct keyed_state_info){.name = "count", .kind = kind, .value = value};
}

/* What is said when the state was `then` and is `now`; "" when it is opened. */
static const char *said(const struct keyed_state_info *then, const struct keyed_state_info *now)
{
    static struct weir_diag diag;
    struct keyed_types types = {0};
    diag.text[0] = '\0';
    assert_int_equal(keyed_types_add(&types, then), WEIR_OK);
    weir_err err = keyed_types_check(&types, now, &diag);
    assert_int_equal(err, diag.text[0] ? WEIR_E_STATE : WEIR_OK);
    keyed_types_close(&types);
    return diag.text;
}

static const char *said_of(const struct weir_field *fields, uint32_t n)
{
    struct weir_schema schema = {sizeof schema, "sum", 16, n, fields};
    struct keyed_state_info then = info(KEYED_VALUE, &stored), now = info(KEYED_VALUE, &schema);
    return said(&then, &now);
}

static void the_same_and_what_is_called_otherwise_is_opened(void **state)
{
    (void)state;
    struct weir_field fields[] = {{"spent_all", 2, WEIR_TYPE_DECIMAL, 8, 2}, {"n", 1, WEIR_TYPE_I64, 0, 0}};
    assert_string_equal(said_of(stored_fields, 2), "");
    assert_string_equal(said_of(fields, 2), "");
    struct keyed_state_info then = info(KEYED_VALUE, NULL), now = info(KEYED_VALUE, &stored);
    assert_string_equal(said(&then, &now), "");
    (void)snprintf(now.name, sizeof now.name, "other");
    then = info(KEYED_LIST, &stored);
    assert_string_equal(said(&then, &now), "");
}

static void a_difference_is_said(void **state)
{
    (void)state;
    struct weir_field type[] = {{"n", 1, WEIR_TYPE_F64, 0, 0}, stored_fields[1]};
    assert_string_equal(said_of(type, 2),
                        "state 'count': in its values field 1 'n' was stored as i64 at byte 0 and is declared as f64 at byte 0");
    struct weir_field scale[] = {stored_fields[0], {"spent", 2, WEIR_TYPE_DECIMAL, 8, 3}};
    assert_string_equal(
        said_of(scale, 2),
        "state 'count': in its values field 2 'spent' was stored as decimal(2) at byte 8 and is declared as decimal(3) at byte 8");
    struct weir_field place[] = {{"n", 1, WEIR_TYPE_I64, 8, 0}, {"spent", 2, WEIR_TYPE_DECIMAL, 0, 2}};
    assert_non_null(strstr(said_of(place, 2), "at byte 0 and is declared as i64 at byte 8"));
    assert_non_null(strstr(said_of(stored_fields, 1), "stored with field 2 'spent', which row type sum no longer has"));
    struct weir_field more[] = {stored_fields[0], stored_fields[1], {"last", 3, WEIR_TYPE_BOOL, 0, 0}};
    assert_non_null(strstr(said_of(more, 3), "declared with field 3 'last', which what was stored does not have"));
}

static void elements_and_namespaces_are_compared(void **state)
{
    (void)state;
    struct keyed_state_info then = info(KEYED_LIST, NULL), now = then;
    then.element_size = 8;
    assert_non_null(strstr(said(&then, &now), "elements of 8 bytes and is opened with 0"));
    now = then;
    now.namespaced = true;
    assert_non_null(strstr(said(&then, &now), "stored without namespaces and is opened with them"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_and_what_is_called_otherwise_is_opened),
        cmocka_unit_test(a_difference_is_said),
        cmocka_unit_test(elements_and_namespaces_are_compared),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
