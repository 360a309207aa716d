/* bn254.c: ECADD, ECMUL and ECPAIRING, addresses 6 to 8 (EIP-196, EIP-197; Istanbul's prices EIP-1108).
 *
 *                 input, zeros where it is short       output                        Byzantium                from Istanbul
 *     ECADD       point 64 | point 64                  point 64                      500                      150
 *     ECMUL       point 64 | scalar 32                 point 64                      40,000                   6,000
 *     ECPAIRING   k times point 64 | point 128         word 1 or 0                   100,000 + 80,000 k       45,000 + 34,000 k
 *
 * Bytes after the input of the first two are ignored; an input of the third that is no whole number of pairs fails, as do numbers not
 * below p and points not in their group. */
#include "base/crypto/pairing/bn254.h"
#include "vm/precompile/functions.h"

struct price {
    uint32_t add, mul, pairing, pairing_pair;
};

static const struct price k_byzantium = {500, 40000, 100000, 80000};
static const struct price k_istanbul = {150, 6000, 45000, 34000};

static const struct price *price_of(const struct sb_precompile_call *call)
{
    return call->evm->rules->revision >= SB_REV_ISTANBUL ? &k_istanbul : &k_byzantium;
}

static sb_err output_point(struct sb_precompile_result *ret_result,
                           const struct sb_precompile_call *call, const uint8_t *point)
{
    uint8_t *output = sb_arena_dup(call->arena, sb_span(point, SB_BN254_G1_BYTES));
    if (output == NULL) {
        return SB_E_NOMEM;
    }
    ret_result->output = sb_span(output, SB_BN254_G1_BYTES);
    return SB_OK;
}

sb_err sb_precompile_bn254_add(struct sb_precompile_result *ret_result,
                               const struct sb_precompile_call *call)
{
    uint8_t in[2 * SB_BN254_G1_BYTES], sum[SB_BN254_G1_BYTES];
    if (!sb_precompile_pay(ret_result, call, price_of(call)->add)) {
        return SB_OK;
    }
    sb_precompile_input(in, call->message->input, 0, sizeof in);
    if (!sb_bn254_add(sum, in, in + SB_BN254_G1_BYTES)) {
        return sb_precompile_fail(ret_result, call);
    }
    return output_point(ret_result, call, sum);
}

sb_err sb_precompile_bn254_mul(struct sb_precompile_result *ret_result,
                               const struct sb_precompile_call *call)
{
    uint8_t in[SB_BN254_G1_BYTES + SB_BN254_SCALAR_BYTES], product[SB_BN254_G1_BYTES];
    if (!sb_precompile_pay(ret_result, call, price_of(call)->mul)) {
        return SB_OK;
    }
    sb_precompile_input(in, call->message->input, 0, sizeof in);
    if (!sb_bn254_mul(product, in, in + SB_BN254_G1_BYTES)) {
        return sb_precompile_fail(ret_result, call);
    }
    return output_point(ret_result, call, product);
}

sb_err sb_precompile_bn254_pairing(struct sb_precompile_result *ret_result,
                                   const struct sb_precompile_call *call)
{
    static const uint8_t words[2][32] = {{0}, {[31] = 1}};
    sb_bytes input = call->message->input;
    const struct price *price = price_of(call);
    size_t count = input.len / SB_BN254_PAIR_BYTES;
    if (!sb_precompile_pay(ret_result, call,
                           price->pairing + (uint64_t)price->pairing_pair * count)) {
        return SB_OK;
    }
    bool is_one;
    if (input.len % SB_BN254_PAIR_BYTES != 0 || !sb_bn254_pairing(&is_one, input.data, count)) {
        return sb_precompile_fail(ret_result, call);
    }
    ret_result->output = sb_span(words[is_one], sizeof words[is_one]);
    return SB_OK;
}
