/* inference_proof.h: that a model gave an answer in a block of the chain, checked from outside (docs/spec/inference-proof.md, section 3).
 *
 *      trusted: block id, or set, or earlier block
 *         |  light.h                                    proof = rlp([light block, record, [index, count, [sibling, ...]]])
 *      header <-- commit, sets
 *         |  extension_root
 *      path --> record: transaction, caller, model, hashes of input and output
 *
 * Nothing but the proof and what is trusted is needed: no node, no state, no clock. Any bytes are safe to ask about, and no bit of a
 * valid proof can be changed without its being refused. */
#ifndef SB_CONSENSUS_INFERENCE_PROOF_H
#define SB_CONSENSUS_INFERENCE_PROOF_H

#include "base/types/inference_record.h"
#include "consensus/light.h"
#include "consensus/light_block.h"

/* A light block, a record and the longest path. */
#define SB_INFERENCE_PROOF_BYTES_MAX (SB_LIGHT_BLOCK_BYTES_MAX + 2048)

struct sb_inference_proof {
    struct sb_light_block_parts block;
    struct sb_inference_record record;
    struct sb_inference_path path;
};

void sb_inference_proof_encode(struct sb_buf *out, const struct sb_inference_proof *proof);
/* sb_inference_proof_decode: lists in the arena. The errors of the decoders of its parts; says nothing about truth. */
sb_err sb_inference_proof_decode(struct sb_inference_proof *ret_proof, struct sb_arena *arena,
                                 sb_bytes raw, struct sb_diag *diag) SB_MUST_USE;

/* sb_inference_proof_height: height of the block that a proof is about. */
sb_err sb_inference_proof_height(uint64_t *ret_height, sb_bytes raw) SB_MUST_USE;

enum sb_inference_reason {
#define SB_INFERENCE_REASON(name, text) SB_INFERENCE_##name,
#include "consensus/inference_proof.def"
#undef SB_INFERENCE_REASON
    SB_INFERENCE_REASON_COUNT
};

/* What the one who asks believes already: exactly one of the three pointers is set. All are borrowed. */
struct sb_inference_trust {
    struct sb_light_chain chain;
    const sb_hash *block_id;        /* the block itself */
    const sb_hash *validators_hash; /* the set of the block's height */
    const struct sb_light_trust
        *block; /* an earlier block, with what follows; the options were checked */
    struct sb_light_options options;
    uint64_t now_ms;
};

struct sb_inference_verdict {
    enum sb_inference_reason reason;   /* SB_INFERENCE_NONE: proven, and the rest is filled in */
    enum sb_light_reason light_reason; /* with SB_INFERENCE_LIGHT */
    struct sb_consensus_header header;
    sb_hash block_id;
    struct sb_inference_record record;
};

/* sb_inference_proof_verify: judge a proof. SB_OK with a verdict, or SB_E_NOMEM. */
sb_err sb_inference_proof_verify(struct sb_inference_verdict *ret_verdict,
                                 const struct sb_inference_trust *trust,
                                 sb_bytes proof) SB_MUST_USE;

/* sb_inference_reason_text: the clause of inference_proof.def. Static. */
const char *sb_inference_reason_text(enum sb_inference_reason reason);

#endif
