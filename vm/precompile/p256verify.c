/* p256verify.c: P256VERIFY, address 0x100: ECDSA over secp256r1 (EIP-7951).
 *
 *   input, exactly 160 bytes: | hash | r | s | x | y |, a word each
 *   output: the word 1 for a valid signature, nothing otherwise; both are success */
#include "base/crypto/p256.h"
#include "vm/precompile/functions.h"

#define GAS_P256VERIFY 6900u
#define INPUT_BYTES    160

sb_err sb_precompile_p256verify(struct sb_precompile_result *ret_result,
                                const struct sb_precompile_call *call)
{
    static const uint8_t one[32] = {[31] = 1};
    if (!sb_precompile_pay(ret_result, call, GAS_P256VERIFY)) {
        return SB_OK;
    }
    sb_bytes input = call->message->input;
    if (input.len == INPUT_BYTES && sb_p256_verify(input.data, input.data + 32, input.data + 64,
                                                   input.data + 96, input.data + 128)) {
        ret_result->output = sb_span(one, sizeof one);
    }
    return SB_OK;
}
