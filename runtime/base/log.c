/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/base/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "runtime/base/clock.h"

static const char *const level_names[] = {"debug", "info", "warn", "error"};

static const char *process_name = "weir";
static atomic_int lowest_level = LOG_LEVEL_INFO;

void log_init(const char *component, enum log_level lowest)
{
    process_name = component;
    log_set_lowest(lowest);
}

void log_set_lowest(enum log_level lowest)
{
    atomic_store_explicit(&lowest_level, (int)lowest, memory_order_relaxed);
}

enum log_level log_lowest(void)
{
    return (enum log_level)atomic_load_explicit(&lowest_level, memory_order_relaxed);
}

const char *log_level_name(enum log_level level)
{
    return level_names[level];
}

weir_err log_level_parse(const char *text, enum log_level *out)
{
    for (unsigned i = 0; i < sizeof level_names / sizeof level_names[0]; i++) {
        if (strcmp(text, level_names[i]) != 0) continue;
        *out = (enum log_level)i;
        return WEIR_OK;
    }
    return WEIR_E_ARGUMENT;
}

/* Bytes a printf call has put in a space of `room`, whose last one is the NUL. */
static size_t written(int n, size_t room)
{
    if (n < 0) return 0;
    return (size_t)n < room ? (size_t)n : room - 1;
}

static size_t put_head(char *line, size_t room, enum log_level level, const char *msg)
{
    int64_t now_ms = clock_wall_ms();
    time_t seconds = (time_t)(now_ms / 1000);
    struct tm tm;
    gmtime_r(&seconds, &tm);
    size_t len = strftime(line, room, "%Y-%m-%dT%H:%M:%S", &tm);
    int n = snprintf(line + len, room - len, ".%03dZ %s %s msg=\"%s\"", (int)(now_ms % 1000), level_names[level], process_name, msg);
    return len + written(n, room - len);
}

void log_line(enum log_level level, const char *msg, const char *fields, ...)
{
    if (level < log_lowest()) return;
    char line[WEIR_LOG_LINE_MAX + 1]; /* the line feed takes the place of the NUL */
    size_t len = put_head(line, WEIR_LOG_LINE_MAX, level, msg);
    if (fields[0] != '\0' && fields[0] != ' ' && len + 1 < WEIR_LOG_LINE_MAX) line[len++] = ' ';
    size_t room = WEIR_LOG_LINE_MAX - len;
    va_list args;
    va_start(args, fields);
    int n = vsnprintf(line + len, room, fields, args);
    va_end(args);
    len += written(n, room);
    if (len == WEIR_LOG_LINE_MAX - 1) memcpy(line + len - 3, "...", 3);
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)line[i];
        if (c < 0x20 || c == 0x7f) line[i] = '?';
    }
    line[len++] = '\n';
    ssize_t ignored = write(STDERR_FILENO, line, len); /* where else should a failure to log be told? */
    (void)ignored;
}

void log_event(const char *msg, bool notable, const char *line)
{
    char clean[WEIR_LOG_LINE_MAX / 2];
    size_t n = strnlen(line, sizeof clean - 1);
    for (size_t i = 0; i < n; i++) clean[i] = line[i] == '"' ? '\'' : line[i];
    clean[n] = '\0';
    log_line(notable ? LOG_LEVEL_INFO : LOG_LEVEL_DEBUG, msg, "event=\"%s\"", clean);
}
