/* sd59x18.h: signed real numbers with 18 decimals in a 256-bit word, and their functions, the same bits everywhere.
 *
 * A word w (two's complement) stands for w / 10^18. Functions compute with 127 fraction bits and round once at the end, half up
 * (toward plus infinity). The algorithms below are the specification to the last bit (docs/spec/precompiles.md section 5): two
 * implementations that are merely accurate would fork the chain. SB_E_RANGE: outside the domain, or the result does not fit. */
#ifndef SB_BASE_NUM_SD59X18_H
#define SB_BASE_NUM_SD59X18_H

#include "base/num/u256.h"
#include "base/util/err.h"

#define SB_SD_ONE UINT64_C(1000000000000000000)

/* sb_sd_mul: x * y / 10^18, the exact product rounded once. sb_sd_div: x * 10^18 / y likewise; y = 0 is SB_E_RANGE. */
sb_err sb_sd_mul(sb_u256 *ret, const sb_u256 *x, const sb_u256 *y) SB_MUST_USE;
sb_err sb_sd_div(sb_u256 *ret, const sb_u256 *x, const sb_u256 *y) SB_MUST_USE;
/* An inner product: exact sums of exact products, rounded once at the end, so that the order of the terms does not matter.
 * result: SB_E_RANGE when it does not fit. Fewer than 2^64 terms. */
struct sb_sd_dot {
    uint64_t positive[9];
    uint64_t negative[9];
};
void sb_sd_dot_init(struct sb_sd_dot *dot);
void sb_sd_dot_add(struct sb_sd_dot *dot, const sb_u256 *x, const sb_u256 *y);
sb_err sb_sd_dot_result(sb_u256 *ret, const struct sb_sd_dot *dot) SB_MUST_USE;

/* sb_sd_sqrt: floor of the exact root; x >= 0 and below 2^195 (so that x * 10^18 fits a word). */
sb_err sb_sd_sqrt(sb_u256 *ret, const sb_u256 *x) SB_MUST_USE;
/* sb_sd_exp: e^x for x < 136; 0 below -42. sb_sd_exp2: 2^x for x < 196; 0 below -61. Error: 1 unit or 2^-110 relative. */
sb_err sb_sd_exp(sb_u256 *ret, const sb_u256 *x) SB_MUST_USE;
sb_err sb_sd_exp2(sb_u256 *ret, const sb_u256 *x) SB_MUST_USE;
/* sb_sd_ln, sb_sd_log2: x > 0. Error: 1 unit. */
sb_err sb_sd_ln(sb_u256 *ret, const sb_u256 *x) SB_MUST_USE;
sb_err sb_sd_log2(sb_u256 *ret, const sb_u256 *x) SB_MUST_USE;
/* sb_sd_pow: x^y = 2^(y * log2 x) for x > 0 and |y| < 2^127 units; 0^0 = 1, 0^y = 0 for y > 0. Relative error (|y| + 1) * 2^-100. */
sb_err sb_sd_pow(sb_u256 *ret, const sb_u256 *x, const sb_u256 *y) SB_MUST_USE;
/* sb_sd_sigmoid, sb_sd_tanh: any x. Error: 1 unit. */
sb_u256 sb_sd_sigmoid(const sb_u256 *x);
sb_u256 sb_sd_tanh(const sb_u256 *x);

/* sb_sd_isqrt: floor of the square root of a 256-bit number. */
sb_u256 sb_sd_isqrt(const sb_u256 *a);

#endif
