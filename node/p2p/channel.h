/* channel.h: the channels of a peer connection, from channels.def. */
#ifndef SB_NODE_P2P_CHANNEL_H
#define SB_NODE_P2P_CHANNEL_H

#include "base/util/span.h"

enum sb_channel {
#define SB_CHANNEL(name, id, priority, bytes, rate, byte_rate, text) SB_CHANNEL_##name = id,
#include "node/p2p/channels.def"
#undef SB_CHANNEL
    SB_CHANNEL_COUNT = 10
};

struct sb_channel_spec {
    const char *name; /* "VOTE" */
    uint8_t priority; /* lower is sent first */
    uint32_t message_bytes_max;
    uint32_t messages_per_s;
    uint32_t bytes_per_s;
};
extern const struct sb_channel_spec sb_channels[SB_CHANNEL_COUNT];

/* A connected peer, for as long as it is connected; numbers are never used again in one run of the program. */
typedef uint64_t sb_peer;

/* What a peer did wrong, with the weight in scores. */
enum sb_offence {
    SB_OFFENCE_WASTE = 1,     /* useless, repeated without need */
    SB_OFFENCE_SLOW = 5,      /* asked for something and did not deliver in time */
    SB_OFFENCE_PROTOCOL = 20, /* malformed or out of place */
    SB_OFFENCE_INVALID = 50,  /* a false signature, proof or block */
    SB_OFFENCE_FATAL = 100,   /* ban at once */
};

#endif
