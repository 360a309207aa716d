/* function_avx512_vnni.c: the kernels `function`, `exp_sum` and `softmax` for AVX-512: eight lanes of 64 bits. See function_lanes.h. */
#include <immintrin.h>

#include "vm/tensor/kernels/functions.h"

#define LANES 8u
typedef __m512i vec;

#define v_set(value)        _mm512_set1_epi64(value)
#define v_add(a, b)         _mm512_add_epi64(a, b)
#define v_sub(a, b)         _mm512_sub_epi64(a, b)
#define v_and(a, b)         _mm512_and_si512(a, b)
#define v_xor(a, b)         _mm512_xor_si512(a, b)
#define v_mul_u32(a, b)     _mm512_mul_epu32(a, b)
#define v_mul_s32(a, b)     _mm512_mul_epi32(a, b)
#define v_srl(a, n)         _mm512_srli_epi64(a, (unsigned)(n))
#define v_sll(a, n)         _mm512_slli_epi64(a, (unsigned)(n))
#define v_sllv(a, n)        _mm512_sllv_epi64(a, n)
#define v_srlv32(a, n)      _mm512_srlv_epi32(a, n)
#define v_sllv32(a, n)      _mm512_sllv_epi32(a, n)
#define v_greater(a, b)     _mm512_movm_epi64(_mm512_cmpgt_epi64_mask(a, b))
#define v_negative(a)       _mm512_srai_epi64(a, 63)
#define v_blend(mask, a, b) _mm512_mask_blend_epi64(_mm512_movepi64_mask(mask), b, a)

static inline vec v_load_i32(const int32_t *x)
{
    return _mm512_cvtepi32_epi64(_mm256_loadu_si256((const __m256i *)(const void *)x));
}

static inline vec v_load_u32(const uint32_t *x)
{
    return _mm512_cvtepu32_epi64(_mm256_loadu_si256((const __m256i *)(const void *)x));
}

static inline void v_store_i32(int32_t *ret, vec v)
{
    _mm256_storeu_si256((__m256i *)(void *)ret, _mm512_cvtepi64_epi32(v));
}

static inline void v_store_u16(uint16_t *ret, vec v)
{
    _mm_storeu_si128((__m128i *)(void *)ret, _mm512_cvtepi64_epi16(v));
}

static inline void v_store_u64(uint64_t *ret, vec v)
{
    _mm512_storeu_si512(ret, v);
}

#include "vm/tensor/kernels/x86/function_lanes.h"

void sb_kernel_function_avx512_vnni(int32_t *ret_y, const int32_t *x, size_t count,
                                    const struct sb_function *f)
{
    size_t done = function_lanes(ret_y, x, count, f);
    sb_kernel_function_c(ret_y + done, x + done, count - done, f);
}

void sb_kernel_exp_sum_avx512_vnni(uint32_t *ret_e, uint64_t *ret_sum, const int32_t *x,
                                   size_t count, int32_t max, uint32_t mult, unsigned shift)
{
    uint64_t rest = 0;
    uint64_t sum = 0;
    size_t done = exp_sum_lanes(ret_e, &sum, x, count, max, mult, shift);
    sb_kernel_exp_sum_c(ret_e + done, &rest, x + done, count - done, max, mult, shift);
    *ret_sum = sum + rest;
}

void sb_kernel_softmax_avx512_vnni(uint16_t *ret_y, const uint32_t *e, size_t count, uint64_t sum,
                                   uint16_t lo, uint16_t hi)
{
    size_t done = softmax_lanes(ret_y, e, count, sum, lo, hi);
    sb_kernel_softmax_c(ret_y + done, e + done, count - done, sum, lo, hi);
}
