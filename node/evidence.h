/* evidence.h: proofs that a validator voted twice, or against history, from the moment they are found until a block carries them.
 *
 *      core, peers --add--> pending (durable) --builder--> block --commit of that block, in its batch--> committed (for ever)
 *                             |
 *                             +-- expired: dropped
 *
 * An offence is (height, round, type of vote, validator), or, of a lunatic, the validator: it is punished once, so one piece of evidence for
 * it is kept and a second one ignored, unless the first cannot go into a block any more. Evidence of the height that is being decided waits here until a block may carry it: one of a later height.
 *
 * Pending becomes committed in the one batch that stores the block, so no crash can let an offence be committed twice. Records of what is
 * committed are never dropped: they are smaller than the evidence in the block itself, and whether a block may carry a piece must not
 * depend on when a node last cleaned up. Which evidence is pending is each node's own affair.
 *
 * Bounds: SB_EVIDENCE_POOL_MAX pieces, SB_EVIDENCE_POOL_OFFENCES_MAX of one validator: a validator with more of them is removed by
 * the first. One thread: the loop's. Rules: docs/spec/consensus-block.md, section 6. */
#ifndef SB_NODE_EVIDENCE_H
#define SB_NODE_EVIDENCE_H

#include "base/types/consensus.h"
#include "base/types/params.h"
#include "node/record_list.h"

#define SB_EVIDENCE_POOL_MAX          2048
#define SB_EVIDENCE_POOL_OFFENCES_MAX 16

struct sb_chain;
struct sb_evidence_pool;

/* sb_evidence_pool_new: read what is pending from the chain's database. SB_E_CORRUPT when a record does not decode. */
sb_err sb_evidence_pool_new(struct sb_evidence_pool **ret_pool, struct sb_chain *chain,
                            struct sb_diag *diag) SB_MUST_USE;
void sb_evidence_pool_free(struct sb_evidence_pool *pool);

/* sb_evidence_pool_add: check it against the set of its height, and against history, and keep it durably. SB_OK also for what is known,
 * committed, too old, of a height above head + 1 (lunatics: of a header that history says nothing about yet), or over the bounds: it is
 * ignored. SB_E_REFUSED: it proves nothing (diag says why); whoever sent it is at
 * fault. Other errors are failures of the node. */
sb_err sb_evidence_pool_add(struct sb_evidence_pool *pool, const struct sb_evidence *evidence,
                            struct sb_diag *diag) SB_MUST_USE;

/* sb_evidence_pool_list: what is pending and may go into the next block as far as history is concerned, in order, at most max, copied to the
 * arena. */
sb_err sb_evidence_pool_list(const struct sb_evidence **ret_list, size_t *ret_count,
                             const struct sb_evidence_pool *pool, struct sb_arena *arena,
                             size_t max) SB_MUST_USE;
/* sb_evidence_pool_pick: what a block of this height and time may carry: of lower heights, not expired, encoded no longer than
 * bytes_max together, at most SB_EVIDENCE_MAX; in the order of a block. *ret_bytes: their encoded length. */
sb_err sb_evidence_pool_pick(const struct sb_evidence **ret_list, size_t *ret_count,
                             size_t *ret_bytes, struct sb_evidence_pool *pool,
                             struct sb_arena *arena, uint64_t height, uint64_t time_ms,
                             size_t bytes_max) SB_MUST_USE;

/* sb_evidence_pool_is_committed: a stored block carries evidence of this offence; of a lunatic, one above the common height. */
sb_err sb_evidence_pool_is_committed(bool *ret_committed, const struct sb_evidence_pool *pool,
                                     const struct sb_evidence *evidence) SB_MUST_USE;

/* sb_evidence_pool_prepare_commit: the records that a block's batch changes: its evidence becomes committed, pending ones that no later
 * block may carry go. params: those for the block after it. */
sb_err sb_evidence_pool_prepare_commit(struct sb_record_list *records,
                                       struct sb_evidence_pool *pool,
                                       const struct sb_consensus_block *block,
                                       const struct sb_params *params) SB_MUST_USE;
/* sb_evidence_pool_committed: the batch is durable: the pool follows. */
void sb_evidence_pool_committed(struct sb_evidence_pool *pool);

/* sb_evidence_committed_put: the record that the block of a height carries this evidence. */
sb_err sb_evidence_committed_put(struct sb_record_list *records, const struct sb_evidence *evidence,
                                 uint64_t height) SB_MUST_USE;

size_t sb_evidence_pool_count(const struct sb_evidence_pool *pool);

#endif
