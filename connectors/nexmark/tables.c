/* SPDX-License-Identifier: Apache-2.0 */
#include "connectors/nexmark/tables.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define LETTER_STREAM 0x4cu /* the seeds of the tables' own random numbers */
#define TEXT_STREAM 0x54u
#define CHANNEL_STREAM 0x55u

const uint32_t price_mantissas[PRICE_STEPS + 1] = {1000000, 1154782, 1333521, 1539927, 1778279, 2053525, 2371374, 2738420, 3162278,
                                                   3651741, 4216965, 4869675, 5623413, 6493816, 7498942, 8659643, 10000000};
const uint32_t price_powers[6] = {1, 10, 100, 1000, 10000, 100000};

#define WORD(text_)                             \
    {                                           \
        .text = text_, .len = sizeof(text_) - 1 \
    }
const struct table_word first_names[FIRST_NAMES] = {WORD("Peter"), WORD("Paul"),   WORD("Luke"),  WORD("John"),
                                                    WORD("Saul"),  WORD("Vicky"),  WORD("Kate"),  WORD("Julie"),
                                                    WORD("Sarah"), WORD("Deiter"), WORD("Walter")};
const struct table_word last_names[LAST_NAMES] = {WORD("Shultz"), WORD("Abrams"), WORD("Spencer"), WORD("White"), WORD("Bartels"),
                                                  WORD("Walton"), WORD("Smith"),  WORD("Jones"),   WORD("Noris")};
const struct table_word cities[CITIES] = {WORD("Phoenix"), WORD("Los Angeles"), WORD("San Francisco"), WORD("Boise"), WORD("Portland"),
                                          WORD("Bend"),    WORD("Redmond"),     WORD("Seattle"),       WORD("Kent"),  WORD("Cheyenne")};
const struct table_word states[STATES] = {WORD("AZ"), WORD("CA"), WORD("ID"), WORD("OR"), WORD("WA"), WORD("WY")};

static void build_pools(struct generate_tables *t)
{
    for (uint32_t i = 0; i < POOL_BYTES; i++) {
        uint64_t x = random_word(TEXT_STREAM, i);
        t->letters[i] = (char)('a' + random_hi(random_word(LETTER_STREAM, i), 26));
        t->text[i] = random_lo(x, 13) == 0 ? ' ' : (char)('a' + random_hi(x, 26));
    }
}

static uint32_t reverse_bits(uint32_t x)
{
    uint32_t r = 0;
    for (int bit = 0; bit < 32; bit++) r |= (x >> bit & 1) << (31 - bit);
    return r;
}

/* Part j of the path: a piece of the text pool with its spaces as '_'. */
static void path_part(const struct generate_tables *t, uint32_t i, uint32_t j, char part[5])
{
    uint64_t x = random_word(CHANNEL_STREAM, 4 * (uint64_t)i + j);
    uint32_t len = 3 + random_lo(x, 2);
    const char *from = t->text + random_hi(x, POOL_BYTES - len);
    for (uint32_t k = 0; k < len; k++) part[k] = from[k] == ' ' ? '_' : from[k];
    part[len] = '\0';
}

/* Formatted elsewhere and copied: a block is full to its last byte and has no place for a NUL. */
static void build_channel(struct generate_tables *t, uint32_t i)
{
    static const char *const hot[CHANNELS - CHANNELS_NUMBERED] = {"Google", "Facebook", "Baidu", "Apple"};
    char parts[3][5], name[32], url[CHANNEL_URL_BLOCK + 32], suffix[32] = "";
    bool numbered = i < CHANNELS_NUMBERED;
    for (uint32_t j = 0; j < 3; j++) path_part(t, i, j, parts[j]);
    if (numbered && random_lo(random_word(CHANNEL_STREAM, 4 * (uint64_t)i + 3), 10) > 0)
        snprintf(suffix, sizeof suffix, "&channel_id=%u", reverse_bits(i));
    struct channel *c = &t->channels[i];
    c->name_len =
        (uint32_t)(numbered ? snprintf(name, sizeof name, "channel-%u", i) : snprintf(name, sizeof name, "%s", hot[i - CHANNELS_NUMBERED]));
    c->url_len =
        (uint32_t)snprintf(url, sizeof url, "https://www.nexmark.com/%s/%s/%s/item.htm?query=1%s", parts[0], parts[1], parts[2], suffix);
    memcpy(c->name, name, c->name_len);
    memcpy(c->url, url, c->url_len);
}

static struct generate_tables tables;

static void build(void)
{
    build_pools(&tables);
    for (uint32_t i = 0; i < CHANNELS; i++) build_channel(&tables, i);
}

const struct generate_tables *generate_tables(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, build);
    return &tables;
}
