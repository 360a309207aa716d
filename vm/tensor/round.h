/* round.h: the rounding rules of the engine, docs/spec/numerics.md 3. Each result is defined for the ranges that the verifier
 * proves; nothing here can overflow inside them. */
#ifndef SB_VM_TENSOR_ROUND_H
#define SB_VM_TENSOR_ROUND_H

#include "base/util/checked.h"

/* sb_round_shr: value / 2^shift rounded half up (toward plus infinity). shift 0 .. 62; value + 2^(shift-1) fits int64. (3.1) */
static inline int64_t sb_round_shr(int64_t value, unsigned shift)
{
    return shift == 0 ? value : sb_shr_i64(value + ((int64_t)1 << (shift - 1)), shift);
}

/* sb_clamp_i64: value limited to [lo, hi]. */
static inline int64_t sb_clamp_i64(int64_t value, int64_t lo, int64_t hi)
{
    return value < lo ? lo : value > hi ? hi : value;
}

/* sb_finish: clamp(value + zero_point, lo, hi) for any value: the zero point is added last, where the sum fits the type of y. */
static inline int64_t sb_finish(int64_t value, int32_t zero_point, int64_t lo, int64_t hi)
{
    return sb_clamp_i64(value, lo - zero_point, hi - zero_point) + zero_point;
}

/* sb_requantise: clamp(((acc * mult + 2^(shift-1)) >> shift) + zero_point, lo, hi). mult in [2^30, 2^31), shift in [1, 62]: the product
 * and the half stay below 2^63 for every int32 acc. (3.2) */
static inline int64_t sb_requantise(int32_t acc, int32_t mult, unsigned shift, int32_t zero_point,
                                    int64_t lo, int64_t hi)
{
    return sb_clamp_i64(sb_round_shr((int64_t)acc * mult, shift) + zero_point, lo, hi);
}

/* sb_floor_div: floor(a / b), b > 0. */
static inline int64_t sb_floor_div(int64_t a, int64_t b)
{
    int64_t quotient = a / b;
    return a % b < 0 ? quotient - 1 : quotient;
}

/* sb_round_div: a / b rounded half up = floor((2a + b) / 2b), b > 0. 2|a| + b and 2b fit int64. (3.3) */
static inline int64_t sb_round_div(int64_t a, int64_t b)
{
    return sb_floor_div(2 * a + b, 2 * b);
}

#endif
