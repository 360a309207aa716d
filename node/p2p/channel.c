/* channel.c: the table of channels, from channels.def. */
#include "node/p2p/channel.h"

#include "base/util/assert.h"

const struct sb_channel_spec sb_channels[SB_CHANNEL_COUNT] = {
#define SB_CHANNEL(name_, id, priority_, bytes, rate, byte_rate, text)                             \
    [id] = {.name = #name_,                                                                        \
            .priority = (priority_),                                                               \
            .message_bytes_max = (bytes),                                                          \
            .messages_per_s = (rate),                                                              \
            .bytes_per_s = (byte_rate)},
#include "node/p2p/channels.def"
#undef SB_CHANNEL
};

/* A rate of nothing would stop a channel for ever. */
#define SB_CHANNEL(name, id, priority, bytes, rate, byte_rate, text)                               \
    SB_STATIC_ASSERT((rate) > 0 && (byte_rate) > 0 && (bytes) > 0, #name);
#include "node/p2p/channels.def"
#undef SB_CHANNEL
