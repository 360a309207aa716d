/* u256.h: 256-bit unsigned integers, the word of the EVM.
 *
 * Four 64-bit limbs, least significant first. All arithmetic is modulo 2^256 unless the name says otherwise; signed operations
 * read the word as two's complement. Division by zero gives zero (Yellow Paper, appendix H.2). Hot, short operations are inline
 * here; division, exponentiation and modular products are in u256.c. */
#ifndef SB_BASE_NUM_U256_H
#define SB_BASE_NUM_U256_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/util/checked.h"

typedef struct sb_u256 {
    uint64_t w[4];
} sb_u256;

static inline sb_u256 sb_u256_from_u64(uint64_t v)
{
    return (sb_u256){.w = {v, 0, 0, 0}};
}

static inline sb_u256 sb_u256_zero(void)
{
    return sb_u256_from_u64(0);
}

static inline bool sb_u256_is_zero(const sb_u256 *a)
{
    return (a->w[0] | a->w[1] | a->w[2] | a->w[3]) == 0;
}

static inline bool sb_u256_equal(const sb_u256 *a, const sb_u256 *b)
{
    return ((a->w[0] ^ b->w[0]) | (a->w[1] ^ b->w[1]) | (a->w[2] ^ b->w[2]) |
            (a->w[3] ^ b->w[3])) == 0;
}

/* sb_u256_fits_u64: the value is below 2^64, so w[0] is all of it. */
static inline bool sb_u256_fits_u64(const sb_u256 *a)
{
    return (a->w[1] | a->w[2] | a->w[3]) == 0;
}

/* sb_u256_sat_u64: the value, or UINT64_MAX when it does not fit. */
static inline uint64_t sb_u256_sat_u64(const sb_u256 *a)
{
    return sb_u256_fits_u64(a) ? a->w[0] : UINT64_MAX;
}

static inline bool sb_u256_lt(const sb_u256 *a, const sb_u256 *b)
{
    for (int i = 3; i >= 0; i--) {
        if (a->w[i] != b->w[i]) {
            return a->w[i] < b->w[i];
        }
    }
    return false;
}

/* sb_u256_cmp: -1, 0 or 1. */
static inline int sb_u256_cmp(const sb_u256 *a, const sb_u256 *b)
{
    return sb_u256_lt(a, b) ? -1 : sb_u256_lt(b, a) ? 1 : 0;
}

/* sb_u256_add_carry / sb_u256_sub_borrow: *ret = a +- b mod 2^256; true if a carry (borrow) left the top. ret may be a or b. */
static inline bool sb_u256_add_carry(sb_u256 *ret, const sb_u256 *a, const sb_u256 *b)
{
    sb_u128 sum = 0;
    for (int i = 0; i < 4; i++) {
        sum += (sb_u128)a->w[i] + b->w[i];
        ret->w[i] = (uint64_t)sum;
        sum >>= 64;
    }
    return sum != 0;
}

static inline bool sb_u256_sub_borrow(sb_u256 *ret, const sb_u256 *a, const sb_u256 *b)
{
    uint64_t borrow = 0;
    for (int i = 0; i < 4; i++) {
        sb_u128 diff = (sb_u128)a->w[i] - b->w[i] - borrow;
        ret->w[i] = (uint64_t)diff;
        borrow = (uint64_t)(diff >> 64) & 1;
    }
    return borrow != 0;
}

static inline sb_u256 sb_u256_add(const sb_u256 *a, const sb_u256 *b)
{
    sb_u256 r;
    (void)sb_u256_add_carry(&r, a, b);
    return r;
}

static inline sb_u256 sb_u256_sub(const sb_u256 *a, const sb_u256 *b)
{
    sb_u256 r;
    (void)sb_u256_sub_borrow(&r, a, b);
    return r;
}

/* sb_u256_mul: low 256 bits of the product. */
sb_u256 sb_u256_mul(const sb_u256 *a, const sb_u256 *b);
/* sb_u256_mul_overflow: as sb_u256_mul; true if the product is 2^256 or more. */
bool sb_u256_mul_overflow(sb_u256 *ret, const sb_u256 *a, const sb_u256 *b);
/* sb_u256_mul_u64: product with a 64-bit number; true on overflow. */
bool sb_u256_mul_u64(sb_u256 *ret, const sb_u256 *a, uint64_t b);
/* sb_u256_divmod: quotient and remainder; both zero when b is zero. Either output may be NULL. Knuth D with fast 1- and 2-limb paths. */
void sb_u256_divmod(sb_u256 *ret_quotient, sb_u256 *ret_remainder, const sb_u256 *a,
                    const sb_u256 *b);
sb_u256 sb_u256_div(const sb_u256 *a, const sb_u256 *b);
sb_u256 sb_u256_mod(const sb_u256 *a, const sb_u256 *b);
/* sb_u256_sdiv, sb_u256_smod: EVM SDIV and SMOD: truncating; -2^255 / -1 = -2^255; the remainder has the dividend's sign. */
sb_u256 sb_u256_sdiv(const sb_u256 *a, const sb_u256 *b);
sb_u256 sb_u256_smod(const sb_u256 *a, const sb_u256 *b);
/* sb_u256_addmod, sb_u256_mulmod: (a + b) mod m and (a * b) mod m without intermediate wrap; zero when m is zero. */
sb_u256 sb_u256_addmod(const sb_u256 *a, const sb_u256 *b, const sb_u256 *m);
sb_u256 sb_u256_mulmod(const sb_u256 *a, const sb_u256 *b, const sb_u256 *m);
/* sb_u256_exp: a to the power of e, modulo 2^256; 0^0 = 1. */
sb_u256 sb_u256_exp(const sb_u256 *a, const sb_u256 *e);
/* sb_u256_signextend: EVM SIGNEXTEND of x from byte number k (0 = lowest); x unchanged when k >= 31. */
sb_u256 sb_u256_signextend(const sb_u256 *k, const sb_u256 *x);
/* sb_u256_slt: a < b as two's complement. */
bool sb_u256_slt(const sb_u256 *a, const sb_u256 *b);
static inline bool sb_u256_is_negative(const sb_u256 *a)
{
    return (a->w[3] >> 63) != 0;
}
/* sb_u256_neg: two's complement negation. */
sb_u256 sb_u256_neg(const sb_u256 *a);
/* Shifts by any 64-bit count (256 and more give 0, or the sign for sar). */
sb_u256 sb_u256_shl(const sb_u256 *a, uint64_t shift);
sb_u256 sb_u256_shr(const sb_u256 *a, uint64_t shift);
sb_u256 sb_u256_sar(const sb_u256 *a, uint64_t shift);
sb_u256 sb_u256_and(const sb_u256 *a, const sb_u256 *b);
sb_u256 sb_u256_or(const sb_u256 *a, const sb_u256 *b);
sb_u256 sb_u256_xor(const sb_u256 *a, const sb_u256 *b);
sb_u256 sb_u256_not(const sb_u256 *a);
/* sb_u256_byte: byte i counted from the most significant (EVM BYTE); 0 when i >= 32. */
uint8_t sb_u256_byte(const sb_u256 *a, uint64_t i);
/* sb_u256_clz: leading zero bits, 256 for zero (EIP-7939). */
unsigned sb_u256_clz(const sb_u256 *a);
/* sb_u256_bit_len, sb_u256_byte_len: length without leading zeros; 0 for zero. */
unsigned sb_u256_bit_len(const sb_u256 *a);
unsigned sb_u256_byte_len(const sb_u256 *a);

/* Big-endian bytes. load_be: len <= 32 bytes, shorter input is the low end. store_be: all 32. store_be_trim: without leading
 * zeros, returns how many bytes were written (0 for zero). */
sb_u256 sb_u256_load_be(const uint8_t *bytes, size_t len);
void sb_u256_store_be(uint8_t ret[32], const sb_u256 *a);
size_t sb_u256_store_be_trim(uint8_t ret[32], const sb_u256 *a);

/* Decimal text. format: at most 78 digits and a terminator into ret (79 bytes). parse: only digits, no sign, at most 2^256 - 1;
 * false otherwise. */
#define SB_U256_DECIMAL_BYTES 79
void sb_u256_format_decimal(char ret[SB_U256_DECIMAL_BYTES], const sb_u256 *a);
bool sb_u256_parse_decimal(sb_u256 *ret, const char *text, size_t len);

#endif
