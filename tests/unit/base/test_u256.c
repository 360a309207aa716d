/* test_u256.c: every operation of base/num/u256.h against GMP, on random words and on the edges where limbs carry. */
#include "base/num/u256.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <gmp.h>

#include "tests/support/random.h"

#define ROUND_COUNT 20000

static mpz_t two_256, two_255;

static void to_mpz(mpz_t ret, const sb_u256 *a)
{
    uint8_t be[32];
    sb_u256_store_be(be, a);
    mpz_import(ret, 32, 1, 1, 1, 0, be);
}

static void to_signed_mpz(mpz_t ret, const sb_u256 *a)
{
    to_mpz(ret, a);
    if (mpz_cmp(ret, two_255) >= 0) {
        mpz_sub(ret, ret, two_256);
    }
}

/* The word that equals expected modulo 2^256. */
static void assert_word(const sb_u256 *actual, const mpz_t expected)
{
    mpz_t word, got;
    mpz_inits(word, got, NULL);
    mpz_fdiv_r_2exp(word, expected, 256);
    to_mpz(got, actual);
    if (mpz_cmp(word, got) != 0) {
        gmp_fprintf(stderr, "expected %Zx, got %Zx\n", word, got);
    }
    assert_int_equal(mpz_cmp(word, got), 0);
    mpz_clears(word, got, NULL);
}

/* Words of 0 to 4 limbs whose limbs are often 0, all ones, one bit, or random. */
static sb_u256 random_word(struct sb_random *random)
{
    sb_u256 word = sb_u256_zero();
    unsigned limb_count = (unsigned)sb_random_below(random, 5);
    for (unsigned i = 0; i < limb_count; i++) {
        uint64_t value = sb_random_u64(random);
        switch (sb_random_below(random, 6)) {
        case 0:
            word.w[i] = 0;
            break;
        case 1:
            word.w[i] = UINT64_MAX;
            break;
        case 2:
            word.w[i] = UINT64_C(1) << (value % 64);
            break;
        case 3:
            word.w[i] = value >> (value % 64);
            break;
        default:
            word.w[i] = value;
            break;
        }
    }
    return word;
}

/* A word near another, so that quotients are 0, 1 or just below a power of the limb. */
static sb_u256 near_word(struct sb_random *random, const sb_u256 *a)
{
    sb_u256 delta = sb_u256_from_u64(sb_random_below(random, 3));
    return sb_random_below(random, 2) ? sb_u256_add(a, &delta) : sb_u256_sub(a, &delta);
}

static void check_sums_and_products(const sb_u256 *a, const sb_u256 *b, mpz_t x, mpz_t y, mpz_t r)
{
    sb_u256 got = sb_u256_add(a, b);
    mpz_add(r, x, y);
    assert_word(&got, r);
    assert_int_equal(sb_u256_add_carry(&got, a, b), mpz_cmp(r, two_256) >= 0);
    got = sb_u256_sub(a, b);
    mpz_sub(r, x, y);
    assert_word(&got, r);
    assert_int_equal(sb_u256_sub_borrow(&got, a, b), mpz_sgn(r) < 0);
    got = sb_u256_neg(a);
    mpz_neg(r, x);
    assert_word(&got, r);
    mpz_mul(r, x, y);
    got = sb_u256_mul(a, b);
    assert_word(&got, r);
    assert_int_equal(sb_u256_mul_overflow(&got, a, b), mpz_cmp(r, two_256) >= 0);
    assert_word(&got, r);
    mpz_set_ui(r, b->w[0]);
    mpz_mul(r, x, r);
    assert_int_equal(sb_u256_mul_u64(&got, a, b->w[0]), mpz_cmp(r, two_256) >= 0);
    assert_word(&got, r);
}

static void check_divisions(const sb_u256 *a, const sb_u256 *b, mpz_t x, mpz_t y, mpz_t q, mpz_t r)
{
    mpz_set_ui(q, 0);
    mpz_set_ui(r, 0);
    if (mpz_sgn(y) != 0) {
        mpz_tdiv_qr(q, r, x, y);
    }
    sb_u256 got_q, got_r;
    sb_u256_divmod(&got_q, &got_r, a, b);
    assert_word(&got_q, q);
    assert_word(&got_r, r);
    got_q = sb_u256_div(a, b);
    got_r = sb_u256_mod(a, b);
    assert_word(&got_q, q);
    assert_word(&got_r, r);
    mpz_t sx, sy;
    mpz_inits(sx, sy, NULL);
    to_signed_mpz(sx, a);
    to_signed_mpz(sy, b);
    if (mpz_sgn(sy) != 0) {
        mpz_tdiv_qr(q, r, sx, sy);
    }
    got_q = sb_u256_sdiv(a, b);
    got_r = sb_u256_smod(a, b);
    assert_word(&got_q, q);
    assert_word(&got_r, r);
    assert_int_equal(sb_u256_slt(a, b), mpz_cmp(sx, sy) < 0);
    assert_int_equal(sb_u256_lt(a, b), mpz_cmp(x, y) < 0);
    mpz_clears(sx, sy, NULL);
}

static void check_modular(const sb_u256 *a, const sb_u256 *b, const sb_u256 *m, mpz_t x, mpz_t y,
                          mpz_t r)
{
    mpz_t z;
    mpz_init(z);
    to_mpz(z, m);
    mpz_set_ui(r, 0);
    if (mpz_sgn(z) != 0) {
        mpz_add(r, x, y);
        mpz_mod(r, r, z);
    }
    sb_u256 got = sb_u256_addmod(a, b, m);
    assert_word(&got, r);
    if (mpz_sgn(z) != 0) {
        mpz_mul(r, x, y);
        mpz_mod(r, r, z);
    }
    got = sb_u256_mulmod(a, b, m);
    assert_word(&got, r);
    mpz_clear(z);
}

static void u256_arithmetic_equals_gmp(void **state)
{
    (void)state;
    struct sb_random random = sb_random_init("u256_arithmetic_equals_gmp");
    mpz_t x, y, q, r;
    mpz_inits(x, y, q, r, NULL);
    for (int i = 0; i < ROUND_COUNT; i++) {
        sb_u256 a = random_word(&random);
        sb_u256 b =
            sb_random_below(&random, 4) == 0 ? near_word(&random, &a) : random_word(&random);
        sb_u256 m =
            sb_random_below(&random, 4) == 0 ? near_word(&random, &b) : random_word(&random);
        to_mpz(x, &a);
        to_mpz(y, &b);
        check_sums_and_products(&a, &b, x, y, r);
        check_divisions(&a, &b, x, y, q, r);
        check_modular(&a, &b, &m, x, y, r);
    }
    mpz_clears(x, y, q, r, NULL);
}

/* Dividends just below a multiple of the divisor drive the quotient estimate too high: the add-back of algorithm D. */
static void u256_division_just_below_multiples_equals_gmp(void **state)
{
    (void)state;
    struct sb_random random = sb_random_init("u256_division_just_below_multiples_equals_gmp");
    mpz_t x, y, q, r;
    mpz_inits(x, y, q, r, NULL);
    const sb_u256 one = sb_u256_from_u64(1);
    for (int i = 0; i < ROUND_COUNT; i++) {
        sb_u256 b = random_word(&random);
        sb_u256 k = random_word(&random);
        sb_u256 a = sb_u256_mul(&b, &k);
        a = sb_u256_sub(&a, &one);
        to_mpz(x, &a);
        to_mpz(y, &b);
        check_divisions(&a, &b, x, y, q, r);
        check_modular(&a, &k, &b, x, (to_mpz(q, &k), q), r);
    }
    /* Top limbs of dividend and divisor equal, the rest of the divisor large. */
    for (int i = 0; i < ROUND_COUNT; i++) {
        uint64_t top = sb_random_u64(&random) | UINT64_C(1) << 63;
        sb_u256 b = {.w = {UINT64_MAX, sb_random_u64(&random), top, 0}};
        sb_u256 a = {.w = {sb_random_u64(&random), 0, b.w[1] - sb_random_below(&random, 2), top}};
        to_mpz(x, &a);
        to_mpz(y, &b);
        check_divisions(&a, &b, x, y, q, r);
    }
    mpz_clears(x, y, q, r, NULL);
}

static void u256_exp_equals_gmp(void **state)
{
    (void)state;
    struct sb_random random = sb_random_init("u256_exp_equals_gmp");
    mpz_t x, y, r;
    mpz_inits(x, y, r, NULL);
    for (int i = 0; i < 500; i++) {
        sb_u256 a = random_word(&random);
        sb_u256 e = random_word(&random);
        to_mpz(x, &a);
        to_mpz(y, &e);
        mpz_powm(r, x, y, two_256);
        sb_u256 got = sb_u256_exp(&a, &e);
        assert_word(&got, r);
    }
    mpz_clears(x, y, r, NULL);
}

static void u256_shifts_equal_gmp_at_every_count(void **state)
{
    (void)state;
    struct sb_random random = sb_random_init("u256_shifts_equal_gmp_at_every_count");
    mpz_t x, sx, r;
    mpz_inits(x, sx, r, NULL);
    for (int i = 0; i < 20; i++) {
        sb_u256 a = random_word(&random);
        to_mpz(x, &a);
        to_signed_mpz(sx, &a);
        for (uint64_t shift = 0; shift <= 300; shift++) {
            sb_u256 got = sb_u256_shl(&a, shift);
            mpz_mul_2exp(r, x, shift);
            assert_word(&got, r);
            got = sb_u256_shr(&a, shift);
            mpz_fdiv_q_2exp(r, x, shift);
            assert_word(&got, r);
            got = sb_u256_sar(&a, shift);
            mpz_fdiv_q_2exp(r, sx, shift);
            assert_word(&got, r);
        }
        sb_u256 got = sb_u256_shl(&a, UINT64_MAX);
        assert_true(sb_u256_is_zero(&got));
        got = sb_u256_sar(&a, UINT64_C(1) << 32);
        mpz_set_si(r, mpz_sgn(sx) < 0 ? -1 : 0);
        assert_word(&got, r);
    }
    mpz_clears(x, sx, r, NULL);
}

static void u256_bits_and_bytes_agree_with_the_big_endian_form(void **state)
{
    (void)state;
    struct sb_random random = sb_random_init("u256_bits_and_bytes_agree_with_the_big_endian_form");
    mpz_t x;
    mpz_init(x);
    for (int i = 0; i < 2000; i++) {
        sb_u256 a = random_word(&random);
        sb_u256 b = random_word(&random);
        uint8_t be[32], other[32], trimmed[32];
        sb_u256_store_be(be, &a);
        sb_u256_store_be(other, &b);
        to_mpz(x, &a);
        unsigned bits = mpz_sgn(x) == 0 ? 0 : (unsigned)mpz_sizeinbase(x, 2);
        assert_int_equal(sb_u256_bit_len(&a), bits);
        assert_int_equal(sb_u256_clz(&a), 256 - bits);
        assert_int_equal(sb_u256_byte_len(&a), (bits + 7) / 8);
        size_t len = sb_u256_store_be_trim(trimmed, &a);
        assert_int_equal(len, (bits + 7) / 8);
        sb_u256 back = sb_u256_load_be(trimmed, len);
        assert_true(sb_u256_equal(&back, &a));
        sb_u256 both = sb_u256_and(&a, &b);
        sb_u256 either = sb_u256_or(&a, &b);
        sb_u256 differ = sb_u256_xor(&a, &b);
        sb_u256 inverse = sb_u256_not(&a);
        for (unsigned k = 0; k < 32; k++) {
            assert_int_equal(sb_u256_byte(&a, k), be[k]);
            assert_int_equal(sb_u256_byte(&both, k), be[k] & other[k]);
            assert_int_equal(sb_u256_byte(&either, k), be[k] | other[k]);
            assert_int_equal(sb_u256_byte(&differ, k), be[k] ^ other[k]);
            assert_int_equal(sb_u256_byte(&inverse, k), (uint8_t)~be[k]);
            /* SIGNEXTEND from byte k (from the low end): the bytes above copy its sign. */
            sb_u256 place = sb_u256_from_u64(k);
            sb_u256 extended = sb_u256_signextend(&place, &a);
            for (unsigned j = 0; j < 32; j++) {
                uint8_t fill = (be[31 - k] & 0x80) != 0 ? 0xff : 0;
                assert_int_equal(sb_u256_byte(&extended, 31 - j), j > k ? fill : be[31 - j]);
            }
        }
        assert_int_equal(sb_u256_byte(&a, 32), 0);
        assert_int_equal(sb_u256_byte(&a, UINT64_MAX), 0);
        sb_u256 huge = {.w = {0, 1, 0, 0}};
        sb_u256 same = sb_u256_signextend(&huge, &a);
        assert_true(sb_u256_equal(&same, &a));
    }
    mpz_clear(x);
}

static void u256_decimal_text_equals_gmp(void **state)
{
    (void)state;
    struct sb_random random = sb_random_init("u256_decimal_text_equals_gmp");
    mpz_t x;
    mpz_init(x);
    for (int i = 0; i < 2000; i++) {
        sb_u256 a = random_word(&random);
        char text[SB_U256_DECIMAL_BYTES], expected[SB_U256_DECIMAL_BYTES + 2];
        sb_u256_format_decimal(text, &a);
        to_mpz(x, &a);
        assert_string_equal(text, mpz_get_str(expected, 10, x));
        sb_u256 back;
        assert_true(sb_u256_parse_decimal(&back, text, strlen(text)));
        assert_true(sb_u256_equal(&back, &a));
    }
    mpz_clear(x);
}

static void u256_bad_decimal_text_is_refused(void **state)
{
    (void)state;
    sb_u256 value = sb_u256_from_u64(7);
    static const char *const k_bad[] = {
        "",
        "-1",
        "+1",
        " 1",
        "1 ",
        "0x10",
        "1e3",
        "115792089237316195423570985008687907853269984665640564039457584007913129639936",
        "999999999999999999999999999999999999999999999999999999999999999999999999999999",
    };
    for (size_t i = 0; i < sizeof k_bad / sizeof k_bad[0]; i++) {
        assert_false(sb_u256_parse_decimal(&value, k_bad[i], strlen(k_bad[i])));
    }
    assert_int_equal(value.w[0], 7);
    const char *max =
        "115792089237316195423570985008687907853269984665640564039457584007913129639935";
    assert_true(sb_u256_parse_decimal(&value, max, strlen(max)));
    sb_u256 zero = sb_u256_zero();
    sb_u256 ones = sb_u256_not(&zero);
    assert_true(sb_u256_equal(&value, &ones));
}

static void u256_signed_overflow_wraps_to_the_least_number(void **state)
{
    (void)state;
    sb_u256 least = {.w = {0, 0, 0, UINT64_C(1) << 63}};
    sb_u256 minus_one = {.w = {UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX}};
    sb_u256 q = sb_u256_sdiv(&least, &minus_one);
    sb_u256 r = sb_u256_smod(&least, &minus_one);
    assert_true(sb_u256_equal(&q, &least));
    assert_true(sb_u256_is_zero(&r));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(u256_arithmetic_equals_gmp),
        cmocka_unit_test(u256_division_just_below_multiples_equals_gmp),
        cmocka_unit_test(u256_exp_equals_gmp),
        cmocka_unit_test(u256_shifts_equal_gmp_at_every_count),
        cmocka_unit_test(u256_bits_and_bytes_agree_with_the_big_endian_form),
        cmocka_unit_test(u256_decimal_text_equals_gmp),
        cmocka_unit_test(u256_bad_decimal_text_is_refused),
        cmocka_unit_test(u256_signed_overflow_wraps_to_the_least_number),
    };
    mpz_init_set_ui(two_256, 1);
    mpz_mul_2exp(two_256, two_256, 256);
    mpz_init_set_ui(two_255, 1);
    mpz_mul_2exp(two_255, two_255, 255);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
