/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/bench/loop/fixed.h"

char loop_letters[POOL_SIZE + COPY_SLACK];
char loop_words[POOL_SIZE + COPY_SLACK];
struct channel loop_channels[N_CHANNELS];

static uint32_t reverse_bits(uint32_t x)
{
    uint32_t r = 0;
    for (int i = 0; i < 32; i++) r |= (x >> i & 1) << (31 - i);
    return r;
}

static void make_channel(uint32_t i)
{
    static const char *const named[] = {"Google", "Facebook", "Baidu", "Apple"};
    char parts[3][5] = {{0}}, name[16], url[CHANNEL_TEXT], suffix[32] = "";
    for (uint64_t j = 0; j < 3; j++) {
        uint64_t x = sm(0x55, 4 * (uint64_t)i + j), length = 3 + lo(x, 2);
        memcpy(parts[j], loop_words + hi(x, POOL_SIZE - length), length);
        for (char *c = parts[j]; *c; c++) *c = *c == ' ' ? '_' : *c;
    }
    if (i < N_NUMBERED) {
        (void)snprintf(name, sizeof name, "channel-%u", i);
    } else {
        (void)snprintf(name, sizeof name, "%s", named[i - N_NUMBERED]);
    }
    if (i < N_NUMBERED && lo(sm(0x55, 4 * (uint64_t)i + 3), 10) > 0)
        (void)snprintf(suffix, sizeof suffix, "&channel_id=%u", reverse_bits(i));
    (void)snprintf(url, sizeof url, "https://www.nexmark.com/%s/%s/%s/item.htm?query=1%s", parts[0], parts[1], parts[2], suffix);

    struct channel *c = &loop_channels[i];
    c->name_length = (uint16_t)strlen(name);
    c->url_length = (uint16_t)strlen(url);
    memcpy(c->text, name, c->name_length);
    memcpy(c->text + c->name_length, url, c->url_length);
}

void loop_fixed_init(void)
{
    static bool made;
    if (made) return;
    for (uint64_t i = 0; i < POOL_SIZE; i++) {
        uint64_t x = sm(0x54, i);
        loop_letters[i] = (char)('a' + hi(sm(0x4C, i), 26));
        loop_words[i] = lo(x, 13) == 0 ? ' ' : (char)('a' + hi(x, 26));
    }
    for (uint32_t i = 0; i < N_CHANNELS; i++) make_channel(i);
    made = true;
}
