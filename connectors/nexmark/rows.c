/* SPDX-License-Identifier: Apache-2.0 */
/* The row types under the specification's names, which are not those of C members. */
#include "weir/connector/nexmark.h"

#define SCHEMA(row)                                                                                          \
    const struct weir_schema row##_schema = {sizeof(struct weir_schema), #row, (uint32_t)sizeof(struct row), \
                                             (uint32_t)(sizeof row##_fields / sizeof row##_fields[0]), row##_fields}

static const struct weir_field nexmark_person_fields[] = {
    WEIR_FIELD_NAMED(nexmark_person, 1, I64, seq, "seq"),
    WEIR_FIELD_NAMED(nexmark_person, 2, I64, id, "id"),
    WEIR_FIELD_NAMED(nexmark_person, 3, STR, name, "name"),
    WEIR_FIELD_NAMED(nexmark_person, 4, STR, email_address, "emailAddress"),
    WEIR_FIELD_NAMED(nexmark_person, 5, STR, credit_card, "creditCard"),
    WEIR_FIELD_NAMED(nexmark_person, 6, STR, city, "city"),
    WEIR_FIELD_NAMED(nexmark_person, 7, STR, state, "state"),
    WEIR_FIELD_NAMED(nexmark_person, 8, TIME, date_time, "dateTime"),
    WEIR_FIELD_NAMED(nexmark_person, 9, STR, extra, "extra"),
};
SCHEMA(nexmark_person);

static const struct weir_field nexmark_auction_fields[] = {
    WEIR_FIELD_NAMED(nexmark_auction, 1, I64, seq, "seq"),
    WEIR_FIELD_NAMED(nexmark_auction, 2, I64, id, "id"),
    WEIR_FIELD_NAMED(nexmark_auction, 3, STR, item_name, "itemName"),
    WEIR_FIELD_NAMED(nexmark_auction, 4, STR, description, "description"),
    WEIR_FIELD_NAMED(nexmark_auction, 5, I64, initial_bid, "initialBid"),
    WEIR_FIELD_NAMED(nexmark_auction, 6, I64, reserve, "reserve"),
    WEIR_FIELD_NAMED(nexmark_auction, 7, TIME, date_time, "dateTime"),
    WEIR_FIELD_NAMED(nexmark_auction, 8, TIME, expires, "expires"),
    WEIR_FIELD_NAMED(nexmark_auction, 9, I64, seller, "seller"),
    WEIR_FIELD_NAMED(nexmark_auction, 10, I64, category, "category"),
    WEIR_FIELD_NAMED(nexmark_auction, 11, STR, extra, "extra"),
};
SCHEMA(nexmark_auction);

static const struct weir_field nexmark_bid_fields[] = {
    WEIR_FIELD_NAMED(nexmark_bid, 1, I64, seq, "seq"),
    WEIR_FIELD_NAMED(nexmark_bid, 2, I64, auction, "auction"),
    WEIR_FIELD_NAMED(nexmark_bid, 3, I64, bidder, "bidder"),
    WEIR_FIELD_NAMED(nexmark_bid, 4, I64, price, "price"),
    WEIR_FIELD_NAMED(nexmark_bid, 5, STR, channel, "channel"),
    WEIR_FIELD_NAMED(nexmark_bid, 6, STR, url, "url"),
    WEIR_FIELD_NAMED(nexmark_bid, 7, TIME, date_time, "dateTime"),
    WEIR_FIELD_NAMED(nexmark_bid, 8, STR, extra, "extra"),
};
SCHEMA(nexmark_bid);

static const struct weir_field nexmark_malformed_fields[] = {
    WEIR_FIELD_NAMED(nexmark_malformed, 1, I64, position, "position"),
    WEIR_FIELD_NAMED(nexmark_malformed, 2, I64, line, "line"),
    WEIR_FIELD_NAMED(nexmark_malformed, 3, STR, text, "text"),
    WEIR_FIELD_NAMED(nexmark_malformed, 4, STR, reason, "reason"),
};
SCHEMA(nexmark_malformed);

static const struct weir_field nexmark_line_fields[] = {
    WEIR_FIELD_NAMED(nexmark_line, 1, STR, text, "text"),
};
SCHEMA(nexmark_line);
