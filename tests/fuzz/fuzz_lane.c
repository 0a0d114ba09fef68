/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packets of lanes: what reads is written back byte by byte the same. The input is a packet; its number is that which the lane expects when
 * the first byte says so. And as text it is a list of members: what reads has addresses that can be used.
 */
#include <stdlib.h>
#include <string.h>

#include "jobmanager/peer/ensemble.h"
#include "runtime/coord/lane.h"
#include "runtime/net/socket.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool condition)
{
    if (!condition) abort();
}

static void write_back(struct lane_packet *packet, struct lane *lane)
{
    struct weir_bytes message;
    char reason[LANE_REASON_MAX + 1] = "";
    switch (packet->kind) {
    case LANE_OPEN: lane_put_open(lane, &packet->open); return;
    case LANE_ACCEPT: lane_put_accept(lane); return;
    case LANE_DATA:
        while (lane_next(&packet->messages, &message)) (void)lane_put(lane, message);
        return;
    case LANE_BYE:
        memcpy(reason, packet->reason.data, packet->reason.length);
        lane_put_bye(lane, reason);
        return;
    }
}

static void round_trip(const uint8_t *data, size_t size)
{
    struct lane in = {0}, out = {0};
    struct lane_packet packet;
    struct weir_bytes written;
    uint64_t number = 0;
    for (unsigned i = 0; i < 8 && size >= 9; i++) number |= (uint64_t)data[1 + i] << 8 * i;
    in.received = out.sent = number;
    if (!lane_read(&in, bytes_of(data, size), &packet, NULL)) {
        bool text = packet.kind != LANE_BYE || !memchr(packet.reason.data, 0, packet.reason.length);
        must(in.received == number + 1);
        write_back(&packet, &out);
        if (lane_packet(&out, &written) && !packet.messages.broken && text)
            must(written.length == size && !memcmp(written.data, data, size));
    }
    lane_close(&out);
}

static void read_members(const uint8_t *data, size_t size)
{
    struct zab_members members;
    char endpoint[ZAB_ADDRESS_MAX], *text = malloc(size + 1);
    must(text != NULL);
    memcpy(text, data, size);
    text[size] = '\0';
    if (!ensemble_parse(text, 1, &members, NULL)) {
        must(members_find(&members, 1) && members_voters(&members) > 0);
        for (uint32_t i = 0; i < members.n; i++)
            must(!*ensemble_endpoint(members.at[i].address, ENSEMBLE_PEER, endpoint) || !net_endpoint_check(endpoint, NULL));
    }
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 1u << 20) return 0;
    round_trip(data, size);
    read_members(data, size);
    return 0;
}
