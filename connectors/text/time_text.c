/* SPDX-License-Identifier: Apache-2.0 */
/* Days from and to civil dates: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms". A year begins in March there, so that a leap
 * day is its last. */
#include "connectors/text/time_text.h"

#define DAY_MS 86400000
#define ERA_DAYS 146097 /* 400 years */

struct civil {
    int64_t year;
    int32_t month, day; /* from 1 */
};

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

static struct civil civil_from_days(int64_t days)
{
    days += 719468; /* 0000-03-01 */
    int64_t era = floor_div(days, ERA_DAYS);
    int64_t doe = days - era * ERA_DAYS;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int64_t mp = (5 * doy + 2) / 153;
    struct civil c = {.day = (int32_t)(doy - (153 * mp + 2) / 5 + 1), .month = (int32_t)(mp < 10 ? mp + 3 : mp - 9)};
    c.year = yoe + era * 400 + (c.month <= 2);
    return c;
}

static int64_t days_from_civil(struct civil c)
{
    int64_t year = c.year - (c.month <= 2);
    int64_t era = floor_div(year, 400);
    int64_t yoe = year - era * 400;
    int64_t doy = (153 * (c.month > 2 ? c.month - 3 : c.month + 9) + 2) / 5 + c.day - 1;
    return era * ERA_DAYS + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

/* ---- writing --------------------------------------------------------------------------------------------------------------------- */

/* `value` in `width` digits, zeros in front. */
static char *put_padded(char *to, int64_t value, int width)
{
    for (int i = width - 1; i >= 0; i--, value /= 10) to[i] = (char)('0' + value % 10);
    return to + width;
}

static char *put_year(char *to, int64_t year)
{
    if (year >= 0 && year <= 9999) return put_padded(to, year, 4);
    *to++ = year < 0 ? '-' : '+';
    year = year < 0 ? -year : year;
    return put_padded(to, year, year > 999999 ? 9 : 6); /* a weir_time reaches the year 292 million */
}

size_t time_write_iso(char *to, weir_time time_ms)
{
    int64_t days = floor_div(time_ms, DAY_MS);
    int64_t ms = time_ms % DAY_MS + (time_ms % DAY_MS < 0 ? DAY_MS : 0);
    struct civil c = civil_from_days(days);
    char *p = put_year(to, c.year);
    *p++ = '-';
    p = put_padded(p, c.month, 2);
    *p++ = '-';
    p = put_padded(p, c.day, 2);
    *p++ = 'T';
    p = put_padded(p, ms / 3600000, 2);
    *p++ = ':';
    p = put_padded(p, ms / 60000 % 60, 2);
    *p++ = ':';
    p = put_padded(p, ms / 1000 % 60, 2);
    if (ms % 1000) {
        *p++ = '.';
        p = put_padded(p, ms % 1000, 3);
    }
    *p++ = 'Z';
    return (size_t)(p - to);
}

/* ---- reading --------------------------------------------------------------------------------------------------------------------- */

/* What is left of the text. A take_ function that returns false has found something else there. */
struct rest {
    const char *p, *end;
};

static bool take_char(struct rest *r, char c)
{
    if (r->p == r->end || *r->p != c) return false;
    r->p++;
    return true;
}

/* Between `min` and `max` digits, as many as there are. */
static bool take_number(struct rest *r, int min, int max, int64_t *value)
{
    int n = 0;
    int64_t v = 0;
    for (; n < max && r->p < r->end && *r->p >= '0' && *r->p <= '9'; n++) v = v * 10 + (*r->p++ - '0');
    *value = v;
    return n >= min;
}

static bool take_date(struct rest *r, struct civil *c)
{
    static const int32_t month_days[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool negative = take_char(r, '-');
    bool expanded = negative || take_char(r, '+');
    int64_t month, day;
    if (!take_number(r, expanded ? 6 : 4, expanded ? 9 : 4, &c->year) || !take_char(r, '-')) return false;
    if (!take_number(r, 2, 2, &month) || !take_char(r, '-') || !take_number(r, 2, 2, &day)) return false;
    if (negative) c->year = -c->year;
    if (month < 1 || month > 12 || day < 1) return false;
    bool leap = c->year % 4 == 0 && (c->year % 100 != 0 || c->year % 400 == 0);
    c->month = (int32_t)month;
    c->day = (int32_t)day;
    return day <= month_days[month - 1] + (month == 2 && leap);
}

static bool take_clock(struct rest *r, int64_t *ms)
{
    int64_t hour, minute, second, fraction = 0;
    if (!take_number(r, 2, 2, &hour) || !take_char(r, ':') || !take_number(r, 2, 2, &minute) || !take_char(r, ':')) return false;
    if (!take_number(r, 2, 2, &second) || hour > 23 || minute > 59 || second > 59) return false;
    if (take_char(r, '.')) {
        const char *first = r->p;
        if (!take_number(r, 1, 9, &fraction)) return false;
        for (long digits = r->p - first; digits != 3; digits += digits < 3 ? 1 : -1) fraction = digits < 3 ? fraction * 10 : fraction / 10;
    }
    *ms = ((hour * 60 + minute) * 60 + second) * 1000 + fraction;
    return true;
}

/* 'Z', or how far local time is ahead of it. */
static bool take_offset(struct rest *r, int64_t *offset_ms)
{
    *offset_ms = 0;
    if (take_char(r, 'Z')) return true;
    bool behind = take_char(r, '-');
    int64_t hours, minutes;
    if (!behind && !take_char(r, '+')) return false;
    if (!take_number(r, 2, 2, &hours) || !take_char(r, ':') || !take_number(r, 2, 2, &minutes) || hours > 23 || minutes > 59) return false;
    *offset_ms = (hours * 60 + minutes) * 60000 * (behind ? -1 : 1);
    return true;
}

bool time_read_iso(const char *text, size_t len, weir_time *time_ms)
{
    struct rest r = {text, text + len};
    struct civil date;
    int64_t clock_ms, offset_ms;
    if (!take_date(&r, &date) || !take_char(&r, 'T') || !take_clock(&r, &clock_ms) || !take_offset(&r, &offset_ms) || r.p != r.end)
        return false;
    __int128 ms = (__int128)days_from_civil(date) * DAY_MS + clock_ms - offset_ms;
    if (ms < INT64_MIN || ms > INT64_MAX) return false;
    *time_ms = (weir_time)ms;
    return true;
}
