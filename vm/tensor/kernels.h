/* kernels.h: the inner loops, behind a table of function pointers.
 *
 * sb_kernels_c is the reference: plain loops that are the specification (docs/spec/numerics.md). Other tables are copies of it in
 * which some entries are replaced for an instruction set; each entry must give the same bytes as the reference for every input that
 * the verifier lets through. Kernels take plain arguments, allocate nothing and know no graph. */
#ifndef SB_VM_TENSOR_KERNELS_H
#define SB_VM_TENSOR_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#include "vm/tensor/tensor.h"

/* Rows of the left matrix, rows of the right one (output columns), length of a dot product. */
struct sb_gemm_dims {
    size_t m;
    size_t n;
    size_t k;
};

/* A depthwise window: elements of it, channels of x, outputs for each channel. */
struct sb_depthwise_dims {
    size_t taps;
    size_t channels;
    size_t multiplier;
};

struct sb_requantise_params {
    enum sb_dtype dtype; /* of y: i8, u8, i16 or i32 */
    int32_t zero_point;
    int64_t lo;
    int64_t hi;
};

struct sb_kernels {
    /* gemm_*: ret_acc[m][n] = bias[n] + sum_k (x[m][k] - x_zero_point) * w[n][k], exact: the verifier has proven that neither the
     * sum nor any part of it leaves int32. x row-major, w one row an output, in [-127, 127]. */
    void (*gemm_i8)(int32_t *ret_acc, const int8_t *x, const int8_t *w, const int32_t *bias,
                    struct sb_gemm_dims d, int32_t x_zero_point);
    void (*gemm_u8)(int32_t *ret_acc, const uint8_t *x, const int8_t *w, const int32_t *bias,
                    struct sb_gemm_dims d, int32_t x_zero_point);
    void (*gemm_i16)(int32_t *ret_acc, const int16_t *x, const int8_t *w, const int32_t *bias,
                     struct sb_gemm_dims d, int32_t x_zero_point);
    /* gemm_fx: the same with 32-bit operands and 64-bit sums, no zero point. */
    void (*gemm_fx)(int64_t *ret_acc, const int32_t *x, const int32_t *w, const int64_t *bias,
                    struct sb_gemm_dims d);
    /* depthwise: one output pixel: ret_acc[o] = bias[o] + sum_t patch[t][o / multiplier] * w[t][o], o < channels * multiplier; patch holds
     * the window's elements without their zero point, w the weights tap by tap. Exact as gemm. */
    void (*depthwise)(int32_t *ret_acc, const int16_t *patch, const int16_t *w, const int32_t *bias,
                      struct sb_depthwise_dims d);
    /* requantise: ret_y[m][y_stride ...] from acc[m][n], channel by channel (numerics 3.2). ret_y points at the first element of the
     * first row, y_stride counts elements between rows. */
    void (*requantise)(void *ret_y, const int32_t *acc, const int32_t *mult, const uint8_t *shift,
                       size_t m, size_t n, size_t y_stride, const struct sb_requantise_params *p);
};

extern const struct sb_kernels sb_kernels_c;

/* sb_centre: x - zero_point of count elements of i8, u8 or i16 (zero point 0), as int16. */
void sb_centre(int16_t *ret_values, const void *x, enum sb_dtype dtype, int32_t zero_point,
               size_t count);

/* sb_widen, sb_narrow: count elements of a type from and to int64; values fit the type. */
void sb_widen(int64_t *ret_values, const void *elements, enum sb_dtype dtype, size_t count);
void sb_narrow(void *ret_elements, enum sb_dtype dtype, const int64_t *values, size_t count);

/* sb_element_at: the address of element number index. */
static inline const void *sb_element_at(const void *elements, enum sb_dtype dtype, size_t index)
{
    return (const uint8_t *)elements + index * sb_dtype_bytes(dtype);
}

static inline void *sb_element_at_mut(void *elements, enum sb_dtype dtype, size_t index)
{
    return (uint8_t *)elements + index * sb_dtype_bytes(dtype);
}

#endif
