/* SPDX-License-Identifier: Apache-2.0 */
#include "api/jobctl/format.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define TIME_MS_MAX INT64_C(253402300799999) /* the end of the year 9999 */

const char *format_count(uint64_t n, char out[static FORMAT_MAX])
{
    char digits[24];
    int len = snprintf(digits, sizeof digits, "%" PRIu64, n), at = 0;
    for (int i = 0; i < len; i++) {
        if (i > 0 && (len - i) % 3 == 0) out[at++] = ',';
        out[at++] = digits[i];
    }
    out[at] = '\0';
    return out;
}

const char *format_bytes(uint64_t n, char out[static FORMAT_MAX])
{
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    if (n < 1024) {
        snprintf(out, FORMAT_MAX, "%" PRIu64 " B", n);
        return out;
    }
    double value = (double)n / 1024;
    size_t unit = 0;
    for (; value >= 1024 && unit < 5; unit++) value /= 1024;
    snprintf(out, FORMAT_MAX, "%.1f %s", value, units[unit]);
    return out;
}

const char *format_duration(int64_t ms, char out[static FORMAT_MAX])
{
    int64_t s = ms / 1000, m = s / 60, h = m / 60;
    if (ms < 0) {
        snprintf(out, FORMAT_MAX, "-");
    } else if (ms < 10000) {
        snprintf(out, FORMAT_MAX, "%" PRId64 ".%03" PRId64 " s", s, ms % 1000);
    } else if (s < 60) {
        snprintf(out, FORMAT_MAX, "%" PRId64 ".%" PRId64 " s", s, ms % 1000 / 100);
    } else if (h < 1) {
        snprintf(out, FORMAT_MAX, "%" PRId64 " m %02" PRId64 " s", m, s % 60);
    } else if (h < 24) {
        snprintf(out, FORMAT_MAX, "%" PRId64 " h %02" PRId64 " m", h, m % 60);
    } else {
        snprintf(out, FORMAT_MAX, "%" PRId64 " d %02" PRId64 " h", h / 24, h % 24);
    }
    return out;
}

const char *format_time(int64_t wall_ms, char out[static FORMAT_MAX])
{
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm tm;
    if (wall_ms <= 0 || wall_ms > TIME_MS_MAX || !gmtime_r(&seconds, &tm) || !strftime(out, FORMAT_MAX, "%Y-%m-%dT%H:%M:%SZ", &tm))
        snprintf(out, FORMAT_MAX, "-");
    return out;
}

const char *format_clean(const char *text, char *out, size_t size)
{
    size_t n = 0;
    for (; text[n] && n + 1 < size; n++) {
        unsigned char c = (unsigned char)text[n];
        out[n] = c < 0x20 || c == 0x7f ? '?' : text[n];
    }
    out[n] = '\0';
    if (text[n] && size > 4) memcpy(out + size - 4, "...", 4);
    return out;
}
