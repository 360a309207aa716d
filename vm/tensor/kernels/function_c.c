/* function_c.c: the reference of the kernels `function`, `exp_sum` and `softmax`; see kernels.def. Spec: docs/spec/numerics.md 9.
 *
 * The division of softmax is a product: with R = floor(2^62 / S), which fits 32 bits since S >= 2^31,
 *
 *     q' = (e * R + 2^45 - 2^31) >> 46     is q or q - 1:   e * R / 2^46 is in (E - 2^-15, E], E = e * 2^16 / S, since e <= 2^31
 *
 * and the remainder tells which. */
#include "base/util/assert.h"
#include "vm/tensor/fxmath.h"
#include "vm/tensor/kernels/functions.h"
#include "vm/tensor/round.h"

/* Values of 2^62 and more stand for "too large": they leave the type of y after any OUT_SHIFT but 31, where 2^31 does. */
static int64_t exp_value(uint32_t a, int negative)
{
    if (negative) {
        return sb_fx_exp_neg(a);
    }
    struct sb_fx_scaled e = sb_fx_exp_pos(a);
    return e.exponent > 31 ? (int64_t)1 << 62 : e.mantissa << e.exponent;
}

#define FUNCTION_LOOP(fn)                                                                          \
    for (size_t i = 0; i < count; i++) {                                                           \
        int64_t v = x[i];                                                                          \
        uint32_t a = sb_fx_to_q26(v < 0 ? (uint64_t)-v : (uint64_t)v, f->mult, f->shift);          \
        int64_t y = sb_round_shr(fn(a, v < 0), f->out_shift);                                      \
        ret_y[i] = (int32_t)sb_clamp_i64(y, f->lo, f->hi);                                         \
    }                                                                                              \
    return

void sb_kernel_function_c(int32_t *ret_y, const int32_t *x, size_t count,
                          const struct sb_function *f)
{
    switch (f->kind) {
    case SB_FUNCTION_EXP:
        FUNCTION_LOOP(exp_value);
    case SB_FUNCTION_SIGMOID:
        FUNCTION_LOOP(sb_fx_sigmoid);
    case SB_FUNCTION_TANH:
        FUNCTION_LOOP(sb_fx_tanh);
    }
    SB_UNREACHABLE();
}

void sb_kernel_exp_sum_c(uint32_t *ret_e, uint64_t *ret_sum, const int32_t *x, size_t count,
                         int32_t max, uint32_t mult, unsigned shift)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t distance = (uint32_t)max - (uint32_t)x[i];
        ret_e[i] = (uint32_t)sb_fx_exp_neg(sb_fx_to_q26(distance, mult, shift));
        sum += ret_e[i];
    }
    *ret_sum = sum;
}

void sb_kernel_softmax_c(uint16_t *ret_y, const uint32_t *e, size_t count, uint64_t sum,
                         uint16_t lo, uint16_t hi)
{
    const uint64_t reciprocal = ((uint64_t)1 << 62) / sum;
    const uint64_t half = sum / 2;
    for (size_t i = 0; i < count; i++) {
        uint64_t q = (e[i] * reciprocal + (((uint64_t)1 << 45) - ((uint64_t)1 << 31))) >> 46;
        uint64_t rest = ((uint64_t)e[i] << 16) + half - q * sum;
        q += rest >= sum ? 1 : 0;
        q = q > hi ? hi : q; /* hi is at most 65535 */
        ret_y[i] = (uint16_t)(q < lo ? lo : q);
    }
}
