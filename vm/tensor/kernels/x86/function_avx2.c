/* function_avx2.c: the kernels `function`, `exp_sum` and `softmax` for AVX2: four lanes of 64 bits. See function_lanes.h. */
#include <immintrin.h>

#include "vm/tensor/kernels/functions.h"

#define LANES 4u
typedef __m256i vec;

#define v_set(value)        _mm256_set1_epi64x(value)
#define v_add(a, b)         _mm256_add_epi64(a, b)
#define v_sub(a, b)         _mm256_sub_epi64(a, b)
#define v_and(a, b)         _mm256_and_si256(a, b)
#define v_xor(a, b)         _mm256_xor_si256(a, b)
#define v_mul_u32(a, b)     _mm256_mul_epu32(a, b)
#define v_mul_s32(a, b)     _mm256_mul_epi32(a, b)
#define v_srl(a, n)         _mm256_srli_epi64(a, n)
#define v_sll(a, n)         _mm256_slli_epi64(a, n)
#define v_sllv(a, n)        _mm256_sllv_epi64(a, n)
#define v_srlv32(a, n)      _mm256_srlv_epi32(a, n)
#define v_sllv32(a, n)      _mm256_sllv_epi32(a, n)
#define v_greater(a, b)     _mm256_cmpgt_epi64(a, b)
#define v_negative(a)       _mm256_cmpgt_epi64(_mm256_setzero_si256(), a)
#define v_blend(mask, a, b) _mm256_blendv_epi8(b, a, mask)

static inline vec v_load_i32(const int32_t *x)
{
    return _mm256_cvtepi32_epi64(_mm_loadu_si128((const __m128i *)(const void *)x));
}

static inline vec v_load_u32(const uint32_t *x)
{
    return _mm256_cvtepu32_epi64(_mm_loadu_si128((const __m128i *)(const void *)x));
}

static inline __m128i lower_halves(vec v)
{
    return _mm256_castsi256_si128(
        _mm256_permutevar8x32_epi32(v, _mm256_setr_epi32(0, 2, 4, 6, 0, 2, 4, 6)));
}

static inline void v_store_i32(int32_t *ret, vec v)
{
    _mm_storeu_si128((__m128i *)(void *)ret, lower_halves(v));
}

static inline void v_store_u16(uint16_t *ret, vec v)
{
    __m128i words = lower_halves(v);
    _mm_storel_epi64((__m128i *)(void *)ret, _mm_packus_epi32(words, words));
}

static inline void v_store_u64(uint64_t *ret, vec v)
{
    _mm256_storeu_si256((__m256i *)(void *)ret, v);
}

#include "vm/tensor/kernels/x86/function_lanes.h"

void sb_kernel_function_avx2(int32_t *ret_y, const int32_t *x, size_t count,
                             const struct sb_function *f)
{
    size_t done = function_lanes(ret_y, x, count, f);
    sb_kernel_function_c(ret_y + done, x + done, count - done, f);
}

void sb_kernel_exp_sum_avx2(uint32_t *ret_e, uint64_t *ret_sum, const int32_t *x, size_t count,
                            int32_t max, uint32_t mult, unsigned shift)
{
    uint64_t rest = 0;
    uint64_t sum = 0;
    size_t done = exp_sum_lanes(ret_e, &sum, x, count, max, mult, shift);
    sb_kernel_exp_sum_c(ret_e + done, &rest, x + done, count - done, max, mult, shift);
    *ret_sum = sum + rest;
}

void sb_kernel_softmax_avx2(uint16_t *ret_y, const uint32_t *e, size_t count, uint64_t sum,
                            uint16_t lo, uint16_t hi)
{
    size_t done = softmax_lanes(ret_y, e, count, sum, lo, hi);
    sb_kernel_softmax_c(ret_y + done, e + done, count - done, sum, lo, hi);
}
