/* requantise_avx2.h: eight sums of eight channels to elements, in registers. Spec: docs/spec/numerics.md 3.2.
 *
 * AVX2 multiplies 32-bit lanes into 64 bits (even lanes; odd ones after a shift) but has no arithmetic 64-bit shift. For a shift S of
 * 33 or more only the upper halves matter:
 *
 *     floor((acc * M + 2^(S-1)) / 2^S) = (hi32(acc * M) + 2^(S-33)) >> (S - 32)        since 2^(S-1) is a multiple of 2^32, and
 *                                                                                      floor(floor(v / 2^32) / 2^(S-32)) = floor(v / 2^S)
 *
 * |hi32| <= 2^30 and 2^(S-33) <= 2^29, so 32 bits suffice, with the zero point too. A smaller S goes through 64 bits, where
 * v >> S = ((v + 2^63) >>> S) - 2^(63-S) with the unsigned shift. */
#ifndef SB_VM_TENSOR_KERNELS_X86_REQUANTISE_AVX2_H
#define SB_VM_TENSOR_KERNELS_X86_REQUANTISE_AVX2_H

#include <immintrin.h>

#include "vm/tensor/kernels.h"

struct requantise_avx2 {
    __m256i mult;
    __m256i mult_odd; /* of the odd lanes, in the even ones */
    __m256i shift;    /* 32-bit lanes */
    __m256i high;     /* shift - 32: of the upper halves */
    __m256i half;     /* 2^(shift - 33) */
    bool narrow;      /* some shift is below 33 */
};

struct finish_avx2 {
    __m256i zero_point;
    __m256i lo;
    __m256i hi;
};

static inline struct finish_avx2 finish_avx2_of(const struct sb_requantise_params *p)
{
    return (struct finish_avx2){
        .zero_point = _mm256_set1_epi32(p->zero_point),
        .lo = _mm256_set1_epi32((int32_t)p->lo),
        .hi = _mm256_set1_epi32((int32_t)p->hi),
    };
}

static inline struct requantise_avx2 requantise_avx2_of(const int32_t *mult, const uint8_t *shift)
{
    struct requantise_avx2 r;
    r.mult = _mm256_loadu_si256((const __m256i *)(const void *)mult);
    r.shift = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)shift));
    r.mult_odd = _mm256_srli_epi64(r.mult, 32);
    r.high = _mm256_sub_epi32(r.shift, _mm256_set1_epi32(32));
    r.half =
        _mm256_sllv_epi32(_mm256_set1_epi32(1), _mm256_sub_epi32(r.high, _mm256_set1_epi32(1)));
    r.narrow = _mm256_movemask_epi8(_mm256_cmpgt_epi32(_mm256_set1_epi32(33), r.shift)) != 0;
    return r;
}

/* Four 64-bit products: rounded, shifted, limited to [lo, hi] (64-bit lanes, zero point taken off). */
static inline __m256i shift_64_avx2(__m256i product, __m256i shift, __m256i lo, __m256i hi)
{
    const __m256i one = _mm256_set1_epi64x(1);
    const __m256i sign = _mm256_set1_epi64x(INT64_MIN);
    __m256i half = _mm256_sllv_epi64(one, _mm256_sub_epi64(shift, one));
    __m256i v = _mm256_add_epi64(product, half);
    v = _mm256_srlv_epi64(_mm256_xor_si256(v, sign), shift);
    v = _mm256_sub_epi64(v, _mm256_srlv_epi64(sign, shift));
    v = _mm256_blendv_epi8(v, lo, _mm256_cmpgt_epi64(lo, v));
    return _mm256_blendv_epi8(v, hi, _mm256_cmpgt_epi64(v, hi));
}

static inline __m256i widen_even_avx2(__m256i v)
{
    return _mm256_srai_epi32(_mm256_shuffle_epi32(v, 0xa0), 31);
}

/* Even 32-bit lanes as 64-bit ones. */
static inline __m256i even_64_avx2(__m256i v)
{
    return _mm256_blend_epi32(v, widen_even_avx2(v), 0xaa);
}

static inline __m256i finish_narrow_avx2(__m256i even, __m256i odd, const struct requantise_avx2 *r,
                                         const struct finish_avx2 *f)
{
    __m256i lo = even_64_avx2(_mm256_sub_epi32(f->lo, f->zero_point));
    __m256i hi = even_64_avx2(_mm256_sub_epi32(f->hi, f->zero_point));
    __m256i low = _mm256_set1_epi64x(0xffffffff);
    even = shift_64_avx2(even, _mm256_and_si256(r->shift, low), lo, hi);
    odd = shift_64_avx2(odd, _mm256_srli_epi64(r->shift, 32), lo, hi);
    return _mm256_add_epi32(_mm256_blend_epi32(even, _mm256_slli_epi64(odd, 32), 0xaa),
                            f->zero_point);
}

static inline __m256i finish_avx2(__m256i acc, const struct requantise_avx2 *r,
                                  const struct finish_avx2 *f)
{
    __m256i even = _mm256_mul_epi32(acc, r->mult);
    __m256i odd = _mm256_mul_epi32(_mm256_srli_epi64(acc, 32), r->mult_odd);
    if (r->narrow) {
        return finish_narrow_avx2(even, odd, r, f);
    }
    __m256i high = _mm256_blend_epi32(_mm256_srli_epi64(even, 32), odd, 0xaa);
    __m256i v = _mm256_srav_epi32(_mm256_add_epi32(high, r->half), r->high);
    v = _mm256_add_epi32(v, f->zero_point);
    return _mm256_min_epi32(_mm256_max_epi32(v, f->lo), f->hi);
}

/* Eight elements to y; they fit the type. */
static inline void store_8_avx2(void *ret_y, enum sb_dtype dtype, __m256i v)
{
    if (dtype == SB_DTYPE_I32) {
        _mm256_storeu_si256((__m256i *)ret_y, v);
        return;
    }
    __m128i narrow = _mm_packs_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    if (dtype == SB_DTYPE_I16) {
        _mm_storeu_si128((__m128i *)ret_y, narrow);
    } else if (dtype == SB_DTYPE_I8) {
        _mm_storel_epi64((__m128i *)ret_y, _mm_packs_epi16(narrow, narrow));
    } else {
        _mm_storel_epi64((__m128i *)ret_y, _mm_packus_epi16(narrow, narrow));
    }
}

#endif
