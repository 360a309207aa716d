/* product_c.c: the reference of the products: the specification in C. See kernels.def.
 *
 * Signed sums are plain: the verifier has proven that no partial sum overflows, in any order, with or without its bias (numerics 4.2);
 * a sanitizer build sees it if that proof is ever wrong. Runs of x are centred (x - zero point) into int16 first, which lets compilers
 * use the multiply-add of 16-bit pairs that nearly every machine has. */
#include <string.h>

#include "vm/tensor/kernels/functions.h"

#define RUN_ELEMENTS 1024u
#define BLOCK        128u /* outputs at a time */

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

static void product(void *ret_y, const void *const *x, const struct sb_product *a,
                    enum sb_dtype x_dtype)
{
    size_t k = a->pieces * a->piece_elements;
    int32_t sums[BLOCK];
    for (size_t n = 0; n < a->n; n += BLOCK) {
        size_t count = a->n - n < BLOCK ? a->n - n : BLOCK;
        for (size_t i = 0; i < a->m; i++) {
            memcpy(sums, a->bias + n, count * sizeof *sums);
            sum_block(sums, x + i, a->w + n * k, count, a, x_dtype);
            sb_kernel_requantise_c(sb_element_at_mut(ret_y, a->y.dtype, i * a->y_stride + n), sums,
                                   a->mult + n, a->shift + n, 1, count, count, &a->y);
        }
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
