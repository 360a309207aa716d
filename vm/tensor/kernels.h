/* kernels.h: the inner loops, behind a table of function pointers.
 *
 * sb_kernels_c is the reference: plain loops that are the specification (docs/spec/numerics.md). There is a constant table for each
 * CPU level; an entry that a level lacks is the function of a lower one. Each entry gives the same bytes as the reference for every
 * input that the verifier lets through. Kernels take plain arguments, allocate nothing and know no graph. docs/kernels.md */
#ifndef SB_VM_TENSOR_KERNELS_H
#define SB_VM_TENSOR_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#include "vm/tensor/kernels/element.h"
#include "vm/tensor/tensor.h"

/* Rows of the left matrix, rows of the right one (output columns), length of a dot product. */
struct sb_gemm_dims {
    size_t m;
    size_t n;
    size_t k;
};

/* How an output element ends: zero point, type, range (numerics 3.4). */
struct sb_requantise_params {
    enum sb_dtype dtype; /* of y: i8, u8, i16 or i32 */
    int32_t zero_point;
    int64_t lo;
    int64_t hi;
};

/* Weights arranged for the kernels of a CPU level (kernels/pack.h). */
struct sb_packed {
    const int8_t *w; /* [n / 16][k / t][16][t], t elements of four bytes of x; padded with zeros */
    const int32_t *start; /* [n up to 16]: what a sum begins with */
    const int32_t *mult;  /* [n up to 16] */
    const uint8_t *shift; /* [n up to 16] */
};

/* Most rows of one sb_product. */
#define SB_PRODUCT_ROWS_MAX 48u

/* Rows of x times rows of weights, requantised (numerics 5.1). A row of x is `pieces` runs of piece_elements each, anywhere in memory, so
 * that a convolution need not copy its windows; x[p * m + i] points at piece p of row i. */
struct sb_product {
    size_t m; /* 1 .. SB_PRODUCT_ROWS_MAX */
    size_t n;
    size_t pieces;
    size_t piece_elements; /* whole groups of four bytes if there are several pieces */
    size_t y_stride;       /* elements between rows of y */
    int32_t x_zero_point;
    const int8_t *w; /* [n][pieces * piece_elements], in [-127, 127] */
    const int32_t *bias;
    const int32_t *mult;
    const uint8_t *shift;
    const struct sb_packed *packed; /* of the table's level, or NULL: the reference does it */
    struct sb_requantise_params y;
};

/* A function of one element: q26 by mult and shift, out_shift and the range of y. */
enum sb_function_kind {
    SB_FUNCTION_EXP,
    SB_FUNCTION_SIGMOID,
    SB_FUNCTION_TANH,
};

struct sb_function {
    enum sb_function_kind kind;
    uint32_t mult;      /* 1 .. 2^31 - 1 */
    unsigned shift;     /* 0 .. 62 */
    unsigned out_shift; /* 0 .. 31 */
    int32_t lo;
    int32_t hi;
};

/* Bytes that are readable behind a pixel of padding. */
#define SB_DEPTHWISE_PAD_BYTES 64u

/* A row of pixels of a depthwise convolution (numerics 5.2, as many groups as channels). */
struct sb_depthwise {
    size_t m;
    size_t taps;
    size_t channels;
    size_t multiplier; /* outputs of each channel */
    size_t y_stride;   /* elements between pixels of y */
    int32_t x_zero_point;
    const int8_t *w; /* [channels * multiplier][taps], in [-127, 127] */
    const int32_t *bias;
    const int32_t *mult;
    const uint8_t *shift;
    const struct sb_packed
        *packed; /* by sb_pack_depthwise for the table's level, or NULL: the reference does it */
    const uint8_t
        *x_end; /* end of the memory of x: kernels may read over a pixel's end, but not over this */
    struct sb_requantise_params y;
};

/* The CPU levels (kernels/cpu.h says which a machine has). */
enum sb_cpu_level {
#define SB_CPU_LEVEL(name, symbol, needs) SB_CPU_LEVEL_##name,
#include "vm/tensor/kernels/levels.def"
#undef SB_CPU_LEVEL
    SB_CPU_LEVEL_COUNT
};

/* What each does: kernels.def. */
struct sb_kernels {
    enum sb_cpu_level level;
#define SB_KERNEL(name, parameters, avx2, avx_vnni, avx512_vnni) void(*name) parameters;
#include "vm/tensor/kernels.def"
#undef SB_KERNEL
    const struct sb_element_kernels *element; /* the light loops: kernels/element.h */
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
