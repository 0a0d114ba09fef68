/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Times as ISO-8601 text, both ways: 2015-05-17T10:05:00Z, with milliseconds behind a point when they are not zero.
 * Years outside 0000 ... 9999 have a sign and at least six digits (ISO's expanded form), so that every weir_time can be written and read
 * back.
 */
#ifndef WEIR_CONNECTORS_TEXT_TIME_TEXT_H
#define WEIR_CONNECTORS_TEXT_TIME_TEXT_H

#include "weir/row.h"

#define TIME_TEXT_MAX 40 /* bytes a time takes when written */

/* Writes at most TIME_TEXT_MAX bytes, no NUL; returns how many. */
size_t time_write_iso(char *to, weir_time time_ms);

/*
 * The whole of text[0..len): date, 'T', time of day with seconds, an optional fraction of 1 to 9 digits (cut to milliseconds), and 'Z' or
 * an offset "+02:00". False when it is anything else or no weir_time; `*time_ms` is then untouched.
 */
bool time_read_iso(const char *text, size_t len, weir_time *time_ms);

#endif
