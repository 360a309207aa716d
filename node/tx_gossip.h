/* tx_gossip.h: transactions on their way between nodes: the TX channel (docs/spec/gossip.md).
 *
 *      peer --message--> queue --> worker: seen? --> mempool --became pending--> peers that have not seen it
 *                                  bad signature, no transaction: an offence
 *      RPC --------------------------------------> mempool --became pending--> peers
 *
 * A message is rlp([raw transaction, ...]). What became pending goes out at once, in the thread that made it so; more that comes within
 * SB_TX_GOSSIP_FLUSH_MS joins the next message, so that a flood costs few messages and a single transaction no time. A peer that
 * connects is told of what is pending.
 *
 * Who has seen what is kept by transaction in a ring of SB_TX_GOSSIP_SEEN_MAX; a transaction that is forgotten may be sent, and checked,
 * once more. Received messages wait in SB_TX_GOSSIP_QUEUE_BYTES_MAX a peer. A refusal that the peer could not know of (nonce, funds,
 * a full pool) is no offence, but SB_TX_GOSSIP_REFUSALS_MAX of them in a row are: they cost signature checks.
 *
 * Any thread may call any function, but new, start and free. */
#ifndef SB_NODE_TX_GOSSIP_H
#define SB_NODE_TX_GOSSIP_H

#include "node/mempool.h"
#include "node/p2p/channel.h"

#define SB_TX_GOSSIP_PEERS_MAX       256
#define SB_TX_GOSSIP_SEEN_MAX        16384
#define SB_TX_GOSSIP_QUEUE_BYTES_MAX ((size_t)1 << 20)
#define SB_TX_GOSSIP_FLUSH_MS        4
#define SB_TX_GOSSIP_REFUSALS_MAX    512
/* Transactions of a peer that the pool may refuse: so many a second, and at once. Beyond that they are dropped unchecked. */
#define SB_TX_GOSSIP_REFUSED_PER_S 1000
#define SB_TX_GOSSIP_REFUSED_BURST 4096

struct sb_tx_gossip_options {
    struct sb_mempool *
        mempool; /* borrowed; becomes a subscriber of it, so it must be stopped before the gossip is freed */
    uint64_t seed; /* chooses buckets; random, so that nobody can aim at one */
    void *ctx;
    bool (*send)(void *ctx, sb_peer peer, sb_bytes message);
    void (*report)(void *ctx, sb_peer peer, enum sb_offence offence, const char *why);
    /* useful: a transaction of this peer was new to the pool. May be NULL. */
    void (*useful)(void *ctx, sb_peer peer);
    /* resume: a peer whose message was refused has room again. */
    void (*resume)(void *ctx, sb_peer peer);
};

struct sb_tx_gossip_counters {
    uint64_t received; /* transactions in messages of peers */
    uint64_t known;    /* of them seen before, dropped unchecked */
    uint64_t refused;  /* of them refused by the pool */
    uint64_t dropped;  /* of them dropped unchecked, since too many of their peer were refused */
    uint64_t sent;     /* transactions sent, once for each peer */
    uint64_t sent_messages;
};

struct sb_tx_gossip;

sb_err sb_tx_gossip_new(struct sb_tx_gossip **ret_gossip,
                        const struct sb_tx_gossip_options *options,
                        struct sb_diag *diag) SB_MUST_USE;
/* sb_tx_gossip_start: run the worker. */
sb_err sb_tx_gossip_start(struct sb_tx_gossip *gossip, struct sb_diag *diag) SB_MUST_USE;
/* sb_tx_gossip_stop: end the worker; nothing is sent any more. May be called more than once. */
void sb_tx_gossip_stop(struct sb_tx_gossip *gossip);
void sb_tx_gossip_free(struct sb_tx_gossip *gossip);

void sb_tx_gossip_peer_up(struct sb_tx_gossip *gossip, sb_peer id);
void sb_tx_gossip_peer_down(struct sb_tx_gossip *gossip, sb_peer id);
/* sb_tx_gossip_receive: a message on TX (copied). false: no room; the peer is resumed later. */
bool sb_tx_gossip_receive(struct sb_tx_gossip *gossip, sb_peer id, sb_bytes message);
struct sb_tx_gossip_counters sb_tx_gossip_counters(struct sb_tx_gossip *gossip);

#endif
