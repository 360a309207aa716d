/* samebit_proof.h: check a proof of an inference in any C or C++ program: the public face of the library samebit_proof.
 *
 *      cc program.c $(pkg-config --cflags --libs samebit_proof)
 *
 * The library needs no node, no database and no network. What a proof is: docs/spec/inference-proof.md; where it comes from: the node's
 * samebit_getInferenceProof, member "proof". All functions are safe from any thread and for any bytes. */
#ifndef SB_CONSENSUS_SAMEBIT_PROOF_H
#define SB_CONSENSUS_SAMEBIT_PROOF_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define SAMEBIT_API __attribute__((visibility("default")))
#else
#define SAMEBIT_API
#endif

/* What the caller believes already. */
enum samebit_trust_kind {
    SAMEBIT_TRUST_BLOCK = 1, /* hash: id of the very block that the proof is about */
    SAMEBIT_TRUST_SET = 2, /* hash: of the validator set of that block's height (validatorsHash) */
    /* hash: id of an earlier block, given with light_block; the time, the period and the drift below count */
    SAMEBIT_TRUST_EARLIER = 3,
};

struct samebit_trust {
    enum samebit_trust_kind kind;
    uint64_t chain_id;
    uint8_t genesis_hash[32]; /* of the genesis Ethereum header */
    uint8_t hash[32];
    const uint8_t *light_block; /* EARLIER: as from samebit_getLightBlock */
    size_t light_block_bytes;
    uint64_t now_ms;             /* EARLIER: Unix time */
    uint64_t trusting_period_ms; /* EARLIER: > 0, below the unbonding time */
    uint64_t clock_drift_ms;     /* EARLIER */
};

/* What is proven. Hashes are Keccak-256. */
struct samebit_inference {
    uint64_t height, time_ms; /* of the block */
    uint8_t block_id[32];
    uint8_t block_hash[32]; /* of the Ethereum header */
    uint8_t tx_hash[32];
    uint32_t index; /* of the inference in the transaction */
    uint8_t caller[20];
    uint8_t model_id[32];
    uint8_t input_hash[32];  /* of the call data */
    uint8_t output_hash[32]; /* of the return data */
};

/* samebit_inference_verify: 0: proven, and *ret_inference is filled in. 1: not proven. 2: trust is no trust (unknown kind, a light block
 * that is malformed or not the one that hash names, no period). 3: out of memory. *ret_reason, which may be NULL, is a sentence in every
 * case, static. */
SAMEBIT_API int samebit_inference_verify(struct samebit_inference *ret_inference,
                                         const char **ret_reason, const struct samebit_trust *trust,
                                         const uint8_t *proof, size_t proof_bytes);

#ifdef __cplusplus
}
#endif

#endif
