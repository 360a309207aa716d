/* consensus_parts.h: readers that the consensus forms share (vote.c, commit.c, evidence.c, consensus_block.c); not for use outside base/types. */
#ifndef SB_BASE_TYPES_CONSENSUS_PARTS_H
#define SB_BASE_TYPES_CONSENSUS_PARTS_H

#include "base/codec/rlp.h"
#include "base/types/consensus.h"

/* sb_consensus_read_height: a number from 1 on. sb_consensus_read_round: 0 to SB_ROUND_MAX. SB_E_RANGE outside. */
sb_err sb_consensus_read_height(uint64_t *ret, struct sb_rlp *in) SB_MUST_USE;
sb_err sb_consensus_read_round(int32_t *ret, struct sb_rlp *in) SB_MUST_USE;
/* sb_consensus_read_id: a block id; all zero is SB_E_NON_CANONICAL, since nil is written as the empty string. */
sb_err sb_consensus_read_id(sb_hash *ret, struct sb_rlp *in) SB_MUST_USE;
/* sb_consensus_read_signature: 0 to SB_SIGNATURE_BYTES_MAX bytes. */
sb_err sb_consensus_read_signature(struct sb_signature *ret, struct sb_rlp *in) SB_MUST_USE;

/* The next item of a cursor as one form; sb_x_decode does the same for all of its input. */
sb_err sb_consensus_read_vote(struct sb_vote *ret, struct sb_rlp *in,
                              struct sb_diag *diag) SB_MUST_USE;
sb_err sb_consensus_read_commit(struct sb_commit *ret, struct sb_arena *arena, struct sb_rlp *in,
                                struct sb_diag *diag) SB_MUST_USE;
sb_err sb_consensus_read_header(struct sb_consensus_header *ret, struct sb_rlp *in,
                                struct sb_diag *diag) SB_MUST_USE;
sb_err sb_consensus_read_evidence(struct sb_evidence *ret, struct sb_rlp *in,
                                  struct sb_diag *diag) SB_MUST_USE;

/* sb_consensus_hash_of: keccak256 of what a writer left in buf, which is freed. SB_E_NOMEM when a write failed. */
sb_err sb_consensus_hash_of(sb_hash *ret_hash, struct sb_buf *buf) SB_MUST_USE;

#endif
