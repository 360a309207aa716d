/* ed25519.c: Ed25519 (0x5b05): signature check by the chain's one rule (base/crypto/ed25519.h). docs/spec/precompiles.md section 6. */
#include "base/crypto/ed25519.h"

#include "vm/precompile/native.h"

/* 42 us measured for libsodium's verification; the hash of the message comes on top. */
#define VERIFY_GAS       4500
#define MESSAGE_WORD_GAS 12

/* verify(bytes32 publicKey, bytes32 r, bytes32 s, bytes message): bool */
static sb_err verify(struct native *n)
{
    sb_hash public_key;
    sb_hash half;
    uint8_t signature[SB_ED25519_SIGNATURE_BYTES];
    sb_bytes message;
    if (sb_abi_read_word(&public_key, n->args, 0) != SB_OK ||
        sb_abi_read_word(&half, n->args, 1) != SB_OK) {
        return native_bad_call(n);
    }
    memcpy(signature, half.b, sizeof half.b);
    if (sb_abi_read_word(&half, n->args, 2) != SB_OK ||
        sb_abi_read_bytes(&message, n->args, 3, SIZE_MAX) != SB_OK) {
        return native_bad_call(n);
    }
    memcpy(signature + sizeof half.b, half.b, sizeof half.b);
    if (!native_charge(n, VERIFY_GAS + MESSAGE_WORD_GAS * sb_precompile_words(message.len))) {
        return SB_OK;
    }
    bool valid = sb_ed25519_verify(signature, message, public_key.b);
    sb_u256 word = sb_u256_from_u64(valid ? 1 : 0);
    return native_return_u256(n, &word);
}

sb_err sb_precompile_ed25519(struct sb_precompile_result *ret_result,
                             const struct sb_precompile_call *call)
{
    static const struct native_function functions[] = {
#define SB_NATIVE_ED25519(selector, signature, function) {selector, function},
#include "vm/precompile/native_functions.def"
    };
    return native_dispatch(ret_result, call, functions, 1);
}
