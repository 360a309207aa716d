/* function_lanes.h: the kernels `function`, `exp_sum` and `softmax` in lanes of 64 bits, for the levels that have them. The including file
 * defines the lanes (struct-free): vec, LANES, v_load_i32, v_load_u32, v_store_i32, v_store_u16, v_set, v_add, v_sub, v_and, v_xor, v_mul_u32,
 * v_mul_s32, v_srl, v_sll, v_sllv, v_srlv32, v_sllv32, v_negative, v_blend, v_greater (masks are lanes of ones). Everything here is static.
 *
 * A lane holds one value of 32 or 33 bits; products are 32 x 32 -> 64. Names and constants as in docs/spec/numerics.md 9.
 *
 * The divisions of sigmoid and tanh are by d = 2^31 + e, e in [0, 2^31], and follow from Q = floor(2^63 / d):
 *
 *     floor(2^62 / d) = Q >> 1            floor(e * 2^31 / d) = 2^31 - ceil(2^62 / d)            floor((2^31 - e) * 2^31 / d) = Q - 2^31
 *
 * since e * 2^31 = 2^31 * d - 2^62 and (2^31 - e) * 2^31 = 2^63 - 2^31 * d. 2^62 / d is whole only for e = 0 and e = 2^31. Q comes from three Newton
 * steps on Y = 2^62 / d from a line that is off by 1/17 (17^-8 < 2^-32, each step losing less than 2 to rounding), so that r = 2^62 - Y * d is
 * below 2^35, then one exact remainder: off by one at most, which the remainder shows. d = 2^32 counts as 2^32 - 1, with the same Q. */
#ifndef SB_VM_TENSOR_KERNELS_X86_FUNCTION_LANES_H
#define SB_VM_TENSOR_KERNELS_X86_FUNCTION_LANES_H

#include "vm/tensor/fxmath.h"

#define Q26_ONE    ((int64_t)1 << 26)
#define Q31_ONE    ((int64_t)1 << 31)
#define LOG2_E_Q31 3098164009 /* floor(log2(e) * 2^31) */
#define LINE_Q30   3031741621 /* 48/17 */
#define SLOPE_Q30  2021161080 /* 32/17 */

/* 2^-f in Q31, f in Q31 below 1. */
static inline vec exp2_fraction(vec f)
{
    vec p = v_set(-2034029);
    p = v_add(v_srl(v_mul_s32(p, f), 31), v_set(19784458));
    p = v_add(v_srl(v_mul_s32(p, f), 31), v_set(-118765909));
    p = v_add(v_srl(v_mul_s32(p, f), 31), v_set(515789246));
    p = v_add(v_srl(v_mul_s32(p, f), 31), v_set(-1488515590));
    p = v_add(v_srl(v_mul_s32(p, f), 31), v_set(Q31_ONE));
    return v_and(p, v_set(UINT32_MAX));
}

static inline vec exp_neg(vec a)
{
    vec z = v_srl(v_mul_u32(a, v_set(LOG2_E_Q31)), 31);
    vec n = v_srl(z, 26);
    vec p = exp2_fraction(v_sll(v_and(z, v_set(Q26_ONE - 1)), 5));
    vec half = v_srl(v_sllv32(v_set(1), n), 1);
    return v_srlv32(v_add(p, half), n); /* 0 for n of 32 and more */
}

static inline vec exp_pos(vec a)
{
    vec z = v_srl(v_mul_u32(a, v_set(LOG2_E_Q31)), 31);
    vec n = v_srl(v_add(z, v_set(Q26_ONE - 1)), 26);
    vec p = exp2_fraction(v_sll(v_sub(v_sll(n, 26), z), 5));
    return v_blend(v_greater(n, v_set(31)), v_set((int64_t)1 << 62), v_sllv(p, n));
}

/* floor(2^63 / d), d in [2^31, 2^32]. */
static inline vec reciprocal(vec d)
{
    vec m = v_blend(v_greater(d, v_set(UINT32_MAX)), v_set(UINT32_MAX), d);
    vec y = v_sub(v_set(LINE_Q30), v_srl(v_mul_u32(m, v_set(SLOPE_Q30)), 32));
    for (int i = 0; i < 3; i++) {
        vec t = v_srl(v_mul_u32(y, m), 32);
        y = v_srl(v_mul_u32(y, v_sub(v_set(Q31_ONE), t)), 30);
    }
    vec r = v_sub(v_set((int64_t)1 << 62), v_mul_u32(y, m));
    const vec bias = v_set((int64_t)1 << 62);
    vec r4 = v_sub(v_srl(v_add(r, bias), 4), v_set((int64_t)1 << 58));
    vec delta = v_sub(v_srl(v_add(v_mul_s32(r4, v_srl(y, 1)), bias), 56), v_set(64));
    /* rest = 2r - delta * m; delta is above -64 */
    vec product = v_sub(v_mul_u32(v_add(delta, v_set(64)), m), v_sll(m, 6));
    vec rest = v_sub(v_sll(r, 1), product);
    vec low = v_negative(rest); /* -1 where q is one too large */
    vec high = v_greater(rest, v_sub(m, v_set(1)));
    return v_sub(v_add(v_add(v_sll(y, 1), delta), low), high);
}

static inline vec v_min(vec a, vec b)
{
    return v_blend(v_greater(a, b), b, a);
}

static inline vec v_max(vec a, vec b)
{
    return v_blend(v_greater(a, b), a, b);
}

static inline vec sigmoid(vec a, vec negative)
{
    vec e = exp_neg(a);
    vec floor = v_srl(reciprocal(v_add(e, v_set(Q31_ONE))), 1);
    vec whole = v_xor(v_greater(e, v_set(0)), v_greater(e, v_set(Q31_ONE - 1))); /* ones: not */
    vec below = v_add(v_sub(v_set(Q31_ONE), floor), whole);
    return v_blend(negative, below, v_min(floor, v_set(Q31_ONE - 1)));
}

static inline vec tanh_of(vec a, vec negative)
{
    vec e = exp_neg(v_min(v_sll(a, 1), v_set(UINT32_MAX)));
    vec q = v_sub(reciprocal(v_add(e, v_set(Q31_ONE))), v_set(Q31_ONE));
    q = v_min(q, v_set(Q31_ONE - 1));
    return v_sub(v_xor(q, negative), negative);
}

static inline vec exp_any(vec a, vec negative)
{
    return v_blend(negative, exp_neg(a), exp_pos(a));
}

static inline vec to_q26(vec distance, vec mult, vec half, int shift)
{
    return v_min(v_srl(v_add(v_mul_u32(distance, mult), half), shift), v_set(UINT32_MAX));
}

static inline int64_t half_of(unsigned shift)
{
    return shift == 0 ? 0 : (int64_t)1 << (shift - 1);
}

/* The loop of one function; a tail that fills no vector is left to the reference. */
#define FUNCTION_LANES(fn)                                                                         \
    for (; i + LANES <= count; i += LANES) {                                                       \
        vec v = v_load_i32(x + i);                                                                 \
        vec negative = v_negative(v);                                                              \
        vec a = to_q26(v_sub(v_xor(v, negative), negative), mult, half, (int)f->shift);            \
        vec y = v_srl(v_add(fn(a, negative), bias), (int)f->out_shift);                            \
        v_store_i32(ret_y + i, v_min(v_max(v_sub(y, offset), lo), hi));                            \
    }                                                                                              \
    return i

/* How many of the elements were done: whole vectors. */
static inline size_t function_lanes(int32_t *ret_y, const int32_t *x, size_t count,
                                    const struct sb_function *f)
{
    const vec mult = v_set(f->mult);
    const vec half = v_set(half_of(f->shift));
    const vec bias = v_set(((int64_t)1 << 62) + half_of(f->out_shift));
    const vec offset = v_set((int64_t)1 << (62 - f->out_shift));
    const vec lo = v_set(f->lo);
    const vec hi = v_set(f->hi);
    size_t i = 0;
    switch (f->kind) {
    case SB_FUNCTION_EXP:
        FUNCTION_LANES(exp_any);
    case SB_FUNCTION_SIGMOID:
        FUNCTION_LANES(sigmoid);
    case SB_FUNCTION_TANH:
        FUNCTION_LANES(tanh_of);
    }
    return 0;
}

static inline size_t exp_sum_lanes(uint32_t *ret_e, uint64_t *ret_sum, const int32_t *x,
                                   size_t count, int32_t max, uint32_t mult, unsigned shift)
{
    const vec m = v_set(mult);
    const vec half = v_set(half_of(shift));
    const vec top = v_set(max);
    vec sum = v_set(0);
    size_t i = 0;
    for (; i + LANES <= count; i += LANES) {
        vec e = exp_neg(to_q26(v_sub(top, v_load_i32(x + i)), m, half, (int)shift));
        sum = v_add(sum, e);
        v_store_i32((int32_t *)ret_e + i, e);
    }
    uint64_t parts[LANES];
    v_store_u64(parts, sum);
    for (size_t lane = 0; lane < LANES; lane++) {
        *ret_sum += parts[lane];
    }
    return i;
}

/* function_c.c proves the division. */
static inline size_t softmax_lanes(uint16_t *ret_y, const uint32_t *e, size_t count, uint64_t sum,
                                   uint16_t lo, uint16_t hi)
{
    const vec reciprocal = v_set((int64_t)(((uint64_t)1 << 62) / sum));
    const vec bias = v_set(((int64_t)1 << 45) - ((int64_t)1 << 31));
    const vec half = v_set((int64_t)(sum / 2));
    const vec s_low = v_set((int64_t)(sum & UINT32_MAX));
    const vec s_high = v_set((int64_t)(sum >> 32));
    const vec s_less = v_set((int64_t)sum - 1);
    const vec least = v_set(lo);
    const vec most = v_set(hi);
    size_t i = 0;
    for (; i + LANES <= count; i += LANES) {
        vec v = v_load_u32(e + i);
        vec q = v_srl(v_add(v_mul_u32(v, reciprocal), bias), 46);
        vec product = v_add(v_mul_u32(q, s_low), v_sll(v_mul_u32(q, s_high), 32));
        vec rest = v_sub(v_add(v_sll(v, 16), half), product);
        q = v_sub(q, v_greater(rest, s_less));
        v_store_u16(ret_y + i, v_max(v_min(q, most), least));
    }
    return i;
}

#endif
