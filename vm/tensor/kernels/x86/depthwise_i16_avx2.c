/* depthwise_i16_avx2.c: depthwise convolutions of i16, eight channels at a time.
 *
 * A lane holds x without its sign in the low half and 0 in the high one, and the weight as int32: VPMADDWD makes x * low half of w + 0 * high
 * half, with signs, which is the product. */
#include <string.h>

#include "vm/tensor/kernels/functions.h"
#include "vm/tensor/kernels/pack.h"
#include "vm/tensor/kernels/x86/requantise_avx2.h"

#define LANES 8u

/* Eight channels, of which count are read. */
static inline __m256i load_x(const int16_t *x, size_t count)
{
    if (count == LANES) {
        return _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(const void *)x));
    }
    int16_t eight[LANES] = {0};
    memcpy(eight, x, count * sizeof *x);
    return _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(const void *)eight));
}

static inline __m256i load_w(const int8_t *w)
{
    return _mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)w));
}

static void channels(uint8_t *ret_y, const void *const *taps, const size_t *steps,
                     const struct sb_depthwise *a, size_t first, size_t count)
{
    size_t places = (a->channels + SB_PACK_ROWS - 1) / SB_PACK_ROWS * SB_PACK_ROWS;
    size_t size = sb_dtype_bytes(a->y.dtype);
    const struct sb_packed *p = a->packed;
    struct finish_avx2 f = finish_avx2_of(&a->y);
    struct requantise_avx2 q = requantise_avx2_of(p->mult + first, p->shift + first);
    for (size_t i = 0; i < a->m; i++, ret_y += a->y_stride * size) {
        __m256i sums = _mm256_loadu_si256((const __m256i *)(const void *)(p->start + first));
        for (size_t t = 0; t < a->taps; t++) {
            const int16_t *x = (const void *)((const uint8_t *)taps[t] + i * steps[t]);
            __m256i product =
                _mm256_madd_epi16(load_x(x + first, count), load_w(p->w + t * places + first));
            sums = _mm256_add_epi32(sums, product);
        }
        uint8_t y[LANES * sizeof(int32_t)];
        store_8_avx2(y, a->y.dtype, finish_avx2(sums, &q, &f));
        memcpy(ret_y, y, count * size);
    }
}

void sb_kernel_depthwise_i16_avx2(void *ret_y, const void *const *taps, const size_t *steps,
                                  const struct sb_depthwise *a)
{
    if (a->packed == NULL) {
        sb_kernel_depthwise_i16_c(ret_y, taps, steps, a);
        return;
    }
    size_t size = sb_dtype_bytes(a->y.dtype);
    size_t first = 0;
    for (; first + LANES <= a->channels; first += LANES) {
        channels((uint8_t *)ret_y + first * size, taps, steps, a, first, LANES);
    }
    if (first < a->channels) {
        channels((uint8_t *)ret_y + first * size, taps, steps, a, first, a->channels - first);
    }
}
