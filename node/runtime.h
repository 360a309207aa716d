/* runtime.h: a running node: chain, pool and driver on one libuv loop in a thread of its own.
 *
 *      sb_node_start --> [loop thread: timers, wake-ups, blocks]         RPC threads: sb_node_chain, sb_node_mempool
 *      sb_node_stop  --> the loop ends after the block in hand
 *
 * Pace: INSTANT makes a block as soon as a transaction can go into one, and none without; INTERVAL makes one each interval_ms, empty or
 * not. Time between two blocks is at least the chain's minBlockIntervalMs, except in INSTANT. */
#ifndef SB_NODE_RUNTIME_H
#define SB_NODE_RUNTIME_H

#include "node/chain.h"
#include "node/mempool.h"

enum sb_node_pace { SB_NODE_PACE_INSTANT, SB_NODE_PACE_INTERVAL };

struct sb_node_options {
    const char *db_dir;
    const char *journal_dir;
    const struct sb_genesis *genesis; /* borrowed for the life of the node */
    struct sb_inference *inference;   /* borrowed, may be NULL */
    const struct sb_logger *log;      /* borrowed, may be NULL */
    bool create;                      /* new chain: the folders may be empty */
    bool new_key;                     /* new validator key: the journal may be created */
    uint8_t validator_secret[64];     /* ed25519: seed || public key, copied */
    enum sb_node_pace pace;
    uint64_t interval_ms; /* INTERVAL; 0 takes minBlockIntervalMs */
    size_t store_cache_bytes;
    uint64_t history_blocks;
    struct sb_mempool_options mempool;
    /* on_failed: the node cannot go on (disk failure, divergence); called once, from the loop's thread. May be NULL. */
    void (*on_failed)(void *ctx, const char *message);
    void *on_failed_ctx;
};

struct sb_node;

/* sb_node_new: open everything and recover; nothing runs yet, so that subscribers and a server can be attached. */
sb_err sb_node_new(struct sb_node **ret_node, const struct sb_node_options *options,
                   struct sb_diag *diag) SB_MUST_USE;
/* sb_node_start: begin to make blocks. SB_E_INTERNAL when no thread can be made. */
sb_err sb_node_start(struct sb_node *node, struct sb_diag *diag) SB_MUST_USE;
/* sb_node_stop: finish the block in hand and end the thread. May be called more than once. */
void sb_node_stop(struct sb_node *node);
/* sb_node_free: stop and close everything. */
void sb_node_free(struct sb_node *node);

struct sb_chain *sb_node_chain(struct sb_node *node);
struct sb_mempool *sb_node_mempool(struct sb_node *node);
/* sb_node_failed: the node has stopped by itself (on_failed says why). */
bool sb_node_failed(struct sb_node *node);

#endif
