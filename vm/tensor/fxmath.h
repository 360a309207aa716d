/* fxmath.h: exp, sigmoid, tanh, ln and the square root in integers. Arguments of the first three are Q26, results Q31 (2^31 stands for
 * 1). docs/spec/numerics.md 9.
 *
 * Largest error against the real function: exp 7.9e-8, sigmoid 3.0e-8, tanh 5.9e-8; exp(0) is exactly 1 and exp never increases with a. */
#ifndef SB_VM_TENSOR_FXMATH_H
#define SB_VM_TENSOR_FXMATH_H

#include <stdint.h>

#define SB_FX_ONE_Q31 ((int64_t)1 << 31)

/* sb_fx_to_q26: a distance of raw elements (0 .. 2^32 - 1) in Q26, at most 2^32 - 1 (about 64). mult 1 .. 2^31 - 1, shift 0 .. 62: the
 * product and the half stay below 2^64. (9) */
static inline uint32_t sb_fx_to_q26(uint64_t distance, uint64_t mult, unsigned shift)
{
    uint64_t half = shift == 0 ? 0 : (uint64_t)1 << (shift - 1);
    uint64_t a = (distance * mult + half) >> shift;
    return a > UINT32_MAX ? UINT32_MAX : (uint32_t)a;
}

/* sb_fx_exp_neg: e^-a, a in Q26: 0 .. 2^31. (9.1) */
int64_t sb_fx_exp_neg(uint32_t a);

/* sb_fx_exp_pos: e^a as mantissa * 2^exponent in Q31, exponent 0 .. 93; the mantissa is in [2^30, 2^31]. (9.1) */
struct sb_fx_scaled {
    int64_t mantissa;
    unsigned exponent;
};
struct sb_fx_scaled sb_fx_exp_pos(uint32_t a);

/* sb_fx_sigmoid: 1 / (1 + e^-x) of x = a or -a: 0 .. 2^31 - 1. (9.2) */
int64_t sb_fx_sigmoid(uint32_t a, int negative);

/* sb_fx_tanh: of x = a or -a: -(2^31 - 1) .. 2^31 - 1. (9.3) */
int64_t sb_fx_tanh(uint32_t a, int negative);

/* sb_fx_ln: ln v in Q31, v >= 1: 0 .. 95265423099. Off by less than 4.0e-9, so where v grows it falls by less than
 * SB_FX_LN_SLACK. (9.6) */
#define SB_FX_LN_SLACK 32
int64_t sb_fx_ln(uint64_t v);

/* sb_fx_isqrt: floor of the square root of v < 2^63. (9.7) */
int64_t sb_fx_isqrt(uint64_t v);

#endif
