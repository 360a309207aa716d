/* u256.c: products, division, powers, shifts and text of 256-bit integers; see u256.h.
 *
 * Division works on arrays of limbs, least significant first, so that one routine serves 256/256 (DIV), 320/256 (ADDMOD) and 512/256
 * (MULMOD). It never divides by a machine instruction in a loop: one reciprocal of the divisor's top limbs is computed, and each
 * quotient limb costs two multiplications.
 * Spec: Knuth, TAOCP 2, 4.3.1, algorithm D; Moeller and Granlund, "Improved division by invariant integers" (2011), algorithms 3-6. */
#include "base/num/u256.h"

#include "base/util/assert.h"
#include "base/util/endian.h"

static inline uint64_t hi64(sb_u128 v)
{
    return (uint64_t)(v >> 64);
}

static inline sb_u128 pair(uint64_t hi, uint64_t lo)
{
    return (sb_u128)hi << 64 | lo;
}

static inline unsigned limb_count(const uint64_t *limbs, unsigned count)
{
    while (count > 0 && limbs[count - 1] == 0) {
        count--;
    }
    return count;
}

/* ---- products ---- */

/* p[8] = a * b, all 512 bits. */
static void mul_full(uint64_t p[8], const sb_u256 *a, const sb_u256 *b)
{
    uint64_t sum[8] = {0};
    for (int i = 0; i < 4; i++) {
        uint64_t carry = 0;
        for (int j = 0; j < 4; j++) {
            sb_u128 t = (sb_u128)a->w[i] * b->w[j] + sum[i + j] + carry;
            sum[i + j] = (uint64_t)t;
            carry = hi64(t);
        }
        sum[i + 4] = carry;
    }
    memcpy(p, sum, sizeof sum);
}

sb_u256 sb_u256_mul(const sb_u256 *a, const sb_u256 *b)
{
    const uint64_t *x = a->w, *y = b->w;
    sb_u128 p00 = (sb_u128)x[0] * y[0];
    sb_u128 p01 = (sb_u128)x[0] * y[1];
    sb_u128 p10 = (sb_u128)x[1] * y[0];
    sb_u128 p11 = (sb_u128)x[1] * y[1];
    sb_u128 p02 = (sb_u128)x[0] * y[2];
    sb_u128 p20 = (sb_u128)x[2] * y[0];
    sb_u128 column1 = (sb_u128)hi64(p00) + (uint64_t)p01 + (uint64_t)p10;
    /* Columns 2 and 3 as one 128-bit number, modulo 2^128. */
    sb_u128 top = (sb_u128)hi64(column1) + hi64(p01) + hi64(p10);
    top += p11 + p02 + p20;
    top += (sb_u128)(x[0] * y[3] + x[1] * y[2] + x[2] * y[1] + x[3] * y[0]) << 64;
    return (sb_u256){.w = {(uint64_t)p00, (uint64_t)column1, (uint64_t)top, hi64(top)}};
}

bool sb_u256_mul_overflow(sb_u256 *ret, const sb_u256 *a, const sb_u256 *b)
{
    uint64_t p[8];
    mul_full(p, a, b);
    memcpy(ret->w, p, sizeof ret->w);
    return (p[4] | p[5] | p[6] | p[7]) != 0;
}

bool sb_u256_mul_u64(sb_u256 *ret, const sb_u256 *a, uint64_t b)
{
    uint64_t carry = 0;
    for (int i = 0; i < 4; i++) {
        sb_u128 t = (sb_u128)a->w[i] * b + carry;
        ret->w[i] = (uint64_t)t;
        carry = hi64(t);
    }
    return carry != 0;
}

/* ---- division ---- */

/* floor((2^128 - 1) / d) - 2^64 for d with its top bit set. */
static uint64_t reciprocal_2by1(uint64_t d)
{
    return (uint64_t)(pair(~d, UINT64_MAX) / d);
}

/* floor((2^192 - 1) / d) - 2^64 for a two-limb d with its top bit set (algorithm 6). */
static uint64_t reciprocal_3by2(uint64_t d1, uint64_t d0)
{
    uint64_t v = reciprocal_2by1(d1);
    uint64_t p = d1 * v + d0;
    if (p < d0) {
        v--;
        if (p >= d1) {
            v--;
            p -= d1;
        }
        p -= d1;
    }
    sb_u128 t = (sb_u128)v * d0;
    p += hi64(t);
    if (p < hi64(t)) {
        v--;
        if (pair(p, (uint64_t)t) >= pair(d1, d0)) {
            v--;
        }
    }
    return v;
}

/* Quotient of (u1, u0) by d, u1 < d; *ret_r is the remainder (algorithm 4). */
static inline uint64_t div_2by1(uint64_t *ret_r, uint64_t u1, uint64_t u0, uint64_t d,
                                uint64_t reciprocal)
{
    sb_u128 estimate = (sb_u128)reciprocal * u1 + pair(u1, u0);
    uint64_t q = hi64(estimate) + 1;
    uint64_t r = u0 - q * d;
    if (r > (uint64_t)estimate) {
        q--;
        r += d;
    }
    if (r >= d) {
        q++;
        r -= d;
    }
    *ret_r = r;
    return q;
}

/* Quotient of (u2, u1, u0) by d, (u2, u1) < d; *ret_r is the remainder (algorithm 5). */
static inline uint64_t div_3by2(sb_u128 *ret_r, uint64_t u2, uint64_t u1, uint64_t u0, sb_u128 d,
                                uint64_t reciprocal)
{
    sb_u128 estimate = (sb_u128)reciprocal * u2 + pair(u2, u1);
    uint64_t q = hi64(estimate);
    uint64_t r1 = u1 - q * hi64(d);
    sb_u128 r = pair(r1, u0) - (sb_u128)(uint64_t)d * q - d;
    q++;
    if (hi64(r) >= (uint64_t)estimate) {
        q--;
        r += d;
    }
    if (r >= d) {
        q++;
        r -= d;
    }
    *ret_r = r;
    return q;
}

/* u[0..count) -= d[0..count) * q; returns what is still to be taken from u[count]. */
static uint64_t sub_mul(uint64_t *u, const uint64_t *d, unsigned count, uint64_t q)
{
    uint64_t borrow = 0;
    for (unsigned i = 0; i < count; i++) {
        sb_u128 product = (sb_u128)d[i] * q + borrow;
        borrow = hi64(product) + (u[i] < (uint64_t)product);
        u[i] -= (uint64_t)product;
    }
    return borrow;
}

/* u[0..count) += d[0..count); returns the carry. */
static uint64_t add_back(uint64_t *u, const uint64_t *d, unsigned count)
{
    uint64_t carry = 0;
    for (unsigned i = 0; i < count; i++) {
        sb_u128 sum = (sb_u128)u[i] + d[i] + carry;
        u[i] = (uint64_t)sum;
        carry = hi64(sum);
    }
    return carry;
}

/* One step of algorithm D: u[0..n] by d[0..n), n >= 3, where u[1..n] < d. Returns the quotient limb, u becomes the remainder, u[n] = 0. */
static uint64_t div_step(uint64_t *u, const uint64_t *d, unsigned n, uint64_t reciprocal)
{
    sb_u128 d_top = pair(d[n - 1], d[n - 2]);
    sb_u128 u_top = pair(u[n], u[n - 1]);
    uint64_t q;
    if (u_top >= d_top) {
        /* The top limbs are equal: the estimate would not fit a limb. */
        q = UINT64_MAX;
        u[n] -= sub_mul(u, d, n, q);
    } else {
        sb_u128 r;
        q = div_3by2(&r, u[n], u[n - 1], u[n - 2], d_top, reciprocal);
        uint64_t borrow = sub_mul(u, d, n - 2, q);
        bool too_much = r < borrow;
        r -= borrow;
        u[n - 2] = (uint64_t)r;
        u[n - 1] = hi64(r);
        u[n] = too_much ? UINT64_MAX : 0;
    }
    if (u[n] != 0) {
        q--;
        u[n] += add_back(u, d, n);
    }
    return q;
}

#define LIMBS_MAX 8

/* q[0..un) = u / d, r[0..4) = u mod d, for u of un <= 8 limbs, d of dn limbs with d[dn - 1] != 0, 1 <= dn <= 4. */
static void limbs_divmod(uint64_t *q, uint64_t r[4], const uint64_t *u, unsigned un,
                         const uint64_t *d, unsigned dn)
{
    unsigned shift = (unsigned)__builtin_clzll(d[dn - 1]);
    uint64_t v[4] = {0};
    uint64_t t[LIMBS_MAX + 1];
    /* Shift both so that the divisor's top bit is set; (x >> 1) >> (63 - shift) is x >> (64 - shift) with shift 0 allowed. */
    for (unsigned i = dn; i-- > 0;) {
        v[i] = d[i] << shift | (i > 0 ? d[i - 1] >> 1 >> (63 - shift) : 0);
    }
    t[un] = un > 0 ? u[un - 1] >> 1 >> (63 - shift) : 0;
    for (unsigned i = un; i-- > 0;) {
        t[i] = u[i] << shift | (i > 0 ? u[i - 1] >> 1 >> (63 - shift) : 0);
    }
    for (unsigned i = 0; i < un; i++) {
        q[i] = 0;
    }
    if (dn == 1) {
        uint64_t reciprocal = reciprocal_2by1(v[0]);
        for (unsigned i = un; i-- > 0;) {
            q[i] = div_2by1(&t[i], t[i + 1], t[i], v[0], reciprocal);
            t[i + 1] = 0;
        }
    } else if (dn == 2) {
        uint64_t reciprocal = reciprocal_3by2(v[1], v[0]);
        for (unsigned i = un; i-- > 1;) {
            sb_u128 rest;
            q[i - 1] = div_3by2(&rest, t[i + 1], t[i], t[i - 1], pair(v[1], v[0]), reciprocal);
            t[i - 1] = (uint64_t)rest;
            t[i] = hi64(rest);
            t[i + 1] = 0;
        }
    } else {
        uint64_t reciprocal = reciprocal_3by2(v[dn - 1], v[dn - 2]);
        for (unsigned i = un + 1; i-- > dn;) {
            q[i - dn] = div_step(t + i - dn, v, dn, reciprocal);
        }
    }
    for (unsigned i = 0; i < 4; i++) {
        uint64_t low = i <= un ? t[i] : 0;
        uint64_t high = i + 1 <= un ? t[i + 1] : 0;
        r[i] = i < dn ? low >> shift | high << 1 << (63 - shift) : 0;
    }
}

void sb_u256_divmod(sb_u256 *ret_quotient, sb_u256 *ret_remainder, const sb_u256 *a,
                    const sb_u256 *b)
{
    sb_u256 q = sb_u256_zero();
    sb_u256 r = sb_u256_zero();
    unsigned an = limb_count(a->w, 4);
    unsigned bn = limb_count(b->w, 4);
    if (bn == 0) {
        /* x / 0 = x mod 0 = 0 */
    } else if (an < bn) {
        r = *a;
    } else if (an == 1) {
        q.w[0] = a->w[0] / b->w[0];
        r.w[0] = a->w[0] % b->w[0];
    } else {
        limbs_divmod(q.w, r.w, a->w, an, b->w, bn);
    }
    if (ret_quotient != NULL) {
        *ret_quotient = q;
    }
    if (ret_remainder != NULL) {
        *ret_remainder = r;
    }
}

sb_u256 sb_u256_div(const sb_u256 *a, const sb_u256 *b)
{
    sb_u256 q;
    sb_u256_divmod(&q, NULL, a, b);
    return q;
}

sb_u256 sb_u256_mod(const sb_u256 *a, const sb_u256 *b)
{
    sb_u256 r;
    sb_u256_divmod(NULL, &r, a, b);
    return r;
}

sb_u256 sb_u256_neg(const sb_u256 *a)
{
    sb_u256 zero = sb_u256_zero();
    return sb_u256_sub(&zero, a);
}

static sb_u256 magnitude(const sb_u256 *a)
{
    return sb_u256_is_negative(a) ? sb_u256_neg(a) : *a;
}

sb_u256 sb_u256_sdiv(const sb_u256 *a, const sb_u256 *b)
{
    sb_u256 x = magnitude(a);
    sb_u256 y = magnitude(b);
    sb_u256 q = sb_u256_div(&x, &y);
    return sb_u256_is_negative(a) != sb_u256_is_negative(b) ? sb_u256_neg(&q) : q;
}

sb_u256 sb_u256_smod(const sb_u256 *a, const sb_u256 *b)
{
    sb_u256 x = magnitude(a);
    sb_u256 y = magnitude(b);
    sb_u256 r = sb_u256_mod(&x, &y);
    return sb_u256_is_negative(a) ? sb_u256_neg(&r) : r;
}

sb_u256 sb_u256_addmod(const sb_u256 *a, const sb_u256 *b, const sb_u256 *m)
{
    sb_u256 sum;
    bool carry = sb_u256_add_carry(&sum, a, b);
    if (!carry) {
        return sb_u256_mod(&sum, m);
    }
    unsigned mn = limb_count(m->w, 4);
    sb_u256 r = sb_u256_zero();
    if (mn > 0) {
        uint64_t u[5] = {sum.w[0], sum.w[1], sum.w[2], sum.w[3], 1};
        uint64_t q[5];
        limbs_divmod(q, r.w, u, 5, m->w, mn);
    }
    return r;
}

sb_u256 sb_u256_mulmod(const sb_u256 *a, const sb_u256 *b, const sb_u256 *m)
{
    uint64_t p[8], q[8];
    mul_full(p, a, b);
    unsigned pn = limb_count(p, 8);
    unsigned mn = limb_count(m->w, 4);
    sb_u256 r = sb_u256_zero();
    if (mn == 0) {
        /* x mod 0 = 0 */
    } else if (pn < mn) {
        memcpy(r.w, p, sizeof r.w);
    } else {
        limbs_divmod(q, r.w, p, pn, m->w, mn);
    }
    return r;
}

sb_u256 sb_u256_exp(const sb_u256 *a, const sb_u256 *e)
{
    sb_u256 result = sb_u256_from_u64(1);
    for (unsigned i = sb_u256_bit_len(e); i-- > 0;) {
        result = sb_u256_mul(&result, &result);
        if ((e->w[i / 64] >> (i % 64) & 1) != 0) {
            result = sb_u256_mul(&result, a);
        }
    }
    return result;
}

/* ---- bits ---- */

sb_u256 sb_u256_signextend(const sb_u256 *k, const sb_u256 *x)
{
    if (!sb_u256_fits_u64(k) || k->w[0] >= 31) {
        return *x;
    }
    uint64_t shift = 8 * (31 - k->w[0]);
    sb_u256 up = sb_u256_shl(x, shift);
    return sb_u256_sar(&up, shift);
}

bool sb_u256_slt(const sb_u256 *a, const sb_u256 *b)
{
    bool a_negative = sb_u256_is_negative(a);
    return a_negative != sb_u256_is_negative(b) ? a_negative : sb_u256_lt(a, b);
}

sb_u256 sb_u256_shl(const sb_u256 *a, uint64_t shift)
{
    sb_u256 r = sb_u256_zero();
    if (shift >= 256) {
        return r;
    }
    unsigned words = (unsigned)shift / 64;
    unsigned bits = (unsigned)shift % 64;
    for (unsigned i = 4; i-- > words;) {
        r.w[i] = a->w[i - words] << bits;
        if (i > words) {
            r.w[i] |= a->w[i - words - 1] >> 1 >> (63 - bits);
        }
    }
    return r;
}

/* a >> shift with `fill` (0 or all ones) coming in from the left; shift < 256. */
static sb_u256 shift_right(const sb_u256 *a, uint64_t shift, uint64_t fill)
{
    sb_u256 r;
    unsigned words = (unsigned)shift / 64;
    unsigned bits = (unsigned)shift % 64;
    for (unsigned i = 0; i < 4; i++) {
        uint64_t low = i + words < 4 ? a->w[i + words] : fill;
        uint64_t high = i + words + 1 < 4 ? a->w[i + words + 1] : fill;
        r.w[i] = low >> bits | high << 1 << (63 - bits);
    }
    return r;
}

sb_u256 sb_u256_shr(const sb_u256 *a, uint64_t shift)
{
    return shift >= 256 ? sb_u256_zero() : shift_right(a, shift, 0);
}

sb_u256 sb_u256_sar(const sb_u256 *a, uint64_t shift)
{
    uint64_t fill = sb_u256_is_negative(a) ? UINT64_MAX : 0;
    return shift >= 256 ? (sb_u256){.w = {fill, fill, fill, fill}} : shift_right(a, shift, fill);
}

sb_u256 sb_u256_and(const sb_u256 *a, const sb_u256 *b)
{
    return (sb_u256){
        .w = {a->w[0] & b->w[0], a->w[1] & b->w[1], a->w[2] & b->w[2], a->w[3] & b->w[3]}};
}

sb_u256 sb_u256_or(const sb_u256 *a, const sb_u256 *b)
{
    return (sb_u256){
        .w = {a->w[0] | b->w[0], a->w[1] | b->w[1], a->w[2] | b->w[2], a->w[3] | b->w[3]}};
}

sb_u256 sb_u256_xor(const sb_u256 *a, const sb_u256 *b)
{
    return (sb_u256){
        .w = {a->w[0] ^ b->w[0], a->w[1] ^ b->w[1], a->w[2] ^ b->w[2], a->w[3] ^ b->w[3]}};
}

sb_u256 sb_u256_not(const sb_u256 *a)
{
    return (sb_u256){.w = {~a->w[0], ~a->w[1], ~a->w[2], ~a->w[3]}};
}

uint8_t sb_u256_byte(const sb_u256 *a, uint64_t i)
{
    uint64_t limb = i >= 32 ? 0 : a->w[3 - i / 8];
    return (uint8_t)(limb >> (8 * (7 - i % 8)));
}

unsigned sb_u256_bit_len(const sb_u256 *a)
{
    unsigned n = limb_count(a->w, 4);
    return n == 0 ? 0 : 64 * n - (unsigned)__builtin_clzll(a->w[n - 1]);
}

unsigned sb_u256_byte_len(const sb_u256 *a)
{
    return (sb_u256_bit_len(a) + 7) / 8;
}

unsigned sb_u256_clz(const sb_u256 *a)
{
    return 256 - sb_u256_bit_len(a);
}

/* ---- bytes and text ---- */

sb_u256 sb_u256_load_be(const uint8_t *bytes, size_t len)
{
    SB_ASSERT(len <= 32);
    uint8_t full[32] = {0};
    if (len != 0) {
        memcpy(full + 32 - len, bytes, len);
    }
    return (sb_u256){
        .w = {be_load64(full + 24), be_load64(full + 16), be_load64(full + 8), be_load64(full)}};
}

void sb_u256_store_be(uint8_t ret[32], const sb_u256 *a)
{
    for (size_t i = 0; i < 4; i++) {
        be_store64(ret + 8 * i, a->w[3 - i]);
    }
}

size_t sb_u256_store_be_trim(uint8_t ret[32], const sb_u256 *a)
{
    uint8_t full[32];
    sb_u256_store_be(full, a);
    size_t len = sb_u256_byte_len(a);
    memcpy(ret, full + 32 - len, len);
    return len;
}

/* The largest power of ten that fits a limb. */
#define DECIMAL_CHUNK_DIGITS 19
#define DECIMAL_CHUNK        UINT64_C(10000000000000000000)

void sb_u256_format_decimal(char ret[SB_U256_DECIMAL_BYTES], const sb_u256 *a)
{
    char digits[5 * DECIMAL_CHUNK_DIGITS]; /* least significant first */
    size_t count = 0;
    sb_u256 rest = *a;
    const sb_u256 chunk = sb_u256_from_u64(DECIMAL_CHUNK);
    do {
        sb_u256 low;
        sb_u256_divmod(&rest, &low, &rest, &chunk);
        uint64_t value = low.w[0];
        for (int i = 0; i < DECIMAL_CHUNK_DIGITS; i++) {
            digits[count] = (char)('0' + value % 10);
            count++;
            value /= 10;
        }
    } while (!sb_u256_is_zero(&rest));
    while (count > 1 && digits[count - 1] == '0') {
        count--;
    }
    for (size_t i = 0; i < count; i++) {
        ret[i] = digits[count - 1 - i];
    }
    ret[count] = '\0';
}

bool sb_u256_parse_decimal(sb_u256 *ret, const char *text, size_t len)
{
    sb_u256 value = sb_u256_zero();
    if (len == 0) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9') {
            return false;
        }
        sb_u256 digit = sb_u256_from_u64((uint64_t)(text[i] - '0'));
        if (sb_u256_mul_u64(&value, &value, 10) || sb_u256_add_carry(&value, &value, &digit)) {
            return false;
        }
    }
    *ret = value;
    return true;
}
