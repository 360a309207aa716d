/* classic.c: the four precompiles of Frontier: ECRECOVER, SHA256, RIPEMD160, identity (Yellow Paper, appendix E). */
#include "base/crypto/hash.h"
#include "base/crypto/secp256k1.h"
#include "vm/precompile/functions.h"

#define GAS_ECRECOVER      3000u
#define GAS_SHA256         60u
#define GAS_SHA256_WORD    12u
#define GAS_RIPEMD160      600u
#define GAS_RIPEMD160_WORD 120u
#define GAS_IDENTITY       15u
#define GAS_IDENTITY_WORD  3u

#define V_OFFSET           27 /* v is 27 or 28, the recovery id 0 or 1 */

/* An output of one word whose last len bytes are given. */
static sb_err output_word(struct sb_precompile_result *result,
                          const struct sb_precompile_call *call, const uint8_t *low_bytes,
                          size_t len)
{
    uint8_t *word = sb_arena_zalloc(call->arena, 32);
    if (word == NULL) {
        return SB_E_NOMEM;
    }
    memcpy(word + 32 - len, low_bytes, len);
    result->output = sb_span(word, 32);
    return SB_OK;
}

/* Input: hash, v, r, s, a word each. A signature of nobody gives empty output, and success. */
sb_err sb_precompile_ecrecover(struct sb_precompile_result *ret_result,
                               const struct sb_precompile_call *call)
{
    static const uint8_t zeros[31];
    if (!sb_precompile_pay(ret_result, call, GAS_ECRECOVER)) {
        return SB_OK;
    }
    uint8_t in[128];
    sb_precompile_input(in, call->message->input, 0, sizeof in);
    const uint8_t *v = in + 32;
    if (memcmp(v, zeros, sizeof zeros) != 0 || (v[31] != V_OFFSET && v[31] != V_OFFSET + 1)) {
        return SB_OK;
    }
    sb_hash hash;
    memcpy(hash.b, in, sizeof hash.b);
    struct sb_secp256k1_signature signature = {.recovery_id = (uint8_t)(v[31] - V_OFFSET)};
    memcpy(signature.rs, in + 64, sizeof signature.rs);
    sb_addr signer;
    if (sb_secp256k1_recover_address(&signer, &signature, &hash) != SB_OK) {
        return SB_OK;
    }
    return output_word(ret_result, call, signer.b, sizeof signer.b);
}

sb_err sb_precompile_sha256(struct sb_precompile_result *ret_result,
                            const struct sb_precompile_call *call)
{
    sb_bytes input = call->message->input;
    if (!sb_precompile_pay(ret_result, call,
                           GAS_SHA256 + GAS_SHA256_WORD * sb_precompile_words(input.len))) {
        return SB_OK;
    }
    sb_hash digest = sb_sha256(input);
    return output_word(ret_result, call, digest.b, sizeof digest.b);
}

sb_err sb_precompile_ripemd160(struct sb_precompile_result *ret_result,
                               const struct sb_precompile_call *call)
{
    sb_bytes input = call->message->input;
    if (!sb_precompile_pay(ret_result, call,
                           GAS_RIPEMD160 + GAS_RIPEMD160_WORD * sb_precompile_words(input.len))) {
        return SB_OK;
    }
    uint8_t digest[20];
    sb_ripemd160(digest, input);
    return output_word(ret_result, call, digest, sizeof digest);
}

sb_err sb_precompile_identity(struct sb_precompile_result *ret_result,
                              const struct sb_precompile_call *call)
{
    sb_bytes input = call->message->input;
    if (!sb_precompile_pay(ret_result, call,
                           GAS_IDENTITY + GAS_IDENTITY_WORD * sb_precompile_words(input.len))) {
        return SB_OK;
    }
    uint8_t *copy = sb_arena_dup(call->arena, input);
    if (copy == NULL) {
        return SB_E_NOMEM;
    }
    ret_result->output = sb_span(copy, input.len);
    return SB_OK;
}
