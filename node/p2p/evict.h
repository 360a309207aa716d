/* evict.h: who goes when there is no room: for a newcomer, or for messages that are half received. Pure: times and the key are handed in.
 *
 *      candidates  inbound, up, not named by a setting
 *         less     4 groups' oldest peers (the groups by a secret key) ... an attacker cannot know which networks count
 *         less     4 that answer soonest                               ... nor be near everybody
 *         less     4 that brought transactions last, 8 votes and blocks ... nor be useful for nothing
 *         less     the half of the rest that has been connected longest ... nor be early
 *      of the rest: the youngest of the group that has most
 *
 * So a flood from few networks only displaces itself, and from many only what has earned nothing yet. The order is Bitcoin Core's
 * (node/eviction.cpp). Spec: docs/spec/p2p.md 8.1. */
#ifndef SB_NODE_P2P_EVICT_H
#define SB_NODE_P2P_EVICT_H

#include "node/p2p/channel.h"

#define SB_EVICT_KEEP_GROUPS    4
#define SB_EVICT_KEEP_NEAR      4
#define SB_EVICT_KEEP_TXS       4
#define SB_EVICT_KEEP_CONSENSUS 8
#define SB_EVICT_PEERS_MAX      2048

struct sb_evict_peer {
    sb_peer peer;
    uint64_t group; /* of its address */
    uint64_t up_us; /* when it came up */
    uint64_t
        consensus_us; /* when it last brought a vote, proposal, part or block that was news; 0: never */
    uint64_t tx_us;  /* the same of transactions */
    uint32_t rtt_us; /* the least that was measured; UINT32_MAX: none was */
};

/* sb_evict_choose: the peer to disconnect, or 0 when all are protected. Sorts the array. The answer depends on nothing but the
 * candidates, not on their order, and the key. */
sb_peer sb_evict_choose(struct sb_evict_peer *peers, size_t count, uint64_t key);

/* A peer some of whose messages are half received. */
struct sb_evict_holder {
    sb_peer peer;
    size_t bytes;      /* that they take */
    uint64_t since_us; /* when the oldest of them began; UINT64_MAX: there is none */
    bool is_named;     /* persistent or unconditional */
};

/* sb_evict_holder: who pays when they take too much: of those with at least half of an equal share the one whose message is unfinished for the
 * longest time, so that nobody who sends steadily pays for those that began and went silent. Named ones only when there is no other.
 * 0: the list is empty. */
sb_peer sb_evict_holder(const struct sb_evict_holder *holders, size_t count);

#endif
