/* requantise_avx512.h: sixteen sums of sixteen channels to elements, in registers; the arithmetic of requantise_avx2.h, and for small
 * shifts the 64-bit arithmetic shift that AVX-512 has. */
#ifndef SB_VM_TENSOR_KERNELS_X86_REQUANTISE_AVX512_H
#define SB_VM_TENSOR_KERNELS_X86_REQUANTISE_AVX512_H

#include <immintrin.h>

#include "vm/tensor/kernels.h"

struct requantise_avx512 {
    __m512i mult;
    __m512i mult_odd; /* of the odd lanes, in the even ones */
    __m512i shift;    /* 32-bit lanes */
    __m512i high;     /* shift - 32: of the upper halves */
    __m512i half;     /* 2^(shift - 33) */
    bool narrow;      /* some shift is below 33 */
};

struct finish_avx512 {
    __m512i zero_point;
    __m512i lo;
    __m512i hi;
};

static inline struct finish_avx512 finish_avx512_of(const struct sb_requantise_params *p)
{
    return (struct finish_avx512){
        .zero_point = _mm512_set1_epi32(p->zero_point),
        .lo = _mm512_set1_epi32((int32_t)p->lo),
        .hi = _mm512_set1_epi32((int32_t)p->hi),
    };
}

/* Channels outside the mask are not read. */
static inline struct requantise_avx512 requantise_avx512_of(const int32_t *mult,
                                                            const uint8_t *shift, __mmask16 mask)
{
    struct requantise_avx512 r;
    r.mult = _mm512_maskz_loadu_epi32(mask, mult);
    r.shift = _mm512_cvtepu8_epi32(_mm_mask_loadu_epi8(_mm_set1_epi8(62), mask, shift));
    r.mult_odd = _mm512_srli_epi64(r.mult, 32);
    r.high = _mm512_sub_epi32(r.shift, _mm512_set1_epi32(32));
    r.half =
        _mm512_sllv_epi32(_mm512_set1_epi32(1), _mm512_sub_epi32(r.high, _mm512_set1_epi32(1)));
    r.narrow = _mm512_cmplt_epi32_mask(r.shift, _mm512_set1_epi32(33)) != 0;
    return r;
}

/* Eight 64-bit products: rounded, shifted, limited to [lo, hi] (zero point taken off). */
static inline __m512i shift_64_avx512(__m512i product, __m512i shift, __m512i lo, __m512i hi)
{
    const __m512i one = _mm512_set1_epi64(1);
    __m512i half = _mm512_sllv_epi64(one, _mm512_sub_epi64(shift, one));
    __m512i v = _mm512_srav_epi64(_mm512_add_epi64(product, half), shift);
    return _mm512_min_epi64(_mm512_max_epi64(v, lo), hi);
}

static inline __m512i finish_narrow_avx512(__m512i even, __m512i odd,
                                           const struct requantise_avx512 *r,
                                           const struct finish_avx512 *f)
{
    __m512i lo = _mm512_sub_epi32(f->lo, f->zero_point);
    __m512i hi = _mm512_sub_epi32(f->hi, f->zero_point);
    lo = _mm512_cvtepi32_epi64(_mm512_castsi512_si256(lo));
    hi = _mm512_cvtepi32_epi64(_mm512_castsi512_si256(hi));
    even = shift_64_avx512(even, _mm512_and_si512(r->shift, _mm512_set1_epi64(0xffffffff)), lo, hi);
    odd = shift_64_avx512(odd, _mm512_srli_epi64(r->shift, 32), lo, hi);
    __m512i v = _mm512_mask_blend_epi32(0xaaaa, even, _mm512_slli_epi64(odd, 32));
    return _mm512_add_epi32(v, f->zero_point);
}

static inline __m512i finish_avx512(__m512i acc, const struct requantise_avx512 *r,
                                    const struct finish_avx512 *f)
{
    __m512i even = _mm512_mul_epi32(acc, r->mult);
    __m512i odd = _mm512_mul_epi32(_mm512_srli_epi64(acc, 32), r->mult_odd);
    if (r->narrow) {
        return finish_narrow_avx512(even, odd, r, f);
    }
    __m512i high = _mm512_mask_blend_epi32(0xaaaa, _mm512_srli_epi64(even, 32), odd);
    __m512i v = _mm512_srav_epi32(_mm512_add_epi32(high, r->half), r->high);
    v = _mm512_add_epi32(v, f->zero_point);
    return _mm512_min_epi32(_mm512_max_epi32(v, f->lo), f->hi);
}

/* The elements of the mask to y; they fit the type. */
static inline void store_16_avx512(void *ret_y, enum sb_dtype dtype, __m512i v, __mmask16 mask)
{
    if (dtype == SB_DTYPE_I32) {
        _mm512_mask_storeu_epi32(ret_y, mask, v);
    } else if (dtype == SB_DTYPE_I16) {
        _mm256_mask_storeu_epi16(ret_y, mask, _mm512_cvtepi32_epi16(v));
    } else {
        _mm_mask_storeu_epi8(ret_y, mask, _mm512_cvtepi32_epi8(v));
    }
}

#endif
