/* gemm_fx_avx512_vnni.c: the kernel gemm_fx for AVX-512. See gemm_fx_lanes.h. */
#include <immintrin.h>

#include "vm/tensor/kernels/functions.h"

#define LANES 16u
typedef __m512i vec;

#define v_load(p)   _mm512_loadu_si512(p)
#define v_odd(a)    _mm512_srli_epi64(a, 32)
#define v_mul(a, b) _mm512_mul_epi32(a, b)
#define v_add(a, b) _mm512_add_epi64(a, b)
#define v_zero()    _mm512_setzero_si512()
#define v_sum(a)    _mm512_reduce_add_epi64(a)

#include "vm/tensor/kernels/x86/gemm_fx_lanes.h"

void sb_kernel_gemm_fx_avx512_vnni(int64_t *ret_acc, const int32_t *x, const int32_t *w,
                                   const int64_t *bias, struct sb_gemm_dims d)
{
    gemm_fx_lanes(ret_acc, x, w, bias, d);
}
