/* SPDX-License-Identifier: Apache-2.0 */
#include "taskmanager/worker/channel_faults.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/log.h"

static bool read_fault(const char *text, struct channel_fault *fault, uint32_t *channel)
{
    char kind[8];
    if (sscanf(text, "%7[a-z]:%" SCNu32 ":%" SCNu64, kind, channel, &fault->at) != 3) return false;
    fault->kind = strcmp(kind, "drop") == 0 ? CHANNEL_DROP : CHANNEL_DOUBLE;
    return strcmp(kind, "drop") == 0 || strcmp(kind, "double") == 0;
}

static bool sends(const struct subtask *s, const struct channel *ch)
{
    for (uint32_t e = 0; e < s->n_edges; e++)
        for (uint32_t c = 0; c < s->edges[e].n_channels; c++)
            if (s->edges[e].channels[c] == ch) return true;
    return false;
}

/* The pool of the thread that sends on the channel; NULL: it is another worker's. */
static struct frame_pool *sender_of(struct deployment *d, const struct channel *ch)
{
    for (uint32_t t = 0; t < d->n_threads; t++)
        for (uint32_t i = 0; i < d->threads[t].n_subtasks; i++)
            if (sends(&d->threads[t].subtasks[i], ch)) return &d->threads[t].pool;
    return NULL;
}

void channel_faults_from_environment(struct deployment *d, uint32_t attempt)
{
    static struct channel_fault fault; /* a worker runs one attempt of one job */
    const char *text = getenv("WEIR_TEST_CHANNEL_FAULT"), *only = getenv("WEIR_TEST_CHANNEL_ATTEMPT");
    uint32_t channel;
    if (!text || attempt != (only ? strtoul(only, NULL, 10) : 1)) return;
    if (!read_fault(text, &fault, &channel) || channel >= d->plan->n_channels) {
        log_warn("WEIR_TEST_CHANNEL_FAULT names no fault of a channel", "value=\"%s\"", text);
        return;
    }
    struct channel *ch = d->channels[channel].channel;
    fault.pool = ch ? sender_of(d, ch) : NULL;
    if (fault.pool) ch->fault = &fault;
}
