/* requantise_avx2.c: requantise, eight channels at a time; see requantise_avx2.h. The last channels of a row go through buffers. */
#include "vm/tensor/kernels/x86/requantise_avx2.h"

#include <string.h>

#include "vm/tensor/kernels/functions.h"

#define LANES 8u

/* Channels first .. first + 7 of all rows. */
static void columns(uint8_t *ret_y, const int32_t *acc, const struct requantise_avx2 *r, size_t m,
                    size_t n, size_t y_bytes, const struct sb_requantise_params *p)
{
    struct finish_avx2 f = finish_avx2_of(p);
    for (size_t row = 0; row < m; row++) {
        __m256i sums = _mm256_loadu_si256((const __m256i *)(const void *)(acc + row * n));
        store_8_avx2(ret_y + row * y_bytes, p->dtype, finish_avx2(sums, r, &f));
    }
}

/* The last count < 8 channels of all rows. */
static void last_columns(uint8_t *ret_y, const int32_t *acc, const struct requantise_avx2 *r,
                         size_t count, size_t m, size_t n, size_t y_bytes,
                         const struct sb_requantise_params *p)
{
    struct finish_avx2 f = finish_avx2_of(p);
    int32_t sums[LANES] = {0};
    uint8_t y[LANES * sizeof(int32_t)];
    size_t bytes = count * sb_dtype_bytes(p->dtype);
    for (size_t row = 0; row < m; row++) {
        memcpy(sums, acc + row * n, count * sizeof *sums);
        __m256i v = _mm256_loadu_si256((const __m256i *)(const void *)sums);
        store_8_avx2(y, p->dtype, finish_avx2(v, r, &f));
        memcpy(ret_y + row * y_bytes, y, bytes);
    }
}

void sb_kernel_requantise_avx2(void *ret_y, const int32_t *acc, const int32_t *mult,
                               const uint8_t *shift, size_t m, size_t n, size_t y_stride,
                               const struct sb_requantise_params *p)
{
    size_t size = sb_dtype_bytes(p->dtype);
    uint8_t *y = ret_y;
    size_t first = 0;
    for (; first + LANES <= n; first += LANES) {
        struct requantise_avx2 r = requantise_avx2_of(mult + first, shift + first);
        columns(y + first * size, acc + first, &r, m, n, y_stride * size, p);
    }
    if (first < n) {
        int32_t last_mult[LANES] = {0};
        uint8_t last_shift[LANES] = {62, 62, 62, 62, 62, 62, 62, 62};
        memcpy(last_mult, mult + first, (n - first) * sizeof *mult);
        memcpy(last_shift, shift + first, n - first);
        struct requantise_avx2 r = requantise_avx2_of(last_mult, last_shift);
        last_columns(y + first * size, acc + first, &r, n - first, m, n, y_stride * size, p);
    }
}
