/* kernels_c.c: the reference kernels: slot 0 of every table, and the specification in C. See kernels.h.
 *
 * Sums are formed modulo 2^32 or 2^64 in unsigned arithmetic; the verifier's bound makes the residue the true value. */
#include "vm/tensor/kernels.h"

#include "base/util/assert.h"
#include "vm/tensor/round.h"

#define DEFINE_GEMM_C(name, type)                                                                  \
    static void name(int32_t *ret_acc, const type *x, const int8_t *w, const int32_t *bias,        \
                     struct sb_gemm_dims d, int32_t x_zero_point)                                  \
    {                                                                                              \
        for (size_t m = 0; m < d.m; m++) {                                                         \
            for (size_t n = 0; n < d.n; n++) {                                                     \
                uint32_t sum = (uint32_t)bias[n];                                                  \
                for (size_t k = 0; k < d.k; k++) {                                                 \
                    sum += (uint32_t)((x[m * d.k + k] - x_zero_point) * w[n * d.k + k]);           \
                }                                                                                  \
                ret_acc[m * d.n + n] = (int32_t)sum;                                               \
            }                                                                                      \
        }                                                                                          \
    }

DEFINE_GEMM_C(gemm_i8_c, int8_t)
DEFINE_GEMM_C(gemm_u8_c, uint8_t)
DEFINE_GEMM_C(gemm_i16_c, int16_t)
#undef DEFINE_GEMM_C

static void gemm_fx_c(int64_t *ret_acc, const int32_t *x, const int32_t *w, const int64_t *bias,
                      struct sb_gemm_dims d)
{
    for (size_t m = 0; m < d.m; m++) {
        for (size_t n = 0; n < d.n; n++) {
            uint64_t sum = (uint64_t)bias[n];
            for (size_t k = 0; k < d.k; k++) {
                sum += (uint64_t)((int64_t)x[m * d.k + k] * w[n * d.k + k]);
            }
            ret_acc[m * d.n + n] = (int64_t)sum;
        }
    }
}

static void requantise_c(void *ret_y, const int32_t *acc, const int32_t *mult, const uint8_t *shift,
                         size_t m, size_t n, size_t y_stride, const struct sb_requantise_params *p)
{
    for (size_t row = 0; row < m; row++) {
        for (size_t i = 0; i < n; i++) {
            int64_t y =
                sb_requantise(acc[row * n + i], mult[i], shift[i], p->zero_point, p->lo, p->hi);
            sb_narrow(sb_element_at_mut(ret_y, p->dtype, row * y_stride + i), p->dtype, &y, 1);
        }
    }
}

const struct sb_kernels sb_kernels_c = {
    .gemm_i8 = gemm_i8_c,
    .gemm_u8 = gemm_u8_c,
    .gemm_i16 = gemm_i16_c,
    .gemm_fx = gemm_fx_c,
    .requantise = requantise_c,
};

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
