/* product_c.c: the reference of the products: the specification in C. See kernels.def.
 *
 * Signed sums are plain: the verifier has proven that no partial sum overflows, in any order, with or without its bias (numerics 4.2);
 * a sanitizer build sees it if that proof is ever wrong. Runs of x are centred (x - zero point) into int16 first, which lets compilers
 * use the multiply-add of 16-bit pairs that nearly every machine has. */
#include <string.h>

#include "vm/tensor/kernels/functions.h"

#define RUN_ELEMENTS 1024u
#define BLOCK        64u /* outputs at a time */
#define COLUMNS      16u
#define SHORT_K      48u /* rows up to this are multiplied output by output, see product_short */
#define SHORT_M      4u  /* from so many rows on */

static int32_t dot(const int16_t *a, const int8_t *b, size_t count)
{
    int32_t sum = 0;
    for (size_t i = 0; i < count; i++) {
        sum += a[i] * (int16_t)b[i];
    }
    return sum;
}

/* Sums of count outputs from row i of x; w and sums begin at the first of them. */
static void sum_block(int32_t *ret_sums, const void *const *x, const int8_t *w, size_t count,
                      const struct sb_product *a, enum sb_dtype x_dtype)
{
    int16_t run[RUN_ELEMENTS];
    size_t k = a->pieces * a->piece_elements;
    for (size_t p = 0; p < a->pieces; p++) {
        for (size_t first = 0; first < a->piece_elements; first += RUN_ELEMENTS) {
            size_t left = a->piece_elements - first;
            size_t elements = left < RUN_ELEMENTS ? left : RUN_ELEMENTS;
            const int8_t *weights = w + p * a->piece_elements + first;
            sb_centre(run, sb_element_at(x[p * a->m], x_dtype, first), x_dtype, a->x_zero_point,
                      elements);
            for (size_t n = 0; n < count; n++) {
                ret_sums[n] += dot(run, weights + n * k, elements);
            }
        }
    }
}

static void finish_block(void *ret_y, const int32_t *sums, const struct sb_product *a, size_t row,
                         size_t first, size_t count)
{
    sb_kernel_requantise_c(sb_element_at_mut(ret_y, a->y.dtype, row * a->y_stride + first), sums,
                           a->mult + first, a->shift + first, 1, count, count, &a->y);
}

/* columns is a multiple of COLUMNS. */
static void multiply_add(int32_t *sums, int16_t x, const int16_t *w, size_t columns)
{
    for (size_t n = 0; n < columns; n += COLUMNS) {
        for (size_t i = n; i < n + COLUMNS; i++) {
            sums[i] += x * w[i];
        }
    }
}

/* Where rows are short, a dot product costs more in its ends than in its middle. So the weights of a block are transposed, and every
 * element of a row is multiplied with those of all outputs of the block: full registers, whatever k is. */
static void product_short(void *ret_y, const void *const *x, const struct sb_product *a,
                          enum sb_dtype x_dtype)
{
    size_t k = a->pieces * a->piece_elements;
    int16_t w[SHORT_K][BLOCK];
    for (size_t first = 0; first < a->n; first += BLOCK) {
        size_t count = a->n - first < BLOCK ? a->n - first : BLOCK;
        size_t columns = (count + COLUMNS - 1) / COLUMNS * COLUMNS;
        memset(w, 0, k * sizeof w[0]);
        for (size_t n = 0; n < count; n++) {
            for (size_t i = 0; i < k; i++) {
                w[i][n] = a->w[(first + n) * k + i];
            }
        }
        for (size_t row = 0; row < a->m; row++) {
            int16_t run[SHORT_K];
            int32_t sums[BLOCK] = {0};
            memcpy(sums, a->bias + first, count * sizeof *sums);
            for (size_t p = 0; p < a->pieces; p++) {
                sb_centre(run + p * a->piece_elements, x[p * a->m + row], x_dtype, a->x_zero_point,
                          a->piece_elements);
            }
            for (size_t i = 0; i < k; i++) {
                multiply_add(sums, run[i], w[i], columns);
            }
            finish_block(ret_y, sums, a, row, first, count);
        }
    }
}

static void product_long(void *ret_y, const void *const *x, const struct sb_product *a,
                         enum sb_dtype x_dtype)
{
    size_t k = a->pieces * a->piece_elements;
    int32_t sums[BLOCK];
    for (size_t first = 0; first < a->n; first += BLOCK) {
        size_t count = a->n - first < BLOCK ? a->n - first : BLOCK;
        for (size_t row = 0; row < a->m; row++) {
            memcpy(sums, a->bias + first, count * sizeof *sums);
            sum_block(sums, x + row, a->w + first * k, count, a, x_dtype);
            finish_block(ret_y, sums, a, row, first, count);
        }
    }
}

static void product(void *ret_y, const void *const *x, const struct sb_product *a,
                    enum sb_dtype x_dtype)
{
    if (a->pieces * a->piece_elements <= SHORT_K && a->m >= SHORT_M) {
        product_short(ret_y, x, a, x_dtype);
    } else {
        product_long(ret_y, x, a, x_dtype);
    }
}

void sb_kernel_product_i8_c(void *ret_y, const void *const *x, const struct sb_product *a)
{
    product(ret_y, x, a, SB_DTYPE_I8);
}

void sb_kernel_product_u8_c(void *ret_y, const void *const *x, const struct sb_product *a)
{
    product(ret_y, x, a, SB_DTYPE_U8);
}

void sb_kernel_product_i16_c(void *ret_y, const void *const *x, const struct sb_product *a)
{
    product(ret_y, x, a, SB_DTYPE_I16);
}
