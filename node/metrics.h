/* metrics.h: watches the node at work and answers /metrics, /readyz, eth_syncing, samebit_status and samebit_consensusState.
 *
 *      node's loop:  every call into the replica, then sb_metrics_observe --+
 *      chain:        each new head (a subscriber) --------------------------+--> numbers under a lock
 *      journal:      a disk of sb_disk_meter_wrap_take ---------------------+
 *                                                                           |
 *      RPC threads:  sb_metrics_gather, _health, _consensus_state <---------+   + chain, pool, p2p, models asked directly
 *
 * Durations of rounds and steps are told from what sb_metrics_observe sees change, so they are as exact as it is called often. It copies
 * and compares a status; only when somebody waits for a dump of the consensus state it writes one. */
#ifndef SB_NODE_METRICS_H
#define SB_NODE_METRICS_H

#include "node/chain_app.h"
#include "node/mempool.h"
#include "node/p2p/p2p.h"
#include "node/replica.h"
#include "node/tx_gossip.h"
#include "rpc/backend.h"
#include "storage/journal_disk.h"

/* A validator that has not voted for so many heights in a row is not ready. */
#define SB_METRICS_SILENT_HEIGHTS 10

/* ---- the journal's disk, measured ---- */

/* Written by the thread that owns the journal, read by any. */
struct sb_disk_meter;
struct sb_disk_meter *sb_disk_meter_new(void);
/* sb_disk_meter_free: after the journal is closed. NULL is allowed. */
void sb_disk_meter_free(struct sb_disk_meter *meter);
/* sb_disk_meter_wrap: a disk that passes every call on to inner and measures appends and syncs. Takes inner over: closing the result
 * closes it. One journal a meter. */
struct sb_journal_disk sb_disk_meter_wrap_take(struct sb_disk_meter *meter,
                                               const struct sb_journal_disk *inner);

/* ---- the whole ---- */

struct sb_metrics;

/* Everything is borrowed and outlives the metrics; what is NULL gives zeros. */
struct sb_metrics_options {
    struct sb_chain *chain;         /* required */
    struct sb_mempool *mempool;     /* required */
    struct sb_lookahead *lookahead; /* may be NULL */
    struct sb_inference *inference;
    const struct sb_chain_app *app;
    struct sb_disk_meter *journal;
    /* Without a block for so long, beside the chain's least interval, the chain stands still; 0: never. A single validator may make no
     * empty blocks: is_steady says that this one does, if it is this node; others' silence is no sign then. */
    uint64_t stall_ms;
    bool is_steady;
    bool has_validator; /* this node has a validator key */
    sb_addr validator;  /* its address */
    /* wake: call sb_metrics_observe soon, on the loop; from any thread. NULL: the consensus state is as of the last observation. */
    void *wake_ctx;
    void (*wake)(void *ctx);
};

/* sb_metrics_new: subscribes to the chain: it must outlive the making of blocks. SB_E_NOMEM, SB_E_LIMIT (no room for a subscriber). */
sb_err sb_metrics_new(struct sb_metrics **ret_metrics, const struct sb_metrics_options *options,
                      struct sb_diag *diag) SB_MUST_USE;
/* sb_metrics_free: no block is made and no question asked any more. NULL is allowed. */
void sb_metrics_free(struct sb_metrics *metrics);

/* sb_metrics_set_network: the peer network and the gossip of transactions, once they exist; either may be NULL. Before the first
 * question. */
void sb_metrics_set_network(struct sb_metrics *metrics, struct sb_p2p *p2p,
                            struct sb_tx_gossip *tx_gossip);
/* sb_metrics_observe: look at the replica. On its loop, after each call into it; a node without one never calls this. */
void sb_metrics_observe(struct sb_metrics *metrics, const struct sb_replica *replica);
/* sb_metrics_failed, sb_metrics_halted: the node has stopped by itself; it is not ready any more. Any thread. */
void sb_metrics_failed(struct sb_metrics *metrics, const char *why);
void sb_metrics_halted(struct sb_metrics *metrics, const char *why);

/* ---- any thread ---- */

/* sb_metrics_gather: everything but the server's own counters (rpc_*). Lists live in the arena. */
void sb_metrics_gather(struct sb_metrics *metrics, struct sb_arena *arena,
                       struct sb_rpc_metrics *ret);
struct sb_rpc_health sb_metrics_health(struct sb_metrics *metrics);
/* sb_metrics_consensus_state: the value of samebit_consensusState. Waits up to half a second for the loop to look, so not on the server's
 * own. */
sb_err sb_metrics_consensus_state(struct sb_metrics *metrics, struct sb_json *out) SB_MUST_USE;

#endif
