/* application.h: what consensus may ask of the chain: a table shaped like ABCI 2.0.
 *
 *      driver, block sync                  struct sb_application                    chain + builder + mempool (node/chain_app.c)
 *        prepare  -------------------->    PrepareProposal                          or the simulator's stub
 *        process  -------------------->    ProcessProposal: executes, gives a verdict
 *        commit_take  ---------------->    FinalizeBlock + Commit, one synced batch
 *        head, rotation, block  ------>    Info, validator updates, stored blocks
 *
 * One thread uses it: the node's loop. Heights: `head` is the last committed one; the next block has head + 1. */
#ifndef SB_NODE_APPLICATION_H
#define SB_NODE_APPLICATION_H

#include "consensus/bft.h"
#include "consensus/proposer.h"

struct sb_application_head {
    uint64_t height;    /* 0: genesis */
    sb_hash block_id;   /* of the consensus block; at height 0 the genesis hash */
    uint64_t time_ms;   /* of its header; at height 0 genesis timestamp * 1000 */
    sb_hash randomness; /* mixHash of the head, which the next block's proof is of */
    /* parameters in force for height + 1 */
    struct sb_bft_timeliness timeliness;
    uint64_t min_block_interval_ms;
    uint64_t block_bytes_max;
};

/* What a proposer adds to the transactions. */
struct sb_application_draft {
    uint64_t height; /* head + 1 */
    uint64_t time_ms;
    sb_addr proposer;
    uint8_t randomness_proof[SB_RANDOMNESS_PROOF_BYTES]; /* of height, by the proposer; verified */
    struct sb_commit last_commit;                        /* of head; all zero at height 1 */
    /* precommits of height - 2 that its commit lacks, ascending by index; the application takes what fits and is allowed */
    const struct sb_vote *late_precommits;
    size_t late_precommit_count;
};

struct sb_application_verdict {
    bool valid;
    /* Not valid, and not invalid either: the block speaks of what this node does not know yet and is still getting. It is judged again
     * later; until then it gets no vote, is not committed, and nobody is at fault. */
    bool undecided;
    /* When invalid: the bytes are not those that the header's hashes name (they do not decode, or a body's hash or root differs), so
     * other bytes of the same block id may be valid: whoever made or sent these bytes is at fault, not the block. */
    bool malformed;
    sb_hash block_id; /* the fields below: when valid */
    uint64_t time_ms;
    sb_addr proposer;
    char reason[256]; /* when not valid */
};

/* An executed block with all that its commit needs; owned by whoever got it. */
struct sb_application_block;

struct sb_application {
    void *ctx;

    struct sb_application_head (*head)(void *ctx);
    const struct sb_chain_domain *(*domain)(void *ctx);
    /* rotation: set and priorities of a height in [head - 1, head + 2] (the two last committed ones for late precommits, the next ones
     * to run), borrowed until the head has moved twice; NULL outside, or below 1. */
    const struct sb_rotation *(*rotation)(void *ctx, uint64_t height);
    /* version_known: this program knows the rules of that height. false: *ret_reason says which version it lacks; the node must stop
     * before it takes part in that height. */
    bool (*version_known)(void *ctx, uint64_t height, char ret_reason[256]);

    /* prepare: an encoded block for head + 1, in the arena. `has_transactions` is false when the pool had nothing to give. */
    sb_err (*prepare)(void *ctx, struct sb_arena *arena, const struct sb_application_draft *draft,
                      sb_bytes *ret_encoded, sb_hash *ret_block_id, bool *ret_has_transactions,
                      struct sb_diag *diag);
    /* process: decode, check and execute a block on the head. SB_OK with a verdict, and *ret_block when it is valid; another result
     * means that the node itself failed and must stop. encoded is copied. */
    sb_err (*process)(void *ctx, sb_bytes encoded, struct sb_application_verdict *ret_verdict,
                      struct sb_application_block **ret_block, struct sb_diag *diag);
    void (*block_free)(void *ctx, struct sb_application_block *block);
    /* commit_take: make an executed block the head, with the commit that decided it. Durable when it returns. Takes block in every case;
     * a failure means that the node must stop. Several blocks may be executed on one head; the others are freed by their owner. */
    sb_err (*commit_take)(void *ctx, struct sb_application_block *block,
                          const struct sb_commit *commit, struct sb_diag *diag);

    /* block: a stored block, encoded, with the commit that decided it, for peers. SB_E_NOT_FOUND: above the head, or pruned. */
    sb_err (*block)(void *ctx, struct sb_arena *arena, uint64_t height, sb_bytes *ret_encoded,
                    struct sb_commit *ret_commit);
    uint64_t (*oldest_block)(
        void *ctx); /* lowest height that `block` can answer; 1 when nothing was pruned */

    /* evidence_add: two votes that conflict, of a height up to head + 1, or a precommit against the chain's history. Kept durably until it
     * is in a block or too old; what is known already, too old or of a later height is ignored. The application knows the sets of all
     * heights, so it checks the signatures: SB_E_REFUSED says that the evidence proves nothing, and whoever sent it is at fault; other
     * results are failures of the node. */
    sb_err (*evidence_add)(void *ctx, const struct sb_evidence *evidence, struct sb_diag *diag);
    /* evidence_pending: what waits for a block, for peers: at most `max`, oldest first, in the arena. */
    sb_err (*evidence_pending)(void *ctx, struct sb_arena *arena, size_t max,
                               const struct sb_evidence **ret_list, size_t *ret_count);
};

#endif
