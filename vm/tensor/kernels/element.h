/* element.h: the inner loops of everything that works element by element: loads, stores, sums, products, clamps, tables, pools,
 * blocked transposes. Part of struct sb_kernels; the rules of kernels.h hold.
 *
 *     i8|u8|i16|u16|i32 --load (less zero point)--> int32 lanes --add, mul, rescale--> int32 lanes --store--> type of y
 *
 * Lanes are int32 because every operand fits them; the sum before the shift is formed in 32 bits where the proven bounds allow, else in
 * 64 (enum sb_reach). Arrays never overlap. */
#ifndef SB_VM_TENSOR_KERNELS_ELEMENT_H
#define SB_VM_TENSOR_KERNELS_ELEMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vm/tensor/tensor.h"

/* How far the value before the shift may reach, its rounding half included; what follows from the bounds that the verifier proved. */
enum sb_reach {
    SB_REACH_I32,  /* it fits int32 */
    SB_REACH_DOWN, /* it fits int64 and, once shifted, int32 */
    SB_REACH_I64,  /* it fits int64 */
};

/* y = clamp(((a * mult_a + b * mult_b + half) >> shift) + zero_point, lo, hi); operators with one product leave mult_b 0. */
struct sb_affine {
    int32_t mult_a;
    int32_t mult_b;
    unsigned shift; /* 0 .. 62 */
    enum sb_reach reach;
    bool product_fits; /* mul: a * b fits int32 */
    int32_t zero_point;
    int32_t lo;
    int32_t hi;
};

/* Rows and columns of what is transposed; strides in elements between rows of x and of y. */
struct sb_block_dims {
    size_t rows;
    size_t columns;
    size_t x_stride;
    size_t y_stride;
};

struct sb_element_kernels {
    /* load: count elements of a type without their zero point. store: the same back; values fit the type and hold its zero point.
     * By element type; NULL for those that are not i8, u8, i16, u16 or i32. */
    void (*load[SB_DTYPE_COUNT])(int32_t *ret, const void *x, size_t count, int32_t zero_point);
    void (*store[SB_DTYPE_COUNT])(void *ret, const int32_t *values, size_t count);
    /* add: numerics 6.1. mul: 6.2, (a * b) * mult_a. rescale: 6.4, a * mult_a. */
    void (*add)(int32_t *ret, const int32_t *a, const int32_t *b, size_t count,
                const struct sb_affine *p);
    void (*mul)(int32_t *ret, const int32_t *a, const int32_t *b, size_t count,
                const struct sb_affine *p);
    void (*rescale)(int32_t *ret, const int32_t *a, size_t count, const struct sb_affine *p);
    /* clamp: 6.3, by type (all of them); lo and hi are of the type. */
    void (*clamp[SB_DTYPE_COUNT])(void *ret, const void *x, size_t count, int64_t lo, int64_t hi);
    /* lookup: ret[i] = table[x[i] ^ flip] with 256 entries of 1, 2 or 4 bytes; flip 0x80 makes an index of an int8. */
    void (*lookup8)(uint8_t *ret, const uint8_t *x, const uint8_t *table, size_t count,
                    uint8_t flip);
    void (*lookup16)(uint16_t *ret, const uint8_t *x, const uint16_t *table, size_t count,
                     uint8_t flip);
    void (*lookup32)(uint32_t *ret, const uint8_t *x, const uint32_t *table, size_t count,
                     uint8_t flip);
    /* interpolate: 8.2; table of 513. */
    void (*interpolate)(int16_t *ret, const int16_t *x, const int16_t *table, size_t count,
                        int16_t lo, int16_t hi);
    /* pool_max: ret[i] = max(ret[i], x[i]), by type (i8, u8, i16, i32). pool_sum: ret[i] += x[i], into int32 (i8, u8, i16), where the
     * caller knows that the sum fits. */
    void (*pool_max[SB_DTYPE_COUNT])(void *ret, const void *x, size_t count);
    void (*pool_sum[SB_DTYPE_COUNT])(int32_t *ret, const void *x, size_t count);
    /* transpose: ret[column * y_stride + row] = x[row * x_stride + column], elements of 1, 2, 4 or 8 bytes: number log2(bytes). */
    void (*transpose[4])(void *ret, const void *x, struct sb_block_dims d);
};

extern const struct sb_element_kernels sb_element_kernels_c;
/* On x86-64 only. */
extern const struct sb_element_kernels sb_element_kernels_avx2;
extern const struct sb_element_kernels sb_element_kernels_avx512_vnni;

#endif
