/* verifier_ed25519.c: the rules of the chain for signatures and randomness as a struct sb_verifier; see consensus.h. Part of sb_crypto (libsodium). */
#include "base/crypto/ecvrf.h"
#include "base/types/consensus.h"
#include "base/util/assert.h"

SB_STATIC_ASSERT(SB_RANDOMNESS_PROOF_BYTES == SB_ECVRF_PROOF_BYTES, "proof size");
SB_STATIC_ASSERT(SB_RANDOMNESS_HASH_BYTES == SB_ECVRF_HASH_BYTES, "hash size");

static bool verify(void *ctx, const struct sb_pubkey *key, sb_bytes message, sb_bytes signature)
{
    (void)ctx;
    return key->type == SB_KEY_ED25519 && key->len == SB_ED25519_PUBLIC_BYTES &&
           signature.len == SB_ED25519_SIGNATURE_BYTES &&
           sb_ed25519_verify(signature.data, message, key->bytes);
}

static bool verify_randomness(void *ctx, uint8_t ret_beta[SB_RANDOMNESS_HASH_BYTES],
                              const struct sb_pubkey *key, sb_bytes alpha, sb_bytes proof)
{
    (void)ctx;
    return key->type == SB_KEY_ED25519 && key->len == SB_ED25519_PUBLIC_BYTES &&
           proof.len == SB_ECVRF_PROOF_BYTES &&
           sb_ecvrf_verify(ret_beta, key->bytes, alpha, proof.data);
}

struct sb_verifier sb_verifier_ed25519(void)
{
    return (struct sb_verifier){.verify = verify, .verify_randomness = verify_randomness};
}
