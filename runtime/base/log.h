/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Log lines in logfmt on stderr: `2026-01-31T12:00:00.123Z info jobmanager msg="job failed" job=4f… reason="…"`.
 * One write(2) a line, so lines of several processes do not mix. Never on the record path. Thread: any.
 */
#ifndef WEIR_RUNTIME_BASE_LOG_H
#define WEIR_RUNTIME_BASE_LOG_H

#include "weir/base.h"

/* A line without fields has "" for its format, which the compilers would otherwise take for a mistake. */
#pragma GCC diagnostic ignored "-Wformat-zero-length"

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARN, LOG_LEVEL_ERROR };

#define WEIR_LOG_LINE_MAX 4096 /* bytes; a longer line is cut and ends in "..." */

/* Sets the process's name in lines and the lowest level written (default: info). Call before other threads start. `component` is kept. */
void log_init(const char *component, enum log_level lowest);
/* Changes the lowest level, and tells it. Thread: any. */
void log_set_lowest(enum log_level lowest);
enum log_level log_lowest(void);
const char *log_level_name(enum log_level level);
/* "debug", "info", "warn", "error"; WEIR_E_ARGUMENT otherwise. */
weir_err log_level_parse(const char *text, enum log_level *out);

/*
 * msg: a constant sentence fragment. fields: a printf format of ` key=value` pairs, "" for none; put values that may hold spaces in
 * quotes with %s inside; control characters are replaced by '?'.
 */
void log_line(enum log_level level, const char *msg, const char *fields, ...) WEIR_PRINTF(3, 4);

/* A line that a core tells of itself, as the field `event` of `msg`: info when notable, else debug. */
void log_event(const char *msg, bool notable, const char *line);

#define log_debug(msg, ...) log_line(LOG_LEVEL_DEBUG, msg, __VA_ARGS__)
#define log_info(msg, ...) log_line(LOG_LEVEL_INFO, msg, __VA_ARGS__)
#define log_warn(msg, ...) log_line(LOG_LEVEL_WARN, msg, __VA_ARGS__)
#define log_error(msg, ...) log_line(LOG_LEVEL_ERROR, msg, __VA_ARGS__)

#endif
