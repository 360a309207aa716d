/* product_avx512_vnni.c: rows of x times packed weights, requantised in registers.
 *
 *     tile of 6 rows x 64 outputs (8 x 48, 8 x 32, 8 x 16 for the last outputs): 24 sums of 16 lanes stay in registers
 *
 *         each step:   four vectors of weights   x   four bytes of each row, repeated over the lanes
 *
 * VPDPBUSD multiplies four unsigned bytes of x with four signed weights and adds all four products to a lane, without saturating; i8 is
 * made unsigned by flipping its top bit, which adds 128 (pack.h takes that off again). VPDPWSSD does the same for two int16. Both sums are
 * exact modulo 2^32.
 *
 * The two instructions are inline assembly: gcc 12 surrounds their intrinsics with copies of the accumulators, at half the speed. */
#include <string.h>

#include "vm/tensor/kernels/functions.h"
#include "vm/tensor/kernels/pack.h"
#include "vm/tensor/kernels/x86/requantise_avx512.h"

#define INLINE       static inline __attribute__((always_inline))
#define LANES        16u
#define VECTORS_MAX  4u
#define ROWS_MAX     8u
#define WIDE_ROWS    6u /* rows of a tile of four vectors */
#define STEP_BYTES   4u
#define FLIP_SIGN_X4 ((int32_t)0x80808080)

enum kind { KIND_I8, KIND_U8, KIND_I16 };

INLINE __m512i dot(__m512i sum, __m512i x, __m512i w, enum kind kind)
{
    if (kind == KIND_I16) {
        __asm__("vpdpwssd %2,%1,%0" : "+v"(sum) : "v"(x), "v"(w));
    } else {
        __asm__("vpdpbusd %2,%1,%0" : "+v"(sum) : "v"(x), "v"(w));
    }
    return sum;
}

/* Weights of 16 outputs for one step. */
INLINE __m512i load_weights(const int8_t *w, enum kind kind)
{
    if (kind == KIND_I16) {
        return _mm512_cvtepi8_epi16(_mm256_loadu_si256((const __m256i *)(const void *)w));
    }
    return _mm512_loadu_si512(w);
}

/* bytes (1 to 4) of a row in every lane; bytes beyond are zero and meet zero weights. */
INLINE __m512i load_x(const uint8_t *x, size_t bytes, enum kind kind)
{
    int32_t four = 0;
    memcpy(&four, x, bytes);
    __m512i v = _mm512_set1_epi32(four);
    return kind == KIND_I8 ? _mm512_xor_si512(v, _mm512_set1_epi32(FLIP_SIGN_X4)) : v;
}

struct tile {
    const void *const *x; /* pointers of its first row; pieces are a->m apart */
    const int8_t *w;
    size_t panel_bytes; /* from 16 outputs to the next */
    size_t first;       /* output */
    uint8_t *y;
};

INLINE void step(__m512i sums[ROWS_MAX][VECTORS_MAX], const uint8_t *const *row, size_t at,
                 size_t bytes, const int8_t *w, size_t panel_bytes, size_t rows, size_t vectors,
                 enum kind kind)
{
    __m512i weights[VECTORS_MAX];
#pragma GCC unroll 4
    for (size_t v = 0; v < vectors; v++) {
        weights[v] = load_weights(w + v * panel_bytes, kind);
    }
#pragma GCC unroll 8
    for (size_t r = 0; r < rows; r++) {
        __m512i x = load_x(row[r] + at, bytes, kind);
#pragma GCC unroll 4
        for (size_t v = 0; v < vectors; v++) {
            sums[r][v] = dot(sums[r][v], x, weights[v], kind);
        }
    }
}

/* Sums of a tile, rows and vectors being constants where this is inlined. */
INLINE void multiply(__m512i sums[ROWS_MAX][VECTORS_MAX], const struct sb_product *a,
                     const struct tile *t, size_t rows, size_t vectors, enum kind kind)
{
    size_t piece_bytes = a->piece_elements * (kind == KIND_I16 ? sizeof(int16_t) : 1);
    size_t whole_bytes = piece_bytes / STEP_BYTES * STEP_BYTES;
    size_t step_weights = LANES * (kind == KIND_I16 ? 2 : 4);
    const int8_t *w = t->w;
    for (size_t p = 0; p < a->pieces; p++) {
        const uint8_t *row[ROWS_MAX];
#pragma GCC unroll 8
        for (size_t r = 0; r < rows; r++) {
            row[r] = t->x[p * a->m + r];
        }
        for (size_t at = 0; at < whole_bytes; at += STEP_BYTES, w += step_weights) {
            step(sums, row, at, STEP_BYTES, w, t->panel_bytes, rows, vectors, kind);
        }
        if (whole_bytes < piece_bytes) {
            step(sums, row, whole_bytes, piece_bytes - whole_bytes, w, t->panel_bytes, rows,
                 vectors, kind);
            w += step_weights;
        }
    }
}

/* The sums of a tile, [rows][vectors], to y. One function for all tiles: inlined, it would be most of the code of each. */
static __attribute__((noinline)) void finish_tile(const struct sb_product *a, const struct tile *t,
                                                  const __m512i *sums, size_t rows, size_t vectors)
{
    size_t size = sb_dtype_bytes(a->y.dtype);
    struct finish_avx512 f = finish_avx512_of(&a->y);
    for (size_t v = 0; v < vectors; v++) {
        size_t column = t->first + v * LANES;
        size_t count = a->n - column;
        __mmask16 mask = count < LANES ? (__mmask16)((1u << count) - 1) : (__mmask16)-1;
        struct requantise_avx512 q =
            requantise_avx512_of(a->packed->mult + column, a->packed->shift + column, mask);
        uint8_t *y = t->y + v * LANES * size;
        for (size_t r = 0; r < rows; r++, y += a->y_stride * size) {
            store_16_avx512(y, a->y.dtype, finish_avx512(sums[r * vectors + v], &q, &f), mask);
        }
    }
}

INLINE void run_tile(const struct sb_product *a, const struct tile *t, size_t rows, size_t vectors,
                     enum kind kind)
{
    __m512i sums[ROWS_MAX][VECTORS_MAX];
    __m512i done[ROWS_MAX * VECTORS_MAX];
#pragma GCC unroll 4
    for (size_t v = 0; v < vectors; v++) {
        __m512i start = _mm512_loadu_si512(a->packed->start + t->first + v * LANES);
#pragma GCC unroll 8
        for (size_t r = 0; r < rows; r++) {
            sums[r][v] = start;
        }
    }
    multiply(sums, a, t, rows, vectors, kind);
#pragma GCC unroll 8
    for (size_t r = 0; r < rows; r++) {
#pragma GCC unroll 4
        for (size_t v = 0; v < vectors; v++) {
            done[r * vectors + v] = sums[r][v];
        }
    }
    finish_tile(a, t, done, rows, vectors);
}

/* All rows of x against 16 * vectors outputs. */
INLINE void run_panels(const struct sb_product *a, struct tile *t, size_t vectors, enum kind kind)
{
    size_t tile_rows = vectors == VECTORS_MAX ? WIDE_ROWS : ROWS_MAX;
    size_t row_bytes = a->y_stride * sb_dtype_bytes(a->y.dtype);
    for (size_t i = 0; i < a->m; i += tile_rows) {
        switch (a->m - i < tile_rows ? a->m - i : tile_rows) {
        case 1:
            run_tile(a, t, 1, vectors, kind);
            break;
        case 2:
            run_tile(a, t, 2, vectors, kind);
            break;
        case 3:
            run_tile(a, t, 3, vectors, kind);
            break;
        case 4:
            run_tile(a, t, 4, vectors, kind);
            break;
        case 5:
            run_tile(a, t, 5, vectors, kind);
            break;
        case 6:
            run_tile(a, t, 6, vectors, kind);
            break;
        case 7:
            run_tile(a, t, vectors == VECTORS_MAX ? 1 : 7, vectors, kind);
            break;
        default:
            run_tile(a, t, vectors == VECTORS_MAX ? 1 : 8, vectors, kind);
            break;
        }
        t->x += tile_rows;
        t->y += tile_rows * row_bytes;
    }
}

INLINE void product(void *ret_y, const void *const *x, const struct sb_product *a, enum kind kind)
{
    enum sb_dtype x_dtype = kind == KIND_I16 ? SB_DTYPE_I16 : SB_DTYPE_I8;
    size_t columns = sb_pack_columns(a->pieces * a->piece_elements, x_dtype);
    for (size_t first = 0; first < a->n; first += VECTORS_MAX * LANES) {
        size_t left = (a->n - first + LANES - 1) / LANES;
        struct tile t = {.x = x,
                         .w = a->packed->w + first * columns,
                         .panel_bytes = LANES * columns,
                         .first = first,
                         .y = (uint8_t *)ret_y + first * sb_dtype_bytes(a->y.dtype)};
        switch (left) {
        case 1:
            run_panels(a, &t, 1, kind);
            break;
        case 2:
            run_panels(a, &t, 2, kind);
            break;
        case 3:
            run_panels(a, &t, 3, kind);
            break;
        default:
            run_panels(a, &t, VECTORS_MAX, kind);
            break;
        }
    }
}

void sb_kernel_product_i8_avx512_vnni(void *ret_y, const void *const *x, const struct sb_product *a)
{
    if (a->packed == NULL) {
        sb_kernel_product_i8_c(ret_y, x, a);
        return;
    }
    product(ret_y, x, a, KIND_I8);
}

void sb_kernel_product_u8_avx512_vnni(void *ret_y, const void *const *x, const struct sb_product *a)
{
    if (a->packed == NULL) {
        sb_kernel_product_u8_c(ret_y, x, a);
        return;
    }
    product(ret_y, x, a, KIND_U8);
}

void sb_kernel_product_i16_avx512_vnni(void *ret_y, const void *const *x,
                                       const struct sb_product *a)
{
    if (a->packed == NULL) {
        sb_kernel_product_i16_c(ret_y, x, a);
        return;
    }
    product(ret_y, x, a, KIND_I16);
}
