/* signer.c: the key and its journal in this process; see signer.h. */
#include "node/signer.h"

#include "base/crypto/ecvrf.h"

struct sb_journal_place sb_signing_place(const struct sb_bft_message *message)
{
    if (message->is_proposal) {
        return (struct sb_journal_place){.height = message->as.proposal.height,
                                         .round = (uint32_t)message->as.proposal.round,
                                         .step = SB_JOURNAL_PROPOSAL};
    }
    return (struct sb_journal_place){.height = message->as.vote.height,
                                     .round = (uint32_t)message->as.vote.round,
                                     .step = message->as.vote.type == SB_VOTE_PREVOTE
                                                 ? SB_JOURNAL_PREVOTE
                                                 : SB_JOURNAL_PRECOMMIT};
}

size_t sb_signing_bytes(uint8_t ret[SB_SIGN_BYTES_MAX], const struct sb_bft_message *message,
                        const struct sb_chain_domain *domain)
{
    return message->is_proposal ? sb_proposal_sign_bytes(ret, domain, &message->as.proposal)
                                : sb_vote_sign_bytes(ret, domain, &message->as.vote);
}

static sb_err sign(void *ctx, struct sb_signature *ret_signature,
                   const struct sb_bft_message *message, const struct sb_chain_domain *domain,
                   struct sb_diag *diag)
{
    const struct sb_local_signer *local = ctx;
    struct sb_journal_place place = sb_signing_place(message);
    uint8_t memory[SB_SIGN_BYTES_MAX];
    sb_bytes bytes = sb_span(memory, sb_signing_bytes(memory, message, domain));
    struct sb_signature signature = {.len = SB_ED25519_SIGNATURE_BYTES};
    sb_err err = sb_journal_may_sign(signature.bytes, local->journal, &place, bytes, diag);
    if (err == SB_E_ARG) {
        return SB_E_REFUSED;
    }
    if (err == SB_OK) {
        sb_ed25519_sign(signature.bytes, local->secret, bytes);
        err = sb_journal_signed(local->journal, &place, bytes, signature.bytes);
        if (err != SB_OK) {
            return sb_fail(diag, err, "the journal cannot be written: %s", sb_err_text(err));
        }
    } else if (err != SB_E_EXISTS) {
        return err;
    }
    *ret_signature = signature;
    return SB_OK;
}

static sb_err prove(void *ctx, uint8_t ret_proof[SB_RANDOMNESS_PROOF_BYTES],
                    const struct sb_randomness_input *input, const struct sb_chain_domain *domain,
                    struct sb_diag *diag)
{
    const struct sb_local_signer *local = ctx;
    uint8_t alpha[SB_SIGN_BYTES_MAX];
    size_t len = sb_randomness_alpha(alpha, domain, input);
    return sb_ecvrf_prove(ret_proof, local->secret, sb_span(alpha, len))
               ? SB_OK
               : sb_fail(diag, SB_E_REFUSED, "the key gives no proof of randomness");
}

struct sb_signer sb_local_signer(struct sb_local_signer *local)
{
    return (struct sb_signer){.ctx = local, .sign = sign, .prove = prove};
}
