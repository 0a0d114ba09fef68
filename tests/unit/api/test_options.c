/* SPDX-License-Identifier: Apache-2.0 */
/* The options of a job, as an author declares them and a user types them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "api/src/env.h"

struct values {
    bool verbose;
    int64_t rows;
    const char *name;
    const char *input;
};

struct fixture {
    struct weir_env *env;
    struct values v;
    struct weir_option options[4];
    struct weir_diag diag;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    if (!f || weir_env_new(&f->env, "counter", "/home/job", 1)) return 1;
    f->v = (struct values){.rows = 10, .name = "none"};
    f->options[0] = (struct weir_option){"verbose", WEIR_OPTION_FLAG, &f->v.verbose, false, "say more"};
    f->options[1] = (struct weir_option){"rows", WEIR_OPTION_I64, &f->v.rows, false, "rows to make"};
    f->options[2] = (struct weir_option){"name", WEIR_OPTION_STR, &f->v.name, false, "a label"};
    f->options[3] = (struct weir_option){"input", WEIR_OPTION_PATH, &f->v.input, true, "file or folder"};
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    weir_env_destroy(&f->env);
    free(f);
    return 0;
}

/* Reads the words behind the job's name; ends with NULL. */
#define READ(f, ...) read_words(f, (char *[]){(char[]){"counter"}, __VA_ARGS__ __VA_OPT__(, ) NULL})

static weir_err read_words(struct fixture *f, char **argv)
{
    int argc = 0;
    while (argv[argc]) argc++;
    f->diag = (struct weir_diag){.code = WEIR_OK, .text = ""};
    return weir_options(f->env, argc, argv, f->options, 4, &f->diag);
}

static void expect_told(struct fixture *f, weir_err err, const char *part)
{
    assert_int_equal(err, WEIR_E_ARGUMENT);
    assert_int_equal(f->diag.code, WEIR_E_ARGUMENT);
    if (!strstr(f->diag.text, part)) fail_msg("\"%s\" is not in \"%s\"", part, f->diag.text);
}

static void both_spellings_are_read(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(READ(f, "--rows", "-5", "--verbose", "--name=a=b", "--input", "logs"), WEIR_OK);
    assert_int_equal(f->v.rows, -5);
    assert_true(f->v.verbose);
    assert_string_equal(f->v.name, "a=b");
    assert_string_equal(f->v.input, "/home/job/logs");
}

static void defaults_stay(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(READ(f, "--input=/x"), WEIR_OK);
    assert_int_equal(f->v.rows, 10);
    assert_false(f->v.verbose);
    assert_string_equal(f->v.name, "none");
    assert_string_equal(f->v.input, "/x");
}

static void the_last_one_wins_and_an_empty_text_is_a_text(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(READ(f, "--input", "/x", "--rows=1", "--rows=9223372036854775807", "--name="), WEIR_OK);
    assert_int_equal(f->v.rows, INT64_MAX);
    assert_string_equal(f->v.name, "");
}

static void an_unknown_option_names_the_nearest(void **state)
{
    struct fixture *f = *state;
    expect_told(f, READ(f, "--inptu", "/x"), "unknown option --inptu of job counter; did you mean --input?");
    expect_told(f, READ(f, "--row=3"), "did you mean --rows?");
}

static void a_missing_required_option_is_told(void **state)
{
    struct fixture *f = *state;
    expect_told(f, READ(f), "job counter needs the option --input PATH: file or folder");
}

/* A line with a mistake anywhere changes nothing, not even what was right on it. */
static void a_bad_line_changes_no_value(void **state)
{
    struct fixture *f = *state;
    static const char *const bad[] = {"12x", "", " 1", "0x10", "9223372036854775808", "--", "+-1", "1.5"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        expect_told(f, READ(f, "--verbose", "--input", "/x", "--name", "n", "--rows", (char *)(uintptr_t)bad[i]),
                    "--rows wants a whole number");
    }
    assert_false(f->v.verbose);
    assert_null(f->v.input);
    assert_string_equal(f->v.name, "none");
    assert_int_equal(f->v.rows, 10);
}

static void words_that_belong_to_nothing_are_told(void **state)
{
    struct fixture *f = *state;
    expect_told(f, READ(f, "--input", "/x", "stray"), "stray argument \"stray\"");
    expect_told(f, READ(f, "--"), "stray argument");
    expect_told(f, READ(f, "-v"), "stray argument");
    expect_told(f, READ(f, "--input"), "--input needs a value");
    expect_told(f, READ(f, "--input="), "the path of option --input is empty");
    expect_told(f, READ(f, "--verbose=yes"), "--verbose is a flag and takes no value");
}

static void help_lists_everything(void **state)
{
    struct fixture *f = *state;
    expect_told(f, READ(f, "--rows", "1", "--help", "--nonsense"),
                "options of job counter:\n"
                "  --verbose  say more\n"
                "  --rows NUMBER  rows to make (default 10)\n"
                "  --name TEXT  a label (default none)\n"
                "  --input PATH  file or folder (required)");
}

/* Help is bounded like any diagnostic: what does not fit is cut, and one sees that it was. */
static void a_long_help_is_cut(void **state)
{
    struct fixture *f = *state;
    static char words[1500];
    memset(words, 'w', sizeof words - 1);
    for (int i = 0; i < 4; i++) f->options[i].help = words;
    expect_told(f, READ(f, "--help"), "www...");
    assert_true(strlen(f->diag.text) < WEIR_DIAG_MAX);
}

static void a_job_without_options_takes_none(void **state)
{
    struct fixture *f = *state;
    char name[] = "plain", word[] = "--x";
    char *argv[] = {name, word, NULL};
    assert_int_equal(weir_options(f->env, 1, argv, NULL, 0, NULL), WEIR_OK);
    assert_int_equal(weir_options(f->env, 0, argv, NULL, 0, NULL), WEIR_OK);
    expect_told(f, weir_options(f->env, 2, argv, NULL, 0, &f->diag), "unknown option --x: job plain takes none");
}

static void a_broken_table_is_told(void **state)
{
    struct fixture *f = *state;
    f->options[2].value = NULL;
    expect_told(f, READ(f, "--input=/x"), "option --name has no place for its value");
    f->options[0].name = NULL;
    expect_told(f, READ(f, "--input=/x"), "option 0 has no name");
}

static void a_seed_is_any_word_of_64_bits(void **state)
{
    struct fixture *f = *state;
    uint64_t seed = 7;
    f->options[1] = (struct weir_option){"seed", WEIR_OPTION_U64, &seed, false, "any"};
    assert_int_equal(READ(f, "--seed", "18446744073709551615", "--input", "x"), WEIR_OK);
    assert_true(seed == UINT64_MAX);
    expect_told(f, READ(f, "--seed", "18446744073709551616", "--input", "x"), "wants a whole number of 64 bits without sign");
    expect_told(f, READ(f, "--seed", "-1", "--input", "x"), "without sign, not \"-1\"");
    expect_told(f, READ(f, "--seed", "", "--input", "x"), "without sign");
    assert_true(seed == UINT64_MAX);
}

static void very_long_words_are_survived(void **state)
{
    struct fixture *f = *state;
    static char word[70000];
    memset(word, '-', 2);
    memset(word + 2, 'r', sizeof word - 3);
    expect_told(f, READ(f, word), "did you mean");
    expect_told(f, READ(f, word + 2), "stray argument");
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest stories[] = {
        STORY(both_spellings_are_read),
        STORY(defaults_stay),
        STORY(the_last_one_wins_and_an_empty_text_is_a_text),
        STORY(an_unknown_option_names_the_nearest),
        STORY(a_missing_required_option_is_told),
        STORY(a_bad_line_changes_no_value),
        STORY(words_that_belong_to_nothing_are_told),
        STORY(help_lists_everything),
        STORY(a_long_help_is_cut),
        STORY(a_job_without_options_takes_none),
        STORY(a_broken_table_is_told),
        STORY(a_seed_is_any_word_of_64_bits),
        STORY(very_long_words_are_survived),
    };
    return cmocka_run_group_tests(stories, NULL, NULL);
}
