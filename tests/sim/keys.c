/* keys.c: see keys.h. */
#include "tests/sim/keys.h"

#include <string.h>
#include <xxhash.h>

#include "base/util/endian.h"

#define SIGNATURE_BYTES 64
#define SECRET_SEED     UINT64_C(0x5a17e8c0ffee1234)

struct sim_key sim_key_make(uint64_t number)
{
    uint8_t bytes[32];
    for (uint64_t i = 0; i < 4; i++) {
        le_store64(bytes + 8 * i, XXH3_64bits_withSeed(&number, sizeof number, i));
    }
    struct sim_key key = {.pubkey = sb_pubkey_ed25519(bytes)};
    key.address = sb_pubkey_address(&key.pubkey);
    return key;
}

static void sign_bytes(uint8_t ret[SIGNATURE_BYTES], const struct sb_pubkey *key, sb_bytes message)
{
    XXH128_hash_t hash =
        XXH3_128bits_withSeed(message.data, message.len, le_load64(key->bytes) ^ SECRET_SEED);
    memset(ret, 0, SIGNATURE_BYTES);
    le_store64(ret, hash.low64);
    le_store64(ret + 8, hash.high64);
    le_store64(ret + 16, le_load64(key->bytes + 8)); /* names the key */
    ret[SIGNATURE_BYTES - 1] = 1;
}

struct sb_signature sim_sign(const struct sim_key *key, sb_bytes message)
{
    struct sb_signature signature = {.len = SIGNATURE_BYTES};
    sign_bytes(signature.bytes, &key->pubkey, message);
    return signature;
}

void sim_sign_vote(struct sb_vote *vote, const struct sim_key *key,
                   const struct sb_chain_domain *domain)
{
    uint8_t bytes[SB_SIGN_BYTES_MAX];
    size_t len = sb_vote_sign_bytes(bytes, domain, vote);
    vote->signature = sim_sign(key, sb_span(bytes, len));
}

void sim_sign_proposal(struct sb_proposal *proposal, const struct sim_key *key,
                       const struct sb_chain_domain *domain)
{
    uint8_t bytes[SB_SIGN_BYTES_MAX];
    size_t len = sb_proposal_sign_bytes(bytes, domain, proposal);
    proposal->signature = sim_sign(key, sb_span(bytes, len));
}

void sim_sign_message(struct sb_bft_message *message, const struct sim_key *key,
                      const struct sb_chain_domain *domain)
{
    if (message->is_proposal) {
        sim_sign_proposal(&message->as.proposal, key, domain);
    } else {
        sim_sign_vote(&message->as.vote, key, domain);
    }
}

void sim_prove(uint8_t ret_proof[SB_RANDOMNESS_PROOF_BYTES], const struct sim_key *key,
               const struct sb_randomness_input *input, const struct sb_chain_domain *domain)
{
    uint8_t alpha[SB_SIGN_BYTES_MAX];
    size_t len = sb_randomness_alpha(alpha, domain, input);
    memset(ret_proof, 0, SB_RANDOMNESS_PROOF_BYTES);
    sign_bytes(ret_proof, &key->pubkey, sb_span(alpha, len));
    ret_proof[SB_RANDOMNESS_PROOF_BYTES - 1] = 2;
}

static bool verify(void *ctx, const struct sb_pubkey *key, sb_bytes message, sb_bytes signature)
{
    (void)ctx;
    if (key->type != SB_KEY_ED25519 || key->len != 32 || signature.len != SIGNATURE_BYTES) {
        return false;
    }
    uint8_t expected[SIGNATURE_BYTES];
    sign_bytes(expected, key, message);
    return memcmp(expected, signature.data, SIGNATURE_BYTES) == 0;
}

static bool verify_randomness(void *ctx, uint8_t ret_beta[SB_RANDOMNESS_HASH_BYTES],
                              const struct sb_pubkey *key, sb_bytes alpha, sb_bytes proof)
{
    (void)ctx;
    uint8_t expected[SB_RANDOMNESS_PROOF_BYTES] = {[SB_RANDOMNESS_PROOF_BYTES - 1] = 2};
    sign_bytes(expected, key, alpha);
    if (!sb_span_equal(proof, sb_span(expected, sizeof expected))) {
        return false;
    }
    memcpy(ret_beta, expected, SB_RANDOMNESS_HASH_BYTES);
    return true;
}

struct sb_verifier sim_verifier(void)
{
    return (struct sb_verifier){.verify = verify, .verify_randomness = verify_randomness};
}
