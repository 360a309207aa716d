/* builder.h: make the next block out of the pool.
 *
 *      draft: time, last commit, late precommits; pending evidence  ---------------------------------------------+
 *      head, time --> header fields --> executor: best tip first, nonce order --> roots --> Ethereum block --> consensus block
 *
 * The builder stops at the gas limit, at the largest block size, or after its time is used up (0.5 s by default); a transaction that
 * proves not to be executable is dropped from the pool. It trusts nothing that the pool believes: the executor judges each
 * transaction on the state that is really there. The result has not been voted on: the driver executes it again as a validator does. */
#ifndef SB_NODE_BUILDER_H
#define SB_NODE_BUILDER_H

#include "node/application.h"
#include "node/chain.h"
#include "node/mempool.h"

#define SB_BUILDER_TIME_MS_DEFAULT 500

struct sb_builder_options {
    uint64_t (*monotonic_ms)(void *ctx); /* bounds the building time; NULL: no time limit */
    void *monotonic_ctx;
    uint64_t build_ms_max; /* 0 takes the default */
};

/* A block ready to be proposed; everything lives in the arena. */
struct sb_built_block {
    sb_bytes encoded; /* rlp of the consensus block */
    sb_hash block_id;
    size_t tx_count;
    uint64_t gas_used;
};

/* sb_builder_build: the child of the chain's head, by the draft, on the loop's thread. The draft's randomness proof must be valid.
 * In:  draft of height head + 1 with a time above the head's; of its late precommits those that the block may carry are taken. Of the
 *      pending evidence goes in what fits. Precommits and evidence take at most a quarter of the block each.
 * Returns SB_OK; failures of the environment. An empty pool gives an empty block. */
sb_err sb_builder_build(struct sb_built_block *ret_block, struct sb_arena *arena,
                        struct sb_chain *chain, struct sb_mempool *mempool,
                        const struct sb_builder_options *options,
                        const struct sb_application_draft *draft, struct sb_diag *diag) SB_MUST_USE;

/* sb_builder_pending: the block that would come next, for the tag `pending`: header (state root and receipts root zero) and the pending
 * transactions in order, up to the gas limit by their own limits, not executed. One object as from sb_chain_block, to be released with
 * sb_chain_block_release. Any thread. time_ms: now. */
sb_err sb_builder_pending(const struct sb_rpc_block **ret_block, struct sb_chain *chain,
                          struct sb_mempool *mempool, uint64_t time_ms) SB_MUST_USE;

#endif
