/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Numbers as text, both ways, without printf on the usual path and without regard to the process's locale.
 *
 * What number_write_f64 writes, number_read_f64 reads back to the same bits (a NaN stays a NaN).
 */
#ifndef WEIR_CONNECTORS_TEXT_NUMBER_TEXT_H
#define WEIR_CONNECTORS_TEXT_NUMBER_TEXT_H

#include <stddef.h>
#include <stdint.h>

#define NUMBER_TEXT_MAX 40   /* bytes a number takes when written */
#define NUMBER_READ_MAX 1024 /* bytes of a number that is read; a longer one is NUMBER_RANGE */

enum number_result {
    NUMBER_OK = 0,
    NUMBER_MALFORMED = 1, /* not a number of this kind */
    NUMBER_RANGE = 2,     /* a number, but outside what the type holds */
};

/* Writes at most NUMBER_TEXT_MAX bytes, no NUL; returns how many. */
size_t number_write_i64(char *to, int64_t value);

/* value / 10^scale with exactly `scale` (0 ... WEIR_SCALE_MAX) digits behind the point: "101.696", "-0.05", "7" with scale 0. */
size_t number_write_decimal(char *to, int64_t value, uint32_t scale);

/* As number_write_i64, the fewest digits that read back to the same value: "3", "0.1", "1e+300", "-0", "nan", "inf", "-inf". */
size_t number_write_f64(char *to, double value);

/* The whole of text[0..len): an optional '-' and decimal digits. `*value` is untouched unless NUMBER_OK. */
enum number_result number_read_i64(const char *text, size_t len, int64_t *value);

/* The whole of text[0..len): -?digits[.digits], times 10^scale; more digits behind the point than `scale` are NUMBER_RANGE: nothing is
 * rounded away. `*value` is untouched unless NUMBER_OK. */
enum number_result number_read_decimal(const char *text, size_t len, uint32_t scale, int64_t *value);

/*
 * The whole of text[0..len): -?digits[.digits][(e|E)[+-]digits], or "nan", "inf", "-inf". Rounded to nearest; too large is NUMBER_RANGE,
 * too small becomes zero. `*value` is untouched unless NUMBER_OK.
 */
enum number_result number_read_f64(const char *text, size_t len, double *value);

#endif
