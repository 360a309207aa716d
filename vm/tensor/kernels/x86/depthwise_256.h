/* depthwise_256.h: depthwise convolutions of i8 and u8 in registers of 256 bits: the body of the levels avx2 and avx_vnni.
 *
 *     32 channels of four taps   a b c d   --unpack bytes, then pairs-->   four registers of (a b c d) for 8 channels each   --dot-->  sums
 *
 * Unpacking and packing both work in lanes of 16 bytes, so the sums are in the order of pack.h and the elements come out in natural order.
 * The weights of a block stay where they are while the row of pixels passes. */
#ifndef SB_VM_TENSOR_KERNELS_X86_DEPTHWISE_256_H
#define SB_VM_TENSOR_KERNELS_X86_DEPTHWISE_256_H

#include <string.h>

#include "vm/tensor/kernels/functions.h"
#include "vm/tensor/kernels/pack.h"
#include "vm/tensor/kernels/x86/dot_256.h"
#include "vm/tensor/kernels/x86/requantise_avx2.h"

#define BLOCK       32u /* channels */
#define PARTS       4u  /* registers of sums of a block */
#define PART        8u
#define QUAD        4u
#define QUAD_BYTES  (BLOCK * QUAD)
#define LANE        16u
#define VECTOR_SIZE 32u

/* A block of channels: where its weights and ends are, and how many of its channels there are. */
struct block {
    const int8_t *w;
    const int32_t *start;
    size_t first; /* channel */
    size_t count; /* BLOCK, or all channels if they are fewer */
    struct requantise_avx2 q[PARTS];
    struct finish_avx2 f;
};

INLINE __m256i load_256(const void *from)
{
    return _mm256_loadu_si256((const __m256i *)from);
}

/* The block's channels of a pixel; not a byte more if `exactly`. */
INLINE __m256i load_pixel(const uint8_t *x, size_t count, bool exactly)
{
    if (!exactly) {
        return load_256(x);
    }
    uint8_t bytes[BLOCK] = {0};
    memcpy(bytes, x, count);
    return load_256(bytes);
}

/* Sums of one output pixel. */
INLINE void sum_pixel(__m256i sums[PARTS], const struct block *b, const struct sb_depthwise *a,
                      const void *const *taps, const size_t *steps, size_t pixel, bool exactly,
                      enum kind kind)
{
    const int8_t *w = b->w;
    for (size_t j = 0; j < PARTS; j++) {
        sums[j] = load_256(b->start + j * PART);
    }
    for (size_t t = 0; t < a->taps; t += QUAD, w += QUAD_BYTES) {
        __m256i x[QUAD];
#pragma GCC unroll 4
        for (size_t i = 0; i < QUAD; i++) {
            size_t tap =
                t + i < a->taps ? t + i : t; /* beyond the last: anything, the weight is 0 */
            const uint8_t *at = (const uint8_t *)taps[tap] + pixel * steps[tap] + b->first;
            x[i] = flip(load_pixel(at, b->count, exactly), kind);
        }
        __m256i ab_low = _mm256_unpacklo_epi8(x[0], x[1]);
        __m256i ab_high = _mm256_unpackhi_epi8(x[0], x[1]);
        __m256i cd_low = _mm256_unpacklo_epi8(x[2], x[3]);
        __m256i cd_high = _mm256_unpackhi_epi8(x[2], x[3]);
        sums[0] = dot(sums[0], _mm256_unpacklo_epi16(ab_low, cd_low), load_256(w), kind);
        sums[1] = dot(sums[1], _mm256_unpackhi_epi16(ab_low, cd_low), load_256(w + 32), kind);
        sums[2] = dot(sums[2], _mm256_unpacklo_epi16(ab_high, cd_high), load_256(w + 64), kind);
        sums[3] = dot(sums[3], _mm256_unpackhi_epi16(ab_high, cd_high), load_256(w + 96), kind);
    }
}

/* The first count of four elements of a lane, to y of i16 or i32. */
INLINE void store_lane(uint8_t *ret_y, enum sb_dtype dtype, __m128i v, size_t count)
{
    v = dtype == SB_DTYPE_I16 ? _mm_packs_epi32(v, v) : v;
    uint8_t y[16];
    _mm_storeu_si128((__m128i *)(void *)y, v);
    memcpy(ret_y, y, (count < 4 ? count : 4) * sb_dtype_bytes(dtype));
}

/* Elements of i16 or i32, which are seldom what a depthwise layer makes: lane by lane. */
static void store_wide(uint8_t *ret_y, enum sb_dtype dtype, const __m256i v[PARTS], size_t count)
{
    for (size_t j = 0; j < PARTS; j++) {
        size_t low = 4 * j;
        size_t high = LANE + 4 * j;
        if (low < count) {
            store_lane(ret_y + low * sb_dtype_bytes(dtype), dtype, _mm256_castsi256_si128(v[j]),
                       count - low);
        }
        if (high < count) {
            store_lane(ret_y + high * sb_dtype_bytes(dtype), dtype,
                       _mm256_extracti128_si256(v[j], 1), count - high);
        }
    }
}

INLINE void finish_pixel(uint8_t *ret_y, enum sb_dtype dtype, const __m256i sums[PARTS],
                         const struct block *b)
{
    __m256i v[PARTS];
    for (size_t j = 0; j < PARTS; j++) {
        v[j] = finish_avx2(sums[j], &b->q[j], &b->f);
    }
    if (sb_dtype_bytes(dtype) > 1) {
        store_wide(ret_y, dtype, v, b->count);
        return;
    }
    __m256i low = _mm256_packs_epi32(v[0], v[1]);
    __m256i high = _mm256_packs_epi32(v[2], v[3]);
    __m256i bytes =
        dtype == SB_DTYPE_I8 ? _mm256_packs_epi16(low, high) : _mm256_packus_epi16(low, high);
    if (b->count == BLOCK) {
        _mm256_storeu_si256((__m256i *)(void *)ret_y, bytes);
        return;
    }
    uint8_t y[BLOCK];
    _mm256_storeu_si256((__m256i *)(void *)y, bytes);
    memcpy(ret_y, y, b->count);
}

/* Pixels before which no load of a whole register passes the end of x. */
static size_t pixels_within(const void *const *taps, const size_t *steps,
                            const struct sb_depthwise *a)
{
    size_t within = a->m;
    for (size_t t = 0; t < a->taps; t++) {
        while (within > 0 && steps[t] != 0 &&
               (size_t)(a->x_end - (const uint8_t *)taps[t]) <
                   (within - 1) * steps[t] + VECTOR_SIZE) {
            within--;
        }
    }
    return within;
}

static inline struct block block_of(const struct sb_depthwise *a,
                                    const struct sb_depthwise_plan *plan, size_t number)
{
    size_t place = number * BLOCK;
    struct block b = {
        .w = a->packed->w + place * plan->quads * QUAD,
        .start = a->packed->start + place,
        .first = sb_depthwise_first(plan, a->channels, number),
        .count = a->channels < BLOCK ? a->channels : BLOCK,
        .f = finish_avx2_of(&a->y),
    };
    for (size_t j = 0; j < PARTS; j++) {
        size_t at = place + j * PART;
        b.q[j] = requantise_avx2_of(a->packed->mult + at, a->packed->shift + at);
    }
    return b;
}

INLINE void depthwise(uint8_t *ret_y, const void *const *taps, const size_t *steps,
                      const struct sb_depthwise *a, enum kind kind)
{
    struct sb_depthwise_plan plan =
        sb_depthwise_plan_of(SB_CPU_LEVEL_AVX2, SB_DTYPE_U8, a->channels, a->taps);
    size_t size = sb_dtype_bytes(a->y.dtype);
    size_t within = a->channels < BLOCK ? pixels_within(taps, steps, a) : a->m;
    for (size_t n = 0; n < plan.blocks; n++) {
        struct block b = block_of(a, &plan, n);
        uint8_t *y = ret_y + b.first * size;
        for (size_t i = 0; i < a->m; i++, y += a->y_stride * size) {
            __m256i sums[PARTS];
            if (i < within) {
                sum_pixel(sums, &b, a, taps, steps, i, false, kind);
            } else {
                sum_pixel(sums, &b, a, taps, steps, i, true, kind);
            }
            finish_pixel(y, a->y.dtype, sums, &b);
        }
    }
}

#endif
