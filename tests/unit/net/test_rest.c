/* SPDX-License-Identifier: Apache-2.0 */
/* The framing of the admin protocol: what a request means, and every way it can be wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "runtime/net/rest.h"

static struct rest_request request;
static struct weir_diag diag;

static struct weir_bytes text(const char *s)
{
    return (struct weir_bytes){s, (uint32_t)strlen(s)};
}

static enum rest_status parse(const char *version, const char *method, const char *target, const char *headers, const char *body)
{
    struct weir_bytes parts[] = {text(version), text(method), text(target), text(headers), text(body)};
    return rest_request_parse(&request, parts, 5, &diag);
}

static enum rest_status parse_target_only(const char *target)
{
    return parse(REST_VERSION, "GET", target, "", "");
}

static void a_request_comes_apart(void **state)
{
    (void)state;
    const char *headers = "Accept: application/json\r\nX-Empty:\n\nrequest-id:  a b \t\n";
    assert_int_equal(parse("WEIR/1", "PATCH", "/jobs/4f?mode=cancel&x=%2Fy+z&flag", headers, "{}"), REST_OK);
    assert_int_equal(request.method, REST_PATCH);
    assert_int_equal(request.n_segments, 2);
    assert_string_equal(request.segment[0], "jobs");
    assert_string_equal(request.segment[1], "4f");
    assert_string_equal(rest_query(&request, "mode"), "cancel");
    assert_string_equal(rest_query(&request, "x"), "/y+z");
    assert_string_equal(rest_query(&request, "flag"), "");
    assert_null(rest_query(&request, "nothing"));
    assert_string_equal(rest_header(&request.headers, "accept"), "application/json");
    assert_string_equal(rest_header(&request.headers, "x-empty"), "");
    assert_string_equal(rest_header(&request.headers, "request-id"), "a b");
    assert_int_equal(request.body.length, 2);
}

/* What a REQ socket sends, with its empty part in front. */
static void a_req_socket_is_understood(void **state)
{
    (void)state;
    struct weir_bytes parts[] = {text(""), text("WEIR/1"), text("GET"), text("/"), text(""), text("")};
    assert_int_equal(rest_delimiters(parts, 6), 1);
    assert_int_equal(rest_request_parse(&request, parts, 6, &diag), REST_OK);
    assert_int_equal(request.n_segments, 0);
}

static void segments_are_decoded_after_they_are_cut(void **state)
{
    (void)state;
    assert_int_equal(parse_target_only("/a%2Fb/c%3Fd/"), REST_OK);
    assert_int_equal(request.n_segments, 2);
    assert_string_equal(request.segment[0], "a/b");
    assert_string_equal(request.segment[1], "c?d");
}

static void another_version_is_named(void **state)
{
    (void)state;
    assert_int_equal(parse("WEIR/2", "GET", "/", "", ""), REST_VERSION_UNKNOWN);
    assert_non_null(strstr(diag.text, "WEIR/1"));
    assert_int_equal(rest_request_parse(&request, (struct weir_bytes[]){text("WEIR/9")}, 1, &diag), REST_VERSION_UNKNOWN);
    assert_int_equal(parse("HTTP/1.1", "GET", "/", "", ""), REST_BAD_REQUEST);
}

static void broken_requests_are_refused_with_a_reason(void **state)
{
    (void)state;
    assert_int_equal(rest_request_parse(&request, NULL, 0, &diag), REST_BAD_REQUEST);
    assert_int_equal(parse("WEIR/1", "BREW", "/", "", ""), REST_METHOD_NOT_ALLOWED);
    assert_int_equal(parse_target_only("jobs"), REST_BAD_REQUEST);
    assert_int_equal(parse_target_only(""), REST_BAD_REQUEST);
    assert_int_equal(parse_target_only("//"), REST_BAD_REQUEST);
    assert_int_equal(parse_target_only("/a%"), REST_BAD_REQUEST);
    assert_int_equal(parse_target_only("/a%0"), REST_BAD_REQUEST);
    assert_int_equal(parse_target_only("/a%00b"), REST_BAD_REQUEST);
    assert_int_equal(parse_target_only("/a?b=%zz"), REST_BAD_REQUEST);
    assert_int_equal(parse_target_only("/a?b=\x01"), REST_BAD_REQUEST);
    assert_int_equal(parse("WEIR/1", "GET", "/", "no colon", ""), REST_BAD_REQUEST);
    assert_int_equal(parse("WEIR/1", "GET", "/", ": no name", ""), REST_BAD_REQUEST);
    assert_int_equal(parse("WEIR/1", "GET", "/", "bad name: x", ""), REST_BAD_REQUEST);
    assert_int_equal(parse("WEIR/1", "GET", "/", "a: \x02", ""), REST_BAD_REQUEST);
    struct weir_bytes nul[] = {text("WEIR/1"), text("GET"), {"/a\0b", 4}, text(""), text("")};
    assert_int_equal(rest_request_parse(&request, nul, 5, &diag), REST_BAD_REQUEST);
}

static void limits_have_their_own_status(void **state)
{
    (void)state;
    static char longer[REST_HEADERS_BYTES_MAX + 2];
    memset(longer, 'a', sizeof longer - 1);
    longer[0] = '/';
    assert_int_equal(parse_target_only(longer), REST_TARGET_TOO_LONG);
    assert_int_equal(parse_target_only("/1/2/3/4/5/6/7/8"), REST_OK);
    assert_int_equal(parse_target_only("/1/2/3/4/5/6/7/8/9"), REST_TARGET_TOO_LONG);
    assert_int_equal(parse_target_only("/?a&b&c&d&e&f&g&h&i&j&k&l&m&n&o&p&q"), REST_TARGET_TOO_LONG);
    assert_int_equal(parse("WEIR/1", "GET", "/", longer, ""), REST_HEADERS_TOO_LARGE);
    char lines[REST_HEADERS_MAX * 5 + 6] = "";
    for (uint32_t i = 0; i <= REST_HEADERS_MAX; i++) strcat(lines, "a: b\n");
    assert_int_equal(parse("WEIR/1", "GET", "/", lines, ""), REST_HEADERS_TOO_LARGE);
}

/* Every prefix of a good message is judged, and none is read beyond its end (the copies are exact, for the address sanitizer). */
static void every_truncation_is_judged(void **state)
{
    (void)state;
    const char *whole[5] = {"WEIR/1", "POST", "/plugins/ab%20cd/run?x=%41", "accept: x\nrequest-id: 1\n", "{\"a\":1}"};
    for (uint32_t cut_part = 0; cut_part < 5; cut_part++) {
        for (size_t len = 0; len <= strlen(whole[cut_part]); len++) {
            struct weir_bytes parts[5];
            for (uint32_t i = 0; i < 5; i++) parts[i] = text(whole[i]);
            char *copy = malloc(len ? len : 1);
            memcpy(copy, whole[cut_part], len);
            parts[cut_part] = (struct weir_bytes){copy, (uint32_t)len};
            enum rest_status status = rest_request_parse(&request, parts, 5, &diag);
            assert_in_range(status, REST_OK, REST_VERSION_UNKNOWN);
            (void)rest_request_parse(&request, parts, cut_part, &diag);
            free(copy);
        }
    }
}

static void replies_go_both_ways(void **state)
{
    (void)state;
    struct weir_bytes parts[REST_REPLY_PARTS];
    char status[4];
    rest_reply_build(parts, status, REST_CONFLICT, "content-type: application/json\n", text("{}"));
    static struct rest_reply reply;
    assert_int_equal(rest_reply_parse(&reply, parts, 3, &diag), WEIR_OK);
    assert_int_equal(reply.status, 409);
    assert_string_equal(rest_header(&reply.headers, "content-type"), "application/json");
    assert_int_equal(reply.body.length, 2);
    assert_int_equal(rest_reply_parse(&reply, parts, 2, &diag), WEIR_E_PROTOCOL);
    parts[0] = text("9x9");
    assert_int_equal(rest_reply_parse(&reply, parts, 3, &diag), WEIR_E_PROTOCOL);
}

static void what_is_built_is_understood(void **state)
{
    (void)state;
    struct buffer target = {0};
    buffer_str(&target, "/plugins?name=");
    rest_percent_encode(&target, "a b/c&d=%é");
    struct weir_bytes parts[REST_REQUEST_PARTS];
    rest_request_build(parts, REST_POST, buffer_cstr(&target), "", text(""));
    assert_int_equal(rest_request_parse(&request, parts, 5, &diag), REST_OK);
    assert_string_equal(rest_query(&request, "name"), "a b/c&d=%é");
    buffer_close(&target);
}

static void numbers_are_decimal_and_bounded(void **state)
{
    (void)state;
    uint64_t v = 7;
    assert_true(rest_number("0", 10, &v));
    assert_int_equal(v, 0);
    assert_true(rest_number("18446744073709551615", UINT64_MAX, &v));
    assert_true(v == UINT64_MAX);
    assert_false(rest_number("18446744073709551616", UINT64_MAX, &v));
    assert_false(rest_number("11", 10, &v));
    assert_false(rest_number("", 10, &v));
    assert_false(rest_number("-1", 10, &v));
    assert_false(rest_number("1 ", 10, &v));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_comes_apart),
        cmocka_unit_test(a_req_socket_is_understood),
        cmocka_unit_test(segments_are_decoded_after_they_are_cut),
        cmocka_unit_test(another_version_is_named),
        cmocka_unit_test(broken_requests_are_refused_with_a_reason),
        cmocka_unit_test(limits_have_their_own_status),
        cmocka_unit_test(every_truncation_is_judged),
        cmocka_unit_test(replies_go_both_ways),
        cmocka_unit_test(what_is_built_is_understood),
        cmocka_unit_test(numbers_are_decimal_and_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
