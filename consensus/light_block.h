/* light_block.h: a block as it travels to those who check it from outside: header, commit, and the sets that belong to it.
 *
 *      light block = rlp([consensus header, commit for it, validator set, next validator set])        docs/spec/light-client.md, section 5
 *
 * Decoding is strict and bounded, and says nothing about truth: sb_light_block_make and sb_light_verify do. */
#ifndef SB_CONSENSUS_LIGHT_BLOCK_H
#define SB_CONSENSUS_LIGHT_BLOCK_H

#include "base/types/consensus.h"

/* Two sets of 256 validators and a commit of 256 signatures, with keys and signatures of any kind. */
#define SB_LIGHT_BLOCK_BYTES_MAX ((size_t)131072)

struct sb_light_block_parts {
    struct sb_consensus_header header;
    struct sb_commit commit; /* decided this header */
    struct sb_validator_set validators, next_validators;
};

void sb_light_block_encode(struct sb_buf *out, const struct sb_light_block_parts *parts);
/* sb_light_block_decode: lists in the arena. The errors of the decoders of consensus.h. */
sb_err sb_light_block_decode(struct sb_light_block_parts *ret_parts, struct sb_arena *arena,
                             sb_bytes raw, struct sb_diag *diag) SB_MUST_USE;

#endif
