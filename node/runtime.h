/* runtime.h: a running node: chain, pool, consensus and peers, on threads of their own.
 *
 *      p2p thread        --message--> inbox ------------> node loop: replica (driver, gossip, sync), timers
 *      (libuv, Noise)    <--sb_p2p_send------------------             application: builder, execution, commit
 *              |                                              ^
 *              +--TX--> worker of tx_gossip --> mempool       +-- wake: a transaction became pending
 *                                                  ^
 *      RPC threads  --sb_mempool_add---------------+   sb_node_chain, sb_node_mempool, sb_node_status
 *
 * Pace: SB_PACE_INSTANT makes a block as soon as a transaction can go into one, and none without, while the set is this one validator;
 * SB_PACE_STEADY makes one each interval, empty or not. Time between two blocks is at least the chain's minBlockIntervalMs, except in
 * INSTANT.
 *
 * A node that has committed halt_height, or that does not know the rules of the next height, has halted: it takes no part any more, and
 * says so once (on_halted). A node that cannot go on - disk, divergence - has failed (on_failed). Both answer questions until they are
 * stopped. */
#ifndef SB_NODE_RUNTIME_H
#define SB_NODE_RUNTIME_H

#include "node/chain_app.h"
#include "node/metrics.h"
#include "node/p2p/p2p.h"
#include "node/replica.h"
#include "node/tx_gossip.h"

struct sb_node_options {
    const char *db_dir;
    const char *journal_dir;
    const struct sb_genesis *genesis; /* borrowed for the life of the node */
    struct sb_inference *inference;   /* borrowed, may be NULL */
    const struct sb_logger *log;      /* borrowed, may be NULL */
    bool create;                      /* new chain: the folders may be empty */
    bool new_key;                     /* new validator key: the journal may be created */
    /* The database was lost, or an older copy was put back: make it if there is none, and get from peers what the journal saw committed
     * (driver.h, may_resync). Needs p2p. */
    bool resync;
    uint8_t validator_secret[64]; /* ed25519: seed || public key, copied */
    /* A signer process holds the key (remote_signer.h); NULL or "": validator_secret signs. With it, journal_dir holds no signatures,
     * and is made when it is not there. */
    const char *signer_socket;
    uint64_t signer_timeout_ms;
    enum sb_pace pace;
    uint64_t interval_ms; /* STEADY; 0 takes minBlockIntervalMs */
    bool no_look_ahead;   /* lookahead.h; there is none with INSTANT, or without inference */
    uint64_t halt_height; /* 0: never */
    uint64_t stall_ms;    /* as in sb_metrics_options */
    struct sb_bft_timeouts timeouts; /* all zero: sb_bft_timeouts_default */
    const struct sb_p2p_options
        *p2p; /* NULL: no peers. Used during new; domain, callbacks and log are the node's */
    size_t store_cache_bytes;
    uint64_t history_blocks;
    /* Snapshots for others and pruning (snap_server.h); NULL: neither, and questions about snapshots are not answered. */
    const char *snapshots_dir;
    uint64_t snapshot_interval, snapshot_keep, prune_blocks;
    struct sb_mempool_options mempool;
    /* Called once, from the loop's thread. May be NULL. */
    void (*on_failed)(void *ctx, const char *message);
    void (*on_halted)(void *ctx, const char *reason);
    void *ctx;
};

struct sb_node;

/* sb_node_new: open everything and recover: what the journal says was decided is committed when it returns, so that nobody sees a chain
 * without it. The threads do not run yet: subscribers and a server can be attached. */
sb_err sb_node_new(struct sb_node **ret_node, const struct sb_node_options *options,
                   struct sb_diag *diag) SB_MUST_USE;
/* sb_node_start: go on, and let peers in. SB_E_INTERNAL when no thread can be made. */
sb_err sb_node_start(struct sb_node *node, struct sb_diag *diag) SB_MUST_USE;
/* sb_node_stop: leave the peers, finish the work in hand and end the threads. May be called more than once. */
void sb_node_stop(struct sb_node *node);
/* sb_node_free: stop and close everything. */
void sb_node_free(struct sb_node *node);

struct sb_chain *sb_node_chain(struct sb_node *node);
struct sb_mempool *sb_node_mempool(struct sb_node *node);
/* sb_node_p2p: the peers; NULL when there is no network. */
struct sb_p2p *sb_node_p2p(struct sb_node *node);
/* sb_node_metrics: what /metrics and its like are answered from; valid as long as the node. */
struct sb_metrics *sb_node_metrics(struct sb_node *node);
/* sb_node_failed: the node has stopped by itself (on_failed says why). */
bool sb_node_failed(struct sb_node *node);

/* sb_node_submit_evidence: evidence that came another way than from peers; the loop takes it as if it had found it. SB_E_BUSY when more
 * than SB_NODE_EVIDENCE_MAX pieces would wait. Any thread. */
#define SB_NODE_EVIDENCE_MAX 1024
sb_err sb_node_submit_evidence(struct sb_node *node, const struct sb_evidence *list,
                               size_t count) SB_MUST_USE;

/* Where the node stands, as of the last thing it did. Any thread. */
struct sb_node_status {
    struct sb_replica_status replica;
    struct sb_chain_app_counters app;
    struct sb_tx_gossip_counters txs;
    uint64_t transactions; /* in blocks that were committed since the start */
    size_t peer_count;
};
struct sb_node_status sb_node_status(struct sb_node *node);

#endif
