/* SPDX-License-Identifier: Apache-2.0 */
#include "api/jobctl/progress.h"

#include "api/jobctl/field.h"
#include "api/jobctl/format.h"
#include "weir/row.h"
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { LINE_BYTES = 256, COLUMNS_DEFAULT = 80, LAG_SHOWN_MS = 3600000 };

void progress_init(struct progress *p, FILE *out, bool wanted)
{
    const char *term = getenv("TERM"), *no_color = getenv("NO_COLOR");
    bool dumb = !term || strcmp(term, "dumb") == 0;
    *p = (struct progress){.out = out, .on = wanted && !dumb && isatty(fileno(out)), .color = !(no_color && *no_color)};
}

/* Workers report once a second while jobctl asks more often, so the rate is taken between changes of the count. */
static void keep_rate(struct progress *p, uint64_t read, int64_t now_ms)
{
    if (p->read_at_ms && read == p->read) return;
    if (p->read_at_ms && read > p->read && now_ms > p->read_at_ms) {
        p->per_second = (double)(read - p->read) * 1000 / (double)(now_ms - p->read_at_ms);
    }
    p->read = read;
    p->read_at_ms = now_ms;
}

/* How far event time is behind, or, when old data is read, where it is. */
static const char *event_time(int64_t watermark_ms, int64_t wall_ms, char out[static FORMAT_MAX + 16])
{
    char text[FORMAT_MAX];
    out[0] = '\0';
    if (watermark_ms == WEIR_TIME_MIN || watermark_ms == WEIR_TIME_MAX) return out;
    int64_t lag_ms = wall_ms - watermark_ms;
    if (watermark_ms > wall_ms - LAG_SHOWN_MS)
        snprintf(out, FORMAT_MAX + 16, "  lag %s", format_duration(lag_ms < 0 ? 0 : lag_ms, text));
    else
        snprintf(out, FORMAT_MAX + 16, "  event time %.16s", format_time(watermark_ms, text)); /* to the minute: the line is short */
    return out;
}

void progress_text(struct progress *p, const json_t *job, const struct view_totals *totals, int64_t now_ms, int64_t wall_ms, char *out,
                   size_t size)
{
    char state[24], took[FORMAT_MAX], read[FORMAT_MAX], rate[FORMAT_MAX], exchanged[FORMAT_MAX], time[FORMAT_MAX + 16];
    keep_rate(p, totals->read, now_ms);
    snprintf(out, size, "%s  %s  read %s (%s/s)  exchanged %s%s", format_clean(field_text(job, "state"), state, sizeof state),
             format_duration(field_int(job, "duration", 0), took), format_count(totals->read, read),
             format_count((uint64_t)p->per_second, rate), format_count(totals->exchanged, exchanged),
             event_time(totals->watermark_ms, wall_ms, time));
}

static int terminal_columns(FILE *out)
{
    struct winsize size = {0};
    return ioctl(fileno(out), TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : COLUMNS_DEFAULT;
}

void progress_show(struct progress *p, const json_t *job, const struct view_totals *totals, int64_t now_ms, int64_t wall_ms)
{
    char text[LINE_BYTES];
    if (!p->on) return;
    progress_text(p, job, totals, now_ms, wall_ms, text, sizeof text);
    int room = terminal_columns(p->out) - 1; /* a full line would wrap, and then stay */
    if ((int)strlen(text) > room) text[room > 0 ? room : 0] = '\0';
    int state = (int)strcspn(text, " ");
    /* The cursor goes back to the beginning: what the job itself prints on this terminal then begins a line. */
    fprintf(p->out, "\r%s%.*s%s%s\033[K\r", p->color ? "\033[1m" : "", state, text, p->color ? "\033[0m" : "", text + state);
    fflush(p->out);
    p->shown = true;
}

void progress_clear(struct progress *p)
{
    if (p->shown) fputs("\r\033[K", p->out);
    p->shown = false;
    fflush(p->out);
}
