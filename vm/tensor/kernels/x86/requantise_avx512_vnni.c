/* requantise_avx512_vnni.c: requantise, sixteen channels at a time; see requantise_avx512.h. */
#include "vm/tensor/kernels/x86/requantise_avx512.h"

#include "vm/tensor/kernels/functions.h"

#define LANES 16u

void sb_kernel_requantise_avx512_vnni(void *ret_y, const int32_t *acc, const int32_t *mult,
                                      const uint8_t *shift, size_t m, size_t n, size_t y_stride,
                                      const struct sb_requantise_params *p)
{
    size_t size = sb_dtype_bytes(p->dtype);
    struct finish_avx512 f = finish_avx512_of(p);
    for (size_t first = 0; first < n; first += LANES) {
        __mmask16 mask = n - first < LANES ? (__mmask16)((1u << (n - first)) - 1) : (__mmask16)-1;
        struct requantise_avx512 r = requantise_avx512_of(mult + first, shift + first, mask);
        uint8_t *y = (uint8_t *)ret_y + first * size;
        for (size_t row = 0; row < m; row++, y += y_stride * size) {
            __m512i sums = _mm512_maskz_loadu_epi32(mask, acc + row * n + first);
            store_16_avx512(y, p->dtype, finish_avx512(sums, &r, &f), mask);
        }
    }
}
