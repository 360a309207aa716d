/* randomness.c: what a proposer's proof is of, and what becomes of it; see consensus.h. Spec: docs/spec/randomness.md.
 *
 *      mixHash(h - 1) --alpha--> proposer's key --pi, in the header--> beta --+
 *            +----------------------------------------------------------------+--keccak--> mixHash(h) */
#include "base/codec/rlp.h"
#include "base/crypto/keccak.h"
#include "base/types/consensus.h"
#include "base/util/assert.h"

#define ALPHA_DOMAIN "samebit/vrf"
#define MIX_DOMAIN   "samebit/randomness"

size_t sb_randomness_alpha(uint8_t ret[SB_SIGN_BYTES_MAX], const struct sb_chain_domain *domain,
                           const struct sb_randomness_input *input)
{
    struct sb_buf out = sb_buf_over(ret, SB_SIGN_BYTES_MAX);
    size_t list = sb_rlp_list_begin(&out);
    sb_rlp_put_bytes(&out, sb_span_str(ALPHA_DOMAIN));
    sb_rlp_put_u64(&out, domain->chain_id);
    sb_rlp_put_hash(&out, &domain->genesis_hash);
    sb_rlp_put_u64(&out, input->height);
    sb_rlp_put_hash(&out, &input->last);
    sb_rlp_list_end(&out, list);
    SB_ASSERT(!out.failed);
    return out.len;
}

sb_hash sb_randomness_mix(const sb_hash *last, sb_bytes beta)
{
    struct sb_keccak k;
    sb_keccak_init(&k);
    sb_keccak_update(&k, sb_span_str(MIX_DOMAIN));
    sb_keccak_update(&k, sb_span(last->b, sizeof last->b));
    sb_keccak_update(&k, beta);
    return sb_keccak_final(&k);
}

sb_err sb_randomness_verify(sb_hash *ret_mix, const struct sb_randomness_input *input,
                            const struct sb_pubkey *proposer, sb_bytes proof,
                            const struct sb_chain_domain *domain,
                            const struct sb_verifier *verifier, struct sb_diag *diag)
{
    uint8_t alpha[SB_SIGN_BYTES_MAX], beta[SB_RANDOMNESS_HASH_BYTES];
    if (proof.len != SB_RANDOMNESS_PROOF_BYTES) {
        return sb_fail(diag, SB_E_SHAPE, "randomness proof: %zu bytes, it has %d", proof.len,
                       SB_RANDOMNESS_PROOF_BYTES);
    }
    sb_bytes text = sb_span(alpha, sb_randomness_alpha(alpha, domain, input));
    SB_ASSERT(verifier->verify_randomness != NULL);
    if (!verifier->verify_randomness(verifier->ctx, beta, proposer, text, proof)) {
        return sb_fail(diag, SB_E_SIGNATURE, "randomness proof: it is not the proposer's");
    }
    *ret_mix = sb_randomness_mix(&input->last, sb_span(beta, sizeof beta));
    return SB_OK;
}
