/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/base/config_value.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct unit {
    const char *name;
    int64_t factor;
};

static const struct unit no_units[] = {{"", 1}, {NULL, 0}};
static const struct unit durations[] = {{"", 1}, {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}, {NULL, 0}};
static const struct unit sizes[] = {{"", 1},  {"B", 1}, {"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", INT64_C(1) << 40},
                                    {NULL, 0}};

/* Decimal digits with an optional sign, then one of the units. No spaces, no overflow. */
static bool parse_number(const char *text, const struct unit *units, int64_t *out)
{
    bool negative = *text == '-';
    int64_t value = 0;
    if (negative) text++;
    if (*text < '0' || *text > '9') return false;
    for (; *text >= '0' && *text <= '9'; text++) {
        if (__builtin_mul_overflow(value, 10, &value) || __builtin_add_overflow(value, *text - '0', &value)) return false;
    }
    for (; units->name; units++) {
        if (strcmp(text, units->name) == 0) return !__builtin_mul_overflow(negative ? -value : value, units->factor, out);
    }
    return false;
}

static bool parse_bool(const char *text, int64_t *out)
{
    static const char *const words[] = {"false", "true", "no", "yes", "off", "on", "0", "1"};
    for (unsigned i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcmp(text, words[i]) != 0) continue;
        *out = i % 2;
        return true;
    }
    return false;
}

static bool in_range(const struct config_key *key, int64_t value)
{
    if (key->min == 0 && key->max == 0) return value >= 0;
    return value >= key->min && value <= key->max;
}

static bool number(const struct config_key *key, const char *text, const struct unit *units, int64_t *out)
{
    int64_t value;
    if (!parse_number(text, units, &value) || !in_range(key, value)) return false;
    *out = value;
    return true;
}

static void describe(const struct config_key *key, const char *what, char *wanted, size_t size)
{
    if (key->min == 0 && key->max == 0)
        snprintf(wanted, size, "%s of 0 or more", what);
    else
        snprintf(wanted, size, "%s from %" PRId64 " to %" PRId64, what, key->min, key->max);
}

bool config_value_parse(const struct config_key *key, const char *text, int64_t *out, char *wanted, size_t wanted_size)
{
    switch (key->type) {
    case CONFIG_STR: *out = 0; return true;
    case CONFIG_BOOL: snprintf(wanted, wanted_size, "true or false"); return parse_bool(text, out);
    case CONFIG_INT: describe(key, "a whole number", wanted, wanted_size); return number(key, text, no_units, out);
    case CONFIG_DURATION: describe(key, "a duration (250ms, 3s, 5m) in ms", wanted, wanted_size); return number(key, text, durations, out);
    case CONFIG_SIZE: describe(key, "a size (65536, 64KiB, 16MiB) in bytes", wanted, wanted_size); return number(key, text, sizes, out);
    }
    return false;
}
