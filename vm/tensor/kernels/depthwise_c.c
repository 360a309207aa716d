/* depthwise_c.c: the reference of the depthwise convolutions: the specification in C. See kernels.def. Sums are plain, as in product_c.c. */
#include <string.h>

#include "vm/tensor/kernels/functions.h"

#define BLOCK 128u /* outputs at a time */
#define TAPS_KEPT                                                                                  \
    16u /* windows up to this have their weights transposed once a call, not once a pixel */

/* The weights of one tap for the outputs first .. first + count - 1, as int16. */
static void weights_of(int16_t *ret_w, const struct sb_depthwise *a, size_t tap, size_t first,
                       size_t count)
{
    const int8_t *w = a->w + first * a->taps + tap;
    for (size_t o = 0; o < count; o++) {
        ret_w[o] = w[o * a->taps];
    }
}

/* Centred x of the outputs first .. first + count - 1, each channel `multiplier` times. */
static void window_of(int16_t *ret_x, const void *x, enum sb_dtype x_dtype,
                      const struct sb_depthwise *a, size_t first, size_t count)
{
    if (a->multiplier == 1) {
        sb_centre(ret_x, sb_element_at(x, x_dtype, first), x_dtype, a->x_zero_point, count);
        return;
    }
    int16_t channels[BLOCK];
    size_t channel = first / a->multiplier;
    size_t last = (first + count - 1) / a->multiplier;
    size_t next = (channel + 1) * a->multiplier - first; /* where the next channel begins */
    sb_centre(channels, sb_element_at(x, x_dtype, channel), x_dtype, a->x_zero_point,
              last - channel + 1);
    for (size_t o = 0, c = 0; o < count; c++, next += a->multiplier) {
        for (; o < next && o < count; o++) {
            ret_x[o] = channels[c];
        }
    }
}

static void multiply_add(int32_t *sums, const int16_t *x, const int16_t *w, size_t count)
{
    for (size_t o = 0; o < count; o++) {
        sums[o] += x[o] * w[o];
    }
}

static void depthwise(void *ret_y, const void *const *taps, const size_t *steps,
                      const struct sb_depthwise *a, enum sb_dtype x_dtype)
{
    size_t outputs = a->channels * a->multiplier;
    int16_t w[TAPS_KEPT][BLOCK];
    bool kept = a->taps <= TAPS_KEPT;
    for (size_t first = 0; first < outputs; first += BLOCK) {
        size_t count = outputs - first < BLOCK ? outputs - first : BLOCK;
        for (size_t t = 0; kept && t < a->taps; t++) {
            weights_of(w[t], a, t, first, count);
        }
        for (size_t i = 0; i < a->m; i++) {
            int32_t sums[BLOCK];
            int16_t x[BLOCK];
            memcpy(sums, a->bias + first, count * sizeof *sums);
            for (size_t t = 0; t < a->taps; t++) {
                int16_t *weights = w[kept ? t : 0];
                if (!kept) {
                    weights_of(weights, a, t, first, count);
                }
                window_of(x, (const uint8_t *)taps[t] + i * steps[t], x_dtype, a, first, count);
                multiply_add(sums, x, weights, count);
            }
            sb_kernel_requantise_c(sb_element_at_mut(ret_y, a->y.dtype, i * a->y_stride + first),
                                   sums, a->mult + first, a->shift + first, 1, count, count, &a->y);
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
