/* SPDX-License-Identifier: Apache-2.0 */
/* clang-format off: cmocka wants these first, in this order */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
#include <inttypes.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/hash.h"
#include "tests/bench/loop/events.h"
#include "tests/bench/nexmark_loop.h"

#define N_PROFILES 3
#define HEX (2 * crypto_hash_sha256_BYTES + 1)

static const struct nexmark_params profiles[N_PROFILES] = {
    {.events = 100000, .rate = 10000, .group = 1},
    {.events = 100000, .rate = 3000, .group = 1000},
    {.events = 100000, .rate = 2, .group = 1000},
};

/* Published results: rows and SHA-256 of the rows as text, sorted as bytes. */
static const struct vector {
    const char *query;
    const char *columns; /* i integer, e thousandths, s string */
    struct {
        uint64_t rows;
        const char *sha256;
    } result[N_PROFILES];
} vectors[] = {
    {"q0",
     "iiiis",
     {{92000, "e669802f39cc59da1c6e25c66b056ca2c0c7644a69ddc4cb78a00112d0eb80a9"},
      {92000, "4124274ceb953efef7fe064b72a248a7a99124adfcd74f2426cf7d6768127565"},
      {92000, "438f0fc3dbe2a470b2ea035ecafc6f53d7c6c03762569404ed7461da042cdc69"}}},
    {"q1",
     "iieis",
     {{92000, "b6c8661b965c95e431aa3c944fc680b7b1fcf8cdb4724b7c1cc34c3a13b9cf47"},
      {92000, "c8d9db2bc299bc2b4591380ec22a98b8443e955564ebc455d2c752253da40bbb"},
      {92000, "95bac99c1a294f41e5059a5930169033eba2a6dee083ffbd48e6d31bb803895a"}}},
    {"q2",
     "ii",
     {{384, "68a367a0916f8a7e7ae3457840b89771b6f6c15707f1be3577f9464248e8562d"},
      {384, "68a367a0916f8a7e7ae3457840b89771b6f6c15707f1be3577f9464248e8562d"},
      {384, "68a367a0916f8a7e7ae3457840b89771b6f6c15707f1be3577f9464248e8562d"}}},
    {"q3",
     "sssi",
     {{613, "76df3a68df7180f50a5c960b2ccfe6305ecd67e0b42744d8d98c8454e6117cb7"},
      {613, "76df3a68df7180f50a5c960b2ccfe6305ecd67e0b42744d8d98c8454e6117cb7"},
      {613, "76df3a68df7180f50a5c960b2ccfe6305ecd67e0b42744d8d98c8454e6117cb7"}}},
    {"q4",
     "ii",
     {{5, "9258dec6bbe9e0055e9bd1d38e917f4dc7966ee802cb2165a2c0be4a426b087d"},
      {5, "29ad6c7554a3d19ced1c9e097f8c1d27dbcb0b6ff8901e7cde29db62b0de43a1"},
      {5, "c1c479fc809d947311b3ba2741cba3a1373aa9ee16fbe8305fd3b7e14fdfa157"}}},
    {"q5",
     "iii",
     {{10, "19f86c9b4d854dfe596132df709f3bba6e320de9703e7b72577178b4db7b7167"},
      {22, "6f27397f916c341ca0ec82150b78ef6b561aca414832386c2bcc69b18707f3a0"},
      {25041, "7fae6b1122142b5004e4ee9b3c1232a9f8c484d46610d6a9738ca594f0bb0ae7"}}},
    {"q7",
     "iiiis",
     {{3, "dc8bedf471a70fc270155272d2cbe8164bec0aaa5368171031f9cab93e342db4"},
      {4, "5972c39b6e878e1833fc4e9481b3a8210118a375bfdef8a9b4ae9c79c5cb1742"},
      {5002, "82f19e6df64fc076ef1d9c1991bf5c749debfee375b906d400eb13e424e67146"}}},
    {"q8",
     "isi",
     {{780, "03f02e924513e9fac1dfd6c829606acea554952ab4c4d1b246fbeeddda1c56ba"},
      {534, "444ed029cb082c018e1ba73d7846804edb904fca0de1ea754dc26299fdeddd3b"},
      {23, "12c71acb4bc30016e87665b54fb4523038222cf54744099646b98c69fe8056c9"}}},
    {"q11",
     "iiii",
     {{1930, "e026b05da84661def537d088ad38407081652f52465ec3858251c6cbf119c9d9"},
      {1935, "673929552ddb3a9b4ed7b9037dc5d0c058066883567152dd42b875c8a1fceef0"},
      {22629, "85eebe1905b1393c1e73236be6e726c96103cea371d1d8d8cbe048beaae91f80"}}},
    {"q12",
     "iiii",
     {{2784, "665393a1fec5bf38e771428b208094d8748e1b662326180bfbbbdad36883f925"},
      {4014, "33003988f042b7649950bff04e2cee0cce9dad60216914f5bb968366ac0d1ca9"},
      {27785, "76ace92e0f324dc0df3b27193beb8d82f617df26191e777b7a5467e6468670bc"}}},
    {"q17",
     "isiiiiiiii",
     {{6073, "c6b06bb3826c3f886b9bfce5d86581d6ed5d2ff6e1792ac27822a0a8e4e787fa"},
      {6085, "cbf626803bef4be803663b5d15f8347d2dbda87b100b4fef7cec242aef2b7e27"},
      {5999, "26968d632525948821a9d075b0d058a750f9e53eef882c5bacd83d3d9efcdfbd"}}},
    {"q18",
     "iiissis",
     {{28368, "b932270ae9bc54f583329180c8ee217b5fc6a299e6d9ce8b974419bcafc6588c"},
      {28368, "2ce1569b12915b1bf1ba2ba8fe841b684bc855b3b8392ee99701fe2d1fd04712"},
      {28368, "18df8eae6fa544db189a7f94c28e430e0c8183bf8a66e639df1dda1bfcf5e63d"}}},
    {"q20",
     "iiississsiiiiiis",
     {{17003, "a8648dd5852b4848f447f88896e1e8a11eea8ce62dc519248b54fec5922c24db"},
      {17003, "76a62432a7d1b083fad4d3ee1934510e40206ace1bdd8b8d7916f099a2adfaf6"},
      {17003, "a4eedcdc625eecd9a92d0c879b77d3650c6316ae0529242fc7f874f6932a2db8"}}},
};

/* Of the events as text, in order of arrival. */
static const char *const events_sha256[N_PROFILES] = {"4a26a7637a4ee4448bd8b9b9d75de2b717b7b052a9fa4ccab377dc6fa1728200",
                                                      "b9e0265cb6a94348c18f0213f546478ebe9347960775f550fb4b6d1631eed7d5",
                                                      "03fc9dbd4a86ec61ae73dcda6eabf3ace6daf5f6e2252abdfd30449c348e38dd"};

#define N_VECTORS (sizeof vectors / sizeof vectors[0])

/* ---- running and reading text ---- */

struct run {
    struct loop_result result;
    char *text;
    size_t size;
};

static struct run run_text(const char *query, const struct nexmark_params *params)
{
    struct run r = {0};
    FILE *f = open_memstream(&r.text, &r.size);
    assert_non_null(f);
    r.result = nexmark_loop_run(query, params, f);
    assert_int_equal(fclose(f), 0);
    return r;
}

static void sha256_hex(char hex[HEX], const char *data, size_t size)
{
    unsigned char digest[crypto_hash_sha256_BYTES];
    (void)crypto_hash_sha256(digest, (const unsigned char *)data, size);
    (void)sodium_bin2hex(hex, HEX, digest, sizeof digest);
}

static int compare_lines(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Cuts the text into lines, in place. Gives the array. */
static char **split_lines(char *text, uint64_t n)
{
    char **lines = calloc(n + 1, sizeof *lines), *save = NULL;
    assert_non_null(lines);
    for (uint64_t i = 0; i < n; i++) {
        lines[i] = strtok_r(i ? NULL : text, "\n", &save);
        assert_non_null(lines[i]);
    }
    assert_null(strtok_r(n ? NULL : text, "\n", &save));
    return lines;
}

static void canonical_sha256(char hex[HEX], char **lines, uint64_t n)
{
    crypto_hash_sha256_state sha;
    unsigned char digest[crypto_hash_sha256_BYTES];
    qsort(lines, n, sizeof *lines, compare_lines);
    (void)crypto_hash_sha256_init(&sha);
    for (uint64_t i = 0; i < n; i++) {
        (void)crypto_hash_sha256_update(&sha, (const unsigned char *)lines[i], strlen(lines[i]));
        (void)crypto_hash_sha256_update(&sha, (const unsigned char *)"\n", 1);
    }
    (void)crypto_hash_sha256_final(&sha, digest);
    (void)sodium_bin2hex(hex, HEX, digest, sizeof digest);
}

/* The integer that the text shows; a point before the last three digits is left out. */
static int64_t read_integer(const char *text, size_t length)
{
    int64_t n = 0;
    for (size_t i = 0; i < length; i++) n = text[i] == '.' ? n : n * 10 + (text[i] - '0');
    return n;
}

/* Hash of the row that a line shows, built anew from what row.h says of its layout. */
static uint64_t hash_of_line(const char *columns, const char *line)
{
    char row[2048];
    uint32_t end = 8 * (uint32_t)strlen(columns);
    for (size_t i = 0; columns[i]; i++) {
        uint32_t length = (uint32_t)strcspn(line, ",");
        if (columns[i] == 's') {
            memcpy(row + 8 * i, (uint32_t[]){end, length}, 8);
            memcpy(row + end, line, length);
            end += length;
        } else {
            int64_t number = read_integer(line, length);
            memcpy(row + 8 * i, &number, 8);
        }
        line += length + 1;
    }
    return hash64(row, end);
}

/* ---- tests ---- */

static void rows_are_the_published_ones(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_VECTORS * N_PROFILES; i++) {
        const struct vector *v = &vectors[i / N_PROFILES];
        size_t p = i % N_PROFILES;
        char hex[HEX];
        uint64_t checksum = 0;
        struct run r = run_text(v->query, &profiles[p]);
        assert_int_equal(r.result.rows, v->result[p].rows);
        char **lines = split_lines(r.text, r.result.rows);
        for (uint64_t row = 0; row < r.result.rows; row++) checksum += hash_of_line(v->columns, lines[row]);
        assert_true(checksum == r.result.checksum);
        canonical_sha256(hex, lines, r.result.rows);
        assert_string_equal(hex, v->result[p].sha256);
        free(lines);
        free(r.text);
    }
}

static void expect_events(const struct nexmark_params *params, const char *sha256)
{
    char hex[HEX];
    struct run r = run_text("generate", params);
    assert_int_equal(r.result.rows, params->events);
    sha256_hex(hex, r.text, r.size);
    assert_string_equal(hex, sha256);
    free(r.text);
}

static void events_are_the_published_ones(void **state)
{
    (void)state;
    struct nexmark_params cut_short = profiles[1]; /* the last block is in order */
    cut_short.events = 2500;
    for (size_t p = 0; p < N_PROFILES; p++) expect_events(&profiles[p], events_sha256[p]);
    expect_events(&cut_short, "aa8a4587b2fcf29fb660a461c3d7522447b867717b50924426b77a68a1e07c7d");
}

static void a_far_event(void **state)
{
    (void)state;
    static struct loop_events in;
    char line[1024] = {0};
    const uint64_t n = UINT64_C(1000000000004);
    FILE *f = fmemopen(line, sizeof line, "w");
    loop_events_init(&in, &(struct nexmark_params){.seed = UINT64_MAX, .events = n + 1, .rate = 10000, .group = 1});
    in.position = n;
    in.block = n;
    assert_true(loop_events_next(&in));
    assert_int_equal(in.n, 1);
    loop_event_print(f, &in.batch[0]);
    assert_int_equal(fclose(f), 0);
    assert_string_equal(line,
                        "B,1000000000004,60000000974,20000001001,20253,Facebook,https://www.nexmark.com/uqxz/hmr/xgco/item.htm?query=1,"
                        "1800006392863,mjlisvskyydclsjfqiiylagfnpwutukbxrsthinsltpcopmhhlxffzklgcymeimwyph\n");
}

/* What no vector lists: other seeds and rates, any order of arrival. Only q12 looks at the order. */
static void the_order_of_arrival_changes_nothing(void **state)
{
    (void)state;
    static const uint64_t rates[] = {1, 37, 100000}, groups[] = {7, 64, 1500, 20001, 1000000};
    for (size_t i = 0; i < N_VECTORS * 3; i++) {
        const char *query = vectors[i / 3].query;
        struct nexmark_params params = {.seed = 41 + i % 3, .events = 20001, .rate = rates[i % 3], .group = 1};
        if (strcmp(query, "q12") == 0) continue;
        struct loop_result sorted = nexmark_loop_run(query, &params, NULL);
        for (size_t g = 0; g < sizeof groups / sizeof groups[0]; g++) {
            params.group = groups[g];
            struct loop_result shuffled = nexmark_loop_run(query, &params, NULL);
            assert_int_equal(shuffled.rows, sorted.rows);
            assert_true(shuffled.checksum == sorted.checksum);
        }
    }
}

static void few_events(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_VECTORS; i++) {
        struct nexmark_params params = {.rate = 10000, .group = 1};
        struct loop_result none = nexmark_loop_run(vectors[i].query, &params, NULL);
        assert_int_equal(none.rows, 0);
        assert_int_equal(none.checksum, 0);
    }
    struct nexmark_params first_bid = {.events = 5, .rate = 10000, .group = 1};
    assert_int_equal(nexmark_loop_run("q0", &first_bid, NULL).rows, 1);
    assert_int_equal(nexmark_loop_run("q5", &first_bid, NULL).rows, 5); /* each of the windows that hold it */
    assert_int_equal(nexmark_loop_run("q11", &first_bid, NULL).rows, 1);
}

static void what_is_refused(void **state)
{
    (void)state;
    assert_true(nexmark_loop_has("q20"));
    assert_false(nexmark_loop_has("q6"));
    assert_false(nexmark_params_valid(&(struct nexmark_params){.events = 1, .rate = 0, .group = 1}));
    assert_false(nexmark_params_valid(&(struct nexmark_params){.events = 1, .rate = 1, .group = 0}));
    assert_false(nexmark_params_valid(&(struct nexmark_params){.events = 1, .rate = 1, .group = 953 * 2}));
    assert_false(nexmark_params_valid(&(struct nexmark_params){.events = UINT64_MAX, .rate = 1, .group = 1}));
    assert_true(nexmark_params_valid(&(struct nexmark_params){.events = 0, .rate = 1, .group = 1000}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_the_published_ones),
        cmocka_unit_test(events_are_the_published_ones),
        cmocka_unit_test(a_far_event),
        cmocka_unit_test(the_order_of_arrival_changes_nothing),
        cmocka_unit_test(few_events),
        cmocka_unit_test(what_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
