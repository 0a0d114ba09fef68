/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The options of a job: `--name VALUE`, `--name=VALUE`, flags. Reading has three passes: which word belongs to which option, are the words
 * good, store them. So a line with a mistake changes no value.
 */
#include "api/src/builder.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

struct reader {
    struct weir_env *env;
    const char *job;
    int argc;
    char **argv;
    const struct weir_option *options;
    uint32_t n;
    const char **given; /* text of each option, "" for a flag; NULL = not on the line. The last one wins. */
    struct weir_diag *diag;
};

/* ---- the nearest name ------------------------------------------------------------------------------------------------------------ */

#define COMPARED_MAX 64 /* characters of a name that the distance looks at */

static uint32_t min3(uint32_t a, uint32_t b, uint32_t c)
{
    uint32_t ab = a < b ? a : b;
    return ab < c ? ab : c;
}

/* Edits (insert, remove, replace) that turn the n characters of `a` into `b`. */
static uint32_t distance(const char *a, size_t n, const char *b)
{
    size_t m = strnlen(b, COMPARED_MAX);
    uint32_t row[COMPARED_MAX + 1];
    if (n > COMPARED_MAX) n = COMPARED_MAX;
    for (size_t j = 0; j <= m; j++) row[j] = (uint32_t)j;
    for (size_t i = 1; i <= n; i++) {
        uint32_t diagonal = row[0];
        row[0] = (uint32_t)i;
        for (size_t j = 1; j <= m; j++) {
            uint32_t above = row[j];
            row[j] = min3(above + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1]));
            diagonal = above;
        }
    }
    return row[m];
}

static weir_err unknown_option(const struct reader *r, const char *name, size_t length)
{
    const char *nearest = NULL;
    uint32_t best = UINT32_MAX;
    for (uint32_t i = 0; i < r->n; i++) {
        uint32_t d = distance(name, length, r->options[i].name);
        if (d < best) best = d, nearest = r->options[i].name;
    }
    int shown = length > WEIR_NAME_MAX ? WEIR_NAME_MAX : (int)length;
    if (!nearest) return weir_fail(r->diag, WEIR_E_ARGUMENT, "unknown option --%.*s: job %s takes none", shown, name, r->job);
    return weir_fail(r->diag, WEIR_E_ARGUMENT, "unknown option --%.*s of job %s; did you mean --%s? (--help lists all)", shown, name,
                     r->job, nearest);
}

/* ---- help ------------------------------------------------------------------------------------------------------------------------ */

static const char *placeholder(enum weir_option_type type)
{
    switch (type) {
    case WEIR_OPTION_FLAG: return "";
    case WEIR_OPTION_I64:
    case WEIR_OPTION_U64: return " NUMBER";
    case WEIR_OPTION_STR: return " TEXT";
    case WEIR_OPTION_PATH: return " PATH";
    }
    return "";
}

/* " (required)", or the default where there is one to tell. */
static const char *remark(const struct weir_option *option, char *out, size_t size)
{
    const char *text = option->type == WEIR_OPTION_STR || option->type == WEIR_OPTION_PATH ? *(const char *const *)option->value : NULL;
    out[0] = 0;
    if (option->required) {
        (void)snprintf(out, size, " (required)");
    } else if (option->type == WEIR_OPTION_I64) {
        (void)snprintf(out, size, " (default %" PRId64 ")", *(const int64_t *)option->value);
    } else if (option->type == WEIR_OPTION_U64) {
        (void)snprintf(out, size, " (default %" PRIu64 ")", *(const uint64_t *)option->value);
    } else if (text) {
        (void)snprintf(out, size, " (default %s)", text);
    }
    return out;
}

/* A diagnostic holds WEIR_DIAG_MAX bytes: about fifteen options; weir_fail cuts the rest and shows that it did. */
static weir_err help(const struct reader *r)
{
    char text[WEIR_DIAG_MAX * 2], note[160];
    int length = snprintf(text, sizeof text, r->n ? "options of job %s:" : "job %s takes no options", r->job);
    for (uint32_t i = 0; i < r->n && length >= 0 && (size_t)length < sizeof text; i++) {
        const struct weir_option *option = &r->options[i];
        length += snprintf(text + length, sizeof text - (size_t)length, "\n  --%s%s  %s%s", option->name, placeholder(option->type),
                           option->help ? option->help : "", remark(option, note, sizeof note));
    }
    return weir_fail(r->diag, WEIR_E_ARGUMENT, "%s", text);
}

/* ---- reading --------------------------------------------------------------------------------------------------------------------- */

static weir_err check_table(const struct reader *r)
{
    for (uint32_t i = 0; i < r->n; i++) {
        const struct weir_option *option = &r->options[i];
        if (!option->name || !*option->name) return weir_fail(r->diag, WEIR_E_ARGUMENT, "job %s: option %u has no name", r->job, i);
        if (!option->value)
            return weir_fail(r->diag, WEIR_E_ARGUMENT, "job %s: option --%s has no place for its value", r->job, option->name);
        if ((int)option->type < WEIR_OPTION_FLAG || option->type > WEIR_OPTION_U64) {
            return weir_fail(r->diag, WEIR_E_ARGUMENT, "job %s: option --%s is of unknown type %d", r->job, option->name,
                             (int)option->type);
        }
    }
    return WEIR_OK;
}

/* Index of the option, r->n when there is none of that name. */
static uint32_t find(const struct reader *r, const char *name, size_t length)
{
    uint32_t i = 0;
    while (i < r->n && (strlen(r->options[i].name) != length || memcmp(r->options[i].name, name, length))) i++;
    return i;
}

/* Takes argv[*at], and the word behind it where that is its value; leaves *at on the last word taken. */
static weir_err take(const struct reader *r, int *at)
{
    const char *word = r->argv[*at];
    if (strncmp(word, "--", 2) || !word[2]) {
        return weir_fail(r->diag, WEIR_E_ARGUMENT, "job %s: stray argument \"%.128s\"; options are --name VALUE (--help lists all)", r->job,
                         word);
    }
    const char *name = word + 2;
    size_t length = strcspn(name, "=");
    uint32_t i = find(r, name, length);
    if (i == r->n) return !strcmp(word, "--help") ? help(r) : unknown_option(r, name, length);
    bool joined = name[length] == '=';
    if (r->options[i].type == WEIR_OPTION_FLAG) {
        if (joined)
            return weir_fail(r->diag, WEIR_E_ARGUMENT, "job %s: option --%s is a flag and takes no value", r->job, r->options[i].name);
        r->given[i] = "";
        return WEIR_OK;
    }
    if (!joined && *at + 1 >= r->argc) return weir_fail(r->diag, WEIR_E_ARGUMENT, "job %s: option --%s needs a value", r->job, name);
    r->given[i] = joined ? name + length + 1 : r->argv[++*at];
    return WEIR_OK;
}

static bool parse_i64(const char *text, int64_t *out)
{
    if (!*text || strspn(text, "+-0123456789") != strlen(text)) return false; /* strtoll would take spaces */
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (errno || *end || end == text) return false;
    *out = value;
    return true;
}

static bool parse_u64(const char *text, uint64_t *out)
{
    if (!*text || strspn(text, "0123456789") != strlen(text)) return false; /* strtoull would take spaces, and negate */
    errno = 0;
    unsigned long long value = strtoull(text, NULL, 10);
    if (errno) return false;
    *out = value;
    return true;
}

static bool parses(enum weir_option_type type, const char *text)
{
    int64_t i64;
    uint64_t u64;
    return type == WEIR_OPTION_I64 ? parse_i64(text, &i64) : type == WEIR_OPTION_U64 ? parse_u64(text, &u64) : true;
}

static weir_err check(const struct reader *r, const struct weir_option *option, const char *given)
{
    if (!given && option->required) {
        return weir_fail(r->diag, WEIR_E_ARGUMENT, "job %s needs the option --%s%s: %s", r->job, option->name, placeholder(option->type),
                         option->help ? option->help : "it is required");
    }
    if (given && !parses(option->type, given)) {
        return weir_fail(r->diag, WEIR_E_ARGUMENT, "job %s: option --%s wants a whole number of 64 bits%s, not \"%.128s\"", r->job,
                         option->name, option->type == WEIR_OPTION_U64 ? " without sign" : "", given);
    }
    if (given && option->type == WEIR_OPTION_PATH && !*given) {
        return weir_fail(r->diag, WEIR_E_ARGUMENT, "job %s: the path of option --%s is empty", r->job, option->name);
    }
    return WEIR_OK;
}

static weir_err store(const struct reader *r, const struct weir_option *option, const char *given)
{
    switch (option->type) {
    case WEIR_OPTION_FLAG: *(bool *)option->value = true; return WEIR_OK;
    case WEIR_OPTION_I64: (void)parse_i64(given, (int64_t *)option->value); return WEIR_OK;
    case WEIR_OPTION_U64: (void)parse_u64(given, (uint64_t *)option->value); return WEIR_OK;
    case WEIR_OPTION_STR: *(const char **)option->value = given; return WEIR_OK;
    case WEIR_OPTION_PATH: break;
    }
    const char *path = weir_env_path(r->env, given);
    if (!path) return weir_fail(r->diag, WEIR_E_NOMEM, "job %s: no memory for the path of option --%s", r->job, option->name);
    *(const char **)option->value = path;
    return WEIR_OK;
}

weir_err weir_options(struct weir_env *env, int argc, char **argv, const struct weir_option *options, uint32_t n_options,
                      struct weir_diag *diag)
{
    const char *job = argc > 0 && argv[0] ? argv[0] : env->name;
    struct reader r = {.env = env, .job = job, .argc = argc, .argv = argv, .options = options, .n = n_options, .diag = diag};
    weir_err err = check_table(&r);
    if (err) return err;
    r.given = weir_env_alloc(env, n_options * sizeof *r.given);
    if (!r.given) return weir_fail(diag, WEIR_E_NOMEM, "job %s: no memory for %u options", job, n_options);
    for (int at = 1; at < argc && !err; at++) err = take(&r, &at);
    for (uint32_t i = 0; i < n_options && !err; i++) err = check(&r, &options[i], r.given[i]);
    for (uint32_t i = 0; i < n_options && !err; i++) {
        if (r.given[i]) err = store(&r, &options[i], r.given[i]);
    }
    return err;
}
