/* SPDX-License-Identifier: Apache-2.0 */
/* The row types under the specification's names, which are not those of C members. */
#include "weir/connector/nexmark.h"

#define FIELD(row, id, type, member, name)                                 \
    {                                                                      \
        name, id, WEIR_TYPE_##type, (uint32_t)offsetof(struct row, member) \
    }
#define SCHEMA(row)                                                                                          \
    const struct weir_schema row##_schema = {sizeof(struct weir_schema), #row, (uint32_t)sizeof(struct row), \
                                             (uint32_t)(sizeof row##_fields / sizeof row##_fields[0]), row##_fields}

static const struct weir_field nexmark_person_fields[] = {
    FIELD(nexmark_person, 1, I64, seq, "seq"),
    FIELD(nexmark_person, 2, I64, id, "id"),
    FIELD(nexmark_person, 3, STR, name, "name"),
    FIELD(nexmark_person, 4, STR, email_address, "emailAddress"),
    FIELD(nexmark_person, 5, STR, credit_card, "creditCard"),
    FIELD(nexmark_person, 6, STR, city, "city"),
    FIELD(nexmark_person, 7, STR, state, "state"),
    FIELD(nexmark_person, 8, TIME, date_time, "dateTime"),
    FIELD(nexmark_person, 9, STR, extra, "extra"),
};
SCHEMA(nexmark_person);

static const struct weir_field nexmark_auction_fields[] = {
    FIELD(nexmark_auction, 1, I64, seq, "seq"),
    FIELD(nexmark_auction, 2, I64, id, "id"),
    FIELD(nexmark_auction, 3, STR, item_name, "itemName"),
    FIELD(nexmark_auction, 4, STR, description, "description"),
    FIELD(nexmark_auction, 5, I64, initial_bid, "initialBid"),
    FIELD(nexmark_auction, 6, I64, reserve, "reserve"),
    FIELD(nexmark_auction, 7, TIME, date_time, "dateTime"),
    FIELD(nexmark_auction, 8, TIME, expires, "expires"),
    FIELD(nexmark_auction, 9, I64, seller, "seller"),
    FIELD(nexmark_auction, 10, I64, category, "category"),
    FIELD(nexmark_auction, 11, STR, extra, "extra"),
};
SCHEMA(nexmark_auction);

static const struct weir_field nexmark_bid_fields[] = {
    FIELD(nexmark_bid, 1, I64, seq, "seq"),
    FIELD(nexmark_bid, 2, I64, auction, "auction"),
    FIELD(nexmark_bid, 3, I64, bidder, "bidder"),
    FIELD(nexmark_bid, 4, I64, price, "price"),
    FIELD(nexmark_bid, 5, STR, channel, "channel"),
    FIELD(nexmark_bid, 6, STR, url, "url"),
    FIELD(nexmark_bid, 7, TIME, date_time, "dateTime"),
    FIELD(nexmark_bid, 8, STR, extra, "extra"),
};
SCHEMA(nexmark_bid);

static const struct weir_field nexmark_malformed_fields[] = {
    FIELD(nexmark_malformed, 1, I64, position, "position"),
    FIELD(nexmark_malformed, 2, I64, line, "line"),
    FIELD(nexmark_malformed, 3, STR, text, "text"),
    FIELD(nexmark_malformed, 4, STR, reason, "reason"),
};
SCHEMA(nexmark_malformed);

static const struct weir_field nexmark_line_fields[] = {
    FIELD(nexmark_line, 1, STR, text, "text"),
};
SCHEMA(nexmark_line);
