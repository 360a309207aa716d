/* depthwise_c.c: the reference of the depthwise convolutions: the specification in C. See kernels.def. Sums are plain, as in product_c.c. */
#include <string.h>

#include "vm/tensor/kernels/functions.h"

#define BLOCK 64u /* channels at a time */
#define TAPS_KEPT                                                                                  \
    16u /* windows up to this have their weights transposed once a call, not once a pixel */

/* Output j of the channels first .. first + count - 1: the ends of their sums, and the weights by tap. */
struct group {
    size_t first;
    size_t count;
    size_t j;
    int32_t bias[BLOCK];
    int32_t mult[BLOCK];
    uint8_t shift[BLOCK];
    int16_t w[TAPS_KEPT][BLOCK];
};

static void load_weights(int16_t *ret_w, const struct sb_depthwise *a, const struct group *g,
                         size_t tap)
{
    const int8_t *w = a->w + (g->first * a->multiplier + g->j) * a->taps + tap;
    for (size_t c = 0; c < g->count; c++) {
        ret_w[c] = w[c * a->multiplier * a->taps];
    }
}

static void load_group(struct group *ret, const struct sb_depthwise *a, size_t first, size_t j)
{
    ret->first = first;
    ret->count = a->channels - first < BLOCK ? a->channels - first : BLOCK;
    ret->j = j;
    for (size_t c = 0; c < ret->count; c++) {
        size_t o = (first + c) * a->multiplier + j;
        ret->bias[c] = a->bias[o];
        ret->mult[c] = a->mult[o];
        ret->shift[c] = a->shift[o];
    }
    for (size_t t = 0; a->taps <= TAPS_KEPT && t < a->taps; t++) {
        load_weights(ret->w[t], a, ret, t);
    }
}

#define MULTIPLY_ADD(type)                                                                         \
    for (size_t c = 0; c < count; c++) {                                                           \
        sums[c] += (int16_t)(((const type *)x)[c] - zero_point) * w[c];                            \
    }

/* i16 has zero point 0, so every difference fits int16. */
static void multiply_add(int32_t *sums, const void *x, enum sb_dtype x_dtype, int32_t zero_point,
                         const int16_t *w, size_t count)
{
    if (x_dtype == SB_DTYPE_I8) {
        MULTIPLY_ADD(int8_t)
    } else if (x_dtype == SB_DTYPE_U8) {
        MULTIPLY_ADD(uint8_t)
    } else {
        MULTIPLY_ADD(int16_t)
    }
}

/* The outputs of a group to y, whose element 0 is that of channel `first` and output 0: they are `multiplier` apart. */
static void finish(uint8_t *ret_y, const int32_t *sums, const struct group *g,
                   const struct sb_depthwise *a)
{
    size_t size = sb_dtype_bytes(a->y.dtype);
    uint8_t y[BLOCK * sizeof(int32_t)];
    void *to = a->multiplier == 1 ? ret_y : y;
    sb_kernel_requantise_c(to, sums, g->mult, g->shift, 1, g->count, g->count, &a->y);
    for (size_t c = 0; a->multiplier > 1 && c < g->count; c++) {
        memcpy(ret_y + (c * a->multiplier + g->j) * size, y + c * size, size);
    }
}

static void depthwise(void *ret_y, const void *const *taps, const size_t *steps,
                      const struct sb_depthwise *a, enum sb_dtype x_dtype)
{
    struct group g;
    for (size_t first = 0; first < a->channels; first += BLOCK) {
        for (size_t j = 0; j < a->multiplier; j++) {
            load_group(&g, a, first, j);
            for (size_t i = 0; i < a->m; i++) {
                int32_t sums[BLOCK];
                memcpy(sums, g.bias, sizeof sums);
                for (size_t t = 0; t < a->taps; t++) {
                    int16_t *w = g.w[a->taps <= TAPS_KEPT ? t : 0];
                    if (a->taps > TAPS_KEPT) {
                        load_weights(w, a, &g, t);
                    }
                    const uint8_t *x = (const uint8_t *)taps[t] + i * steps[t];
                    multiply_add(sums, sb_element_at(x, x_dtype, first), x_dtype, a->x_zero_point,
                                 w, g.count);
                }
                size_t o = i * a->y_stride + first * a->multiplier;
                finish(sb_element_at_mut(ret_y, a->y.dtype, o), sums, &g, a);
            }
        }
    }
}

void sb_kernel_depthwise_i8_c(void *ret_y, const void *const *taps, const size_t *steps,
                              const struct sb_depthwise *a)
{
    depthwise(ret_y, taps, steps, a, SB_DTYPE_I8);
}

void sb_kernel_depthwise_u8_c(void *ret_y, const void *const *taps, const size_t *steps,
                              const struct sb_depthwise *a)
{
    depthwise(ret_y, taps, steps, a, SB_DTYPE_U8);
}

void sb_kernel_depthwise_i16_c(void *ret_y, const void *const *taps, const size_t *steps,
                               const struct sb_depthwise *a)
{
    depthwise(ret_y, taps, steps, a, SB_DTYPE_I16);
}
