/* SPDX-License-Identifier: Apache-2.0 */
/* Rows as text, the form in which results are compared. */
#ifndef WEIR_TESTS_BENCH_LOOP_TEXT_H
#define WEIR_TESTS_BENCH_LOOP_TEXT_H

#include <stdint.h>
#include <stdio.h>

#define DAY_MS INT64_C(86400000)
#define DAY_LENGTH 10

/*
 * Writes a row as a line of CSV. `columns` names its members, each of 8 bytes: i an integer, e thousandths (printed with a point), s a
 * string. Strings are not quoted: generated ones never need it.
 */
void loop_row_print(FILE *out, const char *columns, const void *row);

/* YYYY-MM-DD of the day that begins `day` days after 1970-01-01. */
void loop_day_text(char text[DAY_LENGTH], int64_t day);

#endif
