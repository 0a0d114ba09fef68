/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/bench/loop/text.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "tests/bench/nexmark_rows.h"

static void print_member(FILE *out, char kind, const char *row, size_t at)
{
    struct nexmark_str s;
    int64_t i;
    memcpy(&i, row + at, sizeof i);
    memcpy(&s, row + at, sizeof s);
    switch (kind) {
    case 's': (void)fwrite(row + s.offset, 1, s.length, out); break;
    case 'e': (void)fprintf(out, "%" PRId64 ".%03" PRId64, i / 1000, i % 1000); break;
    default: (void)fprintf(out, "%" PRId64, i); break;
    }
}

void loop_row_print(FILE *out, const char *columns, const void *row)
{
    for (size_t i = 0; columns[i]; i++) {
        if (i > 0) (void)fputc(',', out);
        print_member(out, columns[i], row, 8 * i);
    }
    (void)fputc('\n', out);
}

void loop_day_text(char text[DAY_LENGTH], int64_t day)
{
    time_t seconds = (time_t)(day * (DAY_MS / 1000));
    struct tm tm;
    char buffer[64];
    (void)gmtime_r(&seconds, &tm);
    (void)strftime(buffer, sizeof buffer, "%Y-%m-%d", &tm);
    memcpy(text, buffer, DAY_LENGTH);
}
