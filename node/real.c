/* real.c: see real.h. A finite double is m * 2^e with |m| < 2^53; m * 10^18 has 113 bits, so the only rounding is the final shift. */
#include "node/real.h"

#include <math.h>
#include <stdio.h>

#include "base/num/sd59x18.h"

#define MANTISSA_BITS 53
#define PRODUCT_BITS  113
#define WORD_BITS     256

sb_err sb_real_from_double(sb_u256 *ret_real, double x)
{
    int exponent = 0;
    if (!isfinite(x)) {
        return SB_E_RANGE;
    }
    uint64_t mantissa = (uint64_t)ldexp(frexp(fabs(x), &exponent), MANTISSA_BITS);
    exponent -= MANTISSA_BITS;
    sb_u256 value = sb_u256_from_u64(SB_SD_ONE);
    (void)sb_u256_mul_u64(&value, &value, mantissa);
    bool negative = x < 0;
    if (exponent >= 0) {
        if ((unsigned)exponent + sb_u256_bit_len(&value) >= WORD_BITS) {
            return SB_E_RANGE;
        }
        value = sb_u256_shl(&value, (uint64_t)exponent);
    } else if (-exponent > PRODUCT_BITS + 1) {
        value = sb_u256_zero();
    } else {
        /* Half up: magnitudes of negative numbers round half down. */
        const sb_u256 one = sb_u256_from_u64(1);
        sb_u256 half = sb_u256_shl(&one, (uint64_t)(-exponent - 1));
        if (negative) {
            half = sb_u256_sub(&half, &one);
        }
        value = sb_u256_add(&value, &half);
        value = sb_u256_shr(&value, (uint64_t)-exponent);
    }
    *ret_real = negative ? sb_u256_neg(&value) : value;
    return SB_OK;
}

double sb_real_to_double(const sb_u256 *real)
{
    bool negative = sb_u256_is_negative(real);
    sb_u256 magnitude = negative ? sb_u256_neg(real) : *real;
    double value = 0;
    for (int i = 3; i >= 0; i--) {
        value = value * 0x1p64 + (double)magnitude.w[i];
    }
    value /= 1e18;
    return negative ? -value : value;
}

void sb_real_format(char ret[SB_REAL_TEXT_BYTES], const sb_u256 *real)
{
    bool negative = sb_u256_is_negative(real);
    sb_u256 magnitude = negative ? sb_u256_neg(real) : *real;
    char text[SB_UNITS_TEXT_BYTES];
    sb_units_format(text, &magnitude, SB_ETHER_DECIMALS);
    (void)snprintf(ret, SB_REAL_TEXT_BYTES, "%s%s", negative ? "-" : "", text);
}
