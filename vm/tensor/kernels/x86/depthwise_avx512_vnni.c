/* depthwise_avx512_vnni.c: depthwise convolutions of i8 and u8, 64 channels at a time; the picture is in depthwise_256.h. Fewer channels
 * than 64 are left to the kernel of avx2 (pack.h arranges their weights for that). */
#include <string.h>

#include "vm/tensor/kernels/functions.h"
#include "vm/tensor/kernels/pack.h"
#include "vm/tensor/kernels/x86/requantise_avx512.h"

#define INLINE       static inline __attribute__((always_inline))
#define BLOCK        64u /* channels */
#define PARTS        4u  /* registers of sums of a block */
#define PART         16u
#define QUAD         4u
#define VECTOR_BYTES 64u
#define FLIP_SIGN_X4 ((int32_t)0x80808080)

/* A block of channels: its weights and ends. */
struct block {
    const int8_t *w;
    const int32_t *start;
    size_t first; /* channel */
    struct requantise_avx512 q[PARTS];
    struct finish_avx512 f;
};

INLINE __m512i dot(__m512i sum, __m512i x, __m512i w)
{
    __asm__("vpdpbusd %2,%1,%0" : "+v"(sum) : "v"(x), "v"(w));
    return sum;
}

/* Where the taps of the output pixels are. Mostly all of them move on by the same step; only a row with taps in the padding has others. */
struct walk {
    const void *const *taps;
    const size_t *steps;
    size_t count;
    bool is_even; /* all steps are equal */
};

INLINE __m512i load_tap(const struct walk *k, size_t tap, size_t pixel, size_t first,
                        bool is_signed)
{
    size_t step = k->steps[k->is_even ? 0 : tap];
    __m512i x = _mm512_loadu_si512((const uint8_t *)k->taps[tap] + (pixel * step + first));
    return is_signed ? _mm512_xor_si512(x, _mm512_set1_epi32(FLIP_SIGN_X4)) : x;
}

/* Sums of one output pixel; four registers of weights for each four taps. count and is_even are constants where that pays. */
INLINE void sum_pixel(__m512i sums[PARTS], const struct block *b, const struct walk *k,
                      size_t pixel, bool is_signed)
{
    const int8_t *w = b->w;
    for (size_t j = 0; j < PARTS; j++) {
        sums[j] = _mm512_loadu_si512(b->start + j * PART);
    }
#pragma GCC unroll 3
    for (size_t t = 0; t < k->count; t += QUAD, w += PARTS * VECTOR_BYTES) {
        __m512i x[QUAD];
#pragma GCC unroll 4
        for (size_t i = 0; i < QUAD; i++) {
            /* beyond the last tap: anything, the weight is 0 */
            x[i] = t + i < k->count ? load_tap(k, t + i, pixel, b->first, is_signed) : x[0];
        }
        __m512i ab_low = _mm512_unpacklo_epi8(x[0], x[1]);
        __m512i ab_high = _mm512_unpackhi_epi8(x[0], x[1]);
        __m512i cd_low = _mm512_unpacklo_epi8(x[2], x[3]);
        __m512i cd_high = _mm512_unpackhi_epi8(x[2], x[3]);
        const int8_t *w1 = w + VECTOR_BYTES;
        const int8_t *w2 = w + 2 * VECTOR_BYTES;
        const int8_t *w3 = w + 3 * VECTOR_BYTES;
        sums[0] = dot(sums[0], _mm512_unpacklo_epi16(ab_low, cd_low), _mm512_loadu_si512(w));
        sums[1] = dot(sums[1], _mm512_unpackhi_epi16(ab_low, cd_low), _mm512_loadu_si512(w1));
        sums[2] = dot(sums[2], _mm512_unpacklo_epi16(ab_high, cd_high), _mm512_loadu_si512(w2));
        sums[3] = dot(sums[3], _mm512_unpackhi_epi16(ab_high, cd_high), _mm512_loadu_si512(w3));
    }
}

/* Elements of i16 or i32, which are seldom what a depthwise layer makes: lane by lane. */
static void store_wide(uint8_t *ret_y, enum sb_dtype dtype, const __m512i v[PARTS])
{
    size_t size = sb_dtype_bytes(dtype);
    for (size_t j = 0; j < PARTS; j++) {
        int32_t lanes[PART];
        _mm512_storeu_si512(lanes, v[j]);
        for (size_t lane = 0; lane < 4; lane++) {
            uint8_t *y = ret_y + (16 * lane + 4 * j) * size;
            __m128i four = _mm_loadu_si128((const __m128i *)(const void *)(lanes + 4 * lane));
            if (dtype == SB_DTYPE_I16) {
                _mm_storel_epi64((__m128i *)(void *)y, _mm_packs_epi32(four, four));
            } else {
                _mm_storeu_si128((__m128i *)(void *)y, four);
            }
        }
    }
}

INLINE void finish_pixel(uint8_t *ret_y, enum sb_dtype dtype, const __m512i sums[PARTS],
                         const struct block *b)
{
    __m512i v[PARTS];
    for (size_t j = 0; j < PARTS; j++) {
        v[j] = finish_avx512(sums[j], &b->q[j], &b->f);
    }
    if (sb_dtype_bytes(dtype) > 1) {
        store_wide(ret_y, dtype, v);
        return;
    }
    __m512i low = _mm512_packs_epi32(v[0], v[1]);
    __m512i high = _mm512_packs_epi32(v[2], v[3]);
    _mm512_storeu_si512(ret_y, dtype == SB_DTYPE_I8 ? _mm512_packs_epi16(low, high)
                                                    : _mm512_packus_epi16(low, high));
}

INLINE void run_block(uint8_t *ret_y, const struct sb_depthwise *a, const struct block *b,
                      const struct walk *k, bool is_signed)
{
    size_t row_bytes = a->y_stride * sb_dtype_bytes(a->y.dtype);
    for (size_t i = 0; i < a->m; i++, ret_y += row_bytes) {
        __m512i sums[PARTS];
        sum_pixel(sums, b, k, i, is_signed);
        finish_pixel(ret_y, a->y.dtype, sums, b);
    }
}

static bool are_even(const size_t *steps, size_t count)
{
    bool even = true;
    for (size_t t = 1; t < count; t++) {
        even = even && steps[t] == steps[0];
    }
    return even;
}

INLINE void depthwise(uint8_t *ret_y, const void *const *taps, const size_t *steps,
                      const struct sb_depthwise *a, bool is_signed)
{
    struct sb_depthwise_plan plan =
        sb_depthwise_plan_of(SB_CPU_LEVEL_AVX512_VNNI, SB_DTYPE_U8, a->channels, a->taps);
    const struct sb_packed *p = a->packed;
    size_t size = sb_dtype_bytes(a->y.dtype);
    bool is_3x3 = a->taps == 9 && are_even(steps, a->taps);
    for (size_t n = 0; n < plan.blocks; n++) {
        size_t place = n * BLOCK;
        struct block b = {.w = p->w + place * plan.quads * QUAD,
                          .start = p->start + place,
                          .first = sb_depthwise_first(&plan, a->channels, n),
                          .f = finish_avx512_of(&a->y)};
        for (size_t j = 0; j < PARTS; j++) {
            size_t at = place + j * PART;
            b.q[j] = requantise_avx512_of(p->mult + at, p->shift + at, (__mmask16)-1);
        }
        uint8_t *y = ret_y + b.first * size;
        if (is_3x3) {
            struct walk k = {.taps = taps, .steps = steps, .count = 9, .is_even = true};
            run_block(y, a, &b, &k, is_signed);
        } else {
            struct walk k = {.taps = taps, .steps = steps, .count = a->taps};
            run_block(y, a, &b, &k, is_signed);
        }
    }
}

void sb_kernel_depthwise_i8_avx512_vnni(void *ret_y, const void *const *taps, const size_t *steps,
                                        const struct sb_depthwise *a)
{
    if (a->packed == NULL || a->channels < BLOCK) {
        sb_kernel_depthwise_i8_avx2(ret_y, taps, steps, a);
        return;
    }
    depthwise(ret_y, taps, steps, a, true);
}

void sb_kernel_depthwise_u8_avx512_vnni(void *ret_y, const void *const *taps, const size_t *steps,
                                        const struct sb_depthwise *a)
{
    if (a->packed == NULL || a->channels < BLOCK) {
        sb_kernel_depthwise_u8_avx2(ret_y, taps, steps, a);
        return;
    }
    depthwise(ret_y, taps, steps, a, false);
}
