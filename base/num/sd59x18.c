/* sd59x18.c: functions of SD59x18 numbers; see sd59x18.h. Numbers called "q127" have 127 fraction bits.
 *
 *   exp   x = n ln 2 + r, 0 <= r < ln 2;   e^r by the Taylor series, 34 terms;   times 2^n
 *   ln    x = m 2^e, 1 <= m < 2;           ln m = 2 atanh((m - 1) / (m + 1)), 41 terms;   plus e ln 2 */
#include "base/num/sd59x18.h"

#include <string.h>

#include "base/util/checked.h"

#define FRACTION_BITS 127
#define Q127_ONE      ((sb_u128)1 << FRACTION_BITS)

/* floor(ln 2 * 2^127) and floor(2^127 / ln 2). */
#define LN2_Q127     (((sb_u128)0x58b90bfbe8e7bcd5u << 64) | 0xe4f1d9cc01f97b57u)
#define INV_LN2_Q127 (((sb_u128)0xb8aa3b295c17f0bbu << 64) | 0xbe87fed0691d3e88u)
/* floor(ln(10^18) * 2^127). */
static const sb_u256 k_ln_1e18_q127 = {.w = {0xf4361e1e65ad6dbfu, 0xb927f32bffb83338u, 0x14, 0}};

#define EXP_TERMS      34
#define ATANH_TERMS    41
#define SQRT_BITS_MAX  195
#define EXP_MAX        136
#define EXP_MIN        42 /* e^-42 * 10^18 < 1/2 */
#define EXP2_MAX       196
#define EXP2_MIN       61
#define POW_Y_BITS_MAX 127
#define POW_LOG_SHIFT                                                                              \
    15 /* log2 x is cut to 112 fraction bits, so that the product with y fits a word */

static sb_u256 from_u128(sb_u128 v)
{
    return (sb_u256){.w = {(uint64_t)v, (uint64_t)(v >> 64), 0, 0}};
}

static sb_u128 low_u128(const sb_u256 *a)
{
    return ((sb_u128)a->w[1] << 64) | a->w[0];
}

/* |x| and whether x is negative; |-2^255| = 2^255 fits. */
static sb_u256 magnitude(bool *ret_negative, const sb_u256 *x)
{
    *ret_negative = sb_u256_is_negative(x);
    return *ret_negative ? sb_u256_neg(x) : *x;
}

/* q + remainder / divisor, with a sign, rounded half up. round: how 2 * remainder compares with the divisor (-1, 0, 1). */
static sb_err signed_result(sb_u256 *ret, bool negative, const sb_u256 *q, int round)
{
    sb_u256 one = sb_u256_from_u64(1);
    sb_u256 rounded = *q;
    bool up = negative ? round > 0 : round >= 0;
    if (up && sb_u256_add_carry(&rounded, q, &one)) {
        return SB_E_RANGE;
    }
    if (negative) {
        sb_u256 value = sb_u256_neg(&rounded);
        if (!sb_u256_is_zero(&rounded) && !sb_u256_is_negative(&value)) {
            return SB_E_RANGE;
        }
        *ret = value;
        return SB_OK;
    }
    if (sb_u256_is_negative(&rounded)) {
        return SB_E_RANGE;
    }
    *ret = rounded;
    return SB_OK;
}

/* A non-negative sum of products of words: 512 bits each, and room for 2^64 of them. */
#define SUM_LIMBS 9
struct product_sum {
    uint64_t w[SUM_LIMBS];
};

static void sum_add_product(struct product_sum *sum, const sb_u256 *a, const sb_u256 *b)
{
    for (int i = 0; i < 4; i++) {
        uint64_t carry = 0;
        for (int j = 0; j < 4; j++) {
            sb_u128 t = (sb_u128)a->w[i] * b->w[j] + sum->w[i + j] + carry;
            sum->w[i + j] = (uint64_t)t;
            carry = (uint64_t)(t >> 64);
        }
        for (int k = i + 4; k < SUM_LIMBS && carry != 0; k++) {
            sb_u128 t = (sb_u128)sum->w[k] + carry;
            sum->w[k] = (uint64_t)t;
            carry = (uint64_t)(t >> 64);
        }
    }
}

static bool sum_less(const struct product_sum *a, const struct product_sum *b)
{
    for (int i = SUM_LIMBS - 1; i >= 0; i--) {
        if (a->w[i] != b->w[i]) {
            return a->w[i] < b->w[i];
        }
    }
    return false;
}

/* a - b for a >= b. */
static void sum_sub(struct product_sum *a, const struct product_sum *b)
{
    uint64_t borrow = 0;
    for (int i = 0; i < SUM_LIMBS; i++) {
        sb_u128 t = (sb_u128)a->w[i] - b->w[i] - borrow;
        a->w[i] = (uint64_t)t;
        borrow = (uint64_t)(t >> 64) & 1;
    }
}

void sb_sd_dot_init(struct sb_sd_dot *dot)
{
    *dot = (struct sb_sd_dot){.positive = {0}, .negative = {0}};
}

void sb_sd_dot_add(struct sb_sd_dot *dot, const sb_u256 *x, const sb_u256 *y)
{
    bool x_negative = false;
    bool y_negative = false;
    sb_u256 a = magnitude(&x_negative, x);
    sb_u256 b = magnitude(&y_negative, y);
    struct product_sum sum;
    uint64_t *side = x_negative != y_negative ? dot->negative : dot->positive;
    memcpy(sum.w, side, sizeof sum.w);
    sum_add_product(&sum, &a, &b);
    memcpy(side, sum.w, sizeof sum.w);
}

sb_err sb_sd_dot_result(sb_u256 *ret, const struct sb_sd_dot *dot)
{
    struct product_sum sum;
    struct product_sum other;
    memcpy(sum.w, dot->positive, sizeof sum.w);
    memcpy(other.w, dot->negative, sizeof other.w);
    bool negative = sum_less(&sum, &other);
    if (negative) {
        struct product_sum swap = sum;
        sum = other;
        other = swap;
    }
    sum_sub(&sum, &other);
    uint64_t remainder = 0;
    for (int i = SUM_LIMBS - 1; i >= 0; i--) {
        sb_u128 part = ((sb_u128)remainder << 64) | sum.w[i];
        sum.w[i] = (uint64_t)(part / SB_SD_ONE);
        remainder = (uint64_t)(part % SB_SD_ONE);
    }
    if ((sum.w[4] | sum.w[5] | sum.w[6] | sum.w[7] | sum.w[8]) != 0) {
        return SB_E_RANGE;
    }
    sb_u256 q = {.w = {sum.w[0], sum.w[1], sum.w[2], sum.w[3]}};
    uint64_t half = SB_SD_ONE / 2;
    return signed_result(ret, negative, &q, remainder > half ? 1 : remainder == half ? 0 : -1);
}

sb_err sb_sd_mul(sb_u256 *ret, const sb_u256 *x, const sb_u256 *y)
{
    struct sb_sd_dot dot;
    sb_sd_dot_init(&dot);
    sb_sd_dot_add(&dot, x, y);
    return sb_sd_dot_result(ret, &dot);
}

/* One step of quotient and remainder: r += add, then q += 1 and r -= y if r >= y. add <= r's bound keeps r below 2 y. */
static bool quotient_step(sb_u256 *q, sb_u256 *r, const sb_u256 *add, const sb_u256 *y)
{
    sb_u256 one = sb_u256_from_u64(1);
    bool carry = sb_u256_add_carry(r, r, add);
    if (carry || !sb_u256_lt(r, y)) {
        (void)sb_u256_sub_borrow(r, r, y);
        return !sb_u256_add_carry(q, q, &one);
    }
    return true;
}

sb_err sb_sd_div(sb_u256 *ret, const sb_u256 *x, const sb_u256 *y)
{
    bool x_negative = false;
    bool y_negative = false;
    if (sb_u256_is_zero(y)) {
        return SB_E_RANGE;
    }
    sb_u256 a = magnitude(&x_negative, x);
    sb_u256 b = magnitude(&y_negative, y);
    sb_u256 whole;
    sb_u256 rest;
    sb_u256_divmod(&whole, &rest, &a, &b);
    sb_u256 q;
    if (sb_u256_mul_u64(&q, &whole, SB_SD_ONE)) {
        return SB_E_RANGE;
    }
    /* rest * 10^18 / b, bit by bit of 10^18 from the top. */
    sb_u256 fraction = sb_u256_zero();
    sb_u256 r = sb_u256_zero();
    bool fits = true;
    for (int bit = 63; bit >= 0; bit--) {
        sb_u256 twice = r;
        fraction = sb_u256_shl(&fraction, 1);
        fits = fits && quotient_step(&fraction, &r, &twice, &b);
        if (((SB_SD_ONE >> bit) & 1) != 0) {
            fits = fits && quotient_step(&fraction, &r, &rest, &b);
        }
    }
    if (!fits || sb_u256_add_carry(&q, &q, &fraction)) {
        return SB_E_RANGE;
    }
    sb_u256 rest_to_b = sb_u256_sub(&b, &r);
    return signed_result(ret, x_negative != y_negative, &q, sb_u256_cmp(&r, &rest_to_b));
}

sb_u256 sb_sd_isqrt(const sb_u256 *a)
{
    unsigned bits = sb_u256_bit_len(a);
    if (bits == 0) {
        return sb_u256_zero();
    }
    /* Newton from above: the first value is at least the root, each next one smaller until the floor is reached. */
    sb_u256 one = sb_u256_from_u64(1);
    sb_u256 root = sb_u256_shl(&one, (bits + 1) / 2);
    if (bits == 256) { /* 2^128 would square to 2^256; the root of any word is below it */
        root = from_u128(~(sb_u128)0);
    }
    for (;;) {
        sb_u256 q = sb_u256_div(a, &root);
        sb_u256 sum = sb_u256_add(&root, &q);
        sb_u256 next = sb_u256_shr(&sum, 1);
        if (!sb_u256_lt(&next, &root)) {
            return root;
        }
        root = next;
    }
}

sb_err sb_sd_sqrt(sb_u256 *ret, const sb_u256 *x)
{
    if (sb_u256_bit_len(x) > SQRT_BITS_MAX) {
        return SB_E_RANGE;
    }
    sb_u256 scaled;
    (void)sb_u256_mul_u64(&scaled, x, SB_SD_ONE);
    *ret = sb_sd_isqrt(&scaled);
    return SB_OK;
}

/* (a * b) >> 127 for numbers below 2^128; the result is below 2^129 and, for all uses here, below 2^128. */
static sb_u128 mul_q127(sb_u128 a, sb_u128 b)
{
    uint64_t a0 = (uint64_t)a;
    uint64_t a1 = (uint64_t)(a >> 64);
    uint64_t b0 = (uint64_t)b;
    uint64_t b1 = (uint64_t)(b >> 64);
    sb_u128 low = (sb_u128)a0 * b0;
    sb_u128 cross1 = (sb_u128)a1 * b0 + (uint64_t)(low >> 64);
    sb_u128 cross2 = (sb_u128)a0 * b1 + (uint64_t)cross1;
    sb_u128 high = (sb_u128)a1 * b1 + (uint64_t)(cross1 >> 64) + (uint64_t)(cross2 >> 64);
    return (high << 1) | ((uint64_t)cross2 >> 63);
}

/* e^r in q127, in [1, 2], for 0 <= r <= ln 2 in q127. */
static sb_u128 exp_fraction(sb_u128 r)
{
    sb_u128 sum = Q127_ONE;
    for (unsigned k = EXP_TERMS; k >= 1; k--) {
        sum = Q127_ONE + mul_q127(r, sum) / k;
    }
    return sum;
}

/* v * 2^exponent with v in q127, as SD59x18, rounded half up. */
static sb_err scale_to_sd(sb_u256 *ret, sb_u128 v, int exponent)
{
    sb_u256 wide = from_u128(v);
    (void)sb_u256_mul_u64(&wide, &wide, SB_SD_ONE); /* below 2^188 */
    if (exponent >= FRACTION_BITS) {
        unsigned shift = (unsigned)(exponent - FRACTION_BITS);
        if (sb_u256_bit_len(&wide) + shift > 255) {
            return SB_E_RANGE;
        }
        *ret = sb_u256_shl(&wide, shift);
        return SB_OK;
    }
    unsigned shift = (unsigned)(FRACTION_BITS - exponent);
    sb_u256 one = sb_u256_from_u64(1);
    sb_u256 half = sb_u256_shl(&one, shift - 1);
    wide = sb_u256_add(&wide, &half);
    *ret = sb_u256_shr(&wide, shift);
    return SB_OK;
}

/* a * 2^127 / 10^18, floor, for a below 2^68. */
static sb_u256 to_q127(const sb_u256 *a)
{
    sb_u256 unit = sb_u256_from_u64(SB_SD_ONE);
    sb_u256 shifted = sb_u256_shl(a, FRACTION_BITS);
    return sb_u256_div(&shifted, &unit);
}

/* Split |x| = n * ln 2 + r (for negative x: -|x| = -n * ln 2 + r with the least n), q127. */
static int reduce(sb_u128 *ret_r, const sb_u256 *x_q127, bool negative)
{
    sb_u256 ln2 = from_u128(LN2_Q127);
    sb_u256 n;
    sb_u256 r;
    sb_u256_divmod(&n, &r, x_q127, &ln2);
    int count = (int)n.w[0];
    *ret_r = low_u128(&r);
    if (!negative) {
        return count;
    }
    if (*ret_r == 0) {
        return -count;
    }
    *ret_r = LN2_Q127 - *ret_r;
    return -count - 1;
}

static bool at_least(const sb_u256 *magnitude_of_x, uint64_t whole)
{
    sb_u256 unit = sb_u256_from_u64(SB_SD_ONE);
    sb_u256 bound;
    (void)sb_u256_mul_u64(&bound, &unit, whole);
    return !sb_u256_lt(magnitude_of_x, &bound);
}

sb_err sb_sd_exp(sb_u256 *ret, const sb_u256 *x)
{
    bool negative = false;
    sb_u256 a = magnitude(&negative, x);
    if (negative && at_least(&a, EXP_MIN)) {
        *ret = sb_u256_zero();
        return SB_OK;
    }
    if (!negative && at_least(&a, EXP_MAX)) {
        return SB_E_RANGE;
    }
    sb_u128 r = 0;
    sb_u256 scaled = to_q127(&a);
    int n = reduce(&r, &scaled, negative);
    return scale_to_sd(ret, exp_fraction(r), n);
}

/* 2^x from x's integer part and its fraction in q127. */
static sb_err exp2_parts(sb_u256 *ret, int whole, sb_u128 fraction)
{
    return scale_to_sd(ret, exp_fraction(mul_q127(fraction, LN2_Q127)), whole);
}

sb_err sb_sd_exp2(sb_u256 *ret, const sb_u256 *x)
{
    bool negative = false;
    sb_u256 a = magnitude(&negative, x);
    if (negative && at_least(&a, EXP2_MIN)) {
        *ret = sb_u256_zero();
        return SB_OK;
    }
    if (!negative && at_least(&a, EXP2_MAX)) {
        return SB_E_RANGE;
    }
    sb_u256 scaled = to_q127(&a);
    sb_u256 whole = sb_u256_shr(&scaled, FRACTION_BITS);
    sb_u128 fraction = low_u128(&scaled) & (Q127_ONE - 1);
    int n = (int)whole.w[0];
    if (negative) {
        n = fraction == 0 ? -n : -n - 1;
        fraction = fraction == 0 ? 0 : Q127_ONE - fraction;
    }
    return exp2_parts(ret, n, fraction);
}

/* ln(x / 10^18) in q127 with its sign, for x > 0. */
static sb_u256 ln_q127(bool *ret_negative, const sb_u256 *x)
{
    unsigned e = sb_u256_bit_len(x) - 1;
    sb_u256 m =
        e <= FRACTION_BITS ? sb_u256_shl(x, FRACTION_BITS - e) : sb_u256_shr(x, e - FRACTION_BITS);
    sb_u128 mantissa = low_u128(&m);
    sb_u256 numerator = from_u128(mantissa - Q127_ONE);
    sb_u256 one = from_u128(Q127_ONE);
    sb_u256 denominator = sb_u256_add(&m, &one);
    numerator = sb_u256_shl(&numerator, FRACTION_BITS);
    sb_u256 quotient = sb_u256_div(&numerator, &denominator);
    sb_u128 t = low_u128(&quotient);
    sb_u128 t2 = mul_q127(t, t);
    sb_u128 sum = 0;
    for (unsigned k = ATANH_TERMS; k-- > 0;) {
        sum = Q127_ONE / (2 * k + 1) + mul_q127(t2, sum);
    }
    sb_u256 total = from_u128(LN2_Q127);
    (void)sb_u256_mul_u64(&total, &total, e);
    sb_u256 ln_m = from_u128(mul_q127(t, sum) * 2);
    total = sb_u256_add(&total, &ln_m);
    *ret_negative = sb_u256_lt(&total, &k_ln_1e18_q127);
    return *ret_negative ? sb_u256_sub(&k_ln_1e18_q127, &total)
                         : sb_u256_sub(&total, &k_ln_1e18_q127);
}

/* A signed q127 number below 2^9 as SD59x18, rounded half up. */
static sb_u256 q127_to_sd(const sb_u256 *v, bool negative)
{
    sb_u256 wide;
    sb_u256 one = sb_u256_from_u64(1);
    (void)sb_u256_mul_u64(&wide, v, SB_SD_ONE);
    sb_u256 half = sb_u256_shl(&one, FRACTION_BITS - 1);
    if (negative) {
        half = sb_u256_sub(&half, &one); /* ties toward plus infinity */
    }
    wide = sb_u256_add(&wide, &half);
    wide = sb_u256_shr(&wide, FRACTION_BITS);
    return negative ? sb_u256_neg(&wide) : wide;
}

static bool is_positive(const sb_u256 *x)
{
    return !sb_u256_is_zero(x) && !sb_u256_is_negative(x);
}

sb_err sb_sd_ln(sb_u256 *ret, const sb_u256 *x)
{
    bool negative = false;
    if (!is_positive(x)) {
        return SB_E_RANGE;
    }
    sb_u256 v = ln_q127(&negative, x);
    *ret = q127_to_sd(&v, negative);
    return SB_OK;
}

static sb_u256 log2_q127(bool *ret_negative, const sb_u256 *x)
{
    sb_u256 v = ln_q127(ret_negative, x);
    sb_u256 factor = from_u128(INV_LN2_Q127);
    sb_u256 whole = sb_u256_shr(&v, FRACTION_BITS);
    sb_u256 fraction = from_u128(mul_q127(low_u128(&v) & (Q127_ONE - 1), INV_LN2_Q127));
    whole = sb_u256_mul(&whole, &factor);
    return sb_u256_add(&whole, &fraction);
}

sb_err sb_sd_log2(sb_u256 *ret, const sb_u256 *x)
{
    bool negative = false;
    if (!is_positive(x)) {
        return SB_E_RANGE;
    }
    sb_u256 v = log2_q127(&negative, x);
    *ret = q127_to_sd(&v, negative);
    return SB_OK;
}

sb_err sb_sd_pow(sb_u256 *ret, const sb_u256 *x, const sb_u256 *y)
{
    bool y_negative = false;
    bool log_negative = false;
    sb_u256 b = magnitude(&y_negative, y);
    if (sb_u256_is_zero(y)) {
        *ret = sb_u256_from_u64(SB_SD_ONE);
        return SB_OK;
    }
    if (sb_u256_is_zero(x) && !y_negative) {
        *ret = sb_u256_zero();
        return SB_OK;
    }
    if (!is_positive(x) || sb_u256_bit_len(&b) > POW_Y_BITS_MAX) {
        return SB_E_RANGE;
    }
    sb_u256 log = log2_q127(&log_negative, x);
    log = sb_u256_shr(&log, POW_LOG_SHIFT);
    sb_u256 unit = sb_u256_from_u64(SB_SD_ONE);
    sb_u256 product = sb_u256_mul(&log, &b); /* 112 fraction bits, times 10^18 */
    sb_u256 exponent;
    sb_u256 rest;
    sb_u256_divmod(&exponent, &rest, &product, &unit);
    sb_u256 whole = sb_u256_shr(&exponent, FRACTION_BITS - POW_LOG_SHIFT);
    bool negative = log_negative != y_negative;
    if (!sb_u256_fits_u64(&whole) || whole.w[0] >= EXP2_MAX) {
        *ret = sb_u256_zero();
        return negative ? SB_OK : SB_E_RANGE;
    }
    sb_u256 fraction_wide = sb_u256_shl(&exponent, POW_LOG_SHIFT);
    sb_u128 fraction = low_u128(&fraction_wide) & (Q127_ONE - 1);
    int n = (int)whole.w[0];
    if (negative) {
        n = fraction == 0 ? -n : -n - 1;
        fraction = fraction == 0 ? 0 : Q127_ONE - fraction;
    }
    if (n < -EXP2_MIN) {
        *ret = sb_u256_zero();
        return SB_OK;
    }
    return exp2_parts(ret, n, fraction);
}

/* e^-a in q127 for a >= 0 given as SD59x18 magnitude; 0 when far below the last bit. */
static sb_u128 exp_minus_q127(const sb_u256 *a)
{
    if (at_least(a, EXP_MIN)) {
        return 0;
    }
    sb_u128 r = 0;
    sb_u256 scaled = to_q127(a);
    int n = reduce(&r, &scaled, true);
    return exp_fraction(r) >> -n;
}

/* numerator / denominator in q127 as SD59x18, rounded half up; numerator <= denominator. */
static sb_u256 ratio_to_sd(sb_u128 numerator, const sb_u256 *denominator)
{
    sb_u256 wide = from_u128(numerator);
    sb_u256 half = sb_u256_shr(denominator, 1);
    (void)sb_u256_mul_u64(&wide, &wide, SB_SD_ONE);
    wide = sb_u256_add(&wide, &half);
    return sb_u256_div(&wide, denominator);
}

/* 1 + e in q127; 2 does not fit 128 bits. */
static sb_u256 one_plus(sb_u128 e)
{
    sb_u256 one = from_u128(Q127_ONE);
    sb_u256 term = from_u128(e);
    return sb_u256_add(&one, &term);
}

sb_u256 sb_sd_sigmoid(const sb_u256 *x)
{
    bool negative = false;
    sb_u256 a = magnitude(&negative, x);
    sb_u128 e = exp_minus_q127(&a);
    sb_u256 denominator = one_plus(e);
    return ratio_to_sd(negative ? e : Q127_ONE, &denominator);
}

sb_u256 sb_sd_tanh(const sb_u256 *x)
{
    bool negative = false;
    sb_u256 a = magnitude(&negative, x);
    sb_u256 twice = sb_u256_bit_len(&a) < 255 ? sb_u256_shl(&a, 1) : a;
    sb_u128 e = exp_minus_q127(&twice);
    sb_u256 denominator = one_plus(e);
    sb_u256 value = ratio_to_sd(e > Q127_ONE ? 0 : Q127_ONE - e, &denominator);
    return negative ? sb_u256_neg(&value) : value;
}
