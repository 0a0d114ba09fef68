/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Doubles take one of two roads. Clinger's fast path: a mantissa below 2^53 and a power of ten up to 10^22 are both exact doubles, so their
 * product or quotient, rounded once, is the correctly rounded result. It serves nearly all numbers people write. The rest goes through the
 * C library in the "C" locale.
 */
#include "connectors/text/number_text.h"

#include <locale.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXACT_MAX 9007199254740992.0 /* 2^53: integers up to here are exact doubles */
#define POWERS 23

static const double power_of_ten[POWERS] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                            1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

static const char two_digits[201] =
    "00010203040506070809101112131415161718192021222324252627282930313233343536373839404142434445464748495051525354"
    "5556575859606162636465666768697071727374757677787980818283848586878889909192939495969798"
    "99";

/* ---- writing --------------------------------------------------------------------------------------------------------------------- */

/* Writes the digits of `value` so that they end before `end`; returns their first byte. */
static char *write_digits(char *end, uint64_t value)
{
    while (value >= 100) {
        end -= 2;
        memcpy(end, two_digits + value % 100 * 2, 2);
        value /= 100;
    }
    if (value < 10) {
        *--end = (char)('0' + value);
        return end;
    }
    end -= 2;
    memcpy(end, two_digits + value * 2, 2);
    return end;
}

size_t number_write_i64(char *to, int64_t value)
{
    char digits[24];
    char *end = digits + sizeof digits;
    uint64_t magnitude = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    char *first = write_digits(end, magnitude);
    if (value < 0) *--first = '-';
    size_t len = (size_t)(end - first);
    memcpy(to, first, len);
    return len;
}

/* mantissa / 10^decimals, as digits with a point. */
static size_t write_decimal(char *to, bool negative, uint64_t mantissa, unsigned decimals)
{
    char digits[48];
    char *end = digits + sizeof digits;
    char *first = write_digits(end, mantissa);
    while ((size_t)(end - first) <= decimals) *--first = '0'; /* at least one digit before the point */
    size_t whole = (size_t)(end - first) - decimals;
    size_t len = 0;
    if (negative) to[len++] = '-';
    memcpy(to + len, first, whole);
    len += whole;
    to[len++] = '.';
    memcpy(to + len, first + whole, decimals);
    return len + decimals;
}

size_t number_write_decimal(char *to, int64_t value, uint32_t scale)
{
    if (scale == 0) return number_write_i64(to, value);
    uint64_t magnitude = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    return write_decimal(to, value < 0, magnitude, scale);
}

/* Tries ever more decimals while the mantissa stays exact: the first that reads back to `value` is the shortest. 0: none does. */
static size_t write_short(char *to, double value)
{
    double magnitude = fabs(value);
    if (magnitude < 1e-5) return 0;
    for (unsigned decimals = 1; decimals <= 17; decimals++) {
        double scaled = magnitude * power_of_ten[decimals] + 0.5;
        if (scaled >= EXACT_MAX) return 0;
        uint64_t mantissa = (uint64_t)scaled;
        if ((double)mantissa / power_of_ten[decimals] == magnitude) return write_decimal(to, value < 0, mantissa, decimals);
    }
    return 0;
}

/* strtod of a NUL-terminated text with a point, whatever setlocale a plugin has called. */
static double read_in_c_locale(const char *text)
{
    locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0); /* glibc: a constant, costs nothing and cannot fail */
    double value = strtod_l(text, NULL, c);
    freelocale(c);
    return value;
}

static size_t write_by_library(char *to, double value)
{
    locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    locale_t before = uselocale(c);
    char text[NUMBER_TEXT_MAX];
    int len = 0;
    for (int precision = 15; precision <= 17; precision++) { /* 17 digits always read back */
        len = snprintf(text, sizeof text, "%.*g", precision, value);
        if (strtod(text, NULL) == value) break;
    }
    uselocale(before);
    freelocale(c);
    memcpy(to, text, (size_t)len);
    return (size_t)len;
}

static size_t write_word(char *to, const char *word)
{
    size_t len = strlen(word);
    memcpy(to, word, len);
    return len;
}

size_t number_write_f64(char *to, double value)
{
    if (isnan(value)) return write_word(to, "nan");
    if (isinf(value)) return write_word(to, value < 0 ? "-inf" : "inf");
    if (fabs(value) < EXACT_MAX && value == (double)(int64_t)value) {
        if (value == 0 && signbit(value)) return write_word(to, "-0");
        return number_write_i64(to, (int64_t)value);
    }
    size_t len = write_short(to, value);
    return len ? len : write_by_library(to, value);
}

/* ---- reading --------------------------------------------------------------------------------------------------------------------- */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

enum number_result number_read_i64(const char *text, size_t len, int64_t *value)
{
    bool negative = len && text[0] == '-';
    size_t i = negative;
    if (i == len) return NUMBER_MALFORMED;
    uint64_t magnitude = 0;
    bool fits = true;
    for (; i < len; i++) {
        if (!is_digit(text[i])) return NUMBER_MALFORMED; /* also behind digits that no longer fit */
        fits = fits && !__builtin_mul_overflow(magnitude, 10u, &magnitude) &&
               !__builtin_add_overflow(magnitude, (uint64_t)(text[i] - '0'), &magnitude);
    }
    if (!fits || magnitude > (uint64_t)INT64_MAX + negative) return NUMBER_RANGE;
    *value = (int64_t)(negative ? 0 - magnitude : magnitude);
    return NUMBER_OK;
}

/* A decimal number taken apart: (-1)^negative * mantissa * 10^exponent; exact while mantissa < 10^18, beyond that digits were left out. */
struct decimal {
    uint64_t mantissa;
    int64_t exponent;
    bool negative;
};

/* Takes the digits at text[*at]; those behind the point lower the exponent. False when there is none. */
static bool take_digits(const char *text, size_t len, size_t *at, struct decimal *d, int behind_point)
{
    size_t first = *at;
    for (; *at < len && is_digit(text[*at]); (*at)++) {
        if (d->mantissa >= 1000000000000000000u) continue; /* far above EXACT_MAX: the library will read the text itself */
        d->mantissa = d->mantissa * 10 + (uint64_t)(text[*at] - '0');
        d->exponent -= behind_point;
    }
    return *at > first;
}

static bool take_exponent(const char *text, size_t len, size_t *at, struct decimal *d)
{
    (*at)++; /* the e */
    bool negative = *at < len && text[*at] == '-';
    if (*at < len && (text[*at] == '-' || text[*at] == '+')) (*at)++;
    size_t first = *at;
    int64_t exponent = 0;
    for (; *at < len && is_digit(text[*at]); (*at)++) {
        if (exponent < 100000) exponent = exponent * 10 + (text[*at] - '0'); /* more makes no difference to a double */
    }
    d->exponent += negative ? -exponent : exponent;
    return *at > first;
}

static bool take_apart(const char *text, size_t len, struct decimal *d)
{
    size_t at = 0;
    d->negative = len && text[0] == '-';
    at += d->negative;
    if (!take_digits(text, len, &at, d, 0)) return false;
    if (at < len && text[at] == '.') {
        at++;
        if (!take_digits(text, len, &at, d, 1)) return false;
    }
    if (at < len && (text[at] == 'e' || text[at] == 'E') && !take_exponent(text, len, &at, d)) return false;
    return at == len;
}

static bool read_word(const char *text, size_t len, double *value)
{
    if (len == 3 && memcmp(text, "nan", 3) == 0) return *value = (double)NAN, true;
    if (len == 3 && memcmp(text, "inf", 3) == 0) return *value = (double)INFINITY, true;
    if (len == 4 && memcmp(text, "-inf", 4) == 0) return *value = -(double)INFINITY, true;
    return false;
}

enum number_result number_read_f64(const char *text, size_t len, double *value)
{
    if (read_word(text, len, value)) return NUMBER_OK;
    if (len > NUMBER_READ_MAX) return NUMBER_RANGE;
    struct decimal d = {0};
    if (!take_apart(text, len, &d)) return NUMBER_MALFORMED;
    double result;
    if (d.mantissa <= (uint64_t)EXACT_MAX && d.exponent > -POWERS && d.exponent < POWERS) {
        result = (double)d.mantissa;
        result = d.exponent < 0 ? result / power_of_ten[-d.exponent] : result * power_of_ten[d.exponent];
        if (d.negative) result = -result;
    } else {
        char copy[NUMBER_READ_MAX + 1];
        memcpy(copy, text, len);
        copy[len] = '\0';
        result = read_in_c_locale(copy);
    }
    if (isinf(result)) return NUMBER_RANGE;
    *value = result;
    return NUMBER_OK;
}

enum number_result number_read_decimal(const char *text, size_t len, uint32_t scale, int64_t *value)
{
    char digits[NUMBER_TEXT_MAX]; /* the number without its point, filled up to `scale` digits behind it */
    const char *point = memchr(text, '.', len);
    size_t whole = point ? (size_t)(point - text) : len, behind = point ? len - whole - 1 : 0;
    if (whole == 0 || (point && behind == 0) || text[whole - 1] == '-') return NUMBER_MALFORMED;
    for (size_t i = whole + 1; i < len; i++)
        if (text[i] < '0' || text[i] > '9') return NUMBER_MALFORMED;
    if (behind > scale || whole + scale > sizeof digits) {
        int64_t ignored;
        return number_read_i64(text, whole, &ignored) == NUMBER_MALFORMED ? NUMBER_MALFORMED : NUMBER_RANGE;
    }
    memcpy(digits, text, whole);
    if (behind) memcpy(digits + whole, point + 1, behind);
    memset(digits + whole + behind, '0', scale - behind);
    return number_read_i64(digits, whole + scale, value);
}
