/* checked.h: integer arithmetic that says what happens at the edge.
 *
 * ck_ reports overflow (false, *ret untouched), sat_ stops at the edge, wrap_ is modulo 2^n on purpose. Plain operators are for
 * values whose range is plain from the code around them. sb_shr_ is the only way to shift a possibly negative number right:
 * it rounds toward minus infinity, whatever the compiler thinks. */
#ifndef SB_BASE_UTIL_CHECKED_H
#define SB_BASE_UTIL_CHECKED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* 128-bit intermediates; the extension is known to gcc and clang on every 64-bit target. */
__extension__ typedef unsigned __int128 sb_u128;
__extension__ typedef __int128 sb_i128;

#define SB_CHECKED_OP(name, type, builtin)                                                         \
    static inline bool name(type *ret, type a, type b)                                             \
    {                                                                                              \
        type value;                                                                                \
        if (builtin(a, b, &value)) {                                                               \
            return false;                                                                          \
        }                                                                                          \
        *ret = value;                                                                              \
        return true;                                                                               \
    }

SB_CHECKED_OP(ck_add_u64, uint64_t, __builtin_add_overflow)
SB_CHECKED_OP(ck_sub_u64, uint64_t, __builtin_sub_overflow)
SB_CHECKED_OP(ck_mul_u64, uint64_t, __builtin_mul_overflow)
SB_CHECKED_OP(ck_add_i64, int64_t, __builtin_add_overflow)
SB_CHECKED_OP(ck_sub_i64, int64_t, __builtin_sub_overflow)
SB_CHECKED_OP(ck_mul_i64, int64_t, __builtin_mul_overflow)
SB_CHECKED_OP(ck_add_size, size_t, __builtin_add_overflow)
SB_CHECKED_OP(ck_mul_size, size_t, __builtin_mul_overflow)
#undef SB_CHECKED_OP

static inline uint64_t sat_add_u64(uint64_t a, uint64_t b)
{
    uint64_t value;
    return __builtin_add_overflow(a, b, &value) ? UINT64_MAX : value;
}

static inline uint64_t sat_sub_u64(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

static inline uint64_t sat_mul_u64(uint64_t a, uint64_t b)
{
    uint64_t value;
    return __builtin_mul_overflow(a, b, &value) ? UINT64_MAX : value;
}

static inline int64_t sat_add_i64(int64_t a, int64_t b)
{
    int64_t value;
    if (__builtin_add_overflow(a, b, &value)) {
        return b > 0 ? INT64_MAX : INT64_MIN;
    }
    return value;
}

static inline int64_t sat_sub_i64(int64_t a, int64_t b)
{
    int64_t value;
    if (__builtin_sub_overflow(a, b, &value)) {
        return b < 0 ? INT64_MAX : INT64_MIN;
    }
    return value;
}

static inline uint32_t wrap_add_u32(uint32_t a, uint32_t b)
{
    return a + b;
}

static inline int64_t sb_shr_i64(int64_t value, unsigned shift)
{
    uint64_t sign = 0 - ((uint64_t)value >> 63); /* all ones if negative; without a branch */
    return (int64_t)((((uint64_t)value ^ sign) >> shift) ^ sign);
}

static inline int32_t sb_shr_i32(int32_t value, unsigned shift)
{
    return value >= 0 ? (int32_t)((uint32_t)value >> shift)
                      : (int32_t) ~(~(uint32_t)value >> shift);
}

#endif
