/* SPDX-License-Identifier: Apache-2.0 */
#include "api/examples/nexmark/queries.h"

static const struct weir_field short_bid_fields[] = {
    WEIR_FIELD(short_bid, 1, I64, auction),    WEIR_FIELD(short_bid, 2, I64, bidder), WEIR_FIELD(short_bid, 3, I64, price),
    WEIR_FIELD(short_bid, 4, TIME, date_time), WEIR_FIELD(short_bid, 5, STR, extra),
};
const struct weir_schema short_bid_schema = {sizeof(struct weir_schema), "short_bid", sizeof(struct short_bid), 5, short_bid_fields};

struct short_bid shorten(const struct nexmark_bid *bid, struct weir_out *out)
{
    struct short_bid row = {.auction = bid->auction, .bidder = bid->bidder, .price = bid->price, .date_time = bid->date_time};
    row.extra = COPY_STR(out, &row, bid, extra);
    return row;
}

static void put_digits(char *to, int64_t value, uint32_t n)
{
    for (uint32_t i = n; i-- > 0; value /= 10) to[i] = (char)('0' + value % 10);
}

/* The civil date of a day number: years begin in March here, so that the leap day is a year's last (Hinnant, "chrono-compatible
 * low-level date algorithms"). */
void day_text(char to[DAY_TEXT_SIZE], int64_t day)
{
    int64_t shifted = day + 719468, era = shifted / 146097, in_era = shifted % 146097;
    int64_t year = (in_era - in_era / 1460 + in_era / 36524 - in_era / 146096) / 365;
    int64_t in_year = in_era - (365 * year + year / 4 - year / 100), from_march = (5 * in_year + 2) / 153;
    int64_t month = from_march < 10 ? from_march + 3 : from_march - 9;
    put_digits(to, year + era * 400 + (month <= 2), 4);
    to[4] = to[7] = '-';
    put_digits(to + 5, month, 2);
    put_digits(to + 8, in_year - (153 * from_march + 2) / 5 + 1, 2);
}

void minute_text(char to[MINUTE_TEXT_SIZE], int64_t minute_of_day)
{
    put_digits(to, minute_of_day / 60, 2);
    to[2] = ':';
    put_digits(to + 3, minute_of_day % 60, 2);
}
