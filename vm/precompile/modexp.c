/* modexp.c: MODEXP, address 5, with its three prices.
 *
 *   input:  | base length 32 | exponent length 32 | modulus length 32 | base | exponent | modulus |     missing bytes are zero
 *   output: base ^ exponent mod modulus, as long as the modulus
 *
 *   price      multiplication complexity of x = max(base, modulus)       exponent: a bit            divided by    least
 *   EIP-198    x^2; x^2/4 + 96x - 3072; x^2/16 + 480x - 199680           1, 8 a byte past 32        20            0
 *   EIP-2565   ceil(x/8)^2                                               1, 8 a byte past 32        3             200
 *   EIP-7883   16 up to 32 bytes, else 2 * ceil(x/8)^2                   1, 16 a byte past 32       1             500
 *
 * EIP-7823 (Osaka) bounds each length by 1024 bytes. */
#include "base/crypto/modexp.h"
#include "base/num/u256.h"
#include "base/util/checked.h"
#include "vm/precompile/functions.h"

#define HEADER_BYTES          96
#define HEAD_BYTES_MAX        32 /* the part of the exponent whose bits are counted one by one */
#define EIP7823_BYTES_MAX     1024

#define EIP198_DIVISOR        20u
#define EIP2565_DIVISOR       3u
#define EIP2565_GAS_MIN       200u
#define EIP7883_GAS_MIN       500u
#define EIP7883_SMALL_BYTES   32u
#define EIP7883_SMALL         16u
#define EXPONENT_BYTE         8u
#define EXPONENT_BYTE_EIP7883 16u

/* Lengths as the input states them; UINT64_MAX when a word does not fit. */
struct lengths {
    uint64_t base;
    uint64_t exponent;
    uint64_t modulus;
};

static uint64_t length_at(sb_bytes input, size_t offset)
{
    uint8_t word[32];
    sb_precompile_input(word, input, offset, sizeof word);
    sb_u256 value = sb_u256_load_be(word, sizeof word);
    return sb_u256_sat_u64(&value);
}

static sb_u128 complexity_eip198(uint64_t x)
{
    sb_u128 square = (sb_u128)x * x;
    if (x <= 64) {
        return square;
    }
    if (x <= 1024) {
        return square / 4 + (sb_u128)96 * x - 3072;
    }
    return square / 16 + (sb_u128)480 * x - 199680;
}

static sb_u128 complexity(enum sb_revision revision, uint64_t x)
{
    if (revision < SB_REV_BERLIN) {
        return complexity_eip198(x);
    }
    uint64_t words = x / 8 + (x % 8 != 0);
    sb_u128 square = (sb_u128)words * words;
    if (revision < SB_REV_OSAKA) {
        return square;
    }
    return x <= EIP7883_SMALL_BYTES ? EIP7883_SMALL : 2 * square;
}

/* Position of the exponent's highest bit, estimated by its first 32 bytes and its length; at least 1. */
static sb_u128 iterations(enum sb_revision revision, const struct lengths *len, sb_bytes input)
{
    uint8_t head[HEAD_BYTES_MAX];
    size_t head_len = len->exponent < sizeof head ? (size_t)len->exponent : sizeof head;
    size_t offset =
        len->base < SIZE_MAX - HEADER_BYTES ? (size_t)len->base + HEADER_BYTES : SIZE_MAX;
    sb_precompile_input(head, input, offset, head_len);
    sb_u256 value = sb_u256_load_be(head, head_len);
    unsigned bits = sb_u256_bit_len(&value);
    sb_u128 count = bits > 0 ? bits - 1 : 0;
    if (len->exponent > HEAD_BYTES_MAX) {
        unsigned factor = revision >= SB_REV_OSAKA ? EXPONENT_BYTE_EIP7883 : EXPONENT_BYTE;
        count += (sb_u128)(len->exponent - HEAD_BYTES_MAX) * factor;
    }
    return count > 0 ? count : 1;
}

/* UINT64_MAX, which no message can pay, stands for anything over it. */
static uint64_t price(enum sb_revision revision, const struct lengths *len, sb_bytes input)
{
    uint64_t longest = len->base > len->modulus ? len->base : len->modulus;
    sb_u128 cost;
    if (__builtin_mul_overflow(complexity(revision, longest), iterations(revision, len, input),
                               &cost)) {
        return UINT64_MAX;
    }
    uint64_t least = 0;
    if (revision < SB_REV_BERLIN) {
        cost /= EIP198_DIVISOR;
    } else if (revision < SB_REV_OSAKA) {
        cost /= EIP2565_DIVISOR;
        least = EIP2565_GAS_MIN;
    } else {
        least = EIP7883_GAS_MIN;
    }
    if (cost > UINT64_MAX) {
        return UINT64_MAX;
    }
    return cost > least ? (uint64_t)cost : least;
}

/* The operand at offset; what the input lacks is zero. A borrowed span where the input has all of it. */
static sb_err operand(sb_bytes *ret, const struct sb_precompile_call *call, size_t offset,
                      uint64_t len)
{
    if (len > SB_MODEXP_OPERAND_BYTES_MAX) {
        return SB_E_LIMIT;
    }
    sb_bytes part = sb_span_slice(call->message->input, offset, (size_t)len);
    if (part.len < len) {
        uint8_t *padded = sb_arena_zalloc(call->arena, (size_t)len);
        if (padded == NULL) {
            return SB_E_NOMEM;
        }
        sb_copy(padded, part.data, part.len);
        part = sb_span(padded, (size_t)len);
    }
    *ret = part;
    return SB_OK;
}

sb_err sb_precompile_modexp(struct sb_precompile_result *ret_result,
                            const struct sb_precompile_call *call)
{
    sb_bytes input = call->message->input;
    enum sb_revision revision = call->evm->rules->revision;
    const struct lengths len = {.base = length_at(input, 0),
                                .exponent = length_at(input, 32),
                                .modulus = length_at(input, 64)};
    if (revision >= SB_REV_OSAKA &&
        (len.base > EIP7823_BYTES_MAX || len.exponent > EIP7823_BYTES_MAX ||
         len.modulus > EIP7823_BYTES_MAX)) {
        return sb_precompile_fail(ret_result, call);
    }
    if (!sb_precompile_pay(ret_result, call, price(revision, &len, input))) {
        return SB_OK;
    }
    if (len.modulus == 0) {
        return SB_OK; /* also the one case in which a small price allows an exponent of any length */
    }
    sb_bytes base;
    sb_bytes exponent;
    sb_bytes modulus;
    size_t offset = HEADER_BYTES;
    SB_TRY(operand(&base, call, offset, len.base));
    offset += (size_t)len.base;
    SB_TRY(operand(&exponent, call, offset, len.exponent));
    offset += (size_t)len.exponent;
    SB_TRY(operand(&modulus, call, offset, len.modulus));
    uint8_t *power = sb_arena_alloc(call->arena, modulus.len);
    if (power == NULL) {
        return SB_E_NOMEM;
    }
    SB_TRY(sb_modexp(power, base, exponent, modulus));
    ret_result->output = sb_span(power, modulus.len);
    return SB_OK;
}
