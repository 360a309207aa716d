/* fxmath.c: see fxmath.h. 2^-f on [0, 1] is a polynomial of degree 5 that meets the function exactly at both ends (its coefficients
 * sum to 2^30), so the pieces join without a step. */
#include "vm/tensor/fxmath.h"

#include "base/util/checked.h"

#define Q26_ONE      ((uint64_t)1 << 26)
#define LOG2_E_Q31   3098164009u /* floor(log2(e) * 2^31) */
#define COEFF_COUNT  6
#define EXP_ZERO_MIN 32u /* from this exponent on, e^-a rounds to 0 */

static const int64_t k_exp2_coeffs[COEFF_COUNT] = {2147483648, -1488515590, 515789246,
                                                   -118765909, 19784458,    -2034029};

/* 2^-f for f in Q31, 0 <= f < 1. Every p but the last fits int32, so the lower half of the shifted product is all of it. */
static int64_t exp2_neg_fraction(int64_t f)
{
    int64_t p = k_exp2_coeffs[COEFF_COUNT - 1];
    for (int i = COEFF_COUNT - 2; i >= 0; i--) {
        p = k_exp2_coeffs[i] + (int32_t)(uint32_t)((uint64_t)(p * f) >> 31);
    }
    return p;
}

/* a * log2(e), Q26; below 2^33. */
static uint64_t to_base_2(uint32_t a)
{
    return (uint64_t)a * LOG2_E_Q31 >> 31;
}

int64_t sb_fx_exp_neg(uint32_t a)
{
    uint64_t z = to_base_2(a);
    unsigned n = (unsigned)(z >> 26);
    int64_t p = exp2_neg_fraction((int64_t)((z & (Q26_ONE - 1)) << 5));
    return n >= EXP_ZERO_MIN ? 0 : (p + (((int64_t)1 << n) >> 1)) >> n;
}

struct sb_fx_scaled sb_fx_exp_pos(uint32_t a)
{
    uint64_t z = to_base_2(a);
    uint64_t n = (z + Q26_ONE - 1) >> 26;
    int64_t p = exp2_neg_fraction((int64_t)(((n << 26) - z) << 5));
    return (struct sb_fx_scaled){.mantissa = p, .exponent = (unsigned)n};
}

int64_t sb_fx_sigmoid(uint32_t a, int negative)
{
    int64_t e = sb_fx_exp_neg(a);
    int64_t numerator = negative ? e << 31 : (int64_t)1 << 62;
    int64_t q = numerator / (SB_FX_ONE_Q31 + e);
    return q < SB_FX_ONE_Q31 ? q : SB_FX_ONE_Q31 - 1;
}

int64_t sb_fx_tanh(uint32_t a, int negative)
{
    int64_t e = sb_fx_exp_neg(a > UINT32_MAX / 2 ? UINT32_MAX : 2 * a);
    int64_t q = ((SB_FX_ONE_Q31 - e) << 31) / (SB_FX_ONE_Q31 + e);
    q = q < SB_FX_ONE_Q31 ? q : SB_FX_ONE_Q31 - 1;
    return negative ? -q : q;
}

#define LN_2_Q31   1488522236 /* round(ln 2 * 2^31) */
#define SQRT_2_Q31 3037000500 /* round(sqrt 2 * 2^31) */

/* ln v = e * ln 2 + 2 * (t + t^3/3 + t^5/5 + ...) with v = c * 2^e, c in [sqrt 1/2, sqrt 2], t = (c - 1) / (c + 1). */
int64_t sb_fx_ln(uint64_t v)
{
    static const int64_t k_series[] = {238609294, 306783378, 429496730, 715827883, 2147483648};
    int exponent = 63 - __builtin_clzll(v);
    int64_t c = (int64_t)(exponent < 31 ? v << (31 - exponent) : v >> (exponent - 31));
    int64_t one = SB_FX_ONE_Q31;
    if (c > SQRT_2_Q31) {
        one *= 2;
        exponent++;
    }
    int64_t numerator = (c - one) * SB_FX_ONE_Q31;
    int64_t t = numerator / (c + one) - (numerator % (c + one) < 0 ? 1 : 0);
    int64_t square = t * t >> 31;
    int64_t sum = k_series[0];
    for (int i = 1; i < 5; i++) {
        sum = k_series[i] + (sum * square >> 31);
    }
    return exponent * (int64_t)LN_2_Q31 + 2 * sb_shr_i64(t * sum, 31);
}

/* Three steps of Newton's method on n = v * 2^up in [2^61, 2^63). The start, a line through n, errs by 4.2 % at most, the steps by 8.8e-4,
 * 3.9e-7 and 8e-14; each comes out at or above the root, and the last at most one above its floor. */
int64_t sb_fx_isqrt(uint64_t v)
{
    if (v == 0) {
        return 0;
    }
    unsigned up = (unsigned)(__builtin_clzll(v) - 1) & ~1u;
    uint64_t n = v << up;
    uint64_t root = ((n >> 32) * 965 >> 10) + 1075705577;
    for (int i = 0; i < 3; i++) {
        root = (root + n / root) / 2;
    }
    root -= root * root > n ? 1 : 0;
    return (int64_t)(root >> up / 2);
}
