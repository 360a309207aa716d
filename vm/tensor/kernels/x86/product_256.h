/* product_256.h: rows of x times packed weights, requantised in registers of 256 bits: the body of the levels avx2 and avx_vnni, which
 * differ in the dot product alone. Included once by each of their files.
 *
 *     tile of 4 rows x 16 outputs (avx_vnni: 6 x 16): the sums stay in registers
 *
 *         each step:   two vectors of weights   x   four bytes of each row, repeated over the lanes
 *
 * dot_256.h says why the sums are exact modulo 2^32. */
#ifndef SB_VM_TENSOR_KERNELS_X86_PRODUCT_256_H
#define SB_VM_TENSOR_KERNELS_X86_PRODUCT_256_H

#include <string.h>

#include "vm/tensor/kernels/functions.h"
#include "vm/tensor/kernels/pack.h"
#include "vm/tensor/kernels/x86/dot_256.h"
#include "vm/tensor/kernels/x86/requantise_avx2.h"

#define VECTORS    2u
#define STEP_BYTES 4u
#ifdef __AVXVNNI__
#define ROWS_MAX 6u
#else
#define ROWS_MAX 4u
#endif

/* Weights of 8 outputs for one step. */
INLINE __m256i load_weights(const int8_t *w, enum kind kind)
{
    if (kind == KIND_I16) {
        return _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(const void *)w));
    }
    return _mm256_loadu_si256((const __m256i *)(const void *)w);
}

/* bytes (1 to 4) of a row in every lane; bytes beyond are zero and meet zero weights. */
INLINE __m256i load_x(const uint8_t *x, size_t bytes, enum kind kind)
{
    int32_t four = 0;
    memcpy(&four, x, bytes);
    return flip(_mm256_set1_epi32(four), kind);
}

struct tile {
    const void *const *x; /* pointers of its first row; pieces are a->m apart */
    const int8_t *w;
    size_t first; /* output */
    uint8_t *y;
};

INLINE void step(__m256i sums[ROWS_MAX][VECTORS], const uint8_t *const *row, size_t at,
                 size_t bytes, const int8_t *w, size_t rows, enum kind kind)
{
    size_t vector_bytes = LANES * (kind == KIND_I16 ? 2 : 4);
    __m256i w0 = load_weights(w, kind);
    __m256i w1 = load_weights(w + vector_bytes, kind);
#pragma GCC unroll 6
    for (size_t r = 0; r < rows; r++) {
        __m256i x = load_x(row[r] + at, bytes, kind);
        sums[r][0] = dot(sums[r][0], x, w0, kind);
        sums[r][1] = dot(sums[r][1], x, w1, kind);
    }
}

/* Sums of a tile, rows being a constant where this is inlined. */
INLINE void multiply(__m256i sums[ROWS_MAX][VECTORS], const struct sb_product *a,
                     const struct tile *t, size_t rows, enum kind kind)
{
    size_t piece_bytes = a->piece_elements * (kind == KIND_I16 ? sizeof(int16_t) : 1);
    size_t whole_bytes = piece_bytes / STEP_BYTES * STEP_BYTES;
    size_t step_weights = VECTORS * LANES * (kind == KIND_I16 ? 2 : 4);
    const int8_t *w = t->w;
    for (size_t p = 0; p < a->pieces; p++) {
        const uint8_t *row[ROWS_MAX];
#pragma GCC unroll 6
        for (size_t r = 0; r < rows; r++) {
            row[r] = t->x[p * a->m + r];
        }
        for (size_t at = 0; at < whole_bytes; at += STEP_BYTES, w += step_weights) {
            step(sums, row, at, STEP_BYTES, w, rows, kind);
        }
        if (whole_bytes < piece_bytes) {
            step(sums, row, whole_bytes, piece_bytes - whole_bytes, w, rows, kind);
            w += step_weights;
        }
    }
}

/* count (1 to 8) elements to y. */
INLINE void store(uint8_t *ret_y, enum sb_dtype dtype, __m256i v, size_t count)
{
    if (count == LANES) {
        store_8_avx2(ret_y, dtype, v);
        return;
    }
    uint8_t y[LANES * sizeof(int32_t)];
    store_8_avx2(y, dtype, v);
    memcpy(ret_y, y, count * sb_dtype_bytes(dtype));
}

INLINE void run_tile(const struct sb_product *a, const struct tile *t, size_t rows, enum kind kind)
{
    __m256i sums[ROWS_MAX][VECTORS];
    size_t size = sb_dtype_bytes(a->y.dtype);
    struct finish_avx2 f = finish_avx2_of(&a->y);
#pragma GCC unroll 2
    for (size_t v = 0; v < VECTORS; v++) {
        const int32_t *start = a->packed->start + t->first + v * LANES;
#pragma GCC unroll 6
        for (size_t r = 0; r < rows; r++) {
            sums[r][v] = _mm256_loadu_si256((const __m256i *)(const void *)start);
        }
    }
    multiply(sums, a, t, rows, kind);
#pragma GCC unroll 2
    for (size_t v = 0; v < VECTORS; v++) {
        size_t column = t->first + v * LANES;
        if (column >= a->n) {
            break;
        }
        size_t count = a->n - column < LANES ? a->n - column : LANES;
        struct requantise_avx2 q =
            requantise_avx2_of(a->packed->mult + column, a->packed->shift + column);
#pragma GCC unroll 6
        for (size_t r = 0; r < rows; r++) {
            store(t->y + (r * a->y_stride + v * LANES) * size, a->y.dtype,
                  finish_avx2(sums[r][v], &q, &f), count);
        }
    }
}

/* All rows of x against 16 outputs. */
INLINE void run_panel(const struct sb_product *a, struct tile *t, enum kind kind)
{
    size_t row_bytes = a->y_stride * sb_dtype_bytes(a->y.dtype);
    for (size_t i = 0; i < a->m; i += ROWS_MAX) {
        switch (a->m - i < ROWS_MAX ? a->m - i : ROWS_MAX) {
        case 1:
            run_tile(a, t, 1, kind);
            break;
        case 2:
            run_tile(a, t, 2, kind);
            break;
        case 3:
            run_tile(a, t, 3, kind);
            break;
        case 4:
            run_tile(a, t, 4, kind);
            break;
#ifdef __AVXVNNI__
        case 5:
            run_tile(a, t, 5, kind);
            break;
        default:
            run_tile(a, t, 6, kind);
            break;
#endif
        }
        t->x += ROWS_MAX;
        t->y += ROWS_MAX * row_bytes;
    }
}

INLINE void product(void *ret_y, const void *const *x, const struct sb_product *a, enum kind kind)
{
    enum sb_dtype x_dtype = kind == KIND_I16 ? SB_DTYPE_I16 : SB_DTYPE_I8;
    size_t columns = sb_pack_columns(a->pieces * a->piece_elements, x_dtype);
    for (size_t first = 0; first < a->n; first += SB_PACK_ROWS) {
        struct tile t = {.x = x,
                         .w = a->packed->w + first * columns,
                         .first = first,
                         .y = (uint8_t *)ret_y + first * sb_dtype_bytes(a->y.dtype)};
        run_panel(a, &t, kind);
    }
}

#endif
