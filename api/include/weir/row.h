/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows: typed, position-independent bytes.
 *
 * A row type is a C struct of fixed-size members. A string member is a `weir_str`, whose offset counts from the first byte of the row; the
 * string bytes follow the struct. So a row is read by a cast, copied by memcpy, and the same bytes serve memory, network and state.
 *
 * Declare the struct, then its schema once:
 *
 *     struct hit { weir_time time; int64_t bytes; struct weir_str path; };
 *     WEIR_ROW(hit, WEIR_FIELD(hit, 1, TIME, time), WEIR_FIELD(hit, 2, I64, bytes), WEIR_FIELD(hit, 3, STR, path));
 *
 * which defines `hit_schema`. Text formats, savepoints and tools use the schema; the record path never does.
 * A field id is never given to another field, even after its field has gone: ids carry schema evolution.
 */
#ifndef WEIR_ROW_H
#define WEIR_ROW_H

#include <string.h>

#include "weir/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Milliseconds since 1970-01-01T00:00:00Z. Where it is a length of time the name says so. */
typedef int64_t weir_time;
#define WEIR_TIME_MIN INT64_MIN /* before everything: "no watermark yet" */
#define WEIR_TIME_MAX INT64_MAX /* after everything: the watermark at the end of the input */

/* A string inside a row: `offset` from the row's first byte, `length` in bytes, no NUL. Any bytes; text is UTF-8 by convention. */
struct weir_str {
    uint32_t offset;
    uint32_t length;
};

/* First byte of string `s` of the row at `row`. Borrowed from the row. */
static inline const char *weir_str_data(const void *row, struct weir_str s)
{
    return (const char *)row + s.offset;
}

/* A run of bytes that somebody else owns. */
struct weir_bytes {
    const void *data;
    uint32_t length;
};

enum weir_type {
    WEIR_TYPE_BOOL = 1,    /* bool, one byte */
    WEIR_TYPE_I32 = 2,     /* int32_t */
    WEIR_TYPE_I64 = 3,     /* int64_t */
    WEIR_TYPE_F64 = 4,     /* double */
    WEIR_TYPE_TIME = 5,    /* weir_time */
    WEIR_TYPE_STR = 6,     /* struct weir_str */
    WEIR_TYPE_DECIMAL = 7, /* int64_t counting units of 10^-scale: 101696 with scale 3 is 101.696. For money, where binary fractions lie */
};

#define WEIR_SCALE_MAX 18 /* digits behind a decimal's point */

struct weir_field {
    const char *name; /* lower_snake_case by convention, at most WEIR_NAME_MAX bytes */
    uint32_t id;      /* greater than zero, unique in the schema, never reused */
    enum weir_type type;
    uint32_t offset; /* in the struct */
    uint32_t scale;  /* WEIR_TYPE_DECIMAL: digits behind the point, 0 ... WEIR_SCALE_MAX; else 0 */
};

struct weir_schema {
    size_t struct_size;              /* sizeof(struct weir_schema): how a newer host knows an older plugin */
    const char *name;                /* of the row type */
    uint32_t row_size;               /* sizeof the struct */
    uint32_t n_fields;               /* 1 ... WEIR_FIELDS_MAX */
    const struct weir_field *fields; /* in the order text formats print them */
};

#define WEIR_NAME_MAX 128        /* bytes of an operator id, field or type name, without NUL */
#define WEIR_FIELDS_MAX 256      /* fields of a row */
#define WEIR_ROW_MAX (16u << 20) /* bytes of one row with its strings; a larger one fails its operator with WEIR_E_LIMIT */

/* A member under its own name; under another one, where text formats ask for it; as a decimal with `scale` digits behind the point. */
#define WEIR_FIELD(row, id, type, member) WEIR_FIELD_NAMED(row, id, type, member, #member)
#define WEIR_FIELD_NAMED(row, id, type, member, name)                         \
    {                                                                         \
        name, id, WEIR_TYPE_##type, (uint32_t)offsetof(struct row, member), 0 \
    }
#define WEIR_FIELD_DECIMAL(row, id, member, scale)                                    \
    {                                                                                 \
#member, id, WEIR_TYPE_DECIMAL, (uint32_t)offsetof(struct row, member), scale \
    }

/* Defines `const struct weir_schema NAME_schema` for `struct NAME`. */
#define WEIR_ROW(row, ...)                                                                                                      \
    static const struct weir_field row##_fields_[] = {__VA_ARGS__};                                                             \
    static const struct weir_schema row##_schema WEIR_UNUSED = {sizeof(struct weir_schema), #row, (uint32_t)sizeof(struct row), \
                                                                (uint32_t)(sizeof row##_fields_ / sizeof row##_fields_[0]), row##_fields_}

/*
 * Checks that every string of the row lies inside its `size` bytes. The runtime does this for rows that come from another process.
 * Returns false for a row shorter than the struct or a string that leaves it. Thread: any.
 */
WEIR_EXPORT bool weir_row_valid(const struct weir_schema *schema, const void *row, uint32_t size);

#ifdef __cplusplus
}
#endif
#endif
