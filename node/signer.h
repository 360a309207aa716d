/* signer.h: what signs proposals and votes, and proves randomness: the node's own key, or a signer process over a local socket.
 *
 *      driver --- message without signature ---> signer --- guard: journal ---> ed25519 ---> signature, or a refusal
 *             --- height, last mixHash --------> signer --- alpha ------------> ecvrf -----> proof, or a refusal
 *
 * A signer never signs two different messages for one (height, round, step): its journal, which lies beside the key, says what was
 * signed. A refusal is an answer, not a failure: the validator stays silent for that step.
 *
 * A proof needs no journal: there is one for a key and an alpha, so two proofs cannot contradict each other, and the signer makes alpha
 * itself of height and hash, so that nothing else can be had from it. */
#ifndef SB_NODE_SIGNER_H
#define SB_NODE_SIGNER_H

#include "consensus/bft.h"
#include "storage/journal.h"

struct sb_signer {
    void *ctx;
    /* The signer keeps its own journal, elsewhere: the driver's journal then holds no signatures. It is synced before each question,
     * and is not compared with our signatures in stored commits. */
    bool keeps_journal;
    /* recall: recovery found in the journal of inputs that this was signed for us; NULL when nobody asks. Whoever signs elsewhere can
     * thereby tell a node that knows its own votes of a height from one that does not. */
    void (*recall)(void *ctx, const struct sb_journal_place *place);
    /* sign: In: message without signature. Out: the signature, durable in the signer's journal before it is returned.
     * Returns SB_OK; SB_E_REFUSED (the guard said no, or a remote signer did not answer; diag says why); another error: the journal
     * failed, the node must stop. */
    sb_err (*sign)(void *ctx, struct sb_signature *ret_signature,
                   const struct sb_bft_message *message, const struct sb_chain_domain *domain,
                   struct sb_diag *diag);
    /* prove: the proof of randomness of a height. SB_OK; SB_E_REFUSED (no answer of a remote signer; diag says why): nothing is proposed
     * in this round. */
    sb_err (*prove)(void *ctx, uint8_t ret_proof[SB_RANDOMNESS_PROOF_BYTES],
                    const struct sb_randomness_input *input, const struct sb_chain_domain *domain,
                    struct sb_diag *diag);
};

/* sb_signing_place: where a message stands in the order in which a validator may sign. */
struct sb_journal_place sb_signing_place(const struct sb_bft_message *message);
/* sb_signing_bytes: what is signed for it; returns the length. */
size_t sb_signing_bytes(uint8_t ret[SB_SIGN_BYTES_MAX], const struct sb_bft_message *message,
                        const struct sb_chain_domain *domain);

/* A key and its journal in this process. secret: ed25519, seed || public key. */
struct sb_local_signer {
    struct sb_journal *journal; /* borrowed */
    uint8_t secret[64];
};
/* sb_local_signer: the table for it; *local must outlive the result. */
struct sb_signer sb_local_signer(struct sb_local_signer *local);

#endif
