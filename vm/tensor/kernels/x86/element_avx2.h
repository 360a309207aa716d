/* element_avx2.h: element kernels for which compilers find no good code, written for AVX2 (and used by every level above). They fall back
 * on the loops of element_loops.h, included before, for what fills no vector. Everything here is static. */
#ifndef SB_VM_TENSOR_KERNELS_X86_ELEMENT_AVX2_H
#define SB_VM_TENSOR_KERNELS_X86_ELEMENT_AVX2_H

#include <immintrin.h>

static inline __m256i load_256(const void *x)
{
    return _mm256_loadu_si256((const __m256i *)x);
}

static inline __m128i load_128(const void *x)
{
    return _mm_loadu_si128((const __m128i *)x);
}

/* ---- tables ---- */

/* Sixteen shuffles, one for each sixteenth of the table: after 16 * k is taken off, indices of sixteenth k are 0 .. 15, and adding 0x70 with
 * saturation sets the top bit of all others, for which a shuffle gives 0. */
static void lookup8_avx2(uint8_t *restrict ret, const uint8_t *restrict x,
                         const uint8_t *restrict table, size_t count, uint8_t flip)
{
    const __m256i flips = _mm256_set1_epi8((char)flip);
    const __m256i step = _mm256_set1_epi8(16);
    const __m256i outside = _mm256_set1_epi8(0x70);
    __m256i parts[16];
    size_t i = 0;
    for (int k = 0; k < 16; k++) {
        parts[k] = _mm256_broadcastsi128_si256(load_128(table + 16 * k));
    }
    for (; i + 32 <= count; i += 32) {
        __m256i index = _mm256_xor_si256(load_256(x + i), flips);
        __m256i y = _mm256_shuffle_epi8(parts[0], _mm256_adds_epu8(index, outside));
        for (int k = 1; k < 16; k++) {
            index = _mm256_sub_epi8(index, step);
            __m256i found = _mm256_shuffle_epi8(parts[k], _mm256_adds_epu8(index, outside));
            y = _mm256_or_si256(y, found);
        }
        _mm256_storeu_si256((__m256i *)(void *)(ret + i), y);
    }
    lookup8(ret + i, x + i, table, count - i, flip);
}

/* A gather of 32 bits brings both neighbours; one multiply-add weighs them. */
static inline __m256i interpolate_8(__m256i u, const int16_t *table, __m256i weight_mask)
{
    __m256i pair = _mm256_i32gather_epi32((const int *)(const void *)table, _mm256_srli_epi32(u, 7),
                                          sizeof(int16_t));
    __m256i r = _mm256_and_si256(u, weight_mask);
    __m256i left = _mm256_sub_epi32(_mm256_set1_epi32(128), r);
    __m256i weights = _mm256_or_si256(_mm256_slli_epi32(r, 16), left);
    __m256i sum = _mm256_add_epi32(_mm256_madd_epi16(pair, weights), _mm256_set1_epi32(64));
    return _mm256_srai_epi32(sum, 7);
}

static void interpolate_avx2(int16_t *restrict ret, const int16_t *restrict x,
                             const int16_t *restrict table, size_t count, int16_t lo, int16_t hi)
{
    const __m256i flip = _mm256_set1_epi16(INT16_MIN);
    const __m256i mask = _mm256_set1_epi32(127);
    const __m256i least = _mm256_set1_epi16(lo);
    const __m256i most = _mm256_set1_epi16(hi);
    size_t i = 0;
    for (; i + 16 <= count; i += 16) {
        __m256i u = _mm256_xor_si256(load_256(x + i), flip);
        __m256i low = _mm256_cvtepu16_epi32(_mm256_castsi256_si128(u));
        __m256i high = _mm256_cvtepu16_epi32(_mm256_extracti128_si256(u, 1));
        __m256i y =
            _mm256_packs_epi32(interpolate_8(low, table, mask), interpolate_8(high, table, mask));
        y = _mm256_permute4x64_epi64(y, 0xd8);
        y = _mm256_min_epi16(_mm256_max_epi16(y, least), most);
        _mm256_storeu_si256((__m256i *)(void *)(ret + i), y);
    }
    interpolate(ret + i, x + i, table, count - i, lo, hi);
}

/* ---- transposes ---- */

/* Interleaving the halves of the list of rows log2(n) times transposes it: row i and row i + n/2 become rows 2i and 2i + 1. */
#define INTERLEAVE(rows, n, lower, upper)                                                          \
    do {                                                                                           \
        __m128i next[n];                                                                           \
        for (int i = 0; i < (n) / 2; i++) {                                                        \
            next[2 * i] = lower(rows[i], rows[i + (n) / 2]);                                       \
            next[2 * i + 1] = upper(rows[i], rows[i + (n) / 2]);                                   \
        }                                                                                          \
        memcpy(rows, next, sizeof next);                                                           \
    } while (0)

static inline void tile_1(uint8_t *ret, const uint8_t *x, struct sb_block_dims d)
{
    __m128i rows[16];
    for (size_t i = 0; i < 16; i++) {
        rows[i] = load_128(x + i * d.x_stride);
    }
    INTERLEAVE(rows, 16, _mm_unpacklo_epi8, _mm_unpackhi_epi8);
    INTERLEAVE(rows, 16, _mm_unpacklo_epi8, _mm_unpackhi_epi8);
    INTERLEAVE(rows, 16, _mm_unpacklo_epi8, _mm_unpackhi_epi8);
    INTERLEAVE(rows, 16, _mm_unpacklo_epi8, _mm_unpackhi_epi8);
    for (size_t i = 0; i < 16; i++) {
        _mm_storeu_si128((__m128i *)(void *)(ret + i * d.y_stride), rows[i]);
    }
}

static inline void tile_2(uint16_t *ret, const uint16_t *x, struct sb_block_dims d)
{
    __m128i rows[8];
    for (size_t i = 0; i < 8; i++) {
        rows[i] = load_128(x + i * d.x_stride);
    }
    INTERLEAVE(rows, 8, _mm_unpacklo_epi16, _mm_unpackhi_epi16);
    INTERLEAVE(rows, 8, _mm_unpacklo_epi16, _mm_unpackhi_epi16);
    INTERLEAVE(rows, 8, _mm_unpacklo_epi16, _mm_unpackhi_epi16);
    for (size_t i = 0; i < 8; i++) {
        _mm_storeu_si128((__m128i *)(void *)(ret + i * d.y_stride), rows[i]);
    }
}

static inline void tile_4(uint32_t *ret, const uint32_t *x, struct sb_block_dims d)
{
    __m128i rows[4];
    for (size_t i = 0; i < 4; i++) {
        rows[i] = load_128(x + i * d.x_stride);
    }
    INTERLEAVE(rows, 4, _mm_unpacklo_epi32, _mm_unpackhi_epi32);
    INTERLEAVE(rows, 4, _mm_unpacklo_epi32, _mm_unpackhi_epi32);
    for (size_t i = 0; i < 4; i++) {
        _mm_storeu_si128((__m128i *)(void *)(ret + i * d.y_stride), rows[i]);
    }
}

/* Bands of 64 bytes of x's rows, a line of the cache, go down tile by tile; the margins are left to the loops. */
#define DEFINE_TRANSPOSE_AVX2(size, type, side)                                                    \
    static void transpose_##size##_avx2(void *restrict ret, const void *restrict x,                \
                                        struct sb_block_dims d)                                    \
    {                                                                                              \
        const type *from = x;                                                                      \
        type *to = ret;                                                                            \
        const size_t rows = d.rows / (side) * (side);                                              \
        const size_t columns = d.columns / (side) * (side);                                        \
        const size_t band = 64 / (size);                                                           \
        for (size_t c0 = 0; c0 < columns; c0 += band) {                                            \
            size_t end = columns - c0 < band ? columns : c0 + band;                                \
            for (size_t r = 0; r < rows; r += (side)) {                                            \
                for (size_t c = c0; c < end; c += (side)) {                                        \
                    tile_##size(to + c * d.y_stride + r, from + r * d.x_stride + c, d);            \
                }                                                                                  \
            }                                                                                      \
        }                                                                                          \
        struct sb_block_dims right = d;                                                            \
        right.columns = d.columns - columns;                                                       \
        transpose_##size(to + columns * d.y_stride, from + columns, right);                        \
        struct sb_block_dims below = d;                                                            \
        below.rows = d.rows - rows;                                                                \
        below.columns = columns;                                                                   \
        transpose_##size(to + rows, from + rows * d.x_stride, below);                              \
    }
DEFINE_TRANSPOSE_AVX2(1, uint8_t, 16)
DEFINE_TRANSPOSE_AVX2(2, uint16_t, 8)
DEFINE_TRANSPOSE_AVX2(4, uint32_t, 4)
#undef DEFINE_TRANSPOSE_AVX2
#undef INTERLEAVE

#endif
