/* element_loops.h: the loops of element.h as templates: plain C without branches on data, which compilers turn into whatever lanes the
 * machine has. Included once by the file of each level, which is compiled with that level's flags; the levels' bytes agree because their
 * source does. Everything here is static.
 *
 * A right shift of a signed sum is an unsigned one: with bias = 2^63 added, floor((v + bias) / 2^s) = floor(v / 2^s) + 2^(63 - s). */
#ifndef SB_VM_TENSOR_KERNELS_ELEMENT_LOOPS_H
#define SB_VM_TENSOR_KERNELS_ELEMENT_LOOPS_H

#include <string.h>

#include "vm/tensor/kernels/element.h"

/* ---- loads and stores ---- */

#define DEFINE_LOAD_STORE(name, type)                                                              \
    static void load_##name(int32_t *restrict ret, const void *restrict x, size_t count,           \
                            int32_t zero_point)                                                    \
    {                                                                                              \
        const type *from = x;                                                                      \
        for (size_t i = 0; i < count; i++) {                                                       \
            ret[i] = (int32_t)from[i] - zero_point;                                                \
        }                                                                                          \
    }                                                                                              \
    static void store_##name(void *restrict ret, const int32_t *restrict values, size_t count)     \
    {                                                                                              \
        type *to = ret;                                                                            \
        for (size_t i = 0; i < count; i++) {                                                       \
            to[i] = (type)values[i];                                                               \
        }                                                                                          \
    }
DEFINE_LOAD_STORE(i8, int8_t)
DEFINE_LOAD_STORE(u8, uint8_t)
DEFINE_LOAD_STORE(i16, int16_t)
DEFINE_LOAD_STORE(u16, uint16_t)
DEFINE_LOAD_STORE(i32, int32_t)
#undef DEFINE_LOAD_STORE

/* ---- shift, zero point, clamp ---- */

struct ending {
    uint64_t bias; /* the rounding half, and 2^63 unless the shift is 0 */
    unsigned shift;
    uint64_t offset; /* what the bias leaves in the result */
    int64_t lo;      /* of the result with the offset, without the zero point */
    int64_t hi;
    int32_t lo_i32; /* without either */
    int32_t hi_i32;
    int32_t zero_point;
};

static inline struct ending ending_of(const struct sb_affine *p)
{
    uint64_t top = p->shift == 0 ? 0 : (uint64_t)1 << 63;
    struct ending e = {
        .bias = p->shift == 0 ? 0 : top + ((uint64_t)1 << (p->shift - 1)),
        .shift = p->shift,
        .offset = top >> p->shift,
        .lo_i32 = p->lo - p->zero_point,
        .hi_i32 = p->hi - p->zero_point,
        .zero_point = p->zero_point,
    };
    e.lo = (int64_t)(e.offset + (uint64_t)(int64_t)e.lo_i32);
    e.hi = (int64_t)(e.offset + (uint64_t)(int64_t)e.hi_i32);
    return e;
}

static inline int32_t clamp_i32(int32_t v, int32_t lo, int32_t hi)
{
    v = v < lo ? lo : v;
    return v > hi ? hi : v;
}

/* SB_REACH_I64 */
static inline int32_t end_i64(int64_t v, const struct ending *e)
{
    int64_t u = (int64_t)(((uint64_t)v + e->bias) >> e->shift);
    u = u < e->lo ? e->lo : u;
    u = u > e->hi ? e->hi : u;
    return (int32_t)((uint32_t)u - (uint32_t)e->offset + (uint32_t)e->zero_point);
}

/* SB_REACH_DOWN */
static inline int32_t end_down(int64_t v, const struct ending *e)
{
    uint32_t u = (uint32_t)(((uint64_t)v + e->bias) >> e->shift);
    return clamp_i32((int32_t)(u - (uint32_t)e->offset), e->lo_i32, e->hi_i32) + e->zero_point;
}

/* SB_REACH_I32: the bias is that of 32 bits. */
static inline int32_t end_i32(int32_t v, const struct ending *e)
{
    uint32_t u = ((uint32_t)v + (uint32_t)e->bias) >> e->shift;
    return clamp_i32((int32_t)(u - (uint32_t)e->offset), e->lo_i32, e->hi_i32) + e->zero_point;
}

static inline struct ending ending_of_i32(const struct sb_affine *p)
{
    struct ending e = ending_of(p);
    uint32_t top = p->shift == 0 ? 0 : (uint32_t)1 << 31;
    e.bias = p->shift == 0 ? 0 : top + ((uint32_t)1 << (p->shift - 1));
    e.offset = top >> p->shift;
    return e;
}

/* One loop a reach; `value` forms v from a[i] and b[i] in the type that v fits. */
#define ENDING_LOOP(ending_fn, end_fn, value)                                                      \
    const struct ending e = ending_fn(p);                                                          \
    for (size_t i = 0; i < count; i++) {                                                           \
        ret[i] = end_fn(value, &e);                                                                \
    }
#define REACH_LOOPS(value_i32, value_i64)                                                          \
    if (p->reach == SB_REACH_I32) {                                                                \
        ENDING_LOOP(ending_of_i32, end_i32, value_i32)                                             \
    } else if (p->reach == SB_REACH_DOWN) {                                                        \
        ENDING_LOOP(ending_of, end_down, value_i64)                                                \
    } else {                                                                                       \
        ENDING_LOOP(ending_of, end_i64, value_i64)                                                 \
    }

static void add(int32_t *restrict ret, const int32_t *restrict a, const int32_t *restrict b,
                size_t count, const struct sb_affine *p)
{
    const int32_t ma = p->mult_a;
    const int32_t mb = p->mult_b;
    REACH_LOOPS(a[i] * ma + b[i] * mb, (int64_t)a[i] * ma + (int64_t)b[i] * mb)
}

static void rescale(int32_t *restrict ret, const int32_t *restrict a, size_t count,
                    const struct sb_affine *p)
{
    const int32_t m = p->mult_a;
    REACH_LOOPS(a[i] * m, (int64_t)a[i] * m)
}

/* A product that does not fit int32 comes with SB_REACH_I64 or DOWN; fx32 multiplies have m = 1. */
static void mul(int32_t *restrict ret, const int32_t *restrict a, const int32_t *restrict b,
                size_t count, const struct sb_affine *p)
{
    const int32_t m = p->mult_a;
    if (p->product_fits) {
        REACH_LOOPS(a[i] * b[i] * m, (int64_t)(a[i] * b[i]) * m)
    } else if (p->reach == SB_REACH_DOWN && m == 1) {
        ENDING_LOOP(ending_of, end_down, (int64_t)a[i] * b[i])
    } else if (m == 1) {
        ENDING_LOOP(ending_of, end_i64, (int64_t)a[i] * b[i])
    } else {
        ENDING_LOOP(ending_of, end_i64, (int64_t)a[i] * b[i] * m)
    }
}
#undef REACH_LOOPS
#undef ENDING_LOOP

/* ---- by type ---- */

#define DEFINE_CLAMP(name, type)                                                                   \
    static void clamp_type_##name(void *restrict ret, const void *restrict x, size_t count,        \
                                  int64_t lo, int64_t hi)                                          \
    {                                                                                              \
        const type *from = x;                                                                      \
        type *to = ret;                                                                            \
        const type least = (type)lo;                                                               \
        const type most = (type)hi;                                                                \
        for (size_t i = 0; i < count; i++) {                                                       \
            type v = from[i] < least ? least : from[i];                                            \
            to[i] = v > most ? most : v;                                                           \
        }                                                                                          \
    }
DEFINE_CLAMP(i8, int8_t)
DEFINE_CLAMP(u8, uint8_t)
DEFINE_CLAMP(i16, int16_t)
DEFINE_CLAMP(u16, uint16_t)
DEFINE_CLAMP(i32, int32_t)
DEFINE_CLAMP(i64, int64_t)
#undef DEFINE_CLAMP

#define DEFINE_POOL_MAX(name, type)                                                                \
    static void pool_max_##name(void *restrict ret, const void *restrict x, size_t count)          \
    {                                                                                              \
        const type *from = x;                                                                      \
        type *to = ret;                                                                            \
        for (size_t i = 0; i < count; i++) {                                                       \
            to[i] = from[i] > to[i] ? from[i] : to[i];                                             \
        }                                                                                          \
    }
DEFINE_POOL_MAX(i8, int8_t)
DEFINE_POOL_MAX(u8, uint8_t)
DEFINE_POOL_MAX(i16, int16_t)
DEFINE_POOL_MAX(i32, int32_t)
#undef DEFINE_POOL_MAX

#define DEFINE_POOL_SUM(name, type)                                                                \
    static void pool_sum_##name(int32_t *restrict ret, const void *restrict x, size_t count)       \
    {                                                                                              \
        const type *from = x;                                                                      \
        for (size_t i = 0; i < count; i++) {                                                       \
            ret[i] += from[i];                                                                     \
        }                                                                                          \
    }
DEFINE_POOL_SUM(i8, int8_t)
DEFINE_POOL_SUM(u8, uint8_t)
DEFINE_POOL_SUM(i16, int16_t)
#undef DEFINE_POOL_SUM

#define DEFINE_LOOKUP(name, type)                                                                  \
    static void name(type *restrict ret, const uint8_t *restrict x, const type *restrict table,    \
                     size_t count, uint8_t flip)                                                   \
    {                                                                                              \
        for (size_t i = 0; i < count; i++) {                                                       \
            ret[i] = table[x[i] ^ flip];                                                           \
        }                                                                                          \
    }
DEFINE_LOOKUP(lookup8, uint8_t)
DEFINE_LOOKUP(lookup16, uint16_t)
DEFINE_LOOKUP(lookup32, uint32_t)
#undef DEFINE_LOOKUP

/* table[i] * (128 - r) + table[i + 1] * r, with one product; a bias keeps the sum from being negative when it is shifted. */
static void interpolate(int16_t *restrict ret, const int16_t *restrict x,
                        const int16_t *restrict table, size_t count, int16_t lo, int16_t hi)
{
    const int32_t bias = INT32_C(1) << 15;
    for (size_t i = 0; i < count; i++) {
        uint32_t u = (uint16_t)x[i] ^ 0x8000u;
        const int16_t *at = table + (u >> 7);
        int32_t left = at[0];
        int32_t sum = left * 128 + (at[1] - left) * (int32_t)(u & 127) + (bias * 128 + 64);
        ret[i] = (int16_t)clamp_i32((int32_t)((uint32_t)sum >> 7) - bias, lo, hi);
    }
}

/* ---- transpose ---- */

/* Tiles of TILE x TILE elements keep the lines of both sides in the cache; inside, the writes run in order. */
#define TILE     32u
#define FEW_ROWS 8u /* rows too short to be written in order */
#define DEFINE_TRANSPOSE(name, type)                                                               \
    static void name(void *restrict ret, const void *restrict x, struct sb_block_dims d)           \
    {                                                                                              \
        const type *from = x;                                                                      \
        type *to = ret;                                                                            \
        for (size_t r = 0; d.rows < FEW_ROWS && r < d.rows; r++) {                                 \
            for (size_t c = 0; c < d.columns; c++) {                                               \
                to[c * d.y_stride + r] = from[r * d.x_stride + c];                                 \
            }                                                                                      \
        }                                                                                          \
        for (size_t r0 = 0; d.rows >= FEW_ROWS && r0 < d.rows; r0 += TILE) {                       \
            size_t r1 = d.rows - r0 < TILE ? d.rows : r0 + TILE;                                   \
            for (size_t c0 = 0; c0 < d.columns; c0 += TILE) {                                      \
                size_t c1 = d.columns - c0 < TILE ? d.columns : c0 + TILE;                         \
                for (size_t c = c0; c < c1; c++) {                                                 \
                    for (size_t r = r0; r < r1; r++) {                                             \
                        to[c * d.y_stride + r] = from[r * d.x_stride + c];                         \
                    }                                                                              \
                }                                                                                  \
            }                                                                                      \
        }                                                                                          \
    }
DEFINE_TRANSPOSE(transpose_1, uint8_t)
DEFINE_TRANSPOSE(transpose_2, uint16_t)
DEFINE_TRANSPOSE(transpose_4, uint32_t)
DEFINE_TRANSPOSE(transpose_8, uint64_t)
#undef DEFINE_TRANSPOSE

/* The table of a level; ELEMENT_BEST(name) is the level's own function in place of a loop, or the loop. */
#define ELEMENT_KERNELS_OF_LEVEL                                                                   \
    .load = {[SB_DTYPE_I8] = load_i8,                                                              \
             [SB_DTYPE_U8] = load_u8,                                                              \
             [SB_DTYPE_I16] = load_i16,                                                            \
             [SB_DTYPE_U16] = load_u16,                                                            \
             [SB_DTYPE_I32] = load_i32},                                                           \
    .store = {[SB_DTYPE_I8] = store_i8,                                                            \
              [SB_DTYPE_U8] = store_u8,                                                            \
              [SB_DTYPE_I16] = store_i16,                                                          \
              [SB_DTYPE_U16] = store_u16,                                                          \
              [SB_DTYPE_I32] = store_i32},                                                         \
    .add = add, .mul = mul, .rescale = rescale,                                                    \
    .clamp = {[SB_DTYPE_I8] = clamp_type_i8,   [SB_DTYPE_U8] = clamp_type_u8,                      \
              [SB_DTYPE_I16] = clamp_type_i16, [SB_DTYPE_U16] = clamp_type_u16,                    \
              [SB_DTYPE_I32] = clamp_type_i32, [SB_DTYPE_I64] = clamp_type_i64,                    \
              [SB_DTYPE_BOOL] = clamp_type_u8},                                                    \
    .lookup8 = ELEMENT_BEST(lookup8), .lookup16 = lookup16, .lookup32 = lookup32,                  \
    .interpolate = ELEMENT_BEST(interpolate),                                                      \
    .pool_max = {[SB_DTYPE_I8] = pool_max_i8,                                                      \
                 [SB_DTYPE_U8] = pool_max_u8,                                                      \
                 [SB_DTYPE_I16] = pool_max_i16,                                                    \
                 [SB_DTYPE_I32] = pool_max_i32},                                                   \
    .pool_sum =                                                                                    \
        {[SB_DTYPE_I8] = pool_sum_i8, [SB_DTYPE_U8] = pool_sum_u8, [SB_DTYPE_I16] = pool_sum_i16}, \
    .transpose = {ELEMENT_BEST(transpose_1), ELEMENT_BEST(transpose_2), ELEMENT_BEST(transpose_4), \
                  transpose_8}

#endif
