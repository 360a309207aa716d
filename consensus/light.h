/* light.h: light-client verification: is a block final, judged by headers, sets and commits alone (docs/spec/light-client.md)?
 *
 *                       trusted block: height, time, next validators
 *          height - 1            |             height + 1                         any height above
 *        <---------------------- + ---------------------->                       ------------------->
 *        backwards: the hash     |  adjacent: the set is the announced one,      skipping: more than a third (trust level) of the
 *        that it names           |  more than 2/3 of it signed                   announced set signed, and more than 2/3 of its own
 *
 * The decision knows no encoding: hashes, sign bytes and signatures come from a table (struct sb_light_codec), so that public vectors in
 * another chain's encoding drive the same code. sb_light_codec_chain is this chain's table.
 *
 * Pure: the time now is an argument. Times, period and drift are in one unit, the codec's (milliseconds on this chain). Checks are made in
 * the order of light.def; the first that fails is the reason. Nothing is allocated. */
#ifndef SB_CONSENSUS_LIGHT_H
#define SB_CONSENSUS_LIGHT_H

#include "base/types/consensus.h"

/* Longest sign bytes of any codec. */
#define SB_LIGHT_SIGN_BYTES_MAX 512

enum sb_light_verdict {
    SB_LIGHT_SUCCESS,
    SB_LIGHT_NOT_ENOUGH_TRUST, /* skipping too far: try a height between */
    SB_LIGHT_INVALID,
};

enum sb_light_reason {
#define SB_LIGHT_REASON(name, text) SB_LIGHT_##name,
#include "consensus/light.def"
#undef SB_LIGHT_REASON
    SB_LIGHT_REASON_COUNT
};

struct sb_light_result {
    enum sb_light_verdict verdict;
    enum sb_light_reason
        reason; /* SB_LIGHT_NONE with success, SB_LIGHT_TRUST with not enough trust */
};

/* One entry of a commit. */
struct sb_light_sig {
    enum sb_commit_flag flag;
    sb_addr signer;     /* meaningless when absent */
    sb_bytes signature; /* borrowed; empty when absent */
};

/* A block as a light client sees it: what the header says, the sets that belong to it, and its commit. */
struct sb_light_block {
    uint64_t height;
    uint64_t time;
    sb_hash last_hash; /* of the header before; all zero for none */
    sb_hash validators_hash, next_validators_hash;
    struct sb_validator_set validators, next_validators; /* borrowed; in the codec's order */
    uint64_t commit_height;
    sb_hash commit_hash; /* of the header that was committed */
    const struct sb_light_sig *sigs;
    size_t sig_count;
    const void *detail; /* the codec's: header and commit in full */
};

/* How a chain writes its headers and votes. Functions are pure. */
struct sb_light_codec {
    const void *ctx;
    /* header_hash: of the block's whole header. */
    sb_hash (*header_hash)(const void *ctx, const struct sb_light_block *block);
    sb_hash (*valset_hash)(const void *ctx, const struct sb_validator_set *set);
    /* sign_bytes: what entry `index` of the commit signed; its length. The entry is not absent. */
    size_t (*sign_bytes)(const void *ctx, uint8_t ret[SB_LIGHT_SIGN_BYTES_MAX],
                         const struct sb_light_block *block, size_t index);
    bool (*verify_sig)(const void *ctx, const struct sb_pubkey *key, sb_bytes message,
                       sb_bytes signature);
};

struct sb_light_options {
    uint64_t trusting_period; /* > 0 */
    uint64_t clock_drift;
    uint32_t trust_numerator, trust_denominator; /* trust level, 1/3 to 1 */
};

/* What is kept of a trusted block. */
struct sb_light_trust {
    uint64_t height;
    uint64_t time;
    sb_hash last_hash;
    sb_hash next_validators_hash;
    struct sb_validator_set next_validators; /* borrowed */
};

/* sb_light_options_check: SB_E_RANGE for a trust level below 1/3 or above 1, or no trusting period. */
sb_err sb_light_options_check(const struct sb_light_options *options,
                              struct sb_diag *diag) SB_MUST_USE;

/* sb_light_verify: judge a block above the trusted one: adjacent at height + 1, skipping beyond. options were checked. */
struct sb_light_result sb_light_verify(const struct sb_light_codec *codec,
                                       const struct sb_light_options *options,
                                       const struct sb_light_trust *trust,
                                       const struct sb_light_block *block, uint64_t now);

/* sb_light_verify_backwards: judge the header right below the trusted one, by the hash that the trusted one names. The block's commit and
 * sets are not looked at: of what follows from it, only the header is trusted. The trusting period counts here, too. */
struct sb_light_result sb_light_verify_backwards(const struct sb_light_codec *codec,
                                                 const struct sb_light_options *options,
                                                 const struct sb_light_trust *trust,
                                                 const struct sb_light_block *block, uint64_t now);

/* sb_light_trust_of: what to keep of a block that was verified (or that a person chose to trust). Borrows its next set. */
struct sb_light_trust sb_light_trust_of(const struct sb_light_block *block);

/* sb_light_reason_text: the clause of light.def. Static. */
const char *sb_light_reason_text(enum sb_light_reason reason);

/* ---- this chain ---- */

/* The context of the table: borrowed by it. */
struct sb_light_chain {
    struct sb_chain_domain domain;
    struct sb_verifier verifier;
};

/* What sb_light_block.detail points to. */
struct sb_light_source {
    const struct sb_consensus_header *header;
    const struct sb_commit *commit; /* of this header's height */
};

/* sb_light_codec_chain: the table of this chain. chain must outlive it. */
struct sb_light_codec sb_light_codec_chain(const struct sb_light_chain *chain);

/* sb_light_block_make: a light block of this chain from its parts, all borrowed. ret_sigs: room for SB_VALIDATORS_MAX entries, which the
 * block then points to. SB_E_VERSION for a header of a version that is not known, SB_E_ARG for one of another chain, SB_E_SHAPE for a commit with too
 * many entries, or with another number of them than the set has. */
sb_err sb_light_block_make(struct sb_light_block *ret_block, struct sb_light_sig *ret_sigs,
                           const struct sb_light_chain *chain, const struct sb_light_source *source,
                           const struct sb_validator_set *validators,
                           const struct sb_validator_set *next_validators,
                           struct sb_diag *diag) SB_MUST_USE;

#endif
