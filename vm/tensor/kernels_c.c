/* kernels_c.c: the reference kernels: the specification in C. See kernels.h and kernels.def.
 *
 * Signed sums are plain: the verifier has proven that no partial sum overflows, in any order, with or without its bias (numerics 4.2);
 * a sanitizer build sees it if that proof is ever wrong. Rows of x are centred (x - zero point) into int16 first, which lets compilers use
 * the multiply-add of 16-bit pairs that nearly every machine has. */
#include "vm/tensor/kernels.h"

#include <string.h>

#include "base/util/assert.h"
#include "vm/tensor/kernels/functions.h"
#include "vm/tensor/round.h"

#define ROW_BLOCK        1024u
#define REQUANTISE_BLOCK 64u

static int32_t dot(const int16_t *a, const int8_t *b, size_t count)
{
    int32_t sum = 0;
    for (size_t i = 0; i < count; i++) {
        sum += a[i] * (int16_t)b[i];
    }
    return sum;
}

/* i16 tensors have zero point 0, so every difference fits int16. */
#define DEFINE_GEMM_C(name, type)                                                                  \
    void name(int32_t *ret_acc, const type *x, const int8_t *w, const int32_t *bias,               \
              struct sb_gemm_dims d, int32_t x_zero_point)                                         \
    {                                                                                              \
        int16_t row[ROW_BLOCK];                                                                    \
        for (size_t m = 0; m < d.m; m++) {                                                         \
            int32_t *acc = ret_acc + m * d.n;                                                      \
            memcpy(acc, bias, d.n * sizeof *acc);                                                  \
            for (size_t first = 0; first < d.k; first += ROW_BLOCK) {                              \
                size_t count = d.k - first < ROW_BLOCK ? d.k - first : ROW_BLOCK;                  \
                for (size_t i = 0; i < count; i++) {                                               \
                    row[i] = (int16_t)(x[m * d.k + first + i] - x_zero_point);                     \
                }                                                                                  \
                for (size_t n = 0; n < d.n; n++) {                                                 \
                    acc[n] += dot(row, w + n * d.k + first, count);                                \
                }                                                                                  \
            }                                                                                      \
        }                                                                                          \
    }

DEFINE_GEMM_C(sb_kernel_gemm_i8_c, int8_t)
DEFINE_GEMM_C(sb_kernel_gemm_u8_c, uint8_t)
DEFINE_GEMM_C(sb_kernel_gemm_i16_c, int16_t)
#undef DEFINE_GEMM_C

void sb_kernel_gemm_fx_c(int64_t *ret_acc, const int32_t *x, const int32_t *w, const int64_t *bias,
                         struct sb_gemm_dims d)
{
    for (size_t m = 0; m < d.m; m++) {
        for (size_t n = 0; n < d.n; n++) {
            int64_t sum = bias[n];
            for (size_t k = 0; k < d.k; k++) {
                sum += (int64_t)x[m * d.k + k] * w[n * d.k + k];
            }
            ret_acc[m * d.n + n] = sum;
        }
    }
}

void sb_kernel_requantise_c(void *ret_y, const int32_t *acc, const int32_t *mult,
                            const uint8_t *shift, size_t m, size_t n, size_t y_stride,
                            const struct sb_requantise_params *p)
{
    int64_t y[REQUANTISE_BLOCK];
    for (size_t row = 0; row < m; row++) {
        for (size_t first = 0; first < n; first += REQUANTISE_BLOCK) {
            size_t count = n - first < REQUANTISE_BLOCK ? n - first : REQUANTISE_BLOCK;
            const int32_t *sums = acc + row * n + first;
            for (size_t i = 0; i < count; i++) {
                y[i] = sb_requantise(sums[i], mult[first + i], shift[first + i], p->zero_point,
                                     p->lo, p->hi);
            }
            sb_narrow(sb_element_at_mut(ret_y, p->dtype, row * y_stride + first), p->dtype, y,
                      count);
        }
    }
}

#define CENTRE_LOOP(type)                                                                          \
    for (size_t i = 0; i < count; i++) {                                                           \
        ret_values[i] = (int16_t)(((const type *)x)[i] - zero_point);                              \
    }

void sb_centre(int16_t *ret_values, const void *x, enum sb_dtype dtype, int32_t zero_point,
               size_t count)
{
    if (dtype == SB_DTYPE_I8) {
        CENTRE_LOOP(int8_t);
    } else if (dtype == SB_DTYPE_U8) {
        CENTRE_LOOP(uint8_t);
    } else {
        SB_ASSERT(dtype == SB_DTYPE_I16 && zero_point == 0);
        CENTRE_LOOP(int16_t);
    }
}

#define WIDEN_LOOP(type)                                                                           \
    for (size_t i = 0; i < count; i++) {                                                           \
        ret_values[i] = ((const type *)elements)[i];                                               \
    }                                                                                              \
    return

void sb_widen(int64_t *ret_values, const void *elements, enum sb_dtype dtype, size_t count)
{
    switch (dtype) {
    case SB_DTYPE_I8:
        WIDEN_LOOP(int8_t);
    case SB_DTYPE_U8:
    case SB_DTYPE_BOOL:
        WIDEN_LOOP(uint8_t);
    case SB_DTYPE_I16:
        WIDEN_LOOP(int16_t);
    case SB_DTYPE_U16:
        WIDEN_LOOP(uint16_t);
    case SB_DTYPE_I32:
        WIDEN_LOOP(int32_t);
    case SB_DTYPE_I64:
        WIDEN_LOOP(int64_t);
    case SB_DTYPE_NONE:
    case SB_DTYPE_COUNT:
        break;
    }
    SB_UNREACHABLE();
}

#define NARROW_LOOP(type)                                                                          \
    for (size_t i = 0; i < count; i++) {                                                           \
        ((type *)ret_elements)[i] = (type)values[i];                                               \
    }                                                                                              \
    return

void sb_narrow(void *ret_elements, enum sb_dtype dtype, const int64_t *values, size_t count)
{
    switch (dtype) {
    case SB_DTYPE_I8:
        NARROW_LOOP(int8_t);
    case SB_DTYPE_U8:
    case SB_DTYPE_BOOL:
        NARROW_LOOP(uint8_t);
    case SB_DTYPE_I16:
        NARROW_LOOP(int16_t);
    case SB_DTYPE_U16:
        NARROW_LOOP(uint16_t);
    case SB_DTYPE_I32:
        NARROW_LOOP(int32_t);
    case SB_DTYPE_I64:
        NARROW_LOOP(int64_t);
    case SB_DTYPE_NONE:
    case SB_DTYPE_COUNT:
        break;
    }
    SB_UNREACHABLE();
}
