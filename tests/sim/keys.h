/* keys.h: signatures and proofs of the simulator: a keyed hash in the place of ed25519, some hundred times cheaper. Never in a node.
 *
 * A key's bytes are a number; whoever holds a struct sim_key may sign with it. The verifier computes the same hash, so a signature
 * that was not made here does not verify, and only code that is given another's key could forge: adversaries get their own. */
#ifndef SB_TESTS_SIM_KEYS_H
#define SB_TESTS_SIM_KEYS_H

#include "base/types/consensus.h"
#include "consensus/bft.h"

struct sim_key {
    struct sb_pubkey pubkey;
    sb_addr address;
};

struct sim_key sim_key_make(uint64_t number);
/* sim_sign: 64 bytes over the message. */
struct sb_signature sim_sign(const struct sim_key *key, sb_bytes message);
/* sim_sign_message: fill in the signature of a proposal or vote. */
void sim_sign_message(struct sb_bft_message *message, const struct sim_key *key,
                      const struct sb_chain_domain *domain);
void sim_sign_vote(struct sb_vote *vote, const struct sim_key *key,
                   const struct sb_chain_domain *domain);
void sim_sign_proposal(struct sb_proposal *proposal, const struct sim_key *key,
                       const struct sb_chain_domain *domain);
/* sim_prove: a proof of randomness as cheap as the signatures. */
void sim_prove(uint8_t ret_proof[SB_RANDOMNESS_PROOF_BYTES], const struct sim_key *key,
               const struct sb_randomness_input *input, const struct sb_chain_domain *domain);
struct sb_verifier sim_verifier(void);

#endif
