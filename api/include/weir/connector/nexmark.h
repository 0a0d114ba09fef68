/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Nexmark: persons, auctions and bids of an on-line auction, the benchmark's events. Generated from a seed, bit for bit as
 * docs/reference/nexmark.md says, or read from a file of such events. Both give the same streams, so a query runs on either.
 */
#ifndef WEIR_CONNECTOR_NEXMARK_H
#define WEIR_CONNECTOR_NEXMARK_H

#include "weir/stream.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- rows -------------------------------------------------------------------------------------------------------------------------- */

/* Their schemas print fields in this order, under the names of the specification: emailAddress, creditCard, itemName, dateTime ... */

struct nexmark_person {
    int64_t seq; /* the event's number; unique over all three kinds */
    int64_t id;
    struct weir_str name;
    struct weir_str email_address;
    struct weir_str credit_card;
    struct weir_str city;
    struct weir_str state;
    weir_time date_time;
    struct weir_str extra;
};
extern WEIR_EXPORT const struct weir_schema nexmark_person_schema;

struct nexmark_auction {
    int64_t seq;
    int64_t id;
    struct weir_str item_name;
    struct weir_str description;
    int64_t initial_bid; /* cents */
    int64_t reserve;     /* cents */
    weir_time date_time;
    weir_time expires;
    int64_t seller; /* a person's id */
    int64_t category;
    struct weir_str extra;
};
extern WEIR_EXPORT const struct weir_schema nexmark_auction_schema;

struct nexmark_bid {
    int64_t seq;
    int64_t auction;
    int64_t bidder; /* a person's id */
    int64_t price;  /* cents */
    struct weir_str channel;
    struct weir_str url;
    weir_time date_time;
    struct weir_str extra;
};
extern WEIR_EXPORT const struct weir_schema nexmark_bid_schema;

/* A record of a file that is no event. */
struct nexmark_malformed {
    int64_t position; /* of its first byte in the file's (uncompressed) text */
    int64_t line;     /* its number in the file, from 0 */
    struct weir_str text;
    struct weir_str reason;
};
extern WEIR_EXPORT const struct weir_schema nexmark_malformed_schema;

/* An event as text, without line end. weir_to_file writes these with WEIR_FILE_LINES. */
struct nexmark_line {
    struct weir_str text;
};
extern WEIR_EXPORT const struct weir_schema nexmark_line_schema;

/* ---- both sources ------------------------------------------------------------------------------------------------------------------ */

/* The outputs of one step: its settings (weir_set_parallelism ...) belong to all of them. All NULL after a mistake. */
struct weir_nexmark_streams {
    struct weir_stream *persons;
    struct weir_stream *auctions;
    struct weir_stream *bids;
    struct weir_stream *malformed; /* from a file; NULL from the generator, which makes no malformed records */
};

/* What the records' time is, and with it the watermarks. */
enum weir_nexmark_time {
    WEIR_NEXMARK_EVENT_TIME = 0,   /* dateTime */
    WEIR_NEXMARK_ARRIVAL_TIME = 1, /* itime: 1700006392863 + position * 1000 / rate. For processing-time queries with one exact result */
};

/* CSV: kind letter and fields in schema order. JSON: one object a line. Section 7 of the specification. */
enum weir_nexmark_format { WEIR_NEXMARK_CSV = 0, WEIR_NEXMARK_JSON = 1 };

/* ---- generated --------------------------------------------------------------------------------------------------------------------- */

/* Fields to generate, a bit each in schema order: WEIR_NEXMARK_FIELD(4) is a bid's channel. 0 stands for all of them. */
#define WEIR_NEXMARK_FIELD(index) (1u << (index))

struct weir_nexmark_fields {
    uint32_t person;  /* 0 ... 8 */
    uint32_t auction; /* 0 ... 10 */
    uint32_t bid;     /* 0 ... 7 */
};

/* Events and `rate` must keep event * 1000 within 64 bits: the largest event number is below this. An endless run ends here, too. */
#define WEIR_NEXMARK_EVENTS_MAX 10000000000000000
#define WEIR_NEXMARK_GROUP_MAX 1000000000

struct weir_nexmark {
    uint64_t seed;
    int64_t events; /* < 0: endless */
    int64_t rate;   /* events per second of event time; 0 = 10000 */
    int64_t group;  /* arrival order is shuffled within so many events, not a multiple of 953; 0 = 1, in order */
    int64_t pace;   /* events per second of wall time over all splits; 0 = as fast as possible */
    /*
     * With pace: arrival position p is due at pace_start + p * 1000 / pace, milliseconds of the wall clock, in every split and also when
     * the source lags, so that the delay of a result can be told. 0 = a reader's next event is due when it is first asked.
     */
    weir_time pace_start;
    enum weir_nexmark_time time;
    uint32_t splits; /* 0 = the step's parallelism. The events are the same whatever it is */
    /* Projection: a field that is left out is 0 or empty, and costs nothing; the others do not change. Record times stay as they are. */
    struct weir_nexmark_fields project;
};

/* Split s of K makes arrival positions s, s + K, s + 2K ... in this order. No record is ever late. */
WEIR_EXPORT struct weir_nexmark_streams weir_from_nexmark(struct weir_env *env, const char *id, const struct weir_nexmark *config);

/*
 * The same events as rows of nexmark_line: one stream, which keeps the order of arrival between the kinds (of each split; parallelism 1
 * keeps it altogether). `project` must be zero.
 */
WEIR_EXPORT struct weir_stream *weir_from_nexmark_text(struct weir_env *env, const char *id, const struct weir_nexmark *config,
                                                       enum weir_nexmark_format format);

/* ---- from a file ------------------------------------------------------------------------------------------------------------------- */

enum weir_nexmark_on_malformed {
    WEIR_NEXMARK_FAIL = 0,        /* the job fails; the sentence names file, line, byte and reason */
    WEIR_NEXMARK_DEAD_LETTER = 1, /* the record goes to `malformed`, and the source goes on */
};

/*
 * A file of events, compressed if its name ends in .gz or .zst. Events need not come from the generator: any non-negative integers and any
 * strings will do. Everything else is malformed: an unknown kind, fields or keys too many, missing or doubled, numbers that are negative or
 * above 2^63 - 1, broken quotes, broken JSON. Each record, malformed ones too, has its number as arrival position.
 *
 * A record ends at LF or CR LF; in CSV not inside quotes. One whose quotes are broken ends at its first LF. A record of more than
 * WEIR_LINE_MAX bytes fails the job, as does a file that changes while it is read.
 */
struct weir_nexmark_file {
    const char *path; /* a relative one counts from where the job was submitted */
    enum weir_nexmark_format format;
    enum weir_nexmark_time time;
    /* The watermark stands so far, and 1 ms more, behind the highest dateTime read. < 0: none until the end of the input. */
    int64_t lag_ms;
    int64_t rate; /* of the arrival clock; 0 = 10000 */
    enum weir_nexmark_on_malformed on_malformed;
    uint32_t splits; /* byte ranges the file is cut into, at record ends; 0 = the step's parallelism. A compressed file is one */
};
WEIR_EXPORT struct weir_nexmark_streams weir_from_nexmark_file(struct weir_env *env, const char *id,
                                                               const struct weir_nexmark_file *config);

#ifdef __cplusplus
}
#endif
#endif
