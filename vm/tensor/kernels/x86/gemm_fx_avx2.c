/* gemm_fx_avx2.c: the kernel gemm_fx for AVX2. See gemm_fx_lanes.h. */
#include <immintrin.h>

#include "vm/tensor/kernels/functions.h"

#define LANES 8u
typedef __m256i vec;

#define v_load(p)   _mm256_loadu_si256((const __m256i *)(const void *)(p))
#define v_odd(a)    _mm256_srli_epi64(a, 32)
#define v_mul(a, b) _mm256_mul_epi32(a, b)
#define v_add(a, b) _mm256_add_epi64(a, b)
#define v_zero()    _mm256_setzero_si256()

static inline int64_t v_sum(vec v)
{
    __m128i half = _mm_add_epi64(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    return _mm_cvtsi128_si64(half) + _mm_extract_epi64(half, 1);
}

#include "vm/tensor/kernels/x86/gemm_fx_lanes.h"

void sb_kernel_gemm_fx_avx2(int64_t *ret_acc, const int32_t *x, const int32_t *w,
                            const int64_t *bias, struct sb_gemm_dims d)
{
    gemm_fx_lanes(ret_acc, x, w, bias, d);
}
